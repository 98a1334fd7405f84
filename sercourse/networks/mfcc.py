"""Networks on a picture of cepstra: the ancestor's, and the course's own on the same picture.

The ancestor's is that of Kunal Gehlot's Speech Emotion Recognition report, layer by layer. Ours
asks the picture for the mel spectrogram that it was made of, and hands it to the CNN-LSTM.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sercourse.features import librosa_sets, short_term
from sercourse.networks.backend import quiet_keras, refuse_lone_label
from sercourse.networks.cnn_lstm import CNN_LSTM_TRAINING, augment_spectrograms, cnn_lstm
from sercourse.networks.training import Training

if TYPE_CHECKING:
    import keras

Array = NDArray[np.floating]

FILTERS = 8
N_BANDS, N_SEEN = 64, 48  # each as wide as two of the 128 mel bands; the lowest reach 8 kHz
MFCC_CONV2D_TRAINING = Training(epochs=40, batch_size=32, optimizer="adam", learning_rate=1e-3)
MFCC_NET_TRAINING = replace(CNN_LSTM_TRAINING, epochs=36)


def mfcc_conv2d(
    *, n_labels: int, input_shape: tuple[int, int] = librosa_sets.IMAGE_SHAPE, dropout: float = 0.2
) -> keras.Model:
    """Return the ancestor's network: four convolutions of 8, two of them 13 x 13, and dense 64.

    Its pictures lie with coefficients down and time across, so the rows of the course are turned
    first; from then on every layer is as published.

    Parameters
    ----------
    n_labels : int
        Emotions to tell apart, at least 2; the ancestor has 7.
    input_shape : tuple of int
        Frames and coefficients, as `features.librosa_sets.mfcc_image` gives them.
    dropout : float
        Share of values that training sets to zero before the answer.

    Returns
    -------
    keras.Model
        From (n, n_frames, n_coefficients) to logits (n, n_labels).

    Raises
    ------
    ValueError
        If the picture is too small for the convolutions, or `n_labels` or `dropout` cannot be.
    ModuleNotFoundError
        If Keras is not installed.

    Examples
    --------
    >>> mfcc_conv2d(n_labels=7).count_params()
    208303
    """
    _refuse(n_labels, input_shape, dropout=dropout)
    keras: Any = quiet_keras()
    layers = keras.layers
    inputs = keras.Input(input_shape, name="mfcc")
    x = layers.Permute((2, 1), name="turned")(inputs)
    x = layers.Reshape((*x.shape[1:], 1), name="picture")(x)
    for k, (kernel, pooled) in enumerate(((13, False), (13, True), (3, False), (1, True)), start=1):
        x = layers.Conv2D(FILTERS, kernel, name=f"convolution_{k}")(x)
        x = layers.BatchNormalization(name=f"normalization_{k}")(x)
        x = layers.Activation("relu", name=f"relu_{k}")(x)
        if pooled:
            x = layers.MaxPooling2D((2, 1), name=f"pooling_{k}")(x)
    x = layers.Dense(64, name="dense")(layers.Flatten(name="flatten")(x))
    x = layers.BatchNormalization(name="normalization_5")(x)
    x = layers.Activation("relu", name="relu_5")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(inputs, layers.Dense(n_labels, name="logits")(x), name="mfcc_conv2d")


def mfcc_net(
    *, n_labels: int, input_shape: tuple[int, int] = librosa_sets.IMAGE_SHAPE, **options: Any
) -> keras.Model:
    """Return the course's network on the same picture: cepstra to mel bands, then `cnn_lstm`.

    Neighbouring coefficients have nothing to do with each other, as neighbouring bands have, and a
    convolution looks at neighbours. So the cosine transform is undone first, by a layer that does
    not learn: it gives back 48 bands up to 8 kHz, as smooth as 39 coefficients leave them.

    Parameters
    ----------
    n_labels : int
        Emotions to tell apart, at least 2.
    input_shape : tuple of int
        Frames and coefficients, as `features.librosa_sets.mfcc_image` gives them.
    **options
        As `cnn_lstm` takes them.

    Returns
    -------
    keras.Model
        From (n, n_frames, n_coefficients) to logits (n, n_labels).

    Raises
    ------
    ModuleNotFoundError
        If Keras is not installed.

    Examples
    --------
    >>> mfcc_net(n_labels=8).output_shape
    (None, 8)
    """
    keras: Any = quiet_keras()
    n_frames, n_coefficients = input_shape
    inputs = keras.Input(input_shape, name="mfcc")
    undo = keras.layers.Dense(N_SEEN, use_bias=False, trainable=False, name="bands")
    level = undo(inputs)
    undo.set_weights([_to_bands(n_coefficients)[:, :N_SEEN]])
    body = cnn_lstm(n_labels=n_labels, input_shape=(n_frames, N_SEEN), **options)
    return keras.Model(inputs, body(level), name="mfcc_net")


def augment_mfcc(X: Array, T: Array, *, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return a batch of pictures as other voices in other rooms might have spoken them.

    Mel bands are what voices and rooms change: the pictures are turned into bands, changed as
    `augment_spectrograms` does it, and turned back.

    Parameters
    ----------
    X : ndarray, shape (n_clips, n_frames, n_coefficients)
    T : ndarray, shape (n_clips, n_labels)
        Targets, which stay as they are.
    rng : numpy.random.Generator
    """
    to_bands = _to_bands(X.shape[-1])
    level: Array = X @ to_bands
    level, T = augment_spectrograms(level - level.max(axis=(1, 2), keepdims=True), T, rng=rng)
    back = to_bands.T * (librosa_sets.N_MELS / N_BANDS)
    return np.ascontiguousarray(level, dtype=X.dtype) @ back, T


def _to_bands(n_coefficients: int) -> NDArray[np.float32]:
    """Return what turns cepstra into the curve that they are of, read off at 64 bands [dB]."""
    waves = short_term.dct_matrix(n=N_BANDS, n_kept=n_coefficients).T
    return (waves * np.sqrt(N_BANDS / librosa_sets.N_MELS)).astype(np.float32)


def _refuse(n_labels: int, input_shape: tuple[int, ...], *, dropout: float) -> None:
    """Refuse sizes of which no network can be made."""
    refuse_lone_label(n_labels)
    if len(input_shape) != 2 or input_shape[0] < 27 or input_shape[1] < 33:
        raise ValueError(
            f"the input shape is {input_shape}: give two sizes, at least 27 frames and 33 "
            "coefficients, as the convolutions take their margins off"
        )
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout is {dropout}: give a share from 0 and below 1, such as 0.2")
