"""Tables of features that fit no memory: a folder of Parquet files, a part of the clips in each.

Other programs read it as one table, such as ``pyarrow.dataset.dataset(folder)`` or, of a few
columns, ``pandas.read_parquet(folder, columns=["clip_id", "zcr_mean"])``. Rows that are vectors
have a column for each feature; arrays lie flat in one, `X`, and the manifest tells their shape.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np

from sercourse import files
from sercourse.features.base import Features, FeatureSet, feature_table, rejects_table

if TYPE_CHECKING:
    import pandas as pd

MANIFEST = "_manifest.json"  # readers of Parquet pass over names that begin with _
MOST_ROWS, MOST_BYTES = 1000, 32 * 2**20  # of a part, which is one row group


_KINDS = {"key": str, "feature_names": list[str], "shape": list[int]}
_N_PARTS: Any = Annotated[int, msgspec.Meta(ge=1)]
Manifest = msgspec.defstruct("Manifest", [*_KINDS.items(), ("n_parts", _N_PARTS)])
"""What is used of the manifest."""


def write_parts(
    clips: pd.DataFrame,
    folder: str | Path,
    *,
    feature_set: FeatureSet,
    fingerprint: str,
    n_jobs: int = 1,
    progress: bool = True,
) -> pd.DataFrame:
    """Compute the features of every clip into a folder; return `path` and `reason` of rejects.

    Called again after an interruption, it goes on with the parts that are missing or damaged. Two
    runs at once do each other no harm. Nothing goes into the cache.

    Parameters
    ----------
    clips, feature_set, n_jobs, progress
        As for `feature_table`.
    folder : path
        A new one, or one that this function was interrupted in.
    fingerprint : str
        What identifies the clips and their labels: ``corpora.fingerprint(clips)``.

    Raises
    ------
    FileExistsError
        If the folder holds something else.
    ValueError
        If it holds features of other clips or settings.
    """
    from tqdm import tqdm

    folder = files.user_path(folder)
    files.refuse_unwritable(folder, replaces=MANIFEST)
    n_rows = max(1, min(MOST_ROWS, MOST_BYTES // feature_set.row_bytes))
    starts = range(0, len(clips), n_rows)
    key = files.digest([feature_set.key, fingerprint, n_rows, clips["clip_id"].tolist()])
    about = {"key": key, "fingerprint": fingerprint, "n_clips": len(clips), "n_parts": len(starts)}
    about |= {"feature_names": feature_set.names, "shape": feature_set.row_shape}
    manifest = folder / MANIFEST
    if manifest.is_file() and files.read_sealed(manifest).get("key") != key:
        raise ValueError(
            f"{folder} holds features of other clips or settings, or of an earlier version: name "
            "another folder, or delete it"
        )
    files.write_sealed(manifest, about | {"settings": feature_set.settings})
    found, uncached = [], clips.drop(columns="content", errors="ignore")
    for k, start in enumerate(tqdm(starts, unit="part", delay=1, disable=not progress)):
        if (table := _read(folder, k, about)) is None:
            some = uncached.iloc[start : start + n_rows]
            table = feature_table(some, feature_set=feature_set, n_jobs=n_jobs, progress=False)
            _write(table, folder, k, about)
        found += _told(table)
    return rejects_table(found)


def read_parts(folder: str | Path) -> Iterator[Features]:
    """Yield the features of a folder part by part, in the order of the clip table.

    Parameters
    ----------
    folder : path
        What `write_parts` wrote.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such folder, or a part is missing or damaged.
    """
    folder = files.user_path(folder)
    about = files.read_sealed(folder / MANIFEST)
    try:
        msgspec.convert(about, Manifest)
    except msgspec.ValidationError as error:
        raise ValueError(f"{folder / MANIFEST}: {error}: compute the features again") from None
    for k in range(about["n_parts"]):
        if (table := _read(folder, k, about)) is None:
            of = f"{_part(folder, k)}, part {k + 1} of {about['n_parts']}"
            raise ValueError(f"{of}, is missing or damaged: compute it again")
        yield table


def _part(folder: Path, k: int) -> Path:
    return folder / f"part-{k:06d}.parquet"


def _told(table: Features) -> list[list[str]]:
    return table.rejects.to_numpy().tolist()


def _seal(table: Features, k: int, about: Mapping[str, Any]) -> str:
    """Return a checksum of all that a part says, and of its place; Parquet's leave out names."""
    place = [about["key"], about["n_parts"], k, table.names]
    return files.digest([place, table.X, table.clip_id.tolist(), _told(table)])


def _read(folder: Path, k: int, about: Mapping[str, Any]) -> Features | None:
    """Return a part; None if it is not there, whole and of these clips and settings."""
    import pyarrow.parquet as pq

    names, shape = tuple(about["feature_names"]), about["shape"]
    try:
        table = pq.read_table(_part(folder, k), page_checksum_verification=True)
        told = json.loads(table.schema.metadata[b"sercourse"])
        if len(shape) == 1:
            X = np.column_stack([table[name].to_numpy() for name in names])
        else:
            X = table["X"].combine_chunks().flatten().to_numpy().reshape(-1, *shape)
        clip_id = table["clip_id"].to_numpy().astype(str)
        found = Features(X, names, clip_id, rejects_table(told["rejects"]))
        whole = told["seal"] == _seal(found, k, about) and np.isfinite(X).all()
        return found if whole else None
    except Exception:  # a damaged file fails in many ways
        return None


def _write(table: Features, folder: Path, k: int, about: Mapping[str, Any]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    # The name of a file need not be text, and here it must be.
    names = [os.fsencode(each).decode("utf-8", "backslashreplace") for each in table.clip_id]
    columns: dict[str, Any] = {"clip_id": pa.array(names, pa.string())}
    if table.X.ndim == 2:
        columns |= dict(zip(table.names, table.X.T, strict=True))
    else:
        size = int(np.prod(table.X.shape[1:]))
        columns["X"] = pa.FixedSizeListArray.from_arrays(table.X.ravel(), size)
    kept = replace(table, clip_id=np.array(names))
    told = json.dumps({"rejects": _told(table), "seal": _seal(kept, k, about)})
    arrow = pa.table(columns).replace_schema_metadata({"sercourse": told})
    with files.atomic_path(_part(folder, k)) as temporary:
        pq.write_table(arrow, temporary, use_dictionary=False, write_page_checksum=True)
