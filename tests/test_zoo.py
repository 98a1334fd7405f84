"""The zoo: every classifier leaves scikit-learn unchanged, and its recipes say what they are."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from sercourse import bundles, classical, labels, recipes
from sercourse.recipes import toolkit

N_FEATURES = 30

VARIANTS = [(name, {}) for name in classical.CLASSIFIERS] + [
    ("knn", {"model__p": 1, "model__n_neighbors": 3}),
    ("mlp", {"model__hidden_layer_sizes": [32, 16]}),
]


def clouds(n_classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return overlapping classes of features on very different scales, by eight speakers."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(n_classes), 48)
    means = rng.normal(scale=0.8, size=(n_classes, N_FEATURES))
    X = means[y] + rng.normal(size=(len(y), N_FEATURES))
    scale = 10.0 ** rng.uniform(-4, 3, N_FEATURES)
    return (X * scale).astype(np.float32).astype(float), y, np.tile(np.arange(8), len(y) // 8)


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize(("name", "settings"), VARIANTS)
def test_onnx_equals_scikit_learn(name: str, settings: dict, n_classes: int) -> None:
    X, y, speakers = clouds(n_classes)
    learner = recipes.from_zoo(name, settings).learner
    model = learner.fit([X[::2]], y[::2], groups=speakers[::2], n_labels=n_classes)
    session = bundles.session(model.contents()[".onnx"])
    theirs = model.predict_proba(X)
    assert np.abs(bundles.run(session, X) - theirs).max() < 1e-4
    assert np.mean(theirs.argmax(axis=1) == y) > 1.5 / n_classes


@pytest.mark.parametrize("n_classes", [2, 3])
def test_other_classifiers_with_probabilities_are_exported_too(n_classes: int) -> None:
    X, y, speakers = clouds(n_classes)
    model = classical.fit(lambda: classical.pipeline(LogisticRegression()), X, y, groups=speakers)
    ours = bundles.run(bundles.session(classical.to_onnx(model, n_features=N_FEATURES)), X)
    assert np.abs(ours - model.predict_proba(X)).max() < 1e-4


class Unknown(LogisticRegression):
    """A classifier that no converter knows."""


def test_what_cannot_be_exported_is_named() -> None:
    X, y, speakers = clouds(2)
    model = classical.fit(lambda: classical.pipeline(Unknown()), X, y, groups=speakers)
    with pytest.raises(ValueError, match="skl2onnx cannot export the model StandardScaler -> Unk"):
        classical.to_onnx(model, n_features=N_FEATURES)


def test_a_forest_of_a_whole_corpus_stays_small() -> None:
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(8), 90)  # half of RAVDESS
    X = rng.normal(size=(len(y), 60)).astype(np.float32)  # noise makes the deepest trees
    learner = recipes.from_zoo("random-forest", {"model__min_samples_leaf": 3}).learner
    model = learner.fit([X], y, groups=np.arange(len(y)) % 24, n_labels=8)
    assert len(model.contents()[".onnx"]) < 2.5 * 2**20


def test_scaler_only_where_distances_count() -> None:
    assert "scale" in classical.pipeline(SVC()).named_steps
    assert "scale" in classical.pipeline(BaggingClassifier(SVC())).named_steps
    assert "scale" not in classical.pipeline(RandomForestClassifier()).named_steps
    given = classical.pipeline(SVC())
    assert [name for name, _ in classical.pipeline(given).steps] == ["scale", "model"]


def test_weights_help_the_rare_class() -> None:
    X, y, _ = clouds(2, seed=3)
    kept = np.concatenate([np.flatnonzero(y == 0), np.flatnonzero(y == 1)[:8]])
    recalls = []
    for weighted in (False, True):
        learner = recipes.from_zoo("svc", {"model__C": 0.05}, weighted=weighted).learner
        model = learner.fit([X[kept]], y[kept], groups=np.arange(len(kept)) % 4, n_labels=2)
        recalls.append(np.mean(model.predict_proba(X).argmax(axis=1)[y == 1]))
        assert ("weighted" in learner.settings) == weighted
    assert recalls[1] > recalls[0] + 0.2


def test_what_takes_no_weights_is_refused() -> None:
    with pytest.raises(ValueError, match=r"KNeighborsClassifier takes no weights.*undersample"):
        classical.weighted(classical.CLASSIFIERS["knn"].make())


def test_perceptrons_train_without_warnings() -> None:
    X, y, speakers = clouds(2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recipes.from_zoo("mlp", {}).learner.fit([X], y, groups=speakers, n_labels=2)


def test_a_recipe_for_each_classifier_and_all_are_registered() -> None:
    names = [f"toolkit-{name}" for name in (*classical.CLASSIFIERS, toolkit.RNN)]
    assert [each.name for each in toolkit.RECIPES] == names
    for name in names:
        recipe = recipes.recipe(name)
        assert recipe.feature_set == "librosa"
        json.dumps(recipe.settings)


def test_recipe_of_a_found_setting_holds_it() -> None:
    recipe = recipes.from_zoo("svc", {"model__C": 30}, feature_set="librosa:mfcc")
    assert "C=30" in recipe.settings["model"]
    assert recipe.settings["features"]["name"] == "librosa:mfcc"
    assert recipe.settings["grid"] == {}


@pytest.mark.parametrize(
    ("name", "feature_set", "wanted"),
    [("svr", "librosa", "no classifier 'svr'"), ("svc", "log-mel", "array of shape")],
)
def test_recipes_that_cannot_be_are_refused(name: str, feature_set: str, wanted: str) -> None:
    with pytest.raises(ValueError, match=wanted):
        recipes.from_zoo(name, feature_set=feature_set)


def test_codes_are_the_toolkits() -> None:
    five = labels.codes(["anger", "happy", "neutral", "ps", "sadness"])
    assert five == {"angry": 1, "sad": 2, "neutral": 3, "surprised": 4, "happy": 5}
    with pytest.raises(ValueError, match="no order of neutral, fearful"):
        labels.codes(["fear", "neutral"])
