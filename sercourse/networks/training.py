"""Training a network: seeded, resumable, calibrated on speakers that it has not heard.

A finished epoch is written to a checkpoint, from which a training that was cut goes on, and comes
to the very same weights. That is why the loop is not `keras.Model.fit`: Keras's `BackupAndRestore`
restores weights and optimizer, but neither what `EarlyStopping` has seen nor the history nor the
sum of averaged weights. `fit` is no faster. The loop runs on each of Keras's backends.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np
import threadpoolctl
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from sercourse import files

if TYPE_CHECKING:
    import keras

Array = NDArray[np.floating]
Codes = NDArray[np.intp]
Report = Callable[[str], None]
Build = Callable[..., "keras.Model"]
Augment = Callable[..., tuple[Array, Array]]
Figure = Annotated[float, msgspec.Meta(ge=0, le=1e9)]

CHECKPOINT = "checkpoint.npz"
REPORTS = 8  # lines of progress in one training
INFERENCE_BATCH = 64
SMALLEST_PROBABILITY = 1e-7


# --- Keras: imported on demand, seeded, and with faster training operations ---------------------


def quiet_keras() -> ModuleType:
    """Import Keras, on the backend that `KERAS_BACKEND` or Keras's settings name.

    The first import takes seconds. TensorFlow's log lines are switched off.

    Raises
    ------
    ModuleNotFoundError
        If Keras or the backend is not installed; the sentence says what to install.

    Examples
    --------
    >>> keras = quiet_keras()
    >>> float(keras.ops.sum([1.0, 2.0]))
    3.0
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    stderr = os.dup(2)
    with Path(os.devnull).open("wb") as nowhere:  # TensorFlow prints before it reads its log level
        os.dup2(nowhere.fileno(), 2)
    try:
        import keras
    except ModuleNotFoundError as error:
        missing = str(error.name).partition(".")[0]
        raise ModuleNotFoundError(
            f"a network needs {missing}, which is not installed: install Keras and TensorFlow "
            "with pip install -e '.[networks]'",
            name=missing,
        ) from None
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
    # It warns of retracing once a session has built several networks, which is what lessons do.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    return keras


def set_seed(seed: int) -> None:
    """Seed Python, NumPy and the backend: initial weights, dropout.

    Examples
    --------
    >>> set_seed(0)
    >>> first = float(quiet_keras().random.uniform([]))
    >>> set_seed(0)
    >>> first == float(quiet_keras().random.uniform([]))
    True
    """
    quiet_keras().utils.set_random_seed(seed)


