"""Networks and ensembles in experiments: folds, checkpoints, bundles."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("keras", reason="needs Keras: pip install -e '.[networks]'")
pytest.importorskip("tensorflow", reason="needs TensorFlow: pip install -e '.[networks]'")

from sercourse import bundles, evaluate, experiment, networks
from sercourse.recipes import Recipe, recipe, with_settings

pytestmark = pytest.mark.xdist_group("networks")


def small_learner() -> networks.NetworkLearner:
    training = networks.Training(epochs=3, batch_size=8, averaged=0.4)
    return networks.NetworkLearner(
        networks.cnn_lstm, training, options={"filters": [4, 8], "units": 4}
    )


NETWORK = Recipe(
    "small",
    "a small network",
    "log-mel",
    small_learner(),
    recipe("cnn-lstm").augmentations[:1],
    normalized=False,
    seeds=1,
)
SVM = recipe("svm-classic")
BOTH = Recipe("both", "the two together", members=(SVM, NETWORK))


@pytest.fixture(scope="module")
def clips(ravdess_clips: pd.DataFrame) -> pd.DataFrame:
    clips = ravdess_clips
    few = clips[clips["emotion"].isin(["happy", "sad", "angry"])]
    return few.groupby(["speaker", "emotion"]).head(3).reset_index(drop=True)


@pytest.fixture(scope="module")
def data(clips: pd.DataFrame) -> experiment.Dataset:
    return experiment.prepare(BOTH, clips, progress=False)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def measured(data: experiment.Dataset, store: Path) -> experiment.Evaluation:
    return experiment.evaluate_recipe(BOTH, data, protocol="speaker", only=["fold 2"], store=store)


def test_networks_run_as_the_svm_does(
    data: experiment.Dataset, store: Path, measured: experiment.Evaluation
) -> None:
    alone = experiment.evaluate_recipe(
        NETWORK, data.parts[1], protocol="speaker", only=["fold 2"], store=store
    )
    (fold,) = alone.metrics["folds"]
    assert fold["epochs"] == 3
    assert fold["temperature"] > 0
    assert alone.metrics["n_folds"] == 1
    assert alone.metrics["of_folds"] == 6
    columns = [name for name in alone.predictions if name.startswith("p_")]
    assert np.allclose(alone.predictions[columns].sum(axis=1), 1, atol=1e-4)


def test_a_trained_network_is_measured_in_other_conditions(
    data: experiment.Dataset,
    store: Path,
    measured: experiment.Evaluation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    epochs: list[int] = []
    monkeypatch.setattr(networks.training, "_run_epoch", lambda *a, **k: epochs.append(1))
    told = experiment.evaluate_conditions(BOTH, data, only=["fold 2"], store=store).metrics
    assert told["conditions"]["as recorded"]["accuracy"] == measured.metrics["accuracy"]
    assert len({part["accuracy"] for part in told["conditions"].values()}) > 2
    assert not epochs  # the training of the plain evaluation is read back


def test_an_ensemble_averages_what_its_members_say(
    data: experiment.Dataset, store: Path, measured: experiment.Evaluation
) -> None:
    one, other = (
        experiment.evaluate_recipe(
            member, part, protocol="speaker", only=["fold 2"], store=store
        ).predictions
        for member, part in zip(BOTH.members, data.parts, strict=True)
    )
    columns = [name for name in one if name.startswith("p_")]
    product = np.sqrt(np.maximum(one[columns], 1e-6) * np.maximum(other[columns], 1e-6))
    expected = product.div(product.sum(axis=1), axis=0)
    np.testing.assert_allclose(measured.predictions[columns], expected, atol=2e-5)
    again = evaluate.summarize(measured.predictions, emotions=data.emotions)
    assert again["accuracy"] == measured.metrics["accuracy"]


def test_protocols_with_one_training_side_share_the_training(
    data: experiment.Dataset, tmp_path: Path
) -> None:
    network, short = data.parts[1], with_settings(NETWORK, epochs=1)
    normalizing = replace(short, name="normalizing", normalized=True)
    for network_recipe in (short, normalizing):
        for protocol in ("speaker", "speaker+norm", "speaker+enrol"):
            experiment.evaluate_recipe(
                network_recipe, network, protocol=protocol, only=["fold 1"], store=tmp_path
            )
    trainings = sorted(path.name.rpartition("-")[0] for path in (tmp_path / "trainings").iterdir())
    assert trainings == ["normalizing", "normalizing", "small"]
    assert len(list((tmp_path / "evaluations").iterdir())) == 6


@pytest.fixture(scope="module")
def trained(data: experiment.Dataset, store: Path, measured: experiment.Evaluation) -> Path:
    return experiment.train(
        BOTH, data, folder=store / "sample-both", evaluations=[measured], store=store
    )


def test_the_bundle_of_an_ensemble_has_the_files_of_its_members(trained: Path) -> None:
    assert {path.name for path in trained.iterdir()} == {
        "bundle.json",
        *(f"svm-classic{end}" for end in (".onnx", "-enrolled.onnx", "-voice.npz")),
        "small.onnx",
        "metrics.json",
        "predictions.csv",
        "README.md",
    }
    info = json.loads((trained / "bundle.json").read_text("utf-8"))
    assert [member["recipe"]["name"] for member in info["members"]] == ["svm-classic", "small"]
    assert {"keras", "scikit-learn"} <= set(info["versions"])


def test_onnx_and_keras_files_agree(
    data: experiment.Dataset, store: Path, measured: experiment.Evaluation
) -> None:
    network = data.parts[1]
    folder = experiment.train(
        NETWORK, network, folder=store / "sample-small", evaluations=[measured], store=store
    )
    assert {path.name for path in folder.glob("model*")} == {"model.onnx", "model.keras"}
    path = folder / "model.keras"
    model = networks.quiet_keras().saving.load_model(path, safe_mode=True, compile=False)
    X = network.X[:20]
    ours = bundles.load(folder).predict_proba(X)
    np.testing.assert_allclose(ours, model.predict_on_batch(X), atol=1e-4)
    with pytest.raises(ValueError, match="cannot enrol a speaker"):
        bundles.load(folder).enrol(network.clips["path"].head(2))


def test_predicting_needs_no_training_library(trained: Path, data: experiment.Dataset) -> None:
    script = (
        "import sys; from sercourse import bundles\n"
        f"bundles.load({str(trained)!r}).predict_file({data.clips['path'].iloc[0]!r})\n"
        "print([name for name in ('tensorflow', 'keras', 'sklearn') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
    assert not done.stderr
