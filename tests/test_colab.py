"""The first cells of every lesson on an imitated Colab: its folder, its module, its packages."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import colab
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from sercourse import course

ROOT = Path(__file__).resolve().parent.parent
KERNEL = ROOT / "tests" / "colab_kernel.py"
CHANGED = {
    "scikit-learn": "1.8 brought temperature scaling, and Colab has 1.6",
    "keras": "the stored networks need 3.15, and Colab has 3.13",
}
"""Packages of Colab that the course replaces, each with the reason."""


def first_cells(path: Path) -> list[str]:
    """Return the sources of the cell that prepares Colab and of the imports."""
    cells = [cell for cell in course.read(path).cells if cell.cell_type == "code"]
    assert [list(course.tags(cell)) for cell in cells[:2]] == [["bootstrap"], ["setup"]]
    return [cell.source for cell in cells[:2]]


@pytest.fixture
def content(tmp_path: Path) -> Path:
    """Return a folder that stands for Colab's /content, where a fake pip notes its calls."""
    if not shutil.which("git") or not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout, and Colab clones one")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "pip.py").write_text(
        "import os, pathlib, sys\n"
        "with pathlib.Path(os.environ['PIP_LOG']).open('a') as log:\n"
        "    print(*sys.argv[1:], file=log)\n"
    )
    (tmp_path / "content").mkdir()
    return tmp_path / "content"


def kernel(content: Path, lessons: list[Path], *, missing: str = "") -> list[str]:
    """Run the first cells of lessons in a fresh process, and return the calls of pip."""
    log = content.parent / "pip.log"
    log.write_text("")
    sources = {path.name: first_cells(path) for path in lessons}
    own = {
        "PYTHONPATH": str(content.parent / "bin"),
        "PIP_LOG": str(log),
        "MPLBACKEND": "agg",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        # git takes this checkout for the published repository
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{ROOT.as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": colab.address(),
    }
    done = subprocess.run(
        [sys.executable, str(KERNEL), json.dumps(sources), str(content), missing],
        cwd=content,
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return log.read_text().splitlines()


@pytest.mark.notebook
def test_first_cells_of_every_lesson_run_twice(content: Path) -> None:
    assert kernel(content, course.lessons()) == []  # nothing is missing here, so nothing installed
    assert (content / "sercourse" / "pyproject.toml").is_file()


def test_what_is_missing_is_installed_and_a_restarted_kernel_goes_on(content: Path) -> None:
    lesson = course.lessons()[:1]
    protobuf = f"protobuf=={metadata.version('protobuf')}"
    call = f"install -q {protobuf} -e {content / 'sercourse'}[colab,networks]"
    assert kernel(content, lesson, missing="jupyterquiz") == [call, call]
    assert kernel(content, lesson) == []  # after a restart, in the clone that is there


def requirements(*extras: str) -> list[Requirement]:
    """Return what the course asks for with some extras, those of its own extras included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    asked = list(project["dependencies"])
    for extra in extras:
        asked += project["optional-dependencies"][extra]
    own = [Requirement(each).extras for each in asked if each.startswith("sercourse[")]
    inner = requirements(*{extra for each in own for extra in each}) if own else []
    return [Requirement(each) for each in asked if not each.startswith("sercourse[")] + inner


def there() -> dict[str, str]:
    """Return the versions that Colab has, by canonical name."""
    lines = (ROOT / "tests" / "colab-packages.txt").read_text("utf-8").splitlines()
    pairs = (line.split("==") for line in lines if not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in pairs}


def test_the_course_replaces_none_of_colabs_packages_but_those_named() -> None:
    has = there()
    asked = {canonicalize_name(each.name): each for each in requirements("colab", "networks")}
    refused = {n for n, each in asked.items() if n in has and has[n] not in each.specifier}
    assert refused == set(CHANGED)
    jupyter = {"ipython", "ipykernel", "jupyterlab", "notebook", "traitlets", "protobuf"}
    assert not jupyter & set(asked)
    assert {"ipython", "ipykernel", "jupyterlab"} <= {r.name for r in requirements("lessons")}


def test_pip_finds_versions_that_leave_colabs_packages_alone(tmp_path: Path) -> None:
    if not os.environ.get("SERCOURSE_NETWORK"):
        pytest.skip("SERCOURSE_NETWORK is not set: pip would ask the package index")
    if sys.version_info[:2] != (3, 12):
        pytest.skip("the list is of Python 3.12, and pip resolves for the Python that it runs in")
    has, report = there(), tmp_path / "report.json"
    (tmp_path / "has.txt").write_text(
        "\n".join(f"{name}=={version}" for name, version in has.items() if name not in CHANGED)
    )
    asked = [str(each) for each in requirements("colab", "networks")]
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet"]
    command += ["--report", str(report), "-c", str(tmp_path / "has.txt")]
    command += ["--only-binary", ":all:"]
    subprocess.run([*command, *asked], check=True)
    chosen = {
        canonicalize_name(each["metadata"]["name"]): each["metadata"]["version"]
        for each in json.loads(report.read_text("utf-8"))["install"]
    }
    assert {name for name in chosen if name in has and chosen[name] != has[name]} == set(CHANGED)


def test_address_and_cell_are_the_same_everywhere() -> None:
    assert colab.main(["--check"]) == 0
    cells = {first_cells(path)[0] for path in course.lessons()}
    assert cells == {colab.CELL.read_text("utf-8").strip()}


def test_another_address_leaves_no_lesson_stale(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "tools").mkdir()
    shutil.copy(colab.CELL, tmp_path / "tools")
    for path in course.lessons()[:2]:
        (tmp_path / "notebooks").mkdir(exist_ok=True)
        shutil.copy(path, tmp_path / "notebooks")
    project = tmp_path / "pyproject.toml"
    mine = colab.address().replace("github.com/", "github.com/someone-")
    project.write_text(project.read_text("utf-8").replace(colab.address(), mine), "utf-8")
    changed = colab.changed(tmp_path, write=True)
    copies = course.lessons(tmp_path / "notebooks")
    assert set(changed) == {tmp_path / "README.md", tmp_path / "tools" / "colab_cell.py", *copies}
    for copy, lesson in zip(copies, course.lessons()[:2], strict=True):
        assert course.code_hash(course.read(copy)) == course.code_hash(course.read(lesson))
    assert mine in first_cells(copies[0])[0]
    assert f"github/{mine.partition('.com/')[2]}/blob" in course.read(copies[0]).cells[0].source
    assert colab.changed(tmp_path, write=False) == []


def test_a_lesson_without_the_cell_gets_it_before_its_imports() -> None:
    cells = [new_markdown_cell("# 01"), new_code_cell("import os")]
    notebook = new_notebook(cells=cells)
    for _ in range(2):  # once more changes nothing
        colab.prepare(notebook, cell="pass\n", repository="https://github.com/a/b")
        assert [cell.source for cell in notebook.cells] == ["# 01", "pass", "import os"]
    assert course.code_hash(notebook) == course.code_hash(new_notebook(cells=cells))
    nbformat.validate(notebook)
    assert not re.search("bootstrap", json.dumps(cells))
