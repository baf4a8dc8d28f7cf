"""Puts coded frames of a log (one per message: H.264, H.265, AV1) into an mp4 without changing them."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from typing import Literal

import av
import numpy as np
from numpy.typing import NDArray

from counterpoint.core.errors import IngestError, StoreError
from counterpoint.store.episodes.video import TIME_BASE, list_pts

_NAL = re.compile(rb"\x00\x00\x01(.)", re.DOTALL)
KEY, PARAMETERS = 5, 7
HEVC_KEYS, HEVC_PARAMETERS = range(16, 22), 33
AV1_SEQUENCE = 1
FRAME_TICKS = 40
Coding = Literal["h264", "hevc", "av1"]
CODINGS: dict[str, Coding] = {
    "h264": "h264",
    "avc": "h264",
    "video/h264": "h264",
    "h265": "hevc",
    "hevc": "hevc",
    "av1": "av1",
}
"""By the names that messages use."""
_DEMUXERS: dict[Coding, str] = {"h264": "h264", "hevc": "hevc", "av1": "obu"}


def has_key_frame(packet: bytes, coding: Coding = "h264") -> bool:
    """Whether decoding can begin with this packet: it has parameters and a key frame."""
    if coding == "av1":
        return AV1_SEQUENCE in _unit_types(packet)
    heads = {found[1][0] for found in _NAL.finditer(packet)}
    if coding == "h264":
        return {KEY, PARAMETERS} <= {head & 31 for head in heads}
    kinds = {head >> 1 & 63 for head in heads}
    return HEVC_PARAMETERS in kinds and any(kind in HEVC_KEYS for kind in kinds)


def _unit_types(packet: bytes) -> set[int]:
    """Return the types of the units in one AV1 frame, up to the first that cannot be parsed."""
    kinds: set[int] = set()
    place = 0
    while place < len(packet):
        head = packet[place]
        kinds.add(head >> 3 & 15)
        if not head & 2:  # a unit without a size is the last
            break
        place += 2 if head & 4 else 1
        length = shift = 0
        while place < len(packet) and shift < 56:
            byte = packet[place]
            length |= (byte & 127) << shift
            place, shift = place + 1, shift + 7
            if byte < 128:
                break
        place += length
    return kinds


def pack_packets(
    packets: Sequence[bytes], where: str, coding: Coding = "h264"
) -> tuple[bytes, NDArray[np.int64], int, int]:
    """Put coded frames, beginning with a key frame, into an mp4; return it, its pts, height and width.

    Raises:
        IngestError: `unreadable_video`.
    """
    try:
        with av.open(io.BytesIO(_begun(packets[0], coding)), format=_DEMUXERS[coding]) as source:
            template = source.streams.video[0]
            height, width = template.height, template.width
            if not (height and width):
                raise IngestError(f"{where}: the video does not state its picture size", reason="unreadable_video")
            marked = ((data, index == 0 or has_key_frame(data, coding)) for index, data in enumerate(packets))
            data, pts = mux(template, marked)
    except (av.error.FFmpegError, StoreError, ValueError, IndexError, MemoryError) as error:
        if isinstance(error, IngestError):
            raise
        raise IngestError(
            f"{where}: {coding} frames cannot be put into an mp4 ({error})", reason="unreadable_video"
        ) from error
    if len(pts) != len(packets):
        raise IngestError(f"{where}: {len(packets)} packets gave {len(pts)} frames", reason="unreadable_video")
    return data, pts, height, width


def mux(template: av.VideoStream, packets: Iterable[tuple[bytes, bool]]) -> tuple[bytes, NDArray[np.int64]]:
    """Put packets (bytes, is key frame) of one coding, in order, into an mp4; return it and the pts of all frames."""
    sink = io.BytesIO()
    with av.open(sink, "w", format="mp4") as container:
        stream = container.add_stream_from_template(template, opaque=True)
        stream.time_base = TIME_BASE
        for index, (data, is_key) in enumerate(packets):
            packet = av.Packet(data)
            packet.pts = packet.dts = index * FRAME_TICKS
            packet.time_base, packet.stream, packet.is_keyframe = TIME_BASE, stream, is_key
            container.mux(packet)
    data = sink.getvalue()
    return data, list_pts(io.BytesIO(data))


def _begun(packet: bytes, coding: Coding) -> bytes:
    """Return the packet as a demuxer of the bare stream expects it: AV1 needs a temporal delimiter first."""
    return b"\x12\x00" + packet if coding == "av1" and packet[:1] != b"\x12" else packet
