"""Pictures of networks: how they learn, what they look at, and what each step is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm
from numpy.typing import NDArray

from sercourse.plots.style import GREY, INK, SHADES, axes_or_new

Array = NDArray[Any]

BETTER, WORSE = "#5d8a94", "#b0763a"
HALF_THE_COLOURS = 5  # few, so that a compact picture keeps them
MOST_TICKS = 10


def learning_curves(
    curves: Mapping[str, Sequence[float]],
    *,
    marks: Mapping[str, int] | None = None,
    label: str = "loss",
    ax: Axes | None = None,
) -> Axes:
    """Draw one value for each epoch, for one or more groups of clips.

    Parameters
    ----------
    curves : mapping from str to sequence of float
        The name of each curve and its values; the first one belongs to epoch 1.
    marks : mapping from str to int, optional
        Epochs to point out, with a dotted line and its name.
    label : str
        What the values are, with their unit.
    ax : Axes, optional
        Where to draw; a new figure unless given.

    Raises
    ------
    ValueError
        If there is no epoch.

    Examples
    --------
    >>> ax = learning_curves({"training": [2.0, 1.5]}, marks={"lowest": 2})
    >>> ax.get_xlabel(), [text.get_text() for text in ax.texts]
    ('epoch', ['lowest'])
    """
    longest = max((len(values) for values in curves.values()), default=0)
    if not longest:
        raise ValueError("there is no epoch to draw: give the history of a training")
    ax = axes_or_new(ax)
    for (name, values), shade in zip(curves.items(), SHADES, strict=False):
        epochs = np.arange(1, len(values) + 1)
        ax.plot(epochs, values, color=shade, label=name, marker="o", markersize=3)
    for height, (name, epoch) in enumerate((marks or {}).items()):
        ax.axvline(epoch, color=INK, linestyle=":", lw=0.9)
        place = (epoch, 0.03 + 0.11 * height)
        text = ax.annotate(name, place, (3, 0), xycoords=("data", "axes fraction"))
        text.set(size=8, color=INK)
        text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1})  # over other lines
        if epoch > 0.7 * longest:  # to the left of its line, where there is room
            text.set(ha="right")
            text.xyann = (-3, 0)
        text.anncoords = "offset points"
    step = -(-longest // MOST_TICKS)
    ax.set_xticks(range(step, longest + 1, step))
    ax.set(xlabel="epoch", ylabel=label, xlim=(0.5, longest + 0.5))
    ax.legend(loc="best", fontsize=8, handlelength=1.2)
    return ax


def occlusion(
    drop: Array, *, level: Array, seconds: float, bands_hz: Array, ax: Axes | None = None
) -> Axes:
    """Draw over a spectrogram how much a hidden patch takes from the probability of an answer.

    Parameters
    ----------
    drop : ndarray, shape (n_times, n_bands)
        Probability with the whole picture minus that with the patch hidden [percentage points];
        cells lie side by side over the whole picture.
    level : ndarray, shape (n_frames, n_bands)
        The spectrogram [dB].
    seconds : float
        Its length.
    bands_hz : ndarray, shape (n_bands,)
        Centre of each of its bands [Hz], ascending.
    ax : Axes, optional
        Where to draw; a new figure unless given.

    Returns
    -------
    Axes
        Its last image is the map, for a colour bar.
    """
    ax = axes_or_new(ax)
    picture: dict[str, Any] = {
        "origin": "lower",
        "aspect": "auto",
        "extent": (0, seconds, 0, level.shape[1]),
    }
    ax.imshow(level.T, cmap=plt.get_cmap("Greys", 14), interpolation="nearest", **picture)
    step = _round_step(float(np.abs(drop).max()) / HALF_THE_COLOURS)
    edges = step * np.arange(-HALF_THE_COLOURS, HALF_THE_COLOURS + 1)
    colours = plt.get_cmap("RdBu_r", 2 * HALF_THE_COLOURS)
    norm = BoundaryNorm(edges, colours.N)
    # Where nothing was lost the spectrogram is seen, and not the pale middle of the colours.
    alpha = np.where(np.abs(drop) < step / 2, 0.0, 0.65)
    ax.imshow(drop.T, cmap=colours, norm=norm, alpha=alpha.T, interpolation="nearest", **picture)
    kilohertz = np.asarray(bands_hz) / 1000
    shown = [tick for tick in (0.5, 1, 2, 4) if kilohertz[0] <= tick <= kilohertz[-1]]
    rows = np.interp(shown, kilohertz, np.arange(len(kilohertz)) + 0.5)
    ax.set_yticks(rows, [f"{tick:g}" for tick in shown])
    ax.set(xlabel="time [s]", ylabel="frequency [kHz]")
    return ax


def gains(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw what each step of a ladder gained, with its interval; on the line is nothing.

    Parameters
    ----------
    table : pandas.DataFrame
        A row for each step, named by the index; the columns `gain`, `low` and `high` are shares.
    ax : Axes, optional
        Where to draw; a new figure unless given.

    Examples
    --------
    >>> steps = pd.DataFrame({"gain": [0.04], "low": [0.01], "high": [0.07]}, index=["LSTM"])
    >>> [text.get_text() for text in gains(steps).texts]
    ['+4.0']
    """
    ax = axes_or_new(ax)
    percent = 100 * table[["gain", "low", "high"]].to_numpy(dtype=float)
    for row, (gain, low, high) in enumerate(percent):
        clear = BETTER if low > 0 else WORSE if high < 0 else GREY
        ax.hlines(row, low, high, color=clear, lw=5, alpha=0.6)
        ax.plot(gain, row, "o", color=INK, markersize=6, markeredgecolor="white")
        ax.annotate(f"{gain:+.1f}", (high, row), (5, 0), textcoords="offset points", va="center")
    ax.axvline(0, color=INK, lw=0.9)
    ax.set_yticks(range(len(table)), [str(name) for name in table.index])
    ax.set(xlabel="gain in accuracy [percentage points]", ylim=(len(table) - 0.5, -0.5))
    ax.margins(x=0.12)
    ax.grid(axis="x")
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    return ax


