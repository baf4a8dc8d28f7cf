"""Which features of an RLDS step are commands, state, pictures and instruction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.clock import absolute_ns
from counterpoint.core.errors import IngestError
from counterpoint.ingest.files.columns import widened
from counterpoint.ingest.mapping.guess import unknown_channels
from counterpoint.ingest.recording.episode import MAX_SECONDS, check_times
from counterpoint.ingest.recording.features import LogFeature, Role
from counterpoint.ingest.rlds.example import Values
from counterpoint.ingest.rlds.structure import Leaf

ACTION = "steps/action"
STATES = ("state", "proprio", "robot_state", "joint_state", "joint_position", "joint_pos", "eef_state")
"""Names of the robot's own state; the first one present is used."""
BOOKKEEPING = frozenset({"reward", "discount", "is_first", "is_last", "is_terminal", "timestamp"})
CLOCK = "steps/timestamp"
"""Time of each step in seconds, where a dataset has it."""
SHORTEST_S, LONGEST_S = 1e-4, 60.0
"""A clock counts as seconds where its period is in this range."""
ENDS = ("terminate_episode", "terminate")
"""Parts of an action that end the episode and do not command motion."""
SUCCESS = ("steps/success", "steps/is_success", "episode_metadata/success", "episode_metadata/is_success")
LANGUAGE = ("language_instruction", "natural_language_instruction", "instruction", "language", "task")
RATES_HZ: dict[str, float] = {
    "fractal20220817_data": 3,
    "kuka": 10,
    "bridge": 5,
    "bridge_dataset": 5,
    "bridge_orig": 5,
    "taco_play": 15,
    "jaco_play": 10,
    "berkeley_cable_routing": 10,
    "roboturk": 10,
    "viola": 20,
    "berkeley_autolab_ur5": 5,
    "toto": 30,
    "language_table": 10,
    "droid": 15,
}
"""Control rates as published by the authors of these Open X-Embodiment datasets; the files do not state them."""


def usual_rate(dataset: str) -> float:
    """Return the rate of a known dataset, otherwise 10 Hz."""
    return float(RATES_HZ.get(dataset, 10))


