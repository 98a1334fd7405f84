"""Recipes on what a frozen speech encoder hears."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from sercourse import features
from sercourse.features import Change
from sercourse.recipes.ravdess import CNN_LSTM, SVM
from sercourse.recipes.recipe import Learner, Recipe

_CONDITIONS = (
    (Change("pink", 5, 30, draw=1),),
    (Change("room", 0.15, 0.6, draw=1),),
    (Change("room", 0.15, 0.6, draw=2), Change("noise", 10, 35, draw=2)),
    (Change("band", 3400, 6000, draw=3), Change("pink", 15, 40, draw=3)),
    (Change("chatter", 3, 20, draw=4),),
    (Change("call", 200, 500, draw=5),),
    (Change("room", 0.2, 0.7, draw=6), Change("chatter", 8, 20, draw=6)),
)


def _discriminants(**settings: Any) -> Learner:
    from sercourse import classical  # loads scikit-learn, which inference does without

    return classical.PipelineLearner(partial(classical.lda_of_layers, **settings))


WHISPER = Recipe(
    "whisper",
    "linear discriminants on the layers of a frozen speech encoder, also heard in noise and rooms",
    feature_set="whisper",
    make_learner=partial(_discriminants, shrinkage=0.1),
    speeds=(0.9, 1.1),
    changes=_CONDITIONS,
    seeds=3,
)
_ANY_VOICE = Recipe(
    "any-voice",
    "linear discriminants on a frozen speech encoder, shrunk more, for corpora not heard",
    feature_set="whisper",
    make_learner=partial(_discriminants, shrinkage=0.7),
    speeds=(0.82, 0.9, 1.1, 1.2),
    changes=_CONDITIONS,
    seeds=3,
)
WHISPER_VOICES = Recipe(
    "whisper-voices",
    "linear discriminants on the first layer of a speech encoder, also heard in noise and rooms",
    feature_set="whisper",
    make_learner=partial(_discriminants, shrinkage=0.1, layers=(1,)),
    changes=_CONDITIONS[:4],
    normalized=False,
)
"""Tells female from male voices in bundles that hear by the encoder anyway, as `VOICES` does."""
_WITH_SVM = Recipe(
    "whisper+svm",
    "the encoder's discriminants, counted twice, and the SVM, averaged",
    members=(WHISPER, SVM),
    weights=(2, 1),
    seeds=3,
)
_WITH_BOTH = Recipe(
    "whisper+svm+cnn-lstm",
    "the encoder's discriminants, counted twice, the SVM and the CNN-LSTM, averaged",
    members=(WHISPER, SVM, CNN_LSTM),
    weights=(2, 1, 1),
    seeds=3,
)

RECIPES: tuple[Recipe, ...] = (WHISPER, _ANY_VOICE, _WITH_SVM, _WITH_BOTH)


def with_encoder(chosen: Recipe, encoder: Path) -> Recipe:
    """Return the same recipe, which hears by another speech encoder.

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
    other = _heard_by(chosen, encoder)
    if other == chosen:
        raise ValueError(f"recipe {chosen.name!r} uses no speech encoder: choose another recipe")
    return other


def _heard_by(chosen: Recipe, encoder: Path) -> Recipe:
    if chosen.members:
        members = tuple(_heard_by(each, encoder) for each in chosen.members)
        return replace(chosen, members=members)
    if chosen.feature_set != WHISPER.feature_set or not isinstance(chosen.make_learner, partial):
        return chosen
    other = replace(chosen, feature_set=f"{WHISPER.feature_set}:{encoder}")
    n_layers = features.whisper.count_layers(other.features.names)
    return replace(other, make_learner=partial(chosen.make_learner, n_layers=n_layers))
