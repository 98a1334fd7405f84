"""Pictures of a corpus: its clips by emotion and speaker, and how folds divide them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch
from numpy.typing import NDArray

from sercourse.labels import in_order
from sercourse.plots.style import PALE, axes_or_new, colours, palette, speaker_name

if TYPE_CHECKING:
    from sercourse.splits import Fold


def clip_counts(clips: pd.DataFrame, *, by: str = "speaker", ax: Axes | None = None) -> Axes:
    """Draw the number of clips of each speaker, or of each emotion, as bars stacked by emotion.

    Parameters
    ----------
    clips : pandas.DataFrame
        Clip table with the columns `emotion` and `by`.
    by : {"speaker", "emotion"}
        What the bars are.
    ax : Axes, optional
        Where to draw; a new figure unless given.

    Examples
    --------
    >>> clips = pd.DataFrame({"emotion": ["sad", "happy"], "speaker": "x-01"})
    >>> [tick.get_text() for tick in clip_counts(clips, by="emotion").get_xticklabels()]
    ['happy', 'sad']
    """
    ax = axes_or_new(ax)
    shades = palette(clips["emotion"])
    counts = pd.crosstab(clips[by], clips["emotion"])[list(shades)]
    if by == "emotion":
        counts = counts.loc[list(shades)]
    below = np.zeros(len(counts))
    for emotion, colour in shades.items():
        bars = ax.bar(range(len(counts)), counts[emotion], 0.8, below, color=colour, label=emotion)
        below += counts[emotion].to_numpy()
    if by == "emotion":
        ax.bar_label(bars, [f"{total:.0f}" for total in below], padding=1)
    else:
        ax.legend(reverse=True, loc="center left", bbox_to_anchor=(1, 0.5))
    ax.set_xticks(range(len(counts)), [speaker_name(str(name)) for name in counts.index])
    ax.set(xlabel=by, ylabel="clips", ylim=(0, 1.1 * below.max()))
    ax.tick_params(axis="x", rotation=90)
    return ax


def by_emotion(
    values: NDArray[Any] | pd.Series,
    *,
    emotions: Sequence[str] | pd.Series,
    label: str,
    ax: Axes | None = None,
) -> Axes:
    """Draw a box for each emotion: median, quartiles, and whiskers from 5 % to 95 %.

    Parameters
    ----------
    values : sequence of float, length n
        One number for each clip.
    emotions : sequence of str, length n
        The emotion of each clip.
    label : str
        What the numbers are, with their unit.
    ax : Axes, optional
        Where to draw; a new figure unless given.

    Examples
    --------
    >>> ax = by_emotion([1.0, 2.0], emotions=["sad", "happy"], label="duration [s]")
    >>> ax.get_ylabel(), [tick.get_text() for tick in ax.get_xticklabels()]
    ('duration [s]', ['happy', 'sad'])
    """
    ax = axes_or_new(ax)
    numbers, of = np.asarray(values, dtype=float), np.asarray(emotions, dtype=object)
    names = in_order(of)
    drawn = ax.boxplot(
        [numbers[of == name] for name in names],
        tick_labels=list(names),
        whis=(5, 95),
        showfliers=False,
        widths=0.6,
        patch_artist=True,
        medianprops={"color": "white", "linewidth": 1.8},
    )
    for box, colour in zip(drawn["boxes"], colours(names), strict=True):
        box.set(facecolor=colour)
    ax.set_ylabel(label)
    ax.grid(axis="y")
    ax.tick_params(axis="x", rotation=90)
    return ax


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
    shades = palette(clips["emotion"])
    place = clips["emotion"].map(list(shades).index).to_numpy(dtype=int)
    order = np.lexsort([place, clips["speaker"].to_numpy(dtype=str)])
    tiles = np.full((len(folds), len(clips), 3), to_rgb(PALE))
    for row, fold in zip(tiles, folds, strict=True):
        row[fold.test] = np.array([to_rgb(colour) for colour in shades.values()])[place[fold.test]]
        row[fold.enrol] = 0.0
    ax.imshow(tiles[:, order], aspect="auto", interpolation="nearest")
    names, starts = np.unique(clips["speaker"].to_numpy(dtype=str)[order], return_index=True)
    ax.vlines(starts[1:] - 0.5, -0.5, len(folds) - 0.5, color="white", lw=1)
    ax.hlines(np.arange(1, len(folds)) - 0.5, -0.5, len(clips) - 0.5, color="white", lw=4)
    middles = (starts + np.append(starts[1:], len(clips)) - 1) / 2
    ax.set_xticks(middles, [speaker_name(str(name)) for name in names], size=7)
    ax.set_yticks(range(len(folds)), [fold.name for fold in folds])
    ax.set(xlabel="speaker", xlim=(-0.5, len(clips) - 0.5))
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    keys = [Patch(color=PALE, label="training")]
    keys += [Patch(color=colour, label=name) for name, colour in shades.items()]
    ax.legend(handles=keys, ncols=5, loc="lower left", bbox_to_anchor=(0, 1), handlelength=1)
    return ax
