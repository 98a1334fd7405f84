"""Recipes of the scikit-learn toolkit: its estimators on means of librosa's descriptors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sercourse import features, networks
from sercourse.recipes.recipe import Learner, Recipe

_TITLES = {
    "svc": "a support vector machine with radial basis functions",
    "adaboost": "AdaBoost on small trees",
    "random-forest": "a random forest",
    "gradient-boosting": "gradient boosting of small trees",
    "decision-tree": "one decision tree",
    "knn": "the nearest neighbours",
    "mlp": "a multi-layer perceptron",
    "bagging": "bagging of trees",
}


RNN = "rnn"


def from_zoo(
    name: str,
    settings: Mapping[str, Any] | None = None,
    *,
    feature_set: str = "librosa",
    weighted: bool = False,
) -> Recipe:
    """Return the recipe of one of the toolkit's classifiers.

    Parameters
    ----------
    name : str
        A name in `classical.CLASSIFIERS`, or ``rnn``.
    settings : mapping, optional
        Of the estimator, as a search found them; else inner validation chooses among the grid's.
    feature_set : str
        Vectors, such as ``librosa:mfcc+chroma``.
    weighted : bool
        Whether every emotion counts as much as any other, however few clips it has. To ``rnn`` it
        always does.

    Raises
    ------
    ValueError
        If there is no such estimator, or the features are no vectors.

    Examples
    --------
    >>> from_zoo("knn", {"model__n_neighbors": 7}).learner.make()["model"]
    KNeighborsClassifier(n_neighbors=7)
    """
    if name not in (*_TITLES, RNN):
        known = ", ".join((*_TITLES, RNN))
        raise ValueError(f"there is no classifier {name!r} in the zoo: use {known}")
    refuse_arrays(feature_set)
    make = _rnn(settings) if name == RNN else _pipeline(name, settings, weighted=weighted)
    return Recipe(
        f"toolkit-{name}",
        f"the toolkit: {_TITLES.get(name, 'LSTMs and dense layers')} on {feature_set} features",
        feature_set=feature_set,
        make_learner=make,
        normalized=False,
        seeds=3 if name == RNN else 10,
    )


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


def _pipeline(
    name: str, settings: Mapping[str, Any] | None, *, weighted: bool
) -> Callable[[], Learner]:
    def make() -> Learner:
        from sercourse import classical  # loads scikit-learn, which inference does without

        estimator = classical.CLASSIFIERS[name]
        if settings is None:
            return classical.PipelineLearner(estimator.make, estimator.grid, weighted=weighted)
        return classical.PipelineLearner(
            lambda: estimator.make().set_params(**settings), weighted=weighted
        )

    return make


def _rnn(settings: Mapping[str, Any] | None) -> Callable[[], Learner]:
    def make() -> Learner:
        return networks.NetworkLearner(
            networks.rnn, networks.RNN_TRAINING, options=settings or {}, standardized=True
        )

    return make


RECIPES: tuple[Recipe, ...] = tuple(from_zoo(name) for name in (*_TITLES, RNN))
