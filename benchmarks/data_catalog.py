"""The catalog over a million rows: `python benchmarks/data_catalog.py [--episodes 1000000]`.

The rows are made up (1,000 sites, 20 robots, 240 tasks, about 60,000 different instructions, two years of weeks) and
lie in a memory-mapped Arrow file with the columns of `Store.flat`; nothing else is synthetic. The search index is
built once and kept, as in a store; queries are timed with it. Peers on the same rows in the same run: pandas (group
by for the summary, `str.contains` for the search), plain pyarrow where pandas is not installed, and SQLite's full text.
"""

from __future__ import annotations

import argparse
import importlib.util
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from counterpoint.catalog.search.text_search import coded_texts, open_index, search
from counterpoint.catalog.sql import Catalog
from counterpoint.catalog.summary import GROUP_KEYS, summarize_table
from counterpoint.core.clock import NS_PER_SECOND

VERBS = ("put", "place", "move", "fold", "wipe", "sort", "pick up", "hand over", "pour", "open", "close", "stack")
COLOURS = ("red", "green", "blue", "yellow", "white", "black", "striped", "small", "large", "wooden")
THINGS = ("mug", "towel", "plate", "screw", "box", "bottle", "bread", "shirt", "drawer", "lid", "fork", "cable", "tray",
          "sponge", "jar", "glass", "sack", "brush", "lamp", "book")  # fmt: skip
PLACES = ("on the table", "into the dishwasher", "onto the shelf", "into the bin", "beside the sink", "on the belt",
          "into the basket", "at the left", "at the right", "in the oven", "under the lamp", "to the person", "back",
          "onto the scale", "into the crate", "over the edge", "in the drawer", "near the door", "on the rack",
          "into the other hand", "in front of the robot", "behind the box", "on the cloth", "into the pan",
          "on the floor")  # fmt: skip
QUERIES = ("put the red mug into the dishwasher", "fold towels", "handing a bottel to somebody", "screw", "wipe sink")
SQL = (
    "SELECT robot, environment, sum(hours) h, avg(success::int) FROM episodes GROUP BY ALL ORDER BY h DESC",
    "SELECT week, sum(hours) FROM episodes WHERE site = 'site_17' GROUP BY week ORDER BY week",
    "SELECT task, count(*) n FROM episodes WHERE instruction LIKE '%dishwasher%' GROUP BY 1 ORDER BY 2 DESC LIMIT 10",
)


def synthetic(count: int, seed: int = 0) -> pa.Table:
    """Return made-up episodes with the columns of `Store.flat`."""
    rng = np.random.default_rng(seed)

    def words(names: Sequence[str], places: np.typing.NDArray[np.int64]) -> pa.Array:
        return pa.array(list(names), pa.string()).take(pa.array(places))

    verb, colour = rng.integers(len(VERBS), size=count), rng.integers(len(COLOURS), size=count)
    thing, place = rng.integers(len(THINGS), size=count), rng.integers(len(PLACES), size=count)
    site = (1000 * rng.random(count) ** 2).astype(np.int64)
    told = pc.binary_join_element_wise(
        words(VERBS, verb), "the", words(COLOURS, colour), words(THINGS, thing), words(PLACES, place), " "
    )
    task = pc.binary_join_element_wise(words(VERBS, verb), words(THINGS, thing), "_")
    number = np.arange(count)
    start = 1_700_000_000 * NS_PER_SECOND + (number * (63_072_000 / count)).astype(np.int64) * NS_PER_SECOND
    seconds = rng.integers(5, 300, count)
    hashes = pa.array([f"{value:016x}" for value in rng.integers(0, 2**63, count).tolist()])
    known = rng.random(count)
    return pa.table(
        {
            "episode_id": pa.array([f"episode-{value:08d}" for value in number.tolist()]),
            "robot": words([f"robot_{i}" for i in range(20)], site % 20),
            "task": task,
            "instruction": told,
            "site": words([f"site_{i}" for i in range(1000)], site),
            "environment": words(("home", "bakery", "laundry", "warehouse", "factory"), site % 5),
            "source": words(("real", "teleoperation", "simulation", "human_video"), rng.integers(4, size=count)),
            "operator": words([f"operator_{i}" for i in range(77)], site % 77),
            "licence": pa.array(["CC-BY-4.0"]).take(pa.array(np.zeros(count, np.int64))),
            "origin": hashes,
            "content_hash": hashes,
            "content_sha256": hashes,
            "success": pa.array(known < 0.7, mask=known > 0.9),
            "start_ns": pa.array(start),
            "end_ns": pa.array(start + seconds * NS_PER_SECOND),
            "duration_s": pa.array(seconds.astype(np.float64)),
            "num_bytes": pa.array(seconds * 100_000),
        }
    )


