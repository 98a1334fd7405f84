"""The clips of an experiment, and what a recipe measures on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import overload

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sercourse import bundles, features, labels, splits
from sercourse.experiment import target as targets
from sercourse.recipes import Ensemble, Recipe, Report

Array = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Dataset:
    """The clips of one experiment and their features.

    Attributes
    ----------
    clips : pandas.DataFrame
        Clip table, one row for each row of `X`.
    X : ndarray, shape (n_clips, ...)
        A row of features or a spectrogram of each clip.
    copies : tuple of ndarray, shape (n_clips, ...) each
        The same of the recipe's copies; only training sees them.
    emotions : tuple of str
        The label set.
    target : str
        What is asked of a clip, one of `target.TARGETS`.
    """

    clips: pd.DataFrame
    X: Array
    copies: tuple[Array, ...]
    emotions: tuple[str, ...]
    target: str = targets.EMOTION

    @property
    def labels(self) -> tuple[str, ...]:
        """What a model tells apart: the emotions, or what else `target` says."""
        return targets.classes(self.target, self.emotions)

    @property
    def truth(self) -> NDArray[np.str_]:
        """Label of each clip."""
        return targets.truth(self.target, self.clips)

    @property
    def y(self) -> NDArray[np.intp]:
        """Label of each clip, as its place in `labels`.

        Numbers keep the one order of emotions, where scikit-learn would sort names by the alphabet.
        """
        place = {label: k for k, label in enumerate(self.labels)}
        return np.array([place[label] for label in self.truth])

    @property
    def speakers(self) -> NDArray[np.str_]:
        """Speaker of each clip."""
        return self.clips["speaker"].fillna("").to_numpy(dtype=str)

    @property
    def has_voices(self) -> bool:
        """Whether every clip's speaker is known, and there are several."""
        return bool(self.clips["speaker"].notna().all() and self.clips["speaker"].nunique() > 1)

    @property
    def usual_protocol(self) -> str:
        """What is asked unless somebody says otherwise: new voices, where voices are known."""
        return "speaker" if self.has_voices else "random"

    @property
    def everything(self) -> splits.Fold:
        """All clips on both sides, for a model that is not tested any more."""
        every = np.arange(len(self.clips))
        return splits.Fold("all", every, every)

    @property
    def corpus(self) -> str:
        """Name of the corpus, or of several joined by ``+``."""
        return "+".join(sorted(self.clips["corpus"].unique()))

    @property
    def label_set(self) -> str:
        """Short name of what is asked, and of the choice among the corpus's emotions."""
        chosen = bundles.label_set(self.emotions, of=self.clips.attrs["emotions"])
        if self.target == targets.EMOTION:
            return chosen
        return self.target if chosen == "all" else f"{self.target}, {chosen}"

    def of_clips(self, clip_ids: set[str]) -> Dataset:
        """Return the part with some of the clips."""
        kept = self.clips["clip_id"].isin(clip_ids).to_numpy()
        if kept.all():
            return self
        clips = self.clips[kept].reset_index(drop=True)
        clips.attrs = self.clips.attrs
        copies = tuple(each[kept] for each in self.copies)
        return replace(self, clips=clips, X=self.X[kept], copies=copies)

    def without_speakers(self, speakers: Sequence[str]) -> Dataset:
        """Return the part without the clips of some speakers.

        Raises
        ------
        ValueError
            If there is no such speaker.
        """
        known = set(self.speakers)
        if unknown := [name for name in speakers if name not in known]:
            raise ValueError(f"there is no speaker {unknown[0]!r}: use {', '.join(sorted(known))}")
        kept = ~self.clips["speaker"].isin(speakers).to_numpy()
        return self.of_clips(set(self.clips["clip_id"][kept]))

    def of_emotions(self, emotions: Sequence[str]) -> Dataset:
        """Return the part that shows some of the emotions.

        Raises
        ------
        ValueError
            If one of them does not occur, or they are fewer than two.
        """
        chosen = choose(self.clips, emotions=emotions)
        part = self.of_clips(set(chosen["clip_id"]))
        return replace(part, emotions=labels.in_order(chosen["emotion"]))


@dataclass(frozen=True, eq=False)
class EnsembleDataset:
    """The same clips, as each member of an ensemble sees them.

    Attributes
    ----------
    parts : tuple of Dataset
        In the order of the members.
    """

    parts: tuple[Dataset, ...]

    @property
    def clips(self) -> pd.DataFrame:
        """Clip table."""
        return self.parts[0].clips

    @property
    def emotions(self) -> tuple[str, ...]:
        """The label set."""
        return self.parts[0].emotions

    @property
    def labels(self) -> tuple[str, ...]:
        """What a model tells apart."""
        return self.parts[0].labels

    @property
    def target(self) -> str:
        """What is asked of a clip."""
        return self.parts[0].target

    @property
    def has_voices(self) -> bool:
        """Whether every clip's speaker is known, and there are several."""
        return self.parts[0].has_voices

    @property
    def usual_protocol(self) -> str:
        """What is asked unless somebody says otherwise: new voices, where voices are known."""
        return self.parts[0].usual_protocol

    @property
    def corpus(self) -> str:
        """Name of the corpus, or of several joined by ``+``."""
        return self.parts[0].corpus

    def without_speakers(self, speakers: Sequence[str]) -> EnsembleDataset:
        """Return the part without the clips of some speakers."""
        return EnsembleDataset(tuple(part.without_speakers(speakers) for part in self.parts))

    def of_emotions(self, emotions: Sequence[str]) -> EnsembleDataset:
        """Return the part that shows some of the emotions."""
        return EnsembleDataset(tuple(part.of_emotions(emotions) for part in self.parts))


