"""How a pipeline is chosen and calibrated on the training side of a split."""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import threadpoolctl
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_selection import SelectorMixin, VarianceThreshold
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import has_fit_parameter

from sercourse import files
from sercourse.classical.export import to_onnx
from sercourse.classical.zoo import weighted

Array = NDArray[np.floating]
Split = tuple[NDArray[np.intp], NDArray[np.intp]]

INNER_FOLDS = 4


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
    n_folds = min(n_folds, fewest_groups(y, groups))
    splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=0)
    return list(splitter.split(y, y, groups))


def fewest_groups(y: NDArray[Any], groups: NDArray[Any]) -> int:
    """Return in how many groups the emotion occurs that occurs in the fewest.

    Raises
    ------
    ValueError
        If that is one, so that no split has the emotion on both sides.

    Examples
    --------
    >>> y = np.array(["sad", "sad", "sad", "happy", "happy"])
    >>> fewest_groups(y, np.array([1, 2, 3, 1, 2]))
    2
    """
    occurrences = {emotion: len(np.unique(groups[y == emotion])) for emotion in np.unique(y)}
    rarest = min(occurrences, key=lambda emotion: occurrences[emotion])
    if occurrences[rarest] < 2:
        raise ValueError(
            f"emotion {str(rarest)!r} occurs in one group of the training side only: calibration "
            "needs two at least; add recordings or leave the emotion out"
        )
    return occurrences[rarest]


