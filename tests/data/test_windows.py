"""Windows: where decisions may lie, how far apart, how late."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoint.core.errors import ConfigError
from counterpoint.core.seeding import generator
from counterpoint.data.encoding.windows import WindowConfig, draw_decisions, draw_delays


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**31), room_s=st.floats(0.0, 30.0), branches=st.integers(1, 12))
def test_decisions_stay_inside_the_episode_and_never_go_back(seed: int, room_s: float, branches: int) -> None:
    config = WindowConfig(branches=branches)
    low = 10**18
    high = low + int(room_s * 1e9)
    times = draw_decisions(config, low, high, generator(seed, "centre").random(), generator(seed))
    assert times.shape == (branches,)
    assert times[0] >= low
    assert times[-1] <= high
    assert all(a <= b for a, b in pairwise(times))
    if room_s >= branches * config.max_gap_s:
        gaps = np.diff(times) / 1e9
        assert (gaps >= config.min_gap_s - 1e-6).all()
        assert (gaps <= config.max_gap_s + 1e-6).all()


def test_both_ends_of_an_episode_are_seen_about_as_often_as_its_middle() -> None:
    config = WindowConfig()
    rng = generator(3)
    times = np.concatenate([draw_decisions(config, 0, 8 * 10**9, rng.random(), rng) for _ in range(2000)]) / 1e9
    counts, _ = np.histogram(times, bins=8, range=(0.0, 8.0))
    assert counts.min() > 0.6 * counts.mean()


def test_delays_are_often_zero_and_never_longer_than_asked() -> None:
    config = WindowConfig(zero_delay_probability=0.3, max_delay_s=0.25)
    rng = generator(4)
    delays = np.concatenate([draw_delays(config, rng) for _ in range(1000)])
    assert 0.25 < (delays == 0).mean() < 0.35
    assert 0.2 < delays.max() <= 0.25


def test_serving_times_end_now_and_reach_back_over_the_context() -> None:
    config = WindowConfig(context_s=1.0, min_gap_s=0.05, max_gap_s=0.4)
    times = config.serving_times_ns(10**18)
    assert times[-1] == 10**18
    assert (np.diff(times) == 225_000_000).all()
    assert 10**18 - times[0] <= 10**9 < 10**18 - times[0] + 225_000_000


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"branches": 0}, "window.branches"),
        ({"knot_s": 0.0}, "window.knot_s"),
        ({"max_delay_s": -1.0}, "window.max_delay_s"),
        ({"past_action_drop": 1.5}, "window.past_action_drop"),
        ({"min_gap_s": 0.5}, "window.min_gap_s"),
        ({"image_patches": (0, 4)}, "window.image_patches"),
    ],
)
def test_wrong_values_are_named_by_their_path(values: dict[str, float], path: str) -> None:
    with pytest.raises(ConfigError, match=path):
        WindowConfig(**values)  # type: ignore[arg-type]  # wrong on purpose
