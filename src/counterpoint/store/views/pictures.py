"""The pictures of one camera of an episode, decoded on demand, wherever they lie."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.errors import StoreError
from counterpoint.core.stream import Stream
from counterpoint.store.views.codec import Pictures, Pixels, scale_pictures
from counterpoint.store.views.gops import CodedStream
from counterpoint.store.views.video_view import decode_pictures

Samples = NDArray[np.int64]
Size = tuple[int, int]


class Decode(Protocol):
    """Decoding of chosen pictures."""

    def __call__(self, samples: Samples, pixels: Pixels = "rgb", size: Size | None = None) -> Pictures:
        """Return the pictures of these numbers (never decreasing), in the layout of `codec.shape_of`.

        `size` is the height and width to which RGB pictures are scaled; None for their own size.
        """
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class CameraPictures:
    """When the pictures of a camera were taken and known, and how to get them."""

    capture_ns: NDArray[np.int64]
    """[pictures], non-decreasing."""
    arrival_ns: NDArray[np.int64]
    """[pictures]."""
    decode: Decode


def pictures_of_view(coded: CodedStream) -> CameraPictures:
    """Return the pictures of a stream of the video view."""
    return CameraPictures(
        capture_ns=coded.capture_ns, arrival_ns=coded.arrival_ns, decode=partial(decode_pictures, coded)
    )


def pictures_of_stream(stream: Stream) -> CameraPictures:
    """Return the pictures of an image stream in memory."""
    frames = np.asarray(stream.values, dtype=np.uint8)
    return pictures_of_frames(stream.capture_ns, stream.arrival_ns, lambda samples: frames[samples])


def pictures_of_frames(
    capture_ns: NDArray[np.int64], arrival_ns: NDArray[np.int64], frames: Callable[[Samples], Pictures]
) -> CameraPictures:
    """Return pictures that `frames` gives as RGB at their full size (numbers increasing, none twice)."""

    def decode(samples: Samples, pixels: Pixels = "rgb", size: Size | None = None) -> Pictures:
        if pixels != "rgb":
            raise StoreError(f"full-size pictures come as 'rgb', not as {pixels!r}; use the video view for that layout")
        wanted, places = np.unique(samples, return_inverse=True)
        found = frames(wanted)
        scaled = found if size is None else scale_pictures(found, *size)
        return scaled if len(wanted) == len(samples) else scaled[places]

    return CameraPictures(capture_ns=capture_ns, arrival_ns=arrival_ns, decode=decode)
