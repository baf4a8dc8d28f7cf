"""Cutting an episode out of a spoilt mp4 gives its frames or a clear error; found by fuzzing."""

from __future__ import annotations

from pathlib import Path

import pytest
from lerobot_writers import draw, write_video

from counterpoint.core.errors import StoreError
from counterpoint.store.episodes.video import cut_video


@pytest.mark.parametrize("length", [7, 60])
def test_zeroed_stretches(tmp_path: Path, length: int) -> None:
    path = tmp_path / "film.mp4"
    write_video(path, draw(0, 11))
    sound = path.read_bytes()
    refused = 0
    for at in range(0, len(sound) - length, max(9, len(sound) // 30)):
        spoilt = path.with_name(f"spoilt-{at}.mp4")  # a file of its own: lists of frames are kept by file
        spoilt.write_bytes(sound[:at] + bytes(length) + sound[at + length :])
        try:
            _, pts = cut_video(spoilt, 0.5, 6)
        except StoreError:
            refused += 1
        else:
            assert len(pts) == 6
    assert refused
