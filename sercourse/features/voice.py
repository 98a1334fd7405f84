"""The course's own feature set: how a voice sounds, how it moves, and how it is timed.

The loudness of the recording plays no part: levels count from the loudest moment of the clip, as a
microphone's distance is no emotion. `tracks` measures the clip frame by frame; each block of
`BLOCKS` then turns the tracks into numbers of fixed length. The block `gaussian` is the heart: all
tracks as one Gaussian cloud, whose means, spreads and correlations say how sound and movement go
together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sercourse import audio
from sercourse.features import short_term
from sercourse.features.cloud import log_euclidean_stats, log_gaussian_names

Array = NDArray[np.float64]

N_FFT = 512
N_MELS = 40
N_MFCC = 13
LOWEST_MEL_HZ = 50.0
FLOOR_DB = -70.0  # below the loudest band of the clip; what lies deeper is the room
ACTIVE_DB = -30.0  # below the loudest frame of the clip
PITCH_RANGE_HZ = (60.0, 600.0)
PITCH_FRAME_SECONDS = 0.040
VOICED_ABOVE = 0.5  # normalised autocorrelation
OCTAVE_COST = 0.02  # per octave below the highest pitch, so that multiples of the period lose
LARGEST_PITCH_STEP = 4.0  # [semitones a frame]; more is a jump between octaves
DELTA_REACH = 4  # frames to either side
MARGIN_SECONDS = 0.05

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
CONTRAST_NAMES = tuple(f"contrast_{k}" for k in range(1, len(CONTRAST_EDGES_HZ)))
CLOUD_NAMES = (
    *MFCC_NAMES,
    *(f"delta_{name}" for name in MFCC_NAMES),
    *(f"delta2_{name}" for name in MFCC_NAMES),
    *SHAPE_NAMES,
    *(f"delta_{name}" for name in SHAPE_NAMES),
)
TRACK_NAMES = (*CLOUD_NAMES, *CONTRAST_NAMES)
# Second derivatives of the MFCC are left out of the percentiles: they add columns, not accuracy.
PERCENTILE_TRACKS = tuple(name for name in TRACK_NAMES if not name.startswith("delta2_"))


@dataclass(frozen=True, eq=False)
class LowLevelDescriptors:
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

    log_mel: Array
    level: Array
    pitch: Array
    voiced: NDArray[np.bool_]
    active: NDArray[np.bool_]
    table: Array


def voice(y: NDArray[Any], *, sr: int) -> Array:
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
    measured = tracks(y, sr=sr)
    return np.concatenate([block(measured) for block in BLOCKS.values()])


def tracks(y: NDArray[Any], *, sr: int) -> LowLevelDescriptors:
    """Measure a clip frame by frame, without the silence at its ends.

    Raises
    ------
    ValueError
        If the clip is shorter than 0.3 s or silent.
    """
    y = speech(y, sr=sr)
    power = power_spectrum(y, sr=sr)
    log_mel = relative_log_mel(power, sr=sr)
    level = 10 * np.log10(power.sum(axis=1) + 1e-9)
    level -= level.max()
    frequency, voicing = pitch_track(y, sr=sr, n_frames=len(power))
    active = level > ACTIVE_DB
    voiced = _voiced(voicing, active)
    pitch = 12 * np.log2(frequency / 100)
    pitch = np.interp(np.arange(len(pitch)), np.flatnonzero(voiced), pitch[voiced])
    shape = np.column_stack([pitch, voicing, spectral_shape(power, sr=sr)]) * SHAPE_SCALE
    mfcc = log_mel @ short_term.dct_matrix(n=N_MELS, n_kept=N_MFCC)
    table = [mfcc, DELTA_SCALE * delta(mfcc), DELTA2_SCALE * delta(delta(mfcc))]
    table += [shape, DELTA_SCALE * delta(shape), CONTRAST_SCALE * contrast(power, sr=sr)]
    return LowLevelDescriptors(log_mel, level, pitch, voiced, active, np.concatenate(table, axis=1))


def power_spectrum(y: Array, *, sr: int) -> Array:
    """Return the power of Hamming-windowed 25 ms frames every 10 ms, (n_frames, 257)."""
    length = short_term.frame_length(sr=sr)
    framed = short_term.frames(y, frame_length=length, hop_length=short_term.hop_length(sr=sr))
    spectrum = np.fft.rfft(framed * np.hamming(length), N_FFT, axis=1)
    return spectrum.real**2 + spectrum.imag**2


def relative_log_mel(power: Array, *, sr: int) -> Array:
    """Return mel bands [dB] below the loudest band of the clip, floored, (n_frames, 40)."""
    log_mel = 10 * np.log10(power @ _mel_filters(sr=sr).T + 1e-7)
    return np.maximum(log_mel - log_mel.max(), FLOOR_DB)


def pitch_track(y: Array, *, sr: int, n_frames: int) -> tuple[Array, Array]:
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
    length, hop = round(PITCH_FRAME_SECONDS * sr), short_term.hop_length(sr=sr)
    before = (length - short_term.frame_length(sr=sr)) // 2
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


def spectral_shape(power: Array, *, sr: int) -> Array:
    """Return centroid and spread [kHz], log flatness and log flux, (n_frames, 4)."""
    frequency = np.arange(power.shape[1]) * sr / N_FFT / 1000
    magnitude = np.sqrt(power)
    magnitude /= magnitude.sum(axis=1, keepdims=True) + 1e-9
    centroid = magnitude @ frequency
    spread = np.sqrt(np.maximum(magnitude @ frequency**2 - centroid**2, 0))
    guarded = power + 1e-10
    flatness = np.log(guarded).mean(axis=1) - np.log(guarded.mean(axis=1))
    change = np.sum(np.diff(magnitude, axis=0) ** 2, axis=1)
    flux = np.log(np.concatenate([[1e-3], change]) + 1e-6)
    return np.column_stack([centroid, spread, flatness, flux])


def contrast(power: Array, *, sr: int) -> Array:
    """Return the distance of peaks and valleys [dB] in six bands, (n_frames, 6).

    References
    ----------
    Jiang et al., "Music type classification by spectral contrast feature", 2002,
    doi:10.1109/ICME.2002.1035731.
    """
    frequency = np.arange(power.shape[1]) * sr / N_FFT
    decibel = 10 * np.log10(power + 1e-8)
    bands = []
    for low, high in pairwise(CONTRAST_EDGES_HZ):
        ordered = np.sort(decibel[:, (frequency >= low) & (frequency < high)], axis=1)
        extreme = max(1, ordered.shape[1] // 10)
        bands.append(ordered[:, -extreme:].mean(axis=1) - ordered[:, :extreme].mean(axis=1))
    return np.column_stack(bands)


def delta(track: Array, *, reach: int = DELTA_REACH) -> Array:
    """Return the slope of a straight line through `reach` frames to either side of each frame.

    Parameters
    ----------
    track : ndarray, shape (n_frames, n)
    reach : int

    References
    ----------
    Furui, "Speaker-independent isolated word recognition using dynamic features of speech
    spectrum", 1986, doi:10.1109/TASSP.1986.1164788.

    Examples
    --------
    >>> delta(np.arange(20.0)[:, np.newaxis])[8:12].ravel()
    array([1., 1., 1., 1.])
    """
    padded = np.pad(track, ((reach, reach), (0, 0)), mode="edge")
    n, total = len(track), np.zeros_like(track)
    for k in range(1, reach + 1):
        total += k * (padded[reach + k : reach + k + n] - padded[reach - k : reach - k + n])
    return total / (2 * sum(k * k for k in range(1, reach + 1)))


def gaussian(measured: LowLevelDescriptors) -> Array:
    """Return the cloud of all tracks as one point."""
    return log_euclidean_stats(measured.table[:, : len(CLOUD_NAMES)])


def modulation(measured: LowLevelDescriptors) -> Array:
    """Return the log power of slow changes of eight mel regions and the level, by their rate."""
    regions = measured.log_mel.reshape(len(measured.log_mel), 8, -1).mean(axis=2)
    regions = np.column_stack([regions, measured.level])
    centred = (regions - regions.mean(axis=0))[:MODULATION_FRAMES]
    spectrum = np.abs(np.fft.rfft(centred, MODULATION_FRAMES, axis=0)) ** 2 / len(regions)
    rate = np.arange(len(spectrum)) / (MODULATION_FRAMES * short_term.HOP_SECONDS)
    power = [
        spectrum[(rate >= low) & (rate < high)].mean(axis=0)
        for low, high in pairwise(MODULATION_EDGES_HZ)
    ]
    return np.log(np.ravel(power) + 1e-2)


def contour(measured: LowLevelDescriptors) -> Array:
    """Return the course of MFCC, shape and level over the clip: its slow cosine components."""
    course = np.column_stack([measured.table[:, _columns(_CONTOUR_TRACKS)], measured.level])
    times = np.linspace(0, len(course) - 1, CONTOUR_POINTS)
    at = np.arange(len(course))
    course = np.column_stack([np.interp(times, at, track) for track in course.T])
    orders = short_term.dct_matrix(n=CONTOUR_POINTS, n_kept=CONTOUR_ORDERS + 1)[:, 1:]
    return (orders.T @ course).ravel()


def percentiles(measured: LowLevelDescriptors) -> Array:
    """Return percentiles of the tracks over the frames."""
    chosen = measured.table[:, _columns(PERCENTILE_TRACKS)]
    return np.percentile(chosen, PERCENTILES, axis=0).ravel()


def moments(measured: LowLevelDescriptors) -> Array:
    """Return skewness and kurtosis of every track over the frames."""
    centred = measured.table - measured.table.mean(axis=0)
    standard = centred / (centred.std(axis=0) + 1e-6)
    return np.concatenate([(standard**3).mean(axis=0), (standard**4).mean(axis=0)])


def intonation(measured: LowLevelDescriptors) -> Array:
    """Return level, range and steps of the pitch [semitones] where the voice sounds."""
    voiced, pitch = measured.voiced, measured.pitch
    sounding = pitch[voiced]
    level = [sounding.mean(), sounding.std(), *np.percentile(sounding, PITCH_PERCENTILES)]
    steps = np.diff(pitch)[voiced[1:] & voiced[:-1]]
    steps = steps[np.abs(steps) < LARGEST_PITCH_STEP]
    if len(steps) < 2:
        return np.concatenate([level, np.zeros(3 + len(PITCH_PERCENTILES))])
    jitter = [np.abs(steps).mean(), np.abs(np.diff(steps)).mean(), steps.std()]
    return np.concatenate([level, jitter, np.percentile(steps, PITCH_PERCENTILES)])


def timing(measured: LowLevelDescriptors) -> Array:
    """Return how much of the clip sounds, how long it is, and how frequently it breaks."""
    voiced, active = measured.voiced, measured.active
    seconds = len(active) * short_term.HOP_SECONDS
    starts = np.count_nonzero(np.diff(voiced.astype(int)) == 1)
    switches = np.count_nonzero(np.diff(active.astype(int)))
    log_active = np.log(active.sum() * short_term.HOP_SECONDS)
    shares = [voiced.mean(), active.mean()]
    return np.array([*shares, log_active, np.log(seconds), starts / seconds, switches / seconds])


def timbre(measured: LowLevelDescriptors) -> Array:
    """Return the mean spectrum [dB] of voiced and of unvoiced sounds, every second mel band."""
    unvoiced = measured.active & ~measured.voiced
    masks = measured.voiced, unvoiced if np.count_nonzero(unvoiced) > 3 else slice(None)
    means = [measured.log_mel[mask].mean(axis=0) for mask in masks]
    return np.concatenate([(mean - mean.mean())[::2] for mean in means])


def speech(y: NDArray[Any], *, sr: int) -> Array:
    """Return the clip from its first to its last loud frame, with a margin on either side.

    The margin keeps soft onsets and the last breath of a word, which tell emotions apart.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
        Mono signal, at least 0.3 s long.
    sr : int
        Its sampling rate [Hz].

    Returns
    -------
    ndarray, shape (n,)
        Float64, its peak brought to 0.5.

    Raises
    ------
    ValueError
        If the clip is not one channel of finite samples, shorter than 0.3 s, or silent.
    """
    y = np.asarray(y, dtype=np.float64)
    short_term.require_clip(y, sr=sr)
    y = audio.normalize_peak(y, peak=0.5)
    if not y.any():
        raise ValueError("the clip is silent: no feature can be computed; record it again")
    length, hop = short_term.frame_length(sr=sr), short_term.hop_length(sr=sr)
    energy = short_term.energy(short_term.frames(y, frame_length=length, hop_length=hop))
    loud = np.flatnonzero(energy > energy.max() * 10 ** (ACTIVE_DB / 10))
    margin = round(MARGIN_SECONDS * sr)
    return y[max(0, loud[0] * hop - margin) : loud[-1] * hop + length + margin]


def _voiced(voicing: Array, active: NDArray[np.bool_]) -> NDArray[np.bool_]:
    voiced = (voicing > VOICED_ABOVE) & active
    if np.count_nonzero(voiced) >= 5:
        return voiced
    # A whisper has no voiced frame; the five likeliest keep every statistic defined.
    return voicing >= np.sort(voicing)[-5]


def _autocorrelation(framed: Array) -> Array:
    """Return the autocorrelation of each row, one at lag zero."""
    n = framed.shape[1]
    spectrum = np.fft.rfft(framed, 2 ** int(np.ceil(np.log2(2 * n))), axis=1)
    product = np.fft.irfft(spectrum.real**2 + spectrum.imag**2, axis=1)[:, :n]
    return product / (product[:, :1] + 1e-9) + 1e-9


@lru_cache(maxsize=4)
def _mel_filters(*, sr: int) -> Array:
    """Return triangles on O'Shaughnessy's mel scale over the bins of the spectrum, (40, 257)."""
    highest = 2595 * np.log10(1 + sr / 2 / 700)
    lowest = 2595 * np.log10(1 + LOWEST_MEL_HZ / 700)
    edges = 700 * (10 ** (np.linspace(lowest, highest, N_MELS + 2) / 2595) - 1)
    frequency = np.arange(N_FFT // 2 + 1) * sr / N_FFT
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (frequency - low) / (centre - low), (high - frequency) / (high - centre)
    filters = np.maximum(0, np.minimum(rising, falling))
    filters.flags.writeable = False
    return filters


def _columns(names: tuple[str, ...]) -> list[int]:
    return [TRACK_NAMES.index(name) for name in names]


_CONTOUR_TRACKS = (*MFCC_NAMES, *SHAPE_NAMES)


def _modulation_names() -> tuple[str, ...]:
    regions = (*(f"mel{k}" for k in range(1, 9)), "level")
    rates = [f"{low:g}-{high:g}hz" for low, high in pairwise(MODULATION_EDGES_HZ)]
    return tuple(f"modulation_{region}_{rate}" for rate in rates for region in regions)


def _other_names() -> tuple[str, ...]:
    quantiles = [f"p{q:02d}" for q in PERCENTILES]
    pitch_quantiles = [f"p{q:02d}" for q in PITCH_PERCENTILES]
    bands = range(1, N_MELS + 1, 2)
    return (
        *(
            f"contour{k}_{name}"
            for k in range(1, CONTOUR_ORDERS + 1)
            for name in (*_CONTOUR_TRACKS, "level")
        ),
        *(f"{name}_{q}" for q in quantiles for name in PERCENTILE_TRACKS),
        *(f"{name}_{kind}" for kind in ("skewness", "kurtosis") for name in TRACK_NAMES),
        *(f"intonation_{kind}" for kind in ("mean", "std", *pitch_quantiles)),
        *(f"intonation_step_{kind}" for kind in ("mean", "jitter", "std", *pitch_quantiles)),
        *(
            f"timing_{kind}"
            for kind in (
                "voiced",
                "active",
                "log_active",
                "log_seconds",
                "voiced_starts",
                "switches",
            )
        ),
        *(f"timbre_{kind}_mel{band}" for kind in ("voiced", "unvoiced") for band in bands),
    )


BLOCKS: Mapping[str, Callable[[LowLevelDescriptors], Array]] = MappingProxyType(
    {
        "gaussian": gaussian,
        "modulation": modulation,
        "contour": contour,
        "percentiles": percentiles,
        "moments": moments,
        "intonation": intonation,
        "timing": timing,
        "timbre": timbre,
    }
)
"""The blocks of the set, in the order of its columns."""

VOICE_NAMES: tuple[str, ...] = (
    *log_gaussian_names(CLOUD_NAMES),
    *_modulation_names(),
    *_other_names(),
)
"""Names of the features, in the order of `voice`."""
