from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex, to_rgb
from matplotlib.patches import Patch
from PIL import Image

from sercourse import labels, plots
from sercourse.labels import EMOTIONS

mpl.use("Agg")


@pytest.fixture(autouse=True)
def _closed_figures() -> Iterator[None]:
    with mpl.rc_context():
        yield
    plt.close("all")


def table(*rows: tuple[str, str, str], **columns: Any) -> pd.DataFrame:
    """Return a clip table from (clip_id, speaker, emotion); no gender or intensity unless given."""
    clips = pd.DataFrame(rows, columns=["clip_id", "speaker", "emotion"], dtype="string")
    for name in ("gender", "intensity"):
        clips[name] = pd.array(columns.get(name, [pd.NA] * len(clips)), dtype="string")
    return clips


def ticks(axis: Any) -> list[str]:
    return [label.get_text() for label in axis.get_ticklabels()]


# --- style ----------------------------------------------------------------------------------


def test_every_emotion_has_a_colour_of_its_own() -> None:
    assert tuple(plots.EMOTION_COLOURS) == EMOTIONS
    shades = np.array([to_rgb(colour) for colour in plots.EMOTION_COLOURS.values()])
    apart = np.abs(shades[:, None] - shades).sum(axis=2) + 9 * np.eye(len(shades))
    assert apart.min() > 0.2


def test_colour_of_an_alias_and_of_nothing() -> None:
    assert plots.colours(["fear"]) == [plots.EMOTION_COLOURS["fearful"]]
    with pytest.raises(ValueError, match="no label"):
        plots.colours([""])


@pytest.mark.parametrize("n_own", [1, 2, 10])
def test_labels_of_ones_own_have_colours_of_their_own(n_own: int) -> None:
    names = [*EMOTIONS, *(f"höflich_{k}" for k in range(n_own))]
    shades = plots.palette(names[::-1])
    assert tuple(shades) == labels.in_order(names)
    assert {name: shades[name] for name in EMOTIONS} == plots.EMOTION_COLOURS
    rgb = np.array([to_rgb(colour) for colour in shades.values()])
    apart = np.abs(rgb[:, None] - rgb).sum(axis=2) + 9 * np.eye(len(rgb))
    assert apart.min() > 0.15
    assert plots.colours(["Höflich 0"]) == [plots.palette(["höflich_0"])["höflich_0"]]


OWN = ("angry", "höflich", "stressed")


@pytest.mark.parametrize(
    "draw",
    [
        lambda: plots.emotion_counts(pd.DataFrame({"emotion": OWN, "intensity": pd.NA})),
        lambda: plots.speaker_counts(
            pd.DataFrame({"emotion": OWN, "speaker": "custom-eva-maria", "gender": pd.NA})
        ),
        lambda: plots.by_emotion([1.0, 2.0, 3.0], emotions=OWN, label="duration [s]"),
        lambda: plots.emotion_shares({"row": dict.fromkeys(OWN, 1)}),
        lambda: plots.emotions_over_time(
            pd.DataFrame({"start": [0.0], "end": [3.0], **{f"p_{name}": [1 / 3] for name in OWN}}),
            y=np.ones(24_000),
            sr=8_000,
        ),
        lambda: plots.values_by_code(
            np.arange(3.0), truth=np.array(OWN), codes={name: k for k, name in enumerate(OWN)}
        ),
    ],
)
def test_pictures_of_labels_of_ones_own(draw: Callable[[], Axes]) -> None:
    figure = draw().figure
    figure.canvas.draw()
    shown = {to_hex(each.get_facecolor()) for each in figure.findobj(Patch)}
    shown |= {to_hex(c) for each in figure.findobj(PathCollection) for c in each.get_facecolor()}
    assert set(plots.colours(OWN)) <= shown


def test_a_speaker_is_named_whole_without_the_corpus() -> None:
    clips = pd.DataFrame({"emotion": OWN, "speaker": "custom-eva-maria", "gender": pd.NA})
    assert ticks(plots.speaker_counts(clips).xaxis) == ["eva-maria"]


def test_style_gives_pictures_of_700_pixels() -> None:
    plots.use_style()
    width, _ = plt.figure().get_size_inches() * mpl.rcParams["figure.dpi"]
    assert width == 700


