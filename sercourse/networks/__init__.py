"""Networks that hear emotions, written for Keras on any of its backends.

Importing this package loads neither Keras nor a backend: the functions that need them do.
"""

from __future__ import annotations

from sercourse.networks.aesdd import (
    AESDD_TRAINING,
    aesdd_cnn_1,
    aesdd_cnn_2,
    aesdd_cnn_3,
    spec_augment,
)
from sercourse.networks.backend import quiet_keras, set_seed
from sercourse.networks.classic import cnn_lstm_classic, cnn_lstm_time_distributed
from sercourse.networks.cnn_lstm import CNN_LSTM_TRAINING, augment_spectrograms, cnn_lstm
from sercourse.networks.learner import FittedNetwork, NetworkLearner
from sercourse.networks.segments import FittedSegments, SegmentLearner
from sercourse.networks.training import Examples, Progress, Training, temperature, train

__all__ = [
    "AESDD_TRAINING",
    "CNN_LSTM_TRAINING",
    "Examples",
    "FittedNetwork",
    "FittedSegments",
    "NetworkLearner",
    "Progress",
    "SegmentLearner",
    "Training",
    "aesdd_cnn_1",
    "aesdd_cnn_2",
    "aesdd_cnn_3",
    "augment_spectrograms",
    "cnn_lstm",
    "cnn_lstm_classic",
    "cnn_lstm_time_distributed",
    "quiet_keras",
    "set_seed",
    "spec_augment",
    "temperature",
    "train",
]
