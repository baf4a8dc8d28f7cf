"""Write `store-1`, the golden store. Run again only when the format's version goes up, into a new folder.

python tests/golden/make_golden.py tests/golden/store-N
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.clock import periodic_ns
from counterpoint.core.embodiment import Channel, Embodiment, StreamSpec
from counterpoint.core.episode import Episode, Provenance
from counterpoint.core.stream import Stream, text_stream, vector_stream
from counterpoint.store import StoreWriter

CHANNELS = (
    Channel(name="joint_1", quantity="joint_position", unit="rad", lower=-3.0, upper=3.0, part="arm"),
    Channel(name="gripper", quantity="gripper_opening", unit="1", lower=0.0, upper=1.0, part="gripper"),
)
ROBOT = Embodiment(
    name="golden",
    sensing=(StreamSpec(name="proprioception", channels=CHANNELS, rate_hz=100.0),),
    acting=CHANNELS,
    control_rate_hz=20.0,
    metadata={"made": "for tests"},
)
CAMERA = StreamSpec(name="camera/front", kind="image", height=16, width=16, rate_hz=10.0)


def golden_episode(index: int) -> Episode:
    """Return episode `index`; every number in it follows from a formula."""
    start = 1_700_000_000_000_000_000 + index
    sensed, acted, seen = (periodic_ns(start, rate, int(rate * 0.3)) for rate in (100.0, 20.0, 10.0))
    shades = np.asarray([40, 120, 200], np.uint8)
    streams = [
        vector_stream(ROBOT.sensing[0], sensed, ramp(len(sensed)), arrival_ns=sensed + 2_000_000),
        vector_stream(ROBOT.action_spec, acted, ramp(len(acted)), time_source="nominal"),
        text_stream(StreamSpec(name="instruction", kind="text"), sensed[:1], ["hold \u266a"]),
        Stream(
            spec=CAMERA,
            capture_ns=seen,
            arrival_ns=seen + 50_000_000,
            values=np.broadcast_to(shades[:, None, None, None], (3, 16, 16, 3)).copy(),
        ),
    ]
    return Episode(
        episode_id=f"golden/{index}",
        embodiment=ROBOT,
        provenance=Provenance(
            robot="golden", task="hold", site="shelf", source="simulation", success=bool(index), notes=("golden",)
        ),
        streams={stream.spec.name: stream for stream in streams[: 4 - index]},
    )


def ramp(count: int) -> NDArray[np.float32]:
    """Return float32 [count, 2]: quarters up, quarters down."""
    return np.arange(count, dtype=np.float32)[:, None] * np.asarray([0.25, -0.25], dtype=np.float32)


if __name__ == "__main__":
    with StoreWriter(Path(sys.argv[1])) as writer:
        for number in range(2):
            writer.add(golden_episode(number))
