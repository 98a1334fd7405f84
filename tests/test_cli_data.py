from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile as sf

from sercourse.cli import main


def run(*words: object) -> int:
    return main([str(word) for word in words])


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Three clips of AESDD, two of them identical, and two files that cannot be used."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a01 (1)", "s01 (2)"):
        sf.write(folder / f"{name}.wav", rng.uniform(-0.5, 0.5, 16_000), 16_000)
    (folder / "a01 (2).wav").write_bytes((folder / "a01 (1).wav").read_bytes())
    (folder / "a02 (1).wav").touch()
    (folder / "hello.wav").touch()
    return folder


def test_scan_prints_counts_identical_clips_and_every_reject(
    corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("scan", corpus, "--corpus", "aesdd") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "clips          3, 0.1 minutes",
        "speakers       2",
        "gender         unknown x 3",
        "emotion        angry x 2, sad x 1",
        "sample_rate    16000 x 3",
        "channels       1 x 3",
        "split          unknown x 3",
        "durations [s]  1.00 to 1.00, mean 1.00",
        "identical      a01 (1) = a01 (2)",
        "left out       2",
        f"  {corpus / 'a02 (1).wav'}: empty file",
        f"  {corpus / 'hello.wav'}: name does not follow the AESDD rule",
    ]


def test_scan_writes_the_table(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "clips.csv"
    assert run("scan", corpus, "--corpus", "aesdd", "--csv", out) == 0
    assert pd.read_csv(out)["clip_id"].tolist() == ["a01 (1)", "a01 (2)", "s01 (2)"]


def test_scan_of_broken_files_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a02 (1).wav").touch()
    assert run("scan", tmp_path, "--corpus", "aesdd") == 2
    told = capsys.readouterr()
    assert "no clip can be used; 1 are left out" in told.err
    assert "left out       1" in told.out


def test_scan_of_custom_clips_by_csv(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sf.write(tmp_path / "x.wav", np.ones(800), 8_000)
    (tmp_path / "my.csv").write_text("path,emotion,split\nx.wav,joy,train\n")
    assert run("scan", tmp_path, "--table", tmp_path / "my.csv") == 0
    shown = capsys.readouterr().out
    assert "speakers       0" in shown
    assert "split          train x 1" in shown


@pytest.mark.parametrize("command", ["scan", "features"])
def test_options_of_own_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    rng = np.random.default_rng(0)
    for name in "ab":
        sf.write(tmp_path / f"{name}.wav", rng.uniform(-0.5, 0.5, 16_000), 16_000)
    (tmp_path / "lists").mkdir()
    (tmp_path / "labels.txt").write_text("ang=angry\nfru,stressed\n")
    (tmp_path / "lists" / "t.csv").write_text("file,label,mood\na,fru,1\na,ang,1\na,fru,1\nb,x,2\n")
    out = tmp_path / "out" / ("c.csv" if command == "scan" else "x.npz")
    words = [command, tmp_path / "lists", "--table", tmp_path / "lists" / "t.csv"]
    words += ["--csv" if command == "scan" else "--out", out]
    words += ["--audio-root", tmp_path, "--labels", tmp_path / "labels.txt", "--map", "x=polite"]
    words += ["--raters", "majority"] + (["--set", "statistics"] if command == "features" else [])
    assert run(*words) == 0
    shown = "".join(capsys.readouterr())
    assert "columns that are not understood: mood" in shown
    assert "labels beside the nine emotions: polite, stressed" in shown
    assert "1 clips were decided by majority" in shown
    if command == "scan":
        assert pd.read_csv(out)["emotion"].tolist() == ["stressed", "polite"]


@pytest.mark.parametrize("command", ["scan", "features", "evaluate", "train", "search"])
def test_a_table_without_a_usable_row_ends_with_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    (tmp_path / "a.wav").touch()
    (tmp_path / "t.csv").write_text("path,emotion\na.wav,sad\nnone.wav,sad\n")
    words = {
        "features": ["--set", "statistics", "--out", str(tmp_path / "x.npz")],
        "evaluate": ["--protocol", "random"],
        "train": ["--out", str(tmp_path / "model")],
    }
    recipe = ["svm-classic"] if command in ("evaluate", "train") else []
    table = [str(tmp_path), "--table", str(tmp_path / "t.csv")]
    assert main([command, *recipe, *table, *words.get(command, [])]) == 2
    shown = capsys.readouterr()
    assert "t.csv: no clip can be used; 2 are left out" in shown.err
    assert "none.wav: no such file" in shown.out + shown.err
    assert not (tmp_path / "x.npz").exists()


@pytest.mark.parametrize("content", ["=angry\n", "{ang}"])
def test_a_file_of_labels_that_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    (tmp_path / "labels.txt").write_text(content)
    assert run("scan", tmp_path, "--corpus", "custom", "--labels", tmp_path / "labels.txt") == 2
    assert "labels.txt: " in capsys.readouterr().err


def test_an_output_that_is_a_folder_is_refused_before_the_work(
    corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("scan", corpus, "--corpus", "aesdd", "--csv", corpus) == 2
    assert capsys.readouterr().err.endswith("give the name of a file\n")


def test_fetch_says_what_to_do_and_checks_what_is_there(
    tmp_path: Path, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("fetch", "aesdd", "--to", tmp_path / "none") == 1
    assert "file locker" in capsys.readouterr().out
    assert run("fetch", "aesdd", "--to", corpus) == 1
    shown = capsys.readouterr().out
    assert "3 clips, 2 files left out\nhappy: 0 clips found, 119 expected" in shown


def test_fetch_is_content_with_a_complete_corpus(
    aesdd_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("fetch", "aesdd", "--to", aesdd_root) == 0
    assert "602 clips, 2 files left out\ncomplete\n" in capsys.readouterr().out


def test_features_of_a_corpus(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out" / "x.npz"
    assert run("features", corpus, "--corpus", "aesdd", "--set", "statistics", "--out", out) == 0
    with np.load(out, allow_pickle=False) as arrays:
        assert arrays["X"].shape == (3, 200)
        assert arrays["feature_names"][0] == "zcr_mean"
        assert arrays["clip_id"].tolist() == ["a01 (1)", "a01 (2)", "s01 (2)"]
    assert "a02 (1).wav: empty file" in capsys.readouterr().err


def test_features_tell_when_a_clip_failed(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sf.write(corpus / "a03 (1).wav", np.full(16_000, np.nan), 16_000, subtype="FLOAT")
    out = tmp_path / "x.npz"
    assert run("features", corpus, "--corpus", "aesdd", "--set", "statistics", "--out", out) == 1
    assert "a03 (1).wav: NaN samples" in capsys.readouterr().err
    with np.load(out, allow_pickle=False) as arrays:
        assert len(arrays["X"]) == len(arrays["clip_id"]) == 3
