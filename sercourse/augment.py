"""Making other recordings out of those we have: for the training side of a split.

Every function returns a new array, keeps the dtype and leaves its input as it is. What is drawn
comes from the generator that is passed in, so the same seed gives the same sounds. How much to
shift, stretch or amplify one clip is the caller's to draw, for instance
``semitones=rng.uniform(-4, 4)``.

The first functions work on one clip before its features, those from `vtlp` on on a batch of
spectrograms in dB, shape (n_clips, n_frames, n_bands): every clip gets its own draw, all of them at
once, fast enough to draw anew in each epoch. `Augmentation` names one of those of a clip, or one of
the `conditions` that are for the test side only.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import soxr
from numpy.lib.stride_tricks import sliding_window_view
from numpy.random import Generator

from sercourse import audio, conditions

Array = np.ndarray

COLOURS: Mapping[str, float] = {"white": 0.0, "pink": 1.0, "brown": 2.0}
"""Colours of noise: its power falls with frequency as 1 / f to this exponent."""

FLAT_BELOW = 0.005
"""Coloured noise is flat below this share of half the sampling rate (40 Hz at 16 kHz): what is
lower, nobody hears, and it would take most of the power."""

FRAME_SECONDS = 0.032
"""Frames that are overlapped to stretch a clip [s]: two periods of the lowest voices."""

TOLERANCE_SECONDS = 0.008
"""How far a frame may be moved to join the one before [s]; both ways together cover one period of
the lowest voices (62 Hz)."""

COARSE_RATE = 8_000
"""Where frames join is searched at about this rate [Hz] first, then at the clip's own."""

COLOUR_DB = 24.0
"""Noise of `mix_noise` rises or falls by up to so much from the lowest to the highest band [dB]."""


# --- one clip: noise, level, room, and the time and pitch of the voice ----------------------------


