"""Write the tables of README.md from what they tell about.

`python tools/readme.py` rewrites them in place; `--check` only says whether they are current.
The results come from `models/*/metrics.json`, the lessons from the notebooks' first cells.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from sercourse import course
from sercourse.files import atomic_path

ROOT = Path(__file__).resolve().parent.parent
RESULTS_HEAD = (
    "Model",
    "Corpus",
    "Emotions",
    "Protocol",
    "Accuracy %",
    "UAR %",
    "F1 %",
    "Chance %",
)
LESSONS_HEAD = ("Lesson", "What you get", "Time (sample; full corpus)")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in lines)


def results_table(models: Path) -> str:
    """Return the table of results: a row for each protocol and label set of each model."""
    rows = []
    for path in sorted(models.glob("*/metrics.json")):
        metrics = json.loads(path.read_text("utf-8"))
        rows += [result_row(path.parent.name, metrics, entry) for entry in metrics["protocols"]]
    return table(RESULTS_HEAD, rows) if rows else "No trained model is here yet."


def result_row(model: str, metrics: dict[str, Any], entry: dict[str, Any]) -> list[str]:
    """Return the row of one protocol."""
    return [
        f"[{model}](models/{model})",
        metrics["corpus"],
        str(len(entry["emotions"])),
        entry["protocol"],
        f"{percent(entry['accuracy'])} {spread(entry)}".strip(),
        percent(entry["uar"]),
        percent(entry["macro_f1"]),
        percent(entry["chance"]),
    ]


def spread(entry: dict[str, Any]) -> str:
    """Return the interval over speakers, or the standard deviation over repeats."""
    if "accuracy_interval" in entry:
        low, high = entry["accuracy_interval"]
        return f"({percent(low)} to {percent(high)})"
    return f"± {percent(entry['accuracy_sd'])}" if entry.get("accuracy_sd") else ""


def percent(share: float) -> str:
    """Return a share as a percentage with one decimal."""
    return f"{100 * share:.1f}"


def lessons_table(notebooks: Path) -> str:
    """Return the table of lessons."""
    rows = []
    for path in sorted(notebooks.glob("[0-9][0-9]_*.ipynb")):
        lesson = course.describe(path)
        rows.append([f"[{lesson.title}](notebooks/{path.name})", lesson.promise, lesson.time])
    return table(LESSONS_HEAD, rows) if rows else "No lesson is here yet."


def replace_block(text: str, *, name: str, content: str) -> str:
    """Replace what stands between `<!-- name:begin -->` and `<!-- name:end -->`."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"README.md has no block between {begin} and {end}")
    return pattern.sub(lambda _: f"{begin}\n{content}\n{end}", text)


def updated(text: str, *, root: Path) -> str:
    """Return the README's text with current tables."""
    text = replace_block(text, name="lessons", content=lessons_table(root / "notebooks"))
    return replace_block(text, name="results", content=results_table(root / "models"))


def main() -> int:
    """Rewrite or check README.md."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--check", action="store_true", help="write nothing; status 1 if not current"
    )
    check = parser.parse_args().check
    readme = ROOT / "README.md"
    old = readme.read_text("utf-8")
    new = updated(old, root=ROOT)
    if check and new != old:
        print("README.md: its tables are not current: run python tools/readme.py", file=sys.stderr)
        return 1
    if new != old:
        with atomic_path(readme) as temporary:
            temporary.write_text(new, "utf-8")
        print("README.md: tables rewritten")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
