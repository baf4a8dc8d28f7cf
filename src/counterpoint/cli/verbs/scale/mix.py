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
    """Table of trained mixtures: a row each, columns of hours (hours_real) or shares (share_sim) a source, and of
    errors (error_pick) a task set; or a row a mixture and task set."""
    law: Literal["exp", "lgbm"] = "exp"
    """exp: data mixing law, c + k exp(t . shares). lgbm: LightGBM's trees, as RegMix; does not extrapolate."""
    caps: UseAppendAction[tuple[tuple[str, ...], ...]] = ()
    """Hours that are there, as real=100,sim=2000 or real=100 sim=2000; shares where the table has shares and --hours is
    not given."""
    least: UseAppendAction[tuple[tuple[str, ...], ...]] = ()
    """Least shares, as real=0.1."""
    most: UseAppendAction[tuple[tuple[str, ...], ...]] = ()
    """Greatest shares, as sim=0.5."""
    hours: float | None = None
    """Hours that the best mixture is for; those of the current one where left out."""
    current: str | None = None
    """Name of the mixture that an hour is added to; the best trained one where left out."""
    sources: UseAppendAction[tuple[tuple[str, ...], ...]] = ()
    """Columns of sources, as real,sim; found by name where left out."""
    errors: UseAppendAction[tuple[tuple[str, ...], ...]] = ()
    """Columns of errors; found by name where left out."""
    task: str | None = None
    """Column of the task set, where a mixture has a row for each."""
    drop: str | None = None
    """Rows to leave out, for example `hours_real < 1`."""
    delta: float | None = None
    """Where the Huber loss of ln L turns straight; from the scatter where left out."""
    bootstrap: int | None = None
    """Times that mixtures are drawn again for intervals; 200 where left out, 40 for trees."""


def run_mix(arguments: MixLawArguments) -> Reply:
    """Say which mixture is best under caps, and what an hour of each source is worth."""
    from counterpoint.engine.progress import Progress
    from counterpoint.scaling.mixtures.mixing import advise
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
        f"mixtures left out of the fit are ranked with a correlation of {advice.rank_correlation:.2f}",
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
