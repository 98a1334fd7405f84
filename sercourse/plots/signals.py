"""Pictures of one signal: its waveform, its spectrograms, and the coefficients made from them.

Time runs from left to right [s]; a column of an image is a frame, centred at its time.
"""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from sercourse.plots.style import INK, axes_or_new

PITCH_CLASSES = ("C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B")
"""The twelve notes of an octave, in the order of the rows of a chromagram."""

SPAN_DB = 70.0
"""How far below the loudest point a spectrogram shows anything [dB]."""

_STEP_DB = 5.0  # steps that the eye can count, and a picture a third of the size
_COLUMNS = 350  # half the pixels in the width of a picture: a longer signal becomes an envelope
_ALTERNATING = (INK, "#9aa7b5")
_FREQUENCY_TICKS = (0, 1_000, 2_000, 4_000, 8_000, 16_000)  # [Hz]


def waveform(
    y: NDArray[Any],
    *,
    sr: int,
    start: float = 0.0,
    colour: str = INK,
    ax: Axes | None = None,
) -> Axes:
    """Draw a signal over time; a long one as the band between its lowest and highest samples.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
        Signal, full scale is 1.
    sr : int
        Sampling rate [Hz].
    start : float
        Time of the first sample [s].
    colour : str
        Colour of the line.
    ax : Axes, optional
        Where to draw; a new figure unless given.

    Examples
    --------
    >>> waveform(np.sin(np.arange(100)), sr=100).get_xlabel()
    'time [s]'
    """
    ax = axes_or_new(ax)
    if len(y) <= 8 * _COLUMNS:
        ax.plot(start + np.arange(len(y)) / sr, y, color=colour)
    else:
        low, high, step = envelope(np.asarray(y))
        times = start + (np.arange(len(low)) + 0.5) * step / sr
        ax.fill_between(times, low, high, color=colour, linewidth=0.6, antialiased=False)
    ax.set(xlabel="time [s]", ylabel="amplitude", xlim=(start, start + len(y) / sr))
    return ax


