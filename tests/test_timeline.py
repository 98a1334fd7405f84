"""Windows that slide over a signal, and what in them is speech."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sercourse import audio
from sercourse.bundles import timeline

SR = 16_000


def in_blocks(y: np.ndarray, sizes: list[int]) -> Iterator[np.ndarray]:
    """Cut a signal at these sizes, again and again."""
    at = 0
    while at < len(y):
        for size in sizes:
            yield y[at : at + size]
            at += size


def spans(seconds: float, *, every: float, window: float = 3.0) -> list[tuple[float, float]]:
    """Return where the windows of a signal of that length lie."""
    found = timeline.windows([np.zeros(round(seconds * 100))], sr=100, every=every, window=window)
    return [(each.start, each.end) for each in found]


@pytest.mark.parametrize(
    ("seconds", "every", "expected"),
    [
        (3.0, 1.0, [(0, 3)]),
        (5.0, 1.0, [(0, 3), (1, 4), (2, 5)]),
        (5.25, 1.0, [(0, 3), (1, 4), (2, 5)]),  # a rest of 0.25 s says nothing new
        (5.5, 1.0, [(0, 3), (1, 4), (2, 5), (2.5, 5.5)]),
        (2.0, 1.0, [(0, 2)]),
        (13.0, 5.0, [(0, 3), (5, 8), (10, 13)]),
        (12.0, 5.0, [(0, 3), (5, 8), (9, 12)]),
        (9.0, 5.0, [(0, 3), (5, 8)]),  # what lies between windows was not asked for
        (10.2, 5.0, [(0, 3), (5, 8)]),
        (2.0, 50.0, [(0, 2)]),
        (0.01, 1.0, [(0, 0.01)]),
        (0, 1.0, []),
    ],
)
def test_windows_cover_the_recording(
    seconds: float, every: float, expected: list[tuple[float, float]]
) -> None:
    assert spans(seconds, every=every) == [pytest.approx(each) for each in expected]


@given(
    n=st.integers(1, 3000),
    sizes=st.lists(st.integers(1, 700), min_size=1, max_size=4),
    every=st.floats(0.01, 9),
    window=st.floats(0.5, 8),
)
def test_windows_do_not_depend_on_blocks(
    n: int, sizes: list[int], every: float, window: float
) -> None:
    y = np.arange(n, dtype=np.float32)
    settings = {"sr": 100, "every": every, "window": window}
    whole = list(timeline.windows([y], **settings))
    pieces = list(timeline.windows(in_blocks(y, sizes), **settings))
    assert [each.start for each in whole] == [each.start for each in pieces]
    for one, other in zip(whole, pieces, strict=True):
        np.testing.assert_array_equal(one.y, other.y)
        # A window holds what lies between its start and its end.
        np.testing.assert_array_equal(one.y, y[round(100 * one.start) : round(100 * one.end)])


def test_a_window_comes_with_its_last_sample() -> None:
    seen = 0

    def source() -> Iterator[np.ndarray]:
        nonlocal seen
        while True:
            seen += 1
            yield np.zeros(100)

    stream = timeline.windows(source(), sr=100, every=1)
    for expected in (3, 4, 5):
        next(stream)
        assert seen == expected  # seconds


@pytest.mark.parametrize(
    ("setting", "values", "message"),
    [
        ("every", [0, -1, 0.001, 1e300, np.nan, np.inf], "0.01 to 3600 seconds"),
        ("window", [0, 0.1, 20, np.nan], "0.5 to 8 seconds"),
    ],
)
def test_steps_and_windows_out_of_range_are_refused(
    setting: str, values: list[float], message: str
) -> None:
    for value in values:
        with pytest.raises(ValueError, match=message):
            timeline.refuse_steps(**{"every": 1, setting: value})


def noise(colour: float, *, seed: int) -> np.ndarray:
    """Return 3 s of noise whose power falls as frequency to that power."""
    n = 3 * SR
    spectrum = np.fft.rfft(np.random.default_rng(seed).normal(size=n))
    spectrum *= np.maximum(np.fft.rfftfreq(n, 1 / SR), 20) ** (-colour / 2)
    y = np.fft.irfft(spectrum, n)
    return 0.01 * y / y.std()


@pytest.mark.parametrize("colour", [0, 1, 2], ids=["white", "pink", "brown"])
@pytest.mark.parametrize("seed", range(5))
def test_steady_noise_is_no_speech(colour: float, seed: int) -> None:
    steady = noise(colour, seed=seed)
    late, knock = steady.copy(), steady.copy()
    late[: 6_000 * (seed + 1)] = 0
    knock[40_000:41_000] *= 30
    for y in (steady, late, knock):
        assert timeline.measure(y, sr=SR)[1] == timeline.NO_SPEECH


@pytest.mark.parametrize(
    ("y", "note"),
    [
        (np.zeros(3 * SR), "silence"),
        (np.full(3 * SR, 0.3), "silence"),  # a constant cannot be heard
        (np.sin(np.arange(3 * SR) * 2 * np.pi * 50 / SR), "no speech"),
        (np.sin(np.arange(3_000)), "too short"),
        (np.full(3 * SR, np.nan), "NaN samples"),
        (np.zeros(0), "silence"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_what_is_no_speech_is_said(y: np.ndarray, note: str) -> None:
    assert timeline.measure(0.5 * y, sr=SR)[1] == note


@pytest.mark.parametrize("snr", [None, 20, 10])
def test_speech_is_heard_above_noise(ravdess_root: Path, snr: float | None) -> None:
    for path in sorted(ravdess_root.rglob("Actor_*/*"))[::60]:
        y = audio.pad(audio.trim(audio.read(path, sr=SR), sr=SR), length=3 * SR)
        if snr is not None:
            y = y + noise(1, seed=0) * 100 * y.std() * 10 ** (-snr / 20)
        assert timeline.measure(y, sr=SR)[1] in ("", "clipped"), path


def test_level_is_that_of_the_loudest_moments() -> None:
    y = np.zeros(3 * SR)
    y[SR : SR + 8_000] = 0.1 * np.sin(2 * np.pi * 200 * np.arange(8_000) / SR)
    level, _ = timeline.measure(y, sr=SR)
    assert level == pytest.approx(20 * np.log10(0.1 / np.sqrt(2)), abs=0.2)


def moment(start: float, level: float, p: tuple[float, float], note: str = "") -> timeline.Moment:
    return timeline.Moment(start, start + 3, level, np.array(p), note)


def test_only_what_is_far_below_the_loudest_judged_window_is_dropped() -> None:
    nothing = (np.nan, np.nan)
    heard = timeline.collect(
        [
            moment(0, -30, (0.6, 0.4)),
            moment(1, -74, (0.2, 0.8), "clipped"),
            moment(2, -76, (0.9, 0.1)),
            moment(3, 0, nothing, "no speech"),  # loud, but nobody speaks
        ],
        labels=("happy", "sad"),
    )
    assert heard.notes == ("", "clipped", "too quiet", "no speech")
    assert heard.emotions == ("happy", "sad", None, None)
    assert heard.judged.tolist() == [True, True, False, False]
    assert len(heard) == 4


def test_no_window_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="no samples"):
        timeline.collect([], labels=("a", "b"))


def test_table_has_blanks_where_nothing_was_judged() -> None:
    heard = timeline.collect(
        [moment(0, -30, (0.6, 0.4)), moment(1, -70, (np.nan, np.nan), "silence")],
        labels=("happy", "sad"),
    )
    assert heard.emotions == ("happy", None)
    table = heard.table()
    assert list(table.columns) == ["start", "end", "emotion", "p_happy", "p_sad", "note"]
    assert table["emotion"].isna().tolist() == [False, True]
    assert table["p_sad"].isna().tolist() == [False, True]
