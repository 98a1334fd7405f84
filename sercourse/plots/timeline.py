"""Picture of the emotions along a recording."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from sercourse.labels import in_order
from sercourse.plots.signals import envelope
from sercourse.plots.style import palette

Array = NDArray[Any]

NOT_JUDGED = "#c9ced4"
"""Colour of the waveform where there is no answer."""

_SECONDS = 120.0  # ticks of a longer recording are minutes and seconds


def emotions_over_time(
    table: pd.DataFrame, *, y: Array | None = None, sr: int = 0, ax: Axes | None = None
) -> Axes:
    """Draw the probabilities of the emotions along a recording, stacked, with gaps in its pauses.

    Each moment shows the window whose middle is nearest. The waveform above has the colour of the
    most probable emotion, and is pale where there is no answer. Its height is the square root of
    the amplitude, so that a calm voice is seen beside a shout.

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
    names = [str(name)[2:] for name in table.columns if str(name).startswith("p_")]
    if not names or not len(table):
        raise ValueError(
            f"a table with {len(table)} rows and the columns {', '.join(map(str, table.columns))} "
            "has no emotions over time: make it with Bundle.predict_over_time(...).table()"
        )
    labels = in_order(names)
    ax = plt.subplots(figsize=(7.0, 3.4))[1] if ax is None else ax
    edges, p = _cells(table, labels=labels)
    below = np.zeros(len(p))
    for colour, share in zip(palette(labels).values(), 100 * p.T, strict=True):
        ax.stairs(below + share, edges, baseline=below, fill=True, color=colour, label=None)
        below = below + share
    winners = [labels[int(np.argmax(row))] if np.isfinite(row).all() else "" for row in p]
    end = edges[-1] if y is None else len(y) / sr
    ax.set(xlim=(0 if y is not None else edges[0], end), ylim=(0, 100), ylabel="probability [%]")
    unit = "s"
    if end > _SECONDS:
        unit = "min:s"
        ax.xaxis.set_major_locator(MaxNLocator(steps=[1.5, 3, 6, 10]))
        clock = FuncFormatter(lambda second, _: f"{int(second // 60)}:{int(second % 60):02d}")
        ax.xaxis.set_major_formatter(clock)
    window = (table["end"] - table["start"]).max()
    ax.set_xlabel(f"time [{unit}], the middle of a window of {window:.3g} s")
    shades = {**palette(labels), "": NOT_JUDGED}
    top = ax if y is None else ax.inset_axes((0, 1.05, 1, 0.4), sharex=ax)
    if y is not None:
        low, high, step = envelope(np.sign(y) * np.sqrt(np.abs(y)))
        times = (np.arange(len(low)) + 0.5) * step / sr
        cell = np.searchsorted(edges, times, side="right")  # 0 and the last lie outside
        of = ["", *winners, ""]
        top.vlines(times, low, high, colors=[shades[of[k]] for k in cell], linewidth=1.5)
        top.axis("off")
    _name_runs(top, edges, winners)
    shown = labels if y is None or "" not in winners else [*labels, ""]
    keys = [plt.Rectangle((0, 0), 1, 1, color=shades[name]) for name in shown]
    ax.legend(
        keys,
        [name or "not judged" for name in shown],
        ncols=len(keys),
        loc="upper left",
        bbox_to_anchor=(0, -0.2),
    )
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


def _name_runs(ax: Axes, edges: Array, winners: Sequence[str]) -> None:
    """Write the most probable emotion above each run of cells that is as wide as its name."""
    letter = 0.012 * np.ptp(ax.get_xlim())
    for name, run in groupby(range(len(winners)), key=winners.__getitem__):
        cells = list(run)
        first, last = edges[cells[0]], edges[cells[-1] + 1]
        if name and last - first > letter * len(name):
            text = ax.text((first + last) / 2, 1.0, name, size=8, ha="center", va="bottom")
            text.set_transform(ax.get_xaxis_transform())
