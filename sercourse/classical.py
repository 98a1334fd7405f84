"""Classical models: scikit-learn pipelines, how they are chosen, calibrated and exported.

`CLASSIFIERS` and `REGRESSORS` are those of github.com/x4nth055/emotion-recognition-using-speech,
each with a small grid of the settings that matter most.
"""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import scipy.linalg
import threadpoolctl
from numpy.typing import ArrayLike, NDArray
from sklearn import ensemble, neighbors, neural_network, tree
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.covariance import shrunk_covariance
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.feature_selection import SelectFpr, VarianceThreshold, f_classif
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC
from sklearn.utils.validation import has_fit_parameter

from sercourse import files, splits
from sercourse.networks import Examples

Array = NDArray[np.floating]

# What scikit-learn says where a step has selected no feature.
NO_FEATURE = r"0 feature\(s\)|No feature in X meets the variance threshold"


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
    return means, shrunk_covariance(covariance, shrinkage)


def svm_classic() -> Pipeline:
    """Return the baseline's SVM: F-test, principal components, radial basis functions."""
    # The F-test of a constant is undefined.
    scaled = [("varying", VarianceThreshold()), ("scale", StandardScaler())]
    chosen = [("select", SelectFpr(f_classif, alpha=0.01)), ("pca", CappedPCA(140))]
    return Pipeline([*scaled, *chosen, ("svm", SVC(C=3, gamma=0.005))])


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
    >>> [name for name, _ in pipeline(tree.DecisionTreeClassifier()).steps]
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
    if not (names := _class_weights(model)):
        raise ValueError(
            f"{type(model[-1]).__name__} takes no weights for classes: balance the clips with "
            "'undersample', or choose another model"
        )
    return model.set_params(**dict.fromkeys(names, "balanced"))


def takes_weights(model: Pipeline) -> bool:
    """Return whether `weighted` can let every class of a pipeline count alike."""
    return bool(_class_weights(model))


def _class_weights(model: Pipeline) -> list[str]:
    return [name for name in model.get_params() if name.endswith("class_weight")]


@dataclass(frozen=True, eq=False)
class FittedPipeline:
    """A calibrated pipeline that answers for every label, also one that it never saw.

    Attributes
    ----------
    model : CalibratedClassifierCV
        Its scores are turned into probabilities by one temperature, found on inner predictions
        for clips that the model had not seen; the ranking of the emotions stays the pipeline's.
    shape : tuple of int
        Of what is measured on a clip; each number of an array is a feature of its own.
    n_labels : int
    selected : mapping from str to float
        Nothing: there are no epochs to choose, and the temperature is a part of the model.
    """

    model: CalibratedClassifierCV
    shape: tuple[int, ...]
    n_labels: int
    selected: Mapping[str, float] = field(default_factory=dict)

    def predict_proba(self, X: Array) -> NDArray[np.float64]:
        """Return calibrated probabilities, shape (n, n_labels)."""
        probabilities = np.zeros((len(X), self.n_labels))
        probabilities[:, self.model.classes_] = self.model.predict_proba(X.reshape(len(X), -1))
        return probabilities

    def contents(self) -> dict[str, bytes]:
        """Return the model as the files of a bundle, by suffix."""
        return {".onnx": to_onnx(self.model, shape=self.shape)}


