"""Fixtures that several test files share."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest
from hypothesis import settings

from sercourse import (  # before a test imports onnxruntime: its telemetry is switched off
    corpora,
    files,
)

ROOT = Path(__file__).resolve().parent.parent
NO_LINKS = 1314  # ERROR_PRIVILEGE_NOT_HELD of Windows
LONGEST = ("lessons", "networks", "site", "real time", "test_readme.py", "test_style.py")
"""Groups of tests that take a minute or more, longest first."""
INTEGRATION = (
    *("cluster", "colab", "fuzz", "interrupted", "microphone", "packaging", "readme", "site"),
    *("style", "voice_page"),
)
"""Files of tests that use pages, browsers, devices, other programs, or take a minute."""


class Done(NamedTuple):
    """A command that has ended."""

    status: int
    out: str
    err: str


Command = Callable[..., Done]

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no such pipes, modes or scripts")

if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    # Two processes that compile librosa's functions for the first time, for other types, can each
    # read what the other wrote into numba's cache, and crash.
    os.environ.setdefault("NUMBA_CACHE_DIR", str(ROOT / "build" / "numba" / worker))

# On a busy machine one example can take longer than the 200 ms that Hypothesis allows by itself.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


def _real_corpus(name: str) -> Path:
    """Return the folder of a real corpus, or skip the test that asked for it."""
    places = [os.environ.get("SERCOURSE_DATA"), ROOT / "data", ROOT.parent / "shared" / "corpora"]
    for place in places:
        if place and (files.user_path(place) / name).is_dir():
            return files.user_path(place) / name
    pytest.skip(
        f"the real {name} corpus is not here: set SERCOURSE_DATA to the folder that holds it"
    )


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file in one process, where what they share is made once.

    Long groups come first, so that no process waits for the other at the end.
    """

    def place(item: pytest.Item) -> int:
        group = item.get_closest_marker("xdist_group")
        if group is None:
            return len(LONGEST)
        return LONGEST.index(group.args[0]) if group.args[0] in LONGEST else len(LONGEST) + 1

    for item in items:
        if not item.get_closest_marker("notebook") and not item.get_closest_marker("xdist_group"):
            name = item.path.name
            name = "networks" if item.path.parent.name == "networks" else name  # loads Keras
            item.add_marker(pytest.mark.xdist_group(name))
        marks = {mark.name for mark in item.iter_markers()}
        if item.path.stem.removeprefix("test_") in INTEGRATION or marks & {"notebook", "browser"}:
            item.add_marker(pytest.mark.integration)
    items.sort(key=place)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None]:
    """Skip a test that makes links where Windows lets only some users do so."""
    try:
        return (yield)
    except OSError as error:
        if getattr(error, "winerror", None) == NO_LINKS:
            pytest.skip("Windows lets this user make no links: turn its developer mode on")
        raise


@pytest.fixture(autouse=True)
def _lessons_at_full_speed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Count no lines in the kernels of lessons: unit tests alone are to reach the package."""
    if request.node.get_closest_marker("notebook"):
        monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)


@pytest.fixture(scope="session")
def root() -> Path:
    """Folder of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def ravdess_root() -> Path:
    """Folder of the real RAVDESS."""
    return _real_corpus("ravdess")


@pytest.fixture(scope="session")
def aesdd_root() -> Path:
    """Folder of the real AESDD."""
    return _real_corpus("aesdd")


@pytest.fixture(scope="session")
def sample_ravdess(root: Path) -> Path:
    """Folder of the synthetic, RAVDESS-shaped sample corpus."""
    return root / "data" / "sample" / "ravdess"


@pytest.fixture(scope="session")
def sample_aesdd(root: Path) -> Path:
    """Folder of the synthetic, AESDD-shaped sample corpus."""
    return root / "data" / "sample" / "aesdd"


@pytest.fixture(scope="session")
def ravdess_clips(sample_ravdess: Path) -> pd.DataFrame:
    """Clips of the RAVDESS-shaped sample: 12 voices, 30 clips of each."""
    return corpora.scan(sample_ravdess, corpus="ravdess").clips


@pytest.fixture(scope="session")
def aesdd_clips(sample_aesdd: Path) -> pd.DataFrame:
    """Clips of the AESDD-shaped sample."""
    return corpora.scan(sample_aesdd, corpus="aesdd").clips


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep each run's cache apart from the user's, shared by the tests of all its processes."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if worker else base
    monkeypatch.setenv("SERCOURSE_CACHE", str(base / "cache"))


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Return a function that runs `sercourse` with some words, in one process unless they say."""
    from sercourse.cli import main

    monkeypatch.setattr(os, "cpu_count", lambda: 1)

    def run(*words: object) -> Done:
        capsys.readouterr()
        return Done(main([str(word) for word in words]), *capsys.readouterr())

    return run


@pytest.fixture
def refuse(command: Command) -> Callable[..., str]:
    """Return a function that runs what must be refused, and returns the sentence."""

    def run(*words: object) -> str:
        status, _, err = command(*words)
        *_, sentence = err.strip().splitlines()
        assert (status, sentence[:11]) == (2, "sercourse: ")
        assert "Traceback" not in err
        return sentence

    return run
