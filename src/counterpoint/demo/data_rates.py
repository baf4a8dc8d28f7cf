"""Measuring what this machine does with robot data, for `plan-data`: a made-up robot, from log to windows."""

from __future__ import annotations

import logging
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from counterpoint.catalog.quality import check_quality
from counterpoint.core.clock import periodic_ns
from counterpoint.core.embodiment import Channel, Embodiment, StreamSpec
from counterpoint.core.episode import Episode, Provenance
from counterpoint.core.stream import Stream, vector_stream
from counterpoint.data.batches.training import TrainingBatches, training_windows
from counterpoint.data.encoding.processor import Processor
from counterpoint.data.encoding.windows import WindowConfig
from counterpoint.data.episodes.selection import Selection, select_episodes
from counterpoint.engine import LocalEngine
from counterpoint.export import export_store
from counterpoint.ingest import ingest
from counterpoint.ingest.capacity import HOUR_S, Rates, Setup
from counterpoint.store import Store, StoreWriter, build_low_view, build_video_view

EPISODES = 2
LOADING_S = 3.0
EPISODE_BYTES = 2000.0
"""A row of the index is below 1 kB, a claim 110 bytes, marks some hundred: rounded up."""


def measure_rates(setup: Setup, seconds: float = 6.0) -> Rates:
    """Record, ingest, prepare and load a few seconds, and return what an hour would cost.

    Args:
        setup: what the robot records.
        seconds: length of each of the two episodes.

    Raises:
        OSError: no room for some hundred megabytes in the folder for temporary files.
    """
    folder = Path(tempfile.mkdtemp(prefix="counterpoint-rates-"))
    cpu: dict[str, float] = {}
    try:
        with tqdm(total=6, desc="measure this machine", unit="stage") as bar, _quietly():
            stages = _stages(setup, folder, seconds)
            for name, work in stages:
                bar.set_postfix_str(name)
                begun = time.process_time()
                scale = work()
                cpu[name] = (time.process_time() - begun) / scale * HOUR_S
                bar.update()
        return _rates(setup, folder / "store", cpu, seconds * EPISODES / HOUR_S)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _stages(setup: Setup, folder: Path, seconds: float) -> list[tuple[str, Callable[[], float]]]:
    """Return the stages in order; each returns the seconds of robot time that it handled."""
    engine = LocalEngine(1)
    total = seconds * EPISODES

    def record() -> float:
        with StoreWriter(folder / "recorded") as writer:
            for number in range(EPISODES):
                writer.add(_episode(setup, number, seconds))
        export_store(folder / "recorded", folder / "log", "mcap", progress=False)
        return total

    def bring_in() -> float:
        report = ingest([folder / "log"], folder / "store", progress=False)
        assert report.added == EPISODES, report
        return total

    def load() -> float:
        sources, everything = [Store.open(folder / "store")], Selection(split="all")
        config = WindowConfig(cameras=tuple(f"camera/{number}" for number in range(setup.cameras)))
        episodes = select_episodes(sources, everything)
        processor = Processor.fit(sources, config, episodes=episodes)
        batches = TrainingBatches(reader=training_windows(sources, processor, episodes), seed=0, batch_windows=32)
        begun, loaded, step = time.perf_counter(), 0.0, 0
        while time.perf_counter() < begun + LOADING_S:
            loaded += batches[step].experience_s
            step += 1
        return loaded

    def low_view() -> float:
        build_low_view(Store.open(folder / "store"), engine=engine)
        return total

    def video_view() -> float:
        build_video_view(Store.open(folder / "store"), engine=engine)
        return total

    def checks() -> float:
        check_quality(Store.open(folder / "store"), engine=engine)
        return total

    return [
        ("record", record),
        ("ingest", bring_in),
        ("low_view", low_view),
        ("video_view", video_view),
        ("checks", checks),
        ("loading", load),
    ]


