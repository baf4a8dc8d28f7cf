"""A fingerprint of an episode, nearly the same in whatever format it was recorded; for duplicates and the map.

trajectory  SimHash64 over the bag of (value, value 1/4 s later, value 1/2 s later) of each channel: no clock,
            no channel order and no stream names enter, so another format or a trimmed start changes few bits
video       pHash63 of three frames of each camera
shape       how motion is spread over time and joints, independent of the number of joints
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.embodiment import Quantity
from counterpoint.core.errors import StoreError, StreamError
from counterpoint.core.stream import Stream
from counterpoint.store import EpisodeInfo, Store
from counterpoint.store.views.video_view import ViewFrames

Hashes = NDArray[np.uint64]
Floats = NDArray[np.float64]

VERSION = 1
STATES = ("proprioception", "tool_pose", "action")
"""The trajectory is the first of these that an episode has, else its first vector stream."""
STEP_S = 0.0125
"""Time between tokens; short, so that the start of the grid matters little."""
LAGS = (0, 20, 40)
"""Steps between the values of one token."""
CELLS: dict[Quantity, float] = {"joint_position": 0.04, "gripper_opening": 0.08, "position": 0.01, "rotation": 0.04}
"""Width of a cell in the quantity's unit; channels of other quantities count only if none of these exists."""
FRAME_SHARES = (0.1, 0.5, 0.9)
SHAPE_BINS = 16
MOST_STEPS = 288_000
"""An hour at STEP_S: longer episodes are sampled at as many evenly spaced times."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Fingerprint:
    """See the module."""

    episode_id: str
    content_sha256: str
    has_motion: bool
    """Whether any channel moved: episodes without motion are compared by video alone."""
    trajectory: int
    """SimHash, 64 bits."""
    video: tuple[int, ...]
    """pHash, 63 bits each: three frames a camera, cameras by name; empty without pictures."""
    shape: tuple[float, ...]
    """SHAPE_BINS + 4 numbers near 1."""


def fingerprint(store: Store, episode_id: str) -> Fingerprint:
    """Read an episode's state and three frames a camera.

    Raises:
        StoreError: the episode is damaged.
    """
    info = store.info(episode_id)
    rows, cells = _trajectory(store.low(episode_id))
    moving = _is_moving(rows, cells)
    return Fingerprint(
        episode_id=episode_id,
        content_sha256=info.content_sha256,
        has_motion=bool(moving.any()),
        trajectory=simhash(_tokens(rows, cells)),
        video=_video(store, info, store.video_view()),
        shape=_shape(rows, cells, info.duration_s),
    )


def simhash(tokens: Hashes) -> int:
    """Return 64 bits, each the majority over hashed tokens weighted by the square root of their count.

    Bags that share a share p of their weight differ in about 64 arccos(p) / pi bits.
    """
    unique, counts = np.unique(tokens, return_counts=True)
    votes = np.zeros(64)
    for start in range(0, len(unique), 65_536):
        mixed = _mix(unique[start : start + 65_536])
        bits = np.unpackbits(mixed.view(np.uint8).reshape(-1, 8), axis=1, bitorder="little").astype(np.float64)
        votes += np.sqrt(counts[start : start + 65_536]) @ (2.0 * bits - 1.0)
    return int(np.packbits(votes > 0, bitorder="little").view(np.uint64)[0])


def phash(luma: NDArray[np.uint8]) -> int:
    """Return the 63-bit perceptual hash of a grey picture [height, width]: signs of its low frequencies.

    The picture is averaged to 32 x 32; of its 8 x 8 lowest cosine terms, each but the mean is compared with the median.
    """
    small = _average(luma.astype(np.float64), 32)
    basis = np.cos(np.pi * (2 * np.arange(32)[None, :] + 1) * np.arange(8)[:, None] / 64)
    terms = (basis @ small @ basis.T).ravel()[1:]
    bits = terms > np.median(terms)
    return sum(1 << place for place, bit in enumerate(bits.tolist()) if bit)


def _trajectory(streams: dict[str, Stream]) -> tuple[Floats, Floats]:
    """Return values on an even grid [steps, channels] and the width of a cell of each channel."""
    vectors = {name: stream for name, stream in streams.items() if stream.spec.kind == "vector" and len(stream)}
    names = [name for name in STATES if name in vectors] or list(vectors)[:1]
    if not names:
        return np.zeros((0, 0)), np.zeros(0)
    stream = vectors[names[0]]
    channels = stream.spec.channels
    kept = [i for i, channel in enumerate(channels) if channel.quantity in CELLS] or list(range(len(channels)))
    values = np.asarray(stream.values, np.float64)[:, kept]
    seconds = (stream.capture_ns - stream.capture_ns[0]) / 1e9
    steps = min(int(seconds[-1] / STEP_S) + 1, MOST_STEPS)
    grid = np.arange(steps) * (STEP_S if steps < MOST_STEPS else seconds[-1] / MOST_STEPS)
    rows = np.stack([np.interp(grid, seconds, values[:, column]) for column in range(len(kept))], axis=1)
    return rows, np.array([_cell(channels[i].quantity, values[:, column]) for column, i in enumerate(kept)])


def _cell(quantity: Quantity, values: Floats) -> float:
    if quantity in CELLS:
        return CELLS[quantity]
    span = float(values.max() - values.min())
    return float(2.0 ** np.round(np.log2(span / 64))) if span > 1e-9 else 1.0


def _is_moving(rows: Floats, cells: Floats) -> NDArray[np.bool_]:
    if not len(rows):
        return np.zeros(len(cells), np.bool_)
    return np.asarray(np.ptp(rows, axis=0) > cells)


def _tokens(rows: Floats, cells: Floats) -> Hashes:
    """Return one token a step and channel; a still channel gives one token with its position."""
    if not rows.size:
        return np.zeros(1, np.uint64)
    moving = _is_moving(rows, cells)
    places = np.floor(rows / cells).astype(np.int64).view(np.uint64)
    still = _mix(_mix(places[:1, ~moving].ravel() + np.uint64(1)))
    chain = places[:, moving]
    if not chain.size:
        return still
    steps = max(len(chain) - LAGS[-1], 1)
    token = np.zeros((steps, chain.shape[1]), np.uint64)
    for lag in LAGS:
        token = _mix(token ^ chain[min(lag, len(chain) - steps) :][:steps])
    return np.concatenate([token.ravel(), still])


def _mix(values: Hashes) -> Hashes:
    """Scatter 64-bit numbers (the finaliser of SplitMix64)."""
    with np.errstate(over="ignore"):
        mixed = values + np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(mixed ^ (mixed >> np.uint64(31)), dtype=np.uint64)


def _shape(rows: Floats, cells: Floats, duration_s: float) -> tuple[float, ...]:
    """Return speed over time, the share of the most moving channels, and the logarithm of the duration."""
    if len(rows) < 2:
        return (0.0,) * (SHAPE_BINS + 3) + (float(np.log1p(max(duration_s, 0.0))),)
    speed = np.abs(np.diff(rows, axis=0)) / cells
    edges = np.linspace(0, len(speed), SHAPE_BINS + 1).astype(int)
    total = speed.sum(axis=1)
    profile = [float(total[a : max(b, a + 1)].mean()) if a < len(total) else 0.0 for a, b in pairwise(edges.tolist())]
    shares = np.sort(speed.sum(axis=0))[::-1]
    shares = np.resize(np.append(shares, [0.0, 0.0, 0.0]), 3) if len(shares) < 3 else shares[:3]
    strongest = shares / max(float(speed.sum()), 1e-9)
    return (*np.log1p(profile).tolist(), *strongest.tolist(), float(np.log1p(duration_s)))


def _video(store: Store, info: EpisodeInfo, view: ViewFrames) -> tuple[int, ...]:
    found: list[int] = []
    images = sorted((each for each in info.streams if each.kind == "image" and each.samples), key=lambda s: s.name)
    for stream in images:
        try:
            pictures = _three_pictures(store, info, stream.name, view)
        except (StoreError, StreamError):
            continue  # a damaged video is reported by `check`; the trajectory is still useful
        found.extend(phash(picture) for picture in pictures)
    return tuple(found)


def _three_pictures(store: Store, info: EpisodeInfo, stream: str, view: ViewFrames) -> list[NDArray[np.uint8]]:
    """Return the grey pictures nearest to FRAME_SHARES of a camera's time: from the training view if possible."""
    in_view = view.has(info.content_sha256, stream)
    capture_ns, _ = (
        view.frame_times(info.content_sha256, stream) if in_view else store.frame_times(info.episode_id, stream)
    )
    wanted = capture_ns[0] + (np.array(FRAME_SHARES) * (capture_ns[-1] - capture_ns[0])).astype(np.int64)
    samples, places = np.unique(np.searchsorted(capture_ns, wanted), return_inverse=True)
    if in_view:
        pictures = view.luma(info.content_sha256, stream, samples)
    else:
        weights = np.array([0.299, 0.587, 0.114])
        pictures = (store.frames(info.episode_id, stream, samples) @ weights).astype(np.uint8)
    return [pictures[place] for place in places]


def _average(picture: Floats, size: int) -> Floats:
    """Average a picture down (or repeat it up) to size x size."""
    rows = np.linspace(0, picture.shape[0], size + 1)
    columns = np.linspace(0, picture.shape[1], size + 1)
    tops = np.minimum(rows[:-1].astype(int), picture.shape[0] - 1)
    lefts = np.minimum(columns[:-1].astype(int), picture.shape[1] - 1)
    down = np.add.reduceat(picture, np.maximum.accumulate(tops), axis=0)
    down = down / np.maximum(np.diff(np.append(tops, picture.shape[0])), 1)[:, None]
    across = np.add.reduceat(down, lefts, axis=1)
    return np.asarray(across / np.maximum(np.diff(np.append(lefts, picture.shape[1])), 1)[None, :])
