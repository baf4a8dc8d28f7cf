"""Killed again and again at any moment, an ingest ends with the store of a run that nobody disturbed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from lerobot_v3_writer import write_v30
from lerobot_writers import write_v21

from counterpoint.cli.main import main
from counterpoint.core.records import Json
from counterpoint.store import Store

MOST_RUNS = 60


def killed_after(more: int, seconds: float, words: list[str], store: Path) -> int | None:
    """Run the command line, wait for so many more episodes and seconds, and kill its process group.

    Returns the exit code, None if it was killed.
    """
    command = [sys.executable, "-m", "counterpoint.cli.main", *words, str(store)]
    before = done(store)
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        while process.poll() is None and done(store) < before + more:
            time.sleep(0.002)
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return None


def holds(root: Path) -> dict[str, Json]:
    store = Store.open(root)
    assert store.verify() == []
    return {info.episode_id: info.content_sha256 for info in store.episodes}


def interrupted(tmp_path: Path, episodes: int, most: int) -> int:
    """Kill ingests at random moments until one ends; return how many were killed after they had begun to commit."""
    lengths = tuple(5 + number % 4 for number in range(episodes))
    first = write_v21(tmp_path / "first", lengths, video=True).root
    second = write_v30(tmp_path / "second", lengths[: episodes // 2], video=True, fps=20).root
    (first / "data/chunk-000/episode_000003.parquet").write_bytes(b"PAR1")
    words = ["ingest", str(first), str(second), "--workers", "2", "--no-prepare", "--into"]
    rng = random.Random(7)
    kills = 0
    for _ in range(MOST_RUNS):
        more = rng.randint(1, most)
        code = killed_after(more, rng.uniform(0, 0.02), words, tmp_path / "killed")
        if code is not None:
            assert code == 1  # one episode is bad
            break
        kills += 1
    else:
        pytest.fail(f"{MOST_RUNS} runs were killed and none ended")
    assert main([*words, str(tmp_path / "clean")]) == 1
    assert holds(tmp_path / "killed") == holds(tmp_path / "clean")
    lists = [(tmp_path / name / "quarantine.jsonl").read_text().splitlines() for name in ("killed", "clean")]
    assert len(lists[0]) == len(lists[1]) == 1
    return kills


def done(root: Path) -> int:
    return sum(1 for _ in (root / "episodes").glob("*/*/manifest.json")) if root.exists() else 0


def test_killed_at_any_moment_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    assert interrupted(tmp_path, 8, 8) > 0


@pytest.mark.slow
@pytest.mark.timeout(1200)  # starts a dozen times, and each commit waits for the disk, which others may keep busy
def test_killed_very_often(tmp_path: Path) -> None:
    assert interrupted(tmp_path, 60, 12) >= 5


@pytest.mark.slow
def test_killed_while_it_starts(tmp_path: Path) -> None:
    source = write_v21(tmp_path / "set", (5, 6, 7), video=True).root
    words = ["ingest", str(source), "--workers", "2", "--into"]
    rng = random.Random(3)
    for _ in range(12):
        killed_after(0, rng.uniform(0.1, 2.0), words, tmp_path / "store")
    assert main([*words, str(tmp_path / "store")]) == 0
    assert main([*words, str(tmp_path / "clean")]) == 0
    assert holds(tmp_path / "store") == holds(tmp_path / "clean")


def test_ctrl_c_tells_how_to_go_on_and_keeps_whole_episodes(tmp_path: Path) -> None:
    source = write_v21(tmp_path / "set", (8,) * 30, video=True).root
    command = [sys.executable, "-m", "counterpoint.cli.main", "ingest", str(source), "--workers", "2"]
    command += ["--into", str(tmp_path / "store")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True) as process:
        while not done(tmp_path / "store"):
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=300)
    assert process.returncode == 130
    assert b"run the same command again" in errors
    assert b"Traceback" not in errors
    assert Store.open(tmp_path / "store").verify() == []
    assert main(["ingest", str(source), "--into", str(tmp_path / "store"), "--workers", "1", "--no-prepare"]) == 0
    assert len(Store.open(tmp_path / "store")) == 30
