"""Python's half of the recorder: what it takes from the browser, refuses, and hands out."""

from __future__ import annotations

import io
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from sercourse.recorder import MAX_SECONDS, RATE, Recorder


def wav(y: np.ndarray, *, sr: int = RATE, subtype: str = "PCM_16", kind: str = "WAV") -> bytes:
    file = io.BytesIO()
    sf.write(file, y, sr, subtype=subtype, format=kind)
    return file.getvalue()


def voice(seconds: float = 1.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * 220 * np.arange(round(seconds * RATE)) / RATE)


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """Return a recorder whose answers to the browser are kept in `answers`."""
    recorder = Recorder(max_seconds=2)
    answers: list[dict[str, str]] = []
    monkeypatch.setattr(recorder, "send", lambda content, buffers=None: answers.append(content))
    monkeypatch.setattr(recorder, "answers", answers, raising=False)
    return recorder


def browser_sends(recorder: Recorder, content: Any, *buffers: bytes) -> None:
    message = {"method": "custom", "content": content}
    views = [memoryview(each) for each in buffers]
    recorder._handle_msg({"content": {"data": message}, "buffers": views})


def arrives(recorder: Recorder, content: bytes, *, note: str = "") -> None:
    browser_sends(recorder, {"kind": "audio", "note": note}, content)


def test_what_arrives_is_the_clip(recorder: Recorder) -> None:
    seen = []
    recorder.observe(lambda change: seen.append(change["new"]), "audio")
    arrives(recorder, wav(voice()))
    clip = recorder.clip(sr=RATE)
    assert clip.dtype == np.float32
    np.testing.assert_allclose(clip, voice(), atol=1 / 32768)
    assert seen == [recorder.audio] == [wav(voice())]
    assert recorder.clip(sr=8_000).shape == (8_000,)
    assert recorder.answers == [
        {"state": "ready", "message": "1.0 s are in Python: go on with the next cell."}
    ]


def test_a_note_of_the_browser_and_doubts_are_said(recorder: Recorder) -> None:
    arrives(recorder, wav(0 * voice(0.2)), note="hush.mp3 was read.")
    assert recorder.message.startswith("hush.mp3 was read. 0.2 s are in Python")
    assert "silence" in recorder.message
    assert "too short: 0.20 s" in recorder.message


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "its 0 bytes are no WAV file"),
        (b"RIFF, but no sound", "its 18 bytes are no WAV file"),
        (wav(voice(), kind="FLAC"), "are no WAV file"),
        (wav(voice())[:40], "are no WAV file"),
        (wav(voice())[:-100], "it holds 15950 samples and its header says 16000"),
        (wav(np.zeros(0)), "it holds 0 samples"),
        (wav(voice(), sr=44_100), "it has 44100 Hz, 1 channels, 16 bits and 16000 Hz"),
        (wav(np.zeros((100, 2))), "it has 16000 Hz, 2 channels, 16 bits"),
        (wav(voice(), subtype="PCM_24"), "it has 16000 Hz, 1 channels, 24 bits"),
        (wav(voice(2.2)), "it has 70444 bytes and 2 s take at most 67244"),
    ],
)
def test_what_is_wrong_is_said_and_the_last_recording_kept(
    recorder: Recorder, content: bytes, reason: str
) -> None:
    arrives(recorder, wav(voice()))
    arrives(recorder, content)
    assert recorder.answers[-1]["state"] == "error"
    assert recorder.answers[-1]["message"].startswith("What the browser sent was not taken over: ")
    assert reason in recorder.message
    assert recorder.audio == wav(voice())


@pytest.mark.parametrize("content", [None, "audio", [], {}, {"kind": "joke"}])
def test_messages_of_other_kinds_are_ignored(recorder: Recorder, content: Any) -> None:
    browser_sends(recorder, content, wav(voice()))
    assert (recorder.audio, recorder.message, recorder.answers) == (b"", "", [])


def test_a_recording_without_sound_is_refused(recorder: Recorder) -> None:
    browser_sends(recorder, {"kind": "audio"})
    assert "its 0 bytes are no WAV file" in recorder.message


def test_before_the_first_recording_it_says_what_to_do(recorder: Recorder, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nothing has been recorded yet: run the cell that shows"):
        recorder.clip(sr=RATE)
    browser_sends(recorder, {"kind": "failure", "message": "No microphone was found."})
    with pytest.raises(ValueError, match=r"yet: .* \(the recorder says: No microphone was found"):
        recorder.save(tmp_path / "voice.wav")
    assert not list(tmp_path.iterdir())


def test_saving_writes_what_was_recorded(recorder: Recorder, tmp_path: Path) -> None:
    arrives(recorder, wav(voice()))
    path = recorder.save(tmp_path / "new" / "voice.wav")
    assert path.read_bytes() == recorder.audio
    assert [each.name for each in path.parent.iterdir()] == ["voice.wav"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    with pytest.raises(ValueError, match=r"voice\.mp3: .* ends in \.wav"):
        recorder.save(tmp_path / "voice.mp3")


@pytest.mark.parametrize("seconds", [0, -1, 20.1, float("nan"), float("inf")])
def test_lengths_that_a_message_cannot_hold_are_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match=f"max_seconds is {seconds:g}: give a length above 0"):
        Recorder(max_seconds=seconds)


def test_the_longest_recording_fits_a_message_of_colab_as_text() -> None:
    content = wav(np.zeros(round(MAX_SECONDS * RATE)))
    assert len(content) * 4 / 3 < 1e6


def test_only_settings_go_to_the_browser_and_into_a_saved_notebook(recorder: Recorder) -> None:
    arrives(recorder, wav(voice()))
    ours = {name for name in recorder.get_state() if name in Recorder.class_own_traits()}
    assert ours == {"max_seconds", "processing"}
    assert recorder.get_state()["processing"] is False
