"""Learning from the segments of clips, and judging a clip by all of its segments.

A clip is an array (n_segments, ...) whose absent segments lie at one level throughout, as
`features.spectrogram.mel_segments` gives it. Segments are the examples of the network; whatever
divides clips into sides divides them together with their segments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sercourse.networks import export
from sercourse.networks.backend import quiet_keras
from sercourse.networks.learner import FittedNetwork, NetworkLearner
from sercourse.networks.training import Array, Codes, Report

if TYPE_CHECKING:
    import keras


def present(X: Array, *, floor: float) -> NDArray[np.bool_]:
    """Return which segments are there: not at the floor in every frame and band.

    Parameters
    ----------
    X : ndarray, shape (n_clips, n_segments, ...)
    floor : float
        Level of what is absent.

    Returns
    -------
    ndarray of bool, shape (n_clips, n_segments)

    Examples
    --------
    >>> present(np.array([[[0.0, -1.0], [-9.0, -9.0]]]), floor=-9.0)
    array([[ True, False]])
    """
    highest: Array = X.max(axis=tuple(range(2, X.ndim)))
    return highest > floor


def segment_rows(
    versions: Sequence[Array], clips: Codes, *, floor: float
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return where the segments of some clips lie, in each version of the clips.

    A copy that is slower or faster may have more or fewer segments than the clip. Each segment of
    the clip is matched with the copy's segment at the same place between first and last.

    Parameters
    ----------
    versions : sequence of ndarray, shape (n_rows, n_segments, ...) each
        Tables of clips, the first as they are, and of copies of them.
    clips : ndarray of int, shape (n_clips,)
        Rows of the tables.
    floor : float
        Level of absent segments.

    Returns
    -------
    owner : ndarray of int, shape (n,)
        Position among `clips` of each segment that the clips have.
    rows : ndarray of int, shape (n_versions, n)
        Row of each segment in a version that is seen as a table of segments.

    Examples
    --------
    >>> clip, slower = np.zeros((1, 4, 1)), np.zeros((1, 4, 1))
    >>> clip[0, 2:] = slower[0, 3:] = -9  # two segments, and three
    >>> owner, rows = segment_rows([clip, slower], np.array([0]), floor=-9)
    >>> owner, rows
    (array([0, 0]), array([[0, 1],
                           [0, 2]]))
    """
    n_segments = versions[0].shape[1]
    counts = np.stack([_n_present(each, clips, floor=floor) for each in versions])
    owner = np.repeat(np.arange(len(clips)), counts[0])
    first = np.cumsum(counts[0]) - counts[0]
    number = np.arange(len(owner)) - first[owner]
    share = number / np.maximum(counts[0] - 1, 1)[owner]
    matched = np.round(share * (counts - 1)[:, owner]).astype(np.intp)
    return owner, clips[owner] * n_segments + matched


def _n_present(X: Array, clips: Codes, *, floor: float) -> NDArray[np.intp]:
    """Return how many segments each clip has: all up to the last that is present."""
    there = np.concatenate([present(X[part], floor=floor) for part in _parts(clips)])
    return np.max(np.where(there, np.arange(1, X.shape[1] + 1), 1), axis=1)


