"""A checkpoint comes back as it went in, and a damaged one says which file and what to do."""

import json
import os
import resource
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from counterpoint.core.errors import CheckpointError, UnknownNameError
from counterpoint.policy.checkpoint import (
    FORMAT,
    Checkpoint,
    ResumeState,
    find_checkpoint,
    load_checkpoint,
    load_resume_state,
    save_checkpoint,
)
from counterpoint.policy.folder import manifest


def rewrite(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.fixture
def folder(checkpoint: Checkpoint, tmp_path: Path) -> Path:
    state = ResumeState(weights=dict(checkpoint.weights), optimizer={"a/count": torch.tensor(3)})
    save_checkpoint(tmp_path / "saved", checkpoint, state)
    return tmp_path / "saved"


def test_round_trip_is_exact(checkpoint: Checkpoint, folder: Path) -> None:
    loaded = load_checkpoint(folder)
    assert loaded.model == checkpoint.model
    assert loaded.embodiments == checkpoint.embodiments
    assert loaded.processor.to_dict() == checkpoint.processor.to_dict()
    assert loaded.training == checkpoint.training
    assert loaded.weights.keys() == checkpoint.weights.keys()
    assert all(torch.equal(loaded.weights[name], weight) for name, weight in checkpoint.weights.items())
    assert int(load_resume_state(folder).optimizer["a/count"]) == 3


def test_folder_needs_no_pickle_and_names_its_format(folder: Path) -> None:
    assert {file.suffix for file in folder.rglob("*") if file.is_file()} == {".json", ".safetensors"}
    assert json.loads((folder / "config.json").read_text())["format"] == FORMAT == "counterpoint-checkpoint 1"


def test_run_folder_means_its_newest_checkpoint(checkpoint: Checkpoint, tmp_path: Path) -> None:
    for step in (5, 20):
        save_checkpoint(tmp_path / f"run/checkpoints/step-{step:09d}", checkpoint)
    assert find_checkpoint(tmp_path / "run").name == "step-000000020"


def test_model_built_from_it_has_its_weights(checkpoint: Checkpoint, folder: Path) -> None:
    model = load_checkpoint(folder).build_model()
    assert not model.training
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, checkpoint.weights[name])


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "format",
            "counterpoint-checkpoint 2",
            "expected format 'counterpoint-checkpoint 1', got '.* 2'; load it with",
        ),
        ("format", None, "expected format"),
        ("descriptor_version", 99, "expected descriptor version 1, got 99"),
        ("files", {}, "manifest does not name processor.json"),
    ],
)
def test_other_versions_are_refused(folder: Path, key: str, value: object, message: str) -> None:
    rewrite(folder / "config.json", **{key: value})
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(folder)


@pytest.mark.parametrize("name", ["weights.safetensors", "processor.json", "embodiments.json", "training.json"])
def test_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=f"{name}: missing"):
        load_checkpoint(folder)


def test_truncated_weights_are_named(folder: Path) -> None:
    file = folder / "weights.safetensors"
    os.truncate(file, file.stat().st_size - 100)
    with pytest.raises(CheckpointError, match=r"weights\.safetensors: expected \d+ bytes, found \d+: truncated"):
        load_checkpoint(folder)


def test_changed_weights_are_noticed(folder: Path) -> None:
    file = folder / "weights.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"weights\.safetensors: its content has changed"):
        load_checkpoint(folder)


def test_weights_of_another_shape_are_refused(folder: Path) -> None:
    head = json.loads((folder / "config.json").read_text())
    rewrite(folder / "config.json", model={**head["model"], "width": 32})
    with pytest.raises(CheckpointError, match="expected shape"):
        load_checkpoint(folder).build_model()


def test_unknown_setting_of_the_model_is_refused(folder: Path) -> None:
    head = json.loads((folder / "config.json").read_text())
    rewrite(folder / "config.json", model={**head["model"], "depth": 3})
    with pytest.raises(CheckpointError, match="depth: unknown key"):
        load_checkpoint(folder)


def test_foreign_processor_is_refused(folder: Path) -> None:
    rewrite(folder / "processor.json", version=7)
    head = json.loads((folder / "config.json").read_text())
    (folder / "config.json").unlink()
    (folder / "config.json").write_text(json.dumps({**head, "files": manifest(folder)}))
    with pytest.raises(CheckpointError, match=r"processor\.version: expected 2, got 7"):
        load_checkpoint(folder)


def test_folder_that_is_no_checkpoint_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"expected a checkpoint folder.*counterpoint train RECIPE"):
        load_checkpoint(tmp_path / "nowhere")
    (tmp_path / "config.json").write_text("not json")
    with pytest.raises(CheckpointError, match="not readable as JSON"):
        load_checkpoint(tmp_path)


def test_writing_into_a_refusing_disk_keeps_what_was_there(checkpoint: Checkpoint, folder: Path) -> None:
    blocker = folder.parent / "file"
    blocker.write_text("")
    with pytest.raises(CheckpointError, match=r"cannot write.*earlier checkpoints are untouched"):
        save_checkpoint(blocker / "inside", checkpoint)
    load_checkpoint(folder)


def test_saving_again_replaces_and_leaves_no_rests(checkpoint: Checkpoint, folder: Path) -> None:
    shutil.rmtree(folder / "training_state")
    save_checkpoint(folder, checkpoint)
    assert [entry.name for entry in folder.parent.iterdir()] == [folder.name]
    load_checkpoint(folder)


def test_unknown_robot_offers_the_nearest(checkpoint: Checkpoint) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'synthetic_4'"):
        checkpoint.embodiment("synthetic_44")


def test_saved_numbers_are_float32(checkpoint: Checkpoint, folder: Path) -> None:
    weights = load_checkpoint(folder).weights.values()
    assert all(weight.dtype == torch.float32 and np.isfinite(weight.numpy()).all() for weight in weights)


def test_full_disk_keeps_the_earlier_checkpoint_and_no_rests(checkpoint: Checkpoint, folder: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))  # the weights are larger
    try:
        with pytest.raises(CheckpointError, match=r"cannot write.*free some space"):
            save_checkpoint(folder, checkpoint)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    load_checkpoint(folder)
    assert [entry.name for entry in folder.parent.iterdir()] == [folder.name]
