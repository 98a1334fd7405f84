"""What a feature set is, and the named ones: from a signal to one row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sercourse import files
from sercourse.augment import Augmentation
from sercourse.features import (
    cepstra,
    excerpt_means,
    means,
    mfcc,
    segments,
    short_term,
    spectrogram,
    statistics,
    voice,
    whisper,
)

Array = NDArray[np.floating]


@dataclass(frozen=True)
class FeatureSet:
    """A recipe from a signal to one row: a vector of named numbers, or an array.

    Attributes
    ----------
    name : str
        Name in `SETS`.
    sr : int
        Sampling rate [Hz] that the signal must have.
    names : tuple of str
        Names of the features, in the order of the row; of an array, names along its last axis.
    function : callable
        ``function(y, sr=sr)`` returns the row. A function of a module, so that worker processes can
        find it; what it needs and inference does not, it imports itself.
    version : int
        Raised whenever the function's numbers change, so that no cached table outlives them.
    pre_emphasis : float
        Coefficient of the pre-emphasis, which comes last before `function`; 0 for none.
    shape : tuple of int
        Shape of a row that is an array, float32; () for a vector of ``len(names)``, float64.
    augmentations : tuple of Augmentation
        What is done to the signal first, one after the other.
    longest : float
        Words that last longer [s] are judged in parts: corpora have clips of one sentence, and
        models know nothing longer.
    encoder : str
        SHA-256 of the speech encoder that the function runs, if it does.

    Raises
    ------
    ValueError
        If the last size of `shape` is not the number of names.
    """

    name: str
    sr: int
    names: tuple[str, ...]
    function: Callable[..., Array]
    version: int = 1
    pre_emphasis: float = 0.0
    shape: tuple[int, ...] = ()
    augmentations: tuple[Augmentation, ...] = ()
    longest: float = 8.0
    encoder: str = ""

    def __post_init__(self) -> None:
        if self.shape and self.shape[-1] != len(self.names):
            raise ValueError(
                f"rows of {self.name!r} have shape {self.shape} and {len(self.names)} names: give "
                "as many names as the last axis is long"
            )

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of a row, whether vector or array."""
        return self.shape or (len(self.names),)

    @property
    def dtype(self) -> np.dtype[np.floating]:
        """Float64 for vectors; float32 for arrays, of which there are too many numbers for more."""
        return np.dtype(np.float32 if self.shape else np.float64)

    @property
    def settings(self) -> dict[str, Any]:
        """What the numbers depend on, as JSON can hold it: for bundles."""
        # What later versions added is told only where it is used: older bundles do not know of it.
        shape = {"shape": list(self.shape)} if self.shape else {}
        augmented = {"augmentations": [each.settings for each in self.augmentations]}
        encoder = {"encoder": self.encoder} if self.encoder else {}
        return {
            "name": self.name,
            "sr": self.sr,
            "version": self.version,
            "pre_emphasis": self.pre_emphasis,
            "speed": 1.0,  # bundles tell of it since before there were `augmentations`
            **shape,
            **(augmented if self.augmentations else {}),
            **encoder,
        }

    @property
    def key(self) -> list[Any]:
        """`settings`, and what they leave out: for the keys of what is stored, see `files.digest`.

        Other versions of the libraries that compute may give other numbers.
        """
        return [
            self.settings,
            self.names,
            self.function,
            files.versions("numpy", "scipy", "librosa", "soundfile", "soxr"),
            files.versions("onnxruntime") if self.encoder else {},
        ]


def _short_term_statistics(y: NDArray[Any], *, sr: int) -> Array:
    return statistics.statistics(short_term.short_term(y, sr=sr))


def _short_term_statistics_and_delta(y: NDArray[Any], *, sr: int) -> Array:
    descriptors = short_term.short_term(y, sr=sr)
    change = statistics.delta(descriptors)
    scale = statistics.largest(descriptors)
    return np.concatenate(
        [statistics.statistics(descriptors), statistics.statistics(change, scale=scale)]
    )


def librosa_set(parts: Iterable[str] = tuple(means.PARTS)) -> FeatureSet:
    """Return the means over time of some of librosa's descriptors.

    Parameters
    ----------
    parts : iterable of str
        Some of ``mfcc``, ``chroma``, ``mel``, ``contrast`` and ``tonnetz``; all by default.

    Raises
    ------
    ValueError
        If there is none, or one of them is not known.

    Examples
    --------
    >>> librosa_set(["chroma", "mfcc"]).name, len(librosa_set().names)
    ('librosa:mfcc+chroma', 193)
    """
    chosen = means.chosen_parts(parts)
    name = "librosa" if len(chosen) == len(means.PARTS) else f"librosa:{'+'.join(chosen)}"
    names = tuple(each for part in chosen for each in means.PARTS[part])
    return FeatureSet(name, 16_000, names, partial(means.means, parts=chosen))


