"""Named sets of features, and the table of features of a corpus.

`extract` turns a signal into one row; `feature_table` turns a clip table into a table of rows, in
parallel and remembered between runs. Extraction needs NumPy alone: it is what inference loads.
"""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sercourse import audio, files
from sercourse.features import short_term, statistics, voice
from sercourse.features.artefact import load_features, save_features

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "SETS",
    "FeatureSet",
    "Features",
    "extract",
    "feature_table",
    "load_features",
    "named",
    "save_features",
    "short_term",
    "statistics",
    "voice",
    "with_pre_emphasis",
    "with_speed",
]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class FeatureSet:
    """A recipe from a signal to one row of named numbers.

    Attributes
    ----------
    name : str
        Name in `SETS`.
    sr : int
        Sampling rate [Hz] that the signal must have.
    names : tuple of str
        Names of the features, in the order of the row.
    function : callable
        ``function(y, sr=sr)`` returns the row, shape (n_features,). A function of a module, so that
        worker processes can find it; what it needs and inference does not, it imports itself.
    version : int
        Raised whenever the function's numbers change, so that no cached table outlives them.
    pre_emphasis : float
        Coefficient of the pre-emphasis before everything else; 0 for none.
    speed : float
        Factor by which the signal is played faster first, to augment a training set; 1 for none.
    """

    name: str
    sr: int
    names: tuple[str, ...]
    function: Callable[..., Array]
    version: int = 1
    pre_emphasis: float = 0.0
    speed: float = 1.0

    @property
    def settings(self) -> dict[str, Any]:
        """What the numbers depend on, as JSON can hold it: for bundles and the keys of caches."""
        return {
            "name": self.name,
            "sr": self.sr,
            "version": self.version,
            "pre_emphasis": self.pre_emphasis,
            "speed": self.speed,
        }


@dataclass(frozen=True, eq=False)
class Features:
    """The features of a clip table.

    Attributes
    ----------
    X : ndarray, shape (n_clips, n_features)
        A row for each clip that could be used, float64.
    names : tuple of str
        Names of the columns.
    clip_id : ndarray of str, shape (n_clips,)
        The clip of each row, in the order of the clip table.
    rejects : pandas.DataFrame
        `path` and `reason` of each clip that could not be used.
    """

    X: Array
    names: tuple[str, ...]
    clip_id: NDArray[np.str_]
    rejects: pd.DataFrame


def _short_term_statistics(y: NDArray[Any], *, sr: int) -> Array:
    return statistics.statistics(short_term.short_term(y, sr=sr))


def _short_term_statistics_and_delta(y: NDArray[Any], *, sr: int) -> Array:
    descriptors = short_term.short_term(y, sr=sr)
    change = statistics.delta(descriptors)
    scale = statistics.largest(descriptors)
    return np.concatenate(
        [statistics.statistics(descriptors), statistics.statistics(change, scale=scale)]
    )


_NAMES = statistics.statistic_names(short_term.SHORT_TERM_NAMES)
_DELTA_NAMES = statistics.statistic_names(short_term.SHORT_TERM_NAMES, prefix="delta_")
_ALL = (
    FeatureSet("statistics", 16_000, _NAMES, _short_term_statistics),
    FeatureSet(
        "statistics+delta", 16_000, (*_NAMES, *_DELTA_NAMES), _short_term_statistics_and_delta
    ),
    FeatureSet("voice", 16_000, voice.VOICE_NAMES, voice.voice),
)

SETS: Mapping[str, FeatureSet] = MappingProxyType({each.name: each for each in _ALL})
"""The feature sets by name."""


def named(name: str) -> FeatureSet:
    """Return the feature set of that name.

    Raises
    ------
    ValueError
        If there is none; the sentence names those that there are.

    Examples
    --------
    >>> named("statistics").names[:2]
    ('zcr_mean', 'zcr_median')
    """
    if name not in SETS:
        raise ValueError(f"unknown feature set {name!r}: use one of {', '.join(SETS)}")
    return SETS[name]


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


