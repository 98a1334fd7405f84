"""Cepstra, chroma and means: equal to librosa's, value by value."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import pytest

from sercourse import audio, corpora
from sercourse.features import chroma, excerpt_means, extract, mfcc, named, short_term


def voice(seconds: float, *, sr: int, seed: int = 0) -> np.ndarray:
    """Gliding harmonics in syllables, and breath."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * sr)) / sr
    phase = 2 * np.pi * np.cumsum(150 + 50 * np.sin(2 * np.pi * t)) / sr
    tone = sum(np.sin(k * phase) / k for k in range(1, 20))
    return 0.1 * np.clip(np.sin(8 * t), 0, None) * tone + 0.005 * rng.standard_normal(t.size)


def image_by_librosa(y: np.ndarray) -> np.ndarray:
    excerpt = audio.pad(y[22_050:], length=110_250)
    return librosa.feature.mfcc(y=excerpt, sr=44_100, n_mfcc=39).T


def means_by_librosa(y: np.ndarray) -> np.ndarray:
    y, sr = y[13_230 : 13_230 + 55_125], 22_050
    tracks = [
        librosa.feature.zero_crossing_rate(y=y),
        librosa.feature.chroma_stft(S=np.abs(librosa.stft(y)), sr=sr),
        librosa.feature.mfcc(y=y, sr=sr),
        librosa.feature.rms(y=y),
        librosa.feature.melspectrogram(y=y, sr=sr),
    ]
    return np.concatenate([track.mean(axis=1) for track in tracks])


@pytest.mark.parametrize("seconds", [0.9, 2.0, 3.0, 4.5])
def test_the_picture_is_librosas(seconds: float) -> None:
    y = voice(seconds, sr=44_100)
    ours = extract(y, sr=44_100, feature_set=named("mfcc-image"))
    assert (ours.shape, ours.dtype) == ((216, 39), np.float32)
    np.testing.assert_allclose(ours, image_by_librosa(y), atol=2e-4)


@pytest.mark.parametrize("seconds", [1.0, 2.0, 4.5])
def test_the_means_are_librosas(seconds: float) -> None:
    y = voice(seconds, sr=22_050)
    ours = extract(y, sr=22_050, feature_set=named("means-162"))
    assert ours.shape == (162,)
    np.testing.assert_allclose(ours, means_by_librosa(y), rtol=1e-4, atol=1e-6)


def test_real_clips_agree_too(ravdess_root: Path) -> None:
    paths = corpora.scan(ravdess_root / "Actor_07", corpus="ravdess").clips["path"]
    for path in paths.iloc[::20]:
        y = audio.read(path, sr=44_100).astype(float)
        np.testing.assert_allclose(mfcc.mfcc_image(y, sr=44_100), image_by_librosa(y), atol=2e-4)
        y = audio.read(path, sr=22_050).astype(float)
        ours = excerpt_means.excerpt_means(y, sr=22_050)
        np.testing.assert_allclose(ours, means_by_librosa(y), rtol=1e-4, atol=1e-6)


def test_a_clip_that_ends_early_is_followed_by_silence() -> None:
    y = voice(2.0, sr=44_100)
    followed = np.concatenate([y, np.zeros(44_100)])
    np.testing.assert_array_equal(
        mfcc.mfcc_image(y, sr=44_100), mfcc.mfcc_image(followed, sr=44_100)
    )
    rest = mfcc.mfcc_image(y, sr=44_100)[-60:]
    np.testing.assert_allclose(rest, np.broadcast_to(rest[:1], rest.shape))


@pytest.mark.parametrize(
    ("name", "sr", "seconds", "least"),
    [("mfcc-image", 44_100, 0.7, "0.8"), ("means-162", 22_050, 0.8, "0.9")],
)
def test_too_short_a_clip_is_refused(name: str, sr: int, seconds: float, least: str) -> None:
    with pytest.raises(ValueError, match=rf"lasts {seconds:.2f} s: at least {least} s is needed"):
        extract(voice(seconds, sr=sr), sr=sr, feature_set=named(name))


@pytest.mark.parametrize(("name", "sr"), [("mfcc-image", 44_100), ("means-162", 22_050)])
def test_silence_is_refused(name: str, sr: int) -> None:
    with pytest.raises(ValueError, match="is silent from"):
        extract(np.zeros(3 * sr), sr=sr, feature_set=named(name))


@pytest.mark.parametrize("cents", [-40, -7, 0, 25])
def test_tuning_is_heard(cents: int) -> None:
    sr, t = 22_050, np.arange(2 * 22_050) / 22_050
    pitches = 440 * 2 ** ((np.array([0, 3, 7]) + cents / 100) / 12)
    S = np.abs(librosa.stft(sum(np.sin(2 * np.pi * f * t) for f in pitches))).T
    assert chroma.tuning(S, sr=sr) == pytest.approx(cents / 100, abs=0.02)
    assert chroma.tuning(S, sr=sr) == pytest.approx(librosa.estimate_tuning(S=S.T, sr=sr))


def test_pitch_classes_are_librosas_at_any_tuning() -> None:
    for tuning in (-0.3, 0.0, 0.21):
        ours = chroma.chroma_filters(sr=22_050, n_fft=2048, tuning=tuning)
        theirs = librosa.filters.chroma(sr=22_050, n_fft=2048, tuning=tuning)
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_silent_frames_have_no_pitch_class() -> None:
    S = np.zeros((3, 1025))
    S[1, 41] = 1
    shares = chroma.chroma(S, sr=22_050)
    assert shares[[0, 2]].max() == 0
    assert shares[1].max() == 1


def test_the_cosine_transform_is_undone_by_its_transpose() -> None:
    x = np.random.default_rng(0).normal(size=(5, 128))
    basis = short_term.dct_matrix(n=128, n_kept=128)
    np.testing.assert_allclose(x @ basis @ basis.T, x, atol=1e-12)
    with pytest.raises(ValueError, match="read-only"):
        basis[0, 0] = 1
