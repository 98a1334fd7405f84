"""The README does what it says: its recipes run as printed, its tables and links hold."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import readme

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")
PAGES = readme.pages(ROOT)
MARKED_PAGES = ("README.md", "docs/recipes.md", "docs/troubleshooting.md")
PAGES_ONLY = {"voice/index"}
MARKED = "".join((ROOT / name).read_text("utf-8") for name in MARKED_PAGES)
RECIPES = {
    name: (language, code)
    for name, language, code in re.findall(
        r"<!-- recipe: ([\w-]+) -->\s*```(bash|python)\n(.*?)```", MARKED, re.DOTALL
    )
}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a copy of what a reader has in a clone; recipes may write into it."""
    for name in ("notebooks", "models", "images", "data/sample"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name)
    return tmp_path


def test_every_recipe_is_found() -> None:
    assert MARKED.count("<!-- recipe:") == len(RECIPES) >= 5


def test_the_readme_is_short_and_its_contents_lead_somewhere() -> None:
    assert len(README.splitlines()) < 200
    headings = re.findall(r"^## (.*)$", README, re.MULTILINE)
    anchors = {heading.lower().replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([\w-]+)\)", README)) == anchors


@pytest.mark.notebook
@pytest.mark.parametrize("name", RECIPES)
def test_recipe_runs_as_printed(name: str, clone: Path) -> None:
    language, code = RECIPES[name]
    if language == "bash" and os.name == "nt":
        pytest.skip("this recipe is written for bash")  # that of Windows is another system's
    shell = ["bash", "-euo", "pipefail", "-c", code]
    command = shell if language == "bash" else [sys.executable, "-c", code]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=clone,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_two_commands_exist() -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    printed = set(re.findall(r"^make ([a-z]+)", README, re.MULTILINE))
    assert {"course", "test"} <= printed <= set(targets)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_inside_the_repository_lead_somewhere(page: Path) -> None:
    text = page.read_text("utf-8")
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text) + re.findall(r'src="([^"]+)"', text)
    local = [link for link in links if "://" not in link and link not in PAGES_ONLY]
    assert not [link for link in local if not (page.parent / link).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tables_are_current(page: Path) -> None:
    told = readme.updated(page, root=ROOT)
    assert told == page.read_text("utf-8"), "run python tools/readme.py"


def test_blocks_of_deeper_pages_lead_back_up(tmp_path: Path) -> None:
    shutil.copytree(
        ROOT / "models",
        tmp_path / "models",
        ignore=lambda _, names: [
            name for name in names if name.endswith((".onnx", ".csv", ".keras"))
        ],
    )
    page = tmp_path / "docs" / "models.md"
    page.parent.mkdir()
    page.write_text("<!-- models:begin -->\n<!-- models:end -->\n")
    assert "[ravdess-svm](../models/ravdess-svm)" in readme.updated(page, root=tmp_path)


def test_models_table_compares_the_same_emotions(tmp_path: Path) -> None:
    def entry(protocol: str, accuracy: float, emotions: str, **more: object) -> dict[str, object]:
        return {
            "protocol": protocol,
            "accuracy": accuracy,
            "emotions": list(emotions),
            "chance": 0.25,
            **more,
        }

    kept = {
        "ravdess-a": [entry("speaker", 0.6, "abcd", accuracy_interval=[0.5, 0.7])],
        "ravdess-b": [
            entry("speaker", 0.7, "abcd", accuracy_interval=[0.6, 0.8]),
            entry("random", 0.9, "abcd", accuracy_sd=0.01),
            entry("speaker+enrol", 0.75, "abcd"),
        ],
    }
    kept["ravdess-a"].append(entry("random", 0.9, "abc", accuracy_sd=0.01))
    for name, protocols in kept.items():
        (tmp_path / "models" / name).mkdir(parents=True)
        told = {"corpus": "ravdess", "protocols": protocols}
        told |= {"conditions": {"mean_loss": 0.08}} if name == "ravdess-b" else {}
        (tmp_path / "models" / name / "metrics.json").write_text(json.dumps(told))
    b, a = readme.models_table(tmp_path).splitlines()[2:]
    assert b.endswith("| 4 | 70.0 (60.0 to 80.0) | 90.0 ± 1.0 | 75.0 | 8.0 | 25.0 |")
    assert a.endswith("| 4 | 60.0 (50.0 to 70.0) |  |  |  | 25.0 |")


def test_results_table_shows_protocols_with_their_spread(tmp_path: Path) -> None:
    entry = {"emotions": list("abc"), "uar": 0.5, "macro_f1": 0.49, "chance": 0.4}
    metrics = {
        "recipe": "svm",
        "corpus": "ravdess",
        "protocols": [
            {**entry, "protocol": "random", "accuracy": 0.8123, "accuracy_sd": 0.0161},
            {**entry, "protocol": "speaker", "accuracy": 0.6, "accuracy_interval": [0.55, 0.65]},
        ],
    }
    (tmp_path / "ravdess-svm").mkdir()
    (tmp_path / "ravdess-svm" / "metrics.json").write_text(json.dumps(metrics))
    link = "[ravdess-svm](models/ravdess-svm)"
    assert readme.results_table(tmp_path).splitlines()[2:] == [
        f"| {link} | ravdess | 3 | random | 81.2 ± 1.6 | 50.0 | 49.0 | 40.0 |",
        f"| {link} | ravdess | 3 | speaker | 60.0 (55.0 to 65.0) | 50.0 | 49.0 | 40.0 |",
    ]


def test_conditions_table_shows_what_is_lost(tmp_path: Path) -> None:
    assert "No model was measured" in readme.conditions_table(tmp_path)
    parts = {"as recorded": {"accuracy": 0.7}, "room": {"accuracy": 0.6}}
    for name, more in (("a", {}), ("b", {"conditions": {"conditions": parts, "mean_loss": 0.1}})):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.json").write_text(json.dumps({"protocols": [], **more}))
    assert readme.conditions_table(tmp_path).splitlines() == [
        "| Model | as recorded | room | Mean loss, points |",
        "| --- | --- | --- | --- |",
        "| `b` | 70.0 | 60.0 | 10.0 |",
    ]


def test_leaderboard_shows_results_that_are_kept(tmp_path: Path) -> None:
    def entry(protocol: str, accuracy: float, **more: object) -> dict[str, object]:
        return {"protocol": protocol, "accuracy": accuracy, "ece": 0.04, **more}

    cost = {"parameters": 1234, "features_ms": 8.0, "model_ms": 0.5}
    kept = {
        "svm": [entry("random", 0.8), entry("speaker", 0.725, accuracy_interval=[0.7, 0.75])],
        "best": [entry("speaker", 0.8, accuracy_interval=[0.75, 0.85])],
        "known": [entry("random", 0.9)],
    }
    for name, protocols in kept.items():
        (tmp_path / f"ravdess-{name}").mkdir()
        told = {"recipe": name, "cost": cost, "protocols": protocols}
        (tmp_path / f"ravdess-{name}" / "metrics.json").write_text(json.dumps(told))
    assert readme.leaderboard_table(tmp_path, "ravdess").splitlines()[2:] == [
        "| `best` | 80.0 (75.0 to 85.0) |  | 0.040 | 1,234 | 8.5 |",
        "| `svm` | 72.5 (70.0 to 75.0) | 80.0 | 0.040 | 1,234 | 8.5 |",
    ]


def test_a_block_is_replaced_and_a_missing_one_is_named() -> None:
    text = "a\n<!-- results:begin -->\nold\n<!-- results:end -->\nb"
    new = readme.replace_block(text, name="results", content=r"new \1")
    assert new == "a\n<!-- results:begin -->\nnew \\1\n<!-- results:end -->\nb"
    with pytest.raises(ValueError, match="lessons:begin"):
        readme.replace_block(text, name="lessons", content="")
