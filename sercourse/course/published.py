"""Outputs that the committed lessons carry: made from the real corpora, cleaned, and dated by code.

Whoever reads a lesson on a web page sees real results; the hash of the code cells that made them
is stored beside them, so that outputs older than their code can be found.
"""

from __future__ import annotations

import copy
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

import sercourse
from sercourse.course.execute import (
    Report,
    Result,
    drop_empty_tags,
    execute,
    in_turn,
    prepare_folder,
    write,
)
from sercourse.course.lesson import ROOT, code_cells, code_hash, is_widget, parameter_names, read
from sercourse.files import cache_dir, user_path

MAX_BYTES = 400_000
"""A larger notebook is slow to review and may not be shown by code-hosting sites."""

LISTEN = "[sound: run the cell to listen]"
"""Stands for recorded audio, which the corpora's licences keep out of the repository."""

_AUDIO_TAG = re.compile(r"<audio\b.*?</audio>", re.DOTALL | re.IGNORECASE)
_AUDIO_REPR = "<IPython.lib.display.Audio object>"
_TRANSIENT = ("papermill", "widgets")
_PICTURES = ("image/png", "image/jpeg", "image/gif")
_FOLDERS = {"home", "Users", "root", "tmp", "private", "var", "mnt", "opt", "media", "Volumes"}


@dataclass(frozen=True)
class Stale:
    """A lesson whose outputs cannot be trusted, and why."""

    notebook: Path
    reason: str


def stale(notebooks: Iterable[Path]) -> list[Stale]:
    """Return the lessons whose outputs are missing or were made by other code."""
    found = []
    for path in notebooks:
        notebook = read(path)
        mark = notebook.metadata.get("sercourse")
        if mark is None or not any(cell.outputs for cell in code_cells(notebook)):
            found.append(Stale(path, "has never been published"))
        elif mark["code_sha256"] != code_hash(notebook):
            found.append(Stale(path, "has outputs older than its code"))
    return found


def publish(
    notebooks: Sequence[Path],
    *,
    corpora_dir: str | Path,
    out: str | Path,
    report: Report = lambda text: None,
) -> list[Result]:
    """Run lessons on the real corpora and store their outputs in them.

    Parameters
    ----------
    notebooks : sequence of Path
        Overwritten, each only after it ran to its end and its outputs could be cleaned.
    corpora_dir : path
        Folder that holds `ravdess/` and `aesdd/`; the notebooks' parameter `data_dir`.
    out : path
        Folder for the executed notebooks as they are before cleaning.
    report : callable, optional
        Takes the text of progress, one line for each notebook.

    Raises
    ------
    FileNotFoundError
        If `corpora_dir` holds no folder.
    """
    corpora = user_path(corpora_dir).absolute()
    names = sorted(p.name for p in corpora.iterdir() if p.is_dir()) if corpora.is_dir() else []
    if not names:
        raise FileNotFoundError(
            f"no corpus in {corpora_dir}: give the folder that holds ravdess/ and aesdd/"
        )
    folder = prepare_folder(out, notebooks=notebooks)

    def step(path: Path) -> Result:
        parameters = _known({"data_dir": str(corpora)}, path)
        result = execute(path, parameters=parameters, out=folder)
        if result.failure:
            return result
        try:
            _store_outputs(result, corpora=corpora, parameters=list(parameters))
        except ValueError as error:
            return replace(result, failure=f"not published: {error}")
        return result

    return in_turn(notebooks, step=step, report=report)


def _known(parameters: dict[str, Any], path: Path) -> dict[str, Any]:
    names = parameter_names(read(path))
    return {name: value for name, value in parameters.items() if name in names}


def _store_outputs(result: Result, *, corpora: Path, parameters: Sequence[str]) -> None:
    notebook = read(result.notebook)
    transfer_outputs(notebook, executed=read(result.executed))
    clean(notebook, name=result.notebook.name, placeholders=_placeholders(corpora))
    notebook.metadata["sercourse"] = {
        "corpus": _corpora_used(notebook, corpora=corpora) if parameters else [],
        "parameters": dict.fromkeys(parameters, "data"),
        "version": sercourse.__version__,
        "seconds": round(result.seconds, 1),
        "code_sha256": code_hash(notebook),
    }
    _check_size(notebook, name=result.notebook.name)
    write(notebook, result.notebook)


def _corpora_used(notebook: NotebookNode, *, corpora: Path) -> list[str]:
    code = "\n".join(cell.source for cell in code_cells(notebook))
    return sorted(p.name for p in corpora.iterdir() if p.is_dir() and p.name in code)


def transfer_outputs(notebook: NotebookNode, *, executed: NotebookNode) -> None:
    """Give an authored notebook the outputs of its executed copy, counted 1 to N.

    Sources stay as authored: the copy also has a cell with the parameters of the run.
    """
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    pairs = zip(code_cells(notebook), code_cells(executed), strict=True)
    for count, (cell, done) in enumerate(pairs, start=1):
        cell.execution_count = count
        cell.outputs = copy.deepcopy(done.outputs)
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = count


