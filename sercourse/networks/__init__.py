"""Networks that recognise emotions, written for Keras on any of its backends.

Importing this package loads neither Keras nor a backend: the functions that need them do.
"""

from sercourse.networks.backend import quiet_keras, set_seed
from sercourse.networks.builders import (
    aesdd_cnn_1,
    aesdd_cnn_2,
    aesdd_cnn_3,
    cnn_lstm,
    spec_augment,
)
from sercourse.networks.learner import FittedNetwork, NetworkLearner
from sercourse.networks.training import Examples, Training, train
