"""The command `sercourse`: thin wrappers around the package, a file for each group of commands."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from sercourse import __version__
from sercourse.cli import data, lessons, live, models, search


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="sercourse", description="Speech emotion recognition: corpora, models and lessons."
    )
    parser.add_argument("--version", action="version", version=f"sercourse {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for group in (lessons, data, models, search, live):
        group.add_parsers(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 done, 1 partly done, 2 refused."""
    args = build_parser().parse_args(argv)
    try:
        return int(args.run(args))
    except KeyboardInterrupt:
        print("\nsercourse: interrupted; what was finished is kept", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader, such as `head`, has had enough; Python must not complain at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, OSError, LookupError, ModuleNotFoundError) as error:
        # These are what a user can cause; SERCOURSE_DEBUG shows where they come from.
        if os.environ.get("SERCOURSE_DEBUG"):
            raise
        print(f"sercourse: {_sentence(error)}", file=sys.stderr)
        return 2


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
