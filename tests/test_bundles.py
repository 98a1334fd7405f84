"""Bundles: what is refused, and that those which are shipped keep their word."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile

from conftest import Command
from sercourse import audio, bundles, evaluate, experiment, features, files, runtime
from sercourse.bundles import timeline
from sercourse.experiment.evaluation import FROM_TRAINING

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = sorted(path.parent for path in (ROOT / "models").glob("*/bundle.json"))
TONE = np.sin(np.arange(32_000) * np.linspace(0.05, 0.2, 32_000)).astype(np.float32)
each_bundle = pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """Return a copy of the default bundle that a test may damage."""
    return Path(shutil.copytree(bundles.find(bundles.DEFAULT_MODEL), tmp_path / "model"))


def test_the_default_model_is_shipped() -> None:
    assert bundles.DEFAULT_MODEL in {folder.name for folder in SHIPPED}


@each_bundle
def test_every_figure_follows_from_the_predictions(folder: Path) -> None:
    metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
    told, predictions = metrics["protocols"], pd.read_csv(folder / "predictions.csv")
    assert len(told) == len(predictions.groupby(["protocol", "labels"]))
    for entry in told:
        rows = predictions.query("protocol == @entry['protocol'] and labels == @entry['labels']")
        again = evaluate.summarize(rows, emotions=entry["emotions"])
        for fold in entry["folds"]:
            for name in FROM_TRAINING:
                fold.pop(name, None)
        for name, value in again.items():
            assert_same(entry[name], value)
        if entry["protocol"].endswith("+enrol"):
            usual = predictions["protocol"].eq(entry["protocol"].removesuffix("+enrol"))
            plain = predictions[usual & predictions["labels"].eq(entry["labels"])]
            gain = evaluate.enrolment_gain(rows, plain, emotions=entry["emotions"])
            assert_same(entry["without_enrolment"], gain)
    if told := metrics.get("conditions"):
        answers = pd.read_csv(folder / "conditions.csv")
        for name, value in experiment.condition_figures(answers, labels=told["classes"]).items():
            assert_same(told[name], value)
        recorded = told["conditions"]["as recorded"]
        plain = next(e for e in metrics["protocols"] if e["protocol"] == "speaker")
        if (folder / "model.keras").exists() or "cnn" in folder.name:  # trained anew for it
            low, high = plain["accuracy_interval"]
            assert low <= recorded["accuracy"] <= high
        else:
            assert recorded["accuracy"] == pytest.approx(plain["accuracy"], abs=0.01)
    if "gender" in metrics:
        again = experiment.gender_figures(pd.read_csv(folder / "gender-predictions.csv"))
        for name, value in again.items():
            assert_same(metrics["gender"][name], value)


@each_bundle
def test_claims_are_as_wide_as_their_speakers_are_few(folder: Path) -> None:
    metrics = bundles.load(folder).metrics
    method = "student-t" if metrics["corpus"] == "aesdd" else "bootstrap"
    by_speaker = [e for e in metrics["protocols"] if e["protocol"].startswith("speaker")]
    assert {entry["interval"] for entry in by_speaker} == {method}
    assert {"candidates_before", "by_hand", "untouched"} <= set(metrics["selection"])
    card = (folder / "README.md").read_text("utf-8")
    assert f"{by_speaker[0]['ece']:.3f}" in card
    assert metrics["selection"]["by_hand"] in card


@each_bundle
def test_index_and_card_state_the_licence_of_the_model(folder: Path) -> None:
    info = bundles.load(folder).info
    card = (folder / "README.md").read_text("utf-8").partition("## Licence")[2]
    assert info["licence"] in card
    assert info["licence"] == "CC BY-NC-SA 4.0"  # what RAVDESS asks for, and the course for AESDD
    assert ("Copies of AESDD state different terms" in card) == ("aesdd" in info["corpus"]["name"])


@pytest.mark.parametrize("name", ["svm+aesdd-cnn", "ravdess-svm+cnn-lstm"])
def test_ensembles_are_calibrated(name: str) -> None:
    bundle = bundles.load(name)
    assert set(bundle.info["temperature"]) == {"model", "enrolled"}
    for entry in bundle.metrics["protocols"]:
        if entry["protocol"].startswith("speaker"):
            assert entry["ece"] < 0.06
        if entry["protocol"] in ("speaker+norm", "speaker+enrol"):
            assert entry["normalized"] == ["svm"]
    shapes = [member.feature_set.row_shape for member in bundle.members]
    X = [np.random.default_rng(0).normal(size=(3, *shape)) for shape in shapes]
    answers = [member.predict_proba(x) for member, x in zip(bundle.members, X, strict=True)]
    wanted = evaluate.geometric_mean(
        np.stack(answers), temperature=bundle.info["temperature"]["model"]
    )
    np.testing.assert_allclose(bundle.predict_proba(*X), wanted)


def assert_same(told: object, again: object) -> None:
    """Compare nested figures, floats up to the last digits of a sum."""
    if isinstance(again, dict):
        assert isinstance(told, dict)
        assert told.keys() == again.keys()
        for key, value in again.items():
            assert_same(told[key], value)
    elif isinstance(again, list):
        assert isinstance(told, list)
        for left, right in zip(told, again, strict=True):
            assert_same(left, right)
    else:
        assert told == (pytest.approx(again) if isinstance(again, float) else again)


@each_bundle
def test_no_test_voice_is_tested_twice(folder: Path) -> None:
    predictions = pd.read_csv(folder / "predictions.csv")
    for (protocol, _), rows in predictions.groupby(["protocol", "labels"]):
        if protocol.startswith("speaker"):
            assert rows.groupby("speaker")["fold"].nunique().max() == 1
            draws = rows["draw"].fillna(0) if "draw" in rows else 0
            assert not rows.assign(draw=draws).duplicated(["clip_id", "draw"]).any()


@each_bundle
def test_shipped_bundles_are_whole_small_and_explained(folder: Path) -> None:
    bundle = bundles.load(folder)
    for member in bundle.members:
        assert list(member.feature_set.names) == member.info["feature_names"]
    size = sum(path.stat().st_size for path in folder.iterdir())
    assert size < (5e6 if bundle.info["members"][-1]["recipe"]["name"].startswith("svm") else 10e6)
    card = (folder / "README.md").read_text("utf-8")
    for part in ("## Use", "## Trained on", "## Results", "## Limits", "terms"):
        assert part.lower() in card.lower()


def test_a_changed_byte_is_refused_with_the_file(copied: Path) -> None:
    model = copied / "model.onnx"
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.write_bytes(content)
    with pytest.raises(ValueError, match=r"model\.onnx has changed"):
        bundles.load(copied)


def test_a_missing_file_is_named(copied: Path) -> None:
    (copied / "voice.npz").unlink()
    with pytest.raises(FileNotFoundError, match=r"voice\.npz is missing"):
        bundles.load(copied)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 99}, "follows schema 99"),
        ({"schema": "2"}, "follows schema '2'"),
        ({"files": None}, r"Expected `object`, got `null` - at `\$\.files`"),
        ({"files": {}}, "files contradicts"),
        ({"files": {"../secret": "0" * 64}}, "files contradicts"),
        ({"members": []}, r"length >= 1 - at `\$\.members`"),
        ({"members": ["x"]}, r"Expected `object`, got `str` - at `\$\.members\[0\]`"),
        ({"gender": "x"}, r"Expected `object`, got `str` - at `\$\.gender`"),
        ({"labels": None}, r"Expected `array`, got `null` - at `\$\.labels`"),
        ({"labels": ["sad", "sad"]}, "labels contradicts"),
        ({"labels": ["happy", "sad"]}, "has 2 labels and model.onnx, which gives 8"),
        ({"weights": [1, 1]}, "weights contradicts"),
        (b"{", "truncated"),
        (b"[]", "Expected `object`, got `array`"),
        (b"\xff", "JSON is malformed"),
        (b'{"a":' * 200_000, "recursion"),
        (b" " * (2**24 + 1), "has more than"),
    ],
)
def test_an_index_that_cannot_be_followed_is_refused(
    copied: Path, change: dict | bytes, message: str
) -> None:
    index = copied / "bundle.json"
    if isinstance(change, dict):
        change = json.dumps(json.loads(index.read_text("utf-8")) | change).encode()
    index.write_bytes(change)
    with pytest.raises(ValueError, match=rf"bundle\.json.*{message}"):
        bundles.load(copied).answer(TONE, sr=16_000)


@pytest.mark.parametrize("value", [5, None, ["happy", "sad"], list("abcdefgh")])
def test_a_member_has_the_labels_of_its_bundle(copied: Path, value: Any) -> None:
    index = copied / "bundle.json"
    told = json.loads(index.read_text("utf-8"))
    told["members"][0]["labels"] = value
    index.write_text(json.dumps(told), "utf-8")
    answer = bundles.load(copied).answer(TONE, sr=16_000)
    assert tuple(answer.probabilities) == tuple(told["labels"])


def test_a_limit_of_speech_needs_a_typical_voice(copied: Path) -> None:
    index = copied / "bundle.json"
    told = json.loads(index.read_text("utf-8"))
    member = told["members"][0]
    member["speech"] = {"n_features": 4, "farthest": 1.0}
    del member["files"]["voice"], member["files"]["enrolled"]
    index.write_text(json.dumps(told), "utf-8")
    with pytest.raises(ValueError, match=r"bundle\.json: speech contradicts"):
        bundles.load(copied)


def leaves(part: Any, place: tuple = ()) -> Iterator[tuple]:
    """Yield the place of every key and item of nested JSON, of long lists the first two."""
    inner = part.items() if isinstance(part, dict) else enumerate(part[:2])
    for key, value in inner:
        yield (*place, key)
        if isinstance(value, dict | list):
            yield from leaves(value, (*place, key))


DEEP = "as deep as can be"
ODD = [None, True, -1, 0, 2.5, 10**400, 1e300, float("nan"), float("inf"), "", "x" * 10**5, [], {}]
ODD += [[None], {"": 0}, DEEP]


def altered(content: dict, place: tuple, value: Any) -> bytes:
    """Return JSON in which one key is removed, or has another value."""
    content = part = json.loads(json.dumps(content))
    for key in place[:-1]:
        part = part[key]
    if value is ...:
        del part[place[-1]]
    else:
        part[place[-1]] = value
    return json.dumps(content).replace(f'"{DEEP}"', "[" * 10**5 + "]" * 10**5).encode()


@each_bundle
def test_an_altered_field_is_harmless_or_refused_in_one_sentence(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.setattr(bundles, "available", lambda: [tmp_path])
    monkeypatch.setattr(runtime, "session", cache(bundles.session))
    known = {path: files.content_hash(path) for path in tmp_path.iterdir()}
    real, compute, rows = files.content_hash, features.extract, {}

    def content_hash(path: Path) -> str:
        return known[path] if path.is_symlink() else real(path)

    monkeypatch.setattr(files, "content_hash", content_hash)

    def extract(y: np.ndarray, *, sr: int, feature_set: features.FeatureSet) -> np.ndarray:
        key = (sr, feature_set.name)
        if key not in rows:
            rows[key] = compute(y, sr=sr, feature_set=feature_set)
        return rows[key]

    monkeypatch.setattr(features, "extract", extract)
    rng, refused = np.random.default_rng(0), {"bundle.json": 0, "metrics.json": 0}
    sentences: dict[str, str] = {}
    for name in refused:
        content = {each: json.loads((folder / each).read_text("utf-8")) for each in refused}
        places = list(leaves(content[name]))
        for k in range(60):
            place = places[rng.integers(len(places)) if k % 3 else k % len(content[name])]
            value = [..., *ODD][rng.integers(len(ODD) + 1)]
            changed = altered(content[name], place, value)
            (tmp_path / name).unlink()
            (tmp_path / name).write_bytes(changed)
            if name == "metrics.json":  # whoever alters it can renew its hash
                content["bundle.json"]["files"][name] = files.content_hash(tmp_path / name)
                (tmp_path / "bundle.json").unlink()
                (tmp_path / "bundle.json").write_text(json.dumps(content["bundle.json"]))
            about = f"{name}: {place} = {str(value)[:40]}"
            try:
                judged = bundles.load(tmp_path)
                judged.metrics  # noqa: B018
                p = judged.answer(TONE, sr=16_000).probabilities
                assert tuple(p) == judged.labels, about
                assert sum(p.values()) == pytest.approx(1, abs=1e-3), about
                if name == "metrics.json":
                    assert command("models").status == 0, about
            except (ValueError, FileNotFoundError) as error:
                refused[name] += 1
                sentences[about] = str(error)
            except Exception as error:
                raise AssertionError(about) from error
    for about, sentence in sentences.items():
        assert f"{tmp_path}/" in sentence, about
        assert "\n" not in sentence, about
        assert len(sentence) < 600, about
    assert min(refused.values()) > 10


@pytest.mark.parametrize("place", ["../weights.bin", "weights.bin", "*/_ORT_MEM_ADDR_/*"])
@pytest.mark.parametrize("kind", ["initializer", "constant"])
def test_a_model_with_data_in_other_files_is_refused(
    place: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnx
    from onnx import TensorProto, helper

    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights.bin").write_bytes(np.ones(4, dtype=np.float32).tobytes())
    weights = helper.make_tensor("w", TensorProto.FLOAT, [4], bytes(16), raw=True)
    onnx.external_data_helper.set_external_data(weights, place)
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [None, 4]) for n in ("X", "p")]
    nodes = [helper.make_node("Add", ["X", "w"], ["p"])]
    if kind == "constant":
        nodes.insert(0, helper.make_node("Constant", [], ["w"], value=weights))
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:])
    if kind == "initializer":
        graph.initializer.append(weights)
    model = helper.make_model(graph).SerializeToString()
    with pytest.raises(ValueError, match="keeps data in other files"):
        bundles.session(model)


def graph(*nodes: Any, output: Any = (1, [None, 2]), **constants: Any) -> bytes:
    """Return an ONNX model from `X` (n, 4) to `probabilities`, of an element type and a shape."""
    from onnx import TensorProto, helper, numpy_helper

    start = helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, 4])
    end = helper.make_tensor_value_info("probabilities", *output)
    known = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    made = helper.make_graph(list(nodes), "g", [start], [end], known)
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(made, opset_imports=opset, ir_version=8).SerializeToString()


def hostile(kind: str) -> bytes:
    """Return a model that does not end, fills the memory, or answers with something else."""
    from onnx import TensorProto, helper

    node, number = helper.make_node, TensorProto.FLOAT
    if kind == "loop":
        types = {"i": TensorProto.INT64, "on": TensorProto.BOOL, "x": number}
        into = [
            helper.make_tensor_value_info(name, *each)
            for name, *each in (("i", types["i"], []), ("on", types["on"], []), ("x", number, None))
        ]
        out = [
            helper.make_tensor_value_info("again", types["on"], []),
            helper.make_tensor_value_info("more", number, None),
        ]
        inner = [node("Identity", ["on"], ["again"]), node("Add", ["x", "x"], ["more"])]
        body = helper.make_graph(inner, "body", into, out)
        return graph(node("Loop", ["", "true", "X"], ["probabilities"], body=body), true=True)
    if kind == "memory":  # 8 GiB
        nodes = [node("ConstantOfShape", ["size"], ["c"]), node("ReduceSum", ["c"], ["sum"])]
        last = node("Add", ["X", "sum"], ["probabilities"])
        return graph(*nodes, last, size=np.array([2**31]))
    if kind == "work":  # of which the loading of a model would do all in advance
        nodes = [node("ConstantOfShape", ["size"], ["c0"])]
        nodes += [node("MatMul", [f"c{k}", "c0"], [f"c{k + 1}"]) for k in range(500)]
        size = np.array([1500, 1500], dtype=np.int64)
        nodes += [node("ReduceMax", ["c500"], ["most"], keepdims=0)]
        return graph(*nodes, node("Add", ["X", "most"], ["probabilities"]), size=size)
    weights = np.zeros((4, 2), dtype=np.float32)
    product = node("MatMul", ["X", "w"], ["product"])
    changed: dict[str, tuple[Any, ...]] = {
        "nan": (node("Div", ["product", "product"], ["probabilities"]),),
        "beyond": (node("Add", ["product", "one"], ["probabilities"]),),
        "negative": (node("Add", ["product", "ends"], ["probabilities"]),),
        "rank": (node("ReduceSum", ["product"], ["probabilities"], keepdims=0),),
        "rows": (node("ReduceSum", ["product", "axis"], ["probabilities"]),),
    }
    if kind == "text":
        last = node("Cast", ["product"], ["probabilities"], to=TensorProto.STRING)
        return graph(product, last, w=weights, output=(TensorProto.STRING, [None, 2]))
    constants = {"w": weights, "one": np.float32(1), "ends": np.array([1.5, -0.5], np.float32)}
    output = (number, [] if kind == "rank" else [None, 2])
    return graph(product, *changed[kind], axis=np.array([0]), output=output, **constants)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("loop", r"was stopped after 2 s"),
        ("work", r"was stopped after 2 s"),
        ("memory", r"is no model from X of shape \(4,\) to probabilities"),
        ("nan", r"is no model from X of shape \(4,\) to probabilities"),
        ("text", r"is no model from X of shape \(4,\) to probabilities"),
        ("beyond", "gives numbers that are no probabilities"),
        ("negative", "gives numbers that are no probabilities"),
        ("rank", "gives numbers that are no probabilities"),
        ("rows", "gives numbers that are no probabilities"),
    ],
)
def test_a_model_that_does_not_end_explodes_or_answers_otherwise_is_refused(
    kind: str, message: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bundles.bundle, "PATIENCE_SECONDS", 0.0)
    model = bundles.session(hostile(kind), name="a.onnx")
    with pytest.raises(ValueError, match=rf"^a\.onnx {message}: get it again$"):
        bundles.run(model, np.zeros((2, 4)), name="a.onnx")
    assert capfd.readouterr() == ("", "")


def test_models_that_change_places_are_refused(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bundles.find("ravdess-svm+cnn-lstm"), tmp_path / "model"))
    info = json.loads((folder / "bundle.json").read_text("utf-8"))
    info["members"][1]["files"]["model"] = "svm.onnx"
    (folder / "bundle.json").write_text(json.dumps(info), "utf-8")
    with pytest.raises(ValueError, match=r"svm\.onnx is no model from X of shape \(288, 64"):
        bundles.load(folder).answer(TONE, sr=16_000)
    info["members"][1]["files"]["model"] = "cnn-lstm.onnx"
    info["gender"]["files"]["model"] = "svm.onnx"
    (folder / "bundle.json").write_text(json.dumps(info), "utf-8")
    with pytest.raises(ValueError, match=r"bundle\.json has 2 labels and svm\.onnx, .* 8"):
        bundles.load(folder).answer(TONE, sr=16_000)


def impossible_voices() -> dict[str, dict[str, np.ndarray]]:
    """Return changes of the typical voice of the default model after which it is none."""
    with np.load(bundles.find(bundles.DEFAULT_MODEL) / "voice.npz", allow_pickle=False) as stored:
        whole = dict(stored)
    found = {}
    for name, x in whole.items():
        for kind in ("U8", "S8", "M8[s]", "m8[s]", "V8", "c16", "i8", "?"):
            found[f"{name} {kind}"] = {name: np.zeros(x.shape, kind)}
        for to in (np.nan, np.inf, 1e30):
            found[f"{name} {to}"] = {name: np.r_[np.float32(to), x[1:]]}
        found[f"{name} 2d"] = {name: x[np.newaxis]}
    found |= {"std 0": {"std": 0 * whole["std"]}, "std below 0": {"std": -whole["std"]}}
    return {name: whole | each for name, each in found.items()} | {"no std": {"mean": x}}


VOICES = impossible_voices()


@pytest.mark.parametrize("content", [b"PK no archive", b"", *VOICES])
def test_a_typical_voice_that_is_none_is_named(copied: Path, content: bytes | str) -> None:
    path = copied / "voice.npz"
    if isinstance(content, str):
        np.savez(path, **VOICES[content])
    else:
        path.write_bytes(content)
    index = json.loads((copied / "bundle.json").read_text("utf-8"))
    index["files"]["voice.npz"] = files.content_hash(path)
    (copied / "bundle.json").write_text(json.dumps(index), "utf-8")
    with pytest.raises(ValueError, match=r"voice\.npz holds no typical voice"):
        bundles.load(copied).answer(TONE, sr=16_000)


def test_many_rows_are_judged_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the memory of a corpus's spectrograms stays within what a model may take."""
    model = bundles.session((bundles.find("ravdess-svm-classic") / "model.onnx").read_bytes())
    X = np.random.default_rng(0).normal(size=(2 * bundles.bundle.BATCH + 1, 200))
    whole = bundles.run(model, X)
    sizes: list[int] = []
    plain = runtime.run

    def counted(session: object, output: str, inputs: dict, **more: object) -> np.ndarray:
        sizes.append(len(inputs["X"]))
        return plain(session, output, inputs, **more)

    monkeypatch.setattr(runtime, "run", counted)
    assert np.array_equal(bundles.run(model, X), whole)
    assert sizes == [bundles.bundle.BATCH, bundles.bundle.BATCH, 1]
    one_by_one = np.concatenate([bundles.run(model, row[np.newaxis]) for row in X])
    np.testing.assert_allclose(whole, one_by_one, atol=1e-6)


