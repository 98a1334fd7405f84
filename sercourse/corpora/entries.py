"""Finding the sound files of a corpus, by folder or by a CSV, and their labels."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from sercourse import audio, labels
from sercourse.corpora.naming import Label, Rule

_CSV_COLUMNS = ("path", "emotion", "speaker", "gender", "split")
_GENDERS = {"f": "female", "w": "female", "woman": "female", "m": "male", "man": "male"}


@dataclass(frozen=True)
class Entry:
    """A file with its label, not yet opened."""

    path: Path
    clip_id: str
    label: Label


@dataclass(frozen=True)
class Reject:
    """A file that is left out, and why."""

    path: Path
    reason: str


def sound_files(
    root: Path, *, failed: Callable[[OSError], None] = lambda error: None
) -> list[Path]:
    """Return every file below `root` with the suffix of a sound file, sorted.

    Linked folders are followed, except back to where they came from. `failed` is told of folders
    that cannot be entered.
    """
    suffixes = audio.SUFFIXES | audio.FFMPEG_SUFFIXES
    found: list[Path] = []
    for name, folders, files in os.walk(root, onerror=failed, followlinks=True):
        folder = Path(name)
        folders[:] = [each for each in folders if not _leads_back(folder / each)]
        found += [folder / each for each in files if Path(each).suffix.lower() in suffixes]
    return sorted(found)


def by_name(root: Path, *, rule: Rule) -> tuple[list[Entry], list[Reject]]:
    """Label every sound file below `root` by its name.

    Raises
    ------
    ValueError
        If there is no sound file, or none follows the rule.
    """
    entries: list[Entry] = []
    rejects: list[Reject] = []
    for path in sound_files(root, failed=lambda error: rejects.append(_locked(error))):
        relative = PurePosixPath(path.relative_to(root).as_posix())
        try:
            label = rule(relative)
        except ValueError as error:
            rejects.append(Reject(path, str(error)))
        else:
            entries.append(Entry(path, relative.with_suffix("").as_posix(), label))
    if not entries:
        raise ValueError(_nothing_found(root, rule, rejects))
    return entries, rejects


def by_csv(csv_path: Path, *, root: Path) -> tuple[list[Entry], list[Reject]]:
    """Label the files that a CSV lists, by its columns path and emotion.

    Columns speaker, gender and split are read where they are. A path is relative to `root`, to
    the CSV or to where Python runs.

    Raises
    ------
    FileNotFoundError
        If there is no such CSV.
    ValueError
        If it is not a CSV with these columns.
    """
    entries, rejects = [], []
    for row in _rows(csv_path):
        path = _located(row["path"], folders=(root, csv_path.parent, Path()))
        try:
            entries.append(_entry(row, path=path, root=root))
        except ValueError as error:
            rejects.append(Reject(path, str(error)))
    if not entries and not rejects:
        raise ValueError(f"{csv_path}: lists no clip")
    return entries, rejects


def _locked(error: OSError) -> Reject:
    path = Path(error.filename)
    return Reject(path, f"a folder that cannot be entered: {audio.reason(error, path=path)}")


def _leads_back(folder: Path) -> bool:
    if not folder.is_symlink():
        return False
    here = folder.parent.resolve()
    return folder.resolve() in (here, *here.parents)


def _nothing_found(root: Path, rule: Rule, rejects: list[Reject]) -> str:
    wanted = f"files named like '{rule.shape}.wav' are wanted"
    if not rejects:
        return f"{root}: holds no sound file; {wanted}, here or in folders below"
    first = rejects[0]
    return (
        f"{root}: none of its {len(rejects)} sound files follows the {rule.title} rule, "
        f"{wanted} but the first is {first.path.name!r} ({first.reason}): "
        "give the folder of that corpus, or the name of this one"
    )


def _rows(csv_path: Path) -> Iterator[dict[str, str]]:
    """Yield each line of a CSV with a path, as stripped text by lower-case column."""
    if not csv_path.is_file():
        raise FileNotFoundError(f"{csv_path}: no such CSV file")
    try:
        text = csv_path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{csv_path}: is not UTF-8 text; save it as CSV in UTF-8") from None
    header = text.partition("\n")[0]
    reader = csv.reader(
        io.StringIO(text, newline=None),
        delimiter=";" if ";" in header and "," not in header else ",",
    )
    columns = [name.strip().lower() for name in next(reader, [])]
    missing = [name for name in _CSV_COLUMNS[:2] if name not in columns]
    if missing:
        raise ValueError(
            f"{csv_path}: has no column {missing[0]!r}, only {columns}; "
            f"path and emotion are needed, {', '.join(_CSV_COLUMNS[2:])} are welcome"
        )
    for cells in reader:
        row = dict.fromkeys(_CSV_COLUMNS, "") | {
            name: cell.strip() for name, cell in zip(columns, cells, strict=False)
        }
        if row["path"]:
            yield row


def _located(text: str, *, folders: tuple[Path, ...]) -> Path:
    """Return the first place where the file is, or the first where it should be."""
    places = [folder / text.replace("\\", "/") for folder in folders]
    return next((place for place in places if place.is_file()), places[0])


def _entry(row: dict[str, str], *, path: Path, root: Path) -> Entry:
    if not path.is_file():
        raise ValueError("no such file")
    clip_id = Path(os.path.relpath(path, root)).with_suffix("").as_posix()
    gender, split = row["gender"].lower(), row["split"].lower()
    if split not in ("", "train", "test"):
        raise ValueError(f"split {split!r} is neither train nor test")
    label = Label(
        emotion=labels.canonical(row["emotion"]),
        recording=clip_id,
        speaker=row["speaker"] or None,
        gender=_GENDERS.get(gender, gender) or None,
        split=split or None,
    )
    return Entry(path, clip_id, label)
