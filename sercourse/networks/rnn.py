"""The toolkit's recurrent network: LSTMs and dense layers over a row of features, or a series.

Its sizes are those of github.com/x4nth055/emotion-recognition-using-speech.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sercourse.networks.backend import quiet_keras, refuse_lone_label
from sercourse.networks.learner import FittedNetwork
from sercourse.networks.training import Training, logits, softmax

if TYPE_CHECKING:
    import keras

Array = NDArray[np.floating]

RNN_TRAINING = Training(epochs=60, batch_size=64, optimizer="adam", learning_rate=1e-3)


def rnn(
    *,
    n_labels: int,
    input_shape: tuple[int, ...] = (193,),
    lstm_units: Sequence[int] = (128, 128),
    dense_units: Sequence[int] = (128, 128),
    dropout: float = 0.3,
) -> keras.Model:
    """Return the toolkit's network of LSTMs and dense layers.

    A row of means over time is a series of one step, in which an LSTM has nothing to remember: it
    is a dense layer with gates. Frames make a longer series.

    Parameters
    ----------
    n_labels : int
        Emotions to tell apart, at least 2.
    input_shape : tuple of int
        Features of a clip, or frames and features.
    lstm_units, dense_units : sequence of int
        Sizes of the layers, one after the other; at least one LSTM.
    dropout : float
        Share of values that training sets to zero after each layer.

    Returns
    -------
    keras.Model
        From (n_clips, n_features) or (n_clips, n_frames, n_features) to logits (n_clips, n_labels).

    Raises
    ------
    ValueError
        If the sizes cannot be.
    ModuleNotFoundError
        If Keras is not installed.

    Examples
    --------
    >>> rnn(n_labels=3, lstm_units=[8], dense_units=[]).output_shape
    (None, 3)
    """
    _refuse(n_labels, input_shape, lstm_units, dropout)
    keras: Any = quiet_keras()
    layers = keras.layers
    inputs = keras.Input(input_shape, name="features")
    x = keras.ops.expand_dims(inputs, axis=1) if len(input_shape) == 1 else inputs
    for k, units in enumerate(lstm_units, start=1):
        more = k < len(lstm_units)  # the last answers for the whole series
        x = layers.LSTM(units, return_sequences=more, use_cudnn=False, name=f"lstm_{k}")(x)
        x = layers.Dropout(dropout, name=f"dropout_{k}")(x)
    for k, units in enumerate(dense_units, start=1):
        x = layers.Dense(units, activation="relu", name=f"dense_{k}")(x)
        x = layers.Dropout(dropout, name=f"dense_dropout_{k}")(x)
    return keras.Model(inputs, layers.Dense(n_labels, name="logits")(x), name="rnn")


def expected_codes(fitted: FittedNetwork, X: Array) -> NDArray[np.float64]:
    """Return what a network that was trained with the loss ``ordinal`` says of clips.

    Parameters
    ----------
    fitted : FittedNetwork
    X : ndarray, shape (n_clips, ...)

    Returns
    -------
    ndarray, shape (n_clips,)
        From 0 to the number of labels less one; the mean over the members. Temperatures do not
        count, as no probability was trained.
    """
    codes = [
        softmax(scores) @ np.arange(scores.shape[1])
        for scores in (logits(member, X) for member in fitted.members)
    ]
    return np.mean(codes, axis=0)


def _refuse(
    n_labels: int, input_shape: tuple[int, ...], lstm_units: Sequence[int], dropout: float
) -> None:
    """Refuse sizes of which no network can be made."""
    refuse_lone_label(n_labels)
    if len(input_shape) not in (1, 2):
        raise ValueError(f"the input shape is {input_shape}: give features, or frames and features")
    if not lstm_units:
        raise ValueError("there is no LSTM layer: give the units of at least one")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout is {dropout}: give a share from 0 and below 1, such as 0.3")
