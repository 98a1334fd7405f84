"""The networks, how each is trained, and what is done to its batches.

Each builder takes `n_labels`, the number of emotions to tell apart, `input_shape`, the shape of one
input, and the options that its own signature names; it returns an unfitted `keras.Model` from
inputs (n, *input_shape) to logits (n, n_labels). What is written here lists the layers that lie
between, which are applied one after the other. Augmentations take a batch (n, ...), its targets
(n, n_labels) and a generator, and return another batch with its targets.

Published architectures are those of Mael Fabien (`cnn_lstm_classic`), Jade Arpaliangeas
(`aesdd_cnn_1` to `aesdd_cnn_3`), Kunal Gehlot (`mfcc_conv2d`), Aaka3021 (`mlp`, and the sizes of
`vector_cnn` and `vector_lstm` in part) and x4nth055 (`rnn`), see the functions.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sercourse import augment
from sercourse.features import spectrogram
from sercourse.features.librosa_sets import IMAGE_SHAPE, N_MELS
from sercourse.networks.training import Array, Build, quiet_keras

Shape = tuple[int, ...]

N_BANDS, N_SEEN = 64, 48  # each as wide as two of the 128 mel bands; the lowest reach 8 kHz


def _sequential(hidden: Callable[..., Any]) -> Build:
    """Make a builder of a function that yields layers; `shape` is that of inputs by default."""
    default = inspect.signature(hidden).parameters["shape"].default

    @functools.wraps(hidden)
    def build(*, n_labels: int, input_shape: Any = default, **options: Any) -> Any:
        keras: Any = quiet_keras()
        x = inputs = keras.Input(input_shape)
        for layer in hidden(keras.layers, input_shape, **options):
            x = layer(x)
        logits = keras.layers.Dense(n_labels, name="logits")(x)
        return keras.Model(inputs, logits, name=hidden.__name__)

    return build


# --- CNN-LSTM -------------------------------------------------------------------------------------


@_sequential
def cnn_lstm(
    layers: Any,
    shape: Shape = spectrogram.LOG_MEL_SHAPE,
    *,
    filters: Sequence[int] = (24, 48, 96, 128),
    units: int = 64,
    attention: bool = True,
) -> Iterator[Any]:
    """Build convolutions over a whole log-mel spectrogram [dB], an LSTM and attentive pooling.

    Where `cnn_lstm_classic` computes overlapping windows twice, convolutions over the whole
    spectrogram give the same kind of series, one vector every 80 ms, and compute nothing twice.
    Inputs have frames and bands, as `features.spectrogram.log_mel` gives them.

    Parameters
    ----------
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
    ops: Any = quiet_keras().ops

    def statistics(x: Any) -> Any:
        """Return weighted mean and standard deviation over time."""
        weights = layers.Softmax(axis=1, name="attention")(layers.Dense(1)(x))
        mean = ops.sum(weights * x, axis=1)
        variance = ops.sum(weights * x * x, axis=1) - mean * mean
        return layers.Concatenate()([mean, ops.sqrt(ops.maximum(variance, 1e-5))])

    # A voice that was normalised is not loudest at 0 dB any more.
    yield lambda x: x - ops.max(x, axis=(1, 2), keepdims=True)
    yield lambda x: ops.maximum(x, spectrogram.LOG_MEL_FLOOR_DB)
    yield layers.Rescaling(1 / 20, offset=2)  # from -70 .. 0 dB to -1.5 .. 2
    yield layers.Reshape((*shape, 1))
    conv = {"padding": "same", "use_bias": False, "kernel_initializer": "he_normal"}
    for width, pool in zip(filters, ((2, 2), (2, 2), (2, 2), (1, 2)), strict=False):
        yield from (layers.Conv2D(width, 3, **conv), layers.BatchNormalization())
        yield from (layers.Activation("relu"), layers.MaxPooling2D(pool, padding="same"))
        yield layers.SpatialDropout2D(0.05)
    yield lambda x: layers.Reshape((x.shape[1], x.shape[2] * x.shape[3]))(x)
    yield from (layers.Dense(128, use_bias=False), layers.BatchNormalization())
    yield from (layers.Activation("relu"), layers.Dropout(0.2))
    if units:
        yield layers.Bidirectional(layers.LSTM(units, return_sequences=True, use_cudnn=False))
    yield statistics if attention else layers.GlobalAveragePooling1D()
    yield from (layers.BatchNormalization(), layers.Dropout(0.2))


