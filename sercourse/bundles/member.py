"""One model of a bundle: what it measures on a signal, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sercourse import features, normalize

if TYPE_CHECKING:
    import onnxruntime


GENDER_MODEL = "gender.onnx"


@dataclass(frozen=True, eq=False)
class Member:
    """One of the models whose answers a bundle averages; most bundles have one.

    Attributes
    ----------
    folder : Path
        Of the bundle.
    info : mapping
        Its recipe, sample rate, feature names and files, as `bundle.json` tells.
    voice : normalize.SpeakerStats or None
        The enrolled voice; None for an unknown speaker.
    """

    folder: Path
    info: Mapping[str, Any]
    voice: normalize.SpeakerStats | None = None

    @cached_property
    def feature_set(self) -> features.FeatureSet:
        """What the model measures on a clip.

        Raises
        ------
        ValueError
            If this version of the package computes other features than the model learned from.
        """
        wanted = self.info["recipe"]["features"]
        encoder = self.info["files"].get("encoder")
        name = f"{wanted['name']}:{self.folder / encoder}" if encoder else wanted["name"]
        feature_set = features.named(name)
        if feature_set.settings != wanted or list(feature_set.names) != self.info["feature_names"]:
            raise ValueError(
                f"the model in {self.folder} learned from other {wanted['name']!r} features than "
                "this version of sercourse computes: train it again, or install the version that "
                "bundle.json names"
            )
        return feature_set

    def row(self, y: NDArray[Any], *, sr: int) -> NDArray[np.floating]:
        """Return what the model measures on a signal."""
        return features.extract(y, sr=sr, feature_set=self.feature_set)

    @property
    def can_enrol(self) -> bool:
        """Whether there is a model for voices that are known from a few clips."""
        return "voice" in self.info["files"]

    def enrol(self, signals: Sequence[NDArray[Any]], *, sr: int) -> Member:
        """Return the model for the speaker of some signals; itself if it has no such model."""
        if not self.can_enrol:
            return self
        rows = np.stack([self.row(y, sr=sr) for y in signals])
        return replace(self, voice=normalize.map_adapt(self._typical, rows))

    def knows(self, X: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Return whether what was measured on clips is like the speech that the model learnt from.

        A model that was trained without a limit takes everything for speech.
        """
        limit = self.info.get("speech")
        if limit is None:
            return np.ones(len(X), dtype=bool)
        n, typical = int(limit["n_features"]), self._typical
        last = normalize.SpeakerStats(typical.mean[-n:], typical.std[-n:])
        return normalize.distance(X[:, -n:], last) <= float(limit["farthest"])

    @cached_property
    def _typical(self) -> normalize.SpeakerStats:
        """The average voice of the training."""
        with np.load(self.folder / self.info["files"]["voice"], allow_pickle=False) as stored:
            return normalize.SpeakerStats(stored["mean"], stored["std"])

    def predict_proba(self, X: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the probabilities (n, n_labels) of what was measured on clips, (n, ...)."""
        if self.voice is not None:
            X = normalize.normalize(X, self.voice)
        return run(self._session, X)

    @cached_property
    def _session(self) -> onnxruntime.InferenceSession:
        path = self.folder / self.info["files"]["enrolled" if self.voice else "model"]
        try:
            return session(path.read_bytes())
        except Exception as error:  # onnxruntime's own kinds have nothing else in common
            raise ValueError(f"{path} is no model that can be run: get it again") from error


def member_files(name: str | None = None, *, enrols: bool) -> dict[str, str]:
    """Return what the files of a model are called.

    Parameters
    ----------
    name : str, optional
        Tells the members of an ensemble apart.
    enrols : bool
        Whether there is a second model, for voices that are known from a few clips.

    Examples
    --------
    >>> member_files("svm", enrols=True)
    {'model': 'svm.onnx', 'enrolled': 'svm-enrolled.onnx', 'voice': 'svm-voice.npz'}
    """
    stem = name or "model"
    if not enrols:
        return {"model": f"{stem}.onnx"}
    voice = "voice.npz" if name is None else f"{name}-voice.npz"
    return {"model": f"{stem}.onnx", "enrolled": f"{stem}-enrolled.onnx", "voice": voice}


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
