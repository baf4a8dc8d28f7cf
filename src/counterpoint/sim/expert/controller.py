"""From a tool goal to joint targets: damped least squares on the measured state, without memory.

    tool velocity = clip(gain * (goal - measured), cap) + feed-forward
    qdot          = argmin |W (J qdot - velocity)|^2 + damping^2 |qdot - pull * (home - q)|^2
    target        = measured q + lead * qdot

(Wampler 1986, "Manipulator inverse kinematic solutions based on vector formulations and damped
least-squares methods"). The lead compensates for the lag of a position servo that gets one target
a control period: with lag `tau = kd / kp` it moves `qdot * period` in a period if the target is
`qdot * period / (1 - exp(-period / tau))` ahead. Since every target starts from the measured
joints, equal states always give equal commands, which is what imitation learning needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from counterpoint.core.errors import unknown_name
from counterpoint.sim.task import ToolGoal

Float = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class ControllerConfig:
    """Gains of the controller; the defaults suit tabletop arms."""

    position_gain: float = 5.0
    """1/s: tool speed per metre of distance."""
    rotation_gain: float = 4.0
    """1/s: turning speed per radian of tilt."""
    rotation_weight: float = 0.3
    """Metres of position error that weigh as much as a radian of tilt."""
    yaw_weight: float = 0.15
    """The same for turning about the approach axis, which tasks care less about."""
    damping: float = 0.04
    """Damping near singular poses, metres per radian."""
    home_pull: float = 1.0
    """1/s: how fast free motion goes back toward the home pose."""
    joint_speed_cap_rad_s: float = 2.0
    """rad/s: all joints slow down together where one would exceed it."""
    limit_margin_rad: float = 0.03
    """Targets stay this far inside the joint limits."""


class ArmController:
    """Moves one arm's tool site; see the module's equations."""

    def __init__(
        self,
        model: mujoco.MjModel,
        *,
        joints: Sequence[str],
        tool_site: str,
        home: Mapping[str, float],
        control_period_s: float,
        config: ControllerConfig | None = None,
    ) -> None:
        """Look up the arm in `model`; `home` says each joint's rad at the home pose.

        Raises:
            UnknownNameError: a joint or site is not in the model.
        """
        self.config = config or ControllerConfig()
        joint_ids = [_id(model, mujoco.mjtObj.mjOBJ_JOINT, name) for name in joints]
        self._site = _id(model, mujoco.mjtObj.mjOBJ_SITE, tool_site)
        self._qpos = np.array([model.jnt_qposadr[i] for i in joint_ids])
        self._dofs = np.array([model.jnt_dofadr[i] for i in joint_ids])
        self._home = np.array([home[name] for name in joints])
        limited = np.array([bool(model.jnt_limited[i]) for i in joint_ids])
        margin = self.config.limit_margin_rad
        self._lower = np.where(limited, model.jnt_range[joint_ids, 0] + margin, -np.inf)
        self._upper = np.where(limited, model.jnt_range[joint_ids, 1] - margin, np.inf)
        self.lead_s = np.array([servo_lead_s(model, i, control_period_s) for i in joint_ids])
        config = self.config
        rotation = config.rotation_weight
        self._weights = np.array([1.0, 1.0, 1.0, rotation, rotation, config.yaw_weight])
        self._jacobian = np.zeros((6, model.nv))
        self._regular = config.damping**2 * np.eye(len(joint_ids))

    def tool(self, data: mujoco.MjData) -> tuple[Float, Float]:
        """Return the tool's position [3] in m and rotation matrix [3, 3], world frame."""
        return data.site_xpos[self._site], data.site_xmat[self._site].reshape(3, 3)

    def joint_targets(
        self,
        model: mujoco.MjModel,
        data: mujoco.MjData,
        goal: ToolGoal,
    ) -> Float:
        """Return joint targets [joints], rad, that move the tool toward `goal`.

        `data` must have current kinematics (after mj_forward or mj_step); its world frame is the base frame.
        """
        config = self.config
        here, attitude = self.tool(data)
        velocity = np.empty(6)
        velocity[:3] = _capped(config.position_gain * (goal.position - here), goal.speed_m_s) + goal.velocity
        spin = config.rotation_gain * _rotation_error(goal.rotation, attitude)
        velocity[3:] = goal.rotation.T @ _capped(spin, goal.turn_rad_s)
        jacobian = self._jacobian
        mujoco.mj_jacSite(model, data, jacobian[:3], jacobian[3:], self._site)
        arm = jacobian[:, self._dofs]
        arm[3:] = goal.rotation.T @ arm[3:]  # goal frame: the last row is the turn about the approach axis
        arm *= self._weights[:, None]
        joints = data.qpos[self._qpos]
        pull = config.home_pull * (self._home - joints)
        right = arm.T @ (self._weights * velocity) + config.damping**2 * pull
        qdot = np.linalg.solve(arm.T @ arm + self._regular, right)
        fastest = float(np.abs(qdot).max())
        if fastest > config.joint_speed_cap_rad_s:
            qdot *= config.joint_speed_cap_rad_s / fastest
        target = joints + self.lead_s * qdot
        return np.asarray(np.minimum(np.maximum(target, self._lower), self._upper))

    def home_targets(self, data: mujoco.MjData) -> Float:
        """Return joint targets [joints], rad, that drift back to the home pose and stay there."""
        joints = data.qpos[self._qpos]
        qdot = _capped(2.0 * self.config.home_pull * (self._home - joints), self.config.joint_speed_cap_rad_s)
        return np.asarray(joints + self.lead_s * qdot)


def _capped(vector: Float, cap: float) -> Float:
    """Shorten `vector` to length `cap` where it is longer."""
    length = float(np.sqrt(vector @ vector))
    return vector * (cap / length) if length > cap else vector


def _rotation_error(goal: Float, attitude: Float) -> Float:
    """Return axis * sin(angle) [3] of the turn from `attitude` to `goal`, increasing up to 180 degrees."""
    turn = goal @ attitude.T
    axis = 0.5 * np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]])
    if turn[0, 0] + turn[1, 1] + turn[2, 2] < 1.0:  # beyond 90 degrees the sine falls again
        axis /= max(float(np.sqrt(axis @ axis)), 1e-6)
    return axis


def servo_lead_s(model: mujoco.MjModel, joint: int, control_period_s: float) -> float:
    """Return how far ahead of the measured joint its target must be, in seconds of motion.

    One control period for joints without a position servo of their own.
    """
    for actuator in range(model.nu):
        if model.actuator_trnid[actuator, 0] == joint and model.actuator_trntype[actuator] == mujoco.mjtTrn.mjTRN_JOINT:
            stiffness = model.actuator_gainprm[actuator, 0]
            damping = model.dof_damping[model.jnt_dofadr[joint]] - model.actuator_biasprm[actuator, 2]
            lag_s = max(float(damping / stiffness), 1e-4)
            return float(control_period_s / (1.0 - np.exp(-control_period_s / lag_s)))
    return control_period_s


def _id(model: mujoco.MjModel, kind: mujoco.mjtObj, name: str) -> int:
    """Return the id of a named element."""
    found = mujoco.mj_name2id(model, kind, name)
    if found < 0:
        known = [
            mujoco.mj_id2name(model, kind, i) or ""
            for i in range(model.njnt if kind.name == "mjOBJ_JOINT" else model.nsite)
        ]
        raise unknown_name(kind.name.removeprefix("mjOBJ_").lower(), name, known)
    return int(found)
