"""Pipelines on pictures."""

from __future__ import annotations

import numpy as np
import pytest

from sercourse import bundles, classical

SHAPE = (6, 4)


def pictures(n: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    X = rng.normal(size=(n, *SHAPE)).astype(np.float32)
    X[np.arange(n), :, y] += 2
    return X, y


@pytest.mark.parametrize("make", [classical.forest, classical.nine_neighbours, classical.logistic])
def test_it_takes_pictures_and_so_does_its_file(make) -> None:
    X, y = pictures(90)
    learner = classical.FlatLearner(classical.PipelineLearner(make))
    assert learner.settings["flat"]
    rows = np.arange(80)
    model = learner.fit([X], y[rows], groups=rows // 2, n_labels=3, rows=rows)
    others, truth = pictures(60, seed=1)
    ours = model.predict_proba(others)
    assert (ours.argmax(axis=1) == truth).mean() > 0.8  # chance is a third
    session = bundles.session(model.contents()[".onnx"])
    assert [each.name for each in session.get_inputs()] == ["X"]
    np.testing.assert_allclose(bundles.run(session, others), ours, atol=1e-4)
    np.testing.assert_allclose(bundles.run(session, others[:1]), ours[:1], atol=1e-4)


def test_it_is_the_pipeline_on_rows() -> None:
    X, y = pictures(60)
    flat = classical.FlatLearner(classical.PipelineLearner(classical.logistic))
    groups = np.arange(60) // 2
    one = flat.fit([X], y, groups=groups, n_labels=3).predict_proba(X)
    plain = flat.learner.fit([X.reshape(60, -1)], y, groups=groups, n_labels=3)
    np.testing.assert_array_equal(one, plain.predict_proba(X.reshape(60, -1)))
