"""Small LeRobot datasets written to the on-disk layouts of v2.1 and v3.0, with pyarrow and PyAV only."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

FPS = 10
CAMERA = "observation.images.top"
NAMES = ["left_shoulder_pitch.pos", "left_elbow.pos", "left_gripper.pos"]


@dataclass
class Made:
    """What was written, to compare with what is read."""

    root: Path
    states: list[NDArray[np.float32]] = field(default_factory=list)
    actions: list[NDArray[np.float32]] = field(default_factory=list)
    tasks: list[str] = field(default_factory=list)


def shade(episode: int, frame: int) -> int:
    """Return the grey of a frame, different for each episode and frame."""
    return 20 + (episode * 37 + frame * 11) % 210


def draw(episode: int, frames: int) -> NDArray[np.uint8]:
    """Return the frames of an episode, uint8 [frames, 16, 32, 3]."""
    greys = np.asarray([shade(episode, frame) for frame in range(frames)], np.uint8)
    return np.broadcast_to(greys[:, None, None, None], (frames, 16, 32, 3)).copy()


def write_video(path: Path, frames: NDArray[np.uint8], *, codec: str = "libx264", gop: int = 2) -> None:
    """Write frames at FPS, a key frame every `gop`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream(codec, rate=FPS)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
        stream.codec_context.gop_size = gop
        stream.options = {"preset": "12", "crf": "20"} if "av1" in codec else {"crf": "10", "bf": "0"}
        for index, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts, picture.time_base = index, Fraction(1, FPS)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def info(
    version: str, data_path: str, video_path: str | None, episodes: int, /, **changes: object
) -> dict[str, object]:
    """Return `meta/info.json`; names of state and action as in the wild."""
    state, action = str(changes.pop("state_name", "observation.state")), str(changes.pop("action_name", "action"))
    vector = {"dtype": "float32", "shape": [3], "names": NAMES}
    features: dict[str, object] = {state: vector, action: {**vector, "names": {"motors": NAMES}}}
    for name, dtype in (("timestamp", "float32"), ("frame_index", "int64"), ("episode_index", "int64")):
        features[name] = {"dtype": dtype, "shape": [1], "names": None}
    for name in ("index", "task_index"):
        features[name] = {"dtype": "int64", "shape": [1], "names": None}
    if video_path is not None:
        features[CAMERA] = {"dtype": "video", "shape": [16, 32, 3], "names": ["height", "width", "channels"]}
    return {
        "codebase_version": version,
        "robot_type": "Test Arm",
        "fps": FPS,
        "chunks_size": 1000,
        "total_episodes": episodes,
        "data_path": data_path,
        "video_path": video_path,
        "features": features,
        **changes,
    }


def make_rows(made: Made, episode: int, length: int, task: int, state: str, action: str) -> dict[str, list[object]]:
    """Return one episode's columns, remembering the numbers in `made`."""
    rng = np.random.default_rng(episode)
    made.states.append(rng.normal(size=(length, 3)).astype(np.float32))
    made.actions.append(rng.normal(size=(length, 3)).astype(np.float32))
    return {
        state: made.states[-1].tolist(),
        action: made.actions[-1].tolist(),
        "timestamp": [frame / FPS for frame in range(length)],
        "frame_index": list(range(length)),
        "episode_index": [episode] * length,
        "index": list(range(length)),
        "task_index": [task] * length,
    }


def to_table(columns: dict[str, list[object]]) -> pa.Table:
    """Return Arrow columns with the types that LeRobot writes."""
    kinds = {"timestamp": pa.float32()} | dict.fromkeys(
        ("frame_index", "episode_index", "index", "task_index"), pa.int64()
    )
    return pa.table({name: pa.array(v, kinds.get(name, pa.list_(pa.float32(), 3))) for name, v in columns.items()})


def write_v21(root: Path, lengths: tuple[int, ...] = (6, 9, 4), *, video: bool = False, **changes: object) -> Made:
    """Write a v2.1 dataset: one Parquet (and mp4) an episode."""
    made = Made(root)
    data_path = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
    video_path = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4" if video else None
    (root / "meta").mkdir(parents=True)
    (root / "data" / "chunk-000").mkdir(parents=True)
    content = info("v2.1", data_path, video_path, len(lengths), **changes)
    (root / "meta" / "info.json").write_text(json.dumps(content))
    lines = []
    for episode, length in enumerate(lengths):
        rows = make_rows(made, episode, length, episode % 2, "observation.state", "action")
        pq.write_table(
            to_table(rows), root / "data" / "chunk-000" / f"episode_{episode:06d}.parquet", compression="snappy"
        )
        made.tasks.append(f"Do task {episode % 2}.")
        lines.append(json.dumps({"episode_index": episode, "tasks": [made.tasks[-1]], "length": length}))
        if video:
            write_video(root / f"videos/chunk-000/{CAMERA}/episode_{episode:06d}.mp4", draw(episode, length))
    (root / "meta" / "episodes.jsonl").write_text("\n".join(lines) + "\n")
    tasks = [json.dumps({"task_index": index, "task": f"Do task {index}."}) for index in range(2)]
    (root / "meta" / "tasks.jsonl").write_text("\n".join(tasks) + "\n")
    return made