def ablation(
    series: Mapping[str, pd.DataFrame],
    *,
    repeats: Mapping[str, Mapping[str, Sequence[float]]] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw what each change gained over the same model without it, in one or more settings.

    A full dot is a gain whose interval leaves out zero; an open one may be nothing.

    Parameters
    ----------
    series : mapping from str to pandas.DataFrame
        For each setting, such as a protocol, a row for each change, named by the index; the columns
        `gain`, `low` and `high` are shares.
    repeats : mapping from str to mapping from str to sequence of float, optional
        For settings and changes the gains of single trainings [shares]: small ticks on the line.
    ax : Axes, optional
        Where to draw; a new figure unless given.

    Examples
    --------
    >>> table = pd.DataFrame({"gain": [0.04], "low": [0.01], "high": [0.07]}, index=["noise"])
    >>> ax = ablation({"new voices": table})
    >>> [tick.get_text() for tick in ax.get_yticklabels()], ax.get_legend().texts[0].get_text()
    (['noise'], 'new voices')
    """
    ax = axes_or_new(ax)
    names = list(dict.fromkeys(str(name) for table in series.values() for name in table.index))
    step = 0.5 / max(1, len(series))
    for number, ((title, table), shade) in enumerate(zip(series.items(), SHADES[1:], strict=False)):
        shift = (number - (len(series) - 1) / 2) * step
        for name, row in table.iterrows():
            height = names.index(str(name)) + shift
            ticks = (repeats or {}).get(title, {}).get(str(name), ())
            _draw_gain(ax, row, y=height, colour=shade, ticks=ticks)
        ax.plot([], [], color=shade, marker="o", markersize=5, label=title)
    ax.axvline(0, color=INK, lw=0.9, zorder=0)
    ax.set_yticks(range(len(names)), names)
    ax.set(xlabel="gain in accuracy [percentage points]", ylim=(len(names) - 0.5, -0.5))
    ax.grid(axis="x")
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    ax.legend(ncols=3, loc="lower left", bbox_to_anchor=(0, 1))
    return ax


def _draw_gain(
    ax: Axes, row: Mapping[str, float] | pd.Series, *, y: float, colour: str, ticks: Sequence[float]
) -> None:
    gain, low, high = (100 * float(row[name]) for name in ("gain", "low", "high"))
    ax.hlines(y, low, high, color=colour, lw=1.6)
    if len(ticks):
        ax.plot(100 * np.asarray(ticks), np.full(len(ticks), y), "|", color=colour, markersize=7)
    clear = low > 0 or high < 0
    ax.plot(gain, y, "o", color=colour, markersize=6, markerfacecolor=colour if clear else "white")


def _round_step(value: float) -> float:
    """Return the smallest of 1, 2 and 5 times a power of ten that is not below a value."""
    if value <= 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(value))
    return float(power * next(each for each in (1, 2, 5, 10) if each * power >= value * 0.999))
