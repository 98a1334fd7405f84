"""`EmotionRecognizer`: from clips to a trained, measured and saved model, in scikit-learn's way."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from sercourse import bundles, classical, evaluate, experiment, features, files, labels, splits
from sercourse.recipes import (
    Model,
    Recipe,
    from_zoo,
    refuse_arrays,
    with_settings,
)
from sercourse.recipes import recipe as recipe_of

Clips = pd.DataFrame | Sequence[str | Path] | NDArray[Any]
File = str | Path

UNKNOWN = ("speaker", "gender", "split")


class EmotionRecognizer(ClassifierMixin, BaseEstimator):
    """Learns emotions from clips and names those of others, as a scikit-learn classifier.

    Wherever clips are wanted, a clip table will do, as `corpora.scan` gives it, or paths of sound
    files; labels are the table's column `emotion`, or those that are given beside it.

    Parameters
    ----------
    recipe : str, optional
        One of `recipes.RECIPES`, such as ``"svm"``.
    model : scikit-learn classifier, optional
        In place of a recipe: what learns from the set `features`. With neither, the classifiers of
        the zoo are tried on inner splits of the clips, and the best is kept.
    emotions : sequence of str, optional
        Only these, in any common spelling, or labels of one's own; clips of others are left out.
        All by default.
    features : str
        Features of `model` and of the zoo: a name that `features.named` knows, of vectors.
    balance : {False, True, "undersample", "weights"}
        True and ``"undersample"`` learn from as many clips of each emotion as the rarest has;
        ``"weights"`` lets each emotion count as much as any other. Networks always weigh.
    n_jobs : int
        Processes that compute features and try the zoo.
    seed : int
        Of the choice among the clips of frequent emotions.
    report : callable, optional
        Gets a line for what is left out and for each step, such as ``print``.

    Attributes
    ----------
    classes_ : ndarray of str
        The emotions, in the one order of the course; labels of one's own come last, sorted.
    left_out_ : dict of str to int
        Clips of other emotions that `fit` left out.
    rejects_ : pandas.DataFrame
        `path` and `reason` of clips that could not be used.
    recipe_ : Recipe
        What was fitted.
    search_ : pandas.DataFrame
        Of the zoo: how each candidate did on inner splits, best first.

    Examples
    --------
    >>> from sercourse import corpora
    >>> clips = corpora.scan(corpora.folder("ravdess"), corpus="ravdess").clips
    >>> recognizer = EmotionRecognizer("svm-classic", emotions=["sad", "joy"]).fit(clips)
    >>> recognizer.classes_.tolist(), recognizer.score(clips) > 0.9
    (['happy', 'sad'], True)
    """

    def __init__(
        self,
        recipe: str | None = None,
        *,
        model: Any = None,
        emotions: Sequence[str] | None = None,
        features: str = "librosa",
        balance: bool | str = False,
        n_jobs: int = 1,
        seed: int = 0,
        report: Callable[[str], None] | None = None,
    ) -> None:
        self.recipe = recipe
        self.model = model
        self.emotions = emotions
        self.features = features
        self.balance = balance
        self.n_jobs = n_jobs
        self.seed = seed
        self.report = report

    def fit(self, X: Clips, y: Iterable[str] | None = None) -> EmotionRecognizer:
        """Learn from clips.

        Parameters
        ----------
        X : clip table, or sequence of path
        y : sequence of str, optional
            Emotion of each clip; the table's column by default.

        Raises
        ------
        ValueError
            If there is no label, an emotion that is asked for does not occur, or what is left is
            too little to learn from.
        """
        given = _labelled(X, y)
        if own := labels.own(given["emotion"]):
            self._say(own)
        clips = experiment.choose(_known(given), emotions=self.emotions)
        self.left_out_, self.given_ = _left_out(given, clips), _counts(clips)
        self._say_left_out()
        chosen = self._balanced(clips)
        recipe = self._recipe(chosen)
        self.data_, self.rejects_ = self._prepared(recipe, chosen)
        self.classes_ = np.array(self.data_.emotions)
        self.recipe_: Any = recipe
        self.evaluations_: list[experiment.Evaluation] = []
        self._bundle: bundles.Bundle | None = None
        self.models_ = tuple(
            _fitted(member, part, report=self._say)
            for member, part in experiment.by_member(recipe, self.data_)
        )
        return self

    def predict(self, X: Clips | File) -> Any:
        """Return the most probable emotion of each clip, shape (n_clips,); of one file, its name.

        Raises
        ------
        OSError, ValueError
            If a clip cannot be used.
        """
        probabilities = self.predict_proba(X)
        if isinstance(probabilities, dict):
            return max(probabilities, key=lambda emotion: probabilities[emotion])
        return self.classes_[probabilities.to_numpy().argmax(axis=1)]

    def predict_proba(self, X: Clips | File) -> Any:
        """Return calibrated probabilities: a table, a row for each clip; of one file, a dict.

        A file is judged as `sercourse predict` does: a long one in parts, and silence is refused.

        Raises
        ------
        OSError, ValueError
            If a clip cannot be used.
        """
        check_is_fitted(self, "classes_")
        if isinstance(X, str | Path):
            return self._as_bundle().predict_file(X).probabilities
        clips = _table(X)
        rows = [self._rows(each, clips) for each in self._feature_sets()]
        return pd.DataFrame(self._judged(rows), columns=list(self.classes_), index=clips["clip_id"])

    def score(self, X: Clips, y: Iterable[str] | None = None, sample_weight: Any = None) -> float:
        """Return the accuracy on clips of the known emotions; others are left out."""
        clips = self._of_known_emotions(X, y)
        right = self.predict(clips) == clips["emotion"].to_numpy(dtype=str)
        return float(np.average(right, weights=sample_weight))

    def train_score(self) -> float:
        """Return the accuracy on the clips that were learnt from: no measure of anything else."""
        return self.score(self._training().clips)

    def confusion_matrix(
        self, X: Clips, y: Iterable[str] | None = None, *, percentage: bool = False
    ) -> pd.DataFrame:
        """Return how often each emotion (row) was taken for which (column).

        Parameters
        ----------
        X, y
            As in `fit`; clips of other emotions are left out.
        percentage : bool
            Of the clips of each emotion [%]; a row sums to 100.
        """
        clips = self._of_known_emotions(X, y)
        names = [str(each) for each in self.classes_]
        counts: NDArray[Any] = evaluate.confusion(
            clips["emotion"].to_numpy(dtype=str), self.predict(clips), labels=names
        )
        if percentage:
            counts = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        index, columns = pd.Index(names, name="truth"), pd.Index(names, name="predicted")
        return pd.DataFrame(counts, index=index, columns=columns)

    def samples_by_class(self) -> pd.DataFrame:
        """Return how many clips of each emotion were given, and how many were learnt from."""
        used = _counts(self._training().clips)
        return pd.DataFrame({"given": self.given_, "used": used}).loc[list(self.classes_)]

    def evaluate(self, protocol: str = "speaker", *, seeds: Sequence[int] = range(3)) -> Any:
        """Measure the recipe on the clips that were learnt from, fold by fold, under a protocol.

        Every fold trains a model of its own and tests it on the rest. The figures go into what
        `save` writes. They are `experiment.Evaluation.metrics`.

        Parameters
        ----------
        protocol : str
            A key of `splits.PROTOCOLS`; ``"random"`` where speakers are not known.
        seeds : sequence of int
            For protocol ``random``.
        """
        self._training()
        found = experiment.evaluate_recipe(
            self.recipe_, self.data_, protocol=protocol, seeds=seeds, report=self._say
        )
        self.evaluations_.append(found)
        self._bundle = None  # an ensemble is calibrated by what its folds say
        return found.metrics

    def save(self, folder: str | Path, *, licence: str = "") -> Path:
        """Write the model as a bundle, for `load` and ``sercourse predict --model``.

        Parameters
        ----------
        folder : path
            An earlier bundle there is replaced.
        licence : str
            Terms of the clips, for the model card.
        """
        self._training()
        return experiment.save_fitted(
            self.recipe_,
            self.data_,
            [{"model": model} for model in self.models_],
            folder=files.user_path(folder),
            evaluations=self.evaluations_,
            licence=licence,
        )

    @classmethod
    def load(cls, model: str | Path) -> EmotionRecognizer:
        """Return a recogniser that predicts with a bundle.

        Parameters
        ----------
        model : str or path
            A name in `models/`, or a folder.
        """
        bundle = bundles.load(model)
        names = [each.info["recipe"]["name"] for each in bundle.members]
        loaded = cls("+".join(names), emotions=list(bundle.labels))
        loaded.classes_ = np.array(bundle.labels)
        loaded._bundle = bundle
        return loaded

    def _say(self, line: str) -> None:
        if self.report is not None:
            self.report(line)

    def _say_left_out(self) -> None:
        if self.left_out_:
            told = ", ".join(f"{count} {emotion}" for emotion, count in self.left_out_.items())
            self._say(f"left out: {sum(self.left_out_.values())} clips of other emotions ({told})")

    def _balanced(self, clips: pd.DataFrame) -> pd.DataFrame:
        if self.balance not in (False, True, "undersample", "weights"):
            raise ValueError(
                f"balance is {self.balance!r}: use False, True, 'undersample' or 'weights'"
            )
        if self.balance not in (True, "undersample"):
            return clips
        kept = splits.undersample(clips["emotion"].to_numpy(dtype=str), seed=self.seed)
        return clips.iloc[kept].reset_index(drop=True)

    def _recipe(self, clips: pd.DataFrame) -> Recipe:
        """Return the recipe that is asked for, or that of the best of the zoo."""
        weighted = self.balance == "weights"
        if self.recipe is not None and self.model is not None:
            raise ValueError("both a recipe and a model are given: give one of them, or none")
        if self.model is not None:
            return _recipe_of_model(self.model, feature_set=self.features, weighted=weighted)
        if self.recipe is None:
            return self._best_of_zoo(clips, weighted=weighted)
        return _weighted(recipe_of(self.recipe)) if weighted else recipe_of(self.recipe)

    def _best_of_zoo(self, clips: pd.DataFrame, *, weighted: bool) -> Recipe:
        sketch = from_zoo("svc", feature_set=self.features)  # any: all see the same features
        data, _ = self._prepared(sketch, clips)
        plan = experiment.SearchConfig(
            data,
            data.everything,
            data.usual_protocol,
            self.features,
            balance="weights" if weighted else "none",
        )
        names = [name for name in classical.CLASSIFIERS if not weighted or _takes_weights(name)]
        tables = [
            experiment.grid_search(plan, name, n_jobs=self.n_jobs, report=self._say)
            for name in names
        ]
        self.search_ = plan.ranked(pd.concat(tables))
        best = self.search_.iloc[0]
        settings = json.loads(best["settings"])
        return from_zoo(best["estimator"], settings, feature_set=self.features, weighted=weighted)

    def _prepared(self, recipe: Recipe, clips: pd.DataFrame) -> tuple[Any, pd.DataFrame]:
        """Return what the recipe measures on clips, and the clips that could not be used."""
        measured = [
            [self._features(each, clips) for each in (member.features, *member.copies)]
            for member in recipe.parts
        ]
        tables = [table for member in measured for table in member]
        rejects = pd.concat([table.rejects for table in tables]).drop_duplicates("path")
        for path, reason in rejects.itertuples(index=False):
            self._say(f"left out: {path}: {reason}")
        every = labels.in_order([*self.left_out_, *self.given_.index])
        data = replace(experiment.dataset_without_features(clips), corpus_emotions=every)
        return experiment.with_features(recipe, data, measured), rejects

    def _features(self, feature_set: features.FeatureSet, clips: pd.DataFrame) -> features.Features:
        known = clips.assign(content=features.contents(clips))
        return features.feature_table(known, feature_set=feature_set, n_jobs=self.n_jobs)

    def _rows(self, feature_set: features.FeatureSet, clips: pd.DataFrame) -> NDArray[Any]:
        found = self._features(feature_set, clips)
        if len(found.rejects):
            path, reason = found.rejects.iloc[0]
            raise ValueError(f"{path}: {reason}")
        return found.X

    def _feature_sets(self) -> list[features.FeatureSet]:
        if self._bundle is not None:
            return [member.feature_set for member in self._bundle.members]
        return [member.features for member in self.recipe_.parts]

    def _judged(self, rows: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
        if self._bundle is not None:
            return self._bundle.predict_proba(*rows)
        answers = [model.predict_proba(X) for model, X in zip(self.models_, rows, strict=True)]
        if len(answers) == 1:
            return answers[0]
        temperature = experiment.temperatures(self.evaluations_, self.recipe_).get("model", 1.0)
        weights = self.recipe_.weights
        return evaluate.geometric_mean(np.stack(answers), weights=weights, temperature=temperature)

    def _as_bundle(self) -> bundles.Bundle:
        """Return the model as inference runs it; saved for a moment if it is not."""
        if self._bundle is None:
            with tempfile.TemporaryDirectory() as folder:
                bundle = bundles.load(self.save(Path(folder) / "recognizer"))
                # Models are read when they are first used, and the folder is about to go.
                empty = [np.zeros((1, *each.row_shape)) for each in self._feature_sets()]
                bundle.predict_proba(*empty)
            self._bundle = bundle
        return self._bundle

    def _training(self) -> Any:
        """Return the clips that were learnt from, with their features."""
        check_is_fitted(self, "classes_")
        if not hasattr(self, "data_"):
            raise ValueError(
                "the recogniser was loaded from a bundle and does not know the clips that it "
                "learnt from: fit one to ask for this"
            )
        return self.data_

    def _of_known_emotions(self, X: Clips, y: Iterable[str] | None) -> pd.DataFrame:
        check_is_fitted(self, "classes_")
        clips = _labelled(X, y)
        known = clips[clips["emotion"].isin(list(self.classes_))].reset_index(drop=True)
        if known.empty:
            raise ValueError(
                f"none of the {len(clips)} clips is {' or '.join(self.classes_)}: give clips of "
                "emotions that the recogniser knows"
            )
        return known


def _table(X: Clips) -> pd.DataFrame:
    """Return clips as a table with unique names."""
    if not isinstance(X, pd.DataFrame):
        return _table(pd.DataFrame({"path": [str(path) for path in X]}))
    if "path" not in X.columns:
        raise ValueError("the clip table has no column 'path': make it with corpora.scan")
    clips = X.reset_index(drop=True)
    names = (clips["clip_id"] if "clip_id" in clips.columns else clips["path"]).astype("string")
    if names.duplicated().any():  # as where clips are drawn with replacement
        names = names + "#" + clips.index.astype("string")
    return clips.assign(clip_id=names)


def _labelled(X: Clips, y: Iterable[str] | None) -> pd.DataFrame:
    """Return clips as a table with canonical emotions; without those that have none."""
    clips = _table(X)
    if y is None and "emotion" not in clips.columns:
        raise ValueError("the emotion of the clips is not given: give a label for each path")
    given = pd.Series(list(clips["emotion"] if y is None else y), dtype="string")
    if len(given) != len(clips):
        raise ValueError(f"{len(clips)} clips and {len(given)} labels are given: give one for each")
    named = given.dropna().map(labels.canonical)
    return clips.assign(emotion=named.reindex(clips.index)).dropna(subset="emotion")


def _known(clips: pd.DataFrame) -> pd.DataFrame:
    """Return the table with all columns that experiments look at; the unknown is ``<NA>``."""
    missing = pd.array([pd.NA] * len(clips), dtype="string")
    absent: dict[str, Any] = {name: missing for name in UNKNOWN if name not in clips.columns}
    if "corpus" not in clips.columns:
        absent["corpus"] = pd.array(["custom"] * len(clips), dtype="string")
    if "content" not in clips.columns:
        absent["content"] = pd.Series(features.contents(clips), clips.index)
    if "group" not in clips.columns:  # neither a recording under two names nor segments of one
        recording = pd.Series(features.contents(clips[["path"]]), clips.index)
        absent["group"] = clips["clip_id"].groupby(recording).transform("first")
    return clips.assign(**absent)


def _counts(clips: pd.DataFrame) -> pd.Series:
    return clips["emotion"].astype(str).value_counts()


def _left_out(given: pd.DataFrame, chosen: pd.DataFrame) -> dict[str, int]:
    """Return how many clips there are of emotions that were not chosen."""
    counts, kept = _counts(given), set(chosen["emotion"])
    return {name: int(counts[name]) for name in labels.in_order(counts.index) if name not in kept}


def _fitted(recipe: Recipe, data: experiment.Dataset, *, report: Callable[[str], None]) -> Model:
    """Fit a recipe on all clips."""
    model, _ = experiment.fit_fold(
        recipe, data, data.everything, protocol=data.usual_protocol, report=report
    )
    return model


def _recipe_of_model(model: Any, *, feature_set: str, weighted: bool) -> Recipe:
    """Return a recipe of a scikit-learn classifier."""
    refuse_arrays(feature_set)
    learner = classical.PipelineLearner(lambda: classical.pipeline(model), weighted=weighted)
    kind = type(learner.pipeline()[-1]).__name__  # refuses what takes no weights
    return Recipe(
        re.sub(r"(?<=[a-z])(?=[A-Z])", "-", kind).lower(),
        f"{kind} of scikit-learn on {feature_set} features",
        feature_set=feature_set,
        learner=learner,
        normalized=False,
    )


def _weighted(recipe: Recipe) -> Any:
    """Return the same recipe, to which every emotion counts as much as any other."""
    if recipe.members:
        return replace(recipe, members=tuple(_weighted(each) for each in recipe.members))
    if not isinstance(recipe.learner, classical.PipelineLearner):
        return recipe  # networks always weigh
    classical.weighted(recipe.learner.pipeline())
    return with_settings(recipe, weighted=True)


def _takes_weights(name: str) -> bool:
    try:
        classical.weighted(classical.CLASSIFIERS[name].make())
    except ValueError:
        return False
    return True
