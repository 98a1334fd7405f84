"""The scan of a corpus: headers, content, duplicates and groups, as one table of clips."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from sercourse import audio, files, labels
from sercourse.corpora.entries import Entry, Reject, by_csv, by_name
from sercourse.corpora.naming import RULES

NAMES: tuple[str, ...] = tuple(RULES)
"""Names of the corpora that `scan` knows."""

_OTHER_SPELLINGS = {
    "emo-db": "emodb",
    "berlin": "emodb",
    "ravdess-speech": "ravdess",
    "cremad": "crema-d",
    "crema": "crema-d",
}

_DTYPES = {
    "clip_id": "string",
    "path": "string",
    "corpus": "string",
    "emotion": "string",
    "speaker": "string",
    "gender": "string",
    "intensity": "string",
    "statement": "string",
    "take": "string",
    "duration": "float64",
    "sample_rate": "int64",
    "channels": "int64",
    "group": "string",
    "split": "string",
    "content": "string",
    # Only where a clip has one: times of segments [s], and the share of raters who agree.
    "start": "float64",
    "end": "float64",
    "agreement": "float64",
}
_OPTIONAL = ["start", "end", "agreement"]


@dataclass(frozen=True)
class Scan:
    """A corpus as it was found.

    Attributes
    ----------
    clips : pd.DataFrame
        One row for each clip, sorted by `clip_id`; text that is not known is ``<NA>``.
    rejects : pd.DataFrame
        `path` and `reason` of every sound file that was left out.
    notes : tuple of str
        What else there is to say: what was passed over, labels that are not canonical, columns
        that are not understood, how far raters agree.
    """

    clips: pd.DataFrame
    rejects: pd.DataFrame
    notes: tuple[str, ...] = ()

    @property
    def identical(self) -> pd.DataFrame:
        """Clips whose bytes another clip has too, under another name; a set shares `content`."""
        several = self.clips.duplicated("content", keep=False)
        columns = ["content", "clip_id", "emotion", "speaker", "group", "split"]
        found = self.clips.loc[several, columns].sort_values(["content", "clip_id"])
        return found.reset_index(drop=True)


@dataclass(frozen=True)
class _Clip:
    entry: Entry
    header: audio.Info
    file: str  # hash of all that its file holds

    @property
    def content(self) -> str:
        """Hash of what is heard."""
        start, end = self.entry.start, self.entry.end
        return self.file if start is None else files.digest([self.file, start, end])

    @property
    def duration(self) -> float:
        """Of what is heard [s]."""
        start, end = self.entry.start, self.entry.end
        return self.header.duration if start is None or end is None else end - start


def scan(
    root: str | Path,
    *,
    corpus: str | None,
    csv: str | Path | None = None,
    audio_root: str | Path | None = None,
    translate: Mapping[str, str] | None = None,
    raters: str | None = None,
) -> Scan:
    """List the clips of a corpus with what names and headers say, and what was left out.

    Names carry the labels, whatever the folders are called; any suffix that `audio.read` takes
    will do. A file with the bytes and the stem of another is rejected as its duplicate; one with
    the bytes of another under a different stem is kept in the same group.

    In a custom corpus the name ends in an emotion, or a folder is called by one. Folders may also
    be called by labels of one's own, where no name ends in an emotion; `notes` tells of them.

    Parameters
    ----------
    root : str or Path
        Folder of the corpus.
    corpus : str or None
        One of `NAMES`; None stands for "custom" where a CSV is given.
    csv : str or Path, optional
        For "custom": a table with columns path (relative to root or to the CSV), emotion and,
        where known, speaker, gender, split, intensity, statement, take. Columns start and end [s]
        make segments, which are clips of one `group`. Only what it lists is a clip.
    audio_root : str or Path, optional
        Where the files of the CSV are, if not in `root`.
    translate : mapping of str to str, optional
        What labels mean, such as ``{"exc": "happy"}``; those that mean an empty text are left out.
        A label of one's own that file names end in is given as ``{"polite": "polite"}``.
    raters : {None, "majority"}
        What is done where rows of the CSV give a clip different labels: it is rejected, or gets
        the label that most of them give; the column `agreement` says how many do.

    Returns
    -------
    Scan

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        If `root` or `csv` is not there.
    ValueError
        If the corpus is not known, or no file below `root` follows its rule.

    Examples
    --------
    >>> import tempfile, numpy as np, soundfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     soundfile.write(Path(folder) / "mine_happy.wav", np.zeros(8_000), 8_000)
    ...     Path(folder, "other_sad.wav").touch()
    ...     found = scan(folder, corpus="custom")
    >>> found.clips[["clip_id", "emotion", "speaker", "duration"]]
          clip_id emotion speaker  duration
    0  mine_happy   happy    <NA>       1.0
    >>> found.rejects.reason.tolist()
    ['empty file']
    """
    root, name = _folder(files.user_path(root)), _corpus_name(corpus, csv=csv)
    translation = labels.Translation(translate or {})
    if csv is None:
        if audio_root is not None or raters is not None:
            raise ValueError("an audio root and raters are about the rows of a CSV: give one")
        found = by_name(root, corpus=name, translate=translation)
    else:
        found = by_csv(
            files.user_path(csv),
            root=root,
            audio_root=None if audio_root is None else _folder(files.user_path(audio_root)),
            translate=translation,
            raters=raters,
        )
    measured, unreadable = _measure(found.entries)
    clips, duplicates = _without_duplicates(measured)
    notes = [*found.notes, labels.own(clip.entry.label.emotion for clip in clips)]
    if unused := translation.unused:
        notes.append(f"labels to translate that no clip has: {', '.join(unused)}")
    return Scan(
        clips=_clip_table(clips, corpus=name),
        rejects=_reject_table([*found.rejects, *unreadable, *duplicates]),
        notes=tuple(filter(None, notes)),
    )


def fingerprint(clips: pd.DataFrame) -> str:
    """Return a short hash of what the clips contain and how they are labelled.

    Order, folders and file names do not matter.

    Examples
    --------
    >>> one = pd.DataFrame({"content": ["a", "b"], "emotion": ["sad", "happy"]})
    >>> fingerprint(one) == fingerprint(one[::-1])
    True
    """
    pairs = zip(clips["content"], clips["emotion"], strict=True)
    return files.digest(sorted([str(content), str(emotion)] for content, emotion in pairs))


def _folder(root: Path) -> Path:
    if root.is_dir():
        return root
    if root.exists():
        raise NotADirectoryError(f"{root}: is a file; give the folder of a corpus")
    raise FileNotFoundError(f"{root}: no such folder; give the folder of a corpus")


def _corpus_name(corpus: str | None, *, csv: str | Path | None) -> str:
    spelt = (corpus or ("custom" if csv else "")).strip().lower().replace("_", "-")
    name = _OTHER_SPELLINGS.get(spelt, spelt)
    if name not in RULES:
        what = f"unknown corpus {corpus!r}" if corpus else "the corpus is not named"
        raise ValueError(f"{what}: use one of {', '.join(NAMES)}")
    if csv and name != "custom":
        raise ValueError(f"a CSV labels a custom corpus, but {name} is labelled by its file names")
    return name


def _measure(entries: Sequence[Entry]) -> tuple[list[_Clip], list[Reject]]:
    """Read headers and content; threads help where the disk or the hashing is the slow part."""
    paths = list(dict.fromkeys(entry.path for entry in entries))
    with ThreadPoolExecutor() as pool:
        measured = dict(zip(paths, pool.map(_measured, paths), strict=True))
    clips = []
    rejects = [each for each in measured.values() if isinstance(each, Reject)]
    for entry in entries:
        if isinstance(file := measured[entry.path], Reject):
            continue
        header, content = file
        try:
            clips.append(_Clip(entry.within(header.duration), header, content))
        except ValueError as error:
            rejects.append(Reject(entry.path, str(error)))
    return clips, rejects


def _measured(path: Path) -> tuple[audio.Info, str] | Reject:
    try:
        return audio.info(path), files.clip_key(path)
    except audio.READ_ERRORS as error:
        pointer = path.is_file() and _content_starts(path, b"version https://git-lfs")
        why = "a pointer of git-lfs in place of the sound: run git lfs pull" if pointer else None
        return Reject(path, why or audio.reason(error, path=path))


def _content_starts(path: Path, head: bytes) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(head)) == head
    except OSError:
        return False


def _without_duplicates(clips: Iterable[_Clip]) -> tuple[list[_Clip], list[Reject]]:
    """Keep one of each set of copies: the one in the shallowest folder."""
    kept: dict[tuple[str, str], Entry] = {}
    named: dict[str, Entry] = {}
    unique, rejects = [], []
    for clip in sorted(clips, key=lambda clip: (clip.entry.clip_id.count("/"), clip.entry.path)):
        entry = clip.entry
        first = kept.setdefault((entry.path.stem.lower(), clip.content), entry)
        namesake = named.setdefault(entry.clip_id, entry)
        if first is not entry:
            why = f"duplicate of {first.clip_id}{first.path.suffix}"
            rejects.append(Reject(entry.path, why))
        elif namesake is not entry:
            why = f"same name as {namesake.clip_id}{namesake.path.suffix}, which is kept"
            rejects.append(Reject(entry.path, why))
        else:
            unique.append(clip)
    return unique, rejects


def _clip_table(clips: Sequence[_Clip], *, corpus: str) -> pd.DataFrame:
    ordered = sorted(clips, key=lambda clip: clip.entry.clip_id)
    rows = [_row(clip, corpus=corpus) for clip in ordered]
    table = pd.DataFrame(rows, columns=list(_DTYPES))
    table["group"] = join_groups(table["group"], [clip.file for clip in ordered])
    table = table.astype(_DTYPES)
    return table.drop(columns=[name for name in _OPTIONAL if table[name].isna().all()])


def _row(clip: _Clip, *, corpus: str) -> dict[str, str | float | None]:
    entry, label, header = clip.entry, clip.entry.label, clip.header
    return {
        "clip_id": entry.clip_id,
        "path": str(entry.path),
        "corpus": corpus,
        "emotion": label.emotion,
        "speaker": label.speaker and f"{RULES[corpus].speakers}-{label.speaker}",
        "gender": label.gender,
        "intensity": label.intensity,
        "statement": label.statement,
        "take": label.take,
        "duration": clip.duration,
        "sample_rate": header.sample_rate,
        "channels": header.channels,
        "group": f"{corpus}:{label.recording}",
        "split": label.split,
        "content": clip.content,
        "start": entry.start,
        "end": entry.end,
        "agreement": label.agreement,
    }


def join_groups(recordings: Iterable[str], contents: Iterable[str]) -> list[str]:
    """Join clips that share a recording or their content, however long the chain.

    Examples
    --------
    >>> join_groups(["a", "b", "b", "c"], ["1", "1", "2", "3"])
    ['a', 'a', 'a', 'c']
    """
    recordings = list(recordings)
    leader: dict[str, str] = {}

    def leader_of(key: str) -> str:
        while leader.setdefault(key, key) != key:
            key = leader[key]
        return key

    for recording, content in zip(recordings, contents, strict=True):
        # "~" sorts after letters and digits, so that a group is always named by a recording.
        first, last = sorted((leader_of(recording), leader_of(f"~{content}")))
        leader[last] = first
    return [leader_of(recording) for recording in recordings]


def file_contents(clips: pd.DataFrame) -> list[str]:
    """Return a hash of the file of each clip, whose segments have a `content` of their own."""
    hashes = clips["content"].astype("string")
    if "start" in clips.columns:
        parts = clips["start"].notna()
        known = {path: files.clip_key(path) for path in clips.loc[parts, "path"].unique()}
        hashes[parts] = clips.loc[parts, "path"].map(known)
    return hashes.tolist()


def _reject_table(rejects: Iterable[Reject]) -> pd.DataFrame:
    ordered = sorted(rejects, key=lambda reject: reject.path)
    rows = [(str(reject.path), reject.reason) for reject in ordered]
    return pd.DataFrame(rows, columns=["path", "reason"]).astype("string")
