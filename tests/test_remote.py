"""Recordings that lie elsewhere are read through one door, and named by their address."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from conftest import Command
from sercourse import audio, corpora, files, live, remote
from sercourse.features import contents, feature_table, named

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def bucket(sample_aesdd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return the address of a folder in memory: eight clips, one that is broken, and a text."""
    monkeypatch.setenv("SERCOURSE_CACHE", str(tmp_path / "cache"))
    memory = fsspec.filesystem("memory")
    for emotion in ("happiness", "sadness"):
        for path in sorted((sample_aesdd / emotion).glob("*.ogg"))[:4]:
            memory.pipe(f"/bucket/aesdd/{emotion}/{path.name}", path.read_bytes())
    memory.pipe("/bucket/aesdd/happiness/h09 (9).wav", b"RIFF")
    memory.pipe("/bucket/aesdd/readme.txt", b"text")
    yield "memory://bucket/aesdd"
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]


def download(url: str, folder: Path) -> Path:
    fsspec.filesystem("memory").get(url.removeprefix("memory:/"), str(folder), recursive=True)
    return folder


def test_a_corpus_elsewhere_is_as_one_here(bucket: str, tmp_path: Path) -> None:
    there = corpora.scan(f"{bucket}/", corpus="aesdd")
    here = corpora.scan(download(bucket, tmp_path / "here"), corpus="aesdd")
    columns = [name for name in here.clips if name != "path"]
    pd.testing.assert_frame_equal(there.clips[columns], here.clips[columns])
    assert there.notes == here.notes
    first = str(here.clips["path"][0])
    assert there.clips["path"][0] == bucket + first.removeprefix(str(tmp_path / "here"))
    assert there.rejects.to_numpy().tolist() == [
        [f"{bucket}/happiness/h09 (9).wav", here.rejects["reason"][0]]
    ]
    tables = [
        feature_table(each.clips.drop(columns="content"), feature_set=named("statistics"))
        for each in (there, here)
    ]
    np.testing.assert_array_equal(tables[0].X, tables[1].X)


def test_addresses_of_local_files_are_local_files(sample_aesdd: Path, tmp_path: Path) -> None:
    found = corpora.scan(sample_aesdd.as_uri(), corpus="aesdd")
    pd.testing.assert_frame_equal(found.clips, corpora.scan(sample_aesdd, corpus="aesdd").clips)
    assert not (files.cache_dir() / "remote" / "file-").exists()


def test_a_change_is_noticed_and_nothing_else_is_fetched_twice(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = corpora.scan(bucket, corpus="aesdd").clips["path"][0]
    memory, opened = fsspec.filesystem("memory"), []
    original = type(memory).open

    def counting(self: Any, path: str, *args: Any, **more: Any) -> Any:
        opened.append(path)
        return original(self, path, *args, **more)

    monkeypatch.setattr(type(memory), "open", counting)
    before = audio.read(url, sr=16_000)
    corpora.scan(bucket, corpus="aesdd")
    assert opened == []
    key, *_, other = sorted(each for each in memory.find("/bucket") if each.endswith(".ogg"))
    assert url.endswith(key)
    memory.pipe(key, memory.cat(other))
    opened.clear()
    assert len(audio.read(url, sr=16_000)) != len(before)
    assert len(opened) == 1


def test_what_was_renamed_there_is_no_clip_under_its_old_name(bucket: str) -> None:
    before = corpora.scan(bucket, corpus="aesdd").clips
    old = before["path"][0].removeprefix("memory:/")
    new = old.replace("happiness/h0", "happiness/a9")
    fsspec.filesystem("memory").mv(old, new)
    after = corpora.scan(bucket, corpus="aesdd").clips
    assert len(after) == len(before)
    assert f"memory:/{new}" in set(after["path"])
    assert f"memory:/{old}" not in set(after["path"])


def test_answers_name_addresses_and_are_those_of_local_files(
    command: Command, bucket: str, tmp_path: Path
) -> None:
    found = {}
    for name, place in (("there", bucket), ("here", download(bucket, tmp_path / "here"))):
        words = ["predict", place, "--model", "ravdess-svm", "--out", tmp_path / f"{name}.csv"]
        done = command(*words)
        assert done.status == 1
        assert "h09 (9).wav: truncated header" in done.err
        found[name] = pd.read_csv(tmp_path / f"{name}.csv")
    assert found["there"]["path"].str.startswith(f"{bucket}/happiness/h").sum() == 4
    pd.testing.assert_frame_equal(*(each.drop(columns="path") for each in found.values()))
    one = found["there"]["path"][0]
    assert command("predict", one, "--model", "ravdess-svm").out.startswith(f"{one}  ")


def test_what_cannot_be_reached_is_one_sentence(
    command: Command, refuse: Callable[..., str], bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = ["scan", "--corpus", "aesdd"]
    assert "memory://nowhere: no such file, folder or bucket" in refuse(*scan, "memory://nowhere")
    assert "foo://a/b: cannot be read (ValueError: Protocol not known" in refuse(*scan, "foo://a/b")
    assert "is no address of a file or folder" in refuse(*scan, "memory://bucket/../x")
    sentence = refuse("predict", bucket, "--out", "memory://bucket/out.csv")
    assert "only recordings may lie elsewhere; name a file of this machine" in sentence

    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Forbidden")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "info", forbidden)
    wanted = f"{bucket}: cannot be read (PermissionError: [Errno 13] Forbidden): check the address"
    assert wanted in refuse(*scan, bucket)
    done = command("predict", bucket)
    assert (done.status, done.err.strip()[-20:]) == (1, "and your credentials")


@pytest.mark.parametrize("module", ["fsspec", "distributed"])
def test_what_is_not_installed_is_named(module: str, sample_aesdd: Path) -> None:
    words = ["scan", "memory://bucket", "--corpus", "aesdd"]
    if module == "distributed":
        words = ["predict", str(next(sample_aesdd.rglob("*.ogg"))), "--cluster", "tcp://host:1"]
    code = f"""
import sys
class Missing:
    def find_spec(self, name, *_):
        if name == {module!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
from sercourse.cli import main
sys.exit(main({words!r}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"this needs {module}, which is not installed: pip install 'sercourse[cluster]'" in (
        done.stderr
    )


def test_a_full_disk_is_called_so(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(remote.shutil, "copyfileobj", full)
    with pytest.raises(OSError, match="cannot be written") as caught:
        corpora.scan(bucket, corpus="aesdd")
    assert caught.value.errno == errno.ENOSPC
    assert not [each for each in (files.cache_dir() / "remote").rglob("*") if each.is_file()]


def test_a_file_elsewhere_that_changes_has_another_key(bucket: str) -> None:
    memory = fsspec.filesystem("memory")
    first, second = sorted(memory.glob("/bucket/aesdd/*/*.ogg"))[:2]
    table = pd.DataFrame({"path": [f"memory:/{first}"]})
    before = contents(table)
    memory.pipe(first, memory.cat(second))
    assert contents(table) == contents(table.assign(path=f"memory:/{second}")) != before
    assert contents(table.assign(path="memory://nowhere/a.wav"))  # refused later, with a sentence


def test_a_source_may_be_elsewhere(bucket: str) -> None:
    memory = fsspec.filesystem("memory")
    path = f"memory:/{sorted(memory.glob('/bucket/aesdd/*/*.ogg'))[0]}"
    heard = np.concatenate(list(live.FileSource(path, sr=16_000).blocks()))
    assert np.array_equal(heard, audio.read(path, sr=16_000))
