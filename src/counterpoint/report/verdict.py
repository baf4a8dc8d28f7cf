"""What the artefacts say in words: headline numbers and one sentence a question."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from counterpoint.report.artefacts import Artefacts, Row, number, numbers, part, text, tried

LEAST_EXPONENT = 0.02
"""An interval of the exponent that reaches below this shows no law."""

Mark = Literal["good", "mixed", "bad", "plain"]


@dataclass(frozen=True, kw_only=True)
class Card:
    """A headline number."""

    value: str
    label: str
    mark: Mark = "plain"


def headline(artefacts: Artefacts) -> str:
    """Return the verdict in one line: what the policy can do, or what there is."""
    robots = list(dict.fromkeys(text(row, "robot") for row in artefacts.rollouts))
    at_once, slow = _success(artefacts.rollouts, "least"), _success(artefacts.rollouts, "greatest")
    if at_once is None or slow is None:
        return "A run of Counterpoint"
    words = f"One policy, {len(robots)} robots: {100 * at_once[1]:.0f}% of unseen worlds solved"
    return words + (f", {100 * slow[1]:.0f}% at {slow[0]:.0f} ms of inference delay" if slow[0] > at_once[0] else "")


def measured_delay_ms(rollouts: Sequence[Row]) -> float | None:
    """Return how long this machine took for an answer in closed loop, milliseconds; None where not measured."""
    return _mean([number(row, "delay_ms") for row in tried(rollouts) if text(row, "delay_mode") == "measured"])


def summary_sentence(artefacts: Artefacts) -> str:
    """Return what was done, in one sentence."""
    summaries = artefacts.summaries.values()
    episodes, hours = sum(s.episodes for s in summaries), sum(s.hours for s in summaries)
    robots = sorted({robot for summary in summaries for robot in summary.by_robot})
    parameters = parameter_count(artefacts.run)
    seconds = number(artefacts.metrics[-1], "elapsed_s") if artefacts.metrics else math.nan
    model = "One model" + (f" of {parameters / 1e6:.2g} million parameters" if parameters else "")
    trained = f", trained for {_duration(seconds)}" if math.isfinite(seconds) else ""
    data = f" on {episodes} episodes ({_duration(hours * 3600)} of robot time)" if episodes else ""
    names = f" of {_listed(robots)}" if robots else ""
    return f"{model}{trained}{data}{names}."


def cards(artefacts: Artefacts) -> list[Card]:
    """Return the headline numbers that the artefacts support."""
    found = []
    at_once, slow = _success(artefacts.rollouts, "least"), _success(artefacts.rollouts, "greatest")
    still = _mean([number(row, "success_rate") for row in tried(artefacts.rollouts) if text(row, "policy") == "hold"])
    if at_once is not None:
        delay, rate = at_once
        mark: Mark = "good" if rate >= 0.7 else "mixed" if rate > 0.3 else "bad"
        beside = "" if still is None else f"; holding still: {100 * still:.0f}%"
        found.append(
            Card(
                value=f"{100 * rate:.0f}%", label=f"of unseen worlds solved at {delay:.0f} ms delay{beside}", mark=mark
            )
        )
    if slow is not None and at_once is not None and slow[0] > at_once[0]:
        kept: Mark = "good" if slow[1] >= 0.85 * at_once[1] else "mixed"
        found.append(Card(value=f"{100 * slow[1]:.0f}%", label=f"solved at {slow[0]:.0f} ms delay", mark=kept))
    if artefacts.offline:
        wins = sum(beats_baselines(row) for row in artefacts.offline)
        good: Mark = "good" if wins == len(artefacts.offline) else "mixed" if wins else "bad"
        label = "robots with a held-out error below all three simple baselines"
        found.append(Card(value=f"{wins} of {len(artefacts.offline)}", label=label, mark=good))
    alpha = exponent(artefacts.law)
    if alpha is not None:
        value, low, high = alpha
        span = f"(exponent {value:.2f}, 95% {low:.2f} to {high:.2f})"
        if low < LEAST_EXPONENT:
            found.append(Card(value="no law", label=f"of error against data is shown by these runs {span}", mark="bad"))
        else:
            label = f"less error with every doubling of data {span}"
            found.append(Card(value=f"{100 * (1 - 2**-value):.0f}%", label=label, mark="good"))
    return found


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
    """Say what the law supports: exponent, extrapolation, refusals."""
    fitted = part(part(law, "fits"), "all")
    alpha = exponent(law)
    if alpha is None:
        return ("No law was fitted.",)
    effect = f", so twice the data leave {100 * 2 ** -alpha[0]:.0f}% of the error" if alpha[1] >= LEAST_EXPONENT else ""
    words = [
        f"All robots together: L(D) = (A/D)^alpha with alpha = {alpha[0]:.2f} (95% {alpha[1]:.2f} to {alpha[2]:.2f})"
        f"{effect}."
    ]
    check = part(fitted, "holdout")
    if check:
        words.append(
            f"Fitted without the largest amount, the law predicts {number(check, 'predicted'):.3g} there; "
            f"{number(check, 'observed'):.3g} was measured ({100 * number(check, 'signed_error'):+.0f}%)."
        )
    warnings = fitted.get("warnings")
    words += [str(word) for word in warnings] if isinstance(warnings, list) else []
    return tuple(words)


def failures(rollouts: Sequence[Row]) -> list[str]:
    """Name every robot and task that falls short of what the demo should reach without delay."""
    wanted = {"reach": 0.8, "track": 0.8, "lift": 0.5, "pick_place": 0.5}
    return [
        f"{text(row, 'robot')} {text(row, 'task')}: {100 * number(row, 'success_rate'):.0f}%, "
        f"wanted {100 * wanted[text(row, 'task')]:.0f}%"
        for row in rollouts
        if text(row, "policy") != "hold"
        and number(row, "delay_ms") == 0
        and number(row, "success_rate") < wanted.get(text(row, "task"), 0.0)
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


def _success(rollouts: Sequence[Row], which: Literal["least", "greatest"]) -> tuple[float, float] | None:
    """Return the least (or greatest) simulated delay and the mean success over robots and tasks there."""
    learned = [
        row for row in tried(rollouts) if text(row, "policy") != "hold" and text(row, "delay_mode") != "measured"
    ]
    if not learned:
        return None
    delays = [number(row, "delay_ms") for row in learned]
    delay = min(delays) if which == "least" else max(delays)
    mean = _mean([number(row, "success_rate") for row in learned if number(row, "delay_ms") == delay])
    return None if mean is None else (delay, mean)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
