"""The ossification test on planted worlds; rates over many worlds are in `benchmarks/ossification.py`."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from counterpoint.core.errors import ConfigError
from counterpoint.scaling.ossification.null_test import ossification
from counterpoint.scaling.ossification.threshold import find_threshold


@pytest.fixture(scope="module")
def worlds(repository: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("ossification_worlds", repository / "benchmarks" / "ossification.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["additive", "kaplan", "mistuned", "cosine_checkpoint", "capacity_floor", "mirage"])
def test_healthy_worlds_are_not_flagged(worlds: ModuleType, name: str) -> None:
    outcome = worlds.trial(name, 0.01, 0)
    assert not outcome.flagged
    assert not outcome.claimed


@pytest.mark.parametrize("name", ["hard", "soft", "smooth"])
def test_ossifying_worlds_are_flagged(worlds: ModuleType, name: str) -> None:
    outcome = worlds.trial(name, 0.01, 0)
    assert outcome.flagged
    assert outcome.claimed == outcome.right  # a bracket that is claimed holds the planted size
    assert not (name == "smooth" and outcome.claimed)


def test_indices_and_verdicts_of_a_hard_world(worlds: ModuleType) -> None:
    found = ossification(worlds.draw(worlds.hard, 3, 0.005))
    by_size = {each.size: each for each in found.sizes}
    below, above = float(worlds.SIZES[3]), float(worlds.SIZES[4])
    assert by_size[below].verdict in ("ossifying", "regressing")
    assert by_size[below].index > 0.5
    assert by_size[above].verdict == "no evidence"
    assert found.threshold.bracket == pytest.approx((below, above))
    assert not any(each.overfits for each in found.sizes)


def test_a_curve_that_rises_at_its_end_overfits(worlds: ModuleType) -> None:
    table = worlds.draw(worlds.additive, 0, 0.002)
    late = (table.size == table.size.min()) & (table.data > 100)
    table.loss[late] *= 1 + 0.15 * np.log(table.data[late] / 100)
    found = ossification(table)
    assert [each.overfits for each in found.sizes] == [True] + [False] * 6
    assert found.sizes[0].verdict == "regressing"


def test_five_sizes_claim_no_threshold() -> None:
    sizes = np.geomspace(1, 100, 5)
    step = np.asarray([1.0, 1.0, 0.0, 0.0, 0.0])
    found = find_threshold(sizes, step, step > 0.5, np.full(5, 0.05))
    assert not found.claimed
    assert "needs 6" in found.reason
    six = find_threshold(np.geomspace(1, 100, 6), np.append(step, 0.0), np.append(step > 0.5, False), np.full(6, 0.05))
    assert six.claimed


def test_tables_that_cannot_be_tested_say_why(worlds: ModuleType) -> None:
    table = worlds.draw(worlds.additive, 0, 0.01)
    with pytest.raises(ConfigError, match="2 sizes and 10 amounts"):
        ossification(table.take(table.size < 3e8))


def test_sizes_read_off_a_figure_are_one_where_they_lie_next_to_each_other(worlds: ModuleType) -> None:
    table = worlds.draw(worlds.additive, 0, 0.01)
    jitter = np.random.default_rng(0).uniform(1, 1 + 1e-4, len(table))
    found, plain = ossification(replace(table, size=table.size * jitter)), ossification(table)
    assert [each.verdict for each in found.sizes] == [each.verdict for each in plain.sizes]
    assert any("sizes are treated as 7" in words for words in found.warnings)
    assert not any("are treated as" in words for words in plain.warnings)
