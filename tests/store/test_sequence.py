"""A store as a sequence of episodes, on a disk and behind an address, with pictures decoded on demand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from counterpoint.core.episode import Episode
from counterpoint.core.errors import StoreError, UnknownNameError
from counterpoint.store import Store, StoreWriter, build_video_view, open_store
from counterpoint.store.cloud.publish import publish_views
from counterpoint.store.cloud.remote import RemoteStore
from counterpoint.store.lazy_frames import LazyFrames

MakeEpisode = Callable[..., Episode]


@pytest.fixture
def store(tmp_path: Path, make_episode: MakeEpisode) -> Store:
    with StoreWriter(tmp_path / "store") as writer:
        for index in range(4):
            writer.add(make_episode(index, camera=True))
    found = open_store(tmp_path / "store")
    assert isinstance(found, Store)
    return found


def test_episodes_by_place_id_and_slice(store: Store) -> None:
    ids = [f"arm-reach-{index:04d}" for index in range(4)]
    assert [store[0].episode_id, store[-1].episode_id, store["arm-reach-0002"].episode_id] == [ids[0], ids[3], ids[2]]
    assert [episode.episode_id for episode in store] == ids
    assert [episode.episode_id for episode in store[1:][::2]] == ids[1::2]
    assert (ids[0] in store, "arm" in store) == (True, False)
    with pytest.raises(IndexError, match="4 episodes"):
        store[4]
    with pytest.raises(UnknownNameError, match="arm-reach-0001"):
        store["arm-reach-001"]


def test_an_episode_is_that_which_was_written(store: Store, make_episode: MakeEpisode) -> None:
    written, read = make_episode(1, camera=True), store[1]
    assert read.streams.keys() == written.streams.keys()
    assert (read.embodiment, read.duration_s) == (written.embodiment, written.duration_s)
    for name in ("proprioception", "action", "instruction"):
        np.testing.assert_array_equal(read.stream(name).values, written.stream(name).values)
        np.testing.assert_array_equal(read.stream(name).arrival_ns, written.stream(name).arrival_ns)


def test_pictures_are_those_of_a_whole_read_and_decoded_when_looked_at(store: Store) -> None:
    whole = store.read("arm-reach-0001").stream("camera/front").values
    stream = store["arm-reach-0001"].stream("camera/front")
    frames: object = stream.values
    assert isinstance(frames, LazyFrames)
    assert (frames.shape, len(frames)) == (whole.shape, len(whole))
    np.testing.assert_array_equal(frames, whole)
    np.testing.assert_array_equal(frames[3], whole[3])
    np.testing.assert_array_equal(frames[-1, :4, 2], whole[-1, :4, 2])
    np.testing.assert_array_equal(frames[::-3], whole[::-3])
    np.testing.assert_array_equal(frames[np.array([5, 2, 5])], whole[[5, 2, 5]])
    np.testing.assert_array_equal(frames[stream.capture_ns > 400_000_000, ..., 0], whole[5:, ..., 0])
    assert frames[0:0].shape == (0, 18, 24, 3)
    np.testing.assert_array_equal(stream.select(slice(2, 4)).values, whole[2:4])


def test_only_robot_needs_no_name(store: Store) -> None:
    assert store.robot() == store.robot("arm") == store.embodiment("arm")
    with pytest.raises(UnknownNameError, match="did you mean 'arm'"):
        store.robot("arn")


def test_lines_for_people(store: Store) -> None:
    assert repr(store) == f"<Store {store.root}: 4 episodes, 4 s; robots: arm (4)>"
    assert repr(store[:2]) == f"<2 episodes of {store.root}>"
    assert "10 pictures of 24 x 18" in repr(store[0].stream("camera/front").values)
    assert len(repr(store[0])) < 500


def test_an_address_opens_published_views(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build_video_view(store)
    url = (tmp_path / "published").as_uri()
    publish_views(store, url)
    monkeypatch.setenv("COUNTERPOINT_HOME", str(tmp_path / "home"))
    for address in (url, Path(url)):  # configurations keep addresses as paths, which costs a slash
        remote = open_store(address)
        assert isinstance(remote, RemoteStore)
        assert (remote.place, len(remote), remote.robot()) == (url, 4, store.robot())
    np.testing.assert_array_equal(remote[2].stream("action").values, store[2].stream("action").values)
    assert repr(remote).startswith(f"<RemoteStore {url}: 4 episodes")


def test_what_is_no_store_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="not a store"):
        open_store(tmp_path / "nothing")
