"""Kinds of values that options take; argparse says which option was wrong."""

from __future__ import annotations

import argparse
from pathlib import Path

from sercourse import files


def settle_paths(args: argparse.Namespace) -> None:
    """Put the home in place of ``~``, and refuse outputs before any work.

    A shell leaves ``~`` alone in ``--out=~/x``. A command names its outputs in `writes`, and all
    other paths are read, where a folder stands for the sound files in it: none of them is
    replaced, and neither is any other sound file or a part of a trained model.

    Raises
    ------
    OSError
        If an output cannot be written or would replace what is read.
    """
    inputs: list[Path] = []
    for name, value in vars(args).items():
        if isinstance(value, Path):
            setattr(args, name, files.user_path(value))
            inputs += [getattr(args, name)] if name not in args.writes else []
        elif isinstance(value, list) and all(isinstance(each, Path) for each in value):
            setattr(args, name, [files.user_path(each) for each in value])
            inputs += getattr(args, name)
    for target in filter(None, (getattr(args, name) for name in args.writes)):
        if target.is_file():
            _refuse_valuable(target)
            inputs += [clip for folder in inputs for clip in _sound_files(folder)]
        files.refuse_unwritable_file(target, inputs=inputs)


def _sound_files(folder: Path) -> list[Path]:
    from sercourse.corpora import list_files  # loads pandas

    return list_files(folder).sounds if folder.is_dir() else []


def _refuse_valuable(target: Path) -> None:
    from sercourse import audio

    if target.suffix.lower() in audio.SUFFIXES | audio.FFMPEG_SUFFIXES:
        raise FileExistsError(f"{target} is a sound file and not overwritten: give another name")
    if (target.parent / "bundle.json").is_file():
        raise FileExistsError(f"{target} is part of a model and not overwritten: name another file")


def processes(text: str) -> int:
    """Read a number of processes, or -1 for one on each core."""
    number = _whole(text)
    if number < 1 and number != -1:
        raise argparse.ArgumentTypeError(f"{text}: give a number from 1, or -1 for all cores")
    return number


def channel(text: str) -> int | str:
    """Read which channel of a recording is meant."""
    if text in ("left", "right", "each"):
        return text
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: give left, right, each or a number from 1")
    return int(text)


def seed(text: str) -> int:
    """Read the seed of a generator of random numbers."""
    number = _whole(text)
    if not 0 <= number < 2**32:
        raise argparse.ArgumentTypeError(f"{text}: give a number from 0 to {2**32 - 1}")
    return number


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None
