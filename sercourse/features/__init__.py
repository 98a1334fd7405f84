"""Named sets of features, and the table of features of a corpus.

`extract` turns a signal into one row, a vector of numbers or an array such as a spectrogram;
`feature_table` turns a clip table into a table of rows, in parallel and remembered between runs.
What the course's own sets measure needs no librosa and no SciPy: inference loads it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sercourse import audio
from sercourse.augment import Augmentation
from sercourse.features import (
    chroma,
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
from sercourse.features.artefact import load_features, save_features
from sercourse.features.sets import SETS, FeatureSet, librosa_set, named
from sercourse.features.store import Store, contents

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "SETS",
    "FeatureSet",
    "Features",
    "augmented",
    "chroma",
    "contents",
    "excerpt_means",
    "extract",
    "feature_table",
    "features_by_clip",
    "is_cached",
    "librosa_set",
    "load_features",
    "means",
    "mfcc",
    "named",
    "save_features",
    "segments",
    "short_term",
    "spectrogram",
    "statistics",
    "voice",
    "whisper",
    "with_pre_emphasis",
]

Array = NDArray[np.floating]

PORTION = 64  # clips whose rows are stored together; an interruption loses none of them


@dataclass(frozen=True, eq=False)
class Features:
    """The features of a clip table.

    Attributes
    ----------
    X : ndarray, shape (n_clips, n_features) or (n_clips, ...)
        A row for each clip that could be used: vectors, float64, or arrays, float32.
    names : tuple of str
        Names along the last axis.
    clip_id : ndarray of str, shape (n_clips,)
        The clip of each row, in the order of the clip table.
    rejects : pandas.DataFrame
        `path` and `reason` of each clip that could not be used.
    """

    X: Array
    names: tuple[str, ...]
    clip_id: NDArray[np.str_]
    rejects: pd.DataFrame


def with_pre_emphasis(feature_set: FeatureSet, coefficient: float) -> FeatureSet:
    """Return the same set, computed after a pre-emphasis ``y[n] - coefficient * y[n - 1]``.

    Raises
    ------
    ValueError
        If the coefficient is outside [0, 1].

    Examples
    --------
    >>> with_pre_emphasis(named("statistics"), 0.97).settings["pre_emphasis"]
    0.97
    """
    if not 0 <= coefficient <= 1:
        raise ValueError(f"the pre-emphasis is {coefficient}: give a number from 0 (off) to 1")
    return replace(feature_set, pre_emphasis=float(coefficient))


def augmented(feature_set: FeatureSet, *augmentations: Augmentation) -> FeatureSet:
    """Return the same set, computed on the signal after augmentations, one after the other.

    Examples
    --------
    >>> slower = augmented(named("mel-segments"), Augmentation("stretch", 0.8, 0.9, draw=1))
    >>> slower.settings["augmentations"]
    [{'kind': 'stretch', 'amount': [0.8, 0.9], 'draw': 1}]
    """
    return replace(feature_set, augmentations=(*feature_set.augmentations, *augmentations))


def extract(y: NDArray[Any], *, sr: int, feature_set: FeatureSet) -> Array:
    """Return the features of one signal.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
        Mono signal in [-1, 1].
    sr : int
        Its sampling rate [Hz], which must be that of the feature set.
    feature_set : FeatureSet
        For example ``named("statistics")``.

    Returns
    -------
    ndarray, shape ``feature_set.row_shape``
        Its last axis is in the order of ``feature_set.names``.

    Raises
    ------
    ValueError
        If the rate is another, the signal is too short or not finite, a feature is not finite, or
        the signal cannot be augmented as the set wants, such as noise for silence.

    Examples
    --------
    >>> noise = np.random.default_rng(0).uniform(-0.1, 0.1, 16_000)
    >>> extract(noise, sr=16_000, feature_set=named("statistics")).shape
    (200,)
    """
    if sr != feature_set.sr:
        raise ValueError(
            f"the signal is sampled at {sr} Hz and {feature_set.name!r} needs {feature_set.sr} Hz: "
            "resample it, or read it with audio.read at that rate"
        )
    for each in feature_set.augmentations:
        y = each.applied(y, sr=sr)
    if feature_set.pre_emphasis:
        y = np.asarray(y, dtype=np.float64)  # neighbours are alike: float32 would lose digits
        y = audio.pre_emphasis(y, coefficient=feature_set.pre_emphasis)
    row = feature_set.function(y, sr=sr)
    finite = np.isfinite(row)
    if not finite.all():
        name = feature_set.names[int(np.argmin(finite)) % len(feature_set.names)]
        raise ValueError(f"the feature {name} of this signal is not finite: check the recording")
    return row


def feature_table(
    clips: pd.DataFrame,
    *,
    feature_set: FeatureSet,
    n_jobs: int = 1,
    progress: bool = True,
    cache: str | Path | None = None,
) -> Features:
    """Return the features of every clip of a table; a clip that cannot be used is rejected.

    Each row is kept in a cache as it is, by the clip's content, the set's settings and the versions
    of the libraries that compute: clips may be renamed or moved and tables may be parts of each
    other, but a changed clip is computed anew. What was computed until an interruption is kept.
    Rejects are not remembered, as their reason may have gone by the next time. A cache that cannot
    be written to is a warning, `files.NotKept`.

    Parameters
    ----------
    clips : pandas.DataFrame
        Clip table with the columns `clip_id` and `path`; without `content` (a hash of each clip),
        which `corpora.scan` gives, nothing is cached: leave that column out where large rows are
        computed once only. Of a file with `start` and `end` [s] only that part is a clip.
    feature_set : FeatureSet
        For example ``named("statistics")``.
    n_jobs : int
        Processes, as joblib counts them: -1 is one for each core.
    progress : bool
        Show a bar on stderr if it takes longer than a second.
    cache : path, optional
        Folder of the cache; ``files.cache_dir() / "features"`` unless given.

    Returns
    -------
    Features
        Rows in the order of the clip table.

    Raises
    ------
    ValueError
        If a column is missing.
    """
    missing = [name for name in ("clip_id", "path") if name not in clips.columns]
    if missing:
        raise ValueError(f"the clip table has no column {missing[0]!r}: make it with corpora.scan")
    store = _store(clips, feature_set=feature_set, cache=cache)
    X = np.zeros((len(clips), *feature_set.row_shape), dtype=feature_set.dtype)
    known = np.zeros(len(clips), dtype=bool) if store is None else store.read(X)
    todo = np.flatnonzero(~known)
    parts = _parts(clips.iloc[todo])
    reasons: list[tuple[str, str]] = []
    fresh: list[int] = []
    outcomes = _rows(parts, feature_set=feature_set, n_jobs=n_jobs, progress=progress)
    try:
        for position, part, outcome in zip(todo.tolist(), parts, outcomes, strict=True):
            if outcome.row is None:
                reasons.append((part.path, outcome.reason))
                continue
            X[position], known[position] = outcome.row, True
            fresh.append(position)
            if store is not None and len(fresh) >= PORTION:
                store.write(X, fresh)
                fresh = []
    finally:
        if store is not None and fresh:
            store.write(X, fresh)
    clip_id = clips["clip_id"].to_numpy(dtype=str)[known]
    return Features(_kept(X, known), feature_set.names, clip_id, _rejects(reasons))


def features_by_clip(clips: pd.DataFrame, **settings: Any) -> Features:
    """Return what `feature_table` does; clips whose content is not known are read to hash them."""
    return feature_table(clips.assign(content=contents(clips)), **settings)


def is_cached(
    clips: pd.DataFrame, *, feature_set: FeatureSet, cache: str | Path | None = None
) -> bool:
    """Return whether `feature_table` finds nearly all rows of these clips, so that it is quick.

    Parameters
    ----------
    clips, feature_set, cache
        As in `feature_table`.
    """
    store = _store(clips, feature_set=feature_set, cache=cache)
    return store is not None and store.count() > 0.9 * len(clips)  # rejects are not stored


def _store(
    clips: pd.DataFrame, *, feature_set: FeatureSet, cache: str | Path | None
) -> Store | None:
    """Return where the rows are kept; None if the clips' content is not known."""
    if "content" not in clips.columns or clips["content"].isna().any():
        return None
    return Store.of(feature_set, contents(clips), folder=cache)


