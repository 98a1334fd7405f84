"""Emotion over time: windows that slide over a recording, and what was heard in each.

Signals come in blocks of any size, from a file or from a microphone, and windows do not depend on
where blocks end. What a model says of a window is the business of `bundles`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sercourse import audio

if TYPE_CHECKING:
    import pandas as pd

WINDOW_SECONDS = 3.0
"""Default length of a window [s].

Models learn from whole sentences, which last 2 s in clips of 3 to 4 s: a shorter window hears words
without their melody, and a longer one mixes two moods.
"""

SHORTEST_WINDOW, LONGEST_WINDOW = 0.5, 8.0  # [s]; models know single sentences
SHORTEST_STEP, LONGEST_STEP = 0.01, 3600.0  # [s]; a frame of the features, and an hour

SILENCE, NO_SPEECH, TOO_QUIET = audio.SILENCE, "no speech", "too quiet"
NOT_SURE = "not sure"  # no emotion is probable enough to be an answer
NOT_FINITE, CLIPPED = "NaN samples", audio.CLIPPED
JUDGED = ("", CLIPPED)
"""Notes of windows that a model judges."""

QUIET_DB = 45.0
"""A window so far below the loudest one [dB] is background.

The calmest and the most furious sentence of an actor of RAVDESS lie 20 to 44 dB apart.
"""

SMALLEST_CONTRAST_DB, SMALLEST_PEAK_DB = 3.0, 1.2
"""What tells speech from steady noise: how far the loudest 0.3 s of a window stand out from its
softest tenth, and the loudest fifth of those 0.3 s from the rest of them.

