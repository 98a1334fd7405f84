"""The lessons: each has its parts, its outputs are clean and current, and it runs."""

from __future__ import annotations

import ast
import itertools
import json
import re
import statistics
from pathlib import Path

import publish
import pytest
from lesson_pages import solve
from nbformat import NotebookNode
from readme import describe

from sercourse import course
from sercourse.course import code_cells, read, tags

ROOT = Path(__file__).resolve().parent.parent
LESSONS = sorted((ROOT / "notebooks").glob("[0-9][0-9]*_*.ipynb"))

QUIZZES = {path.stem for path in (ROOT / "notebooks" / "quiz").glob("*.json")}

every_lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
a_few_lessons = pytest.mark.parametrize("path", LESSONS[1::3], ids=lambda path: path.stem)


def parsed(cell: NotebookNode) -> ast.Module:
    """Parse a code cell without its magics."""
    return ast.parse(re.sub(r"^\s*%.*$", "", cell.source, flags=re.MULTILINE))


def test_the_course_has_lessons() -> None:
    assert LESSONS, "the folder notebooks/ is empty"
    assert LESSONS[0].stem == "01_exploration"
    numbers = [path.stem.partition("_")[0] for path in LESSONS]
    assert numbers == sorted(set(numbers)), "two lessons share a number"


@every_lesson
def test_first_cell_introduces_the_lesson(path: Path) -> None:
    first, lesson = read(path).cells[0], describe(path)
    assert first.cell_type == "markdown"
    assert re.match(rf"# {path.stem.partition('_')[0]} · \S", first.source)
    assert lesson.promise
    assert lesson.needs, "no line **Needs:** ... · **Produces:** ... · **Time:** ..."
    not_linked = re.sub(r"\[[^\]]*\]\([^)]*\)", "", lesson.needs)
    assert not re.search(r"\b\d\d[bc]?\b", not_linked), "a lesson is needed, but not linked"
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
def test_a_lesson_can_be_finished(path: Path) -> None:
    notebook = read(path)
    prose = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    code = [cell.source for cell in code_cells(notebook)]
    lines = [line.strip() for source in code for line in source.splitlines()]
    modules = [parsed(cell) for cell in code_cells(notebook)]
    nodes = [node for module in modules for node in ast.walk(module)]
    assert sum("bootstrap" not in tags(cell) for cell in notebook.cells) <= 50
    assert sum(len(source.split()) for source in prose) <= 2500
    assert sum(bool(line) and not line.startswith("#") for line in lines) <= 200
    assert sum(isinstance(node, ast.Assert) for node in nodes) <= 5
    own = [n for n in nodes if isinstance(n, ast.ImportFrom) and "sercourse" in str(n.module)]
    assert sum(len(node.names) for node in own) <= 25


@every_lesson
def test_a_lesson_has_its_head_and_foot(path: Path) -> None:
    notebook = read(path)
    first = notebook.cells[0].source
    goals = first.partition("**You will be able to**")[2].partition("**Needs:**")[0]
    assert len(re.findall(r"^- \S", goals, re.MULTILINE)) == 3
    time = re.search(r"(\d+) min to read; .* to run; (core|optional)", first)
    assert time is not None
    assert int(time[1]) <= 45
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    headings = re.findall(r"^#+ .*", prose, re.MULTILINE)
    levels = [len(each.partition(" ")[0]) for each in headings]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels)), headings
    foot = ["## Take-aways", "## Quiz", "## Exercises"]
    assert [each for each in headings if each in foot] == foot
    assert f'exercises.quiz("{path.stem}")' in "\n".join(c.source for c in code_cells(notebook))
    assert path.stem in QUIZZES


@every_lesson
def test_links_to_the_glossary_lead_somewhere(path: Path) -> None:
    terms = re.findall(r"^### (.*)$", (path.parent / "glossary.md").read_text("utf-8"), re.M)
    anchors = {re.sub(r"[^\w -]", "", term.lower()).replace(" ", "-") for term in terms}
    prose = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    terms_used = re.findall(r"glossary\.md#([\w-]+)", prose)
    assert terms_used, "no term of this lesson leads to the glossary"
    assert set(terms_used) <= anchors
    linked = set(re.findall(r"\]\((\w+\.ipynb)\)", prose))
    assert linked <= {each.name for each in LESSONS}
    pictures = re.findall(r"!\[([^\]]*)\]\((\.\./[^)]*)\)", prose)
    assert all(words and (path.parent / place).is_file() for words, place in pictures)


NOT_THE_TERM = r"vocal folds?|part of the loss|inner validation"  # nor is a longer term


def test_no_term_of_the_glossary_is_used_before_its_link() -> None:
    """In the order of reading; the head of a lesson, where it says its goals, is free to."""
    glossary = (ROOT / "notebooks" / "glossary.md").read_text("utf-8")
    known: set[str] = set()
    early = []
    for path in LESSONS:
        for number, cell in enumerate(read(path).cells):
            if cell.cell_type != "markdown" or number == 0:
                continue
            source = cell.source.partition("## References")[0]
            known |= set(re.findall(r"glossary\.md#([\w-]+)", source))
            apart = rf"```.*?```|`[^`]*`|\$[^$]*\$|^#.*?$|\]\([^)]*\)|{NOT_THE_TERM}"
            words = re.sub(apart, " ", source, flags=re.DOTALL | re.MULTILINE)
            for term in re.findall(r"^### (.*)$", glossary, re.MULTILINE):
                anchor = re.sub(r"[^\w -]", "", term.lower()).replace(" ", "-")
                for name in term.split(", ") if anchor not in known else []:
                    case = re.NOFLAG if name.isupper() else re.IGNORECASE
                    if re.search(rf"(?<![\w-]){re.escape(name)}(s|es)?(?![\w-])", words, case):
                        early.append(f"{path.stem}, cell {number}: {name}")
    assert not early
    terms = re.findall(r"^### (.*)$", glossary, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", term.lower()).replace(" ", "-") for term in terms}
    assert anchors <= known, "an entry of the glossary to which no lesson leads"


@every_lesson
def test_committed_outputs_are_current_and_clean(path: Path) -> None:
    assert course.stale([path]) == {}
    assert path.stat().st_size <= publish.MAX_BYTES
    notebook = read(path)
    cells = code_cells(notebook)
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
    before = json.dumps(outputs, sort_keys=True)
    sample = "data_dir" not in course.parameter_names(notebook)  # whose sound is the project's
    assert sample or "data:audio" not in before
    publish.clean(notebook, name=path.name, placeholders={}, sound=sample)  # no path is left
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    assert json.dumps(outputs, sort_keys=True) == before


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder where the executed lessons of the chain go."""
    return tmp_path_factory.mktemp("chain")


def assert_lesson_runs(path: Path, *, out: Path) -> None:
    """Run a lesson with its exercises solved."""
    notebook = read(path)
    gaps = [cell for cell in code_cells(notebook) if "exercise" in tags(cell)]
    for cell in gaps:
        cell.source = solve(cell.source, path.stem)
    solved = out / "solved" / path.name
    solved.parent.mkdir(parents=True, exist_ok=True)
    course.write(notebook, solved)
    result = course.run(solved, out=out)
    assert result.failure is None
    for cell in code_cells(read(result.executed)):
        if "exercise" in tags(cell):
            assert "".join(each.get("text", "") for each in cell.outputs).endswith(": right\n")


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
