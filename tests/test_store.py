"""Tables of features as files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sercourse.features import (
    Features,
    FeatureSet,
    load_features,
    save_features,
    with_pre_emphasis,
)

SMALL = FeatureSet("small", 16_000, ("pitch", "level"), lambda y, *, sr: np.zeros(2))
DAMAGED = r"small\.npz: not a file of features, or a damaged one"


@pytest.fixture
def table() -> Features:
    rejects = pd.DataFrame({"path": ["c.wav"], "reason": ["empty file"]}, dtype="string")
    X = np.array([[1.0, np.pi], [-2.0, 1e-300]])
    return Features(X, SMALL.names, np.array(["a é", "b"]), rejects)


@pytest.fixture
def file(table: Features, tmp_path: Path) -> Path:
    return save_features(table, tmp_path / "small", feature_set=SMALL, fingerprint="f1")


def rewrite(file: Path, **changes: np.ndarray | None) -> None:
    """Replace, or with None remove, arrays of a file."""
    with np.load(file, allow_pickle=False) as stored:
        arrays = {**stored, **changes}
    np.savez(file, **{name: array for name, array in arrays.items() if array is not None})


@pytest.mark.parametrize("n_rejects", [0, 1])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_what_is_saved_comes_back(
    table: Features, tmp_path: Path, n_rejects: int, dtype: str
) -> None:
    table = replace(table, X=table.X.astype(dtype), rejects=table.rejects[:n_rejects])
    file = save_features(table, tmp_path / "new" / "x.v2", feature_set=SMALL, fingerprint="f1")
    assert file == tmp_path / "new" / "x.v2.npz"
    assert [path.name for path in file.parent.iterdir()] == ["x.v2.npz"]
    loaded = load_features(file, feature_set=SMALL, fingerprint="f1")
    np.testing.assert_array_equal(loaded.X, table.X)
    assert loaded.X.dtype == np.result_type(dtype, np.float32)
    assert (loaded.names, loaded.clip_id.tolist()) == (table.names, ["a é", "b"])
    pd.testing.assert_frame_equal(loaded.rejects, table.rejects)


def test_any_numpy_opens_the_file(file: Path) -> None:
    with np.load(file, allow_pickle=False) as stored:
        assert stored["feature_names"].tolist() == ["pitch", "level"]
        assert stored["clip_id"].tolist() == ["a é", "b"]
        assert stored["X"].shape == (2, 2)
        assert json.loads(str(stored["settings"])) == SMALL.settings | {"fingerprint": "f1"}


@pytest.mark.parametrize(
    ("wanted", "fingerprint", "complaint"),
    [
        (replace(SMALL, name="large"), "f1", "name 'small', and 'large' is wanted"),
        (replace(SMALL, version=2), "f1", "version 1, and 2 is wanted"),
        (with_pre_emphasis(SMALL, 0.97), "f1", r"pre_emphasis 0\.0, and 0\.97 is wanted"),
        (replace(SMALL, shape=(4, 2)), "f1", r"shape None, and \[4, 2\] is wanted"),
        (SMALL, "f2", "fingerprint 'f1', and 'f2' is wanted"),
    ],
    ids=["name", "version", "pre-emphasis", "shape", "corpus"],
)
def test_what_was_made_otherwise_is_refused_unread(
    file: Path, wanted: FeatureSet, fingerprint: str, complaint: str
) -> None:
    rewrite(file, X=None)
    with pytest.raises(ValueError, match=f"was made with {complaint}: make the file anew"):
        load_features(file, feature_set=wanted, fingerprint=fingerprint)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.npz: no such file of features"):
        load_features(tmp_path / "none.npz", feature_set=SMALL, fingerprint="f1")


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 half", b"\x93NUMPY", None])
def test_a_damaged_file_is_refused(file: Path, content: bytes | None) -> None:
    file.write_bytes(file.read_bytes()[:-100] if content is None else content)
    with pytest.raises(ValueError, match=DAMAGED):
        load_features(file, feature_set=SMALL, fingerprint="f1")


@pytest.mark.parametrize(
    "change",
    [{"X": None}, {"settings": None}, {"clip_id": np.array([{}, None], dtype=object)}],
    ids=["no table", "no settings", "a pickle"],
)
def test_a_file_with_other_arrays_is_refused(file: Path, change: dict) -> None:
    rewrite(file, **change)
    with pytest.raises(ValueError, match=DAMAGED):
        load_features(file, feature_set=SMALL, fingerprint="f1")
