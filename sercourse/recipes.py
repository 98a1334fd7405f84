"""Recipes: features, augmentation, model, and how to fit; and the table of those of the course."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sercourse import classical, features, networks
from sercourse.augment import Augmentation
from sercourse.classical import FittedPipeline, PipelineLearner
from sercourse.features import FeatureSet, spectrogram
from sercourse.networks import FittedNetwork, NetworkLearner

Array = NDArray[np.floating]
Report = Callable[[str], None]
Copies = tuple[tuple[Augmentation, ...], ...]
Learner = PipelineLearner | NetworkLearner
Model = FittedPipeline | FittedNetwork

RNN = "rnn"


def silent(line: str) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class Recipe:
    """How a model is made, from a clip to calibrated probabilities.

    Attributes
    ----------
    name : str
        What commands and bundles call it.
    title : str
        One line for people.
    feature_set : str
        Name in `features.SETS`.
    learner : Learner
        What learns from the features.
    augmentations : tuple of tuple of Augmentation
        Further copies of each training clip: what is done to the clip, one after the other.
    normalized : bool
        Whether the features of a known voice are normalised where the protocol allows it. On
        validation speakers of RAVDESS, `cnn-lstm` gained less by it than two trainings differ.
    seeds : int
        Repeats of the protocol ``random``.
    version : int
        Raised whenever the recipe gives other models, so that no stored result outlives it.
    members : tuple of Recipe
        Of an ensemble: recipes whose probabilities are averaged. It has no features and no learner
        of its own.
    weights : tuple of float
        How much each member counts; alike unless given.
    """

    name: str
    title: str
    feature_set: str = ""
    learner: Learner = None  # type: ignore[assignment]  # only ensembles go without one
    augmentations: Copies = ()
    normalized: bool = True
    seeds: int = 10
    version: int = 1
    members: tuple[Recipe, ...] = ()
    weights: tuple[float, ...] = ()

    @property
    def parts(self) -> tuple[Recipe, ...]:
        """The members of an ensemble; of any other recipe, itself."""
        return self.members or (self,)

    @property
    def features(self) -> FeatureSet:
        """The feature set itself."""
        return features.named(self.feature_set)

    @property
    def copies(self) -> tuple[FeatureSet, ...]:
        """The same features of the copies that only training sees."""
        return tuple(features.augmented(self.features, *each) for each in self.augmentations)

    @property
    def settings(self) -> dict[str, Any]:
        """What a bundle tells of it, as JSON can hold it."""
        if self.members:
            weights = {"weights": list(self.weights)} if self.weights else {}
            members = [each.settings for each in self.members]
            return {"name": self.name, "members": members, **weights}
        # As bundles tell it since before there were `augmentations`: speeds come first, and apart.
        speeds = [each[0].low for each in self.augmentations if each[0].kind == "speed"]
        rest = [[step.settings for step in each] for each in self.augmentations[len(speeds) :]]
        return {
            "name": self.name,
            "version": self.version,
            "features": self.features.settings,
            "speeds": speeds,
            **({"changes": rest} if rest else {}),
            **self.learner.settings,
        }

    @property
    def key(self) -> list[Any]:
        """All that results depend on, for the keys of what is stored, see `files.digest`.

        That is more than `settings`, by which shipped bundles are known: every parameter of the
        model and the versions of the libraries that compute. So what was stored under another
        version of a library is computed anew, and never mixed with folds of this one.
        """
        return [self.settings, self.features.key, self.learner.key]


def has_setting(chosen: Recipe, name: str) -> bool:
    """Return whether the learner of a recipe, or a part of it, has a setting of that name."""
    return _with_setting(chosen.learner, name, None) is not None


def with_settings(chosen: Recipe, **settings: Any) -> Recipe:
    """Return the same recipe with other settings of its learner, or of a part of it.

    Networks have, among others, `seed`, `precision` and `heads`: the numbers of labels of two kinds
    whose pairs are the labels, for a head each. Pipelines have `weighted`. With seed 0 results are
    stored where those of the recipe itself are, as they are the same.

    Raises
    ------
    ValueError
        If there is no such setting, or the recipe is an ensemble.

    Examples
    --------
    >>> with_settings(recipe("cnn-lstm"), heads=(8, 2)).settings["heads"]
    [8, 2]
    """
    if chosen.members:
        raise ValueError(f"{chosen.name!r} is an ensemble: change the settings of its members")
    learner: Any = chosen.learner
    for name, value in settings.items():
        learner = _with_setting(learner, name, value)
        if learner is None:
            raise ValueError(
                f"recipe {chosen.name!r} has no setting {name!r}: it trains no network, choose one "
                "that does"
            )
    return replace(chosen, learner=learner)


def _with_setting(part: Any, name: str, value: Any) -> Any:
    """Return the dataclass with another value of a field, its own or a part's; None without one."""
    for each in fields(part) if is_dataclass(part) else ():
        other = value if each.name == name else _with_setting(getattr(part, each.name), name, value)
        if each.name == name or other is not None:
            return replace(part, **{each.name: other})
    return None


