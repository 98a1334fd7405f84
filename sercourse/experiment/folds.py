"""One fold: divide the clips, normalise both sides, fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sercourse import normalize, splits
from sercourse.experiment.dataset import Array, Dataset
from sercourse.recipes import Model, Recipe, Report

NORMALIZED = ("speaker+norm", "speaker+enrol")


def make_folds(
    data: Dataset, *, protocol: str, seeds: Sequence[int] = range(10)
) -> list[splits.Fold]:
    """Divide the clips of an experiment by a protocol."""
    clips = data.clips
    return splits.make_folds(
        protocol,
        y=clips["emotion"].to_numpy(dtype=str),
        speakers=list(clips["speaker"]),
        groups=clips["group"].to_numpy(dtype=str),
        corpus=data.corpus,
        seeds=seeds,
        split=clips["split"].fillna("").to_numpy(dtype=str),
    )


def fit_fold(
    recipe: Recipe,
    data: Dataset,
    fold: splits.Fold,
    *,
    protocol: str,
    settled: Mapping[str, float] | None = None,
    checkpoints: Path | None = None,
    report: Report = lambda line: None,
) -> tuple[Model, Array]:
    """Fit a recipe on the training side of a fold; return it and the test side's features.

    Training copies stay on the side of their clip in every inner split.

    Parameters
    ----------
    recipe : Recipe
    data : Dataset
    fold : splits.Fold
    protocol : str
        It says what is normalised, and what inner splits keep together.
    settled : mapping, optional
        What the folds found, for a final model that leaves nothing for validation.
    checkpoints : Path, optional
        Where a long training can be resumed from.
    report : callable
        Gets a line now and then.
    """
    versions, rows = [data.X, *data.copies], fold.train  # tables are large: nothing is copied
    test = data.X[fold.test]
    if _normalizes(recipe, protocol):
        versions, test = _normalize_sides(data, fold, [each[rows] for each in versions])
        rows = np.arange(len(rows))
    model = recipe.learner.fit(
        versions,
        data.y[fold.train],
        groups=_inner_groups(data, protocol)[fold.train],
        n_labels=len(data.emotions),
        rows=rows,
        settled=settled,
        folder=checkpoints,
        report=report,
    )
    return model, test


def _normalizes(recipe: Recipe, protocol: str) -> bool:
    return recipe.normalized and protocol in NORMALIZED


def _normalize_sides(
    data: Dataset, fold: splits.Fold, versions: Sequence[Array]
) -> tuple[list[Array], Array]:
    """Normalise both sides by voice: the training versions, and the test side's features.

    A copy at another speed is another voice, so its mean and spread are its own. A test voice is
    known from the clips set aside to enrol it or, where there are none, from all of its clips.
    """
    speakers = data.speakers
    train, test = speakers[fold.train], speakers[fold.test]
    typical = normalize.typical_voice(versions[0], train)
    normalized = [normalize.normalize_speakers(each, train, typical=typical) for each in versions]
    heard = fold.enrol if len(fold.enrol) else fold.test
    enrolment = {name: data.X[heard][speakers[heard] == name] for name in np.unique(test)}
    return normalized, normalize.normalize_speakers(
        data.X[fold.test], test, typical=typical, enrolment=enrolment
    )


def _inner_groups(data: Dataset, protocol: str) -> NDArray[np.str_]:
    """Return what inner splits keep together: speakers where the outer split is by speaker."""
    by_speaker = protocol.startswith("speaker")
    return data.speakers if by_speaker else data.clips["group"].to_numpy(dtype=str)


def training_key(
    recipe: Recipe,
    data: Dataset,
    fold: splits.Fold,
    *,
    protocol: str,
    settled: Mapping[str, float] | None = None,
) -> list[Any]:
    """Return what a training depends on, as JSON can hold it.

    Protocols that share it, such as ``speaker+norm`` and ``speaker+enrol``, share one training.
    """
    sides = data.clips.iloc[fold.train][["clip_id", "content", "emotion", "speaker", "group"]]
    return [
        recipe.settings,
        _normalizes(recipe, protocol),
        protocol.startswith("speaker"),
        list(data.emotions),
        sides.fillna("").to_numpy(dtype=str).tolist(),
        settled["epochs"] if settled else False,
    ]
