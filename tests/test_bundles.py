"""Bundles: what is refused, and that those which are shipped keep their word."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from sercourse import audio, bundles, evaluate, features

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = sorted(path.parent for path in (ROOT / "models").glob("*/bundle.json"))
each_bundle = pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """Return a copy of the default bundle that a test may damage."""
    return Path(shutil.copytree(bundles.find(bundles.DEFAULT_MODEL), tmp_path / "model"))


def test_the_default_model_is_shipped() -> None:
    assert bundles.DEFAULT_MODEL in {folder.name for folder in SHIPPED}


@each_bundle
def test_every_figure_follows_from_the_predictions(folder: Path) -> None:
    told = json.loads((folder / "metrics.json").read_text("utf-8"))["protocols"]
    predictions = pd.read_csv(folder / "predictions.csv")
    assert len(told) == len(predictions.groupby(["protocol", "labels"]))
    for entry in told:
        rows = predictions.query("protocol == @entry['protocol'] and labels == @entry['labels']")
        again = evaluate.summarize(rows, emotions=entry["emotions"])
        for fold in entry["folds"]:
            fold.pop("seconds")
        for name, value in again.items():
            assert_same(entry[name], value)


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
            assert rows["clip_id"].is_unique


@each_bundle
def test_shipped_bundles_are_whole_and_small(folder: Path) -> None:
    bundle = bundles.load(folder)
    assert len(bundle.feature_set.names) == len(bundle.info["feature_names"])
    size = sum(path.stat().st_size for path in folder.iterdir())
    assert size < (5e6 if "svm" in folder.name else 10e6)


@each_bundle
def test_cards_say_use_licence_and_limits(folder: Path) -> None:
    card = (folder / "README.md").read_text("utf-8")
    for heading in ("## Use", "## Trained on", "## Results", "## Limits"):
        assert heading in card
    assert "terms" in card


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
    [({"schema": 99}, "follows schema 99"), ({"files": None}, "names no files")],
)
def test_an_index_that_cannot_be_followed_is_refused(
    copied: Path, change: dict, message: str
) -> None:
    index = copied / "bundle.json"
    index.write_text(json.dumps(json.loads(index.read_text("utf-8")) | change), "utf-8")
    with pytest.raises(ValueError, match=message):
        bundles.load(copied)


@pytest.mark.parametrize("content", ["{", "[]", "\udcff"])
def test_a_damaged_index_is_refused(copied: Path, content: str) -> None:
    (copied / "bundle.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match=r"bundle\.json"):
        bundles.load(copied)


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
    info["recipe"]["features"]["version"] += 1
    index.write_text(json.dumps(info), "utf-8")
    with pytest.raises(ValueError, match="learned from other 'voice' features"):
        _ = bundles.load(copied).feature_set


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


def test_a_failed_save_leaves_the_old_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundles.save(tmp_path / "model", info={}, contents={"a.txt": "old"})

    def fail(path: Path) -> str:
        raise OSError("disk full")

    monkeypatch.setattr(bundles.files, "content_hash", fail)
    with pytest.raises(OSError, match="disk full"):
        bundles.save(tmp_path / "model", info={}, contents={"a.txt": "new"})
    assert (tmp_path / "model" / "a.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.zeros(16_000), "silence"),
        (np.full(1_600, 0.1), "too short"),
    ],
)
def test_what_cannot_be_judged_is_said(tmp_path: Path, y: np.ndarray, message: str) -> None:
    soundfile.write(tmp_path / "a.wav", y, 16_000)
    with pytest.raises(ValueError, match=message):
        bundles.load().predict_file(tmp_path / "a.wav")


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


def test_a_long_silence_is_said() -> None:
    with pytest.raises(ValueError, match="no part of the recording is loud enough"):
        bundles.load().predict(np.zeros(200_000, dtype=np.float32), sr=16_000)


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


def test_prediction_loads_no_training_library(sample_ravdess: Path) -> None:
    clip = sorted(sample_ravdess.rglob("*.ogg"))[0]
    script = (
        "import sys\nfrom sercourse.cli import main\n"
        f"status = main(['predict', {str(clip)!r}, '--json'])\n"
        "heavy = {'sklearn', 'skl2onnx', 'librosa', 'tensorflow', 'matplotlib', 'pandas'}\n"
        "print(status, sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stderr.strip() == "0 []"


def test_features_of_the_package_are_those_of_the_model() -> None:
    bundle = bundles.load()
    assert bundle.feature_set == features.named("voice")
