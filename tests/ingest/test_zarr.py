"""Zarr replay buffers: folders and zips of both versions against the zarr package, and what must not be opened."""

from __future__ import annotations

import json
import pickle
import shutil
import stat
import struct
import tempfile
import zipfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numcodecs
import numpy as np
import pytest
import zarr
from hdf5_writers import numbers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from picture_files import grey_frames
from spoiling import again_with_its_own_mapping, read_all, reason_of, spoilt
from zarr_writers import PACKERS, Format, pack, put, write_zarr

from counterpoint.ingest import ReadOptions, ingest
from counterpoint.ingest.zarr import looks_like_zarr, open_zarr
from counterpoint.store import Store

pytestmark = pytest.mark.filterwarnings("ignore:Numcodecs codecs:UserWarning")


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("name", ["set.zarr", "set.zarr.zip"])
def test_version_2_with_every_codec(tmp_path: Path, packer: str, name: str) -> None:
    write_zarr(tmp_path / name, packer=packer)
    check(tmp_path / name)


@pytest.mark.parametrize("name", ["set.zarr", "set.zarr.zip"])
def test_version_3(tmp_path: Path, name: str) -> None:
    write_zarr(tmp_path / name, version=3)
    check(tmp_path / name)


def check(path: Path) -> None:
    assert looks_like_zarr(path)
    source = open_zarr(path, ReadOptions())
    assert list(source.items()) == ["episode_000000", "episode_000001", "episode_000002"]
    assert source.notes == ("assumed_rate:10",)
    for ingested, (start, stop) in zip(read_all(source), ((0, 5), (5, 9), (9, 15)), strict=True):
        streams = ingested.episode.streams
        np.testing.assert_array_equal(streams["action"].values, numbers(1, 15, 2)[start:stop])
        np.testing.assert_array_equal(streams["proprioception"].values, numbers(2, 15, 5)[start:stop])
        np.testing.assert_array_equal(streams["camera/img"].values, grey_frames(15, 16, 16)[start:stop])
        assert streams["action"].capture_ns.tolist() == [row * 100_000_000 for row in range(stop - start)]
        assert streams["camera/img"].time_source == "nominal"


def test_umi_takes_where_the_gripper_moved_as_the_action(tmp_path: Path) -> None:
    write_zarr(tmp_path / "set.zarr.zip", umi=True)
    source = open_zarr(tmp_path / "set.zarr.zip", ReadOptions())
    assert source.notes == ("assumed_rate:60", "action_from_state")
    robot = source.mapping.robot
    assert [channel.quantity for channel in robot.acting] == ["position"] * 3 + ["rotation"] * 3 + ["gripper_opening"]
    assert [spec.name for spec in robot.sensing] == ["proprioception", "robot0_demo_start_pose"]
    episode = read_all(source)[1].episode
    pose = np.concatenate([numbers(index, 15, width) for index, width in enumerate((3, 3, 1))], axis=1)[5:9]
    np.testing.assert_array_equal(episode.streams["action"].values, pose)
    np.testing.assert_array_equal(episode.streams["proprioception"].values, pose)
    again_with_its_own_mapping(open_zarr, tmp_path / "set.zarr.zip", tmp_path / "mapping.json")


def test_frames_become_video_in_the_store(tmp_path: Path) -> None:
    write_zarr(tmp_path / "set.zarr")
    report = ingest([tmp_path / "set.zarr"], tmp_path / "store", format="zarr", progress=False)
    assert (report.added, report.quarantined) == (3, [])
    store = Store.open(tmp_path / "store")
    info = next(info for info in store.episodes if "episode_000001" in info.provenance.origin)
    shown = store.frames(info.episode_id, "camera/img", np.arange(4))
    assert np.abs(shown.astype(int) - grey_frames(15, 16, 16)[5:9]).max() < 8


def test_own_mapping_given_back_reads_the_same(tmp_path: Path) -> None:
    write_zarr(tmp_path / "set.zarr")
    again_with_its_own_mapping(open_zarr, tmp_path / "set.zarr", tmp_path / "mapping.json")


def test_a_measured_clock_is_used(tmp_path: Path) -> None:
    write_zarr(tmp_path / "set.zarr")
    times = 1_700_000_000 + np.cumsum(np.linspace(0.09, 0.12, 15))
    put(zarr.open_group(str(tmp_path / "set.zarr"))["data"], "timestamp", times)  # type: ignore[arg-type]  # a group
    stream = read_all(open_zarr(tmp_path / "set.zarr", ReadOptions()))[0].episode.streams["action"]
    assert stream.time_source == "measured"
    np.testing.assert_allclose(stream.capture_ns / 1e9, times[:5], atol=1e-6)


