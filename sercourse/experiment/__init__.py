"""Run a recipe under a protocol, fold by fold, resumable; train the final model of a bundle."""

from __future__ import annotations

import importlib
from typing import Any

from sercourse.experiment.dataset import (
    Dataset,
    by_member,
    choose,
    dataset_without_features,
    marginal,
    prepare,
)
from sercourse.experiment.evaluation import (
    FROM_TRAINING,
    Evaluation,
    average,
    calibrated,
    evaluate_recipe,
    fit_fold,
    inner_groups,
    load_results,
    make_folds,
)

_LATER = {
    "conditions": ("add_conditions", "condition_figures", "evaluate_conditions"),
    "search": ("SHARES", "Search", "SearchConfig", "grid_search", "run_search"),
    "training": ("gender_figures", "save_fitted", "temperatures", "train", "train_gender"),
}


def __getattr__(name: str) -> Any:
    """Import what is not needed to evaluate at its first use (PEP 562)."""
    for module, names in _LATER.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
