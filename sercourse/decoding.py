"""Sound files as streams of samples: libsndfile for what it knows, ffmpeg for everything else.

Memory follows what is read at a time and never what a header claims.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
import warnings
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import soundfile as sf

from sercourse import headers

LOWEST_RATE, HIGHEST_RATE = 1_000, 768_000  # [Hz]
PIECE_SECONDS, MOST_VALUES = 10.0, 4_000_000  # decoded at a time

PATIENCE_SECONDS = 60.0
"""ffmpeg is ended when it brings nothing for so long [s]."""

# What ffmpeg may take a file for: sound and films. Playlists and everything else that opens other
# files or the network are not among them.
_DEMUXERS = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,dsf,dts,eac3,flac,flv,gsm,loas,m4v,"
    "matroska,mov,mp3,mpc,mpc8,mpeg,mpegts,mxf,nut,ogg,rm,tak,tta,voc,w64,wav,wv"
)
# A command with these options reads one local file, and nothing that the file names.
_SAFELY = ("-v", "error", "-protocol_whitelist", "file", "-format_whitelist", _DEMUXERS)
# Formats whose header states a length, where ffprobe does not guess it from the file's size.
_TIMED = ("asf", "flv", "mov", "matroska")
# What ffmpeg says of files that were cut off.
_CUT = ("ended prematurely", "partial file", "Input buffer exhausted", "size too small")

# First bytes of MPEG-4, AVI, other WAV, Matroska, Windows Media, Flash, MPEG video, AMR, AAC, AC-3.
_FFMPEG_MAGIC = re.compile(
    rb"(?s:.{4}ftyp|.{8}(AVI |WAVE)|\x1a\x45\xdf\xa3|\x30\x26\xb2\x75\x8e\x66\xcf\x11|FLV"
    rb"|\x00\x00\x01\xba|#!AMR|\xff[\xf0\xf1\xf8\xf9]|\x0b\x77)"
)
_PLAYLISTS = (b"#EXTM3U", b"[playlist]", b"ffconcat", b"<?xml", b"<MPD", b"<smil")
# First bytes of the containers that libsndfile knows.
_SNDFILE_MAGIC = tuple(b"RIFF RIFX RF64 riff. FORM fLaC OggS ID3 .snd dns. caff\0 NIST_1A".split())
_HEADER_BYTES = 4096  # a file that ends within these has no more than a header
_HEADERLESS = (".raw", ".pcm", ".sln")


Pieces = Generator[np.ndarray, None, None]


class SoundWarning(UserWarning):
    """Something about a sound file that its reader should know, though it was read."""


class Sound(NamedTuple):
    """An open sound file.

    Attributes
    ----------
    rate : int
        Of its samples as `pieces` gives them [Hz].
    channels : int
    n_samples : int or None
        Length of each channel where that can be known before decoding.
    pieces : generator of ndarray, shape (at most 10 s, channels), float32
        ValueError if the file is damaged, or at its end if that came too early.
    """

    rate: int
    channels: int
    n_samples: int | None
    pieces: Pieces


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
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    if not path.is_file():  # reading a pipe would wait, and take what it holds
        raise ValueError(f"{path}: a folder, a pipe or a device, not a sound file")
    with path.open("rb") as file:
        head = file.read(16)
    if not head:
        raise ValueError(f"{path}: empty file")
    if head.startswith(_PLAYLISTS):
        raise ValueError(f"{path}: a playlist or another text, not a sound file")
    with contextlib.ExitStack() as stack:
        try:
            sound = _by_libsndfile(path, stack)
        except sf.LibsndfileError:
            sound = _by_ffmpeg(path, head, sr=sr)
        stack.callback(sound.pieces.close)
        if not LOWEST_RATE <= sound.rate <= HIGHEST_RATE:
            raise ValueError(f"{path}: its rate is {sound.rate} Hz: 1 to 768 kHz can be read")
        yield sound


def begins_as_sound(head: bytes) -> bool:
    """Whether a file with these first 16 bytes is one of sound, or a film."""
    if head[4:8] == b"ftyp":
        return head[8:12] not in (b"heic", b"heix", b"mif1", b"msf1", b"avif", b"crx ")  # pictures
    if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"FORM"):
        return head[8:12] in (b"WAVE", b"AVI ", b"AIFF", b"AIFC")
    layers_2_and_3 = re.match(rb"\xff[\xe2\xe3\xf2-\xf5\xfa-\xfd]", head)
    return head.startswith(_SNDFILE_MAGIC) or bool(_FFMPEG_MAGIC.match(head) or layers_2_and_3)


def warn(path: Path, what: str) -> None:
    """Tell the reader of a sound file what it should know."""
    warnings.warn(f"{path}: {what}", SoundWarning, stacklevel=2)


def _piece_length(rate: int, channels: int) -> int:
    """Return how many samples of each channel are decoded at a time: 10 s, or fewer of many."""
    return max(1, min(round(PIECE_SECONDS * rate), MOST_VALUES // channels))


# --- libsndfile -------------------------------------------------------------------------------


class _Patched:
    """A file with other bytes in some places, and without a name that libsndfile could guess by."""

    def __init__(self, file: BinaryIO, patches: dict[int, bytes]) -> None:
        self.tell = file.tell
        self._file, self._patches = file, patches

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        with contextlib.suppress(OSError):  # before its beginning, as where a header lies
            self._file.seek(offset, whence)
        return self._file.tell()

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
    binary = stack.enter_context(path.open("rb"))
    size = path.stat().st_size
    header = headers.inspect(binary, size=size)
    binary.seek(0)
    file = stack.enter_context(_Unseekable(_Patched(binary, header.patches)))
    told, is_mp3 = header.n_samples, file.format == "MP3"
    if is_mp3 and not header.patches and file.frames < 0.99 * (told or 0):
        # Without a Xing header libsndfile guesses the length from the first frames, and ends there.
        raise sf.LibsndfileError(1)
    if told is None and file.format != "FLAC" and file.frames < 2**62:
        told = file.frames
    if header.told < 1:
        _say_more(path, header.told)

    def pieces() -> Pieces:
        n_read, length = 0, _piece_length(file.samplerate, file.channels)
        try:
            while len(samples := file.read(length, dtype="float32", always_2d=True)):
                n_read += len(samples)
                yield samples
        except sf.LibsndfileError:
            raise ValueError(f"{path}: damaged sound file") from None
        if told and n_read and not is_mp3:  # whose length is but near what its header tells
            if n_read < (1 - headers.TOLERANCE) * told:
                raise ValueError(f"{path}: {headers.truncated(1 - n_read / told)}")
            if n_read > (1 + headers.TOLERANCE) * told:
                _say_more(path, told / n_read)

    # Nothing but silence is packed more tightly than to a tenth of 16 bits.
    believed = told if file.format != "FLAC" or (told or 0) * file.channels < 5 * size else None
    return Sound(file.samplerate, file.channels, believed, pieces())


def _say_more(path: Path, told: float) -> None:
    warn(path, f"its header tells of {told:.0%} of the sound that it holds: all of it is read")


# --- ffmpeg -----------------------------------------------------------------------------------


def _by_ffmpeg(path: Path, head: bytes, *, sr: int | None) -> Sound:
    told = _probed(path, head)
    sounds = [each for each in told["streams"] if each.get("codec_type") == "audio"]
    name = str(told["format"]["format_name"])
    if not sounds or not (channels := int(sounds[0].get("channels") or 0)):
        raise ValueError(f"{path}: {name}, and ffmpeg finds no sound in it")
    seconds = 0.0  # where the length is not told
    if name.startswith(_TIMED):
        is_film = len(sounds) < len(told["streams"])  # and may be longer than its sound
        whole = 0 if is_film else told["format"].get("duration")
        seconds = float(sounds[0].get("duration", whole) or 0)
    rate = int(sounds[0]["sample_rate"])
    if sr is not None and LOWEST_RATE <= rate <= HIGHEST_RATE:
        rate = sr
    pieces = _decoded(path, rate=rate, channels=channels, seconds=seconds)
    return Sound(rate, channels, None, pieces)  # headers of such files often lack the length


def _decoded(path: Path, *, rate: int, channels: int, seconds: float) -> Pieces:
    """Yield what ffmpeg decodes, and look at how it ended."""
    program = shutil.which("ffmpeg") or "ffmpeg"
    command = [program, *_SAFELY, "-nostdin", "-i", f"file:{path}", "-map", "0:a:0"]
    command += ["-ac", str(channels), "-ar", str(rate), "-f", "f32le", "pipe:1"]
    n_read, late, length = 0, False, 4 * channels * _piece_length(rate, channels)
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said) as process,
    ):
        stdout: Any = process.stdout
        try:
            while True:
                watchdog = threading.Timer(PATIENCE_SECONDS, process.kill)
                watchdog.start()
                started = time.monotonic()
                try:
                    content = stdout.read(length)
                finally:
                    watchdog.cancel()
                # The timer can be a little early by this clock.
                late = late or time.monotonic() - started >= 0.95 * PATIENCE_SECONDS
                n_values = len(content) // 4 // channels * channels
                if n_values == 0:
                    break
                n_read += n_values // channels
                yield np.frombuffer(content, "<f4", count=n_values).reshape(-1, channels)
            status = process.wait()
        finally:
            process.kill()  # it may still be decoding
        said.seek(0)
        words = said.read(100_000).decode(errors="replace")
    missing = 1 - n_read / rate / seconds if seconds else 0.0
    if late:
        raise ValueError(f"{path}: ffmpeg brought no sound for {PATIENCE_SECONDS:g} s")
    if missing > headers.TOLERANCE and missing * seconds > 0.25:
        raise ValueError(f"{path}: {headers.truncated(missing)}")
    if any(each in words for each in _CUT):
        raise ValueError(f"{path}: truncated sound file (ffmpeg: {_last(words)})")
    if status:
        raise ValueError(f"{path}: ffmpeg cannot read it: {_last(words)}")
    if words and n_read:
        warn(path, f"read, though ffmpeg says: {_last(words)}")


def _probed(path: Path, head: bytes) -> dict[str, Any]:
    """Return what ffprobe knows of the streams and the format of a file."""
    is_known, why = _FFMPEG_MAGIC.match(head), _fault(path, head)
    if shutil.which("ffmpeg") and (ffprobe := shutil.which("ffprobe")):
        entries = "format=format_name,duration:stream=codec_type,channels,sample_rate,duration"
        command = [ffprobe, *_SAFELY, "-show_entries", entries, "-of", "json", f"file:{path}"]
        try:
            done = subprocess.run(command, input=b"", capture_output=True, timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            raise ValueError(f"{path}: ffprobe took over {PATIENCE_SECONDS:g} s") from None
        if done.returncode == 0:
            return dict(json.loads(done.stdout))
        if is_known and not head.startswith(_SNDFILE_MAGIC):
            why = f"ffmpeg cannot read it: {_last(done.stderr.decode(errors='replace'))}"
    elif is_known and path.suffix.lower() not in _HEADERLESS:
        why = "it is read through ffmpeg, which is not installed: install it, or convert it to .wav"
    raise ValueError(f"{path}: {why}")


def _last(words: str) -> str:
    """Return what ffmpeg said before it gave up, without addresses and paths."""
    lines = [re.sub(r"^(\[[^]]*\] )+|file:.*?: (?=[A-Z])", "", each) for each in words.splitlines()]
    told = [each for each in lines if each and not each.startswith("Error while decoding")]
    return (told or lines or ["nothing"])[0].strip()


def _fault(path: Path, head: bytes) -> str:
    """Say why libsndfile refused a file: its own messages are about its internals."""
    if path.suffix.lower() in _HEADERLESS:
        return "samples without a header: convert it (ffmpeg -f s16le -ar 16000 -i FILE OUT.wav)"
    if not head.startswith(_SNDFILE_MAGIC):
        return "not a sound file"
    return "truncated header" if path.stat().st_size < _HEADER_BYTES else "damaged sound file"
