"""EmotionRecognizer: a scikit-learn estimator in every way that users rely on."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import SVC

from sercourse import EmotionRecognizer, bundles, classical
from sercourse.cli import main
from sercourse.recipes import Recipe, recipe

THREE = ["sad", "neutral", "happy"]


@pytest.fixture(scope="module")
def clips(ravdess_clips: pd.DataFrame) -> pd.DataFrame:
    return ravdess_clips


@pytest.fixture(scope="module")
def few(clips: pd.DataFrame) -> pd.DataFrame:
    """Six voices and three emotions: 60 clips."""
    some = clips["speaker"].isin(sorted(clips["speaker"].unique())[:6])
    return clips[some & clips["emotion"].isin(THREE)].reset_index(drop=True)


@pytest.fixture
def recognizer() -> EmotionRecognizer:
    return EmotionRecognizer("svm-classic", emotions=THREE)


@pytest.fixture(scope="module")
def fitted(clips: pd.DataFrame) -> EmotionRecognizer:
    return EmotionRecognizer("svm-classic", emotions=THREE, balance=True).fit(clips)


def test_clone_and_parameters_are_those_of_scikit_learn(recognizer: EmotionRecognizer) -> None:
    recognizer.set_params(balance=True, model=SVC(C=7), recipe=None)
    copy = clone(recognizer)
    assert copy.get_params()["model__C"] == 7
    assert copy.emotions == THREE
    assert copy.set_params(model__C=2).model.C == 2
    assert recognizer.model.C == 7
    assert is_classifier(recognizer)
    assert not hasattr(copy, "classes_")


def test_other_emotions_are_left_out_and_counted(clips: pd.DataFrame, few: pd.DataFrame) -> None:
    lines: list[str] = []
    recognizer = EmotionRecognizer("svm-classic", emotions=["joy", "ps", "sad"])
    recognizer.set_params(report=lines.append).fit(clips)
    others = ~clips["emotion"].isin(["happy", "surprised", "sad"])
    assert recognizer.left_out_ == clips["emotion"][others].value_counts().to_dict()
    assert f"left out: {others.sum()} clips of other emotions" in lines[0]
    assert recognizer.classes_.tolist() == ["happy", "sad", "surprised"]
    # A table with clips of unknown emotions scores as one without.
    known = few[few["emotion"] != "neutral"]
    assert recognizer.score(few) == recognizer.score(known)


def test_labels_of_ones_own_from_fit_to_predict(
    few: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines: list[str] = []
    own = few["emotion"].map({"sad": "Höflich", "neutral": "θυμός", "happy": "joy"})
    recognizer = EmotionRecognizer("svm-classic", report=lines.append).fit(few, own)
    assert recognizer.classes_.tolist() == ["happy", "höflich", "θυμός"]
    assert lines[0] == "labels beside the nine emotions: höflich, θυμός"
    assert recognizer.score(few, own) > 0.8
    recognizer.evaluate("speaker")
    folder = recognizer.save(tmp_path / "own")
    assert bundles.load(folder).labels == ("happy", "höflich", "θυμός")
    path = few["path"][0]
    only = ("--emotions", "HÖFLICH,θυμός")
    assert main(["predict", path, "--model", str(folder), "--json", *only]) == 0
    (said,) = json.loads(capsys.readouterr().out)
    assert list(said["probabilities"]) == ["höflich", "θυμός"]


def test_segments_of_one_recording_share_a_group(few: pd.DataFrame) -> None:
    table = pd.concat([few[["path", "emotion"]].assign(start=k, end=k + 1.5) for k in (0, 0.5)])
    recognizer = EmotionRecognizer("svm-classic").fit(table.reset_index(drop=True))
    groups = recognizer.data_.clips.groupby("group")["path"]
    assert (groups.nunique() == 1).all()
    assert (groups.size() == 2).all()
    assert recognizer.data_.clips["content"].is_unique


def test_balance_and_samples_by_class(fitted: EmotionRecognizer, clips: pd.DataFrame) -> None:
    counts, table = clips["emotion"].value_counts(), fitted.samples_by_class()
    assert table.index.tolist() == ["neutral", "happy", "sad"]  # the one order of emotions
    assert table["given"].tolist() == [counts[name] for name in table.index]
    assert set(table["used"]) == {counts["neutral"]}


def test_rare_emotions_weigh_more_where_that_is_asked_for(few: pd.DataFrame) -> None:
    kept = (few["emotion"] != "sad") | (few.groupby("emotion").cumcount() < 5)
    rare = few[kept].reset_index(drop=True)
    plain, weighted = (
        EmotionRecognizer("svm-classic", balance=balance).fit(rare).predict_proba(few)["sad"]
        for balance in (False, "weights")
    )
    assert weighted.mean() > plain.mean()


def test_confusion_matrix_has_labels_and_percent(
    fitted: EmotionRecognizer, clips: pd.DataFrame
) -> None:
    counts = fitted.confusion_matrix(clips)
    share = fitted.confusion_matrix(clips, percentage=True)
    assert counts.index.name == "truth"
    assert counts.columns.tolist() == counts.index.tolist() == fitted.classes_.tolist()
    given = clips["emotion"].value_counts()
    assert counts.sum(axis=1).tolist() == [given[name] for name in counts.index]
    assert np.allclose(share.sum(axis=1), 100)
    assert np.trace(counts) / counts.to_numpy().sum() == pytest.approx(fitted.score(clips))


def test_paths_and_labels_do_what_a_table_does(few: pd.DataFrame) -> None:
    bare = few[["path", "emotion"]]
    by_table = EmotionRecognizer("svm-classic").fit(bare)
    by_path = EmotionRecognizer("svm-classic").fit(list(few["path"]), list(few["emotion"]))
    left = by_table.predict_proba(bare).to_numpy()
    np.testing.assert_array_equal(left, by_path.predict_proba(list(few["path"])).to_numpy())
    assert by_path.score(list(few["path"]), few["emotion"]) == by_table.score(bare)


def test_a_recording_under_two_names_stays_on_one_side(few: pd.DataFrame, tmp_path: Path) -> None:
    some = few.groupby("emotion").head(6)
    copies = [shutil.copy(path, tmp_path / f"{k}.ogg") for k, path in enumerate(some["path"])]
    recognizer = EmotionRecognizer("svm-classic")
    recognizer.fit([*some["path"], *copies], [*some["emotion"], *some["emotion"]])
    groups = recognizer.data_.clips["group"]
    assert groups.nunique() == len(some)
    assert (groups.value_counts() == 2).all()


def test_labels_beside_a_table_come_first(few: pd.DataFrame) -> None:
    swapped = few["emotion"].map({"sad": "happy", "happy": "sad", "neutral": "neutral"})
    recognizer = EmotionRecognizer("svm-classic").fit(few, swapped)
    assert recognizer.score(few, swapped) == recognizer.train_score() > 0.9
    assert recognizer.score(few) < 0.5


def test_probabilities_are_a_table(fitted: EmotionRecognizer, few: pd.DataFrame) -> None:
    table = fitted.predict_proba(few)
    assert table.columns.tolist() == fitted.classes_.tolist()
    assert table.index.tolist() == few["clip_id"].tolist()
    assert np.allclose(table.sum(axis=1), 1)
    assert (fitted.predict(few) == table.idxmax(axis=1)).all()
    for one in (few["path"][0], few["path"][:1], [few["path"][0]]):
        np.testing.assert_allclose(fitted.predict_proba(one), table[:1])


def test_cross_val_score_keeps_voices_apart(few: pd.DataFrame) -> None:
    recognizer = EmotionRecognizer("svm-classic")
    scores = cross_val_score(
        recognizer, few, few["emotion"], groups=few["speaker"], cv=GroupKFold(3)
    )
    assert len(scores) == 3
    assert scores.mean() > 0.5  # chance is 0.4


def test_cross_validation_computes_no_feature_twice(
    few: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sercourse import features

    recognizer = EmotionRecognizer("svm-classic").fit(few)
    monkeypatch.setattr(features, "extract", lambda *_, **__: pytest.fail("computed again"))
    assert recognizer.fit(few.iloc[::2]).score(few.iloc[1::2]) > 0.7  # chance is 0.4


def test_grid_search_chooses_among_recipes_and_settings(few: pd.DataFrame) -> None:
    grid = [
        {"recipe": ["svm-classic"]},
        {"model": [SVC()], "model__C": [1e-4, 3], "features": ["statistics"]},
    ]
    search = GridSearchCV(EmotionRecognizer(), grid, cv=GroupKFold(2), error_score="raise")
    search.fit(few, few["emotion"], groups=few["speaker"])
    assert search.best_score_ == max(search.cv_results_["mean_test_score"])
    assert search.best_params_.get("model__C") != 1e-4
    assert set(search.predict(few)) <= set(THREE)


def test_any_estimator_learns_from_any_vectors(few: pd.DataFrame, tmp_path: Path) -> None:
    recognizer = EmotionRecognizer(model=SVC(C=5), features="librosa:mfcc+chroma").fit(few)
    assert recognizer.recipe_.name == "svc"
    folder = recognizer.save(tmp_path / "svc")
    info = json.loads((folder / bundles.INDEX).read_text())
    assert info["members"][0]["recipe"]["features"]["name"] == "librosa:mfcc+chroma"
    assert "C=5" in info["members"][0]["recipe"]["model"]
    said = [bundles.load(folder).predict_file(path).probabilities for path in few["path"]]
    assert (
        np.abs(pd.DataFrame(said).to_numpy() - recognizer.predict_proba(few)).max(axis=None) < 1e-4
    )


@pytest.mark.parametrize("balance", [False, "weights"])
def test_the_zoo_keeps_the_best_on_inner_splits(
    balance: bool | str, few: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoo = {name: classical.CLASSIFIERS[name] for name in ("svc", "decision-tree", "knn")}
    monkeypatch.setattr(classical, "CLASSIFIERS", zoo)
    told: dict = {"features": "statistics", "emotions": THREE, "balance": balance}
    recognizer = EmotionRecognizer(**told).fit(few)
    best = recognizer.search_.iloc[0]
    assert best["uar"] == recognizer.search_["uar"].max()
    assert set(recognizer.search_["estimator"]) == set(zoo) - ({"knn"} if balance else set())
    assert recognizer.recipe_.name == f"toolkit-{best['estimator']}"


def test_saved_model_says_what_was_measured_and_predicts_alike(
    few: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recognizer = EmotionRecognizer("svm-classic").fit(few)
    measured = recognizer.evaluate("speaker")
    folder = recognizer.save(tmp_path / "mine", licence="Terms: mine.")
    card = (folder / "README.md").read_text()
    assert f"{measured['accuracy']:.1%}".removesuffix("%") in card
    assert "Terms: mine." in card
    assert not list(folder.glob("*.pkl"))

    path = str(few["path"][3])
    assert main(["predict", path, "--model", str(folder), "--json"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)
    expected = recognizer.predict_proba([path]).iloc[0]
    assert answer["probabilities"] == pytest.approx(expected.to_dict(), abs=1e-4)


def test_a_protocol_that_is_measured_again_is_saved_once(few: pd.DataFrame, tmp_path: Path) -> None:
    recognizer = EmotionRecognizer("svm-classic").fit(few)
    for protocol in ("speaker", "recording", "speaker"):
        recognizer.evaluate(protocol)
    folder = recognizer.save(tmp_path / "mine")
    protocols = json.loads((folder / "metrics.json").read_text())["protocols"]
    assert [each["protocol"] for each in protocols] == ["recording", "speaker"]
    assert len(pd.read_csv(folder / "predictions.csv")) == 2 * len(few)


def test_the_same_training_gives_the_same_bytes(few: pd.DataFrame, tmp_path: Path) -> None:
    one, other = (
        EmotionRecognizer("svm-classic", emotions=THREE).fit(few).save(tmp_path / folder / "mine")
        for folder in ("one", "other")
    )
    names = sorted(path.name for path in one.iterdir())
    assert {"bundle.json", "model.onnx"} <= set(names)
    assert names == sorted(path.name for path in other.iterdir())
    for name in names:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


def test_unreadable_clips_are_rejects_in_training_and_errors_in_prediction(
    few: pd.DataFrame, tmp_path: Path, recognizer: EmotionRecognizer
) -> None:
    broken = tmp_path / "broken_sad.wav"
    broken.write_bytes(b"")
    paths = [*few["path"], str(broken), str(tmp_path / "absent_sad.wav")]
    recognizer.fit(paths, [*few["emotion"], "sad", "sad"])
    assert recognizer.rejects_ == paths[-2:]
    with pytest.raises(ValueError, match=r"broken_sad\.wav: empty file"):
        recognizer.predict([few["path"][0], str(broken)])


@pytest.mark.parametrize("settings", [{"recipe": "svm-classic"}, {"model": SVC()}])
def test_two_speakers_are_enough(settings: dict, few: pd.DataFrame) -> None:
    two = few[few["speaker"].isin(sorted(few["speaker"].unique())[:2])].reset_index(drop=True)
    lines: list[str] = []
    recognizer = EmotionRecognizer(features="statistics", report=lines.append, **settings).fit(two)
    assert recognizer.score(two) > 0.5
    for protocol in ("speaker", "speaker+norm", "random"):
        told = recognizer.evaluate(protocol, seeds=[0])
        assert told["inner_validation"] == "recordings"
    assert any("has one speaker on the training side" in line for line in lines)


def test_an_ensemble_is_calibrated_once_it_is_measured(
    few: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = Recipe("pair", "two models", members=(recipe("svm-classic"), recipe("logistic")))
    monkeypatch.setattr("sercourse.recipes.recipe", lambda name: pair)
    recognizer = EmotionRecognizer("pair").fit(few)
    plain = recognizer.predict_proba(few[:1])
    recognizer.evaluate("speaker")
    calibrated = recognizer.predict_proba(few[:1])
    assert np.abs(calibrated.to_numpy() - plain.to_numpy()).max() > 1e-3
    assert calibrated.iloc[0].idxmax() == plain.iloc[0].idxmax()


def test_clips_drawn_with_replacement_are_fine(few: pd.DataFrame) -> None:
    drawn = few.iloc[[*range(len(few)), 0, 0, 1]]
    recognizer = EmotionRecognizer("svm-classic").fit(drawn)
    assert len(recognizer.data_.clips) == len(drawn)


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"recipe": "svm", "model": SVC()}, "both a recipe and a model"),
        ({"recipe": "svn"}, "unknown recipe 'svn'"),
        ({"recipe": "svm-classic", "balance": "more"}, "balance is 'more': use one of"),
        ({"recipe": "svm-classic", "emotions": ["sad", "bored"]}, "no clip of bored"),
        ({"recipe": "svm-classic", "emotions": ["sad"]}, "at least two"),
        ({"recipe": "svm-classic", "emotions": ["sad", "glad"]}, "no clip of glad"),
        ({"model": SVC(), "features": "log-mel"}, "array of shape"),
    ],
)
def test_what_cannot_be_is_one_sentence(settings: dict, wanted: str, few: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match=wanted) as caught:
        EmotionRecognizer(**settings).fit(few)
    assert "\n" not in str(caught.value)


def test_what_was_never_fitted_says_so(few: pd.DataFrame) -> None:
    recognizer = EmotionRecognizer("svm-classic")
    asked = [recognizer.train_score, recognizer.samples_by_class]
    for ask in (*asked, lambda: recognizer.predict(few), lambda: recognizer.score(few)):
        with pytest.raises(NotFittedError, match="is not fitted yet"):
            ask()


def test_no_clip_is_one_sentence(fitted: EmotionRecognizer, few: pd.DataFrame) -> None:
    for empty in ([], few[:0]):
        for ask in (fitted.predict, fitted.score, fitted.fit):
            with pytest.raises(ValueError, match="no clip is given"):
                ask(empty)
    with pytest.raises(ValueError, match=r"^0 emotion\(s\) are left"):
        clone(fitted).set_params(emotions=None).fit(["/none/a.wav", "/none/b.wav"], ["sad", "joy"])


def test_a_model_without_weights_is_not_told_to_want_clips(few: pd.DataFrame) -> None:
    recognizer = EmotionRecognizer(model=GaussianNB(), features="statistics", balance="weights")
    with pytest.raises(ValueError, match=r"^GaussianNB takes no weights"):
        recognizer.fit(few)


def test_labels_are_asked_for(few: pd.DataFrame, fitted: EmotionRecognizer) -> None:
    recognizer = EmotionRecognizer("svm-classic")
    with pytest.raises(ValueError, match="give a label for each path"):
        recognizer.fit(list(few["path"]))
    with pytest.raises(ValueError, match="60 clips and 2 labels"):
        recognizer.fit(few, ["sad", "happy"])
    with pytest.raises(ValueError, match="no column 'path'"):
        recognizer.fit(few.drop(columns="path"))
    with pytest.raises(ValueError, match="none of the 60 clips is neutral or happy or sad"):
        fitted.score(few, ["angry"] * 60)


def test_one_clip_in_a_class_is_refused(few: pd.DataFrame) -> None:
    lonely = pd.concat([few[few["emotion"] != "sad"], few[few["emotion"] == "sad"].head(1)])
    with pytest.raises(ValueError, match="emotion 'sad' has 1 speaker"):
        EmotionRecognizer("svm-classic").fit(lonely)


FIVE_LINES = """
from sercourse import EmotionRecognizer, corpora

clips = corpora.scan("my-clips", corpus="custom").clips
recognizer = EmotionRecognizer("svm-classic", emotions=["happy", "sad"], balance=True).fit(clips)
print(recognizer.evaluate("random")["accuracy"])
print(recognizer.predict_proba(["my-clips/" + {name!r}]))
print((recognizer.save("build/my-model") / "README.md").read_text())
"""


def test_from_a_folder_of_clips_to_an_explained_model(clips: pd.DataFrame, tmp_path: Path) -> None:
    folder = tmp_path / "my-clips"
    folder.mkdir()
    for k, clip in clips[clips["emotion"].isin(["happy", "sad", "angry"])].iterrows():
        shutil.copy(clip["path"], folder / f"take{k}_{clip['emotion']}.ogg")
    name = sorted(path.name for path in folder.glob("*_sad.ogg"))[0]
    done = subprocess.run(
        [sys.executable, "-c", FIVE_LINES.format(name=name)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "It tells apart happy, sad." in done.stdout
    assert bundles.load(tmp_path / "build" / "my-model").labels == ("happy", "sad")