def spectrogram(
    level: NDArray[Any],
    *,
    frequencies: NDArray[Any],
    sr: int,
    hop_length: int,
    top: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw levels over time and frequency, in steps of 5 dB, 70 dB deep.

    Rows are equally high whatever their frequencies: those of a Fourier transform give a linear
    axis, those of mel bands a mel axis.

    Parameters
    ----------
    level : ndarray, shape (n_rows, n_frames)
        Levels [dB].
    frequencies : ndarray, shape (n_rows,)
        Centre of each row [Hz], ascending.
    sr : int
        Sampling rate [Hz].
    hop_length : int
        Samples between two frames.
    top : float, optional
        Level of the lightest colour [dB]; the highest of `level` unless given. Pictures to be
        compared need the same.
    ax : Axes, optional
        Where to draw; a new figure unless given.

    Examples
    --------
    >>> ax = spectrogram(
    ...     np.zeros((5, 9)), frequencies=np.arange(5) * 1000.0, sr=8_000, hop_length=80
    ... )
    >>> [tick.get_text() for tick in ax.get_yticklabels()]
    ['0', '1', '2', '4']
    """
    top = float(np.max(level)) if top is None else top
    n_steps = round(SPAN_DB / _STEP_DB)
    ax = axes_or_new(ax)
    _image(ax, level, sr=sr, hop_length=hop_length, cmap=("magma", n_steps)).set_clim(
        top - SPAN_DB, top
    )
    _frequency_ticks(ax, np.asarray(frequencies, dtype=np.float64))
    return ax


def filter_bank(bank: NDArray[Any], *, frequencies: NDArray[Any], ax: Axes | None = None) -> Axes:
    """Draw the weights of the filters of a bank over frequency.

    Parameters
    ----------
    bank : ndarray, shape (n_filters, n_bins)
        Weights.
    frequencies : ndarray, shape (n_bins,)
        Frequency of each bin [Hz].
    ax : Axes, optional
        Where to draw; a new figure unless given.
    """
    ax = axes_or_new(ax)
    for number, weights in enumerate(bank):
        used = np.flatnonzero(weights)
        if not used.size:
            continue
        inside = slice(max(used[0] - 1, 0), used[-1] + 2)
        ax.plot(
            np.asarray(frequencies)[inside] / 1000, weights[inside], color=_ALTERNATING[number % 2]
        )
    ax.set(xlabel="frequency [kHz]", ylabel="weight", ylim=(0, None))
    ax.set_xlim(frequencies[0] / 1000, frequencies[-1] / 1000)
    return ax


def mfcc(coefficients: NDArray[Any], *, sr: int, hop_length: int, ax: Axes | None = None) -> Axes:
    """Draw cepstral coefficients over time: blue below zero, red above, white at it.

    Parameters
    ----------
    coefficients : ndarray, shape (n_mfcc, n_frames)
        Coefficients [dB]; the first row is number 1, as number 0, the mean level, would drown the
        others.
    sr, hop_length : int
        Sampling rate [Hz], samples between two frames.
    ax : Axes, optional
        Where to draw; a new figure unless given.
    """
    ax = axes_or_new(ax)
    limit = float(np.percentile(np.abs(coefficients), 99.5))
    image = _image(ax, coefficients, sr=sr, hop_length=hop_length, cmap=("RdBu_r", 17))
    image.set_clim(-limit, limit)
    numbers = np.arange(1, len(coefficients) + 1)
    shown = numbers % 3 == 1
    ax.set_yticks(numbers[shown] - 0.5, [str(number) for number in numbers[shown]])
    ax.set_ylabel("coefficient")
    return ax


def chroma(values: NDArray[Any], *, sr: int, hop_length: int, ax: Axes | None = None) -> Axes:
    """Draw how strong each of the twelve pitch classes is over time.

    Parameters
    ----------
    values : ndarray, shape (12, n_frames)
        From 0 to 1; the first row is C.
    sr, hop_length : int
        Sampling rate [Hz], samples between two frames.
    ax : Axes, optional
        Where to draw; a new figure unless given.
    """
    ax = axes_or_new(ax)
    image = _image(ax, values, sr=sr, hop_length=hop_length, cmap=("viridis", 10))
    image.set_clim(0.0, 1.0)
    shown = [row for row, name in enumerate(PITCH_CLASSES) if len(name) == 1]
    ax.set_yticks([row + 0.5 for row in shown], [PITCH_CLASSES[row] for row in shown])
    ax.set_ylabel("pitch class")
    return ax


def colour_bar(ax: Axes, *, label: str) -> Colorbar:
    """Put the scale of colours of the image on `ax` at its right.

    Raises
    ------
    ValueError
        If there is no image.
    """
    if not ax.images:
        raise ValueError("these axes hold no image: draw a spectrogram first")
    figure = ax.get_figure()
    if figure is None:
        raise ValueError("the axes were removed from their figure: give axes of a figure")
    bar = figure.colorbar(ax.images[-1], ax=ax, label=label, pad=0.01)
    bar.outline.set_visible(False)
    return bar


def time_axis(n_frames: int, *, sr: int, hop_length: int) -> NDArray[np.float64]:
    """Return the times at the centres of centred frames [s].

    Examples
    --------
    >>> time_axis(3, sr=16_000, hop_length=160)
    array([0.  , 0.01, 0.02])
    """
    return np.arange(n_frames) * hop_length / sr


def envelope(y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], int]:
    """Return the lowest and highest of every `step` samples, and that step, for 350 columns."""
    step = -(-len(y) // _COLUMNS)
    columns = np.pad(y, (0, -len(y) % step), mode="edge").reshape(-1, step)
    return columns.min(axis=1), columns.max(axis=1), step


def _image(
    ax: Axes, values: NDArray[Any], *, sr: int, hop_length: int, cmap: tuple[str, int]
) -> AxesImage:
    """Draw rows from bottom to top, each one unit high, over time."""
    times = time_axis(values.shape[1], sr=sr, hop_length=hop_length)
    half = hop_length / sr / 2
    image = ax.imshow(
        values,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        cmap=plt.get_cmap(*cmap),
        extent=(-half, times[-1] + half, 0, len(values)),
    )
    ax.set_xlim(0, times[-1])
    ax.set_xlabel("time [s]")
    return image


def _frequency_ticks(ax: Axes, frequencies: NDArray[np.float64]) -> None:
    first, last = 2 * frequencies[0] - frequencies[1], 2 * frequencies[-1] - frequencies[-2]
    known = np.concatenate([[first], frequencies, [last]])
    ticks = [tick for tick in _FREQUENCY_TICKS if first <= tick <= 1.01 * last]
    rows = np.interp(ticks, known, np.arange(len(known)) - 0.5).clip(0, len(frequencies))
    ax.set_yticks(rows, [f"{tick / 1000:g}" for tick in ticks])
    ax.set(ylabel="frequency [kHz]", ylim=(0, len(frequencies)))
