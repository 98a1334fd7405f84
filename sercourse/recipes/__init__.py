"""Named recipes: features, augmentation, model, and how to fit."""

from __future__ import annotations

from sercourse.recipes.recipe import (
    Ensemble,
    Learner,
    Model,
    Recipe,
    Report,
    SegmentModel,
    has_setting,
    refuse_arrays,
    with_encoder,
    with_settings,
)
from sercourse.recipes.registry import RECIPES, RNN, VOICES, WHISPER_VOICES, from_zoo, recipe

__all__ = [
    "RECIPES",
    "RNN",
    "VOICES",
    "WHISPER_VOICES",
    "Ensemble",
    "Learner",
    "Model",
    "Recipe",
    "Report",
    "SegmentModel",
    "from_zoo",
    "has_setting",
    "recipe",
    "refuse_arrays",
    "with_encoder",
    "with_settings",
]
