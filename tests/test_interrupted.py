"""Work that is killed at any moment goes on, ends with the same result, and leaves nothing."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sercourse import bundles, experiment, files
from sercourse.recipes import recipe

KILLS = int(os.environ.get("SERCOURSE_KILLS", "20"))
CLASSIC = recipe("svm-classic")


@pytest.fixture(scope="module")
def clips(ravdess_clips: pd.DataFrame) -> pd.DataFrame:
    found = ravdess_clips
    own = found["emotion"].isin(["happy", "sad"]) & found["speaker"].str[-2:].le("04")
    return found[own].reset_index(drop=True)


def work(clips: pd.DataFrame, folder: Path) -> None:
    """Measure clips, evaluate a recipe fold by fold, and write a model and its answers."""
    data = experiment.prepare(CLASSIC, clips, progress=False)
    found = experiment.evaluate_recipe(CLASSIC, data, protocol="speaker")
    with files.atomic_path(folder / "answers.csv") as temporary:
        found.predictions.to_csv(temporary, index=False)
    with files.atomic_folder(folder / "model", replaces=bundles.INDEX) as inside:
        for name in ("predictions.csv", bundles.INDEX):
            (inside / name).write_text(found.predictions.to_csv())


@pytest.mark.skipif(os.name == "nt", reason="Windows locks no folders")
def test_what_a_kill_left_beside_finished_results_goes(
    clips: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a kill between the renaming of the last file and the end of its temporary folder."""
    monkeypatch.setenv("SERCOURSE_CACHE", str(tmp_path))
    work(clips, tmp_path)
    places = {path.parent for path in tmp_path.rglob("*") if path.suffix in (".row", ".json")}
    assert {"evaluations", "features"} <= {place.parent.name for place in places}
    for place in places:
        (place / f"{files.TEMPORARY}rest").mkdir()
    files.sweep.cache_clear()  # as in another process
    work(clips, tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(files.TEMPORARY)]


def is_killed(clips: pd.DataFrame, folder: Path, *, after: float) -> bool:
    """Do the work in a process that is killed after so many seconds, if it lasts as long."""
    child = os.fork()
    if child == 0:
        work(clips, folder)
        os._exit(0)
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_killed_work_ends_with_the_same_result_and_leaves_nothing(
    clips: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERCOURSE_CACHE", str(tmp_path / "whole"))
    work(clips, tmp_path / "whole")  # what is loaded once would lengthen the first run
    started = time.monotonic()
    monkeypatch.setenv("SERCOURSE_CACHE", str(tmp_path / "timed"))
    work(clips, tmp_path / "timed")
    longest, rng, kills = time.monotonic() - started, np.random.default_rng(0), 0
    wanted, n_tries = (tmp_path / "whole" / "answers.csv").read_bytes(), 0
    while kills < KILLS:
        folder = tmp_path / f"round {n_tries}"
        monkeypatch.setenv("SERCOURSE_CACHE", str(folder))
        while is_killed(clips, folder, after=rng.uniform(0, longest / 2)):
            kills += 1
            if (folder / "answers.csv").exists():
                assert (folder / "answers.csv").read_bytes() == wanted
            assert not (folder / "model").exists() or len(list((folder / "model").iterdir())) == 2
        assert (folder / "answers.csv").read_bytes() == wanted
        n_tries += 1
        rests = [path for path in folder.rglob("*") if path.name.startswith(".")]
        assert rests == []
    assert n_tries >= 1
