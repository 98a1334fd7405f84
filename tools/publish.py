"""Run lessons on the real corpora and store their cleaned outputs in them.

Whoever reads a lesson on a web page sees real results. The hash of the code cells that made them is
stored beside them, so that `sercourse stale` finds outputs that are older than their code.
"""

from __future__ import annotations

import argparse
import base64
import copy
import io
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_output
from PIL import Image

import sercourse
from sercourse import course
from sercourse.files import cache_dir, home, user_path

MAX_BYTES = 400_000
"""A larger notebook is slow to review and may not be shown by code-hosting sites."""

LISTEN = "[sound: run the cell to listen]"
"""Stands for recorded audio, which the corpora's licences keep out of the repository."""

QUIZ = "[quiz: run the cell to answer it]"
"""Stands for a quiz, whose scripts a notebook that nobody has run yet may not start."""

WIDGET = "application/vnd.jupyter.widget-view+json"
AUDIO_REPR = "<IPython.lib.display.Audio object>"
AUDIO_TAG = re.compile(r"<audio\b.*?</audio>", re.DOTALL | re.IGNORECASE)
EMBEDDED = re.compile(r"data:[\w/+.-]+;base64,[\w+/=\s]+")
FOLDERS = {"home", "Users", "root", "tmp", "private", "var", "mnt", "opt", "media", "Volumes"}

Placeholders = dict[str, str]
"""Folders of this machine, and what is written in their place."""


def publish(path: Path, *, corpora: Path, out: str | Path) -> course.Result:
    """Run a lesson on the corpora and store its outputs in it, if they can be cleaned.

    Parameters
    ----------
    path : Path
        Overwritten only after it ran to its end.
    corpora : Path
        Folder that holds `ravdess/` and `aesdd/`; the notebook's parameter `data_dir`.
    out : path
        Folder for the executed notebook as it is before cleaning.

    Raises
    ------
    ValueError
        If the outputs show a path of this machine, or are too large.
    """
    takes = "data_dir" in course.parameter_names(course.read(path))
    given = {"data_dir": str(corpora)} if takes else {}
    result = course.run(path, parameters=given, out=out)
    if result.failure:
        return result
    notebook = course.read(path)
    transfer_outputs(notebook, executed=course.read(result.executed))
    # Without a corpus a lesson plays the synthetic sample, which is the project's own.
    clean(notebook, name=path.name, placeholders=placeholders(corpora), sound=not takes)
    code = "\n".join(cell.source for cell in course.code_cells(notebook))
    names = sorted(each.name for each in corpora.iterdir() if each.is_dir())
    notebook.metadata["sercourse"] = {
        "corpus": [name for name in names if name in code] if takes else [],
        "parameters": dict.fromkeys(given, "data"),
        "version": sercourse.__version__,
        "seconds": round(result.seconds, 1),
        "code_sha256": course.code_hash(notebook),
    }
    check_size(notebook, name=path.name)
    course.write(notebook, path)
    return result


def transfer_outputs(notebook: NotebookNode, *, executed: NotebookNode) -> None:
    """Give an authored notebook the outputs of its executed copy, counted 1 to N.

    Sources stay as authored: the copy also has a cell with the parameters of the run.
    """
    runs = [cell.outputs for cell in course.code_cells(executed)]
    for cell, outputs in zip(course.code_cells(notebook), runs, strict=True):
        cell.outputs = copy.deepcopy(outputs)
    count = 0
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        if "bootstrap" in course.tags(cell) or not cell.source.strip():
            cell.outputs = []  # the cell that prepares Colab has nothing to say elsewhere
        count += bool(cell.source.strip())
        cell.execution_count = count if cell.source.strip() else None
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = count


def clean(
    notebook: NotebookNode, *, name: str, placeholders: Placeholders, sound: bool = False
) -> None:
    """Remove standard error, sound unless it may stay, widgets, quizzes, times, machine paths.

    Raises
    ------
    ValueError
        If a path of this machine is left, with the cell that shows it.
    """
    for key in ("papermill", "widgets"):
        notebook.metadata.pop(key, None)
    for cell in notebook.cells:
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
    for number, cell in enumerate(course.code_cells(notebook), start=1):
        if "quiz" in course.tags(cell):
            cell.outputs = [new_output("display_data", data={"text/plain": QUIZ})]
        kept = [
            output
            for output in cell.outputs
            if output.get("name") != "stderr" and WIDGET not in output.get("data", {})
        ]
        cell.outputs = [cleaned(each, placeholders=placeholders, sound=sound) for each in kept]
        texts: list[str] = []
        map_texts([without_pictures(output) for output in cell.outputs], function=texts.append)
        for text in texts:
            if left := machine_path().search(EMBEDDED.sub("", text)):
                raise ValueError(
                    f"{name}, code cell {number} shows {left.group()!r}, a path of this machine: "
                    "print paths relative to the corpus"
                )


