"""The networks, how each is trained, and what is done to its batches.

Each builder takes `n_labels`, the number of emotions to tell apart, and `input_shape`, the shape of
one input, and returns an unfitted `keras.Model` from inputs (n, *input_shape) to logits
(n, n_labels). Augmentations take a batch (n, ...), its targets (n, n_labels) and a generator, and
return another batch with its targets.

Published architectures are those of Mael Fabien (`cnn_lstm_classic`), Jade Arpaliangeas
(`aesdd_cnn_1` to `aesdd_cnn_3`), Kunal Gehlot (`mfcc_conv2d`), Aaka3021 (`mlp`, and the sizes of
`vector_cnn` and `vector_lstm` in part) and x4nth055 (`rnn`), see the functions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sercourse import augment
from sercourse.features import librosa_sets, spectrogram
from sercourse.networks.backend import quiet_keras
from sercourse.networks.training import Array, Build, Training

if TYPE_CHECKING:
    import keras

CNN_LSTM_TRAINING = Training(
    epochs=40, batch_size=16, learning_rate=3e-3, label_smoothing=0.1, averaged=0.2
)
MFCC_NET_TRAINING = replace(CNN_LSTM_TRAINING, epochs=36)
REGULARIZED_TRAINING = replace(
    CNN_LSTM_TRAINING, epochs=60, batch_size=32, learning_rate=2e-3, weight_decay=1e-2
)
VECTOR_TRAINING = Training(epochs=40, batch_size=32, optimizer="adam", learning_rate=1e-3)
MFCC_CONV2D_TRAINING = VECTOR_TRAINING
AESDD_TRAINING = replace(VECTOR_TRAINING, epochs=20, batch_size=64)
RNN_TRAINING = replace(VECTOR_TRAINING, epochs=60, batch_size=64)

N_BANDS, N_SEEN = 64, 48  # each as wide as two of the 128 mel bands; the lowest reach 8 kHz


def _network(
    name: str, layers: Iterable[Any], input_shape: tuple[int, ...], n_labels: int
) -> keras.Model:
    """Apply layers one after the other, then a dense layer of logits."""
    keras: Any = quiet_keras()
    x = inputs = keras.Input(input_shape)
    for layer in layers:
        x = layer(x)
    return keras.Model(inputs, keras.layers.Dense(n_labels, name="logits")(x), name=name)


# --- CNN-LSTM -------------------------------------------------------------------------------------


def cnn_lstm(
    *,
    n_labels: int,
    input_shape: tuple[int, int] = spectrogram.LOG_MEL_SHAPE,
    filters: Sequence[int] = (24, 48, 96, 128),
    units: int = 64,
    attention: bool = True,
) -> keras.Model:
    """Build convolutions over a whole log-mel spectrogram [dB], an LSTM and attentive pooling.

    Where `cnn_lstm_classic` computes overlapping windows twice, convolutions over the whole
    spectrogram give the same kind of series, one vector every 80 ms, and compute nothing twice.

    Parameters
    ----------
    n_labels : int
    input_shape : tuple of int
        Frames and bands, as `features.spectrogram.log_mel` gives them.
    filters : sequence of int
        Of each convolution; four at most.
    units : int
        Of the LSTM, in each direction; 0 leaves it out.
    attention : bool
        Pool the LSTM's series by attentive statistics; if not, by its mean.

    References
    ----------
    Okabe, Koshinaka and Shinoda, "Attentive statistics pooling for deep speaker embedding", 2018,
    doi:10.21437/Interspeech.2018-993.

    Examples
    --------
    >>> cnn_lstm(n_labels=8).output_shape
    (None, 8)
    """
    keras: Any = quiet_keras()
    ops, layers = keras.ops, keras.layers
    inputs = keras.Input(input_shape, name="log_mel")
    # A voice that was normalised is not loudest at 0 dB any more.
    x = inputs - ops.max(inputs, axis=(1, 2), keepdims=True)
    x = ops.maximum(x, spectrogram.LOG_MEL_FLOOR_DB)
    x = layers.Rescaling(1 / 20, offset=2)(x)  # from -70 .. 0 dB to -1.5 .. 2
    x = layers.Reshape((*input_shape, 1))(x)
    conv = {"padding": "same", "use_bias": False, "kernel_initializer": "he_normal"}
    for width, pool in zip(filters, ((2, 2), (2, 2), (2, 2), (1, 2)), strict=False):
        x = layers.BatchNormalization()(layers.Conv2D(width, 3, **conv)(x))
        x = layers.MaxPooling2D(pool, padding="same")(layers.Activation("relu")(x))
        x = layers.SpatialDropout2D(0.05)(x)
    x = layers.Reshape((x.shape[1], x.shape[2] * x.shape[3]))(x)
    x = layers.BatchNormalization()(layers.Dense(128, use_bias=False)(x))
    x = layers.Dropout(0.2)(layers.Activation("relu")(x))
    if units:
        lstm = layers.LSTM(units, return_sequences=True, use_cudnn=False)
        x = layers.Bidirectional(lstm)(x)
    if attention:  # weighted mean and standard deviation over time
        weights = layers.Softmax(axis=1, name="attention")(layers.Dense(1)(x))
        mean = ops.sum(weights * x, axis=1)
        variance = ops.sum(weights * x * x, axis=1) - mean * mean
        x = layers.Concatenate()([mean, ops.sqrt(ops.maximum(variance, 1e-5))])
    else:
        x = layers.GlobalAveragePooling1D()(x)
    x = layers.Dropout(0.2)(layers.BatchNormalization()(x))
    return keras.Model(inputs, layers.Dense(n_labels, name="logits")(x), name="cnn_lstm")


def cnn_lstm_classic(
    *, n_labels: int, input_shape: tuple[int, int, int] = (5, 128, 128)
) -> keras.Model:
    """Build the time-distributed CNN and LSTM with the windows folded into the batch.

    The architecture is that of github.com/maelfabien/Multimodal-Emotion-Recognition (2019). Each
    convolution sees ``n_clips * n_windows`` pictures at once. At inference it computes what
    `cnn_lstm_time_distributed` computes. In training, batch normalisation takes its mean and
    variance over all windows at once, where `TimeDistributed` takes them window by window.

    Parameters
    ----------
    n_labels : int
    input_shape : tuple of int
        Windows, frames and bands, as `features.spectrogram.classic_windows` gives them.

    Examples
    --------
    >>> cnn_lstm_classic(n_labels=7).count_params()
    656583
    """
    ops: Any = quiet_keras().ops
    n_windows, *picture = input_shape
    *convolutions, lstm = _classic_layers()
    layers = [
        lambda x: ops.reshape(x, (-1, *picture, 1)),
        *convolutions,
        lambda x: ops.reshape(x, (-1, n_windows, x.shape[-1])),
        lstm,
    ]
    return _network("cnn_lstm_classic", layers, input_shape, n_labels)


def cnn_lstm_time_distributed(
    *, n_labels: int, input_shape: tuple[int, int, int] = (5, 128, 128)
) -> keras.Model:
    """Build the same network as published, its layers wrapped in `TimeDistributed`.

    Parameters and weights are those of `cnn_lstm_classic`.

    Examples
    --------
    >>> wrapped, folded = cnn_lstm_time_distributed(n_labels=7), cnn_lstm_classic(n_labels=7)
    >>> wrapped.set_weights(folded.get_weights())
    """
    keras: Any = quiet_keras()
    layers: list[Any] = [lambda x: keras.ops.expand_dims(x, axis=-1)]
    for layer in _classic_layers():
        # Dropout acts on each number alone, so it needs no wrapper. Wrapped, it is the identity at
        # inference, and TensorFlow's graph optimizer (2.21) then loses the ELU before the pooling.
        alone = isinstance(layer, keras.layers.Dropout | keras.layers.LSTM)
        layers.append(layer if alone else keras.layers.TimeDistributed(layer, name=layer.name))
    return _network("cnn_lstm_time_distributed", layers, input_shape, n_labels)


def _classic_layers() -> list[Any]:
    """Make the layers that turn each window into a vector, and the LSTM over the windows."""
    layers: Any = quiet_keras().layers
    made = []
    for k, (filters, pool) in enumerate(((64, 2), (64, 4), (128, 4), (128, 4)), start=1):
        made += [
            layers.Conv2D(filters, 3, padding="same", name=f"convolution_{k}"),
            layers.BatchNormalization(name=f"normalization_{k}"),
            layers.Activation("elu", name=f"elu_{k}"),
            layers.MaxPooling2D(pool, padding="same", name=f"pooling_{k}"),
            layers.Dropout(0.2, name=f"dropout_{k}"),
        ]
    # cuDNN's LSTM is another operation: a model that holds it runs on other machines only in part.
    lstm = layers.LSTM(256, dropout=0.2, use_cudnn=False, name="lstm")
    return [*made, layers.Flatten(name="flatten"), lstm]


def augment_spectrograms(X: Array, T: Array, *, rng: np.random.Generator) -> tuple[Array, Array]:
    """Warp, tilt, shift, mix with noise and mask log-mel spectrograms [dB].

    Parameters
    ----------
    X : ndarray, shape (n_clips, n_frames, n_bands)
        0 dB at the loudest band of each clip.
    T : ndarray, shape (n_clips, n_labels)
        Targets, which stay as they are.
    rng : numpy.random.Generator
    """
    floor = spectrogram.LOG_MEL_FLOOR_DB
    X = augment.vtlp(X, rng=rng, largest=0.12)
    X = augment.spectral_tilt(X, rng=rng, largest=4.0)
    # Put a random part of the silence at each clip's end at its start.
    n_frames = X.shape[1]
    last = n_frames - np.argmax(X.max(axis=2)[:, ::-1] > floor, axis=1)
    later = rng.integers(0, n_frames - last, endpoint=True)
    X = X[np.arange(len(X))[:, None], (np.arange(n_frames) - later[:, None]) % n_frames]
    X = augment.mix_noise(X, rng=rng, share=0.3, level=(-45.0, -10.0))
    X = np.maximum(X - X.max(axis=(1, 2), keepdims=True), floor)
    X = augment.freq_mask(X, rng=rng, n=2, widest=10)
    return augment.time_mask(X, rng=rng, n=2, widest=25), T


# --- mel segments of AESDD ------------------------------------------------------------------------


def _aesdd_cnn(name: str, filters: tuple[int, ...], units: tuple[int, ...]) -> Build:
    """Return the builder of convolutions of so many filters and dense layers of so many units."""

    def build(
        *,
        n_labels: int,
        input_shape: tuple[int, int] = spectrogram.MEL_SEGMENTS_SHAPE[1:],
        dropout: float = 0.5,
        kernel: int = 3,
        band_poolings: int = len(filters),
    ) -> keras.Model:
        """Build convolutions with ReLU and max pooling, and dense layers, over a mel segment.

        Networks 1 to 3 are those of github.com/JadeArpaliangeas/Speech-Emotion-Recognition-CNN,
        layer by layer, but with time down and frequency across. Network 4 is the third made deeper,
        as its author wished.

        Parameters
        ----------
        n_labels : int
        input_shape : tuple of int
            Frames and bands of a segment, as `features.spectrogram.mel_segments` gives them.
        dropout : float
            Before the dense layers; 0.3, 0.5 and 0.7 were tried.
        kernel : int
            Size of the convolutions; 3 and 5 were tried.
        band_poolings : int
            How many poolings, from the first on, halve the bands too: of chroma's 12 bands two.
        """
        layers: Any = quiet_keras().layers
        hidden = [layers.Reshape((*input_shape, 1))]
        relu = {"padding": "same", "activation": "relu"}
        for k, width in enumerate(filters, start=1):
            pool = (2, 2 if k <= band_poolings else 1)
            hidden.append(layers.Conv2D(width, kernel, **relu, name=f"convolution_{k}"))
            hidden.append(layers.MaxPooling2D(pool, name=f"pooling_{k}"))
        hidden += [layers.Flatten(), layers.Dropout(dropout), *_dense_layers(units)]
        return _network(name, hidden, input_shape, n_labels)

    build.__name__ = build.__qualname__ = name
    return build


aesdd_cnn_1 = _aesdd_cnn("aesdd_cnn_1", (16, 32), (64,))
aesdd_cnn_2 = _aesdd_cnn("aesdd_cnn_2", (16, 32, 32), (64, 32))
aesdd_cnn_3 = _aesdd_cnn("aesdd_cnn_3", (16, 32, 64, 128), (128, 64, 32))
aesdd_cnn_4 = _aesdd_cnn("aesdd_cnn_4", (16, 32, 64, 128, 128, 128), (128, 64, 32))


def _dense_layers(units: Sequence[int]) -> list[Any]:
    layers: Any = quiet_keras().layers
    return [
        layers.Dense(width, activation="relu", name=f"dense_{k}")
        for k, width in enumerate(units, start=1)
    ]


def spec_augment(X: Array, T: Array, *, rng: np.random.Generator) -> tuple[Array, Array]:
    """Mask two runs of bands and two of frames in each segment (SpecAugment without time warping).

    References
    ----------
    Park et al., "SpecAugment: a simple data augmentation method for automatic speech recognition",
    2019, doi:10.21437/Interspeech.2019-2680.
    """
    _, n_frames, n_bands = X.shape
    X = augment.freq_mask(X, rng=rng, n=2, widest=n_bands // 8)
    return augment.time_mask(X, rng=rng, n=2, widest=n_frames // 8), T


# --- MFCC images ----------------------------------------------------------------------------------


def mfcc_conv2d(
    *, n_labels: int, input_shape: tuple[int, int] = librosa_sets.IMAGE_SHAPE
) -> keras.Model:
    """Build four convolutions of 8 filters, two of them 13 x 13, over an image of MFCC.

    The layers are those of Kunal Gehlot's Speech Emotion Recognition report, whose images have
    coefficients down and time across, so the input is transposed first.

    Parameters
    ----------
    n_labels : int
    input_shape : tuple of int
        Frames and coefficients, as `features.librosa_sets.mfcc_image` gives them.

    Examples
    --------
    >>> mfcc_conv2d(n_labels=7).count_params()
    208303
    """
    layers: Any = quiet_keras().layers
    hidden = [layers.Permute((2, 1)), layers.Reshape((*input_shape[::-1], 1))]
    for kernel, pooled in ((13, False), (13, True), (3, False), (1, True)):
        hidden += [layers.Conv2D(8, kernel), layers.BatchNormalization(), layers.Activation("relu")]
        hidden += [layers.MaxPooling2D((2, 1))] if pooled else []
    hidden += [layers.Flatten(), layers.Dense(64), layers.BatchNormalization()]
    hidden += [layers.Activation("relu"), layers.Dropout(0.2)]
    return _network("mfcc_conv2d", hidden, input_shape, n_labels)


def mfcc_net(
    *, n_labels: int, input_shape: tuple[int, int] = librosa_sets.IMAGE_SHAPE, **options: Any
) -> keras.Model:
    """Build `cnn_lstm` on the mel bands that an inverse cosine transform makes of MFCC.

    Neighbouring coefficients have nothing to do with each other, as neighbouring bands have, and a
    convolution looks at neighbours. The transform is a layer that does not learn; it gives back 48
    bands up to 8 kHz, as smooth as 39 coefficients leave them.

    Parameters
    ----------
    n_labels : int
    input_shape : tuple of int
        Frames and coefficients, as `features.librosa_sets.mfcc_image` gives them.
    **options
        Of `cnn_lstm`.

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
    undo.set_weights([_inverse_dct(n_coefficients)[:, :N_SEEN]])
    body = cnn_lstm(n_labels=n_labels, input_shape=(n_frames, N_SEEN), **options)
    return keras.Model(inputs, body(level), name="mfcc_net")


