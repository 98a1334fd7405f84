"""Make the two synthetic sample corpora of `data/sample/`; see `data/README.md`.

    python tools/make_sample_corpora.py [--out data/sample] [--seed 0]

It needs espeak-ng on the path, and the package's own dependencies. With the same seed and the
same versions of espeak-ng, NumPy, SciPy and libsndfile every byte comes out the same; other
versions differ in details, so the committed files are the reference.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from functools import cache
from itertools import chain
from pathlib import Path

import numpy as np
from sample_corpora import manner, ogg, plan, sound

SAMPLE = Path(__file__).resolve().parent.parent / "data" / "sample"
CLIP_STREAM, SPEAKER_STREAM = 0, 1  # keep the two kinds of random streams apart


@cache
def speaker_style(seed: int, corpus: int, speaker: int) -> dict[str, manner.Manner]:
    """Return how one speaker expresses each emotion, the same in all clips of the speaker."""
    rng = np.random.default_rng([seed, SPEAKER_STREAM, corpus, speaker])
    return manner.own_style(rng)


def make_clip(clip: plan.Clip, *, out: Path, seed: int) -> None:
    """Draw the chances of one clip, speak it, and write it."""
    rng = np.random.default_rng([seed, CLIP_STREAM, clip.corpus, clip.speaker, *clip.key])
    style = speaker_style(seed, clip.corpus, clip.speaker)
    how = manner.draw(style, emotion=clip.emotion, strength=clip.strength, rng=rng)
    ending = str(rng.choice(list(manner.ENDINGS[clip.emotion])))
    y = sound.synthesise(clip.sentence, voice=clip.voice, manner=how, ending=ending, rng=rng)
    ogg.write(out / clip.path, y, sr=sound.SAMPLE_RATE)


def make_corpora(out: Path, *, seed: int) -> int:
    """Write both corpora below `out` and return the number of clips."""
    clips = list(chain(plan.ravdess_clips(), plan.aesdd_clips()))
    for number, clip in enumerate(clips, start=1):
        make_clip(clip, out=out, seed=seed)
        print(f"\r{number}/{len(clips)} clips", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    for path, content in plan.BROKEN_FILES.items():
        (out / path).write_bytes(content)
    return len(clips)


def main() -> int:
    """Read the command line and make the corpora."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=SAMPLE, help="folder to write")
    parser.add_argument("--seed", type=int, default=0, help="seed of all that chance decides")
    arguments = parser.parse_args()
    if shutil.which("espeak-ng") is None:
        print("espeak-ng is not installed: get it from your system's packages", file=sys.stderr)
        return 2
    n_clips = make_corpora(arguments.out, seed=arguments.seed)
    print(f"{n_clips} clips in {arguments.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
