"""Intervals against scipy and against their promise."""

import numpy as np
import pytest
from scipy.stats import binomtest

from counterpoint.core.errors import CounterpointError
from counterpoint.evaluate.statistics import bootstrap_mean, wilson_interval


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (10, 10), (7, 10), (81, 100), (1, 1)])
def test_wilson_equals_scipy(successes: int, trials: int) -> None:
    expected = binomtest(successes, trials).proportion_ci(method="wilson")
    ours = wilson_interval(successes, trials)
    assert ours.as_list() == pytest.approx([expected.low, expected.high], abs=1e-12)


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (3, 2), (-1, 5)])
def test_impossible_counts_are_refused(successes: int, trials: int) -> None:
    with pytest.raises(CounterpointError, match="successes"):
        wilson_interval(successes, trials)


def test_bootstrap_resamples_clusters_not_values() -> None:
    """100 copies of each of 10 cluster values hold no more information than the 10 values."""
    rng = np.random.default_rng(0)
    cluster_value = rng.normal(size=10)
    clusters = np.repeat(np.arange(10), 100)
    wide = bootstrap_mean(cluster_value[clusters], clusters)
    alone = bootstrap_mean(cluster_value, np.arange(10))
    assert wide.as_list() == pytest.approx(alone.as_list())
    assert wide.high - wide.low > 2 * cluster_value.std() / np.sqrt(10)


def test_one_cluster_says_nothing_of_the_spread() -> None:
    interval = bootstrap_mean(np.ones(5), np.zeros(5, dtype=np.int64))
    assert interval.low == -np.inf
    assert interval.high == np.inf


def test_bootstrap_covers_the_true_mean() -> None:
    rng = np.random.default_rng(1)
    hits = sum(0.0 in bootstrap_mean(rng.normal(size=40), np.arange(40), draws=300, seed=world) for world in range(200))
    assert 0.88 <= hits / 200 <= 0.99
