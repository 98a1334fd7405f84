"""The course's own feature set: how a voice sounds, how it moves, and how it is timed.

The loudness of the recording plays no part: levels count from the loudest moment of the clip, as a
microphone's distance is no emotion. `tracks` measures the clip frame by frame; `voice` then turns
the tracks into blocks of fixed length. The first block is the heart: mean and covariance of all
tracks, which say how sound and movement go together.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np

from sercourse.features import short_term
from sercourse.features.short_term import delta, log_euclidean_names, log_euclidean_stats
from sercourse.features.spectrogram import power_spectrogram

N_FFT, N_MELS, N_MFCC = 512, 40, 13
LOWEST_MEL_HZ = 50.0
FLOOR_DB = -70.0  # below the loudest band of the clip; what lies deeper is the room
PITCH_RANGE_HZ = (60.0, 600.0)
PITCH_FRAME_SECONDS = 0.040
VOICED_ABOVE = 0.5  # normalised autocorrelation
OCTAVE_COST = 0.02  # per octave below the highest pitch, so that multiples of the period lose
LARGEST_PITCH_STEP = 4.0  # [semitones a frame]; more is a jump between octaves

SHAPE_NAMES = ("pitch", "voicing", "centroid", "spread", "flatness", "flux")
# A covariance compares its entries: these factors bring every track to a spread of a few units,
# as decibels and semitones have.
SHAPE_SCALE = np.array([1.0, 10.0, 3.0, 3.0, 2.0, 2.0])
DELTA_SCALE, DELTA2_SCALE, CONTRAST_SCALE = 4.0, 10.0, 0.5

CONTRAST_EDGES_HZ = (50, 200, 400, 800, 1600, 3200, 8000)
MODULATION_EDGES_HZ = (0.5, 1.5, 2.5, 4, 6, 8, 11, 15, 20)
MODULATION_FRAMES = 512
CONTOUR_POINTS, CONTOUR_ORDERS = 64, 6
PERCENTILES = (2, 10, 25, 50, 75, 90, 98)
PITCH_PERCENTILES = (5, 25, 50, 75, 95)

MFCC_NAMES = tuple(f"mfcc_{k}" for k in range(N_MFCC))
CLOUD_NAMES = (
    *(f"{prefix}{name}" for prefix in ("", "delta_", "delta2_") for name in MFCC_NAMES),
    *(f"{prefix}{name}" for prefix in ("", "delta_") for name in SHAPE_NAMES),
)
TRACK_NAMES = (*CLOUD_NAMES, *(f"contrast_{k}" for k in range(1, len(CONTRAST_EDGES_HZ))))
CONTOUR_TRACKS = (*MFCC_NAMES, *SHAPE_NAMES)
# Second derivatives of the MFCC are left out of the percentiles: they add columns, not accuracy.
PERCENTILE_TRACKS = tuple(name for name in TRACK_NAMES if not name.startswith("delta2_"))


class LowLevelDescriptors(NamedTuple):
    """What a voice does, frame by frame, every 10 ms.

    Attributes
    ----------
    log_mel : ndarray, shape (n_frames, 40)
        [dB] below the loudest band of the clip.
    level : ndarray, shape (n_frames,)
        [dB] below the loudest frame.
    pitch : ndarray, shape (n_frames,)
        [semitones above 100 Hz], interpolated where unvoiced.
    voiced, active : ndarray of bool, shape (n_frames,)
    table : ndarray, shape (n_frames, len(TRACK_NAMES))
        Every track, scaled to a spread of a few units.
    """

    log_mel: np.ndarray
    level: np.ndarray
    pitch: np.ndarray
    voiced: np.ndarray
    active: np.ndarray
    table: np.ndarray


def voice(y: np.ndarray, *, sr: int) -> np.ndarray:
    """Return the features of one clip.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
        Mono signal, at least 0.3 s long.
    sr : int
        Its sampling rate [Hz], 16000.

    Returns
    -------
    ndarray, shape (len(VOICE_NAMES),)

    Raises
    ------
    ValueError
        If the clip is too short or silent.

    Examples
    --------
    >>> t = np.arange(16_000) / 16_000
    >>> tone = np.sin(2 * np.pi * 200 * t) * np.hanning(16_000)
    >>> voice(tone, sr=16_000).shape == (len(VOICE_NAMES),)
    True
    """
    clip = tracks(y, sr=sr)
    table, voiced, active = clip.table, clip.voiced, clip.active
    # How the tracks spread and go together, and the shape of their distributions.
    gaussian = log_euclidean_stats(table[:, : len(CLOUD_NAMES)])
    percentiles = np.percentile(table[:, _columns(PERCENTILE_TRACKS)], PERCENTILES, axis=0)
    centred = table - table.mean(axis=0)
    standard = centred / (centred.std(axis=0) + 1e-6)
    moments = [(standard**3).mean(axis=0), (standard**4).mean(axis=0)]
    # How much of the clip sounds, how long it is, and how frequently it breaks.
    seconds = len(active) * short_term.HOP_SECONDS
    switches = [np.sum(np.diff(voiced.astype(int)) == 1), np.sum(active[1:] != active[:-1])]
    log_seconds = np.log([active.sum() * short_term.HOP_SECONDS, seconds])
    timing = [[voiced.mean(), active.mean()], log_seconds, np.divide(switches, seconds)]
    # The mean spectrum [dB] of voiced and of unvoiced sounds, every second mel band.
    unvoiced = active & ~voiced
    sounds = [voiced, unvoiced if unvoiced.sum() > 3 else np.ones_like(voiced)]
    spectra = np.array([clip.log_mel[mask].mean(axis=0) for mask in sounds])
    timbre = (spectra - spectra.mean(axis=1, keepdims=True))[:, ::2]
    blocks = [gaussian, _modulation(clip), _contour(clip), percentiles.ravel(), *moments]
    return np.concatenate([*blocks, _intonation(clip), *timing, timbre.ravel()])


def tracks(y: np.ndarray, *, sr: int) -> LowLevelDescriptors:
    """Measure a clip frame by frame, without the silence at its ends.

    Raises
    ------
    ValueError
        If the clip is shorter than 0.3 s or silent.
    """
    y = short_term.speech(y, sr=sr)
    length, hop = short_term.frame_and_hop(sr=sr)
    power = power_spectrogram(y, window=np.hamming(length), hop_length=hop, n_fft=N_FFT)
    frequency = np.arange(power.shape[1]) * sr / N_FFT  # [Hz]
    edges = short_term.mel_edges(LOWEST_MEL_HZ, sr / 2, n_mels=N_MELS)
    log_mel = 10 * np.log10(power @ short_term.triangles(edges, frequency).T + 1e-7)
    log_mel = np.maximum(log_mel - log_mel.max(), FLOOR_DB)
    level = 10 * np.log10(power.sum(axis=1) + 1e-9)
    level -= level.max()
    hertz, voicing = pitch_track(y, sr=sr, n_frames=len(power))
    active = level > short_term.ACTIVE_DB
    voiced = (voicing > VOICED_ABOVE) & active
    if np.count_nonzero(voiced) < 5:
        # A whisper has no voiced frame; the five likeliest keep every statistic defined.
        voiced = voicing >= np.sort(voicing)[-5]
    pitch = 12 * np.log2(hertz / 100)
    pitch = np.interp(np.arange(len(pitch)), np.flatnonzero(voiced), pitch[voiced])
    shape = np.column_stack([pitch, voicing, spectral_shape(power, frequency)]) * SHAPE_SCALE
    mfcc = log_mel @ short_term.dct_matrix(n=N_MELS, n_kept=N_MFCC)
    table = [mfcc, DELTA_SCALE * delta(mfcc), DELTA2_SCALE * delta(delta(mfcc))]
    table += [shape, DELTA_SCALE * delta(shape), CONTRAST_SCALE * contrast(power, frequency)]
    return LowLevelDescriptors(log_mel, level, pitch, voiced, active, np.concatenate(table, axis=1))


def pitch_track(y: np.ndarray, *, sr: int, n_frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Return pitch [Hz] and voicing (0 to 1) by normalised autocorrelation.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
    sr : int
    n_frames : int
        Frames wanted; they start every 10 ms and are centred on those of the spectrum.

    References
    ----------
    Boersma, "Accurate short-term analysis of the fundamental frequency and the harmonics-to-noise
    ratio of a sampled sound", 1993: the autocorrelation divided by that of the window.
    """
    shorter, hop = short_term.frame_and_hop(sr=sr)
    length = round(PITCH_FRAME_SECONDS * sr)
    before = (length - shorter) // 2
    padded = np.pad(y, (before, length))
    framed = short_term.frames(padded, frame_length=length, hop_length=hop)[:n_frames]
    window = np.hanning(length)
    ratio = _autocorrelation((framed - framed.mean(axis=1, keepdims=True)) * window)
    ratio /= _autocorrelation(window[np.newaxis])
    shortest, longest = (int(sr / hz) for hz in PITCH_RANGE_HZ[::-1])
    cost = OCTAVE_COST * np.log2(np.arange(shortest, longest) / shortest)
    lag = shortest + np.argmax(ratio[:, shortest:longest] - cost, axis=1)
    rows = np.arange(len(lag))
    left, peak, right = (ratio[rows, lag + step] for step in (-1, 0, 1))
    curvature = left - 2 * peak + right
    # A parabola through three lags; flat ones have no better peak than the middle.
    offset = np.where(curvature < -1e-9, 0.5 * (left - right) / np.minimum(curvature, -1e-9), 0)
    return sr / (lag + np.clip(offset, -1, 1)), np.clip(peak, 0, 1)


