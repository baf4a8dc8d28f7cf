"""Marked ranges: no training window touches them, what is left out is counted, order stays a function of the seed."""

from __future__ import annotations

import pickle
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoint.catalog.marks import CHECKED_SCHEMA, MARKS_SCHEMA, dropped_ranges, save_marks
from counterpoint.core.errors import ConfigError
from counterpoint.data.batches.loader import Loader
from counterpoint.data.batches.table import window_table
from counterpoint.data.batches.training import TrainingBatches, TrainingReader, TrainingTransform, training_windows
from counterpoint.data.encoding.processor import Processor
from counterpoint.data.encoding.windows import WindowConfig
from counterpoint.data.episodes.marks import outside
from counterpoint.data.episodes.selection import Selection, select_episodes
from counterpoint.data.episodes.synthetic import synthetic_embodiment, synthetic_episode
from counterpoint.store import Store, StoreWriter

ROBOT = synthetic_embodiment(7)
EPISODES = [synthetic_episode(ROBOT, number, seed=4) for number in range(3)]
EVERYTHING = Selection(split="all")
WINDOW = WindowConfig(branches=3, knots=4, max_age_s=0.2, max_gap_s=0.2)
SECOND = 1_000_000_000
TRANSFORM_CUT = TrainingTransform(processor=Processor(config=WINDOW, robots={}), view="").cut


def mark(store: Store, *ranges: tuple[str, int, int], content: str | None = None) -> None:
    rows = [
        dict.fromkeys(MARKS_SCHEMA.names)
        | {
            "episode_id": episode_id,
            "content_sha256": content or store.info(episode_id).content_sha256,
            "start_ns": start,
            "end_ns": end,
            "drop": True,
        }
        for episode_id, start, end in ranges
    ]
    save_marks(store.root, pa.Table.from_pylist(rows, schema=MARKS_SCHEMA), CHECKED_SCHEMA.empty_table(), {})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    with StoreWriter(tmp_path / "store") as writer:
        for episode in EPISODES:
            writer.add(episode)
    return Store.open(tmp_path / "store")


def windows_of(store: Store, processor: Processor) -> TrainingReader:
    return training_windows([store], processor, select_episodes([store], EVERYTHING))


def batches_of(reader: TrainingReader) -> TrainingBatches:
    return TrainingBatches(reader=reader, seed=0, batch_windows=8)


def extents(store: Store, reader: TrainingReader, count: int) -> list[tuple[str, int, int]]:
    """First event or decision and last knot of each window, with the episode it comes from."""
    found = []
    for position in range(count):
        window = reader.sample(0, position)
        name = next(each.episode_id for each in store.episodes if each.start_ns <= window.origin_ns <= each.end_ns)
        first = float(min([*window.capture_s.tolist(), float(window.decision_s[0])]))
        last = float(window.decision_s[-1]) + WINDOW.horizon_s
        start, end = (window.origin_ns + round(1e9 * each) for each in (first, last))
        found.append((name, start, end))
    return found


def test_no_window_touches_a_marked_range_and_what_is_left_out_is_counted(store: Store) -> None:
    processor = Processor.fit([store], WINDOW, selection=EVERYTHING)
    before = windows_of(store, processor)
    unmarked = pickle.dumps(batches_of(before)[3])
    assert before.left_out_s == 0
    first, second, third = store.episodes
    low = first.start_ns + int(0.4 * first.duration_s * SECOND)
    high = low + SECOND // 2
    mark(store, (first.episode_id, low, high), (second.episode_id, second.start_ns, second.end_ns))
    reader = windows_of(store, processor)
    drawn = extents(store, reader, 96)
    assert {name for name, _, _ in drawn} == {first.episode_id, third.episode_id}
    slack = 1000  # float32 seconds
    inside = [end >= low + slack and start <= high - slack for name, start, end in drawn if name == first.episode_id]
    assert len(inside) > 10
    assert not any(inside)
    margins = WINDOW.horizon_s + WINDOW.max_age_s
    assert reader.left_out_s == pytest.approx(second.duration_s + 0.5 + margins, abs=0.3)
    assert reader.left_out_episodes == 1
    with Loader(batches_of(windows_of(store, processor)), workers=1) as loader:
        assert pickle.dumps(next(loader)) == pickle.dumps(batches_of(reader)[0])
    mark(store, (first.episode_id, low, high), content="0" * 64)  # made of what the episode was once
    assert dropped_ranges(store.root, store.flat()) == {}
    assert pickle.dumps(batches_of(windows_of(store, processor))[3]) == unmarked


