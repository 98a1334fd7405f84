"""How a recipe fits a network: inner validation, members, temperature, segments, files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sercourse import files, splits
from sercourse.networks import export, training
from sercourse.networks.backend import quiet_keras, set_seed
from sercourse.networks.training import Array, Augment, Build, Codes, Examples, Report, Training

if TYPE_CHECKING:
    import keras

VALIDATION_SHARE = 10  # one tenth of the groups


@dataclass(frozen=True, eq=False)
class FittedNetwork:
    """A trained network, or the average of several.

    Attributes
    ----------
    members : tuple of keras.Model
        They return logits.
    temperatures : tuple of float
        What each member's logits are divided by.
    progress : tuple of Progress
        How each member's training went.
    selected : dict
        What validation found: `epochs` and `temperature`, means over the members.
    segment_floor : float or None
        As of `NetworkLearner`.
    """

    members: tuple[keras.Model, ...]
    temperatures: tuple[float, ...]
    progress: tuple[training.Progress, ...]
    selected: dict[str, float]
    segment_floor: float | None = None
    n_segments: int = 1

    @cached_property
    def model(self) -> keras.Model:
        """One Keras model from input to calibrated probabilities."""
        model = export.calibrated(self.members, temperatures=self.temperatures)
        if self.segment_floor is None:
            return model
        return export.average_over_segments(
            model, n_segments=self.n_segments, floor=self.segment_floor
        )

    @property
    def n_weights(self) -> int:
        """Numbers that the members have learnt or hold."""
        return sum(member.count_params() for member in self.members)

    def predict_segments(self, X: Array) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Judge each segment that is present; without segments, each clip as one.

        Parameters
        ----------
        X : ndarray, shape (n_clips, n_segments, ...)

        Returns
        -------
        owner : ndarray of int, shape (n,)
            The clip of each segment.
        probabilities : ndarray, shape (n, n_labels)
        """
        owner = np.arange(len(X))
        if self.segment_floor is not None:
            there = present_segments(X, floor=self.segment_floor)
            owner, X = np.nonzero(there)[0], X[there]
        scores = [
            training.logits(member, X) / t
            for member, t in zip(self.members, self.temperatures, strict=True)
        ]
        return owner, training.softmax(np.mean(scores, axis=0))

    def predict_proba(self, X: Array) -> NDArray[np.float64]:
        """Return calibrated probabilities, (n, n_labels), of clips: means over their segments."""
        owner, probabilities = self.predict_segments(X)
        sums = np.zeros((len(X), probabilities.shape[1]))
        np.add.at(sums, owner, probabilities)
        return sums / np.bincount(owner, minlength=len(X))[:, np.newaxis]

    def contents(self) -> dict[str, bytes]:
        """Return the model as files of a bundle, by suffix."""
        return {".onnx": export.to_onnx(self.model), ".keras": export.to_keras(self.model)}


