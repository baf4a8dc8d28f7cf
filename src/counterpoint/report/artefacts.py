"""The contents of a run folder, read from disk. Any part may be missing.

    RUN/data/*            stores                         RUN/offline.json   {"results": [...]}
    RUN/train/metrics.jsonl (or RUN/metrics.jsonl)       RUN/rollout.json   {"results": [...]}
    RUN/stages.jsonl      cost of each stage             RUN/law.json       {"points": [...], "fits": {...}}

Rows are plain JSON, documented where they are made (`evaluate.offline`, `evaluate.rollout`,
`scaling.study.curve`). `number` reads a missing number as NaN.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from counterpoint.catalog import Summary, summarize
from counterpoint.core.errors import CounterpointError
from counterpoint.core.records import Json, read_records
from counterpoint.store import Store

Row = dict[str, Json]


@dataclass(frozen=True, kw_only=True)
class Artefacts:
    """Everything a report is made from."""

    run: Path
    stores: dict[str, Store]
    """Stores of the run by folder name."""
    summaries: dict[str, Summary]
    metrics: list[Row]
    """Training metric records, in order of step."""
    training: Row
    """Last config record of the training run: `config` and `data`."""
    offline: list[Row]
    rollouts: list[Row]
    law: Row
    stages: list[Row]
    """Cost records: `stage`, `seconds`, `cores`."""


def load_artefacts(run: Path) -> Artefacts:
    """Read whichever artefacts the run has.

    Raises:
        CounterpointError: the folder holds none, or one is damaged (names the file).
    """
    stores = {path.name: Store.open(path) for path in sorted((run / "data").glob("*")) if path.is_dir()}
    metrics_file = next((path for path in (run / "train/metrics.jsonl", run / "metrics.jsonl") if path.is_file()), None)
    metrics = [] if metrics_file is None else read_records(metrics_file, "metric")
    configs = [] if metrics_file is None else read_records(metrics_file, "config")
    stages = run / "stages.jsonl"
    artefacts = Artefacts(
        run=run,
        stores=stores,
        summaries={name: summarize(store) for name, store in stores.items()},
        metrics=metrics,
        training=configs[-1] if configs else {},
        offline=rows(_read(run / "offline.json"), "results"),
        rollouts=rows(_read(run / "rollout.json"), "results"),
        law=_read(run / "law.json"),
        stages=read_records(stages, "cost") if stages.is_file() else [],
    )
    if not any((stores, metrics, artefacts.offline, artefacts.rollouts, artefacts.law, artefacts.stages)):
        raise CounterpointError(
            f"{run}: nothing to report here; expected a folder that 'counterpoint demo' or 'counterpoint train' wrote"
        )
    return artefacts


def number(row: Mapping[str, Json], key: str) -> float:
    """Return a number of a row; NaN where it is missing or null."""
    value = row.get(key)
    return float(value) if isinstance(value, int | float) else math.nan


def tried(rollouts: Sequence[Row]) -> list[Row]:
    """Return the rollouts with a success rate; those that the time budget did not reach have none."""
    return [row for row in rollouts if math.isfinite(number(row, "success_rate"))]


def numbers(row: Mapping[str, Json], key: str) -> list[float]:
    """Return a list of numbers of a row; empty where it is missing, NaN for null."""
    value = row.get(key)
    items = value if isinstance(value, list) else []
    return [float(item) if isinstance(item, int | float) else math.nan for item in items]


def text(row: Mapping[str, Json], key: str) -> str:
    """Return a word of a row; empty where it is missing."""
    value = row.get(key)
    return value if isinstance(value, str) else ""


def part(row: Mapping[str, Json], key: str) -> Row:
    """Return an object of a row; empty where it is missing."""
    value = row.get(key)
    return value if isinstance(value, dict) else {}


def rows(row: Mapping[str, Json], key: str) -> list[Row]:
    """Return the objects of a list; empty where it is missing."""
    value = row.get(key)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _read(path: Path) -> Row:
    if not path.is_file():
        return {}
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise CounterpointError(
            f"{path}: cannot be read ({error}); delete it and run the stage that writes it once more"
        ) from error
    if not isinstance(raw, dict):
        raise CounterpointError(f"{path}: expected one JSON object, got {type(raw).__name__}")
    return cast(Row, raw)
