"""Counterpoint: train and run embodied foundation models, one policy for many robots.

    import counterpoint as cp

    cp.ingest(["my_dataset"], into="data/mine")
    run = cp.train("single_robot", stores=["data/mine"], out="runs/mine")
    policy = cp.load_policy("runs/mine")

Names are imported when they are first used; `docs/python.md` shows them by example.
"""

from __future__ import annotations

from counterpoint.core.exports import lazy_exports

TYPE_CHECKING = False  # type checkers take it for `typing.TYPE_CHECKING`, and `typing` is slow to import
if TYPE_CHECKING:
    from counterpoint.core.embodiment import Channel, Embodiment, StreamSpec
    from counterpoint.core.episode import Episode, Provenance
    from counterpoint.core.errors import CounterpointError
    from counterpoint.core.observation_buffer import ObservationBuffer
    from counterpoint.core.policy import ActionChunk, Observation, Policy
    from counterpoint.core.stream import Stream, text_stream, vector_stream
    from counterpoint.evaluate import evaluate
    from counterpoint.evaluate.rollout import RolloutConfig, rollout
    from counterpoint.ingest import ingest, prepare
    from counterpoint.policy.checker import check_policy
    from counterpoint.policy.model_policy import ModelPolicy, load_policy
    from counterpoint.robots.library import load_embodiment
    from counterpoint.store import Store, StoreWriter, open_store
    from counterpoint.store.cloud.remote import RemoteStore
    from counterpoint.train import train
    from counterpoint.train.config import TrainConfig
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "counterpoint.core.embodiment": ("Channel", "Embodiment", "StreamSpec"),
            "counterpoint.core.episode": ("Episode", "Provenance"),
            "counterpoint.core.errors": ("CounterpointError",),
            "counterpoint.core.observation_buffer": ("ObservationBuffer",),
            "counterpoint.core.policy": ("ActionChunk", "Observation", "Policy"),
            "counterpoint.core.stream": ("Stream", "text_stream", "vector_stream"),
            "counterpoint.evaluate": ("evaluate",),  # this and two more are packages that can be called
            "counterpoint.evaluate.rollout": ("RolloutConfig", "rollout"),
            "counterpoint.ingest": ("ingest", "prepare"),
            "counterpoint.policy.checker": ("check_policy",),
            "counterpoint.policy.model_policy": ("ModelPolicy", "load_policy"),
            "counterpoint.robots.library": ("load_embodiment",),
            "counterpoint.store": ("Store", "StoreWriter", "open_store"),
            "counterpoint.store.cloud.remote": ("RemoteStore",),
            "counterpoint.train": ("train",),
            "counterpoint.train.config": ("TrainConfig",),
        },
    )

__version__ = "0.1.0"

__all__ = [
    "ActionChunk",
    "Channel",
    "CounterpointError",
    "Embodiment",
    "Episode",
    "ModelPolicy",
    "Observation",
    "ObservationBuffer",
    "Policy",
    "Provenance",
    "RemoteStore",
    "RolloutConfig",
    "Store",
    "StoreWriter",
    "Stream",
    "StreamSpec",
    "TrainConfig",
    "__version__",
    "check_policy",
    "evaluate",
    "ingest",
    "load_embodiment",
    "load_policy",
    "open_store",
    "prepare",
    "rollout",
    "text_stream",
    "train",
    "vector_stream",
]
