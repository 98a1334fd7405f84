"""Run a recipe under a protocol, fold by fold, resumable; train the final model of a bundle."""

from __future__ import annotations

from sercourse.experiment.dataset import Dataset, EnsembleDataset, choose, prepare
from sercourse.experiment.evaluation import FROM_TRAINING, Evaluation, average, evaluate_recipe
from sercourse.experiment.final import train
from sercourse.experiment.folds import fit_fold, make_folds

__all__ = [
    "FROM_TRAINING",
    "Dataset",
    "EnsembleDataset",
    "Evaluation",
    "average",
    "choose",
    "evaluate_recipe",
    "fit_fold",
    "make_folds",
    "prepare",
    "train",
]
