"""Finding the sound files of a corpus, by folder or by a CSV, and their labels."""

from __future__ import annotations

import csv
import io
import os
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any
from unicodedata import normalize

import pandas as pd

from sercourse import audio
from sercourse.corpora.naming import RULES, Label, custom_label, folder_labels
from sercourse.labels import Translation, spelling

_COLUMNS = {  # of several that mean the same, the first is read
    "path": ("path", "file", "filename", "file_name", "filepath", "file_path", "wav", "audio"),
    "emotion": ("emotion", "label", "class", "category"),
    "speaker": ("speaker", "speaker_id", "spk", "actor", "subject"),
    "gender": ("gender", "sex"),
    "split": ("split", "subset", "set", "partition"),
    "start": ("start", "start_time", "start_s", "begin"),
    "end": ("end", "end_time", "end_s", "stop"),
    "intensity": ("intensity",),
    "statement": ("statement",),
    "take": ("take",),
    "rater": ("rater", "annotator", "evaluator"),
}
_GENDERS = {"f": "female", "w": "female", "woman": "female", "m": "male", "man": "male"}
_SAME_TIME = 0.1  # [s] that a segment may end after its file: annotators round


@dataclass(frozen=True)
class Entry:
    """A file, or a segment of one [s], with its label; not yet opened."""

    path: Path
    clip_id: str
    label: Label
    start: float | None = None
    end: float | None = None

    def within(self, duration: float) -> Entry:
        """Return the entry with both times of a segment, given the length of its file [s]."""
        if self.start is None and self.end is None:
            return self
        start, end = self.start or 0.0, duration if self.end is None else self.end
        if not 0 <= start < min(end, duration) or end > duration + _SAME_TIME:
            raise ValueError(
                f"the segment from {start:g} to {end:g} s is none of its {duration:g} s"
            )
        end = min(end, duration)
        clip_id = f"{self.clip_id}@{start:08.3f}-{end:08.3f}"
        return replace(self, clip_id=clip_id, start=start, end=end)