def fit(
    make: Callable[[], Pipeline],
    X: Array,
    y: NDArray[Any],
    *,
    groups: Sequence[Any] | NDArray[Any],
    grid: Mapping[str, Sequence[Any]] | None = None,
    weights: NDArray[np.floating] | None = None,
    report: Callable[[str], None] = lambda line: None,
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
    weights : ndarray of float, shape (n_clips,), optional
        How much each clip counts for the last step of the pipeline and for the temperature.
    report : callable
        Gets a line where the pipeline selects no feature.

    Returns
    -------
    CalibratedClassifierCV
        Its scores are turned into probabilities by one temperature, found on inner predictions
        for clips that the model had not seen; the ranking of the emotions stays the SVM's.

    Raises
    ------
    ValueError
        If the clips are too few or too alike for the pipeline.

    References
    ----------
    Guo et al., "On calibration of modern neural networks", 2017, arXiv:1706.04599.
    """
    splits = inner_splits(y, groups)
    emotions, codes = np.unique(y, return_inverse=True)
    try:
        model = _fitted(make(), X, codes, cv=splits, grid=grid, weights=weights)
    except ValueError:
        if not _selects_nothing(make(), X, codes, splits):
            raise
        report("the model selects no feature: it answers with the share of each emotion")
        model = _fitted(_shares(), X, codes, cv=splits, weights=weights)
    # Temperature scaling wants labels 0, 1, 2, ...; to the outside the model speaks the caller's.
    model.classes_ = emotions
    return model


def _fitted(
    pipeline: Pipeline,
    X: Array,
    codes: NDArray[np.intp],
    *,
    cv: Sequence[Split],
    grid: Mapping[str, Sequence[Any]] | None = None,
    weights: NDArray[np.floating] | None = None,
) -> CalibratedClassifierCV:
    told = {} if weights is None else {f"{pipeline.steps[-1][0]}__sample_weight": weights}
    with _saying_how_few(X):
        if grid:
            search = GridSearchCV(pipeline, dict(grid), cv=cv, refit=False)
            pipeline.set_params(**search.fit(X, codes, **told).best_params_)
        model = CalibratedClassifierCV(pipeline, method="temperature", cv=cv, ensemble=False)
        return model.fit(X, codes, sample_weight=weights, **told)


def _shares() -> Pipeline:
    """Return a classifier that weighs no feature; unlike a dummy it can be exported."""
    return Pipeline([("scale", StandardScaler()), ("model", LogisticRegression(C=1e-9))])


def _selects_nothing(
    pipeline: Pipeline, X: Array, y: NDArray[np.intp], splits: Sequence[Split]
) -> bool:
    """Return whether a step that selects features leaves none, of all clips or an inner split."""
    for rows in (np.arange(len(y)), *(train for train, _ in splits)):
        kept = X[rows]
        for _, step in pipeline.steps[:-1]:
            if isinstance(step, VarianceThreshold) and kept.var(axis=0).max() <= step.threshold:
                return True  # it raises then
            fitted = clone(step).fit(kept, y[rows])
            if isinstance(step, SelectorMixin) and not fitted.get_support().any():
                return True
            kept = fitted.transform(kept)
    return False


@contextlib.contextmanager
def _saying_how_few(X: Array) -> Iterator[None]:
    """Say what scikit-learn's sentences leave out: that there are too few clips."""
    try:
        yield
    except ValueError as error:
        why = str(error).strip().partition("\n")[0].rstrip(".")
        raise ValueError(
            f"{len(X)} clips are too few or too alike to train this model: add clips, or leave out "
            f"emotions ({why})"
        ) from error


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
    selected: Mapping[str, float] = field(default_factory=dict)

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
    weighted : bool
        Whether every emotion counts as much as any other, however few clips it has.
    """

    make: Callable[[], Pipeline]
    grid: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    weighted: bool = False

    @property
    def packages(self) -> tuple[str, ...]:
        """What its models depend on, for the record."""
        return ("scikit-learn", "skl2onnx")

    @property
    def takes_weights(self) -> bool:
        """Whether the last step can let some clips count for more."""
        return bool(has_fit_parameter(self.make()[-1], "sample_weight"))

    @property
    def settings(self) -> dict[str, Any]:
        """What a bundle tells of it, as JSON can hold it."""
        text = " ".join(self.make().__repr__(N_CHAR_MAX=float("inf")).split())
        # Of long lists and of functions the text shows a part, or where they lie in memory.
        partly = "..." in text or " at 0x" in text
        return {
            "grid": {name: list(values) for name, values in self.grid.items()},
            "model": re.sub(" at 0x[0-9a-f]+", "", text),
            **({"parameters": files.digest(self.make())} if partly else {}),
            **({"weighted": True} if self.weighted else {}),
        }

    @property
    def key(self) -> list[Any]:
        """All that results depend on, for `files.digest`: every parameter, and the libraries."""
        computing = files.versions("scikit-learn", "scipy", "numpy")
        return [self.make(), self.grid, self.weighted, computing]

    def fit_once(
        self, versions: Sequence[Array], y: NDArray[np.intp], *, n_labels: int
    ) -> FittedPipeline:
        """Fit the pipeline as it is made: nothing is chosen, and probabilities mean little.

        The model is as large and as fast as one of `fit`, or nearly so, and ready much sooner.

        Parameters
        ----------
        versions : sequence of ndarray, shape (n_clips, n_features) each
            The clips, and copies of them.
        y : ndarray of int, shape (n_clips,)
        n_labels : int
        """
        X, codes = np.concatenate(versions), np.tile(y, len(versions))
        made = weighted(self.make()) if self.weighted else self.make()
        with threadpoolctl.threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            fitted = FrozenEstimator(made.fit(X, codes))
            model = CalibratedClassifierCV(fitted, method="temperature", cv=2, ensemble=False)
            model.fit(X, codes)
        return FittedPipeline(model, X.shape[1], n_labels)

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
        report: Callable[[str], None] = lambda line: None,
    ) -> FittedPipeline:
        """Fit the pipeline on all versions of the clips, as `recipes.Learner` says.

        It takes a minute at most, so it keeps no checkpoint; and it finds its temperature by
        cross-validation, so that nothing needs to be selected before.
        """
        chosen = versions if rows is None else [version[rows] for version in versions]
        make = (lambda: weighted(self.make())) if self.weighted else self.make
        # More threads wait for each other on busy cores. How often a perceptron sees the clips is
        # a setting, of which scikit-learn warns as if it were a limit.
        with (
            threadpoolctl.threadpool_limits(1),
            warnings.catch_warnings(),
            np.errstate(divide="ignore", invalid="ignore"),  # the F-test of a perfect feature
        ):
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.filterwarnings("ignore", message="No features were selected")  # we say it
            # Weights go to its last step: that the pipeline has no argument for them is known.
            warnings.filterwarnings("ignore", message="Since Pipeline does not appear to accept")
            model = fit(
                make,
                np.concatenate(chosen),
                np.tile(y, len(versions)),
                groups=np.tile(groups, len(versions)),
                grid=self.grid,
                weights=None if weights is None else np.tile(weights, len(versions)),
                report=report,
            )
        return FittedPipeline(model, versions[0].shape[1], n_labels)
