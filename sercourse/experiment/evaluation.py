"""A recipe under a protocol, fold by fold; what is finished is stored, and read back."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sercourse import evaluate, files, networks, splits
from sercourse.bundles import renormalized
from sercourse.experiment.dataset import Array, Dataset, EnsembleDataset, by_member
from sercourse.experiment.folds import (
    NORMALIZED,
    RECORDINGS,
    SPEAKERS,
    asked,
    fit_fold,
    inner_unit,
    make_folds,
    test_side,
    training_key,
)
from sercourse.experiment.target import BOTH, EMOTION, GENDER, classes, marginal
from sercourse.recipes import (
    Ensemble,
    Model,
    Recipe,
    Report,
    SegmentModel,
    has_setting,
    with_settings,
)

DECIMALS = 5  # of stored probabilities; every figure is computed from the rounded ones

ENROLLED = "+enrol"  # how protocols end that are compared with those of the name before it
SETTLED = ("epochs", "temperature")
CALIBRATION = "calibration of {}"  # beside what members selected: what calibrates the whole
FROM_SPLIT = ("trained_on", "shared")
FROM_TRAINING = ("seconds", *SETTLED, "n_segments", "segment_accuracy", *FROM_SPLIT)
"""What the metrics of a fold tell that does not follow from its predictions."""


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
        For each recipe, what each fold found and a final model needs: `epochs`, `temperature`. As
        `CALIBRATION` of it, the temperature of an ensemble, or for corpora that were not heard.
    """

    predictions: pd.DataFrame
    metrics: dict[str, Any]
    selected: dict[str, list[dict[str, float]]] = field(default_factory=dict)


def evaluate_recipe(
    recipe: Recipe | Ensemble,
    data: Dataset | EnsembleDataset,
    *,
    protocol: str,
    seeds: Sequence[int] = range(10),
    only: Sequence[str] | None = None,
    store: Path | None = None,
    report: Report = lambda line: None,
) -> Evaluation:
    """Measure a recipe under a protocol; folds that are stored already are read back.

    Parameters
    ----------
    recipe : Recipe or Ensemble
    data : Dataset, or EnsembleDataset for an ensemble
        Of the same recipe. With target ``emotion+gender`` a network gets a head for each of both.
    protocol : str
        A key of `splits.PROTOCOLS`.
    seeds : sequence of int
        For protocol ``random``.
    only : sequence of str, optional
        Names of the folds to run; all by default. The metrics say that the others are missing.
    store : Path, optional
        Folder of what is finished; ``files.cache_dir()`` by default.
    report : callable
        Gets a line for each fold, and on the way through a long one.

    Returns
    -------
    Evaluation

    Raises
    ------
    ValueError
        If the clips cannot be divided by the protocol, or a fold that is asked for does not exist.
    """
    settings: dict[str, Any] = {"seeds": seeds, "only": only, "store": store, "report": report}
    found = _evaluate(recipe, data, protocol=protocol, **settings)
    if not protocol.endswith(ENROLLED):
        return found
    plain = protocol.removesuffix(ENROLLED)
    report(f"{plain}, to compare with")
    return compared(found, _evaluate(recipe, data, protocol=plain, **settings), data)


def _evaluate(
    recipe: Recipe | Ensemble, data: Dataset | EnsembleDataset, *, protocol: str, **settings: Any
) -> Evaluation:
    """Measure each member of a recipe and, of several, average what they say out of fold."""
    evaluations = [
        _evaluate_member(member, part, protocol=protocol, **settings)
        for member, part in by_member(recipe, data)
    ]
    return _as_a_whole(recipe, evaluations, data)


def _as_a_whole(
    recipe: Recipe | Ensemble, evaluations: Sequence[Evaluation], data: Dataset | EnsembleDataset
) -> Evaluation:
    """Return the evaluation of a recipe from those of its members.

    On corpora that were not heard, models are far too sure: that is measured, too, and mended by a
    temperature.
    """
    if isinstance(recipe, Ensemble):
        return _averaged(recipe, evaluations, data)
    (found,) = evaluations
    unheard = str(found.metrics["protocol"]).startswith("corpus")
    return _with_temperature(found, data) if unheard else found


