"""What commands share: kinds of values, the corpora that they name, how results are written."""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO, TypeVar

import sercourse as ser
from sercourse import files, labels, remote

if TYPE_CHECKING:
    import pandas as pd

    from sercourse.audio import Channel
    from sercourse.corpora import Scan

T = TypeVar("T")
STDOUT = Path("-")
OUTPUTS = ("json", "plot", "out_file")  # options that name a file to write
PATIENCE_SECONDS = 8.0  # for a scheduler to answer
PORTION = 16  # clips that go to a worker together: each hand-over takes some milliseconds
_LIBRARIES = "sercourse numpy scipy librosa soundfile soxr onnxruntime scikit-learn distributed"
SAME_VERSIONS = tuple(_LIBRARIES.split())
"""Packages that workers must have in the versions that are here: numbers follow from them."""


class Place(NamedTuple):
    """A corpus that is given as NAME=DIR, or as a bare folder."""

    name: str | None
    root: Path


def show(*lines: object, end: str = "\n", file: TextIO | None = None) -> None:
    """Print lines of a result; what would end a line or command a terminal is spelt out.

    Names may hold it, and could otherwise look like answers.

    Raises
    ------
    SystemExit
        If nobody reads it any more, such as `head` that has had enough.
    """

    def spelt(found: re.Match[str]) -> str:
        """Return a character that can be printed."""
        return found[0] if found[0].isprintable() else ascii(found[0])[1:-1]

    text = "\n".join(re.sub("[^ -~]", spelt, str(line)) for line in lines)
    try:
        print(text, end=end, file=file, flush=True)
    except BrokenPipeError:
        for stream in (sys.stdout, sys.stderr):  # Python flushes both at exit, and would complain
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        raise SystemExit(1) from None


def say(*lines: object) -> None:
    """Print what is no result, such as progress and warnings, where it cannot mix with results."""
    show(*lines, file=sys.stderr)


# --- kinds of values ------------------------------------------------------------------------


def reader(read: Callable[[str], T]) -> Callable[[str], T]:
    """Let argparse say what a reader of values has to say of a wrong one."""

    @functools.wraps(read)
    def wrapped(text: str) -> T:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return wrapped


number = float
emotions = reader(labels.parse_emotions)


@reader
def path(text: str) -> Path:
    """Read the name of a file or folder of this machine."""
    if remote.is_remote(text):
        raise ValueError(f"{text}: only recordings may lie elsewhere; name a file of this machine")
    return files.user_path(text)


def recording(text: str) -> Path | str:
    """Read the name of a sound file or folder, or the address of one elsewhere."""
    return text if remote.is_remote(text) else remote.local(text)


@reader
def channel(text: str) -> Channel:
    """Read which channels of a recording are to be judged."""
    if text in ("left", "right", "each"):
        return text
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{text}: give left, right, each or a number from 1")
    return int(text)


@reader
def protocol(text: str) -> str:
    """Read the name of a protocol."""
    ser.splits.refuse_unknown(text)
    return text


def measurement(text: str) -> tuple[str, tuple[str, ...] | None]:
    """Read a protocol, and the emotions to which it is restricted."""
    name, _, only = text.partition(":")
    return protocol(name), emotions(only) if only else None


def names(text: str) -> list[str]:
    """Read a list of names with commas between them."""
    return [name.strip() for name in text.split(",")]


def place(text: str) -> Place:
    """Read NAME=DIR or DIR, which may have a = in its own name."""
    name, _, folder = text.partition("=")
    if not (name and folder) or Path(name).name != name or Path(text).exists():
        return Place(None, remote.local(text))
    return Place(name.lower(), remote.local(folder))


def whole(low: int, high: int | None = None) -> Callable[[str], int]:
    """Return a reader of whole numbers within a range."""

    def read(text: str) -> int:
        if not text.lstrip("-").isdecimal() or not low <= int(text) <= (high or int(text)):
            limit = f" to {high}" if high else ""
            raise ValueError(f"{text}: give a whole number from {low}{limit}")
        return int(text)

    return reader(read)


# --- corpora ----------------------------------------------------------------------------------


