"""What a user of the store relies on: what went in comes out, and nothing else happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from counterpoint.core.clock import seconds_to_ns
from counterpoint.core.episode import Episode
from counterpoint.core.errors import StoreError, UnknownNameError
from counterpoint.store import Store, StoreWriter

MakeEpisode = Callable[..., Episode]


@pytest.fixture
def store(tmp_path: Path, make_episode: MakeEpisode) -> Store:
    with StoreWriter(tmp_path / "store") as writer:
        for index in range(4):
            writer.add(make_episode(index, camera=index == 1))
    return Store.open(tmp_path / "store")


def test_episode_comes_back_with_every_sample_and_time(store: Store, make_episode: MakeEpisode) -> None:
    written = make_episode(2)
    read = store.read("arm-reach-0002")
    assert read.embodiment == written.embodiment
    assert read.provenance == written.provenance
    assert list(read.streams) == list(written.streams)
    for name, stream in written.streams.items():
        found = read.streams[name]
        assert found.spec == stream.spec
        np.testing.assert_array_equal(found.capture_ns, stream.capture_ns)
        np.testing.assert_array_equal(found.arrival_ns, stream.arrival_ns)
        np.testing.assert_array_equal(found.values, stream.values)


def test_images_come_back_nearly_and_ranges_decode_only_their_frames(store: Store, make_episode: MakeEpisode) -> None:
    written = make_episode(1, camera=True).streams["camera/front"]
    part = store.read("arm-reach-0001", seconds_to_ns(0.3), seconds_to_ns(0.7), ["camera/front"])
    assert list(part.streams) == ["camera/front"]
    found = part.streams["camera/front"]
    np.testing.assert_array_equal(found.capture_ns, written.capture_ns[3:7])
    assert np.abs(found.values.astype(float) - written.values[3:7].astype(float)).mean() < 4
    chosen = store.frames("arm-reach-0001", "camera/front", np.array([2, 9]))
    assert np.abs(chosen.astype(float) - written.values[[2, 9]].astype(float)).mean() < 4
    assert store.frame_times("arm-reach-0001", "camera/front")[1][0] == 40_000_000


def test_range_keeps_samples_captured_from_start_to_before_end(store: Store) -> None:
    whole = store.read("arm-reach-0000").streams["proprioception"]
    start, end = int(whole.capture_ns[10]), int(whole.capture_ns[20])
    part = store.read("arm-reach-0000", start, end, ["proprioception"]).streams["proprioception"]
    np.testing.assert_array_equal(part.values, whole.values[10:20])


def test_low_is_mapped_read_only_and_equal_to_the_master(store: Store) -> None:
    masters = [store.read(info.episode_id, streams=["proprioception", "action"]) for info in store.episodes]
    for master in masters:
        low = store.low(master.episode_id)
        assert set(low) == {"proprioception", "action", "instruction"}
        assert not low["action"].values.flags.writeable
        assert not low["action"].values.flags.owndata
        np.testing.assert_array_equal(low["action"].values, master.streams["action"].values)
        np.testing.assert_array_equal(low["proprioception"].arrival_ns, master.streams["proprioception"].arrival_ns)


def test_view_grows_with_the_store_and_is_rebuilt_when_damaged(store: Store, make_episode: MakeEpisode) -> None:
    store.low("arm-reach-0000")
    StoreWriter(store.root).add(make_episode(9))
    again = Store.open(store.root)
    assert len(again) == 5
    assert len(again.low("arm-reach-0009")["action"]) == 20
    for shard in store.root.glob("views/low-1/*.arrow"):
        shard.write_bytes(shard.read_bytes()[:100])
    assert len(Store.open(store.root).low("arm-reach-0003")["action"]) == 20


def test_adding_the_same_again_does_nothing_and_other_content_is_refused(
    store: Store, make_episode: MakeEpisode
) -> None:
    writer = StoreWriter(store.root)
    before = sorted(store.root.rglob("*"))
    writer.add(make_episode(1, camera=True))
    assert sorted(store.root.rglob("*")) == before
    with pytest.raises(StoreError, match=r"'arm-reach-0001' already exists with other content"):
        writer.add(make_episode(1, camera=True, site="elsewhere"))
    with pytest.raises(StoreError, match="other content"):
        writer.add(make_episode(1, seconds=2.0))


def test_order_of_episodes_does_not_depend_on_the_order_of_writing(tmp_path: Path, make_episode: MakeEpisode) -> None:
    for name, order in (("a", [0, 1, 2]), ("b", [2, 0, 1])):
        writer = StoreWriter(tmp_path / name)
        for index in order:
            writer.add(make_episode(index))
    first, second = Store.open(tmp_path / "a"), Store.open(tmp_path / "b")
    assert first.episodes == second.episodes


def test_index_is_only_a_cache(store: Store) -> None:
    expected = store.episodes
    index = store.root / "catalogue" / "episodes.parquet"
    index.write_bytes(b"PAR1 nonsense")
    assert Store.open(store.root).episodes == expected
    index.unlink()
    assert Store.open(store.root).episodes == expected


def test_odd_episode_ids_stay_inside_the_store(tmp_path: Path, make_episode: MakeEpisode) -> None:
    writer = StoreWriter(tmp_path / "store")
    names = ["../../escape", ".", "a/b c", "%2E", "\u00fcber", "CON"]
    for name in names:
        writer.add(replace(make_episode(0), episode_id=name))
    assert {info.episode_id for info in Store.open(tmp_path / "store").episodes} == set(names)
    assert {path.name for path in tmp_path.iterdir()} == {"store"}
    with pytest.raises(StoreError, match="expected 1 to 200 characters"):
        writer.add(replace(make_episode(0), episode_id=""))


def test_unknown_names_offer_the_nearest(store: Store) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'arm-reach-0003'"):
        store.read("arm-reach-003")
    with pytest.raises(UnknownNameError, match="did you mean 'proprioception'"):
        store.read("arm-reach-0000", streams=["propriception"])
    with pytest.raises(UnknownNameError, match="unknown robot 'leg'"):
        store.embodiment("leg")
    assert store.embodiment("arm").name == "arm"


def test_two_descriptions_under_one_name_are_chosen_by_hash_and_hinder_nobody(
    store: Store, make_episode: MakeEpisode
) -> None:
    other = make_episode(7)
    changed = replace(other, embodiment=replace(other.embodiment, control_rate_hz=50.0))
    leg = replace(other, episode_id="leg", embodiment=replace(other.embodiment, name="leg"))
    with StoreWriter(store.root) as writer:
        writer.add(changed)
        writer.add(leg)
    again = Store.open(store.root)
    assert again.read("arm-reach-0007").embodiment.control_rate_hz == 50.0
    assert again.read("arm-reach-0000").embodiment.control_rate_hz == 20.0
    assert again.embodiment("leg").name == "leg"
    with pytest.raises(StoreError, match=r"'arm' has 2 descriptions; name one of them: arm@[0-9a-f]{12}, arm@"):
        again.embodiment("arm")
    assert len(again.embodiments) == 3
    rates = {again.embodiment(name).control_rate_hz for name in again.embodiments if name.startswith("arm@")}
    assert rates == {20.0, 50.0}
    with pytest.raises(UnknownNameError, match="unknown robot 'arm@123'"):
        again.embodiment("arm@123")
