"""Classical models: the course's pipelines and the toolkit's estimators, with what to search.

The toolkit is github.com/x4nth055/emotion-recognition-using-speech: eight classifiers and six
regressors. Grids are small: each estimator gets the settings that matter most.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    BaggingRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_selection import SelectFpr, VarianceThreshold, f_classif
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.utils.validation import check_is_fitted

Array = NDArray[np.floating]

EPOCHS = 60  # of multi-layer perceptrons


class CappedPCA(TransformerMixin, BaseEstimator):
    """Principal components, at most as many as the training data have.

    Parameters
    ----------
    n_components : int
        Components wanted; fewer are kept where there are fewer clips or features.
    """

    def __init__(self, n_components: int = 140) -> None:
        self.n_components = n_components

    def fit(self, X: Array, y: ArrayLike | None = None) -> CappedPCA:
        """Find the components of `X`, shape (n_clips, n_features)."""
        n_components = min(self.n_components, *X.shape)
        self.pca_ = PCA(n_components, svd_solver="full").fit(X)  # exact, whatever the size
        return self

    def transform(self, X: Array) -> Array:
        """Return the clips' coordinates, shape (n_clips, n_components)."""
        check_is_fitted(self)
        return self.pca_.transform(X)


class WithinClassWhitening(TransformerMixin, BaseEstimator):
    """Turn and stretch the features so that clips of one emotion spread alike in all directions.

    Directions in which clips of one emotion differ much, as from voice to voice, lose weight.

    Parameters
    ----------
    shrinkage : float
        From 0, the covariance as measured, to 1, a multiple of the identity.

    References
    ----------
    Hatch, Kajarekar and Stolcke, "Within-class covariance normalization for SVM-based speaker
    recognition", 2006, doi:10.21437/Interspeech.2006-183.
    """

    def __init__(self, shrinkage: float = 0.8) -> None:
        self.shrinkage = shrinkage

    def fit(self, X: Array, y: ArrayLike) -> WithinClassWhitening:
        """Estimate the covariance within the classes `y`, shape (n_clips,), of `X`."""
        _, covariance = _class_statistics(X, y, shrinkage=self.shrinkage)
        # Any square root of the inverse whitens; that of Cholesky costs a tenth of the symmetric
        # one, and a linear SVM does not see the rotation between them.
        root = scipy.linalg.cholesky(covariance, lower=True)
        projection = scipy.linalg.solve_triangular(root, np.eye(len(root)), lower=True).T
        # The common factor makes the mean squared length of a clip one, whatever the features.
        self.projection_ = projection / np.sqrt(np.mean(np.sum((X @ projection) ** 2, axis=1)))
        return self

    def transform(self, X: Array) -> Array:
        """Return the whitened clips, shape (n_clips, n_features)."""
        check_is_fitted(self)
        return X @ self.projection_


class LayerLDA(LinearDiscriminantAnalysis):
    """Linear discriminant analysis of each layer's features by itself, the scores averaged.

    The average of linear scores is linear: the model is one matrix. Every class counts alike.

    Parameters
    ----------
    n_layers : int
        Equal blocks of features.
    layers : tuple of int, optional
        The blocks that are used; all but the first, that of the convolutions, unless given.
    shrinkage : float
        Of the covariance within the classes: from 0, as measured, to 1, a multiple of the identity.

    References
    ----------
    Fisher, "The use of multiple measurements in taxonomic problems", 1936,
    doi:10.1111/j.1469-1809.1936.tb02137.x.
    """

    def __init__(
        self, n_layers: int = 5, layers: tuple[int, ...] | None = None, shrinkage: float = 0.2
    ) -> None:
        self.n_layers = n_layers
        self.layers = layers
        self.shrinkage = shrinkage

    def fit(self, X: Array, y: ArrayLike, sample_weight: ArrayLike | None = None) -> LayerLDA:
        """Fit the discriminants of `X`, shape (n_clips, n_features), whose classes are `y`."""
        self.classes_ = np.unique(y)
        coef = np.zeros((len(self.classes_), X.shape[1]))
        intercept = np.zeros(len(self.classes_))
        blocks = np.array_split(np.arange(X.shape[1]), self.n_layers)
        used = range(1, self.n_layers) if self.layers is None else self.layers
        for columns in (blocks[layer] for layer in used):
            means, covariance = _class_statistics(
                X[:, columns], y, shrinkage=self.shrinkage, sample_weight=sample_weight
            )
            coef[:, columns] = scipy.linalg.solve(covariance, means.T, assume_a="pos").T
            intercept = intercept - (means * coef[:, columns]).sum(axis=1) / 2
        if len(self.classes_) == 2:  # one score, as scikit-learn has it
            coef, intercept = coef[1:] - coef[:1], intercept[1:] - intercept[:1]
        self.coef_, self.intercept_ = coef / len(used), intercept / len(used)
        return self