def clean(
    notebook: NotebookNode, *, name: str, placeholders: Sequence[tuple[re.Pattern[str], str]]
) -> None:
    """Remove from a notebook what is no reader's business.

    That is standard error, recorded sound, half-drawn widgets, times of execution and paths of
    this machine.

    Raises
    ------
    ValueError
        If a path of this machine is left, with the cell that shows it.
    """
    for key in _TRANSIENT:
        notebook.metadata.pop(key, None)
    for cell in notebook.cells:
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
    drop_empty_tags(notebook)
    machine_path = _machine_path()
    for number, cell in enumerate(code_cells(notebook), start=1):
        cell.outputs = [
            _cleaned(output, placeholders=placeholders)
            for output in cell.outputs
            if not _is_noise(output)
        ]
        for text in _texts(cell.outputs):
            if left := machine_path.search(text):
                raise ValueError(
                    f"{name}, code cell {number} shows {left.group()!r}, a path of this machine: "
                    "print paths relative to the corpus"
                )


def _is_noise(output: NotebookNode) -> bool:
    return output.get("name") == "stderr" or is_widget(output)


def _cleaned(
    output: NotebookNode, *, placeholders: Sequence[tuple[re.Pattern[str], str]]
) -> NotebookNode:
    def rewrite(text: str) -> str:
        text = _AUDIO_TAG.sub(LISTEN, text).replace(_AUDIO_REPR, LISTEN)
        for pattern, placeholder in placeholders:
            text = pattern.sub(placeholder, text)
        return text

    output = copy.deepcopy(output)
    if output.output_type == "stream":
        output.text = rewrite(output.text)
        return output
    recorded = [kind for kind in output.data if kind.startswith("audio/")]
    kept = {kind: value for kind, value in output.data.items() if kind not in recorded}
    if LISTEN in rewrite(kept.get("text/html", "")) and kept.get("text/plain") == _AUDIO_REPR:
        del kept["text/html"]  # a player and nothing else
    data = {
        kind: value if kind in _PICTURES else _map_strings(value, function=rewrite)
        for kind, value in kept.items()
    }
    output.data = nbformat.from_dict(data or {"text/plain": LISTEN})
    return output


def _map_strings(value: Any, *, function: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return function(value)
    if isinstance(value, dict):
        return {key: _map_strings(item, function=function) for key, item in value.items()}
    if isinstance(value, list):
        return [_map_strings(item, function=function) for item in value]
    return value


def _texts(outputs: Sequence[NotebookNode]) -> list[str]:
    """Return every string that outputs hold, encoded pictures apart."""
    found: list[str] = []

    def collect(text: str) -> str:
        found.append(re.sub(r"data:[\w/+.-]+;base64,[\w+/=\s]+", "", text))
        return text

    for output in outputs:
        shown = {k: v for k, v in output.get("data", {}).items() if k not in _PICTURES}
        _map_strings([output.get("text", ""), shown], function=collect)
    return found


def _placeholders(corpora: Path) -> list[tuple[re.Pattern[str], str]]:
    """Return what to write for the folders whose place differs from machine to machine."""
    folders = {corpora: "data"}
    folders |= {path: f"data/{path.name}" for path in corpora.iterdir() if path.is_dir()}
    # A corpus may be a link: lessons may show either end of it.
    stand_ins = {ROOT: ".", cache_dir().absolute(): "cache"} | {
        place: name for folder, name in folders.items() for place in (folder, folder.resolve())
    }
    longest_first = sorted(stand_ins.items(), key=lambda item: -len(str(item[0])))
    return [
        (re.compile(rf"(?:file://)?{re.escape(str(folder))}(?![\w-])"), stand_in)
        for folder, stand_in in longest_first
    ]


def _machine_path() -> re.Pattern[str]:
    """Return a pattern of absolute paths below any folder that this machine is known to have."""
    places = [Path.home(), Path(tempfile.gettempdir()), Path(sys.prefix), Path(sys.base_prefix)]
    tops = {place.parts[1] for place in (*places, ROOT, Path.cwd()) if len(place.parts) > 1}
    names = "|".join(sorted(re.escape(top) for top in tops | _FOLDERS))
    end = r"[^\s'\"<>]*"
    posix = rf"(?<![\w.<~$/-])/(?:{names})/{end}|file://{end}"
    return re.compile(posix if os.name == "posix" else rf"{posix}|\b[A-Za-z]:\\{end}")


def _check_size(notebook: NotebookNode, *, name: str) -> None:
    size = len(nbformat.writes(notebook).encode())
    if size <= MAX_BYTES:
        return
    sizes = [(len(str(cell.outputs)), n) for n, cell in enumerate(code_cells(notebook), start=1)]
    largest, number = max(sizes)
    raise ValueError(
        f"{name} would have {size / 1000:.0f} kB with its outputs, at most "
        f"{MAX_BYTES / 1000:.0f} kB are wanted: show fewer or smaller figures (code cell "
        f"{number} alone has {largest / 1000:.0f} kB)"
    )
