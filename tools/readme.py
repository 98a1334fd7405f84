"""Write the tables of README.md and of the site's pages from what they tell about.

`python tools/readme.py` rewrites them in place; `--check` only says whether they are current.
The results come from `models/*/metrics.json`, the lessons from the notebooks' first cells, and the
leaderboard from `data/results/*/metrics.json`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
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
MODELS_HEAD = (
    "Model",
    "Corpus",
    "Emotions",
    "New voices %",
    "Known voices %",
    "Enrolled %",
    "Lost, points",
    "Chance %",
)
LESSONS_HEAD = ("Lesson", "What you get", "Time")

# **Needs:** x · **Produces:** y · **Time:** z, with any emphasis
_NEEDS_LINE = re.compile(
    r"^[*_]*Needs[*_:\s]+(?P<needs>.*?)[\s·|;,.*_]*"
    r"Produces[*_:\s]+(?P<produces>.*?)[\s·|;,.*_]*"
    r"Time[*_:\s]+(?P<time>.*?)[*_.\s]*$",
    re.MULTILINE,
)


PARTS = {
    "Sound and data": 2,
    "A first machine": 3,
    "Networks": 6,
    "Your own voice": 7,
    "Judging models": 99,
}
"""The parts of the course, each with the number of its last lesson."""


@dataclass(frozen=True)
class Lesson:
    """What the first cell of a lesson says."""

    notebook: Path
    title: str
    promise: str
    needs: str = ""
    produces: str = ""
    time: str = ""


def describe(path: str | Path) -> Lesson:
    """Read title, promise and requirements from the first cell of a lesson.

    The cell has `# NN · Title`, one paragraph of promise, and a line
    `**Needs:** ... · **Produces:** ... · **Time:** ...`; what is missing is an empty string.
    """
    headed = (
        cell.source
        for cell in course.read(path).cells
        if cell.cell_type == "markdown" and cell.source.startswith("# ")
    )
    title, _, text = next(headed, f"# {Path(path).stem}").partition("\n")
    paragraphs = [" ".join(each.split()) for each in re.split(r"\n\s*\n", text)]
    badges = ("[!", "!", "<")
    prose = [each for each in paragraphs if each and not each.startswith(badges)]
    promise = next((each for each in prose if not _NEEDS_LINE.search(each)), "")
    line = _NEEDS_LINE.search(text)
    return Lesson(
        Path(path), title.removeprefix("# ").strip(), promise, **line.groupdict() if line else {}
    )


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
        f"{percent(known['accuracy'])} {spread(known)}".strip() if known else "",
        f"{new['ece']:.3f}",
        f"{cost['parameters']:,.0f}",
        f"{cost['features_ms'] + cost['model_ms']:.1f}",
    ]


def models_table(root: Path) -> str:
    """Return the short table: a row for each model, the best on new voices of a corpus first."""
    rows = []
    for name, metrics in measured(root / "models"):
        entries: dict[str, dict[str, Any]] = {}
        for entry in metrics["protocols"]:
            entries.setdefault(entry["protocol"], entry)  # of all emotions before fewer
        new = entries["speaker"]
        known = entries.get("random") or entries.get("recording")
        if known and known["emotions"] != new["emotions"]:
            known = None  # of fewer emotions: no comparison
        enrolled = entries.get("speaker+enrol")
        figures = [
            f"{percent(new['accuracy'])} {spread(new)}",
            f"{percent(known['accuracy'])} {spread(known)}" if known else "",
            percent(enrolled["accuracy"]) if enrolled else "",
            percent(metrics["conditions"]["mean_loss"]) if "conditions" in metrics else "",
            percent(new["chance"]),
        ]
        row = [f"[{name}](models/{name})", metrics["corpus"], str(len(new["emotions"])), *figures]
        rows.append((metrics["corpus"], -new["accuracy"], row))
    return table(MODELS_HEAD, [row for *_, row in sorted(rows)])


def finding(root: Path) -> str:
    """Return in two sentences what the course finds."""
    told = dict(measured(root / "models"))
    best = {entry["protocol"]: entry for entry in reversed(told["ravdess-whisper"]["protocols"])}
    new, known = best["speaker"], best["random"]
    far = next(e for e in told["any-voice"]["protocols"] if e["protocol"] == "corpus")
    low, high = (percent(end) for end in new["accuracy_interval"])
    return (
        f"The model that scores highest names {percent(known['accuracy'])} % of "
        f"{len(known['emotions'])} acted emotions rightly if it knows the voices, and "
        f"**{percent(new['accuracy'])} %** ({low} to {high}) if it has never heard them; chance is "
        f"{percent(new['chance'])} %. A model that learnt from one corpus is right in "
        f"{percent(far['accuracy'])} % of five emotions in the other, in another language and room "
        f"(chance {percent(far['chance'])} %)."
    )


def lessons_table(notebooks: Path) -> str:
    """Return the table of lessons, part by part."""
    rows, parts = [], []
    for path in sorted(notebooks.glob("[0-9][0-9]*_*.ipynb")):
        lesson, part = describe(path), part_of(path)
        if part not in parts:
            parts.append(part)
            rows.append([f"**Part {len(parts)}: {part}**", "", ""])
        rows.append([f"[{lesson.title}](notebooks/{path.name})", lesson.promise, lesson.time])
    return table(LESSONS_HEAD, rows) if rows else "No lesson is here yet."


def path_through(notebooks: Path) -> str:
    """Return how long the course takes, and how much of it is the core."""
    times = [describe(path).time for path in sorted(notebooks.glob("[0-9][0-9]*_*.ipynb"))]
    minutes = [int(time.partition(" ")[0]) for time in times]
    core = [m for m, time in zip(minutes, times, strict=True) if time.endswith("core")]
    return (
        f"The core is {len(core)} lessons, {sum(core) / 60:.0f} hours of reading; all "
        f"{len(times)} take {sum(minutes) / 60:.0f}. Exercises come on top."
    )


def replace_block(text: str, *, name: str, content: str) -> str:
    """Replace what stands between `<!-- name:begin -->` and `<!-- name:end -->`."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"the page has no block between {begin} and {end}")
    return pattern.sub(lambda _: f"{begin}\n{content}\n{end}", text)


