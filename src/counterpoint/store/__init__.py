"""On-disk dataset: writing, reading and checking episodes; specified in `docs/format.md`.

Choosing among episodes is left to `catalog`, turning them into batches to `data`.
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
