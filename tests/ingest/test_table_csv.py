"""CSV with a mapping file: clocks, units, shuffled columns of a real arm, spoilt text."""

from __future__ import annotations

import csv
import json
import math
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spoiling import again_with_its_own_mapping, read_all, reason_of, spoilt
from table_writers import csv_rows, write_csv

from counterpoint.cli.main import main
from counterpoint.core.embodiment import Embodiment, StreamSpec, embodiment_to_dict
from counterpoint.core.errors import ConfigError, UnknownNameError
from counterpoint.ingest import ReadOptions, ingest, load_mapping, save_mapping
from counterpoint.ingest.mapping.guess import guess_channels
from counterpoint.ingest.table import looks_like_csv, open_csv
from counterpoint.robots.library import load_embodiment
from counterpoint.store import Store

ROBOT = Embodiment(
    name="two",
    sensing=(StreamSpec(name="proprioception", channels=guess_channels(["joint_1", "joint_2"]), rate_hz=50.0),),
    acting=guess_channels(["joint_1", "joint_2"]),
    control_rate_hz=50.0,
)


def write_mapping(path: Path, robot: Embodiment, features: list[dict[str, object]], **more: object) -> Path:
    raw = {"format": "counterpoint-mapping", "version": 1, "robot": embodiment_to_dict(robot), "features": features}
    path.write_text(json.dumps(raw | more))
    return path


@pytest.mark.parametrize(("delimiter", "comma"), [(",", False), (";", False), (";", True), ("\t", False), ("|", False)])
def test_a_log_is_understood_by_its_header(tmp_path: Path, delimiter: str, comma: bool) -> None:
    path = tmp_path / "log.txt"
    write_csv(path, delimiter=delimiter, comma=comma)
    assert looks_like_csv(path)
    source = open_csv(path, ReadOptions())
    (ingested,) = read_all(source)
    rows = np.asarray(csv_rows())
    streams = ingested.episode.streams
    np.testing.assert_allclose(streams["action"].values, rows[:, 3:5], rtol=1e-6)
    np.testing.assert_allclose(streams["proprioception"].values, rows[:, 1:3], rtol=1e-6)
    np.testing.assert_allclose(streams["velocity"].values, rows[:, 5:6], rtol=1e-6)
    assert streams["action"].spec.channel_names == ("joint_1", "joint_2")
    assert streams["action"].capture_ns[:3].tolist() == [1_000_000_000, 1_020_500_000, 1_041_000_000]
    assert source.notes == ("left_out:note",)
    again_with_its_own_mapping(open_csv, path, tmp_path / "mapping.json")


