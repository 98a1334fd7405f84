"""Networks on AESDD: convolutions over one segment of a mel spectrogram.

The first three are those of github.com/JadeArpaliangeas/Speech-Emotion-Recognition-CNN, layer by
layer: convolutions with ReLU, each followed by max pooling, then dropout and dense layers. The
ancestor's pictures lie with frequency down and time across; here time goes down, as everywhere in
the course, which turns each kernel on its side and changes nothing else. The fourth is deeper.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from sercourse import augment
from sercourse.features import spectrogram
from sercourse.networks.backend import quiet_keras, refuse_lone_label
from sercourse.networks.training import Training

if TYPE_CHECKING:
    import keras
    import numpy as np

SEGMENT_SHAPE = spectrogram.MEL_SEGMENTS_SHAPE[1:]
AESDD_TRAINING = Training(epochs=20, batch_size=64, optimizer="adam", learning_rate=1e-3)


def aesdd_cnn_1(
    *,
    n_labels: int,
    input_shape: tuple[int, int] = SEGMENT_SHAPE,
    dropout: float = 0.5,
    kernel: int = 3,
) -> keras.Model:
    """Return the ancestor's first network: convolutions of 16 and 32, a dense layer of 64.

    Parameters
    ----------
    n_labels : int
        Emotions to tell apart, at least 2.
    input_shape : tuple of int
        Frames and bands of one segment, as `features.spectrogram.mel_segments` gives them.
    dropout : float
        Share of values that training sets to zero before the dense layers; the ancestor tried 0.3,
        0.5 and 0.7.
    kernel : int
        Height and width of the convolutions; the ancestor tried 3 and 5.

    Returns
    -------
    keras.Model
        From (n, n_frames, n_bands) [dB] to logits (n, n_labels).

    Raises
    ------
    ValueError
        If `n_labels`, `input_shape`, `dropout` or `kernel` cannot be.
    ModuleNotFoundError
        If Keras is not installed.

    Examples
    --------
    >>> aesdd_cnn_1(n_labels=5).count_params()
    2102341
    """
    return _network(
        "aesdd_cnn_1", (16, 32), (64,), n_labels, input_shape, dropout=dropout, kernel=kernel
    )


def aesdd_cnn_2(
    *,
    n_labels: int,
    input_shape: tuple[int, int] = SEGMENT_SHAPE,
    dropout: float = 0.5,
    kernel: int = 3,
) -> keras.Model:
    """Return the ancestor's second network: convolutions of 16, 32 and 32, dense 64 and 32.

    Its text says that the third convolution has 64 filters; its code has 32. Parameters, errors and
    result are those of `aesdd_cnn_1`.

    Examples
    --------
    >>> aesdd_cnn_2(n_labels=5).count_params()
    540645
    """
    return _network(
        "aesdd_cnn_2", (16, 32, 32), (64, 32), n_labels, input_shape, dropout=dropout, kernel=kernel
    )


def aesdd_cnn_3(
    *,
    n_labels: int,
    input_shape: tuple[int, int] = SEGMENT_SHAPE,
    dropout: float = 0.5,
    kernel: int = 3,
    band_poolings: int | None = None,
) -> keras.Model:
    """Return the ancestor's third network: convolutions of 16, 32, 64 and 128, dense 128, 64, 32.

    Parameters, errors and result are those of `aesdd_cnn_1`, but for one.

    Parameters
    ----------
    band_poolings : int, optional
        How many of the poolings, from the first on, halve the bands too; the others halve the
        frames alone. By default all four do; chroma's 12 bands can be halved twice.

    Examples
    --------
    >>> aesdd_cnn_3(n_labels=5).count_params()
    1156357
    """
    return _network(
        "aesdd_cnn_3",
        (16, 32, 64, 128),
        (128, 64, 32),
        n_labels,
        input_shape,
        dropout=dropout,
        kernel=kernel,
        band_poolings=band_poolings,
    )


def aesdd_cnn_4(
    *,
    n_labels: int,
    input_shape: tuple[int, int] = SEGMENT_SHAPE,
    dropout: float = 0.5,
    kernel: int = 3,
) -> keras.Model:
    """Return the third network made deeper, as its author wished: two more convolutions of 128.

    Each is pooled like the others, so that the last one sees most of the segment at once, and the
    dense layers receive 512 numbers in place of 8192. Parameters, errors and result are those of
    `aesdd_cnn_1`.

    Examples
    --------
    >>> aesdd_cnn_4(n_labels=5).count_params()
    468485
    """
    return _network(
        "aesdd_cnn_4",
        (16, 32, 64, 128, 128, 128),
        (128, 64, 32),
        n_labels,
        input_shape,
        dropout=dropout,
        kernel=kernel,
    )


def spec_augment(
    X: NDArray[Any], T: NDArray[Any], *, rng: np.random.Generator
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return a batch of segments with two runs of bands and two of frames hidden in each.

    Parameters
    ----------
    X : ndarray, shape (n, n_frames, n_bands)
    T : ndarray, shape (n, n_labels)
        Targets, which stay as they are.
    rng : numpy.random.Generator

    References
    ----------
    Park et al., "SpecAugment: a simple data augmentation method for automatic speech recognition",
    2019, doi:10.21437/Interspeech.2019-2680: its masks, an eighth of a side wide at most, without
    its warping of time.
    """
    _, n_frames, n_bands = X.shape
    X = augment.freq_mask(X, rng=rng, n=2, widest=n_bands // 8)
    return augment.time_mask(X, rng=rng, n=2, widest=n_frames // 8), T


def _network(
    name: str,
    filters: Sequence[int],
    units: Sequence[int],
    n_labels: int,
    input_shape: tuple[int, int],
    *,
    dropout: float,
    kernel: int,
    band_poolings: int | None = None,
) -> keras.Model:
    halvings = (len(filters), len(filters) if band_poolings is None else band_poolings)
    _refuse(halvings, n_labels, input_shape, dropout=dropout, kernel=kernel)
    keras: Any = quiet_keras()
    layers = keras.layers
    inputs = keras.Input(input_shape, name="segment")
    x = layers.Reshape((*input_shape, 1), name="picture")(inputs)
    for k, width in enumerate(filters, start=1):
        convolution = layers.Conv2D(
            width, kernel, padding="same", activation="relu", name=f"convolution_{k}"
        )
        pool = (2, 2 if k <= halvings[1] else 1)
        x = layers.MaxPooling2D(pool, name=f"pooling_{k}")(convolution(x))
    x = layers.Dropout(dropout, name="dropout")(layers.Flatten(name="flatten")(x))
    for k, width in enumerate(units, start=1):
        x = layers.Dense(width, activation="relu", name=f"dense_{k}")(x)
    return keras.Model(inputs, layers.Dense(n_labels, name="logits")(x), name=name)


def _refuse(
    halvings: tuple[int, int],
    n_labels: int,
    input_shape: tuple[int, ...],
    *,
    dropout: float,
    kernel: int,
) -> None:
    """Refuse sizes of which no network can be made."""
    refuse_lone_label(n_labels)
    n_poolings, band_poolings = halvings
    if not 0 <= band_poolings <= n_poolings:
        raise ValueError(
            f"band_poolings is {band_poolings}: the network has {n_poolings} poolings; give a "
            "number from 0 to that"
        )
    least = (2**n_poolings, 2**band_poolings)
    if len(input_shape) != 2 or input_shape[0] < least[0] or input_shape[1] < least[1]:
        raise ValueError(
            f"the input shape is {input_shape}: give two sizes, frames and bands, of {least[0]} "
            f"and {least[1]} at least, as {n_poolings} and {band_poolings} poolings halve them"
        )
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout is {dropout}: give a share from 0 and below 1, such as 0.5")
    if kernel < 1:
        raise ValueError(f"kernel is {kernel}: give a size of 1 or more, such as 3")
