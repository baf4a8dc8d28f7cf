"""Laws: gradients are those of finite differences, reports and vectors are inverses, special cases agree."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_laws import to_vector

from counterpoint.scaling.fitting.solve import solve
from counterpoint.scaling.laws.forms import Axes, Float, axes
from counterpoint.scaling.laws.known import FORMS, form
from counterpoint.scaling.laws.repetition import log_worth

RANGES = {
    "floor": (-3.0, 0.0),
    "size": (-2.0, 2.0),
    "data": (-2.0, 2.0),
    "alpha": (0.1, 1.0),
    "beta": (0.1, 1.0),
    "log_gamma": (-1.0, 1.0),
    "break": (-1.0, 1.0),
    "log_repeat": (0.0, 5.0),
    "log_repeat_size": (0.0, 3.0),
}


def points(seed: int, count: int = 30) -> Axes:
    rng = np.random.default_rng(seed)
    unique = np.exp(rng.uniform(2, 6, count))
    return axes(unique * np.exp(rng.uniform(0, 3, count)), np.exp(rng.uniform(10, 16, count)), unique)


def vectors(name: str) -> st.SearchStrategy[Float]:
    entries = [st.floats(*RANGES[entry], allow_nan=False) for entry in form(name).vector]
    return st.tuples(*entries).map(lambda values: np.asarray(values))


@pytest.mark.parametrize("name", sorted(FORMS))
@settings(max_examples=25, deadline=None)
@given(data=st.data(), seed=st.integers(0, 5))
def test_gradients(name: str, data: st.DataObject, seed: int) -> None:
    law, x = form(name), points(seed)
    vector = data.draw(vectors(name))
    _, gradient = law.log_error(vector, x)
    steps = 1e-6 * np.eye(len(vector))
    numeric = np.stack(
        [(law.log_error(vector + step, x)[0] - law.log_error(vector - step, x)[0]) / 2e-6 for step in steps], axis=1
    )
    off = np.abs(numeric - gradient).max(axis=1)
    assert np.median(off) < 1e-6
    assert (off > 1e-5).mean() <= 0.1  # a point may stand on the kink where a size stops being in excess


@pytest.mark.parametrize("name", sorted(FORMS))
@given(data=st.data())
def test_report_and_vector_are_inverses(name: str, data: st.DataObject) -> None:
    law, x = form(name), points(0)
    vector = data.draw(vectors(name))
    np.testing.assert_allclose(to_vector(law, law.report(vector, x.reference), x.reference), vector, atol=1e-8)


def test_reported_parameters_are_those_of_the_formula() -> None:
    size, data = np.asarray([1e6, 1e7, 1e8]), np.asarray([10.0, 100.0, 30.0])
    x = axes(data, size)

    def error(name: str, **parameters: float) -> Float:
        return np.exp(form(name).log_error(to_vector(form(name), parameters, x.reference), x)[0])

    np.testing.assert_allclose(error("power", A=5.0, alpha=0.4), (5.0 / data) ** 0.4)
    np.testing.assert_allclose(error("power_floor", E=0.1, A=5.0, alpha=0.4), 0.1 + (5.0 / data) ** 0.4)
    additive = 1.8 + 400 * size**-0.3 + 20 * data**-0.4
    np.testing.assert_allclose(error("additive", E=1.8, A=400, B=20, alpha=0.3, beta=0.4), additive)
    np.testing.assert_allclose(error("joint", E=1.8, A=400, B=20, alpha=0.3, beta=0.4, gamma=1), additive)
    kaplan = ((1e3 / size) ** (0.1 / 0.2) + 7.0 / data) ** 0.2
    np.testing.assert_allclose(error("kaplan", A=1e3, B=7.0, alpha=0.1, beta=0.2), kaplan)
    joint = (((1e3 / size) ** 0.1) ** (1 / 0.2) + ((7.0 / data) ** 0.2) ** (1 / 0.2)) ** 0.2
    np.testing.assert_allclose(kaplan, joint)
    broken = 0.1 + 3 * data**-0.2 * (1 + (data / 40) ** (1 / 0.5)) ** (-0.3 * 0.5)
    np.testing.assert_allclose(error("broken", E=0.1, A=3, alpha=0.2, beta=0.3, D_1=40, gamma=0.5), broken)


def test_repeated_data_are_worth_less_and_less() -> None:
    passes = np.asarray([0.5, 1.0, 2.0, 4.0, 1e3])
    worth = np.exp(log_worth(np.log(passes), np.log(15.4))[0])
    assert worth[:2].tolist() == [1.0, 1.0]
    np.testing.assert_allclose(worth[2:], 1 + 15.4 * -np.expm1(-(passes[2:] - 1) / 15.4))
    huge = np.exp(log_worth(np.log(passes), np.log(1e12))[0])
    np.testing.assert_allclose(huge[1:], passes[1:], rtol=1e-6)  # no repetition is worth less: expm1, not exp - 1


def test_a_sudden_break_is_found() -> None:
    """A loss that falls to a quarter between 500 and 900 examples, as of 4-digit addition in Caballero et al. 2022."""
    data = np.asarray([160, 192, 256, 320, 384, 448, 480, 512, 544, 576, 608, 640, 672, 736, 800, 864, 928], np.float64)
    x, law = axes(data), FORMS["broken"]
    truth = {"E": 0.4, "A": 2.3, "alpha": 0.055, "beta": 5.5, "D_1": 611.0, "gamma": 0.058}
    log_errors = law.log_error(to_vector(law, truth, x.reference), x)[0]
    noise = np.random.default_rng(0).normal(0, 1e-3, len(data))
    for delta in (1e-3, 1.0):
        found = law.report(solve(law, x, log_errors + noise, delta).vector, x.reference)
        assert found["D_1"] == pytest.approx(611, rel=0.02)
        assert found["beta"] == pytest.approx(5.5, rel=0.15)
        assert found["gamma"] == pytest.approx(0.058, rel=0.1)
