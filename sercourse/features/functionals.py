"""Functionals: from a series of frames to one row of fixed length."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations_with_replacement

import numpy as np

FUNCTIONAL_NAMES: tuple[str, ...] = (
    *("mean", "median", "std", "kurtosis", "skewness"),
    *("p01", "p99", "min", "max", "range"),
)
"""The functionals of each descriptor, in order."""

# A spread this much smaller than the values themselves is the round-off of a constant: its third
# and fourth moments would be noise of order one.
_CONSTANT = 1e-12
MEAN_SCALE = 0.2  # of `log_euclidean_stats`, as means move further than spreads


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
