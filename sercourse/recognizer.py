"""`EmotionRecognizer`: train, measure and save a model of clips as a scikit-learn estimator."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import confusion_matrix
from sklearn.utils.validation import check_is_fitted

from sercourse import classical, evaluate, experiment, features, files, labels, recipes, splits
from sercourse.recipes import Recipe, Report, from_zoo, silent

Clips = pd.DataFrame | Sequence[str | Path] | NDArray[Any]

ABSENT = {"corpus": "custom", "speaker": pd.NA, "gender": pd.NA, "split": pd.NA}


@dataclass(eq=False, repr=False)
class EmotionRecognizer(ClassifierMixin, BaseEstimator):
    """Emotion classifier of sound files, with the interface of scikit-learn.

    Clips are a table, as `corpora.scan` gives it, or paths of sound files; labels are the table's
    column `emotion`, or those that are given beside it. `bundles.load` opens what `save` writes.

    Parameters
    ----------
    recipe : str, optional
        One of `recipes.RECIPES`, such as ``"svm"``.
    model : scikit-learn classifier, optional
        In place of a recipe: what learns from the set `features`. With neither, the classifiers of
        the zoo are tried on inner splits of the clips, and the best is kept.
    emotions : sequence of str, optional
        Only these, in any common spelling, or labels of one's own. All by default.
    features : str
        Features of `model` and of the zoo: a name that `features.named` knows, of vectors.
    balance : {False, True, "undersample", "weights"}
        True and ``"undersample"`` learn from as many clips of each emotion as the rarest has;
        ``"weights"`` lets each emotion count as much as any other.
    n_jobs : int
        Processes that compute features and try the zoo.
    seed : int
        Of the choice among the clips of frequent emotions.
    report : callable
        Gets a line for what is left out and for each step, such as ``print``.

    Attributes
    ----------
    classes_ : ndarray of str
        The emotions, in the one order of the course; labels of one's own come last, sorted.
    data_ : experiment.Dataset
        What was learnt from; `data_.clips` is the table.
    left_out_ : dict of str to int
        Clips of other emotions that `fit` left out.
    rejects_ : list of str
        Paths of clips that could not be used; `report` gets the reasons.
    recipe_ : Recipe
        What was fitted.
    search_ : pandas.DataFrame
        Of the zoo, as `experiment.grid_search` gives it, best first.

    Examples
    --------
    >>> from sercourse import corpora
    >>> clips = corpora.scan(corpora.folder("ravdess"), corpus="ravdess").clips
    >>> recognizer = EmotionRecognizer("svm-classic", emotions=["sad", "joy"]).fit(clips)
    >>> recognizer.classes_.tolist(), recognizer.score(clips) > 0.9
    (['happy', 'sad'], True)
    """

    recipe: str | None = None
    _: KW_ONLY
    model: Any = None
    emotions: Sequence[str] | None = None
    features: str = "librosa"
    balance: bool | str = False
    n_jobs: int = 1
    seed: int = 0
    report: Report = silent

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
        balances = (False, True, "undersample", "weights")
        if self.balance not in balances:
            raise ValueError(f"balance is {self.balance!r}: use one of {balances}")
        given = _labelled(X, y)
        if own := labels.own(given["emotion"]):
            self.report(own)
        clips = experiment.choose(given, emotions=self.emotions)
        others = given["emotion"][~given["emotion"].isin(clips["emotion"])].value_counts()
        self.left_out_ = {name: int(others[name]) for name in labels.in_order(others.index)}
        if self.left_out_:
            told = ", ".join(f"{count} {emotion}" for emotion, count in self.left_out_.items())
            self.report(f"left out: {others.sum()} clips of other emotions ({told})")
        self.given_ = clips["emotion"].value_counts()
        if self.balance in (True, "undersample"):
            kept = splits.undersample(clips["emotion"].to_numpy(dtype=str), seed=self.seed)
            clips = clips.iloc[kept].reset_index(drop=True)
        self.recipe_ = self._recipe(clips)
        # Networks always weigh.
        if self.balance == "weights" and recipes.has_setting(self.recipe_, "weighted"):
            self.recipe_ = recipes.with_settings(self.recipe_, weighted=True)
        self.data_ = self._measured(self.recipe_, clips)
        self.rejects_ = clips["path"][~clips["clip_id"].isin(self.data_.clips["clip_id"])].tolist()
        self.classes_ = np.array(self.data_.emotions)
        self.evaluations_: list[experiment.Evaluation] = []
        self.models_ = [
            experiment.fit_fold(
                member, part, part.everything, protocol=part.usual_protocol, report=self.report
            )[0]
            for member, part in experiment.by_member(self.recipe_, self.data_)
        ]
        return self

    def predict(self, X: Clips) -> NDArray[np.str_]:
        """Return the most probable emotion of each clip, shape (n_clips,)."""
        return np.array(self.predict_proba(X).idxmax(axis=1), dtype=str)

    def predict_proba(self, X: Clips) -> pd.DataFrame:
        """Return calibrated probabilities, a row for each clip.

        Raises
        ------
        ValueError
            If a clip cannot be used.
        """
        check_is_fitted(self, "classes_")
        clips, answers = _table(X), []
        members = experiment.by_member(self.recipe_, self.data_)
        for model, (member, _) in zip(self.models_, members, strict=True):
            how: Any = {"n_jobs": self.n_jobs, "progress": False}
            found = features.feature_table(clips, feature_set=member.features, **how)
            for path, reason in found.rejects.itertuples(index=False):
                raise ValueError(f"{path}: {reason}")
            answers.append(model.predict_proba(found.X))
        p = answers[0]
        if len(answers) > 1:
            t = experiment.temperatures(self.evaluations_, self.recipe_).get("model", 1.0)
            told = {"weights": self.recipe_.weights, "temperature": t}
            p = evaluate.geometric_mean(np.stack(answers), **told)
        return pd.DataFrame(p, columns=list(self.classes_), index=clips["clip_id"])

    def score(self, X: Clips, y: Iterable[str] | None = None, sample_weight: Any = None) -> float:
        """Return the accuracy on clips of the known emotions; others are left out."""
        clips = self._known(X, y)
        correct = self.predict(clips) == clips["emotion"].to_numpy(dtype=str)
        return float(np.average(correct, weights=sample_weight))

    def train_score(self) -> float:
        """Return the accuracy on the clips that were learnt from: no measure of anything else."""
        check_is_fitted(self, "classes_")
        return self.score(self.data_.clips)

    def samples_by_class(self) -> pd.DataFrame:
        """Return how many clips of each emotion were given, and how many were learnt from."""
        check_is_fitted(self, "classes_")
        used = self.data_.clips["emotion"].value_counts()
        return pd.DataFrame({"given": self.given_, "used": used}).loc[list(self.classes_)]

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
        clips, names = self._known(X, y), list(self.classes_)
        of = {"labels": names, "normalize": "true" if percentage else None}
        counts = confusion_matrix(clips["emotion"], self.predict(clips), **of)
        rows, columns = pd.Index(names, name="truth"), pd.Index(names, name="predicted")
        return pd.DataFrame(100 * counts if percentage else counts, rows, columns)

    def evaluate(self, protocol: str = "speaker", *, seeds: Sequence[int] = range(3)) -> Any:
        """Measure the recipe on the clips that were learnt from, fold by fold, under a protocol.

        Parameters
        ----------
        protocol : str
            One of `splits.PROTOCOLS`; ``"random"`` where speakers are not known.
        seeds : sequence of int
            For protocol ``random``.

        Returns
        -------
        dict
            `experiment.Evaluation.metrics`, which `save` writes, too.
        """
        check_is_fitted(self, "classes_")
        told: Any = {"protocol": protocol, "seeds": seeds, "report": self.report}
        found = experiment.evaluate_recipe(self.recipe_, self.data_, **told)
        others = [each for each in self.evaluations_ if each.metrics["protocol"] != protocol]
        self.evaluations_ = [*others, found]
        return found.metrics

    def save(self, folder: str | Path, *, licence: str = "") -> Path:
        """Write the model as a bundle, for `bundles.load` and ``sercourse predict --model``.

        Parameters
        ----------
        folder : path
            An earlier bundle there is replaced.
        licence : str
            Terms of the clips, for the model card.
        """
        check_is_fitted(self, "classes_")
        told: Any = {"folder": files.user_path(folder), "evaluations": self.evaluations_}
        models = [{"model": model} for model in self.models_]
        return experiment.save_fitted(self.recipe_, self.data_, models, licence=licence, **told)

    def _known(self, X: Clips, y: Iterable[str] | None) -> pd.DataFrame:
        """Return the clips of the emotions that were learnt, with their labels."""
        check_is_fitted(self, "classes_")
        clips = _labelled(X, y)
        known = clips[clips["emotion"].isin(list(self.classes_))]
        if known.empty:
            wanted = " or ".join(self.classes_)
            raise ValueError(f"none of the {len(clips)} clips is {wanted}: give some that are")
        return known

    def _measured(self, recipe: Any, clips: pd.DataFrame) -> Any:
        told: Any = {"n_jobs": self.n_jobs, "progress": False, "report": self.report}
        return experiment.prepare(recipe, clips, **told)

    def _recipe(self, clips: pd.DataFrame) -> Any:
        """Return the recipe that is asked for, or that of the best of the zoo."""
        if self.recipe is not None and self.model is not None:
            raise ValueError("both a recipe and a model are given: give one of them, or none")
        if self.recipe is not None:
            return recipes.recipe(self.recipe)
        recipes.refuse_arrays(self.features)
        if self.model is None:
            return self._best_of_zoo(clips)
        learner = classical.PipelineLearner(classical.pipeline(self.model))
        kind = type(learner.model[-1]).__name__
        name = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", kind).lower()
        title = f"{kind} of scikit-learn on {self.features} features"
        own: Any = {"feature_set": self.features, "learner": learner, "normalized": False}
        return Recipe(name, title, **own)

    def _best_of_zoo(self, clips: pd.DataFrame) -> Recipe:
        # The features are the same for every classifier of the zoo.
        data = self._measured(from_zoo("svc", feature_set=self.features), clips)
        weighs, names = self.balance == "weights", list(classical.CLASSIFIERS)
        plan = experiment.SearchConfig(
            data,
            data.everything,
            data.usual_protocol,
            self.features,
            balance="weights" if weighs else "none",
        )
        if weighs:  # neighbours, for example, take none
            names = [name for name in names if classical.takes_weights(plan.zoo[name].pipeline())]
        told: Any = {"n_jobs": self.n_jobs, "report": self.report}
        tables = [experiment.grid_search(plan, name, **told) for name in names]
        self.search_ = plan.ranked(pd.concat(tables))
        name, settings, uar = self.search_[["estimator", "settings", "uar"]].iloc[0]
        self.report(f"best of the zoo: {name} {settings}, UAR {uar:.1%}")
        return from_zoo(name, json.loads(settings), feature_set=self.features)


def _table(X: Clips) -> pd.DataFrame:
    """Return clips as a table with unique names and every column that experiments look at."""
    if not isinstance(X, pd.DataFrame):
        paths = [X] if isinstance(X, str | Path) else X
        X = pd.DataFrame({"path": [str(path) for path in paths]})
    if "path" not in X.columns:
        raise ValueError("the clip table has no column 'path': make it with corpora.scan")
    if X.empty:
        raise ValueError("no clip is given: give paths of sound files, or a clip table")
    clips = X.reset_index(drop=True)
    names = clips.get("clip_id", clips["path"]).astype("string")
    if names.duplicated().any():  # as where clips are drawn with replacement
        names = names + "#" + clips.index.astype("string")
    for name in set(ABSENT) - set(clips.columns):
        clips[name] = pd.Series(ABSENT[name], clips.index, dtype="string")
    clips = clips.assign(clip_id=names, content=features.contents(clips))
    if "group" not in clips.columns:  # a recording under two names, and segments of one
        recordings = np.array(features.contents(clips[["path"]]))
        clips["group"] = clips["clip_id"].groupby(recordings).transform("first")
    return clips


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
