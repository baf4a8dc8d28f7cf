"""A tiny world without physics: joints that move towards a visible target. Drives the pipeline in tests and demos.

The law: the command is `measured + lead * (target - measured)`, bounded; the joints follow the command
with a first-order lag; the target of each joint group is visible as an object position. A learner that
reads proprioception and the object can predict every action.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.clock import periodic_ns
from counterpoint.core.embodiment import Channel, Embodiment, Part, StreamSpec, Vector3
from counterpoint.core.episode import Episode, Provenance
from counterpoint.core.seeding import generator
from counterpoint.core.stream import Stream, text_stream, vector_stream
from counterpoint.data.episodes.source import MemorySource

SENSING_HZ = 100.0
OBJECT_HZ = 30.0
OBJECT_LATENCY_NS = 30_000_000
LEAD = 0.35
LAG_S = 0.08
MAX_LEAD_RAD = 0.08
AXES: tuple[Vector3, ...] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


def synthetic_embodiment(dof: int, *, gripper: bool = True, control_rate_hz: float = 25.0) -> Embodiment:
    """Return a robot of `dof` joints, the last one a gripper if asked, named `synthetic_<dof>`."""
    joints = dof - int(gripper)
    acting = [_joint(i, joints) for i in range(joints)]
    if gripper:
        acting.append(
            Channel(name="gripper", quantity="gripper_opening", unit="1", lower=0.0, upper=1.0, part="gripper")
        )
    velocities = [
        Channel(
            name=f"{c.name}/velocity", quantity="joint_velocity", unit="rad/s", part="arm",
            chain_index=c.chain_index, chain_length=joints, axis=c.axis, anchor=c.anchor,
        )
        for c in acting[:joints]
    ]  # fmt: skip
    return Embodiment(
        name=f"synthetic_{dof}",
        sensing=(
            StreamSpec(name="proprioception", channels=(*acting, *velocities), rate_hz=SENSING_HZ),
            StreamSpec(name="tool_pose", channels=_pose("tool"), rate_hz=SENSING_HZ),
        ),
        acting=tuple(acting),
        control_rate_hz=control_rate_hz,
        description="Joints that follow commands with a lag; no physics.",
    )


def synthetic_episode(
    embodiment: Embodiment, index: int, seed: int, *, duration_s: float = 4.0, has_object: bool = True
) -> Episode:
    """Return one episode of the law in the module's docstring; the same arguments give the same episode."""
    rng = generator(seed, "synthetic", embodiment.name, index)
    num_joints = sum(c.quantity == "joint_position" for c in embodiment.acting)
    target = rng.uniform(-0.3, 0.3, 3)
    joint_target = np.resize(target, num_joints)
    period_s = 1.0 / SENSING_HZ
    steps = max(2, round(duration_s * SENSING_HZ))
    every = max(1, round(SENSING_HZ / embodiment.control_rate_hz))
    joints = np.zeros((steps, num_joints))
    commands = np.zeros((steps, num_joints))
    joints[0] = joint_target + rng.uniform(-0.6, 0.6, num_joints)
    for i in range(steps):
        if i % every == 0:
            lead = LEAD * (joint_target - joints[i]) + rng.normal(0.0, 1e-3, num_joints)
            commands[i] = joints[i] + np.clip(lead, -MAX_LEAD_RAD, MAX_LEAD_RAD)
        else:
            commands[i] = commands[i - 1]
        if i + 1 < steps:
            joints[i + 1] = joints[i] + (commands[i] - joints[i]) * (period_s / LAG_S)
    opening = (np.abs(joints - joint_target).max(axis=1, keepdims=True) > 0.05).astype(np.float64)
    start_ns = int(rng.integers(10**18, 10**18 + 10**15))
    provenance = Provenance(
        robot=embodiment.name, task="reach", instruction=f"move to target {index % 3}", source="simulation",
        origin=f"synthetic seed {seed} index {index}",
    )  # fmt: skip
    streams = _streams(embodiment, joints, commands, opening, target if has_object else None, start_ns, every)
    spec = StreamSpec(name="instruction", kind="text")
    streams.append(text_stream(spec, np.array([start_ns]), [provenance.instruction]))
    return Episode(
        episode_id=f"{embodiment.name}-{seed}-{index}",
        embodiment=embodiment,
        provenance=provenance,
        streams={stream.spec.name: stream for stream in streams},
    )


