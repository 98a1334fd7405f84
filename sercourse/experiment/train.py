"""The final models of a bundle, trained on all clips: of emotions, and of gender."""

from __future__ import annotations

import datetime
import io
import json
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import sercourse
from sercourse import bundles, corpora, evaluate, features, files, labels, normalize
from sercourse.experiment.card import model_card, model_licence
from sercourse.experiment.dataset import EMOTION, GENDER, Array, Dataset, by_member
from sercourse.experiment.evaluation import CALIBRATION, DECIMALS, Evaluation
from sercourse.experiment.folds import Run, fit_fold, make_folds
from sercourse.features import whisper
from sercourse.labels import GENDERS
from sercourse.recipes import Model, Recipe, Report

LARGEST_ONNX_DIFFERENCE = 1e-4
CHECKED_CLIPS = 256  # of the exported model against the trained one
VERSIONED = ("numpy", "onnxruntime", "soundfile", "soxr")
SPEECH_SHARE, SPEECH_MARGIN = 0.999, 1.5
SURE_FROM = 0.25  # below it, an emotion is no answer
THRESHOLDS = (SURE_FROM, 0.4, 0.55, 0.7)  # that are measured, for whoever wants surer answers

SELECTION = Path(__file__).with_name("selection.json")
"""By recipe and corpus: how many candidates had been scored on the test folds of protocol
``speaker`` before (the least it can be), and which settings were made by hand on which clips.
Nothing is known of other recipes, nor of your own clips."""
FEWEST_CLIPS = 500  # of these corpora; the synthetic samples, of the same names, have fewer

GENDER_PREDICTIONS = "gender-predictions.csv"
RIGHT_WHEN_SURE = 0.998
"""Share of right answers wanted; answers less sure than that takes are "unknown"."""
ELSEWHERE = "elsewhere"  # in place of a protocol: clips of another corpus
RECORDED = "as recorded"
COLUMNS = [f"p_{name}" for name in GENDERS]


def train(
    recipe: Recipe,
    data: Dataset,
    *,
    folder: Path,
    evaluations: Sequence[Evaluation],
    licence: str = "",
    store: Path | None = None,
    report: Report = lambda line: None,
) -> Path:
    """Train a recipe on all clips and write the bundle.

    Parameters
    ----------
    recipe : Recipe
    data : Dataset
    folder : Path
        Of the bundle; its name is the model's.
    evaluations : sequence of Evaluation
        Of the recipe on this corpus: the bundle's metrics and predictions. A network takes its
        number of epochs and its temperature from the folds of the first.
    licence : str
        Terms of the corpus, for the model card.
    store : Path, optional
        Folder of checkpoints; ``files.cache_dir()`` by default.
    report : callable
        Gets a line for each step.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ValueError
        If anything but the emotion is asked of the clips.
    RuntimeError
        If the exported model does not compute the same probabilities.
    """
    if data.target != EMOTION:
        raise ValueError(f"target is {data.target!r}: a bundle answers {EMOTION!r}")
    store = files.cache_dir() if store is None else store
    models = []
    for member, part in by_member(recipe, data):
        protocols = {"model": part.usual_protocol}
        if member.normalized and part.has_voices:
            protocols["enrolled"] = "speaker+norm"
        fitted = {}
        for kind, protocol in protocols.items():
            report(f"training {member.name} on all {len(part.y)} clips ({kind})")
            run = Run(member, part, protocol, store, report)
            fitted[kind] = run.fit(part.everything, _selected(evaluations, member.name))
        models.append(fitted)
    return save_fitted(
        recipe, data, models, folder=folder, evaluations=evaluations, licence=licence
    )


