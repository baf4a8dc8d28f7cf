"""Recipes hold together, and overrides say what they do not know."""

import pytest

from counterpoint.core.config import from_dict, to_dict
from counterpoint.core.errors import ConfigError, UnknownNameError
from counterpoint.data.source import EpisodeSource
from counterpoint.model.harmonic import HarmonicModel
from counterpoint.model.sizes import num_parameters
from counterpoint.train.config import TrainConfig
from counterpoint.train.explain import count_parameters, explain
from counterpoint.train.recipes import RECIPES, resolve


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_recipe_is_whole_documented_and_survives_json(name: str) -> None:
    config = RECIPES[name]()
    assert from_dict(TrainConfig, to_dict(config)) == config
    assert RECIPES[name].__doc__


def test_overrides_reach_every_level() -> None:
    config = resolve("tiny", {"steps": "1e2", "optimizer.rate": "1e-4", "data.stores": "a,b", "window.branches": "2"})
    assert config.steps == 100
    assert config.optimizer.rate == 1e-4
    assert [str(path) for path in config.data.stores] == ["a", "b"]
    assert config.window.branches == 2


def test_unknown_recipe_offers_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="unknown recipe 'tinny': did you mean 'tiny'"):
        resolve("tinny")


def test_unknown_setting_offers_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"^optimizer\.ratee: unknown key; did you mean 'optimizer\.rate'"):
        resolve("tiny", {"optimizer.ratee": "1"})


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


def test_explaining_without_data_says_what_to_give() -> None:
    assert "give --data.stores" in explain(resolve("demo"))


def test_parameters_are_counted_without_building_the_model() -> None:
    config = resolve("tiny").model
    assert count_parameters(config) == num_parameters(HarmonicModel(config))
