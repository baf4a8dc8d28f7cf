"""A checkpoint: a folder that needs nothing else to run a policy or to go on training.

    config.json               format, model shape, manifest (bytes and SHA-256 of every other file)
    processor.json            how observations become tokens and numbers become commands
    embodiments.json          robots it was trained on, with channel descriptors
    weights.safetensors       averaged weights and buffers: what policies load
    training.json             step, elapsed time, whole training configuration, last metrics
    training_state/           raw weights and optimizer state, for resuming only (may be deleted)

Written whole or not at all; loaded strictly. See `folder` for the mechanics.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from torch import Tensor

from counterpoint.core.config import from_dict, to_dict
from counterpoint.core.descriptor import DESCRIPTOR_VERSION
from counterpoint.core.embodiment import Embodiment, embodiment_from_dict, embodiment_to_dict
from counterpoint.core.errors import CheckpointError, CounterpointError, unknown_name
from counterpoint.core.records import Json
from counterpoint.data.encoding.processor import Processor
from counterpoint.model.config import HarmonicConfig
from counterpoint.model.harmonic import HarmonicModel
from counterpoint.policy.folder import (
    check_manifest,
    manifest,
    read_json,
    read_tensors,
    write_folder,
    write_json,
    write_tensors,
)

FORMAT = "counterpoint-checkpoint 1"
_RUN_FOLDER = "checkpoints"
_STATE = "training_state"


@dataclass(frozen=True, kw_only=True, eq=False)
class Checkpoint:
    """What a policy needs; equal folders load to equal checkpoints."""

    model: HarmonicConfig
    weights: dict[str, Tensor]
    """Averaged parameters and buffers by their names in `HarmonicModel`."""
    processor: Processor
    embodiments: tuple[Embodiment, ...]
    training: dict[str, Json] = field(default_factory=dict)
    """Step, configuration and last metrics of the run; for people and for resuming."""

    def build_model(self) -> HarmonicModel:
        """Return the model with these weights, in evaluation mode, without gradients.

        Raises:
            CheckpointError: names or shapes of the weights do not fit the model.
        """
        model = HarmonicModel(self.model)
        load_weights(model, self.weights, "weights.safetensors")
        return model.eval().requires_grad_(False)

    def embodiment(self, name: str) -> Embodiment:
        """Return the robot of that name; raises UnknownNameError offering the nearest."""
        for embodiment in self.embodiments:
            if embodiment.name == name:
                return embodiment
        raise unknown_name("robot of this checkpoint", name, [robot.name for robot in self.embodiments])


@dataclass(frozen=True, kw_only=True, eq=False)
class ResumeState:
    """What resuming needs besides the checkpoint itself."""

    weights: dict[str, Tensor]
    """Raw parameters, not averaged."""
    optimizer: dict[str, Tensor]


def save_checkpoint(path: Path, checkpoint: Checkpoint, state: ResumeState | None = None) -> None:
    """Write the folder `path`, whole or not at all; with `state`, training can go on from it.

    Raises:
        CheckpointError: the disk refused; what was at `path` before is untouched.
    """
    robots: dict[str, Json] = {robot.name: cast(Json, embodiment_to_dict(robot)) for robot in checkpoint.embodiments}
    with write_folder(path) as folder:
        write_json(folder / "processor.json", cast(Json, checkpoint.processor.to_dict()))
        write_json(folder / "embodiments.json", robots)
        write_json(folder / "training.json", checkpoint.training)
        write_tensors(folder / "weights.safetensors", checkpoint.weights)
        if state is not None:
            write_tensors(folder / _STATE / "weights.safetensors", state.weights)
            write_tensors(folder / _STATE / "optimizer.safetensors", state.optimizer)
        head: dict[str, Json] = {
            "format": FORMAT,
            "descriptor_version": DESCRIPTOR_VERSION,
            "model": to_dict(checkpoint.model),
        }
        write_json(folder / "config.json", head | {"files": manifest(folder)})


def load_checkpoint(path: Path | str) -> Checkpoint:
    """Load a checkpoint folder, or the newest checkpoint of a run folder.

    Raises:
        CheckpointError: another format version; missing, foreign, truncated or changed files.
    """
    folder = find_checkpoint(Path(path))
    head = _read_head(folder)
    files = cast(dict[str, Json], head["files"])
    parts = ("processor.json", "embodiments.json", "training.json", "weights.safetensors")
    for name in parts:
        if name not in files:
            raise CheckpointError(
                f"{folder / 'config.json'}: its manifest does not name {name}; not a whole checkpoint"
            )
    check_manifest(folder, files, parts)
    robots = read_json(folder / "embodiments.json").values()
    try:
        return Checkpoint(
            model=from_dict(HarmonicConfig, cast(Mapping[str, object], head["model"])),
            weights=read_tensors(folder / "weights.safetensors"),
            processor=Processor.from_dict(read_json(folder / "processor.json")),
            embodiments=tuple(embodiment_from_dict(cast(dict[str, object], robot)) for robot in robots),
            training=cast(dict[str, Json], read_json(folder / "training.json")),
        )
    except CheckpointError:
        raise
    except (CounterpointError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{folder}: its description cannot be read: {error}") from error


def load_resume_state(path: Path | str) -> ResumeState:
    """Load what resuming needs; raises CheckpointError where it is missing or damaged."""
    folder = find_checkpoint(Path(path))
    files = cast(dict[str, Json], _read_head(folder)["files"])
    if not (folder / _STATE).is_dir():
        raise CheckpointError(f"{folder / _STATE}: missing; this checkpoint runs as a policy but cannot be resumed")
    check_manifest(folder, files, (f"{_STATE}/",))
    return ResumeState(
        weights=read_tensors(folder / _STATE / "weights.safetensors"),
        optimizer=read_tensors(folder / _STATE / "optimizer.safetensors"),
    )


def model_tensors(model: HarmonicModel) -> dict[str, Tensor]:
    """Return parameters and saved buffers by name, each tensor once (modules may share them)."""
    saved = model.state_dict().keys()
    named = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {name: tensor.detach() for name, tensor in named.items() if name in saved}


def load_weights(model: HarmonicModel, weights: Mapping[str, Tensor], source: str) -> None:
    """Copy `weights` into `model`; raises CheckpointError unless names and shapes agree."""
    own = model_tensors(model)
    if different := sorted(own.keys() ^ weights.keys()):
        raise CheckpointError(
            f"{source}: weights do not fit the model in config.json; only one of them has {', '.join(different[:4])}"
        )
    for name, tensor in own.items():
        if tensor.shape != weights[name].shape:
            raise CheckpointError(
                f"{source}: {name}: expected shape {tuple(tensor.shape)} from config.json, "
                f"found {tuple(weights[name].shape)}"
            )
        tensor.copy_(weights[name])


def checkpoint_path(run: Path, step: int) -> Path:
    """Return where the run in folder `run` keeps the checkpoint of `step`."""
    return run / _RUN_FOLDER / f"step-{step:09d}"


def list_checkpoints(run: Path) -> list[Path]:
    """Return the checkpoints of a run folder, oldest first; empty where there are none."""
    return sorted(path for path in (run / _RUN_FOLDER).glob("step-*") if (path / "config.json").is_file())


def find_checkpoint(path: Path) -> Path:
    """Return `path` if it is a checkpoint, or the newest checkpoint of the run folder `path`.

    Raises:
        CheckpointError: neither.
    """
    if (path / "config.json").is_file():
        return path
    if found := list_checkpoints(path):
        return found[-1]
    raise CheckpointError(
        f"{path}: expected a checkpoint folder (with config.json) or a run folder (with {_RUN_FOLDER}/), "
        f"{'found neither' if path.exists() else 'which does not exist'}; train one: counterpoint train RECIPE"
    )


def _read_head(folder: Path) -> dict[str, object]:
    file = folder / "config.json"
    head = read_json(file)
    if head.get("format") != FORMAT:
        raise CheckpointError(
            f"{file}: expected format {FORMAT!r}, got {head.get('format')!r}; load it with the release that wrote it"
        )
    if head.get("descriptor_version") != DESCRIPTOR_VERSION:
        raise CheckpointError(
            f"{file}: expected descriptor version {DESCRIPTOR_VERSION}, got {head.get('descriptor_version')!r}; "
            "load it with the release that wrote it"
        )
    if not isinstance(head.get("files"), dict) or not isinstance(head.get("model"), dict):
        raise CheckpointError(f"{file}: expected the entries files and model; not a whole checkpoint")
    return head
