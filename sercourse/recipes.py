"""Named recipes: what is measured on a clip, which copies are added, and which model learns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sercourse import features, networks
from sercourse.features import Change, FeatureSet, spectrogram

Array = NDArray[np.floating]
Report = Callable[[str], None]


class Model(Protocol):
    """What a learner returns."""

    @property
    def settled(self) -> Mapping[str, float]:
        """What inner validation found for the final model: `epochs`, `temperature`, or nothing."""

    def predict_proba(self, X: Array) -> NDArray[np.float64]:
        """Return calibrated probabilities, shape (n, n_labels)."""

    def contents(self) -> dict[str, bytes]:
        """Return the files of a bundle by suffix; ``.onnx`` is what inference runs."""


@runtime_checkable
class SegmentModel(Protocol):
    """A model that judges the segments of a clip, and the clip by all of them."""

    def predict_segments(self, X: Array) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Return the clip of each segment, and probabilities, shape (n, n_labels)."""


class Learner(Protocol):
    """What learns from features: a scikit-learn pipeline, or a network."""

    @property
    def packages(self) -> Sequence[str]:
        """What its models depend on, for the record."""

    @property
    def settings(self) -> dict[str, Any]:
        """All that results depend on, as JSON can hold it."""

    def fit(
        self,
        versions: Sequence[Array],
        y: NDArray[np.intp],
        *,
        groups: NDArray[Any],
        n_labels: int,
        rows: NDArray[np.intp] | None = None,
        settled: Mapping[str, float] | None = None,
        folder: Path | None = None,
        report: Report = ...,
    ) -> Model:
        """Fit on the training side of a split.

        `versions` are the clips and copies of them, row by row; `y` places among the labels;
        `groups` what no inner split may tear apart; `rows` where the clips are in `versions`, if
        not all of it; `settled` what the folds found, for the final model; `folder` where a long
        training keeps its checkpoints.
        """


@dataclass(frozen=True)
class Recipe:
    """How a model is made, from a clip to calibrated probabilities.

    Attributes
    ----------
    name : str
        What commands and bundles call it.
    title : str
        One line for people.
    feature_set : str
        Name in `features.SETS`.
    make_learner : callable
        Returns the `Learner`; a function, as learners load heavy libraries.
    speeds : tuple of float
        Further copies of each training clip, played so many times faster.
    noisy_copies : int
        Further copies with white noise, each at an SNR of its own.
    snr : tuple of float
        Range of that SNR [dB].
    changes : tuple of tuple of features.Change
        Further copies, each with what is done to the clip, one after the other.
    normalized : bool
        Whether the features of a known voice are normalised where the protocol allows it. On
        validation speakers of RAVDESS, `cnn-lstm` gained less by it than two trainings differ.
    seeds : int
        Repeats of the protocol ``random``.
    version : int
        Raised whenever the recipe gives other models, so that no stored result outlives it.
    """

    name: str
    title: str
    feature_set: str
    make_learner: Callable[[], Learner]
    speeds: tuple[float, ...] = ()
    noisy_copies: int = 0
    snr: tuple[float, float] = (15.0, 30.0)
    changes: tuple[tuple[Change, ...], ...] = ()
    normalized: bool = True
    seeds: int = 10
    version: int = 1

    @property
    def features(self) -> FeatureSet:
        """The feature set itself."""
        return features.named(self.feature_set)

    @property
    def copies(self) -> tuple[FeatureSet, ...]:
        """The same features of the copies that only training sees."""
        faster = [features.with_speed(self.features, factor) for factor in self.speeds]
        noisy = [
            features.with_noise(self.features, snr=self.snr, draw=draw)
            for draw in range(1, self.noisy_copies + 1)
        ]
        changed = [features.with_changes(self.features, each) for each in self.changes]
        return (*faster, *noisy, *changed)

    @cached_property
    def learner(self) -> Learner:
        """What learns from the features."""
        return self.make_learner()

    @property
    def settings(self) -> dict[str, Any]:
        """All that results depend on, as JSON can hold it."""
        noise = {"noisy_copies": self.noisy_copies, "snr": list(self.snr)}
        changes = {"changes": [[each.settings for each in copy] for copy in self.changes]}
        return {
            "name": self.name,
            "version": self.version,
            "features": self.features.settings,
            "speeds": list(self.speeds),
            **(noise if self.noisy_copies else {}),
            **(changes if self.changes else {}),
            **self.learner.settings,
        }