def whisper_set(encoder: str | Path) -> FeatureSet:
    """Return the statistics of another speech encoder's layers, made by the same tool.

    Parameters
    ----------
    encoder : path
        Its ONNX file.

    Raises
    ------
    ValueError, FileNotFoundError
        If it is no such encoder.
    """
    path = files.user_path(encoder)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no speech encoder")
    sha256 = files.content_hash(path)
    if sha256 == whisper.SHA256:
        return SETS["whisper"]
    names = whisper.feature_names(*whisper.shape(path, sha256=sha256))
    function = partial(whisper.layer_statistics, encoder=str(path), sha256=sha256)
    return FeatureSet("whisper", whisper.SR, names, function, encoder=sha256)


_NAMES = statistics.statistic_names(short_term.SHORT_TERM_NAMES)
_DELTA_NAMES = statistics.statistic_names(short_term.SHORT_TERM_NAMES, prefix="delta_")
_ALL = (
    FeatureSet("statistics", 16_000, _NAMES, _short_term_statistics),
    FeatureSet(
        "statistics+delta", 16_000, (*_NAMES, *_DELTA_NAMES), _short_term_statistics_and_delta
    ),
    FeatureSet("voice", 16_000, voice.VOICE_NAMES, voice.voice),
    librosa_set(),
    FeatureSet(
        "time-windows",
        16_000,
        spectrogram.CLASSIC_NAMES,
        spectrogram.classic_windows,
        shape=spectrogram.CLASSIC_SHAPE,
        longest=3.5,
    ),
    FeatureSet(
        "log-mel",
        16_000,
        spectrogram.LOG_MEL_NAMES,
        spectrogram.log_mel,
        shape=spectrogram.LOG_MEL_SHAPE,
        longest=3.5,
    ),
    FeatureSet(
        "log-mel-segments",
        16_000,
        spectrogram.LOG_MEL_NAMES,
        spectrogram.log_mel_segments,
        shape=spectrogram.LOG_MEL_SEGMENTS_SHAPE,
        longest=spectrogram.LONGEST_SECONDS,
    ),
    FeatureSet(
        "mel-segments",
        44_100,
        spectrogram.MEL_SEGMENTS_NAMES,
        spectrogram.mel_segments,
        shape=spectrogram.MEL_SEGMENTS_SHAPE,
        longest=spectrogram.LONGEST_SECONDS,
    ),
    FeatureSet(
        "mfcc-segments",
        44_100,
        segments.MFCC_SEGMENTS_NAMES,
        segments.mfcc_segments,
        shape=segments.MFCC_SEGMENTS_SHAPE,
        longest=spectrogram.LONGEST_SECONDS,
    ),
    FeatureSet(
        "chroma-segments",
        44_100,
        segments.CHROMA_SEGMENTS_NAMES,
        segments.chroma_segments,
        shape=segments.CHROMA_SEGMENTS_SHAPE,
        longest=spectrogram.LONGEST_SECONDS,
    ),
    FeatureSet(
        "mfcc-image",
        44_100,
        mfcc.IMAGE_NAMES,
        mfcc.mfcc_image,
        shape=mfcc.IMAGE_SHAPE,
        longest=3.5,
    ),
    FeatureSet("mfcc-cloud", 44_100, cepstra.MFCC_CLOUD_NAMES, cepstra.mfcc_cloud, longest=3.5),
    FeatureSet(
        "means-162",
        22_050,
        excerpt_means.EXCERPT_MEANS_NAMES,
        excerpt_means.excerpt_means,
        longest=3.5,
    ),
    FeatureSet(
        "whisper",
        whisper.SR,
        whisper.feature_names(),
        whisper.layer_statistics,
        encoder=whisper.SHA256,
    ),
)

SETS: Mapping[str, FeatureSet] = MappingProxyType({each.name: each for each in _ALL})
"""The feature sets by name."""


def named(name: str) -> FeatureSet:
    """Return the feature set of that name.

    Parameters
    ----------
    name : str
        One of `SETS`; parts of the set ``librosa``, such as ``librosa:mfcc+mel``; or the set
        ``whisper`` of another encoder, such as ``whisper:base.onnx``.

    Raises
    ------
    ValueError
        If there is none; the sentence names those that there are.

    Examples
    --------
    >>> named("statistics").names[:2]
    ('zcr_mean', 'zcr_median')
    >>> len(named("librosa:mfcc+mel").names)
    168
    """
    family, _, parts = name.partition(":")
    if family == "librosa" and parts:
        return librosa_set(parts.split("+"))
    if family == "whisper" and parts:
        return whisper_set(parts)
    if name not in SETS:
        raise ValueError(f"unknown feature set {name!r}: use one of {', '.join(SETS)}")
    return SETS[name]
