"""Pictures of results: who is on which side of a split, how good a model is, and how it errs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from sercourse.labels import in_order
from sercourse.plots.style import (
    GREY,
    INK,
    MAP,
    PALE,
    SHADES,
    axes_or_new,
    colours,
    palette,
    speaker_name,
)

if TYPE_CHECKING:
    from sercourse.splits import Fold

Array = NDArray[Any]

CONFIDENCE = 1.96  # standard deviations to either side of a 95 % interval

_DIVISORS: dict[str, tuple[int | None, str]] = {
    "count": (None, "clips"),
    "recall": (1, "% of the row"),
    "precision": (0, "% of the column"),
}


def fold_map(folds: Sequence[Fold], *, clips: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw every clip in every fold: pale in training, black if set aside, else in its colour.

    Clips stand side by side by speaker, and within a speaker by emotion. So a split by speaker
    shows whole blocks in colour, and a split by recording a few stripes of everybody.

    Parameters
    ----------
    folds : sequence of splits.Fold
        A row for each.
    clips : pandas.DataFrame
        The clip table that the folds divide, with the columns `speaker` and `emotion`.
    ax : Axes, optional
        Where to draw; a new figure unless given.
    """
    ax = axes_or_new(ax)
    names = in_order(clips["emotion"])
    place = clips["emotion"].map({name: k for k, name in enumerate(names)}).astype(int)
    order = np.lexsort([place.to_numpy(), clips["speaker"].to_numpy(dtype=str)])
    shades = np.array([to_rgb(colour) for colour in colours(names)])[place.to_numpy()]
    for row, fold in enumerate(folds):
        tiles = np.tile(to_rgb(PALE), (len(clips), 1))
        tiles[fold.test] = shades[fold.test]
        tiles[fold.enrol] = to_rgb("black")
        extent = (0, len(clips), row + 0.4, row - 0.4)
        ax.imshow(tiles[order][np.newaxis], extent=extent, aspect="auto", interpolation="nearest")
    _mark_speakers(ax, clips["speaker"].to_numpy(dtype=str)[order])
    ax.set(xlim=(0, len(clips)), ylim=(len(folds) - 0.5, -0.5), xlabel="speaker")
    ax.set_yticks(range(len(folds)), [fold.name for fold in folds])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    keys = [Patch(color=PALE, label="training")]
    keys += [Patch(color=colour, label=name) for name, colour in palette(names).items()]
    ax.legend(handles=keys, ncols=5, loc="lower left", bbox_to_anchor=(0, 1), handlelength=1)
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

    Raises
    ------
    ValueError
        If `of` is none of these.

    Examples
    --------
    >>> counts = np.array([[3, 1], [0, 4]])
    >>> ax = confusion(counts, emotions=["happy", "sad"], of="recall")
    >>> [text.get_text() for text in ax.texts]
    ['75', '25', '0', '100']
    """
    if of not in _DIVISORS:
        raise ValueError(f"a confusion matrix of {of!r}: use one of {', '.join(_DIVISORS)}")
    ax = axes_or_new(ax)
    axis, unit = _DIVISORS[of]
    shown = np.asarray(counts, dtype=float)
    if axis is not None:
        # A class that never occurs has no recall, and one that is never named no precision.
        totals = shown.sum(axis=axis, keepdims=True)
        shown = 100 * np.divide(shown, totals, out=np.full_like(shown, np.nan), where=totals > 0)
    ax.imshow(shown, cmap=MAP, vmin=0, vmax=float(np.nanmax(shown)) or 1.0)
    for (row, column), value in np.ndenumerate(shown):
        if np.isfinite(value):
            colour = "white" if value > 0.5 * np.nanmax(shown) else INK
            text = ax.text(column, row, f"{value:.0f}", color=colour, size=7)
            text.set(ha="center", va="center_baseline")
    ax.set_xticks(range(len(emotions)), emotions, rotation=90)
    ax.set_yticks(range(len(emotions)), emotions)
    ax.set(xlabel="answer", ylabel="truth", title=f"{of} [{unit}]")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return ax


def accuracies(
    series: Mapping[str, Mapping[str, Mapping[str, Any]]], *, ax: Axes | None = None
) -> Axes:
    """Draw accuracies in rows, each with its interval, and chance as a small bar.

    Parameters
    ----------
    series : mapping from str to mapping from str to metrics
        For each series, such as a recipe, the rows by name; metrics as `evaluate.summarize` gives
        them: `accuracy`, `chance`, and `accuracy_interval` (a thin line) or `accuracy_sd` (drawn
        to either side, thick).
    ax : Axes, optional
        Where to draw; a new figure unless given.

    Examples
    --------
    >>> one = {"accuracy": 0.5, "chance": 0.2, "accuracy_interval": [0.4, 0.6]}
    >>> ax = accuracies({"svm": {"new voices": one}})
    >>> ax.get_xlabel(), [tick.get_text() for tick in ax.get_yticklabels()]
    ('accuracy [%]', ['new voices'])
    """
    ax = axes_or_new(ax)
    names = list(dict.fromkeys(name for rows in series.values() for name in rows))
    step = 0.6 / max(1, len(series))
    keys: list[Line2D] = []
    for number, ((title, rows), shade) in enumerate(zip(series.items(), SHADES, strict=False)):
        shift = (number - (len(series) - 1) / 2) * step
        for name, metrics in rows.items():
            _draw_accuracy(ax, metrics, y=names.index(name) + shift, colour=shade)
        keys.append(Line2D([], [], color=shade, marker="o", markersize=5, label=title))
    keys.append(Line2D([], [], color=GREY, marker="|", linestyle="", label="chance"))
    ax.set_yticks(range(len(names)), names)
    ax.set(xlabel="accuracy [%]", xlim=(0, 100), ylim=(len(names) - 0.5, -0.5))
    ax.grid(axis="x")
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    ax.legend(handles=keys, ncols=4, loc="lower left", bbox_to_anchor=(0, 1))
    return ax


def speaker_accuracy(
    correct: Array, *, speakers: Array, genders: Array | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the accuracy of each speaker, from the worst to the best, with 95 % intervals.

    The interval is that of a share of so many clips (Wilson, 1927, doi:10.2307/2276774): how far
    the speaker's own figure could move by chance.

    Parameters
    ----------
    correct : ndarray of bool, shape (n,)
        Whether each clip was recognised.
    speakers : ndarray of str, shape (n,)
    genders : ndarray of str, shape (n,), optional
        Drawn as the form and shade of the dots.
    ax : Axes, optional
        Where to draw; a new figure unless given.

    Examples
    --------
    >>> right = np.array([True, False, True, True])
    >>> ax = speaker_accuracy(right, speakers=np.array(["x-1", "x-1", "x-2", "x-2"]))
    >>> [tick.get_text() for tick in ax.get_xticklabels()]
    ['1', '2']
    """
    ax = axes_or_new(ax)
    kind = np.full(len(correct), "") if genders is None else np.asarray(genders, dtype=str)
    of = pd.DataFrame({"right": correct, "speaker": np.asarray(speakers, dtype=str), "kind": kind})
    table = of.groupby("speaker").agg({"right": ["mean", "size"], "kind": "first"})
    table.columns = pd.Index(["share", "n", "kind"])
    table = table.sort_values(["share", "n"])
    x = np.arange(len(table))
    low, high = _wilson(table["share"].to_numpy(), table["n"].to_numpy())
    ax.vlines(x, 100 * low, 100 * high, color=GREY, lw=1)
    looks = zip(sorted(table["kind"].unique()), (PALE, INK, GREY), "os^", strict=False)
    for name, shade, marker in looks:
        inside = (table["kind"] == name).to_numpy()
        dots = ax.scatter(x[inside], 100 * table["share"][inside], s=28, marker=marker, zorder=3)
        dots.set(facecolor=shade, edgecolor=INK, linewidth=0.8, label=name, clip_on=False)
    overall = 100 * float(np.mean(correct))
    ax.axhline(overall, color=INK, lw=0.8, linestyle="--", label="all clips")
    ax.set_xticks(x, [speaker_name(str(name)) for name in table.index])
    ax.set(xlabel="speaker", ylabel="accuracy [%]", ylim=(0, 100))
    ax.legend(ncols=4, loc="lower left", bbox_to_anchor=(0, 1))
    return ax


