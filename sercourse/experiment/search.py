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
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.metrics import accuracy_score, mean_absolute_error, recall_score
from sklearn.model_selection import ParameterGrid, cross_validate
from threadpoolctl import threadpool_limits

from sercourse import classical, corpora, evaluate, files, labels, networks, splits
from sercourse.experiment.cost import milliseconds
from sercourse.experiment.dataset import Array, Dataset
from sercourse.experiment.folds import inner_groups
from sercourse.recipes import Report
from sercourse.recipes.toolkit import RNN

BALANCES = ("none", "undersample", "weights")
INNER_FOLDS = 3
SHARES = (0.25, 0.5, 0.75, 1.0)
N_TIMED = 3  # predictions, of which the fastest counts: others were disturbed
DECIMALS = 5
INDEX, TABLES = "search.json", ("candidates", "finalists", "predictions", "sizes")

RNN_LAYERS: tuple[dict[str, Any], ...] = (
    {"lstm_units": [128, 128], "dense_units": [128, 128], "dropout": 0.3},
    {"lstm_units": [64], "dense_units": [64], "dropout": 0.3},
)
"""Layers of the recurrent network that a search tries: the toolkit's, and fewer and smaller."""

Row = dict[str, Any]
Side = tuple[Array, NDArray[np.intp]]


class Rnn(BaseEstimator):
    """The recurrent network as a scikit-learn estimator of codes; it always weighs its classes."""

    def __init__(self, codes: Sequence[int] = (), layers: Any = None, regression: bool = False):
        self.codes = codes
        self.layers = layers
        self.regression = regression

    def fit(self, X: Array, y: NDArray[np.intp]) -> Rnn:
        """Train on clips (n_clips, n_features) and their codes."""
        training = networks.RNN_TRAINING
        if self.regression:
            training = replace(training, loss="ordinal")
        learner = networks.NetworkLearner(
            networks.rnn, training, options=self.layers, standardized=True
        )
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


@dataclass(frozen=True)
class Task:
    """What is estimated: which emotion (``classify``), or its place in an order (``regress``).

    Attributes
    ----------
    name : {"classify", "regress"}
    emotions : tuple of str
    weighted : bool
        Whether every emotion counts as much as any other in training.

    Raises
    ------
    ValueError
        If there is no such task, or no order is agreed for the emotions of a regression.

    Examples
    --------
    >>> Task("regress", ("neutral", "happy", "sad")).codes
    {'sad': 0, 'neutral': 1, 'happy': 2}
    """

    name: str
    emotions: tuple[str, ...]
    weighted: bool = False

    def __post_init__(self) -> None:
        if self.name not in ("classify", "regress"):
            raise ValueError(f"unknown task {self.name!r}: use one of classify, regress")
        if self.regression and self.weighted:
            raise ValueError("regressors take no weights of classes: balance by 'undersample'")
        if self.regression:
            labels.codes(self.emotions)  # refuses emotions without an order

    @property
    def regression(self) -> bool:
        """Whether values between codes are estimated."""
        return self.name == "regress"

    @cached_property
    def codes(self) -> dict[str, int]:
        """The number of each emotion."""
        if self.regression:
            return labels.codes(self.emotions)
        return {emotion: k for k, emotion in enumerate(self.emotions)}

    @property
    def zoo(self) -> Mapping[str, Any]:
        """The estimators of scikit-learn that can do it."""
        return classical.REGRESSORS if self.regression else classical.CLASSIFIERS

    def make(self, estimator: str, settings: Mapping[str, Any] | None = None) -> Any:
        """Return an estimator with some settings, not yet fitted."""
        if estimator == RNN:
            return Rnn(list(self.codes.values()), settings, self.regression)
        model = self.zoo[estimator].make().set_params(**(settings or {}))
        return classical.weighted(model) if self.weighted else model

    def candidates(self, estimators: Sequence[str] | None = None) -> list[Row]:
        """Return the estimators, all but ``rnn`` by default, with every setting of their grids.

        Raises
        ------
        ValueError
            If there is no such estimator, or one cannot be weighted as the task wants.
        """
        wanted = list(self.zoo) if estimators is None else list(dict.fromkeys(estimators))
        if unknown := [name for name in wanted if name not in (*self.zoo, RNN)]:
            known = ", ".join((*self.zoo, RNN))
            raise ValueError(f"there is no estimator {unknown[0]!r} to {self.name}: use {known}")
        found = []
        for name in wanted:
            self.make(name)  # refuses what takes no weights
            grid = RNN_LAYERS if name == RNN else ParameterGrid(dict(self.zoo[name].grid))
            found += [{"estimator": name, "settings": json.dumps(dict(each))} for each in grid]
        return found

    def named(self, answers: NDArray[Any]) -> NDArray[np.str_]:
        """Return the emotion whose code lies nearest to each answer."""
        by_code = sorted(self.codes, key=lambda emotion: self.codes[emotion])
        first = self.codes[by_code[0]]
        places = np.clip(np.rint(answers) - first, 0, len(by_code) - 1).astype(int)
        return np.asarray(by_code)[places]

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
        # Of equals the first of its grid comes first, whatever order they ended in.
        ordered = table.sort_values(["estimator", "settings"])
        return ordered.sort_values(
            self.score_names[0], ascending=self.regression, kind="stable", ignore_index=True
        )


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
        Task(self.task, tuple(self.data.emotions), weighted=self.balance == "weights")

    @cached_property
    def kind(self) -> Task:
        """The task with its codes."""
        return Task(self.task, tuple(self.data.emotions), weighted=self.balance == "weights")

    @cached_property
    def y(self) -> NDArray[np.intp]:
        """Code of each clip."""
        codes = [self.kind.codes[emotion] for emotion in self.data.clips["emotion"]]
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
        unfitted = {name: self.kind.zoo[name].make() for name in self.kind.zoo}
        arrays = [each[side] for each in (self.data.X, self.y) for side in (self.train, test)]
        rnn = [networks.RNN_TRAINING, RNN_LAYERS]
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
                [unfitted, rnn, arrays, self.groups, clips["clip_id"].iloc[test].tolist()]
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


