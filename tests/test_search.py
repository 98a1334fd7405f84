"""The search through the zoo: honest sides, resumable, readable, fatal_issues in one sentence."""

from __future__ import annotations

import errno
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

from sercourse import classical, experiment, files, recipes
from sercourse.cli import main
from sercourse.experiment import search

FAST = ["svc", "decision-tree"]
EMOTIONS = ("neutral", "happy", "sad")


def dataset(*, emotions: tuple[str, ...] = EMOTIONS, seed: int = 0) -> experiment.Dataset:
    """Return 120 clips by eight speakers; the first feature rises from sad to happy."""
    rng = np.random.default_rng(seed)
    n = 120
    emotion = np.array(emotions)[np.arange(n) % len(emotions)]
    rank = {"angry": -1, "sad": 0, "neutral": 1, "surprised": 1.5, "happy": 2}
    X = rng.normal(size=(n, 6))
    X[:, 0] += 4 * np.array([rank[name] for name in emotion])
    speaker = np.arange(n) // 15
    clips = pd.DataFrame(
        {
            "clip_id": [f"clip{k:03d}" for k in range(n)],
            "corpus": "toy",
            "emotion": emotion,
            "speaker": [f"toy-{k}" for k in speaker],
            "group": [f"toy:{k}" for k in range(n)],
            "split": pd.array([pd.NA] * n, dtype="string"),
            "content": [f"{k:x}" for k in range(n)],
        }
    ).astype("string")
    return experiment.Dataset(clips, X, (), emotions)


def plan(data: experiment.Dataset | None = None, **settings: str) -> experiment.SearchConfig:
    data = dataset() if data is None else data
    fold = experiment.make_folds(data, protocol="speaker")[0]
    return experiment.SearchConfig(data, fold, "speaker", "toy", **settings)


def test_a_setting_that_cannot_be_fitted_is_left_out() -> None:
    rng = np.random.default_rng(0)
    clips = pd.DataFrame({"emotion": ["sad", "happy"] * 6, "speaker": np.repeat(list("abcdef"), 2)})
    clips["corpus"] = "toy"
    data, said = experiment.Dataset(clips, rng.normal(size=(12, 3)), (), ("happy", "sad")), []
    wanted = experiment.SearchConfig(data, data.everything, "speaker", "toy")
    tried = experiment.grid_search(wanted, "knn", report=said.append)
    left_out = [line for line in said if "cannot be fitted" in line]
    assert len(left_out) == 2  # 9 and 15 neighbours, of 8 clips, by Euclidean distance
    assert len(tried) == 6
    assert not any(tried["settings"].str.contains('s": (?:9|15), "model__p": 2', regex=True))


def test_tables_tell_everything_and_are_read_back(tmp_path: Path) -> None:
    wanted = plan()
    found, _ = experiment.run_search(wanted, estimators=FAST, folder=tmp_path / "s")
    assert found["candidates"]["estimator"].value_counts()[FAST].tolist() == [8, 6]
    assert found["candidates"]["uar"].is_monotonic_decreasing
    assert set(found["finalists"]["estimator"]) == set(FAST)
    assert found["finalists"]["test_uar"].min() > 0.8
    # the best settings of each estimator, not of another
    settings = json.loads(found["finalists"].set_index("estimator")["settings"]["decision-tree"])
    assert set(settings) == set(classical.CLASSIFIERS["decision-tree"].grid)
    assert len(found["predictions"]) == 2 * len(wanted.fold.test) == 2 * wanted.told["n_test"]

    for name in ("candidates", "finalists", "predictions"):
        kept = pd.read_csv(tmp_path / "s" / f"{name}.csv")
        assert sorted(kept) == sorted(found[name])
        assert len(kept) == len(found[name])


def test_test_speakers_are_heard_by_no_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = plan()
    data, held_out = wanted.data, set(wanted.fold.test_speakers)
    seen: list[set[str]] = []
    fit = Pipeline.fit

    def spy(self: Pipeline, X: np.ndarray, y: np.ndarray) -> object:
        rows = [int(np.flatnonzero((row == data.X).all(axis=1))[0]) for row in X]
        seen.append(set(data.speakers[rows]))
        return fit(self, X, y)

    monkeypatch.setattr(Pipeline, "fit", spy)
    experiment.run_search(wanted, estimators=["svc"], folder=tmp_path)
    everyone = set(data.speakers) - held_out
    assert seen
    assert not set.union(*seen) & held_out
    # each validation leaves speakers out; the last fit is that of the finalist
    assert all(heard < everyone for heard in seen[:-1])
    assert seen[-1] == everyone


