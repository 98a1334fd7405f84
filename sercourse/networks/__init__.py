"""Networks that recognise emotions, written for Keras on any of its backends.

Importing this package loads neither Keras nor a backend: the functions that need them do.
"""

from __future__ import annotations

from sercourse.networks.backend import fused_ops, quiet_keras, set_seed
from sercourse.networks.builders import (
    AESDD_TRAINING,
    CNN_LSTM_TRAINING,
    MFCC_NET_TRAINING,
    REGULARIZED_TRAINING,
    RNN_TRAINING,
    VECTOR_TRAINING,
    aesdd_cnn_1,
    aesdd_cnn_2,
    aesdd_cnn_3,
    aesdd_cnn_4,
    augment_mfcc,
    augment_spectrograms,
    blend,
    cnn_lstm,
    cnn_lstm_classic,
    mfcc_conv2d,
    mfcc_net,
    mlp,
    rnn,
    spec_augment,
    vector_cnn,
    vector_lstm,
    wide_mlp,
)
from sercourse.networks.learner import (
    FittedNetwork,
    NetworkLearner,
    expected_codes,
    joint_head,
    standardized,
)
from sercourse.networks.training import Examples, Progress, Training, temperature, train
