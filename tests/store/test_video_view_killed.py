"""A builder of the video view killed at any moment: run again, it gives the same view, nothing torn, nothing twice."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from counterpoint.core.clock import periodic_ns
from counterpoint.core.embodiment import StreamSpec
from counterpoint.core.episode import Episode
from counterpoint.core.stream import Stream
from counterpoint.engine import LocalEngine
from counterpoint.store import Store, StoreWriter, ViewFrames, build_video_view
from counterpoint.store.views.gops import VIEW, Shard

MakeEpisode = Callable[..., Episode]
EPISODES = 20
SECONDS = 30.0
BUILD = """
import sys
from counterpoint.engine import LocalEngine
from counterpoint.store import Store, build_video_view
store = Store.open(sys.argv[1])
print("go", flush=True)
build_video_view(store, engine=LocalEngine(workers=2))
"""
MORE_FILES = (1, 0, 1, 2, 1, 2)
"""How many files each builder may put into the view, whole or half written, before the moment of its kill."""


def filmed(make_episode: MakeEpisode, number: int) -> Episode:
    times = periodic_ns(0, 10.0, int(10 * SECONDS))
    noise = np.random.default_rng(number).integers(0, 255, (1, 96, 128, 3))
    frames = (noise * np.linspace(0.3, 1.0, len(times))[:, None, None, None]).astype(np.uint8)
    spec = StreamSpec(name="camera/wrist", kind="image", height=96, width=128, rate_hz=10.0)
    episode = make_episode(number, seconds=SECONDS)
    camera = Stream(spec=spec, capture_ns=times, arrival_ns=times, values=frames)
    return replace(episode, streams={**episode.streams, spec.name: camera})


def written(path: Path, make_episode: MakeEpisode) -> Store:
    with StoreWriter(path) as writer:
        for number in range(EPISODES):
            writer.add(filmed(make_episode, number))
    return Store.open(path)


def run_and_kill(root: Path, more: int, after_s: float, *, whole_group: bool) -> tuple[bool, IO[bytes]]:
    """Start a builder and kill it some seconds after it has put so many more files into the view.

    Returns whether it was killed before it ended, and a pipe that ends when the last of its workers does.
    """
    process = subprocess.Popen([sys.executable, "-c", BUILD, str(root)], stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    before, seen = files(root), set[str]()
    assert process.stdout.readline() == b"go\n"
    while process.poll() is None and len(seen) < more:
        time.sleep(0.002)
        seen |= files(root) - before
    try:
        process.wait(after_s)
    except subprocess.TimeoutExpired:
        (os.killpg if whole_group else os.kill)(process.pid, signal.SIGKILL)
    return process.wait() == -signal.SIGKILL, process.stdout


def files(root: Path) -> set[str]:
    """Names of shards, and of those that are being written."""
    return {path.name for path in (root / VIEW / "5hz").glob("??/*")}


def whole_shards(root: Path) -> list[Shard]:
    return [Shard(path) for path in (root / VIEW / "5hz").glob("??/*.arrow") if not path.name.startswith(".")]


def pictures(store: Store) -> dict[str, bytes]:
    view = ViewFrames(store.root)
    streams = {info.episode_id: view.stream(info.content_sha256, "camera/wrist") for info in store.episodes}
    return {name: each.data.tobytes() + each.capture_ns.tobytes() for name, each in streams.items()}


@pytest.mark.slow
def test_killed_builders_leave_nothing_torn_and_lose_nothing_written(tmp_path: Path, make_episode: MakeEpisode) -> None:
    clean = written(tmp_path / "clean", make_episode)
    store = Store.open(shutil.copytree(clean.root, tmp_path / "killed"))
    rng = random.Random(0)
    interrupted = 0
    with ExitStack() as pipes:
        left: list[IO[bytes]] = []
        for number, more in enumerate(MORE_FILES):
            was_killed, pipe = run_and_kill(store.root, more, rng.uniform(0.0, 0.05), whole_group=number % 3 > 0)
            left.append(pipes.enter_context(pipe))
            interrupted += was_killed
            assert all(shard.runs for shard in whole_shards(store.root))
            assert store.verify() == []
            if not was_killed:  # all was built before the kill came: the next one needs work to be killed at
                wait_for_workers(left)
                shutil.rmtree(store.root / VIEW)
        assert interrupted
        wait_for_workers(left)
    runs = {(run.content_sha256, run.stream) for shard in whole_shards(store.root) for run in shard.runs}
    report = build_video_view(store, engine=LocalEngine(workers=2))
    assert report.failed == {}
    assert report.present == len(runs)
    assert report.built + report.present == EPISODES
    assert build_video_view(store, engine=LocalEngine(workers=1)).built == 0
    build_video_view(clean, engine=LocalEngine(workers=2))
    assert pictures(store) == pictures(clean)
    assert store.verify() == []
    found = [(run.content_sha256, run.stream) for shard in whole_shards(store.root) for run in shard.runs]
    assert len(found) == len(set(found)) == EPISODES


def wait_for_workers(left: list[IO[bytes]]) -> None:
    """Wait for workers that outlived their builder: each may still write the shard it is at."""
    for pipe in left:
        pipe.read()
    left.clear()
