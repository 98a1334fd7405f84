"""The networks on AESDD, and how networks learn from segments and judge clips by them."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("keras", reason="needs Keras: pip install -e '.[networks]'")
pytest.importorskip("tensorflow", reason="needs TensorFlow: pip install -e '.[networks]'")

from sercourse import (
    bundles,
    classical,
    corpora,
    evaluate,
    experiment,
    networks,
    recipes,
    splits,
)
from sercourse.features import named
from sercourse.networks import segments, training
from sercourse.recipes import RECIPES, Recipe, recipe

pytestmark = pytest.mark.xdist_group("networks")  # Keras and TensorFlow are loaded once

FLOOR = -100.0
SHAPE = (24, 16)
SHORT = networks.Training(epochs=6, batch_size=16, optimizer="adam", learning_rate=3e-3)


def convolution(kernel: int, before: int, filters: int) -> int:
    return kernel * kernel * before * filters + filters


def dense(before: int, units: int) -> int:
    return before * units + units


# Each pooling halves both sides, rounding down: 130 x 128, 65 x 64, 32 x 32, 16 x 16, 8 x 8.
LAYERS = {
    networks.aesdd_cnn_1: {
        "convolution_1": ((130, 128, 16), convolution(3, 1, 16)),
        "convolution_2": ((65, 64, 32), convolution(3, 16, 32)),
        "dense_1": ((64,), dense(32 * 32 * 32, 64)),
        "logits": ((5,), dense(64, 5)),
    },
    networks.aesdd_cnn_2: {
        "convolution_1": ((130, 128, 16), convolution(3, 1, 16)),
        "convolution_2": ((65, 64, 32), convolution(3, 16, 32)),
        "convolution_3": ((32, 32, 32), convolution(3, 32, 32)),
        "dense_1": ((64,), dense(16 * 16 * 32, 64)),
        "dense_2": ((32,), dense(64, 32)),
        "logits": ((5,), dense(32, 5)),
    },
    networks.aesdd_cnn_3: {
        "convolution_1": ((130, 128, 16), convolution(3, 1, 16)),
        "convolution_2": ((65, 64, 32), convolution(3, 16, 32)),
        "convolution_3": ((32, 32, 64), convolution(3, 32, 64)),
        "convolution_4": ((16, 16, 128), convolution(3, 64, 128)),
        "dense_1": ((128,), dense(8 * 8 * 128, 128)),
        "dense_2": ((64,), dense(128, 64)),
        "dense_3": ((32,), dense(64, 32)),
        "logits": ((5,), dense(32, 5)),
    },
    networks.aesdd_cnn_4: {
        "convolution_1": ((130, 128, 16), convolution(3, 1, 16)),
        "convolution_2": ((65, 64, 32), convolution(3, 16, 32)),
        "convolution_3": ((32, 32, 64), convolution(3, 32, 64)),
        "convolution_4": ((16, 16, 128), convolution(3, 64, 128)),
        "convolution_5": ((8, 8, 128), convolution(3, 128, 128)),
        "convolution_6": ((4, 4, 128), convolution(3, 128, 128)),
        "dense_1": ((128,), dense(2 * 2 * 128, 128)),
        "dense_2": ((64,), dense(128, 64)),
        "dense_3": ((32,), dense(64, 32)),
        "logits": ((5,), dense(32, 5)),
    },
}
each_network = pytest.mark.parametrize("build", LAYERS, ids=lambda build: build.__name__)


@each_network
def test_layers_are_those_of_the_ancestor_and_of_its_wish(build) -> None:
    model = build(n_labels=5)
    assert model.input_shape == (None, 130, 128)
    sized = {
        each.name: (each.output.shape[1:], each.count_params())
        for each in model.layers
        if each.count_params()
    }
    assert sized == LAYERS[build]
    plain = [each for each in model.layers if not each.count_params()]
    n_convolutions = sum(name.startswith("convolution") for name in sized)
    kinds = [type(each).__name__ for each in plain]
    assert kinds[:2] == ["InputLayer", "Reshape"]
    assert kinds[2:] == ["MaxPooling2D"] * n_convolutions + ["Flatten", "Dropout"]
    assert plain[-1].rate == 0.5
    for name in sized:
        expected = "linear" if name == "logits" else "relu"
        assert model.get_layer(name).activation.__name__ == expected


@each_network
def test_the_ancestors_trials_are_options(build) -> None:
    model = build(n_labels=5, dropout=0.7, kernel=5)
    assert model.get_layer("dropout").rate == 0.7
    assert model.get_layer("convolution_2").count_params() == convolution(5, 16, 32)
    assert model.get_layer("convolution_2").output.shape[1:] == (65, 64, 32)


@each_network
@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"n_labels": 1}, "n_labels is 1: give at least two"),
        ({"input_shape": (128,)}, r"input shape is \(128,\): give two sizes"),
        ({"input_shape": (3, 128)}, r"input shape is \(3, 128\).*poolings halve them"),
        ({"dropout": 1.0}, r"dropout is 1.0: give a share"),
        ({"kernel": 0}, "kernel is 0: give a size"),
    ],
)
def test_networks_that_cannot_be_are_refused(build, wrong: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        build(**{"n_labels": 5, **wrong})


def test_twelve_pitch_classes_are_halved_twice() -> None:
    model = networks.aesdd_cnn_3(n_labels=5, input_shape=(130, 12), band_poolings=2)
    sizes = [model.get_layer(f"pooling_{k}").output.shape[1:3] for k in range(1, 5)]
    assert sizes == [(65, 6), (32, 3), (16, 3), (8, 3)]
    with pytest.raises(ValueError, match="16 and 16 at least, as 4 and 4 poolings halve them"):
        networks.aesdd_cnn_3(n_labels=5, input_shape=(130, 12))
    with pytest.raises(ValueError, match="band_poolings is 5: the network has 4 poolings"):
        networks.aesdd_cnn_3(n_labels=5, band_poolings=5)


def test_masks_hide_an_eighth_at_most_and_leave_the_input() -> None:
    X = np.random.default_rng(0).uniform(-80, 0, (200, 40, 32)).astype(np.float32)
    before, T = X.copy(), np.eye(5, dtype=np.float32)[np.arange(200) % 5]
    masked, targets = networks.spec_augment(X, T, rng=np.random.default_rng(1))
    np.testing.assert_array_equal(X, before)
    np.testing.assert_array_equal(targets, T)
    assert masked.dtype == np.float32
    hidden = masked != X
    bands, frames = hidden.all(axis=1).sum(axis=1), hidden.all(axis=2).sum(axis=1)
    assert (bands.max(), frames.max()) == (2 * 4, 2 * 5)
    assert bands.min() == frames.min() == 0
    changed = bands[:, np.newaxis] * 40 + frames[:, np.newaxis] * 32
    assert (hidden.sum(axis=(1, 2)) <= changed[:, 0]).all()


def tones(n: int, *, seed: int = 0, n_labels: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return clips of 1 to 4 segments, each label with energy in bands of its own."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % n_labels
    counts = rng.integers(1, 5, size=n)
    X = rng.uniform(-60, -40, size=(n, 4, *SHAPE)).astype(np.float32)
    for clip, label in enumerate(y):
        X[clip, :, :, 5 * label : 5 * label + 4] += 30
        X[clip, counts[clip] :] = FLOOR
    return X, y, counts


def learner(**settings) -> networks.SegmentLearner:
    inner = networks.NetworkLearner(networks.aesdd_cnn_1, SHORT, **settings)
    return networks.SegmentLearner(inner, FLOOR)


@pytest.fixture(scope="module")
def fitted() -> networks.FittedSegments:
    X, y, _ = tones(40)
    return learner(members=2).fit([X], y, groups=np.arange(40) // 2, n_labels=3)


def test_rows_are_those_of_the_segments_that_are_there() -> None:
    X, _, counts = tones(20)
    clips = np.array([7, 3, 19])
    owner, rows = segments.segment_rows([X], clips, floor=FLOOR)
    assert owner.tolist() == np.repeat([0, 1, 2], counts[clips]).tolist()
    flat = X.reshape(-1, *SHAPE)
    assert np.shares_memory(flat, X)
    np.testing.assert_array_equal(flat[rows[0]], X[clips][(X[clips] > FLOOR).any(axis=(2, 3))])


def test_copies_with_other_numbers_of_segments_are_matched_by_place() -> None:
    def clip(number: int) -> np.ndarray:
        X = np.zeros((1, 4, 2, 2))
        X[0, number:] = FLOOR
        return X

    def matched(*numbers: int) -> list[list[int]]:
        versions = [clip(number) for number in numbers]
        return segments.segment_rows(versions, np.array([0]), floor=FLOOR)[1].tolist()

    assert matched(3, 4) == [[0, 1, 2], [0, 2, 3]]
    assert matched(4, 2) == [[0, 1, 2, 3], [0, 0, 1, 1]]
    assert matched(1, 3) == [[0], [0]]
    assert matched(2, 1) == [[0, 1], [0, 0]]


def test_no_absent_segment_is_ever_shown() -> None:
    X, y, counts = tones(40)
    slower = np.full_like(X, FLOOR)
    for clip, number in enumerate(counts):
        more = min(4, number + 1)
        slower[clip, :more] = X[clip, np.arange(more) % number] + 1
    shown = []

    def remember(X, T, *, rng):
        shown.append((X.max(axis=(1, 2)), T.argmax(axis=1), X))
        return X, T

    once = learner(augment=remember)
    once = replace(once, network=replace(once.network, training=replace(SHORT, epochs=1)))
    selected = {"epochs": 1.0, "temperature": 1.0}
    once.fit([X, slower], y, groups=np.arange(40), n_labels=3, selected=selected)
    highest = np.concatenate([each for each, _, _ in shown])
    assert len(highest) == counts.sum()
    assert highest.min() > FLOOR
    for _, labels, batch in shown:
        bands = batch.mean(axis=1).reshape(len(batch), -1)
        loudest = [bands[:, 5 * k : 5 * k + 4].mean(axis=1) for k in range(3)]
        np.testing.assert_array_equal(np.argmax(loudest, axis=0), labels)


def test_the_inner_split_keeps_the_segments_of_a_group(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y, counts = tones(40)
    groups = np.array([f"g{clip // 2}" for clip in range(40)])
    seen = {}
    inner_splits = splits.inner_splits

    def spy(y, groups, *, n_folds):
        seen["groups"], seen["splits"] = groups, inner_splits(y, groups, n_folds=n_folds)
        return seen["splits"]

    monkeypatch.setattr(splits, "inner_splits", spy)
    rows = np.arange(39, 9, -1)
    once = learner()
    once = replace(once, network=replace(once.network, training=replace(SHORT, epochs=1)))
    once.fit([X], y[rows], groups=groups[rows], n_labels=3, rows=rows)
    assert seen["groups"].tolist() == np.repeat(groups[rows], counts[rows]).tolist()
    for learn, check in seen["splits"]:
        assert not set(seen["groups"][learn]) & set(seen["groups"][check])


def test_it_learns_and_averages_the_segments_of_a_clip(fitted: networks.FittedSegments) -> None:
    X, y, counts = tones(30, seed=1)
    owner, judged = fitted.predict_segments(X)
    assert owner.tolist() == np.repeat(np.arange(30), counts).tolist()
    clips = fitted.predict_proba(X)
    by_hand = np.stack([judged[owner == clip].mean(axis=0) for clip in range(30)])
    np.testing.assert_allclose(clips, by_hand, atol=1e-12)
    np.testing.assert_allclose(clips.sum(axis=1), 1, atol=1e-6)
    assert (clips.argmax(axis=1) == y).mean() > 0.9  # chance is a third
    assert set(fitted.selected) == {"epochs", "temperature"}
    assert len(fitted.network.members) == 2


def test_files_take_whole_clips_and_agree(fitted: networks.FittedSegments, tmp_path: Path) -> None:
    X, _, _ = tones(30, seed=2)
    ours = fitted.predict_proba(X)
    contents = fitted.contents()
    session = bundles.session(contents[".onnx"])
    np.testing.assert_allclose(bundles.run(session, X), ours, atol=1e-5)
    np.testing.assert_allclose(bundles.run(session, X[3:4]), ours[3:4], atol=1e-5)
    path = tmp_path / "model.keras"
    path.write_bytes(contents[".keras"])
    loaded = networks.quiet_keras().saving.load_model(path, safe_mode=True, compile=False)
    np.testing.assert_allclose(loaded.predict_on_batch(X), ours, atol=1e-5)


def test_adam_keeps_its_rate() -> None:
    model = networks.aesdd_cnn_1(n_labels=3, input_shape=SHAPE)
    training.compile_model(model, training=networks.AESDD_TRAINING, n_clips=64)
    assert type(model.optimizer).__name__ == "Adam"
    X, y, _ = tones(16)
    for _ in range(3):
        model.train_on_batch(X[:, 0], np.eye(3, dtype=np.float32)[y])
    assert float(model.optimizer.learning_rate) == pytest.approx(1e-3)
    told = networks.AESDD_TRAINING
    assert (told.epochs, told.batch_size, told.patience) == (20, 64, None)


def test_the_loss_of_an_epoch_is_the_mean_over_all_of_its_batches() -> None:
    X, y, _ = tones(30)
    X = X[:, 0] / 50  # so that no clip is so unlikely that its loss is cut off
    examples = networks.Examples([X], y, 3)
    model = networks.aesdd_cnn_1(n_labels=3, input_shape=SHAPE, dropout=0.0)
    still = replace(SHORT, epochs=1, batch_size=7, learning_rate=0.0)
    (told,) = networks.train(model, examples, training=still).history
    scores = training.logits(model, X)
    assert told["loss"] == pytest.approx(training.cross_entropy(scores, y), rel=1e-4)


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
    told = chosen.learner.network
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


def test_a_training_in_short_numbers_is_stored_apart_and_gives_a_network_in_long_ones() -> None:
    plain = recipe("aesdd-cnn-3")
    other = recipes.with_settings(plain, precision="bfloat16")
    assert other.settings["training"] == {**plain.settings["training"], "precision": "bfloat16"}
    assert recipes.with_settings(other, precision="float32").settings == plain.settings
    assert not recipes.has_setting(recipe("svm"), "precision")

    rng = np.random.default_rng(0)
    y = np.arange(24) % 2
    X = (rng.standard_normal((24, 16, 16)) + 2 * y[:, None, None]).astype(np.float32)
    training = networks.Training(epochs=3, batch_size=8, optimizer="adam", precision="bfloat16")
    learner = networks.NetworkLearner(networks.aesdd_cnn_1, training)
    fitted = learner.fit([X], y, groups=np.arange(24) // 2, n_labels=2)
    assert {each.dtype for each in fitted.members[0].weights} == {"float32"}
    assert fitted.members[0].compute_dtype == "float32"
    assert np.mean(fitted.predict_proba(X).argmax(1) == y) > 0.9
    assert networks.quiet_keras().config.dtype_policy().name == "float32"


def test_the_floor_that_is_learnt_with_is_that_of_the_features(sample_aesdd: Path) -> None:
    path = sorted(sample_aesdd.rglob("*.*"))[0]
    from sercourse import audio, features

    for name in ("aesdd-cnn", "aesdd-cnn-3", "aesdd-cnn-3-mfcc", "aesdd-cnn-3-chroma"):
        chosen = recipe(name)
        y = audio.read(path, sr=chosen.features.sr)
        row = features.extract(y, sr=chosen.features.sr, feature_set=chosen.features)
        assert (row[-1] == chosen.learner.floor).all()
        assert row[0].max() > chosen.learner.floor


SMALL = Recipe(
    "small-segments",
    "a small network on segments",
    "mel-segments",
    lambda: networks.SegmentLearner(
        networks.NetworkLearner(networks.aesdd_cnn_1, replace(SHORT, epochs=1)), FLOOR
    ),
    augmentations=recipe("aesdd-cnn-3+stretch").augmentations[:1],
    normalized=False,
    seeds=1,
)


@pytest.fixture(scope="module")
def data(sample_aesdd: Path) -> experiment.Dataset:
    clips = corpora.scan(sample_aesdd, corpus="aesdd").clips
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


def test_models_that_judge_clips_tell_nothing_of_segments(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    model = classical.PipelineLearner(classical.svm_classic).fit(
        [rng.normal(size=(40, 30)) + np.arange(40)[:, np.newaxis] % 2],
        np.arange(40) % 2,
        groups=np.arange(40),
        n_labels=2,
    )
    assert not isinstance(model, recipes.SegmentModel)


def test_whatever_follows_from_predictions_is_told_apart(
    data: experiment.Dataset, measured: experiment.Evaluation
) -> None:
    again = evaluate.summarize(measured.predictions, emotions=data.emotions)
    for fold, alone in zip(measured.metrics["folds"], again["folds"], strict=True):
        assert fold.keys() - alone.keys() <= set(experiment.FROM_TRAINING)


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
    assert not bundle.can_enrol


def test_predicting_needs_no_training_library(trained: Path, data: experiment.Dataset) -> None:
    script = (
        "import sys; from sercourse import bundles\n"
        f"bundle = bundles.load({str(trained)!r})\n"
        f"bundle.predict_file({data.clips['path'].iloc[0]!r})\n"
        f"bundle.predict_file_over_time({data.clips['path'].iloc[0]!r}, every=1.0)\n"
        "print([name for name in ('tensorflow', 'keras', 'sklearn') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
    assert not done.stderr


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
    assert "trains no network" in capsys.readouterr().err
