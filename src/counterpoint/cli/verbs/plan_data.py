"""The verb `plan-data`: the cores, storage and network that a fleet's data need."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from counterpoint.cli.verb import Reply, Verb, VerbArguments, table
from counterpoint.core.errors import ConfigError
from counterpoint.core.records import Json

if TYPE_CHECKING:
    from counterpoint.ingest.capacity import DataPlan, Rates


@dataclass(frozen=True, kw_only=True)
class PlanDataArguments(VerbArguments):
    """Arguments of `plan-data`."""

    hours: float
    """Hours of robot data that exist already."""
    weekly: float
    """Hours of robot data that arrive per week."""
    cameras: int = 2
    """Cameras per robot."""
    image_height: int = 480
    """Pixels."""
    image_width: int = 640
    """Pixels."""
    rate_hz: float = 30.0
    """Frames per second of each camera."""
    state_rate_hz: float = 100.0
    """Samples per second of state and of action."""
    channels: int = 14
    """Channels of state and of action, each."""
    video_mbit_s: float | None = None
    """Video bitrate of one camera as it is logged, megabits per second. Default: measured on synthetic frames."""
    days: float = 30.0
    """Days to ingest the existing data in."""
    speed: float = 2500.0
    """Training speed as a multiple of real time; 2500 is 6.85 years of data per day."""
    episode_seconds: float = 300.0
    """Length of an episode in seconds."""
    rates: Path | None = None
    """File of --save-rates. Default: measure this machine, which takes less than a minute."""
    save_rates: Path | None = None
    """Write the measured rates to this .json file, for --rates."""


def run_plan_data(arguments: PlanDataArguments) -> Reply:
    """Measure this machine (or read saved rates) and estimate what the fleet needs."""
    from counterpoint.ingest.capacity import ASSUMPTIONS, Fleet, Setup, load_rates, plan_data, save_rates

    for name in ("hours", "weekly", "days", "speed", "episode_seconds"):
        value = getattr(arguments, name)
        if not (0 <= value < 1e12) or (value == 0 and name not in ("hours", "weekly")):
            raise ConfigError(f"{name.replace('_', '-')}: expected a positive number, got {value:g}")
    setup = Setup(
        cameras=arguments.cameras,
        image_height=arguments.image_height,
        image_width=arguments.image_width,
        rate_hz=arguments.rate_hz,
        state_rate_hz=arguments.state_rate_hz,
        channels=arguments.channels,
    )
    if arguments.rates is not None:
        rates = load_rates(arguments.rates)
    else:
        from counterpoint.demo.data_rates import measure_rates

        rates = measure_rates(setup)
    if arguments.save_rates is not None:
        save_rates(rates, arguments.save_rates)
    fleet = Fleet(
        setup=setup,
        hours=arguments.hours,
        weekly=arguments.weekly,
        days=arguments.days,
        speed=arguments.speed,
        episode_s=arguments.episode_seconds,
        video_mbit_s=arguments.video_mbit_s,
    )
    plan = plan_data(fleet, rates)
    assumptions: list[Json] = [*ASSUMPTIONS]
    data: dict[str, Json] = {"plan": asdict(plan), "rates": asdict(rates), "assumptions": assumptions}
    return Reply(data=data, text=_text(arguments, plan, rates, ASSUMPTIONS))


def _text(arguments: PlanDataArguments, plan: DataPlan, rates: Rates, assumptions: tuple[str, ...]) -> str:
    rows = [
        (
            "one core of this machine: ingest, views, checks",
            f"{plan.ingest_hours_per_core_hour:,.1f} hours per core-hour",
        ),
        (
            "one core of this machine: loading 2 s windows",
            f"{plan.loading_hours_per_core_hour:,.0f} hours per core-hour",
        ),
        (f"{arguments.hours:,.0f} hours, once", f"{plan.backlog_core_hours:,.0f} core-hours"),
        (f"  in {arguments.days:g} days", f"{plan.backlog_cores:,.3g} cores"),
        (f"{arguments.weekly:,.0f} hours per week", f"{plan.weekly_cores:,.3g} cores"),
        (f"training at {arguments.speed:,.0f} x real time", f"{plan.loading_cores:,.1f} cores"),
        ("original recordings", _size(plan.masters_tb)),
        ("training view, video", _size(plan.video_view_tb)),
        ("training view, numbers", _size(plan.low_view_tb)),
        ("catalog", f"{_size(plan.catalogue_gb / 1e3)} ({plan.episodes:,.0f} episodes)"),
        ("total storage", f"{_size(plan.total_tb)}, growing by {_size(plan.weekly_growth_tb)} per week"),
        ("network: logs as they arrive", _rate(plan.uplink_mbit_s)),
        (f"network: existing data, in {arguments.days:g} days", _rate(plan.backlog_mbit_s)),
        ("training reads", f"{plan.training_read_mb_s:,.0f} MB/s from the views"),
    ]
    seen = rates.setup
    measured = (
        f"measured on: {rates.machine}; {seen.cameras} cameras {seen.image_width}x{seen.image_height} at "
        f"{seen.rate_hz:g} Hz, {seen.channels} channels at {seen.state_rate_hz:g} Hz"
    )
    return "\n".join([table(("what", "needs"), rows), "", measured, "assumptions:", *(f"- {a}" for a in assumptions)])


def _size(terabytes: float) -> str:
    for unit, factor in (("TB", 1.0), ("GB", 1e3)):
        if terabytes * factor >= 1:
            return f"{terabytes * factor:,.1f} {unit}"
    return f"{terabytes * 1e6:,.1f} MB"


def _rate(megabits_s: float) -> str:
    return f"{megabits_s:,.0f} Mbit/s" if megabits_s >= 10 else f"{megabits_s:,.3g} Mbit/s"


VERB = Verb(
    example="counterpoint plan-data --hours 270000 --weekly 10000 --cameras 2 --save-rates rates.json",
    arguments=PlanDataArguments,
    run=run_plan_data,
)
