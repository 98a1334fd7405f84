"""What commands write: never over what they read, never outside the cache, and ~ is home."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Command, posix
from sercourse import bundles, corpora, features, fetch
from sercourse.cli import main


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sample_ravdess: Path) -> Path:
    """Three clips of speech in ./d, and a table of them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "d").mkdir()
    rows = ["path,emotion"]
    for emotion, code in {"sad": "04", "happy": "03", "angry": "05"}.items():
        clip = next(sample_ravdess.rglob(f"03-01-{code}-*.ogg"))
        shutil.copy(clip, tmp_path / "d" / f"{emotion}.ogg")
        rows.append(f"{emotion}.ogg,{emotion}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    (tmp_path / "link.csv").symlink_to("labels.csv")
    shutil.copy(tmp_path / "d" / "sad.ogg", tmp_path / "other.wav")
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        "scan d --csv labels.csv --out labels.csv",
        "scan d --csv labels.csv --out link.csv",
        "scan d --csv link.csv --out d/../labels.csv",
        "scan d --csv labels.csv --out d/sad.ogg",
        "features d --csv labels.csv --set statistics --out d/sad.ogg",
        "features d --csv labels.csv --set statistics --out labels.csv",
        "evaluate svm d --csv labels.csv --protocol random --json d/sad.ogg",
        "evaluate svm d --csv labels.csv --protocol random --json labels.csv",
        "predict d --every 1 --out d/sad.ogg",
        "predict d/sad.ogg --every 1 --out other.wav",
        "predict d/sad.ogg --every 1 --enrol d --out d/happy.ogg",
        "predict d/sad.ogg --every 1 --model model --out model/predictions.csv",
        "record other.wav",
    ],
)
def test_nothing_that_is_read_is_overwritten(
    corpus: Path, refuse: Callable[..., str], words: str, root: Path
) -> None:
    if "--model" in words:
        shutil.copytree(root / "models" / "ravdess-svm-classic", corpus / "model")
    before = {path: path.read_bytes() for path in corpus.rglob("*") if path.is_file()}
    assert "not overwritten" in refuse(*words.split())
    assert {path: path.read_bytes() for path in corpus.rglob("*") if path.is_file()} == before


def test_an_earlier_output_is_replaced_also_inside_the_corpus(corpus: Path) -> None:
    for _ in range(2):
        assert main(["scan", "d", "--csv", "labels.csv", "--out", "d/clips.csv"]) == 0
    assert (corpus / "d" / "clips.csv").read_text().startswith("clip_id,")


@pytest.mark.parametrize(
    ("words", "made"),
    [
        ("scan d --csv ~/labels.csv --out ~/a/clips.csv", "a/clips.csv"),
        ("features ~/d --csv labels.csv --jobs 1 --set statistics --out ~/f.npz", "f.npz"),
        ("predict ~/d --every 1 --out ~/w.csv", "w.csv"),
    ],
)
def test_home_is_understood_in_options(
    corpus: Path, monkeypatch: pytest.MonkeyPatch, words: str, made: str
) -> None:
    home = corpus / "home"
    shutil.copytree(corpus / "d", home / "d")
    shutil.copytree(corpus / "d", home, dirs_exist_ok=True)
    shutil.copy(corpus / "labels.csv", home)
    monkeypatch.setenv("SERCOURSE_CACHE", "~/cache")
    assert main(words.split()) in (0, 1)
    assert (home / made).is_file()
    assert not (corpus / "~").exists()
    assert (home / "cache").is_dir() == words.startswith("features")


@posix
def test_features_go_to_a_pipe(corpus: Path) -> None:
    argv = [sys.executable, "-m", "sercourse", "features", "d", "--csv", "labels.csv"]
    argv += ["--set", "statistics", "--out", "/dev/stdout"]
    done = subprocess.run(argv, capture_output=True, check=True)
    assert done.stdout.startswith(b"PK")
    assert b"/dev/stdout: 3 clips" in done.stdout
    assert not Path("/dev/stdout.npz").exists()


def test_a_cache_that_is_a_file_costs_a_sentence_only(
    corpus: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.setenv("SERCOURSE_CACHE", str(corpus / "labels.csv"))
    words = "features d --csv labels.csv --set statistics --out f.npz --jobs 1"
    status, _, err = command(*words.split())
    assert status == 0
    (said,) = err.splitlines()
    assert said.startswith("sercourse: ")
    assert "not kept there" in said
    assert (corpus / "f.npz").is_file()


GUARD = """
import sys
def watch(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        print("network:", event, args, file=sys.stderr)
sys.addaudithook(watch)
from sercourse import bundles, corpora, experiment, features, fetch
from sercourse.cli import main
for line in sys.argv[1:]:
    assert main(line.split()) == 0, line
"""


def test_predict_leaves_nothing_in_an_empty_home_and_asks_nobody(
    corpus: Path, tmp_path: Path
) -> None:
    (corpus / "home").mkdir()
    variables = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SERCOURSE_", "XDG_", "ORT_"))
    }
    lines = ["predict d", "predict d --json --every 1 --out w.csv", "models"]
    argv = [sys.executable, "-c", GUARD, *lines]
    if shutil.which("strace"):  # native code does not pass by the hook
        calls = "connect,sendto,sendmsg,sendmmsg"
        spy = ["strace", "-f", "--seccomp-bpf", "-qq", "-e", f"trace={calls}"]
        argv = [*spy, "-o", str(tmp_path / "calls"), *argv]
    done = subprocess.run(argv, env=variables, cwd=corpus, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "network:" not in done.stderr
    if shutil.which("strace"):
        assert "AF_INET" not in (tmp_path / "calls").read_text()
    assert list((corpus / "home").rglob("*")) == []


@pytest.mark.parametrize("first", ["sercourse", "sercourse.bundles.bundle", "sercourse.cli"])
def test_telemetry_is_off_whoever_imports_the_package_first(first: str) -> None:
    code = (
        f"import os, sys; import {first}; assert 'onnxruntime' not in sys.modules;"
        "print(os.environ['ORT_DISABLE_TELEMETRY'])"
    )
    variables = {name: value for name, value in os.environ.items() if not name.startswith("ORT_")}
    argv = [sys.executable, "-c", code]
    said = subprocess.run(argv, env=variables, capture_output=True, text=True, check=True).stdout
    assert said == "1\n"


def test_home_is_understood_by_functions(corpus: Path, root: Path) -> None:
    home = corpus / "home"
    shutil.copytree(corpus / "d", home / "d")
    shutil.copy(corpus / "labels.csv", home / "d")
    shutil.copytree(root / "models" / "ravdess-svm-classic", home / "model")
    scan = corpora.scan("~/d", corpus="custom", csv="~/d/labels.csv")
    assert len(scan.clips) == 3
    assert corpora.folder("d", "~") == home / "d"
    told = {"feature_set": features.named("statistics"), "fingerprint": "x"}
    table = features.feature_table(scan.clips, feature_set=told["feature_set"], cache="~/rows")
    features.save_features(table, "~/f.npz", **told)
    assert (home / "f.npz").is_file()
    assert bundles.load("~/model").folder == home / "model"
    with pytest.raises(FileExistsError, match="holds files"):
        fetch.fetch("ravdess", to="~/d")
    bundles.save("~/new", info={}, contents={"a": "b"})
    made = {path.name for path in home.iterdir()}
    assert made == {"d", "model", "rows", "f.npz", "new"}
    assert not (corpus / "~").exists()
