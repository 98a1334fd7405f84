"""A grid search over the zoo: every setting is cross-validated, the best of each are tested once.

What ends is kept in a folder, so that the same search goes on where it was cut: ``search.json``
says what is searched, on which clips, and there is a file for each estimator. Of those that were
asked for there are tables:

- ``candidates.csv``: each estimator with each of its settings, and its scores on validation clips;
- ``finalists.csv``: the best settings of each estimator, scores on the test side, and times;
- ``predictions.csv``: what each finalist says of each clip of the test side;
- ``sizes.csv``: scores and times of the finalists with fewer training clips.
"""

from __future__ import annotations

import contextlib
import json
import time
import timeit
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import pandas as pd
from joblib import parallel_config
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.model_selection import GridSearchCV, ParameterGrid
from threadpoolctl import threadpool_limits

from sercourse import classical, corpora, evaluate, files, labels, splits
from sercourse.experiment.dataset import Array, Dataset
from sercourse.experiment.evaluation import (
    DECIMALS,
    Amount,
    Result,
    Share,
    inner_groups,
    stored,
    stored_or_new,
)
from sercourse.networks import Examples
from sercourse.networks.learner import expected_codes
from sercourse.recipes import RNN, TRAININGS, Report, from_zoo, silent, with_settings

CHOICES = {"task": ("classify", "regress"), "balance": ("none", "undersample", "weights")}
INNER_FOLDS = 3
SHARES = (0.25, 0.5, 0.75, 1.0)
INDEX, TABLES = "search.json", ("candidates", "finalists", "predictions", "sizes")
TIMES = "fit_seconds", "predict_ms"

RNN_GRID: Any = [
    {"lstm_units": [[128, 128]], "dense_units": [[128, 128]], "dropout": [0.3]},
    {"lstm_units": [[64]], "dense_units": [[64]], "dropout": [0.3]},
]
"""Layers of the recurrent network that a search tries: the toolkit's, and fewer and smaller."""


@dataclass(eq=False, repr=False)
class Rnn(BaseEstimator):
    """The recurrent network as a scikit-learn estimator of codes; it always weighs its classes."""

    codes: Sequence[int] = ()
    regression: bool = False
    lstm_units: Sequence[int] = (64,)
    dense_units: Sequence[int] = (64,)
    dropout: float = 0.3

    def fit(self, X: Array, y: NDArray[np.intp]) -> Rnn:
        """Train on clips (n_clips, n_features) and their codes."""
        layers = {name: getattr(self, name) for name in ("lstm_units", "dense_units", "dropout")}
        loss = "ordinal" if self.regression else "categorical"
        learner: Any = with_settings(from_zoo(RNN, layers), loss=loss).learner
        self.network_ = learner.fit(
            Examples([X], y - min(self.codes), len(self.codes)),
            groups=np.arange(len(y)),
            selected={"epochs": learner.training.epochs, "temperature": 1.0},
        )
        return self

    def predict(self, X: Array) -> NDArray[Any]:
        """Return the code of each clip or, of a regression, a value between codes."""
        if self.regression:
            return expected_codes(self.network_, X) + min(self.codes)
        return self.network_.predict_proba(X).argmax(axis=1) + min(self.codes)


