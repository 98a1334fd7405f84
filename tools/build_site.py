"""Build the site of the course: `python tools/build_site.py`, or `make site`.

Its pages are the lessons with their stored outputs, the glossary, the model cards, what `docs/`
holds, and the docstrings of the package. They are gathered in a folder beside that of the site, and
Sphinx makes the site of them. It can be read from the file system, and asks no other host for
anything.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import lesson_pages
import nbformat
import readme

import sercourse
from sercourse import course

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
NOTEBOOKS = ROOT / "notebooks"
REPOSITORY = "https://github.com/sercourse/sercourse"
LINK = re.compile(r"\]\((?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?\)")
COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)


def main(argv: Sequence[str] | None = None) -> int:
    """Build the site; return 1 if a link leads nowhere, or Sphinx has another complaint."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--lessons",
        type=Path,
        default=NOTEBOOKS,
        metavar="DIR",
        help="folder of executed lessons; those that it lacks are taken as they were published",
    )
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "site", metavar="DIR")
    parser.add_argument("--no-npm", action="store_true", help="leave the voice page without model")
    args = parser.parse_args(argv)
    pages = args.out.with_name(f"{args.out.name}-pages")
    gather(pages, lessons=args.lessons)
    status = sphinx(pages, args.out)
    for path in published(args.lessons).values():
        target = args.out / "_static" / "notebooks" / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    status |= build_voice(args.out, npm=not args.no_npm)
    print(f"site: {args.out / 'index.html'}")
    return status


def gather(pages: Path, *, lessons: Path) -> None:
    """Write every page of the site, as Markdown, notebook or reStructuredText, into a folder."""
    shutil.rmtree(pages, ignore_errors=True)
    places = page_places()
    for source, place in places.items():
        text = source.read_text("utf-8").replace("<!-- modules -->", modules_table())
        text = text.replace("<!-- contents -->", contents(published(lessons)))
        text = COMMENT.sub("", text)
        put(pages / place, with_links(text, source=source, places=places))
    for stem, path in published(lessons).items():
        notebook = lesson_pages.page(path)
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                original = NOTEBOOKS / path.name
                cell.source = with_links(cell.source, source=original, places=places)
        put(pages / "notebooks" / f"{stem}.ipynb", nbformat.writes(notebook))
    for name in public_modules():
        put(pages / "api" / f"{name}.rst", api_page(f"sercourse.{name}"))
    shutil.copytree(ROOT / "images", pages / "images")


