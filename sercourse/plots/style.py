"""Style of all pictures: matplotlib settings, and the colour of each emotion."""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import matplotlib.pyplot as plt
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from sercourse.labels import EMOTIONS, in_order

# Light and dark alternate, so that readers who see no red or no green can tell neighbours apart.
_COLOURS = (
    "#757b84",  # neutral
    "#62c2bd",  # calm
    "#f0b400",  # happy
    "#2b5aa3",  # sad
    "#b81d2c",  # angry
    "#a678cf",  # fearful
    "#7da636",  # disgust
    "#f58a6c",  # surprised
    "#453428",  # bored
)

EMOTION_COLOURS: Mapping[str, str] = MappingProxyType(dict(zip(EMOTIONS, _COLOURS, strict=True)))
"""The colour of each canonical emotion, in their order."""

# Of labels that are not canonical.
_OWN_COLOURS = (
    "#d6569b",
    "#1b7f5c",
    "#c9b07c",
    "#4a3f8f",
    "#8fd14f",
    "#8c4a1f",
    "#5cc8f0",
    "#e6b8dd",
    "#ffa630",
    "#1f4e5f",
)

INK = "#2e3742"
"""The colour of what stands for no emotion."""

GREY = "#9aa1a9"  # what something is compared with
PALE = "#e6e9ec"  # the training side; cells without a value
ACCENT = "#b0763a"  # what is to be noticed, and is no emotion
SERIES = {"color": (INK, ACCENT, GREY, "#2f8f9d"), "marker": ("o", "s", "^", "D")}
"""Colours and markers of series that are no emotions, in their order; also those of pandas."""

MAP = plt.get_cmap("YlGnBu", 12)  # few colours, so that a compact picture keeps them

_SETTINGS: dict[Any, Any] = {
    "figure.figsize": (7.0, 2.6),
    "figure.dpi": 100,
    "figure.constrained_layout.use": True,
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#9aa1a9",
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.axisbelow": True,
    "grid.color": "#e3e6e9",
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "legend.handlelength": 1.2,
    "legend.handletextpad": 0.4,
    "legend.columnspacing": 1.0,
    "lines.linewidth": 1.2,
    "axes.prop_cycle": cycler(color=SERIES["color"]),
}


def use_style() -> None:
    """Give matplotlib the look of the course: 700 pixels wide, quiet axes, readable labels.

    In a notebook, figures are also stored small: see `compact_png`. Call it once, before the first
    picture of a lesson.
    """
    from IPython.core.getipython import get_ipython

    plt.rcParams.update(_SETTINGS)
    shell = get_ipython()
    if shell is not None and shell.display_formatter is not None:
        plt.close(plt.figure())  # loads the backend, which would later set its own writer of PNG
        shell.display_formatter.formatters["image/png"].for_type(Figure, compact_png)


def compact_png(figure: Figure) -> bytes:
    """Return a figure as PNG with a palette of 64 colours.

    It looks the same and takes a third of the space, so that a notebook full of figures stays
    light.

    Examples
    --------
    >>> compact_png(Figure())[1:4]
    b'PNG'
    """
    full, small = io.BytesIO(), io.BytesIO()
    figure.savefig(full, format="png", bbox_inches="tight")
    with Image.open(full) as image:
        # The method that keeps the colour of small marks, too.
        palette = image.convert("RGB").quantize(
            64, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
        )
    palette.save(small, format="png", optimize=True)
    return small.getvalue()


def palette(emotions: Iterable[str]) -> dict[str, str]:
    """Return the colour of each distinct label, in the one order of labels.

    A canonical emotion has its own. Other labels get one that follows from their name, or the next
    free one where two would look alike: so it is mostly the same in other company, too.

    Raises
    ------
    ValueError
        If a label is empty.

    Examples
    --------
    >>> palette(["stressed", "anger"])
    {'angry': '#b81d2c', 'stressed': '#1f4e5f'}
    """
    names = in_order(emotions)
    chosen = {name: EMOTION_COLOURS[name] for name in names if name in EMOTION_COLOURS}
    for name in names[len(chosen) :]:
        first = zlib.crc32(name.encode()) % len(_OWN_COLOURS)
        ranked = [*_OWN_COLOURS[first:], *_OWN_COLOURS[:first]]
        taken = list(chosen.values())
        chosen[name] = min(ranked, key=taken.count)
    return chosen


def speaker_name(speaker: str) -> str:
    """Return a speaker without the corpus.

    Examples
    --------
    >>> speaker_name("ravdess-07"), speaker_name("crema-d-1001"), speaker_name("custom-anna-maria")
    ('07', '1001', 'anna-maria')
    """
    return re.sub("^(crema-d|[a-z]+)-", "", speaker)


def axes_or_new(ax: Axes | None) -> Axes:
    """Return `ax`, or the axes of a new figure where it is None."""
    return plt.subplots()[1] if ax is None else ax
