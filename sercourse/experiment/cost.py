"""What a recipe costs: how many numbers its model holds, and how long it takes over a clip."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from sercourse import audio, bundles, features, files
from sercourse.experiment.dataset import Array, Dataset
from sercourse.experiment.reading import bundle_of
from sercourse.recipes import Model, Recipe

RUNS = 5  # the fastest counts: the others were disturbed


@dataclass(frozen=True)
class Cost:
    """What one prediction needs, on one core.

    Attributes
    ----------
    parameters : int
        Weights of networks, a speech encoder's included; of other models all numbers that the
        exported one keeps, such as the thresholds of trees or the clips that neighbours are looked
        for among.
    features_ms, model_ms : float
        Processor time to measure a clip of ordinary length, and to judge what was measured [ms].
    """

    parameters: int
    features_ms: float
    model_ms: float

    @property
    def ms(self) -> float:
        """Processor time of one prediction [ms]."""
        return self.features_ms + self.model_ms

    def __add__(self, other: Cost) -> Cost:
        """Return what two models cost together, as members of an ensemble do."""
        return Cost(
            self.parameters + other.parameters,
            self.features_ms + other.features_ms,
            self.model_ms + other.model_ms,
        )


class _Weighed(Protocol):
    @property
    def n_weights(self) -> int: ...

    def contents(self) -> dict[str, bytes]: ...


@runtime_checkable
class _Network(Protocol):
    """A learner that knows its model before it has learnt anything."""

    def untrained(self, shape: tuple[int, ...], *, n_labels: int) -> _Weighed: ...


@runtime_checkable
class _Pipeline(Protocol):
    """A learner whose model is as large as its training."""

    def fit_once(self, versions: Any, y: NDArray[np.intp], *, n_labels: int) -> Model: ...


def cost(recipe: Recipe, data: Dataset, *, rows: NDArray[np.intp] | None = None) -> Cost:
    """Return what a prediction of a recipe's model costs; the members of an ensemble add up.

    Networks are taken untrained, as they are as large and as fast as trained ones. Other models
    are those of a shipped bundle of the same clips, or are fitted once.

    Parameters
    ----------
    recipe : Recipe
    data : Dataset
        For networks and shipped models `dataset.dataset_without_features` is enough.
    rows : ndarray of int, optional
        What other models are fitted on, such as the training side of a fold; all by default.

    Raises
    ------
    ValueError
        If features are needed that the data are without, or a learner's models cannot be weighed.
    """
    model, parameters = _exported(recipe, data, np.arange(len(data.y)) if rows is None else rows)
    wanted, session = recipe.features, bundles.session(model)
    y = audio.read(_ordinary_clip(data), sr=wanted.sr)
    if wanted.encoder:
        other = recipe.feature_set.partition(":")[2]
        encoder = files.user_path(other) if other else features.whisper.shipped_encoder()
        parameters += n_numbers(encoder.read_bytes())
    with threadpool_limits(1):

        def measure() -> Array:
            return features.extract(y, sr=wanted.sr, feature_set=wanted)

        X = measure()[np.newaxis]  # the first time loads libraries
        return Cost(
            parameters, milliseconds(measure), milliseconds(lambda: bundles.run(session, X))
        )


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
    bundle, learner = bundle_of(recipe, data), recipe.learner
    shipped = None
    if bundle is not None:
        (member,) = bundle.members
        shipped = (bundle.folder / member.info["files"]["model"]).read_bytes()
    if isinstance(learner, _Network):
        untrained = learner.untrained(recipe.features.row_shape, n_labels=len(data.labels))
        return shipped or untrained.contents()[".onnx"], untrained.n_weights
    model = shipped or _fitted(recipe, data, rows).contents()[".onnx"]
    return model, n_numbers(model)


def _fitted(recipe: Recipe, data: Dataset, rows: NDArray[np.intp]) -> Model:
    if not isinstance(recipe.learner, _Pipeline):
        raise ValueError(
            f"the models of recipe {recipe.name!r} cannot be weighed: its learner has neither "
            "'untrained' nor 'fit_once'"
        )
    if not data.X.size:
        raise ValueError(
            f"recipe {recipe.name!r} must be fitted to be weighed, and the data have no features: "
            "prepare them"
        )
    versions = [each[rows] for each in (data.X, *data.copies)]
    return recipe.learner.fit_once(versions, data.y[rows], n_labels=len(data.labels))


def _ordinary_clip(data: Dataset) -> str:
    """Return the path of the clip of median duration."""
    order = data.clips["duration"].to_numpy(dtype=float).argsort(kind="stable")
    return str(data.clips["path"].iloc[order[len(order) // 2]])
