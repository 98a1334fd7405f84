"""Classical models: what is inside the pipelines, and that what leaves them is the same."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier
from sklearn.feature_selection import SelectFpr, SelectFromModel, VarianceThreshold, f_classif
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from sercourse import bundles, classical, recipes, splits
from sercourse.classical import PipelineLearner
from sercourse.networks import Examples

N_CLASSES, PER_CLASS, N_FEATURES = 4, 60, 220
SHAPE = (6, 4)

Clouds = tuple[np.ndarray, np.ndarray, np.ndarray]


def make_clouds(n_classes: int, *, n_features: int = 30, spread: float = 0.8) -> Clouds:
    """Overlapping classes of features on very different scales, by eight speakers."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(n_classes), PER_CLASS)
    means = rng.normal(scale=spread, size=(n_classes, n_features))
    X = means[y] + rng.normal(size=(len(y), n_features))
    scale = 10.0 ** rng.uniform(-4, 3, n_features)
    return (X * scale).astype(np.float32).astype(float), y, np.arange(len(y)) % 8


@pytest.fixture(scope="module")
def clouds() -> Clouds:
    return make_clouds(N_CLASSES, n_features=N_FEATURES, spread=0.5)


def fitted(learner: Any, X: np.ndarray, y: np.ndarray, groups: np.ndarray, **told: Any) -> Any:
    """Fit a learner, or a pipeline."""
    learner = PipelineLearner(learner) if isinstance(learner, Pipeline) else learner
    told_of = {name: told.pop(name) for name in ("rows", "weights") if name in told}
    return learner.fit(Examples([X], y, len(np.unique(y)), **told_of), groups=groups, **told)


def exported(model: Any, X: np.ndarray) -> np.ndarray:
    """What the ONNX file of a model answers."""
    return bundles.run(bundles.session(model.contents()[".onnx"]), X)


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize(
    ("name", "params"),
    [
        *((name, {}) for name in classical.CLASSIFIERS),
        ("knn", {"model__p": 1, "model__n_neighbors": 3}),
        ("mlp", {"model__hidden_layer_sizes": [32, 16]}),
        ("svm-classic", None),
        ("svm", None),
        ("logistic", None),
    ],
)
def test_onnx_equals_scikit_learn(name: str, params: dict | None, n_classes: int) -> None:
    X, y, speakers = make_clouds(n_classes)
    recipe = recipes.recipe(name) if params is None else recipes.from_zoo(name, params)
    model = fitted(recipe.learner, X[::2], y[::2], speakers[::2])
    theirs = model.predict_proba(X)
    assert np.abs(exported(model, X) - theirs).max() < 1e-4
    assert np.mean(theirs.argmax(axis=1) == y) > 1.5 / n_classes


class Unknown(LogisticRegression):
    """A classifier that no converter knows."""


def test_what_cannot_be_exported_is_named() -> None:
    model = fitted(classical.pipeline(Unknown()), *make_clouds(2))
    with pytest.raises(ValueError, match="skl2onnx cannot export the model StandardScaler -> Unk"):
        model.contents()


def test_exported_models_stay_small(clouds) -> None:
    model = fitted(classical.svm_whitened(), *clouds)  # whitening vanishes in the weights
    weights = 4 * (N_CLASSES * N_FEATURES + 2 * N_FEATURES)
    assert len(model.contents()[".onnx"]) < 3 * weights
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(8), 90)  # half of RAVDESS
    X = rng.normal(size=(len(y), 60)).astype(np.float32)  # noise makes the deepest trees
    forest = recipes.from_zoo("random-forest", {"model__min_samples_leaf": 3}).learner
    content = fitted(forest, X, y, np.arange(len(y)) % 24).contents()[".onnx"]
    assert len(content) < 2.5 * 2**20


@pytest.mark.parametrize("name", ["mfcc-forest", "mfcc-9nn", "logistic"])
def test_arrays_are_rows_of_numbers(name: str) -> None:
    rng, n = np.random.default_rng(0), 90
    y = np.arange(n) % 3
    X = rng.normal(size=(n, *SHAPE)).astype(np.float32)
    X[np.arange(n), :, y] += 2
    learner, groups = recipes.recipe(name).learner, np.arange(n) // 2
    model = fitted(learner, X, y[:80], groups[:80], rows=np.arange(80))
    ours = model.predict_proba(X)
    assert (ours.argmax(axis=1) == y)[80:].mean() > 0.6  # chance is a third
    np.testing.assert_allclose(exported(model, X), ours, atol=1e-4)
    np.testing.assert_allclose(exported(model, X[:1]), ours[:1], atol=1e-4)
    flat = fitted(learner, X[:80].reshape(80, -1), y[:80], groups[:80])
    np.testing.assert_array_equal(flat.predict_proba(X.reshape(n, -1)), ours)