@contextlib.contextmanager
def fused_ops() -> Iterator[None]:
    """Let TensorFlow compute 2-D convolutions and batch normalisation in fewer passes over memory.

    Keras writes batch normalisation as some ten operations, TensorFlow has one; and oneDNN is slow
    at the gradient of a convolution's bias. On a CPU the training steps of `cnn_lstm_classic` take
    half of the time, those of `cnn_lstm` three quarters; results differ by rounding. It acts on
    training steps that are traced meanwhile; on convolutions in float32 alone.
    """
    keras = quiet_keras()
    if keras.backend.backend() != "tensorflow":
        yield
        return
    import tensorflow as tf

    batch_norm, conv2d = keras.layers.BatchNormalization, keras.layers.Conv2D
    keras_normalize, keras_convolve = batch_norm.call, conv2d.call

    def normalize(layer: Any, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        plain = layer.trainable and layer.scale and layer.center and len(inputs.shape) == 4
        if not training or not plain:
            return keras_normalize(layer, inputs, training=training, mask=mask)
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, layer.gamma.value, layer.beta.value, epsilon=layer.epsilon
        )
        n = tf.cast(tf.size(inputs) // inputs.shape[-1], variance.dtype)
        variance *= (n - 1) / n  # TensorFlow gives the unbiased one, Keras keeps the other
        for average, new in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
            average.assign(average * layer.momentum + new * (1 - layer.momentum))
        return outputs

    def convolve(layer: Any, inputs: Any) -> Any:
        if not layer.use_bias or layer.compute_dtype != "float32":
            return keras_convolve(layer, inputs)
        bias = tf.reshape(layer.bias.value, (1, 1, 1, -1))  # added by broadcasting, not `BiasAdd`
        return layer.activation(layer.convolution_op(inputs, layer.kernel) + bias)

    batch_norm.call, conv2d.call = normalize, convolve
    try:
        yield
    finally:
        batch_norm.call, conv2d.call = keras_normalize, keras_convolve


# --- training -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Training:
    """How a network is trained.

    Attributes
    ----------
    epochs : int
        Each shows every clip once, in one of its versions.
    batch_size : int
    optimizer : {"adamw", "adam", "sgd"}
    learning_rate : float
        The highest; it rises over the first tenth of the steps and falls along a cosine. The
        optimizers ``adam`` and ``sgd``, which has a momentum of 0.8, keep it constant.
    weight_decay : float
        Of ``adamw``.
    label_smoothing : float
        Share of the target that is spread over all emotions.
    averaged : float
        Share of the epochs, at the end, whose weights are averaged; 0 for none.
    patience : int or None
        Stop after so many epochs without a lower validation loss, and take the best epoch.
    seed : int
    loss : {"categorical", "binary", "ordinal"}
        Cross-entropy of the softmax; binary cross-entropy of each of its probabilities; or the
        squared distance between a label's place, 0, 1, 2, ..., and the place that the
        probabilities expect: regression on labels in order.
    precision : {"float32", "bfloat16"}
        In which the products of training are computed. The shorter numbers take half the time on
        GPUs and on processors with AVX512-BF16, and more on all others. Weights, validation after
        training, and whatever is stored, are in float32.
    """

    epochs: int
    batch_size: int = 32
    optimizer: str = "adamw"
    learning_rate: float = 2e-3
    weight_decay: float = 1e-3
    label_smoothing: float = 0.0
    averaged: float = 0.0
    patience: int | None = None
    seed: int = 0
    loss: str = "categorical"
    precision: str = "float32"

    @property
    def settings(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        # Results from before there was a choice of loss and precision are stored without.
        later = {("loss", "categorical"), ("precision", "float32")}
        return {name: value for name, value in vars(self).items() if (name, value) not in later}


@dataclass(frozen=True, eq=False)
class Examples:
    """What a network learns from, or is validated on.

    Attributes
    ----------
    versions : sequence of ndarray, shape (n_rows, ...) each
        Clips, and copies of them; each epoch draws one version of each clip.
    y : ndarray of int, shape (n_clips,)
        Place of the emotion among the labels.
    n_labels : int
    rows : ndarray of int, shape (n_clips,) or (n_versions, n_clips), optional
        Where the clips are in `versions`, or in each of them; by default they are all of it. Tables
        are large: what is chosen among their rows is not copied.
    weights : ndarray of float, shape (n_clips,), optional
        How much each clip counts; all the same by default.
    """

    versions: Sequence[Array]
    y: Codes
    n_labels: int
    rows: Codes | None = None
    weights: Array | None = None

    def of(self, clips: NDArray[Any]) -> Examples:
        """Return the examples of some clips (positions)."""
        weights = None if self.weights is None else self.weights[clips]
        return replace(self, y=self.y[clips], rows=self._all_rows()[:, clips], weights=weights)

    def drawn(self, clips: NDArray[Any], version: NDArray[Any]) -> NDArray[np.float32]:
        """Return clips (positions), each in the version that was drawn for it."""
        rows = self._all_rows()[version, clips]
        drawn = [self.versions[v][row] for row, v in zip(rows, version, strict=True)]
        return np.stack(drawn).astype(np.float32, copy=False)

    def plain(self) -> Array:
        """Return the clips as they are: their first version."""
        return self.versions[0][self._all_rows()[0]]

    def _all_rows(self) -> NDArray[Any]:
        rows = np.arange(len(self.y)) if self.rows is None else self.rows
        return np.broadcast_to(rows, (len(self.versions), len(self.y)))


@dataclass
class Progress:
    """How far a training has come.

    Attributes
    ----------
    history : list of dict
        For each epoch: `loss`, `validation_loss`, `validation_accuracy`, and the like of `watched`.
    best : int
        Epoch with the lowest validation loss, from 1; 0 before there is one.
    kept : list of ndarray
        The best epoch's weights, or the sum of those that are averaged.
    """

    history: list[dict[str, float]] = field(default_factory=list)
    best: int = 0
    kept: list[Array] = field(default_factory=list)

    @property
    def epoch(self) -> int:
        """Finished epochs."""
        return len(self.history)


def train(
    model: keras.Model,
    examples: Examples,
    *,
    training: Training,
    validation: Examples | None = None,
    watched: Examples | None = None,
    augment: Augment | None = None,
    folder: Path | None = None,
    report: Report = lambda line: None,
) -> Progress:
    """Train a model, in place.

    Parameters
    ----------
    model : keras.Model
        Unfitted; it returns logits, shape (n, n_labels).
    examples : Examples
    training : Training
    validation : Examples, optional
        Clips of speakers that are not in `examples`; their curve is kept, and early stopping
        looks at it. Only their first version counts.
    watched : Examples, optional
        Clips whose curve is kept too and decides nothing: to show what it would have promised.
    augment : callable, optional
        ``augment(X, T, rng=rng)`` returns other inputs (n, ...) and targets (n, n_labels).
    folder : Path, optional
        Where the checkpoint of each epoch is kept, and looked for.
    report : callable
        Gets a line now and then.

    Returns
    -------
    Progress
        With the history; a finished checkpoint is returned as it is.

    Raises
    ------
    ValueError
        If early stopping has nothing to look at.
    """
    patience = training.patience
    if patience and validation is None:
        raise ValueError("early stopping needs validation clips: give some, or set no patience")
    compile_model(model, training=training, n_clips=len(examples.y))
    progress = _resume(model, folder, training)
    if progress.epoch:
        report(f"going on after epoch {progress.epoch}")
    n_averaged = round(training.averaged * training.epochs)
    while progress.epoch < training.epochs and not (
        patience and progress.epoch - progress.best >= patience
    ):
        # Augmentation has small products: more threads wait for each other on busy cores.
        with threadpoolctl.threadpool_limits(1, user_api="blas"), fused_ops():
            loss = _run_epoch(model, examples, training, progress.epoch, augment)
        entry = {"loss": round(loss, 5)}
        for name, seen in (("validation", validation), ("watched", watched)):
            told = _scores(model, seen, loss=training.loss) if seen else {}
            entry |= {f"{name}_{key}": round(value, 5) for key, value in told.items()}
        progress.history.append(entry)
        if patience:
            if entry["validation_loss"] == min(e["validation_loss"] for e in progress.history):
                progress.best, progress.kept = progress.epoch, model.get_weights()
        elif progress.epoch > training.epochs - n_averaged:
            own, sums = model.get_weights(), progress.kept
            progress.kept = [a + b for a, b in zip(sums, own, strict=True)] if sums else own
        if folder is not None:
            _save_checkpoint(model, progress, folder)
        if progress.epoch % max(1, training.epochs // REPORTS) == 0:
            said = ", ".join(f"{name.replace('_', ' ')} {x:.3f}" for name, x in entry.items())
            report(f"epoch {progress.epoch} of {training.epochs}: {said}")
    if progress.kept:
        model.set_weights([each / (1 if patience else n_averaged) for each in progress.kept])
    return progress


def compile_model(model: keras.Model, *, training: Training, n_clips: int) -> None:
    """Give a model its optimizer and its loss."""
    keras: Any = quiet_keras()
    if training.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(training.learning_rate, momentum=0.8)
    elif training.optimizer == "adam":
        optimizer = keras.optimizers.Adam(training.learning_rate)
    else:
        steps = training.epochs * max(1, round(n_clips / training.batch_size))
        warm_up = max(1, steps // 10)
        warming = {"warmup_target": training.learning_rate, "warmup_steps": warm_up}
        rate = keras.optimizers.schedules.CosineDecay(0.0, max(1, steps - warm_up), **warming)
        decay = training.weight_decay
        optimizer = keras.optimizers.AdamW(rate, weight_decay=decay, global_clipnorm=2.0)
    plain = keras.losses.CategoricalCrossentropy(True, label_smoothing=training.label_smoothing)
    losses = {"binary": _binary_cross_entropy, "ordinal": _squared_distance}
    model.compile(optimizer=optimizer, loss=losses.get(training.loss, plain))
    optimizer.build(model.trainable_variables)


def _binary_cross_entropy(targets: Any, scores: Any) -> Any:
    """Return the mean binary cross-entropy of a softmax's probabilities (Keras tensors).

    Keras's own function takes the logits of a softmax for those of a sigmoid, on TensorFlow.
    """
    ops: Any = quiet_keras().ops
    p = ops.clip(ops.softmax(scores), SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    return -ops.mean(targets * ops.log(p) + (1 - targets) * ops.log(1 - p), axis=-1)


def _squared_distance(targets: Any, scores: Any) -> Any:
    """Return the squared distance of each target's place from the expected one (Keras tensors)."""
    ops: Any = quiet_keras().ops
    places = ops.arange(scores.shape[-1], dtype=scores.dtype)
    expected = ops.sum(ops.softmax(scores) * places, axis=-1)
    return ops.square(expected - ops.sum(targets * places, axis=-1))


def logits(model: keras.Model, X: Array) -> NDArray[np.float64]:
    """Return a model's logits of inputs, (n, n_labels), a batch at a time."""
    found = model.predict(X.astype(np.float32, copy=False), batch_size=INFERENCE_BATCH, verbose=0)
    return np.asarray(found, dtype=np.float64)


def softmax(scores: Array) -> NDArray[np.float64]:
    """Return probabilities of logits, along the last axis."""
    scaled = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return scaled / scaled.sum(axis=-1, keepdims=True)


def cross_entropy(scores: Array, y: Codes, *, weights: Array | None = None) -> float:
    """Return the mean negative log likelihood of the labels."""
    losses = -np.log(softmax(scores)[np.arange(len(y)), y] + 1e-12)
    return float(np.average(losses, weights=weights))


def temperature(scores: Array, y: Codes, *, weights: Array | None = None) -> float:
    """Return the number that logits are divided by to give calibrated probabilities.

    Parameters
    ----------
    scores : ndarray, shape (n, n_labels)
        Logits of clips that the network was not trained on.
    y : ndarray of int, shape (n,)
    weights : ndarray of float, shape (n,), optional
        How much each clip counts.

    References
    ----------
    Guo et al., "On calibration of modern neural networks", 2017, arXiv:1706.04599.

    Examples
    --------
    >>> sure = np.array([[9.0, 0.0], [9.0, 0.0], [9.0, 0.0], [0.0, 9.0]])
    >>> temperature(sure, np.array([0, 0, 1, 1])) > 5
    True
    """

    def loss(log_t: float) -> float:
        return cross_entropy(scores / np.exp(log_t), y, weights=weights)

    return float(np.exp(minimize_scalar(loss, bounds=(-2.3, 2.3), method="bounded").x))


def class_weights(y: Codes, *, n_labels: int, weights: Array | None = None) -> NDArray[np.float32]:
    """Return a weight for each label, so that rare ones count as much in all.

    Over the clips, which may have `weights` themselves, its mean is 1.

    Examples
    --------
    >>> class_weights(np.array([0, 0, 0, 1]), n_labels=2)
    array([0.6666667, 2.       ], dtype=float32)
    """
    counts = np.bincount(y, weights=weights, minlength=n_labels)
    present = np.count_nonzero(counts)
    return (counts.sum() / (present * np.where(counts, counts, 1))).astype(np.float32)


def _run_epoch(
    model: keras.Model, examples: Examples, training: Training, epoch: int, augment: Augment | None
) -> float:
    """Show every clip once; return the mean loss.

    The random numbers follow from the seed and the epoch alone, so that a training that was cut
    goes on as if nothing had happened.
    """
    rng = np.random.default_rng([training.seed, epoch])
    n, k = len(examples.y), examples.n_labels
    version = rng.integers(len(examples.versions), size=n)
    weights = class_weights(examples.y, n_labels=k, weights=examples.weights)
    model.reset_metrics()
    total, n_batches = 0.0, max(1, round(n / training.batch_size))
    for clips in np.array_split(rng.permutation(n), n_batches):
        X = examples.drawn(clips, version[clips])
        T = np.eye(k, dtype=np.float32)[examples.y[clips]]
        if examples.weights is not None:  # one more column: where clips are mixed, these are too
            T = np.column_stack([T, examples.weights[clips].astype(np.float32)])
        if augment is not None:
            X, T = augment(X, T, rng=rng)
        counts = T[:, :k] @ weights * T[:, k:].prod(axis=1)
        # Keras returns the loss of this batch alone.
        total += len(clips) * float(model.train_on_batch(X, T[:, :k], sample_weight=counts))
    return total / n


def _scores(model: keras.Model, examples: Examples, *, loss: str) -> dict[str, float]:
    """Return loss and accuracy on clips that are not trained on."""
    scores = logits(model, examples.plain())
    answers, mean = scores.argmax(1), cross_entropy(scores, examples.y, weights=examples.weights)
    if loss == "ordinal":
        expected = softmax(scores) @ np.arange(scores.shape[1])
        answers, mean = np.rint(expected), float(np.mean((expected - examples.y) ** 2))
    return {"loss": mean, "accuracy": float(np.mean(answers == examples.y))}


def _state(model: keras.Model) -> list[Any]:
    """Return every variable that the next step depends on."""
    return [*model.variables, *model.optimizer.variables]


def _save_checkpoint(model: keras.Model, progress: Progress, folder: Path) -> None:
    told = json.dumps({"history": progress.history, "best": progress.best})
    arrays = [variable.numpy() for variable in _state(model)] + progress.kept
    with files.keeping(folder), files.atomic_path(folder / CHECKPOINT) as temporary:
        np.savez(temporary, *arrays, told=np.array(told))


def _resume(model: keras.Model, folder: Path | None, training: Training) -> Progress:
    """Return where such a training stopped; a checkpoint that is damaged, or of none, is none."""
    if folder is not None:
        files.sweep(folder)
    if folder is None or not (folder / CHECKPOINT).is_file():
        return Progress()
    state = _state(model)
    try:
        with np.load(folder / CHECKPOINT, allow_pickle=False) as stored:  # has checksums
            told = json.loads(str(stored["told"]))
            arrays = [stored[name] for name in stored.files if name != "told"]
        progress = Progress(told["history"], told["best"], kept=arrays[len(state) :])
        msgspec.convert([progress.history, progress.best], tuple[list[dict[str, Figure]], int])
        losses = [e["validation_loss"] for e in progress.history] if training.patience else []
        best = len(losses) - losses[::-1].index(min(losses)) if losses else 0
        averages = progress.epoch > training.epochs - round(training.averaged * training.epochs)
        known = [*state, *(model.weights if losses or averages else [])]
        if not (
            [each.shape for each in arrays] == [tuple(each.shape) for each in known]
            and all(np.isfinite(each).all() for each in arrays)
            and all("loss" in entry for entry in progress.history)
            and 0 < progress.epoch <= training.epochs
            and progress.best == best
        ):
            return Progress()
    except Exception:  # a damaged archive fails in many ways
        return Progress()
    for variable, value in zip(state, arrays[: len(state)], strict=True):
        variable.assign(value)
    return progress
