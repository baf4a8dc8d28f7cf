"""One window of an episode's streams, encoded as training does it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.embodiment import Embodiment
from counterpoint.core.stream import Stream
from counterpoint.data.encoding.pack import EncodedWindow
from counterpoint.data.encoding.processor import Processor


def encode_window(
    processor: Processor,
    robot: Embodiment,
    streams: dict[str, Stream],
    times: NDArray[np.int64],
    delay: NDArray[np.float32],
    rng: np.random.Generator | None = None,
) -> EncodedWindow:
    return processor.encode(processor.prepare(robot, streams), times, delay, rng=rng)
