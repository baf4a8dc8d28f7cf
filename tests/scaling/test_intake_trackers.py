"""Stores of experiment trackers: MLflow's folders, SQLite and server, TensorBoard's event files."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pyarrow.parquet as pq
import pytest
from torch.utils.tensorboard import SummaryWriter

from counterpoint.core.errors import ConfigError
from counterpoint.scaling.importers.run import ingest_runs

ROLES = {"size": "n_params", "loss": "val/loss"}


def mlruns(root: Path) -> Path:
    """Write what MLflow 3.17 writes: two experiments, a deleted run, a metric in a folder, a damaged line."""
    for number, name, losses in (("1", "'alpha: one'", (0.5, 0.25)), ("2", "beta", (0.4, 0.2))):
        (root / number).mkdir(parents=True)
        stage = "lifecycle_stage: active\n"
        (root / number / "meta.yaml").write_text(f"experiment_id: '{number}'\n{stage}name: {name}\n")
        for run in (f"{number}aa", f"{number}dead"):
            folder = root / number / run
            for inner in ("params", "tags", "metrics/val"):
                (folder / inner).mkdir(parents=True)
            end = stage if run.endswith("aa") else "lifecycle_stage: deleted\n"
            (folder / "meta.yaml").write_text(f"{end}run_id: {run}\nrun_name: first\nstatus: 3\ntags: []\n")
            (folder / "params/n_params").write_text(f"{number}000")
            (folder / "tags/team").write_text("x")
            (folder / "tags/mlflow.user").write_text("nobody")
            lines = [f"{1000 + place} {loss} {10 * place}" for place, loss in enumerate(losses)]
            (folder / "metrics/val/loss").write_text("\n".join([*lines, "10"]))
            (folder / "metrics/hours").write_text("1000 1.5 0\n1001 3.0 8\n")
    return root


def base(path: Path) -> Path:
    """Write the tables of MLflow's SQLite store that are read."""
    with closing(sqlite3.connect(path)) as store:
        store.executescript(
            """
            CREATE TABLE experiments (experiment_id INTEGER, name TEXT, lifecycle_stage TEXT);
            CREATE TABLE runs (run_uuid TEXT, name TEXT, status TEXT, lifecycle_stage TEXT, experiment_id INTEGER);
            CREATE TABLE params (key TEXT, value TEXT, run_uuid TEXT);
            CREATE TABLE tags (key TEXT, value TEXT, run_uuid TEXT);
            CREATE TABLE metrics (key TEXT, value REAL, timestamp INTEGER, run_uuid TEXT, step INTEGER, is_nan BOOLEAN);
            INSERT INTO experiments VALUES (1, 'alpha', 'active'), (2, 'old', 'deleted');
            INSERT INTO runs VALUES ('aa', 'first', 'FINISHED', 'active', 1), ('bb', 'gone', 'FAILED', 'deleted', 1),
                ('cc', 'third', 'FINISHED', 'active', 1);
            INSERT INTO params VALUES ('n_params', '1000', 'aa'), ('n_params', '2000', 'cc');
            INSERT INTO metrics VALUES ('val/loss', 0.5, 1, 'aa', 0, 0), ('val/loss', 0.4, 2, 'aa', 5, 0),
                ('val/loss', 0, 1, 'cc', 5, 1);
            """
        )
        store.commit()
    return path


def test_folders_of_mlflow(tmp_path: Path) -> None:
    root = mlruns(tmp_path / "mlruns")
    found = ingest_runs([f"mlflow:{root}"], tmp_path / "last.parquet", roles=ROLES)
    rows = pq.read_table(tmp_path / "last.parquet").to_pylist()
    assert [(r["run"], r["loss"], r["size"], r["experiment"], r["tag.team"], r["status"]) for r in rows] == [
        ("1aa", 0.25, 1000, "alpha: one", "x", "FINISHED"),
        ("2aa", 0.2, 2000, "beta", "x", "FINISHED"),
    ]
    assert "tag.mlflow.user" not in rows[0]
    assert any("2 deleted runs" in words for words in found.warnings)
    assert any("1 damaged lines" in words for words in found.warnings)
    one = ingest_runs([f"mlflow:{root}#beta"], tmp_path / "all.parquet", roles=ROLES, every=True)
    assert (one.rows, one.runs) == (2, 1)
    hours = pq.read_table(tmp_path / "all.parquet")["data"].to_pylist()
    assert hours == [1.5, 3.0]  # the last value logged up to the step of the loss
    with pytest.raises(ConfigError, match="no experiment 'bet'; did you mean 'beta'"):
        ingest_runs([f"mlflow:{root}#bet"], tmp_path / "x.parquet")
    with pytest.raises(ConfigError, match="did you mean its folder mlruns"):
        ingest_runs([f"mlflow:{tmp_path}"], tmp_path / "x.parquet")
    with pytest.raises(ConfigError, match="not supported"):
        ingest_runs(["mlflow:postgresql://host/base"], tmp_path / "x.parquet")
    with pytest.raises(ConfigError, match="did you mean 'val/loss'"):
        ingest_runs([f"mlflow:{root}"], tmp_path / "x.parquet", roles={"loss": "val/los"})
    with pytest.raises(ConfigError, match="--all: 'n_params' was logged once a run"):
        ingest_runs([f"mlflow:{root}"], tmp_path / "x.parquet", roles={"loss": "n_params"}, every=True)