def with_encoder(chosen: Recipe, encoder: Path) -> Recipe:
    """Return the same recipe with another speech encoder.

    Parameters
    ----------
    chosen : Recipe
        One with the features ``whisper``.
    encoder : Path
        ONNX file that ``tools/make_speech_encoder.py`` made.

    Raises
    ------
    ValueError
        If the recipe uses no speech encoder.
    """
    uses = [each.feature_set == "whisper" for each in chosen.parts]
    if not any(uses):
        raise ValueError(f"recipe {chosen.name!r} uses no speech encoder: choose another recipe")
    if chosen.members:
        pairs = zip(chosen.members, uses, strict=True)
        members = (with_encoder(each, encoder) if used else each for each, used in pairs)
        return replace(chosen, members=tuple(members))
    other, learner = replace(chosen, feature_set=f"whisper:{encoder}"), chosen.learner
    assert isinstance(learner, PipelineLearner)
    n_layers = features.whisper.count_layers(other.features.names)
    return with_settings(other, params={**learner.params, "lda__n_layers": n_layers})


def refuse_arrays(feature_set: str) -> None:
    """Refuse features that are no vectors, which is what scikit-learn learns from.

    Raises
    ------
    ValueError
        If a clip is an array of several dimensions, or there is no such set.
    """
    if shape := features.named(feature_set).shape:
        raise ValueError(
            f"{feature_set!r} describes a clip by an array of shape {shape}, and scikit-learn "
            "wants one row of numbers: use a set such as librosa, statistics or voice"
        )


def _network(
    name: str,
    title: str,
    feature_set: str,
    learner: NetworkLearner,
    copies: Copies = (),
    **settings: Any,
) -> Recipe:
    """Return a recipe of a network: three repeats, and voices as they are."""
    settings = {"normalized": False, "seeds": 3, **settings}
    return Recipe(name, title, feature_set, learner, copies, **settings)


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

# Feature vectors

SVM = Recipe(
    "svm",
    "a linear SVM on whitened voice features, trained with slower and faster copies",
    "voice",
    PipelineLearner(classical.svm_whitened),
    _SLOWER_AND_FASTER,
)
_ROBUST_SVM = replace(
    SVM,
    name="svm-robust",
    title="the svm, trained with copies in noise, in rooms and through narrow microphones too",
    augmentations=(*_SLOWER_AND_FASTER, *_HARDSHIPS),
)
_CLASSIC_SVM = Recipe(
    "svm-classic",
    "Fabien's SVM: 200 statistics, F-test, 140 principal components",
    "statistics",
    PipelineLearner(classical.svm_classic),
)
_LINEAR = PipelineLearner(classical.logistic)
_LOGISTIC = Recipe(
    "logistic", "a logistic regression on voice features", "voice", _LINEAR, normalized=False
)
VOICES = replace(
    _LOGISTIC,
    name="logistic-robust",
    title="a logistic regression on voice features, trained with copies in noise, in rooms and "
    "through narrow microphones too",
    augmentations=_HARDSHIPS,
)
"""What tells female from male voices in a bundle. Copies at other speeds would be other voices."""

_MLP = NetworkLearner(
    networks.wide_mlp,
    networks.REGULARIZED_TRAINING,
    augment=networks.blend,
    members=3,
    standardized=True,
)
_MLP_TITLE = "wide dense layers on voice features, regularised; three averaged"
_MEANS = tuple(
    _network(
        f"means-{name}",
        f"Aaka3021's {title} on 162 means over time",
        "means-162",
        NetworkLearner(build, networks.VECTOR_TRAINING, standardized=True),
    )
    for name, title, build in (
        ("mlp", "dense layers of 128, 64, 32 and 16", networks.mlp),
        ("cnn", "convolutions", networks.vector_cnn),
        ("lstm", "LSTM", networks.vector_lstm),
    )
)
_VECTORS = (
    _CLASSIC_SVM,
    SVM,
    _ROBUST_SVM,
    _LOGISTIC,
    _network("voice-mlp", _MLP_TITLE, "voice", _MLP, _SLOWER_AND_FASTER, normalized=True),
    *_MEANS,
)

