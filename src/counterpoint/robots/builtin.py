"""Our own robots: the facts that their model files do not contain. Each entry of `PLANS` is one robot."""

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


def _hand_arm(side: Side) -> Arm:
    hand = Gripper(
        actuators=(f"{side}/thumb", f"{side}/fingers"),
        channels=(f"{side}/thumb", f"{side}/fingers"),
        open=(0.6, 0.6),
        closed=(-0.2385, -0.2385),
        aperture_m=0.088,
        side_offset_m=0.014,
    )
    joints = tuple(f"{side}/joint_{index + 1}" for index in range(7))
    return Arm(side=side, joints=joints, tool_site=f"{side}/tool", gripper=hand)


def _open_hand(side: Side) -> dict[str, float]:
    """Digits open; the tips turn back by as much."""
    return {f"{side}/thumb": 0.6, f"{side}/thumb_tip": -0.6, f"{side}/fingers": 0.6, f"{side}/fingers_tip": -0.6}


def _pose(arm: Arm, *positions: float) -> dict[str, float]:
    return dict(zip(arm.joints, positions, strict=True))


_UR5E = _jaw_arm(6)
_PANDA = _jaw_arm(7)
_IIWA = _jaw_arm(7)
_TWO_PANDAS = (_jaw_arm(7, "left"), _jaw_arm(7, "right"))
_HUMANOID = (_hand_arm("left"), _hand_arm("right"))

PLANS: dict[str, RobotPlan] = {
    plan.name: plan
    for plan in (
        RobotPlan(
            name="ur5e",
            description="Universal Robots UR5e, 6 joints, parallel jaw",
            source="Universal Robots: DH parameters, technical details, max. joint torques",
            control_rate_hz=25.0,
            arms=(_UR5E,),
            home=_pose(_UR5E, -0.3007, -1.6472, 2.0387, -1.9623, -1.5708, -1.8715),
            workspace={"center": ((0.32, -0.3, 0.015), (0.62, 0.3, 0.35))},
        ),
        RobotPlan(
            name="panda",
            description="Franka Emika Panda, 7 joints, parallel jaw",
            source="Franka Control Interface documentation; Gaz et al., RA-L 2019",
            control_rate_hz=20.0,
            arms=(_PANDA,),
            home=_pose(_PANDA, 0.0, -0.1553, 0.0, -2.5138, 0.0, 2.3585, 0.7854),
            workspace={"center": ((0.32, -0.3, 0.015), (0.62, 0.3, 0.35))},
        ),
        RobotPlan(
            name="iiwa14",
            description="KUKA LBR iiwa 14 R820, 7 joints, parallel jaw",
            source="KUKA: LBR iiwa 14 R820 specification",
            control_rate_hz=50.0,
            arms=(_IIWA,),
            home=_pose(_IIWA, 0.0, 0.5543, 0.0, -1.7049, 0.0, 0.8824, 0.0),
            workspace={"center": ((0.4, -0.3, 0.015), (0.68, 0.3, 0.35))},
        ),
        RobotPlan(
            name="bimanual_panda",
            description="Two Franka Emika Pandas side by side, 14 joints, two parallel jaws",
            source="Franka Control Interface documentation; Gaz et al., RA-L 2019",
            control_rate_hz=20.0,
            arms=_TWO_PANDAS,
            home={
                **_pose(_TWO_PANDAS[0], -0.2738, -0.0072, -0.029, -2.3405, -0.0003, 2.3333, 0.4827),
                **_pose(_TWO_PANDAS[1], 0.2738, -0.0072, 0.029, -2.3405, 0.0003, 2.3333, 1.0881),
            },
            workspace={
                "left": ((0.35, 0.08, 0.015), (0.65, 0.42, 0.35)),
                "right": ((0.35, -0.42, 0.015), (0.65, -0.08, 0.35)),
            },
        ),
        RobotPlan(
            name="humanoid_upper",
            description="Semi-humanoid upper body: waist, two 7-joint arms, two hands with thumb and fingers",
            source="Winter, Biomechanics and Motor Control of Human Movement; Unitree G1 URDF (joint ranges)",
            control_rate_hz=50.0,
            arms=_HUMANOID,
            home={
                "torso/yaw": 0.0,
                "torso/pitch": 0.2,
                **_pose(_HUMANOID[0], 0.4721, 0.2611, -0.4554, 1.9482, 1.0468, 0.9662, 1.0399),
                **_pose(_HUMANOID[1], 0.4721, -0.2611, 0.4554, 1.9482, -1.0468, 0.9662, -1.0399),
                **_open_hand("left"),
                **_open_hand("right"),
            },
            workspace={
                "left": ((0.22, 0.06, -0.045), (0.47, 0.32, 0.18)),
                "right": ((0.22, -0.32, -0.045), (0.47, -0.06, 0.18)),
            },
            table_height_m=-0.06,
        ),
    )
}
