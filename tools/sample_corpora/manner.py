"""How an emotion is spoken: means shared by all, a style of each speaker, chance of each clip.

The three are drawn from distributions that overlap. A speaker's style of an emotion is the same
in all clips of that speaker, so a model that has heard the speaker knows more than one that has
not: the difference between random and speaker-independent splits that real corpora show.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np


@dataclass(frozen=True)
class Manner:
    """What emotion changes in a voice, relative to that voice's neutral speech.

    Attributes
    ----------
    pitch : float
        Level of the voice pitch [semitones].
    span : float
        Range of the voice pitch [octaves of range: 1 doubles it].
    rate : float
        Speaking rate [octaves: 1 doubles it].
    loudness : float
        Level of the voiced parts [dB].
    tilt : float
        Gain of a high shelf above 1 kHz [dB].
    jitter : float
        Irregularity of the pitch from cycle to cycle [% of the pitch, root mean square].
    tremor : float
        Depth of a slow trembling of pitch and loudness [%].
    breath : float
        Level of breath noise over the voice's own [dB].
    pause : float
        Pause in the middle of the sentence [s].
    tract : float
        Scale of the formants [%: positive is a shorter vocal tract, as in a smile].
    """

    pitch: float = 0.0
    span: float = 0.0
    rate: float = 0.0
    loudness: float = 0.0
    tilt: float = 0.0
    jitter: float = 0.0
    tremor: float = 0.0
    breath: float = 0.0
    pause: float = 0.0
    tract: float = 0.0


MEANS: dict[str, Manner] = {
    # pitch, span, rate, loudness, tilt, jitter, tremor, breath, pause, tract
    "neutral": Manner(),
    "calm": Manner(-1.3, -0.6, -0.20, -4.0, -3.2, 0.0, 0.0, 6.0, 0.06, -1.6),
    "happy": Manner(4.6, 0.9, 0.16, 4.0, 3.2, 0.3, 0.0, 0.0, 0.0, 5.0),
    "sad": Manner(-1.0, -1.1, -0.42, -6.5, -5.5, 0.6, 3.0, 8.0, 0.18, -4.0),
    "angry": Manner(3.2, 0.5, 0.22, 8.5, 7.5, 1.3, 0.0, -3.0, -0.03, -1.6),
    "fearful": Manner(6.2, -0.5, 0.30, 0.0, 0.8, 1.6, 9.0, 6.0, 0.08, 1.6),
    "disgust": Manner(-2.4, 0.3, -0.34, 1.6, 2.4, 1.9, 0.0, -1.6, 0.15, -6.0),
    "surprised": Manner(6.8, 1.4, -0.06, 4.0, 2.4, 0.0, 0.0, 4.5, 0.0, 4.0),
}
"""Mean of each emotion, acted at normal strength by an average speaker."""

STYLE_SD = Manner(1.9, 0.45, 0.14, 2.8, 2.5, 0.45, 1.7, 2.8, 0.055, 2.5)
"""Standard deviation over speakers of how they express one emotion."""

CLIP_SD = Manner(0.6, 0.2, 0.05, 0.8, 0.7, 0.2, 0.6, 1.0, 0.025, 0.6)
"""Standard deviation over the clips of one speaker and emotion."""

EXPRESSIVENESS_SD = 0.15
"""Standard deviation over speakers of the log of how strongly they act."""

STRENGTHS: dict[str, float] = {"normal": 0.85, "strong": 1.2}
"""Factor of the means for each acted strength."""

ENDINGS: dict[str, str] = {
    "neutral": ".",
    "calm": ".",
    "happy": "..!",
    "sad": ".",
    "angry": ".!!",
    "fearful": "..?!",
    "disgust": "..!",
    "surprised": "??!",
}
"""Punctuation marks, one of which is drawn for each clip: the synthesiser intones them."""


def own_style(rng: np.random.Generator) -> dict[str, Manner]:
    """Draw one speaker's mean manner of every emotion, at normal strength 1."""
    gain = np.exp(rng.normal(0.0, EXPRESSIVENESS_SD))
    sd = np.array(astuple(STYLE_SD))
    return {
        emotion: Manner(*(gain * np.array(astuple(mean)) + rng.normal(0.0, sd)))
        for emotion, mean in MEANS.items()
    }


def draw(
    style: dict[str, Manner],
    *,
    emotion: str,
    strength: str,
    rng: np.random.Generator,
) -> Manner:
    """Draw the manner of one clip of a speaker.

    Strength adds to the shared mean and leaves the speaker's own deviation as it is.
    """
    extra = (STRENGTHS[strength] - 1.0) * np.array(astuple(MEANS[emotion]))
    chance = rng.normal(0.0, np.array(astuple(CLIP_SD)))
    return Manner(*(np.array(astuple(style[emotion])) + extra + chance))
