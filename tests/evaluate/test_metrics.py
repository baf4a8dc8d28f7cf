"""Metrics against closed forms and a plain reference."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import multivariate_normal

from counterpoint.evaluate.metrics import SCALE_FLOOR, channel_scale, next_action_mse, reverse_kl

Float = NDArray[np.float64]


def plain_reverse_kl(samples_SD: Float, target_D: Float, draws: int) -> float:
    rng = np.random.default_rng(5)
    eye = np.eye(len(target_D))
    points = samples_SD[rng.integers(len(samples_SD), size=draws)] + rng.normal(size=(draws, len(target_D)))
    density = np.mean([multivariate_normal(mean, eye).pdf(points) for mean in samples_SD], axis=0)
    return float(np.mean(np.log(density) - multivariate_normal(target_D, eye).logpdf(points)))


def test_error_of_known_offsets() -> None:
    target = np.zeros((1, 2, 3))
    samples = np.stack([np.full((2, 3), 1.0), np.full((2, 3), 3.0)])[None]
    assert next_action_mse(samples, target, np.ones((1, 2), dtype=bool)) == pytest.approx([5.0])


def test_invalid_knots_carry_no_error() -> None:
    target = np.zeros((1, 2, 1))
    samples = np.asarray([[[[1.0], [100.0]]]])
    assert next_action_mse(samples, target, np.asarray([[True, False]])) == pytest.approx([1.0])
    assert reverse_kl(samples, target, np.asarray([[True, False]])) == pytest.approx([0.5])


def test_scale_is_the_spread_with_a_floor() -> None:
    relative = np.random.default_rng(0).normal(size=(500, 4, 2)) * [2.0, 1e-9] + [3.0, 0.0]
    scale = channel_scale(relative, np.ones((500, 4), dtype=bool))
    assert scale == pytest.approx([2.0, SCALE_FLOOR], rel=0.05)


def test_kl_of_one_sample_is_half_the_squared_distance() -> None:
    rng = np.random.default_rng(2)
    samples, target = rng.normal(size=(3, 1, 4, 2)), rng.normal(size=(3, 4, 2))
    expected = 0.5 * ((samples[:, 0] - target) ** 2).sum(axis=(1, 2))
    assert reverse_kl(samples, target, np.ones((3, 4), dtype=bool), draws=1) == pytest.approx(expected)


def test_kl_equals_a_plain_reference() -> None:
    rng = np.random.default_rng(3)
    samples, target = 1.5 * rng.normal(size=(1, 4, 2, 2)), rng.normal(size=(1, 2, 2))
    ours = reverse_kl(samples, target, np.ones((1, 2), dtype=bool), draws=4000)[0]
    assert ours == pytest.approx(plain_reverse_kl(samples[0].reshape(4, 4), target[0].reshape(4), 400_000), abs=0.03)


def test_kl_of_a_perfect_policy_is_zero() -> None:
    target = np.random.default_rng(4).normal(size=(2, 3, 2))
    samples = np.repeat(target[:, None], 5, axis=1)
    assert reverse_kl(samples, target, np.ones((2, 3), dtype=bool)) == pytest.approx([0.0, 0.0], abs=1e-9)


def test_spreading_to_cover_the_truth_is_cheaper_than_missing_it_together() -> None:
    """An answer that is right half the time costs less than one that is always wrong, and more than nothing."""
    target = np.zeros((1, 1, 1))
    wrong = reverse_kl(np.full((1, 2, 1, 1), 2.0), target, np.ones((1, 1), dtype=bool), draws=200)[0]
    spread = reverse_kl(np.asarray([[[[0.0]], [[2.0]]]]), target, np.ones((1, 1), dtype=bool), draws=200)[0]
    assert 0 < spread < wrong
