"""How fast, and how clean, augmentation is: against librosa's phase vocoder, and for a corpus.

    python benchmarks/augment.py [CLIP] [--root FOLDER] [--jobs N]

Without CLIP a synthetic one is used, as long as those of AESDD are on average. With --root all
sound files below FOLDER are read and made four, as in the study of augmentation.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import joblib
import librosa
import numpy as np
from threadpoolctl import threadpool_limits

from sercourse import audio, augment

SR = 44_100
SECONDS = 4.09  # mean length of the clips of AESDD
N_CLIPS = 602  # those of AESDD that can be read
THIRD_OF_AN_OCTAVE = 4.0  # [semitones]
RATE = 1.1


def main() -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", nargs="?", type=Path, help="a sound file (default: synthetic)")
    parser.add_argument("--root", type=Path, help="folder of sound files to augment from disk")
    parser.add_argument("--jobs", type=int, default=2, help="processes for --root (default: 2)")
    args = parser.parse_args()
    with threadpool_limits(1):  # one core: also BLAS must keep to it
        clips(synthetic_voice() if args.clip is None else audio.read(args.clip, sr=SR))
        spectrograms()
    if args.root is not None:
        from_disk(args.root, n_jobs=args.jobs)


def clips(y: np.ndarray) -> None:
    """Time each augmentation of a clip, and librosa's where it has one."""
    rng = np.random.default_rng(0)
    up, down = THIRD_OF_AN_OCTAVE, -THIRD_OF_AN_OCTAVE
    ours = {
        "pitch up": lambda: augment.pitch_shift(y, sr=SR, semitones=up),
        "pitch down": lambda: augment.pitch_shift(y, sr=SR, semitones=down),
        "stretch": lambda: augment.time_stretch(y, sr=SR, rate=RATE),
        "white noise": lambda: augment.add_noise(y, snr=20, rng=rng),
        "pink noise": lambda: augment.add_noise(y, snr=20, rng=rng, colour="pink"),
        "room": lambda: augment.reverberate(y, sr=SR, rt60=0.5, rng=rng),
    }
    theirs = {
        "pitch up": lambda: librosa.effects.pitch_shift(y, sr=SR, n_steps=up),
        "pitch down": lambda: librosa.effects.pitch_shift(y, sr=SR, n_steps=down),
        "stretch": lambda: librosa.effects.time_stretch(y, rate=RATE),
    }
    print(f"clip of {y.size / SR:.2f} s at {SR} Hz, processor time on one core, best run of each")
    print(f"{'':12}{'sercourse':>12}{'librosa':>12}{'ratio':>8}{'peaks kept':>22}")
    seconds = {name: best_of(5, function) for name, function in ours.items()}
    for name, function in ours.items():
        row = f"{name:12}{1000 * seconds[name]:9.1f} ms"
        if name in theirs:
            slow = best_of(5, theirs[name])
            kept = [crest(run()) / crest(y) for run in (function, theirs[name])]
            row += f"{1000 * slow:9.1f} ms{slow / seconds[name]:8.1f}"
            row += f"{kept[0]:10.0%} against {kept[1]:.0%}"
        print(row)
    project(y, seconds)


def project(y: np.ndarray, seconds: dict[str, float]) -> None:
    """Print how long it would take to add three copies of each clip of AESDD."""
    copies = ("pitch up", "pitch down", "stretch", "white noise")  # the last two make one copy
    per_second = sum(seconds[name] for name in copies) * SR / y.size
    total = per_second * SECONDS * N_CLIPS / 2
    print(f"AESDD, {N_CLIPS} clips, three copies of each, on 2 cores: {total:.1f} s (projected)")


