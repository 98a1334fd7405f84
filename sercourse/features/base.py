"""What a feature set is, and the features of one signal or of a table of clips."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import itertools
import json
import math
import os
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sercourse import audio, files, remote
from sercourse.augment import Augmentation
from sercourse.features.short_term import require_signal

if TYPE_CHECKING:
    import pandas as pd


Place = tuple[str, float, float]  # file, start and end [s] of a clip
NOT_THERE = os.strerror(errno.ENOENT).lower()  # as `audio.reason` says it


@dataclass(frozen=True)
class FeatureSet:
    """A recipe from a signal to one row: a vector of named numbers, or an array.

    Attributes
    ----------
    name : str
        Name in `features.SETS`.
    sr : int
        Sampling rate [Hz] that the signal must have.
    names : tuple of str
        Names of the features, in the order of the row; of an array, names along its last axis.
    function : callable
        ``function(y, sr=sr)`` returns the row. A function of a module, so that worker processes can
        find it; what it needs and inference does not, it imports itself.
    shape : tuple of int
        Shape of a row that is an array, float32; () for a vector of ``len(names)``, float64.
    longest : float
        Words that last longer [s] are judged in parts: corpora have clips of one sentence, and
        models know nothing longer.
    encoder : str
        SHA-256 of the speech encoder that the function runs, if it does.
    version : int
        Raised whenever the function's numbers change, so that no cached table outlives them.
    pre_emphasis : float
        Coefficient of the pre-emphasis, which comes last before `function`; 0 for none.
    augmentations : tuple of Augmentation
        What is done to the signal first, one after the other.
    """

    name: str
    sr: int
    names: tuple[str, ...]
    function: Callable[..., np.ndarray]
    shape: tuple[int, ...] = ()
    longest: float = 8.0
    encoder: str = ""
    version: int = 1
    pre_emphasis: float = 0.0
    augmentations: tuple[Augmentation, ...] = ()

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of a row, whether vector or array."""
        return self.shape or (len(self.names),)

    @property
    def row_bytes(self) -> int:
        """Size of a row: of float32 in an array, else of float64."""
        return math.prod(self.row_shape) * (4 if self.shape else 8)

    @property
    def settings(self) -> dict[str, Any]:
        """What the numbers depend on, as JSON can hold it: for bundles."""
        always = {name: getattr(self, name) for name in ("name", "sr", "version", "pre_emphasis")}
        always["speed"] = 1.0  # bundles tell of it since before there were `augmentations`
        # What later versions added is told only where it is used: older bundles do not know of it.
        augmentations = [each.settings for each in self.augmentations]
        later = {"shape": list(self.shape), "augmentations": augmentations, "encoder": self.encoder}
        return always | {name: value for name, value in later.items() if value}

    @property
    def key(self) -> list[Any]:
        """`settings`, and what they leave out: for the keys of what is stored, see `files.digest`.

        Other versions of the libraries that compute may give other numbers.
        """
        libraries = files.versions("numpy", "scipy", "librosa", "soundfile", "soxr")
        runtime = files.versions("onnxruntime") if self.encoder else {}
        return [self.settings, self.names, self.function, libraries, runtime]


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

    X: np.ndarray
    names: tuple[str, ...]
    clip_id: np.ndarray
    rejects: pd.DataFrame


def with_pre_emphasis(feature_set: FeatureSet, coefficient: float) -> FeatureSet:
    """Return the same set, computed after a pre-emphasis ``y[n] - coefficient * y[n - 1]``.

    Raises
    ------
    ValueError
        If the coefficient is outside [0, 1].

    Examples
    --------
    >>> from sercourse.features import named
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
    >>> from sercourse.features import named
    >>> slower = augmented(named("mel-segments"), Augmentation("stretch", 0.8, 0.9, draw=1))
    >>> slower.settings["augmentations"]
    [{'kind': 'stretch', 'amount': [0.8, 0.9], 'draw': 1}]
    """
    return replace(feature_set, augmentations=(*feature_set.augmentations, *augmentations))


