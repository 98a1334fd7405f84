"""Named sets of features, and the table of features of a corpus.

`extract` turns a signal into one row, a vector of numbers or an array such as a spectrogram;
`feature_table` turns a clip table into a table of rows, in parallel and remembered between runs.
What the course's own sets measure needs no librosa and no SciPy: inference loads it.
"""

from sercourse.features import whisper
from sercourse.features.base import (
    Features,
    FeatureSet,
    contents,
    extract,
    feature_table,
    is_cached,
    with_changes,
    with_noise,
    with_pre_emphasis,
    with_speed,
)
from sercourse.features.changes import CONDITIONS, Change
from sercourse.features.registry import SETS, named
from sercourse.features.store import load_features, save_features

__all__ = [
    "CONDITIONS",
    "SETS",
    "Change",
    "FeatureSet",
    "Features",
    "contents",
    "extract",
    "feature_table",
    "is_cached",
    "load_features",
    "named",
    "save_features",
    "whisper",
    "with_changes",
    "with_noise",
    "with_pre_emphasis",
    "with_speed",
]
