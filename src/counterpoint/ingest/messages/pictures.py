"""Camera topics: coded pictures are kept as they are, uncompressed ones become RGB pixels."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable

import av
import numpy as np
from numpy.typing import NDArray

from counterpoint.core.errors import IngestError
from counterpoint.ingest.messages.topic import MessageBatch, Payload
from counterpoint.ingest.recording.pictures import MAX_SIDE

Convert = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
_CHANNELS: dict[str, tuple[int, Convert]] = {
    "rgb8": (3, lambda rows: rows),
    "8uc3": (3, lambda rows: rows[..., ::-1]),
    "bgr8": (3, lambda rows: rows[..., ::-1]),
    "rgba8": (4, lambda rows: rows[..., :3]),
    "bgra8": (4, lambda rows: rows[..., 2::-1]),
    "8uc4": (4, lambda rows: rows[..., 2::-1]),
    "mono8": (1, lambda rows: np.repeat(rows, 3, axis=-1)),
    "8uc1": (1, lambda rows: np.repeat(rows, 3, axis=-1)),
}
"""Bytes per pixel, and the conversion of uint8 [height, width, bytes] to RGB; OpenCV's unnamed channels are BGR."""
_PACKED: dict[str, tuple[int, str]] = {
    "yuv422": (2, "uyvy422"),
    "uyvy": (2, "uyvy422"),
    "yuv422_yuy2": (2, "yuyv422"),
    "yuyv": (2, "yuyv422"),
    "bayer_rggb8": (1, "bayer_rggb8"),
    "bayer_bggr8": (1, "bayer_bggr8"),
    "bayer_gbrg8": (1, "bayer_gbrg8"),
    "bayer_grbg8": (1, "bayer_grbg8"),
}
"""Bytes per pixel, and FFmpeg's name of the format; FFmpeg converts it, with bilinear demosaicing."""


def image_bytes(batch: MessageBatch, row: int, where: str) -> Payload:
    """Return the field `data` of one message; JSON has it as base64.

    Raises:
        IngestError: `bad_message` where there is none.
    """
    if "data" in batch.blobs:
        return batch.blobs["data"][row]
    try:
        return base64.b64decode(str(batch.texts["data"]), validate=True)
    except (KeyError, binascii.Error, ValueError) as error:
        raise IngestError(f"{where}: the image has no readable data ({error})", reason="bad_message") from error


def is_known_pixels(encoding: str) -> bool:
    """Whether `to_rgb` knows the pixel format; depth formats are not in the table."""
    return encoding.lower() in _CHANNELS or encoding.lower() in _PACKED


def to_rgb(batch: MessageBatch, row: int, where: str) -> NDArray[np.uint8]:
    """Return one uncompressed image as uint8 [height, width, 3].

    Raises:
        IngestError: `dimension_mismatch` where size, step and data do not agree, `absurd_size`.
    """
    encoding = str(batch.texts.get("encoding", "")).lower()
    height, width, step = (_number(batch, name, row) for name in ("height", "width", "step"))
    data = image_bytes(batch, row, where)
    pixel = _CHANNELS[encoding][0] if encoding in _CHANNELS else _PACKED[encoding][0]
    if not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE):
        raise IngestError(f"{where}: an image of {height}x{width}", reason="absurd_size")
    step = step or width * pixel
    if step < width * pixel or height * step != len(data):
        raise IngestError(
            f"{where}: {len(data)} bytes of image, expected {height} rows of {step} bytes ({width} pixels, {encoding})",
            reason="dimension_mismatch",
        )
    rows = np.frombuffer(data, np.uint8).reshape(height, step)[:, : width * pixel]
    if encoding in _CHANNELS:
        return np.ascontiguousarray(_CHANNELS[encoding][1](rows.reshape(height, width, pixel)))
    return _converted(rows, width, _PACKED[encoding][1], where)


def is_deep(data: Payload) -> bool:
    """Whether a PNG has more than 8 bits per channel, as depth images do."""
    return bytes(data[:4]) == b"\x89PNG" and len(data) > 24 and data[24] > 8


def _number(batch: MessageBatch, name: str, row: int) -> int:
    if name not in batch.numbers or batch.numbers[name].shape[1] != 1:
        return 0
    value = float(batch.numbers[name][row, 0])
    return int(value) if abs(value) < 2**40 else 0


def _converted(rows: NDArray[np.uint8], width: int, name: str, where: str) -> NDArray[np.uint8]:
    try:
        frame = av.VideoFrame(width, len(rows), name)
        plane = frame.planes[0]
        padded = np.zeros((len(rows), plane.line_size), np.uint8)
        padded[:, : rows.shape[1]] = rows
        plane.update(padded.tobytes()[: plane.buffer_size])
        return np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
    except (av.error.FFmpegError, ValueError, MemoryError) as error:
        raise IngestError(
            f"{where}: pixel format {name} cannot be converted ({error})", reason="dimension_mismatch"
        ) from error