def _evaluate_member(
    recipe: Recipe,
    data: Dataset,
    *,
    protocol: str,
    seeds: Sequence[int],
    only: Sequence[str] | None,
    store: Path | None,
    report: Report,
) -> Evaluation:
    recipe = as_asked(recipe, data)
    folds = make_folds(data, protocol=protocol, seeds=seeds)
    chosen = chosen_folds(folds, only)
    store = files.cache_dir() if store is None else store
    folder = fold_folder(recipe, data, protocol=protocol, store=store)
    results = []
    for fold in chosen:
        if fold.shared:
            report(_shared_line(fold, data))
        result = _stored(folder, fold, data=data)
        if result is None:
            result = _run_fold(recipe, data, fold, protocol=protocol, store=store, report=report)
            with files.keeping(store):
                files.write_json(_fold_file(folder, fold), result)
        results.append(result)
        report(_fold_line(fold, result, data=data))
    return collect_folds(recipe, data, chosen, results, protocol=protocol, of=len(folds))


def compared(enrolled: Evaluation, plain: Evaluation | None, data: Any) -> Evaluation:
    """Set beside a figure of enrolled voices that of the same clips without enrolment."""
    if plain is None or len(plain.metrics["folds"]) < len(enrolled.metrics["folds"]):
        return enrolled
    gain = evaluate.enrolment_gain(enrolled.predictions, plain.predictions, emotions=data.labels)
    return replace(enrolled, metrics={**enrolled.metrics, "without_enrolment": gain})


def stored(
    recipe: Recipe | Ensemble,
    data: Dataset,
    *,
    protocol: str,
    seeds: Sequence[int] = range(10),
    store: Path | None = None,
) -> Evaluation | None:
    """Return what `evaluate_recipe` has stored already; nothing is trained.

    Parameters
    ----------
    recipe : Recipe or Ensemble
        Of an ensemble the folds that all of its members have.
    data : Dataset
        Its features do not matter: `dataset.dataset_without_features` is enough.
    protocol, seeds, store
        As in `evaluate_recipe`.

    Returns
    -------
    Evaluation or None
        Of the folds that are stored; the metrics say how many are missing. None if none is stored.

    Raises
    ------
    ValueError
        If the clips cannot be divided by the protocol.
    """
    store = files.cache_dir() if store is None else store
    found = _stored_folds(recipe, data, protocol=protocol, seeds=seeds, store=store)
    if not protocol.endswith(ENROLLED) or found is None:
        return found
    plain = protocol.removesuffix(ENROLLED)
    told = _stored_folds(recipe, data, protocol=plain, seeds=seeds, store=store)
    return compared(found, told, data)


def _stored_folds(
    recipe: Recipe | Ensemble, data: Dataset, *, protocol: str, seeds: Sequence[int], store: Path
) -> Evaluation | None:
    members = recipe.members if isinstance(recipe, Ensemble) else (recipe,)
    folds = make_folds(data, protocol=protocol, seeds=seeds)
    found = [
        _read(as_asked(each, data), data, folds, protocol=protocol, store=store) for each in members
    ]
    chosen = [fold for fold in folds if all(fold.name in results for results in found)]
    if not chosen:
        return None
    evaluations = [
        collect_folds(
            each,
            data,
            chosen,
            [results[fold.name] for fold in chosen],
            protocol=protocol,
            of=len(folds),
        )
        for each, results in zip(members, found, strict=True)
    ]
    return _as_a_whole(recipe, evaluations, data)


def _read(
    recipe: Recipe, data: Dataset, folds: Sequence[splits.Fold], *, protocol: str, store: Path
) -> dict[str, dict[str, Any]]:
    """Return the folds that are stored, by name."""
    folder = fold_folder(recipe, data, protocol=protocol, store=store)
    read = {fold.name: _stored(folder, fold, data=data) for fold in folds}
    return {name: result for name, result in read.items() if result is not None}


