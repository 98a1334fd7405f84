"""Lessons 07 and 07b as a reader takes them: JupyterLab in Chromium, a voice, the answer."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import numpy as np
import pytest
import soundfile as sf
from jupyter_browser import Notebook, chromium, jupyter_lab, programs
from real_time import REAL_TIME

from sercourse import audio, bundles

pytestmark = [pytest.mark.browser, *REAL_TIME]

LESSON, STREAM = "07_live_mic.ipynb", "07b_endpointing.ipynb"
SR = 16_000
MODEL = "ravdess-svm"

RECORD = ".sercourse-recorder .record"
MESSAGE = ".sercourse-recorder .message"

# Keeps every picture that a cell shows, also those that it replaces.
WATCH = """
const {node} = window.jupyterapp.shell.currentWidget.content.widgets[arguments[0]];
window.pictures = new Set();
const look = () => node.querySelectorAll('.jp-OutputArea img').forEach(
    image => window.pictures.add(image.src));
new MutationObserver(look).observe(node, {childList: true, subtree: true, attributes: true});
"""


def copied(original: Path, *, to: Path) -> Path:
    """Copy a lesson without outputs into a folder: what is run in it must not be committed."""
    if not original.exists():
        pytest.skip(f"there is no {original}")
    notebook = nbformat.read(original, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(notebook, to / original.name)
    return to / original.name


@pytest.fixture(scope="module")
def lesson(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copied(root / "notebooks" / LESSON, to=tmp_path_factory.mktemp("lesson"))


@pytest.fixture(scope="module")
def spoken(sample_ravdess: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a clip between two pauses, as a microphone hears it; not the lesson's stand-in.

    The pauses are long: on a busy machine the recorder starts and stops later than it is told to.
    """
    y = audio.read(sample_ravdess / "Actor_04" / "03-01-08-02-01-01-04.ogg", sr=48_000)
    path = tmp_path_factory.mktemp("microphone") / "spoken.wav"
    sf.write(path, np.pad(y, 48_000), 48_000, subtype="PCM_16")
    return path


@pytest.fixture(scope="module")
def opened(
    lesson: Path, spoken: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Notebook]:
    """The lesson, run as far as the recorder, in a browser whose microphone plays the clip."""
    programs()  # skips before anything is started
    with (
        jupyter_lab(lesson.parent, scratch=tmp_path_factory.mktemp("jupyter")) as lab,
        chromium(microphone=spoken, size="1000,1200") as window,
    ):
        page = Notebook(window, lab.address(lesson.name))
        run(page, lesson, 0, place(lesson, "recorder = Recorder("))
        yield page


@pytest.fixture
def recorded(opened: Notebook, lesson: Path, spoken: Path, root: Path) -> Notebook:
    """The same, with a new recorder into which somebody has spoken."""
    recorder = place(lesson, "recorder = Recorder(")
    run(opened, lesson, recorder, recorder + 1)
    opened.show(recorder)
    opened.wait_for_text(MESSAGE, "^$")
    opened.click(RECORD)
    opened.wait_for_text(MESSAGE, "Recording from")
    time.sleep(sf.info(spoken).duration + 0.3)
    opened.click(RECORD)
    opened.wait_for_text(MESSAGE, r"[\d.]+ s are in Python")
    opened.screenshot(root / "build" / "browser" / "lesson-07-recorded.png")
    return opened


def place(lesson: Path, text: str) -> int:
    """Return which cell holds a text, the first of those that do."""
    cells = nbformat.read(lesson, as_version=4).cells
    return next(number for number, cell in enumerate(cells) if text in cell.source)


def run(page: Notebook, lesson: Path, start: int, end: int) -> str:
    """Run the cells from `start` until before `end`, none of which may fail; return the text."""
    cells = nbformat.read(lesson, as_version=4).cells[start:end]
    numbers = [n for n, cell in enumerate(cells, start=start) if cell.cell_type == "code"]
    printed = []
    for number in numbers:
        printed.append(page.run(number))
        assert not page.failure(number), cells[number - start].source
    return "\n".join(printed)


def test_what_the_reader_says_is_judged_in_the_next_cells(
    recorded: Notebook, lesson: Path, spoken: Path, root: Path
) -> None:
    after, judging = place(lesson, "recorder = Recorder(") + 1, place(lesson, "## 3. ")
    assert "recorded here: " in run(recorded, lesson, after, judging)
    said = run(recorded, lesson, judging, place(lesson, "## 4. "))
    recorded.show(judging)
    recorded.screenshot(root / "build" / "browser" / "lesson-07-judged.png")
    ((label, percent),) = re.findall(rf"^{MODEL}: (\w+) (\d+)%", said, re.MULTILINE)
    expected = bundles.load(MODEL).predict(audio.read(spoken, sr=SR), sr=SR)
    assert label == max(expected, key=lambda name: expected[name])
    assert float(percent) / 100 == pytest.approx(expected[label], abs=0.15)


def test_the_chart_grows_while_it_listens(
    root: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    programs()  # skips before anything is started
    stream = copied(root / "notebooks" / STREAM, to=tmp_path)
    chart = place(stream, "= follow(")
    with (
        jupyter_lab(tmp_path, scratch=tmp_path_factory.mktemp("jupyter")) as lab,
        chromium(size="1000,1200") as window,
    ):
        page = Notebook(window, lab.address(stream.name))
        run(page, stream, 0, chart)
        page.show(chart)
        window.execute_script(WATCH, chart)
        run(page, stream, chart, chart + 1)
        page.screenshot(root / "build" / "browser" / "lesson-07-over-time.png")
        assert window.execute_script("return window.pictures.size") > 3
