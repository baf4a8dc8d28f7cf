"""The index in segments: whatever happens to the store or to the index, it says what the folders say."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoint.core.episode import Episode, Provenance
from counterpoint.store import EpisodeInfo, Store, StoreWriter
from counterpoint.store.index.episode_index import EpisodeIndex
from counterpoint.store.index.refresh import add_rows, reload_index
from counterpoint.store.index.segments import INDEX, State

MakeEpisode = Callable[..., Episode]


@pytest.fixture
def root(tmp_path: Path, make_episode: MakeEpisode) -> Path:
    with StoreWriter(tmp_path / "store") as writer:
        for index in range(6):
            writer.add(make_episode(index, camera=index == 1, seconds=0.2))
    return tmp_path / "store"


@pytest.fixture
def info(root: Path) -> EpisodeInfo:
    return Store.open(root).episodes[0]


def settle(root: Path) -> None:
    """Let the parents look as if they had changed long ago."""
    for parent in (root / "episodes").iterdir():
        os.utime(parent, ns=(1_000, 1_000 + len(list(parent.iterdir()))))


def segments(root: Path) -> list[Path]:
    return sorted((root / INDEX).glob("segment-*.arrow"))


def test_an_unchanged_store_is_opened_without_listing_or_writing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settle(root)
    expected = Store.open(root).episodes
    before = sorted((path, path.stat().st_mtime_ns) for path in (root / INDEX).iterdir())
    monkeypatch.setattr("counterpoint.store.index.refresh.read_manifest", None)
    monkeypatch.setattr("counterpoint.store.index.refresh.add_rows", None)
    assert Store.open(root).episodes == expected
    assert sorted((path, path.stat().st_mtime_ns) for path in (root / INDEX).iterdir()) == before


def test_a_new_episode_is_a_small_segment_and_the_large_one_stays(root: Path, make_episode: MakeEpisode) -> None:
    settle(root)
    Store.open(root)
    large = segments(root)
    StoreWriter(root).add(make_episode(9))
    assert len(Store.open(root)) == 7
    assert set(large) < set(segments(root))


def test_removed_folders_leave_the_index(root: Path) -> None:
    Store.open(root)
    shutil.rmtree(next(root.glob("episodes/*/arm-reach-0003")))
    store = Store.open(root)
    assert [info.episode_id[-1] for info in store.episodes] == ["0", "1", "2", "4", "5"]
    assert store.flat()["episode_id"].to_pylist() == store.table["episode_id"].to_pylist()
    parent = next(root.glob("episodes/*/arm-reach-0004")).parent
    shutil.rmtree(parent)
    assert "arm-reach-0004" not in Store.open(root).flat()["episode_id"].to_pylist()


def test_a_renamed_folder_is_told_and_left_out(root: Path) -> None:
    folder = next(root.glob("episodes/*/arm-reach-0003"))
    folder.rename(folder.with_name("arm-reach-0033"))
    store = Store.open(root)
    assert [problem.reason for problem in store.damaged] == ["misplaced"]
    assert len(store) == 5
    assert [problem.reason for problem in store.verify()] == ["misplaced"]


@pytest.mark.parametrize("harm", ["torn", "foreign", "gone", "flipped"])
@pytest.mark.parametrize("kind", ["state", "segment"])
def test_a_spoilt_index_is_made_again(root: Path, harm: str, kind: str) -> None:
    settle(root)
    expected = list(Store.open(root).episodes)
    for path in (root / INDEX).glob(f"{kind}-*.arrow"):
        data = path.read_bytes()
        match harm:
            case "torn":
                path.write_bytes(data[: len(data) // 2])
            case "foreign":
                with pa.ipc.new_file(str(path), pa.schema([("other", pa.int8())])) as writer:
                    writer.write_batch(pa.record_batch({"other": pa.array([1], pa.int8())}))
            case "gone":
                path.unlink()
            case "flipped" if kind == "state":
                path.write_bytes(data[:700] + bytes([data[700] ^ 1]) + data[701:])
    for _ in range(2):
        assert Store.open(root).episodes == expected


def test_flat_and_table_agree_with_the_manifests(root: Path) -> None:
    store = Store.open(root)
    flat, table = store.flat(), store.table
    for place, info in enumerate(store.episodes):
        row = {name: flat[name][place].as_py() for name in flat.column_names}
        assert row["episode_id"] == info.episode_id == table["episode_id"][place].as_py()
        assert (row["robot"], row["num_bytes"], row["duration_s"]) == (info.embodiment, info.num_bytes, info.duration_s)
        assert table["provenance"][place].as_py()["task"] == info.provenance.task == row["task"]
        assert len(table["streams"][place].as_py()) == len(info.streams)
    empty = State()
    nothing = Store(root, EpisodeIndex(empty, partial(reload_index, root)), [])
    assert nothing.flat().schema == flat.schema
    assert nothing.table.schema == table.schema
    assert list(nothing.episodes) == []


def test_episodes_are_a_lazy_sequence(root: Path) -> None:
    episodes = Store.open(root).episodes
    assert [info.episode_id for info in episodes[1:5:2]] == ["arm-reach-0001", "arm-reach-0003"]
    assert episodes[-1].episode_id == "arm-reach-0005"
    assert episodes[2] in episodes
    assert episodes[::-1][0] == episodes[5]
    assert episodes == list(episodes)
    assert episodes != episodes[1:]
    with pytest.raises(IndexError):
        episodes[6]


def test_pickling_a_store_takes_names_along_and_no_rows(root: Path, make_episode: MakeEpisode) -> None:
    settle(root)
    store = Store.open(root)
    data = pickle.dumps(store)
    assert len(data) < 1_000
    StoreWriter(root).add(make_episode(9))
    assert len(Store.open(root)) == 7
    assert len(pickle.loads(data)) == 6  # the snapshot that was pickled, while somebody holds it
    shutil.rmtree(root / "catalogue")
    assert len(pickle.loads(data)) == 7  # nothing of it is left: the index is made again


def test_old_files_go_when_no_open_store_holds_them(
    root: Path, make_episode: MakeEpisode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("counterpoint.store.index.segments.GRACE_SECONDS", -1)
    settle(root)
    store = Store.open(root)
    data = pickle.dumps(store)
    held = store._index.state.path
    assert held is not None
    for number in (7, 8):
        StoreWriter(root).add(make_episode(number))
        Store.open(root)
    assert held.exists()
    assert len(pickle.loads(data)) == len(store) == 6
    del store
    StoreWriter(root).add(make_episode(9))
    latest = Store.open(root)
    assert not held.exists()
    assert len(list((root / INDEX).glob("state-*"))) <= 2  # one may be the one that was brought up to date
    assert {path.name for path in segments(root)} >= {each.name for each in latest._index.state.segments}
    assert len(pickle.loads(data)) == len(latest) == 9


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(st.text("ab\u00e9\U0001f600", min_size=1, max_size=5), max_size=12), max_size=6), st.booleans()
)
def test_segments_merge_into_one_order(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[str]], is_writer: bool
) -> None:
    folder = tmp_path_factory.mktemp("index")
    made = State()
    seen: set[str] = set()
    for part in parts:
        fresh = sorted(set(part) - seen)[::-1]
        seen |= set(fresh)
        made = add_rows(folder, made, [bare(each) for each in fresh], is_writer=is_writer)
    index = EpisodeIndex(made, None)
    expected = sorted(seen, key=str.encode)
    places = np.arange(len(index))
    assert [info.episode_id for info in index.infos(places)] == expected
    assert index.table(["episode_id"])["episode_id"].to_pylist() == expected
    assert [index.find(each) for each in expected] == places.tolist()
    assert index.find("b" * 9) is None
    sizes = [segment.rows for segment in made.segments]
    if is_writer:
        assert all(older >= 4 * newer for older, newer in pairwise(sizes))


def test_rows_scattered_over_segments_are_gathered_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("counterpoint.store.index.refresh.MERGE_RATIO", 0)
    monkeypatch.setattr("counterpoint.store.index.refresh.INSERTED_ONE_BY_ONE", 5)
    state = State()
    for first in range(3):
        state = add_rows(tmp_path, state, [bare(f"{number:04d}") for number in range(first, 900, 3)])
    assert len(state.segments) == 3
    index = EpisodeIndex(state, None)
    assert index.table(["episode_id"])["episode_id"].to_pylist() == [f"{number:04d}" for number in range(900)]


def test_a_bulk_is_merged_at_once_and_a_few_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("counterpoint.store.index.refresh.BULK_ROWS", 10)
    monkeypatch.setattr("counterpoint.store.index.refresh.BATCH_ROWS", 25)
    large = add_rows(tmp_path, State(), [bare(f"a{number:04d}") for number in range(160)])
    assert len(large.segments) == 1
    few = add_rows(tmp_path, large, [bare(f"b{number:04d}") for number in range(9)])
    assert len(few.segments) == 2
    bulk = add_rows(tmp_path, few, [bare(f"a{number:04d}x") for number in range(12)])
    assert len(bulk.segments) == 1
    assert len(bulk.order) == 181


def bare(episode_id: str) -> EpisodeInfo:
    return replace(BARE, episode_id=episode_id)


BARE = EpisodeInfo(
    episode_id="",
    embodiment="arm",
    embodiment_sha256="0" * 64,
    provenance=Provenance(robot="arm"),
    start_ns=0,
    end_ns=1,
    streams=(),
    files=(),
    content_sha256="1" * 64,
)
