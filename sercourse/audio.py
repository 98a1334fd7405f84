"""Sound files and waveforms: the only reader of the project, and the first steps after it.

Every waveform `y` is a one-dimensional float array; its rate `sr` [Hz] is always stated.
"""

from __future__ import annotations

import contextlib
import io
import math
import numbers
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile as sf
import soxr

SUFFIXES = frozenset(
    [
        ".wav",
        ".wave",
        ".flac",
        ".ogg",
        ".oga",
        ".opus",
        ".mp3",
        ".mp2",
        ".aif",
        ".aiff",
        ".aifc",
        ".au",
        ".snd",
        ".caf",
        ".w64",
        ".rf64",
        ".sph",
    ]
)
"""Suffixes of the files that libsndfile reads, in lower case."""

FFMPEG_SUFFIXES = frozenset(
    [
        ".m4a",
        ".m4b",
        ".mp4",
        ".m4v",
        ".mov",
        ".aac",
        ".webm",
        ".mkv",
        ".mka",
        ".wma",
        ".amr",
        ".3gp",
        ".3gpp",
        ".3ga",
        ".qta",
        ".weba",
        ".spx",
        ".avi",
        ".flv",
        ".ac3",
    ]
)
"""Suffixes of the files that are read through ffmpeg, where it is installed."""

MIN_SECONDS = 0.3
"""A clip shorter than this [s] says nothing about an emotion."""

SILENCE_DB = -60.0
"""A clip whose peak stays below this [dB of full scale] counts as silence."""

CLIPPED_LEVEL = 0.99
"""Samples at or beyond this share of full scale count as clipped."""

CLIPPED_SHARE = 0.001
"""A clip with more than this share of clipped samples is reported."""

# First bytes of the containers that libsndfile knows, and of the two that phones and browsers
# write and users rename to .wav.
_SNDFILE_MAGIC = tuple(b"RIFF RIFX RF64 riff FORM fLaC OggS ID3 .snd dns. caff NIST".split())
_EBML_MAGIC = b"\x1a\x45\xdf\xa3"
_HEADER_BYTES = 4096  # a file that ends within these has no more than a header
_SIZES = re.compile(r"(?:data|SSND|Data Size)\s*: (\d+) \(should be (\d+)\)")
_ENDLESS = 2**31 - 2**20  # [bytes]
_MISSING_SHARE = 0.01  # less is a slip of the program that wrote the header


@dataclass(frozen=True)
class Info:
    """What the header of a sound file says.

    Attributes
    ----------
    duration : float
        Length [s].
    sample_rate : int
        Samples per second [Hz].
    channels : int
        1 is mono, 2 stereo.
    """

    duration: float
    sample_rate: int
    channels: int


def read(path: str | Path, *, sr: int) -> np.ndarray:
    """Read any sound file as mono at the rate asked for.

    Channels are averaged and the rate is converted with soxr's HQ setting. Files that libsndfile
    cannot decode (m4a, mp4, webm, aac ...) go through ffmpeg where it is installed.

    Parameters
    ----------
    path : str or Path
        A sound file of any rate, number of channels and bit depth.
    sr : int
        Rate wanted [Hz].

    Returns
    -------
    np.ndarray, shape (n_samples,), float32
        Integers are scaled to [-1, 1]; a float file that goes beyond is left as it is.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it cannot be read: the message is ``PATH: reason``.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "stereo.wav"
    ...     sf.write(path, np.full((48_000, 2), 0.5), 48_000)
    ...     y = read(path, sr=16_000)
    >>> y.shape, y.dtype.name
    ((16000,), 'float32')
    """
    _refuse_rate(sr)
    samples, native = _decode(Path(path))
    y = _mono(samples, path=path)
    if native != sr:
        y = soxr.resample(y, native, sr, quality="HQ")
    if y.size == 0:
        raise ValueError(f"{path}: no samples")
    return np.ascontiguousarray(y, dtype=np.float32)


def blocks(path: str | Path, *, sr: int, seconds: float = 10.0) -> Iterator[np.ndarray]:
    """Read a sound file piece by piece, so that an hour takes no more memory than a sentence.

    Parameters
    ----------
    path : str or Path
        As for `read`.
    sr : int
        Rate wanted [Hz].
    seconds : float
        Length of a block [s]; the last one may be shorter.

    Yields
    ------
    np.ndarray, shape (round(seconds * sr),), float32
        Joined, the blocks are what `read` returns.

    Raises
    ------
    FileNotFoundError, ValueError
        As `read`, when the trouble is reached: blocks before it have been yielded by then.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sf.write(Path(folder) / "a.wav", np.zeros(20_000), 8_000)
    ...     [len(block) for block in blocks(Path(folder) / "a.wav", sr=8_000, seconds=1)]
    [8000, 8000, 4000]
    """
    _refuse_rate(sr)
    if not 1 <= seconds * sr < math.inf:
        raise ValueError(f"seconds is {seconds}: at least one sample ({1 / sr:.6f} s) is wanted")
    length = round(seconds * sr)
    return _equal_blocks(_resampled(Path(path), sr=sr, seconds=seconds), length=length)


