"""Windows by number and in order, as arrays that LeRobot's users know; which windows there are."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from counterpoint.catalog.marks import CHECKED_SCHEMA, MARKS_SCHEMA, save_marks
from counterpoint.core.clock import periodic_ns
from counterpoint.core.embodiment import Channel, Embodiment, StreamSpec
from counterpoint.core.episode import Episode, Provenance
from counterpoint.core.errors import ConfigError, StoreError
from counterpoint.core.stream import Stream, text_stream, vector_stream
from counterpoint.data.batches.arrays import ArrayConfig, ArrayDataset, Sample, as_tensors
from counterpoint.data.batches.order import BlockOrder, EpochOrder, MixtureOrder
from counterpoint.data.batches.reader import SamplesInOrder
from counterpoint.data.batches.table import Cut, window_table
from counterpoint.data.episodes.selection import Selection, select_episodes
from counterpoint.engine import LocalEngine
from counterpoint.store import Store, StoreWriter, build_video_view

SECOND = 1_000_000_000
JOINTS = tuple(Channel(name=f"joint_{i}", quantity="joint_position", unit="rad") for i in range(3))
ROBOT = Embodiment(
    name="arm",
    sensing=(StreamSpec(name="proprioception", channels=JOINTS, rate_hz=100.0),),
    acting=JOINTS,
    control_rate_hz=20.0,
)
CAMERA = StreamSpec(name="camera/front", kind="image", height=32, width=48, rate_hz=10.0)


def episode(number: int, seconds: float, camera: bool = False) -> Episode:
    start = 1_700_000_000 * SECOND + number * 1000 * SECOND
    sensed, acted = periodic_ns(start, 100.0, int(100 * seconds)), periodic_ns(start, 20.0, int(20 * seconds))
    values = np.arange(len(sensed) * 3).reshape(-1, 3) / 100 + number
    texts_ns = np.array([start, start + 3 * SECOND])[: 2 if seconds > 4 else 1]
    streams = [
        vector_stream(ROBOT.sensing[0], sensed, values, arrival_ns=sensed + 3_000_000),
        vector_stream(ROBOT.action_spec, acted, np.zeros((len(acted), 3))),
        text_stream(StreamSpec(name="instruction", kind="text"), texts_ns, ["reach", "put back"][: len(texts_ns)]),
    ]
    if camera:
        seen = periodic_ns(start, 10.0, int(10 * seconds))
        shade = np.linspace(20, 220, len(seen)).astype(np.uint8)
        frames = np.broadcast_to(shade[:, None, None, None], (len(seen), 32, 48, 3)).copy()
        streams.append(Stream(spec=CAMERA, capture_ns=seen, arrival_ns=seen + 40_000_000, values=frames))
    return Episode(
        episode_id=f"episode-{number}",
        embodiment=ROBOT,
        provenance=Provenance(robot="arm", task="reach", source="real"),
        streams={stream.spec.name: stream for stream in streams},
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("windows") / "store"
    with StoreWriter(path) as writer:
        for number, seconds in enumerate((6.0, 4.5, 1.5, 0.4)):
            writer.add(episode(number, seconds, camera=number < 2))
    build_video_view(Store.open(path), engine=LocalEngine(workers=1))
    return path


CONFIG = ArrayConfig()
PLAIN = ArrayConfig(cameras=())


@pytest.fixture
def dataset(root: Path) -> ArrayDataset:
    return ArrayDataset([Store.open(root)], CONFIG)


def name(dataset: ArrayDataset, index: int) -> str:
    return str(dataset[index]["episode_id"])


def array(sample: Sample, key: str) -> NDArray[np.float32]:
    found = sample[key]
    assert isinstance(found, Tensor)
    return found.numpy()


def test_streams_come_at_their_own_times(root: Path, dataset: ArrayDataset) -> None:
    sample = dataset[3]
    master = Store.open(root).read("episode-0", streams=["proprioception", "action"]).streams
    start = int(master["proprioception"].capture_ns[0]) + 3 * SECOND
    assert (sample["episode_id"], float(array(sample, "timestamp"))) == ("episode-0", 3.0)
    for stream, key in (("proprioception", "observation.state"), ("action", "action")):
        wanted = master[stream].between(start, start + 2 * SECOND)
        np.testing.assert_array_equal(array(sample, key), wanted.values)
        times = (wanted.capture_ns - start) / 1e9
        np.testing.assert_allclose(array(sample, f"{key}.timestamp"), times, atol=1e-6)
    assert sample["task"] == "put back"
    assert dataset[2]["task"] == "reach"


def test_pictures_are_those_nearest_to_the_grid(root: Path, dataset: ArrayDataset) -> None:
    sample = dataset[1]
    assert array(sample, "observation.images.front").shape == (11, 3, 32, 48)
    np.testing.assert_allclose(array(sample, "observation.images.front.timestamp"), np.arange(11) / 5, atol=1e-6)
    for pixels, shape in (("yuv420", (11, 48, 48)), ("luma", (11, 32, 48))):
        config = ArrayConfig(pixels=pixels)  # type: ignore[arg-type]  # a word from the tuple above
        assert array(ArrayDataset([Store.open(root)], config)[1], "observation.images.front").shape == shape
    masters = ArrayDataset([Store.open(root)], ArrayConfig(view="", image_rate_hz=10.0))
    values = array(masters[1], "observation.images.front")
    assert values.shape == (21, 3, 32, 48)
    assert (np.diff(values.mean(axis=(1, 2, 3))) > 0).all()


def test_one_observation_and_an_action_chunk(root: Path) -> None:
    """What LeRobot's users train on: the present, and commands at a chosen rate over a chosen horizon."""
    config = ArrayConfig(seconds=1.0, stride_s=0.1, rate_hz=40.0, state_s=0.0, image_s=0.0)
    dataset = ArrayDataset([Store.open(root)], config)
    master = Store.open(root).read("episode-0", streams=["proprioception", "action"]).streams
    sample = dataset[5]
    assert array(sample, "observation.images.front").shape == (3, 32, 48)
    np.testing.assert_array_equal(array(sample, "observation.state"), master["proprioception"].values[50])
    assert array(sample, "action").shape == (40, 3)
    np.testing.assert_array_equal(array(sample, "action"), np.repeat(master["action"].values[10:30], 2, axis=0))
    assert not array(sample, "action_is_pad").any()
    last = next(index for index in range(len(dataset)) if name(dataset, index) == "episode-1") - 1
    assert array(dataset[last], "action_is_pad").sum() == 1  # the last command is 50 ms older than the episode
    batch = next(iter(DataLoader(dataset, batch_size=8)))
    assert batch["action"].shape == (8, 40, 3)
    assert batch["observation.images.front"].shape == (8, 3, 32, 48)
    assert batch["task"] == ["reach"] * 8


