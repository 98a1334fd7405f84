"""What is asked of a clip: emotion, gender, or both; and gender in bundles."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sercourse import bundles, cli, corpora, evaluate, experiment, features
from sercourse.experiment.dataset import class_names, marginal
from sercourse.recipes import VOICES, recipe

LOGISTIC = recipe("logistic")
CLASSIC = recipe("svm-classic")
NOISY = replace(
    VOICES, augmentations=VOICES.augmentations[:1]
)  # one of its four kinds of copies, for time


@pytest.fixture(scope="module")
def clips(ravdess_clips: pd.DataFrame) -> pd.DataFrame:
    return ravdess_clips


@pytest.fixture(scope="module")
def gender(clips: pd.DataFrame) -> experiment.Dataset:
    return experiment.prepare(LOGISTIC, clips, target="gender", progress=False)


@pytest.fixture(scope="module")
def both(clips: pd.DataFrame) -> experiment.Dataset:
    return experiment.prepare(CLASSIC, clips, target="emotion+gender", progress=False)


@pytest.fixture(scope="module")
def measured(
    gender: experiment.Dataset, tmp_path_factory: pytest.TempPathFactory
) -> experiment.Evaluation:
    store = tmp_path_factory.mktemp("store")
    return experiment.evaluate_recipe(LOGISTIC, gender, protocol="speaker", store=store)


@pytest.fixture(scope="module")
def trained(
    clips: pd.DataFrame, aesdd_clips: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory
) -> bundles.Bundle:
    """A bundle that tells voices apart, measured in noise and on another corpus."""
    folder = shutil.copytree(bundles.find("ravdess-svm"), tmp_path_factory.mktemp("voices") / "m")
    gender = experiment.prepare(NOISY, clips, target="gender", progress=False)
    elsewhere = experiment.prepare(NOISY, aesdd_clips, progress=False)
    experiment.train_gender(folder, NOISY, gender, elsewhere=elsewhere)
    return bundles.load(folder)


@pytest.fixture
def bundle(trained: bundles.Bundle, tmp_path: Path) -> bundles.Bundle:
    """Return a copy of it that a test may change."""
    return bundles.load(shutil.copytree(trained.folder, tmp_path / "model"))


def test_labels_follow_what_is_asked(
    gender: experiment.Dataset, both: experiment.Dataset, clips: pd.DataFrame
) -> None:
    assert gender.labels == ("female", "male")
    assert gender.truth.tolist() == gender.clips["gender"].tolist()
    assert both.labels[:4] == ("female_neutral", "male_neutral", "female_calm", "male_calm")
    assert len(both.labels) == 2 * len(both.emotions)
    assert [both.labels[k] for k in both.y] == both.truth.tolist()
    np.testing.assert_array_equal(both.y // 2, [both.emotions.index(e) for e in both.clips.emotion])
    assert (gender.label_set, both.label_set) == ("gender", "emotion+gender")
    some = experiment.dataset_without_features(clips, emotions=["happy", "sad"], target=both.target)
    assert some.label_set == "emotion+gender, happy+sad"


def test_the_folds_are_the_same_whatever_is_asked(
    gender: experiment.Dataset, both: experiment.Dataset
) -> None:
    for protocol in ("speaker", "random"):
        folds = [
            experiment.make_folds(data, protocol=protocol, seeds=[3]) for data in (gender, both)
        ]
        for one, other in zip(*folds, strict=True):
            np.testing.assert_array_equal(one.test, other.test)


def test_new_voices_are_told_apart(measured: experiment.Evaluation) -> None:
    metrics = measured.metrics
    assert metrics["target"] == "gender"
    assert metrics["classes"] == ["female", "male"]
    assert metrics["accuracy"] > 0.8  # chance is a half
    columns = [name for name in measured.predictions if str(name).startswith("p_")]
    assert columns == ["p_female", "p_male"]


def test_pairs_are_scored_together_and_apart(both: experiment.Dataset, tmp_path: Path) -> None:
    told = experiment.evaluate_recipe(CLASSIC, both, protocol="speaker", store=tmp_path)
    assert told.metrics["accuracy"] < told.metrics["of_each"]["emotion"]["accuracy"]
    for kind in ("emotion", "gender"):
        alone = marginal(told.predictions, kind)
        assert set(alone["truth"]) == set(both.clips[kind])
        p = alone[[name for name in alone if str(name).startswith("p_")]].to_numpy()
        np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-3)
        again = evaluate.summarize(alone, emotions=class_names(kind, both.emotions))
        assert told.metrics["of_each"][kind] == again


def test_clips_of_unknown_voices_are_left_out_and_told(clips: pd.DataFrame) -> None:
    some = clips.copy()
    some.loc[:4, "gender"] = pd.NA
    lines: list[str] = []
    data = experiment.prepare(CLASSIC, some, target="gender", progress=False, report=lines.append)
    assert len(data.clips) == len(clips) - 5
    assert lines == ["left out: 5 clips, as it is not known whose voice they are"]


@pytest.mark.parametrize("kept", [["female"], []])
def test_one_kind_of_voice_is_refused(clips: pd.DataFrame, kept: list[str]) -> None:
    some = clips.copy()
    some["gender"] = some["gender"].where(some["gender"].isin(kept))
    with pytest.raises(ValueError, match=r"clips are of (female|no known) voices: target"):
        experiment.prepare(CLASSIC, some, target="gender", progress=False)


def test_an_unknown_target_is_refused(clips: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match=r"unknown target 'age': use one of emotion, gender"):
        experiment.prepare(CLASSIC, clips, target="age", progress=False)


def test_a_bundle_of_emotions_is_trained_on_emotions(
    gender: experiment.Dataset, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="target is 'gender': a bundle answers 'emotion'"):
        experiment.train(LOGISTIC, gender, folder=tmp_path / "model", evaluations=[])


def test_the_command_asks_for_both(sample_ravdess: Path, capsys: pytest.CaptureFixture) -> None:
    command = ["evaluate", "svm-classic", str(sample_ravdess), "--corpus", "ravdess"]
    done = cli.main(
        [*command, "--protocol", "speaker", "--target", "emotion+gender", "--jobs", "1"]
    )
    assert done == 0
    said = capsys.readouterr().out
    assert "16 classes" in said
    assert "\nemotion " in said
    assert "\ngender " in said
    assert "student-t" in said  # of twelve voices


def test_a_bundle_learns_to_tell_voices(bundle: bundles.Bundle, clips: pd.DataFrame) -> None:
    before = bundles.load("ravdess-svm")
    for path, truth in zip(clips["path"].iloc[::90], clips["gender"].iloc[::90], strict=True):
        said, plain = bundle.predict_file(path), before.predict_file(path)
        assert said.probabilities == plain.probabilities
        assert said.gender in (truth, bundles.UNKNOWN)
        assert sum(said.gender_probabilities.values()) == pytest.approx(1)
    assert bundle.info["corpus"] == before.info["corpus"]
    unchanged = ["model.onnx", "model-enrolled.onnx", "predictions.csv"]
    for name in unchanged:
        assert bundle.info["files"][name] == before.info["files"][name]
    assert bundle.metrics["protocols"] == before.metrics["protocols"]


def test_what_was_measured_is_not_measured_again(
    bundle: bundles.Bundle, clips: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = []
    extract = features.extract

    def spy(y, **settings):
        measured.append(len(y))
        return extract(y, **settings)

    monkeypatch.setattr(features, "extract", spy)
    assert bundle.predict_file(clips["path"].iloc[0]).gender
    assert len(measured) == 1


def test_voices_are_told_whoever_is_enrolled(bundle: bundles.Bundle, clips: pd.DataFrame) -> None:
    own = clips[clips["speaker"] == clips["speaker"].iloc[0]]["path"]
    known = bundle.enrol(own.head(8))
    path = own.iloc[9]
    assert known.predict_file(path).gender_probabilities == pytest.approx(
        bundle.predict_file(path).gender_probabilities
    )


def test_every_figure_on_voices_follows_from_their_predictions(bundle: bundles.Bundle) -> None:
    told = bundle.metrics["gender"]
    again = experiment.gender_figures(pd.read_csv(bundle.folder / "gender-predictions.csv"))
    assert {name: told[name] for name in again} == json.loads(json.dumps(again))
    assert told["threshold"] == bundle.info["gender"]["threshold"]
    assert list(told["conditions"]) == ["as recorded", "pink"]
    assert list(told["elsewhere"]["conditions"]) == ["as recorded", "pink"]
    assert told["elsewhere"]["truth"] == "most clips of the speaker"
    assert set(told["by_emotion"]) == set(bundle.labels)


def test_a_fold_is_judged_by_the_threshold_of_the_others() -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(0.5, 1, size=3000)  # right as often as it says: only the surest do
    female = rng.random(3000) < p
    rows = pd.DataFrame({"truth": np.where(female, "female", "male"), "p_female": p})
    rows = rows.assign(
        p_male=1 - p,
        clip_id=[f"c{k}" for k in range(3000)],
        fold=np.repeat(["fold 1", "fold 2"], 1500),
        **dict.fromkeys(["speaker", "emotion"], "x-1"),
        gender="female",
        protocol="speaker",
        condition="as recorded",
    )
    told = experiment.gender_figures(rows)
    (part,) = told["conditions"].values()
    assert 0.5 < told["threshold"] < 1
    assert part["accuracy_sure"] > 0.98 > part["accuracy"]
    assert part["coverage"] < 0.1
    own = rows["fold"].eq("fold 2")
    alike = rows.assign(truth=rows["truth"].mask(own, "female"))  # fold 2 is always right now
    parts = [
        experiment.gender_figures(alike.assign(emotion=rows["fold"]))["by_emotion"][name]
        for name in ("fold 1", "fold 2")
    ]
    assert parts[0]["coverage"] > 0.99
    assert parts[1]["coverage"] < 0.1


@pytest.mark.parametrize(("threshold", "unknown"), [(0.0, False), (1.0, True)])
def test_a_voice_that_is_not_sure_enough_is_unknown(
    threshold: float,
    unknown: bool,
    bundle: bundles.Bundle,
    clips: pd.DataFrame,
    capsys: pytest.CaptureFixture,
) -> None:
    index = bundle.folder / "bundle.json"
    info = json.loads(index.read_text("utf-8"))
    info["gender"]["threshold"] = threshold
    index.write_text(json.dumps(info), "utf-8")
    path = clips["path"].iloc[0]
    said = bundles.load(bundle.folder).predict_file(path)
    assert (said.gender == bundles.UNKNOWN) == unknown
    assert sum(said.gender_probabilities.values()) == pytest.approx(1)
    assert cli.main(["predict", str(path), "--model", str(bundle.folder)]) == 0
    assert ("\n  voice: unknown (" in capsys.readouterr().out) == unknown


def test_a_second_training_replaces_the_first(
    bundle: bundles.Bundle, gender: experiment.Dataset
) -> None:
    experiment.train_gender(bundle.folder, LOGISTIC, gender)
    card = (bundle.folder / "README.md").read_text("utf-8")
    assert card.count("## Female or male") == 1


def test_a_bundle_without_it_says_so(clips: pd.DataFrame) -> None:
    plain = bundles.load("ravdess-svm-classic")
    if plain.gender_member is not None:
        pytest.skip("every bundle that comes with the project tells voices apart")
    said = plain.predict_file(clips["path"].iloc[0])
    assert (said.gender, said.gender_probabilities) == (None, {})


def test_predict_gains_a_line_and_json_two_names(
    bundle: bundles.Bundle, clips: pd.DataFrame, capsys: pytest.CaptureFixture
) -> None:
    command = ["predict", str(clips["path"].iloc[0]), "--model", str(bundle.folder)]
    assert cli.main(command) == 0
    assert "\n  voice: " in capsys.readouterr().out
    assert cli.main([*command, "--json"]) == 0
    (said,) = json.loads(capsys.readouterr().out)
    assert said["gender"] in (clips["gender"].iloc[0], "unknown")
    assert set(said["gender_probabilities"]) == {"female", "male"}


def test_another_rate_is_refused(gender: experiment.Dataset, tmp_path: Path) -> None:
    folder = shutil.copytree(bundles.find("ravdess-svm"), tmp_path / "model")
    with pytest.raises(ValueError, match=r"'mfcc-net' hears at 44100 Hz and model 'ravdess-svm'"):
        experiment.train_gender(folder, recipe("mfcc-net"), gender)


def test_the_command_puts_it_into_a_bundle(
    sample_ravdess: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder = shutil.copytree(bundles.find("ravdess-svm"), tmp_path / "model")
    command = ["train-gender", str(folder), str(sample_ravdess), "--corpus", "ravdess"]
    assert cli.main([*command, "--recipe", "logistic", "--jobs", "1"]) == 0
    assert "as recorded: " in capsys.readouterr().out
    assert bundles.load(folder).gender_member is not None


def test_real_voices_are_told_apart(ravdess_root: Path, tmp_path: Path) -> None:
    clips = corpora.scan(ravdess_root, corpus="ravdess").clips
    some = clips[clips["statement"] == clips["statement"].iloc[0]].iloc[::5].reset_index(drop=True)
    data = experiment.prepare(LOGISTIC, some, target="gender", progress=False)
    told = experiment.evaluate_recipe(LOGISTIC, data, protocol="speaker", store=tmp_path)
    assert told.metrics["accuracy"] > 0.9