# Spectrograms


def _cnn_lstm(step: str, title: str, copies: Copies = (), **settings: Any) -> Recipe:
    learner = NetworkLearner(networks.cnn_lstm, networks.CNN_LSTM_TRAINING, **settings)
    return _network(f"cnn-lstm{step}", title, "log-mel", learner, copies)


_CLASSIC_TRAINING = networks.Training(
    epochs=60, batch_size=16, optimizer="sgd", learning_rate=0.01, patience=10
)
_WARPED: dict[str, Any] = {"augment": networks.augment_spectrograms}
_TITLE = "convolutions over a mel spectrogram, an LSTM and attentive pooling"
_CONVOLUTIONS: dict[str, Any] = {"units": 0, "attention": False}
CNN_LSTM = _cnn_lstm("", _TITLE, _FOUR_SPEEDS, members=2, **_WARPED)
_SPECTROGRAMS = (
    _network(
        "cnn-lstm-classic",
        "Fabien's time-distributed CNN and LSTM on five windows of a mel spectrogram",
        "time-windows",
        NetworkLearner(networks.cnn_lstm_classic, _CLASSIC_TRAINING),
        tuple((Augmentation("gaussian", 15, 30, draw=draw),) for draw in (1, 2)),
        normalized=True,
    ),
    CNN_LSTM,
    _cnn_lstm(
        "-step-1",
        "a step to cnn-lstm: convolutions over the mel spectrogram, averaged over time",
        options=_CONVOLUTIONS,
    ),
    _cnn_lstm("-step-2", "a step to cnn-lstm: the LSTM and attentive pooling"),
    _cnn_lstm("-step-3", "a step to cnn-lstm: slower and faster copies", _FOUR_SPEEDS),
    _cnn_lstm(
        "-step-4",
        "a step to cnn-lstm: pictures that are augmented in every batch",
        _FOUR_SPEEDS,
        **_WARPED,
    ),
)

# Segments of 3 s, for AESDD. Two copies each, so that all variants but the masks show the network
# three versions of a clip.

_PITCH: Copies = tuple((Augmentation("pitch", n, n),) for n in (-4, 4))  # a third of an octave
_NOISE: Copies = tuple((Augmentation("noise", 15, 30, draw=draw),) for draw in (1, 2))
_STRETCH: Copies = ((Augmentation("stretch", 0.8, 0.95),), (Augmentation("stretch", 1.05, 1.25),))
_SHIFT: Copies = ((Augmentation("shift", -0.5, 0.0),), (Augmentation("shift", 0.0, 0.5),))
_ALL: Copies = (*_PITCH, *_NOISE, *_STRETCH, *_SHIFT)
_MASKED: dict[str, Any] = {"augment": networks.spec_augment}


def _aesdd_cnn(
    name: str, what: str, copies: Copies = (), *, features_of: str = "mel", **settings: Any
) -> Recipe:
    """Return a network of Arpaliangeas' on AESDD, or a variant of it; its number leads the name."""
    learner = NetworkLearner(
        getattr(networks, f"aesdd_cnn_{name[0]}"),
        networks.AESDD_TRAINING,
        segment_floor=spectrogram.MEL_SEGMENTS_FLOOR_DB,
        **settings,
    )
    title = f"Arpaliangeas' network on AESDD with {what}, on segments of 3 s"
    return _network(f"aesdd-cnn-{name}", title, f"{features_of}-segments", learner, copies)


