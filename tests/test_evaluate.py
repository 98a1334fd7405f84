"""Scores against scikit-learn, by hand and at their limits."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats
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
    truth, said = answers
    P = (said[:, np.newaxis] == np.array([*LABELS, "bored"])).astype(float)
    found = evaluate.scores(truth, P, labels=[*LABELS, "bored"])  # bored never occurs
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(truth, said))
    assert found["uar"] == pytest.approx(metrics.balanced_accuracy_score(truth, said))
    assert found["macro_f1"] == pytest.approx(metrics.f1_score(truth, said, average="macro"))
    rare = evaluate.scores(["sad", "sad"], P[:2], labels=[*LABELS, "bored"])
    assert 0 <= rare["uar"] == rare["accuracy"] <= 1  # of the emotions that occur


def test_interval_is_wider_where_voices_differ() -> None:
    speakers = np.repeat([f"s{k}" for k in range(12)], 30)
    rng = np.random.default_rng(1)
    alike = rng.random(360) < 0.6
    apart = rng.random(360) < np.repeat(np.linspace(0.2, 1.0, 12), 30)
    low, high = evaluate.speaker_interval(alike, speakers)
    low_apart, high_apart = evaluate.speaker_interval(apart, speakers)
    assert low < alike.mean() < high
    assert high_apart - low_apart > 2 * (high - low)


@pytest.mark.parametrize("clips", [[25], [10, 40]], ids=["alike", "unlike"])
@pytest.mark.parametrize("n_speakers", [3, 6, 20])
def test_interval_covers_as_often_as_it_says(n_speakers: int, clips: list[int]) -> None:
    rng = np.random.default_rng(2)
    speakers = np.repeat(np.arange(n_speakers), np.resize(clips, n_speakers))
    covered = 0
    for _ in range(300):
        voices = rng.beta(6, 4, size=n_speakers)
        correct = rng.random(len(speakers)) < voices[speakers]
        low, high = evaluate.speaker_interval(correct, speakers, n_resamples=300)
        covered += low <= 0.6 <= high
    assert 0.9 <= covered / 300 <= 0.99  # a percentile bootstrap over six covers 0.87, over 3 0.7


@pytest.mark.parametrize(
    ("n", "method"), [(2, "student-t"), (6, "student-t"), (14, "student-t"), (15, "bootstrap")]
)
def test_few_speakers_get_students_interval_and_the_metrics_say_so(n: int, method: str) -> None:
    rng = np.random.default_rng(n + 1)
    right = rng.random((n, 10)) < 0.6
    speakers = np.repeat([f"x-{k}" for k in range(n)], 10)
    low, high = evaluate.speaker_interval(right.ravel(), speakers)
    if method == "student-t":
        student = stats.t.interval(0.95, n - 1, right.mean(), stats.sem(right.mean(axis=1)))
        assert (low, high) == pytest.approx(np.clip(student, 0, 1))
    told = evaluate.summarize(predictions(right.ravel(), speakers), emotions=["happy", "sad"])
    assert told["interval"] == method
    assert told["accuracy_interval"] == pytest.approx([low, high])


def predictions(right: np.ndarray, speakers: np.ndarray, **columns: object) -> pd.DataFrame:
    """Return predictions of sad clips, some of which are right."""
    p = np.where(right, 0.8, 0.2)
    clips = [f"c{k}" for k in range(len(right))]
    told = {"clip_id": clips, "protocol": "speaker", "fold": "fold 1", "truth": "sad"}
    told |= {"speaker": speakers, "gender": None, "p_happy": 1 - p, "p_sad": p}
    return pd.DataFrame({**told, **columns})


@pytest.mark.parametrize(
    ("right", "speakers"),
    [([1, 0, 1], "aaa"), ([1, 1, 1, 1], "aabb"), ([1, 0, 1, 0, 1, 0], "aabbcc")],
    ids=["one speaker", "all right", "all alike"],
)
def test_a_few_speakers_who_do_alike_tell_nothing_of_others(right: list, speakers: str) -> None:
    correct, names = np.array(right, dtype=bool), np.array(list(speakers))
    assert np.isnan(evaluate.speaker_interval(correct, names)).all()
    told = evaluate.summarize(predictions(correct, names), emotions=["happy", "sad"])
    assert told["accuracy_interval"] is None
    json.dumps(told, allow_nan=False)


def test_a_difference_may_be_negative() -> None:
    low, high = evaluate.speaker_interval(np.array([0.0, 1.0, 0.0, 0.0]), ["a", "a", "b", "b"])
    assert low < 0 < high


@pytest.mark.parametrize(("temperature", "surer"), [(0.5, True), (2.0, False)])
def test_a_temperature_changes_certainty_and_no_order(temperature: float, surer: bool) -> None:
    p = np.random.default_rng(0).dirichlet(np.ones(4), size=(2, 30))
    plain, changed = (evaluate.geometric_mean(p, temperature=t) for t in (1.0, temperature))
    np.testing.assert_array_equal(plain.argsort(axis=1), changed.argsort(axis=1))
    assert ((changed.max(axis=1) > plain.max(axis=1)) == surer).all()
    np.testing.assert_allclose(changed.sum(axis=1), 1)


def test_enrolment_is_compared_on_the_clips_that_were_scored() -> None:
    speakers = np.repeat(["a", "b"], 3)
    plain = predictions(np.array([True, False, False, True, True, True]), speakers)
    drawn = plain.iloc[[1, 2, 3, 4, 0, 1, 4, 5]].assign(draw=[1, 1, 1, 1, 2, 2, 2, 2])
    enrolled = drawn.assign(p_sad=[0.8, 0.2, 0.8, 0.8] * 2, p_happy=[0.2, 0.8, 0.2, 0.2] * 2)
    gain = evaluate.enrolment_gain(enrolled, plain, emotions=["happy", "sad"])
    assert gain["accuracy"] == 5 / 8
    assert gain["gain"] == 1 / 8
    told = evaluate.summarize(enrolled, emotions=["happy", "sad"])
    assert (told["n_scored"], told["n_draws"], told["accuracy_sd_of_draws"]) == (6, 2, 0)


def test_a_gain_is_that_of_the_accuracies_and_its_interval_that_of_the_textbook() -> None:
    rng = np.random.default_rng(0)
    before, after = rng.random(400) < 0.5, rng.random(400) < 0.6
    found = evaluate.paired_gain(before, after, speakers=["x-1"] * 400)
    assert found["accuracy"] == after.mean()
    assert found["gain"] == pytest.approx(after.mean() - before.mean())
    error = np.std(after.astype(float) - before) / np.sqrt(400)
    assert (found["high"] - found["low"]) / 2 == pytest.approx(1.96 * error, rel=0.03)
    assert evaluate.paired_gain(before, after, speakers=["x-1"] * 400) == found


def test_more_comparisons_widen_the_interval_and_other_voices_do_not() -> None:
    rng = np.random.default_rng(1)
    before, after = rng.random(300) < 0.5, rng.random(300) < 0.5
    speakers = np.repeat(["x-1", "x-2", "x-3"], 100)

    def width(**told) -> float:
        found = evaluate.paired_gain(before, after, **{"speakers": speakers, **told})
        return found["high"] - found["low"]

    # 2.638 standard deviations hold 1 - 0.05 / 6 of a normal distribution, 1.960 hold 0.95.
    assert width(n_comparisons=6) / width() == pytest.approx(2.638 / 1.960, rel=0.06)
    # Drawn within voices, a voice that always gains and one that always loses are no doubt.
    before, after = np.repeat([0, 1, 0], 100), np.repeat([1, 0, 0], 100)
    assert width() == 0


def test_exchanging_is_the_same_as_trying_every_exchange() -> None:
    rng = np.random.default_rng(3)
    speakers = np.repeat(np.arange(8), 12).astype(str)
    before, after = rng.random(96) < 0.5, rng.random(96) < 0.65
    gained = np.array(
        [np.sum(after[speakers == k]) - np.sum(before[speakers == k]) for k in "01234567"]
    )
    signs = np.array(list(itertools.product((-1, 1), repeat=8)))
    wanted = np.mean(np.abs(signs @ gained) >= abs(gained.sum()))
    found = evaluate.paired_permutation_test(before, after, speakers=speakers)
    assert found == pytest.approx(wanted)
    assert evaluate.paired_permutation_test(after, before, speakers=speakers) == pytest.approx(
        wanted
    )


def test_few_voices_cannot_prove_much() -> None:
    speakers = np.repeat(np.arange(6), 50).astype(str)
    none, every = np.zeros(300, dtype=bool), np.ones(300, dtype=bool)
    assert evaluate.paired_permutation_test(none, every, speakers=speakers) == pytest.approx(
        2 / 2**6
    )
    assert evaluate.paired_permutation_test(every, every, speakers=speakers) == 1.0


def test_holm_by_hand() -> None:
    found = evaluate.holm([0.02, 0.001, 0.5, 0.015])
    np.testing.assert_allclose(found, [0.045, 0.004, 0.5, 0.045])
    assert evaluate.holm([]).size == 0
    assert evaluate.holm([0.6, 0.7]).max() == 1.0


def test_a_ninety_percent_interval_is_not_called_95() -> None:
    rng = np.random.default_rng(0)
    speakers, right = np.repeat(np.arange(40), 25), rng.random(1000) < 0.6
    low, high = evaluate.speaker_interval(right, speakers)
    means = right.reshape(40, 25).mean(axis=1)
    half = stats.norm.ppf(0.975) * means.std() / np.sqrt(40)
    assert (high - low) / 2 == pytest.approx(half, rel=0.05)  # one of 90 % is 16 % narrower
    found = evaluate.paired_gain(np.zeros(1000), right, speakers=speakers)
    within = np.sqrt((means * (1 - means)).mean() / 1000)  # clips are drawn within each voice
    assert (found["high"] - found["low"]) / 2 == pytest.approx(1.96 * within, rel=0.05)
    assert (found["gain"], found["accuracy"]) == (right.mean(), right.mean())
    again = evaluate.paired_gain(np.zeros(1000), right, speakers=speakers)
    assert found == again
    assert evaluate.speaker_interval(right, speakers) == (low, high)


def test_calibration_by_hand() -> None:
    confidence = np.array([0.95, 0.95, 0.55, 0.55, 1.0, 0.85])
    correct = np.array([1, 1, 1, 1, 0, 1])
    P = np.stack([confidence, 1 - confidence], axis=1)
    found = evaluate.calibration_error(P, correct.astype(bool), n_bins=10)
    assert found == pytest.approx(
        (abs(2 - 2.9) + abs(2 - 1.1) + abs(1 - 0.85)) / 6
    )  # 1.0 is in a bin with 0.95
    fine = evaluate.calibration_error(np.array([[0.64, 0.36], [0.62, 0.38]]), np.array([1, 0]) > 0)
    assert fine == pytest.approx((0.36 + 0.62 - 0) / 2 - 0.36)  # 15 bins: both are in one


def test_a_mean_of_models_weighs_them_and_none_is_silenced() -> None:
    P = np.array([[[1.0, 0.0]], [[0.1, 0.9]]])
    (plain,) = evaluate.geometric_mean(P)
    assert plain == pytest.approx(np.array([1, 1e-3]) * [np.sqrt(0.1), np.sqrt(0.9)] / plain_sum())
    (first,) = evaluate.geometric_mean(P, weights=[1.0, 0.0])
    assert first == pytest.approx([1, 1e-6], rel=1e-5)
    (other,) = evaluate.geometric_mean(P[1:], temperature=2.0)
    assert other == pytest.approx([0.25, 0.75])


def plain_sum() -> float:
    return float(np.sqrt(0.1) + 1e-3 * np.sqrt(0.9))


def test_chance_is_the_share_of_the_most_frequent() -> None:
    assert evaluate.chance(["sad", "sad", "happy", "calm"]) == 0.5


@pytest.mark.parametrize(
    ("p_happy", "p_sad"), [(8.26, 0.2), (float("nan"), 0.5), (-0.2, 1.2), (0.3, 0.3), (0.5, 0.502)]
)
def test_what_is_no_probability_is_refused(p_happy: float, p_sad: float) -> None:
    rows = pd.DataFrame({"p_happy": [0.5, p_happy], "p_sad": [0.5, p_sad]})
    with pytest.raises(ValueError, match=rf"prediction 2 has no .* sum to 1: happy {p_happy:g}"):
        evaluate.answers(rows, labels=["happy", "sad"])
    said, P = evaluate.answers(rows.iloc[:1].assign(p_sad=0.50095), labels=["happy", "sad"])
    assert (said.tolist(), P.tolist()) == (["sad"], [[0.5, 0.50095]])
    sure = pd.DataFrame({"p_happy": [1.0], "p_sad": [0.0]})
    assert evaluate.answers(sure, labels=["happy", "sad"])[0].tolist() == ["happy"]


def of_two_folds(protocol: str, names: tuple[str, str]) -> pd.DataFrame:
    """Return predictions of eight clips, five of which are right: 3 of 4, and 2 of 4."""
    right = np.array([1, 1, 1, 0, 1, 1, 0, 0], dtype=bool)
    told = predictions(right, np.repeat(["b", "a"], 4), protocol=protocol)
    told["truth"] = ["sad", "sad", "sad", "happy", "happy", "sad", "sad", "sad"]
    said = np.where(right, told["truth"], np.where(told["truth"] == "sad", "happy", "sad"))
    told["p_sad"] = np.where(said == "sad", 0.8, 0.2)
    told["p_happy"] = 1 - told["p_sad"]
    told["gender"] = ["female"] * 4 + ["male"] * 3 + [None]
    return told.assign(fold=np.repeat(names, 4))


def test_a_summary_by_hand() -> None:
    rows = of_two_folds("speaker", ("fold 1", "fold 2"))
    told = evaluate.summarize(rows, emotions=["happy", "sad"])
    assert told["confusion"] == [[1, 1], [2, 4]]
    assert told["accuracy"] == 5 / 8
    assert told["uar"] == pytest.approx((1 / 2 + 4 / 6) / 2)
    assert told["chance"] == 6 / 8
    assert told["ece"] == pytest.approx(0.8 - 5 / 8)
    assert told["n_scored"] == 8
    assert [fold["accuracy"] for fold in told["folds"]] == [3 / 4, 2 / 4]
    assert [fold["test_speakers"] for fold in told["folds"]] == [["b"], ["a"]]
    assert [fold["fold"] for fold in told["folds"]] == ["fold 1", "fold 2"]
    assert {name: each["accuracy"] for name, each in told["by_gender"].items()} == {
        "female": 3 / 4,
        "male": 2 / 3,
    }
    assert told["interval"] == "student-t"
    assert not {"by_corpus", "n_draws", "accuracy_sd"} & set(told)


@pytest.mark.parametrize(
    ("protocol", "names", "uar"),
    [
        ("random", ("seed 0", "seed 3"), ((1 + 0) / 2 + (1 + 1 / 3) / 2) / 2),
        ("recording", ("fold 1", "fold 2"), (1 / 2 + 4 / 6) / 2),
    ],
)
def test_with_the_same_voices_on_both_sides_folds_deviate(
    protocol: str, names: tuple[str, str], uar: float
) -> None:
    told = evaluate.summarize(of_two_folds(protocol, names), emotions=["happy", "sad"])
    assert told["accuracy_sd"] == pytest.approx(np.std([3 / 4, 2 / 4], ddof=1))
    assert told["uar"] == pytest.approx(uar)
    assert "accuracy_interval" not in told
    assert [fold.get("seed") for fold in told["folds"]] == (
        [0, 3] if protocol == "random" else [None, None]
    )
    one = of_two_folds(protocol, names).iloc[:4]
    assert evaluate.summarize(one, emotions=["happy", "sad"])["accuracy_sd"] is None


def test_folds_are_told_in_their_order() -> None:
    rows = of_two_folds("speaker", ("fold 9", "fold 10"))
    told = evaluate.summarize(rows, emotions=["happy", "sad"])["folds"]
    assert [fold["fold"] for fold in told] == ["fold 9", "fold 10"]


def test_each_corpus_has_figures_of_its_own() -> None:
    rows = of_two_folds("corpus", ("x", "y")).assign(corpus=np.repeat(["x", "y"], 4))
    told = evaluate.summarize(rows, emotions=["happy", "sad"])["by_corpus"]
    assert {name: each["accuracy"] for name, each in told.items()} == {"x": 3 / 4, "y": 2 / 4}
    assert told["x"]["accuracy_interval"] is None  # of one speaker
    nameless = rows.assign(corpus=None)
    assert "by_corpus" not in evaluate.summarize(nameless, emotions=["happy", "sad"])


def test_a_clip_without_a_speaker_stands_for_itself() -> None:
    rows = predictions(np.array([1, 0, 1, 1], dtype=bool), np.array([None] * 4, dtype=object))
    told = evaluate.summarize(rows, emotions=["happy", "sad"])
    student = stats.t.interval(0.95, 3, 0.75, stats.sem([1, 0, 1, 1]))
    assert told["accuracy_interval"] == pytest.approx(np.clip(student, 0, 1))


def test_holm_never_exceeds_one_and_keeps_the_order() -> None:
    assert evaluate.holm([0.5, 0.9, 0.5]).tolist() == [1.0, 1.0, 1.0]
    assert evaluate.holm([0.2, 0.01]).tolist() == [0.2, 0.02]
