"""Recording the shards of the video view, also those that a killed builder left unrecorded.

A worker writes a shard whole, by rename; the builder then records its runs in `video_places`. A shard that was
written but not recorded, because the builder was killed, is recorded by the next one, or removed where another
holds the same pictures.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

from counterpoint.core.errors import StoreError
from counterpoint.store.files.mapped import SUFFIX, remove_left_overs
from counterpoint.store.views.gops import Shard, shard_path
from counterpoint.store.views.low_places import key_of
from counterpoint.store.views.video_places import Place, VideoPlaces, add_places
from counterpoint.store.views.video_view import ViewFrames

logger = logging.getLogger(__name__)


def record_shards(folder: Path, names: Iterable[str]) -> None:
    """Make the pictures of new shards findable; the caller holds the lock of the preset's folder.

    Raises:
        StoreError: a shard is damaged, or the folder cannot be written.
    """
    add_places(folder, (place for name in names for place in _places(folder, name)))


def record_left_behind(folder: Path, view: ViewFrames) -> int:
    """Record whole shards that a killed builder left, remove those that add nothing; return how many were recorded.

    The caller holds the lock of the preset's folder.

    Raises:
        StoreError: the folder cannot be written.
    """
    places = VideoPlaces(folder)
    places.refresh()
    recorded = places.shards()
    kept = 0
    for parent in sorted(each for each in folder.glob("??") if each.is_dir()):
        remove_left_overs(parent)
        for path in sorted(parent.glob(f"*{SUFFIX}")):
            if path.stem in recorded or path.name.startswith("."):
                continue
            try:
                runs = Shard(path).runs
                if all(view.has(run.content_sha256, run.stream) for run in runs):
                    path.unlink(missing_ok=True)
                    continue
                record_shards(folder, [path.stem])
                kept += 1
            except StoreError as error:
                logger.warning("%s", error)
                path.unlink(missing_ok=True)
    return kept


def _places(folder: Path, name: str) -> Iterator[tuple[int, Place]]:
    for run in Shard(shard_path(folder, name)).runs:
        yield key_of(run.content_sha256), Place(name, run.row, run.rows)
