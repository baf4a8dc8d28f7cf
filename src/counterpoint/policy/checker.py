"""A checker for policies, yours or ours, in the manner of Gymnasium's `check_env`.

check_policy(policy, observation)       passes silently, or says everything that is wrong
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.clock import seconds_to_ns
from counterpoint.core.errors import CounterpointError, PolicyError
from counterpoint.core.policy import ActionChunk, Observation, Policy

SLACK_NS = 1_000_000
"""How far the ends of a chunk may lie from the decision and the horizon."""
TOLERANCE = 1e-4
"""Largest difference between answers that should be equal but may be computed in another order."""


def check_policy(
    policy: Policy, observation: Observation, *, seed: int = 0, delay_s: float = 0.1, keeps_committed: bool = True
) -> None:
    """Check that a policy keeps the contract of `core.policy.Policy` on an observation that it should understand.

    Checked: the protocol's members; names, types and times of the commands; that they are finite; that `reset` makes
    answers repeatable; that batches answer like single calls; that committed commands come back; that inputs are
    neither changed nor given back; and that a useless observation is refused with an error of ours.

    Args:
        policy: what is checked; it is reset several times.
        observation: of a robot that the policy knows, with all that it needs.
        seed: for `reset`.
        delay_s: inference delay of the check of committed commands, seconds.
        keeps_committed: False for a policy that plans from the present, whatever has been committed.

    Raises:
        PolicyError: lists every violation, each with what was expected and what arrived.
    """
    if missing := [name for name in ("horizon_s", "reset", "act", "act_batch") if not hasattr(policy, name)]:
        raise PolicyError(f"{type(policy).__name__} is no policy: it lacks {', '.join(missing)}")
    before = {name: np.array(values) for name, values in _arrays(observation)}
    problems = [*_check_answer(policy, observation, seed)]
    if not problems:  # what follows compares answers
        problems += [
            *_check_inputs(policy, observation, before),
            *_check_repeats(policy, observation, seed),
            *_check_batch(policy, observation, seed),
            *_check_refusal(policy, observation),
        ]
        if keeps_committed:
            problems += _check_committed(policy, observation, seed, delay_s)
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise PolicyError(f"{type(policy).__name__} does not keep the contract of a policy:\n{listed}")


def _check_answer(policy: Policy, observation: Observation, seed: int) -> Iterator[str]:
    horizon_s = policy.horizon_s
    if not (isinstance(horizon_s, int | float) and isfinite(horizon_s) and horizon_s > 0):
        yield f"horizon_s: expected a positive number of seconds, got {horizon_s!r}"
        return
    policy.reset(seed)
    chunk: object = policy.act(observation)
    if not isinstance(chunk, ActionChunk):
        yield f"act: expected an ActionChunk, got {type(chunk).__name__}"
        return
    names = observation.embodiment.acting_names
    if chunk.channel_names != names:
        yield f"act: expected the acting channels {', '.join(names)}, got {', '.join(chunk.channel_names)}"
    if chunk.time_ns.dtype != np.int64:
        yield f"act: expected times of type int64, got {chunk.time_ns.dtype}"
    if chunk.values.dtype != np.float32:
        yield f"act: expected values of type float32, got {chunk.values.dtype}"
    if not np.isfinite(chunk.values).all():  # an array may have been written to after the chunk checked itself
        yield "act: expected finite commands"
    first, last = (int(chunk.time_ns[row]) - observation.now_ns for row in (0, -1))
    if abs(first) > SLACK_NS:
        yield f"act: expected the first knot at now_ns, got one {first} ns later"
    if last < seconds_to_ns(horizon_s) - SLACK_NS:
        yield f"act: expected knots up to horizon_s = {horizon_s} s, got the last at {last / 1e9} s"


def _arrays(observation: Observation) -> Iterator[tuple[str, NDArray[np.generic]]]:
    for name, stream in observation.streams.items():
        yield f"the values of stream {name!r}", stream.values
        yield f"the capture times of stream {name!r}", stream.capture_ns
        yield f"the arrival times of stream {name!r}", stream.arrival_ns


def _check_inputs(policy: Policy, observation: Observation, before: Mapping[str, NDArray[np.generic]]) -> Iterator[str]:
    chunk, again = policy.act(observation), policy.act(observation)
    for name, values in _arrays(observation):
        if not np.array_equal(before[name], values):
            yield f"act: expected inputs as they were, but it has changed {name}"
        if isinstance(values, np.ndarray) and np.shares_memory(chunk.values, values):
            yield f"act: expected commands of their own, but they share memory with {name}"
    if np.shares_memory(chunk.values, again.values):
        yield "act: expected fresh commands, but two answers share memory; a later one would change an earlier"


def _check_repeats(policy: Policy, observation: Observation, seed: int) -> Iterator[str]:
    runs = []
    for _ in range(2):
        policy.reset(seed)
        runs.append([policy.act(observation).values.copy() for _ in range(2)])
    if not all(np.array_equal(one, other) for one, other in zip(*runs, strict=True)):
        yield f"reset: expected the same answers after reset({seed}) twice, got others"


def _check_batch(policy: Policy, observation: Observation, seed: int) -> Iterator[str]:
    if (empty := policy.act_batch([])) != []:
        yield f"act_batch: expected no answers to no observations, got {empty!r}"
    policy.reset(seed)
    alone = [policy.act(observation) for _ in range(2)]
    policy.reset(seed)
    together = policy.act_batch([observation, observation])
    if len(together) != len(alone):
        yield f"act_batch: expected {len(alone)} answers, got {len(together)}"
        return
    for one, other in zip(alone, together, strict=True):
        if one.values.shape != other.values.shape or not np.allclose(one.values, other.values, atol=TOLERANCE):
            yield "act_batch: expected the answers of act one by one, got others"
            return


def _check_committed(policy: Policy, observation: Observation, seed: int, delay_s: float) -> Iterator[str]:
    """Commit to the policy's own answer, which lies within every limit, and ask with a delay."""
    policy.reset(seed)
    committed = policy.act(replace(observation, committed=None, ready_ns=observation.now_ns))
    ready_ns = observation.now_ns + seconds_to_ns(delay_s)
    chunk = policy.act(replace(observation, committed=committed, ready_ns=ready_ns))
    for time_ns in chunk.time_ns[chunk.time_ns < ready_ns].tolist():
        difference = float(np.abs(chunk.at(time_ns) - committed.at(time_ns)).max())
        if difference > TOLERANCE:
            yield (
                f"act: expected the committed command {(time_ns - observation.now_ns) / 1e9} s after the decision, got "
                f"one that differs by {difference:.3g}; pass keeps_committed=False if that is meant"
            )
            return


def _check_refusal(policy: Policy, observation: Observation) -> Iterator[str]:
    blind = replace(observation, streams={}, committed=None)
    error = _raised(lambda: policy.act(blind))
    if error is not None and not isinstance(error, CounterpointError):
        yield f"act: expected a PolicyError for an observation without streams, got {type(error).__name__}: {error}"


def _raised(call: Callable[[], object]) -> Exception | None:
    try:
        call()
    except Exception as error:  # whatever a policy raises is what is judged
        return error
    return None
