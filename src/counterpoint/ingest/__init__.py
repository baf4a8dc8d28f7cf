"""Reading robot logs into a store: one reader a format, found by content, idempotent and resumable.

Quality checks and queries are left to `catalog`, learning to `data` and `train`.
"""

from counterpoint.ingest.formats import FORMATS, open_source
from counterpoint.ingest.mapping import FeatureMap, RobotMapping, load_mapping, save_mapping
from counterpoint.ingest.run import IngestReport, Quarantined, ingest
from counterpoint.ingest.source import Ingested, Labels, LogFormat, LogSource, ReadOptions

__all__ = [
    "FORMATS",
    "FeatureMap",
    "IngestReport",
    "Ingested",
    "Labels",
    "LogFormat",
    "LogSource",
    "Quarantined",
    "ReadOptions",
    "RobotMapping",
    "ingest",
    "load_mapping",
    "open_source",
    "save_mapping",
]
