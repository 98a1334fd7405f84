"""Bars that are divided among emotions."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib.pyplot as plt
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from sercourse import plots


@pytest.fixture(autouse=True)
def _closed_figures() -> Iterator[None]:
    yield
    plt.close("all")


def test_pieces_follow_the_one_order_of_emotions_in_their_colours() -> None:
    ax = plots.emotion_shares({"a model": {"sad": 0.25, "happy": 0.25, "neutral": 0.5}})
    bars = [bar for bar in ax.patches if isinstance(bar, Rectangle)]
    pieces = [(bar.get_x(), bar.get_width(), to_hex(bar.get_facecolor())) for bar in bars]
    colours = plots.colours(["neutral", "happy", "sad"])
    assert pieces == [(0, 50, colours[0]), (50, 25, colours[1]), (75, 25, colours[2])]
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.texts] == ["neutral", "happy", "sad"]


def test_counts_are_scaled_and_narrow_pieces_have_no_number() -> None:
    ax = plots.emotion_shares({"one": {"happy": 1, "sad": 39}, "two": {"happy": 3, "sad": 1}})
    assert [text.get_text() for text in ax.texts] == ["98", "75", "25"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({}, "there is no row to draw"),
        ({"one": {"sad": 0.0}}, "the shares of 'one' sum to 0.0: give some above 0"),
        ({"one": {"sad": float("nan")}}, "the shares of 'one' sum to nan"),
    ],
)
def test_nothing_to_draw_is_refused(rows: dict[str, dict[str, float]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plots.emotion_shares(rows)
