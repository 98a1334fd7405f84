"""Commands on the course: run lessons, list stale ones, say what is installed and found."""

from __future__ import annotations

import argparse
import ast
import os
import platform
import re
import shutil
from collections import defaultdict
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import sercourse as ser
from sercourse import __version__, files
from sercourse.cli import options


def run(args: argparse.Namespace) -> int:
    """Run lessons and keep the executed notebooks, of which `make course` makes pages.

    Each has a fresh kernel and takes the sample corpora unless a parameter says otherwise; none
    needs another, so several run side by side. Exit status 1 if a cell failed.
    """
    from joblib import Parallel, delayed

    paths = ser.course.find(args.notebooks)
    parameters = {name: _value(text) for name, text in args.parameter}
    given = ser.course.assign(paths, parameters=parameters)
    failed = False
    run, pool = delayed(ser.course.run), Parallel(args.jobs, return_as="generator_unordered")
    out = Path(args.out).resolve()  # a process that joblib keeps may have begun in another folder
    results = pool(run(path.resolve(), out=out, parameters=own) for path, own in given.items())
    for number, result in enumerate(results, start=1):
        failed |= result.failure is not None
        told = f"{number}/{len(given)}  {result.notebook.stem}  {result.seconds:.1f} s"
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


def stale(args: argparse.Namespace) -> int:
    """List lessons whose outputs are missing or older than their code.

    Exit status 1 if there is one.
    """
    found = ser.course.stale(ser.course.find(args.notebooks))
    for path, reason in found.items():
        options.show(f"{path.name} {reason}")
    return int(bool(found))


def check(args: argparse.Namespace) -> int:
    """Say what is installed and found here, and what to do about what is missing.

    It is what a report of a problem needs. Exit status 1 if a library or a model is broken.
    """
    home, names = str(Path.home()), ("what", "found", "advice")
    # The home folder names a person.
    rows = [[text.replace(home, "~") for text in row] for row in (*_installed(), *_found())]
    for what, found, advice in rows if options.prints_text(args) else ():
        options.show(f"{what:15} {found}", *([f"{'':15} -> {advice}"] if advice else []))
    options.write(args, content=[dict(zip(names, row, strict=True)) for row in rows])
    return int(any(advice for what, _, advice in rows if what in ("libraries", "broken model")))


def _installed() -> Iterator[tuple[str, str, str]]:
    """Yield the versions of libraries, and which extras are complete, and what to do about it."""
    yield "sercourse", __version__, ""
    yield "python", f"{platform.python_version()} on {platform.platform()}", ""
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
        there = ", ".join(f"{name} {version}" for name, version in found.items() if version)
        absent = [name for name in names if not found[name]]
        state = f"without {', '.join(absent)}" if absent else "complete"
        advice = f"python -m pip install {' '.join(absent)}" if absent else ""
        yield what, f"{state}: {there}", advice


def _found() -> Iterator[tuple[str, str, str]]:
    """Yield what sound can come through, corpora, models and the cache, and what to do about it."""
    try:
        n_inputs = len(ser.live.devices())
        advice = "" if n_inputs else "connect a microphone, or use a file or the browser"
        yield "PortAudio", f"found, {n_inputs} input devices", advice
    except (ImportError, OSError) as error:
        yield "PortAudio", "no input device can be used", str(error)
    is_there = shutil.which("ffmpeg") and shutil.which("ffprobe")
    advice = "" if is_there else "install ffmpeg; only m4a, webm, aac and films need it"
    yield "ffmpeg", "found" if is_there else "not found", advice
    models, places = list[Path](), [os.environ.get("SERCOURSE_DATA", "")]
    try:
        models, places = ser.bundles.available(), [str(files.home() / "data"), *places]
    except FileNotFoundError as error:
        yield "project", "not found", str(error)
    for place in filter(None, places):
        names = [name for name in ser.fetch.REGISTRY if (files.user_path(place) / name).is_dir()]
        advice = "" if names else "sercourse fetch ravdess, or set SERCOURSE_DATA to their folder"
        yield "corpora", f"{', '.join(names) or 'none'} in {place}", advice
    for folder in models:
        try:
            ser.bundles.load(folder)
            yield "model", folder.name, ""
        except (OSError, ValueError, LookupError, ImportError) as error:
            yield "broken model", folder.name, f"restore it, or train it again: {error}"
    size = sum(each.size for each in files.cached())
    yield "cache", f"{files.cache_dir()}, {size / 1e6:.0f} MB", ""
