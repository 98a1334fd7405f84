"""What a search has finished, kept as tables that people can read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from sercourse import files
from sercourse.experiment.candidates import ParamSetting, Task

TOLD = "search.json"
TABLES = ("candidates", "finalists", "predictions", "sizes")
DECIMALS = 5

Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class SearchLog:
    """Rows of finished work, by table; written to a folder as each ends, if there is one.

    Attributes
    ----------
    told : mapping
        What is searched, on which clips.
    folder : Path, optional
    rows : dict of str to list
        For each of `TABLES`.
    """

    told: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = None
    rows: dict[str, list[Row]] = field(default_factory=lambda: {name: [] for name in TABLES})

    @classmethod
    def open(cls, folder: str | Path | None, told: Mapping[str, Any]) -> SearchLog:
        """Return the ledger of a search, with what was finished before.

        Raises
        ------
        ValueError
            If the folder holds another search.
        FileExistsError
            If it holds something else.
        """
        if folder is None:
            return cls(told)
        folder = files.user_path(folder)
        ledger = cls(told, folder)
        files.refuse_unwritable(folder, replaces=TOLD)
        if (folder / TOLD).is_file():
            _refuse_other(folder, _read_told(folder), told)
            ledger.rows.update({name: _read_rows(folder, name) for name in TABLES})
        files.write_json(folder / TOLD, told)
        return ledger

    @classmethod
    def read(cls, folder: Path) -> SearchLog:
        """Return the ledger of a folder.

        Raises
        ------
        FileNotFoundError
            If there is none.
        """
        if not (folder / TOLD).is_file():
            raise FileNotFoundError(f"{folder} holds no search: make one with sercourse search")
        rows = {name: _read_rows(folder, name) for name in TABLES}
        return cls(_read_told(folder), folder, rows)

    def add(self, table: str, rows: Iterable[Row]) -> None:
        """Keep finished rows of a table."""
        self.rows[table].extend(rows)
        if self.folder is not None:
            with files.atomic_path(self.folder / f"{table}.csv") as temporary:
                pd.DataFrame(self.rows[table]).to_csv(temporary, index=False)

    def put(self, table: str, rows: Iterable[Row], *, estimator: str) -> None:
        """Keep finished rows in place of those that a table had on the estimator."""
        self.rows[table] = [row for row in self.rows[table] if row["estimator"] != estimator]
        self.add(table, rows)

    def has(self, table: str, **wanted: Any) -> bool:
        """Whether a table has a row with these values."""
        return any(
            all(row[name] == value for name, value in wanted.items()) for row in self.rows[table]
        )

    def table(self, name: str, *, estimators: Iterable[str] | None = None) -> pd.DataFrame:
        """Return a table, or its rows on some estimators."""
        chosen = None if estimators is None else set(estimators)
        rows = [row for row in self.rows[name] if chosen is None or row["estimator"] in chosen]
        return pd.DataFrame(rows)


def candidate_row(candidate: ParamSetting) -> Row:
    """Return what tables call a candidate."""
    return {"estimator": candidate.estimator, "settings": json.dumps(candidate.settings)}


def rounded(figures: Mapping[str, float], *, prefix: str = "") -> Row:
    """Return figures as tables keep them."""
    return {f"{prefix}{name}": round(value, DECIMALS) for name, value in figures.items()}


def ranked(task: Task, table: pd.DataFrame) -> pd.DataFrame:
    """Return candidates by their score on validation clips, best first."""
    # Of equals the first of its grid comes first, whatever order they ended in.
    ordered = table.sort_values(["estimator", "settings"])
    return ordered.sort_values(
        task.score, ascending=task.regression, kind="stable", ignore_index=True
    )


def _read_told(folder: Path) -> dict[str, Any]:
    try:
        told: dict[str, Any] = json.loads((folder / TOLD).read_text("utf-8"))
    except ValueError:
        raise ValueError(
            f"{folder / TOLD} is not readable as JSON: name another folder, or delete this one"
        ) from None
    return told


def _read_rows(folder: Path, table: str) -> list[Row]:
    """Return the rows of a table; a file that is missing or damaged counts as none."""
    try:
        found = pd.read_csv(folder / f"{table}.csv", dtype={"truth": str, "predicted": str})
    except (FileNotFoundError, pd.errors.EmptyDataError, pd.errors.ParserError):
        return []
    return [{str(name): value for name, value in row.items()} for row in found.to_dict("records")]


def _refuse_other(folder: Path, known: Mapping[str, Any], told: Mapping[str, Any]) -> None:
    for name, value in told.items():
        if known.get(name) != value:
            raise ValueError(
                f"{folder} holds another search, of {name} {_short(known.get(name))} where "
                f"{_short(value)} is wanted: name another folder"
            )


def _short(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(str, value))
    return str(value)
