"""Pictures of a corpus: what it holds, by emotion and by speaker, and where the odd clips are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch
from numpy.typing import NDArray

from sercourse.labels import in_order
from sercourse.plots.style import INK, axes_or_new, colours, palette, speaker_name

_MARKERS = "os^DvPX*"


def emotion_counts(clips: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the number of clips of each emotion; those acted strongly in the full colour.

    Parameters
    ----------
    clips : pandas.DataFrame
        Clip table with the columns `emotion` and `intensity`.
    ax : Axes, optional
        Where to draw; a new figure unless given.

    Examples
    --------
    >>> clips = pd.DataFrame({"emotion": ["sad", "happy"], "intensity": ["strong", pd.NA]})
    >>> [tick.get_text() for tick in emotion_counts(clips).get_xticklabels()]
    ['happy', 'sad']
    """
    ax = axes_or_new(ax)
    names = in_order(clips["emotion"])
    strong = clips["intensity"].eq("strong").fillna(False).astype(bool)
    below = np.zeros(len(names))
    parts = [(~strong, 0.55), (strong, 1.0)] if strong.any() else [(~strong, 1.0)]
    for part, alpha in parts:
        counts = clips.loc[part, "emotion"].value_counts().reindex(names, fill_value=0)
        heights = counts.to_numpy(dtype=float)
        bars = ax.bar(names, heights, bottom=below, color=colours(names), alpha=alpha)
        below += heights
    ax.bar_label(bars, [f"{count:.0f}" for count in below], color=INK, padding=1)
    if strong.any():
        patches = [Patch(color=INK, alpha=alpha) for _, alpha in parts]
        ax.legend(patches, ["normal", "strong"], ncols=2, loc="lower right", bbox_to_anchor=(1, 1))
    ax.set_ylabel("clips")
    ax.set_ylim(0, 1.12 * below.max())
    return _with_slanted_names(ax)


def speaker_counts(clips: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the number of clips of each speaker, stacked by emotion.

    Parameters
    ----------
    clips : pandas.DataFrame
        Clip table with the columns `speaker`, `gender` and `emotion`. A letter below a speaker's
        number is the gender, where it is known.
    ax : Axes, optional
        Where to draw; a new figure unless given.
    """
    ax = axes_or_new(ax)
    names = _speakers(clips)
    labels = [_speaker_label(clips, name).replace(" ", "\n") for name in names]
    below = np.zeros(len(names))
    for emotion, colour in palette(clips["emotion"]).items():
        of_emotion = clips.loc[clips["emotion"].eq(emotion), "speaker"]
        counts = of_emotion.value_counts().reindex(names, fill_value=0).to_numpy(dtype=float)
        ax.bar(labels, counts, bottom=below, color=colour, label=emotion)
        below += counts
    if len(names) > 12:
        ax.tick_params(axis="x", labelsize=7)
    ax.set(xlabel="speaker", ylabel="clips")
    ax.margins(x=0.02)
    handles, texts = ax.get_legend_handles_labels()
    ax.legend(handles[::-1], texts[::-1], loc="center left", bbox_to_anchor=(1, 0.5))
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
    for position, colour in enumerate(colours(names)):
        drawn["boxes"][position].set(facecolor=colour, edgecolor=colour)
        for line in drawn["whiskers"][2 * position : 2 * position + 2]:
            line.set_color(colour)
        for line in drawn["caps"][2 * position : 2 * position + 2]:
            line.set_color(colour)
    ax.set_ylabel(label)
    ax.grid(axis="y")
    return _with_slanted_names(ax)


def speaker_grid(
    values: NDArray[Any] | pd.Series, *, clips: pd.DataFrame, label: str, ax: Axes | None = None
) -> Axes:
    """Draw the median of each speaker (row) in each emotion (column), from blue over white to red.

    White is the median of all; speakers of one gender stand together. Stripes along the rows mean
    that the value tells speakers apart, stripes along the columns that it tells emotions apart.

    Parameters
    ----------
    values : sequence of float, length n_clips
        One number for each clip.
    clips : pandas.DataFrame
        Clip table with the columns `emotion`, `speaker` and `gender`.
    label : str
        What the numbers are, with their unit.
    ax : Axes, optional
        Where to draw; a new figure unless given.

    Examples
    --------
    >>> clips = pd.DataFrame({"speaker": ["x-1", "x-2"], "emotion": "sad", "gender": pd.NA})
    >>> ax = speaker_grid([200.0, 100.0], clips=clips, label="pitch [Hz]")
    >>> [tick.get_text() for tick in ax.get_yticklabels()]
    ['1', '2']
    """
    ax = axes_or_new(ax)
    names = list(in_order(clips["emotion"]))
    keys = [clips["speaker"].to_numpy(dtype=str), clips["emotion"].to_numpy(dtype=str)]
    medians = pd.Series(np.asarray(values, dtype=float)).groupby(keys).median()
    table = medians.unstack().reindex(columns=names)
    order = clips.drop_duplicates("speaker").sort_values(["gender", "speaker"])["speaker"]
    table = table.loc[order.astype(str).tolist()]
    middle = float(np.nanmedian(table))
    reach = float(np.nanmax(np.abs(table - middle))) or 1.0
    image = ax.imshow(table, origin="lower", aspect="auto", cmap="RdBu_r")
    image.set_clim(middle - reach, middle + reach)
    ax.set_xticks(np.arange(len(names)), names)
    labels = [_speaker_label(clips, str(speaker)) for speaker in table.index]
    ax.set_yticks(np.arange(len(labels)), labels, fontsize=7 if len(labels) > 12 else None)
    ax.set_ylabel("speaker")
    ax.figure.colorbar(image, ax=ax, label=label, pad=0.02).outline.set_visible(False)
    return _with_slanted_names(ax)


def clip_map(
    clips: pd.DataFrame,
    *,
    marks: Mapping[str, Collection[str]] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw every clip as a tile: a row for each speaker, a block for each emotion, odd ones marked.

    Parameters
    ----------
    clips : pandas.DataFrame
        Clip table with the columns `clip_id`, `speaker`, `gender` and `emotion`.
    marks : mapping from str to collection of str, optional
        For each kind of oddity, the `clip_id` of the clips that have it.
    ax : Axes, optional
        Where to draw; a new figure unless given.

    Examples
    --------
    >>> clips = pd.DataFrame({"clip_id": ["a", "b"], "speaker": "x-01", "gender": pd.NA,
    ...                       "emotion": ["sad", "happy"]})
    >>> ax = clip_map(clips, marks={"odd": ["a"]})
    >>> [tick.get_text() for tick in ax.get_xticklabels()], ax.get_legend().texts[0].get_text()
    (['happy', 'sad'], 'odd (1)')
    """
    ax = axes_or_new(ax)
    speakers, emotions = _speakers(clips), in_order(clips["emotion"])
    place, starts = _places(clips, speakers=speakers, emotions=emotions)
    tiles = np.full((len(speakers), starts[-1]), np.nan)
    for clip_id, emotion in zip(clips["clip_id"], clips["emotion"], strict=True):
        tiles[place[clip_id]] = emotions.index(emotion)
    shades = ListedColormap(colours(emotions))
    ax.pcolormesh(
        tiles, cmap=shades, vmin=-0.5, vmax=len(emotions) - 0.5, edgecolor="white", lw=0.5
    )
    _draw_marks(ax, {kind: [place[one] for one in odd] for kind, odd in (marks or {}).items()})
    ax.set_xticks((starts[:-1] + starts[1:]) / 2, emotions)
    ax.set_yticks(np.arange(len(speakers)) + 0.5, [_speaker_label(clips, s) for s in speakers])
    ax.invert_yaxis()
    ax.set_ylabel("speaker")
    ax.tick_params(length=0)
    ax.spines[["left", "bottom"]].set_visible(False)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=3)
    return ax


