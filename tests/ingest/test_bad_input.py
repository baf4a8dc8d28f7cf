"""A corpus of bad LeRobot folders: each gives its reason code, and the rest of the dataset comes in."""

from __future__ import annotations

import json
import os
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lerobot_v3_writer import write_v30
from lerobot_writers import CAMERA, write_v21, write_video

from counterpoint.core.errors import IngestError
from counterpoint.ingest import ingest
from counterpoint.ingest.files.paths import fill_template
from counterpoint.store import Store

Spoil = Callable[[Path], None]
BAD = "data/chunk-000/episode_000001.parquet"


def column(name: str, change: Callable[[pa.Array], object], kind: pa.DataType | None = None) -> Spoil:
    """Return a function that changes one column of the bad episode."""

    def spoil(root: Path) -> None:
        table = pq.read_table(root / BAD)
        values = pa.array(change(table[name].to_pylist()), kind or table.schema.field(name).type)
        pq.write_table(table.set_column(table.column_names.index(name), name, values), root / BAD)

    return spoil


def with_number(row: int, number: float) -> Callable[[list[list[float]]], object]:
    def change(rows: list[list[float]]) -> object:
        rows[row][1] = number
        return rows

    return change


def replaced(data: Callable[[bytes], bytes]) -> Spoil:
    def spoil(root: Path) -> None:
        (root / BAD).write_bytes(data((root / BAD).read_bytes()))

    return spoil


def linked_out(root: Path) -> None:
    outside = root.parent / "outside.parquet"
    (root / BAD).rename(outside)
    (root / BAD).symlink_to(outside)


def made_a_folder(root: Path) -> None:
    (root / BAD).unlink()
    (root / BAD).mkdir()


def drop(name: str) -> Spoil:
    return lambda root: pq.write_table(pq.read_table(root / BAD).drop_columns([name]), root / BAD)


def film(frames: int | None) -> Spoil:
    """Return a function that makes the bad episode's video too short, or cuts its file off."""

    def spoil(root: Path) -> None:
        path = root / f"videos/chunk-000/{CAMERA}/episode_000001.mp4"
        if frames is None:
            path.write_bytes(path.read_bytes()[:-300])
        elif frames == 0:
            path.write_bytes(b"")
        else:
            write_video(path, np.zeros((frames, 16, 32, 3), np.uint8))

    return spoil


