"""The toolkit's features as it calls librosa for them: what the package's are held to."""

from __future__ import annotations

import librosa
import numpy as np


def plain(y: np.ndarray, *, sr: int) -> dict[str, np.ndarray]:
    """Return the five parts, each with Fourier transforms of its own."""
    stft = np.abs(librosa.stft(y))
    series = {
        "mfcc": librosa.feature.mfcc(y=y, sr=sr, n_mfcc=40),
        "chroma": librosa.feature.chroma_stft(S=stft, sr=sr),
        "mel": librosa.feature.melspectrogram(y=y, sr=sr),
        "contrast": librosa.feature.spectral_contrast(S=stft, sr=sr),
        "tonnetz": librosa.feature.tonnetz(y=librosa.effects.harmonic(y), sr=sr),
    }
    return {name: np.mean(each.T, axis=0) for name, each in series.items()}
