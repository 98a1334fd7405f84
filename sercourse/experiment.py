"""Run a recipe under a protocol, fold by fold, resumable; train the final model of a bundle."""

from __future__ import annotations

import datetime
import json
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import threadpoolctl
from numpy.typing import NDArray

import sercourse
from sercourse import (
    bundles,
    classical,
    corpora,
    evaluate,
    features,
    files,
    labels,
    normalize,
    splits,
)
from sercourse.recipes import Recipe

if TYPE_CHECKING:
    from sklearn.calibration import CalibratedClassifierCV

Array = NDArray[np.float64]
Report = Callable[[str], None]

DECIMALS = 5  # of stored probabilities; every figure is computed from the rounded ones
LARGEST_ONNX_DIFFERENCE = 1e-5
VERSIONED = ("numpy", "scikit-learn", "skl2onnx", "onnxruntime", "soundfile", "soxr")


@dataclass(frozen=True, eq=False)
class Dataset:
    """The clips of one experiment and their features.

    Attributes
    ----------
    clips : pandas.DataFrame
        Clip table, one row for each row of `X`.
    X : ndarray, shape (n_clips, n_features)
    copies : tuple of ndarray, shape (n_clips, n_features) each
        The same clips at the recipe's other speeds; only training sees them.
    emotions : tuple of str
        The label set.
    """

    clips: pd.DataFrame
    X: Array
    copies: tuple[Array, ...]
    emotions: tuple[str, ...]

    @property
    def y(self) -> NDArray[np.intp]:
        """Emotion of each clip, as its place in `emotions`.

        Numbers keep the one order of emotions, where scikit-learn would sort names by the alphabet.
        """
        return np.array([self.emotions.index(name) for name in self.clips["emotion"]])

    @property
    def speakers(self) -> NDArray[np.str_]:
        """Speaker of each clip."""
        return self.clips["speaker"].fillna("").to_numpy(dtype=str)

    @property
    def has_voices(self) -> bool:
        """Whether every clip's speaker is known, and there are several."""
        return bool(self.clips["speaker"].notna().all() and self.clips["speaker"].nunique() > 1)

    @property
    def corpus(self) -> str:
        """Name of the corpus, or of several joined by ``+``."""
        return "+".join(sorted(self.clips["corpus"].unique()))

    @property
    def label_set(self) -> str:
        """Short name of the choice among the corpus's emotions."""
        return bundles.label_set(self.emotions, of=self.clips.attrs["emotions"])


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The result of a recipe under a protocol.

    Attributes
    ----------
    predictions : pandas.DataFrame
        Out-of-fold: clip_id, speaker, gender, protocol, labels, fold, truth, ``p_<emotion>``.
    metrics : dict
        What `evaluate.summarize` says, and what was evaluated, how and in how many seconds.
    """

    predictions: pd.DataFrame
    metrics: dict[str, Any]


def choose(clips: pd.DataFrame, *, emotions: Sequence[str] | None = None) -> pd.DataFrame:
    """Return the clips of the chosen emotions.

    Raises
    ------
    ValueError
        If an emotion does not occur, or fewer than two do.
    """
    present = labels.in_order(clips["emotion"].dropna())
    wanted = present if emotions is None else labels.in_order(emotions)
    if absent := [emotion for emotion in wanted if emotion not in present]:
        raise ValueError(
            f"the corpus has no clip of {', '.join(absent)}: it has {', '.join(present)}"
        )
    if len(wanted) < 2:
        raise ValueError(
            f"the corpus shows {len(wanted)} emotion(s): at least two are needed to classify"
        )
    chosen = clips[clips["emotion"].isin(wanted)].reset_index(drop=True)
    chosen.attrs["emotions"] = present
    return chosen


def prepare(
    recipe: Recipe,
    clips: pd.DataFrame,
    *,
    emotions: Sequence[str] | None = None,
    n_jobs: int = 1,
    progress: bool = True,
    report: Report = lambda line: None,
) -> Dataset:
    """Compute what a recipe measures on the clips of the chosen emotions.

    Parameters
    ----------
    recipe : Recipe
    clips : pandas.DataFrame
        Clip table.
    emotions : sequence of str, optional
        All that occur by default.
    n_jobs : int
        Processes that compute features.
    progress : bool
        Show a bar on stderr.
    report : callable
        Gets a line for each clip that could not be used.

    Raises
    ------
    ValueError
        If too few emotions or no clips are left.
    """
    chosen = choose(clips, emotions=emotions)
    sets = [recipe.features, *(features.with_speed(recipe.features, s) for s in recipe.speeds)]
    # All clips are computed, and cached together: other choices of emotions then cost nothing.
    tables = [
        features.feature_table(clips, feature_set=each, n_jobs=n_jobs, progress=progress)
        for each in sets
    ]
    for path, reason in tables[0].rejects.itertuples(index=False):
        report(f"left out: {path}: {reason}")
    usable = set(chosen["clip_id"]).intersection(*(table.clip_id for table in tables))
    used = chosen[chosen["clip_id"].isin(usable)].reset_index(drop=True)
    used.attrs = chosen.attrs
    X, *copies = [table.X[np.isin(table.clip_id, list(usable))] for table in tables]
    return Dataset(used, X, tuple(copies), labels.in_order(used["emotion"]))


def evaluate_recipe(
    recipe: Recipe,
    data: Dataset,
    *,
    protocol: str,
    seeds: Sequence[int] = range(10),
    store: Path | None = None,
    report: Report = lambda line: None,
) -> Evaluation:
    """Measure a recipe under a protocol; folds that are stored already are read back.

    Parameters
    ----------
    recipe : Recipe
    data : Dataset
        Of the same recipe.
    protocol : str
        A key of `splits.PROTOCOLS`.
    seeds : sequence of int
        For protocol ``random``.
    store : Path, optional
        Folder of finished folds; ``files.cache_dir() / "evaluations"`` by default.
    report : callable
        Gets a line for each fold.

    Returns
    -------
    Evaluation

    Raises
    ------
    ValueError
        If the clips cannot be divided by the protocol.
    """
    folds = make_folds(data, protocol=protocol, seeds=seeds)
    folder = _store(recipe, data, protocol=protocol, store=store)
    results = []
    for fold in folds:
        result = _stored(folder, fold)
        if result is None:
            result = _run_fold(recipe, data, fold, protocol=protocol)
            files.write_json(_fold_file(folder, fold), result)
        results.append(result)
        report(_fold_line(fold, result, data=data))
    predictions = pd.concat(
        [
            _prediction_rows(data, fold, result, protocol=protocol)
            for fold, result in zip(folds, results, strict=True)
        ],
        ignore_index=True,
    )
    return Evaluation(predictions, _metrics(recipe, data, predictions, results, protocol=protocol))


def make_folds(
    data: Dataset, *, protocol: str, seeds: Sequence[int] = range(10)
) -> list[splits.Fold]:
    """Divide the clips of an experiment by a protocol."""
    clips = data.clips
    return splits.make_folds(
        protocol,
        y=clips["emotion"].to_numpy(dtype=str),
        speakers=list(clips["speaker"]),
        groups=clips["group"].to_numpy(dtype=str),
        corpus=data.corpus,
        seeds=seeds,
        split=clips["split"].fillna("").to_numpy(dtype=str),
    )


def fit_fold(
    recipe: Recipe, data: Dataset, fold: splits.Fold, *, protocol: str
) -> tuple[CalibratedClassifierCV, Array]:
    """Fit a recipe on the training side of a fold; return it and the test side's features.

    Training copies at other speeds stay on the side of their clip in every inner split.
    """
    versions = [each[fold.train] for each in (data.X, *data.copies)]
    test = data.X[fold.test]
    if protocol in ("speaker+norm", "speaker+enrol"):
        versions, test = _normalize_sides(data, fold, versions)
    with threadpoolctl.threadpool_limits(1):  # more wait for each other on busy cores
        model = classical.fit(
            recipe.make,
            np.concatenate(versions),
            np.tile(data.y[fold.train], len(versions)),
            groups=np.tile(_inner_groups(data, protocol)[fold.train], len(versions)),
            grid=recipe.grid,
        )
    return model, test


def train(
    recipe: Recipe,
    data: Dataset,
    *,
    folder: Path,
    evaluations: Sequence[Evaluation],
    licence: str = "",
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
        What is known of the recipe on this corpus: the bundle's metrics and predictions.
    licence : str
        Terms of the corpus, for the model card.
    report : callable
        Gets a line for each step.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    RuntimeError
        If the exported model does not compute the same probabilities.
    """
    protocol = "speaker" if data.has_voices else "random"
    everything = splits.Fold("all", np.arange(len(data.y)), np.arange(len(data.y)))
    report(f"training {recipe.name} on all {len(data.y)} clips")
    contents: dict[str, bytes | str] = {"model.onnx": _export(recipe, data, everything, protocol)}
    if data.has_voices:
        report("training the model for enrolled speakers")
        enrolled = _export(recipe, data, everything, "speaker+norm")
        contents |= {"model-enrolled.onnx": enrolled, "voice.npz": _voice_file(data)}
    info = _bundle_info(recipe, data, name=folder.name)
    metrics = {
        "recipe": recipe.name,
        "corpus": data.corpus,
        "protocols": [each.metrics for each in evaluations],
    }
    contents |= {
        "metrics.json": json.dumps(metrics, indent=1) + "\n",
        "predictions.csv": _predictions_csv(evaluations),
        "README.md": model_card(recipe, info, metrics, licence=licence),
    }
    return bundles.save(folder, info=info, contents=contents)


