"""A lesson as a file: where it is, what it says of itself, which parameters it takes."""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from sercourse.files import user_path

ROOT = Path(__file__).resolve().parents[2]
"""Folder of the repository, where the package runs from a clone."""

NOTEBOOKS = ROOT / "notebooks"
"""Folder of the lessons."""

INJECTED = "injected-parameters"
"""Tag of the cell that papermill adds."""

# **Needs:** x · **Produces:** y · **Time:** z, with any emphasis
_NEEDS_LINE = re.compile(
    r"^[*_]*Needs[*_:\s]+(?P<needs>.*?)[\s·|;,.*_]*"
    r"Produces[*_:\s]+(?P<produces>.*?)[\s·|;,.*_]*"
    r"Time[*_:\s]+(?P<time>.*?)[*_.\s]*$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Lesson:
    """What the first cell of a lesson says."""

    notebook: Path
    title: str
    promise: str
    needs: str
    produces: str
    time: str


def lessons(folder: str | Path = NOTEBOOKS) -> list[Path]:
    """Return the lessons of a folder, in order: every notebook named `NN_topic.ipynb`.

    Raises
    ------
    FileNotFoundError
        If the folder holds none, as when the package was installed without the repository.
    """
    found = sorted(user_path(folder).glob("[0-9][0-9]_*.ipynb"))
    if not found:
        raise FileNotFoundError(
            f"no lessons in {folder}: install the package from a clone of the repository "
            "(pip install -e .), which holds the notebooks"
        )
    return found


def find(names: Iterable[str], *, folder: str | Path = NOTEBOOKS) -> list[Path]:
    """Return the notebooks that a person named by number (`3`, `03`), stem, or path.

    Raises
    ------
    FileNotFoundError
        If a path does not exist.
    LookupError
        If a number or stem is no lesson's.
    """
    return list(dict.fromkeys(_find(name, folder=user_path(folder)) for name in names))


def _find(name: str, *, folder: Path) -> Path:
    if name.endswith(".ipynb"):
        path = user_path(name)
        if not path.is_file():
            raise FileNotFoundError(f"no notebook {name}")
        return path.resolve()
    known = lessons(folder)
    for path in known:
        if name == path.stem or name.zfill(2) == path.stem[:2]:
            return path
    stems = ", ".join(path.stem for path in known)
    raise LookupError(f"no lesson {name!r}: give a number, a path, or one of {stems}")


def read(path: str | Path) -> NotebookNode:
    """Read a notebook in the current format.

    Raises
    ------
    ValueError
        If the file is not a notebook.
    """
    try:
        return nbformat.read(path, as_version=4)
    except (nbformat.reader.NotJSONError, nbformat.ValidationError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a notebook: {str(error).splitlines()[0]}") from error


def describe(path: str | Path) -> Lesson:
    """Read title, promise and requirements from the first cell of a lesson.

    The cell has `# NN · Title`, one paragraph of promise, and a line
    `**Needs:** ... · **Produces:** ... · **Time:** ...`; what is missing is an empty string.
    """
    cells = read(path).cells
    headed = (c.source for c in cells if c.cell_type == "markdown" and c.source.startswith("# "))
    text = next(headed, f"# {Path(path).stem}")
    title, _, rest = text.partition("\n")
    line = _NEEDS_LINE.search(rest)
    fields = line.groupdict() if line else {"needs": "", "produces": "", "time": ""}
    return Lesson(Path(path), title.removeprefix("# ").strip(), _promise(rest), **fields)


def _promise(text: str) -> str:
    """Return the first paragraph that is neither a badge, a picture nor the line of needs."""
    for paragraph in re.split(r"\n\s*\n", text):
        joined = " ".join(paragraph.split())
        if joined and not joined.startswith(("[!", "!", "<")) and not _NEEDS_LINE.search(joined):
            return joined
    return ""


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """Return the code cells that an author wrote: not the empty ones, not papermill's."""
    return [
        cell
        for cell in notebook.cells
        if cell.cell_type == "code" and cell.source.strip() and INJECTED not in tags(cell)
    ]


def is_widget(output: NotebookNode) -> bool:
    """Tell whether an output is a widget, which is nothing without a running Python."""
    return "application/vnd.jupyter.widget-view+json" in output.get("data", {})


def tags(cell: NotebookNode) -> Sequence[str]:
    """Return the tags of a cell."""
    return cell.metadata.get("tags", ())


def code_hash(notebook: NotebookNode) -> str:
    """Return the SHA-256 of the code cells: outputs are stale when it is no longer theirs."""
    sources = [cell.source for cell in code_cells(notebook)]
    return hashlib.sha256(json.dumps(sources, ensure_ascii=False).encode()).hexdigest()


def parameter_names(notebook: NotebookNode) -> list[str]:
    """Return the names that the cell tagged `parameters` assigns, in its order."""
    tagged = [cell for cell in code_cells(notebook) if "parameters" in tags(cell)]
    if not tagged:
        return []
    targets = []
    for statement in ast.parse(tagged[0].source).body:
        if isinstance(statement, ast.Assign):
            targets += statement.targets
        elif isinstance(statement, ast.AnnAssign):
            targets.append(statement.target)
    return [target.id for target in targets if isinstance(target, ast.Name)]


def assign(
    notebooks: Sequence[Path], *, parameters: Mapping[str, Any]
) -> dict[Path, dict[str, Any]]:
    """Return, for each notebook, those of the parameters that it takes.

    A relative path in a parameter named `..._dir` is meant from where the command is run, while
    a lesson runs in its own folder: such a path is made absolute.

    Raises
    ------
    ValueError
        If no notebook takes one of the parameters.
    """
    known = {path: parameter_names(read(path)) for path in notebooks}
    every = dict.fromkeys(name for names in known.values() for name in names)
    for name in parameters:
        if name not in every:
            raise ValueError(
                f"unknown parameter {name!r} for {', '.join(path.stem for path in notebooks)}: "
                f"known are {', '.join(every) or 'none'}"
            )
    values = {name: _absolute(name, value) for name, value in parameters.items()}
    return {
        path: {name: values[name] for name in names if name in values}
        for path, names in known.items()
    }


def _absolute(name: str, value: Any) -> Any:
    is_path = name.endswith("_dir") and isinstance(value, str)
    return str(user_path(value).absolute()) if is_path else value


def parse_value(text: str) -> bool | int | float | str | None:
    """Read a parameter's value from the command line, by papermill's rules.

    Examples
    --------
    >>> [parse_value(text) for text in ("3", "0.5", "1e-3", "True", "None", "ravdess")]
    [3, 0.5, 0.001, True, None, 'ravdess']
    """
    words: dict[str, bool | None] = {"True": True, "False": False, "None": None}
    if text in words:
        return words[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
