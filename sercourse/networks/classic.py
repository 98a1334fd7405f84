"""The ancestor's network: the same convolutions for each window of a spectrogram, then an LSTM.

The architecture is that of the time-distributed CNN in
github.com/maelfabien/Multimodal-Emotion-Recognition (2019). It is built here in two forms, with the
same weights in the same order: `cnn_lstm_classic` folds the windows into the batch, and
`cnn_lstm_time_distributed` wraps layers in `TimeDistributed`, as the ancestor does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sercourse.networks.backend import quiet_keras, refuse_lone_label

if TYPE_CHECKING:
    import keras

FILTERS = (64, 64, 128, 128)
POOLS = (2, 4, 4, 4)
UNITS = 256


def cnn_lstm_classic(
    *, n_labels: int, input_shape: tuple[int, int, int] = (5, 128, 128), dropout: float = 0.2
) -> keras.Model:
    """Return the ancestor's network with the windows folded into the batch.

    The convolutions see a batch of ``n_clips * n_windows`` pictures, so each layer runs once
    rather than once for each window. At inference it computes what `cnn_lstm_time_distributed`
    computes. In training it differs: batch normalisation takes its mean and variance over all
    windows at once, where `TimeDistributed` takes them over the first windows of all clips, then
    over the second ones, and so on.

    Parameters
    ----------
    n_labels : int
        Emotions to tell apart, at least 2.
    input_shape : tuple of int
        Windows, frames and bands of one clip, as `features.spectrogram.classic_windows` gives them.
    dropout : float
        Share of values that training sets to zero, after each block and at the LSTM's input.

    Returns
    -------
    keras.Model
        From (n_clips, n_windows, n_frames, n_bands) to logits (n_clips, n_labels).

    Raises
    ------
    ValueError
        If `n_labels` or `input_shape` cannot be.
    ModuleNotFoundError
        If Keras is not installed.

    Examples
    --------
    >>> cnn_lstm_classic(n_labels=7).count_params()
    656583
    """
    keras = quiet_keras()
    n_windows, n_frames, n_bands = _checked(input_shape, n_labels=n_labels)
    inputs = keras.Input(input_shape, name="windows")
    x = keras.ops.reshape(inputs, (-1, n_frames, n_bands, 1))
    for layer in _convolutions(dropout):
        x = layer(x)
    x = keras.ops.reshape(x, (-1, n_windows, x.shape[-1]))
    for layer in _recurrence(n_labels, dropout):
        x = layer(x)
    return keras.Model(inputs, x, name="cnn_lstm_classic")


def cnn_lstm_time_distributed(
    *, n_labels: int, input_shape: tuple[int, int, int] = (5, 128, 128), dropout: float = 0.2
) -> keras.Model:
    """Return the ancestor's network as the ancestor wrote it, layers wrapped in `TimeDistributed`.

    Parameters, errors and result are those of `cnn_lstm_classic`, and so are the weights: each
    takes the other's by ``set_weights(other.get_weights())``.

    Examples
    --------
    >>> wrapped, folded = cnn_lstm_time_distributed(n_labels=7), cnn_lstm_classic(n_labels=7)
    >>> wrapped.set_weights(folded.get_weights())
    """
    keras = quiet_keras()
    _checked(input_shape, n_labels=n_labels)
    inputs = keras.Input(input_shape, name="windows")
    x = keras.ops.expand_dims(inputs, axis=-1)
    for layer in _convolutions(dropout):
        # Dropout acts on each number alone, so it needs no wrapper. Wrapped, it is the identity at
        # inference, and TensorFlow's graph optimizer (2.21) then loses the ELU before the pooling.
        wrapped = not isinstance(layer, keras.layers.Dropout)
        x = keras.layers.TimeDistributed(layer, name=layer.name)(x) if wrapped else layer(x)
    for layer in _recurrence(n_labels, dropout):
        x = layer(x)
    return keras.Model(inputs, x, name="cnn_lstm_time_distributed")


def _convolutions(dropout: float) -> list[keras.layers.Layer]:
    """Return the layers that turn one window, (n_frames, n_bands, 1), into a vector."""
    layers: Any = quiet_keras().layers
    made = []
    for k, (filters, pool) in enumerate(zip(FILTERS, POOLS, strict=True), start=1):
        made += [
            layers.Conv2D(filters, 3, padding="same", name=f"convolution_{k}"),
            layers.BatchNormalization(name=f"normalization_{k}"),
            layers.Activation("elu", name=f"elu_{k}"),
            layers.MaxPooling2D(pool, padding="same", name=f"pooling_{k}"),
            layers.Dropout(dropout, name=f"dropout_{k}"),
        ]
    return [*made, layers.Flatten(name="flatten")]


def _recurrence(n_labels: int, dropout: float) -> list[keras.layers.Layer]:
    """Return the layers that turn the windows' vectors into logits."""
    layers: Any = quiet_keras().layers
    # cuDNN's LSTM is another operation: a model that holds it runs on other machines only in part.
    lstm = layers.LSTM(UNITS, dropout=dropout, use_cudnn=False, name="lstm")
    return [lstm, layers.Dense(n_labels, name="logits")]


def _checked(input_shape: tuple[int, ...], *, n_labels: int) -> tuple[int, ...]:
    refuse_lone_label(n_labels)
    if len(input_shape) != 3 or min(input_shape) < 1:
        raise ValueError(
            f"the input shape is {input_shape}: give three sizes, windows, frames and bands"
        )
    return input_shape
