"""Pictures of a corpus: its clips, and their numbers, by emotion and by speaker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from sercourse.labels import in_order
from sercourse.plots.style import axes_or_new, palette, speaker_name


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
    for box, colour in zip(drawn["boxes"], palette(names).values(), strict=True):
        box.set(facecolor=colour)
    ax.set_ylabel(label)
    ax.grid(axis="y")
    ax.tick_params(axis="x", rotation=90)
    return ax
