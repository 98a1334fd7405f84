"""Training networks: resumed exactly, stopped early, averaged, calibrated, exported."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("keras", reason="needs Keras: pip install -e '.[networks]'")
pytest.importorskip("tensorflow", reason="needs TensorFlow: pip install -e '.[networks]'")

from sercourse import bundles, networks, splits
from sercourse.networks import export, training

pytestmark = pytest.mark.xdist_group("networks")  # Keras and TensorFlow are loaded once

SHAPE = (24, 64)
SHORT = networks.Training(epochs=4, batch_size=8, averaged=0.5, label_smoothing=0.1)


def tones(n: int, *, seed: int, n_labels: int = 3) -> networks.Examples:
    """Return small spectrograms, each label with energy in bands of its own."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % n_labels
    X = rng.uniform(-70, -40, size=(n, *SHAPE)).astype(np.float32)
    for clip, label in enumerate(y):
        X[clip, :, 20 * label : 20 * label + 10] += 40
    return networks.Examples([X, X - 1], y, n_labels)


def fresh(*, seed: int = 0):
    networks.quiet_keras().utils.set_random_seed(seed)
    return networks.cnn_lstm(n_labels=3, input_shape=SHAPE, filters=(4, 8), units=4)


def augmented(X, T, *, rng):
    return X + rng.normal(0, 1, size=X.shape).astype(np.float32), T


def interrupted(monkeypatch: pytest.MonkeyPatch, *, after: int, folder: Path) -> None:
    """Train until an epoch is saved, then be killed."""
    save = training._save_checkpoint

    def killed(model, progress, to):
        save(model, progress, to)
        if progress.epoch == after:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training, "_save_checkpoint", killed)
        with pytest.raises(KeyboardInterrupt):
            networks.train(
                fresh(), tones(24, seed=0), training=SHORT, augment=augmented, folder=folder
            )


@pytest.mark.parametrize("after", [1, 3])
def test_a_training_that_was_cut_comes_to_the_same_weights(
    after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = tones(24, seed=0)
    through = fresh()
    networks.train(through, examples, training=SHORT, augment=augmented)
    interrupted(monkeypatch, after=after, folder=tmp_path)
    lines: list[str] = []
    resumed = fresh(seed=99)  # what the checkpoint holds counts, not how the model began
    progress = networks.train(
        resumed, examples, training=SHORT, augment=augmented, folder=tmp_path, report=lines.append
    )
    assert lines[0] == f"going on after epoch {after}"
    assert len(progress.history) == SHORT.epochs
    for mine, theirs in zip(resumed.get_weights(), through.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-6)


@pytest.mark.parametrize("augment", [None, networks.blend])
def test_clips_without_weight_teach_nothing(augment) -> None:
    keras = networks.quiet_keras()
    networks.set_seed(0)
    X = np.random.default_rng(0).normal(size=(80, 2)).astype(np.float32)
    y = (X[:, 0] > 0).astype(int)
    told = np.where(np.arange(80) % 2, y, 1 - y)  # every other label is wrong
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    plan = networks.Training(epochs=20, batch_size=8, optimizer="adam", learning_rate=0.05)
    weights = 2.0 * (np.arange(80) % 2)
    examples = networks.Examples([X], told, 2, weights=weights)
    networks.train(model, examples, training=plan, augment=augment)
    assert np.mean(training.logits(model, X).argmax(axis=1) == y) > 0.9


def steps(*, is_fused: bool, build, shape: tuple[int, ...]) -> tuple[list[float], list[np.ndarray]]:
    """Return losses and weights of a few training steps."""
    keras = networks.quiet_keras()
    networks.set_seed(0)
    model = build(n_labels=3, input_shape=shape)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(1e-3), loss)
    rng = np.random.default_rng(0)
    X, y = rng.uniform(-60, 0, (4, 6, *shape)).astype(np.float32), rng.integers(0, 3, (4, 6))
    with networks.fused(model) if is_fused else contextlib.nullcontext():
        changed = [layer.name for layer in model.layers if "call" in vars(layer)]
        losses = [float(model.train_on_batch(*batch)) for batch in zip(X, y, strict=True)]
    assert bool(changed) == is_fused
    assert not any("call" in vars(layer) for layer in model.layers)
    return losses, model.get_weights()


@pytest.mark.parametrize(
    ("build", "shape"),
    [(networks.cnn_lstm, SHAPE), (networks.cnn_lstm_classic, (2, 32, 32))],
)
def test_fused_layers_learn_the_same(build, shape: tuple[int, ...]) -> None:
    losses, weights = steps(is_fused=False, build=build, shape=shape)
    fused_losses, fused_weights = steps(is_fused=True, build=build, shape=shape)
    assert fused_losses == pytest.approx(losses, rel=1e-3)
    for own, other in zip(fused_weights, weights, strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-3, atol=1e-4)


