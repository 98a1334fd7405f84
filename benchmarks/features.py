"""How fast the set `statistics` is: against a plain version, and from disk.

    python benchmarks/features.py [CLIP] [--root FOLDER] [--jobs N]

Without CLIP a synthetic one of 3.7 s is used. With --root all sound files below FOLDER are read and
described too, without the cache.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from sercourse import audio
from sercourse.features import extract, feature_table, named

# The plain version is the one that the tests hold the package to.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
import reference_short_term as reference

SR = 16_000
STATISTICS = named("statistics")


def main() -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", nargs="?", type=Path, help="a sound file (default: synthetic)")
    parser.add_argument("--root", type=Path, help="folder of sound files to describe from disk")
    parser.add_argument("--jobs", type=int, default=1, help="processes for --root (default: 1)")
    args = parser.parse_args()
    y = synthetic_clip() if args.clip is None else audio.read(args.clip, sr=SR)
    with threadpool_limits(1):  # one core: also BLAS must keep to it
        compare(y)
    if args.root is not None:
        from_disk(args.root, n_jobs=args.jobs)


def compare(y: np.ndarray) -> None:
    """Time the two versions on one clip, after checking that they agree."""

    def plain() -> np.ndarray:
        return reference.statistics(reference.short_term(y))

    def ours() -> np.ndarray:
        return extract(y, sr=SR, feature_set=STATISTICS)

    np.testing.assert_allclose(ours(), plain(), rtol=1e-6, atol=1e-11)
    slow, fast = best_of(7, plain), best_of(100, ours)
    print(f"clip of {len(y) / SR:.2f} s, processor time on one core, best run of each")
    print(f"plain, frame by frame  {1000 * slow:8.2f} ms")
    print(f"sercourse              {1000 * fast:8.2f} ms")
    print(f"ratio                  {slow / fast:8.1f}")


def from_disk(root: Path, *, n_jobs: int) -> None:
    """Time reading and describing every sound file below a folder."""
    paths = sorted(path for path in root.rglob("*") if path.suffix.lower() in audio.SUFFIXES)
    clips = pd.DataFrame({"clip_id": [path.stem for path in paths], "path": map(str, paths)})
    start = time.perf_counter()
    table = feature_table(clips, feature_set=STATISTICS, n_jobs=n_jobs)
    seconds = time.perf_counter() - start
    print(f"{len(table.X)} clips from disk in {seconds:.1f} s with {n_jobs} process(es)", end="")
    print(f": {len(paths) / seconds:.0f} clips/s, {len(table.rejects)} rejected")
    if sys.platform != "win32":
        print(f"peak memory of this process {peak_memory():.0f} MB")


def synthetic_clip(seconds: float = 3.7) -> np.ndarray:
    """Return gliding harmonics in syllables, and noise."""
    t = np.arange(int(seconds * SR)) / SR
    phase = 2 * np.pi * np.cumsum(150 + 50 * np.sin(2 * np.pi * t)) / SR
    voice = sum(np.sin(k * phase) / k for k in range(1, 20))
    breath = np.random.default_rng(0).standard_normal(len(t))
    return (0.1 * np.clip(np.sin(8 * t), 0, None) * voice + 0.005 * breath).astype(np.float32)


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


def peak_memory() -> float:
    """Return the largest memory that this process has had [MB]."""
    import resource  # Windows has none

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


if __name__ == "__main__":
    main()
