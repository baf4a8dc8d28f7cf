"""Scripted experts: from the true state of a world to clean commands, and the pushes they recover from.

    state -> task.expert -> ToolGoal per arm -> ArmController -> joint targets

What a good hand would do in a task is in `sim/tasks`; this package only moves arms there.
"""
