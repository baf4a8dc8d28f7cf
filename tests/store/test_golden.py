"""Stores of this format version must load for ever."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import numpy as np
import pytest

from counterpoint.store import Store, StoreWriter


@pytest.fixture
def golden(repository: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(repository / "tests" / "golden" / "store-1", tmp_path / "store-1"))


def test_golden_store_loads_with_every_value(golden: Path, repository: Path) -> None:
    spec = importlib.util.spec_from_file_location("make_golden", repository / "tests" / "golden" / "make_golden.py")
    assert spec is not None
    assert spec.loader is not None
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    store = Store.open(golden)
    assert store.verify() == []
    assert [info.episode_id for info in store.episodes] == ["golden/0", "golden/1"]
    for index, info in enumerate(store.episodes):
        expected, found = maker.golden_episode(index), store.read(info.episode_id)
        assert found.embodiment == expected.embodiment
        assert found.provenance == expected.provenance
        assert list(found.streams) == list(expected.streams)
        for name, stream in expected.streams.items():
            assert found.streams[name].spec == stream.spec
            assert found.streams[name].time_source == stream.time_source
            np.testing.assert_array_equal(found.streams[name].capture_ns, stream.capture_ns)
            np.testing.assert_array_equal(found.streams[name].arrival_ns, stream.arrival_ns)
            if stream.spec.kind == "image":
                assert np.abs(found.streams[name].values.astype(int) - stream.values.astype(int)).max() < 8
            else:
                np.testing.assert_array_equal(found.streams[name].values, stream.values)
        if "camera/front" not in expected.streams:
            StoreWriter(golden).add(expected)  # the content hash has not changed its meaning
