"""Runs that MLflow keeps, without its package: folders of files and SQLite; servers are in `mlflow_http`.

    FOLDER/<experiment id>/meta.yaml                   name: ..., lifecycle_stage: active
    FOLDER/<experiment id>/<run id>/meta.yaml          run_name: ..., status: 3, lifecycle_stage: active
                                   /params/NAME        text
                                   /tags/NAME          text
                                   /metrics/NAME       lines of "time_ms value step"; NAME may hold slashes (folders)
    sqlite:///FILE                                     tables experiments, runs, params, tags, metrics

Deleted experiments and runs are left out and counted. Of tags only the user's own are taken, as `tag.NAME`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from counterpoint.core.errors import ConfigError
from counterpoint.scaling.importers.mlflow_settings import chosen_experiments, settings_of
from counterpoint.scaling.runs.rows import Logged, LoggedRun

_MAX_TEXT = 1 << 20
_STATUS = {"1": "RUNNING", "2": "SCHEDULED", "3": "FINISHED", "4": "FAILED", "5": "KILLED"}
_TABLES = {"experiments", "runs", "params", "metrics"}


def read_mlflow(address: str, *, histories: bool) -> Logged:
    """Return the runs at `FOLDER`, `sqlite:///FILE` or `http(s)://HOST`, of one experiment where `#NAME` follows.

    Args:
        address: as above; `file:` before a folder is allowed.
        histories: whether every value of a metric is wanted; a server is asked for the last ones only otherwise.

    Raises:
        ConfigError: nothing of MLflow's is there, or no such experiment (offers the nearest).
    """
    uri, _, experiment = address.partition("#")
    scheme = uri.partition(":")[0].lower()
    if scheme in ("http", "https"):
        from counterpoint.scaling.importers.mlflow_http import read_server  # its client is an extra

        return read_server(uri, experiment, histories=histories)
    if scheme == "sqlite":
        return _sqlite(Path(uri.removeprefix("sqlite:///") if uri.startswith("sqlite:///") else uri[7:]), experiment)
    if scheme in ("mysql", "postgresql", "mssql", "databricks"):
        raise ConfigError(
            f"mlflow:{uri}: {scheme} is not supported; start 'mlflow server' on it and give mlflow:http://HOST:PORT"
        )
    return _folder(Path(unquote(urlsplit(uri).path)) if scheme == "file" else Path(uri), experiment)


def _folder(root: Path, wanted: str) -> Logged:
    if not root.is_dir():
        raise ConfigError(
            f"mlflow:{root}: no such folder; expected one of MLflow's (mlruns), sqlite:///FILE or http://HOST"
        )
    folders = {
        meta.parent.name: meta.parent for meta in sorted(root.glob("*/meta.yaml")) if "experiment_id" in _meta(meta)
    }
    metas = {number: _meta(folder / "meta.yaml") for number, folder in folders.items()}
    active = {number: meta for number, meta in metas.items() if meta.get("lifecycle_stage", "active") == "active"}
    if not active:
        inner = "; did you mean its folder mlruns?" if (root / "mlruns").is_dir() else ""
        raise ConfigError(f"mlflow:{root}: found no experiments (*/meta.yaml) in this folder{inner}")
    chosen = chosen_experiments(
        {number: meta.get("name", number) for number, meta in active.items()}, wanted, str(root)
    )
    runs: list[LoggedRun] = []
    warnings: list[str] = []
    deleted = 0
    for number, name in chosen.items():
        for meta_file in sorted(folders[number].glob("*/meta.yaml")):
            meta = _meta(meta_file)
            if "run_id" not in meta and "run_uuid" not in meta:
                continue  # models and traces lie beside runs
            if meta.get("lifecycle_stage", "active") != "active":
                deleted += 1
                continue
            runs.append(_run(meta_file.parent, meta, name, warnings))
    return _logged(runs, warnings, deleted, f"mlflow:{root}")


def _run(folder: Path, meta: Mapping[str, str], experiment: str, warnings: list[str]) -> LoggedRun:
    tags = {name: _text(path) for name, path in _named_files(folder / "tags")}
    params = {name: _text(path) for name, path in _named_files(folder / "params")}
    name = meta.get("run_name") or tags.get("mlflow.runName", "")
    series: dict[str, dict[int, float]] = {}
    damaged = 0
    for metric, path in _named_files(folder / "metrics"):
        times: dict[int, int] = {}
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            words = line.split()
            try:
                time, value, step = int(words[0]), float(words[1]), int(words[2]) if len(words) > 2 else 0
            except (ValueError, IndexError):
                damaged += 1
                continue
            if time >= times.get(step, time):  # the value logged last at a step counts
                series.setdefault(metric, {})[step] = value
                times[step] = time
    if damaged:
        warnings.append(f"{folder}: {damaged} damaged lines of metrics left out")
    status = _STATUS.get(meta.get("status", ""), meta.get("status", ""))
    return LoggedRun(
        name=meta.get("run_id") or meta["run_uuid"],
        provenance=f"mlflow:{folder.resolve()}",
        settings=settings_of(experiment, name, status, params, tags),
        series=series,
    )


def _named_files(folder: Path) -> Iterable[tuple[str, Path]]:
    return [
        (path.relative_to(folder).as_posix(), path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    ]


def _text(path: Path) -> str:
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.read(_MAX_TEXT).removesuffix("\n")


def _meta(path: Path) -> dict[str, str]:
    """Return the scalar entries of a meta.yaml as text; none where the file is not YAML."""
    try:
        raw = YAML(typ="base", pure=True).load(_text(path))
    except (YAMLError, ValueError, RecursionError, AttributeError, TypeError, KeyError, IndexError):
        return {}
    return {key: value for key, value in raw.items() if isinstance(value, str)} if isinstance(raw, dict) else {}


def _sqlite(path: Path, wanted: str) -> Logged:
    if not path.is_file():
        raise ConfigError(f"mlflow:sqlite:///{path}: no such file")
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as base:
            tables = {str(name) for (name,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if not tables >= _TABLES:
                lacking = ", ".join(sorted(_TABLES - tables))
                raise ConfigError(f"mlflow:sqlite:///{path}: not a tracking store of MLflow; it lacks {lacking}")
            return _of_base(base, path, wanted)
    except sqlite3.Error as error:
        raise ConfigError(f"mlflow:sqlite:///{path}: not a tracking store of MLflow ({error})") from error


def _of_base(base: sqlite3.Connection, path: Path, wanted: str) -> Logged:
    known = base.execute("SELECT experiment_id, name FROM experiments WHERE lifecycle_stage = 'active'").fetchall()
    chosen = chosen_experiments({str(number): str(name) for number, name in known}, wanted, f"sqlite:///{path}")
    runs: list[LoggedRun] = []
    deleted = 0
    rows = base.execute("SELECT run_uuid, experiment_id, name, status, lifecycle_stage FROM runs ORDER BY run_uuid")
    for run, number, name, status, stage in rows.fetchall():
        if str(number) not in chosen:
            continue
        if stage != "active":
            deleted += 1
            continue
        params = dict(base.execute("SELECT key, value FROM params WHERE run_uuid = ?", (run,)).fetchall())
        tags = dict(base.execute("SELECT key, value FROM tags WHERE run_uuid = ?", (run,)).fetchall())
        series: dict[str, dict[int, float]] = {}
        logged = base.execute(
            "SELECT key, value, step, is_nan FROM metrics WHERE run_uuid = ? ORDER BY timestamp", (run,)
        )
        for key, value, step, is_nan in logged:
            series.setdefault(str(key), {})[int(step)] = float("nan") if is_nan or value is None else float(value)
        runs.append(
            LoggedRun(
                name=str(run),
                provenance=f"mlflow:{path.resolve()}/{run}",
                settings=settings_of(
                    chosen[str(number)], str(name or tags.get("mlflow.runName", "")), str(status),
                    {str(key): str(value) for key, value in params.items()},
                    {str(key): str(value) for key, value in tags.items()},
                ),
                series=series,
            )
        )  # fmt: skip
    return _logged(runs, [], deleted, f"mlflow:sqlite:///{path}")


def _logged(runs: list[LoggedRun], warnings: list[str], deleted: int, where: str) -> Logged:
    if not runs:
        raise ConfigError(
            f"{where}: no runs{f' but {deleted} deleted ones' if deleted else ''}; name another experiment"
        )
    if deleted:
        warnings = [*warnings, f"{where}: {deleted} deleted runs left out"]
    return Logged(runs=tuple(runs), warnings=tuple(warnings))
