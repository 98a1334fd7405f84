"""Sound files as streams of samples: libsndfile for what it knows, ffmpeg for everything else.

Memory follows what is read at a time and never what a header claims.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile as sf

from sercourse import headers

LOWEST_RATE, HIGHEST_RATE = 1_000, 768_000  # [Hz]

PATIENCE_SECONDS = 60.0
"""ffmpeg is ended when it brings nothing for so long [s]."""

# What ffmpeg may take a file for: sound and films. Playlists and everything else that opens other
# files or the network are not among them.
_DEMUXERS = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,dsf,dts,eac3,flac,flv,gsm,loas,m4v,"
    "matroska,mov,mp3,mpc,mpc8,mpeg,mpegts,mxf,nut,ogg,rm,tak,tta,voc,w64,wav,wv"
)
# Formats whose header states a length, where ffprobe does not guess it from the file's size.
_TIMED = ("asf", "flv", "mov", "matroska")
# What ffmpeg says of files that were cut off.
_CUT = ("ended prematurely", "partial file", "Input buffer exhausted", "size too small")

_MAGIC = (
    (4, b"ftyp", "MPEG-4 (m4a, mp4, mov)"),
    (0, b"\x1a\x45\xdf\xa3", "Matroska or WebM"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "Windows Media (wma, asf)"),
    (8, b"AVI ", "AVI"),
    (8, b"WAVE", "WAV with a codec that libsndfile lacks"),
    (0, b"FLV", "Flash video"),
    (0, b"\0\0\1\xba", "MPEG video"),
    (0, b"#!AMR", "AMR"),
    (0, b"\xff\xf1", "AAC"),
    (0, b"\xff\xf9", "AAC"),
    (0, b"\x0b\x77", "AC-3"),
)
_PLAYLISTS = (b"#EXTM3U", b"[playlist]", b"ffconcat", b"<?xml", b"<MPD", b"<smil")
# First bytes of the containers that libsndfile knows.
_SNDFILE_MAGIC = tuple(b"RIFF RIFX RF64 riff FORM fLaC OggS ID3 .snd dns. caff NIST".split())
_HEADER_BYTES = 4096  # a file that ends within these has no more than a header
_HEADERLESS = (".raw", ".pcm", ".sln")


class SoundWarning(UserWarning):
    """Something about a sound file that its reader should know, though it was read."""


@dataclass(frozen=True)
class Sound:
    """An open sound file.

    Attributes
    ----------
    rate : int
        Of its samples as `read` gives them [Hz].
    channels : int
    n_samples : int or None
        Length of each channel where that can be known before decoding.
    read : callable
        From a number of samples to the next ones, shape (at most n_samples, channels), float32;
        none at the end. ValueError if the file is damaged, or at its end if that came too early.
    """

    rate: int
    channels: int
    n_samples: int | None
    read: Callable[[int], np.ndarray]


@contextlib.contextmanager
def opened(path: Path, *, sr: int | None = None) -> Iterator[Sound]:
    """Open any sound file; what ffmpeg reads comes at rate `sr` where that is given.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it cannot be read: the message is ``PATH: reason``.
    """
    with contextlib.ExitStack() as stack:
        try:
            sound = _by_libsndfile(path, stack)
        except sf.LibsndfileError:
            sound = _by_ffmpeg(path, stack, sr=sr)
        if not LOWEST_RATE <= sound.rate <= HIGHEST_RATE:
            raise ValueError(f"{path}: its rate is {sound.rate} Hz: 1 to 768 kHz can be read")
        yield sound


def _head(path: Path) -> bytes:
    """Return the first bytes of a file that must exist and hold something."""
    if path.is_dir():
        raise ValueError(f"{path}: a folder, not a sound file")
    if path.exists() and not path.is_file():  # reading it would wait, and take what it holds
        raise ValueError(f"{path}: a pipe or a device; save the sound as a file first")
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file") from None
    if not head:
        raise ValueError(f"{path}: empty file")
    if head.startswith(_PLAYLISTS):
        raise ValueError(f"{path}: a playlist or another text, not a sound file")
    return head


# --- libsndfile -------------------------------------------------------------------------------


class _Patched:
    """A file with other bytes in some places, and without a name that libsndfile could guess by."""

    def __init__(self, file: BinaryIO, patches: dict[int, bytes]) -> None:
        self.seek, self.tell = file.seek, file.tell
        self._file, self._patches = file, patches

    def read(self, n_bytes: int) -> bytes:
        start = self._file.tell()
        content = bytearray(self._file.read(n_bytes))
        for at, patch in self._patches.items():
            first, last = max(at, start), min(at + len(patch), start + len(content))
            if first < last:
                content[first - start : last - start] = patch[first - at : last - at]
        return bytes(content)


class _Unseekable(sf.SoundFile):
    """A sound file that is read from its beginning to its end.

    soundfile looks up the length in the header and seeks after every read where it can; both fail
    where the header lies.
    """

    def seekable(self) -> bool:
        return False


def _by_libsndfile(path: Path, stack: contextlib.ExitStack) -> Sound:
    _head(path)
    binary = stack.enter_context(path.open("rb"))
    header = headers.inspect(binary, size=path.stat().st_size)
    if header.fault:
        raise ValueError(f"{path}: {header.fault}")
    if header.told > 1 + headers.TOLERANCE:
        raise ValueError(f"{path}: {_truncated(1 - 1 / header.told)}")
    binary.seek(0)
    file = stack.enter_context(_Unseekable(_Patched(binary, header.patches)))
    is_mp3 = file.format == "MP3"  # whose length is but near what its header tells
    if is_mp3 and not header.patches and file.frames < 0.99 * (header.n_samples or 0):
        # Without a Xing header libsndfile guesses the length from the first frames, and ends there.
        raise sf.LibsndfileError(1)
    if header.told < 1:
        _say_more(path, header.told)
    told = header.n_samples
    if told is None and file.format != "FLAC" and file.frames < 2**62:
        told = file.frames
    n_read = 0

    def read(n_samples: int) -> np.ndarray:
        nonlocal n_read
        try:
            samples: np.ndarray = file.read(n_samples, dtype="float32", always_2d=True)
        except sf.LibsndfileError:
            raise ValueError(f"{path}: damaged sound file") from None
        n_read += len(samples)
        if len(samples) == 0 and told and n_read and not is_mp3:
            if n_read < (1 - headers.TOLERANCE) * told:
                raise ValueError(f"{path}: {_truncated(1 - n_read / told)}")
            if n_read > (1 + headers.TOLERANCE) * told:
                _say_more(path, told / n_read)
        return samples

    return Sound(file.samplerate, file.channels, told if header.plausible else None, read)


def _truncated(share: float) -> str:
    return f"truncated sound file, {share:.0%} of it is missing"


def _say_more(path: Path, told: float) -> None:
    _warn(path, f"its header tells of {told:.0%} of the sound that it holds: all of it is read")


def _warn(path: Path, what: str) -> None:
    warnings.warn(f"{path}: {what}", SoundWarning, stacklevel=2)


# --- ffmpeg -----------------------------------------------------------------------------------


def _by_ffmpeg(path: Path, stack: contextlib.ExitStack, *, sr: int | None) -> Sound:
    head = _head(path)
    found = next((name for at, magic, name in _MAGIC if head.startswith(magic, at)), "")
    if shutil.which("ffmpeg") is None or shutil.which("ffprobe") is None:
        if path.suffix.lower() in _HEADERLESS or not found:
            raise ValueError(f"{path}: {_fault(path, head)}")
        raise ValueError(
            f"{path}: {found} is read through ffmpeg, which is not installed: install it, or "
            "convert the clip to .wav or .flac"
        )
    told = _probed(path, head, found)
    sounds = [each for each in told["streams"] if each.get("codec_type") == "audio"]
    name = str(told["format"]["format_name"])
    if not sounds or not int(sounds[0].get("channels") or 0):
        raise ValueError(f"{path}: {found or name}, and ffmpeg finds no sound in it")
    duration = 0.0  # [s]; 0 where it is not told
    if name.startswith(_TIMED):
        duration = float(sounds[0].get("duration") or 0)
        if "duration" not in sounds[0] and len(sounds) == len(told["streams"]):
            duration = float(told["format"].get("duration") or 0)  # a film may be longer
    rate, channels = int(sounds[0]["sample_rate"]), int(sounds[0]["channels"])
    if sr is not None and LOWEST_RATE <= rate <= HIGHEST_RATE:
        rate = sr
    command = [*_command("ffmpeg"), "-nostdin", "-i", f"file:{path}", "-map", "0:a:0"]
    command += ["-ac", str(channels), "-ar", str(rate), "-f", "f32le", "pipe:1"]
    nothing, pipe = subprocess.DEVNULL, subprocess.PIPE
    process = stack.enter_context(
        subprocess.Popen(command, stdin=nothing, stdout=pipe, stderr=pipe)
    )
    assert process.stdout is not None
    assert process.stderr is not None
    said: deque[bytes] = deque(maxlen=100)
    listener = threading.Thread(target=said.extend, args=(process.stderr,), daemon=True)
    listener.start()
    stack.callback(listener.join)
    stack.callback(process.kill)  # first: it may still be decoding
    n_read, late, stdout = 0, threading.Event(), process.stdout

    def give_up() -> None:
        late.set()
        process.kill()

    def read(n_samples: int) -> np.ndarray:
        nonlocal n_read
        watchdog = threading.Timer(PATIENCE_SECONDS, give_up)
        watchdog.start()
        try:
            content = stdout.read(n_samples * channels * 4)
        finally:
            watchdog.cancel()
        n_values = len(content) // 4 // channels * channels
        samples = np.frombuffer(content, "<f4", count=n_values).reshape(-1, channels)
        n_read += len(samples)
        if len(samples) == 0:
            status = process.wait()
            listener.join()
            if late.is_set():
                raise ValueError(f"{path}: ffmpeg brought no sound for {PATIENCE_SECONDS:g} s")
            words = b"\n".join(said).decode(errors="replace")
            _check_end(path, words, status, n_seconds=n_read / rate, told=duration)
        return samples

    return Sound(rate, channels, None, read)  # headers of such files often lack the length


def _check_end(path: Path, words: str, status: int, *, n_seconds: float, told: float) -> None:
    """Look at how ffmpeg ended."""
    missing = 1 - n_seconds / told if told else 0.0
    if missing > headers.TOLERANCE and told - n_seconds > 0.25:
        raise ValueError(f"{path}: {_truncated(missing)}")
    if any(each in words for each in _CUT):
        raise ValueError(f"{path}: truncated sound file (ffmpeg: {_last(words)})")
    if status:
        raise ValueError(f"{path}: ffmpeg cannot read it: {_last(words)}")
    if words and n_seconds:
        _warn(path, f"read, though ffmpeg says: {_last(words)}")


def _probed(path: Path, head: bytes, found: str) -> dict[str, Any]:
    """Return what ffprobe knows of the streams and the format of a file."""
    command = [*_command("ffprobe"), "-show_entries"]
    command += ["format=format_name,duration:stream=codec_type,channels,sample_rate,duration"]
    command += ["-of", "json", f"file:{path}"]
    try:
        done = subprocess.run(command, input=b"", capture_output=True, timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        raise ValueError(f"{path}: ffprobe was not done within {PATIENCE_SECONDS:g} s") from None
    if done.returncode == 0:
        return dict(json.loads(done.stdout))
    words = _last(done.stderr.decode(errors="replace"))
    if found and not head.startswith(_SNDFILE_MAGIC):
        raise ValueError(f"{path}: {found} that ffmpeg cannot read: {words}")
    raise ValueError(f"{path}: {_fault(path, head)}")


def _command(name: str) -> list[str]:
    """Return the start of a command that reads one local file, and nothing that the file names."""
    program = shutil.which(name) or name
    return [program, "-v", "error", "-protocol_whitelist", "file", "-format_whitelist", _DEMUXERS]


def _last(words: str) -> str:
    """Return what ffmpeg said before it gave up, without addresses and paths."""
    lines = [re.sub(r"^(\[[^]]*\] )+|file:.*?: (?=[A-Z])", "", each) for each in words.splitlines()]
    told = [each for each in lines if each and not each.startswith("Error while decoding")]
    return (told or lines or ["nothing"])[0].strip()


def _fault(path: Path, head: bytes) -> str:
    """Say why libsndfile refused a file: its own messages are about its internals."""
    if path.suffix.lower() in _HEADERLESS:
        return (
            "samples without a header, which alone tells their rate and format: convert it, such "
            "as by ffmpeg -f s16le -ar 16000 -ac 1 -i FILE OUT.wav"
        )
    if not head.startswith(_SNDFILE_MAGIC):
        return "not a sound file"
    return "truncated header" if path.stat().st_size < _HEADER_BYTES else "damaged sound file"
