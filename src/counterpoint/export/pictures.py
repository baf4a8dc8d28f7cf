"""Frames of a camera as messages: coded frames unchanged where a message can hold them, otherwise JPEG.

Messages follow Foxglove's schemas: CompressedVideo holds one frame of H.264, H.265 or AV1 without
B-frames, CompressedImage one JPEG or PNG file.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import av
import numpy as np
from av.bitstream import BitStreamFilterContext
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, timestamp_pb2
from numpy.typing import NDArray
from PIL import Image

from counterpoint.core.clock import NS_PER_SECOND
from counterpoint.export.mp4 import clip_of
from counterpoint.store import EpisodeInfo, Store
from counterpoint.store.episodes.video import opened, video_size
from counterpoint.store.files.layout import episode_folder

Kind = Literal["CompressedVideo", "CompressedImage"]
JPEG_QUALITY = 95
FRAMES_AT_ONCE = 64
_VIDEO = {"h264": "h264", "hevc": "h265", "av1": "av1"}
_TO_ANNEX_B = {"h264": "h264_mp4toannexb", "hevc": "hevc_mp4toannexb"}
_IMAGE = {"mjpeg": "jpeg", "png": "png"}
_FIELDS: dict[Kind, tuple[int, int, int]] = {"CompressedVideo": (3, 4, 2), "CompressedImage": (2, 3, 4)}
"""Numbers of the fields data, format and frame_id; timestamp is 1."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CameraMessages:
    """The frames of an image stream, coded."""

    kind: Kind
    format: str
    frame_id: str
    pictures: list[bytes]
    """[samples]."""

    def encode(self, capture_ns: NDArray[np.int64]) -> Callable[[int], bytes]:
        """Return a function that encodes sample k, captured at `capture_ns[k]`, as a message."""
        pool = descriptor_pool.DescriptorPool()
        for file in _schema_files(self.kind):
            pool.Add(file)
        message = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"foxglove.{self.kind}"))

        def encoded(sample: int) -> bytes:
            made = message(data=self.pictures[sample], format=self.format, frame_id=self.frame_id)
            made.timestamp.seconds, made.timestamp.nanos = divmod(int(capture_ns[sample]), NS_PER_SECOND)
            return bytes(made.SerializeToString(deterministic=True))

        return encoded


def camera_messages(store: Store, info: EpisodeInfo, stream: str) -> CameraMessages:
    """Return the frames of an image stream as messages; raises StoreError."""
    found = info.stream(stream)
    assert found is not None  # the caller took the name from the episode
    path = episode_folder(store.root, info.episode_id) / found.video
    pts = store.frame_pts(info.episode_id, stream)
    codec, name = video_size(path)[2], stream.removeprefix("camera/")
    if codec in _IMAGE:
        coded = dict(_packets(path))
        pictures = [coded[int(time)] for time in pts]
        return CameraMessages(kind="CompressedImage", format=_IMAGE[codec], frame_id=name, pictures=pictures)
    clip = clip_of(path, pts) if codec in _VIDEO else None
    if clip is not None and not clip.leading and not clip.delay:
        pictures = [data for _, data in _packets(path, _TO_ANNEX_B.get(codec))][: len(pts)]
        return CameraMessages(kind="CompressedVideo", format=_VIDEO[codec], frame_id=name, pictures=pictures)
    pictures = [jpeg(frame) for frame in shown_frames(store, info, stream, np.arange(len(pts)))]
    return CameraMessages(kind="CompressedImage", format="jpeg", frame_id=name, pictures=pictures)


def image_schema(kind: Kind) -> tuple[str, str, bytes]:
    """Return the name, encoding and bytes of a message schema."""
    files = descriptor_pb2.FileDescriptorSet(file=_schema_files(kind))
    return f"foxglove.{kind}", "protobuf", files.SerializeToString()


def _schema_files(kind: Kind) -> list[descriptor_pb2.FileDescriptorProto]:
    data, form, frame = _FIELDS[kind]
    fields = (
        f'field {{ name: "data" number: {data} type: TYPE_BYTES label: LABEL_OPTIONAL }}',
        f'field {{ name: "format" number: {form} type: TYPE_STRING label: LABEL_OPTIONAL }}',
        f'field {{ name: "frame_id" number: {frame} type: TYPE_STRING label: LABEL_OPTIONAL }}',
    )
    text = f"""
    name: "foxglove/{kind}.proto" package: "foxglove" syntax: "proto3" dependency: "google/protobuf/timestamp.proto"
    message_type {{
      name: "{kind}"
      field {{
        name: "timestamp" number: 1 type: TYPE_MESSAGE type_name: ".google.protobuf.Timestamp" label: LABEL_OPTIONAL
      }}
      {" ".join(fields)}
    }}
    """
    stamp = descriptor_pb2.FileDescriptorProto.FromString(timestamp_pb2.DESCRIPTOR.serialized_pb)
    return [stamp, text_format.Parse(text, descriptor_pb2.FileDescriptorProto())]


def shown_frames(
    store: Store, info: EpisodeInfo, stream: str, samples: NDArray[np.int64]
) -> Iterator[NDArray[np.uint8]]:
    """Yield the frame of each of `samples` (non-decreasing, may repeat), decoding a few at a time."""
    for first in range(0, len(samples), FRAMES_AT_ONCE):
        wanted, places = np.unique(samples[first : first + FRAMES_AT_ONCE], return_inverse=True)
        frames = store.frames(info.episode_id, stream, wanted)
        yield from (frames[place] for place in places)


def jpeg(frame: NDArray[np.uint8]) -> bytes:
    """Return uint8 [height, width, 3] as the bytes of a JPEG file."""
    sink = io.BytesIO()
    Image.fromarray(frame).save(sink, "JPEG", quality=JPEG_QUALITY)
    return sink.getvalue()


def jpegs(store: Store, info: EpisodeInfo, stream: str, samples: NDArray[np.int64], path: Path) -> Iterator[bytes]:
    """Yield the picture of each sample: the log's own JPEG where there is one, otherwise one made from the video."""
    if video_size(path)[2] == "mjpeg":
        pictures = dict(_packets(path))
        pts = store.frame_pts(info.episode_id, stream)
        yield from (pictures[int(pts[sample])] for sample in samples)
        return
    last, data = -1, b""
    for sample, frame in zip(samples, shown_frames(store, info, stream, samples), strict=True):
        if sample != last:
            last, data = int(sample), jpeg(frame)
        yield data


def _packets(path: Path, filter_name: str | None = None) -> Iterator[tuple[int, bytes]]:
    """Yield pts and bytes of each coded frame, in decoding order."""
    with opened(path) as (source, stream):
        change = BitStreamFilterContext(filter_name, stream) if filter_name else None
        for packet in source.demux(stream):
            if not packet.size or packet.pts is None:
                continue
            pts = int(packet.pts)  # the filter consumes the packet
            out: Iterable[av.Packet[av.VideoStream]] = change.filter(packet) if change is not None else [packet]
            yield from ((pts, bytes(each)) for each in out)
