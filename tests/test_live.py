"""Sources, where utterances begin and end, and streaming; without any microphone."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import fake_sounddevice
import numpy as np
import pytest
import soundfile
import soxr
from scipy import signal

from conftest import posix
from sercourse import audio, live

SR = 16_000
CLIPS = [
    f"Actor_{actor:02d}/03-01-0{e}-01-01-01-{actor:02d}" for actor in (1, 2, 9) for e in (1, 4, 5)
]


@pytest.fixture(scope="module")
def clips(sample_ravdess: Path) -> list[np.ndarray]:
    return [audio.read(sample_ravdess / f"{clip}.ogg", sr=SR) for clip in CLIPS]


def words(y: np.ndarray) -> tuple[float, float]:
    """Return where the words of a clean clip begin and end [s].

    Thumps below a voice are no words, though they are loud in some recordings.
    """
    band = signal.butter(4, (150, 4000), "bandpass", output="sos", fs=SR)
    voice = signal.sosfiltfilt(band, y).astype(np.float32)
    trimmed = audio.trim(voice, sr=SR, top_db=30.0)
    start = int(np.flatnonzero(voice == trimmed[0])[0])
    return start / SR, (start + len(trimmed)) / SR


def in_room(y: np.ndarray, *, snr: float | None, seconds: float = 1.5) -> np.ndarray:
    """Put a clip into a room: before and after it only the noise is heard."""
    pause = np.zeros(round(seconds * SR), dtype=np.float32)
    around = np.concatenate([pause, y, pause])
    if snr is None:
        return around
    noise = room(len(around), kind="pink")
    return (around + noise * np.std(y) / 10 ** (snr / 20)).astype(np.float32)


def room(n_samples: int, *, kind: str, seed: int = 0) -> np.ndarray:
    """Return noise of mean square 1: its power falls with frequency to the power of 0, 1, 2."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).normal(size=n_samples))
    slope = {"white": 0.0, "pink": 0.5, "brown": 1.0}[kind]
    noise = np.fft.irfft(spectrum / np.arange(1, len(spectrum) + 1) ** slope, n_samples)
    return np.asarray(noise / noise.std())


def in_blocks(y: np.ndarray, *sizes: int) -> Iterator[np.ndarray]:
    at = 0
    while at < len(y):
        for size in sizes:
            yield y[at : at + size]
            at += size


def heard(y: np.ndarray, **settings: float) -> list[live.Utterance]:
    endpointing = live.Endpointing(**settings)
    return list(live.utterances(in_blocks(y, 1_600), sr=SR, endpointing=endpointing))


# Where utterances begin and end


@pytest.mark.parametrize("snr", [None, 30.0, 20.0, 10.0])
def test_an_utterance_is_found_where_its_words_are(
    clips: list[np.ndarray], snr: float | None
) -> None:
    for clip in clips:
        start, end = words(clip)
        (found,) = heard(in_room(clip, snr=snr), padding=0)
        assert found.start - 1.5 == pytest.approx(start, abs=0.2)
        assert found.end - 1.5 == pytest.approx(end, abs=0.2)
        assert found.reason == "pause"


@pytest.mark.parametrize("snr", [None, 20.0])
def test_recordings_of_people_end_where_their_words_end(
    ravdess_root: Path, snr: float | None
) -> None:
    paths = sorted(ravdess_root.rglob("03-01-*"))[::48]
    off = []
    for path in paths:
        clip = audio.read(path, sr=SR)
        found = heard(in_room(clip, snr=snr), padding=0)
        assert len(found) in (1, 2)
        off.append(found[0].end - 1.5 - words(clip)[1])
    assert np.mean(np.abs(off) <= 0.2) >= 0.9


def test_who_speaks_at_once_is_heard_from_the_beginning(clips: list[np.ndarray]) -> None:
    for clip in clips:
        start, end = words(clip)
        y = clip[round(start * SR) : round(end * SR)]
        assert heard(np.concatenate([y, in_room(y, snr=None)]))[0].start < 0.05


