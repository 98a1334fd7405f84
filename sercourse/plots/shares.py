"""Shares of emotions side by side: what several models say of one voice, or one model of many."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.patches import Patch

from sercourse.plots.style import axes_or_new, palette

_HEIGHT = 0.78  # of a bar; the rest of its row is empty
_NARROWEST = 7.0  # [%]; a narrower piece has no room for its number
_DARK = 0.55  # luminance below which a number is written in white


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

    Raises
    ------
    ValueError
        If there is no row, or the shares of a row do not have a sum above 0.

    Examples
    --------
    >>> ax = emotion_shares({"one": {"happy": 1, "sad": 3}, "two": {"sad": 0.5, "angry": 0.5}})
    >>> [text.get_text() for text in ax.texts], [text.get_text() for text in ax.get_yticklabels()]
    (['25', '75', '50', '50'], ['one', 'two'])
    """
    if not rows:
        raise ValueError("there is no row to draw: give the shares of at least one")
    ax = axes_or_new(ax)
    shades = palette(emotion for shares in rows.values() for emotion in shares)
    for place, (name, shares) in enumerate(rows.items()):
        total = sum(shares.values())
        if not total > 0:
            raise ValueError(f"the shares of {name!r} sum to {total}: give some above 0")
        percent = {
            emotion: 100 * shares[emotion] / total for emotion in shades if emotion in shares
        }
        _draw_row(ax, percent, y=place, shades=shades)
    ax.set_yticks(range(len(rows)), list(rows))
    ax.set(xlabel=label, xlim=(0, 100), ylim=(len(rows) - 0.5, -0.5))
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    keys = [Patch(color=colour, label=emotion) for emotion, colour in shades.items()]
    style = {"handlelength": 0.9, "handletextpad": 0.4, "columnspacing": 1.0, "fontsize": 8}
    ax.legend(handles=keys, ncols=9, loc="lower left", bbox_to_anchor=(0, 1), **style)
    return ax


def _draw_row(ax: Axes, percent: Mapping[str, float], *, y: int, shades: Mapping[str, str]) -> None:
    left = 0.0
    for emotion, width in percent.items():
        colour = shades[emotion]
        ax.barh(y, width, left=left, height=_HEIGHT, color=colour)
        if width >= _NARROWEST:
            ink = "white" if _luminance(colour) < _DARK else "black"
            text = ax.text(left + width / 2, y, f"{width:.0f}", color=ink, size=8)
            text.set(ha="center", va="center_baseline")
        left += width


def _luminance(colour: str) -> float:
    """Return how bright a colour looks, from 0 to 1 (ITU-R BT.709, on gamma-coded values)."""
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
