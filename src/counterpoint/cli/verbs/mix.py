"""The verb `mix`: a fixed selection of episodes with weights, splits and statistics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional, UseAppendAction

from counterpoint.cli.flag_values import read_number, split_pair
from counterpoint.cli.verb import Reply, Verb, VerbArguments, table
from counterpoint.core.errors import ConfigError, unknown_name
from counterpoint.core.records import Json

if TYPE_CHECKING:
    from counterpoint.catalog.mixtures.freeze import FrozenMixture, PartRequest


SplitBy = Literal["episode", "site", "environment", "task", "robot", "operator", "duplicate"]


@dataclass(frozen=True, kw_only=True)
class MixArguments(VerbArguments):
    """Arguments of `mix`."""

    stores: Positional[tuple[Path, ...]]
    """Stores to select episodes from; at least one."""
    into: Path
    """Folder to write the mixture to."""
    part: UseAppendAction[tuple[str, ...]] = ()
    """A part of the mixture, as `name=SQL condition` on the columns of `catalog STORE query "SELECT * FROM episodes"`;
    an episode belongs to the first part that matches. Without this flag, one part holds every episode."""
    weight: UseAppendAction[tuple[str, ...]] = ()
    """Probability that a training window comes from a part, as `name=0.3`; --temperature divides the rest."""
    temperature: float = 1.0
    """Parts are weighted by hours^(1/T): 1 is proportional to hours; larger values even the parts out."""
    cap_hours: UseAppendAction[tuple[str, ...]] = ()
    """Maximum training hours, as `name=100`, or one number for every part."""
    split: tuple[SplitBy, ...] = ("episode",)
    """Episodes that share any of these stay in the same split."""
    test: float = 0.1
    """Share of episodes held out for testing, in [0, 1)."""
    validation: float = 0.0
    """Share of episodes held out for model selection, in [0, 1)."""
    seed: int = 0
    """Random seed that decides which groups are held out."""
    earlier: Path | None = None
    """Folder of an earlier mixture, whose episodes keep their splits."""
    statistics: bool = True
    """Skip measuring the mean and spread of every robot's values, which reads each training episode once."""
    workers: int | None = None
    """Number of processes. Default: one per core."""


def run_mix(arguments: MixArguments) -> Reply:
    """Select the episodes and write the mixture."""
    from counterpoint.catalog.mixtures.freeze import MixtureRequest, freeze
    from counterpoint.catalog.mixtures.mixture import SplitSettings, load_mixture, save_mixture
    from counterpoint.engine import open_engine
    from counterpoint.store import Store

    if not arguments.stores:
        raise ConfigError("mix: expected at least one store, got none")
    request = MixtureRequest(
        name=arguments.into.resolve().name,
        parts=_parts(arguments.part, arguments.weight, arguments.cap_hours),
        temperature=arguments.temperature,
        splits=SplitSettings(
            by=arguments.split, validation=arguments.validation, test=arguments.test, seed=arguments.seed
        ),
    )
    frozen = freeze(
        [Store.open(path) for path in arguments.stores],
        request,
        earlier=None if arguments.earlier is None else load_mixture(arguments.earlier),
        statistics=arguments.statistics,
        engine=open_engine("local", workers=arguments.workers),
        progress=True,
    )
    save_mixture(frozen.mixture, arguments.into)
    return _reply(arguments, frozen)


def _reply(arguments: MixArguments, frozen: FrozenMixture) -> Reply:
    mixture = frozen.mixture
    sources: dict[str, Json] = {
        name: {"hours": round(hours, 6), "weight": round(weight, 6)}
        for name, (hours, weight) in mixture.by_source().items()
    }
    parts: list[Json] = [{**asdict(part), "sources": dict(part.sources)} for part in mixture.parts]
    data: dict[str, Json] = {
        "mixture": str(arguments.into),
        "hash": mixture.hash,
        "parts": parts,
        "sources": sources,
        "splits": frozen.splits,
        "copies_left_out": frozen.copies,
        "moved": frozen.moved,
        "unread": list(frozen.unread),
        "robots": {
            name: {s: each.count for s, each in streams.items()} for name, streams in mixture.statistics.items()
        },
    }
    hours = sum(part.hours for part in mixture.parts)
    lines = [
        f"{arguments.into}: {sum(part.episodes for part in mixture.parts)} training episodes, {hours:.3f} hours, "
        f"hash {mixture.hash[:12]}",
        "",
    ]
    rows = [(p.name, p.episodes, p.hours, p.weight, p.query) for p in mixture.parts]
    lines += [table(("part", "episodes", "hours", "weight", "query"), rows), ""]
    shares = [(n, h, h / hours if hours else 0.0, w) for n, (h, w) in mixture.by_source().items()]
    lines += [table(("source", "hours", "share of hours", "sampling weight"), shares), ""]
    keys = ("episodes", "groups", "hours", "share", "wanted", "error")
    divided = [(name, *[each[key] for key in keys]) for name, each in frozen.splits.items() if isinstance(each, dict)]
    lines += [table((f"split by {', '.join(arguments.split)}", *keys), divided)]
    if frozen.copies:
        lines.append(f"{frozen.copies} duplicate recordings left out")
    if frozen.moved:
        lines.append(f"{frozen.moved} episodes moved to the held-out split of their group")
    lines += [f"no fingerprint, so it forms a group of its own: {line}" for line in frozen.unread]
    return Reply(data=data, text="\n".join(lines))


def _parts(parts: Sequence[str], weights: Sequence[str], caps: Sequence[str]) -> tuple[PartRequest, ...]:
    """Read `name=SQL`, `name=0.3` and `name=100` (or one number for all parts) as typed."""
    from counterpoint.catalog.mixtures.freeze import PartRequest

    requests = {name: query for name, query in (split_pair(part, "--part", "name=SQL condition") for part in parts)}
    if len(requests) < len(parts):
        raise ConfigError(f"--part: expected names that differ, got {', '.join(parts)}")
    requests = requests or {"all": "true"}
    numbers: dict[str, dict[str, float]] = {"--weight": {}, "--cap-hours": {}}
    for flag, words in (("--weight", weights), ("--cap-hours", caps)):
        for word in words:
            named = word if "=" in word or flag == "--weight" else None
            name, value = split_pair(named, flag, "name=number") if named is not None else ("", word)
            if name and name not in requests:
                raise unknown_name("part", name, requests, hint=f"({flag})")
            for each in [name] if name else list(requests):
                numbers[flag][each] = read_number(value, flag)
    return tuple(
        PartRequest(
            name=name, query=query, weight=numbers["--weight"].get(name), cap_hours=numbers["--cap-hours"].get(name)
        )
        for name, query in requests.items()
    )


VERB = Verb(
    example="counterpoint mix data/real data/sim --part \"real=source = 'real'\" --part sim=true --weight sim=0.3 "
    "--split site duplicate --into mixtures/first",
    arguments=MixArguments,
    run=run_mix,
)
