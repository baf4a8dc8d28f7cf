"""Zarr (2 and 3, folder or zip) in the layout of Diffusion Policy and UMI: `data/*`, and `meta/episode_ends`.

The chunks are decoded here with bounded codecs, not by the zarr package, which allocates what a chunk's header claims
and instantiates any codec that the metadata names, pickle included.
"""

from __future__ import annotations

from pathlib import Path

from counterpoint.ingest.recording.source import LogSource, ReadOptions
from counterpoint.ingest.zarr.hierarchy import has_episode_ends


def looks_like_zarr(path: Path) -> bool:
    """Whether `path` is a folder or zip with `meta/episode_ends`."""
    return has_episode_ends(path)


def open_zarr(path: Path, options: ReadOptions) -> LogSource:
    """Open a replay buffer; raises IngestError."""
    from counterpoint.ingest.zarr.log import ZarrLog  # needs numcodecs, which is in an extra

    return ZarrLog(path, options)
