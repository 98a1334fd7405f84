"""Keep what recipes answered on a corpus, so that lessons show it without the corpus.

`python tools/results.py CORPORA` looks through the recipes: what `sercourse evaluate` has stored,
or a bundle holds, of all folds of the board's protocols goes into `data/results/CORPUS-RECIPE`, as
`metrics.json` and `predictions.csv.gz`. CORPORA is the folder that holds `ravdess/` and `aesdd/`.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import time
import timeit
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
from threadpoolctl import threadpool_limits

from sercourse import (
    audio,
    bundles,
    corpora,
    evaluate,
    experiment,
    features,
    files,
    networks,
    recipes,
    splits,
)
from sercourse.experiment.evaluation import FROM_TRAINING, Run
from sercourse.features import whisper
from sercourse.recipes import Recipe

RESULTS = files.home() / "data" / "results"
PROTOCOLS = {"ravdess": ("speaker", "random"), "aesdd": ("speaker", "recording")}
SEEDS = range(3)  # of protocol random: the same three splits for every recipe


def keep(recipe: Recipe, clips: pd.DataFrame, *, corpus: str) -> str:
    """Write what is known of a recipe; return a line that says it, or nothing."""
    data = experiment.dataset_without_features(clips)
    found = [known(recipe, data, protocol=protocol) for protocol in PROTOCOLS[corpus]]
    whole = [evaluation for _, evaluation in filter(None, found)]
    if all(each is None or each[0] == "results" for each in found):
        return ""
    folder = RESULTS / f"{corpus}-{recipe.name}"
    kept = bundles.read_json(folder / "metrics.json") if folder.is_dir() else {}
    metrics = {
        "recipe": recipe.name,
        "corpus": {"name": corpus, "fingerprint": corpora.fingerprint(clips)},
        "members": [part.settings for part in recipe.parts],
        "versions": files.versions("numpy", "scipy", "scikit-learn", "onnxruntime", "librosa"),
        "cost": kept.get("cost") or cost(recipe, clips, corpus=corpus),
        "protocols": [each.metrics for each in whole],
    }
    folder.mkdir(parents=True, exist_ok=True)
    files.write_json(folder / "metrics.json", metrics)
    table = pd.concat([each.predictions for each in whole], ignore_index=True)
    text = table.to_csv(index=False, float_format="%.5f", lineterminator="\n")
    with files.atomic_path(folder / "predictions.csv.gz") as temporary:
        temporary.write_bytes(gzip.compress(text.encode(), mtime=0))
    told = (f"{each.metrics['protocol']} {each.metrics['accuracy']:.1%}" for each in whole)
    return f"{folder.name}: {', '.join(told)}"


def known(
    recipe: Recipe,
    data: experiment.Dataset,
    *,
    protocol: str,
    seeds: Sequence[int] = SEEDS,
    store: Path | None = None,
    folders: Sequence[Path] | None = None,
) -> tuple[str, experiment.Evaluation] | None:
    """Return what is known of all folds of a protocol, and its source; nothing is trained.

    It is ``stored`` by `sercourse evaluate` or, of networks, ``stored, bfloat16``; ``shipped`` with
    a bundle; or in a folder of ``results``. Unless folders are given, they are those of the
    project. Bundles are verified.
    """
    folds = experiment.make_folds(data, protocol=protocol, seeds=seeds)
    asked = {"stored": recipe}
    if not recipe.members and recipes.has_setting(recipe, "precision"):
        asked["stored, bfloat16"] = recipes.with_settings(recipe, precision="bfloat16")
    for source, each in asked.items():
        run = Run(each, data, protocol, store)
        if all(member.stored(fold) for member in run.members for fold in folds):
            settings: Any = {"protocol": protocol, "seeds": seeds, "store": store}
            return source, experiment.evaluate_recipe(each, data, **settings)
        for folder in matching_folders(each, data, folders=folders):
            if evaluation := shipped(run, folds, folder):
                is_bundle = (folder / bundles.INDEX).is_file()
                return "shipped" if is_bundle else "results", evaluation
    return None


def matching_folders(
    recipe: Recipe, data: experiment.Dataset, *, folders: Sequence[Path] | None = None
) -> Iterator[Path]:
    """Yield the folders that tell of this very recipe on these very clips.

    Bundles are verified; other folders name `members` and `corpus` in ``metrics.json``.
    """
    if folders is None:
        folders = [*bundles.available(), *(path.parent for path in RESULTS.glob("*/metrics.json"))]
    wanted = json.loads(json.dumps([each.settings for each in recipe.parts]))
    for folder in folders:
        is_bundle = (folder / bundles.INDEX).is_file()
        kind = bundles.METRICS if is_bundle else bundles.RESULTS
        info = bundles.read_json(folder / "metrics.json", kind)
        if info["recipe"] != recipe.name:
            continue
        if is_bundle:
            info = dict(bundles.load(folder).info)
        settings = [each.get("recipe", each) for each in info["members"]]
        fingerprint = corpora.fingerprint(data.clips)
        if settings == wanted and info["corpus"]["fingerprint"] == fingerprint:
            yield folder


def shipped(run: Run, folds: Sequence[splits.Fold], folder: Path) -> experiment.Evaluation | None:
    """Return what a folder tells of these folds and labels; None if one is missing."""
    data = run.data
    wanted = (run.protocol, data.label_set, list(data.emotions))
    for entry in bundles.read_json(folder / "metrics.json")["protocols"]:
        told = {fold["fold"]: fold for fold in entry["folds"]}
        found = (entry["protocol"], entry["labels"], entry["emotions"]) == wanted
        if not found or not {fold.name for fold in folds} <= set(told):
            continue
        predictions = read_predictions(folder, run, folds)
        if predictions is None:
            continue
        metrics = {**entry, **data.summarize(predictions)}
        metrics.pop("answered", None)
        for fold in metrics["folds"]:
            more = told[fold["fold"]]
            fold |= {name: more[name] for name in FROM_TRAINING if name in more}
        metrics["seconds"] = round(sum(fold["seconds"] for fold in metrics["folds"]), 1)
        if len(folds) < len(told):  # of the others, too, as are figures that need the segments
            metrics = {name: value for name, value in metrics.items() if "segment" not in name}
        return experiment.Evaluation(predictions, metrics)
    return None


def read_predictions(folder: Path, run: Run, folds: Sequence[splits.Fold]) -> pd.DataFrame | None:
    """Return the predictions of a folder for these folds; None if they are of other clips."""
    data = run.data
    try:
        (table,) = sorted(folder.glob("predictions.csv*"))[:1]
        rows = pd.read_csv(table, dtype=dict.fromkeys(("clip_id", "labels", "fold"), str))
        rows = rows[rows["protocol"].eq(run.protocol) & rows["labels"].eq(data.label_set)]
        parts = [rows[rows["fold"] == fold.name] for fold in folds]
        rows = pd.concat(parts, ignore_index=True)
        absent = [name for name in ("draw", "corpus") if name in rows and rows[name].isna().all()]
        rows = rows.drop(columns=absent)  # which other protocols of the folder have
        evaluate.answers(rows, labels=data.labels)
    except Exception as error:  # tables and archives are damaged in many ways
        raise ValueError(
            f"{folder / 'predictions.csv'} cannot be read ({error!s:.200}): get it again"
        ) from error
    same = [part["clip_id"].tolist() for part in parts]
    return rows if same == [run.rows(fold)["clip_id"].tolist() for fold in folds] else None


def cost(recipe: Recipe, clips: pd.DataFrame, *, corpus: str) -> dict[str, float]:
    """Return how many numbers a model keeps, and the processor time for a clip [ms].

    Networks are weighed untrained, as they are as large and as fast as trained ones; other models
    are those of a bundle, or are fitted on the training side of the first fold.
    """
    total = {"parameters": 0, "features_ms": 0.0, "model_ms": 0.0}
    order = clips["duration"].to_numpy(dtype=float).argsort(kind="stable")
    ordinary = str(clips["path"].iloc[order[len(order) // 2]])
    for part in recipe.parts:
        content, n_numbers = exported(part, clips, corpus=corpus)
        y, wanted = audio.read(ordinary, sr=part.features.sr), part.features
        if wanted.encoder:
            n_numbers += count_numbers(whisper.shipped_encoder().read_bytes())
        session = bundles.session(content)
        with threadpool_limits(1):
            X = features.extract(y, sr=wanted.sr, feature_set=wanted)[np.newaxis]
            total["parameters"] += n_numbers
            total["features_ms"] += milliseconds(
                lambda y=y, wanted=wanted: features.extract(y, sr=wanted.sr, feature_set=wanted)
            )
            total["model_ms"] += milliseconds(lambda session=session, X=X: bundles.run(session, X))
    return total


def exported(recipe: Recipe, clips: pd.DataFrame, *, corpus: str) -> tuple[bytes, int]:
    """Return the ONNX model of a recipe, and how many numbers it keeps."""
    learner: Any = recipe.learner
    if hasattr(learner, "training"):
        n_labels, plain = clips["emotion"].nunique(), {"epochs": 0, "temperature": 1.0}
        y = np.arange(n_labels)
        X = np.zeros((n_labels, *recipe.features.row_shape), np.float32)
        untrained = learner.fit(networks.Examples([X], y, n_labels), groups=y, selected=plain)
        return untrained.contents()[".onnx"], sum(each.count_params() for each in untrained.members)
    shipped = files.home() / "models" / f"{corpus}-{recipe.name}" / "model.onnx"
    if shipped.is_file():
        content = shipped.read_bytes()
    else:
        data = experiment.prepare(recipe, clips, progress=False)
        fold = experiment.make_folds(data, protocol="speaker")[0]
        fitted, _ = experiment.fit_fold(recipe, data, fold, protocol="speaker")
        content = fitted.contents()[".onnx"]
    return content, count_numbers(content)


def count_numbers(content: bytes) -> int:
    """Return how many numbers an ONNX model keeps: tensors, and lists such as those of trees."""
    graph = onnx.load_from_string(content).graph
    lists = [attribute for node in graph.node for attribute in node.attribute]
    return sum(math.prod(each.dims) for each in graph.initializer) + sum(
        len(each.floats) + len(each.ints) + math.prod(each.t.dims) * each.HasField("t")
        for each in lists
    )


def milliseconds(function: Callable[[], Any]) -> float:
    """Return the processor time of the fastest of seven runs [ms]."""
    taken = timeit.repeat(function, timer=time.process_time, repeat=7, number=1)
    return round(1000 * min(taken), 4)


def main() -> int:
    """Keep the results of all recipes, or of those that are named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("corpora", type=files.user_path, metavar="CORPORA")
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", help="default: all")
    parser.add_argument("--costs", action="store_true", help="only measure the costs again")
    args = parser.parse_args()
    for corpus in PROTOCOLS:
        clips = corpora.scan(args.corpora / corpus, corpus=corpus).clips
        for name in args.recipes or recipes.RECIPES:
            if args.costs:
                path = RESULTS / f"{corpus}-{name}" / "metrics.json"
                if path.is_file():
                    recipe = recipes.recipe(name)
                    told = json.loads(path.read_text("utf-8"))
                    files.write_json(path, told | {"cost": cost(recipe, clips, corpus=corpus)})
                    print(path.parent.name, flush=True)
            elif line := keep(recipes.recipe(name), clips, corpus=corpus):
                print(line, flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
