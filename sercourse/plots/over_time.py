"""The picture of emotions over time: the voice above, what was heard in it below."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.patches import Patch
from matplotlib.transforms import ScaledTranslation
from numpy.typing import NDArray

from sercourse.labels import in_order
from sercourse.plots import signals
from sercourse.plots.style import INK, colours, palette

Array = NDArray[Any]

FIGURE_SIZE = (7.0, 3.4)  # [inch]
UNHEARD = "#c9ced4"  # the waveform where nothing could be judged
WAVEFORM_HEIGHT, GAP = 0.4, 0.05  # as shares of the probabilities' height
CHARACTER = 0.011  # width of a letter as a share of the picture's
LEGEND_BELOW = 36.0  # [points]; there is the label of the axis above it
TICK_STEPS = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600)  # [s]
LONGEST_IN_SECONDS = 120.0  # [s]; beyond it, ticks are minutes and seconds


def emotions_over_time(
    table: pd.DataFrame, *, y: Array | None = None, sr: int | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the probabilities of the emotions along a recording, stacked, with gaps in its pauses.

    Each moment shows the window whose middle is nearest. The waveform above has the colour of the
    most probable emotion, and is pale where there was nothing to judge.

    Parameters
    ----------
    table : pandas.DataFrame
        `start`, `end` [s], and a column `p_<label>` for each emotion, NaN where a window was not
        judged: as `Timeline.table` gives it, or `sercourse predict --every --csv` writes it.
    y : ndarray, shape (n_samples,), optional
        The signal; without it, no waveform is drawn.
    sr : int, optional
        Its rate [Hz], which `y` needs.
    ax : Axes, optional
        Where to draw the probabilities; a new figure unless given. The waveform goes above it.

    Raises
    ------
    ValueError
        If the table has no window or no probabilities, or `y` comes without `sr`.

    Examples
    --------
    >>> table = pd.DataFrame({"start": [0, 1], "end": [3, 4], "p_sad": [0.2, 0.9]})
    >>> ax = emotions_over_time(table.assign(p_happy=1 - table["p_sad"]))
    >>> ax.get_ylabel(), [text.get_text() for text in ax.get_legend().texts]
    ('probability [%]', ['happy', 'sad'])
    """
    labels = _labels(table)
    if y is not None and sr is None:
        raise ValueError("a waveform without its rate has no time: give sr [Hz] together with y")
    ax = plt.subplots(figsize=FIGURE_SIZE)[1] if ax is None else ax
    edges, p = _cells(table, labels=labels)
    winners = [labels[int(np.argmax(row))] if np.isfinite(row).all() else "" for row in p]
    end = float(edges[-1]) if y is None else len(y) / float(sr or 1)
    _stack(ax, p, edges=edges, labels=labels)
    ax.set(
        xlim=(float(edges[0]) if y is None else 0.0, end), ylim=(0, 100), ylabel="probability [%]"
    )
    _time_ticks(ax, end=end, window=float((table["end"] - table["start"]).max()))
    shades = [palette(labels)[name] if name else UNHEARD for name in winners]
    top = ax if y is None else _waveform_above(ax, y, end=end, edges=edges, shades=shades)
    _name_runs(top, edges=edges, winners=winners)
    _legend(ax, labels=labels, with_gaps=y is not None and "" in winners)
    return ax


def _labels(table: pd.DataFrame) -> tuple[str, ...]:
    """Return the emotions of a table in their one order."""
    names = [str(name)[2:] for name in table.columns if str(name).startswith("p_")]
    if not names or not len(table):
        raise ValueError(
            f"a table with {len(table)} rows and the columns {', '.join(map(str, table.columns))} "
            "has no emotions over time: make it with Bundle.predict_over_time(...).table()"
        )
    return in_order(names)


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
    edges, rows = [left[0]], []
    for first, last, row in zip(
        left, right, table[[f"p_{name}" for name in labels]].to_numpy(dtype=float), strict=True
    ):
        if first > edges[-1]:
            edges.append(first)
            rows.append(np.full(len(labels), np.nan))
        edges.append(last)
        rows.append(row)
    return np.array(edges), np.array(rows)


