"""The page is made from files alone, whatever is missing, and loads nothing from elsewhere."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from counterpoint.core.errors import CounterpointError
from counterpoint.core.records import Json, RunRecord
from counterpoint.data.episodes.synthetic import synthetic_embodiment, synthetic_episode
from counterpoint.report import write_report
from counterpoint.report.artefacts import load_artefacts
from counterpoint.report.verdict import beats_baselines, cards, failures, headline
from counterpoint.store import StoreWriter

ROLLOUTS: list[Json] = [
    {
        "policy": policy, "robot": robot, "task": task, "delay_ms": delay, "delay_mode": "simulated",
        "strategy": "trained_delay", "episodes": 10, "successes": solved, "success_rate": solved / 10,
        "ci95": [max(solved / 10 - 0.2, 0.0), min(solved / 10 + 0.2, 1.0)], "videos": [],
    }
    for robot in ("ur5e", "panda")
    for task in ("reach", "lift")
    for policy, delay, solved in (("model", 0.0, 9), ("model", 200.0, 8), ("hold", 0.0, 0))
]  # fmt: skip
OFFLINE: Json = {
    "robot": "ur5e",
    "next_action_mse": 0.1,
    "mse_ci95": [0.08, 0.12],
    "reverse_kl": 2.0,
    "kl_ci95": [1.0, 3.0],
    "baselines": {"hold": 0.9, "repeat": 0.5, "linear": 1.5},
    "by_horizon": {"seconds": [0.1, 0.2], "policy": [0.1, 0.2], "hold": [0.5, 0.6], "repeat": [0.3, 0.4]},
    "decisions": 40,
    "episodes": 4,
}


def write(path: Path, value: Json) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


def law() -> Json:
    points: list[Json] = [{"robot": "all", "run": str(d), "data": d, "error": d**-0.5} for d in (4, 8, 16, 32)]
    band: Json = {"data": [4, 64], "error": [0.5, 0.125], "low": [0.45, 0.1], "high": [0.55, 0.15]}
    fitted: Json = {
        "params": {"alpha": {"value": 0.5, "ci95": [0.4, 0.6]}},
        "holdout": {"data": 32, "predicted": 0.18, "observed": 0.177, "signed_error": 0.02},
        "warnings": ["Only 8.0x between the least and the most data."],
        "band": band,
    }
    return {"axis": "training episodes a robot", "points": points, "fits": {"all": fitted}}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    robot = synthetic_embodiment(7)
    with StoreWriter(tmp_path / "data" / "sim") as writer:
        for index in range(2):
            writer.add(synthetic_episode(robot, index, seed=1, duration_s=1.5))
    record = RunRecord(tmp_path / "train" / "metrics.jsonl")
    for step in (1, 2, 3):
        record.write("metric", step=step, elapsed_s=step * 10.0, loss=1 / step, loss_by_robot={"ur5e": 1 / step})
    record.close()
    stages = RunRecord(tmp_path / "stages.jsonl")
    stages.write("cost", stage="collect", seconds=12.0, cores=2)
    stages.close()
    write(tmp_path / "rollout.json", {"results": ROLLOUTS})
    write(tmp_path / "offline.json", {"results": [OFFLINE]})
    write(tmp_path / "law.json", law())
    return tmp_path


def test_whole_report_is_one_file_that_loads_nothing(run: Path) -> None:
    html = write_report(run).read_text(encoding="utf-8")
    for anchor in ("data", "training", "offline", "closed-loop", "law", "cost", "reproduce"):
        assert f'id="{anchor}"' in html
    assert html.count("<svg") >= 7
    assert not re.search(r"""(src|href)=["'](?!#|data:)""", html)
    assert "@import" not in html
    assert "nan" not in re.sub(r"<svg.*?</svg>", "", html, flags=re.DOTALL)


def test_ids_of_figures_do_not_clash(run: Path) -> None:
    html = write_report(run).read_text(encoding="utf-8")
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    "missing", ["data", "train/metrics.jsonl", "stages.jsonl", "rollout.json", "offline.json", "law.json"]
)
def test_any_part_may_be_missing(run: Path, missing: str) -> None:
    path = run / missing
    path.rename(run.parent / f"{run.name}-away-{path.name}")
    assert "<h1>" in write_report(run).read_text(encoding="utf-8")


def test_verdict_says_what_the_files_say(run: Path) -> None:
    artefacts = load_artefacts(run)
    assert headline(artefacts) == (
        "One policy for 2 robots solves 90% of unseen worlds at 0 ms of inference delay and 80% at 200 ms; "
        "holding still solves 0%"
    )
    assert [card.value for card in cards(artefacts)] == ["90%", "80%", "1 of 1", "29%"]
    assert failures(artefacts.rollouts) == []
    assert beats_baselines(artefacts.offline[0])


def test_no_law_is_said_plainly(run: Path) -> None:
    flat = law()
    assert isinstance(flat, dict)
    flat["fits"] = {"all": {"params": {"alpha": {"value": 0.1, "ci95": [0.0, 0.3]}}, "warnings": []}}
    write(run / "law.json", flat)
    assert cards(load_artefacts(run))[-1].value == "no law"


def test_a_plain_training_run_can_be_reported(tmp_path: Path) -> None:
    record = RunRecord(tmp_path / "metrics.jsonl")
    for step in (1, 2):
        record.write("metric", step=step, elapsed_s=step * 10.0, loss=1 / step, loss_by_robot={})
    record.close()
    assert 'id="training"' in write_report(tmp_path, tmp_path / "out" / "page.html").read_text(encoding="utf-8")


def test_videos_are_embedded_up_to_a_size(run: Path) -> None:
    (run / "videos").mkdir()
    (run / "videos" / "small.mp4").write_bytes(b"0" * 100)
    (run / "videos" / "big.mp4").write_bytes(b"0" * 400_000)
    row = dict(ROLLOUTS[0]) if isinstance(ROLLOUTS[0], dict) else {}
    write(run / "rollout.json", {"results": [{**row, "videos": ["videos/small.mp4", "videos/big.mp4"]}]})
    assert write_report(run).read_text(encoding="utf-8").count("data:video/mp4") == 1


def test_nothing_to_report_and_damage_are_errors(tmp_path: Path) -> None:
    with pytest.raises(CounterpointError, match="nothing to report"):
        write_report(tmp_path)
    (tmp_path / "offline.json").write_text('{"results": [', encoding="utf-8")
    with pytest.raises(CounterpointError, match=r"offline\.json.*delete it"):
        write_report(tmp_path)


def test_rows_without_a_rate_are_shown_as_not_measured(run: Path) -> None:
    unreached: dict[str, Json] = {
        "policy": "model", "robot": "panda", "task": "lift", "delay_ms": None, "delay_mode": "measured",
        "strategy": "trained_delay", "episodes": 0, "successes": 0, "success_rate": None, "ci95": None, "videos": [],
    }  # fmt: skip
    before = cards(load_artefacts(run))
    write(
        run / "rollout.json",
        {"results": [*ROLLOUTS, unreached, {**unreached, "delay_ms": 400.0, "delay_mode": "simulated"}]},
    )
    html = write_report(run).read_text(encoding="utf-8")
    assert html.count("not measured</td>") == 3  # two rows of results, one cell of the overview
    assert "nan" not in re.sub(r"<svg.*?</svg>", "", html, flags=re.S).lower().split()
    assert cards(load_artefacts(run)) == before
