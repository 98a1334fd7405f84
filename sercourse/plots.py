"""Pictures for the lessons: every function draws on matplotlib Axes and returns them.

Time runs from left to right [s]; a column of a spectrogram is a frame, centred at its time.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from sercourse.labels import EMOTIONS, in_order

Array = NDArray[Any]
Named = Mapping[str, Array]

# --- style ------------------------------------------------------------------------------------

# Neighbours differ in lightness, so that they can be told apart without any colour.
_COLOURS = (
    *("#8b929b", "#1f6f6b", "#f0b400", "#203f7d", "#e8594f"),
    *("#6b3fa8", "#93c24c", "#c2539d", "#453428"),
)
EMOTION_COLOURS: dict[str, str] = dict(zip(EMOTIONS, _COLOURS, strict=True))
"""The colour of each canonical emotion, in their order."""

# Of labels that are not canonical.
_OWN_COLOURS = (
    *("#f58a6c", "#59c37a", "#c9b07c", "#59606a", "#b7e4c7"),
    *("#8c4a1f", "#5cc8f0", "#e6b8dd", "#ffa630", "#1f4e5f"),
)

INK = "#2e3742"
"""The colour of what stands for no emotion."""

GREY = "#9aa1a9"  # what something is compared with
ACCENT = "#b0763a"  # what is to be noticed, and is no emotion
SERIES = {"color": (INK, ACCENT, GREY, "#2f8f9d"), "marker": ("o", "s", "^", "D")}
"""Colours and markers of series that are no emotions, in their order; also those of pandas."""


def use_style() -> None:
    """Give matplotlib the look of the course: 700 pixels wide, quiet axes, readable labels.

    Call it once, before the first picture of a lesson.
    """
    plt.style.use("sercourse.plots")


def palette(emotions: Iterable[str]) -> dict[str, str]:
    """Return the colour of each distinct label, in the one order of labels.

    A canonical emotion has its own. Other labels get one that follows from their name, or the next
    free one where two would look alike: so it is mostly the same in other company, too.

    Raises
    ------
    ValueError
        If a label is empty.

    Examples
    --------
    >>> palette(["stressed", "anger"])
    {'angry': '#e8594f', 'stressed': '#1f4e5f'}
    """
    names = in_order(emotions)
    chosen = {name: EMOTION_COLOURS[name] for name in names if name in EMOTION_COLOURS}
    for name in names[len(chosen) :]:
        first = zlib.crc32(name.encode()) % len(_OWN_COLOURS)
        ranked = [*_OWN_COLOURS[first:], *_OWN_COLOURS[:first]]
        chosen[name] = min(ranked, key=list(chosen.values()).count)
    return chosen


# --- signals --------------------------------------------------------------------------------------

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
        ax.plot([start, end], [1.05 + 0.18 * row] * 2, "|-", color=ACCENT, lw=3, **above)
        ax.text(start, 1.08 + 0.18 * row, name, size=9, va="bottom", **above)
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
    extent = (-half, (2 * n_frames - 1) * half, 0.5, len(level) + 0.5)
    steps = plt.get_cmap("magma", round(SPAN_DB / _STEP_DB))
    look: Any = {"origin": "lower", "interpolation": "nearest", "aspect": "auto"}
    ax.imshow(level, steps, clim=(top - SPAN_DB, top), extent=extent, **look)
    ax.set(xlabel="time [s]", ylabel="frequency [kHz]", xlim=(0, 2 * max(1, n_frames - 1) * half))
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
    size, ratios = (7, 0.4 + n_rows * sum(heights)), heights * n_rows
    grid: dict[str, Any] = {"figsize": size, "height_ratios": ratios, "squeeze": False}
    _, axes = plt.subplots(n_rows * len(heights), columns, sharex=True, **grid)
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
    waves: Named, rows: Mapping[str, Named], *, sr: int, frame_length: int, hop_length: int
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


# --- tables ---------------------------------------------------------------------------------------

_MARK_STYLES = ("--", ":")
_TITLES = {
    "accuracy": "accuracy [%]",
    "gain": "gain in accuracy [points]; open: the interval includes 0",
}


_HALO = withStroke(linewidth=2, foreground="white")  # a line behind a text is interrupted


def intervals(
    series: Mapping[str, pd.DataFrame],
    *,
    of: str = "accuracy",
    marks: Mapping[str, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw figures in rows as dots with their intervals, for one or more series.

    Parameters
    ----------
    series : mapping from str to pandas.DataFrame
        For each series, such as a recipe, a row for each name in the index; shares in the column
        `of` and, where known, `low` and `high`, the ends of the interval, and `chance`.
    of : {"accuracy", "gain"}
        The column that is drawn. The dot of a gain is open if its interval includes 0.
    marks : mapping from str to float, optional
        Shares to compare with, dashed and dotted lines across all rows.
    ax : Axes, optional
        Where to draw; a new figure unless given.

    Examples
    --------
    >>> table = pd.DataFrame({"gain": [0.04], "low": [-0.01], "high": [0.07]}, index=["noise"])
    >>> ax = intervals({"new voices": table}, of="gain")
    >>> [text.get_text() for text in ax.texts], [tick.get_text() for tick in ax.get_yticklabels()]
    (['+4.0'], ['noise'])
    """
    for given, known in ((series, SERIES["color"]), (marks or {}, _MARK_STYLES)):
        if len(given) > len(known):
            raise ValueError(f"{len(known)} can be told apart: leave some of {list(given)} out")
    ax = ax or plt.subplots()[1]
    names = list(dict.fromkeys(str(name) for table in series.values() for name in table.index))
    step = 0.6 / max(1, len(series))
    looks = zip(series.items(), SERIES["color"], SERIES["marker"], strict=False)
    for number, ((title, table), colour, marker) in enumerate(looks):
        shown = 100 * table.reindex(columns=[of, "low", "high", "chance"]).astype(float)
        value, low, high, chance = shown.to_numpy().T
        y = np.array([names.index(str(name)) for name in table.index])
        y = y + (number - (len(series) - 1) / 2) * step
        ax.hlines(y, low, high, color=colour, lw=1.5)
        ax.plot(value, y, marker, color=colour, ms=6, label=title)
        unclear = (low <= 0) & (high >= 0) & (of == "gain")
        ax.plot(value[unclear], y[unclear], marker, color=colour, mfc="white", ms=6)
        ax.plot(chance, y, "|", color=GREY, ms=9)
        form = "{:+.1f}" if of == "gain" else "{:.1f}"
        for each, right, height in zip(value, np.fmax(value, high), y, strict=True):
            figure = form.format(each).replace("-", "\N{MINUS SIGN}")
            text = ax.annotate(figure, (right, height), (5, 0), size=9, va="center")
            text.set(anncoords="offset points", path_effects=[_HALO])
    if any("chance" in table for table in series.values()):
        ax.plot([], [], "|", color=GREY, label="chance")
    for style, (name, share) in zip(_MARK_STYLES, (marks or {}).items(), strict=False):
        ax.axvline(100 * share, color=INK, linestyle=style, lw=1, label=name, zorder=0.6)
    ax.axvline(0, color=INK, lw=0.9, zorder=0.6)
    ax.margins(x=0.1)
    if of != "gain":
        ax.set_xlim(left=0)
    ax.set_yticks(range(len(names)), names)
    lines = "; lines: intervals" if any("low" in table for table in series.values()) else ""
    ax.set(xlabel=_TITLES[of] + lines, ylim=(len(names) - 0.5, -0.5))
    ax.grid(axis="x")
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    if len(ax.get_legend_handles_labels()[1]) > 1:
        ax.legend(ncols=4, loc="lower left", bbox_to_anchor=(0, 1))
    return ax


