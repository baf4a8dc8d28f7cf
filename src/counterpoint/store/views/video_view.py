"""Reading the video training view: any pictures of any stream, without a container and without a seek.

    view = ViewFrames(store.root)                         # preset 5hz
    capture_ns, arrival_ns = view.frame_times(content, "camera/front")
    rgb = view.frames(content, "camera/front", np.array([0, 5, 9]))

`content` is the episode's `content_sha256`: the view knows contents, not episode ids, so that it stays right
when an episode is taken away and another gets its name.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.errors import StoreError, unknown_name
from counterpoint.store.views.codec import DAMAGED, DecoderCache, Pictures, Pixels, shape_of
from counterpoint.store.views.gops import VIEW, CodedStream, Run, Shard, shard_path
from counterpoint.store.views.low_places import key_of
from counterpoint.store.views.video_places import VideoPlaces

logger = logging.getLogger(__name__)

CACHED_STREAMS = 1024
OPEN_SHARDS = 512
"""Shards kept mapped, the most recently used ones; what an array still points into stays mapped too."""

_decoders = DecoderCache()


class ViewFrames:
    """The pictures of one store in one preset of the video training view."""

    def __init__(self, root: Path | str, preset: str = "5hz") -> None:
        """Nothing is read yet; a store without this view has no streams in it."""
        self.preset = preset
        self.folder = Path(root) / VIEW / preset
        self._places = VideoPlaces(self.folder)
        self._shards: OrderedDict[str, Shard] = OrderedDict()
        self._damaged: set[str] = set()
        self._streams: OrderedDict[tuple[str, str], CodedStream] = OrderedDict()

    def __getstate__(self) -> dict[str, object]:
        """Pickle the place alone: another process maps the files itself."""
        return {"preset": self.preset, "folder": self.folder}

    def __setstate__(self, state: dict[str, object]) -> None:
        """Start afresh in this process."""
        folder, preset = state["folder"], state["preset"]
        assert isinstance(folder, Path)
        self.__init__(folder.parents[2], str(preset))  # type: ignore[misc]  # the same class, never a subclass

    def has(self, content_sha256: str, stream: str) -> bool:
        """Whether the stream of that episode is in the view."""
        return self._find(content_sha256, stream) is not None

    def streams(self, content_sha256: str) -> list[str]:
        """Return the image streams of an episode that are in the view, sorted."""
        self._refresh()
        return sorted({run.stream for _, run in self._runs(content_sha256)})

    def stream(self, content_sha256: str, stream: str) -> CodedStream:
        """Return the coded pictures of a stream, mapped.

        Raises:
            UnknownNameError: the view does not have it. StoreError: the shard is damaged.
        """
        key = content_sha256, stream
        cached = self._streams.get(key)
        if cached is not None:
            return cached
        place = self._find(content_sha256, stream)
        if place is None:
            raise unknown_name(
                "image stream", stream, self.streams(content_sha256), hint=f"(view {self.preset}; build it first)"
            )
        shard, run = place
        found = self._streams[key] = shard.stream(run)
        if len(self._streams) > CACHED_STREAMS:
            self._streams.popitem(last=False)
        return found

    def frame_times(self, content_sha256: str, stream: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return capture and arrival times of the view's pictures, int64 [pictures] each; those of the log."""
        found = self.stream(content_sha256, stream)
        return found.capture_ns, found.arrival_ns

    def luma(self, content_sha256: str, stream: str, samples: NDArray[np.int64]) -> Pictures:
        """Decode brightness alone, uint8 [n, height, width], 16 (black) to 235 (white); see `decode`."""
        return self.decode(content_sha256, stream, samples, "luma")

    def frames(self, content_sha256: str, stream: str, samples: NDArray[np.int64]) -> Pictures:
        """Decode to RGB, uint8 [n, height, width, 3]; see `decode`."""
        return self.decode(content_sha256, stream, samples, "rgb")

    def decode(
        self, content_sha256: str, stream: str, samples: NDArray[np.int64], pixels: Pixels = "yuv420"
    ) -> Pictures:
        """Decode pictures by their number in the view (never decreasing), in the layout of `codec.shape_of`.

        Raises:
            UnknownNameError: the view does not have the stream. StoreError: damaged, or numbers out of range.
        """
        return decode_pictures(self.stream(content_sha256, stream), samples, pixels)

    def _find(self, content_sha256: str, stream: str) -> tuple[Shard, Run] | None:
        for _ in range(2):
            for shard, run in self._runs(content_sha256):
                if run.stream == stream:
                    return shard, run
            if not self._refresh():
                break
        return None

    def _runs(self, content_sha256: str) -> Iterator[tuple[Shard, Run]]:
        for place in self._places.find(key_of(content_sha256)):
            if place.shard in self._damaged:
                continue
            try:
                shard = self._shard(place.shard)
                run = shard.run(place.row, place.rows)
            except StoreError as error:
                logger.warning("%s", error)
                self._damaged.add(place.shard)
                continue
            if run.content_sha256 == content_sha256:
                yield shard, run

    def _shard(self, name: str) -> Shard:
        found = self._shards.get(name)
        if found is None:
            found = self._shards[name] = Shard(shard_path(self.folder, name))
            if len(self._shards) > OPEN_SHARDS:
                self._shards.popitem(last=False)
        else:
            self._shards.move_to_end(name)
        return found

    def _refresh(self) -> bool:
        """Look for new shards, and give damaged ones another try; return whether anything may have changed."""
        if not self._places.refresh():
            return False
        self._damaged.clear()
        return True


