"""The toolkit's recurrent network, and training on labels in order."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from sercourse import bundles, networks

pytest.importorskip("keras")


def test_layers_are_the_toolkits() -> None:
    model = networks.rnn(n_labels=5, input_shape=(193,))
    shapes = {
        layer.name: [tuple(weight.shape) for weight in layer.get_weights()]
        for layer in model.layers
        if layer.get_weights()
    }
    gates = 4 * 128
    assert shapes == {
        "lstm_1": [(193, gates), (128, gates), (gates,)],
        "lstm_2": [(128, gates), (128, gates), (gates,)],
        "dense_1": [(128, 128), (128,)],
        "dense_2": [(128, 128), (128,)],
        "logits": [(128, 5), (5,)],
    }
    rates = [layer.rate for layer in model.layers if "dropout" in layer.name]
    assert rates == [0.3] * 4


def test_layers_and_units_are_settings_and_series_are_read() -> None:
    model = networks.rnn(n_labels=2, input_shape=(7, 3), lstm_units=[4], dense_units=[])
    assert model.output_shape == (None, 2)
    X = np.random.default_rng(0).normal(size=(2, 7, 3)).astype(np.float32)
    swapped = X[:, ::-1]
    assert np.abs(model.predict_on_batch(X) - model.predict_on_batch(swapped)).max() > 1e-3


@pytest.mark.parametrize(
    "settings",
    [{"n_labels": 1}, {"input_shape": (2, 2, 2)}, {"lstm_units": []}, {"dropout": 1.0}],
)
def test_impossible_sizes_are_refused(settings: dict) -> None:
    with pytest.raises(ValueError, match=r"give|at least"):
        networks.rnn(**{"n_labels": 3, **settings})


@pytest.mark.parametrize("unusual", [{"loss": "ordinal"}, {"precision": "bfloat16"}])
def test_stored_settings_know_a_choice_only_where_it_is_another(unusual: dict) -> None:
    plain = networks.Training(epochs=3)
    known = {key: value for key, value in asdict(plain).items() if key not in ("loss", "precision")}
    assert plain.settings == known
    assert networks.Training(epochs=3, **unusual).settings == {**known, **unusual}


def ordered(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 4, 160)
    X = rng.normal(size=(len(y), 5))
    X[:, 2] = 50 + 10 * (y + rng.normal(scale=0.2, size=len(y)))  # a scale that must be learnt
    return X.astype(np.float32), y


@pytest.fixture(scope="module")
def regressor() -> networks.FittedNetwork:
    learner = networks.NetworkLearner(
        networks.rnn,
        networks.Training(epochs=30, optimizer="adam", learning_rate=0.01, loss="ordinal"),
        options={"lstm_units": [8], "dense_units": [8], "dropout": 0.0},
        standardized=True,
    )
    X, y = ordered(0)
    return learner.fit([X], y, groups=np.arange(len(y)) % 10, n_labels=4)


def test_ordinal_training_comes_near_the_place(regressor: networks.FittedNetwork) -> None:
    X, y = ordered(1)
    values = networks.expected_codes(regressor, X)
    assert np.mean(np.abs(values - y)) < 0.4  # always the middle would be off by 1
    assert values.min() >= 0
    assert values.max() <= 3


def test_its_curve_is_that_of_the_distance(regressor: networks.FittedNetwork) -> None:
    last = regressor.progress[0].history[-1]
    assert last["validation_loss"] < 0.4  # a variance of the place is 1.25
    assert last["validation_accuracy"] > 0.6


def test_onnx_is_the_network() -> None:
    learner = networks.NetworkLearner(
        networks.rnn,
        networks.Training(epochs=2, optimizer="adam"),
        options={"lstm_units": [8, 4], "dense_units": [4]},
        standardized=True,
    )
    X, y = ordered(2)
    fitted = learner.fit([X], y, groups=np.arange(len(y)) % 10, n_labels=4)
    made = fitted.contents()[".onnx"]
    assert np.abs(bundles.run(bundles.session(made), X) - fitted.predict_proba(X)).max() < 1e-5