def test_a_log_without_commands_gets_a_mapping_to_correct(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    folder, mapping, store = tmp_path / "arm", tmp_path / "arm.json", tmp_path / "store"
    folder.mkdir()
    (folder / "a.txt").write_text("where it comes from")
    (folder / "states.csv").write_text("joint_1,joint_0\n0.1,0.2\n0.3,0.4\n")
    assert main(["ingest", str(folder), "--into", str(store)]) == 1
    assert "--write-mapping" in caplog.text
    capsys.readouterr()
    assert main(["ingest", str(folder), "--write-mapping", str(mapping)]) == 0
    assert "no commands" in capsys.readouterr().out
    assert main(["ingest", str(folder), "--into", str(store), "--robot", str(mapping), "--no-prepare"]) == 0
    episode = Store.open(store).read(Store.open(store).episodes[0].episode_id)
    for name in ("action", "proprioception"):
        stream = episode.streams[name]
        assert stream.spec.channel_names == ("joint_1", "joint_0")
        np.testing.assert_array_equal(stream.values, np.asarray([[0.1, 0.2], [0.3, 0.4]], np.float32))


def test_real_kuka_says_no_action_until_a_mapping_names_its_joints(tmp_path: Path, realdata: Path) -> None:
    path = realdata / "kuka_lbr_7dof" / "joint_states.csv"
    assert looks_like_csv(path)
    assert reason_of(open_csv, path) == "no_action"
    with path.open() as file:
        header, *cells = list(csv.reader(file))
    assert header != sorted(header)  # the log's own order is shuffled
    iiwa = load_embodiment("iiwa14")
    channels = [f"joint_{int(name.rsplit('_', 1)[1]) + 1}" for name in header]
    feature = {"columns": header, "channels": channels}
    features: list[dict[str, object]] = [
        {"feature": "hand_guided", "stream": "action", **feature},
        {"feature": "measured", "stream": "proprioception", **feature},
    ]
    mapping = write_mapping(tmp_path / "kuka.json", iiwa, features)
    report = ingest([path], tmp_path / "store", robot=load_mapping(mapping), progress=False)
    assert (report.added, report.quarantined, report.robots) == (1, [], {"iiwa14": len(iiwa.acting)})
    assert report.notes["assumed_rate:50"] == 1
    store = Store.open(tmp_path / "store")
    streams = store.read(store.episodes[0].episode_id).streams
    for name in ("action", "proprioception"):
        stream = streams[name]
        assert len(stream) == 135
        assert stream.time_source == "nominal"
        for number, joint in enumerate(stream.spec.channel_names):
            column = header.index(f"lbr_joint_{int(joint.removeprefix('joint_')) - 1}")
            expected = np.asarray([float(row[column]) for row in cells], np.float32)
            np.testing.assert_array_equal(stream.values[:, number], expected)
    first = dict(zip(streams["action"].spec.channel_names, streams["action"].values[0].tolist(), strict=True))
    assert first["joint_1"] == pytest.approx(-0.7433388669627123)  # column 4 of the file
    assert first["joint_2"] == pytest.approx(1.004320471250612)  # column 1


def test_units_and_a_clock_in_the_mapping_file(tmp_path: Path) -> None:
    write_csv(tmp_path / "log.csv")
    mapping = write_mapping(
        tmp_path / "mapping.json",
        ROBOT,
        [
            {
                "feature": "commands",
                "stream": "action",
                "columns": ["cmd_joint_2", "cmd_joint_1"],
                "channels": ["joint_2", "joint_1"],
                "unit": ["deg", "ticks:4096"],
                "scale": [-1, 1],
                "offset": [0.5, 0],
            }
        ],
        time={"column": "t_ms", "unit": "us"},
    )
    loaded = load_mapping(mapping)
    (ingested,) = read_all(open_csv(tmp_path / "log.csv", ReadOptions(robot=loaded)))
    stream, rows = ingested.episode.streams["action"], np.asarray(csv_rows())
    assert stream.spec.channel_names == ("joint_2", "joint_1")
    np.testing.assert_allclose(stream.values[:, 0], -rows[:, 4] * math.pi / 180 + 0.5, rtol=1e-5)
    np.testing.assert_allclose(stream.values[:, 1], rows[:, 3] * 2 * math.pi / 4096, rtol=1e-5)
    assert stream.capture_ns[1] - stream.capture_ns[0] == 20_500
    save_mapping(loaded, tmp_path / "again.json")
    assert load_mapping(tmp_path / "again.json") == loaded


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"unit": "mm"}, ConfigError, "'mm'.*'rad'"),
        ({"unit": "degr"}, UnknownNameError, "did you mean 'deg'"),
        ({"unit": "ticks:0"}, ConfigError, "'ticks:0'"),
        ({"unit": ["deg"]}, ConfigError, "2 channels"),
        ({"columns": ["cmd_joint_1"]}, ConfigError, "1 values of columns"),
        ({"columns": "ab"}, ConfigError, "expected a list"),
    ],
)
def test_a_wrong_mapping_file_is_the_users_error(
    tmp_path: Path, change: dict[str, object], error: type[Exception], message: str
) -> None:
    feature = {"feature": "a", "stream": "action", "columns": ["x", "y"], "channels": ["joint_1", "joint_2"], **change}
    path = write_mapping(tmp_path / "mapping.json", ROBOT, [feature])
    with pytest.raises(error, match=message):
        load_mapping(path)