Of 150 windows of 3 s of speech from RAVDESS, with pink noise 10 dB below it, all reach both. White,
pink and brown noise reaches neither, and noise that sets in within the window not the second.
"""

_FRAME_SECONDS = 0.02
_FLOOR_DB = -90.0  # of full scale; what lies deeper is silence all the same


@dataclass(frozen=True, eq=False)
class Window:
    """A piece of a recording.

    Attributes
    ----------
    start, end : float
        [s] from the beginning of the recording.
    y : ndarray, shape (n_samples,)
    """

    start: float
    end: float
    y: NDArray[Any]


@dataclass(frozen=True, eq=False)
class Moment:
    """What was heard in a window.

    Attributes
    ----------
    start, end : float
        [s] from the beginning of the recording.
    level : float
        Of its loudest 0.3 s [dB of full scale].
    probabilities : ndarray, shape (n_labels,)
        NaN where it could not be judged.
    note : str
        Why it could not be judged, or "clipped" where that makes the answer doubtful; else empty.
    """

    start: float
    end: float
    level: float
    probabilities: NDArray[np.float64]
    note: str = ""


@dataclass(frozen=True, eq=False)
class Timeline:
    """The emotions of a recording, window by window.

    Attributes
    ----------
    labels : tuple of str
        Emotions, in the order of the columns of `probabilities`.
    start, end : ndarray, shape (n_windows,)
        [s] from the beginning of the recording.
    probabilities : ndarray, shape (n_windows, n_labels)
        A row of NaN where there was nothing to judge.
    notes : tuple of str, length n_windows
        Why a window was not judged: "silence", "no speech", "too quiet", "too short" or "NaN
        samples"; "clipped" where it was, though the recording is clipped; else empty.

    Examples
    --------
    >>> p = np.array([[0.9, 0.1], [np.nan, np.nan]])
    >>> heard = Timeline(("happy", "sad"), np.array([0, 1]), np.array([3, 4]), p, ("", "silence"))
    >>> heard.emotions, int(heard.judged.sum())
    (('happy', None), 1)
    """

    labels: tuple[str, ...]
    start: NDArray[np.float64]
    end: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.start)

    @property
    def judged(self) -> NDArray[np.bool_]:
        """Whether each window has probabilities."""
        return np.asarray(np.isfinite(self.probabilities).all(axis=1))

    @property
    def emotions(self) -> tuple[str | None, ...]:
        """The most probable emotion of each window; None where it was not judged."""
        return tuple(
            self.labels[int(np.argmax(row))] if known else None
            for row, known in zip(self.probabilities, self.judged, strict=True)
        )

    def table(self) -> pd.DataFrame:
        """Return a table of `start`, `end` [s], `emotion`, a column `p_<label>` each, and `note`.

        Where a window was not judged, emotion is <NA> and probabilities are NaN.
        """
        import pandas as pd

        columns: dict[str, Any] = {"start": self.start, "end": self.end}
        columns["emotion"] = pd.array(list(self.emotions), dtype="string")
        named = zip(self.labels, self.probabilities.T, strict=True)
        columns |= {f"p_{name}": p for name, p in named}
        return pd.DataFrame(columns | {"note": pd.array(list(self.notes), dtype="string")})


def windows(
    blocks: Iterable[NDArray[Any]], *, sr: int, every: float, window: float = WINDOW_SECONDS
) -> Iterator[Window]:
    """Slide a window over a signal, and yield each as soon as its last sample has come.

    The last window is moved back to end with the recording, unless it would bring less than 0.3 s
    of new sound. A recording that is shorter than a window is yielded as it is.

    Parameters
    ----------
    blocks : iterable of ndarray, each of shape (n_samples,)
        The signal in pieces of any size, none of which is kept: only about a window is.
    sr : int
        Its rate [Hz].
    every : float
        Time from one window's start to the next one's [s], from 0.01 to 3600.
    window : float
        Length [s], from 0.5 to 8.

    Raises
    ------
    ValueError
        If `every` or `window` is outside its range.

    Examples
    --------
    >>> pieces = [np.zeros(700), np.zeros(100), np.zeros(500)]
    >>> [(each.start, each.end) for each in windows(pieces, sr=100, every=5, window=4)]
    [(0.0, 4.0), (5.0, 9.0), (9.0, 13.0)]
    """
    refuse_steps(every=every, window=window)
    step, length = max(1, round(every * sr)), round(window * sr)
    return _slide(blocks, sr=sr, step=step, length=length)


def refuse_steps(*, every: float, window: float = WINDOW_SECONDS) -> None:
    """Say before long work that a step or a window cannot be used.

    Raises
    ------
    ValueError
        If `every` or `window` is outside its range.
    """
    if not SHORTEST_STEP <= every <= LONGEST_STEP:
        raise ValueError(
            f"a window every {every:g} s: give the step as {SHORTEST_STEP} to {LONGEST_STEP:g} "
            "seconds, such as 1.0"
        )
    if not SHORTEST_WINDOW <= window <= LONGEST_WINDOW:
        raise ValueError(
            f"a window of {window:g} s: models know single sentences, so give its length as "
            f"{SHORTEST_WINDOW} to {LONGEST_WINDOW:g} seconds, such as {WINDOW_SECONDS}"
        )


def _slide(blocks: Iterable[NDArray[Any]], *, sr: int, step: int, length: int) -> Iterator[Window]:
    held, first = np.zeros(0, dtype=np.float32), 0  # `first` is the place of held[0]
    start = 0
    for block in blocks:
        held = np.concatenate([held, block])
        while first + len(held) >= start + length:
            yield _cut(held, first=first, start=start, length=length, sr=sr)
            start += step
        # The last window may have to reach back from the end of the recording.
        unneeded = min(start, first + len(held) - length) - first
        if unneeded > 0:
            held, first = held[unneeded:], first + unneeded
    total = first + len(held)
    new = total - max(start, start - step + length if start else 0)
    if total and (start == 0 or new >= audio.MIN_SECONDS * sr):
        length = min(length, total)
        yield _cut(held, first=first, start=total - length, length=length, sr=sr)


def _cut(held: NDArray[Any], *, first: int, start: int, length: int, sr: int) -> Window:
    y = held[start - first :][:length]
    return Window(start / sr, (start + length) / sr, y)


def measure(y: NDArray[Any], *, sr: int) -> tuple[float, str]:
    """Return the level of a window's loudest 0.3 s [dB of full scale], and what is wrong with it.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
    sr : int
        Its rate [Hz].

    Returns
    -------
    level : float
    note : str
        "silence", "too short", "NaN samples", "no speech" (nothing stands out by 3 dB from the
        softest tenth) or "clipped"; empty for a sound window.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> noise = rng.normal(scale=0.01, size=48_000)
    >>> measure(noise, sr=16_000)[1]
    'no speech'
    >>> measure(noise * np.repeat(rng.uniform(size=20) ** 2, 2_400), sr=16_000)[1]
    ''
    """
    if not np.isfinite(y).all():
        return _FLOOR_DB, NOT_FINITE
    if not len(y):
        return _FLOOR_DB, SILENCE
    level = float(_levels(y, sr=sr)[_n_loud(len(y), sr=sr) - 1])
    found = [issue.kind for issue in audio.quality_issues(y, sr=sr)]
    if not set(found) - {CLIPPED} and _is_steady(y, sr=sr):
        return level, NO_SPEECH
    return level, found[0] if found else ""


def collect(moments: Iterable[Moment], *, labels: Sequence[str]) -> Timeline:
    """Gather the moments of a whole recording, and drop those far below the loudest.

    A neighbour's voice or a creaking chair in a pause is no emotion of the speaker. That it is a
    pause shows only beside the rest of the recording.

    Parameters
    ----------
    moments : iterable of Moment
    labels : sequence of str
        Names of the probabilities.

    Raises
    ------
    ValueError
        If there is none.

    Examples
    --------
    >>> p = np.array([0.7, 0.3])
    >>> pair = Moment(0, 3, -20, p), Moment(3, 6, -66, p)
    >>> collect(pair, labels=("happy", "sad")).notes
    ('', 'too quiet')
    """
    moments = list(moments)
    if not moments:
        raise ValueError("the signal has no samples: nothing can be heard in it")
    probabilities = np.stack([each.probabilities for each in moments])
    judged = np.isfinite(probabilities).all(axis=1)
    level = np.array([each.level for each in moments], dtype=np.float64)
    faint = judged & (level < np.max(level, initial=-np.inf, where=judged) - QUIET_DB)
    probabilities[faint] = np.nan
    notes = tuple(
        TOO_QUIET if drop else each.note for each, drop in zip(moments, faint, strict=True)
    )
    start = np.array([each.start for each in moments], dtype=np.float64)
    end = np.array([each.end for each in moments], dtype=np.float64)
    return Timeline(tuple(labels), start, end, probabilities, notes)


def _is_steady(y: NDArray[Any], *, sr: int) -> bool:
    """Tell whether a window holds no more than the even noise of a room."""
    # A hum, a rumble and an offset must not hide what is said above them.
    level = _levels(audio.pre_emphasis(np.asarray(y, dtype=np.float64)), sr=sr)
    n_loud, n_soft = _n_loud(len(y), sr=sr), len(level) // 10
    peak, loud, soft = level[max(0, n_loud // 5 - 1)], level[n_loud - 1], level[-1 - n_soft]
    return bool(loud - soft < SMALLEST_CONTRAST_DB or peak - loud < SMALLEST_PEAK_DB)


def _levels(y: NDArray[Any], *, sr: int) -> NDArray[np.float64]:
    """Return the levels of frames of 20 ms [dB of full scale], from the loudest to the softest."""
    length = min(round(_FRAME_SECONDS * sr), len(y))
    framed = np.asarray(y[: len(y) // length * length], dtype=np.float64).reshape(-1, length)
    level = 10 * np.log10(np.mean(framed**2, axis=1) + 10 ** (_FLOOR_DB / 10))
    return np.sort(level)[::-1]


def _n_loud(n_samples: int, *, sr: int) -> int:
    """Return how many frames make 0.3 s; of a window that is hardly longer, a third."""
    n_frames = max(1, int(n_samples / (_FRAME_SECONDS * sr)))
    return min(round(audio.MIN_SECONDS / _FRAME_SECONDS), -(-n_frames // 3))
