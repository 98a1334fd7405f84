"""Recording conditions: what each generator does, and recipes that are measured in them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soxr

from sercourse import (
    audio,
    augment,
    bundles,
    cli,
    conditions,
    experiment,
    features,
    files,
    recipes,
)
from sercourse.augment import TEST_KINDS, Augmentation
from sercourse.experiment import conditions as measuring
from sercourse.experiment import evaluation
from sercourse.experiment.evaluation import Run

SR = 16_000
CONDITIONS = list(augment.CONDITIONS)
each_condition = pytest.mark.parametrize("name", CONDITIONS)


@pytest.fixture(scope="module")
def speech(sample_ravdess: Path) -> np.ndarray:
    """Return a clip of two seconds and more."""
    return audio.read(sample_ravdess / "Actor_01" / "03-01-05-01-01-01-01.ogg", sr=SR)


def changed(y: np.ndarray, name: str, *, sr: int = SR) -> np.ndarray:
    for change in augment.CONDITIONS[name]:
        y = change.applied(y, sr=sr)
    return y


def tone(frequency: float, *, sr: int = SR, seconds: float = 1.0) -> np.ndarray:
    t = np.arange(round(seconds * sr)) / sr
    return (0.1 * np.sin(2 * np.pi * frequency * t)).astype(np.float32)


def level_db(y: np.ndarray) -> float:
    power = np.mean(np.square(y[len(y) // 4 : -len(y) // 4]))
    return float(10 * np.log10(power + 1e-12))


@each_condition
@pytest.mark.parametrize("sr", [SR, 22_050, 44_100])
def test_a_condition_follows_from_the_clip(name: str, sr: int, speech: np.ndarray) -> None:
    y = soxr.resample(speech, SR, sr)
    heard = changed(y, name, sr=sr)
    assert heard.shape == y.shape
    assert heard.dtype == np.float32
    assert np.isfinite(heard).all()
    assert not np.allclose(heard, y, atol=1e-4)
    np.testing.assert_array_equal(heard, changed(y.copy(), name, sr=sr))


@pytest.mark.parametrize("name", ["white noise 20 dB", "babble 10 dB", "room", "room and babble"])
def test_another_clip_is_changed_in_another_way(name: str, speech: np.ndarray) -> None:
    other = speech.copy()
    other[0] += 1e-4
    assert np.abs(changed(other, name) - changed(speech, name)).max() > 1e-3


@pytest.mark.parametrize(("name", "snr"), [("white noise 20 dB", 20), ("babble 10 dB", 10)])
def test_noise_lies_below_the_speech_not_the_silence(
    name: str, snr: float, speech: np.ndarray
) -> None:
    padded = np.pad(speech, SR)  # a second of silence before and after changes nothing
    for y in (speech, padded):
        noise = changed(y, name) - y
        spoken = audio.trim(y, sr=SR)
        found = 10 * np.log10(np.mean(spoken**2) / np.mean(noise**2))
        assert found == pytest.approx(snr, abs=0.01)


def test_noises_are_none_that_models_train_with(speech: np.ndarray) -> None:
    noise = changed(speech, "white noise 20 dB") - speech
    kurtosis = np.mean(noise**4) / np.mean(noise**2) ** 2
    assert kurtosis == pytest.approx(1.8, abs=0.05)  # uniform; of Gaussian noise it is 3
    power = np.abs(np.fft.rfft(noise)) ** 2
    low, high = (half.mean() for half in np.array_split(power, 2))
    assert low == pytest.approx(high, rel=0.1)  # white
    trained = {
        step.kind
        for recipe in recipes.RECIPES.values()
        for member in getattr(recipe, "members", (recipe,))
        for copy in member.augmentations
        for step in copy
    }
    assert trained
    assert not trained & TEST_KINDS.keys()


def test_babble_is_speech_and_no_speaker_of_its_own(speech: np.ndarray) -> None:
    babble = changed(speech, "babble 10 dB") - speech
    spectrum = np.abs(np.fft.rfft(babble)) ** 2
    frequency = np.fft.rfftfreq(len(babble), 1 / SR)
    assert spectrum[frequency < 4000].sum() > 0.9 * spectrum.sum()
    voices = conditions._voices(SR)
    assert len(voices) >= conditions.TALKERS > 1
    assert all(len(voice) > 5 * SR for voice in voices)


@pytest.mark.parametrize("sr", [SR, 44_100])
@pytest.mark.parametrize("rt60", [0.3, 0.5, 0.8])
def test_echoes_die_in_the_time_that_is_said(rt60: float, sr: int) -> None:
    click = np.zeros(2 * sr)
    click[100] = 1
    room = conditions.mirror_room(click, sr=sr, rt60=rt60, rng=np.random.default_rng(0))
    np.testing.assert_allclose(room[:101], click[:101], atol=1e-9)  # the direct sound stays
    energy = np.cumsum(room[::-1] ** 2)[::-1][100:]
    decay = 10 * np.log10(energy / energy[0])
    first, last = np.argmax(decay < -5), np.argmax(decay < -35)
    assert 2 * (last - first) / sr == pytest.approx(rt60, rel=0.08)


@pytest.mark.parametrize(
    ("frequency", "lost"), [(100, 30), (300, 8), (1000, 3), (3000, 3), (3900, 20), (6000, 40)]
)
def test_a_telephone_keeps_its_band(frequency: float, lost: float) -> None:
    y = tone(frequency)
    loss = level_db(y) - level_db(conditions.telephone(y, sr=SR, highest=3400))
    assert loss < lost if frequency in (300, 1000, 3000) else loss > lost


def test_a_telephone_tells_255_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = []
    resample = conditions.soxr.resample
    monkeypatch.setattr(
        conditions.soxr, "resample", lambda y, *rates: heard.append(y) or resample(y, *rates)
    )
    conditions.telephone(tone(1000.7), sr=SR, highest=3400)
    levels = np.unique(np.abs(heard[-1]).round(9))
    assert 20 < len(levels) <= 128
    steps = np.diff(levels)
    assert steps[-1] > 5 * steps[0]  # finer where it is soft: the mu-law


@pytest.mark.parametrize("loudness", [1.0, 0.01])
def test_an_overdriven_microphone_clips(loudness: float, speech: np.ndarray) -> None:
    heard = changed(loudness * speech, "overdriven")
    assert np.abs(heard).max() == 1
    spoken = audio.trim(heard, sr=SR)
    assert 0.005 < np.mean(np.abs(spoken) == 1) < 0.3


def test_an_mp3_of_samples_far_beyond_the_range() -> None:
    """Of a float recording; the encoder ended the process by an assertion."""
    code = (
        "import numpy as np; from sercourse import conditions; "
        "y = np.random.default_rng(0).uniform(-1, 1, 16_000).astype(np.float32); "
        "once, loud = (conditions.mp3(y * a, sr=16_000, kbits=32) / a for a in (1, 1e30)); "
        "print(np.corrcoef(once, loud)[0, 1] > 0.9, loud.dtype)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("True float32\n", 0), done.stderr


@pytest.mark.parametrize("sr", [SR, 22_050, 44_100])
def test_an_mp3_has_no_delay(sr: int, speech: np.ndarray) -> None:
    y = np.tile(soxr.resample(speech, SR, sr), 5)
    heard = conditions.mp3(y, sr=sr, kbits=32)
    assert np.corrcoef(y, heard)[0, 1] > 0.9
    assert np.std(heard - y) > 1e-3 * np.std(y)  # it did lose something


@pytest.mark.parametrize("kind", ["white", "babble"])
def test_silence_cannot_be_noisy(kind: str) -> None:
    with pytest.raises(ValueError, match="the clip is silent"):
        Augmentation(kind, 10, 10).applied(np.zeros(SR, dtype=np.float32), sr=SR)


NAMES = ["as recorded", *CONDITIONS]
SVM = recipes.recipe("svm-classic")
KNN = recipes.from_zoo("knn", {}, feature_set="statistics")  # which are measured already
PAIR = recipes.Recipe("pair", "two of a kind", members=(SVM, KNN), weights=(3, 1))


@pytest.fixture(scope="module")
def clips(ravdess_clips: pd.DataFrame) -> pd.DataFrame:
    """Return clips of four speakers and three emotions."""
    found = ravdess_clips
    kept = found["speaker"].isin(found["speaker"].unique()[:4])
    kept &= found["emotion"].isin(["happy", "sad", "angry"])
    return found[kept].reset_index(drop=True)


@pytest.fixture(scope="module")
def data(clips: pd.DataFrame) -> experiment.Dataset:
    return experiment.prepare(SVM, clips, progress=False)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def measured(data: experiment.Dataset, store: Path) -> experiment.Evaluation:
    return experiment.evaluate_conditions(SVM, data, store=store)


def test_a_recipe_is_measured_in_each_condition(
    measured: experiment.Evaluation, data: experiment.Dataset, store: Path
) -> None:
    told, answers = measured.metrics, measured.predictions
    assert list(told["conditions"]) == NAMES
    assert sorted(answers["clip_id"]) == sorted(data.clips["clip_id"])
    plain = experiment.evaluate_recipe(SVM, data, protocol="speaker", store=store)
    recorded = told["conditions"]["as recorded"]
    for name in ("accuracy", "uar", "accuracy_interval", "ece"):
        assert recorded[name] == plain.metrics[name]
    for name, part in told["conditions"].items():
        assert part["accuracy"] == np.mean(answers[name] == answers["truth"])
        assert part["loss"] == recorded["accuracy"] - part["accuracy"]
    losses = [told["conditions"][name]["loss"] for name in CONDITIONS]
    assert told["mean_loss"] == pytest.approx(np.mean(losses))
    assert told["conditions"]["room and babble"]["loss"] > 0.1


def test_finished_folds_are_not_fitted_again(
    measured: experiment.Evaluation,
    data: experiment.Dataset,
    store: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fitted = []
    fit = experiment.evaluation.Run.fit
    monkeypatch.setattr(
        experiment.evaluation.Run,
        "fit",
        lambda run, fold: fitted.append(fold.name) or fit(run, fold),
    )
    again = experiment.evaluate_conditions(SVM, data, store=store)
    assert not fitted
    assert again.metrics == measured.metrics
    damaged = next(store.rglob("fold-2-conditions.json"))
    kept = json.loads(damaged.read_text("utf-8"))
    for text in ("{", json.dumps({**kept, "settings": {}}), json.dumps({**kept, "tested": ["a"]})):
        damaged.write_text(text)
        told = experiment.evaluate_conditions(SVM, data, store=store)
        pd.testing.assert_frame_equal(told.predictions, measured.predictions)
    assert len(fitted) == 3
    assert set(fitted) == {"fold 2"}
    part = experiment.evaluate_conditions(SVM, data, store=store, only=["fold 1"])
    assert (part.metrics["n_folds"], part.metrics["of_folds"]) == (1, 4)


def test_a_sealed_fold_that_is_none_is_measured_again(
    measured: experiment.Evaluation, data: experiment.Dataset, store: Path
) -> None:
    run, file = Run(SVM, data, "speaker", store), next(store.rglob("fold-3-conditions.json"))
    fits, whole = partial(measuring._fits, run), files.read_sealed(file)
    clips, told = whole["clip_id"], whole["probabilities"]
    odd_clips: list[Any] = [None, "x", clips[:-1], [*clips[:-1], clips[0]], [*clips[:-1], "other"]]
    odd_clips += [clips[::-1]]
    odd_rows: list[Any] = [None, [], "x", [8.26, 0, 0], [2, -1, 0], [np.nan, 0, 1], [1, 0]]
    odd_rows += [[10**400, 0, 0], [0.993, 0, 0]]
    odd_tables = [None, {}, [], {**told, "other": told["room"]}, dict(list(told.items())[:-1])]
    odd_tables += [{**told, "room": [row, *told["room"][1:]]} for row in odd_rows]
    assert evaluation.stored(file, {}, fits) == whole
    for name, odd in (("clip_id", odd_clips), ("probabilities", odd_tables)):
        for each in odd:
            files.write_sealed(file, {**whole, name: each})
            assert evaluation.stored(file, {}, fits) is None
    again = experiment.evaluate_conditions(SVM, data, store=store)
    pd.testing.assert_frame_equal(again.predictions, measured.predictions)
    assert files.read_sealed(file) == whole


def test_a_clip_that_cannot_be_changed_is_left_out_of_all(
    data: experiment.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, lost, said = features.feature_table, data.clips["clip_id"].iloc[0], []

    def fails_once(clips, *, feature_set, **settings):
        told = table(clips, feature_set=feature_set, **settings)
        if not any(change.kind == "telephone" for change in feature_set.augmentations):
            return told
        kept = told.clip_id != lost
        rejects = pd.DataFrame(
            [("a.wav", "no line")] * int(~kept.all()), columns=["path", "reason"]
        )
        return features.Features(told.X[kept], told.names, told.clip_id[kept], rejects)

    monkeypatch.setattr(features, "feature_table", fails_once)
    told = experiment.evaluate_conditions(SVM, data, store=tmp_path, report=said.append)
    assert told.metrics["n_clips"] == len(data.clips) - 1
    assert lost not in set(told.predictions["clip_id"])
    assert "left out, telephone: a.wav: no line" in said


def test_babble_needs_the_sample(
    data: experiment.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere():
        raise FileNotFoundError("no folder data/sample: clone the project")

    conditions._voices.cache_clear()
    monkeypatch.setenv("SERCOURSE_CACHE", str(tmp_path))
    monkeypatch.setattr(conditions.files, "home", nowhere)
    with pytest.raises(ValueError, match=r"babble 10 dB: no test clip of fold 1 .*clone the proj"):
        experiment.evaluate_conditions(SVM, data, store=tmp_path)


def test_an_ensemble_answers_with_its_members_together(clips: pd.DataFrame, store: Path) -> None:
    both = experiment.prepare(PAIR, clips, progress=False)
    told = experiment.evaluate_conditions(PAIR, both, store=store)
    plain = experiment.evaluate_recipe(PAIR, both, protocol="speaker", store=store)
    recorded = told.metrics["conditions"]["as recorded"]
    assert recorded["accuracy"] == plain.metrics["accuracy"]
    assert recorded["ece"] == pytest.approx(plain.metrics["ece"])


@pytest.fixture(scope="module")
def bundle(
    measured: experiment.Evaluation,
    data: experiment.Dataset,
    tmp_path_factory: pytest.TempPathFactory,
) -> bundles.Bundle:
    folder = tmp_path_factory.mktemp("bundles") / "model"
    plain = experiment.evaluate_recipe(SVM, data, protocol="speaker")
    experiment.train(SVM, data, folder=folder, evaluations=[plain])
    experiment.add_conditions(folder, SVM, data, measured)
    return bundles.load(folder)


def test_a_bundle_tells_of_conditions(
    bundle: bundles.Bundle, measured: experiment.Evaluation, data: experiment.Dataset
) -> None:
    told = bundle.metrics["conditions"]
    assert told == json.loads(json.dumps(measured.metrics))
    answers = pd.read_csv(bundle.folder / "conditions.csv")
    again = experiment.condition_figures(answers, labels=told["classes"])
    assert {name: told[name] for name in again} == json.loads(json.dumps(again))
    assert len(bundle.metrics["protocols"]) == 1
    card = (bundle.folder / "README.md").read_text("utf-8")
    assert card.index("## Results") < card.index("## In other conditions") < card.index("## Limits")
    experiment.add_conditions(bundle.folder, SVM, data, measured)
    assert (bundle.folder / "README.md").read_text("utf-8") == card  # replaced, not repeated


def test_conditions_go_into_their_own_bundle_only(
    bundle: bundles.Bundle, data: experiment.Dataset, measured: experiment.Evaluation, store: Path
) -> None:
    before = (bundle.folder / "bundle.json").read_bytes()
    with pytest.raises(
        ValueError, match="was not made by recipe 'toolkit-knn' from these 48 clips"
    ):
        experiment.add_conditions(bundle.folder, PAIR.members[1], data, measured)
    fewer = experiment.dataset_without_features(data.clips, emotions=["happy", "sad"])
    with pytest.raises(ValueError, match="from these 32 clips"):
        experiment.add_conditions(bundle.folder, SVM, fewer, measured)
    part = experiment.evaluate_conditions(SVM, data, store=store, only=["fold 1"])
    with pytest.raises(ValueError, match="1 of 4 folds were measured"):
        experiment.add_conditions(bundle.folder, SVM, data, part)
    assert (bundle.folder / "bundle.json").read_bytes() == before


@pytest.fixture
def arguments(clips: pd.DataFrame, tmp_path: Path) -> list[str]:
    """Return the words of a command on the same clips."""
    for path in map(Path, clips["path"]):
        (tmp_path / "corpus" / path.parent.name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "corpus" / path.parent.name / path.name).write_bytes(path.read_bytes())
    return ["svm-classic", str(tmp_path / "corpus"), "--corpus", "ravdess", "--jobs", "1"]


def test_commands_print_a_table_and_write_it(
    bundle: bundles.Bundle,
    measured: experiment.Evaluation,
    arguments: list[str],
    store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("SERCOURSE_CACHE", str(store))
    target, model, made = tmp_path / "told.json", tmp_path / "model", tmp_path / "made"
    shutil.copytree(bundle.folder, model)
    nothing = {"recipe": "svm-classic", "corpus": "ravdess", "protocols": []}
    bundles.renew(bundles.load(model), {"metrics.json": json.dumps(nothing)})
    command = ["evaluate", *arguments, "--conditions", "--json", str(target)]
    assert cli.main([*command, "--into", str(model)]) == 0
    assert json.loads(target.read_text("utf-8")) == json.loads(json.dumps(measured.metrics))
    assert bundles.load(model).metrics["conditions"] == json.loads(target.read_text("utf-8"))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines[2 : 2 + len(NAMES)]] == NAMES
    assert lines[-1] == f"mean loss {100 * measured.metrics['mean_loss']:.1f} points"
    train = ["train", *arguments, "--out", str(made), "--measure", "speaker", "--conditions"]
    assert cli.main(train) == 0
    assert bundles.load(made).metrics["conditions"] == bundles.load(model).metrics["conditions"]
    assert "mean loss" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "give --protocol NAME or --conditions"),
        (["--conditions", "--protocol", "random"], "or --conditions, not both"),
        (["--protocol", "speaker", "--into", "ravdess-svm"], "give both"),
        (["--conditions", "--into", "nothing"], "no model 'nothing'"),
        (["--conditions", "--folds", "fold 9"], "there is no fold 'fold 9'"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    words: list[str], said: str, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["evaluate", *arguments, *words]) != 0
    assert said in capsys.readouterr().err