@dataclass(frozen=True)
class PipelineLearner:
    """Fits a scikit-learn pipeline on the training side of a split.

    Attributes
    ----------
    model : Pipeline
        Not yet fitted.
    grid : mapping
        Settings that inner validation chooses among, as scikit-learn's grid search takes them.
    weighted : bool
        Whether every emotion counts as much as any other, however few clips it has.
    """

    model: Pipeline
    grid: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    weighted: bool = False

    packages = ("scikit-learn", "skl2onnx")

    def pipeline(self) -> Pipeline:
        """Return the unfitted pipeline.

        Raises
        ------
        ValueError
            If it is to be weighted, and takes no weights.
        """
        model = clone(self.model)
        return weighted(model) if self.weighted else model

    @property
    def takes_weights(self) -> bool:
        """Whether the last step can let some clips count for more."""
        return bool(has_fit_parameter(self.pipeline()[-1], "sample_weight"))

    @property
    def settings(self) -> dict[str, Any]:
        """What a bundle tells of it, as JSON can hold it."""
        text = " ".join(self.pipeline().__repr__(N_CHAR_MAX=float("inf")).split())
        # Of long lists and of functions the text shows a part, or where they lie in memory.
        partly = "..." in text or " at 0x" in text
        return {
            "grid": {name: list(values) for name, values in self.grid.items()},
            "model": re.sub(" at 0x[0-9a-f]+", "", text),
            **({"parameters": files.digest(self.pipeline())} if partly else {}),
        }

    @property
    def key(self) -> list[Any]:
        """All that results depend on, for `files.digest`: every parameter, and the libraries."""
        return [self.pipeline(), self.grid, files.versions("scikit-learn", "scipy", "numpy")]

    def fit(
        self,
        examples: Examples,
        *,
        groups: NDArray[Any],
        selected: Mapping[str, float] | None = None,
        folder: Path | None = None,
        report: Callable[[str], None] = lambda line: None,
    ) -> FittedPipeline:
        """Choose settings by inner validation, then fit and calibrate on all versions of the clips.

        Parameters are those of `NetworkLearner.fit`. Weights go to the last step and to the
        temperature. Fitting takes a minute at most, so it keeps no checkpoint in `folder`; and the
        temperature is found by cross-validation, so that nothing needs to be `selected` before.

        Raises
        ------
        ValueError
            If the clips are too few or too alike for the pipeline.

        References
        ----------
        Guo et al., "On calibration of modern neural networks", 2017, arXiv:1706.04599.
        """
        versions, rows, weights = examples.versions, examples.rows, examples.weights
        n, shape = len(versions), versions[0].shape[1:]
        some = versions if rows is None else [each[rows] for each in versions]
        X = np.concatenate([each.reshape(len(each), -1) for each in some])
        # Temperature scaling wants labels 0, 1, 2, ...; the fitted model speaks the caller's.
        labels, codes = np.unique(np.tile(examples.y, n), return_inverse=True)
        inner = splits.inner_splits(codes, np.tile(groups, n))
        told = None if weights is None else np.tile(weights, n)

        def fit(model: Pipeline, grid: Mapping[str, Sequence[Any]]) -> CalibratedClassifierCV:
            last = {} if told is None else {f"{model.steps[-1][0]}__sample_weight": told}
            if grid:
                search = GridSearchCV(model, dict(grid), cv=inner, refit=False)
                model.set_params(**search.fit(X, codes, **last).best_params_)
            found = CalibratedClassifierCV(model, method="temperature", cv=inner, ensemble=False)
            return found.fit(X, codes, sample_weight=told, **last)

        with (
            # More threads wait for each other on busy cores.
            threadpoolctl.threadpool_limits(1),
            warnings.catch_warnings(),
            np.errstate(divide="ignore", invalid="ignore"),  # the F-test of a perfect feature
        ):
            # Such as that a perceptron sees the clips no more often than its settings say, that no
            # feature was selected, which we say, and that a step takes weights, not its pipeline.
            warnings.simplefilter("ignore", UserWarning)
            unfitted = self.pipeline()
            try:
                model = fit(unfitted, self.grid)
            except ValueError as error:
                if not re.search(NO_FEATURE, str(error)):
                    why = str(error).strip().partition("\n")[0].rstrip(".")
                    raise ValueError(
                        f"{len(X)} clips are too few or too alike to train this model: add clips, "
                        f"or leave out emotions ({why})"
                    ) from error
                report("the model selects no feature: it answers with the share of each emotion")
                # Unlike a dummy it can be exported.
                model = fit(pipeline(LogisticRegression(C=1e-9)), {})
        model.classes_ = labels
        return FittedPipeline(model, shape, examples.n_labels)


