"""Quality of episodes: faults in times, numbers and pictures, range by range.

Each check is a function of arrays and thresholds that returns findings; `check_quality` runs them over a store
and saves the findings as marks. `store` detects damaged files, and `catalog.duplicates` near-duplicates.
"""

from counterpoint.catalog.quality.episode import check_pictures, check_streams, parse_checks
from counterpoint.catalog.quality.finding import CHECKS, MEANING, CheckName, Finding, Severity, Verdict, verdict
from counterpoint.catalog.quality.run import CheckRun, check_episode, check_quality
from counterpoint.catalog.quality.summary import CheckSummary, summarize_marks
from counterpoint.catalog.quality.thresholds import Thresholds

__all__ = [
    "CHECKS",
    "MEANING",
    "CheckName",
    "CheckRun",
    "CheckSummary",
    "Finding",
    "Severity",
    "Thresholds",
    "Verdict",
    "check_episode",
    "check_pictures",
    "check_quality",
    "check_streams",
    "parse_checks",
    "summarize_marks",
    "verdict",
]
