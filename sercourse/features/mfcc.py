"""Mel-frequency cepstra as a picture: the input of an ancestor's network.

The network is that of Kunal Gehlot's Speech Emotion Recognition report. Its coefficients are
librosa's with all defaults; they are computed here with NumPy alone, and a test compares them value
by value.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sercourse import audio
from sercourse.features import short_term, spectrogram

Array = NDArray[np.floating]

N_FFT, HOP = 2048, 512  # [samples]
N_MELS = 128
TOP_DB = 80.0

IMAGE_OFFSET, IMAGE_SECONDS = 0.5, 2.5
IMAGE_COEFFICIENTS = 39
IMAGE_SHAPE = (216, IMAGE_COEFFICIENTS)
IMAGE_NAMES: tuple[str, ...] = tuple(f"mfcc_{k}" for k in range(IMAGE_COEFFICIENTS))
"""Names of the coefficients, the last axis of `mfcc_image`."""


def mfcc(power: Array, *, sr: int, n_mfcc: int) -> Array:
    """Return mel-frequency cepstral coefficients of a power spectrogram.

    128 mel bands up to half the rate, in decibels against 1 and not further than 80 dB below the
    loudest, go through an orthonormal cosine transform, whose first coefficients are kept.

    Parameters
    ----------
    power : ndarray, shape (n_frames, n_fft // 2 + 1)
    sr : int
        Sampling rate of the signal [Hz].
    n_mfcc : int
        From 1 to 128.

    Returns
    -------
    ndarray, shape (n_frames, n_mfcc)
        Those of ``librosa.feature.mfcc`` with its default arguments.

    References
    ----------
    Davis and Mermelstein, "Comparison of parametric representations for monosyllabic word
    recognition in continuously spoken sentences", 1980, doi:10.1109/TASSP.1980.1163420.
    """
    n_fft = 2 * (power.shape[1] - 1)
    mel = spectrogram.mel_filters(sr=sr, n_fft=n_fft, n_mels=N_MELS, fmin=0.0, fmax=sr / 2)
    level = spectrogram.power_to_db(power @ mel.T, reference=1.0, top_db=TOP_DB)
    return level @ short_term.dct_matrix(n=N_MELS, n_kept=n_mfcc)


def mfcc_image(y: NDArray[Any], *, sr: int) -> NDArray[np.float32]:
    """Return the input of the ancestor's network: 39 coefficients over 2.5 s, from 0.5 s on.

    Frames of 2048 samples under a Hann window, centred, follow each other every 512. A clip that
    ends before 3 s is followed by digital silence.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
        Mono signal; its scale counts, in the first coefficient.
    sr : int
        Its sampling rate [Hz]; frames are in samples, meant for 44100.

    Returns
    -------
    ndarray, shape (216, 39)
        Frames, coefficients.

    Raises
    ------
    ValueError
        If the clip is shorter than 0.8 s, silent from 0.5 s on, or not finite.

    Examples
    --------
    >>> noise = np.random.default_rng(0).uniform(-0.1, 0.1, 3 * 44_100)
    >>> mfcc_image(noise, sr=44_100).shape
    (216, 39)
    """
    y = spectrogram.excerpt(y, sr=sr, offset=IMAGE_OFFSET, seconds=IMAGE_SECONDS)
    y = audio.pad(y, length=round(IMAGE_SECONDS * sr))
    return mfcc(power_spectrogram(y), sr=sr, n_mfcc=IMAGE_COEFFICIENTS).astype(np.float32)


def power_spectrogram(y: NDArray[Any]) -> Array:
    """Return the power spectrogram as librosa's features make it unless told otherwise."""
    return spectrogram.power_spectrogram(
        y, frame_length=N_FFT, hop_length=HOP, n_fft=N_FFT, window="hann", centred=True
    )