def with_speed(feature_set: FeatureSet, factor: float) -> FeatureSet:
    """Return the same set, computed on the signal played `factor` times faster.

    Examples
    --------
    >>> with_speed(named("voice"), 0.9).settings["speed"]
    0.9
    """
    return replace(feature_set, speed=float(factor))


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
    ndarray, shape (n_features,)
        Float64, in the order of ``feature_set.names``.

    Raises
    ------
    ValueError
        If the rate is another, the signal is too short or not finite, or a feature is not finite.

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
    if feature_set.speed != 1:
        y = audio.change_speed(np.asarray(y), sr=sr, factor=feature_set.speed)
    if feature_set.pre_emphasis:
        y = np.asarray(y, dtype=np.float64)  # neighbours are alike: float32 would lose digits
        y = audio.pre_emphasis(y, coefficient=feature_set.pre_emphasis)
    row = feature_set.function(y, sr=sr)
    if not np.isfinite(row).all():
        name = feature_set.names[int(np.flatnonzero(~np.isfinite(row))[0])]
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

    The rows are kept in a cache file, whose name is a hash of the set's settings and the clips'
    content; so clips may be renamed or moved, but a changed one is computed anew. Rejects are not
    remembered, as their reason may have gone by the next time.

    Parameters
    ----------
    clips : pandas.DataFrame
        Clip table with the columns `clip_id` and `path`; without `content` (a hash of each file),
        which `corpora.scan` gives, nothing is cached.
    feature_set : FeatureSet
        For example ``named("statistics")``.
    n_jobs : int
        Processes, as joblib counts them: -1 is one for each core.
    progress : bool
        Show a bar on stderr if it takes longer than a second.
    cache : path, optional
        Folder of cached tables; ``files.cache_dir() / "features"`` unless given.

    Returns
    -------
    Features
        Rows in the order of the clip table.

    Raises
    ------
    ValueError
        If a column is missing.
    OSError
        If the cache cannot be written.
    """
    missing = [name for name in ("clip_id", "path") if name not in clips.columns]
    if missing:
        raise ValueError(f"the clip table has no column {missing[0]!r}: make it with corpora.scan")
    file = _cache_file(clips, feature_set=feature_set, folder=cache)
    X, known = _load(file, feature_set=feature_set, n_clips=len(clips))
    todo = np.flatnonzero(~known)
    paths = [str(path) for path in clips["path"].iloc[todo]]
    outcomes = _rows(paths, feature_set=feature_set, n_jobs=n_jobs, progress=progress)
    for position, outcome in zip(todo, outcomes, strict=True):
        if outcome.row is not None:
            X[position], known[position] = outcome.row, True
    if file is not None and known[todo].any():
        _save(file, X=X, known=known, feature_set=feature_set)
    clip_id = clips["clip_id"].to_numpy(dtype=str)[known]
    return Features(X[known], feature_set.names, clip_id, _rejects(paths, outcomes))


@dataclass(frozen=True)
class _Outcome:
    """Either a row or the reason why there is none."""

    row: Array | None = None
    reason: str = ""


def _row(path: str, *, feature_set: FeatureSet) -> _Outcome:
    try:
        y = audio.read(path, sr=feature_set.sr)
        return _Outcome(row=extract(y, sr=feature_set.sr, feature_set=feature_set))
    except (ValueError, OSError) as error:
        # The table of rejects has the path beside the reason: once is enough.
        return _Outcome(reason=str(error).removeprefix(f"{path}: "))


def _rows(
    paths: Sequence[str], *, feature_set: FeatureSet, n_jobs: int, progress: bool
) -> list[_Outcome]:
    from joblib import Parallel, delayed
    from threadpoolctl import threadpool_limits
    from tqdm import tqdm

    job = delayed(_row)
    outcomes = Parallel(n_jobs=n_jobs, return_as="generator")(
        job(path, feature_set=feature_set) for path in paths
    )
    bar = tqdm(
        outcomes,
        total=len(paths),
        desc=feature_set.name,
        unit="clip",
        delay=1,
        # A log keeps every state of the bar: there, one in ten seconds will do.
        mininterval=0.1 if sys.stderr.isatty() else 10,
        disable=not progress,
    )
    with threadpool_limits(1):  # clips run side by side; products within one are small
        return list(bar)


def _rejects(paths: Sequence[str], outcomes: Sequence[_Outcome]) -> pd.DataFrame:
    import pandas as pd

    rows = [
        (path, outcome.reason)
        for path, outcome in zip(paths, outcomes, strict=True)
        if outcome.row is None
    ]
    return pd.DataFrame(rows, columns=["path", "reason"], dtype="string")


def _cache_file(
    clips: pd.DataFrame, *, feature_set: FeatureSet, folder: str | Path | None
) -> Path | None:
    """Return where the table is cached; None if the clips' content is not known."""
    if "content" not in clips.columns or clips["content"].isna().any():
        return None
    key = files.digest([feature_set.settings, [str(each) for each in clips["content"]]])
    parent = files.cache_dir() / "features" if folder is None else Path(folder)
    return parent / f"{feature_set.name}-{key}.npz"


def _load(
    file: Path | None, *, feature_set: FeatureSet, n_clips: int
) -> tuple[Array, NDArray[np.bool_]]:
    """Return the cached rows and which of them are known: none without a readable cache."""
    shape = (n_clips, len(feature_set.names))
    if file is not None and file.exists():
        try:
            with np.load(file, allow_pickle=False) as stored:
                X, known, names = stored["X"], stored["known"], stored["names"]
            if X.shape == shape and tuple(names) == feature_set.names:
                return X, known
        except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile):
            pass  # a damaged cache is made anew
    return np.zeros(shape), np.zeros(n_clips, dtype=bool)


def _save(file: Path, *, X: Array, known: NDArray[np.bool_], feature_set: FeatureSet) -> None:
    with files.atomic_path(file) as temporary:
        np.savez(temporary, X=X, known=known, names=np.array(feature_set.names))
