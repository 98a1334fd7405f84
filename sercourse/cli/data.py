"""Commands on data: scan a corpus, fetch one, compute features."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from sercourse.cli import corpus_options, options, text

if TYPE_CHECKING:
    import pandas as pd

    from sercourse.corpora import Scan


def add_parsers(subparsers: argparse._SubParsersAction) -> None:
    """Register `scan`, `fetch` and `features`."""
    scan = subparsers.add_parser(
        "scan",
        help="list what a corpus holds, and what is wrong with it",
        description="List what a corpus holds: clips, speakers, emotions, formats, identical "
        "clips, and every file that is left out, with the reason.",
    )
    corpus_options.add(scan)
    scan.add_argument("--out", metavar="FILE.csv", type=Path, help="also write the table of clips")
    scan.set_defaults(run=_scan, writes=("out",))

    fetch = subparsers.add_parser(
        "fetch",
        help="download a corpus, or say how to get it, and check what is there",
        description="Download a corpus, verify and unpack it; called again, it goes on from where "
        "it was interrupted. Where a program cannot download it, say what to do. Exit status 1 "
        "if the corpus is not complete afterwards.",
    )
    fetch.add_argument("name", metavar="NAME", help="ravdess, emodb, aesdd, crema-d ...")
    fetch.add_argument("--to", metavar="DIR", type=Path, help="default: data/NAME")
    fetch.set_defaults(run=_fetch)

    features = subparsers.add_parser(
        "features",
        help="compute the features of every clip of a corpus",
        description="Compute the features of every clip into an .npz file with arrays X, "
        "feature_names and clip_id. Exit status 1 if a clip of the corpus could not be measured.",
    )
    corpus_options.add(features)
    features.add_argument("--set", required=True, metavar="SET", help="such as statistics")
    features.add_argument("--out", required=True, metavar="FILE.npz", type=Path)
    features.add_argument(
        "--pre-emphasis",
        type=float,
        default=0.0,
        metavar="COEFFICIENT",
        help="such as 0.97; default: none",
    )
    features.add_argument(
        "--jobs",
        type=options.processes,
        default=1,
        metavar="N",
        help="processes; default: %(default)s",
    )
    features.set_defaults(run=_features, writes=("out",))


def _scan(args: argparse.Namespace) -> int:
    from sercourse import files

    found = corpus_options.scanned(args)
    for name, value in _summary(found):
        print(f"{name:<17}{value}")
    for reject in found.rejects.itertuples():
        print(f"  {reject.path}: {reject.reason}")
    for note in found.notes:
        print(note)
    corpus_options.refuse_none(found, args)
    if args.out:
        with files.atomic_path(args.out) as temporary:
            found.clips.to_csv(temporary, index=False)
    return 0


def _fetch(args: argparse.Namespace) -> int:
    from sercourse import corpora, fetch

    to = args.to or Path("data") / args.name
    download = fetch.entry(args.name)
    if to.exists() and not to.is_dir():
        raise FileExistsError(f"{to} is a file: give the name of a folder")
    if not to.is_dir() or not any(to.iterdir()):
        if download.url is None:
            print(fetch.instructions(args.name, to=to))
            return 1
        fetch.fetch(args.name, to=to)
    found = corpora.scan(to, corpus=args.name)
    differences = corpora.missing(found.clips, corpus=args.name)
    print(f"{to}: {len(found.clips)} clips, {len(found.rejects)} files left out")
    print(*(differences or ["complete"]), sep="\n")
    print(f"Licence: {download.licence}\nCite: {download.cite}")
    return int(bool(differences))


def _features(args: argparse.Namespace) -> int:
    from sercourse import corpora, features

    chosen = features.with_pre_emphasis(features.named(args.set), args.pre_emphasis)
    found = corpus_options.clips_said(args, say=text.say)
    table = features.feature_table(found.clips, feature_set=chosen, n_jobs=args.jobs)
    fingerprint = corpora.fingerprint(found.clips)
    out = features.save_features(table, args.out, feature_set=chosen, fingerprint=fingerprint)
    for reject in table.rejects.itertuples():
        text.say(f"left out: {reject.path}: {reject.reason}")
    sizes = " x ".join(str(size) for size in table.X.shape[1:])
    print(f"{out}: {len(table.X)} clips x {sizes} features")
    return int(len(table.rejects) > 0)


def _summary(found: Scan) -> list[tuple[str, str]]:
    """Return the lines of the report, each a name and its value."""
    from sercourse.labels import in_order

    clips, duration = found.clips, found.clips["duration"]
    emotions = clips["emotion"].value_counts()
    lines = [
        ("clips", f"{len(clips)}, {duration.sum() / 60:.1f} minutes"),
        ("speakers", _speakers(clips)),
        (
            "emotions",
            ", ".join(f"{name} {emotions[name]}" for name in in_order(emotions.index)),
        ),
        ("rates [Hz]", _counts(clips["sample_rate"])),
        ("channels", _counts(clips["channels"])),
    ]
    if len(clips):
        spread = f"{duration.min():.2f} to {duration.max():.2f}, mean {duration.mean():.2f}"
        lines.insert(3, ("durations [s]", spread))
    if clips["split"].notna().any():
        lines.append(("split", _counts(clips["split"].fillna("neither"))))
    for _, alike in found.identical.groupby("content"):
        lines.append(("identical", " = ".join(alike["clip_id"])))
    return [*lines, ("left out", str(len(found.rejects)))]


def _speakers(clips: pd.DataFrame) -> str:
    speakers = clips.drop_duplicates("speaker").dropna(subset="speaker")
    unknown = clips["speaker"].isna().sum()
    genders = f" ({_counts(speakers['gender'])})" if speakers["gender"].notna().any() else ""
    return f"{len(speakers)}{genders}" + (f", {unknown} clips by nobody known" if unknown else "")


def _counts(values: pd.Series) -> str:
    """Return such as "32000 x 1372, 48000 x 60", the most frequent first."""
    return ", ".join(f"{value} x {count}" for value, count in values.value_counts().items())
