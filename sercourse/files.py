"""Small file helpers that everything above relies on: atomic writes, content hashes, the cache."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import errno
import functools
import hashlib
import json
import os
import secrets
import shutil
import stat
import sys
import tempfile
import types
import warnings
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

if sys.platform != "win32":
    import fcntl

TEMPORARY = ".sercourse-tmp-"
"""What the names of temporary folders begin with."""


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # a disk, a quota, or a file


class NotKept(UserWarning):
    """What was computed cannot be kept in the cache for the next time."""


def user_path(path: str | Path) -> Path:
    """Return a path in which a leading ``~`` is the user's home, as a shell has it.

    Examples
    --------
    >>> user_path("~/clips") == Path.home() / "clips", user_path("a/~").as_posix()
    (True, 'a/~')
    """
    return Path(os.path.expanduser(path))  # noqa: PTH111 - Path's own fails where it knows no home


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield the name of a temporary file that becomes `path` only if the block succeeds.

    A reader therefore sees the old file or the complete new one, never half of it. The file has
    the permissions of the one that it replaces, or those that the user's umask leaves. A link
    stays one: the file that it names is replaced. A device, a FIFO or ``/dev/stdout`` is written
    into.

    Raises
    ------
    OSError
        If it cannot be written to.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_path(Path(folder) / "a.txt") as temporary:
    ...         _ = temporary.write_text("whole")
    ...     (Path(folder) / "a.txt").read_text()
    'whole'
    """
    path = user_path(path)
    if is_stream(path):
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder) / path.name
            sys.stdout.flush()
            content = Path(folder) / path.name
            with naming(path), content.open("rb") as file, path.open("ab") as stream:
                shutil.copyfileobj(file, stream)
        return
    target = path.resolve()  # a link stays one
    with _claimed(target, path) as temporary:
        with naming(path, only=temporary):
            yield temporary
        with naming(path):
            _put(temporary, target)


def is_stream(path: Path) -> bool:
    """Whether a path names no file that could be replaced, but a device, a FIFO or ``/dev/stdout``.

    Examples
    --------
    >>> is_stream(Path("/dev/null")), is_stream(Path("clips.csv"))
    (True, False)
    """
    descriptor = path.parent.resolve().as_posix().startswith("/proc/")  # such as /dev/fd/1
    if descriptor or path.as_posix() in ("/dev/stdout", "/dev/stderr"):
        return True
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


@contextlib.contextmanager
def _claimed(target: Path, path: Path) -> Iterator[Path]:
    """Yield a place in a temporary folder that, while it is locked, nobody takes for a rest."""
    with contextlib.ExitStack() as until_the_end:
        with naming(path):
            target.parent.mkdir(parents=True, exist_ok=True)
            sweep(target.parent)
            while True:
                folder = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=target.parent))
                until_the_end.callback(shutil.rmtree, folder, ignore_errors=True)
                until_the_end.enter_context(alone(folder))
                if folder.exists():  # another process may have swept it before it was locked
                    break
        yield folder / target.name


