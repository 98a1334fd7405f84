"""Who speaks: the voices of the two sample corpora."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Voice:
    """One synthetic speaker, before any emotion.

    Attributes
    ----------
    variant : str
        Language and variant of espeak-ng.
    pitch : float
        Level relative to that variant's own [semitones].
    rate : int
        Speaking rate [words per minute].
    tract : float
        Factor of all formants: above 1 is a shorter vocal tract.
    tilt : float
        Gain of a high shelf above 1 kHz, voice and microphone together [dB].
    jitter : float
        Irregularity of the pitch in neutral speech [%].
    breath : float
        Breath noise relative to the voice [dB].
    level : float
        Root mean square of the speech in neutral [dBFS].
    floor : float
        Background noise [dBFS].
    room : float
        Reverberation time [s].
    """

    variant: str
    pitch: float
    rate: int
    tract: float
    tilt: float
    jitter: float
    breath: float
    level: float
    floor: float
    room: float


# Two actors of each of the six published folds; odd numbers are men, even ones women, as there.
RAVDESS_VOICES: dict[int, Voice] = {
    1: Voice("en-us+m3", 0.0, 178, 1.00, 0.0, 0.5, -32.0, -30.0, -62.0, 0.16),
    2: Voice("en-us+f2", 0.5, 184, 0.99, 0.5, 0.4, -31.0, -30.5, -64.0, 0.18),
    3: Voice("en-us+m1", 1.5, 168, 0.98, -1.0, 0.8, -31.0, -31.0, -61.0, 0.20),
    4: Voice("en-us+f3", -1.0, 174, 1.02, -0.5, 0.5, -30.0, -29.5, -61.5, 0.15),
    6: Voice("en-us+f4", 1.0, 190, 1.00, 0.8, 0.3, -32.0, -29.0, -63.0, 0.18),
    7: Voice("en-us+m7", -1.5, 186, 1.02, 0.8, 0.6, -33.0, -29.5, -64.0, 0.14),
    8: Voice("en-us+f5", -1.5, 170, 0.98, -0.8, 0.6, -30.0, -31.0, -60.0, 0.21),
    9: Voice("en-us+m5", 2.0, 182, 0.99, 0.5, 0.4, -31.5, -29.0, -62.5, 0.18),
    10: Voice("en-us+f1", 1.5, 180, 1.02, 0.2, 0.4, -31.0, -30.0, -63.5, 0.16),
    13: Voice("en-us+m4", 2.0, 172, 1.01, -0.5, 0.7, -30.5, -30.5, -61.0, 0.19),
    15: Voice("en-us+m6", -0.5, 194, 1.00, 1.0, 0.5, -32.0, -29.5, -63.5, 0.15),
    20: Voice("en-us+Annie", -2.0, 176, 0.99, -0.5, 0.5, -31.0, -30.5, -60.5, 0.20),
}

AESDD_VOICES: dict[int, Voice] = {
    1: Voice("el+m2", 1.0, 176, 1.00, 0.2, 0.5, -32.0, -29.5, -62.0, 0.16),
    2: Voice("el+f2", 1.0, 184, 1.01, 0.5, 0.4, -31.0, -30.0, -64.0, 0.15),
    3: Voice("el+m5", -1.0, 172, 0.98, -0.8, 0.7, -31.0, -31.0, -61.0, 0.20),
    4: Voice("el+f1", -0.5, 178, 0.99, -0.5, 0.5, -30.0, -30.0, -61.5, 0.18),
    5: Voice("el+f5", 0.5, 190, 1.02, 0.8, 0.4, -31.5, -29.0, -63.0, 0.15),
    6: Voice("el+m7", 2.0, 182, 1.01, 0.5, 0.6, -32.0, -30.5, -61.5, 0.19),
}