def test_pickles_and_unknown_codecs_are_left_out_and_never_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: object, **__: object) -> None:
        raise AssertionError("a pickle was opened")

    monkeypatch.setattr(pickle, "loads", explode)
    monkeypatch.setattr(numcodecs.Pickle, "decode", explode)
    write_zarr(tmp_path / "set.zarr")
    arrays: dict[str, dict[str, object]] = {
        "objects": {"dtype": "|O", "filters": [{"id": "pickle", "protocol": 5}]},
        "hidden": {"filters": [{"id": "pickle"}]},
        "packed": {"compressor": {"id": "pickle", "protocol": 5}},
        "jpegxl": {"compressor": {"id": "imagecodecs_not_there"}},
        "record": {"dtype": [["a", "<f4"]]},
    }
    for name, changes in arrays.items():
        shutil.copytree(tmp_path / "set.zarr/data/state", tmp_path / "set.zarr/data" / name)
        edit(f"data/{name}/.zarray", **changes)(tmp_path / "set.zarr")
    source = open_zarr(tmp_path / "set.zarr", ReadOptions())
    expected = {f"left_out:{name}" for name in arrays}
    assert set(source.notes) == {"assumed_rate:10", *expected}
    assert len(read_all(source)) == 3
    edit("meta/episode_ends/.zarray", dtype="|O")(tmp_path / "set.zarr")
    assert reason_of(open_zarr, tmp_path / "set.zarr") == "wrong_type"


Spoil = Callable[[Path], object]


def edit(name: str, **changes: object) -> Spoil:
    def spoil(root: Path) -> None:
        raw = json.loads((root / name).read_text())
        (root / name).write_text(json.dumps(raw | changes))

    return spoil


def bytes_of(name: str, change: Callable[[bytes], bytes]) -> Spoil:
    return lambda root: (root / name).write_bytes(change((root / name).read_bytes()))


def value(array: str, at: tuple[int, ...], number: float) -> Spoil:
    def spoil(root: Path) -> None:
        found = zarr.open_group(str(root))[array]
        assert isinstance(found, zarr.Array)
        found[at] = number

    return spoil


def shorter(array: str) -> Spoil:
    def spoil(root: Path) -> None:
        found = zarr.open_group(str(root))[array]
        assert isinstance(found, zarr.Array)
        found.resize((8, *found.shape[1:]))

    return spoil


def linked(root: Path) -> None:
    (root / "data/action/0.0").rename(root.parent / "away")
    (root / "data/action/0.0").symlink_to(root.parent / "away")


def claim(size: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:4] + struct.pack("<I", size) + data[8:]


