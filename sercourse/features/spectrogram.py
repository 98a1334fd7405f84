"""Spectrograms as networks see them: power, mel bands, decibels, and windows that roll over them.

A spectrogram is an array (n_frames, n_bands): time goes down, so that a window of frames is a slice
of rows. Everything needs NumPy alone. `classic_windows` is the input of the baseline's network on
RAVDESS, github.com/maelfabien/Multimodal-Emotion-Recognition (2019), and `mel_segments` that of the
one on AESDD, github.com/JadeArpaliangeas/Speech-Emotion-Recognition-CNN.

Segments of a clip share one array of fixed size, so that a clip is a row of a table: those that a
clip has come first, and the others are absent, at the lowest level in every frame and band.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from sercourse import audio
from sercourse.features import short_term

SMALLEST_POWER = 1e-10
"""Powers below count as this one, so that silence has a logarithm: librosa's choice."""


def hann(length: int) -> np.ndarray:
    """Return a periodic Hann window, as spectral analysis wants it.

    Examples
    --------
    >>> hann(4)
    array([0. , 0.5, 1. , 0.5])
    """
    return np.hanning(length + 1)[:-1]


class MelSettings(NamedTuple):
    """How a mel spectrogram is made; lengths in samples.

    Attributes
    ----------
    window : ndarray, shape (frame_length,)
    hop_length, n_fft : int
    n_mels : int
    fmin, fmax : float
        [Hz].
    centred : bool
        As for `power_spectrogram`.
    """

    window: np.ndarray
    hop_length: int
    n_fft: int
    n_mels: int
    fmin: float
    fmax: float
    centred: bool

    def filters(self, *, sr: int) -> np.ndarray:
        """Return the mel filters, (n_mels, n_fft // 2 + 1)."""
        fmin, fmax = self.fmin, self.fmax
        return mel_filters(sr=sr, n_fft=self.n_fft, n_mels=self.n_mels, fmin=fmin, fmax=fmax)

    def power(self, y: np.ndarray, *, sr: int) -> np.ndarray:
        """Return the power in mel bands, (n_frames, n_mels)."""
        size: Any = {"hop_length": self.hop_length, "n_fft": self.n_fft}
        power = power_spectrogram(y, window=self.window, centred=self.centred, **size)
        return power @ self.filters(sr=sr).T


CLASSIC = MelSettings(np.hamming(257)[:-1], 128, 512, 128, 0.0, 4000.0, centred=True)
CLASSIC_OFFSET = 0.5  # [s]; RAVDESS clips start with about that much silence
CLASSIC_LENGTH = 49_100  # [samples]
CLASSIC_STEP = 64  # [frames]
CLASSIC_SHAPE = (5, 128, CLASSIC.n_mels)

LOG_MEL = MelSettings(hann(400), 160, 512, 64, 50.0, 8000.0, centred=False)  # 25 ms every 10 ms
LOG_MEL_FLOOR_DB = -70.0  # below the loudest; what lies deeper is the room
LOG_MEL_SHAPE = (288, LOG_MEL.n_mels)  # 2.9 s, longer than 19 of 20 sentences of RAVDESS

SEGMENT_SECONDS, MOST_SEGMENTS = 3.0, 4
LONGEST_SECONDS = MOST_SEGMENTS * SEGMENT_SECONDS
"""Clips of AESDD last up to 10 s; of a longer one [s] the loudest stretch of this length is cut."""

LOG_MEL_SEGMENTS_SHAPE = (MOST_SEGMENTS, 300, LOG_MEL.n_mels)
MEL_SEGMENTS = MelSettings(hann(2048), 1024, 2048, 128, 0.0, 22_050.0, centred=True)  # at 44.1 kHz
MEL_SEGMENTS_SHAPE = (MOST_SEGMENTS, 130, MEL_SEGMENTS.n_mels)
MEL_SEGMENTS_FLOOR_DB = -100.0
"""Level of a segment that is absent: no segment that is there can lie so deep in all its bands."""

TOP_DB = 80.0  # of `classic_spectrogram` and `mel_segments`


