"""Classical models: scikit-learn pipelines, how they are chosen, calibrated and exported."""

from __future__ import annotations

from sercourse.classical.export import to_onnx
from sercourse.classical.fit import FittedPipeline, PipelineLearner
from sercourse.classical.models import (
    CLASSIFIERS,
    REGRESSORS,
    CappedPCA,
    Estimator,
    LayerLDA,
    WithinClassWhitening,
    layer_lda,
    logistic,
    pipeline,
    svm_classic,
    svm_whitened,
    weighted,
)

__all__ = [
    "CLASSIFIERS",
    "REGRESSORS",
    "CappedPCA",
    "Estimator",
    "FittedPipeline",
    "LayerLDA",
    "PipelineLearner",
    "WithinClassWhitening",
    "layer_lda",
    "logistic",
    "pipeline",
    "svm_classic",
    "svm_whitened",
    "to_onnx",
    "weighted",
]
