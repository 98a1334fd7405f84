"""Training networks: resumed exactly, calibrated, averaged, on segments, exported."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("keras", reason="needs Keras: pip install -e '.[networks]'")
pytest.importorskip("tensorflow", reason="needs TensorFlow: pip install -e '.[networks]'")

from sercourse import bundles, networks, splits
from sercourse.networks import Examples, learner, training
from sercourse.recipes import recipe

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
    """Return a network with all that a checkpoint has to hold, which is quickly made ready."""
    keras = networks.quiet_keras()
    keras.utils.set_random_seed(seed)
    inputs = keras.Input(SHAPE)
    x = keras.layers.Reshape((*SHAPE, 1))(inputs)
    x = keras.layers.Conv2D(4, 5, strides=4, activation="relu")(x)
    x = keras.layers.Dropout(0.2)(keras.layers.BatchNormalization()(x))
    return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(x)))


def recurrent():
    networks.quiet_keras().utils.set_random_seed(0)
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


@pytest.mark.parametrize("augment", [None, networks.builders.blend])
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


def steps(build, shape: tuple[int, ...], *, is_fused: bool) -> tuple[list[float], list[np.ndarray]]:
    """Return losses of a few training steps, and answers and weights after them."""
    keras = networks.quiet_keras()
    networks.set_seed(0)
    model = build(n_labels=3, input_shape=shape)
    rng = np.random.default_rng(0)
    # At the start biases are zero, and hide a fault.
    weights = [each + 0.05 * rng.uniform(size=each.shape) for each in model.get_weights()]
    model.set_weights(weights)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(1e-3), loss)
    X, y = rng.uniform(-60, 0, (4, 6, *shape)).astype(np.float32), rng.integers(0, 3, (4, 6))
    calls = keras.layers.BatchNormalization.call, keras.layers.Conv2D.call
    with training.fused_ops() if is_fused else contextlib.nullcontext():
        losses = [float(model.train_on_batch(*batch)) for batch in zip(X, y, strict=True)]
    assert calls == (keras.layers.BatchNormalization.call, keras.layers.Conv2D.call)
    return losses, [training.logits(model, X[0]), *model.get_weights()]


@pytest.mark.parametrize(
    ("build", "shape"),
    [(networks.cnn_lstm, SHAPE), (networks.builders.cnn_lstm_classic, (2, 32, 32))],
)
def test_fused_operations_learn_the_same(build, shape: tuple[int, ...]) -> None:
    losses, results = steps(build, shape, is_fused=False)
    fused_losses, fused_results = steps(build, shape, is_fused=True)
    assert fused_losses == pytest.approx(losses, rel=1e-3)
    assert fused_losses != losses  # they round in another way: they were used
    for own, other in zip(fused_results, results, strict=True):
        np.testing.assert_allclose(own, other, rtol=2e-3, atol=1e-4)


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


def test_no_flipped_bit_of_a_checkpoint_is_gone_on_from(tmp_path: Path) -> None:
    short, file, model = replace(SHORT, epochs=1), tmp_path / training.CHECKPOINT, fresh()
    networks.train(model, tones(24, seed=0), training=short, folder=tmp_path)
    learnt, whole, model = training._state(model), file.read_bytes(), fresh()
    training.compile_model(model, training=short, n_clips=24)
    begun, learnt = ([each.numpy() for each in state] for state in (training._state(model), learnt))
    for bit in np.random.default_rng(0).integers(8 * len(whole), size=500).tolist():
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        file.write_bytes(damaged)
        # Where the bit is of a date of the archive, nothing that counts has changed.
        wanted = learnt if training._resume(model, tmp_path, short).epoch else begun
        for variable, before, value in zip(training._state(model), begun, wanted, strict=True):
            assert np.array_equal(variable.numpy(), value)
            variable.assign(before)
    file.write_bytes(whole)
    assert training._resume(model, tmp_path, short).epoch == 1


def test_a_checkpoint_that_is_none_is_not_gone_on_from(tmp_path: Path) -> None:
    short, file = replace(SHORT, epochs=1), tmp_path / training.CHECKPOINT
    networks.train(fresh(), tones(24, seed=0), training=short, folder=tmp_path)
    with np.load(file, allow_pickle=False) as stored:
        whole = dict(stored)
    told = json.loads(str(whole["told"]))
    odd_history: list[Any] = [[], [{}], [{"loss": "x"}], [{"loss": np.nan}], [[1]], None]
    odd = [told | {"history": each} for each in odd_history]
    odd += [told | {"best": each} for each in (None, 7, -1, "x")]
    texts = ["", "[]", "{}", "1", "[" * 5000, *map(json.dumps, odd)]
    first = whole["arr_0"]
    changes = [
        *({"told": np.array(each)} for each in texts),
        *({"arr_0": np.array(each)} for each in (first[..., :1], first * np.nan, "x")),
        {"arr_99": first},
    ]
    contents = [{**whole, **each} for each in changes]
    contents += [{key: whole[key] for key in whole if key != name} for name in ("told", "arr_9")]
    model = fresh()
    training.compile_model(model, training=short, n_clips=24)
    begun = [each.numpy() for each in training._state(model)]
    for content in contents:
        np.savez(file, **content)
        assert training._resume(model, tmp_path, short).epoch == 0
        for variable, before in zip(training._state(model), begun, strict=True):
            assert np.array_equal(variable.numpy(), before)
    np.savez(file, **whole)
    assert training._resume(model, tmp_path, short).epoch == 1


@pytest.mark.parametrize("settings", [{"patience": 2}, {"averaged": 0.5}])
def test_a_checkpoint_that_contradicts_itself_is_none(settings: dict, tmp_path: Path) -> None:
    short, file = replace(SHORT, epochs=3, **{"averaged": 0.0, **settings}), tmp_path / "a"
    networks.train(
        fresh(), tones(24, seed=0), training=short, validation=tones(24, seed=1), folder=file
    )
    file /= training.CHECKPOINT
    with np.load(file, allow_pickle=False) as stored:
        whole = dict(stored)
    told, model = json.loads(str(whole["told"])), fresh()
    training.compile_model(model, training=short, n_clips=24)
    n_state, history = len(training._state(model)), told["history"]
    bare = [{"loss": each["loss"]} for each in history]
    odd = [told | {"best": each} for each in range(4) if each != told["best"]]
    odd += [told | {"history": history + history}]
    odd += [told | {"history": bare}] if "patience" in settings else []
    contents = [whole | {"told": np.array(json.dumps(each))} for each in odd]
    kept = [f"arr_{k}" for k in range(n_state, len(whole) - 1)]
    contents += [{name: x for name, x in whole.items() if name not in kept}]
    for content in contents:
        np.savez(file, **content)
        assert training._resume(model, file.parent, short).epoch == 0
    np.savez(file, **whole)
    assert training._resume(model, file.parent, short).epoch == len(history)


def test_it_learns_what_can_be_learnt() -> None:
    model = recurrent()
    check = tones(30, seed=1)
    networks.train(model, tones(60, seed=0), training=replace(SHORT, epochs=12), validation=check)
    accuracy = np.mean(training.logits(model, check.versions[0]).argmax(axis=1) == check.y)
    assert accuracy > 0.8  # chance is a third


def test_early_stopping_takes_the_best_epoch() -> None:
    model = recurrent()
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
    wide = networks.NetworkLearner(networks.builders.mlp, brief, options={"units": [64]})
    model = wide.fit(Examples([X], y, 3), groups=voices)
    known, unheard = (
        training.temperature(training.logits(model.members[0], X[side]), y[side])
        for side in splits.inner_splits(y, voices, n_folds=10)[0]
    )
    assert unheard > 2 * known
    assert model.temperatures == pytest.approx((unheard,), rel=1e-3)


@pytest.fixture(scope="module")
def averaged() -> networks.FittedNetwork:
    learner = networks.NetworkLearner(
        networks.cnn_lstm,
        replace(SHORT, epochs=8),
        members=2,
        options={"filters": [4, 8], "units": 4},
    )
    examples = tones(60, seed=0)
    speakers = np.repeat([f"s{i}" for i in range(10)], 6)
    return learner.fit(examples, groups=speakers)


def test_members_differ_and_are_averaged(averaged: networks.FittedNetwork) -> None:
    X = tones(12, seed=3).versions[0]
    one, other = (training.logits(member, X) for member in averaged.members)
    assert not np.allclose(one, other, atol=0.01)
    mean = (one / averaged.temperatures[0] + other / averaged.temperatures[1]) / 2
    np.testing.assert_allclose(averaged.predict_proba(X), training.softmax(mean), atol=1e-6)
    assert averaged.selected["epochs"] == 8
    assert set(averaged.selected) == {"epochs", "temperature"}


def test_the_final_network_takes_what_the_folds_found() -> None:
    learner = networks.NetworkLearner(
        networks.cnn_lstm, replace(SHORT, patience=2), options={"filters": [4], "units": 4}
    )
    examples = tones(24, seed=0)
    everyone = np.array(["only one"] * 24)  # no inner split could be made of it
    selected = {"epochs": 3.0, "temperature": 1.7}
    model = learner.fit(examples, groups=everyone, selected=selected)
    assert model.progress[0].epoch == 3
    assert model.selected == selected


def test_clips_have_weights_in_temperature_and_validation() -> None:
    scores, y = np.array([[9.0, 0.0], [9.0, 0.0]]), np.array([0, 1])
    assert training.temperature(scores, y) > 5 > training.temperature(scores, y, weights=[1, 0])


# --- vectors of features: standardised, with heads, with other losses -----------------------------

VECTOR = networks.Training(epochs=8, batch_size=16, optimizer="adam", learning_rate=3e-3)
ROWS = (12,)


def rows(n: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return rows whose features lie far from zero, and three labels that they tell."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    X = 500 + 20 * rng.normal(size=(n, *ROWS))
    X[np.arange(n), y] += 120
    return X.astype(np.float32), y


def fitted(**settings) -> networks.FittedNetwork:
    X, y = rows(90)
    learner = networks.NetworkLearner(networks.builders.mlp, VECTOR, standardized=True, **settings)
    n_labels = int(np.prod(settings.get("heads", (3,))))
    return learner.fit(Examples([X], y, n_labels), groups=np.arange(90) // 2)


def test_inputs_are_standardised_by_what_is_learned_from(monkeypatch: pytest.MonkeyPatch) -> None:
    keras = networks.quiet_keras()
    X = np.random.default_rng(0).normal(7, 3, size=(40, 5, 4)).astype(np.float32)
    X[..., 2] = 1.5  # never varies
    inputs = keras.Input((5, 4))
    model = networks.learner.standardized(keras.Model(inputs, keras.layers.Identity()(inputs)), X)
    scaled = model.predict_on_batch(X)
    np.testing.assert_allclose(scaled.mean(axis=(0, 1)), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(axis=(0, 1)), [1, 1, 0, 1], atol=1e-5)
    assert not model.weights

    seen = []
    standardized = learner.standardized
    monkeypatch.setattr(
        learner, "standardized", lambda model, X: (seen.append(X), standardized(model, X))[1]
    )
    answers = fitted().predict_proba(rows(60, seed=1)[0]).argmax(axis=1)
    assert 70 < len(seen[0]) < 90  # without the validation clips
    assert (answers == rows(60)[1]).mean() > 0.9  # chance is a third


def test_two_heads_answer_pairs() -> None:
    networks.set_seed(0)
    plain = networks.builders.mlp(n_labels=5, input_shape=ROWS)
    pairs = networks.learner.joint_head(plain, sizes=(3, 2))
    X = rows(6)[0] / 500
    scores, both = plain.predict_on_batch(X), pairs.predict_on_batch(X)
    one, other = training.softmax(scores[:, :3]), training.softmax(scores[:, 3:])
    product = one[:, :, None] * other[:, None, :]
    np.testing.assert_allclose(training.softmax(both).reshape(-1, 3, 2), product, atol=1e-6)


def test_heads_learn_both_at_once() -> None:
    X, y = rows(120)
    louder = np.arange(120) % 2
    X[:, 6:] += 90 * louder[:, np.newaxis]
    learner = networks.NetworkLearner(
        networks.builders.mlp, replace(VECTOR, epochs=15), standardized=True
    )
    learner = replace(learner, heads=(3, 2))
    model = learner.fit(Examples([X], 2 * y + louder, 6), groups=np.arange(120) // 2)
    pairs = model.predict_proba(X).reshape(-1, 3, 2)
    assert (pairs.sum(axis=2).argmax(axis=1) == y).mean() > 0.9
    assert (pairs.sum(axis=1).argmax(axis=1) == louder).mean() > 0.9
    assert learner.settings["heads"] == [3, 2]


@pytest.mark.parametrize("loss", ["categorical", "binary", "ordinal"])
def test_the_loss_of_an_epoch_is_the_mean_over_all_of_its_batches(loss: str) -> None:
    X, y = rows(31)
    model = networks.learner.standardized(networks.builders.mlp(n_labels=3, input_shape=ROWS), X)
    still = replace(VECTOR, epochs=1, learning_rate=0.0, batch_size=7, loss=loss)
    (told,) = networks.train(model, networks.Examples([X], y, 3), training=still).history
    p, T = training.softmax(training.logits(model, X)), np.eye(3)[y]
    by_hand = {
        "categorical": -np.log(p[np.arange(31), y]),
        "binary": -(T * np.log(p) + (1 - T) * np.log(1 - p)).mean(axis=1),
        "ordinal": (p @ np.arange(3) - y) ** 2,
    }[loss]
    weights = training.class_weights(y, n_labels=3)[y]
    assert told["loss"] == pytest.approx(np.mean(weights * by_hand), rel=1e-3)


def test_ordinal_training_comes_near_the_place() -> None:
    def ordered(seed: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        y = rng.integers(0, 4, 160)
        X = rng.normal(size=(len(y), 5))
        X[:, 2] = 50 + 10 * (y + rng.normal(scale=0.2, size=len(y)))  # a scale to be learnt
        return X.astype(np.float32), y

    learner = networks.NetworkLearner(
        networks.builders.rnn,
        networks.Training(epochs=30, optimizer="adam", learning_rate=0.01, loss="ordinal"),
        options={"lstm_units": [8], "dense_units": [8], "dropout": 0.0},
        standardized=True,
    )
    X, y = ordered(0)
    model = learner.fit(Examples([X], y, 4), groups=np.arange(len(y)) % 10)
    last = model.progress[0].history[-1]
    assert last["validation_loss"] < 0.4  # a variance of the place is 1.25
    assert last["validation_accuracy"] > 0.6
    X, y = ordered(1)
    values = networks.learner.expected_codes(model, X)
    assert np.mean(np.abs(values - y)) < 0.4  # always the middle would be off by 1
    assert values.min() >= 0
    assert values.max() <= 3


def test_training_in_bfloat16_gives_a_network_in_float32() -> None:
    rng = np.random.default_rng(0)
    y = np.arange(24) % 2
    X = (rng.standard_normal((24, 16, 16)) + 2 * y[:, None, None]).astype(np.float32)
    brief = networks.Training(epochs=3, batch_size=8, optimizer="adam", precision="bfloat16")
    model = networks.NetworkLearner(networks.builders.aesdd_cnn_1, brief).fit(
        Examples([X], y, 2), groups=np.arange(24) // 2
    )
    assert {each.dtype for each in model.members[0].weights} == {"float32"}
    assert model.members[0].compute_dtype == "float32"
    assert np.mean(model.predict_proba(X).argmax(1) == y) > 0.9
    assert networks.quiet_keras().config.dtype_policy().name == "float32"


@pytest.mark.parametrize(
    ("optimizer", "rates"), [("adam", [0.1] * 3), ("sgd", [0.1] * 3), ("adamw", [0.05, 0.1, 0.0])]
)
def test_rates_are_constant_or_warm_up_and_decay(optimizer: str, rates: list[float]) -> None:
    model = networks.builders.mlp(n_labels=3, input_shape=ROWS)
    plan = networks.Training(epochs=20, batch_size=1, optimizer=optimizer, learning_rate=0.1)
    training.compile_model(model, training=plan, n_clips=1)
    seen = []
    for _ in range(21):
        seen.append(float(model.optimizer.learning_rate))
        model.train_on_batch(np.zeros((1, *ROWS)), np.eye(3, dtype=np.float32)[:1])
    assert [seen[1], seen[2], seen[20]] == pytest.approx(rates, abs=1e-6)


# --- segments -------------------------------------------------------------------------------------

FLOOR = -100.0
SEGMENT = (24, 16)
ON_SEGMENTS = networks.NetworkLearner(
    networks.builders.aesdd_cnn_1, replace(VECTOR, epochs=6), segment_floor=FLOOR
)


def in_segments(n: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return clips of 1 to 4 segments, each label with energy in bands of its own."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    counts = rng.integers(1, 5, size=n)
    X = rng.uniform(-60, -40, size=(n, 4, *SEGMENT)).astype(np.float32)
    for clip, label in enumerate(y):
        X[clip, :, :, 5 * label : 5 * label + 4] += 30
        X[clip, counts[clip] :] = FLOOR
    return X, y, counts


@pytest.fixture(scope="module")
def of_segments() -> networks.FittedNetwork:
    X, y, _ = in_segments(40)
    return replace(ON_SEGMENTS, members=2).fit(Examples([X], y, 3), groups=np.arange(40) // 2)


def test_examples_are_the_segments_that_are_there() -> None:
    X, y, counts = in_segments(20)
    clips = np.array([7, 3, 19])
    examples = networks.Examples([X], y[clips], 3, rows=clips, weights=np.array([1.0, 2.0, 3.0]))
    found, owner = learner.segments_of(examples, floor=FLOOR)
    assert owner.tolist() == np.repeat([0, 1, 2], counts[clips]).tolist()
    assert found.y.tolist() == y[clips][owner].tolist()
    assert found.weights.tolist() == (owner + 1).tolist()
    assert np.shares_memory(found.versions[0], X)
    np.testing.assert_array_equal(found.plain(), X[clips][(X[clips] > FLOOR).any(axis=(2, 3))])


@pytest.mark.parametrize(
    ("numbers", "matched"),
    [
        ((3, 4), [[0, 1, 2], [0, 2, 3]]),
        ((4, 2), [[0, 1, 2, 3], [0, 0, 1, 1]]),
        ((1, 3), [[0], [0]]),
        ((2, 1), [[0, 1], [0, 0]]),
    ],
)
def test_copies_with_other_numbers_of_segments_are_matched_by_place(numbers, matched) -> None:
    versions = [np.zeros((1, 4, 2, 2)) for _ in numbers]
    for X, number in zip(versions, numbers, strict=True):
        X[0, number:] = FLOOR
    found, _ = learner.segments_of(networks.Examples(versions, np.array([0]), 2), floor=FLOOR)
    assert found.rows.tolist() == matched


def test_no_absent_segment_is_ever_shown() -> None:
    X, y, counts = in_segments(40)
    slower = np.full_like(X, FLOOR)
    for clip, number in enumerate(counts):
        more = min(4, number + 1)
        slower[clip, :more] = X[clip, np.arange(more) % number] + 1
    shown = []

    def remember(X, T, *, rng):
        shown.append((X, T.argmax(axis=1)))
        return X, T

    selected = {"epochs": 1.0, "temperature": 1.0}
    replace(ON_SEGMENTS, augment=remember).fit(
        Examples([X, slower], y, 3), groups=np.arange(40), selected=selected
    )
    batch, labels = (np.concatenate(each) for each in zip(*shown, strict=True))
    assert len(batch) == counts.sum()
    assert batch.max(axis=(1, 2)).min() > FLOOR
    bands = batch.mean(axis=1)
    loudest = [bands[:, 5 * k : 5 * k + 4].mean(axis=1) for k in range(3)]
    np.testing.assert_array_equal(np.argmax(loudest, axis=0), labels)


def test_the_inner_split_keeps_the_segments_of_a_group(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y, counts = in_segments(40)
    groups = np.array([f"g{clip // 2}" for clip in range(40)])
    seen = {}
    inner_splits = splits.inner_splits

    def spy(y, groups, *, n_folds):
        seen["groups"], seen["splits"] = groups, inner_splits(y, groups, n_folds=n_folds)
        return seen["splits"]

    monkeypatch.setattr(splits, "inner_splits", spy)
    rows = np.arange(39, 9, -1)
    brief = replace(ON_SEGMENTS, training=replace(VECTOR, epochs=1))
    brief.fit(Examples([X], y[rows], 3, rows), groups=groups[rows])
    assert seen["groups"].tolist() == np.repeat(groups[rows], counts[rows]).tolist()
    for learn, check in seen["splits"]:
        assert not set(seen["groups"][learn]) & set(seen["groups"][check])


def test_a_clip_is_judged_by_the_mean_of_its_segments(of_segments: networks.FittedNetwork) -> None:
    X, y, counts = in_segments(30, seed=1)
    owner, judged = of_segments.predict_segments(X)
    assert owner.tolist() == np.repeat(np.arange(30), counts).tolist()
    clips = of_segments.predict_proba(X)
    by_hand = np.stack([judged[owner == clip].mean(axis=0) for clip in range(30)])
    np.testing.assert_allclose(clips, by_hand, atol=1e-12)
    assert (clips.argmax(axis=1) == y).mean() > 0.9  # chance is a third


# --- files ----------------------------------------------------------------------------------------


def agree(model: networks.FittedNetwork, X: np.ndarray, folder: Path) -> None:
    """Compare the ONNX and the Keras file with the model."""
    ours, contents = model.predict_proba(X), model.contents()
    session = bundles.session(contents[".onnx"])
    np.testing.assert_allclose(bundles.run(session, X), ours, atol=1e-5)
    np.testing.assert_allclose(bundles.run(session, X[3:4]), ours[3:4], atol=1e-5)
    (folder / "model.keras").write_bytes(contents[".keras"])
    load = networks.quiet_keras().saving.load_model
    loaded = load(folder / "model.keras", safe_mode=True, compile=False)
    np.testing.assert_allclose(loaded.predict_on_batch(X), ours, atol=1e-5)
    assert model.contents() == contents  # no date, no random name or order is in it


TWICE = """
import hashlib, sys
from pathlib import Path
from test_training import ON_SEGMENTS, in_segments
from sercourse.networks import Examples
X, y, _ = in_segments(12)
made = ON_SEGMENTS.fit(Examples([X], y, 3), groups=y, selected={"epochs": 1, "temperature": 1})
for suffix, content in made.contents().items():
    Path(sys.argv[1] + suffix).write_bytes(content)
