from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
import pytest

from sercourse.augment import Augmentation
from sercourse.features import (
    Features,
    FeatureSet,
    augmented,
    load_features,
    named,
    save_features,
    with_pre_emphasis,
)


def nothing(y: np.ndarray, *, sr: int) -> np.ndarray:
    return np.zeros(2)


SMALL = FeatureSet("small", 16_000, ("pitch", "level"), nothing)
BANDS = FeatureSet("bands", 16_000, ("low", "middle", "high"), nothing, shape=(2, 3))


@pytest.fixture
def table() -> Features:
    rejects = pd.DataFrame({"path": ["c.wav"], "reason": ["empty file"]}, dtype="string")
    X = np.array([[1.0, np.pi], [-2.0, 1e-300]])
    return Features(X, SMALL.names, np.array(["a é", "b"]), rejects)


@pytest.fixture
def file(table: Features, tmp_path: Path) -> Path:
    return save_features(table, tmp_path / "small.npz", feature_set=SMALL, fingerprint="f1")


@pytest.fixture
def spectrograms() -> Features:
    """Levels between -80 and 0 dB."""
    rejects = pd.DataFrame({"path": [], "reason": []}, dtype="string")
    X = np.random.default_rng(0).uniform(-80, 0, (500, 2, 3)).astype(np.float32)
    return Features(X, BANDS.names, np.array([f"clip{k}" for k in range(500)]), rejects)


def rewrite(file: Path, **changes: np.ndarray | None) -> None:
    """Replace, or with None remove, arrays of a file."""
    with np.load(file, allow_pickle=False) as stored:
        arrays = {**stored, **changes}
    np.savez(file, **{name: array for name, array in arrays.items() if array is not None})


def test_what_is_saved_comes_back(table: Features, file: Path) -> None:
    loaded = load_features(file, feature_set=SMALL, fingerprint="f1")
    np.testing.assert_array_equal(loaded.X, table.X, strict=True)
    assert loaded.names == table.names
    assert loaded.clip_id.tolist() == ["a é", "b"]
    pd.testing.assert_frame_equal(loaded.rejects, table.rejects)


def test_a_table_without_rejects_comes_back(table: Features, tmp_path: Path) -> None:
    whole = replace(table, rejects=table.rejects[:0])
    file = save_features(whole, tmp_path / "x.npz", feature_set=SMALL, fingerprint="f1")
    loaded = load_features(file, feature_set=SMALL, fingerprint="f1")
    pd.testing.assert_frame_equal(loaded.rejects, whole.rejects)


@pytest.mark.parametrize("dtype", [None, "float32"])
def test_arrays_come_back(spectrograms: Features, tmp_path: Path, dtype: str | None) -> None:
    file = save_features(
        spectrograms, tmp_path / "x", feature_set=BANDS, fingerprint="f1", dtype=dtype
    )
    loaded = load_features(file, feature_set=BANDS, fingerprint="f1")
    np.testing.assert_array_equal(loaded.X, spectrograms.X, strict=True)
    assert loaded.names == BANDS.names


def test_half_precision_halves_the_file_and_moves_levels_by_little(
    spectrograms: Features, tmp_path: Path
) -> None:
    whole = save_features(spectrograms, tmp_path / "32", feature_set=BANDS, fingerprint="f1")
    half = save_features(
        spectrograms, tmp_path / "16", feature_set=BANDS, fingerprint="f1", dtype="float16"
    )
    assert half.stat().st_size == whole.stat().st_size - spectrograms.X.nbytes / 2
    loaded = load_features(half, feature_set=BANDS, fingerprint="f1")
    assert loaded.X.dtype == np.float32
    assert 0 < np.abs(loaded.X - spectrograms.X).max() < 0.032


def test_numbers_that_half_precision_cannot_hold_are_not_saved(
    table: Features, tmp_path: Path
) -> None:
    loud = replace(table, X=np.array([[1.0, 2.0], [7e4, 0.0]]))
    for dtype, complaint in [("float16", "beyond 65504, too large for float16"), ("int8", "int8")]:
        with pytest.raises(ValueError, match=complaint):
            save_features(loud, tmp_path / "x", feature_set=SMALL, fingerprint="f1", dtype=dtype)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("wanted", "complaint"),
    [
        (replace(BANDS, shape=(4, 3)), r"made with shape \[2, 3\], and \[4, 3\] is wanted"),
        (replace(BANDS, shape=()), r"made with shape \[2, 3\], and None is wanted"),
        (augmented(BANDS, Augmentation("noise", 15, 30)), "made with augmentations None"),
    ],
    ids=["shape", "no shape", "noise"],
)
def test_arrays_of_other_settings_are_refused(
    spectrograms: Features, tmp_path: Path, wanted: FeatureSet, complaint: str
) -> None:
    file = save_features(spectrograms, tmp_path / "x", feature_set=BANDS, fingerprint="f1")
    with pytest.raises(ValueError, match=complaint):
        load_features(file, feature_set=wanted, fingerprint="f1")


