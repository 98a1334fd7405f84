"""The networks' layers, their batch augmentations, and Keras on its backends."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.fft import dct

pytest.importorskip("keras", reason="needs Keras: pip install -e '.[networks]'")
pytest.importorskip("tensorflow", reason="needs TensorFlow: pip install -e '.[networks]'")

from sercourse import networks

pytestmark = pytest.mark.xdist_group("networks")  # Keras and TensorFlow are loaded once

SMALL = {"n_labels": 3, "input_shape": (4, 32, 24)}


def conv(kernel: int, before: int, filters: int) -> int:
    return kernel * kernel * before * filters + filters


def dense(before: int, units: int) -> int:
    return before * units + units


def aesdd_cnn(filters: tuple[int, ...], units: tuple[int, ...]) -> list[tuple[tuple, int]]:
    """Count by hand; each pooling halves 130 frames and 128 bands, rounding down."""
    layers, frames, bands, before = [], 130, 128, 1
    for width in filters:
        layers.append(((frames, bands, width), conv(3, before, width)))
        frames, bands, before = frames // 2, bands // 2, width
    before *= frames * bands
    for width in (*units, 5):
        layers.append(((width,), dense(before, width)))
        before = width
    return layers


# Builder, its arguments, and the shape and number of weights of each layer that has some.
LAYERS: list[tuple[Any, dict[str, Any], list[tuple[tuple[int, ...], int]]]] = [
    (
        networks.builders.cnn_lstm_classic,
        {"n_labels": 7},
        [
            ((128, 128, 64), 640),
            ((128, 128, 64), 256),
            ((64, 64, 64), 36_928),
            ((64, 64, 64), 256),
            ((16, 16, 128), 73_856),
            ((16, 16, 128), 512),
            ((4, 4, 128), 147_584),
            ((4, 4, 128), 512),
            ((256,), 394_240),
            ((7,), 1_799),
        ],
    ),
    (networks.builders.aesdd_cnn_1, {"n_labels": 5}, aesdd_cnn((16, 32), (64,))),
    (networks.builders.aesdd_cnn_2, {"n_labels": 5}, aesdd_cnn((16, 32, 32), (64, 32))),
    (networks.builders.aesdd_cnn_3, {"n_labels": 5}, aesdd_cnn((16, 32, 64, 128), (128, 64, 32))),
    (
        networks.builders.aesdd_cnn_4,
        {"n_labels": 5},
        aesdd_cnn((16, 32, 64, *[128] * 3), (128, 64, 32)),
    ),
    (
        networks.builders.mfcc_conv2d,
        {"n_labels": 7},
        [
            ((27, 204, 8), conv(13, 1, 8)),
            ((27, 204, 8), 32),
            ((15, 192, 8), conv(13, 8, 8)),
            ((15, 192, 8), 32),
            ((5, 190, 8), conv(3, 8, 8)),
            ((5, 190, 8), 32),
            ((5, 190, 8), conv(1, 8, 8)),
            ((5, 190, 8), 32),
            ((64,), dense(3040, 64)),
            ((64,), 256),
            ((7,), dense(64, 7)),
        ],
    ),
    (
        networks.builders.mlp,
        {"n_labels": 8, "input_shape": (162,)},
        [
            ((128,), dense(162, 128)),
            ((64,), dense(128, 64)),
            ((32,), dense(64, 32)),
            ((16,), dense(32, 16)),
            ((8,), dense(16, 8)),
        ],
    ),
    (
        networks.builders.rnn,
        {"n_labels": 5},
        [
            ((1, 128), 4 * (dense(193, 128) + 128 * 128)),
            ((128,), 4 * (dense(128, 128) + 128 * 128)),
            ((128,), dense(128, 128)),
            ((128,), dense(128, 128)),
            ((5,), dense(128, 5)),
        ],
    ),
]


@pytest.mark.parametrize(("build", "settings", "layers"), LAYERS)
def test_layers_are_those_of_the_published_networks(build, settings, layers) -> None:
    model = build(**settings)
    sized = [tuple(each.output.shape[1:]) for each in model.layers if each.count_params()]
    assert sized == [shape for shape, _ in layers]
    assert [n for each in model.layers if (n := each.count_params())] == [n for _, n in layers]


def test_dropout_kernels_and_units_are_options() -> None:
    model = networks.builders.aesdd_cnn_3(n_labels=5, dropout=0.7, kernel=5)
    assert [each.rate for each in model.layers if "dropout" in each.name] == [0.7]
    assert model.get_layer("convolution_2").count_params() == conv(5, 16, 32)
    chroma = networks.builders.aesdd_cnn_3(n_labels=5, input_shape=(130, 12), band_poolings=2)
    sizes = [chroma.get_layer(f"pooling_{k}").output.shape[1:3] for k in range(1, 5)]
    assert sizes == [(65, 6), (32, 3), (16, 3), (8, 3)]
    series = networks.builders.rnn(n_labels=2, input_shape=(7, 3), lstm_units=[4], dense_units=[])
    X = np.random.default_rng(0).normal(size=(2, 7, 3)).astype(np.float32)
    backwards = series.predict_on_batch(X[:, ::-1])
    assert np.abs(series.predict_on_batch(X) - backwards).max() > 1e-3


def pair(**sizes: Any) -> tuple[Any, Any]:
    """Return the folded network and the published form, wrapped, with the same weights."""
    keras = networks.quiet_keras()
    folded, other = (networks.builders.cnn_lstm_classic(**sizes) for _ in range(2))
    inputs = keras.Input(folded.input_shape[1:])
    x = keras.ops.expand_dims(inputs, axis=-1)
    for layer in other.layers:
        if type(layer).__name__ in ("InputLayer", "Reshape"):
            continue
        # Dropout acts on each number alone, so it needs no wrapper. Wrapped, it is the identity at
        # inference, and TensorFlow's graph optimizer (2.21) then loses the ELU before the pooling.
        alone = (
            isinstance(layer, keras.layers.Dropout | keras.layers.LSTM) or layer.name == "logits"
        )
        x = (layer if alone else keras.layers.TimeDistributed(layer, name=layer.name))(x)
    wrapped = keras.Model(inputs, x)
    rng = np.random.default_rng(0)
    centres = {"gamma": 1.0, "moving_variance": 1.0}
    weights = [
        centres.get(each.name, 0.0) + 0.05 * rng.standard_normal(each.shape)
        for each in folded.weights
    ]
    folded.set_weights(weights)
    wrapped.set_weights(weights)
    return folded, wrapped


def levels(*shape: int) -> np.ndarray:
    """Return spectrograms [dB]."""
    return np.random.default_rng(0).uniform(-80, 0, shape).astype(np.float32)


def test_both_forms_compute_the_same_at_inference() -> None:
    folded, wrapped = pair(n_labels=7)
    X = levels(3, 5, 128, 128)
    expected = np.asarray(folded(X, training=False))
    assert expected.std() > 1e-3
    # As a graph, which optimizers rewrite, and call by call, which none does.
    for model in (folded, wrapped):
        for given in (model.predict_on_batch(X), model(X, training=False)):
            np.testing.assert_allclose(np.asarray(given), expected, rtol=0, atol=1e-5)


def test_clips_are_judged_alone_and_windows_in_their_order() -> None:
    model, _ = pair(**SMALL)
    X = levels(5, 4, 32, 24)
    together = model.predict_on_batch(X)
    alone = np.concatenate([model.predict_on_batch(X[k : k + 1]) for k in range(5)])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert np.ptp(together, axis=0).min() > 1e-4
    assert np.abs(together - model.predict_on_batch(X[:, ::-1])).max() > 1e-4


def test_forms_differ_in_training_by_the_statistics_of_the_batch() -> None:
    both = pair(**SMALL)
    for layer in (layer for model in both for layer in model.layers):
        if "dropout" in layer.name:
            layer.rate = 0.0
        if layer.name == "lstm":
            layer.cell.dropout = 0.0

    def differ(X: np.ndarray) -> float:
        ours, theirs = (np.asarray(model(X, training=True)) for model in both)
        return float(np.abs(ours - theirs).max())

    X = levels(6, 4, 32, 24)
    X[:, 1] -= 40  # a soft second window: its own mean is not that of all windows
    assert differ(X) > 1e-3
    # Where all windows are alike, their statistics are too, and nothing is left to differ.
    assert differ(np.repeat(X[:, :1], 4, axis=1)) < 1e-5


def test_mfcc_net_sees_the_bands_that_cepstra_were_made_of() -> None:
    keras = networks.quiet_keras()
    model = networks.builders.mfcc_net(n_labels=8)
    level = np.cumsum(np.random.default_rng(0).normal(size=(2, 216, 128)), axis=2)
    basis = dct(np.eye(128), norm="ortho")[:, :39]
    cepstra = (level @ basis).astype(np.float32)
    bands = keras.Model(model.input, model.get_layer("bands").output).predict_on_batch(cepstra)
    smoothed = level @ basis @ basis.T
    between = smoothed.reshape(2, 216, 64, 2).mean(axis=-1)[:, :, :48]
    assert np.abs(bands - between).max() < 0.3  # the curve at the middle of two bands; spread 10 dB
    assert bands.std() > 5
    assert not model.get_layer("bands").trainable


@pytest.mark.parametrize(
    ("change", "X"),
    [
        (networks.builders.augment_spectrograms, np.maximum(levels(6, 288, 64), -70)),
        (
            networks.builders.augment_mfcc,
            levels(6, 216, 128) @ dct(np.eye(128), norm="ortho")[:, :39],
        ),
        (networks.spec_augment, levels(6, 40, 32)),
    ],
)
def test_augmentation_is_seeded_and_keeps_shape_and_input(change, X: np.ndarray) -> None:
    X = X.astype(np.float32)
    before, T = X.copy(), np.eye(6, dtype=np.float32)
    one, again, other = (change(X, T, rng=np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(X, before)
    np.testing.assert_array_equal(one[1], T)
    np.testing.assert_array_equal(one[0], again[0])
    assert (one[0].shape, one[0].dtype) == (X.shape, np.float32)
    assert np.abs(one[0] - other[0]).max() > 1
    if change is networks.builders.augment_spectrograms:
        assert one[0].min() >= -70
        assert one[0].max() <= 0


def test_masks_hide_an_eighth_at_most() -> None:
    X, T = levels(200, 40, 32), np.eye(200, dtype=np.float32)
    masked, _ = networks.spec_augment(X, T, rng=np.random.default_rng(1))
    hidden = masked != X
    bands, frames = hidden.all(axis=1).sum(axis=1), hidden.all(axis=2).sum(axis=1)
    assert (bands.max(), frames.max()) == (2 * 4, 2 * 5)
    assert bands.min() == frames.min() == 0
    assert (hidden.sum(axis=(1, 2)) <= bands * 40 + frames * 32).all()


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter."""
    # A level that this process has set is no setting of the user's.
    inherited = {name: each for name, each in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=inherited | environment
    )


