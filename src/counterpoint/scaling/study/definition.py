"""A study as it was planned: one frozen JSON that says which runs there are and how each is made.

STUDY/study.json            this, and what the plan promised (cost, power)
STUDY/runs/NAME/            a run: metrics.jsonl, result.json
STUDY/search/NAME/          a run of the search for learning rates
STUDY/runs.jsonl, runs.csv  the run table: one line a run and robot; one row a run
STUDY/rates.json            learning rate by size
STUDY/checks/NAME/          a run once more with more steps
STUDY/training_check.json   what the longer runs gained
STUDY/failures.jsonl        runs that failed, with the reason
STUDY/prediction.json       what was predicted of the held-out runs before they were released
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from counterpoint.core.config import from_dict, to_dict
from counterpoint.core.errors import ConfigError
from counterpoint.core.records import Json, finite_json
from counterpoint.evaluate.offline import OfflineConfig
from counterpoint.model.config import HarmonicConfig
from counterpoint.train.config import TrainConfig

FORMAT = "counterpoint-study"
VERSION = 1
Unit = Literal["episodes", "hours"]
HoldOutKind = Literal["top", "data", "none"]
Subsets = Literal["shared", "by_seed"]


@dataclass(frozen=True, kw_only=True)
class StudySize:
    """One size of the model."""

    model: HarmonicConfig
    size: int
    """Parameters of the transformer blocks: the N of a law, without embeddings."""
    sensing_parameters: int
    """Those of the sensing stream."""
    acting_parameters: int
    """Those of the acting stream; both sum to `size`."""
    total_parameters: int
    """All trainable parameters, embeddings and projections included."""
    step_s: float = 0.0
    """Seconds a step, as measured while planning; 0 where nobody measured."""
    judge_s: float = 0.0
    """Seconds to judge a model, as measured while planning."""
    step_flops: float = 0.0
    """FLOPs a step."""


@dataclass(frozen=True, kw_only=True)
class StudyAmount:
    """One amount of data, and for how long it is trained on."""

    amount: float
    """Episodes or hours a robot."""
    steps: int
    """Optimizer steps; the learning rate decays at the end of these."""


@dataclass(frozen=True, kw_only=True)
class RateSearch:
    """How the learning rate of each size is chosen before the sweep.

    Every multiple of the recipe's rates is tried at one amount, with a seed of its own, and judged on the
    validation episodes. While the best lies at an end, one more beyond it is tried.
    """

    multiples: tuple[float, ...] = (0.5, 1.0, 2.0)
    amount: float
    steps: int
    seed: int
    widen: int = 2
    """Most values tried beyond the given ones."""

    def __post_init__(self) -> None:
        """Check ranges."""
        if not self.multiples or min(self.multiples) <= 0 or len(set(self.multiples)) < len(self.multiples):
            raise ConfigError(f"search.multiples: expected different positive factors, got {self.multiples}")


@dataclass(frozen=True, kw_only=True)
class StudyRun:
    """One run of the sweep."""

    name: str
    size: int
    """Place in `Study.sizes`."""
    amount: int
    """Place in `Study.amounts`."""
    seed: int
    held_out: bool


@dataclass(frozen=True, kw_only=True)
class Study:
    """Everything that decides the runs of a study."""

    recipe: str
    training: TrainConfig
    """What each run trains; `out`, `seed`, `steps`, `model` and the rates are set run by run."""
    sizes: tuple[StudySize, ...]
    """From small to large."""
    amounts: tuple[StudyAmount, ...]
    """From little to much; smaller ones are subsets of larger ones."""
    unit: Unit = "episodes"
    num_seeds: int = 1
    subsets: Subsets = "shared"
    """`shared`: every seed trains on the same episodes; `by_seed`: each seed draws its own nested subsets."""
    holdout: HoldOutKind = "none"
    """`top`: the largest amount and the largest size are predicted first; `data`: only the largest amount."""
    search: RateSearch | None = None
    """None: all sizes train at the recipe's rates."""
    validation_fraction: float = 0.05
    """Share of the training episodes that only the search for rates is judged on."""
    offline: OfflineConfig = field(default_factory=lambda: OfflineConfig(samples=2, max_decisions=300))
    """How runs are judged; the same decisions for all."""
    episodes_hash: dict[str, str] = field(default_factory=dict)
    """Hash of the episodes for `training`, `validation` and `evaluation` when the study was planned."""
    keep_checkpoints: bool = False
    """Whether checkpoints stay after a run has been judged."""
    longer: float = 0.0
    """Factor on the steps with which some runs are made once more, to see whether training was enough; 0 for none."""

    def __post_init__(self) -> None:
        """Check the grid."""
        if not self.sizes or not self.amounts or self.num_seeds < 1:
            raise ConfigError("study: expected at least one size, one amount and one seed")
        if not 0 <= self.validation_fraction < 1:
            raise ConfigError(f"validation_fraction: expected a share in [0, 1), got {self.validation_fraction}")
        if self.longer and not 1 < self.longer < float("inf"):
            raise ConfigError(f"study.longer: expected more than 1, or 0 for no check, got {self.longer:g}")
        for key, values in (("sizes", [s.size for s in self.sizes]), ("amounts", [a.amount for a in self.amounts])):
            if values != sorted(set(values)) or values[0] <= 0:
                raise ConfigError(f"study.{key}: expected different positive values in rising order, got {values}")

    def is_held_out(self, size: int, amount: int) -> bool:
        """Return whether a cell waits for `--release-holdout`; by places in `sizes` and `amounts`."""
        if self.holdout == "none":
            return False
        at_top_size = self.holdout == "top" and len(self.sizes) > 1 and size == len(self.sizes) - 1
        return amount == len(self.amounts) - 1 or at_top_size

    def runs(self) -> list[StudyRun]:
        """Return every run, the most expensive first: they would otherwise be waited for at the end."""
        found = [
            StudyRun(
                name=f"n{size.size}-d{amount.amount:g}-s{seed}",
                size=i,
                amount=j,
                seed=seed,
                held_out=self.is_held_out(i, j),
            )
            for i, size in enumerate(self.sizes)
            for j, amount in enumerate(self.amounts)
            for seed in range(self.training.seed, self.training.seed + self.num_seeds)
        ]
        return sorted(found, key=lambda run: -self.planned_s(run.size, self.amounts[run.amount].steps))

    def checked_runs(self) -> list[StudyRun]:
        """Return the runs that are made once more, longer: the most data not held out, smallest and largest size."""
        free = [run for run in self.runs() if not run.held_out and run.seed == self.training.seed]
        if not self.longer or not free:
            return []
        most, sizes = max(run.amount for run in free), {run.size for run in free}
        found = [run for run in free if run.amount == most and run.size in (min(sizes), max(sizes))]
        return sorted(found, key=lambda run: run.size)

    def longer_steps(self, run: StudyRun) -> int:
        """Return the steps of a run that is made once more."""
        return round(self.longer * self.amounts[run.amount].steps)

    def planned_s(self, size: int, steps: int) -> float:
        """Return seconds that a run should take; steps x parameters where nobody measured."""
        one = self.sizes[size]
        return steps * (one.step_s or one.size * 1e-7) + one.judge_s + STARTUP_S


