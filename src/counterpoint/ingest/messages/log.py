"""A log of messages, whatever its container, as one episode."""

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
from counterpoint.ingest.messages.gather import Gathered
from counterpoint.ingest.messages.pick import by_sender, pick
from counterpoint.ingest.messages.survey import CAMERAS, DECODERS, Reading, Survey, survey
from counterpoint.ingest.messages.topic import Block, Container, Decoder, Topic
from counterpoint.ingest.recording.features import LogFeature, LogRobot, map_features, slug
from counterpoint.ingest.recording.recorded_log import RecordedLog
from counterpoint.ingest.recording.recording import Recording, merged_texts
from counterpoint.ingest.recording.source import Labels, ReadOptions
from counterpoint.store import EncodedVideo

DEFAULT_HZ = 30.0
EMBODIMENT_FACT = "embodiment"
"""Metadata key under which a log may describe its robot, as JSON."""
_INSTRUCTION_FACTS = ("instruction", "language_instruction", "task", "task_description", "prompt")
_YES, _NO = frozenset({"true", "1", "yes", "success"}), frozenset({"false", "0", "no", "failure"})


class MessageLog(RecordedLog):
    """A log of messages opened for reading; its one item has no name."""

    def __init__(
        self,
        container: Container,
        options: ReadOptions,
        decoders: Mapping[str, Callable[[Topic, str], Decoder]] = DECODERS,
    ) -> None:
        """Look at the first messages of each topic and map them to a robot; raises IngestError."""
        self._container = container
        self._survey = survey(container, decoders)
        mapping, notes = _mapped(self._survey.features, options, container)
        action = next(each.feature for each in mapping.features if each.stream == "action")
        rate = self._survey.readings[self._survey.owner[action]].rate_hz or DEFAULT_HZ
        super().__init__(container.path, options, mapping, notes, rate)

    def items(self) -> list[str]:
        """Return one item without a name: the log is one episode."""
        return [""]

    def load(self, item: str) -> Recording:
        """Read the log; raises IngestError."""
        recording = _Recorder(self._container, self._survey, self._series()).record(tuple(self._survey.notes))
        self.labels = _labelled(self.labels, self._container.facts())
        return recording

    def _series(self) -> dict[str, Gathered]:
        """Return an empty series for each feature that the mapping uses."""
        known = {feature.name: feature for feature in self._survey.features}
        strict = {each.feature for each in self.mapping.features if each.stream in ("action", "proprioception")}
        return {
            name: Gathered(
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

    def __init__(self, container: Container, survey: Survey, series: dict[str, Gathered]) -> None:
        self._container = container
        self._readings = survey.readings
        self._first_joints = survey.first_joints
        self._series = series
        self._where = str(container.path)
        self._seen: Counter[str] = Counter()
        self._later: set[str] = set()
        self._texts: list[tuple[int, int, str]] = []
        self._cameras = {
            name: Camera(name=each.camera, topic=name, kind=each.kind, where=self._where, rate_hz=each.rate_hz)
            for name, each in survey.readings.items()
            if each.kind in CAMERAS
        }

    def record(self, notes: tuple[str, ...]) -> Recording:
        for block in self._container.blocks():
            if reading := self._readings.get(block.topic):
                self._add(reading, block)
            self._seen[block.topic] += len(block.payloads)
        found = [*notes, *(f"left_out:{name}" for name in sorted(self._later))]
        series = {}
        for name, gathered in self._series.items():
            series[name], more = gathered.series()
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
        facts = self._container.facts()
        if not self._texts and (text := next((facts[key] for key in _INSTRUCTION_FACTS if facts.get(key)), "")):
            starts = [int(each.capture_ns[0]) for each in series.values() if len(each.capture_ns)]
            self._texts = [(min(starts, default=0), 0, text)]
        texts = sorted(self._texts)
        return Recording(
            series=series,
            videos=videos,
            texts=merged_texts([time for time, _, _ in texts], [text for _, _, text in texts]),
            success=_success(facts),
            notes=tuple(dict.fromkeys(found)),
            pixels=pixels,
        )

    def _add(self, reading: Reading, block: Block) -> None:
        first = self._seen[block.topic]
        for batch in reading.decoder.decode(block.payloads):
            if reading.kind in CAMERAS:
                self._cameras[block.topic].add(batch, block, first)
            elif reading.kind == "text":
                text = str(batch.texts.get("data", ""))
                self._texts += [(int(block.publish_ns[row]), first + row, text) for row in batch.rows.tolist()]
            else:
                for picked in pick(reading.topic, reading.kind, batch, self._where):
                    picked = by_sender(picked, self._first_joints.get(block.topic, ()))
                    if picked.feature in self._series:
                        self._series[picked.feature].add(picked, block, first)
                    elif picked.values.shape[1]:
                        self._later.add(picked.feature)


def _mapped(features: list[LogFeature], options: ReadOptions, container: Container) -> tuple[RobotMapping, list[str]]:
    rates = [feature.rate_hz for feature in features if feature.role == "action" and feature.rate_hz]
    columns = sorted((each.name, each.width, each.names) for each in features if each.role != "other")
    state = next((each for each in features if each.role == "state"), None)
    width = state.width if state is not None else sum(each.width for each in features if each.role == "action")
    declared = _declared(features, container.facts())
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


def _declared(features: list[LogFeature], facts: Mapping[str, str]) -> RobotMapping | None:
    """Return the mapping to the robot that the log describes itself, as `counterpoint export` writes it.

    A topic `/NAME` is the robot's stream NAME; a description that does not fit the topics counts as none.
    """
    try:
        robot = embodiment_from_dict(json.loads(facts[EMBODIMENT_FACT]))
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


def _labelled(labels: Labels, facts: Mapping[str, str]) -> Labels:
    """Fill in what the user left open with what the log says of itself."""
    source = facts.get("source", "")
    return replace(
        labels,
        site=labels.site or facts.get("site", ""),
        environment=labels.environment or facts.get("environment", ""),
        operator=labels.operator or facts.get("operator", ""),
        licence=labels.licence or facts.get("licence", facts.get("license", "")),
        source=source if labels.source == "real" and source in SOURCES else labels.source,
    )


def _success(facts: Mapping[str, str]) -> bool | None:
    word = slug(facts.get("success", ""))
    return True if word in _YES else False if word in _NO else None
