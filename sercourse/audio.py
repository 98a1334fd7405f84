"""Sound files and waveforms: the only reader of the project, and the first steps after it.

Every waveform `y` is a one-dimensional float array; its rate `sr` [Hz] is always stated.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr

from sercourse import decoding, remote

_BY_LIBSNDFILE = ".wav .wave .w64 .rf64 .aif .aiff .aifc .au .snd .caf .sph .flac .ogg .oga .opus"
_FILMS = ".m4a .m4b .mp4 .m4v .mov .qta .3gp .3gpp .3ga .3g2 .webm .weba .mkv .mka .avi .flv .mpg"
_OTHERS = ".mpeg .mp3 .mp2 .aac .wma .amr .spx .ac3"
SUFFIXES = frozenset(f"{_BY_LIBSNDFILE} {_FILMS} {_OTHERS}".split())
"""Suffixes of sound files and films, in lower case; some are read where ffmpeg is installed."""

MIN_SECONDS = 0.3
"""A clip shorter than this [s] says nothing about an emotion."""

SILENCE_DB = -60.0
"""A clip whose peak stays below this [dB of full scale] counts as silence."""

CLIPPED_LEVEL = 0.99
"""Samples at or beyond this share of full scale count as clipped."""

CLIPPED_SHARE = 0.001
"""A clip with more than this share of clipped samples is reported."""

BLOCK_SECONDS = 10.0
"""Default length of a block [s]."""

CANCELLED = 0.2  # of the power that independent channels keep when they are averaged

READ_ERRORS = (OSError, ValueError, MemoryError)
"""What can go wrong with one file while the others of a batch are fine."""


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


Channel = int | str | None
"""One channel of a recording: its number from 1, "left" or "right"; None for their average."""


def read(path: str | Path, *, sr: int, channel: Channel = None) -> np.ndarray:
    """Read any sound file as mono at the rate asked for.

    The rate is converted with soxr's HQ setting. Files that libsndfile cannot decode (m4a, webm,
    aac, films ...) go through ffmpeg where it is installed, which converts their rate itself.

    Parameters
    ----------
    path : str or Path
        A sound file of any rate, number of channels and bit depth, here or at an address that
        fsspec knows, such as ``s3://bucket/a.wav``.
    sr : int
        Rate wanted [Hz].
    channel : int or str, optional
        The only one to take: a number from 1, "left" or "right". Default: the average of all, or
        the loudest alone, with a warning, where averaging cancels them.

    Returns
    -------
    np.ndarray, shape (n_samples,), float32
        Integers are scaled to [-1, 1]; a float file that goes beyond is left as it is.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it cannot be read: the message is ``PATH: reason``. A file that ends before its header
        says, or within a frame, counts as truncated and is refused.

    Warns
    -----
    SoundWarning
        If channels cancel each other, or the header tells of less sound than there is.

    Examples
    --------
    >>> import tempfile, soundfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "stereo.wav"
    ...     soundfile.write(path, np.full((48_000, 2), 0.5), 48_000)
    ...     y = read(path, sr=16_000)
    >>> y.shape, y.dtype.name
    ((16000,), 'float32')
    """
    nothing = np.zeros(0, dtype=np.float32)
    return np.concatenate([nothing, *blocks(path, sr=sr, channel=channel)])


def blocks(
    path: str | Path, *, sr: int, seconds: float = BLOCK_SECONDS, channel: Channel = None
) -> Iterator[np.ndarray]:
    """Read a sound file piece by piece, so that an hour takes no more memory than a sentence.

    Parameters
    ----------
    path : str or Path
        As for `read`.
    sr : int
        Rate wanted [Hz].
    seconds : float
        Length of a block [s]; the last one may be shorter.
    channel : int or str, optional
        As for `read`.

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
    >>> import tempfile, soundfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     soundfile.write(Path(folder) / "a.wav", np.zeros(20_000), 8_000)
    ...     [len(block) for block in blocks(Path(folder) / "a.wav", sr=8_000, seconds=1)]
    [8000, 8000, 4000]
    """
    lowest, highest = decoding.LOWEST_RATE, decoding.HIGHEST_RATE
    if not isinstance(sr, numbers.Real) or not lowest <= sr <= highest:
        raise ValueError(f"sr is {sr!r}: a rate of {lowest} to {highest} Hz is wanted")
    if not 1 <= seconds * sr < math.inf:
        raise ValueError(f"seconds is {seconds}: at least one sample ({1 / sr:.6f} s) is wanted")
    pieces = _pieces(remote.local(path), sr=sr, channel=channel)
    return equal_blocks(pieces, length=round(seconds * sr))


def info(path: str | Path) -> Info:
    """Return duration, rate and channels of a sound file.

    A length is counted where the header cannot be believed: always in what ffmpeg reads, and in MP3
    and Ogg files to find those that are truncated.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not a sound file or has no samples: the message is ``PATH: reason``.

    Examples
    --------
    >>> import tempfile, soundfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     soundfile.write(Path(folder) / "a.wav", np.zeros(4_000), 8_000)
    ...     info(Path(folder) / "a.wav")
    Info(duration=0.5, sample_rate=8000, channels=1)
    """
    path = remote.local(path)
    with decoding.opened(path) as file:
        n_samples = sum(map(len, file.pieces)) if file.n_samples is None else file.n_samples
        if n_samples == 0:
            raise ValueError(f"{path}: no samples")
        return Info(n_samples / file.rate, file.rate, file.channels)


def reason(error: Exception, *, path: str | Path) -> str:
    """Return why a file could not be read, without the path that tables hold beside it.

    Examples
    --------
    >>> reason(ValueError("a.wav: empty file"), path="a.wav")
    'empty file'
    """
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if isinstance(error, MemoryError):
        return f"too little memory for it: {error}".removesuffix(": ")
    return str(error).removeprefix(f"{path}: ").removeprefix(f"{remote.place(path)}: ")


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


def trim(y: np.ndarray, *, sr: int, top_db: float = 30.0, margin: float = 0.0) -> np.ndarray:
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
    margin : float
        So much is kept at either end [s].

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
    half = frame_length // 2
    energy = np.concatenate([[0.0], np.cumsum(np.square(y, dtype=np.float64))])
    starts = np.arange(1 + (y.size + 2 * half - frame_length) // hop_length) * hop_length - half
    first, last = np.clip(starts, 0, y.size), np.clip(starts + frame_length, 0, y.size)
    power = (energy[last] - energy[first]) / frame_length
    decibel = 10.0 * np.log10(np.maximum(power, 1e-10) / max(power.max(), 1e-10))
    loud = np.flatnonzero(decibel > -top_db)
    kept = round(margin * sr)
    return y[max(0, loud[0] * hop_length - kept) : (loud[-1] + 1) * hop_length + kept]


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


def mix(y: np.ndarray, noise: np.ndarray, *, speech: np.ndarray, snr: float) -> np.ndarray:
    """Add noise at a signal-to-noise ratio [dB] to the mean power of the speech in a clip.

    Raises
    ------
    ValueError
        If the speech is silent.
    """
    power, of_noise = (np.mean(np.square(each, dtype=np.float64)) for each in (speech, noise))
    if power == 0:
        raise ValueError(f"the clip is silent: noise {snr} dB below it cannot be; leave it out")
    if of_noise == 0:
        raise ValueError(f"the noise is silent: it cannot be {snr} dB below the clip; give another")
    return (y + noise * math.sqrt(power / of_noise / 10 ** (snr / 10))).astype(y.dtype)


def pad(y: np.ndarray, *, length: int) -> np.ndarray:
    """Cut `y`, or add zeros at its end, to `length` samples or frames.

    Examples
    --------
    >>> pad(np.array([1, 2, 3]), length=5), pad(np.array([1, 2, 3]), length=2)
    (array([1, 2, 3, 0, 0]), array([1, 2]))
    """
    return np.pad(y[:length], [(0, max(0, length - len(y))), *[(0, 0)] * (y.ndim - 1)])


def segments(y: np.ndarray, *, sr: int, seconds: float) -> np.ndarray:
    """Cut a clip into equal segments that overlap evenly and end with the clip.

    Parameters
    ----------
    y : np.ndarray, shape (n_samples,) or (n_frames, ...)
    sr : int
        Its rate [Hz].
    seconds : float
        Length of a segment [s].

    Returns
    -------
    np.ndarray, shape (ceil(duration / seconds), round(seconds * sr), ...)
        A clip that is shorter than one segment is padded with zeros.

    Examples
    --------
    >>> segments(np.arange(5), sr=1, seconds=2)
    array([[0, 1],
           [1, 2],
           [3, 4]])
    """
    length = round(seconds * sr)
    if len(y) <= length:
        return pad(y, length=length)[np.newaxis]
    n_segments = math.ceil(len(y) / length)
    starts = np.arange(n_segments) * (len(y) - length) // (n_segments - 1)
    return y[starts[:, np.newaxis] + np.arange(length)]


SILENCE, TOO_SHORT, CLIPPED = "silence", "too short", "clipped"
"""First words of what is said of a clip, before a colon."""


@dataclass
class Quality:
    """What is measured on a signal, block by block, to tell whether it can be judged.

    Examples
    --------
    >>> quality = Quality(sr=16_000)
    >>> quality.add(np.zeros(800))
    >>> quality.add(np.zeros(800))
    >>> quality.issues()
    ['silence: its peak is below -60 dB of full scale',
     'too short: 0.10 s, at least 0.3 s is needed']
    """

    sr: int
    n_samples: int = 0
    n_clipped: int = 0
    total: float = 0.0
    lowest: float = math.inf
    highest: float = -math.inf

    def add(self, y: np.ndarray) -> None:
        """Go on with the next samples."""
        if y.size:
            self.n_samples += y.size
            self.n_clipped += int(np.count_nonzero(np.abs(y) >= CLIPPED_LEVEL))
            self.total += float(y.sum(dtype=np.float64))
            self.lowest, self.highest = min(self.lowest, y.min()), max(self.highest, y.max())

    def issues(self) -> list[str]:
        """Return what is wrong with all that was added, as `quality_issues` does."""
        seconds, n_samples, found = self.n_samples / self.sr, max(1, self.n_samples), []
        mean = self.total / n_samples  # a constant is as silent as zero
        if max(self.highest - mean, mean - self.lowest) < 10 ** (SILENCE_DB / 20):
            found.append(f"{SILENCE}: its peak is below {SILENCE_DB:.0f} dB of full scale")
        if seconds < MIN_SECONDS:
            found.append(f"{TOO_SHORT}: {seconds:.2f} s, at least {MIN_SECONDS} s is needed")
        if (clipped := self.n_clipped / n_samples) > CLIPPED_SHARE:
            found.append(f"{CLIPPED}: {100 * clipped:.1f} % of samples at full scale")
        return found


def quality_issues(y: np.ndarray, *, sr: int) -> list[str]:
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
        A phrase for each problem; empty for a sound clip.

    Examples
    --------
    >>> quality_issues(np.zeros(1_600), sr=16_000)
    ['silence: its peak is below -60 dB of full scale',
     'too short: 0.10 s, at least 0.3 s is needed']
    """
    quality = Quality(sr)
    quality.add(y)
    return quality.issues()


