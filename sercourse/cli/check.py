"""The command that says what is installed and found, for a report of a problem."""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
from collections import defaultdict
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from sercourse import __version__, files
from sercourse.cli import options

Found = tuple[str, ...]  # what, what there is of it, and what to do about it


def add_parsers(commands: argparse._SubParsersAction) -> None:
    """Register `check`."""
    options.command(commands, "check", _check, options.json_output())


def _check(args: argparse.Namespace) -> int:
    """Say what is installed and found here, and what to do about what is missing.

    It is what a report of a problem needs. Exit status 1 if a library or a model is broken.
    """
    home, rows = str(Path.home()), [*_installed(), *_found()]
    rows = [tuple(text.replace(home, "~") for text in row) for row in rows]  # it names a person
    for what, found, advice in rows if options.prints_text(args) else ():
        options.show(f"{what:15} {found}" + (f"\n{'':15} -> {advice}" if advice else ""))
    keys = ("what", "found", "advice")
    options.write(args, content=[dict(zip(keys, row, strict=True)) for row in rows])
    return int(any(advice for what, _, advice in rows if what in ("libraries", "broken model")))


def _installed() -> Iterator[Found]:
    """Yield the versions of libraries, and which extras are complete."""
    yield "sercourse", __version__, ""
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    yield "python", f"{platform.python_version()} on {system}", ""
    try:
        wanted = metadata.requires("sercourse") or []
    except metadata.PackageNotFoundError:
        yield "libraries", "sercourse is not installed", "in its folder: python -m pip install -e ."
        return
    groups: dict[str, list[str]] = defaultdict(list)
    for line in wanted:
        name, *of = re.findall(r"^[\w.-]+|(?<=extra == .)\w+", line)
        groups[f"extra {of[0]}" if of else "libraries"].append(name)
    for what, names in groups.items():
        found = files.versions(*names)
        absent = [name for name in names if not found[name]]
        state = f"without {', '.join(absent)}" if absent else "complete"
        versions = ", ".join(f"{name} {found[name]}" for name in names if found[name])
        advice = f"python -m pip install {' '.join(absent)}" if absent else ""
        yield what, f"{state}: {versions}", advice


def _found() -> Iterator[Found]:
    """Yield what sound can come through, corpora, models and the cache."""
    from sercourse import bundles, fetch

    try:
        from sercourse import live

        inputs = len(live.devices())
        advice = "" if inputs else "connect a microphone, or use a file or the browser"
        yield "PortAudio", f"found, {inputs} input devices", advice
    except (ImportError, OSError) as error:
        yield "PortAudio", "no input device can be used", str(error)
    ffmpeg = bool(shutil.which("ffmpeg") and shutil.which("ffprobe"))
    advice = "install ffmpeg; only m4a, webm, aac and films need it"
    yield "ffmpeg", ("not found", "found")[ffmpeg], "" if ffmpeg else advice
    models: list[Path] = []
    places = [os.environ.get("SERCOURSE_DATA", "")]
    try:
        models, places = bundles.available(), [str(files.home() / "data"), *places]
    except FileNotFoundError as error:
        yield "project", "not found", str(error)
    for place in filter(None, places):
        names = [name for name in fetch.REGISTRY if (files.user_path(place) / name).is_dir()]
        advice = "" if names else "sercourse fetch ravdess, or set SERCOURSE_DATA to their folder"
        yield "corpora", f"{', '.join(names) or 'none'} in {place}", advice
    for folder in models:
        try:
            bundles.load(folder)
            yield "model", folder.name, ""
        except (OSError, ValueError, LookupError, ImportError) as error:
            yield "broken model", folder.name, f"restore it, or train it again: {error}"
    cache = files.cache_dir()
    size = sum(each.stat().st_size for each in cache.rglob("*") if each.is_file())
    yield "cache", f"{cache}, {size / 1e6:.0f} MB", ""