def reliability(
    confidence: Array, *, correct: Array, n_bins: int = 15, ax: Axes | None = None
) -> Axes:
    """Draw how frequently the model is right where it is so sure; on the diagonal it is honest.

    The area of a dot is the number of clips; a line joins it to the diagonal.

    Parameters
    ----------
    confidence : ndarray, shape (n,)
        The probability of the model's answer to each clip.
    correct : ndarray of bool, shape (n,)
        Whether the answer is right.
    n_bins : int
        Bins of equal width.
    ax : Axes, optional
        Where to draw; a new figure unless given.

    References
    ----------
    DeGroot and Fienberg, "The comparison and evaluation of forecasters", 1983,
    doi:10.2307/2987588.
    """
    ax = axes_or_new(ax)
    confidence, correct = np.asarray(confidence), np.asarray(correct)
    bins = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    sizes = np.bincount(bins, minlength=n_bins)
    used = sizes > 0
    sure = 100 * np.bincount(bins, weights=confidence, minlength=n_bins)[used] / sizes[used]
    right = 100 * np.bincount(bins, weights=correct, minlength=n_bins)[used] / sizes[used]
    ax.plot([0, 100], [0, 100], color=GREY, lw=1)
    ax.vlines(sure, np.minimum(sure, right), np.maximum(sure, right), color=GREY, lw=1)
    ax.scatter(
        sure, right, s=400 * sizes[used] / sizes.max(), color=INK, alpha=0.85, lw=0, clip_on=False
    )
    ax.set(xlabel="how sure it is [%]", ylabel="how often it is right [%]", aspect="equal")
    ax.set(xlim=(0, 100), ylim=(0, 100))
    return ax


