"""Marks in words: what was found, how much of it, and when."""

from __future__ import annotations

from dataclasses import dataclass

from counterpoint.catalog.quality import CheckName, Severity


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One row of the marks of a store."""

    episode_id: str
    check: CheckName
    stream: str
    channel: str
    severity: Severity
    start_ns: int
    end_ns: int
    value: float
    threshold: float
    drop: bool


PHRASES: dict[CheckName, str] = {
    "gap": "no sample for {value:.0f} ms (limit {threshold:.0f} ms)",
    "drop": "{percent:.1f}% of the samples are missing",
    "rate": "the sampling period differs by {signed:+.0f}% from the stream's own rate",
    "repeated_time": "{percent:.1f}% of the samples repeat the previous capture time",
    "arrival_order": "{percent:.1f}% of the samples arrive after samples that were captured later",
    "clock_step": "the delay from capture to arrival jumps by {value:+.1f} ms",
    "clock_drift": "capture and arrival clocks drift apart by {value:+.1f} ms a minute",
    "clock_skew": "shows the motion of {channel} {value:+.0f} ms late",
    "idle": "no joint moves for {seconds:.1f} s",
    "frozen": "all values repeat for {value:.1f} s",
    "stuck": "{channel} repeats one value for {value:.1f} s while it is commanded to move",
    "jump": "{channel} jumps by {value:.0f} times its usual step",
    "limits": "{channel} is outside its limits in {percent:.1f}% of the samples",
    "saturation": "{channel} is at one end of its range in {percent:.0f}% of the samples",
    "lag": "the state follows the command by {value:.0f} ms",
    "frozen_camera": "the picture does not change for {value:.1f} s while joints move",
    "dark": "mean brightness falls to {value:.0f} of 255",
    "blur": "sharpness is {value:.0f}, below {threshold:.0f}",
    "unreadable": "the episode cannot be read",
}


def phrase(mark: Mark) -> str:
    """Return what was found, in one clause."""
    text = PHRASES[mark.check].format(
        value=mark.value,
        threshold=mark.threshold,
        percent=100 * mark.value,
        signed=100 * mark.value,
        seconds=(mark.end_ns - mark.start_ns) / 1e9,
        channel=mark.channel or "a channel",
    )
    if mark.check == "lag":
        text = text if mark.value >= 0 else f"the state moves {-mark.value:.0f} ms before its command"
        return f"{text} ({mark.channel})" if mark.channel else text
    return text


def title(check: str) -> str:
    """Return the name of a check for people."""
    return check.replace("_", " ")


def time_of(mark: Mark, start_ns: int) -> str:
    """Return when it happened, in seconds from the start of the episode."""
    start, end = (mark.start_ns - start_ns) / 1e9, (mark.end_ns - start_ns) / 1e9
    return f"at {start:.2f} s" if end - start < 0.05 else f"{start:.1f} to {end:.1f} s"


def hours(value: float) -> str:
    """Return robot time with a unit that suits it."""
    if value >= 2:
        return f"{value:.1f} h"
    return f"{60 * value:.1f} min" if value >= 1 / 30 else f"{3600 * value:.1f} s"
