"""The examples of docs/python.md run, in order, on a small dataset and with a recipe of few steps."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import lerobot_writers
import numpy as np
import pytest

import counterpoint as cp
from counterpoint.core.config import apply_overrides
from counterpoint.data.episodes.synthetic import synthetic_embodiment, synthetic_episode
from counterpoint.store import build_low_view, build_video_view
from counterpoint.store.cloud.publish import publish_views
from counterpoint.train.config import TrainConfig
from counterpoint.train.recipes import RECIPES, tiny

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CAMERA = {"window.cameras": "camera/front", "data.view": "5hz"}


def small() -> TrainConfig:
    """A few steps with a camera, in the place of the recipe that takes half an hour."""
    return replace(apply_overrides(tiny(), CAMERA), steps=4, log_every=2)


@pytest.fixture
def examples(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setitem(RECIPES, "single_robot", small)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lerobot_writers, "CAMERA", "observation.images.front")
    lerobot_writers.write_v21(tmp_path / "my_dataset", (30,) * 12, video=True, robot_type="arm")
    text = (repository / "docs/python.md").read_text(encoding="utf-8")
    return [block.replace('"steps": 2000', '"steps": 2') for block in BLOCK.findall(text)]


def test_examples_run(examples: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {}
    for example in examples:
        exec(compile(example, "docs/python.md", "exec"), names)
    command, run, error_text = names["command"], names["run"], capsys.readouterr().out
    assert isinstance(command, np.ndarray)
    assert command.shape == (3,)
    assert repr(run).startswith("<Run runs/second: step 2, loss ")
    assert "Expected 3 columns in stream 'proprioception' of robot 'arm', got 2" in error_text
    with pytest.raises(cp.CounterpointError, match="runs/nothing"):
        cp.load_policy("runs/nothing")


def test_a_published_store_can_be_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERPOINT_HOME", str(tmp_path / "home"))
    robot = synthetic_embodiment(4)
    with cp.StoreWriter(tmp_path / "store") as writer:
        for index in range(6):
            writer.add(synthetic_episode(robot, index, seed=0))
    store = cp.open_store(tmp_path / "store")
    assert isinstance(store, cp.Store)
    build_low_view(store)
    build_video_view(store)
    address = (tmp_path / "published").as_uri()
    publish_views(store, address)
    here, there, by_address = (
        cp.train("tiny", stores=[each], out=tmp_path / name, overrides={"steps": 2}, progress=False)
        for name, each in (("here", store), ("there", cp.open_store(address)), ("by address", address))
    )
    assert there.loss == by_address.loss
    assert there.policy().processor.to_dict() == here.policy().processor.to_dict()  # fitted on the same episodes
