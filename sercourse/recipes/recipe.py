"""What a recipe is: what is measured on a clip, which copies are added, and which model learns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sercourse import features
from sercourse.augment import Augmentation
from sercourse.features import FeatureSet

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
    learner : Learner
        What learns from the features.
    augmentations : tuple of tuple of Augmentation
        Further copies of each training clip: what is done to the clip, one after the other.
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
    learner: Learner
    augmentations: tuple[tuple[Augmentation, ...], ...] = ()
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
        return tuple(features.augmented(self.features, *each) for each in self.augmentations)

    @property
    def settings(self) -> dict[str, Any]:
        """What a bundle tells of it, as JSON can hold it."""
        # As bundles tell it since before there were `augmentations`: speeds apart from the rest.
        speeds = [each[0].low for each in self.augmentations if each[0].kind == "speed"]
        others = [
            [step.settings for step in each]
            for each in self.augmentations
            if each[0].kind != "speed"
        ]
        return {
            "name": self.name,
            "version": self.version,
            "features": self.features.settings,
            "speeds": speeds,
            **({"changes": others} if others else {}),
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


def has_setting(chosen: Recipe, name: str) -> bool:
    """Return whether the learner of a recipe, or a part of it, has a setting of that name."""
    return _with_setting(chosen.learner, name, None) is not None


def with_settings(chosen: Recipe | Ensemble, **settings: Any) -> Recipe:
    """Return the same recipe with other settings of its learner, or of a part of it.

    Networks have, among others, `seed`, `precision` and `heads`: the numbers of labels of two kinds
    whose pairs are the labels, for a head each. Pipelines have `weighted`. With seed 0 results are
    stored where those of the recipe itself are, as they are the same.

    Raises
    ------
    ValueError
        If there is no such setting, or the recipe is an ensemble.

    Examples
    --------
    >>> from sercourse.recipes import recipe
    >>> with_settings(recipe("cnn-lstm"), heads=(8, 2)).settings["heads"]
    [8, 2]
    """
    if isinstance(chosen, Ensemble):
        raise ValueError(f"{chosen.name!r} is an ensemble: change the settings of its members")
    learner: Any = chosen.learner
    for name, value in settings.items():
        learner = _with_setting(learner, name, value)
        if learner is None:
            raise ValueError(f"recipe {chosen.name!r} has no setting {name!r}: choose a network")
    return replace(chosen, learner=learner)


def _with_setting(part: Any, name: str, value: Any) -> Any:
    """Return the dataclass with another value of a field, its own or a part's; None without one."""
    for each in fields(part) if is_dataclass(part) else ():
        other = value if each.name == name else _with_setting(getattr(part, each.name), name, value)
        if each.name == name or other is not None:
            return replace(part, **{each.name: other})
    return None


def with_encoder(chosen: Recipe | Ensemble, encoder: Path) -> Recipe | Ensemble:
    """Return the same recipe with another speech encoder.

    Parameters
    ----------
    chosen : Recipe or Ensemble
        One with the features ``whisper``.
    encoder : Path
        ONNX file that ``tools/make_speech_encoder.py`` made.

    Raises
    ------
    ValueError
        If the recipe uses no speech encoder.
    """
    members = chosen.members if isinstance(chosen, Ensemble) else (chosen,)
    if not any(each.feature_set == "whisper" for each in members):
        raise ValueError(f"recipe {chosen.name!r} uses no speech encoder: choose another recipe")
    feature_set = f"whisper:{encoder}"
    n_layers = features.whisper.count_layers(features.named(feature_set).names)

    def changed(member: Recipe) -> Recipe:
        if member.feature_set != "whisper":
            return member
        params = {**member.learner.params, "lda__n_layers": n_layers}  # type: ignore[attr-defined]
        return with_settings(replace(member, feature_set=feature_set), params=params)

    if isinstance(chosen, Ensemble):
        return replace(chosen, members=tuple(changed(each) for each in members))
    return changed(chosen)


def refuse_arrays(feature_set: str) -> None:
    """Refuse features that are no vectors, which is what scikit-learn learns from.

    Raises
    ------
    ValueError
        If a clip is an array of several dimensions, or there is no such set.
    """
    if shape := features.named(feature_set).shape:
        raise ValueError(
            f"{feature_set!r} describes a clip by an array of shape {shape}, and scikit-learn "
            "wants one row of numbers: use a set such as librosa, statistics or voice"
        )