BAD: dict[str, tuple[str, Spoil]] = {
    "nan": ("not_finite", value("data/action", (2, 1), np.nan)),
    "inf": ("not_finite", value("data/state", (2, 1), np.inf)),
    "nan pixel": ("not_finite", value("data/img", (2, 1, 1, 1), np.nan)),
    "pixel beyond": ("bad_value", value("data/img", (2, 1, 1, 1), 999)),
    "ends backwards": ("bad_episode_index", value("meta/episode_ends", (1,), 2)),
    "ends beyond": ("length_mismatch", value("meta/episode_ends", (2,), 10**12)),
    "short video": ("short_video", shorter("data/img")),
    "short action": ("length_mismatch", shorter("data/action")),
    "missing chunk": ("missing_file", lambda root: (root / "data/action/1.0").unlink()),
    "missing picture": ("missing_file", lambda root: (root / "data/img/1.0.0.0").unlink()),
    "chunk cut": ("damaged_chunk", bytes_of("data/action/0.0", lambda data: data[:-9])),
    "chunk empty": ("damaged_chunk", bytes_of("data/action/0.0", lambda data: b"")),
    "chunk is a pickle": ("damaged_chunk", bytes_of("data/action/0.0", lambda data: pickle.dumps(print))),
    "chunk claims 4 GB": ("damaged_chunk", bytes_of("data/action/0.0", claim(2**32 - 1))),
    "no JSON": ("not_json", bytes_of("data/action/.zarray", lambda data: data[:-9])),
    "version": ("wrong_version", edit("data/action/.zarray", zarr_format=1)),
    "no shape": ("bad_info", edit("data/action/.zarray", shape=None)),
    "shape of other rank": ("bad_info", edit("data/action/.zarray", shape=[15])),
    "zero chunks": ("bad_info", edit("data/action/.zarray", chunks=[0, 2])),
    "huge shape": ("absurd_size", edit("data/action/.zarray", shape=[10**12, 10**9])),
    "huge chunk": ("absurd_size", edit("data/action/.zarray", chunks=[10**6, 10**6])),
    "other chunk": ("damaged_chunk", edit("data/action/.zarray", chunks=[4, 2])),
    "separator": ("bad_info", edit("data/action/.zarray", dimension_separator="/../")),
    "no action": ("no_action", lambda root: shutil.rmtree(root / "data/action")),
    "link out of the folder": ("path_outside", linked),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_content_gives_a_reason(tmp_path: Path, name: str) -> None:
    reason, spoil = BAD[name]
    write_zarr(tmp_path / "set.zarr")
    spoil(tmp_path / "set.zarr")
    assert reason_of(open_zarr, tmp_path / "set.zarr") == reason


def test_a_zip_of_too_many_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_zarr(tmp_path / "set.zarr.zip")
    monkeypatch.setattr("counterpoint.ingest.zarr.hierarchy.MAX_MEMBERS", 3)
    assert reason_of(open_zarr, tmp_path / "set.zarr.zip") == "absurd_size"


def with_member(name: str, data: bytes = b"x", mode: int = 0o644, method: int = zipfile.ZIP_STORED) -> Spoil:
    def spoil(path: Path) -> None:
        member = zipfile.ZipInfo(name)
        member.external_attr = mode << 16
        with zipfile.ZipFile(path, "a") as file:
            file.writestr(member, data, compress_type=method)

    return spoil


def whole(change: Callable[[bytes], bytes]) -> Spoil:
    return lambda path: path.write_bytes(change(path.read_bytes()))


ZIPS: dict[str, tuple[str, Spoil]] = {
    "climbs": ("path_outside", with_member("data/../../evil")),
    "absolute": ("path_outside", with_member("/etc/evil")),
    "backslash": ("path_outside", with_member("data\\evil")),
    "drive": ("path_outside", with_member("C:/evil")),
    "link": ("path_outside", with_member("data/link", b"/etc/passwd", stat.S_IFLNK | 0o777)),
    "bomb": ("absurd_size", with_member("data/bomb", bytes(10**8 + 2**24), 0o644, zipfile.ZIP_BZIP2)),
    "zero length": ("empty_file", whole(lambda data: b"")),
    "cut": ("damaged_zip", whole(lambda data: data[: len(data) // 2])),
    "wrong magic": ("wrong_magic", whole(lambda data: b"XX" + data[2:])),
    "pickle": ("wrong_magic", whole(pickle.dumps)),
}


@pytest.mark.parametrize("name", ZIPS)
def test_bad_zip_gives_a_reason(tmp_path: Path, name: str) -> None:
    reason, spoil = ZIPS[name]
    write_zarr(tmp_path / "set.zarr.zip")
    spoil(tmp_path / "set.zarr.zip")
    assert reason_of(open_zarr, tmp_path / "set.zarr.zip") == reason


@lru_cache
def template(version: Format, packer: str) -> dict[str, bytes]:
    """Return the files of a small replay buffer; the zarr package is slow to write one."""
    with tempfile.TemporaryDirectory() as folder:
        write_zarr(Path(folder), (2, 2), version=version, packer=packer)
        files = [path for path in Path(folder).rglob("*") if path.is_file()]
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_bytes_changed_anywhere_give_a_reason(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "set.zarr"
        versions: tuple[Format, ...] = (2, 3)
        version = data.draw(st.sampled_from(versions))
        packer = data.draw(st.sampled_from(["blosc", "lz4", "zstd", "gzip"]))
        for name, content in template(version, packer).items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
        if data.draw(st.booleans()):
            pack(path, Path(folder) / "set.zip", data.draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])))
            path = Path(folder) / "set.zip"
        files = [each for each in sorted(path.rglob("*")) if each.is_file() and each.stat().st_size] or [path]
        spoilt(data.draw(st.sampled_from(files)), data)
        reason_of(open_zarr, path)
