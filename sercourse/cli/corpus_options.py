"""The options that name a corpus, the same for every command, and its scan."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sercourse.corpora import Scan


def add(parser: argparse.ArgumentParser) -> None:
    """Add the folder of a corpus, its name, and how it is labelled."""
    parser.add_argument("root", metavar="ROOT", type=Path, help="folder of the corpus")
    parser.add_argument(
        "--corpus",
        metavar="NAME",
        help="ravdess, ravdess-song, aesdd, emodb, tess, savee, crema-d, or custom: names that "
        "end in the emotion, or a folder for each emotion",
    )
    parser.add_argument(
        "--csv",
        metavar="FILE",
        type=Path,
        help="for custom: a table with columns path, emotion and, if known, speaker, gender, "
        "split, start and end [s]",
    )
    parser.add_argument(
        "--audio-root",
        metavar="DIR",
        type=Path,
        help="where the files of the CSV are; default: ROOT",
    )
    parser.add_argument(
        "--map", metavar="A=B,C=D", help="what labels mean, such as ang=angry,exc=happy"
    )
    parser.add_argument(
        "--labels",
        metavar="FILE",
        type=Path,
        help="the same from a file, a line such as ang=angry each",
    )
    parser.add_argument(
        "--raters",
        choices=["majority"],
        help="where rows of the CSV give a clip different labels, take that of most",
    )


def scanned(args: argparse.Namespace) -> Scan:
    """Return the scan that the options ask for."""
    from sercourse import corpora

    return corpora.scan(
        args.root,
        corpus=args.corpus,
        csv=args.csv,
        audio_root=args.audio_root,
        translate=_translation(args),
        raters=args.raters,
    )


def refuse_none(found: Scan, args: argparse.Namespace) -> None:
    """Raise ValueError if there is no clip in a scan."""
    if found.clips.empty:
        raise ValueError(
            f"{args.csv or args.root}: no clip can be used; {len(found.rejects)} are left out, for "
            "the reasons above"
        )


def clips_said(args: argparse.Namespace, *, say: Callable[[str], None]) -> Scan:
    """Return a scan with clips, after saying what is left out and what else there is to say."""
    found = scanned(args)
    for path, reason in found.rejects[["path", "reason"]].itertuples(index=False):
        say(f"left out: {path}: {reason}")
    for note in found.notes:
        say(note)
    refuse_none(found, args)
    return found


def _translation(args: argparse.Namespace) -> dict[str, str]:
    from sercourse import labels

    meanings = {}
    if args.labels:
        try:
            meanings = labels.parse_translation(args.labels.read_text("utf-8-sig"))
        except ValueError as error:
            raise ValueError(f"--labels {args.labels}: {error}") from None
    return meanings | labels.parse_translation((args.map or "").replace(",", "\n"))
