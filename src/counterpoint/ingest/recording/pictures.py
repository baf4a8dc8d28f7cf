"""Pictures of a log: JPEG and PNG files are kept byte for byte, raw pixels become frames that the store encodes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.embodiment import StreamSpec
from counterpoint.core.errors import IngestError, StoreError
from counterpoint.core.stream import Stream, TimeSource
from counterpoint.ingest.files.paths import inside
from counterpoint.store import EncodedVideo
from counterpoint.store.episodes.video import pack_pictures

MAX_SIDE = 16_384
PADDING_BYTES = 64
"""Zeros that some recorders write behind a JPEG file."""
MAX_PICTURE_BYTES = 64 * 2**20
_PNG = b"\x89PNG\r\n\x1a\n"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""JPEG markers that start a frame."""
_BARE = frozenset({0x01, *range(0xD0, 0xD8)})
"""JPEG markers without a length."""

PictureCodec = Literal["mjpeg", "png"]


def picture_size(data: bytes, where: str) -> tuple[PictureCodec, int, int]:
    """Return codec, height and width of a JPEG or PNG file, from its header.

    Raises:
        IngestError: `unreadable_image`, `truncated` or `absurd_size`.
    """
    if len(data) > MAX_PICTURE_BYTES:
        raise IngestError(f"{where}: a picture of {len(data)} bytes, at most {MAX_PICTURE_BYTES}", reason="absurd_size")
    codec: PictureCodec
    if data.startswith(b"\xff\xd8\xff"):
        codec, whole = "mjpeg", data[-PADDING_BYTES:].rstrip(b"\0").endswith(b"\xff\xd9")
        height, width = _jpeg_size(data, where)
    elif data.startswith(_PNG) and data[12:16] == b"IHDR" and len(data) > 33:
        codec, whole = "png", b"IEND" in data[-16:]
        width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    else:
        raise IngestError(f"{where}: starts with {data[:8]!r}, expected JPEG or PNG", reason="unreadable_image")
    if not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE):
        raise IngestError(f"{where}: claims {height} x {width} pixels", reason="absurd_size")
    if not whole:
        raise IngestError(f"{where}: a truncated picture; copy it again", reason="truncated")
    return codec, height, width


def picture_video(
    name: str,
    pictures: Sequence[bytes],
    capture_ns: NDArray[np.int64],
    rate_hz: float,
    where: str,
    time_source: TimeSource = "nominal",
) -> EncodedVideo:
    """Return the pictures, one per capture time, as a video whose packets are their bytes, unchanged.

    Raises:
        IngestError: as `picture_size`, or `short_video`, `dimension_mismatch`, `unreadable_video`.
    """
    if len(pictures) != len(capture_ns) or not pictures:
        raise IngestError(f"{where}: {len(pictures)} pictures for {len(capture_ns)} rows", reason="short_video")
    kinds = {picture_size(data, f"{where}, picture {index}") for index, data in enumerate(pictures)}
    if len(kinds) > 1:
        raise IngestError(f"{where}: pictures of {len(kinds)} kinds: {sorted(kinds)[:4]}", reason="dimension_mismatch")
    codec, height, width = kinds.pop()
    try:
        data, pts = pack_pictures(pictures, codec, height, width)
    except StoreError as error:
        raise IngestError(f"{where}: {error}", reason="unreadable_video") from error
    if len(pts) != len(pictures):
        raise IngestError(
            f"{where}: {len(pts)} of {len(pictures)} pictures can be put into an mp4", reason="unreadable_video"
        )
    spec = StreamSpec(name=name, kind="image", height=height, width=width, rate_hz=rate_hz)
    return EncodedVideo(
        spec=spec, data=data, pts=pts, capture_ns=capture_ns, arrival_ns=capture_ns, time_source=time_source
    )


def picture_bytes(values: Sequence[object], column: str, root: Path, where: str) -> list[bytes]:
    """Return the picture files of a column as Hugging Face writes it: bytes, or a struct of `bytes` and `path`.

    A path is relative to `root`.

    Raises:
        IngestError: `missing_value`, `missing_file`, `path_outside` or `absurd_size`.
    """
    pictures = []
    for row, value in enumerate(values):
        data = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(data, bytes) and isinstance(value, dict) and isinstance(value.get("path"), str):
            data = _picture_file(root, value["path"], where)
        if not isinstance(data, bytes):
            raise IngestError(f"{where}: column {column!r}, row {row} has no picture", reason="missing_value")
        pictures.append(data)
    return pictures


