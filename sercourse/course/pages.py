"""Executed notebooks as HTML pages, and the page that lists them."""

from __future__ import annotations

import html
import re
from pathlib import Path
from string import Template

from nbformat import NotebookNode

from sercourse.course.lesson import code_cells, describe, is_widget, read
from sercourse.files import atomic_path

_INDEX = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Speech emotion recognition: the lessons</title>
<style>
  :root { color-scheme: light dark; --line: #8884; --quiet: #888; --link: #2a6fb0; --bad: #c33; }
  @media (prefers-color-scheme: dark) { :root { --link: #7db8ec; --bad: #f77; } }
  body { font: 17px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 3rem auto;
         padding: 0 1.2rem; }
  h1 { font-size: 1.7rem; line-height: 1.2; margin-bottom: .3rem; }
  p { margin: .2rem 0; }
  ol { list-style: none; padding: 0; margin: 2rem 0; }
  li { border-top: 1px solid var(--line); padding: .9rem 0; }
  a { color: var(--link); font-weight: 600; text-decoration: none; }
  a:hover { text-decoration: underline; }
  .quiet { color: var(--quiet); font-size: .88rem; }
  .failed { color: var(--bad); font-weight: 600; }
</style>
</head>
<body>
<h1>Speech emotion recognition</h1>
<p class="quiet">$summary</p>
<ol>
$items
</ol>
</body>
</html>
""")

_ITEM = Template("""<li>
  <a href="$page">$title</a>
  <p>$promise</p>
  <p class="quiet">$time · $status · <a href="$notebook">notebook</a></p>
</li>""")


def write_page(executed: Path, *, pictures: Path) -> Path:
    """Write the HTML page of an executed notebook beside it.

    Pictures are embedded; the links to them are relative to the folder `pictures`.
    """
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(template_name="lab", embed_images=True)
    metadata = {"name": executed.stem, "path": str(pictures)}
    notebook = _without_widgets(_hide_folds(read(executed)))
    body, _ = exporter.from_notebook_node(notebook, resources={"metadata": metadata})
    body = re.sub(r"<!--(/?)details-->", r"<\1details>", body)
    page = executed.with_suffix(".html")
    with atomic_path(page) as temporary:
        temporary.write_text(body, "utf-8")
    return page


def write_index(folder: Path) -> Path:
    """Write `index.html`: a list of every executed notebook of the folder."""
    executed = [path for path in sorted(folder.glob("*.ipynb")) if _run_of(path)]
    failed = sum(bool(_run_of(path).get("exception")) for path in executed)
    summary = f"Lessons run: {len(executed)}" + (f", failed: {failed}" if failed else "")
    items = "\n".join(_item(path) for path in executed)
    with atomic_path(folder / "index.html") as temporary:
        temporary.write_text(_INDEX.substitute(summary=summary, items=items), "utf-8")
    return folder / "index.html"


def _hide_folds(notebook: NotebookNode) -> NotebookNode:
    """Turn folds into comments: embedding pictures, nbconvert would close them where they open."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = re.sub(r"<(/?)details>", r"<!--\1details-->", cell.source)
    return notebook


def _without_widgets(notebook: NotebookNode) -> NotebookNode:
    """Drop widgets: a page would show buttons that nobody answers."""
    notebook.metadata.pop("widgets", None)
    for cell in code_cells(notebook):
        cell.outputs = [output for output in cell.outputs if not is_widget(output)]
    return notebook


def _item(executed: Path) -> str:
    lesson, run = describe(executed), _run_of(executed)
    failed = run.get("exception")
    return _ITEM.substitute(
        page=executed.with_suffix(".html").name,
        notebook=executed.name,
        title=_as_html(lesson.title),
        promise=_as_html(lesson.promise),
        time=f"{run.get('duration') or 0:.0f} s",
        status='<span class="failed">failed</span>' if failed else "ran to its end",
    )


def _run_of(executed: Path) -> dict[str, object]:
    """Return what papermill noted about the run: duration [s], exception."""
    return read(executed).metadata.get("papermill", {})


def _as_html(text: str) -> str:
    """Render the little Markdown that a title or promise has: code, emphasis, links."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", html.escape(text))
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
    return re.sub(r"\*{1,2}([^*]+)\*{1,2}", r"<em>\1</em>", text)