def extract(y: np.ndarray, *, sr: int, feature_set: FeatureSet) -> np.ndarray:
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
        If the rate is another, the signal is too short, not finite or of several channels, a
        feature is not finite, or the signal cannot be augmented so, such as noise for silence.

    Examples
    --------
    >>> from sercourse.features import named
    >>> noise = np.random.default_rng(0).uniform(-0.1, 0.1, 16_000)
    >>> extract(noise, sr=16_000, feature_set=named("statistics")).shape
    (200,)
    """
    if sr != feature_set.sr:
        needs = f"{feature_set.name!r} needs {feature_set.sr} Hz: resample it"
        raise ValueError(f"the signal is sampled at {sr} Hz and {needs}")
    require_signal(y)
    for each in feature_set.augmentations:
        y = each.applied(y, sr=sr)
    if feature_set.pre_emphasis:
        # Neighbours are alike: float32 would lose digits.
        y = audio.pre_emphasis(y.astype(np.float64), coefficient=feature_set.pre_emphasis)
    row = feature_set.function(y, sr=sr)
    if not (finite := np.isfinite(row)).all():
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
    if missing := {"clip_id", "path"} - set(clips.columns):
        raise ValueError(f"the table has no column {min(missing)!r}: make it with corpora.scan")
    stored: list[Path] = []
    if "content" in clips.columns and clips["content"].notna().all():
        folder = files.cache_dir() / "features" if cache is None else files.user_path(cache)
        # A colon cannot be in the name of a folder on every system.
        folder /= f"{feature_set.name.replace(':', '-')}-{files.digest(feature_set.key)}"
        files.sweep(folder)
        stored = [folder / f"{files.digest(key)}.row" for key in contents(clips)]
    dtype = np.float32 if feature_set.shape else np.float64
    X = np.zeros((len(clips), *feature_set.row_shape), dtype)
    known = np.zeros(len(clips), dtype=bool)
    for k, file in enumerate(stored):
        known[k] = _read_row(file, X[k])
    todo = np.flatnonzero(~known)
    measured = _measure_all(clips.iloc[todo], feature_set, n_jobs=n_jobs, progress=progress)
    rejects = []
    for k, (row, reason) in zip(todo.tolist(), measured, strict=True):
        if row is None:
            path = str(clips["path"].iloc[k])
            if reason == NOT_THERE and remote.place(path).exists():
                told = f"{path} is here, and not where it was to be measured: share the folder with"
                raise FileNotFoundError(f"{told} the workers, under the same name")
            rejects.append((path, reason))
            continue
        X[k], known[k] = row, True
        if stored:
            data = X[k].tobytes()
            with files.keeping(folder), files.atomic_path(stored[k]) as temporary:
                temporary.write_bytes(zlib.crc32(data).to_bytes(4) + data)
    if stored:
        with contextlib.suppress(OSError):
            os.utime(folder)  # in use: it is the last that `files.shrink_cache` deletes
        if len(todo):
            files.shrink_cache()
    for to, k in enumerate(np.flatnonzero(known).tolist()):
        X[to] = X[k]  # in place: ``X[known]`` would be a second table
    clip_id = clips["clip_id"].to_numpy(dtype=str)[known]
    return Features(X[: len(clip_id)], feature_set.names, clip_id, rejects_table(rejects))


def rejects_table(rejects: Sequence[Sequence[str]]) -> pd.DataFrame:
    """Return paths and reasons as the table `Features.rejects`."""
    import pandas as pd

    # The name of a file need not be text, and Arrow's strings must be.
    with pd.option_context("mode.string_storage", "python"):
        return pd.DataFrame(rejects, columns=["path", "reason"], dtype="string")


def save_features(
    features: Features, path: str | Path, *, feature_set: FeatureSet, fingerprint: str
) -> Path:
    """Write a table of features as a ``.npz`` file, atomically; return its path.

    It holds the arrays `X`, `feature_names`, `clip_id` and `rejects`, and as JSON the `settings`.

    Parameters
    ----------
    features : Features
        What `feature_table` returned.
    path : path
        File to write; ``.npz`` is added where it is missing.
    feature_set : FeatureSet
        The set that the table was made with.
    fingerprint : str
        What identifies the clips and their labels: ``corpora.fingerprint(clips)``.

    Raises
    ------
    OSError
        If the folder cannot be written to.
    """
    file = files.user_path(path)
    if file.suffix != ".npz" and not files.is_stream(file):  # as np.savez does
        file = file.with_name(f"{file.name}.npz")
    settings = json.dumps(feature_set.settings | {"fingerprint": fingerprint})
    texts = {"feature_names": features.names, "clip_id": features.clip_id, "settings": settings}
    arrays: dict[str, Any] = {name: np.array(text, np.str_) for name, text in texts.items()}
    arrays["rejects"] = features.rejects.to_numpy(dtype=np.str_).reshape(-1, 2)
    with files.atomic_path(file) as temporary, temporary.open("wb") as stream:
        np.savez(stream, X=features.X, **arrays)
    return file


def contents(clips: pd.DataFrame) -> list[str]:
    """Return a hash of each clip's bytes; of its path where there is no such file.

    That of a segment also depends on its `start` and `end`.
    """
    if "content" in clips.columns and clips["content"].notna().all():
        return [str(each) for each in clips["content"]]

    @cache
    def key(path: str) -> str:
        try:
            file = remote.local(path)
        except OSError:
            return files.digest(path)
        return files.clip_key(file) if file.is_file() else files.digest(path)

    return [
        files.digest([key(path), start, end]) if start > 0 or end > 0 else key(path)
        for path, start, end in _places(clips)
    ]


def _read_row(file: Path, row: np.ndarray) -> bool:
    """Fill in a stored row; return whether it is there, whole, and one of numbers."""
    data = b""
    with contextlib.suppress(OSError):
        data = file.read_bytes()
    whole = len(data) == row.nbytes + 4 and zlib.crc32(data[4:]) == int.from_bytes(data[:4])
    if whole:
        row[...] = np.frombuffer(data[4:], row.dtype).reshape(row.shape)
    return whole and bool(np.isfinite(row).all())


def _places(clips: pd.DataFrame) -> Iterator[Place]:
    """Yield file, start and end [s] of each clip; an end of 0 is that of the file."""
    times = clips.reindex(columns=["start", "end"]).astype(float).fillna(0.0)
    yield from zip(map(str, clips["path"]), times["start"], times["end"], strict=True)


def _measure_all(
    clips: pd.DataFrame, feature_set: FeatureSet, *, n_jobs: int, progress: bool
) -> Iterator[tuple[np.ndarray | None, str]]:
    """Yield the row of each clip in turn, so that no second table of them is ever held."""
    if clips.empty:
        return
    from joblib import Parallel, delayed
    from threadpoolctl import threadpool_limits
    from tqdm import tqdm

    places = ((remote.known(path), start, end) for path, start, end in _places(clips))
    first = next(places)
    # Each hand-over to a process costs as much as half a clip; large rows fill memory instead.
    n = max(1, min(16, 2**20 // feature_set.row_bytes))
    at_once = {"batch_size": n, "pre_dispatch": f"{2 * n} * n_jobs"}
    parallel = Parallel(n_jobs=n_jobs, return_as="generator", **at_once)
    often = 0.1 if sys.stderr.isatty() else 10  # [s]; a log keeps every state of the bar
    shown: dict[str, Any] = {"desc": feature_set.name, "unit": "clip", "mininterval": often}
    with threadpool_limits(1):  # clips run side by side; products within one are small
        # The first clip is measured here. librosa has functions that are compiled and cached when
        # they are first called, and processes that write that cache at the same time can crash.
        one = _measure(first, feature_set)
        later = parallel(delayed(_measure)(place, feature_set) for place in places)
        rows = itertools.chain([one], later)
        yield from tqdm(rows, total=len(clips), delay=1, disable=not progress, **shown)
    _read.cache_clear()


@cache
def _keep_memory() -> None:
    """Let glibc keep what is freed, 64 MB at most, for the next clip.

    To give it back and fetch it anew takes up to a tenth of the time of `statistics`.
    """
    with contextlib.suppress(AttributeError, TypeError):  # other systems have no such function
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(-1, 2**26)  # M_TRIM_THRESHOLD
        mallopt(-3, 2**25)  # M_MMAP_THRESHOLD


def _measure(place: Place, feature_set: FeatureSet) -> tuple[np.ndarray | None, str]:
    """Return the row of a clip, or None and the reason why there is none."""
    _keep_memory()
    path, start, end = place
    sr = feature_set.sr
    try:
        file = remote.local(path)
        y = _read(file, file.stat().st_mtime_ns, sr)
        y = y[round(start * sr) : round(end * sr) if end else None]
        if fatal_issues := audio.fatal_issues(y, sr=sr):
            return None, "; ".join(fatal_issues)
        return extract(y, sr=sr, feature_set=feature_set), ""
    except audio.READ_ERRORS as error:
        return None, audio.reason(error, path=path)


@lru_cache(maxsize=1)  # segments of one recording follow each other
def _read(path: Path, changed: int, sr: int) -> np.ndarray:
    return audio.read(path, sr=sr)
