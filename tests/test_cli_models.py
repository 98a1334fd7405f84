"""The commands on models, as a user types them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
from matplotlib.colors import to_rgb
from PIL import Image

from conftest import Command
from sercourse import audio, bundles
from sercourse.decoding import SoundWarning
from sercourse.plots import EMOTION_COLOURS

CLIP = "Actor_01/03-01-05-01-01-01-01.ogg"

Refuse = Callable[..., str]


@pytest.fixture
def clip(sample_ravdess: Path) -> Path:
    return sample_ravdess / CLIP


@pytest.fixture
def ravdess(sample_ravdess: Path) -> tuple[object, ...]:
    return (sample_ravdess, "--corpus", "ravdess")


@pytest.fixture
def bad(tmp_path: Path) -> dict[Path, str]:
    """Files that cannot be judged, and why."""
    rng = np.random.default_rng(0)
    sounds = {
        "silent.wav": (np.zeros(80_000), "silence"),
        "short.wav": (0.1 * rng.normal(size=800), "too short"),
        "nan.wav": (np.full(80_000, np.nan), "NaN samples"),
    }
    for name, (y, _) in sounds.items():
        soundfile.write(tmp_path / name, y, 16_000, subtype="FLOAT")
    (tmp_path / "text.wav").write_bytes(b"not a sound\n" * 40)
    reasons = {name: why for name, (_, why) in sounds.items()}
    reasons |= {"text.wav": "not a sound file", "missing.wav": "no such file"}
    return {tmp_path / name: why for name, why in reasons.items()}


def test_predict_names_the_emotion_with_bars(clip: Path, command: Command) -> None:
    first, *bars, voice = command("predict", clip).out.splitlines()
    assert first.startswith(str(clip))
    assert len(bars) == 8
    assert voice.strip().startswith("voice: male")
    assert "█" in bars[0]
    assert first.endswith(bars[0].split()[0])


def test_predict_as_json_and_csv(sample_ravdess: Path, tmp_path: Path, command: Command) -> None:
    target, folder = tmp_path / "new" / "a.csv", tmp_path / "clips"
    folder.mkdir()
    for clip in sorted((sample_ravdess / "Actor_01").iterdir())[::5]:
        shutil.copy(clip, folder)
    done = command("predict", folder, "--json", "--out", target)
    answers = json.loads(done.out)
    assert len(answers) == 6
    for answer in answers:
        told = {"path", "emotion", "probabilities", "duration", "gender", "gender_probabilities"}
        assert set(answer) == {*told, "speech"}
        probabilities = answer["probabilities"]
        likeliest = max(probabilities, key=probabilities.get)
        assert answer["emotion"] == (likeliest if probabilities[likeliest] >= 0.25 else "unknown")
        assert sum(probabilities.values()) == pytest.approx(1, abs=1e-5)
    table = pd.read_csv(target)
    assert table["emotion"].tolist() == [answer["emotion"] for answer in answers]
    assert [path.name for path in target.parent.iterdir()] == ["a.csv"]


def test_predict_with_enrolment(clip: Path, tmp_path: Path, command: Command) -> None:
    shutil.copy(clip, tmp_path / "a.ogg")
    soundfile.write(tmp_path / "silent.wav", np.zeros(32_000), 16_000)
    plain, enrolled = (command("predict", clip, *extra) for extra in ((), ("--enrol", tmp_path)))
    assert plain.out != enrolled.out
    assert f"{tmp_path / 'silent.wav'}: silence" in enrolled.err


def test_predict_among_some_emotions(clip: Path, command: Command) -> None:
    done = command("predict", clip, "--emotions", "sadness,surprise")
    shown = {line.split()[0] for line in done.out.splitlines()[1:] if "voice:" not in line}
    assert shown == {"sad", "surprised"}
    assert "left out: neutral, calm" in done.err
    done = command("predict", clip, "--emotions", "sad,happy", "--every", "1")
    assert done.out.split()[-2] in ("sad", "happy")


def test_predict_goes_on_after_a_bad_file(
    clip: Path, bad: dict[Path, str], tmp_path: Path, command: Command
) -> None:
    (tmp_path / "empty").mkdir()
    status, out, err = command("predict", tmp_path / "empty", *bad, clip, "--json")
    assert status == 1
    assert [answer["path"] for answer in json.loads(out)] == [str(clip)]
    expected = [f"sercourse: {tmp_path / 'empty'}: there is no sound file in this folder"]
    expected += [f"sercourse: {path}: {why}" for path, why in bad.items()]
    assert [line[: len(want)] for line, want in zip(err.splitlines(), expected, strict=True)] == (
        expected
    )


def test_predict_any_rate_and_channels(tmp_path: Path, command: Command) -> None:
    rng = np.random.default_rng(0)
    for sr, channels in ((4_000, 1), (192_000, 1), (44_100, 8)):
        t = np.arange(2 * sr) / sr
        y = 0.2 * np.sin(2 * np.pi * 170 * t) * (1 + np.sin(2 * np.pi * 3 * t))
        y = y[:, np.newaxis] + 0.01 * rng.normal(size=(len(t), channels))
        soundfile.write(tmp_path / f"{sr}.wav", y, sr)
    answers = json.loads(command("predict", tmp_path, "--json").out)
    assert [round(each["duration"], 2) for each in answers] == [2.0] * 3


def test_predict_refuses_what_a_user_can_mistype(
    clip: Path, conversation: Path, tmp_path: Path, refuse: Refuse
) -> None:
    assert "no model 'none'" in refuse("predict", clip, "--model", "none")
    (tmp_path / "empty").mkdir()
    assert "no sound file" in refuse("predict", clip, "--enrol", tmp_path / "empty")
    assert "an argument is empty" in refuse("predict", "")
    assert "unknown parameter 'x'" in refuse("run", "03", "--parameter", "x", "")
    for same in (tmp_path / "told", tmp_path / "empty" / ".." / "told"):
        message = refuse("predict", clip, "--out", tmp_path / "told", "--json", same)
        assert f"{tmp_path / 'told'} is named for two outputs" in message
    for every in ("0", "-1", "nan"):
        said = refuse("predict", conversation, "--every", every)
        assert f"every {float(every):g} s: give" in said
    (tmp_path / "file").write_text("mine")
    for options, words in {
        ("--window", 20): "a window of 20 s",
        ("--plot", tmp_path / "a.xyz"): "ends with .png, .svg",
        ("--out", tmp_path): "is a folder",
        ("--out", conversation): "not overwritten",
        ("--out", tmp_path / "file" / "a.csv"): str(tmp_path / "file" / "a.csv"),
        ("--plot", tmp_path / "a.png", clip): "--plot draws one recording and 2 are given",
    }.items():
        assert words in refuse("predict", "--every", 1, *options, conversation)
    for option, value in (("--plot", "a.png"), ("--window", 2)):
        said = refuse("predict", conversation, option, value)
        assert "are about emotions over time: add --every" in said


@pytest.mark.parametrize("options", [["--json"], ["--every", "1", "--out", "-"]])
def test_predict_keeps_what_was_finished_when_it_is_interrupted(
    options: list[str],
    clip: Path,
    tmp_path: Path,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    blocks, last = audio.blocks, tmp_path / "next.wav"

    def interrupted(path: Path, **settings: Any) -> Any:
        if Path(path) == last:
            raise KeyboardInterrupt
        return blocks(path, **settings)

    monkeypatch.setattr(audio, "blocks", interrupted)
    done = command("predict", clip, last, *options)
    assert done.status == 130
    assert CLIP in done.out


def test_models_lists_what_they_know_and_how_good_they_are(command: Command) -> None:
    out = command("models").out
    for words in ("ravdess-svm", "neutral, calm, happy", "speaker, 8 emotions"):
        assert words in out


def test_models_names_a_damaged_one_and_says_where_there_is_none(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bundle.json").write_text("{")
    monkeypatch.setattr("sercourse.bundles.available", lambda: [tmp_path])
    done = command("models")
    assert done.status == 1
    assert done.err.startswith("sercourse: ")
    assert str(tmp_path) in done.err
    monkeypatch.setattr("sercourse.bundles.available", list)
    assert command("models") == (
        0,
        "no trained model is here yet: make one with sercourse train\n",
        "",
    )


@pytest.mark.parametrize("value", ["high", [1], {"a": 1}])
def test_models_names_the_file_of_a_figure_that_is_none(
    value: Any, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = shutil.copytree(bundles.find("ravdess-svm-classic"), tmp_path / "mine")
    metrics = json.loads((copied / "metrics.json").read_text("utf-8"))
    metrics["protocols"][0]["loss"] = value
    bundles.renew(bundles.load(copied), {"metrics.json": json.dumps(metrics)})
    monkeypatch.setattr("sercourse.bundles.available", lambda: [copied])
    done = command("models")
    assert done.status == 1
    assert "metrics.json: Expected `float | null`" in done.err
    assert "$.protocols[0].loss" in done.err


def test_models_lists_one_that_was_never_measured(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = shutil.copytree(bundles.find("ravdess-svm-classic"), tmp_path / "mine")
    metrics = json.loads((copied / "metrics.json").read_text("utf-8")) | {"protocols": []}
    bundles.renew(bundles.load(copied), {"metrics.json": json.dumps(metrics)})
    monkeypatch.setattr("sercourse.bundles.available", lambda: [copied, copied])
    done = command("models")
    assert (done.status, done.out.count("knows neutral"), done.err) == (0, 2, "")


def test_the_death_of_a_worker_and_warnings_are_told(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(args: object) -> int:
        warnings.warn("a.wav: read, though", SoundWarning, stacklevel=1)
        warnings.warn("gone in the next version", FutureWarning, stacklevel=1)
        raise BrokenExecutor

    monkeypatch.setattr("sercourse.cli.models.models", die)
    done = command("models")
    assert done.status == 2
    first, *others = done.err.splitlines()
    assert first == "sercourse: a.wav: read, though"
    assert "FutureWarning: gone in the next version" in others[0]
    assert "has died, of too little memory" in others[-1]


def test_too_little_memory_is_one_sentence(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table of terabytes printed a traceback."""

    def fill(args: object) -> int:
        raise MemoryError

    monkeypatch.setattr("sercourse.cli.models.models", fill)
    done = command("models")
    told = "too little memory for this: free some, or give less at a time"
    assert (done.status, done.err) == (2, f"sercourse: {told}\n")


