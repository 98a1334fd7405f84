"""What the file names of each corpus say: one table of rules, from name to columns.

A rule takes the path relative to the corpus and gives the columns of the clip table, or raises
ValueError with the reason, in the few words that the table of rejects shows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from sercourse import labels

Row = dict[str, Any]
"""Columns of one clip; `recording` is what its takes share, None or no entry is unknown."""


@dataclass(frozen=True)
class Rule:
    """How a corpus names its clips.

    Attributes
    ----------
    title : str
        The corpus as its authors write it.
    shape : str
        An example of a name.
    pattern : str
        Regular expression of a stem; its groups are columns.
    emotions : mapping of str to str
        From code to emotion; empty where names hold words.
    genders : mapping of str to str
        Of the speakers.
    closed : bool
        Whether there are no other speakers.
    refused : mapping of str to mapping of str to str
        For a group of `pattern`, values that are left out, and why.
    levels : mapping of str to (str or None)
        From code to intensity.
    recording : str
        Format of what clips that belong together share.
    case : callable
        What is done to a stem before it is matched.
    speakers : str
        Prefix of the speakers, if not the corpus: both channels of RAVDESS share their actors.
    one_of_each : bool
        Whether copies of a recording in other formats are left out.
    """

    title: str
    shape: str
    pattern: str = ""
    emotions: Mapping[str, str] = field(default_factory=dict)
    genders: Mapping[str, str] = field(default_factory=dict)
    closed: bool = False
    refused: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    levels: Mapping[str, str | None] = field(default_factory=dict)
    recording: str = "{stem}"
    case: Callable[[str], str] = str
    speakers: str = ""
    one_of_each: bool = False

    def __call__(self, path: PurePosixPath) -> Row:
        """Return the columns that a path relative to the corpus tells.

        Examples
        --------
        >>> row = RULES["aesdd"](PurePosixPath("sadness/s01 (5)b.wav"))
        >>> row["emotion"], row["speaker"], row["statement"], row["take"], row["recording"]
        ('sad', '5', '01', 'b', 's01-5')
        """
        stem = self.case(path.stem)
        found = re.fullmatch(self.pattern, stem)
        if found is None:
            raise ValueError(f"name does not follow the {self.title} rule")
        told = found.groupdict()
        for name, reasons in self.refused.items():
            if why := reasons.get(told[name]):
                raise ValueError(why)
        speaker = (told["speaker"] or path.parent.name).upper()
        speaker = {"OA": "OAF", "YA": "YAF"}.get(speaker, speaker)  # TESS has one OA_bite_neutral
        if self.closed and speaker not in self.genders:
            raise ValueError(f"actor {speaker} is not one of {_range(self.genders)}")
        intensity = told.get("intensity")
        return {
            "emotion": self._emotion(told["emotion"]),
            "recording": self.recording.format(**{**told, "stem": stem, "speaker": speaker}),
            "speaker": speaker,
            "gender": self.genders.get(speaker),
            "intensity": intensity and _meaning(intensity, self.levels, "intensity"),
            "statement": told.get("statement"),
            "take": told.get("take") or None,
        }

    def _emotion(self, code: str) -> str | None:
        if self.emotions:
            return _meaning(code, self.emotions, "emotion")
        if (emotion := labels.canonical(code)) not in labels.EMOTIONS:
            raise ValueError(f"unknown emotion {code!r}: use one of {', '.join(labels.EMOTIONS)}")
        return emotion


def _range(names: Iterable[str]) -> str:
    return f"{min(names)}-{max(names)}"


def _meaning(code: str, meanings: Mapping[str, Any], what: str) -> str | None:
    if code not in meanings:
        raise ValueError(f"{what} code {code} is not one of {_range(meanings)}")
    return meanings[code]


RAVDESS_STATEMENTS = {"01": "Kids are talking by the door", "02": "Dogs are sitting by the door"}
"""What the actors of RAVDESS say, by the code in column `statement`."""

# Of CREMA-D's 91 actors, by its VideoDemographics.csv; the others are men.
_CREMAD_WOMEN = (
    "1002 1003 1004 1006 1007 1008 1009 1010 1012 1013 1018 1020 1021 1024 1025 "
    "1028 1029 1030 1037 1043 1046 1047 1049 1052 1053 1054 1055 1056 1058 1060 "
    "1061 1063 1072 1073 1074 1075 1076 1078 1079 1082 1084 1089 1091"
)
_RAVDESS: dict[str, Any] = {
    "pattern": r"(?P<modality>\d\d)-(?P<of_all_media>(?P<channel>0[12])-(?P<emotion>\d\d)"
    r"-(?P<intensity>\d\d)-(?P<statement>\d\d)-(?P<take>\d\d)-(?P<speaker>\d\d))",
    "emotions": labels.RAVDESS_EMOTIONS,
    "genders": {f"{k:02d}": "male" if k % 2 else "female" for k in range(1, 25)},
    "closed": True,
    "levels": {"01": "normal", "02": "strong"},
    "recording": "{of_all_media}",  # the film's sound track is the same recording
    "speakers": "ravdess",
}
_NO_SOUND = {"02": "modality 02 is a video without sound"}

RULES: dict[str, Rule] = {
    # Livingstone and Russo 2018, doi 10.1371/journal.pone.0196391
    "ravdess": Rule(
        "RAVDESS",
        "03-01-06-02-01-02-12",
        refused={"modality": _NO_SOUND, "channel": {"02": "song: it belongs to ravdess-song"}},
        **_RAVDESS,
    ),
    "ravdess-song": Rule(
        "RAVDESS song",
        "03-02-06-02-01-02-12",
        refused={"modality": _NO_SOUND, "channel": {"01": "speech: it belongs to ravdess"}},
        **_RAVDESS,
    ),
    # With the irregular "f11 (01)" and "s01 (5)b": a letter marks a further take.
    "aesdd": Rule(
        "AESDD",
        "a01 (1)",
        r"(?P<emotion>[adfhs])(?P<statement>\d\d) ?\(0?(?P<speaker>\d{1,2})\) ?(?P<take>[a-z]?)",
        labels.AESDD_EMOTIONS,
        recording="{emotion}{statement}-{speaker}",
        case=str.lower,
    ),
    # Burkhardt et al. 2005, doi 10.21437/Interspeech.2005-446
    "emodb": Rule(
        "EMO-DB",
        "03a01Fa",
        r"(?P<speaker>\d\d)(?P<statement>[a-z]\d\d)(?P<emotion>[WLEAFTN])(?P<take>[a-z]?)",
        labels.EMODB_EMOTIONS,
        dict.fromkeys(("03", "10", "11", "12", "15"), "male")
        | dict.fromkeys(("08", "09", "13", "14", "16"), "female"),
    ),
    # doi 10.5683/SP2/E8H2MF; its folders are spelt in many ways
    "tess": Rule(
        "TESS",
        "OAF_back_angry",
        r"(?P<speaker>[oy]af?)_(?P<statement>[a-z]+)_(?P<emotion>.+)",
        genders={"OAF": "female", "YAF": "female"},
        case=str.lower,
    ),
    "savee": Rule(  # or DC/a01
        "SAVEE",
        "DC_a01",
        r"(?:(?P<speaker>dc|je|jk|kl)[_-])?(?P<emotion>sa|su|[adfhn])(?P<statement>\d\d)",
        labels.SAVEE_EMOTIONS,
        dict.fromkeys(("DC", "JE", "JK", "KL"), "male"),
        closed=True,
        recording="{speaker}_{emotion}{statement}",
        case=str.lower,
    ),
    # Cao et al. 2014, doi 10.1109/TAFFC.2014.2336244; the release has one "1040_ITH_SAD_X"
    "crema-d": Rule(
        "CREMA-D",
        "1001_DFA_ANG_XX",
        r"(?P<speaker>\d{4})_(?P<statement>[A-Z]{3})_(?P<emotion>ANG|DIS|FEA|HAP|NEU|SAD)"
        r"_(?P<intensity>LO|MD|HI|XX?)",
        labels.CREMAD_EMOTIONS,
        {str(k): "female" if str(k) in _CREMAD_WOMEN else "male" for k in range(1001, 1092)},
        closed=True,
        levels={"LO": "low", "MD": "medium", "HI": "high", "X": None, "XX": None},
        case=str.upper,
        one_of_each=True,
    ),
    "custom": Rule("custom", "20190616_125714_happy"),  # read by `custom_label`
}
"""The corpora that can be scanned, by name."""

# As recordings are named here: by time, or by their place in a longer one.
_STAMPED = re.compile(r"(?:.*\d{8}_\d{6}|.*_\d{4,}\.\d\ds)(?:-\d+)?_(\D+)")
_SPLIT_FOLDER = re.compile(r"(train|test)(ing)?([-_ ].*)?", re.IGNORECASE)


def custom_label(path: PurePosixPath, *, translate: labels.Translation) -> Row:
    """Read ``..._emotion`` or ``emotion/...``, and the split from a folder named train or test.

    Examples
    --------
    >>> path = PurePosixPath("train/20190616_125714_pleasant_surprise.wav")
    >>> row = custom_label(path, translate=labels.Translation({}))
    >>> row["emotion"], row["split"]
    ('surprised', 'train')
    """
    named, folder = _named(path, translate.knows), _folder_named(path, translate.knows)
    if named and folder and translate(named) != translate(folder):
        raise ValueError(
            f"its name says {named} and its folder {folder}: list it in a CSV, or rename it"
        )
    emotion = named or folder or _stamped(path)
    if emotion is None:
        raise ValueError(f"name does not end in a known emotion: {_words(path.stem)[-1]!r}")
    splits = filter(None, map(_SPLIT_FOLDER.fullmatch, path.parent.parts))
    return {
        "emotion": translate(emotion),
        "recording": path.with_suffix("").as_posix(),
        "split": next((found[1].lower() for found in splits), None),
    }


def folder_labels(
    paths: Iterable[PurePosixPath], *, knows: Callable[[str], bool]
) -> frozenset[str]:
    """Return the labels of one's own that folders are named by, as `labels.spelling` gives them.

    Folders count where no name of a file ends in a known emotion, and they are at least two: the
    innermost without digits, which are of speakers and sessions.
    """
    found, own = set(), set()
    for path in paths:
        if _named(path, knows) or _stamped(path):
            return frozenset()
        if folder := _folder_named(path, knows):
            found.add(folder)
            continue
        parts = [each for each in path.parent.parts if not re.search(r"\d", each)]
        if parts := [each for each in parts if not _SPLIT_FOLDER.fullmatch(each)]:
            own.add(labels.spelling(parts[-1]))
    return frozenset(own if len(found | own) > 1 else ())


def _words(text: str) -> list[str]:
    return re.split(r"[_\s-]+", text)


def _named(path: PurePosixPath, knows: Callable[[str], bool]) -> str | None:
    """Return the label that a name ends in; "pleasant_surprise" is two words."""
    words = _words(path.stem)
    return next(filter(knows, ("_".join(words[first:]) for first in range(len(words)))), None)


def _folder_named(path: PurePosixPath, knows: Callable[[str], bool]) -> str | None:
    """Return the innermost folder that is called like a label, numbers aside: "03_angry"."""
    parts = [
        [word for word in _words(part) if not re.search(r"\d", word)] for part in path.parent.parts
    ]
    return next(filter(knows, ("_".join(words) for words in reversed(parts))), None)


def _stamped(path: PurePosixPath) -> str | None:
    """Return the label behind a stamp of time, as `sercourse listen --save` writes it."""
    found = _STAMPED.fullmatch(path.stem)
    return found[1] if found and found[1] != "unknown" else None
