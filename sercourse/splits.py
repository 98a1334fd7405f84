"""Protocols: which recordings train a model and which test it, and so what its score means."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

Indices = NDArray[np.intp]
Split = tuple[Indices, Indices]

BY_SPEAKER = ("speaker", "speaker+norm", "speaker+enrol")
BY_CORPUS = ("corpus", "corpus+norm", "corpus+enrol")
PROTOCOLS = ("random", "recording", *BY_SPEAKER, *BY_CORPUS, "given")  # see `make_folds`

RAVDESS_FOLDS: tuple[tuple[int, ...], ...] = (
    (1, 11, 20, 21),
    (4, 10, 12, 14),
    (8, 9, 19, 23),
    (3, 5, 7, 24),
    (2, 15, 16, 18),
    (6, 13, 17, 22),
)
"""Test actors of the six folds that EmoBox publishes (Ma et al., 2024), so that results compare."""

INNER_FOLDS = 4  # of the training side
RECORDING_FOLDS = 5
TEST_SHARE = 0.2  # of the recordings, in a random split
ENROLMENT_CLIPS = 8
ENROLMENT_DRAWS = 5  # of these clips: which of them tell the voice moves the score
MOST_SINGLE_SPEAKER_FOLDS = 10
SPEAKER_FOLDS = 6  # where there are more speakers, or several corpora
NO_CLIPS: Indices = np.empty(0, dtype=np.intp)


@dataclass(frozen=True)
class Fold:
    """One division of the clips into a training and a test side.

    Attributes
    ----------
    name : str
        What the fold is called in results.
    train, test : ndarray of int
        Positions of the clips in the table.
    enrol : ndarray of int
        Clips of the test speakers that are set aside, unlabelled and unscored, to learn the voice.
    test_speakers : tuple of str
        The speakers of the test side where the split is by speaker or by corpus, else empty.
    shared : tuple of str
        The labels that both sides have, where a model is asked for no others; else empty.
    """

    name: str
    train: Indices
    test: Indices
    enrol: Indices = field(default_factory=lambda: NO_CLIPS)
    test_speakers: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()


def make_folds(
    protocol: str,
    *,
    y: Sequence[str] | NDArray[Any],
    speakers: Sequence[Any] | NDArray[Any],
    groups: Sequence[Any] | NDArray[Any],
    corpus: str | Sequence[str] | NDArray[Any],
    seeds: Sequence[int] = range(10),
    split: Sequence[Any] | NDArray[Any] | None = None,
) -> list[Fold]:
    """Divide clips by a named protocol.

    Parameters
    ----------
    protocol : str
        One of `PROTOCOLS`. ``random``: 80/20 over recordings, stratified, repeated by seed, and
        ``recording``: 5 folds over recordings; the same voices on both sides. ``speaker``: test
        voices that training never heard; ``speaker+norm``: every voice's features normalised with
        its own clips; ``speaker+enrol``: with 8 clips that are not scored, in five draws.
        ``corpus``, ``corpus+norm`` and ``corpus+enrol``: the same of a corpus that training never
        heard, and only the emotions that both sides have. ``given``: the train and test parts that
        the corpus itself names.
    y : sequence of str, length n
        Emotion of each clip; splits over recordings are stratified by it.
    speakers : sequence of str, length n
        Speaker of each clip, such as ``ravdess-07``; missing values are refused where the
        protocol needs speakers.
    groups : sequence of str, length n
        Clips of one group stay on one side.
    corpus : str, or sequence of str, length n
        Corpus of all clips, or of each. By speaker, ``"ravdess"`` gets its six published folds;
        other corpora leave one speaker out, or six groups of speakers where there are more than
        ten. Of several corpora these are joined to six folds.
    seeds : sequence of int
        One split of protocol ``random`` for each.
    split : sequence of str, length n, optional
        ``train`` or ``test``, for protocol ``given``. Protocol ``corpus`` leaves out one corpus
        after the other, unless there are corpora of which all is ``test``: then it trains on none
        of these, and tests each.

    Returns
    -------
    list of Fold

    Raises
    ------
    ValueError
        If the protocol is unknown or the clips cannot be divided by it.

    Examples
    --------
    >>> y = ["sad", "happy"] * 6
    >>> speakers = ["x-1"] * 4 + ["x-2"] * 4 + ["x-3"] * 4
    >>> folds = make_folds("speaker", y=y, speakers=speakers, groups=range(12), corpus="x")
    >>> [fold.test_speakers for fold in folds]
    [('x-1',), ('x-2',), ('x-3',)]
    """
    import pandas as pd

    y, groups = np.asarray(y), np.asarray(groups)
    voices = pd.Series(list(speakers), dtype="string")
    corpora = np.broadcast_to(np.asarray(corpus, dtype=str), y.shape)
    parts = np.asarray([""] * len(y) if split is None else split, dtype=object).astype(str)
    refuse_unknown(protocol)
    if protocol in BY_SPEAKER or "+" in protocol:
        _refuse_unknown_speakers(voices)
    if protocol == "random":
        folds = [_random_fold(y, groups, seed=seed) for seed in seeds]
    elif protocol == "recording":
        fewest_groups(y, groups, least=RECORDING_FOLDS)
        parted = enumerate(inner_splits(y, groups, n_folds=RECORDING_FOLDS), start=1)
        folds = [Fold(f"fold {k}", train, test) for k, (train, test) in parted]
    elif protocol == "given":
        folds = [_given_fold(parts)]
    elif protocol in BY_CORPUS:
        folds = _corpus_folds(y, voices, corpora=corpora, parts=parts)
    else:
        folds = _speaker_folds(voices.to_numpy(dtype=str), corpora=corpora)
    for fold in folds:
        if shared := set(groups[fold.train]) & set(groups[fold.test]):
            raise ValueError(
                f"recording {str(min(shared))!r}, or another take of it, is in training and in "
                f"test of {fold.name}: leave it out of one of them"
            )
    if "+enrol" in protocol:
        return [_set_aside(fold, voices.to_numpy(dtype=str)) for fold in folds]
    return folds


def refuse_unknown(protocol: str) -> None:
    """Raise ValueError, naming the protocols, if this is none of them."""
    if protocol not in PROTOCOLS:
        raise ValueError(f"unknown protocol {protocol!r}: use one of {', '.join(PROTOCOLS)}")


def _random_fold(y: NDArray[Any], groups: NDArray[Any], *, seed: int) -> Fold:
    """Draw 20 % of the groups as the test side, stratified by emotion."""
    from sklearn.model_selection import train_test_split

    fewest_groups(y, groups)
    names, first = np.unique(groups, return_index=True)
    _, drawn = train_test_split(names, test_size=TEST_SHARE, stratify=y[first], random_state=seed)
    return _fold(f"seed {seed}", np.isin(groups, drawn))


def _fold(name: str, is_test: NDArray[np.bool_], speakers: tuple[str, ...] = ()) -> Fold:
    train, test = np.flatnonzero(~is_test), np.flatnonzero(is_test)
    return Fold(name, train, test, test_speakers=speakers)


def _given_fold(parts: NDArray[np.str_]) -> Fold:
    """Use the train and test parts that the clip table names."""
    train, test = np.flatnonzero(parts == "train"), np.flatnonzero(parts == "test")
    if not len(train) or not len(test):
        raise ValueError(
            f"the clip table names {len(train)} training and {len(test)} test clips: protocol "
            "'given' needs both, from folders train/ and test/ or a CSV column 'split'"
        )
    return Fold("given", train, test)


def _corpus_folds(
    y: NDArray[Any], voices: pd.Series, *, corpora: NDArray[Any], parts: NDArray[np.str_]
) -> list[Fold]:
    """Leave out one corpus after the other, or test those of which all is to be tested.

    Only clips of labels that the training side shows are tested.
    """
    names = np.unique(corpora)
    if len(names) < 2:
        raise ValueError(
            f"all clips are of one corpus ({names[0]}): a split by corpus needs at least two; "
            "give them as NAME=DIR NAME=DIR"
        )
    only_tested = [name for name in names if (parts[corpora == name] == "test").all()]
    folds = []
    for name in only_tested or names:
        train = np.flatnonzero(~np.isin(corpora, only_tested or [name]))
        own = np.flatnonzero(corpora == name)
        shared = tuple(label for label in np.unique(y[own]).tolist() if label in y[train])
        if len(shared) < 2:
            raise ValueError(
                f"corpus {str(name)!r} shows {', '.join(np.unique(y[own]))} and shares "
                f"{' and '.join(shared) or 'none'} with {', '.join(np.unique(corpora[train]))}: "
                "a test needs two shared labels at least; leave it out"
            )
        test = own[np.isin(y[own], shared)]
        members = set(voices[test].dropna())
        if heard := members & set(voices[train].dropna()):
            raise ValueError(
                f"speaker {min(heard)} is in corpus {str(name)!r} and in another that is learnt "
                "from: leave one of them out"
            )
        speakers = tuple(sorted(members))
        folds.append(Fold(str(name), train, test, test_speakers=speakers, shared=shared))
    return folds


def _refuse_unknown_speakers(voices: pd.Series) -> None:
    if missing := int(voices.isna().sum()):
        raise ValueError(
            f"the speaker of {missing} of {len(voices)} clips is unknown: a split by speaker needs "
            "them all; name them in a CSV column 'speaker', or use protocol 'random'"
        )
    if voices.nunique() < 2:
        raise ValueError(
            f"all clips are by one speaker ({voices.iloc[0]}): a split by speaker needs at least "
            "two; use protocol 'random' or 'recording'"
        )


def _speaker_folds(speakers: NDArray[np.str_], *, corpora: NDArray[Any]) -> list[Fold]:
    """Divide by speaker, so that no test voice is heard in training."""
    dealt: list[list[str]] = []
    names = np.unique(corpora)
    for name in names:
        already = list(itertools.chain(*dealt))
        own = speakers[(corpora == name) & ~np.isin(speakers, already)]
        dealt += _of_one_corpus(np.unique(own).tolist(), corpus=name)
    n_folds = len(dealt) if len(names) == 1 else min(SPEAKER_FOLDS, len(dealt))
    # Of several corpora, their own folds are dealt out.
    joined = [tuple(itertools.chain(*dealt[start::n_folds])) for start in range(n_folds)]
    return [_fold(f"fold {k}", np.isin(speakers, own), own) for k, own in enumerate(joined, 1)]


def _of_one_corpus(present: list[str], *, corpus: str) -> list[list[str]]:
    if corpus == "ravdess":
        published = [[f"ravdess-{actor:02d}" for actor in fold] for fold in RAVDESS_FOLDS]
        folds = [[name for name in fold if name in present] for fold in published]
        folds = [fold for fold in folds if fold]
        if len(folds) > 1 and sum(map(len, folds)) == len(present):
            return folds
    if len(present) <= MOST_SINGLE_SPEAKER_FOLDS:
        return [[speaker] for speaker in present]
    return [present[start::SPEAKER_FOLDS] for start in range(SPEAKER_FOLDS)]


def _set_aside(fold: Fold, speakers: NDArray[np.str_], *, seed: int = 0) -> Fold:
    """Move `ENROLMENT_CLIPS` random clips of each test speaker from the test side to `enrol`.

    The draw looks at no label: a new user's half a minute of speech has none either.
    """
    rng, chosen = np.random.default_rng(seed), []
    for speaker in fold.test_speakers:
        clips = fold.test[speakers[fold.test] == speaker]
        if len(clips) <= ENROLMENT_CLIPS:
            raise ValueError(
                f"speaker {speaker} has {len(clips)} clips: enrolment sets {ENROLMENT_CLIPS} aside "
                "and must leave some to score"
            )
        chosen.append(rng.choice(clips, ENROLMENT_CLIPS, replace=False))
    enrol = np.sort(np.concatenate(chosen))
    return replace(fold, test=np.setdiff1d(fold.test, enrol), enrol=enrol)


def draws(fold: Fold, speakers: Sequence[Any] | NDArray[Any]) -> list[Fold]:
    """Return a fold with several draws of the clips that are set aside; itself if none are.

    The first draw is that of the fold.
    """
    if not len(fold.enrol):
        return [fold]
    whole = replace(fold, test=np.union1d(fold.test, fold.enrol), enrol=NO_CLIPS)
    names = np.asarray(speakers, dtype=str)
    return [_set_aside(whole, names, seed=seed) for seed in range(ENROLMENT_DRAWS)]


def undersample(y: Sequence[str] | NDArray[Any], *, seed: int = 0) -> Indices:
    """Choose as many clips of every emotion as the rarest has, at random; positions, rising.

    Examples
    --------
    >>> y = np.array(["sad", "sad", "sad", "happy"])
    >>> y[undersample(y)].tolist()
    ['sad', 'happy']
    """
    y, rng = np.asarray(y), np.random.default_rng(seed)
    emotions, counts = np.unique(y, return_counts=True)
    chosen = [
        rng.choice(np.flatnonzero(y == emotion), counts.min(), replace=False)
        for emotion in emotions
    ]
    return np.sort(np.concatenate(chosen))


def inner_splits(
    y: NDArray[Any], groups: Sequence[Any] | NDArray[Any], *, n_folds: int = INNER_FOLDS
) -> list[Split]:
    """Divide the training side for choices and calibration, with groups kept together.

    Parameters
    ----------
    y : ndarray of str, shape (n,)
    groups : sequence, length n
        Speakers where the outer split is by speaker, else groups of recordings.
    n_folds : int
        Fewer are made where an emotion has fewer groups.

    Returns
    -------
    list of (train, test)
        Positions.

    Raises
    ------
    ValueError
        If an emotion occurs in one group only, so that no split has it on both sides.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    groups = np.asarray(groups)
    n_folds = min(n_folds, fewest_groups(y, groups))
    splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=0)
    return list(splitter.split(y, y, groups))


def fewest_groups(y: NDArray[Any], groups: NDArray[Any], *, least: int = 2) -> int:
    """Count the groups of the emotion that occurs in the fewest.

    Raises
    ------
    ValueError
        If they are fewer than `least`, so that some split lacks the emotion on one side.

    Examples
    --------
    >>> y = np.array(["sad", "sad", "sad", "happy", "happy"])
    >>> fewest_groups(y, np.array([1, 2, 3, 1, 2]))
    2
    """
    occurrences = {str(emotion): len(np.unique(groups[y == emotion])) for emotion in np.unique(y)}
    rarest = min(occurrences, key=lambda emotion: occurrences[emotion])
    if occurrences[rarest] < least:
        raise ValueError(
            f"emotion {rarest!r} has {occurrences[rarest]} speaker(s) or recording(s) to divide: "
            f"this split needs at least {least}; add recordings or leave the emotion out"
        )
    return occurrences[rarest]
