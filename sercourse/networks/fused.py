"""The same training in fewer passes over memory, where TensorFlow has an operation for it.

Keras writes batch normalisation as some ten operations, each of which reads and writes every value;
TensorFlow has one that computes the same. And oneDNN is slow to compute the gradient of a bias
together with that of the filters: summed for itself, it costs a tenth. On a CPU the training steps
of `cnn_lstm_classic` come to take half of the time, and those of `cnn_lstm` three quarters.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from sercourse.networks.backend import quiet_keras

if TYPE_CHECKING:
    import keras


@contextlib.contextmanager
def fused(model: keras.Model) -> Iterator[None]:
    """Let the layers of a model compute as they do, but faster, in training steps traced meanwhile.

    Results differ by rounding alone. What there is no faster way for stays as it is: other backends
    than TensorFlow, other precisions than float32, one-dimensional convolutions.

    Parameters
    ----------
    model : keras.Model

    Examples
    --------
    >>> from sercourse.networks import cnn_lstm
    >>> with fused(cnn_lstm(n_labels=8)):
    ...     pass
    """
    if quiet_keras().backend.backend() != "tensorflow":
        yield
        return
    found = [(layer, call) for layer in _layers(model) if (call := _faster(layer)) is not None]
    for layer, call in found:
        layer.call = partial(call, layer)
    try:
        yield
    finally:
        for layer, _ in found:
            del layer.call  # the method of its class is seen again


def _layers(model: keras.Model) -> Iterator[Any]:
    """Yield the layers of a model, and those of models inside it."""
    for layer in model.layers:
        yield from _layers(layer) if hasattr(layer, "layers") else (layer,)


def _faster(layer: Any) -> Callable[..., Any] | None:
    """Return what computes a layer faster, if there is anything."""
    layers: Any = quiet_keras().layers
    if layer.compute_dtype != "float32":
        return None
    if type(layer) is layers.BatchNormalization:
        plain = layer.scale and layer.center and not layer.renorm
        return _normalize if plain and layer.axis in (-1, 3) else None
    if type(layer) is layers.Conv2D:
        return _convolve if layer.use_bias and layer.data_format == "channels_last" else None
    return None


def _normalize(layer: Any, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
    """Return what `BatchNormalization.call` does, and move its mean and variance as it does."""
    import tensorflow as tf

    if not training or not layer.trainable or mask is not None or len(inputs.shape) != 4:
        return type(layer).call(layer, inputs, training=training, mask=mask)
    outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=inputs,
        scale=tf.convert_to_tensor(layer.gamma),
        offset=tf.convert_to_tensor(layer.beta),
        mean=[],
        variance=[],
        epsilon=layer.epsilon,
        is_training=True,
        exponential_avg_factor=1.0,
    )
    n = tf.cast(tf.size(inputs) // inputs.shape[-1], inputs.dtype)
    variance *= (n - 1) / n  # TensorFlow gives the unbiased one, Keras keeps the other
    for average, new in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
        average.assign(average * layer.momentum + new * (1 - layer.momentum))
    return outputs


def _convolve(layer: Any, inputs: Any) -> Any:
    """Return what `Conv2D.call` does; the bias is added by broadcasting, not by `BiasAdd`."""
    import tensorflow as tf

    bias = tf.reshape(tf.convert_to_tensor(layer.bias), (1, 1, 1, -1))
    outputs = layer.convolution_op(inputs, layer.kernel) + bias
    return outputs if layer.activation is None else layer.activation(outputs)
