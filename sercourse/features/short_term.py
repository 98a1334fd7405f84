"""Short-term descriptors of a signal: twenty for each frame, vectorised over frames.

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

FRAME_SECONDS, HOP_SECONDS = 0.025, 0.010
N_BLOCKS = 10
N_MELS, N_MFCC = 40, 12
ACTIVE_DB = -30.0  # below the loudest frame of the clip
MARGIN_SECONDS = 0.05

SHORT_TERM_NAMES: tuple[str, ...] = (
    *("zcr", "energy", "energy_entropy", "spectral_centroid", "spectral_spread"),
    *("spectral_entropy", "spectral_flux", "spectral_rolloff"),
    *(f"mfcc_{i}" for i in range(1, N_MFCC + 1)),
)
"""Names of the columns of `short_term`, in order."""

# Frames worked on at once: few enough for the allocator to reuse their memory, and for clips of any
# length to need little.
_BLOCK = 48


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
        If the signal is shorter than one frame.

    Examples
    --------
    >>> frames(np.arange(8), frame_length=4, hop_length=3)
    array([[0, 1, 2, 3],
           [3, 4, 5, 6]])
    """
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
    if y.ndim != 1:
        raise ValueError(f"the signal has shape {y.shape}: give one channel, shape (n_samples,)")
    finite = np.isfinite(y)
    if not finite.all():
        where = int(np.argmin(finite))
        raise ValueError(f"sample {where} of the signal is {y[where]}: give finite samples")


def require_clip(y: NDArray[Any], *, sr: int, offset: float = 0.0) -> None:
    """Refuse what is not one channel of finite samples, long enough to hold a word.

    Raises
    ------
    ValueError
        As `require_signal` does, or if fewer than 0.3 s are left after the offset [s].
    """
    require_signal(y)
    if len(y) < (shortest := audio.MIN_SECONDS + offset) * sr:
        after = f", as it is read from {offset:g} s on" if offset else ""
        raise ValueError(
            f"the clip lasts {len(y) / sr:.2f} s: at least {shortest:g} s is needed{after}"
        )


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
    require_clip(y, sr=sr)
    y = audio.normalize_peak(y, peak=0.5)
    if not y.any():
        raise ValueError("the clip is silent: no feature can be computed; record it again")
    length, hop = frame_length(sr=sr), hop_length(sr=sr)
    level = energy(frames(y, frame_length=length, hop_length=hop))
    loud = np.flatnonzero(level > level.max() * 10 ** (ACTIVE_DB / 10))
    margin = round(MARGIN_SECONDS * sr)
    return y[max(0, loud[0] * hop - margin) : loud[-1] * hop + length + margin]


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


def block_entropy(values: Array) -> Array:
    """Return the entropy [bit] of the energy over the tenths of each frame or spectrum.

    Of frames it is low where the energy is concentrated (an onset, a click), of spectra for a
    tone; it is log2(10) = 3.32 where energy is even. A remainder of the division is left out.

    Parameters
    ----------
    values : ndarray, shape (n_frames, N)
        Windowed frames, or the output of `magnitude_spectrum`; N at least 10.

    Returns
    -------
    ndarray, shape (n_frames,)

    Examples
    --------
    >>> block_entropy(np.array([np.ones(40), np.eye(40)[0]])).round(3) + 0.0
    array([3.322, 0.   ])
    """
    length = values.shape[1] // N_BLOCKS
    blocks = values[:, : N_BLOCKS * length].reshape(len(values), N_BLOCKS, length)
    shares = np.vecdot(blocks, blocks) / (np.vecdot(values, values)[:, np.newaxis] + EPS)
    return -np.vecdot(shares, np.log2(shares + EPS))


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
    return np.abs(np.fft.rfft(frames, axis=1)[:, : length // 2]) / length


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
    deviations = frequencies - centroid[:, np.newaxis]
    return centroid, np.sqrt(np.vecdot(magnitudes, deviations**2) / total)


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
    change = np.diff(magnitudes / total, axis=0)
    return np.concatenate([np.zeros(1), np.vecdot(change, change)])


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
    n_fft = 1 << (frames.shape[1] - 1).bit_length()  # 512 for the 400 samples at 16 kHz
    spectrum = np.fft.rfft(frames, n_fft, axis=1)
    power = (spectrum.real**2 + spectrum.imag**2) / n_fft
    # A few rows at a time: from 2^18 multiplications on OpenBLAS wakes threads, which costs more.
    bank = mel_filters(sr=sr, n_fft=n_fft).T
    parts = np.array_split(power, len(power) // 24 + 1)
    bands = np.concatenate([part @ bank for part in parts])
    level = 20 * np.log10(np.where(bands == 0, np.finfo(float).eps, bands))
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
    basis.setflags(write=False)
    return basis


@lru_cache(maxsize=16)
def mel_filters(*, sr: int, n_fft: int, n_mels: int = N_MELS) -> Array:
    """Return triangular filters whose edges are equally spaced on the mel scale.

    The scale is that of `mel_edges`, from 0 to sr / 2; an edge at f lies on the bin
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
    edges = np.floor((n_fft + 1) * mel_edges(0.0, sr / 2, n_mels=n_mels) / sr)
    bank = triangles(edges, np.arange(n_fft // 2 + 1))
    bank.setflags(write=False)
    return bank


def mel_edges(fmin: float, fmax: float, *, n_mels: int) -> Array:
    """Return n_mels + 2 frequencies [Hz], equally spaced in ``2595 log10(1 + f / 700)``.

    Examples
    --------
    >>> mel_edges(0, 8000, n_mels=2).round()
    array([   0.,  921., 3056., 8000.])
    """
    low, high = (2595 * np.log10(1 + f / 700) for f in (fmin, fmax))
    return 700 * (10 ** (np.linspace(low, high, n_mels + 2) / 2595) - 1)


def triangles(edges: Array, points: NDArray[Any]) -> Array:
    """Return filters (n_edges - 2, n_points) that rise from an edge to the next and fall again.

    Examples
    --------
    >>> triangles(np.array([0.0, 2.0, 3.0]), np.arange(4))
    array([[0. , 0.5, 1. , 0. ]])
    """
    peak = [0.0, 1.0, 0.0]
    return np.array([np.interp(points, edges[k : k + 3], peak) for k in range(len(edges) - 2)])


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
    window = np.hamming(length)
    table = np.empty((len(framed), len(SHORT_TERM_NAMES)))
    for start in range(0, len(framed), _BLOCK):
        before = min(start, 1)  # the flux of a block's first frame needs the frame before it
        block = framed[start - before : start + _BLOCK] * window
        magnitudes = magnitude_spectrum(block)
        columns = [
            zero_crossing_rate(block),
            energy(block),
            block_entropy(block),
            *spectral_centroid_spread(magnitudes),
            block_entropy(magnitudes),
            spectral_flux(magnitudes),
            spectral_rolloff(magnitudes),
            mfcc(block, sr=sr),
        ]
        table[start : start + _BLOCK] = np.column_stack(columns)[before:]
    return table
