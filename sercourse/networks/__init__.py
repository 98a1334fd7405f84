"""Networks that recognise emotions, written for Keras on any of its backends.

Importing this package loads neither Keras nor a backend: the functions that need them do.
"""

from sercourse.networks.builders import cnn_lstm, spec_augment
from sercourse.networks.learner import FittedNetwork, NetworkLearner
from sercourse.networks.training import Examples, Training, quiet_keras, set_seed, train