def put(path: Path, text: str) -> None:
    """Write a page."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def page_places() -> dict[Path, Path]:
    """Return where each Markdown page of the repository stands in the site."""
    found = [*DOCS.glob("*.md"), *DOCS.glob("voice/*.md"), *DOCS.glob("voice/fragment.html")]
    places = {path: path.relative_to(DOCS) for path in found}
    beside = [*ROOT.glob("models/*/README.md"), *ROOT.glob("data/**/README.md")]
    beside += [NOTEBOOKS / "glossary.md", ROOT / "CONTRIBUTING.md"]
    return places | {path: path.relative_to(ROOT) for path in beside}


def published(lessons: Path) -> dict[str, Path]:
    """Return each lesson by the name of its page: as executed in a folder, or as published."""
    found = {path.name: path for path in [*course.lessons(), *lessons.glob("[0-9][0-9]*_*.ipynb")]}
    return {re.sub(r"[^\w.-]", "_", found[name].stem): found[name] for name in sorted(found)}


def with_links(text: str, *, source: Path, places: dict[Path, Path]) -> str:
    """Let relative links of a page lead to pages of the site, or else to the repository's files.

    What does not exist stays as it is, and Sphinx complains of it.
    """
    here = (ROOT / places.get(source, source.relative_to(ROOT))).parent

    def lead(link: re.Match[str]) -> str:
        target = Path(os.path.normpath(source.parent / link[1]))
        page = target / "README.md" if (target / "README.md").is_file() else target
        staged = page.suffix in {"notebooks": [".ipynb"], "images": [".png", ".svg"]}.get(
            page.parent.name, ()
        )
        if page in places or staged:
            place = ROOT / places.get(page, page.relative_to(ROOT))
            return f"]({os.path.relpath(place, here)}{link[2] or ''})"
        if target.exists() and target.is_relative_to(ROOT):
            return f"]({REPOSITORY}/blob/main/{target.relative_to(ROOT).as_posix()})"
        return link[0]

    return LINK.sub(lead, text)


def contents(lessons: dict[str, Path]) -> str:
    """Return the table of contents, which every page shows at its side."""
    parts = {part: [] for part in readme.PARTS}
    for stem, path in lessons.items():
        parts[readme.part_of(path)].append(f"notebooks/{stem}")
    trees = {"Begin": ["start", "platforms", "lessons", "voice/index", "recipes"], **parts}
    trees["Look up"] = ["notebooks/glossary", "results", "models", "speed", "clusters", "api"]
    trees["Look up"] += ["troubleshooting"]
    data = sorted(
        str(place.with_suffix("")) for place in page_places().values() if "data" in place.parts
    )
    trees["About"] = ["citing", "licences", *data, "CONTRIBUTING", "releasing"]
    blocks = [
        "\n".join(["```{toctree}", ":hidden:", f":caption: {caption}", "", *pages, "```"])
        for caption, pages in trees.items()
        if pages
    ]
    return "\n\n".join(blocks)


def public_modules() -> list[str]:
    """Return the names of the modules that the package offers."""
    return [name for name in sercourse.__all__ if inspect.ismodule(getattr(sercourse, name))]


def modules_table() -> str:
    """Return what each public module is for, with links to their pages."""
    names = public_modules()
    told = [(inspect.getdoc(getattr(sercourse, name)) or "").partition("\n\n")[0] for name in names]
    rows = [
        [f"[`{n}`](api/{n}.rst)", " ".join(t.split())] for n, t in zip(names, told, strict=True)
    ]
    tree = "\n".join(["```{toctree}", ":hidden:", "", *(f"api/{name}" for name in names), "```"])
    return f"{readme.table(('Module', 'What it does'), rows)}\n\n{tree}"


def api_page(name: str) -> str:
    """Return the page of one module: a table of what it offers, and the docstring of each."""
    module = importlib.import_module(name)
    listed = getattr(module, "__all__", None) or [
        each
        for each, value in vars(module).items()
        if not each.startswith("_") and getattr(value, "__module__", "").startswith(name)
    ]
    offered = [each for each in listed if not inspect.ismodule(getattr(module, each))]
    lines = [name, "=" * len(name), "", f".. automodule:: {name}", f".. currentmodule:: {name}", ""]
    lines += [".. autosummary::", "", *(f"   {each}" for each in offered), ""]
    for each in offered:
        value = getattr(module, each)
        kind = "class" if inspect.isclass(value) else "function" if callable(value) else "data"
        option = {"class": ["   :members:"], "data": ["   :no-value:"]}.get(kind, [])
        lines += [f".. auto{kind}:: {each}", *option, ""]
    return "\n".join(lines)


def sphinx(pages: Path, out: Path) -> int:
    """Run Sphinx, to which every warning is an error; all pages are written in any case."""
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-c", str(DOCS), "-E", "-q"]
    command += ["-W", "--keep-going", "-j", "auto", "-d", str(pages / ".doctrees")]
    return subprocess.run([*command, str(pages), str(out)], check=False).returncode


def build_voice(out: Path, *, npm: bool) -> int:
    """Add what the page that hears a voice loads; without Node it says so, and lacks the model."""
    command = [sys.executable, str(ROOT / "tools" / "voice_page.py"), str(out / "voice")]
    command += [] if npm else ["--no-npm"]
    return subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode


if __name__ == "__main__":
    raise SystemExit(main())