"""


@pytest.mark.integration
def test_two_trainings_with_one_seed_give_the_same_bytes(tmp_path: Path) -> None:
    for seed in ("1", "2"):  # by which each process orders sets
        known = {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", TWICE, str(tmp_path / seed)]
        subprocess.run(command, env={**os.environ, **known}, check=True, capture_output=True)
    for suffix in (".onnx", ".keras"):
        one, other = ((tmp_path / f"{seed}{suffix}").read_bytes() for seed in "12")
        assert one == other
        assert len(one) > 1000


def test_files_of_an_average_agree(averaged: networks.FittedNetwork, tmp_path: Path) -> None:
    agree(averaged, tones(12, seed=3).versions[0], tmp_path)


def test_files_take_whole_clips(of_segments: networks.FittedNetwork, tmp_path: Path) -> None:
    agree(of_segments, in_segments(30, seed=2)[0], tmp_path)


def test_files_hold_the_scaling_and_the_heads(tmp_path: Path) -> None:
    agree(fitted(heads=(3, 2)), rows(10, seed=2)[0], tmp_path)


@pytest.mark.parametrize("name", ["mfcc-conv2d", "mfcc-net", "means-cnn", "means-lstm"])
def test_networks_export(name: str) -> None:
    chosen = recipe(name)
    shape = chosen.features.row_shape
    X = np.random.default_rng(0).normal(size=(8, *shape)).astype(np.float32)
    none = {"epochs": 0, "temperature": 1.0}
    whole = chosen.learner.fit(Examples([X], np.arange(8), 8), groups=X, selected=none)
    ours = bundles.run(bundles.session(whole.contents()[".onnx"]), X)
    np.testing.assert_allclose(ours, whole.predict_proba(X), atol=1e-4)


@pytest.mark.parametrize("unusual", [{}, {"loss": "ordinal"}, {"precision": "bfloat16"}])
def test_settings_are_told_where_they_are_unusual(unusual: dict) -> None:
    plain = networks.NetworkLearner(networks.builders.mlp, networks.Training(epochs=3))
    told = replace(plain, training=networks.Training(epochs=3, **unusual)).settings
    assert told["training"] == plain.settings["training"] | unusual
    assert plain.settings.keys() == {"network", "training", "augmentation", "members"}
    assert not {"loss", "precision"} & plain.settings["training"].keys()
    assert ON_SEGMENTS.settings["absent_segments"] == FLOOR
