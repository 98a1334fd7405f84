"""Normalisation of features by speaker, with a few unlabelled clips of that speaker.

A voice shifts and stretches every feature, whatever the emotion. Mean and spread are estimated from
the speaker's own clips, and from those of a typical speaker as long as clips are few. A row of
features becomes standard scores; a spectrogram becomes that of a typical speaker: it stays in
decibels, as networks and their augmentation want it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

PRIOR_CLIPS = 8.0
"""The relevance factor of the adaptation: as many clips as the typical speaker counts for."""

SMALLEST_DEVIATION = 1e-6


@dataclass(frozen=True, eq=False)
class SpeakerStats:
    """Where a speaker's features lie and how far they spread over the speaker's clips.

    Attributes
    ----------
    mean, std : ndarray, shape (n_features,)
    """

    mean: Array
    std: Array


def mean_speaker_stats(X: Array, speakers: Sequence[Any] | NDArray[Any]) -> SpeakerStats:
    """Return the average voice of several speakers.

    Parameters
    ----------
    X : ndarray, shape (n_clips, n_features) or (n_clips, n_frames, n_bands)
    speakers : sequence of str, length n_clips

    Returns
    -------
    SpeakerStats
        The mean of the speakers' means, and the root mean square of their standard deviations.
    """
    speakers = np.asarray(speakers)
    members = [_frames(X[speakers == speaker]) for speaker in np.unique(speakers)]
    mean = np.mean([each.mean(axis=0) for each in members], axis=0)
    variance = np.mean([each.var(axis=0) for each in members], axis=0)
    return SpeakerStats(mean, np.maximum(np.sqrt(variance), SMALLEST_DEVIATION))


def distance(X: Array, voice: SpeakerStats) -> NDArray[np.float64]:
    """Return how far clips lie from a voice: the mean square of their standard scores.

    Parameters
    ----------
    X : ndarray, shape (n_clips, n_features)
    voice : SpeakerStats
        Of the same features.

    Returns
    -------
    ndarray, shape (n_clips,)
        About 1 for clips of that voice.

    Examples
    --------
    >>> distance(np.array([[0.0, 2.0]]), SpeakerStats(np.zeros(2), np.ones(2)))
    array([2.])
    """
    return np.mean(np.square((X - voice.mean) / voice.std), axis=1)


def map_adapt(typical: SpeakerStats, X: Array) -> SpeakerStats:
    """Adapt the statistics of a typical speaker to some clips of one speaker (MAP adaptation).

    Parameters
    ----------
    typical : SpeakerStats
        Counts as much as `PRIOR_CLIPS` clips.
    X : ndarray, shape (n_clips, n_features) or (n_clips, n_frames, n_bands)
        Unlabelled clips of one speaker.

    Returns
    -------
    SpeakerStats
        What `normalize` takes. For rows, the speaker's own statistics. For spectrograms, how they
        differ from the typical ones: bands are then moved and stretched so that they lie where
        those of a typical speaker do.

    References
    ----------
    Reynolds, Quatieri and Dunn, "Speaker verification using adapted Gaussian mixture models",
    2000, doi:10.1006/dspr.1999.0361, equation 12 for a single Gaussian. The variance lacks what
    equation 13 adds for the step between both means: few clips place the mean badly, and its
    error is no spread of the voice.

    Examples
    --------
    >>> voice = map_adapt(SpeakerStats(np.zeros(1), np.ones(1)), np.full((8, 1), 2.0))
    >>> float(voice.mean[0])
    1.0
    """
    weight = len(X) / (len(X) + PRIOR_CLIPS)
    frames = _frames(X)
    mean = weight * frames.mean(axis=0) + (1 - weight) * typical.mean
    variance = weight * frames.var(axis=0) + (1 - weight) * typical.std**2
    std = np.maximum(np.sqrt(variance), SMALLEST_DEVIATION)
    if X.ndim == 2:
        return SpeakerStats(mean, std)
    stretch = std / typical.std
    return SpeakerStats(mean - typical.mean * stretch, stretch)


def normalize(X: Array, voice: SpeakerStats) -> Array:
    """Return the features as distances from a voice's mean, in its standard deviations.

    Parameters
    ----------
    X : ndarray, shape (..., n_features)
    voice : SpeakerStats

    Returns
    -------
    ndarray, shape (..., n_features)
    """
    return (X - voice.mean) / voice.std


def normalize_speakers(
    X: Array,
    speakers: Sequence[Any] | NDArray[Any],
    *,
    typical: SpeakerStats,
    enrolment: tuple[Array, NDArray[Any]] | None = None,
) -> Array:
    """Normalise every clip with the voice of its speaker.

    Parameters
    ----------
    X : ndarray, shape (n_clips, n_features)
    speakers : sequence of str, length n_clips
    typical : SpeakerStats
        Of the training speakers.
    enrolment : (ndarray of shape (n, n_features), ndarray of str), optional
        Clips to adapt to and their speakers; those of `X` by default.

    Returns
    -------
    ndarray, shape (n_clips, n_features)
    """
    speakers, normalized = np.asarray(speakers), np.empty_like(X)
    clips, voices = enrolment or (X, speakers)
    for speaker in np.unique(speakers):
        own = speakers == speaker
        normalized[own] = normalize(X[own], map_adapt(typical, clips[voices == speaker]))
    return normalized


def _frames(X: Array) -> Array:
    """Return the rows of features, or the frames of spectrograms without padding.

    What pads a spectrogram lies at the floor of the decibel scale in every band.
    """
    if X.ndim == 2:
        return X
    frames = X.reshape(-1, X.shape[-1])
    sounding = frames[frames.max(axis=1) > frames.min()]
    return sounding if len(sounding) else frames
