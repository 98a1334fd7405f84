"""Networks on a vector of features: dense layers, convolutions along the vector, an LSTM.

They follow github.com/Aaka3021/Speech-Emotion-Recognition--1 (2021), of which only the sizes of the
dense layers are known for sure; those of the others are ours. Neighbours in the vector are seldom
neighbours in the voice, so that convolutions and LSTM, which live on neighbours, gain nothing that
dense layers cannot: that is the lesson.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sercourse import augment
from sercourse.networks.backend import quiet_keras, refuse_lone_label
from sercourse.networks.training import Training

if TYPE_CHECKING:
    import keras

Array = NDArray[np.floating]

MLP_UNITS = (128, 64, 32, 16)
CNN_FILTERS = (64, 128, 128)
LSTM_UNITS = 64
MIXUP_ALPHA = 0.3
VECTOR_TRAINING = Training(epochs=40, batch_size=32, optimizer="adam", learning_rate=1e-3)
REGULARIZED_TRAINING = Training(
    epochs=60,
    batch_size=32,
    learning_rate=2e-3,
    weight_decay=1e-2,
    label_smoothing=0.1,
    averaged=0.2,
)


def mlp(*, n_labels: int, input_shape: tuple[int], units: Sequence[int] = MLP_UNITS) -> keras.Model:
    """Return dense layers with ReLU: a multilayer perceptron.

    Parameters
    ----------
    n_labels : int
        Emotions to tell apart, at least 2.
    input_shape : tuple of int
        The number of features.
    units : sequence of int
        Of each layer before the answer.

    Returns
    -------
    keras.Model
        From (n, n_features), which should be standardised, to logits (n, n_labels).

    Raises
    ------
    ModuleNotFoundError
        If Keras is not installed.
    ValueError
        If there are fewer than two labels.

    Examples
    --------
    >>> mlp(n_labels=8, input_shape=(162,)).count_params()
    31864
    """
    refuse_lone_label(n_labels)
    keras: Any = quiet_keras()
    layers = keras.layers
    x = inputs = keras.Input(input_shape, name="features")
    for k, width in enumerate(units, start=1):
        x = layers.Dense(width, activation="relu", name=f"dense_{k}")(x)
    return keras.Model(inputs, layers.Dense(n_labels, name="logits")(x), name="mlp")


def vector_cnn(
    *,
    n_labels: int,
    input_shape: tuple[int],
    filters: Sequence[int] = CNN_FILTERS,
    dropout: float = 0.3,
) -> keras.Model:
    """Return convolutions along the vector of features, as if it were a signal.

    Parameters
    ----------
    n_labels : int
    input_shape : tuple of int
        As in `mlp`.
    filters : sequence of int
        Of each convolution over five neighbours, whose result is halved by pooling.
    dropout : float
        Share of values that training sets to zero before the dense layers.

    Examples
    --------
    >>> vector_cnn(n_labels=8, input_shape=(162,)).output_shape
    (None, 8)
    """
    refuse_lone_label(n_labels)
    keras: Any = quiet_keras()
    layers = keras.layers
    inputs = keras.Input(input_shape, name="features")
    x = layers.Reshape((*input_shape, 1), name="series")(inputs)
    for k, width in enumerate(filters, start=1):
        x = layers.Conv1D(width, 5, padding="same", activation="relu", name=f"convolution_{k}")(x)
        x = layers.MaxPooling1D(2, name=f"pooling_{k}")(x)
    x = layers.Dropout(dropout, name="dropout")(layers.Flatten(name="flatten")(x))
    x = layers.Dense(32, activation="relu", name="dense")(x)
    return keras.Model(inputs, layers.Dense(n_labels, name="logits")(x), name="vector_cnn")


def vector_lstm(
    *, n_labels: int, input_shape: tuple[int], units: int = LSTM_UNITS, dropout: float = 0.3
) -> keras.Model:
    """Return an LSTM that reads the vector number by number, as if it were time.

    Parameters
    ----------
    n_labels : int
    input_shape : tuple of int
        As in `mlp`.
    units : int
        Of the LSTM.
    dropout : float
        Share of values that training sets to zero before the dense layers.

    Examples
    --------
    >>> vector_lstm(n_labels=8, input_shape=(162,)).output_shape
    (None, 8)
    """
    refuse_lone_label(n_labels)
    keras: Any = quiet_keras()
    layers = keras.layers
    inputs = keras.Input(input_shape, name="features")
    x = layers.Reshape((*input_shape, 1), name="series")(inputs)
    x = layers.LSTM(units, use_cudnn=False, name="lstm")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    x = layers.Dense(32, activation="relu", name="dense")(x)
    return keras.Model(inputs, layers.Dense(n_labels, name="logits")(x), name="vector_lstm")


def wide_mlp(
    *,
    n_labels: int,
    input_shape: tuple[int],
    units: Sequence[int] = (256,),
    dropout: Sequence[float] = (0.2, 0.5),
) -> keras.Model:
    """Return the course's own dense layers: few and wide, with all that keeps them from rote.

    Parameters
    ----------
    n_labels : int
    input_shape : tuple of int
        As in `mlp`.
    units : sequence of int
        Of each layer before the answer, which is followed by batch normalisation.
    dropout : sequence of float
        Shares of the features and of the layers' values that training sets to zero.

    Examples
    --------
    >>> wide_mlp(n_labels=8, input_shape=(162,)).output_shape
    (None, 8)
    """
    refuse_lone_label(n_labels)
    keras: Any = quiet_keras()
    layers = keras.layers
    inputs = keras.Input(input_shape, name="features")
    of_features, of_units = dropout
    x = layers.Dropout(of_features, name="dropout_0")(inputs)
    for k, width in enumerate(units, start=1):
        x = layers.Dense(width, use_bias=False, name=f"dense_{k}")(x)
        x = layers.BatchNormalization(name=f"normalization_{k}")(x)
        x = layers.Activation("relu", name=f"relu_{k}")(x)
        x = layers.Dropout(of_units, name=f"dropout_{k}")(x)
    return keras.Model(inputs, layers.Dense(n_labels, name="logits")(x), name="wide_mlp")


def blend(X: Array, T: Array, *, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return a batch whose clips are blended in pairs, with their targets.

    References
    ----------
    Zhang et al., "mixup: beyond empirical risk minimization", 2018, arXiv:1710.09412.
    """
    return augment.mixup(X, T, rng=rng, alpha=MIXUP_ALPHA)
