"""What is known of a recipe without training: stored folds, and predictions of shipped models."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import VotingClassifier
from sklearn.svm import SVC

from sercourse import bundles, classical, corpora, experiment, files
from sercourse.experiment import reading
from sercourse.recipes import Ensemble, Recipe, recipe, with_settings

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

    def fit(self, versions: Sequence[Any], y: Any, **settings: Any) -> Guess:
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        return np.random.default_rng(self.seed).dirichlet(np.ones(3), size=len(X))

    def contents(self) -> dict[str, bytes]:
        raise NotImplementedError


def guessing(name: str, seed: int) -> Recipe:
    return Recipe(name, "a guess", feature_set="statistics", learner=Guess(seed))


ONE, OTHER = guessing("one", 1), guessing("other", 2)
BOTH = Ensemble("both", "two guesses", (ONE, OTHER))


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
    return experiment.evaluate_recipe(
        chosen, data, store=store, **{"protocol": "speaker", **settings}
    )


def saved(
    folder: Path, chosen: Recipe, data: experiment.Dataset, evaluation: experiment.Evaluation
) -> Path:
    """Write what a bundle tells of its recipe; there is no model in it."""
    info = {
        "name": chosen.name,
        "labels": list(data.labels),
        "members": [{"recipe": chosen.settings, "feature_names": [], "files": {}}],
        "corpus": {"fingerprint": corpora.fingerprint(data.clips)},
    }
    metrics = {"recipe": chosen.name, "corpus": "ravdess", "protocols": [evaluation.metrics]}
    contents = {
        "metrics.json": json.dumps(metrics),
        "predictions.csv": evaluation.predictions.to_csv(index=False),
    }
    return bundles.save(folder, info=info, contents=contents)


def voting(last: float) -> Recipe:
    """Return a vote of seven, whose text scikit-learn cuts before the seventh."""
    members = [(f"m{k}", SVC(C=c)) for k, c in enumerate([1, 2, 3, 4, 5, 6, last])]
    learner = classical.PipelineLearner(lambda: classical.pipeline(VotingClassifier(members)))
    return replace(ONE, learner=Guess(seed=int(last), like=learner))


def test_stored_folds_are_those_of_the_very_model_clips_and_libraries(
    data: experiment.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, other = voting(7), voting(8)
    folder = saved(tmp_path / "bundle", ours, data, run(ours, data, tmp_path))

    def found(recipe: Recipe, data: experiment.Dataset) -> bool:
        return experiment.stored(recipe, data, protocol="speaker", store=tmp_path) is not None

    def shipped(recipe: Recipe) -> bool:
        told = {"protocol": "speaker", "folders": [folder]}
        return experiment.from_bundle(recipe, data, **told) is not None

    assert found(ours, data)
    assert shipped(ours)
    assert not found(other, data)
    assert not shipped(other)
    swapped = data.clips.copy()  # of the same emotion: corpus and labels are the same as a whole
    swapped.attrs = data.clips.attrs
    swapped.loc[[0, 1], "content"] = data.clips.loc[[1, 0], "content"].to_numpy()
    assert not found(ours, replace(data, clips=swapped))
    monkeypatch.setattr(files, "_version", lambda package: "of tomorrow")
    assert not found(ours, data)
    assert shipped(ours)


def test_folds_that_cannot_be_stored_are_measured_all_the_same(
    data: experiment.Dataset, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.warns(files.NotKept, match="not kept there"):
        measured = run(ONE, data, tmp_path / "file")
    assert len(measured.metrics["folds"]) == 6


def test_of_an_ensemble_the_folds_are_read_that_all_members_have(
    data: experiment.Dataset, tmp_path: Path
) -> None:
    run(ONE, data, tmp_path)
    assert experiment.stored(BOTH, data, protocol="speaker", store=tmp_path) is None
    run(OTHER, data, tmp_path, only=["fold 2", "fold 4"])
    found = experiment.stored(BOTH, data, protocol="speaker", store=tmp_path)
    assert found is not None
    assert [fold["fold"] for fold in found.metrics["folds"]] == ["fold 2", "fold 4"]
    assert (found.metrics["n_folds"], found.metrics["of_folds"]) == (2, 6)
    run(OTHER, data, tmp_path)
    whole = experiment.stored(BOTH, data, protocol="speaker", store=tmp_path)
    assert whole is not None
    pair = experiment.EnsembleDataset((data, data))
    wanted = experiment.evaluate_recipe(BOTH, pair, protocol="speaker", store=tmp_path)
    pd.testing.assert_frame_equal(whole.predictions, wanted.predictions)
    assert whole.metrics == wanted.metrics


def test_a_shipped_model_tells_what_was_measured(data: experiment.Dataset, tmp_path: Path) -> None:
    measured = run(ONE, data, tmp_path)
    folder = saved(tmp_path / "bundle", ONE, data, measured)
    told = experiment.from_bundle(ONE, data, protocol="speaker", folders=[folder])
    assert told is not None
    assert told.metrics == measured.metrics
    pd.testing.assert_frame_equal(told.predictions, measured.predictions)
    assert experiment.from_bundle(ONE, data, protocol="recording", folders=[folder]) is None


def test_of_the_seeds_of_a_shipped_model_those_are_read_that_are_asked_for(
    data: experiment.Dataset, tmp_path: Path
) -> None:
    measured = run(ONE, data, tmp_path, protocol="random", seeds=range(3))
    folder = saved(tmp_path / "bundle", ONE, data, measured)
    told = experiment.from_bundle(ONE, data, protocol="random", seeds=[1, 2, 3], folders=[folder])
    assert told is not None
    assert [fold["fold"] for fold in told.metrics["folds"]] == ["seed 1", "seed 2"]
    assert told.metrics["of_folds"] == 3


def test_a_shipped_model_of_other_settings_or_clips_tells_nothing(
    data: experiment.Dataset, tmp_path: Path
) -> None:
    folder = saved(tmp_path / "bundle", ONE, data, run(ONE, data, tmp_path))
    changed = replace(OTHER, name=ONE.name)
    assert experiment.from_bundle(changed, data, protocol="speaker", folders=[folder]) is None
    relabelled = data.clips.copy()
    relabelled.loc[0, "emotion"] = "sad"
    other = experiment.dataset_without_features(relabelled)
    assert experiment.from_bundle(ONE, other, protocol="speaker", folders=[folder]) is None


def test_a_changed_file_of_a_shipped_model_is_refused(
    data: experiment.Dataset, tmp_path: Path
) -> None:
    folder = saved(tmp_path / "bundle", ONE, data, run(ONE, data, tmp_path))
    table = folder / "predictions.csv"
    table.write_text(table.read_text("utf-8").replace("happy", "sad"), "utf-8")
    with pytest.raises(ValueError, match=r"predictions\.csv has changed"):
        experiment.from_bundle(ONE, data, protocol="speaker", folders=[folder])


def test_of_several_sources_the_most_complete_is_taken(
    data: experiment.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = saved(tmp_path / "bundle", ONE, data, run(ONE, data, tmp_path / "whole"))
    asked = {"protocol": "speaker", "store": tmp_path}
    monkeypatch.setattr(reading.bundles, "available", list)
    assert experiment.load_results(ONE, data, **asked) is None
    run(ONE, data, tmp_path, only=["fold 1"])
    few = experiment.load_results(ONE, data, **asked)
    assert few is not None
    assert (few.source, few.n_folds) == ("stored", 1)
    monkeypatch.setattr(reading.bundles, "available", lambda: [folder])
    more = experiment.load_results(ONE, data, **asked)
    assert more is not None
    assert (more.source, more.n_folds) == ("shipped", 6)
    run(ONE, data, tmp_path)
    every = experiment.load_results(ONE, data, **asked)
    assert every is not None
    assert every.source == "stored"


def test_folds_of_networks_in_bfloat16_are_found(data: experiment.Dataset, tmp_path: Path) -> None:
    network = recipe("means-mlp")
    assert isinstance(network, Recipe)
    like = with_settings(network, precision="bfloat16").learner
    run(replace(network, learner=Guess(like=like)), data, tmp_path)
    found = experiment.load_results(network, data, protocol="speaker", store=tmp_path)
    assert found is not None
    assert (found.source, found.n_folds) == ("stored, bfloat16", 6)
