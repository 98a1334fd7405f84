"""What a prediction costs: numbers that a model keeps, and time."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper, numpy_helper

from sercourse import bundles, experiment, features
from sercourse.experiment.cost import n_numbers
from sercourse.recipes import Recipe, from_zoo, recipe

EMOTIONS = ["happy", "sad", "angry"]
NEIGHBOURS = from_zoo("knn", {"model__n_neighbors": 3}, feature_set="statistics")


@pytest.fixture
def data(sample_ravdess: Path) -> experiment.Dataset:
    paths = sorted(sample_ravdess.rglob("*.ogg"))[:30]
    clips = pd.DataFrame({"path": [str(path) for path in paths], "emotion": EMOTIONS * 10})
    clips["clip_id"], clips["duration"] = [path.stem for path in paths], np.arange(30) / 10
    clips["content"] = clips["clip_id"]
    n_features = len(features.named("statistics").names)
    X = np.random.default_rng(0).normal(size=(30, n_features))
    return experiment.Dataset(clips, X, (), tuple(EMOTIONS))


def test_numbers_of_a_model_are_tensors_and_lists() -> None:
    weights = numpy_helper.from_array(np.ones((4, 3), dtype=np.float32), "W")
    nodes = [
        helper.make_node("MatMul", ["X", "W"], ["Z"]),
        helper.make_node("Tree", ["Z"], ["P"], thresholds=[0.5, 0.25], children=[1, 2, 3], axis=1),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None]) for name in "XP"]
    graph = helper.make_graph(nodes, "small", ends[:1], ends[1:], [weights])
    content = helper.make_model(graph).SerializeToString()
    onnx.load_from_string(content)
    assert n_numbers(content) == 4 * 3 + 2 + 3


def test_neighbours_keep_the_clips_that_they_learnt_from(data: experiment.Dataset) -> None:
    few = experiment.cost(NEIGHBOURS, data, rows=np.arange(12))
    all_of_them = experiment.cost(NEIGHBOURS, data)
    n_features = data.X.shape[1]
    assert all_of_them.parameters - few.parameters == pytest.approx(18 * n_features, abs=18 * 3)


class Clock:
    """Processor time that passes only while a function runs that is said to take some."""

    def __init__(self) -> None:
        self.now = 0.0

    def slow(self, function: Callable[..., Any], *seconds: float) -> Callable[..., Any]:
        """Return the function, taking so long; the last time is that of all further calls."""
        left = list(seconds)

        def taking(*args: Any, **settings: Any) -> Any:
            self.now += left.pop(0) if len(left) > 1 else left[0]
            return function(*args, **settings)

        return taking


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "process_time", lambda: clock.now)
    return clock


def test_the_fastest_run_counts(clock: Clock) -> None:
    run = clock.slow(lambda: None, 0.009, 0.007, 0.003, 0.008, 0.004)
    assert experiment.milliseconds(run) == pytest.approx(3)


def test_measuring_and_judging_are_timed_apart(
    data: experiment.Dataset, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first clip takes longer: it loads libraries, and does not count.
    monkeypatch.setattr(features, "extract", clock.slow(features.extract, 5.0, 0.020))
    monkeypatch.setattr(bundles, "run", clock.slow(bundles.run, 0.003))
    found = experiment.cost(NEIGHBOURS, data)
    assert (found.features_ms, found.model_ms) == pytest.approx((20, 3))


def test_networks_are_weighed_untrained() -> None:
    for name, n_labels, weights in (("aesdd-cnn-3", 5, 1_156_357), ("mfcc-conv2d", 7, 208_303)):
        chosen = recipe(name)
        assert isinstance(chosen, Recipe)
        shape = chosen.features.row_shape
        untrained = chosen.learner.untrained(shape, n_labels=n_labels)
        assert untrained.n_weights == weights
    answers = untrained.predict_proba(np.zeros((2, *shape), dtype=np.float32))
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)


def test_members_of_an_ensemble_add_up() -> None:
    both = experiment.Cost(10, 1.0, 0.5) + experiment.Cost(5, 2.0, 0.25)
    assert both == experiment.Cost(15, 3.0, 0.75)
    assert both.ms == 3.75


def test_what_cannot_be_weighed_is_said(data: experiment.Dataset) -> None:
    empty = experiment.dataset_without_features(data.clips.assign(corpus="x", gender="female"))
    with pytest.raises(ValueError, match="the data have no features: prepare them"):
        experiment.cost(NEIGHBOURS, empty)
    strange = Recipe("mine", "", feature_set="statistics", learner=object())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'mine' cannot be weighed"):
        experiment.cost(strange, data)
