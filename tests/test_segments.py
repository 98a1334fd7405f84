"""Cepstra and chroma of the segments that networks on AESDD see."""

from __future__ import annotations

from collections.abc import Callable

import librosa
import numpy as np
import pytest

from sercourse import audio
from sercourse.features import extract, named, segments, short_term, spectrogram

SR = 44_100
ABSENT = -100.0
BOTH = pytest.mark.parametrize("name", ["mfcc-segments", "chroma-segments"])


@pytest.fixture(scope="module")
def y() -> np.ndarray:
    """Five seconds of gliding harmonics over breath, with a silent end."""
    rng = np.random.default_rng(0)
    t = np.arange(5 * SR) / SR
    phase = 2 * np.pi * np.cumsum(150 + 50 * np.sin(2 * np.pi * t)) / SR
    tone = sum(np.sin(k * phase) / k for k in range(1, 20))
    y = 0.1 * np.clip(np.sin(8 * t), 0, None) * tone + 0.005 * rng.standard_normal(t.size)
    y[-SR // 2 :] = 0
    return y


def test_cepstra_are_those_of_librosa(y: np.ndarray) -> None:
    level = spectrogram.mel_segments(y, sr=SR)[:2]
    theirs = librosa.feature.mfcc(S=level.transpose(0, 2, 1), n_mfcc=40)
    X = segments.mfcc_segments(y, sr=SR)
    np.testing.assert_allclose(X[:2], theirs.transpose(0, 2, 1), atol=1e-2)


def test_cepstra_stay_above_the_level_of_absent_segments() -> None:
    # The worst case: bands that are 80 dB apart where the dct_matrix' sum wants it.
    dct_matrix = short_term.dct_matrix(n=128, n_kept=40)
    level = np.where(dct_matrix[:, 1:].sum(axis=1) > 0, -80.0, 0.0)
    assert (level @ dct_matrix)[1:].max() > ABSENT


def test_chroma_is_that_of_librosa(y: np.ndarray) -> None:
    cut = audio.segments(librosa.util.normalize(y), sr=SR, seconds=3.0)
    theirs = librosa.feature.chroma_stft(y=cut, sr=SR, n_fft=2048, hop_length=1024, tuning=0.0)
    X = segments.chroma_segments(y, sr=SR)
    np.testing.assert_allclose(X[:2], theirs.transpose(0, 2, 1), atol=1e-4)


@pytest.mark.parametrize("octave", [110, 220, 440, 880])
def test_octaves_fold_onto_one_class(octave: int) -> None:
    t = np.arange(3 * SR) / SR
    frame = segments.chroma_segments(np.sin(2 * np.pi * octave * t), sr=SR)[0, 65]
    assert segments.CHROMA_SEGMENTS_NAMES[frame.argmax()] == "a"


@BOTH
def test_rows_have_the_segments_of_the_mel_rows(name: str, y: np.ndarray) -> None:
    chosen = named(name)
    for seconds in (0.5, 3.0, 3.01, 5.0):
        cut = y[: round(seconds * SR)]
        there = spectrogram.mel_segments(cut, sr=SR).max(axis=(1, 2)) > ABSENT
        X = extract(cut, sr=SR, feature_set=chosen)
        assert X.shape == chosen.shape
        assert X.dtype == np.float32
        assert ((X.max(axis=(1, 2)) > ABSENT) == there).all()
        assert (X[~there] == ABSENT).all()


@BOTH
def test_loudness_and_a_silent_segment_change_nothing(name: str, y: np.ndarray) -> None:
    function = named(name).function
    np.testing.assert_allclose(function(0.01 * y, sr=SR), function(y, sr=SR), atol=1e-3)
    clicks = np.zeros(6 * SR)
    clicks[::7000][:5] = 0.9
    X = function(clicks, sr=SR)
    assert np.isfinite(X).all()
    assert (X[:2].max(axis=(1, 2)) > ABSENT).all()  # the second one is silent, and there


@pytest.mark.parametrize("function", [segments.mfcc_segments, segments.chroma_segments])
@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (np.zeros(SR), "the clip is silent"),
        (np.ones(1000), "the clip lasts 0.02 s"),
        (np.full(SR, np.nan), "is nan"),
    ],
)
def test_clips_without_a_voice_are_refused(
    function: Callable[..., np.ndarray], wrong: np.ndarray, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        function(wrong, sr=SR)
