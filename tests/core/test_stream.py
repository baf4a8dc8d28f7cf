"""Streams: what breaks the contract is refused with its place, what keeps it can be cut anywhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterpoint.core.embodiment import Channel, StreamSpec
from counterpoint.core.errors import StreamError
from counterpoint.core.stream import Stream, text_stream, vector_stream

SPEC = StreamSpec(
    name="proprioception",
    channels=(
        Channel(name="joint_1", quantity="joint_position", unit="rad"),
        Channel(name="joint_2", quantity="joint_position", unit="rad"),
    ),
)
TIMES = st.lists(st.integers(0, 10_000), max_size=30).map(sorted)


def stream_at(times: list[int], latency_ns: int = 0) -> Stream:
    capture = np.asarray(times, dtype=np.int64)
    values = np.stack([capture, -capture], axis=1).reshape(len(times), 2).astype(np.float64)
    return vector_stream(SPEC, capture, values, arrival_ns=capture + latency_ns)


@given(TIMES, st.integers(-10, 10_010), st.integers(-10, 10_010))
def test_between_keeps_exactly_the_half_open_interval(times: list[int], start: int, end: int) -> None:
    cut = stream_at(times).between(start, end)
    assert cut.capture_ns.tolist() == [time for time in times if start <= time < end]
    assert cut.values[:, 0].tolist() == cut.capture_ns.tolist()


@given(TIMES, st.integers(0, 10_000))
def test_cutting_at_any_time_loses_and_doubles_nothing(times: list[int], middle: int) -> None:
    whole = stream_at(times)
    parts = [whole.between(0, middle), whole.between(middle, 10_001)]
    assert np.concatenate([part.capture_ns for part in parts]).tolist() == times


def test_arrival_defaults_to_capture() -> None:
    capture = np.arange(3, dtype=np.int64)
    assert vector_stream(SPEC, capture, np.zeros((3, 2))).arrival_ns.tolist() == [0, 1, 2]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused_by_sample_and_channel(bad: float) -> None:
    values = np.zeros((4, 2))
    values[2, 1] = bad
    with pytest.raises(StreamError, match=r"'proprioception': sample 2, channel 'joint_2' is (nan|inf)"):
        vector_stream(SPEC, np.arange(4, dtype=np.int64), values)


def test_time_that_runs_backwards_is_refused() -> None:
    with pytest.raises(StreamError, match="backwards after sample 1"):
        stream_at([0, 5, 4])


def test_arrival_before_capture_is_refused() -> None:
    with pytest.raises(StreamError, match="sample 0 arrives before it was captured"):
        stream_at([10], latency_ns=-1)


def test_wrong_shape_says_what_was_expected() -> None:
    with pytest.raises(StreamError, match=r"expected values of shape \(2, 2\), got \(2, 3\)"):
        vector_stream(SPEC, np.arange(2, dtype=np.int64), np.zeros((2, 3)))


def test_text_is_a_stream_too() -> None:
    said = text_stream(StreamSpec(name="instruction", kind="text"), np.asarray([5], dtype=np.int64), ["lift the box"])
    assert said.between(0, 10).values.tolist() == ["lift the box"]
