"""Laws: planted parameters are found again, and nothing is claimed that points do not show."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import check_grad

from counterpoint.core.errors import CounterpointError, UnknownNameError
from counterpoint.scaling.fit import Point, fit
from counterpoint.scaling.laws import Law, LawName, from_vector, log_error

AMOUNTS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)


def power(scale: float, alpha: float, floor: float = 0.0) -> Law:
    return Law(name="power_floor" if floor else "power", level=alpha * math.log(scale), alpha=alpha, E=floor)


def planted(law: Law, noise: float, seed: int, amounts: tuple[float, ...] = AMOUNTS, seeds: int = 2) -> list[Point]:
    rng = np.random.default_rng(seed)
    return [
        Point(
            data=amount, error=float(law.error(np.asarray(amount)) * np.exp(noise * rng.normal())), run=f"{amount}-{i}"
        )
        for amount in amounts
        for i in range(seeds)
    ]


@settings(max_examples=25, deadline=None)
@given(alpha=st.floats(0.1, 1.0), scale=st.floats(0.01, 100.0), seed=st.integers(0, 1000))
def test_power_law_is_recovered(alpha: float, scale: float, seed: int) -> None:
    law = power(scale, alpha)
    found = fit(planted(law, 1e-4, seed), "power", draws=10).law
    assert found.alpha == pytest.approx(alpha, rel=0.01, abs=2e-3)
    assert pytest.approx(scale, rel=0.05) == found.A
    assert found.error(np.asarray(64.0)) == pytest.approx(law.error(np.asarray(64.0)), rel=0.01)


@settings(max_examples=15, deadline=None)
@given(alpha=st.floats(0.3, 0.9), floor=st.floats(0.05, 0.5), seed=st.integers(0, 1000))
def test_floor_is_recovered(alpha: float, floor: float, seed: int) -> None:
    law = power(1.0, alpha, floor)
    found = fit(planted(law, 1e-5, seed), "power_floor", draws=5).law
    assert pytest.approx(floor, abs=0.01) == found.E
    assert found.alpha == pytest.approx(alpha, abs=0.03)


def test_interval_covers_and_extrapolation_is_signed() -> None:
    law = power(2.0, 0.4)
    worlds = [fit(planted(law, 0.03, seed, seeds=3), draws=100) for seed in range(20)]
    covered = sum(0.4 in world.intervals["alpha"] for world in worlds)
    assert covered >= 15
    checks = [world.extrapolation for world in worlds]
    assert all(check is not None and abs(check.signed_error) < 0.15 for check in checks)
    bent = power(1.0, 0.8, 0.3)
    check = fit(planted(bent, 1e-4, 0), "power", draws=10).extrapolation
    assert check is not None
    assert check.signed_error < -0.1


def test_one_bad_run_does_not_bend_the_law() -> None:
    points = planted(power(1.0, 0.5), 0.01, 3)
    points[0] = Point(data=points[0].data, error=3 * points[0].error, run="bad")
    assert fit(points, draws=10).law.alpha == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(("name", "vector"), [("power", [0.3, -0.5]), ("power_floor", [0.3, -0.5, -1.0])])
def test_gradient(name: LawName, vector: list[float]) -> None:
    data = np.log(np.asarray([3.0]))
    start = np.asarray(vector)
    gap = check_grad(lambda v: log_error(name, v, data)[0][0], lambda v: log_error(name, v, data)[1][0], start)
    assert gap < 1e-6
    law = from_vector(name, start, 2.0)
    assert log_error(name, start, data)[0] == pytest.approx(np.log(law.error(2.0 * np.exp(data))))


def test_refusals() -> None:
    pure = fit(planted(power(1.0, 0.5), 0.02, 1), "power_floor", draws=60)
    assert any("floor" in words for words in pure.refusals)
    flat = [Point(data=a, error=1.0 + 0.1 * (-1) ** i, run=str(i)) for i, a in enumerate(AMOUNTS)]
    assert any("No law" in words for words in fit(flat, draws=60).refusals)
    assert any("E = 0 is assumed" in words for words in fit(flat, draws=10).refusals)


@pytest.mark.parametrize("name", ["power", "power_floor"])
@pytest.mark.parametrize("error", [0.1, 1.0, 7.0])
def test_flat_errors_show_no_law(name: LawName, error: float) -> None:
    found = fit([Point(data=amount, error=error, run=str(amount)) for amount in AMOUNTS], name, draws=20)
    assert any(words.startswith("No law") for words in found.refusals)
    assert found.law.error(np.asarray([1.0, 32.0])) == pytest.approx([error, error], rel=1e-3)
    if name == "power":
        assert found.law.alpha == pytest.approx(0.0, abs=1e-6)
        assert found.intervals["alpha"].high < 1e-6


def test_growing_errors_show_no_law() -> None:
    found = fit(planted(power(1.0, -0.2), 0.01, 0), draws=20)
    assert found.law.alpha == pytest.approx(-0.2, abs=0.02)
    assert any("grows with data" in words for words in found.refusals)


def test_bad_points() -> None:
    law = power(1.0, 0.5)
    with pytest.raises(CounterpointError, match="4 or more amounts"):
        fit(planted(law, 0.0, 0, amounts=(1.0, 2.0, 4.0)))
    with pytest.raises(CounterpointError, match="run 'bad'"):
        fit([*planted(law, 0.0, 0), Point(data=1.0, error=float("nan"), run="bad")])
    with pytest.raises(UnknownNameError, match="power_floor"):
        fit(planted(law, 0.0, 0), "power_flor")  # type: ignore[arg-type]  # the mistake under test
