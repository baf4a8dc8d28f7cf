"""A stream: samples of one kind on their own clock, each with a capture and an arrival time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.clock import NS_PER_SECOND
from counterpoint.core.embodiment import StreamSpec
from counterpoint.core.errors import StreamError

TimeSource = Literal["measured", "nominal"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Stream:
    """Samples of one stream, ordered by capture time.

    Values by kind: vector float32 [samples, channels]; image uint8 [samples, height, width, 3];
    text object [samples] of str. A sample is known to the computer from its arrival time on.

    Raises:
        StreamError: on shapes that do not match, times that run backwards, arrival before capture,
            or values that are not finite; the message names stream and sample.
    """

    spec: StreamSpec
    capture_ns: NDArray[np.int64]
    """[samples], non-decreasing."""
    arrival_ns: NDArray[np.int64]
    """[samples], at least `capture_ns`; may be out of order where the latency of a sensor varies."""
    values: NDArray[np.float32] | NDArray[np.uint8] | NDArray[np.object_]
    time_source: TimeSource = "measured"
    """`nominal` where times were computed from a frame index and a rate instead of being measured."""

    def __post_init__(self) -> None:
        """Check the contract once; all other code relies on it."""
        name, count = self.spec.name, len(self.capture_ns)
        if self.capture_ns.dtype != np.int64 or self.arrival_ns.dtype != np.int64:
            raise StreamError(f"stream {name!r}: times must be int64 nanoseconds, got {self.capture_ns.dtype}")
        if self.arrival_ns.shape != (count,) or self.capture_ns.shape != (count,):
            raise StreamError(
                f"stream {name!r}: expected {count} arrival times, one per capture time, got {self.arrival_ns.shape}"
            )
        if self.values.shape != (expected := (count, *_sample_shape(self.spec))):
            raise StreamError(f"stream {name!r}: expected values of shape {expected}, got {self.values.shape}")
        if count and (late := np.flatnonzero(np.diff(self.capture_ns) < 0)).size:
            raise StreamError(f"stream {name!r}: time runs backwards after sample {late[0]}")
        if (early := np.flatnonzero(self.arrival_ns < self.capture_ns)).size:
            raise StreamError(f"stream {name!r}: sample {early[0]} arrives before it was captured")
        if self.spec.kind == "vector":
            if self.values.dtype != np.float32:
                raise StreamError(f"stream {name!r}: vector values must be float32, got {self.values.dtype}")
            if not np.isfinite(self.values).all():
                bad = np.argwhere(~np.isfinite(self.values))[0]
                raise StreamError(
                    f"stream {name!r}: sample {bad[0]}, channel {self.spec.channels[bad[1]].name!r} is "
                    f"{self.values[tuple(bad)]}; expected a finite number"
                )

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.capture_ns)

    def __repr__(self) -> str:
        """Return a line: name, how many samples of what, how long, how fast."""
        sample = {"vector": f"{len(self.spec.channels)} channels", "text": "text"}.get(
            self.spec.kind, f"{self.spec.width} x {self.spec.height} pixels"
        )
        seconds = (int(self.capture_ns[-1]) - int(self.capture_ns[0])) / NS_PER_SECOND if len(self) else 0.0
        rate = f", {(len(self) - 1) / seconds:.1f} Hz" if seconds > 0 else ""
        return f"<Stream {self.spec.name}: {len(self)} samples of {sample}, {seconds:.2f} s{rate}>"

    def between(self, start_ns: int, end_ns: int) -> Stream:
        """Return the samples captured in [start_ns, end_ns)."""
        first, last = np.searchsorted(self.capture_ns, [start_ns, end_ns], side="left")
        return self.select(slice(int(first), int(last)))

    def known_at(self, now_ns: int, *, since_ns: int) -> Stream:
        """Return the samples that had arrived by `now_ns` and were captured from `since_ns` on, else the newest older.

        Empty where nothing had arrived.
        """
        first, end = (int(at) for at in np.searchsorted(self.capture_ns, [since_ns, now_ns + 1]))
        known = self.arrival_ns[first:end] <= now_ns
        count = int(known.sum())
        if count:
            in_order = bool(known[:count].all())
            return self.select(slice(first, first + count) if in_order else first + np.flatnonzero(known))
        older = np.flatnonzero(self.arrival_ns[:first] <= now_ns)
        return self.select(older[-1:])

    def select(self, rows: slice | NDArray[np.int64] | NDArray[np.bool_]) -> Stream:
        """Return the chosen samples, in order."""
        return replace(
            self, capture_ns=self.capture_ns[rows], arrival_ns=self.arrival_ns[rows], values=self.values[rows]
        )


def _sample_shape(spec: StreamSpec) -> tuple[int, ...]:
    match spec.kind:
        case "vector":
            return (len(spec.channels),)
        case "image":
            return (spec.height, spec.width, 3)
        case "text":
            return ()


def vector_stream(
    spec: StreamSpec,
    capture_ns: NDArray[np.int64],
    values: NDArray[np.floating],
    *,
    arrival_ns: NDArray[np.int64] | None = None,
    time_source: TimeSource = "measured",
) -> Stream:
    """Build a vector stream from any float array [samples, channels]; arrival defaults to capture."""
    capture = np.asarray(capture_ns, dtype=np.int64)
    arrival = capture if arrival_ns is None else np.asarray(arrival_ns, dtype=np.int64)
    return Stream(
        spec=spec,
        capture_ns=capture,
        arrival_ns=arrival,
        values=np.asarray(values, dtype=np.float32),
        time_source=time_source,
    )


def text_stream(spec: StreamSpec, capture_ns: NDArray[np.int64], texts: list[str]) -> Stream:
    """Build a text stream; arrival times equal capture times."""
    capture = np.asarray(capture_ns, dtype=np.int64)
    return Stream(spec=spec, capture_ns=capture, arrival_ns=capture, values=np.asarray(texts, dtype=np.object_))
