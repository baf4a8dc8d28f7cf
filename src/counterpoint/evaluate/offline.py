"""Offline evaluation: a policy's answers against the actions that were logged, on held-out episodes.

    episode --decision times every stride--> observations (what had arrived, actions strictly before)
            --policy.act_batch, several samples--> chunks --at the knots--> metrics, beside three baselines

Only the policy protocol is used, so checkpoints, baselines and remote policies are evaluated by the same code.
Errors are in the normalised units of `metrics`; intervals resample episodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.clock import relative_seconds, seconds_to_ns
from counterpoint.core.embodiment import Embodiment
from counterpoint.core.errors import ConfigError, CounterpointError
from counterpoint.core.policy import ActionChunk, Observation, Policy
from counterpoint.core.records import Json
from counterpoint.core.stream import Stream
from counterpoint.data.episodes.selection import EpisodeReference, Selection, select_episodes
from counterpoint.data.episodes.source import EpisodeSource
from counterpoint.evaluate.baselines import BASELINES, hold_command
from counterpoint.evaluate.metrics import channel_scale, next_action_mse, reverse_kl, squared_error
from counterpoint.evaluate.statistics import Interval, bootstrap_mean

Float = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class OfflineConfig:
    """Which decisions are judged, and how finely."""

    samples: int = 4
    """Answers sampled for each decision; the error is their average, the divergence needs several."""
    stride_s: float = 0.25
    """Time between decisions of an episode, seconds."""
    max_decisions: int = 400
    """At most this many decisions a robot, spread over its episodes."""
    max_episodes: int = 200
    """At most this many episodes a robot, the first by hash."""
    knot_s: float = 0.05
    """Spacing of the compared knots, seconds; the first is one spacing after the decision."""
    context_s: float = 2.5
    """How far back observations reach, seconds; at least what the policy needs."""
    batch: int = 64
    """Decisions answered at once."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Check ranges."""
        for name, value in (("samples", self.samples), ("max_decisions", self.max_decisions), ("batch", self.batch)):
            if value < 1:
                raise ConfigError(f"offline.{name}: expected at least 1, got {value}")
        for name, seconds in (("stride_s", self.stride_s), ("knot_s", self.knot_s), ("context_s", self.context_s)):
            if not seconds > 0:
                raise ConfigError(f"offline.{name}: expected a positive time in seconds, got {seconds}")


