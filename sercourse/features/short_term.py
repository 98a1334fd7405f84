"""Twenty short-term descriptors of a signal: one small function for each, vectorised over frames.

Frames last 25 ms and start every 10 ms (400 and 160 samples at 16 kHz); the signal is not padded,
so a last, incomplete frame is left out. Every descriptor is computed on the frame times a symmetric
Hamming window (`numpy.hamming`), and every logarithm and quotient that silence would spoil is
guarded by `EPS`, an absolute number: descriptors therefore suppose a signal in [-1, 1].

The choice of descriptors and their definitions follow Giannakopoulos and Pikrakis, *Introduction to
Audio Analysis*, 2014, doi 10.1016/C2012-0-03524-7; the cepstrum is that of Davis and Mermelstein,
1980, doi 10.1109/TASSP.1980.1163420.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sercourse import audio

Array = NDArray[np.float64]

EPS = 1e-7
"""Guard of the logarithms and quotients."""

FRAME_SECONDS = 0.025
HOP_SECONDS = 0.010
N_BLOCKS = 10
N_MELS = 40
N_MFCC = 12

SHORT_TERM_NAMES: tuple[str, ...] = (
    "zcr",
    "energy",
    "energy_entropy",
    "spectral_centroid",
    "spectral_spread",
    "spectral_entropy",
    "spectral_flux",
    "spectral_rolloff",
    *(f"mfcc_{i}" for i in range(1, N_MFCC + 1)),
)
"""Names of the columns of `short_term`, in order."""

# Frames worked on at once: enough for NumPy's overhead per call not to show, few enough for the
# arrays to stay in the processor's cache, for the allocator to reuse their memory (from 128 on it
# gives the pages back at every call, twice as slow), and for a clip of any length to need little
# memory.
_BLOCK = 96


def frame_length(*, sr: int) -> int:
    """Return the samples in a frame: 25 ms, to the nearest even number.

    Examples
    --------
    >>> frame_length(sr=16_000), frame_length(sr=22_050)
    (400, 552)
    """
    return 2 * round(FRAME_SECONDS * sr / 2)


def hop_length(*, sr: int) -> int:
    """Return the samples between the starts of two frames: 10 ms.

    Examples
    --------
    >>> hop_length(sr=16_000)
    160
    """
    return round(HOP_SECONDS * sr)


def frames(y: NDArray[Any], *, frame_length: int, hop_length: int) -> NDArray[Any]:
    """Cut a signal into overlapping frames, without copying and without padding.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
        Signal.
    frame_length, hop_length : int
        Length of a frame and distance between the starts of two [samples].

    Returns
    -------
    ndarray, shape (n_frames, frame_length)
        A read-only view of `y`, with ``n_frames = 1 + (n_samples - frame_length) // hop_length``.

    Raises
    ------
    ValueError
        If the signal is not one-dimensional or is shorter than one frame.

    Examples
    --------
    >>> frames(np.arange(8), frame_length=4, hop_length=3)
    array([[0, 1, 2, 3],
           [3, 4, 5, 6]])
    """
    _require_one_channel(y)
    if len(y) < frame_length:
        raise ValueError(
            f"the signal has {len(y)} samples, fewer than one frame of {frame_length}: "
            "give a longer clip"
        )
    return np.lib.stride_tricks.sliding_window_view(y, frame_length)[::hop_length]


def require_signal(y: NDArray[Any]) -> None:
    """Refuse what is not one channel of finite samples.

    Raises
    ------
    ValueError
        If it has another shape, or a sample is NaN or infinite.
    """
    _require_one_channel(y)
    finite = np.isfinite(y)
    if not finite.all():
        where = int(np.argmin(finite))
        raise ValueError(f"sample {where} of the signal is {y[where]}: give finite samples")


def require_clip(y: NDArray[Any], *, sr: int) -> None:
    """Refuse what is not one channel of finite samples, long enough to hold a word.

    Raises
    ------
    ValueError
        As `require_signal` does, or if it is shorter than 0.3 s.
    """
    require_signal(y)
    if len(y) < audio.MIN_SECONDS * sr:
        raise ValueError(
            f"the clip lasts {len(y) / sr:.2f} s: at least {audio.MIN_SECONDS} s is needed"
        )


def _require_one_channel(y: NDArray[Any]) -> None:
    if y.ndim != 1:
        raise ValueError(f"the signal has shape {y.shape}: give one channel, shape (n_samples,)")


def zero_crossing_rate(frames: Array) -> Array:
    """Return how often the signal changes sign, per pair of neighbouring samples.

    It is ``sum |sign(x[n]) - sign(x[n - 1])| / (2 (N - 1))``: a step to or from an exact zero
    counts half.

    Parameters
    ----------
    frames : ndarray, shape (n_frames, N)
        Frames; a positive window changes nothing.

    Returns
    -------
    ndarray, shape (n_frames,)
        From 0 to 1.

    Examples
    --------
    >>> zero_crossing_rate(np.array([[1.0, -1.0, 2.0], [1.0, 1.0, -3.0]]))
    array([1. , 0.5])
    """
    signs = (frames > 0).view(np.int8) - (frames < 0).view(np.int8)
    steps = np.abs(signs[:, 1:] - signs[:, :-1])
    return steps.sum(axis=1, dtype=np.int32) / (2.0 * (frames.shape[1] - 1))


def energy(frames: Array) -> Array:
    """Return the mean square of each frame.

    Parameters
    ----------
    frames : ndarray, shape (n_frames, N)
        Windowed frames.

    Returns
    -------
    ndarray, shape (n_frames,)

    Examples
    --------
    >>> energy(np.array([[1.0, -1.0], [0.0, 2.0]]))
    array([1., 2.])
    """
    return np.vecdot(frames, frames) / frames.shape[1]


def energy_entropy(frames: Array) -> Array:
    """Return the entropy [bit] of the energy over the tenths of each frame.

    Low where the energy is concentrated (an onset, a click), log2(10) = 3.32 where it is even.

    Parameters
    ----------
    frames : ndarray, shape (n_frames, N)
        Windowed frames, N at least 10.

    Returns
    -------
    ndarray, shape (n_frames,)

    Examples
    --------
    >>> energy_entropy(np.array([np.ones(40), np.eye(40)[0]])).round(3) + 0.0
    array([3.322, 0.   ])
    """
    return _block_entropy(frames)


def magnitude_spectrum(frames: Array) -> Array:
    """Return ``|FFT| / N`` of each frame at the first N / 2 bins.

    Parameters
    ----------
    frames : ndarray, shape (n_frames, N)
        Windowed frames, N even.

    Returns
    -------
    ndarray, shape (n_frames, N / 2)

    Examples
    --------
    >>> magnitude_spectrum(np.ones((1, 4)))
    array([[1., 0.]])
    """
    length = frames.shape[1]
    magnitudes = np.abs(np.fft.rfft(frames, axis=1)[:, : length // 2])
    magnitudes /= length
    return magnitudes


def spectral_centroid_spread(magnitudes: Array) -> tuple[Array, Array]:
    """Return the mean frequency of each spectrum and the standard deviation about it.

    Both are fractions of half the sampling rate. The bins k = 0 ... K - 1 stand at (k + 1) / K of
    it and weigh ``magnitude / (largest magnitude + EPS)``.

    Parameters
    ----------
    magnitudes : ndarray, shape (n_frames, K)
        Output of `magnitude_spectrum`.

    Returns
    -------
    centroid, spread : ndarray, shape (n_frames,)

    Examples
    --------
    >>> centroid, spread = spectral_centroid_spread(np.array([[0.0, 1.0, 0.0, 1.0]]))
    >>> centroid.round(4), spread.round(4)
    (array([0.75]), array([0.25]))
    """
    n_bins = magnitudes.shape[1]
    frequencies = np.arange(1, n_bins + 1) / n_bins
    # The division by the largest magnitude is taken out of the sums: it only scales their guard.
    guard = EPS * (magnitudes.max(axis=1) + EPS)
    total = magnitudes.sum(axis=1) + guard
    centroid = np.vecdot(magnitudes, frequencies) / total
    deviations = frequencies - centroid[:, None]
    deviations *= deviations
    return centroid, np.sqrt(np.vecdot(magnitudes, deviations) / total)


def spectral_entropy(magnitudes: Array) -> Array:
    """Return the entropy [bit] of the energy over the tenths of each spectrum.

    Parameters
    ----------
    magnitudes : ndarray, shape (n_frames, K)
        Output of `magnitude_spectrum`, K at least 10.

    Returns
    -------
    ndarray, shape (n_frames,)
        Low for a tone, up to log2(10) = 3.32 for white noise.

    Examples
    --------
    >>> spectral_entropy(np.array([np.ones(20), np.eye(20)[3]])).round(3) + 0.0
    array([3.322, 0.   ])
    """
    return _block_entropy(magnitudes)


def spectral_flux(magnitudes: Array) -> Array:
    """Return how much each normalised spectrum differs from the one before: a sum of squares.

    Parameters
    ----------
    magnitudes : ndarray, shape (n_frames, K)
        Output of `magnitude_spectrum`, consecutive frames.

    Returns
    -------
    ndarray, shape (n_frames,)
        0 for the first frame.

    References
    ----------
    Scheirer and Slaney, 1997, doi 10.1109/ICASSP.1997.596192.

    Examples
    --------
    >>> spectral_flux(np.array([[1.0, 1.0], [2.0, 2.0], [1.0, 0.0]])).round(3)
    array([0. , 0. , 0.5])
    """
    total = magnitudes.sum(axis=1, keepdims=True) + magnitudes.shape[1] * EPS
    shares = magnitudes / total
    flux = np.zeros(len(magnitudes))
    change = shares[1:] - shares[:-1]
    flux[1:] = np.vecdot(change, change)
    return flux


def spectral_rolloff(magnitudes: Array, *, fraction: float = 0.9) -> Array:
    """Return where `fraction` of each spectrum's energy is reached, as a share of the bins.

    Parameters
    ----------
    magnitudes : ndarray, shape (n_frames, K)
        Output of `magnitude_spectrum`.
    fraction : float
        Share of the energy, between 0 and 1.

    Returns
    -------
    ndarray, shape (n_frames,)
        The first k with ``cumsum(energy)[k] + EPS > fraction * total``, over K; 0 for silence.

    References
    ----------
    Scheirer and Slaney, 1997, doi 10.1109/ICASSP.1997.596192.

    Examples
    --------
    >>> spectral_rolloff(np.array([[1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]]))
    array([0.5, 0. ])
    """
    cumulated = np.cumsum(magnitudes * magnitudes, axis=1)
    threshold = fraction * cumulated[:, -1:] - EPS
    return (cumulated > threshold).argmax(axis=1) / magnitudes.shape[1]


def mfcc(frames: Array, *, sr: int, n_mfcc: int = N_MFCC) -> Array:
    """Return the mel-frequency cepstral coefficients 1 ... n_mfcc of each frame.

    Power spectrum of the frame padded to a power of two, over that power; 40 triangular filters;
    ``20 log10``; orthonormal DCT-II. The coefficient 0, the mean level, is left out.

    Parameters
    ----------
    frames : ndarray, shape (n_frames, N)
        Windowed frames.
    sr : int
        Sampling rate [Hz].
    n_mfcc : int
        Number of coefficients, at most 39.

    Returns
    -------
    ndarray, shape (n_frames, n_mfcc) [dB]

    References
    ----------
    Davis and Mermelstein, 1980, doi 10.1109/TASSP.1980.1163420.

    Examples
    --------
    >>> mfcc(np.zeros((2, 400)), sr=16_000).shape
    (2, 12)
    """
    n_frames, length = frames.shape
    n_fft = 1 << (length - 1).bit_length()  # 512 for the 400 samples at 16 kHz
    padded = np.zeros((n_frames, n_fft))  # faster than letting rfft pad each row
    padded[:, :length] = frames
    power = _power(np.fft.rfft(padded, axis=1)) / n_fft
    bands = _small_products(power, mel_filters(sr=sr, n_fft=n_fft).T)
    bands[bands == 0] = np.finfo(float).eps
    level = 20 * np.log10(bands)
    # The coefficients kept do not see a constant. Without it silence gives zeros, not round-off.
    level -= level[:, :1]
    return level @ dct_matrix(n=N_MELS, n_kept=n_mfcc + 1)[:, 1:]


@lru_cache(maxsize=8)
def dct_matrix(*, n: int, n_kept: int) -> NDArray[np.float64]:
    """Return the first columns of the orthonormal cosine transform (DCT-II) of `n` points.

    Parameters
    ----------
    n : int
        Points that are transformed.
    n_kept : int
        Coefficients that are kept, `n` at most.

    Returns
    -------
    ndarray, shape (n, n_kept)
        Read-only; ``c = x @ dct_matrix`` are the coefficients, ``c @ dct_matrix.T`` the part of x
        that they describe.

    Examples
    --------
    >>> C = dct_matrix(n=8, n_kept=3)
    >>> bool(np.allclose(C.T @ C, np.eye(3)))
    True
    """
    angle = np.pi * np.arange(n_kept) * (np.arange(n)[:, np.newaxis] + 0.5) / n
    basis = np.sqrt(2 / n) * np.cos(angle)
    basis[:, 0] /= np.sqrt(2)
    basis.flags.writeable = False
    return basis


@lru_cache(maxsize=16)
def mel_filters(*, sr: int, n_fft: int, n_mels: int = N_MELS) -> Array:
    """Return triangular filters whose edges are equally spaced on the mel scale.

    The scale is ``2595 log10(1 + f / 700)``, from 0 to sr / 2; an edge at f lies on the bin
    ``floor((n_fft + 1) f / sr)``, and a filter is 1 at its middle edge.

    Returns
    -------
    ndarray, shape (n_mels, n_fft / 2 + 1)
        Read-only, for it is made once and shared.

    Examples
    --------
    >>> bank = mel_filters(sr=16_000, n_fft=512)
    >>> bank.shape, bank[0, :5]
    ((40, 257), array([0., 1., 0., 0., 0.]))
    """
    mel = np.linspace(0, 2595 * np.log10(1 + sr / 2 / 700), n_mels + 2)
    edges = np.floor((n_fft + 1) * 700 * (10 ** (mel / 2595) - 1) / sr)
    left, middle, right = (edges[i : i + n_mels, None] for i in range(3))
    bins = np.arange(n_fft // 2 + 1)
    # At a low rate neighbouring edges fall on one bin: max() avoids 0 / 0 where a side is empty.
    rising = (bins - left) / np.maximum(middle - left, 1)
    falling = (right - bins) / np.maximum(right - middle, 1)
    inside = (bins >= left) & (bins < right)
    bank = np.where(inside, np.where(bins < middle, rising, falling), 0.0)
    bank.flags.writeable = False
    return bank


def short_term(y: NDArray[Any], *, sr: int) -> Array:
    """Return the twenty descriptors of each frame of a signal.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
        Signal in [-1, 1].
    sr : int
        Sampling rate [Hz].

    Returns
    -------
    ndarray, shape (n_frames, 20)
        Columns as in `SHORT_TERM_NAMES`.

    Raises
    ------
    ValueError
        If the signal is shorter than one frame, has more than one channel or holds NaN or infinity.

    Examples
    --------
    >>> second = np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000)
    >>> table = short_term(second, sr=16_000)
    >>> table.shape
    (98, 20)
    >>> table[0, SHORT_TERM_NAMES.index("zcr")].round(2)  # 1000 periods of 16 samples, 2 crossings
    np.float64(0.12)
    """
    y = np.asarray(y)
    require_signal(y)
    length = frame_length(sr=sr)
    framed = frames(y, frame_length=length, hop_length=hop_length(sr=sr))
    window = _window(length)
    table = np.empty((len(framed), len(SHORT_TERM_NAMES)))
    for start in range(0, len(framed), _BLOCK):
        before = min(start, 1)  # the flux of a block's first frame needs the frame before it
        block = framed[start - before : start + _BLOCK] * window
        table[start : start + _BLOCK] = _describe(block, sr=sr)[before:]
    return table


def _describe(windowed: Array, *, sr: int) -> Array:
    magnitudes = magnitude_spectrum(windowed)
    table = np.empty((len(windowed), len(SHORT_TERM_NAMES)))
    table[:, 0] = zero_crossing_rate(windowed)
    table[:, 1] = energy(windowed)
    table[:, 2] = energy_entropy(windowed)
    table[:, 3], table[:, 4] = spectral_centroid_spread(magnitudes)
    table[:, 5] = spectral_entropy(magnitudes)
    table[:, 6] = spectral_flux(magnitudes)
    table[:, 7] = spectral_rolloff(magnitudes)
    table[:, 8:] = mfcc(windowed, sr=sr)
    return table


def _block_entropy(values: Array) -> Array:
    """Return the entropy of the squares over contiguous blocks; a remainder is left out."""
    length = values.shape[1] // N_BLOCKS
    blocks = values[:, : N_BLOCKS * length].reshape(len(values), N_BLOCKS, length)
    shares = np.vecdot(blocks, blocks)
    shares /= np.vecdot(values, values)[:, None] + EPS
    return -np.vecdot(shares, np.log2(shares + EPS))


def _power(spectrum: NDArray[np.complex128]) -> Array:
    power = spectrum.real * spectrum.real
    power += spectrum.imag * spectrum.imag
    return power


def _small_products(rows: Array, matrix: Array) -> Array:
    """Return ``rows @ matrix``, a few rows at a time.

    From 2^18 multiplications on OpenBLAS wakes its threads. For products as small as ours that
    costs many times what it gains, above all where other processes want the cores.
    """
    step = max(1, 250_000 // matrix.size)
    product = np.empty((len(rows), matrix.shape[1]))
    for start in range(0, len(rows), step):
        np.matmul(rows[start : start + step], matrix, out=product[start : start + step])
    return product


@lru_cache(maxsize=16)
def _window(length: int) -> Array:
    window = np.hamming(length)
    window.flags.writeable = False
    return window
