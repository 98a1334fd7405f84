"""The command `sercourse`: thin wrappers around the package, a file for each group of commands."""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor
from typing import Any

from sercourse import __version__, files
from sercourse.cli import data, lessons, live, models, options, search, text


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="sercourse", description="Speech emotion recognition: corpora, models and lessons."
    )
    parser.add_argument("--version", action="version", version=f"sercourse {__version__}")
    parser.set_defaults(writes=())
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for group in (lessons, data, models, search, live):
        group.add_parsers(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 done, 1 partly done, 2 refused."""
    args = build_parser().parse_args(argv)
    warnings.showwarning = _show_warning
    with contextlib.suppress(AttributeError):  # a bar is a question mark where it has no letter
        sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        _refuse_empty(sys.argv[1:] if argv is None else argv)
        options.settle_paths(args)
        with warnings.catch_warnings():
            warnings.showwarning = functools.partial(_show, usual=warnings.showwarning)
            return int(args.run(args))
    except KeyboardInterrupt:
        print("\nsercourse: interrupted; what was finished is kept", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader, such as `head`, has had enough; Python must not complain at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except BrokenExecutor:
        print(
            "sercourse: a process that was started for the work has died, of too little memory "
            "perhaps; what was finished is kept: try again with --jobs 1",
            file=sys.stderr,
        )
        return 2
    except (ValueError, OSError, LookupError, ModuleNotFoundError) as error:
        # These are what a user can cause; SERCOURSE_DEBUG shows where they come from.
        if os.environ.get("SERCOURSE_DEBUG"):
            raise
        print(f"sercourse: {_sentence(error)}", file=sys.stderr)
        return 2


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: Any, **__: Any
) -> None:
    """Show what is said of a sound file as the commands say things, and the rest as Python does."""
    if category.__name__ == "SoundWarning":  # importing the class would load the reader of sound
        print(f"sercourse: {message}", file=sys.stderr)
    else:
        print(warnings.formatwarning(message, category, filename, lineno), file=sys.stderr)


def _refuse_empty(argv: Sequence[str]) -> None:
    """Refuse what an unset variable of a shell leaves behind: as a path it is this folder."""
    if "" in argv and "-p" not in argv:  # a parameter of a lesson may be an empty text
        raise ValueError("an argument is empty: give it a value, or leave it out")


def _show(
    message: Warning | str, category: type[Warning], *where: Any, usual: Callable[..., None]
) -> None:
    """Show a warning that is meant for users as a sentence."""
    if issubclass(category, files.NotKept):
        text.say(f"sercourse: {message}")
    else:
        usual(message, category, *where)


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
