"""What a search chooses among: estimators with settings, as classifiers and as regressors."""

from __future__ import annotations

import itertools
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import threadpoolctl
from numpy.typing import NDArray

from sercourse import classical, evaluate, labels, networks, splits
from sercourse.experiment.dataset import Array
from sercourse.recipes import RNN

RNN_LAYERS: tuple[dict[str, Any], ...] = (
    {"lstm_units": [128, 128], "dense_units": [128, 128], "dropout": 0.3},
    {"lstm_units": [64], "dense_units": [64], "dropout": 0.3},
)
"""Layers of the recurrent network that a search tries: the toolkit's, and fewer and smaller."""

TASKS = ("classify", "regress")
PREDICTIONS = 3  # the fastest counts: it takes milliseconds, which other programs disturb


class Fitted(Protocol):
    """What a candidate becomes by training."""

    def predict(self, X: Array) -> NDArray[Any]:
        """Return a number for each clip: the code of an emotion, or a value between codes."""


@dataclass(frozen=True)
class Task:
    """What is estimated: which emotion, or its place in an order.

    Attributes
    ----------
    name : {"classify", "regress"}
    codes : dict of str to int
        The number of each emotion.
    weighted : bool
        Whether every emotion counts as much as any other in training.
    """

    name: str
    codes: dict[str, int]
    weighted: bool = False

    @classmethod
    def of(cls, name: str, emotions: Sequence[str], *, weighted: bool = False) -> Task:
        """Return the task of that name on some emotions.

        Raises
        ------
        ValueError
            If there is none, or no order is agreed for the emotions of a regression.

        Examples
        --------
        >>> Task.of("regress", ["neutral", "happy", "sad"]).codes
        {'sad': 0, 'neutral': 1, 'happy': 2}
        """
        if name not in TASKS:
            raise ValueError(f"unknown task {name!r}: use one of {', '.join(TASKS)}")
        if name == "regress":
            if weighted:
                raise ValueError("regressors take no weights of classes: balance by 'undersample'")
            return cls(name, labels.codes(emotions))
        return cls(name, {emotion: k for k, emotion in enumerate(emotions)}, weighted)

    @property
    def regression(self) -> bool:
        """Whether values between codes are estimated."""
        return self.name == "regress"

    @property
    def score(self) -> str:
        """What candidates are compared by: unweighted average recall, or the mean error."""
        return "error" if self.regression else "uar"

    def targets(self, emotions: Sequence[str]) -> NDArray[np.intp]:
        """Return the code of each clip's emotion."""
        return np.array([self.codes[emotion] for emotion in emotions], dtype=np.intp)

    def named(self, answers: NDArray[Any]) -> NDArray[np.str_]:
        """Return the emotion whose code lies nearest to each answer."""
        codes = np.array(list(self.codes.values()))
        nearest = np.clip(np.rint(answers), codes.min(), codes.max()).astype(int)
        name_of = {code: emotion for emotion, code in self.codes.items()}
        return np.array([name_of[code] for code in nearest.tolist()])

    def scores(self, y: NDArray[Any], answers: NDArray[Any]) -> dict[str, float]:
        """Return how good answers are: `accuracy`, and `uar` or the `error` in units of the code.

        The accuracy of a regression is that of its rounded values.
        """
        counts = evaluate.confusion(self.named(y), self.named(answers), labels=list(self.codes))
        told = {"accuracy": evaluate.accuracy(counts)}
        if self.regression:
            return {"error": float(np.mean(np.abs(answers - y))), **told}
        return {"uar": evaluate.unweighted_average_recall(counts), **told}


@dataclass(frozen=True)
class ParamSetting:
    """An estimator with settings.

    Attributes
    ----------
    estimator : str
    settings : dict
        As JSON can hold them.
    """

    estimator: str
    settings: dict[str, Any] = field(default_factory=dict)

    def fit(self, task: Task, X: Array, y: NDArray[np.intp]) -> Fitted:
        """Train on clips (n_clips, n_features) and their codes."""
        if self.estimator == RNN:
            return _Rnn.fitted(task, X, y, settings=self.settings)
        model = _zoo(task)[self.estimator].make().set_params(**self.settings)
        if task.weighted:
            classical.weighted(model)
        with threadpoolctl.threadpool_limits(1), warnings.catch_warnings():
            # How often a perceptron sees the clips is a setting, and no limit to warn of.
            warnings.filterwarnings("ignore", message="Stochastic Optimizer: Maximum iterations")
            return model.fit(X, y)


