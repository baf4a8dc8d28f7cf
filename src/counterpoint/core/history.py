"""What a robot sensed lately, sample by sample, checked when it comes in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from counterpoint.core.clock import seconds_to_ns
from counterpoint.core.embodiment import Embodiment, StreamSpec
from counterpoint.core.errors import StreamError, unknown_name
from counterpoint.core.stream import Stream

HISTORY_S = 2.0
"""How far back observations reach where nothing is said, seconds; what a policy needs is its `history_s`."""
CAMERA = "camera/"
INSTRUCTION = StreamSpec(name="instruction", kind="text")


@dataclass(kw_only=True, eq=False)
class _Past:
    """Samples of one stream, oldest first."""

    spec: StreamSpec
    capture_ns: list[int] = field(default_factory=list)
    arrival_ns: list[int] = field(default_factory=list)
    values: list[NDArray[np.generic] | str] = field(default_factory=list)

    def add(self, values: NDArray[np.generic] | str, capture_ns: int, arrival_ns: int) -> None:
        if self.capture_ns and capture_ns < self.capture_ns[-1]:
            raise StreamError(
                f"stream {self.spec.name!r}: expected samples in order of time, got {capture_ns} ns after "
                f"{self.capture_ns[-1]} ns; clear the buffer when another episode begins"
            )
        self.capture_ns.append(capture_ns)
        self.arrival_ns.append(arrival_ns)
        self.values.append(values)

    def forget(self, before_ns: int) -> None:
        """Drop what was captured before, but for the newest sample."""
        count = min(int(np.searchsorted(self.capture_ns, before_ns)), len(self.capture_ns) - 1)
        del self.capture_ns[:count], self.arrival_ns[:count], self.values[:count]

    def stream(self) -> Stream:
        return Stream(
            spec=self.spec,
            capture_ns=np.asarray(self.capture_ns, np.int64),
            arrival_ns=np.asarray(self.arrival_ns, np.int64),
            values=np.asarray(self.values, np.object_) if self.spec.kind == "text" else np.stack(self.values),
        )


class SensorHistory:
    """Keeps the samples of the last seconds; arrays are copied when they are added."""

    def __init__(self, robot: Embodiment, *, history_s: float = HISTORY_S) -> None:
        """Begin with nothing sensed; samples older than `history_s` seconds may be forgotten."""
        self.robot = robot
        self.history_s = history_s
        self._past: dict[str, _Past] = {}
        self._specs = {spec.name: spec for spec in (*robot.sensing, robot.action_spec)}

    def clear(self) -> None:
        """Forget everything, for example at the start of an episode."""
        self._past.clear()

    def add(self, name: str, values: ArrayLike | str | Stream, capture_ns: int, arrival_ns: int | None = None) -> None:
        """Add one sample of a stream that was captured at `capture_ns` and arrived then, or at `arrival_ns`.

        Args:
            name: a sensing stream of the robot, `action`, `instruction`, or `camera/<name>`.
            values: one value for each channel; uint8 [height, width, 3] of a camera; text; or a `Stream` whose
                samples, with their own times, are added.
            capture_ns: when it was sensed or executed, ns.
            arrival_ns: when the computer had it, ns.

        Raises:
            StreamError: channels, shape, type or order of time is wrong. UnknownNameError: there is no such stream.
        """
        if isinstance(values, Stream):
            past = self._past.setdefault(name, _Past(spec=values.spec))
            for row in range(len(values)):
                past.add(values.values[row], int(values.capture_ns[row]), int(values.arrival_ns[row]))
            return
        spec: StreamSpec
        sample: NDArray[np.generic] | str
        if isinstance(values, str):
            spec, sample = INSTRUCTION, values
        elif name.startswith(CAMERA):
            spec, sample = self._picture(name, np.asarray(values))
        else:
            spec, sample = self._vector(name, values)
        past = self._past.setdefault(name, _Past(spec=spec))
        past.add(sample, int(capture_ns), int(capture_ns if arrival_ns is None else arrival_ns))

    def add_all(
        self,
        now_ns: int,
        *,
        proprioception: ArrayLike | None = None,
        cameras: Mapping[str, NDArray[np.uint8]] | None = None,
        instruction: str = "",
        streams: Mapping[str, ArrayLike | Stream] | None = None,
    ) -> None:
        """Add one sample of each as captured at `now_ns`; an instruction that is in force is not added again.

        Arguments and errors are those of `Observation.from_arrays`.
        """
        for name, values in (streams or {}).items():
            self.add(name, values, now_ns)
        if proprioception is not None:
            self.add("proprioception", proprioception, now_ns)
        for name, picture in (cameras or {}).items():
            self.add(CAMERA + name.removeprefix(CAMERA), picture, now_ns)
        said = self._past.get(INSTRUCTION.name)
        if instruction and (said is None or said.values[-1] != instruction):
            self.add(INSTRUCTION.name, instruction, now_ns)

    def streams(self, now_ns: int) -> dict[str, Stream]:
        """Forget what is older than `history_s` seconds at `now_ns` and return the rest."""
        for past in self._past.values():
            past.forget(now_ns - seconds_to_ns(self.history_s))
        return {name: past.stream() for name, past in self._past.items() if past.values}

    def _vector(self, name: str, values: ArrayLike) -> tuple[StreamSpec, NDArray[np.generic]]:
        spec = self._past[name].spec if name in self._past else self._specs.get(name)
        if spec is None:
            hint = "Give a Stream with its own description for sensors that do not belong to the robot."
            raise unknown_name(f"stream of robot {self.robot.name!r}", name, self._specs, hint=hint)
        row = np.array(values, dtype=np.float32)
        if row.shape != (len(spec.channels),):
            names = ", ".join(spec.channel_names)
            got = f"{len(row)}" if row.ndim == 1 else f"an array of shape {row.shape}"
            raise StreamError(
                f"Expected {len(spec.channels)} columns in stream {name!r} of robot {self.robot.name!r}, got {got}. "
                f"Give one value for each of: {names}"
            )
        if not np.isfinite(row).all():
            bad = int(np.flatnonzero(~np.isfinite(row))[0])
            raise StreamError(
                f"Expected finite numbers in stream {name!r} of robot {self.robot.name!r}, got {row[bad]} in column "
                f"{spec.channel_names[bad]!r}"
            )
        return spec, row

    def _picture(self, name: str, picture: NDArray[np.generic]) -> tuple[StreamSpec, NDArray[np.generic]]:
        known = self._past[name].spec if name in self._past else None
        is_picture = picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[-1] == 3
        if not is_picture or (known is not None and picture.shape[:2] != (known.height, known.width)):
            size = "height, width" if known is None else f"{known.height}, {known.width}"
            steps = []
            if picture.ndim == 3 and picture.shape[0] == 3 != picture.shape[-1]:
                steps.append("put the colours last: picture.transpose(1, 2, 0)")
            if picture.dtype.kind == "f":
                steps.append("convert values from 0 to 1 by (255 * picture).astype(numpy.uint8)")
            raise StreamError(
                f"Expected uint8 [{size}, 3] from camera {name.removeprefix(CAMERA)!r}, got {picture.dtype} "
                f"{list(picture.shape)}{'. Try to ' + ', and '.join(steps) if steps else ''}"
            )
        spec = known or StreamSpec(name=name, kind="image", height=picture.shape[0], width=picture.shape[1])
        return spec, picture.copy()