def _rates(setup: Setup, root: Path, cpu: dict[str, float], hours: float) -> Rates:
    def stored(pattern: str) -> float:
        return sum(path.stat().st_size for path in root.glob(pattern) if path.is_file()) / hours

    return Rates(
        setup=setup,
        machine=f"{platform.machine()}, {os.cpu_count()} cores",
        ingest_cpu_s=cpu["ingest"],
        low_view_cpu_s=cpu["low_view"],
        video_view_cpu_s=cpu["video_view"] if setup.cameras else 0.0,
        checks_cpu_s=cpu["checks"],
        loading_cpu_s=cpu["loading"],
        master_video_bytes=stored("episodes/*/*/*.mp4"),
        master_low_bytes=stored("episodes/*/*/*.parquet") + stored("episodes/*/*/*.json"),
        view_video_bytes=stored("views/video-*/**/*.arrow"),
        view_low_bytes=stored("views/low-*/**/*.arrow"),
        episode_bytes=EPISODE_BYTES,
    )


def _episode(setup: Setup, number: int, seconds: float) -> Episode:
    channels = tuple(Channel(name=f"joint_{i}", quantity="joint_position", unit="rad") for i in range(setup.channels))
    robot = Embodiment(
        name="measured",
        sensing=(StreamSpec(name="proprioception", channels=channels, rate_hz=setup.state_rate_hz),),
        acting=channels,
        control_rate_hz=setup.state_rate_hz,
    )
    rng = np.random.default_rng(number)
    times = periodic_ns(0, setup.state_rate_hz, int(seconds * setup.state_rate_hz))
    phase = rng.uniform(0.2, 2.0, setup.channels) * times[:, None] / 1e9 + rng.uniform(0, 6, setup.channels)
    action = np.sin(phase).astype(np.float32)
    state = (action + rng.normal(0, 1e-4, action.shape)).astype(np.float32)
    streams = [vector_stream(robot.sensing[0], times, state), vector_stream(robot.action_spec, times, action)]
    for camera in range(setup.cameras):
        seen = periodic_ns(0, setup.rate_hz, int(seconds * setup.rate_hz))
        spec = StreamSpec(
            name=f"camera/{camera}",
            kind="image",
            height=setup.image_height,
            width=setup.image_width,
            rate_hz=setup.rate_hz,
        )
        film = _film(rng, setup, len(seen))
        streams.append(Stream(spec=spec, capture_ns=seen, arrival_ns=seen, values=film))
    return Episode(
        episode_id=f"measured-{number}",
        embodiment=robot,
        provenance=Provenance(robot="measured", task="measure", source="simulation"),
        streams={stream.spec.name: stream for stream in streams},
    )


def _film(rng: np.random.Generator, setup: Setup, count: int) -> NDArray[np.uint8]:
    """Return pictures of a textured ground that drifts, with noise, uint8 [count, height, width, 3]."""
    height, width = setup.image_height, setup.image_width
    spectrum = np.fft.fft2(rng.normal(size=(2 * height, 2 * width)))
    rows, columns = np.fft.fftfreq(2 * height)[:, None], np.fft.fftfreq(2 * width)[None, :]
    ground = np.fft.ifft2(spectrum / (np.hypot(rows, columns) + 0.004) ** 1.4).real
    ground = 255 * (ground - ground.min()) / np.ptp(ground)
    film = np.empty((count, height, width, 3), np.uint8)
    for number in range(count):
        shift = [int(side * (0.5 + 0.2 * np.sin(0.3 * number / setup.rate_hz))) for side in (height, width)]
        picture = ground[shift[0] : shift[0] + height, shift[1] : shift[1] + width]
        film[number] = np.clip(picture + rng.normal(0, 0.5, (height, width)), 0, 255).astype(np.uint8)[..., None]
    return film


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep warnings about a made-up robot out of the way."""
    ours = logging.getLogger("counterpoint")
    before = ours.level
    ours.setLevel(logging.ERROR)
    try:
        yield
    finally:
        ours.setLevel(before)
