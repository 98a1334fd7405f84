from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from sercourse.networks import backend, cnn_lstm_classic, cnn_lstm_time_distributed

# One process of several is enough to load TensorFlow in.
pytestmark = pytest.mark.xdist_group("networks")

BUILDERS = [cnn_lstm_classic, cnn_lstm_time_distributed]
SMALL = {"n_labels": 3, "input_shape": (4, 32, 24)}


@pytest.fixture(scope="module")
def keras() -> ModuleType:
    try:
        return backend.quiet_keras()
    except ModuleNotFoundError as error:
        pytest.skip(str(error))


def random_weights(model: Any, *, seed: int = 0) -> list[np.ndarray]:
    """Return weights of which none is at its start: running means and variances too."""
    rng = np.random.default_rng(seed)
    centres = {"gamma": 1.0, "moving_variance": 1.0}
    # As small as Keras draws them, so that no layer saturates, and no variance is negative.
    return [
        centres.get(each.name, 0.0) + 0.05 * rng.standard_normal(each.shape)
        for each in model.weights
    ]


def pair(**sizes: Any) -> tuple[Any, Any]:
    """Return the folded and the wrapped network with the same weights."""
    folded, wrapped = (build(**sizes) for build in BUILDERS)
    folded.set_weights(random_weights(folded))
    wrapped.set_weights(folded.get_weights())
    return folded, wrapped


def levels(*shape: int, seed: int = 0) -> np.ndarray:
    """Return spectrograms [dB]."""
    return np.random.default_rng(seed).uniform(-80, 0, shape).astype(np.float32)


@pytest.mark.parametrize("build", BUILDERS)
def test_the_ancestor_has_656583_parameters(keras: ModuleType, build: Any) -> None:
    model = build(n_labels=7)
    assert model.count_params() == 656_583
    assert model.input_shape == (None, 5, 128, 128)
    assert model.output_shape == (None, 7)
    assert build(n_labels=8).count_params() == 656_583 + 256 + 1


def test_layers_have_the_sizes_of_the_ancestor(keras: ModuleType) -> None:
    model = cnn_lstm_classic(n_labels=7)
    layers = [each for each in model.layers if each.count_params()]
    assert [(each.name, each.output.shape[1:], each.count_params()) for each in layers] == [
        ("convolution_1", (128, 128, 64), 640),
        ("normalization_1", (128, 128, 64), 256),
        ("convolution_2", (64, 64, 64), 36_928),
        ("normalization_2", (64, 64, 64), 256),
        ("convolution_3", (16, 16, 128), 73_856),
        ("normalization_3", (16, 16, 128), 512),
        ("convolution_4", (4, 4, 128), 147_584),
        ("normalization_4", (4, 4, 128), 512),
        ("lstm", (256,), 394_240),
        ("logits", (7,), 1_799),
    ]
    assert model.get_layer("flatten").output.shape[1:] == (128,)


def test_both_forms_have_the_same_layers(keras: ModuleType) -> None:
    folded, wrapped = (build(n_labels=7) for build in BUILDERS)
    names = [each.name for each in wrapped.layers if not each.name.startswith("expand")]
    assert names == [each.name for each in folded.layers]
    for name in names[1:-2]:
        layer, plain = wrapped.get_layer(name), folded.get_layer(name)
        assert layer.output.shape[2:] == plain.output.shape[1:]
        assert type(getattr(layer, "layer", layer)) is type(plain)
        assert isinstance(layer, keras.layers.TimeDistributed) != name.startswith("dropout")


def test_both_forms_compute_the_same_at_inference(keras: ModuleType) -> None:
    folded, wrapped = pair(n_labels=7)
    X = levels(3, 5, 128, 128)
    expected = keras.ops.convert_to_numpy(folded(X, training=False))
    assert expected.std() > 1e-3
    # As a graph, which optimizers rewrite, and call by call, which none does.
    for model in (folded, wrapped):
        for given in (model.predict_on_batch(X), model(X, training=False)):
            scores = keras.ops.convert_to_numpy(given)
            np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5)


def test_each_clip_is_judged_by_itself(keras: ModuleType) -> None:
    model, _ = pair(**SMALL)
    X = levels(5, 4, 32, 24)
    together = np.asarray(model.predict_on_batch(X))
    alone = np.concatenate([np.asarray(model.predict_on_batch(X[k : k + 1])) for k in range(5)])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert np.ptp(together, axis=0).min() > 1e-4


def test_windows_are_heard_in_their_order(keras: ModuleType) -> None:
    model, _ = pair(**SMALL)
    X = levels(2, 4, 32, 24)
    forwards, backwards = (np.asarray(model.predict_on_batch(each)) for each in (X, X[:, ::-1]))
    assert np.abs(forwards - backwards).max() > 1e-4


