"""A trained model, ready to predict: clips, long recordings, streams."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from sercourse import audio, evaluate, features, labels, normalize, runtime
from sercourse.bundles import timeline
from sercourse.bundles.schema import METRICS, read_json
from sercourse.bundles.timeline import WINDOW_SECONDS
from sercourse.features import short_term

PART_SECONDS = 4.0
LONG_SECONDS = 60.0  # a recording beyond this is never held as a whole
PATIENCE_SECONDS = 8.0  # a model is stopped after so long, and a second for each clip
BATCH = 64  # rows that are judged at once: networks take some megabytes for each
UNKNOWN = "unknown"  # the answer where a model is not sure enough
UNLEARNT = "the model does not know"
NOT_SPEECH = "unlike any speech that the model learnt from"
NOT_LOUD = "no part of the recording is loud enough to be judged"

Array = NDArray[Any]


@dataclass(frozen=True)
class Prediction:
    """What a model says of one clip.

    Attributes
    ----------
    path : str
    emotion : str
        The most probable one; ``unknown`` where even that is not sure enough, or the sound is
        unlike any speech that the model learnt from.
    probabilities : dict of str to float
        In the order of the model's labels.
    duration : float
        Length of the clip [s].
    warnings : tuple of str
        What makes the answer doubtful, such as a clipped recording.
    gender : str or None
        ``female`` or ``male``; ``unknown`` where that is not sure enough, None where the bundle has
        no model for it.
    gender_probabilities : dict of str to float
        Of both; empty where the bundle has no model for it.
    channel : int, str or None
        The one that was judged; None for the average of all.
    speech : bool
        Whether the sound is like the speech that the model learnt from.
    """

    path: str
    emotion: str
    probabilities: dict[str, float]
    duration: float
    warnings: tuple[str, ...] = ()
    gender: str | None = None
    gender_probabilities: dict[str, float] = field(default_factory=dict)
    channel: audio.Channel = None
    speech: bool = True


@dataclass(frozen=True, eq=False)
class Member:
    """One ONNX model of a bundle, and the features that it takes.

    Attributes
    ----------
    folder : Path
        Of the bundle.
    info : mapping
        Its labels, recipe, sample rate, feature names and files, from `bundle.json`.
    voice : normalize.SpeakerStats or None
        The enrolled voice; None for an unknown speaker.
    """

    folder: Path
    info: Mapping[str, Any]
    voice: normalize.SpeakerStats | None = None

    @cached_property
    def feature_set(self) -> features.FeatureSet:
        """Features of the model; ValueError if this version of the package computes others."""
        wanted, encoder = self.info["recipe"]["features"], self.info["files"].get("encoder")
        name = f"{wanted['name']}:{self.folder / encoder}" if encoder else wanted["name"]
        found = features.named(name)
        if found.settings != wanted or list(found.names) != self.info["feature_names"]:
            raise ValueError(
                f"{self.folder / 'bundle.json'}: the model learned from other {wanted['name']!r} "
                "features (recipe.features, feature_names) than this version of sercourse "
                "computes: train it again, or install the version that it names"
            )
        return found

    def enrol(self, X: Array) -> Member:
        """Return the model for the speaker of some clips, (n, n_features); itself without one."""
        if "enrolled" not in self.info["files"]:
            return self
        return replace(self, voice=normalize.map_adapt(self._typical, X))

    def knows(self, X: Array) -> NDArray[np.bool_]:
        """Return whether features of clips (n, ...) lie within the distance of training speech.

        A model that was trained without a limit takes everything for speech.
        """
        limit = self.info.get("speech")
        if limit is None:
            return np.ones(len(X), dtype=bool)
        n, typical = int(limit["n_features"]), self._typical
        last = normalize.SpeakerStats(typical.mean[-n:], typical.std[-n:])
        return normalize.distance(X[:, -n:], last) <= float(limit["farthest"])

    @cached_property
    def _typical(self) -> normalize.SpeakerStats:
        """The average voice of the training."""
        path, shape = self.folder / self.info["files"]["voice"], (len(self.info["feature_names"]),)
        try:
            with np.load(path, allow_pickle=False) as stored:
                typical = normalize.SpeakerStats(stored["mean"], stored["std"])
            kinds = {(each.shape, each.dtype.kind) for each in vars(typical).values()}
            largest = np.maximum(abs(typical.mean), typical.std)
            if kinds != {(shape, "f")} or not ((typical.std > 0) & (largest < 1e9)).all():
                raise ValueError(f"means and deviations of shape {shape} are wanted, all finite")
        except (ValueError, TypeError, LookupError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path} holds no typical voice ({error}): get it again") from None
        return typical

    def predict_proba(self, X: Array) -> NDArray[np.float64]:
        """Return probabilities (n, n_labels) for features of clips (n, ...)."""
        X = X if self.voice is None else normalize.normalize(X, self.voice)
        p, known = run(self._session, X, name=self._path), len(self.info["labels"])
        if p.shape[1] != known:
            seen = f"{known} labels and {self._path.name}, which gives {p.shape[1]}"
            raise ValueError(f"{self.folder / 'bundle.json'} has {seen}: get the model again")
        return p

    @cached_property
    def _session(self) -> Any:
        return runtime.session(self._path.read_bytes(), name=self._path)

    @property
    def _path(self) -> Path:
        return self.folder / str(self.info["files"]["enrolled" if self.voice else "model"])


@dataclass(frozen=True, eq=False)
class Bundle:
    """A verified bundle.

    Attributes
    ----------
    folder : Path
    info : mapping
        Content of `bundle.json`.
    members : tuple of Member
        The models whose probabilities are averaged: their geometric mean, which is calibrated by
        the `temperature` of `info`.
    gender_member : Member or None
        The model that tells female from male voices.
    emotions : tuple of str or None
        The only ones that may be answered; None for all that it knows.
    """

    folder: Path
    info: Mapping[str, Any]
    members: tuple[Member, ...]
    gender_member: Member | None = None
    emotions: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        """Name of the bundle."""
        return str(self.info["name"])

    @property
    def labels(self) -> tuple[str, ...]:
        """Emotions that it tells apart, in the order of its probabilities."""
        return tuple(self.info["labels"]) if self.emotions is None else self.emotions

    @property
    def sample_rate(self) -> int:
        """Rate that its signals must have [Hz]."""
        return int(self.members[0].info["sample_rate"])

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """Content of `metrics.json`."""
        return read_json(self.folder / "metrics.json", METRICS)

    def only(self, emotions: Iterable[str]) -> Bundle:
        """Return a bundle that answers with some emotions only, as `restrict_labels` does.

        Examples
        --------
        >>> from sercourse import bundles
        >>> bundles.load("ravdess-svm").only(["sadness", "happy"]).labels
        ('happy', 'sad')
        """
        return replace(self, emotions=labels.subset(emotions, self.labels, lacks=UNLEARNT))

    def answering_from(self, probability: float) -> Bundle:
        """Return a bundle that answers ``unknown`` where no emotion reaches a probability.

        Examples
        --------
        >>> from sercourse import bundles
        >>> bundles.load("ravdess-svm").answering_from(0.5).info["sure_from"]
        0.5
        """
        if not 0 <= probability <= 1:
            raise ValueError(f"the probability is {probability}: give a number from 0 to 1")
        return replace(self, info={**self.info, "sure_from": float(probability)})

    def enrol(self, paths: Iterable[str | Path]) -> Bundle:
        """Return a bundle that is normalised for the speaker of some unlabelled clips.

        Parameters
        ----------
        paths : iterable of path
            Clips of one speaker, with as many moods as there are; about eight will do. A long one
            counts as several.

        Raises
        ------
        OSError, ValueError
            If the bundle has no model for enrolled speakers, no clip is given, or one cannot be
            read or holds no voice.
        """
        if not any("enrolled" in each.info["files"] for each in self.members):
            raise ValueError(f"model {self.name!r} cannot enrol a speaker: it was trained without")
        sr, rows = self.sample_rate, []
        for path in paths:
            y = audio.read(path, sr=sr)
            parts = self._split(y)
            if not parts:
                reason = "; ".join(audio.fatal_issues(y, sr=sr)) or NOT_LOUD
                raise ValueError(f"{path}: {reason}")
            rows += [self._rows(part) for part in parts]
        if not rows:
            raise ValueError("there is no clip to enrol the speaker from: give a few of them")
        X = {feature_set: np.stack([row[feature_set] for row in rows]) for feature_set in rows[0]}
        return replace(self, members=tuple(m.enrol(X[m.feature_set]) for m in self.members))

    def predict_proba(self, *X: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the probabilities (n_clips, n_labels) for features of clips.

        Parameters
        ----------
        *X : ndarray, shape (n_clips, ...)
            As `features.extract` gives them, before any normalisation: one for each member.
        """
        if len(X) != len(self.members):
            raise ValueError(f"{len(self.members)} members and {len(X)} arrays: give one for each")
        answers = [each.predict_proba(x) for each, x in zip(self.members, X, strict=True)]
        known, p = tuple(self.info["labels"]), answers[0]
        temperature = self.info.get("temperature", {})
        if len(answers) > 1 or temperature:
            kind = "enrolled" if any(each.voice is not None for each in self.members) else "model"
            t = float(temperature.get(kind, temperature.get("model", 1.0)))
            weights = self.info.get("weights", ())
            p = evaluate.geometric_mean(np.stack(answers), weights=weights, temperature=t)
        if self.emotions is None:
            return p
        return renormalized(p[:, [known.index(emotion) for emotion in self.emotions]])

    def predict(self, y: Array, *, sr: int) -> dict[str, float]:
        """Return the probability of each emotion in a signal, as `answer` finds them."""
        return replace(self, gender_member=None).answer(y, sr=sr).probabilities

    def answer(self, y: Array, *, sr: int) -> Prediction:
        """Name the emotion in a signal, or say that it is not known.

        A signal whose words last longer than the model can take, 8 s or less, is judged in parts of
        4 s or less, whose probabilities are averaged; silent parts do not count. Beyond a minute,
        neither do parts without speech, or far softer than the loudest.

        Parameters
        ----------
        y : ndarray, shape (n_samples,)
            Mono signal in [-1, 1].
        sr : int
            Its rate [Hz], that of the bundle.

        Raises
        ------
        ValueError
            If the rate is another or the signal cannot be judged: silent, too short.
        """
        self._refuse_rate(sr)
        y, length = np.asarray(y), round(LONG_SECONDS * sr)
        short_term.require_signal(y)
        return self._predict(y[k : k + length] for k in range(0, max(1, len(y)), length))

    def predict_file(self, path: str | Path, *, channel: audio.Channel = None) -> Prediction:
        """Name the emotion in a sound file of any rate, format, length and number of channels.

        Parameters
        ----------
        path : path
        channel : int or str, optional
            The only one to judge: a number from 1, "left" or "right". Default: their average.

        Raises
        ------
        OSError, ValueError
            If the file cannot be read, or holds nothing to judge.
        """
        blocks = audio.blocks(path, sr=self.sample_rate, seconds=LONG_SECONDS, channel=channel)
        return replace(self._predict(blocks, path=str(path)), channel=channel)

    def predict_over_time(self, y: Array, *, sr: int, **steps: float) -> timeline.Timeline:
        """Return the probabilities of each emotion in windows that slide over a signal.

        Parameters
        ----------
        y : ndarray, shape (n_samples,)
            Mono signal in [-1, 1]; one that is shorter than a window gives one row.
        sr : int
            Its rate [Hz], that of the bundle.
        **steps
            `every` and `window`, as in `predict_stream`.

        Returns
        -------
        timeline.Timeline
            Rows of windows that are silent, hold no speech or lie 45 dB below the loudest are NaN.

        Raises
        ------
        ValueError
            If the rate is another, the signal is empty, or `every` or `window` is out of range.

        Examples
        --------
        >>> from sercourse import bundles
        >>> signal = np.zeros(16_000 * 5, dtype=np.float32)
        >>> heard = bundles.load("ravdess-svm").predict_over_time(signal, sr=16_000, every=1.0)
        >>> heard.start.tolist(), heard.emotions, heard.notes
        ([0.0, 1.0, 2.0], (None, None, None), ('silence', 'silence', 'silence'))
        """
        y = np.asarray(y)
        short_term.require_signal(y)
        return timeline.collect(self.predict_stream([y], sr=sr, **steps), labels=self.labels)

    def predict_file_over_time(
        self, path: str | Path, *, channel: audio.Channel = None, **steps: float
    ) -> timeline.Timeline:
        """Do the same for a sound file; read in blocks, an hour takes no more memory than a clip.

        Raises
        ------
        OSError, ValueError
            If the file cannot be read, or `every` or `window` is out of range.
        """
        blocks = audio.blocks(path, sr=self.sample_rate, channel=channel)
        moments = self.predict_stream(blocks, sr=self.sample_rate, **steps)
        return timeline.collect(moments, labels=self.labels)

    def predict_stream(
        self, blocks: Iterable[Array], *, sr: int, every: float, window: float = WINDOW_SECONDS
    ) -> Iterator[timeline.Moment]:
        """Judge windows that slide over a signal while it comes in, one at a time.

        In a batch, which rounds in another order, probabilities differ by some 1e-6.

        Parameters
        ----------
        blocks : iterable of ndarray, each of shape (n_samples,)
            The signal in pieces of any size, as `live.Source.blocks` gives them.
        sr : int
            Its rate [Hz], that of the bundle.
        every : float
            Hop from one window's start to the next one's [s], from 0.01 to 3600.
        window : float
            Length of a window [s], from 0.5 to 8.

        Returns
        -------
        iterator of timeline.Moment
            What `timeline.collect` makes a Timeline of.

        Raises
        ------
        ValueError
            If the rate is another, or `every` or `window` is out of range.

        Examples
        --------
        >>> from sercourse import bundles, files, live
        >>> clip = files.home() / "data/sample/ravdess/Actor_01/03-01-05-01-01-01-01.ogg"
        >>> bundle = bundles.load("ravdess-svm")
        >>> with live.FileSource(clip, sr=16_000) as source:
        ...     stream = bundle.predict_stream(source.blocks(), sr=16_000, every=0.5, window=1.0)
        ...     [moment.end for moment in stream][:2]
        [1.0, 1.5]
        """
        self._refuse_rate(sr)
        timeline.refuse_steps(every=every, window=window)
        windows = timeline.windows(blocks, sr=sr, every=every, window=window)
        return map(replace(self, gender_member=None)._moment, windows)

    def _moment(self, window: timeline.Window) -> timeline.Moment:
        level, note = timeline.measure(window.y, sr=self.sample_rate)
        p = np.full(len(self.labels), np.nan)
        if note in timeline.JUDGED:
            found, is_speech = self._average((y, 0.0) for y in self._split(window.y))
            if not is_speech:
                note = timeline.NO_SPEECH
            elif found.max() < self._sure_from:
                note = timeline.NOT_SURE
            else:
                p = found
        return timeline.Moment(window.start, window.end, level, p, note)

    def _predict(self, blocks: Iterator[Array], *, path: str = "") -> Prediction:
        """Judge a signal that comes in blocks of a minute."""
        quality = audio.Quality(self.sample_rate)
        mean, is_speech = self._average(self._parts(_measured(blocks, quality)))
        warnings: list[str] = [*quality.issues()]
        if not len(mean):
            reason = "; ".join(audio.fatal(quality.issues())) or NOT_LOUD
            raise ValueError(f"{path}: {reason}" if path else reason)
        p = dict(zip(self.labels, mean.tolist(), strict=False))
        emotion = _likeliest(p, self._sure_from if is_speech else np.inf)
        if not is_speech:
            warnings.append(NOT_SPEECH)
        elif emotion == UNKNOWN:
            warnings.append(f"{timeline.NOT_SURE}: no emotion reaches {self._sure_from:.0%}")
        gender, genders = None, dict[str, float]()
        if self.gender_member is not None:
            told = self.gender_member.info
            genders = dict(zip(told["labels"], mean[len(p) :].tolist(), strict=True))
            gender = _likeliest(genders, told.get("threshold", 0.0) if is_speech else np.inf)
        duration, doubts = quality.n_samples / self.sample_rate, tuple(warnings)
        return Prediction(path, emotion, p, duration, doubts, gender, genders, speech=is_speech)

    def _average(self, parts: Iterable[tuple[Array, float]]) -> tuple[Array, bool]:
        """Judge parts of a signal, and average over those that are loud and like speech.

        Parameters
        ----------
        parts : iterable of (ndarray, float)
            Signals, and their levels [dB].

        Returns
        -------
        p : ndarray, shape (n_labels,) or (n_labels + 2,)
            Probabilities of the emotions and, where there is a model for it, of the genders: over
            all loud parts where none is like speech; empty where there is no part.
        is_speech : bool
            Whether a part is loud and like speech.
        """
        scores = [(*self._score(y), level) for y, level in parts]
        if not scores:
            return np.zeros(0), False
        P, is_speech, level = (np.array(each) for each in zip(*scores, strict=True))
        loud = level >= level.max() - timeline.QUIET_DB
        is_speech &= loud
        return P[is_speech if is_speech.any() else loud].mean(axis=0), bool(is_speech.any())

    def _score(self, y: Array) -> tuple[Array, bool]:
        """Return probabilities of a signal, and whether every member takes it for speech."""
        X = {feature_set: row[np.newaxis] for feature_set, row in self._rows(y).items()}
        own = [X[each.feature_set] for each in self.members]
        p = self.predict_proba(*own)
        if self.gender_member is not None:
            genders = self.gender_member.predict_proba(X[self.gender_member.feature_set])
            p = np.hstack([p, genders])
        return p[0], all(m.knows(x).all() for m, x in zip(self.members, own, strict=True))

    def _rows(self, y: Array) -> dict[features.FeatureSet, Array]:
        """Return the features of a signal, for each feature set of the models."""
        members = [*self.members, *([self.gender_member] if self.gender_member else [])]
        # As in training; more threads cost five times the processor time on busy cores.
        with _threads().limit(limits=1):
            return {
                each: features.extract(y, sr=self.sample_rate, feature_set=each)
                for each in {member.feature_set for member in members}
            }

    def _parts(self, blocks: Iterator[Array]) -> Iterator[tuple[Array, float]]:
        """Yield what is judged of a signal, with levels [dB] if it has more than one block."""
        sr, first, second = self.sample_rate, next(blocks), next(blocks, None)
        if second is None:
            yield from ((y, 0.0) for y in self._split(first))
            return
        seconds = min(PART_SECONDS, self._longest)
        joined = chain([first, second], blocks)
        for each in timeline.windows(joined, sr=sr, every=seconds, window=seconds):
            level, note = timeline.measure(each.y, sr=sr)
            if note in timeline.JUDGED:
                yield each.y, level

    def _split(self, y: Array) -> list[Array]:
        """Return the signal, or parts of it if its words last longer than the models can take."""
        sr, longest = self.sample_rate, self._longest
        if audio.fatal_issues(y, sr=sr):
            return []
        if len(y) <= longest * sr or len(audio.trim(y, sr=sr)) <= longest * sr:
            return [y]
        parts = audio.segments(y, sr=sr, seconds=min(PART_SECONDS, longest))
        return [part for part in parts if not audio.fatal_issues(part, sr=sr)]

    @property
    def _sure_from(self) -> float:
        """The probability from which on an emotion is an answer."""
        return float(self.info.get("sure_from", 0.0))

    @property
    def _longest(self) -> float:
        """Length of words that every member can take at once [s]."""
        return min(each.feature_set.longest for each in self.members)

    def _refuse_rate(self, sr: int) -> None:
        if sr != self.sample_rate:
            needs = f"model {self.name!r} needs {self.sample_rate} Hz"
            advice = "resample it, or read it with audio.read at that rate"
            raise ValueError(f"the signal is sampled at {sr} Hz and {needs}: {advice}")


