"""A second model for a bundle: whether a voice sounds female or male.

The models of emotions stay as they are; the bundle is written anew around them.
"""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sercourse import bundles, corpora, evaluate
from sercourse.experiment.card import with_gender
from sercourse.experiment.dataset import Dataset
from sercourse.experiment.evaluation import DECIMALS
from sercourse.experiment.final import exported, member_info
from sercourse.experiment.folds import fit_fold, make_folds
from sercourse.experiment.selection import selection
from sercourse.experiment.target import GENDER
from sercourse.labels import GENDERS
from sercourse.recipes import Model, Recipe, Report

PREDICTIONS = "gender-predictions.csv"
CARD, METRICS = "README.md", "metrics.json"
RIGHT_WHEN_SURE = 0.998
"""How often answers are to be right: those that are less sure than that takes are "unknown"."""

ELSEWHERE = "elsewhere"  # in place of a protocol: clips of another corpus
RECORDED = "as recorded"
COLUMNS = [f"p_{name}" for name in GENDERS]


def train_gender(
    folder: str | Path,
    recipe: Recipe,
    data: Dataset,
    *,
    elsewhere: Dataset | None = None,
    report: Report = lambda line: None,
) -> Path:
    """Measure how well a recipe tells voices apart, train it, and put it into a bundle.

    It is measured on voices that were not heard, as they were recorded and changed as the training
    copies are. What the bundle's models measure on a clip anyway is not measured again for it.

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

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ValueError
        If something else is asked of the clips, or recipe and bundle hear at different rates.
    RuntimeError
        If the exported model does not compute the same probabilities.
    """
    bundle = bundles.load(folder)
    _refuse(bundle, recipe, data)
    predictions = _out_of_fold(recipe, data, report=report)
    report(f"training {recipe.name} on all {len(data.y)} clips (gender)")
    model, X = fit_fold(recipe, data, data.everything, protocol=data.usual_protocol)
    if elsewhere is not None:
        predictions = pd.concat(
            [predictions, _elsewhere(recipe, model, elsewhere)], ignore_index=True
        )
    told = {"recipe": recipe.name, "corpus": data.corpus, **gender_figures(predictions)}
    if known := selection(recipe.name, data):
        told["selection"] = known
    contents: dict[str, bytes | str] = {
        bundles.GENDER_MODEL: exported(model, X)[".onnx"],
        PREDICTIONS: predictions.to_csv(index=False, float_format=f"%.{DECIMALS}f"),
        METRICS: json.dumps({**bundle.metrics, "gender": told}, indent=1) + "\n",
        CARD: with_gender((bundle.folder / CARD).read_text("utf-8"), told, title=recipe.title),
    }
    gender = _info(recipe, data) | {"threshold": told["threshold"]}
    return bundles.renew(bundle, contents, gender=gender)


