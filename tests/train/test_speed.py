"""What a run says about its machine: measured after the first step, and told as time or as steps."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from counterpoint.core.records import read_records
from counterpoint.data.episodes.source import EpisodeSource
from counterpoint.train import meter
from counterpoint.train.config import TrainConfig
from counterpoint.train.speed import Speed, StepReport, Stopwatch, forecast
from counterpoint.train.trainer import train

Make = Callable[..., TrainConfig]
SLOW = Speed(steps_per_s=2.0, tokens_per_s=15_000.0, experience_hours_per_hour=900.0, data_wait_share=0.05)


def report(tokens: int) -> StepReport:
    return StepReport(
        loss=1.0, by_embodiment={}, gradient_norm=1.0, rate_factor=1.0, tokens=tokens, experience_s=50.0, wait_s=0.5
    )


def test_the_first_step_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 12.0, 12.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    watch = Stopwatch()
    watch.add(report(1_000_000))
    watch.add(report(300))
    watch.add(report(100))
    assert watch.seconds == 2.0
    found = watch.speed()
    assert (found.steps_per_s, found.tokens_per_s) == (1.0, 200.0)
    assert (found.experience_hours_per_hour, found.data_wait_share) == (50.0, 0.5)


def test_steps_are_told_as_time(make_config: Make) -> None:
    words = forecast(make_config(steps=7300), SLOW, 100, 50.0, hours=3.0)
    assert "15,000 tokens/s" in words
    assert "remaining 7,200 steps take about 60 min and 300.0 passes over the training data of 3 h 00 min" in words
    assert "loader-workers" not in words


def test_a_time_budget_is_told_as_steps(make_config: Make) -> None:
    words = forecast(make_config(steps=None, max_seconds=180.0), SLOW, 100, 50.0, hours=3.25)
    assert (
        "time budget of 3 min is enough for about 360 steps and 10.0 passes over the training data of 3 h 15 min"
        in words
    )
    assert "--max-seconds" in words


def test_much_waiting_for_data_is_said(make_config: Make) -> None:
    waiting = Speed(**{**vars(SLOW), "data_wait_share": 0.4})
    assert "40% of the time goes to waiting for data" in forecast(make_config(), waiting, 1, 1.0, hours=1.0)


def test_a_run_introduces_itself_forecasts_and_concludes(
    make_config: Make,
    sources: tuple[EpisodeSource, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(meter, "SETTLED_S", 1e-9)
    config = make_config(steps=4)
    train(config, sources=sources)
    notes = [str(record["text"]) for record in read_records(config.out / "metrics.jsonl", "note")]
    first, second, last = notes
    assert first.startswith("Training 28,")
    assert "synthetic_4" in first
    assert "4 steps" in first
    assert second.startswith("This machine trains at ")
    assert last.startswith("Step 4 after ")
    printed = capsys.readouterr()
    assert printed.out == ""
    assert all(note in printed.err for note in notes)
