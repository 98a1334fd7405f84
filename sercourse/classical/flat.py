"""Pipelines on pictures, whose frames are laid one after the other into one long row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sercourse.classical.fitting import FittedPipeline, PipelineLearner

Array = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class FittedFlat:
    """A fitted pipeline that takes pictures.

    Attributes
    ----------
    model : FittedPipeline
        It takes rows.
    shape : tuple of int
        Of one picture.
    """

    model: FittedPipeline
    shape: tuple[int, ...]

    @property
    def selected(self) -> Mapping[str, float]:
        """What inner validation found for the final model: nothing."""
        return self.model.selected

    def predict_proba(self, X: Array) -> NDArray[np.float64]:
        """Return calibrated probabilities, shape (n, n_labels), of pictures, shape (n, ...)."""
        return self.model.predict_proba(_rows(X))

    def contents(self) -> dict[str, bytes]:
        """Return the model as ONNX; it takes pictures.

        Raises
        ------
        ValueError
            As of `FittedPipeline`.
        """
        return {".onnx": _taking_pictures(self.model.contents()[".onnx"], shape=self.shape)}


@dataclass(frozen=True)
class FlatLearner:
    """Fits a pipeline on pictures, each number of which is a feature of its own.

    Attributes
    ----------
    learner : PipelineLearner
        What learns from the rows.
    """

    learner: PipelineLearner

    @property
    def packages(self) -> tuple[str, ...]:
        """What its models depend on, for the record."""
        return self.learner.packages

    @property
    def takes_weights(self) -> bool:
        """Whether it can let some clips count for more."""
        return self.learner.takes_weights

    @property
    def settings(self) -> dict[str, Any]:
        """What a bundle tells of it, as JSON can hold it."""
        return {**self.learner.settings, "flat": True}

    @property
    def key(self) -> list[Any]:
        """All that results depend on, for `files.digest`."""
        return ["flat", self.learner.key]

    def fit_once(
        self, versions: Sequence[Array], y: NDArray[np.intp], *, n_labels: int
    ) -> FittedFlat:
        """Fit the pipeline as it is made, as `PipelineLearner.fit_once` does."""
        fitted = self.learner.fit_once([_rows(each) for each in versions], y, n_labels=n_labels)
        return FittedFlat(fitted, versions[0].shape[1:])

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
    ) -> FittedFlat:
        """Fit the pipeline, as `recipes.Learner` says."""
        fitted = self.learner.fit(
            [_rows(each) for each in versions],
            y,
            groups=groups,
            n_labels=n_labels,
            rows=rows,
            weights=weights,
            selected=selected,
            folder=folder,
            report=report,
        )
        return FittedFlat(fitted, versions[0].shape[1:])


def _rows(X: Array) -> Array:
    return X.reshape(len(X), -1)


def _taking_pictures(content: bytes, *, shape: Sequence[int]) -> bytes:
    """Return an ONNX model of rows with a first step that makes a row of each picture."""
    import onnx
    from onnx import TensorProto, helper

    model = onnx.load_from_string(content)
    graph = model.graph
    for node in graph.node:
        node.input[:] = ["rows" if name == "X" else name for name in node.input]
    graph.node.insert(0, helper.make_node("Flatten", ["X"], ["rows"], axis=1))
    del graph.input[:]
    graph.input.append(helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, *shape]))
    return bytes(model.SerializeToString())
