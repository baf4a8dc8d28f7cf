"""Windows of experience, beside LeRobot 0.4.4 on the same content: experience-hours per core-hour.

    python benchmarks/data_windows.py [--episodes 12] [--seconds 30]

Both sides run in one process and one thread each, one after the other, page cache warm; figures are CPU time. Four
patterns, all drawn at random: windows with two cameras as training reads them, encoded by the Processor and packed
into batches of 32; a window of 2 s with two 224x224 cameras at 5 Hz and 100 Hz state and action as arrays; the same
without pictures; LeRobot's own, one picture a camera and the 50 actions that follow, at 30 Hz. All of ours are the
same road, `WindowReader`, with one of its two transforms.

LeRobot's dataset is written as it writes by default (AV1, GOP 2, crf 30, one file a camera) and read by its own class
with torchcodec, its best decoder; `uint8` leaves out the conversion to float32 that 0.4.4 always does. Ours is a
store with the `5hz` video view, or `native` for the third pattern; pictures come as YUV 4:2:0 or as RGB, LeRobot's
as RGB. Our `no pictures` and LeRobot's read the same rows of state and action.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

from lerobot_env import trial
from window_content import CAMERAS, Content

from counterpoint.data.batches.arrays import ArrayConfig, ArrayDataset
from counterpoint.data.batches.training import TrainingBatches, training_windows
from counterpoint.data.encoding.processor import Processor
from counterpoint.data.encoding.windows import WindowConfig
from counterpoint.data.episodes.selection import Selection, select_episodes
from counterpoint.engine import LocalEngine
from counterpoint.store import Store, build_low_view, build_video_view
from counterpoint.store.views.codec import Pixels

CHUNK_S = 50 / 30
BATCH_WINDOWS = 32
Figures = dict[str, float]


def make(folder: Path, episodes: int, seconds: float, camera_hz: float, rate_hz: float, preset: str) -> Content:
    """Write the content for both sides and build the view; return where it is."""
    content = Content(folder, seconds=seconds, camera_hz=camera_hz, rate_hz=rate_hz)
    for number in range(episodes):
        content.add(number)
    content.finish()
    build_low_view(Store.open(content.store))
    build_video_view(Store.open(content.store), preset=preset, engine=LocalEngine(workers=1))
    return content


def timed(work: Callable[[int], object], calls: int, warm_up: int, rounds: int = 3) -> Figures:
    """Return CPU-seconds and wall seconds of one call: the best round, for the machine may be shared."""
    numbers = count()
    for _ in range(warm_up):
        work(next(numbers))
    found: list[tuple[float, float]] = []
    for _ in range(rounds):
        wall, spent = time.perf_counter(), time.process_time()
        for _ in range(calls):
            work(next(numbers))
        found.append(((time.process_time() - spent) / calls, (time.perf_counter() - wall) / calls))
    return dict(zip(("cpu_s", "wall_s"), min(found), strict=True))


def ours(content: Content, config: ArrayConfig, samples: int) -> Figures:
    """Measure windows as arrays."""
    reader = ArrayDataset([Store.open(content.store)], config).reader
    return timed(lambda position: reader.sample(0, position), samples, 50)


def training(content: Content, samples: int) -> Figures:
    """Measure batches as training reads them; figures a window, and the experience of a window."""
    sources, everything = [Store.open(content.store)], Selection(split="all")
    config = WindowConfig(cameras=tuple(f"camera/{name}" for name in CAMERAS))
    processor = Processor.fit(sources, config, selection=everything)
    reader = training_windows(sources, processor, select_episodes(sources, everything))
    batches = TrainingBatches(reader=reader, seed=0, batch_windows=BATCH_WINDOWS)
    found = timed(batches.__getitem__, max(1, samples // BATCH_WINDOWS), 2)
    experience_s = sum(batches[number].experience_s for number in range(4)) / 4
    return {name: each / BATCH_WINDOWS for name, each in (found | {"experience_s": experience_s}).items()}


def theirs(content: Content, decode: str, pattern: str, samples: int, rounds: int = 3) -> Figures:
    """Return LeRobot's CPU-seconds and wall seconds a sample: the best round likewise."""
    found = [trial(content.dataset, decode=decode, pattern=pattern, samples=samples) for _ in range(rounds)]
    return min(found, key=lambda each: each["cpu_s"])


