"""What a reviewer would otherwise have to look for: lint, types, spelling, layers, hygiene."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from sercourse.cli import COMMANDS, build_parser

LAYERS = "from importlinter.cli import lint_imports_command as check; check()"
PASSED = """
import sys

def note(frame, event, arg):
    if event == "call" and frame.f_code.co_name != "<module>":
        files.add(frame.f_code.co_filename)

files = set()
sys.setprofile(note)
from sercourse.cli import main
status = main(sys.argv[1:])
sys.setprofile(None)
assert status == 0
print(*files, sep="\\n")
"""
HEAVY = ("tensorflow", "keras", "matplotlib", "sounddevice", "librosa", "sklearn", "pandas")


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["-m", "ruff", "check", "."], id="lint"),
        pytest.param(["-m", "ruff", "format", "--check", "."], id="format"),
        pytest.param(["-m", "mypy"], id="types"),
        pytest.param(["-m", "codespell_lib", "--toml", "pyproject.toml"], id="spelling"),
        pytest.param(["-c", LAYERS], id="layers"),
    ],
)
def test_tool_has_no_complaint(root: Path, command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, *command], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def modules_after(statement: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter has loaded after a statement."""
    code = f"{statement}\nimport json, sys\nprint(json.dumps([n for n in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in json.loads(done.stdout)}


def test_importing_the_package_is_light() -> None:
    loaded = modules_after("import sercourse")
    assert not loaded & {*HEAVY, "numpy", "scipy", "onnxruntime", "nbformat", "papermill"}


def test_the_command_line_starts_light() -> None:
    loaded = modules_after("from sercourse.cli import build_parser; build_parser()")
    assert not loaded & {*HEAVY, "scipy", "nbformat", "nbconvert", "papermill", "jupyter_client"}


def test_a_first_score_passes_few_files(root: Path, tmp_path: Path) -> None:
    """Who follows `sercourse evaluate svm` in a debugger is to meet no more of the package."""
    sample = root / "data" / "sample" / "ravdess"
    words = ["evaluate", "svm", sample, "--corpus", "ravdess", "--protocol", "speaker"]
    words += ["--folds", "fold 1", "--emotions", "angry,sad", "--jobs", "1"]
    done = subprocess.run(
        [sys.executable, "-c", PASSED, *words],
        env={**os.environ, "SERCOURSE_CACHE": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    modules = set((root / "sercourse").rglob("*.py"))
    package = modules & {Path(line) for line in done.stdout.splitlines()}
    assert root / "sercourse" / "experiment" / "evaluation.py" in package
    assert len(package) <= 30, sorted(package)


def test_tests_of_a_file_share_a_process(request: pytest.FixtureRequest) -> None:
    """What a file's tests share is then made once; a pytest that is too new undoes it silently."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        pytest.skip("the tests run in one process")
    assert request.node.nodeid.endswith("@test_style.py")


def test_the_parser_of_a_command_has_no_other() -> None:
    for name in COMMANDS:
        (commands,) = build_parser(name)._subparsers._group_actions  # type: ignore[union-attr]
        assert list(commands.choices or ()) == [name]


def tracked(root: Path) -> list[Path]:
    """Return the files that are, or are about to be, in the repository."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout: which files belong to it is not known")
    return [root / name for name in done.stdout.split("\0") if name and (root / name).is_file()]


def texts(root: Path) -> Iterator[tuple[Path, str]]:
    for path in tracked(root):
        content = path.read_bytes()
        if b"\0" not in content:
            yield path, content.decode("utf-8", errors="replace")


def test_no_path_of_this_machine_is_committed(root: Path) -> None:
    places = [root, Path.home(), Path(sys.base_prefix)]
    own = [f"{place}{os.sep}" for place in places if len(place.parts) > 1 and place != Path("/usr")]
    found = [(path, place) for path, text in texts(root) for place in own if place in text]
    assert not found


def test_no_package_index_is_addressed(root: Path) -> None:
    # Brackets keep this line from finding itself.
    address = re.compile(r"p[y]pi\.org|p[y]thonhosted\.|registry\.n[p]m|--(extra-)?index-u[r]l")
    found = [
        (path, match.group()) for path, text in texts(root) for match in address.finditer(text)
    ]
    assert not found


def test_no_large_or_foreign_file_is_committed(root: Path) -> None:
    foreign = {".pkl", ".pickle", ".joblib", ".h5", ".hdf5"}
    encoder = root / "models" / "speech-encoder" / "encoder.onnx"  # 17 MB: what it is worth
    found = [
        path
        for path in tracked(root)
        if path.suffix in foreign or (path.stat().st_size > 5 * 2**20 and path != encoder)
    ]
    assert not found
    assert encoder.stat().st_size < 17e6


def test_constraints_are_names_and_versions_only(root: Path) -> None:
    lines = (root / "constraints.txt").read_text().splitlines()
    odd = [line for line in lines if not re.fullmatch(r"#.*|[\w.-]+==[\w.+!]+", line)]
    assert not odd
    assert len(lines) > 50


def sources(root: Path) -> Iterator[tuple[str, str]]:
    """Return every piece of our Python: modules, scripts, code cells."""
    for path in tracked(root):
        if path.suffix == ".py":
            yield str(path), path.read_text("utf-8")
        elif path.suffix == ".ipynb":
            for number, cell in enumerate(nbformat.read(path, as_version=4).cells, start=1):
                if cell.cell_type == "code":
                    plain = re.sub(r"^\s*%.*$", "", cell.source, flags=re.MULTILINE)
                    yield f"{path} cell {number}", plain


def unpickles(code: str) -> list[int]:
    """Return the lines that load, or could load, a pickle."""
    lines = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            # np.load refuses pickles by default, but only by default: say so where it is called.
            refused = any(
                keyword.arg == "allow_pickle" and getattr(keyword.value, "value", None) is False
                for keyword in node.keywords
            )
            names = ["pickle" if name in {"np.load", "numpy.load"} and not refused else name]
        else:
            continue
        bad = r"(pickle|cloudpickle|dill)(\.\w+)?|joblib\.(load|dump)|(pd|pandas)\.read_pickle"
        if any(re.fullmatch(bad, name) for name in names):
            lines.append(node.lineno)
    return lines


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from joblib import load",
        "import joblib\njoblib.load('m')",
        "np.load('a.npz')",
        "np.load('a.npz', allow_pickle=True)",
        "pd.read_pickle('a')",
    ],
)
def test_the_search_for_pickles_finds_them(code: str) -> None:
    assert unpickles(code)
    assert not unpickles("np.load('a.npz', allow_pickle=False)\nfrom joblib import Parallel")


def test_no_pickle_is_ever_loaded(root: Path) -> None:
    found = [(place, lines) for place, code in sources(root) if (lines := unpickles(code))]
    assert not found