@dataclass(frozen=True)
class Ensemble:
    """Several recipes whose probabilities are averaged.

    Attributes
    ----------
    name, title : str
        As of a `Recipe`.
    members : tuple of Recipe
    """

    name: str
    title: str
    members: tuple[Recipe, ...]

    @property
    def seeds(self) -> int:
        """Repeats of the protocol ``random``."""
        return min(each.seeds for each in self.members)

    @property
    def settings(self) -> dict[str, Any]:
        """All that results depend on, as JSON can hold it."""
        return {"name": self.name, "members": [each.settings for each in self.members]}


def _svm_classic() -> Learner:
    from sercourse import classical  # loads scikit-learn, which inference does without

    return classical.PipelineLearner(classical.svm_classic)


def _svm() -> Learner:
    from sercourse import classical

    return classical.PipelineLearner(classical.svm_whitened)


def _cnn_lstm_classic() -> Learner:
    training = networks.Training(
        epochs=60, batch_size=16, optimizer="sgd", learning_rate=0.01, patience=10
    )
    return networks.NetworkLearner(networks.cnn_lstm_classic, training)


def _unaugmented() -> networks.NetworkLearner:
    return networks.NetworkLearner(networks.cnn_lstm, networks.CNN_LSTM_TRAINING)


def _without_lstm() -> networks.NetworkLearner:
    return replace(_unaugmented(), options={"units": 0, "attention": False})


def _augmented() -> networks.NetworkLearner:
    return replace(_unaugmented(), augment=networks.augment_spectrograms)


def _cnn_lstm() -> Learner:
    return replace(_augmented(), members=2)


def _aesdd_cnn(number: int, **settings: Any) -> Callable[[], Learner]:
    """Return what makes the learner of one of the ancestor's networks on AESDD."""

    def make() -> Learner:
        builders = {
            1: networks.aesdd_cnn_1,
            2: networks.aesdd_cnn_2,
            3: networks.aesdd_cnn_3,
        }
        learner = networks.NetworkLearner(builders[number], networks.AESDD_TRAINING, **settings)
        return networks.SegmentLearner(learner, spectrogram.MEL_SEGMENTS_FLOOR_DB)

    return make


def _aesdd_cnn_ours() -> Learner:
    training = replace(networks.CNN_LSTM_TRAINING, epochs=25)
    learner = replace(
        _augmented(), training=training, members=2, options={"filters": [16, 32, 64, 128]}
    )
    return networks.SegmentLearner(learner, spectrogram.LOG_MEL_FLOOR_DB)


