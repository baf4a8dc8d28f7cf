"""The page of a store's checks: verdict, findings by check, by robot, site and task, and the worst episodes."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from counterpoint.catalog.marks import MarkFiles, load_mark_files
from counterpoint.catalog.quality import CHECKS, MEANING, CheckSummary, summarize_marks
from counterpoint.catalog.quality.summary import VERDICTS, GroupCount, group_counts
from counterpoint.core.errors import CounterpointError
from counterpoint.report.layout import Card, Section, Table, render_page, save_page
from counterpoint.report.quality.plots import draw
from counterpoint.report.quality.words import Mark, hours, phrase, time_of, title
from counterpoint.report.style import FAINT, Picture, canvas, to_svg
from counterpoint.store import Store, ViewFrames

PER_CHECK = 2
"""Examples of each check."""
MAX_EXAMPLES = 20
MAX_GROUPS = 12
MAX_ROWS = 200
COLOURS = {"ok": "#3d8b5f", "warn": "#d9a32b", "fail": "#c2503e"}
WORDS = {"ok": "fine", "warn": "with warnings", "fail": "failed"}
VERDICT_OF = {"fail": "Failed", "warn": "Warning", "note": "Note"}
GROUPS = ("robot", "site", "task")


def write_quality_report(store: Store, out: Path) -> Path:
    """Write the page about the marks of `store`; return its path.

    Raises:
        CounterpointError: the store was never checked, its marks are damaged, or the file cannot be written.
    """
    files = load_mark_files(store.root)
    if not files.checked.num_rows:
        raise CounterpointError(f"{store.root}: never checked; run 'counterpoint check {store.root}' first")
    summary = summarize_marks(files)
    groups = {key: group_counts(files, store.flat(), key) for key in GROUPS}
    sections = [
        _checks_section(summary),
        _examples_section(store, files),
        *_group_sections(groups),
        _worst_section(store, files),
        _method_section(store, files, summary),
    ]
    html = render_page(
        title=f"quality of {store.root.resolve().name}",
        headline=_headline(summary),
        lead=(_sentence(store, summary, groups),),
        cards=_cards(summary),
        sections=[section for section in sections if section is not None],
    )
    return save_page(html, out, option="--report")


def _headline(summary: CheckSummary) -> str:
    total = sum(summary.hours.values())
    share = 100 * summary.hours["ok"] / total if total else 100.0
    words = f"{hours(summary.hours['ok'])} of {hours(total)} of robot time passed every check ({share:.0f}%)"
    if summary.episodes["fail"]:
        return f"{words}; {_episodes(summary.episodes['fail'])} failed a check"
    return f"{words}; no episode failed a check"


def _sentence(store: Store, summary: CheckSummary, groups: dict[str, tuple[GroupCount, ...]]) -> str:
    worst = sorted((each for each in summary.checks if each.faulty), key=lambda each: -each.faulty)[:3]
    said = ", ".join(f"{title(each.check)} ({_episodes(each.faulty)})" for each in worst)
    robots = len(groups["robot"])
    found = f"Most frequent findings: {said}." if said else "No check gave a warning."
    left = f" {len(store) - sum(summary.episodes.values())} episodes were not checked."
    unchecked = left if len(store) > sum(summary.episodes.values()) else ""
    what = f"{_episodes(sum(summary.episodes.values()))} of {robots} robot{'s' * (robots != 1)} checked."
    return f"{what} {found}{unchecked}"


def _episodes(count: int) -> str:
    return f"{count:,} episode{'s' * (count != 1)}"


def _cards(summary: CheckSummary) -> list[Card]:
    total = max(sum(summary.hours.values()), 1e-12)
    cards = [
        Card(value=f"{100 * summary.hours['ok'] / total:.0f}%", label="of robot time passed every check", mark="good"),
        Card(
            value=str(summary.episodes["warn"]),
            label=f"episodes with warnings, {hours(summary.hours['warn'])}",
            mark="mixed" if summary.episodes["warn"] else "plain",
        ),
        Card(
            value=str(summary.episodes["fail"]),
            label=f"episodes failed, {hours(summary.hours['fail'])}",
            mark="bad" if summary.episodes["fail"] else "plain",
        ),
    ]
    dropped = hours(summary.dropped_hours) if summary.dropped_hours else "none"
    return [*cards, Card(value=dropped, label="marked to be left out of training")]


def _checks_section(summary: CheckSummary) -> Section:
    body = tuple(
        (
            title(each.check),
            MEANING[each.check],
            *(f"{each.marks[name]:,}" if each.marks[name] else "" for name in ("fail", "warn", "note")),
            f"{each.episodes:,}",
            hours(each.seconds / 3600),
        )
        for each in sorted(summary.checks, key=lambda each: (-each.faulty, -each.episodes))
    )
    silent = [title(name) for name in CHECKS if name not in {each.check for each in summary.checks}]
    words = [f"These checks found nothing: {', '.join(silent)}."] if silent else []
    if summary.unseen:
        words.append(
            f"The cameras of {_episodes(summary.unseen)} were not checked because they are not in the video view. "
            "Run the check with --pictures."
        )
    header = ("check", "what it looks for", "failures", "warnings", "notes", "episodes", "robot time")
    note = (
        "A failure makes the episode fail, a warning is worth a look, and a note only describes the episode. "
        "Robot time counts a moment once for each mark that covers it."
    )
    tables = (Table(header=header, body=body, note=note),) if body else ()
    return Section(anchor="checks", title="What the checks found", words=tuple(words), tables=tables)


def _group_sections(groups: dict[str, tuple[GroupCount, ...]]) -> list[Section | None]:
    found: list[Section | None] = []
    for key, counts in groups.items():
        if [count.name for count in counts] == ["(unknown)"]:
            continue
        body = tuple(
            (
                count.name,
                *(f"{count.episodes[name]:,}" for name in VERDICTS),
                hours(sum(count.hours.values())),
                f"{100 * count.hours['ok'] / max(sum(count.hours.values()), 1e-12):.0f}%",
                ", ".join(map(title, count.worst)),
            )
            for count in counts[:MAX_ROWS]
        )
        header = (key, "fine", "warnings", "failed", "robot time", "share fine", "most frequent")
        note = (
            f"Episodes by verdict, {len(counts)} {key}{'s' * (len(counts) != 1)} in total; the share is of robot time."
        )
        many = len(counts) > MAX_GROUPS
        table = Table(header=header, body=body, note=note, summary=f"All {len(counts)} {key}s" if many else "")
        picture = _bars(key, counts[:MAX_GROUPS]) if len(counts) > 1 else None
        found.append(
            Section(anchor=key, title=f"By {key}", pictures=(picture,) if picture is not None else (), tables=(table,))
        )
    return found


def _bars(key: str, counts: Sequence[GroupCount]) -> Picture:
    places = range(len(counts))  # not the names: two of them may be cut to the same words
    names = [textwrap.shorten(count.name.replace("_", " "), 30, placeholder=" ...") for count in reversed(counts)]
    total = max(sum(count.hours.values()) for count in counts)
    unit, factor = ("hours", 1.0) if total >= 2 else ("minutes", 60.0)
    with canvas(0.34 * len(counts) + 1.1) as (figure, axes):
        left = [0.0] * len(counts)
        for name in VERDICTS:
            width = [factor * count.hours[name] for count in reversed(counts)]
            axes.barh(places, width, left=left, color=COLOURS[name], label=WORDS[name], height=0.62)
            left = [a + b for a, b in zip(left, width, strict=True)]
        axes.set_yticks(places, names)
        axes.set_xlabel(f"{unit} of robot time")
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", colors=FAINT, length=0)
        axes.legend(ncols=3, loc="lower left", bbox_to_anchor=(-0.02, 1.0), handlelength=1.0)
        svg = to_svg(figure, f"verdicts by {key}")
    return Picture(svg=svg, title=f"Robot time by {key}", meaning=f"The {len(counts)} with the most robot time.")


def _examples_section(store: Store, files: MarkFiles) -> Section | None:
    """Up to two examples of each check, failures first, drawn from the data."""
    view = ViewFrames(store.root)
    pictures = []
    for number, mark in enumerate(_examples(files.marks)):
        svg = draw(store, view, mark, f"{number:02d} {mark.check} {mark.stream}")
        if svg is None:
            continue
        info = store.info(mark.episode_id)
        what = " / ".join(part for part in (info.provenance.robot, info.provenance.task) if part)
        left = "; left out of training" if mark.drop else ""
        where = f"{VERDICT_OF[mark.severity]}: {mark.stream}, {time_of(mark, info.start_ns)}{left}"
        pictures.append(
            Picture(
                svg=svg,
                title=f"{title(mark.check).capitalize()}: {phrase(mark)}",
                meaning=f"{where}. {what}, {mark.episode_id}",
            )
        )
    if not pictures:
        return None
    words = (
        f"At most {PER_CHECK} of each check, the worst first. The marked range is shaded: red for a failure, yellow "
        "for a warning, grey for a note.",
    )
    return Section(anchor="examples", title="Examples", words=words, pictures=tuple(pictures))


def _examples(marks: pa.Table) -> list[Mark]:
    rank = {"fail": 0, "warn": 1, "note": 2}
    firsts: list[Mark] = []
    others: list[Mark] = []
    for check in CHECKS:
        rows = [_mark(row) for row in _worst_rows(marks.filter(pc.equal(marks["check"], check)))]
        rows.sort(key=lambda mark: (rank[mark.severity], -_excess(mark)))
        taken: set[str] = set()
        for mark in rows:
            if mark.episode_id not in taken and len(taken) < (1 if mark.severity == "note" else PER_CHECK):
                (others if taken else firsts).append(mark)
                taken.add(mark.episode_id)
    others.sort(key=lambda mark: rank[mark.severity])
    chosen = [*firsts, *others[: max(0, MAX_EXAMPLES - len(firsts))]]
    return sorted(chosen, key=lambda mark: (rank[mark.severity], CHECKS.index(mark.check)))


def _worst_rows(rows: pa.Table) -> list[dict[str, object]]:
    """Keep the python part small: at most a thousand candidates, failures and warnings first."""
    order = {"fail": 0, "warn": 1, "note": 2}
    ranked = pa.array([order[each] for each in rows["severity"].to_pylist()], pa.int8())
    chosen = pc.sort_indices(ranked)[:1000]
    return list(rows.take(chosen).to_pylist())


def _mark(row: dict[str, object]) -> Mark:
    return Mark(**{key: row[key] for key in Mark.__dataclass_fields__})  # type: ignore[arg-type]  # columns of the schema


def _excess(mark: Mark) -> float:
    """Return by how many times a mark exceeds its threshold, or falls short of it."""
    value, threshold = abs(mark.value), abs(mark.threshold)
    if mark.check in ("dark", "blur"):
        return threshold / max(value, 1e-9)
    return value / max(threshold, 1e-9)


def _worst_section(store: Store, files: MarkFiles) -> Section | None:
    faulty = files.marks.filter(pc.not_equal(files.marks["severity"], "note"))
    if not faulty.num_rows:
        return None
    counts = Counter(faulty["episode_id"].to_pylist())
    failed = set(files.checked["episode_id"].filter(pc.equal(files.checked["verdict"], "fail")).to_pylist())
    worst = sorted(counts, key=lambda each: (each not in failed, -counts[each]))[:MAX_ROWS]
    rows = faulty.filter(pc.is_in(faulty["episode_id"], pa.array(worst, pa.string()))).to_pylist()
    body = []
    for episode_id in worst:
        info = store.info(episode_id)
        own = [_mark(row) for row in rows if row["episode_id"] == episode_id]
        own.sort(key=lambda mark: (mark.severity != "fail", -_excess(mark)))
        checks = Counter(title(mark.check) for mark in own)
        said = ", ".join(f"{name} x{count}" if count > 1 else name for name, count in checks.most_common(4))
        body.append(
            (
                episode_id,
                info.provenance.robot,
                info.provenance.task,
                "failed" if episode_id in failed else "warnings",
                said,
                f"{own[0].stream}: {phrase(own[0])}, {time_of(own[0], info.start_ns)}",
            )
        )
    header = ("episode", "robot", "task", "verdict", "checks", "worst mark")
    note = f"{len(counts):,} episodes have warnings or failures. The worst {len(worst)} are listed."
    table = Table(header=header, body=tuple(body), note=note, summary=f"The {len(worst)} worst")
    return Section(anchor="episodes", title="Episodes to look at", tables=(table,))


def _method_section(store: Store, files: MarkFiles, summary: CheckSummary) -> Section:
    raw = json.loads(files.metadata.get(b"counterpoint_checks", b"{}"))
    parts = raw.get("thresholds", {})
    body = tuple(
        (f"--{part}.{key}".replace("_", "-"), f"{value:g}")
        for part, keys in parts.items()
        for key, value in keys.items()
    )
    note = f"Version {raw.get('version')} of the checks, thresholds {raw.get('hash')}."
    table = Table(header=("threshold", "value"), body=body, note=note, summary="All thresholds")
    name = store.root.name
    commands = (
        f"counterpoint check {name} --thresholds            # what each threshold means",
        f"counterpoint check {name} --mark                  # leave damaged and idle ranges out of training",
        f"counterpoint check {name} --unmark                # undo that",
        f"counterpoint show {name} EPISODE                  # look at one episode",
    )
    words = (
        "The store keeps its marks, with the measured value and the threshold of each. Nothing is ever deleted: a "
        "range that is left out is skipped when training windows are chosen.",
    )
    return Section(anchor="method", title="Next steps", words=words, tables=(table,), commands=commands)