def test_a_fused_model_answers_as_before() -> None:
    networks.set_seed(0)
    # This network's convolutions have biases. At the start they are zero, and hide a fault.
    plain, model = (networks.cnn_lstm_classic(n_labels=3, input_shape=(2, 32, 32)) for _ in "ab")
    rng = np.random.default_rng(0)
    weights = [each + 0.05 * rng.standard_normal(each.shape) for each in plain.get_weights()]
    plain.set_weights(weights)
    model.set_weights(weights)
    X = rng.uniform(-80, 0, (4, 2, 32, 32))
    with networks.fused(model):
        answers = training.logits(model, X)  # the first: what was traced before stays as it was
    assert answers.std() > 1e-3
    np.testing.assert_allclose(answers, training.logits(plain, X), atol=1e-5)


def test_a_finished_training_is_read_back(tmp_path: Path) -> None:
    examples = tones(24, seed=0)
    first, again = fresh(), fresh(seed=99)
    networks.train(first, examples, training=SHORT, folder=tmp_path)
    before = (tmp_path / training.CHECKPOINT).read_bytes()
    networks.train(again, examples, training=SHORT, folder=tmp_path)
    assert (tmp_path / training.CHECKPOINT).read_bytes() == before
    np.testing.assert_array_equal(
        training.logits(first, examples.versions[0]), training.logits(again, examples.versions[0])
    )


def test_a_damaged_checkpoint_starts_anew(tmp_path: Path) -> None:
    (tmp_path / training.CHECKPOINT).write_bytes(b"PK half a file")
    progress = networks.train(
        fresh(), tones(24, seed=0), training=replace(SHORT, epochs=1), folder=tmp_path
    )
    assert progress.epoch == 1
    assert [path.name for path in tmp_path.iterdir()] == [training.CHECKPOINT]


def test_it_learns_what_can_be_learnt() -> None:
    model = fresh()
    check = tones(30, seed=1)
    networks.train(model, tones(60, seed=0), training=replace(SHORT, epochs=12), validation=check)
    accuracy = np.mean(training.logits(model, check.versions[0]).argmax(axis=1) == check.y)
    assert accuracy > 0.8  # chance is a third


def test_early_stopping_takes_the_best_epoch() -> None:
    model = fresh()
    # Labels that mean nothing on the validation side: it can only get worse.
    check = tones(30, seed=1)
    check = networks.Examples(check.versions, np.roll(check.y, 1), 3)
    patient = replace(SHORT, epochs=40, patience=3, optimizer="sgd", learning_rate=0.05)
    progress = networks.train(model, tones(60, seed=0), training=patient, validation=check)
    losses = [entry["validation_loss"] for entry in progress.history]
    assert len(losses) < 40
    assert progress.best == 1 + int(np.argmin(losses)) == len(losses) - 3
    kept = training.cross_entropy(training.logits(model, check.versions[0]), check.y)
    assert kept == pytest.approx(min(losses), abs=1e-4)


def test_early_stopping_needs_something_to_look_at() -> None:
    with pytest.raises(ValueError, match="give some, or set no patience"):
        networks.train(fresh(), tones(24, seed=0), training=replace(SHORT, patience=2))


def test_what_is_watched_decides_nothing() -> None:
    examples, check = tones(24, seed=0), tones(12, seed=1)
    plain, seen = fresh(), fresh()
    networks.train(plain, examples, training=SHORT)
    progress = networks.train(seen, examples, training=SHORT, watched=check)
    assert all("watched_accuracy" in entry for entry in progress.history)
    for mine, theirs in zip(plain.get_weights(), seen.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-6)


def test_every_clip_is_shown_once_an_epoch_in_one_of_its_versions() -> None:
    examples = tones(24, seed=0)
    shown = []

    def remember(X, T, *, rng):
        shown.append((X[:, 0, 63].copy(), T.argmax(axis=1)))
        return X, T

    networks.train(fresh(), examples, training=replace(SHORT, epochs=1), augment=remember)
    values, labels = (np.concatenate(each) for each in zip(*shown, strict=True))
    plain, softer = (values[:, np.newaxis] == each[:, 0, 63] for each in examples.versions)
    row, clip = np.nonzero(plain | softer)
    assert row.tolist() == list(range(24))
    assert sorted(clip) == list(range(24))
    assert (labels == examples.y[clip]).all()
    assert 4 < plain.sum() < 20