def save_fitted(
    recipe: Recipe,
    data: Dataset,
    models: Sequence[Mapping[str, Model]],
    *,
    folder: Path,
    evaluations: Sequence[Evaluation] = (),
    licence: str = "",
) -> Path:
    """Write the bundle of a recipe that was fitted already.

    Parameters
    ----------
    recipe : Recipe
    data : Dataset
        What it was fitted on.
    models : sequence of mapping
        For each member of the recipe the `model` and, if there is one, that for `enrolled` voices.
    folder, evaluations, licence
        As in `train`.

    Raises
    ------
    RuntimeError
        If an exported model does not compute the same probabilities.
    """
    contents: dict[str, bytes | str] = {}
    members = []
    for (member, part), fitted in zip(by_member(recipe, data), models, strict=True):
        names = bundles.member_files(
            member.name if recipe.members else None, enrols="enrolled" in fitted
        )
        for kind, model in fitted.items():
            protocol = "speaker" if kind == "model" else "speaker+norm"
            made = exported(model, Run(member, part, protocol).test_side(part.everything))
            contents[names[kind]] = made[".onnx"]
            # Networks of an ensemble can go on training from their own bundles.
            if kind == "model" and ".keras" in made and not recipe.members:
                contents["model.keras"] = made[".keras"]
        told = member_info(member)
        if "voice" in names:
            contents[names["voice"]] = _voice_file(part)
            if member.features.encoder:
                told["speech"] = _speech(member, part)
        family, _, path = member.feature_set.partition(":")
        if member.features.encoder and path and member.features != features.named(family):
            names["encoder"] = "encoder.onnx"  # it is not the shipped one
            contents["encoder.onnx"] = files.user_path(path).read_bytes()
        members.append({**told, "files": names})
    packages = {
        *VERSIONED,
        *(package for member in recipe.parts for package in member.learner.packages),
    }
    info: dict[str, Any] = {
        "name": folder.name,
        "title": recipe.title,
        "members": members,
        "labels": list(data.emotions),
        "corpus": {**_corpus_info(data), "licence": licence},
        "licence": model_licence(licence),
        "trained": _today(),
        "versions": {
            "sercourse": sercourse.__version__,
            "python": platform.python_version(),
            **{package: metadata.version(package) for package in sorted(packages)},
        },
    }
    entries = [each.metrics for each in evaluations]
    if any("speech" in each for each in members):
        info["sure_from"] = SURE_FROM
        entries = [each.metrics | {"answered": answered(each.predictions)} for each in evaluations]
    if found := temperatures(evaluations, recipe):
        info["temperature"] = found
    if recipe.weights:
        info["weights"] = list(recipe.weights)
    metrics = {"recipe": recipe.name, "corpus": data.corpus, "protocols": entries}
    metrics |= selection(recipe.name, data)
    contents |= {
        "metrics.json": _json(metrics),
        "predictions.csv": _predictions_csv(evaluations),
        "README.md": model_card(info, metrics),
    }
    return bundles.save(folder, info=info, contents=contents)


def renew(
    bundle: bundles.Bundle,
    contents: Mapping[str, bytes | str],
    *,
    metrics: Mapping[str, Any],
    **info: Any,
) -> Path:
    """Write a bundle anew with further files, metrics and entries of its index, and a new card."""
    told = {**bundle.metrics, **metrics}
    card = model_card({**bundle.info, **info}, told)
    return bundles.renew(
        bundle, {**contents, "metrics.json": _json(told), "README.md": card}, **info
    )


