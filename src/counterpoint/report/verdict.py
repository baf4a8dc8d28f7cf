"""What the artefacts say in words: the verdict, the first sentences, headline numbers, what the law supports."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Sequence
from pathlib import Path

from counterpoint.report.artefacts import Artefacts, Row, number, numbers, part, text, tried
from counterpoint.report.layout import Card, Grade
from counterpoint.report.overview import is_model

LEAST_EXPONENT = 0.02
"""An interval of the exponent that reaches below this shows no law."""
GOALS = {"reach": 0.8, "track": 0.8, "lift": 0.5, "pick_place": 0.5}
"""Success without delay that the demo should reach."""


def headline(artefacts: Artefacts) -> str:
    """Return the verdict in one line: success at each delay beside holding still, or what there is."""
    by_delay = success_by_delay(artefacts.rollouts)
    if not by_delay:
        return "A training run of Counterpoint" if artefacts.metrics else "A run of Counterpoint"
    count = len({text(row, "robot") for row in artefacts.rollouts})
    (delay, rate), *later = by_delay.items()
    rates = [f"{100 * rate:.0f}% of unseen worlds at {delay:.0f} ms of inference delay"]
    rates += [f"{100 * rate:.0f}% at {delay:.0f} ms" for delay, rate in later]
    still = _mean(_rates(artefacts.rollouts, "hold"))
    beside = "" if still is None else f"; holding still solves {100 * still:.0f}%"
    robots = f"One policy for {count} robots" if count > 1 else "One policy for one robot"
    return f"{robots} solves {listed(rates)}{beside}"


def lead(artefacts: Artefacts) -> tuple[str, ...]:
    """Return the first sentences: what was tried, what was trained and for how long, what an error means."""
    sentences = []
    robots = list(dict.fromkeys(text(row, "robot") for row in artefacts.rollouts))
    tasks = list(dict.fromkeys(text(row, "task") for row in artefacts.rollouts))
    if robots:
        still = " beside a policy that holds still" if _rates(artefacts.rollouts, "hold") else ""
        sentences.append(
            f"Success is the share of simulated worlds solved that training never saw ({listed(robots)}; "
            f"{listed(tasks)}){still}. The world keeps moving while the policy computes."
        )
    trained = _training_sentence(artefacts)
    sentences += [trained] if trained else []
    if artefacts.offline:
        sentences.append(
            "Error is the mean squared difference between the commands that the policy proposes and the commands in "
            "held-out episodes, in units of each channel's variance: 0 is perfect, always answering the mean costs 1."
        )
    return tuple(sentences)


def _training_sentence(artefacts: Artefacts) -> str:
    """Say what was trained, on what, for how long and on which machine."""
    summaries = artefacts.summaries.values()
    episodes, hours = sum(s.episodes for s in summaries), sum(s.hours for s in summaries)
    if not artefacts.metrics and not episodes:
        return ""
    parameters = parameter_count(artefacts.run)
    last = artefacts.metrics[-1] if artefacts.metrics else {}
    seconds, speed = number(last, "elapsed_s"), training_speed(artefacts.metrics)
    cores = max((number(row, "cores") for row in artefacts.stages), default=math.nan)
    words = "One model" + (f" of {parameters / 1e6:.2g} million parameters" if parameters else "")
    words += f" was trained for {duration(seconds)}" if math.isfinite(seconds) else " was to be trained"
    words += f" on {episodes:,} episodes ({duration(hours * 3600)} of robot time)" if episodes else ""
    if speed is None:
        return f"{words}."
    where = f" on {cores:.0f} CPU cores" if math.isfinite(cores) else ""
    return f"{words}; this machine trained at {speed:,.0f} tokens/s{where}."


def training_speed(metrics: Sequence[Row]) -> float | None:
    """Return the median tokens/s of the metric records; None where there are none."""
    speeds = sorted(value for row in metrics if math.isfinite(value := number(row, "tokens_per_s")))
    return speeds[len(speeds) // 2] if speeds else None


def cards(artefacts: Artefacts) -> list[Card]:
    """Return the headline numbers that the artefacts support."""
    found = []
    by_delay = list(success_by_delay(artefacts.rollouts).items())
    still = _mean(_rates(artefacts.rollouts, "hold"))
    if by_delay:
        delay, rate = by_delay[0]
        mark: Grade = "good" if rate >= 0.7 else "mixed" if rate > 0.3 else "bad"
        beside = "" if still is None else f"; holding still: {100 * still:.0f}%"
        label = f"of unseen worlds solved at {delay:.0f} ms delay{beside}"
        found.append(Card(value=f"{100 * rate:.0f}%", label=label, mark=mark))
    if len(by_delay) > 1:
        (_, first), (delay, rate) = by_delay[0], by_delay[-1]
        kept: Grade = "bad" if rate < max(0.5 * first, 0.3) else "good" if rate >= 0.85 * first else "mixed"
        found.append(Card(value=f"{100 * rate:.0f}%", label=f"solved at {delay:.0f} ms delay", mark=kept))
    if artefacts.offline:
        wins = sum(beats_baselines(row) for row in artefacts.offline)
        good: Grade = "good" if wins == len(artefacts.offline) else "mixed" if wins else "bad"
        label = "robots whose held-out error is below all three simple baselines"
        found.append(Card(value=f"{wins} of {len(artefacts.offline)}", label=label, mark=good))
    return [*found, *_law_card(artefacts.law)]


def _law_card(law: Row) -> list[Card]:
    alpha = exponent(law)
    if alpha is None:
        return []
    value, low, high = alpha
    span = f"(exponent {value:.2f}, 95% interval {low:.2f} to {high:.2f})"
    if low < LEAST_EXPONENT:
        return [Card(value="no law", label=f"of error against data can be claimed from these runs {span}", mark="bad")]
    label = f"less error for each doubling of data {span}"
    return [Card(value=f"{100 * (1 - 2**-value):.0f}%", label=label, mark="good")]


def success_by_delay(rollouts: Sequence[Row]) -> dict[float, float]:
    """Return the trained policy's mean success over robots and tasks at each simulated delay, ms, least first."""
    learned = [row for row in tried(rollouts) if is_model(row) and text(row, "delay_mode") != "measured"]
    by_delay: dict[float, list[float]] = {}
    for row in sorted(learned, key=lambda row: number(row, "delay_ms")):
        by_delay.setdefault(number(row, "delay_ms"), []).append(number(row, "success_rate"))
    return {delay: sum(rates) / len(rates) for delay, rates in by_delay.items()}


