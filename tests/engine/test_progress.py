"""Progress where standard error is no terminal: whole lines that a person can read in a log file."""

from __future__ import annotations

import time

import pytest

from counterpoint.engine.progress import Progress, track

Capture = pytest.CaptureFixture[str]


def test_a_line_says_what_is_done_the_time_the_rate_and_what_is_left() -> None:
    progress = Progress("collect", total=200, unit="episode", shown=False)
    progress.reach(120)
    progress.status = "110 of 120 attempts succeeded"
    assert progress.line(60.0) == (
        "collect: 120/200 episodes (60%), 60 s elapsed, 2 episodes/s, about 40 s left; 110 of 120 attempts succeeded"
    )


def test_what_an_earlier_run_did_is_not_part_of_the_rate() -> None:
    progress = Progress("train", total=1000, done=500, unit="step", shown=False)
    progress.update(100)
    assert "600/1000 steps (60%)" in progress.line(50.0)
    assert "2 steps/s, about 3 min left" in progress.line(50.0)


@pytest.mark.parametrize(
    ("unit", "total", "line"),
    [
        ("B", 50e6, "push: 20.0/50.0 MB (40%), 10 s elapsed, 2.0 MB/s, about 15 s left"),
        ("s", 50e6, "push: 20000000/50000000 s (40%), 10 s elapsed, about 15 s left"),
        ("", 50e6, "push: 40%, 10 s elapsed, about 15 s left"),
        ("byte", None, "push: 20000000 bytes, 10 s elapsed, 2e+06 bytes/s"),
    ],
)
def test_units(unit: str, total: float | None, line: str) -> None:
    progress = Progress("push", total=total, unit=unit, shown=False)
    progress.reach(20e6)
    assert progress.line(10.0) == line


def test_lines_come_seconds_apart_and_end_with_the_whole(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    for _ in track(range(100), "ingest", total=100, unit="episode"):
        now[0] += 0.3
    lines = capsys.readouterr().err.splitlines()
    assert all(line.startswith("ingest: ") for line in lines)
    assert 6 <= len(lines) <= 7, lines  # one every 5 s of 30, and the last
    assert lines[-1].startswith("ingest: 100/100 episodes (100%), 30 s elapsed")


def test_quick_work_that_need_not_stay_says_nothing(capsys: Capture) -> None:
    with Progress("bootstrap", total=2, unit="draw", leave=False) as progress:
        progress.update(2)
    with Progress("silent", total=2, unit="draw", shown=False):
        pass
    assert capsys.readouterr().err == ""


def test_the_last_line_is_not_written_twice(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with Progress("rollout", total=3, unit="group") as progress:
        now[0] = 6.0
        progress.update(3)
        now[0] = 7.0
    assert len(capsys.readouterr().err.splitlines()) == 1