def test_a_model_that_cannot_run_is_named(copied: Path) -> None:
    (copied / "model.onnx").write_bytes(b"no model")
    index = json.loads((copied / "bundle.json").read_text("utf-8"))
    index["files"]["model.onnx"] = files.content_hash(copied / "model.onnx")
    (copied / "bundle.json").write_text(json.dumps(index), "utf-8")
    with pytest.raises(ValueError, match=r"model\.onnx is no ONNX model that can be run"):
        bundles.load(copied).predict(np.sin(np.arange(32_000)), sr=16_000)


def test_an_index_cannot_point_outside_the_bundle(copied: Path) -> None:
    index = copied / "bundle.json"
    info = json.loads(index.read_text("utf-8"))
    info["files"]["../secret"] = "0" * 64
    index.write_text(json.dumps(info), "utf-8")
    with pytest.raises(ValueError, match="outside"):
        bundles.load(copied)


def test_other_features_than_those_learned_are_refused(copied: Path) -> None:
    index = copied / "bundle.json"
    info = json.loads(index.read_text("utf-8"))
    info["members"][0]["recipe"]["features"]["version"] += 1
    index.write_text(json.dumps(info), "utf-8")
    with pytest.raises(ValueError, match="learned from other 'whisper' features"):
        _ = bundles.load(copied).members[0].feature_set


