"""MuJoCo worlds: tasks as data, sensors on their own clocks, experts, collection into a store.

    Robot + Task + seed --scene--> model --World--> step(command) -> streams, state, success
    World --collect--> store of episodes;  World --env--> gymnasium environment

`train` trains policies and `evaluate` judges them.
"""