# --- emotions over time ---------------------------------------------------------------------------

NOT_JUDGED = "#c9ced4"
"""Colour of the waveform where there is no answer."""

_SECONDS = 120.0  # ticks of a longer recording are minutes and seconds


def emotions_over_time(
    table: pd.DataFrame, *, y: Array | None = None, sr: int = 0, ax: Axes | None = None
) -> Axes:
    """Draw the probabilities of the emotions along a recording, stacked, with gaps in its pauses.

    Each moment shows the window whose middle is nearest. Bands carry their names where there is
    room. The waveform above has the colour of the most probable emotion, and is pale where there is
    no answer. Its height is the square root of the amplitude, so that a calm voice is seen beside a
    shout.

    Parameters
    ----------
    table : pandas.DataFrame
        `start`, `end` [s], and a column `p_<label>` for each emotion, NaN where a window was not
        judged: as `Timeline.table` gives it, or `sercourse predict --every --out` writes it.
    y : ndarray, shape (n_samples,), optional
        The signal; without it, no waveform is drawn.
    sr : int
        Its rate [Hz], which `y` needs.
    ax : Axes, optional
        Where to draw the probabilities; a new figure unless given. The waveform goes above it.

    Raises
    ------
    ValueError
        If the table has no window or no probabilities.

    Examples
    --------
    >>> table = pd.DataFrame({"start": [0, 1], "end": [3, 4], "p_sad": [0.2, 0.9]})
    >>> ax = emotions_over_time(table.assign(p_happy=1 - table["p_sad"]))
    >>> ax.get_ylabel(), [text.get_text() for text in ax.get_legend().texts]
    ('probability [%]', ['happy', 'sad'])
    """
    labels = in_order(str(name)[2:] for name in table.columns if str(name).startswith("p_"))
    if not labels or not len(table):
        told = f"a table of {len(table)} rows with columns {', '.join(map(str, table.columns))}"
        wanted = "make it with Bundle.predict_over_time(...).table()"
        raise ValueError(f"{told} has no emotions over time: {wanted}")
    ax = plt.subplots(figsize=(7.0, 3.4))[1] if ax is None else ax
    edges, p = _cells(table, labels=labels)
    shades, below = {**palette(labels), "": NOT_JUDGED}, 100 * (np.cumsum(p, axis=1) - p)
    look: Any = {"fill": True, "ec": "white", "lw": 0.6 if len(p) < 100 else 0}
    for name, share, base in zip(labels, 100 * p.T, below.T, strict=True):
        ax.stairs(base + share, edges, baseline=base, fc=shades[name], label=name, **look)
        _name_band(ax, edges, share, height=base + share / 2, name=name)
    winners = [labels[int(np.argmax(row))] if np.isfinite(row).all() else "" for row in p]
    start, end, unit = edges[0], edges[-1], "s"
    if y is not None:
        start, end, top = 0, len(y) / sr, ax.inset_axes((0, 1.05, 1, 0.4), sharex=ax)
        low, high, step = envelope(np.sign(y) * np.sqrt(np.abs(y)))
        times = (np.arange(len(low)) + 0.5) * step / sr
        cell = np.searchsorted(edges, times, side="right")  # 0 and the last lie outside
        of = ["", *winners, ""]
        top.vlines(times, low, high, colors=[shades[of[k]] for k in cell], linewidth=1.5)
        top.axis("off")
        if "" in winners:
            ax.plot([], [], "s", color=NOT_JUDGED, label="not judged")
    if end > _SECONDS:
        unit = "min:s"
        ax.xaxis.set_major_locator(MaxNLocator(steps=[1.5, 3, 6, 10]))
        clock = FuncFormatter(lambda second, _: f"{int(second // 60)}:{int(second % 60):02d}")
        ax.xaxis.set_major_formatter(clock)
    window = (table["end"] - table["start"]).max()
    ax.set_xlabel(f"time [{unit}], the middle of a window of {window:.3g} s")
    ax.set(xlim=(start, end), ylim=(0, 100), ylabel="probability [%]")
    ax.legend(ncols=5, loc="upper left", bbox_to_anchor=(0, -0.2))
    return ax


