"""Means over time of what librosa measures by default, in an excerpt of 2.5 s: 162 numbers.

They are the features of github.com/Aaka3021/Speech-Emotion-Recognition--1 (2021), and of many a
notebook like it. They are computed here with NumPy alone; a test compares them with librosa's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sercourse.features import mfcc, short_term, spectrogram
from sercourse.features.chroma import PITCH_CLASSES, chroma

Array = NDArray[np.float64]

OFFSET, SECONDS = 0.6, 2.5
N_MFCC, N_MELS = 20, 128
SMALLEST_CROSSING = 1e-10  # values between plus and minus this one count as zero

EXCERPT_MEANS_NAMES: tuple[str, ...] = (
    "zero_crossings",
    *(f"chroma_{name}" for name in PITCH_CLASSES),
    *(f"mfcc_{k}" for k in range(N_MFCC)),
    "rms",
    *(f"mel_{k}" for k in range(1, N_MELS + 1)),
)
"""Names of the 162 features, in order."""


def excerpt_means(y: NDArray[Any], *, sr: int) -> Array:
    """Return the means over time of 162 descriptors, of 2.5 s from 0.6 s on.

    They are the rate of zero crossings, 12 pitch classes of the magnitude spectrum, 20 cepstral
    coefficients, the effective value and the power in 128 mel bands, of frames of 2048 samples
    every 512. A shorter clip is not padded: its means are over what there is.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
        Mono signal; its scale counts.
    sr : int
        Its sampling rate [Hz]; frames are in samples, meant for 22050.

    Returns
    -------
    ndarray, shape (162,)
        In the order of `EXCERPT_MEANS_NAMES`.

    Raises
    ------
    ValueError
        If the clip is shorter than 0.9 s, silent from 0.6 s on, or not finite.

    Examples
    --------
    >>> noise = np.random.default_rng(0).uniform(-0.1, 0.1, 2 * 22_050)
    >>> measured = excerpt_means(noise, sr=22_050)
    >>> dict(zip(EXCERPT_MEANS_NAMES, measured.round(1), strict=True))["zero_crossings"]
    np.float64(0.5)
    """
    y = spectrogram.excerpt(y, sr=sr, offset=OFFSET, seconds=SECONDS)
    power = mfcc.power_spectrogram(y)
    filters = spectrogram.mel_filters(sr=sr, n_fft=mfcc.N_FFT, n_mels=N_MELS, fmin=0.0, fmax=sr / 2)
    tracks = [
        zero_crossing_rate(y)[:, np.newaxis],
        chroma(np.sqrt(power), sr=sr),
        mfcc.mfcc(power, sr=sr, n_mfcc=N_MFCC),
        rms(y)[:, np.newaxis],
        power @ filters.T,
    ]
    return np.concatenate([track.mean(axis=0) for track in tracks])


def zero_crossing_rate(y: Array) -> Array:
    """Return the share of samples at which the signal changes its sign, (n_frames,).

    The first and the last sample go on beyond the ends, as in
    ``librosa.feature.zero_crossing_rate``.

    Examples
    --------
    >>> tone = np.sin(2 * np.pi * 1000 * (np.arange(22_050) + 0.5) / 22_050)
    >>> round(float(zero_crossing_rate(tone)[20]), 3)  # two in each period
    0.091
    """
    negative = _frames(y, mode="edge") < -SMALLEST_CROSSING
    return (negative[:, 1:] != negative[:, :-1]).sum(axis=1) / mfcc.N_FFT


def rms(y: Array) -> Array:
    """Return the root mean square of each frame, (n_frames,), with zeros beyond the ends."""
    return np.sqrt(np.mean(_frames(y, mode="constant") ** 2, axis=1))


def _frames(y: Array, *, mode: Any) -> Array:
    """Return frames that are centred on every 512th sample."""
    padded = np.pad(y, mfcc.N_FFT // 2, mode=mode)
    return short_term.frames(padded, frame_length=mfcc.N_FFT, hop_length=mfcc.HOP)
