"""How fast this machine trains, and what that means for the run: its duration, or the steps that its time allows."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from counterpoint.core.records import Json
from counterpoint.engine.progress import duration_text
from counterpoint.train.config import TrainConfig

SETTLED_S = 5.0
"""The speed is reported after this many seconds. The first step does not count, because it is slower."""
NAMED_ROBOTS = 6
"""At most this many robots are named; the others are counted."""
MUCH_WAITING = 0.2
"""Share of the time spent waiting for data above which the forecast mentions it."""


@dataclass(kw_only=True)
class StepReport:
    """Measurements of one optimizer step."""

    loss: float
    """Mean over the batch, all processes."""
    by_embodiment: dict[str, float]
    """Mean of each robot, over this process's microbatches."""
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


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Rates of some steps, all processes together."""

    steps_per_s: float
    tokens_per_s: float
    experience_hours_per_hour: float
    """Hours of robot time an hour: how many times faster than real time."""
    data_wait_share: float
    """Share of the time spent waiting for data."""

    def to_dict(self) -> dict[str, Json]:
        """Return plain JSON values."""
        return dict(vars(self))

    def __str__(self) -> str:
        """Return text such as `15,000 tokens/s (2.1 steps/s, 820 times real time)`."""
        return (
            f"{self.tokens_per_s:,.0f} tokens/s ({self.steps_per_s:.3g} steps/s, "
            f"{self.experience_hours_per_hour:,.0f} times real time)"
        )


class Stopwatch:
    """Adds up steps and divides by the time since `begun`."""

    def __init__(self, begun: float | None = None) -> None:
        """Start at `begun` on the clock of `time.monotonic`; None for the end of the first step added."""
        self._begun = begun
        self._steps, self._tokens = 0, 0
        self._experience_s, self._wait_s = 0.0, 0.0

    @property
    def seconds(self) -> float:
        """Seconds measured so far; 0 before there is anything to divide by."""
        return time.monotonic() - self._begun if self._begun is not None and self._steps else 0.0

    def add(self, report: StepReport) -> None:
        """Count a step that has just ended."""
        if self._begun is None:
            self._begun = time.monotonic()
            return
        self._steps += 1
        self._tokens += report.tokens
        self._experience_s += report.experience_s
        self._wait_s += report.wait_s

    def speed(self) -> Speed:
        """Return the rates so far."""
        seconds = max(self.seconds, 1e-9)
        return Speed(
            steps_per_s=self._steps / seconds,
            tokens_per_s=self._tokens / seconds,
            experience_hours_per_hour=self._experience_s / seconds,
            data_wait_share=self._wait_s / seconds,
        )


def introduction(config: TrainConfig, hours: Mapping[str, float], parameters: int, device: torch.device) -> str:
    """Return what a run is about to do; `hours` are those of its training data by robot."""
    longest = sorted(hours, key=lambda robot: -hours[robot])
    robots = ", ".join(f"{robot} {duration_text(3600 * hours[robot])}" for robot in longest[:NAMED_ROBOTS])
    robots += f" and {len(hours) - NAMED_ROBOTS} more robots" if len(hours) > NAMED_ROBOTS else ""
    total = duration_text(3600 * sum(hours.values()))
    length = f"{config.steps:,} steps" if config.steps is not None else duration_text(config.max_seconds or 0.0)
    where = f"{torch.get_num_threads()} CPU thread(s)" if device.type == "cpu" else device.type
    return (
        f"Training {parameters:,} parameters on {total} of robot time ({robots}) for {length}, "
        f"{config.batch_windows} windows a step, on {where}. Run folder: {config.out}"
    )


def forecast(config: TrainConfig, speed: Speed, step: int, elapsed_s: float, hours: float) -> str:
    """Return what `speed` means for the rest of a run on `hours` of training data that has come to `step`."""
    if config.steps is not None:
        left_s = (config.steps - step) / speed.steps_per_s
        rest = f"The remaining {config.steps - step:,} steps take about {duration_text(left_s)}"
    else:
        assert config.max_seconds is not None
        left_s = max(config.max_seconds - elapsed_s, 0.0)
        steps = step + left_s * speed.steps_per_s
        rest = f"The time budget of {duration_text(config.max_seconds)} is enough for about {steps:,.0f} steps"
    passes = left_s / 3600 * speed.experience_hours_per_hour / max(hours, 1e-9)
    rest += f" and {passes:.1f} passes over the training data of {duration_text(3600 * hours)}."
    words = f"This machine trains at {speed}. {rest}"
    if config.steps is None:
        words += " A slower machine makes fewer steps in the same time; give it more with --max-seconds."
    if speed.data_wait_share > MUCH_WAITING:
        words += (
            f" {100 * speed.data_wait_share:.0f}% of the time goes to waiting for data; try more --loader-workers "
            f"than {config.loader_workers}."
        )
    return words