TRAIN = """
import numpy as np
from sercourse import networks

keras = networks.quiet_keras()
networks.set_seed(0)
model = networks.builders.cnn_lstm_classic(n_labels=3, input_shape=(2, 32, 24))
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
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    done = run(TRAIN, KERAS_BACKEND=name)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[0] == f"{name} (4, 3) True True"
    assert done.stderr == "" or name != "tensorflow"  # lessons keep what is written there


def test_importing_the_networks_loads_no_backend() -> None:
    done = run(
        "import sys, sercourse.networks\n"
        "print({'keras', 'tensorflow', 'jax', 'torch', 'onnx'} & set(sys.modules))"
    )
    assert done.stdout == "set()\n", done.stderr


@pytest.mark.parametrize("name", ["keras", "tensorflow"])
def test_a_missing_library_is_said_in_one_sentence(name: str) -> None:
    code = f"import sys; sys.modules[{name!r}] = None\n"
    code += (
        "from sercourse import networks\ntry:\n    networks.builders.cnn_lstm_classic(n_labels=7)\n"
    )
    code += "except ModuleNotFoundError as error:\n    print(error)"
    done = run(code, KERAS_BACKEND="tensorflow")
    assert done.stdout == (
        f"a network needs {name}, which is not installed: install Keras and TensorFlow with "
        "pip install -e '.[networks]'\n"
    ), done.stderr


@pytest.mark.parametrize("name", ["ravdess-cnn-lstm", "aesdd-cnn"])
def test_shipped_models_load_and_answer_as_their_onnx_files(name: str, root: Path) -> None:
    from sercourse import bundles

    folder = root / "models" / name
    keras = networks.quiet_keras()
    model = keras.saving.load_model(folder / "model.keras", safe_mode=True, compile=False)
    X = np.maximum(levels(2, *model.input_shape[1:]), -60)
    ours = bundles.run(bundles.session((folder / "model.onnx").read_bytes()), X)
    np.testing.assert_allclose(model.predict_on_batch(X), ours, atol=1e-5)