@dataclass(frozen=True)
class Reject:
    """A file that is left out, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Found:
    """Clips as they are listed somewhere, what is left out, and what else there is to say."""

    entries: list[Entry] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Listing:
    """The files below a folder.

    Attributes
    ----------
    sounds : list of Path
        Those with the suffix of a sound file or the first bytes of one, sorted.
    others : Counter
        How many there are of others, by suffix; hidden ones do not count.
    errors : list of OSError
        Of folders that cannot be entered.
    """

    sounds: list[Path]
    others: Counter[str]
    errors: list[OSError]

    @property
    def note(self) -> str:
        """Say what was passed over; empty if that is nothing."""
        if not self.others:
            return ""
        counts = ", ".join(f"{suffix} x {n}" for suffix, n in sorted(self.others.items()))
        return f"passed over: {self.others.total()} file(s) that are no sound ({counts})"


def list_files(root: Path) -> Listing:
    """List the files below a folder, and tell those of sound from others.

    Linked folders are followed, except back to where they came from. What macOS leaves in archives
    (``._*``, ``__MACOSX``) is no sound, whatever its suffix.
    """
    found, suffixes = Listing([], Counter(), []), audio.SUFFIXES | audio.FFMPEG_SUFFIXES
    for name, folders, files in os.walk(root, onerror=found.errors.append, followlinks=True):
        folder = Path(name)
        folders[:] = [each for each in folders if not _leads_back(folder / each)]
        of_macos = "__MACOSX" in folder.relative_to(root).parts
        for path in (folder / each for each in files):
            if of_macos or path.name.startswith("._"):
                found.others["of macOS"] += 1
            elif path.suffix.lower() in suffixes or _sounds(path):
                found.sounds.append(path)
            elif not path.name.startswith("."):
                found.others[path.suffix.lower() or "without suffix"] += 1
    found.sounds.sort()
    return found


def by_name(root: Path, *, corpus: str, translate: Translation) -> Found:
    """Label every sound file below `root` by its name.

    Raises
    ------
    ValueError
        If there is no sound file, or none follows the rule.
    """
    listing, rule = list_files(root), RULES[corpus]
    paths = {path: PurePosixPath(path.relative_to(root).as_posix()) for path in listing.sounds}
    if corpus == "custom":
        translate.add(folder_labels(paths.values(), knows=translate.knows))
    found = Found([], [_locked(error) for error in listing.errors], [listing.note])
    copies: dict[str, Path] = {}
    # Of copies in several formats the first is kept: that without loss.
    for path in sorted(paths, key=lambda each: (each.suffix.lower() != ".wav", each)):
        try:
            if corpus == "custom":
                label = custom_label(paths[path], translate=translate)
            else:
                label = rule(paths[path])
                label = replace(label, emotion=translate(label.emotion))
            first = copies.setdefault(label.recording, path)
            if rule.one_of_each and first is not path:
                raise ValueError(f"copy of {paths[first]}")
        except ValueError as error:
            found.rejects.append(Reject(path, str(error)))
        else:
            found.entries.append(Entry(path, _clip_id(path, root=root), label))
    if not found.entries:
        raise ValueError(_nothing_found(root, corpus, found))
    return found


def by_csv(
    csv_path: Path,
    *,
    root: Path,
    translate: Translation,
    audio_root: Path | None = None,
    raters: str | None = None,
) -> Found:
    """Label the files, or segments of files, that a CSV lists.

    A path is relative to `audio_root`, to `root`, to the CSV or to where Python runs; without
    folders it may also be anywhere below the first of these, if there is only one such file.

    Parameters
    ----------
    csv_path, root : Path
    translate : Translation
        Of its labels.
    audio_root : Path, optional
        Where the sound files are, if not in `root`.
    raters : {None, "majority"}
        Whether the label is taken that most of several rows for the same clip give.

    Raises
    ------
    FileNotFoundError
        If there is no such CSV.
    ValueError
        If it is not a CSV with a column of paths and one of labels.
    """
    if raters not in (None, "majority"):
        raise ValueError(f"raters is {raters!r}: give majority, or leave it out")
    base = audio_root or root
    files = _Files((base, root, csv_path.parent, Path()))
    rows, unknown = _rows(csv_path)
    found = Found()
    if unknown:
        found.notes.append(f"{csv_path}: columns that are not understood: {', '.join(unknown)}")
    same: dict[tuple[Path, float | None, float | None], list[Entry]] = defaultdict(list)
    for row in rows:
        path = base / row["path"]
        try:
            path = files.find(row["path"])
            entry = _entry(row, path=path, root=base, translate=translate)
        except (ValueError, OSError) as error:  # also of a name that no system allows
            found.rejects.append(Reject(path, audio.reason(error, path=path)))
        else:
            same[path, entry.start, entry.end].append(entry)
    for entries in same.values():
        try:
            entry = _decided(entries, raters=raters)
        except ValueError as error:
            found.rejects.append(Reject(entries[0].path, str(error)))
        else:
            found.entries.append(entry)
            if raters is None:
                twice = f"duplicate of {entry.clip_id}{entry.path.suffix}"
                found.rejects.extend(Reject(each.path, twice) for each in entries[1:])
    if not found.entries and not found.rejects:
        raise ValueError(f"{csv_path}: lists no clip")
    shares = [each.label.agreement for each in found.entries if each.label.agreement is not None]
    if shares:
        whole = sum(share == 1 for share in shares)
        found.notes.append(
            f"several raters: {len(shares)} clips were decided by majority, {whole} of them by all "
            f"raters; on average {sum(shares) / len(shares):.0%} of a clip's raters agree"
        )
    return found


def _sounds(path: Path) -> bool:
    """Return whether a file, whatever its suffix, begins as sound files do."""
    try:
        if not path.is_file():  # reading from a pipe would wait
            return False
        with path.open("rb") as file:
            head = file.read(16)
    except OSError:
        return False
    if head[4:8] == b"ftyp":
        return head[8:12] not in (b"heic", b"heix", b"mif1", b"msf1", b"avif", b"crx ")  # pictures
    if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"FORM"):
        return head[8:12] in (b"WAVE", b"AVI ", b"AIFF", b"AIFC")
    return head.startswith(_BEGINNINGS)


_BEGINNINGS = (
    *(b"fLaC", b"OggS", b"ID3", b".snd", b"caff", b"#!AMR", b"FLV", b"NIST_1A", b"riff"),
    b"\x1a\x45\xdf\xa3",  # Matroska, WebM
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # ASF: WMA
    # Frames of MPEG layers III and II, and of AAC.
    *(bytes((0xFF, each)) for each in b"\xfa\xfb\xf2\xf3\xe2\xe3\xfc\xfd\xf4\xf5\xf0\xf1\xf8\xf9"),
)


def _clip_id(path: Path, *, root: Path) -> str:
    relative = PurePosixPath(Path(os.path.relpath(path, root)).as_posix())
    return normalize("NFC", relative.with_suffix("").as_posix())


def _locked(error: OSError) -> Reject:
    path = Path(error.filename)
    return Reject(path, f"a folder that cannot be entered: {audio.reason(error, path=path)}")


def _leads_back(folder: Path) -> bool:
    if not folder.is_symlink():
        return False
    here = folder.parent.resolve()
    return folder.resolve() in (here, *here.parents)


def _nothing_found(root: Path, corpus: str, found: Found) -> str:
    rule = RULES[corpus]
    wanted = f"files named like '{rule.shape}.wav' are wanted"
    if corpus == "custom":
        wanted += " (or a folder for each emotion, a CSV, or --map for labels of your own)"
    if not found.rejects:
        noted = f" ({found.notes[0]})" if found.notes[0] else ""
        return f"{root}: holds no sound file{noted}; {wanted}, here or in folders below"
    first = min(found.rejects, key=lambda each: each.path)
    return (
        f"{root}: none of its {len(found.rejects)} sound files follows the {rule.title} rule, "
        f"{wanted} but the first is {first.path.name!r} ({first.reason}): "
        "give the folder of that corpus, or the name of this one"
    )


def _rows(csv_path: Path) -> tuple[list[dict[str, str]], list[str]]:
    """Return the lines of a table by what their cells mean, and the columns that mean nothing."""
    if not csv_path.is_file():
        raise FileNotFoundError(f"{csv_path}: no such CSV file")
    data = csv_path.read_bytes()
    try:
        wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))  # "Unicode text" of Excel
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{csv_path}: is not UTF-8 text; save it as CSV in UTF-8") from None
    lines = io.StringIO(text, newline=None)
    if told := re.match(r'"?sep=(.)"?[\r\n]', text):  # the first line, for Excel
        lines.readline()
    header = lines.readline()
    delimiter = told[1] if told else max(",;\t|", key=header.count)
    (cells,) = csv.reader([header or "\n"], delimiter=delimiter)
    names = [normalize("NFC", name.strip()) for name in cells]
    places = _places([spelling(name) for name in names])
    if missing := [each for each in ("path", "emotion") if each not in places]:
        raise ValueError(
            f"{csv_path}: has no column {missing[0]!r}, only {names}; path and emotion are "
            f"needed, {', '.join(list(_COLUMNS)[2:])} are welcome"
        )
    try:
        table = list(csv.reader(lines, delimiter=delimiter))
    except csv.Error as error:
        raise ValueError(f"{csv_path}: is no CSV ({error})") from None
    rows = [
        {name: line[k].strip() if k < len(line) else "" for name, k in places.items()}
        for line in table
    ]
    unknown = [name for k, name in enumerate(names) if name and k not in places.values()]
    return [row for row in rows if row["path"]], unknown


def _places(names: Sequence[str]) -> dict[str, int]:
    """Return which column holds what."""
    places = {}
    for meaning, aliases in _COLUMNS.items():
        if found := [each for each in aliases if each in names]:
            places[meaning] = names.index(found[0])
    return places


@dataclass(frozen=True)
class _Files:
    """Where the files of a CSV may be: in folders, or anywhere below the first of them."""

    folders: tuple[Path, ...]

    def find(self, text: str) -> Path:
        """Return the first place where the file is."""
        text = text.replace("\\", "/")
        for form in (text, normalize("NFC", text), normalize("NFD", text)):
            for folder in self.folders:
                if (place := folder / form).is_file():
                    return place
        found = self._below.get(normalize("NFC", text), [])
        if len(found) > 1:
            raise ValueError(
                f"{len(found)} files below {self.folders[0]} are called so: name their folder too"
            )
        if not found:
            raise ValueError("no such file")
        return found[0]

    @cached_property
    def _below(self) -> Mapping[str, list[Path]]:
        """The files below the first folder by name, with and without suffix, and by path."""
        by_name, by_path = defaultdict(list), {}
        for path in list_files(self.folders[0]).sounds:
            relative = normalize("NFC", path.relative_to(self.folders[0]).as_posix())
            by_path[relative] = [path]
            for name in {path.name, path.stem}:
                by_name[normalize("NFC", name)].append(path)
        return by_name | by_path


def _entry(row: Mapping[str, str], *, path: Path, root: Path, translate: Translation) -> Entry:
    told = {name: normalize("NFC", cell) for name, cell in row.items()}
    gender, split = told.get("gender", "").lower(), told.get("split", "").lower()
    if split not in ("", "train", "test"):
        raise ValueError(f"split {split!r} is neither train nor test")
    clip_id = _clip_id(path, root=root)
    label = Label(
        emotion=translate(told["emotion"]),
        recording=clip_id,
        gender=_GENDERS.get(gender, gender) or None,
        split=split or None,
        speaker=told.get("speaker") or None,
        intensity=told.get("intensity") or None,
        statement=told.get("statement") or None,
        take=told.get("take") or None,
    )
    return Entry(path, clip_id, label, _seconds(told, "start"), _seconds(told, "end"))


def _seconds(row: Mapping[str, str], name: str) -> float | None:
    """Return a time [s] from a number of seconds, or from a time as pandas and audformat write."""
    text = row.get(name, "")
    if text.lower() in ("", "nat", "nan"):
        return None
    try:
        seconds = float(text.replace(",", "."))
    except ValueError:
        try:
            seconds = pd.Timedelta(text).total_seconds()
        except ValueError:
            seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"{name} {text!r} is no time in seconds, such as 1.5 or 0 days 00:00:01.5")
    return seconds


def _decided(entries: Sequence[Entry], *, raters: str | None) -> Entry:
    """Return what several rows say of the same clip; ValueError if they contradict each other."""
    labels = [each.label for each in entries]
    agreed: dict[str, Any] = {}
    for name in ("speaker", "gender", "split", "intensity", "statement", "take"):
        told = sorted({getattr(label, name) for label in labels} - {None})
        if len(told) > 1:
            raise ValueError(f"{len(labels)} rows contradict: {name} {' or '.join(told)}")
        agreed[name] = told[0] if told else None
    counts = Counter(label.emotion for label in labels).most_common()
    said = ", ".join(f"{emotion} x {count}" for emotion, count in counts)
    if len(counts) > 1 and raters is None:
        raise ValueError(f"{len(labels)} rows contradict: {said}; --raters majority decides")
    if len(counts) > 1 and counts[0][1] == counts[1][1]:
        raise ValueError(f"no majority among {len(labels)} raters: {said}")
    emotion, count = counts[0]
    agreement = count / len(labels) if raters and len(labels) > 1 else None
    label = replace(labels[0], emotion=emotion, agreement=agreement, **agreed)
    return replace(entries[0], label=label)
