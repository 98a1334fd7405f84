"""Pictures of many models side by side: who is ahead, how surely, where, and at what price."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from sercourse.plots.placing import label_dots
from sercourse.plots.style import GREY, INK, MAP, PALE, axes_or_new

Array = NDArray[Any]

NEW, KNOWN = INK, "#b0763a"
FRONT = "#d0451b"
MOST_NUMBERS = 15  # rows of a square map whose cells have room for numbers
WIDE_DECADES = 2  # from here on powers of ten are enough


def ranking(
    table: pd.DataFrame,
    *,
    chance: float,
    marks: Mapping[str, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the accuracy of models in rows, each with its interval, and a note beside it.

    Parameters
    ----------
    table : pandas.DataFrame
        A row for each model, named by the index, from top to bottom; the columns `accuracy`, `low`
        and `high` are shares. Optional: `note` (str), which is written beside the number, and
        `complete` (bool), without which a dot is hollow.
    chance : float
        Share, drawn as a dashed line.
    marks : mapping from str to float, optional
        Other shares to compare with, drawn as dotted lines with their names.
    ax : Axes, optional
        Where to draw; a new figure unless given.

    Examples
    --------
    >>> one = pd.DataFrame({"accuracy": [0.6], "low": [0.5], "high": [0.7]}, index=["svm"])
    >>> ax = ranking(one, chance=0.125, marks={"people": 0.67})
    >>> [text.get_text() for text in ax.texts]
    ['60.0', 'chance', 'people']
    """
    ax = axes_or_new(ax)
    for height, (_, row) in enumerate(table.iterrows()):
        accuracy, low, high = (100 * float(row[name]) for name in ("accuracy", "low", "high"))
        whole = bool(row.get("complete", True))
        shade = INK if whole else GREY
        ax.hlines(height, low, high, color=shade, lw=1.6)
        ax.plot(accuracy, height, "o", color=shade, ms=6, mfc=shade if whole else "white")
        text = f"{accuracy:.1f}  {row.get('note', '')}".rstrip()
        _beside(ax, height, text, colour=shade)
    lines = {"chance": (chance, "--", GREY)}
    lines |= {name: (share, ":", INK) for name, share in (marks or {}).items()}
    for name, (share, style, shade) in lines.items():
        ax.axvline(100 * share, color=shade, linestyle=style, lw=1, zorder=0)
        across = ax.get_xaxis_transform()
        ax.text(100 * share, 1.005, name, transform=across, size=8, color=INK, ha="center")
    _rows(ax, table.index)
    ax.set(xlabel="accuracy [%]")
    ax.set_xlim(left=0)
    return ax


