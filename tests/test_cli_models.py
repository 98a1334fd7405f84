"""The commands on models, as a user types them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
from matplotlib.colors import to_rgb
from PIL import Image

from sercourse import audio
from sercourse.cli import main
from sercourse.plots.style import EMOTION_COLOURS

CLIP = "Actor_01/03-01-05-01-01-01-01.ogg"


def refuse(capsys: pytest.CaptureFixture[str], *argv: object) -> str:
    """Run a command that must be refused in one sentence, and return the sentence."""
    assert main([str(arg) for arg in argv]) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("sercourse: ")
    assert "Traceback" not in error
    assert len(error.splitlines()) == 1
    return error


def test_predict_names_the_emotion_with_bars(
    sample_ravdess: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(sample_ravdess / CLIP)]) == 0
    first, *rest = capsys.readouterr().out.splitlines()
    assert first.startswith(str(sample_ravdess / CLIP))
    *bars, voice = rest
    assert len(bars) == 8
    assert voice.strip().startswith("voice: male")
    assert "█" in rest[0]
    assert first.endswith(rest[0].split()[0])


def test_predict_as_json(sample_ravdess: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(sample_ravdess / "Actor_01"), "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)
    assert len(answers) == 30
    for answer in answers:
        told = {"path", "emotion", "probabilities", "duration", "gender", "gender_probabilities"}
        assert set(answer) == {*told, "speech"}
        assert answer["speech"]
        probabilities = answer["probabilities"]
        likeliest = max(probabilities, key=probabilities.get)
        assert answer["emotion"] == (likeliest if probabilities[likeliest] >= 0.25 else "unknown")
        assert sum(probabilities.values()) == pytest.approx(1, abs=1e-5)
        assert 0.5 < answer["duration"] < 6


def test_predict_with_enrolment(sample_ravdess: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = str(sample_ravdess / CLIP)
    for extra in ([], ["--enrol", str(sample_ravdess / "Actor_01")]):
        assert main(["predict", clip, "--json", *extra]) == 0
    plain, enrolled = capsys.readouterr().out.strip().split("]\n[")
    assert plain.strip("[] \n") != enrolled.strip("[] \n")


def test_predict_goes_on_after_a_bad_file(
    sample_ravdess: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = {
        "empty.wav": b"",
        "text.wav": b"not a sound\n" * 40,
    }
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
    soundfile.write(tmp_path / "silent.wav", np.zeros(32_000), 16_000)
    soundfile.write(tmp_path / "short.wav", np.full(800, 0.1), 16_000)
    soundfile.write(tmp_path / "nan.wav", np.full(32_000, np.nan), 16_000, subtype="FLOAT")
    names = [*bad, "silent.wav", "short.wav", "nan.wav", "missing.wav"]
    paths = [str(tmp_path / name) for name in names]
    assert main(["predict", *paths, str(sample_ravdess / CLIP), "--json"]) == 1
    out, err = capsys.readouterr()
    assert [Path(answer["path"]).name for answer in json.loads(out)] == [Path(CLIP).name]
    lines = err.strip().splitlines()
    assert len(lines) == len(names)
    for name, line, word in zip(
        names,
        lines,
        ["empty", "not a sound", "silence", "too short", "NaN", "no such file"],
        strict=True,
    ):
        assert name in line
        assert word.lower() in line.lower()
        assert line.count(str(tmp_path / name)) == 1


def test_predict_any_rate_and_channels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    for sr, channels in ((4_000, 1), (192_000, 1), (44_100, 8)):
        t = np.arange(2 * sr) / sr
        y = 0.2 * np.sin(2 * np.pi * 170 * t) * (1 + np.sin(2 * np.pi * 3 * t))
        y = y[:, np.newaxis] + 0.01 * rng.normal(size=(len(t), channels))
        soundfile.write(tmp_path / f"{sr}.wav", y, sr)
    assert main(["predict", str(tmp_path), "--json"]) == 0
    assert [round(each["duration"], 2) for each in json.loads(capsys.readouterr().out)] == [2.0] * 3


def test_predict_refuses_what_a_user_can_mistype(
    sample_ravdess: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = sample_ravdess / CLIP
    assert "no model 'none'" in refuse(capsys, "predict", clip, "--model", "none")
    assert "no sound file" in refuse(capsys, "predict", clip, "--enrol", tmp_path)


def test_predict_overwrites_no_recording_of_a_folder(
    sample_ravdess: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = Path(shutil.copy(sample_ravdess / CLIP, tmp_path / "mine.ogg"))
    before = mine.read_bytes()
    argv = ("predict", tmp_path, "--every", "1", "--csv", mine)
    assert "not overwritten" in refuse(capsys, *argv)
    assert mine.read_bytes() == before


@pytest.mark.parametrize("options", [["--json"], ["--every", "1", "--csv"]])
def test_predict_keeps_what_was_finished_when_it_is_interrupted(
    options: list[str],
    sample_ravdess: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read, paths = audio.read, [sample_ravdess / CLIP, tmp_path / "next.wav"]

    def interrupted(path: Path, **settings: Any) -> np.ndarray:
        if Path(path) == paths[1]:
            raise KeyboardInterrupt
        return read(path, **settings)

    blocks = audio.blocks
    monkeypatch.setattr(audio, "read", interrupted)
    monkeypatch.setattr(
        audio, "blocks", lambda path, **each: iter([interrupted(path, sr=each["sr"])])
    )
    table = tmp_path / "table.csv"
    options = [*options, str(table)] if "--csv" in options else options
    assert main(["predict", *map(str, paths), *options]) == 130
    monkeypatch.setattr(audio, "blocks", blocks)
    told = capsys.readouterr().out if "--json" in options else table.read_text()
    assert CLIP in told


def test_an_empty_argument_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "an argument is empty" in refuse(capsys, "predict", "")


@pytest.mark.parametrize("jobs", ["0", "-2", "many"])
def test_processes_are_counted_from_one(jobs: str, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ("evaluate", "svm", "x", "--protocol", "random", "--jobs", jobs)
    assert "argument --jobs: " in refuse(capsys, *argv)


def test_enrolment_leaves_out_clips_without_a_voice(
    sample_ravdess: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(sample_ravdess / CLIP, tmp_path / "a.ogg")
    soundfile.write(tmp_path / "silent.wav", np.zeros(32_000), 16_000)
    assert main(["predict", str(sample_ravdess / CLIP), "--enrol", str(tmp_path)]) == 0
    assert f"left out: {tmp_path / 'silent.wav'}: silence" in capsys.readouterr().err


def test_predict_goes_on_after_an_empty_folder(
    sample_ravdess: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    argv = ["predict", str(tmp_path / "empty"), str(sample_ravdess / CLIP), "--json"]
    assert main(argv) == 1
    told = capsys.readouterr()
    assert len(json.loads(told.out)) == 1
    assert told.err == f"sercourse: {tmp_path / 'empty'}: there is no sound file in this folder\n"
    assert main([*argv[:-1], "--every", "1"]) == 1
    assert str(sample_ravdess / CLIP) in capsys.readouterr().out


def test_models_lists_what_they_know_and_how_good_they_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["models"]) == 0
    out = capsys.readouterr().out
    assert "ravdess-svm" in out
    assert "neutral, calm, happy" in out
    assert "speaker, 8 emotions" in out


def test_evaluate_writes_its_json(
    sample_ravdess: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "result.json"
    argv = ["evaluate", "svm-classic", str(sample_ravdess), "--corpus", "ravdess"]
    argv += ["--protocol", "random", "--seeds", "2", "--emotions", "sad,anger,ps"]
    assert main([*argv, "--json", str(target)]) == 0
    told = json.loads(target.read_text("utf-8"))
    assert told["emotions"] == ["sad", "angry", "surprised"]
    assert [fold["seed"] for fold in told["folds"]] == [0, 1]
    assert told["accuracy"] == pytest.approx(np.mean([f["accuracy"] for f in told["folds"]]))
    assert told["accuracy"] > 2 * told["chance"]
    assert f" {100 * told['accuracy']:.1f} " in capsys.readouterr().out


def test_evaluate_runs_chosen_folds_without_some_speakers(
    sample_ravdess: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "result.json"
    argv = ["evaluate", "svm-classic", str(sample_ravdess), "--corpus", "ravdess"]
    argv += ["--protocol", "speaker", "--folds", "fold 2, fold 3", "--json", str(target)]
    assert main([*argv, "--leave-out", "ravdess-01,ravdess-02"]) == 0
    told = json.loads(target.read_text("utf-8"))
    assert [fold["fold"] for fold in told["folds"]] == ["fold 2", "fold 3"]
    assert told["n_clips"] == 300
    assert "speaker (2 of " in capsys.readouterr().out
    said = refuse(capsys, *argv, "--leave-out", "actor 1")
    assert "there is no speaker 'actor 1'" in said


def test_train_makes_a_bundle_that_predicts(
    sample_ravdess: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["train", "svm-classic", str(sample_ravdess), "--corpus", "ravdess"]
    argv += ["--out", str(tmp_path / "mine"), "--measure", "random:happy,sad"]
    assert main(argv) == 0
    assert "synthetic" in (tmp_path / "mine" / "README.md").read_text("utf-8")
    assert main(["predict", str(sample_ravdess / CLIP), "--model", str(tmp_path / "mine")]) == 0
    assert "saved" in capsys.readouterr().out


def test_evaluate_and_train_refuse_before_they_work(
    sample_ravdess: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = (sample_ravdess, "--corpus", "ravdess")
    said = refuse(capsys, "evaluate", "svn", *corpus, "--protocol", "speaker")
    assert "unknown recipe 'svn': use one of svm-classic, svm" in said
    said = refuse(capsys, "evaluate", "svm", *corpus, "--protocol", "speakers")
    assert "unknown protocol 'speakers'" in said
    said = refuse(
        capsys, "evaluate", "svm", *corpus, "--protocol", "random", "--emotions", "sad,merry"
    )
    assert "the corpus has no clip of merry" in said
    said = refuse(capsys, "evaluate", "svm-classic", *corpus, "--protocol", "random", "--seeds", 0)
    assert "argument --seeds: 0: give a whole number from 1" in said
    said = refuse(
        capsys, "evaluate", "svm", tmp_path / "nowhere", *corpus[1:], "--protocol", "random"
    )
    assert "nowhere" in said
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    said = refuse(capsys, "train", "svm", *corpus, "--out", tmp_path / "full")
    assert "nothing is overwritten" in said
    (tmp_path / "file").write_text("mine")
    said = refuse(capsys, "train", "svm", *corpus, "--out", tmp_path / "file" / "model")
    assert str(tmp_path / "file") in said


@pytest.fixture
def both(sample_ravdess: Path, sample_aesdd: Path) -> list[str]:
    return [f"ravdess={sample_ravdess}", f"aesdd={sample_aesdd}"]


def test_several_corpora_are_measured_and_trained_on(
    both: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "result.json"
    argv = ["evaluate", "svm-classic", *both, "--protocol", "corpus+enrol", "--json", str(target)]
    assert main(argv) == 0
    told, out = json.loads(target.read_text("utf-8")), capsys.readouterr().out
    assert set(told["by_corpus"]) == {"aesdd", "ravdess"}
    assert "learnt from ravdess; shared emotions only: happy, sad, angry, fearful, disgust" in out
    argv = ["train", "svm-classic", both[0], "--test", both[1], "--out", str(tmp_path / "mine")]
    assert main([*argv, "--measure", "corpus", "--measure", "random", "--seeds", "1"]) == 0
    assert "low  high" in capsys.readouterr().out
    told = json.loads((tmp_path / "mine" / "bundle.json").read_text("utf-8"))
    assert (told["corpus"]["name"], told["corpus"]["n_clips"]) == ("ravdess", 360)
    told = json.loads((tmp_path / "mine" / "metrics.json").read_text("utf-8"))
    assert [entry["corpus"] for entry in told["protocols"]] == ["aesdd+ravdess", "ravdess"]


def test_a_folder_with_an_equals_sign_is_a_folder(
    sample_ravdess: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = tmp_path / "a=b"
    shutil.copytree(sample_ravdess, odd)
    argv = ["--protocol", "random", "--seeds", "1"]
    assert main(["evaluate", "svm-classic", str(odd), "--corpus", "ravdess", *argv]) == 0
    first = capsys.readouterr().out
    assert main(["evaluate", "svm-classic", f"ravdess={odd}", *argv]) == 0
    assert capsys.readouterr().out == first


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
        (["{ravdess}", "aesdd={aesdd}", "--table", "x.csv"], "a CSV labels a custom corpus"),
        (["{ravdess}", "--test", "aesdd={aesdd}", "--protocol", "speaker"], "knows no --test"),
    ],
)
def test_corpora_that_cannot_be_joined_are_refused(
    argv: list[str],
    message: str,
    sample_ravdess: Path,
    sample_aesdd: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    own = corpus_of(tmp_path / "own", [f"me{k}_bored" for k in range(3)])
    told = {"ravdess": f"ravdess={sample_ravdess}", "aesdd": sample_aesdd, "tmp": tmp_path}
    typed = [each.format(**told, own=own) for each in argv]
    # Of two protocols the last one counts.
    assert main(["evaluate", "--protocol", "corpus", "svm-classic", *typed]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("sercourse: ")
    assert message in error


def corpus_of(folder: Path, names: list[str]) -> Path:
    """Write a noise for each name."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    for name in names:
        soundfile.write(folder / f"{name}.wav", 0.1 * rng.normal(size=16_000), 16_000)
    return folder


