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
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO, Protocol

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


class Sound(Protocol):
    """An open sound file.

    Attributes
    ----------
    rate : int
        Of its samples as `read` gives them [Hz].
    channels : int
    n_samples : int or None
        Length of each channel where that can be known before decoding.
    """

    rate: int
    channels: int
    n_samples: int | None

    def read(self, n_samples: int) -> np.ndarray:
        """Return the next samples, shape (at most n_samples, channels), float32; none at the end.

        Raises
        ------
        ValueError
            If the file is damaged, or at its end if that came too early.
        """


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


class _Libsndfile:
    """A file that libsndfile decodes."""

    def __init__(self, path: Path, file: sf.SoundFile, header: headers.Header) -> None:
        self.rate: int = file.samplerate
        self.channels: int = file.channels
        frames = None if file.format == "FLAC" or file.frames >= 2**62 else file.frames
        self._told: int | None = frames if header.n_samples is None else header.n_samples
        self.n_samples = self._told if header.plausible else None
        self._path, self._file = path, file
        self._n_read = 0

    def read(self, n_samples: int) -> np.ndarray:
        try:
            samples: np.ndarray = self._file.read(n_samples, dtype="float32", always_2d=True)
        except sf.LibsndfileError:
            raise ValueError(f"{self._path}: damaged sound file") from None
        self._n_read += len(samples)
        if len(samples) == 0 and self._told and self._n_read:
            self._compare(self._told)
        return samples

    def _compare(self, told: int) -> None:
        """Compare what the header tells with what was read. An MP3's length is but near it."""
        if self._file.format == "MP3":
            return
        if self._n_read < (1 - headers.TOLERANCE) * told:
            raise ValueError(f"{self._path}: {_truncated(1 - self._n_read / told)}")
        if self._n_read > (1 + headers.TOLERANCE) * told:
            _say_more(self._path, told / self._n_read)


def _by_libsndfile(path: Path, stack: contextlib.ExitStack) -> Sound:
    _head(path)
    file = stack.enter_context(path.open("rb"))
    header = headers.inspect(file, size=path.stat().st_size)
    if header.fault:
        raise ValueError(f"{path}: {header.fault}")
    if header.told > 1 + headers.TOLERANCE:
        raise ValueError(f"{path}: {_truncated(1 - 1 / header.told)}")
    file.seek(0)
    sound = stack.enter_context(_Unseekable(_Patched(file, header.patches)))
    if (
        sound.format == "MP3"
        and header.n_samples
        and not header.patches
        and sound.frames < 0.99 * header.n_samples
    ):
        # Without a Xing header libsndfile guesses the length from the first frames, and ends there.
        raise sf.LibsndfileError(1)
    if header.told < 1:
        _say_more(path, header.told)
    return _Libsndfile(path, sound, header)


def _truncated(share: float) -> str:
    return f"truncated sound file, {share:.0%} of it is missing"


def _say_more(path: Path, told: float) -> None:
    _warn(path, f"its header tells of {told:.0%} of the sound that it holds: all of it is read")


def _warn(path: Path, what: str) -> None:
    warnings.warn(f"{path}: {what}", SoundWarning, stacklevel=2)


# --- ffmpeg -----------------------------------------------------------------------------------


class _Ffmpeg:
    """What ffmpeg makes of a file, through a pipe; it ends when nobody reads from it any more."""

    def __init__(self, path: Path, *, stream: dict[str, Any], rate: int) -> None:
        self.rate, self.channels = rate, int(stream["channels"])
        self.n_samples: int | None = None  # headers of such files often lack it
        self._path, self._n_read = path, 0
        self._seconds = float(stream.get("duration") or 0)  # 0 where it is not told
        command = [*_command("ffmpeg"), "-nostdin", "-i", f"file:{path}", "-map", "0:a:0"]
        command += ["-ac", str(self.channels), "-ar", str(rate), "-f", "f32le", "pipe:1"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self._said: deque[bytes] = deque(maxlen=100)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self._late = False

    def __enter__(self) -> _Ffmpeg:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._listener.join()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def read(self, n_samples: int) -> np.ndarray:
        pipe: IO[bytes] | None = self._process.stdout
        assert pipe is not None
        watchdog = threading.Timer(PATIENCE_SECONDS, self._give_up)
        watchdog.start()
        try:
            content = pipe.read(n_samples * self.channels * 4)
        finally:
            watchdog.cancel()
        n_values = len(content) // 4 // self.channels * self.channels
        samples = np.frombuffer(content, "<f4", count=n_values)
        self._n_read += len(samples) // self.channels
        if len(samples) == 0:
            self._compare()
        return samples.reshape(-1, self.channels)

    def _listen(self) -> None:
        assert self._process.stderr is not None
        self._said.extend(self._process.stderr)

    def _give_up(self) -> None:
        self._late = True
        self._process.kill()

    def _compare(self) -> None:
        """Look at how ffmpeg ended."""
        status = self._process.wait()
        self._listener.join()
        if self._late:
            raise ValueError(f"{self._path}: ffmpeg brought no sound for {PATIENCE_SECONDS:g} s")
        words = b"\n".join(self._said).decode(errors="replace")
        n_seconds = self._n_read / self.rate
        missing = 1 - n_seconds / self._seconds if self._seconds else 0.0
        if missing > headers.TOLERANCE and self._seconds - n_seconds > 0.25:
            raise ValueError(f"{self._path}: {_truncated(missing)}")
        if any(each in words for each in _CUT):
            raise ValueError(f"{self._path}: truncated sound file (ffmpeg: {_last(words)})")
        if status:
            raise ValueError(f"{self._path}: ffmpeg cannot read it: {_last(words)}")
        if words and self._n_read:
            _warn(self._path, f"read, though ffmpeg says: {_last(words)}")


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
    stream = dict(sounds[0])
    if not name.startswith(_TIMED):
        stream["duration"] = 0
    elif len(sounds) == len(told["streams"]):  # a film may well be longer than its sound
        stream.setdefault("duration", told["format"].get("duration"))
    rate = int(sounds[0]["sample_rate"])
    if sr is not None and LOWEST_RATE <= rate <= HIGHEST_RATE:
        rate = sr
    return stack.enter_context(_Ffmpeg(path, stream=stream, rate=rate))


def _probed(path: Path, head: bytes, found: str) -> dict[str, Any]:
    """Return what ffprobe knows of the streams and the format of a file."""
    command = [*_command("ffprobe"), "-show_entries"]
    command += ["format=format_name,duration:stream=codec_type,channels,sample_rate,duration"]
    command += ["-of", "json", f"file:{path}"]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
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
