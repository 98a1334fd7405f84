"""From frames to one row."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import scipy.stats

from sercourse.features.functionals import (
    FUNCTIONAL_NAMES,
    MEAN_SCALE,
    delta,
    functionals,
    log_euclidean_names,
    log_euclidean_stats,
)


def test_undefined_moments_are_zero_and_the_rest_is_not_touched() -> None:
    constant = dict(zip(FUNCTIONAL_NAMES, functionals(np.full((50, 1), 0.1)), strict=True))
    places = {"mean", "median", "p01", "p99", "min", "max"}
    assert constant == pytest.approx({name: 0.1 * (name in places) for name in FUNCTIONAL_NAMES})
    tiny = 1 + 1e-9 * np.random.default_rng(0).standard_normal((50, 1))
    assert functionals(tiny)[3] == pytest.approx(scipy.stats.kurtosis(tiny)[0], rel=1e-4)


def test_moments_of_very_small_numbers_do_not_underflow() -> None:
    series = np.random.default_rng(0).exponential(size=(50, 1))
    usual, small = functionals(series), functionals(series * 1e-90)
    np.testing.assert_allclose(small[3:5], usual[3:5], rtol=1e-9)


def test_slope_of_a_line_is_its_slope() -> None:
    line = np.outer(np.arange(40.0), [1.0, -2.0])
    np.testing.assert_allclose(delta(line)[4:-4], np.tile([1.0, -2.0], (32, 1)))


def test_embedding_is_the_matrix_logarithm_whatever_the_order_of_frames() -> None:
    rng = np.random.default_rng(0)
    frames = rng.normal(size=(90, 4)) @ rng.normal(size=(4, 4)) + [1.0, -2.0, 0.0, 5.0]
    mean = MEAN_SCALE * frames.mean(axis=0)
    covariance = np.cov(frames.T) + np.eye(4)
    matrix = np.block(
        [[covariance + np.outer(mean, mean), mean[:, None]], [mean[None], np.ones((1, 1))]]
    )
    logarithm = scipy.linalg.logm(matrix)
    row = log_euclidean_stats(frames)
    found = dict(zip(log_euclidean_names("abcd"), row, strict=True))
    assert found["gaussian_b_b"] == pytest.approx(logarithm[1, 1])
    assert found["gaussian_a_mean"] == pytest.approx(np.sqrt(2) * logarithm[0, 4])
    # The vector has the length of the matrix, so that distances are the same.
    assert np.linalg.norm(row) == pytest.approx(np.linalg.norm(logarithm))
    np.testing.assert_allclose(log_euclidean_stats(frames[::-1]), row)
