"""Draw `images/overview.png`, the picture of the README: one sentence in five emotions.

`python tools/overview_picture.py CORPORA` takes the folder that holds `ravdess/`, or `data/sample`.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
import publish

from sercourse import audio, corpora, files, plots
from sercourse.features import spectrogram

EMOTIONS = ("calm", "happy", "sad", "angry", "surprised")
SR = 16_000  # [Hz]
SENTENCE = "“Kids are talking by the door”, five times by one actor"


def draw(folder: Path, *, speaker: str, source: str) -> bytes:
    """Return the picture as a PNG file; `source` says whose voice it is."""
    clips = corpora.scan(folder, corpus="ravdess").clips
    said = clips.query("speaker == @speaker and statement == '01' and intensity == 'strong'")
    paths = said.sort_values("take").drop_duplicates("emotion").set_index("emotion")["path"]
    waves = {each: audio.trim(audio.read(paths[each], sr=SR), sr=SR) for each in EMOTIONS}
    powers = {each: spectrogram.LOG_MEL.power(y, sr=SR).T for each, y in waves.items()}
    levels = {each: 10 * np.log10(power / power.max() + 1e-10) for each, power in powers.items()}
    bands = spectrogram.mel_filters(sr=SR, n_fft=512, n_mels=64, fmin=50, fmax=8_000)
    centres = bands @ np.fft.rfftfreq(512, 1 / SR) / bands.sum(axis=1)
    scale = {"frequencies": centres, "sr": SR, "hop_length": 160}
    figure = plots.spectrograms(levels, waves=waves, columns=5, **scale)[0].figure
    figure.set_size_inches(10, 3.4)
    figure.supxlabel(f"{SENTENCE} · {source}", fontsize=9)
    full = io.BytesIO()
    figure.savefig(full, format="png", bbox_inches="tight", dpi=160)
    return publish.compact_png(full.getvalue())


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpora", type=Path, help="the folder that holds ravdess/")
    parser.add_argument("--speaker", default="ravdess-02")
    parser.add_argument("--out", type=Path, default=files.home() / "images" / "overview.png")
    given = parser.parse_args()
    sample = given.corpora.resolve() == (files.home() / "data" / "sample").resolve()
    source = "a synthetic voice" if sample else "RAVDESS (Livingstone and Russo 2018)"
    plots.use_style()
    picture = draw(given.corpora / "ravdess", speaker=given.speaker, source=source)
    with files.atomic_path(given.out) as temporary:
        temporary.write_bytes(picture)


if __name__ == "__main__":
    main()
