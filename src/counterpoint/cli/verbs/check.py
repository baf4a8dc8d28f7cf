"""The verb `check`: damaged files and faulty recordings in a store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Positional, Suppress

from counterpoint.cli.engines import ParallelArguments
from counterpoint.cli.verb import OverridableArguments, Reply, Verb, table
from counterpoint.core.errors import ConfigError
from counterpoint.core.records import Json

if TYPE_CHECKING:
    from counterpoint.catalog.quality import CheckRun, CheckSummary
    from counterpoint.store import Problem, Store


@dataclass(frozen=True, kw_only=True)
class CheckArguments(ParallelArguments, OverridableArguments):
    """Arguments of `check`."""

    store: Positional[Path]
    """Store to check. Set any threshold by its dotted path, for example --gap.periods 5; --thresholds lists them."""
    verify: bool = False
    """Read every byte and compare checksums. Without it, only the episodes' manifests are read."""
    checks: str = "all"
    """Quality checks to run: `all`, `none` (look only for damaged files), or names separated by commas."""
    robot: str | None = None
    """Check only episodes of this robot."""
    pictures: bool = False
    """Build the video view of every camera first. Without it, only cameras that already have one are checked."""
    mark: bool = False
    """Mark faulty and idle time ranges, so that training skips them. Nothing is deleted."""
    unmark: bool = False
    """Remove those marks."""
    again: bool = False
    """Also check episodes that were checked before with the same thresholds."""
    report: Path | None = None
    """Write an HTML page with tables, plots and thumbnails to this file."""
    thresholds: bool = False
    """List every threshold with its value and meaning, and check nothing."""
    overrides: Suppress[Mapping[str, str]] = field(default_factory=dict)
    """Gathered from the flags that the verb itself does not know."""


def run_check(arguments: CheckArguments) -> Reply:
    """Look for damage and faults; exit code 1 where there is damage or a check fails."""
    from counterpoint.catalog.quality import Thresholds, check_quality, parse_checks, summarize_marks
    from counterpoint.core.config import apply_overrides
    from counterpoint.store import Store, build_video_view

    if arguments.mark and arguments.unmark:
        raise ConfigError("--mark and --unmark: expected at most one of them, got both")
    limits = apply_overrides(Thresholds(), arguments.overrides)
    if arguments.thresholds:
        return _explain(limits)
    checks = parse_checks(arguments.checks)
    store = Store.open(arguments.store)
    problems = store.verify(arguments.open_engine(), progress=True) if arguments.verify else store.damaged
    if not checks:
        return _damage_alone(arguments, store, problems)
    engine = arguments.open_engine()
    if arguments.pictures:
        build_video_view(store, engine=engine, progress=True)
    run = check_quality(
        store,
        limits,
        checks=checks,
        robot=arguments.robot,
        drop=True if arguments.mark else False if arguments.unmark else None,
        again=arguments.again,
        engine=engine,
        progress=True,
    )
    summary = summarize_marks(run.files)
    data = _damage(store, problems)
    data |= {"checked": run.checked, "skipped": run.skipped, "quality": summary.to_dict()}
    data["ok"] = not problems and not summary.episodes["fail"]
    lines = [_damage_text(arguments, store, problems), *_quality_text(arguments, run, summary)]
    if arguments.report is not None:
        from counterpoint.report.quality.page import write_quality_report

        data["report"] = str(write_quality_report(store, arguments.report))
        lines.append(f"report: {arguments.report}")
    return Reply(data=data, text="\n".join(lines), passed=bool(data["ok"]))


def _explain(limits: object) -> Reply:
    from counterpoint.catalog.quality import CHECKS, MEANING, Thresholds
    from counterpoint.core.config import settings, to_dict

    assert isinstance(limits, Thresholds)
    lines = [table(("check", "finds"), [(name, MEANING[name]) for name in CHECKS]), ""]
    lines += [f"--{each.path.replace('_', '-')} {each.value}    {each.doc}" for each in settings(limits)]
    return Reply(data={"thresholds": to_dict(limits), "checks": list(CHECKS)}, text="\n".join(lines))


def _damage(store: Store, problems: list[Problem]) -> dict[str, Json]:
    found: list[Json] = [
        {"reason": each.reason, "path": each.path, "message": each.message, "episode_id": each.episode_id}
        for each in problems
    ]
    return {"ok": not problems, "episodes": len(store), "problems": found}


def _damage_alone(arguments: CheckArguments, store: Store, problems: list[Problem]) -> Reply:
    text = _damage_text(arguments, store, problems)
    return Reply(data=_damage(store, problems), text=text, passed=not problems)


def _damage_text(arguments: CheckArguments, store: Store, problems: list[Problem]) -> str:
    if problems:
        rows = [(each.reason, each.path, each.message) for each in problems]
        return f"{arguments.store}: {len(problems)} problems\n{table(('reason', 'file', 'what'), rows)}"
    depth = (
        "all checksums match" if arguments.verify else "all manifests are readable (--verify also compares checksums)"
    )
    return f"{arguments.store}: {len(store)} episodes, {depth}"


def _quality_text(arguments: CheckArguments, run: CheckRun, summary: CheckSummary) -> list[str]:
    from counterpoint.catalog.quality import MEANING

    hours = sum(summary.hours.values())
    fine = f"{summary.episodes['ok']} fine, {summary.episodes['warn']} with warnings, {summary.episodes['fail']} failed"
    lines = [
        f"quality: {fine}; {summary.hours['ok']:.2f} of {hours:.2f} h fine "
        f"({run.checked} episodes checked now, {run.skipped} earlier)"
    ]
    if summary.checks:
        rows = [
            (each.check, each.episodes, *(each.marks[name] for name in ("note", "warn", "fail")), MEANING[each.check])
            for each in summary.checks
        ]
        lines.append(table(("check", "episodes", "notes", "warnings", "failures", "what it finds"), rows))
    if summary.unseen:
        lines.append(
            f"the cameras of {summary.unseen} episodes were not checked: add --pictures to build their video view"
        )
    if summary.dropped_hours:
        lines.append(
            f"{3600 * summary.dropped_hours:.1f} s are marked and skipped by training; remove the marks with --unmark"
        )
    elif any(each.seconds for each in summary.checks):
        lines.append("next: --report FILE.html shows where; --mark makes training skip the faulty ranges")
    return lines


VERB = Verb(
    example="counterpoint check data/ur5e --verify --report quality.html",
    arguments=CheckArguments,
    run=run_check,
    resume="run the same command again.",
)