def measured_delay_ms(rollouts: Sequence[Row]) -> float | None:
    """Return how long this machine took for an answer in closed loop, milliseconds; None where not measured."""
    return _mean([number(row, "delay_ms") for row in tried(rollouts) if text(row, "delay_mode") == "measured"])


def beats_baselines(row: Row) -> bool:
    """Return whether a row of offline results has its error below every baseline."""
    baselines = part(row, "baselines")
    return bool(baselines) and all(number(row, "next_action_mse") < number(baselines, name) for name in baselines)


def exponent(law: Row) -> tuple[float, float, float] | None:
    """Return the exponent of all robots together with its interval; None where no law was fitted."""
    alpha = part(part(part(part(law, "fits"), "all"), "params"), "alpha")
    interval = numbers(alpha, "ci95")
    return (number(alpha, "value"), interval[0], interval[1]) if len(interval) == 2 else None


def law_sentences(law: Row) -> tuple[str, ...]:
    """Say what the law supports: exponent, extrapolation, warnings."""
    fitted = part(part(law, "fits"), "all")
    alpha = exponent(law)
    if alpha is None:
        return ("No law was fitted.",)
    value, low, high = alpha
    words = [f"Over all robots, L(D) = (A/D)^alpha with alpha = {value:.2f} (95% interval {low:.2f} to {high:.2f})"]
    if low >= LEAST_EXPONENT:
        words[0] += f": twice the data removes {100 * (1 - 2**-value):.0f}% of the error."
    else:
        words[0] += ". The interval reaches 0, so these runs do not show that more data helps."
    check = part(fitted, "holdout")
    if check:
        words.append(
            f"A law fitted without the largest amount of data predicts an error of {number(check, 'predicted'):.3g} "
            f"there; {number(check, 'observed'):.3g} was measured, so the prediction is off by "
            f"{100 * number(check, 'signed_error'):+.0f}%."
        )
    warnings = fitted.get("warnings")
    words += [str(word) for word in warnings] if isinstance(warnings, list) else []
    return tuple(words)


def failures(rollouts: Sequence[Row]) -> list[str]:
    """Name every robot and task that falls short of the demo's goal without delay."""
    return [
        f"{text(row, 'robot')} {text(row, 'task')}: {100 * number(row, 'success_rate'):.0f}% "
        f"(goal: {100 * GOALS[text(row, 'task')]:.0f}%)"
        for row in rollouts
        if is_model(row)
        and number(row, "delay_ms") == 0
        and number(row, "success_rate") < GOALS.get(text(row, "task"), 0.0)
    ]


def parameter_count(run: Path) -> int:
    """Count the numbers in the newest checkpoint's weights from the file's header; 0 where there is none."""
    found = sorted((run / "train/checkpoints").glob("step-*/weights.safetensors"))
    found = found or sorted((run / "checkpoints").glob("step-*/weights.safetensors"))
    if not found:
        return 0
    with found[-1].open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
    return sum(math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")


def duration(seconds: float) -> str:
    """Return a time with the unit that suits it."""
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"


def listed(names: Sequence[str]) -> str:
    """Return names as English lists them."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _rates(rollouts: Sequence[Row], policy: str) -> list[float]:
    return [number(row, "success_rate") for row in tried(rollouts) if text(row, "policy") == policy]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
