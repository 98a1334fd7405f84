"""Cross-validated evaluation of a recipe, fold by fold; finished folds are stored and read back."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sercourse import bundles, corpora, evaluate, files, networks, splits
from sercourse.bundles.masking import renormalized
from sercourse.bundles.reading import read_json
from sercourse.experiment.dataset import (
    BOTH,
    EMOTION,
    GENDER,
    Dataset,
    by_member,
    class_names,
    marginal,
)
from sercourse.experiment.folds import NORMALIZED, Result, Run, inner_by_speaker, make_folds
from sercourse.recipes import Recipe, Report, has_setting, with_settings

DECIMALS = 5  # of stored probabilities; every figure is computed from the rounded ones

ENROLLED = "+enrol"  # such protocols are compared with those of the name before it
SELECTED = ("epochs", "temperature")
CALIBRATION = "calibration of {}"  # key of an ensemble's temperature in `Evaluation.selected`
FROM_TRAINING = (
    "seconds",
    *SELECTED,
    "n_segments",
    "segment_accuracy",
    "trained_on",
    "shared",
)
"""Metrics of a fold that do not follow from its predictions."""


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
        For each recipe, epochs and temperature of each fold, for a final model. As `CALIBRATION`
        of it, the temperature of an ensemble, or for corpora that were not heard.
    source : str
        ``run here``, ``stored``, ``stored, bfloat16``, ``shipped`` or ``results``.
    """

    predictions: pd.DataFrame
    metrics: dict[str, Any]
    selected: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    source: str = "run here"


def evaluate_recipe(
    recipe: Recipe,
    data: Dataset,
    *,
    protocol: str,
    seeds: Sequence[int] = range(10),
    only: Sequence[str] | None = None,
    store: Path | None = None,
    report: Report = lambda line: None,
) -> Evaluation:
    """Cross-validate a recipe under a protocol; folds that are stored already are read back.

    Parameters
    ----------
    recipe : Recipe
    data : Dataset
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

    Raises
    ------
    ValueError
        If the clips cannot be divided by the protocol, or a fold that is asked for does not exist.

    See Also
    --------
    load_results : Read what is known already; nothing is trained.
    """
    store = files.cache_dir() if store is None else store
    folds = make_folds(data, protocol=protocol, seeds=seeds)
    results: dict[str, list[Result]] = {fold.name: [] for fold in chosen_folds(folds, only)}
    for member, part in by_member(recipe, data):
        run = Run(member, part, protocol, store, report)
        for fold in (fold for fold in folds if fold.name in results):
            if fold.shared:
                told = {name: ", ".join(value) for name, value in _of_split(fold, data).items()}
                report(
                    f"{fold.name}: learnt from {told['trained_on']}; shared and asked: "
                    f"{told['shared']}"
                )
            same = {"clip_id": _tested_clips(fold, part)}
            result = run.stored_or_new(fold, same, partial(_run_fold, run, fold))
            results[fold.name].append(result)
            said = np.argmax(result["probabilities"], axis=1)
            accuracy = np.mean(said == part.y[_tested(fold, part)])
            by_speaker = fold.test_speakers and not fold.shared
            voices = f" ({', '.join(fold.test_speakers)})" if by_speaker else ""
            report(f"{fold.name}{voices}: accuracy {accuracy:.1%} in {result['seconds']:.0f} s")
    found = _evaluation(recipe, data, folds, results, protocol=protocol)
    if not protocol.endswith(ENROLLED):
        return found
    plain = protocol.removesuffix(ENROLLED)
    report(f"{plain}, to compare with")
    settings: dict[str, Any] = {"seeds": seeds, "only": only, "store": store, "report": report}
    return _compared(found, evaluate_recipe(recipe, data, protocol=plain, **settings), data)


