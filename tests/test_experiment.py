"""Experiments on the sample corpus: protocols, storing and resuming folds, trained bundles."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sercourse import bundles, corpora, evaluate, experiment, features, splits
from sercourse.experiment.card import model_card
from sercourse.experiment.evaluation import calibrated, inner_groups
from sercourse.recipes import Recipe, from_zoo, recipe

CLASSIC = recipe("svm-classic")


@pytest.fixture(scope="module")
def clips(ravdess_clips: pd.DataFrame) -> pd.DataFrame:
    return ravdess_clips


@pytest.fixture(scope="module")
def data(clips: pd.DataFrame) -> experiment.Dataset:
    return experiment.prepare(CLASSIC, clips, progress=False)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the folds are kept of tests that do not ask whether they are."""
    return tmp_path_factory.mktemp("store")


def test_the_sample_teaches_what_real_speech_does(data: experiment.Dataset, store: Path) -> None:
    accuracy = {
        protocol: experiment.evaluate_recipe(CLASSIC, data, protocol=protocol, store=store).metrics[
            "accuracy"
        ]
        for protocol in ("speaker", "random", "speaker+norm")
    }
    assert 0.45 < accuracy["speaker"] < 0.90
    assert accuracy["random"] > accuracy["speaker"] + 0.10
    assert accuracy["speaker+norm"] > accuracy["speaker"] + 0.05


def test_metrics_say_all_that_a_reader_needs(data: experiment.Dataset, store: Path) -> None:
    metrics = experiment.evaluate_recipe(CLASSIC, data, protocol="speaker", store=store).metrics
    assert metrics["recipe"] == "svm-classic"
    assert metrics["corpus"] == "ravdess"
    assert metrics["labels"] == "all"
    assert metrics["n_clips"] == 360
    low, high = metrics["accuracy_interval"]
    assert low < metrics["accuracy"] < high
    assert metrics["chance"] == pytest.approx(48 / 360)
    assert np.trace(metrics["confusion"]) == round(metrics["accuracy"] * 360)
    assert set(metrics["by_gender"]) == {"female", "male"}
    assert [len(fold["test_speakers"]) for fold in metrics["folds"]] == [2] * 6