def as_asked(recipe: Recipe, data: Dataset) -> Recipe:
    """Return the recipe, with a head for each kind of label where they are pairs."""
    if data.target != BOTH or not has_setting(recipe, "heads"):
        return recipe
    return with_settings(recipe, heads=(len(data.emotions), len(classes(GENDER, ()))))


def collect_folds(
    recipe: Recipe | Ensemble,
    data: Dataset,
    folds: Sequence[splits.Fold],
    results: Sequence[Mapping[str, Any]],
    *,
    protocol: str,
    of: int,
) -> Evaluation:
    """Return predictions and figures of some finished folds; `of` is how many there are.

    A result has the `probabilities` of the fold's test clips, the `seconds` that it took and,
    where there are any, more of `FROM_TRAINING`.
    """
    predictions = pd.concat(
        [
            _prediction_rows(data, fold, result, protocol=protocol)
            for fold, result in zip(folds, results, strict=True)
        ],
        ignore_index=True,
    )
    metrics = _metrics(recipe, data, predictions, results, protocol=protocol, of=of)
    for told, fold in zip(metrics["folds"], folds, strict=True):
        told |= _of_split(fold, data)
    units = {inner_unit(data, protocol, fold.train) for fold in folds}
    metrics["inner_validation"] = RECORDINGS if RECORDINGS in units else SPEAKERS
    selected = [{name: result[name] for name in SETTLED if name in result} for result in results]
    return Evaluation(predictions, metrics, {recipe.name: [each for each in selected if each]})


def average(members: Sequence[pd.DataFrame], *, weights: Sequence[float] = ()) -> pd.DataFrame:
    """Return predictions with the geometric mean of several models' probabilities.

    Parameters
    ----------
    members : sequence of pandas.DataFrame
        Predictions for the same clips in the same order.
    weights : sequence of float
        How much each member counts; alike unless given.

    Raises
    ------
    ValueError
        If they are for other clips.
    """
    first = members[0]
    columns = [name for name in first if str(name).startswith("p_")]
    fixed = first.drop(columns=columns)
    for other in members[1:]:
        if not fixed[["clip_id", "fold"]].equals(other[["clip_id", "fold"]]):
            raise ValueError(
                "the members of an ensemble were tested on other clips: evaluate them again on the "
                "same corpus"
            )
    stacked = np.stack([each[columns].to_numpy(dtype=float) for each in members])
    mean = np.zeros(stacked.shape[1:])
    for fold in first["fold"].unique():
        own = first["fold"].eq(fold).to_numpy()
        mean[own] = _mean(stacked[:, own], weights=weights)
    mean = np.round(mean, DECIMALS)
    return fixed.join(pd.DataFrame(mean, columns=columns, index=fixed.index))


def _mean(P: NDArray[np.float64], **settings: Any) -> NDArray[np.float64]:
    """Return the geometric mean of what models say of a fold; what was not asked stays at 0."""
    asked = P.any(axis=(0, 1))
    mean = np.zeros(P.shape[1:])
    mean[:, asked] = evaluate.geometric_mean(P[..., asked], **settings)
    return mean


def _averaged(
    ensemble: Ensemble, evaluations: Sequence[Evaluation], data: Dataset | EnsembleDataset
) -> Evaluation:
    """Average what the members say of the same folds, and calibrate it."""
    mean = average([each.predictions for each in evaluations], weights=ensemble.weights)
    # Members may divide clips into other segments, or into none.
    told = {k: v for k, v in evaluations[0].metrics.items() if "segment" not in k}
    told |= {"recipe": ensemble.name, **_normalized(ensemble, told["protocol"])}
    told |= _of_corpora(ensemble, data) if "corpora" in told else {}
    told["seconds"] = round(sum(each.metrics["seconds"] for each in evaluations), 1)
    folds = [dict(each) for each in told["folds"]]
    for i, fold in enumerate(folds):
        fold["seconds"] = round(sum(e.metrics["folds"][i]["seconds"] for e in evaluations), 2)
    selected = {name: each for member in evaluations for name, each in member.selected.items()}
    return _with_temperature(Evaluation(mean, {**told, "folds": folds}, selected), data)


