from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scipy.stats
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import to_rgb

from sercourse import evaluate, plots, splits
from sercourse.plots import over_time, results
from sercourse.plots.style import EMOTION_COLOURS

mpl.use("Agg")

EMOTIONS = ("happy", "sad", "angry")
CLIPS = pd.DataFrame(
    {
        "speaker": np.repeat(["x-1", "x-2", "x-3"], 6),
        "emotion": np.tile(["sad", "happy", "angry"], 6),
        "clip_id": [f"c{k}" for k in range(18)],
    }
)


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    plt.close("all")


def drawn(ax: Axes) -> None:
    """Let matplotlib complain: layout and glyphs are only looked at when a figure is drawn."""
    ax.figure.canvas.draw()


def texts(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts]


def legend(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.get_legend().texts]


def speaker_folds() -> list[splits.Fold]:
    return splits.make_folds(
        "speaker",
        y=CLIPS["emotion"].to_numpy(dtype=str),
        speakers=list(CLIPS["speaker"]),
        groups=CLIPS["clip_id"].to_numpy(dtype=str),
        corpus="x",
    )


@pytest.mark.filterwarnings("error")
def test_fold_map_colours_the_test_side_by_emotion() -> None:
    ax = plots.fold_map(speaker_folds(), clips=CLIPS)
    assert len(ax.images) == 3
    tiles = ax.images[1].get_array()[0]
    assert (tiles[:6] == to_rgb(results.PALE)).all()
    assert (tiles[12:] == to_rgb(results.PALE)).all()
    # Within a speaker the emotions stand in the one order, two clips of each.
    expected = [to_rgb(EMOTION_COLOURS[name]) for name in EMOTIONS for _ in range(2)]
    np.testing.assert_allclose(tiles[6:12], expected)
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["1", "2", "3"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["fold 1", "fold 2", "fold 3"]
    assert legend(ax) == ["training", *EMOTIONS]
    drawn(ax)


def test_fold_map_marks_clips_that_are_set_aside() -> None:
    fold = splits.Fold("one", np.arange(12), np.arange(14, 18), enrol=np.array([12, 13]))
    tiles = plots.fold_map([fold], clips=CLIPS).images[0].get_array()[0]
    assert np.count_nonzero((tiles == 0).all(axis=1)) == 2


COUNTS = np.array([[6, 2, 0], [0, 4, 0], [1, 0, 0]])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("of", "shown"),
    [
        ("count", ["6", "2", "0", "0", "4", "0", "1", "0", "0"]),
        ("recall", ["75", "25", "0", "0", "100", "0", "100", "0", "0"]),
        # Nobody was called angry, so that its precision is not defined and not written.
        ("precision", ["86", "33", "0", "67", "14", "0"]),
    ],
)
def test_confusion_by_count_recall_and_precision(of: str, shown: list[str]) -> None:
    ax = plots.confusion(COUNTS, emotions=EMOTIONS, of=of)
    assert texts(ax) == shown
    assert of in ax.get_title(loc="left") + ax.get_title()
    assert [tick.get_text() for tick in ax.get_yticklabels()] == list(EMOTIONS)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("answer", "truth")
    drawn(ax)


def test_confusion_rows_are_the_truth() -> None:
    counts = evaluate.confusion(["sad", "sad"], ["happy", "sad"], labels=EMOTIONS)
    ax = plots.confusion(counts, emotions=EMOTIONS)
    at = {text.get_position(): text.get_text() for text in ax.texts}
    assert at[0, 1] == "1"  # column happy, row sad
    assert at[1, 0] == "0"


def test_confusion_of_nothing_known_is_refused() -> None:
    with pytest.raises(ValueError, match="'f1': use one of count, recall, precision"):
        plots.confusion(COUNTS, emotions=EMOTIONS, of="f1")