def augment_mfcc(X: Array, T: Array, *, rng: np.random.Generator) -> tuple[Array, Array]:
    """Augment MFCC images as mel bands: inverse DCT, `augment_spectrograms`, DCT."""
    to_bands = _inverse_dct(X.shape[-1])
    level: Array = X @ to_bands
    level, T = augment_spectrograms(level - level.max(axis=(1, 2), keepdims=True), T, rng=rng)
    back = to_bands.T * (librosa_sets.N_MELS / N_BANDS)
    return np.ascontiguousarray(level, dtype=X.dtype) @ back, T


def _inverse_dct(n_coefficients: int) -> NDArray[np.float32]:
    """Return the matrix from MFCC to the level of 64 bands [dB]."""
    from scipy.fft import dct

    waves = dct(np.eye(N_BANDS), norm="ortho")[:, :n_coefficients].T
    return (waves * np.sqrt(N_BANDS / librosa_sets.N_MELS)).astype(np.float32)


# --- vectors of features --------------------------------------------------------------------------
# `mlp`, `vector_cnn` and `vector_lstm` follow github.com/Aaka3021/Speech-Emotion-Recognition--1
# (2021), of which only the dense layers' sizes are known for sure. Neighbours in a vector of
# features are seldom neighbours in the voice: convolutions and LSTM gain nothing by them.


