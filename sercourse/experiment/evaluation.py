"""Cross-validated evaluation of a recipe, fold by fold; finished folds are stored and read back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import pandas as pd
from joblib import Parallel, delayed, parallel_config
from msgspec import UNSET, Meta, UnsetType
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix
from sklearn.utils.class_weight import compute_sample_weight

from sercourse import evaluate, files, networks, splits
from sercourse.experiment.dataset import EMOTION, Array, Dataset, by_member
from sercourse.recipes import Model, Recipe, Report, silent

DECIMALS = 5  # of stored probabilities; every figure is computed from the rounded ones

RECORDED = "as recorded"  # the first of the conditions that a model is asked in
ENROLLED = "+enrol"  # such protocols are compared with those of the name before it
SIDE = ["clip_id", "content", "emotion", "speaker", "group", "corpus", "split"]
"""Columns of the clip table that results depend on."""
SELECTED = ("epochs", "temperature")
SEGMENTS = ("n_segments", "segment_accuracy", "segment_confusion")
FROM_TRAINING = ("seconds", *SELECTED, *SEGMENTS[:2], "trained_on", "shared")
"""Metrics of a fold that do not follow from its predictions."""

Result = dict[str, Any]
Share = Annotated[float, Meta(ge=0, le=1)]
Amount = Annotated[float, Meta(ge=0, le=1e9)]
_KINDS = {
    "epochs": Amount,
    "temperature": Annotated[float, Meta(ge=0.01, le=100)],
    "segment_accuracy": Share,
    "segment_confusion": list[list[Amount]],
}
STORED: Any = msgspec.defstruct(
    "Stored", [("seconds", Amount), *((n, kind | UnsetType, UNSET) for n, kind in _KINDS.items())]
)
"""The kind of what is stored of a fold beside its probabilities; what networks add may be unset."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The result of a recipe under a protocol.

    Attributes
    ----------
    predictions : pandas.DataFrame
        Out-of-fold: clip_id, speaker, gender, protocol, labels, fold, truth, ``p_<label>``; of
        several corpora also the corpus. What a fold does not ask for has a probability of 0.
    metrics : dict
        What `evaluate.summarize` says, and what was evaluated, how and in how many seconds. Of the
        target ``emotion+gender`` also `of_each`: what it says of emotions and of genders alone.
    selected : dict of str to list
        For each recipe, epochs and temperature of each fold, for a final model.
    temperature : float or None
        That of an ensemble, or for corpora that were not heard.
    """

    predictions: pd.DataFrame
    metrics: dict[str, Any]
    selected: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    temperature: float | None = None


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
    recipe: Recipe, data: Dataset, fold: splits.Fold, *, protocol: str, report: Report = silent
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
        Folder of checkpoints and finished folds; without it there are no checkpoints.
    report : callable
        Gets a line now and then.
    """

    recipe: Recipe
    data: Dataset
    protocol: str
    store: Path | None = None
    report: Report = silent

    @property
    def members(self) -> list[Run]:
        """The trainings of each member of an ensemble; of any other recipe, its own."""
        pairs = by_member(self.recipe, self.data)
        return [replace(self, recipe=recipe, data=data) for recipe, data in pairs]

    @property
    def told(self) -> dict[str, Any]:
        """What is evaluated, as metrics tell it."""
        return {"recipe": self.recipe.name, "corpus": self.data.corpus, "protocol": self.protocol}

    @property
    def normalizes(self) -> bool:
        """Whether features are normalised by speaker."""
        return self.recipe.normalized and "+" in self.protocol

    def fit(self, fold: splits.Fold, selected: Mapping[str, float] | None = None) -> Model:
        """Fit on the training side of a fold.

        Training copies stay on the side of their clip in every inner split. With `selected`,
        epochs and temperature of a final model, nothing is left for validation.
        """
        data, train, learner = self.data, fold.train, self.recipe.learner
        versions, rows = [data.X, *data.copies], train  # tables are large: nothing is copied
        if self.normalizes:
            from sercourse import normalize

            speakers = data.speakers[train]
            typical = normalize.mean_speaker_stats(data.X[train], speakers)
            # A copy at another speed is another voice: it is normalised by itself.
            versions = [
                normalize.normalize_speakers(each[train], speakers, typical=typical)
                for each in versions
            ]
            rows = np.arange(len(train))
        groups, is_new = inner_groups(data, self.protocol, train), _new_voices(data, self.protocol)
        if selected is None and is_new and not inner_by_speaker(data, self.protocol, train):
            self.report(
                "an emotion has one speaker on the training side: inner validation is by "
                "recording, which flatters what it chooses"
            )
        names, weights = data.clips["corpus"].iloc[train], None
        if names.nunique() > 1 and learner.takes_weights:
            weights = compute_sample_weight("balanced", names)  # all corpora count alike
        elif names.nunique() > 1:
            self.report(
                f"{self.recipe.name} takes no weights: the corpora with more clips count for more"
            )
        folder = None
        if self.store is not None:  # protocols with one training side share its checkpoints
            key = self._key(train, [self.normalizes, is_new, selected and selected["epochs"]])
            folder = self.store / "trainings" / f"{self.recipe.name}-{key}"
        return learner.fit(
            networks.Examples(versions, data.y[train], len(data.labels), rows, weights),
            groups=groups,
            selected=selected,
            folder=folder,
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
        from sercourse import normalize

        typical = normalize.mean_speaker_stats(X[fold.train], speakers[fold.train])
        heard = fold.enrol if len(fold.enrol) else fold.test
        told: Any = {"typical": typical, "enrolment": (X[heard], speakers[heard])}
        return normalize.normalize_speakers(X[fold.test], speakers[fold.test], **told)

    def file(self, fold: splits.Fold, kind: str = "") -> Path:
        """Return where the result of a fold is stored."""
        return self._folder / f"{fold.name.replace(' ', '-')}{kind}.json"

    def stored(self, fold: splits.Fold) -> Result | None:
        """Read the result of a fold; None if there is none of these clips, or it is damaged."""
        names, k = self.rows(fold)["clip_id"].tolist(), len(self.data.labels)

        def fits(result: Result) -> bool:
            msgspec.convert(result, STORED)
            counts = np.array(result.get(SEGMENTS[-1], np.eye(k)))
            return (
                all(len({*each} & {*result}) in (0, len(each)) for each in (SELECTED, SEGMENTS))
                and (*counts.shape, counts.sum()) == (k, k, result.get(SEGMENTS[0], k))
                and are_probabilities(result["probabilities"], (len(names), k))
            )

        return stored(self.file(fold), {"clip_id": names}, fits)

    def rows(self, fold: splits.Fold) -> pd.DataFrame:
        """Return the clips that a fold scores, draw by draw where voices are enrolled."""
        data, columns = self.data, ["clip_id", "speaker", "gender"]
        columns += ["corpus"] if data.clips["corpus"].nunique() > 1 else []
        drawn = [each.test for each in splits.draws(fold, data.speakers)]
        positions = np.concatenate(drawn)
        rows = data.clips[columns].iloc[positions].reset_index(drop=True)
        rows = rows.assign(protocol=self.protocol, labels=data.label_set, fold=fold.name)
        rows["truth"] = data.truth[positions]
        if len(drawn) > 1:
            numbers = np.repeat(np.arange(1, len(drawn) + 1), list(map(len, drawn)))
            rows["draw"] = pd.array(numbers, dtype="Int64")
        return rows

    @cached_property
    def _folder(self) -> Path:
        """Folder of finished folds, named by all that they depend on."""
        key = self._key(np.arange(len(self.data.clips)), [self.protocol])
        folder = f"{self.recipe.name}-{self.data.corpus}-{self.protocol}-{key}"
        return (self.store or files.cache_dir()) / "evaluations" / folder

    def _key(self, rows: NDArray[np.intp], more: list[Any]) -> str:
        """Return a key of the recipe, the versions of libraries, and some clips."""
        data = self.data
        sides = data.clips[SIDE].iloc[rows].fillna("").to_numpy(dtype=str).tolist()
        truth = data.truth[rows].tolist()
        return files.digest([self.recipe.key, list(data.labels), sides, truth, more])


def are_probabilities(table: Any, shape: tuple[int, int]) -> bool:
    """Whether a table has this shape, and each row the probabilities of one clip."""
    P = np.array(msgspec.convert(table, list[list[Share]]))
    return P.shape == shape and bool((abs(P.sum(axis=1) - 1) < evaluate.LARGEST_ERROR).all())


def stored(path: Path, same: Result, fits: Callable[[Result], bool]) -> Result | None:
    """Read a stored result; None if it is damaged, an entry of `same` is another, or it misfits.

    The checksum tells that nothing has changed, not that it ever was a result: `fits` looks at what
    is used of it, and may fail.
    """
    with suppress(OSError, LookupError, AttributeError, TypeError, ValueError):
        result: Result = files.read_sealed(path)
        if all(result.get(name) == value for name, value in same.items()) and fits(result):
            return result
    return None


def stored_or_new(
    path: Path, same: Result, compute: Callable[[], Result], fits: Callable[[Result], bool]
) -> Result:
    """Read a stored result, or compute and store it."""
    result = stored(path, same, fits)
    if result is None:
        result = _kept(path, {**same, **compute()})
    return result


def _kept(path: Path, result: Result) -> Result:
    with files.keeping(path.parent):
        files.write_sealed(path, result)
    return result


def inner_groups(data: Dataset, protocol: str, train: NDArray[np.intp]) -> NDArray[np.str_]:
    """Return what inner splits keep together for each training clip: speaker or recording.

    Raises
    ------
    ValueError
        If a label has one of them only.
    """
    by_speaker = inner_by_speaker(data, protocol, train)
    groups = data.speakers if by_speaker else data.clips["group"].to_numpy(dtype=str)
    splits.fewest_groups(data.truth[train], groups[train])  # learners know numbers only
    return groups[train]


def inner_by_speaker(data: Dataset, protocol: str, train: NDArray[np.intp]) -> bool:
    """Whether inner splits of a training side keep speakers apart.

    They do where the outer split does, if each label has two speakers there at least.
    """
    if not _new_voices(data, protocol) or (data.speakers[train] == "").any():
        return False
    return bool(pd.Series(data.speakers[train]).groupby(data.truth[train]).nunique().min() > 1)


def _new_voices(data: Dataset, protocol: str) -> bool:
    """Whether test speakers are new, as they also are where a split is given between corpora."""
    if protocol != "given" or data.usual_protocol != "speaker":
        return protocol.startswith(("speaker", "corpus"))
    sides = [set(speakers) for _, speakers in data.clips.groupby("split")["speaker"]]
    return len(sides) == 2 and not set.intersection(*sides)


def evaluate_recipe(
    recipe: Recipe,
    data: Dataset,
    *,
    protocol: str,
    seeds: Sequence[int] = range(10),
    only: Sequence[str] | None = None,
    store: Path | None = None,
    report: Report = silent,
) -> Evaluation:
    """Cross-validate a recipe under a protocol; folds that are stored already are read back.

    Parameters
    ----------
    recipe : Recipe
    data : Dataset
        Of the same recipe. With target ``emotion+gender`` a network gets a head for each of both.
    protocol : str
        One of `splits.PROTOCOLS`.
    seeds : sequence of int
        For protocol ``random``.
    only : sequence of str, optional
        Names of the folds to run; all by default. The metrics say that the others are missing.
    store : Path, optional
        Folder of what is finished; ``files.cache_dir()`` by default.
    report : callable
        Gets a line for each fold, and on the way through a long one.

    Raises
    ------
    ValueError
        If the clips cannot be divided by the protocol, or a fold that is asked for does not exist.
    """
    run = Run(recipe, data, protocol, store or files.cache_dir(), report)
    folds = make_folds(data, protocol=protocol, seeds=seeds)
    results: dict[str, list[Result]] = {fold.name: [] for fold in chosen_folds(folds, only)}
    wanted = [(each, fold) for each in run.members for fold in folds if fold.name in results]
    known = [each.stored(fold) for each, fold in wanted]
    # One by one and here, unless `joblib.parallel_config` says otherwise.
    new = Parallel(return_as="generator", batch_size=1, pre_dispatch="n_jobs")(
        delayed(_run_fold)(*each) for each, found in zip(wanted, known, strict=True) if not found
    )
    for (member, fold), found in zip(wanted, known, strict=True):
        rows = member.rows(fold)
        result = found or _kept(
            member.file(fold), {"clip_id": rows["clip_id"].tolist(), **next(new)}
        )
        results[fold.name].append(result)
        right = np.array(data.labels)[np.argmax(result["probabilities"], axis=1)] == rows["truth"]
        voices = f" ({', '.join(fold.test_speakers)})" if fold.test_speakers else ""
        report(f"{fold.name}{voices}: accuracy {right.mean():.1%} in {result['seconds']:.0f} s")
    evaluated = _evaluation(run, folds, results)
    if not protocol.endswith(ENROLLED):
        return evaluated
    plain = protocol.removesuffix(ENROLLED)
    report(f"{plain}, to compare with")
    settings: dict[str, Any] = {"seeds": seeds, "only": only, "store": store, "report": report}
    told = evaluate_recipe(recipe, data, protocol=plain, **settings).predictions
    gain = evaluate.enrolment_gain(evaluated.predictions, told, emotions=data.labels)
    return replace(evaluated, metrics={**evaluated.metrics, "without_enrolment": gain})


def chosen_folds(folds: Sequence[splits.Fold], only: Sequence[str] | None) -> list[splits.Fold]:
    """Return the folds that are asked for by name, or all; refuse a name that none has."""
    names = [fold.name for fold in folds]
    if unknown := [name for name in only or [] if name not in names]:
        raise ValueError(f"there is no fold {unknown[0]!r}: the protocol has {', '.join(names)}")
    return [fold for fold in folds if not only or fold.name in only]


def _run_fold(run: Run, fold: splits.Fold) -> Result:
    """Fit a fold and judge its test side; what is not asked has a probability of 0."""
    data, started = run.data, time.perf_counter()
    with parallel_config(backend="sequential"):  # folds are what runs side by side
        model = run.fit(fold)
    asked = np.isin(data.labels, fold.shared or data.labels)
    drawn = splits.draws(fold, data.speakers)
    tests = [run.test_side(each) for each in drawn]

    def among(P: NDArray[np.float64]) -> NDArray[np.float64]:
        restricted = np.maximum(P, np.finfo(P.dtype).tiny) * asked
        return P if asked.all() else restricted / restricted.sum(axis=1, keepdims=True)

    P = np.concatenate([among(model.predict_proba(X)) for X in tests])
    result: Result = {
        "probabilities": np.round(P, DECIMALS).tolist(),
        "seconds": round(time.perf_counter() - started, 2),
        **{name: round(value, DECIMALS) for name, value in model.selected.items()},
    }
    if isinstance(model, networks.FittedNetwork) and model.segment_floor is not None:
        owner, P = model.predict_segments(tests[0])
        said, names = np.asarray(data.labels)[among(P).argmax(axis=1)], data.truth
        counts = confusion_matrix(names[drawn[0].test][owner], said, labels=list(data.labels))
        result |= {
            "n_segments": len(owner),
            "segment_accuracy": round(float(np.trace(counts) / counts.sum()), DECIMALS),
            "segment_confusion": counts.tolist(),
        }
    return result


def _evaluation(
    run: Run, folds: Sequence[splits.Fold], results: Mapping[str, Sequence[Result]]
) -> Evaluation:
    """Return predictions and figures of finished folds; `results` has one for each member.

    Ensembles are averaged. They, and models on corpora that were not heard, are calibrated by a
    temperature: that of a fold is found on the other folds.
    """
    recipe, data, protocol = run.recipe, run.data, run.protocol
    done = [fold for fold in folds if fold.name in results]
    members = list(zip(*(results[fold.name] for fold in done), strict=True))
    rows = pd.concat([run.rows(fold) for fold in done], ignore_index=True)
    P = (np.concatenate([each["probabilities"] for each in own]) for own in members)
    tables = [with_probabilities(rows, each, data.labels) for each in P]
    predictions = average(tables, labels=data.labels, weights=recipe.weights)
    selected = {
        member.name: [{name: each[name] for name in SELECTED} for each in own if "epochs" in each]
        for member, own in zip(recipe.parts, members, strict=False)
    }
    told = [{name: each[name] for name in FROM_TRAINING if name in each} for each in members[0]]
    temperature = None
    if len(members) > 1 or protocol.startswith("corpus"):
        temperature = _temperature(predictions, labels=data.labels)
        predictions, found = calibrated(predictions, labels=data.labels)
        taken = {name: sum(each["seconds"] for each in results[name]) for name in found}
        told = [{"seconds": round(taken[name], 2), "temperature": t} for name, t in found.items()]
    summary = data.summarize(predictions)
    for entry, more, fold in zip(summary["folds"], told, done, strict=True):
        entry |= more
        if fold.shared:
            entry["trained_on"] = sorted(data.clips["corpus"].iloc[fold.train].unique())
            entry["shared"] = [label for label in data.labels if label in fold.shared]
    by_speaker = all(inner_by_speaker(data, protocol, fold.train) for fold in done)
    sizes = data.clips["corpus"].value_counts().sort_index()
    metrics = {**run.told, "labels": data.label_set, "emotions": list(data.emotions)}
    if data.target != EMOTION:
        metrics |= {"target": data.target, "classes": list(data.labels)}
    metrics["n_clips"] = len(data.clips)
    if len(sizes) > 1:
        metrics["corpora"] = {str(name): int(n) for name, n in sizes.items()}
        metrics["corpora_weighted"] = [m.name for m in recipe.parts if m.learner.takes_weights]
    if len(done) < len(folds):
        metrics |= {"n_folds": len(done), "of_folds": len(folds)}
    metrics |= summary
    if len(members) == 1 and all("segment_confusion" in each for each in members[0]):
        metrics |= _segment_summary(members[0], protocol=protocol)
    if "+" in protocol:
        metrics["normalized"] = [member.name for member in recipe.parts if member.normalized]
    metrics["seconds"] = round(sum(each["seconds"] for each in told), 1)
    metrics["inner_validation"] = "speakers" if by_speaker else "recordings"
    return Evaluation(predictions, metrics, selected, temperature)


def _segment_summary(results: Sequence[Result], *, protocol: str) -> dict[str, Any]:
    """Return the figures per segment beside those per recording."""
    counts = np.sum([result["segment_confusion"] for result in results], axis=0)
    accuracies = [result["segment_accuracy"] for result in results]
    # As of recordings: pooled, but for the seeds, of which it is the mean.
    accuracy = np.mean(accuracies) if protocol == "random" else np.trace(counts) / counts.sum()
    return {
        "n_segments": int(counts.sum()),
        "segment_accuracy": float(accuracy),
        "segment_accuracy_sd": float(np.std(accuracies, ddof=1)) if len(accuracies) > 1 else None,
        "segment_confusion": counts.tolist(),
    }


def with_probabilities(rows: pd.DataFrame, P: Any, labels: Sequence[str]) -> pd.DataFrame:
    """Return rows with a column of rounded probabilities, ``p_<label>``, for each label."""
    columns = np.round(np.asarray(P, dtype=float), DECIMALS).T
    return rows.assign(**{f"p_{label}": p for label, p in zip(labels, columns, strict=True)})


def in_conditions(
    rows: pd.DataFrame, told: Iterable[tuple[str, Any]], labels: Sequence[str]
) -> pd.DataFrame:
    """Return rows once for each condition, with what a model says there."""
    tables = [with_probabilities(rows.assign(condition=name), P, labels) for name, P in told]
    return pd.concat(tables, ignore_index=True)


def average(
    members: Sequence[pd.DataFrame], *, labels: Sequence[str], weights: Sequence[float] = ()
) -> pd.DataFrame:
    """Return predictions with the geometric mean of several models' probabilities.

    Parameters
    ----------
    members : sequence of pandas.DataFrame
        Predictions for the same clips in the same order.
    labels : sequence of str
        Of their columns ``p_<label>``.
    weights : sequence of float
        How much each member counts; alike unless given.
    """
    if len(members) == 1:
        return members[0]
    return _combined(members, labels=labels, weights=weights)


def calibrated(
    predictions: pd.DataFrame, *, labels: Sequence[str], by: pd.DataFrame | None = None
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Return predictions with temperature-scaled probabilities, and the temperature of each fold.

    That of a fold is fitted on the clips of the other folds, in the predictions or in those of
    `by`; a single fold stays as it is.
    """
    fitted_on, found = predictions if by is None else by, {}
    for fold, own in predictions.groupby("fold", sort=False):
        # The seeds of `random` draw their clips anew: those of this fold tell it nothing.
        others = fitted_on[~fitted_on["clip_id"].isin(own["clip_id"])]
        found[str(fold)] = _temperature(others, labels=labels)
    column = predictions["fold"].map(found).to_numpy()[:, np.newaxis]
    return _combined([predictions], labels=labels, temperature=column), found


def _combined(
    members: Sequence[pd.DataFrame], *, labels: Sequence[str], **settings: Any
) -> pd.DataFrame:
    """Return the geometric mean of predictions; what a fold does not ask for stays 0."""
    P = np.stack([evaluate.answers(each, labels=labels)[1] for each in members])
    folds = members[0]["fold"].to_numpy()
    highest = pd.DataFrame(P.max(axis=0)).groupby(folds).transform("max").to_numpy()
    mean = evaluate.geometric_mean(P, **settings) * (highest > 0)
    return with_probabilities(members[0], mean / mean.sum(axis=1, keepdims=True), labels)


def _temperature(predictions: pd.DataFrame, *, labels: Sequence[str]) -> float:
    """Return the temperature that calibrates probabilities."""
    if predictions.empty:
        return 1.0
    _, P = evaluate.answers(predictions, labels=labels)
    y = pd.Index(labels).get_indexer(pd.Index(predictions["truth"]))
    scores = np.log(np.maximum(P, evaluate.SMALLEST_PROBABILITY))
    return round(networks.training.temperature(scores, y), DECIMALS)
