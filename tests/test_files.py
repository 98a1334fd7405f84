"""File helpers: nothing is half written, and errors name the file that was wanted."""

from __future__ import annotations

import copy
import ctypes
import dataclasses
import errno
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import platformdirs
import pytest
from numpy.random import RandomState
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.ensemble import VotingClassifier
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC

from conftest import posix
from sercourse import files

if sys.platform != "win32":
    import fcntl

CAPTURED: dict[str, Any] = {"capture_output": True, "text": True, "check": True}


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


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="no file system of the kernel")
def test_a_folder_that_takes_no_file_is_refused_before_the_work() -> None:
    with pytest.raises(OSError, match="cannot be written"):
        files.refuse_unwritable_file("/sys/kernel/a.csv")


def test_folders_on_the_way_are_made(tmp_path: Path) -> None:
    files.write_json(tmp_path / "a" / "b" / "c.json", 1)
    files.refuse_unwritable_file(tmp_path / "d" / "e" / "f.csv")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "b", "c.json", "d", "e"]


def voting(last: Any, n_members: int = 7) -> VotingClassifier:
    members = [(f"member{k}", SVC(C=k + 1)) for k in range(n_members - 1)]
    return VotingClassifier([*members, ("last", last)])


def scaled(factor: float) -> Callable[[Any], Any]:
    return lambda X: factor * X


def recursive(step: int) -> Callable[[int], int]:
    def count(n: int) -> int:
        return 0 if n <= 0 else step + count(n - step)

    return count


@dataclasses.dataclass(frozen=True)
class Setting:
    name: str


def local_class(step: int) -> type:
    if step == 1:

        class Count:
            def next(self, n: int) -> int:
                return n + 1

        return Count

    class Count:  # type: ignore[no-redef]
        def next(self, n: int) -> int:
            return n - 1

    return Count


def of_a_notebook(code: str) -> Any:
    defined: dict[str, Any] = {"__name__": "__main__"}
    exec(code, defined)
    return defined["f"]


class Scaler(StandardScaler):
    """Another class of the same name, for the text of an estimator is the same."""


Scaler.__name__ = Scaler.__qualname__ = "StandardScaler"

PAIRS: dict[str, tuple[Any, Any]] = {
    "the seventh member": (voting(SVC(C=7)), voting(SVC(C=8))),
    "the fortieth member": (voting(SVC(C=7), 40), voting(SVC(C=8), 40)),
    "a member inside a member": (voting(voting(SVC())), voting(voting(SVC(gamma=0.1)))),
    "a long list": (MLPClassifier([9] * 50 + [1]), MLPClassifier([9] * 50 + [2])),
    "a long array": (GaussianNB(priors=np.arange(2e3)), GaussianNB(priors=np.arange(2e3)[::-1])),
    "a type": (StandardScaler(), Scaler()),
    "a step that is switched off": (make_pipeline(None, SVC()), make_pipeline(PCA(), SVC())),
    "a function": (FunctionTransformer(np.log1p), FunctionTransformer(np.sqrt)),
    "a lambda": (FunctionTransformer(lambda X: X + 1), FunctionTransformer(lambda X: X + 2)),
    "what a function remembers": (FunctionTransformer(scaled(1)), FunctionTransformer(scaled(2))),
    "a function that calls itself": (recursive(1), recursive(2)),
    "a function of a notebook": (
        of_a_notebook("def f(x): return x + 1"),
        of_a_notebook("def f(x): return x + 2"),
    ),
    "a column": (pd.Series([1.0, 2.0]), pd.Series([1.0, 3.0])),
    "a name that is no text": ("\udcff", "\udcfe"),
    "arguments": (partial(pow, 2), partial(pow, 3)),
    "weights by number": (SVC(class_weight={0: 1, 1: 2}), SVC(class_weight={0: 1, 1: 3})),
    "weights by NumPy's number": (SVC(class_weight={np.int64(0): 1}), SVC(class_weight={0: 2})),
    "a generator": (SVC(random_state=RandomState(1)), SVC(random_state=RandomState(2))),
    "how clips are divided": (GridSearchCV(SVC(), {}, cv=KFold(3)), GridSearchCV(SVC(), {}, cv=3)),
    "numbers": (np.zeros(3), np.zeros(4)),
    "names in no order": ({"a", "b"}, {"a", "c"}),
    "settings": (Setting("a"), Setting("b")),
    "the code of a class": (local_class(1), local_class(2)),
    "a number's type": (True, "True"),
}


