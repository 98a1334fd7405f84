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

from sercourse.bundles.bundle import UNKNOWN, Bundle, Member, Prediction, restrict_labels, run
from sercourse.bundles.schema import METRICS, RESULTS, read_json
from sercourse.bundles.store import DEFAULT_MODEL, INDEX, available, find, load, renew, save
from sercourse.runtime import session
