"""What is published: versions, the wheel, workflows, and the links that are known to be fragile."""

from __future__ import annotations

import importlib.metadata
import itertools
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

import sercourse
from sercourse import bundles
from sercourse.cli import build_parser

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
each_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


def test_the_version_is_the_same_everywhere() -> None:
    assert PROJECT["dynamic"] == ["version"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert newest is not None
    assert str(citation["version"]) == newest[1] == sercourse.__version__
    cite = (ROOT / "docs" / "citing.md").read_text("utf-8")
    assert f"version = {{{sercourse.__version__}}}" in cite


def test_the_changes_name_each_command() -> None:
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    (commands,) = (a.choices for a in build_parser()._actions if isinstance(a.choices, dict))
    assert [name for name in commands if f"`{name}`" not in text] == []


def test_citation_has_what_its_format_asks_for() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert {"cff-version", "message", "title", "authors", "version"} <= set(citation)
    assert citation["repository-code"] == PROJECT["urls"]["Repository"]
    assert set(citation["license"]) == set(PROJECT["license"].split(" AND "))


def test_the_licence_is_the_plain_text() -> None:
    text = (ROOT / "LICENSE").read_text("utf-8")
    assert text.startswith("MIT License\n\nCopyright (c) ")
    assert text.endswith("OR THE USE OR OTHER DEALINGS IN THE\nSOFTWARE.\n")


def test_constraints_are_within_the_bounds() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    pinned = {name.lower().replace("_", "-"): version for name, version in pinned.items()}
    extras = PROJECT["optional-dependencies"].values()
    asked = itertools.chain(PROJECT["dependencies"], *extras)
    for each in map(Requirement, asked):
        if each.name != "sercourse":
            assert pinned[each.name.lower()] in each.specifier, each


def test_skl2onnx_still_reads_what_scikit_learn_drops() -> None:
    """If this fails, skl2onnx was mended: the bound on scikit-learn may go."""
    bound = next(each for each in PROJECT["optional-dependencies"]["train"] if "scikit" in each)
    assert Version("1.11") not in Requirement(bound).specifier
    converter = importlib.metadata.distribution("skl2onnx").locate_file(
        "skl2onnx/operator_converters/support_vector_machines.py"
    )
    assert "probA_" in Path(str(converter)).read_text("utf-8")


@pytest.mark.xdist_group("networks")
def test_tf2onnx_still_links_keras_to_onnx() -> None:
    """A tiny network says the same before and after its export."""
    pytest.importorskip("keras", reason="the extra 'networks' is not installed")
    from sercourse import networks

    keras: Any = networks.quiet_keras()
    inputs = keras.Input((6, 4))
    hidden = keras.layers.LSTM(3)(keras.layers.Conv1D(5, 3, activation="relu")(inputs))
    member = keras.Model(inputs, keras.layers.Dense(2)(hidden))
    network = networks.FittedNetwork((member,), (1.0,), (), {})
    X = np.random.default_rng(0).normal(size=(8, 6, 4)).astype(np.float32)
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}"
        for name in ("tf2onnx", "keras", "tensorflow", "numpy", "onnx", "protobuf")
    )
    advice = (
        "Keras exports networks through tf2onnx, which is hardly maintained, and no longer can "
        f"with {versions}: keep the versions of constraints.txt, or write another exporter in "
        "sercourse/networks/learner.py (the trained bundles do not need it)"
    )
    try:
        said = bundles.run(bundles.session(network.contents()[".onnx"]), X)
    except Exception as error:  # of five libraries
        pytest.fail(f"{advice}: {error!r}")
    assert np.allclose(said, network.predict_proba(X), atol=1e-5), advice


def steps(path: Path) -> list[dict[str, Any]]:
    """Return the steps of all jobs of a workflow."""
    jobs = yaml.safe_load(path.read_text("utf-8"))["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


def test_there_are_the_workflows() -> None:
    names = {path.stem for path in WORKFLOWS}
    assert names == {"tests", "lessons", "site", "release", "newest"}


@each_workflow
def test_each_step_is_a_command_that_people_use(path: Path) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    settings = set(re.findall(r"^([A-Z_]+) +\?=", makefile, re.MULTILINE)) | {"TAG", "PYTHON"}
    pages = (ROOT / "docs" / "platforms.md").read_text("utf-8").splitlines()
    commands = [line for step in steps(path) for line in step.get("run", "").splitlines()]
    for command in commands:
        if command.startswith("make "):
            target, *given = command.split()[1:]
            assert target in targets, command
            assert {each.partition("=")[0] for each in given} <= settings, command
        else:
            assert command in pages, f"{path.name}: {command!r} is in no page"
    assert commands


@each_workflow
def test_a_workflow_may_do_no_more_than_it_has_to(path: Path) -> None:
    text = path.read_text("utf-8")
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    assert not re.search(r"\bsecrets\.", text)  # publishing is by identity, not by password
    assert all(("run" in step) != ("uses" in step) for step in steps(path))
    for step in steps(path):
        assert "uses" not in step or "@" in step["uses"] or ":" in step["uses"].partition("//")[2]


def test_workflows_have_no_mistake_that_actionlint_knows() -> None:
    actionlint = shutil.which("actionlint")
    if not actionlint:
        pytest.skip("actionlint is not installed; the workflow of the tests runs it")
    done = subprocess.run([actionlint], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a wheel that was built from a copy of what belongs into it."""
    have = {each.name: each.version for each in importlib.metadata.distributions()}
    if "build" not in have or Version(have.get("setuptools", "0")) < Version("77"):
        pytest.skip("build, or setuptools 77 or later, is not installed: the extra 'dev' has both")
    copy = tmp_path_factory.mktemp("copy")
    for name in ("sercourse", "models/any-voice", "models/speech-encoder"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    stale = copy / "build" / "lib" / "sercourse" / "gone.py"  # of an earlier build
    stale.parent.mkdir(parents=True)
    stale.touch()
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", str(copy)]
    subprocess.run(command, check=True, capture_output=True)
    (found,) = (copy / "dist").glob("*.whl")
    return found


def test_an_installed_wheel_predicts_and_says_what_it_lacks(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "installed")
    assert wheel.name.startswith(f"sercourse-{sercourse.__version__}-py3-none-any")
    assert "sercourse/gone.py" not in names
    assert not [name for name in names if name.startswith(("tests/", "tools/", "build/"))]
    shutil.copy(ROOT / "data/sample/ravdess/Actor_01/03-01-05-01-01-01-01.ogg", tmp_path / "a.ogg")

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        code = "import sys; sys.path.insert(0, 'installed'); from sercourse.cli import main; "
        code += "sys.exit(main(sys.argv[1:]))"
        argv = [sys.executable, "-I", "-c", code, *words]
        return subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)

    done = run("predict", "a.ogg")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("a.ogg  1.6 s  ")
    other = run("predict", "a.ogg", "--model", "ravdess-svm")
    assert other.returncode == 2
    assert "one of the names any-voice; a clone of the project has more" in other.stderr
    lesson = run("run", "01")
    assert lesson.returncode == 2
    assert "install the package from a clone" in lesson.stderr
