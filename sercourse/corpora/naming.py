"""What the file names of each corpus say: one rule for each, from name to label.

A rule takes the path relative to the corpus and returns a `Label`, or raises ValueError with the
reason, in the few words that the table of rejects shows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from sercourse import labels


@dataclass(frozen=True)
class Label:
    """What a name, or a line of a CSV, says about a clip; None is unknown.

    Attributes
    ----------
    emotion : str
        A label; of corpora with codes a member of `labels.EMOTIONS`.
    recording : str
        What was recorded: clips that share it share a group.
    speaker : str or None
        Identifier inside the corpus.
    gender : str or None
        "female" or "male", or what a user's CSV says.
    intensity : str or None
        "normal" or "strong"; of CREMA-D "low", "medium" or "high".
    statement, take : str or None
        Codes as the corpus writes them.
    split : str or None
        "train" or "test".
    agreement : float or None
        Share of the raters who chose this label, where several did.
    """

    emotion: str
    recording: str
    speaker: str | None = None
    gender: str | None = None
    intensity: str | None = None
    statement: str | None = None
    take: str | None = None
    split: str | None = None
    agreement: float | None = None


@dataclass(frozen=True)
class Rule:
    """How a corpus names its clips.

    Attributes
    ----------
    title : str
        The corpus as its authors write it.
    shape : str
        A name, letter for letter or by example.
    speakers : str
        Prefix of its speakers: both channels of RAVDESS share their actors.
    parse : callable
        From relative path to `Label`.
    one_of_each : bool
        Whether copies of a recording in other formats are left out.
    """

    title: str
    shape: str
    speakers: str
    parse: Callable[[PurePosixPath], Label]
    one_of_each: bool = False

    def __call__(self, path: PurePosixPath) -> Label:
        """Return the label of a path relative to the corpus; ValueError says why there is none."""
        return self.parse(path)


RAVDESS_STATEMENTS = {"01": "Kids are talking by the door", "02": "Dogs are sitting by the door"}
"""What the actors of RAVDESS say, by the code in column `statement`."""

_RAVDESS = re.compile(r"(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)")
_AESDD = re.compile(r"([adfhs])(\d\d) ?\((\d{1,2})\) ?([a-z]?)", re.IGNORECASE)
_EMODB = re.compile(r"(\d\d)([a-z]\d\d)([WLEAFTN])([a-z]?)")
_TESS = re.compile(r"(OAF?|YAF?)_([a-z]+)_(.+)", re.IGNORECASE)
_SAVEE = re.compile(r"(?:(DC|JE|JK|KL)[_-])?(sa|su|[adfhn])(\d\d)", re.IGNORECASE)
_CREMAD = re.compile(r"(\d{4})_([A-Z]{3})_(ANG|DIS|FEA|HAP|NEU|SAD)_(LO|MD|HI|XX?)", re.IGNORECASE)
_CREMAD_LEVELS = {"LO": "low", "MD": "medium", "HI": "high"}
# As recordings are named here: by time, or by their place in a longer one.
_STAMPED = re.compile(r"(?:.*\d{8}_\d{6}|.*_\d{4,}\.\d\ds)(?:-\d+)?_(\D+)")
_SPLIT_FOLDER = re.compile(r"(train|test)(ing)?([-_ ].*)?", re.IGNORECASE)

_EMODB_MEN = frozenset({"03", "10", "11", "12", "15"})
_EMODB_WOMEN = frozenset({"08", "09", "13", "14", "16"})
# Of CREMA-D's 91 actors, by its VideoDemographics.csv; the others are men.
_CREMAD_WOMEN = (
    "1002 1003 1004 1006 1007 1008 1009 1010 1012 1013 1018 1020 1021 1024 1025 "
    "1028 1029 1030 1037 1043 1046 1047 1049 1052 1053 1054 1055 1056 1058 1060 "
    "1061 1063 1072 1073 1074 1075 1076 1078 1079 1082 1084 1089 1091"
)
_SAVEE_MEN = ("DC", "JE", "JK", "KL")


def ravdess_label(path: PurePosixPath, *, channel: str) -> Label:
    """Read ``MM-VC-EE-II-SS-RR-AA`` (Livingstone and Russo 2018, doi 10.1371/journal.pone.0196391).

    Parameters
    ----------
    path : PurePosixPath
        Relative path; its stem carries the label.
    channel : {"01", "02"}
        Speech or song; a clip of the other is refused.

    Examples
    --------
    >>> label = ravdess_label(PurePosixPath("03-01-06-02-01-02-12.wav"), channel="01")
    >>> label.emotion, label.speaker, label.gender, label.intensity, label.take
    ('fearful', '12', 'female', 'strong', '02')
    """
    found = _match(_RAVDESS, path.stem, "RAVDESS")
    modality, spoken, emotion, intensity, statement, repetition, actor = found
    if modality == "02":
        raise ValueError("modality 02 is a video without sound")
    if spoken != channel:
        names = {"01": "speech: it belongs to ravdess", "02": "song: it belongs to ravdess-song"}
        raise ValueError(names.get(spoken, f"vocal channel {spoken} is neither 01 nor 02"))
    if not 1 <= int(actor) <= 24:
        raise ValueError(f"actor {actor} is not one of 01-24")
    return Label(
        emotion=_code(emotion, labels.RAVDESS_EMOTIONS, "emotion"),
        recording=path.stem[3:],  # the film's sound track is the same recording
        speaker=actor,
        gender="male" if int(actor) % 2 else "female",
        intensity=_code(intensity, {"01": "normal", "02": "strong"}, "intensity"),
        statement=statement,
        take=repetition,
    )


def aesdd_label(path: PurePosixPath) -> Label:
    """Read ``xAA (B)``, with the irregular ``f11 (01)`` and ``s01 (5)b``.

    A letter marks a further take of the same utterance: all takes are one recording.

    Examples
    --------
    >>> label = aesdd_label(PurePosixPath("sadness/s01 (5)b.wav"))
    >>> label.emotion, label.speaker, label.statement, label.take, label.recording
    ('sad', '5', '01', 'b', 's01-5')
    """
    letter, utterance, speaker, take = _match(_AESDD, path.stem, "AESDD")
    return Label(
        emotion=labels.AESDD_EMOTIONS[letter.lower()],
        recording=f"{letter.lower()}{utterance}-{int(speaker)}",
        speaker=str(int(speaker)),
        statement=utterance,
        take=take.lower() or None,
    )


def emodb_label(path: PurePosixPath) -> Label:
    """Read ``SSTTTEv`` (Burkhardt et al. 2005, doi 10.21437/Interspeech.2005-446).

    Examples
    --------
    >>> label = emodb_label(PurePosixPath("wav/03a01Fa.wav"))
    >>> label.emotion, label.speaker, label.gender, label.statement, label.take
    ('happy', '03', 'male', 'a01', 'a')
    """
    speaker, text, emotion, version = _match(_EMODB, path.stem, "EMO-DB")
    return Label(
        emotion=labels.EMODB_EMOTIONS[emotion],
        recording=path.stem,
        speaker=speaker,
        gender=_gender(speaker, women=_EMODB_WOMEN, men=_EMODB_MEN),
        statement=text,
        take=version or None,
    )


def tess_label(path: PurePosixPath) -> Label:
    """Read ``OAF_word_emotion`` (doi 10.5683/SP2/E8H2MF); the folder's spelling does not matter.

    Examples
    --------
    >>> label = tess_label(PurePosixPath("YAF_pleasant_surprised/YAF_back_ps.wav"))
    >>> label.emotion, label.speaker, label.gender, label.statement
    ('surprised', 'YAF', 'female', 'back')
    """
    speaker, word, emotion = _match(_TESS, path.stem, "TESS")
    if labels.canonical(emotion) not in labels.EMOTIONS:
        raise ValueError(f"unknown emotion {emotion!r}: use one of {', '.join(labels.EMOTIONS)}")
    speaker = speaker[0].upper() + "AF"  # the release itself has one OA_bite_neutral
    return Label(
        emotion=labels.canonical(emotion),
        recording=path.stem.lower(),
        speaker=speaker,
        gender="female",
        statement=word.lower(),
    )


def savee_label(path: PurePosixPath) -> Label:
    """Read ``DC_a01`` or ``DC/a01``.

    Examples
    --------
    >>> label = savee_label(PurePosixPath("AudioData/JK/su03.wav"))
    >>> label.emotion, label.speaker, label.gender, label.statement
    ('surprised', 'JK', 'male', '03')
    """
    speaker, letters, sentence = _match(_SAVEE, path.stem, "SAVEE")
    speaker = (speaker or path.parent.name).upper()
    if speaker not in _SAVEE_MEN:
        raise ValueError("name does not follow the SAVEE rule: no speaker in name or folder")
    return Label(
        emotion=labels.SAVEE_EMOTIONS[letters.lower()],
        recording=f"{speaker}_{letters.lower()}{sentence}",
        speaker=speaker,
        gender="male",
        statement=sentence,
    )


def cremad_label(path: PurePosixPath) -> Label:
    """Read ``1001_DFA_ANG_XX`` (Cao et al. 2014, doi 10.1109/TAFFC.2014.2336244).

    Level XX is none in particular; the release has one ``1040_ITH_SAD_X``.

    Examples
    --------
    >>> label = cremad_label(PurePosixPath("AudioWAV/1001_IEO_ANG_HI.wav"))
    >>> label.emotion, label.speaker, label.gender, label.intensity, label.statement
    ('angry', '1001', 'male', 'high', 'IEO')
    """
    speaker, sentence, emotion, level = _match(_CREMAD, path.stem.upper(), "CREMA-D")
    if not 1001 <= int(speaker) <= 1091:
        raise ValueError(f"actor {speaker} is not one of 1001-1091")
    return Label(
        emotion=labels.CREMAD_EMOTIONS[emotion],
        recording=path.stem.upper(),
        speaker=speaker,
        gender="female" if speaker in _CREMAD_WOMEN else "male",
        intensity=_CREMAD_LEVELS.get(level),
        statement=sentence,
    )


def custom_label(path: PurePosixPath, *, translate: labels.Translation | None = None) -> Label:
    """Read ``..._emotion`` or ``emotion/...``, and the split from a folder named train or test.

    Parameters
    ----------
    path : PurePosixPath
        Relative path.
    translate : Translation, optional
        Which texts are labels, and what they mean.

    Examples
    --------
    >>> label = custom_label(PurePosixPath("train/20190616_125714_pleasant_surprise.wav"))
    >>> label.emotion, label.split, label.speaker
    ('surprised', 'train', None)
    >>> custom_label(PurePosixPath("Angry/001.wav")).emotion
    'angry'
    """
    translate = translate or labels.Translation({})
    named = _emotion_in(path.stem, translate.knows)
    folder = _emotion_of_folder(path, translate.knows)
    if named and folder and translate(named) != translate(folder):
        raise ValueError(
            f"its name says {named} and its folder {folder}: list it in a CSV, or rename it"
        )
    emotion = named or folder or _stamped(path)
    if emotion is None:
        last = _words(path.stem)[-1]
        raise ValueError(f"name does not end in a known emotion: {last!r}")
    return Label(
        emotion=translate(emotion),
        recording=path.with_suffix("").as_posix(),
        split=_split_of(path.parent),
    )


def folder_labels(
    paths: Iterable[PurePosixPath], *, knows: Callable[[str], bool]
) -> frozenset[str]:
    """Return the labels of one's own that folders are named by, as `labels.spelling` gives them.

    Folders count where no name of a file ends in a known emotion, and they are at least two: the
    innermost without digits, which are of speakers and sessions.
    """
    found, own = set(), set()
    for path in paths:
        if _emotion_in(path.stem, knows) or _stamped(path):
            return frozenset()
        if folder := _emotion_of_folder(path, knows):
            found.add(folder)
            continue
        named = [each for each in path.parent.parts if not re.search(r"\d", each)]
        if named := [each for each in named if not _SPLIT_FOLDER.fullmatch(each)]:
            own.add(labels.spelling(named[-1]))
    return frozenset(own if len(found | own) > 1 else ())


RULES: dict[str, Rule] = {
    "ravdess": Rule(
        "RAVDESS",
        "03-01-06-02-01-02-12",
        "ravdess",
        lambda path: ravdess_label(path, channel="01"),
    ),
    "ravdess-song": Rule(
        "RAVDESS song",
        "03-02-06-02-01-02-12",
        "ravdess",
        lambda path: ravdess_label(path, channel="02"),
    ),
    "aesdd": Rule("AESDD", "a01 (1)", "aesdd", aesdd_label),
    "emodb": Rule("EMO-DB", "03a01Fa", "emodb", emodb_label),
    "tess": Rule("TESS", "OAF_back_angry", "tess", tess_label),
    "savee": Rule("SAVEE", "DC_a01", "savee", savee_label),
    "crema-d": Rule("CREMA-D", "1001_DFA_ANG_XX", "crema-d", cremad_label, one_of_each=True),
    "custom": Rule("custom", "20190616_125714_happy", "custom", custom_label),
}
"""The corpora that can be scanned, by name."""


def _match(pattern: re.Pattern[str], stem: str, title: str) -> tuple[str, ...]:
    found = pattern.fullmatch(stem)
    if found is None:
        raise ValueError(f"name does not follow the {title} rule")
    return found.groups()


def _code(code: str, meanings: dict[str, str], what: str) -> str:
    if code not in meanings:
        raise ValueError(f"{what} code {code} is not one of {min(meanings)}-{max(meanings)}")
    return meanings[code]


def _gender(speaker: str, *, women: frozenset[str], men: frozenset[str]) -> str | None:
    if speaker in women:
        return "female"
    return "male" if speaker in men else None


def _words(text: str) -> list[str]:
    return re.split(r"[_\s-]+", text)


def _emotion_in(stem: str, knows: Callable[[str], bool]) -> str | None:
    """Return the label that a name ends in; "pleasant_surprise" is two words."""
    words = _words(stem)
    endings = ("_".join(words[first:]) for first in range(len(words)))
    return next(filter(knows, endings), None)


def _emotion_of_folder(path: PurePosixPath, knows: Callable[[str], bool]) -> str | None:
    """Return the innermost folder that is called like a label, numbers aside: "03_angry"."""
    for part in reversed(path.parent.parts):
        name = "_".join(word for word in _words(part) if not re.search(r"\d", word))
        if knows(name):
            return name
    return None


def _stamped(path: PurePosixPath) -> str | None:
    """Return the label behind a stamp of time, as `sercourse listen --save` writes it."""
    found = _STAMPED.fullmatch(path.stem)
    return found[1] if found and found[1] != "unknown" else None


def _split_of(folder: PurePosixPath) -> str | None:
    for part in folder.parts:
        found = _SPLIT_FOLDER.fullmatch(part)
        if found:
            return found[1].lower()
    return None
