"""Features of clips, each kept by itself: for tables that are parts of each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sercourse import files

if TYPE_CHECKING:
    import pandas as pd

    from sercourse.features import Features
    from sercourse.features.sets import FeatureSet


def features_by_clip(
    clips: pd.DataFrame,
    *,
    feature_set: FeatureSet,
    n_jobs: int = 1,
    progress: bool = True,
    cache: str | Path | None = None,
) -> Features:
    """Return the features of every clip of a table; a clip that cannot be used is rejected.

    `feature_table` remembers whole tables, which suits a corpus. Cross-validation asks for many
    parts of one table: here each row has a file of its own, named by the clip's content.

    Parameters
    ----------
    clips : pandas.DataFrame
        With the columns `clip_id` and `path`; `content` saves reading the files to hash them.
    feature_set : FeatureSet
    n_jobs : int
        Processes, as joblib counts them.
    progress : bool
        Show a bar on stderr if it takes longer than a second.
    cache : path, optional
        Folder of the rows; ``files.cache_dir() / "rows"`` unless given.

    Returns
    -------
    Features
        Rows in the order of the clip table.
    """
    from sercourse.features import Features, feature_table

    parent = files.cache_dir() / "rows" if cache is None else Path(cache)
    name = feature_set.name.replace(":", "-")
    folder = parent / f"{name}-{files.digest(feature_set.settings)}"
    places = [folder / f"{content}.npy" for content in contents(clips)]
    X = np.zeros((len(clips), *feature_set.row_shape), dtype=feature_set.dtype)
    known = np.array([_load(X, row, path) for row, path in enumerate(places)], dtype=bool)
    missing = clips[~known].drop(columns="content", errors="ignore")
    missing = missing.assign(clip_id=np.flatnonzero(~known))
    made = feature_table(missing, feature_set=feature_set, n_jobs=n_jobs, progress=progress)
    for row, values in zip(made.clip_id.astype(np.intp), made.X, strict=True):
        X[row], known[row] = values, True
        with files.atomic_path(places[row]) as temporary:
            np.save(temporary, values)
    return Features(X[known], feature_set.names, _ids(clips)[known], made.rejects)


def contents(clips: pd.DataFrame) -> list[str]:
    """Return a hash of each clip's bytes; of its path where there is no such file.

    That of a segment also depends on its `start` and `end`.
    """
    if "content" in clips.columns and clips["content"].notna().all():
        return [str(each) for each in clips["content"]]
    times = clips.reindex(columns=["start", "end"]).astype(float)
    hashes = {path: _hash(Path(path)) for path in clips["path"].unique()}
    return [
        hashes[path] if np.isnan([start, end]).all() else files.digest([hashes[path], start, end])
        for path, start, end in zip(clips["path"], times["start"], times["end"], strict=True)
    ]


def _hash(path: Path) -> str:
    return files.content_hash(path) if path.is_file() else files.digest(str(path))


def _load(X: NDArray[np.floating], row: int, path: Path) -> bool:
    """Read a row from its file, if there is one and it fits; a damaged one is made anew."""
    try:
        values = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError):
        return False
    if values.shape != X.shape[1:]:
        return False
    X[row] = values
    return True


def _ids(clips: pd.DataFrame) -> NDArray[np.str_]:
    return clips["clip_id"].to_numpy(dtype=str)
