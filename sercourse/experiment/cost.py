"""The cost of a prediction: numbers that the model keeps, and processor time for a clip."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from sercourse import audio, bundles, features, files
from sercourse.experiment.dataset import Dataset, by_member
from sercourse.experiment.evaluation import matching_folders
from sercourse.recipes import Recipe

RUNS = 5  # the fastest counts: the others were disturbed


@dataclass(frozen=True)
class Cost:
    """What one prediction needs, on one core.

    Attributes
    ----------
    parameters : int
        Weights of networks, a speech encoder's included; of other models all numbers that the
        exported one keeps, such as the thresholds of trees or the clips of a nearest neighbour.
    features_ms, model_ms : float
        Processor time of the features of a clip of ordinary length, and of the model [ms].
    """

    parameters: int
    features_ms: float
    model_ms: float

    @property
    def ms(self) -> float:
        """Processor time of one prediction [ms]."""
        return self.features_ms + self.model_ms


def cost(recipe: Recipe, data: Dataset, *, rows: NDArray[np.intp] | None = None) -> Cost:
    """Return the cost of a prediction of a recipe's model; the members of an ensemble add up.

    Networks are taken untrained, as they are as large and as fast as trained ones. Other models
    are those of a bundle of the same clips, or are fitted once.

    Parameters
    ----------
    recipe : Recipe
    data : Dataset
        For networks and bundles `dataset_without_features` is enough.
    rows : ndarray of int, optional
        What other models are fitted on, such as the training side of a fold; all by default.

    Raises
    ------
    ValueError
        If features are needed that the data are without.
    """
    if recipe.members:
        found = [cost(*each, rows=rows) for each in by_member(recipe, data)]
        return Cost(
            sum(each.parameters for each in found),
            sum(each.features_ms for each in found),
            sum(each.model_ms for each in found),
        )
    every = np.arange(len(data.y)) if rows is None else rows
    model, parameters = _exported(recipe, data, every)
    wanted, session = recipe.features, bundles.session(model)
    if wanted.encoder:
        other = recipe.feature_set.partition(":")[2]
        encoder = files.user_path(other) if other else features.whisper.shipped_encoder()
        parameters += n_numbers(encoder.read_bytes())
    middle = data.clips["duration"].to_numpy(dtype=float).argsort(kind="stable")[len(data.y) // 2]
    y = audio.read(str(data.clips["path"].iloc[middle]), sr=wanted.sr)

    def measure() -> Any:
        return features.extract(y, sr=wanted.sr, feature_set=wanted)

    with threadpool_limits(1):
        X = measure()[np.newaxis]  # the first time loads libraries
        model_ms = milliseconds(lambda: bundles.run(session, X))
        return Cost(parameters, milliseconds(measure), model_ms)


def milliseconds(function: Callable[[], Any], *, runs: int = RUNS) -> float:
    """Return the processor time of the fastest of some runs [ms]."""
    taken = []
    for _ in range(runs):
        started = time.process_time()
        function()
        taken.append(time.process_time() - started)
    return 1000 * min(taken)


def n_numbers(model: bytes) -> int:
    """Return how many numbers an ONNX model keeps: tensors, and lists such as those of trees."""
    import onnx

    graph = onnx.load_from_string(model).graph
    tensors = sum(math.prod(each.dims) for each in graph.initializer)
    lists = [attribute for node in graph.node for attribute in node.attribute]
    return tensors + sum(
        len(each.floats) + len(each.ints) + math.prod(each.t.dims) * each.HasField("t")
        for each in lists
    )


def _exported(recipe: Recipe, data: Dataset, rows: NDArray[np.intp]) -> tuple[bytes, int]:
    """Return the ONNX model, or one like it, and how many numbers it keeps."""
    learner: Any = recipe.learner
    bundle = next(matching_folders(recipe, data, folders=bundles.available()), None)
    shipped = None if bundle is None else (bundle / "model.onnx").read_bytes()
    if hasattr(learner, "untrained"):  # a network knows its size before it is trained
        untrained = learner.untrained(recipe.features.row_shape, n_labels=len(data.labels))
        return shipped or untrained.contents()[".onnx"], untrained.n_weights
    if shipped is None and not data.X.size:
        raise ValueError(
            f"recipe {recipe.name!r} must be fitted to be weighed, and the data have no features: "
            "prepare them"
        )
    if shipped is None:
        versions = [each[rows] for each in (data.X, *data.copies)]
        fitted = learner.fit_once(versions, data.y[rows], n_labels=len(data.labels))
        shipped = fitted.contents()[".onnx"]
    return shipped, n_numbers(shipped)
