"""LeRobot exports: what goes in comes back out, coded frames are not coded again, the peer loads them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from exported_stores import FPS, episode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from counterpoint.core.errors import ExportError
from counterpoint.export import ExportFormat, export_store
from counterpoint.ingest import ingest
from counterpoint.store import Store
from counterpoint.store.episodes.video import list_pts

LEROBOT: tuple[ExportFormat, ...] = ("lerobot-v3", "lerobot-v2.1")
MakeStore = Callable[..., Store]
PEER = Path(__file__).parent / "load_with_lerobot.py"


def again(folder: Path, into: Path) -> Store:
    report = ingest([folder], into, progress=False)
    assert not report.quarantined
    return Store.open(into)


def assert_equal(before: Store, after: Store) -> None:
    old = [each for each in before.episodes]
    new = sorted(after.episodes, key=lambda each: each.provenance.origin)
    assert len(old) == len(new)
    for a, b in zip(old, new, strict=True):
        left, right = before.low(a.episode_id), after.low(b.episode_id)
        for name, there in (("action", "action"), ("proprioception", "proprioception")):
            np.testing.assert_array_equal(left[name].values, right[there].values)
            elapsed = left[name].capture_ns - left[name].capture_ns[0]
            assert np.abs(elapsed - (right[there].capture_ns - right[there].capture_ns[0])).max() < 1_000
        np.testing.assert_array_equal(left["wrist/force"].values, right["observation/wrist/force"].values)
        assert [str(text) for text in left["instruction"].values] == [str(t) for t in right["instruction"].values]


@pytest.mark.parametrize("format", LEROBOT)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lengths=st.lists(st.integers(2, 25), min_size=1, max_size=4), texts=st.integers(1, 3))
def test_round_trip(
    format: ExportFormat,
    tmp_path_factory: pytest.TempPathFactory,
    make_store: MakeStore,
    lengths: list[int],
    texts: int,
) -> None:
    folder = tmp_path_factory.mktemp("round")
    episodes = [episode(index, rows, texts=texts) for index, rows in enumerate(lengths)]
    store = make_store(*episodes, name=folder.name)
    report = export_store(store.root, folder / "out", format, progress=False)
    assert (report.episodes, report.resampled) == (len(lengths), [])
    assert_equal(store, again(folder / "out", folder / "back"))


@pytest.mark.parametrize("format", LEROBOT)
def test_video_is_copied_where_frames_are_rows(format: ExportFormat, tmp_path: Path, make_store: MakeStore) -> None:
    store = make_store(*(episode(index, 9 + index, camera_hz=FPS) for index in range(4)))
    report = export_store(store.root, tmp_path / "out", format, progress=False)
    assert report.encoded == 0
    back = again(tmp_path / "out", tmp_path / "back")
    for a, b in zip(store.episodes, sorted(back.episodes, key=lambda e: e.provenance.origin), strict=True):
        samples = np.arange(9)
        old = store.frames(a.episode_id, "camera/front", samples)
        np.testing.assert_array_equal(old, back.frames(b.episode_id, "camera/front", samples))
    films = sorted((tmp_path / "out" / "videos").rglob("*.mp4"))
    assert len(films) == (1 if format == "lerobot-v3" else 4)
    assert sum(len(list_pts(film)) for film in films) == 9 + 10 + 11 + 12


@pytest.mark.parametrize("format", LEROBOT)
def test_video_at_its_own_rate_shows_the_last_frame(
    format: ExportFormat, tmp_path: Path, make_store: MakeStore
) -> None:
    store = make_store(episode(0, 20, sensed_hz=100, camera_hz=5), episode(1, 10, sensed_hz=100, camera_hz=5))
    report = export_store(store.root, tmp_path / "out", format, progress=False)
    assert report.encoded == 2
    assert report.resampled == ["camera/front", "proprioception", "wrist/force"]
    back = again(tmp_path / "out", tmp_path / "back")
    first = min(back.episodes, key=lambda e: e.provenance.origin)
    assert len(back.frame_times(first.episode_id, "camera/front")[0]) == 20
    shown = back.frames(first.episode_id, "camera/front", np.asarray([6, 7])).mean(axis=(1, 2, 3))
    old = store.frames("arm-000", "camera/front", np.asarray([3])).mean()
    np.testing.assert_allclose(shown, old, atol=3)
    state = store.low("arm-000")["proprioception"].values[::10]
    np.testing.assert_array_equal(back.low(first.episode_id)["proprioception"].values, state)


def test_statistics_are_those_of_the_rows(tmp_path: Path, make_store: MakeStore) -> None:
    store = make_store(*(episode(index, 30 + index, camera_hz=FPS) for index in range(3)))
    export_store(store.root, tmp_path / "out", "lerobot-v3", progress=False)
    found = json.loads((tmp_path / "out/meta/stats.json").read_text())
    rows = np.concatenate([np.asarray(store.low(each.episode_id)["action"].values) for each in store.episodes])
    for name, value in (("mean", rows.mean(0)), ("std", rows.std(0)), ("min", rows.min(0)), ("max", rows.max(0))):
        np.testing.assert_allclose(found["action"][name], value, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["action"]["q50"], np.quantile(rows.astype(np.float64), 0.5, axis=0), atol=1e-9)
    assert found["action"]["count"] == [len(rows)]
    assert np.shape(found["observation.images.front"]["mean"]) == (3, 1, 1)
    episodes = pq.read_table(tmp_path / "out/meta/episodes/chunk-000/file-000.parquet")
    assert episodes["dataset_to_index"].to_pylist() == [30, 61, 93]
    assert episodes["videos/observation.images.front/from_timestamp"].to_pylist() == pytest.approx([0, 3.0, 6.1])


def test_only_what_all_episodes_have_is_kept_and_said(tmp_path: Path, make_store: MakeStore) -> None:
    store = make_store(episode(0, 5, camera_hz=FPS), episode(1, 5))
    report = export_store(store.root, tmp_path / "all", "lerobot-v3", progress=False)
    assert report.left_out == {"camera/front": 1}
    assert "observation.images.front" not in json.loads((tmp_path / "all/meta/info.json").read_text())["features"]
    report = export_store(store.root, tmp_path / "seen", "lerobot-v3", with_cameras=True, progress=False)
    assert (report.episodes, report.left_out) == (1, {})


def test_a_full_folder_is_left_alone(tmp_path: Path, make_store: MakeStore) -> None:
    store = make_store(episode(0, 5))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("keep")
    with pytest.raises(ExportError, match="not empty"):
        export_store(store.root, tmp_path / "out", "lerobot-v3", progress=False)
    assert (tmp_path / "out" / "mine").read_text() == "keep"


def test_nothing_to_export_says_so(tmp_path: Path, make_store: MakeStore) -> None:
    store = make_store(episode(0, 5))
    with pytest.raises(ExportError, match="--task fly"):
        export_store(store.root, tmp_path / "out", "mcap", task="fly", progress=False)
    with pytest.raises(ExportError, match="1 to 1000"):
        export_store(store.root, tmp_path / "out", "mcap", fps=0, progress=False)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_lerobot_package_loads_it(tmp_path: Path, make_store: MakeStore, repository: Path) -> None:
    default = repository / ".lerobot" / "bin" / "python"
    python = Path(os.environ.get("COUNTERPOINT_LEROBOT_PYTHON", default))
    if not python.exists():
        pytest.skip("no Python with lerobot==0.4.4; `python benchmarks/data.py` makes .lerobot, or name one")
    store = make_store(*(episode(index, 12 + index, camera_hz=FPS, texts=2) for index in range(3)))
    export_store(store.root, tmp_path / "out", "lerobot-v3", progress=False)
    done = subprocess.run(
        [str(python), str(PEER), str(tmp_path / "out"), str(tmp_path / "peer.npz")],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf"), "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    seen = np.load(tmp_path / "peer.npz")
    streams = [store.low(each.episode_id) for each in store.episodes]
    for feature, name in (("action", "action"), ("state", "proprioception")):
        np.testing.assert_array_equal(seen[feature], np.concatenate([np.asarray(s[name].values) for s in streams]))
    texts = [
        t for e, s in zip(store.episodes, streams, strict=True) for t in expected_texts(s["instruction"], s["action"])
    ]
    assert seen["task"].tolist() == texts
    pictures = np.concatenate(
        [store.frames(each.episode_id, "camera/front", np.arange(12 + k)) for k, each in enumerate(store.episodes)]
    )
    np.testing.assert_allclose(seen["grey"], pictures.mean(axis=(1, 2, 3)) / 255, atol=0.02)
    assert seen["chunk"].shape == (50, 2)


def expected_texts(told: object, acted: object) -> list[str]:
    from counterpoint.core.stream import Stream

    assert isinstance(told, Stream)
    assert isinstance(acted, Stream)
    places = np.searchsorted(told.capture_ns, acted.capture_ns, side="right") - 1
    return [str(told.values[place]) for place in places]
