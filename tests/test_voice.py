"""The voice features: what each block measures, on sounds whose answer is known."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import pytest
import scipy.fft
import scipy.stats

from sercourse import audio
from sercourse.features import short_term, voice
from sercourse.features.short_term import log_euclidean_stats

SR = 16_000


def tone(hz: float, *, seconds: float = 1.0, n_harmonics: int = 12) -> np.ndarray:
    """Return a buzz with the harmonics of a voice, fading in and out."""
    t = np.arange(round(seconds * SR)) / SR
    phase = 2 * np.pi * hz * t
    buzz = sum(np.sin(k * phase) / k for k in range(1, n_harmonics + 1))
    return 0.2 * buzz * np.hanning(len(t))


@pytest.fixture(scope="module")
def clip(sample_ravdess: Path) -> np.ndarray:
    return audio.read(sorted(sample_ravdess.rglob("*.ogg"))[7], sr=SR)


def test_names_belong_to_the_numbers(clip: np.ndarray) -> None:
    row = voice.voice(clip, sr=SR)
    assert row.shape == (len(voice.VOICE_NAMES),)
    assert len(set(voice.VOICE_NAMES)) == len(voice.VOICE_NAMES)
    tracks = voice.tracks(clip, sr=SR)
    named = dict(zip(voice.VOICE_NAMES, row, strict=True))
    column = voice.TRACK_NAMES.index("contrast_3")
    assert named["contrast_3_p50"] == pytest.approx(np.median(tracks.table[:, column]))
    assert named["intonation_mean"] == pytest.approx(tracks.pitch[tracks.voiced].mean())
    assert named["timing_voiced"] == pytest.approx(tracks.voiced.mean())
    skewness = scipy.stats.skew(tracks.table[:, 2])
    assert named["mfcc_2_skewness"] == pytest.approx(skewness, rel=1e-4)


@pytest.mark.parametrize("gain", [0.01, 0.3, 3.0])
def test_loudness_plays_no_part(clip: np.ndarray, gain: float) -> None:
    assert np.allclose(voice.voice(gain * clip, sr=SR), voice.voice(clip, sr=SR), atol=1e-3)


def test_silence_around_the_words_plays_no_part() -> None:
    word = tone(180)
    silence = np.zeros(SR)
    apart = voice.voice(np.concatenate([silence, word, silence]), sr=SR)
    longer = voice.voice(np.concatenate([silence, silence[:4000], word, silence]), sr=SR)
    assert np.allclose(apart, longer, atol=0.2)


@pytest.mark.parametrize("hz", [80.0, 121.0, 200.0, 333.0, 500.0])
def test_pitch_is_found(hz: float) -> None:
    tracks = voice.tracks(tone(hz), sr=SR)
    found = 100 * 2 ** (np.median(tracks.pitch[tracks.voiced]) / 12)
    assert found == pytest.approx(hz, rel=0.01)


def test_noise_is_unvoiced() -> None:
    noise = np.random.default_rng(0).normal(scale=0.1, size=SR)
    assert voice.tracks(noise, sr=SR).voiced.mean() < 0.1
    assert voice.tracks(tone(150), sr=SR).voiced.mean() > 0.8


def test_mfcc_are_the_cosine_transform_of_the_log_mel(clip: np.ndarray) -> None:
    tracks = voice.tracks(clip, sr=SR)
    expected = scipy.fft.dct(tracks.log_mel, norm="ortho", axis=1)[:, : voice.N_MFCC]
    assert np.allclose(tracks.table[:, : voice.N_MFCC], expected)


def test_mel_filters_are_those_of_librosa() -> None:
    edges = short_term.mel_edges(50.0, SR / 2, n_mels=40)
    ours = short_term.triangles(edges, np.fft.rfftfreq(512, 1 / SR))
    theirs = librosa.filters.mel(sr=SR, n_fft=512, n_mels=40, fmin=50, htk=True, norm=None)
    assert np.allclose(ours, theirs, atol=1e-6)


def test_block_gaussian_is_the_cloud_of_its_tracks(clip: np.ndarray) -> None:
    tracks = voice.tracks(clip, sr=SR)
    expected = log_euclidean_stats(tracks.table[:, : len(voice.CLOUD_NAMES)])
    np.testing.assert_array_equal(voice.voice(clip, sr=SR)[: len(expected)], expected)


def test_modulation_finds_the_rate_of_syllables() -> None:
    t = np.arange(2 * SR) / SR
    noise = np.random.default_rng(0).normal(scale=0.1, size=len(t))
    syllables = noise * (1.01 + np.cos(2 * np.pi * 5 * t))
    named = dict(zip(voice.VOICE_NAMES, voice.voice(syllables, sr=SR), strict=True))
    level = {name: x for name, x in named.items() if name.startswith("modulation_level")}
    assert max(level, key=lambda name: level[name]) == "modulation_level_4-6hz"


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.zeros(SR), "silent"),
        (tone(200, seconds=0.2), "lasts 0.20 s: at least 0.3 s"),
        (np.zeros(0), "lasts 0.00 s"),
    ],
)
def test_what_cannot_be_measured_is_refused(y: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        voice.voice(y, sr=SR)


@pytest.mark.parametrize(
    "y",
    [
        np.r_[np.zeros(8000), 1.0, np.zeros(8000)],
        np.sign(tone(200)),
        np.random.default_rng(0).normal(size=SR // 3),
        np.full(SR, 0.5),
    ],
    ids=["click", "square", "short noise", "constant"],
)
def test_odd_sounds_give_finite_numbers(y: np.ndarray) -> None:
    assert np.isfinite(voice.voice(y, sr=SR)).all()
