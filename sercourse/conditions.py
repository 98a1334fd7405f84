"""Recording conditions to test a model in: a noise, a room, a telephone, a microphone, a codec.

None is made as the noises, rooms and bands of `augment` are, by which training sets are
augmented: a model that knows those generators is not tested on what it learnt. SciPy is loaded
when a room or a telephone is made, as inference does without.
"""

from __future__ import annotations

import io
import math
from functools import lru_cache

import numpy as np
import soundfile
import soxr

from sercourse import audio, files

TALKERS = 8
"""Voices that talk at the same time in babble."""

TAKES = 6  # clips of each that are loaded, 10 s or more in all

ROOM_METRES = (5.0, 4.0, 3.0)
MICROPHONE_METRES = 1.0
"""From the mouth to the microphone of a room."""

LIVELINESS = 1.17
"""By how much longer than Eyring's formula has it echoes last in this room, measured on them."""

SPEED_OF_SOUND = 343.0  # [m/s]

TELEPHONE_RATE = 8_000
MU = 255
LAME_DELAY = 1105  # samples that encoder and decoder add, where there is no tag to tell of them


def uniform_noise(y: np.ndarray, *, sr: int, snr: float, rng: np.random.Generator) -> np.ndarray:
    """Add white noise of a uniform distribution.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
    sr : int
        Its rate [Hz].
    snr : float
        Mean power of the speech, without silence before and after it, above that of the noise [dB].
    rng : np.random.Generator

    Returns
    -------
    ndarray, shape (n_samples,)

    Raises
    ------
    ValueError
        If the clip is silent.
    """
    noise = rng.uniform(-1, 1, y.size)
    return audio.mix(y, noise, speech=audio.trim(y, sr=sr), snr=snr)


def babble(y: np.ndarray, *, sr: int, snr: float, rng: np.random.Generator) -> np.ndarray:
    """Add eight voices that talk at the same time: other ones of the sample corpus for each clip.

    They are synthetic and speak English; no speaker of a real corpus is among them.

    Parameters
    ----------
    y, sr, snr, rng
        As in `uniform_noise`.

    Raises
    ------
    FileNotFoundError
        If the sample corpus is not here.
    ValueError
        If the clip is silent.
    """
    voices = _voices(sr)
    talking = [voices[k] for k in rng.permutation(len(voices))[:TALKERS]]
    at_once = np.zeros(y.size, dtype=np.float32)
    for voice in talking:
        at_once += np.take(voice, rng.integers(voice.size) + np.arange(y.size), mode="wrap")
    return audio.mix(y, at_once, speech=audio.trim(y, sr=sr), snr=snr)


def mirror_room(y: np.ndarray, *, sr: int, rt60: float, rng: np.random.Generator) -> np.ndarray:
    """Speak in a room of 5 x 4 x 3 m, a metre from the microphone.

    Each echo comes from a mirror image of the mouth in walls that all absorb the same share and
    turn the wave's sign, so that echoes do not add up to a hum. Where mouth and microphone are is
    drawn.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
    sr : int
        Its rate [Hz].
    rt60 : float
        Time in which the echoes fall by 60 dB [s].
    rng : np.random.Generator

    Returns
    -------
    ndarray, shape (n_samples,)
        The direct sound stays where and as loud as it was; echoes after the end are cut.

    References
    ----------
    Allen and Berkley, "Image method for efficiently simulating small-room acoustics", 1979,
    doi:10.1121/1.382599; Eyring, "Reverberation time in 'dead' rooms", 1930, doi:10.1121/1.1915175.
    """
    from scipy.signal import fftconvolve

    size = np.array(ROOM_METRES)
    mouth = size * rng.uniform(0.4, 0.6, 3)
    angle = rng.uniform(0, 2 * math.pi)
    microphone = mouth + MICROPHONE_METRES * np.array([math.cos(angle), math.sin(angle), 0])
    surface = 2 * (size.prod() / size).sum()
    loss = LIVELINESS * 0.161 * size.prod() / (surface * rt60)  # of energy, in each wall [neper]
    # Along each axis: where the images lie [m], and behind how many walls.
    places, walls = [], []
    for at, heard, metres in zip(mouth, microphone, size, strict=True):
        n_rooms = math.ceil(SPEED_OF_SOUND * rt60 / metres / 2)
        room = np.arange(-n_rooms, n_rooms + 1)
        places.append(np.concatenate([2 * room * metres + at, 2 * room * metres - at]) - heard)
        walls.append(np.concatenate([2 * np.abs(room), np.abs(room - 1) + np.abs(room)]))
    (u, v, w), (i, j, k) = np.ix_(*(each**2 for each in places)), np.ix_(*walls)
    distance, turns = np.sqrt(u + v + w).ravel(), (i + j + k).ravel()
    strength = (1 - 2 * (turns % 2)) * np.exp(-loss / 2 * turns) * MICROPHONE_METRES / distance
    delay = np.rint((distance - MICROPHONE_METRES) / SPEED_OF_SOUND * sr).astype(int)
    near = delay < rt60 * sr
    response = np.bincount(delay[near], weights=strength[near])
    return fftconvolve(y, response)[: y.size].astype(y.dtype)


