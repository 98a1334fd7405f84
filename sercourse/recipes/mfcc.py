"""Recipes on a picture of cepstra: the ancestor's network, what stood beside it, and ours."""

from __future__ import annotations

from dataclasses import replace

from sercourse import networks
from sercourse.recipes.ravdess import SVM
from sercourse.recipes.recipe import Learner, Recipe


def _conv2d_categorical() -> networks.NetworkLearner:
    return networks.NetworkLearner(
        networks.mfcc_conv2d, networks.MFCC_CONV2D_TRAINING, standardized=True
    )


def _conv2d() -> Learner:
    categorical = _conv2d_categorical()
    return replace(categorical, training=replace(categorical.training, loss="binary"))


def _forest() -> Learner:
    from sercourse import classical  # loads scikit-learn, which inference does without

    return classical.FlatLearner(classical.PipelineLearner(classical.forest))


def _nine_neighbours() -> Learner:
    from sercourse import classical

    return classical.FlatLearner(classical.PipelineLearner(classical.nine_neighbours))


def _net() -> Learner:
    return networks.NetworkLearner(
        networks.mfcc_net, networks.MFCC_NET_TRAINING, augment=networks.augment_mfcc
    )


_CONV2D = Recipe(
    "mfcc-conv2d",
    "the ancestor's network on 39 x 216 cepstra, trained with binary cross-entropy",
    feature_set="mfcc-image",
    make_learner=_conv2d,
    normalized=False,
    seeds=3,
)

_SPEEDS = (0.87, 0.93, 1.07, 1.14)
_SVM = Recipe(
    "mfcc-svm",
    "a linear SVM on the cloud that the frames of the same cepstra make",
    feature_set="mfcc-cloud",
    make_learner=SVM.make_learner,
    speeds=_SPEEDS,
    normalized=False,
    seeds=3,
)
_NET = Recipe(
    "mfcc-net",
    "the CNN-LSTM on the same cepstra, turned back into mel bands",
    feature_set="mfcc-image",
    make_learner=_net,
    speeds=_SPEEDS,
    normalized=False,
    seeds=3,
)

RECIPES: tuple[Recipe, ...] = (
    _CONV2D,
    replace(
        _CONV2D,
        name="mfcc-conv2d-categorical",
        title="the same network, trained with categorical cross-entropy",
        make_learner=_conv2d_categorical,
    ),
    Recipe(
        "mfcc-forest",
        "a random forest on 39 x 216 cepstra, laid in one row",
        feature_set="mfcc-image",
        make_learner=_forest,
        normalized=False,
        seeds=3,
    ),
    Recipe(
        "mfcc-9nn",
        "the nine nearest neighbours by 39 x 216 cepstra, laid in one row",
        feature_set="mfcc-image",
        make_learner=_nine_neighbours,
        normalized=False,
        seeds=3,
    ),
    _NET,
    _SVM,
    Recipe(
        "mfcc-svm+net",
        "the SVM and the network on the same cepstra, their probabilities averaged",
        members=(_SVM, _NET),
        seeds=3,
    ),
)