_SVM_CLASSIC = Recipe(
    "svm-classic",
    "the ancestor's SVM: 200 statistics, F-test, 140 principal components",
    feature_set="statistics",
    make_learner=_svm_classic,
)
_SVM = Recipe(
    "svm",
    "a linear SVM on whitened voice features, trained with slower and faster copies",
    feature_set="voice",
    make_learner=_svm,
    speeds=(0.9, 1.1),
)
_CNN_LSTM_CLASSIC = Recipe(
    "cnn-lstm-classic",
    "the ancestor's time-distributed CNN and LSTM on five windows of a mel spectrogram",
    feature_set="time-windows",
    make_learner=_cnn_lstm_classic,
    noisy_copies=2,
    seeds=3,
)
_CNN_LSTM = Recipe(
    "cnn-lstm",
    "convolutions over a mel spectrogram, an LSTM and attentive pooling",
    feature_set="log-mel",
    make_learner=_cnn_lstm,
    speeds=(0.87, 0.93, 1.07, 1.14),
    normalized=False,
    seeds=3,
)
_CNN_LSTM_STEPS = (
    Recipe(
        "cnn-lstm-step-1",
        "a step to cnn-lstm: convolutions over the mel spectrogram, averaged over time",
        feature_set="log-mel",
        make_learner=_without_lstm,
        normalized=False,
        seeds=3,
    ),
    Recipe(
        "cnn-lstm-step-2",
        "a step to cnn-lstm: the LSTM and attentive pooling",
        feature_set="log-mel",
        make_learner=_unaugmented,
        normalized=False,
        seeds=3,
    ),
    Recipe(
        "cnn-lstm-step-3",
        "a step to cnn-lstm: slower and faster copies",
        feature_set="log-mel",
        make_learner=_unaugmented,
        speeds=_CNN_LSTM.speeds,
        normalized=False,
        seeds=3,
    ),
    Recipe(
        "cnn-lstm-step-4",
        "a step to cnn-lstm: pictures that are augmented in every batch",
        feature_set="log-mel",
        make_learner=_augmented,
        speeds=_CNN_LSTM.speeds,
        normalized=False,
        seeds=3,
    ),
)
_ENSEMBLE = Ensemble(
    "svm+cnn-lstm", "the SVM and the CNN-LSTM, their probabilities averaged", (_SVM, _CNN_LSTM)
)
_AESDD_CNN_1, _AESDD_CNN_2, _AESDD_CNN_3 = (
    Recipe(
        f"aesdd-cnn-{number}",
        f"the ancestor's network on AESDD with {layers} convolutions, on mel segments of 3 s",
        feature_set="mel-segments",
        make_learner=_aesdd_cnn(number),
        normalized=False,
        seeds=3,
    )
    for number, layers in ((1, "two"), (2, "three"), (3, "four"))
)
# Two copies each, so that every variant but the masks shows the network three versions of a clip.
_COPIES = {
    "pitch": ((Change("pitch", -4, -4),), (Change("pitch", 4, 4),)),  # a third of an octave
    "noise": ((Change("noise", 15, 30, draw=1),), (Change("noise", 15, 30, draw=2),)),
    "stretch": ((Change("stretch", 0.8, 0.95),), (Change("stretch", 1.05, 1.25),)),
    "shift": ((Change("shift", -0.5, 0.0),), (Change("shift", 0.0, 0.5),)),
}
_AESDD_STUDY = (
    *(
        replace(
            _AESDD_CNN_3,
            name=f"aesdd-cnn-3+{name}",
            title=f"aesdd-cnn-3, trained with {what}",
            changes=_COPIES[name],
        )
        for name, what in (
            ("pitch", "copies a third of an octave lower and higher"),
            ("noise", "copies with white noise at 15 to 30 dB"),
            ("stretch", "slower and faster copies at the same pitch"),
            ("shift", "copies that begin up to half a second earlier and later"),
        )
    ),
    replace(
        _AESDD_CNN_3,
        name="aesdd-cnn-3+specaugment",
        title="aesdd-cnn-3, trained with runs of bands and frames hidden",
        make_learner=_aesdd_cnn(3, augment=networks.spec_augment),
    ),
    replace(
        _AESDD_CNN_3,
        name="aesdd-cnn-3+all",
        title="aesdd-cnn-3, trained with all of these copies and hidden runs",
        changes=tuple(copy for copies in _COPIES.values() for copy in copies),
        make_learner=_aesdd_cnn(3, augment=networks.spec_augment),
    ),
)
_AESDD_CNN = Recipe(
    "aesdd-cnn",
    "the CNN-LSTM on mel segments of 3 s, a clip judged by all of its segments",
    feature_set="log-mel-segments",
    make_learner=_aesdd_cnn_ours,
    speeds=(0.87, 0.93, 1.07, 1.14),
    normalized=False,
    seeds=3,
)

_ALL: tuple[Recipe | Ensemble, ...] = (
    _SVM_CLASSIC,
    _SVM,
    _CNN_LSTM_CLASSIC,
    _CNN_LSTM,
    *_CNN_LSTM_STEPS,
    _ENSEMBLE,
    _AESDD_CNN_1,
    _AESDD_CNN_2,
    _AESDD_CNN_3,
    *_AESDD_STUDY,
    _AESDD_CNN,
)
RECIPES: Mapping[str, Recipe | Ensemble] = MappingProxyType({each.name: each for each in _ALL})
"""The recipes by name."""


def recipe(name: str) -> Recipe | Ensemble:
    """Return the recipe of that name.

    Raises
    ------
    ValueError
        If there is none; the sentence names those that there are.

    Examples
    --------
    >>> recipe("svm-classic").feature_set
    'statistics'
    """
    if name not in RECIPES:
        raise ValueError(f"unknown recipe {name!r}: use one of {', '.join(RECIPES)}")
    return RECIPES[name]


def seeded(chosen: Recipe | Ensemble, seed: int) -> Recipe:
    """Return the same recipe, whose network starts and is shown its clips by another seed.

    With seed 0 its results are stored where those of the recipe itself are, as they are the same.

    Raises
    ------
    ValueError
        If nothing in it is drawn at random, so that a seed would change nothing, or it is an
        ensemble.

    Examples
    --------
    >>> seeded(recipe("aesdd-cnn-3"), 2).name
    'aesdd-cnn-3'
    """
    if isinstance(chosen, Ensemble):
        raise ValueError(f"{chosen.name!r} is an ensemble: give each of its members a seed")
    learner: Any = chosen.learner
    if not hasattr(learner, "seeded"):
        raise ValueError(
            f"recipe {chosen.name!r} draws nothing at random: it gives the same model each time, "
            "and needs no seed"
        )
    other: Learner = learner.seeded(seed)
    return replace(chosen, make_learner=lambda: other)
