"""Commands on data: scan a corpus, fetch one, compute features; and one on what is kept."""

from __future__ import annotations

import argparse
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sercourse as ser
from sercourse import files
from sercourse.cli import options

if TYPE_CHECKING:
    from sercourse.corpora import Scan


def scan(args: argparse.Namespace) -> int:
    """List what a corpus holds, and what is wrong with it.

    That is clips, speakers, emotions, formats, identical clips, and every file that is left out,
    with the reason. --out and --json write the table of clips.
    """
    import pandas as pd

    def report(found: Scan) -> None:
        if options.prints_text(args):
            options.show(*_summary(found))

    clips = pd.concat(options.scan(args, report=report))
    rows = clips.astype(object).where(clips.notna(), None).to_dict("records")
    options.write(args, content=rows, tables=[clips])
    return 0


def fetch(args: argparse.Namespace) -> int:
    """Download a corpus, or say how to get it, and check what is there.

    It is verified and unpacked; called again, the command goes on from where it was interrupted.
    Exit status 1 if the corpus is not complete afterwards.
    """
    to = args.to or Path("data") / args.name
    download = ser.fetch.entry(args.name)
    terms = f"Licence: {download.licence}", f"Cite: {download.cite}"
    if to.exists() and not to.is_dir():
        raise FileExistsError(f"{to} is a file: give the name of a folder")
    if not to.is_dir() or not any(to.iterdir()):
        if download.url is None:
            how = f"{args.name} cannot be downloaded by a program.", f"{download.how} into {to}"
            options.show(*how, *terms)
            return 1
        ser.fetch.fetch(args.name, to=to)
    found = ser.corpora.scan(to, corpus=args.name)
    differences = ser.corpora.missing(found.clips, corpus=args.name)
    options.show(f"{to}: {len(found.clips)} clips, {len(found.rejects)} files left out")
    options.show(*(differences or ["complete"]), *terms)
    return int(bool(differences))


def features(args: argparse.Namespace) -> int:
    """Compute the features of every clip of a corpus.

    They go into an .npz file with arrays X, feature_names and clip_id; or into a folder of Parquet
    files, which memory need not hold: called again after it was cut, the command goes on. Exit
    status 1 if a clip of the corpus could not be measured.
    """
    if (args.out_file is None) == (args.parts is None):
        raise ValueError("give --out FILE.npz or --parts DIR, one of them")
    chosen = ser.features.with_pre_emphasis(ser.features.named(args.set), args.pre_emphasis)
    clips = options.clips(args)
    told: dict[str, Any] = {"feature_set": chosen, "fingerprint": ser.corpora.fingerprint(clips)}
    if args.parts:
        rejects = ser.features.write_parts(clips, args.parts, n_jobs=args.jobs, **told)
        out = args.parts
    else:
        table = ser.features.feature_table(clips, feature_set=chosen, n_jobs=args.jobs)
        rejects = table.rejects
        out = ser.features.save_features(table, args.out_file, **told)
    for reject in rejects.itertuples():
        options.say(f"left out: {reject.path}: {reject.reason}")
    sizes = " x ".join(map(str, chosen.row_shape))
    options.show(f"{out}: {len(clips) - len(rejects)} clips x {sizes} features")
    return int(len(rejects) > 0)


def cache(args: argparse.Namespace) -> int:
    """Show what is kept for the next time, and clear it.

    Features, folds, searches and downloads can all be made again. With --keep, what was used
    longest ago is deleted until no more than so many megabytes are left.
    """
    folder = files.cache_dir()
    if args.keep is not None:
        files.shrink_cache(args.keep * 1e6)
    kept = files.cached()
    for each in kept:
        when, name = datetime.fromtimestamp(each.used), each.path.relative_to(folder)
        size = f"{each.size / 1e6:10.1f} MB"
        options.show(f"{size}  {each.n_files:7d} files  {when:%Y-%m-%d}  {name}")
    options.show(f"{sum(each.size for each in kept) / 1e6:10.1f} MB  in {folder}")
    return 0


def _summary(found: Scan) -> list[str]:
    """Return the lines of a report: counts, durations, identical clips, rejects, notes."""
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
    return [*(f"{name:<15}{value}" for name, value in lines), *rejects, *found.notes]
