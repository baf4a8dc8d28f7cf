"""Marks: durable, incremental, and never more than marks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from clean_twins import Streams, synthetic
from planted_faults import splice

from counterpoint.catalog.marks import (
    CHECKED,
    MARKS,
    dropped_ranges,
    dropped_seconds,
    joined,
    load_mark_files,
    load_marks,
)
from counterpoint.catalog.quality import CHECKS, Thresholds, check_quality, parse_checks, summarize_marks
from counterpoint.catalog.quality.summary import group_counts
from counterpoint.catalog.quality.thresholds import Gap
from counterpoint.cli.main import main
from counterpoint.core.embodiment import Embodiment
from counterpoint.core.episode import Episode, Provenance
from counterpoint.core.errors import ConfigError, StoreError, UnknownNameError
from counterpoint.engine import Engine, open_engine
from counterpoint.store import Store, StoreWriter


def episode(name: str, streams: Streams, robot: str = "arm") -> Episode:
    embodiment = Embodiment(
        name=robot, sensing=(streams["proprioception"].spec,), acting=streams["action"].spec.channels,
        control_rate_hz=25.0,
    )  # fmt: skip
    return Episode(
        episode_id=name, embodiment=embodiment, provenance=Provenance(robot=robot, task="wave"), streams=streams
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """One clean episode, one with a jump, one whose state stops for three seconds while it is told to move."""
    clean = synthetic(0, seconds=8.0)
    state = clean["proprioception"]
    values = state.values.copy()
    values[200:500] = values[200]
    frozen = {**clean, "proprioception": replace(state, values=values)}
    with StoreWriter(tmp_path / "store") as writer:
        writer.add(episode("clean", clean))
        writer.add(episode("jump", splice(clean, np.random.default_rng(0), 0.5).streams))
        writer.add(episode("frozen", frozen, robot="other"))
    return tmp_path / "store"


@pytest.fixture
def engine() -> Engine:
    return open_engine(workers=1)


def test_what_was_checked_is_skipped_until_something_changes(root: Path, engine: Engine) -> None:
    store = Store.open(root)
    first = check_quality(store, engine=engine)
    assert (first.checked, first.skipped) == (3, 0)
    assert dict(zip(*(first.files.checked[key].to_pylist() for key in ("episode_id", "verdict")), strict=True)) == {
        "clean": "ok", "frozen": "fail", "jump": "warn",
    }  # fmt: skip
    saved = (root / MARKS).read_bytes()
    assert (check_quality(store, engine=engine).checked, (root / MARKS).read_bytes()) == (0, saved)
    with StoreWriter(root) as writer:
        writer.add(episode("new", synthetic(1, seconds=8.0)))
    assert check_quality(Store.open(root), engine=engine).checked == 1
    other = Thresholds(gap=Gap(periods=5.0))
    assert check_quality(Store.open(root), other, engine=engine).checked == 4
    assert check_quality(Store.open(root), other, engine=engine, again=True).checked == 4


def test_marks_say_what_where_and_by_which_thresholds(root: Path, engine: Engine) -> None:
    check_quality(Store.open(root), engine=engine)
    marks = load_marks(root)
    assert json.loads(marks.schema.metadata[b"counterpoint_checks"])["hash"] == Thresholds().hash
    (jump,) = [row for row in marks.to_pylist() if row["episode_id"] == "jump"]
    assert (jump["check"], jump["stream"], jump["severity"], jump["drop"]) == ("jump", "proprioception", "warn", False)
    assert jump["value"] > jump["threshold"] == 30.0
    assert jump["channel"].startswith("joint_")
    assert 0 < jump["end_ns"] - jump["start_ns"] <= 30_000_000


def test_fix_marks_ranges_and_unfix_takes_them_back(root: Path, engine: Engine) -> None:
    store = Store.open(root)
    before = {path: path.read_bytes() for path in sorted((root / "episodes").rglob("*")) if path.is_file()}
    assert dropped_ranges(root) == {}
    check_quality(store, engine=engine, drop=True)
    dropped = dropped_ranges(root)
    assert set(dropped) == {"jump", "frozen"}
    ((start, end),) = dropped["frozen"].tolist()
    assert start == pytest.approx(2.0e9, abs=1e8)
    assert end == pytest.approx(5.0e9, abs=1e8)
    assert dropped_seconds(load_marks(root)) == pytest.approx(3.0, abs=0.2)
    check_quality(store, engine=engine, again=True)  # checked again: still left out
    assert set(dropped_ranges(root)) == {"jump", "frozen"}
    check_quality(store, engine=engine, drop=False, robot="other")
    assert set(dropped_ranges(root)) == {"jump"}
    assert before == {path: path.read_bytes() for path in before}


def test_marks_of_other_checks_stay(root: Path, engine: Engine) -> None:
    store = Store.open(root)
    check_quality(store, engine=engine)
    run = check_quality(store, engine=engine, checks=parse_checks("jump, gap"))
    assert run.checked == 3
    assert {row["check"] for row in run.files.marks.to_pylist()} >= {"frozen", "jump"}
    assert summarize_marks(run.files).episodes == {"ok": 1, "warn": 1, "fail": 1}
    with pytest.raises(UnknownNameError, match="frozen"):
        parse_checks("forzen")
    assert parse_checks("all") == CHECKS
    assert parse_checks("none") == ()


def test_groups_count_hours_by_verdict(root: Path, engine: Engine) -> None:
    store = Store.open(root)
    run = check_quality(store, engine=engine)
    by_robot = {group.name: group for group in group_counts(run.files, store.flat(), "robot")}
    assert by_robot["arm"].episodes == {"ok": 1, "warn": 1, "fail": 0}
    assert "frozen" in by_robot["other"].worst
    (site,) = group_counts(run.files, store.flat(), "site")
    assert site.name == "(unknown)"
    assert sum(site.hours.values()) == pytest.approx(3 * 8 / 3600, rel=0.01)


def test_processes_find_the_same(root: Path, engine: Engine) -> None:
    alone = check_quality(Store.open(root), engine=engine).files
    together = check_quality(Store.open(root), engine=open_engine(workers=2), again=True).files
    assert alone.marks.equals(together.marks)
    assert alone.checked.equals(together.checked)


def test_a_damaged_episode_fails_and_stops_no_other(root: Path, engine: Engine) -> None:
    (path,) = (root / "episodes").glob("*/jump/streams.parquet")
    path.write_bytes(b"PAR1" + bytes(100))
    files = check_quality(Store.open(root), engine=engine).files
    assert [row["check"] for row in files.marks.to_pylist() if row["episode_id"] == "jump"] == ["unreadable"]
    assert files.checked.num_rows == 3


def test_damaged_or_foreign_marks_are_refused(root: Path, engine: Engine) -> None:
    assert load_mark_files(root).marks.num_rows == 0
    check_quality(Store.open(root), engine=engine)
    (root / CHECKED).write_bytes(b"PAR1")
    with pytest.raises(StoreError, match=r"checked\.parquet: damaged.*delete it"):
        check_quality(Store.open(root), engine=engine)


def test_joined_ranges_never_overlap() -> None:
    ranges = np.array([[0, 10], [2, 3], [5, 12], [12, 13], [20, 21]])
    assert joined(ranges).tolist() == [[0, 13], [20, 21]]
    assert joined(np.empty((0, 2), np.int64)).tolist() == []


def test_thresholds_are_checked() -> None:
    with pytest.raises(ConfigError, match=r"gap\.periods: expected a positive number"):
        Thresholds(gap=Gap(periods=0.0))


def test_the_verb(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def ask(*words: str, code: int) -> dict[str, object]:
        assert main(["check", str(root), *words, "--workers", "1", "--json"]) == code
        answer = json.loads(capsys.readouterr().out)
        assert isinstance(answer, dict)
        return answer

    answer = ask(code=1)
    assert (answer["ok"], answer["checked"], answer["problems"]) == (False, 3, [])
    assert isinstance(quality := answer["quality"], dict)
    assert quality["episodes"] == {"ok": 1, "warn": 1, "fail": 1}
    assert ask("--checks", "none", code=0)["ok"] is True
    assert ask("--mark", "--frozen.fail-s", "10", code=0)["checked"] == 3
    assert set(dropped_ranges(root)) == {"jump", "frozen"}
    assert ask("--unmark", "--checks", "gap", code=0)["ok"] is True
    assert dropped_ranges(root) == {}
    assert "did you mean 'gap.periods'" in str(ask("--gap.period", "3", code=2)["error"])
    assert "expected at most one of them" in str(ask("--mark", "--unmark", code=2)["error"])
    assert "thresholds" in ask("--thresholds", code=0)
    assert main(["check", str(root), "--workers", "1"]) == 1
    assert "jump" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Ray warns of its own ways
def test_ray_finds_the_same(root: Path, engine: Engine) -> None:
    pytest.importorskip("ray")
    alone = check_quality(Store.open(root), engine=engine).files
    cluster = check_quality(Store.open(root), engine=open_engine("ray", workers=2), again=True).files
    assert alone.marks.equals(cluster.marks)
    assert alone.checked.equals(cluster.checked)
