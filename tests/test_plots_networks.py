"""Pictures of networks."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from sercourse.plots import networks as plots


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def test_learning_curves_start_at_epoch_one_and_name_their_marks() -> None:
    curves = {"training": [2.0, 1.0, 0.5], "new voices": [2.1, 1.5, 1.7]}
    ax = plots.learning_curves(curves, marks={"lowest": 2}, label="loss [nats]")
    for line, values in zip(ax.lines, curves.values(), strict=False):
        np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3])
        np.testing.assert_array_equal(line.get_ydata(), values)
    assert [text.get_text() for text in ax.get_legend().texts] == list(curves)
    assert ax.lines[-1].get_xdata()[0] == 2
    assert (ax.get_ylabel(), ax.texts[0].get_text()) == ("loss [nats]", "lowest")


def test_learning_curves_keep_their_marks_inside() -> None:
    ax = plots.learning_curves({"training": np.ones(40)}, marks={"at the very end": 40})
    ax.figure.canvas.draw()
    assert ax.texts[0].get_window_extent().x1 <= ax.get_window_extent().x1
    assert len(ax.get_xticks()) <= plots.MOST_TICKS


@pytest.mark.parametrize("curves", [{}, {"training": []}])
def test_learning_curves_need_an_epoch(curves) -> None:
    with pytest.raises(ValueError, match="no epoch"):
        plots.learning_curves(curves)


def test_occlusion_lies_over_the_spectrogram_and_is_centred_on_zero() -> None:
    level = np.linspace(-70, 0, 40 * 8).reshape(40, 8)
    drop = np.zeros((10, 4))
    drop[2, 3] = 30.0
    ax = plots.occlusion(drop, level=level, seconds=0.4, bands_hz=np.geomspace(100, 8000, 8))
    below, above = ax.images
    assert below.get_extent() == above.get_extent() == [0, 0.4, 0, 8]
    np.testing.assert_array_equal(above.get_array(), drop.T)
    assert (above.norm.vmin, above.norm.vmax) == (-50, 50)  # in steps of 10, as 30 / 5 is 6
    assert above.get_alpha()[3, 2] > 0.5
    assert np.count_nonzero(above.get_alpha()) == 1, "where nothing is lost, the picture is seen"
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["0.5", "1", "2", "4"]


def test_occlusion_of_nothing_can_be_drawn() -> None:
    level = np.full((4, 8), -70.0)
    ax = plots.occlusion(np.zeros((2, 2)), level=level, seconds=1, bands_hz=np.arange(8) * 1e3)
    ax.figure.canvas.draw()


def test_gains_tell_clear_steps_from_others() -> None:
    table = pd.DataFrame(
        {"gain": [0.1, 0.01, -0.1], "low": [0.05, -0.02, -0.2], "high": [0.15, 0.04, -0.05]},
        index=["up", "nothing", "down"],
    )
    ax = plots.gains(table)
    shades = [to_hex(lines.get_color()[0]) for lines in ax.collections]
    assert shades == [plots.BETTER, plots.GREY, plots.WORSE]
    assert [text.get_text() for text in ax.texts] == ["+10.0", "+1.0", "-10.0"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["up", "nothing", "down"]


def test_an_ablation_tells_clear_gains_from_others_in_each_setting() -> None:
    table = pd.DataFrame(
        {"gain": [0.1, 0.01], "low": [0.05, -0.02], "high": [0.15, 0.04]}, index=["up", "nothing"]
    )
    repeats = {"new voices": {"up": [0.08, 0.12]}}
    ax = plots.ablation({"new voices": table, "known voices": table.iloc[:1]}, repeats=repeats)
    dots = {
        (round(float(line.get_xdata()[0]), 6), line.get_markerfacecolor() == "white")
        for line in ax.lines
        if line.get_marker() == "o" and len(line.get_xdata())
    }
    assert dots == {(10.0, False), (1.0, True)}
    ticks = [line.get_xdata().tolist() for line in ax.lines if line.get_marker() == "|"]
    assert ticks == [[8.0, 12.0]]
    ends = sorted(tuple(each.get_segments()[0][:, 0].round(6)) for each in ax.collections)
    assert ends == [(-2.0, 4.0), (5.0, 15.0), (5.0, 15.0)]
    assert [text.get_text() for text in ax.get_legend().texts] == ["new voices", "known voices"]
    heights = [each.get_segments()[0][0, 1] for each in ax.collections]
    assert len(set(heights)) == 3  # no interval hides another one
