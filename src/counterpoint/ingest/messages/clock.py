"""Which of a message's clocks gives its capture time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MAX_OFFSET_NS = 60 * 1_000_000_000
"""A stamp further from the recorder's clock is not from this recording: unset, simulated, or latched long ago."""
TOLERANCE_NS = 1_000_000
"""A stamp at most this far ahead of the recorder's clock is rounding, not an offset between clocks."""


def capture_times(
    stamp_ns: NDArray[np.int64] | None, publish_ns: NDArray[np.int64], log_ns: NDArray[np.int64], name: str
) -> tuple[NDArray[np.int64], list[str]]:
    """Return capture times int64 [samples] and reason codes.

    The sender's stamps are used where all of them are within a minute of the recorder's clock, otherwise the
    publish times (`stamp_not_used:<name>`); stamps that are all zero were never set. Stamps ahead of the recorder's
    clock mean that the clocks differ; they are kept (`clock_offset:<name>`), because a sensor's own stamps are
    steadier than the network.
    """
    if stamp_ns is None or not stamp_ns.any():
        return publish_ns, []
    if (stamp_ns <= 0).any() or (np.abs(stamp_ns - log_ns) > MAX_OFFSET_NS).any():
        return publish_ns, [f"stamp_not_used:{name}"]
    return stamp_ns, [f"clock_offset:{name}"] if (stamp_ns - log_ns > TOLERANCE_NS).any() else []
