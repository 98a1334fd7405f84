"""The lessons: each has its parts, its outputs are clean and current, and it runs."""

from __future__ import annotations

import ast
import json
import re
import statistics
from pathlib import Path
from typing import Any

import publish
import pytest
from nbformat import NotebookNode

from sercourse import course
from sercourse.course import code_cells, describe, read, tags

ROOT = Path(__file__).resolve().parent.parent
LESSONS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))

every_lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
a_few_lessons = pytest.mark.parametrize("path", LESSONS[2::3], ids=lambda path: path.stem)


def parsed(cell: NotebookNode) -> ast.Module:
    """Parse a code cell without its magics."""
    return ast.parse(re.sub(r"^\s*%.*$", "", cell.source, flags=re.MULTILINE))


def metrics(notebook: NotebookNode) -> dict[str, Any] | None:
    """Return what the cell tagged `metrics` printed: one JSON object."""
    tagged = [cell for cell in code_cells(notebook) if "metrics" in tags(cell)]
    if not tagged:
        return None
    (cell,) = tagged
    shown = "".join(out.text for out in cell.outputs if out.output_type == "stream")
    result = json.loads(shown)
    assert isinstance(result, dict)
    return result


def test_the_course_has_lessons() -> None:
    assert LESSONS, "the folder notebooks/ is empty"
    assert LESSONS[0].stem == "01_exploration"
    numbers = [int(path.stem[:2]) for path in LESSONS]
    assert numbers == sorted(set(numbers)), "two lessons share a number"


@every_lesson
def test_first_cell_introduces_the_lesson(path: Path) -> None:
    first, lesson = read(path).cells[0], describe(path)
    assert first.cell_type == "markdown"
    assert re.match(rf"# {path.stem[:2]} · \S", first.source)
    assert lesson.promise
    assert lesson.needs, "no line **Needs:** ... · **Produces:** ... · **Time:** ..."
    assert lesson.produces
    assert lesson.time
    assert f"notebooks/{path.name}" in first.source, "the Colab badge leads elsewhere"


@every_lesson
def test_one_cell_of_parameters_with_commented_literals(path: Path) -> None:
    (cell,) = [cell for cell in code_cells(read(path)) if "parameters" in tags(cell)]
    lines = cell.source.splitlines()
    for statement in ast.parse(cell.source).body:
        assert isinstance(statement, ast.Assign), lines[statement.lineno - 1]
        ast.literal_eval(statement.value)
        first_and_last = lines[statement.lineno - 1], lines[(statement.end_lineno or 0) - 1]
        assert any("#" in line for line in first_and_last), f"no comment: {first_and_last[0]}"


@every_lesson
def test_code_is_short_and_explicit(path: Path) -> None:
    cells = code_cells(read(path))
    for cell in cells:
        assert not re.search(r"^\s*(!|%pip|%%bash)", cell.source, re.MULTILINE), cell.source
        for node in ast.walk(parsed(cell)):
            if isinstance(node, ast.ImportFrom):
                assert node.names[0].name != "*", cell.source
            if isinstance(node, ast.Call):
                blanket = re.fullmatch(
                    r"warnings\.(filterwarnings|simplefilter)\('ignore'\)", ast.unparse(node)
                )
                assert not blanket, cell.source
    assert statistics.median(len(cell.source.splitlines()) for cell in cells) <= 10


@every_lesson
def test_exercises_have_folded_solutions(path: Path) -> None:
    prose = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    assert prose.count("<details") >= 2
    assert prose.count("<details") == prose.count("</details>")


@every_lesson
def test_training_lessons_end_with_their_metrics(path: Path) -> None:
    shown = metrics(read(path))
    if shown is None:
        assert "train" not in path.stem
        return
    for name in (f"{shown['corpus']}-{shown['recipe']}", str(shown["recipe"])):
        bundle = ROOT / "models" / name / "metrics.json"
        if not bundle.exists():
            continue
        stored = json.loads(bundle.read_text("utf-8"))
        # Another model that a bundle holds, added without training that of emotions again.
        assert shown | {"gender": None} == stored | {"gender": None}


@every_lesson
def test_committed_outputs_are_current_and_clean(path: Path) -> None:
    assert course.stale([path]) == {}
    assert path.stat().st_size <= publish.MAX_BYTES
    notebook = read(path)
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
    before = json.dumps(outputs)
    assert "data:audio" not in before
    publish.clean(notebook, name=path.name, placeholders={})  # raises where a path is left
    assert (
        json.dumps([output for cell in code_cells(notebook) for output in cell.outputs]) == before
    )


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder where the executed lessons of the chain go."""
    return tmp_path_factory.mktemp("chain")


def assert_lesson_runs(path: Path, *, out: Path) -> None:
    result = course.run(path, out=out)
    assert result.failure is None
    assert result.executed.with_suffix(".html").stat().st_size > 10_000
    for entry in (metrics(read(result.executed)) or {}).get("protocols", []):
        # Twice the majority's share is out of reach for a model that learnt nothing.
        assert entry["accuracy"] > 2 * entry["chance"], entry["protocol"]


# One worker, in order: what a lesson stores is there for those after it.
@pytest.mark.notebook
@pytest.mark.xdist_group("lessons")
@every_lesson
def test_lesson_runs_in_the_chain(path: Path, chain: Path) -> None:
    assert_lesson_runs(path, out=chain)


@pytest.mark.notebook
@a_few_lessons
def test_lesson_runs_alone(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERCOURSE_CACHE", str(tmp_path / "empty"))
    assert_lesson_runs(path, out=tmp_path / "out")
