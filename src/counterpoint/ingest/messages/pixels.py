"""Encodes uncompressed pictures of a log into an mp4, a few at a time: an hour of VGA is 100 GB of pixels."""

from __future__ import annotations

import hashlib
import io

import av
import numpy as np
from numpy.typing import NDArray

from counterpoint.core.errors import IngestError
from counterpoint.ingest.messages.coded_video import mux
from counterpoint.store.episodes.video import GROUP_OF_PICTURES, encode_frames

PIECE_BYTES = 32 * 2**20


class PixelEncoder:
    """Encodes frames with the store's encoder, in pieces of whole groups of pictures."""

    def __init__(self, where: str) -> None:
        """Start without frames."""
        self._where = where
        self._waiting: list[NDArray[np.uint8]] = []
        self._first = b""
        """The first piece as an mp4; its header serves for all pieces."""
        self._packets: list[tuple[bytes, bool]] = []
        self._digest = hashlib.sha256()
        self.shape: tuple[int, ...] = ()

    def add(self, frame: NDArray[np.uint8]) -> None:
        """Add uint8 [height, width, 3]; raises IngestError `dimension_mismatch` where sizes differ."""
        if self.shape and frame.shape != self.shape:
            raise IngestError(
                f"{self._where}: a picture of {frame.shape} after {self.shape}", reason="dimension_mismatch"
            )
        self.shape = frame.shape
        self._digest.update(np.ascontiguousarray(frame).data)
        self._waiting.append(frame)
        if len(self._waiting) % GROUP_OF_PICTURES == 0 and len(self._waiting) * frame.nbytes >= PIECE_BYTES:
            self._encode()

    def content(self) -> bytes:
        """Return the SHA-256 of all pixels, which does not depend on the encoder."""
        return self._digest.digest()

    def finish(self) -> tuple[bytes, NDArray[np.int64]]:
        """Return an mp4 and the pts of all frames; raises IngestError `unreadable_video`."""
        if self._waiting:
            self._encode()
        with av.open(io.BytesIO(self._first), mode="r") as source:
            return mux(source.streams.video[0], self._packets)

    def _encode(self) -> None:
        try:
            data, _ = encode_frames(np.stack(self._waiting))
        except (av.error.FFmpegError, ValueError, MemoryError) as error:
            raise IngestError(
                f"{self._where}: pictures of {self.shape} cannot be encoded ({error})", reason="unreadable_video"
            ) from error
        self._waiting.clear()
        self._first = self._first or data
        with av.open(io.BytesIO(data), mode="r") as container:
            packets = container.demux(container.streams.video[0])
            self._packets += [(bytes(packet), packet.is_keyframe) for packet in packets if packet.size]
