"""The runner of lessons, on notebooks of a few cells."""

from __future__ import annotations

import io
import json
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import publish
import pytest
from matplotlib.colors import to_rgb
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image
from readme import describe

from conftest import Command
from sercourse import course, files, plots
from sercourse.course import assign, code_hash, parameter_names, read

FIRST = """# 01 · A *small* lesson

[![Open in Colab](badge.svg)](https://colab.example)

Shows `one` thing
and only that.

**Needs:** nothing · **Produces:** `a.npz` · **Time:** 1 s; 2 min
"""
PARAMETERS = "seed = 0  # any integer\ndata_dir = None  # None: the sample corpora"
WHERE = "import os, sys; print(seed, sys.executable, os.getcwd())"

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Return a maker of notebooks: a title, a cell of parameters, and the given code."""

    def _make(*sources: str, name: str = "01_small.ipynb", parameters: str = PARAMETERS) -> Path:
        cells = [
            new_markdown_cell(FIRST),
            new_code_cell(parameters, metadata={"tags": ["parameters"]}),
            *map(new_code_cell, sources),
        ]
        path = tmp_path / "lessons" / name
        path.parent.mkdir(exist_ok=True)
        nbformat.write(new_notebook(cells=cells), path)
        return path

    return _make


@pytest.fixture
def corpora(tmp_path: Path) -> Path:
    """Return a folder that is laid out as the one with the real corpora."""
    folder = tmp_path / "corpora"
    (folder / "ravdess" / "Actor_01").mkdir(parents=True)
    (folder / "aesdd").mkdir()
    return folder


def printed(path: Path) -> str:
    outputs = [out for cell in read(path).cells for out in cell.get("outputs", [])]
    return "".join(out.get("text", "") for out in outputs)


def test_first_cell_is_described(make: Make) -> None:
    lesson = describe(make())
    assert lesson.title == "01 · A *small* lesson"
    assert lesson.promise == "Shows `one` thing and only that."
    assert (lesson.needs, lesson.produces, lesson.time) == ("nothing", "`a.npz`", "1 s; 2 min")


def test_lessons_are_found_by_number_stem_and_path(make: Make) -> None:
    second, first = make(name="02_b.ipynb"), make(name="01_a.ipynb")
    make(name="scratch.ipynb")
    folder = first.parent
    assert course.lessons(folder) == [first, second]
    assert course.find(["2", "02", "02_b", str(second)], folder=folder) == [second]
    with pytest.raises(LookupError, match=r"no lesson '07'.*01_a, 02_b"):
        course.find(["07"], folder=folder)
    with pytest.raises(FileNotFoundError, match=r"no notebook nowhere.ipynb"):
        course.find(["nowhere.ipynb"], folder=folder)
    with pytest.raises(FileNotFoundError, match="from a clone"):
        course.lessons(folder.parent)


def changed_notebooks() -> list[str]:
    """Return JSON that is no notebook, or one of which a part is of another kind."""
    cell = {"cell_type": "code", "id": "a", "source": "x", "outputs": [], "execution_count": None}
    whole = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}}
    whole |= {"cells": [{**cell, "metadata": {"tags": ["a"]}}]}
    found: list[object] = [5, [], None, {}]
    for odd in (None, 0.5, [5], "DEEP"):
        found += [whole | {name: odd} for name in ("nbformat", "nbformat_minor", "cells")]
        found += [whole | {"cells": [odd]}]
        for name in ("cell_type", "id", "source", "outputs", "metadata"):
            found += [whole | {"cells": [{**whole["cells"][0], name: odd}]}]
        found += [whole | {"cells": [{**cell, "metadata": {"tags": odd}}]}]
    deep = "[" * 5000 + "]" * 5000
    return [json.dumps(each).replace('"DEEP"', deep) for each in found]


def test_a_notebook_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "01_text.ipynb"
    for content in changed_notebooks():
        path.write_text(content)
        with pytest.raises(ValueError, match=r"01_text.ipynb is not a notebook: .*") as said:
            course.stale([path])
        assert "\n" not in str(said.value)


@pytest.mark.parametrize("mark", [5, [], "x", {}])
def test_a_mark_that_is_none_is_no_publication(mark: object, tmp_path: Path) -> None:
    notebook = nbformat.v4.new_notebook(metadata={"sercourse": mark})
    output = nbformat.v4.new_output("stream", text="1")
    notebook.cells = [nbformat.v4.new_code_cell("print(1)", outputs=[output])]
    course.write(notebook, tmp_path / "01_a.ipynb")
    assert course.stale([tmp_path / "01_a.ipynb"])


def test_a_file_that_is_no_notebook_is_named(tmp_path: Path) -> None:
    path = tmp_path / "01_text.ipynb"
    path.write_text("not JSON")
    with pytest.raises(ValueError, match=r"01_text.ipynb is not a notebook"):
        read(path)


def test_parameters_go_to_the_notebooks_that_know_them(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refuse: Callable[..., str]
) -> None:
    monkeypatch.chdir(tmp_path)
    odd = make("other = 1", name="02_b.ipynb", parameters="a: int = 1\nb = [\n    2,\n]  # lines")
    assert parameter_names(read(odd)) == ["a", "b"]
    one = make("print(seed)")
    given = assign([one, odd], parameters={"seed": 7, "a": 1, "data_dir": "data"})
    assert given == {one: {"seed": 7, "data_dir": str(tmp_path / "data")}, odd: {"a": 1}}
    assert assign([one], parameters={"data_dir": None})[one] == {"data_dir": None}
    said = refuse("run", one, "--out", tmp_path / "out", "-p", "sede", "1")
    assert "'sede' for 01_small: known are seed, data_dir" in said
    assert not (tmp_path / "out").exists()


def test_run_keeps_the_executed_notebook(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    path, out = make(WHERE), tmp_path / "out"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    assert command("run", path, "-p", "seed", "5", "--out", "out").status == 0
    executed = out / "01_small.ipynb"
    assert printed(executed).split() == ["5", sys.executable, str(path.parent)]
    assert all(cell.metadata.get("tags") != [] for cell in read(executed).cells)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="holds the notebooks themselves"):
        course.run(path, out=path.parent)
    assert path.read_bytes() == before


def test_lessons_side_by_side_compile_each_for_itself(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERCOURSE_CACHE", str(tmp_path / "cache"))
    for own in (None, "of the user"):
        monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
        if own is not None:
            monkeypatch.setenv("NUMBA_CACHE_DIR", own)
        path = make("import os; print(os.environ['NUMBA_CACHE_DIR'])")
        executed = course.run(path, out=tmp_path / "out").executed
        wanted = str(tmp_path / "cache" / "numba" / "01_small") if own is None else own
        assert printed(executed).strip() == wanted


def test_a_failing_cell_is_told_and_the_others_run(
    make: Make, tmp_path: Path, command: Command
) -> None:
    bad = make("print('before')", "1 / 0", "print('after')", name="01_bad.ipynb")
    dead = make("import os\nos._exit(1)", name="02_dead.ipynb")
    good = make("print('fine')", name="03_good.ipynb")
    out = tmp_path / "out"
    status, told, _ = command("run", bad, dead, good, "--out", out, "-p", "seed", "1")
    assert status == 1
    # The cell that papermill adds does not count: this is the author's third code cell.
    assert "01_bad.ipynb, code cell 3 (1 / 0): ZeroDivisionError: division by zero" in told
    assert "02_dead.ipynb: the kernel died, most often for lack of memory" in told
    assert re.search(r"^\d/3  03_good  \d+\.\d s  ok$", told, re.MULTILINE)
    assert printed(out / "01_bad.ipynb").strip() == "before"
    assert "fine" in printed(out / "03_good.ipynb")
    told = [read(out / path.name).metadata["papermill"]["exception"] for path in (bad, dead, good)]
    assert told == [True, True, False]
    assert describe(out / bad.name).title == "01 · A *small* lesson"  # not papermill's red note


@pytest.mark.parametrize("sound", [False, True])
def test_sound_stays_only_where_it_may(sound: bool) -> None:
    player = '<audio controls><source src="data:audio/wav;base64,AAAA"></audio>'
    data = {"text/html": player, "text/plain": publish.AUDIO_REPR}
    cell = new_code_cell("Audio(y)", outputs=[new_output("execute_result", data=data)])
    notebook = new_notebook(cells=[cell])
    publish.clean(notebook, name="x", placeholders={}, sound=sound)
    assert ("data:audio" in str(notebook.cells[0].outputs)) is sound


def test_of_a_quiz_only_a_hint_is_published() -> None:
    script = new_output("display_data", data={"application/javascript": "ask()"})
    cell = new_code_cell("exercises.quiz('x')", outputs=[script], metadata={"tags": ["quiz"]})
    publish.clean(new_notebook(cells=[cell]), name="x", placeholders={})
    (left,) = cell.outputs
    assert left.data == {"text/plain": publish.QUIZ}


def test_streams_are_joined_and_overwritten_lines_dropped() -> None:
    pieces = ["0 %\r", "50 %\r", "100 %\n", "x" * 500_000, "\r\nend\r"]
    outputs = [new_output("stream", name="stdout", text=text) for text in pieces]
    error = new_output("stream", name="stderr", text="oh")
    first, second = course.merge_streams([outputs[0], error, *outputs[1:]])
    assert first.text == f"100 %\n{'x' * 500_000}\nend"
    assert second.text == "oh"


def test_published_outputs_are_clean_and_dated(
    make: Make, corpora: Path, tmp_path: Path, command: Command
) -> None:
    code = [
        "import sys\nfrom pathlib import Path\nprint('oh', file=sys.stderr)\n"
        "Path(data_dir, 'ravdess', 'Actor_01')",
        "from IPython.display import Audio, HTML\nimport numpy as np\n"
        "Audio(np.zeros(800), rate=8000)",
        "HTML(f'<b>{data_dir}</b><audio src=\"data:audio/wav;base64,AAAA\"></audio>')",
        "",
    ]
    path = make(*code)
    done = command("stale", path)
    assert (done.status, done.out) == (1, "01_small.ipynb has never been published\n")
    sources = [cell.source for cell in read(path).cells]
    assert publish.main([str(path), "--corpora", str(corpora), "--out", f"{tmp_path}/p"]) == 0
    notebook = read(path)
    assert [cell.source for cell in notebook.cells] == sources
    text = path.read_text("utf-8")
    for left in (str(tmp_path), "papermill", "stderr", "data:audio/wav;base64,U"):
        assert left not in text.replace("file=sys.stderr", "")
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == [1, 2, 3, 4, None]
    (shown,) = cells[1].outputs
    assert shown.data["text/plain"] == repr(Path("data/ravdess/Actor_01"))
    assert shown.execution_count == 2
    assert cells[2].outputs[0].data == {"text/plain": publish.LISTEN}
    assert cells[3].outputs[0].data["text/html"] == f"<b>data</b>{publish.LISTEN}"
    mark = notebook.metadata["sercourse"]
    assert (mark["corpus"], mark["parameters"]) == (["ravdess"], {"data_dir": "data"})
    assert mark["version"]
    assert mark["seconds"] > 0
    assert mark["code_sha256"] == code_hash(notebook)

    notebook.cells[0].source += "\nMore prose does not age an output."
    nbformat.write(notebook, path)
    assert command("stale", path).status == 0
    notebook.cells[2].source = "print(2)"
    nbformat.write(notebook, path)
    assert "01_small.ipynb has outputs older than its code" in command("stale", path).out


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("print('x' * 500_000)", r"501 kB with its outputs.*code cell 2 alone"),
        ("raise ValueError('no')", "code cell 2 .*ValueError: no"),
        ("print('/home/someone/file.wav')", "a path of this machine"),
    ],
)
def test_what_must_not_be_published_leaves_the_lesson_as_it_was(
    make: Make,
    corpora: Path,
    tmp_path: Path,
    code: str,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = make(code)
    before = path.read_bytes()
    assert publish.main([str(path), "--corpora", str(corpora), "--out", f"{tmp_path}/p"]) == 1
    assert re.search(message, capsys.readouterr().out)
    assert path.read_bytes() == before
    with pytest.raises(SystemExit, match="2"):
        publish.main([str(path), "--corpora", str(tmp_path / "none")])
    assert "the folder that holds ravdess/ and aesdd/" in capsys.readouterr().err


def test_machine_paths_are_told_from_innocent_text() -> None:
    for folder in (Path.home(), tempfile.gettempdir(), "/home/someone", files.home()):
        assert publish.machine_path().search(f"in {folder}/x")
    for text in ("m/s, and/or", "https://zenodo.org/home/x", "</tmp>", "../data/home/x", "~/var/x"):
        assert publish.machine_path().search(text) is None


def test_links_to_corpora_are_replaced_at_both_ends(tmp_path: Path) -> None:
    (tmp_path / "disk" / "r").mkdir(parents=True)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "ravdess").symlink_to(tmp_path / "disk" / "r")
    text = f"{tmp_path}/disk/r/a.wav {tmp_path}/data/ravdess/b.wav {tmp_path}/disk/rest"
    output = new_output("stream", text=text)
    told = publish.cleaned(output, placeholders=publish.placeholders(tmp_path / "data"))
    assert told.text == f"data/ravdess/a.wav data/ravdess/b.wav {tmp_path}/disk/rest"


def test_widgets_timings_and_pictures_are_cleaned() -> None:
    picture = {"image/jpeg": "aGk+/home/x", "application/json": {"deep": ["fine"]}}
    cell = new_code_cell("1", metadata={"execution": {"iopub.execute_input": "2026"}})
    cell.outputs = [
        new_output("display_data", data={publish.WIDGET: {"model_id": "1"}, "text/plain": "bar"}),
        new_output("display_data", data=picture),
    ]
    notebook = new_notebook(cells=[cell], metadata={"widgets": {"state": {}}})
    publish.clean(notebook, name="x", placeholders={})
    (kept,) = notebook.cells[0].outputs
    assert json.loads(json.dumps(kept.data)) == picture
    assert notebook.cells[0].metadata == {}
    assert "widgets" not in notebook.metadata
    kept.data["application/json"] = {"deep": ["/home/x/y"]}
    with pytest.raises(ValueError, match="code cell 1 shows '/home/x/y'"):
        publish.clean(notebook, name="x", placeholders={})


def test_compact_png_is_smaller_and_keeps_the_colour_of_small_marks() -> None:
    fig, ax = plt.subplots()
    rng = np.random.default_rng(0)
    ax.imshow(rng.normal(size=(20, 60)), cmap="magma")
    ax.scatter(np.arange(9), np.arange(9), s=60, color=list(plots.EMOTION_COLOURS.values()))
    full = io.BytesIO()
    fig.savefig(full, format="png", bbox_inches="tight")
    plt.close(fig)
    small = publish.compact_png(full.getvalue())
    assert len(small) < 0.6 * len(full.getvalue())
    before = np.asarray(Image.open(full).convert("RGB")).astype(int)
    picture = Image.open(io.BytesIO(small))
    assert picture.mode == "P"
    after = np.asarray(picture.convert("RGB")).astype(int)
    for colour in plots.EMOTION_COLOURS.values():
        mark = (before == np.round(255 * np.array(to_rgb(colour)))).all(axis=2)
        assert mark.sum() > 20
        assert np.abs(after[mark] - before[mark]).max() <= 25, colour


def test_what_colab_adds_to_a_notebook_is_no_fault(tmp_path: Path) -> None:
    cell = nbformat.v4.new_code_cell("print(1)")
    cell.outputs = [{"output_type": "stream", "name": "stdout", "text": "1", "metadata": {}}]
    notebook = {"cells": [cell], "metadata": {"colab": {}}, "nbformat": 4, "nbformat_minor": 0}
    del cell["id"]
    (tmp_path / "01_a.ipynb").write_text(json.dumps(notebook))
    assert course.read(tmp_path / "01_a.ipynb").cells[0].source == "print(1)"