def add_noise(y: Array, *, snr: float, rng: Generator, colour: str = "white") -> Array:
    """Add noise at exactly the signal-to-noise ratio asked for.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
    snr : float
        Mean power of the clip above that of the noise [dB].
    rng : np.random.Generator
    colour : str
        One of `COLOURS`; white if not given.

    Returns
    -------
    ndarray, shape (n_samples,)
        May go beyond [-1, 1].

    Raises
    ------
    ValueError
        If the clip is silent.

    References
    ----------
    Timmer and König, "On generating power law noise", 1995, Astronomy and Astrophysics 300:707.

    Examples
    --------
    >>> y = np.sin(np.arange(16_000) / 10)
    >>> noise = add_noise(y, snr=20, rng=np.random.default_rng(0), colour="pink") - y
    >>> round(np.mean(y**2) / np.mean(noise**2), 6)
    np.float64(100.0)
    """
    if colour not in COLOURS:
        raise ValueError(f"there is no noise of the colour {colour!r}: use {' or '.join(COLOURS)}")
    if colour == "white":
        noise = rng.standard_normal(y.size, dtype=y.dtype.type)
        return audio.mix(y, noise, speech=y, snr=snr)
    n_fft = 1 << max(1, (y.size - 1).bit_length())  # transforms of powers of two are fast
    white = rng.standard_normal((n_fft // 2 + 1, 2), dtype=y.dtype.type)
    frequency = np.arange(n_fft // 2 + 1) / (n_fft // 2)
    slope = np.maximum(frequency, FLAT_BELOW) ** (-COLOURS[colour] / 2)
    slope[0] = 0  # no constant part
    spectrum = (white[:, 0] + 1j * white[:, 1]) * slope.astype(y.dtype)
    return audio.mix(y, np.fft.irfft(spectrum, n_fft)[: y.size], speech=y, snr=snr)


def gain(y: Array, *, db: float) -> Array:
    """Make a clip louder or softer.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
    db : float
        Above 0 is louder [dB].

    Returns
    -------
    ndarray, shape (n_samples,)
        May go beyond [-1, 1].

    Examples
    --------
    >>> gain(np.array([0.25, -0.5]), db=-20)
    array([ 0.025, -0.05 ])
    """
    return y * float(10 ** (db / 20))


def shift_time(y: Array, *, sr: int, seconds: float) -> Array:
    """Let a clip begin later or earlier; silence fills the gap, and what leaves the clip is lost.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
    sr : int
        Its rate [Hz].
    seconds : float
        Above 0 is later [s].

    Returns
    -------
    ndarray, shape (n_samples,)

    Raises
    ------
    ValueError
        If nothing of the clip would be left.

    Examples
    --------
    >>> shift_time(np.array([1.0, 2.0, 3.0, 4.0]), sr=2, seconds=0.5)
    array([0., 1., 2., 3.])
    """
    n = round(seconds * sr)
    if abs(n) >= y.size:
        raise ValueError(f"a shift of {seconds} s leaves nothing of a clip of {y.size / sr:.2f} s")
    return audio.pad(np.pad(y, (max(0, n), 0))[max(0, -n) :], length=y.size)


def time_stretch(y: Array, *, sr: int, rate: float) -> Array:
    """Speak faster or slower at the same pitch: overlapping frames, joined where they are alike.

    Frames are taken closer together or further apart than they are laid down. Each is moved by a
    few milliseconds to where it continues the one before, so the pulses of the voice stay whole. A
    phase vocoder smears them, so that the voice sounds breathy and hollow, and takes longer.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
        One voice, not a chord: frames can be joined where there is one period.
    sr : int
        Its rate [Hz].
    rate : float
        Above 1 is faster; from 0.5 to 2.

    Returns
    -------
    ndarray, shape (round(n_samples / rate),)
        What happened at `t` happens at about ``t / rate``: frames are moved by up to 8 ms.

    References
    ----------
    Verhelst and Roelands, "An overlap-add technique based on waveform similarity (WSOLA) for high
    quality time-scale modification of speech", 1993, doi:10.1109/ICASSP.1993.319366.
    Driedger and Müller, "A review of time-scale modification of music signals", 2016,
    doi:10.3390/app6020057, on its faults and on those of the phase vocoder.

    Examples
    --------
    >>> time_stretch(np.zeros(16_000, dtype=np.float32), sr=16_000, rate=1.25).size
    12800
    """
    if not 0.5 <= rate <= 2:
        raise ValueError(f"rate is {rate}: give a number from 0.5 to 2")
    hop = max(1, round(FRAME_SECONDS * sr / 2))
    n_samples = round(y.size / rate)
    padded = np.pad(y, (2 * hop, 6 * hop))  # room for the frames of both ends and their search
    wanted = hop + np.round(rate * hop * np.arange(n_samples // hop + 2)).astype(int)
    starts = _joining_starts(padded, wanted, hop=hop, sr=sr)
    window = 0.5 - 0.5 * np.cos(np.pi * np.arange(2 * hop) / hop)  # its halves add up to 1
    frames = sliding_window_view(padded, 2 * hop)[starts] * window.astype(y.dtype)
    return (frames[:-1, hop:] + frames[1:, :hop]).ravel()[:n_samples]


def pitch_shift(y: Array, *, sr: int, semitones: float) -> Array:
    """Speak higher or lower in the same time: stretched, then played faster or slower.

    The formants move with the pitch, as those of a smaller or larger speaker do. Shifted down, the
    highest frequencies are empty.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
        One voice.
    sr : int
        Its rate [Hz].
    semitones : float
        Above 0 is higher; from -12 to 12.

    Returns
    -------
    ndarray, shape (n_samples,)

    See Also
    --------
    time_stretch : How, and by whom.

    Examples
    --------
    >>> t = np.arange(16_000) / 16_000
    >>> higher = pitch_shift(np.sin(2 * np.pi * 200 * t), sr=16_000, semitones=12)
    >>> int(np.abs(np.fft.rfft(higher)).argmax())
    400
    """
    factor = 2 ** (semitones / 12)
    longer = time_stretch(y, sr=sr, rate=1 / factor)
    return audio.pad(audio.change_speed(longer, sr=sr, factor=factor), length=y.size)


def reverberate(y: Array, *, sr: int, rt60: float, rng: Generator, drr: float = 6.0) -> Array:
    """Speak in a room: the clip, and echoes of it that die away as noise does in a hall.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
    sr : int
        Its rate [Hz].
    rt60 : float
        Time in which the echoes fall by 60 dB [s]: 0.3 is a living room, 2 a church; 10 at most.
    rng : np.random.Generator
        Draws the room.
    drr : float
        Energy of the direct sound above that of all its echoes [dB]; lower is further away.

    Returns
    -------
    ndarray, shape (n_samples,)
        The direct sound stays where and as loud as it was; echoes after the end are cut.

    References
    ----------
    Moorer, "About this reverberation business", 1979, doi:10.2307/3680280, for decaying noise as
    the response of a room.

    Examples
    --------
    >>> click = np.zeros(8_000)
    >>> click[0] = 1
    >>> room = reverberate(click, sr=16_000, rt60=0.3, drr=3, rng=np.random.default_rng(0))
    >>> float(room[0]), round(float(10 * np.log10(1 / np.sum(room[1:] ** 2))), 3)
    (1.0, 3.0)
    """
    if not 0.01 <= rt60 <= 10:
        raise ValueError(f"rt60 is {rt60} s: give a number from 0.01 to 10")
    t = np.arange(1, 1 + round(rt60 * sr)) / sr
    echoes = rng.standard_normal(t.size) * 10 ** (-3 * t / rt60)
    echoes *= math.sqrt(10 ** (-drr / 10) / np.sum(echoes**2))
    room = np.concatenate([[1.0], echoes]).astype(y.dtype)
    n_fft = 1 << (y.size + room.size - 1).bit_length()
    reverberant = np.fft.irfft(np.fft.rfft(y, n_fft) * np.fft.rfft(room, n_fft), n_fft)
    return reverberant[: y.size]


def limit_band(y: Array, *, sr: int, highest: float) -> Array:
    """Keep what lies below a frequency, as a telephone or a cheap microphone does.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
    sr : int
        Its rate [Hz].
    highest : float
        Frequency that is just lost [Hz]: 4000 is a telephone.

    Returns
    -------
    ndarray, shape (n_samples,)

    See Also
    --------
    sercourse.audio.change_speed : Resampling, by whose filter the band is cut.

    Examples
    --------
    >>> t = np.arange(16_000) / 16_000
    >>> kept, lost = (np.sin(2 * np.pi * f * t) for f in (1_000, 5_000))
    >>> heard = limit_band(kept + lost, sr=16_000, highest=4_000)
    >>> bool(np.abs(heard - kept)[2_000:-2_000].max() < 1e-3)
    True
    """
    narrow = soxr.resample(y, sr, 2 * highest)
    return audio.pad(soxr.resample(narrow, 2 * highest, sr), length=y.size).astype(y.dtype)


def cut_lows(y: Array, *, sr: int, lowest: float) -> Array:
    """Keep what lies above a frequency, as a telephone does: a high-pass of linear phase.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
    sr : int
        Its rate [Hz].
    lowest : float
        What lies below is lost; the edge is a third as wide [Hz].

    Returns
    -------
    ndarray, shape (n_samples,)

    Examples
    --------
    >>> t = np.arange(16_000) / 16_000
    >>> lost, kept = (np.sin(2 * np.pi * f * t) for f in (100, 1_000))
    >>> bool(np.abs(cut_lows(lost + kept, sr=16_000, lowest=300) - kept).max() < 1e-3)
    True
    """
    frequency = np.fft.rfftfreq(y.size, 1 / sr)
    share = np.clip((frequency - lowest) / (lowest / 3), 0, 1)
    return np.fft.irfft(np.fft.rfft(y) * share, n=y.size).astype(y.dtype)


def add_chatter(y: Array, *, sr: int, snr: float, rng: Generator, n_voices: int = 6) -> Array:
    """Add the talk of a crowd: the clip's own voice, reversed, from other moments, as others.

    No other recording is needed, and no word is left.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
    sr : int
        Its rate [Hz].
    snr : float
        Mean power of the clip above that of the crowd [dB].
    rng : numpy.random.Generator
    n_voices : int
        Each is played at a speed of its own, 0.75 to 1.35 times the clip's.

    Returns
    -------
    ndarray, shape (n_samples,)

    Raises
    ------
    ValueError
        If the clip is silent.

    Examples
    --------
    >>> y = np.sin(np.arange(16_000) / 10)
    >>> crowd = add_chatter(y, sr=16_000, snr=10, rng=np.random.default_rng(0)) - y
    >>> round(np.mean(y**2) / np.mean(crowd**2), 6)
    np.float64(10.0)
    """
    crowd = np.zeros_like(y)
    for factor in rng.uniform(0.75, 1.35, n_voices):
        voice = audio.change_speed(np.ascontiguousarray(y[::-1]), sr=sr, factor=float(factor))
        crowd += np.roll(np.resize(voice, y.size), rng.integers(y.size))
    return audio.mix(y, crowd, speech=y, snr=snr)


def _joining_starts(padded: Array, wanted: Array, *, hop: int, sr: int) -> Array:
    """Return where to cut each frame: near where it is wanted, and going on from the one before.

    One frame after the other, because each depends on where the one before was cut.
    """
    step = max(1, sr // COARSE_RATE)
    coarse = padded if step == 1 else soxr.resample(padded, step, 1, quality="LQ")
    reach = round(TOLERANCE_SECONDS * sr) // step
    starts = wanted.copy()
    for k in range(1, len(wanted)):
        follows = starts[k - 1] + hop  # what came next in the clip joins perfectly
        if abs(follows - wanted[k]) <= reach * step:
            starts[k] = follows
            continue
        target = coarse[follows // step :][: 2 * hop // step]
        near = step * _most_similar(coarse, target, near=wanted[k] // step, reach=reach)
        target = padded[follows : follows + 2 * hop]
        starts[k] = _most_similar(padded, target, near=near, reach=2 * step)
    return starts


def _most_similar(y: Array, target: Array, *, near: int, reach: int) -> int:
    """Return where, within `reach` of `near`, the signal is most like the target."""
    region = y[near - reach : near + reach + target.size]
    return near - reach + int(np.correlate(region, target, mode="valid").argmax())


# --- a batch of spectrograms ----------------------------------------------------------------------


def vtlp(X: Array, *, rng: Generator, largest: float = 0.1) -> Array:
    """Lengthen or shorten each speaker's vocal tract: bands stretched by one factor a clip.

    Band `b` is read, linearly between its neighbours, from ``factor * b``; beyond the highest band
    that band is repeated.

    Parameters
    ----------
    X : ndarray, shape (n_clips, n_frames, n_bands)
        Bands [dB], on any scale of frequency.
    rng : np.random.Generator
    largest : float
        Factors are drawn from 1 - `largest` to 1 + `largest`, below 1.

    Returns
    -------
    ndarray, shape (n_clips, n_frames, n_bands)

    References
    ----------
    Jaitly and Hinton, "Vocal tract length perturbation (VTLP) improves speech recognition", 2013,
    ICML workshop on deep learning for audio, speech and language processing.

    Examples
    --------
    >>> X = np.array([[[0.0, 10.0, 20.0, 30.0]]])
    >>> vtlp(X, rng=np.random.default_rng(0), largest=0.2).round(1)
    array([[[ 0. , 10.5, 21.1, 30. ]]])
    """
    band = np.arange(X.shape[2])
    factors = rng.uniform(1 - largest, 1 + largest, size=(len(X), 1))
    read_from = np.minimum(factors * band, band[-1])
    # Hat functions: column b of a clip's matrix shares band b among the two that it is read from.
    weights = np.maximum(0, 1 - np.abs(read_from[:, np.newaxis, :] - band[:, np.newaxis]))
    return np.matmul(X, weights.astype(X.dtype))


def freq_mask(X: Array, *, rng: Generator, n: int, widest: int) -> Array:
    """Hide runs of bands in each clip behind the clip's mean.

    Parameters
    ----------
    X : ndarray, shape (n_clips, n_frames, n_bands)
    rng : np.random.Generator
    n : int
        Masks a clip; they may overlap.
    widest : int
        Widths are drawn from 0 to so many bands.

    Returns
    -------
    ndarray, shape (n_clips, n_frames, n_bands)

    References
    ----------
    Park et al., "SpecAugment: a simple data augmentation method for automatic speech recognition",
    2019, doi:10.21437/Interspeech.2019-2680.

    Examples
    --------
    >>> X = np.arange(8.0).reshape(1, 2, 4)
    >>> freq_mask(X, rng=np.random.default_rng(2), n=1, widest=2)
    array([[[3.5, 3.5, 2. , 3. ],
            [3.5, 3.5, 6. , 7. ]]])
    """
    hidden = _spans(len(X), X.shape[2], rng=rng, n=n, widest=widest)
    return np.where(hidden[:, np.newaxis, :], X.mean(axis=(1, 2), keepdims=True), X)


def time_mask(X: Array, *, rng: Generator, n: int, widest: int) -> Array:
    """Hide runs of frames in each clip behind the clip's mean.

    Parameters
    ----------
    X : ndarray, shape (n_clips, n_frames, n_bands)
    rng : np.random.Generator
    n : int
        Masks a clip; they may overlap.
    widest : int
        Widths are drawn from 0 to so many frames.

    Returns
    -------
    ndarray, shape (n_clips, n_frames, n_bands)

    References
    ----------
    Park et al., 2019, doi:10.21437/Interspeech.2019-2680.

    Examples
    --------
    >>> X = np.arange(6.0).reshape(1, 3, 2)
    >>> time_mask(X, rng=np.random.default_rng(1), n=1, widest=2)[0]
    array([[0. , 1. ],
           [2.5, 2.5],
           [4. , 5. ]])
    """
    hidden = _spans(len(X), X.shape[1], rng=rng, n=n, widest=widest)
    return np.where(hidden[:, :, np.newaxis], X.mean(axis=(1, 2), keepdims=True), X)


def mix_noise(X: Array, *, rng: Generator, share: float, level: tuple[float, float]) -> Array:
    """Add a steady noise of a random colour to some of the clips, as power adds up.

    The noise is a straight line over the bands [dB], the same in all frames.

    Parameters
    ----------
    X : ndarray, shape (n_clips, n_frames, n_bands)
        Power of each band [dB].
    rng : np.random.Generator
    share : float
        Probability that a clip gets noise, from 0 to 1.
    level : tuple of float
        Lowest and highest mean power of the noise above that of the clip [dB]; ``(-30, -15)`` gives
        signal-to-noise ratios from 15 to 30 dB.

    Returns
    -------
    ndarray, shape (n_clips, n_frames, n_bands)

    Examples
    --------
    >>> X = np.zeros((1, 2, 1))
    >>> mix_noise(X, rng=np.random.default_rng(0), share=1, level=(0, 0)).round(2).ravel()
    array([3.01, 3.01])
    """
    chosen = rng.random(len(X)) < share
    decibel = rng.uniform(*level, size=(len(X), 1, 1))[chosen]
    colour = rng.uniform(-COLOUR_DB, COLOUR_DB, size=(len(X), 1, 1))[chosen]
    noise = _power(colour * np.linspace(-0.5, 0.5, X.shape[2]))
    power = _power(X[chosen])
    loudness = _power(decibel) * power.mean(axis=(1, 2), keepdims=True)
    power += (noise / noise.mean(axis=2, keepdims=True) * loudness).astype(X.dtype)
    mixed = X.copy()
    mixed[chosen] = 10 * np.log10(power, out=power)
    return mixed


def spectral_tilt(X: Array, *, rng: Generator, largest: float = 6.0) -> Array:
    """Give each clip another microphone: highs lifted and lows lowered on a line, or the reverse.

    Parameters
    ----------
    X : ndarray, shape (n_clips, n_frames, n_bands)
        Bands [dB].
    rng : np.random.Generator
    largest : float
        The lowest and the highest band move by up to so much, in opposite directions [dB].

    Returns
    -------
    ndarray, shape (n_clips, n_frames, n_bands)
        The mean of each frame is kept.

    Examples
    --------
    >>> spectral_tilt(np.zeros((1, 1, 3)), rng=np.random.default_rng(0), largest=6).round(2)
    array([[[-1.64,  0.  ,  1.64]]])
    """
    ends = rng.uniform(-largest, largest, size=(len(X), 1, 1))
    lines = ends * np.linspace(-1, 1, X.shape[2])
    return X + lines.astype(X.dtype)


def mixup(X: Array, T: Array, *, rng: Generator, alpha: float) -> tuple[Array, Array]:
    """Blend each clip and its target with another of the batch.

    Parameters
    ----------
    X : ndarray, shape (n_clips, ...)
    T : ndarray, shape (n_clips, n_labels)
        Targets: one 1 a row, or probabilities; of any float dtype.
    rng : np.random.Generator
    alpha : float
        Each clip's share is drawn from a beta distribution with this for both parameters: near 0
        most clips stay almost alone, at 1 all shares are alike.

    Returns
    -------
    X, T : ndarray
        Rows of `T` sum to what they did.

    References
    ----------
    Zhang et al., "mixup: beyond empirical risk minimization", 2018, ICLR, arXiv:1710.09412.

    Examples
    --------
    >>> X, T = mixup(np.array([[0.0], [1.0]]), np.eye(2), rng=np.random.default_rng(0), alpha=1)
    >>> bool(np.allclose(X.ravel(), T[:, 1])), T.sum(axis=1)
    (True, array([1., 1.]))
    """
    other = rng.permutation(len(X))
    shares = rng.beta(alpha, alpha, size=len(X))
    return _blend(X, other, shares), _blend(T, other, shares)


def _blend(A: Array, other: Array, shares: Array) -> Array:
    own = shares.reshape(-1, *(1,) * (A.ndim - 1)).astype(A.dtype)
    return own * A + (1 - own) * A[other]


def _spans(n_clips: int, size: int, *, rng: Generator, n: int, widest: int) -> Array:
    """Return which of `size` places of each clip lie in one of its `n` random spans."""
    widths = rng.integers(0, widest, size=(n_clips, n, 1), endpoint=True)
    starts = rng.integers(0, size - widths, endpoint=True)
    place = np.arange(size)
    inside: Array = (place >= starts) & (place < starts + widths)
    return np.logical_or.reduce(inside, axis=1)


def _power(decibel: Array) -> Array:
    return np.exp(decibel * (math.log(10) / 10))  # many times as fast as 10 ** x


# --- one description of a changed copy ------------------------------------------------------------

Kind = Callable[[Array, int, float, Generator], Array]

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


def _room(y: Array, sr: int, rt60: float, rng: Generator) -> Array:
    return reverberate(y, sr=sr, rt60=rt60, drr=float(rng.uniform(*DRR_DB)), rng=rng)


def _call(y: Array, sr: int, lowest: float, rng: Generator) -> Array:
    narrow = limit_band(y, sr=sr, highest=float(rng.uniform(3000, 4000)))
    return cut_lows(narrow, sr=sr, lowest=lowest)


KINDS: Mapping[str, Kind] = {
    "speed": lambda y, sr, factor, _: audio.change_speed(y, sr=sr, factor=factor),
    "pitch": lambda y, sr, n, _: pitch_shift(y, sr=sr, semitones=n),
    "stretch": lambda y, sr, rate, _: time_stretch(y, sr=sr, rate=rate),
    "shift": lambda y, sr, seconds, _: shift_time(y, sr=sr, seconds=seconds),
    "gaussian": lambda y, _, snr, rng: add_noise(y, snr=snr, rng=rng),
    "noise": lambda y, _, snr, rng: add_noise(y, snr=snr, rng=rng),
    "pink": lambda y, _, snr, rng: add_noise(y, snr=snr, rng=rng, colour="pink"),
    "room": _room,
    "band": lambda y, sr, highest, _: limit_band(y, sr=sr, highest=highest),
    "call": _call,
    "chatter": lambda y, sr, snr, rng: add_chatter(y, sr=sr, snr=snr, rng=rng),
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

    def applied(self, y: Array, *, sr: int) -> Array:
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
