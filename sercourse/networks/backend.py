"""Keras: imported on demand, seeded, and with faster training operations."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any


def quiet_keras() -> ModuleType:
    """Import Keras, on the backend that `KERAS_BACKEND` or Keras's settings name.

    The first import takes seconds. TensorFlow's log lines are switched off.

    Raises
    ------
    ModuleNotFoundError
        If Keras or the backend is not installed; the sentence says what to install.

    Examples
    --------
    >>> keras = quiet_keras()
    >>> float(keras.ops.sum([1.0, 2.0]))
    3.0
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    stderr = os.dup(2)
    with Path(os.devnull).open("wb") as nowhere:  # TensorFlow prints before it reads its log level
        os.dup2(nowhere.fileno(), 2)
    try:
        import keras
    except ModuleNotFoundError as error:
        missing = str(error.name).partition(".")[0]
        raise ModuleNotFoundError(
            f"a network needs {missing}, which is not installed: install Keras and TensorFlow "
            "with pip install -e '.[networks]'",
            name=missing,
        ) from None
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
    # It warns of retracing once a session has built several networks, which is what lessons do.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    return keras


def set_seed(seed: int) -> None:
    """Seed Python, NumPy and the backend: initial weights, dropout.

    Examples
    --------
    >>> set_seed(0)
    >>> first = float(quiet_keras().random.uniform([]))
    >>> set_seed(0)
    >>> first == float(quiet_keras().random.uniform([]))
    True
    """
    quiet_keras().utils.set_random_seed(seed)


@contextlib.contextmanager
def fused_ops() -> Iterator[None]:
    """Let TensorFlow compute 2-D convolutions and batch normalisation in fewer passes over memory.

    Keras writes batch normalisation as some ten operations, TensorFlow has one; and oneDNN is slow
    at the gradient of a convolution's bias. On a CPU the training steps of `cnn_lstm_classic` take
    half of the time, those of `cnn_lstm` three quarters; results differ by rounding. It acts on
    training steps in float32 that are traced meanwhile.
    """
    keras = quiet_keras()
    if keras.backend.backend() != "tensorflow":
        yield
        return
    import tensorflow as tf

    batch_norm, conv2d = keras.layers.BatchNormalization, keras.layers.Conv2D
    keras_normalize, keras_convolve = batch_norm.call, conv2d.call

    def normalize(layer: Any, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        plain = layer.trainable and layer.scale and layer.center and len(inputs.shape) == 4
        if not training or not plain or layer.compute_dtype != "float32":
            return keras_normalize(layer, inputs, training=training, mask=mask)
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, layer.gamma.value, layer.beta.value, epsilon=layer.epsilon
        )
        n = tf.cast(tf.size(inputs) // inputs.shape[-1], inputs.dtype)
        variance *= (n - 1) / n  # TensorFlow gives the unbiased one, Keras keeps the other
        for average, new in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
            average.assign(average * layer.momentum + new * (1 - layer.momentum))
        return outputs

    def convolve(layer: Any, inputs: Any) -> Any:
        if not layer.use_bias or layer.compute_dtype != "float32":
            return keras_convolve(layer, inputs)
        bias = tf.reshape(layer.bias.value, (1, 1, 1, -1))  # added by broadcasting, not `BiasAdd`
        return layer.activation(layer.convolution_op(inputs, layer.kernel) + bias)

    batch_norm.call, conv2d.call = normalize, convolve
    try:
        yield
    finally:
        batch_norm.call, conv2d.call = keras_normalize, keras_convolve