def mlp(
    *, n_labels: int, input_shape: tuple[int], units: Sequence[int] = (128, 64, 32, 16)
) -> keras.Model:
    """Build dense layers with ReLU: a multilayer perceptron.

    Parameters
    ----------
    n_labels : int
    input_shape : tuple of int
        The number of features, which should be standardised.
    units : sequence of int
        Of each hidden layer.

    Examples
    --------
    >>> mlp(n_labels=8, input_shape=(162,)).count_params()
    31864
    """
    return _network("mlp", _dense_layers(units), input_shape, n_labels)


def vector_cnn(*, n_labels: int, input_shape: tuple[int]) -> keras.Model:
    """Build convolutions along the vector of features, as if it were a signal.

    Examples
    --------
    >>> vector_cnn(n_labels=8, input_shape=(162,)).output_shape
    (None, 8)
    """
    layers: Any = quiet_keras().layers
    hidden = [layers.Reshape((*input_shape, 1))]
    for width in (64, 128, 128):
        hidden.append(layers.Conv1D(width, 5, padding="same", activation="relu"))
        hidden.append(layers.MaxPooling1D(2))
    hidden += [layers.Flatten(), layers.Dropout(0.3), layers.Dense(32, activation="relu")]
    return _network("vector_cnn", hidden, input_shape, n_labels)


