"""Run notebooks in order with papermill, each in a kernel of this very Python."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nbformat
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbformat import NotebookNode

from sercourse.course import pages
from sercourse.course.lesson import assign, code_cells, read
from sercourse.files import atomic_path, user_path

Report = Callable[[str], object]
"""Takes pieces of text as they come, line ends included: `sys.stdout.write`, for example."""


@dataclass(frozen=True)
class Result:
    """How one notebook went."""

    notebook: Path
    executed: Path
    seconds: float
    failure: str | None
    """One sentence with notebook, cell and error; None where all went well."""


class _ThisPython(AsyncKernelManager):
    """Starts kernels with the running interpreter.

    An installed kernelspec may point to another environment, where the package is missing.
    """

    @property
    def kernel_spec(self) -> KernelSpec:
        # A backend set for scripts (Agg) would leave the lessons without figures.
        inline = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
        # Kernels write to the terminal that they listen without encryption, and when interrupted.
        return KernelSpec(**get_kernel_dict(extra_arguments=["--log-level=CRITICAL"]), env=inline)


def run(
    notebooks: Sequence[Path],
    *,
    out: str | Path,
    parameters: Mapping[str, Any] | None = None,
    report: Report = lambda text: None,
) -> list[Result]:
    """Run notebooks one after another, each in a fresh kernel and in its own folder.

    Parameters
    ----------
    notebooks : sequence of Path
        Run in this order. A failure does not stop those after it.
    out : path
        Folder for the executed notebooks, an HTML page of each, and `index.html`.
    parameters : mapping, optional
        Replace values of the cells tagged `parameters`, in the notebooks that have them.
    report : callable, optional
        Takes the text of progress, one line for each notebook.

    Returns
    -------
    list of Result
        One for each notebook.

    Raises
    ------
    ValueError
        If no notebook takes one of the parameters, or `out` is the folder of a notebook; then
        nothing was run.
    """
    given = assign(notebooks, parameters=parameters or {})
    folder = prepare_folder(out, notebooks=notebooks)

    def step(path: Path) -> Result:
        result = execute(path, parameters=given[path], out=folder)
        pages.write_page(result.executed, pictures=path.parent)
        pages.write_index(folder)
        return result

    return in_turn(notebooks, step=step, report=report)


def prepare_folder(out: str | Path, *, notebooks: Sequence[Path]) -> Path:
    """Make the folder of executed notebooks, and see that it is not that of the lessons."""
    folder = user_path(out).absolute()
    if folder.resolve() in {path.parent.resolve() for path in notebooks}:
        raise ValueError(f"{out} holds the notebooks themselves: choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def in_turn(
    notebooks: Sequence[Path], *, step: Callable[[Path], Result], report: Report
) -> list[Result]:
    """Apply `step` to each notebook, reporting one line before and after."""
    results = []
    width = max((len(path.stem) for path in notebooks), default=0)
    for number, path in enumerate(notebooks, start=1):
        report(f"{number}/{len(notebooks)} {path.stem:<{width}}  ")
        result = step(path)
        report(f"{result.seconds:6.1f} s  {'failed' if result.failure else 'ok'}\n")
        if result.failure:
            report(f"    {result.failure}\n    as far as it came: {result.executed}\n")
        results.append(result)
    return results


def execute(path: Path, *, parameters: Mapping[str, Any], out: Path) -> Result:
    """Run one notebook; the executed copy is saved after every cell."""
    import papermill
    from nbclient.exceptions import DeadKernelError

    result = Result(path, out / path.name, 0.0, None)
    started = time.perf_counter()
    try:
        papermill.execute_notebook(
            read(path),
            str(result.executed),
            parameters=dict(parameters),
            kernel_name="python3",
            language="python",
            kernel_manager_class=_ThisPython,
            progress_bar=False,
            coalesce_streams=True,  # the states of a bar overwrite each other, as on a screen
            cwd=str(path.parent),
        )
    except papermill.PapermillExecutionError:
        result = replace(result, failure=_failing_cell(path, read(result.executed)))
    except DeadKernelError:
        failure = f"{path.name}: the kernel died, most often for lack of memory"
        result = replace(result, failure=failure)
    result = replace(result, seconds=time.perf_counter() - started)
    _finish(result)
    return result


def _failing_cell(path: Path, executed: NotebookNode) -> str:
    """Say which of the author's code cells failed, and how."""
    for number, cell in enumerate(code_cells(executed), start=1):
        for output in cell.outputs:
            if output.output_type == "error":
                code = cell.source.strip().splitlines()[0]
                error = f"{output.ename}: {output.evalue}".strip().splitlines()[0]
                return f"{path.name}, code cell {number} ({code}): {error}"
    return f"{path.name}: stopped without a message from the failing cell"


def _finish(result: Result) -> None:
    """Mend what papermill leaves: an empty list of tags on every cell, a dead kernel unnoted."""
    notebook = read(result.executed)
    drop_empty_tags(notebook)
    notebook.metadata["papermill"]["exception"] = result.failure is not None
    write(notebook, result.executed)


def drop_empty_tags(notebook: NotebookNode) -> None:
    """Remove the empty lists of tags that papermill and editors stamp on cells."""
    for cell in notebook.cells:
        if cell.metadata.get("tags") == []:
            del cell.metadata["tags"]


def write(notebook: NotebookNode, path: Path) -> None:
    """Write a notebook, atomically."""
    with atomic_path(path) as temporary:
        nbformat.write(notebook, temporary)
