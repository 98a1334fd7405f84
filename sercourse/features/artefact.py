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

_ARRAYS = (
    "X",
    "feature_names",
    "clip_id",
    "settings",
    "fingerprint",
    "reject_path",
    "reject_reason",
)
_ANEW = "make the file anew"


def save_features(
    features: Features, path: str | Path, *, feature_set: FeatureSet, fingerprint: str
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

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ValueError
        If the table's columns are not those of the set.
    OSError
        If the folder cannot be written to.
    """
    if features.names != feature_set.names:
        raise ValueError(
            f"the table has {len(features.names)} columns that are not the "
            f"{len(feature_set.names)} of the set {feature_set.name!r}: give the set that made it"
        )
    file = Path(path)
    if file.suffix != ".npz":  # as np.savez does
        file = file.with_name(f"{file.name}.npz")
    with files.atomic_path(file) as temporary:
        np.savez(
            temporary,
            X=features.X,
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
        As it was saved.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, or was made with other settings or from other clips.
    """
    stored = _arrays(Path(path))
    _require_settings(path, json.loads(str(stored["settings"])), wanted=feature_set.settings)
    if str(stored["fingerprint"]) != fingerprint:
        raise ValueError(
            f"{path}: was made from other clips or labels (fingerprint {stored['fingerprint']}, "
            f"{fingerprint} is wanted): {_ANEW}"
        )
    return _features(path, stored, names=feature_set.names)


def _text(value: Any) -> np.ndarray:
    """Return text as NumPy stores it without pickling."""
    return np.array(value if isinstance(value, str) else list(value), dtype=np.str_)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """Return every array of a file, which must have them all."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of features; make it with save_features")
    try:
        # np.load takes what is no archive for a pickle or a single array.
        with zipfile.ZipFile(path), np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in _ARRAYS}
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


def _features(
    path: str | Path, stored: dict[str, np.ndarray], *, names: tuple[str, ...]
) -> Features:
    import pandas as pd

    from sercourse.features import Features  # which itself offers what this module has

    X, clip_id = stored["X"], stored["clip_id"]
    if tuple(stored["feature_names"]) != names or X.shape != (len(clip_id), len(names)):
        raise ValueError(f"{path}: its columns or rows do not match its settings: {_ANEW}")
    rejects = {"path": stored["reject_path"], "reason": stored["reject_reason"]}
    return Features(X, names, clip_id, pd.DataFrame(rejects, dtype="string"))
