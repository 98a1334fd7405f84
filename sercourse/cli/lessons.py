"""Commands on the lessons: run them, list those whose outputs are stale."""

from __future__ import annotations

import argparse
import ast
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import Any

from sercourse.cli import options


def add_parsers(commands: argparse._SubParsersAction) -> None:
    """Register `run` and `stale`."""
    text = "number (03), name (03_train_svm) or path; default: every lesson"
    notebooks = options.parent("notebooks", nargs="*", metavar="NOTEBOOK", help=text)
    option = options.command(commands, "run", _run, notebooks)
    text = "set a parameter in every lesson that has it; a relative ..._dir is meant from here"
    settings: Any = {"nargs": 2, "action": "append", "metavar": ("NAME", "VALUE"), "default": []}
    option("-p", "--parameter", **settings, help=text)
    option("--out", default="build/course", metavar="DIR", help="default: %(default)s")
    cores = os.cpu_count() or 1
    option("--jobs", type=options.whole(1), default=cores, help="side by side; default: all cores")
    options.command(commands, "stale", _stale, notebooks)


def _run(args: argparse.Namespace) -> int:
    """Run lessons and keep the executed notebooks, of which `make course` makes pages.

    Each has a fresh kernel and takes the sample corpora unless a parameter says otherwise; none
    needs another, so several run side by side. Exit status 1 if a cell failed.
    """
    from sercourse import course

    paths = course.find(args.notebooks)
    parameters = {name: _value(text) for name, text in args.parameter}
    given = course.assign(paths, parameters=parameters)
    failed = False
    with ProcessPoolExecutor(min(args.jobs, len(paths)), get_context("spawn")) as pool:
        jobs = [
            pool.submit(course.run, path, out=args.out, parameters=own)
            for path, own in given.items()
        ]
        for number, job in enumerate(as_completed(jobs), start=1):
            result = job.result()
            failed |= result.failure is not None
            told = f"{number}/{len(jobs)}  {result.notebook.stem}  {result.seconds:.1f} s"
            options.show(f"{told}  {result.failure or 'ok'}")
    options.show(f"executed notebooks: {args.out}")
    return int(failed)


def _value(text: str) -> object:
    """Read a parameter: a Python literal, or else the text itself.

    >>> [_value(text) for text in ("3", "1e-3", "True", "None", "ravdess")]
    [3, 0.001, True, None, 'ravdess']
    """
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _stale(args: argparse.Namespace) -> int:
    """List lessons whose outputs are missing or older than their code.

    Exit status 1 if there is one.
    """
    from sercourse import course

    found = course.stale(course.find(args.notebooks))
    for path, reason in found.items():
        options.show(f"{path.name} {reason}")
    return int(bool(found))
