"""A grid search over the zoo: every setting is cross-validated, the best of each are tested once.

What ends is kept in a folder as tables, so that the same search goes on where it was cut:

- ``search.json``: what is searched, on which clips;
- ``candidates.csv``: each estimator with each of its settings, and its scores on validation clips;
- ``finalists.csv``: the best settings of each estimator, scores on the test side, and times;
- ``predictions.csv``: what each finalist says of each clip of the test side;
- ``sizes.csv``: scores and times of the finalists with fewer training clips.
"""

from __future__ import annotations

import itertools
import json
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.metrics import accuracy_score, mean_absolute_error, recall_score
from sklearn.model_selection import GridSearchCV
from threadpoolctl import threadpool_limits

from sercourse import classical, corpora, evaluate, files, labels, networks, splits
from sercourse.experiment.dataset import Array, Dataset
from sercourse.experiment.folds import inner_groups
from sercourse.recipes import RNN, Report

TASKS = ("classify", "regress")
BALANCES = ("none", "undersample", "weights")
INNER_FOLDS = 3
SHARES = (0.25, 0.5, 0.75, 1.0)
DECIMALS = 5
INDEX, TABLES = "search.json", ("candidates", "finalists", "predictions", "sizes")

RNN_GRID: list[dict[str, Any]] = [
    {"lstm_units": [[128, 128]], "dense_units": [[128, 128]], "dropout": [0.3]},
    {"lstm_units": [[64]], "dense_units": [[64]], "dropout": [0.3]},
]
"""Layers of the recurrent network that a search tries: the toolkit's, and fewer and smaller."""


