"""Statistics of the layers of a frozen speech encoder, Whisper's smallest.

The encoder learnt from 680,000 hours of speech and is not trained any further. It is one ONNX
graph, `models/speech-encoder/encoder.onnx`, from a waveform to the mean and standard deviation of
every layer's output; `tools/make_speech_encoder.py` made it.

Radford et al., "Robust speech recognition via large-scale weak supervision", 2022,
arXiv:2212.04356.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sercourse import audio, files, runtime

if TYPE_CHECKING:
    import onnxruntime

SR = 16_000
N_LAYERS, WIDTH = 5, 384  # of the shipped encoder: its convolutions and four transformer layers
STATISTICS = ("mean", "std")
SHA256 = "21517cd8b1b87dca1a478f0b7546b40ea429f196dc23fee84274eb55951d6f28"
"""Of the shipped encoder."""

TOP_DB = 35.0  # quieter beginnings and ends are cut
MARGIN_SECONDS = 0.1  # of which so much is kept
PEAK = 0.5  # the encoder's input depends on the level
SHORTEST_SECONDS, LONGEST_SECONDS = 0.2, 29.9


def shipped_encoder() -> Path:
    """Return the file of the shipped encoder."""
    return files.home() / "models" / "speech-encoder" / "encoder.onnx"


def feature_names(n_layers: int = N_LAYERS, width: int = WIDTH) -> tuple[str, ...]:
    """Return the names of the features, layer by layer; layer 0 is that of the convolutions.

    Examples
    --------
    >>> feature_names()[:2], len(feature_names())
    (('layer0_mean_0', 'layer0_mean_1'), 3840)
    """
    axes = range(n_layers), STATISTICS, range(width)
    return tuple(f"layer{layer}_{kind}_{k}" for layer, kind, k in itertools.product(*axes))


def count_layers(names: Sequence[str]) -> int:
    """Return of how many layers features are, by their names.

    Examples
    --------
    >>> count_layers(feature_names())
    5
    """
    return len({name.partition("_")[0] for name in names})


def layer_statistics(
    y: np.ndarray, *, sr: int, encoder: str | None = None, sha256: str = SHA256
) -> np.ndarray:
    """Return mean and standard deviation over time of every layer's output.

    Silence at both ends is cut, and the peak set, as the level of its input matters to the encoder.
    Of a signal of more than 30 s, equal parts are encoded, and their statistics averaged.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
        Mono signal at 16 kHz.
    sr : int
        Its rate [Hz].
    encoder : str, optional
        File of another encoder, made by the same tool.
    sha256 : str
        Hash that the encoder's file must have.

    Returns
    -------
    ndarray, shape (n_layers * 2 * width,)
        In the order of `feature_names`.

    Raises
    ------
    ValueError
        If the rate is another, or the encoder is not the one that is meant.
    FileNotFoundError
        If there is no such encoder.
    """
    if sr != SR:
        raise ValueError(f"the encoder hears {SR} Hz and the signal has {sr} Hz: resample it")
    words = audio.trim(y.astype(np.float32), sr=SR, top_db=TOP_DB, margin=MARGIN_SECONDS)
    y = audio.normalize_peak(words, peak=PEAK)
    y = audio.pad(y, length=max(y.size, round(SHORTEST_SECONDS * SR)))
    parts = audio.segments(y, sr=SR, seconds=min(y.size / SR, LONGEST_SECONDS))
    path = str(encoder or shipped_encoder())
    model, inputs = session(path, sha256), ({"waveform": part[np.newaxis]} for part in parts)
    rows = [runtime.run(model, "statistics", each, name=path).ravel() for each in inputs]
    return np.asarray(np.mean(rows, axis=0, dtype=np.float64))


@functools.lru_cache(maxsize=2)
def session(encoder: str, sha256: str) -> onnxruntime.InferenceSession:
    """Return a speech encoder, ready to run.

    Raises
    ------
    ValueError, FileNotFoundError
        If it is no such encoder, or not the one that is meant.
    """
    data = Path(encoder).read_bytes()
    if (found := hashlib.sha256(data).hexdigest()) != sha256:
        seen = f"its SHA-256 begins with {found[:12]}, and {sha256[:12]} is wanted"
        raise ValueError(f"{encoder} has changed: {seen}; get it again")
    model = runtime.session(data, name=encoder, mem_pattern=False)  # each clip has another length
    if [(each.name, len(each.shape)) for each in model.get_outputs()] != [("statistics", 4)]:
        wanted = "'statistics' (batch, layers, 2, width): see tools/make_speech_encoder.py"
        raise ValueError(f"{encoder} gives other outputs than {wanted}")
    return model
