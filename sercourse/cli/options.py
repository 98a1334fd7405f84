"""Kinds of numbers that options take; argparse says which option was wrong."""

from __future__ import annotations

import argparse


def processes(text: str) -> int:
    """Read a number of processes, or -1 for one on each core."""
    number = _whole(text)
    if number < 1 and number != -1:
        raise argparse.ArgumentTypeError(f"{text}: give a number from 1, or -1 for all cores")
    return number


def channel(text: str) -> int | str:
    """Read which channel of a recording is meant."""
    if text in ("left", "right", "each"):
        return text
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: give left, right, each or a number from 1")
    return int(text)


def seed(text: str) -> int:
    """Read the seed of a generator of random numbers."""
    number = _whole(text)
    if not 0 <= number < 2**32:
        raise argparse.ArgumentTypeError(f"{text}: give a number from 0 to {2**32 - 1}")
    return number


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None
