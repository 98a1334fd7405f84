"""Making other recordings out of those we have: for the training side of a split.

Every function returns a new array, keeps the dtype and leaves its input as it is. What is drawn
comes from the generator that is passed in, so the same seed gives the same sounds. How much to
shift, stretch or amplify one clip is the caller's to draw, for instance
``semitones=rng.uniform(-4, 4)``.

`waveform` works on one clip before its features, `spectrogram` on a batch of spectrograms in dB.
`conditions`, which is imported by its own name, is for the test side only.
"""

from __future__ import annotations

from sercourse.augment.spectrogram import (
    freq_mask,
    mix_noise,
    mixup,
    shift_frames,
    spectral_tilt,
    time_mask,
    vtlp,
)
from sercourse.augment.waveform import (
    COLOURS,
    add_chatter,
    add_noise,
    cut_lows,
    gain,
    limit_band,
    pitch_shift,
    reverberate,
    shift_time,
    snr_db,
    time_stretch,
)

__all__ = [
    "COLOURS",
    "add_chatter",
    "add_noise",
    "cut_lows",
    "freq_mask",
    "gain",
    "limit_band",
    "mix_noise",
    "mixup",
    "pitch_shift",
    "reverberate",
    "shift_frames",
    "shift_time",
    "snr_db",
    "spectral_tilt",
    "time_mask",
    "time_stretch",
    "vtlp",
]
