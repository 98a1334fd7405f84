"""Feature sets that librosa computes: their excerpts, segments and names."""

from __future__ import annotations

import warnings

import librosa
import numpy as np
import pytest
from sounds import voice

from sercourse import audio
from sercourse.features import extract, librosa_sets, named, spectrogram
from sercourse.features.librosa_sets import PARTS, means, mfcc_cloud, mfcc_image, mfcc_stats

SR = 44_100
ABSENT = -100.0
SEGMENTS = pytest.mark.parametrize("name", ["mfcc-segments", "chroma-segments"])


def of_set(name: str, y: np.ndarray) -> np.ndarray:
    return extract(y, sr=named(name).sr, feature_set=named(name))


def test_means_are_those_of_plain_calls_whatever_the_parts() -> None:
    y = voice(2, sr=16_000)
    stft = np.abs(librosa.stft(y))
    plain = {
        "mfcc": librosa.feature.mfcc(y=y, sr=16_000, n_mfcc=40),
        "chroma": librosa.feature.chroma_stft(S=stft, sr=16_000),
        "mel": librosa.feature.melspectrogram(y=y, sr=16_000),
        "contrast": librosa.feature.spectral_contrast(S=stft, sr=16_000),
        "tonnetz": librosa.feature.tonnetz(y=librosa.effects.harmonic(y), sr=16_000),
    }
    rows = [plain[part].mean(axis=1) for part in PARTS]
    np.testing.assert_allclose(of_set("librosa", y), np.concatenate(rows), atol=1e-5, rtol=1e-6)
    for part, row in zip(PARTS, rows, strict=True):
        np.testing.assert_allclose(of_set(f"librosa:{part}", y), row, atol=1e-5, rtol=1e-6)
        assert named(f"librosa:{part}").names == PARTS[part]


def test_a_choice_of_parts_is_a_set_of_its_own() -> None:
    some, same = named("librosa:mel+mfcc"), named("librosa:mfcc+mel")
    assert some.name == "librosa:mfcc+mel"
    assert (same.settings, same.names) == (some.settings, some.names)
    assert some.settings != named("librosa").settings
    assert named(f"librosa:{'+'.join(PARTS)}").settings == named("librosa").settings


@pytest.mark.parametrize("name", ["librosa:", "librosa:pitch", "librosa:mfcc+", "other:mfcc"])
def test_unknown_parts_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"unknown (part|feature set)"):
        named(name)


def test_short_clips_and_silence_give_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for y in (voice(0.3, sr=16_000), np.zeros(4800, np.float32)):
            assert np.isfinite(means(y, sr=16_000)).all()


@pytest.mark.parametrize("seconds", [1.0, 2.0, 4.5])
def test_excerpts_begin_and_end_where_they_should(seconds: float) -> None:
    y = voice(seconds, sr=SR).astype(float)
    excerpt = audio.pad(y[22_050:], length=110_250)
    image = of_set("mfcc-image", y)
    assert (image.shape, image.dtype) == ((216, 39), np.float32)
    np.testing.assert_allclose(
        image, librosa.feature.mfcc(y=excerpt, sr=SR, n_mfcc=39).T, atol=1e-3
    )
    y = voice(seconds, sr=22_050).astype(float)
    excerpt = y[13_230 : 13_230 + 55_125]
    row = dict(zip(named("means-162").names, of_set("means-162", y), strict=True))
    assert len(row) == 162
    assert row["rms"] == pytest.approx(librosa.feature.rms(y=excerpt).mean())
    chroma = librosa.feature.chroma_stft(S=np.abs(librosa.stft(excerpt)), sr=22_050)
    assert row["chroma_c#"] == pytest.approx(chroma.mean(axis=1)[1])


