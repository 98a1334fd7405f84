"""Pictures of a search show the figures that they are given."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from sercourse import plots


@pytest.fixture(autouse=True)
def _close_figures() -> object:
    yield
    plt.close("all")


@pytest.fixture
def found() -> tuple[pd.DataFrame, pd.DataFrame]:
    tried = pd.DataFrame(
        {
            "estimator": ["svc", "svc", "knn", "mlp"],
            "uar": [0.5, 0.6, 0.4, 0.3],
            "error": [1, 2, 3, 4],
        }
    )
    best = pd.DataFrame(
        {"estimator": ["svc", "knn", "mlp"], "uar": [0.6, 0.4, 0.3], "test_uar": [0.2, 0.5, 0.3]}
    )
    return tried, best


def offsets(ax: plt.Axes, number: int) -> list[list[float]]:
    return ax.collections[number].get_offsets().tolist()


def test_every_candidate_is_a_dot_in_the_row_of_its_estimator(found: tuple) -> None:
    ax = plots.search_scores(*found, chance=1 / 3)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["svc", "knn", "mlp"]
    assert offsets(ax, 0) == [[50, 0], [60, 0], [40, 1], [30, 2]]
    assert offsets(ax, 2) == [[60, 0], [40, 1], [30, 2]]  # the first is a line between both
    assert offsets(ax, 3) == [[20, 0], [50, 1], [30, 2]]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the best is at the top
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels[-1] == "chance"
    assert "chance" not in [
        text.get_text() for text in plots.search_scores(*found).get_legend().get_texts()
    ]


def test_sizes_are_drawn_in_their_order_and_times_on_a_logarithmic_axis() -> None:
    table = pd.DataFrame(
        {"estimator": ["svc", "knn", "svc"], "n_clips": [90, 10, 30], "predict_ms": [3.0, 1.0, 2.0]}
    )
    ax = plots.size_curves(table, y="predict_ms")
    drawn = {line.get_label(): line.get_xydata().tolist() for line in ax.lines}
    assert drawn == {"knn": [[10, 1]], "svc": [[30, 2], [90, 3]]}
    assert ax.get_yscale() == "log"
    assert ax.get_ylabel().endswith("[ms]")


def test_values_stand_over_their_emotion_in_its_colour() -> None:
    truth = np.array(["happy", "sad", "happy"])
    ax = plots.values_by_code(
        np.array([1.5, 0.1, 2.5]), truth=truth, codes={"sad": 0, "neutral": 1, "happy": 2}
    )
    happy = ax.collections[4]  # dots and code of sad, of neutral, of happy
    assert happy.get_offsets()[:, 1].tolist() == [1.5, 2.5]
    assert np.abs(happy.get_offsets()[:, 0] - 2).max() < 0.4
    assert plt.matplotlib.colors.to_hex(happy.get_facecolor()[0]) == plots.EMOTION_COLOURS["happy"]
    assert ax.get_yticks().tolist() == [0, 1, 2]
