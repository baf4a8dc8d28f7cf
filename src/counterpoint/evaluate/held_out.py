"""A checkpoint judged on the episodes that its own training kept apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from counterpoint.core.errors import ConfigError
from counterpoint.core.records import Json
from counterpoint.data.episodes.selection import Selection, Split
from counterpoint.evaluate.offline import OfflineConfig, OfflineResult, evaluate_offline
from counterpoint.policy.model_policy import ModelPolicy, load_policy
from counterpoint.store import Store, open_store
from counterpoint.store.cloud.remote import RemoteStore


def evaluate(
    policy: ModelPolicy | Path | str,
    *,
    stores: Sequence[Store | RemoteStore | Path | str],
    split: Split = "test",
    holdout_fraction: float | None = None,
    robots: Sequence[str] = (),
    max_decisions: int = 400,
    seed: int = 0,
) -> list[OfflineResult]:
    """Compare a policy's actions with the logged ones, beside simple baselines; return one result a robot.

    Args:
        policy: a loaded policy, or a checkpoint or run folder.
        stores: opened stores, or their paths or addresses.
        split: `test` for the episodes that training kept apart, `train`, or `all`.
        holdout_fraction: share of episodes kept apart; as in the checkpoint's training where left out.
        robots: only these; all in the stores where left out.
        max_decisions: decisions judged a robot, at least 1.
        seed: of the samples drawn.

    Raises:
        ConfigError: a larger share than in training, which would judge on training episodes.
        CheckpointError: there is no checkpoint. StoreError: a path is no store.
    """
    judged = policy if isinstance(policy, ModelPolicy) else load_policy(policy)
    opened = [store if isinstance(store, Store | RemoteStore) else open_store(store) for store in stores]
    training = judged.checkpoint.training
    trained = _trained_holdout(training)
    holdout = trained if holdout_fraction is None else holdout_fraction
    if split == "test" and holdout > trained:
        raise ConfigError(
            f"holdout_fraction: expected at most {trained}, as in training, got {holdout}: the policy was trained on "
            "some of these episodes; lower it, or judge on split 'all'"
        )
    mixture = _trained_mixture(training) if split == "test" else ""
    selection = Selection(split=split, holdout_fraction=holdout, robots=tuple(robots), mixture=mixture)
    return evaluate_offline(judged, opened, selection, OfflineConfig(max_decisions=max_decisions, seed=seed))


def _trained_mixture(training: dict[str, Json]) -> str:
    """Return the mixture that a checkpoint was trained on, whose splits say what is held out; empty for none."""
    match training:
        case {"config": {"data": {"mixture": str(folder)}}}:
            return folder
    return ""


def _trained_holdout(training: dict[str, Json]) -> float:
    """Return the share of episodes that a checkpoint's training kept apart; 0.1 where its record does not say."""
    match training:
        case {"config": {"data": {"holdout_fraction": float(share)}}}:
            return share
        case _:
            return 0.1
