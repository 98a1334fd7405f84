from __future__ import annotations

from collections.abc import Iterator

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex

from sercourse.plots import spectrograms

mpl.use("Agg")

SR, HOP = 16_000, 160
SCALE = {"frequencies": np.linspace(100, 7_900, 40), "sr": SR, "hop_length": HOP}
RNG = np.random.default_rng(0)
LEVEL = RNG.uniform(-70, 0, (384, 40))

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    plt.close("all")


def drawn(ax: Axes) -> None:
    """Let matplotlib complain: layout and glyphs are only looked at when a figure is drawn."""
    ax.figure.canvas.draw()


def test_time_runs_from_left_to_right() -> None:
    ax = spectrograms.log_mel(LEVEL, **SCALE)
    np.testing.assert_array_equal(ax.images[0].get_array(), LEVEL.T)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time [s]", "frequency [kHz]")
    assert ax.get_xlim()[1] == pytest.approx(383 * HOP / SR)
    drawn(ax)


def test_pictures_to_be_compared_share_their_levels() -> None:
    ax = spectrograms.log_mel(LEVEL, top=10.0, **SCALE)
    assert ax.images[0].get_clim() == (-60, 10)


def test_cuts_stand_where_they_start_and_end() -> None:
    y = RNG.uniform(-0.3, 0.3, 2 * SR)
    ax = spectrograms.cuts(y, sr=SR, spans={"words": (0.4, 1.7), "fixed": (0.5, 3.5)})
    shown = [list(line.get_xdata()) for line in ax.lines]
    assert shown == [[0.4, 1.7], [0.5, 2.0], [2.0, 3.5]]
    assert [line.get_linestyle() for line in ax.lines] == ["-", "-", ":"], "padding is not marked"
    assert ax.get_xlim()[1] > 3.5
    assert max(abs(tick) for tick in ax.get_yticks()) < 0.4, "amplitudes stand where no signal is"
    drawn(ax)


def test_cuts_of_silence_can_be_drawn() -> None:
    drawn(spectrograms.cuts(np.zeros(SR), sr=SR, spans={"all": (0, 1)}))


def strips(ax: Axes) -> dict[str, list[tuple[float, float]]]:
    """Return the stretches of each strip by its name [frames]."""
    return {
        str(each.get_label()): [
            tuple(np.round(path.vertices[:, 0].take([0, 2]) * SR / HOP + 0.5).tolist())
            for path in each.get_paths()
        ]
        for each in ax.collections
        if isinstance(each, PolyCollection)
    }


def test_windows_and_the_frames_that_two_of_them_see() -> None:
    ax = spectrograms.rolling_windows(LEVEL, length=128, step=64, **SCALE)
    assert [text.get_text() for text in ax.texts] == [f"window {k}" for k in range(1, 6)]
    starts = [line.get_xdata()[0] * SR / HOP + 0.5 for line in ax.lines]
    np.testing.assert_allclose(starts, [0, 64, 128, 192, 256])
    assert strips(ax) == {"seen once": [(0, 64), (320, 384)], "seen twice": [(64, 320)]}
    drawn(ax)


def test_windows_side_by_side_see_no_frame_twice() -> None:
    ax = spectrograms.rolling_windows(LEVEL, length=128, step=128, **SCALE)
    assert strips(ax) == {"seen once": [(0, 384)], "seen twice": []}


def test_a_spectrogram_shorter_than_a_window_is_refused() -> None:
    with pytest.raises(ValueError, match="100 frames hold no window of 128"):
        spectrograms.rolling_windows(LEVEL[:100], length=128, step=64, **SCALE)


def test_pictures_share_a_scale_and_label_only_the_border() -> None:
    levels = {f"picture {k}": LEVEL - 10 * k for k in range(5)}
    axes = spectrograms.pictures(levels, columns=3, **SCALE)
    assert axes.shape == (2, 3)
    assert [ax.get_visible() for ax in axes.flat] == [True] * 5 + [False]
    where = plt.rcParams["axes.titlelocation"]  # the course's style moves titles to the left
    assert [ax.get_title(loc=where) for ax in axes.flat[:5]] == list(levels)
    assert len({ax.images[0].get_clim() for ax in axes.flat[:5]}) == 1
    assert [bool(ax.get_ylabel()) for ax in axes.flat[:5]] == [True, False, False, True, False]
    # The third column ends after its first row.
    assert [bool(ax.get_xlabel()) for ax in axes.flat[:5]] == [False, False, True, True, True]
    drawn(axes[0, 0])


def test_sounds_stand_above_their_spectrograms() -> None:
    waves = {"clean": RNG.uniform(-0.1, 0.1, SR), "noisy": RNG.uniform(-1, 1, 2 * SR)}
    levels = {"noisy": LEVEL[:200], "clean": LEVEL[:100] - 5}
    axes = spectrograms.sounds(waves, levels, colour="#b81d2c", **SCALE)
    assert axes.shape == (2, 2)
    np.testing.assert_array_equal(axes[1, 0].images[0].get_array(), levels["clean"].T)
    assert {ax.get_xlim() for ax in axes.flat} == {(0, 2)}, "the scale of time differs"
    assert axes[0, 0].get_ylim() == axes[0, 1].get_ylim(), "the scale of amplitude differs"
    assert axes[1, 0].images[0].get_clim() == axes[1, 1].images[0].get_clim()
    assert to_hex(axes[0, 0].collections[0].get_facecolor()[0]) == "#b81d2c"
    drawn(axes[0, 0])


def test_a_sound_without_a_spectrogram_is_named() -> None:
    with pytest.raises(ValueError, match="no spectrogram for 'noisy'"):
        spectrograms.sounds({"noisy": np.ones(SR)}, {"clean": LEVEL}, **SCALE)