EPISODES: dict[str, tuple[str, Spoil]] = {
    "truncated": ("truncated", replaced(lambda data: data[: len(data) // 2])),
    "zero length": ("empty_file", replaced(lambda data: b"")),
    "wrong magic": ("wrong_magic", replaced(lambda data: b"PK\3\4" + data[4:])),
    "pickle": ("wrong_magic", replaced(lambda data: pickle.dumps({"a": 1}) * 99)),
    "twelve bytes": ("damaged_parquet", replaced(lambda data: b"PAR1\xff\xff\xff\x7fPAR1")),
    "spoilt middle": ("damaged_parquet", replaced(lambda data: data[:40] + b"\xff" * 200 + data[240:])),
    "missing": ("missing_file", lambda root: (root / BAD).unlink()),
    "folder": ("missing_file", made_a_folder),
    "nan": ("not_finite", column("action", with_number(3, np.nan))),
    "inf": ("not_finite", column("observation.state", with_number(0, -np.inf))),
    "float64 too big": ("not_finite", column("action", with_number(0, 1e300), pa.list_(pa.float64(), 3))),
    "nan time": ("not_finite", column("timestamp", lambda times: [np.nan, *times[1:]])),
    "time backwards": ("time_backwards", column("timestamp", lambda times: times[::-1])),
    "absurd time": ("absurd_time", column("timestamp", lambda times: [*times[:-1], 1e30])),
    "wrong width": ("dimension_mismatch", column("action", lambda rows: [r[:2] for r in rows], pa.list_(pa.float32()))),
    "ragged": ("dimension_mismatch", column("action", lambda rows: [[1.0], *rows[1:]], pa.list_(pa.float32()))),
    "scalar": ("dimension_mismatch", column("action", lambda rows: [r[0] for r in rows], pa.float32())),
    "text": ("wrong_type", column("action", lambda rows: [["a", "b", "c"] for _ in rows], pa.list_(pa.string(), 3))),
    "null row": ("missing_value", column("action", lambda rows: [None, *rows[1:]])),
    "null number": ("missing_value", column("action", lambda rows: [[None, 1.0, 2.0], *rows[1:]])),
    "no action column": ("missing_column", drop("action")),
    "no timestamp": ("missing_column", drop("timestamp")),
    "fewer rows": ("length_mismatch", lambda root: pq.write_table(pq.read_table(root / BAD).slice(2), root / BAD)),
    "link out of the folder": ("path_outside", linked_out),
    "short video": ("short_video", film(2)),
    "cut video": ("unreadable_video", film(None)),
    "empty video": ("empty_file", film(0)),
}


@pytest.mark.parametrize("name", EPISODES)
def test_bad_episode_is_quarantined_and_the_others_come_in(tmp_path: Path, name: str) -> None:
    reason, spoil = EPISODES[name]
    made = write_v21(tmp_path / "set", video="video" in name)
    spoil(made.root)
    report = ingest([made.root], tmp_path / "store", progress=False)
    assert [(bad.item, bad.reason) for bad in report.quarantined] == [("episode_000001", reason)]
    assert report.added == 2
    assert len(Store.open(tmp_path / "store")) == 2
    line = json.loads((tmp_path / "store" / "quarantine.jsonl").read_text())
    assert (line["reason"], line["item"]) == (reason, "episode_000001")
    assert str(tmp_path) in line["message"]


def changed(**changes: object) -> Spoil:
    def spoil(root: Path) -> None:
        path = root / "meta" / "info.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return spoil


def feature(name: str, content: object) -> Spoil:
    def spoil(root: Path) -> None:
        path = root / "meta" / "info.json"
        raw = json.loads(path.read_text())
        raw["features"][name] = content
        path.write_text(json.dumps(raw))

    return spoil


def text(name: str, content: str | bytes) -> Spoil:
    data = content if isinstance(content, bytes) else content.encode()

    def spoil(root: Path) -> None:
        (root / "meta" / name).write_bytes(data)

    return spoil


SOURCES: dict[str, tuple[str, Spoil]] = {
    "no info": ("missing_info", lambda root: (root / "meta/info.json").unlink()),
    "info not json": ("not_json", text("info.json", "{'codebase_version'")),
    "info a list": ("not_json", text("info.json", "[1, 2]")),
    "info empty": ("not_json", text("info.json", "")),
    "info deep": ("not_json", text("info.json", "[" * 100_000)),
    "info not text": ("not_text", text("info.json", b"\xff\xfe\x00{")),
    "old version": ("wrong_version", changed(codebase_version="v1.6")),
    "no version": ("wrong_version", changed(codebase_version=None)),
    "version a list": ("wrong_version", changed(codebase_version=["v2.1"])),
    "fps zero": ("bad_info", changed(fps=0)),
    "fps text": ("bad_info", changed(fps="30")),
    "fps nan": ("bad_info", changed(fps=float("nan"))),
    "features a list": ("bad_info", changed(features=[1])),
    "absurd width": ("bad_info", feature("action", {"dtype": "float32", "shape": [10**12], "names": None})),
    "negative width": ("bad_info", feature("action", {"dtype": "float32", "shape": [-3], "names": None})),
    "no action": ("no_action", feature("action", {"dtype": "string", "shape": [1], "names": None})),
    "episodes not json": ("not_json", text("episodes.jsonl", '{"episode_index": 0\n')),
    "episodes doubled": ("bad_episode_index", text("episodes.jsonl", '{"episode_index": 0}\n{"episode_index": 0}\n')),
    "episodes negative": ("bad_episode_index", text("episodes.jsonl", '{"episode_index": -1}\n')),
    "half a character": ("not_json", text("tasks.jsonl", '{"task_index": 0, "task": "\\ud800"}\n')),
    "no episodes": ("missing_file", lambda root: (root / "meta/episodes.jsonl").unlink()),
}


@pytest.mark.parametrize("name", SOURCES)
def test_bad_dataset_is_quarantined_and_the_next_comes_in(tmp_path: Path, name: str) -> None:
    reason, spoil = SOURCES[name]
    bad, good = write_v21(tmp_path / "bad", (3,)), write_v21(tmp_path / "good", (4, 5))
    spoil(bad.root)
    report = ingest([bad.root, good.root], tmp_path / "store", progress=False)
    assert [(each.item, each.reason) for each in report.quarantined] == [("", reason)]
    assert report.added == 2


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("../../etc/{episode_index}.parquet", "path_outside"),
        ("/etc/{episode_index}", "path_outside"),
        ("data/{episode_index.__class__}", "bad_template"),
        ("data/{episode_index:>999999999}", "bad_template"),
        ("data/{0}", "bad_template"),
        ("data/{unknown}", "bad_template"),
        ("data/chunk\0/{episode_index}", "path_outside"),
    ],
)
def test_templates_cannot_leave_the_folder(tmp_path: Path, template: str, reason: str) -> None:
    made = write_v21(tmp_path / "set", data_path=template)
    report = ingest([made.root], tmp_path / "store", progress=False)
    assert [bad.reason for bad in report.quarantined] == [reason] * 3
    assert report.added == 0


def test_template_fills_plain_fields_only() -> None:
    assert fill_template("a/{x:03d}/{key}.mp4", {"x": 7, "key": "cam"}) == "a/007/cam.mp4"
    with pytest.raises(IngestError):
        fill_template("{key:03d}", {"key": "cam"})


def test_metadata_through_a_link_is_refused(tmp_path: Path) -> None:
    made = write_v21(tmp_path / "set")
    info = made.root / "meta" / "info.json"
    info.rename(tmp_path / "info.json")
    info.symlink_to(tmp_path / "info.json")
    report = ingest([made.root], tmp_path / "store", progress=False)
    assert [bad.reason for bad in report.quarantined] == ["path_outside"]


def test_total_episodes_that_lie_are_noted_not_believed(tmp_path: Path) -> None:
    made = write_v21(tmp_path / "set", total_episodes=10**15)
    report = ingest([made.root], tmp_path / "store", progress=False)
    assert report.added == 3
    assert report.notes["total_episodes_mismatch"] == 1


def test_v30_bad_file_costs_its_own_episodes_only(tmp_path: Path) -> None:
    made = write_v30(tmp_path / "set", video=False)
    path = made.root / "data/chunk-000/file-001.parquet"
    os.truncate(path, path.stat().st_size - 30)
    report = ingest([made.root], tmp_path / "store", progress=False)
    assert report.added == 3
    assert [(bad.item, bad.reason) for bad in report.quarantined] == [
        ("episode_000003", "truncated"),
        ("episode_000004", "truncated"),
    ]


def edited(change: Callable[[dict[str, list[object]]], object]) -> Spoil:
    """Return a function that changes the table of episodes."""

    def spoil(root: Path) -> None:
        path = root / "meta/episodes/chunk-000/file-000.parquet"
        columns = pq.read_table(path).to_pydict()
        change(columns)
        pq.write_table(pa.table(columns), path)

    return spoil


@pytest.mark.parametrize(
    ("reason", "spoil"),
    [
        ("length_mismatch", edited(lambda c: c["length"].__setitem__(1, 10**15))),
        ("no_rows", edited(lambda c: c["episode_index"].__setitem__(1, 10**6))),
        ("missing_file", edited(lambda c: c["data/file_index"].__setitem__(1, 10**9))),
        ("short_video", edited(lambda c: c[f"videos/{CAMERA}/from_timestamp"].__setitem__(1, 1.0))),
        ("short_video", edited(lambda c: c[f"videos/{CAMERA}/to_timestamp"].__setitem__(1, 0.8))),
    ],
)
def test_v30_bad_row_costs_its_own_episode_only(tmp_path: Path, reason: str, spoil: Spoil) -> None:
    made = write_v30(tmp_path / "set")
    spoil(made.root)
    report = ingest([made.root], tmp_path / "store", progress=False)
    assert [bad.reason for bad in report.quarantined] == [reason]
    assert report.added == 4


@pytest.mark.parametrize(
    ("reason", "spoil"),
    [
        ("missing_column", edited(lambda c: c.pop("length"))),
        ("bad_episode_index", edited(lambda c: c["episode_index"].__setitem__(1, 0))),
        ("missing_file", lambda root: (root / "meta/episodes/chunk-000/file-000.parquet").unlink()),
        ("missing_column", lambda root: pq.write_table(pa.table({"task_index": [0]}), root / "meta/tasks.parquet")),
    ],
)
def test_v30_bad_metadata_costs_the_dataset(tmp_path: Path, reason: str, spoil: Spoil) -> None:
    made = write_v30(tmp_path / "set", video=False)
    spoil(made.root)
    report = ingest([made.root], tmp_path / "store", progress=False)
    assert [(bad.item, bad.reason) for bad in report.quarantined] == [("", reason)]


def test_v30_episode_without_a_place_for_its_video_is_noted(tmp_path: Path) -> None:
    made = write_v30(tmp_path / "set")
    edited(lambda c: c[f"videos/{CAMERA}/file_index"].__setitem__(2, None))(made.root)
    report = ingest([made.root], tmp_path / "store", progress=False)
    assert report.added == 5
    assert report.notes == {f"missing_video:{CAMERA}": 1}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_bytes_changed_anywhere_never_stop_the_ingest(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        version = data.draw(st.sampled_from([write_v21, write_v30]))
        made = version(Path(folder) / "set", (3, 4), video=True)
        files = sorted(path for path in made.root.rglob("*") if path.is_file())
        path = data.draw(st.sampled_from(files))
        content = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 8))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(content[: data.draw(st.sampled_from([len(content), len(content) // 2]))])
        report = ingest([made.root], Path(folder) / "store", progress=False)
        assert report.added + report.skipped + len(report.quarantined) >= 1
        assert "unreadable" not in {bad.reason for bad in report.quarantined}  # every reader foresees spoilt bytes
        assert Store.open(Path(folder) / "store").verify() == []
