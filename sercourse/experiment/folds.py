"""One fold: divide the clips, normalise both sides, fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sercourse import normalize, splits
from sercourse.experiment.dataset import Array, Dataset
from sercourse.experiment.target import EMOTION
from sercourse.recipes import Model, Recipe, Report

NORMALIZED = ("speaker+norm", "speaker+enrol", "corpus+norm", "corpus+enrol")
SPEAKERS, RECORDINGS = "speakers", "recordings"


def make_folds(
    data: Dataset, *, protocol: str, seeds: Sequence[int] = range(10)
) -> list[splits.Fold]:
    """Divide the clips of an experiment by a protocol.

    Emotions are spread evenly over the folds whatever is asked of the clips, so that answers to
    other questions are given for the same clips. Corpora share what is asked.
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
    selected: Mapping[str, float] | None = None,
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
    selected : mapping, optional
        What the folds found, for a final model that leaves nothing for validation.
    checkpoints : Path, optional
        Where a long training can be resumed from.
    report : callable
        Gets a line now and then.
    """
    versions, rows = [data.X, *data.copies], fold.train  # tables are large: nothing is copied
    if _normalizes(recipe, protocol):
        versions = _normalized_versions(data, fold, [each[rows] for each in versions])
        rows = np.arange(len(rows))
    groups = inner_groups(data, protocol, fold.train)
    if selected is None:
        _refuse_lone_groups(data.truth[fold.train], groups)
        if _is_by_speaker(data, protocol) and inner_unit(data, protocol, fold.train) != SPEAKERS:
            report(
                "an emotion has one speaker on the training side: inner validation is by "
                "recording, which flatters what it chooses"
            )
    told = {}
    if (weights := corpus_weights(data.clips["corpus"].iloc[fold.train])) is not None:
        if recipe.learner.takes_weights:
            told["weights"] = weights
        else:
            report(f"{recipe.name} takes no weights: the corpora with more clips count for more")
    model = recipe.learner.fit(
        versions,
        data.y[fold.train],
        groups=groups,
        n_labels=len(data.labels),
        rows=rows,
        selected=selected,
        folder=checkpoints,
        report=report,
        **told,
    )
    return model, test_side(recipe, data, fold, protocol=protocol)


def corpus_weights(corpora: pd.Series) -> NDArray[np.float64] | None:
    """Return how much each clip counts so that all corpora count alike; None if there is one.

    Examples
    --------
    >>> corpus_weights(pd.Series(["a", "a", "a", "b"])).round(2).tolist()
    [0.67, 0.67, 0.67, 2.0]
    """
    _, places, sizes = np.unique(
        corpora.to_numpy(dtype=str), return_inverse=True, return_counts=True
    )
    return len(corpora) / len(sizes) / sizes[places] if len(sizes) > 1 else None


def test_side(recipe: Recipe, data: Dataset, fold: splits.Fold, *, protocol: str) -> Array:
    """Return the features of a fold's test side, normalised by voice where the protocol says so.

    A voice is known from the clips set aside to enrol it or, where there are none, from all of its
    clips.
    """
    X = data.X[fold.test]
    if not _normalizes(recipe, protocol):
        return X
    speakers = data.speakers
    typical = normalize.mean_speaker_stats(data.X[fold.train], speakers[fold.train])
    heard = fold.enrol if len(fold.enrol) else fold.test
    enrolment = {
        name: data.X[heard][speakers[heard] == name] for name in np.unique(speakers[fold.test])
    }
    return normalize.normalize_speakers(
        X, speakers[fold.test], typical=typical, enrolment=enrolment
    )


def _normalizes(recipe: Recipe, protocol: str) -> bool:
    return recipe.normalized and protocol in NORMALIZED


def _normalized_versions(
    data: Dataset, fold: splits.Fold, versions: Sequence[Array]
) -> list[Array]:
    """Normalise the training versions by voice; a copy at another speed is another voice."""
    train = data.speakers[fold.train]
    typical = normalize.mean_speaker_stats(versions[0], train)
    return [normalize.normalize_speakers(each, train, typical=typical) for each in versions]


def _refuse_lone_groups(names: NDArray[np.str_], groups: NDArray[np.str_]) -> None:
    """Refuse an emotion that no inner split could have on both sides, by its name.

    Learners know the emotions by number only.
    """
    splits.fewest_groups(names, groups)


def inner_groups(data: Dataset, protocol: str, train: NDArray[np.intp]) -> NDArray[np.str_]:
    """Return what inner splits keep together, for each clip of a training side.

    It is the speaker or the recording, as `inner_unit` says.
    """
    by_speaker = inner_unit(data, protocol, train) == SPEAKERS
    return data.speakers[train] if by_speaker else data.clips["group"].to_numpy(dtype=str)[train]


def inner_unit(data: Dataset, protocol: str, train: NDArray[np.intp]) -> str:
    """Return ``speakers`` or ``recordings``: what inner splits of a training side keep together.

    Speakers where the outer split is by speaker, if each label has two there at least. Of a corpus
    of two speakers one is left to learn from: then recordings have to do.
    """
    if not _is_by_speaker(data, protocol) or (data.speakers[train] == "").any():
        return RECORDINGS
    voices = pd.Series(data.speakers[train]).groupby(data.truth[train]).nunique()
    return SPEAKERS if voices.min() > 1 else RECORDINGS


def _is_by_speaker(data: Dataset, protocol: str) -> bool:
    """Whether test voices are new, as they also are where a split is given between corpora."""
    if protocol != "given" or not data.has_voices:
        return protocol.startswith(("speaker", "corpus"))
    sides = data.clips.groupby("split", dropna=True)["speaker"].agg(set)
    return len(sides) == 2 and not set.intersection(*sides)


def training_key(
    recipe: Recipe,
    data: Dataset,
    fold: splits.Fold,
    *,
    protocol: str,
    selected: Mapping[str, float] | None = None,
) -> list[Any]:
    """Return what a training depends on, for `files.digest`.

    Protocols that share it, such as ``speaker+norm`` and ``speaker+enrol``, share one training.
    """
    sides = data.clips.iloc[fold.train][["clip_id", "content", "emotion", "speaker", "group"]]
    weighs = data.clips["corpus"].iloc[fold.train].nunique() > 1 and recipe.learner.takes_weights
    return [
        recipe.key,
        _normalizes(recipe, protocol),
        _is_by_speaker(data, protocol),
        list(data.emotions),
        sides.fillna("").to_numpy(dtype=str).tolist(),
        selected["epochs"] if selected else False,
        *asked(data),
        *(["corpora weigh the same"] if weighs else []),
    ]


def asked(data: Dataset) -> list[Any]:
    """Return what is asked of the clips, if not the emotion: for the keys of what is stored."""
    return [] if data.target == EMOTION else [data.target, data.truth.tolist()]