class Rnn(BaseEstimator):
    """The recurrent network as a scikit-learn estimator of codes; it always weighs its classes."""

    def __init__(
        self,
        codes: Sequence[int] = (),
        regression: bool = False,
        lstm_units: Sequence[int] = (64,),
        dense_units: Sequence[int] = (64,),
        dropout: float = 0.3,
    ) -> None:
        self.codes = codes
        self.regression = regression
        self.lstm_units = lstm_units
        self.dense_units = dense_units
        self.dropout = dropout

    def fit(self, X: Array, y: NDArray[np.intp]) -> Rnn:
        """Train on clips (n_clips, n_features) and their codes."""
        loss: dict[str, Any] = {"loss": "ordinal"} if self.regression else {}
        training = replace(networks.RNN_TRAINING, **loss)
        layers = {name: getattr(self, name) for name in ("lstm_units", "dense_units", "dropout")}
        learner = networks.NetworkLearner(networks.rnn, training, options=layers, standardized=True)
        self.network_ = learner.fit(
            [X],
            y - min(self.codes),
            groups=np.arange(len(y)),
            n_labels=len(self.codes),
            selected={"epochs": training.epochs, "temperature": 1.0},
        )
        return self

    def predict(self, X: Array) -> NDArray[Any]:
        """Return the code of each clip or, of a regression, a value between codes."""
        if self.regression:
            return networks.expected_codes(self.network_, X) + min(self.codes)
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
        If task or balance is none of these, or the emotions have no order for a regression.
    """

    data: Dataset
    fold: splits.Fold
    protocol: str
    feature_set: str
    task: str = "classify"
    balance: str = "none"

    def __post_init__(self) -> None:
        if self.balance not in BALANCES:
            raise ValueError(f"unknown balance {self.balance!r}: use one of {', '.join(BALANCES)}")
        if self.task not in TASKS:
            raise ValueError(f"unknown task {self.task!r}: use one of {', '.join(TASKS)}")
        if self.regression:
            labels.codes(self.data.emotions)  # refuses emotions without an order
            if self.balance == "weights":
                raise ValueError("regressors take no weights of classes: balance by 'undersample'")

    @property
    def regression(self) -> bool:
        """Whether values between codes are estimated."""
        return self.task == "regress"

    @cached_property
    def codes(self) -> dict[str, int]:
        """The number of each emotion."""
        if self.regression:
            return labels.codes(self.data.emotions)
        return {emotion: k for k, emotion in enumerate(self.data.emotions)}

    @property
    def zoo(self) -> Mapping[str, Any]:
        """The estimators of scikit-learn that can do it."""
        return classical.REGRESSORS if self.regression else classical.CLASSIFIERS

    def make(self, estimator: str) -> Any:
        """Return an estimator, not yet fitted; refuse one that takes no weights but should."""
        if estimator == RNN:
            return Rnn(list(self.codes.values()), self.regression)
        if estimator not in self.zoo:
            known = ", ".join((*self.zoo, RNN))
            raise ValueError(f"there is no estimator {estimator!r} to {self.task}: use {known}")
        model = self.zoo[estimator].make()
        return classical.weighted(model) if self.balance == "weights" else model

    def named(self, answers: NDArray[Any]) -> NDArray[np.str_]:
        """Return the emotion whose code lies nearest to each answer."""
        by_code = sorted(self.codes, key=lambda emotion: self.codes[emotion])
        places = np.rint(answers) - self.codes[by_code[0]]
        return np.asarray(by_code)[np.clip(places, 0, len(by_code) - 1).astype(int)]

    @property
    def score_names(self) -> tuple[str, str]:
        """Names of the scores; candidates are compared by the first."""
        return ("error" if self.regression else "uar", "accuracy")

    def scores(self, y: NDArray[Any], answers: NDArray[Any]) -> dict[str, float]:
        """Return `accuracy`, and the `uar` or the mean `error` in units of the code.

        The accuracy of a regression is that of its rounded values.
        """
        truth, said = self.named(y), self.named(answers)
        accuracy = float(accuracy_score(truth, said))
        if self.regression:
            return {"error": float(mean_absolute_error(y, answers)), "accuracy": accuracy}
        present = np.unique(truth)
        uar = float(recall_score(truth, said, labels=present, average="macro", zero_division=0))
        return {"uar": uar, "accuracy": accuracy}

    def ranked(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return candidates by their score on validation clips, best first."""
        ordered = table.sort_values(["estimator", "settings"])
        return ordered.sort_values(
            self.score_names[0], ascending=self.regression, kind="stable", ignore_index=True
        )

    @cached_property
    def y(self) -> NDArray[np.intp]:
        """Code of each clip."""
        codes = [self.codes[emotion] for emotion in self.data.clips["emotion"]]
        return np.array(codes, dtype=np.intp)

    @cached_property
    def train(self) -> NDArray[np.intp]:
        """The training clips, as many of each emotion where that is wanted."""
        train = self.fold.train
        return train[splits.undersample(self.y[train])] if self.balance == "undersample" else train

    @cached_property
    def groups(self) -> NDArray[np.str_]:
        """What must not be on both sides of an inner split, for each training clip."""
        return inner_groups(self.data, self.protocol, self.train)

    @property
    def folder(self) -> Path:
        """Where the course keeps what is found: in the cache, named by all of it."""
        told = self.told
        name = f"{told['corpus']}-{told['task']}-{len(told['emotions'])}-{files.digest(told)}"
        return files.cache_dir() / "searches" / name

    @property
    def told(self) -> dict[str, Any]:
        """All of it, as JSON can hold it; what is long as one `key`."""
        clips, test = self.data.clips, self.fold.test
        zoo = {name: [each.make(), dict(each.grid)] for name, each in self.zoo.items()}
        arrays = [each[side] for each in (self.data.X, self.y) for side in (self.train, test)]
        rnn = [networks.RNN_TRAINING, RNN_GRID]
        return {
            "corpus": self.data.corpus,
            "emotions": list(self.data.emotions),
            "task": self.task,
            "features": self.feature_set,
            "balance": self.balance,
            "protocol": self.protocol,
            "fold": self.fold.name,
            "test_speakers": list(self.fold.test_speakers),
            "n_train": len(self.train),
            "n_test": len(test),
            "chance": round(evaluate.chance(clips["emotion"].to_numpy(dtype=str)[test]), DECIMALS),
            "clips": corpora.fingerprint(clips),
            "versions": files.versions("numpy", "scipy", "scikit-learn", "keras", "tensorflow"),
            "key": files.digest(
                [zoo, rnn, arrays, self.groups, clips["clip_id"].iloc[test].tolist()]
            ),
        }


@dataclass(frozen=True, eq=False)
class Search:
    """The result of a search.

    Attributes
    ----------
    told : mapping
        What was searched, on which clips.
    candidates : pandas.DataFrame
        Best first: `estimator`, `settings` (JSON), `fit_seconds`, and on validation clips
        `accuracy` and `uar` or, of a regression, the mean `error` in units of the code.
    finalists : pandas.DataFrame
        The best of each estimator, best first: the same, the figures of the test side as
        ``test_...``, and `predict_ms`, processor time of one clip.
    predictions : pandas.DataFrame
        On the test side: `estimator`, `clip_id`, `truth`, `predicted` and, of a regression,
        `value`.
    sizes : pandas.DataFrame
        `estimator`, `n_clips`, scores on validation clips, `fit_seconds`, `predict_ms`; empty
        unless `against_size` was run.
    """

    told: Mapping[str, Any]
    candidates: pd.DataFrame
    finalists: pd.DataFrame
    predictions: pd.DataFrame
    sizes: pd.DataFrame

    @property
    def best(self) -> str:
        """The estimator that did best on validation clips."""
        return str(self.finalists["estimator"].iloc[0])

    def settings(self, estimator: str | None = None) -> dict[str, Any]:
        """Return the chosen settings of an estimator, the best one by default."""
        chosen = self.finalists.set_index("estimator")["settings"]
        settings: dict[str, Any] = json.loads(chosen[estimator or self.best])
        return settings

    def confusion(self, estimator: str | None = None) -> NDArray[np.int64]:
        """Count the test clips of each true emotion (row) by answer (column).

        Rows and columns are in the order of ``told["emotions"]``; of the best estimator by default.
        """
        rows = self.predictions[self.predictions["estimator"] == (estimator or self.best)]
        return evaluate.confusion(
            list(rows["truth"]), list(rows["predicted"]), labels=self.told["emotions"]
        )


