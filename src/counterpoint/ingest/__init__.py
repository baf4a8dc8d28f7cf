"""Reading robot logs into a store: one reader per format, found by content. Re-running never imports an episode twice.

pipeline     find logs, open them, read every item, commit it: `ingest`
formats      the table of formats; one room per format: lerobot, rlds, mcap, rosbag, hdf5, zarr, table
messages     what MCAP files and ROS bags share: from messages to series and videos
recording    what every reader returns, and how it becomes an episode
mapping      which column of a log is which channel of a robot
files        files from strangers: paths, Parquet, JSON
prepare      views and quality marks of a store, after ingest
capacity     cores, disks and network for a fleet, from measured rates

Quality checks and queries are left to `catalog`, learning to `data` and `train`.
"""

from counterpoint.core.exports import make_callable
from counterpoint.ingest.formats import FORMATS, knows, open_source
from counterpoint.ingest.mapping.robot_mapping import FeatureMap, RobotMapping, load_mapping, save_mapping
from counterpoint.ingest.pipeline.find_logs import find_logs
from counterpoint.ingest.pipeline.quarantine import Quarantined
from counterpoint.ingest.pipeline.run import IngestReport, ingest
from counterpoint.ingest.prepare import PrepareReport, prepare
from counterpoint.ingest.recording.notes import explain
from counterpoint.ingest.recording.source import Ingested, Labels, LogFormat, LogSource, ReadOptions

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

make_callable(__name__, "ingest")
