"""What a fleet's data needs in cores, storage and network, from rates measured on one machine.

Pure arithmetic: the caller measures the rates. `ASSUMPTIONS` lists what the figures assume.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from counterpoint.core.errors import ConfigError

HOUR_S = 3600.0
WEEK_HOURS = 168.0
DAY_HOURS = 24.0
FORMAT = "counterpoint-data-rates"

ASSUMPTIONS = (
    "one core works as fast as one of this machine; throughput scales linearly with cores (processes share nothing)",
    "work and bytes of video grow with cameras x pixels x frames per second (in the training view, whose size and "
    "rate are fixed, with the number of cameras); those of numbers with channels x samples per second",
    "the measured video is synthetic (a drifting textured ground with noise), coded as H.264 with a key frame "
    "every 10 frames; real logs may need a third of the bytes, or six times as many (JPEG): set --video-mbit-s",
    "storage is one copy without redundancy, and the disks keep up",
    "logs arrive evenly over the week, the link carries each byte once, and cores work all day",
)


@dataclass(frozen=True, kw_only=True)
class Setup:
    """The cameras and channels that one robot records."""

    cameras: int = 2
    image_height: int = 480
    """Pixels."""
    image_width: int = 640
    """Pixels."""
    rate_hz: float = 30.0
    """Pictures per second of each camera."""
    state_rate_hz: float = 100.0
    """Samples per second of state and of action."""
    channels: int = 14
    """Numbers per sample, of state and of action each."""

    def __post_init__(self) -> None:
        """Check ranges; raises ConfigError."""
        limits = {"cameras": (0, 64), "image_height": (16, 8192), "image_width": (16, 8192), "channels": (1, 10_000)}
        limits |= {"rate_hz": (1, 1000), "state_rate_hz": (1, 100_000)}
        for name, (least, most) in limits.items():
            if not least <= getattr(self, name) <= most:
                raise ConfigError(f"{name}: expected {least} to {most}, got {getattr(self, name)}")

    @property
    def pixels_per_s(self) -> float:
        """Pixels of all cameras together."""
        return self.cameras * self.image_height * self.image_width * self.rate_hz

    @property
    def numbers_per_s(self) -> float:
        """Numbers of state and action together."""
        return 2 * self.channels * self.state_rate_hz


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Measured rates of this machine, per hour of robot time."""

    setup: Setup
    """Cameras and channels of the measurement."""
    machine: str
    ingest_cpu_s: float
    """CPU seconds to ingest an hour of logs."""
    low_view_cpu_s: float
    video_view_cpu_s: float
    checks_cpu_s: float
    loading_cpu_s: float
    """CPU seconds to deliver an hour as windows of 2 s with decoded images."""
    master_video_bytes: float
    master_low_bytes: float
    view_video_bytes: float
    view_low_bytes: float
    episode_bytes: float
    """Index entry of one episode."""


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """The data of a fleet."""

    setup: Setup
    hours: float
    """Existing robot time, hours."""
    weekly: float
    """Robot time that arrives per week, hours."""
    days: float
    """Days in which the existing data is to be ingested."""
    speed: float
    """Speed at which training reads, as a multiple of real time; 2500 is 6.85 years per day."""
    episode_s: float
    """Length of an episode."""
    video_mbit_s: float | None = None
    """Logged video of one camera, megabits per second; None for the measured rate."""


@dataclass(frozen=True, kw_only=True)
class DataPlan:
    """The resources that a fleet needs."""

    ingest_hours_per_core_hour: float
    """With both views and all checks."""
    loading_hours_per_core_hour: float
    backlog_core_hours: float
    """To ingest the existing data, once."""
    backlog_cores: float
    """To do so within the given days."""
    weekly_cores: float
    """Cores that the arriving data keeps busy."""
    loading_cores: float
    """To feed training at the given speed."""
    masters_tb: float
    video_view_tb: float
    low_view_tb: float
    catalogue_gb: float
    total_tb: float
    weekly_growth_tb: float
    uplink_mbit_s: float
    """Mean rate at which logs arrive, megabits per second."""
    backlog_mbit_s: float
    """Rate to move the existing data within the given days."""
    training_read_mb_s: float
    """Megabytes per second that training reads from the views."""
    episodes: float


