"""Making other recordings out of those we have: for the training side of a split.

Every function returns a new array, keeps the dtype and leaves its input as it is. What is drawn
comes from the generator that is passed in, so the same seed gives the same sounds. How much to
shift, stretch or amplify one clip is the caller's to draw, for instance
``semitones=rng.uniform(-4, 4)``.

`waveform` works on one clip before its features, `spectra` on a batch of spectrograms in dB.
`Augmentation` names one of these, or one of the `conditions` that are for the test side only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sercourse import audio
from sercourse.augment import conditions, waveform
from sercourse.augment.spectra import freq_mask, mix_noise, mixup, spectral_tilt, time_mask, vtlp
from sercourse.augment.waveform import (
    add_noise,
    gain,
    limit_band,
    pitch_shift,
    reverberate,
    shift_time,
    time_stretch,
)

Kind = Callable[[np.ndarray, int, float, np.random.Generator], np.ndarray]

DRR_DB = (0.0, 10.0)
"""Range of the direct-to-reverberant ratio of a "room": across the room to arm's length [dB]."""

TEST_KINDS: Mapping[str, Kind] = {
    "white": lambda y, sr, snr, rng: conditions.uniform_noise(y, sr=sr, snr=snr, rng=rng),
    "babble": lambda y, sr, snr, rng: conditions.babble(y, sr=sr, snr=snr, rng=rng),
    "mirrors": lambda y, sr, rt60, rng: conditions.mirror_room(y, sr=sr, rt60=rt60, rng=rng),
    "telephone": lambda y, sr, highest, _: conditions.telephone(y, sr=sr, highest=highest),
    "overdrive": lambda y, _, db, __: conditions.overdrive(y, db=db),
    "mp3": lambda y, sr, kbits, _: conditions.mp3(y, sr=sr, kbits=kbits),
}
"""Kinds that are applied to test clips only: no recipe of the course trains with them."""


def _room(y: np.ndarray, sr: int, rt60: float, rng: np.random.Generator) -> np.ndarray:
    return waveform.reverberate(y, sr=sr, rt60=rt60, drr=float(rng.uniform(*DRR_DB)), rng=rng)


def _call(y: np.ndarray, sr: int, lowest: float, rng: np.random.Generator) -> np.ndarray:
    narrow = waveform.limit_band(y, sr=sr, highest=float(rng.uniform(3000, 4000)))
    return waveform.cut_lows(narrow, sr=sr, lowest=lowest)


KINDS: Mapping[str, Kind] = {
    "speed": lambda y, sr, factor, _: audio.change_speed(y, sr=sr, factor=factor),
    "pitch": lambda y, sr, n, _: waveform.pitch_shift(y, sr=sr, semitones=n),
    "stretch": lambda y, sr, rate, _: waveform.time_stretch(y, sr=sr, rate=rate),
    "shift": lambda y, sr, seconds, _: waveform.shift_time(y, sr=sr, seconds=seconds),
    "gaussian": lambda y, _, snr, rng: waveform.add_noise(y, snr=snr, rng=rng),
    "noise": lambda y, _, snr, rng: waveform.add_noise(y, snr=snr, rng=rng),
    "pink": lambda y, _, snr, rng: waveform.add_noise(y, snr=snr, rng=rng, colour="pink"),
    "room": _room,
    "band": lambda y, sr, highest, _: waveform.limit_band(y, sr=sr, highest=highest),
    "call": _call,
    "chatter": lambda y, sr, snr, rng: waveform.add_chatter(y, sr=sr, snr=snr, rng=rng),
    **TEST_KINDS,
}
"""What can be done to a signal, by name: functions of signal, rate [Hz], amount and generator."""


@dataclass(frozen=True)
class Augmentation:
    """One transformation of a signal, by an amount that is drawn for each clip.

    Amount and noise follow from `draw` and the signal's samples: the same clip is transformed in
    the same way again, another clip in another one.

    Attributes
    ----------
    kind : str
        Of `KINDS`. "speed" [factor]; "pitch" [semitones]; "stretch", another tempo at the same
        pitch [factor]; "shift" in time [s, above 0 is later]; "noise" and "gaussian", white, and
        "pink" noise [signal-to-noise ratio in dB]; a "room" [its reverberation time in s]; a "band"
        that ends at a frequency [Hz]; a "call", a band that begins at a frequency [Hz] and ends at
        3 to 4 kHz; the "chatter" of a crowd [signal-to-noise ratio in dB].
        Of `TEST_KINDS`: "white" noise or "babble" [signal-to-noise ratio in dB], a room of
        "mirrors" [reverberation time in s], a "telephone" [upper edge of its band in Hz],
        "overdrive" [peak above the range in dB], "mp3" [kbit/s].
    low, high : float
        The amount is drawn uniformly between them; equal, it is always the same.
    draw : int
        From 0; another number draws other amounts, and other noise, for every clip.

    Raises
    ------
    ValueError
        If there is no such kind.

    Examples
    --------
    >>> higher = Augmentation("pitch", 4, 4)
    >>> y = np.sin(2 * np.pi * 200 * np.arange(16_000) / 16_000)
    >>> int(np.abs(np.fft.rfft(higher.applied(y, sr=16_000))).argmax())  # 200 * 2 ** (4 / 12)
    252
    """

    kind: str
    low: float
    high: float
    draw: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown augmentation {self.kind!r}: use one of {', '.join(KINDS)}")

    @property
    def settings(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        amount = [float(self.low), float(self.high)]
        return {"kind": self.kind, "amount": amount, "draw": self.draw}

    def applied(self, y: np.ndarray, *, sr: int) -> np.ndarray:
        """Return the transformed signal, float32.

        Raises
        ------
        ValueError
            If the signal cannot be transformed so: noise for silence, a shift longer than the clip.
        """
        y = np.ascontiguousarray(y, dtype=np.float32)
        clip = int.from_bytes(hashlib.blake2b(y.tobytes(), digest_size=8).digest(), "little")
        # Results with "gaussian" noise were published before the kind was a part of the seed.
        kind = () if self.kind == "gaussian" else self.kind.encode()
        rng = np.random.default_rng([self.draw, *kind, clip])
        return KINDS[self.kind](y, sr, float(rng.uniform(self.low, self.high)), rng)


def _fixed(kind: str, amount: float) -> Augmentation:
    return Augmentation(kind, amount, amount, draw=1)


CONDITIONS: Mapping[str, tuple[Augmentation, ...]] = {
    "white noise 20 dB": (_fixed("white", 20),),
    "babble 10 dB": (_fixed("babble", 10),),
    "telephone": (_fixed("telephone", 3400),),
    "room": (_fixed("mirrors", 0.5),),
    "room and babble": (_fixed("mirrors", 0.5), _fixed("babble", 10)),
    "overdriven": (_fixed("overdrive", 12),),
    "MP3 32 kbit/s": (_fixed("mp3", 32),),
}
"""Recording conditions in which a model is tested, and what is done to a clip in each."""
