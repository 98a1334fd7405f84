"""Several corpora as one: unique names, groups across folders, and sides that share nothing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile

from sercourse import bundles, corpora, evaluate, experiment, recipes
from sercourse.classical import PipelineLearner
from sercourse.experiment.evaluation import inner_groups


@pytest.fixture
def own_clips(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    folder = tmp_path / "own"
    folder.mkdir()
    for k, emotion in enumerate(["happy", "sad", "angry", "fear"]):
        soundfile.write(folder / f"me{k}_{emotion}.wav", rng.uniform(-0.3, 0.3, 16_000), 16_000)
    return folder


@pytest.fixture
def aesdd(aesdd_clips: pd.DataFrame) -> pd.DataFrame:
    return aesdd_clips


def test_names_stay_unique_and_nothing_is_lost(own_clips: Path, aesdd: pd.DataFrame) -> None:
    mine = corpora.scan(own_clips, corpus="custom").clips
    both = corpora.combine([mine, aesdd])
    assert len(both) == len(mine) + len(aesdd)
    assert both["clip_id"].is_unique
    assert both["clip_id"].is_monotonic_increasing
    assert both["clip_id"].str.startswith("custom/me").sum() == len(mine)
    assert (both.dtypes == aesdd.dtypes).all()
    assert both["split"].isna().all()


def test_identical_content_shares_a_group_across_folders(
    own_clips: Path, aesdd: pd.DataFrame
) -> None:
    stolen = aesdd.iloc[0]
    shutil.copy(stolen["path"], own_clips / f"copy_{stolen['emotion']}.ogg")
    both = corpora.combine([corpora.scan(own_clips, corpus="custom").clips, aesdd])
    twins = both[both["content"] == stolen["content"]]
    assert len(twins) == 2
    assert twins["group"].nunique() == 1
    with pytest.raises(ValueError, match="same recording is in training and in test"):
        corpora.combine([aesdd], test=[corpora.scan(own_clips, corpus="custom").clips])


def test_segments_share_a_group_with_their_recording_in_another_corpus(
    own_clips: Path, aesdd: pd.DataFrame
) -> None:
    stolen = aesdd.iloc[0]
    shutil.copy(stolen["path"], own_clips / "talk.ogg")
    rows = (
        "path,start,end,emotion\ntalk.ogg,0,0.5,sad\ntalk.ogg,0.5,1,happy\nme0_happy.wav,,,happy\n"
    )
    (own_clips / "t.csv").write_text(rows)
    segments = corpora.scan(own_clips, corpus=None, csv=own_clips / "t.csv").clips
    both = corpora.combine([aesdd, segments])
    joined = both[both["group"] == both.set_index("clip_id")["group"]["aesdd/" + stolen["clip_id"]]]
    assert len(joined) == 3
    assert both["start"].notna().sum() == 2
    with pytest.raises(ValueError, match="same recording is in training and in test"):
        corpora.combine([aesdd], test=[segments])


def test_the_same_folder_twice_is_refused(own_clips: Path) -> None:
    mine = corpora.scan(own_clips, corpus="custom").clips
    with pytest.raises(ValueError, match="two tables have a clip 'custom/me0_happy'"):
        corpora.combine([mine, mine])
    with pytest.raises(ValueError, match="no clip table"):
        corpora.combine([])


def test_training_on_one_corpus_and_testing_on_another(
    aesdd: pd.DataFrame, ravdess_clips: pd.DataFrame, tmp_path: Path
) -> None:
    clips = corpora.combine([ravdess_clips], test=[aesdd])
    recipe = recipes.from_zoo("svc", {"model__C": 1}, feature_set="statistics")
    emotions = ["happy", "sad", "angry"]
    data = experiment.prepare(recipe, clips, emotions=emotions, progress=False)
    assert data.corpus == "aesdd+ravdess"
    found = experiment.evaluate_recipe(recipe, data, protocol="given", store=tmp_path)
    assert found.predictions["clip_id"].str.startswith("aesdd/").all()
    assert len(found.predictions) == aesdd["emotion"].isin(emotions).sum()
    # All test voices are new: so are those that calibration looks at.
    assert set(inner_groups(data, "given", data.everything.train)) == set(data.speakers)


KNN = recipes.from_zoo("knn", {}, feature_set="statistics")
LOGISTIC = recipes.recipe("logistic")
PAIR = recipes.Recipe("pair", "two models", members=(LOGISTIC, recipes.recipe("svm-classic")))
SHARED = ["happy", "sad", "angry", "fearful", "disgust"]


@pytest.fixture
def both(aesdd: pd.DataFrame, ravdess_clips: pd.DataFrame) -> pd.DataFrame:
    return corpora.combine([ravdess_clips, aesdd])


@pytest.mark.parametrize(
    ("recipe", "protocol"),
    [(LOGISTIC, "corpus"), (LOGISTIC, "corpus+norm"), (LOGISTIC, "corpus+enrol"), (PAIR, "corpus")],
)
def test_a_corpus_is_left_out_and_asked_for_shared_emotions_only(
    recipe: recipes.Recipe, protocol: str, both: pd.DataFrame, tmp_path: Path
) -> None:
    data = experiment.prepare(recipe, both, progress=False)
    found = experiment.evaluate_recipe(recipe, data, protocol=protocol, store=tmp_path)
    told, rows = found.metrics, found.predictions
    assert [(fold["fold"], fold["trained_on"]) for fold in told["folds"]] == [
        ("aesdd", ["ravdess"]),
        ("ravdess", ["aesdd"]),
    ]
    assert all(fold["shared"] == SHARED for fold in told["folds"])
    assert set(rows["truth"]) == set(SHARED)
    assert (rows[["p_neutral", "p_calm", "p_surprised"]] == 0).all(axis=None)
    np.testing.assert_allclose(rows.filter(regex="^p_").sum(axis=1), 1, atol=1e-4)
    assert told["inner_validation"] == "speakers"
    assert told["corpora"] == both["corpus"].value_counts().to_dict()
    said = rows.filter(regex="^p_").idxmax(axis=1).str.removeprefix("p_")
    right = said.eq(rows["truth"]).groupby(rows["corpus"]).mean()
    for name, part in told["by_corpus"].items():
        assert part["accuracy"] == pytest.approx(right[name])
        assert part["accuracy_interval"][0] < part["accuracy"] < part["accuracy_interval"][1]
    assert ("without_enrolment" in told) == (protocol == "corpus+enrol")


def test_corpora_that_are_to_be_tested_are_never_learnt_from(
    aesdd: pd.DataFrame, ravdess_clips: pd.DataFrame
) -> None:
    clips = corpora.combine([ravdess_clips], test=[aesdd])
    data = experiment.prepare(LOGISTIC, clips, progress=False)
    (fold,) = experiment.make_folds(data, protocol="corpus")
    assert set(data.clips["corpus"].iloc[fold.train]) == {"ravdess"}
    assert set(data.clips["corpus"].iloc[fold.test]) == {"aesdd"}


def test_all_corpora_weigh_the_same(
    both: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = experiment.prepare(LOGISTIC, both, progress=False)
    (fold, *_) = experiment.make_folds(data, protocol="speaker")
    names = data.clips["corpus"].iloc[fold.train]
    fit, seen = PipelineLearner.fit, []

    def spy(learner: Any, examples: Any, **told: Any) -> Any:
        seen.append(examples.weights)
        return fit(learner, examples, **told)

    with monkeypatch.context() as patched:
        patched.setattr(PipelineLearner, "fit", spy)
        experiment.fit_fold(LOGISTIC, data, fold, protocol="speaker")
    weights = pd.Series(seen[0])
    totals = weights.groupby(names.to_numpy()).sum()
    assert totals["aesdd"] == pytest.approx(totals["ravdess"])
    assert weights.mean() == pytest.approx(1)
    for recipe, weighing in ((LOGISTIC, ["logistic"]), (KNN, [])):
        lines: list[str] = []
        measured = experiment.prepare(recipe, both, progress=False)
        told = experiment.evaluate_recipe(
            recipe,
            measured,
            protocol="speaker",
            only=["fold 1"],
            store=tmp_path,
            report=lines.append,
        ).metrics
        assert told["corpora_weighted"] == weighing
        assert any("takes no weights" in line for line in lines) == (not weighing)


def test_a_model_of_two_corpora_says_what_it_was_trained_on(
    both: pd.DataFrame, tmp_path: Path
) -> None:
    data = experiment.prepare(LOGISTIC, both, progress=False)
    found = experiment.evaluate_recipe(LOGISTIC, data, protocol="corpus", store=tmp_path)
    made = experiment.train(LOGISTIC, data, folder=tmp_path / "two", evaluations=[found])
    info = bundles.load(made).info
    assert info["corpus"]["name"] == "aesdd+ravdess"
    assert info["corpus"]["parts"]["aesdd"]["labels"] == SHARED
    assert len(info["labels"]) == 8
    n_clips = int(both["corpus"].eq("aesdd").sum())
    card = " ".join((made / "README.md").read_text("utf-8").split())
    assert f"- aesdd: {n_clips} clips by 6 speakers, of happy, sad" in card
    assert "`corpus`, all, by corpus: aesdd" in card
    assert "aesdd, learnt from ravdess: happy, sad, angry, fearful, disgust;" in card
    told = pd.read_csv(made / "predictions.csv")
    again = evaluate.summarize(told, emotions=data.labels)
    assert again["by_corpus"] == found.metrics["by_corpus"]


def test_a_corpus_without_a_shared_emotion_is_refused(own_clips: Path, aesdd: pd.DataFrame) -> None:
    for path in own_clips.glob("*.wav"):
        path.rename(
            path.with_name(path.stem + ("_bored" if "0" in path.stem else "_calm") + ".wav")
        )
    mine = corpora.scan(own_clips, corpus="custom").clips
    with pytest.raises(ValueError, match=r"'aesdd' shows happy, .* and the others calm, bored"):
        corpora.combine([mine, aesdd])