@pytest.mark.filterwarnings("error")
def test_accuracies_draw_intervals_and_deviations() -> None:
    new = {"accuracy": 0.5, "chance": 0.2, "accuracy_interval": [0.45, 0.58]}
    known = {"accuracy": 0.7, "chance": 0.25, "accuracy_sd": 0.02}
    alone = {"accuracy": 0.6, "chance": 0.2, "accuracy_sd": None}
    ax = plots.accuracies({"a": {"known": known, "new": new}, "b": {"new": alone}})
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["known", "new"]
    ends = [line.get_segments()[0][:, 0] for line in ax.collections]
    np.testing.assert_allclose(ends, [[68, 72], [45, 58]])
    assert texts(ax) == ["70.0", "50.0", "60.0"]
    dots = [line.get_xydata()[0] for line in ax.lines if line.get_marker() == "o"]
    np.testing.assert_allclose([dot[0] for dot in dots], [70, 50, 60])
    assert dots[1][1] < 1 < dots[2][1], "two series should stand above each other"
    assert legend(ax) == ["a", "b", "chance"]
    drawn(ax)


def test_accuracies_take_what_evaluate_says() -> None:
    truth = np.tile(EMOTIONS, 6)
    p = pd.DataFrame({f"p_{name}": (truth == name).astype(float) for name in EMOTIONS})
    told = {"truth": truth, "fold": CLIPS["speaker"], "protocol": "speaker", "gender": pd.NA}
    predictions = CLIPS.assign(**told).join(p)
    ax = plots.accuracies({"svm": {"new": evaluate.summarize(predictions, emotions=EMOTIONS)}})
    assert texts(ax) == ["100.0"]


@pytest.mark.filterwarnings("error")
def test_speakers_are_drawn_from_worst_to_best_with_wilson_intervals() -> None:
    correct = np.array([True, False, False, False, True, True, False, True])
    speakers = np.array(["x-07"] * 4 + ["x-02"] * 4)
    genders = np.array(["male"] * 4 + ["female"] * 4)
    ax = plots.speaker_accuracy(correct, speakers=speakers, genders=genders)
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["07", "02"]
    assert legend(ax) == ["female", "male", "all clips"]
    (lines,) = [c for c in ax.collections if isinstance(c, LineCollection)]
    heights = [segment[:, 1] for segment in lines.get_segments()]
    expected = scipy.stats.binomtest(1, 4).proportion_ci(method="wilson")
    np.testing.assert_allclose(heights[0], [100 * expected.low, 100 * expected.high], rtol=1e-4)
    assert ax.lines[0].get_ydata()[0] == pytest.approx(50)
    drawn(ax)


def test_speakers_of_unknown_gender() -> None:
    ax = plots.speaker_accuracy(np.array([True, True]), speakers=np.array(["x-1", "x-2"]))
    dots = [c.get_offsets() for c in ax.collections if isinstance(c, PathCollection)]
    np.testing.assert_allclose(np.concatenate(dots), [[0, 100], [1, 100]])


@pytest.mark.filterwarnings("error")
def test_reliability_agrees_with_the_calibration_error() -> None:
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.3, 1, 300)
    sure[:3] = 1.0  # falls into the last bin, not beyond it
    correct = rng.uniform(size=300) < sure**2
    ax = plots.reliability(sure, correct=correct, n_bins=10)
    dots = ax.collections[1]
    points, areas = dots.get_offsets() / 100, dots.get_sizes()
    gaps = np.abs(points[:, 0] - points[:, 1])
    p = np.column_stack([sure, np.zeros(300)])
    error = evaluate.calibration_error(p, correct, n_bins=10)
    assert np.average(gaps, weights=areas) == pytest.approx(error)
    assert len(points) == 7
    drawn(ax)


@pytest.mark.filterwarnings("error")
def test_score_grid_frames_the_best() -> None:
    scores = np.array([[0.50, 0.55, 0.52], [0.51, 0.49, 0.61]])
    axis = {"rows": {"C": (1, 10)}, "columns": {"gamma": (0.0005, 0.005, 0.05)}}
    ax = plots.score_grid(scores, **axis)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("gamma", "C")
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["0.0005", "0.005", "0.05"]
    assert texts(ax)[-1] == "61"
    (frame,) = ax.lines
    assert frame.get_xdata().mean() == pytest.approx(2, abs=0.2)
    assert frame.get_ydata().mean() == pytest.approx(1, abs=0.2)
    assert ax.images[0].get_clim() == pytest.approx((49, 61))
    drawn(ax)


def test_score_grids_can_share_their_colours() -> None:
    axis = {"rows": {"C": (1,)}, "columns": {"gamma": (0.1, 1)}}
    ax = plots.score_grid(np.array([[0.4, 0.5]]), **axis, limits=(0.2, 0.9))
    assert ax.images[0].get_clim() == pytest.approx((20, 90))


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