def test_sqlite_of_mlflow_is_read_only(tmp_path: Path) -> None:
    path = base(tmp_path / "mlflow.db")
    before = path.read_bytes()
    found = ingest_runs([f"mlflow:sqlite:///{path}"], tmp_path / "runs.parquet", roles=ROLES)
    assert (found.rows, found.left_out) == (1, {"not_finite": 1})
    assert path.read_bytes() == before
    (tmp_path / "torn.db").write_bytes(before[:3000])
    for name in ("torn.db", "none.db"):
        with pytest.raises(ConfigError, match="mlflow:sqlite"):
            ingest_runs([f"mlflow:sqlite:///{tmp_path / name}"], tmp_path / "x.parquet")


class Answers(BaseHTTPRequestHandler):
    """Answers as MLflow 3.17's server does, in pages of one run."""

    values: ClassVar[list[object]] = [0.5, 0.25, "NaN"]

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.endswith("experiments/search"):
            self._answer({"experiments": [{"experiment_id": "2", "name": "beta", "lifecycle_stage": "active"}]})
            return
        place = int(asked.get("page_token", "0"))
        info = {"run_id": f"run{place}", "experiment_id": "2", "run_name": "first", "status": "FINISHED"}
        metric = {"key": "val/loss", "value": 0.25, "timestamp": 2, "step": 10}
        params = [{"key": "n_params", "value": "3000"}]
        more = {"next_page_token": "1"} if place == 0 else {}
        self._answer({"runs": [{"info": info, "data": {"metrics": [metric], "params": params}}], **more})

    def do_GET(self) -> None:
        told = [
            {"key": "val/loss", "value": value, "timestamp": place, "step": 10 * place}
            for place, value in enumerate(self.values)
        ]
        self._answer({"metrics": told})

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Answers) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def test_a_server_of_mlflow(server: str, tmp_path: Path) -> None:
    last = ingest_runs([f"mlflow:{server}"], tmp_path / "last.parquet", roles=ROLES)
    assert (last.rows, last.runs) == (2, 2)
    every = ingest_runs([f"mlflow:{server}#beta"], tmp_path / "all.parquet", roles=ROLES, every=True)
    assert (every.rows, every.left_out) == (4, {"not_finite": 2})
    with pytest.raises(ConfigError, match="did you mean 'beta'"):
        ingest_runs([f"mlflow:{server}#betta"], tmp_path / "x.parquet")
    with pytest.raises(ConfigError, match="cannot be reached"):
        ingest_runs(["mlflow:http://127.0.0.1:1"], tmp_path / "x.parquet")


def events(root: Path) -> Path:
    for size in (1, 2):
        with SummaryWriter(root / f"size{size}") as board:
            for step in range(5):
                board.add_scalar("val/loss", 1 / (size + step), step)
                board.add_scalar("hours", 0.5 * step + 0.5, step)
            board.add_hparams({"n_params": size * 1000, "optimizer": "adam"}, {"val/final": 0.5})
    return root


def test_event_files(tmp_path: Path) -> None:
    root = events(tmp_path / "logs")
    found = ingest_runs([f"tensorboard:{root}"], tmp_path / "runs.parquet", roles=ROLES, every=True)
    assert (found.rows, found.runs, found.columns["data"]) == (10, 2, "hours")
    row = pq.read_table(tmp_path / "runs.parquet").to_pylist()[4]
    assert (row["run"], row["step"], row["size"], row["optimizer"]) == ("size1", 4, 1000, "adam")
    assert row["loss"] == pytest.approx(1 / 5)
    assert ingest_runs([f"tensorboard:{root}"], tmp_path / "runs.parquet", roles=ROLES, every=True).unchanged == 10


def test_event_files_that_are_cut_or_damaged(tmp_path: Path) -> None:
    root = events(tmp_path / "logs")
    cut, damaged = (next(path for path in (root / name).glob("*tfevents*")) for name in ("size1", "size2"))
    cut.write_bytes(cut.read_bytes()[:-140])
    raw = bytearray(damaged.read_bytes())
    raw[raw.rindex(b"hours")] ^= 0xFF
    damaged.write_bytes(raw)
    found = ingest_runs([f"tensorboard:{root}"], tmp_path / "runs.parquet", roles={"loss": "val/loss"}, every=True)
    assert 0 < found.rows < 10
    assert any("ends within a record" in words for words in found.warnings)
    assert any("is damaged" in words for words in found.warnings)
    with pytest.raises(ConfigError, match="did you mean 'val/loss'"):
        ingest_runs([f"tensorboard:{root}"], tmp_path / "x.parquet", roles={"loss": "val-loss"})
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="no event files"):
        ingest_runs([f"tensorboard:{tmp_path / 'empty'}"], tmp_path / "x.parquet")
    (tmp_path / "empty" / "a.tfevents.1").write_bytes(b"not an event file at all")
    with pytest.raises(ConfigError, match="without a scalar"):
        ingest_runs([f"tensorboard:{tmp_path / 'empty'}"], tmp_path / "x.parquet")
