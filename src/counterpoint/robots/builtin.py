"""Our own robots: what their model files cannot say. One entry in `PLANS` is one robot."""

from __future__ import annotations

from dataclasses import dataclass

from counterpoint.core.embodiment import Side, Vector3
from counterpoint.robots.robot import Arm, Gripper

Box = tuple[Vector3, Vector3]


@dataclass(frozen=True, kw_only=True)
class RobotPlan:
    """What is added to `mjcf/<name>.xml` to make a `Robot`."""

    name: str
    description: str
    source: str
    control_rate_hz: float
    arms: tuple[Arm, ...]
    home: dict[str, float]
    """Joint -> position; joints left out are fingers, which start open."""
    workspace: dict[Side, Box]
    table_height_m: float = 0.0


def _prefix(side: Side) -> str:
    return "" if side == "center" else f"{side}/"


def _jaw_arm(num_joints: int, side: Side = "center") -> Arm:
    prefix = _prefix(side)
    jaw = Gripper(
        actuators=(f"{prefix}gripper",),
        channels=(f"{prefix}gripper",),
        open=(1.0,),
        closed=(0.0,),
        aperture_m=0.08,
        side_offset_m=0.015,
    )
    joints = tuple(f"{prefix}joint_{index + 1}" for index in range(num_joints))
    return Arm(side=side, joints=joints, tool_site=f"{prefix}tool", gripper=jaw)


def _pose(arm: Arm, *positions: float) -> dict[str, float]:
    return dict(zip(arm.joints, positions, strict=True))


_UR5E = _jaw_arm(6)
_PANDA = _jaw_arm(7)

PLANS: dict[str, RobotPlan] = {
    plan.name: plan
    for plan in (
        RobotPlan(
            name="ur5e",
            description="Universal Robots UR5e, 6 joints, parallel jaw",
            source="Universal Robots: DH parameters, technical details, max. joint torques",
            control_rate_hz=25.0,
            arms=(_UR5E,),
            home=_pose(_UR5E, -0.3007, -1.6312, 2.0657, -2.0053, -1.5708, -1.8715),
            workspace={"center": ((0.32, -0.3, 0.015), (0.62, 0.3, 0.35))},
        ),
        RobotPlan(
            name="panda",
            description="Franka Emika Panda, 7 joints, parallel jaw",
            source="Franka Control Interface documentation; Gaz et al., RA-L 2019",
            control_rate_hz=20.0,
            arms=(_PANDA,),
            home=_pose(_PANDA, 0.0, -0.1262, 0.0, -2.5275, 0.0, 2.4013, 0.7854),
            workspace={"center": ((0.32, -0.3, 0.015), (0.62, 0.3, 0.35))},
        ),
    )
}