def _tuned(model: BaseEstimator, **grid: tuple[Any, ...]) -> PipelineLearner:
    """Return the learner of a pipeline whose last step, `model`, has a grid of settings."""
    settings = {f"model__{name}": values for name, values in grid.items()}
    return PipelineLearner(pipeline(model), settings)


_LEAVES: Any = {"min_samples_leaf": (3, 6)}  # smaller: a forest of more than 5 MB of all of RAVDESS
_BOOSTING: Any = {"learning_rate": (0.1, 0.2), "max_depth": (2, 4)}
_NEIGHBOURS: Any = {"n_neighbors": (3, 5, 9, 15), "p": (1, 2)}
_LAYERS: Any = {"hidden_layer_sizes": ((64,), (128,), (128, 64)), "alpha": (0.01, 1.0)}
_SAMPLED: Any = {"subsample": 0.7, "max_features": "sqrt", "random_state": 0}
_PERCEPTRON: Any = {"max_iter": 60, "random_state": 0}
_BAG: Any = {"n_estimators": 30, "random_state": 0}
# A tree that looks at a few features for each question is ten times faster and varies more.
_SMALL_TREE = tree.DecisionTreeClassifier(max_depth=3, max_features="sqrt")
_STUMPS = ensemble.AdaBoostClassifier(_SMALL_TREE, n_estimators=100, random_state=0)
_BOOSTED = ensemble.GradientBoostingClassifier(n_estimators=60, **_SAMPLED)
_TREE = tree.DecisionTreeClassifier(random_state=0)
_FOREST = ensemble.RandomForestRegressor(max_features="sqrt", random_state=0)
_BAGGED = ensemble.BaggingClassifier(tree.DecisionTreeClassifier(min_samples_leaf=2), **_BAG)
_BAGGED_VALUES = ensemble.BaggingRegressor(tree.DecisionTreeRegressor(min_samples_leaf=2), **_BAG)

CLASSIFIERS: Mapping[str, PipelineLearner] = {
    "svc": _tuned(SVC(), C=(1, 3, 10, 30), gamma=("scale", 0.002)),
    "adaboost": _tuned(_STUMPS, estimator__max_depth=(2, 5), learning_rate=(0.3, 1.0)),
    "random-forest": _tuned(ensemble.RandomForestClassifier(random_state=0), **_LEAVES),
    "gradient-boosting": _tuned(_BOOSTED, **_BOOSTING),
    "decision-tree": _tuned(_TREE, max_depth=(4, 7, None), min_samples_leaf=(3, 10)),
    "knn": _tuned(neighbors.KNeighborsClassifier(), **_NEIGHBOURS),
    "mlp": _tuned(neural_network.MLPClassifier(**_PERCEPTRON), **_LAYERS),
    "bagging": _tuned(_BAGGED, max_features=(0.2, 0.5)),
}
"""Learners that name an emotion."""

REGRESSORS: Mapping[str, PipelineLearner] = {
    "svr": _tuned(SVR(), C=(0.3, 1, 3), epsilon=(0.1, 0.5)),
    "random-forest": _tuned(_FOREST, **_LEAVES),
    "gradient-boosting": _tuned(ensemble.GradientBoostingRegressor(**_SAMPLED), **_BOOSTING),
    "knn": _tuned(neighbors.KNeighborsRegressor(), **_NEIGHBOURS),
    "mlp": _tuned(neural_network.MLPRegressor(**_PERCEPTRON), **_LAYERS),
    "bagging": _tuned(_BAGGED_VALUES, max_features=(0.2, 0.5)),
}
"""Learners of the place of an emotion in an order."""


