"""Pictures for the lessons: every function draws on a matplotlib Axes and returns it."""

from __future__ import annotations

from sercourse.plots.corpora import (
    by_emotion,
    clip_map,
    emotion_counts,
    speaker_counts,
    speaker_grid,
)
from sercourse.plots.leaderboard import pair_gains, ranking, recall_map, trade_off, two_questions
from sercourse.plots.networks import ablation, gains, learning_curves, occlusion
from sercourse.plots.over_time import emotions_over_time
from sercourse.plots.results import (
    accuracies,
    confusion,
    fold_map,
    reliability,
    score_grid,
    speaker_accuracy,
)
from sercourse.plots.search import search_scores, size_curves, values_by_code
from sercourse.plots.shares import emotion_shares
from sercourse.plots.signals import (
    PITCH_CLASSES,
    chroma,
    colour_bar,
    filter_bank,
    mfcc,
    spectrogram,
    time_axis,
    waveform,
)
from sercourse.plots.spectrograms import cuts, log_mel, pictures, rolling_windows, sounds
from sercourse.plots.style import (
    EMOTION_COLOURS,
    INK,
    colours,
    compact_png,
    palette,
    use_style,
)

__all__ = [
    "EMOTION_COLOURS",
    "INK",
    "PITCH_CLASSES",
    "ablation",
    "accuracies",
    "by_emotion",
    "chroma",
    "clip_map",
    "colour_bar",
    "colours",
    "compact_png",
    "confusion",
    "cuts",
    "emotion_counts",
    "emotion_shares",
    "emotions_over_time",
    "filter_bank",
    "fold_map",
    "gains",
    "learning_curves",
    "log_mel",
    "mfcc",
    "occlusion",
    "pair_gains",
    "palette",
    "pictures",
    "ranking",
    "recall_map",
    "reliability",
    "rolling_windows",
    "score_grid",
    "search_scores",
    "size_curves",
    "sounds",
    "speaker_accuracy",
    "speaker_counts",
    "speaker_grid",
    "spectrogram",
    "time_axis",
    "trade_off",
    "two_questions",
    "use_style",
    "values_by_code",
    "waveform",
]
