"""Augmentation of one clip: noise, level, room, and the time and pitch of the voice."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import soxr
from numpy.lib.stride_tricks import sliding_window_view

from sercourse import audio

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


def add_noise(
    y: np.ndarray, *, snr: float, rng: np.random.Generator, colour: str = "white"
) -> np.ndarray:
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
    if colour == "white":
        noise = rng.standard_normal(y.size, dtype=y.dtype.type)
        return mix(y, noise, speech=y, snr=snr)
    n_fft = 1 << max(1, (y.size - 1).bit_length())  # transforms of powers of two are fast
    white = rng.standard_normal((n_fft // 2 + 1, 2), dtype=y.dtype.type)
    frequency = np.arange(n_fft // 2 + 1) / (n_fft // 2)
    slope = np.maximum(frequency, FLAT_BELOW) ** (-COLOURS[colour] / 2)
    slope[0] = 0  # no constant part
    spectrum = (white[:, 0] + 1j * white[:, 1]) * slope.astype(y.dtype)
    return mix(y, np.fft.irfft(spectrum, n_fft)[: y.size], speech=y, snr=snr)


def mix(y: np.ndarray, noise: np.ndarray, *, speech: np.ndarray, snr: float) -> np.ndarray:
    """Add noise at a signal-to-noise ratio [dB] to the mean power of the speech in a clip.

    Raises
    ------
    ValueError
        If the speech is silent.
    """
    power = _power(speech)
    if power == 0:
        raise ValueError(f"the clip is silent: noise {snr} dB below it cannot be; leave it out")
    return (y + noise * math.sqrt(power / _power(noise) / 10 ** (snr / 10))).astype(y.dtype)


def gain(y: np.ndarray, *, db: float) -> np.ndarray:
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


def shift_time(y: np.ndarray, *, sr: int, seconds: float) -> np.ndarray:
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
    shifted = np.zeros_like(y)
    shifted[max(0, n) : y.size + min(0, n)] = y[max(0, -n) : y.size - max(0, n)]
    return shifted


def time_stretch(y: np.ndarray, *, sr: int, rate: float) -> np.ndarray:
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
    hop = max(1, round(FRAME_SECONDS * sr / 2))
    n_samples = round(y.size / rate)
    padded = np.pad(y, (2 * hop, 6 * hop))  # room for the frames of both ends and their search
    wanted = hop + np.round(rate * hop * np.arange(n_samples // hop + 2)).astype(int)
    starts = _joining_starts(padded, wanted, hop=hop, sr=sr)
    window = 0.5 - 0.5 * np.cos(np.pi * np.arange(2 * hop) / hop)  # its halves add up to 1
    frames = sliding_window_view(padded, 2 * hop)[starts] * window.astype(y.dtype)
    return (frames[:-1, hop:] + frames[1:, :hop]).ravel()[:n_samples]


def pitch_shift(y: np.ndarray, *, sr: int, semitones: float) -> np.ndarray:
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


def reverberate(
    y: np.ndarray, *, sr: int, rt60: float, rng: np.random.Generator, drr: float = 6.0
) -> np.ndarray:
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
    t = np.arange(1, 1 + max(1, round(rt60 * sr))) / sr
    echoes = rng.standard_normal(t.size) * 10 ** (-3 * t / rt60)
    echoes *= math.sqrt(10 ** (-drr / 10) / np.sum(echoes**2))
    room = np.concatenate([[1.0], echoes]).astype(y.dtype)
    n_fft = 1 << (y.size + room.size - 1).bit_length()
    reverberant = np.fft.irfft(np.fft.rfft(y, n_fft) * np.fft.rfft(room, n_fft), n_fft)
    return reverberant[: y.size]


def limit_band(y: np.ndarray, *, sr: int, highest: float) -> np.ndarray:
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


def cut_lows(y: np.ndarray, *, sr: int, lowest: float) -> np.ndarray:
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


def add_chatter(
    y: np.ndarray, *, sr: int, snr: float, rng: np.random.Generator, n_voices: int = 6
) -> np.ndarray:
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
    return mix(y, crowd, speech=y, snr=snr)


def _joining_starts(padded: np.ndarray, wanted: np.ndarray, *, hop: int, sr: int) -> np.ndarray:
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


def _most_similar(y: np.ndarray, target: np.ndarray, *, near: int, reach: int) -> int:
    """Return where, within `reach` of `near`, the signal is most like the target."""
    region = y[near - reach : near + reach + target.size]
    return near - reach + int(np.correlate(region, target, mode="valid").argmax())


def _power(y: np.ndarray) -> float:
    """Return the mean square."""
    return float(np.mean(np.square(y, dtype=np.float64)))
