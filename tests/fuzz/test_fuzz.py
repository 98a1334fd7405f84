"""Damaged files are read in one sentence: those that once were not, and some new ones."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import harness
import pytest


@pytest.mark.parametrize("name", sorted(path.name for path in harness.FOUND.glob("*-*")))
def test_what_was_found_is_read_well(name: str, tmp_path: Path) -> None:
    target, _, file = name.split("-", maxsplit=2)
    case = (target, file, (harness.FOUND / name).read_bytes())
    assert harness.tried([case], harness.targets(), into=tmp_path) == ""


def test_new_damage_is_read_well() -> None:
    seed = int(os.environ.get("SERCOURSE_FUZZ_SEED", "0"))
    counts, faults = harness.fuzz(seconds=40, seed=seed, batch=20)
    assert not faults, "\n".join(faults)
    assert min(n for name, n in counts.items() if name != "film") >= 20  # which starts ffmpeg


def test_the_harness_sees_faults(tmp_path: Path) -> None:
    def lie(path: Path) -> str:
        return path.read_text("latin-1")

    def fail(path: Path) -> None:
        raise KeyError(path.name)

    def crash(path: Path) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    for read, word in {
        lie: "another answer",
        fail: "KeyError",
        crash: "it crashes: signal 9",
    }.items():
        known = {"a": harness.Target([("a.txt", b"whole")], read, sealed=True)}
        assert word in harness.tried([("a", "a.txt", b"other")], known, into=tmp_path)
    known = {"a": harness.Target([("a.txt", b"whole")], lie, sealed=True)}
    assert harness.tried([("a", "a.txt", b"whole")], known, into=tmp_path) == ""
