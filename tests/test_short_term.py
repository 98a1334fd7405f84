"""Short-term descriptors, held to a plain reading of their definitions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import reference_short_term as reference
import scipy.linalg
import scipy.stats

from sercourse import audio
from sercourse.features import extract, named, short_term
from sercourse.features.short_term import (
    FUNCTIONAL_NAMES,
    MEAN_SCALE,
    delta,
    functionals,
    log_euclidean_names,
    log_euclidean_stats,
)

SR = 16_000
N = 20_000
T = np.arange(N) / SR
DESCRIPTORS = [
    *["zcr", "energy", "energy_entropy", "spectral_centroid", "spectral_spread"],
    *["spectral_entropy", "spectral_flux", "spectral_rolloff"],
    *["mfcc_1", "mfcc_2", "mfcc_3", "mfcc_4", "mfcc_5", "mfcc_6"],
    *["mfcc_7", "mfcc_8", "mfcc_9", "mfcc_10", "mfcc_11", "mfcc_12"],
]


def noise(scale: float = 0.3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-scale, scale, N)


def speech_like(seed: int) -> np.ndarray:
    """Gliding harmonics and breath, in syllables with pauses between them."""
    rng = np.random.default_rng(seed)
    pitch = 120 * (1 + seed) + 40 * np.sin(2 * np.pi * 1.3 * T)
    phase = 2 * np.pi * np.cumsum(pitch) / SR
    voice = sum(np.sin(k * phase) / k for k in range(1, 20))
    syllables = np.clip(np.sin(2 * np.pi * 3 * T + seed), 0, None)
    return 0.2 * syllables * (voice + 0.2 * rng.standard_normal(N))


SIGNALS = {
    "noise": noise(),
    "near silence": noise(scale=1e-6),
    "chirp": 0.8 * np.sin(2 * np.pi * (100 * T + 2500 * T**2)),
    "voice": speech_like(0),
    "high voice": speech_like(1).astype(np.float32),
    "silence": np.zeros(N),
    "partly silent": np.concatenate([np.zeros(7000), noise()[:6000], np.zeros(7000)]),
    "a single click": np.eye(1, N, 9000)[0],
    "constant": np.full(N, 0.3),
    "one frame and a bit": noise()[:559],
}


@pytest.mark.parametrize("name", SIGNALS)
def test_descriptors_equal_the_plain_reading(name: str) -> None:
    ours = short_term.short_term(SIGNALS[name], sr=SR)
    plain = reference.short_term(SIGNALS[name])
    np.testing.assert_allclose(ours, plain, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("name", SIGNALS)
def test_statistics_equal_the_plain_reading(name: str) -> None:
    ours = extract(SIGNALS[name], sr=SR, feature_set=named("statistics"))
    plain = reference.statistics(reference.short_term(SIGNALS[name]))
    np.testing.assert_allclose(ours, plain, rtol=1e-7, atol=1e-11)


@pytest.mark.parametrize("name", [name for name in SIGNALS if name != "one frame and a bit"])
def test_derivatives_equal_the_plain_reading(name: str) -> None:
    ours = extract(SIGNALS[name], sr=SR, feature_set=named("statistics+delta"))
    table = reference.short_term(SIGNALS[name])
    plain = [reference.statistics(table), reference.statistics(np.diff(table, axis=0))]
    np.testing.assert_allclose(ours, np.concatenate(plain), rtol=1e-7, atol=1e-11)


@pytest.mark.parametrize("actor", ["Actor_01", "Actor_12", "Actor_20"])
def test_real_speech_equals_the_plain_reading(ravdess_root: Path, actor: str) -> None:
    path = sorted((ravdess_root / actor).iterdir())[17]
    y = audio.read(path, sr=SR)
    ours = extract(y, sr=SR, feature_set=named("statistics+delta"))
    table = reference.short_term(y)
    plain = [reference.statistics(table), reference.statistics(np.diff(table, axis=0))]
    np.testing.assert_allclose(ours, np.concatenate(plain), rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("n_frames", [47, 48, 49, 96, 97])
def test_blocks_leave_no_seam(n_frames: int) -> None:
    y = np.random.default_rng(1).standard_normal(400 + 160 * (n_frames - 1)) / 10
    ours = short_term.short_term(y, sr=SR)
    assert ours.shape == (n_frames, 20)
    np.testing.assert_allclose(ours, reference.short_term(y), rtol=1e-9, atol=1e-12)


def test_names_and_their_order() -> None:
    names = [f"{descriptor}_{kind}" for descriptor in DESCRIPTORS for kind in FUNCTIONAL_NAMES]
    assert list(named("statistics").names) == names
    both = names + [f"delta_{name}" for name in names]
    assert list(named("statistics+delta").names) == both
    assert len(both) == 400


def test_names_belong_to_their_numbers() -> None:
    row = extract(SIGNALS["noise"], sr=SR, feature_set=named("statistics+delta"))
    value = dict(zip(named("statistics+delta").names, row, strict=True))
    table = short_term.short_term(SIGNALS["noise"], sr=SR)
    third = table[:, 9]  # mfcc_2
    assert value["mfcc_2_kurtosis"] == pytest.approx(scipy.stats.kurtosis(third))
    assert value["energy_max"] == table[:, 1].max()
    assert value["delta_zcr_p99"] == pytest.approx(np.percentile(np.diff(table[:, 0]), 99))


@pytest.mark.parametrize("sr", [4_000, 8_000, 22_050, 48_000])
def test_other_rates_give_finite_descriptors_that_mean_the_same(sr: int) -> None:
    t = np.arange(sr) / sr
    tone = 0.5 * np.sin(2 * np.pi * 1000 * t)
    table = short_term.short_term(tone, sr=sr)
    assert np.isfinite(table).all()
    assert table[:, 0].mean() * sr / 2 == pytest.approx(1000, rel=0.03)  # zero crossings
    assert table[:, 7].mean() * sr / 2 == pytest.approx(1000, abs=60)  # roll-off, bins of 40 Hz


@pytest.mark.parametrize(
    ("y", "sentence"),
    [
        (np.zeros(399), "399 samples, fewer than one frame of 400"),
        (np.zeros(0), "0 samples"),
        (np.zeros((2, 800)), r"shape \(2, 800\)"),
        (np.array([0.0, np.nan] * 400), "sample 1 of the signal is nan"),
        (np.array([np.inf] * 800), "sample 0 of the signal is inf"),
    ],
)
def test_a_signal_without_descriptors_is_refused(y: np.ndarray, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        extract(y, sr=SR, feature_set=named("statistics"))


def test_one_frame_has_no_derivative() -> None:
    with pytest.raises(ValueError, match="there is no frame"):
        extract(noise()[:400], sr=SR, feature_set=named("statistics+delta"))


def test_the_cosine_transform_is_undone_by_its_transpose() -> None:
    x = np.random.default_rng(0).normal(size=(5, 128))
    basis = short_term.dct_matrix(n=128, n_kept=128)
    np.testing.assert_allclose(x @ basis @ basis.T, x, atol=1e-12)
    with pytest.raises(ValueError, match="read-only"):
        basis[0, 0] = 1


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
