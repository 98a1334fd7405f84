"""Which clips there are, under which names, and what is said in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .voices import AESDD_VOICES, RAVDESS_VOICES, Voice


@dataclass(frozen=True)
class Clip:
    """One clip to make.

    Attributes
    ----------
    path : str
        Below the folder of the sample corpora.
    sentence : str
        Words to say; `|` marks where a pause may be.
    corpus, speaker : int
        Numbers that, with the seed, fix what chance decides about a speaker.
    key : tuple of int
        Numbers that, with these, fix what chance decides about the clip.
    """

    path: str
    sentence: str
    voice: Voice
    emotion: str
    strength: str
    corpus: int
    speaker: int
    key: tuple[int, ...]


RAVDESS, AESDD = 1, 2

RAVDESS_EMOTIONS = (
    "neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"
)  # fmt: skip
RAVDESS_STRENGTHS = ("normal", "strong")
RAVDESS_SENTENCES = ("Kids are talking | by the door", "Dogs are sitting | by the door")

AESDD_EMOTIONS = {  # folder -> emotion
    "anger": "angry",
    "disgust": "disgust",
    "fear": "fearful",
    "happiness": "happy",
    "sadness": "sad",
}
AESDD_SENTENCES = {  # utterance number -> words that suit any emotion
    1: "Το τρένο έφυγε | πριν από λίγο",
    2: "Η πόρτα είναι | ακόμα ανοιχτή",
    3: "Δεν το περίμενα | αυτό σήμερα",
    4: "Έλα μαζί μου | στο σπίτι",
    11: "Αύριο το πρωί | θα είμαστε εκεί",
}
# Irregular names, each as in the real corpus: (letter, utterance, speaker) -> stems.
AESDD_IRREGULAR = {
    ("d", 3, 1): ("d03 (01)",),
    ("f", 11, 1): ("f11 (01)",),
    ("a", 2, 5): ("a02 (5)", "a02 (5)b"),
    ("d", 3, 5): ("d03 (5)", "d03 (5)b"),
    ("s", 1, 5): ("s01 (5)a", "s01 (5)b"),
}

BROKEN_FILES = {  # what the real corpus has under these names: no byte, and a header cut short
    "aesdd/anger/a20 (5).wav": b"",
    "aesdd/sadness/s05 (3).wav": bytes.fromhex(
        "52494646 1c000000 57415645 666d7420 10000000 03000100 44ac0000 10b10200 04002000"
    ),
}


def ravdess_clips() -> Iterator[Clip]:
    """Yield the RAVDESS-shaped clips: every actor, emotion, strength and sentence once."""
    for actor, voice in RAVDESS_VOICES.items():
        for code, emotion in enumerate(RAVDESS_EMOTIONS, start=1):
            for strength_code, strength in enumerate(RAVDESS_STRENGTHS, start=1):
                if emotion == "neutral" and strength == "strong":
                    continue
                for statement, sentence in enumerate(RAVDESS_SENTENCES, start=1):
                    key = (code, strength_code, statement, 1)
                    stem = "-".join(f"{number:02d}" for number in (3, 1, *key, actor))
                    path = f"ravdess/Actor_{actor:02d}/{stem}.ogg"
                    yield Clip(path, sentence, voice, emotion, strength, RAVDESS, actor, key)


def aesdd_clips() -> Iterator[Clip]:
    """Yield the AESDD-shaped clips: every speaker, emotion and utterance, some of them twice."""
    for speaker, voice in AESDD_VOICES.items():
        for code, (folder, emotion) in enumerate(AESDD_EMOTIONS.items(), start=1):
            for utterance, sentence in AESDD_SENTENCES.items():
                regular = (f"{folder[0]}{utterance:02d} ({speaker})",)
                stems = AESDD_IRREGULAR.get((folder[0], utterance, speaker), regular)
                for take, stem in enumerate(stems):
                    path = f"aesdd/{folder}/{stem}.ogg"
                    key = (code, utterance, take)
                    yield Clip(path, sentence, voice, emotion, "normal", AESDD, speaker, key)
