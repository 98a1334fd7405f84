"""The twenty descriptors and ten statistics, one frame at a time: slow, and easy to check by eye.

Written from the definitions alone and sharing nothing with the package, so that the tests can hold
the package to it and the benchmark can be measured against it.
"""

from __future__ import annotations

import numpy as np
import scipy.fft
import scipy.stats

EPS = 1e-7


def short_term(y: np.ndarray, sr: int = 16_000) -> np.ndarray:
    """Return (n_frames, 20)."""
    length, step = int(0.025 * sr), int(0.010 * sr)
    window = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(length) / (length - 1))
    bank = mel_bank(sr)
    y = y.astype(np.float64)
    rows = []
    previous = None
    start = 0
    while start + length <= len(y):
        frame = y[start : start + length] * window
        magnitude = np.abs(np.fft.fft(frame))[: length // 2] / length
        centroid, spread = centroid_spread(magnitude, sr, length)
        rows.append(
            [
                np.sum(np.abs(np.diff(np.sign(frame)))) / (2 * (length - 1)),
                np.sum(frame**2) / length,
                block_entropy(frame),
                centroid,
                spread,
                block_entropy(magnitude),
                0.0 if previous is None else flux(magnitude, previous),
                rolloff(magnitude),
                *cepstrum(frame, bank),
            ]
        )
        previous = magnitude
        start += step
    return np.array(rows)


def block_entropy(values: np.ndarray) -> float:
    total = np.sum(values**2)
    size = len(values) // 10
    entropy = 0.0
    for i in range(10):
        share = np.sum(values[i * size : (i + 1) * size] ** 2) / (total + EPS)
        entropy -= share * np.log2(share + EPS)
    return entropy


def centroid_spread(magnitude: np.ndarray, sr: int, length: int) -> tuple[float, float]:
    hertz = np.arange(1, length // 2 + 1) * sr / length
    weights = magnitude / (magnitude.max() + EPS)
    total = np.sum(weights) + EPS
    centroid = np.sum(hertz * weights) / total
    spread = np.sqrt(np.sum((hertz - centroid) ** 2 * weights) / total)
    return centroid / (sr / 2), spread / (sr / 2)


def flux(magnitude: np.ndarray, previous: np.ndarray) -> float:
    share = magnitude / np.sum(magnitude + EPS)
    share_before = previous / np.sum(previous + EPS)
    return np.sum((share - share_before) ** 2)


def rolloff(magnitude: np.ndarray) -> float:
    reached = np.cumsum(magnitude**2) + EPS > 0.9 * np.sum(magnitude**2)
    where = np.nonzero(reached)[0]
    return where[0] / len(magnitude) if len(where) else 0.0


def mel_bank(sr: int) -> np.ndarray:
    top = 2595 * np.log10(1 + sr / 2 / 700)
    edges = []
    for i in range(42):
        hertz = 700 * (10 ** (top * i / 41 / 2595) - 1)
        edges.append(int(np.floor(513 * hertz / sr)))
    bank = np.zeros((40, 257))
    for m in range(40):
        left, middle, right = edges[m : m + 3]
        for k in range(left, middle):
            bank[m, k] = (k - left) / (middle - left)
        for k in range(middle, right):
            bank[m, k] = (right - k) / (right - middle)
    return bank


def cepstrum(frame: np.ndarray, bank: np.ndarray) -> np.ndarray:
    power = np.abs(np.fft.rfft(frame, 512)) ** 2 / 512
    bands = bank @ power
    bands = np.where(bands == 0, 2.2e-16, bands)
    return scipy.fft.dct(20 * np.log10(bands), type=2, norm="ortho")[1:13]


def statistics(table: np.ndarray) -> np.ndarray:
    """Return the ten statistics of each column, one column after the other."""
    row: list[float] = []
    for column in table.T:
        p01, p99 = np.percentile(column, 1), np.percentile(column, 99)
        constant = np.all(column == column[0])
        row += [
            np.mean(column),
            np.median(column),
            np.std(column),
            0.0 if constant else scipy.stats.kurtosis(column),
            0.0 if constant else scipy.stats.skew(column),
            p01,
            p99,
            np.min(column),
            np.max(column),
            p99 - p01,
        ]
    return np.array(row)
