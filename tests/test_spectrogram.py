"""Spectrograms, held to librosa's."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest
import scipy.signal
import scipy.stats
import sounds

from sercourse import audio, corpora
from sercourse.features import extract, named
from sercourse.features.spectrogram import (
    classic_spectrogram,
    classic_windows,
    log_mel,
    log_mel_segments,
    mel_filters,
    mel_segments,
    power_spectrogram,
    power_to_db,
)

SR, RATE = 16_000, 44_100
OFFSET = SR // 2
ABSENT = -100.0
voice = partial(sounds.voice, sr=SR)
clip = partial(sounds.voice, sr=RATE)


def by_librosa(y: np.ndarray) -> np.ndarray:
    """The ancestor's spectrogram, as its own library makes it, (n_frames, n_bands)."""
    y = audio.pad(scipy.stats.zscore(y[OFFSET:].astype(float)), length=49_100)
    spectrum = librosa.stft(y, n_fft=512, win_length=256, window="hamming", hop_length=128)
    mel = librosa.feature.melspectrogram(S=np.abs(spectrum) ** 2, sr=SR, n_mels=128, fmax=4000)
    return librosa.power_to_db(mel, ref=np.max, top_db=80).T


@pytest.mark.parametrize(
    "bank",
    [
        {"sr": 16_000, "n_fft": 512, "n_mels": 128, "fmin": 0.0, "fmax": 4000.0},
        {"sr": 16_000, "n_fft": 512, "n_mels": 64, "fmin": 50.0, "fmax": 8000.0},
        {"sr": 16_000, "n_fft": 1024, "n_mels": 10, "fmin": 1500.0, "fmax": 7000.0},
        {"sr": 44_100, "n_fft": 2048, "n_mels": 128, "fmin": 0.0, "fmax": 22_050.0},
    ],
)
def test_filters_are_those_of_librosa(bank: dict[str, Any]) -> None:
    ours, theirs = mel_filters(**bank), librosa.filters.mel(**bank)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-9)
    with pytest.raises(ValueError, match="read-only"):  # it is shared
        ours[0] = 0


@pytest.mark.parametrize("window", ["hamming", "hann"])
@pytest.mark.parametrize("frame_length", [255, 256, 401, 512])
@pytest.mark.parametrize("n_samples", [2000, 2047, 2048, 600])
def test_centred_power_is_that_of_librosa(window: str, frame_length: int, n_samples: int) -> None:
    y = voice(1)[2000 : 2000 + n_samples].astype(float)
    taper = scipy.signal.get_window(window, frame_length)
    ours = power_spectrogram(y, window=taper, hop_length=128, n_fft=512, centred=True)
    theirs = librosa.stft(y, n_fft=512, win_length=frame_length, window=window, hop_length=128)
    assert len(ours) == 1 + n_samples // 128
    np.testing.assert_allclose(ours, np.abs(theirs.T) ** 2, rtol=1e-6, atol=1e-12)


def test_power_that_is_not_centred_starts_with_the_signal() -> None:
    y, taper = voice(1)[:1000].astype(float), scipy.signal.get_window("hann", 400)
    S = power_spectrogram(y, window=taper, hop_length=160, n_fft=512)
    assert S.shape == (4, 257)
    plain = np.abs(np.fft.fft(y[320:720] * taper, 512)[:257]) ** 2
    np.testing.assert_allclose(S[2], plain, rtol=1e-9, atol=1e-15)
    with pytest.raises(ValueError, match="399 samples, fewer than one frame of 400"):
        power_spectrogram(y[:399], window=taper, hop_length=160, n_fft=512)


@pytest.mark.parametrize("top_db", [None, 80.0, 30.0])
@pytest.mark.parametrize("reference", [1.0, 1e-3, 1e-12])
def test_decibels_are_those_of_librosa(top_db: float | None, reference: float) -> None:
    power = np.concatenate([[[0.0, 1e-12]], np.random.default_rng(0).exponential(size=(20, 2))])
    theirs = librosa.power_to_db(power, ref=reference, top_db=top_db)
    np.testing.assert_allclose(power_to_db(power, reference=reference, top_db=top_db), theirs)


@pytest.mark.parametrize("seconds", [0.8, 1.3, 3.568, 3.56875, 3.7, 9.0])
def test_the_classic_spectrogram_is_that_of_librosa(seconds: float) -> None:
    ours = classic_spectrogram(voice(seconds), sr=SR)
    assert ours.shape == (384, 128)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, by_librosa(voice(seconds)), rtol=0, atol=1e-4)


@pytest.mark.parametrize("actor", ["Actor_01", "Actor_12", "Actor_20"])
def test_on_real_speech_too(ravdess_root: Path, actor: str) -> None:
    y = audio.read(sorted((ravdess_root / actor).iterdir())[17], sr=SR)
    np.testing.assert_allclose(classic_spectrogram(y, sr=SR), by_librosa(y), rtol=0, atol=1e-4)


