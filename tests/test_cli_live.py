"""`listen` and `record` as a user types them; the microphone is a fake one."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path

import fake_sounddevice
import numpy as np
import pytest
import soundfile

from sercourse import audio, corpora
from sercourse.cli import live as commands
from sercourse.cli import main

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


def refuse(capsys: pytest.CaptureFixture[str], *argv: object) -> str:
    """Run a command that must be refused in one sentence, and return the sentence."""
    assert main([str(arg) for arg in argv]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("sercourse: ")
    return error


def test_listen_to_a_file(twice: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["listen", "--source", str(twice)]) == 0
    out, err = capsys.readouterr()
    assert len(emotions(out)) == 2
    assert out.count("%") == 2 * 8
    first, best = out.splitlines()[:2]
    assert first.split()[-1] == best.split()[0]
    assert "█" in best
    assert err.splitlines()[-1] == "stopped: 2 of 2 utterances judged"


def test_listen_once(twice: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["listen", "--source", str(twice), "--once"]) == 0
    assert len(emotions(capsys.readouterr().out)) == 1


def test_listen_among_some_emotions(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["listen", "--source", str(clip), "--emotions", "happiness, sad,neutral"]
    assert main(argv) == 0
    out, err = capsys.readouterr()
    bars = [line.split() for line in out.splitlines()[1:]]
    assert {name for name, *_ in bars} == {"happy", "sad", "neutral"}
    assert sum(float(p.rstrip("%")) for _, p, *_ in bars) == pytest.approx(100, abs=0.2)
    assert "left out: calm, angry, fearful, disgust, surprised; the others are scaled" in err


def test_listen_knows_an_enrolled_voice(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for extra in ([], ["--enrol", str(clip.parent)]):
        assert main(["listen", "--source", str(clip), *extra]) == 0
    plain, enrolled = capsys.readouterr().out.split("0:00.00")[1:]
    assert plain != enrolled


def test_utterances_are_kept_only_when_asked(
    twice: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = set(tmp_path.rglob("*"))
    assert main(["listen", "--source", str(twice)]) == 0
    assert set(tmp_path.rglob("*")) == before
    for _ in range(2):  # earlier recordings stay
        assert main(["listen", "--source", str(twice), "--save", str(tmp_path / "kept")]) == 0
    out, err = capsys.readouterr()
    kept = sorted((tmp_path / "kept").iterdir())
    assert len(kept) == 4
    assert all(f"kept {path}" in err for path in kept)
    assert f"utterances are kept in {tmp_path / 'kept'}" in err
    scan = corpora.scan(tmp_path / "kept", corpus="custom")
    assert sorted(scan.clips["emotion"]) == sorted(emotions(out)[2:])  # the names tell
    assert audio.info(kept[0]).sample_rate == SR


def test_listen_over_time(twice: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["listen", "--source", str(twice), "--every", "1"]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 4
    assert "windows judged" in err


@pytest.mark.parametrize("kind", ["silence", "noise"])
def test_no_speech_is_said(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    noise = 0.01 * np.random.default_rng(0).normal(size=3 * SR)
    soundfile.write(tmp_path / "a.wav", noise if kind == "noise" else 0 * noise, SR)
    assert main(["listen", "--source", str(tmp_path / "a.wav")]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1].endswith("a.wav: no speech was found in it")


def test_ctrl_c_ends_it_cleanly(
    twice: Path, plug: Plug, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plug(twice)
    judge = commands._judge_utterance
    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]

    for request in (signal.SIGINT, signal.SIGTERM):

        def interrupted(*args: object, request: signal.Signals = request, **more: object) -> str:
            judge(*args, **more)  # type: ignore[arg-type]
            signal.raise_signal(request)
            return "not reached"

        monkeypatch.setattr(commands, "_judge_utterance", interrupted)
        assert main(["listen"]) == 0
        out, err = capsys.readouterr()
        assert len(emotions(out)) == 1
        assert err.splitlines()[-1].startswith("stopped: ")
        assert "microphone: Built-in Mic, 16000 Hz" in err
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_what_was_said_before_the_microphone_went_is_judged(
    clip: Path, plug: Plug, capsys: pytest.CaptureFixture[str]
) -> None:
    plug(clip, gone=True)
    assert main(["listen"]) == 1
    out, err = capsys.readouterr()
    assert len(emotions(out)) == 1
    assert "unplugged" in err.splitlines()[-2]
    assert err.splitlines()[-1] == "stopped: 1 of 1 utterances judged"


def test_lost_sound_is_said(twice: Path, plug: Plug, capsys: pytest.CaptureFixture[str]) -> None:
    microphone = plug(twice)
    microphone.sound = [*microphone.sound[:5], None, None, *microphone.sound[5:]]
    main(["listen"])
    assert "sound was lost 2 times" in capsys.readouterr().err


def test_microphones_are_listed(plug: Plug, capsys: pytest.CaptureFixture[str]) -> None:
    plug()
    assert main(["listen", "--list-devices"]) == 0
    assert capsys.readouterr().out == "  1  Built-in Mic, 1 channels, 16000 Hz  (default)\n"


def test_listen_refuses_in_one_sentence(
    clip: Path, plug: Plug, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.wav").write_text("no sound at all")
    listen = ("listen", "--source", clip)
    assert "give one of them" in refuse(capsys, *listen, "--device", "usb")
    assert "--once" in refuse(capsys, *listen, "--every", "1", "--once")
    assert "--save" in refuse(capsys, *listen, "--every", "1", "--save", tmp_path)
    assert "every 0 s" in refuse(capsys, *listen, "--every", "0")
    assert "does not know bored" in refuse(capsys, *listen, "--emotions", "bored,happy")
    assert "at least two" in refuse(capsys, *listen, "--emotions", "happy")
    assert "does not know glad" in refuse(capsys, *listen, "--emotions", "glad,sad")
    assert "no model 'x'" in refuse(capsys, *listen, "--model", "x")
    assert "cannot be written" in refuse(capsys, *listen, "--save", clip)
    missing = refuse(capsys, "listen", "--source", tmp_path / "missing.wav")
    assert missing.endswith("missing.wav: no such file")
    assert "not a sound file" in refuse(capsys, "listen", "--source", tmp_path / "text.wav")
    plug()
    assert "no microphone has" in refuse(capsys, "listen", "--device", "usb")


def test_record_writes_so_many_seconds(
    twice: Path, plug: Plug, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "mine.wav"
    plug(twice)
    assert main(["record", str(out), "--seconds", "2.05"]) == 0
    y, played = audio.read(out, sr=SR), audio.read(twice, sr=SR)
    assert audio.info(out).channels == 1
    np.testing.assert_allclose(y, played[: round(2.05 * SR)], atol=1e-4)
    assert f"saved {out}: 2.0 s" in capsys.readouterr().out


def test_record_at_another_rate(twice: Path, plug: Plug, tmp_path: Path) -> None:
    plug(twice)
    assert main(["record", str(tmp_path / "a.flac"), "--seconds", "1", "--sr", "44100"]) == 0
    assert audio.info(tmp_path / "a.flac") == audio.Info(1.0, 44_100, 1)


def test_record_keeps_what_was_heard(
    twice: Path, plug: Plug, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plug(twice, gone=True)
    assert main(["record", str(tmp_path / "a.wav"), "--seconds", "60"]) == 1
    assert "unplugged" in capsys.readouterr().err
    assert audio.info(tmp_path / "a.wav").duration == audio.info(twice).duration


def test_record_says_that_it_heard_nothing(
    plug: Plug, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plug(sound=[np.zeros((1_600, 1))] * 50)
    assert main(["record", str(tmp_path / "a.wav")]) == 0
    err = capsys.readouterr().err
    assert "nothing but zeros" in err
    assert "a.wav: silence" in err


def test_record_refuses_in_one_sentence(
    clip: Path, plug: Plug, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "here.wav").write_bytes(b"")
    assert "not overwritten" in refuse(capsys, "record", tmp_path / "here.wav")
    assert ".wav or .flac" in refuse(capsys, "record", tmp_path / "a.mp3")
    for seconds in ("0", "-1", "nan", "1e9"):
        assert "--seconds" in refuse(capsys, "record", tmp_path / "a.wav", "--seconds", seconds)
    assert "--sr 10" in refuse(capsys, "record", tmp_path / "a.wav", "--sr", "10")
    plug(busy=True)
    assert "cannot be opened" in refuse(capsys, "record", tmp_path / "a.wav")
    assert [path.name for path in tmp_path.iterdir()] == ["here.wav"]


def test_predict_among_some_emotions(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(clip), "--emotions", "sadness,surprise"]) == 0
    out, err = capsys.readouterr()
    shown = {line.split()[0] for line in out.splitlines()[1:] if "voice:" not in line}
    assert shown == {"sad", "surprised"}
    assert "left out: neutral, calm" in err
    assert main(["predict", str(clip), "--emotions", "sad,happy", "--every", "1"]) == 0
    assert capsys.readouterr().out.split()[-2] in ("sad", "happy")
