"""The command `sercourse`: thin wrappers around the package, a file for each group of commands."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
import tomllib
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import Any, NoReturn

from sercourse import __version__
from sercourse.cli import options


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message}; see {self.prog} --help")


COMMANDS = tomllib.loads(Path(__file__).with_name("commands.toml").read_text("utf-8"))
GROUPS, EXTRAS = COMMANDS.pop("groups"), COMMANDS.pop("extras")


def build_parser(command: str = "") -> argparse.ArgumentParser:
    """Return the parser of a command; of all, if none has that name."""
    about = "Speech emotion recognition: corpora, models and lessons."
    top = _Parser(prog="sercourse", description=about)
    top.add_argument("--version", action="version", version=f"sercourse {__version__}")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name in [command] if command in COMMANDS else COMMANDS:
        told = COMMANDS[name]
        module = importlib.import_module(f"{__name__}.{told['module']}")
        run = getattr(module, name.replace("-", "_"))
        text = " ".join((run.__doc__ or "").split())
        first = text.partition(". ")[0].rstrip(".")
        parser = commands.add_parser(name, help=first, description=text)
        for group in [*(GROUPS[each] for each in told.get("groups", ())), told.get("options", {})]:
            for flags, settings in group.items():
                parser.add_argument(*flags.split(), **_told(settings))
        parser.set_defaults(run=run, jobs=os.cpu_count() or 1)
    return top


def _told(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what argparse takes for an option: readers in place of their names."""
    told = dict(settings)
    if isinstance(told.get("metavar"), list):
        told["metavar"] = tuple(told["metavar"])
    if "range" in told:
        told["type"] = options.whole(*told.pop("range"))
    elif "type" in told:
        told["type"] = getattr(options, told["type"])
    return told


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 done, 1 partly done, 2 refused."""
    with contextlib.suppress(AttributeError):  # a bar is a question mark where it has no letter
        # Programs read UTF-8, whatever the terminals of a system use.
        encoding = None if sys.stdout.isatty() else "utf-8"
        sys.stdout.reconfigure(encoding=encoding, errors="replace")  # type: ignore[union-attr]
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            typed = sys.argv[1:] if argv is None else argv
            if "" in typed and not {"-p", "--parameter"} & set(typed):
                raise ValueError("an argument is empty: give it a value, or leave it out")
            args = build_parser(*typed[:1]).parse_args(argv)
            options.refuse_outputs(args)
            with options.on_cluster(getattr(args, "cluster", None)):
                return int(args.run(args))
    except KeyboardInterrupt:
        options.say("", "sercourse: interrupted; parts that were finished, if any, are kept")
        return 130
    except BrokenExecutor:
        options.say(
            "sercourse: a process that was started for the work has died, of too little memory "
            "perhaps; parts that were finished are kept: try again with --jobs 1"
        )
        return 2
    except (ValueError, OSError, LookupError, ModuleNotFoundError, MemoryError) as error:
        options.say(f"sercourse: {_sentence(error)}")
        return 2
    finally:
        options.show("", end="")  # also the help, while a closed pipe can still be answered


def _show_warning(message: Any, category: type[Warning], *place: Any, **_: Any) -> None:
    """Show what is meant for users as the commands say things, and the rest as Python does."""
    if category.__name__ in ("SoundWarning", "NotKept"):  # importing them would load the decoder
        options.say(f"sercourse: {message}")
    else:
        options.say(*warnings.formatwarning(message, category, *place[:2]).splitlines())


def _sentence(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "too little memory for this: free some, or give less at a time"
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, ModuleNotFoundError) and str(error).startswith("No module named"):
        extra = next((name for name, of in EXTRAS.items() if error.name in of), "train")
        return f"this needs {error.name}, which is not installed: pip install 'sercourse[{extra}]'"
    return str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
