"""Pictures of what networks see: spectrograms with time in their rows, and windows over them.

Arrays are those of `features.spectrogram`: (n_frames, n_bands), levels in dB. They are drawn as
every spectrogram of the course, time from left to right.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from sercourse.plots import signals
from sercourse.plots.style import INK

Array = NDArray[Any]

WIDTH = 7.0  # [inch], of a figure
PALE = "#dfe3e7"
STRONG = "#b0763a"  # what is to be noticed, and is no emotion
MARGIN = 0.36  # height above a spectrogram for the marks of its windows, as a share of its own
ROWS = (0.27, 0.14)  # where the marks of neighbouring windows lie in it
STRIP = (0.02, 0.07)  # and the strip that tells which frames are seen twice


def log_mel(
    level: Array,
    *,
    frequencies: Array,
    sr: int,
    hop_length: int,
    top: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a spectrogram as networks hold it, time in its rows.

    Parameters
    ----------
    level : ndarray, shape (n_frames, n_bands)
        [dB].
    frequencies : ndarray, shape (n_bands,)
        Centre of each band [Hz], ascending.
    sr : int
        Sampling rate [Hz].
    hop_length : int
        Samples between two frames.
    top : float, optional
        Level of the lightest colour [dB]; the highest of `level` unless given.
    ax : Axes, optional
        Where to draw; a new figure unless given.

    Examples
    --------
    >>> ax = log_mel(np.zeros((9, 5)), frequencies=np.arange(5) * 1000, sr=8_000, hop_length=80)
    >>> ax.images[0].get_array().shape
    (5, 9)
    """
    return signals.spectrogram(
        np.asarray(level).T,
        frequencies=frequencies,
        sr=sr,
        hop_length=hop_length,
        top=top,
        ax=ax,
    )


def cuts(
    y: Array, *, sr: int, spans: Mapping[str, tuple[float, float]], ax: Axes | None = None
) -> Axes:
    """Draw a waveform, and above it from when to when each of several methods reads it.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
    sr : int
        Its rate [Hz].
    spans : mapping of str to (float, float)
        Start and end by name [s]; what lies beyond the signal is padding, drawn dashed.
    ax : Axes, optional
        Where to draw; a new figure unless given.

    Examples
    --------
    >>> ax = cuts(np.ones(8), sr=8, spans={"words": (0.2, 0.8), "fixed": (0.5, 1.5)})
    >>> [text.get_text() for text in ax.texts]
    ['words', 'fixed']
    """
    ax = signals.waveform(y, sr=sr, ax=ax)
    peak, seconds = float(np.abs(y).max()) or 1.0, len(y) / sr
    last = max(seconds, *(end for _, end in spans.values()))
    for row, (name, (start, end)) in enumerate(spans.items()):
        height = peak * (1.25 + 0.5 * row)
        ax.plot([start, min(end, seconds)], [height, height], color=STRONG, linewidth=4)
        if end > seconds:
            ax.plot([seconds, end], [height, height], color=STRONG, linestyle=":")
        ax.text(start, height + 0.1 * peak, name, color=INK, size=8, va="bottom")
    edge, top = 1.1 * peak, peak * (1.3 + 0.5 * len(spans))
    ax.set(xlim=(0, 1.01 * last), ylim=(-edge, top))
    ax.set_yticks([tick for tick in ax.get_yticks() if abs(tick) <= edge])
    ax.spines["left"].set_bounds(-edge, edge)
    ax.yaxis.set_label_coords(-0.075, edge / (edge + top))
    return ax


def rolling_windows(
    level: Array,
    *,
    length: int,
    step: int,
    frequencies: Array,
    sr: int,
    hop_length: int,
    ax: Axes | None = None,
) -> Axes:
    """Draw a spectrogram, the windows that roll over it, and the frames that two of them see.

    Parameters
    ----------
    level : ndarray, shape (n_frames, n_bands)
        [dB].
    length, step : int
        Length of a window and distance between the starts of two [frames].
    frequencies : ndarray, shape (n_bands,)
        Centre of each band [Hz].
    sr, hop_length : int
        Sampling rate [Hz], samples between two frames.
    ax : Axes, optional
        Where to draw; a new figure unless given.

    Raises
    ------
    ValueError
        If the spectrogram is shorter than one window.

    Examples
    --------
    >>> scale = {"frequencies": np.arange(5) * 1000, "sr": 8_000, "hop_length": 80}
    >>> ax = rolling_windows(np.zeros((8, 5)), length=4, step=2, **scale)
    >>> [text.get_text() for text in ax.texts]
    ['window 1', 'window 2', 'window 3']
    """
    n_frames, n_bands = level.shape
    if n_frames < length:
        raise ValueError(f"{n_frames} frames hold no window of {length}: give a longer clip")
    ax = log_mel(level, frequencies=frequencies, sr=sr, hop_length=hop_length, ax=ax)
    seconds = hop_length / sr
    starts = np.arange(0, n_frames - length + 1, step)
    for number, start in enumerate(starts):
        _mark_window(
            ax,
            f"window {number + 1}",
            ends=((start - 0.5) * seconds, (start + length - 0.5) * seconds),
            height=n_bands * (1 + ROWS[number % len(ROWS)]),
        )
    seen = sum((np.arange(n_frames) >= s) & (np.arange(n_frames) < s + length) for s in starts)
    _strip_of_repeats(ax, np.asarray(seen), seconds=seconds, n_bands=n_bands)
    ax.set_ylim(0, n_bands * (1 + MARGIN))
    ax.spines["left"].set_bounds(0, n_bands)
    ax.yaxis.set_label_coords(-0.06, 0.5 / (1 + MARGIN))
    return ax


