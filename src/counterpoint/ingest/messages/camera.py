"""The pictures of one camera topic, collected over all blocks."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.embodiment import StreamSpec
from counterpoint.core.errors import IngestError, StoreError
from counterpoint.ingest.messages.clock import capture_times
from counterpoint.ingest.messages.coded_video import CODINGS, Coding, has_key_frame, pack_packets
from counterpoint.ingest.messages.extract import stamp_of
from counterpoint.ingest.messages.kinds import Kind
from counterpoint.ingest.messages.pictures import image_bytes, is_deep, is_known_pixels, to_rgb
from counterpoint.ingest.messages.pixels import PixelEncoder
from counterpoint.ingest.messages.topic import Block, MessageBatch
from counterpoint.ingest.recording.episode import check_order
from counterpoint.ingest.recording.pictures import PictureCodec, picture_size
from counterpoint.store import EncodedVideo
from counterpoint.store.episodes.video import pack_pictures


@dataclass(kw_only=True, eq=False)
class Camera:
    """Collects the messages of each block; `finish` makes a video of the pictures."""

    name: str
    topic: str
    kind: Kind
    where: str
    rate_hz: float | None
    left_out: bool = False
    coding: Coding = "h264"
    head: tuple[PictureCodec, int, int] | None = None
    """Codec, height and width of the first coded picture."""
    coded: list[bytes] = field(default_factory=list)
    pixels: PixelEncoder | None = None
    times: list[tuple[int, int, int, int]] = field(default_factory=list)
    """(log, number, publish, stamp) of each picture; stamp -1 where there is none."""

    def add(self, batch: MessageBatch, block: Block, first: int) -> None:
        """Add the pictures of a batch; raises IngestError as `pictures` does."""
        if self.left_out:
            return
        stamps = stamp_of(batch)
        for place, row in enumerate(batch.rows.tolist()):
            if not self._add(batch, place):
                self.left_out = True
                self.coded.clear()
                self.pixels = None
                return
            stamp = -1 if stamps is None else int(stamps[place])
            self.times.append((int(block.log_ns[row]), first + row, int(block.publish_ns[row]), stamp))

    def _add(self, batch: MessageBatch, place: int) -> bool:
        """Keep one picture; False where the topic holds none (depth images, unknown codecs)."""
        where = f"{self.where}: {self.topic}"
        if self.kind == "raw_image":
            if not is_known_pixels(str(batch.texts.get("encoding", ""))):
                return False
            self.pixels = self.pixels or PixelEncoder(where)
            self.pixels.add(to_rgb(batch, place, where))
            return True
        form = str(batch.texts.get("format", "")).lower()
        if self.kind == "video":
            coding = CODINGS.get(form)
            if coding is None or (self.coded and coding != self.coding):
                return False
            self.coding = coding
            self.coded.append(bytes(image_bytes(batch, place, where)))
            return True
        data = bytes(image_bytes(batch, place, where))
        if "depth" in form or is_deep(data) or "webp" in form or "avif" in form:
            return False
        try:
            head = picture_size(data, where)
        except IngestError as error:
            raise IngestError(str(error), reason="unreadable_video") from error
        if self.head is not None and head != self.head:
            raise IngestError(f"{where}: a picture of {head} after {self.head}", reason="dimension_mismatch")
        self.head = head
        self.coded.append(data)
        return True

    def finish(self) -> tuple[EncodedVideo | None, list[str]]:
        """Return the video for the recording, and reason codes.

        Uncompressed pictures are encoded in the order in which they came (`encoded:<topic>`).

        Raises:
            IngestError: `time_backwards`, `unreadable_video`.
        """
        if self.left_out or not self.times:
            return None, [f"left_out:{self.topic}"] if self.left_out else []
        order = sorted(range(len(self.times)), key=self.times.__getitem__)
        notes = []
        if self.kind == "video":
            keys = (place for place, index in enumerate(order) if has_key_frame(self.coded[index], self.coding))
            begin = next(keys, None)
            if begin is None:
                raise IngestError(f"{self.where}: {self.topic}: no key frame", reason="unreadable_video")
            if begin:
                notes.append(f"before_key_frame:{self.topic}")
                order = order[begin:]
        times = np.asarray([self.times[index] for index in order], np.int64)
        log, publish, stamp = times[:, 0], times[:, 2], times[:, 3]
        capture, clock = capture_times(None if (stamp < 0).all() else stamp, publish, log, self.topic)
        is_shuffled = self.pixels is not None and order != sorted(order)
        if is_shuffled:
            raise IngestError(f"{self.where}: {self.topic}: time runs backwards", reason="time_backwards")
        check_order(capture, f"{self.where}: {self.topic}")
        arrival = np.maximum(log, capture)
        notes += [f"encoded:{self.topic}"] if self.pixels is not None else []
        return self._video(order, capture, arrival), notes + clock

    def _video(self, order: list[int], capture: NDArray[np.int64], arrival: NDArray[np.int64]) -> EncodedVideo:
        coded = [] if self.pixels is not None else [self.coded[index] for index in order]
        where = f"{self.where}: {self.topic}"
        if self.pixels is not None:
            height, width = self.pixels.shape[:2]
            data, pts = self.pixels.finish()
        elif self.head is None:
            data, pts, height, width = pack_packets(coded, where, self.coding)
        else:
            codec, height, width = self.head
            try:
                data, pts = pack_pictures(coded, codec, height, width)
            except StoreError as error:
                raise IngestError(f"{where}: {error}", reason="unreadable_video") from error
        return EncodedVideo(spec=self._spec(height, width), data=data, pts=pts, capture_ns=capture, arrival_ns=arrival)

    def _spec(self, height: int, width: int) -> StreamSpec:
        return StreamSpec(name=self.name, kind="image", height=height, width=width, rate_hz=self.rate_hz)
