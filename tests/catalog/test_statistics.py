"""Streaming statistics against numpy, on real recordings and on columns made to be awkward."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from counterpoint.catalog.mixtures.quantile_sketch import QuantileSketch
from counterpoint.catalog.mixtures.statistics import (
    PROBABILITIES,
    StreamAccumulator,
    measure_episodes,
    statistics_from_dict,
    statistics_to_dict,
)
from counterpoint.core.errors import StoreError
from counterpoint.ingest import ingest
from counterpoint.store import Store


def rank_errors(values: NDArray[np.float32], quantiles: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far the rank of each quantile is from the wanted one, as a share of the count, [quantiles, channels]."""
    wanted = np.asarray(PROBABILITIES)[:, None]
    low = np.stack([np.searchsorted(np.sort(values[:, c]), quantiles[:, c], "left") for c in range(values.shape[1])], 1)
    high = np.stack(
        [np.searchsorted(np.sort(values[:, c]), quantiles[:, c], "right") for c in range(values.shape[1])], 1
    )
    return np.asarray(np.maximum(0, np.maximum(low / len(values) - wanted, wanted - high / len(values))))


def test_quantiles_of_a_long_stream_are_within_their_error() -> None:
    rng = np.random.default_rng(0)
    columns = [rng.normal(size=300_000), np.sort(rng.exponential(size=300_000)), np.repeat([0.0, 1.0, 2.0], 100_000)]
    values = np.stack(columns, axis=1).astype(np.float32)
    sketch = QuantileSketch(3)
    for piece in np.array_split(values, 97):
        sketch.add(piece)
    assert sketch.count == len(values)
    assert 0 < sketch.rank_error < 1e-3
    assert rank_errors(values, sketch.quantiles(PROBABILITIES)).max() <= sketch.rank_error
    assert sum(len(piece) for level in sketch._levels for piece in level) < 20 * sketch.capacity


def test_merged_sketches_are_within_their_error() -> None:
    values = np.random.default_rng(1).normal(size=(200_000, 2)).astype(np.float32)
    whole = QuantileSketch(2)
    for number, piece in enumerate(np.array_split(values, 13)):
        part = QuantileSketch(2, seed=number)
        part.add(piece)
        whole.merge(part)
    assert whole.count == len(values)
    assert rank_errors(values, whole.quantiles(PROBABILITIES)).max() <= whole.rank_error


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 700), min_size=1, max_size=12), st.integers(2, 40))
def test_every_sample_is_counted_once(sizes: list[int], capacity: int) -> None:
    sketch = QuantileSketch(1, capacity=capacity)
    for size in sizes:
        sketch.add(np.arange(size, dtype=np.float32)[:, None])
    weight = sum(len(piece) << height for height, level in enumerate(sketch._levels) for piece in level)
    assert weight == sketch.count == sum(sizes)


def test_few_samples_are_exact() -> None:
    sketch = QuantileSketch(1)
    sketch.add(np.arange(100, dtype=np.float32)[:, None])
    assert sketch.rank_error == 0
    assert sketch.quantiles([0.01, 0.5, 1.0]).ravel().tolist() == [0.0, 49.0, 99.0]


def test_real_recordings(realdata: Path, tmp_path: Path) -> None:
    ingest([realdata / "g1_inspire_26dof"], tmp_path / "store")
    store = Store.open(tmp_path / "store")
    ids = [info.episode_id for info in store.episodes]
    first, second = measure_episodes(store, ids[:37]), measure_episodes(store, ids[37:])
    gathered = first["proprioception"]
    gathered.merge(second["proprioception"])
    found = gathered.result()
    values = np.concatenate([np.asarray(store.low(name)["proprioception"].values) for name in ids])
    assert found.count == len(values)
    assert values.shape[1] == 26
    np.testing.assert_allclose(found.mean, values.mean(axis=0, dtype=np.float64), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.std, values.std(axis=0, dtype=np.float64), rtol=1e-7, atol=1e-9)
    np.testing.assert_array_equal(found.minimum, values.min(axis=0))
    np.testing.assert_array_equal(found.maximum, values.max(axis=0))
    assert rank_errors(values, found.quantiles).max() <= found.rank_error
    again = statistics_from_dict(json.loads(json.dumps(statistics_to_dict({"g1": {"proprioception": found}}))))
    np.testing.assert_array_equal(again["g1"]["proprioception"].quantiles, found.quantiles)


def test_other_channels_are_refused() -> None:
    one, other = StreamAccumulator(["a"]), StreamAccumulator(["b"])
    with pytest.raises(StoreError, match="expected channels a, got b"):
        one.merge(other)


@pytest.mark.parametrize("key", ["probabilities", "names", "mean", "quantiles"])
def test_damaged_statistics_are_refused(key: str) -> None:
    gathered = StreamAccumulator(["a", "b"])
    gathered.add(np.zeros((3, 2), np.float32))
    raw = json.loads(json.dumps(statistics_to_dict({"arm": {"s": gathered.result()}})))
    target = raw if key == "probabilities" else raw["robots"]["arm"]["s"]
    target[key] = target[key][:1]
    with pytest.raises((KeyError, TypeError, ValueError)):
        statistics_from_dict(raw)