def scan(args: argparse.Namespace, *, report: Callable[[Scan], object]) -> list[pd.DataFrame]:
    """Return the clips of each corpus that the options name, after a report of what was found.

    --corpus and --csv are of a bare folder.
    """
    meanings, places = _meanings(args), [*args.roots, *(getattr(args, "test", None) or [])]
    given = [each.name for each in places]
    if args.corpus and None not in given:
        raise ValueError(f"--corpus {args.corpus} names a bare folder, and none is given")
    table = {"csv": args.table, "audio_root": args.audio_root, "raters": args.raters}
    tables = []
    for name, root in places:
        own = {} if "custom" in given and name != "custom" else table
        found = ser.corpora.scan(root, corpus=name or args.corpus, translate=meanings, **own)
        report(found)
        if found.clips.empty:
            told = f"{args.table or args.roots[0].root}: no clip can be used"
            raise ValueError(f"{told}; {len(found.rejects)} are left out, for the reasons above")
        tables.append(found.clips)
    return tables


def _meanings(args: argparse.Namespace) -> dict[str, str]:
    """Return what labels mean: of --labels, and of --map, which goes first."""
    try:
        found = labels.parse_translation(args.labels.read_text("utf-8-sig") if args.labels else "")
    except ValueError as error:
        raise ValueError(f"--labels {args.labels}: {error}") from None
    return found | labels.parse_translation((args.map or "").replace(",", "\n"))


def clips(args: argparse.Namespace) -> pd.DataFrame:
    """Return the clips of all corpora that the options name, after saying what is left out."""

    def report(found: Scan) -> None:
        for reject in found.rejects.itertuples():
            say(f"left out: {reject.path}: {reject.reason}")
        for note in found.notes:
            say(note)

    tables, n_learnt = scan(args, report=report), len(args.roots)
    if len(tables) == 1:
        return tables[0]
    return ser.corpora.combine(tables[:n_learnt], test=tables[n_learnt:])


# --- many machines ----------------------------------------------------------------------------


@contextlib.contextmanager
def on_cluster(address: str | None) -> Iterator[None]:
    """Let all that goes through joblib run on the workers of a Dask cluster, where one is named.

    Raises
    ------
    OSError
        If no scheduler answers, or workers are missing, other than this machine, or keep dying.
    """
    if address is None:
        yield
        return
    from concurrent.futures import CancelledError

    import distributed
    import joblib
    from joblib._dask import DaskDistributedBackend

    class Backend(DaskDistributedBackend):
        """That of joblib, which by itself waits for ever for what Dask has given up."""

        def submit(self, func: Any, callback: Any = None) -> Any:
            task = super().submit(func, callback)
            task.add_done_callback(lambda done: done.exception() and callback(done.exception()))
            return task

    try:
        client = distributed.Client(address, timeout=PATIENCE_SECONDS)
    except (OSError, ValueError) as error:
        told = "no Dask scheduler answers there: start one with 'dask scheduler', or name another"
        raise ConnectionError(f"--cluster {address}: {told}") from error
    with client:
        _refuse_others(client, address)
        try:
            with joblib.parallel_config(backend=Backend(client=client)):
                yield
        except (distributed.KilledWorker, CancelledError) as error:
            told = "workers die at this work, of too little memory perhaps; what was finished is"
            raise OSError(f"--cluster {address}: {told} kept: the same command goes on") from error


def _refuse_others(client: Any, address: str) -> None:
    """Refuse a cluster without workers, or whose workers would compute other numbers."""
    try:
        client.wait_for_workers(1, timeout=PATIENCE_SECONDS)
        theirs = client.run(files.versions, *SAME_VERSIONS)
    except TimeoutError as error:
        told = f"it has no worker: start some with 'dask worker {address}'"
        raise ConnectionError(f"--cluster {address}: {told}") from error
    except ModuleNotFoundError as error:
        told = f"its workers lack {error.name}: install the same sercourse for them"
        raise OSError(f"--cluster {address}: {told}") from error
    for worker, found in theirs.items():
        for name, version in files.versions(*SAME_VERSIONS).items():
            if found[name] != version:
                told = f"worker {worker} has {name} {found[name] or 'not installed'}"
                raise OSError(f"--cluster {address}: {told}, and here it is {version or 'not'}")