def info(path: str | Path) -> Info:
    """Return duration, rate and channels of a sound file without decoding it.

    What libsndfile cannot read is decoded by ffmpeg: headers of such files often lack the
    duration.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not a sound file or has no samples: the message is ``PATH: reason``.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sf.write(Path(folder) / "a.wav", np.zeros(4_000), 8_000)
    ...     info(Path(folder) / "a.wav")
    Info(duration=0.5, sample_rate=8000, channels=1)
    """
    path = Path(path)
    if _needs_ffmpeg(path):
        samples, rate = _decode(path)
        return Info(len(samples) / rate, rate, samples.shape[1])
    with _open(path) as file:
        if file.frames == 0:
            raise ValueError(f"{path}: no samples")
        return Info(file.frames / file.samplerate, file.samplerate, file.channels)


def reason(error: Exception, *, path: str | Path) -> str:
    """Return why a file could not be read, without the path that tables hold beside it.

    Examples
    --------
    >>> reason(ValueError("a.wav: empty file"), path="a.wav")
    'empty file'
    """
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error).removeprefix(f"{path}: ")


def pre_emphasis(y: np.ndarray, *, coefficient: float = 0.97) -> np.ndarray:
    """Return ``y[t] - coefficient * y[t - 1]``, which lifts the high frequencies.

    The first sample is kept as it is.

    Examples
    --------
    >>> pre_emphasis(np.array([1.0, 1.0, 0.0]), coefficient=0.5)
    array([ 1. ,  0.5, -0.5])
    """
    emphasised = y.copy()
    emphasised[1:] -= coefficient * y[:-1]
    return emphasised


def trim(y: np.ndarray, *, sr: int, top_db: float = 30.0) -> np.ndarray:
    """Cut leading and trailing frames that are `top_db` or more below the loudest frame.

    Frames are 64 ms long every 16 ms, centred; the rule is that of `librosa.effects.trim`
    (McFee et al. 2015, doi 10.25080/Majora-7b98e3ed-003). Digital silence is returned whole.

    Parameters
    ----------
    y : np.ndarray, shape (n_samples,)
    sr : int
        Its rate [Hz].
    top_db : float
        Threshold below the loudest frame [dB].

    Returns
    -------
    np.ndarray, shape (at most n_samples,)
        A view of `y`.

    Examples
    --------
    >>> y = np.concatenate([np.zeros(16_000), np.ones(8_000), np.zeros(16_000)])
    >>> trim(y, sr=16_000).size / 16_000 < 0.6
    True
    """
    if y.size == 0:
        return y
    frame_length, hop_length = round(0.064 * sr), round(0.016 * sr)
    power = _frame_power(y, frame_length=frame_length, hop_length=hop_length)
    decibel = 10.0 * np.log10(np.maximum(power, 1e-10) / max(power.max(), 1e-10))
    loud = np.flatnonzero(decibel > -top_db)
    return y[loud[0] * hop_length : min(y.size, (loud[-1] + 1) * hop_length)]


def change_speed(y: np.ndarray, *, sr: int, factor: float) -> np.ndarray:
    """Play a signal faster or slower: tempo, pitch and formants change together.

    It makes another voice of the same performance, as a shorter or longer vocal tract would sound.

    Parameters
    ----------
    y : np.ndarray, shape (n_samples,)
    sr : int
        Its rate [Hz].
    factor : float
        Above 1 is faster and higher.

    Returns
    -------
    np.ndarray, shape (about n_samples / factor,)

    Raises
    ------
    ValueError
        If the factor is outside 0.5 to 2.

    References
    ----------
    Ko et al., "Audio augmentation for speech recognition", 2015, doi:10.21437/Interspeech.2015-711.

    Examples
    --------
    >>> change_speed(np.zeros(16_000, dtype=np.float32), sr=16_000, factor=1.25).size
    12800
    """
    if not 0.5 <= factor <= 2:
        raise ValueError(f"the speed factor is {factor}: give a number from 0.5 to 2")
    return soxr.resample(y, sr * factor, sr, quality="HQ")


def normalize_peak(y: np.ndarray, *, peak: float = 1.0) -> np.ndarray:
    """Scale `y` so that its largest magnitude is `peak`; silence stays silence.

    Examples
    --------
    >>> normalize_peak(np.array([0.0, -0.25, 0.125]))
    array([ 0. , -1. ,  0.5])
    """
    loudest = float(np.abs(y).max(initial=0.0))
    # Dividing by a subnormal peak would overflow; a wave so faint is silence.
    return y.copy() if loudest < np.finfo(np.float32).tiny else y * (peak / loudest)


