"""A finding of a check: its range, its severity, the measured value and the threshold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.stream import Stream

Severity = Literal["note", "warn", "fail"]
Verdict = Literal["ok", "warn", "fail"]
CheckName = Literal[
    "gap",
    "drop",
    "rate",
    "repeated_time",
    "arrival_order",
    "clock_step",
    "clock_drift",
    "clock_skew",
    "idle",
    "frozen",
    "stuck",
    "jump",
    "limits",
    "saturation",
    "lag",
    "frozen_camera",
    "dark",
    "blur",
    "unreadable",
]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
CHECKS: tuple[CheckName, ...] = get_args(CheckName)
PICTURE_CHECKS: frozenset[CheckName] = frozenset({"frozen_camera", "dark", "blur"})
"""Checks that look at pixels; the others need only numbers and times."""
MEANING: dict[CheckName, str] = {
    "gap": "no sample for three periods and 50 ms",
    "drop": "more than 2% of the samples are missing",
    "rate": "a rate other than the declared one",
    "repeated_time": "several samples share one capture time",
    "arrival_order": "samples arrive in another order than they were captured",
    "clock_step": "the delay from capture to arrival jumps",
    "clock_drift": "capture and arrival clocks drift apart",
    "clock_skew": "two streams show one motion at different times",
    "idle": "nothing moves",
    "frozen": "all channels repeat the same numbers",
    "stuck": "one joint repeats a number while it is commanded to move",
    "jump": "a step at least 30 times as unexpected as usual",
    "limits": "samples outside the limits of the robot's model",
    "saturation": "a command pinned at the end of its range",
    "lag": "the state follows the command too late or too early",
    "frozen_camera": "the picture stands still while joints move",
    "dark": "the picture is dark or black",
    "blur": "the picture is blurred, fogged or empty",
    "unreadable": "the episode cannot be read",
}
"""A one-line description of each check."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that a check found in one episode."""

    check: CheckName
    stream: str
    severity: Severity
    start_ns: int
    end_ns: int
    """Last capture time in the range."""
    value: float
    """What was measured, in the unit of `threshold`."""
    threshold: float
    channel: str = ""
    """The channel, or the other stream, that shows it most; empty where it is the whole stream."""


def verdict(findings: Iterable[Finding]) -> Verdict:
    """Return the worst that was found: `ok` where there are only notes, or nothing."""
    found = {finding.severity for finding in findings}
    return "fail" if "fail" in found else "warn" if "warn" in found else "ok"


def spans(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the runs of True as half-open index ranges, int64 [n, 2]."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return edges.reshape(-1, 2).astype(np.int64)


def ranged(
    check: CheckName,
    stream: str,
    severity: Severity,
    span: tuple[int, int],
    value: float,
    threshold: float,
    channel: str = "",
) -> Finding:
    """Return a finding about the samples of a stream captured in `span`: first and last time, ns, both included."""
    start, end = span
    return Finding(
        check=check,
        stream=stream,
        severity=severity,
        start_ns=int(start),
        end_ns=int(end),
        value=float(value),
        threshold=float(threshold),
        channel=channel,
    )


def whole(
    check: CheckName, stream: Stream, severity: Severity, value: float, threshold: float, channel: str = ""
) -> Finding:
    """Return a finding about a stream from its first sample to its last; it must have samples."""
    span = int(stream.capture_ns[0]), int(stream.capture_ns[-1])
    return ranged(check, stream.spec.name, severity, span, value, threshold, channel)