def decode_pictures(
    coded: CodedStream, samples: NDArray[np.int64], pixels: Pixels, size: tuple[int, int] | None = None
) -> Pictures:
    """Decode chosen pictures (never decreasing; a picture asked for twice is decoded once).

    `size` is the height and width to which RGB pictures are scaled; None for their own.

    Raises:
        StoreError: numbers out of range or out of order, or damaged packets.
    """
    wanted = np.asarray(samples, dtype=np.int64)
    out = np.empty((len(wanted), *shape_of(pixels, *(size or (coded.height, coded.width)))), np.uint8)
    if not len(wanted):
        return out
    if wanted[0] < 0 or wanted[-1] >= len(coded.samples) or (np.diff(wanted) < 0).any():
        raise StoreError(
            f"stream {coded.stream!r}: expected picture numbers from 0 to {len(coded.samples) - 1}, never decreasing; "
            f"got {wanted[:20].tolist()}"
        )
    decoder = _decoders.get(coded.codec, coded.extradata)
    keys = coded.keys[np.searchsorted(coded.keys, wanted, side="right") - 1].tolist()
    done = -1  # the last picture decoded
    try:
        for row, (picture, key) in enumerate(zip(wanted.tolist(), keys, strict=True)):
            if picture == done:
                out[row] = out[row - 1]
                continue
            for before in range(max(key, done + 1), picture):
                decoder.skip(coded.packet(before))
            decoder.decode(coded.packet(picture), pixels, out[row])
            done = picture
    except (*DAMAGED, StoreError) as error:
        _decoders.drop(coded.codec, coded.extradata)
        raise StoreError(
            f"stream {coded.stream!r} of content {coded.content_sha256[:12]}: damaged pictures in the video view "
            f"({error}); delete the view and build it again"
        ) from error
    return out


def nearest(times_ns: NDArray[np.int64], points_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each point the index of the nearest time (the earlier of two equals); times are sorted, not empty."""
    after = np.minimum(np.searchsorted(times_ns, points_ns), len(times_ns) - 1)
    before = np.maximum(after - 1, 0)
    return np.where(points_ns - times_ns[before] <= times_ns[after] - points_ns, before, after)
