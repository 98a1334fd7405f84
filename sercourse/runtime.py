"""ONNX models, ready to run: on one core, from bytes that were verified and from nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnxruntime


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
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # rows are few, and clips run side by side
    options.log_severity_level = 3
    options.enable_mem_pattern = mem_pattern
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own kinds have nothing else in common
        raise ValueError(f"{name} is no ONNX model that can be run: get it again") from error