@dataclass(frozen=True, kw_only=True)
class OfflineResult:
    """Errors of one policy on one robot's held-out episodes."""

    robot: str
    next_action_mse: float
    mse_ci95: Interval
    reverse_kl: float
    kl_ci95: Interval
    baselines: dict[str, float]
    """`next_action_mse` of each baseline on the same decisions."""
    by_horizon: dict[str, list[float]]
    """Error at each knot: keys `seconds`, `policy` and each baseline."""
    decisions: int
    episodes: int
    hours: float
    """Robot time of the episodes judged."""

    def to_dict(self) -> dict[str, Json]:
        """Return the row of the command line's `results`."""
        return {
            "robot": self.robot,
            "next_action_mse": self.next_action_mse,
            "mse_ci95": [*self.mse_ci95.as_list()],
            "reverse_kl": self.reverse_kl,
            "kl_ci95": [*self.kl_ci95.as_list()],
            "baselines": dict(self.baselines),
            "by_horizon": {key: [*values] for key, values in self.by_horizon.items()},
            "decisions": self.decisions,
            "episodes": self.episodes,
            "hours": self.hours,
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class Decisions:
    """The decisions of one robot on which policies are compared."""

    observations: list[Observation]
    target: Float
    """[B, K, C], logged action at the knots, in the units of the channels."""
    valid: NDArray[np.bool_]
    """[B, K], False after the episode's last action."""
    scale: Float
    """[C], unit of the errors."""
    knot_s: Float
    """[K]."""
    episode: NDArray[np.int64]
    """[B], number of the episode."""
    hours: float = field(default=0.0)


def evaluate_offline(
    policy: Policy, sources: Sequence[EpisodeSource], selection: Selection, config: OfflineConfig
) -> list[OfflineResult]:
    """Return one result a robot, in order of name.

    Args:
        policy: judged; reset for every sample.
        sources: stores, or episodes in memory.
        selection: the held-out episodes; the same `holdout_fraction` as in training keeps them apart.
        config: which decisions, how many samples.

    Raises:
        ConfigError: no episode is left, see `select_episodes`.
        CounterpointError: no episode of a robot is long enough for one decision.
    """
    chosen = select_episodes(sources, selection)
    return [
        evaluate_robot(policy, gather_decisions(sources, references, policy.horizon_s, config), config, robot)
        for robot, references in sorted(chosen.items())
    ]


def evaluate_robot(policy: Policy, decisions: Decisions, config: OfflineConfig, robot: str) -> OfflineResult:
    """Judge `policy` and the baselines on decisions of one robot."""
    target = decisions.target / decisions.scale
    samples = _samples(policy, decisions, config, config.samples)
    error = next_action_mse(samples, target, decisions.valid)
    divergence = reverse_kl(samples, target, decisions.valid, seed=config.seed)
    by_horizon = {"seconds": decisions.knot_s.tolist(), "policy": _by_knot(samples, target, decisions.valid)}
    baselines: dict[str, float] = {}
    for name, baseline in BASELINES.items():
        answers = _samples(replace(baseline, horizon_s=policy.horizon_s), decisions, config, 1)
        baselines[name] = float(next_action_mse(answers, target, decisions.valid).mean())
        by_horizon[name] = _by_knot(answers, target, decisions.valid)
    return OfflineResult(
        robot=robot,
        next_action_mse=float(error.mean()),
        mse_ci95=bootstrap_mean(error, decisions.episode, seed=config.seed),
        reverse_kl=float(divergence.mean()),
        kl_ci95=bootstrap_mean(divergence, decisions.episode, seed=config.seed),
        baselines=baselines,
        by_horizon=by_horizon,
        decisions=len(target),
        episodes=len(np.unique(decisions.episode)),
        hours=decisions.hours,
    )


def gather_decisions(
    sources: Sequence[EpisodeSource], references: Sequence[EpisodeReference], horizon_s: float, config: OfflineConfig
) -> Decisions:
    """Build the observations and targets of one robot's episodes.

    Raises:
        CounterpointError: no episode holds a decision with an action after it.
    """
    chosen = references[: config.max_episodes]
    knot_s: Float = np.arange(1, round(horizon_s / config.knot_s) + 1, dtype=np.float64) * config.knot_s
    times = [_decision_times(sources[one.source].low(one.episode_id), config) for one in chosen]
    keep = max(1, -(-sum(map(len, times)) // config.max_decisions))  # every n-th decision of all
    observations: list[Observation] = []
    targets, valids, bases, numbers = [], [], [], []
    offset = 0
    for number, (one, when) in enumerate(zip(chosen, times, strict=True)):
        streams, robot = sources[one.source].low(one.episode_id), sources[one.source].embodiment(one.embodiment)
        for now_ns in islice(when, (-offset) % keep, None, keep):
            observation = Observation.from_streams(robot, streams, now_ns=int(now_ns), history_s=config.context_s)
            target, valid = _logged(streams["action"], int(now_ns), knot_s)
            observations.append(observation)
            targets.append(target)
            valids.append(valid)
            bases.append(_base(robot, observation))
            numbers.append(number)
        offset += len(when)
    if not observations:
        raise CounterpointError(
            f"evaluate: none of the {len(chosen)} held-out episodes of robot {chosen[0].embodiment!r} holds a "
            "decision with an action after it. Are they shorter than knot_s?"
        )
    target, valid = np.stack(targets), np.stack(valids)
    return Decisions(
        observations=observations,
        target=target,
        valid=valid,
        scale=channel_scale(target - np.stack(bases)[:, None], valid),
        knot_s=knot_s,
        episode=np.asarray(numbers, dtype=np.int64),
        hours=sum(one.duration_s for one in chosen) / 3600,
    )


def _decision_times(streams: dict[str, Stream], config: OfflineConfig) -> NDArray[np.int64]:
    """Return decisions from when robot and world are known to just before the last action, int64 [n]."""
    action = streams.get("action")
    if action is None or len(action) < 2:
        return np.zeros(0, dtype=np.int64)
    known = [int(stream.arrival_ns.min()) for stream in streams.values() if len(stream)]
    first = max([*known, int(action.capture_ns[0]) + 1])
    last = int(action.capture_ns[-1]) - seconds_to_ns(config.knot_s)
    return np.arange(first, last + 1, seconds_to_ns(config.stride_s), dtype=np.int64)


def _logged(action: Stream, now_ns: int, knot_s: Float) -> tuple[Float, NDArray[np.bool_]]:
    """Return the logged action at the knots [K, C], linear in between, and which knots lie within the log."""
    when = relative_seconds(action.capture_ns, now_ns)
    columns = [np.interp(knot_s, when, column) for column in np.asarray(action.values, dtype=np.float64).T]
    return np.stack(columns, axis=1), knot_s <= when[-1] + 1e-9


def _base(robot: Embodiment, observation: Observation) -> Float:
    """Return what joint targets are relative to, [C]: the hold command; 0 for other channels."""
    is_joint = np.asarray([channel.quantity == "joint_position" for channel in robot.acting])
    return np.where(is_joint, hold_command(robot, observation.streams), 0.0).astype(np.float64)


def _samples(policy: Policy, decisions: Decisions, config: OfflineConfig, count: int) -> Float:
    """Return `count` answers a decision at the knots, [B, S, K, C], in normalised units."""
    drawn = []
    for sample in range(count):
        policy.reset(config.seed + sample)
        chunks: list[ActionChunk] = []
        for start in range(0, len(decisions.observations), config.batch):
            chunks += policy.act_batch(decisions.observations[start : start + config.batch])
        rows = [
            at_knots(chunk, seen.now_ns, decisions.knot_s)
            for chunk, seen in zip(chunks, decisions.observations, strict=True)
        ]
        drawn.append(np.stack(rows))
    return np.stack(drawn, axis=1) / decisions.scale


def at_knots(chunk: ActionChunk, now_ns: int, knot_s: Float) -> Float:
    """Return a chunk's commands at `knot_s` after `now_ns`, float64 [K, C]."""
    when = relative_seconds(chunk.time_ns, now_ns)
    return np.stack([np.interp(knot_s, when, column) for column in chunk.values.T.astype(np.float64)], axis=1)


def _by_knot(samples: Float, target: Float, valid: NDArray[np.bool_]) -> list[float]:
    error = squared_error(samples, target) * valid
    mean: list[float] = (error.sum(axis=0) / np.maximum(valid.sum(axis=0), 1)).tolist()
    return mean
