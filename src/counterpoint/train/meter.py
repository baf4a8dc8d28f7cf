"""What a run reports while it trains: progress bar, metrics.jsonl (the truth), TensorBoard (a mirror)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from counterpoint.core.batch import Batch
from counterpoint.core.records import Json, RunRecord
from counterpoint.engine.progress import Progress, duration_text, write_line
from counterpoint.train.config import TrainConfig
from counterpoint.train.speed import SETTLED_S, Speed, StepReport, Stopwatch, forecast

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


def count_tokens(batch: Batch, knots_per_token: int) -> int:
    """Count real sensing tokens and acting tokens of a batch."""
    sensing = int(np.isfinite(batch.arrival_s).sum())
    acting = sum(group.valid.size for group in batch.acting)
    return sensing + acting // knots_per_token


class Meter:
    """Collects step reports and writes a record every `log_every` steps; silent on all ranks but the first."""

    def __init__(
        self,
        config: TrainConfig,
        *,
        start: tuple[int, float],
        hours: float,
        speaks: bool,
        progress: bool,
        on_metrics: Callable[[Mapping[str, Json]], None] | None = None,
    ) -> None:
        """Open the records of `config.out`.

        Args:
            config: the run.
            start: the step and the seconds that the run continues from.
            hours: training data, hours.
            speaks: whether this process writes anything.
            progress: whether to show a progress bar.
            on_metrics: called with each metric record.
        """
        step, elapsed_s = start
        self._on_metrics = on_metrics if speaks else None
        self._config = config
        self._record = RunRecord(config.out / "metrics.jsonl") if speaks else None
        self._board = _open_board(config, step) if speaks and config.tensorboard else None
        total, done = (config.steps, step) if config.steps is not None else (config.max_seconds, elapsed_s)
        self._shown = speaks and progress
        self._progress = Progress(
            "train", total=total, done=done, unit="step" if config.steps is not None else "s", shown=self._shown
        )
        self._hours = hours
        self._reports: list[StepReport] = []
        self._interval = Stopwatch(time.monotonic())
        self._whole = Stopwatch()
        self._has_forecast = False
        self.last: dict[str, Json] = {}

    def note(self, text: str, **fields: Json) -> None:
        """Write a note to the record and above the progress bar."""
        if self._record is not None:
            self._record.write("note", text=text, **fields)
            if self._shown:
                write_line(text)

    def write_config(self, config: dict[str, Json], data: dict[str, Json]) -> None:
        """Write the whole configuration and what the data are to the record."""
        if self._record is not None:
            self._record.write("config", config=config, data=data)

    def update(self, step: int, elapsed_s: float, report: StepReport) -> None:
        """Take the report of the step that made `step` steps done."""
        self._reports.append(report)
        self._interval.add(report)
        self._whole.add(report)
        if self._whole.seconds >= SETTLED_S and not self._has_forecast:
            self._has_forecast = True
            self.note(forecast(self._config, self._whole.speed(), step, elapsed_s, self._hours))
        seconds = min(elapsed_s, self._config.max_seconds or elapsed_s)  # the last step ends after the budget
        self._progress.reach(step if self._config.steps is not None else seconds)
        if step % self._config.log_every == 0 or step == 1:
            self.flush(step, elapsed_s)

    def flush(self, step: int, elapsed_s: float) -> None:
        """Write the mean of the steps since the last record."""
        if not self._reports:
            return
        self.last = _summary(self._reports, self._interval.speed(), step, elapsed_s)
        self._reports, self._interval = [], Stopwatch(time.monotonic())
        if self._record is not None:
            self._record.write("metric", **self.last)
            self._progress.status = (
                f"step {step} loss {self.last['loss']:.4f} {self.last['tokens_per_s']:,.0f} tokens/s "
                f"{self.last['experience_hours_per_hour']:,.0f}x real time"
            )
        if self._on_metrics is not None:
            self._on_metrics(self.last)
        if self._board is not None:
            for key, value in _scalars(self.last):
                self._board.add_scalar(key, value, step)

    def conclude(self, step: int, elapsed_s: float) -> None:
        """Write the last record, and note how fast the steps of this session were."""
        self.flush(step, elapsed_s)
        self._progress.close()
        if self._whole.seconds:
            self.note(
                f"Step {step:,} after {duration_text(elapsed_s)} of training, at {self._whole.speed()} on this machine."
            )

    def close(self) -> None:
        """End the progress and close the files."""
        self._progress.close()
        if self._record is not None:
            self._record.close()
        if self._board is not None:
            self._board.close()


def _summary(reports: list[StepReport], speed: Speed, step: int, elapsed_s: float) -> dict[str, Json]:
    robots = sorted({robot for report in reports for robot in report.by_embodiment})
    by_robot: dict[str, Json] = {
        robot: float(np.mean([r.by_embodiment[robot] for r in reports if robot in r.by_embodiment])) for robot in robots
    }
    return {
        "step": step,
        "elapsed_s": round(elapsed_s, 3),
        "loss": float(np.mean([r.loss for r in reports])),
        "loss_by_robot": by_robot,
        "gradient_norm": float(np.mean([r.gradient_norm for r in reports])),
        "rate_factor": reports[-1].rate_factor,
        **speed.to_dict(),
    }


def _scalars(metrics: dict[str, Json]) -> list[tuple[str, float]]:
    flat: list[tuple[str, float]] = []
    for key, value in metrics.items():
        if isinstance(value, dict):
            flat += [(f"{key}/{name}", item) for name, item in value.items() if isinstance(item, float)]
        elif isinstance(value, float):
            flat.append((f"train/{key}", value))
    return flat


def _open_board(config: TrainConfig, step: int) -> SummaryWriter:
    from torch.utils.tensorboard import SummaryWriter  # slow to import, and optional

    return SummaryWriter(config.out / "tensorboard", purge_step=step or None)
