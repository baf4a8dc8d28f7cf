"""Scripted experts: from the true state of a world to clean commands, and the pushes they recover from.

    state -> task.expert -> ToolGoal per arm -> ArmController -> joint targets

`sim/tasks` decides where a tool should go; this package moves the arm there.
"""