def load_results(
    recipe: Recipe,
    data: Dataset,
    *,
    protocol: str,
    seeds: Sequence[int] = range(10),
    store: Path | None = None,
    folders: Sequence[Path] | None = None,
) -> Evaluation | None:
    """Return what is known of a recipe under a protocol; nothing is trained.

    Of several sources the one with the most folds is taken: folds that `evaluate_recipe` stored,
    the same of networks trained in bfloat16, or the predictions that came with the course.

    Parameters
    ----------
    recipe : Recipe
    data : Dataset
        Its features do not matter: `dataset_without_features` is enough.
    protocol, seeds, store
        As in `evaluate_recipe`.
    folders : sequence of Path, optional
        Folders with ``metrics.json`` and ``predictions.csv``, such as bundles; those in `models/`
        and `data/results/` by default.

    Returns
    -------
    Evaluation or None
        Of the folds that are known; the metrics say how many are missing. None if nothing is.

    Raises
    ------
    ValueError
        If the clips cannot be divided by the protocol, or a file of a bundle has changed.
    """
    data = replace(data, X=np.zeros((len(data.clips), 0)), copies=(), parts=())
    folds = make_folds(data, protocol=protocol, seeds=seeds)
    asked = {"stored": recipe}
    if not recipe.members and has_setting(recipe, "precision"):
        asked["stored, bfloat16"] = with_settings(recipe, precision="bfloat16")
    found = []
    for source, each in asked.items():
        runs = [Run(*member, protocol, store) for member in by_member(each, data)]
        results = {}
        for fold in folds:
            same = {"clip_id": _tested_clips(fold, data)}
            read = [result for run in runs if (result := run.stored(fold, same))]
            if len(read) == len(runs):
                results[fold.name] = read
        found.append(_evaluation(each, data, folds, results, protocol=protocol, source=source))
        for folder in matching_folders(each, data, folders=folders):
            found.append(_shipped(folder, each, data, folds, protocol=protocol))
    best = max(found, key=lambda each: len(each.metrics["folds"]))  # of equals the first
    if not best.metrics["folds"]:
        return None
    if not protocol.endswith(ENROLLED):
        return best
    where: dict[str, Any] = {"seeds": seeds, "store": store, "folders": folders}
    plain = load_results(recipe, data, protocol=protocol.removesuffix(ENROLLED), **where)
    return _compared(best, plain, data)


def matching_folders(
    recipe: Recipe, data: Dataset, *, folders: Sequence[Path] | None = None
) -> Iterator[Path]:
    """Yield the folders that tell of this very recipe on these very clips.

    Bundles are verified; other folders name `members` and `corpus` in ``metrics.json``.
    """
    if folders is None:
        results = files.home() / "data" / "results"
        folders = [*bundles.available(), *(path.parent for path in results.glob("*/metrics.json"))]
    wanted = json.loads(json.dumps([each.settings for each in recipe.parts]))
    for folder in folders:
        info = read_json(folder / "metrics.json")
        if info.get("recipe") != recipe.name:
            continue
        if (folder / bundles.INDEX).is_file():
            info = dict(bundles.load(folder).info)
        settings = [each.get("recipe", each) for each in info["members"]]
        fingerprint = corpora.fingerprint(data.clips)
        if settings == wanted and info["corpus"]["fingerprint"] == fingerprint:
            yield folder


