"""The final model of a bundle, trained on all clips."""

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
from sercourse import bundles, corpora, features, files, labels, normalize
from sercourse.experiment.card import model_card
from sercourse.experiment.dataset import Array, Dataset, EnsembleDataset, by_member
from sercourse.experiment.evaluation import CALIBRATION, DECIMALS, Evaluation
from sercourse.experiment.folds import fit_fold, training_key
from sercourse.experiment.selection import selection
from sercourse.experiment.target import EMOTION
from sercourse.features import whisper
from sercourse.recipes import Ensemble, Model, Recipe, Report

LARGEST_ONNX_DIFFERENCE = 1e-4
VERSIONED = ("numpy", "onnxruntime", "soundfile", "soxr")
SPEECH_SHARE, SPEECH_MARGIN = 0.999, 1.5
SURE_FROM = 0.25  # below it, an emotion is no answer
THRESHOLDS = (SURE_FROM, 0.4, 0.55, 0.7)  # that are measured, for whoever wants surer answers
CHECKED_CLIPS = 256  # of the exported model against the trained one


def train(
    recipe: Recipe | Ensemble,
    data: Dataset | EnsembleDataset,
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
    recipe : Recipe or Ensemble
    data : Dataset, or EnsembleDataset for an ensemble
    folder : Path
        Of the bundle; its name is the model's.
    evaluations : sequence of Evaluation
        What is known of the recipe on this corpus: the bundle's metrics and predictions. A network
        takes its number of epochs and its temperature from the folds of the first.
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
    contents: dict[str, bytes | str] = {}
    members = []
    for member, part in by_member(recipe, data):
        names = bundles.member_files(
            member.name if isinstance(recipe, Ensemble) else None,
            enrols=member.normalized and part.has_voices,
        )
        selected = _settled(evaluations, member.name)
        made = _trained(member, part, names=names, selected=selected, store=store, report=report)
        if isinstance(recipe, Ensemble):  # its networks can go on training from their own bundles
            made = {name: each for name, each in made.items() if not name.endswith(".keras")}
        contents |= made | _encoder_file(member, names)
        limit = (
            {"speech": _speech(member, part)}
            if member.features.encoder and "voice" in names
            else {}
        )
        members.append({**member_info(member), "files": names, **limit})
    return _save(
        recipe, data, folder, contents, members=members, evaluations=evaluations, licence=licence
    )


def _encoder_file(recipe: Recipe, names: dict[str, str]) -> dict[str, bytes]:
    """Return the speech encoder that a bundle must bring, as it is not the shipped one."""
    family, _, path = recipe.feature_set.partition(":")
    if not recipe.features.encoder or not path or recipe.features == features.named(family):
        return {}
    names["encoder"] = "encoder.onnx"
    return {"encoder.onnx": files.user_path(path).read_bytes()}


def _speech(recipe: Recipe, data: Dataset) -> dict[str, Any]:
    """Return how far from the typical voice the last two layers of a speech encoder hear speech.

    These layers hold words. Clips and their copies in noise and rooms lie nearer, all but one in a
    thousand; what is half as far again is taken for music or noise.
    """
    n = 2 * (data.X.shape[1] // whisper.count_layers(recipe.features.names))
    typical = normalize.mean_speaker_stats(data.X[:, -n:], data.speakers)
    distances = [normalize.distance(X[:, -n:], typical) for X in (data.X, *data.copies)]
    farthest = SPEECH_MARGIN * float(np.quantile(np.concatenate(distances), SPEECH_SHARE))
    return {"n_features": n, "farthest": round(farthest, 3)}


def save_fitted(
    recipe: Recipe | Ensemble,
    data: Dataset | EnsembleDataset,
    models: Sequence[Model],
    *,
    folder: Path,
    evaluations: Sequence[Evaluation] = (),
    licence: str = "",
) -> Path:
    """Write the bundle of a recipe that was fitted already, without models for known voices.

    Parameters
    ----------
    recipe : Recipe or Ensemble
    data : Dataset, or EnsembleDataset for an ensemble
        What it was fitted on.
    models : sequence of Model
        One for each member of the recipe.
    folder, evaluations, licence
        As in `train`.

    Raises
    ------
    RuntimeError
        If an exported model does not compute the same probabilities.
    """
    contents: dict[str, bytes | str] = {}
    members = []
    ensemble = isinstance(recipe, Ensemble)
    for (member, part), model in zip(by_member(recipe, data), models, strict=True):
        names = bundles.member_files(member.name if ensemble else None, enrols=False)
        contents |= _named(exported(model, part.X), names["model"], with_keras=not ensemble)
        members.append({**member_info(member), "files": names})
    return _save(
        recipe, data, folder, contents, members=members, evaluations=evaluations, licence=licence
    )


def _save(
    recipe: Recipe | Ensemble,
    data: Dataset | EnsembleDataset,
    folder: Path,
    contents: dict[str, bytes | str],
    *,
    members: Sequence[Mapping[str, Any]],
    evaluations: Sequence[Evaluation],
    licence: str,
) -> Path:
    """Add what explains the models, and write the bundle."""
    info = _bundle_info(recipe, data, members=members, name=folder.name)
    if any("speech" in each for each in members):
        info["sure_from"] = SURE_FROM
    if found := temperatures(evaluations, recipe):
        info["temperature"] = found
    if isinstance(recipe, Ensemble) and recipe.weights:
        info["weights"] = list(recipe.weights)
    metrics = {
        "recipe": recipe.name,
        "corpus": info["corpus"]["name"],
        "protocols": [
            each.metrics | ({"answered": answered(each.predictions)} if "sure_from" in info else {})
            for each in evaluations
        ],
    }
    if known := selection(recipe.name, data):
        metrics["selection"] = known
    contents |= {
        "metrics.json": json.dumps(metrics, indent=1) + "\n",
        "predictions.csv": _predictions_csv(evaluations),
        "README.md": model_card(recipe, info, metrics, licence=licence),
    }
    return bundles.save(folder, info=info, contents=contents)


def answered(predictions: pd.DataFrame) -> list[dict[str, float | None]]:
    """Return which share of clips gets an answer, and how many answers are right, by threshold."""
    P = predictions.filter(regex="^p_")
    right = ("p_" + predictions["truth"]).to_numpy() == P.idxmax(axis=1).to_numpy()
    found: list[dict[str, float | None]] = []
    for threshold in THRESHOLDS:
        sure = P.max(axis=1).ge(threshold).to_numpy()
        accuracy = float(right[sure].mean()) if sure.any() else None
        found.append({"from": threshold, "coverage": float(sure.mean()), "accuracy": accuracy})
    return found


def temperatures(evaluations: Sequence[Evaluation], recipe: Recipe | Ensemble) -> dict[str, float]:
    """Return what calibrates a bundle, for any voice (`model`) and for `enrolled` ones.

    It is what the first evaluation of either found; one on corpora that were not heard goes before
    others. Nothing where there is none.
    """
    found: dict[str, float] = {}
    by_corpus = [each for each in evaluations if each.metrics["protocol"].startswith("corpus")]
    for each in [*by_corpus, *evaluations]:
        kind = "enrolled" if each.metrics["protocol"].endswith("+enrol") else "model"
        if selected := _settled([each], CALIBRATION.format(recipe.name)):
            found.setdefault(kind, selected["temperature"])
    return found


def _settled(evaluations: Sequence[Evaluation], name: str) -> dict[str, float] | None:
    """Return the median of what the folds of the first evaluation found; None if they did not."""
    folds = evaluations[0].selected.get(name, []) if evaluations else []
    if not folds:
        return None
    return {name: float(np.median([fold[name] for fold in folds])) for name in folds[0]}


def _trained(
    recipe: Recipe,
    data: Dataset,
    *,
    names: Mapping[str, str],
    selected: Mapping[str, float] | None,
    store: Path,
    report: Report,
) -> dict[str, bytes]:
    """Return one model's files: for any voice and, where it has one, for enrolled voices."""
    made: dict[str, bytes] = {}
    protocols = {"model": "speaker", "enrolled": "speaker+norm"} if data.has_voices else {}
    for kind in ("model", "enrolled"):
        if kind not in names:
            continue
        report(f"training {recipe.name} on all {len(data.y)} clips ({kind})")
        files_made = _export(
            recipe,
            data,
            protocols.get(kind, "random"),
            selected=selected,
            store=store,
            report=report,
        )
        made |= _named(files_made, names[kind], with_keras=kind == "model")
    if "voice" in names:
        made[names["voice"]] = _voice_file(data)
    return made


def _named(made: Mapping[str, bytes], name: str, *, with_keras: bool) -> dict[str, bytes]:
    """Return a model's files by the names that they have in a bundle."""
    named = {name: made[".onnx"]}
    if with_keras and ".keras" in made:
        named[Path(name).stem + ".keras"] = made[".keras"]
    return named


def _export(
    recipe: Recipe,
    data: Dataset,
    protocol: str,
    *,
    selected: Mapping[str, float] | None,
    store: Path,
    report: Report,
) -> dict[str, bytes]:
    """Train on everything and return the model's files, after checking that ONNX is the same."""
    everything = data.everything
    key = files.digest(training_key(recipe, data, everything, protocol=protocol, selected=selected))
    model, X = fit_fold(
        recipe,
        data,
        everything,
        protocol=protocol,
        selected=selected,
        checkpoints=store / "trainings" / f"{recipe.name}-{key}",
        report=lambda line: report(f"  {line}"),
    )
    return exported(model, X)


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


def _voice_file(data: Dataset) -> bytes:
    typical = normalize.mean_speaker_stats(data.X, data.speakers)
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, mean=typical.mean.astype(np.float32), std=typical.std.astype(np.float32)
    )
    return buffer.getvalue()


def member_info(recipe: Recipe) -> dict[str, Any]:
    """Return what `bundle.json` tells of a model, but for its files."""
    return {
        "recipe": recipe.settings,
        "sample_rate": recipe.features.sr,
        "feature_names": list(recipe.features.names),
    }


def _bundle_info(
    recipe: Recipe | Ensemble,
    data: Dataset | EnsembleDataset,
    *,
    members: Sequence[Mapping[str, Any]],
    name: str,
) -> dict[str, Any]:
    packages = {
        *VERSIONED,
        *(p for member, _ in by_member(recipe, data) for p in member.learner.packages),
    }
    return {
        "name": name,
        "title": recipe.title,
        "members": list(members),
        "labels": list(data.emotions),
        "corpus": {
            "name": data.corpus,
            "fingerprint": corpora.fingerprint(data.clips),
            "n_clips": len(data.clips),
            "n_speakers": int(data.clips["speaker"].nunique()),
            **_parts(data.clips),
        },
        "trained": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "versions": {
            "sercourse": sercourse.__version__,
            "python": platform.python_version(),
            **{package: metadata.version(package) for package in sorted(packages)},
        },
    }


def _parts(clips: pd.DataFrame) -> dict[str, Any]:
    """Return what is known of each corpus, where there are several."""
    if clips["corpus"].nunique() < 2:
        return {}
    return {
        "parts": {
            str(name): {
                "n_clips": len(rows),
                "n_speakers": int(rows["speaker"].nunique()),
                "labels": list(labels.in_order(rows["emotion"])),
            }
            for name, rows in clips.groupby("corpus")
        }
    }


def _predictions_csv(evaluations: Sequence[Evaluation]) -> str:
    if not evaluations:
        return ""
    table = pd.concat([each.predictions for each in evaluations], ignore_index=True)
    columns = [str(column) for column in table]
    emotions = labels.in_order(name.removeprefix("p_") for name in columns if name.startswith("p_"))
    fixed = [name for name in columns if not name.startswith("p_")]
    ordered = table[[*fixed, *(f"p_{emotion}" for emotion in emotions)]]
    return ordered.to_csv(index=False, float_format=f"%.{DECIMALS}f")
