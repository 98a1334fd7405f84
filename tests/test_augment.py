"""Augmentation: what each function changes, by how much, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import librosa
import numpy as np
import pytest

from sercourse import audio, augment
from sercourse.augment import Augmentation

SR = 16_000
LABELS = np.eye(3, dtype=np.float32)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def buzz(hz: float, *, seconds: float = 1.5, sr: int = SR) -> np.ndarray:
    """Return pulses at a pitch, as the folds of a voice give them: many harmonics in phase."""
    t = np.arange(round(seconds * sr)) / sr
    pulses = sum(np.cos(2 * np.pi * k * hz * t) for k in range(1, int(3000 / hz)))
    return audio.normalize_peak(pulses, peak=0.5).astype(np.float32)


def snr_db(clean: np.ndarray, noisy: np.ndarray) -> float:
    noise = noisy.astype(np.float64) - clean
    return float(10 * np.log10(np.mean(clean**2, dtype=np.float64) / np.mean(noise**2)))


def pitch(y: np.ndarray, *, sr: int = SR) -> float:
    """Return the pitch of a steady buzz [Hz]: the lowest strong harmonic."""
    power = np.abs(np.fft.rfft(y * np.hanning(y.size), 8 * y.size))
    strong = power > 0.5 * power.max()
    first = int(strong.argmax())
    return (first + int(power[first : first + 100].argmax())) * sr / (8 * y.size)


def batch(n_clips: int = 6, n_frames: int = 40, n_bands: int = 16) -> np.ndarray:
    return rng(7).normal(-40, 10, size=(n_clips, n_frames, n_bands)).astype(np.float32)


WAVEFORM: dict[str, Callable[..., np.ndarray]] = {
    "add_noise": lambda y, g: augment.add_noise(y, snr=20, rng=g),
    "add_noise pink": lambda y, g: augment.add_noise(y, snr=20, rng=g, colour="pink"),
    "reverberate": lambda y, g: augment.reverberate(y, sr=SR, rt60=0.3, rng=g),
    "gain": lambda y, _: augment.gain(y, db=6),
    "shift_time": lambda y, _: augment.shift_time(y, sr=SR, seconds=0.1),
    "time_stretch": lambda y, _: augment.time_stretch(y, sr=SR, rate=1.2),
    "add_chatter": lambda y, g: augment.add_chatter(y, sr=SR, snr=10, rng=g),
    "cut_lows": lambda y, _: augment.cut_lows(y, sr=SR, lowest=300),
    "limit_band": lambda y, _: augment.limit_band(y, sr=SR, highest=4_000),
    "pitch_shift": lambda y, _: augment.pitch_shift(y, sr=SR, semitones=4),
}
SPECTROGRAM: dict[str, Callable[..., np.ndarray]] = {
    "vtlp": lambda X, g: augment.vtlp(X, rng=g, largest=0.1),
    "freq_mask": lambda X, g: augment.freq_mask(X, rng=g, n=2, widest=5),
    "time_mask": lambda X, g: augment.time_mask(X, rng=g, n=2, widest=10),
    "mix_noise": lambda X, g: augment.mix_noise(X, rng=g, share=0.7, level=(-20, 0)),
    "tilt": lambda X, g: augment.spectral_tilt(X, rng=g, largest=6),
    "mixup": lambda X, g: augment.mixup(X, np.tile(LABELS, (2, 1)), rng=g, alpha=0.5)[0],
}
DRAWS = {"add_noise", "add_noise pink", "add_chatter", "reverberate", *SPECTROGRAM}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", WAVEFORM)
def test_a_clip_stays_as_it_was(name: str, dtype: type) -> None:
    y = buzz(200).astype(dtype)
    before = y.copy()
    changed = WAVEFORM[name](y, rng())
    assert np.array_equal(y, before)
    assert not np.shares_memory(y, changed)
    assert changed.dtype == dtype
    assert changed.shape == (y.shape if name != "time_stretch" else (20_000,))
    assert not np.array_equal(changed[: y.size], y[: changed.size])
    assert np.isfinite(changed).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", SPECTROGRAM)
def test_a_batch_stays_as_it_was(name: str, dtype: type) -> None:
    X = batch().astype(dtype)
    before = X.copy()
    changed = SPECTROGRAM[name](X, rng())
    assert np.array_equal(X, before)
    assert not np.shares_memory(X, changed)
    assert (changed.dtype, changed.shape) == (dtype, X.shape)
    assert not np.array_equal(changed, X)
    assert np.isfinite(changed).all()


@pytest.mark.parametrize("name", sorted(DRAWS))
def test_a_seed_gives_the_same_again(name: str) -> None:
    function, given = (
        (WAVEFORM[name], buzz(200)) if name in WAVEFORM else (SPECTROGRAM[name], batch())
    )
    first = function(given, rng(3))
    assert np.array_equal(first, function(given, rng(3)))
    assert not np.array_equal(first, function(given, rng(4)))


# Noise, level, place


@pytest.mark.parametrize("colour", augment.COLOURS)
@pytest.mark.parametrize("snr", [-10, 0, 17.5, 60])
def test_noise_has_the_ratio_asked_for(snr: float, colour: str) -> None:
    y = buzz(150)
    noisy = augment.add_noise(y, snr=snr, rng=rng(), colour=colour)
    assert snr_db(y, noisy) == pytest.approx(snr, abs=0.1)


@pytest.mark.parametrize(("colour", "per_octave"), [("white", 0), ("pink", -3), ("brown", -6)])
def test_noise_has_its_colour(colour: str, per_octave: float) -> None:
    y = buzz(150, seconds=10)
    noise = augment.add_noise(y, snr=0, rng=rng(), colour=colour) - y
    power = np.abs(np.fft.rfft(noise)) ** 2
    hz = np.fft.rfftfreq(noise.size, 1 / SR)
    octaves = [(low, 2 * low) for low in (62.5, 125, 250, 500, 1000, 2000, 4000)]
    level = [10 * np.log10(power[(hz >= a) & (hz < b)].mean()) for a, b in octaves]
    assert np.polyfit(np.arange(7), level, 1)[0] == pytest.approx(per_octave * 1.003, abs=0.2)
    assert power[hz < 20].sum() < 0.5 * power.sum()  # rumble does not take it all


def test_shift_moves_and_fills_with_silence() -> None:
    y = buzz(150)
    later = augment.shift_time(y, sr=SR, seconds=0.25)
    earlier = augment.shift_time(y, sr=SR, seconds=-0.25)
    assert not later[:4000].any()
    assert np.array_equal(later[4000:], y[:-4000])
    assert not earlier[-4000:].any()
    assert np.array_equal(earlier[:-4000], y[4000:])
    assert np.array_equal(augment.shift_time(y, sr=SR, seconds=0), y)


# Time and pitch


@pytest.mark.parametrize("sr", [8_000, 44_100])
@pytest.mark.parametrize("semitones", [-12, -4, 0.5, 12])
@pytest.mark.parametrize("hz", [90.0, 233.0])
def test_pitch_moves_by_its_factor(hz: float, semitones: float, sr: int) -> None:
    shifted = augment.pitch_shift(buzz(hz, sr=sr), sr=sr, semitones=semitones)
    assert pitch(shifted, sr=sr) == pytest.approx(hz * 2 ** (semitones / 12), rel=0.005)


@pytest.mark.parametrize("sr", [8_000, 44_100])
@pytest.mark.parametrize("rate", [0.5, 0.8, 1.25, 2.0])
@pytest.mark.parametrize("hz", [90.0, 233.0])
def test_stretch_keeps_pitch_and_changes_length(hz: float, rate: float, sr: int) -> None:
    y = buzz(hz, sr=sr)
    stretched = augment.time_stretch(y, sr=sr, rate=rate)
    assert stretched.size == round(y.size / rate)
    assert pitch(stretched, sr=sr) == pytest.approx(hz, rel=0.005)


@pytest.mark.parametrize("rate", [0.6, 1.5])
def test_what_happens_keeps_its_place_in_the_clip(rate: float) -> None:
    y = np.zeros(2 * SR, dtype=np.float32)
    bursts = np.array([0.2, 0.7, 1.1, 1.8])
    for seconds in bursts:
        y[round(seconds * SR) :][:800] = buzz(200, seconds=0.05)
    loud = np.flatnonzero(np.abs(augment.time_stretch(y, sr=SR, rate=rate)) > 0.1) / SR
    found = [loud[loud > seconds / rate - 0.1][0] for seconds in bursts]
    assert np.allclose(found, bursts / rate, atol=0.02)
    gap = np.diff(loud).max()
    assert gap == pytest.approx(0.65 / rate, abs=0.03)  # nothing sounds twice between them


@pytest.mark.parametrize("semitones", [-4, 4])
def test_pulses_of_the_voice_stay_whole(semitones: float) -> None:
    """A phase vocoder loses the order of the harmonics as soon as the pitch glides."""

    def crest(y: np.ndarray) -> float:
        return float(np.median(np.abs(y.reshape(-1, 800)).max(axis=1)) / np.std(y))

    t = np.arange(24_000) / SR
    phase = 2 * np.pi * np.cumsum(120 + 30 * np.sin(2 * np.pi * t)) / SR
    y = sum(np.cos(k * phase) for k in range(1, 20))
    ours = augment.pitch_shift(y, sr=SR, semitones=semitones)
    vocoder = librosa.effects.pitch_shift(y, sr=SR, n_steps=semitones)
    assert crest(ours) == pytest.approx(crest(y), rel=0.15)
    assert crest(vocoder) < 0.7 * crest(y)


@pytest.mark.parametrize("n_samples", [1, 2, 7, 300, 1_000])
@pytest.mark.parametrize("rate", [0.5, 0.77, 2.0])
def test_short_clips_are_stretched_too(n_samples: int, rate: float) -> None:
    y = rng().normal(size=n_samples).astype(np.float32)
    assert augment.time_stretch(y, sr=SR, rate=rate).size == round(n_samples / rate)
    if n_samples > 1:
        assert augment.pitch_shift(y, sr=SR, semitones=5).size == n_samples


# Rooms


@pytest.mark.parametrize("rt60", [0.2, 0.8])
def test_a_room_dies_away_in_its_time(rt60: float) -> None:
    click = np.zeros(2 * SR)
    click[0] = 1
    room = augment.reverberate(click, sr=SR, rt60=rt60, drr=0, rng=rng())
    # Schroeder 1965, doi:10.1121/1.1909343: the energy still to come falls steadily.
    to_come = 10 * np.log10(np.cumsum(room[:0:-1] ** 2)[::-1] + 1e-30)
    steady = (to_come < to_come[0] - 5) & (to_come > to_come[0] - 25)
    slope = np.polyfit(np.flatnonzero(steady) / SR, to_come[steady], 1)[0]
    assert -60 / slope == pytest.approx(rt60, rel=0.1)


@pytest.mark.parametrize("drr", [-3.0, 0.0, 10.0])
def test_a_room_keeps_the_direct_sound(drr: float) -> None:
    click = np.zeros(SR)
    click[500] = 1
    room = augment.reverberate(click, sr=SR, rt60=0.3, drr=drr, rng=rng())
    assert room[500] == pytest.approx(1)
    assert np.abs(room[:500]).max() < 1e-12
    assert -10 * np.log10(np.sum(room[501:] ** 2)) == pytest.approx(drr, abs=0.1)


# Microphones


@pytest.mark.parametrize(
    ("function", "kept", "lost"),
    [
        (lambda y: augment.limit_band(y, sr=SR, highest=SR / 8), (160, 1600), (2300, 8000)),
        (lambda y: augment.cut_lows(y, sr=SR, lowest=300), (400, 8000), (0, 300)),
    ],
    ids=["limit_band", "cut_lows"],
)
def test_a_band_ends_where_it_says(function: Callable, kept: tuple, lost: tuple) -> None:
    y = rng().standard_normal(SR)  # 1 Hz a bin
    power, before = (np.abs(np.fft.rfft(each)) ** 2 for each in (function(y), y))
    assert power[slice(*kept)].sum() == pytest.approx(before[slice(*kept)].sum(), rel=0.01)
    assert power[slice(*lost)].sum() < 1e-4 * before[slice(*lost)].sum()


@pytest.mark.parametrize("snr", [0.0, 10.0])
def test_chatter_has_the_ratio_asked_for_and_the_spectrum_of_speech(
    snr: float, sample_aesdd: Path
) -> None:
    y = audio.read(sorted(sample_aesdd.rglob("*.ogg"))[0], sr=SR)
    noisy = augment.add_chatter(y, sr=SR, snr=snr, rng=rng())
    assert snr_db(y, noisy) == pytest.approx(snr, abs=0.01)
    chatter = noisy - y
    assert abs(np.corrcoef(y, chatter)[0, 1]) < 0.2
    low = [np.abs(np.fft.rfft(each))[: y.size // 8] for each in (y, chatter)]
    whole = [np.abs(np.fft.rfft(each)) for each in (y, chatter)]
    shares = [np.sum(part**2) / np.sum(all_**2) for part, all_ in zip(low, whole, strict=True)]
    assert shares[1] == pytest.approx(shares[0], abs=0.15)  # below 2 kHz; of white noise a quarter


# Spectrograms


def test_warping_is_linear_interpolation() -> None:
    X = batch(n_clips=5).astype(np.float64)
    factors = rng(2).uniform(0.8, 1.2, size=5)
    warped = augment.vtlp(X, rng=rng(2), largest=0.2)
    band = np.arange(16)
    for clip, result, factor in zip(X, warped, factors, strict=True):
        expected = [np.interp(factor * band, band, frame) for frame in clip]
        assert np.allclose(result, expected)


@pytest.mark.parametrize(
    ("mask", "axis", "widest"), [(augment.freq_mask, 2, 5), (augment.time_mask, 1, 12)]
)
def test_masks_have_their_sizes(mask: Callable[..., np.ndarray], axis: int, widest: int) -> None:
    X = batch(n_clips=2000)
    masked = mask(X, rng=rng(), n=1, widest=widest)
    other = 3 - axis
    hidden = (masked != X).all(axis=other)
    assert np.array_equal(hidden, (masked != X).any(axis=other))  # whole bands, whole frames
    widths = hidden.sum(axis=1)
    assert set(widths) == set(range(widest + 1))
    # From nothing to the widest, all alike.
    assert np.bincount(widths) == pytest.approx(2000 / (widest + 1), rel=0.3)
    edges = np.abs(np.diff(np.pad(hidden, ((0, 0), (1, 1))).astype(int), axis=1)).sum(axis=1)
    assert set(edges) == {0, 2}  # one run
    assert hidden[:, 0].any()
    assert hidden[:, -1].any()


def test_masks_show_the_mean_of_the_clip() -> None:
    X = batch()
    masked = augment.freq_mask(X, rng=rng(), n=3, widest=8)
    for clip, result in zip(X, masked, strict=True):
        assert np.allclose(result[result != clip], clip.mean(), atol=1e-4)


def test_noise_is_mixed_in_as_power() -> None:
    X = batch(n_clips=50).astype(np.float64)
    mixed = augment.mix_noise(X, rng=rng(), share=1, level=(-12, -12))
    noise = 10 ** (mixed / 10) - 10 ** (X / 10)
    assert np.allclose(noise, noise[:, :1], rtol=1e-6)  # the same in all frames
    ratio = noise.mean(axis=(1, 2)) / (10 ** (X / 10)).mean(axis=(1, 2))
    assert 10 * np.log10(ratio) == pytest.approx(-12, abs=0.01)
    colour = np.diff(10 * np.log10(noise[:, 0]), axis=1)
    assert np.allclose(colour, colour[:, :1], rtol=1e-4)  # a straight line, another for each clip
    assert len(np.unique(colour[:, 0].round(6))) == 50


def test_noise_goes_to_its_share_of_clips() -> None:
    X = batch(n_clips=1000)
    mixed = augment.mix_noise(X, rng=rng(), share=0.3, level=(-20, 0))
    noisy = (mixed != X).any(axis=(1, 2))
    assert noisy.mean() == pytest.approx(0.3, abs=0.05)
    assert np.array_equal(augment.mix_noise(X, rng=rng(), share=0, level=(-20, 0)), X)


def test_tilt_is_a_line_that_keeps_the_mean() -> None:
    X = batch(n_clips=300).astype(np.float64)
    moved = augment.spectral_tilt(X, rng=rng(), largest=6) - X
    assert np.allclose(moved, moved[:, :1])
    assert np.allclose(moved.mean(axis=2), 0, atol=1e-9)
    assert np.allclose(np.diff(moved, n=2, axis=2), 0, atol=1e-9)
    assert 5.5 < np.abs(moved).max() <= 6


def test_mixup_blends_clips_and_targets_alike() -> None:
    T = np.eye(50, dtype=np.float32)
    X = rng(5).normal(size=(50, 4, 3)).astype(np.float32)
    mixed, targets = augment.mixup(X, T, rng=rng(), alpha=0.4)
    assert targets.sum(axis=1) == pytest.approx(1, abs=1e-6)
    assert (targets >= 0).all()
    # Each target says which clips are in the blend, and how much of each.
    assert np.allclose(mixed, np.einsum("no,oft->nft", targets, X), atol=1e-5)
    assert ((targets > 0).sum(axis=1) <= 2).all()


# One description of augmentation

AMOUNTS = {
    "speed": (1.1, lambda y: audio.change_speed(y, sr=SR, factor=1.1)),
    "pitch": (-4, lambda y: augment.pitch_shift(y, sr=SR, semitones=-4)),
    "stretch": (1.2, lambda y: augment.time_stretch(y, sr=SR, rate=1.2)),
    "shift": (0.25, lambda y: augment.shift_time(y, sr=SR, seconds=0.25)),
    "band": (4000, lambda y: augment.limit_band(y, sr=SR, highest=4000)),
}


@pytest.mark.parametrize("kind", AMOUNTS)
def test_a_kind_is_its_function(kind: str) -> None:
    y, (amount, function) = buzz(150), AMOUNTS[kind]
    ours = Augmentation(kind, amount, amount).applied(y, sr=SR)
    np.testing.assert_array_equal(ours, function(y), strict=True)


@pytest.mark.parametrize("kind", ["noise", "gaussian", "pink", "chatter"])
def test_noise_follows_from_draw_and_samples(kind: str) -> None:
    y, other = buzz(150), buzz(150)
    other[5] += 1e-3
    noise = [
        Augmentation(kind, 15, 15, draw=draw).applied(each, sr=SR) - each
        for each, draw in [(y, 1), (y.astype(np.float64), 1), (y, 2), (other, 1)]
    ]
    assert snr_db(y, y + noise[0]) == pytest.approx(15, abs=0.01)
    assert np.allclose(noise[0], noise[1], atol=1e-6)
    for each in noise[2:]:
        assert abs(np.corrcoef(each, noise[0])[0, 1]) < 0.3


def test_amounts_follow_from_draw_and_samples() -> None:
    y = buzz(150)
    before = y.copy()
    lengths = [
        len(Augmentation("stretch", 0.8, 1.25, draw=draw).applied(y, sr=SR)) / y.size
        for draw in range(20)
    ]
    assert len(set(lengths)) == 20
    assert 0.8 <= min(lengths) < 0.95 < 1.05 < max(lengths) <= 1.25
    assert np.array_equal(y, before)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown augmentation 'volume': use one of speed, pitch"):
        Augmentation("volume", 1, 2)


@pytest.mark.parametrize(
    ("kind", "amount", "y", "sentence"),
    [
        ("noise", 20, np.zeros(SR), "the clip is silent: noise 20.0 dB"),
        ("chatter", 9, np.zeros(SR), "the clip is silent: noise 9.0 dB"),
        ("shift", -0.2, buzz(150, seconds=0.2), "leaves nothing of a clip of 0.20 s"),
    ],
)
def test_clips_that_cannot_be_augmented_are_refused(
    kind: str, amount: float, y: np.ndarray, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        Augmentation(kind, amount, amount).applied(y, sr=SR)


@pytest.mark.parametrize(
    ("function", "amount", "sentence"),
    [
        (augment.time_stretch, {"rate": -1}, "rate is -1: give a number from 0.5 to 2"),
        (augment.time_stretch, {"rate": 0}, "rate is 0: give"),
        (augment.pitch_shift, {"semitones": 13}, "give a number from 0.5 to 2"),
        (
            augment.reverberate,
            {"rt60": 0, "rng": np.random.default_rng(0)},
            "rt60 is 0 s: give a number from 0.01 to 10",
        ),
        (
            augment.reverberate,
            {"rt60": float("nan"), "rng": np.random.default_rng(0)},
            "rt60 is nan s: give",
        ),
    ],
)
def test_amounts_that_cannot_be_are_refused(
    function: Callable[..., np.ndarray], amount: dict, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        function(buzz(150), sr=SR, **amount)


def test_noise_that_cannot_be_is_refused() -> None:
    with pytest.raises(
        ValueError, match="no noise of the colour 'blue': use white or pink or brown"
    ):
        augment.add_noise(buzz(150), snr=20, rng=np.random.default_rng(0), colour="blue")
    with pytest.raises(ValueError, match="the noise is silent: it cannot be 20 dB below"):
        audio.mix(buzz(150), np.zeros(SR), speech=buzz(150), snr=20)
