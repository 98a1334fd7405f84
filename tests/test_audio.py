from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
import tracemalloc
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile as sf
from hypothesis import given
from hypothesis import strategies as st

from sercourse import audio


def tone(seconds: float, sr: int, *, hertz: float = 440.0, channels: int = 1) -> np.ndarray:
    t = np.arange(round(seconds * sr)) / sr
    wave = 0.5 * np.sin(2 * np.pi * hertz * t)
    return np.repeat(wave[:, None], channels, axis=1)


def write(path: Path, y: np.ndarray, sr: int, **settings: str) -> Path:
    sf.write(path, y, sr, **settings)
    return path


def speech_like(rng: np.random.Generator, *, sr: int = 16_000) -> np.ndarray:
    """Noise bursts between pauses, with levels that cross any trimming threshold."""
    levels = np.repeat(10 ** rng.uniform(-4, 0, size=40), sr // 20)
    return (levels * rng.normal(size=levels.size)).astype(np.float32)


# --- read -----------------------------------------------------------------------------------


@pytest.mark.parametrize("native", [4_000, 16_000, 22_050, 48_000, 192_000])
@pytest.mark.parametrize("channels", [1, 2, 8])
def test_any_rate_and_channels_keep_pitch_level_and_duration(
    tmp_path: Path, native: int, channels: int
) -> None:
    path = write(tmp_path / "a.wav", tone(1.0, native, channels=channels), native)
    y = audio.read(path, sr=16_000)
    assert (y.dtype, y.ndim) == (np.float32, 1)
    assert y.size == 16_000
    middle = y[4_000:12_000]
    assert np.argmax(np.abs(np.fft.rfft(middle))) == 440 // 2  # bins of 2 Hz
    assert np.abs(middle).max() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_any_depth_gives_the_same_wave(tmp_path: Path, subtype: str) -> None:
    y = tone(0.5, 16_000)[:, 0]
    path = write(tmp_path / "a.wav", y, 16_000, subtype=subtype)
    tolerance = 1 / 100 if subtype == "PCM_U8" else 1e-4
    np.testing.assert_allclose(audio.read(path, sr=16_000), y, atol=tolerance)


def test_float_files_beyond_full_scale_are_left_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", np.full(100, 1.5), 8_000, subtype="FLOAT")
    assert audio.read(path, sr=8_000).max() == 1.5


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3", ".aiff", ".caf", ".WAV"])
def test_libsndfile_formats(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"a{suffix}", tone(1.0, 44_100), 44_100)
    assert audio.read(path, sr=16_000).size == pytest.approx(16_000, rel=0.05)
    assert audio.info(path).sample_rate == 44_100


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
@pytest.mark.parametrize("suffix", [".m4a", ".mp4", ".webm", ".aac", ".mkv"])
def test_ffmpeg_formats(tmp_path: Path, suffix: str) -> None:
    path = by_ffmpeg(tmp_path / f"a b{suffix}")
    y = audio.read(path, sr=16_000)
    assert y.size == pytest.approx(16_000, rel=0.1)
    assert np.abs(y[4_000:12_000]).max() == pytest.approx(0.5, abs=0.1)
    assert audio.info(path).channels == 2


def by_ffmpeg(path: Path) -> Path:
    source = write(path.with_name("source.wav"), tone(1.0, 48_000, channels=2), 48_000)
    command = ["ffmpeg", "-v", "error", "-i", str(source), str(path)]
    subprocess.run(command, check=True)
    return path


# --- bad input ------------------------------------------------------------------------------


def bad_files(folder: Path) -> dict[str, Path]:
    """Map the reason expected to a file that causes it."""
    whole = write(folder / "whole.flac", np.random.default_rng(0).normal(size=20_000) / 9, 8_000)
    wav = write(folder / "whole.wav", np.zeros(100), 8_000)
    contents = {
        "empty file": b"",
        "truncated header": wav.read_bytes()[:36],
        "not a sound file": b"this is a text file\n" * 100,
        "damaged sound file": whole.read_bytes()[:10_000],
    }
    paths = {why: folder / f"{index}.wav" for index, why in enumerate(contents)}
    for why, path in paths.items():
        path.write_bytes(contents[why])
    paths["no samples"] = write(folder / "none.wav", np.zeros(0), 8_000)
    paths["NaN samples"] = write(folder / "nan.wav", np.full(9, np.nan), 8_000, subtype="FLOAT")
    paths["infinite samples"] = write(folder / "i.wav", np.full(9, np.inf), 8_000, subtype="FLOAT")
    paths["a folder, a pipe or a device, not a sound file"] = folder
    return paths


@pytest.mark.parametrize(
    "why",
    [
        "empty file",
        "truncated header",
        "not a sound file",
        "damaged sound file",
        "no samples",
        "NaN samples",
        "infinite samples",
        "a folder, a pipe or a device, not a sound file",
    ],
)
def test_bad_files_say_why(tmp_path: Path, why: str) -> None:
    path = bad_files(tmp_path)[why]
    with pytest.raises(ValueError, match=f"{why}$") as caught:
        audio.read(path, sr=16_000)
    assert str(caught.value) == f"{path}: {why}"
    assert audio.reason(caught.value, path=path) == why


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.wav: no such file"):
        audio.read(tmp_path / "none.wav", sr=16_000)


@pytest.mark.parametrize("sr", [0, float("nan"), float("inf"), "16000"])
def test_a_rate_is_a_number(tmp_path: Path, sr: object) -> None:
    path = write(tmp_path / "a.wav", np.zeros(1_000), 8_000)
    with pytest.raises(ValueError, match="a rate of 1000 to 768000 Hz is wanted"):
        audio.read(path, sr=sr)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.wav")
    with pytest.raises(ValueError, match="a pipe or a device"):
        audio.read(tmp_path / "a.wav", sr=16_000)


@pytest.mark.skipif(sys.platform != "linux", reason="names are text here")
def test_a_name_need_not_be_text(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.wav"))
    write(tmp_path / "a.wav", 0.1 * np.ones(1_000), 8_000).rename(path)
    assert len(audio.read(path, sr=8_000)) == 1_000


def test_a_format_without_seeking_is_read(tmp_path: Path) -> None:
    y = 0.3 * np.sin(np.arange(16_000) / 10)
    sf.write(tmp_path / "a.wav", y, 8_000, subtype="GSM610")
    assert len(audio.read(tmp_path / "a.wav", sr=8_000)) == pytest.approx(16_000, abs=320)


def test_a_constant_is_silence() -> None:
    assert audio.fatal_issues(np.full(16_000, 0.5), sr=16_000)[0].startswith("silence")
    assert audio.fatal_issues(np.sin(np.arange(16_000)), sr=16_000) == []


def test_reason_of_an_operating_system_error() -> None:
    error = PermissionError(13, "Permission denied", "a.wav")
    assert audio.reason(error, path="a.wav") == "permission denied"


# --- info -----------------------------------------------------------------------------------


def test_info(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", tone(0.25, 48_000, channels=2), 48_000)
    assert audio.info(path) == audio.Info(duration=0.25, sample_rate=48_000, channels=2)


# --- what follows reading -------------------------------------------------------------------


def test_pre_emphasis_equals_its_definition_and_librosa() -> None:
    y = np.random.default_rng(0).normal(size=1_000)
    emphasised = audio.pre_emphasis(y)
    assert emphasised[0] == y[0]
    np.testing.assert_allclose(emphasised[1:], y[1:] - 0.97 * y[:-1])
    np.testing.assert_allclose(
        emphasised, librosa.effects.preemphasis(y, coef=0.97, zi=np.zeros(1))
    )


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("top_db", [10.0, 30.0])
def test_trim_equals_librosa(seed: int, top_db: float) -> None:
    y = speech_like(np.random.default_rng(seed))
    theirs, _ = librosa.effects.trim(y, top_db=top_db, frame_length=1024, hop_length=256)
    np.testing.assert_array_equal(audio.trim(y, sr=16_000, top_db=top_db), theirs)


@pytest.mark.parametrize("size", [0, 1, 100])
def test_trim_leaves_silence_and_scraps_whole(size: int) -> None:
    assert audio.trim(np.zeros(size), sr=16_000).size == size


@pytest.mark.parametrize(("margin", "seconds"), [(0.0, 0.55), (0.1, 0.75), (9.0, 2.0)])
def test_trim_leaves_a_margin(margin: float, seconds: float) -> None:
    y = np.pad(np.ones(8_000, np.float32), 12_000)
    kept = audio.trim(y, sr=16_000, margin=margin)
    assert kept.size / 16_000 == pytest.approx(seconds, abs=0.03)
    assert kept.sum() == 8_000


def test_normalize_peak() -> None:
    y = np.array([0.1, -0.2], np.float32)
    normal = audio.normalize_peak(y, peak=0.5)
    np.testing.assert_allclose(normal, [0.25, -0.5], rtol=1e-6)
    assert normal.dtype == np.float32


@pytest.mark.parametrize("y", [np.zeros(5, np.float32), np.full(5, 1e-42, np.float32), np.zeros(0)])
def test_silence_stays_silence(y: np.ndarray) -> None:
    np.testing.assert_array_equal(audio.normalize_peak(y), y)


@given(size=st.integers(0, 50), length=st.integers(0, 50))
def test_pad_gives_the_length_asked_for(size: int, length: int) -> None:
    y = np.arange(1, size + 1)
    padded = audio.pad(y, length=length)
    assert padded.size == length
    np.testing.assert_array_equal(padded[: min(size, length)], y[:length])
    assert not padded[size:].any()


@given(size=st.integers(1, 400), length=st.integers(1, 60))
def test_segments_cover_the_clip_evenly_and_end_with_it(size: int, length: int) -> None:
    y = np.arange(1, size + 1)
    cut = audio.segments(y, sr=1, seconds=length)
    assert cut.shape == (math.ceil(size / length), length)
    assert set(y) <= set(cut.ravel())
    assert size < length or cut[-1, -1] == size
    steps = np.diff(cut[:, 0])
    assert steps.size < 2 or np.ptp(steps) <= 1


def test_frames_that_are_fewer_than_a_segment_get_more_of_the_same_width() -> None:
    padded = audio.segments(np.ones((3, 4)), sr=1, seconds=5)
    np.testing.assert_array_equal(padded, [[[1] * 4] * 3 + [[0] * 4] * 2])


def test_aesdd_gives_the_known_number_of_segments(aesdd_root: Path) -> None:
    clips = sorted(aesdd_root.rglob("*.flac"))
    rows = [audio.segments(audio.read(clip, sr=44_100), sr=44_100, seconds=3.0) for clip in clips]
    assert sum(len(row) for row in rows) == 1106


def test_problems_are_said() -> None:
    clipped = np.clip(4 * tone(1.0, 16_000)[:, 0], -1, 1)
    assert audio.quality_issues(clipped, sr=16_000)[0].startswith("clipped: 67.")
    assert audio.quality_issues(tone(0.1, 16_000)[:, 0], sr=16_000) == [
        "too short: 0.10 s, at least 0.3 s is needed"
    ]
    assert [text.split(":")[0] for text in audio.quality_issues(np.zeros(0), sr=16_000)] == [
        "silence",
        "too short",
    ]


@pytest.mark.parametrize("corpus", ["ravdess_root", "aesdd_root"])
def test_acted_speech_is_not_called_unfit(corpus: str, request: pytest.FixtureRequest) -> None:
    root: Path = request.getfixturevalue(corpus)
    for clip in sorted(root.rglob("*.flac"))[::20]:
        assert audio.quality_issues(audio.read(clip, sr=16_000), sr=16_000) == []


def test_reading_needs_no_heavy_library() -> None:
    code = (
        "import sys, sercourse.audio; "
        "print([m for m in ('librosa', 'sklearn', 'pandas', 'scipy', 'pooch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- blocks ---------------------------------------------------------------------------------


@pytest.mark.parametrize("native", [8_000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_joined_blocks_are_the_file(tmp_path: Path, native: int, channels: int) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, size=(round(2.7 * native), channels))
    path = write(tmp_path / "a.wav", noise, native)
    blocks = list(audio.blocks(path, sr=16_000, seconds=0.5))
    assert [len(block) for block in blocks[:-1]] == [8_000] * (len(blocks) - 1)
    assert 0 < len(blocks[-1]) <= 8_000
    np.testing.assert_array_equal(np.concatenate(blocks), audio.read(path, sr=16_000))


def test_blocks_give_the_reasons_of_read(tmp_path: Path) -> None:
    for reason, path in bad_files(tmp_path).items():
        with pytest.raises(ValueError, match=reason) as caught:
            list(audio.blocks(path, sr=16_000))
        with pytest.raises(ValueError, match=reason) as by_read:
            audio.read(path, sr=16_000)
        assert str(caught.value) == str(by_read.value)
    with pytest.raises(FileNotFoundError, match="no such file"):
        list(audio.blocks(tmp_path / "nowhere.wav", sr=16_000))


def test_blocks_refuse_what_gives_none(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", tone(0.1, 8_000), 8_000)
    for settings in ({"sr": 0}, {"sr": 8_000, "seconds": 0}):
        with pytest.raises(ValueError, match="is wanted"):
            audio.blocks(path, **settings)


def test_an_hour_is_read_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.flac"
    with sf.SoundFile(path, "w", 8_000, 1) as file:
        for _ in range(60):
            file.write(np.zeros(8_000 * 60, dtype=np.float32))
    tracemalloc.start()
    assert sum(len(block) for block in audio.blocks(path, sr=8_000)) == 3_600 * 8_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8e6  # the whole takes 115 MB
