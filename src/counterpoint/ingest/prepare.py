"""Makes a store ready for training: builds the views and quality marks that are missing.

Ingest decodes nothing (it keeps the log's coded frames), the video view decodes every camera once, and the checks
read the view: pixels are decoded once in all.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path

from counterpoint.catalog.quality import check_quality
from counterpoint.core.records import Json
from counterpoint.engine import Engine, LocalEngine
from counterpoint.store import Store, build_low_view, build_video_view


@dataclass(frozen=True, kw_only=True)
class PrepareReport:
    """What `prepare` built."""

    episodes: int
    low_built: int
    """Episodes whose low-dimensional streams this call put into the view."""
    streams_built: int
    """Image streams that this call put into the video view."""
    streams_present: int
    """Image streams that were already in the view."""
    checked: int
    """Episodes whose quality this call checked; the findings are in the store's marks."""
    findings: int
    """Marks of all episodes, notes not counted."""
    seconds: dict[str, float]
    """Wall time of each stage."""
    failed: dict[str, str]
    """Why an episode is missing or incomplete in a view: message by episode id."""

    def to_dict(self) -> dict[str, Json]:
        """Return plain JSON values."""
        return asdict(self)


def prepare(
    root: Path | str, *, preset: str = "5hz", engine: Engine | None = None, progress: bool = True
) -> PrepareReport:
    """Build the training views of a store and check its episodes; existing views are kept.

    Args:
        root: the store.
        preset: of the video view: `5hz`, `10hz` or `native`.
        engine: where the work runs; None for this process alone.
        progress: show bars on stderr.

    Raises:
        StoreError: not a store, or it cannot be written.
        UnknownNameError: there is no such preset.
    """
    engine = engine or LocalEngine(1)
    store = Store.open(root)
    begun = time.perf_counter()
    low = build_low_view(store, engine=engine, progress=progress)
    low_done = time.perf_counter()
    video = build_video_view(store, preset=preset, engine=engine, progress=progress)
    video_done = time.perf_counter()
    checks = check_quality(store, engine=engine, progress=progress)
    severities = checks.files.marks["severity"].to_pylist()
    return PrepareReport(
        episodes=len(store),
        low_built=low.built,
        streams_built=video.built,
        streams_present=video.present,
        checked=checks.checked,
        findings=sum(severity != "note" for severity in severities),
        seconds={
            "low_view": low_done - begun,
            "video_view": video_done - low_done,
            "checks": time.perf_counter() - video_done,
        },
        failed={**dict.fromkeys(low.damaged, "its samples cannot be read"), **video.failed},
    )
