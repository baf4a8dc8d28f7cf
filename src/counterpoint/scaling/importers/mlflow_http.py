"""Runs of an MLflow tracking server, through its REST API (2.0).

Names and passwords come from MLflow's own environment variables: MLFLOW_TRACKING_TOKEN, or
MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import cast

import httpx

from counterpoint.core.errors import ConfigError
from counterpoint.core.records import Json
from counterpoint.scaling.importers.mlflow_settings import chosen_experiments, settings_of
from counterpoint.scaling.runs.rows import Logged, LoggedRun

_API = "/api/2.0/mlflow/"
_PAGE = 1000
_MAX_PAGES = 10_000
_TIMEOUT_S = 30.0
Entry = dict[str, Json]


def read_server(url: str, experiment: str, *, histories: bool) -> Logged:
    """Return the active runs of a server; with `histories` every value of each metric, else the last.

    Raises:
        ConfigError: the server cannot be reached or refuses, or has no such experiment or no runs.
    """
    with _client(url) as client:
        try:
            known = {
                str(each["experiment_id"]): str(each["name"])
                for each in _pages(client, "experiments/search", {"max_results": _PAGE}, "experiments")
            }
            chosen = chosen_experiments(known, experiment, url)
            asked: Entry = {"experiment_ids": [*chosen], "max_results": _PAGE, "run_view_type": "ACTIVE_ONLY"}
            found = list(_pages(client, "runs/search", asked, "runs")) if chosen else []
            runs = tuple(_run(client, url, each, chosen, histories) for each in found)
        except httpx.HTTPStatusError as error:
            answer = error.response
            raise ConfigError(
                f"mlflow:{url}: the server answered {answer.status_code} to {error.request.url.path}: "
                f"{answer.text[:200]}"
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ConfigError(
                f"mlflow:{url}: cannot be reached ({error}); is it the address of 'mlflow server'?"
            ) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, ConfigError):
                raise
            raise ConfigError(f"mlflow:{url}: the answer is not one of MLflow's REST API ({error!r})") from error
    if not runs:
        raise ConfigError(f"mlflow:{url}: no runs; name another experiment")
    return Logged(runs=runs)


def _client(url: str) -> httpx.Client:
    token, user = os.environ.get("MLFLOW_TRACKING_TOKEN"), os.environ.get("MLFLOW_TRACKING_USERNAME")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    auth = (user, os.environ.get("MLFLOW_TRACKING_PASSWORD", "")) if user and not token else None
    return httpx.Client(base_url=url.rstrip("/"), headers=headers, auth=auth, timeout=_TIMEOUT_S)


def _pages(client: httpx.Client, verb: str, asked: Entry, key: str) -> Iterator[Entry]:
    for _ in range(_MAX_PAGES):
        answer = client.post(_API + verb, json=asked).raise_for_status().json()
        yield from cast("list[Entry]", answer.get(key, []))
        if not answer.get("next_page_token"):
            return
        asked = {**asked, "page_token": answer["next_page_token"]}


def _run(client: httpx.Client, url: str, raw: Entry, experiments: dict[str, str], histories: bool) -> LoggedRun:
    info, data = cast(Entry, raw["info"]), cast(Entry, raw.get("data", {}))
    run = str(info["run_id"])
    tags, params = (_pairs(data.get(key)) for key in ("tags", "params"))
    series: dict[str, dict[int, float]] = {}
    for metric in cast("list[Entry]", data.get("metrics", [])):
        name = str(metric["key"])
        values = list(_history(client, run, name)) if histories else [metric]
        values.sort(key=lambda each: int(cast(str, each.get("timestamp", 0))))
        series[name] = {int(cast(str, each.get("step", 0))): _number(each.get("value")) for each in values}
    experiment = experiments[str(info["experiment_id"])]
    name = str(info.get("run_name") or tags.get("mlflow.runName", ""))
    return LoggedRun(
        name=run,
        provenance=f"mlflow:{url.rstrip('/')}/{run}",
        settings=settings_of(experiment, name, str(info.get("status", "")), params, tags),
        series=series,
    )


def _history(client: httpx.Client, run: str, metric: str) -> Iterator[Entry]:
    asked = {"run_id": run, "metric_key": metric, "max_results": str(_PAGE)}
    for _ in range(_MAX_PAGES):
        answer = client.get(_API + "metrics/get-history", params=asked).raise_for_status().json()
        yield from cast("list[Entry]", answer.get("metrics", []))
        if not answer.get("next_page_token"):
            return
        asked = {**asked, "page_token": answer["next_page_token"]}


def _pairs(listed: Json) -> dict[str, str]:
    return (
        {str(each["key"]): str(each["value"]) for each in listed or [] if isinstance(each, dict)}
        if isinstance(listed, list)
        else {}
    )


def _number(value: Json) -> float:
    """Return a metric; what JSON cannot hold stands there as text."""
    return math.nan if value is None else float(cast(float, value))