def fatal_issues(y: np.ndarray, *, sr: int) -> list[str]:
    """Return why a signal cannot be judged; a clipped one can, with a warning.

    Parameters and phrases are those of `quality_issues`.
    """
    return fatal(quality_issues(y, sr=sr))


def fatal(issues: Iterable[str]) -> list[str]:
    """Return the issues with which a signal cannot be judged: all but clipping."""
    return [each for each in issues if not each.startswith(CLIPPED)]


def _pieces(path: Path, *, sr: int, channel: Channel) -> Iterator[np.ndarray]:
    """Yield a file's signal in pieces of any length.

    Where channels are in opposite phase, as of a cable with a swapped pair, the average cancels the
    voice. From there on the loudest channel is used alone.
    """
    with decoding.opened(path, sr=int(sr) if sr == int(sr) else None) as file:
        only = _index(path, channel, n_channels=file.channels)
        resampler = soxr.ResampleStream(file.rate, sr, 1, dtype="float32", quality="HQ")
        y = None
        for samples in file.pieces:
            if only is None and _cancel(samples):
                power = np.einsum("nc,nc->c", samples, samples)
                only = int((power > 0.9 * power.max()).argmax())  # the first of equal ones
                used = f"channel {only + 1} alone is used; choose one yourself where that is wrong"
                decoding.warn(path, f"its channels cancel each other when averaged: {used}")
            y = samples.mean(axis=1) if only is None else np.ascontiguousarray(samples[:, only])
            if not np.isfinite(y).all():
                raise ValueError(f"{path}: {'NaN' if np.isnan(y).any() else 'infinite'} samples")
            yield y if file.rate == sr else resampler.resample_chunk(y)
        if y is None:
            raise ValueError(f"{path}: no samples")
        yield resampler.resample_chunk(np.zeros(0, dtype=np.float32), last=True)


