"""Ten statistics of each descriptor over the frames of a clip: from a series to one row."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

STATISTIC_NAMES: tuple[str, ...] = (
    "mean",
    "median",
    "std",
    "kurtosis",
    "skewness",
    "p01",
    "p99",
    "min",
    "max",
    "range",
)
"""The statistics of each descriptor, in order."""

# A spread this much smaller than the values themselves is the round-off of a constant: its third
# and fourth moments would be noise of order one.
_CONSTANT = 1e-12


def statistics(descriptors: Array, *, scale: Array | None = None) -> Array:
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
        of each column unless given. Give that of the descriptors themselves with their `delta`,
        where round-off is all that is left of a constant.

    Returns
    -------
    ndarray, shape (n_descriptors * 10,)
        All statistics of the first descriptor, in the order of `STATISTIC_NAMES`, then of the
        second ...

    Raises
    ------
    ValueError
        If there is no frame.

    Examples
    --------
    >>> row = statistics(np.array([[1.0], [2.0], [3.0], [6.0]]))
    >>> dict(zip(STATISTIC_NAMES, row.round(2).tolist(), strict=True))
    {'mean': 3.0, 'median': 2.5, 'std': 1.87, 'kurtosis': -1.0, 'skewness': 0.69,
     'p01': 1.03, 'p99': 5.91, 'min': 1.0, 'max': 6.0, 'range': 4.88}
    """
    if len(descriptors) == 0:
        raise ValueError("there is no frame to take statistics of: give a longer clip")
    series = np.sort(descriptors.T, axis=1)  # sorted once, for six of the ten
    if scale is None:
        scale = largest(descriptors)
    mean, std, kurtosis, skewness = _moments(series, constant_below=_CONSTANT * scale)
    p01, median, p99 = (_percentile(series, q) for q in (0.01, 0.5, 0.99))
    low, high = series[:, 0], series[:, -1]
    table = (mean, median, std, kurtosis, skewness, p01, p99, low, high, p99 - p01)
    return np.stack(table, axis=1).ravel()


def delta(descriptors: Array) -> Array:
    """Return the first derivative: the difference of consecutive frames.

    Parameters
    ----------
    descriptors : ndarray, shape (n_frames, n_descriptors)

    Returns
    -------
    ndarray, shape (n_frames - 1, n_descriptors)

    Raises
    ------
    ValueError
        If there are fewer than two frames.

    Examples
    --------
    >>> delta(np.array([[1.0], [4.0], [2.0]]))
    array([[ 3.],
           [-2.]])
    """
    if len(descriptors) < 2:
        raise ValueError(
            f"the signal has {len(descriptors)} frame(s), and a derivative needs two: "
            "give a longer clip"
        )
    return np.diff(descriptors, axis=0)


def statistic_names(descriptors: Iterable[str], *, prefix: str = "") -> tuple[str, ...]:
    """Return the names of what `statistics` returns for these descriptors.

    Examples
    --------
    >>> statistic_names(["zcr"], prefix="delta_")[:2]
    ('delta_zcr_mean', 'delta_zcr_median')
    """
    return tuple(f"{prefix}{name}_{kind}" for name in descriptors for kind in STATISTIC_NAMES)


def largest(descriptors: Array) -> Array:
    """Return the largest absolute value of each descriptor.

    Examples
    --------
    >>> largest(np.array([[1.0, 0.0], [-4.0, 0.5]]))
    array([4. , 0.5])
    """
    return np.abs(descriptors).max(axis=0)


def _moments(series: Array, *, constant_below: Array) -> tuple[Array, Array, Array, Array]:
    """Return mean, standard deviation, excess kurtosis and skewness of every row."""
    mean = series.mean(axis=1)
    deviations = series - mean[:, None]
    std = np.sqrt(np.mean(deviations**2, axis=1))
    constant = std <= constant_below
    deviations /= np.where(constant, 1.0, std)[:, None]
    squares = deviations**2
    kurtosis = np.where(constant, 0.0, np.mean(squares**2, axis=1) - 3)
    skewness = np.where(constant, 0.0, np.mean(squares * deviations, axis=1))
    return mean, std, kurtosis, skewness


def _percentile(ordered: Array, q: float) -> Array:
    """Return the quantile `q` of rows in ascending order."""
    position = q * (ordered.shape[1] - 1)
    below = int(position)
    above = min(below + 1, ordered.shape[1] - 1)
    return ordered[:, below] + (position - below) * (ordered[:, above] - ordered[:, below])
