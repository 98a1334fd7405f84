"""The vocabulary of emotions, their one order, their aliases, and the codes that corpora use.

The nine canonical emotions are the default. A corpus may have labels of its own beside them or in
their place, such as "stressed" or "höflich": they are kept as they are and sorted after the nine.
"""

from __future__ import annotations

import difflib
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised", "bored")
"""The canonical emotions. Every table, model and plot of the project keeps this order.

Other labels come after them, sorted.
"""

GENDERS: tuple[str, ...] = ("female", "male")
"""The voices that corpora tell apart, in the one order."""

_SPELLINGS = {
    "angry": ("anger", "ang"),
    "bored": ("boredom", "bore", "bor"),
    "calm": ("calmness",),
    "disgust": ("disgusted", "dis"),
    "fearful": ("fear", "afraid", "anxiety", "fea"),
    "happy": ("happiness", "joy", "hap"),
    "neutral": ("neu",),
    "sad": ("sadness",),
    "surprised": ("surprise", "ps", "pleasant_surprise", "pleasant_surprised", "sur"),
    # Of IEMOCAP and others; these two are labels of their own.
    "excited": ("exc", "excitement"),
    "frustrated": ("fru", "frustration"),
}
ALIASES: dict[str, str] = {alias: name for name, told in _SPELLINGS.items() for alias in told}
"""The label that another spelling stands for."""

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
    wanted = in_order(emotions)
    for known in ORDERED_EMOTIONS:
        if set(wanted) == set(known):
            return dict(known)
    orders = " or ".join(" < ".join(known) for known in ORDERED_EMOTIONS)
    told = f"there is no order of {', '.join(wanted)} for a regression"
    raise ValueError(f"{told}: choose the emotions {orders}")


_SEPARATORS = re.compile(r"""[\s\-/\\,;:=|"*?<>]""")  # mean something in lists or file names
_MISSING = frozenset({"", "nan", "none", "null", "na", "_na_", "n_a"})


def spelling(name: str) -> str:
    """Return a label in lower case, composed (NFC), with underscores between its words.

    Examples
    --------
    >>> spelling(" Sehr  höflich")
    'sehr_höflich'
    """
    composed = unicodedata.normalize("NFC", " ".join(str(name).split())).lower()
    return _SEPARATORS.sub("_", composed)


def canonical(name: str) -> str:
    """Return the one spelling of a label.

    Parameters
    ----------
    name : str
        Any common spelling; case, surrounding blanks, and the choice among blank, hyphen and
        underscore do not matter.

    Returns
    -------
    str
        A member of `EMOTIONS`, or a label of one's own as `spelling` gives it.

    Raises
    ------
    ValueError
        If it is empty, or what tables write for a missing value.

    Examples
    --------
    >>> canonical("Fear"), canonical("pleasant surprise"), canonical("sad"), canonical("Stressed")
    ('fearful', 'surprised', 'sad', 'stressed')
    """
    key = spelling(name)
    if key in _MISSING:
        raise ValueError(f"no label: {str(name)!r} stands for a missing one")
    return ALIASES.get(key, key)


def in_order(emotions: Iterable[str]) -> tuple[str, ...]:
    """Return the distinct labels: the canonical emotions in their order, then others, sorted.

    Raises
    ------
    ValueError
        If one is empty, or a text is given in place of a list.

    Examples
    --------
    >>> in_order(["stressed", "sad", "anger", "neutral", "sad", "calm", "polite"])
    ('neutral', 'calm', 'sad', 'angry', 'polite', 'stressed')
    """
    if isinstance(emotions, str):
        raise ValueError(f"emotions is the text {emotions!r}: give a list of names")
    present = {canonical(name) for name in emotions}
    return (*(name for name in EMOTIONS if name in present), *sorted(present - set(EMOTIONS)))


def subset(emotions: Iterable[str], known: Sequence[str], *, lacks: str) -> tuple[str, ...]:
    """Return some of the known labels, in their order.

    Parameters
    ----------
    emotions : iterable of str
        In any common spelling.
    known : sequence of str
    lacks : str
        What an error says of an unknown one, such as "the model does not know".

    Raises
    ------
    ValueError
        If one is unknown, or they are fewer than two.

    Examples
    --------
    >>> subset(["anger", "happy"], ("happy", "sad", "angry"), lacks="the model does not know")
    ('happy', 'angry')
    """
    wanted = in_order(emotions)
    if unknown := [emotion for emotion in wanted if emotion not in known]:
        raise ValueError(f"{lacks} {', '.join(unknown)}: choose among {', '.join(known)}")
    if len(wanted) < 2:
        raise ValueError(f"{len(wanted)} emotion(s) are left: a choice is among at least two")
    return tuple(emotion for emotion in known if emotion in wanted)