def pictures(
    levels: Mapping[str, Array],
    *,
    frequencies: Array,
    sr: int,
    hop_length: int,
    columns: int = 3,
    top: float | None = None,
    height: float = 1.35,
) -> NDArray[Any]:
    """Draw several spectrograms side by side on one scale of levels.

    Parameters
    ----------
    levels : mapping of str to ndarray, shape (n_frames, n_bands)
        [dB], by the title of the picture.
    frequencies : ndarray, shape (n_bands,)
        Centre of each band [Hz].
    sr, hop_length : int
        Sampling rate [Hz], samples between two frames.
    columns : int
        Pictures in a row.
    top : float, optional
        Level of the lightest colour [dB]; the highest of all unless given.
    height : float
        Of a row [inch].

    Returns
    -------
    ndarray of Axes, shape (n_rows, columns)
        Those without a picture are hidden.

    Examples
    --------
    >>> scale = {"frequencies": np.arange(5) * 1000, "sr": 8_000, "hop_length": 80}
    >>> pictures({"before": np.zeros((9, 5)), "after": np.ones((9, 5))}, columns=2, **scale).shape
    (1, 2)
    """
    axes = _grid(len(levels), columns=columns, height=height)
    top = max(float(np.max(each)) for each in levels.values()) if top is None else top
    for ax, (title, level) in zip(axes.flat, levels.items(), strict=False):
        log_mel(level, frequencies=frequencies, sr=sr, hop_length=hop_length, top=top, ax=ax)
        ax.set_title(title, size=9)
    _label_outer(axes, n_used=len(levels))
    return axes


def sounds(
    waves: Mapping[str, Array],
    levels: Mapping[str, Array],
    *,
    frequencies: Array,
    sr: int,
    hop_length: int,
    colour: str = INK,
    top: float | None = None,
) -> NDArray[Any]:
    """Draw waveforms, and the spectrogram of each below it, on common scales.

    Parameters
    ----------
    waves : mapping of str to ndarray, shape (n_samples,)
        Signals by title.
    levels : mapping of str to ndarray, shape (n_frames, n_bands)
        Their spectrograms [dB], by the same titles.
    frequencies : ndarray, shape (n_bands,)
        Centre of each band [Hz].
    sr, hop_length : int
        Sampling rate [Hz], samples between two frames.
    colour : str
        Of the waveforms.
    top : float, optional
        Level of the lightest colour [dB]; the highest of all unless given.

    Returns
    -------
    ndarray of Axes, shape (2, n_signals)

    Raises
    ------
    ValueError
        If a signal has no spectrogram.
    """
    missing = [title for title in waves if title not in levels]
    if missing:
        raise ValueError(f"there is no spectrogram for {missing[0]!r}: give one for every signal")
    figure, axes = plt.subplots(
        2, len(waves), figsize=(WIDTH, 2.7), squeeze=False, sharey="row", height_ratios=[2, 3]
    )
    top = max(float(np.max(levels[title])) for title in waves) if top is None else top
    longest = max(map(len, waves.values())) / sr
    scale: dict[str, Any] = {"frequencies": frequencies, "sr": sr, "hop_length": hop_length}
    for (above, below), (title, y) in zip(axes.T, waves.items(), strict=True):
        signals.waveform(y, sr=sr, colour=colour, ax=above).set_title(title, size=9)
        above.set_xlabel("")
        above.tick_params(labelbottom=False)
        log_mel(levels[title], top=top, ax=below, **scale)
        for ax in (above, below):
            ax.set_xlim(0, longest)
            ax.label_outer()
    figure.align_ylabels(axes[:, 0])
    return axes


def _mark_window(ax: Axes, name: str, *, ends: tuple[float, float], height: float) -> None:
    """Draw a bracket over a window, with its name upon it."""
    start, end = ends
    ax.plot([start, end], [height, height], color=INK, linewidth=0.9, marker="|", markersize=7)
    label = ax.text((start + end) / 2, height, name, color=INK, size=8)
    label.set(ha="center", va="center_baseline")
    label.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1.5})


def _strip_of_repeats(ax: Axes, seen: Array, *, seconds: float, n_bands: int) -> None:
    """Draw a strip over the frames: pale where one window sees them, strong where more do."""
    low, high = (n_bands * (1 + edge) for edge in STRIP)
    shades = {PALE: seen == 1, STRONG: seen > 1}
    names = {PALE: "seen once", STRONG: "seen twice"}
    for colour, where in shades.items():
        edges = np.flatnonzero(np.diff(np.concatenate([[False], where, [False]])))
        parts = [((a - 0.5) * seconds, (b - a) * seconds) for a, b in edges.reshape(-1, 2)]
        ax.broken_barh(parts, (low, high - low), color=colour, label=names[colour], linewidth=0)
    ax.legend(loc="lower right", bbox_to_anchor=(1, 0.98), ncols=2, handlelength=1, borderpad=0)


def _grid(n: int, *, columns: int, height: float) -> NDArray[Any]:
    rows = -(-n // columns)
    _, axes = plt.subplots(
        rows,
        columns,
        figsize=(WIDTH, 0.35 + height * rows),
        squeeze=False,
        sharex=True,
        sharey=True,
    )
    return np.asarray(axes)


def _label_outer(axes: NDArray[Any], *, n_used: int) -> None:
    """Hide the axes without a picture, and label only those at the border of the others."""
    columns = axes.shape[1]
    for place, ax in enumerate(axes.flat):
        if place >= n_used:
            ax.set_visible(False)
            continue
        if place % columns:
            ax.set_ylabel("")
            ax.tick_params(labelleft=False)
        if place + columns < n_used:
            ax.set_xlabel("")
        ax.tick_params(labelbottom=place + columns >= n_used)
