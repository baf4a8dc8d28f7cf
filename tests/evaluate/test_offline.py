"""Offline evaluation through the policy protocol, on the synthetic robots."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from counterpoint.core.clock import absolute_ns
from counterpoint.core.errors import ConfigError, CounterpointError
from counterpoint.core.policy import ActionChunk, Observation
from counterpoint.data.episodes.selection import Selection
from counterpoint.data.episodes.source import MemorySource
from counterpoint.data.episodes.synthetic import synthetic_source
from counterpoint.evaluate.baselines import HoldPolicy
from counterpoint.evaluate.offline import OfflineConfig, evaluate_offline

CONFIG = OfflineConfig(samples=2, stride_s=0.5)


class Oracle:
    """Looks the logged action up, adds `noise`; remembers every observation."""

    horizon_s = 0.4

    def __init__(self, source: MemorySource, noise: float = 0.0) -> None:
        self.noise = noise
        self.seen: list[Observation] = []
        self._logs = [source.low(entry.episode_id)["action"] for entry in source.episodes]

    def reset(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def act(self, observation: Observation) -> ActionChunk:
        self.seen.append(observation)
        now = observation.now_ns
        log = next(one for one in self._logs if one.capture_ns[0] <= now <= one.capture_ns[-1])
        logged = ActionChunk(
            time_ns=log.capture_ns,
            values=np.asarray(log.values, dtype=np.float32),
            channel_names=log.spec.channel_names,
        )
        time_ns = absolute_ns(np.arange(1, 9) * 0.05, now)
        values = np.stack([logged.at(int(when)) for when in time_ns]).astype(np.float64)
        values += self.noise * self._rng.standard_normal(values.shape)
        return ActionChunk(
            time_ns=time_ns, values=values.astype(np.float32), channel_names=observation.embodiment.acting_names
        )

    def act_batch(self, observations: Sequence[Observation]) -> list[ActionChunk]:
        return [self.act(observation) for observation in observations]


ALL = Selection(split="all")


def test_the_logged_action_has_no_error_and_no_divergence() -> None:
    source = synthetic_source(3, 7, seed=1)
    (result,) = evaluate_offline(Oracle(source), [source], ALL, CONFIG)
    assert result.robot == "synthetic_7"
    assert result.next_action_mse == pytest.approx(0.0, abs=1e-8)
    assert result.reverse_kl == pytest.approx(0.0, abs=1e-4)
    assert result.episodes == 3
    assert set(result.baselines) == {"hold", "repeat", "linear"}
    assert min(result.baselines.values()) > 0.01
    assert result.next_action_mse in result.mse_ci95


def test_error_grows_with_noise() -> None:
    source = synthetic_source(3, 6, seed=2)
    errors = [
        evaluate_offline(Oracle(source, noise), [source], ALL, CONFIG)[0].next_action_mse
        for noise in (0.001, 0.01, 0.1)
    ]
    assert errors == sorted(errors)
    assert errors[1] / errors[0] == pytest.approx(100, rel=0.3)


def test_nothing_from_the_future_is_shown() -> None:
    source = synthetic_source(2, 7, seed=3)
    oracle = Oracle(source)
    evaluate_offline(oracle, [source], ALL, CONFIG)
    for seen in oracle.seen:
        assert (seen.streams["action"].capture_ns < seen.now_ns).all()
        assert all((stream.arrival_ns <= seen.now_ns).all() for stream in seen.streams.values())
        assert len(seen.streams["instruction"]) == 1


def test_the_unit_of_error_does_not_depend_on_the_policy() -> None:
    source = synthetic_source(3, 6, seed=4)
    first = evaluate_offline(Oracle(source), [source], ALL, CONFIG)[0]
    second = evaluate_offline(HoldPolicy(0.4), [source], ALL, CONFIG)[0]
    assert first.baselines == second.baselines
    assert second.next_action_mse == pytest.approx(second.baselines["hold"])


def test_decisions_are_thinned_over_all_episodes() -> None:
    source = synthetic_source(6, 6, seed=5)
    config = OfflineConfig(samples=1, stride_s=0.1, max_decisions=30)
    (result,) = evaluate_offline(Oracle(source), [source], ALL, config)
    assert result.decisions <= 30
    assert result.episodes == 6


def test_each_robot_has_its_row() -> None:
    sources = [synthetic_source(2, dof, seed=6) for dof in (7, 16)]
    results = evaluate_offline(HoldPolicy(), sources, ALL, CONFIG)
    assert [result.robot for result in results] == ["synthetic_16", "synthetic_7"]
    row = results[0].to_dict()
    assert {"robot", "next_action_mse", "reverse_kl", "decisions", "episodes", "baselines", "by_horizon"} <= set(row)


def test_nothing_held_out_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no episode left"):
        evaluate_offline(
            HoldPolicy(), [synthetic_source(2, 6, seed=7)], Selection(split="test", holdout_fraction=0.0), CONFIG
        )
    short = synthetic_source(1, 6, seed=7, duration_s=0.05)
    with pytest.raises(CounterpointError, match="none of the 1"):
        evaluate_offline(HoldPolicy(), [short], ALL, CONFIG)
    with pytest.raises(ConfigError, match="samples"):
        OfflineConfig(samples=0)
