"""Segments of clips as arrays of fixed size, and the copies that are changed before them."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import pandas as pd
import pytest

from sercourse import audio, corpora
from sercourse.features import extract, named
from sercourse.features.spectrogram import log_mel, log_mel_segments, mel_segments

SR = 44_100
ABSENT = -100.0


def voice(seconds: float, *, sr: int = SR, seed: int = 0) -> np.ndarray:
    """Gliding harmonics in syllables, and breath."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * sr)) / sr
    phase = 2 * np.pi * np.cumsum(150 + 50 * np.sin(2 * np.pi * t)) / sr
    tone = sum(np.sin(k * phase) / k for k in range(1, 20))
    y = 0.1 * np.clip(np.sin(8 * t), 0, None) * tone + 0.005 * rng.standard_normal(t.size)
    return y.astype(np.float32)


def by_librosa(y: np.ndarray) -> np.ndarray:
    """The segments as librosa makes them, (n_segments, n_frames, n_bands)."""
    y = librosa.util.normalize(y.astype(float))
    mel = librosa.feature.melspectrogram(
        y=audio.segments(y, sr=SR, seconds=3.0), sr=SR, n_fft=2048, hop_length=1024, n_mels=128
    )
    return librosa.power_to_db(mel, ref=1.0, top_db=80).transpose(0, 2, 1)


def n_present(X: np.ndarray, *, floor: float = ABSENT) -> int:
    """Count the segments that are there, and require that they come first."""
    there = (floor < X).any(axis=(1, 2))
    assert there.tolist() == sorted(there, reverse=True)
    return int(there.sum())


@pytest.mark.parametrize(
    ("seconds", "number"), [(0.5, 1), (2.9, 1), (3.0, 1), (3.01, 2), (6.5, 3), (10.0, 4), (12, 4)]
)
def test_segments_are_those_of_librosa(seconds: float, number: int) -> None:
    X = mel_segments(voice(seconds), sr=SR)
    assert X.shape == named("mel-segments").shape == (4, 130, 128)
    assert X.dtype == np.float32
    assert n_present(X) == number
    np.testing.assert_allclose(X[:number], by_librosa(voice(seconds)), rtol=0, atol=1e-3)
    assert (X[number:] == ABSENT).all()


def test_scale_is_not_heard() -> None:
    np.testing.assert_allclose(
        mel_segments(0.01 * voice(4), sr=SR), mel_segments(voice(4), sr=SR), atol=1e-3
    )


def test_the_last_segment_ends_with_the_clip() -> None:
    y = voice(4)
    end = y.copy()
    end[-SR // 4 :] = 0
    X, other = mel_segments(y, sr=SR), mel_segments(end, sr=SR)
    np.testing.assert_allclose(X[0], other[0], atol=1e-3)
    assert np.abs(X[1, -8:] - other[1, -8:]).max() > 10


def test_of_a_long_clip_the_loudest_stretch_is_taken() -> None:
    y = np.concatenate([np.zeros(7 * SR), voice(9), np.zeros(2 * SR)])
    X = mel_segments(y, sr=SR)
    assert n_present(X) == 4
    # The first 12 s that hold all the words, which are followed by silence.
    np.testing.assert_allclose(X, mel_segments(y[4 * SR : 16 * SR], sr=SR), atol=1e-3)
    loud = voice(12)
    loud[[0, -1]] = 0.9  # so that no other stretch holds more
    long = np.concatenate([0.01 * voice(3), loud, 0.01 * voice(1)])
    np.testing.assert_allclose(mel_segments(long, sr=SR), mel_segments(loud, sr=SR), atol=1e-3)


def test_a_segment_of_silence_is_not_absent() -> None:
    y = np.zeros(6 * SR)
    y[SR] = 1.0  # a click, as soft in its loudest band as a clip can be
    X = mel_segments(y, sr=SR)
    assert n_present(X) == 2
    assert (X[2:] == ABSENT).all()


@pytest.mark.parametrize("name", ["mel-segments", "log-mel-segments"])
@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda sr: np.zeros(2 * sr), "the clip is silent"),
        (lambda sr: voice(0.2, sr=sr), r"the clip lasts 0\.20 s: at least 0\.3 s"),
        (lambda sr: np.zeros(0), r"lasts 0\.00 s"),
        (lambda sr: np.full(sr, np.nan), "sample 0 of the signal is nan"),
        (lambda sr: np.zeros((2, sr)), "give one channel"),
    ],
)
def test_a_clip_without_segments_is_refused(name: str, make, sentence: str) -> None:
    chosen = named(name)
    with pytest.raises(ValueError, match=sentence) as error:
        extract(make(chosen.sr), sr=chosen.sr, feature_set=chosen)
    assert "\n" not in str(error.value)


def test_a_short_sentence_is_one_segment_of_the_same_bands() -> None:
    y = voice(2, sr=16_000)
    X, S = log_mel_segments(y, sr=16_000), log_mel(y, sr=16_000)
    assert X.shape == named("log-mel-segments").shape == (4, 300, 64)
    assert n_present(X, floor=-70) == 1
    np.testing.assert_array_equal(X[0, :288], S)
    assert (X[0, 288:] == -70).all()


def test_long_words_are_covered_from_their_first_to_their_last_frame() -> None:
    y = voice(7, sr=16_000)
    X = log_mel_segments(y, sr=16_000)
    assert n_present(X, floor=-70) == 3
    assert X.max() == 0
    whole = np.concatenate([X[0], X[1], X[2]])
    assert len(np.unique(whole, axis=0)) > 600  # 7 s in frames of 10 ms, less what is trimmed
    assert n_present(log_mel_segments(voice(30, sr=16_000), sr=16_000), floor=-70) == 4


@pytest.fixture(scope="module")
def aesdd(aesdd_root: Path) -> pd.DataFrame:
    return corpora.scan(aesdd_root, corpus="aesdd").clips


def test_the_real_corpus_has_1106_segments(aesdd: pd.DataFrame) -> None:
    number = np.ceil(aesdd["duration"] / 3)
    assert number.sum() == 1106
    assert number.max() == 4
    for row in (number.argmax(), number.argmin()):
        y = audio.read(aesdd["path"].iloc[row], sr=SR)
        assert n_present(mel_segments(y, sr=SR)) == number.iloc[row]
