"""One fold: divide the clips, normalise both sides by speaker, fit."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sercourse import files, normalize, splits
from sercourse.experiment.dataset import Array, Dataset
from sercourse.recipes import Model, Recipe, Report

NORMALIZED = ("speaker+norm", "speaker+enrol", "corpus+norm", "corpus+enrol")
SIDE = ["clip_id", "content", "emotion", "speaker", "group", "corpus", "split"]
"""Columns of the clip table that results depend on."""

Result = dict[str, Any]


def make_folds(
    data: Dataset, *, protocol: str, seeds: Sequence[int] = range(10)
) -> list[splits.Fold]:
    """Divide the clips of an experiment by a protocol.

    Emotions are stratified whatever the target is, so that all targets have the same folds.
    """
    clips = data.clips
    return splits.make_folds(
        protocol,
        y=data.truth if protocol.startswith("corpus") else clips["emotion"].to_numpy(dtype=str),
        speakers=list(clips["speaker"]),
        groups=clips["group"].to_numpy(dtype=str),
        corpus=clips["corpus"].to_numpy(dtype=str),
        seeds=seeds,
        split=clips["split"].fillna("").to_numpy(dtype=str),
    )


def fit_fold(
    recipe: Recipe,
    data: Dataset,
    fold: splits.Fold,
    *,
    protocol: str,
    report: Report = lambda line: None,
) -> tuple[Model, Array]:
    """Fit a recipe on the training side of a fold; return it and the test side's features.

    Parameters
    ----------
    recipe : Recipe
    data : Dataset
    fold : splits.Fold
    protocol : str
        It says what is normalised, and what inner splits keep together.
    report : callable
        Gets a line now and then.
    """
    run = Run(recipe, data, protocol, report=report)
    return run.fit(fold), run.test_side(fold)


@dataclass(frozen=True, eq=False)
class Run:
    """The trainings of a recipe under a protocol.

    Attributes
    ----------
    recipe : Recipe
    data : Dataset
    protocol : str
    store : Path, optional
        Folder of checkpoints and finished folds.
    report : callable
        Gets a line now and then.
    """

    recipe: Recipe
    data: Dataset
    protocol: str
    store: Path | None = None
    report: Report = lambda line: None

    def fit(self, fold: splits.Fold, selected: Mapping[str, float] | None = None) -> Model:
        """Fit on the training side of a fold.

        Training copies stay on the side of their clip in every inner split. With `selected`,
        epochs and temperature of a final model, nothing is left for validation.
        """
        data, train, learner = self.data, fold.train, self.recipe.learner
        speakers = data.speakers[train]
        versions, rows = [data.X, *data.copies], train  # tables are large: nothing is copied
        if self.normalizes:
            typical = normalize.mean_speaker_stats(data.X[train], speakers)
            # A copy at another speed is another voice: it is normalised by itself.
            versions = [
                normalize.normalize_speakers(each[train], speakers, typical=typical)
                for each in versions
            ]
            rows = np.arange(len(train))
        groups = inner_groups(data, self.protocol, train)
        if selected is None:
            splits.fewest_groups(data.truth[train], groups)  # learners know numbers only
            by_speaker = inner_by_speaker(data, self.protocol, train)
            if _new_voices(data, self.protocol) and not by_speaker:
                self.report(
                    "an emotion has one speaker on the training side: inner validation is by "
                    "recording, which flatters what it chooses"
                )
        weights = corpus_weights(data.clips["corpus"].iloc[train])
        if weights is not None and not learner.takes_weights:
            self.report(
                f"{self.recipe.name} takes no weights: the corpora with more clips count for more"
            )
            weights = None
        return learner.fit(
            versions,
            data.y[train],
            groups=groups,
            n_labels=len(data.labels),
            rows=rows,
            selected=selected,
            folder=self._checkpoints(fold, selected),
            weights=weights,
            report=lambda line: self.report(f"  {fold.name}: {line}"),
        )

    def test_side(self, fold: splits.Fold) -> Array:
        """Return the features of a fold's test side, normalised by speaker if the protocol is.

        The statistics of a speaker come from the clips set aside to enrol it or, without such, from
        all of its clips.
        """
        X, speakers = self.data.X, self.data.speakers
        if not self.normalizes:
            return X[fold.test]
        typical = normalize.mean_speaker_stats(X[fold.train], speakers[fold.train])
        heard = fold.enrol if len(fold.enrol) else fold.test
        own = speakers[fold.test]
        enrolment = {name: X[heard][speakers[heard] == name] for name in np.unique(own)}
        return normalize.normalize_speakers(X[fold.test], own, typical=typical, enrolment=enrolment)

    @property
    def normalizes(self) -> bool:
        """Whether features are normalised by speaker."""
        return self.recipe.normalized and self.protocol in NORMALIZED

    def stored(self, fold: splits.Fold, same: Result, *, kind: str = "") -> Result | None:
        """Return a stored fold; None if it is damaged, or an entry of `same` is another there."""
        try:
            result: Result = json.loads(self._file(fold, kind).read_text("utf-8"))
            return result if all(result[name] == value for name, value in same.items()) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def stored_or_new(
        self, fold: splits.Fold, same: Result, compute: Callable[[], Result], *, kind: str = ""
    ) -> Result:
        """Return a stored fold, or compute and store it."""
        result = self.stored(fold, same, kind=kind)
        if result is None:
            result = {**same, **compute()}
            path = self._file(fold, kind)
            with files.keeping(path.parent):
                files.write_json(path, result)
        return result

    def _file(self, fold: splits.Fold, kind: str) -> Path:
        return self._folder / f"{fold.name.replace(' ', '-')}{kind}.json"

    @cached_property
    def _folder(self) -> Path:
        """Folder of finished folds, named by all that they depend on."""
        key = self._key(np.arange(len(self.data.clips)), [self.protocol])
        folder = f"{self.recipe.name}-{self.data.corpus}-{self.protocol}-{key}"
        return (self.store or files.cache_dir()) / "evaluations" / folder

    def _checkpoints(self, fold: splits.Fold, selected: Mapping[str, float] | None) -> Path | None:
        """Return the folder of a training; protocols with one training side share it."""
        if self.store is None:
            return None
        epochs = selected["epochs"] if selected else None
        key = self._key(
            fold.train, [self.normalizes, _new_voices(self.data, self.protocol), epochs]
        )
        return self.store / "trainings" / f"{self.recipe.name}-{key}"

    def _key(self, rows: NDArray[np.intp], more: list[Any]) -> str:
        """Return a key of the recipe, the versions of libraries, and some clips."""
        data = self.data
        sides = data.clips[SIDE].iloc[rows].fillna("").to_numpy(dtype=str).tolist()
        truth = data.truth[rows].tolist()
        return files.digest([self.recipe.key, list(data.labels), sides, truth, more])


def corpus_weights(corpora: pd.Series) -> NDArray[np.float64] | None:
    """Return the weight of each clip so that all corpora count alike; None if there is one.

    Examples
    --------
    >>> corpus_weights(pd.Series(["a", "a", "a", "b"])).round(2).tolist()
    [0.67, 0.67, 0.67, 2.0]
    """
    sizes = corpora.map(corpora.value_counts()).to_numpy(dtype=float)
    n_corpora = corpora.nunique()
    return len(corpora) / n_corpora / sizes if n_corpora > 1 else None


def inner_groups(data: Dataset, protocol: str, train: NDArray[np.intp]) -> NDArray[np.str_]:
    """Return what inner splits keep together for each training clip: speaker or recording."""
    if inner_by_speaker(data, protocol, train):
        return data.speakers[train]
    return data.clips["group"].to_numpy(dtype=str)[train]


def inner_by_speaker(data: Dataset, protocol: str, train: NDArray[np.intp]) -> bool:
    """Whether inner splits of a training side keep speakers apart.

    They do where the outer split does, if each label has two speakers there at least.
    """
    if not _new_voices(data, protocol) or (data.speakers[train] == "").any():
        return False
    return bool(pd.Series(data.speakers[train]).groupby(data.truth[train]).nunique().min() > 1)


def _new_voices(data: Dataset, protocol: str) -> bool:
    """Whether test speakers are new, as they also are where a split is given between corpora."""
    if protocol != "given" or not data.has_voices:
        return protocol.startswith(("speaker", "corpus"))
    sides = data.clips.groupby("split", dropna=True)["speaker"].agg(set)
    return len(sides) == 2 and not set.intersection(*sides)
