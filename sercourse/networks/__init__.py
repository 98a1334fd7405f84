"""Networks that hear emotions, written for Keras on any of its backends.

Importing this package loads neither Keras nor a backend: the functions that need them do.
"""

from __future__ import annotations

from sercourse.networks.aesdd import (
    AESDD_TRAINING,
    aesdd_cnn_1,
    aesdd_cnn_2,
    aesdd_cnn_3,
    aesdd_cnn_4,
    spec_augment,
)
from sercourse.networks.backend import quiet_keras, set_seed
from sercourse.networks.classic import cnn_lstm_classic, cnn_lstm_time_distributed
from sercourse.networks.cnn_lstm import CNN_LSTM_TRAINING, augment_spectrograms, cnn_lstm
from sercourse.networks.fused import fused
from sercourse.networks.learner import FittedNetwork, NetworkLearner
from sercourse.networks.mfcc import (
    MFCC_CONV2D_TRAINING,
    MFCC_NET_TRAINING,
    augment_mfcc,
    mfcc_conv2d,
    mfcc_net,
)
from sercourse.networks.rnn import RNN_TRAINING, expected_codes, rnn
from sercourse.networks.segments import FittedSegments, SegmentLearner
from sercourse.networks.training import Examples, Progress, Training, temperature, train
from sercourse.networks.vectors import (
    REGULARIZED_TRAINING,
    VECTOR_TRAINING,
    blend,
    mlp,
    vector_cnn,
    vector_lstm,
    wide_mlp,
)
from sercourse.networks.wrapping import paired, standardized

__all__ = [
    "AESDD_TRAINING",
    "CNN_LSTM_TRAINING",
    "MFCC_CONV2D_TRAINING",
    "MFCC_NET_TRAINING",
    "REGULARIZED_TRAINING",
    "RNN_TRAINING",
    "VECTOR_TRAINING",
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
    "aesdd_cnn_4",
    "augment_mfcc",
    "augment_spectrograms",
    "blend",
    "cnn_lstm",
    "cnn_lstm_classic",
    "cnn_lstm_time_distributed",
    "expected_codes",
    "fused",
    "mfcc_conv2d",
    "mfcc_net",
    "mlp",
    "paired",
    "quiet_keras",
    "rnn",
    "set_seed",
    "spec_augment",
    "standardized",
    "temperature",
    "train",
    "vector_cnn",
    "vector_lstm",
    "wide_mlp",
]
