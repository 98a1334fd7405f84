"""Augmentation of a batch of spectrograms: every clip gets its own draw, all of them at once.

A batch `X` holds bands in dB, shape (n_clips, n_frames, n_bands). All functions are fast enough to
draw anew in each epoch.
"""

from __future__ import annotations

import math

import numpy as np

COLOUR_DB = 24.0
"""Noise of `mix_noise` rises or falls by up to so much from the lowest to the highest band [dB]."""


def vtlp(X: np.ndarray, *, rng: np.random.Generator, largest: float = 0.1) -> np.ndarray:
    """Lengthen or shorten each speaker's vocal tract: bands stretched by one factor a clip.

    Band `b` is read, linearly between its neighbours, from ``factor * b``; beyond the highest band
    that band is repeated.

    Parameters
    ----------
    X : ndarray, shape (n_clips, n_frames, n_bands)
        Bands [dB], on any scale of frequency.
    rng : np.random.Generator
    largest : float
        Factors are drawn from 1 - `largest` to 1 + `largest`, below 1.

    Returns
    -------
    ndarray, shape (n_clips, n_frames, n_bands)

    References
    ----------
    Jaitly and Hinton, "Vocal tract length perturbation (VTLP) improves speech recognition", 2013,
    ICML workshop on deep learning for audio, speech and language processing.

    Examples
    --------
    >>> X = np.array([[[0.0, 10.0, 20.0, 30.0]]])
    >>> vtlp(X, rng=np.random.default_rng(0), largest=0.2).round(1)
    array([[[ 0. , 10.5, 21.1, 30. ]]])
    """
    band = np.arange(X.shape[2])
    factors = rng.uniform(1 - largest, 1 + largest, size=(len(X), 1))
    read_from = np.minimum(factors * band, band[-1])
    # Hat functions: column b of a clip's matrix shares band b among the two that it is read from.
    weights = np.maximum(0, 1 - np.abs(read_from[:, np.newaxis, :] - band[:, np.newaxis]))
    return np.matmul(X, weights.astype(X.dtype))


def freq_mask(X: np.ndarray, *, rng: np.random.Generator, n: int, widest: int) -> np.ndarray:
    """Hide runs of bands in each clip behind the clip's mean.

    Parameters
    ----------
    X : ndarray, shape (n_clips, n_frames, n_bands)
    rng : np.random.Generator
    n : int
        Masks a clip; they may overlap.
    widest : int
        Widths are drawn from 0 to so many bands.

    Returns
    -------
    ndarray, shape (n_clips, n_frames, n_bands)

    References
    ----------
    Park et al., "SpecAugment: a simple data augmentation method for automatic speech recognition",
    2019, doi:10.21437/Interspeech.2019-2680.

    Examples
    --------
    >>> X = np.arange(8.0).reshape(1, 2, 4)
    >>> freq_mask(X, rng=np.random.default_rng(2), n=1, widest=2)
    array([[[3.5, 3.5, 2. , 3. ],
            [3.5, 3.5, 6. , 7. ]]])
    """
    hidden = _spans(len(X), X.shape[2], rng=rng, n=n, widest=widest)
    return np.where(hidden[:, np.newaxis, :], X.mean(axis=(1, 2), keepdims=True), X)


def time_mask(X: np.ndarray, *, rng: np.random.Generator, n: int, widest: int) -> np.ndarray:
    """Hide runs of frames in each clip behind the clip's mean.

    Parameters
    ----------
    X : ndarray, shape (n_clips, n_frames, n_bands)
    rng : np.random.Generator
    n : int
        Masks a clip; they may overlap.
    widest : int
        Widths are drawn from 0 to so many frames.

    Returns
    -------
    ndarray, shape (n_clips, n_frames, n_bands)

    References
    ----------
    Park et al., 2019, doi:10.21437/Interspeech.2019-2680.

    Examples
    --------
    >>> X = np.arange(6.0).reshape(1, 3, 2)
    >>> time_mask(X, rng=np.random.default_rng(1), n=1, widest=2)[0]
    array([[0. , 1. ],
           [2.5, 2.5],
           [4. , 5. ]])
    """
    hidden = _spans(len(X), X.shape[1], rng=rng, n=n, widest=widest)
    return np.where(hidden[:, :, np.newaxis], X.mean(axis=(1, 2), keepdims=True), X)


