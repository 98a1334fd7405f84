"""The feature sets by name."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sercourse import files
from sercourse.features import librosa_sets, short_term, spectrogram, voice, whisper
from sercourse.features.base import FeatureSet
from sercourse.features.librosa_sets import PARTS, PITCH_CLASSES

_STATISTICS = short_term.functional_names(short_term.SHORT_TERM_NAMES)
_CHANGES = short_term.functional_names(short_term.SHORT_TERM_NAMES, prefix="delta_")


def _statistics(y: np.ndarray, *, sr: int) -> np.ndarray:
    return short_term.functionals(short_term.short_term(y, sr=sr))


def _statistics_and_delta(y: np.ndarray, *, sr: int) -> np.ndarray:
    table = short_term.short_term(y, sr=sr)
    scale = np.abs(table).max(axis=0)
    changes = short_term.functionals(np.diff(table, axis=0), scale=scale)
    return np.concatenate([short_term.functionals(table), changes])


def _librosa_set(wanted: Collection[str]) -> FeatureSet:
    if unknown := [part for part in wanted if part not in PARTS]:
        raise ValueError(f"unknown part {unknown[0]!r}: use some of {', '.join(PARTS)}")
    parts = tuple(part for part in PARTS if part in wanted)
    name = "librosa" if len(parts) == len(PARTS) else f"librosa:{'+'.join(parts)}"
    names = tuple(each for part in parts for each in PARTS[part])
    return FeatureSet(name, 16_000, names, partial(librosa_sets.means, parts=parts))


def _whisper_set(path: Path) -> FeatureSet:
    """Return the statistics of another speech encoder's layers, made by the same tool."""
    if (sha256 := files.content_hash(path)) == whisper.SHA256:
        return SETS["whisper"]
    n_layers, _, width = whisper.session(str(path), sha256).get_outputs()[0].shape[1:]
    names = whisper.feature_names(n_layers, width)
    function = partial(whisper.layer_statistics, encoder=str(path), sha256=sha256)
    return FeatureSet("whisper", whisper.SR, names, function, encoder=sha256)


_MEL, _MFCC, _CHROMA = PARTS["mel"], PARTS["mfcc"], tuple(map(str.lower, PITCH_CLASSES))
_SHORT, _USUAL, _LONG = 3.5, 8.0, spectrogram.LONGEST_SECONDS
_WINDOWS, _LOG_MEL = spectrogram.CLASSIC_SHAPE, spectrogram.LOG_MEL_SHAPE
_LOG_MEL_SEGMENTS, _SEGMENTS = spectrogram.LOG_MEL_SEGMENTS_SHAPE, spectrogram.MEL_SEGMENTS_SHAPE
_MFCC_SEGMENTS, _CHROMA_SEGMENTS = (*_SEGMENTS[:2], len(_MFCC)), (*_SEGMENTS[:2], len(_CHROMA))
_IMAGE, _CLOUD = librosa_sets.IMAGE_SHAPE, librosa_sets.MFCC_STATS_NAMES
_MEANS, _WHISPER = librosa_sets.EXCERPT_MEANS_NAMES, whisper.feature_names()

# name, rate [Hz], names along the last axis, function, shape of an array, longest [s]; encoder
_TABLE: tuple[tuple[Any, ...], ...] = (
    ("statistics", 16_000, _STATISTICS, _statistics, (), _USUAL),
    ("statistics+delta", 16_000, _STATISTICS + _CHANGES, _statistics_and_delta, (), _USUAL),
    ("voice", 16_000, voice.VOICE_NAMES, voice.voice, (), _USUAL),
    ("time-windows", 16_000, _MEL, spectrogram.classic_windows, _WINDOWS, _SHORT),
    ("log-mel", 16_000, _MEL[:64], spectrogram.log_mel, _LOG_MEL, _SHORT),
    ("log-mel-segments", 16_000, _MEL[:64], spectrogram.log_mel_segments, _LOG_MEL_SEGMENTS, _LONG),
    ("mel-segments", 44_100, _MEL, spectrogram.mel_segments, _SEGMENTS, _LONG),
    ("mfcc-segments", 44_100, _MFCC, librosa_sets.mfcc_segments, _MFCC_SEGMENTS, _LONG),
    ("chroma-segments", 44_100, _CHROMA, librosa_sets.chroma_segments, _CHROMA_SEGMENTS, _LONG),
    ("mfcc-image", 44_100, _MFCC[:39], librosa_sets.mfcc_image, _IMAGE, _SHORT),
    ("mfcc-cloud", 44_100, _CLOUD, librosa_sets.mfcc_cloud, (), _SHORT),
    ("means-162", 22_050, _MEANS, librosa_sets.excerpt_means, (), _SHORT),
    ("whisper", 16_000, _WHISPER, whisper.layer_statistics, (), _USUAL, whisper.SHA256),
)

SETS = {row[0]: FeatureSet(*row) for row in _TABLE} | {"librosa": _librosa_set(PARTS)}
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
    FileNotFoundError
        If there is no such encoder.

    Examples
    --------
    >>> named("statistics").names[:2]
    ('zcr_mean', 'zcr_median')
    >>> named("librosa:mel+mfcc").name, len(named("librosa:mfcc+mel").names)
    ('librosa:mfcc+mel', 168)
    """
    family, _, detail = name.partition(":")
    if family == "librosa" and detail:
        return _librosa_set(detail.split("+"))
    if family == "whisper" and detail:
        return _whisper_set(files.user_path(detail))
    if name not in SETS:
        raise ValueError(f"unknown feature set {name!r}: use one of {', '.join(SETS)}")
    return SETS[name]
