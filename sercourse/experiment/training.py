"""The final models of a bundle, trained on all clips."""

from __future__ import annotations

import datetime
import io
import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import sercourse
from sercourse import bundles, corpora, features, files, labels, normalize
from sercourse.experiment.card import model_card
from sercourse.experiment.dataset import EMOTION, Array, Dataset, by_member
from sercourse.experiment.evaluation import CALIBRATION, DECIMALS, Evaluation, Run
from sercourse.features import whisper
from sercourse.recipes import Model, Recipe, Report, silent

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


def train(
    recipe: Recipe,
    data: Dataset,
    *,
    folder: Path,
    evaluations: Sequence[Evaluation],
    licence: str = "",
    store: Path | None = None,
    report: Report = silent,
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

    Raises
    ------
    ValueError
        If anything but the emotion is asked of the clips.
    RuntimeError
        If the exported model does not compute the same probabilities.
    """
    if data.target != EMOTION:
        raise ValueError(f"target is {data.target!r}: a bundle answers {EMOTION!r}")
    models = []
    for member, part in by_member(recipe, data):
        protocols = {"model": part.usual_protocol}
        if member.normalized and part.usual_protocol == "speaker":
            protocols["enrolled"] = "speaker+norm"
        fitted = {}
        for kind, protocol in protocols.items():
            report(f"training {member.name} on all {len(part.y)} clips ({kind})")
            run = Run(member, part, protocol, store or files.cache_dir(), report)
            fitted[kind] = run.fit(part.everything, _selected(evaluations, member.name))
        models.append(fitted)
    told: dict[str, Any] = {"evaluations": evaluations, "licence": licence}
    return save_fitted(recipe, data, models, folder=folder, **told)


def save_fitted(
    recipe: Recipe,
    data: Dataset,
    models: Sequence[Mapping[str, Model]],
    *,
    folder: Path,
    evaluations: Sequence[Evaluation] = (),
    licence: str = "",
) -> Path:
    """Write the bundle of a recipe that was fitted already; parameters are as in `train`.

    Parameters
    ----------
    models : sequence of mapping
        For each member of the recipe the `model` and, if there is one, that for `enrolled` voices.
    """
    contents: dict[str, bytes | str] = {}
    members = []
    for (member, part), fitted in zip(by_member(recipe, data), models, strict=True):
        stem = member.name if recipe.members else None
        names = bundles.member_files(stem, enrols="enrolled" in fitted)
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
    packages = {package for member in recipe.parts for package in member.learner.packages}
    versions = {"sercourse": sercourse.__version__, "python": platform.python_version()}
    info: dict[str, Any] = {
        "name": folder.name,
        "title": recipe.title,
        "members": members,
        "labels": list(data.emotions),
        "corpus": {**corpus_info(data), "licence": licence},
        "trained": today(),
        "versions": versions | files.versions(*sorted({*VERSIONED, *packages})),
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
    contents["predictions.csv"] = ""
    if evaluations:
        table = pd.concat([each.predictions for each in evaluations], ignore_index=True)
        emotions = labels.in_order(str(name)[2:] for name in table.filter(regex="^p_"))
        P = table[[f"p_{emotion}" for emotion in emotions]]
        contents["predictions.csv"] = csv(table.drop(columns=P.columns).join(P))
    contents |= _described(info, metrics | selection(recipe.name, data))
    return bundles.save(folder, info=info, contents=contents)


def renew(
    bundle: bundles.Bundle,
    contents: Mapping[str, bytes | str],
    *,
    metrics: Mapping[str, Any],
    **info: Any,
) -> Path:
    """Write a bundle anew with further files, metrics and entries of its index, and a new card."""
    told = _described({**bundle.info, **info}, {**bundle.metrics, **metrics})
    return bundles.renew(bundle, {**contents, **told}, **info)


def _described(info: Mapping[str, Any], metrics: Mapping[str, Any]) -> dict[str, str]:
    """Return the metrics and the model card as files."""
    text = json.dumps(metrics, indent=1) + "\n"
    return {"metrics.json": text, "README.md": model_card(info, metrics)}


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
    right, likeliest = "p_" + predictions["truth"] == P.idxmax(axis=1), P.max(axis=1)
    return [
        {"from": threshold, **coverage(right, likeliest.ge(threshold))} for threshold in THRESHOLDS
    ]


def coverage(right: pd.Series, sure: pd.Series) -> dict[str, float | None]:
    """Return the share of clips that are sure, and the accuracy of these; None if none is."""
    accuracy = float(right[sure].mean()) if sure.any() else None
    return {"coverage": float(sure.mean()), "accuracy": accuracy}


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


def _selected(evaluations: Sequence[Evaluation], name: str) -> dict[str, float] | None:
    """Return the medians over the folds of the first evaluation; None if nothing was selected."""
    folds = evaluations[0].selected.get(name, []) if evaluations else []
    return {str(k): float(v) for k, v in pd.DataFrame(folds).median().items()} if folds else None


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


def corpus_info(data: Dataset) -> dict[str, Any]:
    """Return the entry of the clips in `bundle.json`; of several corpora also that of each."""

    def size(clips: pd.DataFrame) -> dict[str, Any]:
        return {"n_clips": len(clips), "n_speakers": int(clips["speaker"].nunique())}

    clips = data.clips
    told = {"name": data.corpus, "fingerprint": corpora.fingerprint(clips), **size(clips)}
    if clips["corpus"].nunique() > 1:
        told["parts"] = {
            str(name): {**size(rows), "labels": list(labels.in_order(rows["emotion"]))}
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


def csv(table: pd.DataFrame) -> str:
    """Return a table of a bundle as text."""
    return table.to_csv(index=False, float_format=f"%.{DECIMALS}f")


def today() -> str:
    """Return the date, in UTC."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()
