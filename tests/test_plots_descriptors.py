from __future__ import annotations

from collections.abc import Iterator

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex

from sercourse.plots import descriptors
from sercourse.plots.style import EMOTION_COLOURS

mpl.use("Agg")

SR = 16_000
CUTTING = {"sr": SR, "frame_length": 400, "hop_length": 160}
RNG = np.random.default_rng(0)
WAVES = {"angry": RNG.uniform(-1, 1, 8_000), "sad": RNG.uniform(-0.1, 0.1, 6_400)}
N_FRAMES = {emotion: 1 + (len(y) - 400) // 160 for emotion, y in WAVES.items()}


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    plt.close("all")


def series(shift: float = 0.0) -> dict[str, np.ndarray]:
    return {emotion: shift + np.arange(n) / n for emotion, n in N_FRAMES.items()}


def drawn(ax: Axes) -> None:
    """Let matplotlib complain: layout and glyphs are only looked at when a figure is drawn."""
    ax.figure.canvas.draw()


@pytest.mark.filterwarnings("error")
def test_spectra_name_their_curves_and_units() -> None:
    frequencies = np.array([0.0, 4_000.0, 8_000.0])
    levels = {"before": np.array([0.0, -10, -20]), "after": np.array([-30.0, -10, 0])}
    ax = descriptors.spectra(levels, frequencies=frequencies)
    assert ax.get_xlabel() == "frequency [kHz]"
    assert ax.get_ylabel() == "level [dB]"
    assert [text.get_text() for text in ax.get_legend().texts] == ["before", "after"]
    np.testing.assert_allclose(ax.lines[1].get_xdata(), [0, 4, 8])
    np.testing.assert_allclose(ax.lines[1].get_ydata(), levels["after"])
    drawn(ax)


def test_one_spectrum_needs_no_legend() -> None:
    ax = descriptors.spectra({"gain": np.zeros(3)}, frequencies=np.arange(3))
    assert ax.get_legend() is None


@pytest.mark.filterwarnings("error")
def test_framing_draws_four_frames_where_they_start() -> None:
    window = np.hamming(400)
    y = WAVES["angry"]
    ax = descriptors.framing(y, sr=SR, window=window, hop_length=160, start=320)
    assert [text.get_text() for text in ax.texts] == [f"frame {number}" for number in range(4)]
    np.testing.assert_allclose([line.get_xdata()[0] for line in ax.lines[1:]], [0, 10, 20, 30])
    shown = ax.lines[0].get_ydata()
    assert len(shown) == 3 * 160 + 400
    np.testing.assert_allclose(shown / shown[0], y[320:1200] / y[320])
    assert "[ms]" in ax.get_xlabel()
    drawn(ax)


def test_framing_at_the_end_of_a_clip_draws_its_last_frames() -> None:
    y = WAVES["angry"]
    ax = descriptors.framing(y, sr=SR, window=np.hamming(400), hop_length=160, start=7_900)
    shown = ax.lines[0].get_ydata()
    np.testing.assert_allclose(shown / shown[0], y[-880:] / y[-880])


@pytest.mark.parametrize("y", [np.zeros(8_000), np.ones(500)])
def test_framing_of_silence_and_of_a_short_clip(y: np.ndarray) -> None:
    ax = descriptors.framing(y, sr=SR, window=np.hamming(400), hop_length=160)
    shown = ax.lines[0].get_ydata()
    assert len(shown) == 880
    assert np.isfinite(shown).all()


@pytest.mark.filterwarnings("error")
def test_windows_show_that_hamming_leaks_less() -> None:
    named = {"plain": np.ones(400), "Hamming": np.hamming(400)}
    shape, leakage = descriptors.windows(named, sr=SR, tone=1_020)
    np.testing.assert_allclose(shape.lines[1].get_ydata(), named["Hamming"])
    plain, hamming = leakage.lines
    far = plain.get_xdata() > 1.2
    assert hamming.get_ydata()[far].max() < plain.get_ydata()[far].max() - 15
    peak = hamming.get_xdata()[np.argmax(hamming.get_ydata())]
    assert peak == pytest.approx(1.02, abs=0.005)
    drawn(shape)


@pytest.mark.filterwarnings("error")
def test_descriptors_lie_under_their_waveform_in_the_colour_of_the_emotion() -> None:
    axes = descriptors.under_waveform(WAVES, {"x [s]": series(), "y": series(1)}, **CUTTING)
    assert axes.shape == (3, 2)
    assert [ax.get_title(loc="left") or ax.get_title() for ax in axes[0]] == ["angry", "sad"]
    assert axes[1, 0].get_ylabel() == "x [s]"
    assert axes[2, 1].get_xlabel() == "time [s]"
    for column, emotion in enumerate(WAVES):
        (line,) = axes[2, column].lines
        assert to_hex(line.get_color()) == EMOTION_COLOURS[emotion]
        np.testing.assert_allclose(line.get_ydata(), series(1)[emotion])
        np.testing.assert_allclose(line.get_xdata()[:2], [0.0125, 0.0225])
        assert axes[2, column].get_xlim() == (0, len(WAVES[emotion]) / SR)
    assert axes[1, 0].get_ylim() == axes[1, 1].get_ylim()
    drawn(axes[0, 0])


def test_one_clip_is_enough() -> None:
    axes = descriptors.under_waveform(
        {"happy": WAVES["sad"]}, {"x": {"happy": series()["sad"]}}, **CUTTING
    )
    assert axes.shape == (2, 1)


def test_band_lies_between_its_borders() -> None:
    axes = descriptors.under_waveform(WAVES, {"x": series()}, **CUTTING)
    descriptors.band(axes[1], low=series(-1), high=series(1), **CUTTING)
    for ax, emotion in zip(axes[1], WAVES, strict=True):
        (area,) = ax.collections
        corners = area.get_paths()[0].vertices
        assert corners[:, 1].min() == pytest.approx(series(-1)[emotion].min())
        assert corners[:, 1].max() == pytest.approx(series(1)[emotion].max())


@pytest.mark.filterwarnings("error")
def test_coefficients_of_all_clips_share_a_scale() -> None:
    tables = {emotion: RNG.normal(0, 30, (n, 12)) for emotion, n in N_FRAMES.items()}
    axes = descriptors.coefficients(WAVES, tables, sr=SR, hop_length=160)
    first, second = (ax.images[0] for ax in axes[1])
    assert first.get_clim() == second.get_clim()
    assert first.get_clim()[0] == -first.get_clim()[1]
    np.testing.assert_array_equal(second.get_array(), tables["sad"].T)
    drawn(axes[0, 0])


@pytest.mark.filterwarnings("error")
def test_shape_of_spectrum_marks_centroid_and_rolloff_in_kilohertz() -> None:
    ax = descriptors.shape_of_spectrum(
        np.linspace(1, 0, 200), sr=SR, centroid=0.25, spread=0.1, rolloff=0.5
    )
    _, centroid, rolloff = ax.lines
    assert centroid.get_xdata()[0] == pytest.approx(2)
    assert rolloff.get_xdata()[0] == pytest.approx(4)
    names = [text.get_text() for text in ax.get_legend().texts]
    assert sorted(names) == ["centroid", "centroid ± spread", "roll-off"]
    drawn(ax)


@pytest.mark.filterwarnings("error")
def test_distribution_marks_statistics_on_both_sides() -> None:
    values = RNG.normal(2, 1, 300)
    course, histogram = descriptors.distribution(
        values, {"mean": 2.0, "p99": 4.0}, hop_seconds=0.01, label="centroid [kHz]"
    )
    assert course.get_ylabel() == "centroid [kHz]"
    assert course.lines[0].get_xdata()[-1] == pytest.approx(2.99)
    assert [line.get_ydata()[0] for line in course.lines[1:]] == [2, 4]
    assert [text.get_text() for text in histogram.get_legend().texts] == ["mean", "p99"]
    assert sum(bar.get_width() for bar in histogram.patches) == 300
    drawn(course)


@pytest.mark.filterwarnings("error")
def test_table_writes_what_matters_and_leaves_the_undefined_white() -> None:
    shares = np.array([[0.5, np.nan], [0.02, 0.104]])
    ax = descriptors.table_of_shares(
        shares, rows=["zcr", "energy"], columns=["mean", "std"], label="explained", above=0.05
    )
    assert {text.get_position(): text.get_text() for text in ax.texts} == {
        (0, 0): "50",
        (1, 1): "10",
    }
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["zcr", "energy"]
    drawn(ax)


@pytest.mark.filterwarnings("error")
def test_emotion_against_speaker_draws_every_feature_once() -> None:
    emotion, speaker = np.array([0.1, 0.3, 0.2]), np.array([0.4, 0.1, 0.2])
    families = {"wave": np.array([True, False, True]), "MFCC": np.array([False, True, False])}
    ax = descriptors.emotion_against_speaker(
        emotion=emotion, speaker=speaker, families=families, chance=0.05
    )
    dots = [c.get_offsets() for c in ax.collections if isinstance(c, PathCollection)]
    np.testing.assert_allclose(np.concatenate(dots), [[10, 40], [20, 20], [30, 10]])
    assert ax.lines[1].get_xdata()[0] == pytest.approx(5)
    assert "[%]" in ax.get_xlabel()
    assert "[%]" in ax.get_ylabel()
    drawn(ax)