def test_finished_folds_are_read_back(
    data: experiment.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = experiment.evaluate_recipe(CLASSIC, data, protocol="speaker", store=tmp_path)
    next(tmp_path.rglob("fold-3.json")).unlink()
    fitted = []
    fit = experiment.evaluation.Run.fit

    def count(run, fold):
        fitted.append(fold.name)
        return fit(run, fold)

    monkeypatch.setattr(experiment.evaluation.Run, "fit", count)
    again = experiment.evaluate_recipe(CLASSIC, data, protocol="speaker", store=tmp_path)
    assert fitted == ["fold 3"]
    pd.testing.assert_frame_equal(first.predictions, again.predictions)


@pytest.mark.parametrize("damage", ["cut", "other clips"])
def test_a_damaged_fold_is_computed_again(
    damage: str, data: experiment.Dataset, tmp_path: Path
) -> None:
    settings = {"protocol": "random", "seeds": [0], "store": tmp_path}
    first = experiment.evaluate_recipe(CLASSIC, data, **settings)
    stored = next(tmp_path.rglob("seed-0.json"))
    told = json.loads(stored.read_text())
    other = json.dumps(told | {"clip_id": told["clip_id"][::-1]})
    stored.write_text(other if damage == "other clips" else other[:100])
    again = experiment.evaluate_recipe(CLASSIC, data, **settings)
    pd.testing.assert_frame_equal(first.predictions, again.predictions)


def test_emotions_are_chosen_and_counted(clips: pd.DataFrame) -> None:
    data = experiment.prepare(CLASSIC, clips, emotions=["fear", "calm"], progress=False)
    assert data.emotions == ("calm", "fearful")
    assert set(data.clips["emotion"]) == {"calm", "fearful"}
    assert data.label_set == "calm+fearful"
    assert list(np.asarray(data.emotions)[data.y]) == list(data.clips["emotion"])


@pytest.mark.parametrize(
    ("emotions", "message"),
    [(["bored", "sad"], "no clip of bored: choose among neutral, calm"), (["sad"], "1 emotion")],
)
def test_a_choice_that_the_corpus_lacks_is_refused(
    clips: pd.DataFrame, emotions: list[str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        experiment.choose(clips, emotions=emotions)


def test_enrolment_clips_are_never_scored(data: experiment.Dataset, store: Path) -> None:
    predictions = experiment.evaluate_recipe(
        CLASSIC, data, protocol="speaker+enrol", store=store
    ).predictions
    assert len(predictions) == 5 * (360 - 12 * 8)
    for _, rows in predictions.groupby("draw"):
        assert rows["clip_id"].is_unique
        assert set(rows.groupby("speaker").size()) == {22}


@pytest.fixture(scope="module")
def two(clips: pd.DataFrame) -> pd.DataFrame:
    """Clips of two speakers, as TESS has."""
    kept = clips["speaker"].isin(["ravdess-01", "ravdess-02"]) & clips["emotion"].ne("neutral")
    return clips[kept].reset_index(drop=True)


@pytest.mark.parametrize("protocol", [p for p in splits.PROTOCOLS if "corpus" not in p])
def test_two_speakers_are_enough(protocol: str, two: pd.DataFrame, tmp_path: Path) -> None:
    half = two.assign(split=np.where(two["speaker"].eq("ravdess-01"), "train", "test"))
    data = experiment.prepare(CLASSIC, half, progress=False)
    lines: list[str] = []
    told = experiment.evaluate_recipe(
        CLASSIC, data, protocol=protocol, seeds=[0], store=tmp_path, report=lines.append
    ).metrics
    assert told["inner_validation"] == "recordings"
    by_speaker = protocol.startswith("speaker") or protocol == "given"
    assert any("has one speaker on the training side" in line for line in lines) == by_speaker


def test_a_model_of_two_speakers_says_how_it_was_validated(
    two: pd.DataFrame, tmp_path: Path
) -> None:
    data = experiment.prepare(CLASSIC, two, progress=False)
    told = experiment.evaluate_recipe(CLASSIC, data, protocol="speaker", store=tmp_path)
    made = experiment.train(
        CLASSIC, data, folder=tmp_path / "model", evaluations=[told], store=tmp_path
    )
    card = " ".join((made / "README.md").read_text("utf-8").split())
    assert "validated by recording" in card
    assert "Student's t" in card
    assert "selection" not in bundles.load(made).metrics  # of RAVDESS itself it is known


@pytest.mark.parametrize("rare", [1, 2])
def test_inner_splits_keep_speakers_apart_wherever_they_can(
    rare: int, data: experiment.Dataset
) -> None:
    bored = data.clips["speaker"].isin(["ravdess-01", "ravdess-02"][:rare])
    changed = data.clips.assign(emotion=data.clips["emotion"].mask(bored, "bored"))
    other = replace(data, clips=changed)
    every = data.everything.train
    kept = inner_groups(other, "speaker", every)
    assert (kept == data.speakers).all() == (rare == 2)
    assert len(set(kept)) == (12 if rare == 2 else 360)


def test_an_ensemble_is_calibrated_on_the_other_folds() -> None:
    rng = np.random.default_rng(0)
    n, labels = 600, ["happy", "sad", "angry"]
    p = rng.dirichlet(np.ones(3), size=n)
    truth = [labels[rng.choice(3, p=row)] for row in p]
    shy = evaluate.geometric_mean(p[np.newaxis], temperature=2.5)  # its answers are better
    told = pd.DataFrame(shy, columns=[f"p_{label}" for label in labels])
    told = told.assign(truth=truth, fold=np.repeat(["fold 1", "fold 2", "fold 3"], 200))
    told = told.assign(clip_id=[f"c{k}" for k in range(n)])
    found, temperatures = calibrated(told, labels=labels)
    P, before = found.filter(regex="^p_").to_numpy(), told.filter(regex="^p_").to_numpy()
    np.testing.assert_array_equal(P.argmax(axis=1), before.argmax(axis=1))
    right = np.asarray(labels)[P.argmax(axis=1)] == truth
    assert evaluate.calibration_error(P, right) < 0.5 * evaluate.calibration_error(before, right)
    assert all(0.3 < each < 0.55 for each in temperatures.values())
    # What a fold itself holds has no say in it, nor has the same clip in another fold.
    own = told["fold"].eq("fold 1")
    turned = told.assign(truth=told["truth"].mask(own, "happy"))
    again = pd.concat([turned, turned[own].assign(fold="fold 4")])
    assert calibrated(turned, labels=labels)[1]["fold 1"] == temperatures["fold 1"]
    assert calibrated(again, labels=labels)[1]["fold 1"] == temperatures["fold 1"]
    _, alone = calibrated(told[own], labels=labels)
    assert alone == {"fold 1": 1.0}


KNN = from_zoo("knn", {}, feature_set="statistics")  # which are measured already
PAIR = Recipe("pair", "two models", members=(CLASSIC, KNN), weights=(2, 1))


def test_a_saved_ensemble_is_calibrated_and_says_whom_it_normalises(
    data: experiment.Dataset, clips: pd.DataFrame, tmp_path: Path, store: Path
) -> None:
    both = experiment.prepare(PAIR, clips, progress=False)
    evaluations = [
        experiment.evaluate_recipe(PAIR, both, protocol=protocol, store=store)
        for protocol in ("speaker", "speaker+enrol")
    ]
    enrolled = evaluations[1].metrics
    assert enrolled["normalized"] == ["svm-classic"]
    assert enrolled["n_draws"] == splits.ENROLMENT_DRAWS
    assert enrolled["without_enrolment"]["accuracy"] > 0.4
    made = experiment.train(
        PAIR, both, folder=tmp_path / "pair", evaluations=evaluations, store=store
    )
    bundle = bundles.load(made)
    assert set(bundle.info["temperature"]) == {"model", "enrolled"}
    answers = [
        member.predict_proba(part.X[:9])
        for member, part in zip(bundle.members, both.parts, strict=True)
    ]
    temperature = bundle.info["temperature"]["model"]
    wanted = evaluate.geometric_mean(np.stack(answers), weights=(2, 1), temperature=temperature)
    alike = evaluate.geometric_mean(np.stack(answers), temperature=temperature)
    said = bundle.predict_proba(*(part.X[:9] for part in both.parts))
    np.testing.assert_allclose(said, wanted)
    assert np.abs(said - alike).max() > 0.001
    assert np.abs(said - evaluate.geometric_mean(np.stack(answers))).max() > 0.001
    assert "out of the features of `svm-classic` only" in (made / "README.md").read_text("utf-8")
    with pytest.raises(ValueError, match="2 members and 1 arrays"):
        bundle.predict_proba(both.parts[0].X[:9])
    told = pd.read_csv(made / "predictions.csv")
    again = evaluate.summarize(told[told["draw"].notna()], emotions=both.labels)
    assert again["ece"] == pytest.approx(enrolled["ece"])


@pytest.mark.parametrize("of", ["an ensemble", "one model"])
def test_clips_measured_for_another_recipe_are_refused(
    of: str, data: experiment.Dataset, tmp_path: Path
) -> None:
    parts = replace(data, parts=(data, data))
    asked = (PAIR, data) if of == "an ensemble" else (CLASSIC, parts)
    with pytest.raises(ValueError, match=r"measure them with experiment\.prepare"):
        experiment.evaluate_recipe(*asked, protocol="speaker", store=tmp_path)
    with pytest.raises(ValueError, match=r"measure them with experiment\.prepare"):
        experiment.train(*asked, folder=tmp_path / "model", evaluations=[])


def test_copies_at_other_speeds_train_but_are_not_tested(
    clips: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    svm = recipe("svm")
    few = clips[clips["speaker"].isin(["ravdess-01", "ravdess-02", "ravdess-03", "ravdess-04"])]
    data = experiment.prepare(svm, few, progress=False)
    assert [copy.shape for copy in data.copies] == [data.X.shape] * 2
    assert not np.allclose(data.copies[0], data.X)
    seen = {}

    def spy(y, groups):
        seen["groups"] = groups
        raise StopIteration

    monkeypatch.setattr(splits, "inner_splits", spy)
    fold = experiment.make_folds(data, protocol="speaker")[0]
    with pytest.raises(StopIteration):
        experiment.fit_fold(svm, data, fold, protocol="speaker")
    assert len(seen["groups"]) == 3 * len(fold.train)
    assert set(seen["groups"]) == set(data.speakers[fold.train])
    assert set(seen["groups"]).isdisjoint(fold.test_speakers)


def test_normalising_sees_no_label_of_the_test_side(data: experiment.Dataset) -> None:
    fold = experiment.make_folds(data, protocol="speaker+norm")[0]
    _, test = experiment.fit_fold(CLASSIC, data, fold, protocol="speaker+norm")
    shuffled = data.clips.copy()
    emotions = shuffled["emotion"].to_numpy(dtype=object, copy=True)
    emotions[fold.test] = emotions[fold.test][::-1]
    shuffled["emotion"] = pd.array(emotions, dtype="string")
    blind = experiment.Dataset(shuffled, data.X, data.copies, data.emotions)
    _, other = experiment.fit_fold(CLASSIC, blind, fold, protocol="speaker+norm")
    assert np.array_equal(test, other)


@dataclass
class Spy:
    """A learner, and a model, that keeps what it is given to learn from."""

    versions: Sequence[np.ndarray] = ()

    def fit(self, examples: Any, **settings: Any) -> Spy:
        return Spy([each[examples.rows] for each in examples.versions])


SPYING = replace(CLASSIC, name="spying", learner=Spy())


def test_an_enrolled_voice_is_known_from_its_enrolment_clips_alone(
    data: experiment.Dataset,
) -> None:
    fold = experiment.make_folds(data, protocol="speaker+enrol")[0]

    def scored(moved: np.ndarray) -> np.ndarray:
        X = data.X.copy()
        X[moved] += 100
        changed = replace(data, X=X)
        return experiment.fit_fold(SPYING, changed, fold, protocol="speaker+enrol")[1]

    plain = scored(fold.test[:0])
    np.testing.assert_array_equal(scored(fold.test[::2])[1::2], plain[1::2])
    assert (scored(fold.enrol) != plain).all()


@pytest.mark.parametrize("protocol", ["speaker", "speaker+norm", "speaker+enrol"])
def test_what_is_learnt_from_knows_nothing_of_the_test_voices(
    protocol: str, data: experiment.Dataset
) -> None:
    fold = experiment.make_folds(data, protocol=protocol)[0]

    def learnt(*versions: np.ndarray) -> Sequence[np.ndarray]:
        given = replace(data, X=versions[0], copies=versions[1:])
        model, _ = experiment.fit_fold(SPYING, given, fold, protocol=protocol)
        assert isinstance(model, Spy)
        return model.versions

    versions = [data.X, 1.1 * data.X]
    others = [each.copy() for each in versions]
    for each in others:
        each[[*fold.test, *fold.enrol]] += 100
    for mine, theirs in zip(learnt(*versions), learnt(*others), strict=True):
        assert len(mine) == len(fold.train)
        np.testing.assert_array_equal(mine, theirs)


def test_the_final_model_takes_the_median_over_the_folds(
    data: experiment.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {}

    def spy(run: Any, fold: splits.Fold, selected: dict[str, float]) -> None:
        seen.update(selected)
        raise StopIteration

    monkeypatch.setattr(experiment.evaluation.Run, "fit", spy)
    epochs, temperatures = (10.0, 20.0, 60.0), (3.0, 1.5, 1.2)  # the means are other numbers
    folds = [{"epochs": e, "temperature": t} for e, t in zip(epochs, temperatures, strict=True)]
    two, first, other = (  # that of two of the labels says nothing about a model of all
        experiment.Evaluation(pd.DataFrame(), {"labels": labels}, {CLASSIC.name: each})
        for labels, each in (("happy,sad", folds[:1]), ("all", folds), ("all", folds[2:]))
    )
    with pytest.raises(StopIteration):
        experiment.train(CLASSIC, data, folder=tmp_path, evaluations=[two, first, other])
    assert seen == {"epochs": 20, "temperature": 1.5}


def test_an_unusable_clip_is_reported_and_the_rest_go_on(
    clips: pd.DataFrame, tmp_path: Path
) -> None:
    broken = tmp_path / "03-01-05-01-01-01-01.wav"
    broken.write_bytes(b"RIFF")
    few = clips.head(40).copy()
    few.loc[few.index[3], ["path", "content"]] = [str(broken), "changed"]
    lines: list[str] = []
    data = experiment.prepare(CLASSIC, few, progress=False, report=lines.append)
    assert len(data.clips) == len(data.X) == 39
    assert len(lines) == 1
    assert str(broken) in lines[0]


@pytest.fixture(scope="module")
def trained(data: experiment.Dataset, store: Path) -> Path:
    told = experiment.evaluate_recipe(CLASSIC, data, protocol="speaker", store=store)
    folder = store / "sample-svm"
    return experiment.train(CLASSIC, data, folder=folder, evaluations=[told], licence="CC0.")


def test_bundle_holds_what_it_promises(trained: Path) -> None:
    names = {path.name for path in trained.iterdir()}
    assert names == {
        "bundle.json",
        "model.onnx",
        "model-enrolled.onnx",
        "voice.npz",
        "metrics.json",
        "predictions.csv",
        "README.md",
    }
    card = (trained / "README.md").read_text("utf-8")
    assert "not for judging" in card
    assert "| speaker | 8 (all) |" in card


def test_bundle_predicts_as_the_model_that_was_trained(
    trained: Path, data: experiment.Dataset
) -> None:
    bundle = bundles.load(trained)
    row = data.clips.iloc[11]
    prediction = bundle.predict_file(row["path"])
    assert tuple(prediction.probabilities) == data.emotions
    by_row = bundle.predict_proba(data.X[11:12])[0]
    assert np.allclose(list(prediction.probabilities.values()), by_row, atol=1e-6)
    hits = bundle.predict_proba(data.X).argmax(axis=1) == data.y
    assert hits.mean() > 0.7  # its own training clips


def test_enrolment_changes_the_answer_towards_the_voice(
    trained: Path, data: experiment.Dataset
) -> None:
    own = data.clips[data.clips["speaker"] == "ravdess-20"]
    bundle = bundles.load(trained).enrol(own["path"].head(8))
    X = features.feature_table(own, feature_set=CLASSIC.features, progress=False).X
    plain = bundles.load(trained).predict_proba(X)
    assert not np.allclose(bundle.predict_proba(X), plain, atol=0.01)
    truth = data.y[data.clips["speaker"] == "ravdess-20"]
    assert (bundle.predict_proba(X).argmax(axis=1) == truth).mean() > 0.6


@pytest.mark.parametrize("folder", bundles.available(), ids=lambda folder: folder.name)
def test_a_card_follows_from_the_index_and_the_metrics(folder: Path) -> None:
    bundle = bundles.load(folder)
    card = (folder / "README.md").read_text("utf-8")
    assert model_card(bundle.info, bundle.metrics) == card


@pytest.mark.parametrize("change", [{"gender": 5}, {"conditions": [1]}, {"conditions": {"a": 1}}])
def test_a_card_says_which_figures_it_cannot_tell(change: dict[str, Any]) -> None:
    bundle = bundles.load("ravdess-svm")
    with pytest.raises(ValueError, match=r"metrics\.json of model 'ravdess-svm' cannot be told"):
        model_card(bundle.info, bundle.metrics | change)


@pytest.mark.integration
@pytest.mark.parametrize("name", ["svm-classic", "svm"])
def test_a_published_fold_is_reproduced(name: str, ravdess_root: Path, tmp_path: Path) -> None:
    clips = corpora.scan(ravdess_root, corpus="ravdess").clips
    data = experiment.prepare(recipe(name), clips, n_jobs=2, progress=False)
    bundle = bundles.load(f"ravdess-{name}")
    assert bundle.info["corpus"]["fingerprint"] == corpora.fingerprint(data.clips)
    published = next(p for p in bundle.metrics["protocols"] if p["protocol"] == "speaker")
    fold = experiment.make_folds(data, protocol="speaker")[1]
    model, test = experiment.fit_fold(recipe(name), data, fold, protocol="speaker")
    accuracy = (model.predict_proba(test).argmax(axis=1) == data.y[fold.test]).mean()
    assert accuracy == pytest.approx(published["folds"][1]["accuracy"], abs=0.01)


def test_a_card_shows_names_and_lets_none_of_them_be_html() -> None:
    bundle = bundles.load("ravdess-svm")
    evil = "<img src=x onerror=alert(1)>|[here](javascript:alert)\n# top"
    info = json.loads(json.dumps(dict(bundle.info)))
    info |= {"name": evil, "title": evil}
    info["corpus"] |= {"name": evil, "licence": evil}
    metrics = json.loads(json.dumps(bundle.metrics))
    metrics["protocols"][0] |= {"labels": evil}
    card = model_card(info, metrics)
    assert card.count("&lt;img src=x onerror=alert(1)>&#124;&#91;here](javascript:alert) # top") > 2
    assert "<img" not in card
    assert "\n# top" not in card