@pytest.mark.filterwarnings("error")
def test_emotions_over_time_are_stacked_with_gaps() -> None:
    ax = plots.emotions_over_time(TIMELINE)
    assert legend(ax) == list(EMOTIONS)
    steps = {to_rgb(patch.get_facecolor()): patch.get_data() for patch in ax.patches}
    happy, sad, angry = (steps[to_rgb(EMOTION_COLOURS[name])] for name in EMOTIONS)
    # Cells end halfway between the middles of windows, the outer ones with the recording.
    np.testing.assert_allclose(happy.edges, [0, 2, 3, 4, 5, 6, 7, 8, 10])
    np.testing.assert_allclose(happy.baseline[~np.isnan(happy.values)], 0)
    np.testing.assert_allclose(happy.values, 100 * TIMELINE["p_happy"])
    np.testing.assert_allclose(sad.baseline, happy.values)
    np.testing.assert_allclose(angry.baseline, sad.values)
    np.testing.assert_allclose(angry.values[[0, 1, 2, 5, 6, 7]], 100)
    assert np.isnan(angry.values[3:5]).all()
    assert sorted(texts(ax)) == ["angry", "angry", "happy", "sad"]
    assert "window of 3 s" in ax.get_xlabel()
    assert ax.get_xlim() == (0, 10)
    drawn(ax)


@pytest.mark.filterwarnings("error")
def test_the_waveform_has_the_colours_of_the_winners() -> None:
    rng = np.random.default_rng(0)
    ax = plots.emotions_over_time(TIMELINE, y=rng.uniform(-0.5, 0.5, 11_000), sr=1000)
    assert ax.get_xlim() == (0, 11)
    (top,) = ax.child_axes
    (lines,) = top.collections
    at = np.array([segment[0, 0] for segment in lines.get_segments()])
    shades = [to_rgb(colour) for colour in lines.get_colors()]
    for time, name in ((1.0, "sad"), (6.5, "angry"), (7.5, "happy")):
        assert shades[np.abs(at - time).argmin()] == to_rgb(EMOTION_COLOURS[name])
    for time in (5.0, 10.5):  # in the pause, and after the last window
        assert shades[np.abs(at - time).argmin()] == to_rgb(over_time.UNHEARD)
    assert legend(ax) == [*EMOTIONS, "not judged"]
    assert texts(top)[0] == "sad"
    drawn(ax)


def test_what_lies_between_windows_is_a_gap() -> None:
    table = TIMELINE.assign(start=10 * TIMELINE["start"], end=10 * TIMELINE["start"] + 3)
    steps = plots.emotions_over_time(table).patches[0].get_data()
    np.testing.assert_allclose(steps.edges[:4], [0, 3, 10, 13])
    assert np.isnan(steps.values[1])


@pytest.mark.filterwarnings("error")
def test_an_hour_of_emotions_is_told_in_minutes() -> None:
    table = pd.concat([TIMELINE] * 450, ignore_index=True)
    table = table.assign(start=np.arange(3600.0), end=np.arange(3600.0) + 3)
    ax = plots.emotions_over_time(table, y=np.zeros(36_000), sr=10)
    assert ax.get_xlabel().startswith("time [min:s]")
    assert "10:00" in [tick.get_text() for tick in ax.get_xticklabels()]
    drawn(ax)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("rows", [slice(0, 1), slice(3, 4)])
def test_one_window_over_time(rows: slice) -> None:
    drawn(plots.emotions_over_time(TIMELINE[rows], y=np.zeros(30), sr=10))


def test_emotions_over_time_read_from_a_file_look_the_same(tmp_path: Path) -> None:
    TIMELINE.to_csv(tmp_path / "a.csv", index=False)
    again = plots.emotions_over_time(pd.read_csv(tmp_path / "a.csv"))
    assert texts(again) == texts(plots.emotions_over_time(TIMELINE))


def test_emotions_over_time_refuse_what_has_none() -> None:
    with pytest.raises(ValueError, match=r"0 rows .* make it with Bundle\.predict_over_time"):
        plots.emotions_over_time(TIMELINE[:0])
    with pytest.raises(ValueError, match="no emotions over time"):
        plots.emotions_over_time(TIMELINE[["start", "end"]])
    with pytest.raises(ValueError, match="give sr"):
        plots.emotions_over_time(TIMELINE, y=np.zeros(100))