def test_classic_is_the_published_pipeline(clouds) -> None:
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


def test_inner_splits_keep_speakers_together_and_shrink_with_the_data(clouds) -> None:
    _, y, speakers = clouds
    parts = splits.inner_splits(y, speakers)
    assert len(parts) == splits.INNER_FOLDS
    for train, test in parts:
        assert set(speakers[train]).isdisjoint(speakers[test])
    assert len(splits.inner_splits(np.array([0, 1, 0, 1]), np.array(list("aabb")))) == 2
    with pytest.raises(ValueError, match="'happy' has 1 speaker"):
        splits.inner_splits(np.array(["sad", "happy", "sad"]), np.array(["a", "a", "b"]))


@pytest.mark.parametrize(
    "plain",
    [
        classical.svm_classic(),
        make_pipeline(StandardScaler(), SelectFpr(alpha=1e-9), SVC()),
        make_pipeline(VarianceThreshold(100), LinearSVC()),
        make_pipeline(SelectFromModel(LogisticRegression(), threshold=1e9), SVC()),
    ],
    ids=["svm-classic", "F-test", "variance", "another model"],
)
def test_a_selection_that_leaves_nothing_scores_chance(plain: Pipeline) -> None:
    X = np.random.default_rng(0).normal(size=(40, 5))
    y, lines = np.repeat([0, 1], [24, 16]), []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = fitted(plain, X, y, np.arange(40) % 8, report=lines.append)
    assert lines == ["the model selects no feature: it answers with the share of each emotion"]
    np.testing.assert_allclose(model.predict_proba(X), [[0.6, 0.4]] * 40, atol=0.05)
    np.testing.assert_allclose(exported(model, X), model.predict_proba(X), atol=1e-5)


def test_too_few_clips_are_said_to_be_few() -> None:
    X, y = np.random.default_rng(0).normal(size=(8, 5)), np.arange(8) % 2
    with pytest.raises(ValueError, match=r"8 clips are too few or too alike .*n_neighbors"):
        fitted(recipes.recipe("mfcc-9nn").learner, X, y, np.arange(8))


def test_a_grid_gives_the_setting_that_does_best_on_other_voices(clouds) -> None:
    grid = {"svm__gamma": (1e3, 0.005)}  # the first tells any two clips apart
    model = fitted(PipelineLearner(classical.svm_classic(), grid), *clouds).model
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
    plain, weighted = (
        fitted(learner, X, told, np.arange(n) // 12, **options)
        .predict_proba(X)[np.arange(n), y]
        .mean()
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

    learner = PipelineLearner(
        Pipeline([("model", Curious(max_iter=50))]), grid={"model__C": (0.1, 1.0)}
    )
    learner.fit(Examples([named, named], y, N_CLASSES), groups=speakers)
    # The grid's two settings, then the calibration.
    assert len(asked) == 3 * splits.INNER_FOLDS
    for heard, others in asked:
        assert heard.isdisjoint(others)
        assert heard | others == set(range(8))


def test_probabilities_are_calibrated_on_unseen_clips() -> None:
    rng = np.random.default_rng(2)
    y = rng.integers(0, 2, 400)
    X = rng.normal(size=(400, 300))  # no signal, and enough features to learn the noise by heart
    model = fitted(classical.svm_whitened(), X[:200], y[:200], np.arange(200))
    assert model.predict_proba(X[200:]).max() < 0.75


def test_scaler_only_where_distances_count() -> None:
    assert "scale" in classical.pipeline(SVC()).named_steps
    assert "scale" in classical.pipeline(BaggingClassifier(SVC())).named_steps
    assert "scale" not in classical.pipeline(RandomForestClassifier()).named_steps
    assert list(classical.pipeline(classical.pipeline(SVC())).named_steps) == ["scale", "model"]


def test_weights_help_the_rare_class() -> None:
    X, y, _ = make_clouds(2)
    kept = np.concatenate([np.flatnonzero(y == 0), np.flatnonzero(y == 1)[:8]])
    recalls = []
    for weighted in (False, True):
        recipe = recipes.from_zoo("svc", {"model__C": 0.05})
        learner = recipes.with_settings(recipe, weighted=weighted).learner
        model = fitted(learner, X[kept], y[kept], np.arange(len(kept)) % 4)
        recalls.append(np.mean(model.predict_proba(X).argmax(axis=1)[y == 1]))
        assert ("balanced" in learner.settings["model"]) == weighted
    assert recalls[1] > recalls[0] + 0.2


def test_what_takes_no_weights_is_refused() -> None:
    with pytest.raises(ValueError, match=r"KNeighborsClassifier takes no weights.*undersample"):
        recipes.with_settings(recipes.from_zoo("knn"), weighted=True).learner.pipeline()


def test_perceptrons_train_without_warnings() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted(recipes.from_zoo("mlp", {}).learner, *make_clouds(2))
