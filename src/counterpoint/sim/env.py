"""Worlds as Gymnasium environments, one for every robot and task that fits.

    import gymnasium
    env = gymnasium.make("counterpoint.sim.env:counterpoint/panda-lift-v0")   # imports this module, which registers

Observation: the newest value of every stream that has arrived, by stream name. Action: -1..1 over the
limits of each acting channel (`to_command` returns it in the channel's unit), held for one control period.
Reward: 1 when the task is achieved, else 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import gymnasium
import numpy as np
from numpy.typing import NDArray

from counterpoint.core.embodiment import Channel, StreamSpec
from counterpoint.robots.library import load_robot, simulated_robot_names
from counterpoint.sim.cameras import Frame
from counterpoint.sim.tasks import TASKS, load_task
from counterpoint.sim.world import World

Observed = dict[str, NDArray[np.generic]]
BOUNDS = {"m": 5.0, "m/s": 10.0, "rad": 2 * np.pi, "rad/s": 50.0, "N": 2000.0, "Nm": 500.0, "1": 1.5}
"""Bounds of observed channels by unit, since spaces must be finite; values beyond are clipped."""


class WorldEnv(gymnasium.Env[Observed, NDArray[np.float32]]):
    """One robot and one task; every reset is a new world drawn from the seed."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 50}  # noqa: RUF012  # gymnasium reads it off the class

    def __init__(self, robot: str, task: str, *, cameras: Sequence[str] = (), render_mode: str | None = None) -> None:
        """Build the spaces.

        Raises:
            UnknownNameError: no such robot, task or camera.
            ConfigError: the task does not fit the robot.
        """
        self._robot, self._task, self._cameras = load_robot(robot), load_task(task), tuple(cameras)
        self.render_mode = render_mode
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": round(self._robot.embodiment.control_rate_hz)}
        acting = self._robot.embodiment.acting
        self._low, self._high = np.array([_limits(channel) for channel in acting], dtype=np.float32).T
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (len(acting),), dtype=np.float32)
        self._world = World(self._robot, self._task, seed=0, cameras=self._cameras)
        streams = self._world.observation().streams
        self._spaces = {name: _space(stream.spec) for name, stream in streams.items() if _is_observed(stream.spec)}
        self.observation_space = gymnasium.spaces.Dict({**self._spaces})  # type: ignore[assignment]  # stubs: no arrays

    def reset(
        self, *, seed: int | None = None, options: dict[str, object] | None = None
    ) -> tuple[Observed, dict[str, object]]:
        """Start a new episode; the same seed gives the same world."""
        super().reset(seed=seed)
        drawn = int(self.np_random.integers(2**31))
        self._world = World(self._robot, self._task, seed=drawn, cameras=self._cameras)
        return self._observe(), self._info()

    def step(self, action: NDArray[np.float32]) -> tuple[Observed, float, bool, bool, dict[str, object]]:
        """Command the robot for one control period; raises PolicyError for a bad action."""
        self._world.step(self.to_command(action))
        success = self._world.success
        return self._observe(), float(success), success, self._world.timed_out and not success, self._info()

    def to_command(self, action: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the command in the channels' units for an action of -1..1, both float32 [acting]."""
        return np.asarray(self._low + (np.asarray(action) + 1) / 2 * (self._high - self._low), dtype=np.float32)

    @property
    def world(self) -> World:
        """The world of the present episode, for experts and metrics."""
        return self._world

    def render(self) -> Frame | None:
        """Return a picture for people, uint8 [240, 320, 3]; None without a render mode."""
        return self._world.render() if self.render_mode == "rgb_array" else None

    def _observe(self) -> Observed:
        streams = self._world.observation().streams
        observed: Observed = {}
        for name, space in self._spaces.items():
            newest = np.clip(streams[name].values[-1], space.low, space.high)
            observed[name] = newest.astype(space.dtype)
        return observed

    def _info(self) -> dict[str, object]:
        return {
            "instruction": self._world.instruction,
            "is_success": self._world.success,
            "time_s": self._world.time_s,
            "seed": self._world.seed,
        }


def _register_environments() -> None:
    """Register `counterpoint/<robot>-<task>-v0` for every robot and every task that fits it."""
    for robot in simulated_robot_names():
        for name, task in TASKS.items():
            environment_id = f"counterpoint/{robot}-{name}-v0"
            if task.fits(load_robot(robot)) and environment_id not in gymnasium.registry:
                entry = f"{__name__}:{WorldEnv.__name__}"
                gymnasium.register(environment_id, entry_point=entry, kwargs={"robot": robot, "task": name})


def _is_observed(spec: StreamSpec) -> bool:
    return spec.kind != "text" and spec.name != "action"


def _space(spec: StreamSpec) -> gymnasium.spaces.Box:
    if spec.kind == "image":
        return gymnasium.spaces.Box(0, 255, (spec.height, spec.width, 3), dtype=np.uint8)
    low, high = np.array([_limits(channel, margin=0.1) for channel in spec.channels], dtype=np.float32).T
    return gymnasium.spaces.Box(low, high, dtype=np.float32)


def _limits(channel: Channel, *, margin: float = 0.0) -> tuple[float, float]:
    bound = BOUNDS[channel.unit]
    return max(channel.lower - margin, -bound), min(channel.upper + margin, bound)


_register_environments()  # gymnasium.make("module:id") imports the module and expects the id to be there