def windows(content: Content, samples: int) -> dict[str, Figures]:
    """Measure windows of 2 s, with pictures and without."""
    found = {"windows, as training": training(content, samples)}
    layouts: tuple[Pixels, ...] = ("yuv420", "rgb")
    for pixels in layouts:
        found[f"windows, ours, {pixels}"] = ours(content, ArrayConfig(stride_s=0.05, pixels=pixels), samples)
    for decode in ("torchcodec", "uint8"):
        found[f"windows, LeRobot, {decode}"] = theirs(content, decode, "windows", samples // 3)
    found["no pictures, ours"] = ours(content, ArrayConfig(stride_s=0.05, cameras=()), samples * 50)
    found["no pictures, LeRobot"] = theirs(content, "none", "windows", samples)
    return found


def chunks(content: Content, samples: int) -> dict[str, Figures]:
    """Measure one picture a camera and 50 actions."""
    found: dict[str, Figures] = {}
    layouts: tuple[Pixels, ...] = ("yuv420", "rgb")
    for pixels in layouts:
        options = ArrayConfig(
            seconds=CHUNK_S, stride_s=1 / 30, rate_hz=30, state_s=0, image_s=0, view="native", pixels=pixels
        )
        found[f"chunk, ours, {pixels}"] = ours(content, options, samples)
    for decode in ("torchcodec", "uint8"):
        found[f"chunk, LeRobot, {decode}"] = theirs(content, decode, "chunk", samples)
    return found


def ratios(found: dict[str, Figures]) -> list[tuple[str, float, float]]:
    """Return (what, measured, target) of everything that the project promises."""

    def times(one: str, other: str) -> float:
        return found[other]["cpu_s"] / found[one]["cpu_s"]

    trained = found["windows, as training"]
    return [
        ("as training reads them, h per core-hour", trained["experience_s"] / trained["cpu_s"], 300),
        ("2 s windows, h per core-hour (RGB)", 2 / found["windows, ours, rgb"]["cpu_s"], 300),
        ("2 s windows, h per core-hour (YUV)", 2 / found["windows, ours, yuv420"]["cpu_s"], 300),
        ("2 s windows: RGB, x LeRobot as it is", times("windows, ours, rgb", "windows, LeRobot, torchcodec"), 6),
        ("2 s windows: RGB, x LeRobot made uint8", times("windows, ours, rgb", "windows, LeRobot, uint8"), 6),
        ("2 s windows: YUV, x LeRobot as it is", times("windows, ours, yuv420", "windows, LeRobot, torchcodec"), 6),
        ("without pictures, x LeRobot", times("no pictures, ours", "no pictures, LeRobot"), 100),
        ("picture + 50 actions: RGB, x LeRobot as it is", times("chunk, ours, rgb", "chunk, LeRobot, torchcodec"), 5),
        ("picture + 50 actions: RGB, x LeRobot made uint8", times("chunk, ours, rgb", "chunk, LeRobot, uint8"), 5),
    ]


def main(arguments: Sequence[str] | None = None) -> dict[str, Figures]:
    """Measure, print a table and the ratios; return the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=30.0, help="length of an episode")
    parser.add_argument("--samples", type=int, default=300, help="windows a round; three rounds, the best counts")
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder if absent")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        fast = make(Path(name) / "fast", options.episodes, options.seconds, 25, 100, "5hz")
        found = windows(fast, options.samples)
        slow = make(Path(name) / "slow", max(2, options.episodes // 2), options.seconds, 30, 30, "native")
        found |= chunks(slow, options.samples)
    if options.json:
        print(json.dumps(found))
        return found
    for name, figures in found.items():
        print(f"  {name:28s} {1e3 * figures['cpu_s']:9.3f} ms CPU {1e3 * figures['wall_s']:9.3f} ms wall")
    for what, measured, target in ratios(found):
        print(f"  {what:48s} {measured:9.1f}   target {target:6.0f}   {'ok' if measured >= target else 'MISSED'}")
    return found


if __name__ == "__main__":
    main()