def test_how_sure_an_answer_has_to_be_is_chosen(
    clip: Path, command: Command, refuse: Refuse
) -> None:
    done = command("predict", clip, "--sure", "1", "--json")
    assert json.loads(done.out)[0]["emotion"] == "unknown"
    assert "no emotion reaches 100%" in done.err
    assert "the probability is 2.0: give a number from 0 to 1" in refuse(
        "predict", clip, "--sure", 2
    )
    assert "middle: give left, right" in refuse("predict", clip, "--channel", "middle")


def test_a_closed_pipe_ends_quietly() -> None:
    argv = [sys.executable, "-m", "sercourse", "models"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


@pytest.mark.parametrize("jobs", ["0", "-2", "many"])
def test_processes_are_counted_from_one(jobs: str, refuse: Refuse) -> None:
    said = refuse("evaluate", "svm", "x", "--protocol", "random", "--jobs", jobs)
    assert "argument --jobs: " in said


def test_evaluate_writes_json_and_csv(
    ravdess: tuple[object, ...], tmp_path: Path, command: Command
) -> None:
    target = tmp_path / "result.json"
    argv = ["evaluate", "svm-classic", *ravdess, "--protocol", "random", "--seeds", "2"]
    done = command(*argv, "--emotions", "sad,anger,ps", "--json", target, "--out", "-")
    told = json.loads(target.read_text("utf-8"))
    assert told["emotions"] == ["sad", "angry", "surprised"]
    assert [fold["seed"] for fold in told["folds"]] == [0, 1]
    assert told["accuracy"] == pytest.approx(np.mean([f["accuracy"] for f in told["folds"]]))
    assert told["accuracy"] > 2 * told["chance"]
    head, row = done.out.splitlines()
    assert head.startswith("part,accuracy,sd,UAR,F1,chance")
    assert float(row.split(",")[1]) == pytest.approx(100 * told["accuracy"], abs=1e-3)


def test_evaluate_runs_chosen_folds_without_some_speakers(
    ravdess: tuple[object, ...], tmp_path: Path, command: Command, refuse: Refuse
) -> None:
    target = tmp_path / "result.json"
    argv = ["evaluate", "svm-classic", *ravdess, "--protocol", "speaker"]
    argv += ["--folds", "fold 2, fold 3", "--json", target]
    done = command(*argv, "--leave-out", "ravdess-01,ravdess-02")
    told = json.loads(target.read_text("utf-8"))
    assert [fold["fold"] for fold in told["folds"]] == ["fold 2", "fold 3"]
    assert told["n_clips"] == 300
    assert "speaker (2 of " in done.out
    assert f" {100 * told['accuracy']:.1f} " in done.out
    assert "there is no speaker 'actor 1'" in refuse(*argv, "--leave-out", "actor 1")


def test_train_makes_a_bundle_that_predicts(
    ravdess: tuple[object, ...], clip: Path, tmp_path: Path, command: Command
) -> None:
    out = tmp_path / "mine"
    argv = ["train", "svm-classic", *ravdess, "--out", out, "--measure", "random:happy,sad"]
    argv += ["--seeds", "2"]
    assert "saved" in command(*argv).out
    assert "synthetic" in (out / "README.md").read_text("utf-8")
    assert command("predict", clip, "--model", out).status == 0
    argv[-3:] = ["speaker:sad,calm", "--emotions", "happy,sad,angry"]
    assert "is not to know calm: choose among happy, sad, angry" in command(*argv).err


def test_train_says_once_what_is_left_out(
    sample_ravdess: Path, sample_aesdd: Path, tmp_path: Path, command: Command
) -> None:
    folder = tmp_path / "ravdess"
    shutil.copytree(sample_ravdess, folder)
    soundfile.write(folder / "Actor_01" / "03-01-03-01-01-02-01.wav", np.zeros(16_000), 16_000)
    argv = ["train", "svm-classic", f"ravdess={folder}", "--test", f"aesdd={sample_aesdd}"]
    argv += ["--out", tmp_path / "mine", "--seeds", 1, "--measure", "random:happy,sad"]
    assert command(*argv).err.count("silence") == 1


def test_evaluate_and_train_refuse_before_they_work(
    ravdess: tuple[object, ...], tmp_path: Path, refuse: Refuse
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    random = ("--protocol", "random")
    for words, message in {
        ("svn", *ravdess, *random): "unknown recipe 'svn': use one of svm-classic, svm",
        ("svm", *ravdess, "--protocol", "speakers"): "unknown protocol 'speakers'",
        ("svm", *ravdess, *random, "--emotions", "sad,merry"): "the corpus has no clip of merry",
        ("svm", *ravdess, *random, "--seeds", 0): "argument --seeds: 0: give a whole number from 1",
        ("svm", tmp_path / "nowhere", *ravdess[1:], *random): "nowhere",
        ("svm", *ravdess, "--conditions", "--test", "x=y"): "protocol 'speaker' tests what",
    }.items():
        assert message in refuse("evaluate", *words)
    copied = shutil.copytree(bundles.find("ravdess-svm-classic"), tmp_path / "changed")
    (copied / "model.onnx").write_bytes(b"other")
    conditions = ("svm-classic", tmp_path / "nowhere", "--conditions", "--into", copied)
    assert "model.onnx has changed" in refuse("evaluate", *conditions)  # not hours later
    train = ("train", "svm", *ravdess, "--out")
    assert "nothing is overwritten" in refuse(*train, tmp_path / "full")
    assert str(tmp_path / "file") in refuse(*train, tmp_path / "file" / "model")


def test_several_corpora_are_measured_and_trained_on(
    sample_ravdess: Path, sample_aesdd: Path, tmp_path: Path, command: Command
) -> None:
    both = [f"ravdess={sample_ravdess}", f"aesdd={sample_aesdd}"]
    target = tmp_path / "result.json"
    argv = ["evaluate", "svm-classic", *both, "--protocol", "corpus+enrol", "--json", target]
    out, told = command(*argv).out, json.loads(target.read_text("utf-8"))
    assert set(told["by_corpus"]) == {"aesdd", "ravdess"}
    assert "learnt from ravdess; shared emotions only: happy, sad, angry, fearful, disgust" in out
    argv = ["train", "svm-classic", both[0], "--test", both[1], "--out", tmp_path / "mine"]
    done = command(*argv, "--measure", "corpus", "--measure", "random", "--seeds", "1")
    assert "\naesdd " in done.out
    told = json.loads((tmp_path / "mine" / "bundle.json").read_text("utf-8"))
    assert (told["corpus"]["name"], told["corpus"]["n_clips"]) == ("ravdess", 360)
    told = json.loads((tmp_path / "mine" / "metrics.json").read_text("utf-8"))
    assert [entry["corpus"] for entry in told["protocols"]] == ["aesdd+ravdess", "ravdess"]


def test_a_folder_with_an_equals_sign_is_a_folder(
    sample_ravdess: Path, tmp_path: Path, command: Command
) -> None:
    odd = shutil.copytree(sample_ravdess, tmp_path / "a=b")
    argv = ["evaluate", "svm-classic", "--protocol", "random", "--seeds", "1"]
    plain, named = command(*argv, odd, "--corpus", "ravdess"), command(*argv, f"ravdess={odd}")
    assert plain.status == 0
    assert plain.out == named.out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["{ravdess}", "ravdes={aesdd}"], "unknown corpus 'ravdes': use one of ravdess"),
        (["{ravdess}", "aesdd={tmp}/none"], "none: no such folder"),
        (["{ravdess}", "{tmp}"], "the corpus is not named"),
        (["{ravdess}", "--test", "{ravdess}"], "give each folder once"),
        (["{ravdess}", "--corpus", "ravdess"], "--corpus ravdess names a bare folder"),
        (["{ravdess}"], "all clips are of one corpus (ravdess)"),
        (["{ravdess}", "custom={own}"], "'custom' shows bored and the others neutral"),
        (["{ravdess}", "aesdd={aesdd}", "--csv", "x.csv"], "a CSV labels a custom corpus"),
        (["{ravdess}", "--test", "aesdd={aesdd}", "--protocol", "speaker"], "knows no --test"),
        (["custom={sad}", "--protocol", "random"], "1 emotion"),
        (["ravdess={actor}", "--protocol", "speaker"], "one speaker"),
    ],
)
def test_corpora_that_cannot_be_learned_are_refused(
    argv: list[str],
    message: str,
    sample_ravdess: Path,
    sample_aesdd: Path,
    tmp_path: Path,
    refuse: Refuse,
) -> None:
    rng = np.random.default_rng(0)
    actor = [f"03-01-0{e}-01-0{s}-0{r}-01" for e in (3, 4) for s in (1, 2) for r in (1, 2)]
    made = {
        "own": [f"me{k}_bored" for k in range(3)],
        "sad": [f"a{k}_sad" for k in range(6)],
        "actor": actor,
    }
    for folder, names in made.items():
        (tmp_path / folder).mkdir()
        for name in names:
            y = 0.1 * rng.normal(size=16_000)
            soundfile.write(tmp_path / folder / f"{name}.wav", y, 16_000)
    told = {"ravdess": f"ravdess={sample_ravdess}", "aesdd": sample_aesdd, "tmp": tmp_path}
    told |= {name: tmp_path / name for name in made}
    typed = [each.format(**told) for each in argv]
    # Of two protocols the last one counts.
    assert message in refuse("evaluate", "--protocol", "corpus", "svm-classic", *typed)


