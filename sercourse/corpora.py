"""Corpora of emotional speech: from a folder of files to a table of clips and one of rejects."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from unicodedata import normalize

import pandas as pd

from sercourse import audio, decoding, files, labels, remote
from sercourse.naming import RULES, TABLE, Row, custom_label, folder_labels

NAMES: tuple[str, ...] = tuple(RULES)
"""Names of the corpora that `scan` knows."""

_OTHER_SPELLINGS = {"emo-db": "emodb", "berlin": "emodb", "cremad": "crema-d", "crema": "crema-d"}
_OPTIONAL = ("start", "end", "agreement")  # only where a clip has one: [s], and a share
_DTYPES = {
    **dict.fromkeys(("clip_id", "path", "corpus", "emotion", "speaker", "gender"), "string"),
    **dict.fromkeys(("intensity", "statement", "take"), "string"),
    "duration": "float64",
    "sample_rate": "int64",
    "channels": "int64",
    **dict.fromkeys(("group", "split", "content"), "string"),
    **dict.fromkeys(_OPTIONAL, "float64"),
}
_GENDERS = {"f": "female", "w": "female", "woman": "female", "m": "male", "man": "male"}
_MOST_COLUMNS = 10_000  # of a table; pandas takes minutes for 50,000 of one name
MOST_BYTES = 20 * 10**9  # of a sound file: a day in CD quality is 15 GB, and is read in a minute
_SAME_TIME = 0.1  # [s] that a segment may end after its file: annotators round

Reject = tuple[Path, str]  # a file that is left out, and why
Found = tuple[list[Row], list[Reject], list[str]]  # clips, rejects, notes


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


# The name of a file need not be text, and Arrow's strings must be.
@pd.option_context("mode.string_storage", "python")
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
        Folder of the corpus; also one elsewhere, such as ``s3://bucket/folder``, of which a copy
        is made in the cache.
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
    root, translation = _folder(root), labels.Translation(translate or {})
    spelt = (corpus or ("custom" if csv else "")).strip().lower().replace("_", "-")
    name = _OTHER_SPELLINGS.get(spelt, spelt)
    if name not in RULES:
        what = f"unknown corpus {corpus!r}" if corpus else "the corpus is not named"
        raise ValueError(f"{what}: use one of {', '.join(NAMES)}")
    if csv and name != "custom":
        raise ValueError(f"a CSV labels a custom corpus, but {name} is labelled by its file names")
    if raters not in (None, "majority"):
        raise ValueError(f"raters is {raters!r}: give majority, or leave it out")
    if csv is not None:
        places = root if audio_root is None else _folder(audio_root), root
        found = _by_csv(files.user_path(csv), places, translate=translation, raters=raters)
    elif audio_root is not None or raters:
        raise ValueError("an audio root and raters are about the rows of a CSV: give one")
    else:
        found = _by_name(root, corpus=name, translate=translation)
    rows, rejects, notes = found
    clips = _without_duplicates(_measured(rows, rejects), rejects)
    clips.sort(key=lambda row: row["clip_id"])
    for row in clips:
        row["corpus"], row["group"] = name, f"{name}:{row['recording']}"
        row["path"] = remote.address(row["path"])
        if row.get("speaker"):
            row["speaker"] = f"{RULES[name].speakers or name}-{row['speaker']}"
    table = pd.DataFrame(clips, columns=list(_DTYPES))
    table["group"] = join_groups(table["group"], [row["file"] for row in clips])
    table = table.astype(_DTYPES)
    notes.append(labels.own(table["emotion"]))
    if unused := translation.unused:
        notes.append(f"labels to translate that no clip has: {', '.join(unused)}")
    told = [(remote.address(path), why) for path, why in sorted(rejects, key=lambda each: each[0])]
    return Scan(
        clips=table.drop(columns=[each for each in _OPTIONAL if table[each].isna().all()]),
        rejects=pd.DataFrame(told, columns=["path", "reason"]).astype("string"),
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
    return files.digest(sorted(clips[["content", "emotion"]].astype(str).to_numpy().tolist()))


def folder(corpus: str, data_dir: str | Path | None = None) -> Path:
    """Return the folder of a corpus below `data_dir`, or among the synthetic sample corpora.

    Raises
    ------
    FileNotFoundError
        If it is not there; the sentence says what to do.

    Examples
    --------
    >>> folder("aesdd").parts[-3:]
    ('data', 'sample', 'aesdd')
    """
    if data_dir is None:
        place = files.in_project("data", "sample") / corpus
        known = " and ".join(sorted(each.name for each in place.parent.iterdir() if each.is_dir()))
        advice = f"the sample has {known}: for {corpus}, say with data_dir which folder holds it"
    else:
        place = files.user_path(data_dir) / corpus
        advice = f"as data_dir give the folder that holds {corpus}/, or None for the sample corpora"
    if not place.is_dir():
        raise FileNotFoundError(f"{place}: no such folder; {advice}")
    return place


def missing(clips: pd.DataFrame, *, corpus: str) -> list[str]:
    """Compare the emotions of a scan with the counts of the complete corpus.

    Examples
    --------
    >>> missing(pd.DataFrame({"emotion": ["sad"] * 60 + ["happy"] * 60}), corpus="savee")[:2]
    ['neutral: 0 clips found, 120 expected', 'angry: 0 clips found, 60 expected']
    """
    from sercourse import fetch

    wanted, found = fetch.entry(corpus).clips, clips["emotion"].value_counts()
    return [
        f"{emotion}: {found.get(emotion, 0)} clips found, {wanted.get(emotion, 0)} expected"
        for emotion in labels.in_order([*wanted, *found.index])
        if found.get(emotion, 0) != wanted.get(emotion, 0)
    ]


@pd.option_context("mode.string_storage", "python")  # as `scan`, with pyarrow or without
def combine(tables: Sequence[pd.DataFrame], *, test: Sequence[pd.DataFrame] = ()) -> pd.DataFrame:
    """Concatenate the clip tables of several corpora.

    Names of clips get the name of their corpus in front, so that they stay unique. Clips with the
    same content share a group, whichever corpora they came from.

    Parameters
    ----------
    tables : sequence of pandas.DataFrame
        Clip tables, as `scan` gives them.
    test : sequence of pandas.DataFrame, optional
        Further tables, only to test on: then the column `split` says ``train`` and ``test``, and
        protocol ``given`` trains on the former and tests on the latter.

    Returns
    -------
    pandas.DataFrame
        Sorted by `clip_id`.

    Raises
    ------
    ValueError
        If there is no table, two have a clip of the same name, one has no emotion that another one
        has, or a clip that is to be tested is among the training clips too.

    Examples
    --------
    >>> import tempfile, numpy as np, soundfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     soundfile.write(Path(folder) / "my_happy.wav", np.zeros(8_000), 8_000)
    ...     mine = scan(folder, corpus="custom").clips
    >>> combine([mine])[["clip_id", "emotion"]].values.tolist()
    [['custom/my_happy', 'happy']]
    """
    if not tables:
        raise ValueError("there is no clip table to combine: give at least one")
    if test:
        tables = [each.assign(split="train") for each in tables]
    clips = pd.concat([*tables, *(each.assign(split="test") for each in test)], ignore_index=True)
    clips["clip_id"] = clips["corpus"] + "/" + clips["clip_id"]
    if (twice := clips["clip_id"].duplicated()).any():
        clip = clips["clip_id"][twice].iloc[0]
        raise ValueError(f"two tables have a clip {clip!r}: give each folder once, or that above")
    shown = {corpus: set(emotions) for corpus, emotions in clips.groupby("corpus")["emotion"]}
    for corpus, own in shown.items():
        others = set().union(*(shown[other] for other in shown if other != corpus))
        if others and not own & others:
            first, second = (", ".join(labels.in_order(each)) for each in (own, others))
            raise ValueError(
                f"corpus {corpus!r} shows {first} and the others {second}: without a shared "
                "emotion a model learns to tell corpora apart; leave it out, or translate labels"
            )
    contents = clips["content"].astype("string")
    if "start" in clips:  # segments of one file belong together
        segments = clips["start"].notna()
        paths = clips.loc[segments, "path"].unique()
        keys = {path: files.clip_key(remote.local(path)) for path in paths}
        contents[segments] = clips.loc[segments, "path"].map(keys)
    clips["group"] = pd.array(join_groups(clips["group"], contents), dtype="string")
    n_sides = clips.groupby("group")["split"].nunique()
    if test and (shared := n_sides[n_sides > 1].index).size:
        names = " and ".join(clips["clip_id"][clips["group"] == shared[0]].iloc[:2])
        raise ValueError(f"the same recording is in training and in test ({names}): remove one")
    return clips.astype({"split": "string"}).sort_values("clip_id", ignore_index=True)


def join_groups(recordings: Iterable[str], contents: Iterable[str]) -> list[str]:
    """Join clips that share a recording or their content, however long the chain.

    Examples
    --------
    >>> join_groups(["a", "b", "b", "c"], ["1", "1", "2", "3"])
    ['a', 'a', 'a', 'c']
    """
    recordings = list(recordings)
    table = pd.DataFrame({"recording": recordings, "content": list(contents)}, dtype=object)
    group, before = table["recording"], pd.Series()
    while not group.equals(before):  # each turn goes one link of the chain further
        before = group
        for shared in table:
            group = group.groupby(table[shared]).transform("min")
    return list(group)


def _folder(root: str | Path) -> Path:
    root = remote.local(root)
    if not root.exists():
        raise FileNotFoundError(f"{root}: no such folder; give the folder of a corpus")
    if not root.is_dir():
        raise NotADirectoryError(f"{root}: is a file; give the folder of a corpus")
    return root


# --- headers and content ----------------------------------------------------------------------


def _each(
    step: Callable[[Any], Row], items: Iterable[tuple[Path, Any]], rejects: list[Reject]
) -> list[Row]:
    """Return what a step makes of what there is of each file; a file where it fails is a reject."""
    made = []
    for path, item in items:
        try:
            made.append(step(item))
        except audio.READ_ERRORS as error:  # also of a name that no system allows
            rejects.append((path, audio.reason(error, path=path)))
    return made


def _measured(rows: Iterable[Row], rejects: list[Reject]) -> list[Row]:
    """Add headers and content; threads help where the disk or the hashing is the slow part."""
    paths = dict.fromkeys(row["path"] for row in rows)
    with ThreadPoolExecutor() as pool:
        running = {path: pool.submit(_measure, path) for path in paths}
    told = {row["path"]: row for row in _each(Future.result, running.items(), rejects)}
    read = [row | told[row["path"]] for row in rows if row["path"] in told]
    return _each(_cut, ((row["path"], row) for row in read), rejects)


def _measure(path: Path) -> Row:
    """Return what the header says and a key of the content."""
    try:
        header = audio.info(path)
    except audio.READ_ERRORS:
        if _head(path, 23) == b"version https://git-lfs":
            told = "a pointer of git-lfs in place of the sound: run git lfs pull"
            raise ValueError(told) from None
        raise
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"it is larger than {MOST_BYTES / 1e9:g} GB: cut it into several files")
    content = files.clip_key(path)
    return {"path": path, **vars(header), "content": content, "file": content}


def _cut(row: Row) -> Row:
    """Return a clip with both times [s] of the segment that it is, if it is one."""
    start, end, duration = row.get("start"), row.get("end"), row["duration"]
    if start is None and end is None:
        return row
    start, end = start or 0.0, duration if end is None else end
    if not 0 <= start < min(end, duration) or end > duration + _SAME_TIME:
        raise ValueError(f"the segment from {start:g} to {end:g} s is none of its {duration:g} s")
    end = min(end, duration)
    name = f"{row['clip_id']}@{start:08.3f}-{end:08.3f}"
    content = files.digest([row["file"], start, end])
    times = {"start": start, "end": end, "duration": end - start}
    return {**row, **times, "clip_id": name, "content": content}


def _without_duplicates(clips: Iterable[Row], rejects: list[Reject]) -> list[Row]:
    """Keep one of each set of copies: the one in the shallowest folder."""
    kept: dict[tuple[str, str], Row] = {}
    named: dict[str, Row] = {}
    for row in sorted(clips, key=lambda row: (row["clip_id"].count("/"), row["path"])):
        first = kept.setdefault((row["path"].stem.lower(), row["content"]), row)
        if first is not row:
            rejects.append((row["path"], f"duplicate of {_file_name(first)}"))
        elif (namesake := named.setdefault(row["clip_id"], row)) is not row:
            rejects.append((row["path"], f"same name as {_file_name(namesake)}, which is kept"))
    return list(named.values())


def _file_name(row: Row) -> str:
    return f"{row['clip_id']}{row['path'].suffix}"


# --- clips by the names of files --------------------------------------------------------------


class Listing(NamedTuple):
    """The files below a folder.

    Attributes
    ----------
    sounds : list of Path
        Those with the suffix of a sound file or the first bytes of one, sorted.
    errors : list of OSError
        Of folders that cannot be entered.
    note : str
        What was passed over; empty if that is nothing.
    """

    sounds: list[Path]
    errors: list[OSError]
    note: str


def list_files(root: Path) -> Listing:
    """List the files below a folder, and tell those of sound from others.

    Linked folders are followed, each once, except into the folder itself or above it. What macOS
    leaves in archives (``._*``, ``__MACOSX``) is no sound, whatever its suffix.
    """
    sounds: list[Path] = []
    others: Counter[str] = Counter()
    errors: list[OSError] = []
    top, entered = root.resolve(), set()
    for name, folders, names in os.walk(root, onerror=errors.append, followlinks=True):
        folder = Path(name)
        real = folder.resolve()
        # A link to what is walked anyway would show it twice, and links may lead in circles.
        if real in entered or real in top.parents or (folder.is_symlink() and top in real.parents):
            folders.clear()
            continue
        entered.add(real)
        # What another run is writing at this moment is no clip.
        folders[:] = sorted(each for each in folders if not each.startswith(files.TEMPORARY))
        of_macos = "__MACOSX" in folder.relative_to(root).parts
        for path in (folder / each for each in names):
            if of_macos or path.name.startswith("._"):
                others["of macOS"] += 1
            elif path.suffix.lower() in audio.SUFFIXES or decoding.begins_as_sound(_head(path, 16)):
                sounds.append(path)
            elif not path.name.startswith("."):
                others[path.suffix.lower() or "without suffix"] += 1
    counts = ", ".join(f"{suffix} x {n}" for suffix, n in sorted(others.items()))
    note = f"passed over: {others.total()} file(s) that are no sound ({counts})" if others else ""
    return Listing(sorted(sounds), errors, note)


def _head(path: Path, n_bytes: int) -> bytes:
    """Return the first bytes of a file; none where it cannot be read."""
    with contextlib.suppress(OSError):
        if path.is_file():  # reading from a pipe would wait
            with path.open("rb") as file:
                return file.read(n_bytes)
    return b""


def _clip_id(path: Path, *, root: Path) -> str:
    relative = PurePosixPath(Path(os.path.relpath(path, root)).as_posix())
    return normalize("NFC", relative.with_suffix("").as_posix())


def _by_name(root: Path, *, corpus: str, translate: labels.Translation) -> Found:
    """Label every sound file below `root` by its name."""
    listing, rule = list_files(root), RULES[corpus]
    inner = {path: PurePosixPath(path.relative_to(root).as_posix()) for path in listing.sounds}
    label: Callable[..., Row] = rule
    if corpus == "custom":
        label = custom_label
        translate.add(folder_labels(inner.values(), knows=translate.knows))
    copies: dict[str, Path] = {}

    def labelled(path: Path) -> Row:
        row = label(inner[path], translate=translate)
        first = copies.setdefault(row["recording"], path)
        if rule.one_of_each and first is not path:
            raise ValueError(f"copy of {inner[first]}")
        return {**row, "path": path, "clip_id": _clip_id(path, root=root)}

    rejects: list[Reject] = []
    for error in listing.errors:
        why = audio.reason(error, path=error.filename)
        rejects.append((Path(error.filename), f"a folder that cannot be entered: {why}"))
    # Of copies in several formats the first is kept: that without loss.
    paths = sorted(inner, key=lambda each: (each.suffix.lower() != ".wav", each))
    rows = _each(labelled, zip(paths, paths, strict=True), rejects)
    if rows:
        return rows, rejects, [listing.note]
    wanted = f"files named like '{rule.shape}.wav' are wanted"
    if corpus == "custom":
        wanted += " (or a folder for each emotion, a CSV, or --map for labels of your own)"
    if not inner:
        noted = "; ".join([*(f"{path.name!r} is {why}" for path, why in rejects), listing.note])
        noted = f" ({noted.removesuffix('; ')})" if noted else ""
        raise ValueError(f"{root}: holds no sound file{noted}; {wanted}, here or in folders below")
    path, why = next(reject for reject in sorted(rejects) if reject[0] in inner)
    raise ValueError(
        f"{root}: none of its {len(inner)} sound files follows the {rule.title} rule, "
        f"{wanted} but the first is {path.name!r} ({why}): "
        "give the folder of that corpus, or the name of this one"
    )


# --- clips by the rows of a CSV ---------------------------------------------------------------


def _by_csv(
    csv: Path, places: Sequence[Path], *, translate: labels.Translation, raters: str | None
) -> Found:
    """Label the files, or segments of files, that a CSV lists.

    A path is relative to one of `places`, to the CSV or to where Python runs; without folders it
    may also be anywhere below the first of these, if there is only one such file.
    """
    lines, notes = _lines(csv)
    if not lines:
        raise ValueError(f"{csv}: lists no clip")
    base, find = places[0], _finder((*places, csv.parent, Path()))

    def labelled(told: Row) -> Row:
        name = _clip_id(told["path"], root=base)
        row = _labelled(told["line"], translate=translate)
        return {**row, "path": told["path"], "clip_id": name, "recording": name}

    rejects: list[Reject] = []
    same: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    listed = ((base / line["path"], line) for line in lines)
    there = _each(lambda line: {"path": find(line["path"]), "line": line}, listed, rejects)
    for row in _each(labelled, ((told["path"], told) for told in there), rejects):
        same[row["path"], row["start"], row["end"]].append(row)
    sets = ((alike[0]["path"], alike) for alike in same.values())
    rows = _each(functools.partial(_decided, raters=raters), sets, rejects)
    for row in rows if raters is None else ():
        copies = same[row["path"], row["start"], row["end"]][1:]
        rejects += [(each["path"], f"duplicate of {_file_name(row)}") for each in copies]
    if shares := [row["agreement"] for row in rows if row["agreement"] is not None]:
        notes.append(
            f"several raters: {len(shares)} clips were decided by majority, {shares.count(1.0)} by "
            f"all raters; on average {sum(shares) / len(shares):.0%} of a clip's raters agree"
        )
    return rows, rejects, notes


def _lines(csv: Path) -> tuple[list[dict[str, str]], list[str]]:
    """Return the lines of a table by what their cells mean, and notes on its columns."""
    if not csv.is_file():
        raise FileNotFoundError(f"{csv}: no such CSV file")
    data = csv.read_bytes()
    wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))  # "Unicode text" of Excel
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{csv}: is not UTF-8 text; save it as CSV in UTF-8") from None
    told = re.match(r'"?sep=([\t -~])"?(\r\n?|\n)', text)  # the first line, for Excel
    text = text[told.end() :] if told else text
    header, columns = re.split(r"[\r\n]", text.lstrip(), maxsplit=1)[0], TABLE["custom"]["columns"]
    form: Any = {"dtype": str, "na_filter": False, "index_col": False}
    form["sep"] = told[1] if told else max(",;\t|", key=header.count)
    if (n_columns := header.count(form["sep"]) + 1) > _MOST_COLUMNS:
        most = f"at most {_MOST_COLUMNS:,} are read"
        raise ValueError(f"{csv}: has {n_columns:,} columns, and {most}: keep those of the labels")
    try:
        heads = pd.read_csv(io.StringIO(text), nrows=0, **form)
        names = [normalize("NFC", str(name).strip()) for name in heads]
        spelt = [labels.spelling(name) for name in names]
        places = {}
        for meaning, aliases in columns.items():
            if found := [spelt.index(each) for each in aliases if each in spelt]:
                places[found[0]] = meaning
        if absent := {"path", "emotion"} - set(places.values()):
            seen = f"{csv}: has no column {max(absent)!r}, only {names!s:.300}"
            raise ValueError(f"{seen}; of columns there may be {', '.join(columns)}")
        table = pd.read_csv(io.StringIO(text), usecols=list(places), **form)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ValueError(f"{csv}: is no CSV ({error}): is every quotation mark closed?") from None
    table.columns = [places[k] for k in sorted(places)]
    table = table.apply(lambda cells: cells.str.strip())
    unknown = [each for k, each in enumerate(names) if k not in places and "Unnamed:" not in each]
    note = f"{csv}: columns that are not understood: {', '.join(unknown)}"
    return table[table["path"] != ""].to_dict("records"), [note] if unknown else []


def _finder(folders: Sequence[Path]) -> Callable[[str], Path]:
    """Return what finds a file in folders, or anywhere below the first of them."""

    @functools.cache
    def below() -> dict[str, list[Path]]:
        """Files by name, with and without suffix, and by path."""
        found = defaultdict(list)
        for path in list_files(folders[0]).sounds:
            for name in {path.name, path.stem, path.relative_to(folders[0]).as_posix()}:
                found[normalize("NFC", name)].append(path)
        return found

    def find(text: str) -> Path:
        text = text.replace("\\", "/")
        forms = dict.fromkeys((text, normalize("NFC", text), normalize("NFD", text)))
        direct = (each / form for form in forms for each in folders if (each / form).is_file())
        if path := next(direct, None):
            return path
        found = below().get(normalize("NFC", text), [])
        if len(found) > 1:
            told = f"{len(found)} files below {folders[0]} are called so"
            raise ValueError(f"{told}: name their folder too")
        if not found:
            raise ValueError("no such file")
        return found[0]

    return find


def _labelled(line: Mapping[str, str], *, translate: labels.Translation) -> Row:
    row: Row = {name: normalize("NFC", cell) or None for name, cell in line.items()}
    row["emotion"] = translate(row["emotion"] or "")
    gender, split = (str(row.get(name) or "").lower() for name in ("gender", "split"))
    if split not in ("", "train", "test"):
        raise ValueError(f"split {split!r} is neither train nor test")
    row |= {"gender": _GENDERS.get(gender, gender) or None, "split": split or None}
    for name in ("start", "end"):
        text = row.get(name)
        row[name] = None if text is None or text.lower() in ("nat", "nan") else _seconds(text)
        if row[name] is not None and not 0 <= row[name] < float("inf"):
            wanted = "such as 1.5 or 0 days 00:00:01.5"
            raise ValueError(f"{name} {text!r} is no time in seconds, {wanted}")
    return row


def _seconds(text: str) -> float:
    """Read a number of seconds, or a time as pandas and audformat write it; NaN if it is none."""
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return pd.to_timedelta(text, errors="coerce").total_seconds()


def _decided(rows: Sequence[Row], *, raters: str | None) -> Row:
    """Return what several rows say of the same clip; ValueError if they contradict each other."""
    agreed: Row = {}
    for name in ("speaker", "gender", "split", "intensity", "statement", "take"):
        told = sorted({str(row[name]) for row in rows if row.get(name)})
        if len(told) > 1:
            raise ValueError(f"{len(rows)} rows contradict: {name} {' or '.join(told)}")
        agreed[name] = told[0] if told else None
    counts = Counter(row["emotion"] for row in rows).most_common()
    said = ", ".join(f"{emotion} x {count}" for emotion, count in counts)
    if len(counts) > 1 and raters is None:
        raise ValueError(f"{len(rows)} rows contradict: {said}; --raters majority decides")
    if len(counts) > 1 and counts[0][1] == counts[1][1]:
        raise ValueError(f"no majority among {len(rows)} raters: {said}")
    emotion, count = counts[0]
    agreement = count / len(rows) if raters and len(rows) > 1 else None
    return {**rows[0], **agreed, "emotion": emotion, "agreement": agreement}
