from __future__ import annotations

from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest
import scipy.stats

from sercourse import audio
from sercourse.features import extract, named
from sercourse.features.spectrogram import (
    classic_spectrogram,
    classic_windows,
    decibel,
    mel_filters,
    power_spectrogram,
    windows,
)

SR = 16_000
OFFSET = SR // 2


def voice(seconds: float, *, seed: int = 0) -> np.ndarray:
    """Gliding harmonics in syllables, and breath."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * SR)) / SR
    phase = 2 * np.pi * np.cumsum(150 + 50 * np.sin(2 * np.pi * t)) / SR
    tone = sum(np.sin(k * phase) / k for k in range(1, 20))
    y = 0.1 * np.clip(np.sin(8 * t), 0, None) * tone + 0.005 * rng.standard_normal(t.size)
    return y.astype(np.float32)


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
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-9)


def test_filters_cannot_be_spoilt_for_others() -> None:
    with pytest.raises(ValueError, match="read-only"):
        mel_filters(sr=SR, n_fft=512, n_mels=40, fmin=0.0, fmax=8000.0)[0] = 0


@pytest.mark.parametrize(("fmin", "fmax"), [(0, 8001), (-1, 4000), (4000, 4000), (5000, 4000)])
def test_bands_outside_the_spectrum_are_refused(fmin: float, fmax: float) -> None:
    with pytest.raises(ValueError, match=f"from {fmin} to {fmax} Hz.*8000 Hz"):
        mel_filters(sr=SR, n_fft=512, n_mels=40, fmin=fmin, fmax=fmax)


@pytest.mark.parametrize("window", ["hamming", "hann"])
@pytest.mark.parametrize("frame_length", [255, 256, 401, 512])
@pytest.mark.parametrize("n_samples", [2000, 2047, 2048, 600])
def test_centred_power_is_that_of_librosa(window: str, frame_length: int, n_samples: int) -> None:
    y = voice(1)[2000 : 2000 + n_samples].astype(float)
    ours = power_spectrogram(
        y, frame_length=frame_length, hop_length=128, n_fft=512, window=window, centred=True
    )
    theirs = librosa.stft(y, n_fft=512, win_length=frame_length, window=window, hop_length=128)
    assert len(ours) == 1 + n_samples // 128
    np.testing.assert_allclose(ours, np.abs(theirs.T) ** 2, rtol=1e-6, atol=1e-12)


def test_power_that_is_not_centred_starts_with_the_signal() -> None:
    y = voice(1)[:1000].astype(float)
    S = power_spectrogram(
        y, frame_length=400, hop_length=160, n_fft=512, window="hann", centred=False
    )
    assert S.shape == (4, 257)
    taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    plain = np.abs(np.fft.fft(y[320:720] * taper, 512)[:257]) ** 2
    np.testing.assert_allclose(S[2], plain, rtol=1e-9, atol=1e-15)


def test_power_keeps_the_precision_of_the_signal() -> None:
    settings = {"frame_length": 400, "hop_length": 160, "n_fft": 512, "window": "hann"}
    single = power_spectrogram(voice(1), **settings, centred=True)
    double = power_spectrogram(voice(1).astype(float), **settings, centred=True)
    assert (single.dtype, double.dtype) == (np.float32, np.float64)
    np.testing.assert_allclose(single, double, rtol=1e-3, atol=1e-6 * double.max())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"n_fft": 256}, "n_fft is 256: at least the frame length, 400"),
        ({"window": "boxcar"}, "unknown window 'boxcar': use one of hamming, hann"),
        ({"frame_length": 512}, "400 samples, fewer than one frame of 512"),
    ],
)
def test_frames_that_cannot_be_are_refused(changes: dict[str, Any], sentence: str) -> None:
    settings = {"frame_length": 400, "hop_length": 160, "n_fft": 512, "window": "hann"} | changes
    with pytest.raises(ValueError, match=sentence):
        power_spectrogram(np.ones(400), **settings, centred=False)


@pytest.mark.parametrize("top_db", [None, 80.0, 30.0])
@pytest.mark.parametrize("reference", [1.0, 1e-3, 1e-12])
def test_decibels_are_those_of_librosa(top_db: float | None, reference: float) -> None:
    power = np.concatenate([[[0.0, 1e-12]], np.random.default_rng(0).exponential(size=(20, 2))])
    theirs = librosa.power_to_db(power, ref=reference, top_db=top_db)
    np.testing.assert_allclose(decibel(power, reference=reference, top_db=top_db), theirs)


@pytest.mark.parametrize(
    ("n_frames", "length", "step"), [(384, 128, 64), (10, 3, 2), (9, 3, 2), (5, 5, 1), (7, 2, 5)]
)
def test_windows_equal_a_plain_loop(n_frames: int, length: int, step: int) -> None:
    S = np.random.default_rng(0).standard_normal((n_frames, 4))
    loop, start = [], 0
    while start + length <= n_frames:
        loop.append(S[start : start + length])
        start += step
    np.testing.assert_array_equal(windows(S, length=length, step=step), np.stack(loop), strict=True)


def test_windows_are_no_copy() -> None:
    S = np.zeros((384, 128))
    assert np.shares_memory(windows(S, length=128, step=64), S)


def test_a_spectrogram_shorter_than_a_window_is_refused() -> None:
    with pytest.raises(ValueError, match="127 frames, fewer than one window of 128: give a longer"):
        windows(np.zeros((127, 4)), length=128, step=64)


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
    assert X.flags.c_contiguous
    assert X.flags.writeable
    for k in range(5):
        np.testing.assert_array_equal(X[k], S[64 * k : 64 * k + 128])
    assert X.max() == 0
    assert X.min() == -80


def test_the_first_half_second_is_not_heard() -> None:
    y = voice(3)
    other = y.copy()
    other[:OFFSET] = 0.9
    np.testing.assert_array_equal(classic_windows(y, sr=SR), classic_windows(other, sr=SR))
    other[OFFSET + 128 : OFFSET + 384] = 0.9
    assert np.abs(classic_windows(y, sr=SR) - classic_windows(other, sr=SR)).max() > 1


def test_loudness_and_a_constant_part_are_not_heard() -> None:
    y = voice(3).astype(float)
    louder = classic_windows(3 * y + 0.2, sr=SR)
    np.testing.assert_allclose(louder, classic_windows(y, sr=SR), atol=1e-3)


def test_a_short_clip_is_followed_by_silence() -> None:
    S = classic_spectrogram(voice(1.3), sr=SR)
    last = 0.8 * SR / 128 + 1  # frames that reach into the clip
    assert (S[int(last) + 1 :] == -80).all()
    assert (S[: int(last) - 1] > -80).any(axis=1).all()


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