def test_an_unknown_model_names_the_known_ones() -> None:
    with pytest.raises(FileNotFoundError, match=r"no model 'nothing': .*ravdess-svm"):
        bundles.load("nothing")


def test_saving_replaces_a_bundle_but_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"x")
    with pytest.raises(FileExistsError, match=r"holds no bundle\.json"):
        bundles.save(tmp_path / "photos", info={}, contents={})
    assert (tmp_path / "photos" / "a.jpg").read_bytes() == b"x"
    for text in ("old", "new"):
        bundles.save(tmp_path / "model", info={"name": text}, contents={"a.txt": text})
    assert (tmp_path / "model" / "a.txt").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "photos"]


def test_what_a_user_put_beside_a_model_stays(tmp_path: Path) -> None:
    bundles.save(tmp_path / "model", info={}, contents={"a.txt": "old", "b.txt": "old"})
    (tmp_path / "model" / "notes.txt").write_text("mine")
    (tmp_path / "model" / "takes").mkdir()
    (tmp_path / "model" / "takes" / "a.wav").write_text("mine, too")
    (tmp_path / "link").symlink_to(tmp_path / "model")
    bundles.save(tmp_path / "link", info={}, contents={"a.txt": "new"})
    kept = {path.relative_to(tmp_path).as_posix() for path in tmp_path.glob("model/**/*")}
    names = ("a.txt", "bundle.json", "notes.txt", "takes", "takes/a.wav")
    assert kept == {f"model/{name}" for name in names}
    assert (tmp_path / "link").is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "model"]
    (tmp_path / "model" / "bundle.json").write_text("{")
    bundles.save(tmp_path / "model", info={}, contents={"a.txt": "newer"})
    assert (tmp_path / "model" / "a.txt").read_text() == "newer"
    assert (tmp_path / "model" / "notes.txt").read_text() == "mine"


