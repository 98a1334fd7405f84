from __future__ import annotations

import contextlib
import shutil
import struct
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from conftest import posix
from sercourse import audio, bundles, cli, corpora, decoding

SR = 16_000
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is missing")


def voice(seconds: float = 4.0) -> np.ndarray:
    rng = np.random.default_rng(0)
    levels = np.repeat(rng.uniform(0.02, 0.5, size=round(seconds * 10)), SR // 10)
    return levels * np.sin(0.1 * np.arange(levels.size)) + 0.002 * rng.normal(size=levels.size)


def wav(y: np.ndarray, *, told: int | None = None, riff: int | None = None, sr: int = SR) -> bytes:
    """Return a WAV file whose header tells of any number of bytes."""
    pcm = (y * 32767).astype("<i2").tobytes()
    told = len(pcm) if told is None else told
    riff = min(told + 36, 2**32 - 1) if riff is None else riff
    form = struct.pack("<IHHIIHH", 16, 1, 1, sr, 2 * sr, 2, 16)
    return b"".join(
        (b"RIFF", struct.pack("<I", riff), b"WAVEfmt ", form, b"data", struct.pack("<I", told), pcm)
    )


def encoded(folder: Path, name: str, *options: str, y: np.ndarray | None = None) -> Path:
    """Return a file that ffmpeg makes, or soundfile where no options are given."""
    path = folder / name
    if not options and path.suffix in (".flac", ".ogg", ".aiff", ".au", ".w64", ".caf", ".rf64"):
        sf.write(path, voice() if y is None else y, SR)
        return path
    (folder / "source.wav").write_bytes(wav(voice() if y is None else y))
    command = ["ffmpeg", "-v", "error", "-y", "-i", str(folder / "source.wav"), *options, str(path)]
    subprocess.run(command, check=True)
    return path


def changed(path: Path, at: int, content: bytes) -> Path:
    data = bytearray(path.read_bytes())
    data[at : at + len(content)] = content
    path.write_bytes(data)
    return path


def outcome(path: Path) -> np.ndarray | str:
    """Return what a file holds or why it cannot be read, which `blocks` must agree with."""
    answers: list[np.ndarray | str] = []
    ways: tuple[Callable[[], np.ndarray], ...] = (
        lambda: audio.read(path, sr=SR),
        lambda: np.concatenate(list(audio.blocks(path, sr=SR, seconds=0.7))),
    )
    for way in ways:
        try:
            answers.append(way())
        except ValueError as error:
            answers.append(str(error).removeprefix(f"{path}: "))
    np.testing.assert_array_equal(*answers)
    return answers[0]


# --- headers that lie -----------------------------------------------------------------------


@pytest.mark.parametrize("riff", [0, 36, None])
@pytest.mark.parametrize("told", [0, 1 << 30, 0x7F000000, 0x7FFFF000, 2**31, 2**32 - 37, 2**32 - 1])
def test_a_wav_of_unknown_length_is_read_to_its_end(
    tmp_path: Path, told: int, riff: int | None
) -> None:
    (tmp_path / "a.wav").write_bytes(wav(voice(), told=told, riff=riff))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(outcome(tmp_path / "a.wav")) == len(voice())
    assert audio.info(tmp_path / "a.wav").duration == pytest.approx(4.0)


@pytest.mark.parametrize("name", ["riff", "whole riff", "appended", "au", "aiff", "flac"])
def test_a_header_that_tells_of_less_is_said(tmp_path: Path, name: str) -> None:
    path, n_samples = tmp_path / "a.wav", len(voice())
    if name == "au":
        path = changed(encoded(tmp_path, "a.au"), 8, struct.pack(">I", 2 * SR))
    elif name == "aiff":
        path = encoded(tmp_path, "a.aiff")
        changed(path, path.read_bytes().index(b"SSND") + 4, struct.pack(">I", 2 * SR + 8))
    elif name == "flac":
        path = encoded(tmp_path, "a.flac")
        changed(path, 22, struct.pack(">I", SR))
    elif name == "appended":
        path.write_bytes(2 * wav(voice()))
        n_samples = 2 * n_samples + 22  # a header is 44 bytes
    else:
        riff = None if name == "riff" else 36 + 2 * n_samples
        path.write_bytes(wav(voice(), told=2 * SR, riff=riff))
    with pytest.warns(decoding.SoundWarning, match=r"its header tells of \d+% of the sound"):
        assert len(audio.read(path, sr=SR)) == n_samples


@pytest.mark.parametrize(
    "tail",
    [b"LIST" + struct.pack("<I", 4) + b"INFO", b"ID3\x03" + bytes(9_000), bytes(9_000), b"TAG" * 9],
)
def test_other_chunks_and_tags_are_no_sound(tmp_path: Path, tail: bytes) -> None:
    (tmp_path / "a.wav").write_bytes(wav(voice()) + tail)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(outcome(tmp_path / "a.wav")) == len(voice())


@pytest.mark.parametrize(
    "name", ["a.wav", "a.flac", "a.ogg", "a.aiff", "a.au", "a.w64", "a.caf", "a.rf64"]
)
def test_half_a_file_is_refused(tmp_path: Path, name: str) -> None:
    path = encoded(tmp_path, name) if name != "a.wav" else tmp_path / name
    content = wav(voice()) if name == "a.wav" else path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert str(outcome(path)).startswith(("truncated", "damaged"))


@needs_ffmpeg
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mp3", ()),
        ("a.mp3", ("-write_xing", "0")),
        ("a.mp2", ()),
        ("a.aac", ()),
        ("a.opus", ()),
        ("a.spx", ()),
        ("a.webm", ()),
        ("a.webm", ("-live", "1")),
        ("a.mka", ()),
        ("a.m4a", ()),
        ("a.m4a", ("-movflags", "faststart")),
        ("a.m4a", ("-movflags", "frag_keyframe+empty_moov")),
        ("a.avi", ()),
        ("a.wma", ()),
    ],
)
def test_half_of_what_is_compressed_is_refused(
    tmp_path: Path, name: str, options: tuple[str, ...]
) -> None:
    path = encoded(tmp_path, name, *(options or ("-vn",)))
    whole = outcome(path)
    assert len(whole) == pytest.approx(len(voice()), rel=0.1)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2 - 7])  # an MP2 has a frame that ends in the middle
    assert isinstance(outcome(path), str)
    named = path.rename(tmp_path / f"x_sad{path.suffix}")
    (tmp_path / "source.wav").unlink()
    (tmp_path / "y_happy.wav").write_bytes(wav(voice()))
    assert corpora.scan(tmp_path, corpus="custom").rejects["path"].tolist() == [str(named)]


