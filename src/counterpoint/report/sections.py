"""The sections of a report in reading order. A section without artefacts is left out."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from pathlib import Path

from counterpoint.report.artefacts import Artefacts, Row, number, numbers, part, text, tried
from counterpoint.report.data_figures import event_figure, hours_figure
from counterpoint.report.layout import Film, Section, Table
from counterpoint.report.overview import is_model
from counterpoint.report.result_figures import (
    cost_figure,
    horizon_figure,
    law_figure,
    offline_figure,
    success_figure,
    training_figure,
)
from counterpoint.report.style import Picture
from counterpoint.report.verdict import beats_baselines, failures, law_sentences, listed, measured_delay_ms

MAX_VIDEO_BYTES = 300_000
MAX_VIDEOS = 12


def all_sections(artefacts: Artefacts) -> list[Section]:
    """Return the sections that have something to show, in reading order."""
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
    """The episodes, and when their samples were captured and arrived."""
    pictures = [event_figure(store) for name, store in artefacts.stores.items() if name == _first_store(artefacts)]
    pictures.append(hours_figure(artefacts.stores, artefacts.summaries))
    body = tuple(
        (store, robot, f"{share.episodes}", f"{60 * share.hours:.1f}")
        for store, summary in artefacts.summaries.items()
        for robot, share in summary.by_robot.items()
    )
    note = "Minutes of robot time, from the first to the last sample of each episode."
    table = Table(header=("store", "robot", "episodes", "minutes"), body=body, note=note)
    return Section(
        anchor="data",
        title="Data",
        words=(
            "Every sample is stored with the time it was captured and the time the computer received it. Nothing is "
            "resampled: the model reads each stream at the stream's own times.",
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
        absorbed = f"; each hour of training reads {rate:.0f} hours of robot experience" if math.isfinite(rate) else ""
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
        title="Error on held-out episodes",
        words=(
            "At many moments of episodes that training never saw, the policy's commands are compared with the logged "
            "ones. The baselines answer the same moments: hold still, repeat the last command, or extrapolate it.",
        ),
        pictures=_present([offline_figure(simulated), *(horizon_figure(row) for row in simulated)]),
        tables=_offline_table(simulated),
    )


def real_section(artefacts: Artefacts) -> Section:
    """Errors on held-out recordings of real robots."""
    real = [row for row in artefacts.offline if text(row, "robot") in real_robots(artefacts)]
    wins = [text(row, "robot") for row in real if beats_baselines(row)]
    words = f"The error is below all three baselines on {listed(wins) if wins else 'no robot'}." if real else ""
    return Section(
        anchor="real",
        title="Error on recordings of real robots",
        words=("The same model learned from these recordings together with the simulated robots.", words),
        pictures=_present([offline_figure(real), *(horizon_figure(row) for row in real)]),
        tables=_offline_table(real),
    )


def closed_loop_section(rollouts: Sequence[Row]) -> Section:
    """Success against delay."""
    robots = list(dict.fromkeys(text(row, "robot") for row in rollouts))
    body = tuple(
        (
            "model" if is_model(row) else text(row, "policy"),
            text(row, "robot"),
            text(row, "task"),
            _delay_cell(row),
            *_success_cells(row),
        )
        for row in rollouts
    )
    note = "Worlds solved of worlds tried, with Wilson's 95% interval. Every delay is tried in the same worlds."
    header = ("policy", "robot", "task", "delay ms", "solved", "95%")
    table = Table(header=header, body=body, note=note, summary="All closed-loop results")
    short = failures(rollouts)
    words = [
        "While the policy computes, the robot keeps executing its previous plan and the world moves on. The policy "
        "knows when its answer will be ready and which commands will have been executed by then.",
    ]
    took = measured_delay_ms(rollouts)
    if took is not None:
        words.append(f"On this machine an answer takes {took:.0f} ms, measured inside the loop.")
    if missing := len(rollouts) - len(tried(rollouts)):
        words.append(f"{missing} of {len(rollouts)} results are missing because the time budget for rollouts ran out.")
    if short:
        words.append(f"Below the demo's goal without delay: {'; '.join(short)}.")
    return Section(
        anchor="closed-loop",
        title="Success under inference delay",
        words=tuple(words),
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
        "Exponent of the law for each robot. The last column compares a law fitted without the largest amount of data "
        "with the error measured there."
    )
    table = Table(header=("robot", "alpha", "95%", "prediction off by"), body=tuple(body), note=note)
    return Section(
        anchor="law",
        title="Error against data",
        words=law_sentences(law)[:2],
        remarks=law_sentences(law)[2:],
        pictures=_present([law_figure(law)]),
        tables=(table,) if body else (),
    )


def films_section(artefacts: Artefacts) -> Section:
    """Videos inside the page; videos beyond the limits stay on disk."""
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
        words=("The first unseen world for each robot and task, whether the policy solved it or not.",),
        films=tuple(films),
    )


def cost_section(artefacts: Artefacts) -> Section:
    """Seconds and cores by stage."""
    stages = artefacts.stages
    total = sum(number(row, "seconds") for row in stages)
    cores = max((number(row, "cores") for row in stages), default=math.nan)
    words = f"{total / 60:.1f} minutes in total on {cores:.0f} CPU cores." if stages else ""
    return Section(anchor="cost", title="Time", words=(words,), pictures=_present([cost_figure(stages)]))


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
        title="Reproduce",
        words=("Every figure on this page comes from files in the run folder. Seeds fix episodes, order and worlds.",),
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
        "the reverse Kullback-Leibler divergence of whole chunks in nats. A divergence of 0 is perfect; a policy that "
        "is unsure but covers the logged command scores better than one that is sure and wrong."
    )
    header = ("robot", "policy", "95%", *names, "reverse KL", "decisions")
    return (Table(header=header, body=body, note=note),)


def _present(pictures: Sequence[Picture | None]) -> tuple[Picture, ...]:
    return tuple(picture for picture in pictures if picture is not None)


def _first_store(artefacts: Artefacts) -> str:
    """Return the store whose episodes have the most streams, which shows best how samples are timed."""
    return max(
        artefacts.stores,
        key=lambda name: max((len(i.streams) for i in artefacts.stores[name].episodes), default=0),
        default="",
    )