def _stack(ax: Axes, p: Array, *, edges: Array, labels: Sequence[str]) -> None:
    heights = 100 * np.cumsum(np.column_stack([np.zeros(len(p)), p]), axis=1)
    heights[np.isnan(heights[:, -1])] = np.nan
    for colour, low, high in zip(colours(labels), heights.T[:-1], heights.T[1:], strict=True):
        ax.stairs(high, edges, baseline=low, fill=True, color=colour, linewidth=0)


def _waveform_above(ax: Axes, y: Array, *, end: float, edges: Array, shades: list[str]) -> Axes:
    """Draw the waveform in the colours of the winners, and return its axes.

    Its height is the square root of the amplitude: so a calm voice is seen beside a shout.
    """
    top = ax.inset_axes((0, 1 + GAP, 1, WAVEFORM_HEIGHT), sharex=ax)
    low, high, step = signals.envelope(np.asarray(y))
    times = (np.arange(len(low)) + 0.5) * step * end / len(y)
    cell = np.searchsorted(edges, times, side="right") - 1
    inside = (cell >= 0) & (cell < len(shades))
    names = np.array([*shades, UNHEARD])[np.where(inside, cell, len(shades))]
    shown = [to_rgba(name) for name in names]
    # A little wider than a column, so that no ground shines through.
    width = 1.2 * 72 * ax.get_window_extent().width / ax.figure.dpi / len(low)
    low, high = (np.sign(side) * np.sqrt(np.abs(side)) for side in (low, high))
    top.vlines(times, low, high, colors=shown, linewidth=width)
    limit = float(max(np.abs(low).max(), np.abs(high).max())) or 1.0
    top.set_ylim(-limit, limit)
    top.axis("off")
    return top


def _name_runs(top: Axes, *, edges: Array, winners: list[str]) -> None:
    """Write the winner above its runs of cells, the longest first, where there is room."""
    first, last = top.get_xlim()
    runs = []
    for winner, group in groupby(range(len(winners)), key=winners.__getitem__):
        cells = list(group)
        runs.append((edges[cells[0]], edges[cells[-1] + 1], winner))
    taken: list[tuple[float, float]] = []
    for left, right, winner in sorted(runs, key=lambda run: run[0] - run[1]):
        half = CHARACTER * (last - first) * len(winner) / 2
        middle = (left + right) / 2
        free = all(middle + half <= low or middle - half >= high for low, high in taken)
        if winner and right - left >= half and free:
            taken.append((middle - half, middle + half))
            _write_above(top, winner, x=middle)


def _write_above(top: Axes, name: str, *, x: float) -> None:
    above = ("data", "axes fraction")
    text = top.annotate(name, (x, 1), (0, 2), xycoords=above, textcoords="offset points")
    text.set(ha="center", va="bottom", size=8, color=INK)


def _time_ticks(ax: Axes, *, end: float, window: float) -> None:
    start = ax.get_xlim()[0]
    step = next((each for each in TICK_STEPS if (end - start) / each <= 12), end)
    ticks = np.arange(np.ceil(start / step) * step, end + step / 1000, step)
    if end <= LONGEST_IN_SECONDS:
        ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        unit = "s"
    else:
        ax.set_xticks(ticks, [f"{int(tick // 60)}:{int(tick % 60):02d}" for tick in ticks])
        unit = "min:s"
    ax.set_xlabel(f"time [{unit}], the middle of a window of {window:.3g} s")


def _legend(ax: Axes, *, labels: Sequence[str], with_gaps: bool) -> None:
    keys = [Patch(color=colour, label=label) for label, colour in palette(labels).items()]
    keys += [Patch(color=UNHEARD, label="not judged")] if with_gaps else []
    below = ScaledTranslation(0, -LEGEND_BELOW / 72, ax.figure.dpi_scale_trans)
    ax.legend(
        handles=keys,
        ncols=len(keys),
        loc="upper left",
        bbox_to_anchor=(0.0, 0.0),
        bbox_transform=ax.transAxes + below,
        borderaxespad=0,
        borderpad=0,
        handlelength=0.9,
        handletextpad=0.4,
        columnspacing=1.0,
        fontsize=8,
    )
