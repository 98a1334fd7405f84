"""A trained model, ready to predict: clips, long recordings, streams."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from sercourse import audio, evaluate, timeline
from sercourse.bundles.masking import label_subset, renormalized
from sercourse.bundles.member import Member
from sercourse.bundles.reading import read_json
from sercourse.features import short_term

PART_SECONDS = 4.0
LONG_SECONDS = 60.0  # a recording beyond this is never held as a whole
UNKNOWN = "unknown"  # the answer where a model is not sure enough
NO_SPEECH_IT_KNOWS = "unlike any speech that the model learnt from"
BATCH = 32  # windows of a recording that are judged in one run of the model


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
        Whether the voice sounds ``female`` or ``male``; ``unknown`` where that is not sure enough,
        None where the bundle has no model for it.
    gender_probabilities : dict of str to float
        Of both; empty where the bundle has no model for it.
    channel : int, str or None
        The one that was judged; None for the average of all.
    speech : bool
        Whether the sound is like the speech that the model learnt from. Where it is not,
        probabilities compare emotions that nobody showed.
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
    emotions : tuple of str or None
        The only ones that may be answered; None for all that it knows.
    """

    folder: Path
    info: Mapping[str, Any]
    members: tuple[Member, ...]
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
        return read_json(self.folder / "metrics.json")

    def only(self, emotions: Iterable[str]) -> Bundle:
        """Return a bundle that answers with some emotions only.

        The probabilities of the others are left out, and the rest scaled to a sum of 1.

        Parameters
        ----------
        emotions : iterable of str
            At least two, in any common spelling.

        Raises
        ------
        ValueError
            If it does not know one of them, or fewer than two are left.

        Examples
        --------
        >>> from sercourse import bundles
        >>> bundles.load("ravdess-svm").only(["sadness", "happy"]).labels
        ('happy', 'sad')
        """
        return replace(self, emotions=label_subset(self.labels, emotions))

    def answering_from(self, probability: float) -> Bundle:
        """Return a bundle that answers ``unknown`` where no emotion reaches a probability.

        Parameters
        ----------
        probability : float
            From 0, which answers always, to 1.

        Raises
        ------
        ValueError
            If it is outside.

        Examples
        --------
        >>> from sercourse import bundles
        >>> bundles.load("ravdess-svm").answering_from(0.5).info["sure_from"]
        0.5
        """
        if not 0 <= probability <= 1:
            raise ValueError(f"the probability is {probability}: give a number from 0 to 1")
        return replace(self, info={**self.info, "sure_from": float(probability)})

    @cached_property
    def gender_member(self) -> Member | None:
        """The model that tells female from male voices; None where there is none."""
        told = self.info.get("gender")
        return None if told is None else Member(self.folder, told)

    @property
    def can_enrol(self) -> bool:
        """Whether a member has a model for voices that are known from a few clips."""
        return any(each.can_enrol for each in self.members)

    def enrol(self, paths: Iterable[str | Path]) -> Bundle:
        """Return a bundle that knows the speaker of some unlabelled clips.

        Parameters
        ----------
        paths : iterable of path
            Clips of one speaker, with as many moods as there are; about eight will do. A long one
            counts as several.

        Raises
        ------
        OSError, ValueError
            If the bundle has no model for known voices, no clip is given, or one cannot be read or
            holds no voice.
        """
        if isinstance(paths, str | Path):
            raise ValueError(f"paths is {str(paths)!r}: give a list of clips")
        if not self.can_enrol:
            raise ValueError(f"model {self.name!r} cannot enrol a speaker: it was trained without")
        signals = [part for path in paths for part in self._parts(self._read(path))]
        if not signals:
            raise ValueError("there is no clip to enrol the speaker from: give a few of them")
        members = tuple(each.enrol(signals, sr=self.sample_rate) for each in self.members)
        return replace(self, members=members)

    def predict_proba(self, *X: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the probabilities of what was measured on clips.

        Parameters
        ----------
        *X : ndarray, shape (n_clips, ...)
            As `features.extract` gives them, before any normalisation: one for each member.

        Returns
        -------
        ndarray, shape (n_clips, n_labels)

        Raises
        ------
        ValueError
            If there are more or fewer arrays than members.
        """
        if len(X) != len(self.members):
            raise ValueError(
                f"model {self.name!r} has {len(self.members)} members and {len(X)} arrays were "
                "given: give what each member measures"
            )
        answers = [each.predict_proba(x) for each, x in zip(self.members, X, strict=True)]
        p = answers[0]
        if len(answers) > 1 or "temperature" in self.info:
            p = evaluate.geometric_mean(
                np.stack(answers),
                weights=self.info.get("weights", ()),
                temperature=self._temperature,
            )
        if self.emotions is None:
            return p
        known = tuple(self.info["labels"])
        return renormalized(p[:, [known.index(emotion) for emotion in self.emotions]])

    @property
    def _sure_from(self) -> float:
        """The probability from which on an emotion is an answer."""
        return float(self.info.get("sure_from", 0.0))

    @property
    def _temperature(self) -> float:
        """What the mean of the members is calibrated by; enrolled voices may have their own."""
        told = self.info.get("temperature", {})
        kind = "enrolled" if any(each.voice is not None for each in self.members) else "model"
        return float(told.get(kind, told.get("model", 1.0)))

    def predict(self, y: NDArray[Any], *, sr: int) -> dict[str, float]:
        """Return the probability of each emotion in a signal.

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
        blocks = _in_minutes(self._checked(y, sr=sr), sr=sr)
        return self._averages(blocks, with_gender=False).emotions

    def predict_gender(self, y: NDArray[Any], *, sr: int) -> dict[str, float]:
        """Return the probabilities that a voice is a female and a male one.

        Parameters
        ----------
        y : ndarray, shape (n_samples,)
            Mono signal in [-1, 1].
        sr : int
            Its rate [Hz], that of the bundle.

        Raises
        ------
        ValueError
            If the bundle has no model for it, the rate is another or the signal cannot be judged.
        """
        y = self._checked(y, sr=sr)
        if self.gender_member is None:
            raise ValueError(
                f"model {self.name!r} does not tell voices apart: add that with sercourse "
                "train-gender"
            )
        return self._averages(_in_minutes(y, sr=sr)).genders

    def answer(self, y: NDArray[Any], *, sr: int) -> Prediction:
        """Name the emotion in a signal, or say that it is not known.

        Parameters
        ----------
        y : ndarray, shape (n_samples,)
            Mono signal in [-1, 1].
        sr : int
            Its rate [Hz], that of the bundle.

        Raises
        ------
        ValueError
            If the rate is another or the signal cannot be judged.
        """
        quality = audio.Quality(sr)
        blocks = _measured(_in_minutes(self._checked(y, sr=sr), sr=sr), quality)
        return self._prediction(self._averages(blocks), quality=quality)

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
        sr, quality = self.sample_rate, audio.Quality(self.sample_rate)
        blocks = audio.blocks(path, sr=sr, seconds=LONG_SECONDS, channel=channel)
        try:
            found = self._averages(_measured(blocks, quality))
        except _SilentError as error:
            fatal = audio.fatal(quality.issues())
            raise ValueError(f"{path}: {'; '.join(fatal) or error}") from None
        return replace(self._prediction(found, quality=quality), path=str(path), channel=channel)

    def _prediction(self, found: _Averages, *, quality: audio.Quality) -> Prediction:
        """Return what is said of a signal, and why it is doubtful."""
        emotion, p = _likeliest(found.emotions), found.emotions
        warnings: list[str] = [*quality.issues()]
        if not found.speech:
            emotion = UNKNOWN
            warnings.append(NO_SPEECH_IT_KNOWS)
        elif p[emotion] < self._sure_from:
            warnings.append(f"{timeline.NOT_SURE}: no emotion reaches {self._sure_from:.0%}")
            emotion = UNKNOWN
        return Prediction(
            "",
            emotion,
            p,
            quality.n_samples / self.sample_rate,
            tuple(warnings),
            self._voice(found.genders) if found.speech or not found.genders else UNKNOWN,
            found.genders,
            speech=found.speech,
        )

    def predict_over_time(
        self, y: NDArray[Any], *, sr: int, every: float, window: float = timeline.WINDOW_SECONDS
    ) -> timeline.Timeline:
        """Return the probabilities of each emotion in windows that slide over a signal.

        Every window is judged as `predict` judges a short signal. Where one is silent, holds no
        speech or lies 45 dB below the loudest, nothing is invented: its row is NaN, and the note
        says why.

        Parameters
        ----------
        y : ndarray, shape (n_samples,)
            Mono signal in [-1, 1]; one that is shorter than a window gives one row.
        sr : int
            Its rate [Hz], that of the bundle.
        every : float
            Time from one window's start to the next one's [s].
        window : float
            Length of a window [s].

        Returns
        -------
        timeline.Timeline
            Its `table()` is a pandas DataFrame.

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
        y = self._checked(y, sr=sr)
        moments = self.predict_stream([y], sr=sr, every=every, window=window, batch=BATCH)
        return timeline.collect(moments, labels=self.labels)

    def predict_file_over_time(
        self,
        path: str | Path,
        *,
        every: float,
        window: float = timeline.WINDOW_SECONDS,
        channel: audio.Channel = None,
    ) -> timeline.Timeline:
        """Do the same for a sound file of any rate, format and number of channels.

        The file is read in blocks: an hour takes no more memory than a sentence. `channel` is that
        of `predict_file`.

        Raises
        ------
        OSError, ValueError
            If the file cannot be read, or `every` or `window` is out of range.
        """
        blocks = audio.blocks(path, sr=self.sample_rate, channel=channel)
        moments = self.predict_stream(
            blocks, sr=self.sample_rate, every=every, window=window, batch=BATCH
        )
        return timeline.collect(moments, labels=self.labels)

    def predict_stream(
        self,
        blocks: Iterable[NDArray[Any]],
        *,
        sr: int,
        every: float,
        window: float = timeline.WINDOW_SECONDS,
        batch: int = 1,
    ) -> Iterator[timeline.Moment]:
        """Judge windows that slide over a signal while it comes in.

        Parameters
        ----------
        blocks : iterable of ndarray, each of shape (n_samples,)
            The signal in pieces of any size, as a microphone gives them.
        sr : int
            Its rate [Hz], that of the bundle.
        every, window : float
            As in `predict_over_time`.
        batch : int
            Windows to judge at once: more is faster, 1 answers without delay.

        Returns
        -------
        iterator of timeline.Moment
            What `predict_over_time` is made of. That a window lies far below the loudest one shows
            only at the end: `timeline.collect` looks for it.

        Raises
        ------
        ValueError
            If the rate is another, or `every` or `window` is out of range.
        """
        self._refuse_rate(sr)
        windows = timeline.windows(blocks, sr=sr, every=every, window=window)
        # An empty list ends it: the blocks have run out.
        groups = iter(lambda: list(islice(windows, batch)), [])
        return (moment for group in groups for moment in self._moments(group))

    def _moments(self, windows: Sequence[timeline.Window]) -> list[timeline.Moment]:
        """Judge some windows in one run of the model."""
        measured = [timeline.measure(each.y, sr=self.sample_rate) for each in windows]
        notes = [note for _, note in measured]
        probabilities = np.full((len(windows), len(self.labels)), np.nan)
        judged = [k for k, note in enumerate(notes) if note in timeline.JUDGED]
        if judged:
            answers, known = self._judge([windows[k].y for k in judged])
            for k, answer, is_speech in zip(judged, answers, known, strict=True):
                if not is_speech:
                    notes[k] = timeline.NO_SPEECH
                elif answer.max() < self._sure_from:
                    notes[k] = timeline.NOT_SURE
                else:
                    probabilities[k] = answer
        return [
            timeline.Moment(each.start, each.end, level, p, note)
            for each, (level, _), p, note in zip(
                windows, measured, probabilities, notes, strict=True
            )
        ]

    def _judge(
        self, signals: Sequence[NDArray[Any]]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return the probabilities of signals of one length, and which are like speech."""
        if len(signals[0]) <= self._longest * self.sample_rate:
            rows = self._rows(signals)
            return self.predict_proba(*rows), self._knows(rows)
        each_rows = [self._rows(self._parts(y)) for y in signals]
        answers = [self.predict_proba(*rows).mean(axis=0) for rows in each_rows]
        return np.stack(answers), np.array([self._knows(rows).any() for rows in each_rows])

    def _read(self, path: str | Path) -> NDArray[np.float32]:
        """Read a sound file; refuse one that holds nothing to judge."""
        y = audio.read(path, sr=self.sample_rate)
        if fatal_issues := audio.fatal_issues(y, sr=self.sample_rate):
            raise ValueError(f"{path}: {'; '.join(fatal_issues)}")
        return y

    def _checked(self, y: NDArray[Any], *, sr: int) -> NDArray[Any]:
        """Return a signal that is one channel of finite samples at the rate of the bundle."""
        self._refuse_rate(sr)
        y = np.asarray(y)
        short_term.require_signal(y)
        return y

    def _refuse_rate(self, sr: int) -> None:
        if sr != self.sample_rate:
            raise ValueError(
                f"the signal is sampled at {sr} Hz and model {self.name!r} needs "
                f"{self.sample_rate} Hz: resample it, or read it with audio.read at that rate"
            )

    @property
    def _longest(self) -> float:
        """Length of words that every member can take at once [s]."""
        return min(each.feature_set.longest for each in self.members)

    def _parts(self, y: NDArray[Any]) -> list[NDArray[Any]]:
        """Return the signal, or parts of it if its words last longer than the models can take."""
        sr, longest = self.sample_rate, self._longest
        if len(y) <= longest * sr or len(audio.trim(y, sr=sr)) <= longest * sr:
            return [y]
        parts = audio.segments(y, sr=sr, seconds=min(PART_SECONDS, longest))
        heard = [part for part in parts if not audio.fatal_issues(part, sr=sr)]
        if not heard:
            raise _SilentError("no part of the recording is loud enough to be judged")
        return heard

    def _rows(self, signals: Sequence[NDArray[Any]]) -> list[NDArray[np.floating]]:
        """Return what each member measures on signals of one length."""
        return [self._rows_of(each, signals) for each in self.members]

    def _rows_of(self, member: Member, signals: Sequence[NDArray[Any]]) -> NDArray[np.floating]:
        # As in training; more threads cost five times the processor time on busy cores.
        with threadpool_limits(1):
            return np.stack([member.row(y, sr=self.sample_rate) for y in signals])

    def _averages(self, blocks: Iterator[NDArray[Any]], *, with_gender: bool = True) -> _Averages:
        """Return what is said of a signal, as means over its parts."""
        answers = []
        for parts, levels in self._groups(blocks):
            rows = self._rows(parts)
            genders = self._genders(parts, rows) if with_gender else np.zeros((len(parts), 0))
            answers.append((levels, self.predict_proba(*rows), genders, self._knows(rows)))
        if not answers:
            raise _SilentError("no part of the recording is loud enough to be judged")
        levels, *found = (np.concatenate(each) for each in zip(*answers, strict=True))
        loud = levels >= levels.max() - timeline.QUIET_DB
        speech = loud & found.pop()
        judged = speech if speech.any() else loud  # music between sentences does not count
        emotions, genders = (each[judged].mean(axis=0).tolist() for each in found)
        names = self.gender_member.info["labels"] if genders and self.gender_member else ()
        return _Averages(
            dict(zip(self.labels, emotions, strict=True)),
            dict(zip(names, genders, strict=True)),
            bool(speech.any()),
        )

    def _knows(self, rows: Sequence[NDArray[np.floating]]) -> NDArray[np.bool_]:
        """Return which of some signals are like the speech that all members learnt from."""
        known = [each.knows(X) for each, X in zip(self.members, rows, strict=True)]
        return np.logical_and.reduce(known)

    def _groups(
        self, blocks: Iterator[NDArray[Any]]
    ) -> Iterator[tuple[list[NDArray[Any]], NDArray[np.float64]]]:
        """Yield parts of a signal, some at a time, with their levels [dB] if it is a long one."""
        sr = self.sample_rate
        y, more = next(blocks), next(blocks, None)
        if more is None:
            parts = self._parts(y)
            if fatal_issues := audio.fatal_issues(y, sr=sr):
                raise _SilentError("; ".join(fatal_issues))
            yield parts, np.zeros(len(parts))
            return
        seconds = min(PART_SECONDS, self._longest)
        windows = timeline.windows(chain([y, more], blocks), sr=sr, every=seconds, window=seconds)
        while group := list(islice(windows, BATCH)):
            measured = [(each.y, *timeline.measure(each.y, sr=sr)) for each in group]
            heard = [(y, level) for y, level, note in measured if note in timeline.JUDGED]
            if heard:
                yield [y for y, _ in heard], np.array([level for _, level in heard])

    def _genders(
        self, parts: Sequence[NDArray[Any]], rows: Sequence[NDArray[np.floating]]
    ) -> NDArray[np.float64]:
        """Return the probabilities (n_parts, 2) of the voice; no columns where no model tells them.

        What a member measured already is not measured again.
        """
        model = self.gender_member
        if model is None:
            return np.zeros((len(parts), 0))
        measured = zip(self.members, rows, strict=True)
        known = (X for member, X in measured if self._measures_the_same(member))
        X = next(known, None)
        return model.predict_proba(self._rows_of(model, parts) if X is None else X)

    def _voice(self, probabilities: Mapping[str, float]) -> str | None:
        """Return the gender that is sure enough, ``unknown``, or None if nothing tells it."""
        if not probabilities:
            return None
        gender = _likeliest(probabilities)
        sure_from = float(self.info["gender"].get("threshold", 0.0))
        return gender if probabilities[gender] >= sure_from else UNKNOWN

    def _measures_the_same(self, member: Member) -> bool:
        """Whether a member measures what the model of voices needs."""
        model = self.gender_member
        return model is not None and member.feature_set.settings == model.feature_set.settings


@dataclass(frozen=True)
class _Averages:
    """What is said of a signal: probabilities, and whether it is like speech at all."""

    emotions: dict[str, float]
    genders: dict[str, float]
    speech: bool


class _SilentError(ValueError):
    """A signal holds no part that can be judged."""


def _in_minutes(y: NDArray[Any], *, sr: int) -> Iterator[NDArray[Any]]:
    """Yield a signal as a file is read: in blocks of a minute."""
    length = round(LONG_SECONDS * sr)
    return (y[start : start + length] for start in range(0, max(1, len(y)), length))


def _measured(blocks: Iterable[NDArray[Any]], quality: audio.Quality) -> Iterator[NDArray[Any]]:
    """Yield blocks unchanged, and note their quality on the way."""
    for y in blocks:
        quality.add(y)
        yield y


def _likeliest(probabilities: Mapping[str, float]) -> str:
    return max(probabilities, key=lambda label: probabilities[label])