@dataclass(frozen=True, eq=False)
class Tables:
    """Rows of finished work by table, also kept as CSV files of a folder if there is one."""

    told: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = None
    rows: dict[str, list[Row]] = field(default_factory=lambda: {name: [] for name in TABLES})

    @classmethod
    def read(cls, folder: Path) -> Tables:
        """Return the tables of a folder; one that is missing or damaged is empty."""
        if not (folder / INDEX).is_file():
            raise FileNotFoundError(f"{folder} holds no search: make one with sercourse search")
        tables = cls(json.loads((folder / INDEX).read_text("utf-8")), folder)
        for name in TABLES:
            with suppress(FileNotFoundError, pd.errors.EmptyDataError, pd.errors.ParserError):
                found = pd.read_csv(folder / f"{name}.csv", dtype={"truth": str, "predicted": str})
                tables.rows[name] = _rows(found)
        return tables

    @classmethod
    def open(cls, folder: str | Path | None, told: Mapping[str, Any]) -> Tables:
        """Return the tables of a search, with what was finished before; refuse another search."""
        if folder is None:
            return cls(told)
        folder = files.user_path(folder)
        files.refuse_unwritable(folder, replaces=INDEX)
        if not (folder / INDEX).is_file():
            files.write_json(folder / INDEX, told)
        tables = cls.read(folder)
        for name, value in told.items():
            if (known := tables.told.get(name)) != value:
                raise ValueError(
                    f"{folder} holds another search, of {name} {known} where {value} is wanted: "
                    "name another folder"
                )
        return tables

    def add(self, table: str, rows: Iterable[Row], *, replacing: str | None = None) -> None:
        """Keep finished rows of a table, in place of those on an estimator if it is named."""
        kept = [row for row in self.rows[table] if row["estimator"] != replacing]
        self.rows[table] = [*kept, *rows]
        if self.folder is not None:
            with files.atomic_path(self.folder / f"{table}.csv") as temporary:
                pd.DataFrame(self.rows[table]).to_csv(temporary, index=False)

    def has(self, table: str, wanted: Row) -> bool:
        """Whether a table has a row with these values."""
        return any(wanted.items() <= row.items() for row in self.rows[table])

    def result(self, task: Task, estimators: Iterable[str]) -> Search:
        """Return the search of some estimators."""
        chosen = {
            name: pd.DataFrame([row for row in rows if row["estimator"] in set(estimators)])
            for name, rows in self.rows.items()
        }
        chosen |= {name: task.ranked(chosen[name]) for name in ("candidates", "finalists")}
        return Search(self.told, **chosen)


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
        Gets a line for each candidate and each finalist.

    Returns
    -------
    Search
        Of these estimators, even if the folder knows more.

    Raises
    ------
    ValueError
        If an estimator is not known or cannot be balanced, or the folder holds another search.
    """
    task, train, test = plan.kind, plan.train, plan.fold.test
    wanted = task.candidates(estimators)
    classical.fewest_groups(plan.data.truth[train], plan.groups)  # knows them by name
    tables = Tables.open(folder, plan.told)
    tried = validate(
        task,
        wanted,
        (plan.data.X[train], plan.y[train]),
        groups=plan.groups,
        tables=tables,
        n_jobs=n_jobs,
        report=report,
    )
    clips = plan.data.clips.iloc[test].rename(columns={"emotion": "truth"})
    for best in _rows(tried.drop_duplicates("estimator")):
        named = {name: best[name] for name in ("estimator", "settings")}
        if tables.has("finalists", named):
            continue
        answers, figures = tested(plan, named, train, test)
        said = clips[["clip_id", "truth"]].assign(predicted=task.named(answers))
        said.insert(0, "estimator", named["estimator"])
        if task.regression:
            said["value"] = answers.astype(float).round(DECIMALS)
        tables.add("predictions", _rows(said), replacing=named["estimator"])
        scores = {f"test_{name}": figures.pop(name) for name in list(figures) if name in best}
        times = {"fit_seconds": scores.pop("test_fit_seconds"), **figures}
        tables.add("finalists", [{**best, **scores, **times}], replacing=named["estimator"])
        report(f"{named['estimator']}, tested once: accuracy {scores['test_accuracy']:.1%}")
    return tables.result(task, {each["estimator"] for each in wanted})


def validate(
    task: Task,
    wanted: Sequence[Row],
    clips: Side,
    *,
    groups: NDArray[Any],
    tables: Tables | None = None,
    n_jobs: int = 1,
    report: Report = lambda line: None,
) -> pd.DataFrame:
    """Cross-validate candidates on inner splits; return their scores, best first.

    Parameters
    ----------
    task : Task
    wanted : sequence of dict
        Of `Task.candidates`.
    clips : tuple of ndarray
        Features (n_clips, n_features) and codes (n_clips,) of the training side.
    groups : ndarray, shape (n_clips,)
        What must not be on both sides of an inner split.
    tables : Tables, optional
        Knows what ended before, and keeps what ends.
    n_jobs : int
        Processes, as joblib counts them. The recurrent network is trained in this one, after the
        others: TensorFlow takes seconds to load.
    report : callable
        Gets a line for each candidate.
    """
    tables = Tables() if tables is None else tables
    parts = classical.inner_splits(clips[1], groups, n_folds=INNER_FOLDS)
    todo = [each for each in wanted if not tables.has("candidates", each)]
    if len(todo) < len(wanted):
        report(f"{len(wanted) - len(todo)} of {len(wanted)} candidates are known from before")
    elsewhere = [each for each in todo if each["estimator"] != RNN]
    here = [each for each in todo if each["estimator"] == RNN]
    ended = itertools.chain(
        Parallel(n_jobs=n_jobs, return_as="generator_unordered")(
            delayed(_validated)(task, row, clips, parts) for row in elsewhere
        ),
        (_validated(task, row, clips, parts) for row in here),
    )
    failed = "no candidate is given"
    for number, (row, figures, reason) in enumerate(ended, start=1):
        named = f"{row['estimator']} {row['settings']}"
        if reason:
            failed = f"{named} cannot be fitted: {reason}"
            report(f"{number} of {len(todo)}: {named}: left out: {reason}")
        else:
            tables.add("candidates", [{**row, **figures}])
            report(f"{number} of {len(todo)}: {named}: accuracy {figures['accuracy']:.1%}")
    known = pd.DataFrame(tables.rows["candidates"])
    if known.empty or not len(tried := pd.DataFrame(wanted).merge(known)):
        raise ValueError(failed)
    return task.ranked(tried)


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
    tables = Tables.open(folder, plan.told)
    parts = classical.inner_splits(plan.y[plan.train], plan.groups, n_folds=INNER_FOLDS)
    learn, check = (plan.train[part] for part in parts[0])
    drawn = np.random.default_rng(0).permutation(learn)
    chosen = found.finalists[["estimator", "settings"]]
    for row, share in itertools.product(_rows(chosen), shares):
        some = drawn[: max(2, round(share * len(drawn)))]
        named = {**row, "n_clips": len(some)}
        if not tables.has("sizes", named):
            _, figures = tested(plan, row, some, check)
            tables.add("sizes", [{**named, **figures}])
            report(f"{row['estimator']} on {len(some)} clips: accuracy {figures['accuracy']:.1%}")
    return replace(found, sizes=chosen.merge(pd.DataFrame(tables.rows["sizes"])))


def read_search(folder: str | Path) -> Search:
    """Return a search that ended.

    Raises
    ------
    FileNotFoundError
        If there is none in the folder.
    ValueError
        If it was cut before an estimator was tested.
    """
    tables = Tables.read(files.user_path(folder))
    if not tables.rows["finalists"]:
        raise ValueError(f"the search in {folder} was cut: run the same command to go on with it")
    task = Task(tables.told["task"], tuple(tables.told["emotions"]))
    return tables.result(task, {row["estimator"] for row in tables.rows["finalists"]})


def tested(
    plan: SearchConfig, row: Row, learn: NDArray[np.intp], check: NDArray[np.intp]
) -> tuple[NDArray[Any], dict[str, float]]:
    """Train a candidate on some clips, judge others; return the answers, scores and times."""
    figures, (model,) = _cross_validated(plan.kind, row, (plan.data.X, plan.y), [(learn, check)])
    X = plan.data.X[check]
    ms = milliseconds(lambda: model.predict(X), runs=N_TIMED) / len(X)
    return model.predict(X), {**figures, "predict_ms": round(ms, DECIMALS)}


def _validated(
    task: Task, row: Row, clips: Side, parts: Sequence[classical.Split]
) -> tuple[Row, dict[str, float], str]:
    """Return a candidate with its mean scores, or with the reason why it cannot be fitted."""
    try:
        return row, _cross_validated(task, row, clips, parts)[0], ""
    except ValueError as error:  # such as more neighbours than clips
        return row, {}, str(error).partition("\n")[0]


def _cross_validated(
    task: Task, row: Row, clips: Side, parts: Sequence[classical.Split]
) -> tuple[dict[str, float], list[Any]]:
    """Return the mean scores and seconds of a candidate over splits, and the fitted models."""
    with threadpool_limits(1), warnings.catch_warnings():
        # How often a perceptron sees the clips is a setting, and no limit to warn of.
        warnings.filterwarnings("ignore", message="Stochastic Optimizer: Maximum iterations")
        found = cross_validate(
            task.make(row["estimator"], json.loads(row["settings"])),
            *clips,
            cv=parts,
            scoring=lambda model, X, y: task.scores(y, model.predict(X)),
            error_score="raise",
            return_estimator=True,
        )
    names = {name: f"test_{name}" for name in task.score_names} | {"fit_seconds": "fit_time"}
    figures = {name: round(float(np.mean(found[key])), DECIMALS) for name, key in names.items()}
    return figures, found["estimator"]


def _rows(table: pd.DataFrame) -> list[Row]:
    rows: Any = table.to_dict("records")
    return list(rows)
