"""Quizzes, and exercises that check themselves against one file of solutions."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sercourse import files


def quiz(lesson: str) -> None:
    """Show the quiz of a lesson: questions with answers to click.

    Parameters
    ----------
    lesson : str
        Name of the notebook without suffix; the questions are in ``notebooks/quiz``.
    """
    from jupyterquiz import display_quiz

    display_quiz(read_quiz(files.home() / "notebooks" / "quiz" / f"{lesson}.json"), max_width=720)


def read_quiz(path: Path) -> list[dict[str, Any]]:
    """Return the questions of a file.

    Raises
    ------
    ValueError
        If it holds something else.
    """
    try:
        questions = json.loads(path.read_text("utf-8"))
        whole = all(each["question"] and each["type"] and each["answers"] for each in questions)
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise ValueError(f"{path} holds no questions ({error}): get it again") from None
    if not whole or not questions:
        raise ValueError(f"{path} has a question without a word or an answer: get it again")
    return list(questions)


def solutions(lesson: str) -> dict[str, str]:
    """Return the code that solves each exercise of a lesson, by the name of the answer.

    Parameters
    ----------
    lesson : str
        Name of the notebook without suffix; the code is in ``notebooks/solutions``.
    """
    path = files.home() / "notebooks" / "solutions" / f"{lesson}.py"
    if not path.is_file():
        return {}
    parts = re.split(r"^# %% (\w+)\n", path.read_text("utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], (part.strip() for part in parts[2::2]), strict=True))


def check(lesson: str, **answer: Any) -> None:
    """Say whether an answer is right, and if not, what is wrong with it.

    The solution runs on a copy of the notebook's variables, so both start from the same values.

    Parameters
    ----------
    lesson : str
        Name of the notebook without suffix.
    **answer
        One answer, by the name that the exercise gives it.
    """
    from IPython import get_ipython

    ((name, value),) = answer.items()
    if value is ...:
        print(f"{name}: replace the three dots, then run the cell again")
        return
    notebook = get_ipython().user_ns
    variables = {k: v for k, v in notebook.items() if not k.startswith("_")}
    for key, kept in variables.items():
        if isinstance(kept, np.random.Generator):
            variables[key] = copy.deepcopy(kept)  # the solution draws from a generator of its own
    try:
        exec(solutions(lesson)[name], variables)
    except Exception as error:
        print(
            f"{name}: the solution does not run on this notebook's variables ({error}): run the "
            "cells above the exercises again, and do not reuse their names"
        )
        return
    print(f"{name}: {difference(value, variables[name]) or 'right'}")


def difference(value: Any, wanted: Any) -> str:
    """Return in what an answer differs from the wanted one; nothing if it does not.

    Examples
    --------
    >>> difference(0.5, 0.5)
    ''
    >>> difference(0.25, 0.5)
    'not yet: 0.25 is too small'
    >>> difference([1, 2], [1, 2, 3])
    'not yet: its shape is (2,), and (3,) is wanted'
    """
    if isinstance(value, pd.DataFrame | pd.Series) and isinstance(wanted, type(value)):
        value, wanted = value.to_numpy(), wanted.to_numpy()
    if isinstance(wanted, str | set | dict) or value is None:
        same = isinstance(value, type(wanted)) and value == wanted
        return "" if same else f"not yet: {value!r} is another answer"
    try:
        given, right = np.asarray(value), np.asarray(wanted)
    except ValueError:
        return "not yet: its parts differ in length"
    if given.shape != right.shape:
        return f"not yet: its shape is {given.shape}, and {right.shape} is wanted"
    if not np.issubdtype(right.dtype, np.number):
        return "" if np.array_equal(given, right) else "not yet: another answer is wanted"
    if not np.issubdtype(given.dtype, np.number):
        return f"not yet: a number is wanted, and this is {type(value).__name__}"
    exact = np.issubdtype(right.dtype, np.integer)  # a count
    same = np.isclose(given, right, rtol=0 if exact else 1e-3, equal_nan=True)
    if same.all():
        return ""
    if right.ndim == 0 and np.isnan(given):
        return "not yet: it is not a number (NaN)"
    for factor, hint in ((100, "a share or percent"), (1000, "which unit")):
        if not exact and np.allclose(given, factor * right, rtol=0.02):
            return f"not yet: {factor} times too large: {hint}?"
        if not exact and np.allclose(factor * given, right, rtol=0.02):
            return f"not yet: {factor} times too small: {hint}?"
    if not exact and np.allclose(given, right, rtol=0.02, equal_nan=True):
        return "not yet, but near: give it unrounded, or look again"
    if right.ndim == 0:
        return f"not yet: {given:.4g} is too {'small' if given < right else 'large'}"
    return f"not yet: {1 - same.mean():.0%} of its numbers differ"
