"""Quizzes, and exercises with their solutions."""

import ast
import json
import re

import nbformat
import numpy as np
import pandas as pd
import pytest
from lesson_pages import solve

from sercourse import exercises, files

LESSONS = [path.stem for path in sorted((files.home() / "notebooks" / "quiz").glob("*.json"))]


@pytest.mark.parametrize(
    ("value", "wanted", "said"),
    [
        (0.5001, 0.5, ""),
        (0.504, 0.5, "near: give it unrounded"),
        (50.2, 0.5, "100 times too large: a share or percent"),
        ((0.002, 0.005), (0.2, 0.5), "100 times too small: a share or percent"),
        (3.0, 3000.0, "1000 times too small: which unit"),
        (15_208, 15_208, ""),
        (15_200, 15_208, "too small"),
        ([[1, 2], [3]], [1, 2], "parts differ in length"),
        (0.6, 0.5, "too large"),
        (0.4, 0.5, "too small"),
        (float("nan"), 0.5, "NaN"),
        ("half", 0.5, "a number is wanted, and this is str"),
        (None, 0.5, "another answer"),
        ([1, 2, 4], [1, 2, 3], "33% of its numbers differ"),
        ([1, 2], [1, 2, 3], r"shape is \(2,\)"),
        ({"a", "b"}, {"b", "a"}, ""),
        ("a", {"b", "a"}, "another answer"),
        (np.array(["a", "b"]), "a", "another answer"),
        (pd.Series(["a", "b"]), "a", "another answer"),
        (pd.Series([1.0, 2.0], index=list("ab")), pd.Series([1.0, 2.0]), ""),
        (np.array(["x", "y"]), np.array(["x", "z"]), "another answer"),
    ],
)
def test_difference(value, wanted, said):
    assert re.search(said or "^$", exercises.difference(value, wanted))


def test_check_runs_the_solution_on_the_variables_of_the_notebook(monkeypatch, tmp_path, capsys):
    folder = tmp_path / "notebooks" / "solutions"
    folder.mkdir(parents=True)
    (folder / "x.py").write_text("# %% total\ntotal = sum(numbers)\n# %% mean\nmean = 2.0\n")
    monkeypatch.setattr(files, "home", lambda: tmp_path)

    class Shell:
        user_ns = {"numbers": [1, 2, 3], "total": 0}  # noqa: RUF012

    monkeypatch.setattr("IPython.get_ipython", Shell)
    for answer in (6, 5, ...):
        exercises.check("x", total=answer)
    right, wrong, empty = capsys.readouterr().out.splitlines()
    assert right == "total: right"
    assert "too small" in wrong
    assert "three dots" in empty
    assert Shell.user_ns["total"] == 0
    Shell.user_ns["numbers"] = None  # a learner has used the name for something else
    exercises.check("x", total=6)
    assert "does not run on this notebook's variables" in capsys.readouterr().out
    solved = solve("k = 1\ntotal = ...  # their sum\n", "x")
    assert solved == "k = 1\ntotal = sum(numbers)\n"


@pytest.mark.parametrize("lesson", LESSONS)
def test_each_exercise_of_a_lesson_has_its_solution(lesson):
    cells = nbformat.read(files.home() / "notebooks" / f"{lesson}.ipynb", as_version=4).cells
    gaps = [c.source for c in cells if "exercise" in c.metadata.get("tags", ())]
    names = [name for gap in gaps for name in re.findall(r"^(\w+) = \.\.\.", gap, re.M)]
    assert len(gaps) >= 3
    assert names == list(exercises.solutions(lesson))
    for gap in gaps:
        assert "..." not in solve(gap, lesson)


def names_in(source, kind):
    """Return the names that code reads (`ast.Load`) or binds (`ast.Store`, imports included)."""
    nodes = list(ast.walk(ast.parse(source)))
    found = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, kind)}
    if kind is ast.Store:
        imports = (n for n in nodes if isinstance(n, ast.Import | ast.ImportFrom))
        found |= {(name.asname or name.name).partition(".")[0] for n in imports for name in n.names}
        found |= {n.name for n in nodes if isinstance(n, ast.FunctionDef)}
    return found


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_solution_needs_no_cell_of_another_exercise(lesson):
    cells = nbformat.read(files.home() / "notebooks" / f"{lesson}.ipynb", as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    bound = [names_in(cell.source, ast.Store) for cell in code]
    asked = ["exercise" in cell.metadata.get("tags", ()) for cell in code]
    common = set().union(
        *(names for names, is_asked in zip(bound, asked, strict=True) if not is_asked)
    )
    exercises_bind = [names for names, is_asked in zip(bound, asked, strict=True) if is_asked]
    for name, solution in exercises.solutions(lesson).items():
        (own,) = (names for names in exercises_bind if name in names)
        elsewhere = set().union(*exercises_bind) - own - common - names_in(solution, ast.Store)
        assert not names_in(solution, ast.Load) & elsewhere, name


@pytest.mark.parametrize("lesson", LESSONS)
def test_each_question_has_one_right_answer_and_a_reply_to_each(lesson):
    text = (files.home() / "notebooks" / "quiz" / f"{lesson}.json").read_text("utf-8")
    questions = json.loads(text)
    assert len(questions) == 5
    for question in questions:
        assert sum(each["correct"] for each in question["answers"]) == 1
        assert all(each["feedback"] for each in question["answers"])
    assert "*" not in text  # neither the notebook nor the page shows emphasis


def test_the_form_of_an_answer_does_not_tell_which_one_is_right():
    hits = {"longest": 0, "shortest": 0, "first": 0, "second": 0, "third": 0}
    asked = 0
    for lesson in LESSONS:
        for question in exercises.read_quiz(files.home() / "notebooks/quiz" / f"{lesson}.json"):
            answers = question["answers"]
            lengths = [len(each["answer"]) for each in answers]
            (right,) = (place for place, each in enumerate(answers) if each["correct"])
            hits["longest"] += lengths[right] == max(lengths)
            hits["shortest"] += lengths[right] == min(lengths)
            hits[("first", "second", "third")[right]] += 1
            asked += 1
    assert max(hits.values()) <= 0.45 * asked, hits  # a guess is right in a third
