"""Pictures of lesson 02: from frames and windows over descriptors to the features of a corpus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sercourse.plots import signals
from sercourse.plots.style import GREY, INK, axes_or_new, colours

Array = NDArray[Any]
Series = Mapping[str, Array]

WIDTH = 7.0
"""Width of a figure [inch]."""

_LINES: tuple[dict[str, Any], ...] = (
    {"color": GREY},
    {"color": INK},
    {"color": INK, "linestyle": "--"},
)
_N_FRAMES = 4  # as many as can be told apart where frames are drawn
_LEFT_OUT = 1e-9  # magnitude that stands for the zeros of a spectrum


def spectra(
    levels: Series, *, frequencies: Array, label: str = "level [dB]", ax: Axes | None = None
) -> Axes:
    """Draw up to three curves over frequency, the first in grey as what the others are held to.

    Parameters
    ----------
    levels : mapping of str to ndarray, shape (n_bins,)
        Curves by name.
    frequencies : ndarray, shape (n_bins,)
        [Hz].
    label : str
        What the curves show, with their unit.
    ax : Axes, optional
        Where to draw; a new figure unless given.

    Examples
    --------
    >>> ax = spectra({"a": np.zeros(3), "b": np.ones(3)}, frequencies=np.array([0, 500, 1000]))
    >>> ax.get_xlabel(), [text.get_text() for text in ax.get_legend().texts]
    ('frequency [kHz]', ['a', 'b'])
    """
    ax = axes_or_new(ax)
    styles = _LINES if len(levels) > 1 else _LINES[1:]
    for (name, level), style in zip(levels.items(), styles, strict=False):
        ax.plot(np.asarray(frequencies) / 1000, level, label=name, **style)
    ax.set(xlabel="frequency [kHz]", ylabel=label, xlim=(0, frequencies[-1] / 1000))
    if len(levels) > 1:
        ax.legend()
    return ax


def framing(
    y: Array, *, sr: int, window: Array, hop_length: int, start: int = 0, ax: Axes | None = None
) -> Axes:
    """Draw four frames under the piece of waveform that they are cut from.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
        Signal.
    sr : int
        Its rate [Hz].
    window : ndarray, shape (frame_length,)
        Drawn as the shape of every frame.
    hop_length : int
        Samples between the starts of two frames.
    start : int
        Sample where the first frame starts; earlier, if the clip would end within the four.
    ax : Axes, optional
        Where to draw; a new figure unless given.
    """
    ax = axes_or_new(ax)
    length = (_N_FRAMES - 1) * hop_length + len(window)
    start = max(0, min(start, len(y) - length))
    piece = np.pad(y[start : start + length], (0, max(0, length - len(y))))
    milliseconds = 1000 * np.arange(len(piece)) / sr
    ax.plot(milliseconds, 0.9 * piece / np.abs(piece).max(initial=1e-9), color=GREY)
    for number in range(_N_FRAMES):
        first, base = number * hop_length, -1.7 - 0.75 * number
        span = milliseconds[first : first + len(window)]
        ax.fill_between(span, base, base + 0.6 * window, color=INK, alpha=0.25, linewidth=0)
        ax.plot(span[[0, 0]], [1, base], color=INK, linewidth=0.7, linestyle=":")
        ax.text(span[0] - 0.4, base + 0.15, f"frame {number}", ha="right", color=INK)
    ax.set(xlabel="time from the first frame on [ms]", yticks=[], xlim=(-7, milliseconds[-1]))
    ax.spines["left"].set_visible(False)
    return ax


def windows(named: Series, *, sr: int, tone: float) -> NDArray[Any]:
    """Draw windows and, at their right, the spectrum of a tone cut out with each of them.

    Parameters
    ----------
    named : mapping of str to ndarray, shape (frame_length,)
        Up to three windows by name, the first in grey.
    sr : int
        Rate [Hz].
    tone : float
        Frequency of the tone [Hz].

    Returns
    -------
    ndarray of Axes, shape (2,)
    """
    axes = _grid(1, 2, height=2.3, width_ratios=[1, 1.7])[0]
    levels = {}
    for (name, window), style in zip(named.items(), _LINES, strict=False):
        seconds = np.arange(len(window)) / sr
        axes[0].plot(1000 * seconds, window, **style)
        cut = window * np.sin(2 * np.pi * tone * seconds)
        magnitude = np.abs(np.fft.rfft(cut, 16 * len(window)))
        levels[name] = 20 * np.log10(magnitude / magnitude.max() + _LEFT_OUT)
    axes[0].set(xlabel="time [ms]", ylabel="weight", ylim=(0, 1.08))
    n_bins = min(len(level) for level in levels.values())
    spectra(levels, frequencies=np.linspace(0, sr / 2, n_bins), ax=axes[1])
    axes[1].set(ylim=(-75, 4), xlim=(0.75 * tone / 1000, 1.25 * tone / 1000))
    return axes


def under_waveform(
    waves: Series, rows: Mapping[str, Series], *, sr: int, frame_length: int, hop_length: int
) -> NDArray[Any]:
    """Draw descriptors over time under the waveforms that they describe, a column for each clip.

    Parameters
    ----------
    waves : mapping of str to ndarray, shape (n_samples,)
        Signals by emotion, which gives the colour.
    rows : mapping of str to (mapping of str to ndarray, shape (n_frames,))
        For each label of an axis, the descriptor of every signal. A row shares its axis.
    sr : int
        Rate of the signals [Hz].
    frame_length, hop_length : int
        [samples]; a frame is drawn at its middle.

    Returns
    -------
    ndarray of Axes, shape (1 + n_rows, n_clips)
    """
    axes = _columns(waves, sr=sr, heights=[0.95] * len(rows))
    for row, (label, series) in zip(axes[1:], rows.items(), strict=True):
        for ax, emotion, colour in zip(row, waves, colours(waves), strict=True):
            times = _middles(series[emotion], sr, frame_length, hop_length)
            ax.plot(times, series[emotion], color=colour, linewidth=0.9)
        row[0].set_ylabel(label)
    return axes


def band(
    row: Sequence[Axes], *, low: Series, high: Series, sr: int, frame_length: int, hop_length: int
) -> None:
    """Shade what lies between two descriptors in a row that `under_waveform` drew.

    Parameters
    ----------
    row : sequence of Axes
        One for each clip.
    low, high : mapping of str to ndarray, shape (n_frames,)
        Borders by emotion, in the order of the row.
    sr, frame_length, hop_length : int
        As for `under_waveform`.
    """
    for ax, emotion, colour in zip(row, low, colours(low), strict=True):
        times = _middles(low[emotion], sr, frame_length, hop_length)
        ax.fill_between(times, low[emotion], high[emotion], color=colour, alpha=0.3, linewidth=0)


def coefficients(waves: Series, tables: Series, *, sr: int, hop_length: int) -> NDArray[Any]:
    """Draw cepstral coefficients under the waveforms that they describe, in one scale of colours.

    Parameters
    ----------
    waves : mapping of str to ndarray, shape (n_samples,)
        Signals by emotion.
    tables : mapping of str to ndarray, shape (n_frames, n_coefficients)
        Coefficients 1 ... n of every signal [dB].
    sr, hop_length : int
        Rate [Hz], samples between two frames.

    Returns
    -------
    ndarray of Axes, shape (2, n_clips)
    """
    axes = _columns(waves, sr=sr, heights=[1.8])
    limit = np.percentile(np.abs(np.concatenate(list(tables.values()))), 99.5)
    for ax, emotion in zip(axes[1], waves, strict=True):
        signals.mfcc(tables[emotion].T, sr=sr, hop_length=hop_length, ax=ax)
        ax.images[-1].set_clim(-limit, limit)
    for ax in axes[1, 1:]:
        ax.set_ylabel("")
    signals.colour_bar(axes[1, -1], label="[dB]")
    return axes


def shape_of_spectrum(
    magnitudes: Array,
    *,
    sr: int,
    centroid: float,
    spread: float,
    rolloff: float,
    ax: Axes | None = None,
) -> Axes:
    """Draw the spectrum of one frame with three descriptors of its shape.

    Parameters
    ----------
    magnitudes : ndarray, shape (n_bins,)
        Bins up to half the rate.
    sr : int
        Rate [Hz].
    centroid, spread, rolloff : float
        Fractions of half the rate.
    ax : Axes, optional
        Where to draw; a new figure unless given.
    """
    half = sr / 2
    frequencies = half * np.arange(1, len(magnitudes) + 1) / len(magnitudes)
    level = 20 * np.log10(magnitudes + _LEFT_OUT)
    ax = spectra({"magnitude": level}, frequencies=frequencies, label="magnitude [dB]", ax=ax)
    low, middle, high = (half / 1000 * f for f in (centroid - spread, centroid, centroid + spread))
    ax.axvspan(low, high, color=INK, alpha=0.12, linewidth=0, label="centroid ± spread")
    ax.axvline(middle, color=INK, linewidth=1.8, label="centroid")
    ax.axvline(half / 1000 * rolloff, color=INK, linestyle="--", linewidth=1.8, label="roll-off")
    ax.legend(handles=ax.get_legend_handles_labels()[0][1:])
    return ax


def distribution(
    series: Array, marks: Mapping[str, float], *, hop_seconds: float, label: str
) -> NDArray[Any]:
    """Draw a descriptor over time and as a histogram, with some of its statistics marked.

    Parameters
    ----------
    series : ndarray, shape (n_frames,)
        A descriptor of one clip.
    marks : mapping of str to float
        Statistics that have the unit of the descriptor.
    hop_seconds : float
        Between two frames [s].
    label : str
        Name and unit of the descriptor.

    Returns
    -------
    ndarray of Axes, shape (2,)
    """
    axes = _grid(1, 2, height=2.2, width_ratios=[2.2, 1], sharey=True)[0]
    axes[0].plot(hop_seconds * np.arange(len(series)), series, color=GREY)
    axes[1].hist(series, bins=30, orientation="horizontal", color=GREY)
    shades = plt.get_cmap("viridis")(np.linspace(0, 0.85, len(marks)))
    for (name, value), shade in zip(marks.items(), shades, strict=True):
        for ax in axes:
            ax.axhline(value, color=shade, linewidth=1.4, label=name)
    axes[0].set(xlabel="time [s]", ylabel=label)
    axes[1].set_xlabel("frames")
    axes[1].legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return axes


def table_of_shares(
    shares: Array, *, rows: Sequence[str], columns: Sequence[str], label: str, above: float = 0.0
) -> Axes:
    """Draw a table of shares as an image, and write down those that matter.

    Parameters
    ----------
    shares : ndarray, shape (n_rows, n_columns)
        From 0 to 1; what is undefined, NaN, is left white.
    rows, columns : sequence of str
        Their names.
    label : str
        What the shares are; they are written in %.
    above : float
        Only shares above this are written.
    """
    percent = 100 * np.asarray(shares)
    ax = _grid(1, 1, height=0.6 + 0.2 * len(rows))[0, 0]
    image = ax.imshow(percent, aspect="auto", cmap=plt.get_cmap("YlGnBu", 10), vmin=0)
    for (row, column), value in np.ndenumerate(percent):
        if value > 100 * above:
            colour = "white" if value > 0.6 * np.nanmax(percent) else INK
            at = {"ha": "center", "va": "center_baseline"}
            ax.text(column, row, f"{value:.0f}", color=colour, size=7.5, **at)
    ax.set_facecolor(GREY)  # behind cells without a value
    ax.set_xticks(range(len(columns)), columns, size=7.5)
    ax.set_yticks(range(len(rows)), rows)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    _figure(ax).colorbar(image, ax=ax, label=f"{label} [%]", pad=0.01).outline.set_visible(False)
    return ax


def emotion_against_speaker(
    *, emotion: Array, speaker: Array, families: Mapping[str, Array], chance: float
) -> Axes:
    """Draw each feature by how much of it is emotion and how much is speaker.

    Parameters
    ----------
    emotion, speaker : ndarray, shape (n_features,)
        Shares of the variance, from 0 to 1.
    families : mapping of str to ndarray of bool, shape (n_features,)
        Which features are of which kind.
    chance : float
        The share that emotion would reach by chance, a dotted line.
    """
    ax = _grid(1, 1, height=3.4)[0, 0]
    shades = plt.get_cmap("viridis")(np.linspace(0, 0.9, len(families)))
    for (family, inside), shade, marker in zip(families.items(), shades, "os^Dv", strict=False):
        points = 100 * emotion[inside], 100 * speaker[inside]
        style = {"s": 18, "alpha": 0.75, "linewidth": 0, "marker": marker}
        ax.scatter(*points, color=shade, label=family, **style)
    right, top = 108 * emotion.max(), 105 * max(emotion.max(), speaker.max())
    ax.plot([0, top], [0, top], color=GREY)
    ax.axvline(100 * chance, color=GREY, linestyle=":", label="emotions shuffled")
    ax.set(xlabel="variance explained by emotion [%]", xlim=(0, right))
    ax.set(ylabel="variance explained by speaker [%]", ylim=(0, top))
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def _grid(n_rows: int, n_columns: int, *, height: float, **settings: Any) -> NDArray[Any]:
    """Return the Axes of a new figure as a table of n_rows and n_columns."""
    size = (WIDTH, height)
    return plt.subplots(n_rows, n_columns, figsize=size, squeeze=False, **settings)[1]


def _figure(ax: Axes) -> Figure:
    figure = ax.get_figure()
    if not isinstance(figure, Figure):
        raise ValueError("the axes are in a subfigure or in no figure: give axes of a figure")
    return figure


def _columns(waves: Series, *, sr: int, heights: Sequence[float]) -> NDArray[Any]:
    """Return a table of Axes with the waveforms in its first row and time at its foot."""
    axes = _grid(
        1 + len(heights),
        len(waves),
        height=0.85 + sum(heights),
        sharex="col",
        sharey="row",
        height_ratios=[0.55, *heights],
    )
    for ax, (emotion, y), colour in zip(axes[0], waves.items(), colours(waves), strict=True):
        # Each to its own height: beside a shout nothing would be seen of a whisper.
        dataset_without_features = y / np.abs(y).max(initial=_LEFT_OUT)
        signals.waveform(dataset_without_features, sr=sr, colour=colour, ax=ax)
        ax.set(title=emotion, xlabel="", ylabel="", yticks=[])
        ax.spines["left"].set_visible(False)
    for ax in axes[-1]:
        ax.set_xlabel("time [s]")
    return axes


def _middles(series: Array, sr: int, frame_length: int, hop_length: int) -> Array:
    """Return the time of the middle of every frame [s]."""
    return (np.arange(len(series)) * hop_length + frame_length / 2) / sr
