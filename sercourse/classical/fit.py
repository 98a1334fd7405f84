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
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter

from sercourse import files, splits
from sercourse.classical.export import to_onnx
from sercourse.classical.models import pipeline, weighted

Array = NDArray[np.floating]

NO_FEATURE = ("0 feature(s)", "No feature in X meets the variance threshold")
"""What scikit-learn says where a step has selected no feature."""


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
        return {".onnx": to_onnx(self.model, shape=self.shape)}


@dataclass(frozen=True)
class PipelineLearner:
    """Fits a scikit-learn pipeline on the training side of a split.

    Attributes
    ----------
    make : callable
        Returns an unfitted pipeline.
    params : mapping
        Settings of that pipeline, as its ``set_params`` takes them.
    grid : mapping
        Settings that inner validation chooses among, as scikit-learn's grid search takes them.
    weighted : bool
        Whether every emotion counts as much as any other, however few clips it has.
    """

    make: Callable[[], Pipeline]
    params: Mapping[str, Any] = field(default_factory=dict)
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
        made = self.make().set_params(**self.params)
        return weighted(made) if self.weighted else made

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

    def fit_once(
        self, versions: Sequence[Array], y: NDArray[np.intp], *, n_labels: int
    ) -> FittedPipeline:
        """Fit the pipeline as it is made: nothing is chosen, and probabilities mean little.

        The model is as large and as fast as one of `fit`, or nearly so, and ready much sooner.

        Parameters
        ----------
        versions : sequence of ndarray, shape (n_clips, ...) each
            The clips, and copies of them.
        y : ndarray of int, shape (n_clips,)
        n_labels : int
        """
        X, codes = _rows(versions), np.tile(y, len(versions))
        with _quiet():
            fitted = FrozenEstimator(self.pipeline().fit(X, codes))
            model = CalibratedClassifierCV(fitted, method="temperature", cv=2, ensemble=False)
            return FittedPipeline(model.fit(X, codes), versions[0].shape[1:], n_labels)

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
        """Choose settings by inner validation, then fit and calibrate on all versions of the clips.

        Parameters are those of `recipes.Learner`. Weights go to the last step and to the
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
        n = len(versions)
        X = _rows(versions if rows is None else [each[rows] for each in versions])
        # Temperature scaling wants labels 0, 1, 2, ...; the fitted model speaks the caller's.
        labels, codes = np.unique(np.tile(y, n), return_inverse=True)
        inner = splits.inner_splits(codes, np.tile(groups, n))
        told = None if weights is None else np.tile(weights, n)
        with _quiet():
            try:
                model = _calibrated(self.pipeline(), X, codes, inner, grid=self.grid, weights=told)
            except ValueError as error:
                if not any(said in str(error) for said in NO_FEATURE):
                    why = str(error).strip().partition("\n")[0].rstrip(".")
                    raise ValueError(
                        f"{len(X)} clips are too few or too alike to train this model: add clips, "
                        f"or leave out emotions ({why})"
                    ) from error
                report("the model selects no feature: it answers with the share of each emotion")
                shares = pipeline(LogisticRegression(C=1e-9))  # unlike a dummy it can be exported
                model = _calibrated(shares, X, codes, inner, grid={}, weights=told)
        model.classes_ = labels
        return FittedPipeline(model, versions[0].shape[1:], n_labels)


def _rows(versions: Sequence[Array]) -> Array:
    """Return all versions of all clips, each as one row of numbers."""
    return np.concatenate([each.reshape(len(each), -1) for each in versions])


def _calibrated(
    model: Pipeline,
    X: Array,
    codes: NDArray[np.intp],
    inner: Sequence[splits.Split],
    *,
    grid: Mapping[str, Sequence[Any]],
    weights: NDArray[np.floating] | None,
) -> CalibratedClassifierCV:
    told = {} if weights is None else {f"{model.steps[-1][0]}__sample_weight": weights}
    if grid:
        search = GridSearchCV(model, dict(grid), cv=inner, refit=False)
        model.set_params(**search.fit(X, codes, **told).best_params_)
    calibrated = CalibratedClassifierCV(model, method="temperature", cv=inner, ensemble=False)
    return calibrated.fit(X, codes, sample_weight=weights, **told)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Use one thread, as more wait for each other on busy cores, and give no usual warnings."""
    with (
        threadpoolctl.threadpool_limits(1),
        warnings.catch_warnings(),
        np.errstate(divide="ignore", invalid="ignore"),  # the F-test of a perfect feature
    ):
        # How often a perceptron sees the clips is a setting, of which scikit-learn warns as if it
        # were a limit.
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", message="No features were selected")  # we say it
        # Weights go to its last step: that the pipeline has no argument for them is known.
        warnings.filterwarnings("ignore", message="Since Pipeline does not appear to accept")
        yield
