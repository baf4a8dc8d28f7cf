"""Summary of the marks: hours by verdict, and the findings of each check by robot, site and task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from counterpoint.catalog.marks import MarkFiles, dropped_seconds
from counterpoint.catalog.quality.finding import CHECKS, SEVERITIES, CheckName, Severity, Verdict
from counterpoint.core.records import Json

VERDICTS: tuple[Verdict, ...] = ("ok", "warn", "fail")
UNKNOWN = "(unknown)"


@dataclass(frozen=True, kw_only=True)
class CheckCount:
    """What one check found."""

    check: CheckName
    marks: dict[Severity, int]
    episodes: int
    """Episodes with at least one mark of it, notes included."""
    faulty: int
    """Episodes with a warning or failure of it."""
    seconds: float
    """Robot time of its marks; an instant counts once for each mark."""


@dataclass(frozen=True, kw_only=True)
class GroupCount:
    """Verdicts on the episodes of a robot, a site or a task."""

    name: str
    episodes: dict[Verdict, int]
    hours: dict[Verdict, float]
    worst: tuple[CheckName, ...]
    """Checks that warn or fail most often, at most three."""


@dataclass(frozen=True, kw_only=True)
class CheckSummary:
    """All marks of a store in numbers."""

    episodes: dict[Verdict, int]
    hours: dict[Verdict, float]
    dropped_hours: float
    """Robot time excluded from training."""
    unseen: int
    """Checked episodes whose cameras were not checked, because they are not in the video view."""
    checks: tuple[CheckCount, ...]
    """Those that found anything, in the order of CHECKS."""

    def to_dict(self) -> dict[str, Json]:
        """Return plain JSON values."""
        return cast(dict[str, Json], {**asdict(self), "checks": [asdict(each) for each in self.checks]})


def summarize_marks(files: MarkFiles) -> CheckSummary:
    """Count verdicts, hours and marks of all checked episodes."""
    checked, marks = files.checked, files.marks
    hours = _hours(checked)
    return CheckSummary(
        episodes={name: int((checked["verdict"].to_numpy(zero_copy_only=False) == name).sum()) for name in VERDICTS},
        hours={name: float(hours[_is(checked["verdict"], name)].sum()) for name in VERDICTS},
        dropped_hours=dropped_seconds(marks) / 3600,
        unseen=int(_is(checked["pictures"], "unseen").sum()),
        checks=tuple(_count(marks, name) for name in CHECKS if _is(marks["check"], name).any()),
    )


def group_counts(files: MarkFiles, flat: pa.Table, key: str) -> tuple[GroupCount, ...]:
    """Count verdicts by a column of `Store.flat()`, most hours first; an empty name is `(unknown)`."""
    named = flat.select(["episode_id", key])
    checked = files.checked.join(named, "episode_id").sort_by("episode_id")
    faulty = files.marks.filter(pc.not_equal(files.marks["severity"], "note"))
    pairs = faulty.select(["episode_id", "check"]).group_by(["episode_id", "check"]).aggregate([])
    pairs = pairs.join(named, "episode_id")
    hours = _hours(checked)
    groups = []
    for name in checked[key].unique().to_pylist():
        inside = _is(checked[key], name)
        verdicts = {each: inside & _is(checked["verdict"], each) for each in VERDICTS}
        counts = _value_counts(pairs["check"].filter(pc.equal(pairs[key], name)))
        groups.append(
            GroupCount(
                name=name or UNKNOWN,
                episodes={each: int(rows.sum()) for each, rows in verdicts.items()},
                hours={each: float(hours[rows].sum()) for each, rows in verdicts.items()},
                worst=cast(tuple[CheckName, ...], tuple(sorted(counts, key=lambda each: -counts[each])[:3])),
            )
        )
    return tuple(sorted(groups, key=lambda group: -sum(group.hours.values())))


def _count(marks: pa.Table, check: CheckName) -> CheckCount:
    rows = marks.filter(pc.equal(marks["check"], check))
    faulty = rows["episode_id"].filter(pc.not_equal(rows["severity"], "note"))
    return CheckCount(
        check=check,
        marks={name: int(_is(rows["severity"], name).sum()) for name in SEVERITIES},
        episodes=len(rows["episode_id"].unique()),
        faulty=len(faulty.unique()),
        seconds=float(pc.sum(pc.subtract(rows["end_ns"], rows["start_ns"])).as_py() or 0) / 1e9,
    )


def _value_counts(column: pa.ChunkedArray) -> Mapping[str, int]:
    return {row["values"]: row["counts"] for row in column.value_counts().to_pylist()}


def _is(column: pa.ChunkedArray, value: str) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.asarray(pc.equal(column, value).to_numpy(), dtype=np.bool_)


def _hours(checked: pa.Table) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    spent = pc.subtract(checked["end_ns"], checked["start_ns"]).to_numpy()
    return np.asarray(spent, dtype=np.float64) / 3.6e12
