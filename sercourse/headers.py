"""Headers of sound files that lie: about how much follows, or cut off before it does.

Programs that write a header before they know the length leave 0 or a huge number in it; recorders
in browsers leave the length of the first second; interrupted copies hold less than they say.
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass, field
from io import BufferedReader

TOLERANCE = 0.01
"""A difference below this share is a slip of the program that wrote the header."""

_REVERSED_BITS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_TAGS = (b"ID3", b"TAG", b"APETAGEX", b"LYRICS")

# Rates of MPEG audio [kbit/s] by index 1 to 14, for (MPEG 1, layer), (MPEG 2 and 2.5, layer).
_KBITS = {
    (1, 1): range(32, 449, 32),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),  # of layer 3, too
}


@dataclass(frozen=True)
class Header:
    """What is known of a file before any of it is decoded.

    Attributes
    ----------
    patches : dict of int to bytes
        What must stand at some places of the file for all of its sound to be decoded.
    told : float
        The share of the sound in the file that its header tells of.
    n_samples : int or None
        Length of each channel, where counting is better than what libsndfile makes of it.
    """

    patches: dict[int, bytes] = field(default_factory=dict)
    told: float = 1.0
    n_samples: int | None = None


def inspect(file: BufferedReader, *, size: int) -> Header:
    """Look for lies in the header of a file of so many bytes; of other formats nothing is known.

    Raises
    ------
    ValueError
        If the file is truncated or damaged: the message is ``PATH: reason``.
    """
    file.seek(0)
    head = file.read(26)
    if head.startswith(b"ID3") or _mpeg_frame(head[:4]):
        return _mpeg(file, size)
    readers = dict.fromkeys((b"RIFF", b"RIFX", b"RF64", b"FORM"), _chunks)
    readers |= {b"caff": _wide, b"riff": _wide, b".snd": _au, b"fLaC": _flac, b"OggS": _ogg}
    reader = readers.get(head[:4])
    return reader(file, head, size) if reader else Header()


def is_unknown(n_bytes: int) -> bool:
    """Whether a length stands for "to the end of the file": 0, or a huge round number.

    Examples
    --------
    >>> [is_unknown(n) for n in (0, 2**30, 0x7F000000, 0x7FFFF000 - 36, 0xFFFFFFFF)]
    [True, True, True, True, True]
    >>> is_unknown(32_000), is_unknown(1_234_567_890)
    (False, False)
    """
    near = (n_bytes + 2**16) % 2**24 <= 2**17  # programs subtract their header from the number
    return n_bytes == 0 or (n_bytes > 2**30 - 2**16 and near)


def truncated(share: float) -> str:
    """Return what is said of a file that lacks a share of its sound."""
    return f"truncated sound file, {share:.0%} of it is missing"


def _refuse_truncated(file: BufferedReader, told: int, held: int) -> Header:
    """Compare the length that a header tells, if it does, with what there is."""
    if told > (1 + TOLERANCE) * held > 0 and not is_unknown(told):
        raise ValueError(f"{file.name}: {truncated(1 - held / told)}")
    return Header()


def _chunks(file: BufferedReader, head: bytes, size: int) -> Header:
    """Look at the chunk of samples in a RIFF (WAV) or FORM (AIFF) file."""
    order = "<" if head.startswith(b"R") and head[3:4] != b"X" else ">"
    if head[8:12] not in (b"WAVE", b"AIFF", b"AIFC"):  # such as AVI
        return _refuse_truncated(file, int.from_bytes(head[4:8], "little"), size - 8)
    at, told = 12, 0
    while at + 8 <= size:
        file.seek(at)
        name, told = struct.unpack(f"{order}4sI", file.read(8))
        at += 8
        if name in (b"data", b"SSND"):
            break
        at += told + told % 2
    held = size - at
    if head.startswith(b"RF64") and told == 2**32 - 1:
        file.seek(28)
        told = int.from_bytes(file.read(8), "little")
    if held <= 0 or told >= held:
        return _refuse_truncated(file, told, held)
    if _is_told(file, at + told + told % 2, size=size, order=order, told=told):
        return Header()
    length = struct.pack(f"{order}I", min(held, 2**32 - 1))
    whole = struct.pack(f"{order}I", min(size - 8, 2**32 - 1))
    return Header({4: whole, at - 4: length}, told=told / held if told else 1.0)


def _is_told(file: BufferedReader, at: int, *, size: int, order: str, told: int) -> bool:
    """Whether nothing but other chunks, tags and padding follows the samples."""
    while size - at >= max(8, TOLERANCE * told):
        file.seek(at)
        head = file.read(8)
        name, length = struct.unpack(f"{order}4sI", head)
        if head.startswith(_TAGS):
            return True
        another = name in (b"RIFF", b"FORM")  # a recording that was appended
        if another or not name.isascii() or not name.decode().isprintable():
            return not any(iter(lambda: file.read(2**20).strip(b"\0"), b"")) and not any(head)
        at += 8 + length + length % 2
        if at > size + 1:
            return False
    return True


def _au(file: BufferedReader, head: bytes, size: int) -> Header:
    start, told = struct.unpack(">II", head[4:12].ljust(8, b"\0"))
    held = size - start
    if held <= 0 or told >= (1 - TOLERANCE) * held:
        return _refuse_truncated(file, told, held)
    return Header({8: b"\xff" * 4}, told=told / held if told else 1.0)


def _wide(file: BufferedReader, head: bytes, size: int) -> Header:
    """Look for the end of the last chunk of a CAF or W64 file; -1 is an unknown length."""
    caf = head.startswith(b"caff")
    at, form, least = (8, ">4sq", 0) if caf else (40, "<16sq", 24)
    while size - at >= 24:
        file.seek(at)
        _, length = struct.unpack(form, file.read(struct.calcsize(form)))
        if length < least:
            break
        at += 12 + length if caf else (length + 7) // 8 * 8
    return _refuse_truncated(file, at, size)


def _flac(file: BufferedReader, head: bytes, size: int) -> Header:
    """Take the number of samples from STREAMINFO, so that libFLAC decodes what there is."""
    if len(head) < 26 or head[4] & 127:
        return Header()
    packed = int.from_bytes(head[18:], "big")
    unknown = (packed >> 36 << 36).to_bytes(8, "big")
    return Header({18: unknown}, n_samples=packed & (2**36 - 1) or None)


def _ogg(file: BufferedReader, head: bytes, size: int) -> Header:
    """Check every page: libogg leaves out damaged ones, and with them their sound."""
    damaged = f"{file.name}: damaged sound file"
    at = n_packets = 0
    while size - at > 0:
        file.seek(at)
        head = file.read(27).ljust(27, b"\xff")
        if not head.startswith(b"OggS"):
            if b"OggS" in head + file.read():
                raise ValueError(damaged)
            break
        table = file.read(head[26])
        body = file.read(sum(table))
        at += 27 + head[26] + sum(table)
        if at > size:
            raise ValueError(f"{file.name}: truncated sound file, it ends within a page of Ogg")
        page = head[:22] + bytes(4) + head[26:] + table + body
        if ogg_checksum(page) != int.from_bytes(head[22:26], "little"):
            raise ValueError(damaged)
        n_packets += sum(length < 255 for length in table)
        if 0 < (position := int.from_bytes(head[6:14], "little", signed=True)) > 2**20 * n_packets:
            raise ValueError(f"{damaged}, a page of Ogg claims to be at {position}")
    return Header()


def ogg_checksum(page: bytes) -> int:
    """Return the checksum of a page of Ogg, in which the checksum's own bytes are 0 (RFC 3533)."""
    # It is that of zlib with all bits the other way round.
    mirrored = zlib.crc32(page.translate(_REVERSED_BITS), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)


