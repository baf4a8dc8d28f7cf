"""The verb `catalog`: what a store holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional

from counterpoint.cli.verb import Reply, Verb, VerbArguments, table
from counterpoint.core.errors import ConfigError
from counterpoint.core.records import Json

if TYPE_CHECKING:
    from counterpoint.catalog import Share
    from counterpoint.store import Store


View = Literal["summary", "list", "query", "search", "duplicates", "map"]


SHOWN_GROUPS = 20


SHOWN_WORDS = 48


@dataclass(frozen=True, kw_only=True)
class CatalogArguments(VerbArguments):
    """Arguments of `catalog`."""

    store: Positional[Path]
    """Store to look at."""
    view: Positional[View] = "summary"
    """`summary`: hours by robot, task, site, environment, source and week. `list`: one line per episode. `query SQL`:
    SQL on the tables episodes, streams, marks and clusters. `search TEXT`: episodes by their instructions.
    `duplicates`: groups of episodes with the same motion. `map`: an HTML page with a point for every episode."""
    words: Positional[tuple[str, ...]] = ()
    """The SQL of `query` or the text of `search`."""
    robot: str | None = None
    """List only episodes of this robot."""
    task: str | None = None
    """List only episodes of this task."""
    limit: int | None = None
    """Maximum number of rows. Default: 1000 for `list` and `query`, 10 for `search`, 20000 points for `map`."""
    out: Path = Path("map.html")
    """HTML file that `map` writes."""
    thumbnails: bool = False
    """Show thumbnails of up to 500 episodes in the `map`."""
    workers: int | None = None
    """Number of processes for `duplicates` and `map`. Default: one per core."""


def run_catalog(arguments: CatalogArguments) -> Reply:
    """Say what a store holds."""
    from counterpoint.store import Store

    if arguments.limit is not None and arguments.limit < 1:
        raise ConfigError(f"limit: expected at least 1, got {arguments.limit}")
    if arguments.words and arguments.view not in ("query", "search"):
        raise ConfigError(f"{arguments.view}: expected nothing after it, got {' '.join(arguments.words)!r}")
    return _VIEWS[arguments.view](Store.open(arguments.store), arguments)


def _summary(store: Store, arguments: CatalogArguments) -> Reply:
    from counterpoint.catalog import summarize
    from counterpoint.catalog.summary import GROUP_KEYS

    summary = summarize(store)
    success = "" if summary.success_rate is None else f", {summary.success_rate:.0%} successful"
    parts = [f"{arguments.store}: {summary.episodes} episodes, {summary.hours:.3f} hours{success}"]
    if summary.damaged:
        parts.append(f"{summary.damaged} damaged episodes; see: counterpoint check {arguments.store} --verify")
    parts += [_shares(key, summary.by(key)) for key in GROUP_KEYS]
    return Reply(data=summary.to_dict(), text="\n".join(parts))


def _shares(key: str, shares: Mapping[str, Share]) -> str:
    names = list(shares)
    if len(names) > SHOWN_GROUPS:  # weeks stay in order, and the last ones matter
        names = names[-SHOWN_GROUPS:] if key == "week" else sorted(names, key=lambda name: -shares[name].hours)
    rows = [(n, shares[n].episodes, shares[n].hours, _percent(shares[n].success_rate)) for n in names[:SHOWN_GROUPS]]
    left = len(shares) - len(rows)
    more = f"\n... and {left} more; --json lists all" if left else ""
    return "\n" + table((key, "episodes", "hours", "success"), rows) + more


def _list(store: Store, arguments: CatalogArguments) -> Reply:
    from counterpoint.catalog import episode_row, list_episodes

    limit = arguments.limit or 1000
    rows = [episode_row(i) for i in list_episodes(store, robot=arguments.robot, task=arguments.task, limit=limit + 1)]
    is_cut, rows = len(rows) > limit, rows[:limit]
    keys = ("episode_id", "robot", "task", "environment", "success", "duration_s", "instruction")
    listed: list[Json] = [*rows]
    more = f"\n... there are more; show them with --limit {10 * limit}" if is_cut else ""
    return Reply(
        data={"episodes": listed, "is_cut": is_cut},
        text=table(keys, [[row[key] for key in keys] for row in rows]) + more,
    )


def _query(store: Store, arguments: CatalogArguments) -> Reply:
    from counterpoint.catalog.sql import Catalog

    if not arguments.words:
        raise ConfigError(
            'query: expected SQL, for example: query "SELECT robot, sum(hours) FROM episodes GROUP BY robot"'
        )
    answer = Catalog([store]).query(" ".join(arguments.words), limit=arguments.limit or 1000)
    rows: list[Json] = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
    more = f"\n... there are more; show them with --limit {10 * len(rows)}" if answer.is_cut else ""
    data: dict[str, Json] = {"columns": list(answer.columns), "rows": rows, "is_cut": answer.is_cut}
    return Reply(data=data, text=table(answer.columns, answer.rows) + more)


def _search(store: Store, arguments: CatalogArguments) -> Reply:
    from counterpoint.catalog.search.text_search import search

    hits = search(store.flat(), " ".join(arguments.words), root=store.root, limit=arguments.limit or 10)
    rows = [(hit.score, hit.episodes, hit.hours, ", ".join(hit.robots), hit.text) for hit in hits]
    found: list[Json] = [{**asdict(h), "robots": list(h.robots), "examples": list(h.examples)} for h in hits]
    text = table(("score", "episodes", "hours", "robots", "text"), rows) if hits else "no match"
    return Reply(data={"query": " ".join(arguments.words), "hits": found}, text=text)


def _duplicates(store: Store, arguments: CatalogArguments) -> Reply:
    from counterpoint.catalog.duplicates.clusters import describe_clusters
    from counterpoint.catalog.duplicates.fingerprint_table import find_clusters
    from counterpoint.engine import open_engine

    engine = open_engine("local", workers=arguments.workers)
    labels, unread = find_clusters([store], engine=engine, progress=True)
    clusters = describe_clusters(store.flat(), labels)
    redundant = sum(cluster.redundant_hours for cluster in clusters)
    extra = sum(len(cluster.episodes) - 1 for cluster in clusters)
    found: list[Json] = [
        {**asdict(c), "episodes": list(c.episodes), "robots": list(c.robots), "tasks": list(c.tasks)} for c in clusters
    ]
    lines = [f"{len(clusters)} clusters of near-duplicates: {extra} episodes, {redundant:.3f} hours are redundant"]
    rows = [
        (len(c.episodes), c.redundant_hours, _shortened(", ".join(c.tasks)), _shortened(", ".join(c.episodes)))
        for c in clusters[: arguments.limit or SHOWN_GROUPS]
    ]
    lines += ["", table(("episodes", "redundant hours", "tasks", "episode ids"), rows)] if rows else []
    lines += [f"... and {left} more; --json lists all"] if (left := len(clusters) - len(rows)) else []
    lines += [f"could not be read: {line}" for line in unread]
    data: dict[str, Json] = {
        "clusters": found,
        "redundant_episodes": extra,
        "redundant_hours": round(redundant, 6),
        "unread": list(unread),
    }
    return Reply(data=data, text="\n".join(lines))


def _map(store: Store, arguments: CatalogArguments) -> Reply:
    from counterpoint.catalog.search.projection import project_store
    from counterpoint.engine import open_engine
    from counterpoint.report.map_page import write_map

    engine = open_engine("local", workers=arguments.workers)
    points = project_store(store, most=arguments.limit or 20_000, engine=engine, progress=True)
    path = write_map(store, points, arguments.out, thumbnails=500 if arguments.thumbnails else 0)
    shown = f"{points.table.num_rows} of {len(store)} episodes" if points.is_sample else f"{len(store)} episodes"
    data: dict[str, Json] = {
        "page": str(path),
        "points": points.table.num_rows,
        "episodes": len(store),
        "unread": list(points.unread),
    }
    return Reply(data=data, text=f"{path}: {shown}; open it in a browser")


_VIEWS: Mapping[View, Callable[[Store, CatalogArguments], Reply]] = {
    "summary": _summary,
    "list": _list,
    "query": _query,
    "search": _search,
    "duplicates": _duplicates,
    "map": _map,
}


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"


def _shortened(words: str) -> str:
    return words if len(words) <= SHOWN_WORDS else words[: SHOWN_WORDS - 3] + "..."


VERB = Verb(
    example="counterpoint catalog data/ur5e search pick up the red cube",
    arguments=CatalogArguments,
    run=run_catalog,
)
