"""`meta/info.json` of a LeRobot dataset, checked before anything relies on it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from counterpoint.core.errors import IngestError
from counterpoint.ingest.files.json_files import read_info

Version = Literal["v2.1", "v3.0"]
VERSIONS: tuple[Version, ...] = get_args(Version)
MAX_WIDTH = 1_000_000
STATE_NAMES = ("observation.state", "state")
ACTION_NAMES = ("action", "actions")
BOOKKEEPING = frozenset({"timestamp", "frame_index", "episode_index", "index", "task_index"})


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One feature of the dataset."""

    name: str
    dtype: str
    """A numpy name, `string`, `image` or `video`."""
    shape: tuple[int, ...]
    names: tuple[str, ...]
    """One per number; empty where the dataset has none, or not one per number."""

    @property
    def width(self) -> int:
        """Numbers per row."""
        return math.prod(self.shape)

    @property
    def is_vector(self) -> bool:
        """Whether it is a row of floats."""
        return self.dtype in ("float16", "float32", "float64") and len(self.shape) == 1


@dataclass(frozen=True, kw_only=True)
class Info:
    """The checked content of `meta/info.json`."""

    version: Version
    fps: float
    robot_type: str
    chunks_size: int
    data_path: str
    video_path: str
    """Empty where the dataset says it has no video."""
    total_episodes: int | None
    features: tuple[Feature, ...]

    def first(self, names: tuple[str, ...]) -> Feature | None:
        """Return the first of `names` that is a vector feature."""
        vectors = {feature.name: feature for feature in self.features if feature.is_vector}
        return next((vectors[name] for name in names if name in vectors), None)

    @property
    def videos(self) -> tuple[str, ...]:
        """Keys of the video features."""
        return tuple(feature.name for feature in self.features if feature.dtype == "video")

    @property
    def images(self) -> tuple[str, ...]:
        """Keys of the features whose pictures are files in the table."""
        return tuple(feature.name for feature in self.features if feature.dtype == "image")


def load_info(root: Path) -> Info:
    """Read and check `meta/info.json`.

    Raises:
        IngestError: `missing_info`, `not_json`, `wrong_version`, `bad_info` or `absurd_size`.
    """
    raw: dict[str, Any] = read_info(root, "meta/info.json")
    path = root / "meta/info.json"
    version = raw.get("codebase_version")
    if version not in VERSIONS:
        raise IngestError(
            f"{path}: codebase_version {version!r}, expected {' or '.join(VERSIONS)}. Convert the dataset "
            "with the lerobot package first",
            reason="wrong_version",
        )
    try:
        return Info(
            version=version,
            fps=_positive(raw["fps"], "fps", 1e6),
            robot_type=_text(raw.get("robot_type") or "", "robot_type"),
            chunks_size=int(_positive(raw.get("chunks_size", 1000), "chunks_size", 1e9)),
            data_path=_text(raw["data_path"], "data_path"),
            video_path=_text(raw.get("video_path") or "", "video_path"),
            total_episodes=raw["total_episodes"] if isinstance(raw.get("total_episodes"), int) else None,
            features=tuple(_feature(name, each) for name, each in raw["features"].items()),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise IngestError(f"{path}: a key is missing or has the wrong type: {error!r}", reason="bad_info") from error


def _feature(name: str, raw: dict[str, object]) -> Feature:
    shape = raw["shape"]
    if not isinstance(shape, list) or not all(isinstance(n, int) and 0 < n <= MAX_WIDTH for n in shape):
        raise ValueError(f"feature {name!r} has shape {shape!r}")
    if math.prod(shape) > MAX_WIDTH * 100:
        raise ValueError(f"feature {name!r} has shape {shape!r}")
    names = _flat_names(raw.get("names"))
    fits = len(shape) == 1 and len(names) == shape[0]
    return Feature(
        name=name, dtype=_text(raw["dtype"], "dtype"), shape=tuple(shape), names=tuple(names) if fits else ()
    )


def _flat_names(raw: object) -> list[str]:
    """Flatten names, which come as a list, a list of lists, or a dict of lists (`{"motors": [...]}`)."""
    if isinstance(raw, str):
        return [raw]
    if isinstance(raw, dict):
        if raw and all(isinstance(value, int) for value in raw.values()):
            return sorted(raw, key=lambda key: raw[key])
        return [name for value in raw.values() for name in _flat_names(value)]
    if isinstance(raw, list):
        return [name for value in raw for name in _flat_names(value)]
    return []


def _positive(raw: object, name: str, most: float) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not 0 < raw <= most:
        raise ValueError(f"{name} is {raw!r}, expected a positive number up to {most:g}")
    return float(raw)


def _text(raw: object, name: str) -> str:
    if not isinstance(raw, str):
        raise ValueError(f"{name} is {raw!r}, expected text")
    return raw