def model_card(
    recipe: Recipe, info: Mapping[str, Any], metrics: Mapping[str, Any], *, licence: str
) -> str:
    """Return the model card: intended use, training data, limits and results, as Markdown."""
    rows = [_card_row(entry) for entry in metrics["protocols"]]
    table = "\n".join(
        [
            "| Protocol | Emotions | Accuracy % | UAR % | F1 % | Chance % |",
            "|---|---|---|---|---|---|",
            *rows,
        ]
    )
    corpus = info["corpus"]
    return f"""# {info["name"]}

{recipe.title[0].upper()}{recipe.title[1:]}. It tells apart {", ".join(info["labels"])}.

## Use

For learning and for experiments: `sercourse predict FILE --model {info["name"]}`. It says which
acted emotion a short clip of one voice resembles most. It is not for judging what a person feels,
and not for decisions about anyone.

## Trained on

{corpus["name"]}: {corpus["n_clips"]} clips by {corpus["n_speakers"]} speakers. {licence}

## Results

{table if rows else "Not measured."}

With `random` and `recording` the same voices are on both sides of the split; with `speaker` every
test voice is new, which is what to expect for yours. In brackets: 95 % intervals over speakers;
after ±: standard deviations over repeats. Every figure comes from `predictions.csv`.

## Limits

The emotions are acted, by few speakers, in one language, with few sentences, in a quiet room and
close to the microphone. Other voices, languages, rooms and feelings will give other, mostly worse,
results. Probabilities are calibrated on unheard voices of the same corpus, and on nothing else.
"""


