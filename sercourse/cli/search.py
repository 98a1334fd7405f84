"""The command `search`: try every estimator of the zoo, and keep what is found as tables."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from sercourse.cli import corpus_options, options, text

if TYPE_CHECKING:
    from sercourse.experiment import Dataset, Search
    from sercourse.splits import Fold


def add_parsers(subparsers: argparse._SubParsersAction) -> None:
    """Register `search`."""
    search = subparsers.add_parser(
        "search",
        help="try every estimator of the zoo with several settings",
        description="Try scikit-learn's classifiers or regressors with several settings each, "
        "choose on validation clips, and test the best of each once. What ends is kept in tables: "
        "after an interruption the same command goes on from there.",
    )
    corpus_options.add(search)
    search.add_argument(
        "--features",
        default="librosa",
        metavar="SET",
        help="such as librosa, librosa:mfcc+chroma, statistics or voice; default: librosa",
    )
    search.add_argument("--emotions", metavar="A,B,C", help="only these; default: all")
    search.add_argument(
        "--task",
        default="classify",
        help="classify, or regress on emotions in order: sad,neutral,happy or "
        "angry,sad,neutral,surprised,happy; default: classify",
    )
    search.add_argument(
        "--estimators",
        metavar="A,B,C",
        help="only these, such as svc,mlp; rnn is the recurrent network; default: all but rnn",
    )
    search.add_argument(
        "--balance",
        default="none",
        help="undersample (as many clips of each emotion), weights, or none; default: none",
    )
    search.add_argument(
        "--protocol",
        metavar="NAME",
        help="random, recording, speaker or given; default: speaker, or random where speakers are "
        "unknown",
    )
    search.add_argument(
        "--fold", metavar="NAME", help='whose test side is read, such as "fold 2"; default: first'
    )
    search.add_argument(
        "--sizes", action="store_true", help="also train the best with fewer and fewer clips"
    )
    search.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        help="folder of tables; default: one in the cache, where lesson 08 looks for it",
    )
    search.add_argument(
        "--jobs", type=options.processes, default=os.cpu_count() or 1, metavar="N", help="processes"
    )
    search.set_defaults(run=_search)


def _search(args: argparse.Namespace) -> int:
    from sercourse import experiment, files, labels, recipes

    emotions = labels.parse_emotions(args.emotions) if args.emotions else None
    recipe = recipes.from_zoo("svc", feature_set=args.features)  # any: all see the same features
    clips = corpus_options.clips_said(args, say=text.say).clips
    data = experiment.prepare(recipe, clips, emotions=emotions, n_jobs=args.jobs, report=text.say)
    protocol = args.protocol or data.usual_protocol
    plan = experiment.SearchConfig(
        data,
        _fold(data, protocol=protocol, name=args.fold),
        protocol,
        args.features,
        args.task,
        args.balance,
    )
    folder = args.out
    if folder is None:
        with files.keeping(plan.folder.parent):
            files.refuse_unwritable(plan.folder, replaces="search.json")
            folder = plan.folder
    estimators = [name.strip() for name in args.estimators.split(",")] if args.estimators else None
    found = experiment.run_search(
        plan, estimators=estimators, folder=folder, n_jobs=args.jobs, report=text.say
    )
    if args.sizes:
        found = experiment.against_size(plan, found, folder=folder, report=text.say)
    print(_summary(found))
    if folder is not None:
        print(f"tables in {folder}")
    return 0


def _fold(data: Dataset, *, protocol: str, name: str | None) -> Fold:
    """Return the fold of that name, or the first."""
    from sercourse import experiment

    folds = experiment.make_folds(data, protocol=protocol, seeds=[0])
    known = {fold.name: fold for fold in folds}
    if name is not None and name not in known:
        raise ValueError(f"there is no fold {name!r}: the protocol has {', '.join(known)}")
    return folds[0] if name is None else known[name]


def _summary(found: Search) -> str:
    """Return the finalists as a table, best on validation clips first."""
    told = found.told
    regression = told["task"] == "regress"
    names = ("error", "accuracy") if regression else ("uar", "accuracy")
    lines = [["", *(f"{side} {name}" for side in ("validation", "test") for name in names)]]
    for row in found.finalists.to_dict("records"):
        figures = [(name, row[side + name]) for side in ("", "test_") for name in names]
        shown = [f"{x:.2f}" if name == "error" else f"{x:.1%}" for name, x in figures]
        lines.append([str(row["estimator"]), *shown])
    first, *others = (max(map(len, column)) for column in zip(*lines, strict=True))
    table = [
        "  ".join([name.ljust(first), *map(str.rjust, cells, others)]) for name, *cells in lines
    ]
    title = (
        f"{told['task']} {', '.join(told['emotions'])} on {told['corpus']}, {told['protocol']}, "
        f"{told['fold']}: {told['n_train']} training clips, {told['n_test']} test clips, "
        f"chance {told['chance']:.1%}"
    )
    return "\n".join([title, *table, f"best on validation clips: {found.best}"])
