"""Pictures of tables: how many clips there are, how good models are, how they err and learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, to_rgb
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from sercourse.plots.style import (
    ACCENT,
    GREY,
    INK,
    MAP,
    PALE,
    SERIES,
    palette,
)

Array = NDArray[Any]

_TITLES = {
    "accuracy": "accuracy [%]",
    "gain": "gain in accuracy [percentage points]; open: the interval includes 0",
}
_DIVISORS: dict[str, tuple[int | None, str]] = {
    "count": (None, "clips"),
    "recall": (1, "% of the row"),
    "precision": (0, "% of the column"),
}
_NARROWEST = 7.0  # [%]; a narrower bar has no room for its number


def clip_counts(clips: pd.DataFrame, *, by: str = "emotion", ax: Axes | None = None) -> Axes:
    """Draw the number of clips of each label as bars.

    Parameters
    ----------
    clips : pandas.DataFrame
        Clip table.
    by : str
        Its column of emotions.
    ax : Axes, optional
        Where to draw; a new figure unless given.

    Examples
    --------
    >>> clips = pd.DataFrame({"emotion": ["sad", "happy", "sad"]})
    >>> [text.get_text() for text in clip_counts(clips).texts]
    ['1', '2']
    """
    ax = ax or plt.subplots()[1]
    shades = palette(clips[by])
    counts = clips[by].value_counts()[list(shades)]
    bars = ax.bar(list(shades), counts, 0.8, color=list(shades.values()))
    ax.bar_label(bars, padding=1)
    ax.set(xlabel=by, ylabel="clips", ylim=(0, 1.1 * counts.max()))
    ax.tick_params(axis="x", rotation=90)
    return ax


def matrix(
    table: pd.DataFrame,
    *,
    limits: tuple[float, float] | None = None,
    cmap: Colormap | str = MAP,
    numbers: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw a table as a heat map, with each number written in its cell; grey where there is none.

    Parameters
    ----------
    table : pandas.DataFrame
        Numbers; index and columns name the rows and columns, their `name` the axes.
    limits : (float, float), optional
        Values at the ends of the colours; the lowest and the highest unless given.
    cmap : Colormap or str
    numbers : bool
        Whether numbers are written.
    ax : Axes, optional
        Where to draw; a new figure unless given. ``ax.images[-1]`` is for a colour bar.

    Examples
    --------
    >>> ax = matrix(pd.DataFrame({"happy": [50], "sad": [75]}, index=["svm"]))
    >>> [text.get_text() for text in ax.texts]
    ['50', '75']
    """
    ax = ax or plt.subplots()[1]
    values = table.to_numpy(dtype=float)
    image = ax.imshow(values, aspect="auto", cmap=cmap, clim=limits)
    for (row, column), value in np.ndenumerate(values):
        if numbers and np.isfinite(value):
            ink = _ink_on(image.to_rgba(value))
            text = ax.text(column, row, f"{value:.0f}", color=ink, size=7)
            text.set(ha="center", va="center_baseline")
    ax.set_facecolor(PALE)
    ax.set_xticks(range(table.shape[1]), [str(name) for name in table.columns], rotation=90)
    ax.set_yticks(range(table.shape[0]), [str(name) for name in table.index])
    ax.set(xlabel=table.columns.name or "", ylabel=table.index.name or "")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return ax


def confusion(
    counts: Array, *, emotions: Sequence[str], of: str = "count", ax: Axes | None = None
) -> Axes:
    """Draw a confusion matrix: true emotions in rows, the model's answers in columns.

    Parameters
    ----------
    counts : ndarray of int, shape (k, k)
        As `evaluate.confusion` counts.
    emotions : sequence of str, length k
        Names of rows and columns.
    of : {"count", "recall", "precision"}
        Clips; per cent of the row, where the diagonal is the recall; or per cent of the column,
        where it is the precision.
    ax : Axes, optional
        Where to draw; a new figure unless given.

    Examples
    --------
    >>> counts = np.array([[3, 1], [0, 4]])
    >>> ax = confusion(counts, emotions=["happy", "sad"], of="recall")
    >>> [text.get_text() for text in ax.texts]
    ['75', '25', '0', '100']
    """
    axis, unit = _DIVISORS[of]
    shown = np.asarray(counts, dtype=float)
    if axis is not None:
        # A class that never occurs has no recall, and one that is never named no precision.
        totals = shown.sum(axis=axis, keepdims=True)
        shown = 100 * np.divide(shown, totals, out=np.full_like(shown, np.nan), where=totals > 0)
    rows = pd.Index(emotions, name="truth")
    table = pd.DataFrame(shown, index=rows, columns=pd.Index(emotions, name="answer"))
    ax = matrix(table, limits=(0, float(np.nanmax(shown)) or 1.0), ax=ax)
    ax.set(title=f"{of} [{unit}]", aspect="equal")
    return ax


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
            text = ax.annotate(form.format(each), (right, height), (5, 0), size=8, va="center")
            text.anncoords = "offset points"
    if any("chance" in table for table in series.values()):
        ax.plot([], [], "|", color=GREY, label="chance")
    for style, (name, share) in zip(("--", ":"), (marks or {}).items(), strict=False):
        ax.axvline(100 * share, color=INK, linestyle=style, lw=1, label=name, zorder=0)
    ax.axvline(0, color=INK, lw=0.9, zorder=0)
    ax.margins(x=0.1)
    if of != "gain":
        ax.set_xlim(left=0)
    ax.set_yticks(range(len(names)), names)
    ax.set(xlabel=_TITLES[of], ylim=(len(names) - 0.5, -0.5))
    ax.grid(axis="x")
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    if len(ax.get_legend_handles_labels()[1]) > 1:
        ax.legend(ncols=4, loc="lower left", bbox_to_anchor=(0, 1))
    return ax