@functools.cache
def sweep(parent: Path) -> None:
    """Remove what killed runs have left in a folder: temporary folders that nobody locks."""
    for folder in parent.glob(f"{TEMPORARY}*/"):
        # One may be locked, or somebody else's.
        with contextlib.suppress(OSError), _locked(folder, wait=False):
            shutil.rmtree(folder)


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Wait until no other run works on a file or folder, and keep others waiting meanwhile."""
    with contextlib.ExitStack() as until_the_end:
        with contextlib.suppress(OSError):  # Windows and some network folders lock none
            until_the_end.enter_context(_locked(path, wait=True))
        yield


@contextlib.contextmanager
def _locked(path: Path, *, wait: bool) -> Iterator[None]:
    if sys.platform == "win32":
        raise OSError(f"{path}: cannot be locked without being protected from renaming, too")
    lock = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(lock)


@contextlib.contextmanager
def atomic_folder(folder: str | Path, *, replaces: str) -> Iterator[Path]:
    """Yield a temporary sibling folder that takes the name only if the block succeeds.

    Parameters
    ----------
    folder : path
    replaces : str
        Name of the file that marks an earlier folder of the same kind, which may be replaced.

    Raises
    ------
    FileExistsError
        If the folder exists and holds something else.
    OSError
        If the place cannot be written to.
    """
    refuse_unwritable(folder, replaces=replaces)
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        yield temporary


def _put(temporary: Path, target: Path) -> None:
    """Let a file or a folder take its place."""
    if target.exists():
        shutil.copymode(target, temporary)
    if not (temporary.is_dir() and target.exists()):
        temporary.replace(target)
    elif not _exchange(temporary, target):
        old = _replaced(target)
        shutil.rmtree(old, ignore_errors=True)  # of a run that was killed at its very end
        try:
            target.replace(old)
            temporary.replace(target)
            old.replace(temporary)
        finally:
            put_back(target)


def put_back(folder: str | Path) -> None:
    """Give a folder its name again, if a run was killed between moving and replacing it."""
    folder = user_path(folder).resolve()
    if _replaced(folder).exists() and not folder.exists():
        _replaced(folder).replace(folder)


def _replaced(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}-replaced")


def _exchange(one: Path, other: Path) -> bool:
    """Let two folders change names in one step, in which none is missing; whether they did."""
    if sys.platform == "win32":
        return False
    system, names = ctypes.CDLL(None), (os.fsencode(one), os.fsencode(other))
    if hasattr(system, "renamex_np"):  # macOS; 2 is RENAME_SWAP
        return bool(system.renamex_np(*names, 2) == 0)
    if hasattr(system, "renameat2"):  # Linux; -100 is AT_FDCWD, 2 is RENAME_EXCHANGE
        return bool(system.renameat2(-100, names[0], -100, names[1], 2) == 0)
    return False


@contextlib.contextmanager
def naming(path: Path | None, *, only: Path | None = None) -> Iterator[None]:
    """Let an error of the system name the file that was wanted, not a temporary one."""
    try:
        yield
    except OSError as error:
        if only and error.filename != str(only) and error.errno not in FULL:
            raise  # of something else, such as a file that is read meanwhile
        said = os.strerror(error.errno) if error.errno else str(error)
        raise OSError(error.errno, f"cannot be written ({said})", str(path)) from None


def refuse_unwritable(folder: str | Path, *, replaces: str) -> None:
    """Say before long work, rather than after it, that its result cannot be stored.

    Raises
    ------
    FileExistsError
        If the folder exists, is not empty and lacks the file `replaces`.
    OSError
        If the place cannot be written to.
    """
    folder = user_path(folder)
    put_back(folder)
    held = list(folder.iterdir()) if folder.is_dir() else [folder] * folder.exists()
    # Looked for last: another run may be writing its first file meanwhile.
    if (
        any(not each.name.startswith(TEMPORARY) for each in held)
        and not (folder / replaces).is_file()
    ):
        told = f"{folder} exists and holds no {replaces}"
        raise FileExistsError(f"{told}: nothing is overwritten; name another folder")
    _try_beside(folder)


def refuse_unwritable_file(path: str | Path, *, inputs: Iterable[Path] = ()) -> None:
    """Say before long work, rather than after it, that a file cannot be written.

    Parameters
    ----------
    path : path
    inputs : iterable of Path
        What the work reads: none of it is replaced, by whatever name or link it is called.

    Raises
    ------
    IsADirectoryError
        If a folder has that name.
    FileExistsError
        If it is one of the inputs.
    OSError
        If the place cannot be written to.
    """
    path = user_path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: give the name of a file")
    if any(path.exists() and each.exists() and path.samefile(each) for each in inputs):
        raise FileExistsError(f"{path} is read here and not overwritten: give another name")
    _try_beside(path)


def _try_beside(path: Path) -> None:
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, "is protected from writing", str(path))
    if not is_stream(path):
        with naming(path):
            parent = path.resolve().parent
            parent.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=parent).close()


@contextlib.contextmanager
def keeping(folder: Path) -> Iterator[None]:
    """Let the work go on where its results cannot be kept in a cache: a warning says so.

    A home may be read-only and a disk full; what was computed can still be used and written to
    where the user wants it.
    """
    try:
        yield
    except OSError as error:
        why = error.strerror or error
        warnings.warn(
            f"{folder}: results are not kept there for the next time: {why}; set SERCOURSE_CACHE "
            "to another folder",
            NotKept,
            stacklevel=3,
        )


def write_json(path: str | Path, content: Any) -> None:
    """Write `content` as indented JSON, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")


