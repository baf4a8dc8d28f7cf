"""`features.json` and `dataset_info.json` of TFDS: the meaning of the flat features of an Example."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from counterpoint.core.errors import IngestError
from counterpoint.ingest.files.json_files import read_info
from counterpoint.ingest.files.paths import inside

MAX_WIDTH = 4096
MAX_DEPTH = 16
_NUMBERS = frozenset({"float16", "float32", "float64", "bfloat16", "bool"}) | {
    f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}

Kind = Literal["vector", "image", "text", "other"]


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """One feature of the dataset."""

    path: str
    """As in the Example: `steps/observation/state`."""
    kind: Kind
    width: int = 0
    """Numbers per step (or per episode); 0 for other kinds."""


def load_leaves(folder: Path) -> list[Leaf]:
    """Read `features.json`.

    Raises:
        IngestError: `missing_info`, `absurd_size`, `not_json`, `wrong_version` (of an early TFDS), `bad_info`.
    """
    raw = read_info(folder, "features.json")
    if "featuresDict" not in raw:
        raise IngestError(
            f"{folder / 'features.json'}: no 'featuresDict'; written by TFDS before 4.5, or not by TFDS",
            reason="wrong_version",
        )
    try:
        return list(_leaves(raw, "", 0))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise IngestError(f"{folder / 'features.json'}: {error!r}", reason="bad_info") from error


@dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """The content of `dataset_info.json`."""

    name: str = ""
    num_examples: dict[str, int] | None = None
    """By split; None where the file does not say."""
    file_format: str = "tfrecord"


def load_dataset_info(folder: Path) -> DatasetInfo:
    """Read `dataset_info.json`; it may be missing. Raises IngestError as `load_leaves`."""
    if not inside(folder, "dataset_info.json").is_file():
        return DatasetInfo()
    raw = read_info(folder, "dataset_info.json")
    name, splits = raw.get("name"), raw.get("splits")
    try:
        counts = (
            {str(each["name"]): sum(_whole(length) for length in each["shardLengths"]) for each in splits}
            if isinstance(splits, list)
            else None
        )
    except (KeyError, TypeError, ValueError):
        counts = None
    form = raw.get("fileFormat")
    return DatasetInfo(
        name=name if isinstance(name, str) else "",
        num_examples=counts,
        file_format=form if isinstance(form, str) else "tfrecord",
    )


def _leaves(node: dict[str, object], path: str, depth: int) -> Iterator[Leaf]:
    if depth > MAX_DEPTH:
        raise ValueError(f"{path}: nested deeper than {MAX_DEPTH}")
    match node:
        case {"featuresDict": {"features": dict(features)}}:
            for name, inner in features.items():
                yield from _leaves(inner, f"{path}/{name}" if path else str(name), depth + 1)
        case {"sequence": {"feature": dict(inner)}} if path == "steps":
            yield from _leaves(inner, path, depth + 1)
        case {"image": dict(image)}:
            channels = _shape(image)[-1:]
            is_color = channels in ([3], [4]) and image.get("dtype") == "uint8"
            yield Leaf(path=path, kind="image" if is_color else "other")
        case {"text": _}:
            yield Leaf(path=path, kind="text")
        case {"tensor": dict(tensor)}:
            yield _tensor(path, tensor)
        case _:
            yield Leaf(path=path, kind="other")


def _tensor(path: str, tensor: dict[str, object]) -> Leaf:
    shape, dtype = _shape(tensor), tensor.get("dtype")
    if dtype in ("string", "object") and not shape:
        return Leaf(path=path, kind="text")
    is_plain = dtype in _NUMBERS and tensor.get("encoding", "none") in ("none", "NONE", "")
    width = math.prod(shape) if all(side > 0 for side in shape) else 0
    if is_plain and len(shape) <= 1 and 0 < width <= MAX_WIDTH:
        return Leaf(path=path, kind="vector", width=width)
    return Leaf(path=path, kind="other")


def _shape(holder: dict[str, object]) -> list[int]:
    shape = holder.get("shape")
    dimensions = shape.get("dimensions", []) if isinstance(shape, dict) else []
    return [_whole(side) for side in dimensions]


def _whole(number: object) -> int:
    """Return a side of a shape or a count; raises ValueError for anything but an integer."""
    if isinstance(number, float) and not number.is_integer():  # also refuses infinity and NaN
        raise ValueError(f"{number} is not an integer")
    return int(number) if isinstance(number, str) else int(cast(int, number))
