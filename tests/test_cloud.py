"""Clouds of frames: the logarithm of an embedded Gaussian, and the cloud of cepstra."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg

from sercourse.features import cepstra, mfcc
from sercourse.features.cloud import MEAN_SCALE, log_euclidean_stats, log_gaussian_names

SR = 44_100


@pytest.fixture
def frames() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(90, 4)) @ rng.normal(size=(4, 4)) + [1.0, -2.0, 0.0, 5.0]


@pytest.fixture(scope="module")
def words() -> np.ndarray:
    """Return noise that swells and changes its colour for 2 s, after a second of near silence."""
    rng = np.random.default_rng(1)
    t = np.arange(2 * SR) / SR
    white = rng.normal(size=len(t))
    red = np.convolve(white, np.ones(30) / 30, mode="same")
    mixed = 0.1 * (1 + np.sin(2 * np.pi * 3 * t)) * np.where(np.sin(9 * t) > 0, white, 3 * red)
    return np.concatenate([1e-5 * rng.normal(size=SR), mixed])


def test_it_is_the_matrix_logarithm(frames: np.ndarray) -> None:
    mean = MEAN_SCALE * frames.mean(axis=0)
    covariance = np.cov(frames.T) + np.eye(4)
    matrix = np.block(
        [[covariance + np.outer(mean, mean), mean[:, None]], [mean[None], np.ones((1, 1))]]
    )
    logarithm = scipy.linalg.logm(matrix)
    got = dict(zip(log_gaussian_names("abcd"), log_euclidean_stats(frames), strict=True))
    assert got["gaussian_b_b"] == pytest.approx(logarithm[1, 1])
    assert got["gaussian_a_mean"] == pytest.approx(np.sqrt(2) * logarithm[0, 4])
    # The vector has the length of the matrix, so that distances are the same.
    assert np.linalg.norm(log_euclidean_stats(frames)) == pytest.approx(np.linalg.norm(logarithm))


def test_order_of_frames_means_nothing(frames: np.ndarray) -> None:
    np.testing.assert_allclose(log_euclidean_stats(frames), log_euclidean_stats(frames[::-1]))


def test_loudness_of_the_recording_means_nothing(words: np.ndarray) -> None:
    soft = cepstra.mfcc_cloud(0.1 * words, sr=SR)
    np.testing.assert_allclose(soft, cepstra.mfcc_cloud(words, sr=SR), atol=1e-3)


def test_silence_around_the_words_means_nothing(words: np.ndarray) -> None:
    image = mfcc.mfcc_image(words, sr=SR)
    longer = np.concatenate([image, np.zeros((40, image.shape[1]), dtype=image.dtype)])
    longer[-40:, 0] = image[:, 0].min()  # as digital silence is
    np.testing.assert_array_equal(cepstra.cloud_of(longer), cepstra.cloud_of(image))


def test_order_in_time_is_heard_by_its_slopes(words: np.ndarray) -> None:
    image = mfcc.mfcc_image(words, sr=SR)
    swapped = image[np.random.default_rng(0).permutation(len(image))]
    here, there = cepstra.cloud_of(image), cepstra.cloud_of(swapped)
    still = np.array(["delta" not in name for name in cepstra.MFCC_CLOUD_NAMES])
    assert np.abs(here - there)[~still].max() > 0.1


def test_a_click_is_no_cloud() -> None:
    image = np.zeros((216, 39), dtype=np.float32)
    image[:, 0] = -1000
    image[100, :3] = [0.0, 50.0, 5.0]
    with pytest.raises(ValueError, match="1 frame of the clip sounds: at least 2"):
        cepstra.cloud_of(image)
