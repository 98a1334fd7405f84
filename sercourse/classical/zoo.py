"""The toolkit's estimators: eight classifiers, six regressors, and what to choose among for each.

They are those of github.com/x4nth055/emotion-recognition-using-speech. Grids are small: each
estimator gets the settings that matter most, and a search of all of them takes minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    BaggingRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

EPOCHS = 60  # of multi-layer perceptrons

_BY_THRESHOLD = ("sklearn.tree", "sklearn.ensemble")


@dataclass(frozen=True)
class Estimator:
    """One of the zoo.

    Attributes
    ----------
    name : str
        What commands call it.
    title : str
        What tables and figures call it.
    make : callable
        Returns an unfitted pipeline whose last step is called ``model``.
    grid : mapping
        Settings of the pipeline that validation chooses among.
    """

    name: str
    title: str
    make: Callable[[], Pipeline]
    grid: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)


def pipeline(model: BaseEstimator) -> Pipeline:
    """Return a pipeline of an unfitted copy of an estimator, with a scaler where it needs one.

    Trees compare one feature with a threshold, so scaling changes nothing for them, but would
    round a threshold to the other side of a value when the model is exported. What is a pipeline
    already is taken as it is.

    Examples
    --------
    >>> [name for name, _ in pipeline(SVC()).steps], [n for n, _ in pipeline(SVR()).steps]
    (['scale', 'model'], ['scale', 'model'])
    >>> [name for name, _ in pipeline(DecisionTreeClassifier()).steps]
    ['model']
    """
    model = clone(model)
    if isinstance(model, Pipeline):
        return model
    if _has_thresholds(model):
        return Pipeline([("model", model)])
    return Pipeline([("scale", StandardScaler()), ("model", model)])


def _has_thresholds(model: BaseEstimator) -> bool:
    """Return whether it is a tree, or an ensemble of trees."""
    inner = getattr(model, "estimator", None)  # of bagging and boosting; None for trees
    if isinstance(inner, BaseEstimator):
        return _has_thresholds(inner)
    return type(model).__module__.startswith(_BY_THRESHOLD)


def weighted(model: Pipeline) -> Pipeline:
    """Let every class count as much as any other, however few clips it has; in place.

    Raises
    ------
    ValueError
        If no step of the pipeline takes weights.

    Examples
    --------
    >>> weighted(pipeline(SVC()))["model"].class_weight
    'balanced'
    """
    names = [name for name in model.get_params() if name.endswith("class_weight")]
    if not names:
        raise ValueError(
            f"{type(model[-1]).__name__} takes no weights for classes: balance the clips with "
            "'undersample', or choose another model"
        )
    return model.set_params(**dict.fromkeys(names, "balanced"))


def _svc() -> Pipeline:
    return pipeline(SVC())


def _adaboost() -> Pipeline:
    # A tree that looks at a few features for each question is ten times faster and varies more.
    tree = DecisionTreeClassifier(max_depth=3, max_features="sqrt")
    return pipeline(AdaBoostClassifier(tree, n_estimators=100, random_state=0))


def _random_forest() -> Pipeline:
    return pipeline(RandomForestClassifier(n_estimators=100, random_state=0))


def _gradient_boosting() -> Pipeline:
    return pipeline(
        GradientBoostingClassifier(
            n_estimators=60, subsample=0.7, max_features="sqrt", random_state=0
        )
    )


def _decision_tree() -> Pipeline:
    return pipeline(DecisionTreeClassifier(random_state=0))


def _knn() -> Pipeline:
    return pipeline(KNeighborsClassifier())


def _mlp() -> Pipeline:
    return pipeline(MLPClassifier(max_iter=EPOCHS, random_state=0))


def _bagging() -> Pipeline:
    tree = DecisionTreeClassifier(min_samples_leaf=2)
    return pipeline(BaggingClassifier(tree, n_estimators=30, random_state=0))


def _svr() -> Pipeline:
    return pipeline(SVR())


def _random_forest_regressor() -> Pipeline:
    return pipeline(RandomForestRegressor(n_estimators=100, max_features="sqrt", random_state=0))


def _gradient_boosting_regressor() -> Pipeline:
    return pipeline(GradientBoostingRegressor(subsample=0.7, max_features="sqrt", random_state=0))


def _knn_regressor() -> Pipeline:
    return pipeline(KNeighborsRegressor())


def _mlp_regressor() -> Pipeline:
    return pipeline(MLPRegressor(max_iter=EPOCHS, random_state=0))


def _bagging_regressor() -> Pipeline:
    tree = DecisionTreeRegressor(min_samples_leaf=2)
    return pipeline(BaggingRegressor(tree, n_estimators=30, random_state=0))


# Smaller leaves make a forest of more than 5 MB of all of RAVDESS.
_LEAVES = {"model__min_samples_leaf": (3, 6)}
_BOOSTING = {"model__learning_rate": (0.1, 0.2), "model__max_depth": (2, 4)}
_NEIGHBOURS = {"model__n_neighbors": (3, 5, 9, 15), "model__p": (1, 2)}
_LAYERS = {"model__hidden_layer_sizes": ((64,), (128,), (128, 64)), "model__alpha": (0.01, 1.0)}
_BAGS = {"model__max_features": (0.2, 0.5)}


def _by_name(*estimators: Estimator) -> Mapping[str, Estimator]:
    return MappingProxyType({each.name: each for each in estimators})


CLASSIFIERS: Mapping[str, Estimator] = _by_name(
    Estimator("svc", "SVC", _svc, {"model__C": (1, 3, 10, 30), "model__gamma": ("scale", 0.002)}),
    Estimator(
        "adaboost",
        "AdaBoost",
        _adaboost,
        {"model__estimator__max_depth": (2, 5), "model__learning_rate": (0.3, 1.0)},
    ),
    Estimator("random-forest", "random forest", _random_forest, _LEAVES),
    Estimator("gradient-boosting", "gradient boosting", _gradient_boosting, _BOOSTING),
    Estimator(
        "decision-tree",
        "decision tree",
        _decision_tree,
        {"model__max_depth": (4, 7, None), "model__min_samples_leaf": (3, 10)},
    ),
    Estimator("knn", "k-NN", _knn, _NEIGHBOURS),
    Estimator("mlp", "MLP", _mlp, _LAYERS),
    Estimator("bagging", "bagging", _bagging, _BAGS),
)
"""Those that name an emotion, by name."""

REGRESSORS: Mapping[str, Estimator] = _by_name(
    Estimator("svr", "SVR", _svr, {"model__C": (0.3, 1, 3), "model__epsilon": (0.1, 0.5)}),
    Estimator("random-forest", "random forest", _random_forest_regressor, _LEAVES),
    Estimator("gradient-boosting", "gradient boosting", _gradient_boosting_regressor, _BOOSTING),
    Estimator("knn", "k-NN", _knn_regressor, _NEIGHBOURS),
    Estimator("mlp", "MLP", _mlp_regressor, _LAYERS),
    Estimator("bagging", "bagging", _bagging_regressor, _BAGS),
)
"""Those that estimate the place of an emotion in an order, by name."""
