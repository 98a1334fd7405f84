"""Small file helpers that everything above relies on: atomic writes, content hashes, the cache."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary sibling of `path` that takes its name only if the block succeeds.

    A reader therefore sees the old file or the complete new one, never half of it.

    Raises
    ------
    OSError
        If the folder cannot be written to.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_path(Path(folder) / "a.txt") as temporary:
    ...         _ = temporary.write_text("whole")
    ...     (Path(folder) / "a.txt").read_text()
    'whole'
    """
    path = Path(path)
    with _naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # The suffix is kept because writers such as np.savez add one where it is missing.
        handle, name = tempfile.mkstemp(
            prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent
        )
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)  # mkstemp makes files that only their owner can read
        with _naming(path):
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


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
    folder = Path(folder).resolve()  # a link stays one
    refuse_unwritable(folder, replaces=replaces)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        yield temporary
        temporary.chmod(0o755)  # mkdtemp makes folders that only their owner can open
        with _naming(folder):
            _take_place(temporary, of=folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _take_place(new: Path, *, of: Path) -> None:
    """Give a folder the name of another, which is deleted only once the new one is there."""
    if not of.exists():
        new.replace(of)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{of.name}-old-", dir=of.parent))
    old = aside / of.name  # a name of its own: not every system replaces an empty folder
    try:
        of.replace(old)
        new.replace(of)
    except OSError:
        if old.exists():
            old.replace(of)
        aside.rmdir()
        raise
    shutil.rmtree(aside, ignore_errors=True)


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Let an error of the system name the file that was wanted, not a temporary one."""
    try:
        yield
    except OSError as error:
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
    folder = Path(folder)
    ours = (folder / replaces).is_file()
    if folder.exists() and not ours and not (folder.is_dir() and not any(folder.iterdir())):
        raise FileExistsError(
            f"{folder} exists and holds no {replaces}: nothing is overwritten; name another folder"
        )
    _try_beside(folder)


def refuse_unwritable_file(path: str | Path) -> None:
    """Say before long work, rather than after it, that a file cannot be written.

    Raises
    ------
    IsADirectoryError
        If a folder has that name.
    OSError
        If the place cannot be written to.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: give the name of a file")
    _try_beside(path)


def _try_beside(path: Path) -> None:
    with _naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path.parent).close()


def write_json(path: str | Path, content: Any) -> None:
    """Write `content` as indented JSON, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")


def content_hash(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(content: Any) -> str:
    """Return a short, stable key of anything that JSON can hold.

    Examples
    --------
    >>> digest({"b": 1, "a": [2]}) == digest({"a": [2], "b": 1})
    True
    """
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def cache_dir() -> Path:
    """Return the folder of recomputable files: `$SERCOURSE_CACHE`, or the user's cache folder."""
    import platformdirs

    chosen = os.environ.get("SERCOURSE_CACHE")
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("sercourse"))


def home() -> Path:
    """Return the folder of the project, which holds `notebooks/`, `data/` and `models/`.

    It is `$SERCOURSE_HOME` where that is set, else the checkout that this package is imported from,
    else the nearest folder above the working one.

    Raises
    ------
    FileNotFoundError
        If none of them holds the sample corpora.
    """
    chosen = os.environ.get("SERCOURSE_HOME")
    here = Path.cwd()
    places = [Path(chosen)] if chosen else [Path(__file__).parents[1], here, *here.parents]
    for place in places:
        if (place / "data" / "sample").is_dir():
            return place
    raise FileNotFoundError(
        f"no folder data/sample in {places[0]}: clone the project and install it with "
        "'pip install -e .', or set SERCOURSE_HOME to its folder"
    )
