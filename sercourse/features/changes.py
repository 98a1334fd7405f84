"""Changes of a signal before its features: copies to train with, and conditions to test in."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sercourse import augment
from sercourse.augment import conditions

Signal = NDArray[Any]

DIRECT_ABOVE_ECHOES_DB = (0.0, 10.0)
"""From across a room to arm's length: a room's direct-to-reverberant ratio is drawn between."""


def _pitch(y: Signal, *, sr: int, amount: float, rng: np.random.Generator) -> Signal:
    return augment.pitch_shift(y, sr=sr, semitones=amount)


def _stretch(y: Signal, *, sr: int, amount: float, rng: np.random.Generator) -> Signal:
    return augment.time_stretch(y, sr=sr, rate=amount)


def _shift(y: Signal, *, sr: int, amount: float, rng: np.random.Generator) -> Signal:
    return augment.shift_time(y, sr=sr, seconds=amount)


def _noise(y: Signal, *, sr: int, amount: float, rng: np.random.Generator) -> Signal:
    return augment.add_noise(y, snr=amount, rng=rng)


def _pink(y: Signal, *, sr: int, amount: float, rng: np.random.Generator) -> Signal:
    return augment.add_noise(y, snr=amount, rng=rng, colour="pink")


def _room(y: Signal, *, sr: int, amount: float, rng: np.random.Generator) -> Signal:
    drr = float(rng.uniform(*DIRECT_ABOVE_ECHOES_DB))
    return augment.reverberate(y, sr=sr, rt60=amount, rng=rng, drr=drr)


def _band(y: Signal, *, sr: int, amount: float, rng: np.random.Generator) -> Signal:
    return augment.limit_band(y, sr=sr, highest=amount)


def _call(y: Signal, *, sr: int, amount: float, rng: np.random.Generator) -> Signal:
    narrow = augment.limit_band(y, sr=sr, highest=float(rng.uniform(3000, 4000)))
    return augment.cut_lows(narrow, sr=sr, lowest=amount)


def _chatter(y: Signal, *, sr: int, amount: float, rng: np.random.Generator) -> Signal:
    return augment.add_chatter(y, sr=sr, snr=amount, rng=rng)


def _white(y: Signal, *, sr: int, amount: float, rng: np.random.Generator) -> Signal:
    return conditions.uniform_noise(y, sr=sr, snr=amount, rng=rng)


def _babble(y: Signal, *, sr: int, amount: float, rng: np.random.Generator) -> Signal:
    return conditions.babble(y, sr=sr, snr=amount, rng=rng)


def _mirrors(y: Signal, *, sr: int, amount: float, rng: np.random.Generator) -> Signal:
    return conditions.mirror_room(y, sr=sr, rt60=amount, rng=rng)


def _telephone(y: Signal, *, sr: int, amount: float, rng: np.random.Generator) -> Signal:
    return conditions.telephone(y, sr=sr, highest=amount)


def _overdrive(y: Signal, *, sr: int, amount: float, rng: np.random.Generator) -> Signal:
    return conditions.overdrive(y, db=amount)


def _mp3(y: Signal, *, sr: int, amount: float, rng: np.random.Generator) -> Signal:
    return conditions.mp3(y, sr=sr, kbits=amount)


TEST_KINDS: Mapping[str, Callable[..., Signal]] = MappingProxyType(
    {
        "white": _white,
        "babble": _babble,
        "mirrors": _mirrors,
        "telephone": _telephone,
        "overdrive": _overdrive,
        "mp3": _mp3,
    }
)
"""What is done to test clips only: no recipe of the course trains with it."""

KINDS: Mapping[str, Callable[..., Signal]] = MappingProxyType(
    {
        "pitch": _pitch,
        "stretch": _stretch,
        "shift": _shift,
        "noise": _noise,
        "pink": _pink,
        "room": _room,
        "band": _band,
        "call": _call,
        "chatter": _chatter,
        **TEST_KINDS,
    }
)
"""What can be done to a signal, by name."""


@dataclass(frozen=True)
class Change:
    """One thing that is done to a signal, by an amount that is drawn for each clip.

    Amount and noise follow from `draw` and the signal's samples: the same clip is changed in the
    same way again, another clip in another one.

    Attributes
    ----------
    kind : {"pitch", "stretch", "shift", "noise", "pink", "room", "band", "call", "chatter"}
        Of `KINDS`, which say how: a shift of the pitch [semitones], another tempo [times faster], a
        shift in time [s, above 0 is later], white or pink noise [signal-to-noise ratio in dB], a
        room [its reverberation time in s], a band that ends at a frequency [Hz], one that begins at
        a frequency [Hz] and ends at 3 to 4 kHz, the chatter of a crowd [signal-to-noise ratio in
        dB]. Of `TEST_KINDS`: "white" noise or "babble" [signal-to-noise ratio in dB], a room of
        "mirrors" [reverberation time in s], a "telephone" [upper edge of its band in Hz],
        "overdrive" [peak above the range in dB], "mp3" [kbit/s].
    lowest, highest : float
        The amount is drawn uniformly between them; equal, it is always the same.
    draw : int
        From 0; another number draws other amounts, and other noise, for every clip.

    Raises
    ------
    ValueError
        If there is no such kind, the range is none, or `draw` is negative.

    Examples
    --------
    >>> higher = Change("pitch", 4, 4)
    >>> y = np.sin(2 * np.pi * 200 * np.arange(16_000) / 16_000)
    >>> int(np.abs(np.fft.rfft(higher.applied(y, sr=16_000))).argmax())  # 200 * 2 ** (4 / 12)
    252
    """

    kind: str
    lowest: float
    highest: float
    draw: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown change {self.kind!r}: use one of {', '.join(KINDS)}")
        if not -math.inf < self.lowest <= self.highest < math.inf:
            raise ValueError(
                f"the amounts of {self.kind!r} go from {self.lowest} to {self.highest}: give the "
                "lowest and the highest, in that order"
            )
        if self.draw < 0:
            raise ValueError(f"draw is {self.draw}: give a number from 0")

    @property
    def settings(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        amount = [float(self.lowest), float(self.highest)]
        return {"kind": self.kind, "amount": amount, "draw": self.draw}

    def applied(self, y: Signal, *, sr: int) -> Signal:
        """Return the changed signal, float32.

        Raises
        ------
        ValueError
            If the signal cannot be changed so: noise for silence, a shift longer than the clip.
        """
        y = np.ascontiguousarray(y, dtype=np.float32)
        rng = generator(y, self.draw, *self.kind.encode())
        amount = float(rng.uniform(self.lowest, self.highest))
        return KINDS[self.kind](y, sr=sr, amount=amount, rng=rng)


def _always(kind: str, amount: float) -> Change:
    return Change(kind, amount, amount, draw=1)  # of a generator that changes, draw others


CONDITIONS: Mapping[str, tuple[Change, ...]] = MappingProxyType(
    {
        "white noise 20 dB": (_always("white", 20),),
        "babble 10 dB": (_always("babble", 10),),
        "telephone": (_always("telephone", 3400),),
        "room": (_always("mirrors", 0.5),),
        "room and babble": (_always("mirrors", 0.5), _always("babble", 10)),
        "overdriven": (_always("overdrive", 12),),
        "MP3 32 kbit/s": (_always("mp3", 32),),
    }
)
"""Recording conditions in which a model is tested, and what is done to a clip in each."""


def generator(y: Signal, *seed: int) -> np.random.Generator:
    """Return a generator that follows from numbers and the bytes of a signal.

    Examples
    --------
    >>> y = np.zeros(4, dtype=np.float32)
    >>> generator(y, 1).random() == generator(y, 1).random() != generator(y + 1, 1).random()
    True
    """
    key = hashlib.blake2b(y.tobytes(), digest_size=8).digest()
    return np.random.default_rng([*seed, int.from_bytes(key, "little")])
