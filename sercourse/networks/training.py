"""Training a network: seeded, resumable, calibrated on speakers that it has not heard.

A finished epoch is written to a checkpoint, from which a training that was cut goes on, and comes
to the very same weights. The loop speaks to Keras alone, so it runs on each of its backends.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import threadpoolctl
from numpy.typing import NDArray

from sercourse import files
from sercourse.networks.backend import quiet_keras
from sercourse.networks.fused import fused

if TYPE_CHECKING:
    import keras

Array = NDArray[np.floating]
Codes = NDArray[np.intp]
Report = Callable[[str], None]
Build = Callable[..., "keras.Model"]

CHECKPOINT = "checkpoint.npz"
REPORTS = 8  # lines of progress in one training
INFERENCE_BATCH = 64
SMALLEST_PROBABILITY = 1e-7


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
        Cross-entropy of the labels, which may be of any kind; or of each label for itself, as a
        question of yes or no, with the same softmax; or the squared distance between a label's
        place, 0, 1, 2, ..., and the place that the probabilities expect: regression on labels in
        order.
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
        known = asdict(self)
        for name, usual in (("loss", "categorical"), ("precision", "float32")):
            if known[name] == usual:
                del known[name]  # results from before there was a choice are stored without
        return known


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

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return tuple(self.versions[0].shape[1:])

    def of(self, clips: NDArray[Any]) -> Examples:
        """Return the examples of some clips (positions)."""
        weights = None if self.weights is None else self.weights[clips]
        return replace(self, y=self.y[clips], rows=self._rows(clips), weights=weights)

    def drawn(self, clips: NDArray[Any], version: NDArray[Any]) -> NDArray[np.float32]:
        """Return clips (positions), each in the version that was drawn for it."""
        rows = self._rows(clips)
        if rows.ndim == 2:
            rows = rows[version, np.arange(len(clips))]
        drawn = [self.versions[v][row] for row, v in zip(rows, version, strict=True)]
        return np.stack(drawn).astype(np.float32, copy=False)

    def plain(self) -> Array:
        """Return the clips as they are: their first version."""
        if self.rows is None:
            return self.versions[0]
        return self.versions[0][self.rows if self.rows.ndim == 1 else self.rows[0]]

    def _rows(self, clips: NDArray[Any]) -> NDArray[Any]:
        return clips if self.rows is None else self.rows[..., clips]


@dataclass
class Progress:
    """How far a training has come.

    Attributes
    ----------
    epoch : int
        Finished epochs.
    history : list of dict
        For each epoch: `loss`, `validation_loss`, `validation_accuracy`, and the like of `watched`.
    best : int
        Epoch with the lowest validation loss, from 1; 0 before there is one.
    kept : list of ndarray
        The best epoch's weights, or the sum of those that are averaged.
    """

    epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    best: int = 0
    kept: list[Array] = field(default_factory=list)


def train(
    model: keras.Model,
    examples: Examples,
    *,
    training: Training,
    validation: Examples | None = None,
    watched: Examples | None = None,
    augment: Callable[..., tuple[Array, Array]] | None = None,
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
        If there are fewer clips than one batch needs, or early stopping has nothing to look at.
    """
    if training.patience and validation is None:
        raise ValueError("early stopping needs validation clips: give some, or set no patience")
    if len(examples.y) < 2:
        raise ValueError(f"{len(examples.y)} clips are too few to train a network: give more")
    compile_model(model, training=training, n_clips=len(examples.y))
    progress = _resume(model, folder)
    if progress.epoch:
        report(f"going on after epoch {progress.epoch}")
    while not _finished(progress, training):
        # Augmentation has small products: more threads wait for each other on busy cores.
        with threadpoolctl.threadpool_limits(1, user_api="blas"), fused(model):
            loss = _run_epoch(
                model, examples, training=training, epoch=progress.epoch, augment=augment
            )
        progress.epoch += 1
        entry = {"loss": round(loss, 5)}
        for name, seen in (("validation", validation), ("watched", watched)):
            entry |= _scores(model, seen, name=name, loss=training.loss) if seen else {}
        progress.history.append(entry)
        _keep(progress, model, training=training)
        _save_checkpoint(model, progress, folder)
        if progress.epoch % max(1, training.epochs // REPORTS) == 0:
            report(_line(progress, training))
    _take_kept(model, progress, training)
    return progress


def compile_model(model: keras.Model, *, training: Training, n_clips: int) -> None:
    """Give a model its optimizer and its loss."""
    keras = quiet_keras()
    if training.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(training.learning_rate, momentum=0.8)
    elif training.optimizer == "adam":
        optimizer = keras.optimizers.Adam(training.learning_rate)
    else:
        steps = training.epochs * _n_batches(n_clips, training.batch_size)
        warm_up = max(1, steps // 10)
        rate = keras.optimizers.schedules.CosineDecay(
            0.0,
            decay_steps=max(1, steps - warm_up),
            warmup_target=training.learning_rate,
            warmup_steps=warm_up,
        )
        optimizer = keras.optimizers.AdamW(
            rate, weight_decay=training.weight_decay, global_clipnorm=2.0
        )
    losses = {
        "categorical": keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=training.label_smoothing
        ),
        "binary": _binary_cross_entropy,
        "ordinal": _squared_distance,
    }
    if training.loss not in losses:
        raise ValueError(f"unknown loss {training.loss!r}: use one of {', '.join(losses)}")
    model.compile(optimizer=optimizer, loss=losses[training.loss])
    optimizer.build(model.trainable_variables)


def _binary_cross_entropy(targets: Any, scores: Any) -> Any:
    """Return the mean cross-entropy of the labels, each a yes or no (Keras tensors).

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
    """Return what a model says of inputs, (n, n_labels), a batch at a time."""
    parts = [
        np.asarray(model.predict_on_batch(X[start : start + INFERENCE_BATCH].astype(np.float32)))
        for start in range(0, len(X), INFERENCE_BATCH)
    ]
    return np.concatenate(parts).astype(np.float64)


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
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(
        lambda log_t: cross_entropy(scores / np.exp(log_t), y, weights=weights),
        bounds=(-2.3, 2.3),
        method="bounded",
    )
    return float(np.exp(found.x))


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


def _n_batches(n_clips: int, batch_size: int) -> int:
    return max(1, round(n_clips / batch_size))


def _run_epoch(
    model: keras.Model,
    examples: Examples,
    *,
    training: Training,
    epoch: int,
    augment: Callable[..., tuple[Array, Array]] | None,
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
    total = 0.0
    for clips in np.array_split(rng.permutation(n), _n_batches(n, training.batch_size)):
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


def _scores(model: keras.Model, examples: Examples, *, name: str, loss: str) -> dict[str, float]:
    """Return loss and accuracy on clips that are not trained on."""
    scores = logits(model, examples.plain())
    if loss == "ordinal":
        expected = softmax(scores) @ np.arange(scores.shape[1])
        answers, mean = np.rint(expected), float(np.mean((expected - examples.y) ** 2))
    else:
        answers = scores.argmax(1)
        mean = cross_entropy(scores, examples.y, weights=examples.weights)
    return {
        f"{name}_loss": round(mean, 5),
        f"{name}_accuracy": round(float(np.mean(answers == examples.y)), 5),
    }


def _keep(progress: Progress, model: keras.Model, *, training: Training) -> None:
    """Keep an epoch's weights if it is the best so far, or one of the last, to be averaged."""
    if training.patience:
        losses = [each["validation_loss"] for each in progress.history]
        if losses[-1] == min(losses):
            progress.best, progress.kept = progress.epoch, _weights(model)
    elif progress.epoch > training.epochs - _n_averaged(training):
        own = _weights(model)
        progress.kept = (
            [a + b for a, b in zip(progress.kept, own, strict=True)] if progress.kept else own
        )


def _n_averaged(training: Training) -> int:
    return round(training.averaged * training.epochs)


def _finished(progress: Progress, training: Training) -> bool:
    waited = progress.epoch - progress.best if training.patience else 0
    return progress.epoch >= training.epochs or bool(
        training.patience and waited >= training.patience
    )


def _take_kept(model: keras.Model, progress: Progress, training: Training) -> None:
    """Put the best epoch's weights, or the average of the last, into the model."""
    if not progress.kept:
        return
    divisor = 1 if training.patience else _n_averaged(training)
    model.set_weights([each / divisor for each in progress.kept])


def _weights(model: keras.Model) -> list[Array]:
    return [np.asarray(each) for each in model.get_weights()]


def _line(progress: Progress, training: Training) -> str:
    last = progress.history[-1]
    line = f"epoch {progress.epoch} of {training.epochs}: loss {last['loss']:.3f}"
    if "validation_accuracy" in last:
        line += f", validation accuracy {last['validation_accuracy']:.1%}"
    return line


def _state(model: keras.Model) -> list[Any]:
    """Return every variable that the next step depends on."""
    return [*model.variables, *model.optimizer.variables]


def _save_checkpoint(model: keras.Model, progress: Progress, folder: Path | None) -> None:
    if folder is None:
        return
    keras = quiet_keras()
    numbers = {
        f"state_{i}": keras.ops.convert_to_numpy(variable)
        for i, variable in enumerate(_state(model))
    }
    numbers |= {f"kept_{i}": each for i, each in enumerate(progress.kept)}
    told = {"epoch": progress.epoch, "history": progress.history, "best": progress.best}
    with (
        files.keeping(folder),
        files.atomic_path(folder / CHECKPOINT) as temporary,
        temporary.open("wb") as stream,
    ):
        # Given a name, np.savez would add a suffix to it.
        np.savez(stream, progress=np.array(json.dumps(told)), **numbers)


def _resume(model: keras.Model, folder: Path | None) -> Progress:
    """Return where an earlier training stopped; a damaged checkpoint counts as none."""
    if folder is None or not (folder / CHECKPOINT).is_file():
        return Progress()
    try:
        with np.load(folder / CHECKPOINT, allow_pickle=False) as stored:
            told = json.loads(str(stored["progress"]))
            state = [stored[f"state_{i}"] for i in range(len(_state(model)))]
            n_kept = sum(name.startswith("kept_") for name in stored.files)
            kept = [stored[f"kept_{i}"] for i in range(n_kept)]
        for variable, value in zip(_state(model), state, strict=True):
            variable.assign(value)
        return replace(Progress(**told), kept=kept)
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile):
        return Progress()
