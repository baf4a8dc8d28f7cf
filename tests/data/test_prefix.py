"""Disturbed prefixes: what training tells the model of committed commands, while targets stay as recorded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from counterpoint.core.errors import ConfigError
from counterpoint.data.encoding.encode import encode
from counterpoint.data.encoding.pack import EncodedWindow
from counterpoint.data.encoding.prefix import PrefixConfig, disturbed
from counterpoint.data.encoding.processor import Processor
from counterpoint.data.encoding.windows import WindowConfig
from counterpoint.data.episodes.synthetic import synthetic_source

NONE = PrefixConfig(late=0, still=0, swapped=0, offset=0, hidden=0)
SOURCE = synthetic_source(4, 6, seed=3, duration_s=6.0)
ROBOT = SOURCE.episodes[0].embodiment
STREAMS = SOURCE.low(SOURCE.episodes[0].episode_id)
PROCESSOR = Processor.fit([SOURCE])
RELATIVE = np.array([True, True, False])


def window(prefix: PrefixConfig, seed: int = 0) -> EncodedWindow:
    """Eight decisions of one episode, all under a delay of 0.2 s."""
    config = replace(WindowConfig(), prefix=prefix)
    episode = PROCESSOR.prepare(ROBOT, STREAMS)
    start_ns = int(STREAMS["action"].capture_ns[0])
    decision_ns = start_ns + np.arange(1, 9) * 300_000_000
    delay_s = np.full(8, 0.2, np.float32)
    return encode(config, episode, decision_ns, delay_s, rng=np.random.default_rng(seed), targets=True)


def test_without_disturbance_the_prefix_is_what_was_recorded() -> None:
    plain = window(NONE)
    np.testing.assert_array_equal(plain.prefix, plain.values)
    np.testing.assert_array_equal(plain.prefix_s, plain.delay_s)


@pytest.mark.parametrize("name", ["late", "still", "swapped", "offset", "hidden"])
def test_a_disturbance_changes_the_prefix_and_never_the_targets(name: str) -> None:
    plain, other = window(NONE), window(replace(NONE, **{name: 1.0}))
    np.testing.assert_array_equal(plain.values, other.values)
    np.testing.assert_array_equal(plain.delay_s, other.delay_s)
    if name == "hidden":
        assert not other.prefix_s.any()
    else:
        assert not np.array_equal(plain.prefix, other.prefix)
        np.testing.assert_array_equal(plain.prefix_s, other.prefix_s)


def test_the_same_seed_disturbs_equally() -> None:
    one, two, other = window(PrefixConfig(), 1), window(PrefixConfig(), 1), window(PrefixConfig(), 2)
    np.testing.assert_array_equal(one.prefix, two.prefix)
    assert not np.array_equal(one.prefix, other.prefix)


def test_still_prefixes_lie_between_the_command_in_force_and_the_recorded_ones() -> None:
    rng = np.random.default_rng(0)
    prefix, start = rng.normal(size=(200, 4, 3)).astype(np.float32), np.zeros((200, 4, 3), np.float32)
    found = disturbed(replace(NONE, still=1.0), prefix, start, RELATIVE, rng)
    np.testing.assert_array_equal(found[..., 2], prefix[..., 2])  # the gripper's part is not the arm's
    share = found[:, 0, 0] / prefix[:, 0, 0]
    assert ((share >= 0) & (share <= 1)).all()
    assert 0.35 < (share == 0).mean() < 0.65


def test_swapped_prefixes_change_the_gripper_alone() -> None:
    rng = np.random.default_rng(0)
    prefix, start = rng.normal(size=(8, 4, 3)).astype(np.float32), np.ones((8, 4, 3), np.float32)
    found = disturbed(replace(NONE, swapped=1.0), prefix, start, RELATIVE, rng)
    np.testing.assert_array_equal(found[..., :2], prefix[..., :2])
    known = [row.tolist() for row in prefix[..., 2]] + [[1.0] * 4]
    assert all(row.tolist() in known for row in found[..., 2])


@pytest.mark.parametrize(("name", "value"), [("late", 1.5), ("hidden", -0.1), ("late_s", -1.0), ("offset_sd", np.inf)])
def test_shares_and_sizes_are_checked(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"window\.prefix\.{name}: expected"):
        PrefixConfig(**{name: value})
