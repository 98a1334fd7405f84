"""Work on a Dask cluster of two processes: what comes back is what one machine makes."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from conftest import Command, posix
from sercourse import corpora, experiment
from sercourse.cli import options
from sercourse.cli.live import Journal
from sercourse.features import FeatureSet, feature_table, named
from sercourse.recipes import recipe

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")
joblib = pytest.importorskip("joblib")

pytestmark = [
    pytest.mark.xdist_group("cluster"),
    # Dask gives a thread ten seconds to start, which a busy machine may need.
    pytest.mark.flaky(reruns=1, reruns_delay=5),
]
EMOTIONS = ("--emotions", "happy,sad")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Return a client of two worker processes."""
    settings = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    # On a busy machine a worker needs long to come back.
    patient = {"distributed.deploy.lost-worker-timeout": "120s"}
    with (
        dask.config.set(patient),
        distributed.LocalCluster(processes=True, silence_logs=50, **settings) as machines,
        distributed.Client(machines) as client,
    ):
        yield client


@pytest.fixture
def address(cluster: Any) -> str:
    return str(cluster.scheduler.address)


@pytest.fixture(scope="module")
def clips(sample_aesdd: Path) -> pd.DataFrame:
    """Return the table of 60 clips or so, of two emotions."""
    found = corpora.scan(sample_aesdd, corpus="aesdd").clips
    return found[found["emotion"].isin(["happy", "sad"])].reset_index(drop=True)


def pids(cluster: Any) -> list[int]:
    return list(cluster.run(os.getpid).values())


