"""The sections of a report, in the order they are read; a section without artefacts is left out."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from counterpoint.report.artefacts import Artefacts, Row, number, numbers, part, text, tried
from counterpoint.report.data_figures import event_figure, hours_figure
from counterpoint.report.result_figures import (
    cost_figure,
    horizon_figure,
    law_figure,
    offline_figure,
    success_figure,
    training_figure,
)
from counterpoint.report.style import Picture
from counterpoint.report.verdict import beats_baselines, failures, law_sentences, measured_delay_ms

MAX_VIDEO_BYTES = 300_000
MAX_VIDEOS = 12


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table; `note` says in one sentence what its numbers mean."""

    header: tuple[str, ...]
    body: tuple[tuple[str, ...], ...]
    note: str
    summary: str = ""
    """Given, the table is folded away under these words."""


@dataclass(frozen=True, kw_only=True)
class Film:
    """A video inside the page."""

    source: str
    """Data URI."""
    caption: str


@dataclass(frozen=True, kw_only=True)
class Section:
    """One part of the report."""

    anchor: str
    title: str
    words: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    """Short points, shown as a list."""
    pictures: tuple[Picture, ...] = ()
    tables: tuple[Table, ...] = ()
    films: tuple[Film, ...] = ()
    commands: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show."""
        return not (self.pictures or self.tables or self.films or self.commands)


def all_sections(artefacts: Artefacts) -> list[Section]:
    """Return the sections that have something to show."""
    sections = [
        closed_loop_section(artefacts.rollouts),
        films_section(artefacts),
        offline_section(artefacts),
        real_section(artefacts),
        law_section(artefacts.law),
        data_section(artefacts),
        training_section(artefacts),
        cost_section(artefacts),
        reproduce_section(artefacts),
    ]
    return [section for section in sections if not section.is_empty]


def data_section(artefacts: Artefacts) -> Section:
    """What was learned from, and how events lie in time."""
    pictures = [event_figure(store) for name, store in artefacts.stores.items() if name == _first_store(artefacts)]
    pictures.append(hours_figure(artefacts.stores, artefacts.summaries))
    body = tuple(
        (store, robot, f"{share.episodes}", f"{60 * share.hours:.1f}")
        for store, summary in artefacts.summaries.items()
        for robot, share in summary.by_robot.items()
    )
    note = "Minutes of robot time from the first to the last sample of each episode; every episode is kept whole."
    table = Table(header=("store", "robot", "episodes", "minutes"), body=body, note=note)
    return Section(
        anchor="data",
        title="Data",
        words=(
            "Robots, sensors and instructions speak when they have something to say. Events are stored with the time "
            "they were captured and the time they arrived, and the model reads them as they are.",
        ),
        pictures=_present(pictures),
        tables=(table,) if body else (),
    )


def training_section(artefacts: Artefacts) -> Section:
    """The training curve and its throughput."""
    last = artefacts.metrics[-1] if artefacts.metrics else {}
    words = []
    if last:
        rate = number(last, "experience_hours_per_hour")
        absorbed = (
            f"; {rate:.0f} hours of robot experience absorbed per hour of training" if math.isfinite(rate) else ""
        )
        words.append(f"{number(last, 'step'):.0f} steps in {number(last, 'elapsed_s') / 60:.1f} minutes{absorbed}.")
    return Section(
        anchor="training",
        title="Training",
        words=tuple(words),
        pictures=_present([training_figure(artefacts.metrics)]),
    )


def offline_section(artefacts: Artefacts) -> Section:
    """Errors on held-out simulated episodes; all robots if none is simulated."""
    simulated = [row for row in artefacts.offline if text(row, "robot") not in real_robots(artefacts)]
    return Section(
        anchor="offline",
        title="Held-out episodes",
        words=(
            "What the policy would have commanded, against what was commanded, on episodes it was not trained on. "
            "Errors are in units of each channel's own spread, so 1 is what always answering the mean costs.",
        ),
        pictures=_present([offline_figure(simulated), *(horizon_figure(row) for row in simulated)]),
        tables=_offline_table(simulated),
    )


def real_section(artefacts: Artefacts) -> Section:
    """Errors on held-out recordings of real robots."""
    real = [row for row in artefacts.offline if text(row, "robot") in real_robots(artefacts)]
    wins = [text(row, "robot") for row in real if beats_baselines(row)]
    words = f"Below all three simple baselines on: {', '.join(wins) or 'none'}." if real else ""
    return Section(
        anchor="real",
        title="Real recordings",
        words=("The same model, trained on these recordings together with the simulated robots.", words),
        pictures=_present([offline_figure(real), *(horizon_figure(row) for row in real)]),
        tables=_offline_table(real),
    )


def closed_loop_section(rollouts: Sequence[Row]) -> Section:
    """Success against delay."""
    robots = list(dict.fromkeys(text(row, "robot") for row in rollouts))
    body = tuple(
        (
            text(row, "policy") if text(row, "policy") in ("hold", "expert") else "model",
            text(row, "robot"),
            text(row, "task"),
            _delay_cell(row),
            *_success_cells(row),
        )
        for row in rollouts
    )
    note = "Worlds solved of worlds tried, with Wilson's 95% interval; the worlds are the same at every delay."
    header = ("policy", "robot", "task", "delay ms", "solved", "95%")
    table = Table(header=header, body=body, note=note, summary="All numbers of the closed loop")
    short = failures(rollouts)
    words = [
        "The clock of the world does not wait: while the policy thinks, the robot goes on with what it had planned. "
        "The model is told when its answer will be ready and what will have been done by then.",
    ]
    took = measured_delay_ms(rollouts)
    if took is not None:
        words.append(f"On this machine an answer took {took:.0f} ms, measured inside the loop.")
    if missing := len(rollouts) - len(tried(rollouts)):
        words.append(f"{missing} of {len(rollouts)} rows were not measured: the time set for rollouts ran out.")
    if short:
        words.append("Short of what was wanted without delay:")
    return Section(
        anchor="closed-loop",
        title="Closed loop, under delay",
        words=tuple(words),
        remarks=tuple(short),
        pictures=_present([success_figure(robot, rollouts) for robot in robots]),
        tables=(table,) if body else (),
    )


def _delay_cell(row: Row) -> str:
    delay = number(row, "delay_ms")
    measured = " (measured)" if text(row, "delay_mode") == "measured" else ""
    return (f"{delay:.0f}" if math.isfinite(delay) else "-") + measured


def _success_cells(row: Row) -> tuple[str, str]:
    if not tried([row]):
        return "not measured", "-"
    interval = " to ".join(f"{100 * value:.0f}" for value in numbers(row, "ci95"))
    return f"{number(row, 'successes'):.0f} of {number(row, 'episodes'):.0f}", f"{interval} %"


def law_section(law: Row) -> Section:
    """Error against data."""
    fits = part(law, "fits")
    body = []
    for robot in fits:
        params = part(part(fits, robot), "params")
        check = part(part(fits, robot), "holdout")
        alpha = part(params, "alpha")
        interval = " to ".join(f"{value:.2f}" for value in numbers(alpha, "ci95"))
        missed = f"{100 * number(check, 'signed_error'):+.0f}%" if check else "not checked"
        body.append((robot, f"{number(alpha, 'value'):.2f}", interval, missed))
    note = (
        "Exponent of the law by robot; the last column is how far the law, fitted on less data, misses the largest run."
    )
    table = Table(header=("robot", "alpha", "95%", "largest missed by"), body=tuple(body), note=note)
    return Section(
        anchor="law",
        title="Error against data",
        words=law_sentences(law)[:2],
        remarks=law_sentences(law)[2:],
        pictures=_present([law_figure(law)]),
        tables=(table,) if body else (),
    )


def films_section(artefacts: Artefacts) -> Section:
    """Videos inside the page; what is too big or too many is left on disk."""
    films: list[Film] = []
    for row in artefacts.rollouts:
        for name in row["videos"] if isinstance(row.get("videos"), list) else []:  # type: ignore[union-attr]  # a list
            path = artefacts.run / str(name)
            if len(films) < MAX_VIDEOS and path.is_file() and path.stat().st_size <= MAX_VIDEO_BYTES:
                caption = f"{text(row, 'robot')}, {text(row, 'task')}, {number(row, 'delay_ms'):.0f} ms delay"
                if "films_solved" in row:
                    caption += ": solved" if number(row, "films_solved") else ": not solved"
                films.append(Film(source=data_uri(path, "video/mp4"), caption=caption))
    return Section(
        anchor="videos",
        title="Videos",
        words=("The first unseen world of each kind, solved or not; no take is chosen.",),
        films=tuple(films),
    )


def cost_section(artefacts: Artefacts) -> Section:
    """Seconds and cores by stage."""
    stages = artefacts.stages
    total = sum(number(row, "seconds") for row in stages)
    cores = max((number(row, "cores") for row in stages), default=math.nan)
    words = f"{total / 60:.1f} minutes in all, on {cores:.0f} cores." if stages else ""
    return Section(anchor="cost", title="Cost", words=(words,), pictures=_present([cost_figure(stages)]))


def reproduce_section(artefacts: Artefacts) -> Section:
    """Commands that make this report again, and single parts of it."""
    run = artefacts.run.name
    commands = [f"counterpoint report {run}"]
    if artefacts.stages:
        commands.insert(0, f"counterpoint demo --out {run}")
    if artefacts.rollouts:
        row = artefacts.rollouts[0]
        pair = f"--robot {text(row, 'robot')} --task {text(row, 'task')}"
        commands.append(f"counterpoint rollout {run}/train {pair} --delay-ms 0,100,200")
    if artefacts.offline and artefacts.stores:
        commands.append(f"counterpoint evaluate {run}/train --data {run}/data/{_first_store(artefacts)}")
    return Section(
        anchor="reproduce",
        title="How to reproduce",
        words=("Every figure here is read from files of the run folder; data, order and worlds are fixed by seeds.",),
        commands=tuple(commands),
    )


def real_robots(artefacts: Artefacts) -> set[str]:
    """Return the robots whose episodes are recordings, not simulation."""
    return {
        info.embodiment
        for store in artefacts.stores.values()
        for info in store.episodes
        if info.provenance.source != "simulation"
    }


def data_uri(path: Path, kind: str) -> str:
    """Return a file's content as a data URI."""
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"


