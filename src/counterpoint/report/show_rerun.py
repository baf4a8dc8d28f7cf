"""One episode in the rerun viewer: every stream at its capture times, pictures, texts and their layout."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import rerun as rr
import rerun.blueprint as rrb
from numpy.typing import NDArray
from PIL import Image

from counterpoint.core.clock import NS_PER_SECOND
from counterpoint.core.embodiment import Channel
from counterpoint.core.errors import ConfigError, CounterpointError
from counterpoint.core.stream import Stream
from counterpoint.store import EpisodeInfo, Store

TIMELINE = "capture"
APPLICATION = "counterpoint"
CHUNK_ROWS = 4096
CHUNK_PICTURES = 64
JPEG_QUALITY = 85


def save_episode(store: Store, episode_id: str, path: Path, *, image_rate_hz: float = 10.0) -> None:
    """Write an episode as an .rrd file.

    Args:
        store: where it lies.
        episode_id: which one.
        path: file to write.
        image_rate_hz: greatest number of pictures a second from each camera.

    Raises:
        CounterpointError: the file cannot be written. StoreError: the episode is damaged. UnknownNameError: no episode.
    """
    info = store.info(episode_id)
    recording = rr.RecordingStream(APPLICATION, recording_id=info.content_sha256)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("wb").close()  # rerun's own message does not name the file
        recording.save(path)
    except (OSError, RuntimeError) as error:
        raise CounterpointError(f"{path}: cannot be written: {error}; choose another --save") from error
    _log(recording, store, info, image_rate_hz)
    recording.flush()
    recording.disconnect()


def open_episode(store: Store, episode_id: str, *, image_rate_hz: float = 10.0) -> None:
    """Open an episode in a viewer on this screen.

    Raises:
        ConfigError: there is no screen. StoreError: the episode is damaged. UnknownNameError: no episode.
    """
    info = store.info(episode_id)
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise ConfigError(
            "show: this computer has no screen. Write a file with --save EPISODE.rrd and open it elsewhere with "
            "'rerun EPISODE.rrd', or write a page with --html EPISODE.html"
        )
    recording = rr.RecordingStream(APPLICATION, recording_id=info.content_sha256)
    recording.spawn()
    _log(recording, store, info, image_rate_hz)
    recording.flush()


def _log(recording: rr.RecordingStream, store: Store, info: EpisodeInfo, image_rate_hz: float) -> None:
    is_dated = info.start_ns > 946_684_800 * NS_PER_SECOND
    recording.send_blueprint(_blueprint(store, info))
    recording.log("about", rr.TextDocument(_about(info), media_type="text/markdown"), static=True)
    for stream in store.low(info.episode_id).values():
        if len(stream) and stream.spec.kind == "text":
            columns = rr.TextLog.columns(text=[str(text) for text in stream.values])
            rr.send_columns(
                f"texts/{stream.spec.name}", [_times(stream.capture_ns, is_dated)], columns, recording=recording
            )
        elif len(stream):
            _log_vector(recording, stream, is_dated)
    for each in info.streams:
        if each.kind == "image" and each.samples:
            _log_pictures(recording, store, info, each.name, image_rate_hz, is_dated)


def _log_vector(recording: rr.RecordingStream, stream: Stream, is_dated: bool) -> None:
    values = np.asarray(stream.values, dtype=np.float64)
    for path, places in panels(stream):
        names = [stream.spec.channels[place].name for place in places]
        recording.log(path, rr.SeriesLines(names=names), static=True)
        for start in range(0, len(stream), CHUNK_ROWS):
            rows = np.ascontiguousarray(values[start : start + CHUNK_ROWS, places])
            columns = rr.Scalars.columns(scalars=rows.ravel()).partition([len(places)] * len(rows))
            times = _times(stream.capture_ns[start : start + CHUNK_ROWS], is_dated)
            rr.send_columns(path, [times], columns, recording=recording)


def panels(stream: Stream) -> Iterator[tuple[str, list[int]]]:
    """Yield an entity path and columns for each kind of channel; channels that share a quantity share a plot."""
    groups: dict[str, list[int]] = {}
    for place, channel in enumerate(stream.spec.channels):
        groups.setdefault(channel.quantity, []).append(place)
    for quantity, places in groups.items():
        yield f"{stream.spec.name}/{quantity}", places


def panel_title(name: str, channel: Channel) -> str:
    """Return the title of a plot: stream, quantity and unit."""
    return f"{name}: {channel.quantity.replace('_', ' ')}" + (f" ({channel.unit})" if channel.unit != "1" else "")


def shown_samples(capture_ns: NDArray[np.int64], rate_hz: float) -> NDArray[np.int64]:
    """Return the samples that keep pictures to at most `rate_hz`, the first one included, int64 [n]."""
    if len(capture_ns) < 2:
        return np.arange(len(capture_ns))
    # A tenth of a period of tolerance, because the frames of a camera at exactly this rate jitter.
    slots = np.floor((capture_ns - capture_ns[0]) * (rate_hz / NS_PER_SECOND) + 0.1)
    return np.flatnonzero(np.diff(slots, prepend=-1) > 0).astype(np.int64)


def _log_pictures(
    recording: rr.RecordingStream, store: Store, info: EpisodeInfo, name: str, rate_hz: float, is_dated: bool
) -> None:
    capture_ns, _ = store.frame_times(info.episode_id, name)
    samples = shown_samples(capture_ns, rate_hz)
    for start in range(0, len(samples), CHUNK_PICTURES):
        some = samples[start : start + CHUNK_PICTURES]
        blobs = [_jpeg(pixels) for pixels in store.frames(info.episode_id, name, some)]
        columns = rr.EncodedImage.columns(blob=blobs, media_type=["image/jpeg"] * len(blobs))
        rr.send_columns(f"cameras/{name}", [_times(capture_ns[some], is_dated)], columns, recording=recording)


def _blueprint(store: Store, info: EpisodeInfo) -> rrb.Blueprint:
    cameras = [
        rrb.Spatial2DView(origin=f"cameras/{each.name}", name=each.name)
        for each in info.streams
        if each.kind == "image" and each.samples
    ]
    plots = [
        rrb.TimeSeriesView(origin=path, name=panel_title(stream.spec.name, stream.spec.channels[places[0]]))
        for stream in store.low(info.episode_id).values()
        if stream.spec.kind == "vector" and len(stream)
        for path, places in panels(stream)
    ]
    words = rrb.Horizontal(
        rrb.TextDocumentView(origin="about", name="about"), rrb.TextLogView(origin="texts", name="texts")
    )
    left = rrb.Vertical(*([rrb.Grid(*cameras)] if cameras else []), words, row_shares=[3, 1] if cameras else [1])
    right = rrb.Grid(*plots, grid_columns=1 if len(plots) < 5 else 2)
    return rrb.Blueprint(rrb.Horizontal(left, right, column_shares=[2, 3]), collapse_panels=True)


def _about(info: EpisodeInfo) -> str:
    origin = info.provenance
    facts = {
        "episode": info.episode_id, "robot": info.embodiment, "task": origin.task, "instruction": origin.instruction,
        "site": origin.site, "environment": origin.environment, "source": origin.source, "origin": origin.origin,
        "success": {True: "yes", False: "no", None: ""}[origin.success], "duration": f"{info.duration_s:.2f} s",
    }  # fmt: skip
    return "\n".join(f"- **{name}**: {value}" for name, value in facts.items() if value)


def _times(capture_ns: NDArray[np.int64], is_dated: bool) -> rr.TimeColumn:
    if is_dated:
        return rr.TimeColumn(TIMELINE, timestamp=capture_ns.astype("datetime64[ns]"))
    return rr.TimeColumn(TIMELINE, duration=capture_ns.astype("timedelta64[ns]"))


def _jpeg(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()
