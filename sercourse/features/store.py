"""The one store of features: a database for each set, with a row for each clip.

SQLite keeps writers of several processes apart and a row whole; each row has a checksum. What is
damaged is made anew, and where nothing can be stored the work goes on without.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sercourse import files

if TYPE_CHECKING:
    import pandas as pd

    from sercourse.features.sets import FeatureSet

_TABLE = "CREATE TABLE IF NOT EXISTS rows (clip TEXT PRIMARY KEY, checksum INTEGER, data BLOB)"
_KNOWN = "FROM json_each(?) AS wanted JOIN rows ON rows.clip = wanted.value"
_WRITE = "INSERT OR REPLACE INTO rows VALUES (?, ?, ?)"


def contents(clips: pd.DataFrame) -> list[str]:
    """Return a hash of each clip's bytes; of its path where there is no such file.

    That of a segment also depends on its `start` and `end`.
    """
    if "content" in clips.columns and clips["content"].notna().all():
        return [str(each) for each in clips["content"]]
    times = clips.reindex(columns=["start", "end"]).astype(float)
    hashes = {path: _hash(files.user_path(path)) for path in clips["path"].unique()}
    return [
        hashes[path] if np.isnan([start, end]).all() else files.digest([hashes[path], start, end])
        for path, start, end in zip(clips["path"], times["start"], times["end"], strict=True)
    ]


def _hash(path: Path) -> str:
    return files.clip_key(path) if path.is_file() else files.digest(str(path))


@dataclass(frozen=True)
class Store:
    """Stored rows of some clips.

    Attributes
    ----------
    file : Path
        The database.
    keys : sequence of str
        What each clip is stored by.
    """

    file: Path
    keys: Sequence[str]

    @classmethod
    def of(
        cls, feature_set: FeatureSet, keys: Sequence[str], *, folder: str | Path | None
    ) -> Store:
        """Return the store of a set, whose file is named by all that the numbers depend on."""
        parent = files.cache_dir() / "features" if folder is None else files.user_path(folder)
        # A colon cannot be in the name of a file on every system.
        name = f"{feature_set.name.replace(':', '-')}-{files.digest(feature_set.key)}.sqlite"
        return cls(parent / name, keys)

    def count(self) -> int:
        """Return for how many of the clips there is a row."""
        return sum(number for (number,) in self._found("COUNT(*)"))

    def read(self, X: NDArray[Any]) -> NDArray[np.bool_]:
        """Fill in the rows that are stored and whole; return which these are."""
        known = np.zeros(len(X), dtype=bool)
        if not len(X):
            return known
        flat, size = X.data.cast("B"), X[0].nbytes
        for row, checksum, data in self._found("wanted.key, rows.checksum, rows.data"):
            if isinstance(data, bytes) and len(data) == size and zlib.crc32(data) == checksum:
                flat[row * size : (row + 1) * size] = data
                known[row] = True
        return known

    def write(self, X: NDArray[Any], rows: Iterable[int]) -> None:
        """Store some rows, all or none of them."""
        told = ((self.keys[row], zlib.crc32(X[row]), X[row].tobytes()) for row in rows)
        with files.keeping(self.file.parent):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self._opened() as database, database:
                database.execute("PRAGMA page_size = 65536")  # large rows are read in few pieces
                database.execute("PRAGMA synchronous = OFF")  # a cache need not outlive a power cut
                database.execute(_TABLE)
                database.executemany(_WRITE, told)

    def _found(self, columns: str) -> Iterator[tuple[Any, ...]]:
        """Yield columns of the clips' rows."""
        if not self.file.exists():
            return
        with files.keeping(self.file.parent), self._opened() as database:
            yield from database.execute(f"SELECT {columns} {_KNOWN}", [json.dumps(self.keys)])

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """Open the database; one that is damaged is deleted, so that it is made anew."""
        try:
            with contextlib.closing(sqlite3.connect(self.file, timeout=60)) as database:
                yield database
        except sqlite3.OperationalError as error:  # such as a full disk
            if "no such table" not in str(error):  # as in an empty file
                raise OSError(f"{self.file.name}: {error}") from None
        except sqlite3.DatabaseError:
            for suffix in ("", "-journal"):
                self.file.with_name(self.file.name + suffix).unlink(missing_ok=True)
