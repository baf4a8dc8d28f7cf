"""A corpus of bad logs of every format, each made from a sound one; every one has to give a reason code.

python tests/rigs/logs/corpus.py FOLDER     writes the corpus and prints the reason code of each file
"""

from __future__ import annotations

import os
import pickle
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
from hdf5_writers import write_aloha, write_robomimic
from lerobot_v3_writer import write_v30
from lerobot_writers import CAMERA, write_v21, write_video
from mcap_writers import write_bag1, write_bag2, write_db3, write_everything, write_json, write_mcap, write_protobuf
from rlds_writers import write_rlds
from table_writers import make_table, write_arrow, write_csv, write_hf, write_parquet
from zarr_writers import write_zarr

Write = Callable[[Path], object]
Spoil = Callable[[Path], object]


@dataclass(frozen=True)
class Seed:
    """A sound log, and which reader is to know it."""

    format: str
    write: Write
    table: bool = False
    """Whether it is one table of Arrow or Parquet, to be spoilt cell by cell."""


SEEDS: dict[str, Seed] = {
    "lerobot-v2.1": Seed("lerobot", lambda path: write_v21(path, (5, 6), video=True)),
    "lerobot-v3.0": Seed("lerobot", lambda path: write_v30(path, (5, 6))),
    "plain.mcap": Seed("mcap", lambda path: write_mcap(path, 12)),
    "everything.mcap": Seed("mcap", lambda path: write_everything(path, 6)),
    "json.mcap": Seed("mcap", lambda path: write_json(path, 8)),
    "protobuf.mcap": Seed("mcap", lambda path: write_protobuf(path, 8)),
    "ros1.bag": Seed("ros", lambda path: write_bag1(path, 8)),
    "lz4.bag": Seed("ros", lambda path: write_bag1(path, 8, "lz4")),
    "ros2.db3": Seed("ros", lambda path: write_db3(path, 8)),
    "ros2": Seed("ros", lambda path: write_bag2(path, 8)),
    "aloha.hdf5": Seed("hdf5", lambda path: write_aloha(path, compress=True)),
    "robomimic.hdf5": Seed("hdf5", write_robomimic),
    "rlds": Seed("rlds", write_rlds),
    "zarr": Seed("zarr", write_zarr),
    "stream.arrow": Seed("table", lambda path: write_arrow(path, make_table((5,))), table=True),
    "file.arrow": Seed("table", lambda path: write_arrow(path, make_table((5,)), stream=False), table=True),
    "rows.parquet": Seed("table", lambda path: write_parquet(path, make_table((5,))), table=True),
    "datasets": Seed("table", lambda path: write_hf(path, make_table((5, 4)))),
    "log.csv": Seed("csv", write_csv),
}


class Trap:
    """What a reader that unpickles would run."""

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (self.mark,)


def main_file(path: Path) -> Path:
    """Return the largest file of a log: the one with the samples."""
    files = [each for each in sorted(path.rglob("*")) if each.is_file()] if path.is_dir() else [path]
    return max(files, key=lambda each: (each.suffix in (".db3", ".parquet"), each.stat().st_size))


def replaced(change: Callable[[bytes], bytes]) -> Spoil:
    """Return a function that changes the bytes of a log's main file."""

    def spoil(path: Path) -> None:
        file = main_file(path)
        file.write_bytes(change(file.read_bytes()))

    return spoil


def pickled(path: Path) -> None:
    """Put a pickle in the place of the main file."""
    file = main_file(path)
    mark = path.parent / "unpickled"
    file.write_bytes(pickle.dumps([Trap(str(mark)), b"x" * 2000]))


def linked_out(path: Path) -> None:
    """Move the main file out and leave a link to it."""
    file = main_file(path)
    outside = path.parent / f"outside-{file.name}"
    shutil.move(file, outside)
    file.symlink_to(outside)


def version_changed(path: Path) -> None:
    """Write another version where the format has one near its start."""
    file = main_file(path)
    data = bytearray(file.read_bytes())
    data[5:13] = b"9" * 8
    file.write_bytes(data)


