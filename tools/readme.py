"""Write the tables of README.md from what they tell about.

`python tools/readme.py` rewrites them in place; `--check` only says whether they are current.
The results come from `models/*/metrics.json`, the lessons from the notebooks' first cells, and the
leaderboard from `data/results/*/metrics.json`.
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
ENROLMENT_HEAD = ("Model", "Unknown voice %", "Enrolled %", "Gain")
VOICES_HEAD = ("Clips", "Right %", "Sure of %", "Right when sure %")
LEADERBOARD_HEAD = (
    "Recipe",
    "New voices %",
    "Known voices %",
    "Calibration error",
    "Numbers",
    "ms a clip",
)
LESSONS_HEAD = ("Lesson", "What you get", "Time")

PARTS = {
    "Sound and data": 2,
    "A first machine": 3,
    "Networks": 6,
    "Your own voice": 7,
    "Judging models": 99,
}
"""The parts of the course, each with the number of its last lesson."""


def part_of(lesson: Path) -> str:
    """Return the part that a lesson belongs to, by the number that its name begins with."""
    number = int(lesson.name[:2])
    return next(part for part, last in PARTS.items() if number <= last)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in lines)


def results_table(models: Path) -> str:
    """Return the table of results: a row for each protocol and label set of each model."""
    rows = []
    for name, metrics in measured(models):
        rows += [result_row(name, metrics, entry) for entry in metrics["protocols"]]
    return table(RESULTS_HEAD, rows) if rows else "No trained model is here yet."


def enrolment_table(models: Path) -> str:
    """Return what enrolling brings, with and without on the same clips."""
    rows = []
    for name, metrics in measured(models):
        for entry in metrics["protocols"]:
            if plain := entry.get("without_enrolment"):
                low, high = plain["gain_interval"]
                gain = f"{100 * plain['gain']:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"
                enrolled = (
                    f"{percent(entry['accuracy'])} ± {percent(entry['accuracy_sd_of_draws'])}"
                )
                rows.append([f"`{name}`", percent(plain["accuracy"]), enrolled, gain])
    return table(ENROLMENT_HEAD, rows)


def conditions_table(models: Path) -> str:
    """Return the accuracy of each model on unheard voices in each recording condition."""
    told = {name: m["conditions"] for name, m in measured(models) if "conditions" in m}
    if not told:
        return "No model was measured in other conditions yet."
    head = ("Model", *next(iter(told.values()))["conditions"], "Mean loss, points")
    rows = [
        [
            f"`{name}`",
            *(percent(part["accuracy"]) for part in each["conditions"].values()),
            percent(each["mean_loss"]),
        ]
        for name, each in told.items()
    ]
    return table(head, rows)


def selection_list(models: Path) -> str:
    """Return what was known of the test clips before each model was measured on them."""
    return "\n".join(
        f"- `{name}`: {told['candidates_before']} candidates. By hand: {told['by_hand']}. "
        f"Untouched: {told['untouched']}."
        for name, metrics in measured(models)
        if (told := metrics.get("selection"))
    )


def voices_table(models: Path) -> str:
    """Return how often female and male voices are told apart; the bundles share one model."""
    told = next((m["gender"] for _, m in measured(models) if "gender" in m), None)
    if told is None:
        return "No trained model tells voices apart yet."
    parts = [(told["corpus"], told["conditions"])]
    if other := told.get("elsewhere"):
        parts.append((other["corpus"], other["conditions"]))
    return table(
        VOICES_HEAD,
        [
            [
                f"{corpus}, {condition}",
                *(percent(part[key]) for key in ("accuracy", "coverage", "accuracy_sure")),
            ]
            for corpus, conditions in parts
            for condition, part in conditions.items()
        ],
    )


def measured(models: Path) -> list[tuple[str, dict[str, Any]]]:
    """Return the name and the metrics of each model."""
    paths = sorted(models.glob("*/metrics.json"))
    return [(path.parent.name, json.loads(path.read_text("utf-8"))) for path in paths]


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
    if entry.get("accuracy_interval"):
        low, high = entry["accuracy_interval"]
        return f"({percent(low)} to {percent(high)})"
    return f"± {percent(entry['accuracy_sd'])}" if entry.get("accuracy_sd") else ""


def percent(share: float) -> str:
    """Return a share as a percentage with one decimal."""
    return f"{100 * share:.1f}"


def leaderboard_table(results: Path, corpus: str) -> str:
    """Return every recipe whose answers on a corpus are kept, the most accurate first."""
    found = [
        json.loads(each.read_text("utf-8")) for each in results.glob(f"{corpus}-*/metrics.json")
    ]
    rows = []
    for told in found:
        entries = {each["protocol"]: each for each in told["protocols"]}
        if "speaker" in entries:
            known = entries.get("random" if corpus == "ravdess" else "recording")
            rows.append((told, entries["speaker"], known))
    rows.sort(key=lambda row: (-row[1]["accuracy"], row[0]["recipe"]))
    return table(LEADERBOARD_HEAD, [leaderboard_row(*row) for row in rows])


def leaderboard_row(
    told: dict[str, Any], new: dict[str, Any], known: dict[str, Any] | None
) -> list[str]:
    """Return the row of one recipe; what was not measured stays empty."""
    cost = told["cost"]
    return [
        f"`{told['recipe']}`",
        f"{percent(new['accuracy'])} {spread(new)}",
        "" if known is None else percent(known["accuracy"]),
        f"{new['ece']:.3f}",
        f"{cost['parameters']:,.0f}",
        f"{cost['features_ms'] + cost['model_ms']:.1f}",
    ]


def lessons_table(notebooks: Path) -> str:
    """Return the table of lessons."""
    rows = []
    for path in sorted(notebooks.glob("[0-9][0-9]*_*.ipynb")):
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
    text = replace_block(text, name="results", content=results_table(root / "models"))
    for name, made in (
        ("enrolment", enrolment_table),
        ("conditions", conditions_table),
        ("selection", selection_list),
        ("voices", voices_table),
    ):
        text = replace_block(text, name=name, content=made(root / "models"))
    for corpus in ("ravdess", "aesdd"):
        board = leaderboard_table(root / "data" / "results", corpus)
        text = replace_block(text, name=f"leaderboard-{corpus}", content=board)
    return text


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
