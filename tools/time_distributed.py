"""Train the time-distributed network by its author's settings, and log each epoch.

    python tools/time_distributed.py CORPORA

It takes many hours on two cores; lesson 05c reads the logs in ``data/results/studies``.

Seven emotions of RAVDESS (without neutral), a random split of 80 to 20 over clips (or the folds of
speakers, with ``--protocol speaker``), each clip and two noisy copies of it in every epoch, SGD
with momentum 0.8, batches of 64, 100 epochs, no early stopping: as in "02 - Train [CNN-LSTM].ipynb"
of github.com/maelfabien/Multimodal-Emotion-Recognition. An interrupted training goes on from its
last epoch, and a finished one with more ``--epochs``. The log is
``time-distributed-replication.csv``.

With ``--plan first`` the same split is learnt as in our first training: batches of 16, one version
of each clip in an epoch, and a tenth of the training side as inner validation. It is not stopped:
the log, ``time-distributed-first.csv``, shows when a rule would have done so.

An epoch takes 100 seconds of processor time (177 in float32, with the fused operations alone):
convolutions compute in bfloat16 and have no biases, which batch normalisation would subtract again,
and ELU follows pooling, which gives the same numbers, as it never changes their order.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from sercourse import corpora, features, files, splits
from sercourse.augment import Augmentation
from sercourse.networks import training

LOGS = Path(__file__).parents[1] / "data" / "results" / "studies"
EPOCHS, BATCH_SIZE, COPIES = 100, 64, 2
COLUMNS = {
    "accuracy": "train_accuracy",
    "loss": "train_loss",
    "val_loss": "test_loss",
    "val_accuracy": "test_accuracy",
}
"""Of the log, by Keras' names."""


def examples(root: Path) -> tuple[pd.DataFrame, list[np.ndarray]]:
    """Return all clips but the neutral ones, and their windows as recorded and in noise."""
    clips = corpora.scan(root, corpus="ravdess").clips
    clips = clips[clips["emotion"] != "neutral"].reset_index(drop=True)
    windows = features.named("time-windows")
    noise = [(Augmentation("gaussian", 15, 30, draw=draw),) for draw in range(1, COPIES + 1)]
    tables = [
        features.feature_table(clips, feature_set=features.augmented(windows, *changes))
        for changes in [(), *noise]
    ]
    assert all(len(table.clip_id) == len(clips) for table in tables)
    return clips, [table.X for table in tables]


def network(shape: tuple[int, ...], n_labels: int) -> Any:
    """Return `builders.cnn_lstm_classic` in the form that computes fastest."""
    import keras
    from keras import layers

    inputs = keras.Input(shape)
    x = keras.ops.reshape(inputs, (-1, *shape[1:], 1))
    for filters, pool in ((64, 2), (64, 4), (128, 4), (128, 4)):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False, dtype="mixed_bfloat16")(x)
        x = layers.BatchNormalization(dtype="mixed_bfloat16")(x)
        x = layers.MaxPooling2D(pool, padding="same", dtype="mixed_bfloat16")(x)
        x = layers.Activation("elu", dtype="mixed_bfloat16")(x)
        x = layers.Dropout(0.2, dtype="mixed_bfloat16")(x)
    x = keras.ops.reshape(layers.Flatten()(x), (-1, shape[0], filters))
    x = layers.LSTM(256, dropout=0.2, use_cudnn=False)(x)
    return keras.Model(inputs, layers.Dense(n_labels)(x))


def train(
    versions: list[np.ndarray],
    y: np.ndarray,
    fold: splits.Fold,
    *,
    name: str,
    epochs: int,
    log: Path,
) -> None:
    """Train for so many epochs, or those that are still missing, and append a line for each."""
    import keras

    keras.utils.set_random_seed(0)
    model = network(versions[0].shape[1:], int(y.max()) + 1)
    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.8),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )

    def write(epoch: int, logs: dict[str, float]) -> None:
        row = {"split": name, "epoch": epoch + 1}
        row |= {column: round(logs[of_keras], 4) for of_keras, column in COLUMNS.items()}
        pd.DataFrame([row]).to_csv(log, mode="a", header=not log.exists(), index=False)

    with training.fused_ops():
        model.fit(
            np.concatenate([X[fold.train] for X in versions]),
            np.tile(y[fold.train], len(versions)),
            validation_data=(versions[0][fold.test], y[fold.test]),
            epochs=epochs,
            batch_size=BATCH_SIZE,
            callbacks=[
                keras.callbacks.LambdaCallback(on_epoch_end=write),
                keras.callbacks.BackupAndRestore(
                    files.cache_dir() / "time-distributed" / name, delete_checkpoint=False
                ),
            ],
            verbose=2,
        )


def train_first(
    versions: list[np.ndarray],
    y: np.ndarray,
    groups: np.ndarray,
    fold: splits.Fold,
    *,
    epochs: int,
    log: Path,
) -> None:
    """Train as our first training did, watch the test side, and write the log at the end."""
    training.set_seed(0)
    everything = training.Examples(versions, y, int(y.max()) + 1)
    learn, validation = splits.inner_splits(y[fold.train], groups[fold.train], n_folds=10)[0]
    progress = training.train(
        network(versions[0].shape[1:], everything.n_labels),
        everything.of(fold.train[learn]),
        training=training.Training(
            epochs=epochs, batch_size=16, optimizer="sgd", learning_rate=0.01
        ),
        validation=everything.of(fold.train[validation]),
        watched=everything.of(fold.test),
        folder=files.cache_dir() / "time-distributed" / "first",
        report=print,
    )
    history = pd.DataFrame(progress.history).rename(columns=lambda c: c.replace("watched", "test"))
    history.index = pd.RangeIndex(1, len(history) + 1, name="epoch")
    with files.atomic_path(log) as whole:
        history.rename(columns={"loss": "train_loss"}).round(4).to_csv(whole)


def main() -> None:
    """Train on one random split, or on the folds of speakers."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("corpora", type=Path, help="folder that holds ravdess/")
    parser.add_argument("--plan", choices=("author", "first"), default="author")
    parser.add_argument("--protocol", choices=("random", "speaker"), default="random")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--log", type=Path)
    arguments = parser.parse_args()
    name = "first" if arguments.plan == "first" else "replication"
    log = arguments.log or LOGS / f"time-distributed-{name}.csv"
    clips, versions = examples(arguments.corpora / "ravdess")
    emotions = clips["emotion"].to_numpy(str)
    y = np.unique(emotions, return_inverse=True)[1]
    groups = clips["group"].to_numpy(str)
    if arguments.protocol == "random":
        sides = train_test_split(np.arange(len(y)), test_size=0.2, random_state=0, stratify=y)
        folds = [splits.Fold("seed 0", *sides)]
    else:
        speakers = clips["speaker"].to_numpy(str)
        folds = splits.make_folds(
            "speaker", y=emotions, speakers=speakers, groups=groups, corpus="ravdess"
        )
    if arguments.plan == "first":
        train_first(versions, y, groups, folds[0], epochs=arguments.epochs, log=log)
        return
    nothing = pd.DataFrame(columns=["split", "epoch"])
    done = pd.read_csv(log, comment="#") if log.exists() else nothing
    for fold in folds:
        name = f"{arguments.protocol} {fold.name}"
        if len(set(done.loc[done["split"] == name, "epoch"])) < arguments.epochs:
            train(versions, y, fold, name=name, epochs=arguments.epochs, log=log)


if __name__ == "__main__":
    main()
