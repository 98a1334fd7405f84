from __future__ import annotations

import errno
import hashlib
import io
import threading
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sercourse import __version__, fetch, files


def archive(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return buffer.getvalue()


BODY = archive({"Actor_01/a.wav": bytes(range(256)) * 4_000, "readme.txt": b"hello"})


@dataclass
class Server:
    """A local server that can ignore ranges, break off, and remembers what it was asked."""

    body: bytes = BODY
    knows_ranges: bool = True
    break_after: int | None = None
    refuses_ranges: bool = False
    length: str = ""
    meanwhile: threading.Event | None = None
    requests: list[dict[str, str]] = field(default_factory=list)
    sent: int = 0
    url: str = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.requests.append(dict(handler.headers))
        start = 0
        asked = handler.headers.get("Range")
        if asked and self.knows_ranges:
            start = int(asked.removeprefix("bytes=").split("-")[0])
        if handler.path != "/corpus.zip":
            handler.send_error(404)
        elif start >= len(self.body) or self.refuses_ranges:
            handler.send_error(416)
        else:
            self._send(handler, start)

    def _send(self, handler: BaseHTTPRequestHandler, start: int) -> None:
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", self.length or str(len(self.body) - start))
        if start:
            last = len(self.body) - 1
            handler.send_header("Content-Range", f"bytes {start}-{last}/{len(self.body)}")
        handler.end_headers()
        if self.meanwhile:
            self.meanwhile.wait(5)
        part = self.body[start:][: self.break_after]
        self.sent += len(part)
        handler.wfile.write(part)
        handler.close_connection = True


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("SERCOURSE_CACHE", str(tmp_path / "cache"))
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.answer(self)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        state.url = f"http://127.0.0.1:{http.server_port}/corpus.zip"
        thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield state
        http.shutdown()
        thread.join()


def registry(server: Server, **changes: object) -> dict[str, fetch.Download]:
    settings = {
        "name": "mini",
        "licence": "MIT",
        "cite": "us",
        "url": server.url,
        "size": len(BODY),
        "checksum": "sha256:" + hashlib.sha256(BODY).hexdigest(),
    } | changes
    return {"mini": fetch.Download(**settings)}  # type: ignore[arg-type]


def downloads() -> list[str]:
    folder = files.cache_dir() / "downloads"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "cache")


def test_fetch_unpacks_and_names_itself(server: Server, tmp_path: Path) -> None:
    to = tmp_path / "data" / "mini"
    assert fetch.fetch("mini", to=to, registry=registry(server)) == to
    assert (to / "Actor_01" / "a.wav").read_bytes() == bytes(range(256)) * 4_000
    assert server.requests[0]["User-Agent"] == f"sercourse/{__version__}"
    assert visible(to.parent) == ["mini"]
    assert downloads() == ["mini.zip"]


def test_a_second_call_does_nothing(server: Server, tmp_path: Path) -> None:
    fetch.fetch("mini", to=tmp_path / "mini", registry=registry(server))
    (tmp_path / "mini" / "readme.txt").write_text("mine")
    fetch.fetch("mini", to=tmp_path / "mini", registry=registry(server))
    assert len(server.requests) == 1
    assert (tmp_path / "mini" / "readme.txt").read_text() == "mine"


def test_an_interrupted_download_continues(server: Server, tmp_path: Path) -> None:
    to = tmp_path / "mini"
    server.break_after = 300_000
    with pytest.raises(ConnectionError, match="bytes are kept and the next attempt goes on"):
        fetch.fetch("mini", to=to, registry=registry(server))
    assert not to.exists()
    assert downloads() == ["mini.zip.part"]
    kept = (files.cache_dir() / "downloads" / "mini.zip.part").stat().st_size
    assert 200_000 < kept <= 300_000
    server.break_after, server.sent = None, 0
    fetch.fetch("mini", to=to, registry=registry(server))
    assert server.requests[1]["Range"] == f"bytes={kept}-"
    assert server.sent == len(BODY) - kept
    assert downloads() == ["mini.zip"]


