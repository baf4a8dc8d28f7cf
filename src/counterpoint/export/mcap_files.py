"""MCAP: one file per episode, one topic per stream, each on its own clock; nothing is resampled.

/action, /proprioception, ...   JSON, one field per channel; publish time is capture, log time is arrival
/camera/front                   foxglove.CompressedVideo (or CompressedImage) in protocol buffers
/instruction                    std_msgs/msg/String in CDR
metadata `counterpoint`         provenance, and the robot as JSON under `embodiment`
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
from mcap.writer import CompressionType, Writer
from numpy.typing import NDArray

from counterpoint.core.embodiment import embodiment_to_dict
from counterpoint.core.errors import ExportError
from counterpoint.core.stream import Stream
from counterpoint.export.pictures import camera_messages, image_schema
from counterpoint.export.selection import Selection
from counterpoint.store import EpisodeInfo
from counterpoint.store.files.layout import safe_name

Message = Callable[[int], bytes]
"""Encodes sample k of a stream."""


def write_mcap(selection: Selection, folder: Path) -> Iterator[EpisodeInfo]:
    """Write `<episode>.mcap` for each episode into `folder`; yields each once it is written."""
    for info in selection.episodes:
        with (folder / f"{safe_name(info.episode_id)}.mcap").open("wb") as file:
            writer = Writer(file, compression=CompressionType.ZSTD)
            writer.start(profile="", library="counterpoint")
            _write_episode(writer, selection, info)
            writer.finish()  # type: ignore[no-untyped-call]  # mcap has no types for it
        yield info


def _write_episode(writer: Writer, selection: Selection, info: EpisodeInfo) -> None:
    store = selection.store
    topics: list[tuple[int, NDArray[np.int64], NDArray[np.int64], Message]] = []
    for name, stream in store.low(info.episode_id).items():
        if len(stream):
            channel, encode = _register(writer, name, stream)
            topics.append((channel, stream.capture_ns, stream.arrival_ns, encode))
    for each in info.streams:
        if each.kind == "image" and each.samples:
            capture, arrival = store.frame_times(info.episode_id, each.name)
            messages = camera_messages(store, info, each.name)
            schema = writer.register_schema(*image_schema(messages.kind))
            channel = writer.register_channel(f"/{each.name}", "protobuf", schema)
            topics.append((channel, capture, arrival, messages.encode(capture)))
    _write_messages(writer, topics, info)
    robot = store.read(info.episode_id, 0, 0, streams=()).embodiment
    described = {"embodiment": json.dumps(embodiment_to_dict(robot), allow_nan=False)}
    writer.add_metadata("counterpoint", {**_provenance(info), **described})


def _write_messages(
    writer: Writer, topics: list[tuple[int, NDArray[np.int64], NDArray[np.int64], Message]], info: EpisodeInfo
) -> None:
    """Write the samples of all topics in order of arrival."""
    if not topics:
        return
    arrivals = np.concatenate([arrival for _, _, arrival, _ in topics])
    owners = np.concatenate([np.full(len(arrival), place) for place, (_, _, arrival, _) in enumerate(topics)])
    samples = np.concatenate([np.arange(len(arrival)) for _, _, arrival, _ in topics])
    if arrivals.min() < 0 or min(int(capture.min()) for _, capture, _, _ in topics) < 0:
        raise ExportError(
            f"episode {info.episode_id!r}: times before 0, which MCAP cannot store; leave the episode out"
        )
    for row in np.argsort(arrivals, kind="stable"):
        channel, capture, arrival, encode = topics[owners[row]]
        sample = int(samples[row])
        writer.add_message(
            channel,
            log_time=int(arrival[sample]),
            publish_time=int(capture[sample]),
            data=encode(sample),
            sequence=sample,
        )


def _register(writer: Writer, name: str, stream: Stream) -> tuple[int, Message]:
    if stream.spec.kind == "text":
        schema = writer.register_schema("std_msgs/msg/String", "ros2msg", b"string data\n")
        return writer.register_channel(f"/{name}", "cdr", schema), lambda k: _cdr_text(str(stream.values[k]))
    names = stream.spec.channel_names
    fields = {each: {"type": "number"} for each in names}
    described = {"type": "object", "title": name, "properties": fields, "required": list(names)}
    schema = writer.register_schema(f"counterpoint.{name}", "jsonschema", json.dumps(described).encode())
    values = np.asarray(stream.values, dtype=np.float32)
    units = {channel.name: channel.unit for channel in stream.spec.channels}
    channel = writer.register_channel(f"/{name}", "json", schema, metadata={"units": json.dumps(units)})
    return channel, lambda k: json.dumps(dict(zip(names, values[k].tolist(), strict=True))).encode()


def _cdr_text(text: str) -> bytes:
    """Return a String message: little-endian CDR header, length including the final zero, bytes."""
    data = text.encode() + b"\0"
    return b"\x00\x01\x00\x00" + len(data).to_bytes(4, "little") + data


def _provenance(info: EpisodeInfo) -> dict[str, str]:
    found = {key: value for key, value in asdict(info.provenance).items() if value not in ("", None, ())}
    return {
        "episode_id": info.episode_id,
        **{key: json.dumps(value) if not isinstance(value, str) else value for key, value in found.items()},
    }