def _shipped(
    folder: Path, recipe: Recipe, data: Dataset, folds: Sequence[splits.Fold], *, protocol: str
) -> Evaluation:
    """Return what a folder tells of a protocol and these labels."""
    wanted = (protocol, data.label_set, list(data.emotions))
    entries = read_json(folder / "metrics.json")["protocols"]
    found = [e for e in entries if (e["protocol"], e["labels"], e["emotions"]) == wanted]
    results = {}
    if found:
        by_name = {fold["fold"]: fold for fold in found[0]["folds"]}
        (table,) = sorted(folder.glob("predictions.csv*"))[:1]
        words = ("clip_id", "protocol", "labels", "fold", "truth")
        told = pd.read_csv(table, dtype=dict.fromkeys(words, str))
        told = told[told["protocol"].eq(protocol) & told["labels"].eq(data.label_set)]
        for fold in folds:
            clips, rows = _tested_clips(fold, data), told[told["fold"] == fold.name]
            if sorted(rows["clip_id"]) != sorted(clips):
                continue
            # Clips are scored once or, where voices are enrolled, in several draws, in order.
            if rows["clip_id"].is_unique:
                rows = rows.set_index("clip_id").loc[clips].reset_index()
            if rows["clip_id"].tolist() == clips:
                P = rows[[f"p_{label}" for label in data.labels]].to_numpy(dtype=float)
                results[fold.name] = [{**by_name[fold.name], "probabilities": P.tolist()}]
    source = "shipped" if (folder / bundles.INDEX).is_file() else "results"
    read = _evaluation(
        recipe, data, folds, results, protocol=protocol, source=source, calibrates=False
    )
    if found and len(results) == len(found[0]["folds"]):  # figures that need the segments
        read.metrics.update({k: v for k, v in found[0].items() if "segment" in k})
    return read


def chosen_folds(folds: Sequence[splits.Fold], only: Sequence[str] | None) -> list[splits.Fold]:
    """Return the folds that are asked for by name, or all; refuse a name that none has."""
    names = [fold.name for fold in folds]
    if unknown := [name for name in only or [] if name not in names]:
        raise ValueError(f"there is no fold {unknown[0]!r}: the protocol has {', '.join(names)}")
    return [fold for fold in folds if only is None or fold.name in only]


def _run_fold(run: Run, fold: splits.Fold) -> Result:
    """Fit a fold and judge its test side."""
    data, started = run.data, time.perf_counter()
    model = run.fit(fold)
    asked = np.isin(data.labels, fold.shared or data.labels)
    drawn = splits.draws(fold, data.speakers)
    tests = [run.test_side(each) for each in drawn]
    P = np.concatenate([_among(model.predict_proba(X), asked) for X in tests])
    result: Result = {
        "probabilities": np.round(P, DECIMALS).tolist(),
        "seconds": round(time.perf_counter() - started, 2),
        **{name: round(value, DECIMALS) for name, value in model.selected.items()},
    }
    if isinstance(model, networks.FittedNetwork) and model.segment_floor is not None:
        owner, P = model.predict_segments(tests[0])
        truth, said = data.y[drawn[0].test][owner], _among(P, asked).argmax(axis=1)
        counts: NDArray[np.int64] = np.zeros((len(asked), len(asked)), dtype=np.int64)
        np.add.at(counts, (truth, said), 1)
        result |= {
            "n_segments": len(owner),
            "segment_accuracy": round(evaluate.accuracy(counts), DECIMALS),
            "segment_confusion": counts.tolist(),
        }
    return result


