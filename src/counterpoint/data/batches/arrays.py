"""Windows as plain arrays, for other people's models: a torch `Dataset` whose samples LeRobot's users recognise.

    dataset = ArrayDataset([store], ArrayConfig(seconds=1.0, rate_hz=50, state_s=0, image_s=0))
    sample = dataset[0]
    sample["observation.state"]         float32 [channels], the newest at the window's start
    sample["observation.images.front"]  uint8 [3, height, width], the picture nearest to it
    sample["action"]                    float32 [50, channels], the command in force at each point
    sample["action_is_pad"]             bool [50], True beyond the end of the episode
    sample["task"], sample["timestamp"], sample["episode_id"], sample["index"]

`proprioception` is called `observation.state`, `camera/NAME` is `observation.images.NAME`, any other vector stream
`observation.NAME`; the instruction in force is `task`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from counterpoint.core.clock import NS_PER_SECOND, seconds_to_ns
from counterpoint.core.errors import ConfigError
from counterpoint.core.stream import Stream
from counterpoint.data.batches.reader import Window, WindowReader
from counterpoint.data.batches.table import Cut
from counterpoint.data.episodes.selection import ChosenEpisodes
from counterpoint.data.episodes.source import EpisodeSource, Recording
from counterpoint.store.views.codec import Pixels
from counterpoint.store.views.pictures import CameraPictures
from counterpoint.store.views.video_view import nearest

Times = NDArray[np.int64]
Arrays = dict[str, "NDArray[np.generic] | str"]
Sample = dict[str, "Tensor | str"]


@dataclass(frozen=True, kw_only=True)
class ArrayConfig:
    """What a sample holds.

    Raises:
        ConfigError: a value is out of range.
    """

    seconds: float = 2.0
    """Length of a window; of an action chunk, where the rest is taken at its start."""
    stride_s: float | None = None
    """From one window of an episode to the next, seconds; None for half a window."""
    shortest_s: float | None = None
    """An episode, or what marked ranges leave of it, that is shorter than a window gives one padded window if it
    lasts at least this long, seconds; None for half a window."""
    rate_hz: float | None = None
    """Points a second at which vector streams are read: the newest sample at each. None gives the samples themselves
    at their own times (`KEY.timestamp`, seconds after the window's start), as many as there are."""
    state_s: float | None = None
    """Observations of the first so many seconds of a window alone, 0 for its start; None for all. Needs a rate."""
    image_rate_hz: float = 5.0
    """Pictures a second of each camera."""
    image_s: float | None = None
    """Pictures of the first so many seconds of a window alone, 0 for one picture at its start; None for all."""
    cameras: tuple[str, ...] | None = None
    """Image streams; None for all, () for none."""
    streams: tuple[str, ...] | None = None
    """Vector streams; None for all."""
    pixels: Pixels = "rgb"
    """Layout of pictures, uint8: `rgb` [3, height, width]; `yuv420` [height * 3 / 2, width], half the bytes, is what
    the decoder gives (`store.views.codec.yuv420_to_rgb`); `luma` [height, width] is brightness alone."""
    view: str = "5hz"
    """Preset of the video view that pictures come from; empty decodes the masters, slowly, at their own size."""

    def __post_init__(self) -> None:
        """Check ranges."""
        for name in ("seconds", "image_rate_hz", "stride_s", "shortest_s", "rate_hz"):
            value = getattr(self, name)
            if value is not None and not 1e-3 <= value <= 1e6:
                raise ConfigError(f"dataset.{name}: expected a number from 0.001 to 1e6, got {value}")
        for name in ("image_s", "state_s"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= self.seconds:
                raise ConfigError(f"dataset.{name}: expected 0 to {self.seconds} (seconds), got {value}")
        if self.state_s is not None and self.rate_hz is None:
            raise ConfigError("dataset.state_s: expected dataset.rate_hz beside it, got none")
        if not self.view and self.pixels != "rgb":
            raise ConfigError(f"dataset.pixels: masters (view='') are decoded to 'rgb', got {self.pixels!r}")

    @cached_property
    def action_points(self) -> Times | None:
        """Points after a window's start at which commands are read; None for their own times."""
        return None if self.rate_hz is None else _points(max(1, round(self.seconds * self.rate_hz)), self.rate_hz)

    @cached_property
    def state_points(self) -> Times | None:
        """Points after a window's start at which other vector streams are read; None for their own times."""
        if self.rate_hz is None or self.state_s is None:
            return self.action_points
        return _points(int(self.state_s * self.rate_hz + 1e-6) + 1, self.rate_hz)

    @cached_property
    def image_points(self) -> Times:
        """Points after a window's start at which pictures are read, the end included."""
        seconds = self.seconds if self.image_s is None else self.image_s
        return _points(int(seconds * self.image_rate_hz + 1e-6) + 1, self.image_rate_hz)


@dataclass(frozen=True, kw_only=True, eq=False)
class ArrayEpisode:
    """An episode ready for many samples."""

    episode_id: str
    start_ns: int
    vectors: tuple[tuple[str, Stream], ...]
    """Key and stream."""
    cameras: tuple[tuple[str, CameraPictures], ...]
    """Key and pictures."""
    instruction: Stream | None


@dataclass(frozen=True, kw_only=True, eq=False)
class ArrayTransform:
    """Reads a window as arrays; see the module."""

    config: ArrayConfig

    @property
    def cut(self) -> Cut:
        """Windows of equal length, one every stride."""
        config = self.config
        length_ns = seconds_to_ns(config.seconds)
        shortest_ns = length_ns // 2 if config.shortest_s is None else seconds_to_ns(config.shortest_s)
        return Cut(
            length_ns=length_ns,
            stride_ns=max(1, length_ns // 2) if config.stride_s is None else seconds_to_ns(config.stride_s),
            shortest_ns=min(shortest_ns, length_ns),
            shortest_episode_ns=min(shortest_ns, length_ns),
        )

    def prepare(self, recording: Recording) -> ArrayEpisode:
        """Keep the streams that are wanted."""
        config, streams = self.config, recording.streams
        names = sorted(streams) if config.streams is None else config.streams
        vectors = [(key_of(name), streams[name]) for name in names if name in streams and _is_vector(streams[name])]
        cameras: list[tuple[str, CameraPictures]] = []
        for name in recording.cameras if config.cameras is None else config.cameras:
            pictures = recording.pictures(name, config.view)
            if pictures is not None:
                cameras.append((key_of(name), pictures))
        return ArrayEpisode(
            episode_id=recording.episode_id,
            start_ns=min(int(stream.capture_ns[0]) for stream in streams.values() if len(stream)),
            vectors=tuple(vectors),
            cameras=tuple(cameras),
            instruction=streams.get("instruction"),
        )

    def sample(self, prepared: ArrayEpisode, window: Window) -> Arrays:
        """Return the arrays of a window."""
        config = self.config
        sample: Arrays = {
            "task": _text(prepared.instruction, window.start_ns),
            "timestamp": np.array((window.start_ns - prepared.start_ns) / NS_PER_SECOND, np.float32),
            "episode_id": prepared.episode_id,
            "index": np.array(window.index),
        }
        for key, stream in prepared.vectors:
            points = config.action_points if key == "action" else config.state_points
            if points is None:
                _add_own_times(sample, key, stream, window)
            else:
                _add_points(sample, key, stream, window, points, is_one=key != "action" and config.state_s == 0)
        for key, pictures in prepared.cameras:
            self._add_pictures(sample, key, pictures, window)
        return sample

    def _add_pictures(self, sample: Arrays, key: str, pictures: CameraPictures, window: Window) -> None:
        config = self.config
        points = np.minimum(window.start_ns + config.image_points, window.end_ns)
        chosen = nearest(pictures.capture_ns, points)
        values = pictures.decode(chosen, config.pixels)
        if config.pixels == "rgb":
            values = values.transpose(0, 3, 1, 2)
        sample[key] = values[0] if config.image_s == 0 else values
        sample[f"{key}.timestamp"] = _seconds(pictures.capture_ns[chosen], window.start_ns)


class ArrayDataset(Dataset[Sample]):
    """Windows by number, for any `torch.utils.data.DataLoader`; `reader` gives them in a resumable order."""

    def __init__(
        self,
        sources: Sequence[EpisodeSource],
        config: ArrayConfig | None = None,
        episodes: ChosenEpisodes | None = None,
        *,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        """Number the windows; see `WindowReader`."""
        transform = ArrayTransform(config=config or ArrayConfig())
        self.reader: WindowReader[ArrayEpisode, Arrays] = WindowReader(sources, transform, episodes, weights=weights)

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.reader)

    def __getitem__(self, index: int) -> Sample:
        """Return window number `index`; raises IndexError, StoreError."""
        return as_tensors(self.reader[index])


def as_tensors(arrays: Arrays) -> Sample:
    """Return the same sample as tensors; arrays that point into mapped files are copied, others shared."""
    return {key: each if isinstance(each, str) else torch.from_numpy(_writeable(each)) for key, each in arrays.items()}


def _writeable(array: NDArray[np.generic]) -> NDArray[np.generic]:
    return array if array.flags.writeable else array.copy()


def key_of(stream: str) -> str:
    """Return what LeRobot calls a stream."""
    if stream == "action":
        return "action"
    if stream == "proprioception":
        return "observation.state"
    if stream.startswith("camera/"):
        return f"observation.images.{stream.removeprefix('camera/')}"
    return f"observation.{stream.replace('/', '.')}"


def _is_vector(stream: Stream) -> bool:
    return stream.spec.kind == "vector" and len(stream) > 0


def _points(count: int, rate_hz: float) -> Times:
    return np.asarray(np.rint(np.arange(count) * (NS_PER_SECOND / rate_hz)), dtype=np.int64)


def _add_own_times(sample: Arrays, key: str, stream: Stream, window: Window) -> None:
    first, last = stream.capture_ns.searchsorted((window.start_ns, window.end_ns))
    sample[key] = stream.values[first:last]
    sample[f"{key}.timestamp"] = _seconds(stream.capture_ns[first:last], window.start_ns)


def _add_points(sample: Arrays, key: str, stream: Stream, window: Window, points: Times, *, is_one: bool) -> None:
    capture_ns = stream.capture_ns
    wanted = window.start_ns + points
    rows = capture_ns.searchsorted(np.minimum(wanted, window.end_ns - 1), side="right") - 1
    values = stream.values[np.maximum(rows, 0)].astype(np.float32, copy=False)
    sample[key] = values[0] if is_one else values
    if not is_one:
        sample[f"{key}_is_pad"] = wanted > min(window.end_ns - 1, int(capture_ns[-1]))


def _seconds(times_ns: Times, start_ns: int) -> NDArray[np.float32]:
    seconds: NDArray[np.float32] = np.multiply(times_ns - start_ns, np.float32(1e-9), dtype=np.float32)
    return seconds


def _text(instruction: Stream | None, time_ns: int) -> str:
    """Return the text in force at a time; empty for none."""
    if instruction is None:
        return ""
    row = int(instruction.capture_ns.searchsorted(time_ns, side="right")) - 1
    return str(instruction.values[row]) if row >= 0 else ""