def lying_files(folder: Path) -> dict[str, Path]:
    """Return files that claim to hold hours, and one that does not know its length."""
    flac = encoded(folder, "bit.flac").read_bytes()
    unknown = bytes([flac[21] & 0xF0]) + bytes(4)
    (folder / "unknown.flac").write_bytes(flac[:21] + unknown + flac[26:])
    (folder / "bit.flac").write_bytes(flac[:22] + bytes([flac[22] ^ 64]) + flac[23:])
    ogg = encoded(folder, "position.ogg").read_bytes()
    changed(folder / "position.ogg", ogg.rindex(b"OggS") + 11, b"\x10")
    (folder / "rate.wav").write_bytes(wav(voice(), sr=1))
    if shutil.which("ffmpeg"):
        mp3 = encoded(folder, "count.mp3", "-vn").read_bytes()
        place = max(mp3.find(b"Xing"), mp3.find(b"Info")) + 8
        changed(folder / "count.mp3", place, b"\x7f\xff\xff\xff")
    names = ("bit.flac", "unknown.flac", "position.ogg", "rate.wav", "count.mp3")
    return {name: folder / name for name in names if (folder / name).exists()}


def test_memory_follows_what_is_there(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="Windows does not tell it")
    files = lying_files(tmp_path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcomes = {name: outcome(path) for name, path in files.items()}
    unit = 1024 if sys.platform == "linux" else 1
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit < 100e6
    refused = {name for name, each in outcomes.items() if isinstance(each, str)}
    assert refused == set(files) - {"unknown.flac"}
    assert len(outcomes["unknown.flac"]) == len(voice())
    for path in files.values():
        with contextlib.suppress(ValueError):
            assert audio.info(path).duration < 10


def test_one_bad_file_costs_no_other(
    tmp_path: Path,
    sample_ravdess: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    good, huge = sorted(sample_ravdess.rglob("*.ogg"))[40], tmp_path / "huge.wav"
    huge.write_bytes(wav(voice()))
    opened = decoding.opened

    def too_large(path: Path, **settings: int | None) -> contextlib.AbstractContextManager:
        if path == huge:
            raise MemoryError("Unable to allocate 9 TiB")
        return opened(path, **settings)

    monkeypatch.setattr(decoding, "opened", too_large)
    for options in ((), ("--every", "2"), ("--channel", "each")):
        assert cli.main(["predict", str(huge), str(good), *options]) == 1
        printed = capsys.readouterr()
        assert str(huge) in printed.err
        assert ": too little memory for it: Unable" in printed.err
        assert printed.out.startswith(str(good))


# --- ffmpeg ---------------------------------------------------------------------------------


@needs_ffmpeg
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("wma.wav", ("-c:a", "wmav2")),
        ("g722.wav", ("-c:a", "adpcm_g722")),
        ("g723.wav", ("-ar", "8000", "-c:a", "g723_1", "-b:a", "6300")),
        ("ima.wav", ("-c:a", "adpcm_ima_wav")),
        ("adts.wav", ("-f", "adts")),
        ("webm.mp3", ("-f", "webm")),
        ("a.avi", ()),
        ("a.flv", ("-ar", "22050")),
        ("a.mpg", ()),
        ("a.dat", ("-f", "ipod")),
    ],
)
def test_what_ffmpeg_reads_is_read(tmp_path: Path, name: str, options: tuple[str, ...]) -> None:
    y = outcome(encoded(tmp_path, name, *(options or ("-vn",))))
    assert len(y) == pytest.approx(len(voice()), rel=0.1)
    assert np.abs(y).max() == pytest.approx(0.5, abs=0.15)