@pytest.mark.parametrize(
    ("name", "seconds", "least"),
    [
        *(("mfcc-image", 0.7, "0.8"), ("means-162", 0.8, "0.9"), ("librosa", 0.2, "0.3")),
        *(("mfcc-segments", 0.2, "0.3"), ("chroma-segments", 0.2, "0.3")),
    ],
)
def test_what_holds_no_clip_is_refused(name: str, seconds: float, least: str) -> None:
    sr = named(name).sr
    for y, sentence in (
        (voice(seconds, sr=sr), rf"lasts {seconds:.2f} s: at least {least} s is needed"),
        (np.full(sr, np.nan), "sample 0 of the signal is nan"),
        (np.zeros((sr, 2)), "give one channel"),
    ):
        with pytest.raises(ValueError, match=sentence):
            of_set(name, y)
    if name != "librosa":
        with pytest.raises(ValueError, match="is silent"):
            of_set(name, np.zeros(3 * sr))


def test_segments_of_cepstra_and_chroma_are_those_of_librosa() -> None:
    y = voice(5, sr=SR)
    level = spectrogram.mel_segments(y, sr=SR)[:2].transpose(0, 2, 1)
    theirs = librosa.feature.mfcc(S=level, n_mfcc=40).transpose(0, 2, 1)
    np.testing.assert_allclose(of_set("mfcc-segments", y)[:2], theirs, atol=1e-3)
    for octave in (110, 440, 880):
        tone = np.sin(2 * np.pi * octave * np.arange(3 * SR) / SR)
        frame = of_set("chroma-segments", tone)[0, 65]
        assert named("chroma-segments").names[frame.argmax()] == "a"


@SEGMENTS
def test_rows_have_the_segments_of_the_mel_rows(name: str) -> None:
    y = voice(5, sr=SR)
    y[-SR // 2 :] = 0
    clicks = np.zeros(6 * SR)
    clicks[::7000][:5] = 0.9  # the second segment is silent, and there
    for clip in (*(y[: round(seconds * SR)] for seconds in (0.5, 3.0, 3.01, 5.0)), clicks):
        there = spectrogram.mel_segments(clip, sr=SR).max(axis=(1, 2)) > ABSENT
        X = of_set(name, clip)
        assert X.dtype == np.float32
        assert ((X.max(axis=(1, 2)) > ABSENT) == there).all()
        assert (X[~there] == ABSENT).all()
        np.testing.assert_allclose(of_set(name, 0.01 * clip), X, atol=1e-3)


@pytest.fixture(scope="module")
def words() -> np.ndarray:
    """Return noise that swells and changes its colour for 2 s, after a second of near silence."""
    rng = np.random.default_rng(1)
    t = np.arange(2 * SR) / SR
    white = rng.normal(size=len(t))
    red = np.convolve(white, np.ones(30) / 30, mode="same")
    mixed = 0.1 * (1 + np.sin(2 * np.pi * 3 * t)) * np.where(np.sin(9 * t) > 0, white, 3 * red)
    return np.concatenate([1e-5 * rng.normal(size=SR), mixed])


def test_loudness_and_silence_play_no_part_in_cepstral_statistics(words: np.ndarray) -> None:
    soft = mfcc_cloud(0.1 * words, sr=SR)
    np.testing.assert_allclose(soft, mfcc_cloud(words, sr=SR), atol=1e-3)
    image = mfcc_image(words, sr=SR)
    longer = np.concatenate([image, np.zeros((40, image.shape[1]), dtype=image.dtype)])
    longer[-40:, 0] = image[:, 0].min()  # as digital silence is
    np.testing.assert_array_equal(mfcc_stats(longer), mfcc_stats(image))


def test_order_in_time_is_measured_by_derivatives(words: np.ndarray) -> None:
    image = mfcc_image(words, sr=SR)
    swapped = image[np.random.default_rng(0).permutation(len(image))]
    moved = np.abs(mfcc_stats(image) - mfcc_stats(swapped))
    changing = np.array(["delta" in name for name in librosa_sets.MFCC_STATS_NAMES])
    assert moved[changing].max() > 0.1


def test_a_click_has_no_cepstral_statistics() -> None:
    image = np.zeros((216, 39), dtype=np.float32)
    image[:, 0] = -1000
    image[100, :3] = [0.0, 50.0, 5.0]
    with pytest.raises(ValueError, match="1 frame of the clip sounds: at least 2"):
        mfcc_stats(image)
