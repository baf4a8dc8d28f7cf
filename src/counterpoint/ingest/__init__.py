"""Reading robot logs into a store: one reader a format, found by content, idempotent and resumable.

Quality checks and queries are left to `catalog`, learning to `data` and `train`.
"""

from counterpoint.ingest.files.quarantine import Quarantined
from counterpoint.ingest.formats import FORMATS, knows, open_source
from counterpoint.ingest.mapping.mapping import FeatureMap, RobotMapping, load_mapping, save_mapping
from counterpoint.ingest.prepare import PrepareReport, prepare
from counterpoint.ingest.recording.notes import explain
from counterpoint.ingest.recording.source import Ingested, Labels, LogFormat, LogSource, ReadOptions
from counterpoint.ingest.run import IngestReport, ingest
from counterpoint.ingest.walk import find_logs

__all__ = [
    "FORMATS",
    "FeatureMap",
    "IngestReport",
    "Ingested",
    "Labels",
    "LogFormat",
    "LogSource",
    "PrepareReport",
    "Quarantined",
    "ReadOptions",
    "RobotMapping",
    "explain",
    "find_logs",
    "ingest",
    "knows",
    "load_mapping",
    "open_source",
    "prepare",
    "save_mapping",
]