def test_every_moment_is_in_a_window_and_short_episodes_give_a_short_one(dataset: ArrayDataset) -> None:
    reader = dataset.reader
    by_row: dict[int, list[tuple[int, int]]] = {}
    for index in range(len(reader)):
        window = reader.window(index)
        by_row.setdefault(window.row, []).append((window.start_ns, window.end_ns))
    assert {row: len(found) for row, found in by_row.items()} == {0: 5, 1: 4, 2: 1}
    facts = reader.sources[0].flat().to_pylist()
    assert reader.left_out_s == pytest.approx(facts[3]["duration_s"], abs=1e-6)
    for row, found in by_row.items():
        assert found[0][0] == facts[row]["start_ns"]
        assert found[-1][1] == facts[row]["end_ns"] + 1
        assert all(later[0] <= earlier[1] for earlier, later in pairwise(found))
    with pytest.raises(IndexError, match="window 10 of 10"):
        dataset[10]


def test_every_epoch_visits_each_window_once_and_ranks_share_its_positions(dataset: ArrayDataset) -> None:
    order = dataset.reader.order(7)
    for epoch in range(3):
        assert sorted(order[10 * epoch + place] for place in range(10)) == list(range(10))
    assert [order[place] for place in range(10)] != [dataset.reader.order(8)[place] for place in range(10)]
    parts = [SamplesInOrder(reader=dataset.reader, seed=7, rank=rank, world=3) for rank in range(3)]
    found = [int(array(as_tensors(parts[position % 3][position // 3]), "index")) for position in range(20)]
    assert found == [order[position] for position in range(20)]


def test_marked_ranges_are_in_no_window(tmp_path: Path) -> None:
    path = tmp_path / "store"
    with StoreWriter(path) as writer:
        writer.add(episode(0, 9.0))
        writer.add(episode(1, 3.0))
    store = Store.open(path)
    info = store.info("episode-0")
    low, high = info.start_ns + 3 * SECOND, info.start_ns + 4 * SECOND
    facts = {"episode_id": "episode-0", "content_sha256": info.content_sha256, "drop": True}
    row = dict.fromkeys(MARKS_SCHEMA.names) | facts | {"start_ns": low, "end_ns": high}
    everything = ArrayDataset([store], PLAIN)
    save_marks(path, pa.Table.from_pylist([row], schema=MARKS_SCHEMA), CHECKED_SCHEMA.empty_table(), {})
    reader = ArrayDataset([store], PLAIN).reader
    windows = [reader.window(index) for index in range(len(reader))]
    assert all(w.end_ns <= low or w.start_ns > high for w in windows if w.row == 0)
    assert sum(w.row == 1 for w in windows) == 2
    assert len(reader) < len(everything)
    assert reader.left_out_s == pytest.approx(1.0, abs=1e-6)


def test_selection_is_kept_to(root: Path) -> None:
    chosen = select_episodes([Store.open(root)], Selection(split="all", limit_episodes=3))
    config = ArrayConfig(cameras=(), shortest_s=0.1)
    dataset = ArrayDataset([Store.open(root)], config, chosen)
    assert {name(dataset, index) for index in range(len(dataset))} == {each.episode_id for each in chosen["arm"]}


def test_two_stores_are_numbered_one_after_the_other(root: Path, dataset: ArrayDataset) -> None:
    both = ArrayDataset([Store.open(root), Store.open(root)], PLAIN).reader
    assert len(both) == 2 * len(dataset)
    assert [both.window(index).source for index in (0, 9, 10, 19)] == [0, 0, 1, 1]
    assert both.window(13).start_ns == dataset.reader.window(3).start_ns


@settings(max_examples=100, deadline=None)
@given(length=st.integers(1, 10_000), window=st.integers(1, 500))
def test_windows_side_by_side_share_a_stretch_without_gap_or_overlap(length: int, window: int) -> None:
    table = window_table(np.array([7]), np.array([7 + length - 1]), {}, Cut(length_ns=window, stride_ns=None))
    places = [table.place(number) for number in range(len(table))]
    assert (places[0].start_ns, places[-1].end_ns) == (7, 7 + length)
    assert all(one.end_ns == other.start_ns for one, other in pairwise(places))
    assert all(abs(one.end_ns - one.start_ns - length / len(places)) <= 1 for one in places)
    assert len(places) == max(1, (length + window // 2) // window)


@settings(max_examples=100, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 100), min_size=1, max_size=5),
    cuts=st.lists(st.tuples(st.integers(0, 100), st.integers(0, 20)), max_size=3),
    window=st.integers(1, 40),
    stride=st.integers(1, 15),
)
def test_windows_cover_what_is_left_and_nothing_else(
    lengths: list[int], cuts: list[tuple[int, int]], window: int, stride: int
) -> None:
    starts = np.arange(len(lengths), dtype=np.int64) * 1000
    ends = starts + np.asarray(lengths) - 1
    ranges, edge = [], -1
    for low, length in sorted(cuts):
        if low > edge:
            ranges.append((low, low + length))
            edge = low + length
    dropped = {0: np.asarray(ranges, np.int64)} if ranges else {}
    table = window_table(starts, ends, dropped, Cut(length_ns=window, stride_ns=stride))
    expected = {int(t) for low, high in zip(starts, ends, strict=True) for t in range(low, high + 1)}
    expected -= {t for low, high in ranges for t in range(low, high + 1)}
    covered: set[int] = set()
    for number in range(len(table)):
        row, start, end, *_ = table.place(number)
        assert start < end <= start + window
        assert starts[row] <= start
        assert end <= ends[row] + 1
        assert not any(start <= high and low < end for low, high in ranges if row == 0)
        covered |= set(range(start, end))
    assert covered <= expected
    if stride <= window:
        assert covered == expected
    assert table.left_out_ns == sum(lengths) - len(expected)


def test_orders_visit_all_windows_once_an_epoch() -> None:
    blocks = [(0, 5), (5, 5), (5, 12), (12, 13), (13, 30)]
    for order in (EpochOrder(30, 1), BlockOrder(blocks, 1, pool=2)):
        for epoch in range(3):
            assert sorted(order[30 * epoch + place] for place in range(30)) == list(range(30))
        assert [order[place] for place in range(30)] != [order[30 + place] for place in range(30)]
        with pytest.raises(IndexError):
            order[-1]


def test_blocks_are_left_only_when_done() -> None:
    """With pools of two blocks, no more than two blocks are open at any time."""
    blocks = [(10 * number, 10 * number + 10) for number in range(12)]
    order = BlockOrder(blocks, 5, pool=2)
    touched = [order[place] // 10 for place in range(120)]
    for pool in range(6):
        assert len(set(touched[20 * pool : 20 * pool + 20])) == 2


def test_wrong_choices_are_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"dataset\.seconds"):
        ArrayConfig(seconds=0)
    with pytest.raises(ConfigError, match=r"dataset\.pixels"):
        ArrayConfig(view="", pixels="luma")
    with pytest.raises(ConfigError, match=r"dataset\.state_s: expected dataset\.rate_hz"):
        ArrayConfig(state_s=0.0)
    with pytest.raises(ConfigError, match="no window"):
        ArrayDataset([Store.open(root)], ArrayConfig(seconds=30.0))
    with pytest.raises(ConfigError, match="weights"):
        MixtureOrder([(0.0, 0, 5)], 0)
    with StoreWriter(tmp_path / "bare") as writer:
        writer.add(episode(0, 4.0, camera=True))
    bare = ArrayDataset([Store.open(tmp_path / "bare")])
    with pytest.raises(StoreError, match="not in the video view '5hz'"):
        bare[0]
