"""Making other recordings out of those we have: for the training side of a split.

Every function returns a new array, keeps the dtype and leaves its input as it is. What is drawn
comes from the generator that is passed in, so the same seed gives the same sounds. How much to
shift, stretch or amplify one clip is the caller's to draw, for instance
``semitones=rng.uniform(-4, 4)``.

`waveform` works on one clip before its features, `spectrogram` on a batch of spectrograms in dB.
`Augmentation` names one of these, or one of the `conditions` that are for the test side only.
"""

from __future__ import annotations

from sercourse.augment.augmentation import CONDITIONS, Augmentation
from sercourse.augment.spectrogram import (
    freq_mask,
    mix_noise,
    mixup,
    spectral_tilt,
    time_mask,
    vtlp,
)
from sercourse.augment.waveform import (
    add_noise,
    gain,
    limit_band,
    pitch_shift,
    reverberate,
    shift_time,
    snr_db,
    time_stretch,
)

__all__ = [
    "CONDITIONS",
    "Augmentation",
    "add_noise",
    "freq_mask",
    "gain",
    "limit_band",
    "mix_noise",
    "mixup",
    "pitch_shift",
    "reverberate",
    "shift_time",
    "snr_db",
    "spectral_tilt",
    "time_mask",
    "time_stretch",
    "vtlp",
]