def test_a_corpus_that_cannot_be_learned_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one_emotion = corpus_of(tmp_path / "one", [f"a{k}_sad" for k in range(6)])
    said = refuse(
        capsys, "evaluate", "svm-classic", one_emotion, "--corpus", "custom", "--protocol", "random"
    )
    assert "1 emotion" in said
    actor = [f"03-01-0{e}-01-0{s}-0{r}-01" for e in (3, 4) for s in (1, 2) for r in (1, 2)]
    one_speaker = corpus_of(tmp_path / "voice", actor)
    said = refuse(
        capsys,
        "evaluate",
        "svm-classic",
        one_speaker,
        "--corpus",
        "ravdess",
        "--protocol",
        "speaker",
    )
    assert "one speaker" in said


@pytest.fixture
def conversation(tmp_path: Path, sample_ravdess: Path) -> Path:
    """Return a recording of 12 s: a clip, a pause, and another clip."""
    paths = [sample_ravdess / CLIP, sample_ravdess / CLIP.replace("-05-", "-04-")]
    one, other = (audio.pad(audio.read(path, sr=16_000), length=64_000) for path in paths)
    path = tmp_path / "conversation.wav"
    soundfile.write(path, np.concatenate([one, np.zeros(64_000), other]), 16_000)
    return path