def test_features_by_the_command_are_those_of_one_machine(
    command: Command, address: str, sample_aesdd: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    words = ["features", sample_aesdd / "sadness", "--corpus", "aesdd", "--set", "statistics"]
    for name, more in (("here", ["--jobs", "1"]), ("there", ["--cluster", address])):
        monkeypatch.setenv("SERCOURSE_CACHE", str(tmp_path / f"cache of {name}"))
        assert command(*words, "--out", tmp_path / name, *more).status == 0
    here, there = (
        np.load(tmp_path / f"{name}.npz", allow_pickle=False) for name in ("here", "there")
    )
    assert len(here["X"]) > 20
    for name in here.files:
        np.testing.assert_array_equal(here[name], there[name])


@posix
def test_a_worker_that_dies_among_features_costs_and_doubles_nothing(
    cluster: Any, clips: pd.DataFrame, tmp_path: Path
) -> None:
    plain, kept, client = named("statistics"), str(tmp_path), os.getpid()

    def deadly(y: np.ndarray, *, sr: int) -> np.ndarray:
        """Kill the first worker that comes to a clip of more than two seconds."""
        killed = Path(kept, "killed")
        if os.getpid() != client:
            if len(y) > 2 * sr and not killed.exists():
                killed.write_text(str(os.getpid()))
                os.kill(os.getpid(), signal.SIGKILL)
            with Path(kept, "measured").open("a") as file:
                file.write(f"{os.getpid()}\n")
        return plain.function(y, sr=sr)

    deadly_set = FeatureSet("deadly", plain.sr, plain.names, deadly)
    with joblib.parallel_config(backend="dask"):
        found = feature_table(clips, feature_set=deadly_set, progress=False)
    assert (tmp_path / "killed").read_text() not in map(str, pids(cluster))
    wanted = feature_table(clips, feature_set=plain, progress=False)
    np.testing.assert_array_equal(found.X, wanted.X)
    assert found.clip_id.tolist() == wanted.clip_id.tolist()
    # What was finished is in the cache: the second time measures nothing.
    n_measured = len((tmp_path / "measured").read_text().splitlines())
    again = feature_table(clips, feature_set=deadly_set, progress=False)
    np.testing.assert_array_equal(again.X, wanted.X)
    assert len((tmp_path / "measured").read_text().splitlines()) == n_measured


def test_a_folder_that_workers_do_not_see_is_named(
    cluster: Any, clips: pd.DataFrame, tmp_path: Path, monkeypatch: Any
) -> None:
    def hidden(path: Path) -> bool:
        return str(path).startswith(str(tmp_path))

    def blind() -> None:
        """Let a worker find nothing in the folder, as if it were of another machine."""
        stat = Path.stat

        def other(self: Path, **more: Any) -> os.stat_result:
            if hidden(self):
                raise FileNotFoundError(2, os.strerror(2), str(self))
            return stat(self, **more)

        Path.stat, Path.seeing = other, stat  # type: ignore[assignment, attr-defined]

    def seeing() -> None:
        Path.stat = Path.seeing  # type: ignore[assignment, attr-defined]

    for path in clips["path"][:3]:
        shutil.copy(path, tmp_path)
    own = clips[:3].assign(path=[str(tmp_path / Path(each).name) for each in clips["path"][:3]])
    cluster.wait_for_workers(2, timeout=60)  # one that another test killed may still be starting
    cluster.run(blind)
    try:
        with (
            joblib.parallel_config(backend="dask"),
            pytest.raises(FileNotFoundError, match=r"share the folder with the workers, under"),
        ):
            feature_table(own.drop(columns="content"), feature_set=named("voice"), progress=False)
    finally:
        cluster.run(seeing)


def test_an_evaluation_is_that_of_one_machine(
    cluster: Any, clips: pd.DataFrame, tmp_path: Path
) -> None:
    classic = recipe("svm-classic")
    data = experiment.prepare(classic, clips, progress=False)
    here = experiment.evaluate_recipe(classic, data, protocol="speaker", store=tmp_path / "here")
    with joblib.parallel_config(backend="dask"):
        there = experiment.evaluate_recipe(
            classic, data, protocol="speaker", store=tmp_path / "there"
        )
    pd.testing.assert_frame_equal(here.predictions, there.predictions)
    files = [sorted((tmp_path / name).rglob("*.json")) for name in ("here", "there")]
    assert [each.name for each in files[0]] == [each.name for each in files[1]] != []
    for one, other in zip(*files, strict=True):
        stored = [json.loads(each.read_text()) for each in (one, other)]
        assert stored[0]["probabilities"] == stored[1]["probabilities"]


def test_evaluate_and_search_take_a_cluster(
    command: Command, address: str, sample_aesdd: Path, tmp_path: Path
) -> None:
    corpus = [sample_aesdd, "--corpus", "aesdd", *EMOTIONS]
    search = ["search", *corpus, "--features", "statistics", "--estimators", "svc"]
    for name, more in (("here", ["--jobs", "1"]), ("there", ["--cluster", address])):
        assert command(*search, "--out", tmp_path / name, *more).status == 0
    times = ["fit_seconds", "predict_ms"]
    for table in ("candidates.csv", "finalists.csv", "predictions.csv"):
        here, there = (pd.read_csv(tmp_path / name / table) for name in ("here", "there"))
        pd.testing.assert_frame_equal(
            here.drop(columns=times, errors="ignore"), there.drop(columns=times, errors="ignore")
        )
    words = ["evaluate", "svm-classic", *corpus, "--protocol", "recording", "--folds", "fold 1"]
    done = command(*words, "--cluster", address)
    assert (done.status, "fold 1" in done.err) == (0, True)


def test_the_recipe_for_lessons_with_many_settings_works(
    address: str, root: Path, tmp_path: Path
) -> None:
    import nbformat

    cells = [nbformat.v4.new_code_cell("seed = 0"), nbformat.v4.new_code_cell("print(seed + 40)")]
    cells[0].metadata["tags"] = ["parameters"]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), tmp_path / "a.ipynb")
    page = (root / "docs" / "clusters.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(from pathlib.*?)```", page, re.DOTALL)
    for old, new in (
        ("tcp://HOST:8786", address),
        ("notebooks/05_train_cnn_lstm.ipynb", str(tmp_path / "a.ipynb")),
        ("build/sweep", str(tmp_path / "out")),
        ("range(10)", "range(2)"),
    ):
        assert code.count(old) == 1
        code = code.replace(old, new)
    exec(compile(code, "clusters.md", "exec"), {"__name__": "recipe"})
    for seed in range(2):
        found = nbformat.read(tmp_path / "out" / f"seed-{seed}.ipynb", 4)
        assert found.cells[-1].outputs[0]["text"] == f"{seed + 40}\n"


