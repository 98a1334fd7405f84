"""How fast networks learn and answer: steps of Fabien's network, models and real time.

    python benchmarks/networks.py [--batch N] [--steps N] [--threads N]

Every trained model in models/ judges one clip, on one core. Then a training step of Fabien's
network, with the windows folded into the batch, is timed with Keras's layers, and with fused ones,
which is how `sercourse` trains it. The two take turns.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from sercourse import bundles, networks

CLIP_SECONDS = 3.7  # RAVDESS's mean
N_LABELS = 7


def main() -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=32, help="clips a step (default: 32)")
    parser.add_argument("--steps", type=int, default=3, help="timed steps (default: 3)")
    parser.add_argument("--threads", type=int, default=2, help="of training (default: 2)")
    args = parser.parse_args()
    with threadpool_limits(1):  # one core: also BLAS must keep to it
        inference()  # first, as it needs no Keras
    try:
        use_threads(args.threads)
    except ModuleNotFoundError as error:
        print(f"training step: left out; {error}")
    else:
        training_step(n_clips=args.batch, n_steps=args.steps, n_threads=args.threads)


def inference() -> None:
    """Time each trained model on a clip, from the signal to the probabilities."""
    print(f"inference, processor time for a clip of {CLIP_SECONDS} s, best run")
    for folder in bundles.available():
        bundle = bundles.load(folder)
        y = synthetic_clip(sr=bundle.sample_rate)

        def judge(bundle: bundles.Bundle = bundle, y: np.ndarray = y) -> None:
            bundle.predict(y, sr=bundle.sample_rate)

        judge()  # loads the model
        _, seconds = fastest([clocked(judge) for _ in range(20)])
        ratio = CLIP_SECONDS / seconds
        print(f"{bundle.name:<28}{1000 * seconds:8.1f} ms, {ratio:6.0f} times real time")


def use_threads(n: int) -> None:
    """Let TensorFlow compute with so many threads; other backends choose for themselves."""
    if networks.quiet_keras().backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(n)
        tf.config.threading.set_inter_op_parallelism_threads(1)


def training_step(*, n_clips: int, n_steps: int, n_threads: int) -> None:
    """Time a step of Fabien's network, with each kind of layers in turns."""
    rng = np.random.default_rng(0)
    X = rng.uniform(-80, 0, (n_clips, 5, 128, 128)).astype(np.float32)
    y = np.arange(n_clips) % N_LABELS
    forms = {
        "folded": compiled(networks.cnn_lstm_classic),
        "folded, fused layers": compiled(networks.cnn_lstm_classic),
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in forms}
    with networks.fused_ops():  # the first step builds the graph, and keeps it
        forms["folded, fused layers"].train_on_batch(X, y)
    for _ in range(n_steps + 1):
        for name, model in forms.items():
            times[name].append(clocked(partial(model.train_on_batch, X, y)))
    print(f"training step of {n_clips} clips, {n_threads} threads, best of {n_steps}: wall, CPU")
    best = {name: fastest(each[1:]) for name, each in times.items()}  # the first builds the graph
    slowest = best["folded"]
    for name, (wall, processor) in best.items():
        ratios = np.divide(slowest, (wall, processor))
        print(f"{name:<28}{wall:8.2f} s {processor:8.2f} s   ratio {ratios[0]:.1f} {ratios[1]:.1f}")


def compiled(build: Callable[..., Any]) -> Any:
    """Return a network ready to train as Fabien's was."""
    keras = networks.quiet_keras()
    networks.set_seed(0)
    model = build(n_labels=N_LABELS)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # Compiling by XLA would make it far slower.
    model.compile(keras.optimizers.SGD(0.01, momentum=0.8), loss, jit_compile=False)
    return model


def clocked(function: Callable[[], object]) -> tuple[float, float]:
    """Return the time on the wall and the processor time of a run [s]."""
    wall, processor = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - wall, time.process_time() - processor


def fastest(times: list[tuple[float, float]]) -> tuple[float, float]:
    """Return the least of each kind of time: on a busy machine the others measure the others."""
    wall, processor = np.min(times, axis=0)
    return float(wall), float(processor)


def synthetic_clip(*, sr: int) -> np.ndarray:
    """Return gliding harmonics in syllables, and noise."""
    t = np.arange(int(CLIP_SECONDS * sr)) / sr
    phase = 2 * np.pi * np.cumsum(150 + 50 * np.sin(2 * np.pi * t)) / sr
    voice = sum(np.sin(k * phase) / k for k in range(1, 20))
    breath = np.random.default_rng(0).standard_normal(len(t))
    return (0.1 * np.clip(np.sin(8 * t), 0, None) * voice + 0.005 * breath).astype(np.float32)


if __name__ == "__main__":
    main()
