"""Trained models that explain themselves: save, verify, load, predict. The only inference path.

A bundle is a folder: `bundle.json` (what it is, and the hash of every other file), `model.onnx`,
`model-enrolled.onnx` with `voice.npz` (for speakers whose voice is known from a few clips),
`model.keras` of a network, `metrics.json`, `predictions.csv` and a model card, `README.md`; where
it was measured in noise, rooms and the like, `conditions.csv`; where it also tells female from male
voices, `gender.onnx` and `gender-predictions.csv`. An ensemble has such files for each of its
members, called by their recipes. Nothing in it is a pickle, and predicting needs neither
scikit-learn nor TensorFlow.
"""

from __future__ import annotations

from sercourse.bundles.bundle import UNKNOWN, Bundle, Prediction
from sercourse.bundles.masking import restrict_labels
from sercourse.bundles.member import GENDER_MODEL, Member, member_files, run, session
from sercourse.bundles.store import (
    DEFAULT_MODEL,
    INDEX,
    SCHEMA,
    available,
    find,
    label_set,
    load,
    renew,
    save,
)

__all__ = [
    "DEFAULT_MODEL",
    "GENDER_MODEL",
    "INDEX",
    "SCHEMA",
    "UNKNOWN",
    "Bundle",
    "Member",
    "Prediction",
    "available",
    "find",
    "label_set",
    "load",
    "member_files",
    "renew",
    "restrict_labels",
    "run",
    "save",
    "session",
]
