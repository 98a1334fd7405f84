"""Pictures of signals: waveforms, spectrograms, and features over time.

Time runs from left to right [s]; a column of an image is a frame, centred at its time.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from sercourse.plots.style import ACCENT, EMOTION_COLOURS, INK

Array = NDArray[Any]

SPAN_DB = 70.0
"""How far below the loudest point a spectrogram shows anything [dB]."""

_STEP_DB = 5.0  # steps that the eye can count, and a picture a third of the size
_COLUMNS = 350  # half the pixels in the width of a picture: a longer signal becomes an envelope
_FREQUENCY_TICKS = (0, 1_000, 2_000, 4_000, 8_000, 16_000)  # [Hz]


def waveform(
    y: Array, *, sr: int, start: float = 0.0, colour: str = INK, ax: Axes | None = None
) -> Axes:
    """Draw a signal over time; a long one as the band between its lowest and highest samples.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
        Signal, full scale is 1.
    sr : int
        Sampling rate [Hz].
    start : float
        Time of the first sample [s].
    colour : str
        Colour of the line.
    ax : Axes, optional
        Where to draw; a new figure unless given.

    Examples
    --------
    >>> waveform(np.sin(np.arange(100)), sr=100).get_xlabel()
    'time [s]'
    """
    ax = ax or plt.subplots()[1]
    if len(y) <= 8 * _COLUMNS:
        ax.plot(start + np.arange(len(y)) / sr, y, color=colour)
    else:
        low, high, step = envelope(y)
        times = start + (np.arange(len(low)) + 0.5) * step / sr
        ax.fill_between(times, low, high, color=colour, linewidth=0.6, antialiased=False)
    ax.set(xlabel="time [s]", ylabel="amplitude", xlim=(start, start + len(y) / sr))
    return ax


def envelope(y: Array) -> tuple[Array, Array, int]:
    """Return the lowest and highest of every `step` samples, and that step, for 350 columns."""
    step = -(-len(y) // _COLUMNS)
    columns = np.pad(y, (0, -len(y) % step), mode="edge").reshape(-1, step)
    return columns.min(axis=1), columns.max(axis=1), step


def spans(parts: Mapping[str, tuple[float, float]], *, ax: Axes) -> Axes:
    """Draw bars above a picture over time, from when to when each named part lasts.

    Parameters
    ----------
    parts : mapping of str to (float, float)
        Start and end by name [s]; the axis grows where a part ends later.
    ax : Axes
        A waveform or spectrogram.

    Examples
    --------
    >>> ax = spans({"words": (0.2, 0.8), "fixed": (0.5, 1.5)}, ax=waveform(np.ones(8), sr=8))
    >>> [text.get_text() for text in ax.texts], float(ax.get_xlim()[1])
    (['words', 'fixed'], 1.5)
    """
    ends: list[float] = []  # of the last part in each row
    above: dict[str, Any] = {"transform": ax.get_xaxis_transform(), "clip_on": False}
    ax.set_xlim(right=max(ax.get_xlim()[1], *(end for _, end in parts.values())))
    for name, (start, end) in parts.items():
        row = next(k for k in count() if k == len(ends) or ends[k] <= start)
        ends[row : row + 1] = [end]
        ax.plot([start, end], [1.05 + 0.15 * row] * 2, "|-", color=ACCENT, lw=3, **above)
        ax.text(start, 1.07 + 0.15 * row, name, size=8, va="bottom", **above)
    return ax


def spectrogram(
    level: Array,
    *,
    frequencies: Array,
    sr: int,
    hop_length: int,
    top: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw levels over time and frequency, in steps of 5 dB, 70 dB deep.

    Rows are equally high whatever their frequencies: those of a Fourier transform give a linear
    axis, those of mel bands a mel axis.

    Parameters
    ----------
    level : ndarray, shape (n_rows, n_frames)
        Levels [dB].
    frequencies : ndarray, shape (n_rows,)
        Centre of each row [Hz], ascending.
    sr : int
        Sampling rate [Hz].
    hop_length : int
        Samples between two frames.
    top : float, optional
        Level of the lightest colour [dB]; the highest of `level` unless given. Pictures to be
        compared need the same.
    ax : Axes, optional
        Where to draw; a new figure unless given. ``ax.images[-1]`` is for a colour bar.

    Examples
    --------
    >>> ax = spectrogram(
    ...     np.zeros((5, 9)), frequencies=np.arange(5) * 1000.0, sr=8_000, hop_length=80
    ... )
    >>> [tick.get_text() for tick in ax.get_yticklabels()]
    ['0', '1', '2', '4']
    """
    ax = ax or plt.subplots()[1]
    top = float(np.max(level)) if top is None else top
    half, n_frames = hop_length / sr / 2, level.shape[1]
    ax.imshow(
        level,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        cmap=plt.get_cmap("magma", round(SPAN_DB / _STEP_DB)),
        clim=(top - SPAN_DB, top),
        extent=(-half, (2 * n_frames - 1) * half, 0.5, len(level) + 0.5),
    )
    end = 2 * max(1, n_frames - 1) * half
    ax.set(xlabel="time [s]", ylabel="frequency [kHz]", xlim=(0, end))
    hertz = np.asarray(frequencies, dtype=np.float64)
    first, last = 2 * hertz[0] - hertz[1], 2 * hertz[-1] - hertz[-2]
    ticks = [tick for tick in _FREQUENCY_TICKS if first <= tick <= 1.01 * last]
    known = np.concatenate([[first], hertz, [last]])
    rows = np.interp(ticks, known, np.arange(len(known))).clip(0.5, len(hertz) + 0.5)
    ax.set_yticks(rows, [f"{tick / 1000:g}" for tick in ticks])
    return ax


