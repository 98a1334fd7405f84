"""Named sets of features, and the table of features of a corpus.

`extract` turns a signal into one row, a vector of numbers or an array such as a spectrogram;
`feature_table` turns a clip table into a table of rows, in parallel and remembered between runs.
What the course's own sets measure needs no librosa and no SciPy: inference loads it.
"""

from sercourse.features import whisper
from sercourse.features.base import (
    Features,
    FeatureSet,
    augmented,
    contents,
    extract,
    feature_table,
    save_features,
    with_pre_emphasis,
)
from sercourse.features.registry import SETS, named
