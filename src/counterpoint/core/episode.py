"""An episode: the streams of one recording of interaction, and their provenance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from counterpoint.core.clock import NS_PER_SECOND
from counterpoint.core.embodiment import Embodiment
from counterpoint.core.errors import StreamError, unknown_name
from counterpoint.core.stream import Stream

Source = Literal["real", "teleoperation", "simulation", "human_video"]
SOURCES: tuple[Source, ...] = get_args(Source)


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where an episode comes from; every field is searchable in the catalog."""

    robot: str
    task: str = ""
    """Short task name, for example `lift`."""
    instruction: str = ""
    """The instruction given to the robot, in words."""
    site: str = ""
    environment: str = ""
    """Kind of place: home, bakery, laundry, warehouse, factory, ..."""
    source: Source = "real"
    operator: str = ""
    licence: str = ""
    origin: str = ""
    """The log it was read from, or the world, task and seed it was simulated with."""
    content_hash: str = ""
    """SHA-256 of the original content, for idempotent ingest."""
    success: bool | None = None
    """Whether the task was achieved; None where this is unknown."""
    notes: tuple[str, ...] = ()
    """Reason codes for missing or repaired data, for example `missing_video:observation.images.cam_high`."""

    def __post_init__(self) -> None:
        """Check the closed set of sources."""
        if self.source not in SOURCES:
            raise unknown_name("episode source", self.source, SOURCES)


@dataclass(frozen=True, kw_only=True, eq=False)
class Episode:
    """The streams of one recording of interaction; each keeps its own clock.

    The executed commands are the stream `action`, whose channels are the embodiment's acting channels.
    """

    episode_id: str
    embodiment: Embodiment
    provenance: Provenance
    streams: dict[str, Stream]

    def __post_init__(self) -> None:
        """Check that streams carry their own names."""
        for name, stream in self.streams.items():
            if stream.spec.name != name:
                raise StreamError(
                    f"episode {self.episode_id}: stream {stream.spec.name!r} is stored under the name {name!r}"
                )

    def __repr__(self) -> str:
        """Return a line for the episode and one for each stream."""
        said = f", {self.provenance.instruction!r}" if self.provenance.instruction else ""
        head = f"<Episode {self.episode_id}: robot {self.embodiment.name}, {self.duration_s:.2f} s{said}"
        return "\n  ".join([head, *(repr(stream) for stream in self.streams.values())]) + ">"

    def stream(self, name: str) -> Stream:
        """Return the stream of that name; raises UnknownNameError offering the nearest."""
        if name not in self.streams:
            raise unknown_name("stream", name, self.streams, hint=f"(episode {self.episode_id})")
        return self.streams[name]

    @property
    def start_ns(self) -> int:
        """First capture time of any stream; 0 for an empty episode."""
        return min((int(s.capture_ns[0]) for s in self.streams.values() if len(s)), default=0)

    @property
    def end_ns(self) -> int:
        """Last capture time of any stream; 0 for an empty episode."""
        return max((int(s.capture_ns[-1]) for s in self.streams.values() if len(s)), default=0)

    @property
    def duration_s(self) -> float:
        """Seconds from the first to the last sample."""
        return (self.end_ns - self.start_ns) / NS_PER_SECOND
