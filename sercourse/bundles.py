"""Trained models that explain themselves: save, verify, load, predict. The only inference path.

A bundle is a folder: `bundle.json` (what it is, and the hash of every other file), `model.onnx`,
`model-enrolled.onnx` with `voice.npz` (for speakers whose voice is known from a few clips),
`metrics.json`, `predictions.csv` and a model card, `README.md`. Nothing in it is a pickle, and
predicting needs neither scikit-learn nor TensorFlow.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sercourse import audio, features, files, normalize

if TYPE_CHECKING:
    import onnxruntime

SCHEMA = 1
INDEX = "bundle.json"
DEFAULT_MODEL = "ravdess-svm"

LONGEST_CLIP = 8.0  # [s]; corpora have clips of one sentence, and models know nothing longer
PART_SECONDS = 4.0


@dataclass(frozen=True)
class Prediction:
    """What a model says of one clip.

    Attributes
    ----------
    path : str
    emotion : str
        The most probable one.
    probabilities : dict of str to float
        In the order of the model's labels.
    duration : float
        Length of the clip [s].
    warnings : tuple of str
        What makes the answer doubtful, such as a clipped recording.
    """

    path: str
    emotion: str
    probabilities: dict[str, float]
    duration: float
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Bundle:
    """A verified bundle.

    Attributes
    ----------
    folder : Path
    info : mapping
        Content of `bundle.json`.
    voice : normalize.Voice or None
        The enrolled voice; None for an unknown speaker.
    """

    folder: Path
    info: Mapping[str, Any]
    voice: normalize.Voice | None = None

    @property
    def name(self) -> str:
        """Name of the bundle."""
        return str(self.info["name"])

    @property
    def labels(self) -> tuple[str, ...]:
        """Emotions that it tells apart, in the order of its probabilities."""
        return tuple(self.info["labels"])

    @property
    def sample_rate(self) -> int:
        """Rate that its signals must have [Hz]."""
        return int(self.info["sample_rate"])

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """Content of `metrics.json`."""
        return _read_json(self.folder / "metrics.json")

    @cached_property
    def feature_set(self) -> features.FeatureSet:
        """What the model measures on a clip.

        Raises
        ------
        ValueError
            If this version of the package computes other features than the model learned from.
        """
        wanted = self.info["recipe"]["features"]
        feature_set = features.named(wanted["name"])
        if feature_set.settings != wanted or list(feature_set.names) != self.info["feature_names"]:
            raise ValueError(
                f"model {self.name!r} learned from other {wanted['name']!r} features than this "
                "version of sercourse computes: train it again, or install the version "
                f"{self.info['versions']['sercourse']}"
            )
        return feature_set

    @cached_property
    def _session(self) -> onnxruntime.InferenceSession:
        model = self.folder / ("model-enrolled.onnx" if self.voice else "model.onnx")
        return session(model.read_bytes())

    def enrol(self, paths: Iterable[str | Path]) -> Bundle:
        """Return a bundle that knows the speaker of some unlabelled clips.

        Parameters
        ----------
        paths : iterable of path
            Clips of one speaker, with as many moods as there are; about eight will do.

        Raises
        ------
        ValueError
            If the bundle has no model for known voices or no clip is given.
        """
        if "voice.npz" not in self.info["files"]:
            raise ValueError(f"model {self.name!r} cannot enrol a speaker: it was trained without")
        rows = [self._row(audio.read(path, sr=self.sample_rate)) for path in paths]
        if not rows:
            raise ValueError("there is no clip to enrol the speaker from: give a few of them")
        with np.load(self.folder / "voice.npz", allow_pickle=False) as stored:
            typical = normalize.Voice(stored["mean"], stored["std"])
        return Bundle(self.folder, self.info, normalize.adapt(typical, np.stack(rows)))

    def predict_proba(self, X: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the probabilities of rows of features.

        Parameters
        ----------
        X : ndarray, shape (n_clips, n_features)
            As `features.extract` gives them, before any normalisation.

        Returns
        -------
        ndarray, shape (n_clips, n_labels)
        """
        if self.voice is not None:
            X = normalize.normalize(np.asarray(X, dtype=np.float64), self.voice)
        return run(self._session, X)

    def predict(self, y: NDArray[Any], *, sr: int) -> dict[str, float]:
        """Return the probability of each emotion in a signal.

        A signal longer than 8 s is judged in parts of 4 s, whose probabilities are averaged; silent
        parts do not count.

        Parameters
        ----------
        y : ndarray, shape (n_samples,)
            Mono signal in [-1, 1].
        sr : int
            Its rate [Hz], that of the bundle.

        Raises
        ------
        ValueError
            If the rate is another or the signal cannot be judged: silent, too short.
        """
        if sr != self.sample_rate:
            raise ValueError(
                f"the signal is sampled at {sr} Hz and model {self.name!r} needs "
                f"{self.sample_rate} Hz: resample it, or read it with audio.read at that rate"
            )
        rows = np.stack([self._row(part) for part in self._parts(y)])
        probabilities = self.predict_proba(rows).mean(axis=0)
        return dict(zip(self.labels, probabilities.tolist(), strict=True))

    def predict_file(self, path: str | Path) -> Prediction:
        """Name the emotion in a sound file of any rate, format and number of channels.

        Raises
        ------
        OSError, ValueError
            If the file cannot be read, or holds nothing to judge.
        """
        y = audio.read(path, sr=self.sample_rate)
        refusals = _refusals(y, sr=self.sample_rate)
        if refusals:
            raise ValueError(f"{path}: {'; '.join(refusals)}")
        warnings = tuple(audio.problems(y, sr=self.sample_rate))
        probabilities = self.predict(y, sr=self.sample_rate)
        emotion = max(probabilities, key=lambda label: probabilities[label])
        duration = len(y) / self.sample_rate
        return Prediction(str(path), emotion, probabilities, duration, warnings)

    def _parts(self, y: NDArray[Any]) -> list[NDArray[Any]]:
        if len(y) <= LONGEST_CLIP * self.sample_rate:
            return [y]
        parts = audio.segments(y, sr=self.sample_rate, seconds=PART_SECONDS)
        heard = [part for part in parts if not _refusals(part, sr=self.sample_rate)]
        if not heard:
            raise ValueError("no part of the recording is loud enough to be judged")
        return heard

    def _row(self, y: NDArray[Any]) -> NDArray[np.float64]:
        return features.extract(y, sr=self.sample_rate, feature_set=self.feature_set)


