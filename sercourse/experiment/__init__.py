"""Run a recipe under a protocol, fold by fold, resumable; train the final model of a bundle."""

from __future__ import annotations

from sercourse.experiment.conditions import (
    add_conditions,
    condition_figures,
    evaluate_conditions,
    known_conditions,
)
from sercourse.experiment.cost import Cost, cost, milliseconds
from sercourse.experiment.dataset import (
    Dataset,
    EnsembleDataset,
    by_member,
    choose,
    dataset_without_features,
    prepare,
)
from sercourse.experiment.evaluation import (
    FROM_TRAINING,
    Evaluation,
    average,
    calibrated,
    evaluate_recipe,
    stored,
)
from sercourse.experiment.final import save_fitted, temperatures, train
from sercourse.experiment.folds import fit_fold, inner_groups, make_folds
from sercourse.experiment.gender import gender_figures, train_gender
from sercourse.experiment.reading import StoredResults, from_bundle, load_results
from sercourse.experiment.search import Search, SearchConfig, against_size, read_search, run_search
from sercourse.experiment.target import TARGETS, marginal

__all__ = [
    "FROM_TRAINING",
    "TARGETS",
    "Cost",
    "Dataset",
    "EnsembleDataset",
    "Evaluation",
    "Search",
    "SearchConfig",
    "StoredResults",
    "add_conditions",
    "against_size",
    "average",
    "by_member",
    "calibrated",
    "choose",
    "condition_figures",
    "cost",
    "dataset_without_features",
    "evaluate_conditions",
    "evaluate_recipe",
    "fit_fold",
    "from_bundle",
    "gender_figures",
    "inner_groups",
    "known_conditions",
    "load_results",
    "make_folds",
    "marginal",
    "milliseconds",
    "prepare",
    "read_search",
    "run_search",
    "save_fitted",
    "stored",
    "temperatures",
    "train",
    "train_gender",
]