@dataclass(frozen=True, kw_only=True)
class Steps:
    """The features of a step by meaning."""

    features: tuple[LogFeature, ...]
    images: tuple[str, ...]
    language: str
    """Empty where there is none."""
    parts: Mapping[str, tuple[Leaf, ...]]
    """The leaves that make up each numeric feature; several where an action is a dictionary."""
    clock: tuple[Leaf, ...]
    """The time of each step, in seconds; empty where there is none."""
    left_out: tuple[str, ...]

    @classmethod
    def of(cls, leaves: Sequence[Leaf], where: str) -> Steps:
        """Classify the leaves; raises IngestError `unknown_layout` where there are no steps."""
        steps = [leaf for leaf in leaves if leaf.path.startswith("steps/")]
        if not steps:
            raise IngestError(
                f"{where}: features.json has no 'steps', so this is not an RLDS dataset", reason="unknown_layout"
            )
        vectors = [leaf for leaf in steps if leaf.kind == "vector" and leaf.path.split("/")[1] not in BOOKKEEPING]
        parts: dict[str, tuple[Leaf, ...]] = {}
        for leaf in vectors:
            words = leaf.path.split("/")
            if leaf.path in SUCCESS or "embedding" in words[-1] or words[-1] in ENDS:
                continue
            name = ACTION if words[1] == "action" else leaf.path
            parts[name] = (*parts.get(name, ()), leaf)
        clock = tuple(leaf for leaf in steps if leaf.path == CLOCK and leaf.kind == "vector" and leaf.width == 1)
        state = next((path for word in STATES if (path := f"steps/observation/{word}") in parts), None)
        texts = {leaf.path for leaf in steps if leaf.kind == "text"}
        language = next(
            (path for word in LANGUAGE for at in ("", "observation/") if (path := f"steps/{at}{word}") in texts), ""
        )
        images = tuple(leaf.path for leaf in steps if leaf.kind == "image")
        used = {*images, language, *(leaf.path for each in parts.values() for leaf in each), *SUCCESS}
        passed = {f"steps/{name}" for name in BOOKKEEPING}
        return cls(
            features=tuple(_feature(name, each, state) for name, each in parts.items()),
            images=images,
            language=language,
            parts=parts,
            clock=clock,
            left_out=tuple(leaf.path for leaf in steps if leaf.path not in used | passed),
        )

    def numbers(self, example: Mapping[str, Values], name: str, where: str) -> NDArray[np.float64]:
        """Return float64 [steps, width] of a feature; raises IngestError."""
        columns = [_matrix(example, leaf, where) for leaf in self.parts[name]]
        if len({len(each) for each in columns}) > 1:
            raise IngestError(f"{where}: the parts of {name!r} have different lengths", reason="length_mismatch")
        return np.concatenate(columns, axis=1)

    def has_camera(self, example: Mapping[str, Values], feature: str) -> bool:
        """Whether the episode has this camera: not where its metadata denies it and all pictures are the same dummy.

        The flag alone is not enough: in Bridge recordings it is 0 for cameras that exist.
        """
        said, pictures = example.get(f"episode_metadata/has_{feature.rsplit('/', 1)[-1]}"), example.get(feature)
        is_denied = isinstance(said, np.ndarray) and len(said) == 1 and said[0] == 0
        return not (is_denied and isinstance(pictures, list) and len(set(pictures)) <= 1)

    def clock_rate(self, example: Mapping[str, Values], where: str) -> float | None:
        """Return the rate of the dataset's clock, from one episode; None where there is no clock in seconds."""
        if not self.clock:
            return None
        try:
            seconds = _matrix(example, self.clock[0], where)[:, 0]
        except IngestError:
            return None
        steps = np.diff(seconds)
        if len(steps) < 1 or not np.isfinite(steps).all() or (steps < 0).any():
            return None
        period = float(np.median(steps))
        return 1 / period if SHORTEST_S <= period <= LONGEST_S else None

    def times(self, example: Mapping[str, Values], count: int, where: str) -> NDArray[np.int64]:
        """Return the time of each step by the dataset's clock, int64 [steps] ns.

        Raises:
            IngestError: `length_mismatch`, `not_finite`, `absurd_time`, `time_backwards`.
        """
        seconds = _matrix(example, self.clock[0], where)[:, 0]
        if len(seconds) != count:
            raise IngestError(f"{where}: {len(seconds)} times for {count} steps", reason="length_mismatch")
        if not np.isfinite(seconds).all():
            raise IngestError(f"{where}: a time is NaN or infinite", reason="not_finite")
        if np.abs(seconds).max(initial=0.0) > MAX_SECONDS:
            raise IngestError(f"{where}: a time of {np.abs(seconds).max():g} s", reason="absurd_time")
        times = absolute_ns(seconds, 0)
        check_times(times, where)
        return times

    def instructions(self, example: Mapping[str, Values], count: int, where: str) -> list[str]:
        """Return one instruction per step, or none where the dataset has no language; raises IngestError."""
        raw = example.get(self.language)
        if not isinstance(raw, list):
            return []
        if len(raw) not in (1, count):
            raise IngestError(f"{where}: {len(raw)} instructions for {count} steps", reason="length_mismatch")
        try:
            texts = [each.decode("utf-8").strip() for each in raw]
        except UnicodeDecodeError as error:
            raise IngestError(f"{where}: an instruction is not UTF-8 ({error})", reason="not_text") from error
        return texts * count if len(texts) == 1 else texts

    def success(self, example: Mapping[str, Values]) -> bool | None:
        """Return whether the task was achieved, where the dataset says so.

        Rewards and `is_terminal` do not tell: converters fill both with defaults at the last step.
        """
        for path in SUCCESS:
            said = example.get(path)
            if isinstance(said, np.ndarray) and len(said):
                return bool(said[-1] > 0)
        return None


def _feature(name: str, leaves: tuple[Leaf, ...], state: str | None) -> LogFeature:
    role: Role = "action" if name == ACTION else "state" if name == state else "other"
    columns = [
        f"{leaf.path.rsplit('/', 1)[-1]}_{index}" if leaf.width > 1 else leaf.path.rsplit("/", 1)[-1]
        for leaf in leaves
        for index in range(leaf.width)
    ]
    return LogFeature(
        name=name, width=len(columns), names=tuple(columns), role=role, channels=unknown_channels(columns)
    )


def _matrix(example: Mapping[str, Values], leaf: Leaf, where: str) -> NDArray[np.float64]:
    raw = example.get(leaf.path)
    if raw is None:
        raise IngestError(f"{where}: feature {leaf.path!r} is missing", reason="missing_column")
    if not isinstance(raw, np.ndarray):
        raise IngestError(f"{where}: {leaf.path!r} holds bytes, expected numbers", reason="wrong_type")
    if len(raw) % leaf.width:
        raise IngestError(
            f"{where}: {leaf.path!r} has {len(raw)} numbers, expected {leaf.width} per step",
            reason="dimension_mismatch",
        )
    return widened(raw.reshape(-1, leaf.width))
