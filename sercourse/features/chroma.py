"""How the energy of a spectrum is spread over the twelve pitch classes of an octave.

These are librosa's chroma features, computed with NumPy alone. Voices are seldom in tune with
440 Hz, so the tuning is estimated first, from the frequencies of spectral peaks.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

PITCH_CLASSES: tuple[str, ...] = ("c", "c#", "d", "d#", "e", "f", "f#", "g", "g#", "a", "a#", "b")
N_CHROMA = len(PITCH_CLASSES)
CONCERT_A_HZ = 440.0
CENTRE_OCTAVE, OCTAVE_WIDTH = 5.0, 2.0  # filters weigh octaves by a Gaussian around about 500 Hz
PEAK_RANGE_HZ = (150.0, 4000.0)
PEAK_THRESHOLD = 0.1  # of the loudest bin of the frame
TUNING_STEP = 0.01  # [semitones]


def chroma(S: Array, *, sr: int) -> Array:
    """Return the share of each pitch class in the frames of a spectrogram.

    Parameters
    ----------
    S : ndarray, shape (n_frames, n_fft // 2 + 1)
        Magnitudes or powers.
    sr : int
        Sampling rate of the signal [Hz].

    Returns
    -------
    ndarray, shape (n_frames, 12)
        From C to B; the strongest class of a frame is 1. That of ``librosa.feature.chroma_stft``.

    References
    ----------
    Ellis, "Chroma feature analysis and synthesis", 2007; McFee et al., "librosa", 2015,
    doi:10.25080/Majora-7b98e3ed-003.

    Examples
    --------
    >>> S = np.zeros((1, 1025))
    >>> S[0, 41] = 1  # 441 Hz, an A
    >>> PITCH_CLASSES[int(chroma(S, sr=22_050).argmax())]
    'a'
    """
    n_fft = 2 * (S.shape[1] - 1)
    shares = S @ chroma_filters(sr=sr, n_fft=n_fft, tuning=tuning(S, sr=sr)).T
    largest = shares.max(axis=1, keepdims=True)
    return shares / np.where(largest < np.finfo(shares.dtype).tiny, 1, largest)


@lru_cache(maxsize=128)
def chroma_filters(*, sr: int, n_fft: int, tuning: float) -> NDArray[np.float64]:
    """Return how much each bin of a spectrum belongs to each pitch class.

    Parameters
    ----------
    sr : int
        Sampling rate [Hz].
    n_fft : int
        Points of the transform.
    tuning : float
        How far the A lies above 440 Hz [semitones].

    Returns
    -------
    ndarray, shape (12, n_fft // 2 + 1)
        Read-only; that of ``librosa.filters.chroma``.
    """
    frequency = np.arange(1, n_fft) * sr / n_fft
    semitone = N_CHROMA * octave(frequency, tuning=tuning)
    # The lowest bin has no pitch: it is put far enough below to belong to all classes alike.
    semitone = np.concatenate([[semitone[0] - 1.5 * N_CHROMA], semitone])
    width = np.concatenate([np.maximum(np.diff(semitone), 1.0), [1.0]])
    half = N_CHROMA // 2
    away = semitone - np.arange(N_CHROMA)[:, np.newaxis]
    away = np.remainder(away + half, N_CHROMA) - half
    weights = np.exp(-0.5 * (2 * away / width) ** 2)
    weights /= np.linalg.norm(weights, axis=0)
    weights *= np.exp(-0.5 * ((semitone / N_CHROMA - CENTRE_OCTAVE) / OCTAVE_WIDTH) ** 2)
    weights = np.roll(weights, -3, axis=0)[:, : n_fft // 2 + 1]  # octaves start at A, classes at C
    weights.flags.writeable = False
    return weights


def tuning(S: Array, *, sr: int) -> float:
    """Return how far the peaks of a spectrogram lie above the pitches of a tuned piano.

    Parameters
    ----------
    S : ndarray, shape (n_frames, n_fft // 2 + 1)
    sr : int
        Sampling rate of the signal [Hz].

    Returns
    -------
    float
        [semitones], from -0.5 to 0.5; the most frequent one among the louder half of the peaks, and
        0 where there is no peak. That of ``librosa.estimate_tuning``.
    """
    frequency, height = peaks(S, sr=sr)
    if not len(frequency):
        return 0.0
    loud = frequency[height >= np.median(height)]
    residual = np.mod(N_CHROMA * octave(loud), 1.0)
    residual = np.where(residual >= 0.5, residual - 1, residual)
    edges = np.linspace(-0.5, 0.5, round(1 / TUNING_STEP) + 1)
    return float(edges[np.histogram(residual, edges)[0].argmax()])


def peaks(S: Array, *, sr: int) -> tuple[Array, Array]:
    """Return frequency [Hz] and height of the spectral peaks, of all frames together.

    A parabola through a peak and its neighbours tells where between the bins it lies.

    References
    ----------
    Smith and Serra, "PARSHL: an analysis/synthesis program for non-harmonic sounds based on a
    sinusoidal representation", 1987.
    """
    n_fft = 2 * (S.shape[1] - 1)
    loud = S * (PEAK_THRESHOLD * S.max(axis=1, keepdims=True) < S)
    left, middle, right = loud[:, :-2], loud[:, 1:-1], loud[:, 2:]
    frequency = np.arange(1, n_fft // 2) * sr / n_fft
    in_range = (frequency >= PEAK_RANGE_HZ[0]) & (frequency < PEAK_RANGE_HZ[1])
    frame, bin_ = np.nonzero((middle > left) & (middle >= right) & in_range)
    left, middle, right = S[frame, bin_], S[frame, bin_ + 1], S[frame, bin_ + 2]
    slope, bend = (right - left) / 2, left + right - 2 * middle
    shift = np.where(np.abs(slope) < np.abs(bend), -slope / np.where(bend, bend, 1), 0.0)
    return (bin_ + 1 + shift) * sr / n_fft, middle + 0.5 * slope * shift


def octave(frequency: NDArray[Any], *, tuning: float = 0.0) -> NDArray[np.float64]:
    """Return octaves above the lowest A of a piano, tuned so many semitones above 440 Hz."""
    lowest = CONCERT_A_HZ * 2 ** (tuning / N_CHROMA) / 16
    return np.asarray(np.log2(frequency / lowest))
