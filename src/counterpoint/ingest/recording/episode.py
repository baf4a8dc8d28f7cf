"""From a Recording to an Episode: the step that all readers share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.embodiment import StreamSpec
from counterpoint.core.episode import Episode, Provenance
from counterpoint.core.errors import IngestError
from counterpoint.core.stream import Stream, text_stream, vector_stream
from counterpoint.ingest.files.columns import check_finite
from counterpoint.ingest.mapping.robot_mapping import RobotMapping
from counterpoint.ingest.recording.features import slug
from counterpoint.ingest.recording.recording import Recording
from counterpoint.ingest.recording.source import Ingested, Labels

MAX_SECONDS = 1e8
"""Longest time from the first to the last sample of an episode; three years."""
LARGEST_ANGLE = 4 * np.pi
"""A joint position beyond this was probably not logged in rad."""
INSTRUCTION = StreamSpec(name="instruction", kind="text")


def build_episode(
    recording: Recording,
    mapping: RobotMapping,
    labels: Labels,
    *,
    where: str,
    name: str,
    origin: str,
    rate_hz: float,
    content_hash: str,
) -> Ingested:
    """Build an episode.

    Args:
        recording: the samples; must hold every feature of `mapping`.
        mapping: which feature is which stream.
        labels: what a log does not say about itself.
        where: log and item, for messages.
        name: start of the episode's id; the content hash follows.
        origin: the log's name and the item's, for the provenance.
        rate_hz: nominal rate of streams whose feature has none.
        content_hash: identifies the episode, so that a second ingest skips it.

    Raises:
        IngestError: `missing_stream`, `no_rows`, `not_finite`, `time_backwards`, `absurd_time`.
    """
    streams, notes = _vectors(recording, mapping, rate_hz, where)
    if not any(len(stream) for stream in streams.values()):
        raise IngestError(f"{where}: no samples", reason="no_rows")
    if recording.texts:
        times = np.asarray([time for time, _ in recording.texts], dtype=np.int64)
        streams["instruction"] = text_stream(INSTRUCTION, times, [text for _, text in recording.texts])
    streams.update(recording.frames)
    instruction = recording.texts[0][1] if recording.texts else ""
    provenance = Provenance(
        robot=mapping.robot.name,
        task=slug(instruction),
        instruction=instruction,
        site=labels.site,
        environment=labels.environment,
        source=labels.source,
        operator=labels.operator,
        licence=labels.licence,
        origin=origin,
        content_hash=content_hash,
        success=recording.success,
        notes=(*recording.notes, *notes),
    )
    episode = Episode(
        episode_id=f"{name}-{content_hash[:12]}", embodiment=mapping.robot, provenance=provenance, streams=streams
    )
    return Ingested(episode=episode, videos=recording.videos)


def _vectors(
    recording: Recording, mapping: RobotMapping, rate_hz: float, where: str
) -> tuple[dict[str, Stream], list[str]]:
    """Return the vector streams, and notes on them."""
    specs = mapping.specs(rate_hz)
    streams: dict[str, Stream] = {}
    notes: list[str] = []
    for each in mapping.features:
        if each.feature not in recording.series:
            raise IngestError(f"{where}: no samples of {each.feature!r}", reason="missing_stream")
        series = recording.series[each.feature]
        check_times(series.capture_ns, f"{where}: {each.feature}")
        values = checked_values(series.values, len(each.channels), f"{where}: {each.feature}")
        streams[each.stream] = vector_stream(
            specs[each.stream],
            series.capture_ns,
            each.convert(values),
            arrival_ns=None if series.arrival_ns is None else np.maximum(series.arrival_ns, series.capture_ns),
            time_source=series.time_source,
        )
        notes += _odd_units(streams[each.stream])
    return streams, notes


def check_order(times: NDArray[np.int64] | NDArray[np.float64], where: str) -> None:
    """Raise IngestError `time_backwards` where times run backwards; any unit."""
    late = np.flatnonzero(times[1:] < times[:-1])
    if late.size:
        raise IngestError(f"{where}: time runs backwards after sample {late[0]}", reason="time_backwards")


def check_times(capture_ns: NDArray[np.int64], where: str) -> None:
    """Raise IngestError where times run backwards (`time_backwards`) or span years (`absurd_time`)."""
    check_order(capture_ns, where)
    if len(capture_ns) and (int(capture_ns[-1]) - int(capture_ns[0])) / 1e9 > MAX_SECONDS:
        raise IngestError(
            f"{where}: lasts {(int(capture_ns[-1]) - int(capture_ns[0])) / 1e9:g} s", reason="absurd_time"
        )


def checked_values(values: NDArray[np.floating], width: int, where: str) -> NDArray[np.float32]:
    """Return float32 [samples, width]; raises IngestError `dimension_mismatch` or `not_finite`."""
    if values.ndim != 2 or values.shape[1] != width:
        raise IngestError(f"{where}: shape {values.shape}, expected [samples, {width}]", reason="dimension_mismatch")
    with np.errstate(over="ignore", invalid="ignore"):
        narrow = values.astype(np.float32)
    check_finite(narrow, where)
    return narrow


def _odd_units(stream: Stream) -> list[str]:
    angles = [column for column, channel in enumerate(stream.spec.channels) if channel.unit == "rad"]
    values = np.asarray(stream.values, dtype=np.float32)
    is_odd = bool(angles and len(values) and np.abs(values[:, angles]).max() > LARGEST_ANGLE)
    return [f"not_in_rad:{stream.spec.name}"] if is_odd else []