def _likeliest(p: Mapping[str, float], threshold: float) -> str:
    """Return the most probable label, or that it is unknown."""
    best = max(p, key=p.__getitem__)
    return best if p[best] >= threshold else UNKNOWN


def _measured(blocks: Iterator[Array], quality: audio.Quality) -> Iterator[Array]:
    """Yield blocks unchanged, and note their quality on the way."""
    for y in blocks:
        quality.add(y)
        yield y


@cache
def _threads() -> ThreadpoolController:
    return ThreadpoolController()  # finding the libraries takes longer than most features


def restrict_labels(
    probabilities: Mapping[str, float], emotions: Iterable[str]
) -> dict[str, float]:
    """Leave out all emotions but some, and scale the probabilities of those to a sum of 1.

    Parameters
    ----------
    probabilities : mapping from emotion to probability
    emotions : iterable of str
        Those to keep, at least two, in any common spelling.

    Returns
    -------
    dict of str to float
        In the order of `probabilities`.

    Raises
    ------
    ValueError
        If one of them is not among the labels, or fewer than two are left.

    Examples
    --------
    >>> restrict_labels({"happy": 0.5, "sad": 0.125, "angry": 0.375}, ["anger", "sad"])
    {'sad': 0.25, 'angry': 0.75}
    """
    kept = labels.subset(emotions, tuple(probabilities), lacks=UNLEARNT)
    p = renormalized(np.array([[probabilities[emotion] for emotion in kept]]))
    return dict(zip(kept, p[0].tolist(), strict=True))


def renormalized(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale rows of probabilities (n, k) to a sum of 1; rows of zeros become equal shares."""
    p = np.maximum(p, np.finfo(np.float64).tiny)
    return p / p.sum(axis=1, keepdims=True)


def run(model: Any, X: NDArray[np.floating], *, name: object = "this") -> NDArray[np.float64]:
    """Return the probabilities (n, k) that an ONNX model gives rows of features (n, n_features).

    Raises
    ------
    ValueError
        If it takes other features, or gives something else; `name` is what the sentence calls it.
    """
    told = []
    for start in range(0, max(1, len(X)), BATCH):
        inputs = {"X": X[start : start + BATCH].astype(np.float32)}
        seconds = PATIENCE_SECONDS + len(inputs["X"])
        p = runtime.run(model, "probabilities", inputs, seconds=seconds, name=name)
        is_table = p.ndim == 2 and len(p) == len(inputs["X"])
        if not is_table or (p < -1e-6).any() or (abs(p.sum(axis=1) - 1) > 0.01).any():
            raise ValueError(f"{name} gives numbers that are no probabilities: get it again")
        told.append(p.astype(np.float64))
    return np.concatenate(told)
