"""Normalisation of features by speaker."""

from __future__ import annotations

import numpy as np
import pytest

from sercourse import normalize

SPEAKERS = np.repeat(["a", "b", "c"], 40)


@pytest.fixture(name="X")
def voices() -> np.ndarray:
    """Features of three voices that differ in place and spread."""
    rng = np.random.default_rng(0)
    place, spread = rng.normal(scale=5, size=(3, 6)), rng.uniform(0.5, 3, size=(3, 6))
    return np.repeat(place, 40, axis=0) + np.repeat(spread, 40, axis=0) * rng.normal(size=(120, 6))


def test_without_a_prior_every_voice_is_standardised(
    X: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(normalize, "PRIOR_CLIPS", 0)
    typical = normalize.mean_speaker_stats(X, SPEAKERS)
    Z = normalize.normalize_speakers(X, SPEAKERS, typical=typical)
    for speaker in "abc":
        own = Z[speaker == SPEAKERS]
        assert np.allclose(own.mean(axis=0), 0)
        assert np.allclose(own.std(axis=0), 1)


def test_typical_voice_is_the_mean_of_voices_not_of_clips(X: np.ndarray) -> None:
    more_of_a = np.concatenate([X, X[:40]])
    speakers = np.concatenate([SPEAKERS, SPEAKERS[:40]])
    once, twice = (
        normalize.mean_speaker_stats(*each) for each in ((X, SPEAKERS), (more_of_a, speakers))
    )
    assert np.allclose(once.mean, twice.mean)
    assert np.allclose(once.std, twice.std)


def test_adaptation_lies_between_the_typical_voice_and_the_clips(X: np.ndarray) -> None:
    typical = normalize.mean_speaker_stats(X, SPEAKERS)
    few, many = normalize.map_adapt(typical, X[:4]), normalize.map_adapt(typical, X[:40])
    own = X[:40].mean(axis=0)
    assert (np.abs(many.mean - own) < np.abs(typical.mean - own)).all()
    assert np.abs(few.mean - typical.mean).sum() < np.abs(X[:4].mean(axis=0) - typical.mean).sum()


def test_an_adapted_spread_is_the_weighted_mean_of_the_variances_alone() -> None:
    typical = normalize.SpeakerStats(np.array([0.0]), np.array([3.0]))
    voice = normalize.map_adapt(typical, np.array([[1.0], [3.0]] * 4))
    assert voice.mean == pytest.approx([1.0])
    # (1 + 9) / 2: that the means are 2 apart adds nothing, as a term of 1 would.
    assert voice.std**2 == pytest.approx([5.0])


def test_enrolment_uses_only_the_enrolled_clips(X: np.ndarray) -> None:
    typical = normalize.mean_speaker_stats(X, SPEAKERS)
    enrolment = (X[:8], np.repeat("a", 8))
    Z = normalize.normalize_speakers(X[8:40], SPEAKERS[8:40], typical=typical, enrolment=enrolment)
    alone = normalize.normalize(X[20], normalize.map_adapt(typical, X[:8]))
    assert np.allclose(Z[12], alone)


def test_a_constant_feature_stays_finite() -> None:
    X = np.ones((10, 2))
    typical = normalize.mean_speaker_stats(X, ["a"] * 5 + ["b"] * 5)
    assert np.isfinite(normalize.normalize(X, normalize.map_adapt(typical, X))).all()
