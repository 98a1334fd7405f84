"""A real PortAudio records from a virtual microphone, as a user's would."""

from __future__ import annotations

import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
import pytest
import soundfile
import soxr
import virtual_microphone
from real_time import REAL_TIME
from virtual_microphone import VirtualMicrophone

from sercourse import audio

SR = 16_000
COMMAND = [sys.executable, "-m", "sercourse"]
CLIPS = ("03-01-05-02-01-01-01", "03-01-04-01-01-01-01", "03-01-08-02-02-01-01")
PATIENCE = 60.0  # [s]; machines that test are slow, and none of this is a test of speed

pytestmark = REAL_TIME


@pytest.fixture(scope="module", autouse=True)
def _needed() -> None:
    if missing := virtual_microphone.missing():
        pytest.skip(f"no virtual microphone: {missing}")


@pytest.fixture
def microphone() -> Iterator[VirtualMicrophone]:
    with virtual_microphone.running() as started:
        yield started


@pytest.fixture
def three_clips(sample_ravdess: Path, tmp_path: Path) -> Path:
    paths = [sample_ravdess / "Actor_01" / f"{clip}.ogg" for clip in CLIPS]
    return in_a_row(paths, out=tmp_path / "three.wav")


def in_a_row(paths: list[Path], *, out: Path) -> Path:
    """Write clips with pauses of 1 s between them, at the rate of the device."""
    pause = np.zeros(virtual_microphone.SR, dtype=np.float32)
    signals = [change_rate(audio.read(path, sr=SR)) for path in paths]
    y = np.concatenate([part for each in signals for part in (pause, each)] + [pause])
    soundfile.write(out, y, virtual_microphone.SR, subtype="FLOAT")
    return out


def change_rate(y: np.ndarray) -> np.ndarray:
    return soxr.resample(y, SR, virtual_microphone.SR, quality="HQ")


class Listener:
    """A command that listens, and the lines that it prints."""

    def __init__(self, microphone: VirtualMicrophone, *argv: object) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, *map(str, argv)],
            env=microphone.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.out: list[str] = []
        self.err: list[str] = []
        self._new: queue.Queue[str] = queue.Queue()
        self._readers = [
            threading.Thread(target=self._read, args=pair, daemon=True)
            for pair in ((self.process.stdout, self.out), (self.process.stderr, self.err))
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: IO[str], lines: list[str]) -> None:
        for line in stream:
            lines.append(line.rstrip())
            self._new.put(line)

    def wait_for(self, words: str) -> None:
        """Wait until a line with these words has come."""
        while words not in self._new.get(timeout=PATIENCE):
            pass

    def end(self, request: signal.Signals | None = None) -> int:
        """Ask it to end, or wait until it does, and return its status."""
        if request is not None:
            self.process.send_signal(request)
        status = self.process.wait(timeout=PATIENCE)
        for reader in self._readers:
            reader.join()
        return status


def answers(lines: list[str]) -> list[dict[str, float]]:
    """Read the emotions and their probabilities from what `listen` prints."""
    found: list[dict[str, float]] = []
    for line in lines:
        if re.match(r"\d+:\d\d\.\d\d – ", line):
            found.append({})
        elif bar := re.match(r"  (\w+) +([\d.]+)%", line):
            found[-1][bar[1]] = float(bar[2]) / 100
    return found


def heard_and_read(
    microphone: VirtualMicrophone, path: Path, *, n: int
) -> list[tuple[dict[str, float], dict[str, float]]]:
    """Return what is said of each utterance when it is heard, and when it is read."""
    listener = Listener(microphone, "listen")
    listener.wait_for("listening")
    microphone.play(path)
    for _ in range(n):
        listener.wait_for(" – ")
    assert listener.end(signal.SIGINT) == 0
    assert listener.err[-1].endswith(f"of {n} utterances judged")
    file = subprocess.run(
        [*COMMAND, "listen", "--source", path], capture_output=True, text=True, check=True
    )
    heard, read = answers(listener.out), answers(file.stdout.splitlines())
    assert len(heard) == len(read) == n
    return list(zip(heard, read, strict=True))


def test_a_microphone_hears_what_a_file_holds(
    microphone: VirtualMicrophone, three_clips: Path
) -> None:
    for heard, read in heard_and_read(microphone, three_clips, n=len(CLIPS)):
        assert max(heard, key=heard.__getitem__) == max(read, key=read.__getitem__)
        assert heard == pytest.approx(read, abs=0.15)


@pytest.mark.integration
def test_nine_of_ten_recordings_of_people_keep_their_label(
    microphone: VirtualMicrophone, ravdess_root: Path, tmp_path: Path
) -> None:
    paths = sorted(ravdess_root.rglob("03-01-0[1-8]-01-01-01-*.*"))[::20]
    assert len({path.parent for path in paths}) == len(paths) == 10
    pairs = heard_and_read(microphone, in_a_row(paths, out=tmp_path / "ten.wav"), n=10)
    kept = [max(a, key=a.__getitem__) == max(b, key=b.__getitem__) for a, b in pairs]
    assert sum(kept) >= 9
    assert all(heard == pytest.approx(read, abs=0.15) for heard, read in pairs)


def test_record_writes_what_is_played(
    microphone: VirtualMicrophone, three_clips: Path, tmp_path: Path
) -> None:
    out = tmp_path / "mine.wav"
    recorder = Listener(microphone, "record", out, "--seconds", "8")
    recorder.wait_for("speak")
    microphone.play(three_clips)
    assert recorder.end() == 0
    assert f"saved {out}: 8.0 s" in recorder.out[-1]
    heard, played = audio.read(out, sr=SR), audio.read(three_clips, sr=SR)
    assert len(heard) == 8 * SR
    # The first words are in both, wherever they begin; a busy machine may tear a gap into them.
    words = played[SR : 2 * SR]
    likeness = np.correlate(heard, words, mode="valid").max() / np.linalg.norm(words) ** 2
    assert 0.5 < likeness < 1.1


def test_an_unplugged_microphone_is_told_and_nothing_is_lost(
    microphone: VirtualMicrophone, three_clips: Path, tmp_path: Path
) -> None:
    recorder = Listener(microphone, "record", tmp_path / "mine.wav", "--seconds", "600")
    recorder.wait_for("speak")
    threading.Timer(6.0, microphone.unplug).start()  # a busy machine loses half of that
    with pytest.raises(subprocess.CalledProcessError):
        microphone.play(three_clips)
    assert recorder.end() == 1
    told = [line for line in recorder.err if line.startswith("sercourse: ")]
    assert len(told) == 1
    assert "unplugged" in told[0]
    assert "Traceback" not in "\n".join(recorder.err)
    heard = audio.read(tmp_path / "mine.wav", sr=SR)
    assert 1.5 * SR < len(heard) < 12 * SR
    assert np.abs(heard).max() > 0.01


def test_a_request_to_end_is_followed_while_it_is_silent(microphone: VirtualMicrophone) -> None:
    listener = Listener(microphone, "listen")
    listener.wait_for("nothing but zeros")  # the null sink plays nothing
    assert listener.end(signal.SIGTERM) == 0
    assert listener.out == []
    assert listener.err[-1] == "stopped: 0 of 0 utterances judged"


def test_devices_are_listed(microphone: VirtualMicrophone) -> None:
    done = subprocess.run(
        [*COMMAND, "listen", "--list-devices"],
        env=microphone.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "(default)" in done.stdout
