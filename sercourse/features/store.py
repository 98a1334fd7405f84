"""Tables of features as ``.npz`` files, which are refused when what they depend on has changed.

A file holds the arrays `X`, `feature_names` and `clip_id`, and beside them `settings` (JSON, the
corpus's fingerprint among them) and `rejects`.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np

from sercourse import files
from sercourse.features.base import Features, FeatureSet


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
    OSError
        If the folder cannot be written to.
    """
    file = files.user_path(path)
    if file.suffix != ".npz" and not files.is_stream(file):  # as np.savez does
        file = file.with_name(f"{file.name}.npz")
    settings = feature_set.settings | {"fingerprint": fingerprint}
    with files.atomic_path(file) as temporary, temporary.open("wb") as stream:
        np.savez(
            stream,
            X=features.X,
            feature_names=np.array(features.names, dtype=np.str_),
            clip_id=np.array(features.clip_id, dtype=np.str_),
            settings=np.array(json.dumps(settings)),
            rejects=features.rejects.to_numpy(dtype=np.str_).reshape(-1, 2),
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
    import pandas as pd

    path = files.user_path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of features; make it with save_features")
    wanted = feature_set.settings | {"fingerprint": fingerprint}
    try:
        with zipfile.ZipFile(path), np.load(path, allow_pickle=False) as stored:
            made = json.loads(str(stored["settings"]))
            # What is refused need not be read.
            names = ("X", "clip_id", "rejects") if made == wanted else ()
            arrays = {name: stored[name] for name in names}
    except (KeyError, ValueError, EOFError, zipfile.BadZipFile):
        raise ValueError(
            f"{path}: not a file of features, or a damaged one: make the file anew"
        ) from None
    for key in sorted(made.keys() | wanted.keys()):
        if made.get(key) != wanted.get(key):
            raise ValueError(
                f"{path}: was made with {key} {made.get(key)!r}, and {wanted.get(key)!r} is "
                "wanted: make the file anew"
            )
    X, clip_id, rejects = (arrays[name] for name in names)
    X = X.astype(np.result_type(X, np.float32), copy=False)  # arithmetic in float16 is coarse
    table = pd.DataFrame(rejects, columns=["path", "reason"], dtype="string")
    return Features(X, feature_set.names, clip_id, table)