def spread(function: Callable[[Any], T], items: Iterable, *, cluster: str | None) -> Iterable[T]:
    """Yield what a function makes of each item: one by one here, or portions on a cluster."""
    if cluster is None:
        return map(function, items)
    from joblib import Parallel, delayed

    ahead = f"{2 * PORTION} * n_jobs"
    spreading = Parallel(return_as="generator", batch_size=PORTION, pre_dispatch=ahead)
    return spreading(delayed(function)(each) for each in items)


# --- outputs ----------------------------------------------------------------------------------


def refuse_outputs(args: argparse.Namespace) -> None:
    """Refuse outputs before any work.

    None of what is read is replaced, and neither is any other sound file or a part of a model.

    Raises
    ------
    OSError
        If an output cannot be written or would replace what is read.
    """
    read = [value for name, value in vars(args).items() if name not in OUTPUTS]
    flat = [each for value in read for each in (value if isinstance(value, list) else [value])]
    inputs = [each.root if isinstance(each, Place) else each for each in flat]
    inputs = [each for each in inputs if isinstance(each, Path)]
    folders = [each for each in inputs if each.is_dir()]
    named: list[Any] = [getattr(args, name, None) for name in OUTPUTS]
    targets = [each for each in named if each not in (None, STDOUT)]
    own = [each.resolve() for each in targets if not files.is_stream(each)]
    if doubled := [each for each in own if own.count(each) > 1]:
        raise ValueError(f"{doubled[0]} is named for two outputs: give each a file of its own")
    for target in targets:
        files.refuse_unwritable_file(target, inputs=inputs)
        if not target.is_file():
            continue
        clips = (clip for each in folders for clip in ser.corpora.list_files(each).sounds)
        is_sound = target.suffix.lower() in ser.audio.SUFFIXES
        if is_sound or any(target.samefile(clip) for clip in clips):
            told = f"{target} is a sound file"
            raise FileExistsError(f"{told} and not overwritten: give another name")
        if (target.parent / "bundle.json").is_file():
            told = f"{target} is part of a model"
            raise FileExistsError(f"{told} and not overwritten: name another file")


def prints_text(args: argparse.Namespace) -> bool:
    """Return whether a result is printed as text, not as JSON or CSV."""
    return STDOUT not in (args.json, getattr(args, "out_file", None))


def write(args: argparse.Namespace, *, content: Any, tables: Iterable[pd.DataFrame] = ()) -> None:
    """Write a result to where --json and --out say.

    Parameters
    ----------
    args : Namespace
    content : object
        For JSON, in which an iterable is a list.
    tables : iterable of pandas.DataFrame
        With the same columns: written as one, as CSV or, by the suffix, as Parquet.
    """
    if args.json:
        text = json.dumps(content, indent=1, ensure_ascii=args.json == STDOUT, default=list)
        _write(args.json, [f"{text}\n"])
    if tables and args.out_file and args.out_file.suffix == ".parquet":
        with files.atomic_path(args.out_file) as temporary:
            _write_parquet(temporary, tables)
    elif tables and args.out_file:
        settings: Any = {"index": False, "lineterminator": "\n", "float_format": "%.6g"}
        texts = (table.to_csv(header=k == 0, **settings) for k, table in enumerate(tables))
        _write(args.out_file, texts)


def _write_parquet(path: Path, tables: Iterable[pd.DataFrame]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    def rows(table: pd.DataFrame) -> pa.Table:
        if "path" in table:  # the name of a file need not be text, and here it must be
            names = map(os.fsencode, table["path"])
            table = table.assign(path=[each.decode("utf-8", "backslashreplace") for each in names])
        return pa.Table.from_pandas(table, preserve_index=False)

    found = map(rows, tables)
    first = next(found)
    text = pa.string()  # of a column that says nothing yet
    fields = [each.with_type(text) if each.type == pa.null() else each for each in first.schema]
    with pq.ParquetWriter(path, pa.schema(fields)) as writer:
        for table in chain([first], found):
            writer.write_table(table.cast(writer.schema))


def _write(target: Path, texts: Iterable[str]) -> None:
    if target == STDOUT:
        for text in texts:
            show(*text.split("\n"), end="")
        return
    # The name of a file need not be text: it is written as the bytes that it has.
    told: Any = {"errors": "surrogateescape", "newline": "\n"}
    with files.atomic_path(target) as new, new.open("w", encoding="utf-8", **told) as file:
        file.writelines(texts)
