"""Corpora of emotional speech: from a folder of files to a table of clips and one of rejects."""

from __future__ import annotations

from sercourse.corpora.naming import RAVDESS_STATEMENTS
from sercourse.corpora.scan import (
    EXPECTED,
    NAMES,
    Scan,
    combine,
    fingerprint,
    folder,
    list_files,
    missing,
    scan,
)

__all__ = [
    "EXPECTED",
    "NAMES",
    "RAVDESS_STATEMENTS",
    "Scan",
    "combine",
    "fingerprint",
    "folder",
    "list_files",
    "missing",
    "scan",
]
