"""`sercourse predict --every`: emotions over time as text, CSV, JSON or a picture."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sercourse.cli import text

if TYPE_CHECKING:
    import numpy as np

    from sercourse.audio import Channel
    from sercourse.bundles import Bundle
    from sercourse.bundles.timeline import Timeline

    Take = tuple[Path, Channel]

PICTURES = (".png", ".svg", ".pdf", ".jpg")
OUTLINE_PER_SECOND = 1000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `predict` that are about time."""
    parser.add_argument(
        "--every",
        type=float,
        metavar="SECONDS",
        help="emotions over time: judge a window that moves on by so much",
    )
    parser.add_argument(
        "--window",
        type=float,
        metavar="SECONDS",
        help="its length, from 0.5 to 8; a shorter one follows faster and is less sure; default: 3",
    )
    parser.add_argument(
        "--csv", type=Path, metavar="FILE", help="also write the windows as a table"
    )
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="also draw them: .png, .svg, .pdf"
    )


def refuse(args: argparse.Namespace) -> None:
    """Refuse options that cannot be followed, before any work is done."""
    from sercourse.bundles import timeline

    if args.every is None:
        for option in ("window", "csv", "plot"):
            if getattr(args, option) is not None:
                raise ValueError(f"--{option} is about emotions over time: add --every 1.0")
        return
    timeline.refuse_steps(every=args.every, window=_window(args))
    if args.plot and args.plot.suffix.lower() not in PICTURES:
        raise ValueError(f"--plot {args.plot}: give a name that ends with {', '.join(PICTURES)}")


def run(args: argparse.Namespace, *, bundle: Bundle, takes: list[Take]) -> int:
    """Judge every recording window by window, and return the exit status."""
    from sercourse import audio

    if args.plot and len(takes) > 1:
        raise ValueError(f"--plot draws one recording and {len(takes)} are given: give one of them")
    heard: list[tuple[Take, Timeline]] = []
    try:
        for take in takes:
            name = text.take(*take)
            try:
                timeline = _hear(take, bundle=bundle, args=args)
            except audio.READ_ERRORS as error:
                print(f"sercourse: {name}: {audio.reason(error, path=take[0])}", file=sys.stderr)
                continue
            heard.append((take, timeline))
            if not args.json:
                print(f"{name}  windows of {_window(args):g} s every {args.every:g} s")
                print("\n".join(_lines(timeline)))
    finally:  # an interruption keeps what was finished
        _keep(heard, args=args, bundle=bundle, with_path=len(takes) > 1)
    return int(len(heard) < len(takes))


def _keep(
    heard: list[tuple[Take, Timeline]],
    *,
    args: argparse.Namespace,
    bundle: Bundle,
    with_path: bool,
) -> None:
    """Write what was heard to where it is wanted."""
    if heard and args.csv:
        _write_csv(args.csv, heard, labels=bundle.labels, with_path=with_path)
    if heard and args.plot:
        _draw(args.plot, *heard[0], sr=bundle.sample_rate)
    if args.json:
        answers = [_as_json(take, timeline, args=args) for take, timeline in heard]
        print(json.dumps(answers, indent=1, ensure_ascii=False))


def _window(args: argparse.Namespace) -> float:
    from sercourse.bundles import timeline

    return timeline.WINDOW_SECONDS if args.window is None else float(args.window)


def _hear(take: Take, *, bundle: Bundle, args: argparse.Namespace) -> Timeline:
    """Return the emotions of a recording in which there is speech."""
    from sercourse.bundles import timeline

    path, channel = take
    heard = bundle.predict_file_over_time(
        path, every=args.every, window=_window(args), channel=channel
    )
    if not heard.judged.any():
        reasons = ", ".join(sorted(set(heard.notes)))
        raise ValueError(f"nothing in it can be judged: {reasons}")
    clipped = heard.notes.count(timeline.CLIPPED)
    if clipped:
        print(
            f"sercourse: {text.take(*take)}: clipped in {clipped} of {len(heard)} windows",
            file=sys.stderr,
        )
    return heard


def _lines(heard: Timeline) -> Iterator[str]:
    """Yield a line for each window; windows in a row that hold nothing share one."""
    hours = heard.end[-1] >= 3600
    said = [emotion or f"({heard.notes[row]})" for row, emotion in enumerate(heard.emotions)]
    for what, group in groupby(range(len(heard)), key=said.__getitem__):
        rows = list(group)
        if heard.emotions[rows[0]] is None:
            when = text.span(heard.start[rows[0]], heard.end[rows[-1]], hours=hours)
            yield text.moment(when, said=what)
            continue
        for row in rows:
            when = text.span(heard.start[row], heard.end[row], hours=hours)
            yield text.moment(when, said=what, p=heard.probabilities[row].max())


def _as_json(take: Take, heard: Timeline, *, args: argparse.Namespace) -> dict[str, Any]:
    windows = [
        {
            "start": float(heard.start[row]),
            "end": float(heard.end[row]),
            "emotion": emotion,
            "probabilities": emotion and dict(zip(heard.labels, p.tolist(), strict=True)),
            "note": heard.notes[row],
        }
        for row, (emotion, p) in enumerate(zip(heard.emotions, heard.probabilities, strict=True))
    ]
    settings = {"every": args.every, "window": _window(args)}
    path, channel = take
    told = {"path": str(path)} if channel is None else {"path": str(path), "channel": channel}
    return {**told, **settings, "over_time": windows}


def _write_csv(
    target: Path, heard: list[tuple[Take, Timeline]], *, labels: Iterable[str], with_path: bool
) -> None:
    """Write a row for each window; what was not judged stays blank."""
    from sercourse import files

    header = ["start", "end", "emotion", *(f"p_{label}" for label in labels)]
    with (
        files.atomic_path(target) as temporary,
        # A name of a file need not be text: it is written as the bytes that it has.
        temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["path", *header] if with_path else header)
        for take, timeline in heard:
            for row in _rows(timeline):
                writer.writerow([text.take(*take), *row] if with_path else row)


def _rows(heard: Timeline) -> Iterator[list[str]]:
    rows = zip(heard.start, heard.end, heard.emotions, heard.probabilities, strict=True)
    for start, end, emotion, p in rows:
        known = [f"{each:.5f}" for each in p] if emotion else [""] * len(p)
        yield [f"{start:.3f}", f"{end:.3f}", emotion or "", *known]


def _draw(target: Path, take: Take, heard: Timeline, *, sr: int) -> None:
    import matplotlib as mpl

    mpl.use("Agg")  # a file is drawn, no window is opened
    from sercourse import files, plots

    plots.use_style()
    y, rate = _outline(*take, sr=sr)
    ax = plots.emotions_over_time(heard.table(), y=y, sr=rate)
    with files.atomic_path(target) as temporary:
        ax.figure.canvas.print_figure(temporary, dpi=200, bbox_inches="tight")


def _outline(path: Path, channel: Channel, *, sr: int) -> tuple[np.ndarray, int]:
    """Return the lowest and the highest sample of each millisecond, and how many there are in 1 s.

    It looks like the signal, and that of an hour takes 29 MB.
    """
    import numpy as np

    from sercourse import audio

    step = sr // OUTLINE_PER_SECOND
    pieces = []
    for block in audio.blocks(path, sr=sr, channel=channel):
        columns = block[: len(block) // step * step].reshape(-1, step)
        pieces.append(np.column_stack([columns.min(axis=1), columns.max(axis=1)]).ravel())
    return np.concatenate(pieces), 2 * (sr // step)
