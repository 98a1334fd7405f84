"""Recipes that grew on AESDD: the ancestor's networks, what was tried on them, and ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sercourse import networks
from sercourse.features import Change, spectrogram
from sercourse.recipes.ravdess import SVM
from sercourse.recipes.recipe import Ensemble, Learner, Recipe


def _aesdd_cnn(number: int, **settings: Any) -> Callable[[], Learner]:
    """Return what makes the learner of one of the ancestor's networks on AESDD."""

    def make() -> Learner:
        builders = {
            1: networks.aesdd_cnn_1,
            2: networks.aesdd_cnn_2,
            3: networks.aesdd_cnn_3,
            4: networks.aesdd_cnn_4,
        }
        return networks.NetworkLearner(
            builders[number],
            networks.AESDD_TRAINING,
            segment_floor=spectrogram.MEL_SEGMENTS_FLOOR_DB,
            **settings,
        )

    return make


def _aesdd_cnn_ours() -> Learner:
    # Narrower than on RAVDESS, for the time that it takes: validation speakers (two, one training
    # each) lost nothing by it. In the recording folds it gave 75 %, the wider one 79 %.
    return networks.NetworkLearner(
        networks.cnn_lstm,
        replace(networks.CNN_LSTM_TRAINING, epochs=25),
        augment=networks.augment_spectrograms,
        members=2,
        options={"filters": [16, 32, 64, 96]},
        segment_floor=spectrogram.LOG_MEL_FLOOR_DB,
    )


_AESDD_CNN_1, _AESDD_CNN_2, _AESDD_CNN_3 = (
    Recipe(
        f"aesdd-cnn-{number}",
        f"the ancestor's network on AESDD with {layers} convolutions, on mel segments of 3 s",
        feature_set="mel-segments",
        make_learner=_aesdd_cnn(number),
        normalized=False,
        seeds=3,
    )
    for number, layers in ((1, "two"), (2, "three"), (3, "four"))
)
# Two copies each, so that every variant but the masks shows the network three versions of a clip.
_COPIES = {
    "pitch": ((Change("pitch", -4, -4),), (Change("pitch", 4, 4),)),  # a third of an octave
    "noise": ((Change("noise", 15, 30, draw=1),), (Change("noise", 15, 30, draw=2),)),
    "stretch": ((Change("stretch", 0.8, 0.95),), (Change("stretch", 1.05, 1.25),)),
    "shift": ((Change("shift", -0.5, 0.0),), (Change("shift", 0.0, 0.5),)),
}
_AESDD_STUDY = (
    *(
        replace(
            _AESDD_CNN_3,
            name=f"aesdd-cnn-3+{name}",
            title=f"aesdd-cnn-3, trained with {what}",
            changes=_COPIES[name],
        )
        for name, what in (
            ("pitch", "copies a third of an octave lower and higher"),
            ("noise", "copies with white noise at 15 to 30 dB"),
            ("stretch", "slower and faster copies at the same pitch"),
            ("shift", "copies that begin up to half a second earlier and later"),
        )
    ),
    replace(
        _AESDD_CNN_3,
        name="aesdd-cnn-3+specaugment",
        title="aesdd-cnn-3, trained with runs of bands and frames hidden",
        make_learner=_aesdd_cnn(3, augment=networks.spec_augment),
    ),
    replace(
        _AESDD_CNN_3,
        name="aesdd-cnn-3+all",
        title="aesdd-cnn-3, trained with all of these copies and hidden runs",
        changes=tuple(copy for copies in _COPIES.values() for copy in copies),
        make_learner=_aesdd_cnn(3, augment=networks.spec_augment),
    ),
)
_AESDD_CNN = Recipe(
    "aesdd-cnn",
    "the CNN-LSTM on mel segments of 3 s, a clip judged by all of its segments",
    feature_set="log-mel-segments",
    make_learner=_aesdd_cnn_ours,
    speeds=(0.87, 0.93, 1.07, 1.14),
    normalized=False,
    seeds=3,
)
_ENSEMBLE = Ensemble(
    "svm+aesdd-cnn", "the SVM and `aesdd-cnn`, their probabilities averaged", (SVM, _AESDD_CNN)
)

# What the ancestor tried, or wished to try: each differs from `aesdd-cnn-3` in one thing.
_AESDD_TRIALS = (
    *(
        replace(
            _AESDD_CNN_3,
            name=f"aesdd-cnn-3-{option}-{value}",
            title=f"aesdd-cnn-3 with {what}",
            make_learner=_aesdd_cnn(3, options={option: value}),
        )
        for option, value, what in (
            ("dropout", 0.3, "less dropout"),
            ("dropout", 0.7, "more dropout"),
            ("kernel", 5, "larger kernels"),
        )
    ),
    replace(
        _AESDD_CNN_3,
        name="aesdd-cnn-4",
        title="aesdd-cnn-3 made deeper: six convolutions",
        make_learner=_aesdd_cnn(4),
    ),
    replace(
        _AESDD_CNN_3,
        name="aesdd-cnn-3-mfcc",
        title="aesdd-cnn-3 on cepstra in place of mel bands",
        feature_set="mfcc-segments",
    ),
    replace(
        _AESDD_CNN_3,
        name="aesdd-cnn-3-chroma",
        title="aesdd-cnn-3 on chroma in place of mel bands",
        feature_set="chroma-segments",
        make_learner=_aesdd_cnn(3, options={"band_poolings": 2}),  # 12 classes: 6, then 3
    ),
)

RECIPES: tuple[Recipe | Ensemble, ...] = (
    _AESDD_CNN_1,
    _AESDD_CNN_2,
    _AESDD_CNN_3,
    *_AESDD_STUDY,
    _AESDD_CNN,
    _ENSEMBLE,
    *_AESDD_TRIALS,
)