def test_rare_labels_weigh_more() -> None:
    weights = training.class_weights(np.array([0, 0, 0, 1, 2, 2]), n_labels=4)
    assert weights[1] == 3 * weights[0]
    assert np.sum(weights[[0, 0, 0, 1, 2, 2]]) == pytest.approx(6)


def test_the_temperature_makes_probabilities_honest() -> None:
    rng = np.random.default_rng(0)
    honest = rng.normal(0, 2, size=(4000, 5))
    y = np.array([rng.choice(5, p=row) for row in training.softmax(honest)])
    assert training.temperature(3 * honest, y) == pytest.approx(3, rel=0.1)


def test_the_temperature_is_found_on_clips_that_were_not_learnt_from() -> None:
    y = np.arange(90) % 3
    X = np.random.default_rng(0).normal(size=(90, 12))
    X[np.arange(90), y] += 1  # little to go by, and units enough to learn the noise by heart
    voices = np.repeat(np.arange(10), 9)
    brief = networks.Training(epochs=15, batch_size=90, optimizer="adam", learning_rate=0.03)
    learner = networks.NetworkLearner(networks.mlp, brief, options={"units": [64]})
    model = learner.fit([X], y, groups=voices, n_labels=3)
    known, unheard = (
        training.temperature(training.logits(model.members[0], X[side]), y[side])
        for side in splits.inner_splits(y, voices, n_folds=10)[0]
    )
    assert unheard > 2 * known
    assert model.temperatures == pytest.approx((unheard,), rel=1e-3)


@pytest.fixture(scope="module")
def fitted() -> networks.FittedNetwork:
    learner = networks.NetworkLearner(
        networks.cnn_lstm,
        replace(SHORT, epochs=8),
        members=2,
        options={"filters": [4, 8], "units": 4},
    )
    examples = tones(60, seed=0)
    speakers = np.repeat([f"s{i}" for i in range(10)], 6)
    return learner.fit(examples.versions, examples.y, groups=speakers, n_labels=3)


def test_members_differ_and_are_averaged(fitted: networks.FittedNetwork) -> None:
    X = tones(12, seed=3).versions[0]
    one, other = (training.logits(member, X) for member in fitted.members)
    assert not np.allclose(one, other, atol=0.01)
    mean = (one / fitted.temperatures[0] + other / fitted.temperatures[1]) / 2
    np.testing.assert_allclose(fitted.predict_proba(X), training.softmax(mean), atol=1e-6)
    assert fitted.selected["epochs"] == 8
    assert set(fitted.selected) == {"epochs", "temperature"}


def test_keras_and_onnx_files_answer_alike(fitted: networks.FittedNetwork, tmp_path: Path) -> None:
    contents = fitted.contents()
    X = tones(12, seed=3).versions[0]
    ours = fitted.predict_proba(X)
    np.testing.assert_allclose(bundles.run(bundles.session(contents[".onnx"]), X), ours, atol=1e-5)
    path = tmp_path / "model.keras"
    path.write_bytes(contents[".keras"])
    loaded = networks.quiet_keras().saving.load_model(path, safe_mode=True, compile=False)
    np.testing.assert_allclose(loaded.predict_on_batch(X), ours, atol=1e-5)


def test_the_final_network_takes_what_the_folds_found() -> None:
    learner = networks.NetworkLearner(
        networks.cnn_lstm, replace(SHORT, patience=2), options={"filters": [4], "units": 4}
    )
    examples = tones(24, seed=0)
    everyone = np.array(["only one"] * 24)  # no inner split could be made of it
    selected = {"epochs": 3.0, "temperature": 1.7}
    model = learner.fit(
        examples.versions, examples.y, groups=everyone, n_labels=3, selected=selected
    )
    assert model.progress[0].epoch == 3
    assert model.selected == selected


def test_augmentation_keeps_level_shape_and_input() -> None:
    X = np.full((6, 288, 64), -70, dtype=np.float32)
    X[:, :150] = np.random.default_rng(0).uniform(-60, 0, size=(6, 150, 64))
    before, T = X.copy(), np.eye(6, dtype=np.float32)
    other, targets = networks.augment_spectrograms(X, T, rng=np.random.default_rng(1))
    np.testing.assert_array_equal(X, before)
    np.testing.assert_array_equal(targets, T)
    assert other.shape == X.shape
    assert other.dtype == np.float32
    assert other.min() >= -70
    assert other.max() <= 0
    again, _ = networks.augment_spectrograms(X, T, rng=np.random.default_rng(1))
    np.testing.assert_array_equal(other, again)


def test_export_wants_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    keras = networks.quiet_keras()
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(RuntimeError, match="runs on jax here and ONNX export needs TensorFlow"):
        export.to_onnx(fresh())
