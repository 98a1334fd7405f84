"""The options that name a corpus, the same for every command, and its scan."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from sercourse.corpora import Scan


class _Places(argparse.Action):
    """Keeps NAME=DIR as a folder below `dest` and a name, None of a bare one, beside it."""

    def __call__(
        self, parser: Any, args: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        told = [_place(text) for text in ([values] if isinstance(values, str) else values)]
        before, names = getattr(args, self.dest) or [], f"{self.dest}_names"
        setattr(args, self.dest, [*before, *(folder for _, folder in told)])
        setattr(args, names, [*getattr(args, names, []), *(name for name, _ in told)])


def _place(text: str) -> tuple[str | None, Path]:
    """Read NAME=DIR; a folder may have a = in its own name."""
    name, _, folder = text.partition("=")
    if not (name and folder) or Path(name).name != name or Path(text).exists():
        return None, Path(text)
    return name, Path(folder)


def add(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    """Add the folder of a corpus, or of several, its name, and how it is labelled."""
    if several:
        parser.add_argument(
            "roots",
            metavar="ROOT",
            nargs="+",
            action=_Places,
            help="folder of the corpus; or NAME=DIR for each of several, which then weigh the same",
        )
        parser.add_argument(
            "--test",
            metavar="NAME=DIR",
            action=_Places,
            help="a corpus that nothing learns from, for protocols corpus, corpus+norm, "
            "corpus+enrol and given; may be repeated",
        )
    else:
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


def several_said(args: argparse.Namespace, *, say: Callable[[str], None]) -> pd.DataFrame:
    """Return the clips of all corpora that are asked for, after saying what is left out."""
    from sercourse import corpora

    parts = [
        clips_said(argparse.Namespace(**{**vars(args), **each}), say=say).clips
        for each in places(args)
    ]
    n_learnt = len(args.roots)
    return parts[0] if len(parts) == 1 else corpora.combine(parts[:n_learnt], test=parts[n_learnt:])


def places(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the options that tell of each corpus: its `root`, its name, and a CSV of own clips.

    Raises
    ------
    ValueError
        If one of several has no name, or two have the same.
    """
    roots, names = [*args.roots, *(args.test or [])], [*args.roots_names]
    names += args.test_names if args.test else []
    if len(roots) == 1 and names[0] is None:
        return [{"root": roots[0]}]
    if args.corpus is not None:
        raise ValueError(
            f"--corpus {args.corpus} names the one folder ROOT: of corpora that are given as "
            "NAME=DIR leave it out"
        )
    if None in names:
        root = roots[names.index(None)]
        raise ValueError(f"{root}: which corpus is it? Of several give each as NAME=DIR")
    names = [name.lower() for name in names]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(
            f"corpus {twice[0]!r} is given twice: give each once, as the folder above all its clips"
        )
    no_csv = {"csv": None, "audio_root": None, "raters": None} if "custom" in names else {}
    return [
        {"root": root, "corpus": name, **({} if name == "custom" else no_csv)}
        for root, name in zip(roots, names, strict=True)
    ]


def _translation(args: argparse.Namespace) -> dict[str, str]:
    from sercourse import labels

    meanings = {}
    if args.labels:
        try:
            meanings = labels.parse_translation(args.labels.read_text("utf-8-sig"))
        except ValueError as error:
            raise ValueError(f"--labels {args.labels}: {error}") from None
    return meanings | labels.parse_translation((args.map or "").replace(",", "\n"))
