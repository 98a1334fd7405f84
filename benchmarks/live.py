"""What it costs to listen: endpointing, streaming, and how long a speaker waits for the answer.

    python benchmarks/live.py [CLIP] [--seconds N]

Costs are processor time for each second of sound, so 10 % is a tenth of one core. Without CLIP one
of the sample corpus is used.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sercourse import audio, bundles, files, live

SR = 16_000
SAMPLE = "data/sample/ravdess/Actor_01/03-01-05-01-01-01-01.ogg"
EVERY = 1.0  # [s]
ALLOWED = {"ravdess-svm": 0.10, "ravdess-cnn-lstm": 0.25}  # of one core
ALLOWED_WAIT = 0.3  # [s]


def main() -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", nargs="?", type=Path, help="a sound file (default: a sample)")
    parser.add_argument("--seconds", type=int, default=60, help="sound to hear (default: 60)")
    args = parser.parse_args()
    clip = audio.read(args.clip or files.home() / SAMPLE, sr=SR)
    y = spoken(clip, seconds=args.seconds)
    endpointing(y)
    for folder in bundles.available():
        if (bundle := bundles.load(folder)).sample_rate == SR:
            streaming(y, bundle=bundle)
            waiting(clip, bundle=bundle)


def spoken(clip: np.ndarray, *, seconds: int) -> np.ndarray:
    """Repeat a clip with pauses of 1 s in a quiet room."""
    once = np.concatenate([clip, np.zeros(SR, dtype=np.float32)])
    y = np.resize(once, seconds * SR)
    return y + 1e-4 * np.random.default_rng(0).normal(size=len(y)).astype(np.float32)


def in_blocks(y: np.ndarray) -> Iterator[np.ndarray]:
    """Cut a signal as a microphone does."""
    return (y[at : at + SR // 10] for at in range(0, len(y), SR // 10))


def endpointing(y: np.ndarray) -> None:
    """Time how utterances are found."""
    start = time.process_time()
    n_utterances = sum(1 for _ in live.utterances(in_blocks(y), sr=SR))
    share = (time.process_time() - start) * SR / len(y)
    print(f"endpointing: {share:.2%} of one core; {n_utterances} utterances in {len(y) // SR} s")


def streaming(y: np.ndarray, *, bundle: bundles.Bundle) -> None:
    """Time windows that slide along."""
    list(bundle.predict_stream(in_blocks(y[: 4 * SR]), sr=SR, every=EVERY))  # loads the model
    start = time.process_time()
    n_moments = sum(1 for _ in bundle.predict_stream(in_blocks(y), sr=SR, every=EVERY))
    share = (time.process_time() - start) * SR / len(y)
    allowed = ALLOWED.get(bundle.name)
    bound = f"; allowed are {allowed:.0%}" if allowed else ""
    print(f"{bundle.name}: {share:.2%} of one core for {n_moments} windows{bound}")


def waiting(clip: np.ndarray, *, bundle: bundles.Bundle) -> None:
    """Time how long an answer takes once an utterance has ended."""
    (utterance, *_) = live.utterances(in_blocks(spoken(clip, seconds=8)), sr=SR)
    times = []
    for _ in range(10):
        start = time.perf_counter()
        bundle.predict(utterance.y, sr=SR)
        times.append(time.perf_counter() - start)
    wait = np.median(times)
    pause = live.Endpointing().pause
    print(
        f"{bundle.name}: {1000 * wait:.0f} ms from the end of an utterance to the answer, "
        f"{wait / ALLOWED_WAIT:.0%} of what is allowed; the end shows after a pause of {pause} s"
    )


if __name__ == "__main__":
    main()