@pytest.mark.parametrize(
    "content",
    [
        *(b"\0\0\0\x20ftypM4A ", b"\x1a\x45\xdf\xa3", b"RIFF\0\0\0\0AVI ", b"FLV\1", b"#!AMR\n"),
        *(b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", b"\0\0\1\xba", b"\xff\xf1", b"\x0b\x77"),
    ],
)
def test_without_ffmpeg_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    (tmp_path / "a.wav").write_bytes(content + bytes(99))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert "ffmpeg, which is not installed" in str(outcome(tmp_path / "a.wav"))
    (tmp_path / "a.m4a").write_bytes(b"no sound")
    assert outcome(tmp_path / "a.m4a") == "not a sound file"


@pytest.mark.parametrize(
    "content",
    [
        b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nsecret.wav\n",
        b"#EXTM3U\n#EXTINF:10,\nhttp://192.0.2.1/a.ts\n",
        b"ffconcat version 1.0\nfile secret.wav\n",
        b"\n#EXTM3U\n#EXTINF:10,\nsecret.wav\n",
        b"<?xml version='1.0'?><MPD><BaseURL>secret.wav</BaseURL></MPD>",
        b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nm=audio 5004 RTP/AVP 0\r\n",
    ],
)
def test_a_playlist_opens_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "secret.wav").write_bytes(wav(voice()))
    (tmp_path / "a.m4a").write_bytes(content)
    assert "not a sound file" in str(outcome(tmp_path / "a.m4a"))