@posix
def test_a_worker_that_dies_among_answers_costs_and_doubles_nothing(
    command: Command,
    cluster: Any,
    address: str,
    sample_aesdd: Path,
    tmp_path: Path,
    monkeypatch: Any,
) -> None:
    words = ["predict", sample_aesdd / "happiness", "--model", "ravdess-svm", "--out"]
    assert command(*words, tmp_path / "here.csv").status == 0
    address = cluster.scheduler.address
    monkeypatch.setattr(options, "PORTION", 3)
    before, added, add = pids(cluster), [], Journal.add

    def killing(self: Journal, name: str, record: dict[str, Any]) -> None:
        added.append(name)
        if len(added) == 4:
            os.kill(before[0], signal.SIGKILL)
        add(self, name, record)

    monkeypatch.setattr(Journal, "add", killing)
    assert command(*words, tmp_path / "there.csv", "--cluster", address).status == 0
    here, there = (tmp_path / f"{name}.csv" for name in ("here", "there"))
    assert there.read_bytes() == here.read_bytes()
    assert len(added) == len(set(added)) == len(pd.read_csv(here)) > 20
    cluster.wait_for_workers(2, timeout=60)
    assert before[0] not in pids(cluster)


def test_a_cluster_that_is_not_there_or_another_is_refused(
    refuse: Callable[..., str], cluster: Any, address: str, sample_aesdd: Path, monkeypatch: Any
) -> None:
    words = ["predict", sample_aesdd / "happiness", "--cluster"]
    monkeypatch.setattr(options, "PATIENCE_SECONDS", 1.0)
    for wrong in ("tcp://127.0.0.1:9", "nowhere"):
        assert f"--cluster {wrong}: no Dask scheduler answers there" in refuse(*words, wrong)
    monkeypatch.setattr(options.files, "versions", lambda *_: {"numpy": "1.0"})
    monkeypatch.setattr(options, "SAME_VERSIONS", ("numpy",))
    with pytest.raises(OSError, match=r"has numpy .* and here it is 1\.0"):
        options._refuse_others(Asked({"tcp://one": {"numpy": np.__version__}}), "there")
    with pytest.raises(ConnectionError, match=r"it has no worker: start some with 'dask worker"):
        options._refuse_others(Asked(TimeoutError()), "there")
    with pytest.raises(OSError, match="its workers lack sercourse: install the same"):
        options._refuse_others(Asked(ModuleNotFoundError("", name="sercourse")), "there")


class Asked:
    """A client that answers as it was told."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def wait_for_workers(self, n: int, timeout: float) -> None:
        if isinstance(self.answer, TimeoutError):
            raise self.answer

    def run(self, *_: object) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_workers_that_keep_dying_are_told_of(
    cluster: Any, address: str, clips: pd.DataFrame, monkeypatch: Any
) -> None:
    client = os.getpid()
    # By itself Dask tries four times.
    monkeypatch.setattr(cluster.cluster.scheduler, "allowed_failures", 0)

    def hungry(y: np.ndarray, *, sr: int) -> np.ndarray:
        if os.getpid() != client:
            os._exit(1)
        return np.zeros(1)

    wanted = r"workers die at this work, .* what was finished is kept: the same command goes on"
    with pytest.raises(OSError, match=wanted), options.on_cluster(address):
        feature_table(
            clips[:4].drop(columns="content"),
            feature_set=FeatureSet("hungry", 16_000, ("nothing",), hungry),
            progress=False,
        )