def _with_slanted_names(ax: Axes) -> Axes:
    """Turn the names of emotions below an axis, so that eight fit side by side."""
    for label in ax.get_xticklabels():
        label.set(rotation=35, ha="right", rotation_mode="anchor")
    return ax


def _places(
    clips: pd.DataFrame, *, speakers: Sequence[str], emotions: Sequence[str]
) -> tuple[dict[str, tuple[int, int]], NDArray[np.int64]]:
    """Return row and column of each clip, and where the blocks of the emotions start and end."""
    ordered = clips.sort_values("clip_id")
    within = ordered.groupby(["speaker", "emotion"]).cumcount()
    widths = within.groupby(ordered["emotion"]).max().reindex(list(emotions)) + 1
    starts = np.concatenate([[0], np.cumsum(widths.to_numpy(dtype=np.int64))])
    rows = ordered["speaker"].map({name: row for row, name in enumerate(speakers)})
    blocks = ordered["emotion"].map(dict(zip(emotions, starts[:-1].tolist(), strict=True)))
    pairs = zip(rows.astype(int), (blocks + within).astype(int), strict=True)
    return dict(zip(ordered["clip_id"], pairs, strict=True)), starts


def _draw_marks(ax: Axes, marks: Mapping[str, Sequence[tuple[int, int]]]) -> None:
    """Draw each kind of mark on its tiles; those that share a tile stand above each other."""
    shared = Counter(tile for tiles in marks.values() for tile in set(tiles))
    drawn: Counter[tuple[int, int]] = Counter()
    style: dict[str, Any] = {"s": 22, "color": "white", "edgecolors": "black", "linewidths": 0.9}
    for marker, (kind, tiles) in zip(cycle(_MARKERS), marks.items(), strict=False):
        if not tiles:
            continue
        rows = [row + (drawn[row, column] + 1) / (shared[row, column] + 1) for row, column in tiles]
        columns = [column + 0.5 for _, column in tiles]
        ax.scatter(columns, rows, marker=marker, label=f"{kind} ({len(tiles)})", **style)
        drawn.update(set(tiles))


def _speakers(clips: pd.DataFrame) -> list[str]:
    return sorted(clips["speaker"].dropna().unique().tolist())


def _speaker_label(clips: pd.DataFrame, speaker: str) -> str:
    """Return a speaker without the corpus, and f or m where the gender is known."""
    gender = clips.loc[clips["speaker"].eq(speaker), "gender"].iloc[0]
    letter = {"female": " f", "male": " m"}.get(str(gender), "")
    return speaker_name(speaker) + letter
