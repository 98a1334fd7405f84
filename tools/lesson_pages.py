"""A lesson as a page of the site: its notebook with what a reader of the page needs."""

from __future__ import annotations

import html
import json
import re
import tomllib
from pathlib import Path

from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_notebook
from publish import WIDGET

from sercourse import course, exercises, files

BADGE = re.compile(r"\[!\[[^]]*\]\([^)]*\)\]\(([^)\s]*)\)\n*")
"""The picture link below the title of a lesson, which leads to Colab."""

PLAYER = re.compile(r'<audio controls src="(?:\.\./)+(data/sample/[\w./-]+)"></audio>')
"""Plays a clip of the sample, beside which a page stands whose HTML is shown as text."""

UNSEEN = {"bootstrap", "papermill-error-cell-tag"}
"""Tags of cells that a page leaves out: they prepare Colab, and repeat that a run failed."""

CORPORA = ("aesdd", "ravdess")
"""Those that published outputs rest on."""

FIGURES = files.home() / "docs" / "figures.toml"
"""What the figures of each lesson show."""


def solve(source: str, lesson: str) -> str:
    """Return the source of an exercise's cell with its gap filled in.

    Examples
    --------
    >>> solve("k = 2", "no_such_lesson")
    'k = 2'
    """
    for name, code in exercises.solutions(lesson).items():
        gap = rf"^{name} = \.\.\..*$"
        source = re.sub(gap, code.replace("\\", r"\\"), source, flags=re.MULTILINE)
    return source


def page(path: Path) -> NotebookNode:
    """Return a lesson for the site; of a file that is no notebook, a page that says so."""
    try:
        notebook = course.read(path)
    except ValueError as error:
        name = html.escape(path.name)
        said = f"# {name}\n\n{admonition('danger', f'This lesson cannot be shown: {error}.')}"
        return new_notebook(cells=[new_markdown_cell(said)])
    notebook.metadata.pop("widgets", None)
    shown = [cell for cell in notebook.cells if not UNSEEN & set(course.tags(cell))]
    if not shown or not shown[0].source.startswith("# "):
        shown.insert(0, new_markdown_cell(f"# {path.stem}"))
    title, *rest = shown
    origin = new_markdown_cell(provenance(path, notebook))
    cells = [with_links_to_run(title, name=path.name), origin]
    heading, told = "", iter(figures(path.stem, published="papermill" not in notebook.metadata))
    for cell in rest:
        if cell.cell_type == "markdown":
            heading = (re.findall(r"^#+ (.*)", cell.source, re.MULTILINE) or [heading])[-1]
            cell.source = PLAYER.sub(r"{sound}`\1`", cell.source)
            cells.append(cell)
        elif "quiz" in course.tags(cell):  # its stored output asks another host for scripts
            cells.append(new_markdown_cell(quiz(path.stem)))
        else:
            if has_figure(cell):
                said = next(told, f"Figure: {heading}")
                cell.metadata["mystnb"] = {"image": {"alt": said}}
            cells += [trimmed(cell), *solution(cell, lesson=path.stem)]
    return NotebookNode({**notebook, "cells": cells})


def with_links_to_run(cell: NotebookNode, *, name: str) -> NotebookNode:
    """Put buttons in the place of the Colab badge, whose picture lies on another host."""
    badge = BADGE.search(cell.source)
    title, _, text = BADGE.sub("", cell.source).partition("\n")
    lab = f"http://localhost:8888/lab/tree/notebooks/{name}"
    colab = f'<a href="{html.escape(badge[1])}">Open in Colab</a>' if badge else ""
    buttons = raw(
        f'<div class="launch">{colab}<details><summary>JupyterLab</summary><p>Start '
        "<code>make lab</code> in a clone of the repository, then "
        f'<a href="{html.escape(lab)}">open this lesson</a> in it.</p></details>'
        f'<a href="../_static/notebooks/{html.escape(name)}" download>Download</a></div>'
    )
    return new_markdown_cell(f"{title}\n\n{buttons}\n\n{text.strip()}")


