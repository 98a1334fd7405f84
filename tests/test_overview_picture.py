"""The picture of the README can be drawn anew, here from the sample."""

from __future__ import annotations

import io
from pathlib import Path

import matplotlib.image
import overview_picture


def test_the_picture_shows_five_emotions_of_one_speaker(root: Path) -> None:
    sample = root / "data" / "sample" / "ravdess"
    png = overview_picture.draw(sample, speaker="ravdess-02", source="a synthetic voice")
    picture = matplotlib.image.imread(io.BytesIO(png))
    height, width = picture.shape[:2]
    assert width > 2 * height
    fifths = [picture[height // 2 :, width * k // 5 : width * (k + 1) // 5] for k in range(5)]
    assert all(each.std() > 0.05 for each in fifths)  # none is blank
