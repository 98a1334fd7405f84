"""Style of all pictures: matplotlib settings, and the colour of each emotion."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterable, Mapping
from types import MappingProxyType

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

from sercourse.labels import EMOTIONS, in_order

# Light and dark alternate, so that readers who see no red or no green can tell neighbours apart.
_COLOURS = [
    "#757b84",
    "#62c2bd",
    "#f0b400",
    "#2b5aa3",
    "#b81d2c",
    "#a678cf",
    "#7da636",
    "#f58a6c",
    "#453428",
]
EMOTION_COLOURS: Mapping[str, str] = MappingProxyType(dict(zip(EMOTIONS, _COLOURS, strict=True)))
"""The colour of each canonical emotion, in their order."""

# Of labels that are not canonical.
_OWN_COLOURS = (
    *("#d6569b", "#1b7f5c", "#c9b07c", "#4a3f8f", "#8fd14f"),
    *("#8c4a1f", "#5cc8f0", "#e6b8dd", "#ffa630", "#1f4e5f"),
)

INK = "#2e3742"
"""The colour of what stands for no emotion."""

GREY = "#9aa1a9"  # what something is compared with
PALE = "#e6e9ec"  # the training side; cells without a value
ACCENT = "#b0763a"  # what is to be noticed, and is no emotion
SERIES = {"color": (INK, ACCENT, GREY, "#2f8f9d"), "marker": ("o", "s", "^", "D")}
"""Colours and markers of series that are no emotions, in their order; also those of pandas."""

MAP = plt.get_cmap("YlGnBu", 12)  # few colours, so that a compact picture keeps them


def use_style() -> None:
    """Give matplotlib the look of the course: 700 pixels wide, quiet axes, readable labels.

    In a notebook, figures are also stored small: see `compact_png`. Call it once, before the first
    picture of a lesson.
    """
    from IPython.core.getipython import get_ipython

    plt.style.use("sercourse.plots.course")
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