@dataclass(frozen=True)
class NetworkLearner:
    """Trains a network on the training side of a split.

    Attributes
    ----------
    build : callable
        ``build(input_shape=..., n_labels=...)`` returns an unfitted `keras.Model` of logits.
    training : Training
    augment : callable, optional
        As `train` takes it.
    members : int
        Networks that are averaged. Each has another seed and is validated on other speakers.
    options : mapping
        Further arguments of `build`, as JSON can hold them.
    standardized : bool
        Whether inputs are standardised, each coefficient or feature by its mean and its spread over
        the clips that the network learns from. It becomes a part of the network.
    heads : tuple of int
        Labels are the pairs of two kinds of labels, so many of each: the network answers each kind
        with a head of its own, see `export.joint_head`. () for one kind.
    segment_floor : float or None
        Where a clip is an array (n_segments, ...) whose absent segments lie at one level
        throughout, that level: the network learns segments, and a clip's answer is the mean of
        those to its segments. None where the network takes the whole clip.
    """

    build: Build
    training: Training
    augment: Augment | None = None
    members: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)
    standardized: bool = False
    heads: tuple[int, ...] = ()
    segment_floor: float | None = None

    takes_weights = True
    packages = ("keras", "tensorflow", "tf2onnx")

    @property
    def settings(self) -> dict[str, Any]:
        """What a bundle tells of it, as JSON can hold it."""
        # What later versions added is told only where it is used: bundles are known by it.
        later = {
            "options": dict(self.options) or None,
            "standardized": self.standardized or None,
            "heads": list(self.heads) or None,
            "absent_segments": self.segment_floor,
        }
        return {
            "network": self.build.__name__,
            "training": self.training.settings,
            "augmentation": self.augment.__name__ if self.augment else None,
            "members": self.members,
            **{name: value for name, value in later.items() if value is not None},
        }

    @property
    def key(self) -> list[Any]:
        """All that results depend on, for `files.digest`: the code of its own functions too."""
        versions = files.versions("keras", "tensorflow", "numpy")
        return [self.settings, [self.build, self.augment], versions]

    def untrained(self, shape: tuple[int, ...], *, n_labels: int) -> FittedNetwork:
        """Return what `fit` would, as large and as fast, that has learnt nothing.

        Parameters
        ----------
        shape : tuple of int
            Of one clip.
        n_labels : int
        """
        input_shape = shape if self.segment_floor is None else shape[1:]
        members = tuple(
            self.build(input_shape=input_shape, n_labels=n_labels, **self.options)
            for _ in range(self.members)
        )
        return FittedNetwork(
            members, (1.0,) * self.members, (), {}, self.segment_floor, n_segments=shape[0]
        )

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
    ) -> FittedNetwork:
        """Train the members.

        Parameters
        ----------
        versions : sequence of ndarray, shape (n_rows, ...) each
            The clips, and copies of them.
        y : ndarray of int, shape (n_clips,)
        groups : ndarray, shape (n_clips,)
            What must not be on both sides of the inner split: speakers or groups of recordings.
        n_labels : int
        rows : ndarray of int, shape (n_clips,), optional
            Where the clips are in `versions`; by default they are all of it.
        weights : ndarray of float, shape (n_clips,), optional
            How much each clip counts, with a mean of 1.
        selected : mapping, optional
            What folds found, `epochs` and `temperature`: then every clip is trained on, and none
            is left for validation.
        folder : Path, optional
            Where checkpoints are kept, and looked for.
        report : callable
            Gets a line now and then.
        """
        n_segments = versions[0].shape[1]
        examples, validation = Examples(versions, y, n_labels, rows, weights), None
        if self.segment_floor is not None:
            # Groups are those of the clips: all segments of a clip are on one side.
            examples, owner = segments_of(examples, floor=self.segment_floor)
            groups = groups[owner]
        learn, members = examples, []
        for member in range(self.members):
            plan = replace(self.training, seed=self.training.seed + member)
            if selected is not None:
                t, epochs = selected["temperature"], round(selected["epochs"])
                plan = replace(plan, epochs=epochs, patience=None)
            else:
                inner = splits.inner_splits(examples.y, groups, n_folds=VALIDATION_SHARE)
                learn, validation = map(examples.of, inner[member % len(inner)])
            set_seed(plan.seed)
            model = self._network(learn, precision=plan.precision)
            progress = training.train(
                model,
                learn,
                training=plan,
                validation=validation,
                augment=self.augment,
                folder=folder and folder / f"member-{member}",
                report=report,
            )
            if plan.precision != "float32":
                trained, model = model, self._network(learn)
                model.set_weights(trained.get_weights())
            if validation is not None:
                scores = training.logits(model, validation.plain())
                t = training.temperature(scores, validation.y, weights=validation.weights)
            members.append((model, t, progress))
        models, temperatures, went = zip(*members, strict=True)
        found = {
            "epochs": float(np.mean([each.best or each.epoch for each in went])),
            "temperature": float(np.mean(temperatures)),
        }
        return FittedNetwork(models, temperatures, went, found, self.segment_floor, n_segments)

    def _network(self, examples: Examples, *, precision: str = "float32") -> keras.Model:
        """Build the unfitted network for what it will learn from, its weights in float32."""
        config = quiet_keras().config
        before = config.dtype_policy()
        config.set_dtype_policy("float32" if precision == "float32" else f"mixed_{precision}")
        try:
            n_labels = sum(self.heads) or examples.n_labels
            shape = examples.versions[0].shape[1:]
            model = self.build(input_shape=shape, n_labels=n_labels, **self.options)
            if self.heads:
                model = export.joint_head(model, sizes=self.heads)
            return export.standardized(model, examples.plain()) if self.standardized else model
        finally:
            config.set_dtype_policy(before)