def write_sealed(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object whose first field is the SHA-256 of all that follows it, atomically."""
    rest = json.dumps(content, ensure_ascii=False)[1:].encode() + b"\n"
    with atomic_path(path) as temporary:
        temporary.write_bytes(_seal(rest) + rest)


def read_sealed(path: Path) -> dict[str, Any]:
    """Return what `write_sealed` wrote.

    Raises
    ------
    ValueError
        If a bit of it has changed since, or it is no JSON.
    """
    sweep(path.parent)
    seal, line, rest = path.read_bytes().partition(b"\n")
    try:
        if seal + line == _seal(rest):
            content: dict[str, Any] = json.loads(b"{" + rest)
            return content
    except (ValueError, RecursionError):  # by another's hand, with the right checksum
        pass
    raise ValueError(f"{path} has changed since it was written: delete it")


def _seal(rest: bytes) -> bytes:
    return b'{"sha256": "%s",\n' % hashlib.sha256(rest).hexdigest().encode()


def content_hash(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal: for files that are verified."""
    with user_path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def clip_key(path: str | Path) -> str:
    """Return a short hash of a sound file's bytes, by which all of the project knows a clip.

    It is BLAKE2b, the fastest of the standard library.
    """
    with user_path(path).open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of libraries; of one that is not installed, an empty text.

    Examples
    --------
    >>> versions("no-such-library")
    {'no-such-library': ''}
    """
    installed = dict.fromkeys(packages, "")
    for package in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            installed[package] = metadata.version(package)
    return installed


def digest(content: Any) -> str:
    """Return a short key of anything: JSON, arrays, functions, estimators, dataclasses.

    It follows from all that the content's behaviour depends on and from no text that could leave
    something out: estimators are told by their classes and all of their parameters, functions and
    classes by their qualified names and, where these do not last (``__main__``, ``<lambda>``), by
    their code. Code that they call is not looked into, and libraries do not tell their versions:
    add `versions` where these matter. JSON has the same key on every computer.

    Examples
    --------
    >>> digest({"b": 1, "a": [2]}) == digest({"a": [2], "b": 1})
    True
    >>> digest(lambda x: x + 1) == digest(lambda x: x + 2)
    False
    """
    try:
        told = _plain(content)
    except Exception:  # code of others fails in many ways
        told = secrets.token_hex()  # what cannot be told is never taken for something known
    text = json.dumps(told, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]


def _plain(value: Any) -> Any:
    """Return a value as JSON can hold it."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Mapping):
        if all(isinstance(key, str) for key in value):
            return {key: _plain(each) for key, each in value.items()}
        return sorted([digest(key), digest(each)] for key, each in value.items())
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, set | frozenset):
        return sorted(map(digest, value))
    if hasattr(value, "dtype") and hasattr(value, "tobytes"):  # an array, or a number of NumPy
        told = value.tolist()
        if value.dtype != object:
            told = hashlib.blake2b(value.tobytes(), digest_size=16).hexdigest()
        return [str(value.dtype), value.shape, _plain(told)]
    if isinstance(value, functools.partial):
        return ["partial", _plain([value.func, value.args, value.keywords])]
    if isinstance(value, types.CodeType):
        return [value.co_code.hex(), value.co_names, _plain(value.co_consts)]
    if isinstance(value, types.FunctionType | type):
        return _named(value)
    if hasattr(value, "get_params"):  # an estimator
        parts = value.get_params(deep=False)
    elif dataclasses.is_dataclass(value):
        parts = [getattr(value, each.name) for each in dataclasses.fields(value)]
    else:
        import joblib

        parts = joblib.hash(value)
    return [_named(type(value)), _plain(parts)]


