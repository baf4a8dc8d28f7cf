"""Which episodes a run sees: disjoint splits, nested subsets, held-out robots."""

from __future__ import annotations

import pytest

from counterpoint.core.errors import ConfigError
from counterpoint.data.episodes.selection import Selection, select_episodes
from counterpoint.data.episodes.source import MemorySource
from counterpoint.data.episodes.synthetic import synthetic_source

SOURCES = [synthetic_source(12, 7, seed=3), synthetic_source(6, 16, seed=3)]


def test_splits_are_disjoint_complete_and_stable_when_episodes_are_added() -> None:
    small, large = synthetic_source(40, 6, seed=1, duration_s=0.1), synthetic_source(60, 6, seed=1, duration_s=0.1)
    halves = {split: select_episodes([large], Selection(split=split, holdout_fraction=0.3))["synthetic_6"]
              for split in ("train", "test")}  # fmt: skip
    ids = {split: {r.episode_id for r in references} for split, references in halves.items()}
    assert not ids["train"] & ids["test"]
    assert len(ids["train"]) + len(ids["test"]) == 60
    assert 0.1 < len(ids["test"]) / 60 < 0.5
    before = select_episodes([small], Selection(split="test", holdout_fraction=0.3))["synthetic_6"]
    assert {r.episode_id for r in before} <= ids["test"]


def test_smaller_subsets_lie_within_larger_ones() -> None:
    def chosen(**limits: float) -> dict[str, set[str]]:
        selection = Selection(split="all", **limits)  # type: ignore[arg-type]  # limits by name
        return {n: {r.episode_id for r in e} for n, e in select_episodes(SOURCES, selection).items()}

    two, five = chosen(limit_episodes=2), chosen(limit_episodes=5)
    assert all(len(two[robot]) == 2 and two[robot] < five[robot] for robot in two)
    little, more = chosen(limit_hours=9 / 3600), chosen(limit_hours=18 / 3600)
    assert all(len(little[robot]) == 2 and len(more[robot]) == 4 and little[robot] < more[robot] for robot in little)


def test_held_out_robots_stay_out_unless_they_are_named() -> None:
    sources = [synthetic_source(4, 6, 0), synthetic_source(4, 7, 0)]
    one, other = sorted(select_episodes(sources, Selection(split="all")))
    assert list(select_episodes(sources, Selection(split="all", without=(one,)))) == [other]
    assert list(select_episodes(sources, Selection(split="all", without=(one,), robots=(one,)))) == [one]
    with pytest.raises(ConfigError, match=f"held out by default: {one}"):
        select_episodes(sources[:1], Selection(split="all", without=(one,)))


def test_nothing_left_says_so() -> None:
    with pytest.raises(ConfigError, match="no episode left"):
        select_episodes([MemorySource([])], Selection())
