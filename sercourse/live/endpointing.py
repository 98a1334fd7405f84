"""Endpointing: where an utterance begins and ends in a signal that comes in.

Levels of frames of 25 ms in the band of voices are compared with the noise floor, which is
estimated all the time. Every 0.1 s the last seconds are divided anew into speech and background, so
that a speaker who begins at once is found as soon as a first pause shows how quiet the room is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from sercourse import audio

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
    ValueError: pause 0.1, ...: give 0 <= padding <= pause, 0 < shortest < longest <= 60 s
    """

    pause: float = 0.7
    shortest: float = 0.2
    longest: float = 15.0
    padding: float = 0.2
    margin: float = 10.0
    depth: float = 30.0

    def __post_init__(self) -> None:
        told = ", ".join(f"{name} {value:g}" for name, value in vars(self).items())
        if not (0 <= self.padding <= self.pause and 0 < self.shortest < self.longest <= 60):
            raise ValueError(f"{told}: give 0 <= padding <= pause, 0 < shortest < longest <= 60 s")


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
    blocks: Iterable[NDArray[np.floating]],
    *,
    sr: int,
    endpointing: Endpointing | None = None,
) -> Iterator[Utterance]:
    """Wait for speech and yield it, utterance by utterance, as each ends.

    Only the current utterance is kept in memory, and the 3 s before it. Sound without speech, such
    as a fan, a click or digital silence, yields nothing. Where the blocks end makes no difference.

    Parameters
    ----------
    blocks : iterable of ndarray, each of shape (n_samples,)
        Mono signal in [-1, 1], as `Source.blocks` gives it.
    sr : int
        Its rate [Hz].
    endpointing : Endpointing, optional

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
    endpointer = Endpointer(sr=sr, settings=endpointing or Endpointing())
    try:
        for block in blocks:
            yield from endpointer.feed(block)
    except (OSError, ValueError):
        yield from endpointer.finish()
        raise
    yield from endpointer.finish()


class _Span(NamedTuple):
    """Frames of an utterance, where the sound after its last word dies away, and its level [dB]."""

    start: int
    end: int
    tail: int
    loud: float


class Endpointer:
    """Buffered audio, its frame levels and the noise floor."""

    def __init__(self, *, sr: int, settings: Endpointing) -> None:
        low, high = _BAND_HZ
        self._sr, self._settings = sr, settings
        self._frame = round(_FRAME_SECONDS * sr)
        self._band = signal.butter(2, (low, min(high, 0.45 * sr)), "bandpass", output="sos", fs=sr)
        self._state = np.zeros((len(self._band), 2))  # of the filter
        self._fresh = self._held = np.zeros(0, dtype=np.float32)  # not yet in frames; in frames
        self._level = np.zeros(0)  # [dB] of each frame of what is held
        self._first = 0  # number of the first frame that is held
        self._room = np.zeros(0)  # levels [dB] of the background before that
        self._floor = np.inf  # level of the background [dB]
        self._speaking = False
        self._died_away, self._loud = -1, -np.inf  # frame and level [dB] of the last utterance

    def feed(self, block: NDArray[np.floating]) -> Iterator[Utterance]:
        """Take a block of any length, and yield what has ended in it."""
        self._fresh = np.concatenate([self._fresh, np.asarray(block, dtype=np.float32)])
        step = _FRAMES_A_LOOK * self._frame
        while len(self._fresh) >= step:
            piece, self._fresh = self._fresh[:step], self._fresh[step:]
            self._hold(piece)
            yield from self._ended()

    def finish(self) -> Iterator[Utterance]:
        """Yield what was being said at the end."""
        self._hold(self._fresh[: len(self._fresh) // self._frame * self._frame])
        yield from self._ended(no_more=True)

    def _hold(self, piece: NDArray[np.float32]) -> None:
        """Buffer whole frames, and measure their levels."""
        if len(piece):
            y, self._state = signal.sosfilt(self._band, np.nan_to_num(piece), zi=self._state)
            power = np.square(y).reshape(-1, self._frame).mean(axis=1)
            level = 10 * np.log10(power + 10 ** (_FLOOR_DB / 10))
            self._held = np.concatenate([self._held, piece])
            self._level = np.concatenate([self._level, level])

    def _ended(self, *, no_more: bool = False) -> Iterator[Utterance]:
        """Yield the utterances that have ended in what is held, and drop what is not needed."""
        while True:
            self._floor = self._noise_floor()
            span = next(self._spans(), None)
            self._speaking = span is not None
            if span is None:
                break
            if span.end - span.start > _frames(self._settings.longest):
                end = span.start + _frames(self._settings.longest)
                span, reason = _Span(span.start, end, end, span.loud), LONGEST
            elif len(self._level) - span.end >= _frames(self._settings.pause):
                reason = PAUSE
            elif no_more:
                reason = END
            else:
                break
            yield from self._cut(span, reason=reason)
        unneeded = (span.start if span else len(self._level)) - _frames(_LOOK_BACK_SECONDS)
        if unneeded > 0:
            self._drop(unneeded, n_room=unneeded)

    def _noise_floor(self) -> float:
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
        shortest = max(_N_LOUD_FRAMES, _frames(self._settings.shortest))
        for run in _pieces(np.flatnonzero(active), gap=_frames(self._settings.pause)):
            # A syllable lasts; a click or a key does not, however many there are.
            unbroken = max(map(len, _pieces(run, gap=1)))
            if len(run) >= shortest and unbroken >= _N_LOUD_FRAMES:
                yield int(run[0]), int(run[-1]) + 1

    def _cut(self, span: _Span, *, reason: str) -> Iterator[Utterance]:
        """Yield an utterance, if it is one, and drop it from the buffer."""
        padding = _frames(self._settings.padding)
        first, last = max(0, span.start - padding), min(len(self._level), span.end + padding)
        if reason == LONGEST:
            last = span.end
        y = self._held[first * self._frame : last * self._frame].copy()
        start, end = ((self._first + k) * self._frame / self._sr for k in (first, last))
        spread = np.ptp(np.percentile(self._level[span.start : span.end], [10, 90]))
        self._drop(span.tail, n_room=span.start)
        self._died_away, self._loud = self._first + _frames(self._settings.pause), span.loud
        is_fit = np.isfinite(y).all() and not audio.fatal_issues(y, sr=self._sr)
        if spread >= _SMALLEST_SPREAD_DB and is_fit:
            yield Utterance(start, end, y, reason)

    def _drop(self, n_frames: int, *, n_room: int) -> None:
        """Drop the oldest frames; the levels of some of them were those of the room."""
        room = np.concatenate([self._room, self._level[:n_room]])
        self._room = room[-_frames(_ROOM_SECONDS) :]
        self._held = self._held[n_frames * self._frame :]
        self._level = self._level[n_frames:]
        self._first += n_frames


def _pieces(numbers: NDArray[np.intp], *, gap: int) -> list[NDArray[np.intp]]:
    """Split increasing numbers where they are more than `gap` apart.

    >>> [piece.tolist() for piece in _pieces(np.array([1, 2, 4, 9]), gap=2)]
    [[1, 2, 4], [9]]
    """
    return np.split(numbers, np.flatnonzero(np.diff(numbers) > gap) + 1)


def _frames(seconds: float) -> int:
    return round(seconds / _FRAME_SECONDS)
