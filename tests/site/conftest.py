"""A real receiver and small spools."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from receivers import PATIENT, Running, Sent
from site_soak import noise_episode

from counterpoint.store import StoreWriter


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    started = Running(tmp_path / "receiver")
    yield started
    started.stop()


@pytest.fixture
def run_with(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def run(**limits: float) -> Running:
        started.append(Running(tmp_path / f"receiver-{len(started)}", replace(PATIENT, **limits)))  # type: ignore[arg-type]  # numbers of either kind
        return started[-1]

    yield run
    for each in started:
        each.stop()


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "spool"
    with StoreWriter(folder) as writer:
        for index in range(3):
            writer.add(noise_episode(f"noise-{index}", index, 1.0))
    return folder


@pytest.fixture
def spool(made: Path, tmp_path: Path) -> Path:
    """Three episodes, all of one robot."""
    return Path(shutil.copytree(made, tmp_path / "spool"))


@pytest.fixture
def sent(running: Running, spool: Path) -> Iterator[Sent]:
    with running.client() as client:
        yield Sent(spool, "noise-0", client)