def _mpeg(file: BufferedReader, size: int) -> Header:
    """Count the frames of an MP3 and compare them with its Xing header."""
    at = n_frames = told = place = samples = 0
    file.seek(0)
    while (head := file.read(10)).startswith(b"ID3") and len(head) == 10:
        at += 10 + sum((byte & 127) << 7 * (3 - k) for k, byte in enumerate(head[6:]))
        file.seek(at)
    while size - at >= 4:
        file.seek(at)
        head = file.read(4)
        if (frame := _mpeg_frame(head)) is None:
            if n_frames and (head.startswith(_TAGS) or not any(head)):
                break  # tags or padding at the end
            return Header()  # something else is in it, and decoders find a way round it
        length, samples = frame
        xing = n_frames == 0 and re.search(rb"(?s)(?:Xing|Info)\0\0\0(.)(.{4})", file.read(192))
        if xing:
            place = at + 4 + xing.start(2)
            told = int.from_bytes(xing[2], "big") if xing[1][0] & 1 else 0
        n_frames, at = n_frames + 1, at + length
    held = n_frames - (place > 0)
    if told > held and 1 - held / told > TOLERANCE:
        raise ValueError(f"{file.name}: {truncated(1 - held / told)}")
    if at > size:
        raise ValueError(f"{file.name}: truncated sound file, it ends within a frame of MPEG audio")
    if told and told < (1 - TOLERANCE) * held - 2:
        return Header({place: held.to_bytes(4, "big")}, told / held, n_samples=held * samples)
    return Header(n_samples=None if told else held * samples)


def _mpeg_frame(head: bytes) -> tuple[int, int] | None:
    """Return the bytes and the samples of a frame of MPEG audio; None if it is none."""
    word = int.from_bytes(head, "big")
    version, layer = word >> 19 & 3, 4 - (word >> 17 & 3)  # version 3 is MPEG 1, 2 is 2, 0 is 2.5
    kbits, rate, padding = word >> 12 & 15, word >> 10 & 3, word >> 9 & 1
    if word >> 21 != 0x7FF or version == 1 or layer == 4 or kbits in (0, 15) or rate == 3:
        return None
    hertz = (44_100, 48_000, 32_000)[rate] >> {3: 0, 2: 1, 0: 2}[version]
    bits = 1000 * _KBITS[(1, layer) if version == 3 else (2, min(layer, 2))][kbits - 1]
    if layer == 1:
        return (12 * bits // hertz + padding) * 4, 384
    samples = 576 if layer == 3 and version != 3 else 1152
    return samples // 8 * bits // hertz + padding, samples
