"""`check` as a user types it, and what holds for every command: closed pipes, names of files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import fake_sounddevice
import numpy as np
import pytest
import soundfile

from conftest import Command
from sercourse import bundles
from sercourse.cli import lessons


@pytest.fixture
def told(command: Command) -> Callable[[], tuple[int, dict[str, tuple[str, str]]]]:
    """Return a function that runs `check --json`, and gives its status and rows by name."""

    def run() -> tuple[int, dict[str, tuple[str, str]]]:
        done = command("check", "--json")
        rows = json.loads(done.out)
        return done.status, {row["what"]: (row["found"], row["advice"]) for row in rows}

    return run


def test_check_shows_what_is_here(command: Command, tmp_path: Path) -> None:
    status, out, _ = command("check", "--json", tmp_path / "a.json")
    assert status == 0
    rows = json.loads((tmp_path / "a.json").read_text())
    for row in rows:
        assert f"{row['what']:15} {row['found']}" in out
        assert f"-> {row['advice']}" in out or not row["advice"]
    assert [row["found"] for row in rows if row["what"] == "model"] == [
        folder.name for folder in bundles.available()
    ]


def test_check_says_what_to_do_about_what_is_missing(
    told: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: Path
) -> None:
    wanted = [
        "numpy>=2",
        "no-such-base",
        'absent-one>=1; extra == "train"',
        "pandas; extra == 'train'",
    ]
    monkeypatch.setattr(lessons.metadata, "requires", lambda name: wanted)
    monkeypatch.setattr(lessons.shutil, "which", lambda name: None)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setenv("SERCOURSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SERCOURSE_HOME", str(tmp_path))
    monkeypatch.setenv("SERCOURSE_DATA", str(tmp_path / "mine"))
    microphone = fake_sounddevice.Microphone(sound=[])
    monkeypatch.setitem(sys.modules, "sounddevice", fake_sounddevice.module(microphone))
    (tmp_path / "models" / "speech-encoder").mkdir(parents=True)
    (tmp_path / "mine" / "aesdd").mkdir(parents=True)
    (tmp_path / "cache" / "features").mkdir(parents=True)
    (tmp_path / "cache" / "features" / "row").write_bytes(bytes(2_000_000))
    shutil.copytree(root / "models" / "ravdess-svm", tmp_path / "models" / "mine")
    (tmp_path / "models" / "mine" / "bundle.json").write_text("{")
    status, rows = told()
    assert status == 1
    assert rows["libraries"][0].startswith("without no-such-base: numpy ")
    assert rows["extra train"][0].startswith("without absent-one: pandas ")
    assert rows["extra train"][1] == "python -m pip install absent-one"
    assert "install ffmpeg" in rows["ffmpeg"][1]
    assert rows["PortAudio"] == ("found, 1 input devices", "")
    assert rows["corpora"] == ("aesdd in ~/mine", "")
    assert rows["broken model"][0] == "mine"
    assert rows["cache"][0] == "~/cache, 2 MB"


def test_check_without_an_installation(
    told: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str) -> None:
        raise lessons.metadata.PackageNotFoundError

    monkeypatch.setattr(lessons.metadata, "requires", absent)
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    monkeypatch.setenv("SERCOURSE_HOME", str(tmp_path))
    monkeypatch.delenv("SERCOURSE_DATA", raising=False)
    status, rows = told()
    assert "clone the project" in rows["project"][1]
    assert (status, rows["libraries"][0]) == (1, "sercourse is not installed")
    assert "pip install -e" in rows["PortAudio"][1]


@pytest.mark.parametrize(
    "words",
    [
        ["models"],
        ["--help"],
        ["scan", "data/sample/aesdd", "--corpus", "aesdd"],
        ["scan", "data/sample/aesdd", "--corpus", "aesdd", "--json"],
        ["predict", "data/sample/ravdess/Actor_01"],
        ["predict", "no-such-file.wav"],
    ],
)
def test_a_closed_pipe_ends_a_command_quietly(words: list[str], root: Path) -> None:
    argv = [sys.executable, "-m", "sercourse", *words]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(argv, cwd=root, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert done.returncode in (0, 1)
    said = done.stderr.decode()
    assert "Broken" not in said
    assert "Traceback" not in said


def test_names_cannot_command_a_terminal(tmp_path: Path, command: Command) -> None:
    for name in (b"a\x1b[31m_sad.wav", b"b\xff_sad.wav", b"h\xc3\xb6flich_sad.wav"):
        Path(os.fsdecode(bytes(tmp_path) + b"/" + name)).touch()
    _, out, _ = command("scan", tmp_path, "--corpus", "custom")
    assert "a\\x1b[31m_sad.wav: empty file" in out
    assert "b\\udcff_sad.wav: empty file" in out
    assert "höflich_sad.wav: empty file" in out
    _, _, err = command("predict", tmp_path)
    assert "a\\x1b[31m_sad.wav: empty file" in err


def test_a_name_with_a_line_in_it_is_one_line(tmp_path: Path, command: Command) -> None:
    forged = tmp_path / "a_sad.wav: empty file\nother.wav  1.0 s  happy  99.0 %\n_sad.wav"
    forged.parent.mkdir(parents=True, exist_ok=True)
    forged.touch()
    spelt = str(forged).replace("\n", "\\n")
    for asked in (("scan", tmp_path, "--corpus", "custom"), ("predict", tmp_path)):
        _, out, err = command(*asked)
        assert f"{spelt}: empty file" in out + err
        assert not [line for line in (out + err).splitlines() if line.startswith("other.wav")]


def test_names_are_whole_in_what_programs_read(tmp_path: Path, command: Command) -> None:
    name = b"b\xff\xc2\xa0\x1b_sad.wav"
    soundfile.write(bytes(tmp_path) + b"/" + name, np.ones(9), 8_000, format="WAV")
    done = command("scan", tmp_path, "--corpus", "custom", "--json")
    assert json.loads(done.out)[0]["path"] == os.fsdecode(bytes(tmp_path) + b"/" + name)