def test_statistics_do_not_see_what_is_left_out(tmp_path: Path) -> None:
    spoilt = EPISODES[0].streams["proprioception"]
    rows = slice(20, 30)
    values = spoilt.values.copy()
    values[rows] = 1e4
    stream = replace(spoilt, values=values)
    with StoreWriter(tmp_path / "store") as writer:
        writer.add(replace(EPISODES[0], streams={**EPISODES[0].streams, "proprioception": stream}))
        writer.add(EPISODES[1])
    store = Store.open(tmp_path / "store")
    assert _spread(store) > 100
    mark(store, (EPISODES[0].episode_id, int(spoilt.capture_ns[20]), int(spoilt.capture_ns[29])))
    assert _spread(store) < 10
    kept = outside(store.low(EPISODES[0].episode_id), dropped_ranges(store.root)[EPISODES[0].episode_id])
    assert len(kept["proprioception"]) == len(spoilt) - 10


def _spread(store: Store) -> float:
    robots = Processor.fit([store], WINDOW, selection=EVERYTHING).robots
    return float(robots[ROBOT.name].sensing["proprioception"].std.max())


def test_nothing_left_says_so(store: Store) -> None:
    processor = Processor.fit([store], WINDOW, selection=EVERYTHING)
    mark(store, *((info.episode_id, info.start_ns, info.end_ns) for info in store.episodes))
    with pytest.raises(ConfigError, match="--unmark"):
        windows_of(store, processor)


@settings(max_examples=100, deadline=None)
@given(
    length=st.integers(1, 20_000),
    cuts=st.lists(st.tuples(st.integers(-500, 20_500), st.integers(0, 3000)), min_size=1, max_size=4),
)
def test_stretches_are_all_that_is_clear_of_ranges(length: int, cuts: list[tuple[int, int]]) -> None:
    """Milliseconds; every decision in a stretch is clear, and clear decisions outside lie in short pieces."""
    ms = 1_000_000
    ranges, edge = [], -(10**9)
    for start, extent in sorted(cuts):
        if start > edge:
            ranges.append((start * ms, (start + extent) * ms))
            edge = start + extent
    marked = np.asarray(ranges, np.int64)
    cut = replace(TRANSFORM_CUT, length_ns=60 * 10**9)  # one window a stretch
    table = window_table(np.zeros(1, np.int64), np.full(1, length * ms), {0: marked}, cut)
    places = [table.place(number) for number in range(len(table))]
    found = [(place.start_ns, place.end_ns - 1) for place in places]
    before, after = (round(each * 1e9) for each in (WINDOW.max_age_s, WINDOW.horizon_s))
    for first, last in found:
        assert 0 <= first <= last <= length * ms
        for decision in (first, last, (first + last) // 2):
            assert not ((marked[:, 0] <= decision + after) & (marked[:, 1] >= decision - before)).any()
    assert all(one[1] < other[0] for one, other in pairwise(found))
    shortest = min(2 * 50, length)
    for decision in range(0, length, 7):
        touches = (marked[:, 0] <= decision * ms + after) & (marked[:, 1] >= decision * ms - before)
        if not touches.any() and not any(first <= decision * ms <= last for first, last in found):
            around = (marked[:, 0] <= (decision + shortest) * ms + after) & (
                marked[:, 1] >= (decision - shortest) * ms - before
            )
            assert around.any() or decision + shortest > length or decision < shortest
