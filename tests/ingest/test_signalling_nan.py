"""A signalling NaN, which a cast warns of, is refused as any other; found by fuzzing in four readers."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr
from hdf5_writers import write_aloha
from spoiling import reason_of
from zarr_writers import write_zarr

from counterpoint.ingest import open_source
from counterpoint.ingest.files.columns import widened


@pytest.mark.parametrize("shape", [(1,), (3, 2)])
def test_widening_is_quiet(shape: tuple[int, ...]) -> None:
    assert np.isnan(widened(np.frombuffer(b"\x01\x00\xa0\x7f" * int(np.prod(shape)), np.float32).reshape(shape))).all()


def test_in_hdf5(tmp_path: Path) -> None:
    path = tmp_path / "episode_0.hdf5"
    write_aloha(path)
    with h5py.File(path, "r+") as file:
        shape = file["action"].shape
        del file["action"]
        raw = np.frombuffer(b"\x01\x00\xa0\x7f" * int(np.prod(shape)), np.float32).reshape(shape)
        file.create_dataset("action", data=raw)
    assert reason_of(open_source, path) == "not_finite"


def test_in_zarr(tmp_path: Path) -> None:
    path = tmp_path / "buffer"
    write_zarr(path)
    array = zarr.open_group(str(path), mode="r+")["data/action"]
    assert isinstance(array, zarr.Array)
    raw = np.frombuffer(b"\x01\x00\xa0\x7f" * int(np.prod(array.shape)), np.float32).reshape(array.shape)
    array[...] = raw
    assert reason_of(open_source, path) == "not_finite"
