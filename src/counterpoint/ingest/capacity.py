"""What a stream of robot data needs: cores, storage and network, from rates measured on one machine.

Pure arithmetic; measuring is left to the caller. Every figure's assumption is a line of `ASSUMPTIONS`.
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
    "one core does what one core of this machine does; more cores scale linearly (processes share nothing)",
    "work and bytes of pictures grow with cameras x pixels x pictures per second (bytes of the training view: with "
    "cameras alone, its size and rate are fixed); those of numbers with channels x samples per second",
    "pictures were made up (a textured ground that drifts, with noise) and coded as H.264 with a key frame every 10; "
    "what cameras log may take a third or six times the bytes (JPEG): say it with --video-mbit-s",
    "storage is one copy without redundancy; disks are assumed to keep up",
    "logs arrive evenly over the week; the link carries each byte once; a core works all day",
)


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What one robot records."""

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
    """What this machine was measured to do, per hour of robot time."""

    setup: Setup
    """What was recorded in the measurement."""
    machine: str
    ingest_cpu_s: float
    """CPU seconds to bring an hour's logs into a store."""
    low_view_cpu_s: float
    video_view_cpu_s: float
    checks_cpu_s: float
    loading_cpu_s: float
    """CPU seconds to deliver an hour as windows of 2 s, pictures decoded."""
    master_video_bytes: float
    master_low_bytes: float
    view_video_bytes: float
    view_low_bytes: float
    episode_bytes: float
    """Index entry of one episode."""


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """What is to be carried."""

    setup: Setup
    hours: float
    """Robot time that is there already, hours."""
    weekly: float
    """Robot time that arrives a week, hours."""
    days: float
    """Days in which what is there already shall be brought in."""
    speed: float
    """Times real time at which training reads; 2500 is 6.85 years a day."""
    episode_s: float
    """Length of an episode."""
    video_mbit_s: float | None = None
    """Coded video of one camera as it is logged, megabits per second; None for what was measured."""


@dataclass(frozen=True, kw_only=True)
class DataPlan:
    """What it takes."""

    ingest_hours_per_core_hour: float
    """With both views and all checks."""
    loading_hours_per_core_hour: float
    backlog_core_hours: float
    """To bring in what is there already, once."""
    backlog_cores: float
    """To do so in the days given."""
    weekly_cores: float
    """Busy all week with what arrives."""
    loading_cores: float
    """To feed training at its speed."""
    masters_tb: float
    video_view_tb: float
    low_view_tb: float
    catalogue_gb: float
    total_tb: float
    weekly_growth_tb: float
    uplink_mbit_s: float
    """Mean rate at which logs arrive, megabits per second."""
    backlog_mbit_s: float
    """Rate to move what is there already within the days given."""
    training_read_mb_s: float
    """Megabytes per second that training reads from the views."""
    episodes: float


def plan_data(fleet: Fleet, rates: Rates) -> DataPlan:
    """Return cores, storage and network for a fleet; see ASSUMPTIONS."""
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
            raise ValueError("a rate is no number of 0 or more")
        return rates
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path}: expected rates that plan-data wrote with --save-rates ({error})") from error
