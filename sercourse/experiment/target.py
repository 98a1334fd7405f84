"""What a model is asked of a clip: its emotion, whose voice it is, or both at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sercourse.labels import GENDERS
from sercourse.recipes import Report

EMOTION, GENDER, BOTH = "emotion", "gender", "emotion+gender"
TARGETS = (EMOTION, GENDER, BOTH)
"""What `prepare` can be asked for."""


def refuse_unknown(target: str) -> None:
    """Raise ValueError, naming the targets, if this is none of them."""
    if target not in TARGETS:
        raise ValueError(f"unknown target {target!r}: use one of {', '.join(TARGETS)}")


def classes(target: str, emotions: Sequence[str]) -> tuple[str, ...]:
    """Return the labels that a model tells apart, in the order of its probabilities.

    Examples
    --------
    >>> classes("gender", ["happy", "sad"])
    ('female', 'male')
    >>> classes("emotion+gender", ["happy", "sad"])
    ('female_happy', 'male_happy', 'female_sad', 'male_sad')
    """
    if target == EMOTION:
        return tuple(emotions)
    if target == GENDER:
        return GENDERS
    return tuple(f"{gender}_{emotion}" for emotion in emotions for gender in GENDERS)


def truth(target: str, clips: pd.DataFrame) -> NDArray[np.str_]:
    """Return the label of each clip."""
    if target == EMOTION:
        return clips["emotion"].to_numpy(dtype=str)
    if target == GENDER:
        return clips["gender"].to_numpy(dtype=str)
    return (clips["gender"] + "_" + clips["emotion"]).to_numpy(dtype=str)


def usable(target: str, clips: pd.DataFrame, *, report: Report) -> pd.DataFrame:
    """Return the clips that have a label.

    Raises
    ------
    ValueError
        If not both kinds of voices are left.
    """
    if target == EMOTION:
        return clips
    known = clips["gender"].isin(GENDERS).fillna(False).to_numpy(dtype=bool)
    if not known.all():
        report(f"left out: {int((~known).sum())} clips, as it is not known whose voice they are")
    present = set(clips["gender"][known])
    if len(present) < len(GENDERS):
        raise ValueError(
            f"the clips are of {' and '.join(sorted(present)) or 'no known'} voices: target "
            f"{target!r} needs {' and '.join(GENDERS)} ones; name them in a CSV column 'gender'"
        )
    kept = clips[known].reset_index(drop=True)
    kept.attrs = clips.attrs
    return kept


def marginal(predictions: pd.DataFrame, target: str) -> pd.DataFrame:
    """Return predictions of one kind of label from those of pairs.

    Parameters
    ----------
    predictions : pandas.DataFrame
        Of the target ``emotion+gender``.
    target : {"emotion", "gender"}
        Which one is wanted; probabilities of the other one are summed up.

    Raises
    ------
    ValueError
        If the target is neither, or the predictions are of no pairs.

    Examples
    --------
    >>> pairs = pd.DataFrame({"truth": ["male_sad"], "p_female_sad": [0.25], "p_male_sad": [0.75]})
    >>> marginal(pairs, "gender").to_dict("records")
    [{'truth': 'male', 'p_female': 0.25, 'p_male': 0.75}]
    """
    if target not in (EMOTION, GENDER):
        raise ValueError(f"target is {target!r}: give {EMOTION} or {GENDER}")
    place = (GENDER, EMOTION).index(target)
    columns = [str(name) for name in predictions if str(name).startswith("p_")]
    pairs = [tuple(name.removeprefix("p_").split("_", 1)) for name in columns]
    if not pairs or any(pair[0] not in GENDERS for pair in pairs):
        raise ValueError("the predictions are of no pairs: evaluate with target emotion+gender")
    told = predictions.drop(columns=columns)
    told["truth"] = told["truth"].str.split("_", n=1).str[place]
    for label in dict.fromkeys(pair[place] for pair in pairs):
        own = [name for name, pair in zip(columns, pairs, strict=True) if pair[place] == label]
        told[f"p_{label}"] = predictions[own].sum(axis=1)
    return told
