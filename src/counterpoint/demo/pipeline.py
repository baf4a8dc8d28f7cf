"""The demo, stage by stage. Each stage leaves a file on disk that later stages and the report read.

collect  data/sim      train    train/         rollout  rollout.json, videos/
ingest   data/real     offline  offline.json   law      law/, law.json          report  report.html
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path

from counterpoint.core.config import to_dict
from counterpoint.core.errors import ConfigError
from counterpoint.core.records import Json, finite_json, read_records
from counterpoint.demo.collecting import collect_all
from counterpoint.demo.config import DemoConfig, curve, rollouts, training, training_seconds
from counterpoint.demo.speed import speed_sentence
from counterpoint.demo.stages import Stages, num_cores
from counterpoint.engine.progress import Progress, write_line
from counterpoint.evaluate.offline import evaluate_offline
from counterpoint.evaluate.rollout import RolloutConfig, RolloutResult, rollout, worker_pool
from counterpoint.evaluate.worlds import fitting_pairs
from counterpoint.ingest import ingest
from counterpoint.policy.model_policy import ModelPolicy
from counterpoint.report import write_report
from counterpoint.report.artefacts import load_artefacts
from counterpoint.report.overview import overview_table
from counterpoint.report.verdict import training_speed
from counterpoint.scaling.study.curve import fit_curve, run_curve, usable_amounts
from counterpoint.store import Store
from counterpoint.train.config import TrainConfig
from counterpoint.train.trainer import train

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class DemoResult:
    """What the demo made."""

    report: Path
    seconds: dict[str, float]
    """Wall-clock seconds by stage."""
    summary: str
    """A short table for the terminal."""

    def to_dict(self) -> dict[str, Json]:
        """Return plain JSON."""
        return {"report": str(self.report), "seconds": {**self.seconds}, "total_seconds": sum(self.seconds.values())}


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Where everything is, and what is done."""

    config: DemoConfig
    out: Path
    logs: Path | None
    progress: bool
    stages: Stages

    @property
    def simulated(self) -> Path:
        """Store of simulated episodes."""
        return self.out / "data" / "sim"

    @property
    def real(self) -> Path:
        """Store of recordings."""
        return self.out / "data" / "real"

    @property
    def stores(self) -> tuple[Path, ...]:
        """Stores that the model learns from."""
        return (self.simulated, self.real) if self.logs is not None else (self.simulated,)

    def training(self) -> TrainConfig:
        """Return the configuration of the model that learns all robots."""
        weights = dict.fromkeys(Store.open(self.simulated).embodiments, 1.0)
        if self.logs is not None:
            weights |= dict.fromkeys(Store.open(self.real).embodiments, self.config.real_weight)
        return training(self.config, self.stores, weights, self.out / "train", self.training_s)

    @property
    def training_s(self) -> float:
        """Seconds of training that the stages before it leave."""
        return training_seconds(self.config, sum(self.stages.seconds.get(name, 0.0) for name in ("collect", "ingest")))


def run_demo(
    out: Path,
    logs: Path | None = None,
    config: DemoConfig | None = None,
    *,
    progress: bool = True,
    say: Say | None = None,
) -> DemoResult:
    """Run the whole pipeline in the folder `out`. Re-running resumes after the last finished stage.

    Args:
        out: folder for everything; the report is `out/report.html`.
        logs: recordings of real robots to train on as well.
        config: budgets.
        progress: whether to show progress.
        say: shows one line; writes to standard error by default.

    Raises:
        ConfigError: `out` holds a demo with other settings.
        CounterpointError: what the stages raise.
    """
    config = config or DemoConfig()
    _check_same(out, config, logs)
    show = say or write_line
    cores = min(config.workers, num_cores())
    stages = Stages(out, total=6 + (logs is not None), cores=cores, say=show)
    demo = Demo(config=config, out=out, logs=logs, progress=progress, stages=stages)
    try:
        stages.run("collect", "scripted experts perform the tasks on every robot", lambda: _collect(demo))
        if logs is not None:
            stages.run("ingest", f"recordings of real robots from {logs}", lambda: _ingest(demo, logs))
        stages.run("train", f"one model for all robots, {demo.training_s:.0f} s", lambda: _train(demo, show))
        stages.run("offline", "error on held-out episodes beside simple baselines", lambda: _offline(demo))
        stages.run("rollout", "success in unseen worlds at several inference delays", lambda: _rollout(demo))
        stages.run("law", f"error against data, {len(config.law_amounts)} amounts", lambda: _law(demo))
        stages.run("report", "one page with every result", lambda: f"wrote {write_report(out)}")
    finally:
        stages.close()
    write_report(out)  # again, because only now are the report's own seconds on record
    return DemoResult(report=out / "report.html", seconds=stages.seconds, summary=summary(out, stages.seconds, cores))


def summary(out: Path, seconds: Mapping[str, float], cores: int) -> str:
    """Return the result as a table for the terminal, with the time it took and the machine's speed."""
    artefacts = load_artefacts(out)
    table = overview_table(artefacts)
    lines = [table.header, *table.body] if table is not None else []
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    speed = training_speed(artefacts.metrics)
    machine = f" on {cores} cores" + (f"; training ran at {speed:,.0f} tokens/s" if speed is not None else "")
    return "\n".join([*rows, "", f"{sum(seconds.values()) / 60:.1f} minutes in total{machine}"])


