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