def spectrograms(
    levels: Mapping[str, Array],
    *,
    frequencies: Array,
    sr: int,
    hop_length: int,
    waves: Mapping[str, Array] | None = None,
    columns: int = 3,
) -> NDArray[Any]:
    """Draw several spectrograms on one scale of levels, each below its waveform if there is one.

    Parameters
    ----------
    levels : mapping of str to ndarray, shape (n_bands, n_frames)
        [dB], by the title of the picture.
    frequencies : ndarray, shape (n_bands,)
        Centre of each band [Hz].
    sr, hop_length : int
        Sampling rate [Hz], samples between two frames.
    waves : mapping of str to ndarray, shape (n_samples,), optional
        Signals by the same titles, in the colour of an emotion if the title is one.
    columns : int
        Pictures in a row.

    Returns
    -------
    ndarray of Axes, shape (n_levels,)
        Those of the spectrograms.

    Examples
    --------
    >>> scale = {"frequencies": np.arange(5) * 1000, "sr": 8_000, "hop_length": 80}
    >>> spectrograms({"before": np.zeros((5, 9)), "after": np.ones((5, 9))}, **scale).shape
    (2,)
    """
    columns, n_rows = min(columns, len(levels)), -(-len(levels) // columns)
    heights = [1.2] if waves is None else [0.7, 1.2]
    _, axes = plt.subplots(
        n_rows * len(heights),
        columns,
        figsize=(7, 0.4 + n_rows * sum(heights)),
        height_ratios=heights * n_rows,
        squeeze=False,
        sharex=True,
    )
    panels = axes.reshape(n_rows, -1, columns).swapaxes(1, 2).reshape(n_rows * columns, -1)
    top = max(float(np.max(each)) for each in levels.values())
    for panel, (title, level) in zip(panels, levels.items(), strict=False):
        scale: dict[str, Any] = {"frequencies": frequencies, "sr": sr, "hop_length": hop_length}
        spectrogram(level, top=top, ax=panel[-1], **scale)
        if waves is not None:
            shade = EMOTION_COLOURS.get(title, INK)
            loudest = max(float(np.abs(y).max()) for y in waves.values())
            waveform(waves[title], sr=sr, colour=shade, ax=panel[0])
            panel[0].set(xlabel="", ylim=(-loudest, loudest))
        panel[0].set_title(title, size=9)
    for ax in panels[len(levels) :].ravel():
        ax.set_visible(False)
    for ax in axes.ravel():
        ax.label_outer()
    axes[0, 0].set_xlim(0, max(each.shape[1] for each in levels.values()) * hop_length / sr)
    return panels[: len(levels), -1]


def under_waveform(
    waves: Mapping[str, Array],
    rows: Mapping[str, Mapping[str, Array]],
    *,
    sr: int,
    frame_length: int,
    hop_length: int,
) -> NDArray[Any]:
    """Draw descriptors over time under the waveforms that they describe, a column for each clip.

    Parameters
    ----------
    waves : mapping of str to ndarray, shape (n_samples,)
        Signals by emotion, which gives the colour; each is drawn to its own height.
    rows : mapping of str to (mapping of str to ndarray, shape (n_frames,))
        For each label of an axis, the descriptor of every signal. A row shares its axis.
    sr : int
        Rate of the signals [Hz].
    frame_length, hop_length : int
        [samples]; a frame is drawn at its middle.

    Returns
    -------
    ndarray of Axes, shape (1 + n_rows, n_clips)
    """
    shape, size = (1 + len(rows), len(waves)), (7.0, 0.9 + 0.95 * len(rows))
    _, axes = plt.subplots(*shape, figsize=size, squeeze=False, sharex="col", sharey="row")
    for column, (emotion, y) in zip(axes.T, waves.items(), strict=True):
        colour = EMOTION_COLOURS[emotion]
        waveform(y / np.abs(y).max(initial=1e-9), sr=sr, colour=colour, ax=column[0])
        column[0].set(title=emotion, xlabel="", ylabel="", yticks=[])
        for ax, (label, series) in zip(column[1:], rows.items(), strict=True):
            times = (np.arange(len(series[emotion])) * hop_length + frame_length / 2) / sr
            ax.plot(times, series[emotion], color=colour, linewidth=0.9)
            ax.set(xlabel="time [s]", ylabel=label)
    for ax in axes.ravel():
        ax.label_outer()
    return axes