def synthetic_source(num_episodes: int, dof: int, seed: int, *, duration_s: float = 4.0) -> MemorySource:
    """Return `num_episodes` episodes of one synthetic robot of `dof` channels (the last is a gripper)."""
    embodiment = synthetic_embodiment(dof)
    return MemorySource(synthetic_episode(embodiment, i, seed, duration_s=duration_s) for i in range(num_episodes))


def _streams(
    embodiment: Embodiment,
    joints: NDArray[np.float64],
    commands: NDArray[np.float64],
    opening: NDArray[np.float64],
    target: NDArray[np.float64] | None,
    start_ns: int,
    every: int,
) -> list[Stream]:
    steps = len(joints)
    time_ns = periodic_ns(start_ns, SENSING_HZ, steps)
    has_gripper = len(embodiment.acting) > joints.shape[1]
    grip = opening if has_gripper else opening[:, :0]
    velocity = np.gradient(joints, 1.0 / SENSING_HZ, axis=0)
    tool = np.concatenate([_tool(joints), np.tile([1.0, 0, 0, 0, 1.0, 0], (steps, 1))], axis=1)
    proprioception, tool_pose = embodiment.sensing
    streams = [
        vector_stream(proprioception, time_ns, np.concatenate([joints, grip, velocity], axis=1)),
        vector_stream(tool_pose, time_ns, tool, arrival_ns=time_ns + 2_000_000),
        vector_stream(
            embodiment.action_spec, time_ns[::every], np.concatenate([commands, grip], axis=1)[::every].copy()
        ),
    ]
    if target is not None:
        count = max(1, int(steps / SENSING_HZ * OBJECT_HZ))
        capture = periodic_ns(start_ns, OBJECT_HZ, count)
        row = np.concatenate([target, [1.0, 0, 0, 0, 1.0, 0], [0.02, 0.02, 0.02]])
        spec = StreamSpec(name="object/0", channels=(*_pose("object"), *_extent()), rate_hz=OBJECT_HZ)
        streams.append(vector_stream(spec, capture, np.tile(row, (count, 1)), arrival_ns=capture + OBJECT_LATENCY_NS))
    return streams


def _tool(joints: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each axis of the tool is the mean of every third joint, so the tool reaches the target with the joints."""
    columns = [joints[:, axis::3].mean(axis=1) if joints[:, axis::3].size else 0 * joints[:, 0] for axis in range(3)]
    return np.stack(columns, axis=1)


def _joint(index: int, count: int) -> Channel:
    return Channel(
        name=f"joint_{index + 1}", quantity="joint_position", unit="rad", lower=-math.pi, upper=math.pi, part="arm",
        chain_index=index, chain_length=count, axis=AXES[index % 3], anchor=(0.0, 0.0, 0.1 * index),
    )  # fmt: skip


def _pose(part: Part) -> tuple[Channel, ...]:
    position = [
        Channel(name=name, quantity="position", unit="m", part=part, axis=axis)
        for name, axis in zip("xyz", AXES, strict=True)
    ]
    rotation = [
        Channel(name=f"r{i}{j}", quantity="rotation", unit="1", part=part, axis=AXES[i], chain_index=j, chain_length=2)
        for j in range(2)
        for i in range(3)
    ]
    return (*position, *rotation)


def _extent() -> tuple[Channel, ...]:
    return tuple(
        Channel(name=f"extent_{name}", quantity="extent", unit="m", part="object", axis=axis)
        for name, axis in zip("xyz", AXES, strict=True)
    )
