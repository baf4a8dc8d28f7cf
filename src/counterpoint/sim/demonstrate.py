"""One demonstration: an expert does a task in a world while it is disturbed; pure function of its seed."""

from __future__ import annotations

from dataclasses import dataclass, replace

from counterpoint.core.episode import Episode
from counterpoint.core.errors import CounterpointError
from counterpoint.core.seeding import stable_hash
from counterpoint.robots.robot import Robot
from counterpoint.sim.cameras import CameraConfig
from counterpoint.sim.expert.disturbance import DisturbanceConfig, Disturber
from counterpoint.sim.expert.expert import Expert
from counterpoint.sim.task import Task
from counterpoint.sim.world import World

TIMED_OUT = "timed_out"
UNSTABLE = "unstable"
DEFAULT_DISTURBANCE = DisturbanceConfig()
TAIL_S = 0.8
"""How long the expert continues after the task is achieved, so that the data show how to stay there. With 0.3 s,
policies dropped what they had just lifted."""


@dataclass(frozen=True, kw_only=True)
class Demonstrations:
    """A series of demonstrations; number `index` of it is always the same episode."""

    robot: Robot
    task: Task
    seed: int = 0
    cameras: tuple[CameraConfig, ...] = ()
    disturbance: DisturbanceConfig | None = DEFAULT_DISTURBANCE
    """None for a calm world."""

    def world_seed(self, index: int) -> int:
        """Return the seed of world number `index`."""
        return stable_hash("demonstration", self.robot.name, self.task.name, self.seed, index, bits=31)

    def episode_id(self, index: int) -> str:
        """Return the id of episode `index`; it differs for other cameras or disturbances."""
        series = f"{self.robot.name}-{self.task.name}-s{self.seed}"
        if self.cameras or self.disturbance != DEFAULT_DISTURBANCE:
            series += f"-{stable_hash(repr(self.cameras), repr(self.disturbance), bits=24):06x}"
        return f"{series}-{index:06d}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Demonstration:
    """Result of one attempt."""

    episode: Episode
    failure: str
    """Empty where the task was achieved, else a reason code: `timed_out`, `unstable`."""


def demonstrate(series: Demonstrations, index: int) -> Demonstration:
    """Run attempt `index` of the series to its end."""
    seed = series.world_seed(index)
    world = World(series.robot, series.task, seed=seed, cameras=series.cameras)
    expert = Expert(world)
    disturber = Disturber(world, seed, series.disturbance) if series.disturbance is not None else None
    failure = ""
    try:
        while not world.done:
            _step(world, expert, disturber)
        provenance = world.provenance()
        end_s = world.time_s + TAIL_S
        while provenance.success and world.time_s < end_s - 1e-9:
            _step(world, expert, None)
        failure = "" if provenance.success else TIMED_OUT
    except CounterpointError:
        if not world.is_unstable:
            raise
        provenance, failure = world.provenance(), UNSTABLE
    episode = Episode(
        episode_id=series.episode_id(index),
        embodiment=series.robot.embodiment,
        provenance=replace(provenance, operator="scripted expert"),
        streams=world.streams() if failure != UNSTABLE else {},
    )
    return Demonstration(episode=episode, failure=failure)


def _step(world: World, expert: Expert, disturber: Disturber | None) -> None:
    if disturber is not None:
        disturber.step()
    world.step(expert.command(world))