@_sequential
def cnn_lstm_classic(layers: Any, shape: Shape = (5, 128, 128)) -> Iterator[Any]:
    """Build a CNN for each window of a log-mel spectrogram, and an LSTM over the windows.

    Inputs have windows, frames and bands, as `features.spectrogram.classic_windows` gives them. The
    architecture is that of github.com/maelfabien/Multimodal-Emotion-Recognition (2019), but the
    windows are folded into the batch: each convolution sees ``n_clips * n_windows`` pictures at
    once. At inference it computes what the published form does, whose layers are wrapped in
    `TimeDistributed`. In training, batch normalisation takes its mean and variance over all windows
    at once, where `TimeDistributed` takes them window by window.

    Examples
    --------
    >>> cnn_lstm_classic(n_labels=7).count_params()
    656583
    """
    ops: Any = quiet_keras().ops
    yield lambda x: ops.reshape(x, (-1, *shape[1:], 1))
    for k, (filters, pool) in enumerate(((64, 2), (64, 4), (128, 4), (128, 4)), start=1):
        yield layers.Conv2D(filters, 3, padding="same", name=f"convolution_{k}")
        yield layers.BatchNormalization(name=f"normalization_{k}")
        yield layers.Activation("elu", name=f"elu_{k}")
        yield layers.MaxPooling2D(pool, padding="same", name=f"pooling_{k}")
        yield layers.Dropout(0.2, name=f"dropout_{k}")
    yield layers.Flatten(name="flatten")
    yield lambda x: ops.reshape(x, (-1, shape[0], x.shape[-1]))
    # cuDNN's LSTM is another operation: a model that holds it runs on other machines only in part.
    yield layers.LSTM(256, dropout=0.2, use_cudnn=False, name="lstm")


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


def _aesdd_cnn(number: int, filters: tuple[int, ...], units: tuple[int, ...]) -> Build:
    """Return the builder of convolutions of so many filters and dense layers of so many units."""

    def hidden(
        layers: Any,
        shape: Shape = spectrogram.MEL_SEGMENTS_SHAPE[1:],
        *,
        dropout: float = 0.5,
        kernel: int = 3,
        band_poolings: int = len(filters),
    ) -> Iterator[Any]:
        """Build convolutions with ReLU and max pooling, and dense layers, over a mel segment.

        Networks 1 to 3 are those of github.com/JadeArpaliangeas/Speech-Emotion-Recognition-CNN,
        layer by layer, but with time down and frequency across. Network 4 is the third made deeper,
        as its author wished. A segment has frames and bands, as `features.spectrogram.mel_segments`
        gives it.

        Parameters
        ----------
        dropout : float
            Before the dense layers; 0.3, 0.5 and 0.7 were tried.
        kernel : int
            Size of the convolutions; 3 and 5 were tried.
        band_poolings : int
            How many poolings, from the first on, halve the bands too: of chroma's 12 bands two.
        """
        yield layers.Reshape((*shape, 1))
        relu = {"padding": "same", "activation": "relu"}
        for k, width in enumerate(filters, start=1):
            pool = (2, 2 if k <= band_poolings else 1)
            yield layers.Conv2D(width, kernel, **relu, name=f"convolution_{k}")
            yield layers.MaxPooling2D(pool, name=f"pooling_{k}")
        yield from (layers.Flatten(), layers.Dropout(dropout))
        yield from _dense_layers(layers, units)

    hidden.__name__ = hidden.__qualname__ = f"aesdd_cnn_{number}"
    return _sequential(hidden)


aesdd_cnn_1 = _aesdd_cnn(1, (16, 32), (64,))
aesdd_cnn_2 = _aesdd_cnn(2, (16, 32, 32), (64, 32))
aesdd_cnn_3 = _aesdd_cnn(3, (16, 32, 64, 128), (128, 64, 32))
aesdd_cnn_4 = _aesdd_cnn(4, (16, 32, 64, 128, 128, 128), (128, 64, 32))


def _dense_layers(layers: Any, units: Sequence[int]) -> Iterator[Any]:
    for k, width in enumerate(units, start=1):
        yield layers.Dense(width, activation="relu", name=f"dense_{k}")


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


@_sequential
def mfcc_conv2d(layers: Any, shape: Shape = IMAGE_SHAPE) -> Iterator[Any]:
    """Build four convolutions of 8 filters, two of them 13 x 13, over an image of MFCC.

    The layers are those of Kunal Gehlot's Speech Emotion Recognition report, whose images have
    coefficients down and time across, so the input is transposed first: frames and coefficients, as
    `features.librosa_sets.mfcc_image` gives them.

    Examples
    --------
    >>> mfcc_conv2d(n_labels=7).count_params()
    208303
    """
    yield from (layers.Permute((2, 1)), layers.Reshape((*shape[::-1], 1)))
    for kernel, pooled in ((13, False), (13, True), (3, False), (1, True)):
        yield from (layers.Conv2D(8, kernel), layers.BatchNormalization())
        yield layers.Activation("relu")
        if pooled:
            yield layers.MaxPooling2D((2, 1))
    yield from (layers.Flatten(), layers.Dense(64), layers.BatchNormalization())
    yield from (layers.Activation("relu"), layers.Dropout(0.2))


