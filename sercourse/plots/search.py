"""Pictures of a search: what was tried, what it takes, and what a regression answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from sercourse.plots.style import GREY, INK, PALE, axes_or_new, palette

Array = NDArray[Any]

ACCENT = "#b0763a"
_TITLES = {
    "uar": "UAR [%]",
    "accuracy": "accuracy [%]",
    "error": "error [codes]",
    "fit_seconds": "time to train [s]",
    "predict_ms": "time to judge a clip [ms]",
}
_TIMES = ("fit_seconds", "predict_ms")
_MARKERS = "os^Dv<>PX*"  # whoever cannot tell the colours goes by these


def search_scores(
    candidates: pd.DataFrame,
    finalists: pd.DataFrame,
    *,
    score: str = "uar",
    chance: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw what every candidate reached on validation clips, and the finalists on the test side.

    Parameters
    ----------
    candidates : pandas.DataFrame
        With the columns `estimator` and `score`.
    finalists : pandas.DataFrame
        One row for each estimator, best on validation clips first, and ``test_<score>``.
    score : {"uar", "accuracy", "error"}
    chance : float, optional
        What would be reached without listening.
    ax : Axes, optional
        Where to draw; a new figure unless given.

    Examples
    --------
    >>> tried = pd.DataFrame({"estimator": ["svc", "svc", "knn"], "uar": [0.5, 0.6, 0.4]})
    >>> best = tried.iloc[1:].assign(test_uar=[0.5, 0.5])
    >>> ax = search_scores(tried, best)
    >>> [tick.get_text() for tick in ax.get_yticklabels()], ax.get_xlabel()
    (['svc', 'knn'], 'UAR [%]')
    """
    ax = axes_or_new(ax)
    factor = _factor(score)
    names = list(finalists["estimator"])
    rows = candidates["estimator"].map(names.index)
    ax.scatter(factor * candidates[score], rows, s=18, color=GREY, alpha=0.5, lw=0)
    y = np.arange(len(names))
    chosen, tested = factor * finalists[score], factor * finalists[f"test_{score}"]
    ax.hlines(y, np.minimum(chosen, tested), np.maximum(chosen, tested), color=PALE, lw=3, zorder=0)
    ax.scatter(chosen, y, s=36, color=INK, zorder=3)
    ax.scatter(tested, y, s=36, marker="D", facecolor="white", edgecolor=ACCENT, lw=1.6, zorder=4)
    if chance is not None:
        ax.axvline(factor * chance, color=GREY, lw=0.8, linestyle="--")
    ax.set_yticks(y, names)
    ax.set(xlabel=_TITLES[score], ylim=(len(names) - 0.5, -0.5))
    ax.grid(axis="x")
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    ax.legend(handles=_keys(chance), ncols=4, loc="lower left", bbox_to_anchor=(-0.02, 1))
    return ax


def size_curves(sizes: pd.DataFrame, *, y: str, ax: Axes | None = None) -> Axes:
    """Draw scores or times of estimators that were trained on fewer and on more clips.

    Parameters
    ----------
    sizes : pandas.DataFrame
        With the columns `estimator`, `n_clips` and `y`.
    y : {"uar", "accuracy", "error", "fit_seconds", "predict_ms"}
        Times are drawn on a logarithmic axis.
    ax : Axes, optional
        Where to draw; a new figure unless given.

    Examples
    --------
    >>> table = pd.DataFrame({"estimator": ["svc"] * 2, "n_clips": [50, 100], "uar": [0.4, 0.5]})
    >>> ax = size_curves(table, y="uar")
    >>> ax.lines[0].get_ydata().tolist(), ax.get_ylabel()
    ([40.0, 50.0], 'UAR [%]')
    """
    ax = axes_or_new(ax)
    shades = seaborn.color_palette("colorblind")
    for (name, rows), shade, marker in zip(
        sizes.groupby("estimator"), shades, _MARKERS, strict=False
    ):
        ordered = rows.sort_values("n_clips")
        style = {"color": shade, "marker": marker, "ms": 3.5, "lw": 1, "label": str(name)}
        ax.plot(ordered["n_clips"], _factor(y) * ordered[y], **style)
    if y in _TIMES:
        ax.set_yscale("log")
    ax.set(xlabel="training clips", ylabel=_TITLES[y])
    ax.grid(axis="y")
    return ax


def values_by_code(
    values: Array, *, truth: Array, codes: Mapping[str, int], seed: int = 0, ax: Axes | None = None
) -> Axes:
    """Draw what a regression says of the clips of each emotion; its code is a line.

    Parameters
    ----------
    values : ndarray, shape (n,)
    truth : ndarray of str, shape (n,)
        Emotion of each clip.
    codes : mapping of str to int
        In order.
    seed : int
        Of the small shifts that keep dots apart.
    ax : Axes, optional
        Where to draw; a new figure unless given.

    Examples
    --------
    >>> ax = values_by_code(np.array([0.2, 1.4]), truth=np.array(["sad", "happy"]),
    ...                     codes={"sad": 0, "happy": 1})
    >>> [tick.get_text() for tick in ax.get_xticklabels()]
    ['sad (0)', 'happy (1)']
    """
    ax = axes_or_new(ax)
    rng = np.random.default_rng(seed)
    shades = palette(codes)
    for place, (name, code) in enumerate(codes.items()):
        own = np.asarray(values)[np.asarray(truth) == name]
        x = place + rng.uniform(-0.25, 0.25, len(own))
        ax.scatter(x, own, s=14, color=shades[name], alpha=0.8, lw=0)
        ax.hlines(code, place - 0.4, place + 0.4, color=INK, lw=1.4)
    ax.set_xticks(range(len(codes)), [f"{name} ({code})" for name, code in codes.items()])
    ax.set(ylabel="value [codes]")
    ax.margins(y=0.08)
    ax.set_yticks(list(codes.values()))
    ax.grid(axis="y")
    ax.tick_params(axis="x", length=0)
    return ax


def _factor(score: str) -> float:
    """Return what a figure is multiplied by: shares are shown in per cent."""
    return 100.0 if score in ("uar", "accuracy") else 1.0


def _keys(chance: float | None) -> list[Line2D]:
    dot: dict[str, Any] = {"linestyle": "", "marker": "o"}
    keys = [
        Line2D([], [], color=GREY, alpha=0.5, markersize=4, label="validated", **dot),
        Line2D([], [], color=INK, markersize=6, label="best of its kind", **dot),
        Line2D(
            [],
            [],
            linestyle="",
            marker="D",
            markerfacecolor="white",
            markeredgecolor=ACCENT,
            label="the same, tested",
        ),
    ]
    if chance is not None:
        keys.append(Line2D([], [], color=GREY, lw=0.8, linestyle="--", label="chance"))
    return keys
