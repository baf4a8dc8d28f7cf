"""A training run in one call, as Python users start it: `counterpoint.train("single_robot", stores=[...], out=...)`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from counterpoint.core.config import apply_overrides
from counterpoint.core.records import Json
from counterpoint.policy.model_policy import ModelPolicy, load_policy
from counterpoint.store import Store, open_store
from counterpoint.store.cloud.remote import RemoteStore
from counterpoint.train.config import TrainConfig
from counterpoint.train.recipes import resolve
from counterpoint.train.trainer import TrainResult
from counterpoint.train.trainer import train as train_by_config


@dataclass(frozen=True, kw_only=True, repr=False)
class TrainedRun(TrainResult):
    """A run that has ended, and where it lies."""

    path: Path
    """Run folder: checkpoints and `metrics.jsonl`."""

    @property
    def loss(self) -> float:
        """Last training loss; NaN where no step was recorded."""
        found = self.metrics.get("loss")
        return float(found) if isinstance(found, int | float) else float("nan")

    def policy(self, *, device: str = "cpu") -> ModelPolicy:
        """Load what was learned; raises CheckpointError where the run has been deleted."""
        return load_policy(self.checkpoint, device=device)

    def __repr__(self) -> str:
        """Return a line: where, how far, the last loss."""
        state = "" if self.is_finished else ", stopped before its end"
        return f"<Run {self.path}: step {self.step}, loss {self.loss:.4g}, {self.elapsed_s:.0f} s{state}>"


def train(
    recipe: str | TrainConfig,
    *,
    stores: Sequence[Store | RemoteStore | Path | str] = (),
    out: Path | str | None = None,
    overrides: Mapping[str, object] | None = None,
    resume: bool = False,
    progress: bool = True,
    on_metrics: Callable[[Mapping[str, Json]], None] | None = None,
) -> TrainedRun:
    """Train a policy by a recipe and return the run.

    Args:
        recipe: name of a recipe (`counterpoint train list` shows them), or a whole configuration.
        stores: opened stores, or their paths or addresses; those of the configuration where left out.
        out: run folder; that of the recipe where left out.
        overrides: settings by dotted path, for example `{"steps": 500, "optimizer.learning_rate": 1e-3}`.
        resume: continue from the newest checkpoint in `out`.
        progress: show a bar on stderr.
        on_metrics: called with each metric record.

    Raises:
        UnknownNameError: there is no such recipe; offers the nearest.
        ConfigError: an unknown setting, a bad value, or settings that do not fit the data or the run to resume.
        StoreError: a path is no store.
        TrainingError: `out` holds another run, or the loss stopped being a finite number.
    """
    config = resolve(recipe, overrides) if isinstance(recipe, str) else apply_overrides(recipe, overrides or {})
    if out is not None:
        config = replace(config, out=Path(out))
    opened = [store if isinstance(store, Store | RemoteStore) else open_store(store) for store in stores]
    if opened:
        config = replace(config, data=replace(config.data, stores=tuple(Path(store.place) for store in opened)))
    result = train_by_config(config, resume=resume, sources=opened or None, progress=progress, on_metrics=on_metrics)
    return TrainedRun(
        path=config.out,
        checkpoint=result.checkpoint,
        step=result.step,
        elapsed_s=result.elapsed_s,
        is_finished=result.is_finished,
        metrics=result.metrics,
    )