def test_they_differ_in_training_by_the_statistics_of_the_batch(keras: ModuleType) -> None:
    folded, wrapped = pair(**SMALL, dropout=0.0)

    def differ(X: np.ndarray) -> float:
        ours, theirs = (
            keras.ops.convert_to_numpy(model(X, training=True)) for model in (folded, wrapped)
        )
        return float(np.abs(ours - theirs).max())

    X = levels(6, 4, 32, 24)
    X[:, 1] -= 40  # a soft second window: its own mean is not that of all windows
    assert differ(X) > 1e-3
    # Where all windows are alike, their statistics are too, and nothing is left to differ.
    assert differ(np.repeat(X[:, :1], 4, axis=1)) < 1e-5


def test_what_is_stored_comes_back(keras: ModuleType, tmp_path: Path) -> None:
    model, _ = pair(**SMALL)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    X = levels(2, 4, 32, 24)
    stored, own = (np.asarray(each.predict_on_batch(X)) for each in (again, model))
    np.testing.assert_allclose(stored, own, rtol=0, atol=1e-6)


@pytest.mark.parametrize("build", BUILDERS)
@pytest.mark.parametrize(
    ("sizes", "sentence"),
    [
        ({"n_labels": 1}, "n_labels is 1: give at least two emotions"),
        ({"n_labels": 7, "input_shape": (128, 128)}, r"input shape is \(128, 128\): give three"),
        ({"n_labels": 7, "input_shape": (5, 0, 128)}, r"input shape is \(5, 0, 128\)"),
    ],
)
def test_networks_that_cannot_be_are_refused(
    keras: ModuleType, build: Any, sizes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        build(**sizes)


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter."""
    # A level that this process has set is no setting of the user's.
    inherited = {name: each for name, each in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env=inherited | environment,
    )


TRAIN = """
import numpy as np
from sercourse import networks

keras = networks.quiet_keras()
networks.set_seed(0)
model = networks.cnn_lstm_classic(n_labels=3, input_shape=(2, 32, 24))
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(keras.optimizers.SGD(0.01, momentum=0.8), loss)
X = np.random.default_rng(0).uniform(-80, 0, (4, 2, 32, 24)).astype(np.float32)
before = np.array(model.predict_on_batch(X))
loss = float(model.train_on_batch(X, np.array([0, 1, 2, 0])))
change = float(np.abs(np.array(model.predict_on_batch(X)) - before).max())
print(keras.backend.backend(), before.shape, 0 < loss < 10, 0 < change < 10)
"""


@pytest.mark.parametrize("name", ["tensorflow", "jax", "torch"])
def test_it_trains_on_each_backend_and_says_nothing(name: str) -> None:
    for needed in ("keras", name):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"{needed} is not installed")
    done = run(TRAIN, KERAS_BACKEND=name)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[0] == f"{name} (4, 3) True True"
    # Lessons keep what is written to standard error, and readers would wonder.
    assert done.stderr == ""


def test_importing_the_networks_loads_no_backend() -> None:
    done = run(
        "import sys, sercourse.networks\n"
        "print({'keras', 'tensorflow', 'jax', 'torch', 'onnx'} & set(sys.modules))"
    )
    assert done.stdout == "set()\n", done.stderr


@pytest.mark.parametrize("name", ["keras", "tensorflow"])
def test_a_missing_library_is_said_in_one_sentence(name: str) -> None:
    if name != "keras" and importlib.util.find_spec("keras") is None:
        pytest.skip("keras is not installed")
    code = f"import sys; sys.modules[{name!r}] = None\n"
    code += "from sercourse import networks\ntry:\n    networks.cnn_lstm_classic(n_labels=7)\n"
    code += "except ModuleNotFoundError as error:\n    print(error)"
    done = run(code, KERAS_BACKEND="tensorflow")
    assert done.stdout == (
        f"a network needs {name}, which is not installed: install Keras and TensorFlow with "
        "pip install -e '.[networks]'\n"
    ), done.stderr


def test_only_banners_are_dropped(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    with backend._without_banners():
        os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are\n")
        os.write(2, b"I0000 00:00:1795226529.306011   21125 port.cc:153] oneDNN custom\n")
        os.write(2, b"the disk is full\n")
    os.write(2, b"I0000 00:00:1795226529.306011   after\n")
    assert capfd.readouterr().err == ("the disk is full\nI0000 00:00:1795226529.306011   after\n")


def test_who_asks_for_all_messages_gets_them(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    with backend._without_banners():
        os.write(2, b"I0000 00:00:1795226529.306011   21125 port.cc:153] oneDNN custom\n")
    assert "oneDNN" in capfd.readouterr().err
