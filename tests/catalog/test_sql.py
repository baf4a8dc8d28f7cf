"""SQL over the index: right answers, and nothing but answers."""

from __future__ import annotations

from pathlib import Path

import pytest
from catalog_episodes import episode, flat_rows, make_store

from counterpoint.catalog.sql import Catalog
from counterpoint.core.errors import ConfigError


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog([], table=flat_rows(300))


def test_groups_and_weeks(catalog: Catalog) -> None:
    answer = catalog.query("SELECT robot, count(*) n, sum(hours) h FROM episodes GROUP BY robot ORDER BY robot")
    assert answer.columns == ("robot", "n", "h")
    assert [row[:2] for row in answer.rows] == [["arm", 150], ["hand", 150]]
    weeks = catalog.query("SELECT DISTINCT week, dayname(week) FROM episodes ORDER BY week").rows
    assert weeks[0] == ["2023-11-13", "Monday"]
    assert {row[1] for row in weeks} == {"Monday"}


def test_rows_are_cut_and_it_says_so(catalog: Catalog) -> None:
    answer = catalog.query("SELECT * FROM range(1000000000)", limit=7)
    assert (len(answer.rows), answer.is_cut) == (7, True)
    assert not catalog.query("SELECT 1", limit=7).is_cut


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM read_text('/etc/hostname')",
        "SELECT * FROM glob('/*')",
        "COPY episodes TO 'stolen.csv'",
        "ATTACH 'other.db'",
        "INSTALL httpfs",
        "SET enable_external_access = true",
        "DROP VIEW episodes",
        "CREATE TABLE mine AS SELECT 1",
        "SELECT 1; DROP VIEW episodes",
        "SELECT * FROM pytest",
        "SELECT nonsense FROM episodes",
        "SELEC",
        "",
        "SELECT * FROM episodes WHERE task = 'a' OR '1'='1'; --",
    ],
)
def test_hostile_and_broken_sql_is_refused_or_harmless(catalog: Catalog, sql: str, tmp_path: Path) -> None:
    if sql.endswith("--"):
        assert catalog.query(sql).rows
    else:
        with pytest.raises(ConfigError, match="query: "):
            catalog.query(sql)
    assert catalog.query("SELECT count(*) FROM episodes").rows == [[300]]
    assert not list(tmp_path.iterdir())


def test_conditions(catalog: Catalog) -> None:
    rows = catalog.where("robot = 'arm' AND duration_s > 50")
    assert 0 < len(rows) < 150
    assert sorted(set(catalog.table.take(rows)["robot"].to_pylist())) == ["arm"]
    assert len(catalog.where("site = '\u00e9\u4f60'")) == 0


@pytest.mark.parametrize(
    "condition", ["true) UNION SELECT 5 FROM (SELECT 1", "1; DROP VIEW episodes", "nonsense = 2", ""]
)
def test_conditions_that_are_none(catalog: Catalog, condition: str) -> None:
    with pytest.raises(ConfigError, match="condition"):
        catalog.where(condition)
    assert len(catalog.where("true")) == 300


def test_streams_and_an_empty_store(tmp_path: Path) -> None:
    store = make_store(tmp_path / "one", [episode("a", picture=1), episode("b")])
    rows = Catalog([store]).query("SELECT episode_id, sum(samples) FROM streams WHERE kind = 'image' GROUP BY 1").rows
    assert rows == [["a", 20]]
    empty = Catalog([make_store(tmp_path / "none")])
    assert empty.query("SELECT count(*) FROM episodes").rows == [[0]]
    assert len(empty.where("true")) == 0
