"""File helpers: nothing is half written, and errors name the file that was wanted."""

from __future__ import annotations

from pathlib import Path

import pytest

from sercourse import files


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")

    def write_half() -> None:
        with files.atomic_path(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_an_unwritable_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    wanted = tmp_path / "file" / "below"
    with pytest.raises(OSError, match="cannot be written") as caught:
        files.write_json(wanted, {})
    assert caught.value.filename == str(wanted)
    with pytest.raises(OSError, match="cannot be written"):
        files.refuse_unwritable(wanted, replaces="bundle.json")


def test_digest_sees_every_change_but_not_the_order_of_keys() -> None:
    assert files.digest({"a": 1, "b": [1, 2]}) == files.digest({"b": [1, 2], "a": 1})
    assert files.digest({"a": 1, "b": [1, 2]}) != files.digest({"a": 1, "b": [2, 1]})


def test_the_cache_can_be_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERCOURSE_CACHE", str(tmp_path))
    assert files.cache_dir() == tmp_path


def test_home_without_the_project_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERCOURSE_HOME", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="clone the project"):
        files.home()


def test_a_folder_that_cannot_take_its_place_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "mark").write_text("old")
    replace = Path.replace

    def refuse(self: Path, target: Path) -> Path:
        if (self / "mark").is_file() and (self / "mark").read_text() == "new":
            raise PermissionError(13, "Permission denied")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refuse)
    with (
        pytest.raises(OSError, match="cannot be written"),
        files.atomic_folder(tmp_path / "a", replaces="mark") as temporary,
    ):
        (temporary / "mark").write_text("new")
    assert (tmp_path / "a" / "mark").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_file_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError, match=r"is a folder: give the name of a file"):
        files.refuse_unwritable_file(tmp_path)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError, match="cannot be written") as caught:
        files.refuse_unwritable_file(tmp_path / "file" / "a.csv")
    assert caught.value.filename == str(tmp_path / "file" / "a.csv")
    files.refuse_unwritable_file(tmp_path / "new" / "a.csv")
    assert [path.name for path in (tmp_path / "new").iterdir()] == []
