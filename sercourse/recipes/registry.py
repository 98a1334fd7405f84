"""The recipes by name: what the course trains, compares and ships."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from sercourse import classical, networks
from sercourse.augment import Augmentation
from sercourse.classical import PipelineLearner
from sercourse.features import spectrogram
from sercourse.networks import NetworkLearner
from sercourse.recipes.recipe import Ensemble, Recipe, refuse_arrays, with_settings

Copies = tuple[tuple[Augmentation, ...], ...]

RNN = "rnn"

_NETWORK: dict[str, Any] = {"normalized": False, "seeds": 3}


def _speeds(*factors: float) -> Copies:
    return tuple((Augmentation("speed", each, each),) for each in factors)


_SLOWER_AND_FASTER = _speeds(0.9, 1.1)
_FOUR_SPEEDS = _speeds(0.87, 0.93, 1.07, 1.14)
_HARDSHIPS: Copies = (
    (Augmentation("pink", 5, 30, draw=1),),
    (Augmentation("room", 0.15, 0.6, draw=1),),
    (Augmentation("room", 0.15, 0.6, draw=2), Augmentation("noise", 10, 35, draw=2)),
    (Augmentation("band", 3400, 6000, draw=3), Augmentation("pink", 15, 40, draw=3)),
)
_MORE_HARDSHIPS: Copies = (
    *_HARDSHIPS,
    (Augmentation("chatter", 3, 20, draw=4),),
    (Augmentation("call", 200, 500, draw=5),),
    (Augmentation("room", 0.2, 0.7, draw=6), Augmentation("chatter", 8, 20, draw=6)),
)

# Feature vectors, and the SVMs that grew on RAVDESS

SVM = Recipe(
    "svm",
    "a linear SVM on whitened voice features, trained with slower and faster copies",
    "voice",
    PipelineLearner(classical.svm_whitened),
    _SLOWER_AND_FASTER,
)
_LOGISTIC = Recipe(
    "logistic",
    "a logistic regression on voice features",
    "voice",
    PipelineLearner(classical.logistic),
    normalized=False,
)
VOICES = replace(
    _LOGISTIC,
    name="logistic-robust",
    title="a logistic regression on voice features, trained with copies in noise, in rooms and "
    "through narrow microphones too",
    augmentations=_HARDSHIPS,
)
"""What tells female from male voices in a bundle. Copies at other speeds would be other voices."""

_VECTORS = (
    Recipe(
        "svm-classic",
        "the ancestor's SVM: 200 statistics, F-test, 140 principal components",
        "statistics",
        PipelineLearner(classical.svm_classic),
    ),
    SVM,
    replace(
        SVM,
        name="svm-robust",
        title="the svm, trained with copies in noise, in rooms and through narrow microphones too",
        augmentations=(*_SLOWER_AND_FASTER, *_HARDSHIPS),
    ),
    _LOGISTIC,
    Recipe(
        "voice-mlp",
        "wide dense layers on voice features, regularised; three averaged",
        "voice",
        NetworkLearner(
            networks.wide_mlp,
            networks.REGULARIZED_TRAINING,
            augment=networks.blend,
            members=3,
            standardized=True,
        ),
        _SLOWER_AND_FASTER,
        seeds=3,
    ),
    *(
        Recipe(
            f"means-{name}",
            f"{title} on 162 means over time",
            "means-162",
            NetworkLearner(build, networks.VECTOR_TRAINING, standardized=True),
            **_NETWORK,
        )
        for name, title, build in (
            ("mlp", "the ancestor's dense layers of 128, 64, 32 and 16", networks.mlp),
            ("cnn", "the ancestor's convolutions", networks.vector_cnn),
            ("lstm", "the ancestor's LSTM", networks.vector_lstm),
        )
    ),
)

# Spectrograms

_PLAIN = NetworkLearner(networks.cnn_lstm, networks.CNN_LSTM_TRAINING)
_AUGMENTED = replace(_PLAIN, augment=networks.augment_spectrograms)
CNN_LSTM = Recipe(
    "cnn-lstm",
    "convolutions over a mel spectrogram, an LSTM and attentive pooling",
    "log-mel",
    replace(_AUGMENTED, members=2),
    _FOUR_SPEEDS,
    **_NETWORK,
)
_WITHOUT_LSTM = replace(_PLAIN, options={"units": 0, "attention": False})
_SPECTROGRAMS = (
    Recipe(
        "cnn-lstm-classic",
        "the ancestor's time-distributed CNN and LSTM on five windows of a mel spectrogram",
        "time-windows",
        NetworkLearner(
            networks.cnn_lstm_classic,
            networks.Training(
                epochs=60, batch_size=16, optimizer="sgd", learning_rate=0.01, patience=10
            ),
        ),
        tuple((Augmentation("gaussian", 15, 30, draw=draw),) for draw in (1, 2)),
        seeds=3,
    ),
    CNN_LSTM,
    *(
        replace(
            CNN_LSTM,
            name=f"cnn-lstm-step-{number}",
            title=f"a step to cnn-lstm: {title}",
            learner=learner,
            augmentations=copies,
        )
        for number, title, learner, copies in (
            (1, "convolutions over the mel spectrogram, averaged over time", _WITHOUT_LSTM, ()),
            (2, "the LSTM and attentive pooling", _PLAIN, ()),
            (3, "slower and faster copies", _PLAIN, _FOUR_SPEEDS),
            (4, "pictures that are augmented in every batch", _AUGMENTED, _FOUR_SPEEDS),
        )
    ),
)

# Segments of 3 s, which grew on AESDD. Each has two copies, so that all variants but the masks show
# the network three versions of a clip.

_PITCH: Copies = tuple((Augmentation("pitch", n, n),) for n in (-4, 4))  # a third of an octave
_NOISE: Copies = tuple((Augmentation("noise", 15, 30, draw=draw),) for draw in (1, 2))
_STRETCH: Copies = ((Augmentation("stretch", 0.8, 0.95),), (Augmentation("stretch", 1.05, 1.25),))
_SHIFT: Copies = ((Augmentation("shift", -0.5, 0.0),), (Augmentation("shift", 0.0, 0.5),))
_ALL: Copies = (*_PITCH, *_NOISE, *_STRETCH, *_SHIFT)
_MASKED = networks.spec_augment


def _aesdd_cnn(
    name: str,
    what: str,
    *,
    number: int = 3,
    copies: Copies = (),
    feature_set: str = "mel-segments",
    **settings: Any,
) -> Recipe:
    """Return a network of the ancestor's on AESDD, or what it tried or wished to try."""
    build = getattr(networks, f"aesdd_cnn_{number}")
    learner = NetworkLearner(build, networks.AESDD_TRAINING, **settings)
    return Recipe(
        f"aesdd-cnn-{name}",
        f"the ancestor's network on AESDD with {what}, on segments of 3 s",
        feature_set,
        networks.SegmentLearner(learner, spectrogram.MEL_SEGMENTS_FLOOR_DB),
        copies,
        **_NETWORK,
    )


