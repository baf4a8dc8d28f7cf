"""`core.Batch` as torch tensors: same fields, same shapes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from counterpoint.core.batch import Batch


@dataclass(frozen=True, kw_only=True, eq=False)
class VectorTensors:
    """See `core.batch.VectorTokens`."""

    descriptors: Tensor
    values: Tensor
    slot: Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageTensors:
    """See `core.batch.ImageTokens`; `patches` are float32 in [-1, 1]."""

    patches: Tensor
    position: Tensor
    camera: Tensor
    slot: Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class TextTensors:
    """See `core.batch.TextTokens`."""

    features: Tensor
    slot: Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class ActingTensors:
    """See `core.batch.ActingTokens`."""

    embodiment: str
    descriptors: Tensor
    values: Tensor
    valid: Tensor
    window: Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class TensorBatch:
    """See `core.batch.Batch`."""

    capture_s: Tensor
    arrival_s: Tensor
    decision_s: Tensor
    delay_s: Tensor
    knot_s: Tensor
    vectors: tuple[VectorTensors, ...]
    images: tuple[ImageTensors, ...]
    texts: tuple[TextTensors, ...]
    acting: tuple[ActingTensors, ...]
    experience_s: float


def to_tensors(batch: Batch, device: torch.device | str = "cpu") -> TensorBatch:
    """Move a batch to `device`; on the CPU arrays are shared, not copied."""

    def move(array: NDArray[np.float32] | NDArray[np.int64] | NDArray[np.bool_] | NDArray[np.uint8]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(device, non_blocking=True)

    return TensorBatch(
        capture_s=move(batch.capture_s),
        arrival_s=move(batch.arrival_s),
        decision_s=move(batch.decision_s),
        delay_s=move(batch.delay_s),
        knot_s=move(batch.knot_s),
        vectors=tuple(
            VectorTensors(descriptors=move(g.descriptors), values=move(g.values), slot=move(g.slot))
            for g in batch.vectors
        ),
        images=tuple(
            ImageTensors(
                patches=move(g.patches).float() / 127.5 - 1.0,
                position=move(g.position),
                camera=move(g.camera),
                slot=move(g.slot),
            )
            for g in batch.images
        ),
        texts=tuple(TextTensors(features=move(g.features), slot=move(g.slot)) for g in batch.texts),
        acting=tuple(
            ActingTensors(
                embodiment=g.embodiment,
                descriptors=move(g.descriptors),
                values=move(g.values),
                valid=move(g.valid),
                window=move(g.window),
            )
            for g in batch.acting
        ),
        experience_s=batch.experience_s,
    )
