"""Action chunks: linear between knots, held outside, never a value that is not finite."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterpoint.core.errors import PolicyError
from counterpoint.core.policy import ActionChunk

SECOND = 1_000_000_000
KNOTS = st.lists(st.integers(0, 2 * SECOND), min_size=1, max_size=20, unique=True).map(sorted)


def chunk_of(knots: list[int], values: list[float], start_ns: int = 0) -> ActionChunk:
    column = np.asarray(values, dtype=np.float32)[:, None]
    return ActionChunk(
        time_ns=np.asarray(knots, dtype=np.int64) + start_ns,
        values=np.concatenate([column, -column], axis=1),
        channel_names=("joint_1", "joint_2"),
    )


@given(
    KNOTS.flatmap(
        lambda knots: st.tuples(
            st.just(knots),
            st.lists(st.floats(-3, 3, width=32), min_size=len(knots), max_size=len(knots)),
        )
    ),
    st.integers(-SECOND, 3 * SECOND),
    st.sampled_from([0, 1_800_000_000_000_000_000]),
)
def test_interpolation_is_that_of_numpy(drawn: tuple[list[int], list[float]], when: int, start_ns: int) -> None:
    knots, values = drawn
    command = chunk_of(knots, values, start_ns).at(start_ns + when)
    expected = np.interp(when / SECOND, np.asarray(knots) / SECOND, values)
    assert command.dtype == np.float32
    np.testing.assert_allclose(command, [expected, -expected], atol=2e-5)


def test_chunk_holds_its_ends() -> None:
    chunk = chunk_of([10, 20], [1.0, 2.0])
    assert chunk.at(-5).tolist() == [1.0, -1.0]
    assert chunk.at(10**12).tolist() == [2.0, -2.0]


@pytest.mark.parametrize(
    ("knots", "values", "message"),
    [
        ([], [], "at least one knot"),
        ([5, 5], [0.0, 1.0], "increase strictly"),
        ([1, 2], [0.0, float("nan")], "expected finite values"),
    ],
)
def test_unsafe_chunks_are_refused(knots: list[int], values: list[float], message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        chunk_of(knots, values)