def _index(path: Path, channel: Channel, *, n_channels: int) -> int | None:
    """Return which channel is wanted, from 0; None for the average of several."""
    if channel is None:
        return None if n_channels > 1 else 0
    number = {"left": "1", "right": "2"}.get(str(channel), str(channel))
    if not number.isdecimal() or int(number) < 1:
        raise ValueError(f"channel is {channel!r}: give left, right or a number from 1")
    if int(number) > n_channels:
        raise ValueError(f"{path}: channel {channel} is wanted and it has {n_channels}")
    return int(number) - 1


def _cancel(samples: np.ndarray) -> bool:
    """Whether the average of the channels has lost what is in them, and that is no silence."""
    y = samples.mean(axis=1)
    power = np.einsum("nc,nc->", samples, samples) / samples.shape[1] ** 2
    loud = np.abs(samples).max() >= 10 ** (SILENCE_DB / 20)
    return bool(y @ y < CANCELLED * power and loud)


def equal_blocks(pieces: Iterable[np.ndarray], *, length: int) -> Iterator[np.ndarray]:
    """Cut pieces of any length into blocks of one length; the last may be shorter."""
    held = np.zeros(0, dtype=np.float32)
    for piece in pieces:
        held = np.concatenate([held, piece])
        while len(held) >= length:
            yield held[:length]
            held = held[length:]
    if len(held):
        yield held
