"""What goes around a network: standardised inputs before it, labels that are pairs after it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sercourse.networks.backend import quiet_keras

if TYPE_CHECKING:
    import keras

Array = NDArray[np.floating]

SMALLEST_VARIANCE = 1e-12


def standardized(model: keras.Model, X: Array) -> keras.Model:
    """Return a model that standardises its inputs first.

    Mean and variance are constants of the model, not weights: training leaves them alone, and its
    files hold them.

    Parameters
    ----------
    model : keras.Model
    X : ndarray, shape (n_clips, ..., n_features)
        What the model will learn from. Each place of the last axis has one mean and one variance,
        over all clips and frames; one that never varies is left as wide as it is.

    Returns
    -------
    keras.Model

    Examples
    --------
    >>> keras = quiet_keras()
    >>> inputs = keras.Input((2,))
    >>> plain = keras.Model(inputs, keras.layers.Identity()(inputs))
    >>> X = np.array([[1.0, 7.0], [3.0, 7.0]], dtype=np.float32)
    >>> standardized(plain, X).predict_on_batch(X).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """
    keras: Any = quiet_keras()
    over = tuple(range(X.ndim - 1))
    mean, variance = X.mean(axis=over, dtype=np.float64), X.var(axis=over, dtype=np.float64)
    variance = np.where(variance > SMALLEST_VARIANCE, variance, 1.0)
    inputs = keras.Input(model.input_shape[1:], name="raw")
    factor = 1 / np.sqrt(variance)
    # Keras's Normalization would keep tensors of its own, which the export to ONNX loses.
    scale = keras.layers.Rescaling(
        factor.tolist(), offset=(-mean * factor).tolist(), name="standardize"
    )
    return keras.Model(inputs, model(scale(inputs)), name=model.name)


def paired(model: keras.Model, *, sizes: tuple[int, ...]) -> keras.Model:
    """Return a model of pairs of labels from one with the logits of two heads.

    The first logits are those of the one kind of label, a, the others those of the other kind, b. A
    pair of labels (i, j) gets the sum a_i + b_j. Its softmax over all pairs is the product of both
    heads' softmaxes, and its cross-entropy the sum of theirs: whoever trains on pairs trains both
    heads at once.

    Parameters
    ----------
    model : keras.Model
        From inputs to logits, shape (n, sum(sizes)).
    sizes : tuple of int
        Labels of the first and of the second kind.

    Returns
    -------
    keras.Model
        To logits (n, sizes[0] * sizes[1]); the pair (i, j) is at ``i * sizes[1] + j``.

    References
    ----------
    Caruana, "Multitask learning", 1997, doi:10.1023/A:1007379606734.

    Examples
    --------
    >>> keras = quiet_keras()
    >>> inputs = keras.Input((5,))
    >>> plain = keras.Model(inputs, keras.layers.Identity()(inputs))
    >>> two = paired(plain, sizes=(3, 2))
    >>> two.predict_on_batch(np.array([[1.0, 2.0, 3.0, 10.0, 20.0]])).tolist()
    [[11.0, 21.0, 12.0, 22.0, 13.0, 23.0]]
    """
    keras: Any = quiet_keras()
    first, second = sizes
    inputs = keras.Input(model.input_shape[1:], name="input_of_both")
    scores = model(inputs)
    one = keras.ops.expand_dims(scores[:, :first], 2)
    other = keras.ops.expand_dims(scores[:, first:], 1)
    pairs = keras.layers.Reshape((first * second,), name="pairs")(one + other)
    return keras.Model(inputs, pairs, name=model.name)
