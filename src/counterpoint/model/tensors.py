"""`core.Batch` as torch tensors: same fields, same shapes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from counterpoint.core.batch import Batch

T = TypeVar("T")


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
    prefix: Tensor
    valid: Tensor
    window: Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class TensorBatch:
    """See `core.batch.Batch`."""

    capture_s: Tensor
    arrival_s: Tensor
    decision_s: Tensor
    delay_s: Tensor
    prefix_s: Tensor
    knot_s: Tensor
    vectors: tuple[VectorTensors, ...]
    images: tuple[ImageTensors, ...]
    texts: tuple[TextTensors, ...]
    acting: tuple[ActingTensors, ...]
    experience_s: float


def to_tensors(batch: Batch, device: torch.device | str = "cpu") -> TensorBatch:
    """Move a batch to `device`; on the CPU arrays are shared, not copied."""

    def tensor(array: NDArray[np.generic]) -> Tensor:
        moved = torch.from_numpy(np.ascontiguousarray(array)).to(device, non_blocking=True)
        return moved.float() / 127.5 - 1.0 if array.dtype == np.uint8 else moved  # only patches are uint8

    def group(kind: type[T], tokens: object) -> T:
        values = {name: getattr(tokens, name) for name in kind.__annotations__}
        return kind(**{name: tensor(v) if isinstance(v, np.ndarray) else v for name, v in values.items()})

    return TensorBatch(
        capture_s=tensor(batch.capture_s),
        arrival_s=tensor(batch.arrival_s),
        decision_s=tensor(batch.decision_s),
        delay_s=tensor(batch.delay_s),
        prefix_s=tensor(batch.prefix_s),
        knot_s=tensor(batch.knot_s),
        vectors=tuple(group(VectorTensors, each) for each in batch.vectors),
        images=tuple(group(ImageTensors, each) for each in batch.images),
        texts=tuple(group(TextTensors, each) for each in batch.texts),
        acting=tuple(group(ActingTensors, each) for each in batch.acting),
        experience_s=batch.experience_s,
    )