def test_a_server_without_ranges_sends_everything_again(server: Server, tmp_path: Path) -> None:
    _leave_partial(BODY[:1_000])
    server.knows_ranges = False
    fetch.fetch("mini", to=tmp_path / "mini", registry=registry(server))
    assert server.sent == len(BODY)


def test_a_second_run_waits_for_the_first_and_takes_its_archive(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both appended to one file: neither could use it."""
    server.meanwhile = threading.Event()
    wait_for = files.alone

    def alone(path: Path) -> AbstractContextManager[None]:
        if server.requests:  # this is the second
            server.meanwhile.set()
        return wait_for(path)

    monkeypatch.setattr(files, "alone", alone)
    entries = registry(server)
    with ThreadPoolExecutor() as pool:
        one = pool.submit(fetch.fetch, "mini", to=tmp_path / "one", registry=entries)
        while not server.requests:
            time.sleep(0.01)
        other = pool.submit(fetch.fetch, "mini", to=tmp_path / "other", registry=entries)
        folders = [one.result(), other.result()]
    assert [(each / "readme.txt").read_text() for each in folders] == ["hello", "hello"]
    assert len(server.requests) == 1
    assert downloads() == ["mini.zip"]


def test_a_server_that_knows_no_end(server: Server, tmp_path: Path) -> None:
    server.refuses_ranges = True
    with pytest.raises(ConnectionError, match=r"corpus\.zip: the server answers 416"):
        fetch.fetch("mini", to=tmp_path / "mini", registry=registry(server))


def test_a_length_that_is_no_number_is_not_needed(server: Server, tmp_path: Path) -> None:
    server.length = "many"
    fetch.fetch("mini", to=tmp_path / "mini", registry=registry(server))
    assert (tmp_path / "mini" / "readme.txt").read_text() == "hello"


def test_an_archive_that_stands_in_the_way_of_the_receipt(server: Server, tmp_path: Path) -> None:
    server.body = archive({".sercourse-fetch.json/a.wav": b"a"})
    bad = registry(server, checksum="sha256:" + hashlib.sha256(server.body).hexdigest())
    with pytest.raises(ValueError, match="what came is no zip archive that can be unpacked"):
        fetch.fetch("mini", to=tmp_path / "mini", registry=bad)
    assert (downloads(), visible(tmp_path)) == ([], [])


def test_a_whole_partial_file_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    _leave_partial(BODY)
    fetch.fetch("mini", to=tmp_path / "mini", registry=registry(server))
    assert server.requests == []


@pytest.mark.parametrize("changes", [{}, {"checksum": None, "size": None}])
def test_a_partial_file_that_is_too_long_is_dropped(
    server: Server, tmp_path: Path, changes: dict[str, None]
) -> None:
    _leave_partial(BODY + b"more")
    fetch.fetch("mini", to=tmp_path / "mini", registry=registry(server, **changes))
    assert (tmp_path / "mini" / "readme.txt").read_text() == "hello"


def test_a_partial_file_of_something_else_costs_one_attempt(server: Server, tmp_path: Path) -> None:
    _leave_partial(bytes(1_000))
    with pytest.raises(ValueError, match="does not have the checksum"):
        fetch.fetch("mini", to=tmp_path / "mini", registry=registry(server))
    assert fetch.fetch("mini", to=tmp_path / "mini", registry=registry(server)).is_dir()


def _leave_partial(content: bytes) -> None:
    folder = files.cache_dir() / "downloads"
    folder.mkdir(parents=True)
    (folder / "mini.zip.part").write_bytes(content)


def test_a_wrong_checksum_leaves_nothing_behind(server: Server, tmp_path: Path) -> None:
    wrong = registry(server, checksum="sha256:" + "0" * 64)
    with pytest.raises(ValueError, match=r"corpus\.zip: what came does not have the checksum"):
        fetch.fetch("mini", to=tmp_path / "mini", registry=wrong)
    assert downloads() == []
    assert visible(tmp_path) == []


def test_a_server_that_refuses(server: Server, tmp_path: Path) -> None:
    gone = registry(server, url=server.url.replace("corpus", "gone"))
    with pytest.raises(ConnectionError, match=r"gone\.zip: the server answers 404 Not Found"):
        fetch.fetch("mini", to=tmp_path / "mini", registry=gone)
    assert visible(tmp_path) == []


def test_no_server(tmp_path: Path, server: Server) -> None:
    nowhere = registry(server, url="http://127.0.0.1:1/corpus.zip")
    with pytest.raises(ConnectionError, match="the connection could not be made"):
        fetch.fetch("mini", to=tmp_path / "mini", registry=nowhere)


@pytest.mark.parametrize("member", ["../evil.wav", "/evil.wav", "a/../../evil.wav", "C:/evil.wav"])
def test_members_land_inside_the_folder(server: Server, tmp_path: Path, member: str) -> None:
    server.body = archive({"good.wav": b"good", member: b"evil"})
    bad = registry(server, checksum="sha256:" + hashlib.sha256(server.body).hexdigest())
    fetch.fetch("mini", to=tmp_path / "deep" / "mini", registry=bad)
    inside = list((tmp_path / "deep" / "mini").rglob("*.wav"))
    assert list(tmp_path.rglob("*.wav")) == inside
    assert not Path("/evil.wav").exists()


def test_a_damaged_archive_without_checksum(server: Server, tmp_path: Path) -> None:
    server.body = BODY[:-100]
    unchecked = registry(server, checksum=None, size=None)
    with pytest.raises(ValueError, match="is no zip archive that can be unpacked"):
        fetch.fetch("mini", to=tmp_path / "mini", registry=unchecked)
    assert visible(tmp_path) == []
    server.body = BODY
    assert fetch.fetch("mini", to=tmp_path / "mini", registry=unchecked).is_dir()


def encrypted(body: bytes) -> bytes:
    return body.replace(b"PK\x03\x04\x14\x00\x00", b"PK\x03\x04\x14\x00\x01").replace(
        b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01"
    )


def with_method(number: int) -> bytes:
    """Return an archive of which the central directory names a method of compression."""
    at = BODY.index(b"PK\x01\x02") + 10
    return BODY[:at] + number.to_bytes(2, "little") + BODY[at + 2 :]


LYING = {
    "a page": b"<html>not found</html>",
    "cut": BODY[:-100],
    "flipped": BODY.replace(bytes(range(100, 200)), bytes(100), 1),
    "encrypted": encrypted(BODY),
    "unknown compression": with_method(97),
    "not deflated": with_method(8),
    "no bzip2": with_method(12),
    "no LZMA": with_method(14),
    "a file as a folder": archive({"a": b"file", "a/b.wav": b"in it"}),
    "a long name": archive({"a" * 300: b"file"}),
    "nothing": archive({}),
}


@pytest.mark.parametrize("kind", LYING)
@pytest.mark.parametrize("checked", [True, False])
def test_a_lying_archive_is_no_answer_for_ever(
    server: Server, tmp_path: Path, kind: str, checked: bool
) -> None:
    server.body = LYING[kind]
    checksum = "sha256:" + hashlib.sha256(server.body).hexdigest() if checked else None
    for attempt in (1, 2):
        with pytest.raises(ValueError, match=r"what came is no zip archive that can be unpacked"):
            fetch.fetch("mini", to=tmp_path / "mini", registry=registry(server, checksum=checksum))
        assert (visible(tmp_path), downloads(), len(server.requests)) == ([], [], attempt)
    server.body = BODY
    assert fetch.fetch("mini", to=tmp_path / "mini", registry=registry(server)).is_dir()


@pytest.mark.parametrize("limit", ["MOST_FILES", "MOST_BYTES"])
def test_an_archive_that_would_fill_the_disk_is_not_unpacked(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(fetch, limit, 1)
    with pytest.raises(ValueError, match=r"it has 2 files \* of 1,024,005 bytes"):
        fetch.fetch("mini", to=tmp_path / "mini", registry=registry(server))
    assert (visible(tmp_path), downloads()) == ([], [])


@pytest.mark.parametrize("size", [len(BODY) // 3, None])
def test_a_download_without_end_is_stopped(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int | None
) -> None:
    monkeypatch.setattr(fetch, "MOST_BYTES", len(BODY) // 2)
    with pytest.raises(ValueError, match=r"more than [\d,]+ bytes came, so they were deleted"):
        fetch.fetch("mini", to=tmp_path / "mini", registry=registry(server, size=size))
    assert server.sent == len(BODY)
    assert (visible(tmp_path), downloads()) == ([], [])


@pytest.mark.parametrize("receipt", [b"", b"[]", b"\xff", b'"mini"', b"[" * 5_000, b'{"name": 1}'])
def test_a_damaged_receipt_is_none(server: Server, tmp_path: Path, receipt: bytes) -> None:
    (tmp_path / "mini").mkdir()
    (tmp_path / "mini" / ".sercourse-fetch.json").write_bytes(receipt)
    with pytest.raises(FileExistsError, match="holds files of something else"):
        fetch.fetch("mini", to=tmp_path / "mini", registry=registry(server))


def test_a_full_disk_keeps_the_archive_and_is_named(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: zipfile.ZipFile, path: Path, members: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path / "Actor_01"))

    with monkeypatch.context() as patched:
        patched.setattr(zipfile.ZipFile, "extractall", full)
        with pytest.raises(OSError, match=r"No space left on device.*mini'"):
            fetch.fetch("mini", to=tmp_path / "mini", registry=registry(server))
    assert (visible(tmp_path), downloads()) == ([], ["mini.zip"])
    fetch.fetch("mini", to=tmp_path / "mini", registry=registry(server))
    assert len(server.requests) == 1


def test_an_empty_folder_is_filled(server: Server, tmp_path: Path) -> None:
    (tmp_path / "mini").mkdir()
    fetch.fetch("mini", to=tmp_path / "mini", registry=registry(server))
    assert (tmp_path / "mini" / "readme.txt").exists()


def test_a_folder_with_files_is_left_alone(server: Server, tmp_path: Path) -> None:
    (tmp_path / "mini").mkdir()
    (tmp_path / "mini" / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="give another folder"):
        fetch.fetch("mini", to=tmp_path / "mini", registry=registry(server))
    assert server.requests == []


def test_a_corpus_is_not_taken_for_another(server: Server, tmp_path: Path) -> None:
    both = registry(server) | {"other": registry(server, name="other")["mini"]}
    fetch.fetch("mini", to=tmp_path / "mini", registry=both)
    with pytest.raises(FileExistsError):
        fetch.fetch("other", to=tmp_path / "mini", registry=both)


def test_a_corpus_that_cannot_be_downloaded_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match=r"aesdd cannot be downloaded .* file locker"):
        fetch.fetch("aesdd", to=tmp_path / "aesdd")


def test_unknown_name(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="use one of ravdess, ravdess-song, aesdd, emodb"):
        fetch.fetch("iemocap", to=tmp_path)


def test_the_registry_says_what_is_needed() -> None:
    for name, download in fetch.REGISTRY.items():
        assert download.name == name
        assert download.licence
        assert download.cite
        assert (download.url is None) == bool(download.how)
        kind, _, digits = (download.checksum or "sha256:" + "0" * 64).partition(":")
        assert len(digits) == 2 * hashlib.new(kind).digest_size
