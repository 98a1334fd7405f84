"""The pipelines of the course's SVMs, and the steps that scikit-learn does not have."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_selection import SelectFpr, VarianceThreshold, f_classif
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.utils.validation import check_is_fitted

Array = NDArray[np.floating]


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


class LayerLDA(ClassifierMixin, BaseEstimator):
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

    def decision_function(self, X: Array) -> Array:
        """Return the scores, shape (n_clips, n_classes); (n_clips,) of two classes."""
        check_is_fitted(self)
        scores = X @ self.coef_.T + self.intercept_
        return scores[:, 0] if len(self.classes_) == 2 else scores

    def predict(self, X: Array) -> NDArray[Any]:
        """Return the likeliest class of each clip."""
        scores = self.decision_function(X)
        places = (scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)
        return self.classes_[places]


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


def lda_of_layers(
    *, shrinkage: float, n_layers: int = 5, layers: tuple[int, ...] | None = None
) -> Pipeline:
    """Return linear discriminants on what the layers of a speech encoder hear, see `LayerLDA`."""
    lda = LayerLDA(n_layers=n_layers, layers=layers, shrinkage=shrinkage)
    return Pipeline([("scale", StandardScaler()), ("lda", lda)])


def svm_classic() -> Pipeline:
    """Return the ancestor's SVM: F-test, principal components, radial basis functions."""
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
    return Pipeline(
        [
            ("scale", StandardScaler()),
            ("whiten", WithinClassWhitening()),
            ("svm", LinearSVC(C=0.3, dual=False, tol=1e-3)),
        ]
    )


def forest() -> Pipeline:
    """Return a random forest of a hundred trees."""
    return Pipeline([("forest", RandomForestClassifier(n_estimators=100, random_state=0))])


def nine_neighbours() -> Pipeline:
    """Return a vote of the nine nearest clips, by standardised features."""
    return Pipeline([("scale", StandardScaler()), ("vote", KNeighborsClassifier(9))])


def logistic() -> Pipeline:
    """Return a logistic regression, held back enough for more features than clips."""
    return Pipeline(
        [("scale", StandardScaler()), ("logistic", LogisticRegression(C=0.01, max_iter=500))]
    )