@_sequential
def mfcc_net(layers: Any, shape: Shape = IMAGE_SHAPE, **options: Any) -> Iterator[Any]:
    """Build `cnn_lstm` on the mel bands that an inverse cosine transform makes of MFCC.

    Neighbouring coefficients have nothing to do with each other, as neighbouring bands have, and a
    convolution looks at neighbours. The transform is a layer that does not learn; it gives back 48
    bands up to 8 kHz, as smooth as 39 coefficients leave them. Inputs have frames and coefficients,
    as `features.librosa_sets.mfcc_image` gives them; options are those of `cnn_lstm`.

    Examples
    --------
    >>> mfcc_net(n_labels=8).output_shape
    (None, 8)
    """
    n_frames, n_coefficients = shape
    undo = layers.Dense(N_SEEN, use_bias=False, trainable=False, name="bands")
    undo.build((None, *shape))
    undo.set_weights([_inverse_dct(n_coefficients)[:, :N_SEEN]])
    yield undo
    yield from inspect.unwrap(cnn_lstm)(layers, (n_frames, N_SEEN), **options)


def augment_mfcc(X: Array, T: Array, *, rng: np.random.Generator) -> tuple[Array, Array]:
    """Augment MFCC images as mel bands: inverse DCT, `augment_spectrograms`, DCT."""
    to_bands = _inverse_dct(X.shape[-1])
    level: Array = X @ to_bands
    level, T = augment_spectrograms(level - level.max(axis=(1, 2), keepdims=True), T, rng=rng)
    back = to_bands.T * (N_MELS / N_BANDS)
    return np.ascontiguousarray(level, dtype=X.dtype) @ back, T


def _inverse_dct(n_coefficients: int) -> NDArray[np.float32]:
    """Return the matrix from MFCC to the level of 64 bands [dB]."""
    from scipy.fft import dct

    waves = dct(np.eye(N_BANDS), norm="ortho")[:, :n_coefficients].T
    return (waves * np.sqrt(N_BANDS / N_MELS)).astype(np.float32)


# --- vectors of features --------------------------------------------------------------------------
# `mlp`, `vector_cnn` and `vector_lstm` follow github.com/Aaka3021/Speech-Emotion-Recognition--1
# (2021), of which only the dense layers' sizes are known for sure. Neighbours in a vector of
# features are seldom neighbours in the voice: convolutions and LSTM gain nothing by them.


@_sequential
def mlp(layers: Any, shape: Shape, *, units: Sequence[int] = (128, 64, 32, 16)) -> Iterator[Any]:
    """Build dense layers of so many units, with ReLU, over features that should be standardised.

    Examples
    --------
    >>> mlp(n_labels=8, input_shape=(162,)).count_params()
    31864
    """
    yield from _dense_layers(layers, units)


@_sequential
def vector_cnn(layers: Any, shape: Shape) -> Iterator[Any]:
    """Build convolutions along the vector of features, as if it were a signal."""
    yield layers.Reshape((*shape, 1))
    for width in (64, 128, 128):
        yield layers.Conv1D(width, 5, padding="same", activation="relu")
        yield layers.MaxPooling1D(2)
    yield from (layers.Flatten(), layers.Dropout(0.3), layers.Dense(32, activation="relu"))


@_sequential
def vector_lstm(layers: Any, shape: Shape) -> Iterator[Any]:
    """Build an LSTM that reads the vector number by number, as if it were time."""
    yield from (layers.Reshape((*shape, 1)), layers.LSTM(64, use_cudnn=False))
    yield from (layers.Dropout(0.3), layers.Dense(32, activation="relu"))


@_sequential
def wide_mlp(layers: Any, shape: Shape) -> Iterator[Any]:
    """Build one dense layer of 256 with batch normalisation, dropout before and after it."""
    yield from (layers.Dropout(0.2), layers.Dense(256, use_bias=False))
    yield from (layers.BatchNormalization(), layers.Activation("relu"), layers.Dropout(0.5))


@_sequential
def rnn(
    layers: Any,
    shape: Shape = (193,),
    *,
    lstm_units: Sequence[int] = (128, 128),
    dense_units: Sequence[int] = (128, 128),
    dropout: float = 0.3,
) -> Iterator[Any]:
    """Build the LSTMs and dense layers of github.com/x4nth055/emotion-recognition-using-speech.

    A row of means over time is a series of one step, in which an LSTM has nothing to remember: it
    is a dense layer with gates. Frames make a longer series.

    Parameters
    ----------
    lstm_units, dense_units : sequence of int
        Sizes of the layers; at least one LSTM.
    dropout : float
        After each layer.

    Examples
    --------
    >>> rnn(n_labels=3, lstm_units=[8], dense_units=[]).output_shape
    (None, 3)
    """
    if len(shape) == 1:
        yield layers.Reshape((1, *shape))
    for k, units in enumerate(lstm_units, start=1):
        series = k < len(lstm_units)  # the last LSTM answers for the whole series
        yield layers.LSTM(units, return_sequences=series, use_cudnn=False)
        yield layers.Dropout(dropout)
    for units in dense_units:
        yield from (layers.Dense(units, activation="relu"), layers.Dropout(dropout))


def blend(X: Array, T: Array, *, rng: np.random.Generator) -> tuple[Array, Array]:
    """Blend the clips of a batch in pairs, with their targets: mixup with an alpha of 0.3."""
    return augment.mixup(X, T, rng=rng, alpha=0.3)
