"""Commands on the lessons: run them, publish their outputs, list the stale ones."""

from __future__ import annotations

import argparse
import sys


def add_parsers(subparsers: argparse._SubParsersAction) -> None:
    """Register `run`, `publish` and `stale`."""
    run = subparsers.add_parser(
        "run",
        help="run lessons in order and render them as web pages",
        description="Run lessons in order, each in a fresh kernel, on the sample corpora unless "
        "a parameter says otherwise. Exit status 1 if a cell failed.",
    )
    _add_notebooks(run)
    run.add_argument(
        "-p",
        "--parameter",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        help="set a parameter in every lesson that has it (repeatable); a relative path in a "
        "parameter named ..._dir is meant from here",
    )
    run.add_argument("--out", default="build/course", metavar="DIR", help="default: %(default)s")
    run.set_defaults(run=_run)

    publish = subparsers.add_parser(
        "publish",
        help="run lessons on the real corpora and store their cleaned outputs in them",
        description="Run lessons on the real corpora and store their cleaned outputs in them.",
    )
    _add_notebooks(publish)
    publish.add_argument(
        "--corpora", required=True, metavar="DIR", help="folder that holds ravdess/ and aesdd/"
    )
    publish.add_argument(
        "--out", default="build/publish", metavar="DIR", help="uncleaned copies: %(default)s"
    )
    publish.set_defaults(run=_publish)

    stale = subparsers.add_parser(
        "stale",
        help="list lessons whose outputs are missing or older than their code",
        description="List lessons whose outputs are missing or older than their code. Exit "
        "status 1 if there is one.",
    )
    _add_notebooks(stale)
    stale.set_defaults(run=_stale)


def _add_notebooks(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "notebooks",
        nargs="*",
        metavar="NOTEBOOK",
        help="number (03), name (03_train_svm) or path; default: every lesson",
    )


def _write(text: str) -> None:
    """Write at once, so that a line shows what is being waited for."""
    sys.stdout.write(text)
    sys.stdout.flush()


def _run(args: argparse.Namespace) -> int:
    from sercourse import course
    from sercourse.course.lesson import parse_value

    results = course.run(
        course.find(args.notebooks) or course.lessons(),
        parameters={name: parse_value(value) for name, value in args.parameter},
        out=args.out,
        report=_write,
    )
    print(f"pages: {args.out}/index.html")
    return int(any(result.failure for result in results))


def _publish(args: argparse.Namespace) -> int:
    from sercourse import course

    results = course.publish(
        course.find(args.notebooks) or course.lessons(),
        corpora_dir=args.corpora,
        out=args.out,
        report=_write,
    )
    return int(any(result.failure for result in results))


def _stale(args: argparse.Namespace) -> int:
    from sercourse import course

    found = course.stale(course.find(args.notebooks) or course.lessons())
    for lesson in found:
        print(f"{lesson.notebook.name} {lesson.reason}")
    return int(bool(found))