def spectral_shape(power: np.ndarray, frequency: np.ndarray) -> np.ndarray:
    """Return centroid and spread [kHz], log flatness and log flux, (n_frames, 4)."""
    frequency = frequency / 1000
    magnitude = np.sqrt(power)
    magnitude /= magnitude.sum(axis=1, keepdims=True) + 1e-9
    centroid = magnitude @ frequency
    spread = np.sqrt(np.maximum(magnitude @ frequency**2 - centroid**2, 0))
    guarded = power + 1e-10
    flatness = np.log(guarded).mean(axis=1) - np.log(guarded.mean(axis=1))
    change = np.sum(np.diff(magnitude, axis=0) ** 2, axis=1)
    flux = np.log(np.concatenate([[1e-3], change]) + 1e-6)
    return np.column_stack([centroid, spread, flatness, flux])


def contrast(power: np.ndarray, frequency: np.ndarray) -> np.ndarray:
    """Return the distance of peaks and valleys [dB] in six bands, (n_frames, 6).

    References
    ----------
    Jiang et al., "Music type classification by spectral contrast feature", 2002,
    doi:10.1109/ICME.2002.1035731.
    """
    decibel = 10 * np.log10(power + 1e-8)
    bands = []
    for low, high in pairwise(CONTRAST_EDGES_HZ):
        ordered = np.sort(decibel[:, (frequency >= low) & (frequency < high)], axis=1)
        extreme = max(1, ordered.shape[1] // 10)
        bands.append(ordered[:, -extreme:].mean(axis=1) - ordered[:, :extreme].mean(axis=1))
    return np.column_stack(bands)


def _modulation(clip: LowLevelDescriptors) -> np.ndarray:
    """Return the log power of slow changes of eight mel regions and the level, by their rate."""
    regions = clip.log_mel.reshape(len(clip.log_mel), 8, -1).mean(axis=2)
    regions = np.column_stack([regions, clip.level])
    centred = (regions - regions.mean(axis=0))[:MODULATION_FRAMES]
    spectrum = np.abs(np.fft.rfft(centred, MODULATION_FRAMES, axis=0)) ** 2 / len(regions)
    rate = np.arange(len(spectrum)) / (MODULATION_FRAMES * short_term.HOP_SECONDS)
    bands = [(rate >= low) & (rate < high) for low, high in pairwise(MODULATION_EDGES_HZ)]
    return np.log(np.ravel([spectrum[band].mean(axis=0) for band in bands]) + 1e-2)


def _contour(clip: LowLevelDescriptors) -> np.ndarray:
    """Return the course of MFCC, shape and level over the clip: its slow cosine components."""
    course = np.column_stack([clip.table[:, _columns(CONTOUR_TRACKS)], clip.level])
    times = np.linspace(0, len(course) - 1, CONTOUR_POINTS)
    at = np.arange(len(course))
    course = np.column_stack([np.interp(times, at, track) for track in course.T])
    orders = short_term.dct_matrix(n=CONTOUR_POINTS, n_kept=CONTOUR_ORDERS + 1)[:, 1:]
    return (orders.T @ course).ravel()


def _intonation(clip: LowLevelDescriptors) -> np.ndarray:
    """Return level, range and steps of the pitch [semitones] where the voice sounds."""
    voiced, pitch = clip.voiced, clip.pitch
    sounding = pitch[voiced]
    level = [sounding.mean(), sounding.std(), *np.percentile(sounding, PITCH_PERCENTILES)]
    steps = np.diff(pitch)[voiced[1:] & voiced[:-1]]
    steps = steps[np.abs(steps) < LARGEST_PITCH_STEP]
    if len(steps) < 2:
        return np.concatenate([level, np.zeros(3 + len(PITCH_PERCENTILES))])
    jitter = [np.abs(steps).mean(), np.abs(np.diff(steps)).mean(), steps.std()]
    return np.concatenate([level, jitter, np.percentile(steps, PITCH_PERCENTILES)])


def _autocorrelation(framed: np.ndarray) -> np.ndarray:
    """Return the autocorrelation of each row, one at lag zero."""
    n = framed.shape[1]
    spectrum = np.fft.rfft(framed, 2 ** int(np.ceil(np.log2(2 * n))), axis=1)
    product = np.fft.irfft(spectrum.real**2 + spectrum.imag**2, axis=1)[:, :n]
    return product / (product[:, :1] + 1e-9) + 1e-9


def _columns(names: Iterable[str]) -> list[int]:
    return [TRACK_NAMES.index(name) for name in names]


def _names(form: str, *axes: Iterable[object]) -> tuple[str, ...]:
    """Return a name for each combination, the last axis changing fastest."""
    return tuple(form.format(*each) for each in product(*axes))


_RATES = [f"{low:g}-{high:g}hz" for low, high in pairwise(MODULATION_EDGES_HZ)]
_PITCH = [f"p{q:02d}" for q in PITCH_PERCENTILES]

VOICE_NAMES: tuple[str, ...] = (
    *log_euclidean_names(CLOUD_NAMES),
    *_names("modulation_{1}_{0}", _RATES, [*(f"mel{k}" for k in range(1, 9)), "level"]),
    *_names("contour{}_{}", range(1, CONTOUR_ORDERS + 1), (*CONTOUR_TRACKS, "level")),
    *_names("{1}_p{0:02d}", PERCENTILES, PERCENTILE_TRACKS),
    *_names("{1}_{0}", ("skewness", "kurtosis"), TRACK_NAMES),
    *_names("intonation_{}", ("mean", "std", *_PITCH)),
    *_names("intonation_step_{}", ("mean", "jitter", "std", *_PITCH)),
    *_names("timing_{}", ("voiced", "active", "log_active", "log_seconds")),
    *_names("timing_{}", ("voiced_starts", "switches")),
    *_names("timbre_{}_mel{}", ("voiced", "unvoiced"), range(1, N_MELS + 1, 2)),
)
"""Names of the features, in the order of `voice`."""