def test_columns_or_a_clock_that_are_not_there(tmp_path: Path) -> None:
    write_csv(tmp_path / "log.csv")
    feature: dict[str, object] = {"feature": "a", "stream": "action", "channels": ["joint_1"], "columns": ["joint_9"]}
    mapping = load_mapping(write_mapping(tmp_path / "a.json", ROBOT, [feature]))
    assert reason_of(open_csv, tmp_path / "log.csv", options=ReadOptions(robot=mapping)) == "robot_not_fitting"
    feature = {**feature, "columns": ["joint_1"]}
    mapping = load_mapping(write_mapping(tmp_path / "a.json", ROBOT, [feature], time={"column": "clock"}))
    assert reason_of(open_csv, tmp_path / "log.csv", options=ReadOptions(robot=mapping)) == "robot_not_fitting"


def test_episode_column_cuts_a_file_and_shuffled_columns_change_nothing(tmp_path: Path) -> None:
    lines = ["episode,time_s,joint_a,action_a"] + [f"{e},{t / 10},{e + t},{e - t}" for e in (3, 4) for t in range(4)]
    (tmp_path / "log.csv").write_text("\n".join(lines))
    shuffled = [",".join(np.asarray(line.split(","))[[2, 0, 3, 1]]) for line in lines]
    (tmp_path / "other.csv").write_text("\n".join(shuffled))
    one, two = (open_csv(tmp_path / name, ReadOptions()) for name in ("log.csv", "other.csv"))
    assert list(one.items()) == ["episode_000003", "episode_000004"]
    assert [one.content_hash(item) for item in one.items()] == [two.content_hash(item) for item in two.items()]


Change = Callable[[str], str | bytes]
BAD: dict[str, tuple[str, Change]] = {
    "zero length": ("empty_file", lambda text: ""),
    "header alone": ("no_rows", lambda text: text.splitlines()[0] + "\n"),
    "no header": ("no_header", lambda text: "\n".join(line[: line.rindex(",")] for line in text.splitlines()[1:])),
    "equal names": ("bad_header", lambda text: text.replace("joint_2", "joint_1", 1)),
    "a name missing": ("bad_header", lambda text: text.replace("joint_2", "", 1)),
    "junk": ("not_a_number", lambda text: text.replace("1020.5", "12ab")),
    "python number": ("not_a_number", lambda text: text.replace("1020.5", "1_020.5")),
    "empty cell": ("missing_value", lambda text: text.replace("1020.5", " ")),
    "nan": ("not_finite", lambda text: text.replace(text.splitlines()[2].split(",")[1], "nan")),
    "infinite": ("not_finite", lambda text: text.replace(text.splitlines()[2].split(",")[3], "-inf")),
    "too big": ("not_finite", lambda text: text.replace(text.splitlines()[2].split(",")[3], "1e300")),
    "cut in a row": ("ragged_rows", lambda text: text[: text.rindex(",") - 5]),
    "time backwards": ("time_backwards", lambda text: text.replace("1020.5", "2000.5")),
    "absurd time": ("absurd_time", lambda text: text.replace("1102.5", "1e30")),
    "not text": ("not_text", lambda text: text.encode() + b"\xff\xfe\n"),
    "zero bytes": ("not_text", lambda text: text.encode("utf-16")),
    "pickle": ("not_text", lambda text: pickle.dumps([text] * 9, protocol=2)),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_text_gives_a_reason(tmp_path: Path, name: str) -> None:
    reason, change = BAD[name]
    path = tmp_path / "log.csv"
    write_csv(path)
    changed = change(path.read_text())
    path.write_bytes(changed if isinstance(changed, bytes) else changed.encode())
    assert reason_of(open_csv, path) == reason


def test_prose_json_and_numbers_without_columns_are_no_csv(tmp_path: Path) -> None:
    for text in ("Dear reader,\nthis is prose, not numbers.\n", '{"a": 1,\n "b": 2}\n', "1\n2\n3\n", "", "a,b\n"):
        (tmp_path / "file").write_text(text)
        assert not looks_like_csv(tmp_path / "file")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_bytes_changed_anywhere_give_a_reason(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.csv"
        write_csv(path)
        spoilt(path, data)
        looks_like_csv(path)
        reason_of(open_csv, path)
