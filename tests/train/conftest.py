"""A run small enough to train in a second: two synthetic robots, about 30k parameters."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from counterpoint.data.episodes.source import EpisodeSource
from counterpoint.data.episodes.synthetic import synthetic_source
from counterpoint.train.config import TrainConfig
from counterpoint.train.recipes import tiny


@pytest.fixture(scope="session")
def sources() -> tuple[EpisodeSource, ...]:
    return (synthetic_source(6, 4, 0), synthetic_source(6, 7, 1))


@pytest.fixture
def make_config(tmp_path: Path) -> Callable[..., TrainConfig]:
    torch.set_num_threads(1)

    def make(name: str = "run", **changes: object) -> TrainConfig:
        base = replace(tiny(), out=tmp_path / name)
        return replace(base, **changes)  # type: ignore[arg-type]  # names are checked by the dataclass

    return make