@pytest.mark.parametrize("what", PAIRS)
def test_keys_tell_what_texts_leave_out(what: str) -> None:
    one, other = PAIRS[what]
    assert files.digest(one) != files.digest(other)
    assert files.digest(one) == files.digest(copy.deepcopy(one))


def test_keys_are_the_same_in_another_process() -> None:
    code = "import test_files as t; print([t.files.digest(each) for each in t.PAIRS.values()])"
    here, seed = Path(__file__).parent, {"PYTHONHASHSEED": "1"}  # that of this process is drawn
    argv = [sys.executable, "-c", code]
    said = subprocess.run(argv, cwd=here, env={**os.environ, **seed}, **CAPTURED).stdout
    assert said == f"{[files.digest(each) for each in PAIRS.values()]}\n"


def test_what_is_equal_has_one_key_of_sixteen_letters() -> None:
    X, texts = np.arange(6.0).reshape(2, 3), ["ab", None]
    equal = {
        "arrays": (X, np.asfortranarray(X)),
        "texts": (np.array(texts, object), np.array(["".join("ab"), None], object)),
        "partial": (partial(max, key=lambda x: -x), partial(max, key=lambda x: -x)),
        "sets": ({"a", "b", "c"}, {"c", "b", "a"}),
    }
    for name, (one, other) in equal.items():
        assert files.digest(one) == files.digest(other), name
        assert len(files.digest(one)) == 16
    assert files.digest(np.array(["x", None], object)) != files.digest(np.array(texts, object))
    assert files.digest({"a"}) != files.digest({"b"})


class Weighted(BaseEstimator):
    def __init__(self, inner: Any = None, weights: Any = None) -> None:
        self.inner, self.weights = inner, weights


KEYS: dict[str, Any] = {
    "JSON": {"name": "Zo\u00eb", "b": [1, 2.5, None, True], "a": {"x": "", "c": ()}},
    "numbers of a key": {1: "one", 0: "none"},
    "an array": np.arange(6.0).reshape(2, 3),
    "texts": np.array(["a", None], object),
    "a set": {"a", "b"},
    "a function of a module": files.versions,
    "a class": Setting,
    "settings": Setting("a"),
    "an estimator": Weighted(Weighted(weights={0: 2.0}), [1, 2]),
    "a partial function": partial(files.versions, "numpy"),
}


def test_keys_of_what_is_stored_stay_as_they_are() -> None:
    """Keys name what is in the caches of users: where they change, all of it is computed anew."""
    assert {name: files.digest(each) for name, each in KEYS.items()} == {
        "JSON": "475bbb859af5f6c4",
        "numbers of a key": "d0214b12607b1b98",
        "an array": "30a19503bdca9f15",
        "texts": "d425d7f65900e894",
        "a set": "f2efffa9e20bf2ac",
        "a function of a module": "ef625ca845bc0dc7",
        "a class": "e87837022b48d1e1",
        "settings": "4fbb328debdaf1a1",
        "an estimator": "d4b2441a417894a6",
        "a partial function": "fe5ab206646e7397",
    }


