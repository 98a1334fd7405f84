"""`listen` and `record` as a user types them; the microphone is a fake one."""

from __future__ import annotations

import re
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fake_sounddevice
import numpy as np
import pytest
import soundfile

from conftest import Command
from sercourse import audio, corpora
from sercourse.cli import live as commands

SR = 16_000
CLIP = "Actor_01/03-01-05-01-01-01-01.ogg"

Plug = Callable[..., fake_sounddevice.Microphone]


@pytest.fixture
def clip(sample_ravdess: Path) -> Path:
    return sample_ravdess / CLIP


@pytest.fixture
def twice(clip: Path, tmp_path: Path) -> Path:
    """Return a recording with two utterances."""
    y, pause = audio.read(clip, sr=SR), np.zeros(SR, dtype=np.float32)
    soundfile.write(tmp_path / "twice.wav", np.concatenate([pause, y, pause, y, pause]), SR)
    return tmp_path / "twice.wav"


@pytest.fixture
def plug(monkeypatch: pytest.MonkeyPatch) -> Plug:
    """Return a function that connects a microphone which hears a sound file."""

    def connect(path: Path | None = None, **properties: object) -> fake_sounddevice.Microphone:
        y = np.zeros(0) if path is None else audio.read(path, sr=SR)
        sound = [y[at : at + 1_600, np.newaxis] for at in range(0, len(y), 1_600)]
        microphone = fake_sounddevice.Microphone(**{"sound": sound, **properties})  # type: ignore[arg-type]
        monkeypatch.setitem(sys.modules, "sounddevice", fake_sounddevice.module(microphone))
        return microphone

    return connect


def emotions(out: str) -> list[str]:
    """Return what `listen` called each utterance."""
    return [line.split()[-1] for line in out.splitlines() if " – " in line]


def test_listen_to_a_file(twice: Path, command: Command) -> None:
    status, out, err = command("listen", "--source", twice)
    assert status == 0
    assert len(emotions(out)) == 2
    assert out.count("%") == 2 * 8
    first, best = out.splitlines()[:2]
    assert first.split()[-1] == best.split()[0]
    assert "█" in best
    assert err.splitlines()[-1] == "stopped: 2 of 2 utterances judged"
    assert len(emotions(command("listen", "--source", twice, "--once").out)) == 1
    _, out, err = command("listen", "--source", twice, "--every", "1")
    assert len(emotions(out)) == 4
    assert "windows judged" in err


def test_listen_among_some_emotions(clip: Path, command: Command) -> None:
    argv = ["listen", "--source", clip, "--emotions", "happiness, sad,neutral"]
    _, out, err = command(*argv)
    bars = [line.split() for line in out.splitlines()[1:]]
    assert {name for name, *_ in bars} == {"happy", "sad", "neutral"}
    assert sum(float(p.rstrip("%")) for _, p, *_ in bars) == pytest.approx(100, abs=0.2)
    assert "left out: calm, angry, fearful, disgust, surprised; the others are scaled" in err
    assert command(*argv, "--enrol", clip.parent).out != out


def test_utterances_are_kept_only_when_asked(twice: Path, tmp_path: Path, command: Command) -> None:
    before, kept = set(tmp_path.rglob("*")), tmp_path / "kept"
    command("listen", "--source", twice)
    assert set(tmp_path.rglob("*")) == before
    said = [command("listen", "--source", twice, "--save", kept) for _ in range(2)]
    assert len(list(kept.iterdir())) == 4  # earlier recordings stay
    assert f"utterances are kept in {kept}" in said[0].err
    scan = corpora.scan(kept, corpus="custom")
    assert sorted(scan.clips["emotion"]) == sorted(emotions(said[0].out + said[1].out))
    assert audio.info(Path(scan.clips["path"][0])).sample_rate == SR


def test_a_full_disk_names_the_file_and_leaves_no_half(
    twice: Path, tmp_path: Path, refuse: Callable[..., str]
) -> None:
    kept, limits = tmp_path / "kept", resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # no file grows beyond these bytes
    try:
        said = refuse("listen", "--source", twice, "--save", kept)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert re.search(r"kept/\d+_\d+_\d+_\w+\.wav: cannot be written \(File too large\)", said)
    assert list(kept.iterdir()) == []


