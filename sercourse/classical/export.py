"""A calibrated pipeline as ONNX, which is what inference runs."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from typing import Any

from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import AdaBoostClassifier
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC, LinearSVC

from sercourse.classical.models import CappedPCA, LayerLDA, WithinClassWhitening

MESSAGE_LENGTH = 100  # of what the converter says, which may print whole trees
SMALLEST_PROBABILITY = 1e-12  # what scikit-learn adds before it takes a logarithm


def to_onnx(model: CalibratedClassifierCV, *, shape: Sequence[int]) -> bytes:
    """Return the model as ONNX: input `X` (n, ...) float32, output `probabilities` (n, k).

    Parameters
    ----------
    model : CalibratedClassifierCV
        Of one pipeline and one temperature, as a `PipelineLearner` fits it.
    shape : sequence of int
        Of one input; each number of an array is a feature of its own.

    Raises
    ------
    ValueError
        If the converter does not know the model, or one of its steps.
    """
    from onnx import TensorProto, helper
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType

    (fitted,) = model.calibrated_classifiers_
    pipeline = _plain(fitted.estimator)
    classifier = pipeline[-1]
    scores_only = isinstance(classifier, SVC) or not hasattr(classifier, "predict_proba")
    options: dict[str, bool] = {"raw_scores": True} if scores_only else {"zipmap": False}
    if isinstance(classifier, SVC):
        options["zipmap"] = False
    n_features = fitted.estimator.n_features_in_
    with warnings.catch_warnings():
        # The converter still reads attributes of SVC that scikit-learn 1.9 deprecates.
        warnings.simplefilter("ignore", FutureWarning)
        try:
            converted = convert_sklearn(
                pipeline,
                initial_types=[("X", FloatTensorType([None, n_features]))],
                options={id(classifier): options},
            )
        except (RuntimeError, NotImplementedError, ValueError) as error:
            steps = " -> ".join(type(step).__name__ for _, step in pipeline.steps)
            said = str(error).splitlines()[0][:MESSAGE_LENGTH]
            raise ValueError(
                f"skl2onnx cannot export the model {steps} ({said}): choose another one to save it"
            ) from error
    graph = converted.graph
    inverse_temperature = float(fitted.calibrators[0].beta_)
    scores = graph.output[-1].name  # the converter calls scores probabilities too
    for node in graph.node:
        node.output[:] = ["scores" if name == scores else name for name in node.output]
    numbers, logits = {}, "scores"
    if not scores_only:
        inverse_temperature *= _logit_factor(classifier)
        numbers["smallest"], logits = SMALLEST_PROBABILITY, "logarithms"
        graph.node.append(helper.make_node("Add", ["scores", "smallest"], ["positive"]))
        graph.node.append(helper.make_node("Log", ["positive"], ["logarithms"]))
    numbers["inverse_temperature"] = inverse_temperature
    graph.initializer.extend(
        helper.make_tensor(name, TensorProto.FLOAT, [], [value]) for name, value in numbers.items()
    )
    graph.node.append(helper.make_node("Mul", [logits, "inverse_temperature"], ["logits"]))
    graph.node.append(helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1))
    del graph.output[:]
    graph.output.append(
        helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, None])
    )
    if len(shape) > 1:
        for node in graph.node:
            node.input[:] = ["rows" if name == "X" else name for name in node.input]
        graph.node.insert(0, helper.make_node("Flatten", ["X"], ["rows"], axis=1))
        del graph.input[:]
        graph.input.append(helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, *shape]))
    return bytes(converted.SerializeToString())


def _plain(pipeline: Pipeline) -> Pipeline:
    """Return a fitted pipeline in steps that the converter knows.

    Whitening is folded into the weights of the linear SVM behind it: a matrix of all features by
    all features vanishes.
    """
    *steps, (name, classifier) = pipeline.steps
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


def _logit_factor(classifier: Any) -> float:
    """Return by what the logarithms of exported probabilities are multiplied to give the scores.

    Temperatures are found on the scores of `decision_function` where there is one; the converter
    gives probabilities, whose logarithms differ from these by a factor, and by a constant that no
    softmax sees.
    """
    if not hasattr(classifier, "decision_function"):
        return 1.0
    n_classes = len(classifier.classes_)
    if n_classes == 2:  # the scores are minus and plus the whole difference of the logarithms
        return 2.0
    return n_classes - 1.0 if isinstance(classifier, AdaBoostClassifier) else 1.0
