"""Sounds to measure that need no file."""

from __future__ import annotations

import numpy as np


def voice(seconds: float, *, sr: int, seed: int = 0) -> np.ndarray:
    """Gliding harmonics in syllables, and breath."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * sr)) / sr
    phase = 2 * np.pi * np.cumsum(150 + 50 * np.sin(2 * np.pi * t)) / sr
    tone = sum(np.sin(k * phase) / k for k in range(1, 20))
    y = 0.1 * np.clip(np.sin(8 * t), 0, None) * tone + 0.005 * rng.standard_normal(t.size)
    return y.astype(np.float32)