def test_a_failed_save_leaves_the_old_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundles.save(tmp_path / "model", info={}, contents={"a.txt": "old"})

    def fail(path: Path) -> str:
        raise OSError("disk full")

    monkeypatch.setattr(bundles.store.files, "content_hash", fail)
    with pytest.raises(OSError, match="disk full"):
        bundles.save(tmp_path / "model", info={}, contents={"a.txt": "new"})
    assert (tmp_path / "model" / "a.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.zeros(16_000), "silence"),
        (np.zeros(200_000), "silence"),
        (np.full(1_600, 0.1), "too short"),
    ],
)
def test_what_cannot_be_judged_is_said(tmp_path: Path, y: np.ndarray, message: str) -> None:
    soundfile.write(tmp_path / "a.wav", y, 16_000)
    with pytest.raises(ValueError, match=rf"a\.wav: .*{message}"):
        bundles.load().predict_file(tmp_path / "a.wav")
    with pytest.raises(ValueError, match=message):
        bundles.load().answer(y, sr=16_000)


def test_a_clipped_recording_is_judged_with_a_warning(tmp_path: Path) -> None:
    t = np.arange(32_000) / 16_000
    loud = np.clip(5 * np.sin(2 * np.pi * 180 * t) * np.sin(2 * np.pi * 2 * t), -1, 1)
    soundfile.write(tmp_path / "a.wav", loud, 16_000)
    prediction = bundles.load().predict_file(tmp_path / "a.wav")
    assert prediction.warnings[0].startswith("clipped")
    assert sum(prediction.probabilities.values()) == pytest.approx(1, abs=1e-5)