@dataclass(frozen=True, eq=False)
class _Rnn:
    """The recurrent network, which knows labels from 0 on."""

    network: networks.FittedNetwork
    first: int
    regression: bool

    @classmethod
    def fitted(cls, task: Task, X: Array, y: NDArray[np.intp], *, settings: dict[str, Any]) -> _Rnn:
        training = networks.RNN_TRAINING
        learner = networks.NetworkLearner(
            networks.rnn,
            replace(training, loss="ordinal") if task.regression else training,
            options=settings,
            standardized=True,
        )
        first = min(task.codes.values())
        network = learner.fit(
            [X],
            y - first,
            groups=np.arange(len(y)),
            n_labels=len(task.codes),
            selected={"epochs": training.epochs, "temperature": 1.0},
        )
        return cls(network, first, task.regression)

    def predict(self, X: Array) -> NDArray[Any]:
        if self.regression:
            return networks.expected_codes(self.network, X) + self.first
        return self.network.predict_proba(X).argmax(axis=1) + self.first


def _zoo(task: Task) -> Any:
    return classical.REGRESSORS if task.regression else classical.CLASSIFIERS


def unfitted(task: Task) -> dict[str, Any]:
    """Return each estimator of a task as it is before settings are tried."""
    return {
        RNN: networks.NetworkLearner(networks.rnn, networks.RNN_TRAINING, standardized=True),
        **{name: each.make() for name, each in _zoo(task).items()},
    }


def candidates(task: Task, estimators: Sequence[str] | None = None) -> list[ParamSetting]:
    """Return the estimators of a task with every setting of their grids.

    Parameters
    ----------
    task : Task
    estimators : sequence of str, optional
        All that scikit-learn has by default; ``rnn`` is the recurrent network.

    Raises
    ------
    ValueError
        If there is no such estimator, or one cannot be weighted as the task wants.

    Examples
    --------
    >>> [each.settings for each in candidates(Task.of("classify", ["sad", "happy"]), ["bagging"])]
    [{'model__max_features': 0.2}, {'model__max_features': 0.5}]
    """
    zoo = _zoo(task)
    wanted = list(zoo) if estimators is None else list(dict.fromkeys(estimators))
    if unknown := [name for name in wanted if name not in (*zoo, RNN)]:
        raise ValueError(
            f"there is no estimator {unknown[0]!r} to {task.name}: use {', '.join((*zoo, RNN))}"
        )
    found = []
    for name in wanted:
        if name == RNN:  # it always weighs its classes
            found += [ParamSetting(RNN, dict(layers)) for layers in RNN_LAYERS]
            continue
        if task.weighted:
            classical.weighted(zoo[name].make())
        grid = zoo[name].grid
        for values in itertools.product(*grid.values()):
            chosen = [list(each) if isinstance(each, tuple) else each for each in values]
            found.append(ParamSetting(name, dict(zip(grid, chosen, strict=True))))
    return found


def validated(
    candidate: ParamSetting,
    task: Task,
    X: Array,
    y: NDArray[np.intp],
    parts: Sequence[splits.Split],
) -> dict[str, float]:
    """Return the mean scores of a candidate over inner splits, and the seconds of one fit.

    They are seconds of the processor: on a busy machine the clock also counts what others do.
    """
    scores, seconds = [], 0.0
    for learn, check in parts:
        started = time.process_time()
        model = candidate.fit(task, X[learn], y[learn])
        seconds += time.process_time() - started
        scores.append(task.scores(y[check], model.predict(X[check])))
    means = {name: float(np.mean([each[name] for each in scores])) for name in scores[0]}
    return {**means, "fit_seconds": seconds / len(parts)}


def timed(
    candidate: ParamSetting,
    task: Task,
    learn: tuple[Array, NDArray[np.intp]],
    check: tuple[Array, NDArray[np.intp]],
) -> tuple[NDArray[Any], dict[str, float]]:
    """Train on some clips, judge others; return the answers, their scores and processor times."""
    started = time.process_time()
    model = candidate.fit(task, *learn)
    fit_seconds = time.process_time() - started
    X, y = check
    answers, seconds = model.predict(X), []
    for _ in range(PREDICTIONS):
        started = time.process_time()
        model.predict(X)
        seconds.append(time.process_time() - started)
    times = {"fit_seconds": fit_seconds, "predict_ms": 1000 * min(seconds) / len(y)}
    return answers, {**task.scores(y, answers), **times}
