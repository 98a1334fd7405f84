"""Downloads of corpora: where they are, how large, under which licence; fetched and verified."""

from __future__ import annotations

import contextlib
import errno
import json
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

from sercourse import __version__, files

if TYPE_CHECKING:
    import requests

_CHUNK = 1 << 16  # bytes between two steps of the progress bar
_RECEIPT = ".sercourse-fetch.json"


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
        Of the archive [bytes]; held against the download only where there is a checksum.
    checksum : str or None
        ``sha256:...`` or ``md5:...``; None where its authors publish none.
    members : str
        Pattern of the members to unpack.
    how : str
        What to do where there is no `url`.
    """

    name: str
    licence: str
    cite: str
    url: str | None = None
    size: int | None = None
    checksum: str | None = None
    members: str = "*"
    how: str = ""


_RAVDESS = {
    "licence": "CC BY-NC-SA 4.0",
    "cite": "Livingstone and Russo 2018, doi 10.5281/zenodo.1188976",
}

REGISTRY: dict[str, Download] = {
    each.name: each
    for each in (
        Download(
            name="ravdess",
            url="https://zenodo.org/records/1188976/files/Audio_Speech_Actors_01-24.zip?download=1",
            size=208_468_073,
            checksum="sha256:5d208e01632cc3e5242106fa2af3273e6dc5239fb8143131979ac74c4aa40657",
            **_RAVDESS,
        ),
        Download(
            name="ravdess-song",
            url="https://zenodo.org/records/1188976/files/Audio_Song_Actors_01-24.zip?download=1",
            size=225_505_317,
            checksum="sha256:89f3df66cc67ebb70c8af6f72f3f359bee497f6f763a9d863b6477619716d428",
            **_RAVDESS,
        ),
        Download(
            name="emodb",
            url="http://emodb.bilderbar.info/download/download.zip",
            size=40_500_000,  # as its page rounds it
            members="wav/*",
            licence="freely available; its page asks to be cited",
            cite="Burkhardt et al. 2005, doi 10.21437/Interspeech.2005-446",
        ),
        Download(
            name="aesdd",
            licence="mirrors contradict each other: treat as non-commercial, do not redistribute",
            cite="Vryzas et al. 2018, doi 10.17743/jaes.2018.0036",
            how=(
                "Open https://m3c.web.auth.gr/research/aesdd-speech-emotion-recognition and follow "
                "its link to the file locker, download the archive in the browser and unpack it"
            ),
        ),
        Download(
            name="tess",
            licence="non-commercial",
            cite="Pichora-Fuller and Dupuis 2020, doi 10.5683/SP2/E8H2MF",
            how=(
                "Open https://doi.org/10.5683/SP2/E8H2MF, accept the terms, download all files in "
                "the browser and unpack them"
            ),
        ),
        Download(
            name="crema-d",
            licence="Open Database License",
            cite="Cao et al. 2014, doi 10.1109/TAFFC.2014.2336244",
            how=(
                "Install git-lfs, clone https://github.com/CheyneyComputerScience/CREMA-D and move "
                "its folder AudioWAV (or AudioMP3)"
            ),
        ),
        Download(
            name="savee",
            licence="free for research, after registration",
            cite="Haq and Jackson 2010, in Machine Audition, pp. 398-423",
            how=(
                "Register at http://kahlan.eps.surrey.ac.uk/savee, download AudioData.zip with the "
                "password that you are sent, and unpack it"
            ),
        ),
    )
}
"""The corpora that `fetch` and `instructions` know, by name."""


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
        If the download is not what the registry says, or is no safe archive.
    OSError
        If the server or the disk refuses; what was downloaded is kept to go on from.
    """
    download, to = entry(name, registry=registry), files.user_path(to)
    if download.url is None:
        raise LookupError(f"{name} cannot be downloaded by a program: {download.how} into {to}")
    if is_fetched(name, to=to):
        return to
    _require_free(to)
    archive = _archive(download)
    unpack(archive, to=to, members=download.members, receipt=download)
    return to


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


def is_fetched(name: str, *, to: str | Path) -> bool:
    """Tell whether `fetch` has put this corpus into the folder `to`."""
    receipt = files.user_path(to) / _RECEIPT
    return receipt.is_file() and json.loads(receipt.read_text("utf-8")).get("name") == name


def instructions(
    name: str, *, to: str | Path | None = None, registry: Mapping[str, Download] = REGISTRY
) -> str:
    """Say how to get a corpus into the folder `to` (``data/NAME``), its licence and what to cite.

    Raises
    ------
    LookupError
        If the name is not in the registry.

    Examples
    --------
    >>> print(instructions("savee"))
    savee cannot be downloaded by a program.
    Register at ... and unpack it into data/savee
    Licence: free for research, after registration
    Cite: Haq and Jackson 2010, in Machine Audition, pp. 398-423
    """
    download, to = entry(name, registry=registry), to or f"data/{name}"
    if download.url is None:
        first = f"{name} cannot be downloaded by a program.\n{download.how} into {to}"
    else:
        first = f"Run: sercourse fetch {name} --to {to}"
    return f"{first}\nLicence: {download.licence}\nCite: {download.cite}"


