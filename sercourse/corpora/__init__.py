"""Corpora of emotional speech: from a folder of files to a table of clips and one of rejects."""

from __future__ import annotations

from sercourse.corpora.combining import combine
from sercourse.corpora.expected import EXPECTED, missing
from sercourse.corpora.naming import RAVDESS_STATEMENTS
from sercourse.corpora.places import folder
from sercourse.corpora.scanning import NAMES, Scan, fingerprint, scan

__all__ = [
    "EXPECTED",
    "NAMES",
    "RAVDESS_STATEMENTS",
    "Scan",
    "combine",
    "fingerprint",
    "folder",
    "missing",
    "scan",
]
