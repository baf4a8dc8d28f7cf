"""Checks of camera pictures: frozen while joints move, dark, or blurred. They need only the luma of the training view.

Changes are measured on thumbnails; brightness and sharpness on the pictures of the view, whose longest side is 224
pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterpoint.catalog.quality.finding import Finding, Severity, ranged, spans
from counterpoint.catalog.quality.motion import joint_speed, joint_streams
from counterpoint.catalog.quality.thresholds import Picture
from counterpoint.core.stream import Stream

THUMBNAIL = 32
"""Longest side of the thumbnails that are compared, pixels."""
MAX_GROUP = 64
"""Pictures whose Laplacian is taken at a time, to bound memory."""

Luma = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, eq=False)
class PictureTrack:
    """What the checks need of a camera's pictures; every array is [pictures]."""

    stream: str
    capture_ns: NDArray[np.int64]
    brightness: NDArray[np.float64]
    """Mean luma, 0 to 255."""
    sharpness: NDArray[np.float64]
    """Variance of the Laplacian."""
    change: NDArray[np.float64]
    """Mean difference of the thumbnail to the one before; infinite for the first."""


def measure(stream: str, capture_ns: NDArray[np.int64], luma: Luma) -> PictureTrack:
    """Return brightness, sharpness and change of pictures, uint8 [n, height, width], full range 0 to 255."""
    small = thumbnails(luma)
    change = np.abs(np.diff(small, axis=0)).mean(axis=(1, 2))
    groups = [luma[first : first + MAX_GROUP] for first in range(0, len(luma), MAX_GROUP)]
    sharp = np.concatenate([laplacian_variance(group) for group in groups]) if groups else np.empty(0)
    return PictureTrack(
        stream=stream,
        capture_ns=capture_ns,
        brightness=luma.mean(axis=(1, 2)) if len(luma) else np.empty(0),
        sharpness=sharp,
        change=np.concatenate([[np.inf], change])[: len(luma)],
    )


def full_range(luma: Luma) -> Luma:
    """Spread video luma, 16 to 235, over 0 to 255."""
    table = np.clip(np.rint((np.arange(256) - 16) * (255 / 219)), 0, 255).astype(np.uint8)
    return np.asarray(table[luma])


def thumbnails(luma: Luma) -> NDArray[np.float32]:
    """Return pictures [n, height, width] as means of square blocks, longest side at most 32 pixels."""
    count, height, width = luma.shape
    block = max(1, -(-max(height, width) // THUMBNAIL))
    rows, cols = max(1, height // block), max(1, width // block)
    high, wide = min(block, height), min(block, width)
    cut = luma[:, : rows * high, : cols * wide].reshape(count, rows, high, cols, wide)
    return np.asarray(cut.mean(axis=(2, 4), dtype=np.float32))


def laplacian_variance(luma: Luma) -> NDArray[np.float64]:
    """Return the variance of the 4-neighbour Laplacian of each picture, [n]."""
    if min(luma.shape[1:]) < 3:
        return np.full(len(luma), np.inf)
    wide = luma.astype(np.int16)
    bend = wide[:, 1:-1, :-2] + wide[:, 1:-1, 2:] + wide[:, :-2, 1:-1] + wide[:, 2:, 1:-1] - 4 * wide[:, 1:-1, 1:-1]
    flat = bend.reshape(len(luma), -1).astype(np.float32)
    return np.asarray(flat.var(axis=1, dtype=np.float64))


def check_dark(track: PictureTrack, limits: Picture) -> list[Finding]:
    """Find dark stretches (warn) and black ones (fail)."""
    black = track.brightness < limits.black
    dark = (track.brightness < limits.dark) & ~black
    found: list[Finding] = []
    severities: tuple[tuple[Severity, NDArray[np.bool_], float], ...] = (
        ("fail", black, limits.black),
        ("warn", dark, limits.dark),
    )
    for severity, mask, threshold in severities:
        for first, last, span in _ranges(track, mask, limits.dark_s):
            found.append(ranged("dark", track.stream, severity, span, track.brightness[first:last].min(), threshold))
    return found


def check_blur(track: PictureTrack, limits: Picture) -> list[Finding]:
    """Find blurred stretches; what is black is not called blurred too."""
    blurred = (track.sharpness < limits.sharpness) & (track.brightness >= limits.black)
    return [
        ranged("blur", track.stream, "warn", span, np.median(track.sharpness[first:last]), limits.sharpness)
        for first, last, span in _ranges(track, blurred, limits.blur_s)
    ]


def check_frozen_camera(track: PictureTrack, streams: Mapping[str, Stream], limits: Picture) -> list[Finding]:
    """Find pictures that stand still while joints move; black ones are left to the check of darkness.

    The first picture of a coded group differs a little from the same picture coded as a difference, so a single
    small change within a standstill does not end it.
    """
    is_lit = track.brightness >= limits.black
    still = (track.change < limits.frozen_difference) & is_lit
    small = (track.change < 20 * limits.frozen_difference) & is_lit
    lone = small & ~still
    lone[1:] &= still[:-1]
    lone[:-1] &= still[1:]
    found = []
    for first, last in spans(still | lone):
        start, end = int(track.capture_ns[first - 1]), int(track.capture_ns[last - 1])
        seconds = (end - start) / 1e9
        if seconds < limits.frozen_s or _moving_share(list(streams.values()), start, end, limits.moving_speed) < 0.5:
            continue
        severity: Severity = "fail" if seconds >= limits.frozen_fail_s else "warn"
        found.append(ranged("frozen_camera", track.stream, severity, (start, end), seconds, limits.frozen_s))
    return found


def _moving_share(streams: Sequence[Stream], start: int, end: int, speed: float) -> float:
    """Return the share of [start, end] in which some joint moves at least so fast."""
    share = 0.0
    for stream in joint_streams({each.spec.name: each for each in streams}):
        part = stream.between(start, end)
        if len(part) > 10:
            share = max(share, float((joint_speed(part, 0.1)[0] > speed).mean()))
    return share


def _ranges(track: PictureTrack, mask: NDArray[np.bool_], least_s: float) -> list[tuple[int, int, tuple[int, int]]]:
    """Return (first, last, (start_ns, end_ns)) of the runs of True that last so long with the last picture's period."""
    if len(track.capture_ns) < 2:
        return []
    period = int(np.median(np.diff(track.capture_ns)))
    found = []
    for first, last in spans(mask):
        start, end = int(track.capture_ns[first]), int(track.capture_ns[last - 1])
        if end - start + period >= least_s * 1e9:
            found.append((int(first), int(last), (start, end)))
    return found
