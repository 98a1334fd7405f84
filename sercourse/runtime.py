"""ONNX models, ready to run: on one core, from bytes that were verified and from nothing else."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnxruntime

MOST_BYTES = 4 * 2**30
"""Memory that all models of a process may take: those that are shipped need a twentieth."""


def session(
    model: bytes, *, name: object = "this", mem_pattern: bool = True
) -> onnxruntime.InferenceSession:
    """Return an ONNX model, ready to run.

    Parameters
    ----------
    model : bytes
    name : object
        What an error calls it.
    mem_pattern : bool
        Whether memory is planned ahead, as fits inputs that are all of one size.

    Raises
    ------
    ValueError
        If it cannot be run, or keeps data in other files, which nobody has verified.
    """
    import onnxruntime

    # A tensor in another file has an entry with this key, which protocol buffers keep as it is.
    if b"location" in model:
        raise ValueError(f"{name} keeps data in other files: get a model that is one file")
    _limit_memory()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # rows are few, and clips run side by side
    options.log_severity_level = 4
    options.enable_mem_pattern = mem_pattern
    options.add_session_config_entry("session.load_model_format", "ONNX")
    options.add_session_config_entry("session.use_env_allocators", "1")
    # What is computed while a model is loaded cannot be stopped; it makes none of ours faster.
    how = {"providers": ["CPUExecutionProvider"], "disabled_optimizers": ["ConstantFolding"]}
    try:
        return onnxruntime.InferenceSession(model, options, **how)
    except Exception as error:  # onnxruntime's own kinds have nothing else in common
        raise ValueError(f"{name} is no ONNX model that can be run: get it again") from error


@functools.cache
def _limit_memory() -> None:
    import onnxruntime as ort

    kind = ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR
    place = ort.OrtMemoryInfo("Cpu", kind, 0, ort.OrtMemType.DEFAULT)
    with contextlib.suppress(RuntimeError):  # a program that uses the package has one already
        ort.create_and_register_allocator(place, ort.OrtArenaCfg(MOST_BYTES, -1, -1, -1))


def run(
    model: onnxruntime.InferenceSession,
    output: str,
    inputs: Mapping[str, np.ndarray],
    *,
    seconds: float = 60.0,
    name: object = "this",
) -> np.ndarray:
    """Return an output of a model.

    Raises
    ------
    ValueError
        If it fails, takes longer than so many seconds, or gives numbers that are none.
    """
    import onnxruntime

    options = onnxruntime.RunOptions()
    watchdog = threading.Timer(seconds, setattr, (options, "terminate", True))
    watchdog.start()
    try:
        (found,) = model.run([output], dict(inputs), options)
        if not np.isfinite(found).all():
            raise ValueError(f"{output} that are not finite")
    except Exception as error:  # onnxruntime's own kinds have nothing else in common
        shapes = ", ".join(f"{each} of shape {x.shape[1:]}" for each, x in inputs.items())
        why = f"is no model from {shapes} to {output}"
        if options.terminate:
            why = f"was stopped after {seconds:g} s"
        raise ValueError(f"{name} {why}: get it again") from error
    finally:
        watchdog.cancel()
    return np.asarray(found)