def test_a_long_recording_is_judged_in_parts(sample_ravdess: Path) -> None:
    bundle = bundles.load()
    clip = audio.read(sorted(sample_ravdess.rglob("*.ogg"))[40], sr=16_000)
    clip = audio.pad(clip, length=64_000)  # 4 s, the length of a part
    once = np.array(list(bundle.predict(clip, sr=16_000).values()))
    silence = np.zeros(64_000, dtype=np.float32)
    long = np.concatenate([clip, silence, clip, clip])
    assert np.allclose(list(bundle.predict(long, sr=16_000).values()), once, atol=1e-5)


def test_rate_format_and_channels_change_little(tmp_path: Path, sample_ravdess: Path) -> None:
    path = sorted(sample_ravdess.rglob("*.ogg"))[40]
    y, sr = soundfile.read(path)
    soundfile.write(tmp_path / "stereo.wav", np.column_stack([y, y]), sr, subtype="FLOAT")
    soundfile.write(tmp_path / "coarse.flac", y, sr, subtype="PCM_16")
    bundle = bundles.load()
    expected = list(bundle.predict_file(path).probabilities.values())
    for name in ("stereo.wav", "coarse.flac"):
        found = list(bundle.predict_file(tmp_path / name).probabilities.values())
        assert np.allclose(found, expected, atol=0.02)


