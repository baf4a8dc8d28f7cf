"""Are the runs of a study trained enough? Some are made once more with more steps, and the two errors compared.

An exponent of data is one of data alone only where more steps on the same episodes no longer help. What was found
stands in `training_check.json`, beside the run table; `longer_runs` makes the runs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from counterpoint.core.errors import ConfigError
from counterpoint.core.records import Json

TABLE = "training_check.json"
SHORT = 0.05
"""A run that longer training improves by more than this is short of training."""


@dataclass(frozen=True, kw_only=True)
class TrainingCheck:
    """One run beside the same run with more steps: same episodes, rates and seed."""

    run: str
    size: int
    amount: float
    unit: str
    """What `amount` counts, a robot."""
    steps: int
    error: float
    longer_steps: int
    longer_error: float

    @property
    def gain(self) -> float:
        """Share of the error that the longer training took away; below 0 where it added."""
        return 1 - self.longer_error / self.error

    def to_dict(self) -> dict[str, Json]:
        """Return plain JSON."""
        return {**asdict(self), "gain": self.gain}


def read_checks(table: str) -> tuple[TrainingCheck, ...]:
    """Return what is written beside a run table; empty where nothing was checked.

    Raises:
        ConfigError: the file is damaged.
    """
    path = Path(table).parent / TABLE
    if not path.is_file():
        return ()
    try:
        rows = json.loads(path.read_bytes())["checks"]
        return tuple(TrainingCheck(**{key: row[key] for key in row if key != "gain"}) for row in rows)
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path}: expected a file that 'scale run' wrote ({error}); delete it and run the study again"
        ) from error


def check_words(checks: Sequence[TrainingCheck]) -> list[str]:
    """Say what the checks found, one line each, and what it means where training was short."""
    words = [
        f"training check: {each.longer_steps} instead of {each.steps} steps on {each.amount:g} {each.unit} a robot "
        f"{'take' if each.gain >= 0 else 'add'} {100 * abs(each.gain):.1f}% {'off' if each.gain >= 0 else 'to'} the "
        f"error of size {each.size}"
        for each in checks
    ]
    return [*words, *(f"warning: {warning}" for warning in short_words(checks))]


def short_words(checks: Sequence[TrainingCheck]) -> list[str]:
    """Return the warning of a law of runs that are short of training; none where they are not."""
    short = [each for each in checks if each.gain > SHORT]
    if not short:
        return []
    worst = max(short, key=lambda each: each.gain)
    return [
        f"The runs need more training: {worst.longer_steps / worst.steps:g} times the steps took "
        f"{100 * worst.gain:.0f}% off the error at {worst.amount:g} {worst.unit}, so exponents of data hold training "
        "too; plan the study again with more --steps, or with smaller --amounts."
    ]
