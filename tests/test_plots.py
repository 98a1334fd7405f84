"""Pictures show the figures that they are given, with units, in the colours of the emotions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex, to_rgb
from matplotlib.patches import Patch

from sercourse import labels, plots
from sercourse.labels import EMOTIONS

mpl.use("Agg")
pytestmark = pytest.mark.filterwarnings("error")

THREE = ("happy", "sad", "angry")
SCALE: dict[str, Any] = {"frequencies": np.arange(5) * 1e3, "sr": 8_000, "hop_length": 800}


@pytest.fixture(autouse=True)
def _drawn_and_closed() -> Iterator[None]:
    """Draw every figure at the end: matplotlib looks at layout and glyphs only then."""
    with mpl.rc_context():
        yield
        for number in plt.get_fignums():
            plt.figure(number).canvas.draw()
    plt.close("all")


def ticks(axis: Any) -> list[str]:
    return [label.get_text() for label in axis.get_ticklabels()]


def texts(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts]


def legend(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.get_legend().texts]


def segments(ax: Axes) -> np.ndarray:
    lines = [each for each in ax.collections if isinstance(each, LineCollection)]
    return np.array([segment for each in lines for segment in each.get_segments() if len(segment)])


# --- style ----------------------------------------------------------------------------------


COLOURS = tuple(plots.EMOTION_COLOURS.values())


@pytest.mark.parametrize("n_own", [0, 1, 2, 10])
def test_every_label_has_a_colour_of_its_own(n_own: int) -> None:
    names = [*EMOTIONS, *(f"höflich_{k}" for k in range(n_own))]
    shades = plots.palette(names[::-1])
    assert tuple(shades) == labels.in_order(names)
    assert {name: shades[name] for name in EMOTIONS} == plots.EMOTION_COLOURS
    rgb = np.array([to_rgb(colour) for colour in shades.values()])
    apart = np.abs(rgb[:, None] - rgb).sum(axis=2) + 9 * np.eye(len(rgb))
    assert apart.min() > 0.15


def test_neighbouring_emotions_differ_in_lightness() -> None:
    lightness = [0.299 * r + 0.587 * g + 0.114 * b for r, g, b in map(to_rgb, COLOURS)]
    assert np.abs(np.diff(lightness)).min() > 0.12


def test_colour_of_an_alias_and_of_nothing() -> None:
    assert plots.palette(["fear"]) == {"fearful": plots.EMOTION_COLOURS["fearful"]}
    assert plots.palette(["Höflich 0"]) == plots.palette(["höflich_0"])
    with pytest.raises(ValueError, match="no label"):
        plots.palette([""])


OWN = ("angry", "höflich", "stressed")


def test_pictures_of_labels_of_ones_own() -> None:
    table = {"start": [0.0], "end": [3.0], **{f"p_{name}": [1 / 3] for name in OWN}}
    ax = plots.emotions_over_time(pd.DataFrame(table), y=np.ones(24_000), sr=8_000)
    shown = {to_hex(each.get_facecolor()) for each in ax.figure.findobj(Patch)}
    assert set(plots.palette(OWN).values()) <= shown


def test_style_gives_pictures_of_700_pixels() -> None:
    plots.use_style()
    width, _ = plt.figure().get_size_inches() * mpl.rcParams["figure.dpi"]
    assert width == 700


# --- signals --------------------------------------------------------------------------------


def test_waveform_of_few_samples_is_a_line_in_seconds() -> None:
    ax = plots.waveform(np.array([0.0, 1.0, -1.0]), sr=2, start=10.0)
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[10, 0], [10.5, 1], [11, -1]])
    assert ax.get_xlim() == (10.0, 11.5)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time [s]", "amplitude")


def test_waveform_of_many_samples_keeps_every_peak() -> None:
    y = np.zeros(16_000)
    y[12_345], y[4_321] = 0.9, -0.7
    band = plots.waveform(y, sr=16_000).collections[0].get_paths()[0].vertices
    assert (band[:, 1].max(), band[:, 1].min()) == (0.9, -0.7)
    assert band[band[:, 1].argmax(), 0] == pytest.approx(12_345 / 16_000, abs=0.005)


def test_spans_share_a_row_only_where_they_do_not_overlap() -> None:
    parts = {"one": (0.0, 2.0), "two": (1.0, 3.0), "three": (2.0, 4.0)}
    ax = plots.spans(parts, ax=plots.waveform(np.zeros(30), sr=10))
    heights = [line.get_ydata()[0] for line in ax.lines[1:]]
    assert heights[0] == heights[2] < heights[1]
    assert (texts(ax), ax.get_xlim()) == (list(parts), (0, 4))


def test_spectrogram_puts_low_rows_below_and_frames_at_their_times() -> None:
    level = np.full((5, 3), -100.0)
    level[4, 2] = 7.0
    ax = plots.spectrogram(level, **SCALE)
    image = ax.images[0]
    assert image.origin == "lower"
    assert image.get_extent() == pytest.approx([-0.05, 0.25, 0.5, 5.5])
    assert image.get_clim() == (-63.0, 7.0)
    assert ax.get_xlim() == pytest.approx((0, 0.2))
    assert plots.spectrogram(level, top=0.0, **SCALE).images[0].get_clim() == (-70.0, 0.0)


def test_frequency_ticks_are_at_the_rows_of_their_frequencies() -> None:
    bands = np.array([100.0, 500.0, 1000.0, 2000.0, 4000.0])
    ax = plots.spectrogram(np.zeros((5, 2)), frequencies=bands, sr=16_000, hop_length=160)
    rows = dict(zip(ticks(ax.yaxis), ax.get_yticks(), strict=True))
    assert rows == pytest.approx({"0": 0.75, "1": 3, "2": 4, "4": 5})
    assert ax.get_ylabel() == "frequency [kHz]"


@pytest.mark.parametrize("with_waves", [False, True])
def test_spectrograms_share_their_scale_and_hide_what_is_left_over(with_waves: bool) -> None:
    levels = {name: np.full((5, 4), float(-k)) for k, name in enumerate(THREE)}
    waves = {name: np.ones(3200) for name in THREE} if with_waves else None
    axes = plots.spectrograms(levels, waves=waves, columns=2, **SCALE)
    assert {ax.images[0].get_clim() for ax in axes} == {(-70.0, 0.0)}
    drawn = [ax for ax in axes[0].figure.axes if ax.get_visible()]
    assert len(drawn) == 6 if with_waves else 3
    assert [ax.get_title(loc="left") or ax.get_title() for ax in drawn][:2] == ["happy", "sad"]
    assert axes[0].get_xlim() == pytest.approx((0, 0.4))


def test_descriptors_stand_under_their_waveform_at_the_middle_of_frames() -> None:
    waves = {"angry": np.ones(80), "sad": 0.1 * np.ones(80)}
    rows = {"energy [dB]": {"angry": np.array([1.0, 2.0]), "sad": np.array([3.0, 4.0])}}
    axes = plots.under_waveform(waves, rows, sr=10, frame_length=20, hop_length=10)
    assert axes.shape == (2, 2)
    line = axes[1, 1].lines[0]
    np.testing.assert_allclose(line.get_xydata(), [[1, 3], [2, 4]])
    assert line.get_color() == plots.EMOTION_COLOURS["sad"]
    assert np.abs(axes[0, 1].lines[0].get_ydata()).max() == pytest.approx(1)
    assert axes[1, 0].get_ylabel() == "energy [dB]"


# --- results --------------------------------------------------------------------------------


def test_series_stand_above_each_other_with_their_intervals_and_chance() -> None:
    told = {"accuracy": [0.7, 0.5], "low": [0.68, 0.45], "high": [0.72, 0.58], "chance": 0.2}
    first = pd.DataFrame(told, index=["known", "new"])
    second = pd.DataFrame({"accuracy": [0.6]}, index=["new"])
    ax = plots.intervals({"a": first, "b": second}, marks={"people": 0.67})
    assert ticks(ax.yaxis) == ["known", "new"]
    np.testing.assert_allclose(segments(ax)[:, :, 0], [[68, 72], [45, 58]])
    assert texts(ax) == ["70.0", "50.0", "60.0"]
    above, below = (line.get_xydata() for line in ax.lines if line.get_label() in ("a", "b"))
    assert above[1, 1] < below[0, 1]
    assert legend(ax) == ["a", "b", "chance", "people"]


def test_gains_are_open_where_the_interval_includes_zero() -> None:
    table = pd.DataFrame({"gain": [0.04, -0.02], "low": [0.01, -0.05], "high": [0.07, 0.01]})
    ax = plots.intervals({"noise": table.set_axis(["a", "b"])}, of="gain")
    assert texts(ax) == ["+4.0", "\N{MINUS SIGN}2.0"]
    (hollow,) = (line for line in ax.lines if line.get_markerfacecolor() == "white")
    np.testing.assert_allclose(hollow.get_xdata(), [-2])
    assert ax.get_xlabel().endswith("open: the interval includes 0; lines: intervals")
    zero = next(line for line in ax.lines if list(line.get_xdata()) == [0, 0])
    with plt.style.context("sercourse.plots"):
        assert zero.get_zorder() > plt.subplots()[1].xaxis.get_zorder()  # drawn above the grid
    assert ax.get_legend() is None


def test_more_series_than_can_be_told_apart_are_refused() -> None:
    table = pd.DataFrame({"accuracy": [0.5]}, index=["new"])
    with pytest.raises(ValueError, match="4 can be told apart: leave some of"):
        plots.intervals({f"model {k}": table for k in range(5)})
    with pytest.raises(ValueError, match=r"2 can be told apart: leave some of \['a', 'b', 'c'\]"):
        plots.intervals({"model": table}, marks=dict.fromkeys("abc", 0.5))


# --- emotions over time ---------------------------------------------------------------------

TIMELINE = pd.DataFrame(
    {
        "start": np.arange(8.0),
        "end": np.arange(8.0) + 3,
        "emotion": ["sad", "sad", "sad", None, None, "angry", "happy", "angry"],
        "p_sad": [0.7, 0.6, 0.9, np.nan, np.nan, 0.1, 0.3, 0.2],
        "p_happy": [0.2, 0.4, 0.1, np.nan, np.nan, 0.1, 0.4, 0.1],
        "p_angry": [0.1, 0.0, 0.0, np.nan, np.nan, 0.8, 0.3, 0.7],
        "note": ["", "", "", "silence", "silence", "", "", ""],
    }
)


def test_emotions_over_time_are_stacked_with_gaps(tmp_path: Path) -> None:
    TIMELINE.to_csv(tmp_path / "a.csv", index=False)
    ax = plots.emotions_over_time(pd.read_csv(tmp_path / "a.csv"))
    assert legend(ax) == list(THREE)
    steps = {to_rgb(patch.get_facecolor()): patch.get_data() for patch in ax.patches}
    happy, sad, angry = (steps[to_rgb(plots.EMOTION_COLOURS[name])] for name in THREE)
    # Cells end halfway between the middles of windows, the outer ones with the recording.
    np.testing.assert_allclose(happy.edges, [0, 2, 3, 4, 5, 6, 7, 8, 10])
    np.testing.assert_allclose(happy.values, 100 * TIMELINE["p_happy"])
    np.testing.assert_allclose(sad.baseline, happy.values)
    np.testing.assert_allclose(angry.values[[0, 1, 2, 5, 6, 7]], 100)
    assert np.isnan(angry.values[3:5]).all()
    assert "window of 3 s" in ax.get_xlabel()
    assert ax.get_xlim() == (0, 10)


def test_bands_carry_their_names_where_there_is_room() -> None:
    ax = plots.emotions_over_time(TIMELINE)
    names = [(text.get_text(), *text.get_position()) for text in ax.texts]
    at = [("happy", 2.5, 20), ("happy", 7.5, 20), ("sad", 3.5, 55), ("sad", 7.5, 55)]
    assert [name for name, *_ in names] == [*(name for name, *_ in at), "angry"]
    np.testing.assert_allclose([place for _, *place in names[:4]], [place for _, *place in at])
    assert {text.get_rotation() for text in ax.texts} == {0.0}
    often = pd.concat([TIMELINE] * 5, ignore_index=True)
    often = often.assign(start=np.arange(40.0), end=np.arange(40.0) + 3)
    upright = plots.emotions_over_time(often).texts  # a second is narrower than a name
    assert {text.get_rotation() for text in upright if text.get_text() == "happy"} == {90.0}


def test_the_waveform_has_the_colours_of_the_winners() -> None:
    rng = np.random.default_rng(0)
    ax = plots.emotions_over_time(TIMELINE, y=rng.uniform(-0.5, 0.5, 11_000), sr=1000)
    assert ax.get_xlim() == (0, 11)
    (top,) = ax.child_axes
    (lines,) = top.collections
    at = np.array([segment[0, 0] for segment in lines.get_segments()])
    shades = [to_rgb(colour) for colour in lines.get_colors()]
    for time, name in ((1.0, "sad"), (6.5, "angry"), (7.5, "happy")):
        assert shades[np.abs(at - time).argmin()] == to_rgb(plots.EMOTION_COLOURS[name])
    for time in (5.0, 10.5):  # in the pause, and after the last window
        assert shades[np.abs(at - time).argmin()] == to_rgb(plots.NOT_JUDGED)
    assert legend(ax) == [*THREE, "not judged"]


def test_what_lies_between_windows_is_a_gap() -> None:
    table = TIMELINE.assign(start=10 * TIMELINE["start"], end=10 * TIMELINE["start"] + 3)
    steps = plots.emotions_over_time(table).patches[0].get_data()
    np.testing.assert_allclose(steps.edges[:4], [0, 3, 10, 13])
    assert np.isnan(steps.values[1])


def test_an_hour_of_emotions_is_told_in_minutes() -> None:
    table = pd.concat([TIMELINE] * 450, ignore_index=True)
    table = table.assign(start=np.arange(3600.0), end=np.arange(3600.0) + 3)
    ax = plots.emotions_over_time(table, y=np.zeros(36_000), sr=10)
    assert ax.get_xlabel().startswith("time [min:s]")
    assert "30:00" in ticks(ax.xaxis)
    assert not texts(ax)  # no emotion lasts for as long as a letter is wide


@pytest.mark.parametrize("rows", [slice(0, 1), slice(3, 4)])
def test_one_window_over_time(rows: slice) -> None:
    ax = plots.emotions_over_time(TIMELINE[rows], y=np.zeros(30), sr=10)
    assert len(ax.patches) == 3


def test_emotions_over_time_refuse_what_has_none() -> None:
    with pytest.raises(ValueError, match=r"0 rows .* make it with Bundle\.predict_over_time"):
        plots.emotions_over_time(TIMELINE[:0])
    with pytest.raises(ValueError, match="no emotions over time"):
        plots.emotions_over_time(TIMELINE[["start", "end"]])