def telephone(y: np.ndarray, *, sr: int, highest: float) -> np.ndarray:
    """Speak through a telephone: from 300 Hz up, 8 bits by the mu-law, 8000 samples a second.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
    sr : int
        Its rate [Hz].
    highest : float
        Upper edge of the band [Hz]: 3400 in the standard.

    Returns
    -------
    ndarray, shape (n_samples,)

    References
    ----------
    ITU-T G.711, "Pulse code modulation (PCM) of voice frequencies", 1988.
    """
    from scipy.signal import butter, sosfilt

    band = butter(6, [300, highest], btype="bandpass", fs=TELEPHONE_RATE, output="sos")
    line = sosfilt(band, soxr.resample(y, sr, TELEPHONE_RATE))
    loudest = 2 * np.abs(line).max()  # the loudest sample gets to half of what can be told
    share = line / loudest if loudest else line
    code = np.rint(127 * np.sign(share) * np.log1p(MU * np.abs(share)) / math.log1p(MU)) / 127
    heard = loudest * np.sign(code) * np.expm1(np.abs(code) * math.log1p(MU)) / MU
    return audio.pad(soxr.resample(heard, TELEPHONE_RATE, sr), length=y.size).astype(y.dtype)


def overdrive(y: np.ndarray, *, db: float) -> np.ndarray:
    """Speak so loudly that the microphone's range ends below the peak of the clip.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
    db : float
        Peak above the end of the range [dB].

    Returns
    -------
    ndarray, shape (n_samples,)
        In [-1, 1], which is the range.
    """
    return np.clip(audio.normalize_peak(y, peak=float(10 ** (db / 20))), -1, 1)


def mp3(y: np.ndarray, *, sr: int, kbits: float) -> np.ndarray:
    """Encode a clip as MP3, and decode it.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
    sr : int
        Its rate [Hz].
    kbits : float
        Constant bit rate [kbit/s].

    Returns
    -------
    ndarray, shape (n_samples,)
    """
    lowest, highest = (8, 160) if sr <= 24_000 else (32, 320)  # of MPEG-2 and MPEG-1, layer III
    level = min((highest - kbits) / (highest - lowest), 0.999)  # 1 is refused
    file = io.BytesIO()
    encoding = {"subtype": "MPEG_LAYER_III", "bitrate_mode": "CONSTANT", "compression_level": level}
    # LAME ends the whole program where a float recording goes far beyond the range.
    loudest = max(1.0, float(np.abs(y).max(initial=0.0)))
    soundfile.write(file, y / loudest, sr, format="MP3", **encoding)
    decoded, _ = soundfile.read(io.BytesIO(file.getvalue()), dtype=y.dtype.name)
    start = LAME_DELAY if decoded.size > y.size else 0
    return audio.pad(decoded[start:], length=y.size) * loudest


@lru_cache(maxsize=2)  # one rate after the other
def _voices(sr: int) -> list[np.ndarray]:
    """Return speech of each speaker of the sample corpus, at one level and without long pauses."""
    found = []
    for folder in sorted(files.in_project("data", "sample", "ravdess").glob("Actor_*")):
        paths = sorted(folder.glob("*.ogg"))
        some = paths[:: max(1, len(paths) // TAKES)]
        voice = np.concatenate([audio.trim(audio.read(path, sr=sr), sr=sr) for path in some])
        found.append(voice / np.sqrt(np.mean(np.square(voice))))
    return found
