"""Tables of features as files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sercourse.features import Features, FeatureSet, save_features

SMALL = FeatureSet("small", 16_000, ("pitch", "level"), lambda y, *, sr: np.zeros(2))


@pytest.fixture
def table() -> Features:
    rejects = pd.DataFrame({"path": ["c.wav"], "reason": ["empty file"]}, dtype="string")
    X = np.array([[1.0, np.pi], [-2.0, 1e-300]])
    return Features(X, SMALL.names, np.array(["a é", "b"]), rejects)


@pytest.fixture
def file(table: Features, tmp_path: Path) -> Path:
    return save_features(table, tmp_path / "small", feature_set=SMALL, fingerprint="f1")


def test_any_numpy_opens_the_file(table: Features, file: Path) -> None:
    with np.load(file, allow_pickle=False) as stored:
        assert stored["feature_names"].tolist() == ["pitch", "level"]
        assert stored["clip_id"].tolist() == ["a é", "b"]
        np.testing.assert_array_equal(stored["X"], table.X)
        assert stored["rejects"].tolist() == [["c.wav", "empty file"]]
        assert json.loads(str(stored["settings"])) == SMALL.settings | {"fingerprint": "f1"}


def test_nothing_else_is_written_and_no_reject_is_none(table: Features, tmp_path: Path) -> None:
    table = replace(table, rejects=table.rejects[:0])
    file = save_features(table, tmp_path / "new" / "x.v2", feature_set=SMALL, fingerprint="f1")
    assert list(file.parent.iterdir()) == [file]
    assert file.name == "x.v2.npz"
    with np.load(file, allow_pickle=False) as stored:
        assert stored["rejects"].shape == (0, 2)
