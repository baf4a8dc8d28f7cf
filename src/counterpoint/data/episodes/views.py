"""Building what is missing of the training views of a run's stores."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

import pyarrow as pa

from counterpoint.core.errors import StoreError
from counterpoint.data.episodes.selection import ChosenEpisodes
from counterpoint.data.episodes.source import EpisodeSource, SubsetSource
from counterpoint.store import Store, build_low_view, build_video_view
from counterpoint.store.views.low import LowView
from counterpoint.store.views.low_places import keys_of

log = logging.getLogger(__name__)


def build_missing_views(
    sources: Sequence[EpisodeSource], episodes: ChosenEpisodes, cameras: Collection[str], view: str, *, progress: bool
) -> None:
    """Build what the chosen episodes lack of the training views of stores on disk; as `counterpoint prepare` does.

    A store that cannot be written is read from its masters, slowly, and a warning says so.

    Args:
        sources: where the episodes are.
        episodes: from `select_episodes`.
        cameras: image streams that will be read.
        view: preset of the video view; empty for none.
        progress: show bars on stderr.

    Raises:
        StoreError: pictures are missing from the video view and it cannot be built.
    """
    for number, source in enumerate(sources):
        store = source.source if isinstance(source, SubsetSource) else source
        if not isinstance(store, Store):
            continue  # the views of others are whole, or they need none
        rows = [each.row for references in episodes.values() for each in references if each.source == number]
        facts = source.flat().select(["episode_id", "content_sha256"]).take(pa.array(rows, pa.int64()))
        ids, contents = (facts[name].combine_chunks() for name in ("episode_id", "content_sha256"))
        if LowView(store.root).missing(keys_of(contents)).any():
            log.info("%s: building the training view of new episodes", store.root)
            try:
                build_low_view(store, ids.to_pylist(), progress=progress)
            except StoreError as error:
                log.warning("%s. Reading the masters instead, many times slower: counterpoint prepare", error)
        if cameras and view and _lacks_pictures(store, ids.to_pylist(), cameras, view):
            log.info("%s: building the video view %r of new episodes", store.root, view)
            build_video_view(store, ids.to_pylist(), preset=view, progress=progress)


def _lacks_pictures(store: Store, episode_ids: Sequence[str], cameras: Collection[str], view: str) -> bool:
    pictures = store.video_view(view)
    for info in map(store.info, episode_ids):
        for stream in info.streams:
            wanted = stream.name in cameras and stream.kind == "image" and stream.samples > 0
            if wanted and not pictures.has(info.content_sha256, stream.name):
                return True
    return False
