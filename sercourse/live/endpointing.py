"""Where an utterance begins and ends: one speaks, and it stops by itself when one does.

Levels of frames of 25 ms are compared with the background, which is measured all the time. It is
looked at again and again how the last seconds divide into speech and background, so that a speaker
who begins at once is found as soon as a first pause shows how quiet the room is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from sercourse import audio
from sercourse.live.sources import Source

PAUSE, LONGEST, END = "pause", "longest", "end of the source"

_FRAME_SECONDS = 0.025
_FRAMES_A_LOOK = 4
_BAND_HZ = (150.0, 4000.0)  # of voices: hum, rumble, offset and hiss lie outside
_FLOOR_DB = -90.0  # of full scale
_QUIETEST_DB = -75.0  # what lies deeper is not speech, however quiet the room
_LOOK_BACK_SECONDS = 3.0  # of sound that is kept while nobody speaks
_ROOM_SECONDS = 5.0  # over which the background is measured
_ROOM_PERCENTILE = 10.0
_EDGE_DB = 5.0  # words begin and end where they leave the background by so much
_STEADY_SECONDS, _STEADY_DB = 1.5, 5.0
_SMALLEST_SPREAD_DB = 4.0  # between soft and loud frames of speech; noise has 1 or 2
_N_LOUD_FRAMES = 4  # 0.1 s, the length of a short syllable: a click is shorter


@dataclass(frozen=True)
class Endpointing:
    """How utterances are told from the background.

    Attributes
    ----------
    pause : float
        Silence after which an utterance has ended [s].
    shortest, longest : float
        Time for which a voice must be heard at least, and after which an utterance is cut [s].
    padding : float
        What is kept before and after the words [s]; at most `pause`.
    margin : float
        How far the loud parts of an utterance stand out from the background [dB].
    depth : float
        How far the softest parts of an utterance lie below its loud ones [dB].

    Examples
    --------
    >>> Endpointing(pause=0.1)
    Traceback (most recent call last):
    ValueError: padding is 0.2 s and pause 0.1 s: give padding from 0 to the pause
    """

    pause: float = 0.7
    shortest: float = 0.2
    longest: float = 15.0
    padding: float = 0.2
    margin: float = 10.0
    depth: float = 30.0

    def __post_init__(self) -> None:
        if not 0 <= self.padding <= self.pause:
            raise ValueError(
                f"padding is {self.padding:g} s and pause {self.pause:g} s: give padding from 0 to "
                "the pause"
            )
        if not 0 < self.shortest < self.longest <= 60:
            raise ValueError(
                f"shortest is {self.shortest:g} s and longest {self.longest:g} s: give 0 < "
                "shortest < longest <= 60"
            )


@dataclass(frozen=True, eq=False)
class Utterance:
    """What somebody said, from the first word to the pause after the last.

    Attributes
    ----------
    start, end : float
        [s] from the beginning of the source, padding included.
    y : ndarray, shape (n_samples,)
    reason : str
        Why it ended: "pause", "longest" or "end of the source".
    """

    start: float
    end: float
    y: NDArray[np.float32]
    reason: str


def utterances(
    source: Source | Iterable[NDArray[np.floating]],
    *,
    sr: int,
    endpointing: Endpointing | None = None,
) -> Iterator[Utterance]:
    """Wait for speech and yield it, utterance by utterance, as each ends.

    Only the current utterance is kept in memory, and the 3 s before it. Sound without speech, such
    as a fan, a click or digital silence, yields nothing. Where the blocks end makes no difference.

    Parameters
    ----------
    source : Source, or iterable of ndarray, each of shape (n_samples,)
        Mono signal in [-1, 1].
    sr : int
        Its rate [Hz].
    endpointing : Endpointing, optional

    Raises
    ------
    ValueError
        If the source has another rate.

    Notes
    -----
    What was being said when the source fails is yielded before its error is raised.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> words = rng.normal(scale=0.1, size=16_000) * np.sin(np.arange(16_000) / 800) ** 2
    >>> room = rng.normal(scale=0.001, size=48_000)
    >>> room[16_000:32_000] += words
    >>> [(round(each.start, 1), round(each.end, 1)) for each in utterances([room], sr=16_000)]
    [(0.8, 2.2)]
    """
    ear = Endpointer(sr=sr, endpointing=endpointing or Endpointing())
    if not isinstance(source, Source):
        return _heard(source, ear=ear)
    if source.sr != sr:
        raise ValueError(f"the source gives {source.sr} Hz and sr is {sr} Hz: make them equal")
    return _heard(source.blocks(), ear=ear)


def _heard(blocks: Iterable[NDArray[np.floating]], *, ear: Endpointer) -> Iterator[Utterance]:
    try:
        for block in blocks:
            yield from ear.hear(block)
    except (OSError, ValueError):
        yield from ear.finish()
        raise
    yield from ear.finish()


@dataclass(frozen=True)
class _Span:
    """Frames of an utterance, where the sound after its last word dies away, and its level [dB]."""

    start: int
    end: int
    tail: int
    loud: float


class Endpointer:
    """The last seconds of a signal, and what is known of the room."""

    def __init__(self, *, sr: int, endpointing: Endpointing) -> None:
        self._sr = sr
        self._settings = endpointing
        self._frame = round(_FRAME_SECONDS * sr)
        self._fresh = np.zeros(0, dtype=np.float32)  # not looked at yet
        self._band = signal.butter(2, _band(sr), "bandpass", output="sos", fs=sr)
        self._state = np.zeros((len(self._band), 2))  # of the filter
        self._held = np.zeros(0, dtype=np.float32)
        self._level = np.zeros(0)  # [dB] of each frame of what is held
        self._first = 0  # number of the first frame that is held
        self._room = np.zeros(0)  # levels [dB] of the background before that
        self._floor = np.inf  # level of the background [dB]
        self._speaking = False
        self._died_away, self._loud = -1, -np.inf  # frame and level [dB] of the last utterance

    def hear(self, block: NDArray[np.floating]) -> Iterator[Utterance]:
        """Take a block of any length, and yield what has ended in it."""
        self._fresh = np.concatenate([self._fresh, np.asarray(block, dtype=np.float32)])
        step = _FRAMES_A_LOOK * self._frame
        n_steps = len(self._fresh) // step
        for piece in self._fresh[: n_steps * step].reshape(n_steps, step):
            self._hold(piece)
            yield from self._ended()
        self._fresh = self._fresh[n_steps * step :]

    def finish(self) -> Iterator[Utterance]:
        """Yield what was being said at the end."""
        self._hold(self._fresh[: len(self._fresh) // self._frame * self._frame])
        yield from self._ended(no_more=True)

    def _hold(self, piece: NDArray[np.float32]) -> None:
        if not len(piece):
            return
        y, self._state = signal.sosfilt(self._band, np.nan_to_num(piece), zi=self._state)
        power = np.square(y).reshape(-1, self._frame).mean(axis=1)
        self._held = np.concatenate([self._held, piece])
        self._level = np.concatenate([self._level, 10 * np.log10(power + 10 ** (_FLOOR_DB / 10))])

    def _ended(self, *, no_more: bool = False) -> Iterator[Utterance]:
        """Yield the utterances that have ended in what is held, and forget what is not needed."""
        while span := self._first_span():
            reason = self._reason(span, no_more=no_more)
            if reason is None:
                break
            utterance = self._cut(span, reason=reason)
            if utterance is not None:
                yield utterance
        needed = span.start if span else len(self._level)
        self._forget(needed - _frames(_LOOK_BACK_SECONDS))

    def _first_span(self) -> _Span | None:
        """Divide what is held into speech and background, and return the first of speech."""
        self._floor = self._background()
        span = next(self._spans(), None)
        self._speaking = span is not None
        return span

    def _reason(self, span: _Span, *, no_more: bool) -> str | None:
        """Say why an utterance has ended; None if it goes on."""
        if span.end - span.start > _frames(self._settings.longest):
            return LONGEST
        if len(self._level) - span.end >= _frames(self._settings.pause):
            return PAUSE
        return END if no_more else None

    def _background(self) -> float:
        """Return the level of the background [dB]; while one speaks, it can only seem louder."""
        recent = self._level[-_frames(_STEADY_SECONDS) :]
        if len(recent) == _frames(_STEADY_SECONDS):
            low, middle, high = np.percentile(recent, [5, 50, 95])
            if high - low < _STEADY_DB:  # no speech is so even, however loud
                return float(middle)
        known = self._level if self._speaking else np.concatenate([self._room, self._level])
        if not len(known):
            return self._floor
        floor = float(np.percentile(known[-_frames(_ROOM_SECONDS) :], _ROOM_PERCENTILE))
        return min(floor, self._floor) if self._speaking else floor

    def _spans(self) -> Iterator[_Span]:
        """Yield what is speech in what is held, from the first to the last."""
        edge = max(self._floor + _EDGE_DB, _QUIETEST_DB)
        for first, last in self._runs(self._level > edge):
            level = self._level[first:last]
            loud = np.partition(level, -_N_LOUD_FRAMES)[-_N_LOUD_FRAMES]
            if loud < self._floor + self._settings.margin:
                continue
            if self._first + first <= self._died_away:
                loud = max(loud, self._loud)  # what is left of the utterance before is no new one
            # In a silent room even the last breath stands out: it is not part of the words.
            for start, end in self._runs(level > loud - self._settings.depth):
                yield _Span(first + start, first + end, last, loud)

    def _runs(self, active: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
        """Yield first and last + 1 of runs of active frames, shorter pauses included."""
        at = np.flatnonzero(active)
        shortest = max(_N_LOUD_FRAMES, _frames(self._settings.shortest))
        for run in _pieces(at, gap=_frames(self._settings.pause)):
            # A syllable lasts; a click or a key does not, however many there are.
            unbroken = max(map(len, _pieces(run, gap=1)))
            if len(run) >= shortest and unbroken >= _N_LOUD_FRAMES:
                yield int(run[0]), int(run[-1]) + 1

    def _cut(self, span: _Span, *, reason: str) -> Utterance | None:
        """Return an utterance, if it is one, and go on after it."""
        padding = _frames(self._settings.padding)
        first, last = max(0, span.start - padding), min(len(self._level), span.end + padding)
        if reason == LONGEST:
            last = span.start + _frames(self._settings.longest)
            span = replace(span, end=last, tail=last)
        seconds = self._frame / self._sr
        y = self._held[first * self._frame : last * self._frame].copy()
        heard = Utterance(
            (self._first + first) * seconds, (self._first + last) * seconds, y, reason
        )
        spread = np.ptp(np.percentile(self._level[span.start : span.end], [10, 90]))
        self._remember_room(self._level[: span.start])
        self._drop(span.tail)
        self._died_away, self._loud = self._first + _frames(self._settings.pause), span.loud
        return heard if spread >= _SMALLEST_SPREAD_DB and _is_fit(y, sr=self._sr) else None

    def _forget(self, n_frames: int) -> None:
        """Let go of the oldest frames, in which nobody spoke, but remember the room."""
        if n_frames > 0:
            self._remember_room(self._level[:n_frames])
            self._drop(n_frames)

    def _remember_room(self, levels: NDArray[np.float64]) -> None:
        self._room = np.concatenate([self._room, levels])[-_frames(_ROOM_SECONDS) :]

    def _drop(self, n_frames: int) -> None:
        self._held = self._held[n_frames * self._frame :]
        self._level = self._level[n_frames:]
        self._first += n_frames


def _band(sr: int) -> tuple[float, float]:
    low, high = _BAND_HZ
    return low, min(high, 0.45 * sr)


def _is_fit(y: NDArray[np.float32], *, sr: int) -> bool:
    """Tell whether a model can judge a signal; a clipped one it can."""
    return bool(np.isfinite(y).all()) and not audio.fatal_issues(y, sr=sr)


def _pieces(numbers: NDArray[np.intp], *, gap: int) -> list[NDArray[np.intp]]:
    """Split increasing numbers where they are more than `gap` apart.

    >>> [piece.tolist() for piece in _pieces(np.array([1, 2, 4, 9]), gap=2)]
    [[1, 2, 4], [9]]
    """
    return np.split(numbers, np.flatnonzero(np.diff(numbers) > gap) + 1)


def _frames(seconds: float) -> int:
    return round(seconds / _FRAME_SECONDS)
