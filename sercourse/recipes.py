"""Recipes: features, augmentation, model, and how to fit; those of the course are a TOML table."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sercourse import classical, features
from sercourse.augment import Augmentation
from sercourse.classical import FittedPipeline, PipelineLearner
from sercourse.features import FeatureSet
from sercourse.networks import Training, builders
from sercourse.networks.learner import FittedNetwork, NetworkLearner

Report = Callable[[str], None]
Copies = tuple[tuple[Augmentation, ...], ...]
Learner = PipelineLearner | NetworkLearner
Model = FittedPipeline | FittedNetwork

RNN = "rnn"


def silent(line: str) -> None:
    """Report nothing."""


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
    members : tuple of Recipe
        Of an ensemble: recipes whose probabilities are averaged. It has no features and no learner
        of its own.
    weights : tuple of float
        How much each member counts; alike unless given.
    """

    name: str
    title: str
    feature_set: str = ""
    learner: Learner = None  # type: ignore[assignment]  # only ensembles go without one
    augmentations: Copies = ()
    normalized: bool = True
    seeds: int = 10
    version: int = 1
    members: tuple[Recipe, ...] = ()
    weights: tuple[float, ...] = ()

    @property
    def parts(self) -> tuple[Recipe, ...]:
        """The members of an ensemble; of any other recipe, itself."""
        return self.members or (self,)

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
        if self.members:
            weights = {"weights": list(self.weights)} if self.weights else {}
            members = [each.settings for each in self.members]
            return {"name": self.name, "members": members, **weights}
        # As bundles tell it since before there were `augmentations`: speeds come first, and apart.
        speeds = [each[0].low for each in self.augmentations if each[0].kind == "speed"]
        rest = [[step.settings for step in each] for each in self.augmentations[len(speeds) :]]
        return {
            "name": self.name,
            "version": self.version,
            "features": self.features.settings,
            "speeds": speeds,
            **({"changes": rest} if rest else {}),
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


def has_setting(chosen: Recipe, name: str) -> bool:
    """Return whether the learner of a recipe, or its training, has a setting of that name."""
    learner = chosen.learner
    return hasattr(learner, name) or hasattr(getattr(learner, "training", None), name)


def with_settings(chosen: Recipe, **settings: Any) -> Recipe:
    """Return the same recipe with other settings of its learner, or of its training.

    Networks have, among others, `seed`, `precision` and `heads`: the numbers of labels of two kinds
    whose pairs are the labels, for a head each. Pipelines have `weighted`. With seed 0 results are
    stored where those of the recipe itself are, as they are the same.

    Raises
    ------
    ValueError
        If there is no such setting, or the recipe is an ensemble.

    Examples
    --------
    >>> with_settings(recipe("cnn-lstm"), heads=(8, 2)).settings["heads"]
    [8, 2]
    """
    if chosen.members:
        raise ValueError(f"{chosen.name!r} is an ensemble: change the settings of its members")
    learner: Any = chosen.learner
    for name, value in settings.items():
        if not has_setting(chosen, name):
            raise ValueError(
                f"recipe {chosen.name!r} has no setting {name!r}: it trains no network, choose one "
                "that does"
            )
        told = {name: value}
        if not hasattr(learner, name):
            told = {"training": replace(learner.training, **told)}
        learner = replace(learner, **told)
    return replace(chosen, learner=learner)


def with_encoder(chosen: Recipe, encoder: Path) -> Recipe:
    """Return the same recipe with another speech encoder.

    Parameters
    ----------
    chosen : Recipe
        One with the features ``whisper``.
    encoder : Path
        ONNX file that ``tools/make_speech_encoder.py`` made.

    Raises
    ------
    ValueError
        If the recipe uses no speech encoder.
    """

    def changed(part: Recipe) -> Recipe:
        if part.feature_set != "whisper":
            return part
        other, learner = replace(part, feature_set=f"whisper:{encoder}"), part.learner
        assert isinstance(learner, PipelineLearner)
        n_layers = features.whisper.count_layers(other.features.names)
        return with_settings(other, model=learner.pipeline().set_params(lda__n_layers=n_layers))

    if not any(each.feature_set == "whisper" for each in chosen.parts):
        raise ValueError(f"recipe {chosen.name!r} uses no speech encoder: choose another recipe")
    parts = tuple(map(changed, chosen.parts))
    return replace(chosen, members=parts) if chosen.members else parts[0]


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


def from_zoo(
    name: str, params: Mapping[str, Any] | None = None, *, feature_set: str = "librosa"
) -> Recipe:
    """Return the recipe of one of the toolkit's classifiers.

    Parameters
    ----------
    name : str
        A name in `classical.CLASSIFIERS`, or ``rnn``.
    params : mapping, optional
        Of the estimator, as a search found them; else inner validation chooses among the grid's.
    feature_set : str
        Vectors, such as ``librosa:mfcc+chroma``.

    Raises
    ------
    ValueError
        If there is no such estimator, or the features are no vectors.

    Examples
    --------
    >>> from_zoo("knn", {"model__n_neighbors": 7}).learner.pipeline()["model"]
    KNeighborsClassifier(n_neighbors=7)
    """
    known = (*classical.CLASSIFIERS, RNN)
    if name not in known:
        raise ValueError(f"there is no classifier {name!r} in the zoo: use {', '.join(known)}")
    refuse_arrays(feature_set)
    if name == RNN:
        network = NetworkLearner(builders.rnn, TRAININGS[RNN], standardized=True)
        learner: Learner = replace(network, options=params or {})
    else:
        learner = classical.CLASSIFIERS[name]
        if params is not None:
            learner = PipelineLearner(learner.pipeline().set_params(**params))
    title, seeds = f"the toolkit's {name} on {feature_set} features", 3 if name == RNN else 10
    return Recipe(f"toolkit-{name}", title, feature_set, learner, normalized=False, seeds=seeds)


def _recipe(name: str) -> Recipe:
    """Make the recipe of an entry of the table."""
    told = _told(name)
    copies = [_TABLE["copies"][group] for group in told.pop("copies", ())]
    told["augmentations"] = tuple(
        tuple(Augmentation(*step) for step in copy) for group in copies for copy in group
    )
    told["members"] = tuple(map(_recipe, told.get("members", ())))
    told["weights"] = tuple(told.get("weights", ()))
    if "network" in told:
        own = told.pop("network")
        own["training"] = TRAININGS[own["training"]]
        for key in ("build", "augment"):
            own[key] = getattr(builders, own[key]) if key in own else None
        told = {"normalized": False, "seeds": 3, "learner": NetworkLearner(**own), **told}
    elif "pipeline" in told:
        own = told.pop("pipeline")
        zoo = classical.CLASSIFIERS.get(own.get("zoo"))
        model = zoo.pipeline() if zoo else getattr(classical, own["make"])()
        params = own.get("params", {}).items()  # scikit-learn's own settings are tuples
        params = {k: tuple(v) if isinstance(v, list) else v for k, v in params}
        told["learner"] = PipelineLearner(model.set_params(**params))
    return Recipe(name, **told)


def _told(name: str) -> dict[str, Any]:
    """Return an entry of the table, completed by what the recipe that it is like says."""
    own = dict({**_TABLE["recipe"], **_TABLE["voices"]}[name])
    told = _told(own.pop("like")) if "like" in own else {}
    learners = {kind: {**told.get(kind, {}), **own[kind]} for kind in _LEARNERS if kind in own}
    return {**told, **own, **learners}


_LEARNERS = ("pipeline", "network")
_TABLE = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
TRAININGS = {name: Training(**told) for name, told in _TABLE["training"].items()}
"""How networks are trained, by name."""

_ZOO = (from_zoo(name) for name in (*classical.CLASSIFIERS, RNN))
_ALL = (*map(_recipe, _TABLE["recipe"]), *_ZOO)
RECIPES: Mapping[str, Recipe] = {each.name: each for each in _ALL}
"""The recipes by name."""

VOICES, WHISPER_VOICES = map(_recipe, _TABLE["voices"])
"""What tells female from male voices in bundles, the second in those that use the encoder anyway.
"""


def recipe(name: str) -> Recipe:
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
