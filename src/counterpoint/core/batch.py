"""A batch: what `data` packs and `model.loss` reads. Plain NumPy arrays without padded channels.

A batch is `windows` windows. Each has up to `tokens` sensing tokens and `branches` decisions:

    window w:  sensing  [e0 e1 e2 ...          ]  capture_s, arrival_s      (arrival +inf = no token)
               decision    s0       s1    s2      decision_s, delay_s
               acting      [knots]  [knots] ...   values at decision_s + knot_s

Vector tokens are grouped by their channels and descriptors, so robots with 6 and 26 channels share a batch
without padded columns. All times are float32 seconds after the window's start.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
Int = NDArray[np.int64]
Bool = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class VectorTokens:
    """Sensing tokens that share their channels: one token per event."""

    descriptors: Float
    """[channels, DESCRIPTOR_DIM]."""
    values: Float
    """[n, channels], normalised."""
    slot: Int
    """[n], index into the flattened [windows * tokens] grid."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageTokens:
    """Sensing tokens made of image patches: one token per patch, in row-major order."""

    patches: NDArray[np.uint8]
    """[n, patch, patch, 3]."""
    position: Float
    """[n, 2], row and column of the patch's centre in [0, 1]."""
    camera: Int
    """[n], a stable small hash of the camera's name, below the model's `num_cameras`."""
    slot: Int
    """[n]."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TextTokens:
    """Sensing tokens made of hashed words and letter groups: one token per text."""

    features: Int
    """[n, features], hash buckets; -1 marks unused entries."""
    slot: Int
    """[n]."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ActingTokens:
    """Action chunks of the windows of one embodiment."""

    embodiment: str
    descriptors: Float
    """[channels, DESCRIPTOR_DIM]."""
    values: Float
    """[n, branches, knots, channels]: normalised actions, relative to the decision's base for joints."""
    prefix: Float
    """The same shape: what the model is told of committed knots. When serving, these are the commands on their way; in
    training they are `values`, disturbed so that the model does not learn to copy them."""
    valid: Bool
    """[n, branches, knots]: False beyond the episode's last action; such knots carry no loss."""
    window: Int
    """[n], rows of the batch."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """One step's worth of windows; see the module's picture."""

    capture_s: Float
    """[windows, tokens]."""
    arrival_s: Float
    """[windows, tokens]; +inf marks a slot without a token."""
    decision_s: Float
    """[windows, branches]."""
    delay_s: Float
    """[windows, branches]: knots before this offset are committed and carry no loss."""
    prefix_s: Float
    """[windows, branches]: knots before this offset enter clean. Equal to `delay_s`, or 0 where training hides the
    committed knots."""
    knot_s: Float
    """[knots]: offsets from the decision on, increasing, the first 0."""
    vectors: tuple[VectorTokens, ...]
    images: tuple[ImageTokens, ...]
    texts: tuple[TextTokens, ...]
    acting: tuple[ActingTokens, ...]
    experience_s: float = 0.0
    """Robot time that the windows cover, in seconds, for throughput."""

    @property
    def num_windows(self) -> int:
        """Number of windows."""
        return int(self.capture_s.shape[0])
