"""Ogg/Opus files whose bytes depend on nothing but the samples."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from sercourse import headers

COMPRESSION = 0.92  # of libsndfile's scale; about 24 kbit/s
SERIAL = b"SER1"  # libsndfile would draw this number from the clock


def write(path: Path, y: NDArray[np.float64], *, sr: int) -> None:
    """Encode mono samples; the same samples give the same file under one encoder version."""
    buffer = io.BytesIO()
    soundfile.write(buffer, y, sr, format="OGG", subtype="OPUS", compression_level=COMPRESSION)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_with_serial(buffer.getvalue()))


def _with_serial(ogg: bytes) -> bytes:
    """Return the stream with `SERIAL` in every page (RFC 3533, section 6) and new checksums."""
    pages, start = [], 0
    while start < len(ogg):
        n_segments = ogg[start + 26]
        body = start + 27 + n_segments
        end = body + sum(ogg[start + 27 : body])
        page = ogg[start : start + 14] + SERIAL + ogg[start + 18 : start + 22]
        rest = ogg[start + 26 : end]
        checksum = headers.ogg_checksum(page + bytes(4) + rest).to_bytes(4, "little")
        pages.append(page + checksum + rest)
        start = end
    return b"".join(pages)
