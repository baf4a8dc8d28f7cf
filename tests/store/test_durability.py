"""Writers killed at any moment, and bytes flipped anywhere: what was promised is there, what is spoilt is found."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from counterpoint.core.episode import Episode
from counterpoint.engine import LocalEngine
from counterpoint.store import Store, StoreWriter, build_low_view
from counterpoint.store.verify import verify_store
from counterpoint.store.views import low as view_module

MakeEpisode = Callable[..., Episode]

WRITER = """
import sys
from itertools import count
sys.path.insert(0, sys.argv[2])
from conftest import build_episode
from counterpoint.store import Store, StoreWriter
with StoreWriter(sys.argv[1]) as writer:
    for index in count(int(sys.argv[3])):
        episode = build_episode(index, seconds=0.3, camera=index % 5 == 0)
        writer.add(episode)
        print(episode.episode_id, flush=True)
        if index % 7 == 0:
            Store.open(sys.argv[1])  # keeps the index up to date, and is killed doing so too
"""

APART = 100_000
"""Between the first numbers of two writers: more than one writes before its kill, however late that comes."""


def killed_after(root: Path, first: int, seconds: list[float]) -> list[str]:
    """Run a writer for each of `seconds`, counted from its first episode, and kill them; return what they promised."""
    here = str(Path(__file__).parent)
    commands = [
        [sys.executable, "-c", WRITER, str(root), here, str(first + APART * number)] for number in range(len(seconds))
    ]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
    promised: list[str] = []
    for process, wait_s in zip(processes, seconds, strict=True):
        assert process.stdout is not None
        promised.append(process.stdout.readline().strip())
        time.sleep(wait_s)
        process.send_signal(signal.SIGKILL)
    for process in processes:
        lines = process.communicate(timeout=300)[0].splitlines(keepends=True)
        promised += [line.strip() for line in lines if line.endswith("\n")]
    return promised


def assert_nothing_lost(root: Path, promised: list[str], make_episode: MakeEpisode) -> None:
    store = Store.open(root)
    there = set(store.flat()["episode_id"].to_pylist())
    assert len(promised) == len(set(promised))
    assert set(promised) <= there
    assert store.damaged == []
    assert store.verify() == []
    for episode_id in promised:
        number = int(episode_id.rpartition("-")[2])
        written = make_episode(number, seconds=0.3).streams["action"]
        np.testing.assert_array_equal(store.low(episode_id)["action"].values, written.values)
    shutil.rmtree(root / "catalogue")  # the index told the truth
    assert set(Store.open(root).flat()["episode_id"].to_pylist()) == there


def test_what_was_added_before_a_kill_is_there(tmp_path: Path, make_episode: MakeEpisode) -> None:
    promised = killed_after(tmp_path / "store", 0, [0.31, 0.17])
    assert_nothing_lost(tmp_path / "store", promised, make_episode)
    StoreWriter(tmp_path / "store")
    assert list((tmp_path / "store" / "staging").iterdir()) == []


@pytest.mark.slow
def test_what_was_added_before_many_kills_is_there(tmp_path: Path, make_episode: MakeEpisode) -> None:
    moments = random.Random(0)
    promised: list[str] = []
    for round_ in range(12):
        waits = [moments.uniform(0.0, 0.4) for _ in range(3)]
        promised += killed_after(tmp_path / "store", 10 * APART * (round_ + 1), waits)
        assert_nothing_lost(tmp_path / "store", promised, make_episode)


@pytest.fixture
def root(tmp_path: Path, make_episode: MakeEpisode, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(view_module, "SHARD_BYTES", 10_000)
    root = tmp_path / "store"
    with StoreWriter(root) as writer:
        for index in range(3):
            writer.add(make_episode(index, camera=index == 0, seconds=0.3))
    store = Store.open(root)
    build_low_view(store)
    StoreWriter(root).add(replace(make_episode(4, seconds=0.3), episode_id="odd/name"))
    Store.open(root)
    return root


def test_any_flipped_byte_of_any_file_is_found(root: Path) -> None:
    files = sorted(path for path in root.rglob("*") if path.is_file() and path.stat().st_size)
    tops = {path.relative_to(root).parts[0] for path in files}
    assert tops == {"store.json", "embodiments", "specs", "episodes", "catalogue", "views"}
    assert Store.open(root).verify() == []
    store = Store.open(root)

    @settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.sampled_from(files), st.floats(0, 1, exclude_max=True), st.integers(1, 255))
    def flip(path: Path, where: float, change: int) -> None:
        data = path.read_bytes()
        at = int(where * len(data))
        path.write_bytes(data[:at] + bytes([data[at] ^ change]) + data[at + 1 :])
        try:
            assert {problem.path for problem in store.verify()} == {str(path.relative_to(root))}
        finally:
            path.write_bytes(data)

    flip()
    assert store.verify() == []


def test_derived_files_are_reported_with_the_way_out(root: Path) -> None:
    shard = next(root.glob("views/low-2/shard-*.arrow"))
    data = shard.read_bytes()
    shard.write_bytes(data[:-100] + bytes(100))
    problems = verify_store(root, LocalEngine(workers=2))
    assert [(problem.path, problem.reason) for problem in problems] == [(str(shard.relative_to(root)), "checksum")]
    assert "delete it, and it is rebuilt" in problems[0].message
    shard.unlink()
    store = Store.open(root)
    assert store.verify() == []
    build_low_view(store)
    assert store.verify() == []
