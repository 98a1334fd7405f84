"""Finished folds in the store: found again only where nothing that they depend on has changed."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sercourse import experiment, files, splits
from sercourse.experiment import evaluation
from sercourse.recipes import recipe

CLASSIC = recipe("svm-classic")
EMOTIONS = ("happy", "sad", "angry")
N = 72


@pytest.fixture(scope="module")
def data() -> experiment.Dataset:
    """Six voices, three emotions, four clips of each; two columns tell the emotion."""
    y = np.arange(N) % 3
    clips = pd.DataFrame(
        {
            "clip_id": [f"c{k:02}" for k in range(N)],
            "path": [f"{k}.wav" for k in range(N)],
            "content": [f"hash {k}" for k in range(N)],
            "emotion": np.array(EMOTIONS)[y],
            "speaker": [f"x-{k // 12}" for k in range(N)],
            "gender": np.where(np.arange(N) // 12 % 2, "female", "male"),
            "group": [f"g{k}" for k in range(N)],
            "corpus": "x",
            "split": pd.NA,
        }
    )
    rng = np.random.default_rng(0)
    X = np.stack([y == 0, y == 1], axis=1) + rng.normal(scale=0.6, size=(N, 2))
    return experiment.Dataset(clips, X, (), EMOTIONS)


def run_of(data: experiment.Dataset, store: Path, protocol: str = "speaker") -> evaluation.Run:
    return evaluation.Run(CLASSIC, data, protocol, store)


def file_of(data: experiment.Dataset, store: Path, protocol: str = "speaker") -> Path:
    (fold, *_) = evaluation.make_folds(data, protocol="speaker")
    return run_of(data, store, protocol).file(fold)


def with_column(data: experiment.Dataset, name: str, value: Any) -> experiment.Dataset:
    clips = data.clips.copy()
    clips.loc[3, name] = value
    return replace(data, clips=clips)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("clip_id", "other"),
        ("content", "other"),
        ("emotion", "sad"),
        ("speaker", "x-5"),
        ("group", "g4"),
        ("corpus", "y"),
        ("split", "test"),
    ],
)
def test_another_clip_label_voice_or_group_is_another_fold(
    name: str, value: str, data: experiment.Dataset, tmp_path: Path
) -> None:
    assert data.clips.loc[3, name] is pd.NA or data.clips.loc[3, name] != value
    assert file_of(with_column(data, name, value), tmp_path) != file_of(data, tmp_path)


def test_a_fold_is_known_by_all_that_it_depends_on_and_by_nothing_else(
    data: experiment.Dataset, tmp_path: Path
) -> None:
    known = file_of(data, tmp_path)
    assert known.relative_to(tmp_path).parts[0] == "evaluations"
    assert known.name == "fold-1.json"
    assert known.parent.name.startswith("svm-classic-x-speaker-")
    assert file_of(with_column(data, "path", "moved.wav"), tmp_path) == known
    assert file_of(replace(data, X=np.zeros((N, 0))), tmp_path) == known  # follows from the clips
    assert file_of(data, tmp_path, "speaker+norm") != known
    assert file_of(replace(data, emotions=EMOTIONS[::-1]), tmp_path) != known
    assert file_of(replace(data, target="gender"), tmp_path) != known
    fold = evaluation.make_folds(data, protocol="speaker")[0]
    other = evaluation.Run(recipe("svm"), data, "speaker", tmp_path)
    assert other.file(fold) != known
    assert run_of(data, tmp_path).file(fold, "-noise").name == "fold-1-noise.json"


def test_a_training_is_known_by_its_own_side_only(data: experiment.Dataset, tmp_path: Path) -> None:
    fold = evaluation.make_folds(data, protocol="speaker")[0]
    assert 3 in fold.test
    for name, value in {"clip_id": "other", "emotion": "sad"}.items():
        other = with_column(data, name, value)
        keys = [run_of(each, tmp_path)._key(fold.train, []) for each in (data, other)]
        assert keys[0] == keys[1]
        keys = [run_of(each, tmp_path)._key(fold.test, []) for each in (data, other)]
        assert keys[0] != keys[1]


def test_the_cache_is_the_store_where_none_is_given(
    data: experiment.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERCOURSE_CACHE", str(tmp_path / "cache"))
    fold = evaluation.make_folds(data, protocol="speaker")[0]
    assert evaluation.Run(CLASSIC, data, "speaker").file(fold).is_relative_to(tmp_path / "cache")


def test_a_stored_result_is_read_only_whole_and_of_the_same_clips(tmp_path: Path) -> None:
    file, result = tmp_path / "deep" / "fold-1.json", {"clip_id": ["a", "b"], "seconds": 1.5}
    assert evaluation.stored(file, {}, bool) is None
    computed = []

    def compute() -> dict[str, Any]:
        computed.append(1)
        return {"seconds": 1.5}

    for _ in range(2):
        found = evaluation.stored_or_new(file, {"clip_id": ["a", "b"]}, compute, bool)
        assert found == result
    assert len(computed) == 1
    assert evaluation.stored(file, {"clip_id": ["a", "b"]}, bool) == result
    assert evaluation.stored(file, {}, bool) == result
    assert evaluation.stored(file, {"clip_id": ["b", "a"]}, bool) is None
    assert evaluation.stored(file, {"clip_id": ["a", "b"], "estimator": "svc"}, bool) is None
    whole = file.read_bytes()
    rng = np.random.default_rng(0)
    for bit in rng.integers(8 * len(whole), size=300).tolist():
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        file.write_bytes(damaged)
        assert evaluation.stored(file, {}, bool) is None
    assert evaluation.stored_or_new(file, {"clip_id": ["a", "b"]}, compute, bool) == result
    assert (len(computed), file.read_bytes()) == (2, whole)


def test_a_store_that_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.warns(files.NotKept, match="results are not kept there"):
        found = evaluation.stored_or_new(
            tmp_path / "file" / "a.json", {"a": 1}, lambda: {"b": 2}, bool
        )
    assert found == {"a": 1, "b": 2}


def test_a_damaged_fold_alone_is_computed_again(
    data: experiment.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {"protocol": "speaker", "store": tmp_path}
    first = experiment.evaluate_recipe(CLASSIC, data, **settings)
    fitted, fit = [], evaluation.Run.fit

    def count(run: evaluation.Run, fold: splits.Fold, *more: Any) -> Any:
        fitted.append(fold.name)
        return fit(run, fold, *more)

    monkeypatch.setattr(evaluation.Run, "fit", count)
    damaged = next(tmp_path.rglob("fold-2.json"))
    damaged.write_bytes(damaged.read_bytes().replace(b"0.", b"8.", 1))
    again = experiment.evaluate_recipe(CLASSIC, data, **settings)
    assert fitted == ["fold 2"]
    pd.testing.assert_frame_equal(first.predictions, again.predictions)
    assert first.metrics["accuracy"] > 0.6  # chance is a third


SEGMENTS = {"n_segments": 12, "segment_accuracy": 0.5, "segment_confusion": [[4, 0, 0]] * 3}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("probabilities", value) for value in (None, [], [[1.0]] * 12, [[0.5, 0.5]] * 12)),
        *(("probabilities", [[each, 0, 0]] * 12) for each in (np.nan, np.inf, 0, 1e308, "1")),
        *(("probabilities", [[each, 0, 0]] * 12) for each in (10**400, 0.993, True)),
        ("probabilities", [[2, -1, 0]] * 12),
        ("probabilities", [[1, 0, 0]] * 11 + [[1, 0]]),
        *(("seconds", value) for value in (None, "x", np.nan, [1])),
        *((each, "x") for each in ("epochs", "temperature", "segment_accuracy")),
        *(("segment_confusion", value) for value in ([[1]], "x", [["x"] * 3] * 3)),
        ("more", {"epochs": 30}),  # without a temperature
        *(("more", {"epochs": 30, "temperature": each}) for each in (0, -1, None)),
        *(("more", {"epochs": each, "temperature": 1.0}) for each in (-1, True, 1e300)),
        ("more", {"segment_confusion": [[4, 0, 0]] * 3}),
        *(("more", SEGMENTS | each) for each in ({"n_segments": 13}, {"segment_accuracy": 8.26})),
        ("more", SEGMENTS | {"segment_confusion": [[5, -1, 0]] * 3}),
    ],
)
def test_a_sealed_fold_that_is_none_is_computed_again(
    name: str, value: Any, data: experiment.Dataset, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"protocol": "speaker", "store": tmp_path, "only": ["fold 1"]}
    first = experiment.evaluate_recipe(CLASSIC, data, **settings)
    file = next(tmp_path.rglob("fold-1.json"))
    odd = value if name == "more" else {name: value}
    files.write_sealed(file, files.read_sealed(file) | odd)
    again = experiment.evaluate_recipe(CLASSIC, data, **settings)
    pd.testing.assert_frame_equal(first.predictions, again.predictions)
    assert again.metrics["seconds"] >= 0
    told = files.read_sealed(file)
    assert any(key not in told or told[key] != each for key, each in odd.items())


def test_a_stored_result_as_deep_as_can_be_is_none(tmp_path: Path) -> None:
    deep = 10**5
    rest = b'"a": ' + b"[" * deep + b"]" * deep + b"}\n"
    seal = hashlib.sha256(rest).hexdigest().encode()
    (tmp_path / "a.json").write_bytes(b'{"sha256": "' + seal + b'",\n' + rest)
    assert evaluation.stored(tmp_path / "a.json", {}, bool) is None


def test_results_tell_which_folds_there_are(data: experiment.Dataset, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"protocol": "speaker", "store": tmp_path}
    said: list[str] = []
    only = ["fold 2", "fold 5"]
    some = experiment.evaluate_recipe(CLASSIC, data, only=only, report=said.append, **settings)
    assert [fold["fold"] for fold in some.metrics["folds"]] == only
    assert (some.metrics["n_folds"], some.metrics["of_folds"]) == (2, 6)
    right = (some.predictions["fold"] == "fold 2").sum()
    assert right == 12
    assert [line.partition(":")[0] for line in said] == ["fold 2 (x-1)", "fold 5 (x-4)"]
    assert experiment.evaluate_recipe(CLASSIC, data, only=only, **settings).metrics == some.metrics
    whole = experiment.evaluate_recipe(CLASSIC, data, **settings)
    assert "n_folds" not in whole.metrics
    with pytest.raises(ValueError, match="there is no fold 'fold 9': the protocol has fold 1"):
        experiment.evaluate_recipe(CLASSIC, data, only=["fold 9"], **settings)


def given_between(data: experiment.Dataset, test: list[str]) -> experiment.Dataset:
    split = np.where(data.clips["speaker"].isin(test), "test", "train")
    return replace(data, clips=data.clips.assign(split=split))


def test_inner_splits_keep_voices_apart_where_the_outer_one_does(data: experiment.Dataset) -> None:
    train = np.arange(N)
    for protocol, apart in {
        "speaker": True,
        "speaker+norm": True,
        "corpus": True,
        "random": False,
        "recording": False,
    }.items():
        assert evaluation.inner_by_speaker(data, protocol, train) == apart
        wanted = data.clips["speaker" if apart else "group"].tolist()
        assert evaluation.inner_groups(data, protocol, train).tolist() == wanted
    assert evaluation.inner_groups(data, "random", train[5:]).tolist() == [
        f"g{k}" for k in range(5, N)
    ]
    assert len(evaluation.inner_groups(data, "speaker", train[5:])) == N - 5
    one_voice = data.clips["emotion"].eq("sad") & data.clips["speaker"].ne("x-0")
    few = np.flatnonzero(~one_voice)
    assert not evaluation.inner_by_speaker(data, "speaker", few)  # one voice is sad
    nameless = with_column(data, "speaker", pd.NA)
    assert not evaluation.inner_by_speaker(nameless, "speaker", train)
    assert evaluation.inner_by_speaker(nameless, "speaker", train[12:])
    assert evaluation.inner_by_speaker(given_between(data, ["x-1"]), "given", train)
    mixed = with_column(given_between(data, ["x-1"]), "split", "test")
    assert not evaluation.inner_by_speaker(mixed, "given", train)
