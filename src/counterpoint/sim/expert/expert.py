"""The expert of a world's task: commands for the world's robot."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from counterpoint.sim.expert.controller import ArmController, ControllerConfig
from counterpoint.sim.world import World


class Expert:
    """Combines the task's goals with the controller; has no memory.

    Arms without a goal drift back to home with the hand open; channels that belong to no arm (a torso,
    a head) hold their home position.
    """

    def __init__(self, world: World, config: ControllerConfig | None = None) -> None:
        """Look up the arms of `world`'s robot; valid for that world only."""
        robot = world.robot
        names = robot.embodiment.acting_names
        self._home = robot.home_command
        self._arms = [
            (
                arm,
                ArmController(
                    world.model,
                    joints=arm.joints,
                    tool_site=arm.tool_site,
                    home=robot.home,
                    control_period_s=world.control_period_s,
                    config=config,
                ),
                np.array([names.index(joint) for joint in arm.joints]),
                np.array([names.index(name) for name in arm.gripper.channels] if arm.gripper else [], dtype=np.int64),
            )
            for arm in robot.arms
        ]

    def command(self, world: World) -> NDArray[np.float32]:
        """Return the command for the present state, float32 [acting]."""
        goals = world.task.expert(world.state())
        command = self._home.copy()
        for arm, controller, joints, fingers in self._arms:
            goal = goals.get(arm.side)
            if goal is None:
                command[joints] = controller.home_targets(world.data)
                continue
            command[joints] = controller.joint_targets(world.model, world.data, goal)
            if arm.gripper is not None:
                command[fingers] = arm.gripper.values(goal.opening)
        return command