# Narrower than on RAVDESS, for the time that it takes: validation speakers (two, one training
# each) lost nothing by it. In the recording folds it gave 75 %, the wider one 79 %.
_NARROW = NetworkLearner(
    networks.cnn_lstm,
    replace(networks.CNN_LSTM_TRAINING, epochs=25),
    members=2,
    options={"filters": [16, 32, 64, 96]},
    segment_floor=spectrogram.LOG_MEL_FLOOR_DB,
    **_WARPED,
)
_AESDD_CNN = _network(
    "aesdd-cnn",
    "the CNN-LSTM on mel segments of 3 s, a clip judged by all of its segments",
    "log-mel-segments",
    _NARROW,
    _FOUR_SPEEDS,
)
_TWO_POOLINGS: dict[str, Any] = {"band_poolings": 2}  # 12 classes: 6, then 3
_SEGMENTS = (
    _aesdd_cnn("1", "two convolutions"),
    _aesdd_cnn("2", "three convolutions"),
    _aesdd_cnn("3", "four convolutions"),
    _aesdd_cnn("3+pitch", "copies a third of an octave lower and higher", _PITCH),
    _aesdd_cnn("3+noise", "copies with white noise at 15 to 30 dB", _NOISE),
    _aesdd_cnn("3+stretch", "slower and faster copies at the same pitch", _STRETCH),
    _aesdd_cnn("3+shift", "copies up to half a second earlier and later", _SHIFT),
    _aesdd_cnn("3+specaugment", "runs of bands and frames hidden", **_MASKED),
    _aesdd_cnn("3+all", "all of these copies and hidden runs", _ALL, **_MASKED),
    _AESDD_CNN,
    _aesdd_cnn("3-dropout-0.3", "less dropout", options={"dropout": 0.3}),
    _aesdd_cnn("3-dropout-0.7", "more dropout", options={"dropout": 0.7}),
    _aesdd_cnn("3-kernel-5", "larger kernels", options={"kernel": 5}),
    _aesdd_cnn("4", "six convolutions"),
    _aesdd_cnn("3-mfcc", "cepstra in place of mel bands", features_of="mfcc"),
    _aesdd_cnn(
        "3-chroma", "chroma in place of mel bands", features_of="chroma", options=_TWO_POOLINGS
    ),
)

# Pictures of cepstra


def _of_cepstra(name: str, title: str, learner: Any, copies: Copies = ()) -> Recipe:
    return _network(name, title, "mfcc-image", learner, copies)


_CONV2D = _of_cepstra(
    "mfcc-conv2d-categorical",
    "Gehlot's network on 39 x 216 cepstra, trained with categorical cross-entropy",
    NetworkLearner(networks.mfcc_conv2d, networks.VECTOR_TRAINING, standardized=True),
)
_MFCC_SVM = replace(
    SVM,
    name="mfcc-svm",
    title="a linear SVM on the cloud that the frames of the same cepstra make",
    feature_set="mfcc-cloud",
    augmentations=_FOUR_SPEEDS,
    normalized=False,
    seeds=3,
)
_MFCC_NET = _of_cepstra(
    "mfcc-net",
    "the CNN-LSTM on the same cepstra, turned back into mel bands",
    NetworkLearner(networks.mfcc_net, networks.MFCC_NET_TRAINING, augment=networks.augment_mfcc),
    _FOUR_SPEEDS,
)
_PICTURES = (
    replace(
        with_settings(_CONV2D, loss="binary"),
        name="mfcc-conv2d",
        title="Gehlot's network on 39 x 216 cepstra, trained with binary cross-entropy",
    ),
    _CONV2D,
    _of_cepstra(
        "mfcc-forest",
        "a random forest on 39 x 216 cepstra, laid in one row",
        PipelineLearner(classical.CLASSIFIERS["random-forest"].make),
    ),
    _of_cepstra(
        "mfcc-9nn",
        "the nine nearest neighbours by 39 x 216 cepstra, laid in one row",
        PipelineLearner(classical.CLASSIFIERS["knn"].make, {"model__n_neighbors": 9}),
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
    Recipe(name, f"{title}, averaged", seeds=3, members=members, weights=weights)
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
        seeds = 3
    else:
        estimator = classical.CLASSIFIERS[name]
        grid = estimator.grid if params is None else {}
        learner = PipelineLearner(estimator.make, params or {}, grid, weighted)
        seeds = 10
    title = f"the toolkit's {name} on {feature_set} features"
    return Recipe(f"toolkit-{name}", title, feature_set, learner, normalized=False, seeds=seeds)


_ZOO = tuple(from_zoo(name) for name in (*classical.CLASSIFIERS, RNN))

_GROUPS = (_VECTORS, _SPECTROGRAMS, _SEGMENTS, _PICTURES, _ENCODER, _ENSEMBLES, _ZOO)
RECIPES: Mapping[str, Recipe] = {each.name: each for group in _GROUPS for each in group}
"""The recipes by name."""


def recipe(name: str) -> Recipe:
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
