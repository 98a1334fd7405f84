"""The picture of cepstra as one row: the cloud of its frames, and how they move."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sercourse.features import mfcc
from sercourse.features.cloud import log_euclidean_stats, log_gaussian_names
from sercourse.features.voice import delta

Array = NDArray[np.float64]

N_KEPT = 20  # coefficients; the finest say little
SOUNDING_DB = -45.0  # below the loudest frame
REACH = 3  # frames to either side that a slope is fitted to
# A covariance compares its entries: these factors bring every column to a spread of a few units.
SCALE, DELTA_SCALE, DELTA2_SCALE = 0.2, 4.0, 10.0
LEAST_FRAMES = 2

_KEPT = mfcc.IMAGE_NAMES[:N_KEPT]
MFCC_CLOUD_NAMES: tuple[str, ...] = log_gaussian_names(
    (*_KEPT, *(f"delta_{name}" for name in _KEPT), *(f"delta2_{name}" for name in _KEPT))
)
"""Names of the features, in the order of `mfcc_cloud`."""


def mfcc_cloud(y: NDArray[Any], *, sr: int) -> Array:
    """Return the frames of `mfcc.mfcc_image` as one Gaussian cloud.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
        Mono signal.
    sr : int
        Its sampling rate [Hz], as for the picture.

    Returns
    -------
    ndarray, shape (len(MFCC_CLOUD_NAMES),)

    Raises
    ------
    ValueError
        If there is no picture of the clip, or fewer than two of its frames sound.

    Examples
    --------
    >>> noise = np.random.default_rng(0).uniform(-0.1, 0.1, 3 * 44_100)
    >>> mfcc_cloud(noise, sr=44_100).shape == (len(MFCC_CLOUD_NAMES),)
    True
    """
    return cloud_of(mfcc.mfcc_image(y, sr=sr))


def cloud_of(image: NDArray[np.floating]) -> Array:
    """Return the cloud of a picture: coefficients of its sounding frames, slopes and bends.

    The loudness of the recording plays no part: the first coefficient counts from the loudest
    frame, and digital silence after a short clip is left out.

    Parameters
    ----------
    image : ndarray, shape (n_frames, n_coefficients)
        As of `mfcc.mfcc_image`.
    """
    level = image[:, 0].astype(np.float64) / np.sqrt(mfcc.N_MELS)  # mean of all bands [dB]
    silent = np.abs(image[:, 1:]).max(axis=1) < 1e-3  # a flat spectrum: nothing was there
    sounding = ~silent & (level > level.max() + SOUNDING_DB)
    if sounding.sum() < LEAST_FRAMES:
        raise ValueError(
            f"{sounding.sum()} frame of the clip sounds: at least {LEAST_FRAMES} are needed; "
            "is it a click?"
        )
    first, *_, last = np.flatnonzero(sounding)
    words = image[first : last + 1, :N_KEPT].astype(np.float64)
    words[:, 0] -= words[:, 0].max()
    words *= SCALE
    moves = delta(words, reach=REACH)
    tracks = [words, DELTA_SCALE * moves, DELTA2_SCALE * delta(moves, reach=REACH)]
    return log_euclidean_stats(np.hstack(tracks)[sounding[first : last + 1]])
