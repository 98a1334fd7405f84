"""Recordings elsewhere, such as ``s3://bucket/folder``: copies of them in the cache, by fsspec.

A copy is made when a file is first read on a machine, and made anew when the file has changed; one
of a file that is gone goes when its folder is read again.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from sercourse import files


def is_remote(path: str | Path) -> bool:
    """Whether a path is the address of something elsewhere.

    Examples
    --------
    >>> [is_remote(each) for each in ("s3://bucket/a.wav", "file:///a.wav", "C:/a.wav", "a.wav")]
    [True, False, False, False]
    """
    return re.match("(?!file:)[a-z][a-z0-9+]+://", str(path)) is not None


def local(path: str | Path) -> Path:
    """Return where a file or folder can be read: as it is, or the copy of what is elsewhere.

    Raises
    ------
    ModuleNotFoundError
        If it is elsewhere, and fsspec is not installed.
    OSError
        If it is not there or cannot be copied; the sentence names the address.
    """
    if not is_remote(path):
        return files.user_path(str(path).removeprefix("file://"))
    with _opened(str(path)) as (fs, found), ThreadPoolExecutor() as pool:
        list(pool.map(lambda each: _copy(fs, each, found[each]), found))
        for each in set(place(path).rglob("*")) - set(map(place, found)):  # gone, or renamed
            if each.is_file() and files.TEMPORARY not in str(each):
                each.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            os.utime(_folder(str(path)))  # in use: it is the last that `shrink_cache` deletes
    return place(path)


def known(path: str | Path) -> str:
    """Return a name by which a program in another folder, or for another user, knows a path."""
    return str(path) if is_remote(path) else str(files.user_path(path).absolute())


def listed(url: str) -> dict[str, str]:
    """Return the version of each file below a folder elsewhere, by its address; or of one file."""
    with _opened(url) as (fs, found):
        return {each: _version(fs, found[each]) for each in sorted(found)}


def place(path: str | Path) -> Path:
    """Return where the copy of what is elsewhere belongs; other paths as they are."""
    if not is_remote(path):
        return Path(path)
    _, *inner = str(path).partition("://")[2].strip("/").split("/")
    return _folder(str(path)).joinpath(*inner)


def address(path: Path) -> str:
    """Return of what a file is the copy; other paths as they are.

    Examples
    --------
    >>> address(place("s3://bucket/Actor_01/a.wav")), address(Path("a.wav"))
    ('s3://bucket/Actor_01/a.wav', 'a.wav')
    """
    copies = files.cache_dir() / "remote"
    if not path.is_relative_to(copies):
        return str(path)
    host, *inner = path.relative_to(copies).parts
    return "/".join([host.replace("-", "://", 1), *inner])


def _folder(url: str) -> Path:
    """Return the folder of all copies from a host or bucket."""
    protocol, _, rest = url.partition("://")
    host, *inner = rest.strip("/").split("/")
    if not host or not {"", ".", ".."}.isdisjoint(inner):
        told = "is no address of a file or folder, such as s3://bucket/folder"
        raise FileNotFoundError(f"{url}: {told}")
    return files.cache_dir() / "remote" / f"{protocol}-{host}"


@contextlib.contextmanager
def _opened(url: str) -> Iterator[tuple[Any, dict[str, str]]]:
    """Yield a file system, and what it calls each file below an address."""
    import fsspec

    url = url.rstrip("/")
    _folder(url)  # refuses what is no address
    try:
        fs, top = fsspec.url_to_fs(url)
        names = [top] if fs.info(top)["type"] == "file" else fs.find(top)
        yield fs, {url + each.removeprefix(top): each for each in names}
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{url}: no such file, folder or bucket") from error
    except Exception as error:  # each protocol fails in its own ways
        if isinstance(error, OSError) and error.errno in files.FULL:
            raise
        why = f"{type(error).__name__}: {error!s:.300}"
        raise OSError(
            f"{url}: cannot be read ({why}): check the address and your credentials"
        ) from error


def _copy(fs: Any, url: str, name: str) -> None:
    """Copy a file into the cache, unless this very version of it is there."""
    copy = place(url)
    # The time of a copy tells its version: 15 digits of nanoseconds, some days of 1970.
    version = int(_version(fs, name), 16) % 10**15
    if not (copy.is_file() and copy.stat().st_mtime_ns == version):
        with files.atomic_path(copy) as temporary:
            with fs.open(name, "rb") as source, temporary.open("wb") as target:
                shutil.copyfileobj(source, target)
            os.utime(temporary, ns=(version, version))


def _version(fs: Any, name: str) -> str:
    """Return a key of a file's content, as far as the place where it lies tells of it."""
    about = fs.info(name)
    return files.digest(about.get("ETag") or str(sorted(about.items())))
