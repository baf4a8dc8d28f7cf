"""The dataset on disk: write, read and check episodes. `docs/format.md` specifies the format.

    files/     durable writes, names and folders, manifests, memory-mapped Arrow
    episodes/  writing one episode: streams, video, episodes received from another store
    index/     one row per episode, so that opening a store reads no manifests
    views/     training views derived from the episodes: low-dimensional streams and small pictures
    cloud/     views in object storage

`catalog` chooses among episodes, and `data` turns them into batches.
"""

from counterpoint.store.build_low import LowViewReport, build_low_view
from counterpoint.store.build_video import PRESETS, VideoPreset, ViewReport, build_video_view
from counterpoint.store.episodes.video import EncodedVideo
from counterpoint.store.episodes.writer import StoreWriter
from counterpoint.store.files.manifest import EpisodeInfo, FileInfo, StreamInfo
from counterpoint.store.index.episode_list import EpisodeList
from counterpoint.store.index.refresh import Problem
from counterpoint.store.opening import open_store
from counterpoint.store.reader import Store
from counterpoint.store.views.video_view import ViewFrames

__all__ = [
    "PRESETS",
    "EncodedVideo",
    "EpisodeInfo",
    "EpisodeList",
    "FileInfo",
    "LowViewReport",
    "Problem",
    "Store",
    "StoreWriter",
    "StreamInfo",
    "VideoPreset",
    "ViewFrames",
    "ViewReport",
    "build_low_view",
    "build_video_view",
    "open_store",
]