# Narrower than on RAVDESS, for the time that it takes: validation speakers (two, one training
# each) lost nothing by it. In the recording folds it gave 75 %, the wider one 79 %.
_NARROW = replace(
    _AUGMENTED,
    training=replace(networks.CNN_LSTM_TRAINING, epochs=25),
    members=2,
    options={"filters": [16, 32, 64, 96]},
)
_AESDD_CNN = Recipe(
    "aesdd-cnn",
    "the CNN-LSTM on mel segments of 3 s, a clip judged by all of its segments",
    "log-mel-segments",
    networks.SegmentLearner(_NARROW, spectrogram.LOG_MEL_FLOOR_DB),
    _FOUR_SPEEDS,
    **_NETWORK,
)
_SEGMENTS = (
    _aesdd_cnn("1", "two convolutions", number=1),
    _aesdd_cnn("2", "three convolutions", number=2),
    _aesdd_cnn("3", "four convolutions"),
    _aesdd_cnn("3+pitch", "copies a third of an octave lower and higher", copies=_PITCH),
    _aesdd_cnn("3+noise", "copies with white noise at 15 to 30 dB", copies=_NOISE),
    _aesdd_cnn("3+stretch", "slower and faster copies at the same pitch", copies=_STRETCH),
    _aesdd_cnn("3+shift", "copies up to half a second earlier and later", copies=_SHIFT),
    _aesdd_cnn("3+specaugment", "runs of bands and frames hidden", augment=_MASKED),
    _aesdd_cnn("3+all", "all of these copies and hidden runs", copies=_ALL, augment=_MASKED),
    _AESDD_CNN,
    _aesdd_cnn("3-dropout-0.3", "less dropout", options={"dropout": 0.3}),
    _aesdd_cnn("3-dropout-0.7", "more dropout", options={"dropout": 0.7}),
    _aesdd_cnn("3-kernel-5", "larger kernels", options={"kernel": 5}),
    _aesdd_cnn("4", "six convolutions", number=4),
    _aesdd_cnn("3-mfcc", "cepstra in place of mel bands", feature_set="mfcc-segments"),
    _aesdd_cnn(
        "3-chroma",
        "chroma in place of mel bands",
        feature_set="chroma-segments",
        options={"band_poolings": 2},  # 12 classes: 6, then 3
    ),
)