def timed(work: Callable[[], object], repeats: int = 5) -> float:
    """Return the median wall seconds of `work`."""
    spent = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        spent.append(time.perf_counter() - start)
    return statistics.median(spent)


def peers(table: pa.Table, repeats: int) -> dict[str, dict[str, float]]:
    """Measure the same questions with pandas (or pyarrow alone) and SQLite."""
    figures: dict[str, dict[str, float]] = {}
    keys = [key for key in GROUP_KEYS if key != "week"]
    if importlib.util.find_spec("pandas"):
        frame = table.select([*keys, "duration_s", "success", "instruction"]).to_pandas()
        frame["week"] = (table["start_ns"].to_numpy() // (7 * 86_400 * NS_PER_SECOND)).astype(np.int64)
        figures["peer: pandas"] = {
            "summary_s": timed(lambda: [frame.groupby(key)["duration_s"].sum() for key in GROUP_KEYS], repeats),
            "substring_search_s": timed(
                lambda: frame[frame["instruction"].str.contains("dishwasher", regex=False)], repeats
            ),
        }
    else:
        figures["peer: pyarrow scan"] = {
            "summary_s": timed(
                lambda: [table.group_by(key).aggregate([("duration_s", "sum")]) for key in keys], repeats
            ),
            "substring_search_s": timed(
                lambda: table.filter(pc.match_substring(table["instruction"], "dishwasher")), repeats
            ),
        }
    database = sqlite3.connect(":memory:")
    database.execute("CREATE VIRTUAL TABLE told USING fts5(text)")
    unique = [(text,) for text in pc.unique(table["instruction"]).to_pylist()]
    database.executemany("INSERT INTO told VALUES (?)", unique)
    ask = "SELECT text FROM told WHERE told MATCH ? ORDER BY rank LIMIT 10"
    figures["peer: SQLite full text, unique texts, whole words"] = {
        "search_s": timed(lambda: database.execute(ask, ("red OR mug OR dishwasher",)).fetchall(), repeats)
    }
    return figures


def main(arguments: Sequence[str] | None = None) -> dict[str, dict[str, float]]:
    """Measure and print; return the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder if absent")
    options = parser.parse_args(arguments)
    figures: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "episodes.arrow"
        made = synthetic(options.episodes)
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, made.schema) as writer:
            writer.write_table(made, max_chunksize=65_536)
        del made
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        figures["summary"] = {"seconds": timed(lambda: summarize_table(table), options.repeats)}
        start = time.perf_counter()
        index = open_index(Path(folder), coded_texts(table).texts)
        figures["search index, once"] = {"seconds": time.perf_counter() - start, "texts": len(index.texts)}
        for query in QUERIES:
            spent = timed(lambda query=query: search(table, query, root=Path(folder)), options.repeats)  # type: ignore[misc]  # mypy cannot infer a lambda's default
            best = search(table, query, root=Path(folder), limit=1)
            figures[f"search {query!r}"] = {"seconds": spent, "best_score": best[0].score if best else 0.0}
            print(f"  {query!r}: {best[0].text if best else None!r}")
        catalog = Catalog([], table=table)
        figures["open for SQL"] = {"seconds": timed(lambda: Catalog([], table=table), options.repeats)}
        for number, sql in enumerate(SQL):
            figures[f"SQL {number + 1}"] = {"seconds": timed(lambda sql=sql: catalog.query(sql), options.repeats)}  # type: ignore[misc]  # as above
        figures["condition of a mixture"] = {
            "seconds": timed(lambda: catalog.where("environment = 'bakery' AND success"), options.repeats)
        }
        figures |= peers(table, options.repeats)
    print(f"{options.episodes} episodes")
    for name, values in figures.items():
        print(f"{name}: " + ", ".join(f"{key} {value:,.4g}" for key, value in values.items()))
    return figures


if __name__ == "__main__":
    main()