def frame_stream(
    name: str, frames: NDArray[np.generic], capture_ns: NDArray[np.int64], rate_hz: float, where: str
) -> Stream:
    """Return raw pictures [samples, height, width, 3] (or channels first) as an image stream.

    Floats are read as 0..1 where none exceeds 1, otherwise as 0..255.

    Raises:
        IngestError: `dimension_mismatch`, `wrong_type`, `not_finite`, `bad_value` or `short_video`.
    """
    if not is_picture_shape(frames.shape):
        raise IngestError(f"{where}: shape {frames.shape}, expected pictures", reason="dimension_mismatch")
    if len(frames) != len(capture_ns):
        raise IngestError(f"{where}: {len(frames)} pictures for {len(capture_ns)} rows", reason="short_video")
    if frames.shape[-1] != 3:
        frames = np.moveaxis(frames, 1, -1)
    pixels = np.ascontiguousarray(_to_pixels(frames, where))
    spec = StreamSpec(name=name, kind="image", height=pixels.shape[1], width=pixels.shape[2], rate_hz=rate_hz)
    return Stream(spec=spec, capture_ns=capture_ns, arrival_ns=capture_ns, values=pixels, time_source="nominal")


def is_picture_shape(shape: Sequence[int]) -> bool:
    """Whether an array of this shape holds colour pictures, channels last or first."""
    return len(shape) == 4 and (
        (shape[3] == 3 and min(shape[1:3]) >= 8 and max(shape[1:3]) <= MAX_SIDE)
        or (shape[1] == 3 and min(shape[2:]) >= 8 and max(shape[2:]) <= MAX_SIDE)
    )


def camera_names(features: Iterable[str]) -> dict[str, str]:
    """Return a stream name for each feature: `camera/` and its last word, or all words where that would repeat."""
    names: dict[str, str] = {}
    for feature in features:
        words = feature.replace(".", "/").strip("/").split("/")
        short = f"camera/{words[-1]}"
        names[feature] = short if short not in names.values() else f"camera/{'_'.join(words)}"
    return names


def _picture_file(root: Path, relative: str, where: str) -> bytes:
    path = inside(root, relative)
    if not path.is_file():
        raise IngestError(f"{where}: picture {relative!r} is missing in {root}", reason="missing_file")
    if path.stat().st_size > MAX_PICTURE_BYTES:
        raise IngestError(f"{path}: a picture of {path.stat().st_size} bytes", reason="absurd_size")
    return path.read_bytes()


def _to_pixels(frames: NDArray[np.generic], where: str) -> NDArray[np.uint8]:
    if frames.dtype == np.uint8:
        return frames.view(np.uint8)
    if not np.issubdtype(frames.dtype, np.floating):
        raise IngestError(f"{where}: pictures of {frames.dtype}, expected uint8 or floats", reason="wrong_type")
    values = np.asarray(frames, dtype=np.float32)
    if not np.isfinite(values).all():
        raise IngestError(f"{where}: a pixel is NaN or infinite", reason="not_finite")
    low, high = float(values.min(initial=0)), float(values.max(initial=0))
    if low < 0 or high > 255:
        raise IngestError(f"{where}: pixels from {low:g} to {high:g}, expected 0..1 or 0..255", reason="bad_value")
    return np.rint(values * (255 if high <= 1 else 1)).astype(np.uint8)


def _jpeg_size(data: bytes, where: str) -> tuple[int, int]:
    """Walk the markers up to the start of the frame."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in _FRAMES:
            return int.from_bytes(data[at + 5 : at + 7], "big"), int.from_bytes(data[at + 7 : at + 9], "big")
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in _BARE:
            at += 2
        elif length < 2 or marker in (0xD9, 0xDA):
            break
        else:
            at += 2 + length
    raise IngestError(f"{where}: a JPEG without a size", reason="unreadable_image")