def test_hashes_of_files_are_those_of_the_standards(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1; BLAKE2b of 16 bytes as `b2sum --length 128` prints it.
    sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert files.content_hash(tmp_path / "abc") == sha256
    assert files.clip_key(tmp_path / "abc") == "cf4ab791c62b8d2b2109c90275287816"


def test_versions_are_those_that_are_installed() -> None:
    assert files.versions("numpy", "no-such-library", "pandas") == {
        "numpy": np.__version__,
        "no-such-library": "",
        "pandas": pd.__version__,
    }


def test_json_is_text_in_utf_8(tmp_path: Path) -> None:
    files.write_json(tmp_path / "a.json", {"name": "Zo\u00eb"})
    assert (tmp_path / "a.json").read_text("utf-8") == '{\n "name": "Zo\u00eb"\n}\n'


def test_what_cannot_be_told_is_never_found_again() -> None:
    around: list[Any] = []
    around.append(around)
    for each in (around, FunctionTransformer(threading.Lock()), threading.Lock()):
        assert files.digest(each) != files.digest(each)


def test_home_without_the_project_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERCOURSE_HOME", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="clone the project"):
        files.home()


def test_a_package_without_the_samples_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models" / "speech-encoder").mkdir(parents=True)
    monkeypatch.setenv("SERCOURSE_HOME", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="an installed package brings the default model"):
        files.in_project("data", "sample")


def test_what_is_protected_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (mine := tmp_path / "thesis.csv").write_text("mine")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # to root everything is open
    with pytest.raises(PermissionError, match="is protected from writing"):
        files.refuse_unwritable_file(mine)


@pytest.fixture
def without_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for a system on which two folders cannot change names in one step."""
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())


@pytest.mark.usefixtures("without_exchange")
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


def replaced(folder: Path, text: str) -> None:
    with files.atomic_folder(folder, replaces="mark") as temporary:
        (temporary / "mark").write_text(text)


@pytest.mark.usefixtures("without_exchange")
def test_a_folder_is_replaced_where_two_cannot_change_names(tmp_path: Path) -> None:
    for text in ("old", "new"):
        replaced(tmp_path / "a", text)
    assert (tmp_path / "a" / "mark").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    replaced(tmp_path / ".a-replaced", "of a run that was killed at its very end")
    files.put_back(tmp_path / "a")
    assert (tmp_path / "a" / "mark").read_text() == "new"
    replaced(tmp_path / "a", "newer")
    assert (tmp_path / "a" / "mark").read_text() == "newer"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.usefixtures("without_exchange")
def test_a_file_is_replaced_in_one_step_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.write_json(tmp_path / "a.json", 1)
    targets, replace = [], Path.replace

    def logged(self: Path, target: Path) -> Path:
        targets.append(target)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", logged)
    files.write_json(tmp_path / "a.json", 2)
    assert targets == [tmp_path / "a.json"]


def test_a_folder_that_a_killed_run_had_moved_is_there_while_it_is_made_anew(
    tmp_path: Path,
) -> None:
    replaced(tmp_path / ".a-replaced", "old")
    with files.atomic_folder(tmp_path / "a", replaces="mark") as temporary:
        assert (tmp_path / "a" / "mark").read_text() == "old"
        (temporary / "mark").write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_folder_of_something_else_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "letter").write_text("mine")
    with pytest.raises(FileExistsError, match="a exists and holds no mark"):
        replaced(tmp_path / "a", "new")
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "letter"]


@posix
def test_a_temporary_folder_that_another_process_sweeps_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one finds it before it is locked, locks it, and needs a while to delete it."""
    sweeps, mkdtemp = [], tempfile.mkdtemp

    def found_by_another(**told: Any) -> str:
        folder = mkdtemp(**told)
        if not sweeps:
            lock = os.open(folder, os.O_RDONLY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            sweeps.append(threading.Timer(0.3, lambda: (Path(folder).rmdir(), os.close(lock))))
            sweeps[0].start()
        return folder

    monkeypatch.setattr(tempfile, "mkdtemp", found_by_another)
    with files.atomic_path(tmp_path / "a.txt") as temporary:
        sweeps[0].join()
        temporary.write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


@posix
def test_files_are_written_where_there_are_no_locks_and_none_stays_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_open = len(os.listdir("/dev/fd"))  # noqa: PTH208
    files.write_json(tmp_path / "a.json", 1)
    assert len(os.listdir("/dev/fd")) == n_open  # noqa: PTH208

    def refuse(lock: int, how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    files.write_json(tmp_path / "a.json", 2)
    assert (tmp_path / "a.json").read_text() == "2\n"
    assert len(os.listdir("/dev/fd")) == n_open  # noqa: PTH208


KILLED = """
import ctypes, os, shutil, sys
from pathlib import Path
from sercourse import files

folder, moment = Path(sys.argv[1]), sys.argv[2]
die = lambda *args, **kwargs: os._exit(9)
replace = Path.replace
if moment == "between renames":
    ctypes.CDLL = lambda name: object()
    Path.replace = lambda self, to: replace(self, to) if self == folder else die()
elif moment == "after the exchange":
    shutil.rmtree = die
with files.atomic_folder(folder, replaces="mark") as temporary:
    (temporary / "mark").write_text("new")
    if moment == "while writing":
        die()
"""


@pytest.mark.parametrize(
    ("moment", "left"),
    [("while writing", "old"), ("between renames", "old"), ("after the exchange", "new")],
)
def test_a_killed_replacement_leaves_one_whole_folder_and_the_next_cleans_up(
    tmp_path: Path, moment: str, left: str
) -> None:
    folder = tmp_path / "a"
    replaced(folder, "old")
    told = [sys.executable, "-c", KILLED, str(folder), moment]
    assert subprocess.run(told, check=False).returncode == 9
    files.put_back(folder)
    assert (folder / "mark").read_text() == left
    assert len(list(tmp_path.iterdir())) == 2, "nothing to clean up: the test has no point"
    again = [sys.executable, "-c", KILLED, str(folder), "never"]
    subprocess.run(again, check=True)
    assert (folder / "mark").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_temporary_files_of_killed_runs_go_and_those_in_use_stay(tmp_path: Path) -> None:
    killed = (
        "import os, sys\nfrom sercourse import files\n"
        "with files.atomic_path(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('half'); os._exit(9)"
    )
    whole = killed.replace("; os._exit(9)", "")
    subprocess.run([sys.executable, "-c", killed, tmp_path / "a.txt"], check=False)
    (rest,) = tmp_path.iterdir()
    with files.atomic_path(tmp_path / "b.txt") as in_use:
        subprocess.run([sys.executable, "-c", killed, tmp_path / "a.txt"], check=False)
        subprocess.run([sys.executable, "-c", whole, tmp_path / "a.txt"], check=True)
        assert not rest.exists()
        assert {path.name for path in tmp_path.iterdir()} == {"a.txt", in_use.parent.name}
        in_use.write_text("whole")
    assert {path.name for path in tmp_path.iterdir()} == {"a.txt", "b.txt"}


def test_every_flipped_bit_of_a_sealed_file_is_noticed(tmp_path: Path) -> None:
    file, content = tmp_path / "a.json", {"speaker": "Zo\u00eb", "probabilities": [[0.1, 1e-05]]}
    files.write_sealed(file, content)
    whole = file.read_bytes()
    assert files.read_sealed(file) == content
    assert "Zo\u00eb" in whole.decode("utf-8")
    assert json.loads(whole) == {"sha256": json.loads(whole)["sha256"], **content}
    for bit in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        file.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"a\.json has changed since it was written"):
            files.read_sealed(file)


def test_a_folder_of_something_else_is_refused_before_the_work(tmp_path: Path) -> None:
    files.refuse_unwritable(tmp_path / "new", replaces="mark")
    (tmp_path / "empty").mkdir()
    files.refuse_unwritable(tmp_path / "empty", replaces="mark")
    (tmp_path / "begun" / f"{files.TEMPORARY}a").mkdir(parents=True)  # of a run at the same time
    files.refuse_unwritable(tmp_path / "begun", replaces="mark")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter").touch()
    (tmp_path / "file").touch()
    for name in ("other", "file"):
        with pytest.raises(FileExistsError, match=f"{name} exists and holds no mark: nothing is"):
            files.refuse_unwritable(tmp_path / name, replaces="mark")
    (tmp_path / "other" / "mark").touch()
    files.refuse_unwritable(tmp_path / "other", replaces="mark")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["begun", "empty", "file", "other"]


def test_an_error_names_the_file_that_was_wanted_or_the_other_that_failed(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as found, files.atomic_path(tmp_path / "a"):
        (tmp_path / "other").read_bytes()
    assert found.value.filename == str(tmp_path / "other")
    with (
        pytest.raises(OSError, match="cannot be written") as found,
        files.atomic_path(tmp_path / "a") as temporary,
    ):
        raise OSError(errno.EIO, "Input/output error", str(temporary))
    assert found.value.filename == str(tmp_path / "a")
    assert not list(tmp_path.iterdir())


def test_a_protected_file_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # as for all users but root
    (tmp_path / "a.csv").touch()
    with pytest.raises(PermissionError, match="is protected from writing"):
        files.refuse_unwritable_file(tmp_path / "a.csv")
    files.refuse_unwritable_file(tmp_path / "b.csv")


def test_a_protected_folder_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name cannot go to another folder: that was found out when the work was done."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mark").touch()
    files.refuse_unwritable(tmp_path / "model", replaces="mark")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # as for all users but root
    with pytest.raises(PermissionError, match="is protected from writing"):
        files.refuse_unwritable(tmp_path / "model", replaces="mark")


def test_a_folder_whose_name_is_too_long_to_be_replaced_is_refused_before_the_work(
    tmp_path: Path,
) -> None:
    with pytest.raises(OSError, match="File name too long"):
        files.refuse_unwritable(tmp_path / ("n" * 250), replaces="mark")
    files.refuse_unwritable(tmp_path / ("n" * 244), replaces="mark")


def test_a_file_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError, match=r"is a folder: give the name of a file"):
        files.refuse_unwritable_file(tmp_path)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError, match="cannot be written") as caught:
        files.refuse_unwritable_file(tmp_path / "file" / "a.csv")
    assert caught.value.filename == str(tmp_path / "file" / "a.csv")
    files.refuse_unwritable_file(tmp_path / "new" / "a.csv")
    assert [path.name for path in (tmp_path / "new").iterdir()] == []


