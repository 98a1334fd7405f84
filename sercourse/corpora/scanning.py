"""The scan of a corpus: headers, content, duplicates and groups, as one table of clips."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from sercourse import audio, files
from sercourse.corpora.entries import Entry, Reject, by_csv, by_name
from sercourse.corpora.naming import RULES

NAMES: tuple[str, ...] = tuple(RULES)
"""Names of the corpora that `scan` knows."""

_OTHER_SPELLINGS = {"emo-db": "emodb", "berlin": "emodb", "ravdess-speech": "ravdess"}

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
}


@dataclass(frozen=True)
class Scan:
    """A corpus as it was found.

    Attributes
    ----------
    clips : pd.DataFrame
        One row for each clip, sorted by `clip_id`; text that is not known is ``<NA>``.
    rejects : pd.DataFrame
        `path` and `reason` of every sound file that was left out.
    """

    clips: pd.DataFrame
    rejects: pd.DataFrame

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
    content: str


def scan(root: str | Path, *, corpus: str | None, csv: str | Path | None = None) -> Scan:
    """List the clips of a corpus with what names and headers say, and what was left out.

    Names carry the labels, whatever the folders are called; any suffix that `audio.read` takes
    will do. A file with the bytes and the stem of another is rejected as its duplicate; one with
    the bytes of another under a different stem is kept in the same group.

    Parameters
    ----------
    root : str or Path
        Folder of the corpus.
    corpus : str or None
        One of `NAMES`; None stands for "custom" where a CSV is given.
    csv : str or Path, optional
        For "custom": a table with columns path (relative to root or to the CSV), emotion and,
        where known, speaker, gender and split. Only the files that it lists are clips.

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
    if csv is None:
        entries, rejects = by_name(root, rule=RULES[name])
    else:
        entries, rejects = by_csv(files.user_path(csv), root=root)
    measured, unreadable = _measure(entries)
    clips, duplicates = _without_duplicates(measured)
    return Scan(
        clips=_clip_table(clips, corpus=name),
        rejects=_reject_table([*rejects, *unreadable, *duplicates]),
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
    with ThreadPoolExecutor() as pool:
        measured = list(pool.map(_measured, entries))
    clips = [each for each in measured if isinstance(each, _Clip)]
    return clips, [each for each in measured if isinstance(each, Reject)]


def _measured(entry: Entry) -> _Clip | Reject:
    try:
        return _Clip(entry, audio.info(entry.path), files.clip_key(entry.path))
    except (OSError, ValueError) as error:
        return Reject(entry.path, audio.reason(error, path=entry.path))


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
    table["group"] = join_groups(table["group"], table["content"])
    return table.astype(_DTYPES)


def _row(clip: _Clip, *, corpus: str) -> dict[str, str | float | None]:
    label, header = clip.entry.label, clip.header
    return {
        "clip_id": clip.entry.clip_id,
        "path": str(clip.entry.path),
        "corpus": corpus,
        "emotion": label.emotion,
        "speaker": label.speaker and f"{RULES[corpus].speakers}-{label.speaker}",
        "gender": label.gender,
        "intensity": label.intensity,
        "statement": label.statement,
        "take": label.take,
        "duration": header.duration,
        "sample_rate": header.sample_rate,
        "channels": header.channels,
        "group": f"{corpus}:{label.recording}",
        "split": label.split,
        "content": clip.content,
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


def _reject_table(rejects: Iterable[Reject]) -> pd.DataFrame:
    ordered = sorted(rejects, key=lambda reject: reject.path)
    rows = [(str(reject.path), reject.reason) for reject in ordered]
    return pd.DataFrame(rows, columns=["path", "reason"]).astype("string")