@dataclass(frozen=True)
class _Outcome:
    """Either a row or the reason why there is none."""

    row: Array | None = None
    reason: str = ""


@dataclass(frozen=True)
class _Part:
    """A file, or what is between two times [s] of it; NaN is its start or end."""

    path: str
    start: float = np.nan
    end: float = np.nan

    def read(self, *, sr: int) -> Array:
        if np.isnan(self.start) and np.isnan(self.end):
            return audio.read(self.path, sr=sr)
        y = _read_again(self.path, Path(self.path).stat().st_mtime_ns, sr)
        start, end = np.nan_to_num([self.start, self.end], nan=0.0)
        return y[round(start * sr) : round(end * sr) if end else None]


def _parts(clips: pd.DataFrame) -> list[_Part]:
    times = clips.reindex(columns=["start", "end"]).to_numpy(dtype=float)
    return [
        _Part(str(path), *pair) for path, pair in zip(clips["path"], times.tolist(), strict=True)
    ]


@lru_cache(maxsize=1)  # segments of one recording follow each other
def _read_again(path: str, changed: int, sr: int) -> Array:
    return audio.read(path, sr=sr)


def _row(part: _Part, *, feature_set: FeatureSet) -> _Outcome:
    try:
        y = part.read(sr=feature_set.sr)
        if fatal_issues := audio.fatal_issues(y, sr=feature_set.sr):
            return _Outcome(reason="; ".join(fatal_issues))
        return _Outcome(row=extract(y, sr=feature_set.sr, feature_set=feature_set))
    except audio.READ_ERRORS as error:
        return _Outcome(reason=audio.reason(error, path=part.path))


