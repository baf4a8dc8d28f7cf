"""An untrained checkpoint of two synthetic robots, about 30k parameters."""

import pytest
import torch

from counterpoint.data.encoding.processor import Processor
from counterpoint.data.episodes.source import EpisodeSource
from counterpoint.data.episodes.synthetic import synthetic_source
from counterpoint.model.config import HarmonicConfig
from counterpoint.model.harmonic import HarmonicModel
from counterpoint.policy.checkpoint import Checkpoint, model_tensors
from counterpoint.train.recipes import tiny


@pytest.fixture(scope="session")
def sources() -> tuple[EpisodeSource, ...]:
    return (synthetic_source(3, 4, 0), synthetic_source(3, 7, 1))


@pytest.fixture(scope="session")
def checkpoint(sources: tuple[EpisodeSource, ...]) -> Checkpoint:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config: HarmonicConfig = tiny().model
    return Checkpoint(
        model=config,
        weights={name: tensor.clone() for name, tensor in model_tensors(HarmonicModel(config)).items()},
        processor=Processor.fit(sources, tiny().window),
        embodiments=(sources[0].embodiment("synthetic_4"), sources[1].embodiment("synthetic_7")),
        training={"step": 0, "elapsed_s": 1.5},
    )