@dataclass(frozen=True, eq=False)
class SearchConfig:
    """What is searched, on which clips.

    Attributes
    ----------
    data : Dataset
        With vectors of features.
    fold : splits.Fold
        Its training side is divided again for validation, by speaker where the protocol is. Its
        test side is read once for each estimator.
    protocol : str
        The protocol of the fold.
    feature_set : str
        Name of what `data` holds.
    task : {"classify", "regress"}
        Name an emotion, or estimate its place in an order; see `labels.codes`.
    balance : {"none", "undersample", "weights"}
        As many training clips of each emotion, or as much weight of each.

    Raises
    ------
    ValueError
        If task or balance is none of these.
    """

    data: Dataset
    fold: splits.Fold
    protocol: str
    feature_set: str
    task: str = "classify"
    balance: str = "none"

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            if (value := getattr(self, name)) not in known:
                raise ValueError(f"unknown {name} {value!r}: use one of {', '.join(known)}")

    @property
    def regression(self) -> bool:
        """Whether values between codes are estimated."""
        return self.task == "regress"

    @property
    def score(self) -> str:
        """What candidates are ranked by: the mean `error` of a regression, else the `uar`."""
        return "error" if self.regression else "uar"

    @cached_property
    def codes(self) -> dict[str, int]:
        """The number of each emotion, rising; emotions without an order are refused."""
        emotions = self.data.emotions
        return labels.codes(emotions) if self.regression else {e: k for k, e in enumerate(emotions)}

    @cached_property
    def zoo(self) -> Mapping[str, Any]:
        """The estimators that can do it, with their grids; the recurrent network last."""
        rnn = classical.PipelineLearner(Rnn(list(self.codes.values()), self.regression), RNN_GRID)
        return {**(classical.REGRESSORS if self.regression else classical.CLASSIFIERS), RNN: rnn}

    @property
    def scored(self) -> dict[str, Any]:
        """The kinds of the scores."""
        return {self.score: Amount if self.regression else Share, "accuracy": Share}

    def make(self, estimator: str) -> Any:
        """Return an estimator, not yet fitted; refuse one that takes no weights but should."""
        if estimator not in self.zoo:
            known = ", ".join(self.zoo)
            raise ValueError(f"there is no estimator {estimator!r} to {self.task}: use {known}")
        model, weighs = self.zoo[estimator].pipeline(), self.balance == "weights"
        return classical.weighted(model) if weighs and estimator != RNN else model

    def named(self, answers: NDArray[Any]) -> NDArray[np.str_]:
        """Return the emotion whose code lies nearest to each answer."""
        places = np.rint(answers) - min(self.codes.values())
        return np.asarray(list(self.codes))[np.clip(places, 0, len(self.codes) - 1).astype(int)]

    def scores(self, y: NDArray[Any], answers: NDArray[Any]) -> dict[str, float]:
        """Return the `uar` or the mean `error` in units of the code, and the `accuracy`.

        The accuracy of a regression is that of its rounded values.
        """
        truth, said = self.named(y), self.named(answers)
        first = evaluate.unweighted_average_recall(truth, said)
        first = float(np.mean(np.abs(answers - y))) if self.regression else first
        return {self.score: first, "accuracy": float(np.mean(truth == said))}

    def ranked(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return candidates by their score on validation clips, best first."""
        rising = [self.regression, True, True]
        by = [self.score, "estimator", "settings"]
        return table.sort_values(by, ascending=rising, ignore_index=True)

    @cached_property
    def y(self) -> NDArray[np.intp]:
        """Code of each clip."""
        return np.array(self.data.clips["emotion"].map(self.codes), dtype=np.intp)

    @cached_property
    def train(self) -> NDArray[np.intp]:
        """The training clips, as many of each emotion where that is wanted."""
        train = self.fold.train
        return train[splits.undersample(self.y[train])] if self.balance == "undersample" else train

    @cached_property
    def inner(self) -> list[splits.Split]:
        """Training and validation sides within the training clips."""
        groups = inner_groups(self.data, self.protocol, self.train)
        return splits.inner_splits(self.y[self.train], groups, n_folds=INNER_FOLDS)

    @cached_property
    def told(self) -> dict[str, Any]:
        """All of it, as JSON can hold it; what is long as one `key`."""
        clips, test = self.data.clips, self.fold.test
        zoo = {name: [each.model, each.grid] for name, each in self.zoo.items()}
        arrays = [each[side] for each in (self.data.X, self.y) for side in (self.train, test)]
        rest = [self.inner, TRAININGS[RNN], clips["clip_id"].iloc[test].tolist()]
        return {
            "corpus": self.data.corpus,
            "emotions": list(self.data.emotions),
            "task": self.task,
            "features": self.feature_set,
            "balance": self.balance,
            "protocol": self.protocol,
            "fold": self.fold.name,
            "n_train": len(self.train),
            "n_test": len(test),
            "chance": round(evaluate.chance(self.data.truth[test]), DECIMALS),
            "clips": corpora.fingerprint(clips),
            "versions": files.versions("numpy", "scipy", "scikit-learn", "keras", "tensorflow"),
            "key": files.digest([zoo, arrays, rest]),
        }


def run_search(
    plan: SearchConfig,
    *,
    estimators: Sequence[str] | None = None,
    folder: str | Path | None = None,
    shares: Sequence[float] = (),
    n_jobs: int = 1,
    report: Report = silent,
) -> tuple[dict[str, pd.DataFrame], Path]:
    """Validate every estimator with every setting of its grid; test the best of each, once.

    Parameters
    ----------
    plan : SearchConfig
    estimators : sequence of str, optional
        Names in `classical.CLASSIFIERS` or `classical.REGRESSORS`, and ``rnn``; all but the last
        by default.
    folder : path, optional
        Where what ends is kept, and looked for; one in the cache by default.
    shares : sequence of float
        Above 0, at most 1: each finalist is also trained on these shares of the training side of
        the first inner split, drawn at random, and scored on its validation clips.
    n_jobs : int
        Processes, as joblib counts them.
    report : callable
        Gets a line for each estimator.

    Returns
    -------
    tables : dict of str to pandas.DataFrame
        ``candidates``, best first: `estimator`, `settings` (JSON), `fit_seconds`, and on validation
        clips `accuracy` and `uar` or, of a regression, the mean `error` in units of the code.
        ``finalists``, the best of each estimator, best first: the same, the figures of the test
        side as ``test_...``, and `predict_ms`, processor time of one clip.
        ``predictions``, on the test side: `estimator`, `clip_id`, `truth`, `predicted` and, of a
        regression, `value`.
        ``sizes``: `estimator`, `n_clips`, scores on validation clips, `fit_seconds`, `predict_ms`;
        empty where no shares were asked for.
    folder : Path
        Where all of it is kept.

    Raises
    ------
    ValueError
        If an estimator is not known or cannot be balanced, or the folder holds another search.
    """
    wanted = list(dict.fromkeys(estimators or [name for name in plan.zoo if name != RNN]))
    for name in wanted:
        plan.make(name)
    name = f"{plan.data.corpus}-{plan.task}-{len(plan.codes)}-{files.digest(plan.told)}"
    kept = files.user_path(folder or files.cache_dir() / "searches" / name)
    if folder is not None:
        files.refuse_unwritable(kept, replaces=INDEX)
    known = stored(kept / INDEX, {}, bool) or plan.told
    for name, value in plan.told.items():
        if known.get(name) != value:
            raise ValueError(
                f"{kept} holds another search, of {name} {known.get(name)!r:.200} where {value!r} "
                "is wanted: name another folder"
            )
    # A cache may fail to keep results: they can be computed again. A folder that was named may not.
    keeping = partial(files.keeping, kept) if folder is None else contextlib.nullcontext
    with keeping():
        files.write_sealed(kept / INDEX, plan.told)
    rows: dict[str, list[Any]] = {name: [] for name in TABLES}
    for name in wanted:
        compute = partial(_search_one, plan, name, n_jobs=n_jobs, report=report)
        found = stored_or_new(kept / f"{name}.json", {}, compute, partial(_fits, plan, name))
        rows["candidates"] += found["candidates"]
        for best, test in zip(found["candidates"], found["tests"], strict=False):
            rows["finalists"].append(best | _figures(plan, test))
            rows["predictions"] += _predictions(plan, name, np.array(test["answers"]))
            settings = json.loads(best["settings"])
            for share in shares:
                file = kept / f"{name}-{share}.json"
                same = {"estimator": name, "n_clips": len(_drawn(plan, share))}
                compute = partial(_with_fewer, plan, name, settings, share)
                try:
                    size = stored_or_new(file, same, compute, partial(_is_size, plan))
                    rows["sizes"].append(size)
                except ValueError as error:  # such as more neighbours than clips
                    report(f"left out: {name} cannot be fitted to {same['n_clips']} clips: {error}")
            accuracy = rows["finalists"][-1]["test_accuracy"]
            report(f"{name}, tested once: accuracy {accuracy:.1%}")
    if not rows["finalists"]:
        raise ValueError("none of the estimators can be fitted to these clips")
    tables = {name: pd.DataFrame(each) for name, each in rows.items()}
    tables |= {name: plan.ranked(tables[name]) for name in ("candidates", "finalists")}
    for name, each in tables.items():
        with keeping(), files.atomic_path(kept / f"{name}.csv") as temporary:
            each.to_csv(temporary, index=False, lineterminator="\n")
    return tables, kept


def _search_one(plan: SearchConfig, name: str, *, n_jobs: int, report: Report) -> Result:
    """Validate all settings of an estimator and test the best, if any can be fitted."""
    tried, tests = grid_search(plan, name, n_jobs=n_jobs, report=report), []
    for settings in tried["settings"][:1]:
        answers, told = tested(plan, name, json.loads(settings), plan.train, plan.fold.test)
        tests = [{"answers": answers.tolist()} | {key: told[key] for key in TIMES}]
    return {"candidates": tried.to_dict("records"), "tests": tests}


def _fits(plan: SearchConfig, name: str, found: Result) -> bool:
    """Whether a stored result is one of `_search_one`."""
    n, known = len(plan.fold.test), map(json.dumps, ParameterGrid(plan.zoo[name].grid))
    texts = {"estimator": Literal[name], "settings": Literal[tuple(known)]}
    value: Any = Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)]
    value = value if plan.regression else Literal[tuple(plan.codes.values())]
    answers = Annotated[list[value], msgspec.Meta(min_length=n, max_length=n)]
    row: Any = _row(**texts, **plan.scored, fit_seconds=Amount)
    test: Any = _row(answers=answers, **dict.fromkeys(TIMES, Amount))
    msgspec.convert(found, _row(candidates=list[row], tests=list[test]))
    table = pd.DataFrame(found["candidates"], columns=["estimator", "settings", plan.score])
    ranked = plan.ranked(table.drop_duplicates("settings"))
    return len(found["tests"]) == min(1, len(table)) and ranked.equals(table)


def _is_size(plan: SearchConfig, found: Result) -> bool:
    """Whether a stored result is one of `_with_fewer`."""
    kinds = plan.scored | dict.fromkeys(TIMES, Amount)
    msgspec.convert(found, _row(estimator=str, n_clips=int, **kinds))
    return True


def _row(**kinds: Any) -> Any:
    """Return the type of a row that has these entries and no others."""
    return msgspec.defstruct("Row", list(kinds.items()), forbid_unknown_fields=True)


def _figures(plan: SearchConfig, test: Result) -> dict[str, float]:
    scores = plan.scores(plan.y[plan.fold.test], np.array(test["answers"]))
    told = {f"test_{key}": round(value, DECIMALS) for key, value in scores.items()}
    return told | {key: test[key] for key in TIMES}


def _predictions(plan: SearchConfig, name: str, answers: NDArray[Any]) -> list[Any]:
    clips = plan.data.clips[["clip_id", "emotion"]].iloc[plan.fold.test]
    said = clips.rename(columns={"emotion": "truth"}).assign(predicted=plan.named(answers))
    said.insert(0, "estimator", name)
    if plan.regression:
        said["value"] = answers.astype(float).round(DECIMALS)
    return said.to_dict("records")


def _drawn(plan: SearchConfig, share: float) -> NDArray[np.intp]:
    """Return a share of the training clips of the first inner split."""
    learn = plan.train[plan.inner[0][0]]
    return np.random.default_rng(0).permutation(learn)[: max(2, round(share * len(learn)))]


def _with_fewer(plan: SearchConfig, name: str, settings: Mapping[str, Any], share: float) -> Result:
    """Train on a share of the clips of the first inner split; score on those that validate."""
    check = plan.train[plan.inner[0][1]]
    return tested(plan, name, settings, _drawn(plan, share), check)[1]


def grid_search(
    plan: SearchConfig, estimator: str, *, n_jobs: int = 1, report: Report = silent
) -> pd.DataFrame:
    """Cross-validate an estimator with every setting of its grid on inner splits.

    Parameters
    ----------
    plan : SearchConfig
    estimator : str
        One of the zoo, or ``rnn``.
    n_jobs : int
        Processes, as joblib counts them; the recurrent network is trained in this one.
    report : callable
        Gets a line for each setting that cannot be fitted, and for the others.

    Returns
    -------
    pandas.DataFrame
        `estimator`, `settings` (JSON), mean scores and `fit_seconds`, best first; empty if no
        setting can be fitted.
    """

    def scores(model: Any, X: Array, y: NDArray[np.intp]) -> dict[str, float]:
        try:
            return judge.scores(y, model.predict(X))
        except ValueError:  # such as more neighbours than clips
            return dict.fromkeys(judge.scores(y, y), np.nan)

    n_jobs = 1 if estimator == RNN else n_jobs
    settings: Any = {"scoring": scores, "refit": False, "cv": plan.inner, "n_jobs": n_jobs}
    search = GridSearchCV(plan.make(estimator), plan.zoo[estimator].grid, **settings)
    # It goes to other processes with each candidate.
    judge = replace(plan, data=replace(plan.data, X=plan.data.X[:0]))
    with threadpool_limits(1), warnings.catch_warnings():
        # How often a perceptron sees the clips is a setting; what fails is reported below.
        warnings.filterwarnings("ignore", message="Stochastic Optimizer|.*fits failed")
        warnings.filterwarnings("ignore", message="One or more of the test scores")
        clips = plan.data.X[plan.train], plan.y[plan.train]
        try:
            found = search.fit(*clips).cv_results_
        except CancelledError:  # a worker of a cluster has died, and with it clips that it held
            found = search.fit(*clips).cv_results_
    table = pd.DataFrame({"estimator": estimator, "settings": map(json.dumps, found["params"])})
    for name in (plan.score, "accuracy"):
        table[name] = found[f"mean_test_{name}"].round(DECIMALS)
    table["fit_seconds"] = found["mean_fit_time"].round(DECIMALS)
    for settings in table["settings"][table["accuracy"].isna()]:
        report(f"left out: {estimator} {settings} cannot be fitted to these clips")
    table = plan.ranked(table.dropna(subset="accuracy"))
    report(f"{estimator}: {len(table)} settings, accuracy up to {table['accuracy'].max():.1%}")
    return table


def tested(
    plan: SearchConfig,
    estimator: str,
    settings: Mapping[str, Any],
    learn: NDArray[np.intp],
    check: NDArray[np.intp],
) -> tuple[NDArray[Any], dict[str, float]]:
    """Train on some clips and judge others; return the answers, their scores and times."""
    model, X = plan.make(estimator).set_params(**settings), plan.data.X
    alone = parallel_config(backend="sequential")  # whose time is taken
    with threadpool_limits(1), alone, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Stochastic Optimizer")
        started = time.process_time()
        model.fit(X[learn], plan.y[learn])
        seconds = time.process_time() - started
    answers = model.predict(X[check])
    answer, timer = partial(model.predict, X[check]), time.process_time
    taken = timeit.repeat(answer, timer=timer, repeat=3, number=1)
    figures = plan.scores(plan.y[check], answers)
    figures |= {"fit_seconds": seconds, "predict_ms": 1000 * min(taken) / len(check)}
    return answers, {name: round(value, DECIMALS) for name, value in figures.items()}
