"""Other pictures of the same 3 s segments: cepstra and chroma, in place of mel bands.

They are cut, framed and laid out as `spectrogram.mel_segments` does it, so that a network sees the
same moments of a clip and nothing but the vertical axis differs. Everything needs NumPy alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sercourse.features import chroma, short_term, spectrogram

MFCC_SEGMENTS_COEFFICIENTS = 40
MFCC_SEGMENTS_SHAPE = (*spectrogram.MEL_SEGMENTS_SHAPE[:2], MFCC_SEGMENTS_COEFFICIENTS)
MFCC_SEGMENTS_NAMES: tuple[str, ...] = tuple(f"mfcc_{k}" for k in range(MFCC_SEGMENTS_COEFFICIENTS))
"""Names of the coefficients, the last axis of `mfcc_segments`."""

CHROMA_SEGMENTS_SHAPE = (*spectrogram.MEL_SEGMENTS_SHAPE[:2], chroma.N_CHROMA)
CHROMA_SEGMENTS_NAMES = chroma.PITCH_CLASSES
"""Names of the pitch classes, the last axis of `chroma_segments`."""


def mfcc_segments(y: NDArray[Any], *, sr: int) -> NDArray[np.float32]:
    """Return the segments of a clip as cepstra: the cosine transform of each frame's mel bands.

    The transform only turns the bands into other directions, so that numbers stay as large as they
    were. The first 40 of 128 coefficients are kept: the envelope of the spectrum, without the
    ripple that the pitch puts on it.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
        Mono signal, at least 0.3 s long; its scale does not matter.
    sr : int
        Its sampling rate [Hz]; frames are in samples, meant for 44100.

    Returns
    -------
    ndarray, shape (4, 130, 40)
        Segments, frames, coefficients; -100 throughout where a segment is absent, which no segment
        is that is there: bands at most 80 dB apart make no frame whose coefficients are all so low.

    Raises
    ------
    ValueError
        If the clip is too short, silent, or not finite.

    References
    ----------
    Davis and Mermelstein, "Comparison of parametric representations for monosyllabic word
    recognition in continuously spoken sentences", 1980, doi:10.1109/TASSP.1980.1163420.

    Examples
    --------
    >>> noise = np.random.default_rng(0).uniform(-0.1, 0.1, 5 * 44_100)
    >>> X = mfcc_segments(noise, sr=44_100)
    >>> X.shape, (X > -100).any(axis=(1, 2)).tolist()
    ((4, 130, 40), [True, True, False, False])
    """
    level = spectrogram.mel_segments(y, sr=sr)
    there = level.max(axis=(1, 2)) > spectrogram.MEL_SEGMENTS_FLOOR_DB
    basis = short_term.dct_matrix(n=level.shape[-1], n_kept=MFCC_SEGMENTS_COEFFICIENTS)
    return spectrogram.segments_row(level[there] @ basis.astype(level.dtype))


def chroma_segments(y: NDArray[Any], *, sr: int) -> NDArray[np.float32]:
    """Return the segments of a clip as chroma: how strong each of the twelve pitch classes is.

    Octaves are folded onto each other, and each frame is divided by its strongest class: what is
    left is melody, neither loudness nor timbre. No voice is tuned, so A is 440 Hz for all.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
        Mono signal, at least 0.3 s long; its scale does not matter.
    sr : int
        Its sampling rate [Hz]; frames are in samples, meant for 44100.

    Returns
    -------
    ndarray, shape (4, 130, 12)
        Segments, frames, pitch classes, from 0 to 1; -100 throughout where a segment is absent.

    Raises
    ------
    ValueError
        If the clip is too short, silent, or not finite.

    References
    ----------
    Ellis, "Chroma feature analysis and synthesis", 2007,
    https://www.ee.columbia.edu/~dpwe/resources/matlab/chroma-ansyn/.

    Examples
    --------
    >>> tone = np.sin(2 * np.pi * 440 * np.arange(4 * 44_100) / 44_100)
    >>> X = chroma_segments(tone, sr=44_100)
    >>> X.shape, CHROMA_SEGMENTS_NAMES[X[0, 60].argmax()]
    ((4, 130, 12), 'a')
    """
    classes = chroma.chroma_filters(sr=sr, n_fft=spectrogram.MEL_SEGMENTS_N_FFT, tuning=0.0)
    strength = np.stack([each @ classes.T for each in spectrogram.segment_powers(y, sr=sr)])
    strongest = strength.max(axis=-1, keepdims=True)
    # Where a frame is silent, all classes stay at nothing.
    return spectrogram.segments_row(strength / np.maximum(strongest, np.finfo(np.float32).tiny))