def vector_lstm(*, n_labels: int, input_shape: tuple[int]) -> keras.Model:
    """Build an LSTM that reads the vector number by number, as if it were time.

    Examples
    --------
    >>> vector_lstm(n_labels=8, input_shape=(162,)).output_shape
    (None, 8)
    """
    layers: Any = quiet_keras().layers
    hidden = [layers.Reshape((*input_shape, 1)), layers.LSTM(64, use_cudnn=False)]
    hidden += [layers.Dropout(0.3), layers.Dense(32, activation="relu")]
    return _network("vector_lstm", hidden, input_shape, n_labels)


def wide_mlp(*, n_labels: int, input_shape: tuple[int]) -> keras.Model:
    """Build one dense layer of 256 with batch normalisation, dropout before and after it.

    Examples
    --------
    >>> wide_mlp(n_labels=8, input_shape=(162,)).output_shape
    (None, 8)
    """
    layers: Any = quiet_keras().layers
    hidden = [layers.Dropout(0.2), layers.Dense(256, use_bias=False), layers.BatchNormalization()]
    hidden += [layers.Activation("relu"), layers.Dropout(0.5)]
    return _network("wide_mlp", hidden, input_shape, n_labels)


def rnn(
    *,
    n_labels: int,
    input_shape: tuple[int, ...] = (193,),
    lstm_units: Sequence[int] = (128, 128),
    dense_units: Sequence[int] = (128, 128),
    dropout: float = 0.3,
) -> keras.Model:
    """Build the LSTMs and dense layers of github.com/x4nth055/emotion-recognition-using-speech.

    A row of means over time is a series of one step, in which an LSTM has nothing to remember: it
    is a dense layer with gates. Frames make a longer series.

    Parameters
    ----------
    n_labels : int
    input_shape : tuple of int
        Features of a clip, or frames and features.
    lstm_units, dense_units : sequence of int
        Sizes of the layers; at least one LSTM.
    dropout : float
        After each layer.

    Examples
    --------
    >>> rnn(n_labels=3, lstm_units=[8], dense_units=[]).output_shape
    (None, 3)
    """
    layers: Any = quiet_keras().layers
    hidden = [layers.Reshape((1, *input_shape))] if len(input_shape) == 1 else []
    for k, units in enumerate(lstm_units, start=1):
        series = k < len(lstm_units)  # the last LSTM answers for the whole series
        hidden.append(layers.LSTM(units, return_sequences=series, use_cudnn=False))
        hidden.append(layers.Dropout(dropout))
    for units in dense_units:
        hidden += [layers.Dense(units, activation="relu"), layers.Dropout(dropout)]
    return _network("rnn", hidden, input_shape, n_labels)


def blend(X: Array, T: Array, *, rng: np.random.Generator) -> tuple[Array, Array]:
    """Blend the clips of a batch in pairs, with their targets: mixup with an alpha of 0.3."""
    return augment.mixup(X, T, rng=rng, alpha=0.3)
