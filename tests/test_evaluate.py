"""Scores against scikit-learn, by hand and at their limits."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from sercourse import evaluate

LABELS = ["neutral", "happy", "sad", "angry"]


@pytest.fixture
def answers() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = rng.choice(LABELS, 300, p=[0.1, 0.2, 0.3, 0.4])
    predicted = np.where(rng.random(300) < 0.6, truth, rng.choice(LABELS, 300))
    return truth, predicted


def test_scores_equal_those_of_scikit_learn(answers: tuple[np.ndarray, np.ndarray]) -> None:
    truth, predicted = answers
    counts = evaluate.confusion(truth, predicted, labels=LABELS)
    assert np.array_equal(counts, metrics.confusion_matrix(truth, predicted, labels=LABELS))
    assert evaluate.accuracy(counts) == pytest.approx(metrics.accuracy_score(truth, predicted))
    recall = metrics.balanced_accuracy_score(truth, predicted)
    assert evaluate.unweighted_average_recall(counts) == pytest.approx(recall)
    f1 = metrics.f1_score(truth, predicted, average="macro")
    assert evaluate.macro_f1(counts) == pytest.approx(f1)


def test_an_emotion_that_never_occurs_changes_nothing(
    answers: tuple[np.ndarray, np.ndarray],
) -> None:
    narrow = evaluate.confusion(*answers, labels=LABELS)
    wide = evaluate.confusion(*answers, labels=[*LABELS, "bored"])
    for score in (evaluate.accuracy, evaluate.unweighted_average_recall, evaluate.macro_f1):
        assert score(wide) == score(narrow)


def test_chance_is_the_majority_share() -> None:
    assert evaluate.chance(["sad", "sad", "happy", "sad"]) == 0.75


def test_calibration_error_sees_overconfidence() -> None:
    sure = np.tile([0.9, 0.1], (10, 1))
    half_right = np.arange(10) % 2 == 0
    assert evaluate.calibration_error(sure, half_right) == pytest.approx(0.4)


def test_interval_is_wider_where_voices_differ() -> None:
    speakers = np.repeat([f"s{k}" for k in range(12)], 30)
    rng = np.random.default_rng(1)
    alike = rng.random(360) < 0.6
    apart = rng.random(360) < np.repeat(np.linspace(0.2, 1.0, 12), 30)
    low, high = evaluate.speaker_interval(alike, speakers)
    low_apart, high_apart = evaluate.speaker_interval(apart, speakers)
    assert low < alike.mean() < high
    assert high_apart - low_apart > 2 * (high - low)


def test_interval_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    speakers = np.repeat(np.arange(20), 25)
    covered = 0
    for _ in range(200):
        voices = rng.beta(6, 4, size=20)
        correct = rng.random(500) < voices[speakers]
        low, high = evaluate.speaker_interval(correct, speakers, n_resamples=500)
        covered += low <= 0.6 <= high
    assert 0.87 <= covered / 200 <= 0.99