def unpack(archive: Path, *, to: Path, members: str = "*", receipt: Download) -> None:
    """Unpack a zip archive into a new folder, which appears only when it is complete.

    Raises
    ------
    ValueError
        If the archive is damaged, or a member would land outside the folder.
    """
    to.parent.mkdir(parents=True, exist_ok=True)
    with _temporary_folder(to) as temporary:
        try:
            with zipfile.ZipFile(archive) as file:
                chosen = [item for item in file.namelist() if fnmatch(item, members)]
                _require_safe(chosen, archive)
                file.extractall(temporary, chosen)
        except zipfile.BadZipFile as error:
            archive.unlink()  # or every further call would trip over it
            raise ValueError(f"{archive}: is no sound zip archive ({error}): try again") from error
        files.write_json(
            temporary / _RECEIPT,
            {"name": receipt.name, "url": receipt.url, "checksum": receipt.checksum},
        )
        if to.is_dir():
            to.rmdir()  # empty, as was made sure of before the download
        temporary.rename(to)


class ResumingDownloader:
    """A downloader for pooch that goes on from what an earlier attempt left.

    Pooch downloads to a file that it removes on failure; this one keeps the bytes in `partial`,
    asks the server for the rest, and hands over the file when it is whole. A server that does not
    know ranges sends everything again.

    Parameters
    ----------
    partial : Path
        Where bytes wait between attempts.
    size : int or None
        Length of the whole [bytes], where it is known exactly.
    """

    def __init__(self, *, partial: Path, size: int | None = None) -> None:
        self.partial = partial
        self.size = size

    def __call__(self, url: str, output_file: str | Path, pooch: Any) -> None:
        """Download `url` to `output_file`: the signature that pooch asks for."""
        self.partial.parent.mkdir(parents=True, exist_ok=True)
        if self.size is None or self._present() != self.size:
            self._download(url)
        self.partial.replace(output_file)

    def _present(self) -> int:
        return self.partial.stat().st_size if self.partial.exists() else 0

    def _download(self, url: str) -> None:
        import requests

        if self.size is not None and self._present() > self.size:
            self.partial.unlink()
        try:
            with self._request(url) as response:
                response.raise_for_status()
                self._receive(response)
        except requests.RequestException as error:
            kept = f"{self._present():,} bytes are kept and the next attempt goes on from there"
            raise ConnectionError(
                f"{url}: {_cause(error)}; {kept if self._present() else 'try again later'}"
            ) from error

    def _request(self, url: str) -> requests.Response:
        """Ask for what is missing, or for everything if the server does not like the question."""
        import requests

        # Zenodo refuses the name that requests gives itself.
        headers = {"User-Agent": f"sercourse/{__version__}", "Accept-Encoding": "identity"}
        start = self._present()
        wanted = headers | {"Range": f"bytes={start}-"} if start else headers
        response = requests.get(url, headers=wanted, stream=True, timeout=60)
        if start and response.status_code == requests.codes.requested_range_not_satisfiable:
            response.close()
            self.partial.unlink()
            response = requests.get(url, headers=headers, stream=True, timeout=60)
        return response

    def _receive(self, response: requests.Response) -> None:
        from tqdm import tqdm

        start = self._present() if response.status_code == 206 else 0
        rest = response.headers.get("Content-Length")
        total = start + int(rest) if rest else self.size
        with (
            self.partial.open("ab" if start else "wb") as file,
            tqdm(
                total=total,
                initial=start,
                unit="B",
                unit_scale=True,
                desc=self.partial.stem,
            ) as progress,
        ):
            for chunk in response.iter_content(_CHUNK):
                file.write(chunk)
                progress.update(len(chunk))


def _archive(download: Download) -> Path:
    """Return the verified archive in the cache, downloaded if it is not there yet."""
    import pooch

    folder = files.cache_dir() / "downloads"
    name = f"{download.name}.zip"
    downloader = ResumingDownloader(
        partial=folder / f"{name}.part", size=download.size if download.checksum else None
    )
    if download.checksum is None and (folder / name).is_file():
        return folder / name  # only ever put there whole; pooch would ask for its hash
    try:
        path = pooch.retrieve(
            download.url, download.checksum, fname=name, path=folder, downloader=downloader
        )
    except ValueError as error:
        raise ValueError(
            f"{download.url}: what came does not have the checksum {download.checksum}, "
            "so it was deleted; try again, and report it if it happens twice"
        ) from error
    return Path(path)


def _require_free(to: Path) -> None:
    """Refuse, before the long download, a place where nothing may be unpacked."""
    if to.is_dir() and any(to.iterdir()):
        raise FileExistsError(
            f"{to}: holds files that this command did not put there; give another folder"
        )
    if to.exists() and not to.is_dir():
        raise NotADirectoryError(f"{to}: is a file; give a folder")


def _require_safe(members: list[str], archive: Path) -> None:
    """Refuse an archive that would write outside its folder, or has nothing for us."""
    for member in members:
        path = PurePosixPath(member.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or PureWindowsPath(member).drive:
            raise ValueError(f"{archive}: member {member!r} would land outside the folder")
    if not members:
        raise ValueError(f"{archive}: holds none of the files wanted")


@contextlib.contextmanager
def _temporary_folder(to: Path) -> Iterator[Path]:
    """Yield a folder beside `to`, on the same disk, so that renaming it is one step."""
    temporary = files.beside(to)
    temporary.mkdir()
    try:
        yield temporary
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise OSError(f"{to}: the disk is full; make room and try again") from error
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _cause(error: requests.RequestException) -> str:
    """Say in a few words what a long chain of network errors comes to."""
    if error.response is not None:
        return f"the server answers {error.response.status_code} {error.response.reason}"
    return "the connection could not be made" if "Max retries" in str(error) else "it broke off"