def _rows(
    parts: Sequence[_Part], *, feature_set: FeatureSet, n_jobs: int, progress: bool
) -> Iterator[_Outcome]:
    """Yield the outcome of each clip in turn, so that no second table of them is ever held."""
    if not parts:
        return
    from threadpoolctl import threadpool_limits
    from tqdm import tqdm

    bar = tqdm(
        _in_turn(parts, feature_set=feature_set, n_jobs=n_jobs),
        total=len(parts),
        desc=feature_set.name,
        unit="clip",
        delay=1,
        # A log keeps every state of the bar: there, one in ten seconds will do.
        mininterval=0.1 if sys.stderr.isatty() else 10,
        disable=not progress,
    )
    with threadpool_limits(1):  # clips run side by side; products within one are small
        yield from bar
    _read_again.cache_clear()


def _in_turn(parts: Sequence[_Part], *, feature_set: FeatureSet, n_jobs: int) -> Iterator[_Outcome]:
    from joblib import Parallel, delayed

    # The first clip is measured here. librosa has functions that are compiled and cached when they
    # are first called, and processes that write that cache at the same time can crash.
    yield from (_row(part, feature_set=feature_set) for part in parts[:1])
    job = delayed(_row)
    yield from Parallel(n_jobs=n_jobs, return_as="generator")(
        job(part, feature_set=feature_set) for part in parts[1:]
    )


def _kept(X: Array, known: NDArray[np.bool_]) -> Array:
    """Return the known rows, moved up in place: ``X[known]`` would be a second table."""
    rows = np.flatnonzero(known)
    for to, position in enumerate(rows):
        if to != position:
            X[to] = X[position]
    return X[: len(rows)]


def _rejects(reasons: Sequence[tuple[str, str]]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(reasons, columns=["path", "reason"], dtype="string")
