"""Windows by number and in order: whole, once, alike everywhere, and resumable to the sample."""

from __future__ import annotations

import pickle
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoint.catalog.marks import CHECKED_SCHEMA, MARKS_SCHEMA, save_marks
from counterpoint.catalog.mixtures.mixture import SCHEMA as MIXTURE_SCHEMA
from counterpoint.catalog.mixtures.mixture import Mixture, Part
from counterpoint.core.clock import periodic_ns, seconds_to_ns
from counterpoint.core.embodiment import Channel, Embodiment, StreamSpec
from counterpoint.core.episode import Episode, Provenance
from counterpoint.core.errors import ConfigError, StoreError
from counterpoint.core.stream import Stream, text_stream, vector_stream
from counterpoint.data.batches.dataset import WindowDataset, WindowOptions
from counterpoint.data.batches.window_order import BlockOrder, EpochOrder, MixtureOrder
from counterpoint.data.batches.window_stream import Shard
from counterpoint.data.batches.window_table import window_table
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
    told = np.array([start, start + 3 * SECOND])[: 2 if seconds > 4 else 1]
    streams = [
        vector_stream(ROBOT.sensing[0], sensed, values, arrival_ns=sensed + 3_000_000),
        vector_stream(ROBOT.action_spec, acted, np.zeros((len(acted), 3))),
        text_stream(StreamSpec(name="instruction", kind="text"), told, ["reach", "put back"][: len(told)]),
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


@pytest.fixture
def dataset(root: Path) -> WindowDataset:
    return WindowDataset([Store.open(root)])


def test_window_has_every_stream_at_its_own_times(root: Path, dataset: WindowDataset) -> None:
    window = dataset[3]
    master = Store.open(root).read("episode-0", streams=["proprioception", "action"]).streams
    start = int(master["proprioception"].capture_ns[0]) + 3 * SECOND
    assert (window.episode_id, window.robot, window.start_ns, window.seconds) == ("episode-0", "arm", start, 2.0)
    for name, stream in master.items():
        wanted = stream.between(start, start + 2 * SECOND)
        found = window.streams[name]
        np.testing.assert_array_equal(found.capture_ns, wanted.capture_ns)
        np.testing.assert_array_equal(found.arrival_ns, wanted.arrival_ns)
        np.testing.assert_array_equal(found.values, wanted.values)
        assert not found.values.flags.owndata
        assert not found.values.flags.writeable
    assert window.streams["instruction"].values.tolist() == ["put back"]
    assert dataset[2].streams["instruction"].values.tolist() == ["reach", "put back"]


def test_pictures_are_those_nearest_to_the_grid(root: Path, dataset: WindowDataset) -> None:
    window = dataset[1]
    found = window.images["camera/front"]
    assert found.values.shape == (11, 48, 48)
    np.testing.assert_array_equal(found.capture_ns, window.start_ns + np.arange(11) * SECOND // 5)
    np.testing.assert_array_equal(found.arrival_ns, found.capture_ns + 40_000_000)
    for pixels, shape in (("rgb", (11, 32, 48, 3)), ("luma", (11, 32, 48))):
        options = WindowOptions(pixels=pixels)  # type: ignore[arg-type]  # a word from the tuple above
        assert WindowDataset([Store.open(root)], options)[1].images["camera/front"].values.shape == shape
    once = WindowDataset([Store.open(root)], WindowOptions(image_s=0.0))
    assert once[1].images["camera/front"].capture_ns.tolist() == [window.start_ns]
    masters = WindowDataset([Store.open(root)], WindowOptions(pixels="rgb", view=None, image_rate_hz=10.0))
    values = masters[1].images["camera/front"].values
    assert values.shape == (21, 32, 48, 3)
    assert (np.diff(values.mean(axis=(1, 2, 3))) > 0).all()


def test_every_moment_is_in_a_window_and_short_episodes_give_a_short_one(dataset: WindowDataset) -> None:
    windows = [dataset[index] for index in range(len(dataset))]
    by_episode: dict[str, list[tuple[int, int]]] = {}
    for window in windows:
        by_episode.setdefault(window.episode_id, []).append((window.start_ns, window.end_ns))
    assert {name: len(found) for name, found in by_episode.items()} == {"episode-0": 5, "episode-1": 4, "episode-2": 1}
    for info in Store.open(dataset.stores[0].root).episodes:
        if info.episode_id == "episode-3":
            assert dataset.left_out_s == pytest.approx(info.duration_s, abs=1e-6)
            continue
        found = by_episode[info.episode_id]
        assert found[0][0] == info.start_ns
        assert found[-1][1] == info.end_ns + 1
        assert all(later[0] <= earlier[1] for earlier, later in pairwise(found))
    with pytest.raises(IndexError, match="window 10 of 10"):
        dataset[10]


def test_stop_anywhere_and_go_on_with_the_same_windows(dataset: WindowDataset) -> None:
    whole = [(w.position, w.index) for w in islice(dataset.stream(7), 35)]
    assert [position for position, _ in whole] == list(range(35))
    for stop in (0, 1, 9, 10, 23):
        stream = dataset.stream(7)
        before = [(w.position, w.index) for w in islice(stream, stop)]
        state = pickle.loads(pickle.dumps(stream.state))
        after = islice(dataset.stream(state.seed, start=state.position), 35 - stop)
        assert before + [(w.position, w.index) for w in after] == whole
    assert whole != [(w.position, w.index) for w in islice(dataset.stream(8), 35)]
    for epoch in range(3):
        assert sorted(index for _, index in whole[10 * epoch : 10 * epoch + 10]) == list(range(10))


@settings(max_examples=60, deadline=None)
@given(world=st.integers(1, 6), workers=st.integers(1, 4), start=st.integers(0, 100), count=st.integers(1, 40))
def test_ranks_and_workers_share_positions_without_overlap_or_loss(
    world: int, workers: int, start: int, count: int
) -> None:
    taken: list[int] = []
    for rank in range(world):
        alone = Shard(rank=rank, world=world)
        mine: list[int] = []
        for worker in range(workers):
            shard = Shard(rank=rank, world=world, worker=worker, workers=workers)
            mine += range(shard.first(start), start + count, shard.stride)
        assert sorted(mine) == list(range(alone.first(start), start + count, alone.stride))
        taken += mine
    assert sorted(taken) == list(range(start, start + count))


def test_dropped_ranges_are_in_no_window(tmp_path: Path) -> None:
    path = tmp_path / "store"
    with StoreWriter(path) as writer:
        writer.add(episode(0, 9.0))
        writer.add(episode(1, 3.0))
    store = Store.open(path)
    info = store.info("episode-0")
    low, high = info.start_ns + 3 * SECOND, info.start_ns + 4 * SECOND
    row = {
        "episode_id": "episode-0",
        "content_sha256": info.content_sha256,
        "stream": "",
        "check": "idle",
        "severity": "warn",
        "start_ns": low,
        "end_ns": high,
        "value": 0.0,
        "threshold": 0.0,
        "drop": True,
        "channel": "",
    }
    everything = WindowDataset([store])
    save_marks(path, pa.Table.from_pylist([row], schema=MARKS_SCHEMA), CHECKED_SCHEMA.empty_table(), {})
    kept = WindowDataset([store])
    windows = [kept[index] for index in range(len(kept))]
    assert all(w.end_ns <= low or w.start_ns > high for w in windows if w.episode_id == "episode-0")
    assert sum(w.episode_id == "episode-1" for w in windows) == 2
    assert len(kept) < len(everything)
    assert kept.left_out_s == pytest.approx(1.0, abs=1e-6)


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
    table = window_table(starts, ends, dropped, window_ns=window, stride_ns=stride, shortest_ns=1)
    expected = {int(t) for low, high in zip(starts, ends, strict=True) for t in range(low, high + 1)}
    expected -= {t for low, high in ranges for t in range(low, high + 1)}
    covered: set[int] = set()
    for number in range(len(table)):
        row, start, end = table.place(number)
        assert start < end <= start + window
        assert starts[row] <= start
        assert end <= ends[row] + 1
        assert not any(start <= high and low < end for low, high in ranges if row == 0)
        covered |= set(range(start, end))
    assert covered <= expected
    if stride <= window:
        assert covered == expected
    assert table.left_out_ns == sum(lengths) - len(expected)


def mixture_of(root: Path, weights: dict[str, float], part_of: dict[str, str]) -> Mixture:
    store = Store.open(root)
    rows = [
        {
            "store": 0,
            "episode_id": info.episode_id,
            "part": part_of[info.episode_id],
            "split": "train",
            "robot": "arm",
            "source": "real",
            "start_ns": info.start_ns,
            "end_ns": info.end_ns,
            "duration_s": info.duration_s,
            "content_sha256": info.content_sha256,
        }
        for info in store.episodes
        if info.episode_id in part_of
    ]
    parts = tuple(
        Part(name=name, query="true", weight=weight, episodes=1, hours=1.0, sources={"real": 1.0})
        for name, weight in weights.items()
    )
    table = pa.Table.from_pylist(rows, schema=MIXTURE_SCHEMA)
    return Mixture(name="two", parts=parts, table=table, stores=(str(root),))


def test_mixture_draws_parts_by_weight_and_windows_of_a_part_alike(root: Path) -> None:
    mixture = mixture_of(root, {"much": 0.75, "little": 0.25}, {"episode-0": "little", "episode-1": "much"})
    dataset = WindowDataset([Store.open(root)], WindowOptions(cameras=()), mixture=mixture)
    order = dataset.order(3)
    drawn = [dataset.window(order[position]) for position in range(2000)]
    share = np.mean([window.part == "much" for window in drawn])
    assert share == pytest.approx(0.75, abs=0.04)
    assert {window.episode_id for window in drawn if window.part == "little"} == {"episode-0"}
    counts = np.bincount([order[position] for position in range(9000)])
    assert counts.min() > 0.8 * 9000 * 0.25 / 5
    again = islice(dataset.stream(3, start=500), 20)
    assert [window.index for window in again] == [window.index for window in drawn[500:520]]
    with pytest.raises(ConfigError, match="not both"):
        WindowDataset([Store.open(root)], mixture=mixture, selection=Selection())


def test_a_mixture_wants_its_stores_whole(root: Path) -> None:
    mixture = mixture_of(root, {"all": 1.0}, {"episode-0": "all", "episode-1": "all"})
    store = Store.open(root)
    with pytest.raises(StoreError, match="expected 1 stores, got 2"):
        WindowDataset([store, store], WindowOptions(cameras=()), mixture=mixture)
    foreign = mixture.table.set_column(1, "episode_id", pa.array(["episode-0", "gone"]))
    with pytest.raises(StoreError, match=r"lacks 1 of 2 episodes.*gone"):
        WindowDataset([store], WindowOptions(cameras=()), mixture=replace(mixture, table=foreign))


def test_selection_is_kept_to(root: Path) -> None:
    selection = Selection(split="all", limit_episodes=3)
    chosen = {each.episode_id for each in select_episodes([Store.open(root)], selection)["arm"]}
    dataset = WindowDataset([Store.open(root)], WindowOptions(cameras=(), shortest_s=0.1), selection=selection)
    assert {dataset[index].episode_id for index in range(len(dataset))} == chosen
    assert len(chosen) == 3


def test_two_stores_are_numbered_one_after_the_other(root: Path, dataset: WindowDataset) -> None:
    both = WindowDataset([Store.open(root), Store.open(root)], WindowOptions(cameras=()))
    assert len(both) == 2 * len(dataset)
    assert [both[index].store for index in (0, 9, 10, 19)] == [0, 0, 1, 1]
    assert both[13].start_ns == dataset[3].start_ns


def test_pickled_dataset_gives_the_same_windows(dataset: WindowDataset) -> None:
    dataset[1]
    again = pickle.loads(pickle.dumps(dataset))
    np.testing.assert_array_equal(again[1].images["camera/front"].values, dataset[1].images["camera/front"].values)


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


def test_what_cannot_be_is_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"dataset\.seconds"):
        WindowOptions(seconds=0)
    with pytest.raises(ConfigError, match=r"dataset\.pixels"):
        WindowOptions(view=None)
    with pytest.raises(ConfigError, match="no window"):
        WindowDataset([Store.open(root)], WindowOptions(seconds=30.0))
    with pytest.raises(ConfigError, match="rank below world"):
        WindowDataset([Store.open(root)]).stream(0, rank=2, world=2)
    with pytest.raises(ConfigError, match="weights"):
        MixtureOrder([(0.0, 0, 5)], 0)
    with StoreWriter(tmp_path / "bare") as writer:
        writer.add(episode(0, 4.0, camera=True))
    bare = WindowDataset([Store.open(tmp_path / "bare")])
    with pytest.raises(StoreError, match="not in the video view '5hz'"):
        bare[0]


def test_thirty_second_windows(root: Path) -> None:
    dataset = WindowDataset([Store.open(root)], WindowOptions(seconds=30.0, shortest_s=0.1, cameras=()))
    assert len(dataset) == 4
    assert dataset[0].end_ns - dataset[0].start_ns < seconds_to_ns(6.0)
