"""Encoded windows, and packing them into a batch: tokens of equal layout side by side, nothing padded but slots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.batch import ActingTokens, Batch, ImageTokens, TextTokens, VectorTokens
from counterpoint.core.errors import ConfigError
from counterpoint.data.encoding.tracks import Layout

Float = NDArray[np.float32]
Int = NDArray[np.int64]
Bool = NDArray[np.bool_]

PAD_TO = 8
"""Slots of a batch are rounded up to a multiple of this, so that shapes repeat."""


@dataclass(frozen=True, kw_only=True, eq=False)
class VectorPiece:
    """Vector tokens of one window and one layout."""

    layout: Layout
    values: Float
    """[n, channels], normalised."""
    place: Int
    """[n], places among the window's tokens."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ImagePiece:
    """Patches of one window and one camera."""

    patches: NDArray[np.uint8]
    """[n, patch, patch, 3]."""
    position: Float
    """[n, 2]."""
    camera: int
    place: Int
    """[n]."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TextPiece:
    """Texts of one window."""

    features: Int
    """[n, features]."""
    place: Int
    """[n]."""


@dataclass(frozen=True, kw_only=True, eq=False)
class EncodedWindow:
    """One window, normalised; times in seconds after `origin_ns`, tokens in order of arrival."""

    embodiment: str
    origin_ns: int
    capture_s: Float
    """[tokens]."""
    arrival_s: Float
    """[tokens], non-decreasing."""
    vectors: tuple[VectorPiece, ...]
    images: tuple[ImagePiece, ...]
    texts: tuple[TextPiece, ...]
    decision_s: Float
    """[branches]."""
    delay_s: Float
    """[branches]."""
    acting: Layout
    values: Float
    """[branches, knots, channels], normalised."""
    prefix: Float
    """[branches, knots, channels], normalised: what committed knots are said to be."""
    prefix_s: Float
    """[branches]: the prefix reaches so far, 0 where it is hidden."""
    valid: Bool
    """[branches, knots]."""
    base: Float
    """[branches, channels], what relative channels are relative to, physical units."""
    start: Float
    """[branches, channels], what the robot is commanded at the decision, physical units."""
    knot_s: Float
    """[knots], offsets after a decision."""
    experience_s: float = 0.0
    """Robot time from the first to the last decision plus one mean gap."""


def pack(windows: Sequence[EncodedWindow], *, tokens: int | None = None) -> Batch:
    """Return the windows as one batch; `tokens` fixes the number of slots (default: what the longest needs).

    Raises:
        ConfigError: no windows, windows of different shapes, or more tokens than slots.
    """
    if not windows:
        raise ConfigError("pack: expected at least one window, got none")
    shapes = {(len(window.decision_s), len(window.knot_s)) for window in windows}
    if len(shapes) > 1:
        raise ConfigError(f"pack: windows of one batch need equal branches and knots, got {sorted(shapes)}")
    longest = max(len(window.arrival_s) for window in windows)
    slots = tokens if tokens is not None else max(PAD_TO, -(-longest // PAD_TO) * PAD_TO)
    if longest > slots:
        raise ConfigError(f"pack: a window has {longest} tokens, only {slots} slots; raise `tokens` or leave it out")
    capture_s = np.zeros((len(windows), slots), dtype=np.float32)
    arrival_s = np.full((len(windows), slots), np.inf, dtype=np.float32)
    for row, window in enumerate(windows):
        count = len(window.arrival_s)
        capture_s[row, :count] = window.capture_s
        arrival_s[row, :count] = window.arrival_s
    return Batch(
        capture_s=capture_s,
        arrival_s=arrival_s,
        decision_s=np.stack([window.decision_s for window in windows]),
        delay_s=np.stack([window.delay_s for window in windows]),
        prefix_s=np.stack([window.prefix_s for window in windows]),
        knot_s=windows[0].knot_s,
        vectors=_vectors(windows, slots),
        images=_images(windows, slots),
        texts=_texts(windows, slots),
        acting=_acting(windows),
        experience_s=sum(window.experience_s for window in windows),
    )


def _vectors(windows: Sequence[EncodedWindow], slots: int) -> tuple[VectorTokens, ...]:
    groups: dict[bytes, list[tuple[int, VectorPiece]]] = {}
    for row, window in enumerate(windows):
        for piece in window.vectors:
            groups.setdefault(piece.layout.key, []).append((row * slots, piece))
    return tuple(
        VectorTokens(
            descriptors=group[0][1].layout.descriptors,
            values=np.concatenate([piece.values for _, piece in group]),
            slot=np.concatenate([piece.place + offset for offset, piece in group]),
        )
        for _, group in sorted(groups.items())
    )


def _images(windows: Sequence[EncodedWindow], slots: int) -> tuple[ImageTokens, ...]:
    pieces = [(row * slots, piece) for row, window in enumerate(windows) for piece in window.images]
    if not pieces:
        return ()
    return (
        ImageTokens(
            patches=np.concatenate([piece.patches for _, piece in pieces]),
            position=np.concatenate([piece.position for _, piece in pieces]),
            camera=np.concatenate([np.full(len(piece.place), piece.camera, np.int64) for _, piece in pieces]),
            slot=np.concatenate([piece.place + offset for offset, piece in pieces]),
        ),
    )


def _texts(windows: Sequence[EncodedWindow], slots: int) -> tuple[TextTokens, ...]:
    pieces = [(row * slots, piece) for row, window in enumerate(windows) for piece in window.texts]
    if not pieces:
        return ()
    features = np.concatenate([piece.features for _, piece in pieces])
    return (TextTokens(features=features, slot=np.concatenate([piece.place + offset for offset, piece in pieces])),)


def _acting(windows: Sequence[EncodedWindow]) -> tuple[ActingTokens, ...]:
    groups: dict[str, list[int]] = {}
    for row, window in enumerate(windows):
        groups.setdefault(window.embodiment, []).append(row)
    return tuple(
        ActingTokens(
            embodiment=name,
            descriptors=windows[rows[0]].acting.descriptors,
            values=np.stack([windows[row].values for row in rows]),
            prefix=np.stack([windows[row].prefix for row in rows]),
            valid=np.stack([windows[row].valid for row in rows]),
            window=np.array(rows, dtype=np.int64),
        )
        for name, rows in sorted(groups.items())
    )
