"""Several corpora as one table of clips."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from sercourse.corpora.scanning import file_contents, join_groups
from sercourse.labels import in_order


def combine(tables: Sequence[pd.DataFrame], *, test: Sequence[pd.DataFrame] = ()) -> pd.DataFrame:
    """Return the clips of several corpora as one table.

    Names of clips get the name of their corpus in front, so that they stay unique. Clips with the
    same content share a group, whichever corpora they came from.

    Parameters
    ----------
    tables : sequence of pandas.DataFrame
        Clip tables, as `scan` gives them.
    test : sequence of pandas.DataFrame, optional
        Further tables, only to test on: then the column `split` says ``train`` and ``test``, and
        protocol ``given`` trains on the former and tests on the latter.

    Returns
    -------
    pandas.DataFrame
        Sorted by `clip_id`.

    Raises
    ------
    ValueError
        If there is no table, two have a clip of the same name, one has no emotion that another one
        has, or a clip that is to be tested is among the training clips too.

    Examples
    --------
    >>> import tempfile, numpy as np, soundfile
    >>> from pathlib import Path
    >>> from sercourse.corpora import scan
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     soundfile.write(Path(folder) / "my_happy.wav", np.zeros(8_000), 8_000)
    ...     mine = scan(folder, corpus="custom").clips
    >>> combine([mine])[["clip_id", "emotion"]].values.tolist()
    [['custom/my_happy', 'happy']]
    """
    if not tables:
        raise ValueError("there is no clip table to combine: give at least one")
    sides = [*tables, *test]
    if test:
        parts = ["train"] * len(tables) + ["test"] * len(test)
        sides = [each.assign(split=part) for each, part in zip(sides, parts, strict=True)]
    clips = pd.concat(sides, ignore_index=True)
    clips["clip_id"] = clips["corpus"] + "/" + clips["clip_id"]
    if (twice := clips["clip_id"].duplicated()).any():
        raise ValueError(
            f"two tables have a clip {clips['clip_id'][twice].iloc[0]!r}: give each folder once, "
            "and scan own clips from the folder above all of them"
        )
    _refuse_unrelated(clips)
    clips["group"] = pd.array(join_groups(clips["group"], file_contents(clips)), dtype="string")
    if test:
        _refuse_overlap(clips)
    return clips.astype({"split": "string"}).sort_values("clip_id", ignore_index=True)


def _refuse_unrelated(clips: pd.DataFrame) -> None:
    shown = clips.groupby("corpus")["emotion"].agg(set)
    for corpus, own in shown.items():
        others = set().union(*shown.drop(corpus))
        if others and not own & others:
            raise ValueError(
                f"corpus {corpus!r} shows {', '.join(in_order(own))} and the others "
                f"{', '.join(in_order(others))}: without a shared emotion a model learns to tell "
                "corpora apart; leave it out, or translate its labels"
            )


def _refuse_overlap(clips: pd.DataFrame) -> None:
    sides = clips.groupby("group")["split"].nunique()
    if (shared := sides[sides > 1].index).size:
        rows = clips[clips["group"] == shared[0]]
        names = " and ".join(rows["clip_id"].iloc[:2])
        raise ValueError(
            f"the same recording is in training and in test ({names}): leave it out of one side"
        )
