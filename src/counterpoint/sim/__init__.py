"""MuJoCo worlds: tasks as data, sensors on their own clocks, experts, collection into a store.

    Robot + Task + seed --scene--> model --World--> step(command) -> streams, state, success
    World --collect--> store of episodes;  World --env--> gymnasium environment

`train` trains policies and `evaluate` judges them.
"""

from typing import TYPE_CHECKING

from counterpoint.core.exports import lazy_exports

if TYPE_CHECKING:
    from counterpoint.sim.expert.expert import Expert
    from counterpoint.sim.tasks import load_task
    from counterpoint.sim.world import World
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "counterpoint.sim.world": ("World",),
            "counterpoint.sim.tasks": ("load_task",),
            "counterpoint.sim.expert.expert": ("Expert",),
        },
    )

__all__ = ["Expert", "World", "load_task"]