def available() -> list[Path]:
    """Return the folders of the bundles that come with the project, by name."""
    return sorted(path.parent for path in (files.home() / "models").glob(f"*/{INDEX}"))


def find(model: str | Path) -> Path:
    """Return the folder of a bundle, named as those in `models/` or by its path.

    Raises
    ------
    FileNotFoundError
        If there is none; the sentence names those that there are.
    """
    if (Path(model) / INDEX).is_file():
        return Path(model)
    known = {path.name: path for path in available()}
    if str(model) not in known:
        names = ", ".join(known) or "none"
        raise FileNotFoundError(
            f"no model {str(model)!r}: give the folder of a bundle or one of the names {names}"
        )
    return known[str(model)]


def load(model: str | Path = DEFAULT_MODEL) -> Bundle:
    """Verify a bundle and return it, ready to predict.

    Parameters
    ----------
    model : str or path
        A name in `models/`, or a folder.

    Raises
    ------
    FileNotFoundError
        If there is no such bundle, or one of its files is missing.
    ValueError
        If it is of a newer schema or one of its files has changed.
    """
    folder = find(model)
    info = _read_json(folder / INDEX)
    if info.get("schema", 0) > SCHEMA:
        raise ValueError(
            f"{folder / INDEX} follows schema {info['schema']} and this version of sercourse reads "
            f"up to {SCHEMA}: install a newer version"
        )
    _verify(folder, info)
    return Bundle(folder, info)


def save(
    folder: str | Path, *, info: Mapping[str, Any], contents: Mapping[str, bytes | str]
) -> Path:
    """Write a bundle, so that a reader sees the old one or the complete new one.

    Parameters
    ----------
    folder : path
        An earlier bundle there is replaced; a folder that is no bundle is refused.
    info : mapping
        Content of `bundle.json`, without schema and hashes.
    contents : mapping from file name to bytes or text
        All other files.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    FileExistsError
        If the folder holds something else.
    """
    folder = Path(folder)
    with files.atomic_folder(folder, replaces=INDEX) as temporary:
        for name, content in contents.items():
            data = content.encode("utf-8") if isinstance(content, str) else content
            (temporary / name).write_bytes(data)
        hashes = {name: files.content_hash(temporary / name) for name in sorted(contents)}
        files.write_json(temporary / INDEX, {"schema": SCHEMA, **info, "files": hashes})
    return folder


def _verify(folder: Path, info: Mapping[str, Any]) -> None:
    if not isinstance(info.get("files"), dict):
        raise ValueError(f"{folder / INDEX} names no files: get the model again")
    for name, wanted in info["files"].items():
        if Path(name).name != name:
            raise ValueError(f"{folder / INDEX} names a file outside the bundle, {name!r}")
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"{folder / name} is missing from the bundle: get the model again"
            )
        if files.content_hash(folder / name) != wanted:
            raise ValueError(
                f"{folder / name} has changed since the bundle was made: get the model again"
            )


def _refusals(y: NDArray[Any], *, sr: int) -> list[str]:
    """Return why a signal cannot be judged; a clipped one can, with a warning."""
    problems = audio.problems(y, sr=sr)
    return [problem for problem in problems if not problem.startswith("clipped")]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not readable as JSON ({error}): get the model again") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds no JSON object: get the model again")
    return content


def session(model: bytes) -> onnxruntime.InferenceSession:
    """Return an ONNX model, ready to run on one core."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # rows are few: threads would cost more than they give
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run(model: onnxruntime.InferenceSession, X: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the probabilities (n, k) that an ONNX model gives rows of features (n, n_features)."""
    (probabilities,) = model.run(["probabilities"], {"X": X.astype(np.float32)})
    return np.asarray(probabilities, dtype=np.float64)


def label_set(emotions: Sequence[str], *, of: Sequence[str]) -> str:
    """Return a short name for a choice among a corpus's emotions.

    Examples
    --------
    >>> label_set(["happy", "sad"], of=["happy", "sad"])
    'all'
    >>> label_set(["happy", "sad"], of=["neutral", "happy", "sad"])
    'without-neutral'
    >>> label_set(["happy", "sad"], of=["neutral", "calm", "happy", "sad"])
    'happy+sad'
    """
    missing = [emotion for emotion in of if emotion not in emotions]
    if not missing:
        return "all"
    return f"without-{missing[0]}" if len(missing) == 1 else "+".join(emotions)