def _cells(table: pd.DataFrame, *, labels: Sequence[str]) -> tuple[Array, Array]:
    """Return the edges of the cells of time, shape (n + 1,), and their probabilities, (n, k).

    A cell is where its window's middle is the nearest. Where windows leave something out, a cell of
    NaN lies between.
    """
    start, end = (table[name].to_numpy(dtype=float) for name in ("start", "end"))
    middle = (start + end) / 2
    halfway = (middle[1:] + middle[:-1]) / 2
    left = np.maximum(start, np.append(start[:1], halfway))
    right = np.minimum(end, np.append(halfway, end[-1:]))
    p = table[[f"p_{name}" for name in labels]].to_numpy(dtype=float)
    gaps = np.flatnonzero(left[1:] > right[:-1])
    edges = np.insert(np.append(left, right[-1]), gaps + 1, right[gaps])
    return edges, np.insert(p, gaps + 1, np.nan, axis=0)


def _name_band(ax: Axes, edges: Array, share: Array, *, height: Array, name: str) -> None:
    """Write the name of an emotion into each part of its band that is high and wide enough [%]."""
    letter = 0.012 * np.ptp(edges)
    for run in np.split(np.arange(len(share)), np.flatnonzero(np.diff(share > 20)) + 1):
        if share[run[0]] > 20 and edges[run[-1] + 1] - edges[run[0]] > 1.5 * letter:
            k = run[share[run].argmax()]
            narrow = edges[k + 1] - edges[k] < letter * len(name)
            look: Any = {"size": 8, "rotation": 90 * narrow, "path_effects": [_HALO]}
            ax.text(edges[k : k + 2].mean(), height[k], name, ha="center", va="center", **look)
