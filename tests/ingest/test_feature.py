"""Features of a log and the robot made of them."""

from __future__ import annotations

import pytest

from counterpoint.ingest import ReadOptions
from counterpoint.ingest.recording.features import LogFeature, LogRobot, map_features

ROBOT = LogRobot(name="made", rate_hz=10.0, description="", source="")


@pytest.mark.parametrize("width", [0, -16777213])
def test_lists_of_no_or_negative_length_are_no_features(width: int) -> None:
    """A spoilt Arrow schema may claim either; found by fuzzing."""
    features = [
        LogFeature(name="action", width=3, role="action"),
        LogFeature(name="observation.state", width=width, role="state"),
    ]
    mapping, notes = map_features(features, ROBOT, ReadOptions(), "here")
    assert [each.feature for each in mapping.features] == ["action"]
    assert "no_state" in notes
