"""What a run tells while it goes: progress bar, metrics.jsonl (the truth), TensorBoard (a mirror)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from counterpoint.core.batch import Batch
from counterpoint.core.records import Json, RunRecord
from counterpoint.engine.progress import Progress, write_line
from counterpoint.train.config import TrainConfig

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


@dataclass(kw_only=True)
class StepReport:
    """What one optimizer step gave."""

    loss: float
    """Mean over the batch, all processes."""
    by_embodiment: dict[str, float]
    """Mean a robot, of this process's microbatches."""
    gradient_norm: float
    """Global norm before clipping."""
    rate_factor: float
    """Learning rate over its peak."""
    tokens: int
    """Sensing and acting tokens, all processes."""
    experience_s: float
    """Seconds of robot time, all processes."""
    wait_s: float
    """Seconds spent waiting for data, this process."""


def count_tokens(batch: Batch, knots_per_token: int) -> int:
    """Count real sensing tokens and acting tokens of a batch."""
    sensing = int(np.isfinite(batch.arrival_s).sum())
    acting = sum(group.valid.size for group in batch.acting)
    return sensing + acting // knots_per_token


class Meter:
    """Collects step reports and speaks every `log_every` steps; silent on all ranks but the first."""

    def __init__(
        self,
        config: TrainConfig,
        *,
        start: tuple[int, float],
        speaks: bool,
        progress: bool,
        on_metrics: Callable[[Mapping[str, Json]], None] | None = None,
    ) -> None:
        """Open the records of `config.out`; `start` is the step and the seconds that the run continues from."""
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
        self._reports: list[StepReport] = []
        self._since = time.monotonic()
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
        seconds = min(elapsed_s, self._config.max_seconds or elapsed_s)  # the last step ends after the budget
        self._progress.reach(step if self._config.steps is not None else seconds)
        if step % self._config.log_every == 0 or step == 1:
            self.flush(step, elapsed_s)

    def flush(self, step: int, elapsed_s: float) -> None:
        """Write the mean of the steps since the last record."""
        if not self._reports:
            return
        self.last = _summary(self._reports, step, elapsed_s, max(time.monotonic() - self._since, 1e-9))
        self._reports, self._since = [], time.monotonic()
        if self._record is not None:
            self._record.write("metric", **self.last)
            self._progress.status = (
                f"step {step} loss {self.last['loss']:.4f} {self.last['tokens_per_s']:.0f} tokens/s "
                f"{self.last['experience_hours_per_hour']:.0f} h/h"
            )
        if self._on_metrics is not None:
            self._on_metrics(self.last)
        if self._board is not None:
            for key, value in _scalars(self.last):
                self._board.add_scalar(key, value, step)

    def close(self) -> None:
        """End the progress and close the files."""
        self._progress.close()
        if self._record is not None:
            self._record.close()
        if self._board is not None:
            self._board.close()


def _summary(reports: list[StepReport], step: int, elapsed_s: float, span_s: float) -> dict[str, Json]:
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
        "steps_per_s": len(reports) / span_s,
        "tokens_per_s": sum(r.tokens for r in reports) / span_s,
        "experience_hours_per_hour": sum(r.experience_s for r in reports) / span_s,
        "data_wait_share": sum(r.wait_s for r in reports) / span_s,
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