def pad(y: np.ndarray, *, length: int) -> np.ndarray:
    """Cut `y`, or add zeros at its end, to `length` samples.

    Examples
    --------
    >>> pad(np.array([1, 2, 3]), length=5), pad(np.array([1, 2, 3]), length=2)
    (array([1, 2, 3, 0, 0]), array([1, 2]))
    """
    return np.pad(y[:length], (0, max(0, length - y.size)))


def segments(y: np.ndarray, *, sr: int, seconds: float) -> np.ndarray:
    """Cut a clip into equal segments that overlap evenly and end with the clip.

    Parameters
    ----------
    y : np.ndarray, shape (n_samples,)
    sr : int
        Its rate [Hz].
    seconds : float
        Length of a segment [s].

    Returns
    -------
    np.ndarray, shape (ceil(duration / seconds), round(seconds * sr))
        A clip that is shorter than one segment is padded with zeros.

    Raises
    ------
    ValueError
        If a segment would be shorter than one sample.

    Examples
    --------
    >>> segments(np.arange(5), sr=1, seconds=2)
    array([[0, 1],
           [1, 2],
           [3, 4]])
    """
    length = round(seconds * sr)
    if length < 1:
        raise ValueError(f"seconds is {seconds}: at least one sample ({1 / sr:.6f} s) is wanted")
    if y.size <= length:
        return pad(y, length=length)[np.newaxis]
    n_segments = math.ceil(y.size / length)
    starts = np.arange(n_segments) * (y.size - length) // (n_segments - 1)
    return y[starts[:, np.newaxis] + np.arange(length)]


def problems(y: np.ndarray, *, sr: int) -> list[str]:
    """Say what makes a clip unfit to be judged: silence, too few samples, clipping.

    Parameters
    ----------
    y : np.ndarray, shape (n_samples,)
        In [-1, 1].
    sr : int
        Its rate [Hz].

    Returns
    -------
    list of str
        One phrase for each problem; empty for a sound clip.

    Examples
    --------
    >>> problems(np.zeros(1_600), sr=16_000)
    ['silence: its peak is below -60 dB of full scale',
     'too short: 0.10 s, at least 0.3 s is needed']
    """
    magnitude = np.abs(y)
    clipped = float(np.mean(magnitude >= CLIPPED_LEVEL)) if y.size else 0.0
    found = []
    # A constant is as silent as zero.
    if y.size == 0 or np.abs(y - y.mean()).max() < 10 ** (SILENCE_DB / 20):
        found.append(f"silence: its peak is below {SILENCE_DB:.0f} dB of full scale")
    if y.size < MIN_SECONDS * sr:
        found.append(f"too short: {y.size / sr:.2f} s, at least {MIN_SECONDS} s is needed")
    if clipped > CLIPPED_SHARE:
        found.append(f"clipped: {100 * clipped:.1f} % of samples at full scale")
    return found


def refusals(y: np.ndarray, *, sr: int) -> list[str]:
    """Return why a signal cannot be judged; a clipped one can, with a warning.

    Parameters and phrases are those of `problems`.
    """
    return [each for each in problems(y, sr=sr) if not each.startswith("clipped")]


