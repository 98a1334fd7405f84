"""Recipes on one row of numbers: the ancestor's three networks on means, ours, and voices."""

from __future__ import annotations

from collections.abc import Callable

from sercourse import networks
from sercourse.networks.training import Build
from sercourse.recipes.ravdess import HARDSHIPS
from sercourse.recipes.recipe import Learner, Recipe


def _plain(build: Build) -> Callable[[], Learner]:
    """Return what makes the learner of one of the ancestor's networks."""
    return lambda: networks.NetworkLearner(build, networks.VECTOR_TRAINING, standardized=True)


def _voice_mlp() -> Learner:
    return networks.NetworkLearner(
        networks.wide_mlp,
        networks.REGULARIZED_TRAINING,
        augment=networks.blend,
        members=3,
        standardized=True,
    )


def _logistic() -> Learner:
    from sercourse import classical  # loads scikit-learn, which inference does without

    return classical.PipelineLearner(classical.logistic)


VOICES = Recipe(
    "logistic-robust",
    "a logistic regression on voice features, trained with copies in noise, in rooms and through "
    "narrow microphones too",
    feature_set="voice",
    make_learner=_logistic,
    changes=HARDSHIPS,
    normalized=False,
)
"""What tells female from male voices in a bundle. Copies at other speeds would be other voices."""

RECIPES: tuple[Recipe, ...] = (
    *(
        Recipe(
            f"means-{name}",
            f"{title} on 162 means over time",
            feature_set="means-162",
            make_learner=_plain(build),
            normalized=False,
            seeds=3,
        )
        for name, title, build in (
            ("mlp", "the ancestor's dense layers of 128, 64, 32 and 16", networks.mlp),
            ("cnn", "the ancestor's convolutions", networks.vector_cnn),
            ("lstm", "the ancestor's LSTM", networks.vector_lstm),
        )
    ),
    Recipe(
        "voice-mlp",
        "wide dense layers on voice features, kept from learning by rote; three averaged",
        feature_set="voice",
        make_learner=_voice_mlp,
        speeds=(0.9, 1.1),
        seeds=3,
    ),
    Recipe(
        "logistic",
        "a logistic regression on voice features",
        feature_set="voice",
        make_learner=_logistic,
        normalized=False,
    ),
)
