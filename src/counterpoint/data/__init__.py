"""The one road from stores to batches: `episodes` (sources, selection, marks), `encoding`, `batches`.

    position --order--> window --EpisodeSource--> Recording --transform--> sample --pack--> Batch
                                                              |
              TrainingTransform: Processor.encode             ArrayTransform: plain arrays under LeRobot's names

    Observation --Processor.encode_observation--> pack --> Batch --model--> Processor.decode --> ActionChunk

Training and serving run the same encoding code. This package leaves files to `store`, learning to `model`.
"""

from typing import TYPE_CHECKING

from counterpoint.core.exports import lazy_exports

if TYPE_CHECKING:
    from counterpoint.data.batches.arrays import ArrayConfig, ArrayDataset
    from counterpoint.data.batches.loader import Loader
    from counterpoint.data.encoding.processor import Processor
    from counterpoint.data.encoding.windows import WindowConfig
    from counterpoint.data.episodes.selection import Selection, select_episodes
    from counterpoint.data.episodes.source import EpisodeSource, MemorySource
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "counterpoint.data.batches.arrays": ("ArrayConfig", "ArrayDataset"),
            "counterpoint.data.batches.loader": ("Loader",),
            "counterpoint.data.encoding.processor": ("Processor",),
            "counterpoint.data.encoding.windows": ("WindowConfig",),
            "counterpoint.data.episodes.selection": (
                "Selection",
                "select_episodes",
            ),
            "counterpoint.data.episodes.source": (
                "EpisodeSource",
                "MemorySource",
            ),
        },
    )

__all__ = [
    "ArrayConfig",
    "ArrayDataset",
    "EpisodeSource",
    "Loader",
    "MemorySource",
    "Processor",
    "Selection",
    "WindowConfig",
    "select_episodes",
]
