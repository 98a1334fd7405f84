"""Run a recipe under a protocol, fold by fold, resumable; train the final model of a bundle."""

from __future__ import annotations

import importlib
from typing import Any

_NAMES = {
    "dataset": ("Dataset", "by_member", "choose", "dataset_without_features", "prepare"),
    "evaluation": ("Evaluation", "evaluate_recipe", "fit_fold", "make_folds"),
    "conditions": ("add_conditions", "condition_figures", "evaluate_conditions"),
    "search": ("SHARES", "SearchConfig", "grid_search", "run_search"),
    "training": ("gender_figures", "save_fitted", "temperatures", "train", "train_gender"),
}
"""What is offered, by module; each is loaded at the first use of a name (PEP 562)."""


def __getattr__(name: str) -> Any:
    """Import a name at its first use."""
    for module, names in _NAMES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
