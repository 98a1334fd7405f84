"""`scan`, `fetch` and `features` as a user types them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile as sf

from conftest import Command

Refuse = Callable[..., str]


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
    corpus: Path, tmp_path: Path, command: Command
) -> None:
    scan = ("scan", corpus, "--corpus", "aesdd")
    assert command(*scan).out.splitlines() == [
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
    names, out = ["a01 (1)", "a01 (2)", "s01 (2)"], tmp_path / "new" / "clips.csv"
    done = command(*scan, "--out", out, "--json")
    assert [row["clip_id"] for row in json.loads(done.out)] == names
    assert pd.read_csv(out)["clip_id"].tolist() == names


def test_scan_of_broken_files_only(tmp_path: Path, command: Command) -> None:
    (tmp_path / "a02 (1).wav").touch()
    status, out, err = command("scan", tmp_path, "--corpus", "aesdd")
    assert status == 2
    assert "no clip can be used; 1 are left out" in err
    assert "left out       1" in out


@pytest.mark.parametrize("name", ["scan", "features"])
def test_options_of_own_tables(tmp_path: Path, command: Command, name: str) -> None:
    rng = np.random.default_rng(0)
    for stem in "ab":
        sf.write(tmp_path / f"{stem}.wav", rng.uniform(-0.5, 0.5, 16_000), 16_000)
    (tmp_path / "lists").mkdir()
    (tmp_path / "labels.txt").write_text("ang=angry\nfru,stressed\n")
    (tmp_path / "lists" / "t.csv").write_text("file,label,mood\na,fru,1\na,ang,1\na,fru,1\nb,x,2\n")
    out = tmp_path / "out"
    words = [name, tmp_path / "lists", "--csv", tmp_path / "lists" / "t.csv"]
    words += ["--audio-root", tmp_path, "--labels", tmp_path / "labels.txt", "--map", "x=polite"]
    words += ["--out", out] if name == "scan" else ["--set", "statistics", "--out", out]
    status, *shown = command(*words, "--raters", "majority")
    assert status == 0
    assert "columns that are not understood: mood" in "".join(shown)
    assert "labels beside the nine emotions: polite, stressed" in "".join(shown)
    assert "1 clips were decided by majority" in "".join(shown)
    if name == "scan":
        assert pd.read_csv(out)["emotion"].tolist() == ["stressed", "polite"]


@pytest.mark.parametrize(
    "words",
    [
        ["scan"],
        ["features", "--set", "statistics", "--out", "x.npz"],
        ["evaluate", "--protocol", "random", "svm-classic"],
        ["train", "--out", "model", "svm-classic"],
        ["search"],
    ],
)
def test_a_table_without_a_usable_row_ends_with_status_2(
    tmp_path: Path, command: Command, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.wav").touch()
    (tmp_path / "t.csv").write_text("path,emotion\na.wav,sad\nnone.wav,sad\n")
    status, out, err = command(*words, ".", "--csv", "t.csv")
    assert status == 2
    assert "t.csv: no clip can be used; 2 are left out" in err
    assert "none.wav: no such file" in out + err
    assert not (tmp_path / "x.npz").exists()


@pytest.mark.parametrize("content", ["=angry\n", "{ang}"])
def test_a_file_of_labels_that_is_none(tmp_path: Path, refuse: Refuse, content: str) -> None:
    (tmp_path / "labels.txt").write_text(content)
    words = ["scan", tmp_path, "--corpus", "custom", "--labels", tmp_path / "labels.txt"]
    assert "labels.txt: " in refuse(*words)


def test_an_output_that_is_a_folder_is_refused(corpus: Path, refuse: Refuse) -> None:
    said = refuse("scan", corpus, "--corpus", "aesdd", "--out", corpus)
    assert said.endswith("give the name of a file")


def test_fetch_says_what_to_do_and_checks_what_is_there(
    tmp_path: Path, corpus: Path, command: Command
) -> None:
    status, out, _ = command("fetch", "aesdd", "--to", tmp_path / "none")
    assert status == 1
    assert "file locker" in out
    status, out, _ = command("fetch", "aesdd", "--to", corpus)
    assert status == 1
    assert "3 clips, 2 files left out\nhappy: 0 clips found, 119 expected" in out


def test_fetch_brings_what_is_not_there_and_tells_its_terms(
    tmp_path: Path, command: Command, refuse: Refuse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_clip(name: str, *, to: Path) -> None:
        to.mkdir()
        sf.write(to / "03a01Fa.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 16_000), 16_000)

    monkeypatch.setattr("sercourse.fetch.fetch", one_clip)
    status, out, err = command("fetch", "emodb", "--to", tmp_path / "new")
    assert status == 1, err
    assert "1 clips, 0 files left out\n" in out
    assert "happy: 1 clips found, 71 expected" in out
    assert "Licence: " in out
    (file := tmp_path / "file").touch()
    assert "is a file: give the name of a folder" in refuse("fetch", "emodb", "--to", file)


def test_fetch_is_content_with_a_complete_corpus(aesdd_root: Path, command: Command) -> None:
    status, out, _ = command("fetch", "aesdd", "--to", aesdd_root)
    assert status == 0
    assert "602 clips, 2 files left out\ncomplete\n" in out


def test_features_of_a_corpus(corpus: Path, tmp_path: Path, command: Command) -> None:
    out = tmp_path / "out" / "x.npz"
    words = ["features", corpus, "--corpus", "aesdd", "--set", "statistics", "--out", out]
    assert "a02 (1).wav: empty file" in command(*words).err
    with np.load(out, allow_pickle=False) as arrays:
        assert arrays["X"].shape == (3, 200)
        assert arrays["feature_names"][0] == "zcr_mean"
        assert arrays["clip_id"].tolist() == ["a01 (1)", "a01 (2)", "s01 (2)"]
    sf.write(corpus / "a03 (1).wav", np.full(16_000, np.nan), 16_000, subtype="FLOAT")
    status, _, err = command(*words)
    assert status == 1
    assert "a03 (1).wav: NaN samples" in err
    with np.load(out, allow_pickle=False) as arrays:
        assert len(arrays["X"]) == len(arrays["clip_id"]) == 3


def test_features_go_part_by_part_into_a_folder(
    corpus: Path, tmp_path: Path, command: Command, refuse: Refuse
) -> None:
    pytest.importorskip("pyarrow")
    words = ["features", corpus, "--corpus", "aesdd", "--set", "statistics"]
    assert "--out FILE.npz or --parts DIR" in refuse(*map(str, words))
    for _ in range(2):  # the second time there is nothing left to do
        done = command(*words, "--parts", tmp_path / "parts")
        assert done.out == f"{tmp_path / 'parts'}: 3 clips x 200 features\n"
    assert len(pd.read_parquet(tmp_path / "parts")) == 3


def test_the_cache_is_listed_and_cleared(
    corpus: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERCOURSE_CACHE", str(tmp_path / "kept"))
    words = ["features", corpus, "--corpus", "aesdd", "--set", "statistics"]
    command(*words, "--out", tmp_path / "x.npz")
    listed, total = command("cache").out.splitlines()
    assert "2 files" in listed  # of two identical clips there is one row
    assert "features/statistics-" in listed
    assert total.endswith(f"MB  in {tmp_path / 'kept'}")
    assert "0.0 MB" in command("cache", "--clear").out
    assert not any((tmp_path / "kept" / "features").iterdir())


@pytest.mark.parametrize(
    ("module", "extra"), [("pandas", "train"), ("papermill", "lessons"), ("keras", "networks")]
)
def test_a_library_that_is_not_installed_is_named_with_its_extra(
    module: str, extra: str, refuse: Refuse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(args: object) -> int:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    monkeypatch.setattr("sercourse.cli.data.scan", missing)
    said = refuse("scan", "data/sample/ravdess")
    assert f"needs {module}, which is not installed: pip install 'sercourse[{extra}]'" in said
