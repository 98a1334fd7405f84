"""The clips of an experiment, what is asked of them, and what a recipe measures on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sercourse import evaluate, features, labels, splits
from sercourse.labels import GENDERS
from sercourse.recipes import Recipe, Report, has_setting, silent, with_settings

Array = NDArray[np.floating]

EMOTION, GENDER, BOTH = TARGETS = ("emotion", "gender", "emotion+gender")


@dataclass(frozen=True, eq=False)
class Dataset:
    """The clips of one experiment and their features.

    Attributes
    ----------
    clips : pandas.DataFrame
        Clip table, one row for each row of `X`.
    X : ndarray, shape (n_clips, ...)
        A row of features or a spectrogram of each clip; without columns for an ensemble.
    copies : tuple of ndarray, shape (n_clips, ...) each
        The same of the recipe's copies; only training sees them.
    emotions : tuple of str
        The label set.
    target : {"emotion", "gender", "emotion+gender"}
        What is asked of a clip.
    corpus_emotions : tuple of str
        All emotions of the corpus; those of the label set by default.
    parts : tuple of Dataset
        The same clips, as each member of an ensemble sees them.
    """

    clips: pd.DataFrame
    X: Array
    copies: tuple[Array, ...]
    emotions: tuple[str, ...]
    target: str = EMOTION
    corpus_emotions: tuple[str, ...] = ()
    parts: tuple[Dataset, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """Classes that a model tells apart, in the order of its probabilities."""
        return class_names(self.target, self.emotions)

    @property
    def truth(self) -> NDArray[np.str_]:
        """Label of each clip."""
        names = self.clips["emotion" if self.target == EMOTION else "gender"]
        names = names + "_" + self.clips["emotion"] if self.target == BOTH else names
        return names.to_numpy(dtype=str)

    @property
    def y(self) -> NDArray[np.intp]:
        """Label of each clip, as its place in `labels`."""
        return pd.Index(self.labels).get_indexer(pd.Index(self.truth))

    @property
    def speakers(self) -> NDArray[np.str_]:
        """Speaker of each clip."""
        return self.clips["speaker"].fillna("").to_numpy(dtype=str)

    @property
    def usual_protocol(self) -> str:
        """Default protocol: ``speaker`` where several are known, of all clips, else ``random``."""
        speakers = self.clips["speaker"]
        return "speaker" if speakers.notna().all() and speakers.nunique() > 1 else "random"

    @property
    def everything(self) -> splits.Fold:
        """All clips on both sides, for a final model."""
        every = np.arange(len(self.clips))
        return splits.Fold("all", every, every)

    @property
    def corpus(self) -> str:
        """Name of the corpus, or of several joined by ``+``."""
        return "+".join(sorted(self.clips["corpus"].unique()))

    @property
    def label_set(self) -> str:
        """Short name of the target and of the choice among the corpus's emotions."""
        missing = [each for each in self.corpus_emotions if each not in self.emotions]
        chosen = "+".join(self.emotions) if missing else "all"
        if len(missing) == 1:
            chosen = f"without-{missing[0]}"
        if self.target == EMOTION:
            return chosen
        return self.target if chosen == "all" else f"{self.target}, {chosen}"

    def summarize(self, predictions: pd.DataFrame) -> dict[str, Any]:
        """Return what `evaluate.summarize` says; of joint labels, of emotion and gender alone, too.

        Parameters
        ----------
        predictions : pandas.DataFrame
            Of these clips, with the columns ``p_<label>``.
        """
        told = evaluate.summarize(predictions, emotions=self.labels)
        if self.target == BOTH:
            told["of_each"] = {}
            for kind in (EMOTION, GENDER):
                rows, names = marginal(predictions, kind), class_names(kind, self.emotions)
                told["of_each"][kind] = evaluate.summarize(rows, emotions=names)
        return told


def class_names(target: str, emotions: Sequence[str]) -> tuple[str, ...]:
    """Return the classes of a target, in the order of a model's probabilities.

    Examples
    --------
    >>> class_names("emotion+gender", ["happy", "sad"])
    ('female_happy', 'male_happy', 'female_sad', 'male_sad')
    """
    if target == BOTH:
        return tuple(f"{gender}_{emotion}" for emotion in emotions for gender in GENDERS)
    return tuple(emotions) if target == EMOTION else GENDERS


def marginal(predictions: pd.DataFrame, target: str) -> pd.DataFrame:
    """Return predictions of emotion or of gender alone: sums of joint probabilities.

    Parameters
    ----------
    predictions : pandas.DataFrame
        Of the target ``emotion+gender``.
    target : {"emotion", "gender"}

    Examples
    --------
    >>> pairs = pd.DataFrame({"truth": ["male_sad"], "p_female_sad": [0.25], "p_male_sad": [0.75]})
    >>> marginal(pairs, "gender").to_dict("records")
    [{'truth': 'male', 'p_female': 0.25, 'p_male': 0.75}]
    """
    place = (GENDER, EMOTION).index(target)
    P = predictions.filter(regex="^p_")
    names = [str(column).removeprefix("p_").split("_", 1)[place] for column in P]
    sums: dict[str, Any] = dict(P.T.groupby([f"p_{name}" for name in names], sort=False).sum().T)
    truth = predictions["truth"].str.split("_", n=1).str[place]
    return predictions.drop(columns=P.columns).assign(truth=truth, **sums)