def _class_statistics(
    X: Array, y: ArrayLike, *, shrinkage: float, sample_weight: ArrayLike | None = None
) -> tuple[Array, Array]:
    """Return the mean of each class and the shrunk covariance within them."""
    _, codes = np.unique(y, return_inverse=True)
    weights = np.ones(len(X)) if sample_weight is None else np.asarray(sample_weight, dtype=float)
    members = np.eye(codes.max() + 1)[codes] * weights[:, np.newaxis]
    means = members.T @ X / members.sum(axis=0)[:, np.newaxis]
    residuals = X - means[codes]
    covariance = (residuals * weights[:, np.newaxis]).T @ residuals / weights.sum()
    level = np.trace(covariance) / len(covariance)
    covariance *= 1 - shrinkage
    covariance[np.diag_indices_from(covariance)] += shrinkage * level
    return means, covariance


def svm_classic() -> Pipeline:
    """Return the baseline's SVM: F-test, principal components, radial basis functions."""
    return Pipeline(
        [
            ("varying", VarianceThreshold()),  # the F-test of a constant is undefined
            ("scale", StandardScaler()),
            ("select", SelectFpr(f_classif, alpha=0.01)),
            ("pca", CappedPCA(140)),
            ("svm", SVC(C=3, gamma=0.005)),
        ]
    )


def svm_whitened() -> Pipeline:
    """Return a linear SVM on features whitened within the emotions."""
    svm = LinearSVC(C=0.3, dual=False, tol=1e-3)
    steps = [("scale", StandardScaler()), ("whiten", WithinClassWhitening()), ("svm", svm)]
    return Pipeline(steps)


def logistic() -> Pipeline:
    """Return a logistic regression, regularised for more features than clips."""
    model = LogisticRegression(C=0.01, max_iter=500)
    return Pipeline([("scale", StandardScaler()), ("logistic", model)])


def layer_lda() -> Pipeline:
    """Return linear discriminants of the layers of a speech encoder, see `LayerLDA`."""
    return Pipeline([("scale", StandardScaler()), ("lda", LayerLDA())])


def pipeline(model: BaseEstimator) -> Pipeline:
    """Return a pipeline of an unfitted copy of an estimator, with a scaler where it needs one.

    Trees compare one feature with a threshold, so scaling changes nothing for them, but would
    round a threshold to the other side of a value when the model is exported. What is a pipeline
    already is taken as it is.

    Examples
    --------
    >>> [name for name, _ in pipeline(SVC()).steps]
    ['scale', 'model']
    >>> [name for name, _ in pipeline(DecisionTreeClassifier()).steps]
    ['model']
    """
    model = clone(model)
    if isinstance(model, Pipeline):
        return model
    inner = model
    while isinstance(getattr(inner, "estimator", None), BaseEstimator):  # bagging and boosting
        inner = inner.estimator
    if type(inner).__module__.startswith(("sklearn.tree", "sklearn.ensemble")):
        return Pipeline([("model", model)])
    return Pipeline([("scale", StandardScaler()), ("model", model)])


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