def cleaned(
    output: NotebookNode, *, placeholders: Placeholders, sound: bool = False
) -> NotebookNode:
    """Return an output with placeholders in place of folders, and without sound unless it stays."""

    def rewrite(text: str) -> str:
        if not sound:
            text = AUDIO_TAG.sub(LISTEN, text).replace(AUDIO_REPR, LISTEN)
        for folder, placeholder in placeholders.items():
            text = re.sub(rf"(?:file://)?{re.escape(folder)}(?![\w-])", placeholder, text)
        return text

    output = copy.deepcopy(output)
    if output.output_type == "stream":
        output.text = rewrite(output.text)
        return output
    data = {k: value for k, value in output.data.items() if sound or not k.startswith("audio/")}
    if LISTEN in rewrite(data.get("text/html", "")) and data.get("text/plain") == AUDIO_REPR:
        del data["text/html"]  # a player and nothing else
    data |= map_texts(without_pictures(data), function=rewrite)
    picture = base64.b64decode(data.get("image/png", ""))
    if picture and (small := compact_png(picture)) != picture:
        data["image/png"] = base64.b64encode(small).decode()
    output.data = nbformat.from_dict(data or {"text/plain": LISTEN})
    return output


def compact_png(picture: bytes) -> bytes:
    """Return a PNG file with a palette of 64 colours.

    It looks the same and takes a third of the space, so that a notebook full of figures stays
    light. One that has a palette already stays as it is.
    """
    small = io.BytesIO()
    with Image.open(io.BytesIO(picture)) as image:
        if image.mode == "P":
            return picture
        # The method that keeps the colour of small marks, too.
        colours = {"method": Image.Quantize.MAXCOVERAGE, "dither": Image.Dither.NONE}
        image.convert("RGB").quantize(64, **colours).save(small, format="png", optimize=True)
    return small.getvalue()


def map_texts(value: Any, *, function: Callable[[str], Any]) -> Any:
    """Apply a function to every string of a JSON value."""
    if isinstance(value, str):
        return function(value)
    if isinstance(value, dict):
        return {key: map_texts(item, function=function) for key, item in value.items()}
    if isinstance(value, list):
        return [map_texts(item, function=function) for item in value]
    return value


def without_pictures(output: dict[str, Any]) -> dict[str, Any]:
    """Return an output, or its data, without encoded pictures."""
    pictures = ("image/png", "image/jpeg", "image/gif")
    return {
        key: without_pictures(value) if key == "data" else value
        for key, value in output.items()
        if key not in pictures
    }


def placeholders(corpora: Path) -> Placeholders:
    """Return what to write for the folders whose place differs from machine to machine."""
    folders = {corpora: "data"}
    folders |= {path: f"data/{path.name}" for path in corpora.iterdir() if path.is_dir()}
    # A corpus may be a link: lessons may show either end of it.
    stand_ins = {str(home()): ".", str(cache_dir().absolute()): "cache"} | {
        str(place): name for folder, name in folders.items() for place in (folder, folder.resolve())
    }
    return dict(sorted(stand_ins.items(), key=lambda item: -len(item[0])))


def machine_path() -> re.Pattern[str]:
    """Return a pattern of absolute paths below any folder that this machine is known to have."""
    places = [Path.home(), Path(tempfile.gettempdir()), Path(sys.prefix), Path(sys.base_prefix)]
    tops = {place.parts[1] for place in (*places, home(), Path.cwd()) if len(place.parts) > 1}
    names = "|".join(sorted(re.escape(top) for top in tops | FOLDERS))
    end = r"[^\s'\"<>]*"
    posix = rf"(?<![\w.<~$/-])/(?:{names})/{end}|file://{end}"
    return re.compile(posix if os.name == "posix" else rf"{posix}|\b[A-Za-z]:\\{end}")


def check_size(notebook: NotebookNode, *, name: str) -> None:
    """Raise ValueError if a notebook is too large, with the cell that has most of it."""
    if (size := len(nbformat.writes(notebook).encode())) <= MAX_BYTES:
        return
    cells = enumerate(course.code_cells(notebook), start=1)
    largest, number = max((len(json.dumps(cell.outputs)), number) for number, cell in cells)
    raise ValueError(
        f"{name} would have {size / 1000:.0f} kB with its outputs, at most "
        f"{MAX_BYTES / 1000:.0f} kB are wanted: show fewer or smaller figures (code cell "
        f"{number} alone has {largest / 1000:.0f} kB)"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Publish lessons; exit status 1 if one could not be, 2 if there is no corpus."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("notebooks", nargs="*", metavar="NOTEBOOK", help="default: every lesson")
    parser.add_argument(
        "--corpora", required=True, metavar="DIR", help="folder that holds ravdess/ and aesdd/"
    )
    parser.add_argument(
        "--out", default="build/publish", metavar="DIR", help="uncleaned copies: %(default)s"
    )
    args = parser.parse_args(argv)
    corpora = user_path(args.corpora).absolute()
    if not corpora.is_dir() or not any(path.is_dir() for path in corpora.iterdir()):
        parser.error(f"no corpus in {corpora}: give the folder that holds ravdess/ and aesdd/")
    failures = 0
    for path in course.find(args.notebooks):
        print(path.stem, end="  ", flush=True)
        try:
            result = publish(path, corpora=corpora, out=args.out)
            failure = result.failure
        except ValueError as error:
            failure = f"not published: {error}"
        print(failure or f"{result.seconds:.1f} s  ok")
        failures += failure is not None
    return int(failures > 0)


if __name__ == "__main__":
    raise SystemExit(main())
