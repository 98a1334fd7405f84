"""Pictures of many models side by side: who is ahead, how surely, where, and at what price."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.text import Annotation
from numpy.typing import NDArray

from sercourse.plots.style import INK, axes_or_new

Array = NDArray[Any]

GREY, PALE = "#9aa1a9", "#e6e9ec"
NEW, KNOWN = INK, "#b0763a"
FRONT = "#d0451b"
MAP = plt.get_cmap("YlGnBu", 12)  # few colours, so that a compact picture keeps them
MOST_NUMBERS = 15  # rows of a square map whose cells have room for numbers
DOT_PIXELS = 5.0
RADII = (7, 12, 18, 26, 36, 48, 62, 80, 100)  # where a label may stand around its dot [pixels]
DIRECTIONS = np.linspace(0, 2 * np.pi, 16, endpoint=False)
LEADER_PIXELS = 15  # a label that stands farther away is joined to its dot


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
        where = {"xycoords": ax.get_xaxis_transform(), "ha": "center", "va": "bottom"}
        ax.annotate(name, (100 * share, 1.005), size=8, color=INK, **where)
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
    for height, change in zip(heights, harder - easier, strict=True):
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
    ahead = not_beaten(x, y)
    steps = np.argsort(x[ahead], kind="stable")
    ax.set_xscale("log")
    corners = np.repeat(np.column_stack([x, y])[ahead][steps], 2, axis=0)
    front = np.column_stack([corners[1:, 0], corners[:-1, 1]])  # to the right, then up
    ax.plot(*front.T, color=FRONT, lw=1, alpha=0.7)
    ax.scatter(x, y, s=22, color=[FRONT if each else INK for each in ahead], zorder=3)
    ax.set(xlabel=label, ylabel="accuracy [%]")
    ax.margins(x=0.12, y=0.1)
    ax.grid()
    _label_dots(ax, x, y, [str(name) for name in ordered.index], line=front)
    return ax


def not_beaten(price: Array, value: Array) -> NDArray[np.bool_]:
    """Return which models none beats in price or value that is not worse in the other.

    Examples
    --------
    >>> not_beaten(np.array([1, 2, 2]), np.array([0.5, 0.5, 0.6]))
    array([ True, False,  True])
    """
    price, value = np.asarray(price), np.asarray(value)
    cheaper = price[:, np.newaxis] <= price
    better = value[:, np.newaxis] >= value
    really = (price[:, np.newaxis] < price) | (value[:, np.newaxis] > value)
    beaten: NDArray[np.bool_] = (cheaper & better & really).any(axis=0)
    return ~beaten


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
    where = {"xycoords": ax.get_yaxis_transform(), "va": "center", "color": colour}
    ax.annotate(text, (1.01, height), size=8, annotation_clip=False, **where)


def _label_dots(ax: Axes, x: Array, y: Array, names: Sequence[str], *, line: Array) -> None:
    """Write names beside dots so that none covers another one, a dot or the line."""
    ax.figure.draw_without_rendering()  # type: ignore[union-attr]  # now places are final
    dots = ax.transData.transform(np.column_stack([x, y]))
    boxes = [np.column_stack([dots - DOT_PIXELS, dots + DOT_PIXELS])]  # left, low, right, top
    ends = ax.transData.transform(line)
    pieces = np.stack([ends[:-1], ends[1:]])
    boxes.append(np.column_stack([pieces.min(axis=0), pieces.max(axis=0)]))
    taken = np.vstack(boxes)
    inside = np.array(ax.get_window_extent().extents)
    for dot, place, name in zip(dots, np.column_stack([x, y]), names, strict=True):
        text = ax.annotate(name, tuple(place), (0, 0), textcoords="offset points", size=7)
        text.set(ha="center", va="center_baseline", color=INK, in_layout=False)
        box, offset = _free_box(text, dot, taken, inside)
        taken = np.vstack([taken, box])
        text.xyann = tuple(offset * 72 / ax.figure.dpi)
        if np.hypot(*_gap(dot, box)) > LEADER_PIXELS:
            thin = {"arrowstyle": "-", "color": GREY, "lw": 0.5, "shrinkA": 0, "shrinkB": 3}
            joined = {"xytext": text.xyann, "textcoords": "offset points", "arrowprops": thin}
            ax.annotate("", tuple(place), zorder=1, **joined).set_in_layout(False)


def _free_box(
    text: Annotation, dot: Array, taken: Array, inside: Array
) -> tuple[Array, NDArray[np.float64]]:
    """Return a box [pixels] for a text near its dot that is free, and how far its centre is off.

    The nearest one is taken, the one to the right first; where all are taken, the farthest.
    """
    extent = text.get_window_extent()
    half = np.array([extent.width, extent.height]) / 2
    for radius in RADII:
        for angle in DIRECTIONS:
            offset = np.array([np.cos(angle), np.sin(angle)]) * (radius + half)
            box = np.concatenate([dot + offset - half, dot + offset + half])
            within = (box[:2] >= inside[:2]).all() and (box[2:] <= inside[2:]).all()
            apart = (box[2:] < taken[:, :2]).any(axis=1) | (box[:2] > taken[:, 2:]).any(axis=1)
            if within and apart.all():
                return box, offset
    return box, offset


def _gap(dot: Array, box: Array) -> Array:
    """Return how far a dot is from a box, along both axes."""
    gap: Array = np.maximum(0, np.maximum(box[:2] - dot, dot - box[2:]))
    return gap
