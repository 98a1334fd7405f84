"""What goes around a network: scaling, heads, calibration, segments; and its files."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sercourse.networks.backend import quiet_keras
from sercourse.networks.training import Array

if TYPE_CHECKING:
    import keras

INPUT, OUTPUT = "X", "probabilities"
OPSET = 17
SMALLEST_VARIANCE = 1e-12


def standardized(model: keras.Model, X: Array) -> keras.Model:
    """Put a standardisation before a model: constants of the model, no weights.

    Parameters
    ----------
    model : keras.Model
    X : ndarray, shape (n_clips, ..., n_features)
        What the model will learn from. Each place of the last axis has one mean and one variance,
        over all clips and frames; one that never varies is left as wide as it is.

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
    factor = 1 / np.sqrt(np.where(variance > SMALLEST_VARIANCE, variance, 1.0))
    inputs = keras.Input(model.input_shape[1:], name="raw")
    # Keras's Normalization would keep tensors of its own, which the export to ONNX loses.
    scale = keras.layers.Rescaling(
        factor.tolist(), offset=(-mean * factor).tolist(), name="standardize"
    )
    return keras.Model(inputs, model(scale(inputs)), name=model.name)


def joint_head(model: keras.Model, *, sizes: tuple[int, ...]) -> keras.Model:
    """Turn the logits of two heads, a and b, into those of pairs of labels: a_i + b_j.

    The softmax over all pairs is the product of both heads' softmaxes, and its cross-entropy the
    sum of theirs: training on pairs trains both heads at once.

    Parameters
    ----------
    model : keras.Model
        From inputs to logits, shape (n, sum(sizes)), those of the first head first.
    sizes : tuple of int
        Labels of the first and of the second head.

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
    >>> two = joint_head(plain, sizes=(3, 2))
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


def calibrated(members: Sequence[keras.Model], *, temperatures: Sequence[float]) -> keras.Model:
    """Average the members' logits, each divided by its temperature, into probabilities.

    Parameters
    ----------
    members : sequence of keras.Model
        They take the same input and return logits.
    temperatures : sequence of float
    """
    keras = quiet_keras()
    inputs = keras.Input(members[0].input_shape[1:], name=INPUT)
    scores = []
    for i, (member, temperature) in enumerate(zip(members, temperatures, strict=True)):
        # A copy that was never compiled: an optimizer triples the size of the file.
        copied = type(member).from_config({**member.get_config(), "name": f"member_{i}"})
        copied.set_weights(member.get_weights())
        scores.append(keras.layers.Rescaling(1 / temperature)(copied(inputs)))
    mean = scores[0] if len(scores) == 1 else keras.layers.Average()(scores)
    return keras.Model(inputs, keras.layers.Softmax(name=OUTPUT)(mean))


def average_over_segments(model: keras.Model, *, n_segments: int, floor: float) -> keras.Model:
    """Average a model's probabilities over the segments of a clip.

    Parameters
    ----------
    model : keras.Model
        From segments (n, ...) to probabilities (n, n_labels).
    n_segments : int
        Of a clip, present or not.
    floor : float
        Level of absent segments, which do not count.

    Returns
    -------
    keras.Model
        From clips (n_clips, n_segments, ...) to the mean probabilities of their segments.
    """
    keras: Any = quiet_keras()
    ops = keras.ops
    shape = model.input_shape[1:]
    inputs = keras.Input((n_segments, *shape), name=INPUT)
    judged = model(ops.reshape(inputs, (-1, *shape)))
    judged = ops.reshape(judged, (-1, n_segments, model.output_shape[-1]))
    highest = ops.max(inputs, axis=tuple(range(2, 2 + len(shape))))
    there = ops.expand_dims(ops.cast(ops.greater(highest, floor), "float32"), axis=-1)
    mean = ops.sum(judged * there, axis=1) / ops.maximum(ops.sum(there, axis=1), 1.0)
    return keras.Model(inputs, mean)


def to_keras(model: keras.Model) -> bytes:
    """Return a model in Keras's own format, without its optimizer."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path, include_optimizer=False)
        return path.read_bytes()


def to_onnx(model: keras.Model) -> bytes:
    """Return a model as ONNX: input `X` (n, ...) float32, output `probabilities` (n, n_labels)."""
    import onnx

    keras = quiet_keras()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Keras's converter looks for np.object
        path = Path(folder) / "model.onnx"
        signature = [keras.InputSpec(shape=model.input_shape, dtype="float32", name=INPUT)]
        model.export(
            path, format="onnx", verbose=False, input_signature=signature, opset_version=OPSET
        )
        exported = onnx.load(path)
    output = exported.graph.output[0]
    for node in exported.graph.node:
        node.output[:] = [OUTPUT if name == output.name else name for name in node.output]
    output.name = OUTPUT
    return bytes(exported.SerializeToString())
