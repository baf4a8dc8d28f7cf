"""A first pass over a log: which topics to read, how, and which features they have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from counterpoint.core.errors import IngestError
from counterpoint.ingest.messages.decode import LayoutDecoder
from counterpoint.ingest.messages.extract import Extracted, by_sender, extract
from counterpoint.ingest.messages.flat import JsonDecoder
from counterpoint.ingest.messages.kinds import Kind, is_command, is_state, kind_of
from counterpoint.ingest.messages.topic import Block, Container, Decoder, MessageBatch, Topic
from counterpoint.ingest.recording.features import LogFeature, Role, stream_name

DECODERS: dict[str, Callable[[Topic, str], Decoder]] = {
    "cdr": LayoutDecoder,
    "ros1": LayoutDecoder,
    "json": JsonDecoder,
}
"""By encoding of the messages; MCAP files also have Protobuf."""
FIRST_MESSAGES = 500
"""Messages read in the first pass where several senders may share a topic: transforms and joints."""
MAX_STREAMS = 512
CAMERAS: tuple[Kind, ...] = ("video", "image", "raw_image")
"""Best first: where a camera was recorded twice, the first is kept."""
_RESERVED = frozenset({"action", "proprioception", "instruction"})
_LEFT_OUT = frozenset({"unknown_encoding", "unknown_type", "bad_schema"})
_PARTS = ("position", "velocity", "effort")
_IMAGE_WORDS = frozenset(
    {
        "image",
        "image_raw",
        "image_color",
        "image_rect",
        "image_rect_color",
        "compressed",
        "raw",
        "color",
        "rgb",
        "video",
    }
)
_NICE_HZ = (1, 2, 5, 10, 15, 20, 25, 30, 40, 50, 60, 75, 90, 100, 120, 125, 150, 200, 240, 250, 400, 500, 1000)


@dataclass(frozen=True, kw_only=True, eq=False)
class TopicReader:
    """How to read one topic."""

    topic: Topic
    kind: Kind
    decoder: Decoder
    camera: str = ""
    """Stream name of a camera."""
    rate_hz: float | None = None


@dataclass(kw_only=True, eq=False)
class Survey:
    """What a log contains."""

    readers: dict[str, TopicReader] = field(default_factory=dict)
    """By topic."""
    features: list[LogFeature] = field(default_factory=list)
    """The best candidates for action and state come first."""
    owner: dict[str, str] = field(default_factory=dict)
    """Topic of each feature."""
    first_joints: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Joints of the first message, by topic of joint states."""
    notes: list[str] = field(default_factory=list)


def survey(container: Container, decoders: Mapping[str, Callable[[Topic, str], Decoder]]) -> Survey:
    """Read the first messages of each topic.

    Raises:
        IngestError: the container is damaged, or a topic of commands, joints or pictures cannot be decoded.
    """
    found = Survey(notes=list(container.notes))
    where = str(container.path)
    for topic in container.topics.values():
        kind = kind_of(topic)
        if topic.count == 0:
            continue
        if kind == "ignored" or topic.encoding not in decoders:
            found.notes.append(f"left_out:{topic.name}")
            continue
        decoder = _decoder(decoders[topic.encoding], topic, where)
        if decoder is None:
            found.notes.append(f"left_out:{topic.name}")
            continue
        rate = nominal_hz(topic.count, container.span_ns)
        found.readers[topic.name] = TopicReader(topic=topic, kind=kind, decoder=decoder, rate_hz=rate)
    _name_cameras(found)
    _look(container, found)
    _sort_features(found)
    return found


def nominal_hz(count: int | None, span_ns: int) -> float | None:
    """Return the common rate nearest to the mean rate, or None where the rate is unknown."""
    if count is None or count < 3 or span_ns <= 0:
        return None
    mean = (count - 1) / span_ns * 1e9
    nearest = min(_NICE_HZ, key=lambda hz: abs(hz - mean))
    return float(nearest) if abs(nearest - mean) <= 0.1 * mean else float(f"{mean:.2g}")


def _decoder(make: Callable[[Topic, str], Decoder], topic: Topic, where: str) -> Decoder | None:
    try:
        return make(topic, where)
    except IngestError as error:
        if error.reason in _LEFT_OUT and not _is_needed(topic):
            return None
        raise


def _is_needed(topic: Topic) -> bool:
    """Whether the log is of little use without this topic."""
    return is_command(topic) or kind_of(topic) not in ("plain", "frames", "ignored")


