"""Configurations: round trips, typed overrides, errors that name the path and the nearest key."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterpoint.core.config import apply_overrides, field_docs, from_dict, settings, to_dict
from counterpoint.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Muon:
    momentum: float = 0.95


@dataclass(frozen=True, kw_only=True)
class Adam:
    betas: tuple[float, float] = (0.9, 0.99)


@dataclass(frozen=True, kw_only=True)
class Average:
    decay: float = 0.99


@dataclass(frozen=True, kw_only=True)
class Train:
    steps: int = 100
    """Optimizer steps,
    at least 1."""
    optimizer: Muon | Adam = field(default_factory=Muon)
    average: Average | None = None
    schedule: Literal["wsd", "cosine"] = "wsd"
    stores: tuple[Path, ...] = ()
    max_seconds: float | None = None
    compiled: bool = False
    weights: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ConfigError(f"steps: expected at least 1, got {self.steps}")
        if self.max_seconds is not None and self.steps > 1000:
            raise ConfigError("steps: expected at most 1000 with max_seconds")


@dataclass(frozen=True, kw_only=True)
class Run:
    seed: int = 0
    """Decides everything."""
    train: Train = field(default_factory=Train)
    stages: tuple[Train, ...] = (Train(), Train(steps=3))


TRAINS = st.builds(
    Train,
    steps=st.integers(1, 1000),
    optimizer=st.one_of(
        st.builds(Muon, momentum=st.floats(0, 1)),
        st.builds(Adam, betas=st.tuples(st.floats(0, 1), st.floats(0, 1))),
    ),
    average=st.one_of(st.none(), st.builds(Average, decay=st.floats(allow_nan=False))),
    schedule=st.sampled_from(["wsd", "cosine"]),
    stores=st.lists(st.sampled_from([Path("data/a"), Path("b")]), max_size=2).map(tuple),
    max_seconds=st.one_of(st.none(), st.floats(allow_nan=False)),
    compiled=st.booleans(),
    weights=st.dictionaries(st.sampled_from(["ur5e", "panda"]), st.floats(0, 9), max_size=2),
)
RUNS = st.builds(Run, seed=st.integers(), train=TRAINS, stages=st.lists(TRAINS, max_size=2).map(tuple))


@given(RUNS)
def test_survives_json(run: Run) -> None:
    assert from_dict(Run, json.loads(json.dumps(to_dict(run), allow_nan=False))) == run


@given(RUNS)
def test_its_own_settings_are_overrides_that_change_nothing(run: Run) -> None:
    assert apply_overrides(run, {setting.path: setting.value for setting in settings(run)}) == run


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ({"train.steps": "1e3"}, Train(steps=1000)),
        ({"train.schedule": "cosine"}, Train(schedule="cosine")),
        ({"train.compiled": "yes"}, Train(compiled=True)),
        ({"train.stores": "data/a, data/b"}, Train(stores=(Path("data/a"), Path("data/b")))),
        ({"train.stores": '["with, comma"]'}, Train(stores=(Path("with, comma"),))),
        ({"train.max_seconds": "none"}, Train()),
        ({"train.weights.ur5e": "2"}, Train(weights={"ur5e": 2.0})),
        ({"train.weights": "ur5e=2,panda=1"}, Train(weights={"ur5e": 2.0, "panda": 1.0})),
        ({"train.optimizer": "Adam"}, Train(optimizer=Adam())),
        ({"train.optimizer": "Adam", "train.optimizer.betas": "0.5,0.6"}, Train(optimizer=Adam(betas=(0.5, 0.6)))),
        ({"train.average.decay": "0.5"}, Train(average=Average(decay=0.5))),
        ({"train.average": Average(decay=0.1)}, Train(average=Average(decay=0.1))),
        ({"train.steps": 7}, Train(steps=7)),
    ],
)
def test_overrides_are_parsed_by_type(text: dict[str, object], expected: Train) -> None:
    assert apply_overrides(Run(), text).train == expected


def test_override_reaches_into_a_tuple() -> None:
    assert [stage.steps for stage in apply_overrides(Run(), {"stages.1.steps": "9"}).stages] == [100, 9]


def test_overrides_are_applied_together_so_that_checks_see_the_end() -> None:
    run = apply_overrides(Run(), {"train.steps": "5000"})
    assert apply_overrides(run, {"train.max_seconds": "5", "train.steps": "10"}).train.max_seconds == 5.0


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"train.step": "1"}, r"^train\.step: unknown key; did you mean 'train\.steps'"),
        ({"steps": "1"}, r"^steps: unknown key; did you mean 'train\.steps'"),
        ({"train.optimizer.betas": "1,2"}, r"^train\.optimizer\.betas: unknown key"),
        ({"train.steps": "many"}, r"^train\.steps: expected an integer, got 'many' \(str\)"),
        ({"train.steps": "1.5"}, r"^train\.steps: expected an integer, got '1\.5'"),
        ({"train.steps": True}, r"^train\.steps: expected an integer, got True \(bool\)"),
        ({"train.steps": "0"}, r"^train\.steps: expected at least 1, got 0"),
        ({"train.schedule": "linear"}, r"^train\.schedule: expected one of 'wsd', 'cosine', got 'linear'"),
        ({"train.compiled": "perhaps"}, r"^train\.compiled: expected true or false, got 'perhaps'"),
        ({"train.max_seconds": "soon"}, r"^train\.max_seconds: expected a number or none, got 'soon'"),
        ({"train.optimizer": "SGD"}, r"^train\.optimizer: expected Muon or Adam, got 'SGD'"),
        ({"train.weights": "ur5e=x"}, r"^train\.weights\.ur5e: expected a number, got 'x'"),
        ({"train.average.decay": "x"}, r"^train\.average\.decay: expected a number"),
        ({"stages.7.steps": "1"}, r"^stages\.7: expected a place below 2"),
        ({"seed.x": "1"}, r"^seed\.x: unknown key"),
    ],
)
def test_bad_overrides_name_the_path_and_what_arrived(overrides: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        apply_overrides(Run(), overrides)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trian": {}}, r"^trian: unknown key; did you mean 'train'"),
        ({"train": {"stepz": 1}}, r"^train\.stepz: unknown key; did you mean 'train\.steps'"),
        ({"train": {"steps": "3"}}, r"^train\.steps: expected an integer, got '3' \(str\)"),
        ({"train": {"optimizer": {"momentum": 0.9}}}, r"^train\.optimizer\.type: expected one of 'Muon', 'Adam'"),
        ({"stages": [{"steps": 0}]}, r"^stages\.0\.steps: expected at least 1"),
        ({"train": None}, r"^train: expected Train, got None"),
    ],
)
def test_loading_is_strict(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_dict(Run, change)


def test_missing_key_without_default_is_named() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Needy:
        steps: int

    with pytest.raises(ConfigError, match=r"^steps: missing; expected an integer"):
        from_dict(Needy, {})


def test_docs_under_fields_are_found() -> None:
    assert field_docs(Train)["steps"] == "Optimizer steps, at least 1."
    explained = {setting.path: setting for setting in settings(Run())}
    assert explained["seed"].doc == "Decides everything."
    assert explained["train.schedule"].expects == "one of 'wsd', 'cosine'"
    assert explained["train.optimizer"].value == "Muon"
