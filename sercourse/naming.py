"""What the file names of each corpus say: one table of rules, from name to columns.

A rule takes the path relative to the corpus and gives the columns of the clip table, or raises
ValueError with the reason, in the few words that the table of rejects shows.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from sercourse import labels

Row = dict[str, Any]
"""Columns of one clip; `recording` is what its takes share, None or no entry is unknown."""

Knows = Callable[[str], bool]
"""Whether a word is a label."""


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
        Regular expression of a stem (verbose: blanks do not count); its groups are columns.
    emotions : mapping of str to str
        From code to emotion; empty where names hold words.
    female, male : str
        Names of the speakers.
    closed : bool
        Whether there are no other speakers.
    refused : mapping of str to mapping of str to str
        For a group of `pattern`, values that are left out, and why.
    levels : mapping of str to str
        From code to intensity; empty if unknown.
    recording : str
        Format of what clips that belong together share.
    case : {"", "lower", "upper"}
        What is done to a stem before it is matched.
    speakers : str
        Prefix of the speakers, if not the corpus.
    one_of_each : bool
        Whether copies of a recording in other formats are left out.
    """

    title: str
    shape: str
    pattern: str = ""
    emotions: Mapping[str, str] = field(default_factory=dict)
    female: str = ""
    male: str = ""
    closed: bool = False
    refused: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    levels: Mapping[str, str] = field(default_factory=dict)
    recording: str = "{stem}"
    case: str = ""
    speakers: str = ""
    one_of_each: bool = False

    def __call__(self, path: PurePosixPath, *, translate: Callable[[str], str]) -> Row:
        """Return the columns that a path relative to the corpus tells.

        Examples
        --------
        >>> path = PurePosixPath("sadness/s01 (5)b.wav")
        >>> row = RULES["aesdd"](path, translate=labels.canonical)
        >>> row["emotion"], row["speaker"], row["statement"], row["take"], row["recording"]
        ('sad', '5', '01', 'b', 's01-5')
        """
        stem = getattr(path.stem, self.case)() if self.case else path.stem
        found = re.fullmatch(self.pattern, stem, re.VERBOSE)
        if found is None:
            raise ValueError(f"name does not follow the {self.title} rule")
        told = found.groupdict()
        for name, reasons in self.refused.items():
            if why := reasons.get(told[name]):
                raise ValueError(why)
        speaker = (told["speaker"] or path.parent.name).upper()
        speaker = {"OA": "OAF", "YA": "YAF"}.get(speaker, speaker)  # TESS has one OA_bite_neutral
        genders = dict.fromkeys(self.female.split(), "female")
        genders |= dict.fromkeys(self.male.split(), "male")
        for what, code, known in (
            ("actor", speaker, genders if self.closed else {}),
            ("emotion code", told["emotion"], self.emotions),
            ("intensity code", told.get("intensity"), self.levels),
        ):
            if known and code not in known:
                raise ValueError(f"{what} {code} is not one of {min(known)}-{max(known)}")
        emotion = self.emotions.get(told["emotion"]) or labels.canonical(told["emotion"])
        if emotion not in labels.EMOTIONS:
            wanted = ", ".join(labels.EMOTIONS)
            raise ValueError(f"unknown emotion {told['emotion']!r}: use one of {wanted}")
        return {
            "emotion": translate(emotion),
            "recording": self.recording.format(**{**told, "stem": stem, "speaker": speaker}),
            "speaker": speaker,
            "gender": genders.get(speaker),
            "intensity": self.levels.get(told.get("intensity", "")) or None,
            "statement": told.get("statement"),
            "take": told.get("take") or None,
        }


TABLE: dict[str, Any] = tomllib.loads(Path(__file__).with_name("corpora.toml").read_text("utf-8"))
"""What is known of each corpus, as its first lines say."""

RULES: dict[str, Rule] = {name: Rule(**told["names"]) for name, told in TABLE.items()}
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
        told = f"its name says {named} and its folder {folder}"
        raise ValueError(f"{told}: list it in a CSV, or rename it")
    emotion = named or folder or _stamped(path)
    if emotion is None:
        raise ValueError(f"name does not end in a known emotion: {_words(path.stem)[-1]!r}")
    splits = filter(None, map(_SPLIT_FOLDER.fullmatch, path.parent.parts))
    return {
        "emotion": translate(emotion),
        "recording": path.with_suffix("").as_posix(),
        "split": next((found[1].lower() for found in splits), None),
    }


def folder_labels(paths: Iterable[PurePosixPath], *, knows: Knows) -> frozenset[str]:
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


def _named(path: PurePosixPath, knows: Knows) -> str | None:
    """Return the label that a name ends in; "pleasant_surprise" is two words."""
    words = _words(path.stem)
    return next(filter(knows, ("_".join(words[first:]) for first in range(len(words)))), None)


def _folder_named(path: PurePosixPath, knows: Knows) -> str | None:
    """Return the innermost folder that is called like a label, numbers aside: "03_angry"."""
    parts = [
        [word for word in _words(part) if not re.search(r"\d", word)] for part in path.parent.parts
    ]
    return next(filter(knows, ("_".join(words) for words in reversed(parts))), None)


def _stamped(path: PurePosixPath) -> str | None:
    """Return the label behind a stamp of time, as `sercourse listen --save` writes it."""
    found = _STAMPED.fullmatch(path.stem)
    return found[1] if found and found[1] != "unknown" else None
