"""How many clips of each emotion the complete corpora have."""

from __future__ import annotations

import pandas as pd

from sercourse.labels import in_order

EXPECTED: dict[str, dict[str, int]] = {
    "ravdess": {"neutral": 96}
    | dict.fromkeys(("calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"), 192),
    # Actor 18 does not sing, and nobody sings disgust or surprise.
    "ravdess-song": {"neutral": 92}
    | dict.fromkeys(("calm", "happy", "sad", "angry", "fearful"), 184),
    "aesdd": {"happy": 119, "sad": 121, "angry": 120, "fearful": 120, "disgust": 122},
    "emodb": {
        "neutral": 79,
        "happy": 71,
        "sad": 62,
        "angry": 127,
        "fearful": 69,
        "disgust": 46,
        "bored": 81,
    },
    "tess": dict.fromkeys(
        ("neutral", "happy", "sad", "angry", "fearful", "disgust", "surprised"), 400
    ),
    "crema-d": {"neutral": 1087}
    | dict.fromkeys(("happy", "sad", "angry", "fearful", "disgust"), 1271),
    "savee": {"neutral": 120}
    | dict.fromkeys(("happy", "sad", "angry", "fearful", "disgust", "surprised"), 60),
}
"""Readable clips of each emotion, by corpus."""


def missing(clips: pd.DataFrame, *, corpus: str) -> list[str]:
    """Compare a scan with the complete corpus.

    Parameters
    ----------
    clips : pd.DataFrame
        With a column `emotion`.
    corpus : str
        A key of `EXPECTED`.

    Returns
    -------
    list of str
        One phrase for each emotion whose count differs; empty where all is there.

    Examples
    --------
    >>> missing(pd.DataFrame({"emotion": ["sad"] * 60 + ["happy"] * 60}), corpus="savee")[:2]
    ['neutral: 0 clips found, 120 expected', 'angry: 0 clips found, 60 expected']
    """
    wanted = EXPECTED[corpus]
    found = clips["emotion"].value_counts()
    return [
        f"{emotion}: {found.get(emotion, 0)} clips found, {wanted.get(emotion, 0)} expected"
        for emotion in in_order([*wanted, *found.index])
        if found.get(emotion, 0) != wanted.get(emotion, 0)
    ]