def present_segments(X: Array, *, floor: float) -> NDArray[np.bool_]:
    """Return which segments are there: not at the floor in every frame and band.

    Examples
    --------
    >>> present_segments(np.array([[[0.0, -1.0], [-9.0, -9.0]]]), floor=-9.0)
    array([[ True, False]])
    """
    highest: Array = X.max(axis=tuple(range(2, X.ndim)))
    return highest > floor


def segments_of(examples: Examples, *, floor: float) -> tuple[Examples, NDArray[np.intp]]:
    """Take the segments of clips apart: each is an example, in each version of its clip.

    A copy that is slower or faster may have more or fewer segments than the clip. Each segment of
    the clip is matched with the copy's segment at the same place between first and last.

    Parameters
    ----------
    examples : Examples
        Versions have the shape (n_rows, n_segments, ...).
    floor : float
        Level of absent segments.

    Returns
    -------
    examples : Examples
        Of segments.
    owner : ndarray of int
        The clip of each segment.

    Examples
    --------
    >>> clip, slower = np.zeros((1, 4, 1)), np.zeros((1, 4, 1))
    >>> clip[0, 2:] = slower[0, 3:] = -9  # two segments, and three
    >>> found, owner = segments_of(Examples([clip, slower], np.array([0]), 2), floor=-9)
    >>> found.rows, owner
    (array([[0, 1],
           [0, 2]]), array([0, 0]))
    """
    clips = np.arange(len(examples.y)) if examples.rows is None else examples.rows
    n_segments = examples.versions[0].shape[1]
    # All up to the last that is present, in small parts: chosen rows of a table are copied.
    parts = np.array_split(clips, max(1, len(clips) // 32))
    number = np.arange(1, n_segments + 1)

    def n_segments_of(X: Array) -> NDArray[np.intp]:
        there = [present_segments(X[part], floor=floor) for part in parts]
        return np.max(np.where(np.concatenate(there), number, 1), axis=1)

    counts = np.stack([n_segments_of(each) for each in examples.versions])
    owner = np.repeat(np.arange(len(clips)), counts[0])
    first = np.cumsum(counts[0]) - counts[0]
    share = (np.arange(len(owner)) - first[owner]) / np.maximum(counts[0] - 1, 1)[owner]
    matched = np.round(share * (counts - 1)[:, owner]).astype(np.intp)
    return replace(
        examples,
        versions=[each.reshape(-1, *each.shape[2:]) for each in examples.versions],
        y=examples.y[owner],
        rows=clips[owner] * n_segments + matched,
        weights=None if examples.weights is None else examples.weights[owner],
    ), owner


def expected_codes(fitted: FittedNetwork, X: Array) -> NDArray[np.float64]:
    """Return the expected place among the labels of a network trained with the loss ``ordinal``.

    Parameters
    ----------
    fitted : FittedNetwork
    X : ndarray, shape (n_clips, ...)

    Returns
    -------
    ndarray, shape (n_clips,)
        From 0 to the number of labels less one; the mean over the members. Temperatures do not
        count, as no probability was trained.
    """
    scores = [training.logits(member, X) for member in fitted.members]
    return np.mean([training.softmax(each) @ np.arange(each.shape[1]) for each in scores], axis=0)
