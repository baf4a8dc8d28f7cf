"""The verb `scale mix`: the best mixture of data sources."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional, UseAppendAction

from counterpoint.cli.flag_values import read_number, split_names, split_pairs
from counterpoint.cli.verb import Reply, Verb, VerbArguments, interval, table
from counterpoint.core.errors import ConfigError

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, kw_only=True)
class MixLawArguments(VerbArguments):
    """Arguments of `scale mix`."""

    mixtures: Positional[Path]
    """Table of trained mixtures, one row per mixture (or per mixture and task set), with a column of hours (hours_real)
    or shares (share_sim) per source and a column of errors (error_pick) per task set."""
    law: Literal["exp", "lgbm"] = "exp"
    """exp: data mixing law, c + k exp(t . shares). lgbm: LightGBM trees as in RegMix, which cannot extrapolate."""
    caps: UseAppendAction[tuple[tuple[str, ...], ...]] = ()
    """Available hours per source, as real=100,sim=2000; shares if the table has shares and --hours is not given."""
    least: UseAppendAction[tuple[tuple[str, ...], ...]] = ()
    """Minimum shares, as real=0.1."""
    most: UseAppendAction[tuple[tuple[str, ...], ...]] = ()
    """Maximum shares, as sim=0.5."""
    hours: float | None = None
    """Total hours of the best mixture. Default: those of the current mixture."""
    current: str | None = None
    """Name of the mixture to improve. Default: the best trained one."""
    sources: UseAppendAction[tuple[tuple[str, ...], ...]] = ()
    """Columns of the sources, as real,sim. Default: found by name."""
    errors: UseAppendAction[tuple[tuple[str, ...], ...]] = ()
    """Columns of the errors. Default: found by name."""
    task: str | None = None
    """Column of the task set, if the table has one row per mixture and task set."""
    drop: str | None = None
    """Rows to leave out, for example `hours_real < 1`."""
    delta: float | None = None
    """Huber threshold of ln L. Default: estimated from the scatter."""
    bootstrap: int | None = None
    """Bootstrap draws for the intervals. Default: 200; 40 with lgbm."""


def run_mix(arguments: MixLawArguments) -> Reply:
    """Find the best mixture under caps, and what an hour of each source is worth."""
    from counterpoint.engine.progress import Progress
    from counterpoint.scaling.mixtures.fit import advise
    from counterpoint.scaling.mixtures.table import read_mixtures

    draws = arguments.bootstrap if arguments.bootstrap is not None else 200 if arguments.law == "exp" else 40
    if draws < 2:
        raise ConfigError(f"--bootstrap: expected 2 or more draws, got {draws}")
    if arguments.delta is not None and not 0 < arguments.delta < 10:
        raise ConfigError(f"--delta: expected 0 to 10 (of ln L), got {arguments.delta}")
    mixtures = read_mixtures(
        arguments.mixtures,
        sources=split_names(*chain(*arguments.sources)),
        errors=split_names(*chain(*arguments.errors)),
        task=arguments.task,
        drop=arguments.drop,
    )
    with Progress("bootstrap", total=draws, unit="draw", leave=False) as progress:
        advice = advise(
            mixtures,
            arguments.law,
            caps=_numbers(chain(*arguments.caps), "--caps"),
            least=_numbers(chain(*arguments.least), "--least"),
            most=_numbers(chain(*arguments.most), "--most"),
            hours=arguments.hours,
            current=arguments.current,
            delta=arguments.delta,
            draws=draws,
            on_draw=progress.update,
        )
    found = advice.found
    amount = "" if advice.hours is None else f" for {advice.hours:.4g} hours"
    weights = [
        (name, advice.current_weights[name], each.value, interval(each.ci95),
         f"{100 * found.hour_values[name].value:+.3g}% {_percent(found.hour_values[name].ci95)}")
        for name, each in found.weights.items()
    ]  # fmt: skip
    errors = [
        (name, advice.current_errors[name], each.value, interval(each.ci95), advice.rank_correlations[name])
        for name, each in found.errors.items()
    ]
    lines = [
        f"{arguments.mixtures}: law {advice.law} ({advice.fitted_by}), {advice.mixtures} mixtures; best{amount} has "
        f"{found.change.value:.3f} times {interval(found.change.ci95)} the error of {advice.current!r}",
        "",
        table(("source", "share now", "best share", "95% interval", f"error for one more {advice.per}"), weights),
        "",
        table(("task set", "error now", "predicted", "95% interval", "rank correlation"), errors),
        "",
        f"rank correlation on mixtures left out of the fit: {advice.rank_correlation:.2f}",
        *(f"warning: {warning}" for warning in advice.warnings),
    ]
    return Reply(data=advice.to_dict(), text="\n".join(lines))


def _percent(ends: tuple[float, float]) -> str:
    return f"[{100 * ends[0]:+.3g}%, {100 * ends[1]:+.3g}%]"


def _numbers(words: Iterable[str], flag: str) -> dict[str, float]:
    pairs = split_pairs(words, flag, "source=number")
    return {name: read_number(value, f"{flag} {name}") for name, value in pairs.items()}


VERB = Verb(
    example="counterpoint scale mix mixtures.csv --law exp --hours 500 --caps real=100,sim=2000",
    arguments=MixLawArguments,
    run=run_mix,
)