@needs_ffmpeg
def test_ffmpeg_needs_no_temporary_file_and_ends_with_its_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = encoded(tmp_path, "a.m4a", "-ac", "2", "-ar", "48000", y=np.tile(voice(), 100))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "nowhere"))
    started: list[subprocess.Popen] = []

    class Noted(subprocess.Popen):
        def __init__(self, *args: object, **settings: object) -> None:
            super().__init__(*args, **settings)  # type: ignore[call-overload]
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    pieces = audio.blocks(path, sr=SR)
    assert len(next(pieces)) == 10 * SR
    pieces.close()  # type: ignore[attr-defined]
    assert all(each.poll() is not None for each in started)


@posix
@needs_ffmpeg
@pytest.mark.parametrize(
    ("program", "script", "said"),
    [
        ("ffmpeg", "exec sleep 600", "ffmpeg brought no sound for 3 s"),
        ("ffprobe", "exec sleep 600", "ffprobe took over 3 s"),
        ("ffmpeg", "echo 'no idea' >&2; exit 1", "ffmpeg cannot read it: no idea"),
        (
            "ffmpeg",
            "echo 'partial file' >&2; exit 0",
            "truncated sound file (ffmpeg: partial file)",
        ),
    ],
)
def test_ffmpeg_hangs_or_gives_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, script: str, said: str
) -> None:
    path = encoded(tmp_path, "a.mka", "-vn")
    other = tmp_path / program
    other.write_text(f"#!/bin/sh\n{script}\n")
    other.chmod(0o755)
    programs = {name: shutil.which(name) for name in ("ffmpeg", "ffprobe")} | {program: str(other)}
    monkeypatch.setattr(shutil, "which", programs.get)
    if "sleep" in script:  # the other program answers in less, on a busy machine, too
        monkeypatch.setattr(decoding, "PATIENCE_SECONDS", 3.0)
    monkeypatch.setattr(decoding, "_TIMED", ())  # so that what ffmpeg says decides
    assert outcome(path) == said