def test_a_disk_that_is_full_of_answers_names_the_file(
    twice: Path, tmp_path: Path, refuse: Callable[..., str]
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        said = refuse("predict", twice, "--out", tmp_path / "a.csv", "--json", tmp_path / "a.json")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert re.search(r"/\.a\.csv-\w+\.jsonl: cannot be written \(File too large\)", said)


@pytest.mark.parametrize("level", [0, 0.01], ids=["silence", "noise"])
def test_no_speech_is_said(level: float, tmp_path: Path, command: Command) -> None:
    noise = np.random.default_rng(0).normal(size=3 * SR)
    soundfile.write(tmp_path / "a.wav", level * noise, SR)
    status, out, err = command("listen", "--source", tmp_path / "a.wav")
    assert (status, out) == (1, "")
    assert err.splitlines()[-1].endswith("a.wav: no speech was found in it")


@pytest.mark.parametrize("request_", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_it_cleanly(
    request_: signal.Signals,
    twice: Path,
    plug: Plug,
    monkeypatch: pytest.MonkeyPatch,
    command: Command,
) -> None:
    plug(twice)
    show, handler = commands.options.show, signal.getsignal(request_)

    def interrupted(*lines: str, **more: Any) -> None:
        show(*lines, **more)
        if any(" – " in line for line in lines):
            signal.raise_signal(request_)

    monkeypatch.setattr(commands.options, "show", interrupted)
    status, out, err = command("listen")
    assert status == 0
    assert len(emotions(out)) == 1
    assert err.splitlines()[-1].startswith("stopped: ")
    assert "microphone: Built-in Mic, 16000 Hz" in err
    assert signal.getsignal(request_) == handler


def test_what_was_said_before_the_microphone_went_is_judged(
    clip: Path, plug: Plug, command: Command
) -> None:
    plug(clip, gone=True)
    status, out, err = command("listen")
    assert status == 1
    assert len(emotions(out)) == 1
    assert "unplugged" in err.splitlines()[-2]
    assert err.splitlines()[-1] == "stopped: 1 of 1 utterances judged"


def test_lost_sound_is_said(twice: Path, plug: Plug, command: Command) -> None:
    microphone = plug(twice)
    microphone.sound = [*microphone.sound[:5], None, None, *microphone.sound[5:]]
    assert "sound was lost 2 times" in command("listen").err


def test_microphones_are_listed(plug: Plug, command: Command) -> None:
    plug()
    assert command("listen", "--list-devices").out == (
        "  1  Built-in Mic, 1 channels, 16000 Hz  (default)\n"
    )


def test_listen_refuses_in_one_sentence(
    clip: Path, plug: Plug, tmp_path: Path, refuse: Callable[..., str]
) -> None:
    (tmp_path / "text.wav").write_text("no sound at all")
    for words, message in {
        ("--device", "usb"): "give one of them",
        ("--every", "1", "--once"): "--once",
        ("--every", "1", "--save", tmp_path): "--save",
        ("--every", "0"): "every 0 s",
        ("--emotions", "bored,happy"): "does not know bored",
        ("--emotions", "happy"): "at least two",
        ("--model", "x"): "no model 'x'",
        ("--save", clip): "cannot be written",
        ("--source", tmp_path / "missing.wav"): "missing.wav: no such file",
        ("--source", tmp_path / "text.wav"): "not a sound file",
    }.items():
        assert message in refuse("listen", "--source", clip, *words)
    plug()
    assert "no microphone has" in refuse("listen", "--device", "usb")


def test_record_writes_so_many_seconds(
    twice: Path, plug: Plug, tmp_path: Path, command: Command
) -> None:
    out = tmp_path / "new" / "mine.wav"
    plug(twice)
    done = command("record", out, "--seconds", "2.05")
    y, played = audio.read(out, sr=SR), audio.read(twice, sr=SR)
    assert audio.info(out).channels == 1
    np.testing.assert_allclose(y, played[: round(2.05 * SR)], atol=1e-4)
    assert f"saved {out}: 2.0 s" in done.out
    plug(twice)
    command("record", tmp_path / "a.flac", "--seconds", "1", "--sr", "44100")
    assert audio.info(tmp_path / "a.flac") == audio.Info(1.0, 44_100, 1)


def test_record_keeps_what_was_heard(
    twice: Path, plug: Plug, tmp_path: Path, command: Command
) -> None:
    plug(twice, gone=True)
    status, _, err = command("record", tmp_path / "a.wav", "--seconds", "60")
    assert status == 1
    assert "unplugged" in err
    assert audio.info(tmp_path / "a.wav").duration == audio.info(twice).duration


def test_record_says_that_it_heard_nothing(plug: Plug, tmp_path: Path, command: Command) -> None:
    plug(sound=[np.zeros((1_600, 1))] * 50)
    status, _, err = command("record", tmp_path / "a.wav")
    assert status == 0
    assert "nothing but zeros" in err
    assert "a.wav: silence" in err


def test_record_refuses_in_one_sentence(
    plug: Plug, tmp_path: Path, refuse: Callable[..., str]
) -> None:
    (tmp_path / "here.wav").write_bytes(b"")
    assert "not overwritten" in refuse("record", tmp_path / "here.wav")
    assert ".wav or .flac" in refuse("record", tmp_path / "a.mp3")
    for seconds in ("0", "-1", "nan", "1e9"):
        assert "--seconds" in refuse("record", tmp_path / "a.wav", "--seconds", seconds)
    assert "--sr: 10: give" in refuse("record", tmp_path / "a.wav", "--sr", "10")
    plug(busy=True)
    assert "cannot be opened" in refuse("record", tmp_path / "a.wav")
    assert [path.name for path in tmp_path.iterdir()] == ["here.wav"]
