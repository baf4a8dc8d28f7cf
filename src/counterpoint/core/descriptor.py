"""A channel described to the model in numbers.

The input and output projections of the model are functions of these rows, so a new robot needs no new parameters.
Values are of order one; `DESCRIPTOR_VERSION` is part of a checkpoint.

    [quantity one-hot | part one-hot | side one-hot | limits 4 | chain 3 | axis 3 | anchor 3 | reference 2]
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.embodiment import PARTS, QUANTITIES, SIDES, Channel

DESCRIPTOR_VERSION = 1
DESCRIPTOR_DIM = len(QUANTITIES) + len(PARTS) + len(SIDES) + 4 + 3 + 3 + 3 + 2


def describe(channels: Sequence[Channel]) -> NDArray[np.float32]:
    """Return descriptors, float32 [channels, DESCRIPTOR_DIM]."""
    rows = [_row(channel) for channel in channels]
    return np.asarray(rows, dtype=np.float32).reshape(len(rows), DESCRIPTOR_DIM)


def _row(channel: Channel) -> list[float]:
    limits = [math.tanh(channel.lower / math.pi), math.tanh(channel.upper / math.pi)]
    limits += [float(math.isfinite(channel.lower)), float(math.isfinite(channel.upper))]
    chain = [
        channel.chain_index / 8.0,
        (channel.chain_index + 1) / max(channel.chain_length, 1),
        channel.chain_length / 8.0,
    ]
    reference = [math.sin(channel.reference), math.cos(channel.reference)]
    return [
        *(float(channel.quantity == quantity) for quantity in QUANTITIES),
        *(float(channel.part == part) for part in PARTS),
        *(float(channel.side == side) for side in SIDES),
        *limits,
        *chain,
        *channel.axis,
        *channel.anchor,
        *reference,
    ]