def test_padding_surrounds_the_words_and_a_long_pause_divides(clips: list[np.ndarray]) -> None:
    y = in_room(clips[0], snr=30.0)
    (bare,), (padded,) = heard(y, padding=0), heard(y, padding=0.3)
    assert (padded.start, padded.end) == pytest.approx((bare.start - 0.3, bare.end + 0.3))
    for each in (bare, padded):
        assert np.array_equal(each.y, y[round(each.start * SR) : round(each.end * SR)])
    for seconds, n in ((0.3, 1), (1.2, 2)):
        y = np.concatenate([clips[0], np.zeros(round(seconds * SR)), clips[1]])
        assert len(heard(in_room(y, snr=30.0), pause=0.8)) == n


def test_a_long_speech_is_cut_and_goes_on(clips: list[np.ndarray]) -> None:
    start, end = words(clips[0])
    speech = np.tile(clips[0][round(start * SR) : round(end * SR)], 6)
    found = heard(in_room(speech, snr=30.0), longest=2.0, padding=0)
    assert [each.reason for each in found[:-1]] == ["longest"] * (len(found) - 1)
    assert sum(len(each.y) for each in found) == pytest.approx(len(speech), rel=0.1)
    for before, after in itertools.pairwise(found):
        assert after.start == pytest.approx(before.end, abs=0.2)


def test_what_is_said_at_the_end_of_the_source_is_heard(clips: list[np.ndarray]) -> None:
    y = in_room(clips[0], snr=30.0)
    end = round((1.5 + words(clips[0])[1]) * SR)
    (found,) = heard(y[:end])
    assert found.reason == "end of the source"
    assert found.end == pytest.approx(end / SR, abs=0.03)