def test_predict_over_time_prints_a_line_for_each_window(
    conversation: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(conversation), "--every", "1.0"]) == 0
    out, err = capsys.readouterr()
    first, *rest = out.splitlines()
    assert first == f"{conversation}  windows of 3 s every 1 s"
    assert rest[0].split() == ["start", "end", "emotion", "probability"]
    windows = [line.split(maxsplit=2) for line in rest[1:]]
    assert [start for start, *_ in windows] == [f"{start}.0" for start in range(10)]
    pauses = [line for line in rest[1:] if "%" not in line]
    assert any(line.rstrip().endswith("(silence)") for line in pauses)
    assert all(line.rstrip().endswith(("(silence)", "(no speech)")) for line in pauses)
    assert 0 < len(pauses) < 10
    assert err == ""


def test_predict_over_time_as_json_and_csv(
    conversation: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "new" / "a.csv"
    argv = ["predict", str(conversation), "--every", "1", "--json", "--csv", str(target)]
    assert main(argv) == 0
    (answer,) = json.loads(capsys.readouterr().out)
    assert (answer["path"], answer["every"], answer["window"]) == (str(conversation), 1.0, 3.0)
    table = pd.read_csv(target)
    labels = list(table.columns[3:-2])
    assert list(table.columns[:3]) == ["start", "end", "emotion"]
    assert list(table.columns[-2:]) == ["note", "path"]
    assert table["start"].tolist() == list(range(10))
    for row, window in zip(table.itertuples(), answer["over_time"], strict=True):
        assert (row.start, row.end) == (window["start"], window["end"])
        if window["emotion"] is None:
            assert pd.isna(row.emotion)
            assert window["note"] in ("silence", "no speech")
            continue
        assert row.emotion == window["emotion"]
        assert f"p_{row.emotion}" == max(labels, key=lambda label: window[label])
    p = table.filter(like="p_").to_numpy()
    judged = table["emotion"].notna().to_numpy()
    assert 0 < judged.sum() < len(table)
    np.testing.assert_allclose(p[judged].sum(axis=1), 1, atol=1e-4)
    assert np.isnan(p[~judged]).all()
    assert [path.name for path in target.parent.iterdir()] == ["a.csv"]


def test_predict_over_time_goes_on_after_a_bad_file(
    conversation: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "silent.wav", np.zeros(80_000), 16_000)
    soundfile.write(tmp_path / "noise.wav", 0.01 * rng.normal(size=80_000), 16_000)
    soundfile.write(tmp_path / "short.wav", 0.1 * rng.normal(size=800), 16_000)
    (tmp_path / "text.wav").write_text("not a sound" * 99)
    reasons = {
        "silent.wav": "nothing in it can be judged: silence",
        "noise.wav": "nothing in it can be judged: no speech",
        "short.wav": "nothing in it can be judged: too short",
        "text.wav": "not a sound file",
        "missing.wav": "no such file",
    }
    target = tmp_path / "all.csv"
    paths = [str(tmp_path / name) for name in reasons]
    argv = ["predict", *paths, str(conversation), "--every", "3", "--csv", str(target)]
    assert main(argv) == 1
    out, err = capsys.readouterr()
    expected = [f"sercourse: {tmp_path / name}: {why}" for name, why in reasons.items()]
    assert err.splitlines() == expected
    assert out.startswith(str(conversation))
    table = pd.read_csv(target)
    assert set(table["path"]) == {str(conversation)}


def test_predict_over_time_of_nothing_leaves_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write(tmp_path / "silent.wav", np.zeros(80_000), 16_000)
    targets = [str(tmp_path / name) for name in ("a.csv", "a.png")]
    argv = ["predict", str(tmp_path / "silent.wav"), "--every", "1", "--json"]
    assert main([*argv, "--csv", targets[0], "--plot", targets[1]]) == 1
    assert json.loads(capsys.readouterr().out) == []
    assert [path.name for path in tmp_path.iterdir()] == ["silent.wav"]


def test_predict_over_time_says_where_a_recording_is_clipped(
    conversation: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    y = audio.normalize_peak(audio.read(conversation, sr=16_000))
    y[-64_000:] = np.clip(10 * y[-64_000:], -1, 1)
    soundfile.write(tmp_path / "a.wav", y, 16_000)
    assert main(["predict", str(tmp_path / "a.wav"), "--every", "4"]) == 0
    assert f"{tmp_path / 'a.wav'}: clipped in 1 of 3 windows" in capsys.readouterr().err


def test_predict_over_time_draws_a_picture(conversation: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.png"
    argv = ["predict", str(conversation), "--every", "2", "--window", "2", "--plot", str(target)]
    assert main(argv) == 0
    with Image.open(target) as image:
        assert image.width > image.height > 300
        shades = {colour for _, colour in image.convert("RGB").getcolors(2**24)}
    known = {tuple(round(255 * each) for each in to_rgb(c)) for c in EMOTION_COLOURS.values()}
    assert shades & known


def test_predict_over_time_refuses_what_a_user_can_mistype(
    conversation: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(*argv: object) -> str:
        return refuse(capsys, "predict", conversation, *argv)

    for every in ("0", "-1", "nan"):
        assert f"every {float(every):g} s: give" in said("--every", every)
    assert "a window of 20 s" in said("--every", 1, "--window", 20)
    for option, value in (("--plot", "a.png"), ("--window", 2)):
        assert "are about emotions over time: add --every" in said(option, value)
    assert "ends with .png, .svg" in said("--every", 1, "--plot", tmp_path / "a.xyz")
    assert "is a folder" in said("--every", 1, "--csv", tmp_path)
    assert "not overwritten" in said("--every", 1, "--csv", conversation)
    (tmp_path / "file").write_text("mine")
    blocked = tmp_path / "file" / "a.csv"
    assert str(blocked) in said("--every", 1, "--csv", blocked)
    twice = said(conversation, "--every", 1, "--plot", tmp_path / "a.png")
    assert "--plot draws one recording and 2 are given" in twice