def _frame_power(y: np.ndarray, *, frame_length: int, hop_length: int) -> np.ndarray:
    """Return the mean square of centred frames, shape (1 + n_samples // hop_length,)."""
    half = frame_length // 2
    energy = np.concatenate([[0.0], np.cumsum(np.square(y, dtype=np.float64))])
    starts = np.arange(1 + (y.size + 2 * half - frame_length) // hop_length) * hop_length - half
    first, last = np.clip(starts, 0, y.size), np.clip(starts + frame_length, 0, y.size)
    return (energy[last] - energy[first]) / frame_length


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
    return head


def _needs_ffmpeg(path: Path) -> bool:
    """Tell by suffix, then by content, because phones' m4a files are often renamed to .wav."""
    head = _head(path)
    if path.suffix.lower() in FFMPEG_SUFFIXES:
        return True
    return head[4:8] == b"ftyp" or head.startswith(_EBML_MAGIC)


def _open(path: Path) -> sf.SoundFile:
    try:
        # As bytes, a name may be any that the system allows, also one that is no text.
        file = sf.SoundFile(os.fsencode(path) if os.name == "posix" else path)
    except sf.LibsndfileError:
        raise ValueError(f"{path}: {_fault(path)}") from None
    if file.format == "RAW":  # a guess from the suffix .au or .snd: any text would pass for sound
        file.close()
        raise ValueError(f"{path}: not a sound file")
    if missing := _missing(file):
        file.close()
        raise ValueError(f"{path}: truncated sound file, {missing:.0%} of it is missing")
    return file


def _missing(file: sf.SoundFile) -> float:
    """Return which share of the sound that the header promises the file does not hold.

    libsndfile reads what is there and only notes the rest. Programs that write to a pipe promise
    the largest number there is, as they cannot know.
    """
    noted = _SIZES.search(file.extra_info)
    if noted is None:
        return 0.0
    promised, held = map(int, noted.groups())
    share = 1 - held / max(promised, 1)
    return share if promised < _ENDLESS and share > _MISSING_SHARE else 0.0


def _fault(path: Path) -> str:
    """Say why libsndfile refused a file: its own messages are about its internals."""
    if not _head(path).startswith(_SNDFILE_MAGIC):
        return "not a sound file"
    return "truncated header" if path.stat().st_size < _HEADER_BYTES else "damaged sound file"


def _decode(path: Path) -> tuple[np.ndarray, int]:
    """Return samples, shape (n_samples, n_channels), float32, and their rate [Hz]."""
    with _decoding(path) as file:
        # Of formats without seeking, such as GSM, libsndfile wants to know how much.
        n_frames = -1 if file.seekable() else file.frames
        samples = file.read(n_frames, dtype="float32", always_2d=True)
        if len(samples) == 0:
            raise ValueError(f"{path}: no samples")
        return samples, file.samplerate


@contextlib.contextmanager
def _decoding(path: Path) -> Iterator[sf.SoundFile]:
    """Open a sound file, or what ffmpeg makes of it, and name the file if decoding fails."""
    with contextlib.ExitStack() as stack:
        if _needs_ffmpeg(path):
            source = stack.enter_context(tempfile.TemporaryFile())
            _through_ffmpeg(path, to=source)
            file = stack.enter_context(sf.SoundFile(source))
        else:
            file = stack.enter_context(_open(path))
        try:
            yield file
        except sf.LibsndfileError:
            raise ValueError(f"{path}: damaged sound file") from None


def _resampled(path: Path, *, sr: int, seconds: float) -> Iterator[np.ndarray]:
    """Yield a file's signal in pieces of about `seconds`."""
    empty = np.zeros(0, dtype=np.float32)
    with _decoding(path) as file:
        length = max(1, round(seconds * file.samplerate))
        resampler = soxr.ResampleStream(file.samplerate, sr, 1, dtype="float32", quality="HQ")
        # Between equal rates read() changes no sample, and neither does this.
        change = resampler.resample_chunk if file.samplerate != sr else lambda y, last=False: y
        n_samples = 0
        while len(samples := file.read(length, dtype="float32", always_2d=True)):
            n_samples += len(samples)
            yield change(_mono(samples, path=path))
        if n_samples == 0:
            raise ValueError(f"{path}: no samples")
        yield change(empty, last=True)


def _equal_blocks(pieces: Iterator[np.ndarray], *, length: int) -> Iterator[np.ndarray]:
    """Cut pieces of any length into blocks of one length; the last may be shorter."""
    held = np.zeros(0, dtype=np.float32)
    for piece in pieces:
        held = np.concatenate([held, piece])
        while len(held) >= length:
            yield held[:length]
            held = held[length:]
    if len(held):
        yield held


def _mono(samples: np.ndarray, *, path: str | Path) -> np.ndarray:
    """Average the channels of finite samples, shape (n_samples, n_channels)."""
    y = samples.mean(axis=1) if samples.shape[1] > 1 else np.ascontiguousarray(samples[:, 0])
    if not np.isfinite(y).all():
        raise ValueError(f"{path}: {'NaN' if np.isnan(y).any() else 'infinite'} samples")
    return y


def _refuse_rate(sr: int) -> None:
    if not isinstance(sr, numbers.Real) or not 0 < sr < math.inf:
        raise ValueError(f"sr is {sr!r}: a sample rate in Hz, above 0, is wanted")


def _through_ffmpeg(path: Path, *, to: BinaryIO) -> None:
    """Write the sound of a file as AU: its header may leave the length open."""
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise ValueError(
            f"{path}: {path.suffix} files are read through ffmpeg, which is not installed: "
            "install it, or convert the clip to .wav or .flac"
        )
    # "file:" keeps ffmpeg from taking a name such as "concat:..." for one of its protocols.
    command = [ffmpeg, "-v", "error", "-nostdin", "-i", f"file:{path}", "-map", "0:a:0"]
    command += ["-c:a", "pcm_f32be", "-f", "au", "pipe:1"]
    done = subprocess.run(command, stdout=to, stderr=subprocess.DEVNULL, check=False)
    if done.returncode != 0 or to.seek(0, io.SEEK_END) == 0:
        raise ValueError(f"{path}: not a sound file that ffmpeg can read")
    to.seek(0)
