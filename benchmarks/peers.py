"""What other libraries take for the same clips, in any Python that has them; needs no sercourse.

    python benchmarks/peers.py NAME CLIP.wav ...

Says "ready" and the version, or ends; then, for each line that comes in, measures all clips once
and answers with processor time and time on the wall [s]. Reading the files is not counted.
"""

from __future__ import annotations

import sys
import time
import wave
from collections.abc import Callable
from importlib import metadata

import numpy as np


def read(path: str) -> tuple[np.ndarray, int]:
    """Return the samples of a 16-bit mono file, and its rate."""
    with wave.open(path) as file:
        y = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        return y.astype(np.float32) / 32768, file.getframerate()


def function(name: str) -> tuple[Callable[[np.ndarray, int], object], str]:
    """Return what measures a clip, and the version of its library."""
    if (
        name == "pyaudioanalysis"
    ):  # its short-term features alone: 34 and their changes, no statistics
        from pyAudioAnalysis import ShortTermFeatures

        def short_term(y: np.ndarray, sr: int) -> object:
            length, step = int(0.025 * sr), int(0.010 * sr)
            return ShortTermFeatures.feature_extraction(y, sr, length, step)

        return short_term, metadata.version("pyAudioAnalysis")
    import opensmile

    chosen = {
        "egemaps": opensmile.FeatureSet.eGeMAPSv02,
        "compare": opensmile.FeatureSet.ComParE_2016,
    }
    smile = opensmile.Smile(chosen[name.partition("-")[2]], opensmile.FeatureLevel.Functionals)
    return smile.process_signal, metadata.version("opensmile")


def main() -> None:
    """Answer until the input ends."""
    measure, version = function(sys.argv[1])
    clips = [read(path) for path in sys.argv[2:]]
    measure(*clips[0])
    print(f"ready {version}", flush=True)
    for _ in sys.stdin:
        cpu, wall = time.process_time(), time.perf_counter()
        for clip in clips:
            measure(*clip)
        print(time.process_time() - cpu, time.perf_counter() - wall, flush=True)


if __name__ == "__main__":
    main()
