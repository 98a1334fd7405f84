"""Networks on cepstra and on rows of numbers, and what goes around them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("keras", reason="needs Keras: pip install -e '.[networks]'")
pytest.importorskip("tensorflow", reason="needs TensorFlow: pip install -e '.[networks]'")

from sercourse import bundles, networks
from sercourse.features import short_term
from sercourse.networks import training
from sercourse.recipes import has_setting, recipe, with_settings

pytestmark = pytest.mark.xdist_group("networks")  # Keras and TensorFlow are loaded once

SHORT = networks.Training(epochs=8, batch_size=16, optimizer="adam", learning_rate=3e-3)
ROWS = (12,)


def rows(n: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return rows whose features lie far from zero, and three labels that they tell."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    X = 500 + 20 * rng.normal(size=(n, *ROWS))
    X[np.arange(n), y] += 120
    return X.astype(np.float32), y


def fitted(**settings) -> networks.FittedNetwork:
    X, y = rows(90)
    learner = networks.NetworkLearner(networks.mlp, SHORT, standardized=True, **settings)
    n_labels = int(np.prod(settings.get("heads", (3,))))
    return learner.fit([X], y, groups=np.arange(90) // 2, n_labels=n_labels)


def test_conv2d_is_the_ancestors_layer_by_layer() -> None:
    model = networks.mfcc_conv2d(n_labels=7)
    assert model.count_params() == 208_303
    assert sum(int(np.prod(each.shape)) for each in model.trainable_variables) == 208_111
    told = [(type(each).__name__, tuple(each.output.shape[1:])) for each in model.layers[1:]]
    after = ["BatchNormalization", "Activation"]
    expected = [("Permute", (39, 216)), ("Reshape", (39, 216, 1))]
    for shape, pooled in (
        ((27, 204, 8), None),
        ((15, 192, 8), (7, 192, 8)),
        ((5, 190, 8), None),
        ((5, 190, 8), (2, 190, 8)),
    ):
        expected += [(kind, shape) for kind in ("Conv2D", *after)]
        expected += [("MaxPooling2D", pooled)] if pooled else []
    expected += [("Flatten", (3040,)), ("Dense", (64,)), *((kind, (64,)) for kind in after)]
    assert told == [*expected, ("Dropout", (64,)), ("Dense", (7,))]
    kernels = [model.get_layer(f"convolution_{k}").kernel_size for k in (1, 2, 3, 4)]
    assert kernels == [(13, 13), (13, 13), (3, 3), (1, 1)]
    assert model.get_layer("dropout").rate == 0.2


def test_the_other_ancestors_layers() -> None:
    model = networks.mlp(n_labels=8, input_shape=(162,))
    units = [each.units for each in model.layers[1:]]
    assert units == [128, 64, 32, 16, 8]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"n_labels": 1}, "n_labels is 1: give at least two"),
        ({"input_shape": (216, 20)}, r"input shape is \(216, 20\).*at least 27 frames and 33"),
        ({"dropout": 1.0}, "dropout is 1.0: give a share"),
    ],
)
def test_networks_that_cannot_be_are_refused(wrong: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        networks.mfcc_conv2d(**{"n_labels": 7, **wrong})


def test_our_network_sees_the_bands_that_cepstra_were_made_of() -> None:
    keras = networks.quiet_keras()
    model = networks.mfcc_net(n_labels=8)
    level = np.cumsum(np.random.default_rng(0).normal(size=(2, 216, 128)), axis=2)
    basis = short_term.dct_matrix(n=128, n_kept=39)
    cepstra = (level @ basis).astype(np.float32)
    bands = keras.Model(model.input, model.get_layer("bands").output).predict_on_batch(cepstra)
    smoothed = level @ basis @ basis.T
    between = smoothed.reshape(2, 216, 64, 2).mean(axis=-1)[:, :, :48]
    assert np.abs(bands - between).max() < 0.3  # the curve at the middle of two bands; spread 10 dB
    assert bands.std() > 5
    assert not model.get_layer("bands").trainable


def test_augmented_cepstra_are_still_cepstra_and_others_each_time() -> None:
    level = np.random.default_rng(0).uniform(-60, 0, (4, 216, 128))
    basis = short_term.dct_matrix(n=128, n_kept=39)
    X = (level @ basis).astype(np.float32)
    before, T = X.copy(), np.eye(4, dtype=np.float32)
    one, targets = networks.augment_mfcc(X, T, rng=np.random.default_rng(1))
    again, _ = networks.augment_mfcc(X, T, rng=np.random.default_rng(1))
    other, _ = networks.augment_mfcc(X, T, rng=np.random.default_rng(2))
    np.testing.assert_array_equal(X, before)
    np.testing.assert_array_equal(one, again)
    np.testing.assert_array_equal(targets, T)
    assert (one.shape, one.dtype) == (X.shape, X.dtype)
    assert np.abs(one - other).max() > 1


def test_inputs_are_standardised_by_what_is_learned_from() -> None:
    keras = networks.quiet_keras()
    X = np.random.default_rng(0).normal(7, 3, size=(40, 5, 4)).astype(np.float32)
    X[..., 2] = 1.5  # never varies
    inputs = keras.Input((5, 4))
    model = networks.standardized(keras.Model(inputs, keras.layers.Identity()(inputs)), X)
    scaled = model.predict_on_batch(X)
    np.testing.assert_allclose(scaled.mean(axis=(0, 1)), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(axis=(0, 1)), [1, 1, 0, 1], atol=1e-5)
    assert not model.weights


def test_the_validation_clips_do_not_standardise(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    standardized = networks.learner.standardized

    def spy(model, X):
        seen.append(X)
        return standardized(model, X)

    monkeypatch.setattr(networks.learner, "standardized", spy)
    fitted()
    assert 70 < len(seen[0]) < 90


def test_it_learns_from_features_of_any_size() -> None:
    X, y = rows(60, seed=1)
    assert (fitted().predict_proba(X).argmax(axis=1) == y).mean() > 0.9  # chance is a third


def test_two_heads_answer_pairs() -> None:
    keras = networks.quiet_keras()
    networks.set_seed(0)
    plain = networks.mlp(n_labels=5, input_shape=ROWS)
    pairs = networks.paired(plain, sizes=(3, 2))
    X, _ = rows(6)
    X = X / 500
    scores, both = plain.predict_on_batch(X), pairs.predict_on_batch(X)
    ours = training.softmax(both).reshape(-1, 3, 2)
    one, other = training.softmax(scores[:, :3]), training.softmax(scores[:, 3:])
    np.testing.assert_allclose(ours, one[:, :, None] * other[:, None, :], atol=1e-6)
    y = np.arange(6) % 6
    joint = training.cross_entropy(both.astype(float), y)
    apart = [
        training.cross_entropy(scores[:, :3].astype(float), y // 2),
        training.cross_entropy(scores[:, 3:].astype(float), y % 2),
    ]
    assert joint == pytest.approx(sum(apart), rel=1e-4)
    assert isinstance(pairs, keras.Model)


def test_heads_learn_both_at_once() -> None:
    X, y = rows(120)
    louder = np.arange(120) % 2
    X[:, 6:] += 90 * louder[:, np.newaxis]
    learner = networks.NetworkLearner(networks.mlp, replace(SHORT, epochs=15), standardized=True)
    learner = learner.with_heads(3, 2)
    model = learner.fit([X], 2 * y + louder, groups=np.arange(120) // 2, n_labels=6)
    pairs = model.predict_proba(X).reshape(-1, 3, 2)
    assert (pairs.sum(axis=2).argmax(axis=1) == y).mean() > 0.9
    assert (pairs.sum(axis=1).argmax(axis=1) == louder).mean() > 0.9
    assert learner.settings["heads"] == [3, 2]


@pytest.mark.parametrize("settings", [{}, {"heads": (3, 2)}, {"members": 2}], ids=str)
def test_files_hold_the_scaling_and_the_heads(settings: dict, tmp_path: Path) -> None:
    model = fitted(**settings)
    X, _ = rows(10, seed=2)
    ours = model.predict_proba(X)
    contents = model.contents()
    np.testing.assert_allclose(bundles.run(bundles.session(contents[".onnx"]), X), ours, atol=1e-5)
    path = tmp_path / "model.keras"
    path.write_bytes(contents[".keras"])
    loaded = networks.quiet_keras().saving.load_model(path, safe_mode=True, compile=False)
    np.testing.assert_allclose(loaded.predict_on_batch(X), ours, atol=1e-5)


@pytest.mark.parametrize("name", ["mfcc-conv2d", "mfcc-net", "means-cnn", "means-lstm"])
def test_networks_export(name: str) -> None:
    chosen = recipe(name)
    shape = chosen.features.row_shape
    X = np.random.default_rng(0).normal(size=(6, *shape)).astype(np.float32)
    model = chosen.learner.build(n_labels=8, input_shape=shape)
    if chosen.learner.standardized:
        model = networks.standardized(model, X)
    whole = networks.FittedNetwork((model,), (1.0,), (), {})
    ours = bundles.run(bundles.session(whole.contents()[".onnx"]), X)
    np.testing.assert_allclose(ours, whole.predict_proba(X), atol=1e-4)


def test_binary_cross_entropy_asks_of_each_label() -> None:
    X, y = rows(32)
    model = networks.standardized(networks.mlp(n_labels=3, input_shape=ROWS), X)
    still = replace(SHORT, epochs=1, learning_rate=0.0, batch_size=32, loss="binary")
    (told,) = networks.train(model, networks.Examples([X], y, 3), training=still).history
    p = training.softmax(training.logits(model, X))
    T = np.eye(3)[y]
    weights = training.class_weights(y, n_labels=3)[y]
    by_hand = -(T * np.log(p) + (1 - T) * np.log(1 - p)).mean(axis=1)
    assert told["loss"] == pytest.approx(np.mean(weights * by_hand), rel=1e-3)


def test_an_unknown_loss_is_refused() -> None:
    model = networks.mlp(n_labels=3, input_shape=ROWS)
    with pytest.raises(ValueError, match="unknown loss 'hinge': use one of categorical, binary"):
        training.compile_model(model, training=replace(SHORT, loss="hinge"), n_clips=8)


def test_recipes_tell_what_they_changed() -> None:
    one, other = recipe("mfcc-conv2d").settings, recipe("mfcc-conv2d-categorical").settings
    assert one["training"].pop("loss") == "binary"
    assert {**one, "name": None} == {**other, "name": None}
    assert not has_setting(recipe("svm"), "heads")
    assert with_settings(recipe("aesdd-cnn"), heads=(5, 2)).settings["heads"] == [5, 2]


def test_settings_of_earlier_recipes_are_as_they_were() -> None:
    for name in ("cnn-lstm", "cnn-lstm-classic", "aesdd-cnn-3"):
        told = recipe(name).settings
        assert not {"standardized", "heads"} & told.keys()
        assert "loss" not in told["training"]
