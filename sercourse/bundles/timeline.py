"""Sliding windows over a signal, voice activity in each, and the emotions over time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sercourse import audio

if TYPE_CHECKING:
    import pandas as pd

WINDOW_SECONDS = 3.0
"""Default length of a window [s]: about a sentence, which is what models learn from."""

WINDOWS, STEPS = (0.5, 8.0), (0.01, 3600.0)  # shortest and longest [s]: models know sentences

SILENCE, NO_SPEECH, TOO_QUIET = audio.SILENCE, "no speech", "too quiet"
NOT_SURE = "not sure"  # no emotion reaches the required probability
NOT_FINITE, CLIPPED = "NaN samples", audio.CLIPPED
JUDGED = ("", CLIPPED)
"""Notes of windows that a model judges."""

QUIET_DB = 45.0
"""A window so far below the loudest one [dB] is background.

The calmest and the most furious sentence of an actor of RAVDESS lie 20 to 44 dB apart.
"""

SMALLEST_CONTRAST_DB, SMALLEST_PEAK_DB = 3.0, 1.2
"""Smallest distance of speech between the level that its loudest 0.3 s reach and its softest tenth,
and between the loudest fifth of those 0.3 s and their softest frame.

Speech of RAVDESS in pink noise 10 dB below it reaches both; white, pink and brown noise neither.
"""

FRAME_SECONDS = 0.02
FLOOR_DB = -90.0  # of full scale


class Window(NamedTuple):
    """A piece of a recording: samples `y` from `start` to `end` [s]."""

    start: float
    end: float
    y: NDArray[Any]


@dataclass(frozen=True, eq=False)
class Moment:
    """Emotion probabilities of one window.

    Attributes
    ----------
    start, end : float
        [s] from the beginning of the recording.
    level : float
        Reached during its loudest 0.3 s [dB of full scale].
    probabilities : ndarray, shape (n_labels,)
        NaN where the window was not judged.
    note : str
        Why it was not judged, or "clipped" where that makes the answer doubtful; else empty.
    """

    start: float
    end: float
    level: float
    probabilities: NDArray[np.float64]
    note: str = ""


@dataclass(frozen=True, eq=False)
class Timeline:
    """Emotion probabilities of a recording, window by window.

    Attributes
    ----------
    labels : tuple of str
        Emotions, in the order of the columns of `probabilities`.
    start, end : ndarray, shape (n_windows,)
        [s] from the beginning of the recording.
    probabilities : ndarray, shape (n_windows, n_labels)
        A row of NaN where a window was not judged.
    notes : tuple of str, length n_windows
        As `Moment.note`.

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
        rows = zip(self.probabilities, self.judged, strict=True)
        return tuple(self.labels[int(np.argmax(p))] if known else None for p, known in rows)

    def table(self) -> pd.DataFrame:
        """Return a table of `start`, `end` [s], `emotion`, a column `p_<label>` each, and `note`.

        Where a window was not judged, emotion is <NA> and probabilities are NaN.
        """
        import pandas as pd

        columns: dict[str, Any] = {"start": self.start, "end": self.end}
        columns["emotion"] = pd.array(list(self.emotions), dtype="string")
        columns |= {f"p_{name}": self.probabilities[:, k] for k, name in enumerate(self.labels)}
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
        The signal in pieces of any size; only about a window is kept.
    sr : int
        Its rate [Hz].
    every : float
        Hop from one window's start to the next one's [s].
    window : float
        Length [s].

    Yields
    ------
    Window

    Examples
    --------
    >>> pieces = [np.zeros(700), np.zeros(100), np.zeros(500)]
    >>> [(each.start, each.end) for each in windows(pieces, sr=100, every=5, window=4)]
    [(0.0, 4.0), (5.0, 9.0), (9.0, 13.0)]
    """
    step, length = max(1, round(every * sr)), round(window * sr)
    held, first, start = np.zeros(0, dtype=np.float32), 0, 0  # `first` is the place of held[0]
    for block in blocks:
        held = np.concatenate([held, block])
        while first + len(held) >= start + length:
            y = held[start - first :][:length]
            yield Window(start / sr, (start + length) / sr, y)
            start += step
        # The last window may have to reach back from the end of the recording.
        unneeded = max(0, min(start, first + len(held) - length) - first)
        held, first = held[unneeded:], first + unneeded
    total = first + len(held)
    new = total - max(start, start - step + length)
    if total and (start == 0 or new >= audio.MIN_SECONDS * sr):
        y = held[-length:]
        yield Window((total - len(y)) / sr, total / sr, y)


def refuse_steps(*, every: float, window: float = WINDOW_SECONDS) -> None:
    """Raise ValueError if a step or a window is outside its range."""
    for what, value, (low, high), such in (
        ("every", every, STEPS, 1.0),
        ("of", window, WINDOWS, WINDOW_SECONDS),
    ):
        if not low <= value <= high:
            wanted = f"give {low} to {high:g} seconds, such as {such}"
            raise ValueError(f"a window {what} {value:g} s: {wanted}")


def measure(y: NDArray[Any], *, sr: int) -> tuple[float, str]:
    """Return the level that the loudest 0.3 s of a window reach, and what is wrong with it.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
    sr : int
        Its rate [Hz].

    Returns
    -------
    level : float
        [dB of full scale].
    note : str
        "silence", "too short", "NaN samples", "no speech" (the level is steady) or "clipped"; empty
        for a sound window.

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
        return FLOOR_DB, NOT_FINITE
    if not len(y):
        return FLOOR_DB, SILENCE
    # The number of frames that make 0.3 s; in a window that is hardly longer, a third of them.
    n_frames = max(1, int(len(y) / (FRAME_SECONDS * sr)))
    n_loud = min(round(audio.MIN_SECONDS / FRAME_SECONDS), -(-n_frames // 3))
    level = float(_levels(y, sr=sr)[n_loud - 1])
    issues = [issue.partition(":")[0] for issue in audio.quality_issues(y, sr=sr)]
    if set(issues) <= {CLIPPED}:
        # Without what is below the voice: a hum or a rumble must not hide what is said.
        levels = _levels(audio.pre_emphasis(np.asarray(y, dtype=np.float64)), sr=sr)
        peak, loud = levels[max(0, n_loud // 5 - 1)], levels[n_loud - 1]
        soft = levels[-1 - len(levels) // 10]
        if loud - soft < SMALLEST_CONTRAST_DB or peak - loud < SMALLEST_PEAK_DB:
            return level, NO_SPEECH
    return level, issues[0] if issues else ""


def _levels(y: NDArray[Any], *, sr: int) -> NDArray[np.float64]:
    """Return the levels of frames of 20 ms [dB of full scale], from the loudest to the softest."""
    length = min(round(FRAME_SECONDS * sr), len(y))
    framed = np.asarray(y[: len(y) // length * length], dtype=np.float64).reshape(-1, length)
    level = 10 * np.log10(np.mean(framed**2, axis=1) + 10 ** (FLOOR_DB / 10))
    return np.sort(level)[::-1]


def collect(moments: Iterable[Moment], *, labels: Sequence[str]) -> Timeline:
    """Gather the windows of a whole recording, without those 45 dB below the loudest.

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
    start, end, level = np.array([(m.start, m.end, m.level) for m in moments], dtype=float).T
    faint = judged & (level < np.max(level, initial=-np.inf, where=judged) - QUIET_DB)
    probabilities[faint] = np.nan
    notes = tuple(TOO_QUIET if drop else m.note for m, drop in zip(moments, faint, strict=True))
    return Timeline(tuple(labels), start, end, probabilities, notes)
