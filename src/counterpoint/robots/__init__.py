"""Robots as data: our own MJCF models, and channel descriptions of any MJCF or URDF.

Worlds, tasks and sensors are in `sim`; learning is in `model`.
"""
