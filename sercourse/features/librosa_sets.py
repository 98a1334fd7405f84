"""Feature sets of other courses and projects, computed with librosa: lessons compare with them.

`means` is the set of github.com/x4nth055/emotion-recognition-using-speech, `mfcc_image` that of
Kunal Gehlot's Speech Emotion Recognition report, `excerpt_means` that of
github.com/Aaka3021/Speech-Emotion-Recognition--1 (2021). `mfcc_segments` and `chroma_segments`
describe the segments of `spectrogram.mel_segments` by cepstra and pitch classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np

from sercourse import audio
from sercourse.features import short_term, spectrogram
from sercourse.features.short_term import delta, log_euclidean_names, log_euclidean_stats

PITCH_CLASSES: tuple[str, ...] = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
PARTS: dict[str, tuple[str, ...]] = {
    "mfcc": tuple(f"mfcc_{k}" for k in range(40)),
    "chroma": tuple(f"chroma_{note}" for note in PITCH_CLASSES),
    "mel": tuple(f"mel_{k}" for k in range(1, 129)),
    "contrast": tuple(f"contrast_{k}" for k in range(1, 8)),
    "tonnetz": tuple(f"tonnetz_{k}" for k in range(1, 7)),
}
"""The parts of `means`, in order, and the names of their features."""

# Of `constant_q`, from the note C1 on.
N_OCTAVES, BINS_PER_OCTAVE, LOWEST_HZ = 7, 36, 440 * 2 ** (-45 / 12)

_CHROMA = tuple(map(str.lower, PARTS["chroma"]))
EXCERPT_MEANS_NAMES = ("zero_crossings", *_CHROMA, *PARTS["mfcc"][:20], "rms", *PARTS["mel"])
"""Names of the 162 features of `excerpt_means`, in order."""

N_MELS = 128
IMAGE_SECONDS = 2.5
IMAGE_SHAPE = (216, 39)
SEGMENT_COEFFICIENTS = 40

N_KEPT = 20  # coefficients of `mfcc_stats`; the finest say little
SOUNDING_DB = -45.0  # below the loudest frame
# A covariance compares its entries: these factors bring every column to a spread of a few units.
SCALE, DELTA_SCALE, DELTA2_SCALE = 0.2, 4.0, 10.0
MFCC_STATS_NAMES: tuple[str, ...] = log_euclidean_names(
    [f"{prefix}mfcc_{k}" for prefix in ("", "delta_", "delta2_") for k in range(N_KEPT)]
)
"""Names of the features of `mfcc_stats`, in order."""


def means(y: np.ndarray, *, sr: int, parts: Iterable[str] = tuple(PARTS)) -> np.ndarray:
    """Return the means over time of the chosen descriptors of a signal.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
        Mono signal in [-1, 1], at least 0.3 s long.
    sr : int
        Its sampling rate [Hz].
    parts : iterable of str
        Keys of `PARTS`: coefficients of the mel cepstrum (40), pitch classes (12), powers in mel
        bands (128), spectral contrast (7) [dB], tonal centroids of the harmonic part (6).

    Returns
    -------
    ndarray, shape (n_features,)

    Examples
    --------
    >>> noise = np.random.default_rng(0).uniform(-0.1, 0.1, 16_000).astype(np.float32)
    >>> means(noise, sr=16_000, parts=["chroma", "tonnetz"]).shape
    (18,)
    """
    import librosa

    short_term.require_clip(y, sr=sr)
    # Of signals under a second, and of silence, which has no tuning, librosa warns.
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        D = librosa.stft(y)
        S = np.abs(D)
        mel = librosa.feature.melspectrogram(S=S**2, sr=sr)
        compute = {
            "mfcc": lambda: librosa.feature.mfcc(S=librosa.power_to_db(mel), n_mfcc=40),
            "chroma": lambda: librosa.feature.chroma_stft(S=S, sr=sr),
            "mel": lambda: mel,
            "contrast": lambda: librosa.feature.spectral_contrast(S=S, sr=sr),
            "tonnetz": lambda: librosa.feature.tonnetz(
                chroma=librosa.feature.chroma_cqt(C=constant_q(harmonic(D, length=len(y)), sr=sr))
            ),
        }
        return np.concatenate([compute[part]().mean(axis=1) for part in parts])


def harmonic(D: np.ndarray, *, length: int) -> np.ndarray:
    """Return the signal of a short-term transform without what is percussive in it.

    It is `librosa.effects.harmonic`, whose medians take most of its time: along one axis of a
    picture, SciPy is ten times as fast where the rows lie behind each other in one row.

    Parameters
    ----------
    D : ndarray, shape (n_bins, n_frames), complex
        As of ``librosa.stft(y)``.
    length : int
        Samples of the signal.

    Returns
    -------
    ndarray, shape (length,)

    References
    ----------
    Fitzgerald, "Harmonic/percussive separation using median filtering", DAFx, 2010.
    """
    import librosa

    S, phase = librosa.magphase(D)
    mask = librosa.util.softmask(_medians(S), _medians(S.T).T, power=2.0, split_zeros=True)
    return librosa.istft(S * mask * phase, length=length)


def _medians(rows: np.ndarray, *, size: int = 31) -> np.ndarray:
    """Return the running median of each row, mirrored at its ends."""
    from scipy.ndimage import median_filter

    half = size // 2
    padded = np.pad(rows, ((0, 0), (half, half)), mode="symmetric")
    return median_filter(padded.ravel(), size=size).reshape(padded.shape)[:, half:-half]


def constant_q(y: np.ndarray, *, sr: int) -> np.ndarray:
    """Return magnitudes in bins of a third of a semitone, in seven octaves from C1 on.

    It is ``abs(librosa.cqt(y, sr=sr, n_bins=252, bins_per_octave=36, tuning=None))``, which makes
    its filters anew for each octave and clip. They are the same for all octaves, as the signal is
    resampled to half the rate for each, and depend on the clip by one of a hundred tunings alone.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
    sr : int
        Its sampling rate [Hz], at least 9500 and below 17,000: of a higher one librosa halves the
        rate before, and is less exact.

    Returns
    -------
    ndarray, shape (252, n_frames)
        Frames every 512 samples.

    References
    ----------
    Schörkhuber and Klapuri, "Constant-Q transform toolbox for music processing", SMC, 2010.
    """
    import librosa

    tuning = float(librosa.estimate_tuning(y=y, sr=sr, bins_per_octave=BINS_PER_OCTAVE))
    filters, n_fft = _octave_filters(round(tuning, 3), sr=sr)
    octaves = []
    for halved in range(N_OCTAVES):
        hop_length = 512 >> halved
        D = librosa.stft(y, n_fft=n_fft, hop_length=hop_length, window="ones")
        octaves.append(np.abs(filters @ D))
        y = librosa.resample(y, orig_sr=2, target_sr=1, scale=True)
    n_frames = min(each.shape[1] for each in octaves)
    return np.concatenate([each[:, :n_frames] for each in reversed(octaves)])


@lru_cache(maxsize=256)
def _octave_filters(tuning: float, *, sr: int) -> tuple[Any, int]:
    """Return the spectra of the highest octave's filters, and their length [samples]."""
    import librosa

    n, n_bins = BINS_PER_OCTAVE, N_OCTAVES * BINS_PER_OCTAVE
    hertz = librosa.cqt_frequencies(n_bins, fmin=LOWEST_HZ, bins_per_octave=n, tuning=tuning)
    waves, lengths = librosa.filters.wavelet(freqs=hertz[-n:], sr=sr)
    n_fft = waves.shape[1]
    spectra = np.fft.fft(waves * np.sqrt(lengths)[:, np.newaxis] / n_fft)[:, : n_fft // 2 + 1]
    return librosa.util.sparsify_rows(spectra, quantile=0.01, dtype=np.complex64), n_fft


def excerpt_means(y: np.ndarray, *, sr: int) -> np.ndarray:
    """Return the means over time of 162 descriptors, of 2.5 s from 0.6 s on.

    They are the rate of zero crossings, 12 pitch classes of the magnitude spectrum, 20 cepstral
    coefficients, the root mean square and the power in 128 mel bands, of frames of 2048 samples
    every 512. A shorter clip is not padded: its means are over what there is.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
        Mono signal; its scale counts.
    sr : int
        Its sampling rate [Hz]; frames are in samples, meant for 22050.

    Returns
    -------
    ndarray, shape (162,)
        In the order of `EXCERPT_MEANS_NAMES`.

    Raises
    ------
    ValueError
        If the clip is shorter than 0.9 s, silent from 0.6 s on, or not finite.
    """
    from librosa import feature, stft

    y = spectrogram.excerpt(y, sr=sr, offset=0.6, seconds=2.5)
    # Of signals under a second, and of silence, which has no tuning, librosa warns.
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        tracks = [
            feature.zero_crossing_rate(y),
            feature.chroma_stft(S=np.abs(stft(y)), sr=sr),
            feature.mfcc(y=y, sr=sr, n_mfcc=20),
            feature.rms(y=y),
            feature.melspectrogram(y=y, sr=sr),
        ]
    return np.concatenate([track.mean(axis=1) for track in tracks])


def mfcc_image(y: np.ndarray, *, sr: int) -> np.ndarray:
    """Return 39 mel-frequency cepstral coefficients over 2.5 s, from 0.5 s on.

    Frames of 2048 samples under a Hann window, centred, follow each other every 512. A clip that
    ends before 3 s is followed by digital silence.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
        Mono signal; its scale counts, in the first coefficient.
    sr : int
        Its sampling rate [Hz]; frames are in samples, meant for 44100.

    Returns
    -------
    ndarray, shape (216, 39)
        Frames, coefficients.

    Raises
    ------
    ValueError
        If the clip is shorter than 0.8 s, silent from 0.5 s on, or not finite.

    References
    ----------
    Davis and Mermelstein, "Comparison of parametric representations for monosyllabic word
    recognition in continuously spoken sentences", 1980, doi:10.1109/TASSP.1980.1163420.
    """
    import librosa

    y = spectrogram.excerpt(y, sr=sr, offset=0.5, seconds=IMAGE_SECONDS)
    y = audio.pad(y, length=round(IMAGE_SECONDS * sr))
    return librosa.feature.mfcc(y=y, sr=sr, n_mfcc=IMAGE_SHAPE[1]).T.astype(np.float32)


def mfcc_cloud(y: np.ndarray, *, sr: int) -> np.ndarray:
    """Return `mfcc_stats` of the picture that `mfcc_image` makes of a clip."""
    return mfcc_stats(mfcc_image(y, sr=sr))


def mfcc_stats(image: np.ndarray) -> np.ndarray:
    """Return the log-Euclidean statistics of cepstra and their first and second derivatives.

    The loudness of the recording plays no part: the first coefficient counts from the loudest
    frame, and digital silence after a short clip is left out.

    Parameters
    ----------
    image : ndarray, shape (n_frames, n_coefficients)
        As of `mfcc_image`.

    Returns
    -------
    ndarray, shape (len(MFCC_STATS_NAMES),)

    Raises
    ------
    ValueError
        If fewer than two frames sound.
    """
    level = image[:, 0].astype(np.float64) / np.sqrt(N_MELS)  # mean of all bands [dB]
    silent = np.abs(image[:, 1:]).max(axis=1) < 1e-3  # a flat spectrum: nothing was there
    sounding = ~silent & (level > level.max() + SOUNDING_DB)
    if sounding.sum() < 2:
        raise ValueError(f"{sounding.sum()} frame of the clip sounds: at least 2 are needed")
    first, *_, last = np.flatnonzero(sounding)
    words = image[first : last + 1, :N_KEPT].astype(np.float64)
    words[:, 0] -= words[:, 0].max()
    words *= SCALE
    slopes = delta(words, reach=3)
    tracks = [words, DELTA_SCALE * slopes, DELTA2_SCALE * delta(slopes, reach=3)]
    return log_euclidean_stats(np.hstack(tracks)[sounding[first : last + 1]])


def mfcc_segments(y: np.ndarray, *, sr: int) -> np.ndarray:
    """Return the segments of a clip as cepstra: the cosine transform of each frame's mel bands.

    The first 40 of 128 coefficients are kept: the envelope of the spectrum, without the ripple
    that the pitch puts on it. Parameters and errors are those of `spectrogram.mel_segments`.

    Returns
    -------
    ndarray, shape (4, 130, 40)
        Segments, frames, coefficients; -100 throughout where a segment is absent, which no segment
        is that is there: bands at most 80 dB apart make no frame whose coefficients are all so low.
    """
    import scipy.fft

    level = spectrogram.mel_segments(y, sr=sr)
    there = level[level.max(axis=(1, 2)) > spectrogram.MEL_SEGMENTS_FLOOR_DB]
    return spectrogram.segments_row(scipy.fft.dct(there, norm="ortho")[..., :SEGMENT_COEFFICIENTS])


def chroma_segments(y: np.ndarray, *, sr: int) -> np.ndarray:
    """Return the segments of a clip as chroma: how strong each of the twelve pitch classes is.

    Octaves are folded onto each other, and each frame is divided by its strongest class: what is
    left is melody, neither loudness nor timbre. No voice is tuned, so A is 440 Hz for all.
    Parameters and errors are those of `spectrogram.mel_segments`.

    Returns
    -------
    ndarray, shape (4, 130, 12)
        Segments, frames, pitch classes, from 0 to 1; -100 throughout where a segment is absent.

    References
    ----------
    Ellis, "Chroma feature analysis and synthesis", 2007,
    https://www.ee.columbia.edu/~dpwe/resources/matlab/chroma-ansyn/.
    """
    import librosa

    y, hop_length = spectrogram.loudest_segments(y, sr=sr), spectrogram.MEL_SEGMENTS.hop_length
    chroma = librosa.feature.chroma_stft(y=y, sr=sr, hop_length=hop_length, tuning=0.0)
    return spectrogram.segments_row(np.moveaxis(chroma, 1, 2))
