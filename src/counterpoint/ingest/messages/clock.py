"""Which of a message's clocks is its capture time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MAX_OFFSET_NS = 60 * 1_000_000_000
"""A stamp further from the recorder's clock is no time of this recording: never set, simulated, or latched long ago."""
TOLERANCE_NS = 1_000_000
"""Stamps this little after the recorder's clock are rounding, not an offset between clocks."""


def capture_times(
    stamp_ns: NDArray[np.int64] | None, publish_ns: NDArray[np.int64], log_ns: NDArray[np.int64], name: str
) -> tuple[NDArray[np.int64], list[str]]:
    """Return capture times int64 [samples] and reason codes.

    Stamps that are all zero were not set. Else the sender's stamp where all stamps of the series are within a
    minute of the recorder's clock, and the time of publishing where not (`stamp_not_used:<name>`). Stamps after the
    recorder's clock mean clocks that differ; they are kept (`clock_offset:<name>`), as what a sensor says of its own
    samples is steadier than the network.
    """
    if stamp_ns is None or not stamp_ns.any():
        return publish_ns, []
    if (stamp_ns <= 0).any() or (np.abs(stamp_ns - log_ns) > MAX_OFFSET_NS).any():
        return publish_ns, [f"stamp_not_used:{name}"]
    return stamp_ns, [f"clock_offset:{name}"] if (stamp_ns - log_ns > TOLERANCE_NS).any() else []