def _named(value: types.FunctionType | type) -> Any:
    """Return what tells a function or a class from others."""
    name = f"{value.__module__}.{value.__qualname__}"
    if value.__module__ != "__main__" and "<" not in value.__qualname__:
        return name
    if isinstance(value, type):
        parts = [each for each in vars(value).values() if isinstance(each, types.FunctionType)]
        return [name, _plain([each.__code__ for each in parts])]
    cells = [each.cell_contents for each in value.__closure__ or ()]
    used = [each for each in cells if each is not value]  # a function may call itself
    return [name, _plain([value.__code__, used, value.__defaults__, value.__kwdefaults__])]


def cache_dir() -> Path:
    """Return the folder of recomputable files: `$SERCOURSE_CACHE`, or the user's cache folder."""
    import platformdirs

    chosen = os.environ.get("SERCOURSE_CACHE")
    return user_path(chosen) if chosen else Path(platformdirs.user_cache_dir("sercourse"))


class Kept(NamedTuple):
    """One thing in the cache, such as the rows of a feature set: size [bytes], time of last use."""

    path: Path
    size: int
    n_files: int
    used: float


def cached() -> list[Kept]:
    """Return what is in the cache, what was used longest ago first."""
    found = []
    for path in cache_dir().glob("*/*"):
        with contextlib.suppress(OSError):  # another run may be clearing it
            parts = path.rglob("*") if path.is_dir() else [path]
            sizes = [each.stat().st_size for each in parts if each.is_file()]
            found.append(Kept(path, sum(sizes), len(sizes), path.stat().st_mtime))
    return sorted(found, key=lambda each: each.used)


def shrink_cache(limit: float | None = None) -> None:
    """Delete what was used longest ago until the cache holds no more than a number of bytes.

    Unless that is given, it is `$SERCOURSE_CACHE_MB` megabytes; without that, nothing is deleted.
    A run that is at work computes anew what it misses.
    """
    if limit is None:
        if not (told := os.environ.get("SERCOURSE_CACHE_MB", "")).strip():
            return
        try:
            limit = float(told) * 1e6
        except ValueError:
            raise ValueError(f"SERCOURSE_CACHE_MB is {told!r}: give a number") from None
    kept = cached()
    total = sum(each.size for each in kept)
    for each in kept:
        if total > limit or limit == 0:
            total -= each.size
            with contextlib.suppress(OSError):  # another run may be clearing it, too
                (shutil.rmtree if each.path.is_dir() else os.unlink)(each.path)


def home() -> Path:
    """Return the folder of the project, which holds `notebooks/`, `data/` and `models/`.

    It is `$SERCOURSE_HOME` where that is set, else the checkout that this package is imported from,
    else the nearest folder above the working one, else that of the installed package, which has
    nothing but the default model.

    Raises
    ------
    FileNotFoundError
        If none of them holds the speech encoder, which every copy of the project has.
    """
    chosen = os.environ.get("SERCOURSE_HOME")
    package, here = Path(__file__).parent, Path.cwd()
    places = [user_path(chosen)] if chosen else [package.parent, here, *here.parents, package]
    for place in places:
        if (place / "models" / "speech-encoder").is_dir():
            return place
    raise FileNotFoundError(
        f"no folder models/speech-encoder in {places[0]}: clone the project and install it with "
        "'pip install -e .', or set SERCOURSE_HOME to its folder"
    )


def in_project(*parts: str) -> Path:
    """Return a path below `home` that a clone has, and an installed package may lack.

    Raises
    ------
    FileNotFoundError
        If it is not there; the sentence says what to do.

    Examples
    --------
    >>> in_project("data", "sample").name
    'sample'
    """
    path = home().joinpath(*parts)
    if not path.exists():
        raise FileNotFoundError(
            f"there is no {path}: an installed package brings the default model alone; clone the "
            "project and work there, or set SERCOURSE_HOME to its folder"
        )
    return path