def test_compact_png_is_smaller_and_keeps_the_colour_of_small_marks() -> None:
    plots.use_style()
    fig, ax = plt.subplots()
    rng = np.random.default_rng(0)
    ax.imshow(rng.normal(size=(20, 60)), cmap="magma")
    ax.scatter(np.arange(9), np.arange(9), s=60, color=list(plots.EMOTION_COLOURS.values()))
    full = io.BytesIO()
    fig.savefig(full, format="png", bbox_inches="tight")
    small = plots.compact_png(fig)
    assert len(small) < 0.6 * len(full.getvalue())
    before = np.asarray(Image.open(full).convert("RGB")).astype(int)
    picture = Image.open(io.BytesIO(small))
    assert picture.mode == "P"
    after = np.asarray(picture.convert("RGB")).astype(int)
    for colour in plots.EMOTION_COLOURS.values():
        mark = (before == np.round(255 * np.array(to_rgb(colour)))).all(axis=2)
        assert mark.sum() > 20
        assert np.abs(after[mark] - before[mark]).max() <= 25, colour


# --- signals --------------------------------------------------------------------------------


def test_waveform_of_few_samples_is_a_line_in_seconds() -> None:
    ax = plots.waveform(np.array([0.0, 1.0, -1.0]), sr=2, start=10.0)
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[10, 0], [10.5, 1], [11, -1]])
    assert ax.get_xlim() == (10.0, 11.5)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time [s]", "amplitude")


def test_waveform_of_many_samples_keeps_every_peak() -> None:
    y = np.zeros(16_000)
    y[12_345], y[4_321] = 0.9, -0.7
    ax = plots.waveform(y, sr=16_000)
    band = ax.collections[0].get_paths()[0].vertices
    assert (band[:, 1].max(), band[:, 1].min()) == (0.9, -0.7)
    assert band[band[:, 1].argmax(), 0] == pytest.approx(12_345 / 16_000, abs=0.005)
    assert ax.get_xlim() == (0.0, 1.0)


def test_spectrogram_puts_low_rows_below_and_frames_at_their_times() -> None:
    level = np.full((5, 3), -100.0)
    level[4, 2] = 7.0
    ax = plots.spectrogram(level, frequencies=np.arange(5) * 1e3, sr=8_000, hop_length=800)
    image = ax.images[0]
    assert image.origin == "lower"
    assert image.get_extent() == pytest.approx([-0.05, 0.25, 0, 5])
    assert image.get_clim() == (-63.0, 7.0)
    assert ax.get_xlim() == pytest.approx((0, 0.2))


def test_spectrograms_to_be_compared_share_their_scale() -> None:
    quiet = np.full((4, 3), -90.0)
    settings = {"frequencies": np.arange(4) * 1e3, "sr": 8_000, "hop_length": 80}
    ax = plots.spectrogram(quiet, top=0.0, **settings)
    assert ax.images[0].get_clim() == (-70.0, 0.0)


def test_frequency_ticks_are_at_the_rows_of_their_frequencies() -> None:
    settings = {"sr": 16_000, "hop_length": 160}
    bands = np.array([100.0, 500.0, 1000.0, 2000.0, 4000.0])
    ax = plots.spectrogram(np.zeros((5, 2)), frequencies=bands, **settings)
    rows = dict(zip(ticks(ax.yaxis), ax.get_yticks(), strict=True))
    assert rows == pytest.approx({"0": 0.25, "1": 2.5, "2": 3.5, "4": 4.5})
    assert ax.get_ylabel() == "frequency [kHz]"


def test_filter_bank_draws_each_filter_where_it_is_not_zero() -> None:
    bank = np.array([[0, 1, 0, 0, 0, 0], [0, 0, 0, 0.5, 1, 0]])
    ax = plots.filter_bank(bank, frequencies=np.arange(6) * 1000.0)
    assert [list(line.get_xdata()) for line in ax.lines] == [[0, 1, 2], [2, 3, 4, 5]]
    assert ax.get_xlim() == (0.0, 5.0)


def test_mfcc_counts_from_one_and_is_white_at_zero() -> None:
    ax = plots.mfcc(np.linspace(-3, 9, 24).reshape(12, 2), sr=16_000, hop_length=160)
    assert ticks(ax.yaxis) == ["1", "4", "7", "10"]
    low, high = ax.images[0].get_clim()
    assert low == -high