# Pictures of cepstra

_CATEGORICAL = NetworkLearner(
    networks.mfcc_conv2d, networks.MFCC_CONV2D_TRAINING, standardized=True
)
_CONV2D = Recipe(
    "mfcc-conv2d-categorical",
    "the ancestor's network on 39 x 216 cepstra, trained with categorical cross-entropy",
    "mfcc-image",
    _CATEGORICAL,
    **_NETWORK,
)
_MFCC_SVM = replace(
    SVM,
    name="mfcc-svm",
    title="a linear SVM on the cloud that the frames of the same cepstra make",
    feature_set="mfcc-cloud",
    augmentations=_FOUR_SPEEDS,
    **_NETWORK,
)
_MFCC_NET = Recipe(
    "mfcc-net",
    "the CNN-LSTM on the same cepstra, turned back into mel bands",
    "mfcc-image",
    NetworkLearner(networks.mfcc_net, networks.MFCC_NET_TRAINING, augment=networks.augment_mfcc),
    _FOUR_SPEEDS,
    **_NETWORK,
)
_PICTURES = (
    with_settings(
        replace(
            _CONV2D,
            name="mfcc-conv2d",
            title="the same network, trained with binary cross-entropy",
        ),
        loss="binary",
    ),
    _CONV2D,
    Recipe(
        "mfcc-forest",
        "a random forest on 39 x 216 cepstra, laid in one row",
        "mfcc-image",
        PipelineLearner(classical.CLASSIFIERS["random-forest"].make),
        **_NETWORK,
    ),
    Recipe(
        "mfcc-9nn",
        "the nine nearest neighbours by 39 x 216 cepstra, laid in one row",
        "mfcc-image",
        PipelineLearner(classical.CLASSIFIERS["knn"].make, {"model__n_neighbors": 9}),
        **_NETWORK,
    ),
    _MFCC_NET,
    _MFCC_SVM,
)

# The frozen speech encoder

WHISPER = Recipe(
    "whisper",
    "linear discriminants on the layers of a frozen speech encoder, also heard in noise and rooms",
    "whisper",
    PipelineLearner(classical.layer_lda, {"lda__shrinkage": 0.1}),
    (*_SLOWER_AND_FASTER, *_MORE_HARDSHIPS),
    seeds=3,
)
_ENCODER = (
    WHISPER,
    replace(
        WHISPER,
        name="any-voice",
        title="linear discriminants on a frozen speech encoder, shrunk more, for corpora not heard",
        learner=PipelineLearner(classical.layer_lda, {"lda__shrinkage": 0.7}),
        augmentations=(*_speeds(0.82, 0.9, 1.1, 1.2), *_MORE_HARDSHIPS),
    ),
)
WHISPER_VOICES = Recipe(
    "whisper-voices",
    "linear discriminants on the first layer of a speech encoder, also heard in noise and rooms",
    "whisper",
    PipelineLearner(classical.layer_lda, {"lda__shrinkage": 0.1, "lda__layers": (1,)}),
    _HARDSHIPS,
    normalized=False,
)
"""Tells female from male voices in bundles that use the encoder anyway, as `VOICES` does."""