def test_what_is_refused_is_not_read(file: Path) -> None:
    rewrite(file, X=None)
    with pytest.raises(ValueError, match="other clips or labels"):
        load_features(file, feature_set=SMALL, fingerprint="f2")


def test_any_numpy_opens_the_file(file: Path) -> None:
    with np.load(file, allow_pickle=False) as stored:
        assert stored["feature_names"].tolist() == ["pitch", "level"]
        assert stored["clip_id"].tolist() == ["a é", "b"]
        assert stored["X"].shape == (2, 2)
        assert json.loads(str(stored["settings"])) == SMALL.settings
        assert str(stored["fingerprint"]) == "f1"


def test_folder_and_suffix_are_made(table: Features, tmp_path: Path) -> None:
    file = save_features(table, tmp_path / "new" / "x.v2", feature_set=SMALL, fingerprint="f1")
    assert file == tmp_path / "new" / "x.v2.npz"
    assert [path.name for path in file.parent.iterdir()] == ["x.v2.npz"]


def test_an_interrupted_write_leaves_the_old_file(
    table: Features, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(stream: BinaryIO, **arrays: np.ndarray) -> None:
        stream.write(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "savez", full_disk)
    with pytest.raises(OSError, match="no space"):
        save_features(table, file, feature_set=SMALL, fingerprint="f2")
    assert len(load_features(file, feature_set=SMALL, fingerprint="f1").X) == 2
    assert len(list(file.parent.iterdir())) == 1


def test_a_table_of_another_set_is_not_saved(table: Features, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="2 columns that are not the 200 of the set 'statistics'"):
        save_features(table, tmp_path / "x", feature_set=named("statistics"), fingerprint="f1")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("wanted", "complaint"),
    [
        (replace(SMALL, name="large"), "was made with name 'small', and 'large' is wanted"),
        (replace(SMALL, version=2), "was made with version 1, and 2 is wanted"),
        (with_pre_emphasis(SMALL, 0.97), r"was made with pre_emphasis 0\.0, and 0\.97 is wanted"),
        (replace(SMALL, sr=8_000), "was made with sr 16000, and 8000 is wanted"),
    ],
    ids=lambda value: value.name if isinstance(value, FeatureSet) else "",
)
def test_other_settings_are_refused(file: Path, wanted: FeatureSet, complaint: str) -> None:
    with pytest.raises(ValueError, match=f"small.npz: {complaint}: make the file anew"):
        load_features(file, feature_set=wanted, fingerprint="f1")


def test_a_changed_corpus_is_refused(file: Path) -> None:
    with pytest.raises(ValueError, match=r"other clips or labels \(fingerprint f1, f2 is wanted\)"):
        load_features(file, feature_set=SMALL, fingerprint="f2")


def test_columns_that_do_not_match_are_refused(file: Path) -> None:
    renamed = replace(SMALL, names=("level", "pitch"))
    with pytest.raises(ValueError, match="columns or rows do not match"):
        load_features(file, feature_set=renamed, fingerprint="f1")


def test_missing_rows_are_refused(file: Path) -> None:
    rewrite(file, X=np.zeros((1, 2)))
    with pytest.raises(ValueError, match="columns or rows do not match"):
        load_features(file, feature_set=SMALL, fingerprint="f1")


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.npz: no such file of features"):
        load_features(tmp_path / "none.npz", feature_set=SMALL, fingerprint="f1")


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 half", b"\x93NUMPY"])
def test_a_damaged_file_is_refused(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"small\.npz: not a file of features, or a damaged one"):
        load_features(file, feature_set=SMALL, fingerprint="f1")


def test_a_truncated_file_is_refused(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ValueError, match="not a file of features, or a damaged one"):
        load_features(file, feature_set=SMALL, fingerprint="f1")


@pytest.mark.parametrize("name", ["X", "settings", "fingerprint"])
def test_a_file_that_lacks_an_array_is_refused(file: Path, name: str) -> None:
    rewrite(file, **{name: None})
    with pytest.raises(ValueError, match="not a file of features"):
        load_features(file, feature_set=SMALL, fingerprint="f1")


def test_a_pickle_inside_is_refused(file: Path) -> None:
    rewrite(file, clip_id=np.array([{}, None], dtype=object))
    with pytest.raises(ValueError, match="not a file of features"):
        load_features(file, feature_set=SMALL, fingerprint="f1")