def gender_figures(predictions: pd.DataFrame) -> dict[str, Any]:
    """Return every figure that follows from predictions of voices.

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
    own = predictions[predictions["protocol"].ne(ELSEWHERE)]
    thresholds = {fold: _threshold(own[own["fold"].ne(fold)]) for fold in own["fold"].unique()}
    threshold = _threshold(own)
    limits = predictions["fold"].map(thresholds).fillna(threshold)
    rows = predictions.assign(
        sure=predictions[COLUMNS].max(axis=1) >= limits, right=_right(predictions)
    )
    own, other = rows.loc[own.index], rows[rows["protocol"].eq(ELSEWHERE)]
    recorded = own[own["condition"].eq(RECORDED)]
    told: dict[str, Any] = {
        "threshold": threshold,
        "protocols": [
            evaluate.summarize(recorded, emotions=GENDERS)
            | {"protocol": str(recorded["protocol"].iloc[0]), "classes": list(GENDERS)}
        ],
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
    return {
        str(name): {
            "n_scored": len(part),
            "accuracy": float(part["right"].mean()),
            "coverage": float(part["sure"].mean()),
            "accuracy_sure": (
                float(part.loc[part["sure"], "right"].mean()) if part["sure"].any() else None
            ),
        }
        for name, part in rows.groupby(column, sort=False)
    }


def _right(rows: pd.DataFrame) -> pd.Series:
    said = np.asarray(GENDERS)[rows[COLUMNS].to_numpy().argmax(axis=1)]
    return rows["truth"].eq(said).astype(bool)


def _threshold(rows: pd.DataFrame) -> float:
    """Return the lowest probability from which on answers are right as often as they are to be."""
    sure, right = rows[COLUMNS].max(axis=1).to_numpy(), _right(rows).to_numpy()
    order = np.argsort(-sure, kind="stable")
    share = np.cumsum(right[order]) / np.arange(1, len(rows) + 1)
    enough = np.flatnonzero(share >= RIGHT_WHEN_SURE)
    return float(sure[order][enough[-1]]) if len(enough) else 1.0


def _out_of_fold(recipe: Recipe, data: Dataset, *, report: Report) -> pd.DataFrame:
    protocol, tables = data.usual_protocol, []
    for fold in make_folds(data, protocol=protocol):
        model, _ = fit_fold(recipe, data, fold, protocol=protocol)
        table = _answers(recipe, model, data, fold.test)
        tables.append(table.assign(protocol=protocol, fold=fold.name))
        right = float(_right(table).mean())
        report(f"{fold.name}: {right:.1%} of clips, as recorded and changed, are told apart")
    return pd.concat(tables, ignore_index=True)


def _elsewhere(recipe: Recipe, model: Model, data: Dataset) -> pd.DataFrame:
    table = _answers(recipe, model, data, data.everything.test)
    table = table.assign(protocol=ELSEWHERE, fold=data.corpus)
    if table["truth"].isna().any():
        said = np.asarray(GENDERS)[table[COLUMNS].to_numpy().argmax(axis=1)]
        recorded = table["condition"].eq(RECORDED)
        most = pd.Series(said)[recorded].groupby(table["speaker"]).agg(lambda x: x.mode()[0])
        table["truth"] = table["speaker"].map(most)
    return table


def _answers(recipe: Recipe, model: Model, data: Dataset, rows: Any) -> pd.DataFrame:
    """Return what a model says of clips as they were recorded, and of each copy of them."""
    clips = data.clips.iloc[rows]
    names = [RECORDED, *("+".join(each.kind for each in copy) for copy in recipe.augmentations)]
    answers = [np.round(model.predict_proba(X[rows]), DECIMALS) for X in (data.X, *data.copies)]
    fixed = clips[["clip_id", "speaker", "gender", "emotion"]].assign(truth=clips["gender"])
    return pd.concat(
        [
            fixed.assign(condition=name, **{COLUMNS[0]: p[:, 0], COLUMNS[1]: p[:, 1]})
            for name, p in zip(names, answers, strict=True)
        ],
        ignore_index=True,
    )


def _refuse(bundle: bundles.Bundle, recipe: Recipe, data: Dataset) -> None:
    if data.target != GENDER:
        raise ValueError(f"target is {data.target!r}: prepare the clips with target {GENDER!r}")
    if recipe.features.sr != bundle.sample_rate:
        raise ValueError(
            f"recipe {recipe.name!r} hears at {recipe.features.sr} Hz and model {bundle.name!r} at "
            f"{bundle.sample_rate} Hz: choose a recipe of the same rate"
        )


def _info(recipe: Recipe, data: Dataset) -> dict[str, Any]:
    """Return what `bundle.json` tells of the model: as of a member, and what it learned from."""
    return {
        **member_info(recipe),
        "files": {"model": bundles.GENDER_MODEL},
        "labels": list(data.labels),
        "corpus": {
            "name": data.corpus,
            "fingerprint": corpora.fingerprint(data.clips),
            "n_clips": len(data.clips),
            "n_speakers": int(data.clips["speaker"].nunique()),
        },
        "trained": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
