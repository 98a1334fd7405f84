"""From a sentence, a voice and a manner to a waveform: espeak-ng, then a few plain filters."""

from __future__ import annotations

import io
import subprocess
import wave

import numpy as np
from numpy.typing import NDArray
from scipy import interpolate, signal

from .manner import Manner
from .voices import Voice

Signal = NDArray[np.float64]

SAMPLE_RATE = 16_000  # [Hz] of all clips
SHELF_CORNER = 1_000.0  # [Hz]
BAND_EDGE = 7_200.0  # [Hz] below the Nyquist frequency of the clips, with room for the filter
BREATH_EDGE = 1_500.0  # [Hz]
JITTER_BAND = 60.0  # [Hz] fastest change of the pitch that jitter makes
TREMOR_RATE = 5.5  # [Hz]
ENVELOPE_BAND = 25.0  # [Hz]
ROOM_MIX = 0.25  # energy of the reverberation relative to the direct sound, for 0.2 s
EDGE_SILENCE = (0.06, 0.30)  # [s] least and most, at either end
PEAK = 0.89  # largest sample: leaves the encoder room for overshoot

# Measured on espeak-ng 1.51: what `-p` does to the pitch. It saturates at both ends.
PITCH_STEPS = (0, 20, 35, 50, 65, 80, 99)
PITCH_SEMITONES = (-4.7, -4.0, -2.4, 0.0, 2.5, 5.2, 8.8)


def synthesise(
    sentence: str, *, voice: Voice, manner: Manner, ending: str, rng: np.random.Generator
) -> Signal:
    """Speak a sentence; `|` in it marks where a pause may be.

    Returns
    -------
    array of shape (n,)
        Mono samples at `SAMPLE_RATE`, within [-1, 1].
    """
    tract = voice.tract * (1.0 + manner.tract / 100.0)
    dry, sr = _espeak(sentence, voice=voice, manner=manner, ending=ending, tract=tract)
    jitter = max(voice.jitter + manner.jitter, 0.0)
    tremor = max(manner.tremor, 0.0)
    y = _warp(_without_edges(dry), sr=sr, speed=tract, jitter=jitter, tremor=tremor, rng=rng)
    y = _shelf(y, gain=voice.tilt + manner.tilt)
    y = _breathe(y, level=voice.breath + manner.breath, rng=rng)
    y = _place_in_room(y, seconds=voice.room, rng=rng)
    y = _set_level(y, level=voice.level + manner.loudness)
    y = _with_edges(y, rng=rng)
    y = y + _noise(len(y), level=voice.floor, rng=rng)
    return y * min(1.0, PEAK / np.abs(y).max())


def _espeak(
    sentence: str, *, voice: Voice, manner: Manner, ending: str, tract: float
) -> tuple[Signal, int]:
    """Run espeak-ng so that pitch and rate are right after playing it `tract` times as fast."""
    semitones = voice.pitch + manner.pitch - 12.0 * np.log2(tract)
    pitch = round(float(np.interp(semitones, PITCH_SEMITONES, PITCH_STEPS)))
    rate = round(voice.rate * 2.0**manner.rate / tract)
    span = round(100.0 * float(np.clip(2.0**manner.span - 1.0, -0.9, 1.0)))
    pause = round(1000.0 * max(manner.pause, 0.0))
    text = sentence.replace("|", f'<break time="{pause}ms"/>' if pause >= 20 else "")
    options = ["-m", "--stdout", "-v", voice.variant, "-p", str(pitch), "-s", str(rate)]
    ssml = f'<prosody range="{span:+d}%">{text}{ending}</prosody>'
    done = subprocess.run(["espeak-ng", *options, ssml], check=True, capture_output=True)
    return _decode(done.stdout)