def own(emotions: Iterable[str]) -> str:
    """Name the labels that are not canonical, as a slip of the pen looks like one.

    Returns
    -------
    str
        One phrase; empty where all are canonical.

    Examples
    --------
    >>> own(["sad", "stressed", "angyr"])
    'labels beside the nine emotions: angyr (angry?), stressed'
    """
    present = in_order(emotions)
    told = []
    for name in (each for each in present if each not in EMOTIONS):
        others = {*EMOTIONS, *ALIASES.values(), *present} - {name}
        alike = difflib.get_close_matches(name, sorted(others), n=1, cutoff=0.8)
        told.append(f"{name} ({alike[0]}?)" if alike else name)
    return f"labels beside the nine emotions: {', '.join(told)}" if told else ""


class Translation:
    """The spelling of labels, after those of a corpus have been translated as its user says.

    Parameters
    ----------
    meanings : mapping of str to str
        From a label to another one; to itself for one's own label that file names end in, and to
        an empty text for one whose clips are left out.

    Examples
    --------
    >>> translate = Translation({"exc": "happy", "oth": ""})
    >>> translate("exc"), translate("fru"), translate.knows("stressed"), translate.knows("fear")
    ('happy', 'frustrated', False, True)
    """

    def __init__(self, meanings: Mapping[str, str]) -> None:
        self._meanings = {
            spelling(name): canonical(meaning) if meaning.strip() else ""
            for name, meaning in meanings.items()
        }
        self._used: set[str] = set()

    def __call__(self, name: str) -> str:
        """Return the label that is meant; ValueError if there is none, or it is to be left out."""
        for key in (spelling(name), ALIASES.get(spelling(name))):
            if key in self._meanings:
                self._used.add(key)
                if not self._meanings[key]:
                    raise ValueError(f"label {name!r} is left out, as its translation is empty")
                return self._meanings[key]
        return canonical(name)

    def add(self, names: Iterable[str]) -> None:
        """Take further names for labels, which stand for themselves."""
        self._meanings |= {spelling(name): canonical(name) for name in names}

    def knows(self, name: str) -> bool:
        """Return whether the name is a canonical emotion, spells one, or is to be translated."""
        key = spelling(name)
        return key in self._meanings or ALIASES.get(key, key) in EMOTIONS

    @property
    def unused(self) -> list[str]:
        """What was to be translated and did not occur."""
        return sorted(set(self._meanings) - self._used)


def parse_translation(text: str) -> dict[str, str]:
    r"""Read what labels mean: lines such as ``ang=angry`` or ``ang,angry``, or a JSON object.

    A label alone stands for itself.

    Raises
    ------
    ValueError
        If a line has no label before its sign, or the JSON is none.

    Examples
    --------
    >>> parse_translation("ang=angry\nexc = happy\nstressed")
    {'ang': 'angry', 'exc': 'happy', 'stressed': 'stressed'}
    """
    if text.lstrip().startswith("{"):
        try:
            return {str(name): str(meaning) for name, meaning in json.loads(text).items()}
        except RecursionError:
            raise ValueError("the JSON is nested too deeply: write lines ang=angry") from None
    found = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, *meaning = (part.strip() for part in re.split(r"[=,;:\t]", line, maxsplit=1))
        if not name:
            raise ValueError(f"{line!r} names no label: write such as ang=angry")
        found[name] = meaning[0] if meaning else name
    return found


def parse_emotions(text: str) -> tuple[str, ...]:
    """Read a comma-separated list of emotions, as a command line takes it.

    Raises
    ------
    ValueError
        If one is empty, or fewer than two emotions are left.

    Examples
    --------
    >>> parse_emotions("ps, happy,fear")
    ('happy', 'fearful', 'surprised')
    """
    emotions = in_order(part for part in text.split(",") if part.strip())
    if len(emotions) < 2:
        raise ValueError(f"{text!r} names {len(emotions)} emotion(s): give at least two")
    return emotions
