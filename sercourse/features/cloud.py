"""A cloud of frames as one point: the logarithm of its embedded Gaussian."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

MEAN_SCALE = 0.2  # means move further than spreads, and would drown them


def log_euclidean_stats(cloud: Array) -> Array:
    """Return what a cloud of frames is like, as one vector.

    The mean joins the covariance in one positive definite matrix. Its matrix logarithm makes the
    space of such matrices flat, so that a linear model may draw planes in it.

    Parameters
    ----------
    cloud : ndarray, shape (n_frames, n)
        Frames, at least two; columns with a spread of a few units.

    Returns
    -------
    ndarray, shape ((n + 1) * (n + 2) // 2,)
        As `log_gaussian_names` says. Lengths and angles are those of the symmetric matrices.

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
    mean = MEAN_SCALE * cloud.mean(axis=0)
    covariance = np.cov(cloud, rowvar=False)
    covariance[np.diag_indices_from(covariance)] += 1  # short clips do not span all directions
    embedded = np.block(
        [[covariance + np.outer(mean, mean), mean[:, np.newaxis]], [mean[np.newaxis], np.ones(1)]]
    )
    variances, directions = np.linalg.eigh(embedded)
    logarithm = (directions * np.log(np.maximum(variances, 1e-8))) @ directions.T
    rows, columns = np.triu_indices(len(logarithm))
    # The factor makes lengths of the vector those of the symmetric matrix.
    return logarithm[rows, columns] * np.where(rows == columns, 1, np.sqrt(2))


def log_gaussian_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of what `log_euclidean_stats` makes of columns with these names.

    Examples
    --------
    >>> log_gaussian_names(["a"])
    ('gaussian_a_a', 'gaussian_a_mean', 'gaussian_mean_mean')
    """
    pairs = combinations_with_replacement((*names, "mean"), 2)
    return tuple(f"gaussian_{one}_{other}" for one, other in pairs)