def test_samples_without_a_header_are_to_be_converted(tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(b"samples" * 1000)
    assert str(outcome(tmp_path / "a.raw")).startswith("samples without a header: convert it")


# --- channels -------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [1.0, 0.9])
@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_channels_that_cancel_are_not_averaged(tmp_path: Path, suffix: str, share: float) -> None:
    y = np.concatenate([np.zeros(12 * SR), voice()])  # it is silent first
    path = tmp_path / f"a{suffix}"
    sf.write(path, np.column_stack([y, -share * y]), SR)
    with pytest.warns(decoding.SoundWarning, match="channel 1 alone is used"):
        heard = audio.read(path, sr=SR)
    np.testing.assert_allclose(heard, y, atol=1e-3)


@pytest.mark.parametrize("other", ["same", "another", "silent"])
def test_other_channels_are_averaged(tmp_path: Path, other: str) -> None:
    y = voice()
    second = {"same": y, "another": y[::-1], "silent": 0 * y}[other]
    sf.write(tmp_path / "a.wav", np.column_stack([y, second]), SR)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        heard = audio.read(tmp_path / "a.wav", sr=SR)
    np.testing.assert_allclose(heard, (y + second) / 2, atol=1e-3)


@pytest.mark.parametrize(("channel", "place"), [("left", 0), ("right", 1), (1, 0), (3, 2)])
def test_a_channel_can_be_chosen(tmp_path: Path, channel: int | str, place: int) -> None:
    y = np.column_stack([voice(), 0.5 * voice(), 0.25 * voice()])
    sf.write(tmp_path / "a.wav", y, SR)
    heard = audio.read(tmp_path / "a.wav", sr=SR, channel=channel)
    np.testing.assert_allclose(heard, y[:, place], atol=1e-3)


@pytest.mark.parametrize(
    ("channel", "why"), [(3, "it has 2"), (0, "from 1"), ("middle", "left, r")]
)
def test_a_channel_must_be_there(tmp_path: Path, channel: int | str, why: str) -> None:
    sf.write(tmp_path / "a.wav", np.column_stack([voice(), voice()]), SR)
    with pytest.raises(ValueError, match=why):
        audio.read(tmp_path / "a.wav", sr=SR, channel=channel)


def test_each_channel_is_judged_by_itself(
    tmp_path: Path, sample_ravdess: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = sorted(sample_ravdess.rglob("*.ogg"))[40:42]
    pair = [audio.pad(audio.read(path, sr=SR), length=3 * SR) for path in clips]
    path = tmp_path / "call.wav"
    sf.write(path, np.column_stack([*pair, np.zeros(3 * SR)]), SR, subtype="FLOAT")
    bundle = bundles.load("ravdess-svm")
    for number, y in enumerate(pair, start=1):
        alone = bundle.predict_file(path, channel=number)
        assert alone.channel == number
        assert alone.probabilities == pytest.approx(bundle.predict(y, sr=SR), abs=1e-6)
    for options in (["--channel", "each"], ["--channel", "each", "--every", "2"]):
        assert cli.main(["predict", str(path), "--model", "ravdess-svm", *options]) == 1
        printed = capsys.readouterr()
        assert [f"(channel {n})" in printed.out for n in (1, 2, 3)] == [True, True, False]
        assert "(channel 3): " in printed.err
        assert "silence" in printed.err


# --- long recordings ------------------------------------------------------------------------


def test_a_long_recording_is_judged_a_minute_at_a_time(
    tmp_path: Path, sample_ravdess: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = audio.read(sorted(sample_ravdess.rglob("*.ogg"))[40], sr=SR)
    path, bundle = tmp_path / "long.wav", bundles.load("ravdess-svm-robust")
    spoken = np.tile(clip, 1 + 130 * SR // len(clip))
    sf.write(path, spoken, SR, subtype="FLOAT")
    longest = 0
    opened = audio.blocks

    def noted(*args: object, **settings: object) -> object:
        nonlocal longest
        for block in opened(*args, **settings):  # type: ignore[arg-type]
            longest = max(longest, len(block))
            yield block

    monkeypatch.setattr(audio, "blocks", noted)
    heard = bundle.predict_file(path)
    assert longest <= 60 * SR
    assert heard.duration == pytest.approx(len(spoken) / SR)
    assert heard.probabilities == pytest.approx(bundle.predict(spoken, sr=SR))
    over_time = bundle.predict_over_time(spoken, sr=SR, every=4, window=4)
    mean = over_time.probabilities[over_time.judged].mean(axis=0)
    assert list(heard.probabilities.values()) == pytest.approx(mean)
    assert heard.gender is not None


def test_silence_around_a_sentence_does_not_count(tmp_path: Path, sample_ravdess: Path) -> None:
    clip = audio.read(sorted(sample_ravdess.rglob("*.ogg"))[40], sr=SR)[: 4 * SR]
    bundle = bundles.load("ravdess-svm")
    y = np.zeros(100 * SR, dtype=np.float32)
    y[40 * SR : 40 * SR + len(clip)] = clip
    noise = np.random.default_rng(0).normal(scale=1e-4, size=len(y)).astype(np.float32)
    expected = bundle.predict(audio.pad(clip, length=4 * SR), sr=SR)
    assert bundle.predict(y + noise, sr=SR) == pytest.approx(expected, abs=0.15)
    sf.write(tmp_path / "silent.wav", 0 * y, SR)
    with pytest.raises(ValueError, match=r"silent\.wav: silence"):
        bundle.predict_file(tmp_path / "silent.wav")