def power_spectrogram(
    y: np.ndarray, *, window: np.ndarray, hop_length: int, n_fft: int, centred: bool = False
) -> np.ndarray:
    """Return the power of each frame's spectrum, ``|FFT(window * frame)|**2``.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
        Signal.
    window : ndarray, shape (frame_length,)
        For example ``hann(400)``.
    hop_length : int
        Distance between two frames [samples].
    n_fft : int
        Points of the transform, at least the frame length; a frame is padded with zeros to it.
    centred : bool
        Whether frame t is centred on sample ``t * hop_length``, with zeros beyond the ends of the
        signal; if not, it starts there, and a last, incomplete frame is left out.

    Returns
    -------
    ndarray, shape (n_frames, n_fft // 2 + 1)
        ``n_frames`` is ``1 + n_samples // hop_length`` if centred.

    Raises
    ------
    ValueError
        If the signal is shorter than a frame.

    Examples
    --------
    >>> tone = np.sin(2 * np.pi * 1000 * np.arange(1600) / 16_000)
    >>> S = power_spectrogram(tone, window=hann(256), hop_length=128, n_fft=512, centred=True)
    >>> S.shape, int(S[6].argmax()) * 16_000 / 512
    ((13, 257), 1000.0)
    """
    length = len(window)
    if centred:
        y = np.pad(y, (length - length // 2, length // 2))
    framed = short_term.frames(y, frame_length=length, hop_length=hop_length)
    spectrum = np.fft.rfft(framed * window, n_fft, axis=1)
    return spectrum.real**2 + spectrum.imag**2


def excerpt(y: np.ndarray, *, sr: int, offset: float, seconds: float | None = None) -> np.ndarray:
    """Return so many seconds of a clip, or as many as there are, from an offset [s] on.

    Raises
    ------
    ValueError
        If fewer than 0.3 s are left, they are silent, or the clip is not finite.

    Examples
    --------
    >>> excerpt(np.arange(1.0, 11.0), sr=10, offset=0.5, seconds=0.4)
    array([6., 7., 8., 9.])
    """
    y = short_term.require_clip(y, sr=sr, offset=offset)[round(offset * sr) :]
    y = y if seconds is None else y[: round(seconds * sr)]
    if not np.ptp(y):
        raise ValueError(f"the clip is silent from {offset:g} s on: record it again")
    return y


@lru_cache(maxsize=16)
def mel_filters(*, sr: int, n_fft: int, n_mels: int, fmin: float, fmax: float) -> np.ndarray:
    """Return triangles of equal area, evenly spaced on Slaney's mel scale.

    The scale is linear up to 1 kHz and logarithmic above. Where bands are narrower than the bins
    of the transform, a triangle may lie between two bins and stay empty.

    Parameters
    ----------
    sr : int
        Sampling rate [Hz].
    n_fft : int
        Points of the transform.
    n_mels : int
        Number of bands.
    fmin, fmax : float
        Where the first triangle starts and the last one ends [Hz].

    Returns
    -------
    ndarray, shape (n_mels, n_fft // 2 + 1)
        Read-only; that of `librosa.filters.mel` with its default arguments.

    References
    ----------
    Slaney, "Auditory toolbox", technical report 1998-010, Interval Research, 1998; McFee et al.,
    "librosa", 2015, doi:10.25080/Majora-7b98e3ed-003.

    Examples
    --------
    >>> filters = mel_filters(sr=16_000, n_fft=512, n_mels=40, fmin=0, fmax=8000)
    >>> filters.shape, np.count_nonzero(filters, axis=1)[[0, -1]]
    ((40, 257), array([ 4, 36]))
    """
    bend, step = 1000.0, np.log(6.4) / 27  # [Hz]; above the bend a mel is a step of the logarithm
    low, high = (
        min(f, bend) * 15 / bend + np.log(max(f, bend) / bend) / step for f in (fmin, fmax)
    )
    mels = np.linspace(low, high, n_mels + 2)
    edges = np.minimum(mels, 15) * bend / 15 * np.exp(step * np.maximum(mels - 15, 0))
    filters = short_term.triangles(edges, np.arange(n_fft // 2 + 1) * sr / n_fft)
    filters *= 2 / (edges[2:] - edges[:-2])[:, np.newaxis]
    filters.setflags(write=False)
    return filters


def power_to_db(power: np.ndarray, *, reference: float, top_db: float | None = None) -> np.ndarray:
    """Return ``10 log10(power / reference)``, both not below `SMALLEST_POWER`.

    Parameters
    ----------
    power : ndarray
    reference : float
        The power that gives 0 dB: 1, or ``power.max()`` for levels below the loudest.
    top_db : float, optional
        Values further below the largest one [dB] are raised to that distance.

    Returns
    -------
    ndarray
        [dB], of the same shape and precision.

    Examples
    --------
    >>> power_to_db(np.array([0.0, 0.001, 1.0]), reference=1.0)
    array([-100.,  -30.,    0.])
    >>> power_to_db(np.array([0.0, 0.001, 1.0]), reference=1.0, top_db=80)
    array([-80., -30.,   0.])
    """
    zero = 10 * float(np.log10(max(SMALLEST_POWER, reference)))
    level = 10 * np.log10(np.maximum(SMALLEST_POWER, power)) - zero
    return level if top_db is None else np.maximum(level, level.max() - top_db)


def classic_spectrogram(y: np.ndarray, *, sr: int) -> np.ndarray:
    """Return the spectrogram that the windows of `classic_windows` roll over.

    The clip is read from 0.5 s on, z-scored, and cut or padded with zeros to 49,100 samples. Frames
    of 16 ms under a Hamming window follow each other every 8 ms; their spectra of 512 points are
    summed into 128 mel bands up to 4 kHz, in decibels below the loudest.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
        Mono signal; its scale does not matter.
    sr : int
        Its sampling rate [Hz]; all lengths are in samples, meant for 16000.

    Returns
    -------
    ndarray, shape (384, 128)
        [dB], from -80 to 0.

    Raises
    ------
    ValueError
        If the clip is shorter than 0.8 s, silent from 0.5 s on, or not finite.
    """
    y = excerpt(y, sr=sr, offset=CLASSIC_OFFSET)
    y = (y - y.mean()) / y.std()
    power = CLASSIC.power(audio.pad(y, length=CLASSIC_LENGTH), sr=sr)
    return power_to_db(power, reference=power.max(), top_db=TOP_DB).astype(np.float32)


def classic_windows(y: np.ndarray, *, sr: int) -> np.ndarray:
    """Return the input of the baseline network on RAVDESS: five windows over `classic_spectrogram`.

    Each has 128 frames, about a second, and starts 64 frames after the one before. Parameters and
    errors are those of `classic_spectrogram`.

    Returns
    -------
    ndarray, shape (5, 128, 128)
        Windows, frames, bands; [dB], from -80 to 0.

    Examples
    --------
    >>> noise = np.random.default_rng(0).uniform(-0.1, 0.1, 64_000)
    >>> X = classic_windows(noise, sr=16_000)
    >>> X.shape, float(X.max())
    ((5, 128, 128), 0.0)
    """
    starts = CLASSIC_STEP * np.arange(CLASSIC_SHAPE[0])[:, np.newaxis]
    return classic_spectrogram(y, sr=sr)[starts + np.arange(CLASSIC_SHAPE[1])]


def log_mel(y: np.ndarray, *, sr: int) -> np.ndarray:
    """Return the input of the course's own network: the words of a clip in 64 mel bands.

    Silence before and after the words is cut off, but for 50 ms. Decibels count from the loudest
    band of the clip, as a microphone's distance is no emotion, and end 70 dB below it. A sentence
    shorter than 288 frames is followed by silence; of a longer one the middle is taken.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
        Mono signal, at least 0.3 s long.
    sr : int
        Its sampling rate [Hz]; lengths are in samples, meant for 16000.

    Returns
    -------
    ndarray, shape (288, 64)
        [dB], from -70 to 0.

    Raises
    ------
    ValueError
        If the clip is too short, silent, or not finite.

    Examples
    --------
    >>> tone = np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000)
    >>> X = log_mel(tone, sr=16_000)
    >>> X.shape, float(X.min()), float(X.max())
    ((288, 64), -70.0, 0.0)
    """
    level = _level_of_words(short_term.speech(y, sr=sr), sr=sr, n_frames=LOG_MEL_SHAPE[0])
    spare = (len(level) - LOG_MEL_SHAPE[0]) // 2
    return level[spare : spare + LOG_MEL_SHAPE[0]]


def log_mel_segments(y: np.ndarray, *, sr: int) -> np.ndarray:
    """Return the words of a clip in 64 mel bands, as in `log_mel`, in segments of 300 frames.

    There are as many segments as the words need, evenly overlapping, the last one ending with the
    words. Of words that last longer than 12 s the loudest 12 s are taken.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
        Mono signal, at least 0.3 s long.
    sr : int
        Its sampling rate [Hz]; lengths are in samples, meant for 16000.

    Returns
    -------
    ndarray, shape (4, 300, 64)
        [dB], 0 at the loudest band of the clip; -70 throughout where a segment is absent.

    Raises
    ------
    ValueError
        If the clip is too short, silent, or not finite.

    Examples
    --------
    >>> noise = np.random.default_rng(0).uniform(-0.1, 0.1, 80_000)
    >>> X = log_mel_segments(noise, sr=16_000)
    >>> X.shape, (X > -70).any(axis=(1, 2)).tolist()
    ((4, 300, 64), [True, True, False, False])
    """
    n_frames = LOG_MEL_SEGMENTS_SHAPE[1]
    words = _loudest(short_term.speech(y, sr=sr), length=round(LONGEST_SECONDS * sr))
    level = _level_of_words(words, sr=sr, n_frames=n_frames)
    return segments_row(audio.segments(level, sr=1, seconds=n_frames), absent=LOG_MEL_FLOOR_DB)


def mel_segments(y: np.ndarray, *, sr: int) -> np.ndarray:
    """Return the input of the baseline networks on AESDD: a clip in mel segments of 3 s.

    The clip, its peak brought to 1, is cut into ``ceil(duration / 3)`` segments that overlap evenly
    and end with the clip; a shorter clip is followed by silence. Frames of 2048 samples every 1024,
    centred, under a Hann window, are summed into 128 mel bands up to half the rate, in decibels
    against 1, and not further than 80 dB below the loudest of the clip. Of a clip that lasts longer
    than 12 s, which none of AESDD does but one that is mostly silence, the loudest 12 s are taken.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
        Mono signal, at least 0.3 s long; its scale does not matter.
    sr : int
        Its sampling rate [Hz]; frames are in samples, meant for 44100.

    Returns
    -------
    ndarray, shape (4, 130, 128)
        Segments, frames, bands [dB]; -100 throughout where a segment is absent.

    Raises
    ------
    ValueError
        If the clip is too short, silent, or not finite.

    Examples
    --------
    >>> noise = np.random.default_rng(0).uniform(-0.1, 0.1, 5 * 44_100)
    >>> X = mel_segments(noise, sr=44_100)
    >>> X.shape, (X > -100).any(axis=(1, 2)).tolist()
    ((4, 130, 128), [True, True, False, False])
    """
    power = np.stack([MEL_SEGMENTS.power(each, sr=sr) for each in loudest_segments(y, sr=sr)])
    return segments_row(power_to_db(power, reference=1.0, top_db=TOP_DB))


def loudest_segments(y: np.ndarray, *, sr: int) -> np.ndarray:
    """Return the segments of 3 s that `mel_segments` cuts, (n_segments, n_samples).

    Parameters and errors are those of `mel_segments`.
    """
    y = short_term.require_clip(y, sr=sr)
    y = audio.normalize_peak(_loudest(y, length=round(LONGEST_SECONDS * sr)))
    if np.abs(y).max() < 0.5:  # a peak of zero cannot be brought to 1
        raise ValueError("the clip is silent: record it again, or leave it out")
    return audio.segments(y, sr=sr, seconds=SEGMENT_SECONDS)


def segments_row(segments: np.ndarray, *, absent: float = MEL_SEGMENTS_FLOOR_DB) -> np.ndarray:
    """Return the pictures of a clip's segments, and absent ones after them.

    Parameters
    ----------
    segments : ndarray, shape (n_segments, n_frames, n_bands)
        One to four; each has a number above `absent`.
    absent : float
        What stands throughout a segment that is absent.

    Returns
    -------
    ndarray, shape (4, n_frames, n_bands)

    Examples
    --------
    >>> segments_row(np.zeros((3, 1, 2)))[:, 0].tolist()
    [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [-100.0, -100.0]]
    """
    row = np.full((MOST_SEGMENTS, *segments.shape[1:]), absent, dtype=np.float32)
    row[: len(segments)] = segments
    return row


def _level_of_words(words: np.ndarray, *, sr: int, n_frames: int) -> np.ndarray:
    """Return mel bands [dB] below the loudest one, at least so many frames, (n, 64)."""
    power = LOG_MEL.power(words, sr=sr)
    level = np.maximum(power_to_db(power, reference=power.max()), LOG_MEL_FLOOR_DB)
    absent = max(0, n_frames - len(level))
    padded = np.pad(level, ((0, absent), (0, 0)), constant_values=LOG_MEL_FLOOR_DB)
    return padded.astype(np.float32)


def _loudest(y: np.ndarray, *, length: int) -> np.ndarray:
    """Return the stretch of so many samples that holds the most energy; a shorter clip whole."""
    if len(y) <= length:
        return y
    energy = np.cumsum(np.concatenate([[0.0], y**2]))
    start = int(np.argmax(energy[length:] - energy[:-length]))
    return y[start : start + length]
