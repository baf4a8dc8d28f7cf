"""Crashes, full disks and flipped bytes: told exactly, and nothing else is harmed."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from counterpoint.core.episode import Episode
from counterpoint.core.errors import StoreError
from counterpoint.store import Store, StoreWriter
from counterpoint.store.files import commit as commit_module

MakeEpisode = Callable[..., Episode]

ENDLESS_WRITER = """
import sys
sys.path.insert(0, sys.argv[2])
from conftest import build_episode
from counterpoint.store import StoreWriter
with StoreWriter(sys.argv[1]) as writer:
    for index in range(int(sys.argv[3]), int(sys.argv[4])):
        writer.add(build_episode(index))
        if index == int(sys.argv[3]):
            print("started", flush=True)
"""


def start_writer(root: Path, first: int, last: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", ENDLESS_WRITER, str(root), str(Path(__file__).parent), str(first), str(last)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def root(tmp_path: Path, make_episode: MakeEpisode) -> Path:
    with StoreWriter(tmp_path / "store") as writer:
        for index in range(3):
            writer.add(make_episode(index, camera=index == 0))
    return tmp_path / "store"


def episode_file(root: Path, index: int, name: str) -> Path:
    return next(root.glob(f"episodes/*/arm-reach-{index:04d}/{name}"))


def test_kill_at_any_moment_leaves_whole_episodes_and_the_rest_is_added_later(root: Path) -> None:
    with start_writer(root, 0 + 10, 100_000) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        time.sleep(0.15)
        process.send_signal(signal.SIGKILL)
    store = Store.open(root)
    assert len(store) > 3
    assert store.verify() == []
    for info in store.episodes:
        store.read(info.episode_id)
    (root / "staging" / f"{os.uname().nodename}-{process.pid}-left").mkdir()
    StoreWriter(root)
    assert list((root / "staging").iterdir()) == []


def test_many_processes_add_to_one_store_at_once(tmp_path: Path) -> None:
    writers = [start_writer(tmp_path / "store", first, first + 30) for first in (0, 15, 30)]
    for writer in writers:
        writer.communicate(timeout=300)
        assert writer.returncode == 0
    store = Store.open(tmp_path / "store")
    assert len(store) == 60
    assert store.verify() == []


def test_full_disk_says_what_was_needed_and_harms_nothing(
    root: Path, make_episode: MakeEpisode, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: object, target: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))

    before = Store.open(root).episodes
    monkeypatch.setattr(f"{commit_module.__name__}.os.rename", full)
    with pytest.raises(
        StoreError, match=r"arm-reach-0077: the disk is full: needed \d+ bytes .* committed so far is safe"
    ):
        StoreWriter(root).add(make_episode(77))
    monkeypatch.undo()
    store = Store.open(root)
    assert store.episodes == before
    assert store.verify() == []
    assert list((root / "staging").iterdir()) == []


def test_foreign_folders_and_other_versions_are_refused(tmp_path: Path, root: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"meow")
    with pytest.raises(StoreError, match=r"no store.json"):
        Store.open(tmp_path / "photos")
    with pytest.raises(StoreError, match="expected a store or an empty folder"):
        StoreWriter(tmp_path / "photos")
    with pytest.raises(StoreError, match="no such folder"):
        Store.open(tmp_path / "nowhere")
    mark = root / "store.json"
    mark.write_text(json.dumps({"format": "counterpoint-store", "version": 2}))
    with pytest.raises(StoreError, match="store version 2, this program reads version 1"):
        Store.open(root)
    mark.write_text('{"format": "zarr"}')
    with pytest.raises(StoreError, match="belongs to another program"):
        StoreWriter(root)
    mark.write_text('{"for')
    with pytest.raises(StoreError, match=r"store.json: damaged"):
        Store.open(root)


def test_truncated_streams_name_file_and_episode_and_the_next_step(root: Path) -> None:
    path = episode_file(root, 1, "streams.parquet")
    path.write_bytes(path.read_bytes()[:-50])
    store = Store.open(root)
    with pytest.raises(StoreError, match=r"streams.parquet: episode 'arm-reach-0001'.*counterpoint check .* --verify"):
        store.read("arm-reach-0001")
    with pytest.raises(StoreError, match="arm-reach-0001"):
        store.low("arm-reach-0001")
    assert len(store.low("arm-reach-0002")["action"]) == 20
    assert [problem.reason for problem in store.verify()] == ["truncated"]


def test_truncated_manifest_is_kept_apart_and_the_other_episodes_stay_usable(root: Path) -> None:
    path = episode_file(root, 1, "manifest.json")
    path.write_bytes(path.read_bytes()[:-50])
    (root / "catalogue" / "episodes.parquet").unlink(missing_ok=True)
    for _ in range(2):
        store = Store.open(root)
        assert [info.episode_id for info in store.episodes] == ["arm-reach-0000", "arm-reach-0002"]
        assert [problem.reason for problem in store.damaged] == ["damaged_manifest"]
        with pytest.raises(StoreError, match=r"arm-reach-0001/manifest.json: damaged.*--verify"):
            store.read("arm-reach-0001")
    assert [problem.reason for problem in store.verify()] == ["damaged_manifest"]


def test_verify_finds_one_flipped_byte_in_every_file(root: Path) -> None:
    store = Store.open(root)
    store.low("arm-reach-0000")
    skipped = {"store.json", "episodes.parquet", ".lock"}
    files = [path for path in root.rglob("*") if path.is_file() and path.name not in skipped]
    assert len(files) > 8
    for path in files:
        data = path.read_bytes()
        middle = len(data) // 2
        path.write_bytes(data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :])
        assert [problem.path for problem in store.verify()] == [str(path.relative_to(root))]
        path.write_bytes(data)
    assert store.verify() == []


def test_missing_files_are_found(root: Path) -> None:
    episode_file(root, 0, "camera%2Ffront.mp4").unlink()
    store = Store.open(root)
    assert [problem.reason for problem in store.verify()] == ["missing_file"]
    with pytest.raises(StoreError, match=r"episode 'arm-reach-0000', stream 'camera/front'"):
        store.read("arm-reach-0000")
    assert set(store.read("arm-reach-0000", streams=["action"]).streams) == {"action"}


def test_read_only_store_can_be_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(f"{commit_module.__name__}.os.replace", refuse)
    store = Store.open(root)
    assert len(store.low("arm-reach-0001")["action"]) == 20
