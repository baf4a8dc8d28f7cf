"""Mixtures are frozen: same choice, same hash; parts are weighed as told; what is missing is named."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from catalog_episodes import episode, make_store
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoint.catalog import load_mixture, save_mixture
from counterpoint.catalog.mixtures.freeze import MixtureRequest, PartRequest, _weights, freeze
from counterpoint.catalog.mixtures.mixture import SplitSettings
from counterpoint.core.errors import ConfigError, StoreError
from counterpoint.store import Store

SIM = PartRequest(name="sim", query="source = 'simulation'")
REAL = PartRequest(name="real", query="source <> 'simulation'")


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> list[Store]:
    root = tmp_path_factory.mktemp("stores")
    first = [
        episode(f"s{i}", seed=i, seconds=2, source="simulation", site=f"x{i % 4}", content_hash=f"sim{i}")
        for i in range(12)
    ]
    second = [
        episode(f"r{i}", seed=50 + i, seconds=4, source="teleoperation" if i % 2 else "real", site=f"y{i % 3}")
        for i in range(8)
    ]
    copy = episode("copied", seed=3, seconds=2, source="simulation", content_hash="sim3")
    return [make_store(root / "sim", first), make_store(root / "real", [*second, copy])]


def request(**changes: object) -> MixtureRequest:
    return MixtureRequest(**{"name": "mine", "parts": (SIM, REAL), **changes})  # type: ignore[arg-type]  # test shorthand


def test_parts_shares_and_statistics(stores: list[Store]) -> None:
    frozen = freeze(stores, request(splits=SplitSettings(test=0.0)))
    mixture = frozen.mixture
    assert [(part.name, part.episodes) for part in mixture.parts] == [("sim", 12), ("real", 8)]
    assert frozen.copies == 1
    assert sum(part.weight for part in mixture.parts) == pytest.approx(1)
    assert mixture.parts[1].weight == pytest.approx(mixture.parts[1].hours / sum(p.hours for p in mixture.parts))
    shares = mixture.by_source()
    assert list(shares) == ["real", "simulation", "teleoperation"]
    assert sum(hours for hours, _ in shares.values()) == pytest.approx(sum(part.hours for part in mixture.parts))
    assert sum(weight for _, weight in shares.values()) == pytest.approx(1)
    assert shares["real"][1] == pytest.approx(mixture.parts[1].weight / 2)
    values = np.concatenate(
        [
            np.asarray(stores[row["store"]].low(row["episode_id"])["proprioception"].values)
            for row in mixture.rows("train").to_pylist()
        ]
    )
    found = mixture.statistics["arm"]["proprioception"]
    assert found.count == len(values)
    np.testing.assert_allclose(found.mean, values.mean(axis=0, dtype=np.float64), rtol=1e-6, atol=1e-7)


def test_the_same_choice_has_the_same_hash(stores: list[Store], tmp_path: Path) -> None:
    one, two = freeze(stores, request()).mixture, freeze(stores, request()).mixture
    assert one.hash == two.hash == save_mixture(one, tmp_path / "m").hash
    assert freeze(stores, request(temperature=2.0)).mixture.hash != one.hash
    loaded = load_mixture(tmp_path / "m")
    assert (loaded.hash, loaded.parts, loaded.splits) == (one.hash, one.parts, one.splits)
    assert loaded.table.equals(one.table)
    assert save_mixture(two, tmp_path / "m").hash == one.hash
    with pytest.raises(StoreError, match="another mixture"):
        save_mixture(freeze(stores, request(temperature=2.0)).mixture, tmp_path / "m")


def test_edits_and_damage_are_noticed(stores: list[Store], tmp_path: Path) -> None:
    folder = tmp_path / "m"
    save_mixture(freeze(stores, request()).mixture, folder)
    document = json.loads((folder / "mixture.json").read_text())
    document["parts"][0]["weight"] += 0.1
    (folder / "mixture.json").write_text(json.dumps(document))
    with pytest.raises(StoreError, match="damaged or edited"):
        load_mixture(folder)
    for name, content in (("mixture.parquet", b"PAR1"), ("statistics.json", b"{}"), ("mixture.json", b"[1")):
        shutil.rmtree(folder)
        save_mixture(freeze(stores, request()).mixture, folder)
        (folder / name).write_bytes(content)
        with pytest.raises(StoreError, match="damaged"):
            load_mixture(folder)
    with pytest.raises(StoreError, match="no mixture here"):
        load_mixture(tmp_path / "nothing")


def test_missing_episodes_are_named(stores: list[Store], tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(stores[1].root, root)
    save_mixture(freeze([stores[0], Store.open(root)], request()).mixture, tmp_path / "m")
    load_mixture(tmp_path / "m")
    shutil.rmtree(next((root / "episodes").glob("*/r5")))
    with pytest.raises(StoreError, match=r"lacks 1 of 8 episodes \(0 of them exist with other content\): r5"):
        load_mixture(tmp_path / "m")
    load_mixture(tmp_path / "m", stores=stores)
    with pytest.raises(StoreError, match="expected 2 stores, got 1"):
        load_mixture(tmp_path / "m", stores=stores[:1])


def test_a_mixture_moves_with_its_stores(stores: list[Store], tmp_path: Path) -> None:
    shutil.copytree(stores[0].root, tmp_path / "here" / "store")
    whole = MixtureRequest(name="m")
    save_mixture(freeze([Store.open(tmp_path / "here" / "store")], whole).mixture, tmp_path / "here" / "m")
    (tmp_path / "here").rename(tmp_path / "there")
    assert load_mixture(tmp_path / "there" / "m").table.num_rows == 12


def test_caps_are_nested_and_leave_held_out_episodes_alone(stores: list[Store]) -> None:
    splits = SplitSettings(test=0.3)
    kept: list[set[str]] = []
    for cap in (None, 5 / 3600, 10 / 3600):
        part = PartRequest(name="all", cap_hours=cap)
        mixture = freeze(stores, request(parts=(part,), splits=splits), statistics=False).mixture
        kept.append(set(mixture.rows("train")["episode_id"].to_pylist()))
        assert (
            mixture.rows("test").num_rows
            == freeze(stores, request(splits=splits), statistics=False).mixture.rows("test").num_rows
        )
        assert mixture.parts[0].hours <= (cap or math.inf)
    assert kept[1] < kept[2] < kept[0]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(1e-3, 1e5), min_size=2, max_size=6), st.floats(0.05, 50))
def test_temperature(hours: list[float], temperature: float) -> None:
    parts = tuple(PartRequest(name=str(place)) for place in range(len(hours)))
    weights = _weights(
        MixtureRequest(name="m", parts=parts, temperature=temperature), {str(i): h for i, h in enumerate(hours)}
    )
    assert sum(weights.values()) == pytest.approx(1)
    first, second = weights["0"], weights["1"]
    if min(first, second) > 1e-200:
        assert np.log(first / second) == pytest.approx(np.log(hours[0] / hours[1]) / temperature, rel=1e-6, abs=1e-9)


def test_weights(stores: list[Store]) -> None:
    def weights(*given: float | None) -> list[float]:
        parts = tuple(
            PartRequest(name=p.name, query=p.query, weight=w) for p, w in zip((SIM, REAL), given, strict=True)
        )
        return [part.weight for part in freeze(stores, request(parts=parts), statistics=False).mixture.parts]

    assert weights(0.25, None) == [0.25, 0.75]
    assert weights(1.0, 3.0) == [0.25, 0.75]
    assert weights(0.0, None) == [0.0, 1.0]
    with pytest.raises(ConfigError, match="sum to 1; expected less than 1"):
        weights(1.0, None)
    with pytest.raises(ConfigError, match="more than 0"):
        weights(0.0, 0.0)


def test_parts_without_episodes_and_queries_that_are_none(stores: list[Store], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="part 'none': none of 21 episodes left"):
        freeze(stores, request(parts=(PartRequest(name="none", query="robot = 'x'"),)))
    with pytest.raises(ConfigError, match="all 13 matching episodes belong to earlier parts"):
        freeze(stores, request(parts=(PartRequest(name="all"), SIM)))
    with pytest.raises(ConfigError, match="condition"):
        freeze(stores, request(parts=(PartRequest(name="bad", query="1; DROP VIEW episodes"),)))
    with pytest.raises(ConfigError, match="names unique"):
        request(parts=(SIM, SIM))
    with pytest.raises(ConfigError, match="none of 0 episodes left"):
        freeze([make_store(tmp_path / "empty")], MixtureRequest(name="m"))


def test_one_episode_and_splits_by_duplicates(stores: list[Store], tmp_path: Path) -> None:
    one = make_store(tmp_path / "one", [episode("only")])
    mixture = freeze([one], MixtureRequest(name="m", splits=SplitSettings(by=("duplicate",), test=0.0))).mixture
    assert mixture.rows("train")["episode_id"].to_pylist() == ["only"]
    twins = [
        episode("a", seed=9),
        episode("b", seed=9, site="elsewhere"),
        *(episode(f"c{i}", seed=i) for i in range(9)),
    ]
    both = make_store(tmp_path / "twins", twins)
    by = SplitSettings(by=("duplicate",), test=0.5)
    frozen = freeze([both], MixtureRequest(name="m", splits=by), statistics=False)
    splits = dict(zip(*(frozen.mixture.table[name].to_pylist() for name in ("episode_id", "split")), strict=True))
    assert splits["a"] == splits["b"]
    grown = make_store(both.root, [episode("d", seed=77)])
    again = freeze([grown], MixtureRequest(name="m", splits=by), earlier=frozen.mixture, statistics=False)
    table: pa.Table = again.mixture.table
    after = dict(zip(table["episode_id"].to_pylist(), table["split"].to_pylist(), strict=True))
    assert again.moved == 0
    assert {name: after[name] for name in splits} == splits
