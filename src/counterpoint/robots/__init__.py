"""Robots as data: our own MJCF models, and channel descriptions of any MJCF or URDF.

Leaves worlds, tasks and sensors to `sim`, and learning to `model`.
"""
