"""What a topic is to a robot, by its type first and its name second."""

from __future__ import annotations

import re
from typing import Literal

from counterpoint.ingest.messages.topic import Topic

Kind = Literal[
    "joints", "array", "trajectory", "point", "frames", "text", "raw_image", "image", "video", "plain", "ignored"
]

_KINDS: dict[str, Kind] = {
    "sensor_msgs/JointState": "joints",
    "std_msgs/Float64MultiArray": "array",
    "std_msgs/Float32MultiArray": "array",
    "trajectory_msgs/JointTrajectory": "trajectory",
    "trajectory_msgs/JointTrajectoryPoint": "point",
    "tf2_msgs/TFMessage": "frames",
    "tf/tfMessage": "frames",
    "std_msgs/String": "text",
    "sensor_msgs/Image": "raw_image",
    "foxglove.RawImage": "raw_image",
    "foxglove_msgs/RawImage": "raw_image",
    "sensor_msgs/CompressedImage": "image",
    "foxglove.CompressedImage": "image",
    "foxglove_msgs/CompressedImage": "image",
    "foxglove.CompressedVideo": "video",
    "foxglove_msgs/CompressedVideo": "video",
}
_IGNORED = re.compile(
    r"(foxglove[._]|visualization_msgs/|rcl_interfaces/|rosgraph_msgs/|action_msgs/|diagnostic_msgs/|"
    r"sensor_msgs/(PointCloud|CameraInfo)|nav_msgs/(OccupancyGrid|Path))"
)
"""Types that do not describe the robot's motion as numbers; they are reported as left out."""
_USED_FOXGLOVE = re.compile(r"foxglove(\.|_msgs/)(PoseInFrame|FrameTransform|Imu|JointState)")
_COMMAND = frozenset({"command", "commands", "cmd", "action", "actions", "trajectory"})
_REPORT = frozenset({"state", "states", "status", "feedback", "result", "echo"})
_STATES = frozenset(
    {"state", "states", "joint_state", "joint_states", "robot_state", "observation", "qpos", "proprioception"}
)
_TEXTS = frozenset({"instruction", "instructions", "task", "prompt", "language"})
_WORD = re.compile(r"[a-z0-9]+")


def kind_of(topic: Topic) -> Kind:
    """Return how to read the messages of `topic`."""
    kind = _KINDS.get(topic.type)
    if kind == "text":
        return "text" if _TEXTS.intersection(_words(topic.name)) else "ignored"
    if kind is not None:
        return kind
    if "/_action/" in topic.name or (_IGNORED.match(topic.type) and not _USED_FOXGLOVE.match(topic.type)):
        return "ignored"
    return "plain"


def is_command(topic: Topic) -> bool:
    """Whether a topic carries commands, by its type and the words in its name."""
    words = _words(topic.name)
    return topic.type == "trajectory_msgs/JointTrajectory" or bool(
        _COMMAND.intersection(words) and not _REPORT.intersection(words)
    )


def is_state(topic: Topic) -> bool:
    """Whether a topic carries the robot's own joint state, by its type, otherwise by the last part of its name."""
    return not is_command(topic) and (
        kind_of(topic) == "joints" or topic.name.rpartition("/")[2].lower().replace(".", "_") in _STATES
    )


def _words(name: str) -> list[str]:
    return _WORD.findall(name.lower())
