"""A search through the zoo: every estimator with every setting is validated, the best are tested.

What ends is kept in a folder, as tables that people can read, so that the same search goes on where
an earlier one was cut:

- ``search.json``: what is searched, on which clips;
- ``candidates.csv``: each estimator with each of its settings, and its scores on validation clips;
- ``finalists.csv``: the best settings of each estimator, scores on the test side, and times;
- ``predictions.csv``: what each finalist says of each clip of the test side;
- ``sizes.csv``: scores and times of the finalists with fewer training clips.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from numpy.typing import NDArray

from sercourse import corpora, evaluate, files, splits
from sercourse.experiment.candidates import (
    RNN,
    ParamSetting,
    Task,
    candidates,
    timed,
    unfitted,
    validated,
)
from sercourse.experiment.dataset import Array, Dataset
from sercourse.experiment.folds import inner_groups
from sercourse.experiment.ledger import DECIMALS, Row, SearchLog, candidate_row, ranked, rounded
from sercourse.recipes import Report

BALANCES = ("none", "undersample", "weights")
INNER_FOLDS = 3
TIMES = ("fit_seconds", "predict_ms")
SHARES = (0.25, 0.5, 0.75, 1.0)


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
        Task.of(self.task, self.data.emotions)

    @property
    def kind(self) -> Task:
        """The task with its codes."""
        return Task.of(self.task, self.data.emotions, weighted=self.balance == "weights")

    @cached_property
    def y(self) -> NDArray[np.intp]:
        """Code of each clip."""
        return self.kind.targets(list(self.data.clips["emotion"]))

    @cached_property
    def train(self) -> NDArray[np.intp]:
        """The training clips, as many of each emotion where that is wanted."""
        train = self.fold.train
        return train[splits.undersample(self.y[train])] if self.balance == "undersample" else train

    @cached_property
    def groups(self) -> NDArray[np.str_]:
        """What must not be on both sides of an inner split, for each training clip."""
        return inner_groups(self.data, self.protocol, self.train)

    def side(self, clips: NDArray[np.intp]) -> tuple[Array, NDArray[np.intp]]:
        """Return features and codes of some clips."""
        return self.data.X[clips], self.y[clips]

    @property
    def folder(self) -> Path:
        """Where the course keeps what is found: in the cache, named by all of it."""
        told = self.told
        name = f"{told['corpus']}-{told['task']}-{len(told['emotions'])}-{files.digest(told)}"
        return files.cache_dir() / "searches" / name

    @property
    def told(self) -> dict[str, Any]:
        """All of it, as JSON can hold it; what is long as one `key`."""
        truth = self.data.clips["emotion"].to_numpy(dtype=str)[self.fold.test]
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
            "n_test": len(self.fold.test),
            "chance": round(evaluate.chance(truth), DECIMALS),
            "clips": corpora.fingerprint(self.data.clips),
            "versions": files.versions("numpy", "scipy", "scikit-learn", "keras", "tensorflow"),
            "key": files.digest([unfitted(self.kind), self._sides]),
        }

    @property
    def _sides(self) -> list[Any]:
        """What is learnt from and tested on, number by number."""
        tested = self.data.clips["clip_id"].iloc[self.fold.test].tolist()
        return [*self.side(self.train), self.groups, *self.side(self.fold.test), tested]


@dataclass(frozen=True, eq=False)
class Search:
    """The result of a search.

    Attributes
    ----------
    told : mapping
        What was searched, on which clips.
    candidates : pandas.DataFrame
        Best first: `estimator`, `settings` (JSON), `fit_seconds` of processor time, and on
        validation clips `accuracy` and `uar` or, of a regression, the mean `error` in units of
        the code.
    finalists : pandas.DataFrame
        The best of each estimator, best first: the same, the figures of the test side as
        ``test_...``, and `predict_ms` of one clip.
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
        """The estimator that was best on validation clips; the test side has no say in it."""
        return str(self.finalists["estimator"].iloc[0])

    def settings(self, estimator: str | None = None) -> dict[str, Any]:
        """Return the chosen settings of an estimator, the best one by default."""
        rows = dict(zip(self.finalists["estimator"], self.finalists["settings"], strict=True))
        chosen: dict[str, Any] = json.loads(rows[estimator or self.best])
        return chosen

    def confusion(self, estimator: str | None = None) -> NDArray[np.int64]:
        """Count the test clips of each true emotion (row) by answer (column).

        Parameters
        ----------
        estimator : str, optional
            The best one by default.

        Returns
        -------
        ndarray of int, shape (k, k)
            In the order of ``told["emotions"]``.
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
    kind = plan.kind
    wanted = candidates(kind, estimators)
    splits.fewest_groups(plan.data.truth[plan.train], plan.groups)  # knows them by name
    ledger = SearchLog.open(folder, plan.told)
    X, y = plan.side(plan.train)
    tried = validate(
        kind, wanted, X=X, y=y, groups=plan.groups, ledger=ledger, n_jobs=n_jobs, report=report
    )
    for row in tried.drop_duplicates("estimator").to_dict("records"):
        named = {"estimator": row["estimator"], "settings": row["settings"]}
        if ledger.has("finalists", **named):
            continue
        answers, figures = timed(_candidate(row), kind, (X, y), plan.side(plan.fold.test))
        estimator = str(row["estimator"])
        ledger.put("predictions", _answers(plan, answers, estimator=estimator), estimator=estimator)
        ledger.put("finalists", [{**named, **_tested(row, figures)}], estimator=estimator)
        report(f"{row['estimator']}, tested once: {_line(figures)}")
    return _result(ledger, kind, {each.estimator for each in wanted})


def validate(
    task: Task,
    wanted: Sequence[ParamSetting],
    *,
    X: Array,
    y: NDArray[np.intp],
    groups: NDArray[Any],
    ledger: SearchLog | None = None,
    n_jobs: int = 1,
    report: Report = lambda line: None,
) -> pd.DataFrame:
    """Return the scores of candidates on inner splits, best first.

    Parameters
    ----------
    task : Task
    wanted : sequence of ParamSetting
    X : ndarray, shape (n_clips, n_features)
    y : ndarray of int, shape (n_clips,)
        Codes of the task.
    groups : ndarray, shape (n_clips,)
        What must not be on both sides of an inner split.
    ledger : SearchLog, optional
        Knows what ended before, and keeps what ends.
    n_jobs : int
        Processes, as joblib counts them. The recurrent network is trained in this one, after the
        others: TensorFlow takes seconds to load.
    report : callable
        Gets a line for each candidate.
    """
    ledger = SearchLog() if ledger is None else ledger
    parts = splits.inner_splits(y, groups, n_folds=INNER_FOLDS)
    todo = [each for each in wanted if not ledger.has("candidates", **candidate_row(each))]
    if len(todo) < len(wanted):
        report(f"{len(wanted) - len(todo)} of {len(wanted)} candidates are known from before")
    here = [each for each in todo if each.estimator == RNN]
    jobs = (delayed(_job)(each, task, X, y, parts) for each in todo if each not in here)
    elsewhere = Parallel(n_jobs=n_jobs, return_as="generator_unordered")(jobs)
    ended = itertools.chain(elsewhere, (_job(each, task, X, y, parts) for each in here))
    failed = "no candidate is given"
    for number, (candidate, figures) in enumerate(ended, start=1):
        row = candidate_row(candidate)
        named = f"{number} of {len(todo)}: {row['estimator']} {row['settings']}"
        if isinstance(figures, str):
            failed = f"{row['estimator']} {row['settings']} cannot be fitted: {figures}"
            report(f"{named}: left out: {figures}")
            continue
        ledger.add("candidates", [{**row, **rounded(figures)}])
        report(f"{named}: {_line(figures)}")
    rows = [candidate_row(each) for each in wanted]  # grids may have changed since
    known = ledger.table("candidates")
    tried = pd.DataFrame(rows).merge(known) if len(known) else known
    if not len(tried):
        raise ValueError(failed)
    return ranked(task, tried)


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
    ledger = SearchLog.open(folder, plan.told)
    parts = splits.inner_splits(plan.y[plan.train], plan.groups, n_folds=INNER_FOLDS)
    learn, check = (plan.train[part] for part in parts[0])
    drawn = np.random.default_rng(0).permutation(learn)
    for row, share in itertools.product(found.finalists.to_dict("records"), shares):
        some = drawn[: max(2, round(share * len(drawn)))]
        named = {"estimator": row["estimator"], "settings": row["settings"], "n_clips": len(some)}
        if ledger.has("sizes", **named):
            continue
        _, figures = timed(_candidate(row), plan.kind, plan.side(some), plan.side(check))
        ledger.add("sizes", [{**named, **rounded(figures)}])
        report(f"{row['estimator']} on {len(some)} clips: {_line(figures)}")
    chosen = found.finalists[["estimator", "settings"]]
    return replace(found, sizes=chosen.merge(ledger.table("sizes")))


def read_search(folder: str | Path) -> Search:
    """Return a search that ended.

    Raises
    ------
    FileNotFoundError
        If there is none in the folder.
    ValueError
        If it was cut before an estimator was tested.
    """
    ledger = SearchLog.read(files.user_path(folder))
    if not ledger.rows["finalists"]:
        raise ValueError(f"the search in {folder} was cut: run the same command to go on with it")
    kind = Task.of(ledger.told["task"], ledger.told["emotions"])
    return _result(ledger, kind, {row["estimator"] for row in ledger.rows["finalists"]})


def _job(
    candidate: ParamSetting,
    task: Task,
    X: Array,
    y: NDArray[np.intp],
    parts: Sequence[splits.Split],
) -> tuple[ParamSetting, dict[str, float] | str]:
    """Return a candidate with its scores, or with the reason why it cannot be fitted."""
    try:
        return candidate, validated(candidate, task, X, y, parts)
    except ValueError as error:  # such as more neighbours than clips
        return candidate, str(error).partition("\n")[0]


def _candidate(row: Mapping[Any, Any]) -> ParamSetting:
    return ParamSetting(str(row["estimator"]), json.loads(row["settings"]))


def _tested(validated: Mapping[Any, Any], figures: Mapping[str, float]) -> Row:
    """Return the figures of both sides; times are those of the whole training side."""
    times = {name: figures[name] for name in TIMES}
    scores = {name: value for name, value in figures.items() if name not in times}
    known = {name: validated[name] for name in scores}
    return {**known, **rounded(scores, prefix="test_"), **rounded(times)}


def _answers(plan: SearchConfig, answers: NDArray[Any], *, estimator: str) -> list[Row]:
    clips = plan.data.clips.iloc[plan.fold.test]
    told = zip(clips["clip_id"], clips["emotion"], plan.kind.named(answers), answers, strict=True)
    return [
        {"estimator": estimator, "clip_id": clip, "truth": truth, "predicted": str(said)}
        | ({"value": round(float(value), DECIMALS)} if plan.kind.regression else {})
        for clip, truth, said, value in told
    ]


def _result(ledger: SearchLog, task: Task, estimators: set[str]) -> Search:
    tables = {
        name: ledger.table(name, estimators=estimators)
        for name in ("candidates", "finalists", "predictions", "sizes")
    }
    for name in ("candidates", "finalists"):
        tables[name] = ranked(task, tables[name])
    return Search(ledger.told, **tables)


def _line(figures: Mapping[str, float]) -> str:
    shown = []
    if "error" in figures:
        shown.append(f"error {figures['error']:.2f}")
    if "uar" in figures:
        shown.append(f"UAR {figures['uar']:.1%}")
    shown += [f"accuracy {figures['accuracy']:.1%}", f"fitted in {figures['fit_seconds']:.1f} s"]
    return ", ".join(shown)
