"""A model of gender in a bundle: cross-validated, as recorded and changed, and trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sercourse import bundles, evaluate
from sercourse.experiment import training
from sercourse.experiment.dataset import GENDER, Dataset
from sercourse.experiment.evaluation import RECORDED, fit_fold, make_folds, with_probabilities
from sercourse.labels import GENDERS
from sercourse.recipes import Model, Recipe, Report, silent

RIGHT_WHEN_SURE = 0.998
"""Share of right answers wanted; answers less sure than that takes are "unknown"."""
ELSEWHERE = "elsewhere"  # in place of a protocol: clips of another corpus


def train_gender(
    folder: str | Path,
    recipe: Recipe,
    data: Dataset,
    *,
    elsewhere: Dataset | None = None,
    report: Report = silent,
) -> Path:
    """Cross-validate a classifier of gender, train it, and put it into a bundle.

    It is tested on new voices, as they were recorded and changed as the training copies are. The
    models of emotions stay as they are, and features that they share are computed once.

    Parameters
    ----------
    folder : path
        Of the bundle; a model of this kind that it holds already is replaced.
    recipe : Recipe
    data : Dataset
        With target ``gender``.
    elsewhere : Dataset, optional
        Clips of another corpus that the trained model is tried on. Where nobody says whose voices
        they are, each clip is compared with most clips of its speaker.
    report : callable
        Gets a line for each step.

    Raises
    ------
    ValueError
        If recipe and bundle have other sample rates.
    RuntimeError
        If the exported model does not compute the same probabilities.
    """
    bundle, protocol = bundles.load(folder), data.usual_protocol
    if recipe.features.sr != bundle.sample_rate:
        raise ValueError(
            f"recipe {recipe.name!r} hears at {recipe.features.sr} Hz and model {bundle.name!r} at "
            f"{bundle.sample_rate} Hz: choose a recipe of the same rate"
        )
    tables = []
    for fold in make_folds(data, protocol=protocol):
        report(f"{fold.name}: training without {', '.join(fold.test_speakers)}")
        model, _ = fit_fold(recipe, data, fold, protocol=protocol)
        table = _judged(recipe, model, data, fold.test)
        tables.append(table.assign(protocol=protocol, fold=fold.name))
    report(f"training {recipe.name} on all {len(data.y)} clips ({GENDER})")
    model, X = fit_fold(recipe, data, data.everything, protocol=protocol)
    if elsewhere is not None:
        table = _judged(recipe, model, elsewhere, elsewhere.everything.test)
        if table["truth"].isna().any():
            recorded = table[table["condition"].eq(RECORDED)]
            said = pd.Series(evaluate.answers(recorded, labels=GENDERS)[0], recorded.index)
            most = said.groupby(recorded["speaker"]).agg(lambda names: names.mode()[0])
            table["truth"] = table["speaker"].map(most)
        tables.append(table.assign(protocol=ELSEWHERE, fold=elsewhere.corpus))
    predictions = pd.concat(tables, ignore_index=True)
    told = {"recipe": recipe.name, "corpus": data.corpus, **gender_figures(predictions)}
    contents: dict[str, bytes | str] = {
        bundles.GENDER_MODEL: training.exported(model, X)[".onnx"],
        "gender-predictions.csv": training.csv(predictions),
    }
    gender = {
        **training.member_info(recipe),
        "files": {"model": bundles.GENDER_MODEL},
        "labels": list(data.labels),
        "corpus": training.corpus_info(data),
        "trained": training.today(),
        "threshold": told["threshold"],
    }
    metrics = {GENDER: told | training.selection(recipe.name, data)}
    return training.renew(bundle, contents, metrics=metrics, gender=gender)


def _judged(recipe: Recipe, model: Model, data: Dataset, rows: Any) -> pd.DataFrame:
    """Return what a model says of clips as they were recorded, and of each copy of them."""
    clips = data.clips[["clip_id", "speaker", "gender", "emotion"]].iloc[rows]
    names = [RECORDED, *("+".join(each.kind for each in copy) for copy in recipe.augmentations)]
    tables = [
        with_probabilities(
            clips.assign(truth=clips["gender"], condition=name),
            model.predict_proba(X[rows]),
            GENDERS,
        )
        for name, X in zip(names, (data.X, *data.copies), strict=True)
    ]
    return pd.concat(tables, ignore_index=True)


def gender_figures(predictions: pd.DataFrame) -> dict[str, Any]:
    """Return every figure that follows from predictions of gender.

    Parameters
    ----------
    predictions : pandas.DataFrame
        As `train_gender` writes them: out of fold, in each condition, and of another corpus.

    Returns
    -------
    dict
        `threshold`: below which probability an answer is "unknown". Reported answers of a fold
        follow the threshold that the other folds found. `protocols`: what `evaluate.summarize`
        says of the clips as recorded. `conditions`, `by_emotion` (as recorded) and `elsewhere`:
        `accuracy` of all answers, `coverage`, the share that is sure enough, and `accuracy_sure`
        (None where none is).
    """
    said, P = evaluate.answers(predictions, labels=GENDERS)
    rows = predictions.assign(right=predictions["truth"] == said, p=P.max(axis=1))
    is_own = rows["protocol"].ne(ELSEWHERE)
    own = rows[is_own]
    threshold = _threshold(own)
    limits = {fold: _threshold(own[own["fold"].ne(fold)]) for fold in own["fold"].unique()}
    rows["sure"] = rows["p"] >= rows["fold"].map(limits).fillna(threshold)
    own, other = rows[is_own], rows[~is_own]
    recorded = own[own["condition"].eq(RECORDED)]
    summary = evaluate.summarize(recorded, emotions=GENDERS)
    protocol = {"protocol": str(recorded["protocol"].iloc[0]), "classes": list(GENDERS)}
    told: dict[str, Any] = {
        "threshold": threshold,
        "protocols": [summary | protocol],
        "conditions": _by(own, "condition"),
        "by_emotion": _by(recorded, "emotion"),
    }
    if len(other):
        told["elsewhere"] = {
            "corpus": str(other["fold"].iloc[0]),
            "truth": "known" if other["gender"].notna().all() else "most clips of the speaker",
            "conditions": _by(other, "condition"),
        }
    return told


def _by(rows: pd.DataFrame, column: str) -> dict[str, dict[str, Any]]:
    told = {}
    for name, part in rows.groupby(column, sort=False):
        sure = training.coverage(part["right"], part["sure"])
        told[str(name)] = {
            "n_scored": len(part),
            "accuracy": float(part["right"].mean()),
            "coverage": sure["coverage"],
            "accuracy_sure": sure["accuracy"],
        }
    return told


def _threshold(rows: pd.DataFrame) -> float:
    """Return the lowest probability from which on answers are right as often as they are to be."""
    surest = rows.sort_values("p", ascending=False, kind="stable")
    share = surest["right"].expanding().mean().to_numpy()
    enough = np.flatnonzero(share >= RIGHT_WHEN_SURE)
    return float(surest["p"].iloc[enough[-1]]) if len(enough) else 1.0