def _with_temperature(found: Evaluation, data: Dataset | EnsembleDataset) -> Evaluation:
    """Calibrate an evaluation.

    Each fold is calibrated by a temperature that was found on the other folds; the final model gets
    that of all folds.
    """
    predictions, temperatures = calibrated(found.predictions, labels=data.labels)
    summary = _summary(predictions, data)
    for fold, before in zip(summary["folds"], found.metrics["folds"], strict=True):
        fold |= {name: before[name] for name in ("seconds", *FROM_SPLIT) if name in before}
        fold["temperature"] = temperatures[fold["fold"]]
    temperature = _temperature(found.predictions, labels=data.labels)
    key = CALIBRATION.format(found.metrics["recipe"])
    selected = {**found.selected, key: [{"temperature": temperature}]}
    return Evaluation(predictions, {**found.metrics, **summary}, selected)


def calibrated(
    predictions: pd.DataFrame, *, labels: Sequence[str]
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Return predictions with calibrated probabilities, and the temperature of each fold.

    A fold's temperature is found on what was said of the clips of the other folds; a single fold
    stays as it is.
    """
    columns = [f"p_{label}" for label in labels]
    P, temperatures = predictions[columns].to_numpy(dtype=float, copy=True), {}
    for fold in predictions["fold"].unique():
        own = predictions["fold"].eq(fold).to_numpy()
        # The seeds of `random` draw their clips anew: those of this fold tell it nothing.
        others = predictions[~predictions["clip_id"].isin(predictions.loc[own, "clip_id"])]
        temperatures[str(fold)] = _temperature(others, labels=labels)
        P[own] = _mean(P[np.newaxis, own], temperature=temperatures[str(fold)])
    return predictions.assign(**dict(zip(columns, np.round(P, DECIMALS).T, strict=True))), (
        temperatures
    )


def _temperature(predictions: pd.DataFrame, *, labels: Sequence[str]) -> float:
    """Return by what the logarithms of probabilities are divided to be calibrated."""
    if predictions.empty:
        return 1.0
    P = predictions[[f"p_{label}" for label in labels]].to_numpy(dtype=float)
    y = pd.Categorical(predictions["truth"], categories=list(labels)).codes
    scores = np.log(np.maximum(P, evaluate.SMALLEST_PROBABILITY))
    return round(networks.temperature(scores, np.asarray(y, dtype=np.intp)), DECIMALS)


def _normalized(recipe: Recipe | Ensemble, protocol: str) -> dict[str, list[str]]:
    """Say which members normalise the features by voice, where the protocol does."""
    if protocol not in NORMALIZED:
        return {}
    members = recipe.members if isinstance(recipe, Ensemble) else (recipe,)
    return {"normalized": [each.name for each in members if each.normalized]}


def chosen_folds(folds: Sequence[splits.Fold], only: Sequence[str] | None) -> list[splits.Fold]:
    """Return the folds that are asked for by name, or all; refuse a name that none has."""
    names = [fold.name for fold in folds]
    if unknown := [name for name in only or [] if name not in names]:
        raise ValueError(f"there is no fold {unknown[0]!r}: the protocol has {', '.join(names)}")
    return [fold for fold in folds if only is None or fold.name in only]


def _run_fold(
    recipe: Recipe,
    data: Dataset,
    fold: splits.Fold,
    *,
    protocol: str,
    store: Path,
    report: Report,
) -> dict[str, Any]:
    started = time.perf_counter()
    key = files.digest(training_key(recipe, data, fold, protocol=protocol))
    model, _ = fit_fold(
        recipe,
        data,
        fold,
        protocol=protocol,
        checkpoints=store / "trainings" / f"{recipe.name}-{key}",
        report=lambda line: report(f"  {fold.name}: {line}"),
    )
    drawn = splits.draws(fold, data.speakers)
    tests = [test_side(recipe, data, each, protocol=protocol) for each in drawn]
    asked = np.isin(data.labels, fold.shared or data.labels)
    probabilities = np.concatenate([_among(model.predict_proba(X), asked) for X in tests])
    return {
        "clip_id": data.clips["clip_id"].iloc[tested(fold, data)].tolist(),
        "probabilities": np.round(probabilities, DECIMALS).tolist(),
        "seconds": round(time.perf_counter() - started, 2),
        **{name: round(value, DECIMALS) for name, value in model.selected.items()},
        **_of_segments(model, tests[0], truth=data.y[drawn[0].test], asked=asked),
    }


def _among(P: NDArray[np.float64], asked: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return probabilities (n, k) among the labels that are asked; those of the others are 0."""
    if asked.all():
        return P
    among = np.zeros_like(P)
    among[:, asked] = renormalized(P[:, asked])
    return among


def tested(fold: splits.Fold, data: Dataset) -> NDArray[np.intp]:
    """Return the clips that a fold scores, draw by draw where voices are enrolled."""
    return np.concatenate([each.test for each in splits.draws(fold, data.speakers)])


def _of_segments(
    model: Model, X: Array, *, truth: NDArray[np.intp], asked: NDArray[np.bool_]
) -> dict[str, Any]:
    """Return how a model judges single segments, if it does: what ancestors reported."""
    if not isinstance(model, SegmentModel):
        return {}
    owner, probabilities = model.predict_segments(X)
    counts = np.zeros((len(asked), len(asked)), dtype=np.int64)
    np.add.at(counts, (truth[owner], _among(probabilities, asked).argmax(axis=1)), 1)
    return {
        "n_segments": len(owner),
        "segment_accuracy": round(evaluate.accuracy(counts), DECIMALS),
        "segment_confusion": counts.tolist(),
    }


def fold_folder(recipe: Recipe, data: Dataset, *, protocol: str, store: Path) -> Path:
    """Return the folder of an evaluation's folds, named by all that they depend on.

    The versions of the libraries are among it: after an upgrade all folds are computed anew.
    """
    # What the sides of a split are drawn from: a corrected speaker makes other folds.
    drawn = ["clip_id", "content", "emotion", "speaker", "group", "split"]
    sides = data.clips[drawn].fillna("").to_numpy(dtype=str)
    told = [recipe.key, protocol, list(data.emotions), sides.tolist(), *asked(data)]
    told += ["corpora weigh the same"] if data.clips["corpus"].nunique() > 1 else []
    key = files.digest(told)
    return store / "evaluations" / f"{recipe.name}-{data.corpus}-{protocol}-{key}"


def _fold_file(folder: Path, fold: splits.Fold) -> Path:
    return folder / f"{fold.name.replace(' ', '-')}.json"


def _stored(folder: Path, fold: splits.Fold, *, data: Dataset) -> dict[str, Any] | None:
    """Return a finished fold; what is damaged, or tells of other clips, counts as none."""
    try:
        result: dict[str, Any] = json.loads(_fold_file(folder, fold).read_text("utf-8"))
        clips = data.clips["clip_id"].iloc[tested(fold, data)].tolist()
        return result if result["clip_id"] == clips else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _of_split(fold: splits.Fold, data: Dataset) -> dict[str, Any]:
    """Return which corpora were learnt from and which labels asked, where corpora are left out."""
    if not fold.shared:
        return {}
    return {
        "trained_on": sorted(data.clips["corpus"].iloc[fold.train].unique()),
        "shared": [label for label in data.labels if label in fold.shared],
    }


def _shared_line(fold: splits.Fold, data: Dataset) -> str:
    told = _of_split(fold, data)
    others = [label for label in data.labels if label not in fold.shared]
    not_asked = f"; not asked: {', '.join(others)}" if others else ""
    return (
        f"{fold.name}: learnt from {', '.join(told['trained_on'])}; shared and asked: "
        f"{', '.join(told['shared'])}{not_asked}"
    )


def _fold_line(fold: splits.Fold, result: Mapping[str, Any], *, data: Dataset) -> str:
    accuracy = np.mean(np.argmax(result["probabilities"], axis=1) == data.y[tested(fold, data)])
    by_speaker = fold.test_speakers and not fold.shared
    voices = f" ({', '.join(fold.test_speakers)})" if by_speaker else ""
    return f"{fold.name}{voices}: accuracy {accuracy:.1%} in {result['seconds']:.0f} s"


def _prediction_rows(
    data: Dataset, fold: splits.Fold, result: Mapping[str, Any], *, protocol: str
) -> pd.DataFrame:
    rows, drawn = tested(fold, data), splits.draws(fold, data.speakers)
    clips = data.clips.iloc[rows]
    told: dict[str, Any] = {
        "clip_id": clips["clip_id"].to_numpy(),
        "speaker": clips["speaker"].to_numpy(),
        "gender": clips["gender"].to_numpy(),
        "protocol": protocol,
        "labels": data.label_set,
        "fold": fold.name,
        "truth": data.truth[rows],
    }
    if data.clips["corpus"].nunique() > 1:
        told["corpus"] = clips["corpus"].to_numpy()
    if len(drawn) > 1:
        numbers = np.repeat(np.arange(1, len(drawn) + 1), [len(each.test) for each in drawn])
        told["draw"] = pd.array(numbers, dtype="Int64")
    columns = [f"p_{label}" for label in data.labels]
    return pd.DataFrame(told).join(pd.DataFrame(result["probabilities"], columns=columns))


def _metrics(
    recipe: Recipe | Ensemble,
    data: Dataset,
    predictions: pd.DataFrame,
    results: Sequence[Mapping[str, Any]],
    *,
    protocol: str,
    of: int,
) -> dict[str, Any]:
    """Return the figures of an evaluation; `of` is how many folds the protocol has."""
    summary = _summary(predictions, data)
    for fold, result in zip(summary["folds"], results, strict=True):
        fold |= {name: result[name] for name in FROM_TRAINING if name in result}
    partial = {"n_folds": len(results), "of_folds": of} if len(results) < of else {}
    return {
        "recipe": recipe.name,
        "corpus": data.corpus,
        "protocol": protocol,
        "labels": data.label_set,
        "emotions": list(data.emotions),
        **({} if data.target == EMOTION else {"target": data.target, "classes": list(data.labels)}),
        "n_clips": len(data.clips),
        **_of_corpora(recipe, data),
        **partial,
        **summary,
        **_segment_summary(results, protocol=protocol),
        **_normalized(recipe, protocol),
        "seconds": round(sum(result["seconds"] for result in results), 1),
    }


def _of_corpora(recipe: Recipe | Ensemble, data: Dataset | EnsembleDataset) -> dict[str, Any]:
    """Return how many clips each of several corpora has, and which members let them weigh alike."""
    sizes = data.clips["corpus"].value_counts().sort_index()
    if len(sizes) < 2:
        return {}
    members = recipe.members if isinstance(recipe, Ensemble) else (recipe,)
    weighing = [each.name for each in members if each.learner.takes_weights]
    return {"corpora": {str(k): int(n) for k, n in sizes.items()}, "corpora_weighted": weighing}


def _summary(predictions: pd.DataFrame, data: Dataset | EnsembleDataset) -> dict[str, Any]:
    """Return the figures that follow from the predictions; of pairs, also of each kind."""
    told = evaluate.summarize(predictions, emotions=data.labels)
    if data.target == BOTH:
        told["of_each"] = {
            kind: evaluate.summarize(
                marginal(predictions, kind), emotions=classes(kind, data.emotions)
            )
            for kind in (EMOTION, GENDER)
        }
    return told


def _segment_summary(results: Sequence[Mapping[str, Any]], *, protocol: str) -> dict[str, Any]:
    """Return the figures per segment beside those per recording, where the folds tell them.

    As of recordings, the accuracy is the mean over the seeds of ``random``, and that of all
    segments at once of other protocols.
    """
    if not all("segment_confusion" in result for result in results):
        return {}
    counts = np.sum([result["segment_confusion"] for result in results], axis=0)
    accuracies = [result["segment_accuracy"] for result in results]
    pooled = protocol != "random"
    return {
        "n_segments": int(counts.sum()),
        "segment_accuracy": evaluate.accuracy(counts) if pooled else float(np.mean(accuracies)),
        "segment_accuracy_sd": float(np.std(accuracies, ddof=1)) if len(accuracies) > 1 else None,
        "segment_confusion": counts.tolist(),
    }
