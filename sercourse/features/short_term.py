"""Short-term descriptors of a signal, twenty for each frame, and statistics of them over frames.

Frames last 25 ms and start every 10 ms (400 and 160 samples at 16 kHz); the signal is not padded,
so a last, incomplete frame is left out. Every descriptor is computed on the frame times a symmetric
Hamming window (`numpy.hamming`), and every logarithm and quotient that silence would spoil is
guarded by `EPS`, an absolute number: descriptors therefore suppose a signal in [-1, 1].

The choice of descriptors and their definitions follow Giannakopoulos and Pikrakis, *Introduction to
Audio Analysis*, 2014, doi 10.1016/C2012-0-03524-7; the cepstrum is that of Davis and Mermelstein,
1980, doi 10.1109/TASSP.1980.1163420; flux and roll-off are those of Scheirer and Slaney, 1997,
doi 10.1109/ICASSP.1997.596192.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import combinations_with_replacement

import numpy as np

from sercourse import audio

EPS = 1e-7
"""Guard of the logarithms and quotients."""

FRAME_SECONDS, HOP_SECONDS = 0.025, 0.010
N_BLOCKS = 10  # of a frame or spectrum, for its entropy
ROLLOFF = 0.9  # share of the energy below the roll-off
N_MELS, N_MFCC = 40, 12
ACTIVE_DB = -30.0  # below the loudest frame of the clip
MARGIN_SECONDS = 0.05

SHORT_TERM_NAMES: tuple[str, ...] = (
    *("zcr", "energy", "energy_entropy", "spectral_centroid", "spectral_spread"),
    *("spectral_entropy", "spectral_flux", "spectral_rolloff"),
    *(f"mfcc_{i}" for i in range(1, N_MFCC + 1)),
)
"""Names of the columns of `short_term`, in order."""

FUNCTIONAL_NAMES: tuple[str, ...] = (
    *("mean", "median", "std", "kurtosis", "skewness"),
    *("p01", "p99", "min", "max", "range"),
)
"""The functionals of each descriptor, in order."""

# A spread this much smaller than the values themselves is the round-off of a constant: its third
# and fourth moments would be noise of order one.
_CONSTANT = 1e-12
MEAN_SCALE = 0.2  # of `log_euclidean_stats`, as means move further than spreads

# Frames worked on at once: few enough for the allocator to reuse their memory, and for clips of any
# length to need little.
_BLOCK = 96


def frame_and_hop(*, sr: int) -> tuple[int, int]:
    """Return the samples in a frame, an even number, and between the starts of two frames.

    Examples
    --------
    >>> frame_and_hop(sr=16_000), frame_and_hop(sr=22_050)
    ((400, 160), (552, 220))
    """
    return 2 * round(FRAME_SECONDS * sr / 2), round(HOP_SECONDS * sr)


def frames(y: np.ndarray, *, frame_length: int, hop_length: int) -> np.ndarray:
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
    if (n := len(y)) < frame_length:
        raise ValueError(f"the clip has {n} samples, fewer than one frame of {frame_length}")
    return np.lib.stride_tricks.sliding_window_view(y, frame_length)[::hop_length]


def require_signal(y: np.ndarray) -> None:
    """Refuse what is not one channel of finite samples.

    Raises
    ------
    ValueError
        If it has another shape, or a sample is NaN or infinite.
    """
    if y.ndim != 1:
        raise ValueError(f"the signal has shape {y.shape}: give one channel, shape (n_samples,)")
    if not (finite := np.isfinite(y)).all():
        where = int(np.argmin(finite))
        raise ValueError(f"sample {where} of the signal is {y[where]}: give finite samples")


def require_clip(y: np.ndarray, *, sr: int, offset: float = 0.0) -> np.ndarray:
    """Return a clip as float64; refuse what is not one channel of finite samples, or no word long.

    Raises
    ------
    ValueError
        As `require_signal` does, or if fewer than 0.3 s are left after the offset [s].
    """
    y = np.asarray(y, dtype=np.float64)
    require_signal(y)
    seconds, least = len(y) / sr, audio.MIN_SECONDS + offset
    if len(y) < least * sr:
        raise ValueError(f"the clip lasts {seconds:.2f} s: at least {least:g} s is needed")
    return y


def speech(y: np.ndarray, *, sr: int) -> np.ndarray:
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
    y = audio.normalize_peak(require_clip(y, sr=sr), peak=0.5)
    if not y.any():
        raise ValueError("the clip is silent: no feature can be computed; record it again")
    length, hop = frame_and_hop(sr=sr)
    framed = frames(y, frame_length=length, hop_length=hop)
    energy = np.vecdot(framed, framed)
    loud = np.flatnonzero(energy > energy.max() * 10 ** (ACTIVE_DB / 10))
    margin = round(MARGIN_SECONDS * sr)
    return y[max(0, loud[0] * hop - margin) : loud[-1] * hop + length + margin]


def short_term(y: np.ndarray, *, sr: int) -> np.ndarray:
    """Return the twenty descriptors of each frame of a signal.

    Of the frame x, of N samples: how often it changes its sign, per pair of neighbouring samples (a
    step to or from an exact zero counts half); its mean square; the entropy [bit] of its energy
    over ten blocks, low at an onset, 3.32 where the energy is even.

    Of its magnitude spectrum ``|FFT| / N`` at the first K = N / 2 bins: mean frequency and standard
    deviation about it, as fractions of half the sampling rate; the entropy over ten blocks, low for
    a tone; the sum of squares by which the spectrum, divided by its sum, differs from that of the
    frame before; the share of the bins that hold 90 % of the energy. And 12 mel-frequency cepstral
    coefficients, as `mfcc` says.

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
    length, hop = frame_and_hop(sr=sr)
    framed, window = frames(y, frame_length=length, hop_length=hop), np.hamming(length)
    table = np.empty((len(framed), len(SHORT_TERM_NAMES)))
    for start in range(0, len(framed), _BLOCK):
        before = min(start, 1)  # the flux of a block's first frame needs the frame before it
        block = framed[start - before : start + _BLOCK] * window
        table[start : start + _BLOCK] = _descriptors(block, sr=sr)[before:]
    return table


