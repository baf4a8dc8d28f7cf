"""Training as users see it: it learns, stops and resumes to the same bits, refuses what it cannot do."""

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from torch import Tensor

from counterpoint.core.errors import CheckpointError, ConfigError, TrainingError
from counterpoint.core.records import read_records
from counterpoint.data.episodes.source import EpisodeSource, MemorySource
from counterpoint.data.episodes.synthetic import synthetic_source
from counterpoint.policy.checkpoint import list_checkpoints, load_checkpoint, load_resume_state
from counterpoint.train.config import DataConfig, TrainConfig
from counterpoint.train.distributed import World
from counterpoint.train.episodes import open_batches, open_data
from counterpoint.train.optimizer import OptimizerConfig
from counterpoint.train.schedule import rate_factor
from counterpoint.train.trainer import TrainResult, train

Make = Callable[..., TrainConfig]
Sources = tuple[EpisodeSource, ...]


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def assert_same_state(first: Path, second: Path) -> None:
    one, two = load_resume_state(first), load_resume_state(second)
    assert same(one.weights, two.weights)
    assert same(one.optimizer, two.optimizer)
    assert same(load_checkpoint(first).weights, load_checkpoint(second).weights)


def train_until_interrupted(config: TrainConfig, sources: Sources) -> TrainResult:
    """Train and send a real SIGINT once the first checkpoint is there."""
    has_ended = threading.Event()

    def interrupt() -> None:
        while not has_ended.is_set() and not list_checkpoints(config.out):
            time.sleep(0.001)
        if not has_ended.is_set():  # else it would end the tests
            os.kill(os.getpid(), signal.SIGINT)

    watcher = threading.Thread(target=interrupt)
    watcher.start()
    try:
        return train(config, sources=sources, progress=False)
    finally:
        has_ended.set()
        watcher.join()


def test_loss_goes_down_and_is_recorded(make_config: Make, sources: Sources) -> None:
    config = make_config(steps=120, log_every=40, tensorboard=True)
    result = train(config, sources=sources, progress=False)
    losses = [record["loss"] for record in read_records(config.out / "metrics.jsonl", "metric")]
    assert result.is_finished
    assert result.step == 120
    assert isinstance(losses[1], float)
    assert isinstance(losses[-1], float)
    assert losses[-1] < 0.75 * losses[1]
    assert list((config.out / "tensorboard").glob("events*"))
    recorded = read_records(config.out / "metrics.jsonl", "config")[0]["config"]
    assert isinstance(recorded, dict)
    assert recorded["steps"] == 120


def test_ctrl_c_saves_and_resuming_gives_the_bits_of_an_unbroken_run(make_config: Make, sources: Sources) -> None:
    whole, parts = make_config("whole", steps=80, save_every=4), make_config("parts", steps=80, save_every=4)
    train(whole, sources=sources, progress=False)
    handler = signal.getsignal(signal.SIGINT)
    stopped = train_until_interrupted(parts, sources)
    assert not stopped.is_finished
    assert 4 <= stopped.step < 80
    assert stopped.checkpoint.is_dir()
    assert signal.getsignal(signal.SIGINT) is handler
    result = train(parts, sources=sources, progress=False, resume=True)
    assert result.is_finished
    assert_same_state(whole.out, parts.out)


def test_resuming_a_finished_run_changes_nothing(make_config: Make, sources: Sources) -> None:
    config = make_config(steps=2)
    before = train(config, sources=sources, progress=False)
    after = train(config, sources=sources, progress=False, resume=True)
    assert after.step == before.step
    assert after.checkpoint == before.checkpoint


