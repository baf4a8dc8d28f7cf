"""What the notes of an ingest mean; a note is a code, often with `:` and what it is about."""

from __future__ import annotations

NOTES = {
    "action_from_state": "no commands; what was measured stands for them",
    "assumed_rate": "no clock; rows are taken to be 1 / this rate (Hz) apart, correct it with a mapping (--robot)",
    "before_key_frame": "pictures before the first key frame cannot be decoded and were left out",
    "channels_by_order": "the log names no columns; they were tied to the robot's channels in order",
    "clock_offset": "stamps lie ahead of the recorder's clock",
    "empty_chunks": "chunks that were never written, read as the fill value",
    "encoded": "raw pictures, stored as H.264",
    "irregular_time": "rows are not evenly spaced; the log's own times were kept",
    "left_out": "not read",
    "link_left_out": "links inside the folder, not followed",
    "missing_video": "the log names a camera and has no pictures of it",
    "no_state": "nothing says where the robot was",
    "not_a_log": "files of no known format",
    "not_finite": "samples that are not a number, left out",
    "not_in_rad": "joint positions beyond two turns: degrees or ticks? give the unit in a mapping (--write-mapping)",
    "reordered": "samples out of order, put in order",
    "robot_not_fitting": "the columns are not this robot's channels; another robot was made from their names",
    "several_actions": "a second topic of commands, kept as a sensed stream",
    "split": "the part of its dataset that the episode belongs to",
    "stamp_not_used": "stamps far from the recorder's clock; times of publishing are used instead",
    "total_episodes_mismatch": "the metadata promise another number of episodes",
    "video_found_later": "a video is there now that was missing when the episode came in",
}
"""By code."""


def explain(note: str) -> str:
    """Return the meaning of a note such as `left_out:/tf`, empty for one that is not known."""
    return NOTES.get(note.partition(":")[0], "")