@pytest.fixture
def conversation(tmp_path: Path, clip: Path) -> Path:
    """Return a recording of 12 s: a clip, a pause, and another clip."""
    paths = [clip, str(clip).replace("-05-", "-04-")]
    one, other = (audio.pad(audio.read(path, sr=16_000), length=64_000) for path in paths)
    path = tmp_path / "conversation.wav"
    soundfile.write(path, np.concatenate([one, np.zeros(64_000), other]), 16_000)
    return path


def test_predict_over_time_prints_a_line_for_each_window(
    conversation: Path, command: Command
) -> None:
    _, out, err = command("predict", conversation, "--every", "1.0")
    first, head, *rest = out.splitlines()
    assert first == f"{conversation}  windows of 3 s every 1 s"
    assert head.split() == ["start", "end", "emotion", "probability"]
    assert [line.split()[0] for line in rest] == [f"{start}.0" for start in range(10)]
    pauses = [line.rstrip() for line in rest if "%" not in line]
    assert any(line.endswith("(silence)") for line in pauses)
    assert all(line.endswith(("(silence)", "(no speech)")) for line in pauses)
    assert len(pauses) < 10
    assert err == ""


def test_predict_over_time_as_json_and_csv(
    conversation: Path, tmp_path: Path, command: Command
) -> None:
    target = tmp_path / "a.csv"
    done = command("predict", conversation, "--every", "1", "--json", "--out", target)
    (answer,) = json.loads(done.out)
    assert (answer["path"], answer["every"], answer["window"]) == (str(conversation), 1.0, 3.0)
    table = pd.read_csv(target)
    assert list(table.columns[:3]) == ["start", "end", "emotion"]
    assert list(table.columns[-2:]) == ["note", "path"]
    assert table["start"].tolist() == list(range(10))
    p, judged = table.filter(like="p_"), table["emotion"].notna()
    for row, window in zip(table.to_dict("records"), answer["over_time"], strict=True):
        assert (row["start"], row["end"]) == (window["start"], window["end"])
        assert (window["emotion"] or window["note"]) in (row["emotion"], "silence", "no speech")
    assert ("p_" + table["emotion"][judged]).tolist() == p[judged].idxmax(axis=1).tolist()
    assert 0 < judged.sum() < len(table)
    np.testing.assert_allclose(p[judged].sum(axis=1), 1, atol=1e-4)
    assert p[~judged].isna().all(axis=None)