def test_chroma_names_its_rows() -> None:
    ax = plots.chroma(np.zeros((12, 3)), sr=16_000, hop_length=160)
    named = dict(zip(ticks(ax.yaxis), ax.get_yticks(), strict=True))
    assert named["C"] == 0.5
    assert named["A"] == plots.PITCH_CLASSES.index("A") + 0.5 == 9.5
    assert ax.images[0].get_clim() == (0.0, 1.0)


def test_colour_bar_needs_an_image() -> None:
    ax = plots.waveform(np.zeros(4), sr=4)
    with pytest.raises(ValueError, match="hold no image"):
        plots.colour_bar(ax, label="level [dB]")
    ax = plots.chroma(np.zeros((12, 3)), sr=16_000, hop_length=160)
    assert plots.colour_bar(ax, label="share").ax.get_ylabel() == "share"


# --- corpora --------------------------------------------------------------------------------

CLIPS = table(
    ("c1", "x-01", "sad"),
    ("c2", "x-01", "sad"),
    ("c3", "x-01", "happy"),
    ("c4", "x-02", "sad"),
    ("c5", "x-02", "neutral"),
    gender=["male", "male", "male", "female", "female"],
    intensity=["strong", "normal", "normal", "strong", pd.NA],
)


def test_emotion_counts_are_in_canonical_order_and_split_by_intensity() -> None:
    ax = plots.emotion_counts(CLIPS)
    normal, strong = ax.containers[:2]
    assert ticks(ax.xaxis) == ["neutral", "happy", "sad"]
    assert [bar.get_height() for bar in normal] == [1, 1, 1]
    assert [bar.get_height() for bar in strong] == [0, 0, 2]
    assert [text.get_text() for text in ax.texts] == ["1", "1", "3"]


def test_emotion_counts_without_intensity_have_no_legend() -> None:
    ax = plots.emotion_counts(table(("c1", "x-1", "sad")))
    assert ax.get_legend() is None
    assert len(ax.containers) == 1


def test_speaker_counts_add_up() -> None:
    ax = plots.speaker_counts(CLIPS)
    assert ticks(ax.xaxis) == ["01\nm", "02\nf"]
    top = {bar.get_x(): bar.get_y() + bar.get_height() for bars in ax.containers for bar in bars}
    assert list(top.values()) == [3, 2]  # of each column, the bar drawn last


def test_boxes_stand_at_the_medians_in_canonical_order() -> None:
    values = [5.0, 1.0, 3.0, 10.0]
    ax = plots.by_emotion(values, emotions=["sad", "happy", "happy", "sad"], label="level [dB]")
    medians = [line for line in ax.lines if line.get_color() == "white"]
    assert [line.get_ydata()[0] for line in medians] == [2.0, 7.5]
    assert ticks(ax.xaxis) == ["happy", "sad"]


def test_speaker_grid_has_the_medians_white_in_the_middle_of_all() -> None:
    ax = plots.speaker_grid([1.0, 3.0, 8.0, 4.0, 5.0], clips=CLIPS, label="pitch [Hz]")
    cells = np.ma.filled(ax.images[0].get_array(), np.nan)
    np.testing.assert_array_equal(cells, [[5, np.nan, 4], [np.nan, 8, 2]])
    assert ticks(ax.yaxis) == ["02 f", "01 m"]
    assert ax.images[0].get_clim() == (1.0, 8.0)  # 4.5, and as far either way as 8 is


def test_clip_map_has_a_tile_for_every_clip() -> None:
    ax = plots.clip_map(CLIPS)
    tiles = np.ma.filled(ax.collections[0].get_array(), np.nan)
    np.testing.assert_array_equal(tiles, [[np.nan, 1, 2, 2], [0, np.nan, 2, np.nan]])
    assert ticks(ax.xaxis) == ["neutral", "happy", "sad"]
    assert ticks(ax.yaxis) == ["01 m", "02 f"]


def test_marks_are_on_their_tiles_and_not_on_each_other() -> None:
    marks = {"stereo": ["c3", "c4"], "twins": [], "odd name": ["c4"]}
    ax = plots.clip_map(CLIPS, marks=marks)
    stereo, odd = (np.asarray(drawn.get_offsets()) for drawn in ax.collections[1:])
    assert np.floor(stereo).tolist() == [[1, 0], [2, 1]]  # column, row
    assert np.floor(odd).tolist() == [[2, 1]]
    assert abs(stereo[1, 1] - odd[0, 1]) > 0.2
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.texts] == ["stereo (2)", "odd name (1)"]