BYTES: dict[str, Spoil] = {
    "truncated": replaced(lambda data: data[: len(data) // 2]),
    "head-alone": replaced(lambda data: data[:16]),
    "last-bytes-missing": replaced(lambda data: data[:-7]),
    "zero-length": replaced(lambda data: b""),
    "wrong-magic": replaced(lambda data: b"PK\3\4" + b"\0" * 12 + data[16:]),
    "wrong-version": version_changed,
    "zeros": replaced(lambda data: b"\0" * len(data)),
    "absurd-sizes": replaced(lambda data: data[:24] + b"\xff" * 7 + b"\x7f" + data[32:]),
    "absurd-sizes-late": replaced(lambda data: data[: len(data) // 3] + b"\xff" * 64 + data[len(data) // 3 + 64 :]),
    "pickle": pickled,
}
"""For every log."""
MAY_PASS = {
    ("log.csv", "truncated"),  # a text that ends sooner is a shorter log
    ("log.csv", "head-alone"),
    ("log.csv", "wrong-version"),  # changes a column's name
    ("log.csv", "absurd-sizes"),
    ("log.csv", "last-bytes-missing"),
    ("ros1.bag", "absurd-sizes-late"),  # these formats have no checksums, and the bytes are a picture's
    ("lz4.bag", "absurd-sizes-late"),
    ("ros2.db3", "absurd-sizes-late"),
    ("ros2", "absurd-sizes-late"),
}
"""Spoilt logs that may be sound all the same."""


def cells(column: str, change: Callable[[pa.ChunkedArray], object]) -> Callable[[pa.Table], pa.Table]:
    """Return a function that changes a column of a table."""
    return lambda table: table.set_column(table.column_names.index(column), column, change(table[column]))


def with_number(column: str, number: float) -> Callable[[pa.Table], pa.Table]:
    """Return a function that puts one number into the third row of a column of vectors."""

    def change(values: pa.ChunkedArray) -> pa.Array:
        rows = values.to_pylist()
        rows[2][1] = number
        return pa.array(rows, pa.list_(pa.float64()))

    return cells(column, change)


TABLES: dict[str, tuple[str, Callable[[pa.Table], pa.Table]]] = {
    "nan": ("not_finite", with_number("action", np.nan)),
    "infinite": ("not_finite", with_number("observation.state", -np.inf)),
    "time-backwards": (
        "time_backwards",
        cells("timestamp", lambda values: values.take(list(range(len(values)))[::-1])),
    ),
    "dimensions": (
        "dimension_mismatch",
        cells("action", lambda rows: pa.array([row.as_py()[: 1 + i % 2] for i, row in enumerate(rows)])),
    ),
    "no-rows": ("no_action", lambda table: table.slice(0, 0)),
    "words": ("no_action", cells("action", lambda rows: pa.array([["a", "b", "c"]] * len(rows)))),
    "columns-shuffled": ("", lambda table: table.select(table.column_names[::-1])),
}
"""For every table: reason (empty where it is no fault), and what to do to it."""


def spoilt_tables(seed: Seed, path: Path) -> Iterator[tuple[str, str, Path]]:
    """Write a table once for each fault; yields name, reason and path."""
    for name, (reason, change) in TABLES.items():
        table = change(make_table((5,)))
        target = path.with_name(f"{path.stem}-{name}{path.suffix}")
        if path.suffix == ".parquet":
            write_parquet(target, table)
        else:
            write_arrow(target, table, stream=path.stem == "stream")
        yield name, reason, target


def changed_hdf5(dataset: str, change: Callable[[np.ndarray], np.ndarray]) -> Spoil:
    """Return a function that changes one dataset of an HDF5 file."""

    def spoil(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            values = change(file[dataset][:])
            del file[dataset]
            file[dataset] = values

    return spoil


def nan_at(values: np.ndarray) -> np.ndarray:
    """Return the values with one NaN."""
    values = values.astype(np.float64)
    values[1, 1] = np.nan
    return values


def edited_csv(change: Callable[[list[str]], list[str]]) -> Spoil:
    """Return a function that changes the lines of a CSV file."""

    def spoil(path: Path) -> None:
        path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")

    return spoil


def lerobot_video(frames: int | None) -> Spoil:
    """Return a function that makes a film of LeRobot v2.1 short, or spoils it."""

    def spoil(path: Path) -> None:
        film = path / f"videos/chunk-000/{CAMERA}/episode_000001.mp4"
        if frames is None:
            film.write_bytes(pickle.dumps({"a": 1}) * 99)
        else:
            write_video(film, np.zeros((frames, 16, 32, 3), np.uint8))

    return spoil


def lerobot_paths(template: str) -> Spoil:
    """Return a function that makes a dataset ask for files elsewhere."""

    def spoil(path: Path) -> None:
        info = path / "meta/info.json"
        text = info.read_text()
        info.write_text(text.replace("data/chunk-{episode_chunk:03d}/", template))

    return spoil


VALUES: dict[tuple[str, str], tuple[str, Spoil]] = {
    ("aloha.hdf5", "nan"): ("not_finite", changed_hdf5("action", nan_at)),
    ("aloha.hdf5", "dimensions"): ("length_mismatch", changed_hdf5("observations/qpos", lambda values: values[:3])),
    ("robomimic.hdf5", "nan"): ("not_finite", changed_hdf5("data/demo_0/actions", nan_at)),
    ("log.csv", "nan"): (
        "not_finite",
        edited_csv(lambda lines: [*lines[:3], lines[3].replace(lines[3].split(",")[1], "nan", 1), *lines[4:]]),
    ),
    ("log.csv", "time-backwards"): ("time_backwards", edited_csv(lambda lines: [lines[0], *lines[:0:-1]])),
    ("log.csv", "dimensions"): ("", edited_csv(lambda lines: [*lines[:3], lines[3] + ",1,2,3", *lines[4:]])),
    ("lerobot-v2.1", "short-video"): ("short_video", lerobot_video(2)),
    ("lerobot-v2.1", "pickled-video"): ("unreadable_video", lerobot_video(None)),
    ("lerobot-v2.1", "climbs-out"): ("path_outside", lerobot_paths("../../")),
    ("lerobot-v2.1", "absolute-path"): ("path_outside", lerobot_paths("/etc/")),
}
"""By log and fault: reason, and what to do."""


def make_corpus(folder: Path) -> Iterator[tuple[str, str, str, Path]]:
    """Write all bad logs below `folder`; yields log, fault, reason (empty for any) and path."""
    for name, seed in SEEDS.items():
        sound = folder / "sound" / name
        sound.parent.mkdir(parents=True, exist_ok=True)
        seed.write(sound)
        spoils: dict[str, tuple[str, Spoil]] = {fault: ("", spoil) for fault, spoil in BYTES.items()}
        spoils |= {fault: found for (log, fault), found in VALUES.items() if log == name}
        if sound.is_dir():
            spoils["link-out"] = "", linked_out
        for fault, (reason, spoil) in spoils.items():
            path = folder / fault / name
            path.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if sound.is_dir() else shutil.copyfile)(sound, path)
            spoil(path)
            yield name, fault, reason, path
        if seed.table:
            for fault, reason, path in spoilt_tables(seed, folder / "cells" / name):
                yield name, fault, reason, path


def main(folder: Path) -> int:
    """Write the corpus, read it, print what became of each; return 1 where a reason code is missing."""
    from counterpoint.ingest import ingest

    bad = 0
    for name, fault, _, path in make_corpus(folder):
        report = ingest([path], folder / "store", format=SEEDS[name].format, progress=False)
        reasons = sorted({each.reason for each in report.quarantined})
        is_bad = "unreadable" in reasons or not (reasons or (name, fault) in MAY_PASS or fault == "columns-shuffled")
        bad += is_bad
        print(f"{'BAD ' if is_bad else 'fine'} {name:16} {fault:20} {', '.join(reasons) or 'read'}")  # noqa: T201
    return 1 if bad or (folder / "unpickled").exists() else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