@pytest.mark.parametrize("over_time", [False, True])
def test_prediction_loads_no_training_library(
    sample_ravdess: Path, tmp_path: Path, over_time: bool
) -> None:
    argv = ["predict", str(sorted(sample_ravdess.rglob("*.ogg"))[0]), "--json"]
    argv += ["--every", "1", "--out", str(tmp_path / "a.csv")] if over_time else []
    script = (
        "import sys\nfrom sercourse.cli import main\n"
        f"status = main({argv!r})\n"
        "heavy = {'sklearn', 'skl2onnx', 'librosa', 'tensorflow', 'matplotlib'}\n"
        f"heavy |= {set() if over_time else {'pandas'}}\n"
        "print(status, sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stderr.strip() == "0 []"


def clips_and_pauses(sample_ravdess: Path) -> np.ndarray:
    """Return a clip, four seconds of silence, another clip, four of noise and a far softer clip."""
    paths = sorted(sample_ravdess.rglob("*.ogg"))
    one, other = (audio.pad(audio.read(path, sr=16_000), length=48_000) for path in paths[40:42])
    one = audio.normalize_peak(one, peak=0.5)
    noise = 0.01 * np.random.default_rng(0).normal(size=64_000).astype(np.float32)
    return np.concatenate([one, np.zeros_like(noise), other, noise, 0.004 * one])


def test_windows_over_time_are_judged_as_clips_are(sample_ravdess: Path) -> None:
    bundle, y = bundles.load(), clips_and_pauses(sample_ravdess)
    heard = bundle.predict_over_time(y, sr=16_000, every=1.0)
    assert heard.labels == bundle.labels
    assert heard.start.tolist() == list(range(15))
    assert (heard.end - heard.start == 3).all()
    for row in (0, 7):
        clip = y[16_000 * row : 16_000 * (row + 3)]
        expected = list(bundle.predict(clip, sr=16_000).values())
        np.testing.assert_allclose(heard.probabilities[row], expected, atol=1e-6)
    assert heard.notes[3:5] == ("silence", "silence")
    assert heard.notes[10:12] == ("no speech", "no speech")
    assert heard.notes[14] == "too quiet"
    for row in (3, 10, 14):
        assert np.isnan(heard.probabilities[row]).all()
        assert heard.emotions[row] is None


@pytest.mark.parametrize("name", [bundles.DEFAULT_MODEL, "ravdess-svm", "ravdess-cnn-lstm"])
def test_a_stream_and_a_file_give_what_the_signal_gives(
    name: str, tmp_path: Path, sample_ravdess: Path
) -> None:
    bundle, y = bundles.load(name), clips_and_pauses(sample_ravdess)[: 16_000 * 12]
    soundfile.write(tmp_path / "a.wav", y, 16_000, subtype="FLOAT")
    whole = bundle.predict_over_time(y, sr=16_000, every=2.0)
    from_file = bundle.predict_file_over_time(tmp_path / "a.wav", every=2.0)
    blocks = (y[at : at + 1_000] for at in range(0, len(y), 1_000))
    stream = list(bundle.predict_stream(blocks, sr=16_000, every=2.0))
    for other in (from_file, timeline.collect(stream, labels=bundle.labels)):
        assert other.notes == whole.notes
        np.testing.assert_array_equal(other.start, whole.start)
        np.testing.assert_allclose(other.probabilities, whole.probabilities, atol=1e-6)


def test_a_stream_answers_without_waiting_for_its_end(sample_ravdess: Path) -> None:
    y = clips_and_pauses(sample_ravdess)

    def source() -> Iterator[np.ndarray]:
        yield y[:48_000]
        raise AssertionError("the next block was asked for")

    first = next(bundles.load().predict_stream(source(), sr=16_000, every=1.0))
    assert (first.start, first.end) == (0, 3)
    assert np.isfinite(first.probabilities).all()


@pytest.mark.parametrize(("seconds", "window"), [(2, 3.0), (8, 8.0)])
def test_short_and_long_windows_are_judged_as_signals_are(
    sample_ravdess: Path, seconds: int, window: float
) -> None:
    bundle, y = bundles.load("ravdess-cnn-lstm"), clips_and_pauses(sample_ravdess)
    y = y[: 16_000 * seconds]
    heard = bundle.predict_over_time(y, sr=16_000, every=1.0, window=window)
    assert (heard.start.tolist(), heard.end.tolist()) == ([0], [seconds])
    expected = list(bundle.predict(y, sr=16_000).values())
    np.testing.assert_allclose(heard.probabilities[0], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("y", "message"),
    [(np.full(32_000, np.nan), "sample 0 of the signal is nan"), (np.zeros((9, 2)), "one channel")],
)
def test_a_signal_that_is_none_is_refused(y: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bundles.load("ravdess-svm").predict(y, sr=16_000)


def test_one_long_file_enrols_as_its_sentences_do(sample_ravdess: Path, tmp_path: Path) -> None:
    bundle, paths = bundles.load("ravdess-svm"), sorted(sample_ravdess.glob("Actor_01/*.ogg"))[:8]
    clips = [audio.pad(audio.read(path, sr=16_000), length=64_000)[:64_000] for path in paths]
    soundfile.write(tmp_path / "long.wav", np.concatenate(clips), 16_000, subtype="FLOAT")
    for k, clip in enumerate(clips):
        soundfile.write(tmp_path / f"{k}.wav", clip, 16_000, subtype="FLOAT")
    long, several = (
        bundle.enrol(each).predict(clips[0], sr=16_000)
        for each in ([tmp_path / "long.wav"], [tmp_path / f"{k}.wav" for k in range(8)])
    )
    assert long == pytest.approx(several, abs=1e-6)
    soundfile.write(tmp_path / "silent.wav", np.zeros(32_000), 16_000)
    with pytest.raises(ValueError, match=r"silent\.wav: .*silence"):
        bundle.enrol([tmp_path / "silent.wav"])


def test_enrolment_changes_the_timeline(sample_ravdess: Path) -> None:
    y, bundle = clips_and_pauses(sample_ravdess)[:48_000], bundles.load()
    known = bundle.enrol(sorted((sample_ravdess / "Actor_01").glob("*.ogg"))[:8])
    rows = [
        each.predict_over_time(y, sr=16_000, every=1).probabilities[0] for each in (bundle, known)
    ]
    assert np.abs(rows[0] - rows[1]).max() > 0.01


def test_emotions_over_time_refuse_what_they_cannot_use() -> None:
    bundle, y = bundles.load(), np.zeros(48_000)
    with pytest.raises(ValueError, match="sampled at 8000 Hz"):
        bundle.predict_over_time(y, sr=8_000, every=1)
    with pytest.raises(ValueError, match="every 0 s"):
        bundle.predict_over_time(y, sr=16_000, every=0)
    with pytest.raises(ValueError, match="window of 30 s"):
        bundle.predict_stream([y], sr=16_000, every=1, window=30)
    with pytest.raises(ValueError, match="no samples"):
        bundle.predict_over_time(y[:0], sr=16_000, every=1)


def test_some_emotions_only_are_renormalised(sample_ravdess: Path) -> None:
    clip = sample_ravdess / "Actor_01" / "03-01-05-01-01-01-01.ogg"
    bundle = bundles.load("ravdess-svm+cnn-lstm")
    every, some = bundle.predict_file(clip), bundle.only(["anger", "sad", "joy"])
    among = some.predict_file(clip)
    assert some.labels == tuple(among.probabilities) == ("happy", "sad", "angry")
    total = sum(every.probabilities[emotion] for emotion in some.labels)
    for emotion, p in among.probabilities.items():
        assert p == pytest.approx(every.probabilities[emotion] / total)
    assert among.probabilities == pytest.approx(
        bundles.restrict_labels(every.probabilities, some.labels)
    )
    assert among.emotion == max(among.probabilities, key=among.probabilities.__getitem__)
    y = audio.read(clip, sr=bundle.sample_rate)
    assert some.predict_over_time(y, sr=bundle.sample_rate, every=1.0).probabilities.shape[1] == 3
    assert some.only(["happy", "angry"]).labels == ("happy", "angry")


def test_masks_that_make_no_sense_are_refused() -> None:
    p = {"happy": 0.5, "sad": 0.5, "angry": 0.0}
    with pytest.raises(ValueError, match=r"does not know bored: choose among happy, sad, angry"):
        bundles.restrict_labels(p, ["bored", "happy"])
    with pytest.raises(ValueError, match=r"1 emotion\(s\) are left"):
        bundles.restrict_labels(p, ["sadness", "sad"])
    # Certainty about an emotion that is left out says nothing about the others.
    assert bundles.restrict_labels({**dict.fromkeys(p, 0.0), "bored": 1.0}, p) == pytest.approx(
        dict.fromkeys(p, 1 / 3)
    )
    with pytest.raises(ValueError, match="does not know happy"):
        bundles.load().only(["sad", "angry"]).only(["happy", "sad"])


def test_renewing_replaces_some_files_and_entries_and_keeps_the_rest(copied: Path) -> None:
    (copied / "mine.txt").write_text("mine")
    (copied / "notes").mkdir()
    (copied / "notes" / "a.txt").write_text("mine, too")
    before = json.loads((copied / "bundle.json").read_text("utf-8"))
    bundles.renew(bundles.load(copied), {"a.txt": "new", "README.md": b"card"}, title="another")
    after = json.loads((copied / "bundle.json").read_text("utf-8"))
    assert list(after["files"]) == sorted([*before["files"], "a.txt"])
    changed = {name: after["files"].pop(name) for name in ("a.txt", "README.md")}
    assert changed == {name: files.content_hash(copied / name) for name in changed}
    before["files"].pop("README.md")
    assert after == {**before, "title": "another"}
    assert (copied / "README.md").read_text() == "card"
    assert (copied / "mine.txt").read_text() == "mine"
    assert (copied / "notes" / "a.txt").read_text() == "mine, too"
    assert bundles.load(copied).info["title"] == "another"


def test_a_new_file_of_the_bundle_takes_the_place_of_ones_own(copied: Path) -> None:
    (copied / "a.txt").write_text("mine")
    bundles.renew(bundles.load(copied), {"a.txt": "of the bundle"})
    assert (copied / "a.txt").read_text() == "of the bundle"


def test_files_of_an_earlier_bundle_do_not_outlive_it(copied: Path) -> None:
    bundle = bundles.load(copied)
    kept = {name: (copied / name).read_bytes() for name in bundle.info["files"]}
    old = {name: each for name, each in bundle.info.items() if name not in ("schema", "files")}
    bundles.save(copied, info=old, contents={**kept, "old.txt": "old"})
    bundles.save(copied, info=old, contents=kept)
    assert sorted(path.name for path in copied.iterdir()) == sorted([*kept, "bundle.json"])
    for damage in ("damaged", '{"files": 5}'):
        (copied / "bundle.json").write_text(damage)
        bundles.save(copied, info=old, contents=kept)
    assert bundles.load(copied).info["title"] == bundle.info["title"]


@pytest.mark.parametrize("role", ["model", "voice", "enrolled"])
def test_a_members_file_needs_a_hash(copied: Path, role: str) -> None:
    path = copied / "bundle.json"
    index = json.loads(path.read_text("utf-8"))
    name = next(each["files"][role] for each in index["members"] if role in each["files"])
    del index["files"][name]
    path.write_text(json.dumps(index))
    with pytest.raises(ValueError, match=r"bundle\.json: files contradicts the rest of it"):
        bundles.load(copied)
    (copied / name).unlink()
    with pytest.raises(ValueError, match=r"bundle\.json: files contradicts the rest of it"):
        bundles.load(copied)


def test_a_bundle_is_found_by_name_or_folder(copied: Path) -> None:
    assert bundles.find(copied) == copied
    assert bundles.find("ravdess-svm") == ROOT / "models" / "ravdess-svm"
    assert bundles.available() == SHIPPED
    with pytest.raises(FileNotFoundError, match=r"no model 'nobody': give .* names .*ravdess-svm"):
        bundles.find("nobody")


def test_a_model_that_a_killed_training_had_moved_is_put_back(copied: Path) -> None:
    copied.rename(copied.with_name(".model-replaced"))
    assert bundles.load(copied).name
    assert [path.name for path in copied.parent.iterdir()] == ["model"]
