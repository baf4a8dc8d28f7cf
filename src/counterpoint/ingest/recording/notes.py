"""What the notes of an ingest mean. A note is a code, often followed by `:` and its subject."""

from __future__ import annotations

NOTES = {
    "action_from_state": "the log has no commands; its measured state is used as the action",
    "assumed_rate": "no clock; rows are assumed to be 1 / this rate (Hz) apart. Set the rate with a mapping (--robot)",
    "before_key_frame": "frames before the first key frame cannot be decoded and were dropped",
    "channels_by_order": "the log does not name its columns; they were mapped to the robot's channels in order",
    "clock_offset": "time stamps are ahead of the recorder's clock",
    "empty_chunks": "chunks that were never written, read as the fill value",
    "encoded": "uncompressed frames were encoded as H.264",
    "irregular_time": "rows are not evenly spaced; the log's own times were kept",
    "left_out": "not imported",
    "link_left_out": "links inside the folder, not followed",
    "missing_video": "the log names a camera but has no frames of it",
    "no_state": "the log has no joint state",
    "not_a_log": "files of no known format",
    "not_finite": "samples with NaN or infinite values were dropped",
    "not_in_rad": "joint positions exceed two turns: degrees or ticks? Set the unit in a mapping (--write-mapping)",
    "reordered": "samples were out of order and have been sorted",
    "robot_not_fitting": "the columns do not match this robot's channels; a robot was derived from their names",
    "several_actions": "a further topic of commands, kept as a sensing stream",
    "split": "the split of the dataset that the episode belongs to",
    "stamp_not_used": "time stamps are far from the recorder's clock; publish times are used instead",
    "total_episodes_mismatch": "the metadata state another number of episodes",
    "video_found_later": "the log now has a video that was missing when the episode was imported",
}
"""By code."""


def explain(note: str) -> str:
    """Return the meaning of a note such as `left_out:/tf`; empty for unknown codes."""
    return NOTES.get(note.partition(":")[0], "")