@dataclass(frozen=True)
class Estimator:
    """One of the toolkit's estimators.

    Attributes
    ----------
    title : str
        What tables and figures call it.
    model : sklearn estimator
        Unfitted.
    grid : mapping
        Settings of its pipeline that validation chooses among.
    """

    title: str
    model: BaseEstimator
    grid: Mapping[str, tuple[Any, ...]]

    def make(self) -> Pipeline:
        """Return an unfitted pipeline whose last step is called ``model``."""
        return pipeline(self.model)


# Smaller leaves make a forest of more than 5 MB of all of RAVDESS.
_LEAVES = {"model__min_samples_leaf": (3, 6)}
_BOOSTING = {"model__learning_rate": (0.1, 0.2), "model__max_depth": (2, 4)}
_NEIGHBOURS = {"model__n_neighbors": (3, 5, 9, 15), "model__p": (1, 2)}
_LAYERS = {"model__hidden_layer_sizes": ((64,), (128,), (128, 64)), "model__alpha": (0.01, 1.0)}
_BAGS = {"model__max_features": (0.2, 0.5)}
_SUBSAMPLED = {"subsample": 0.7, "max_features": "sqrt", "random_state": 0}
# A tree that looks at a few features for each question is ten times faster and varies more.
_SMALL_TREE = DecisionTreeClassifier(max_depth=3, max_features="sqrt")

CLASSIFIERS: Mapping[str, Estimator] = MappingProxyType(
    {
        "svc": Estimator(
            "SVC", SVC(), {"model__C": (1, 3, 10, 30), "model__gamma": ("scale", 0.002)}
        ),
        "adaboost": Estimator(
            "AdaBoost",
            AdaBoostClassifier(_SMALL_TREE, n_estimators=100, random_state=0),
            {"model__estimator__max_depth": (2, 5), "model__learning_rate": (0.3, 1.0)},
        ),
        "random-forest": Estimator(
            "random forest", RandomForestClassifier(n_estimators=100, random_state=0), _LEAVES
        ),
        "gradient-boosting": Estimator(
            "gradient boosting",
            GradientBoostingClassifier(n_estimators=60, **_SUBSAMPLED),
            _BOOSTING,
        ),
        "decision-tree": Estimator(
            "decision tree",
            DecisionTreeClassifier(random_state=0),
            {"model__max_depth": (4, 7, None), "model__min_samples_leaf": (3, 10)},
        ),
        "knn": Estimator("k-NN", KNeighborsClassifier(), _NEIGHBOURS),
        "mlp": Estimator("MLP", MLPClassifier(max_iter=EPOCHS, random_state=0), _LAYERS),
        "bagging": Estimator(
            "bagging",
            BaggingClassifier(
                DecisionTreeClassifier(min_samples_leaf=2), n_estimators=30, random_state=0
            ),
            _BAGS,
        ),
    }
)
"""Estimators that name an emotion."""

REGRESSORS: Mapping[str, Estimator] = MappingProxyType(
    {
        "svr": Estimator("SVR", SVR(), {"model__C": (0.3, 1, 3), "model__epsilon": (0.1, 0.5)}),
        "random-forest": Estimator(
            "random forest",
            RandomForestRegressor(n_estimators=100, max_features="sqrt", random_state=0),
            _LEAVES,
        ),
        "gradient-boosting": Estimator(
            "gradient boosting", GradientBoostingRegressor(**_SUBSAMPLED), _BOOSTING
        ),
        "knn": Estimator("k-NN", KNeighborsRegressor(), _NEIGHBOURS),
        "mlp": Estimator("MLP", MLPRegressor(max_iter=EPOCHS, random_state=0), _LAYERS),
        "bagging": Estimator(
            "bagging",
            BaggingRegressor(
                DecisionTreeRegressor(min_samples_leaf=2), n_estimators=30, random_state=0
            ),
            _BAGS,
        ),
    }
)
"""Estimators of the place of an emotion in an order."""