def _parts(clips: Codes) -> list[Codes]:
    """Return the clips in small parts: what is chosen among rows of a table is copied."""
    return np.array_split(clips, max(1, len(clips) // 32))


@dataclass(frozen=True, eq=False)
class FittedSegments:
    """A network that judges segments, and averages what it says of those of a clip.

    Attributes
    ----------
    network : FittedNetwork
        Of segments.
    n_segments : int
        Of a clip, present or not.
    floor : float
        Level of absent segments.
    """

    network: FittedNetwork
    n_segments: int
    floor: float

    @property
    def selected(self) -> dict[str, float]:
        """What validation found: `epochs` and `temperature`, means over the members."""
        return self.network.selected

    @property
    def n_weights(self) -> int:
        """Numbers that the network has learnt or holds."""
        return self.network.n_weights

    @cached_property
    def model(self) -> keras.Model:
        """One Keras model from clips to calibrated probabilities."""
        return average_over_segments(
            self.network.model, n_segments=self.n_segments, floor=self.floor
        )

    def predict_segments(self, X: Array) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Judge each segment that is present.

        Parameters
        ----------
        X : ndarray, shape (n_clips, n_segments, ...)

        Returns
        -------
        owner : ndarray of int, shape (n,)
            The clip of each segment.
        probabilities : ndarray, shape (n, n_labels)
        """
        there = present(X, floor=self.floor)
        return np.nonzero(there)[0], self.network.predict_proba(X[there])

    def predict_proba(self, X: Array) -> NDArray[np.float64]:
        """Return the probabilities of clips, shape (n_clips, n_labels): means over segments."""
        owner, probabilities = self.predict_segments(X)
        sums = np.zeros((len(X), probabilities.shape[1]))
        np.add.at(sums, owner, probabilities)
        return sums / np.bincount(owner, minlength=len(X))[:, np.newaxis]

    def contents(self) -> dict[str, bytes]:
        """Return the model as files of a bundle, by suffix."""
        return {".onnx": export.to_onnx(self.model), ".keras": export.to_keras(self.model)}


@dataclass(frozen=True)
class SegmentLearner:
    """Trains a network on the segments of the training side's clips.

    Attributes
    ----------
    network : NetworkLearner
        What learns; its network takes one segment.
    floor : float
        Level of absent segments, as the features say.
    """

    network: NetworkLearner
    floor: float

    takes_weights = True

    @property
    def packages(self) -> tuple[str, ...]:
        """What its models depend on, for the record."""
        return self.network.packages

    @property
    def settings(self) -> dict[str, Any]:
        """What a bundle tells of it, as JSON can hold it."""
        return {**self.network.settings, "absent_segments": self.floor}

    @property
    def key(self) -> list[Any]:
        """All that results depend on, for `files.digest`."""
        return [self.floor, self.network.key]

    def seeded(self, seed: int) -> SegmentLearner:
        """Return the same with another seed."""
        return replace(self, network=self.network.seeded(seed))

    def in_precision(self, name: str) -> SegmentLearner:
        """Return the same, trained in another precision."""
        return replace(self, network=self.network.in_precision(name))

    def with_heads(self, *sizes: int) -> SegmentLearner:
        """Return the same for labels that are pairs, with a head for each kind of label."""
        return replace(self, network=self.network.with_heads(*sizes))

    def untrained(self, shape: tuple[int, ...], *, n_labels: int) -> FittedSegments:
        """Return what `fit` would, as large and as fast, that has learnt nothing.

        Parameters
        ----------
        shape : tuple of int
            Of one clip, shape (n_segments, ...).
        n_labels : int
        """
        n_segments, *segment = shape
        network = self.network.untrained(tuple(segment), n_labels=n_labels)
        return FittedSegments(network, n_segments, self.floor)

    def fit(
        self,
        versions: Sequence[Array],
        y: Codes,
        *,
        groups: NDArray[Any],
        n_labels: int,
        rows: Codes | None = None,
        weights: NDArray[np.floating] | None = None,
        selected: Mapping[str, float] | None = None,
        folder: Path | None = None,
        report: Report = lambda line: None,
    ) -> FittedSegments:
        """Train on segments, as `NetworkLearner.fit` does on clips.

        Each epoch shows every segment once, in one of the versions of its clip. Groups are those of
        the clips, so that no segment is validated on a network which heard another one of its clip.
        """
        clips = np.arange(len(y)) if rows is None else rows
        owner, where = segment_rows(versions, clips, floor=self.floor)
        fitted = self.network.fit(
            [each.reshape(-1, *each.shape[2:]) for each in versions],
            y[owner],
            groups=groups[owner],
            n_labels=n_labels,
            rows=where,
            weights=None if weights is None else weights[owner],
            selected=selected,
            folder=folder,
            report=report,
        )
        return FittedSegments(fitted, versions[0].shape[1], self.floor)


def average_over_segments(model: keras.Model, *, n_segments: int, floor: float) -> keras.Model:
    """Return a model of clips from one of segments.

    Parameters
    ----------
    model : keras.Model
        From segments (n, ...) to probabilities (n, n_labels).
    n_segments : int
        Of a clip, present or not.
    floor : float
        Level of absent segments, which do not count.

    Returns
    -------
    keras.Model
        From clips (n_clips, n_segments, ...) to the mean probabilities of their segments.
    """
    keras: Any = quiet_keras()
    ops = keras.ops
    shape = model.input_shape[1:]
    inputs = keras.Input((n_segments, *shape), name=export.INPUT)
    judged = model(ops.reshape(inputs, (-1, *shape)))
    judged = ops.reshape(judged, (-1, n_segments, model.output_shape[-1]))
    highest = ops.max(inputs, axis=tuple(range(2, 2 + len(shape))))
    there = ops.expand_dims(ops.cast(ops.greater(highest, floor), "float32"), axis=-1)
    mean = ops.sum(judged * there, axis=1) / ops.maximum(ops.sum(there, axis=1), 1.0)
    return keras.Model(inputs, mean)