BLOCKS: Mapping[str, Callable[[Path], str]] = {
    "finding": finding,
    "path": lambda root: path_through(root / "notebooks"),
    "lessons": lambda root: lessons_table(root / "notebooks"),
    "models": models_table,
    "results": lambda root: results_table(root / "models"),
    "enrolment": lambda root: enrolment_table(root / "models"),
    "conditions": lambda root: conditions_table(root / "models"),
    "selection": lambda root: selection_list(root / "models"),
    "voices": lambda root: voices_table(root / "models"),
    "leaderboard-ravdess": lambda root: leaderboard_table(root / "data" / "results", "ravdess"),
    "leaderboard-aesdd": lambda root: leaderboard_table(root / "data" / "results", "aesdd"),
}
"""What stands between `<!-- name:begin -->` and `<!-- name:end -->` in a page."""


def pages(root: Path) -> list[Path]:
    """Return the pages that hold generated blocks."""
    return [root / "README.md", *sorted((root / "docs").glob("*.md"))]


def updated(page: Path, *, root: Path) -> str:
    """Return the text of a page with current blocks, whose links lead on from its folder."""
    text = page.read_text("utf-8")
    up = "../" * len(page.parent.relative_to(root).parts)
    for name in re.findall(r"<!-- ([\w-]+):begin -->", text):
        content = re.sub(r"\]\((?=models/|notebooks/)", f"]({up}", BLOCKS[name](root))
        text = replace_block(text, name=name, content=content)
    return text


def main() -> int:
    """Rewrite or check the pages."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--check", action="store_true", help="write nothing; status 1 if not current"
    )
    check = parser.parse_args().check
    status = 0
    for page in pages(ROOT):
        new, name = updated(page, root=ROOT), page.relative_to(ROOT)
        if new == page.read_text("utf-8"):
            continue
        if check:
            print(
                f"{name}: its tables are not current: run python tools/readme.py", file=sys.stderr
            )
            status = 1
        else:
            with atomic_path(page) as temporary:
                temporary.write_text(new, "utf-8")
            print(f"{name}: tables rewritten")
    return status


if __name__ == "__main__":
    raise SystemExit(main())
