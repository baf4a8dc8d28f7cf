"""The low-dimensional view: built in bounded memory, merged as it grows, never more than a copy of the masters."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterpoint.core.episode import Episode
from counterpoint.core.errors import StoreError, UnknownNameError
from counterpoint.engine import LocalEngine
from counterpoint.store import Store, StoreWriter, build_low_view
from counterpoint.store.views import low as view_module
from counterpoint.store.views import low_places
from counterpoint.store.views.low import VIEW
from counterpoint.store.views.low_places import key_of, keys_of

MakeEpisode = Callable[..., Episode]
NUM_EPISODES = 12


@pytest.fixture
def store(tmp_path: Path, make_episode: MakeEpisode) -> Store:
    with StoreWriter(tmp_path / "store") as writer:
        for index in range(NUM_EPISODES):
            writer.add(make_episode(index, seconds=0.2))
    return Store.open(tmp_path / "store")


def shards(store: Store) -> list[Path]:
    return sorted((store.root / VIEW).glob("shard-*.arrow"))


def assert_equal_to_masters(store: Store) -> None:
    for info in store.episodes:
        low, master = store.low(info.episode_id), store.read_master(info)
        for name, stream in low.items():
            np.testing.assert_array_equal(stream.capture_ns, master[name].capture_ns)
            np.testing.assert_array_equal(stream.arrival_ns, master[name].arrival_ns)
            if stream.spec.kind == "vector":
                np.testing.assert_array_equal(stream.values.ravel(), master[name].values)


def test_building_says_what_it_did_and_goes_on_where_it_was(store: Store, make_episode: MakeEpisode) -> None:
    first = build_low_view(store, ["arm-reach-0003", "arm-reach-0001"])
    assert (first.built, first.there, first.damaged) == (2, 0, ())
    second = build_low_view(store)
    assert (second.built, second.there) == (NUM_EPISODES - 2, 2)
    files = shards(store)
    assert build_low_view(store).built == 0
    assert shards(store) == files
    assert_equal_to_masters(Store.open(store.root))
    with pytest.raises(UnknownNameError, match="arm-reach-0003"):
        build_low_view(store, ["arm-reach-003"])


def test_damaged_masters_are_named_and_stop_nothing(store: Store) -> None:
    next(store.root.glob("episodes/*/arm-reach-0004/streams.parquet")).write_bytes(b"PAR1")
    report = build_low_view(store)
    assert (report.built, report.damaged) == (NUM_EPISODES - 1, ("arm-reach-0004",))
    with pytest.raises(StoreError, match="arm-reach-0004"):
        store.low("arm-reach-0004")
    assert len(store.low("arm-reach-0005")["action"]) == 4


def test_reading_writes_nothing(store: Store) -> None:
    files = sorted(store.root.rglob("*"))
    assert_equal_to_masters(store)
    assert sorted(store.root.rglob("*")) == files


def test_a_shard_is_written_when_it_is_full(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view_module, "SHARD_BYTES", 1)
    build_low_view(store)
    assert len(shards(store)) == NUM_EPISODES
    assert_equal_to_masters(Store.open(store.root))


def test_small_shards_are_merged_and_open_stores_go_on(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view_module, "SMALL_SHARDS", 3)
    early = Store.open(store.root)
    build_low_view(store, ["arm-reach-0000"])
    held = early.low("arm-reach-0000")["action"].values
    expected = held.copy()
    for index in range(1, NUM_EPISODES):
        build_low_view(store, [f"arm-reach-{index:04d}"])
        early.low(f"arm-reach-{index:04d}")
        assert len(shards(store)) <= 4
    np.testing.assert_array_equal(held, expected)
    assert_equal_to_masters(Store.open(store.root))
    assert_equal_to_masters(early)


def test_places_are_gathered_in_a_file_and_made_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view_module, "SHARD_BYTES", 1)
    monkeypatch.setattr(low_places, "GATHERED_SHARDS", 5)
    build_low_view(store, [f"arm-reach-{index:04d}" for index in range(8)])
    assert_equal_to_masters(Store.open(store.root))
    gathered = list((store.root / VIEW).glob("places-*.arrow"))
    assert len(gathered) == 1
    shards(store)[2].unlink()
    shards(store)[4].write_bytes(b"ARROW1 and nothing more")
    assert_equal_to_masters(Store.open(store.root))
    assert build_low_view(store).built == 2 + NUM_EPISODES - 8
    assert store.verify() == []
    for path in (store.root / VIEW).glob("places-*.arrow"):
        path.write_bytes(path.read_bytes()[:200])
    assert_equal_to_masters(Store.open(store.root))
    shutil.rmtree(store.root / VIEW)
    assert_equal_to_masters(Store.open(store.root))


def test_a_shard_that_was_cut_short_is_built_again(store: Store) -> None:
    build_low_view(store)
    opened = Store.open(store.root)
    opened.low("arm-reach-0000")
    for path in shards(store):
        path.unlink()
        path.write_bytes(b"short")
    assert_equal_to_masters(Store.open(store.root))
    assert build_low_view(store).built == NUM_EPISODES
    assert store.verify() == []


def test_a_store_and_its_pickle_share_the_view(store: Store) -> None:
    build_low_view(store, engine=LocalEngine(workers=2))
    again: Store = pickle.loads(pickle.dumps(store))
    assert_equal_to_masters(again)
    assert sum(path.stat().st_size for path in shards(store)) > 0


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=5))
def test_keys_of_many_are_the_keys_of_each(digests: list[bytes]) -> None:
    contents = [digest.hex() for digest in digests]
    assert keys_of(pa.array(contents, pa.string())).tolist() == [key_of(each) for each in contents]
