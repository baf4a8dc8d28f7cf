"""Films of rollouts: frames on the world's clock, written as small mp4 files that browsers play."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from counterpoint.core.clock import seconds_to_ns
from counterpoint.core.errors import CounterpointError
from counterpoint.sim.world import World

FRAME_RATE = 15
HEIGHT, WIDTH = 240, 320


class Recorder:
    """Takes a frame of a world every 1/15 s of world time, at control ticks."""

    def __init__(self, world: World, camera: str = "front") -> None:
        """Start with the frame of now."""
        self._world, self._camera = world, camera
        self._next_ns = world.time_ns
        self.frames: list[NDArray[np.uint8]] = []
        self.tick()

    def tick(self) -> None:
        """Take every frame that is due; a world that has ended gives none."""
        if self._world.time_ns < self._next_ns:
            return
        frame = self._world.render(self._camera, height=HEIGHT, width=WIDTH)
        while self._next_ns <= self._world.time_ns:
            self.frames.append(frame)
            self._next_ns += seconds_to_ns(1 / FRAME_RATE)

    def write(self, path: Path, *, crf: int = 30) -> Path:
        """Write the frames and half a second of standstill as H.264; return `path`.

        Raises:
            CounterpointError: the file cannot be written.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
                stream = container.add_stream("libx264", rate=FRAME_RATE, options={"crf": str(crf)})
                stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
                stream.time_base = Fraction(1, FRAME_RATE)
                for pixels in [*self.frames, *[self.frames[-1]] * (FRAME_RATE // 2)]:
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
                container.mux(stream.encode(None))
        except (OSError, av.FFmpegError) as error:
            raise CounterpointError(f"{path}: the video cannot be written: {error}; is the disk full?") from error
        return path
