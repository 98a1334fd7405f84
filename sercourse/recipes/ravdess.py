"""Recipes that grew on RAVDESS: the SVMs, the CNN-LSTMs, and the steps between them."""

from __future__ import annotations

from dataclasses import replace

from sercourse import networks
from sercourse.features import Change
from sercourse.recipes.recipe import Learner, Recipe


def _svm_classic() -> Learner:
    from sercourse import classical  # loads scikit-learn, which inference does without

    return classical.PipelineLearner(classical.svm_classic)


def _svm() -> Learner:
    from sercourse import classical

    return classical.PipelineLearner(classical.svm_whitened)


def _cnn_lstm_classic() -> Learner:
    training = networks.Training(
        epochs=60, batch_size=16, optimizer="sgd", learning_rate=0.01, patience=10
    )
    return networks.NetworkLearner(networks.cnn_lstm_classic, training)


def _unaugmented() -> networks.NetworkLearner:
    return networks.NetworkLearner(networks.cnn_lstm, networks.CNN_LSTM_TRAINING)


def _without_lstm() -> networks.NetworkLearner:
    return replace(_unaugmented(), options={"units": 0, "attention": False})


def _augmented() -> networks.NetworkLearner:
    return replace(_unaugmented(), augment=networks.augment_spectrograms)


def _cnn_lstm() -> Learner:
    return replace(_augmented(), members=2)


HARDSHIPS = (
    (Change("pink", 5, 30, draw=1),),
    (Change("room", 0.15, 0.6, draw=1),),
    (Change("room", 0.15, 0.6, draw=2), Change("noise", 10, 35, draw=2)),
    (Change("band", 3400, 6000, draw=3), Change("pink", 15, 40, draw=3)),
)
"""Copies as the world records: in noise, in rooms, and through narrow microphones."""

_SVM_CLASSIC = Recipe(
    "svm-classic",
    "the ancestor's SVM: 200 statistics, F-test, 140 principal components",
    feature_set="statistics",
    make_learner=_svm_classic,
)
SVM = Recipe(
    "svm",
    "a linear SVM on whitened voice features, trained with slower and faster copies",
    feature_set="voice",
    make_learner=_svm,
    speeds=(0.9, 1.1),
)
_SVM_ROBUST = Recipe(
    "svm-robust",
    "the svm, trained with copies in noise, in rooms and through narrow microphones too",
    feature_set="voice",
    make_learner=_svm,
    speeds=(0.9, 1.1),
    changes=HARDSHIPS,
)
_CNN_LSTM_CLASSIC = Recipe(
    "cnn-lstm-classic",
    "the ancestor's time-distributed CNN and LSTM on five windows of a mel spectrogram",
    feature_set="time-windows",
    make_learner=_cnn_lstm_classic,
    noisy_copies=2,
    seeds=3,
)
CNN_LSTM = Recipe(
    "cnn-lstm",
    "convolutions over a mel spectrogram, an LSTM and attentive pooling",
    feature_set="log-mel",
    make_learner=_cnn_lstm,
    speeds=(0.87, 0.93, 1.07, 1.14),
    normalized=False,
    seeds=3,
)
_CNN_LSTM_STEPS = (
    Recipe(
        "cnn-lstm-step-1",
        "a step to cnn-lstm: convolutions over the mel spectrogram, averaged over time",
        feature_set="log-mel",
        make_learner=_without_lstm,
        normalized=False,
        seeds=3,
    ),
    Recipe(
        "cnn-lstm-step-2",
        "a step to cnn-lstm: the LSTM and attentive pooling",
        feature_set="log-mel",
        make_learner=_unaugmented,
        normalized=False,
        seeds=3,
    ),
    Recipe(
        "cnn-lstm-step-3",
        "a step to cnn-lstm: slower and faster copies",
        feature_set="log-mel",
        make_learner=_unaugmented,
        speeds=CNN_LSTM.speeds,
        normalized=False,
        seeds=3,
    ),
    Recipe(
        "cnn-lstm-step-4",
        "a step to cnn-lstm: pictures that are augmented in every batch",
        feature_set="log-mel",
        make_learner=_augmented,
        speeds=CNN_LSTM.speeds,
        normalized=False,
        seeds=3,
    ),
)
_ENSEMBLE = Recipe(
    "svm+cnn-lstm",
    "the SVM and the CNN-LSTM, their probabilities averaged",
    members=(SVM, CNN_LSTM),
    seeds=3,
)

RECIPES: tuple[Recipe, ...] = (
    _SVM_CLASSIC,
    SVM,
    _SVM_ROBUST,
    _CNN_LSTM_CLASSIC,
    CNN_LSTM,
    *_CNN_LSTM_STEPS,
    _ENSEMBLE,
)
