"""The page about a store's checks: one small file, verdict first, examples drawn from the data."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from counterpoint.catalog.quality import CHECKS, Finding, check_quality
from counterpoint.catalog.quality.finding import PICTURE_CHECKS
from counterpoint.core.clock import periodic_ns
from counterpoint.core.embodiment import StreamSpec
from counterpoint.core.errors import CounterpointError
from counterpoint.core.stream import Stream
from counterpoint.data.episodes.synthetic import synthetic_embodiment, synthetic_episode
from counterpoint.engine import open_engine
from counterpoint.report.quality.page import write_quality_report
from counterpoint.report.quality.plots import draw
from counterpoint.report.quality.words import PHRASES, Mark, hours, phrase, time_of
from counterpoint.store import Store, StoreWriter, ViewFrames, build_video_view

ROBOT = synthetic_embodiment(7)
CAMERA = StreamSpec(name="camera/front", kind="image", height=32, width=48, rate_hz=10.0)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A clean episode, one with a gap and a jump, one with a dark camera."""
    clean = synthetic_episode(ROBOT, 0, seed=1, duration_s=4.0)
    state = clean.streams["proprioception"]
    values = state.values.copy()
    values[300:, 0] += 2.0
    faulty = replace(state, values=values).select(np.delete(np.arange(len(state)), np.arange(100, 160)))
    times = periodic_ns(int(state.capture_ns[0]), 10.0, 40)
    frames = np.random.default_rng(0).integers(0, 255, (40, 32, 48, 3)).astype(np.uint8)
    frames[10:25] = 3
    camera = Stream(spec=CAMERA, capture_ns=times, arrival_ns=times, values=frames)
    with StoreWriter(tmp_path / "store") as writer:
        writer.add(clean)
        writer.add(replace(clean, episode_id="faulty", streams={**clean.streams, "proprioception": faulty}))
        writer.add(replace(clean, episode_id="dark", streams={**clean.streams, "camera/front": camera}))
    return Store.open(tmp_path / "store")


def test_the_page_says_what_was_found_and_loads_nothing(store: Store, tmp_path: Path) -> None:
    engine = open_engine(workers=1)
    build_video_view(store, engine=engine)
    check_quality(store, engine=engine, drop=True)
    path = write_quality_report(store, tmp_path / "out" / "quality.html")
    html = path.read_text(encoding="utf-8")
    assert path.stat().st_size < 3_000_000
    assert "1 episode failed a check" in html
    for words in (
        "no sample for 610 ms",
        "mean brightness falls to",
        "times as unexpected as usual",
        "left out of training",
    ):
        assert words in html
    assert html.count("data:image/jpeg") >= 3
    assert not re.search(r"""(src|href)=["'](?!#|data:)""", html)
    assert "@import" not in html
    assert "nan" not in re.sub(r"<svg.*?</svg>", "", html, flags=re.DOTALL)
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))


def test_a_store_that_was_never_checked_has_no_page(store: Store, tmp_path: Path) -> None:
    with pytest.raises(CounterpointError, match="never checked; run 'counterpoint check"):
        write_quality_report(store, tmp_path / "quality.html")


def test_a_clean_store_says_so(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "store") as writer:
        writer.add(synthetic_episode(ROBOT, 0, seed=1))
    store = Store.open(tmp_path / "store")
    check_quality(store, engine=open_engine(workers=1))
    html = write_quality_report(store, tmp_path / "quality.html").read_text(encoding="utf-8")
    assert "(100%); no episode failed a check" in html


def mark_of(store: Store, check: str, stream: str, channel: str = "") -> Mark:
    info = store.info("faulty")
    start, end = info.start_ns + 10**9, info.start_ns + 2 * 10**9
    finding = Finding(
        check=check, stream=stream, severity="warn", start_ns=start, end_ns=end, value=0.5, threshold=0.1,  # type: ignore[arg-type]  # of CHECKS
        channel=channel,
    )  # fmt: skip
    return Mark(episode_id="faulty", drop=False, **vars(finding))


def test_every_check_has_words_and_a_plot(store: Store) -> None:
    assert set(PHRASES) == set(CHECKS)
    view = ViewFrames(store.root)
    for check in sorted(set(CHECKS) - PICTURE_CHECKS - {"unreadable"}):
        for channel in ("", "joint_1", "tool_pose"):
            mark = mark_of(store, check, "proprioception", channel)
            assert phrase(mark)
            assert "<svg" in str(draw(store, view, mark, check))
    assert draw(store, view, mark_of(store, "dark", "camera/front"), "dark") is None  # not in the view
    assert draw(store, view, mark_of(store, "unreadable", ""), "unreadable") is None


def test_times_in_words(store: Store) -> None:
    mark = mark_of(store, "jump", "proprioception", "joint_1")
    start = store.info("faulty").start_ns
    assert time_of(mark, start) == "1.0 to 2.0 s"
    assert time_of(replace(mark, end_ns=mark.start_ns), start) == "at 1.00 s"
    assert [hours(each) for each in (3.0, 0.5, 0.001)] == ["3.0 h", "30.0 min", "3.6 s"]