def exported(model: Model, X: Array) -> dict[str, bytes]:
    """Return a model's files, after checking that ONNX gives the same probabilities.

    Parameters
    ----------
    model : Model
    X : ndarray, shape (n_clips, ...)
        Some features to try it on.

    Raises
    ------
    RuntimeError
        If it does not.
    """
    made = model.contents()
    some = X[:: max(1, len(X) // CHECKED_CLIPS)]
    ours = bundles.run(bundles.session(made[".onnx"]), some)
    difference = float(np.abs(ours - model.predict_proba(some)).max())
    if difference > LARGEST_ONNX_DIFFERENCE:
        raise RuntimeError(
            f"the exported model differs from the trained one by {difference:.1e}: this is a fault "
            "of the export; report it with the versions that bundle.json names"
        )
    return made


def answered(predictions: pd.DataFrame) -> list[dict[str, float | None]]:
    """Return coverage and accuracy of the clips whose likeliest emotion reaches each threshold."""
    P = predictions.filter(regex="^p_")
    right = ("p_" + predictions["truth"]).to_numpy() == P.idxmax(axis=1).to_numpy()
    found: list[dict[str, float | None]] = []
    for threshold in THRESHOLDS:
        sure = P.max(axis=1).ge(threshold).to_numpy()
        accuracy = float(right[sure].mean()) if sure.any() else None
        found.append({"from": threshold, "coverage": float(sure.mean()), "accuracy": accuracy})
    return found


def temperatures(evaluations: Sequence[Evaluation], recipe: Recipe) -> dict[str, float]:
    """Return the temperatures of a bundle, for any voice (`model`) and for `enrolled` ones.

    It is what the first evaluation of either found; one on corpora that were not heard goes before
    others. Nothing where there is none.
    """
    found: dict[str, float] = {}
    ordered = sorted(evaluations, key=lambda e: not e.metrics["protocol"].startswith("corpus"))
    for each in ordered:
        kind = "enrolled" if each.metrics["protocol"].endswith("+enrol") else "model"
        if selected := _selected([each], CALIBRATION.format(recipe.name)):
            found.setdefault(kind, selected["temperature"])
    return found


def selection(recipe: str, data: Dataset) -> dict[str, Any]:
    """Return what was known of the test clips when a recipe was made; empty where nothing is."""
    known = json.loads(SELECTION.read_text("utf-8")).get(f"{recipe} on {data.corpus}")
    return {"selection": known} if known and len(data.clips) >= FEWEST_CLIPS else {}


def member_info(recipe: Recipe) -> dict[str, Any]:
    """Return the entry of a model in `bundle.json`, but for its files."""
    return {
        "recipe": recipe.settings,
        "sample_rate": recipe.features.sr,
        "feature_names": list(recipe.features.names),
    }


def _selected(evaluations: Sequence[Evaluation], name: str) -> dict[str, float] | None:
    """Return the medians over the folds of the first evaluation; None if nothing was selected."""
    folds = evaluations[0].selected.get(name, []) if evaluations else []
    if not folds:
        return None
    return {name: float(np.median([fold[name] for fold in folds])) for name in folds[0]}


def _corpus_info(data: Dataset) -> dict[str, Any]:
    clips = data.clips
    told: dict[str, Any] = {
        "name": data.corpus,
        "fingerprint": corpora.fingerprint(clips),
        "n_clips": len(clips),
        "n_speakers": int(clips["speaker"].nunique()),
    }
    if clips["corpus"].nunique() > 1:
        told["parts"] = {
            str(name): {
                "n_clips": len(rows),
                "n_speakers": int(rows["speaker"].nunique()),
                "labels": list(labels.in_order(rows["emotion"])),
            }
            for name, rows in clips.groupby("corpus")
        }
    return told


def _speech(recipe: Recipe, data: Dataset) -> dict[str, Any]:
    """Return the largest distance from the typical voice at which a clip is taken for speech.

    The distance is that of the last two layers of the encoder, which hold words. Clips and their
    copies lie nearer, all but one in a thousand; the limit is half as far again.
    """
    n = 2 * (data.X.shape[1] // whisper.count_layers(recipe.features.names))
    typical = normalize.mean_speaker_stats(data.X[:, -n:], data.speakers)
    distances = [normalize.distance(X[:, -n:], typical) for X in (data.X, *data.copies)]
    farthest = SPEECH_MARGIN * float(np.quantile(np.concatenate(distances), SPEECH_SHARE))
    return {"n_features": n, "farthest": round(farthest, 3)}


def _voice_file(data: Dataset) -> bytes:
    typical = normalize.mean_speaker_stats(data.X, data.speakers)
    buffer = io.BytesIO()
    mean, std = typical.mean.astype(np.float32), typical.std.astype(np.float32)
    np.savez_compressed(buffer, mean=mean, std=std)
    return buffer.getvalue()


def _predictions_csv(evaluations: Sequence[Evaluation]) -> str:
    if not evaluations:
        return ""
    table = pd.concat([each.predictions for each in evaluations], ignore_index=True)
    emotions = labels.in_order(str(name)[2:] for name in table.filter(regex="^p_"))
    P = table[[f"p_{emotion}" for emotion in emotions]]
    ordered = table.drop(columns=P.columns).join(P)
    return ordered.to_csv(index=False, float_format=f"%.{DECIMALS}f")


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=1) + "\n"


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def train_gender(
    folder: str | Path,
    recipe: Recipe,
    data: Dataset,
    *,
    elsewhere: Dataset | None = None,
    report: Report = lambda line: None,
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

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ValueError
        If something else is asked of the clips, or recipe and bundle have other sample rates.
    RuntimeError
        If the exported model does not compute the same probabilities.
    """
    bundle, protocol = bundles.load(folder), data.usual_protocol
    if data.target != GENDER:
        raise ValueError(f"target is {data.target!r}: prepare the clips with target {GENDER!r}")
    if recipe.features.sr != bundle.sample_rate:
        raise ValueError(
            f"recipe {recipe.name!r} hears at {recipe.features.sr} Hz and model {bundle.name!r} at "
            f"{bundle.sample_rate} Hz: choose a recipe of the same rate"
        )
    tables = []
    for fold in make_folds(data, protocol=protocol):
        model, _ = fit_fold(recipe, data, fold, protocol=protocol)
        table = _answers(recipe, model, data, fold.test).assign(protocol=protocol, fold=fold.name)
        tables.append(table)
        right = (table["truth"] == _said(table)).mean()
        report(f"{fold.name}: {right:.1%} of clips, as recorded and changed, are told apart")
    report(f"training {recipe.name} on all {len(data.y)} clips (gender)")
    model, X = fit_fold(recipe, data, data.everything, protocol=protocol)
    if elsewhere is not None:
        table = _answers(recipe, model, elsewhere, elsewhere.everything.test)
        if table["truth"].isna().any():
            said = pd.Series(_said(table))[table["condition"].eq(RECORDED)]
            most = said.groupby(table["speaker"]).agg(lambda names: names.mode()[0])
            table["truth"] = table["speaker"].map(most)
        tables.append(table.assign(protocol=ELSEWHERE, fold=elsewhere.corpus))
    predictions = pd.concat(tables, ignore_index=True)
    told = {"recipe": recipe.name, "corpus": data.corpus, **gender_figures(predictions)}
    told |= selection(recipe.name, data)
    contents: dict[str, bytes | str] = {
        bundles.GENDER_MODEL: exported(model, X)[".onnx"],
        GENDER_PREDICTIONS: predictions.to_csv(index=False, float_format=f"%.{DECIMALS}f"),
    }
    gender = {
        **member_info(recipe),
        "files": {"model": bundles.GENDER_MODEL},
        "labels": list(data.labels),
        "corpus": _corpus_info(data),
        "trained": _today(),
        "threshold": told["threshold"],
    }
    return renew(bundle, contents, metrics={"gender": told}, gender=gender)


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
    is_own = predictions["protocol"].ne(ELSEWHERE)
    own = predictions[is_own]
    thresholds = {fold: _threshold(own[own["fold"].ne(fold)]) for fold in own["fold"].unique()}
    threshold = _threshold(own)
    limits = predictions["fold"].map(thresholds).fillna(threshold)
    sure = predictions[COLUMNS].max(axis=1) >= limits
    rows = predictions.assign(sure=sure, right=predictions["truth"] == _said(predictions))
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


def _said(rows: pd.DataFrame) -> Any:
    return np.asarray(GENDERS)[rows[COLUMNS].to_numpy().argmax(axis=1)]


def _threshold(rows: pd.DataFrame) -> float:
    """Return the lowest probability from which on answers are right as often as they are to be."""
    sure, right = rows[COLUMNS].max(axis=1).to_numpy(), (rows["truth"] == _said(rows)).to_numpy()
    order = np.argsort(-sure, kind="stable")
    share = np.cumsum(right[order]) / np.arange(1, len(rows) + 1)
    enough = np.flatnonzero(share >= RIGHT_WHEN_SURE)
    return float(sure[order][enough[-1]]) if len(enough) else 1.0


def _answers(recipe: Recipe, model: Model, data: Dataset, rows: Any) -> pd.DataFrame:
    """Return what a model says of clips as they were recorded, and of each copy of them."""
    clips = data.clips.iloc[rows]
    names = [RECORDED, *("+".join(each.kind for each in copy) for copy in recipe.augmentations)]
    fixed = clips[["clip_id", "speaker", "gender", "emotion"]].assign(truth=clips["gender"])
    tables = [
        fixed.assign(
            condition=name,
            **dict(zip(COLUMNS, np.round(model.predict_proba(X[rows]), DECIMALS).T, strict=True)),
        )
        for name, X in zip(names, (data.X, *data.copies), strict=True)
    ]
    return pd.concat(tables, ignore_index=True)
