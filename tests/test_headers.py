"""Headers of sound files that tell of more or less than the file holds, byte by byte."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from sercourse import headers

Inspect = Callable[[bytes], headers.Header]


@pytest.fixture
def inspect(tmp_path: Path) -> Inspect:
    """Return a function that looks at the header of some bytes."""

    def look(content: bytes) -> headers.Header:
        path = tmp_path / "sound"
        path.write_bytes(content)
        with path.open("rb") as file:
            return headers.inspect(file, size=len(content))

    return look


def wav(samples: bytes, after: bytes) -> bytes:
    """Return a WAV file with something after the samples that its header tells of."""
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 16_000, 32_000, 2, 16)
    body = b"WAVE" + form + struct.pack("<4sI", b"data", len(samples)) + samples + after
    return struct.pack("<4sI", b"RIFF", len(body)) + body


def test_a_chunk_after_the_samples_ends_within_the_file_or_is_none(inspect: Inspect) -> None:
    noise = np.random.default_rng(0).bytes(8000)
    assert inspect(wav(noise, struct.pack("<4sI", b"LIST", 4000) + bytes(4000))).patches == {}
    more = inspect(wav(noise, struct.pack("<4sI", b"LIST", 10**8) + noise))
    assert more.told == pytest.approx(8000 / 16_008)
    assert set(more.patches) == {4, 40}


def test_a_chunk_of_unknown_length_ends_with_the_file(inspect: Inspect) -> None:
    samples = struct.pack(">4sq", b"data", -1) + bytes(400)
    assert inspect(b"caff\0\1\0\0" + samples) == headers.Header()


def test_a_flac_without_its_first_block_tells_nothing(inspect: Inspect) -> None:
    assert inspect(b"fLaC" + bytes([4]) + bytes(100)) == headers.Header()


def page(position: int, body: bytes) -> bytes:
    """Return a page of Ogg; its checksum has the polynomial 0x04c11db7, from zero on."""
    head = b"OggS\0\2" + position.to_bytes(8, "little", signed=True) + bytes(8)
    tail = bytes([1, len(body)]) + body
    checksum = 0
    for byte in head + bytes(4) + tail:
        checksum ^= byte << 24
        for _ in range(8):
            checksum = (checksum << 1) ^ (0x104C11DB7 if checksum >> 31 else 0)
    return head + checksum.to_bytes(4, "little") + tail


def test_a_page_of_ogg_cannot_be_years_from_the_beginning(inspect: Inspect) -> None:
    assert inspect(page(960, b"packet")) == headers.Header()
    with pytest.raises(ValueError, match="damaged sound file, a page of Ogg claims to be at"):
        inspect(page(2**40, b"packet"))


def test_what_follows_an_ogg_is_padding_unless_pages_come_after_it(inspect: Inspect) -> None:
    whole = page(960, b"packet")
    assert inspect(whole + bytes(100)) == headers.Header()
    with pytest.raises(ValueError, match="damaged sound file"):
        inspect(whole + b"noise" + whole)


@pytest.fixture(scope="module")
def mp3() -> bytes:
    file = io.BytesIO()
    sf.write(file, np.random.default_rng(0).normal(0, 0.1, 32_000), 16_000, format="MP3")
    return file.getvalue()


@pytest.mark.parametrize("after", [b"TAG" + bytes(125), bytes(300)], ids=["tags", "padding"])
def test_tags_and_padding_are_no_frames(inspect: Inspect, mp3: bytes, after: bytes) -> None:
    assert inspect(mp3 + after) == inspect(mp3)


def test_of_an_mp3_with_something_else_in_it_nothing_is_known(inspect: Inspect, mp3: bytes) -> None:
    assert inspect(mp3 + b"something else") == headers.Header()


def test_a_recording_that_was_appended_counts(inspect: Inspect, mp3: bytes) -> None:
    twice = inspect(mp3 + mp3)
    assert twice.told == pytest.approx(0.5, abs=0.02)
    (place, content), *rest = twice.patches.items()
    assert not rest
    start = re.search(b"Xing|Info", mp3)
    assert start is not None
    assert place == start.start() + 8
    assert int.from_bytes(content, "big") * 576 == twice.n_samples
    assert twice.n_samples == pytest.approx(64_000, rel=0.1)


def test_frames_of_layer_one_are_counted(inspect: Inspect) -> None:
    frame = bytes([0xFF, 0xFF, 0x40, 0]) + bytes(132)  # 128 kbit/s at 44.1 kHz: 34 slots of 4 bytes
    assert inspect(10 * frame).n_samples == 10 * 384
