"""Any tool's runs become one table: what is kept, what is refused, and that reading twice changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from counterpoint.cli.main import main
from counterpoint.core.errors import ConfigError
from counterpoint.core.records import Json, RunRecord
from counterpoint.scaling.importers.run import ingest_runs
from counterpoint.scaling.runs.study_table import ALL, append_rows
from counterpoint.scaling.runs.table import read_runs

CSV = "run_name,params,train_hours,val_error,seed,note\n" + "".join(
    f"r{n}-{h},{n},{h},{1 / n + 1 / h:.5f},0,x\n" for n in (1, 2, 4) for h in (1, 2, 4, 8)
)
ROLES = {"data": "train_hours", "loss": "val_error"}


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_a_table_is_kept_with_its_columns_and_fits(tmp_path: Path) -> None:
    source, into = write(tmp_path / "runs.csv", CSV), tmp_path / "out" / "runs.parquet"
    found = ingest_runs([source], into, roles=ROLES)
    assert (found.rows, found.runs, found.added, found.warnings) == (12, 12, 12, ())
    assert found.columns == {"size": "params", "data": "train_hours", "loss": "val_error", "seed": "seed"}
    table = pq.read_table(into)
    assert {"run", "size", "data", "loss", "train_hours", "note", "provenance"} <= set(table.column_names)
    runs = read_runs(into, needs_size=True)
    assert (len(runs), runs.columns["data"], len(set(runs.run))) == (12, "data", 12)


def test_reading_again_changes_nothing_and_new_rows_are_added(tmp_path: Path) -> None:
    source, into = tmp_path / "runs.csv", tmp_path / "runs.parquet"
    ingest_runs([write(source, CSV)], into, roles=ROLES)
    before = into.read_bytes()
    again = ingest_runs([str(source)], into, roles=ROLES)
    assert (again.added, again.replaced, again.unchanged) == (0, 0, 12)
    assert into.read_bytes() == before
    changed = CSV.replace("r4-8,4,8,0.37500", "r4-8,4,8,0.36") + "r8-8,8,8,0.2,0,y\n"
    more = ingest_runs([write(source, changed)], into, roles=ROLES)
    assert (more.added, more.replaced, more.unchanged, more.rows) == (1, 1, 11, 13)


def test_the_same_run_from_elsewhere_is_a_conflict(tmp_path: Path) -> None:
    into = tmp_path / "runs.parquet"
    ingest_runs([write(tmp_path / "a.csv", CSV)], into, roles=ROLES)
    other = write(tmp_path / "b.csv", CSV.replace("0.37500", "0.3"))
    with pytest.raises(ConfigError, match=r"'r4-8' is already in the table.*--prefix"):
        ingest_runs([other], into, roles=ROLES)
    assert ingest_runs([other], into, roles=ROLES, prefix="b/").added == 12
    assert ingest_runs([other], into, roles=ROLES, replace_rows=True).replaced == 1


@pytest.mark.parametrize(
    ("text", "roles", "words"),
    [
        (CSV, {"loss": "val_eror"}, "did you mean 'val_error'"),
        (CSV, {"los": "val_error"}, "no such role; did you mean 'loss'"),
        (CSV, {"step": "stp"}, "no column 'stp'"),
        (CSV.replace("r1-2,", "r1-1,"), ROLES, "tell them apart"),
        (CSV.replace(",2,1,", ",2M,1,"), ROLES, "size is '2M', expected a number"),
        ("run,loss,data\n", {}, "no rows"),
        ("run,loss,data\na,nan,1\n", {}, "finite number"),
        ("run,loss,data\n,1,1\n", {}, "has no name"),
        ("PAR1 and nothing else", {}, "expected a table"),
        ("run,loss,loss\na,1,2\n", {}, "more than one column is called 'loss'"),
    ],
)
def test_bad_tables(tmp_path: Path, text: str, roles: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        ingest_runs([write(tmp_path / "runs.csv", text)], tmp_path / "runs.parquet", roles=roles)
    assert not (tmp_path / "runs.parquet").exists()


def test_runs_that_diverged_are_left_out_and_told(tmp_path: Path) -> None:
    text = "run,step,hours,loss\na,1,1,0.5\na,2,2,nan\nb,1,1,0.6\nb,2,2,0.5\nc,1,1,\n"
    source = write(tmp_path / "runs.csv", text)
    last = ingest_runs([source], tmp_path / "last.parquet")
    assert (last.rows, sum(last.left_out.values())) == (1, 2)  # a diverged, though its first value was fine
    assert any("left out: a, c" in words for words in last.warnings)
    every = ingest_runs([source], tmp_path / "all.parquet", every=True)
    assert (every.rows, every.runs) == (3, 2)


def test_units_must_not_mix(tmp_path: Path) -> None:
    into = tmp_path / "runs.parquet"
    ingest_runs([write(tmp_path / "a.csv", "run,hours,loss\na,1,1\n")], into)
    with pytest.raises(ConfigError, match=r"mixed units.*'hours' \(hours\).*'train_minutes' \(minutes\)"):
        ingest_runs(
            [write(tmp_path / "b.csv", "run,train_minutes,loss\nb,60,1\n")], into, roles={"data": "train_minutes"}
        )


def test_columns_of_mixed_types_become_text_and_none_is_lost(tmp_path: Path) -> None:
    into = tmp_path / "runs.parquet"
    ingest_runs([write(tmp_path / "a.csv", "run,hours,error,loss,batch\na,1,0.1,7,8\n")], into, roles={"loss": "error"})
    found = ingest_runs([write(tmp_path / "b.csv", "run,hours,loss,batch\nb,2,0.2,auto\n")], into)
    assert any("mixed types" in words and "batch" in words for words in found.warnings)
    table = pq.read_table(into).to_pydict()
    assert table["batch"] == ["8", "auto"]
    assert table["loss"] == [0.1, 0.2]
    assert table["logged.loss"] == [7, None]


def test_a_file_that_is_not_ours_is_not_written_over(tmp_path: Path) -> None:
    into = tmp_path / "data.parquet"
    pq.write_table(pa.table({"x": [1]}), into)
    source = write(tmp_path / "runs.csv", CSV)
    with pytest.raises(ConfigError, match="not a table that 'scale ingest' wrote"):
        ingest_runs([source], into, roles=ROLES)
    with pytest.raises(ConfigError, match="not a Parquet table"):
        ingest_runs([source], tmp_path / "runs.csv", roles=ROLES)
    with pytest.raises(ConfigError, match="no such file or folder"):
        ingest_runs([str(tmp_path / "nothing")], tmp_path / "x.parquet")
    with pytest.raises(ConfigError, match="no run records"):
        ingest_runs([str(tmp_path)], tmp_path / "x.parquet")


def test_own_records_of_training_and_of_results(tmp_path: Path) -> None:
    for name, loss in (("small", 0.5), ("large", 0.25)):
        record = RunRecord(tmp_path / "runs" / name / "train" / "metrics.jsonl")
        record.write("config", config={"model": {"width": 8}, "seed": 3}, data={"hours": 2.0})
        for step in (10, 20):
            record.write("metric", step=step, loss=loss * 20 / step, loss_by_robot={"arm": loss})
        record.close()
    with (tmp_path / "runs/large/train/metrics.jsonl").open("a") as file:
        file.write('{"kind": "metric", "torn')
    found = ingest_runs([str(tmp_path / "runs")], tmp_path / "a.parquet", roles={"data": "data.hours"})
    assert (found.rows, found.runs) == (2, 2)
    rows = pq.read_table(tmp_path / "a.parquet").to_pylist()
    assert [(row["run"], row["step"], row["loss"], row["model.width"]) for row in rows] == [
        ("large", 20, 0.25, 8),
        ("small", 20, 0.5, 8),
    ]
    assert ingest_runs([str(tmp_path / "runs")], tmp_path / "b.parquet", every=True).rows == 4
    results = RunRecord(tmp_path / "points.jsonl")
    for robot in ("arm", "all"):
        results.write("result", run="episodes-1", robot=robot, episodes=1, error=0.5)
    results.close()
    study = ingest_runs([str(tmp_path / "points.jsonl")], tmp_path / "c.parquet")
    assert (study.rows, study.columns["data"], study.columns["loss"]) == (1, "episodes", "error")
    (row,) = pq.read_table(tmp_path / "c.parquet").to_pylist()
    assert (row["run"], row["robot"], row["error_arm"]) == ("episodes-1", "all", 0.5)


def test_exports_of_weights_and_biases(tmp_path: Path) -> None:
    chart = '"Step","big - val/loss","big - val/loss__MIN","big - val/loss__MAX","small - val/loss"\n'
    chart += "1,0.5,0.5,0.5,0.9\n2,0.4,0.4,0.4,\n"
    found = ingest_runs([f"wandb:{write(tmp_path / 'chart.csv', chart)}"], tmp_path / "chart.parquet", every=True)
    assert (found.rows, found.columns) == (3, {"loss": "val/loss"})
    runs = [
        {"id": f"id{n}", "name": f"n{n}", "state": "finished", "config": {"n_params": {"value": n}, "_wandb": {}},
         "summary": {"loss": 1 / n, "_step": 7}, "history": [{"_step": 3, "loss": 1.0}, {"_step": 7, "loss": 1 / n}]}
        for n in (1, 2)
    ]  # fmt: skip
    export = write(tmp_path / "runs.json", json.dumps(runs))
    ingest_runs([f"wandb-export:{export}"], tmp_path / "runs.parquet", every=True)
    rows = pq.read_table(tmp_path / "runs.parquet").to_pylist()
    assert [(r["run"], r["step"], r["loss"], r["size"], r["run_name"]) for r in rows] == [
        ("id1", 3, 1.0, 1, "n1"), ("id1", 7, 1.0, 1, "n1"), ("id2", 3, 1.0, 2, "n2"), ("id2", 7, 0.5, 2, "n2"),
    ]  # fmt: skip
    history = write(
        tmp_path / "h.jsonl", '{"_step": 0, "loss": 1}\n{"_step": 5, "loss": "NaN"}\n{"_step": 9, "loss": 0.5}\n'
    )
    assert ingest_runs([f"wandb:{history}"], tmp_path / "h.parquet", every=True).rows == 2
    table = write(tmp_path / "table.csv", "Name,State,n_params,hours,loss\na,finished,1,2,0.5\nb,crashed,1,4,0.4\n")
    assert ingest_runs([f"wandb:{table}"], tmp_path / "t.parquet").rows == 2
    with pytest.raises(ConfigError, match="line 2 is not JSON"):
        ingest_runs([f"wandb:{write(tmp_path / 'torn.jsonl', '{}' + chr(10) + '{' + chr(34))}"], tmp_path / "x.parquet")


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, into = write(tmp_path / "runs.csv", CSV), str(tmp_path / "runs.parquet")
    names = ["--map", "size=params,data=train_hours,loss=val_error"]
    assert main(["scale", "ingest", source, "--into", into, *names, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["added"] == 12
    assert main(["scale", "ingest", "wandb-export", source, "--into", into, *names]) == 0
    assert "12 unchanged" in capsys.readouterr().out
    assert main(["scale", "fit", into, "--law", "power", "--bootstrap", "20", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n_runs"] == 12
    assert main(["scale", "ingest", source, "--into", into, "--map", "size"]) == 2
    assert main(["scale", "ingest", source, "--into", into, "--all", "--last"]) == 2
    assert main(["scale", "ingest", "wandb-export", "--into", into]) == 2


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_tables_in_other_encodings_are_read_or_refused(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "runs.csv"
    path.write_bytes("r\u00fcn\tdata\tloss\nK\u00fcche\t1\t2\n".encode(encoding))
    if encoding == "latin-1":
        for text in (path.read_bytes(), path.read_bytes().replace(b"r\xfcn", b"run")):  # in a name, in a cell
            path.write_bytes(text)
            with pytest.raises(ConfigError, match="UTF-8"):
                ingest_runs([str(path)], tmp_path / "runs.parquet")
    else:
        ingest_runs([str(path)], tmp_path / "runs.parquet", roles={"run": "r\u00fcn"})
        assert pq.read_table(tmp_path / "runs.parquet")["run"].to_pylist() == ["K\u00fcche"]


def test_a_study_is_taken_from_its_run_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study, shared = tmp_path / "study", {"size": 100, "amount": 2.0, "data": 2.0, "reverse_kl": 3.0}
    rows: list[dict[str, Json]] = []
    for run, seed in (("n100-d2-s0", 0), ("n100-d2-s1", 1)):
        for robot, error in (("arm", 0.4), ("hand", 0.9), (ALL, 0.6)):
            rows.append({"run": run, **shared, "seed": seed, "robot": robot, "error": error, "hours": 0.1})
    study.mkdir()
    for run in ("n100-d2-s0", "n100-d2-s1"):
        append_rows(study, [row for row in rows if row["run"] == run])
    for folder in ("runs/n100-d2-s0", "search/n100-x2"):
        record = RunRecord(study / folder / "metrics.jsonl")
        record.write("metric", step=1, loss=0.01)
        record.close()
    found = []
    for source in (study, study / "runs.jsonl", study / "runs.csv"):
        into = tmp_path / f"{source.name}.parquet"
        assert main(["scale", "ingest", str(source), "--into", str(into), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["runs"] == 2
        found.append([{**row, "provenance": ""} for row in pq.read_table(into).to_pylist()])
    assert found[0] == found[1]
    for row, other in zip(found[0], found[2], strict=True):
        assert (row["loss"], row["error_arm"], row["error_hand"], row["robot"]) == (0.6, 0.4, 0.9, "all")
        assert {name: other[name] for name in row} == row
    curves = ingest_runs([str(study)], tmp_path / "curves.parquet", every=True)
    assert (curves.runs, curves.columns["loss"]) == (1, "loss")  # without the search for a learning rate
    with (study / "runs.jsonl").open("a") as file:
        file.write(json.dumps({"kind": "result", "time_s": 1, **rows[0], "run": "half"}) + "\n")
    again = ingest_runs([str(study)], tmp_path / "again.parquet")
    assert again.runs == 2
    assert any("not finished" in words for words in again.warnings)


def test_charts_of_weights_and_biases_over_any_axis(tmp_path: Path) -> None:
    columns = [f'"run {k} - val/loss{edge}"' for k in range(2) for edge in ("", "__MIN", "__MAX")]
    lines = [",".join(['"train/tokens"', *columns])]
    lines += [",".join([str(1000 * row), *[str(1 / row + k) for k in range(2) for _ in range(3)]]) for row in (1, 2, 4)]
    source = write(tmp_path / "chart.csv", "\n".join(lines))
    found = ingest_runs([f"wandb:{source}"], tmp_path / "runs.parquet")
    rows = pq.read_table(tmp_path / "runs.parquet").to_pylist()
    assert [(row["run"], row["loss"], row["data"]) for row in rows] == [("run 0", 0.25, 4000), ("run 1", 1.25, 4000)]
    assert found.columns == {"data": "train/tokens", "loss": "val/loss"}
    assert ingest_runs([f"wandb:{source}"], tmp_path / "all.parquet", every=True).rows == 6


def test_runs_of_one_name_are_told_apart_by_their_id(tmp_path: Path) -> None:
    text = "Name,ID,State,config.n_params,config.hours,summary.val/loss\nbase,a1,finished,10,1,0.5\n"
    source = write(tmp_path / "table.csv", text + "base,b2,crashed,20,2,0.25\n")
    found = ingest_runs([f"wandb:{source}"], tmp_path / "runs.parquet")
    assert found.columns == {"size": "config.n_params", "data": "config.hours", "loss": "summary.val/loss"}
    assert any("1 runs crashed" in words and "(b2)" in words for words in found.warnings)
    rows = pq.read_table(tmp_path / "runs.parquet").to_pylist()
    assert [(row["run"], row["Name"], row["size"]) for row in rows] == [("a1", "base", 10), ("b2", "base", 20)]
