"""The page's five hops from log to loss are the code's: one sample walks through the functions that the page names."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch

from counterpoint.data.batches.reader import Window, WindowReader
from counterpoint.data.batches.training import TrainingBatches, TrainingTransform, training_windows
from counterpoint.data.encoding.pack import pack
from counterpoint.data.encoding.processor import Processor
from counterpoint.data.episodes.selection import Selection, select_episodes
from counterpoint.data.episodes.synthetic import synthetic_source
from counterpoint.model.harmonic import HarmonicModel
from counterpoint.model.tensors import to_tensors
from counterpoint.train.recipes import tiny

PAGE = Path(__file__).parents[2] / "docs/architecture.md"
HOPS = (WindowReader.window, WindowReader.read, TrainingTransform.sample, pack, HarmonicModel.loss)


def test_a_sample_walks_through_the_functions_that_the_page_names() -> None:
    section = PAGE.read_text(encoding="utf-8").split("## One sample, from log to loss")[1].split("\n## ")[0]
    assert tuple(re.findall(r"^\d\. `([\w.]+)`", section, flags=re.M)) == tuple(hop.__qualname__ for hop in HOPS)
    source, config = synthetic_source(4, 7, seed=0), tiny()
    episodes = select_episodes([source], Selection(split="all"))
    reader = training_windows([source], Processor.fit([source], config.window, episodes=episodes), episodes)
    seed, position = 3, 11
    find, read, sample, packed, loss = HOPS
    window = find(reader, reader.order(seed)[position], seed=seed, position=position)
    assert isinstance(window, Window)
    transform = reader.transform
    assert isinstance(transform, TrainingTransform)
    encoded = sample(transform, read(reader, window), window)
    assert encoded is not None
    batch = packed([encoded])
    torch.manual_seed(0)
    value = loss(HarmonicModel(config.model), to_tensors(batch), torch.Generator().manual_seed(0)).total
    assert np.isfinite(value.item())
    delivered = TrainingBatches(reader=reader, seed=seed, batch_windows=1)[position]
    np.testing.assert_array_equal(delivered.decision_s, batch.decision_s)
    np.testing.assert_array_equal(delivered.acting[0].values, batch.acting[0].values)
