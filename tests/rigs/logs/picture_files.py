"""JPEG and PNG files for the tests of readers, made with PyAV."""

from __future__ import annotations

import io

import av
import numpy as np
from numpy.typing import NDArray


def encode_picture(frame: NDArray[np.uint8], codec: str = "mjpeg") -> bytes:
    """Return one frame, uint8 [height, width, 3], as a JPEG or PNG file."""
    sink = io.BytesIO()
    with av.open(sink, "w", format="image2pipe") as container:
        stream = container.add_stream(codec, rate=10)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = frame.shape[:2]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "rgb24"
        picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
        container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return sink.getvalue()


def grey_frames(count: int, height: int = 16, width: int = 32, first: int = 20) -> NDArray[np.uint8]:
    """Return uint8 [count, height, width, 3], each a brighter grey."""
    greys = np.asarray([first + 11 * index for index in range(count)], np.uint8)
    return np.broadcast_to(greys[:, None, None, None], (count, height, width, 3)).copy()


def jpeg_files(count: int, **size: int) -> list[bytes]:
    """Return `count` JPEG files of grey frames."""
    return [encode_picture(frame) for frame in grey_frames(count, **size)]
