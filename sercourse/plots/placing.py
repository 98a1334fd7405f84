"""Names beside dots, so that none covers another."""

# adjustText was tried: it moves names at random, takes longer, and its lines cross.

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation
from numpy.typing import NDArray

from sercourse.plots.style import GREY, INK

Array = NDArray[np.float64]
DOT_PIXELS = 5.0
RADII = (7, 12, 18, 26, 36, 48, 62, 80, 100)  # where a label may stand around its dot [pixels]
DIRECTIONS = np.linspace(0, 2 * np.pi, 16, endpoint=False)
LEADER_PIXELS = 15  # a label that stands farther away is joined to its dot


def label_dots(ax: Axes, x: Array, y: Array, names: Sequence[str], *, line: Array) -> None:
    """Write names beside dots so that none covers another one, a dot or the line."""
    ax.figure.draw_without_rendering()  # type: ignore[union-attr]  # now places are final
    dots = ax.transData.transform(np.column_stack([x, y]))
    boxes = [np.column_stack([dots - DOT_PIXELS, dots + DOT_PIXELS])]  # left, low, right, top
    ends = ax.transData.transform(line)
    pieces = np.stack([ends[:-1], ends[1:]])
    boxes.append(np.column_stack([pieces.min(axis=0), pieces.max(axis=0)]))
    fixed = np.vstack(boxes)
    labels = np.zeros((0, 4))  # and the lines that join them to dots, as points
    inside = np.array(ax.get_window_extent().extents)
    for dot, place, name in zip(dots, np.column_stack([x, y]), names, strict=True):
        text = ax.annotate(name, tuple(place), (0, 0), textcoords="offset points", size=7)
        text.set(ha="center", va="center_baseline", color=INK, in_layout=False)
        box, offset = _free_box(text, dot, fixed=fixed, labels=labels, inside=inside)
        labels = np.vstack([labels, box, np.tile(_path(dot, offset), 2)])
        text.xyann = tuple(offset * 72 / ax.figure.dpi)
        if np.hypot(*_gap(dot, box)) > LEADER_PIXELS:
            _join(ax, tuple(place), text)


def _join(ax: Axes, place: tuple[float, float], text: Annotation) -> None:
    """Draw a thin line from a place to a text that stands far from it."""
    thin = {"arrowstyle": "-", "color": GREY, "lw": 0.5, "shrinkA": 0, "shrinkB": 3}
    line = ax.annotate(
        "", place, xytext=text.xyann, textcoords="offset points", arrowprops=thin, zorder=1
    )
    line.set_in_layout(False)


def _free_box(
    text: Annotation, dot: Array, *, fixed: Array, labels: Array, inside: Array
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
            crosses = any(_meet(np.tile(step, 2), labels).any() for step in _path(dot, offset))
            if within and not crosses and not _meet(box, np.vstack([fixed, labels])).any():
                return box, offset
    return box, offset


def _meet(box: Array, others: Array) -> NDArray[np.bool_]:
    """Return which boxes one box touches."""
    meet: NDArray[np.bool_] = (box[2:] >= others[:, :2]) & (box[:2] <= others[:, 2:])
    return np.logical_and.reduce(meet, axis=1)


def _path(dot: Array, offset: Array) -> Array:
    """Return points on the way from a dot to the middle of its label."""
    path: Array = dot + np.linspace(0.25, 0.75, 5)[:, np.newaxis] * offset
    return path


def _gap(dot: Array, box: Array) -> Array:
    """Return how far a dot is from a box, along both axes."""
    gap: Array = np.maximum(0, np.maximum(box[:2] - dot, dot - box[2:]))
    return gap