def test_time_budget_bounds_the_run(make_config: Make, sources: Sources) -> None:
    config = make_config(steps=None, max_seconds=0.5, log_every=1)
    result = train(config, sources=sources, progress=False)
    assert result.elapsed_s >= 0.5
    records = read_records(config.out / "metrics.jsonl", "metric")
    spent = [0.0, *(float(str(record["elapsed_s"])) for record in records)]
    assert max(spent[:-1]) <= 0.5 <= spent[-1]  # rounded
    factors = [float(str(record["rate_factor"])) for record in records]
    assert factors == pytest.approx([rate_factor(config.schedule, each / 0.5) for each in spent[:-1]], abs=0.05)


def test_existing_run_is_not_overwritten(make_config: Make, sources: Sources) -> None:
    config = make_config(steps=2)
    train(config, sources=sources, progress=False)
    with pytest.raises(TrainingError, match=r"already holds a run .*--resume"):
        train(config, sources=sources, progress=False)


def test_resuming_with_other_settings_names_the_setting(make_config: Make, sources: Sources) -> None:
    config = make_config(steps=2)
    train(config, sources=sources, progress=False)
    with pytest.raises(ConfigError, match=r"^optimizer\.learning_rate: the run in"):
        train(
            replace(config, optimizer=OptimizerConfig(learning_rate=0.1)), sources=sources, progress=False, resume=True
        )


def test_resuming_without_training_state_says_so(make_config: Make, sources: Sources) -> None:
    config = make_config(steps=2)
    result = train(config, sources=sources, progress=False)
    shutil.rmtree(result.checkpoint / "training_state")
    with pytest.raises(CheckpointError, match="runs as a policy but cannot be resumed"):
        train(replace(config, steps=4), sources=sources, progress=False, resume=True)


def test_loss_that_explodes_stops_the_run_and_keeps_the_checkpoint(make_config: Make, sources: Sources) -> None:
    config = make_config(
        steps=20, save_every=1, log_every=1, optimizer=OptimizerConfig(learning_rate=1e30, muon_learning_rate=1e30)
    )
    with pytest.raises(TrainingError, match=r"step \d+: the .* is (nan|inf).*last checkpoint is kept"):
        train(config, sources=sources, progress=False)
    assert load_checkpoint(config.out).training["step"] == len(read_records(config.out / "metrics.jsonl", "metric"))


def test_run_without_stores_says_what_to_give(make_config: Make) -> None:
    with pytest.raises(ConfigError, match=r"^data\.stores: expected at least one store"):
        train(make_config(), progress=False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": None}, "^steps: give either steps or max_seconds"),
        ({"max_seconds": 5.0}, "^steps: give either steps or max_seconds"),
        ({"num_microbatches": 3}, "^num_microbatches: expected a divisor of batch_windows = 8, got 3"),
        ({"ema_decay": 1.0}, "^ema_decay: expected a value in"),
        ({"log_every": 0}, "^log_every: expected at least 1"),
    ],
)
def test_bad_settings_are_refused_by_name(make_config: Make, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_config(**changes)


def test_bad_share_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"^holdout_fraction: expected a share"):
        DataConfig(holdout_fraction=1.0)


def test_weights_name_every_robot() -> None:
    with pytest.raises(ConfigError, match="no weight for panda, iiwa14"):
        DataConfig(robots=("ur5e", "panda", "iiwa14"), weights={"ur5e": 1.0})


class CountingSource(MemorySource):
    """A source that counts how often its episodes are listed."""

    listed = 0

    def flat(self) -> pa.Table:
        self.listed += 1
        return super().flat()


def test_episodes_are_chosen_once_a_run(make_config: Make) -> None:
    """However many microbatches a step has: `large` has 64."""
    counts = []
    for num_microbatches in (1, 64):
        source = CountingSource(synthetic_source(6, 4, 0).episodes)
        config = make_config(batch_windows=64, num_microbatches=num_microbatches, loader_workers=0)
        data = open_data(config, [source])
        with open_batches(config, data, World(device=torch.device("cpu")), 0) as batches:
            counts.append(source.listed)
            assert next(batches).num_windows == 64 // num_microbatches
    assert counts[0] == counts[1] <= 3
