"""The emotion vocabulary, its one order, its aliases, and the codes that corpora use for it."""

from __future__ import annotations

from collections.abc import Iterable

EMOTIONS: tuple[str, ...] = (
    "neutral",
    "calm",
    "happy",
    "sad",
    "angry",
    "fearful",
    "disgust",
    "surprised",
    "bored",
)
"""The canonical emotions. Every table, model and plot of the project keeps this order."""

GENDERS: tuple[str, ...] = ("female", "male")
"""The voices that corpora tell apart, in the one order."""

ALIASES: dict[str, str] = {
    "anger": "angry",
    "boredom": "bored",
    "bore": "bored",
    "calmness": "calm",
    "disgusted": "disgust",
    "fear": "fearful",
    "afraid": "fearful",
    "anxiety": "fearful",
    "happiness": "happy",
    "joy": "happy",
    "sadness": "sad",
    "surprise": "surprised",
    "ps": "surprised",
    "pleasant_surprise": "surprised",
    "pleasant_surprised": "surprised",
}

# RAVDESS numbers neutral and calm apart; mixing them up loses a class without an error.
RAVDESS_EMOTIONS: dict[str, str] = {
    "01": "neutral",
    "02": "calm",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "fearful",
    "07": "disgust",
    "08": "surprised",
}

AESDD_EMOTIONS: dict[str, str] = {
    "a": "angry",
    "d": "disgust",
    "f": "fearful",
    "h": "happy",
    "s": "sad",
}

EMODB_EMOTIONS: dict[str, str] = {  # first letters of the German words
    "W": "angry",
    "L": "bored",
    "E": "disgust",
    "A": "fearful",
    "F": "happy",
    "T": "sad",
    "N": "neutral",
}

SAVEE_EMOTIONS: dict[str, str] = {
    "a": "angry",
    "d": "disgust",
    "f": "fearful",
    "h": "happy",
    "n": "neutral",
    "sa": "sad",
    "su": "surprised",
}


ORDERED_EMOTIONS: tuple[dict[str, int], ...] = (
    {"sad": 0, "neutral": 1, "happy": 2},
    {"angry": 1, "sad": 2, "neutral": 3, "surprised": 4, "happy": 5},
)
"""Emotions in order, from the least pleasant, and their codes: what regressors estimate."""


def codes(emotions: Iterable[str]) -> dict[str, int]:
    """Return the codes of emotions that have an order.

    Raises
    ------
    ValueError
        If no order is agreed for them; the sentence names those that there are.

    Examples
    --------
    >>> codes(["happy", "neutral", "sad"])
    {'sad': 0, 'neutral': 1, 'happy': 2}
    """
    wanted = set(in_order(emotions))
    for known in ORDERED_EMOTIONS:
        if wanted == set(known):
            return dict(known)
    orders = " or ".join(" < ".join(known) for known in ORDERED_EMOTIONS)
    raise ValueError(
        f"there is no order of {', '.join(in_order(wanted))} for a regression: choose the emotions "
        f"{orders}"
    )


def canonical(name: str) -> str:
    """Return the canonical spelling of an emotion.

    Parameters
    ----------
    name : str
        Any common spelling; case, surrounding blanks, and the choice among blank, hyphen and
        underscore do not matter.

    Returns
    -------
    str
        A member of `EMOTIONS`.

    Raises
    ------
    ValueError
        If the spelling is not known.

    Examples
    --------
    >>> canonical("Fear"), canonical("pleasant surprise"), canonical("sad")
    ('fearful', 'surprised', 'sad')
    """
    key = name.strip().lower().replace("-", "_").replace(" ", "_")
    key = ALIASES.get(key, key)
    if key not in EMOTIONS:
        raise ValueError(f"unknown emotion {name!r}: use one of {', '.join(EMOTIONS)}")
    return key


def in_order(emotions: Iterable[str]) -> tuple[str, ...]:
    """Return the distinct emotions, canonical and in the one order.

    Raises
    ------
    ValueError
        If one is unknown, or a text is given in place of a list.

    Examples
    --------
    >>> in_order(["sad", "anger", "neutral", "sad"])
    ('neutral', 'sad', 'angry')
    """
    if isinstance(emotions, str):
        raise ValueError(f"emotions is the text {emotions!r}: give a list of names")
    present = {canonical(name) for name in emotions}
    return tuple(emotion for emotion in EMOTIONS if emotion in present)


def parse_emotions(text: str) -> tuple[str, ...]:
    """Read a comma-separated list of emotions, as a command line takes it.

    Raises
    ------
    ValueError
        If a spelling is not known or fewer than two emotions are left.

    Examples
    --------
    >>> parse_emotions("ps, happy,fear")
    ('happy', 'fearful', 'surprised')
    """
    emotions = in_order(part for part in text.split(",") if part.strip())
    if len(emotions) < 2:
        raise ValueError(f"{text!r} names {len(emotions)} emotion(s): give at least two")
    return emotions
