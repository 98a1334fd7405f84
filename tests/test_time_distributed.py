"""The study of the time-distributed network: logged by epoch, and continued where it was cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("keras", reason="needs Keras: pip install -e '.[networks]'")
pytest.importorskip("tensorflow", reason="needs TensorFlow: pip install -e '.[networks]'")

import time_distributed

EMOTIONS = ["angry", "calm", "disgust", "fearful", "happy", "sad", "surprised"]

pytestmark = [
    pytest.mark.xdist_group("networks"),
    # Keras 3 on NumPy 2, in the callback that keeps checkpoints
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


@pytest.fixture
def corpora(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put small pictures in the place of those of RAVDESS, brighter from emotion to emotion."""
    rows = [(f"ravdess-{actor:02}", emotion) for actor in range(1, 25) for emotion in EMOTIONS]
    clips = pd.DataFrame(rows, columns=["speaker", "emotion"])
    clips["group"] = clips["speaker"] + clips["emotion"]
    noise = np.random.default_rng(0).normal(size=(len(clips), 2, 16, 16)).astype(np.float32)
    level = clips["emotion"].map(EMOTIONS.index).to_numpy(np.float32)[:, None, None, None]
    monkeypatch.setattr(time_distributed, "examples", lambda root: (clips, 2 * [noise + level]))
    monkeypatch.setenv("SERCOURSE_CACHE", str(tmp_path / "cache"))
    return tmp_path


def run(corpora: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> pd.DataFrame:
    """Run the command, and return its log."""
    log = corpora / "log.csv"
    monkeypatch.setattr("sys.argv", ["", str(corpora), "--log", str(log), *arguments])
    time_distributed.main()
    return pd.read_csv(log)


def test_a_training_goes_on_from_its_last_epoch(
    corpora: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = run(corpora, monkeypatch, "--epochs", "2")
    assert before["epoch"].tolist() == [1, 2]
    after = run(corpora, monkeypatch, "--epochs", "6")
    assert after["epoch"].tolist() == [1, 2, 3, 4, 5, 6]
    pd.testing.assert_frame_equal(after[:2], before)  # what was written stays
    losses = after["train_loss"]
    assert losses[2] < losses[0]  # it did not begin again
    assert after["train_accuracy"].iloc[-1] > 2 / 7
    assert run(corpora, monkeypatch, "--epochs", "6").equals(after)  # nothing is left to do


def test_each_fold_of_speakers_is_trained(corpora: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = run(corpora, monkeypatch, "--epochs", "1", "--protocol", "speaker")
    assert log["split"].tolist() == [f"speaker fold {k}" for k in range(1, 7)]


def test_the_first_training_watches_the_test_beside_its_validation(
    corpora: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = run(corpora, monkeypatch, "--plan", "first", "--epochs", "3")
    figures = ["train_loss", "validation_loss", "validation_accuracy", "test_loss", "test_accuracy"]
    assert log.columns.tolist() == ["epoch", *figures]
    assert log["epoch"].tolist() == [1, 2, 3]
    assert log["train_loss"].is_monotonic_decreasing