def test_predict_over_time_goes_on_after_a_bad_file(
    conversation: Path, bad: dict[Path, str], tmp_path: Path, command: Command
) -> None:
    target, picture = tmp_path / "all.csv", tmp_path / "a.png"
    status, out, err = command("predict", *bad, conversation, "--every", "3", "--out", target)
    assert status == 1
    assert len(err.splitlines()) == len(bad)
    for line, (path, why) in zip(err.splitlines(), bad.items(), strict=True):
        assert line.startswith(f"sercourse: {path}: ")
        assert why in line
    assert out.startswith(str(conversation))
    assert set(pd.read_csv(target)["path"]) == {str(conversation)}
    target.unlink()
    silent = ("predict", tmp_path / "silent.wav", "--every", "1", "--json")
    done = command(*silent, "--out", target, "--plot", picture)
    assert (done.status, json.loads(done.out)) == (1, [])
    assert not target.exists()
    assert not picture.exists()


def test_predict_over_time_says_where_a_recording_is_clipped(
    conversation: Path, tmp_path: Path, command: Command
) -> None:
    y = audio.normalize_peak(audio.read(conversation, sr=16_000))
    y[-64_000:] = np.clip(10 * y[-64_000:], -1, 1)
    soundfile.write(tmp_path / "a.wav", y, 16_000)
    err = command("predict", tmp_path / "a.wav", "--every", "4").err
    assert f"{tmp_path / 'a.wav'}: clipped in 1 of 3 windows" in err


def test_predict_over_time_draws_a_picture(
    conversation: Path, tmp_path: Path, command: Command
) -> None:
    target = tmp_path / "a.png"
    argv = ["predict", conversation, "--every", "2", "--window", "2", "--plot", target]
    assert command(*argv).status == 0
    with Image.open(target) as image:
        assert image.width > image.height > 300
        shades = {colour for _, colour in image.convert("RGB").getcolors(2**24)}
    known = {tuple(round(255 * each) for each in to_rgb(c)) for c in EMOTION_COLOURS.values()}
    assert shades & known
