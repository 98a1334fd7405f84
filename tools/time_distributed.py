"""Train the time-distributed network by its author's settings, and log each epoch.

    python tools/time_distributed.py CORPORA

Seven emotions of RAVDESS (without neutral), a random split of 80 to 20 over clips (or the folds of
speakers, with ``--protocol speaker``), each clip and two noisy copies of it in every epoch, SGD
with momentum 0.8, batches of 64, 100 epochs, no early stopping: as in "02 - Train [CNN-LSTM].ipynb"
of github.com/maelfabien/Multimodal-Emotion-Recognition. An interrupted training goes on from its
last epoch, and a finished one with more ``--epochs``. The log goes to
``data/results/studies/time-distributed-replication.csv``, which lesson 05 reads.

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

LOG = (
    Path(__file__).parents[1] / "data" / "results" / "studies" / "time-distributed-replication.csv"
)
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


def main() -> None:
    """Train on one random split, or on the folds of speakers."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("corpora", type=Path, help="folder that holds ravdess/")
    parser.add_argument("--protocol", choices=("random", "speaker"), default="random")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--log", type=Path, default=LOG)
    arguments = parser.parse_args()
    clips, versions = examples(arguments.corpora / "ravdess")
    emotions = clips["emotion"].to_numpy(str)
    y = np.unique(emotions, return_inverse=True)[1]
    if arguments.protocol == "random":
        sides = train_test_split(np.arange(len(y)), test_size=0.2, random_state=0, stratify=y)
        folds = [splits.Fold("seed 0", *sides)]
    else:
        speakers = clips["speaker"].to_numpy(str)
        groups = clips["group"].to_numpy(str)
        folds = splits.make_folds(
            "speaker", y=emotions, speakers=speakers, groups=groups, corpus="ravdess"
        )
    done = (
        pd.read_csv(arguments.log, comment="#")
        if arguments.log.exists()
        else pd.DataFrame({"split": []})
    )
    for fold in folds:
        name = f"{arguments.protocol} {fold.name}"
        if (done["split"] == name).sum() < arguments.epochs:
            train(versions, y, fold, name=name, epochs=arguments.epochs, log=arguments.log)


if __name__ == "__main__":
    main()