def provenance(path: Path, notebook: NotebookNode) -> str:
    """Return a note that says where the outputs of a lesson come from."""
    run, mark = notebook.metadata.get("papermill"), notebook.metadata.get("sercourse")
    takes_corpora = "data_dir" in course.parameter_names(notebook)
    if run:
        if run["exception"]:
            return admonition("danger", "This run failed: the first error below says why.")
        folder = run["parameters"].get("data_dir")
        corpora = f"the corpora in `{folder}`" if folder else "the synthetic sample corpora"
        what = corpora if takes_corpora else "numbers that come with the course"
        hint = " Scores on synthetic voices are no results." if takes_corpora and not folder else ""
        seconds = f"{run['duration'] or 0:.0f} s"
        return f"{{.made}}\nOutputs of a run on this computer, from {what}, {seconds}.{hint}"
    if old := course.stale([path]).get(path):
        return admonition("warning", f"This lesson {old}.")
    code = "\n".join(cell.source for cell in course.code_cells(notebook))
    read = " and ".join(name.upper() for name in CORPORA if name in code)
    heard = " and ".join(name.upper() for name in mark["corpus"])
    what = f"the real {heard}" if heard else f"numbers of {read} that come with the course"
    made = f"sercourse {mark['version']}, {mark['seconds']:.0f} s"
    return f"{{.made}}\nPublished outputs, from {what}; {made}."


def solution(cell: NotebookNode, *, lesson: str) -> list[NotebookNode]:
    """Return a folded solution for an exercise, nothing for another cell."""
    if "exercise" not in course.tags(cell):
        return []
    solved = solve(cell.source, lesson)
    if solved == cell.source:
        return []
    text = f"::::{{dropdown}} Solution\n```python\n{solved}\n```\n::::"
    return [new_markdown_cell(text)]


def quiz(lesson: str) -> str:
    """Return the questions of a lesson as a form; `site.js` shows what is right."""
    path = files.home() / "notebooks" / "quiz" / f"{lesson}.json"
    if not path.is_file():
        return admonition("warning", "This lesson has no quiz yet.")
    questions = json.loads(path.read_text("utf-8"))
    parts = [
        f"<fieldset><legend>{number}. {text(each['question'])}</legend>"
        + "".join(choice(answer, group=f"question-{number}") for answer in each["answers"])
        + '<p role="status"></p></fieldset>'
        for number, each in enumerate(questions, start=1)
    ]
    return raw(f'<form class="quiz">{"".join(parts)}</form>')


def choice(answer: dict[str, object], *, group: str) -> str:
    """Return one answer that can be chosen."""
    told = html.escape(str(answer["feedback"]).replace("`", ""))
    right = str(bool(answer["correct"])).lower()
    button = f'<input type="radio" name="{group}" data-right="{right}" data-feedback="{told}">'
    return f"<label>{button}<span>{text(answer['answer'])}</span></label>"


def text(markdown: object) -> str:
    """Return a line of Markdown, of which only code is marked, as HTML."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(str(markdown)))


def figures(lesson: str, *, published: bool) -> list[str]:
    """Return what each figure of a lesson shows; of another run, only what holds for any data."""
    told = tomllib.loads(FIGURES.read_text("utf-8")).get(lesson, [])
    return told if published else [text.partition(". ")[0].removesuffix(".") for text in told]


def has_figure(cell: NotebookNode) -> bool:
    """Whether a code cell shows a picture."""
    return any(kind.startswith("image/") for each in cell.outputs for kind in each.get("data", {}))


def trimmed(cell: NotebookNode) -> NotebookNode:
    """Drop buttons that nobody would answer, and fold what only prepares."""
    cell.outputs = [each for each in cell.outputs if WIDGET not in each.get("data", {})]
    if "setup" in course.tags(cell):
        cell.metadata["tags"] = [*course.tags(cell), "hide-input"]
    return cell


def admonition(kind: str, said: str) -> str:
    """Return a boxed paragraph."""
    return f":::{{{kind}}}\n{said}\n:::"


def raw(markup: str) -> str:
    """Return HTML for a Markdown page, where it would otherwise be shown as text."""
    return f"````{{raw}} html\n{markup}\n````"
