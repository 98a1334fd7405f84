"""Changes of a signal before its features."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.signal
import soundfile as sf
import sounds

from sercourse import augment, corpora, files
from sercourse.features import Change, extract, feature_table, named, with_changes, with_noise
from sercourse.features.spectrogram import log_mel

SR = 44_100
voice = partial(sounds.voice, sr=SR)


def test_rows_of_the_sample_are_remembered(sample_aesdd: Path, tmp_path: Path) -> None:
    clips = corpora.scan(sample_aesdd, corpus="aesdd").clips.head(3)
    chosen = with_changes(named("mel-segments"), [Change("shift", -0.5, 0.5, draw=1)])
    first = feature_table(clips, feature_set=chosen, cache=tmp_path)
    again = feature_table(clips, feature_set=chosen, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    np.testing.assert_array_equal(first.X, again.X, strict=True)
    plain = feature_table(clips, feature_set=named("mel-segments"), cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    assert np.abs(plain.X - first.X).max() > 10


def test_changes_are_those_of_augment() -> None:
    y = voice(1)
    for change, expected in [
        (Change("pitch", -4, -4), augment.pitch_shift(y, sr=SR, semitones=-4)),
        (Change("stretch", 1.2, 1.2), augment.time_stretch(y, sr=SR, rate=1.2)),
        (Change("shift", 0.25, 0.25), augment.shift_time(y, sr=SR, seconds=0.25)),
        (Change("band", 4000, 4000), augment.limit_band(y, sr=SR, highest=4000)),
    ]:
        np.testing.assert_array_equal(change.applied(y, sr=SR), expected, strict=True)
    noisy = Change("noise", 15, 15).applied(y, sr=SR)
    assert augment.snr_db(y, noisy) == pytest.approx(15, abs=1e-3)


def test_a_third_of_an_octave_is_four_semitones_either_way() -> None:
    t = np.arange(SR) / SR
    for semitones, expected in ((-4, 300 * 2 ** (-1 / 3)), (4, 300 * 2 ** (1 / 3))):
        y = Change("pitch", semitones, semitones).applied(np.sin(2 * np.pi * 300 * t), sr=SR)
        frequency, power = scipy.signal.periodogram(y, SR)
        assert frequency[power.argmax()] == pytest.approx(expected, rel=0.01)


def test_amounts_follow_from_draw_and_clip() -> None:
    y, other = voice(1), voice(1, seed=1)

    def length(y: np.ndarray, draw: int) -> int:
        return len(Change("stretch", 0.8, 1.25, draw=draw).applied(y, sr=SR))

    assert length(y, 0) == length(y.copy(), 0)
    assert len({length(y, 0), length(y, 1), length(other, 0)}) == 3
    lengths = [length(y, draw) for draw in range(20)]
    assert SR / 1.25 <= min(lengths) < 0.95 * SR < 1.05 * SR < max(lengths) <= SR / 0.8


def test_changes_follow_one_another_and_leave_the_signal() -> None:
    y = voice(2, sr=16_000)
    before = y.copy()
    changes = (Change("pitch", 4, 4), Change("noise", 20, 20, draw=3))
    row = extract(y, sr=16_000, feature_set=with_changes(named("log-mel"), changes))
    by_hand = changes[1].applied(changes[0].applied(y, sr=16_000), sr=16_000)
    np.testing.assert_array_equal(row, log_mel(by_hand, sr=16_000))
    np.testing.assert_array_equal(y, before)


def test_settings_tell_of_changes_only_where_there_are_some() -> None:
    plain = named("mel-segments")
    assert set(plain.settings) == {"name", "sr", "version", "pre_emphasis", "speed", "shape"}
    sets = [
        plain,
        with_changes(plain, [Change("pitch", -4, -4)]),
        with_changes(plain, [Change("pitch", 4, 4)]),
        with_changes(plain, [Change("pitch", 4, 4, draw=1)]),
        with_changes(plain, [Change("stretch", 4, 4)]),
        with_changes(plain, [Change("pitch", 4, 4), Change("pitch", -4, -4)]),
        with_noise(plain, snr=(4, 4), draw=0),
    ]
    assert len({files.digest(each.settings) for each in sets}) == len(sets)
    whole, decimal = (
        with_changes(plain, [Change("pitch", amount, amount)]).settings for amount in (4, 4.0)
    )
    assert files.digest(whole) == files.digest(decimal)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"kind": "volume"}, "unknown change 'volume': use one of pitch, stretch, shift, noise"),
        ({"lowest": 3.0}, r"amounts of 'pitch' go from 3.0 to 2: give the lowest"),
        ({"highest": float("inf")}, "from 1 to inf"),
        ({"draw": -1}, "draw is -1: give a number from 0"),
    ],
)
def test_changes_that_cannot_be_are_refused(change: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        replace(Change("pitch", 1, 2), **change)


def test_a_clip_that_cannot_be_changed_is_a_reject(tmp_path: Path) -> None:
    sf.write(tmp_path / "short.wav", voice(0.4), SR)
    clips = pd.DataFrame({"clip_id": ["short"], "path": [str(tmp_path / "short.wav")]})
    chosen = with_changes(named("mel-segments"), [Change("shift", 0.5, 0.5)])
    table = feature_table(clips, feature_set=chosen)
    assert len(table.X) == 0
    assert "leaves nothing of a clip of 0.40 s" in table.rejects["reason"].iloc[0]