def emotion_shares(
    rows: Mapping[str, Mapping[str, float]], *, label: str = "share [%]", ax: Axes | None = None
) -> Axes:
    """Draw a bar of full length in each row, divided among the emotions.

    Parameters
    ----------
    rows : mapping from str to mapping from emotion to share
        Shares or counts from 0; each row is scaled to a sum of 100 %.
    label : str
        What the shares are, with their unit.
    ax : Axes, optional
        Where to draw; a new figure unless given.

    Examples
    --------
    >>> ax = emotion_shares({"one": {"happy": 1, "sad": 3}, "two": {"sad": 0.5, "angry": 0.5}})
    >>> [text.get_text() for text in ax.texts if text.get_text()]
    ['25', '75', '50', '50']
    """
    ax = ax or plt.subplots()[1]
    table = pd.DataFrame({name: dict(shares) for name, shares in rows.items()}).T.fillna(0)
    percent = 100 * table.div(table.sum(axis=1), axis=0)
    left = np.zeros(len(table))
    for emotion, colour in palette(table.columns).items():
        bars = ax.barh(percent.index, percent[emotion], left=left, color=colour, label=emotion)
        written = [f"{each:.0f}" if each >= _NARROWEST else "" for each in percent[emotion]]
        ax.bar_label(bars, written, label_type="center", color=_ink_on(to_rgb(colour)), size=8)
        left += percent[emotion].to_numpy()
    ax.set(xlabel=label, xlim=(0, 100), ylim=(len(table) - 0.5, -0.5))
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    ax.legend(ncols=9, loc="lower left", bbox_to_anchor=(0, 1))
    return ax


def trade_off(table: pd.DataFrame, *, price: str, label: str, ax: Axes | None = None) -> Axes:
    """Draw the accuracy of models over their price; those on the Pareto front are named.

    Parameters
    ----------
    table : pandas.DataFrame
        A row for each model, named by the index; the columns `accuracy` (shares) and `price`
        (positive, on a log x-axis).
    price : str
        Name of the column.
    label : str
        What the price is, with its unit.
    ax : Axes, optional
        Where to draw; a new figure unless given.

    Examples
    --------
    >>> rows = {"knn": (10, 0.3), "svm": (100, 0.6), "cnn": (1000, 0.5)}
    >>> models = pd.DataFrame(rows, index=["ms", "accuracy"]).T
    >>> [text.get_text() for text in trade_off(models, price="ms", label="time [ms]").texts]
    ['knn', 'svm']
    """
    ax = ax or plt.subplots()[1]
    table = table[[price, "accuracy"]].astype(float)
    ordered = table.sort_values([price, "accuracy"], ascending=[True, False])
    best_before = ordered["accuracy"].cummax().shift(fill_value=-1)
    front = ordered[ordered["accuracy"] > best_before]
    ax.scatter(table[price], 100 * table["accuracy"], s=22, color=GREY, label="another is better")
    x, y = front[price].to_numpy(), 100 * front["accuracy"].to_numpy()
    ax.plot(x, y, "D-", color=ACCENT, drawstyle="steps-post", label="nothing cheaper is better")
    for place, name in enumerate(front.index):  # to the upper left and the lower right in turn
        offset, side = ((-5, 4), "right") if place % 2 == 0 else ((5, -10), "left")
        text = ax.annotate(str(name), (x[place], y[place]), offset, size=8, ha=side)
        text.anncoords = "offset points"
    ax.set(xscale="log", xlabel=label, ylabel="accuracy [%]")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.margins(x=0.15, y=0.1)
    ax.grid()
    ax.legend(ncols=2, loc="lower left", bbox_to_anchor=(0, 1))
    return ax


def learning_curves(
    curves: Mapping[str, Sequence[float]], *, label: str = "loss", ax: Axes | None = None
) -> Axes:
    """Draw one value for each epoch of a training, for one or more groups of clips.

    Parameters
    ----------
    curves : mapping from str to sequence of float
        The name of each curve and its values; the first one belongs to epoch 1.
    label : str
        What the values are, with their unit.
    ax : Axes, optional
        Where to draw; a new figure unless given.

    Examples
    --------
    >>> ax = learning_curves({"training": [2.0, 1.5]})
    >>> ax.get_xlabel(), ax.lines[0].get_xdata().tolist()
    ('epoch', [1, 2])
    """
    ax = ax or plt.subplots()[1]
    looks = zip(curves.items(), SERIES["color"], SERIES["marker"], strict=False)
    for (name, values), colour, marker in looks:
        epochs = np.arange(1, len(values) + 1)
        ax.plot(epochs, values, color=colour, marker=marker, ms=3, label=name)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="epoch", ylabel=label)
    ax.legend()
    return ax


def _ink_on(colour: Sequence[float] | Array) -> str:
    """Return white for dark colours and black for light ones (luminance of ITU-R BT.709)."""
    return "white" if np.dot(colour[:3], (0.2126, 0.7152, 0.0722)) < 0.55 else "black"
