"""Checking a store: episodes in parallel, skipping those already checked; findings are saved as marks.

store --episodes in portions--> engine --check_episode--> findings --> catalogue/marks.parquet, checked.parquet
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from counterpoint.catalog.marks import CHECKED_SCHEMA, MARKS_SCHEMA, MarkFiles, load_mark_files, save_marks, without
from counterpoint.catalog.portions import Portion, portions
from counterpoint.catalog.quality.episode import check_pictures, check_streams
from counterpoint.catalog.quality.finding import CHECKS, PICTURE_CHECKS, CheckName, Finding, ranged, verdict
from counterpoint.catalog.quality.picture import PictureTrack, full_range, measure
from counterpoint.catalog.quality.thresholds import Thresholds, provenance_of
from counterpoint.core.errors import CounterpointError, StoreError, unknown_name
from counterpoint.engine import Engine, open_engine
from counterpoint.store import Store, ViewFrames

logger = logging.getLogger(__name__)

PORTION = 64
"""Episodes a task."""
PICTURES_AT_ONCE = 256
RANGES: frozenset[CheckName] = frozenset({"gap", "jump", "frozen", "stuck", "clock_step", "frozen_camera", "dark"})
"""Checks whose warnings make a range unfit for training; other warnings concern the whole episode."""


@dataclass(frozen=True, kw_only=True)
class CheckTask:
    """A portion of episodes and how to check it."""

    portion: Portion
    thresholds: Thresholds
    checks: tuple[CheckName, ...]


@dataclass(frozen=True, kw_only=True)
class CheckRun:
    """What a check of a store did."""

    checked: int
    """Episodes that were checked now."""
    skipped: int
    """Episodes that are unchanged since they were checked with the same thresholds."""
    files: MarkFiles


def check_quality(
    store: Store,
    thresholds: Thresholds | None = None,
    *,
    checks: Collection[CheckName] = CHECKS,
    robot: str | None = None,
    drop: bool | None = None,
    again: bool = False,
    engine: Engine | None = None,
    progress: bool = False,
) -> CheckRun:
    """Check the episodes of a store that were not checked with these thresholds, and save what is found.

    Args:
        store: the store; its marks are written into `catalogue/`.
        thresholds: what is allowed; None for the defaults.
        checks: what to look for. Marks of other checks stay.
        robot: only episodes of this robot.
        drop: True excludes faulty ranges from training, False includes them all again, None leaves the choice as it
            is; an episode with excluded ranges that is checked again has them chosen again.
        again: check everything again.
        engine: where the work is done; None for a process a core.
        progress: whether to show a bar.

    Raises:
        UnknownNameError: no episode of that robot. StoreError: the marks cannot be read or saved.
    """
    limits, names = thresholds or Thresholds(), tuple(name for name in CHECKS if name in checks)
    files = load_mark_files(store.root)
    flat = store.flat().select(["episode_id", "content_sha256", "robot"])
    if robot is not None:
        known = flat["robot"].unique().to_pylist()
        if robot not in known:
            raise unknown_name("robot", robot, known, hint=f"(robots of {store.root})")
        flat = flat.filter(pc.equal(flat["robot"], robot))
    pending = flat["episode_id"] if again else _pending(flat, files.checked, _key(limits, names), store, names)
    ids = pending.to_pylist() if names else []
    marks, checked = _checked(store, ids, limits, names, engine, progress)
    files = _merged(files, marks, checked, names, limits)
    if drop is not None:
        chosen = pc.is_in(files.marks["episode_id"], flat["episode_id"].combine_chunks())
        new = pc.if_else(chosen, droppable(files.marks) if drop else pa.scalar(False), files.marks["drop"])
        files = _with_drop(files, new)
    if ids or drop is not None:
        save_marks(store.root, files.marks, files.checked, files.metadata)
    return CheckRun(checked=len(ids), skipped=flat.num_rows - len(ids), files=files)


def check_episode(
    store: Store, episode_id: str, limits: Thresholds, checks: Collection[CheckName] = CHECKS
) -> tuple[list[Finding], str]:
    """Return the findings of one episode, and whether its pictures were `seen`, `unseen`, or there are `none`.

    Damage is a finding, not an error.
    """
    info = store.info(episode_id)
    cameras = [stream.name for stream in info.streams if stream.kind == "image" and stream.samples]
    wanted = bool(cameras) and any(name in PICTURE_CHECKS for name in checks)
    try:
        view, streams = store.video_view(), store.low(episode_id)
        found = check_streams(streams, limits, checks)
        seen = [name for name in cameras if view.has(info.content_sha256, name)] if wanted else []
        tracks = [track_of(view, info.content_sha256, name) for name in seen]
        found += check_pictures(tracks, streams, limits, checks)
    except CounterpointError as error:
        logger.warning("%s", error)
        damage = ranged("unreadable", "", "fail", (info.start_ns, info.end_ns), 1.0, 0.0)
        return [damage], "none"
    return found, "none" if not cameras else "seen" if len(seen) == len(cameras) else "unseen"


def track_of(view: ViewFrames, content_sha256: str, stream: str) -> PictureTrack:
    """Measure all pictures of a camera in the view, some at a time; raises StoreError where they are damaged."""
    times, _ = view.frame_times(content_sha256, stream)
    parts = []
    for first in range(0, len(times), PICTURES_AT_ONCE):
        before = min(first, 1)  # the last picture of the part before, to compare with
        rows = np.arange(first - before, min(first + PICTURES_AT_ONCE, len(times)))
        part = measure(stream, times[rows], full_range(view.luma(content_sha256, stream, rows)))
        parts.append((part.brightness[before:], part.sharpness[before:], part.change[before:]))
    empty = np.empty(0, np.float64)
    brightness, sharpness, change = (
        (np.concatenate(each) for each in zip(*parts, strict=True)) if parts else (empty,) * 3
    )
    return PictureTrack(stream=stream, capture_ns=times, brightness=brightness, sharpness=sharpness, change=change)


def droppable(marks: pa.Table) -> pa.Array:
    """Return which marks make their range unfit for training: idle ranges, faults of a range, and failures."""
    spoils = pc.and_(pc.equal(marks["severity"], "warn"), pc.is_in(marks["check"], pa.array(sorted(RANGES))))
    failed = pc.and_(pc.equal(marks["severity"], "fail"), pc.not_equal(marks["check"], "unreadable"))
    return pc.or_(pc.or_(spoils, failed), pc.equal(marks["check"], "idle"))


def _key(limits: Thresholds, checks: tuple[CheckName, ...]) -> str:
    said = hashlib.sha256(",".join(checks).encode()).hexdigest()[:8]
    return limits.hash if checks == CHECKS else f"{limits.hash}-{said}"


def _pending(
    flat: pa.Table, checked: pa.Table, key: str, store: Store, checks: Collection[CheckName]
) -> pa.ChunkedArray:
    """Return the ids of the episodes to look at: new ones, and those whose pictures have come into view since."""
    same = checked.filter(pc.equal(checked["key"], key))
    unseen = same.filter(pc.equal(same["pictures"], "unseen"))
    if unseen.num_rows and PICTURE_CHECKS & set(checks):
        view = store.video_view()
        came = [bool(view.streams(content)) for content in unseen["content_sha256"].to_pylist()]
        same = without(same, unseen["episode_id"].filter(pa.array(came, pa.bool_())).combine_chunks())
    said = pc.binary_join_element_wise(same["episode_id"], same["content_sha256"], " ")
    asked = pc.binary_join_element_wise(flat["episode_id"], flat["content_sha256"], " ")
    return flat["episode_id"].filter(pc.invert(pc.is_in(asked, said.combine_chunks())))


def _checked(
    store: Store,
    ids: list[str],
    limits: Thresholds,
    checks: tuple[CheckName, ...],
    engine: Engine | None,
    progress: bool,
) -> tuple[pa.Table, pa.Table]:
    tasks = [CheckTask(portion=portion, thresholds=limits, checks=checks) for portion in portions(store, ids, PORTION)]
    marks, checked = [MARKS_SCHEMA.empty_table()], [CHECKED_SCHEMA.empty_table()]
    if not ids:
        return marks[0], checked[0]
    worker = engine or open_engine(workers=1 if len(tasks) == 1 else None)
    for done in worker.run(check_portion, tasks, label="checking", unit="portion", progress=progress):
        if done.result is None:
            raise StoreError(f"{store.root}: checking stopped: {done.message}; no marks were changed, try --workers 1")
        marks.append(done.result[0])
        checked.append(done.result[1])
    return pa.concat_tables(marks), pa.concat_tables(checked)


def check_portion(task: CheckTask) -> tuple[pa.Table, pa.Table]:
    """Check some episodes in a process of an engine; return their marks and how they were checked."""
    store = task.portion.store()
    key = _key(task.thresholds, task.checks)
    marks, checked = [], []
    for episode_id in task.portion.episode_ids:
        info = store.info(episode_id)
        found, pictures = check_episode(store, episode_id, task.thresholds, task.checks)
        own = {"episode_id": episode_id, "content_sha256": info.content_sha256}
        times = {"start_ns": info.start_ns, "end_ns": info.end_ns}
        marks += [{**own, **vars(each), "drop": False} for each in found]
        checked.append({**own, **times, "key": key, "verdict": verdict(found), "pictures": pictures})
    return pa.Table.from_pylist(marks, schema=MARKS_SCHEMA), pa.Table.from_pylist(checked, schema=CHECKED_SCHEMA)


def _merged(
    files: MarkFiles, marks: pa.Table, checked: pa.Table, checks: tuple[CheckName, ...], limits: Thresholds
) -> MarkFiles:
    if not checked.num_rows:
        return files
    ids = checked["episode_id"].combine_chunks()
    old = files.marks
    was_fixed = old["episode_id"].filter(old["drop"]).unique()
    marks = _set_drop(marks, pc.and_(pc.is_in(marks["episode_id"], was_fixed), droppable(marks)))
    replaced = pc.and_(
        pc.is_in(old["episode_id"], ids), pc.is_in(old["check"], pa.array([*checks, "unreadable"], pa.string()))
    )
    joined = pa.concat_tables([old.filter(pc.invert(replaced)), marks])
    joined = joined.sort_by([("episode_id", "ascending"), ("start_ns", "ascending"), ("check", "ascending")])
    checked = _with_verdicts(checked, joined)
    return MarkFiles(
        marks=joined,
        checked=pa.concat_tables([without(files.checked, ids), checked]).sort_by("episode_id"),
        metadata=provenance_of(limits),
    )


def _with_verdicts(checked: pa.Table, marks: pa.Table) -> pa.Table:
    """Recompute the verdicts, because marks of other checks may have been kept."""
    result: NDArray[np.object_] = np.full(checked.num_rows, "ok", dtype=object)
    for severity in ("warn", "fail"):
        worse = marks["episode_id"].filter(pc.equal(marks["severity"], severity)).unique()
        result[pc.is_in(checked["episode_id"], worse).to_numpy()] = severity
    place = checked.schema.get_field_index("verdict")
    return checked.set_column(place, "verdict", pa.array(result, pa.string()))


def _with_drop(files: MarkFiles, drop: pa.Array) -> MarkFiles:
    return MarkFiles(marks=_set_drop(files.marks, drop), checked=files.checked, metadata=files.metadata)


def _set_drop(marks: pa.Table, drop: pa.Array) -> pa.Table:
    return marks.set_column(marks.schema.get_field_index("drop"), "drop", drop)
