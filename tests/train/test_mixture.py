"""Training on a mixture: its episodes, its weights, its statistics, and nothing that it holds out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from counterpoint.catalog.mixtures.freeze import MixtureRequest, PartRequest, freeze
from counterpoint.catalog.mixtures.mixture import Mixture, SplitSettings, save_mixture
from counterpoint.core.errors import StoreError
from counterpoint.data.episodes.selection import select_episodes
from counterpoint.data.episodes.synthetic import synthetic_embodiment, synthetic_episode
from counterpoint.store import Store, StoreWriter
from counterpoint.train.config import DataConfig, TrainConfig
from counterpoint.train.episodes import open_data
from counterpoint.train.trainer import train

Frozen = tuple[Mixture, Path]


@pytest.fixture
def frozen(tmp_path: Path) -> Frozen:
    stores = []
    for number, channels in enumerate((4, 7)):
        with StoreWriter(tmp_path / f"store-{number}") as writer:
            robot = synthetic_embodiment(channels)
            for index in range(8):
                writer.add(synthetic_episode(robot, index, number))
        stores.append(Store.open(tmp_path / f"store-{number}"))
    first, second = (store.episodes[0].embodiment for store in stores)
    parts = (
        PartRequest(name="rare", query=f"robot = '{first}'", weight=0.2),
        PartRequest(name="common", query=f"robot = '{second}'"),
    )
    request = MixtureRequest(name="two", parts=parts, splits=SplitSettings(test=0.25, seed=1))
    return save_mixture(freeze(stores, request).mixture, tmp_path / "mixture"), tmp_path / "mixture"


def test_a_run_takes_what_the_mixture_says(frozen: Frozen, make_config: Callable[..., TrainConfig]) -> None:
    mixture, folder = frozen
    config = make_config(data=DataConfig(mixture=str(folder)))
    data = open_data(config)
    chosen = {reference.episode_id for references in data.episodes.values() for reference in references}
    assert chosen == set(mixture.rows("train")["episode_id"].to_pylist())
    held_out = select_episodes(data.sources, replace(config.data.selection(), split="test"))
    tested = {reference.episode_id for references in held_out.values() for reference in references}
    assert tested == set(mixture.rows("test")["episode_id"].to_pylist())
    assert not tested & chosen
    order = data.windows.order(seed=0)
    windows = [data.windows.window(order[position]) for position in range(4000)]
    drawn = Counter(data.sources[one.source].flat()["robot"][one.row].as_py() for one in windows)
    share = drawn[mixture.rows("train", "rare")["robot"][0].as_py()] / 4000
    assert share == pytest.approx(0.2, abs=0.03)


def test_stored_statistics_normalise(frozen: Frozen, make_config: Callable[..., TrainConfig]) -> None:
    mixture, folder = frozen
    data = open_data(make_config(data=DataConfig(mixture=str(folder))))
    for robot, streams in mixture.statistics.items():
        fitted = data.processor.statistics(robot).sensing
        for name, each in fitted.items():
            np.testing.assert_allclose(each.mean, streams[name].mean, rtol=1e-6)


def test_sources_may_come_in_another_order(frozen: Frozen, make_config: Callable[..., TrainConfig]) -> None:
    mixture, folder = frozen
    selection = make_config(data=DataConfig(mixture=str(folder))).data.selection()
    stores = [Store.open(path) for path in mixture.stores]
    one, two = select_episodes(stores, selection), select_episodes(stores[::-1], selection)
    assert {robot: [r.episode_id for r in rows] for robot, rows in one.items()} == {
        robot: [r.episode_id for r in rows] for robot, rows in two.items()
    }


def test_it_trains(frozen: Frozen, make_config: Callable[..., TrainConfig]) -> None:
    config = make_config(data=DataConfig(mixture=str(frozen[1])), steps=2, loader_workers=1)
    train(config)
    assert (config.out / "metrics.jsonl").exists()
    with pytest.raises(StoreError, match="no mixture here"):
        train(make_config("other", data=DataConfig(mixture=str(frozen[1].parent / "nothing"))))