def mix_noise(
    X: np.ndarray, *, rng: np.random.Generator, share: float, level: tuple[float, float]
) -> np.ndarray:
    """Add a steady noise of a random colour to some of the clips, as power adds up.

    The noise is a straight line over the bands [dB], the same in all frames.

    Parameters
    ----------
    X : ndarray, shape (n_clips, n_frames, n_bands)
        Power of each band [dB].
    rng : np.random.Generator
    share : float
        Probability that a clip gets noise, from 0 to 1.
    level : tuple of float
        Lowest and highest mean power of the noise above that of the clip [dB]; ``(-30, -15)`` gives
        signal-to-noise ratios from 15 to 30 dB.

    Returns
    -------
    ndarray, shape (n_clips, n_frames, n_bands)

    Examples
    --------
    >>> X = np.zeros((1, 2, 1))
    >>> mix_noise(X, rng=np.random.default_rng(0), share=1, level=(0, 0)).round(2).ravel()
    array([3.01, 3.01])
    """
    chosen = rng.random(len(X)) < share
    decibel = rng.uniform(*level, size=(len(X), 1, 1))[chosen]
    colour = rng.uniform(-COLOUR_DB, COLOUR_DB, size=(len(X), 1, 1))[chosen]
    noise = _power(colour * np.linspace(-0.5, 0.5, X.shape[2]))
    power = _power(X[chosen])
    loudness = _power(decibel) * power.mean(axis=(1, 2), keepdims=True)
    power += (noise / noise.mean(axis=2, keepdims=True) * loudness).astype(X.dtype)
    mixed = X.copy()
    mixed[chosen] = 10 * np.log10(power, out=power)
    return mixed


def spectral_tilt(X: np.ndarray, *, rng: np.random.Generator, largest: float = 6.0) -> np.ndarray:
    """Give each clip another microphone: highs lifted and lows lowered on a line, or the reverse.

    Parameters
    ----------
    X : ndarray, shape (n_clips, n_frames, n_bands)
        Bands [dB].
    rng : np.random.Generator
    largest : float
        The lowest and the highest band move by up to so much, in opposite directions [dB].

    Returns
    -------
    ndarray, shape (n_clips, n_frames, n_bands)
        The mean of each frame is kept.

    Examples
    --------
    >>> spectral_tilt(np.zeros((1, 1, 3)), rng=np.random.default_rng(0), largest=6).round(2)
    array([[[-1.64,  0.  ,  1.64]]])
    """
    ends = rng.uniform(-largest, largest, size=(len(X), 1, 1))
    lines = ends * np.linspace(-1, 1, X.shape[2])
    return X + lines.astype(X.dtype)


def mixup(
    X: np.ndarray, T: np.ndarray, *, rng: np.random.Generator, alpha: float
) -> tuple[np.ndarray, np.ndarray]:
    """Blend each clip and its target with another of the batch.

    Parameters
    ----------
    X : ndarray, shape (n_clips, ...)
    T : ndarray, shape (n_clips, n_labels)
        Targets: one 1 a row, or probabilities; of any float dtype.
    rng : np.random.Generator
    alpha : float
        Each clip's share is drawn from a beta distribution with this for both parameters: near 0
        most clips stay almost alone, at 1 all shares are alike.

    Returns
    -------
    X, T : ndarray
        Rows of `T` sum to what they did.

    References
    ----------
    Zhang et al., "mixup: beyond empirical risk minimization", 2018, ICLR, arXiv:1710.09412.

    Examples
    --------
    >>> X, T = mixup(np.array([[0.0], [1.0]]), np.eye(2), rng=np.random.default_rng(0), alpha=1)
    >>> bool(np.allclose(X.ravel(), T[:, 1])), T.sum(axis=1)
    (True, array([1., 1.]))
    """
    other = rng.permutation(len(X))
    shares = rng.beta(alpha, alpha, size=len(X))
    return _blend(X, other, shares), _blend(T, other, shares)


def _blend(A: np.ndarray, other: np.ndarray, shares: np.ndarray) -> np.ndarray:
    own = shares.reshape(-1, *(1,) * (A.ndim - 1)).astype(A.dtype)
    return own * A + (1 - own) * A[other]


def _spans(n_clips: int, size: int, *, rng: np.random.Generator, n: int, widest: int) -> np.ndarray:
    """Return which of `size` places of each clip lie in one of its `n` random spans."""
    widths = rng.integers(0, widest, size=(n_clips, n, 1), endpoint=True)
    starts = rng.integers(0, size - widths, endpoint=True)
    place = np.arange(size)
    inside: np.ndarray = (place >= starts) & (place < starts + widths)
    return np.logical_or.reduce(inside, axis=1)


def _power(decibel: np.ndarray) -> np.ndarray:
    return np.exp(decibel * (math.log(10) / 10))  # many times as fast as 10 ** x