def plan_data(fleet: Fleet, rates: Rates) -> DataPlan:
    """Return the cores, storage and network that a fleet needs; see ASSUMPTIONS."""
    pixels = fleet.setup.pixels_per_s / rates.setup.pixels_per_s if rates.setup.cameras else 0.0
    cameras = fleet.setup.cameras / rates.setup.cameras if rates.setup.cameras else 0.0
    numbers = fleet.setup.numbers_per_s / rates.setup.numbers_per_s
    ingest_s = rates.ingest_cpu_s * max(pixels, numbers) + rates.low_view_cpu_s * numbers
    ingest_s += rates.video_view_cpu_s * pixels + rates.checks_cpu_s * max(cameras, numbers)
    loading_s = rates.loading_cpu_s * max(cameras, numbers)
    film = rates.master_video_bytes * pixels
    if fleet.video_mbit_s is not None:
        film = fleet.setup.cameras * fleet.video_mbit_s * 1e6 / 8 * HOUR_S
    master = film + rates.master_low_bytes * numbers
    video_view, low_view = rates.view_video_bytes * cameras, rates.view_low_bytes * numbers
    episodes = fleet.hours * HOUR_S / fleet.episode_s
    catalogue = rates.episode_bytes * episodes
    backlog_core_hours = fleet.hours * ingest_s / HOUR_S
    stored = master + video_view + low_view
    return DataPlan(
        ingest_hours_per_core_hour=HOUR_S / ingest_s,
        loading_hours_per_core_hour=HOUR_S / loading_s,
        backlog_core_hours=backlog_core_hours,
        backlog_cores=backlog_core_hours / (fleet.days * DAY_HOURS),
        weekly_cores=fleet.weekly * ingest_s / HOUR_S / WEEK_HOURS,
        loading_cores=fleet.speed * loading_s / HOUR_S,
        masters_tb=fleet.hours * master / 1e12,
        video_view_tb=fleet.hours * video_view / 1e12,
        low_view_tb=fleet.hours * low_view / 1e12,
        catalogue_gb=catalogue / 1e9,
        total_tb=(fleet.hours * stored + catalogue) / 1e12,
        weekly_growth_tb=fleet.weekly * stored / 1e12,
        uplink_mbit_s=fleet.weekly * master * 8 / (WEEK_HOURS * HOUR_S) / 1e6,
        backlog_mbit_s=fleet.hours * master * 8 / (fleet.days * DAY_HOURS * HOUR_S) / 1e6,
        training_read_mb_s=fleet.speed * (video_view + low_view) / HOUR_S / 1e6,
        episodes=episodes,
    )


def save_rates(rates: Rates, path: Path) -> None:
    """Write measured rates for another plan."""
    path.write_text(json.dumps({"format": FORMAT, "version": 1, **asdict(rates)}, indent=2) + "\n", encoding="utf-8")


def load_rates(path: Path) -> Rates:
    """Read what `save_rates` wrote; raises ConfigError where it is something else."""
    try:
        raw = json.loads(path.read_bytes())
        if (raw.pop("format"), raw.pop("version")) != (FORMAT, 1):
            raise ValueError("another format")
        rates = Rates(**{**raw, "setup": Setup(**raw["setup"])})
        numbers = [getattr(rates, each.name) for each in fields(rates) if each.name not in ("setup", "machine")]
        if not all(isinstance(number, int | float) and number >= 0 for number in numbers):
            raise ValueError("a rate is negative or not a number")
        return rates
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path}: expected rates written by plan-data --save-rates ({error})") from error
