"""A recipe in other recording conditions: each fold's test clips as they are, and changed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sercourse import augment, bundles, evaluate, features, files, splits
from sercourse.experiment.card import with_conditions
from sercourse.experiment.dataset import Dataset, EnsembleDataset, by_member
from sercourse.experiment.evaluation import (
    DECIMALS,
    Evaluation,
    as_asked,
    average,
    calibrated,
    chosen_folds,
    fold_folder,
)
from sercourse.experiment.folds import fit_fold, make_folds, training_key
from sercourse.experiment.reading import bundle_of
from sercourse.experiment.target import EMOTION
from sercourse.recipes import Ensemble, Recipe, Report

PROTOCOL = "speaker"
RECORDED = "as recorded"
CONDITIONS = (RECORDED, *augment.CONDITIONS)
ANSWERS = "conditions.csv"
CARD, METRICS = "README.md", "metrics.json"


def evaluate_conditions(
    recipe: Recipe | Ensemble,
    data: Dataset | EnsembleDataset,
    *,
    only: Sequence[str] | None = None,
    n_jobs: int = 1,
    store: Path | None = None,
    report: Report = lambda line: None,
) -> Evaluation:
    """Measure a recipe on voices that it has not heard, in each of `augment.CONDITIONS`.

    Each fold of protocol ``speaker`` is fitted once and asked about its test clips as they were
    recorded and in each condition. Folds that are stored already are read back.

    Parameters
    ----------
    recipe : Recipe or Ensemble
    data : Dataset, or EnsembleDataset for an ensemble
        Of the same recipe.
    only : sequence of str, optional
        Names of the folds to run; all by default. The metrics say that the others are missing.
    n_jobs : int
        Processes that compute features.
    store : Path, optional
        Folder of what is finished; ``files.cache_dir()`` by default.
    report : callable
        Gets a line for each fold.

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
    store = files.cache_dir() if store is None else store
    folds = make_folds(by_member(recipe, data)[0][1], protocol=PROTOCOL)
    chosen = chosen_folds(folds, only)
    tables = []
    for member, part in by_member(recipe, data):
        asked, results = as_asked(member, part), []
        for fold in chosen:
            result = _stored(asked, part, fold, store=store)
            if result is None:
                result = _run(asked, part, fold, n_jobs=n_jobs, store=store, report=report)
                with files.keeping(store):
                    files.write_json(_file(asked, part, fold, store=store), result)
            results.append(_rows(part, fold, result))
            report(f"{member.name}, {_fold_line(results[-1], labels=part.labels)}")
        tables.append(pd.concat(results, ignore_index=True))
    return _evaluation(recipe, data, tables, n_folds=len(chosen), of=len(folds))


def known_conditions(
    recipe: Recipe | Ensemble, data: Dataset, *, store: Path | None = None
) -> dict[str, Any] | None:
    """Return what is known of a recipe in other conditions; nothing is trained.

    Parameters
    ----------
    recipe : Recipe or Ensemble
    data : Dataset
        Its features do not matter: `dataset.dataset_without_features` is enough.
    store : Path, optional
        As in `evaluate_conditions`.

    Returns
    -------
    dict or None
        Metrics as `evaluate_conditions` gives them: of its stored folds if all are there, else of a
        shipped model; None if neither is.
    """
    store = files.cache_dir() if store is None else store
    folds = make_folds(data, protocol=PROTOCOL)
    tables = []
    for member in recipe.members if isinstance(recipe, Ensemble) else (recipe,):
        found = [_stored(as_asked(member, data), data, fold, store=store) for fold in folds]
        parts = [
            _rows(data, fold, result)
            for fold, result in zip(folds, found, strict=True)
            if result is not None
        ]
        if len(parts) < len(folds):
            break
        tables.append(pd.concat(parts, ignore_index=True))
    else:
        return _evaluation(recipe, data, tables, n_folds=len(folds), of=len(folds)).metrics
    bundle = bundle_of(recipe, data) if data.target == EMOTION else None
    return None if bundle is None else bundle.metrics.get("conditions")


