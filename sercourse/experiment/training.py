"""The final models of a bundle, trained on all clips: of emotions, and of gender."""

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
from sercourse import bundles, corpora, evaluate, features, files, labels, normalize
from sercourse.experiment import evaluation
from sercourse.experiment.card import model_card, model_licence
from sercourse.experiment.dataset import EMOTION, GENDER, Array, Dataset, by_member
from sercourse.experiment.evaluation import DECIMALS, RECORDED, Evaluation, Run
from sercourse.features import whisper
from sercourse.labels import GENDERS
from sercourse.recipes import Model, Recipe, Report, silent

LARGEST_ONNX_DIFFERENCE = 1e-4
GENDER_MODEL = "gender.onnx"
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

RIGHT_WHEN_SURE = 0.998
"""Share of right answers wanted; answers less sure than that takes are "unknown"."""
ELSEWHERE = "elsewhere"  # in place of a protocol: clips of another corpus


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
        number of epochs and its temperature from the folds of the first that asks for all labels.
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
        same = [each for each in evaluations if each.metrics["labels"] == data.label_set]
        folds = same[0].selected.get(member.name) if same else None
        selected: Any = pd.DataFrame(folds).median().to_dict() if folds else None
        for kind, protocol in protocols.items():
            report(f"training {member.name} on all {len(part.y)} clips ({kind})")
            run = Run(member, part, protocol, store or files.cache_dir(), report)
            fitted[kind] = run.fit(part.everything, selected)
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
        stem = member.name if recipe.members else "model"
        names, told = {"model": f"{stem}.onnx"}, _member_info(member)
        if "enrolled" in fitted:
            voice = f"{stem}-voice.npz" if recipe.members else "voice.npz"
            names |= {"enrolled": f"{stem}-enrolled.onnx", "voice": voice}
            contents[names["voice"]] = _voice_file(part)
            if member.features.encoder:
                told["speech"] = _speech(member, part)
        for kind, model in fitted.items():
            protocol = "speaker" if kind == "model" else "speaker+norm"
            made = exported(model, Run(member, part, protocol).test_side(part.everything))
            contents[names[kind]] = made[".onnx"]
            # Networks of an ensemble can go on training from their own bundles.
            if kind == "model" and ".keras" in made and not recipe.members:
                contents["model.keras"] = made[".keras"]
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
        **_origin(data, licence=licence),
        "licence": model_licence(licence),
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
    contents |= described(info, metrics | _selection(recipe.name, data))
    return bundles.save(folder, info=info, contents=contents)


def described(info: Mapping[str, Any], metrics: Mapping[str, Any]) -> dict[str, str]:
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
    return [{"from": each, **_coverage(right, likeliest.ge(each))} for each in THRESHOLDS]


def _coverage(right: pd.Series, sure: pd.Series) -> dict[str, float | None]:
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
        if each.temperature is not None and each.metrics["recipe"] == recipe.name:
            found.setdefault(kind, each.temperature)
    return found


def _selection(recipe: str, data: Dataset) -> dict[str, Any]:
    """Return what was known of the test clips when a recipe was made; empty where nothing is."""
    known = json.loads(SELECTION.read_text("utf-8")).get(f"{recipe} on {data.corpus}")
    return {"selection": known} if known and len(data.clips) >= FEWEST_CLIPS else {}


def _member_info(recipe: Recipe) -> dict[str, Any]:
    """Return the entry of a model in `bundle.json`, but for its files."""
    return {
        "recipe": recipe.settings,
        "sample_rate": recipe.features.sr,
        "feature_names": list(recipe.features.names),
    }


def _origin(data: Dataset, **more: str) -> dict[str, Any]:
    """Return the entries of the clips, of several corpora also of each, and of the date (UTC)."""

    def size(clips: pd.DataFrame) -> dict[str, Any]:
        return {"n_clips": len(clips), "n_speakers": int(clips["speaker"].nunique())}

    clips = data.clips
    told = {"name": data.corpus, "fingerprint": corpora.fingerprint(clips), **size(clips)}
    if clips["corpus"].nunique() > 1:
        told["parts"] = {
            str(name): {**size(rows), "labels": list(labels.in_order(rows["emotion"]))}
            for name, rows in clips.groupby("corpus")
        }
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return {"corpus": {**told, **more}, "trained": today}


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
    buffer, told = io.BytesIO(), {k: v.astype(np.float32) for k, v in vars(typical).items()}
    np.savez_compressed(buffer, **told)
    return buffer.getvalue()


def csv(table: pd.DataFrame) -> str:
    """Return a table of a bundle as text."""
    return table.to_csv(index=False, lineterminator="\n", float_format=f"%.{DECIMALS}f")


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
    run, tables = Run(recipe, data, protocol, report=report), []
    for fold in evaluation.make_folds(data, protocol=protocol):
        report(f"{fold.name}: training without {', '.join(fold.test_speakers)}")
        table = _judged(recipe, run.fit(fold), data, fold.test)
        tables.append(table.assign(protocol=protocol, fold=fold.name))
    report(f"training {recipe.name} on all {len(data.y)} clips ({GENDER})")
    model = run.fit(data.everything)
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
        GENDER_MODEL: exported(model, run.test_side(data.everything))[".onnx"],
        "gender-predictions.csv": csv(predictions),
    }
    gender = {
        **_member_info(recipe),
        "files": {"model": GENDER_MODEL},
        "labels": list(data.labels),
        **_origin(data),
        "threshold": told["threshold"],
    }
    metrics = {GENDER: told | _selection(recipe.name, data)}
    contents |= described({**bundle.info, GENDER: gender}, bundle.metrics | metrics)
    return bundles.renew(bundle, contents, gender=gender)


def _judged(recipe: Recipe, model: Model, data: Dataset, rows: Any) -> pd.DataFrame:
    """Return what a model says of clips as they were recorded, and of each copy of them."""
    clips = data.clips[["clip_id", "speaker", "gender", "emotion"]].iloc[rows]
    names = [RECORDED, *("+".join(each.kind for each in copy) for copy in recipe.augmentations)]
    told = (model.predict_proba(X[rows]) for X in (data.X, *data.copies))
    pairs = zip(names, told, strict=True)
    return evaluation.in_conditions(clips.assign(truth=clips["gender"]), pairs, GENDERS)


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
        sure = _coverage(part["right"], part["sure"])
        own: dict[str, Any] = {"n_scored": len(part), "accuracy": float(part["right"].mean())}
        own |= {"coverage": sure["coverage"], "accuracy_sure": sure["accuracy"]}
        told[str(name)] = own
    return told


def _threshold(rows: pd.DataFrame) -> float:
    """Return the lowest probability from which on answers are right as often as they are to be."""
    surest = rows.sort_values("p", ascending=False, kind="stable")
    share = surest["right"].expanding().mean().to_numpy()
    enough = np.flatnonzero(share >= RIGHT_WHEN_SURE)
    return float(surest["p"].iloc[enough[-1]]) if len(enough) else 1.0
