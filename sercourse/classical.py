"""Classical models: scikit-learn pipelines, how they are chosen, calibrated and exported."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import scipy.linalg
import threadpoolctl
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectFpr, VarianceThreshold, f_classif
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.utils.validation import check_is_fitted

Array = NDArray[np.floating]
Split = tuple[NDArray[np.intp], NDArray[np.intp]]

INNER_FOLDS = 4


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


def inner_splits(
    y: NDArray[Any], groups: Sequence[Any] | NDArray[Any], *, n_folds: int = INNER_FOLDS
) -> list[Split]:
    """Divide the training side for choices and calibration, with groups kept together.

    Parameters
    ----------
    y : ndarray of str, shape (n,)
    groups : sequence, length n
        Speakers where the outer split is by speaker, else groups of recordings.
    n_folds : int
        Fewer are made where an emotion has fewer groups.

    Returns
    -------
    list of (train, test)
        Positions.

    Raises
    ------
    ValueError
        If an emotion occurs in one group only, so that no split has it on both sides.
    """
    groups = np.asarray(groups)
    occurrences = {emotion: len(np.unique(groups[y == emotion])) for emotion in np.unique(y)}
    rarest = min(occurrences, key=lambda emotion: occurrences[emotion])
    if occurrences[rarest] < 2:
        raise ValueError(
            f"emotion {str(rarest)!r} occurs in one group of the training side only: calibration "
            "needs two at least; add recordings or leave the emotion out"
        )
    splitter = StratifiedGroupKFold(min(n_folds, occurrences[rarest]), shuffle=True, random_state=0)
    return list(splitter.split(y, y, groups))


def fit(
    make: Callable[[], Pipeline],
    X: Array,
    y: NDArray[Any],
    *,
    groups: Sequence[Any] | NDArray[Any],
    grid: Mapping[str, Sequence[Any]] | None = None,
) -> CalibratedClassifierCV:
    """Choose settings by inner validation, then fit and calibrate on the whole training side.

    Parameters
    ----------
    make : callable
        Returns an unfitted pipeline.
    X : ndarray, shape (n_clips, n_features)
    y : ndarray of str, shape (n_clips,)
    groups : sequence, length n_clips
        What must not be on both sides of an inner split: speakers or groups of recordings.
    grid : mapping, optional
        Settings to choose among, as scikit-learn's grid search takes them.

    Returns
    -------
    CalibratedClassifierCV
        Its scores are turned into probabilities by one temperature, found on inner predictions
        for clips that the model had not seen; the ranking of the emotions stays the SVM's.

    References
    ----------
    Guo et al., "On calibration of modern neural networks", 2017, arXiv:1706.04599.
    """
    splits = inner_splits(y, groups)
    emotions, codes = np.unique(y, return_inverse=True)
    pipeline = make()
    if grid:
        search = GridSearchCV(pipeline, dict(grid), cv=splits, refit=False).fit(X, codes)
        pipeline.set_params(**search.best_params_)
    model = CalibratedClassifierCV(pipeline, method="temperature", cv=splits, ensemble=False)
    model.fit(X, codes)
    # Temperature scaling wants labels 0, 1, 2, ...; to the outside the model speaks the caller's.
    model.classes_ = emotions
    return model


@dataclass(frozen=True, eq=False)
class FittedPipeline:
    """A calibrated pipeline that answers for every label, also one that it never saw.

    Attributes
    ----------
    model : CalibratedClassifierCV
        As `fit` returns it.
    n_features, n_labels : int
    """

    model: CalibratedClassifierCV
    n_features: int
    n_labels: int
    settled: Mapping[str, float] = field(default_factory=dict)

    def predict_proba(self, X: Array) -> NDArray[np.float64]:
        """Return calibrated probabilities, shape (n, n_labels)."""
        probabilities = np.zeros((len(X), self.n_labels))
        probabilities[:, self.model.classes_] = self.model.predict_proba(X)
        return probabilities

    def contents(self) -> dict[str, bytes]:
        """Return the model as ONNX.

        Raises
        ------
        ValueError
            If a label did not occur in training: the exported model would not know its place.
        """
        if len(self.model.classes_) != self.n_labels:
            raise ValueError(
                f"{self.n_labels} emotions are wanted and {len(self.model.classes_)} occurred in "
                "training: leave out those that have no clip"
            )
        return {".onnx": to_onnx(self.model, n_features=self.n_features)}


@dataclass(frozen=True)
class PipelineLearner:
    """Fits a scikit-learn pipeline on the training side of a split.

    Attributes
    ----------
    make : callable
        Returns the unfitted pipeline.
    grid : mapping
        Settings of the pipeline that inner validation chooses among.
    """

    make: Callable[[], Pipeline]
    grid: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    @property
    def packages(self) -> tuple[str, ...]:
        """What its models depend on, for the record."""
        return ("scikit-learn", "skl2onnx")

    @property
    def settings(self) -> dict[str, Any]:
        """All that results depend on, as JSON can hold it."""
        return {
            "grid": {name: list(values) for name, values in self.grid.items()},
            "model": " ".join(repr(self.make()).split()),
        }

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
        report: Callable[[str], None] = lambda line: None,
    ) -> FittedPipeline:
        """Fit the pipeline on all versions of the clips, as `recipes.Learner` says.

        It takes a minute at most, so it keeps no checkpoint; and it finds its temperature by
        cross-validation, so that nothing needs to be settled before.
        """
        chosen = versions if rows is None else [version[rows] for version in versions]
        with threadpoolctl.threadpool_limits(1):  # more wait for each other on busy cores
            model = fit(
                self.make,
                np.concatenate(chosen),
                np.tile(y, len(versions)),
                groups=np.tile(groups, len(versions)),
                grid=self.grid,
            )
        return FittedPipeline(model, versions[0].shape[1], n_labels)


def exportable(model: CalibratedClassifierCV) -> Pipeline:
    """Return the scoring part of a model in steps that ONNX converters know.

    Whitening is folded into the weights of the linear SVM behind it: a matrix of all features by
    all features vanishes.
    """
    *steps, (name, classifier) = _calibrated(model).estimator.steps
    classifier = copy.deepcopy(classifier)
    plain: list[tuple[str, Any]] = []
    for step_name, step in steps:
        if isinstance(step, WithinClassWhitening):
            classifier.coef_ = classifier.coef_ @ step.projection_.T
        else:
            plain.append((step_name, step.pca_ if isinstance(step, CappedPCA) else step))
    return Pipeline([*plain, (name, classifier)])


def to_onnx(model: CalibratedClassifierCV, *, n_features: int) -> bytes:
    """Return the model as ONNX: input `X` (n, n_features) float32, output `probabilities` (n, k).

    Parameters
    ----------
    model : CalibratedClassifierCV
        As `fit` returns it.
    n_features : int
    """
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType

    pipeline = exportable(model)
    options: dict[str, bool] = {"raw_scores": True}
    if isinstance(pipeline[-1], SVC):
        options["zipmap"] = False
    with warnings.catch_warnings():
        # The converter still reads attributes of SVC that scikit-learn 1.9 deprecates.
        warnings.simplefilter("ignore", FutureWarning)
        onnx_model = convert_sklearn(
            pipeline,
            initial_types=[("X", FloatTensorType([None, n_features]))],
            options={id(pipeline[-1]): options},
        )
    _append_softmax(
        onnx_model.graph, inverse_temperature=float(_calibrated(model).calibrators[0].beta_)
    )
    return onnx_model.SerializeToString()


def _calibrated(model: CalibratedClassifierCV) -> Any:
    """Return the one fitted pipeline of a model and its calibration."""
    (calibrated,) = model.calibrated_classifiers_
    return calibrated


def _append_softmax(graph: Any, *, inverse_temperature: float) -> None:
    """Turn the last output of an ONNX graph, scores, into `probabilities`."""
    from onnx import TensorProto, helper

    converted = graph.output[-1].name  # the converter calls scores probabilities too
    for node in graph.node:
        node.output[:] = ["scores" if name == converted else name for name in node.output]
    graph.initializer.append(
        helper.make_tensor("inverse_temperature", TensorProto.FLOAT, [], [inverse_temperature])
    )
    graph.node.extend(
        [
            helper.make_node("Mul", ["scores", "inverse_temperature"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        ]
    )
    del graph.output[:]
    shape = [None, None]
    graph.output.append(helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, shape))
