"""Encoding: nothing from the future, everything that had arrived, and what the derived tokens say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from encoded_windows import encode_window
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoint.core.embodiment import StreamSpec
from counterpoint.core.errors import EmbodimentError, StreamError, UnknownNameError
from counterpoint.core.seeding import generator
from counterpoint.core.stream import Stream
from counterpoint.data.encoding.pack import EncodedWindow, pack
from counterpoint.data.encoding.processor import Processor
from counterpoint.data.encoding.text import text_features
from counterpoint.data.encoding.tracks import arrivals_of
from counterpoint.data.encoding.windows import WindowConfig, draw_decisions
from counterpoint.data.episodes.source import MemorySource
from counterpoint.data.episodes.synthetic import synthetic_embodiment, synthetic_episode

ROBOT = synthetic_embodiment(7)
EPISODES = [synthetic_episode(ROBOT, i, seed=5) for i in range(4)]
PROCESSOR = Processor.fit([MemorySource(EPISODES)], WindowConfig(past_action_drop=0.0))
STREAMS = EPISODES[0].streams
WORD_LIFT = [718, 3593, 889, 3093]
"""Buckets of the word, then its letter triples: CRC-32 modulo 4096, as any other program would compute."""
Visible = list[tuple[bytes, float, float, bytes]]


def decisions(seed: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    low, high = PROCESSOR.prepare(ROBOT, STREAMS).bounds_ns(PROCESSOR.config)
    rng = generator(seed)
    return draw_decisions(PROCESSOR.config, low, high, rng.random(), rng)


def encoded(streams: dict[str, Stream], times: np.ndarray[tuple[int], np.dtype[np.int64]], seed: int) -> EncodedWindow:
    rng = generator(seed, "encode")
    return encode_window(PROCESSOR, ROBOT, streams, times, np.zeros(len(times), np.float32), rng)


def seen_by(window: EncodedWindow, branch: int) -> Visible:
    """Every token that a decision sees: what it carries, its times, its values."""
    seen = []
    for piece in window.vectors:
        for row, place in enumerate(piece.place):
            if window.arrival_s[place] <= window.decision_s[branch]:
                times = (float(window.capture_s[place]), float(window.arrival_s[place]))
                seen.append((piece.layout.key, *times, piece.values[row].tobytes()))
    return sorted(seen)


def scrambled(stream: Stream, from_ns: int, rng: np.random.Generator, *, inclusive: bool) -> Stream:
    """Replace all samples known after (or at) a moment."""
    late = stream.arrival_ns >= from_ns if inclusive else stream.arrival_ns > from_ns
    values = stream.values.copy()
    values[late] = rng.normal(size=values[late].shape).astype(np.float32)
    return replace(stream, values=values)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), branch=st.integers(0, 7))
def test_no_decision_sees_what_arrives_after_it(seed: int, branch: int) -> None:
    times = decisions(seed)
    rng = generator(seed, "scramble")
    changed = {
        name: scrambled(stream, int(times[branch]), rng, inclusive=name == "action")
        if stream.spec.kind == "vector"
        else stream
        for name, stream in STREAMS.items()
    }
    before, after = encoded(STREAMS, times, seed), encoded(changed, times, seed)
    assert seen_by(before, branch) == seen_by(after, branch)
    np.testing.assert_array_equal(before.base[branch], after.base[branch])
    np.testing.assert_array_equal(before.start[branch], after.start[branch])


def test_a_decision_at_a_command_does_not_see_it_through_a_later_decision() -> None:
    action = STREAMS["action"].select(slice(0, None, 4))
    times = action.capture_ns[5] + np.array([0, 10_000_000])
    streams = {**STREAMS, "action": action}
    changed = {**streams, "action": scrambled(action, int(times[0]), generator(0), inclusive=True)}
    before, after = encoded(streams, times, 0), encoded(changed, times, 0)
    assert seen_by(before, 0) == seen_by(after, 0)
    assert seen_by(before, 1) != seen_by(after, 1)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_changing_future_actions_changes_targets_and_nothing_else(seed: int) -> None:
    times = decisions(seed)
    last = int(times[-1])
    action = scrambled(STREAMS["action"], last, generator(seed, "scramble"), inclusive=True)
    before, after = encoded(STREAMS, times, seed), encoded({**STREAMS, "action": action}, times, seed)
    assert seen_by(before, 7) == seen_by(after, 7)
    if before.valid[7].any() and (action.arrival_ns > last).sum() > 1:
        assert not np.array_equal(before.values[7], after.values[7])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_removing_what_arrives_later_removes_only_later_tokens(seed: int) -> None:
    times = decisions(seed)
    cut = {n: s if n == "action" else s.select(s.arrival_ns <= times[-1]) for n, s in STREAMS.items()}
    assert seen_by(encoded(STREAMS, times, seed), 7) == seen_by(encoded(cut, times, seed), 7)


def test_the_newest_arrived_event_wins_where_arrivals_overtake() -> None:
    arrivals = arrivals_of(np.array([0, 10, 20, 30]), np.array([5, 40, 25, 35]))
    found = arrivals.newest_at(np.array([4, 5, 24, 25, 35, 40, 99]))
    assert found.tolist() == [-1, 0, 0, 2, 3, 3, 3]
    assert arrivals.newest_before(np.array([5, 6])).tolist() == [-1, 0]


def test_tokens_carry_true_times_in_order_of_arrival() -> None:
    times = decisions(1)
    window = encode_window(PROCESSOR, ROBOT, STREAMS, times, np.zeros(8, np.float32))
    assert (np.diff(window.arrival_s) >= 0).all()
    assert (window.arrival_s >= window.capture_s).all()
    stream = STREAMS["object/0"]
    row = np.flatnonzero(stream.arrival_ns <= times[-1])[-1]
    wanted = (stream.capture_ns[row] - times[0]) / 1e9
    assert np.isclose(window.capture_s, wanted, atol=1e-6).any()


def test_relation_tokens_say_where_the_object_is_from_the_tool() -> None:
    times = decisions(2)
    window = encode_window(PROCESSOR, ROBOT, STREAMS, times, np.zeros(8, np.float32))
    piece = next(p for p in window.vectors if p.layout.channels[0].quantity == "relative_position" and len(p.place) > 1
                 and p.layout.channels[0].part == "object")  # fmt: skip
    tool, target = STREAMS["tool_pose"], STREAMS["object/0"].values[0, :3]
    row = np.flatnonzero(tool.arrival_ns <= times[-1])[-1]
    difference = target - tool.values[row, :3]
    np.testing.assert_allclose(piece.values[-1, :3], difference / 0.3, atol=1e-5)
    np.testing.assert_allclose(piece.values[-1, 3:6], np.tanh(difference / 0.05), atol=1e-5)


def test_relation_tokens_say_how_the_object_moves() -> None:
    still = STREAMS["object/0"]
    values = still.values.copy()
    values[:, 1] = 0.05 * (still.capture_ns - still.capture_ns[0]) / 1e9
    times = decisions(2)
    moving = {**STREAMS, "object/0": replace(still, values=values)}
    for streams, wanted in ((STREAMS, 0.0), (moving, 0.5)):
        window = encode_window(PROCESSOR, ROBOT, streams, times, np.zeros(8, np.float32))
        piece = next(p for p in window.vectors if p.layout.channels[-1].name == "velocity/z")
        np.testing.assert_allclose(piece.values[-1, -3:], [0.0, wanted, 0.0], atol=1e-3)


def test_an_episode_without_object_has_no_relation_and_is_encoded() -> None:
    bare = {name: stream for name, stream in STREAMS.items() if name != "object/0"}
    times, delay = decisions(3), np.zeros(8, np.float32)
    with_object = encode_window(PROCESSOR, ROBOT, STREAMS, times, delay)
    without = encode_window(PROCESSOR, ROBOT, bare, times, delay)
    assert len(with_object.vectors) == len(without.vectors) + 2
    np.testing.assert_array_equal(with_object.values, without.values)


def test_latency_jitter_delays_arrival_but_never_beyond_the_decision_that_sees_it() -> None:
    times = decisions(4)
    plain = encode_window(PROCESSOR, ROBOT, STREAMS, times, np.zeros(8, np.float32))
    late = encoded(STREAMS, times, 4)
    assert late.arrival_s.max() <= late.decision_s[-1] + 1e-6
    assert (late.arrival_s - late.capture_s).max() > (plain.arrival_s - plain.capture_s).max()


def test_past_actions_are_dropped_in_the_share_asked_for() -> None:
    config = WindowConfig(past_action_drop=0.3)
    processor = replace(PROCESSOR, config=config)
    episode, times, delay = processor.prepare(ROBOT, STREAMS), decisions(5), np.zeros(8, np.float32)
    key = episode.acting.past_layout.key
    kept = [
        any(p.layout.key == key for p in processor.encode(episode, times, delay, rng=generator(i)).vectors)
        for i in range(400)
    ]
    assert 0.6 < np.mean(kept) < 0.8


def test_knots_beyond_the_last_action_are_not_valid() -> None:
    last = int(STREAMS["action"].capture_ns[-1])
    times = np.array([last - 10**9, last - 200_000_000, last], dtype=np.int64)
    window = encode_window(PROCESSOR, ROBOT, STREAMS, times, np.zeros(3, np.float32))
    assert window.valid.sum(axis=1).tolist() == [16, 5, 1]


def test_the_instruction_in_force_is_seen_by_every_decision() -> None:
    times = decisions(6)
    window = encoded(STREAMS, times, 6)
    assert len(window.texts) == 1
    assert window.arrival_s[window.texts[0].place] <= window.decision_s[0]
    text = str(STREAMS["instruction"].values[0])
    np.testing.assert_array_equal(window.texts[0].features[0], text_features(text, 4096, 48))


def test_similar_instructions_share_features_and_hashes_are_stable() -> None:
    first, second, other = (
        set(text_features(text, 4096, 48).tolist()) - {-1}
        for text in ("pick up the cube", "Pick up the red cube!", "wave")
    )
    assert len(first & second) > len(first) // 2
    assert len(first & other) <= 1
    assert text_features("lift", 4096, 4).tolist() == WORD_LIFT


def test_images_become_patches_of_the_newest_frame() -> None:
    capture = STREAMS["object/0"].capture_ns[:60]
    frames = np.zeros((60, 48, 64, 3), np.uint8)
    frames[:, :24, :, 0] = np.arange(60, dtype=np.uint8)[:, None, None]
    spec = StreamSpec(name="camera/front", kind="image", height=48, width=64)
    camera = Stream(spec=spec, capture_ns=capture, arrival_ns=capture + 1000, values=frames)
    processor = replace(PROCESSOR, config=WindowConfig(branches=1, cameras=("camera/front",), patch=8))
    now = np.array([int(capture[30]) + 5000])
    window = encode_window(processor, ROBOT, {**STREAMS, "camera/front": camera}, now, np.zeros(1, np.float32))
    (piece,) = window.images
    assert piece.patches.shape == (16, 8, 8, 3)
    assert (piece.patches[:8, ..., 0] == 30).all()
    assert (piece.patches[8:] == 0).all()
    np.testing.assert_allclose(piece.position[0], [0.125, 0.125])
    batch = pack([window, window])
    assert batch.images[0].patches.shape[0] == 32


def test_missing_and_foreign_streams_are_errors_that_say_so() -> None:
    times, delay = decisions(7), np.zeros(8, np.float32)
    renamed = {("proprioceptions" if n == "proprioception" else n): s for n, s in STREAMS.items()}
    with pytest.raises(UnknownNameError, match="did you mean 'proprioceptions'"):
        encode_window(PROCESSOR, ROBOT, renamed, times, delay)
    with pytest.raises(UnknownNameError, match="synthetic_7"):
        encode_window(PROCESSOR, replace(ROBOT, name="synthetic_77"), STREAMS, times, delay)
    with pytest.raises(EmbodimentError, match="joint_1"):
        encode_window(PROCESSOR, replace(ROBOT, acting=ROBOT.acting[::-1]), STREAMS, times, delay)
    early = times - 3600 * 10**9
    with pytest.raises(StreamError, match="no proprioception had arrived"):
        encode_window(PROCESSOR, ROBOT, STREAMS, early, delay)
