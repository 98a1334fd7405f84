"""Run a recipe under a protocol, fold by fold, resumable; train the final model of a bundle."""

from __future__ import annotations

from sercourse.experiment.conditions import add_conditions, condition_figures, evaluate_conditions
from sercourse.experiment.dataset import (
    Dataset,
    by_member,
    choose,
    dataset_without_features,
    marginal,
    prepare,
    with_features,
)
from sercourse.experiment.evaluation import (
    FROM_TRAINING,
    Evaluation,
    average,
    calibrated,
    evaluate_recipe,
    load_results,
)
from sercourse.experiment.folds import fit_fold, inner_groups, make_folds
from sercourse.experiment.search import (
    Search,
    SearchConfig,
    against_size,
    grid_search,
    milliseconds,
    run_search,
)
from sercourse.experiment.train import (
    gender_figures,
    save_fitted,
    temperatures,
    train,
    train_gender,
)
