"""Observations of a robot that runs: the recent past is kept between them.

buffer = ObservationBuffer(robot, history_s=policy.history_s)
while running:
observation = buffer.observe(now_ns=now(), proprioception=q, cameras={"front": rgb}, instruction=text)
command = policy.act(observation).at(now())
buffer.add("action", command, now())        what was executed is part of the past
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from counterpoint.core.history import SensorHistory
from counterpoint.core.policy import ActionChunk, Observation
from counterpoint.core.stream import Stream


class ObservationBuffer(SensorHistory):
    """Keeps the samples of the last `history_s` seconds and makes observations of them."""

    def observe(
        self,
        *,
        now_ns: int,
        proprioception: ArrayLike | None = None,
        cameras: Mapping[str, NDArray[np.uint8]] | None = None,
        instruction: str = "",
        streams: Mapping[str, ArrayLike | Stream] | None = None,
        ready_ns: int | None = None,
        committed: ActionChunk | None = None,
    ) -> Observation:
        """Add what is given as sensed at `now_ns`, and return everything of the last `history_s` seconds.

        Arguments and errors are those of `Observation.from_arrays`; all but `now_ns` may be left out where `add` was
        called with the samples.
        """
        self.add_all(now_ns, proprioception=proprioception, cameras=cameras, instruction=instruction, streams=streams)
        return Observation.from_streams(
            self.robot,
            self.streams(now_ns),
            now_ns=now_ns,
            history_s=self.history_s,
            ready_ns=ready_ns,
            committed=committed,
        )