def condition_figures(answers: pd.DataFrame, *, labels: Sequence[str]) -> dict[str, Any]:
    """Return every figure that follows from answers in several conditions.

    Parameters
    ----------
    answers : pandas.DataFrame
        As the predictions of `evaluate_conditions`.
    labels : sequence of str
        What the answers are among.

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
        interval = evaluate.speaker_interval(said == truth, speakers)
        accuracy = float(np.mean(said == truth))
        counts = evaluate.confusion(truth, said, labels=labels)
        told[str(name)] = {
            "accuracy": accuracy,
            "accuracy_interval": list(interval) if np.isfinite(interval).all() else None,
            "uar": evaluate.unweighted_average_recall(counts),
            "ece": evaluate.calibration_error(sure[:, np.newaxis], said == truth),
            "loss": told[RECORDED]["accuracy"] - accuracy if told else 0.0,
        }
    return {
        "conditions": told,
        "mean_loss": float(np.mean([part["loss"] for name, part in told.items()][1:])),
        "interval": evaluate.interval_method(len(np.unique(speakers))),
    }


def add_conditions(
    folder: str | Path,
    recipe: Recipe | Ensemble,
    data: Dataset | EnsembleDataset,
    evaluation: Evaluation,
) -> Path:
    """Write what was measured in other conditions into a bundle; its models stay as they are.

    Parameters
    ----------
    folder : path
        Of the bundle.
    recipe, data
        By which, and of which clips, the bundle was made.
    evaluation : Evaluation
        Of `evaluate_conditions`.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ValueError
        If the bundle was made by other settings or from other clips, or folds are missing.
    """
    part = by_member(recipe, data)[0][1]
    bundle = bundle_of(recipe, part, folders=[bundles.find(folder)])
    if bundle is None:
        raise ValueError(
            f"{folder} was not made by recipe {recipe.name!r} from these {len(part.clips)} clips: "
            "give the recipe and the corpus that its bundle.json names, or train it anew"
        )
    told = evaluation.metrics
    if "n_folds" in told:
        raise ValueError(
            f"{told['n_folds']} of {told['of_folds']} folds were measured: a bundle tells of all"
        )
    card = (bundle.folder / CARD).read_text("utf-8")
    contents = {
        ANSWERS: evaluation.predictions.to_csv(index=False, float_format=f"%.{DECIMALS}f"),
        METRICS: json.dumps({**bundle.metrics, "conditions": told}, indent=1) + "\n",
        CARD: with_conditions(card, told),
    }
    return bundles.renew(bundle, contents)


def _run(
    recipe: Recipe,
    data: Dataset,
    fold: splits.Fold,
    *,
    n_jobs: int,
    store: Path,
    report: Report,
) -> dict[str, Any]:
    """Fit a fold; return what the model says of its test clips in each condition.

    A clip that cannot be used in one of them is left out of all.
    """
    key = files.digest(training_key(recipe, data, fold, protocol=PROTOCOL))
    model, X = fit_fold(
        recipe,
        data,
        fold,
        protocol=PROTOCOL,
        checkpoints=store / "trainings" / f"{recipe.name}-{key}",
        report=lambda line: report(f"  {fold.name}: {line}"),
    )
    clips = data.clips.iloc[fold.test].reset_index(drop=True)
    said = {RECORDED: pd.DataFrame(model.predict_proba(X), index=clips["clip_id"])}
    for name, changes in augment.CONDITIONS.items():
        feature_set = features.augmented(recipe.features, *changes)
        table = features.feature_table(clips, feature_set=feature_set, n_jobs=n_jobs)
        for path, reason in table.rejects.itertuples(index=False):
            report(f"left out, {name}: {path}: {reason}")
        if not len(table.clip_id):
            raise ValueError(f"{name}: no test clip of {fold.name} can be used: {reason}")
        said[name] = pd.DataFrame(model.predict_proba(table.X), index=table.clip_id)
    everywhere = [each for each in clips["clip_id"] if all(each in P.index for P in said.values())]
    return {
        "settings": _settings(),
        "tested": clips["clip_id"].tolist(),
        "clip_id": everywhere,
        "probabilities": {
            name: np.round(P.loc[everywhere].to_numpy(), DECIMALS).tolist()
            for name, P in said.items()
        },
    }


def _settings() -> dict[str, Any]:
    """Return how the conditions are made, as JSON holds it."""
    return {
        name: [change.settings for change in changes]
        for name, changes in augment.CONDITIONS.items()
    }


def _file(recipe: Recipe, data: Dataset, fold: splits.Fold, *, store: Path) -> Path:
    folder = fold_folder(recipe, data, protocol=PROTOCOL, store=store)
    return folder / f"{fold.name.replace(' ', '-')}-conditions.json"


def _stored(
    recipe: Recipe, data: Dataset, fold: splits.Fold, *, store: Path
) -> dict[str, Any] | None:
    """Return a finished fold; what is damaged, or of other clips or conditions, counts as none."""
    try:
        text = _file(recipe, data, fold, store=store).read_text("utf-8")
        result: dict[str, Any] = json.loads(text)
        tested = data.clips["clip_id"].iloc[fold.test].tolist()
        alike = result["tested"] == tested and result["settings"] == _settings()
        return result if alike and list(result["probabilities"]) == list(CONDITIONS) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _rows(data: Dataset, fold: splits.Fold, result: Mapping[str, Any]) -> pd.DataFrame:
    """Return a fold's probabilities: a row for each clip in each condition."""
    clips = data.clips.assign(truth=data.truth).set_index("clip_id").loc[result["clip_id"]]
    fixed = clips[["speaker", "truth"]].reset_index().assign(fold=fold.name)
    columns = [f"p_{label}" for label in data.labels]
    return pd.concat(
        [
            fixed.assign(condition=name).join(pd.DataFrame(P, columns=columns))
            for name, P in result["probabilities"].items()
        ],
        ignore_index=True,
    )