@pytest.fixture(params=[0o022, 0o027, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def permissions(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@posix
def test_permissions_are_those_of_the_umask_or_of_the_old_file(tmp_path: Path, umask: int) -> None:
    files.write_json(tmp_path / "new.json", {})
    assert permissions(tmp_path / "new.json") == 0o666 & ~umask
    with files.atomic_folder(tmp_path / "bundle", replaces="mark") as temporary:
        (temporary / "mark").touch()
    assert permissions(tmp_path / "bundle") == 0o777 & ~umask
    (tmp_path / "new.json").chmod(0o640)
    files.write_json(tmp_path / "new.json", [1])
    assert permissions(tmp_path / "new.json") == 0o640


def test_a_link_stays_one_and_its_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link.json").symlink_to(tmp_path / "there" / "real.json")
    for content in (1, 2):  # a file that is not there yet, and one that is
        files.refuse_unwritable_file(tmp_path / "link.json")
        files.write_json(tmp_path / "link.json", content)
        assert (tmp_path / "link.json").is_symlink()
        assert (tmp_path / "there" / "real.json").read_text() == f"{content}\n"
    with files.atomic_path(tmp_path / "link.json") as temporary:
        assert temporary.parent.parent == tmp_path / "there"  # they may be of two disks
        temporary.touch()
    with (
        pytest.raises(OSError, match=r"cannot be written .*: '.*link\.json'"),
        files.atomic_path(tmp_path / "link.json") as temporary,
    ):
        raise OSError(errno.EIO, "Input/output error", str(temporary))


def test_a_link_to_a_folder_stays_one_and_the_folder_is_replaced(tmp_path: Path) -> None:
    replaced(tmp_path / "real", "old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    replaced(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "mark").read_text() == "new"
    (tmp_path / "real").rename(tmp_path / ".real-replaced")
    files.put_back(tmp_path / "link")
    assert (tmp_path / "link" / "mark").read_text() == "new"


@posix
def test_a_pipe_and_a_device_are_written_into(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_text()))
    reader.start()
    files.refuse_unwritable_file(tmp_path / "pipe")
    files.write_json(tmp_path / "pipe", 7)
    reader.join()
    assert read == ["7\n"]
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    files.write_json("/dev/null", 7)
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has such a device")
def test_a_full_device_is_named() -> None:
    with pytest.raises(OSError, match=r"cannot be written .*: '/dev/full'"):
        files.write_json("/dev/full", 7)


@posix
@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1"])
@pytest.mark.parametrize("redirected", [False, True])
def test_standard_output_gets_what_is_written_there(
    tmp_path: Path, name: str, redirected: bool
) -> None:
    code = f"print('before'); from sercourse import files; files.write_json({name!r}, 7)"
    argv = [sys.executable, "-c", code]
    if redirected:
        with (tmp_path / "out").open("w") as out:
            subprocess.run(argv, stdout=out, check=True)
        said = (tmp_path / "out").read_text()
    else:
        said = subprocess.run(argv, **CAPTURED).stdout
    assert said == "before\n7\n"


@pytest.mark.parametrize("kind", ["itself", "a link", "a hard link", "another way"])
def test_what_is_read_is_not_overwritten(tmp_path: Path, kind: str) -> None:
    source, target = tmp_path / "a.csv", tmp_path / "b.csv"
    source.write_text("mine")
    if kind == "a link":
        target.symlink_to(source)
    elif kind == "a hard link":
        target.hardlink_to(source)
    else:
        target = source if kind == "itself" else tmp_path / ".." / tmp_path.name / "a.csv"
    with pytest.raises(FileExistsError, match="is read here and not overwritten"):
        files.refuse_unwritable_file(target, inputs=[tmp_path / "absent", source])
    files.refuse_unwritable_file(tmp_path / "c.csv", inputs=[source])


def test_home_is_understood_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))  # what Windows calls it
    monkeypatch.setenv("SERCOURSE_CACHE", "~/cache")
    monkeypatch.setenv("SERCOURSE_HOME", "~/project")
    (tmp_path / "project" / "models" / "speech-encoder").mkdir(parents=True)
    assert files.cache_dir() == tmp_path / "cache"
    assert files.home() == tmp_path / "project"
    files.write_json("~/a.json", 1)
    files.refuse_unwritable_file("~/b.json")
    with pytest.raises(FileExistsError, match="project exists and holds no mark"):
        files.refuse_unwritable("~/project", replaces="mark")
    with files.atomic_folder("~/bundle", replaces="mark") as temporary:
        (temporary / "mark").touch()
    assert {path.name for path in tmp_path.iterdir()} == {"a.json", "bundle", "project"}
    assert files.user_path("~no-such-user/a") == Path("~no-such-user/a")


def test_a_full_disk_is_called_one(tmp_path: Path) -> None:
    def fill() -> None:
        with files.atomic_path(tmp_path / "a.csv"):
            raise OSError(errno.ENOSPC, "No space left on device")

    wanted = f"[Errno 28] cannot be written (No space left on device): {str(tmp_path / 'a.csv')!r}"
    with pytest.raises(OSError, match=re.escape(wanted)):
        fill()


@pytest.mark.parametrize("told", [(errno.ENOSPC, "No space left on device"), ("No space left",)])
def test_what_cannot_be_kept_is_a_warning_at_the_line_that_kept_it(told: tuple) -> None:
    with (
        pytest.warns(
            files.NotKept,
            match="^there: results are not kept there for the next time: No space left.*; set SERC",
        ) as caught,
        files.keeping(Path("there")),
    ):
        raise OSError(*told)
    assert caught[0].filename == __file__


def keep(folder: Path, *, size: int, used: float) -> None:
    folder.mkdir(parents=True)
    (folder / "a.row").write_bytes(bytes(size))
    os.utime(folder, (used, used))


def test_what_was_used_longest_ago_leaves_the_cache_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERCOURSE_CACHE", str(tmp_path))
    for name, size, used in (("new", 3_000_000, 30.0), ("old", 2_000_000, 10.0)):
        keep(tmp_path / "features" / name, size=size, used=used)
    keep(tmp_path / "evaluations" / "middle", size=1_000_000, used=20.0)
    assert [each.path.name for each in files.cached()] == ["old", "middle", "new"]
    assert [each.size for each in files.cached()] == [2_000_000, 1_000_000, 3_000_000]
    files.shrink_cache()
    assert len(files.cached()) == 3
    files.shrink_cache(4e6)
    assert [each.path.name for each in files.cached()] == ["middle", "new"]
    monkeypatch.setenv("SERCOURSE_CACHE_MB", "3")
    files.shrink_cache()
    assert [each.path.name for each in files.cached()] == ["new"]
    monkeypatch.setenv("SERCOURSE_CACHE_MB", " ")
    files.shrink_cache()
    assert [each.n_files for each in files.cached()] == [1]
    monkeypatch.setenv("SERCOURSE_CACHE_MB", "much")
    with pytest.raises(ValueError, match="SERCOURSE_CACHE_MB is 'much'"):
        files.shrink_cache()
    (tmp_path / "features" / "empty").mkdir()
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "a.zip").write_bytes(bytes(5))
    (tmp_path / "downloads" / "lost").symlink_to(tmp_path / "nowhere")
    found = {each.path.name: (each.size, each.n_files) for each in files.cached()}
    assert found == {"new": (3_000_000, 1), "empty": (0, 0), "a.zip": (5, 1)}
    files.shrink_cache(0)
    assert files.cached() == []


def test_what_another_run_clears_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERCOURSE_CACHE", str(tmp_path))
    keep(tmp_path / "features" / "a", size=5, used=1.0)
    keep(tmp_path / "features" / "b", size=5, used=2.0)
    kept = files.cached()
    shutil.rmtree(kept[0].path)
    monkeypatch.setattr(files, "cached", lambda: kept)
    files.shrink_cache(0)
    assert list((tmp_path / "features").iterdir()) == []


def test_the_cache_is_where_the_system_keeps_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SERCOURSE_CACHE")
    assert files.cache_dir() == Path(platformdirs.user_cache_dir("sercourse"))


def test_home_is_the_checkout_and_holds_the_samples(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SERCOURSE_HOME", raising=False)
    monkeypatch.chdir("/")
    assert files.home() == root
    assert files.in_project("data", "sample") == root / "data" / "sample"