def two_questions(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw how models answer an easier and a harder question, joined by what lies between.

    Parameters
    ----------
    table : pandas.DataFrame
        A row for each model, named by the index, from top to bottom, and two columns of shares,
        whose names go into the legend: the easier question and the harder one.
    ax : Axes, optional
        Where to draw; a new figure unless given.

    Raises
    ------
    ValueError
        If the columns are not two.

    Examples
    --------
    >>> both = pd.DataFrame({"known voices": [0.8], "new voices": [0.65]}, index=["svm"])
    >>> [text.get_text() for text in two_questions(both).texts]
    ['-15.0']
    """
    if len(table.columns) != 2:
        raise ValueError(f"the table has {len(table.columns)} columns: give those of two questions")
    ax = axes_or_new(ax)
    easier, harder = 100 * table.to_numpy(dtype=float).T
    heights = np.arange(len(table))
    ax.hlines(heights, easier, harder, color=GREY, lw=1.4, zorder=1)
    for name, values, shade in zip(table.columns, (easier, harder), (KNOWN, NEW), strict=True):
        ax.scatter(values, heights, s=34, color=shade, label=str(name), zorder=2)
    for height, change in enumerate(harder - easier):
        _beside(ax, height, f"{change:+.1f}", colour=INK)
    _rows(ax, table.index)
    ax.set(xlabel="accuracy [%]")
    ax.legend(ncols=2, loc="lower left", bbox_to_anchor=(0, 1))
    return ax


def pair_gains(gains: Array, *, clear: Array, names: Sequence[str], ax: Axes | None = None) -> Axes:
    """Draw by how many points each model is ahead of those below it; pale where it may be luck.

    Parameters
    ----------
    gains : ndarray, shape (n, n)
        By which share the model of the column is ahead of that of the row; models from the best to
        the worst, so that what lies below the diagonal is drawn.
    clear : ndarray of bool, shape (n, n)
        Whether the two are told apart.
    names : sequence of str, length n
    ax : Axes, optional
        Where to draw; a new figure unless given. Its last image is the map, for a colour bar.

    Examples
    --------
    >>> lead, sure = np.array([[0, -0.1], [0.1, 0]]), np.ones((2, 2), dtype=bool)
    >>> [text.get_text() for text in pair_gains(lead, clear=sure, names=["svm", "knn"]).texts]
    ['10']
    """
    ax = axes_or_new(ax)
    n = len(names)
    below = np.tril(np.ones((n, n), dtype=bool), k=-1)
    percent = 100 * np.asarray(gains, dtype=float)
    told = below & np.asarray(clear, dtype=bool)
    highest = float(percent[below].max(initial=1.0))
    ground = np.where((below & ~told)[..., np.newaxis], 1.0, np.nan)
    ax.imshow(ground[..., 0], cmap=ListedColormap([PALE]))
    ax.imshow(np.where(told, percent, np.nan), cmap=MAP, vmin=0, vmax=highest)
    if n <= MOST_NUMBERS:
        for row, column in np.argwhere(below).tolist():
            dark = told[row, column] and percent[row, column] > 0.5 * highest
            text = ax.text(column, row, f"{percent[row, column]:.0f}", size=7)
            text.set(ha="center", va="center_baseline", color="white" if dark else INK)
    ax.set_xticks(range(n - 1), names[:-1], rotation=90)
    ax.set_yticks(range(1, n), names[1:])
    ax.set(xlabel="is ahead ...", ylabel="... of", xlim=(-0.5, n - 1.5), ylim=(n - 0.5, 0.5))
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return ax


def trade_off(price: pd.Series, *, accuracy: pd.Series, label: str, ax: Axes | None = None) -> Axes:
    """Draw the accuracy of models over their price, and join those that nothing cheaper beats.

    Parameters
    ----------
    price, accuracy : pandas.Series
        Of each model, named by the index; prices are positive, accuracies are shares.
    label : str
        What the price is, with its unit.
    ax : Axes, optional
        Where to draw; a new figure unless given.

    Examples
    --------
    >>> price = pd.Series({"knn": 10.0, "svm": 100.0, "cnn": 1000.0})
    >>> ax = trade_off(price, accuracy=pd.Series({"knn": 0.3, "svm": 0.6, "cnn": 0.5}), label="ms")
    >>> [text.get_text() for text in ax.texts], ax.lines[0].get_ydata().tolist()
    (['svm', 'cnn', 'knn'], [30.0, 30.0, 60.0])
    """
    ax = axes_or_new(ax)
    ordered = accuracy.sort_values(ascending=False, kind="stable")
    x, y = price[ordered.index].to_numpy(dtype=float), 100 * ordered.to_numpy(dtype=float)
    ahead = pareto_front(x, y)
    steps = np.argsort(x[ahead], kind="stable")
    _money(ax, x)
    corners = np.repeat(np.column_stack([x, y])[ahead][steps], 2, axis=0)
    front = np.column_stack([corners[1:, 0], corners[:-1, 1]])  # to the right, then up
    ax.plot(*front.T, color=FRONT, lw=1, alpha=0.7)
    ax.scatter(x, y, s=22, color=[FRONT if each else INK for each in ahead], zorder=3)
    ax.set(xlabel=label, ylabel="accuracy [%]")
    ax.margins(x=0.12, y=0.1)
    ax.grid()
    label_dots(ax, x, y, [str(name) for name in ordered.index], line=front)
    return ax


def _money(ax: Axes, x: Array) -> None:
    """Let prices grow by factors to the right, told as plain numbers."""
    few = np.ptp(np.log10(x)) < WIDE_DECADES
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())


def pareto_front(price: Array, value: Array) -> NDArray[np.bool_]:
    """Return which models none beats in price or value that is not worse in the other.

    Examples
    --------
    >>> pareto_front(np.array([1, 2, 2]), np.array([0.5, 0.5, 0.6]))
    array([ True, False,  True])
    """
    price, value = np.asarray(price), np.asarray(value)
    cheaper = price[:, np.newaxis] <= price
    better = value[:, np.newaxis] >= value
    really = (price[:, np.newaxis] < price) | (value[:, np.newaxis] > value)
    beats: NDArray[np.bool_] = cheaper & better & really
    return ~np.logical_or.reduce(beats, axis=0)


def recall_map(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw how many clips of each emotion each model finds [%].

    Parameters
    ----------
    table : pandas.DataFrame
        A row for each model and a column for each emotion; shares.
    ax : Axes, optional
        Where to draw; a new figure unless given.

    Examples
    --------
    >>> ax = recall_map(pd.DataFrame({"happy": [0.5], "sad": [0.75]}, index=["svm"]))
    >>> [text.get_text() for text in ax.texts]
    ['50', '75']
    """
    ax = axes_or_new(ax)
    percent = 100 * table.to_numpy(dtype=float)
    ax.imshow(percent, cmap=MAP, vmin=0, vmax=100, aspect="auto")
    for (row, column), value in np.ndenumerate(percent):
        text = ax.text(column, row, f"{value:.0f}", size=7, color="white" if value > 50 else INK)
        text.set(ha="center", va="center_baseline")
    ax.set_xticks(range(len(table.columns)), [str(name) for name in table.columns])
    ax.set_yticks(range(len(table)), [str(name) for name in table.index])
    ax.tick_params(length=0, top=False, labeltop=True, labelbottom=False)
    ax.spines[:].set_visible(False)
    return ax


def _rows(ax: Axes, names: pd.Index) -> None:
    """Name the rows of a picture, the first at the top."""
    ax.set_yticks(range(len(names)), [str(name) for name in names])
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.grid(axis="x")
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)


def _beside(ax: Axes, height: float, text: str, *, colour: str) -> None:
    """Write a text to the right of a row."""
    along = ax.get_yaxis_transform()
    ax.text(1.01, height, text, transform=along, size=8, va="center", color=colour)
