"""The verbs one after another, on little: what scripts read of each, and that each takes what the last one left."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from counterpoint.cli.main import main
from counterpoint.core.records import Json

Object = dict[str, Json]


def ask(capsys: pytest.CaptureFixture[str], *words: object, code: int = 0) -> Object:
    """Run one command with --json; return its object."""
    capsys.readouterr()
    assert main([*map(str, words), "--json"]) == code
    (line,) = capsys.readouterr().out.splitlines()
    found: Object = json.loads(line)
    return found


def rows(answer: Object, key: str) -> list[Object]:
    found = answer[key]
    assert isinstance(found, list)
    return [row for row in found if isinstance(row, dict)]


@pytest.mark.sim
def test_collect_catalog_check_train_evaluate_rollout_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, run = tmp_path / "store", tmp_path / "run"
    collect = ("collect", "--robot", "ur5e", "--task", "reach", "--into", store, "--workers", 1)
    assert ask(capsys, *collect, "-n", 8)["kept"] == 8
    again = ask(capsys, *collect, "-n", 16)
    assert (again["present"], again["attempts"]) == (8, 8)

    summary = ask(capsys, "catalog", store, "summary")
    assert summary["episodes"] == 16
    assert isinstance(summary["hours"], float)
    assert isinstance(summary["by_robot"], dict)
    assert set(summary["by_robot"]) == {"ur5e"}
    assert len(rows(ask(capsys, "catalog", store, "list"), "episodes")) == 16
    assert ask(capsys, "check", store, "--verify")["ok"] is True

    train = ("train", "tiny", "--data.stores", store, "--out", run, "--steps", 10)
    assert ask(capsys, *train)["step"] == 10
    assert "error" in ask(capsys, *train, code=2)  # a run is there and --resume was not given
    assert ask(capsys, *train[:-1], 20, "--resume")["step"] == 20

    (judged,) = rows(ask(capsys, "evaluate", run, "--data", store, "--max-decisions", 20), "results")
    assert {"robot", "next_action_mse", "reverse_kl", "baselines"} <= judged.keys()
    for policy in (run, "hold", "expert"):
        words = ("rollout", policy, "--robot", "ur5e", "--task", "reach", "--episodes", 1, "--workers", 1)
        found = rows(ask(capsys, *words, "--delay-ms", "0,100"), "results")
        assert [row["delay_ms"] for row in found] == [0.0, 100.0]
        assert {"robot", "task", "strategy", "episodes", "success_rate", "ci95"} <= found[0].keys()
    page = ask(capsys, "report", run)["report"]
    assert "<html" in Path(str(page)).read_text(encoding="utf-8")


@pytest.mark.sim
def test_damage_is_found_and_exits_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ask(capsys, "collect", "--robot", "panda", "--task", "reach", "--into", tmp_path, "--workers", 1, "-n", 1)
    streams = next(tmp_path.rglob("streams.parquet"))
    data = bytearray(streams.read_bytes())
    data[len(data) // 2] ^= 1
    streams.write_bytes(bytes(data))
    (problem,) = rows(ask(capsys, "check", tmp_path, "--verify", code=1), "problems")
    assert str(problem["path"]).endswith("streams.parquet")