def _decode(wav: bytes) -> tuple[Signal, int]:
    """Return samples and rate of 16-bit WAV bytes whose length field espeak-ng leaves open."""
    with wave.open(io.BytesIO(wav)) as file:
        sr = file.getframerate()
        samples = np.frombuffer(file.readframes(len(wav) // 2), dtype="<i2")
    return samples / 32768.0, sr


def _without_edges(y: Signal, *, threshold: float = 0.005) -> Signal:
    """Drop the synthesiser's digital silence at both ends."""
    loud = np.flatnonzero(np.abs(y) > threshold)
    return y[loud[0] : loud[-1] + 1]


def _warp(
    y: Signal, *, sr: int, speed: float, jitter: float, tremor: float, rng: np.random.Generator
) -> Signal:
    """Resample to `SAMPLE_RATE`, `speed` times as fast, with an unsteady clock.

    Speed scales the formants; the unsteadiness of the clock is the jitter and tremor [%].
    """
    n = int(len(y) / sr / speed * SAMPLE_RATE)
    edge = min(BAND_EDGE / speed, 0.45 * sr)
    smooth = signal.sosfiltfilt(signal.butter(8, edge, fs=sr, output="sos"), y)
    clock = 1.0 + 0.01 * (jitter * _slow_noise(n, band=JITTER_BAND, rng=rng))
    clock += 0.01 * tremor * _tremble(n, rng=rng)
    time = np.cumsum(clock)
    position = (time - time[0]) / (time[-1] - time[0]) * (len(y) - 1)
    loudness = 1.0 + 0.03 * tremor * _tremble(n, rng=rng)
    return interpolate.CubicSpline(np.arange(len(y)), smooth)(position) * loudness


def _slow_noise(n: int, *, band: float, rng: np.random.Generator) -> Signal:
    """Return noise below `band` [Hz], of standard deviation 1."""
    sos = signal.butter(2, band, fs=SAMPLE_RATE, output="sos")
    noise = signal.sosfilt(sos, rng.standard_normal(n))
    return noise / noise.std()


def _tremble(n: int, *, rng: np.random.Generator) -> Signal:
    """Return a sine near `TREMOR_RATE` with a rate and phase of its own."""
    rate = TREMOR_RATE * rng.uniform(0.85, 1.15)
    return np.sin(2.0 * np.pi * (rate * np.arange(n) / SAMPLE_RATE + rng.uniform()))


def _shelf(y: Signal, *, gain: float) -> Signal:
    """Raise what lies above `SHELF_CORNER` by `gain` [dB], first order."""
    factor = 10.0 ** (gain / 20.0)
    corner = 2.0 * np.pi * SHELF_CORNER
    numerator, denominator = signal.bilinear([factor, corner], [1.0, corner], fs=SAMPLE_RATE)
    return signal.lfilter(numerator, denominator, y)


def _breathe(y: Signal, *, level: float, rng: np.random.Generator) -> Signal:
    """Add high-passed noise that follows the envelope of the speech, `level` [dB] below it."""
    sos = signal.butter(1, ENVELOPE_BAND, fs=SAMPLE_RATE, output="sos")
    envelope = signal.sosfiltfilt(sos, np.abs(y)).clip(min=0.0)
    high = signal.butter(2, BREATH_EDGE, "high", fs=SAMPLE_RATE, output="sos")
    return y + 10.0 ** (level / 20.0) * envelope * signal.sosfilt(high, rng.standard_normal(len(y)))


def _place_in_room(y: Signal, *, seconds: float, rng: np.random.Generator) -> Signal:
    """Add the exponentially decaying tail of a room with this reverberation time."""
    n = int(seconds * SAMPLE_RATE)
    tail = rng.standard_normal(n) * 10.0 ** (-3.0 * np.arange(n) / n)
    tail *= np.sqrt(ROOM_MIX * seconds / 0.2 / np.sum(tail**2))
    return np.pad(y, (0, n)) + signal.fftconvolve(np.pad(y, (1, 0)), tail)


def _set_level(y: Signal, *, level: float) -> Signal:
    """Scale to a root mean square [dBFS]."""
    return y * 10.0 ** (level / 20.0) / np.sqrt(np.mean(y**2))


def _with_edges(y: Signal, *, rng: np.random.Generator) -> Signal:
    """Add silence of chance length at both ends."""
    before, after = (rng.uniform(*EDGE_SILENCE, size=2) * SAMPLE_RATE).astype(int)
    return np.pad(y, (before, after))


def _noise(n: int, *, level: float, rng: np.random.Generator) -> Signal:
    """Return background noise that falls with frequency, of `level` [dBFS]."""
    noise = signal.lfilter([1.0], [1.0, -0.9], rng.standard_normal(n))
    return _set_level(noise, level=level)
