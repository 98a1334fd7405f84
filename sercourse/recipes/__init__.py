"""Named recipes, a file for each family of lessons; one registry."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from sercourse.recipes import aesdd, means, mfcc, ravdess, toolkit, whisper
from sercourse.recipes.means import VOICES
from sercourse.recipes.recipe import (
    Ensemble,
    Learner,
    Model,
    Recipe,
    Report,
    in_precision,
    seeded,
    with_heads,
)
from sercourse.recipes.toolkit import from_zoo, refuse_arrays
from sercourse.recipes.whisper import WHISPER_VOICES, with_encoder

__all__ = [
    "RECIPES",
    "VOICES",
    "WHISPER_VOICES",
    "Ensemble",
    "Learner",
    "Model",
    "Recipe",
    "Report",
    "from_zoo",
    "in_precision",
    "recipe",
    "refuse_arrays",
    "seeded",
    "with_encoder",
    "with_heads",
]

RECIPES: Mapping[str, Recipe | Ensemble] = MappingProxyType(
    {
        each.name: each
        for each in (
            *ravdess.RECIPES,
            *aesdd.RECIPES,
            *toolkit.RECIPES,
            *mfcc.RECIPES,
            *means.RECIPES,
            *whisper.RECIPES,
        )
    }
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
