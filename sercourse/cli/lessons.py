"""Commands on the lessons: run them, list those whose outputs are stale."""

from __future__ import annotations

import argparse
import ast

from sercourse.cli import options


def add_parsers(commands: argparse._SubParsersAction) -> None:
    """Register `run` and `stale`."""
    notebooks = argparse.ArgumentParser(add_help=False)
    notebooks.add_argument(
        "notebooks",
        nargs="*",
        metavar="NOTEBOOK",
        help="number (03), name (03_train_svm) or path; default: every lesson",
    )
    option = options.command(commands, "run", _run, notebooks)
    option(
        "-p",
        "--parameter",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        help="set a parameter in every lesson that has it (repeatable); a relative path in a "
        "parameter named ..._dir is meant from here",
    )
    option("--out", default="build/course", metavar="DIR", help="default: %(default)s")
    options.command(commands, "stale", _stale, notebooks)


def _run(args: argparse.Namespace) -> int:
    """Run lessons in order and render them as web pages.

    Each has a fresh kernel and takes the sample corpora unless a parameter says otherwise. Exit
    status 1 if a cell failed.
    """
    from sercourse import course

    paths = course.find(args.notebooks)
    parameters = {name: _value(text) for name, text in args.parameter}
    failed = False
    for path, given in course.assign(paths, parameters=parameters).items():
        print(path.stem, end="  ", flush=True)
        result = course.run(path, out=args.out, parameters=given)
        failed |= result.failure is not None
        print(f"{result.seconds:.1f} s  {result.failure or 'ok'}", flush=True)
    print(f"pages: {args.out}/index.html")
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
        print(f"{path.name} {reason}")
    return int(bool(found))
