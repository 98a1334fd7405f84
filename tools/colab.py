"""Keep the address of the repository, and the cell that prepares Colab, the same everywhere.

The address is set in one place, `[project.urls]` of `pyproject.toml`; this writes it into the pages
that show it and into `tools/colab_cell.py`, whose text is the first code cell of every lesson. That
cell is no part of a lesson's code hash: after another address no lesson has to be published again.
"""

from __future__ import annotations

import argparse
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from sercourse import course
from sercourse.files import atomic_path

ROOT = Path(__file__).resolve().parent.parent
CELL = ROOT / "tools" / "colab_cell.py"
SITE = "https://github.com/"
BADGE = "https://colab.research.google.com/github/"


def address(root: Path = ROOT) -> str:
    """Return the address of the repository, which `pyproject.toml` sets."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    return str(project["urls"]["Repository"])


def with_address(text: str, repository: str) -> str:
    """Return a text in which links to the project's repository lead to this one.

    Examples
    --------
    >>> with_address("git clone https://github.com/a/sercourse", "https://github.com/b/sercourse")
    'git clone https://github.com/b/sercourse'
    """
    path = repository.removeprefix(SITE)
    name = re.escape(path.partition("/")[2])
    prefixes = "|".join(map(re.escape, (SITE, BADGE)))
    return re.sub(rf"({prefixes})[\w.-]+/{name}\b", rf"\g<1>{path}", text)


def pages(root: Path = ROOT) -> list[Path]:
    """Return the files, lessons aside, that may show the address."""
    patterns = ("*.md", "*.cff", "docs/*.md", "docs/conf.py", "tools/build_site.py")
    found = [path for pattern in patterns for path in sorted(root.glob(pattern))]
    return [*found, root / "tools" / CELL.name]


def prepare(notebook: NotebookNode, *, cell: str, repository: str) -> None:
    """Give a lesson the cell that prepares Colab, before its imports, and the address."""
    for each in notebook.cells:
        if each.cell_type == "markdown":
            each.source = with_address(each.source, repository)
    kept = [each for each in notebook.cells if "bootstrap" not in course.tags(each)]
    first = next(place for place, each in enumerate(kept) if each.cell_type == "code")
    # Publishing counts it as the first, although it does nothing but on Colab.
    count = next((each.execution_count for each in notebook.cells if each not in kept), None)
    told = {"metadata": {"tags": ["bootstrap"]}, "execution_count": count}
    new = new_code_cell(cell.strip(), id="bootstrap", **told)
    notebook.cells = [*kept[:first], new, *kept[first:]]


def changed(root: Path = ROOT, *, write: bool) -> list[Path]:
    """Return the files that differ from what the setting wants, and write them if asked to."""
    repository, found = address(root), []
    for path in pages(root):
        old = path.read_text("utf-8")
        if (new := with_address(old, repository)) != old:
            found.append(path)
            if write:
                with atomic_path(path) as temporary:
                    temporary.write_text(new, "utf-8", newline="\n")
    cell = with_address(CELL.read_text("utf-8"), repository)
    for path in course.lessons(root / "notebooks"):
        notebook, old = course.read(path), course.read(path)
        prepare(notebook, cell=cell, repository=repository)
        if notebook != old:
            found.append(path)
            if write:
                course.write(notebook, path)
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Write, or with ``--check`` only list, what differs; exit status 1 where that is something."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing, and fail if needed")
    check = parser.parse_args(argv).check
    found = changed(write=not check)
    for path in found:
        print(f"{path.relative_to(ROOT).as_posix()} {'differs' if check else 'written'}")
    return int(check and bool(found))


if __name__ == "__main__":
    raise SystemExit(main())
