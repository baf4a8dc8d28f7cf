"""The local engine: every task once, whatever happens to its processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sized
from itertools import islice
from pathlib import Path

import engine_tasks
import pytest
from engine_tasks import ERRORS, Entangled, Mute, deadly, deadly_once, process_id, raising, square, unpicklable

from counterpoint.core.errors import IngestError, StoreError, UnknownNameError
from counterpoint.engine import LocalEngine, TaskError, WorkerDied, open_engine


@pytest.mark.parametrize("workers", [1, 2])
def test_every_task_once(workers: int) -> None:
    done = list(LocalEngine(workers).run(square, range(20)))
    assert {each.task: each.result for each in done if each.error is None} == {
        n: n * n for n in range(20) if n not in (3, 5)
    }
    assert {each.task for each in done if each.error is not None} == {3, 5}
    assert len(done) == 20


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_arrives_as_it_was_raised(workers: int) -> None:
    done = {each.task: each.error for each in LocalEngine(workers).run(raising, list(ERRORS))}
    for name in ("foreign", "store", "torn"):
        assert type(done[name]) is type(ERRORS[name])
        assert str(done[name]) == str(ERRORS[name])
    torn, store = done["torn"], done["store"]
    assert isinstance(torn, IngestError)
    assert torn.reason == "truncated"
    with pytest.raises(StoreError, match="disk full"):
        raise store or AssertionError


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(("name", "kind"), [("entangled", Entangled), ("mute", Mute)])
def test_an_error_that_cannot_be_pickled_arrives_as_text(workers: int, name: str, kind: type[Exception]) -> None:
    (done,) = LocalEngine(workers).run(raising, [name])
    assert type(done.error) is TaskError
    assert str(done.error) == f"{kind.__name__}: {ERRORS[name]}"


def test_a_process_that_dies_costs_its_own_task_only() -> None:
    done = {each.task: each for each in LocalEngine(2).run(deadly, range(12))}
    assert sorted(done) == list(range(12))
    assert [task for task, each in done.items() if each.error is not None] == [7]
    assert isinstance(done[7].error, WorkerDied)
    assert "signal 9" in done[7].message


def test_a_task_that_was_lost_is_tried_again(tmp_path: Path) -> None:
    paths = [str(tmp_path / str(n)) for n in range(3)]
    done = list(LocalEngine(2).run(deadly_once, paths))
    assert sorted(each.result or "" for each in done) == paths


def test_a_result_that_cannot_travel_is_an_error() -> None:
    done = list(LocalEngine(2).run(unpicklable, [1, 2]))
    assert all(each.error is not None for each in done)
    assert len(done) == 2


class Counting(Sized):
    """Tasks that tell how many were taken."""

    def __init__(self) -> None:
        self.taken = 0

    def __len__(self) -> int:
        return 10**6

    def __contains__(self, _: object) -> bool:
        return False

    def __iter__(self) -> Iterator[int]:
        for number in range(10**6):
            self.taken += 1
            yield number


def test_tasks_are_taken_as_they_are_needed_and_stopping_is_prompt() -> None:
    tasks = Counting()
    results = LocalEngine(2).run(process_id, tasks)
    processes = {each.result for each in islice(results, 10)}
    results.close()  # type: ignore[attr-defined]  # a generator
    assert tasks.taken < 16
    assert not any(map(alive, processes))


def alive(process: int | None) -> bool:
    return process is not None and Path(f"/proc/{process}").exists()


INTERRUPTED = """
import sys
sys.path.insert(0, {tests!r})
from engine_tasks import slow
from counterpoint.engine import LocalEngine
if __name__ == "__main__":
    for _ in LocalEngine(2).run(slow, [{folder!r}] * 4):
        pass
"""


def test_ctrl_c_ends_at_once_and_leaves_no_process(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    folder = tmp_path / "started"
    folder.mkdir()
    script.write_text(INTERRUPTED.format(tests=str(Path(engine_tasks.__file__).parent), folder=str(folder)))
    with subprocess.Popen([sys.executable, str(script)], stderr=subprocess.PIPE, start_new_session=True) as process:
        while len(list(folder.iterdir())) < 2:
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
        _, errors = process.communicate(timeout=120)
    assert process.returncode != 0
    assert errors.count(b"KeyboardInterrupt") == 1  # the processes print nothing
    assert not any(alive(int(path.name)) for path in folder.iterdir())


def test_unknown_engine_offers_the_known() -> None:
    with pytest.raises(UnknownNameError, match="known: local, ray"):
        open_engine("spark")  # type: ignore[arg-type]  # what a user may type
