"""Probabilities among some of a model's emotions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sercourse import labels


def restrict_labels(
    probabilities: Mapping[str, float], emotions: Iterable[str]
) -> dict[str, float]:
    """Leave out all emotions but some, and scale the probabilities of those to a sum of 1.

    It is what the model says when it is told that no other emotion is possible. An answer that
    was next to nothing before is then stretched to a certain one: the choice must be yours.

    Parameters
    ----------
    probabilities : mapping from emotion to probability
    emotions : iterable of str
        Those to keep, at least two, in any common spelling.

    Returns
    -------
    dict of str to float
        In the order of `probabilities`.

    Raises
    ------
    ValueError
        If one of them is not among the labels, or fewer than two are left.

    Examples
    --------
    >>> restrict_labels({"happy": 0.5, "sad": 0.125, "angry": 0.375}, ["anger", "sad"])
    {'sad': 0.25, 'angry': 0.75}
    """
    kept = label_subset(tuple(probabilities), emotions)
    p = renormalized(np.array([[probabilities[emotion] for emotion in kept]]))
    return dict(zip(kept, p[0].tolist(), strict=True))


def label_subset(known: Sequence[str], emotions: Iterable[str]) -> tuple[str, ...]:
    """Return the emotions that are asked for, in the order of those that a model knows.

    Raises
    ------
    ValueError
        If the model does not know one of them, or fewer than two are left.

    Examples
    --------
    >>> label_subset(("happy", "sad", "angry"), ["anger", "happy"])
    ('happy', 'angry')
    """
    wanted = labels.in_order(emotions)
    unknown = [emotion for emotion in wanted if emotion not in known]
    if unknown:
        raise ValueError(
            f"the model does not know {', '.join(unknown)}: choose among {', '.join(known)}"
        )
    if len(wanted) < 2:
        raise ValueError(f"{len(wanted)} emotion(s) are left: there is a choice only among two")
    return tuple(emotion for emotion in known if emotion in wanted)


def renormalized(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale rows of probabilities (n, k) to a sum of 1; rows of zeros become equal shares."""
    p = np.maximum(p, np.finfo(np.float64).tiny)
    return p / p.sum(axis=1, keepdims=True)
