"""A trained network as files: one Keras model of probabilities, and the same as ONNX."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sercourse.networks.backend import quiet_keras

if TYPE_CHECKING:
    import keras
    import onnx

INPUT, OUTPUT = "X", "probabilities"
OPSET = 17


def calibrated(members: Sequence[keras.Model], *, temperatures: Sequence[float]) -> keras.Model:
    """Return one model that averages the members' calibrated logits into probabilities.

    Parameters
    ----------
    members : sequence of keras.Model
        They take the same input and return logits.
    temperatures : sequence of float
        What each member's logits are divided by.
    """
    keras = quiet_keras()
    inputs = keras.Input(members[0].input_shape[1:], name=INPUT)
    scores = [
        keras.layers.Rescaling(1 / temperature)(_copied(member, name=f"member_{i}")(inputs))
        for i, (member, temperature) in enumerate(zip(members, temperatures, strict=True))
    ]
    mean = scores[0] if len(scores) == 1 else keras.layers.Average()(scores)
    return keras.Model(inputs, keras.layers.Softmax(name=OUTPUT)(mean))


def _copied(model: keras.Model, *, name: str) -> keras.Model:
    """Return a copy that was never compiled: an optimizer triples the size of the file."""
    copied = type(model).from_config({**model.get_config(), "name": name})
    copied.set_weights(model.get_weights())
    return copied


def to_keras(model: keras.Model) -> bytes:
    """Return a model in Keras's own format, without its optimizer."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path, include_optimizer=False)
        return path.read_bytes()


def to_onnx(model: keras.Model) -> bytes:
    """Return a model as ONNX: input `X` (n, ...) float32, output `probabilities` (n, n_labels).

    Raises
    ------
    RuntimeError
        If Keras runs on another backend than TensorFlow, whose graph is what is converted.
    """
    keras = quiet_keras()
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            f"Keras runs on {keras.backend.backend()} here and ONNX export needs TensorFlow: set "
            "KERAS_BACKEND=tensorflow"
        )
    import onnx

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Keras's converter looks for np.object
        path = Path(folder) / "model.onnx"
        signature = [keras.InputSpec(shape=model.input_shape, dtype="float32", name=INPUT)]
        model.export(
            path, format="onnx", verbose=False, input_signature=signature, opset_version=OPSET
        )
        exported = onnx.load(path)
    _rename(exported.graph, exported.graph.input[0].name, INPUT)
    _rename(exported.graph, exported.graph.output[0].name, OUTPUT)
    return bytes(exported.SerializeToString())


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Give an input or output of a graph another name wherever it occurs."""
    for value in (*graph.input, *graph.output):
        value.name = new if value.name == old else value.name
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]