def no_speech() -> dict[str, np.ndarray]:
    """Return sounds of 18 s in which nobody speaks."""
    n = 18 * SR
    t = np.arange(n) / SR
    fan = np.where(t > 6, 0.03, 0.001)
    found = {
        "digital silence": np.zeros(n),
        "offset": np.full(n, 0.3),
        "hum": 0.05 * np.sin(2 * np.pi * 50 * t) + 0.001 * room(n, kind="white"),
        "beeps": 0.05 * np.sin(2 * np.pi * 1000 * t) * (t % 4 < 0.3) + 0.001 * room(n, kind="pink"),
        "keys": 0.001 * room(n, kind="white"),
    }
    for at in range(0, n - SR, SR // 7):
        found["keys"][at : at + 320] += 0.1 * room(320, kind="white", seed=at) * np.hanning(320)
    for kind in ("white", "pink", "brown"):
        noise = room(n, kind=kind)
        found[kind] = 0.01 * noise
        found[f"{kind}, a fan sets in"] = noise * fan
        found[f"{kind}, a fan stops"] = noise * fan[::-1]
        found[f"{kind}, a fan after nothing"] = noise * 0.03 * (t > 6)
        found[f"{kind}, for a second"] = noise * np.where(abs(t - 6) < 0.5, 0.03, 0.001)
    return found


@pytest.mark.parametrize("name", no_speech())
def test_what_is_no_speech_yields_nothing(name: str) -> None:
    assert heard(no_speech()[name].astype(np.float32)) == []


def test_speech_is_found_above_a_fan_that_set_in(clips: list[np.ndarray]) -> None:
    y = in_room(clips[0], snr=None, seconds=8.0)
    t = np.arange(len(y)) / SR
    level = np.std(clips[0]) * np.where(t > 2, 0.1, 0.001)
    (found,) = heard((y + room(len(y), kind="pink") * level).astype(np.float32), padding=0)
    assert found.start - 8 == pytest.approx(words(clips[0])[0], abs=0.2)


@pytest.mark.parametrize("sizes", [(1_600_000,), (160,), (1, 7, 333, 12_345), (16_000,)])
def test_it_makes_no_difference_where_blocks_end(
    clips: list[np.ndarray], sizes: tuple[int, ...]
) -> None:
    y = np.concatenate([in_room(clip, snr=20.0) for clip in clips[:3]])
    wanted = heard(y)
    found = list(live.utterances(in_blocks(y, *sizes), sr=SR))
    assert len(found) == len(wanted) == 3
    for each, other in zip(found, wanted, strict=True):
        assert (each.start, each.end, each.reason) == (other.start, other.end, other.reason)
        assert np.array_equal(each.y, other.y)


@pytest.mark.parametrize("sr", [8_000, 22_050, 44_100])
def test_other_rates(clips: list[np.ndarray], sr: int) -> None:
    y = soxr.resample(in_room(clips[0], snr=30.0), SR, sr)
    (found,) = live.utterances([y], sr=sr)
    (wanted,) = heard(in_room(clips[0], snr=30.0))
    assert found.start == pytest.approx(wanted.start, abs=0.06)
    assert found.end == pytest.approx(wanted.end, abs=0.06)


GROWTH = """
import itertools, resource, sys
import numpy as np
from sercourse import audio, bundles, live

SR = 16_000
silence = 1e-4 * np.random.default_rng(0).normal(size=SR).astype(np.float32)
speech = audio.read(sys.argv[1], sr=SR)[:SR]

class Sound(live.FileSource):
    def blocks(self):
        return itertools.repeat(speech if self.realtime else silence, n_seconds)

def listen_to_silence():
    assert not list(live.utterances(Sound("", sr=SR).blocks(), sr=SR))

def follow_speech():
    blocks = Sound("", sr=SR, realtime=True).blocks()
    stream = bundles.load().predict_stream(blocks, sr=SR, every=10.0)
    assert all(moment.note == "" for moment in stream)

most = []
for n_seconds in (60, {n_seconds}):
    {function}()
    most.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(most[1] / most[0])
"""


@posix  # it asks the system for its memory
@pytest.mark.parametrize(
    ("function", "n_seconds"), [("listen_to_silence", 1_800), ("follow_speech", 600)]
)
def test_long_sound_takes_the_memory_of_a_minute(
    function: str, n_seconds: int, sample_ravdess: Path
) -> None:
    pytest.importorskip("resource", reason="Windows does not count the memory that was used")
    code = GROWTH.format(function=function, n_seconds=n_seconds)
    command = [sys.executable, "-c", code, str(sample_ravdess / f"{CLIPS[0]}.ogg")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # In a process of its own, as others need more; the signals alone take 115 and 38 MB.
    assert float(done.stdout) < 1.1


def test_samples_that_are_no_numbers_do_not_deafen(clips: list[np.ndarray]) -> None:
    y = in_room(clips[0], snr=30.0)
    broken = np.concatenate([np.full(1_600, np.nan, dtype=np.float32), y])
    (found,), (wanted,) = heard(broken), heard(y)
    assert found.start == pytest.approx(wanted.start + 0.1)


def test_what_was_being_said_survives_a_broken_source(clips: list[np.ndarray]) -> None:
    def unplugged() -> Iterator[np.ndarray]:
        yield in_room(clips[0], snr=30.0)[: round((1.6 + words(clips[0])[1]) * SR)]
        raise OSError("unplugged")

    found = live.utterances(unplugged(), sr=SR)
    assert next(found).reason == "end of the source"
    with pytest.raises(OSError, match="unplugged"):
        next(found)


@pytest.mark.parametrize(
    "wrong",
    [{"padding": 1.0}, {"padding": -0.1}, {"shortest": 0}, {"longest": 0.1}, {"longest": 99}],
)
def test_settings_that_contradict_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        live.Endpointing(**wrong)


# Files


def test_a_file_source_gives_what_is_read(sample_ravdess: Path) -> None:
    path = sample_ravdess / f"{CLIPS[0]}.ogg"
    with live.FileSource(path, sr=22_050) as source:
        found = list(source.blocks())
    assert {len(block) for block in found[:-1]} == {2_205}
    assert np.array_equal(np.concatenate(found), audio.read(path, sr=22_050))
    assert np.array_equal(found[0], next(iter(source.blocks())))  # it can be heard again


def test_a_file_that_plays_in_real_time_waits(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    soundfile.write(tmp_path / "a.wav", np.zeros(4_800), SR)
    came = []
    for _ in live.FileSource(tmp_path / "a.wav", sr=SR, realtime=True).blocks():
        came.append(now[0] - 100)
        now[0] += 0.05  # what the listener does with it takes time, but no block is late for that
    assert came == pytest.approx([0.1, 0.2, 0.3])


# Microphones


Plug = Callable[..., fake_sounddevice.Microphone]


@pytest.fixture
def plug(monkeypatch: pytest.MonkeyPatch) -> Plug:
    """Return a function that connects a microphone of certain properties."""

    def connect(*names: str, **properties: object) -> fake_sounddevice.Microphone:
        microphone = fake_sounddevice.Microphone(**properties)  # type: ignore[arg-type]
        monkeypatch.setitem(sys.modules, "sounddevice", fake_sounddevice.module(microphone, *names))
        return microphone

    return connect


def listen(**settings: object) -> tuple[np.ndarray, live.MicrophoneSource, str]:
    """Return what a microphone heard until it was taken away, and what was said about that."""
    source = live.MicrophoneSource(sr=SR, **settings)  # type: ignore[arg-type]
    blocks = []
    with source, pytest.raises(OSError, match="sends no more sound") as error:
        blocks.extend(source.blocks())
    return np.concatenate(blocks), source, str(error.value)


def stereo(y: np.ndarray, *, size: int = 1_600) -> list[np.ndarray]:
    """Cut a signal into blocks of two channels, whose mean it is."""
    return [np.column_stack([1.5 * block, 0.5 * block]) for block in in_blocks(y, size)]


def test_a_microphone_gives_what_came_before_it_was_unplugged(
    plug: Plug, clips: list[np.ndarray]
) -> None:
    plug(sound=[block[:, np.newaxis] for block in in_blocks(clips[0], 1_600)])
    y, source, said = listen()
    assert np.array_equal(y, clips[0])
    assert (source.name, source.device_rate, source.overflows) == ("Built-in Mic", SR, 0)
    assert "'Built-in Mic'" in said
    assert "unplugged" in said


def test_a_microphone_is_recorded_at_its_own_rate(plug: Plug, clips: list[np.ndarray]) -> None:
    native = soxr.resample(clips[0], SR, 44_100, quality="HQ")
    microphone = plug(rates=[44_100], channels=2, sound=stereo(native, size=4_410))
    y, source, _ = listen()
    assert source.device_rate == microphone.opened[0]["samplerate"] == 44_100
    assert microphone.opened[0]["channels"] == 2
    # The resampler still holds its last samples when the device goes.
    assert 0.9 * len(clips[0]) < len(y) <= len(clips[0])
    np.testing.assert_allclose(y, soxr.resample(native, 44_100, SR)[: len(y)], atol=1e-3)


def test_a_device_that_refuses_its_own_rate_is_asked_for_ours(plug: Plug) -> None:
    microphone = plug(rates=[SR], sound=[np.ones((10, 1))])
    module = sys.modules["sounddevice"]
    module.query_devices()[1]["default_samplerate"] = 96_000.0
    _, source, _ = listen()
    assert source.device_rate == microphone.opened[0]["samplerate"] == SR


def test_lost_sound_is_counted(plug: Plug, monkeypatch: pytest.MonkeyPatch) -> None:
    block = np.ones((1_600, 1))
    plug(sound=[block, None, block, None])
    assert listen()[1].overflows == 2
    monkeypatch.setattr(live, "BACKLOG_SECONDS", 0.5)
    plug(sound=[block] * 9)
    y, source, _ = listen()
    assert len(y) == 5 * 1_600
    assert source.overflows == 4


def test_a_microphone_that_sends_nothing_is_given_up(
    plug: Plug, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "PATIENCE_SECONDS", 0.05)
    plug(sound=[np.ones((1_600, 1))], gone=False)
    assert len(listen()[0]) == 1_600


def test_closing_ends_the_blocks(plug: Plug) -> None:
    plug(sound=[np.ones((10, 1))] * 2, gone=False)
    with live.MicrophoneSource(sr=SR) as source:
        blocks = source.blocks()
        assert len(next(blocks)) == 10
    assert [len(block) for block in blocks] == [10]
    with pytest.raises(RuntimeError, match="not open"):
        next(source.blocks())


def test_a_busy_or_strange_device_is_told(plug: Plug) -> None:
    plug(busy=True)
    with pytest.raises(OSError, match=r"'Built-in Mic' cannot be opened .*Device unavailable\)"):
        live.MicrophoneSource(sr=SR).__enter__()
    plug(rates=[11_025])
    sys.modules["sounddevice"].query_devices()[1]["default_samplerate"] = 96_000.0
    with pytest.raises(OSError, match=r"cannot be opened \(Invalid sample rate\)"):
        live.MicrophoneSource(sr=SR).__enter__()


def test_a_device_that_does_not_start_is_closed(plug: Plug) -> None:
    microphone = plug(fails=True)
    with pytest.raises(OSError, match=r"cannot be opened \(Error starting stream"):
        live.MicrophoneSource(sr=SR).__enter__()
    assert microphone.closed == 1


def test_a_device_is_found_by_number_or_name(plug: Plug) -> None:
    plug("USB Mic", "USB Headset")
    assert [each.name for each in live.devices()] == ["Built-in Mic", "USB Mic", "USB Headset"]
    assert [each.default for each in live.devices()] == [True, False, False]
    for wanted, name in (
        (None, "Built-in Mic"),
        (2, "USB Mic"),
        ("3", "USB Headset"),
        ("headset", "USB Headset"),
        ("usb mic", "USB Mic"),
    ):
        assert live.find(wanted).name == name
    with pytest.raises(LookupError, match=r"several .*'usb': choose among 2 \(USB Mic\), 3"):
        live.find("usb")
    for wanted in ("camera", 0, 7):  # 0 is a loudspeaker
        with pytest.raises(LookupError, match=r"no microphone .*choose among 1 \(Built-in Mic\)"):
            live.find(wanted)


def test_what_is_missing_gets_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    with pytest.raises(OSError, match="PortAudio, which is not installed: sudo apt install lib"):
        live.MicrophoneSource(sr=SR).__enter__()
    monkeypatch.setitem(sys.modules, "sounddevice", fake_sounddevice.module(None))
    with pytest.raises(OSError, match="has no microphone: connect one"):
        live.MicrophoneSource(sr=SR).__enter__()


def test_without_sounddevice_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install -e '\.\[live\]'"):
        live.devices()


@pytest.mark.parametrize(
    ("value", "said"), [(0.0, "nothing but zeros"), (0.25, "one constant value")]
)
def test_dead_input_is_told_once_and_again_when_it_comes_back(
    plug: Plug, value: float, said: str
) -> None:
    dead = [np.full((1_600, 1), value)] * 40
    alive = [np.arange(1_600.0)[:, np.newaxis] / 1_600]
    told: list[str] = []
    plug(sound=dead[:25] + alive + dead + dead + alive + dead)
    listen(report=told.append)
    assert len(told) == 2
    assert f"{said} for 3 s" in told[0]


def test_lost_sound_is_told_once(plug: Plug) -> None:
    told: list[str] = []
    plug(sound=[None, np.random.default_rng(0).normal(size=(1_600, 1)), None] * 3)
    source = listen(report=told.append)[1]
    assert source.overflows == 6
    assert len(told) == 1
    assert "sound was lost" in told[0]
