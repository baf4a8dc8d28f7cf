"""Recipes hold together, and overrides say what they do not know."""

from pathlib import Path

import pyarrow as pa
import pytest

from counterpoint.catalog.marks import CHECKED_SCHEMA, MARKS_SCHEMA, save_marks
from counterpoint.core.config import from_dict, to_dict
from counterpoint.core.errors import ConfigError, UnknownNameError
from counterpoint.data.episodes.source import EpisodeSource
from counterpoint.data.episodes.synthetic import synthetic_embodiment, synthetic_episode
from counterpoint.model.harmonic import HarmonicModel
from counterpoint.model.sizes import num_parameters
from counterpoint.store import Store, StoreWriter
from counterpoint.train.config import TrainConfig
from counterpoint.train.explain import count_parameters, explain
from counterpoint.train.recipes import RECIPES, resolve


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_recipe_is_whole_documented_and_survives_json(name: str) -> None:
    config = RECIPES[name]()
    assert from_dict(TrainConfig, to_dict(config)) == config
    assert RECIPES[name].__doc__


def test_overrides_reach_every_level() -> None:
    config = resolve(
        "tiny", {"steps": "1e2", "optimizer.learning_rate": "1e-4", "data.stores": "a,b", "window.branches": "2"}
    )
    assert config.steps == 100
    assert config.optimizer.learning_rate == 1e-4
    assert [str(path) for path in config.data.stores] == ["a", "b"]
    assert config.window.branches == 2


def test_unknown_recipe_offers_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="unknown recipe 'tinny': did you mean 'tiny'"):
        resolve("tinny")


def test_unknown_setting_offers_the_nearest() -> None:
    with pytest.raises(
        ConfigError, match=r"^optimizer\.learning_ratee: unknown key; did you mean 'optimizer\.learning_rate'"
    ):
        resolve("tiny", {"optimizer.learning_ratee": "1"})


def test_settings_that_do_not_fit_each_other_are_named() -> None:
    with pytest.raises(ConfigError, match=r"^window\.knots: expected a multiple of model\.knots_per_token = 4, got 6"):
        resolve("tiny", {"window.knots": "6"})


def test_explaining_tells_data_size_and_cost(sources: tuple[EpisodeSource, ...]) -> None:
    text = explain(resolve("tiny"), sources)
    for part in (
        "28,",
        "parameters",
        "synthetic_4: 5 episodes",
        "tokens",
        "floating point operations",
        "MiB",
        "40 steps",
    ):
        assert part in text


def test_explaining_counts_what_marks_leave_out(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "store") as writer:
        for number in range(6):
            writer.add(synthetic_episode(synthetic_embodiment(4), number, seed=1))
    store = Store.open(tmp_path / "store")
    text = explain(resolve("tiny"), [store])
    assert "left out" not in text
    rows = [
        dict.fromkeys(MARKS_SCHEMA.names)
        | {
            "episode_id": info.episode_id,
            "content_sha256": info.content_sha256,
            "start_ns": info.start_ns,
            "end_ns": info.start_ns + 1_000_000_000,
            "drop": True,
        }
        for info in store.episodes
    ]
    save_marks(store.root, pa.Table.from_pylist(rows, schema=MARKS_SCHEMA), CHECKED_SCHEMA.empty_table(), {})
    assert "left out of it: 0.00 h" in explain(resolve("tiny"), [store])


def test_explaining_without_data_says_what_to_give() -> None:
    assert "give --data.stores" in explain(resolve("demo"))


def test_parameters_are_counted_without_building_the_model() -> None:
    config = resolve("tiny").model
    assert count_parameters(config) == num_parameters(HarmonicModel(config))
