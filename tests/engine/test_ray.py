"""The Ray engine gives what the local one gives."""

from __future__ import annotations

import pytest
from engine_tasks import ERRORS, deadly, raising, square

from counterpoint.engine import Done, Engine, LocalEngine, WorkerDied, open_engine

pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]  # Ray warns of its own ways


def test_same_results_as_local() -> None:
    ours = {each.task: each.result for each in LocalEngine(1).run(square, range(20))}
    theirs = {each.task: each.result for each in open_engine("ray", workers=2).run(square, range(20))}
    assert theirs == ours


def test_same_errors_as_local() -> None:
    assert errors(open_engine("ray", workers=2)) == errors(LocalEngine(1))


def errors(engine: Engine) -> dict[str, tuple[type[Exception | None], str, object]]:
    def facts(done: Done[str, str]) -> tuple[type[Exception | None], str, object]:
        return type(done.error), done.message, vars(done.error) if done.error else None

    return {each.task: facts(each) for each in engine.run(raising, list(ERRORS))}


def test_a_process_that_dies_costs_its_own_task_only() -> None:
    done = {each.task: each for each in open_engine("ray").run(deadly, range(9))}
    assert sorted(done) == list(range(9))
    assert [task for task, each in done.items() if each.error is not None] == [7]
    assert isinstance(done[7].error, WorkerDied)
