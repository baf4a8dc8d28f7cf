"""Learned policies: the self-describing checkpoint folder and the policy that loads it.

This package leaves making checkpoints to `train` and running them in worlds to `evaluate`.
"""

from typing import TYPE_CHECKING

from counterpoint.core.exports import lazy_exports

if TYPE_CHECKING:
    from counterpoint.policy.checker import check_policy
    from counterpoint.policy.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
    from counterpoint.policy.model_policy import ModelPolicy, load_policy
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "counterpoint.policy.checker": ("check_policy",),
            "counterpoint.policy.checkpoint": ("Checkpoint", "load_checkpoint", "save_checkpoint"),
            "counterpoint.policy.model_policy": ("ModelPolicy", "load_policy"),
        },
    )

__all__ = ["Checkpoint", "ModelPolicy", "check_policy", "load_checkpoint", "load_policy", "save_checkpoint"]
