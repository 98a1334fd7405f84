"""Commands on data: scan a corpus, fetch one, compute features."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from sercourse.cli import options

if TYPE_CHECKING:
    from sercourse.corpora import Scan


def add_parsers(commands: argparse._SubParsersAction) -> None:
    """Register `scan`, `fetch` and `features`."""
    options.command(commands, "scan", _scan, options.corpus(), options.outputs())
    option = options.command(commands, "fetch", _fetch)
    option("name", metavar="NAME", help="ravdess, emodb, aesdd, crema-d ...")
    option("--to", metavar="DIR", type=options.path, help="default: data/NAME")
    option = options.command(commands, "features", _features, options.corpus(), options.jobs())
    option("--set", required=True, help="such as statistics")
    option("--out", dest="out_file", required=True, metavar="FILE.npz", type=options.path)
    option("--pre-emphasis", type=float, default=0.0, metavar="COEFFICIENT", help="such as 0.97")


def _scan(args: argparse.Namespace) -> int:
    """List what a corpus holds, and what is wrong with it.

    That is clips, speakers, emotions, formats, identical clips, and every file that is left out,
    with the reason. --out and --json write the table of clips.
    """
    import pandas as pd

    scans = options.scan(args)
    for found in scans:
        if options.prints_text(args):
            options.show(_summary(found))
        options.refuse_empty(found, args)
    clips = pd.concat([found.clips for found in scans])
    rows = clips.astype(object).where(clips.notna(), None).to_dict("records")
    options.write(args, content=rows, table=lambda: clips)
    return 0


def _fetch(args: argparse.Namespace) -> int:
    """Download a corpus, or say how to get it, and check what is there.

    It is verified and unpacked; called again, the command goes on from where it was interrupted.
    Exit status 1 if the corpus is not complete afterwards.
    """
    from sercourse import corpora, fetch

    to = args.to or Path("data") / args.name
    download = fetch.entry(args.name)
    terms = f"Licence: {download.licence}\nCite: {download.cite}"
    if to.exists() and not to.is_dir():
        raise FileExistsError(f"{to} is a file: give the name of a folder")
    if not to.is_dir() or not any(to.iterdir()):
        if download.url is None:
            options.show(
                f"{args.name} cannot be downloaded by a program.\n{download.how} into {to}\n{terms}"
            )
            return 1
        fetch.fetch(args.name, to=to)
    found = corpora.scan(to, corpus=args.name)
    differences = corpora.missing(found.clips, corpus=args.name)
    options.show(f"{to}: {len(found.clips)} clips, {len(found.rejects)} files left out")
    options.show("\n".join(differences or ["complete"]))
    options.show(terms)
    return int(bool(differences))


def _features(args: argparse.Namespace) -> int:
    """Compute the features of every clip of a corpus.

    They go into an .npz file with arrays X, feature_names and clip_id. Exit status 1 if a clip of
    the corpus could not be measured.
    """
    from sercourse import corpora, features

    chosen = features.with_pre_emphasis(features.named(args.set), args.pre_emphasis)
    clips = options.clips(args)
    table = features.feature_table(clips, feature_set=chosen, n_jobs=args.jobs)
    fingerprint = corpora.fingerprint(clips)
    out = features.save_features(table, args.out_file, feature_set=chosen, fingerprint=fingerprint)
    for reject in table.rejects.itertuples():
        options.say(f"left out: {reject.path}: {reject.reason}")
    sizes = " x ".join(str(size) for size in table.X.shape[1:])
    options.show(f"{out}: {len(table.X)} clips x {sizes} features")
    return int(len(table.rejects) > 0)


def _summary(found: Scan) -> str:
    """Return a report: counts, durations, identical clips, rejects, notes."""
    clips, duration = found.clips, found.clips["duration"]
    lines = [("clips", f"{len(clips)}, {duration.sum() / 60:.1f} minutes")]
    lines.append(("speakers", str(clips["speaker"].nunique())))
    for column in ("gender", "emotion", "sample_rate", "channels", "split"):
        counts = clips[column].fillna("unknown").value_counts()
        lines.append((column, ", ".join(f"{value} x {n}" for value, n in counts.items())))
    if len(clips):
        spread = f"{duration.min():.2f} to {duration.max():.2f}, mean {duration.mean():.2f}"
        lines.append(("durations [s]", spread))
    alike = found.identical.groupby("content")["clip_id"]
    lines += [("identical", " = ".join(names)) for _, names in alike]
    lines.append(("left out", str(len(found.rejects))))
    rejects = (f"  {reject.path}: {reject.reason}" for reject in found.rejects.itertuples())
    return "\n".join([*(f"{name:<15}{value}" for name, value in lines), *rejects, *found.notes])
