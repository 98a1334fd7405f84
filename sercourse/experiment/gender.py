"""A second model for a bundle: whether a voice sounds female or male.

The models of emotions stay as they are; the bundle is written anew around them.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from sercourse import bundles, corpora
from sercourse.experiment.card import with_gender
from sercourse.experiment.dataset import Dataset
from sercourse.experiment.evaluation import DECIMALS, Evaluation
from sercourse.experiment.final import exported, member_info
from sercourse.experiment.folds import fit_fold
from sercourse.experiment.target import GENDER
from sercourse.recipes import Recipe, Report

PREDICTIONS = "gender-predictions.csv"
CARD, METRICS = "README.md", "metrics.json"


def train_gender(
    folder: str | Path,
    recipe: Recipe,
    data: Dataset,
    *,
    evaluations: Sequence[Evaluation],
    report: Report = lambda line: None,
) -> Path:
    """Train a recipe to tell voices apart, and put the model into a bundle.

    What the bundle's models measure on a clip anyway is not measured again for this one.

    Parameters
    ----------
    folder : path
        Of the bundle; a model of this kind that it holds already is replaced.
    recipe : Recipe
    data : Dataset
        With target ``gender``.
    evaluations : sequence of Evaluation
        What is known of the recipe with this target: the bundle's metrics and predictions of it.
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
    report(f"training {recipe.name} on all {len(data.y)} clips (gender)")
    model, X = fit_fold(recipe, data, data.everything, protocol=data.usual_protocol)
    told = {"recipe": recipe.name, "protocols": [each.metrics for each in evaluations]}
    contents = _kept(bundle)
    card = str(contents[CARD], "utf-8")
    contents |= {
        bundles.GENDER_MODEL: exported(model, X)[".onnx"],
        PREDICTIONS: _predictions_csv(evaluations),
        METRICS: json.dumps({**bundle.metrics, "gender": told}, indent=1) + "\n",
        CARD: with_gender(card, told, title=recipe.title),
    }
    info = {name: value for name, value in bundle.info.items() if name not in ("schema", "files")}
    info["gender"] = _info(recipe, data)
    return bundles.save(bundle.folder, info=info, contents=contents)


def _refuse(bundle: bundles.Bundle, recipe: Recipe, data: Dataset) -> None:
    if data.target != GENDER:
        raise ValueError(f"target is {data.target!r}: prepare the clips with target {GENDER!r}")
    if recipe.features.sr != bundle.sample_rate:
        raise ValueError(
            f"recipe {recipe.name!r} hears at {recipe.features.sr} Hz and model {bundle.name!r} at "
            f"{bundle.sample_rate} Hz: choose a recipe of the same rate"
        )


def _kept(bundle: bundles.Bundle) -> dict[str, Any]:
    """Return the files of a bundle as they are."""
    return {name: (bundle.folder / name).read_bytes() for name in bundle.info["files"]}


def _info(recipe: Recipe, data: Dataset) -> Mapping[str, Any]:
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


def _predictions_csv(evaluations: Sequence[Evaluation]) -> str:
    if not evaluations:
        return ""
    table = pd.concat([each.predictions for each in evaluations], ignore_index=True)
    return table.to_csv(index=False, float_format=f"%.{DECIMALS}f")
