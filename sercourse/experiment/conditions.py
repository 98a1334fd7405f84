"""A recipe in other recording conditions: each fold's test clips as they are, and changed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sercourse import augment, bundles, corpora, evaluate, features, files, splits
from sercourse.experiment import evaluation, training
from sercourse.experiment.dataset import Dataset
from sercourse.experiment.evaluation import DECIMALS, RECORDED, Evaluation, Result, Run
from sercourse.recipes import Recipe, Report, silent

PROTOCOL = "speaker"


def evaluate_conditions(
    recipe: Recipe,
    data: Dataset,
    *,
    only: Sequence[str] | None = None,
    n_jobs: int = 1,
    store: Path | None = None,
    report: Report = silent,
) -> Evaluation:
    """Cross-validate a recipe on new speakers, in each of `augment.CONDITIONS`.

    Each fold of protocol ``speaker`` is fitted once and asked about its test clips as they were
    recorded and in each condition. Folds that are stored already are read back.

    Parameters
    ----------
    recipe, data, only, store, report
        As in `evaluate_recipe`.
    n_jobs : int
        Processes that compute features.

    Returns
    -------
    Evaluation
        Its predictions have a row for each clip (clip_id, speaker, fold, truth) and, for each
        condition, a column with the answer and one, ``p <condition>``, with its probability. Its
        metrics are those of `condition_figures`, and what was evaluated.

    Raises
    ------
    ValueError
        If there are not at least two known speakers, or a fold that is asked for does not exist.
    """
    run = Run(recipe, data, PROTOCOL, store or files.cache_dir(), report)
    folds = evaluation.make_folds(data, protocol=PROTOCOL)
    chosen = evaluation.chosen_folds(folds, only)
    settings = {name: [each.settings for each in c] for name, c in augment.CONDITIONS.items()}
    members = []
    for member in run.members:
        tables = []
        for fold in chosen:
            clips = data.clips["clip_id"].iloc[fold.test].tolist()
            same, file = {"settings": settings, "tested": clips}, member.file(fold, "-conditions")
            compute = partial(_judged, member, fold, n_jobs=n_jobs)
            result = evaluation.stored_or_new(file, same, compute, partial(_fits, member))
            rows = member.rows(fold).set_index("clip_id").loc[result["clip_id"]].reset_index()
            told = result["probabilities"].items()
            tables.append(evaluation.in_conditions(rows, told, data.labels))
            report(f"{member.recipe.name}, {fold.name}: {len(rows)} clips in {len(settings)} ways")
        members.append(pd.concat(tables, ignore_index=True))
    rows = evaluation.average(members, labels=data.labels, weights=recipe.weights)
    if len(members) > 1:  # as for clips as recorded: the temperature is found on them
        recorded = rows[rows["condition"].eq(RECORDED)]
        rows, _ = evaluation.calibrated(rows, labels=data.labels, by=recorded)
    said, P = evaluate.answers(rows, labels=data.labels)
    rows = rows.assign(said=said, p=P.max(axis=1).round(DECIMALS))
    parts = {str(name): part for name, part in rows.groupby("condition", sort=False)}
    answers = parts[RECORDED][["clip_id", "speaker", "fold", "truth"]].reset_index(drop=True)
    for name, part in parts.items():
        answers = answers.assign(**{name: part["said"].array, f"p {name}": part["p"].array})
    metrics = {**run.told, "classes": list(data.labels), "n_clips": len(answers)}
    if len(chosen) < len(folds):
        metrics |= {"n_folds": len(chosen), "of_folds": len(folds)}
    metrics |= condition_figures(answers, labels=data.labels)
    return Evaluation(answers, metrics)


def _judged(run: Run, fold: splits.Fold, *, n_jobs: int) -> Result:
    """Return what a model says of a fold's test clips in each condition.

    A clip that cannot be used in one of them is left out of all.
    """
    clips = run.data.clips.iloc[fold.test].reset_index(drop=True)
    model, X = run.fit(fold), run.test_side(fold)
    said = {RECORDED: pd.DataFrame(model.predict_proba(X), index=clips["clip_id"])}
    for name, changes in augment.CONDITIONS.items():
        feature_set = features.augmented(run.recipe.features, *changes)
        table = features.feature_table(clips, feature_set=feature_set, n_jobs=n_jobs)
        for path, reason in table.rejects.itertuples(index=False):
            run.report(f"left out, {name}: {path}: {reason}")
        if not len(table.clip_id):
            raise ValueError(f"{name}: no test clip of {fold.name} can be used: {reason}")
        said[name] = pd.DataFrame(model.predict_proba(table.X), index=table.clip_id)
    kept = [each for each in clips["clip_id"] if all(each in P.index for P in said.values())]
    told = {name: P.loc[kept].round(DECIMALS).to_numpy().tolist() for name, P in said.items()}
    return {"clip_id": kept, "probabilities": told}


def _fits(run: Run, result: Result) -> bool:
    """Whether a stored result is one of `_judged`."""
    clips, told = result["clip_id"], result["probabilities"]
    shape = len(clips), len(run.data.labels)
    return (
        list(told) == [RECORDED, *augment.CONDITIONS]
        and clips == [each for each in result["tested"] if each in set(clips)]
        and all(evaluation.are_probabilities(each, shape) for each in told.values())
    )


def condition_figures(answers: pd.DataFrame, *, labels: Sequence[str]) -> dict[str, Any]:
    """Return every figure that follows from answers in several conditions.

    Parameters
    ----------
    answers : pandas.DataFrame
        As the predictions of `evaluate_conditions`.

    Returns
    -------
    dict
        `conditions`: of each `accuracy`, its `accuracy_interval` over speakers (None where there
        is none), `uar`, `ece` and `loss`, the accuracy below that of the clips as recorded.
        `mean_loss`: over all conditions but that. `interval`: how intervals are found.
    """
    truth, speakers = (answers[name].to_numpy(dtype=str) for name in ("truth", "speaker"))
    told: dict[str, dict[str, Any]] = {}
    for name in (each for each in answers if f"p {each}" in answers):
        said, sure = answers[name].to_numpy(dtype=str), answers[f"p {name}"].to_numpy(dtype=float)
        accuracy = float(np.mean(said == truth))
        told[str(name)] = {
            "accuracy": accuracy,
            "accuracy_interval": evaluate.interval_or_none(said == truth, speakers),
            "uar": evaluate.unweighted_average_recall(truth, said),
            "ece": evaluate.calibration_error(sure[:, np.newaxis], said == truth),
            "loss": told[RECORDED]["accuracy"] - accuracy if told else 0.0,
        }
    return {
        "conditions": told,
        "mean_loss": float(np.mean([part["loss"] for part in told.values()][1:])),
        "interval": evaluate.interval_method(len(np.unique(speakers))),
    }


def add_conditions(folder: str | Path, recipe: Recipe, data: Dataset, measured: Evaluation) -> Path:
    """Write what was measured in other conditions into a bundle; its models stay as they are.

    Parameters
    ----------
    folder : path
        Of the bundle.
    recipe, data
        By which, and of which clips, the bundle was made.
    measured : Evaluation
        Of `evaluate_conditions`.

    Raises
    ------
    ValueError
        If the bundle was made by other settings or from other clips, or folds are missing.
    """
    bundle = bundles.load(folder)
    settings, clips = [part.settings for part in recipe.parts], corpora.fingerprint(data.clips)
    members = [member["recipe"] for member in bundle.info["members"]]
    found = [bundle.metrics["recipe"], members, bundle.info["corpus"]["fingerprint"]]
    if files.digest(found) != files.digest([recipe.name, settings, clips]):
        raise ValueError(
            f"{folder} was not made by recipe {recipe.name!r} from these {len(data.clips)} clips: "
            "give the recipe and the corpus that its bundle.json names, or train it anew"
        )
    told = measured.metrics
    if "n_folds" in told:
        raise ValueError(
            f"{told['n_folds']} of {told['of_folds']} folds were measured: a bundle tells of all"
        )
    card = training.described(bundle.info, {**bundle.metrics, "conditions": told})
    return bundles.renew(bundle, {"conditions.csv": training.csv(measured.predictions), **card})
