"""Collection: the same episodes whatever the workers and interruptions, counted failures, clear errors."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from counterpoint.core.errors import ConfigError, CounterpointError, StoreError
from counterpoint.robots.library import load_robot
from counterpoint.sim.collect import collect
from counterpoint.sim.demonstrate import Demonstrations, demonstrate
from counterpoint.sim.task import Task, WorldState
from counterpoint.sim.tasks import load_task
from counterpoint.store import Store

pytestmark = pytest.mark.sim


def digests(root: Path) -> dict[str, str]:
    """Return the digest of every committed file, by its path in the store."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((root / "episodes").rglob("*"))
        if path.is_file()
    }


def run(root: Path, count: int, *, task: Task | None = None, workers: int = 1, seed: int = 0) -> dict[str, object]:
    summary = collect(
        load_robot("panda"), task or load_task("reach"), count, root, seed=seed, workers=workers, progress=False
    )
    return dict(summary.to_dict())


def test_episodes_are_complete_and_say_where_they_come_from(tmp_path: Path) -> None:
    run(tmp_path, 2)
    store = Store.open(tmp_path)
    assert len(store.episodes) == 2
    for info in store.episodes:
        source = info.provenance
        assert (source.robot, source.task, source.source, source.success) == ("panda", "reach", "simulation", True)
        assert source.site.startswith(f"sim-{source.environment}-")
        assert source.origin.startswith("counterpoint sim panda reach seed ")
        episode = store.read(info.episode_id)
        assert {"proprioception", "tool_pose", "wrist_force", "object/0", "instruction", "action"} <= set(
            episode.streams
        )
        assert list(episode.stream("instruction").values) == [source.instruction]


def test_workers_and_stops_change_nothing(tmp_path: Path) -> None:
    run(tmp_path / "one", 5)
    run(tmp_path / "two", 5, workers=2)
    run(tmp_path / "parts", 2)
    again = run(tmp_path / "parts", 5)
    assert (again["present"], again["attempts"]) == (2, 3)
    assert digests(tmp_path / "one") == digests(tmp_path / "two") == digests(tmp_path / "parts")


def test_another_seed_is_another_series(tmp_path: Path) -> None:
    run(tmp_path, 2, seed=0)
    run(tmp_path, 2, seed=1)
    assert len(Store.open(tmp_path).episodes) == 4


def test_cameras_make_another_series_with_frames(tmp_path: Path) -> None:
    robot, task = load_robot("panda"), load_task("reach")
    run(tmp_path, 1)
    summary = collect(robot, task, 1, tmp_path, workers=1, cameras=("front",), progress=False)
    store = Store.open(tmp_path)
    assert summary.present == 0
    assert sum("camera/front" in store.read(info.episode_id).streams for info in store.episodes) == 1


def _half_of_the_worlds(state: WorldState) -> bool:
    return load_task("reach").success(state) and state.objects[0].position[1] > -0.1


def _never(state: WorldState) -> bool:
    return False


def test_failures_are_counted_and_not_kept(tmp_path: Path) -> None:
    picky = replace(load_task("reach"), success=_half_of_the_worlds, time_limit_s=2.0)
    summary = run(tmp_path, 5, task=picky, seed=5)
    failures = summary["failures"]
    assert isinstance(failures, dict)
    assert failures["timed_out"] == int(str(summary["attempts"])) - 5 > 0
    assert len(Store.open(tmp_path).episodes) == 5


def test_a_hopeless_expert_is_given_up(tmp_path: Path) -> None:
    hopeless = replace(load_task("reach"), success=_never, time_limit_s=0.6)
    with pytest.raises(CounterpointError, match="the expert failed 20 of 20 attempts"):
        run(tmp_path, 3, task=hopeless)


def test_bad_requests_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least 1 episode"):
        run(tmp_path, 0)
    with pytest.raises(ConfigError, match="does not fit robot"):
        run(tmp_path, 1, task=load_task("lift_box"))
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "data.bin").write_bytes(b"x")
    with pytest.raises(StoreError):
        run(tmp_path / "foreign", 1)


def test_recorded_actions_are_clean_while_the_arm_is_pushed() -> None:
    robot, task = load_robot("panda"), load_task("reach")
    calm = demonstrate(Demonstrations(robot=robot, task=task, disturbance=None), 0).episode
    pushed = demonstrate(Demonstrations(robot=robot, task=task), 0).episode
    assert calm.episode_id != pushed.episode_id
    assert calm.streams["action"].values[0] == pytest.approx(pushed.streams["action"].values[0], abs=0.02)


def test_interrupted_collection_goes_on(tmp_path: Path) -> None:
    store = tmp_path / "store"
    script = (
        "from counterpoint.robots.library import load_robot\n"
        "from counterpoint.sim.collect import collect\n"
        "from counterpoint.sim.tasks import load_task\n"
        "if __name__ == '__main__':\n"
        f"    collect(load_robot('panda'), load_task('reach'), 400, {str(store)!r}, workers=2, progress=False)\n"
    )
    (tmp_path / "job.py").write_text(script)
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "job.py")], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while process.poll() is None and sum(1 for _ in store.glob("episodes/*/*/manifest.json")) < 8:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=300)
    assert process.returncode != 0
    assert "Re-run the same command" in error
    there = len(Store.open(store).episodes)
    assert 0 < there < 400
    summary = run(store, there + 1)
    assert len(Store.open(store).episodes) == there + 1
    assert int(str(summary["present"])) >= there - 8
    actions = [Store.open(store).read(info.episode_id).stream("action") for info in Store.open(store).episodes]
    assert all(np.isfinite(action.values).all() for action in actions)


def test_rounds_go_on_without_running_failures_again(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    robot, task = load_robot("panda"), replace(load_task("reach"), time_limit_s=0.9)
    once = collect(robot, task, 4, whole, workers=1, progress=False)
    assert once.failures
    first = collect(robot, task, 2, parts, workers=1, progress=False)
    second = collect(robot, task, 2, parts, workers=1, first=first.next_index, progress=False)
    assert digests(whole) == digests(parts)
    assert first.attempts + second.attempts == once.attempts == once.next_index == second.next_index
    with pytest.raises(ConfigError, match="first number"):
        collect(robot, task, 2, parts, first=-1, progress=False)
