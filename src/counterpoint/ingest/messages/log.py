"""A log of messages, from any container, as one episode."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace

from counterpoint.core.embodiment import embodiment_from_dict
from counterpoint.core.episode import SOURCES
from counterpoint.ingest.mapping.robot_mapping import FeatureMap, RobotMapping
from counterpoint.ingest.messages.camera import Camera
from counterpoint.ingest.messages.extract import by_sender, extract
from counterpoint.ingest.messages.series import SeriesBuilder
from counterpoint.ingest.messages.survey import CAMERAS, DECODERS, Survey, TopicReader, survey
from counterpoint.ingest.messages.topic import Block, Container, Decoder, Topic
from counterpoint.ingest.recording.features import LogFeature, LogRobot, map_features, slug
from counterpoint.ingest.recording.recorded_log import RecordedLog
from counterpoint.ingest.recording.recording import Recording, merged_texts
from counterpoint.ingest.recording.source import Labels, ReadOptions
from counterpoint.store import EncodedVideo

DEFAULT_HZ = 30.0
EMBODIMENT_KEY = "embodiment"
"""Metadata key under which a log may describe its robot as JSON."""
_INSTRUCTION_KEYS = ("instruction", "language_instruction", "task", "task_description", "prompt")
_YES, _NO = frozenset({"true", "1", "yes", "success"}), frozenset({"false", "0", "no", "failure"})


class MessageLog(RecordedLog):
    """A log of messages opened for reading; its one item has no name."""

    def __init__(
        self,
        container: Container,
        options: ReadOptions,
        decoders: Mapping[str, Callable[[Topic, str], Decoder]] = DECODERS,
    ) -> None:
        """Read the first messages of each topic and map them to a robot; raises IngestError."""
        self._container = container
        self._survey = survey(container, decoders)
        mapping, notes = _mapped(self._survey.features, options, container)
        action = next(each.feature for each in mapping.features if each.stream == "action")
        rate = self._survey.readers[self._survey.owner[action]].rate_hz or DEFAULT_HZ
        super().__init__(container.path, options, mapping, notes, rate)

    def items(self) -> list[str]:
        """Return one item without a name: the log is one episode."""
        return [""]

    def load(self, item: str) -> Recording:
        """Read the log; raises IngestError."""
        recording = _Recorder(self._container, self._survey, self._series()).record(tuple(self._survey.notes))
        self.labels = _with_metadata(self.labels, self._container.metadata())
        return recording

    def _series(self) -> dict[str, SeriesBuilder]:
        """Return an empty series for each feature that the mapping uses."""
        known = {feature.name: feature for feature in self._survey.features}
        strict = {each.feature for each in self.mapping.features if each.stream in ("action", "proprioception")}
        return {
            name: SeriesBuilder(
                feature=name,
                where=str(self.path),
                names=known[name].names,
                width=known[name].width,
                strict=name in strict,
            )
            for name in {each.feature: None for each in self.mapping.features}
        }


class _Recorder:
    """One pass over all blocks."""

    def __init__(self, container: Container, survey: Survey, series: dict[str, SeriesBuilder]) -> None:
        self._container = container
        self._readings = survey.readers
        self._first_joints = survey.first_joints
        self._series = series
        self._where = str(container.path)
        self._seen: Counter[str] = Counter()
        self._unmapped: set[str] = set()
        self._texts: list[tuple[int, int, str]] = []
        self._cameras = {
            name: Camera(name=each.camera, topic=name, kind=each.kind, where=self._where, rate_hz=each.rate_hz)
            for name, each in survey.readers.items()
            if each.kind in CAMERAS
        }

    def record(self, notes: tuple[str, ...]) -> Recording:
        for block in self._container.blocks():
            if reader := self._readings.get(block.topic):
                self._add(reader, block)
            self._seen[block.topic] += len(block.payloads)
        found = [*notes, *(f"left_out:{name}" for name in sorted(self._unmapped))]
        series = {}
        for name, builder in self._series.items():
            series[name], more = builder.series()
            found += more
        videos: dict[str, EncodedVideo] = {}
        pixels: dict[str, bytes] = {}
        for camera in self._cameras.values():
            made, more = camera.finish()
            found += more
            if made is not None:
                videos[camera.name] = made
                if camera.pixels is not None:
                    pixels[camera.name] = camera.pixels.content()
        metadata = self._container.metadata()
        if not self._texts and (text := next((metadata[key] for key in _INSTRUCTION_KEYS if metadata.get(key)), "")):
            starts = [int(each.capture_ns[0]) for each in series.values() if len(each.capture_ns)]
            self._texts = [(min(starts, default=0), 0, text)]
        texts = sorted(self._texts)
        return Recording(
            series=series,
            videos=videos,
            texts=merged_texts([time for time, _, _ in texts], [text for _, _, text in texts]),
            success=_success(metadata),
            notes=tuple(dict.fromkeys(found)),
            pixels=pixels,
        )

    def _add(self, reader: TopicReader, block: Block) -> None:
        first = self._seen[block.topic]
        for batch in reader.decoder.decode(block.payloads):
            if reader.kind in CAMERAS:
                self._cameras[block.topic].add(batch, block, first)
            elif reader.kind == "text":
                text = str(batch.texts.get("data", ""))
                self._texts += [(int(block.publish_ns[row]), first + row, text) for row in batch.rows.tolist()]
            else:
                for extracted in extract(reader.topic, reader.kind, batch, self._where):
                    extracted = by_sender(extracted, self._first_joints.get(block.topic, ()))
                    if extracted.feature in self._series:
                        self._series[extracted.feature].add(extracted, block, first)
                    elif extracted.values.shape[1]:
                        self._unmapped.add(extracted.feature)


def _mapped(features: list[LogFeature], options: ReadOptions, container: Container) -> tuple[RobotMapping, list[str]]:
    rates = [feature.rate_hz for feature in features if feature.role == "action" and feature.rate_hz]
    columns = sorted((each.name, each.width, each.names) for each in features if each.role != "other")
    state = next((each for each in features if each.role == "state"), None)
    width = state.width if state is not None else sum(each.width for each in features if each.role == "action")
    declared = _declared(features, container.metadata())
    if declared is not None and options.robot is None:
        left_out = {each.name for each in features} - {each.feature for each in declared.features}
        return declared, [f"left_out:{name}" for name in sorted(left_out)]
    robot = LogRobot(
        name=f"ros_{width}dof_{hashlib.sha256(repr(columns).encode()).hexdigest()[:6]}",
        rate_hz=rates[0] if rates else DEFAULT_HZ,
        description="Made up from the topics of a log; correct it with a mapping file.",
        source="topics of a log",
    )
    return map_features(features, robot, options, str(container.path))


def _declared(features: list[LogFeature], metadata: Mapping[str, str]) -> RobotMapping | None:
    """Return the mapping to the robot that the log itself describes, as `counterpoint export` writes it.

    A topic `/NAME` is the robot's stream NAME; a description that does not fit the topics is ignored.
    """
    try:
        robot = embodiment_from_dict(json.loads(metadata[EMBODIMENT_KEY]))
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    known = {spec.name: spec.channel_names for spec in (*robot.sensing, robot.action_spec)}
    maps = [
        FeatureMap(feature=each.name, stream=each.name.strip("/"), channels=each.names)
        for each in features
        if known.get(each.name.strip("/")) == each.names
    ]
    if not any(each.stream == "action" for each in maps):
        return None
    return RobotMapping(robot=robot, features=tuple(maps))


def _with_metadata(labels: Labels, metadata: Mapping[str, str]) -> Labels:
    """Fill in labels that the user left empty from the log's metadata."""
    source = metadata.get("source", "")
    return replace(
        labels,
        site=labels.site or metadata.get("site", ""),
        environment=labels.environment or metadata.get("environment", ""),
        operator=labels.operator or metadata.get("operator", ""),
        licence=labels.licence or metadata.get("licence", metadata.get("license", "")),
        source=source if labels.source == "real" and source in SOURCES else labels.source,
    )


def _success(metadata: Mapping[str, str]) -> bool | None:
    word = slug(metadata.get("success", ""))
    return True if word in _YES else False if word in _NO else None