def run_search(
    plan: SearchConfig,
    *,
    estimators: Sequence[str] | None = None,
    folder: str | Path | None = None,
    n_jobs: int = 1,
    report: Report = lambda line: None,
) -> Search:
    """Validate every estimator with every setting of its grid; test the best of each, once.

    Parameters
    ----------
    plan : SearchConfig
    estimators : sequence of str, optional
        Names in `classical.CLASSIFIERS` or `classical.REGRESSORS`, and ``rnn``; all but the last
        by default.
    folder : path, optional
        Where what ends is kept, and looked for.
    n_jobs : int
        Processes, as joblib counts them.
    report : callable
        Gets a line for each estimator.

    Returns
    -------
    Search
        Of these estimators, even if the folder knows more.

    Raises
    ------
    ValueError
        If an estimator is not known or cannot be balanced, or the folder holds another search.
    """
    train, test = plan.train, plan.fold.test
    wanted = list(plan.zoo) if estimators is None else list(dict.fromkeys(estimators))
    for name in wanted:
        plan.make(name)
    found = _open(folder, plan.told)
    todo = [name for name in wanted if name not in set(found.finalists["estimator"])]
    if len(todo) < len(wanted):
        report(f"{len(wanted) - len(todo)} of {len(wanted)} estimators are known from before")
    clips = plan.data.clips.iloc[test].rename(columns={"emotion": "truth"})
    for name in todo:
        tried = grid_search(plan, name, n_jobs=n_jobs, report=report)
        if tried.empty:
            continue
        best = tried.iloc[:1].reset_index(drop=True)
        answers, figures = tested(plan, name, json.loads(best["settings"][0]), train, test)
        times = {key: figures.pop(key) for key in ("fit_seconds", "predict_ms")}
        scores = {f"test_{key}": value for key, value in figures.items()}
        said = clips[["clip_id", "truth"]].assign(predicted=plan.named(answers))
        said.insert(0, "estimator", name)
        if plan.regression:
            said["value"] = answers.astype(float).round(DECIMALS)
        finalist = best.assign(**scores, **times)
        found = _add(found, folder, candidates=tried, predictions=said, finalists=finalist)
        report(f"{name}, tested once: accuracy {scores['test_accuracy']:.1%}")
    if found.finalists.empty:
        raise ValueError("none of the estimators can be fitted to these clips")
    tables = {name: getattr(found, name) for name in TABLES}
    tables = {key: each[each["estimator"].isin(wanted)] for key, each in tables.items()}
    tables |= {key: plan.ranked(tables[key]) for key in ("candidates", "finalists")}
    return replace(found, **{key: each.reset_index(drop=True) for key, each in tables.items()})


