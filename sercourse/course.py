"""The lessons: find them, run them with papermill, list those whose outputs are stale."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

from sercourse.files import atomic_path, cache_dir, home, user_path


class Result(NamedTuple):
    """How the run of one notebook ended; `failure` is None, or names the cell and its error."""

    notebook: Path
    executed: Path
    seconds: float
    failure: str | None


class _ThisPython(AsyncKernelManager):
    """Starts kernels with the running interpreter.

    An installed kernelspec may point to another environment, where the package is missing.
    """

    compiled = ""  # folder of functions that numba has compiled

    @property
    def kernel_spec(self) -> KernelSpec:
        # A backend set for scripts (Agg) would leave the lessons without figures.
        env = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
        # Kernels run side by side: threads of linear algebra would wait for each other's.
        env |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        env |= {"TF_CPP_MIN_LOG_LEVEL": "3"}  # TensorFlow's notes are no part of a lesson
        # Two kernels that compile librosa's functions at once crash on what the other has stored.
        env |= {"NUMBA_CACHE_DIR": os.environ.get("NUMBA_CACHE_DIR", self.compiled)}
        # Kernels write to the terminal that they listen without encryption, and when interrupted.
        return KernelSpec(**get_kernel_dict(extra_arguments=["--log-level=CRITICAL"]), env=env)


def lessons(folder: str | Path | None = None) -> list[Path]:
    """Return the lessons of a folder in order: notebooks named `NN_topic` or `NNb_topic`.

    The default is `notebooks/` of the project.

    Raises
    ------
    FileNotFoundError
        If the folder holds none, as when the package was installed without the repository.
    """
    folder = home() / "notebooks" if folder is None else user_path(folder)
    found = sorted(folder.glob("[0-9][0-9]*_*.ipynb"))
    if not found:
        raise FileNotFoundError(
            f"no lessons in {folder}: install the package from a clone of the repository "
            "(pip install -e .), which holds the notebooks"
        )
    return found


def find(names: Iterable[str], *, folder: str | Path | None = None) -> list[Path]:
    """Return the notebooks with these numbers (`3`, `03`), stems or paths; all if there is no name.

    Raises
    ------
    FileNotFoundError
        If a path does not exist.
    LookupError
        If a number or stem is no lesson's.
    """
    found = [_find(name, folder=folder) for name in names]
    return list(dict.fromkeys(found)) or lessons(folder)


def _find(name: str, *, folder: str | Path | None) -> Path:
    if name.endswith(".ipynb"):
        if not user_path(name).is_file():
            raise FileNotFoundError(f"no notebook {name}")
        return user_path(name).resolve()
    known = lessons(folder)
    for path in known:
        number = path.stem.partition("_")[0]
        if name == path.stem or number in (name, f"0{name}"):
            return path
    stems = ", ".join(path.stem for path in known)
    raise LookupError(f"no lesson {name!r}: give a number, a path, or one of {stems}")


def read(path: str | Path) -> nbformat.NotebookNode:
    """Read a notebook in the current format.

    Raises
    ------
    ValueError
        If the file is not a notebook.
    """
    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook, relax_add_props=True)  # Colab adds some
    except OSError:
        raise
    except Exception as error:  # nbformat fails in many ways
        raise ValueError(f"{path} is not a notebook: {str(error)!r:.200}") from error
    return notebook


def write(notebook: nbformat.NotebookNode, path: Path) -> None:
    """Write a notebook, atomically, without the empty lists of tags that papermill leaves."""
    for cell in notebook.cells:
        if cell.metadata.get("tags") == []:
            del cell.metadata["tags"]
    with atomic_path(path) as temporary:
        nbformat.write(notebook, temporary)


def tags(cell: nbformat.NotebookNode) -> Sequence[str]:
    """Return the tags of a cell."""
    return cell.metadata.get("tags", ())


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """Return the code cells that an author wrote: not empty, papermill's, or Colab's bootstrap."""
    others = {"bootstrap", "injected-parameters"}
    cells = [each for each in notebook.cells if each.cell_type == "code" and each.source.strip()]
    return [each for each in cells if others.isdisjoint(tags(each))]


def code_hash(notebook: nbformat.NotebookNode) -> str:
    """Return the SHA-256 of the code cells: outputs are stale when it is no longer theirs."""
    sources = [cell.source for cell in code_cells(notebook)]
    return hashlib.sha256(json.dumps(sources, ensure_ascii=False).encode()).hexdigest()


def stale(notebooks: Iterable[Path]) -> dict[Path, str]:
    """Return the lessons whose outputs are missing or were made by other code, each with why."""
    found = {}
    for path in notebooks:
        notebook = read(path)
        mark = notebook.metadata.get("sercourse")
        if not isinstance(mark, dict) or not any(cell.outputs for cell in code_cells(notebook)):
            found[path] = "has never been published"
        elif mark.get("code_sha256") != code_hash(notebook):
            found[path] = "has outputs older than its code"
    return found


def parameter_names(notebook: nbformat.NotebookNode) -> list[str]:
    """Return the names that the cell tagged `parameters` assigns, in its order."""
    tagged = [cell.source for cell in code_cells(notebook) if "parameters" in tags(cell)]
    nodes = ast.walk(ast.parse("\n".join(tagged)))
    return [n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]


def assign(
    notebooks: Sequence[Path], *, parameters: Mapping[str, Any]
) -> dict[Path, dict[str, Any]]:
    """Return, for each notebook, those of the parameters that it takes.

    A relative path in a parameter named `..._dir` is meant from where the command is run, while
    a lesson runs in its own folder: such a path is made absolute.

    Raises
    ------
    ValueError
        If no notebook takes one of the parameters.
    """
    known = {path: parameter_names(read(path)) for path in notebooks}
    every = dict.fromkeys(name for names in known.values() for name in names)
    if unknown := [name for name in parameters if name not in every]:
        raise ValueError(
            f"unknown parameter {unknown[0]!r} for {', '.join(path.stem for path in notebooks)}: "
            f"known are {', '.join(every) or 'none'}"
        )
    values = dict(parameters)
    for name, value in parameters.items():
        if name.endswith("_dir") and isinstance(value, str):
            values[name] = str(user_path(value).absolute())
    return {path: {k: values[k] for k in names if k in values} for path, names in known.items()}


def run(path: Path, *, out: str | Path, parameters: Mapping[str, Any] | None = None) -> Result:
    """Run a notebook in a fresh kernel and in its own folder.

    Parameters
    ----------
    path : Path
    out : path
        Folder for the executed notebook, which is saved after every cell.
    parameters : mapping, optional
        Replace values of the cell tagged `parameters`.

    Returns
    -------
    Result
        A failing cell is no exception: it is told there.

    Raises
    ------
    ValueError
        If the notebook does not take one of the parameters, or `out` is its own folder; then
        nothing was run.
    """
    import papermill
    from nbclient.exceptions import DeadKernelError

    given = assign([path], parameters=parameters or {})[path]
    folder = user_path(out).absolute()
    if folder.resolve() == path.parent.resolve():
        raise ValueError(f"{out} holds the notebooks themselves: choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    executed, failure, started = folder / path.name, None, time.perf_counter()
    kernel: Any = {"kernel_name": "python3", "language": "python", "cwd": str(path.parent)}
    compiled = str(cache_dir() / "numba" / path.stem)
    manager = type(path.stem, (_ThisPython,), {"compiled": compiled})
    kernel |= {"kernel_manager_class": manager, "progress_bar": False}
    try:
        papermill.execute_notebook(read(path), str(executed), parameters=given, **kernel)
    except papermill.PapermillExecutionError:
        failure = _failing_cell(path, read(executed))
    except DeadKernelError:
        failure = f"{path.name}: the kernel died, most often for lack of memory"
    seconds = time.perf_counter() - started
    notebook = read(executed)
    for cell in code_cells(notebook):
        cell.outputs = merge_streams(cell.outputs)
    notebook.metadata["papermill"]["exception"] = failure is not None  # unnoted of a dead kernel
    write(notebook, executed)
    return Result(path, executed, seconds, failure)


def _failing_cell(path: Path, executed: nbformat.NotebookNode) -> str:
    """Say which of the author's code cells failed, and how."""
    for number, cell in enumerate(code_cells(executed), start=1):
        for output in cell.outputs:
            if output.output_type == "error":
                code = cell.source.strip().splitlines()[0]
                error = f"{output.ename}: {output.evalue}".strip().splitlines()[0]
                return f"{path.name}, code cell {number} ({code}): {error}"
    return f"{path.name}: stopped without a message from the failing cell"


def merge_streams(outputs: Iterable[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    r"""Join the pieces of each stream; of a line that was overwritten after ``\r``, keep the last.

    nbclient's own joining takes a time that is quadratic in the length of a line.

    Examples
    --------
    >>> pieces = [nbformat.v4.new_output("stream", text=text) for text in ("1 %\r", "2 %\r", "ok")]
    >>> [output.text for output in merge_streams(pieces)]
    ['ok']
    """
    merged: list[nbformat.NotebookNode] = []
    for output in outputs:
        begun = [each for each in merged if "name" in each and each.name == output.get("name")]
        if begun:
            begun[0].text += output.text
        else:
            merged.append(output)
    for stream in (each for each in merged if "name" in each):
        lines = stream.text.split("\n")
        stream.text = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)
    return merged