def _normalize_sides(
    data: Dataset, fold: splits.Fold, versions: Sequence[Array]
) -> tuple[list[Array], Array]:
    """Normalise both sides by voice: the training versions, and the test side's features.

    A copy at another speed is another voice, so its mean and spread are its own. A test voice is
    known from the clips set aside to enrol it or, where there are none, from all of its clips.
    """
    speakers = data.speakers
    train, test = speakers[fold.train], speakers[fold.test]
    typical = normalize.typical_voice(versions[0], train)
    normalized = [normalize.normalize_speakers(each, train, typical=typical) for each in versions]
    heard = fold.enrol if len(fold.enrol) else fold.test
    enrolment = {name: data.X[heard][speakers[heard] == name] for name in np.unique(test)}
    return normalized, normalize.normalize_speakers(
        data.X[fold.test], test, typical=typical, enrolment=enrolment
    )


def _inner_groups(data: Dataset, protocol: str) -> NDArray[np.str_]:
    """Return what inner splits keep together: speakers where the outer split is by speaker."""
    by_speaker = protocol.startswith("speaker")
    return data.speakers if by_speaker else data.clips["group"].to_numpy(dtype=str)


def _run_fold(recipe: Recipe, data: Dataset, fold: splits.Fold, *, protocol: str) -> dict[str, Any]:
    started = time.perf_counter()
    model, test = fit_fold(recipe, data, fold, protocol=protocol)
    probabilities = np.zeros((len(test), len(data.emotions)))
    probabilities[:, model.classes_] = model.predict_proba(test)
    return {
        "clip_id": data.clips["clip_id"].iloc[fold.test].tolist(),
        "probabilities": np.round(probabilities, DECIMALS).tolist(),
        "seconds": round(time.perf_counter() - started, 2),
    }


def _store(recipe: Recipe, data: Dataset, *, protocol: str, store: Path | None) -> Path:
    """Return the folder of an evaluation's folds, named by all that they depend on."""
    base = files.cache_dir() / "evaluations" if store is None else store
    fingerprint = corpora.fingerprint(data.clips)
    # What the sides of a split are drawn from: a corrected speaker makes other folds.
    sides = data.clips[["clip_id", "speaker", "group", "split"]].fillna("").to_numpy(dtype=str)
    settings = [recipe.settings, fingerprint, protocol, list(data.emotions), sides.tolist()]
    key = files.digest(settings)
    return base / f"{recipe.name}-{data.corpus}-{protocol}-{key}"


def _fold_file(folder: Path, fold: splits.Fold) -> Path:
    return folder / f"{fold.name.replace(' ', '-')}.json"


