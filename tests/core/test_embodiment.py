"""Embodiments survive JSON, refuse nonsense, and have descriptors of order one."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterpoint.core.descriptor import DESCRIPTOR_DIM, describe
from counterpoint.core.embodiment import (
    PARTS,
    QUANTITIES,
    SIDES,
    UNITS,
    Channel,
    Embodiment,
    StreamSpec,
    embodiment_from_dict,
    embodiment_to_dict,
)
from counterpoint.core.errors import EmbodimentError

NUMBER = st.floats(-2, 2)
LIMITS = st.one_of(st.just((-math.inf, math.inf)), st.tuples(st.floats(-6, 0), st.floats(0, 6)))


@st.composite
def channels(draw: st.DrawFn) -> tuple[Channel, ...]:
    count = draw(st.integers(1, 5))
    return tuple(
        Channel(
            name=f"channel_{place}",
            quantity=draw(st.sampled_from(QUANTITIES)),
            unit=draw(st.sampled_from(UNITS)),
            lower=(limits := draw(LIMITS))[0],
            upper=limits[1],
            part=draw(st.sampled_from(PARTS)),
            side=draw(st.sampled_from(SIDES)),
            chain_index=place,
            chain_length=count,
            axis=draw(st.sampled_from([(0.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.6, 0.0, -0.8)])),
            anchor=draw(st.tuples(NUMBER, NUMBER, NUMBER)),
            reference=draw(NUMBER),
        )
        for place in range(count)
    )


@given(channels(), channels(), st.floats(1, 500))
def test_embodiment_survives_json(acting: tuple[Channel, ...], sensing: tuple[Channel, ...], rate_hz: float) -> None:
    robot = Embodiment(
        name="drawn",
        sensing=(StreamSpec(name="proprioception", channels=sensing, rate_hz=100.0),),
        acting=acting,
        control_rate_hz=rate_hz,
        metadata={"maker": "nobody"},
    )
    text = json.dumps(embodiment_to_dict(robot), allow_nan=False)
    assert embodiment_from_dict(json.loads(text)) == robot


@given(channels())
def test_descriptors_are_finite_and_of_order_one(drawn: tuple[Channel, ...]) -> None:
    rows = describe(drawn)
    assert rows.shape == (len(drawn), DESCRIPTOR_DIM)
    assert np.isfinite(rows).all()
    assert np.abs(rows).max() <= 8


def test_descriptor_does_not_depend_on_the_name() -> None:
    one = Channel(name="a", quantity="force", unit="N")
    other = Channel(name="b", quantity="force", unit="N")
    assert (describe([one]) == describe([other])).all()


def test_unknown_key_is_refused() -> None:
    robot = Embodiment(
        name="arm", sensing=(), acting=(Channel(name="a", quantity="force", unit="N"),), control_rate_hz=20
    )
    raw = embodiment_to_dict(robot) | {"colour": "red"}
    with pytest.raises(EmbodimentError, match="colour"):
        embodiment_from_dict(raw)


def test_robot_without_actuators_is_refused() -> None:
    with pytest.raises(EmbodimentError, match="expected an acting channel, got none"):
        Embodiment(name="statue", sensing=(), acting=(), control_rate_hz=20)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"quantity": "colour"}, "expected one of joint_position"),
        ({"lower": 2.0, "upper": 1.0}, "expected lower limit <= upper limit, got 2.0 and 1.0"),
        ({"anchor": (0.0, math.nan, 0.0)}, "must be finite"),
    ],
)
def test_nonsense_channels_are_refused(change: dict[str, object], message: str) -> None:
    values = {"name": "a", "quantity": "force", "unit": "N"} | change
    with pytest.raises(EmbodimentError, match=message):
        Channel(**values)  # type: ignore[arg-type]  # wrong on purpose
