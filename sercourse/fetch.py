"""Downloads of corpora: where they are, how large, under which licence; fetched and verified."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from sercourse import __version__, files
from sercourse.naming import TABLE

_RECEIPT = ".sercourse-fetch.json"

MOST_FILES, MOST_BYTES = 100_000, 20 * 10**9  # of an archive; the largest corpus has 7,442 files


@dataclass(frozen=True)
class Download:
    """A corpus that can, or cannot, be downloaded by a program.

    Attributes
    ----------
    name : str
        Its name for `corpora.scan`.
    licence, cite : str
        What its authors ask for.
    url : str or None
        A zip archive; None where none can be fetched by a program.
    size : int or None
        Of the archive [bytes], as its page tells it: no download goes on beyond twice as many.
    checksum : str or None
        ``sha256:...``; None where its authors publish none.
    members : str
        Pattern of the members to unpack.
    how : str
        What to do where there is no `url`.
    clips : mapping of str to int
        Readable clips of each emotion in the complete corpus.
    """

    name: str
    licence: str
    cite: str
    url: str | None = None
    size: int | None = None
    checksum: str | None = None
    members: str = "*"
    how: str = ""
    clips: Mapping[str, int] = field(default_factory=dict)


REGISTRY: dict[str, Download] = {
    name: Download(name, **{key: value for key, value in told.items() if key != "names"})
    for name, told in TABLE.items()
    if "licence" in told
}
"""The corpora that `fetch` knows, by name."""


def fetch(name: str, *, to: str | Path, registry: Mapping[str, Download] = REGISTRY) -> Path:
    """Download a corpus, verify it, and unpack it.

    An interrupted download continues where it stopped when called again, and the folder appears
    only once everything is in it. A second call does nothing.

    Parameters
    ----------
    name : str
        A key of `registry`.
    to : str or Path
        Folder to make.
    registry : mapping, optional
        From name to `Download`.

    Returns
    -------
    Path
        `to`.

    Raises
    ------
    LookupError
        If the name is not known, or the corpus cannot be downloaded by a program.
    ValueError
        If the download is not what the registry says, or is no archive.
    OSError
        If the server or the disk refuses; what was downloaded is kept to go on from.
    """
    download, to = entry(name, registry=registry), files.user_path(to)
    if download.url is None:
        raise LookupError(f"{name} cannot be downloaded by a program: {download.how} into {to}")
    files.put_back(to)
    if receipt(to / _RECEIPT) == name:
        return to
    if to.exists() and not (to.is_dir() and not any(to.iterdir())):
        raise FileExistsError(f"{to}: holds files of something else: give another folder")
    archive = _archive(download)
    with files.atomic_folder(to, replaces=_RECEIPT) as temporary:
        try:
            _unpack(archive, temporary, members=download.members)
            files.write_json(temporary / _RECEIPT, {"name": name, "url": download.url})
        except Exception as error:  # it may be damaged, encrypted, compressed in unknown ways
            if isinstance(error, OSError) and error.errno in files.FULL:
                raise
            archive.unlink(missing_ok=True)  # or every further call would trip over it
            raise ValueError(
                f"{download.url}: what came is no zip archive that can be unpacked ({error}), so "
                "it was deleted; try again, and report it if it happens twice"
            ) from error
    return to


def receipt(file: Path) -> str | None:
    """Return the name of the corpus that was fetched; None where that cannot be read."""
    with suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
        return str(json.loads(file.read_text("utf-8"))["name"])
    return None


def _unpack(archive: Path, folder: Path, *, members: str) -> None:
    """Unpack some members of an archive; they land inside the folder, whatever they are called."""
    with zipfile.ZipFile(archive) as file:
        wanted = [each for each in file.infolist() if fnmatch(each.filename, members)]
        size = sum(each.file_size for each in wanted)  # more than that is never unpacked
        if not wanted or len(wanted) > MOST_FILES or size > MOST_BYTES:
            told = f"{len(wanted)} files {members} of {size:,} bytes"
            raise ValueError(f"it has {told}; 1 to {MOST_FILES} of {MOST_BYTES:,} are unpacked")
        file.extractall(folder, wanted)


def entry(name: str, *, registry: Mapping[str, Download] = REGISTRY) -> Download:
    """Return what is known about a corpus.

    Raises
    ------
    LookupError
        If the name is not in the registry.

    Examples
    --------
    >>> entry("ravdess").licence
    'CC BY-NC-SA 4.0'
    """
    if name not in registry:
        raise LookupError(f"no download is known for {name!r}: use one of {', '.join(registry)}")
    return registry[name]


def _archive(download: Download) -> Path:
    """Return the verified archive in the cache, downloaded if it is not there yet."""
    archive = files.cache_dir() / "downloads" / f"{download.name}.zip"
    archive.parent.mkdir(parents=True, exist_ok=True)
    partial = archive.with_suffix(".zip.part")
    if not archive.is_file():
        partial.touch()
        with files.alone(partial):  # another run may be downloading it
            if not archive.is_file():
                _resume(download, partial)
                partial.replace(archive)
    if download.checksum and download.checksum != f"sha256:{files.content_hash(archive)}":
        archive.unlink(missing_ok=True)
        told = f"{download.url}: what came does not have the checksum {download.checksum}"
        raise ValueError(f"{told}, so it was deleted; try again, and report it if it happens twice")
    return archive


def _resume(download: Download, partial: Path) -> None:
    """Download an archive, going on from the bytes that an earlier attempt left.

    A server that does not know ranges sends everything again.
    """
    import requests
    from tqdm import tqdm

    url = str(download.url)
    most = 2 * download.size if download.size else MOST_BYTES
    size = download.size if download.checksum else None
    partial.touch()  # what another run has left may have been too long
    start = partial.stat().st_size
    if start and start == size:
        return
    # Zenodo refuses the name that requests gives itself.
    headers = {"User-Agent": f"sercourse/{__version__}", "Accept-Encoding": "identity"}
    if 0 < start < (size or start + 1):
        headers["Range"] = f"bytes={start}-"
    try:
        with requests.get(url, headers=headers, stream=True, timeout=60) as response:
            if start and response.status_code == requests.codes.requested_range_not_satisfiable:
                partial.write_bytes(b"")
                _resume(download, partial)
                return
            response.raise_for_status()
            start = start if response.status_code == requests.codes.partial_content else 0
            total = start + (response.raw.length_remaining or 0) or size
            with (
                partial.open("ab" if start else "wb") as file,
                tqdm(total=total, initial=start, unit="B", unit_scale=True) as progress,
            ):
                for chunk in response.iter_content(1 << 16):
                    progress.update(file.write(chunk))
                    if file.tell() > most:
                        break
    except requests.RequestException as error:
        why = "the connection could not be made, or broke off"
        if error.response is not None:
            why = f"the server answers {error.response.status_code} {error.response.reason}"
        kept = partial.stat().st_size
        advice = f"{kept:,} bytes are kept and the next attempt goes on from there"
        raise ConnectionError(f"{url}: {why}; {advice if kept else 'try again later'}") from error
    except OSError as error:
        raise OSError(error.errno, f"cannot be written ({error.strerror})", str(partial)) from error
    if partial.stat().st_size > most:
        partial.unlink()
        raise ValueError(f"{url}: more than {most:,} bytes came, so they were deleted; report it")