def test_five_classic_windows_roll_over_the_spectrogram() -> None:
    X = classic_windows(voice(3.7), sr=SR)
    S = classic_spectrogram(voice(3.7), sr=SR)
    assert X.shape == named("time-windows").shape == (5, 128, 128)
    assert X.dtype == np.float32
    assert X.flags.writeable
    for k in range(5):
        np.testing.assert_array_equal(X[k], S[64 * k : 64 * k + 128])
    assert X.max() == 0
    assert X.min() == -80


def test_a_long_clip_is_cut_after_it_was_standardized() -> None:
    y = np.concatenate([voice(4), 0.9 * np.ones(SR, dtype=np.float32)])
    np.testing.assert_allclose(classic_spectrogram(y, sr=SR), by_librosa(y), rtol=0, atol=1e-4)


def broken(value: float) -> np.ndarray:
    y = voice(2)
    y[7] = value
    return y


@pytest.mark.parametrize(
    ("y", "sentence"),
    [
        (voice(0.79), r"the clip lasts 0\.79 s: at least 0\.8 s is needed"),
        (np.zeros(0), r"lasts 0\.00 s"),
        (np.zeros(2 * SR), r"silent from 0\.5 s on: record it again"),
        (np.full(2 * SR, 0.3), r"silent from 0\.5 s on"),
        (np.concatenate([voice(0.5), np.zeros(SR)]), r"silent from 0\.5 s on"),
        (broken(np.nan), "sample 7 of the signal is nan"),
        (broken(-np.inf), "sample 7 of the signal is -inf"),
        (np.zeros((2, 2 * SR)), r"shape \(2, 32000\): give one channel"),
    ],
)
def test_a_clip_without_windows_is_refused(y: np.ndarray, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as error:
        extract(y, sr=SR, feature_set=named("time-windows"))
    assert "\n" not in str(error.value)


def segments_by_librosa(y: np.ndarray) -> np.ndarray:
    """The segments as librosa makes them, (n_segments, n_frames, n_bands)."""
    y = librosa.util.normalize(y.astype(float))
    mel = librosa.feature.melspectrogram(
        y=audio.segments(y, sr=RATE, seconds=3.0),
        sr=RATE,
        n_fft=2048,
        hop_length=1024,
        n_mels=128,
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
    X = mel_segments(clip(seconds), sr=RATE)
    assert X.shape == named("mel-segments").shape == (4, 130, 128)
    assert X.dtype == np.float32
    assert n_present(X) == number
    np.testing.assert_allclose(X[:number], segments_by_librosa(clip(seconds)), rtol=0, atol=1e-3)
    assert (X[number:] == ABSENT).all()


def test_of_a_long_clip_the_loudest_stretch_is_taken() -> None:
    y = np.concatenate([np.zeros(7 * RATE), clip(9), np.zeros(2 * RATE)])
    X = mel_segments(y, sr=RATE)
    assert n_present(X) == 4
    # The first 12 s that hold all the words, which are followed by silence.
    np.testing.assert_allclose(X, mel_segments(y[4 * RATE : 16 * RATE], sr=RATE), atol=1e-3)
    loud = clip(12)
    loud[[0, -1]] = 0.9  # so that no other stretch holds more
    long = np.concatenate([0.01 * clip(3), loud, 0.01 * clip(1)])
    np.testing.assert_allclose(mel_segments(long, sr=RATE), mel_segments(loud, sr=RATE), atol=1e-3)


def test_a_segment_of_silence_is_not_absent() -> None:
    y = np.zeros(6 * RATE)
    y[RATE] = 1.0  # a click, as soft in its loudest band as a clip can be
    X = mel_segments(y, sr=RATE)
    assert n_present(X) == 2
    assert (X[2:] == ABSENT).all()


def test_the_real_corpus_has_1106_segments(aesdd_root: Path) -> None:
    aesdd = corpora.scan(aesdd_root, corpus="aesdd").clips
    number = np.ceil(aesdd["duration"] / 3)
    assert number.sum() == 1106
    assert number.max() == 4
    for row in (number.argmax(), number.argmin()):
        y = audio.read(aesdd["path"].iloc[row], sr=RATE)
        assert n_present(mel_segments(y, sr=RATE)) == number.iloc[row]


@pytest.mark.parametrize("name", ["mel-segments", "log-mel-segments"])
@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda sr: np.zeros(2 * sr), "the clip is silent"),
        (lambda sr: sounds.voice(0.2, sr=sr), r"the clip lasts 0\.20 s: at least 0\.3 s"),
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
    y = voice(2)
    X, S = log_mel_segments(y, sr=16_000), log_mel(y, sr=16_000)
    assert X.shape == named("log-mel-segments").shape == (4, 300, 64)
    assert n_present(X, floor=-70) == 1
    np.testing.assert_array_equal(X[0, :288], S)
    assert (X[0, 288:] == -70).all()


def test_long_words_are_covered_from_their_first_to_their_last_frame() -> None:
    y = voice(7)
    X = log_mel_segments(y, sr=16_000)
    assert n_present(X, floor=-70) == 3
    assert X.max() == 0
    whole = np.concatenate([X[0], X[1], X[2]])
    assert len(np.unique(whole, axis=0)) > 600  # 7 s in frames of 10 ms, less what is trimmed
    assert n_present(log_mel_segments(voice(30), sr=16_000), floor=-70) == 4
