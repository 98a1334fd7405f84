"""The pipelines of the course's SVMs, and the steps that scikit-learn does not have."""

from __future__ import annotations

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
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
        _, codes = np.unique(y, return_inverse=True)
        means = np.stack([X[codes == k].mean(axis=0) for k in range(codes.max() + 1)])
        residuals = X - means[codes]
        covariance = residuals.T @ residuals / len(X)
        level = np.trace(covariance) / len(covariance)
        covariance *= 1 - self.shrinkage
        covariance[np.diag_indices_from(covariance)] += self.shrinkage * level
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
