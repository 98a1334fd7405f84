"""What differs between systems, as far as it can be seen on one: encodings, line ends, Pythons."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from conftest import posix
from sercourse import bundles, course, files
from sercourse.experiment import training

CLIP = "data/sample/ravdess/Actor_01/03-01-05-01-01-01-01.ogg"


def test_json_is_utf8_in_a_pipe_of_any_system(tmp_path: Path) -> None:
    shutil.copy(files.home() / CLIP, tmp_path / "θυμός.ogg")
    argv = [sys.executable, "-m", "sercourse", "predict", "θυμός.ogg", "--json"]
    variables = os.environ | {"PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"}  # as on Windows
    done = subprocess.run(argv, cwd=tmp_path, env=variables, capture_output=True, check=True)
    assert "θυμός.ogg" in json.dumps(json.loads(done.stdout.decode("utf-8")), ensure_ascii=False)


def test_files_of_a_bundle_end_their_lines_alike_and_git_leaves_them_alone(root: Path) -> None:
    attributes = (root / ".gitattributes").read_text("utf-8").splitlines()
    assert attributes[-1] == "models/** -text"
    texts = [
        path
        for folder in bundles.available()
        for path in folder.iterdir()
        if path.suffix in (".csv", ".json", ".md")
    ]
    assert texts
    assert not [path for path in texts if b"\r" in path.read_bytes()]


def test_a_bundle_is_the_same_where_the_system_ends_lines_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "linesep", "\r\n")  # what pandas takes unless it is told
    import pandas as pd

    assert "\r" not in training.csv(pd.DataFrame({"a": [0.5], "b": ["x"]}))


def unencoded(code: str) -> list[int]:
    """Return the lines that read or write text in an encoding that the system chooses."""
    lines = []
    for node in ast.walk(ast.parse(code)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        given = [*node.args, *(each.value for each in node.keywords)]
        words = [each.value for each in given if isinstance(each, ast.Constant)]
        text = node.func.attr in ("read_text", "write_text")
        opened = node.func.attr == "open" and {"r", "w", "a", "x"} & set(words)
        if (text or opened) and not {"utf-8", "utf-8-sig"} & set(words):
            lines.append(node.lineno)
    return lines


def test_text_is_read_and_written_as_utf8(root: Path) -> None:
    assert unencoded("path.read_text()\npath.open('w')\npath.read_text('utf-8')") == [1, 2]
    sources = [*(root / "sercourse").rglob("*.py"), *(root / "tools").rglob("*.py")]
    found = {path: lines for path in sources if (lines := unencoded(path.read_text("utf-8")))}
    assert found == {}


def test_lessons_that_need_keras_are_named_where_it_cannot_be_had(root: Path) -> None:
    code = {
        path.stem.partition("_")[0]: "\n".join(
            cell.source for cell in course.code_cells(course.read(path))
        )
        for path in course.lessons()
    }
    *some, last = [
        n for n in sorted(code) if re.search(r"keras|\bnetworks(\.(?!csv)| import)", code[n])
    ]
    named = f"lessons {', '.join(some)} and {last} "
    for page in ("docs/platforms.md", "docs/troubleshooting.md", "environment-intel-mac.yml"):
        assert named in " ".join((root / page).read_text("utf-8").split()), page


def test_bounds_of_conda_are_those_of_the_project(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["colab"]]
    wanted += project["optional-dependencies"]["train"]
    bounds = {each.name: each.specifier for each in map(Requirement, wanted)}
    asked = yaml.safe_load((root / "environment-intel-mac.yml").read_text("utf-8"))["dependencies"]
    held = [Requirement(each.replace("-base", "")) for each in asked if isinstance(each, str)]
    assert {each.name for each in held if bounds.get(each.name) == each.specifier} >= {
        "numpy",
        "scipy",
        "pandas",
        "scikit-learn",
        "librosa",
        "onnx",
        "onnxruntime",
        "matplotlib",
    }


@posix
@pytest.mark.parametrize("other", ["3.12", ""])
def test_make_takes_another_python_where_python3_is_too_new(
    root: Path, tmp_path: Path, other: str
) -> None:
    """Stand-ins say which Python they are; that of the right version is asked for a venv."""
    for name, version in {"python3": "3.14", f"python{other}": other}.items():
        if version:
            script = tmp_path / name
            script.write_text(
                f"#!/bin/sh\ncase $2 in *version_info*) echo {version} ;; venv) exit 9 ;; esac\n"
            )
            script.chmod(0o755)
    command = ["/bin/bash", "tools/bootstrap.sh", "python3", str(tmp_path / "venv")]
    done = subprocess.run(
        command, cwd=root, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    if other:
        assert f"python3 is Python 3.14: python{other} is taken instead" in done.stdout
        assert done.returncode == 9
    else:
        assert "'python3' is Python 3.14, and 3.11, 3.12 or 3.13 is needed" in done.stderr
        assert done.returncode == 1
