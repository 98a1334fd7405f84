"""The tool that keeps results: from stored folds, bundles, and results folders; no training."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import results
from sklearn.ensemble import VotingClassifier
from sklearn.svm import SVC

from sercourse import bundles, classical, corpora, experiment, files
from sercourse.recipes import Recipe, recipe, with_settings

EMOTIONS = ["happy", "sad", "angry"]


@dataclass
class Guess:
    """A learner, and a model, that guesses by a seed; nothing is computed."""

    seed: int = 0
    like: Any = None
    packages: tuple[str, ...] = ()
    selected: dict[str, float] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        return self.like.settings if self.like else {"guess": self.seed}

    @property
    def key(self) -> list[Any]:
        return self.like.key if self.like else [self.settings]

    def fit(self, examples: Any, **settings: Any) -> Guess:
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        return np.random.default_rng(self.seed).dirichlet(np.ones(3), size=len(X))

    def contents(self) -> dict[str, bytes]:
        raise NotImplementedError


def guessing(name: str, seed: int) -> Recipe:
    return Recipe(name, "a guess", feature_set="statistics", learner=Guess(seed))


ONE, OTHER = guessing("one", 1), guessing("other", 2)
BOTH = Recipe("both", "two guesses", members=(ONE, OTHER))


@pytest.fixture
def data() -> experiment.Dataset:
    speakers = [f"ravdess-{k:02d}" for k in (1, 4, 8, 3, 2, 6)]  # one of each fold
    rows = [(s, e, take) for s in speakers for e in EMOTIONS for take in range(4)]
    clips = pd.DataFrame(rows, columns=["speaker", "emotion", "take"])
    clips["clip_id"] = [f"{s}/{e}-{take}" for s, e, take in rows]
    clips["corpus"], clips["split"] = "ravdess", pd.array([pd.NA] * len(rows), dtype="string")
    clips["gender"] = np.where(clips["speaker"].str[-1].astype(int) % 2, "male", "female")
    clips["group"], clips["content"] = clips["clip_id"], [f"{k:016x}" for k in range(len(rows))]
    return experiment.dataset_without_features(clips)


def run(
    chosen: Recipe, data: experiment.Dataset, store: Path, **settings: Any
) -> experiment.Evaluation:
    settings = {"protocol": "speaker", **settings}
    return experiment.evaluate_recipe(chosen, data, store=store, **settings)


def read(
    chosen: Recipe, data: experiment.Dataset, store: Path, *folders: Path, **settings: Any
) -> tuple[str, experiment.Evaluation] | None:
    settings = {"protocol": "speaker", **settings}
    return results.known(chosen, data, store=store, folders=folders, **settings)


def saved(
    folder: Path,
    chosen: Recipe,
    data: experiment.Dataset,
    evaluation: experiment.Evaluation,
    *,
    bundle: bool = True,
) -> Path:
    """Write a bundle without a model, or a results folder."""
    members = [each.settings for each in chosen.parts]
    corpus = {"name": "ravdess", "fingerprint": corpora.fingerprint(data.clips)}
    corpus |= {"n_clips": len(data.clips), "n_speakers": int(data.clips["speaker"].nunique())}
    metrics = {"recipe": chosen.name, "corpus": "ravdess", "protocols": [evaluation.metrics]}
    table = evaluation.predictions.to_csv(index=False)
    if bundle:
        described = {"sample_rate": 16_000, "feature_names": ["level"]}
        models = [
            {"recipe": each, "files": {"model": f"{number}.onnx"}, **described}
            for number, each in enumerate(members)
        ]
        info = {"name": chosen.name, "title": "a test", "labels": list(data.labels)}
        info |= {"members": models}
        contents = {"metrics.json": json.dumps(metrics), "predictions.csv": table}
        contents |= {f"{number}.onnx": b"no model" for number in range(len(members))}
        return bundles.save(folder, info=info | {"corpus": corpus}, contents=contents)
    folder.mkdir()
    told = metrics | {"members": members, "corpus": corpus}
    (folder / "metrics.json").write_text(json.dumps(told))
    (folder / "predictions.csv.gz").write_bytes(gzip.compress(table.encode()))
    return folder


def voting(last: float) -> Recipe:
    """Return a vote of seven, whose text scikit-learn cuts before the seventh."""
    members = [(f"m{k}", SVC(C=c)) for k, c in enumerate([1, 2, 3, 4, 5, 6, last])]
    learner = classical.PipelineLearner(classical.pipeline(VotingClassifier(members)))
    return replace(ONE, learner=Guess(seed=int(last), like=learner))


def test_stored_folds_are_those_of_the_very_model_clips_and_libraries(
    data: experiment.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, other, nowhere = voting(7), voting(8), tmp_path / "empty"
    folder = saved(tmp_path / "bundle", ours, data, run(ours, data, tmp_path))
    assert read(ours, data, tmp_path)
    assert read(ours, data, nowhere, folder)
    assert not read(other, data, tmp_path)
    assert not read(other, data, nowhere, folder)
    swapped = data.clips.copy()  # of the same emotion: corpus and labels are the same as a whole
    swapped.loc[[0, 1], "content"] = data.clips.loc[[1, 0], "content"].to_numpy()
    assert not read(ours, replace(data, clips=swapped), tmp_path)
    speakers = data.clips["speaker"].replace({"ravdess-01": "ravdess-05"})
    assert not read(ours, replace(data, clips=data.clips.assign(speaker=speakers)), tmp_path)
    monkeypatch.setattr(files.metadata, "version", lambda package: "of tomorrow")
    assert not read(ours, data, tmp_path)
    assert read(ours, data, nowhere, folder)


def test_folds_that_cannot_be_stored_are_measured_all_the_same(
    data: experiment.Dataset, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.warns(files.NotKept, match="not kept there"):
        measured = run(ONE, data, tmp_path / "file")
    assert len(measured.metrics["folds"]) == 6


def test_of_an_ensemble_all_members_have_the_folds(
    data: experiment.Dataset, tmp_path: Path
) -> None:
    run(ONE, data, tmp_path)
    assert read(BOTH, data, tmp_path) is None
    run(OTHER, data, tmp_path, only=["fold 2", "fold 4"])
    assert read(BOTH, data, tmp_path) is None
    run(OTHER, data, tmp_path)
    (_, whole), wanted = read(BOTH, data, tmp_path), run(BOTH, data, tmp_path)
    pd.testing.assert_frame_equal(whole.predictions, wanted.predictions)
    assert whole.metrics == wanted.metrics


@pytest.mark.parametrize("chosen", [ONE, BOTH])
@pytest.mark.parametrize("bundle", [True, False])
def test_a_folder_tells_what_was_measured(
    chosen: Recipe, bundle: bool, data: experiment.Dataset, tmp_path: Path
) -> None:
    measured = run(chosen, data, tmp_path, protocol="random", seeds=range(3))
    folder = saved(tmp_path / "folder", chosen, data, measured, bundle=bundle)
    where = (chosen, data, tmp_path / "empty", folder)
    source, told = read(*where, protocol="random", seeds=range(3))
    assert told.metrics == measured.metrics
    assert source == ("shipped" if bundle else "results")
    pd.testing.assert_frame_equal(told.predictions, measured.predictions)
    assert read(*where, protocol="recording") is None
    assert read(*where, protocol="random", seeds=[1, 2, 3]) is None
    _, part = read(*where, protocol="random", seeds=[1, 2])
    wanted = run(chosen, data, tmp_path, protocol="random", seeds=[1, 2])
    if chosen is ONE:  # whose calibration does not depend on the other folds
        assert part.metrics == wanted.metrics
    assert part.metrics["accuracy"] == pytest.approx(wanted.metrics["accuracy"])
    assert part.metrics["seconds"] == wanted.metrics["seconds"]


def test_a_folder_of_other_settings_clips_or_bytes_tells_nothing(
    data: experiment.Dataset, tmp_path: Path
) -> None:
    folder = saved(tmp_path / "bundle", ONE, data, run(ONE, data, tmp_path))
    assert read(replace(OTHER, name=ONE.name), data, tmp_path / "empty", folder) is None
    relabelled = data.clips.copy()
    relabelled.loc[0, "emotion"] = "sad"
    other = experiment.dataset_without_features(relabelled)
    assert read(ONE, other, tmp_path / "empty", folder) is None
    table = folder / "predictions.csv"
    table.write_text(table.read_text("utf-8").replace("happy", "sad"), "utf-8")
    with pytest.raises(ValueError, match=r"predictions\.csv has changed"):
        read(ONE, data, tmp_path / "empty", folder)


def test_of_several_sources_one_with_all_folds_is_taken(
    data: experiment.Dataset, tmp_path: Path
) -> None:
    folder = saved(tmp_path / "bundle", ONE, data, run(ONE, data, tmp_path / "whole"))
    assert read(ONE, data, tmp_path) is None
    run(ONE, data, tmp_path, only=["fold 1"])
    assert read(ONE, data, tmp_path) is None
    source, found = read(ONE, data, tmp_path, folder)
    assert (source, len(found.metrics["folds"])) == ("shipped", 6)
    run(ONE, data, tmp_path)
    assert read(ONE, data, tmp_path, folder)[0] == "stored"


def test_folds_of_networks_in_bfloat16_are_found(data: experiment.Dataset, tmp_path: Path) -> None:
    network = recipe("means-mlp")
    like = with_settings(network, precision="bfloat16").learner
    other = replace(network, learner=Guess(like=like))
    measured = run(other, data, tmp_path)
    assert read(network, data, tmp_path)[0] == "stored, bfloat16"
    folder = saved(tmp_path / "results", other, data, measured, bundle=False)
    assert read(network, data, tmp_path / "empty", folder)[0] == "results"


@pytest.fixture
def folder(data: experiment.Dataset, tmp_path: Path) -> Path:
    """Return a folder of results, of which there is no bundle."""
    measured = run(ONE, data, tmp_path / "store")
    made = saved(tmp_path / "results", ONE, data, measured, bundle=False)
    zipped = made / "predictions.csv.gz"
    (made / "predictions.csv").write_bytes(gzip.decompress(zipped.read_bytes()))
    zipped.unlink()
    return made


@pytest.mark.parametrize("damage", ["8.26", "", "x", "-0.1", "0.999", "nan"])
def test_a_result_that_is_no_probability_is_refused_with_its_file(
    damage: str, data: experiment.Dataset, folder: Path, tmp_path: Path
) -> None:
    source, found = read(ONE, data, tmp_path / "none", folder)
    assert (source, len(found.predictions)) == ("results", len(data.clips))
    table = folder / "predictions.csv"
    lines = table.read_text().splitlines()
    cells = lines[5].split(",")
    cells[-1] = damage
    table.write_text("\n".join([*lines[:5], ",".join(cells), *lines[6:]]))
    with pytest.raises(ValueError, match=r"predictions\.csv cannot be read .*: get it again"):
        read(ONE, data, tmp_path / "none", folder)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"a,b\n1,2\n", b'"', b"\x1f\x8b\x08"])
def test_a_damaged_table_of_results_is_refused(
    content: bytes, data: experiment.Dataset, folder: Path, tmp_path: Path
) -> None:
    (folder / "predictions.csv").write_bytes(content)
    with pytest.raises(ValueError, match=r"predictions\.csv cannot be read"):
        read(ONE, data, tmp_path / "none", folder)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (["recipe"], 5),
        (["corpus"], "x"),
        (["members"], []),
        (["protocols", 0, "accuracy"], 1.5),
        (["protocols", 0, "folds", 0, "seconds"], "soon"),
        (["protocols", 0, "folds", 0, "temperature"], -1),
    ],
)
def test_an_altered_field_of_results_is_refused_by_its_name(
    place: list[Any], value: Any, data: experiment.Dataset, folder: Path, tmp_path: Path
) -> None:
    metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
    inside = metrics
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = value
    files.write_json(folder / "metrics.json", metrics)
    name = place[-1] if isinstance(place[-1], str) else place[-2]
    with pytest.raises(ValueError, match=rf"metrics\.json: .*\$\.?.*{name}"):
        read(ONE, data, tmp_path / "none", folder)