def by_member(
    recipe: Recipe | Ensemble, data: Dataset | EnsembleDataset
) -> list[tuple[Recipe, Dataset]]:
    """Return each member of a recipe with what it sees of the clips; a lone recipe is its own.

    Raises
    ------
    ValueError
        If the clips were prepared for another recipe.
    """
    members = recipe.members if isinstance(recipe, Ensemble) else (recipe,)
    parts = data.parts if isinstance(data, EnsembleDataset) else (data,)
    if isinstance(recipe, Ensemble) != isinstance(data, EnsembleDataset) or len(parts) != len(
        members
    ):
        raise ValueError(
            f"recipe {recipe.name!r} has {len(members)} member(s) and the clips were measured for "
            f"{len(parts)}: measure them with experiment.prepare for this recipe"
        )
    return list(zip(members, parts, strict=True))


def choose(clips: pd.DataFrame, *, emotions: Sequence[str] | None = None) -> pd.DataFrame:
    """Return the clips of the chosen emotions.

    Raises
    ------
    ValueError
        If an emotion does not occur, or fewer than two do.
    """
    present = labels.in_order(clips["emotion"].dropna())
    wanted = present if emotions is None else labels.in_order(emotions)
    if absent := [emotion for emotion in wanted if emotion not in present]:
        raise ValueError(
            f"the corpus has no clip of {', '.join(absent)}: it has {', '.join(present)}"
        )
    if len(wanted) < 2:
        raise ValueError(
            f"the corpus shows {len(wanted)} emotion(s): at least two are needed to classify"
        )
    chosen = clips[clips["emotion"].isin(wanted)].reset_index(drop=True)
    chosen.attrs["emotions"] = clips.attrs.get("emotions", present)
    return chosen


def dataset_without_features(
    clips: pd.DataFrame,
    *,
    emotions: Sequence[str] | None = None,
    target: str = targets.EMOTION,
) -> Dataset:
    """Return the clips of an experiment without any features: enough to read what is stored.

    Parameters
    ----------
    clips : pandas.DataFrame
        Clip table, without those that `prepare` would leave out.
    emotions, target
        As in `prepare`.

    Raises
    ------
    ValueError
        As `prepare` does.
    """
    targets.refuse_unknown(target)
    used = targets.usable(target, choose(clips, emotions=emotions), report=lambda line: None)
    nothing = np.zeros((len(used), 0), dtype=np.float32)
    return Dataset(used, nothing, (), labels.in_order(used["emotion"]), target)


@overload
def prepare(
    recipe: Recipe,
    clips: pd.DataFrame,
    *,
    emotions: Sequence[str] | None = ...,
    target: str = ...,
    n_jobs: int = ...,
    progress: bool = ...,
    report: Report = ...,
) -> Dataset: ...
@overload
def prepare(
    recipe: Ensemble,
    clips: pd.DataFrame,
    *,
    emotions: Sequence[str] | None = ...,
    target: str = ...,
    n_jobs: int = ...,
    progress: bool = ...,
    report: Report = ...,
) -> EnsembleDataset: ...
def prepare(
    recipe: Recipe | Ensemble,
    clips: pd.DataFrame,
    *,
    emotions: Sequence[str] | None = None,
    target: str = targets.EMOTION,
    n_jobs: int = 1,
    progress: bool = True,
    report: Report = lambda line: None,
) -> Dataset | EnsembleDataset:
    """Compute what a recipe measures on the clips of the chosen emotions.

    Parameters
    ----------
    recipe : Recipe or Ensemble
    clips : pandas.DataFrame
        Clip table.
    emotions : sequence of str, optional
        All that occur by default.
    target : str
        What is asked of a clip: ``emotion``, ``gender`` or ``emotion+gender``.
    n_jobs : int
        Processes that compute features.
    progress : bool
        Show a bar on stderr.
    report : callable
        Gets a line for each clip that could not be used.

    Returns
    -------
    Dataset, or EnsembleDataset for an ensemble

    Raises
    ------
    ValueError
        If too few emotions, voices or no clips are left.
    """
    targets.refuse_unknown(target)

    def part(member: Recipe) -> Dataset:
        return _prepare(
            member,
            clips,
            emotions=emotions,
            target=target,
            n_jobs=n_jobs,
            progress=progress,
            report=report,
        )

    if isinstance(recipe, Recipe):
        return part(recipe)
    parts = [part(member) for member in recipe.members]
    common = set.intersection(*(set(each.clips["clip_id"]) for each in parts))
    return EnsembleDataset(tuple(each.of_clips(common) for each in parts))


def _prepare(
    recipe: Recipe,
    clips: pd.DataFrame,
    *,
    emotions: Sequence[str] | None,
    target: str,
    n_jobs: int,
    progress: bool,
    report: Report,
) -> Dataset:
    chosen = targets.usable(target, choose(clips, emotions=emotions), report=report)
    # All clips are computed, and cached together: other choices of emotions then cost nothing.
    tables = [
        features.feature_table(clips, feature_set=each, n_jobs=n_jobs, progress=progress)
        for each in (recipe.features, *recipe.copies)
    ]
    for path, reason in tables[0].rejects.itertuples(index=False):
        report(f"left out: {path}: {reason}")
    usable = set(chosen["clip_id"]).intersection(*(table.clip_id for table in tables))
    used = chosen[chosen["clip_id"].isin(usable)].reset_index(drop=True)
    used.attrs = chosen.attrs
    X, *copies = [_rows_of(table, usable) for table in tables]
    return Dataset(used, X, tuple(copies), labels.in_order(used["emotion"]), target)


def _rows_of(table: features.Features, clip_ids: set[str]) -> Array:
    kept = np.isin(table.clip_id, list(clip_ids))
    return table.X if kept.all() else table.X[kept]  # a selection is a copy, and tables are large
