"""The course's own network: convolutions over the whole spectrogram, an LSTM, attentive pooling.

The ancestor rolls a window over the spectrogram, shows each window to the same convolutions, and an
LSTM what they say of each. Windows that overlap are computed twice. Convolutions over the whole
spectrogram give the same kind of series, one vector every 80 ms, and compute nothing twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sercourse import augment
from sercourse.features import spectrogram
from sercourse.networks.backend import quiet_keras, refuse_lone_label
from sercourse.networks.training import Training

if TYPE_CHECKING:
    import keras

Array = NDArray[np.floating]

FILTERS = (24, 48, 96, 128)
POOLS = ((2, 2), (2, 2), (2, 2), (1, 2))  # frames, bands
PROJECTION, UNITS = 128, 64
CNN_LSTM_TRAINING = Training(
    epochs=40,
    batch_size=16,
    learning_rate=3e-3,
    weight_decay=1e-3,
    label_smoothing=0.1,
    averaged=0.2,
)


def cnn_lstm(
    *,
    n_labels: int,
    input_shape: tuple[int, int] = spectrogram.LOG_MEL_SHAPE,
    filters: Sequence[int] = FILTERS,
    units: int = UNITS,
    attention: bool = True,
    dropout: float = 0.2,
) -> keras.Model:
    """Return the course's own network.

    Parameters
    ----------
    n_labels : int
        Emotions to tell apart, at least 2.
    input_shape : tuple of int
        Frames and bands, as `features.spectrogram.log_mel` gives them.
    filters : sequence of int
        Of each convolution; four at most.
    units : int
        Of the LSTM, in each direction; 0 leaves it out.
    attention : bool
        Pool the LSTM's series by attentive statistics; if not, by its mean.
    dropout : float
        Share of values that training sets to zero before the LSTM and before the answer.

    Returns
    -------
    keras.Model
        From (n_clips, n_frames, n_bands) [dB] to logits (n_clips, n_labels).

    Raises
    ------
    ModuleNotFoundError
        If Keras is not installed.
    ValueError
        If there are fewer than two labels.

    Examples
    --------
    >>> model = cnn_lstm(n_labels=8)
    >>> model.output_shape
    (None, 8)
    """
    refuse_lone_label(n_labels)
    keras: Any = quiet_keras()
    layers = keras.layers
    inputs = keras.Input(input_shape, name="log_mel")
    # A voice that was normalised is not loudest at 0 dB any more.
    x = inputs - keras.ops.max(inputs, axis=(1, 2), keepdims=True)
    x = keras.ops.maximum(x, spectrogram.LOG_MEL_FLOOR_DB)
    x = layers.Rescaling(1 / 20, offset=2)(x)  # from -70 .. 0 dB to -1.5 .. 2
    x = layers.Reshape((*input_shape, 1))(x)
    for width, pool in zip(filters, POOLS, strict=False):
        x = _convolution(x, width, pool)
    x = layers.Reshape((x.shape[1], x.shape[2] * x.shape[3]))(x)
    x = layers.Dense(PROJECTION, use_bias=False)(x)
    x = layers.Activation("relu")(layers.BatchNormalization()(x))
    x = layers.Dropout(dropout)(x)
    if units:
        lstm = layers.LSTM(units, return_sequences=True, use_cudnn=False)
        x = layers.Bidirectional(lstm)(x)
    x = _attentive_statistics(x) if attention else layers.GlobalAveragePooling1D()(x)
    x = layers.Dropout(dropout)(layers.BatchNormalization()(x))
    return keras.Model(inputs, layers.Dense(n_labels, name="logits")(x), name="cnn_lstm")


def augment_spectrograms(X: Array, T: Array, *, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return a batch as other voices in other rooms might have spoken it.

    Parameters
    ----------
    X : ndarray, shape (n_clips, n_frames, n_bands)
        [dB], 0 at the loudest band of each clip.
    T : ndarray, shape (n_clips, n_labels)
        Targets, which stay as they are.
    rng : numpy.random.Generator
    """
    floor = spectrogram.LOG_MEL_FLOOR_DB
    X = augment.vtlp(X, rng=rng, largest=0.12)
    X = augment.spectral_tilt(X, rng=rng, largest=4.0)
    X = _moved(X, rng=rng, floor=floor)
    X = augment.mix_noise(X, rng=rng, share=0.3, level=(-45.0, -10.0))
    X = np.maximum(X - X.max(axis=(1, 2), keepdims=True), floor)
    X = augment.freq_mask(X, rng=rng, n=2, widest=10)
    return augment.time_mask(X, rng=rng, n=2, widest=25), T


def _moved(X: Array, *, rng: np.random.Generator, floor: float) -> Array:
    """Return each clip with a part, drawn at random, of the silence behind it before it."""
    n_frames = X.shape[1]
    sounding = X.max(axis=2) > floor
    last = n_frames - np.argmax(sounding[:, ::-1], axis=1)
    later = rng.integers(0, n_frames - last, endpoint=True)
    read_from = (np.arange(n_frames) - later[:, np.newaxis]) % n_frames
    return X[np.arange(len(X))[:, np.newaxis], read_from]


def _convolution(x: Any, filters: int, pool: tuple[int, int]) -> Any:
    layers: Any = quiet_keras().layers
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False, kernel_initializer="he_normal")(x)
    x = layers.Activation("relu")(layers.BatchNormalization()(x))
    x = layers.MaxPooling2D(pool, padding="same")(x)
    return layers.SpatialDropout2D(0.05)(x)


def _attentive_statistics(x: Any) -> Any:
    """Return weighted mean and standard deviation over time of a series (n, time, channels).

    References
    ----------
    Okabe, Koshinaka and Shinoda, "Attentive statistics pooling for deep speaker embedding", 2018,
    doi:10.21437/Interspeech.2018-993.
    """
    keras: Any = quiet_keras()
    ops, layers = keras.ops, keras.layers
    weights = layers.Softmax(axis=1, name="attention")(layers.Dense(1)(x))
    mean = ops.sum(weights * x, axis=1)
    variance = ops.sum(weights * x * x, axis=1) - mean * mean
    deviation = ops.sqrt(ops.maximum(variance, 1e-5))
    return layers.Concatenate()([mean, deviation])
