"""What a recipe is: what is measured on a clip, which copies are added, and which model learns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sercourse import features
from sercourse.features import Change, FeatureSet

Array = NDArray[np.floating]
Report = Callable[[str], None]


class Model(Protocol):
    """What a learner returns."""

    @property
    def selected(self) -> Mapping[str, float]:
        """What inner validation found for the final model: `epochs`, `temperature`, or nothing."""

    def predict_proba(self, X: Array) -> NDArray[np.float64]:
        """Return calibrated probabilities, shape (n, n_labels)."""

    def contents(self) -> dict[str, bytes]:
        """Return the files of a bundle by suffix; ``.onnx`` is what inference runs."""


class Learner(Protocol):
    """What learns from features: a scikit-learn pipeline, or a network."""

    @property
    def packages(self) -> Sequence[str]:
        """What its models depend on, for the record."""

    @property
    def takes_weights(self) -> bool:
        """Whether it can let some clips count for more."""

    @property
    def settings(self) -> dict[str, Any]:
        """What a bundle tells of it, as JSON can hold it."""

    @property
    def key(self) -> list[Any]:
        """All that results depend on, versions of libraries too, for `files.digest`."""

    def fit(
        self,
        versions: Sequence[Array],
        y: NDArray[np.intp],
        *,
        groups: NDArray[Any],
        n_labels: int,
        rows: NDArray[np.intp] | None = None,
        weights: NDArray[np.floating] | None = None,
        selected: Mapping[str, float] | None = None,
        folder: Path | None = None,
        report: Report = ...,
    ) -> Model:
        """Fit on the training side of a split.

        `versions` are the clips and copies of them, row by row; `y` places among the labels;
        `groups` what no inner split may tear apart; `rows` where the clips are in `versions`, if
        not all of it; `weights` how much each clip counts, if not all the same; `selected` what the
        folds found, for the final model; `folder` where a long training keeps its checkpoints.
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
        """What a bundle tells of it, as JSON can hold it."""
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

    @property
    def key(self) -> list[Any]:
        """All that results depend on, for the keys of what is stored, see `files.digest`.

        That is more than `settings`, by which shipped bundles are known: every parameter of the
        model and the versions of the libraries that compute. So what was stored under another
        version of a library is computed anew, and never mixed with folds of this one.
        """
        return [self.settings, self.features.key, self.learner.key]


@dataclass(frozen=True)
class Ensemble:
    """Several recipes whose probabilities are averaged.

    Attributes
    ----------
    name, title : str
        As of a `Recipe`.
    members : tuple of Recipe
    weights : tuple of float
        How much each member counts; alike unless given.
    """

    name: str
    title: str
    members: tuple[Recipe, ...]
    weights: tuple[float, ...] = ()

    @property
    def seeds(self) -> int:
        """Repeats of the protocol ``random``."""
        return min(each.seeds for each in self.members)

    @property
    def settings(self) -> dict[str, Any]:
        """What a bundle tells of it, as JSON can hold it."""
        weights = {"weights": list(self.weights)} if self.weights else {}
        return {"name": self.name, "members": [each.settings for each in self.members], **weights}


def with_heads(chosen: Recipe, sizes: tuple[int, int]) -> Recipe:
    """Return the same recipe for labels that are pairs of two kinds, so many of each.

    A network gets a head for each kind. What has no heads learns the pairs as they are.

    Examples
    --------
    >>> from sercourse.recipes import recipe
    >>> with_heads(recipe("cnn-lstm"), (8, 2)).settings["heads"]
    [8, 2]
    """
    learner: Any = chosen.learner
    if not hasattr(learner, "with_heads"):
        return chosen
    other: Learner = learner.with_heads(*sizes)
    return replace(chosen, make_learner=lambda: other)


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
    >>> from sercourse.recipes import recipe
    >>> seeded(recipe("aesdd-cnn-3"), 2).name
    'aesdd-cnn-3'
    """
    return _changed(chosen, "seeded", seed, wanted="a seed")


def in_precision(chosen: Recipe | Ensemble, name: str) -> Recipe:
    """Return the same recipe, whose network is trained in ``float32`` or ``bfloat16``.

    Raises
    ------
    ValueError
        If it has no network, or there is no such precision.

    Examples
    --------
    >>> from sercourse.recipes import recipe
    >>> in_precision(recipe("aesdd-cnn-3"), "bfloat16").settings["training"]["precision"]
    'bfloat16'
    """
    return _changed(chosen, "in_precision", name, wanted="a precision")


def _changed(chosen: Recipe | Ensemble, method: str, value: Any, *, wanted: str) -> Recipe:
    """Return the recipe with the learner that a method of its learner returns."""
    if isinstance(chosen, Ensemble):
        raise ValueError(f"{chosen.name!r} is an ensemble: give each of its members {wanted}")
    learner: Any = chosen.learner
    if not hasattr(learner, method):
        raise ValueError(
            f"recipe {chosen.name!r} trains no network: it gives the same model each time, "
            f"and has no use for {wanted}"
        )
    other: Learner = getattr(learner, method)(value)
    return replace(chosen, make_learner=lambda: other)