def by_member(recipe: Recipe, data: Dataset) -> list[tuple[Recipe, Dataset]]:
    """Return each member of a recipe with its features; a lone recipe is its own member.

    With joint labels, networks get a head for emotions and one for genders. Clips without any
    features are those of each member.

    Raises
    ------
    ValueError
        If the clips were prepared for another recipe.
    """
    members = recipe.parts
    parts = data.parts or (data,) * (1 if data.X.size else len(members))
    if len(parts) != len(members):
        raise ValueError(
            f"recipe {recipe.name!r} has {len(members)} member(s) and the clips were measured for "
            f"{len(parts)}: measure them with experiment.prepare for this recipe"
        )
    if data.target == BOTH:
        heads = (len(data.emotions), len(GENDERS))
        both = (with_settings(m, heads=heads) if has_setting(m, "heads") else m for m in members)
        members = tuple(both)
    return list(zip(members, parts, strict=True))


def choose(clips: pd.DataFrame, *, emotions: Sequence[str] | None = None) -> pd.DataFrame:
    """Return the clips of the chosen emotions.

    Raises
    ------
    ValueError
        If an emotion does not occur, or fewer than two do.
    """
    present = labels.in_order(clips["emotion"].dropna())
    wanted = present if emotions is None else emotions
    chosen = labels.subset(wanted, present, lacks="the corpus has no clip of")
    return clips[clips["emotion"].isin(chosen)].reset_index(drop=True)


def dataset_without_features(
    clips: pd.DataFrame,
    *,
    emotions: Sequence[str] | None = None,
    target: str = EMOTION,
    report: Report = silent,
) -> Dataset:
    """Return the clips of an experiment without features: enough to make folds.

    Parameters
    ----------
    clips : pandas.DataFrame
        Clip table, without those that `prepare` would leave out.
    emotions, target, report
        As in `prepare`.

    Raises
    ------
    ValueError
        As `prepare` does.
    """
    if target not in TARGETS:
        raise ValueError(f"unknown target {target!r}: use one of {', '.join(TARGETS)}")
    used = choose(clips, emotions=emotions)
    if target != EMOTION:
        known = used["gender"].isin(GENDERS).fillna(False).to_numpy(dtype=bool)
        if not known.all():
            report(f"left out: {(~known).sum()} clips, as it is not known whose voice they are")
        used = used[known].reset_index(drop=True)
        if len(present := sorted(set(used["gender"]))) < len(GENDERS):
            raise ValueError(
                f"the clips are of {' and '.join(present) or 'no known'} voices: target "
                f"{target!r} needs {' and '.join(GENDERS)} ones; name them in a CSV column 'gender'"
            )
    emotions, every = (labels.in_order(each["emotion"].dropna()) for each in (used, clips))
    return Dataset(used, np.zeros((len(used), 0), np.float32), (), emotions, target, every)


def prepare(
    recipe: Recipe,
    clips: pd.DataFrame,
    *,
    emotions: Sequence[str] | None = None,
    target: str = EMOTION,
    n_jobs: int = 1,
    progress: bool = True,
    report: Report = silent,
) -> Dataset:
    """Compute the features of a recipe for the clips of the chosen emotions.

    Parameters
    ----------
    recipe : Recipe
    clips : pandas.DataFrame
        Clip table.
    emotions : sequence of str, optional
        All that occur by default.
    target : {"emotion", "gender", "emotion+gender"}
        What is asked of a clip.
    n_jobs : int
        Processes that compute features.
    progress : bool
        Show a bar on stderr.
    report : callable
        Gets a line for each clip that could not be used.

    Raises
    ------
    ValueError
        If too few emotions, voices or no clips are left.
    """
    data = dataset_without_features(clips, emotions=emotions, target=target, report=report)
    # All clips are computed, and cached together: other choices of emotions then cost nothing.
    tables = [
        [
            features.feature_table(clips, feature_set=each, n_jobs=n_jobs, progress=progress)
            for each in (member.features, *member.copies)
        ]
        for member in recipe.parts
    ]
    for table, *_ in tables:
        for path, reason in table.rejects.itertuples(index=False):
            report(f"left out: {path}: {reason}")
    found = (table.clip_id for member in tables for table in member)
    usable = set(data.clips["clip_id"]).intersection(*found)
    used = choose(data.clips[data.clips["clip_id"].isin(usable)])
    left = labels.in_order(used["emotion"])
    data = replace(data, clips=used, X=data.X[: len(used)], emotions=left)

    def rows(table: features.Features) -> Array:
        kept = np.isin(table.clip_id, list(usable))
        return table.X if kept.all() else table.X[kept]  # a selection is a copy, tables are large

    parts = [replace(data, X=rows(X), copies=tuple(map(rows, more))) for X, *more in tables]
    return replace(data, parts=tuple(parts)) if recipe.members else parts[0]