def _collect(demo: Demo) -> str:
    config = demo.config
    collect_all(
        demo.simulated,
        {(robot, task): config.episodes[task] for robot, task in fitting_pairs(config.robots, config.tasks)},
        seed=config.seed,
        workers=config.workers,
        progress=demo.progress,
    )
    store = Store.open(demo.simulated)
    minutes = sum(info.duration_s for info in store.episodes) / 60
    return f"{len(store)} episodes, {minutes:.0f} minutes of robot time"


def _ingest(demo: Demo, logs: Path) -> str:
    report = ingest([logs], demo.real, progress=demo.progress)
    return f"added {report.added} episodes, quarantined {len(report.quarantined)}"


def _train(demo: Demo, say: Say) -> str:
    config = demo.training()
    has_spoken = False

    def on_metrics(metrics: Mapping[str, Json]) -> None:
        """Say once how fast this machine is; the first step is left out because it warms up."""
        nonlocal has_spoken
        if not has_spoken and float(str(metrics["step"])) > 1:
            say(f"      {speed_sentence(float(str(metrics['tokens_per_s'])), min(config.threads, num_cores()))}")
            has_spoken = True

    result = train(config, resume=config.out.exists(), progress=demo.progress, on_metrics=on_metrics)
    if not result.is_finished:
        raise KeyboardInterrupt
    return f"{result.step} steps, loss {float(str(result.metrics['loss'])):.3f}"


def _offline(demo: Demo) -> str:
    config = demo.training()
    policy = ModelPolicy(config.out, threads=demo.config.workers)
    held_out = replace(config.data.selection(), split="test")
    results = evaluate_offline(policy, [Store.open(path) for path in demo.stores], held_out, demo.config.offline)
    write_json(demo.out / "offline.json", {"results": [result.to_dict() for result in results]})
    wins = sum(result.next_action_mse < min(result.baselines.values()) for result in results)
    return f"error below all baselines on {wins} of {len(results)} robots"


def _rollout(demo: Demo) -> str:
    rows: list[Json] = []
    with worker_pool(demo.config.workers) as pool:
        for kind, config in rollouts(demo.config, demo.out / "train", demo.out / "videos").items():
            shared = pool if config.workers > 1 else None
            results = [result.to_dict() for result in _with_bar(kind, config, shared, demo.progress)]
            if kind == "films":
                _attach_films(rows, results, demo.out)
            else:
                rows += [{**row, "policy": "model" if config.policy != "hold" else "hold"} for row in results]
    write_json(demo.out / "rollout.json", {"results": rows})
    found = [row["success_rate"] for row in rows if isinstance(row, dict) and row["policy"] == "model"]
    rates = [float(str(rate)) for rate in found if rate is not None]
    solved = f"solved {100 * sum(rates) / len(rates):.0f}% of worlds over all delays" if rates else "measured nothing"
    missing = len(found) - len(rates)
    return solved + (f"; the time budget left out {missing} of {len(found)} results" if missing else "")


def _with_bar(kind: str, config: RolloutConfig, pool: Executor | None, progress: bool) -> list[RolloutResult]:
    with Progress(f"rollout {kind}", unit="group", shown=progress) as bar:
        return rollout(config, bar.reach, pool=pool)


def _attach_films(rows: list[Json], filmed: list[dict[str, Json]], out: Path) -> None:
    """Put each film into the row of its robot, task and delay, or into a row of its own."""
    for film in filmed:
        videos: list[Json] = [str(Path(str(name)).relative_to(out)) for name in _listed(film["videos"])]
        key = (film["robot"], film["task"], film["delay_ms"], "model")
        for row in rows:
            if isinstance(row, dict) and (row["robot"], row["task"], row["delay_ms"], row["policy"]) == key:
                row["videos"], row["films_solved"] = videos, film["successes"]
                break
        else:
            rows.append({**film, "policy": "model", "videos": videos, "films_solved": film["successes"]})


def _listed(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _law(demo: Demo) -> str:
    last = read_records(demo.out / "train" / "metrics.jsonl", "metric")[-1]
    speed = float(str(last["step"])) / float(str(last["elapsed_s"]))
    config = curve(demo.config, demo.training(), speed)
    config = replace(config, amounts=usable_amounts(config))
    with Progress("law", unit="run", shown=demo.progress) as bar:
        study = run_curve(config, demo.out / "law", bar.reach)
    law = fit_curve(study, config.law)
    write_json(demo.out / "law.json", law)
    fits = law["fits"]
    assert isinstance(fits, dict)
    return f"fitted {len(fits)} curves to {len(config.amounts)} amounts of data"


def _check_same(out: Path, config: DemoConfig, logs: Path | None) -> None:
    """Refuse to mix two demos in one folder."""
    settings: dict[str, Json] = {"config": to_dict(config), "logs": None if logs is None else str(logs)}
    path = out / "demo.json"
    if path.is_file() and json.loads(path.read_text(encoding="utf-8")) != json.loads(json.dumps(settings)):
        raise ConfigError(
            f"{path}: this folder holds a demo with other settings; choose another --out or delete the folder"
        )
    write_json(path, settings)


def write_json(path: Path, value: dict[str, Json]) -> None:
    """Write a JSON file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(finite_json(value), indent=1, allow_nan=False), encoding="utf-8")
    part.replace(path)