def grid_search(
    plan: SearchConfig,
    estimator: str,
    *,
    n_jobs: int = 1,
    report: Report = lambda line: None,
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
    splits.fewest_groups(plan.data.truth[plan.train], plan.groups)  # knows them by name

    def scores(model: Any, X: Array, y: NDArray[np.intp]) -> dict[str, float]:
        try:
            return plan.scores(y, model.predict(X))
        except ValueError:  # such as more neighbours than clips
            return dict.fromkeys(plan.score_names, np.nan)

    is_network = estimator == RNN
    search = GridSearchCV(
        plan.make(estimator),
        RNN_GRID if is_network else {k: list(v) for k, v in plan.zoo[estimator].grid.items()},
        scoring=scores,
        refit=False,
        cv=splits.inner_splits(plan.y[plan.train], plan.groups, n_folds=INNER_FOLDS),
        n_jobs=1 if is_network else n_jobs,
    )
    with threadpool_limits(1), warnings.catch_warnings():
        # How often a perceptron sees the clips is a setting; what fails is reported below.
        warnings.filterwarnings("ignore", message="Stochastic Optimizer|.*fits failed")
        warnings.filterwarnings("ignore", message="One or more of the test scores")
        found = search.fit(plan.data.X[plan.train], plan.y[plan.train]).cv_results_
    names = {name: f"mean_test_{name}" for name in plan.score_names}
    names["fit_seconds"] = "mean_fit_time"
    table = pd.DataFrame({name: found[key] for name, key in names.items()}).round(DECIMALS)
    table.insert(0, "settings", [json.dumps(each) for each in found["params"]])
    table.insert(0, "estimator", estimator)
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
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Stochastic Optimizer")
        started = time.process_time()
        model.fit(X[learn], plan.y[learn])
        seconds = time.process_time() - started
    answers = model.predict(X[check])
    ms = milliseconds(lambda: model.predict(X[check]), runs=3) / len(check)
    figures = plan.scores(plan.y[check], answers)
    figures |= {"fit_seconds": seconds, "predict_ms": ms}
    return answers, {name: round(value, DECIMALS) for name, value in figures.items()}


def milliseconds(function: Callable[[], Any], *, runs: int = 5) -> float:
    """Return the processor time of the fastest of some runs [ms]."""
    taken = []
    for _ in range(runs):
        started = time.process_time()
        function()
        taken.append(time.process_time() - started)
    return 1000 * min(taken)


def against_size(
    plan: SearchConfig,
    found: Search,
    *,
    shares: Iterable[float] = SHARES,
    folder: str | Path | None = None,
    report: Report = lambda line: None,
) -> Search:
    """Train each finalist on shares of the training clips; score it on validation clips.

    Parameters
    ----------
    plan : SearchConfig
        That of the search.
    found : Search
    shares : iterable of float
        Of the clips on the training side of the first inner split, drawn at random; above 0, at
        most 1.
    folder : path, optional
        That of the search.
    report : callable
        Gets a line for each training.

    Returns
    -------
    Search
        The same, with `sizes`.
    """
    kept = _open(folder, plan.told)
    parts = splits.inner_splits(plan.y[plan.train], plan.groups, n_folds=INNER_FOLDS)
    learn, check = (plan.train[part] for part in parts[0])
    drawn = np.random.default_rng(0).permutation(learn)
    for name, share in itertools.product(found.finalists["estimator"], shares):
        some = drawn[: max(2, round(share * len(drawn)))]
        if (kept.sizes[["estimator", "n_clips"]] == [name, len(some)]).all(axis=1).any():
            continue
        _, figures = tested(plan, name, found.settings(name), some, check)
        row = pd.DataFrame([{"estimator": name, "n_clips": len(some), **figures}])
        kept = _add(kept, folder, sizes=row)
        report(f"{name} on {len(some)} clips: accuracy {figures['accuracy']:.1%}")
    return replace(found, sizes=found.finalists[["estimator"]].merge(kept.sizes))


def _open(folder: str | Path | None, told: Mapping[str, Any]) -> Search:
    """Return what a folder holds of the finished estimators of a search; refuse another one."""
    empty = pd.DataFrame(columns=["estimator", "n_clips"])
    tables = dict.fromkeys(TABLES, empty)
    if folder is None:
        return Search(told, **tables)
    folder = files.user_path(folder)
    files.refuse_unwritable(folder, replaces=INDEX)
    if not (folder / INDEX).is_file():
        files.write_json(folder / INDEX, told)
    known = json.loads((folder / INDEX).read_text("utf-8"))
    for name, value in told.items():
        if known.get(name) != value:
            raise ValueError(
                f"{folder} holds another search, of {name} {known.get(name)} where {value} is "
                "wanted: name another folder"
            )
    for name in TABLES:
        with suppress(FileNotFoundError, pd.errors.EmptyDataError, pd.errors.ParserError):
            tables[name] = pd.read_csv(folder / f"{name}.csv")
    done = set(tables["finalists"]["estimator"])  # the table that is written last
    tables = {name: each[each["estimator"].isin(done)] for name, each in tables.items()}
    return Search(told, **tables)


def _add(found: Search, folder: str | Path | None, **rows: pd.DataFrame) -> Search:
    """Return a search with further rows of some tables, which are written to its folder."""
    tables: dict[str, Any] = {}
    for name, new in rows.items():
        old = getattr(found, name)
        tables[name] = pd.concat([old, new], ignore_index=True) if len(old) else new
        if folder is not None:
            with files.atomic_path(files.user_path(folder) / f"{name}.csv") as temporary:
                tables[name].to_csv(temporary, index=False)
    return replace(found, **tables)