def _offline_table(results: Sequence[Row]) -> tuple[Table, ...]:
    if not results:
        return ()
    names = list(part(results[0], "baselines"))
    body = tuple(
        (
            text(row, "robot"),
            f"{number(row, 'next_action_mse'):.3f}",
            " to ".join(f"{value:.3f}" for value in numbers(row, "mse_ci95")),
            *(f"{number(part(row, 'baselines'), name):.3f}" for name in names),
            f"{number(row, 'reverse_kl'):.2f}",
            f"{number(row, 'decisions'):.0f}",
        )
        for row in results
    )
    note = (
        "Error of the policy with its 95% interval over episodes, errors of the baselines on the same decisions, and "
        "the reverse Kullback-Leibler divergence of whole chunks in nats (0 is perfect; spread that covers the truth "
        "costs less than answers that agree on something wrong)."
    )
    header = ("robot", "policy", "95%", *names, "reverse KL", "decisions")
    return (Table(header=header, body=body, note=note),)


def _present(pictures: Sequence[Picture | None]) -> tuple[Picture, ...]:
    return tuple(picture for picture in pictures if picture is not None)


def _first_store(artefacts: Artefacts) -> str:
    """Return the store whose episodes have the most streams: it shows best how events lie in time."""
    return max(
        artefacts.stores,
        key=lambda name: max((len(i.streams) for i in artefacts.stores[name].episodes), default=0),
        default="",
    )
