"""A trained model, ready to predict: clips, long recordings, streams."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sercourse import audio, evaluate, timeline
from sercourse.bundles.member import Member
from sercourse.bundles.reading import read_json

PART_SECONDS = 4.0
BATCH = 32  # windows of a recording that are judged in one run of the model


@dataclass(frozen=True)
class Prediction:
    """What a model says of one clip.

    Attributes
    ----------
    path : str
    emotion : str
        The most probable one.
    probabilities : dict of str to float
        In the order of the model's labels.
    duration : float
        Length of the clip [s].
    warnings : tuple of str
        What makes the answer doubtful, such as a clipped recording.
    """

    path: str
    emotion: str
    probabilities: dict[str, float]
    duration: float
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Bundle:
    """A verified bundle.

    Attributes
    ----------
    folder : Path
    info : mapping
        Content of `bundle.json`.
    members : tuple of Member
        The models whose probabilities are averaged: their geometric mean.
    """

    folder: Path
    info: Mapping[str, Any]
    members: tuple[Member, ...]

    @property
    def name(self) -> str:
        """Name of the bundle."""
        return str(self.info["name"])

    @property
    def labels(self) -> tuple[str, ...]:
        """Emotions that it tells apart, in the order of its probabilities."""
        return tuple(self.info["labels"])

    @property
    def sample_rate(self) -> int:
        """Rate that its signals must have [Hz]."""
        return int(self.members[0].info["sample_rate"])

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """Content of `metrics.json`."""
        return read_json(self.folder / "metrics.json")

    @property
    def can_enrol(self) -> bool:
        """Whether a member has a model for voices that are known from a few clips."""
        return any(each.can_enrol for each in self.members)

    def enrol(self, paths: Iterable[str | Path]) -> Bundle:
        """Return a bundle that knows the speaker of some unlabelled clips.

        Parameters
        ----------
        paths : iterable of path
            Clips of one speaker, with as many moods as there are; about eight will do.

        Raises
        ------
        ValueError
            If the bundle has no model for known voices or no clip is given.
        """
        if not self.can_enrol:
            raise ValueError(f"model {self.name!r} cannot enrol a speaker: it was trained without")
        signals = [audio.read(path, sr=self.sample_rate) for path in paths]
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
        return answers[0] if len(answers) == 1 else evaluate.geometric_mean(np.stack(answers))

    def predict(self, y: NDArray[Any], *, sr: int) -> dict[str, float]:
        """Return the probability of each emotion in a signal.

        A signal whose words last longer than the model can take, 8 s or less, is judged in parts of
        4 s or less, whose probabilities are averaged; silent parts do not count.

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
        probabilities = self._judge(self._parts(y)).mean(axis=0)
        return dict(zip(self.labels, probabilities.tolist(), strict=True))

    def predict_file(self, path: str | Path) -> Prediction:
        """Name the emotion in a sound file of any rate, format and number of channels.

        Raises
        ------
        OSError, ValueError
            If the file cannot be read, or holds nothing to judge.
        """
        y = audio.read(path, sr=self.sample_rate)
        refusals = _refusals(y, sr=self.sample_rate)
        if refusals:
            raise ValueError(f"{path}: {'; '.join(refusals)}")
        warnings = tuple(audio.problems(y, sr=self.sample_rate))
        probabilities = self.predict(y, sr=self.sample_rate)
        emotion = max(probabilities, key=lambda label: probabilities[label])
        duration = len(y) / self.sample_rate
        return Prediction(str(path), emotion, probabilities, duration, warnings)

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
        moments = self.predict_stream([y], sr=sr, every=every, window=window, batch=BATCH)
        return timeline.collect(moments, labels=self.labels)

    def predict_file_over_time(
        self, path: str | Path, *, every: float, window: float = timeline.WINDOW_SECONDS
    ) -> timeline.Timeline:
        """Do the same for a sound file of any rate, format and number of channels.

        The file is read in blocks: an hour takes no more memory than a sentence.

        Raises
        ------
        OSError, ValueError
            If the file cannot be read, or `every` or `window` is out of range.
        """
        blocks = audio.blocks(path, sr=self.sample_rate)
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
        fit = np.array([note in ("", timeline.CLIPPED) for _, note in measured])
        probabilities = np.full((len(windows), len(self.labels)), np.nan)
        if fit.any():
            signals = [each.y for each, good in zip(windows, fit, strict=True) if good]
            probabilities[fit] = self._judge(signals)
        return [
            timeline.Moment(each.start, each.end, level, p, note)
            for each, (level, note), p in zip(windows, measured, probabilities, strict=True)
        ]

    def _refuse_rate(self, sr: int) -> None:
        if sr != self.sample_rate:
            raise ValueError(
                f"the signal is sampled at {sr} Hz and model {self.name!r} needs "
                f"{self.sample_rate} Hz: resample it, or read it with audio.read at that rate"
            )

    def _parts(self, y: NDArray[Any]) -> list[NDArray[Any]]:
        """Return the signal, or parts of it if its words last longer than the models can take."""
        sr = self.sample_rate
        longest = min(each.feature_set.longest for each in self.members)
        if len(y) <= longest * sr or len(audio.trim(y, sr=sr)) <= longest * sr:
            return [y]
        parts = audio.segments(y, sr=sr, seconds=min(PART_SECONDS, longest))
        heard = [part for part in parts if not _refusals(part, sr=sr)]
        if not heard:
            raise ValueError("no part of the recording is loud enough to be judged")
        return heard

    def _judge(self, signals: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
        """Return the probabilities of signals of one length, as features and models see them."""
        sr = self.sample_rate
        return self.predict_proba(
            *(np.stack([each.row(y, sr=sr) for y in signals]) for each in self.members)
        )


def _refusals(y: NDArray[Any], *, sr: int) -> list[str]:
    """Return why a signal cannot be judged; a clipped one can, with a warning."""
    problems = audio.problems(y, sr=sr)
    return [problem for problem in problems if not problem.startswith("clipped")]