def spectrograms(n_clips: int = 32, n_frames: int = 400, n_bands: int = 64) -> None:
    """Time each augmentation of a batch of spectrograms."""
    rng = np.random.default_rng(0)
    X = rng.normal(-40, 10, size=(n_clips, n_frames, n_bands)).astype(np.float32)
    T = np.eye(8, dtype=np.float32)[rng.integers(8, size=n_clips)]
    ours = {
        "warp": lambda: augment.vtlp(X, rng=rng),
        "mask bands": lambda: augment.freq_mask(X, rng=rng, n=2, widest=10),
        "mask frames": lambda: augment.time_mask(X, rng=rng, n=2, widest=40),
        "mix noise": lambda: augment.mix_noise(X, rng=rng, share=1, level=(-30, -10)),
        "tilt": lambda: augment.spectral_tilt(X, rng=rng),
        "mixup": lambda: augment.mixup(X, T, rng=rng, alpha=0.3),
    }
    print(f"batch of {n_clips} spectrograms of {n_frames} x {n_bands}")
    for name, function in ours.items():
        print(f"{name:12}{1e6 * best_of(20, function) / n_clips:9.1f} µs a clip")


def from_disk(root: Path, *, n_jobs: int) -> None:
    """Time reading every sound file below a folder and adding three copies of it."""
    paths = sorted(path for path in root.rglob("*") if path.suffix.lower() in audio.SUFFIXES)
    start = time.perf_counter()
    run = joblib.Parallel(n_jobs=n_jobs)
    parts = run(joblib.delayed(copies_of)(paths[k::n_jobs]) for k in range(n_jobs))
    seconds = time.perf_counter() - start
    sounds, failed = np.sum(parts, axis=0)
    print(f"{len(paths)} files read and {sounds} sounds made in {seconds:.1f} s", end="")
    print(f" with {n_jobs} process(es), {failed} rejected")


def copies_of(paths: Sequence[Path]) -> tuple[int, int]:
    """Return how many copies were made of some files, and how many files could not be read."""
    sounds = failed = 0
    for number, path in enumerate(paths):
        rng = np.random.default_rng(number)
        try:
            y = audio.read(path, sr=SR)
        except ValueError:
            failed += 1
            continue
        stretched = augment.time_stretch(y, sr=SR, rate=rng.uniform(0.9, 1.1))
        copies = [
            augment.pitch_shift(y, sr=SR, semitones=THIRD_OF_AN_OCTAVE),
            augment.pitch_shift(y, sr=SR, semitones=-THIRD_OF_AN_OCTAVE),
            augment.add_noise(stretched, snr=rng.uniform(15, 30), rng=rng),
        ]
        sounds += len(copies)
    return sounds, failed


def synthetic_voice(seconds: float = SECONDS) -> np.ndarray:
    """Return gliding pulses in syllables, and noise."""
    t = np.arange(round(seconds * SR)) / SR
    phase = 2 * np.pi * np.cumsum(150 + 50 * np.sin(2 * np.pi * t)) / SR
    pulses = sum(np.cos(k * phase) / np.sqrt(k) for k in range(1, 30))
    breath = np.random.default_rng(0).standard_normal(t.size)
    return (0.05 * np.clip(np.sin(8 * t), 0, None) * pulses + 0.001 * breath).astype(np.float32)


def crest(y: np.ndarray) -> float:
    """Return how far the pulses of a voice stand out: peak over mean level in 20 ms, median.

    A phase vocoder lets the harmonics drift apart, and the pulses melt.
    """
    length = SR // 50
    frames = y[: y.size // length * length].reshape(-1, length).astype(np.float64)
    level = np.sqrt(np.mean(frames**2, axis=1))
    loud = level > 0.1 * level.max()
    return float(np.median(np.abs(frames[loud]).max(axis=1) / level[loud]))


def best_of(n_runs: int, function: Callable[[], object]) -> float:
    """Return the processor time of the shortest of some runs [s].

    Processor time, because on a busy machine the clock on the wall also counts what others do, and
    long runs meet more of it than short ones.
    """
    times = []
    for _ in range(n_runs):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


if __name__ == "__main__":
    main()
