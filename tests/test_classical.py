"""Classical models: what is inside the pipelines, and that what leaves them is the same."""

from __future__ import annotations

import warnings

import numpy as np
import onnxruntime
import pytest
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectFpr, SelectFromModel, VarianceThreshold, f_classif
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from sercourse import classical, recipes

N_CLASSES, PER_CLASS, N_FEATURES = 4, 60, 220


@pytest.fixture(scope="module")
def clouds() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Overlapping classes of features on very different scales, by eight speakers."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(N_CLASSES), PER_CLASS)
    means = rng.normal(scale=0.5, size=(N_CLASSES, N_FEATURES))
    X = means[y] + rng.normal(size=(len(y), N_FEATURES))
    scale = rng.uniform(0.01, 100, N_FEATURES)
    return X * scale + 50 * scale, y, np.tile(np.arange(8), len(y) // 8)


@pytest.mark.parametrize("make", [classical.svm_classic, classical.svm_whitened])
def test_onnx_equals_scikit_learn(make, clouds) -> None:
    X, y, speakers = clouds
    model = classical.fit(make, X[::2], y[::2], groups=speakers[::2])
    session = onnxruntime.InferenceSession(classical.to_onnx(model, n_features=N_FEATURES))
    (ours,) = session.run(["probabilities"], {"X": X.astype(np.float32)})
    theirs = model.predict_proba(X)
    assert np.abs(ours - theirs).max() < 1e-5
    assert (ours.argmax(axis=1) == theirs.argmax(axis=1)).all()


def test_whitening_vanishes_from_the_exported_model(clouds) -> None:
    X, y, speakers = clouds
    model = classical.fit(classical.svm_whitened, X, y, groups=speakers)
    weights = 4 * (N_CLASSES * N_FEATURES + 2 * N_FEATURES)
    assert len(classical.to_onnx(model, n_features=N_FEATURES)) < 3 * weights


def test_classic_is_the_ancestors_pipeline(clouds) -> None:
    X, y, _ = clouds
    plain = make_pipeline(
        StandardScaler(), SelectFpr(f_classif, alpha=0.01), PCA(140), SVC(C=3, gamma=0.005)
    )
    n_selected = plain[:2].fit(X, y).transform(X).shape[1]
    plain.set_params(pca__n_components=min(140, n_selected), pca__svd_solver="full")
    assert (classical.svm_classic().fit(X, y).predict(X) == plain.fit(X, y).predict(X)).all()


def test_components_are_capped_by_the_data() -> None:
    X = np.random.default_rng(0).normal(size=(30, 12))
    assert classical.CappedPCA(140).fit(X).transform(X).shape == (30, 12)


def test_whitened_classes_spread_alike(clouds) -> None:
    X, y, _ = clouds
    X = StandardScaler().fit_transform(X)[:, :20]
    Z = classical.WithinClassWhitening(shrinkage=0).fit(X, y).transform(X)
    residuals = np.concatenate([Z[y == k] - Z[y == k].mean(axis=0) for k in range(N_CLASSES)])
    covariance = residuals.T @ residuals
    covariance /= np.trace(covariance) / len(covariance)
    assert np.allclose(covariance, np.eye(20), atol=1e-8)
    assert np.mean(np.sum(Z**2, axis=1)) == pytest.approx(1)


def test_inner_splits_keep_speakers_together(clouds) -> None:
    _, y, speakers = clouds
    splits = classical.inner_splits(y, speakers)
    assert len(splits) == classical.INNER_FOLDS
    for train, test in splits:
        assert set(speakers[train]).isdisjoint(speakers[test])


def test_inner_splits_shrink_with_the_data() -> None:
    y, speakers = np.array([0, 1, 0, 1]), np.array(["a", "a", "b", "b"])
    assert len(classical.inner_splits(y, speakers)) == 2


def test_one_speaker_for_an_emotion_is_refused() -> None:
    y, speakers = np.array(["sad", "happy", "sad"]), np.array(["a", "a", "b"])
    with pytest.raises(ValueError, match="'happy' occurs in one group"):
        classical.inner_splits(y, speakers)


@pytest.mark.parametrize(
    "make",
    [
        classical.svm_classic,
        lambda: make_pipeline(StandardScaler(), SelectFpr(alpha=1e-9), SVC()),
        lambda: make_pipeline(VarianceThreshold(100), LinearSVC()),
        lambda: make_pipeline(SelectFromModel(LogisticRegression(), threshold=1e9), SVC()),
    ],
    ids=["svm-classic", "F-test", "variance", "another model"],
)
def test_a_selection_that_leaves_nothing_scores_chance(make) -> None:
    X = np.random.default_rng(0).normal(size=(40, 5))
    y, lines = np.repeat([0, 1], [24, 16]), []
    learner = classical.PipelineLearner(make)
    told = {"groups": np.arange(40) % 8, "n_labels": 2, "report": lines.append}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = learner.fit([X], y, **told)
    assert lines == ["the model selects no feature: it answers with the share of each emotion"]
    np.testing.assert_allclose(model.predict_proba(X), [[0.6, 0.4]] * 40, atol=0.05)
    session = onnxruntime.InferenceSession(model.contents()[".onnx"])
    (exported,) = session.run(["probabilities"], {"X": X.astype(np.float32)})
    np.testing.assert_allclose(exported, model.predict_proba(X), atol=1e-5)


def test_too_few_clips_are_said_to_be_few() -> None:
    X, y = np.random.default_rng(0).normal(size=(8, 5)), np.array(["happy", "sad"] * 4)
    with pytest.raises(ValueError, match=r"8 clips are too few or too alike .*n_neighbors"):
        classical.fit(classical.nine_neighbours, X, y, groups=np.arange(8))


def test_a_grid_gives_the_setting_that_does_best_on_other_voices(clouds) -> None:
    X, y, speakers = clouds
    grid = {"svm__gamma": (1e3, 0.005)}  # the first tells any two clips apart
    model = classical.fit(classical.svm_classic, X, y, groups=speakers, grid=grid)
    assert model.calibrated_classifiers_[0].estimator["svm"].gamma == 0.005


@pytest.mark.parametrize(
    ("name", "takes"), [("svm", True), ("svm-classic", True), ("logistic", True), ("knn", False)]
)
def test_clips_of_little_weight_teach_little(name: str, takes: bool) -> None:
    learner = recipes.from_zoo(name).learner if name == "knn" else recipes.recipe(name).learner
    assert learner.takes_weights == takes
    if not takes:
        return
    rng, n = np.random.default_rng(0), 240
    X, y = rng.normal(size=(n, 6)), np.arange(n) % 2
    X[:, 0] += 3 * y
    told = np.where(np.arange(n) % 3, y, 1 - y)  # a third of the labels is wrong
    weights = np.where(np.arange(n) % 3, 1.49, 0.02)
    known = {"groups": np.arange(n) // 12, "n_labels": 2}
    plain, weighted = (
        learner.fit([X], told, **known, **options).predict_proba(X)[np.arange(n), y].mean()
        for options in ({}, {"weights": weights})
    )
    assert weighted > max(0.85, plain + 0.1)


def test_a_voice_and_its_copies_are_on_one_side_of_every_inner_split(clouds) -> None:
    X, y, speakers = clouds
    named = np.column_stack([speakers, X[:, :5]])  # the first feature tells who speaks
    asked: list[tuple[set[float], set[float]]] = []

    class Curious(LogisticRegression):
        """Notes which voices it learnt, and about which it is asked."""

        def fit(self, X, y):
            self.heard = set(X[:, 0])
            return super().fit(X, y)

        def decision_function(self, X):  # scikit-learn's answers all come through here
            asked.append((self.heard, set(X[:, 0])))
            return super().decision_function(X)

    learner = classical.PipelineLearner(
        lambda: Pipeline([("model", Curious(max_iter=50))]), {"model__C": (0.1, 1.0)}
    )
    learner.fit([named, named], y, groups=speakers, n_labels=N_CLASSES)
    # The grid's two settings, then the calibration.
    assert len(asked) == 3 * classical.INNER_FOLDS
    for heard, others in asked:
        assert heard.isdisjoint(others)
        assert heard | others == set(range(8))


def test_probabilities_are_calibrated_on_unseen_clips() -> None:
    rng = np.random.default_rng(2)
    y = rng.integers(0, 2, 400)
    X = rng.normal(size=(400, 300))  # no signal, and enough features to learn the noise by heart
    model = classical.fit(classical.svm_whitened, X[:200], y[:200], groups=np.arange(200))
    assert model.predict_proba(X[200:]).max() < 0.75