def to_onnx(model: CalibratedClassifierCV, *, shape: Sequence[int]) -> bytes:
    """Return the model as ONNX: input `X` (n, ...) float32, output `probabilities` (n, k).

    Parameters
    ----------
    model : CalibratedClassifierCV
        Of one pipeline and one temperature, as a `PipelineLearner` fits it.
    shape : sequence of int
        Of one input; each number of an array is a feature of its own.

    Raises
    ------
    ValueError
        If the converter does not know the model, or one of its steps.
    """
    from onnx import TensorProto, compose, helper
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType

    (fitted,) = model.calibrated_classifiers_
    pipeline = _plain(fitted.estimator)
    classifier = pipeline[-1]
    # Temperatures are found on the scores where there are some, else on logarithms.
    has_scores = hasattr(classifier, "decision_function")
    options = {"raw_scores": True} if has_scores else {}
    if hasattr(classifier, "predict_proba") or isinstance(classifier, SVC):
        options["zipmap"] = False
    with warnings.catch_warnings():
        # The converter still reads attributes of SVC that scikit-learn 1.9 deprecates.
        warnings.simplefilter("ignore", FutureWarning)
        try:
            converted = convert_sklearn(
                pipeline,
                initial_types=[("rows", FloatTensorType([None, fitted.estimator.n_features_in_]))],
                options={id(classifier): options},
            )
        except (RuntimeError, NotImplementedError, ValueError) as error:
            steps = " -> ".join(type(step).__name__ for _, step in pipeline.steps)
            said = str(error).splitlines()[0][:100]  # it may print whole trees
            raise ValueError(
                f"skl2onnx cannot export the model {steps} ({said}): choose another one to save it"
            ) from error
    # Whose own output is called probabilities, even where it has scores.
    converted = compose.add_prefix(converted, "pipeline-")
    graph = converted.graph
    graph.name = "sercourse"  # the converter draws one at random
    rows, logits = graph.input[0].name, graph.output[-1].name
    numbers = {"inverse_temperature": float(fitted.calibrators[0].beta_)}
    graph.node.insert(0, helper.make_node("Flatten", ["X"], [rows], axis=1))
    if not has_scores:
        # As scikit-learn does before it takes a logarithm.
        positive = helper.make_node("Add", [logits, "smallest"], ["positive"])
        graph.node.extend([positive, helper.make_node("Log", ["positive"], ["logarithms"])])
        numbers["smallest"], logits = 1e-12, "logarithms"
    for name, value in numbers.items():
        graph.initializer.append(helper.make_tensor(name, TensorProto.FLOAT, [], [value]))
    graph.node.append(helper.make_node("Mul", [logits, "inverse_temperature"], ["scaled"]))
    graph.node.append(helper.make_node("Softmax", ["scaled"], ["probabilities"], axis=1))
    ends = {"X": (None, *shape), "probabilities": (None, None)}
    told = [helper.make_tensor_value_info(n, TensorProto.FLOAT, size) for n, size in ends.items()]
    del graph.input[:], graph.output[:]
    graph.input.append(told[0])
    graph.output.append(told[1])
    return bytes(converted.SerializeToString())


def _plain(pipeline: Pipeline) -> Pipeline:
    """Return a fitted pipeline in steps that the converter knows.

    Whitening is folded into the weights of the linear SVM behind it: a matrix of all features by
    all features vanishes.
    """
    *steps, (name, classifier) = pipeline.steps
    classifier = copy.deepcopy(classifier)
    if isinstance(classifier, LayerLDA):  # as linear as this, which converters know
        linear = LinearSVC()
        linear.coef_, linear.intercept_ = classifier.coef_, classifier.intercept_
        linear.classes_, classifier = classifier.classes_, linear
    plain: list[tuple[str, Any]] = []
    for step_name, step in steps:
        if isinstance(step, WithinClassWhitening):
            classifier.coef_ = classifier.coef_ @ step.projection_.T
        else:
            plain.append((step_name, step.pca_ if isinstance(step, CappedPCA) else step))
    return Pipeline([*plain, (name, classifier)])
