"""No group is ever in two splits, and what is added moves nothing."""

from __future__ import annotations

from typing import cast

import numpy as np
import pyarrow as pa
import pytest
from catalog_episodes import flat_rows
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoint.catalog.mixtures.mixture import SPLITS, SplitSettings
from counterpoint.catalog.mixtures.splits import SPLIT_KEYS, describe_division, divide
from counterpoint.core.errors import ConfigError, UnknownNameError

KEYS = st.lists(st.sampled_from(SPLIT_KEYS), min_size=1, max_size=3, unique=True)


def random_rows(seed: int, count: int) -> tuple[pa.Table, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    rng = np.random.default_rng(seed)
    words = {
        key: [f"{key}{value}" if value else "" for value in rng.integers(0, 12, count).tolist()]
        for key in ("site", "task", "robot", "environment", "operator")
    }
    first = np.arange(count)
    copies = rng.random(count) < 0.2
    first[copies] = rng.integers(0, count, int(copies.sum()))
    clusters = np.minimum(first, np.arange(count))
    return flat_rows(count, seed, **words), clusters[clusters]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 120), KEYS, st.floats(0, 0.5), st.floats(0, 0.4), st.integers(0, 5))
def test_no_group_crosses_a_split(
    seed: int, count: int, by: list[str], test: float, validation: float, split_seed: int
) -> None:
    table, clusters = random_rows(seed, count)
    settings = SplitSettings(by=tuple(by), test=test, validation=validation, seed=split_seed)
    division = divide(table, settings, clusters=clusters)
    for key in by:
        column = (
            clusters.tolist() if key == "duplicate" else table["episode_id" if key == "episode" else key].to_pylist()
        )
        seen: dict[object, int] = {}
        for name, split in zip(column, division.split.tolist(), strict=True):
            assert seen.setdefault(name, split) == split
    assert describe_division(table, division, settings)["train"] is not None


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([k for k in SPLIT_KEYS if k != "duplicate"]), st.integers(1, 60))
def test_added_episodes_move_nothing(seed: int, key: str, kept: int) -> None:
    table, _ = random_rows(seed, 120)
    order = np.random.default_rng(seed).permutation(120)
    settings = SplitSettings(by=(key,), test=0.3, validation=0.2)
    everything = divide(table, settings).split
    some = np.sort(order[:kept])
    np.testing.assert_array_equal(divide(table.take(pa.array(some)), settings).split, everything[some])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), KEYS)
def test_with_earlier_splits_nothing_held_out_is_ever_trained_on(seed: int, by: list[str]) -> None:
    table, clusters = random_rows(seed, 120)
    settings = SplitSettings(by=tuple(by), test=0.3, validation=0.2)
    old = np.arange(0, 120, 2)
    before = divide(table.take(pa.array(old)), settings, clusters=np.unique(clusters[old], return_inverse=True)[1])
    contents = table["content_sha256"].take(pa.array(old)).to_pylist()
    earlier = {name: SPLITS[split] for name, split in zip(contents, before.split.tolist(), strict=True)}
    after = divide(table, settings, clusters=clusters, earlier=earlier)
    assert (after.split[old] >= before.split).all()
    assert after.moved == int((after.split[old] != before.split).sum())
    for group in np.unique(after.group):
        assert len(set(after.split[after.group == group].tolist())) == 1


def test_described_shares_are_those_of_the_hours_and_near_what_was_wanted() -> None:
    table = flat_rows(20_000)
    settings = SplitSettings(by=("episode",), test=0.1, validation=0.05)
    division = divide(table, settings)
    described = cast(dict[str, dict[str, float]], describe_division(table, division, settings))
    seconds = np.nan_to_num(table["duration_s"].to_numpy())
    for number, (name, wanted) in enumerate((("train", 0.85), ("validation", 0.05), ("test", 0.1))):
        rows = division.split == number
        share = seconds[rows].sum() / seconds.sum()
        assert described[name]["episodes"] == rows.sum()
        assert described[name]["share"] == pytest.approx(share, abs=1e-6)
        assert described[name]["error"] == pytest.approx(share - wanted, abs=1e-6)
        assert abs(described[name]["error"]) < 0.01
    few = SplitSettings(by=("robot",), test=0.1)
    coarse = cast(dict[str, dict[str, float]], describe_division(table, divide(table, few), few))
    assert coarse["train"]["groups"] + coarse["test"]["groups"] == 2
    assert abs(coarse["test"]["error"]) > 0.05


def test_keys_are_joined() -> None:
    sites, tasks = ["a", "a", "b", "c"], ["x", "y", "y", "z"]
    table = flat_rows(4, site=sites, task=tasks)
    assert divide(table, SplitSettings(by=("site", "task"), test=0.5)).group.tolist() == [0, 0, 0, 3]


def test_odd_settings_and_tables() -> None:
    table = flat_rows(3)
    with pytest.raises(UnknownNameError, match="did you mean 'site'"):
        divide(table, SplitSettings(by=("sites",)))
    with pytest.raises(ConfigError, match="needs clusters"):
        divide(table, SplitSettings(by=("duplicate",)))
    with pytest.raises(ConfigError, match="nothing to train on"):
        divide(table, SplitSettings(test=0.6, validation=0.5))
    with pytest.raises(ConfigError, match=r"split.test: expected a share"):
        divide(table, SplitSettings(test=1.0))
    with pytest.raises(ConfigError, match="at least one"):
        divide(table, SplitSettings(by=()))
    assert len(divide(flat_rows(0), SplitSettings(test=0.2)).split) == 0
    assert divide(flat_rows(1), SplitSettings()).split.tolist() == [0]