_ENSEMBLES = tuple(
    Ensemble(name, f"{title}, averaged", members=members, weights=weights)
    for name, title, members, weights in (
        ("svm+cnn-lstm", "the SVM and the CNN-LSTM", (SVM, CNN_LSTM), ()),
        ("svm+aesdd-cnn", "the SVM and `aesdd-cnn`", (SVM, _AESDD_CNN), ()),
        ("mfcc-svm+net", "the SVM and the network on cepstra", (_MFCC_SVM, _MFCC_NET), ()),
        ("whisper+svm", "the encoder's discriminants twice, the SVM", (WHISPER, SVM), (2, 1)),
        (
            "whisper+svm+cnn-lstm",
            "the encoder's discriminants twice, the SVM, the CNN-LSTM",
            (WHISPER, SVM, CNN_LSTM),
            (2, 1, 1),
        ),
    )
)


def from_zoo(
    name: str,
    params: Mapping[str, Any] | None = None,
    *,
    feature_set: str = "librosa",
    weighted: bool = False,
) -> Recipe:
    """Return the recipe of one of the toolkit's classifiers.

    Parameters
    ----------
    name : str
        A name in `classical.CLASSIFIERS`, or ``rnn``.
    params : mapping, optional
        Of the estimator, as a search found them; else inner validation chooses among the grid's.
    feature_set : str
        Vectors, such as ``librosa:mfcc+chroma``.
    weighted : bool
        Whether every emotion counts as much as any other, however few clips it has. To ``rnn`` it
        always does.

    Raises
    ------
    ValueError
        If there is no such estimator, or the features are no vectors.

    Examples
    --------
    >>> from_zoo("knn", {"model__n_neighbors": 7}).learner.pipeline()["model"]
    KNeighborsClassifier(n_neighbors=7)
    """
    known = (*classical.CLASSIFIERS, RNN)
    if name not in known:
        raise ValueError(f"there is no classifier {name!r} in the zoo: use {', '.join(known)}")
    refuse_arrays(feature_set)
    if name == RNN:
        learner: Any = NetworkLearner(
            networks.rnn, networks.RNN_TRAINING, options=params or {}, standardized=True
        )
        title, seeds = "LSTMs and dense layers", 3
    else:
        estimator = classical.CLASSIFIERS[name]
        grid = estimator.grid if params is None else {}
        learner = PipelineLearner(estimator.make, params or {}, grid, weighted)
        title, seeds = estimator.title, 10
    title = f"the toolkit: {title} on {feature_set} features"
    return Recipe(f"toolkit-{name}", title, feature_set, learner, normalized=False, seeds=seeds)


_ZOO = tuple(from_zoo(name) for name in (*classical.CLASSIFIERS, RNN))

_GROUPS = (_VECTORS, _SPECTROGRAMS, _SEGMENTS, _PICTURES, _ENCODER, _ENSEMBLES, _ZOO)
RECIPES: Mapping[str, Recipe | Ensemble] = MappingProxyType(
    {each.name: each for group in _GROUPS for each in group}
)
"""The recipes by name."""


def recipe(name: str) -> Recipe | Ensemble:
    """Return the recipe of that name.

    Raises
    ------
    ValueError
        If there is none; the sentence names those that there are.

    Examples
    --------
    >>> recipe("svm-classic").feature_set
    'statistics'
    """
    if name not in RECIPES:
        raise ValueError(f"unknown recipe {name!r}: use one of {', '.join(RECIPES)}")
    return RECIPES[name]
