"""The whole configuration of a training run; `recipes` returns one, dotted overrides change it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from counterpoint.core.errors import ConfigError
from counterpoint.data.encoding.windows import WindowConfig
from counterpoint.data.episodes.selection import Selection, Split
from counterpoint.model.config import HarmonicConfig
from counterpoint.store import PRESETS
from counterpoint.train.optimizer import OptimizerConfig
from counterpoint.train.schedule import ScheduleConfig


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which episodes a run trains on."""

    stores: tuple[Path, ...] = ()
    """Episode stores to read; at least one, or a mixture that names its own."""
    mixture: str = ""
    """Folder that `counterpoint mix` wrote: its training episodes, weights and statistics, and its held-out episodes
    instead of `holdout_fraction`. Its stores are used where `stores` names none. Empty for none."""
    robots: tuple[str, ...] = ()
    """Robots to train on; empty means all robots of the stores, except `held_out`."""
    held_out: tuple[str, ...] = ("iiwa14",)
    """Robots kept for judging adaptation, unless `robots` names them."""
    weights: dict[str, float] = field(default_factory=dict)
    """Share of windows of each robot, relative to the others: every robot trained on must be named, 0 excludes it
    from batches. Empty means in proportion to their hours."""
    holdout_fraction: float = 0.1
    """Share of episodes kept out of training for `evaluate`, chosen by a hash of the episode; in [0, 1)."""
    limit_hours: float | None = None
    """Train on at most this many hours of each robot; smaller limits are subsets of larger ones."""
    limit_episodes: int | None = None
    """Train on at most this many episodes of each robot; smaller limits are subsets of larger ones."""
    view: str = "5hz"
    """Preset of the video view that pictures come from (`5hz`, `10hz`, `native`; `counterpoint prepare` builds it).
    What is missing from it is built when training starts; empty decodes the masters, which is many times slower."""

    def __post_init__(self) -> None:
        """Check ranges."""
        if not 0 <= self.holdout_fraction < 1:
            raise ConfigError(f"holdout_fraction: expected a share in [0, 1), got {self.holdout_fraction}")
        if self.limit_hours is not None and not self.limit_hours > 0:
            raise ConfigError(f"limit_hours: expected more than 0 hours or none, got {self.limit_hours}")
        if self.limit_episodes is not None and self.limit_episodes < 1:
            raise ConfigError(f"limit_episodes: expected at least 1 or none, got {self.limit_episodes}")
        if self.view and self.view not in PRESETS:
            raise ConfigError(f"view: expected {', '.join(PRESETS)} or nothing, got {self.view!r}")
        for robot, weight in self.weights.items():
            if not 0 <= weight < float("inf"):
                raise ConfigError(f"weights.{robot}: expected a number from 0 up, got {weight}")
        if self.weights and (missing := [robot for robot in self.robots if robot not in self.weights]):
            raise ConfigError(f"weights: no weight for {', '.join(missing)}; name every robot, or give no weights")

    def selection(self, split: Split = "train") -> Selection:
        """Return the choice of episodes of a split; `test` is what this run holds out, without limits."""
        return Selection(
            split=split,
            mixture=self.mixture,
            holdout_fraction=self.holdout_fraction,
            limit_episodes=self.limit_episodes if split == "train" else None,
            limit_hours=self.limit_hours if split == "train" else None,
            robots=self.robots,
            without=self.held_out,
        )


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """A training run. Either `steps` or `max_seconds` bounds it; the schedule follows the one given."""

    out: Path = Path("runs/train")
    """Run folder: checkpoints, metrics.jsonl, tensorboard."""
    data: DataConfig = field(default_factory=DataConfig)
    window: WindowConfig = field(default_factory=WindowConfig)
    model: HarmonicConfig = field(default_factory=HarmonicConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    steps: int | None = 2000
    """Optimizer steps; none where `max_seconds` bounds the run."""
    max_seconds: float | None = None
    """Time budget of the loop, seconds, instead of `steps`; the number of steps then depends on the machine's speed."""
    batch_windows: int = 32
    """Windows in an optimizer step, over all processes; each holds `window.branches` decisions."""
    num_microbatches: int = 1
    """Equal parts of a batch, one forward and backward pass each; their gradients are averaged. A divisor of
    `batch_windows` and a multiple of the number of processes. Random draws depend on this number and not on the
    number of processes, so that one process and two train alike."""
    ema_decay: float = 0.998
    """Decay of the weight average that policies load, in [0, 1)."""
    seed: int = 0
    """Seed of initial weights, order of data, and noise; at least 0."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` takes the accelerator where there is one."""
    threads: int = 0
    """Threads of tensor operations a process; 0 leaves the choice to torch."""
    loader_workers: int = 1
    """Background processes that encode batches, for each microbatch, but no more than there are cores; 0 encodes in the
    training process."""
    log_every: int = 20
    """Steps between metric records, at least 1."""
    save_every: int = 500
    """Steps between checkpoints, at least 1; one more is written at the end."""
    keep: int = 2
    """Newest checkpoints kept in the run folder, at least 1."""
    tensorboard: bool = True
    """Mirror metrics to TensorBoard files in `out/tensorboard`."""

    def __post_init__(self) -> None:
        """Check ranges and what must agree between parts."""
        for key in ("batch_windows", "num_microbatches", "log_every", "save_every", "keep"):
            if getattr(self, key) < 1:
                raise ConfigError(f"{key}: expected at least 1, got {getattr(self, key)}")
        for key in ("seed", "threads", "loader_workers"):
            if getattr(self, key) < 0:
                raise ConfigError(f"{key}: expected 0 or more, got {getattr(self, key)}")
        if (self.steps is None) == (self.max_seconds is None):
            raise ConfigError(
                f"steps: give either steps or max_seconds and set the other to none, got {self.steps} and "
                f"{self.max_seconds}"
            )
        if self.steps is not None and self.steps < 1:
            raise ConfigError(f"steps: expected at least 1, got {self.steps}")
        if self.max_seconds is not None and not 0 < self.max_seconds < float("inf"):
            raise ConfigError(f"max_seconds: expected a positive number of seconds, got {self.max_seconds}")
        if not 0 <= self.ema_decay < 1:
            raise ConfigError(f"ema_decay: expected a value in [0, 1), got {self.ema_decay}")
        if self.batch_windows % self.num_microbatches:
            raise ConfigError(
                f"num_microbatches: expected a divisor of batch_windows = {self.batch_windows}, "
                f"got {self.num_microbatches}"
            )
        self._check_window_fits_model()

    def _check_window_fits_model(self) -> None:
        window, model = self.window, self.model
        if window.knots % model.knots_per_token:
            raise ConfigError(
                f"window.knots: expected a multiple of model.knots_per_token = {model.knots_per_token}, "
                f"got {window.knots}"
            )
        if window.context_s > model.context_s:
            raise ConfigError(
                f"window.context_s: expected at most model.context_s = {model.context_s}, got {window.context_s}"
            )
        pairs = (
            ("patch", window.patch, model.patch),
            ("text_buckets", window.text_buckets, model.text_buckets),
        )
        for key, encoded, expected in pairs:
            if encoded != expected:
                raise ConfigError(f"window.{key}: expected model.{key} = {expected}, got {encoded}")
        if window.camera_buckets > model.num_cameras:
            raise ConfigError(
                f"window.camera_buckets: expected at most model.num_cameras = {model.num_cameras}, "
                f"got {window.camera_buckets}"
            )