def test_a_cut_search_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _ = experiment.run_search(plan(), estimators=FAST, folder=tmp_path / "whole")
    tested, calls = search.tested, []

    def cut(found: experiment.SearchConfig, name: str, *sides: object) -> object:
        calls.append(name)
        if name == FAST[1] and len(calls) == 2:
            raise KeyboardInterrupt
        return tested(found, name, *sides)

    monkeypatch.setattr(search, "tested", cut)
    with pytest.raises(KeyboardInterrupt):
        experiment.run_search(plan(), estimators=FAST, folder=tmp_path / "cut")
    found, _ = experiment.run_search(plan(), estimators=FAST, folder=tmp_path / "cut")
    columns = ["estimator", "settings", "uar", "accuracy"]
    pd.testing.assert_frame_equal(found["candidates"][columns], whole["candidates"][columns])
    pd.testing.assert_frame_equal(found["predictions"], whole["predictions"], check_dtype=False)
    experiment.run_search(plan(), estimators=FAST, folder=tmp_path / "cut")
    assert calls == [*FAST, FAST[1]]  # nothing is left to do


def test_a_full_disk_ends_a_search_into_a_named_folder_and_not_one_into_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(self: pd.DataFrame, *_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", fill)
    with pytest.raises(OSError, match="No space left on device"):
        experiment.run_search(plan(), estimators=["svc"], folder=tmp_path / "named")
    monkeypatch.setenv("SERCOURSE_CACHE", str(tmp_path / "cache"))
    with pytest.warns(files.NotKept, match="No space left on device"):
        found, _ = experiment.run_search(plan(), estimators=["svc"])
    assert len(found["finalists"]) == 1


def changed(content: dict, *place: str | int, to: object) -> dict:
    """Return stored content with another value, or none, in one place."""
    content = json.loads(json.dumps(content))
    *inner, last = place
    node: Any = content
    for each in inner:
        node = node[each]
    if to is None:
        del node[last]
    else:
        node[last] = to
    return content


ROW = ("candidates", 0)
TEST = ("tests", 0)


@pytest.mark.parametrize(
    ("place", "to"),
    [
        *(((name,), to) for name in ("candidates", "tests") for to in (None, [], {}, "x", [[]], 1)),
        *((ROW, to) for to in ({}, [], "x")),
        *(((*ROW, "uar"), to) for to in (None, "x", True, 8.26, -1, np.nan, np.inf, 10**400, [0])),
        *(((*ROW, "settings"), to) for to in (None, "{", "{}", '{"svc__C": 1e9}', {}, 1)),
        *(((*ROW, "estimator"), to) for to in (None, "knn", 1)),
        *(((*ROW, "fit_seconds"), to) for to in (None, -1, np.nan, "x")),
        ((*ROW, "more"), "x"),
        ((*TEST, "more"), 1),
        *(((*TEST, "answers"), to) for to in (None, [], [1], "x", [0.5] * 14)),
        *(((*TEST, "answers", 0), to) for to in ("x", np.nan, np.inf, [1], True, 7, -1, 0.4)),
        *((("candidates", k), "again") for k in range(2)),
        *(((*TEST, "predict_ms"), to) for to in (None, -1, np.nan, "x")),
    ],
)
def test_a_sealed_search_that_is_none_is_made_again(
    place: tuple, to: object, searched: tuple[Path, dict]
) -> None:
    folder, whole = searched
    content = files.read_sealed(folder / "svc.json")
    to = content["candidates"][1] if to == "again" else to  # one twice, and not best first
    files.write_sealed(folder / "svc.json", changed(content, *place, to=to))
    again, _ = experiment.run_search(plan(), estimators=["svc"], folder=folder)
    for name in ("candidates", "finalists", "predictions"):
        times = ["fit_seconds", "predict_ms"]
        kept, found = (each[name].drop(columns=times, errors="ignore") for each in (whole, again))
        pd.testing.assert_frame_equal(kept, found)


@pytest.mark.parametrize("to", [None, "x", 8.26, np.nan, {}])
@pytest.mark.parametrize("entry", ["uar", "accuracy", "n_clips", "estimator", "predict_ms"])
def test_a_sealed_size_that_is_none_is_made_again(
    entry: str, to: object, searched: tuple[Path, dict]
) -> None:
    folder, whole = searched
    file = folder / "svc-0.2.json"
    files.write_sealed(file, changed(files.read_sealed(file), entry, to=to))
    again, _ = experiment.run_search(plan(), estimators=["svc"], folder=folder, shares=[0.2])
    columns = ["estimator", "n_clips", "uar", "accuracy"]
    if (entry, to) == ("predict_ms", 8.26):  # it may have taken so long
        assert again["sizes"]["predict_ms"].item() == to
    pd.testing.assert_frame_equal(whole["sizes"][columns], again["sizes"][columns])
    assert list(again["sizes"]) == list(whole["sizes"])


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    folder = tmp_path_factory.mktemp("search")
    return folder, experiment.run_search(plan(), estimators=["svc"], folder=folder, shares=[0.2])[0]


@pytest.mark.parametrize("name", ["clips", "key", "fold"])
@pytest.mark.parametrize("to", [None, 1, [], {"a": [1]}])
def test_a_sealed_index_of_another_search_is_refused(name: str, to: object, tmp_path: Path) -> None:
    files.write_sealed(tmp_path / "search.json", changed(plan().told, name, to=to))
    with pytest.raises(ValueError, match=f"holds another search, of {name} .* is wanted: name"):
        experiment.run_search(plan(), estimators=["svc"], folder=tmp_path)


def test_an_index_of_another_search_is_told_in_one_line(tmp_path: Path) -> None:
    told = plan().told | {"task": "regress\n\x1b[2J" + "x" * 100_000}
    files.write_sealed(tmp_path / "search.json", told)
    with pytest.raises(ValueError, match="holds another search, of task 'regress") as said:
        experiment.run_search(plan(), estimators=["svc"], folder=tmp_path)
    assert str(said.value).isprintable()
    assert len(str(said.value)) < 600


def test_a_share_that_cannot_be_fitted_is_left_out(tmp_path: Path) -> None:
    said: list[str] = []
    tables, _ = experiment.run_search(
        plan(), estimators=["knn"], folder=tmp_path, shares=[0.02, 1.0], report=said.append
    )
    assert len(tables["sizes"]) == 1
    assert any(line.startswith("left out: knn cannot be fitted to 2 clips") for line in said)


def test_processes_find_what_one_finds(tmp_path: Path) -> None:
    alone, several = (
        experiment.run_search(plan(), estimators=FAST, folder=tmp_path / str(n), n_jobs=n)[0]
        for n in (1, 2)
    )
    columns = ["estimator", "settings", "uar", "accuracy"]
    pd.testing.assert_frame_equal(alone["candidates"][columns], several["candidates"][columns])


def test_another_search_in_the_folder_is_refused(tmp_path: Path) -> None:
    experiment.run_search(plan(), estimators=["svc"], folder=tmp_path / "s")
    with pytest.raises(ValueError, match=r"another search, of balance 'none' where 'undersample'"):
        experiment.run_search(
            plan(balance="undersample"), estimators=["svc"], folder=tmp_path / "s"
        )
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(FileExistsError, match=r"search\.json"):
        experiment.run_search(plan(), estimators=["svc"], folder=tmp_path / "other")


def test_regression_estimates_the_code(tmp_path: Path) -> None:
    data = dataset(emotions=("happy", "sad", "angry", "surprised", "neutral"))
    wanted = plan(data, task="regress")
    found, _ = experiment.run_search(wanted, estimators=["svr", "knn"], folder=tmp_path)
    assert found["candidates"]["error"].is_monotonic_increasing
    assert found["finalists"]["test_error"].max() < 0.7  # the middle would be off by 1.2
    rows = found["predictions"]
    assert rows["value"].between(0.5, 5.5).all()
    codes = {"angry": 1, "sad": 2, "neutral": 3, "surprised": 4, "happy": 5}
    assert (rows["predicted"].map(codes) == rows["value"].round().clip(1, 5)).all()


def test_scores_of_a_regression_are_in_units_of_the_code() -> None:
    scores = plan(task="regress").scores(np.array([0, 1, 2, 2]), np.array([0.4, 1.0, 3.7, 1.4]))
    assert scores == {"error": pytest.approx((0.4 + 0 + 1.7 + 0.6) / 4), "accuracy": 0.75}


def test_undersampling_touches_the_training_side_only() -> None:
    data = dataset()
    rare = np.flatnonzero((data.y == 0) & (np.arange(len(data.y)) % 2 == 0))
    data = replace(
        data,
        clips=data.clips.drop(index=rare).reset_index(drop=True),
        X=np.delete(data.X, rare, axis=0),
    )
    wanted = plan(data, balance="undersample")
    counts = np.bincount(data.y[wanted.train])
    assert len(set(counts)) == 1
    assert len(set(np.bincount(data.y[wanted.fold.test]))) > 1
    assert set(wanted.train) <= set(wanted.fold.train)


@pytest.mark.parametrize(
    ("settings", "estimators", "wanted"),
    [
        ({"task": "rank"}, None, "unknown task 'rank'"),
        ({"balance": "more"}, None, "unknown balance 'more'"),
        ({}, ["svr"], "no estimator 'svr' to classify: use svc, adaboost"),
        ({"task": "regress", "balance": "weights"}, ["svr"], "takes no weights"),
        ({"balance": "weights"}, ["knn"], "takes no weights"),
    ],
)
def test_what_cannot_be_is_one_sentence(settings: dict, estimators: list, wanted: str) -> None:
    with pytest.raises(ValueError, match=wanted):
        experiment.run_search(plan(**settings), estimators=estimators)


def test_more_clips_are_more_in_the_table_of_sizes(tmp_path: Path) -> None:
    wanted = plan()
    settings = {"estimators": ["svc"], "shares": (0.2, 1.0), "folder": tmp_path}
    found, _ = experiment.run_search(wanted, **settings)
    assert found["sizes"]["n_clips"].is_monotonic_increasing
    assert found["sizes"]["n_clips"].iloc[-1] < len(wanted.train)  # the rest validates
    assert (found["sizes"][["fit_seconds", "predict_ms"]] > 0).all(axis=None)
    pd.testing.assert_frame_equal(
        experiment.run_search(wanted, **settings)[0]["sizes"], found["sizes"]
    )


@pytest.mark.xdist_group("networks")
def test_recurrent_network_classifies_and_regresses(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("keras")
    training = replace(recipes.TRAININGS["rnn"], epochs=25, learning_rate=0.02)
    monkeypatch.setitem(recipes.TRAININGS, "rnn", training)
    tiny = {"lstm_units": [8], "dense_units": [8], "dropout": 0.0}
    for name, score, enough in (("classify", "uar", 0.75), ("regress", "error", 0.45)):
        wanted = plan(task=name)
        _, figures = search.tested(wanted, "rnn", tiny, wanted.train, wanted.fold.test)
        # Always the middle would have a recall of a third, and be off by two thirds.
        assert figures[score] < enough if name == "regress" else figures[score] > enough


def test_a_search_needs_two_groups_of_each_emotion() -> None:
    data = dataset()
    one = data.clips["emotion"].eq("happy")
    clips = data.clips.assign(group=data.clips["group"].mask(one, "g"))
    wanted = experiment.SearchConfig(replace(data, clips=clips), data.everything, "random", "toy")
    with pytest.raises(ValueError, match="'happy' has 1 speaker"):
        experiment.grid_search(wanted, "svc")


def test_command_searches_and_says_what_is_best(
    sample_ravdess: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "tables"
    command = ["search", str(sample_ravdess), "--corpus", "ravdess", "--emotions", "sad,joy"]
    command += ["--features", "statistics", "--estimators", "svc,knn", "--jobs", "1"]
    assert main([*command, "--out", str(out), "--sizes"]) == 0
    printed = capsys.readouterr().out
    told = json.loads((out / "search.json").read_text("utf-8"))
    finalists, sizes = (pd.read_csv(out / f"{name}.csv") for name in ("finalists", "sizes"))
    best = finalists.sort_values("uar").iloc[-1]
    assert f"best on validation clips: {best['estimator']}" in printed
    assert told["features"] == "statistics"
    assert told["emotions"] == ["happy", "sad"]
    assert len(sizes) == 8
    settings = json.loads(best["settings"])
    recipe = recipes.from_zoo(best["estimator"], settings, feature_set="statistics")
    assert recipe.learner.settings["grid"] == {}


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (["--features", "log-mel"], "array of shape"),
        (["--emotions", "sad,bored"], "no clip of bored"),
        (["--fold", "fold 9"], "no fold 'fold 9'"),
        (["--task", "regress"], "no order of"),
    ],
)
def test_command_refuses_in_one_sentence(
    options: list[str],
    wanted: str,
    sample_ravdess: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["search", str(sample_ravdess), "--corpus", "ravdess", "--features", "statistics"]
    assert main([*command, "--out", str(tmp_path / "o"), "--jobs", "1", *options]) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith("sercourse: ")
    assert wanted in message
    assert not (tmp_path / "o").exists()


def test_a_search_knows_its_numbers_estimators_and_libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = plan().told["key"]
    assert plan().told["key"] == key
    data = dataset()
    other = data.X.copy()
    other[3, 2] += 1e-9
    voices = data.clips.assign(speaker=data.clips["speaker"].replace("toy-6", "toy-7"))
    for changed in (replace(data, X=other), replace(data, clips=voices)):
        assert plan(changed).told["key"] != key
    experiment.run_search(plan(), estimators=["decision-tree"], folder=tmp_path)
    with monkeypatch.context() as patched:
        tree = classical.CLASSIFIERS["decision-tree"]
        deeper = replace(tree, model=tree.pipeline().set_params(model__splitter="random"))
        zoo = {**classical.CLASSIFIERS, "decision-tree": deeper}
        patched.setattr(classical, "CLASSIFIERS", zoo)
        assert plan().told["key"] != key
    monkeypatch.setattr(files.metadata, "version", lambda package: "of tomorrow")
    with pytest.raises(ValueError, match=r"holds another search, of versions .*tomorrow"):
        experiment.run_search(plan(), estimators=["decision-tree"], folder=tmp_path)
