"""Pushes, nudges and slips that make an expert show how it recovers.

The record keeps the expert's clean command, so the data also show what to do off the path
(noise injection: Laskey et al. 2017, "DART", arXiv 1703.09327).

    push    servo targets missed by a bump of 0.2-0.5 s: the tool leaves its path by 2-8 cm
    nudge   an object gets a horizontal velocity
    slip    the fingers open or close against the command; a hand that closes too early misses its grasp

Commands start from measured joints, so an offset keeps moving the arm: a push adds up to `push_m` unless
the expert steers against it.
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from counterpoint.core.seeding import generator
from counterpoint.sim.expert.controller import servo_lead_s
from counterpoint.sim.world import World

Float = NDArray[np.float64]
MAX_TRAVEL_RAD = 0.3
"""Farthest that an unresisted push moves a joint."""


@dataclass(frozen=True, kw_only=True)
class DisturbanceConfig:
    """How often and how hard; rates are per second of world time."""

    push_hz: float = 0.4
    """Pushes against an arm; 0 switches them off."""
    push_m: tuple[float, float] = (0.03, 0.12)
    """How far an unresisted push moves the tool, metres; against the expert it moves about half as far."""
    push_s: tuple[float, float] = (0.2, 0.5)
    """Length of a push, seconds."""
    nudge_hz: float = 0.1
    """Hits against a movable object."""
    nudge_m_s: tuple[float, float] = (0.1, 0.4)
    """Horizontal speed that a hit adds, m/s."""
    slip_hz: float = 0.5
    """Slips of the fingers of a hand."""
    open_s: tuple[float, float] = (0.1, 0.3)
    """How long fingers open against the command, seconds."""
    close_share: float = 0.8
    """Share of slips in which the fingers close instead: they show what to do after a missed grasp."""
    close_s: tuple[float, float] = (0.3, 0.9)
    """How long fingers close against the command, seconds."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Bump:
    """A running push or slip: offset = peak * sin^2(pi * age / length)."""

    peak: Float
    start_s: float
    length_s: float

    def offset(self, time_s: float) -> Float:
        """Return the offset [acting] at `time_s`."""
        age = (time_s - self.start_s) / self.length_s
        return np.asarray(self.peak * np.sin(np.pi * min(max(age, 0.0), 1.0)) ** 2)


class Disturber:
    """Disturbs one world; call `step` once a control period, before `World.step`."""

    def __init__(self, world: World, seed: int, config: DisturbanceConfig | None = None) -> None:
        """Draw disturbances from `seed`."""
        self.world = world
        self.config = config or DisturbanceConfig()
        self._random = generator(seed, "disturbance")
        self._bumps: list[_Bump] = []
        names = world.robot.embodiment.acting_names
        model, period = world.model, world.control_period_s
        self._arms = [
            (
                int(model.site(arm.tool_site).id),
                np.array([names.index(joint) for joint in arm.joints]),
                np.array([model.joint(joint).dofadr[0] for joint in arm.joints]),
                np.array([servo_lead_s(model, model.joint(joint).id, period) for joint in arm.joints]),
            )
            for arm in world.robot.arms
        ]
        self._movable = [slot for slot, placed in enumerate(world.layout.objects) if placed.spec.movable]

    def step(self) -> None:
        """Start new disturbances and continue running ones."""
        world, config, period = self.world, self.config, self.world.control_period_s
        draws = self._random.random(3)
        if draws[0] < config.push_hz * period:
            self._bumps.append(self._push())
        if draws[1] < config.nudge_hz * period and self._movable:
            slot = self._movable[int(self._random.integers(len(self._movable)))]
            world.nudge(slot, self._nudge())
        if draws[2] < config.slip_hz * period:
            self._bumps += self._slips()
        now = world.time_s
        self._bumps = [bump for bump in self._bumps if now < bump.start_s + bump.length_s]
        if self._bumps:
            middle = now + 0.5 * period
            world.shift(np.sum([bump.offset(middle) for bump in self._bumps], axis=0), period)

    def _push(self) -> _Bump:
        """Return a push of a random arm in a random direction of its joints, scaled to its size at the tool."""
        world, random = self.world, self._random
        site, channels, dofs, lead_s = self._arms[int(random.integers(len(self._arms)))]
        jacobian = np.zeros((3, world.model.nv))
        mujoco.mj_jacSite(world.model, world.data, jacobian, None, site)
        direction = random.standard_normal(len(dofs))
        size = max(float(np.linalg.norm(jacobian[:, dofs] @ direction)), 1e-3)
        peak = np.zeros(len(world.robot.embodiment.acting))
        length_s = float(random.uniform(*self.config.push_s))
        scale = min(random.uniform(*self.config.push_m) / size, MAX_TRAVEL_RAD / float(np.abs(direction).max()))
        peak[channels] = scale * direction * lead_s / (0.5 * length_s)  # the mean of sin^2 is a half
        return _Bump(peak=peak, start_s=world.time_s, length_s=length_s)

    def _nudge(self) -> Float:
        """Return a horizontal velocity [3]."""
        angle = self._random.uniform(-np.pi, np.pi)
        speed = self._random.uniform(*self.config.nudge_m_s)
        return np.array([speed * np.cos(angle), speed * np.sin(angle), 0.0])

    def _slips(self) -> list[_Bump]:
        """Return motions of the fingers of a random arm against the command, if it has any."""
        random, robot = self._random, self.world.robot
        gripper = robot.arms[int(random.integers(len(robot.arms)))].gripper
        if gripper is None:
            return []
        closes = random.random() < self.config.close_share
        length_s = float(random.uniform(*(self.config.close_s if closes else self.config.open_s)))
        peak = np.zeros(len(robot.embodiment.acting))
        for name, opened, closed in zip(gripper.channels, gripper.open, gripper.closed, strict=True):
            peak[robot.embodiment.acting_names.index(name)] = closed - opened if closes else opened - closed
        return [_Bump(peak=peak, start_s=self.world.time_s, length_s=length_s)]
