"""Small episodes with every kind of stream."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from counterpoint.core.clock import periodic_ns
from counterpoint.core.embodiment import Channel, Embodiment, StreamSpec
from counterpoint.core.episode import Episode, Provenance
from counterpoint.core.stream import Stream, text_stream, vector_stream

MakeEpisode = Callable[..., Episode]


def joints(count: int) -> tuple[Channel, ...]:
    return tuple(
        Channel(name=f"joint_{i + 1}", quantity="joint_position", unit="rad", part="arm", chain_index=i)
        for i in range(count)
    )


ARM = Embodiment(
    name="arm",
    sensing=(StreamSpec(name="proprioception", channels=joints(3), rate_hz=100.0),),
    acting=joints(3),
    control_rate_hz=20.0,
)
CAMERA = StreamSpec(name="camera/front", kind="image", height=18, width=24, rate_hz=10.0)


def build_episode(index: int = 0, *, camera: bool = False, seconds: float = 1.0, **provenance: object) -> Episode:
    rng = np.random.default_rng(index)
    sensed = periodic_ns(5_000_000, 100.0, int(100 * seconds))
    acted = periodic_ns(0, 20.0, int(20 * seconds))
    streams = [
        vector_stream(
            ARM.sensing[0],
            sensed,
            rng.normal(size=(len(sensed), 3)),
            arrival_ns=sensed + rng.integers(0, 30_000_000, len(sensed)),
        ),
        vector_stream(ARM.action_spec, acted, rng.normal(size=(len(acted), 3))),
        text_stream(StreamSpec(name="instruction", kind="text"), np.zeros(1, np.int64), ["reach the \u00e9toile"]),
    ]
    if camera:
        seen = periodic_ns(0, 10.0, int(10 * seconds))
        shade = np.linspace(20, 220, len(seen)).astype(np.uint8)
        frames = np.broadcast_to(shade[:, None, None, None], (len(seen), 18, 24, 3)).copy()
        streams.append(Stream(spec=CAMERA, capture_ns=seen, arrival_ns=seen + 40_000_000, values=frames))
    origin = Provenance(robot="arm", task="reach", source="simulation", **provenance)  # type: ignore[arg-type]  # test shorthand
    return Episode(
        episode_id=f"arm-reach-{index:04d}",
        embodiment=ARM,
        provenance=origin,
        streams={stream.spec.name: stream for stream in streams},
    )


@pytest.fixture
def make_episode() -> MakeEpisode:
    return build_episode
