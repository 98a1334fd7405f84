"""Taking the voice out of the features: each speaker normalised with that speaker's own clips.

A voice shifts and stretches every feature, whatever the emotion. A few unlabelled clips tell by how
much; what they cannot tell yet is borrowed from a typical voice. A clip is a row of features, which
becomes distances from the voice's mean, or a spectrogram, which becomes that of a typical voice: it
stays in decibels, as networks and their augmentation want it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

PRIOR_CLIPS = 8.0
"""How many clips of its own outweigh the typical voice: the relevance factor of the adaptation."""

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
    members = [_heard(X[speakers == speaker]) for speaker in np.unique(speakers)]
    mean = np.mean([each.mean(axis=0) for each in members], axis=0)
    variance = np.mean([each.var(axis=0) for each in members], axis=0)
    return SpeakerStats(mean, np.maximum(np.sqrt(variance), SMALLEST_DEVIATION))


def adapt(typical: SpeakerStats, X: Array, *, prior_clips: float = PRIOR_CLIPS) -> SpeakerStats:
    """Move a typical voice towards the one that is heard in some clips.

    Parameters
    ----------
    typical : SpeakerStats
    X : ndarray, shape (n_clips, n_features)
        Unlabelled clips of one speaker.
    prior_clips : float
        The typical voice counts as much as so many clips; 0 trusts the clips alone.

    Returns
    -------
    SpeakerStats

    References
    ----------
    Reynolds, Quatieri and Dunn, "Speaker verification using adapted Gaussian mixture models",
    2000, doi:10.1006/dspr.1999.0361, equation 12 for a single Gaussian. The variance lacks what
    equation 13 adds for the step between both means: few clips place the mean badly, and its
    error is no spread of the voice.

    Examples
    --------
    >>> voice = adapt(SpeakerStats(np.zeros(1), np.ones(1)), np.full((4, 1), 2.0), prior_clips=4)
    >>> float(voice.mean[0])
    1.0
    """
    weight = len(X) / (len(X) + prior_clips)
    heard = _heard(X)
    mean = weight * heard.mean(axis=0) + (1 - weight) * typical.mean
    variance = weight * heard.var(axis=0) + (1 - weight) * typical.std**2
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


def map_adapt(typical: SpeakerStats, X: Array, *, prior_clips: float = PRIOR_CLIPS) -> SpeakerStats:
    """Return what `normalize` needs to take out the voice that is heard in some clips.

    Parameters
    ----------
    typical : SpeakerStats
    X : ndarray, shape (n_clips, n_features) or (n_clips, n_frames, n_bands)
        Unlabelled clips of one speaker.
    prior_clips : float
        As in `adapt`.

    Returns
    -------
    SpeakerStats
        For rows, the voice itself. For spectrograms, how it differs from the typical one: bands are
        then moved and stretched so that they lie where a typical voice's do.
    """
    own = adapt(typical, X, prior_clips=prior_clips)
    if X.ndim == 2:
        return own
    stretch = own.std / typical.std
    return SpeakerStats(own.mean - typical.mean * stretch, stretch)


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
    enrolment: Mapping[str, Array] | None = None,
    prior_clips: float = PRIOR_CLIPS,
) -> Array:
    """Normalise every clip with the voice of its speaker.

    Parameters
    ----------
    X : ndarray, shape (n_clips, n_features)
    speakers : sequence of str, length n_clips
    typical : SpeakerStats
        Of the training speakers.
    enrolment : mapping from speaker to ndarray of shape (n, n_features), optional
        The clips that tell each voice; by default the speaker's own clips in `X`.
    prior_clips : float
        As in `adapt`.

    Returns
    -------
    ndarray, shape (n_clips, n_features)
    """
    speakers = np.asarray(speakers)
    normalized = np.empty_like(X)
    for speaker in np.unique(speakers):
        own = speakers == speaker
        clips = X[own] if enrolment is None else enrolment[str(speaker)]
        voice = map_adapt(typical, clips, prior_clips=prior_clips)
        normalized[own] = normalize(X[own], voice)
    return normalized


def _heard(X: Array) -> Array:
    """Return what tells a voice: rows of features, or the frames of spectrograms but padding.

    What pads a spectrogram lies at the floor of the decibel scale in every band.
    """
    if X.ndim == 2:
        return X
    frames = X.reshape(-1, X.shape[-1])
    sounding = frames[frames.max(axis=1) > frames.min()]
    return sounding if len(sounding) else frames
