"""Robots as data: our own MJCF models, and channel descriptions of any MJCF or URDF.

Worlds, tasks and sensors are in `sim`; learning is in `model`.
"""

from counterpoint.robots.describe import embodiment_from_mjcf
from counterpoint.robots.library import add_robot, load_embodiment, load_robot, robot_names, simulated_robot_names
from counterpoint.robots.robot import Robot

__all__ = [
    "Robot",
    "add_robot",
    "embodiment_from_mjcf",
    "load_embodiment",
    "load_robot",
    "robot_names",
    "simulated_robot_names",
]
