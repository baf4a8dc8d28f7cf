"""Coded pictures without a container: an encoder for the training view, and decoders that are kept open.

A training window needs a few pictures of many episodes. Opening a container and a decoder for each would cost more
than decoding, so decoders are bare codec contexts, one per (codec, extradata) and thread, fed packet by packet.
Streams are coded so that every packet decodes to exactly one picture.

Pictures stay in the decoder's own YUV 4:2:0 until somebody asks for RGB: BT.601, limited range.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import av
import numpy as np
from av.codec.context import Flags, Flags2
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from counterpoint.core.errors import StoreError

Pixels = Literal["yuv420", "rgb", "luma"]
Pictures = NDArray[np.uint8]

MAX_DECODERS = 32
DAMAGED = (av.error.FFmpegError, ValueError, EOFError, MemoryError)


@dataclass(frozen=True, kw_only=True)
class Packet:
    """One coded picture."""

    data: bytes
    is_key: bool


class Encoder:
    """H.264 made for quick decoding: a key picture every `gop`, no B pictures, none at scene cuts, no CABAC."""

    codec = "h264"

    def __init__(self, height: int, width: int, *, gop: int, crf: int) -> None:
        """Open an encoder for pictures of even size."""
        context = av.CodecContext.create("libx264", "w")
        assert isinstance(context, VideoCodecContext)
        context.height, context.width, context.pix_fmt = height, width, "yuv420p"
        # Declared as 25 Hz whatever the rate: x264 spends twice the bits, and decoding twice the time, on pictures
        # that it expects to be shown for 200 ms.
        context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
        context.gop_size = gop
        context.thread_count = 1
        context.flags |= Flags.global_header
        context.options = {
            "preset": "veryfast",
            "tune": "fastdecode",
            "crf": str(crf),
            "bf": "0",
            "sc_threshold": "0",
        }
        context.open()
        self._context = context
        self._reformatter = VideoReformatter()
        self._count = 0

    @property
    def extradata(self) -> bytes:
        """What a decoder must know before the first packet."""
        return bytes(self._context.extradata or b"")

    def add(self, picture: VideoFrame) -> Iterator[Packet]:
        """Scale and encode a picture; yield what is ready, in order."""
        scaled = self._reformatter.reformat(
            picture,
            width=self._context.width,
            height=self._context.height,
            format="yuv420p",
            dst_colorspace=Colorspace.ITU601,
            dst_color_range=ColorRange.MPEG,
            interpolation=Interpolation.AREA,
            threads=1,
        )
        scaled.pts, scaled.time_base = self._count, Fraction(1, 25)
        scaled.pict_type = av.video.frame.PictureType.NONE
        self._count += 1
        yield from self._packets(scaled)

    def finish(self) -> Iterator[Packet]:
        """Flush the encoder: yield the remaining packets."""
        yield from self._packets(None)

    def _packets(self, picture: VideoFrame | None) -> Iterator[Packet]:
        for packet in self._context.encode(picture):
            yield Packet(data=bytes(packet), is_key=bool(packet.is_keyframe))


class Decoder:
    """A bare decoder of one (codec, extradata); packet in, picture out."""

    def __init__(self, codec: str, extradata: bytes) -> None:
        """Open it, single-threaded.

        Raises:
            StoreError: FFmpeg has no such decoder.
        """
        try:
            context = av.CodecContext.create(codec, "r")
        except (av.error.FFmpegError, ValueError) as error:
            raise StoreError(f"no decoder for {codec!r} ({error})") from error
        assert isinstance(context, VideoCodecContext)
        context.thread_count = 1
        context.extradata = extradata or None
        context.flags |= Flags.low_delay
        context.flags2 |= Flags2.fast
        self._context = context
        self._reformatter = VideoReformatter()

    def skip(self, data: memoryview) -> None:
        """Decode a picture that is needed only as the reference of a later one."""
        self._context.decode(av.Packet(data))  # type: ignore[arg-type]  # any buffer will do

    def decode(self, data: memoryview, pixels: Pixels, into: Pictures) -> None:
        """Decode a picture into uint8 `into`: luma [h, w], yuv420 [h * 3 / 2, w], or rgb [h, w, 3].

        RGB pictures are scaled to the size of `into` (see `scale_into`); the other layouts keep their own size.

        Raises:
            StoreError: not one picture of that size. FFmpegError: the packet is damaged.
        """
        pictures = self._context.decode(av.Packet(data))  # type: ignore[arg-type]  # any buffer will do
        if len(pictures) != 1:
            raise StoreError(f"expected one picture from a packet, got {len(pictures)}")
        picture = pictures[0]
        height = into.shape[0] * 2 // 3 if pixels == "yuv420" else into.shape[0]
        is_same_size = (picture.height, picture.width) == (height, into.shape[1])
        if not is_same_size and pixels == "rgb":
            scale_into(self._reformatter, picture, into)
            return
        if not is_same_size:
            raise StoreError(f"expected {height}x{into.shape[1]} pixels, got {picture.height}x{picture.width}")
        match pixels:
            case "luma":
                into[:] = _plane(picture, 0)
            case "rgb":
                converted = self._reformatter.reformat(picture, format="rgb24", threads=1)
                into[:] = _rows(converted, 0)[:, : 3 * picture.width].reshape(into.shape)
            case "yuv420":
                copy_yuv420(picture, into)


class DecoderCache(threading.local):
    """Open decoders of one thread, the least recently used of which are closed."""

    def __init__(self) -> None:
        """Start with none."""
        self._open: OrderedDict[tuple[str, bytes], Decoder] = OrderedDict()

    def get(self, codec: str, extradata: bytes) -> Decoder:
        """Return the decoder for these packets; raises StoreError where FFmpeg has none."""
        key = codec, extradata
        decoder = self._open.get(key)
        if decoder is None:
            decoder = self._open[key] = Decoder(codec, extradata)
            if len(self._open) > MAX_DECODERS:
                self._open.popitem(last=False)
        else:
            self._open.move_to_end(key)
        return decoder

    def drop(self, codec: str, extradata: bytes) -> None:
        """Close a decoder after an error, because its state is undefined then."""
        self._open.pop((codec, extradata), None)


def shape_of(pixels: Pixels, height: int, width: int) -> tuple[int, ...]:
    """Return the shape of one picture of even size in that layout."""
    match pixels:
        case "luma":
            return (height, width)
        case "yuv420":
            return (height * 3 // 2, width)
        case "rgb":
            return (height, width, 3)


def yuv420_to_rgb(planes: Pictures) -> Pictures:
    """Convert uint8 [..., h * 3 / 2, w] (I420: Y rows, then U, then V) to uint8 [..., h, w, 3]; BT.601 limited range.

    Plain NumPy, for looking at pictures and as the reference; on an accelerator do the same sums there.
    """
    width = planes.shape[-1]
    height = planes.shape[-2] * 2 // 3
    lead = planes.shape[:-2]
    flat = planes.reshape(*lead, -1)
    quarter = height * width // 4
    luma = (flat[..., : 4 * quarter].reshape(*lead, height, width).astype(np.float32) - 16) * (255 / 219)
    u, v = (
        np.repeat(np.repeat(chroma.reshape(*lead, height // 2, width // 2), 2, axis=-2), 2, axis=-1)
        for chroma in (flat[..., 4 * quarter : 5 * quarter], flat[..., 5 * quarter :])
    )
    blue, red = ((chroma.astype(np.float32) - 128) * (255 / 224) for chroma in (u, v))
    rgb = np.stack([luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue], axis=-1)
    return np.asarray(np.rint(np.clip(rgb, 0, 255)), dtype=np.uint8)


def scale_into(reformatter: VideoReformatter, picture: VideoFrame, into: Pictures) -> None:
    """Scale a picture of any pixel format to the size of uint8 `into` [h, w, 3], RGB, each pixel the mean of its area.

    The only scaling between a camera and a model: training and serving both come through here.
    """
    height, width = into.shape[:2]
    planar = reformatter.reformat(
        picture, width=width, height=height, format="gbrp", interpolation=Interpolation.AREA, threads=1
    )
    for plane, channel in enumerate((1, 2, 0)):
        into[..., channel] = _plane(planar, plane)


def scale_pictures(pictures: Pictures, height: int, width: int) -> Pictures:
    """Return RGB pictures uint8 [n, h, w, 3] scaled to [n, height, width, 3]; as they are where they fit."""
    if pictures.shape[1:3] == (height, width):
        return pictures
    out = np.empty((len(pictures), height, width, 3), np.uint8)
    for picture, into in zip(pictures, out, strict=True):
        scale_into(_scalers.reformatter, VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24"), into)
    return out


class _Scalers(threading.local):
    """The reformatter of one thread; it keeps what swscale prepared for the last size."""

    def __init__(self) -> None:
        self.reformatter = VideoReformatter()


_scalers = _Scalers()


def copy_yuv420(picture: VideoFrame, into: Pictures) -> None:
    """Copy the planes of a 4:2:0 picture into uint8 [h * 3 / 2, w], laid end to end.

    Raises:
        StoreError: another pixel format.
    """
    if picture.format.name not in ("yuv420p", "yuvj420p"):
        raise StoreError(f"expected pixel format yuv420p, got {picture.format.name}")
    height, width = picture.height, picture.width
    into[:height] = _plane(picture, 0)
    chroma = into[height:].reshape(2, height // 2, width // 2)
    chroma[0] = _plane(picture, 1)
    chroma[1] = _plane(picture, 2)


def _plane(picture: VideoFrame, number: int) -> Pictures:
    return _rows(picture, number)[:, : picture.planes[number].width]


def _rows(picture: VideoFrame, number: int) -> Pictures:
    plane = picture.planes[number]
    found: Pictures = np.frombuffer(plane, np.uint8)  # type: ignore[call-overload]  # a plane is a buffer
    return found[: plane.height * plane.line_size].reshape(plane.height, plane.line_size)