def score_grid(
    scores: Array,
    *,
    rows: Mapping[str, Sequence[float]],
    columns: Mapping[str, Sequence[float]],
    limits: tuple[float, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the scores of a search over two settings, the best in a frame.

    Parameters
    ----------
    scores : ndarray, shape (n_rows, n_columns)
        From 0 to 1.
    rows, columns : mapping of one name to its values
        The settings, such as ``{"C": [1, 3, 10]}``.
    limits : tuple of float, optional
        Scores at the ends of the colours, to compare pictures; the lowest and highest by default.
    ax : Axes, optional
        Where to draw; a new figure unless given.

    Examples
    --------
    >>> ax = score_grid(np.array([[0.5, 0.62]]), rows={"C": [1]}, columns={"gamma": [0.1, 1]})
    >>> ax.get_xlabel(), [text.get_text() for text in ax.texts]
    ('gamma', ['50', '62'])
    """
    ax = axes_or_new(ax)
    percent = 100 * np.asarray(scores, dtype=float)
    low, high = (percent.min(), percent.max()) if limits is None else 100 * np.array(limits)
    ax.imshow(percent, cmap=MAP, vmin=low, vmax=high, aspect="auto")
    for (row, column), value in np.ndenumerate(percent):
        colour = "white" if value > low + 0.5 * (high - low) else INK
        ax.text(column, row, f"{value:.0f}", color=colour, ha="center", va="center_baseline")
    best_row, best_column = np.unravel_index(np.argmax(percent), percent.shape)
    corners = np.array([[-0.5, 0.5, 0.5, -0.5, -0.5], [-0.5, -0.5, 0.5, 0.5, -0.5]]) * 0.96
    ax.plot(best_column + corners[0], best_row + corners[1], color="#d0451b", lw=2)
    (row_name, row_values), (column_name, column_values) = _only(rows), _only(columns)
    ax.set_xticks(range(len(column_values)), [f"{value:g}" for value in column_values])
    ax.set_yticks(range(len(row_values)), [f"{value:g}" for value in row_values])
    ax.set(xlabel=column_name, ylabel=row_name)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return ax


def _only(setting: Mapping[str, Sequence[float]]) -> tuple[str, Sequence[float]]:
    ((name, values),) = setting.items()
    return name, values


def _mark_speakers(ax: Axes, ordered: NDArray[np.str_]) -> None:
    """Draw a white line between the blocks of speakers, and their numbers below."""
    names, starts = np.unique(ordered, return_index=True)
    ends = np.append(starts[1:], len(ordered))
    for start in starts[1:]:
        ax.axvline(start, color="white", lw=1)
    labels = [speaker_name(str(name)) for name in names]
    ax.set_xticks((starts + ends) / 2, labels, fontsize=7 if len(names) > 12 else None)


def _draw_accuracy(ax: Axes, metrics: Mapping[str, Any], *, y: float, colour: str) -> None:
    accuracy, spread = metrics["accuracy"], metrics.get("accuracy_sd")
    if metrics.get("accuracy_interval"):
        low, high = metrics["accuracy_interval"]
        ax.hlines(y, 100 * low, 100 * high, color=colour, lw=1.4)
    elif spread:
        ax.hlines(y, 100 * (accuracy - spread), 100 * (accuracy + spread), color=colour, lw=4)
    ax.plot(100 * accuracy, y, "o", color=colour, markersize=6, markeredgecolor="white")
    ax.plot(100 * metrics["chance"], y, "|", color=GREY, markersize=9)
    right = max(accuracy + (spread or 0), *(metrics.get("accuracy_interval") or [0]))
    text = f"{100 * accuracy:.1f}"
    ax.annotate(text, (100 * right, y), (4, 0), textcoords="offset points", va="center", size=8)


def _wilson(share: Array, n: Array) -> tuple[Array, Array]:
    """Return the 95 % interval of a share of n."""
    square = CONFIDENCE**2
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = CONFIDENCE * np.sqrt(share * (1 - share) / n + square / (4 * n**2)) / (1 + square / n)
    return middle - half, middle + half