def _look(container: Container, found: Survey) -> None:
    left = {name for name, reader in found.readers.items() if reader.kind not in (*CAMERAS, "text")}
    for block in container.blocks():
        if block.topic in left:
            left.discard(block.topic)
            _list_features(container, found, block)
        if not left:
            return
    for name in left:  # topics without messages
        del found.readers[name]


def _list_features(container: Container, found: Survey, block: Block) -> None:
    reader = found.readers[block.topic]
    where = str(container.path)
    try:
        batches = reader.decoder.decode(block.payloads[: FIRST_MESSAGES if reader.kind in ("frames", "joints") else 1])
    except IngestError as error:
        if error.reason not in _LEFT_OUT or _is_needed(reader.topic):
            raise
        batches = []
    before = len(found.features)
    for batch in batches:
        for extracted in extract(reader.topic, reader.kind, batch, where):
            if reader.kind == "joints":
                extracted = by_sender(extracted, found.first_joints.setdefault(block.topic, extracted.names))
            _add_feature(found, reader, extracted)
    if len(found.features) == before:
        found.notes.append(f"left_out:{block.topic}")
        if not _counts_later(reader, batches):
            del found.readers[block.topic]


def _counts_later(reader: TopicReader, batches: Sequence[MessageBatch]) -> bool:
    return reader.kind in ("joints", "array", "trajectory", "point") and bool(batches)


def _add_feature(found: Survey, reader: TopicReader, extracted: Extracted) -> None:
    width = extracted.values.shape[1]
    known = {stream_name(feature.name): feature.name for feature in found.features}
    if not width or extracted.feature in known.values():
        return
    if stream_name(extracted.feature) in known or len(found.features) >= MAX_STREAMS:
        found.notes.append(f"left_out:{extracted.feature}")
        return
    names = extracted.names if len(extracted.names) == width else ()
    role: Role = "other"
    if is_command(reader.topic):
        role = "action"
    elif is_state(reader.topic) and (reader.kind != "joints" or extracted.feature.endswith(".position")):
        role = "state"
    found.features.append(
        LogFeature(name=extracted.feature, width=width, names=names, role=role, rate_hz=reader.rate_hz)
    )
    found.owner[extracted.feature] = reader.topic.name


def _sort_features(found: Survey) -> None:
    """Sort the likeliest action and state first: named `action`, then joints, then positions, then the widest."""

    def rank(feature: LogFeature) -> tuple[bool, bool, bool, int, str]:
        reader = found.readers[found.owner[feature.name]]
        is_named = reader.topic.name.strip("/") == "action"
        part = feature.name.rpartition(".")[2]
        return not is_named, reader.kind in ("plain", "frames"), part in _PARTS[1:], -feature.width, feature.name

    found.features.sort(key=rank)
    actions = [feature.name for feature in found.features if feature.role == "action"]
    states = [feature.name for feature in found.features if feature.role == "state"]
    found.notes += [f"several_actions:{name}" for name in actions[1:]]
    taken = {*actions[:1], *states[:1]}
    hidden = [each for each in found.features if each.name not in taken and stream_name(each.name) in _RESERVED]
    found.notes += [f"left_out:{each.name}" for each in hidden]
    found.features = [each for each in found.features if each not in hidden]


def _name_cameras(found: Survey) -> None:
    """Name cameras after their topics; of topics with the same name keep the best."""
    seen: set[str] = set()
    for kind in CAMERAS:
        for name, reader in sorted(found.readers.items()):
            if reader.kind != kind:
                continue
            camera = f"camera/{camera_name(name)}"
            if camera in seen or "depth" in name.lower():
                found.notes.append(f"left_out:{name}")
                del found.readers[name]
                continue
            seen.add(camera)
            found.readers[name] = TopicReader(
                topic=reader.topic, kind=kind, decoder=reader.decoder, camera=camera, rate_hz=reader.rate_hz
            )


def camera_name(topic: str) -> str:
    """Return `cam_high` for `/cam_high/color/image_raw/compressed`."""
    parts = [part for part in topic.split("/") if part]
    kept = [part for part in parts if part.lower() not in _IMAGE_WORDS]
    if len(kept) > 1 and kept[0].lower() in ("camera", "cameras"):
        kept = kept[1:]
    return "_".join(kept or parts[:1] or ["main"])
