"""What is known of a recipe without training: folds stored on this computer, or a shipped model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from sercourse import bundles, corpora, splits
from sercourse.bundles import Bundle, read_json
from sercourse.experiment.dataset import Dataset
from sercourse.experiment.evaluation import (
    ENROLLED,
    FROM_TRAINING,
    Evaluation,
    collect_folds,
    compared,
    stored,
    tested,
)
from sercourse.experiment.folds import make_folds
from sercourse.experiment.target import EMOTION
from sercourse.recipes import Ensemble, Recipe, has_setting, with_settings


@dataclass(frozen=True, eq=False)
class StoredResults:
    """An evaluation that was read, and where.

    Attributes
    ----------
    evaluation : Evaluation
        Of the folds that were found.
    source : str
        ``stored``, ``stored, bfloat16`` or ``shipped``.
    """

    evaluation: Evaluation
    source: str

    @property
    def n_folds(self) -> int:
        """How many folds were found."""
        return len(self.evaluation.metrics["folds"])


def load_results(
    recipe: Recipe | Ensemble,
    data: Dataset,
    *,
    protocol: str,
    seeds: Sequence[int] = range(10),
    store: Path | None = None,
) -> StoredResults | None:
    """Return what can be read of a recipe under a protocol; nothing is trained.

    Of several sources the one with the most folds is taken: folds that `evaluate_recipe` stored,
    the same of networks trained in bfloat16, or the predictions of a shipped model.

    Parameters
    ----------
    recipe : Recipe or Ensemble
    data : Dataset
        Its features do not matter: `dataset.dataset_without_features` is enough.
    protocol, seeds, store
        As in `evaluate_recipe`.

    Returns
    -------
    StoredResults or None
        None if nothing is known.

    Raises
    ------
    ValueError
        If the clips cannot be divided by the protocol, or a file of the shipped model has changed.
    """
    asked: dict[str, Any] = {"protocol": protocol, "seeds": seeds}
    found = [
        (source, stored(each, data, store=store, **asked)) for source, each in _trained(recipe)
    ]
    found.append(("shipped", from_bundle(recipe, data, **asked)))
    read = [StoredResults(each, source) for source, each in found if each is not None]
    return max(read, key=lambda each: each.n_folds, default=None)  # of equals the first


def _trained(recipe: Recipe | Ensemble) -> Iterator[tuple[str, Recipe | Ensemble]]:
    """Yield how a recipe may have been trained."""
    yield "stored", recipe
    if isinstance(recipe, Recipe) and has_setting(recipe, "precision"):
        yield "stored, bfloat16", with_settings(recipe, precision="bfloat16")


def from_bundle(
    recipe: Recipe | Ensemble,
    data: Dataset,
    *,
    protocol: str,
    seeds: Sequence[int] = range(10),
    folders: Sequence[Path] | None = None,
) -> Evaluation | None:
    """Return what a shipped model tells of its recipe, if it is of these clips and settings.

    Parameters
    ----------
    recipe : Recipe or Ensemble
    data : Dataset
        Its features do not matter: `dataset.dataset_without_features` is enough.
    protocol, seeds
        As in `evaluate_recipe`.
    folders : sequence of Path, optional
        Bundles to look at; ``bundles.available()`` by default.

    Returns
    -------
    Evaluation or None
        Of the folds that the model tells of.

    Raises
    ------
    ValueError
        If the clips cannot be divided by the protocol, or a file of the model has changed.
    """
    if data.target != EMOTION:
        return None
    bundle = bundle_of(recipe, data, folders=folders)
    found = _shipped(bundle, recipe, data, protocol=protocol, seeds=seeds)
    if not protocol.endswith(ENROLLED) or found is None:
        return found
    plain = protocol.removesuffix(ENROLLED)
    return compared(found, _shipped(bundle, recipe, data, protocol=plain, seeds=seeds), data)


def _shipped(
    bundle: Bundle | None,
    recipe: Recipe | Ensemble,
    data: Dataset,
    *,
    protocol: str,
    seeds: Sequence[int],
) -> Evaluation | None:
    """Return what a bundle tells of a protocol, if it is of these clips."""
    entry = None if bundle is None else _entry(bundle.metrics, data, protocol=protocol)
    if bundle is None or entry is None:
        return None
    folds = make_folds(data, protocol=protocol, seeds=seeds)
    told = _told(bundle.folder / "predictions.csv", entry)
    read = [(fold, _result(told, entry, data, fold)) for fold in folds]
    found = [(fold, result) for fold, result in read if result is not None]
    if not found:
        return None
    chosen, results = zip(*found, strict=True)
    return collect_folds(recipe, data, chosen, results, protocol=protocol, of=len(folds))


def bundle_of(
    recipe: Recipe | Ensemble, data: Dataset, *, folders: Sequence[Path] | None = None
) -> Bundle | None:
    """Return the verified bundle of this very recipe on these very clips, if there is one.

    Parameters
    ----------
    recipe : Recipe or Ensemble
    data : Dataset
        Its features do not matter.
    folders : sequence of Path, optional
        Bundles to look at; ``bundles.available()`` by default.
    """
    members = recipe.members if isinstance(recipe, Ensemble) else (recipe,)
    for folder in bundles.available() if folders is None else folders:
        if read_json(folder / "metrics.json").get("recipe") != recipe.name:
            continue
        bundle = bundles.load(folder)
        settings = [each["recipe"] for each in bundle.info["members"]]
        same_settings = settings == [_as_json(each.settings) for each in members]
        same_clips = bundle.info["corpus"]["fingerprint"] == corpora.fingerprint(data.clips)
        if same_settings and same_clips:
            return bundle
    return None


def _as_json(settings: Mapping[str, Any]) -> Any:
    """Return settings as they come back from a file."""
    return json.loads(json.dumps(settings))


def _entry(metrics: Mapping[str, Any], data: Dataset, *, protocol: str) -> Mapping[str, Any] | None:
    """Return what metrics say of a protocol and these emotions."""
    wanted = (protocol, data.label_set, list(data.emotions))
    entries = metrics["protocols"]
    found = [e for e in entries if (e["protocol"], e["labels"], e["emotions"]) == wanted]
    return found[0] if found else None


def _told(path: Path, entry: Mapping[str, Any]) -> pd.DataFrame:
    """Return the out-of-fold predictions that an entry of metrics summarises."""
    words = ("clip_id", "protocol", "labels", "fold", "truth")
    told = pd.read_csv(path, dtype=dict.fromkeys(words, str))
    return told[told["protocol"].eq(entry["protocol"]) & told["labels"].eq(entry["labels"])]


def _result(
    told: pd.DataFrame, entry: Mapping[str, Any], data: Dataset, fold: splits.Fold
) -> dict[str, Any] | None:
    """Return a fold as `evaluate_recipe` stores it, if the model was tested on the same clips."""
    rows = told[told["fold"] == fold.name]
    clips = data.clips["clip_id"].iloc[tested(fold, data)].tolist()
    if sorted(rows["clip_id"]) != sorted(clips):
        return None
    # Clips are scored once or, where voices are enrolled, in several draws, one after the other.
    if rows["clip_id"].is_unique:
        rows = rows.set_index("clip_id").loc[clips]
    elif rows["clip_id"].tolist() != clips:
        return None
    (said,) = [each for each in entry["folds"] if each["fold"] == fold.name]
    columns = [f"p_{label}" for label in data.labels]
    return {
        "probabilities": rows[columns].to_numpy(dtype=float).tolist(),
        **{name: said[name] for name in FROM_TRAINING if name in said},
    }
