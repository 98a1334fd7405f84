"""Classical models: scikit-learn pipelines, how they are chosen, calibrated and exported."""

from __future__ import annotations

from sercourse.classical.export import exportable, to_onnx
from sercourse.classical.fitting import (
    INNER_FOLDS,
    FittedPipeline,
    PipelineLearner,
    Split,
    fewest_groups,
    fit,
    inner_splits,
)
from sercourse.classical.flat import FittedFlat, FlatLearner
from sercourse.classical.pipelines import (
    CappedPCA,
    LayerLDA,
    WithinClassWhitening,
    forest,
    lda_of_layers,
    logistic,
    nine_neighbours,
    svm_classic,
    svm_whitened,
)
from sercourse.classical.zoo import CLASSIFIERS, REGRESSORS, Estimator, pipeline, weighted

__all__ = [
    "CLASSIFIERS",
    "INNER_FOLDS",
    "REGRESSORS",
    "CappedPCA",
    "Estimator",
    "FittedFlat",
    "FittedPipeline",
    "FlatLearner",
    "LayerLDA",
    "PipelineLearner",
    "Split",
    "WithinClassWhitening",
    "exportable",
    "fewest_groups",
    "fit",
    "forest",
    "inner_splits",
    "lda_of_layers",
    "logistic",
    "nine_neighbours",
    "pipeline",
    "svm_classic",
    "svm_whitened",
    "to_onnx",
    "weighted",
]
