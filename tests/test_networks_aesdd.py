"""Recipes on AESDD, and experiments with networks that judge segments."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("keras", reason="needs Keras: pip install -e '.[networks]'")
pytest.importorskip("tensorflow", reason="needs TensorFlow: pip install -e '.[networks]'")

from sercourse import bundles, evaluate, experiment, networks, recipes
from sercourse.experiment.evaluation import FROM_TRAINING
from sercourse.features import named
from sercourse.recipes import RECIPES, Recipe, recipe

pytestmark = pytest.mark.xdist_group("networks")  # Keras and TensorFlow are loaded once

FLOOR = -100.0
SHORT = networks.Training(epochs=6, batch_size=16, optimizer="adam", learning_rate=3e-3)


STUDY = [name for name in RECIPES if name.startswith("aesdd-cnn-3+")]


def test_the_study_has_its_variants() -> None:
    changes = ["pitch", "noise", "stretch", "shift", "specaugment", "all"]
    assert [f"aesdd-cnn-3+{name}" for name in changes] == STUDY
    n_copies = [len(recipe(name).copies) for name in STUDY]
    assert n_copies == [2, 2, 2, 2, 0, 8]
    pitch = [(step.low, step.high) for (step,) in recipe(STUDY[0]).augmentations]
    assert pitch == [(-4, -4), (4, 4)]
    masked = [recipe(name).settings["augmentation"] for name in STUDY]
    assert masked == [None] * 4 + ["spec_augment"] * 2
    alone = [each for name in STUDY[:4] for each in recipe(name).copies]
    assert list(recipe(STUDY[-1]).copies) == alone  # which are cached already then


def test_variants_differ_from_the_plain_network_in_augmentation_only() -> None:
    plain = recipe("aesdd-cnn-3").settings
    for name in STUDY:
        told = recipe(name).settings
        differing = {key for key in told.keys() | plain.keys() if told.get(key) != plain.get(key)}
        assert differing <= {"name", "changes", "augmentation"}
    assert plain["network"] == "aesdd_cnn_3"
    assert [recipe(f"aesdd-cnn-{k}").settings["network"] for k in (1, 2)] == [
        "aesdd_cnn_1",
        "aesdd_cnn_2",
    ]


TRIALS = {
    "aesdd-cnn-3-dropout-0.3": {"options": {"dropout": 0.3}},
    "aesdd-cnn-3-dropout-0.7": {"options": {"dropout": 0.7}},
    "aesdd-cnn-3-kernel-5": {"options": {"kernel": 5}},
    "aesdd-cnn-4": {"network": "aesdd_cnn_4"},
    "aesdd-cnn-3-mfcc": {"features": named("mfcc-segments").settings},
    "aesdd-cnn-3-chroma": {
        "features": named("chroma-segments").settings,
        "options": {"band_poolings": 2},
    },
}


@pytest.mark.parametrize("name", TRIALS)
def test_a_trial_differs_from_the_plain_network_in_what_its_name_says(name: str) -> None:
    chosen = recipe(name)
    assert chosen.settings == {**recipe("aesdd-cnn-3").settings, "name": name, **TRIALS[name]}
    told = chosen.learner
    model = told.build(input_shape=chosen.features.shape[1:], n_labels=5, **told.options)
    assert model.output_shape == (None, 5)


def test_a_seed_makes_another_training_of_the_same_recipe() -> None:
    plain = recipe("aesdd-cnn-3+pitch")
    other = recipes.with_settings(plain, seed=2)
    assert other.settings["training"].pop("seed") == 2
    assert plain.settings["training"].pop("seed") == 0
    assert other.name == plain.name
    assert recipes.with_settings(plain, seed=0).settings == plain.settings
    with pytest.raises(ValueError, match="'svm' has no setting 'seed'"):
        recipes.with_settings(recipe("svm"), seed=1)
    with pytest.raises(ValueError, match="is an ensemble"):
        recipes.with_settings(recipe("svm+cnn-lstm"), seed=1)


def test_a_training_in_bfloat16_is_stored_apart() -> None:
    plain = recipe("aesdd-cnn-3")
    other = recipes.with_settings(plain, precision="bfloat16")
    assert other.settings["training"] == {**plain.settings["training"], "precision": "bfloat16"}
    assert recipes.with_settings(other, precision="float32").settings == plain.settings


def test_the_floor_that_is_learnt_with_is_that_of_the_features(sample_aesdd: Path) -> None:
    path = sorted(sample_aesdd.rglob("*.*"))[0]
    from sercourse import audio, features

    for name in ("aesdd-cnn", "aesdd-cnn-3", "aesdd-cnn-3-mfcc", "aesdd-cnn-3-chroma"):
        chosen = recipe(name)
        y = audio.read(path, sr=chosen.features.sr)
        row = features.extract(y, sr=chosen.features.sr, feature_set=chosen.features)
        assert (row[-1] == chosen.learner.segment_floor).all()
        assert row[0].max() > chosen.learner.segment_floor


SMALL = Recipe(
    "small-segments",
    "a small network on segments",
    "mel-segments",
    networks.NetworkLearner(
        networks.builders.aesdd_cnn_1, replace(SHORT, epochs=1), segment_floor=FLOOR
    ),
    augmentations=recipe("aesdd-cnn-3+stretch").augmentations[:1],
    normalized=False,
    seeds=1,
)


@pytest.fixture(scope="module")
def data(aesdd_clips: pd.DataFrame) -> experiment.Dataset:
    clips = aesdd_clips
    few = clips[clips["emotion"].isin(["happy", "sad"])]
    few = few.groupby(["speaker", "emotion"]).head(4).reset_index(drop=True)
    return experiment.prepare(SMALL, few, progress=False)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def measured(data: experiment.Dataset, store: Path) -> experiment.Evaluation:
    return experiment.evaluate_recipe(
        SMALL, data, protocol="recording", only=["fold 1", "fold 2"], store=store
    )


def test_figures_per_segment_stand_beside_those_per_recording(
    data: experiment.Dataset, store: Path, measured: experiment.Evaluation
) -> None:
    told = measured.metrics
    counts = np.array(told["segment_confusion"])
    there = (data.X > FLOOR).any(axis=(2, 3)).sum(axis=1)
    tested = data.clips["clip_id"].isin(measured.predictions["clip_id"])
    assert counts.sum() == told["n_segments"] == there[tested].sum() > told["n_scored"]
    assert told["segment_accuracy"] == pytest.approx(np.trace(counts) / counts.sum())
    folds = told["folds"]
    assert sum(fold["n_segments"] for fold in folds) == told["n_segments"]
    accuracies = [fold["segment_accuracy"] for fold in folds]
    assert told["segment_accuracy_sd"] == pytest.approx(np.std(accuracies, ddof=1), abs=1e-4)
    stored = json.loads(next(store.rglob("fold-1.json")).read_text("utf-8"))
    assert np.sum(stored["segment_confusion"]) == folds[0]["n_segments"]
    again = experiment.evaluate_recipe(
        SMALL, data, protocol="recording", only=["fold 1", "fold 2"], store=store
    )
    assert again.metrics == told


def test_whatever_follows_from_predictions_is_told_apart(
    data: experiment.Dataset, measured: experiment.Evaluation
) -> None:
    again = evaluate.summarize(measured.predictions, emotions=data.emotions)
    for fold, alone in zip(measured.metrics["folds"], again["folds"], strict=True):
        assert fold.keys() - alone.keys() <= set(FROM_TRAINING)


@pytest.fixture(scope="module")
def trained(data: experiment.Dataset, store: Path, measured: experiment.Evaluation) -> Path:
    return experiment.train(
        SMALL, data, folder=store / "sample-segments", evaluations=[measured], store=store
    )


def test_the_bundle_answers_as_the_keras_model(trained: Path, data: experiment.Dataset) -> None:
    bundle = bundles.load(trained)
    keras = networks.quiet_keras()
    model = keras.saving.load_model(trained / "model.keras", safe_mode=True, compile=False)
    X = data.X[:12]
    theirs = model.predict_on_batch(X)
    np.testing.assert_allclose(bundle.predict_proba(X), theirs, atol=1e-4)
    by_file = bundle.predict_file(data.clips["path"].iloc[2])
    np.testing.assert_allclose(list(by_file.probabilities.values()), theirs[2], atol=1e-4)
    assert bundle.sample_rate == 44_100
    assert set(bundle.members[0].info["files"]) == {"model"}


def test_metrics_of_the_bundle_tell_of_segments(trained: Path) -> None:
    (entry,) = json.loads((trained / "metrics.json").read_text("utf-8"))["protocols"]
    predictions = pd.read_csv(trained / "predictions.csv")
    assert entry["segment_accuracy"] > 0
    card = (trained / "README.md").read_text("utf-8")
    assert "| Per segment % |" in card
    assert f"| {100 * entry['segment_accuracy']:.1f} |\n" in card
    assert (
        entry["accuracy"] == evaluate.summarize(predictions, emotions=entry["emotions"])["accuracy"]
    )


def test_the_command_line_takes_a_seed_and_tells_the_accuracy_per_segment(
    sample_aesdd: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from sercourse.cli import main

    monkeypatch.setattr(recipes, "RECIPES", {"small-segments": SMALL, "svm": recipe("svm")})
    argv = [str(sample_aesdd), "--corpus", "aesdd", "--emotions", "happy,sad", "--jobs", "1"]
    argv += ["--protocol", "recording", "--folds", "fold 1", "--training-seed", "3"]
    out = tmp_path / "out.json"
    assert main(["evaluate", "small-segments", *argv, "--json", str(out)]) == 0
    told = json.loads(out.read_text("utf-8"))
    printed = capsys.readouterr().out
    assert "per segment" in printed
    assert f" {100 * told['segment_accuracy']:.1f}" in printed
    assert main(["evaluate", "svm", *argv]) == 2
    assert "has no setting 'seed'" in capsys.readouterr().err
