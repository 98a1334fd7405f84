"""What commands share: options, the corpora that they name, and how results are written."""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO, TypeVar

from sercourse import files, labels, remote

if TYPE_CHECKING:
    import pandas as pd

    from sercourse.corpora import Scan

S = TypeVar("S")
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


def command(
    commands: argparse._SubParsersAction,
    name: str,
    run: Callable[[argparse.Namespace], int],
    *parents: argparse.ArgumentParser,
) -> Callable[..., argparse.Action]:
    """Register a command, whose help is the docstring of its function; return what adds options."""
    text = " ".join((run.__doc__ or "").split())
    first = text.partition(". ")[0].rstrip(".")
    parser = commands.add_parser(name, help=first, description=text, parents=parents)
    parser.set_defaults(run=run)
    return parser.add_argument


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


# --- options that several commands have -------------------------------------------------------


def parent(*flags: str, **settings: Any) -> argparse.ArgumentParser:
    """Return a parser with one option, for the `parents` of others."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument(*flags, **settings)
    return parser


def corpus() -> argparse.ArgumentParser:
    """Return the options that name corpora, and say how their clips are labelled."""
    text = "folder of the corpus; or NAME=DIR for each of several, which then weigh the same"
    parser = parent("roots", metavar="ROOT", nargs="+", type=place, help=text)
    option = parser.add_argument
    option("--corpus", help="ravdess, ravdess-song, aesdd, emodb, tess, savee, crema-d or custom")
    option("--csv", dest="table", type=path, help="table that lists and labels custom clips")
    option("--audio-root", type=path, help="where the files of the table are; default: ROOT")
    option("--map", metavar="A=B,C=D", help="what labels mean, such as ang=angry,exc=happy")
    option("--labels", type=path, help="the same from a file, a line such as ang=angry each")
    option("--raters", choices=["majority"], help="take the label of most rows of a clip")
    return parser


def jobs() -> argparse.ArgumentParser:
    """Return the options for the number of processes, and for machines instead."""
    parser, cores = cluster(), os.cpu_count() or 1
    option = parser.add_argument
    option("--jobs", type=whole(1), default=cores, help="processes; default: all cores")
    return parser


def cluster() -> argparse.ArgumentParser:
    """Return the option for a cluster."""
    text = "of a Dask scheduler, such as tcp://host:8786: its workers do the work"
    return parent("--cluster", metavar="ADDRESS", help=text)


def json_output() -> argparse.ArgumentParser:
    """Return the option that writes a result for programs."""
    text = "also write the result there; without FILE, print it instead of text"
    return parent("--json", type=path, nargs="?", const=STDOUT, metavar="FILE", help=text)


def outputs() -> argparse.ArgumentParser:
    """Return the options that write a result as JSON and as a table."""
    parser = json_output()
    text = "also write a table, as CSV or .parquet; - prints it"
    parser.add_argument("--out", dest="out_file", type=path, metavar="FILE", help=text)
    return parser


# --- corpora ----------------------------------------------------------------------------------


def scan(args: argparse.Namespace) -> list[Scan]:
    """Scan the corpora that the options name; --corpus and --table are of a bare folder."""
    from sercourse import corpora

    meanings, places = _meanings(args), [*args.roots, *(getattr(args, "test", None) or [])]
    given = [each.name for each in places]
    if args.corpus and None not in given:
        raise ValueError(f"--corpus {args.corpus} names a bare folder, and none is given")
    table = {"csv": args.table, "audio_root": args.audio_root, "raters": args.raters}
    found = []
    for name, root in places:
        own = {} if "custom" in given and name != "custom" else table
        found.append(corpora.scan(root, corpus=name or args.corpus, translate=meanings, **own))
    return found


def _meanings(args: argparse.Namespace) -> dict[str, str]:
    """Return what labels mean: of --labels, and of --map, which goes first."""
    try:
        told = args.labels.read_text("utf-8-sig") if args.labels else ""
        found = labels.parse_translation(told)
    except ValueError as error:
        raise ValueError(f"--labels {args.labels}: {error}") from None
    return found | labels.parse_translation((args.map or "").replace(",", "\n"))


def refuse_empty(found: Scan, args: argparse.Namespace) -> None:
    """Raise ValueError if there is no clip in a scan."""
    if found.clips.empty:
        told = f"{args.table or args.roots[0].root}: no clip can be used"
        raise ValueError(f"{told}; {len(found.rejects)} are left out, for the reasons above")


def clips(args: argparse.Namespace) -> pd.DataFrame:
    """Return the clips of all corpora that the options name, after saying what is left out."""
    from sercourse import corpora

    tables = []
    for found in scan(args):
        for path, reason in found.rejects[["path", "reason"]].itertuples(index=False):
            say(f"left out: {path}: {reason}")
        for note in found.notes:
            say(note)
        refuse_empty(found, args)
        tables.append(found.clips)
    n_learnt = len(args.roots)
    if len(tables) == 1:
        return tables[0]
    return corpora.combine(tables[:n_learnt], test=tables[n_learnt:])


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


def spread(
    function: Callable[[list[S]], T], items: Iterable[S], *, cluster: str | None
) -> Iterator[T]:
    """Yield what a function makes of portions of items: one by one here, or on a cluster."""
    if cluster is None:
        yield from (function([each]) for each in items)
        return
    from joblib import Parallel, delayed

    rest = iter(items)
    portions = iter(lambda: list(islice(rest, PORTION)), [])
    yield from Parallel(return_as="generator", batch_size=1)(
        delayed(function)(each) for each in portions
    )


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
    for target in (getattr(args, name, None) for name in OUTPUTS):
        if target is not None and target != STDOUT:
            if target.is_file():
                _refuse_valuable(target, inputs=inputs)
            files.refuse_unwritable_file(target, inputs=inputs)


def _refuse_valuable(target: Path, *, inputs: Sequence[Path]) -> None:
    from sercourse import audio
    from sercourse.corpora import list_files

    clips = [clip for each in inputs if each.is_dir() for clip in list_files(each).sounds]
    is_sound = target.suffix.lower() in audio.SUFFIXES
    if is_sound or any(target.samefile(clip) for clip in clips):
        raise FileExistsError(f"{target} is a sound file and not overwritten: give another name")
    if (target.parent / "bundle.json").is_file():
        raise FileExistsError(f"{target} is part of a model and not overwritten: name another file")


def prints_text(args: argparse.Namespace) -> bool:
    """Return whether a result is printed as text, not as JSON or CSV."""
    return STDOUT not in (args.json, getattr(args, "out_file", None))


def write(
    args: argparse.Namespace, *, content: Any, table: Callable[[], pd.DataFrame] | None = None
) -> None:
    """Write a result to where --json and --out say; a table that is not asked for is not made."""
    if args.json:
        text = json.dumps(content, indent=1, ensure_ascii=args.json == STDOUT)
        _write(args.json, [f"{text}\n"])
    if table and args.out_file:
        write_tables(args.out_file, [table()])


def write_tables(target: Path, tables: Iterable[pd.DataFrame]) -> None:
    """Write tables with the same columns as one, as CSV or, by its suffix, as Parquet."""
    if target.suffix == ".parquet":
        with files.atomic_path(target) as temporary:
            _write_parquet(temporary, tables)
        return
    texts = (
        table.to_csv(index=False, header=k == 0, lineterminator="\n", float_format="%.6g")
        for k, table in enumerate(tables)
    )
    _write(target, texts)


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
    with (
        files.atomic_path(target) as temporary,
        temporary.open("w", encoding="utf-8", **told) as file,
    ):
        file.writelines(texts)
