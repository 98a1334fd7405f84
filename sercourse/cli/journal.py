"""What a long command has found so far, in a file beside its output: cut, it goes on from there."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO


class Journal:
    """Records by name, a line each, written as they come and read one by one.

    Parameters
    ----------
    target : path or None
        Output that the records are for; None where they need not outlast the command.
    key : str
        What the records depend on: those of another key are not taken over.
    """

    def __init__(self, target: Path | None, *, key: str) -> None:
        self.names: set[str] = set()
        self._path = None if target is None else target.with_name(f".{target.name}-{key}.jsonl")
        self._file: BinaryIO = io.BytesIO() if self._path is None else self._path.open("a+b")
        whole = 0
        self._file.seek(0)
        for line in self._file:
            try:
                self.names.add(json.loads(line)[0])
            except ValueError:
                break  # it was being written
            whole += len(line)
        self._file.truncate(whole)

    def add(self, name: str, record: dict[str, Any]) -> None:
        """Keep a record; OSError if the disk is full."""
        self._file.seek(0, os.SEEK_END)
        self._file.write(json.dumps([name, record]).encode() + b"\n")
        self._file.flush()
        self.names.add(name)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield the records; of two with one name, as two runs at once write them, the first."""
        self._file.seek(0)
        seen: set[str] = set()
        for name, record in map(json.loads, self._file):
            if name not in seen:
                seen.add(name)
                yield record

    def batches(self, size: int = 1000) -> Iterator[list[dict[str, Any]]]:
        """Yield the records, so many at a time."""
        records = iter(self)
        while batch := list(islice(records, size)):
            yield batch

    def done(self) -> None:
        """Delete the file: the output is complete."""
        self._file.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)
