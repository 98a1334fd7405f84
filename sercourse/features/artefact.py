"""Tables of features as files: written with what they depend on, refused when that has changed.

A file is an ``.npz`` with the arrays `X`, `feature_names` and `clip_id`, which any NumPy opens, and
beside them `settings` (JSON), `fingerprint`, `reject_path` and `reject_reason`.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sercourse import files

if TYPE_CHECKING:
    from sercourse.features import Features, FeatureSet

_LABELS = (
    "feature_names",
    "clip_id",
    "settings",
    "fingerprint",
    "reject_path",
    "reject_reason",
)
_STORED_AS = ("float16", "float32", "float64")
_ANEW = "make the file anew"


def save_features(
    features: Features,
    path: str | Path,
    *,
    feature_set: FeatureSet,
    fingerprint: str,
    dtype: str | None = None,
) -> Path:
    """Write a table of features, atomically.

    Parameters
    ----------
    features : Features
        What `feature_table` returned.
    path : path
        File to write; ``.npz`` is added where it is missing.
    feature_set : FeatureSet
        The set that the table was made with.
    fingerprint : str
        What identifies the clips and their labels: ``corpora.fingerprint(clips)``.
    dtype : {"float16", "float32", "float64"}, optional
        Precision of the file; the table's own unless given. Float16 halves the file of a set of
        spectrograms and moves a level between -80 and 0 dB by 0.03 dB at most.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ValueError
        If the table's columns are not those of the set, or a number is too large for `dtype`.
    OSError
        If the folder cannot be written to.
    """
    if features.names != feature_set.names:
        raise ValueError(
            f"the table has {len(features.names)} columns that are not the "
            f"{len(feature_set.names)} of the set {feature_set.name!r}: give the set that made it"
        )
    X = _stored_as(features.X, dtype)
    file = files.user_path(path)
    if file.suffix != ".npz" and not files.is_stream(file):  # as np.savez does
        file = file.with_name(f"{file.name}.npz")
    with files.atomic_path(file) as temporary, temporary.open("wb") as stream:
        np.savez(
            stream,
            X=X,
            feature_names=_text(features.names),
            clip_id=_text(features.clip_id),
            settings=_text(json.dumps(feature_set.settings, sort_keys=True)),
            fingerprint=_text(fingerprint),
            reject_path=_text(features.rejects["path"]),
            reject_reason=_text(features.rejects["reason"]),
        )
    return file


def load_features(path: str | Path, *, feature_set: FeatureSet, fingerprint: str) -> Features:
    """Read a table of features, if it is the one that is wanted.

    Parameters
    ----------
    path : path
        A file of `save_features`.
    feature_set : FeatureSet
        The set wanted.
    fingerprint : str
        That of the clips at hand: ``corpora.fingerprint(clips)``.

    Returns
    -------
    Features
        As it was saved; what was stored as float16 comes back as float32.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, or was made with other settings or from other clips.
    """
    # The table comes last: what is refused need not be read.
    path = files.user_path(path)
    stored = _arrays(path, _LABELS)
    _require_settings(path, json.loads(str(stored["settings"])), wanted=feature_set.settings)
    if str(stored["fingerprint"]) != fingerprint:
        raise ValueError(
            f"{path}: was made from other clips or labels (fingerprint {stored['fingerprint']}, "
            f"{fingerprint} is wanted): {_ANEW}"
        )
    X = _arrays(path, ("X",))["X"]
    if tuple(stored["feature_names"]) != feature_set.names or X.shape != (
        len(stored["clip_id"]),
        *feature_set.row_shape,
    ):
        raise ValueError(f"{path}: its columns or rows do not match its settings: {_ANEW}")
    return _features(X, stored, names=feature_set.names)


def _text(value: Any) -> np.ndarray:
    """Return text as NumPy stores it without pickling."""
    return np.array(value if isinstance(value, str) else list(value), dtype=np.str_)


def _stored_as(X: np.ndarray, dtype: str | None) -> np.ndarray:
    """Return the table in the precision of the file."""
    if dtype is None:
        return X
    if dtype not in _STORED_AS:
        raise ValueError(f"dtype is {dtype!r}: use one of {', '.join(_STORED_AS)}")
    with np.errstate(over="ignore"):  # it becomes infinite, which is looked for
        stored = X.astype(dtype, copy=False)
    if not np.isfinite(stored).all():
        raise ValueError(
            f"the table has numbers beyond {np.finfo(dtype).max:.0f}, too large for {dtype}: "
            "store it as float32"
        )
    return stored


def _arrays(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Return some arrays of a file, which must have them all."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of features; make it with save_features")
    try:
        # np.load takes what is no archive for a pickle or a single array.
        with zipfile.ZipFile(path), np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in names}
    except (KeyError, ValueError, EOFError, zipfile.BadZipFile):
        raise ValueError(f"{path}: not a file of features, or a damaged one: {_ANEW}") from None


def _require_settings(path: str | Path, found: dict[str, Any], *, wanted: dict[str, Any]) -> None:
    """Refuse a table that other settings made, and name the first of them."""
    for key in sorted(found.keys() | wanted.keys()):
        if found.get(key) != wanted.get(key):
            raise ValueError(
                f"{path}: was made with {key} {found.get(key)!r}, and {wanted.get(key)!r} is "
                f"wanted: {_ANEW}, or choose the feature set that made it"
            )


def _features(X: np.ndarray, stored: dict[str, np.ndarray], *, names: tuple[str, ...]) -> Features:
    import pandas as pd

    from sercourse.features import Features  # which itself offers what this module has

    rejects = {"path": stored["reject_path"], "reason": stored["reject_reason"]}
    if X.dtype == np.float16:  # half precision is for storage: arithmetic in it is slow and coarse
        X = X.astype(np.float32)
    return Features(X, names, stored["clip_id"], pd.DataFrame(rejects, dtype="string"))
