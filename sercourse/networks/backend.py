"""Keras, imported where it is needed and without TensorFlow's banners."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from types import ModuleType

PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16"}
_NEEDED = ("keras", "tensorflow", "jax", "torch")
_BANNER = re.compile(r"[IWE]\d{4} \d\d:\d\d:\d\d|WARNING: All log messages before absl")


def quiet_keras() -> ModuleType:
    """Return the module `keras`, on the backend that `KERAS_BACKEND` or Keras's settings name.

    The first import takes seconds. TensorFlow logs only what is fatal from then on, unless the
    environment variable `TF_CPP_MIN_LOG_LEVEL` is set; 0 shows all that it has to say.

    Raises
    ------
    ModuleNotFoundError
        If Keras or the backend is not installed; the sentence says what to install.

    Examples
    --------
    >>> keras = quiet_keras()
    >>> float(keras.ops.sum([1.0, 2.0]))
    3.0
    """
    try:
        with _without_banners():
            import keras
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _NEEDED:
            raise
        raise ModuleNotFoundError(
            f"a network needs {missing}, which is not installed: install Keras and TensorFlow "
            "with pip install -e '.[networks]'",
            name=missing,
        ) from None
    # It warns of retracing once a session has built several networks, which is what lessons do.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    return keras


def set_seed(seed: int) -> None:
    """Seed Python, NumPy and the backend: initial weights, dropout.

    Keras seeds TensorFlow too, where it is installed, whatever the backend.

    Examples
    --------
    >>> set_seed(0)
    >>> first = float(quiet_keras().random.uniform([]))
    >>> set_seed(0)
    >>> first == float(quiet_keras().random.uniform([]))
    True
    """
    keras = quiet_keras()
    with _without_banners():
        keras.utils.set_random_seed(seed)


def refuse_unknown_precision(name: str) -> None:
    """Refuse a precision that networks are not trained in."""
    if name not in PRECISIONS:
        raise ValueError(f"unknown precision {name!r}: use one of {', '.join(PRECISIONS)}")


@contextlib.contextmanager
def precision(name: str) -> Iterator[None]:
    """Let networks that are built meanwhile compute in ``float32`` or ``bfloat16``.

    Their weights are in float32 either way.

    Raises
    ------
    ValueError
        If it is neither.

    Examples
    --------
    >>> with precision("bfloat16"):
    ...     layer = quiet_keras().layers.Dense(1)
    >>> layer.compute_dtype, layer.variable_dtype
    ('bfloat16', 'float32')
    """
    refuse_unknown_precision(name)
    config = quiet_keras().config
    before = config.dtype_policy()
    config.set_dtype_policy(PRECISIONS[name])
    try:
        yield
    finally:
        config.set_dtype_policy(before)


def refuse_lone_label(n_labels: int) -> None:
    """Refuse a network that would have nothing to tell apart.

    Raises
    ------
    ValueError
        If there are fewer than two labels.
    """
    if n_labels < 2:
        raise ValueError(f"n_labels is {n_labels}: give at least two emotions to tell apart")


@contextlib.contextmanager
def _without_banners() -> Iterator[None]:
    """Drop the log lines that are written to standard error meanwhile; pass on all others.

    TensorFlow's libraries write a few lines, such as on oneDNN, before they read the log level, and
    they write to the file descriptor, so that nothing in Python stands between.
    """
    level = os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "tensorflow" in sys.modules or level == "0":
        yield
        return
    with tempfile.TemporaryFile() as caught:
        try:
            with _descriptor_to(caught.fileno()):
                yield
        finally:
            caught.seek(0)
            lines = caught.read().decode(errors="replace").splitlines(keepends=True)
            sys.stderr.writelines(line for line in lines if not _BANNER.match(line))


@contextlib.contextmanager
def _descriptor_to(target: int) -> Iterator[None]:
    """Let what goes to the descriptor of standard error go elsewhere."""
    sys.stderr.flush()
    try:
        original = os.dup(2)
    except OSError:  # closed, as in a program without a terminal: nothing to keep quiet
        yield
        return
    os.dup2(target, 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(original, 2)
        os.close(original)