def _evaluation(
    recipe: Recipe | Ensemble,
    data: Dataset | EnsembleDataset,
    tables: Sequence[pd.DataFrame],
    *,
    n_folds: int,
    of: int,
) -> Evaluation:
    """Return the answers and figures that follow from the probabilities of each member."""
    columns = [f"p_{label}" for label in data.labels]
    rows = tables[0]
    if isinstance(recipe, Ensemble):
        rows = average(tables, weights=recipe.weights)
        # As for clips as recorded: the temperature of a fold is found on the others.
        recorded = rows[rows["condition"].eq(RECORDED)]
        for fold, temperature in calibrated(recorded, labels=data.labels)[1].items():
            own = rows["fold"].eq(fold).to_numpy()
            P = rows.loc[own, columns].to_numpy(dtype=float)
            mean = evaluate.geometric_mean(P[np.newaxis], temperature=temperature)
            rows.loc[own, columns] = mean
    answers = _answers(rows, labels=data.labels)
    partial = {"n_folds": n_folds, "of_folds": of} if n_folds < of else {}
    told = {
        "recipe": recipe.name,
        "corpus": data.corpus,
        "protocol": PROTOCOL,
        "classes": list(data.labels),
        "n_clips": len(answers),
        **partial,
        **condition_figures(answers, labels=data.labels),
    }
    return Evaluation(answers, told)


def _answers(rows: pd.DataFrame, *, labels: Sequence[str]) -> pd.DataFrame:
    """Return a row for each clip with its answer in each condition, and how probable that was."""
    P = rows[[f"p_{label}" for label in labels]].to_numpy(dtype=float)
    rows = rows.assign(said=np.asarray(labels)[P.argmax(axis=1)], p=P.max(axis=1).round(DECIMALS))
    parts = dict(list(rows.groupby("condition", sort=False)))
    answers = parts[RECORDED][["clip_id", "speaker", "fold", "truth"]].reset_index(drop=True)
    for name in CONDITIONS:
        answers[name], answers[f"p {name}"] = (parts[name][each].array for each in ("said", "p"))
    return answers


def _fold_line(rows: pd.DataFrame, *, labels: Sequence[str]) -> str:
    told = condition_figures(_answers(rows, labels=labels), labels=labels)
    figures = "  ".join(
        f"{name} {part['accuracy']:.1%}" for name, part in told["conditions"].items()
    )
    return f"{rows['fold'].iloc[0]}: {figures}"