STARTUP_S = 2.0
"""Seconds to open stores and build a model."""


def save_study(study: Study, folder: Path, promised: Mapping[str, Json]) -> Path:
    """Freeze a study with what the plan promised; raises ConfigError where the folder holds another one."""
    path = folder / "study.json"
    content: dict[str, Json] = {
        "format": FORMAT,
        "version": VERSION,
        "study": to_dict(study),
        "promised": dict(promised),
    }
    if path.exists():
        raise ConfigError(
            f"{path}: a study already exists here and cannot be changed; give another --out, or delete it"
        )
    write_whole(path, content)
    return path


def load_study(folder: Path) -> Study:
    """Read what `save_study` wrote.

    Raises:
        ConfigError: no study, of another version, or changed by hand into something that cannot be.
    """
    path = folder / "study.json" if folder.suffix != ".json" else folder
    try:
        raw = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: not a study ({error}); make one with 'counterpoint scale plan'") from error
    if not isinstance(raw, dict) or (raw.get("format"), raw.get("version")) != (FORMAT, VERSION):
        raise ConfigError(f"{path}: expected {FORMAT!r} version {VERSION}; plan the study again")
    return from_dict(Study, raw["study"])


def write_whole(path: Path, content: dict[str, Json]) -> None:
    """Write a JSON file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(finite_json(content), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    part.replace(path)