def _descriptors(x: np.ndarray, *, sr: int) -> np.ndarray:
    """Return the descriptors of windowed frames that follow each other."""
    length = x.shape[1]
    signs = (x > 0).view(np.int8) - (x < 0).view(np.int8)
    steps = np.abs(signs[:, 1:] - signs[:, :-1])
    zcr = steps.sum(axis=1, dtype=np.int32) / (2.0 * (length - 1))
    spectrum = np.abs(np.fft.rfft(x, axis=1)[:, : length // 2]) / length
    n_bins, total = spectrum.shape[1], spectrum.sum(axis=1)
    frequency = np.arange(1, n_bins + 1) / n_bins
    # The book divides by the largest magnitude first, which only scales the guard of the sums.
    weight = total + EPS * (spectrum.max(axis=1) + EPS)
    centroid = np.vecdot(spectrum, frequency) / weight
    spread = np.sqrt(np.vecdot(spectrum, (frequency - centroid[:, np.newaxis]) ** 2) / weight)
    change = np.diff(spectrum / (total + n_bins * EPS)[:, np.newaxis], axis=0)
    flux = np.concatenate([np.zeros(1), np.vecdot(change, change)])
    # Down columns: all frames are then summed side by side.
    energy = np.cumsum(np.square(spectrum.T, order="C"), axis=0)
    rolloff = (energy > ROLLOFF * energy[-1] - EPS).argmax(axis=0) / n_bins
    of_frame = [zcr, np.vecdot(x, x) / length, _block_entropy(x)]
    of_spectrum = [centroid, spread, _block_entropy(spectrum), flux, rolloff]
    return np.column_stack([*of_frame, *of_spectrum, mfcc(x, sr=sr)])


def _block_entropy(values: np.ndarray) -> np.ndarray:
    """Return the entropy [bit] of the energy over the tenths of each row, without a remainder."""
    length = values.shape[1] // N_BLOCKS
    blocks = values[:, : N_BLOCKS * length].reshape(len(values), N_BLOCKS, length)
    shares = np.vecdot(blocks, blocks) / (np.vecdot(values, values)[:, np.newaxis] + EPS)
    return -np.vecdot(shares, np.log2(shares + EPS))


def mfcc(frames: np.ndarray, *, sr: int) -> np.ndarray:
    """Return the mel-frequency cepstral coefficients 1 to 12 of each frame.

    Power spectrum of the frame padded to a power of two, over that power; 40 triangular filters;
    ``20 log10``; orthonormal DCT-II. The coefficient 0, the mean level, is left out.

    Parameters
    ----------
    frames : ndarray, shape (n_frames, N)
        Windowed frames.
    sr : int
        Sampling rate [Hz].

    Returns
    -------
    ndarray, shape (n_frames, 12) [dB]

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
    bands = np.concatenate([rows @ bank for rows in np.array_split(power, len(power) // 24 + 1)])
    level = 20 * np.log10(np.where(bands == 0, np.finfo(float).eps, bands))
    # The coefficients kept do not see a constant. Without it silence gives zeros, not round-off.
    level -= level[:, :1]
    return level @ dct_matrix(n=N_MELS, n_kept=N_MFCC + 1)[:, 1:]


@lru_cache(maxsize=8)
def dct_matrix(*, n: int, n_kept: int) -> np.ndarray:
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
def mel_filters(*, sr: int, n_fft: int, n_mels: int = N_MELS) -> np.ndarray:
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


def mel_edges(fmin: float, fmax: float, *, n_mels: int) -> np.ndarray:
    """Return n_mels + 2 frequencies [Hz], equally spaced in ``2595 log10(1 + f / 700)``.

    Examples
    --------
    >>> mel_edges(0, 8000, n_mels=2).round()
    array([   0.,  921., 3056., 8000.])
    """
    low, high = (2595 * np.log10(1 + f / 700) for f in (fmin, fmax))
    return 700 * (10 ** (np.linspace(low, high, n_mels + 2) / 2595) - 1)


def triangles(edges: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return filters (n_edges - 2, n_points) that rise from an edge to the next and fall again.

    Examples
    --------
    >>> triangles(np.array([0.0, 2.0, 3.0]), np.arange(4))
    array([[0. , 0.5, 1. , 0. ]])
    """
    peak = [0.0, 1.0, 0.0]
    return np.array([np.interp(points, edges[k : k + 3], peak) for k in range(len(edges) - 2)])


def functionals(descriptors: np.ndarray, *, scale: np.ndarray | None = None) -> np.ndarray:
    """Return ten statistics over the frames of every descriptor.

    Standard deviation, skewness and excess kurtosis are the biased ones (moments about the mean
    over the number of frames; Joanes and Gill, 1998, doi 10.1111/1467-9884.00122). Percentiles
    interpolate linearly (type 7 of Hyndman and Fan, 1996, doi 10.2307/2684934), and `range` is
    between p01 and p99, so that one odd frame does not make it. The skewness and kurtosis of a
    constant are undefined: 0. Constant means a standard deviation of at most 1e-12 of `scale`.

    Parameters
    ----------
    descriptors : ndarray, shape (n_frames, n_descriptors)
        For example the output of `short_term`; at least one frame.
    scale : ndarray, shape (n_descriptors,), optional
        The size of the numbers that each descriptor was computed from; the largest absolute value
        of each column unless given. Give that of the descriptors themselves with their
        differences, where round-off is all that is left of a constant.

    Returns
    -------
    ndarray, shape (n_descriptors * 10,)
        All statistics of the first descriptor, in the order of `FUNCTIONAL_NAMES`, then of the
        second ...

    Raises
    ------
    ValueError
        If there is no frame.

    Examples
    --------
    >>> row = functionals(np.array([[1.0], [2.0], [3.0], [6.0]]))
    >>> dict(zip(FUNCTIONAL_NAMES, row.round(2).tolist(), strict=True))
    {'mean': 3.0, 'median': 2.5, 'std': 1.87, 'kurtosis': -1.0, 'skewness': 0.69,
     'p01': 1.03, 'p99': 5.91, 'min': 1.0, 'max': 6.0, 'range': 4.88}
    """
    if len(descriptors) == 0:
        raise ValueError("there is no frame to take statistics of: give a longer clip")
    if scale is None:
        scale = np.abs(descriptors).max(axis=0)
    series = np.ascontiguousarray(descriptors.T)
    mean = series.mean(axis=1)
    z = series - mean[:, np.newaxis]
    std = np.sqrt(np.mean(z**2, axis=1))
    constant = std <= _CONSTANT * scale
    z /= np.where(constant, 1.0, std)[:, np.newaxis]
    squares = z**2
    kurtosis = np.where(constant, 0.0, np.mean(squares**2, axis=1) - 3)
    skewness = np.where(constant, 0.0, np.mean(squares * z, axis=1))
    p01, median, p99 = np.percentile(series, [1, 50, 99], axis=1)
    low, high = series.min(axis=1), series.max(axis=1)
    table = (mean, median, std, kurtosis, skewness, p01, p99, low, high, p99 - p01)
    return np.stack(table, axis=1).ravel()


def functional_names(descriptors: Iterable[str], *, prefix: str = "") -> tuple[str, ...]:
    """Return the names of what `functionals` returns for these descriptors.

    Examples
    --------
    >>> functional_names(["zcr"], prefix="delta_")[:2]
    ('delta_zcr_mean', 'delta_zcr_median')
    """
    return tuple(f"{prefix}{name}_{kind}" for name in descriptors for kind in FUNCTIONAL_NAMES)


def delta(descriptors: np.ndarray, *, reach: int = 4) -> np.ndarray:
    """Return the slope of a regression line through `reach` frames to either side of each frame.

    Parameters
    ----------
    descriptors : ndarray, shape (n_frames, n)
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
    padded = np.pad(descriptors, ((reach, reach), (0, 0)), mode="edge")
    n, total = len(descriptors), np.zeros_like(descriptors)
    for k in range(1, reach + 1):
        total += k * (padded[reach + k : reach + k + n] - padded[reach - k : reach - k + n])
    return total / (2 * sum(k * k for k in range(1, reach + 1)))


def log_euclidean_stats(descriptors: np.ndarray) -> np.ndarray:
    """Return the log-Euclidean embedding of mean and covariance of the frames.

    The mean joins the covariance in one positive definite matrix. Its matrix logarithm makes the
    space of such matrices flat, so that a linear model may draw planes in it.

    Parameters
    ----------
    descriptors : ndarray, shape (n_frames, n)
        At least two frames; columns with a spread of a few units.

    Returns
    -------
    ndarray, shape ((n + 1) * (n + 2) // 2,)
        As `log_euclidean_names` says. Lengths and angles are those of the symmetric matrices.

    References
    ----------
    Lovrić, Min-Oo and Ruh, "Multivariate normal distributions parametrized as a Riemannian
    symmetric space", 2000, doi:10.1006/jmva.1999.1853; Arsigny et al., "Log-Euclidean metrics for
    fast and simple calculus on diffusion tensors", 2006, doi:10.1002/mrm.20965.

    Examples
    --------
    >>> log_euclidean_stats(np.random.default_rng(0).normal(size=(50, 3))).shape
    (10,)
    """
    moments = np.append(MEAN_SCALE * descriptors.mean(axis=0), 1.0)
    embedded = np.outer(moments, moments)
    # The identity, as short clips do not span all directions.
    embedded[:-1, :-1] += np.cov(descriptors, rowvar=False) + np.eye(descriptors.shape[1])
    variances, directions = np.linalg.eigh(embedded)
    logarithm = (directions * np.log(np.maximum(variances, 1e-8))) @ directions.T
    rows, columns = np.triu_indices(len(logarithm))
    # The factor makes lengths of the vector those of the symmetric matrix.
    return logarithm[rows, columns] * np.where(rows == columns, 1, np.sqrt(2))


def log_euclidean_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of what `log_euclidean_stats` makes of columns with these names.

    Examples
    --------
    >>> log_euclidean_names(["a"])
    ('gaussian_a_a', 'gaussian_a_mean', 'gaussian_mean_mean')
    """
    pairs = combinations_with_replacement((*names, "mean"), 2)
    return tuple(f"gaussian_{one}_{other}" for one, other in pairs)