def _stored(folder: Path, fold: splits.Fold) -> dict[str, Any] | None:
    """Return a finished fold; a file that a full disk or an editor damaged counts as none."""
    try:
        result: dict[str, Any] = json.loads(_fold_file(folder, fold).read_text("utf-8"))
        return result if len(result["clip_id"]) == len(fold.test) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _fold_line(fold: splits.Fold, result: Mapping[str, Any], *, data: Dataset) -> str:
    accuracy = np.mean(np.argmax(result["probabilities"], axis=1) == data.y[fold.test])
    voices = f" ({', '.join(fold.test_speakers)})" if fold.test_speakers else ""
    return f"{fold.name}{voices}: accuracy {accuracy:.1%} in {result['seconds']:.0f} s"


def _prediction_rows(
    data: Dataset, fold: splits.Fold, result: Mapping[str, Any], *, protocol: str
) -> pd.DataFrame:
    clips = data.clips.iloc[fold.test]
    told = {
        "clip_id": clips["clip_id"].to_numpy(),
        "speaker": clips["speaker"].to_numpy(),
        "gender": clips["gender"].to_numpy(),
        "protocol": protocol,
        "labels": data.label_set,
        "fold": fold.name,
        "truth": clips["emotion"].to_numpy(),
    }
    columns = [f"p_{emotion}" for emotion in data.emotions]
    return pd.DataFrame(told).join(pd.DataFrame(result["probabilities"], columns=columns))


def _metrics(
    recipe: Recipe,
    data: Dataset,
    predictions: pd.DataFrame,
    results: Sequence[Mapping[str, Any]],
    *,
    protocol: str,
) -> dict[str, Any]:
    summary = evaluate.summarize(predictions, emotions=data.emotions)
    for fold, result in zip(summary["folds"], results, strict=True):
        fold["seconds"] = result["seconds"]
    return {
        "recipe": recipe.name,
        "corpus": data.corpus,
        "protocol": protocol,
        "labels": data.label_set,
        "emotions": list(data.emotions),
        "n_clips": len(data.clips),
        **summary,
        "seconds": round(sum(result["seconds"] for result in results), 1),
    }


def _export(recipe: Recipe, data: Dataset, everything: splits.Fold, protocol: str) -> bytes:
    """Train on everything and return the model as ONNX, after checking that it is the same."""
    model, X = fit_fold(recipe, data, everything, protocol=protocol)
    exported = classical.to_onnx(model, n_features=X.shape[1])
    ours = bundles.run(bundles.session(exported), X)
    difference = float(np.abs(ours - model.predict_proba(X)).max())
    if difference > LARGEST_ONNX_DIFFERENCE:
        raise RuntimeError(
            f"the exported model differs from the trained one by {difference:.1e}: this is a fault "
            "of the export; report it with the versions of skl2onnx and onnxruntime"
        )
    return exported


def _voice_file(data: Dataset) -> bytes:
    import io

    typical = normalize.typical_voice(data.X, data.speakers)
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, mean=typical.mean.astype(np.float32), std=typical.std.astype(np.float32)
    )
    return buffer.getvalue()


def _bundle_info(recipe: Recipe, data: Dataset, *, name: str) -> dict[str, Any]:
    versions = {package: metadata.version(package) for package in VERSIONED}
    return {
        "name": name,
        "title": recipe.title,
        "recipe": recipe.settings,
        "labels": list(data.emotions),
        "sample_rate": recipe.features.sr,
        "feature_names": list(recipe.features.names),
        "corpus": {
            "name": data.corpus,
            "fingerprint": corpora.fingerprint(data.clips),
            "n_clips": len(data.clips),
            "n_speakers": int(data.clips["speaker"].nunique()),
        },
        "trained": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "versions": {
            "sercourse": sercourse.__version__,
            "python": platform.python_version(),
            **versions,
        },
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


def _card_row(entry: Mapping[str, Any]) -> str:
    spread = ""
    if entry.get("accuracy_interval"):
        low, high = entry["accuracy_interval"]
        spread = f" [{low:.1%}, {high:.1%}]".replace("%", "")
    elif entry.get("accuracy_sd"):
        spread = f" ± {entry['accuracy_sd']:.1%}".replace("%", "")
    figures = (entry[name] for name in ("uar", "macro_f1", "chance"))
    cells = [f"{value:.1%}".removesuffix("%") for value in figures]
    emotions = f"{len(entry['emotions'])} ({entry['labels']})"
    accuracy = f"{entry['accuracy']:.1%}".removesuffix("%") + spread
    return f"| {' | '.join([entry['protocol'], emotions, accuracy, *cells])} |"
