"""A calibrated pipeline as ONNX, which is what inference runs."""

from __future__ import annotations

import copy
import warnings
from typing import Any

from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import AdaBoostClassifier
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC, LinearSVC

from sercourse.classical.pipelines import CappedPCA, LayerLDA, WithinClassWhitening

MESSAGE_LENGTH = 100  # of what the converter says, which may print whole trees
SMALLEST_PROBABILITY = 1e-12  # what scikit-learn adds before it takes a logarithm


def exportable(model: CalibratedClassifierCV) -> Pipeline:
    """Return the scoring part of a model in steps that ONNX converters know.

    Whitening is folded into the weights of the linear SVM behind it: a matrix of all features by
    all features vanishes.
    """
    *steps, (name, classifier) = _calibrated(model).estimator.steps
    classifier = copy.deepcopy(classifier)
    if isinstance(classifier, LayerLDA):  # as linear as this, which converters know
        linear = LinearSVC()
        linear.coef_, linear.intercept_ = classifier.coef_, classifier.intercept_
        linear.classes_, classifier = classifier.classes_, linear
    plain: list[tuple[str, Any]] = []
    for step_name, step in steps:
        if isinstance(step, WithinClassWhitening):
            classifier.coef_ = classifier.coef_ @ step.projection_.T
        else:
            plain.append((step_name, step.pca_ if isinstance(step, CappedPCA) else step))
    return Pipeline([*plain, (name, classifier)])


def to_onnx(model: CalibratedClassifierCV, *, n_features: int) -> bytes:
    """Return the model as ONNX: input `X` (n, n_features) float32, output `probabilities` (n, k).

    Parameters
    ----------
    model : CalibratedClassifierCV
        As `fit` returns it.
    n_features : int

    Raises
    ------
    ValueError
        If the converter does not know the model, or one of its steps.
    """
    from skl2onnx.common.data_types import FloatTensorType

    pipeline = exportable(model)
    onnx_model = _converted(
        pipeline,
        initial_types=[("X", FloatTensorType([None, n_features]))],
        options={id(pipeline[-1]): _options(pipeline[-1])},
    )
    factor = _logit_factor(pipeline[-1])
    inverse_temperature = float(_calibrated(model).calibrators[0].beta_) * (factor or 1.0)
    _append_softmax(
        onnx_model.graph,
        inverse_temperature=inverse_temperature,
        scores_are_probabilities=factor is not None,
    )
    return onnx_model.SerializeToString()


def _converted(pipeline: Pipeline, **settings: Any) -> Any:
    from skl2onnx import convert_sklearn
    from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator

    with warnings.catch_warnings():
        # The converter still reads attributes of SVC that scikit-learn 1.9 deprecates.
        warnings.simplefilter("ignore", FutureWarning)
        try:
            return convert_sklearn(pipeline, **settings)
        except (MissingConverter, MissingShapeCalculator, NotImplementedError, ValueError) as error:
            steps = " -> ".join(type(step).__name__ for _, step in pipeline.steps)
            said = str(error).splitlines()[0][:MESSAGE_LENGTH]
            raise ValueError(
                f"skl2onnx cannot export the model {steps} ({said}): choose another one to save it"
            ) from error


def _options(classifier: Any) -> dict[str, bool]:
    """Return what the converter is asked for: scores where there are no probabilities."""
    if isinstance(classifier, SVC):
        return {"raw_scores": True, "zipmap": False}
    return {"zipmap": False} if hasattr(classifier, "predict_proba") else {"raw_scores": True}


def _logit_factor(classifier: Any) -> float | None:
    """Return by what the logarithms of exported probabilities are multiplied to give the scores.

    Temperatures are found on the scores of `decision_function` where there is one; the converter
    gives probabilities, whose logarithms differ from these by a factor, and by a constant that no
    softmax sees. None where the scores themselves are exported.
    """
    if isinstance(classifier, SVC) or not hasattr(classifier, "predict_proba"):
        return None
    if not hasattr(classifier, "decision_function"):
        return 1.0
    n_classes = len(classifier.classes_)
    if n_classes == 2:  # the scores are minus and plus the whole difference of the logarithms
        return 2.0
    return n_classes - 1.0 if isinstance(classifier, AdaBoostClassifier) else 1.0


def _calibrated(model: CalibratedClassifierCV) -> Any:
    """Return the one fitted pipeline of a model and its calibration."""
    (calibrated,) = model.calibrated_classifiers_
    return calibrated


def _append_softmax(
    graph: Any, *, inverse_temperature: float, scores_are_probabilities: bool
) -> None:
    """Turn the last output of an ONNX graph, scores or `probabilities`, into calibrated ones."""
    from onnx import TensorProto, helper

    converted = graph.output[-1].name  # the converter calls scores probabilities too
    for node in graph.node:
        node.output[:] = ["scores" if name == converted else name for name in node.output]
    numbers = {"inverse_temperature": inverse_temperature}
    if scores_are_probabilities:
        numbers["smallest"] = SMALLEST_PROBABILITY
        graph.node.extend(
            [
                helper.make_node("Add", ["scores", "smallest"], ["positive"]),
                helper.make_node("Log", ["positive"], ["logarithms"]),
            ]
        )
    graph.initializer.extend(
        helper.make_tensor(name, TensorProto.FLOAT, [], [value]) for name, value in numbers.items()
    )
    logits = "logarithms" if scores_are_probabilities else "scores"
    graph.node.extend(
        [
            helper.make_node("Mul", [logits, "inverse_temperature"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        ]
    )
    del graph.output[:]
    shape = [None, None]
    graph.output.append(helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, shape))
