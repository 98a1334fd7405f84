"""Pictures of many models side by side."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Annotation

from sercourse import plots
from sercourse.plots.leaderboard import pareto_front

mpl.use("Agg")


@pytest.fixture(autouse=True)
def _closed_figures() -> Iterator[None]:
    with mpl.rc_context():
        plots.use_style()
        yield
    plt.close("all")


def test_rows_that_are_not_complete_are_hollow() -> None:
    shares = {"accuracy": [0.6, 0.5], "low": [0.5, 0.4], "high": [0.7, 0.6]}
    table = pd.DataFrame(shares, index=["svm", "cnn"]).assign(
        complete=[True, False], note=["a", ""]
    )
    ax = plots.ranking(table, chance=0.2)
    full, hollow = (line for line in ax.lines if line.get_marker() == "o")
    assert full.get_markerfacecolor() != "white"
    assert hollow.get_markerfacecolor() == "white"
    assert [text.get_text() for text in ax.texts][:2] == ["60.0  a", "50.0"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1], "the first row should be at the top"


def test_two_questions_want_two_columns() -> None:
    with pytest.raises(ValueError, match="the table has 1 columns"):
        plots.two_questions(pd.DataFrame({"new": [0.5]}, index=["svm"]))


def test_only_what_is_clear_has_a_colour() -> None:
    gains = np.array([[0, -0.1, -0.3], [0.1, 0, -0.2], [0.3, 0.2, 0]])
    clear = np.abs(gains) > 0.15
    ax = plots.pair_gains(gains, clear=clear, names=["a", "b", "c"])
    shown = np.ma.filled(ax.images[-1].get_array(), np.nan)
    assert np.isnan(shown[1, 0])
    np.testing.assert_allclose(shown[2, :2], [30, 20])
    assert np.isnan(shown[np.triu_indices(3)]).all(), "each pair once"


def test_nothing_clear_at_all() -> None:
    ax = plots.pair_gains(np.zeros((2, 2)), clear=np.zeros((2, 2), dtype=bool), names=["a", "b"])
    ax.figure.draw_without_rendering()  # type: ignore[union-attr]
    assert [text.get_text() for text in ax.texts] == ["0"]


def test_no_label_covers_another_one_or_a_dot() -> None:
    rng = np.random.default_rng(0)
    names = [f"a-rather-long-name-{k}" for k in range(24)]
    price = pd.Series(10 ** rng.uniform(2, 6, 24), index=names)
    accuracy = pd.Series(rng.uniform(0.3, 0.7, 24), index=names)
    _, ax = plt.subplots(figsize=(7, 4.5))
    plots.trade_off(price, accuracy=accuracy, label="numbers", ax=ax)
    ax.figure.draw_without_rendering()  # type: ignore[union-attr]
    labels = [text for text in ax.texts if text.get_text()]
    assert len(labels) == 24
    boxes = [Annotation.get_window_extent(text) for text in labels]
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)
    dots = ax.transData.transform(np.column_stack([price, 100 * accuracy]))
    for box in boxes:
        assert not any(box.contains(*dot) for dot in dots)
        assert ax.get_window_extent().containsx(box.x0)
        assert ax.get_window_extent().containsx(box.x1)


def test_models_that_nothing_cheaper_beats() -> None:
    price = np.array([1.0, 2.0, 3.0, 3.0, 4.0])
    value = np.array([0.2, 0.5, 0.5, 0.4, 0.9])
    assert pareto_front(price, value).tolist() == [True, True, False, False, True]


def test_recalls_are_told_in_percent() -> None:
    table = pd.DataFrame({"happy": [0.5, 0.25], "sad": [1.0, 0.0]}, index=["svm", "cnn"])
    ax = plots.recall_map(table)
    assert [text.get_text() for text in ax.texts] == ["50", "100", "25", "0"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["svm", "cnn"]