def _among(P: NDArray[np.float64], asked: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return probabilities (n, k) among the labels that are asked; those of the others are 0."""
    if asked.all():
        return P
    among = np.zeros_like(P)
    among[:, asked] = renormalized(P[:, asked])
    return among


def _tested(fold: splits.Fold, data: Dataset) -> NDArray[np.intp]:
    """Return the clips that a fold scores, draw by draw where voices are enrolled."""
    return np.concatenate([each.test for each in splits.draws(fold, data.speakers)])


def _tested_clips(fold: splits.Fold, data: Dataset) -> list[str]:
    names: list[str] = data.clips["clip_id"].iloc[_tested(fold, data)].tolist()
    return names


def _of_split(fold: splits.Fold, data: Dataset) -> dict[str, Any]:
    """Return training corpora and shared labels, where corpora are left out."""
    if not fold.shared:
        return {}
    return {
        "trained_on": sorted(data.clips["corpus"].iloc[fold.train].unique()),
        "shared": [label for label in data.labels if label in fold.shared],
    }


def _evaluation(
    recipe: Recipe,
    data: Dataset,
    folds: Sequence[splits.Fold],
    results: Mapping[str, Sequence[Result]],
    *,
    protocol: str,
    source: str = "run here",
    calibrates: bool = True,
) -> Evaluation:
    """Return predictions and figures of finished folds; `results` has one for each member.

    Ensembles are averaged. They, and models on corpora that were not heard, are calibrated by a
    temperature: that of a fold is found on the other folds.
    """
    done = [fold for fold in folds if fold.name in results]
    if not done:
        return Evaluation(pd.DataFrame(), {"folds": []}, source=source)
    members = list(zip(*(results[fold.name] for fold in done), strict=True))
    tables = [_prediction_rows(data, done, each, protocol=protocol) for each in members]
    predictions = average(tables, weights=recipe.weights) if len(tables) > 1 else tables[0]
    selected = {
        member.name: [
            {name: each[name] for name in SELECTED if name in each}
            for each in own
            if "epochs" in each
        ]
        for member, own in zip(recipe.parts, members, strict=False)
    }
    told: list[dict[str, Any]] = [
        {name: each[name] for name in FROM_TRAINING if name in each} for each in members[0]
    ]
    if calibrates and (len(tables) > 1 or protocol.startswith("corpus")):
        temperature = _temperature(predictions, labels=data.labels)
        selected[CALIBRATION.format(recipe.name)] = [{"temperature": temperature}]
        predictions, temperatures = calibrated(predictions, labels=data.labels)
        told = [
            {
                "seconds": round(sum(each["seconds"] for each in results[fold.name]), 2),
                "temperature": temperatures[fold.name],
            }
            for fold in done
        ]
    summary = _summary(predictions, data)
    for entry, more, fold in zip(summary["folds"], told, done, strict=True):
        entry |= more | _of_split(fold, data)
    by_speaker = all(inner_by_speaker(data, protocol, fold.train) for fold in done)
    sizes = data.clips["corpus"].value_counts().sort_index()
    metrics = {
        "recipe": recipe.name,
        "corpus": data.corpus,
        "protocol": protocol,
        "labels": data.label_set,
        "emotions": list(data.emotions),
        **({} if data.target == EMOTION else {"target": data.target, "classes": list(data.labels)}),
        "n_clips": len(data.clips),
    }
    if len(sizes) > 1:
        metrics["corpora"] = {str(name): int(n) for name, n in sizes.items()}
        metrics["corpora_weighted"] = [m.name for m in recipe.parts if m.learner.takes_weights]
    if len(done) < len(folds):
        metrics |= {"n_folds": len(done), "of_folds": len(folds)}
    metrics |= summary
    if len(members) == 1:
        metrics |= _segment_summary(members[0], protocol=protocol)
    if protocol in NORMALIZED:
        metrics["normalized"] = [member.name for member in recipe.parts if member.normalized]
    metrics["seconds"] = round(sum(each["seconds"] for own in members for each in own), 1)
    metrics["inner_validation"] = "speakers" if by_speaker else "recordings"
    return Evaluation(predictions, metrics, selected, source)


def _prediction_rows(
    data: Dataset, folds: Sequence[splits.Fold], results: Sequence[Result], *, protocol: str
) -> pd.DataFrame:
    tables = []
    for fold, result in zip(folds, results, strict=True):
        rows, drawn = _tested(fold, data), splits.draws(fold, data.speakers)
        clips = data.clips.iloc[rows]
        told: dict[str, Any] = {
            **{name: clips[name].to_numpy() for name in ("clip_id", "speaker", "gender")},
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
        P = pd.DataFrame(result["probabilities"], columns=[f"p_{label}" for label in data.labels])
        tables.append(pd.DataFrame(told).join(P))
    return pd.concat(tables, ignore_index=True)


def _summary(predictions: pd.DataFrame, data: Dataset) -> dict[str, Any]:
    """Return the figures that follow from the predictions; of joint labels, also of each kind."""
    told = evaluate.summarize(predictions, emotions=data.labels)
    if data.target == BOTH:
        told["of_each"] = {
            kind: evaluate.summarize(
                marginal(predictions, kind), emotions=class_names(kind, data.emotions)
            )
            for kind in (EMOTION, GENDER)
        }
    return told


def _segment_summary(results: Sequence[Result], *, protocol: str) -> dict[str, Any]:
    """Return the figures per segment beside those per recording, where the folds have them."""
    if not all("segment_confusion" in result for result in results):
        return {}
    counts = np.sum([result["segment_confusion"] for result in results], axis=0)
    accuracies = [result["segment_accuracy"] for result in results]
    pooled = protocol != "random"  # as of recordings: else the mean over the seeds
    return {
        "n_segments": int(counts.sum()),
        "segment_accuracy": evaluate.accuracy(counts) if pooled else float(np.mean(accuracies)),
        "segment_accuracy_sd": float(np.std(accuracies, ddof=1)) if len(accuracies) > 1 else None,
        "segment_confusion": counts.tolist(),
    }


def _compared(enrolled: Evaluation, plain: Evaluation | None, data: Dataset) -> Evaluation:
    """Set beside a figure of enrolled voices that of the same clips without enrolment."""
    if plain is None or len(plain.metrics["folds"]) < len(enrolled.metrics["folds"]):
        return enrolled
    gain = evaluate.enrolment_gain(enrolled.predictions, plain.predictions, emotions=data.labels)
    return replace(enrolled, metrics={**enrolled.metrics, "without_enrolment": gain})


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
    columns = [str(name) for name in first if str(name).startswith("p_")]
    for other in members[1:]:
        if not first[["clip_id", "fold"]].equals(other[["clip_id", "fold"]]):
            raise ValueError(
                "the members of an ensemble were tested on other clips: evaluate them again on the "
                "same corpus"
            )
    P = np.stack([each[columns].to_numpy(dtype=float) for each in members])
    mean = np.zeros(P.shape[1:])
    for fold in first["fold"].unique():
        own = first["fold"].eq(fold).to_numpy()
        mean[own] = _mean(P[:, own], weights=weights)
    return _with_probabilities(first, columns, mean)


def calibrated(
    predictions: pd.DataFrame, *, labels: Sequence[str]
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Return predictions with temperature-scaled probabilities, and the temperature of each fold.

    That of a fold is fitted on the clips of the other folds; a single fold stays as it is.
    """
    columns = [f"p_{label}" for label in labels]
    P, temperatures = predictions[columns].to_numpy(dtype=float, copy=True), {}
    for fold in predictions["fold"].unique():
        own = predictions["fold"].eq(fold).to_numpy()
        # The seeds of `random` draw their clips anew: those of this fold tell it nothing.
        others = predictions[~predictions["clip_id"].isin(predictions.loc[own, "clip_id"])]
        temperatures[str(fold)] = _temperature(others, labels=labels)
        P[own] = _mean(P[np.newaxis, own], temperature=temperatures[str(fold)])
    return _with_probabilities(predictions, columns, P), temperatures


def _with_probabilities(
    predictions: pd.DataFrame, columns: Sequence[str], P: NDArray[np.float64]
) -> pd.DataFrame:
    return predictions.assign(**dict(zip(columns, np.round(P, DECIMALS).T, strict=True)))


def _mean(P: NDArray[np.float64], **settings: Any) -> NDArray[np.float64]:
    """Return the geometric mean of models' probabilities in a fold; what was not asked stays 0."""
    asked = P.any(axis=(0, 1))
    mean = np.zeros(P.shape[1:])
    mean[:, asked] = evaluate.geometric_mean(P[..., asked], **settings)
    return mean


def _temperature(predictions: pd.DataFrame, *, labels: Sequence[str]) -> float:
    """Return the temperature that calibrates probabilities."""
    if predictions.empty:
        return 1.0
    P = predictions[[f"p_{label}" for label in labels]].to_numpy(dtype=float)
    y = pd.Index(labels).get_indexer(pd.Index(predictions["truth"]))
    scores = np.log(np.maximum(P, evaluate.SMALLEST_PROBABILITY))
    return round(networks.temperature(scores, y), DECIMALS)
