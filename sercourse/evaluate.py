"""Scores that say how good a model is, and how sure we can be of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.floating]
Labels = Sequence[str] | NDArray[Any]

LEVEL = 0.95  # of intervals
BOOTSTRAP, STUDENT = "bootstrap", "student-t"
FEWEST_FOR_BOOTSTRAP = 15
"""Speakers from which on a percentile bootstrap covers what it says; of 6 it covers 87 % for 95."""

LARGEST_ERROR = 1e-3  # of a sum of rounded probabilities
SMALLEST_PROBABILITY = 1e-6  # an impossible answer of one model must not silence the others


def unweighted_average_recall(truth: Labels, said: Labels) -> float:
    """Return the mean recall over the emotions that occur: UAR, blind to how frequent each is.

    References
    ----------
    Schuller, Steidl and Batliner, "The Interspeech 2009 Emotion Challenge", 2009,
    doi:10.21437/Interspeech.2009-103.
    """
    from sklearn.metrics import recall_score

    return float(recall_score(truth, said, labels=np.unique(truth), average="macro"))


def chance(truth: Labels) -> float:
    """Return the accuracy of always naming the most frequent emotion."""
    return float(np.unique(np.asarray(truth), return_counts=True)[1].max() / len(truth))


def geometric_mean(
    probabilities: Array, *, weights: Sequence[float] = (), temperature: float | Array = 1.0
) -> NDArray[np.float64]:
    """Return the geometric mean of several models' probabilities, brought back to a sum of one.

    Parameters
    ----------
    probabilities : ndarray, shape (n_models, n, k)
    weights : sequence of float, length n_models
        How much each model counts; alike unless given.
    temperature : float, or ndarray of shape (n, 1)
        The mean logarithms are divided by it: above 1 for less certain answers, in the same order.

    Returns
    -------
    ndarray, shape (n, k)

    References
    ----------
    Hinton, "Training products of experts by minimizing contrastive divergence", 2002,
    doi:10.1162/089976602760128018.

    Examples
    --------
    >>> geometric_mean(np.array([[[0.8, 0.2]], [[0.2, 0.8]]]))
    array([[0.5, 0.5]])
    """
    logarithms = np.log(np.maximum(probabilities, SMALLEST_PROBABILITY))
    logarithms = np.average(logarithms, axis=0, weights=weights or None) / temperature
    scaled = np.exp(logarithms - logarithms.max(axis=-1, keepdims=True))
    return scaled / scaled.sum(axis=-1, keepdims=True)


def calibration_error(
    probabilities: Array, correct: NDArray[np.bool_], *, n_bins: int = 15
) -> float:
    """Return the expected calibration error: how far confidence and accuracy lie apart.

    Parameters
    ----------
    probabilities : ndarray, shape (n, k)
        Rows sum to one.
    correct : ndarray of bool, shape (n,)
        Whether the most probable label is the true one.
    n_bins : int
        Bins of equal width over confidence.

    Returns
    -------
    float
        Mean distance between a bin's accuracy and its confidence, weighted by its size.

    References
    ----------
    Guo et al., "On Calibration of Modern Neural Networks", 2017, arXiv:1706.04599.

    Examples
    --------
    >>> calibration_error(np.array([[0.75, 0.25]] * 4), np.array([True, True, True, False]))
    0.0
    """
    confidence = probabilities.max(axis=1)
    bins = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    gaps = np.bincount(bins, weights=correct - confidence, minlength=n_bins)
    return float(np.abs(gaps).sum() / len(correct))


def speaker_interval(
    correct: NDArray[np.bool_], speakers: Labels, *, n_resamples: int = 10_000
) -> tuple[float, float]:
    """Return the 95 % interval of the accuracy over speakers: how far other voices would move it.

    Clips of one speaker are not independent, so the speakers are what is counted. From 15 speakers
    on whole speakers are drawn again (percentile bootstrap); that is too narrow for fewer, whose
    interval is Student's t. `interval_method` says which it is.

    Parameters
    ----------
    correct : ndarray of bool, shape (n,)
        Or of numbers, such as what a change gained on each clip.
    speakers : sequence of str, length n
    n_resamples : int

    Returns
    -------
    tuple of float
        Lower and upper end; NaN where too few speakers to draw from do all alike, as one does, who
        tells of no other.

    References
    ----------
    Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13,
    doi:10.1201/9780429246593; Student, "The probable error of a mean", 1908, doi:10.2307/2331554.

    Examples
    --------
    >>> correct = np.array([True, False, True, True, False, False])
    >>> speaker_interval(correct, ["a", "a", "b", "b", "c", "c"])  # 4.3 standard errors of 0.29
    (0.0, 1.0)
    """
    from scipy import stats

    names, codes = np.unique(np.asarray(speakers), return_inverse=True)
    hits, sizes = np.bincount(codes, weights=correct), np.bincount(codes)
    means = hits / sizes
    if interval_method(len(names)) == BOOTSTRAP:
        draws = np.random.default_rng(0).integers(len(names), size=(n_resamples, len(names)))
        accuracies = hits[draws].sum(axis=1) / sizes[draws].sum(axis=1)
        low, high = np.quantile(accuracies, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2])
    elif np.ptp(means) == 0:  # as of one speaker, or of clips that are easy for all of a few
        return float("nan"), float("nan")
    else:
        mean, spread = hits.sum() / sizes.sum(), stats.sem(means)
        low, high = stats.t.interval(LEVEL, len(names) - 1, mean, spread)
        if np.asarray(correct).dtype == bool:
            low, high = max(low, 0.0), min(high, 1.0)
    return float(low), float(high)


def interval_method(n_speakers: int) -> str:
    """Return how `speaker_interval` is found for so many speakers: ``bootstrap``, ``student-t``."""
    return BOOTSTRAP if n_speakers >= FEWEST_FOR_BOOTSTRAP else STUDENT


def paired_gain(
    before: NDArray[Any],
    after: NDArray[Any],
    *,
    speakers: Labels,
    n_comparisons: int = 1,
    n_resamples: int = 10_000,
) -> dict[str, float]:
    """Return what a change gained on the same clips, and how sure that is.

    Clips are drawn again within each speaker, in pairs: what makes a clip easy or hard for both
    models cancels, and no voice weighs more than it does in the corpus. So the interval is about
    these voices; about others one can be less sure.

    Several changes that are compared with one model give several chances to find a gain where there
    is none. With `n_comparisons` each interval is widened as Bonferroni proposed, so that with a
    probability of 95 % or more *all* of them cover what they should.

    Parameters
    ----------
    before, after : ndarray, shape (n,)
        For each clip whether it was recognised, or in which share of several trainings.
    speakers : sequence of str, length n
    n_comparisons : int
        How many changes are compared in all.
    n_resamples : int

    Returns
    -------
    dict
        `accuracy` after the change, `gain`, `low` and `high`: shares. The gain is clear if zero is
        not between the last two.

    References
    ----------
    Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13,
    doi:10.1201/9780429246593; Dunn, "Multiple comparisons among means", 1961,
    doi:10.1080/01621459.1961.10482090.

    Examples
    --------
    >>> before, after = np.array([0, 0, 1, 1] * 25), np.array([0, 1, 1, 1] * 25)
    >>> found = paired_gain(before, after, speakers=["x-1", "x-2"] * 50, n_comparisons=6)
    >>> found["gain"], found["low"] > 0
    (0.25, True)
    """
    change = np.asarray(after, dtype=float) - np.asarray(before, dtype=float)
    rng, names = np.random.default_rng(0), np.asarray(speakers)
    total = np.zeros(n_resamples)
    for name in np.unique(names):
        own = change[names == name]
        # Clips change by one of a few amounts: how frequently each is drawn is all that counts.
        amounts, counts = np.unique(own, return_counts=True)
        total += rng.multinomial(len(own), counts / len(own), size=n_resamples) @ amounts
    tail = (1 - LEVEL) / 2 / n_comparisons
    low, high = np.quantile(total / len(change), [tail, 1 - tail])
    return {
        "accuracy": float(np.mean(after)),
        "gain": float(change.mean()),
        "low": float(low),
        "high": float(high),
    }


def paired_permutation_test(
    before: NDArray[np.bool_], after: NDArray[np.bool_], *, speakers: Labels
) -> float:
    """Return the p-value of the claim that it makes no difference which of two models is asked.

    If it made none, the names of both could be exchanged for any voice. So they are, for each
    subset of the voices, and the p-value is the share of these exchanges that set the models as far
    apart as they are, or further. It is exact, and about other voices of the same kind, as each
    voice counts once, however many of its clips went one way. The smallest p-value that n voices
    can give is 2 / 2^n.

    Parameters
    ----------
    before, after : ndarray of bool, shape (n,)
        Whether each clip was recognised by the one model, and by the other.
    speakers : sequence of str, length n

    References
    ----------
    Pitman, "Significance tests which may be applied to samples from any populations", 1937,
    doi:10.2307/2984124.

    Examples
    --------
    >>> worse, better = np.zeros(4, dtype=bool), np.ones(4, dtype=bool)
    >>> paired_permutation_test(worse, better, speakers=["x-1", "x-2", "x-3", "x-3"])
    0.25
    """
    _, codes = np.unique(np.asarray(speakers), return_inverse=True)
    change = np.asarray(after, dtype=int) - np.asarray(before, dtype=int)
    gained = np.bincount(codes, weights=change).astype(int)  # clips of each voice
    furthest = int(np.abs(gained).sum())
    share = np.zeros(2 * furthest + 1)  # of the exchanges, by the sum of what the voices gain
    share[furthest] = 1.0
    for gain in gained:
        share = (np.roll(share, gain) + np.roll(share, -gain)) / 2
    sums = np.arange(-furthest, furthest + 1)
    return float(min(1.0, share[np.abs(sums) >= abs(gained.sum())].sum()))


def holm(p_values: Sequence[float] | Array) -> NDArray[np.float64]:
    """Return p-values that may be compared with one level, however many they are.

    Whoever calls those below 5 % a difference is wrong in one of them or more with a probability
    of 5 % at most.

    Parameters
    ----------
    p_values : sequence of float, length n
        Of all comparisons that are made, not only of those that look good.

    Returns
    -------
    ndarray, shape (n,)
        In the same order.

    References
    ----------
    Holm, "A simple sequentially rejective multiple test procedure", 1979, Scandinavian Journal of
    Statistics 6, 65-70.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    array([0.03, 0.06, 0.06])
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return np.minimum(adjusted, 1.0)


def scores(truth: Labels, probabilities: Array, *, labels: Sequence[str]) -> dict[str, float]:
    """Return accuracy, UAR, macro-F1, expected calibration error and chance of one set of clips.

    Parameters
    ----------
    truth : sequence of str, length n
    probabilities : ndarray, shape (n, k)
        One column for each of `labels`.
    labels : sequence of str, length k

    Examples
    --------
    >>> scores(["sad", "happy"], np.array([[0.25, 0.75], [1.0, 0.0]]), labels=["happy", "sad"])
    {'accuracy': 1.0, 'uar': 1.0, 'macro_f1': 1.0, 'ece': 0.125, 'chance': 0.5}
    """
    from sklearn.metrics import f1_score

    truth, said = np.asarray(truth), np.asarray(labels)[probabilities.argmax(axis=1)]
    return {
        "accuracy": float(np.mean(said == truth)),
        "uar": unweighted_average_recall(truth, said),
        "macro_f1": float(f1_score(truth, said, average="macro")),
        "ece": calibration_error(probabilities, said == truth),
        "chance": chance(truth),
    }


def answers(
    rows: pd.DataFrame, *, labels: Sequence[str]
) -> tuple[NDArray[np.str_], NDArray[np.float64]]:
    """Read the most probable label of each row of predictions, and its probabilities.

    Parameters
    ----------
    rows : pandas.DataFrame
        With the columns ``p_<label>``.
    labels : sequence of str, length k

    Returns
    -------
    said : ndarray of str, shape (n,)
    probabilities : ndarray, shape (n, k)

    Raises
    ------
    ValueError
        If one is no probability, or those of a row do not sum to one.
    """
    P = rows[[f"p_{label}" for label in labels]].to_numpy(dtype=np.float64)
    off = np.abs(P.sum(axis=1) - 1)
    if wrong := np.flatnonzero(~((P >= 0).all(axis=1) & (off < LARGEST_ERROR))).tolist():
        told = ", ".join(f"{label} {p:g}" for label, p in zip(labels, P[wrong[0]], strict=True))
        raise ValueError(f"prediction {wrong[0] + 1} has no probabilities that sum to 1: {told}")
    return np.asarray(labels)[P.argmax(axis=1)], P


def summarize(predictions: pd.DataFrame, *, emotions: Sequence[str]) -> dict[str, Any]:
    """Return every figure that follows from the out-of-fold predictions of one protocol.

    Parameters
    ----------
    predictions : pandas.DataFrame
        Columns `clip_id`, `protocol` (one value), `fold`, `truth`, `speaker`, `gender`, and
        `p_<emotion>`.
    emotions : sequence of str
        The label set.

    Returns
    -------
    dict
        `accuracy`, `uar`, `macro_f1`, `ece`, `chance`: the mean over the seeds of protocol
        ``random``, over all clips at once of others; `accuracy_interval` (over speakers, None
        where `speaker_interval` is NaN) and `interval`, its method, or, where the same voices are
        on both sides, `accuracy_sd` (over folds); `n_draws` and `accuracy_sd_of_draws` where voices
        were enrolled several times; `confusion`, `by_gender` and `folds`; `by_corpus` where there
        is a column `corpus`.
    """
    from sklearn.metrics import confusion_matrix

    protocol = str(predictions["protocol"].iloc[0])
    folds: list[dict[str, Any]] = []
    for name, rows in predictions.groupby("fold", sort=False):
        told: dict[str, Any] = {"fold": str(name)}
        if protocol == "random":
            told["seed"] = int(str(name).removeprefix("seed "))
        else:
            told["test_speakers"] = sorted(map(str, rows["speaker"].dropna().unique()))
        folds.append({**told, **_figures(rows, emotions=emotions)})
    summary = _figures(predictions, emotions=emotions)
    if protocol == "random":
        names = ("accuracy", "uar", "macro_f1", "ece", "chance")
        summary |= {name: float(np.mean([fold[name] for fold in folds])) for name in names}
    summary |= _spread(predictions, emotions=emotions, folds=folds)
    said, _ = answers(predictions, labels=emotions)
    truth = predictions["truth"].to_numpy(dtype=str)
    draw = predictions.get("draw")
    if draw is not None and draw.notna().any():
        accuracies = _correct(predictions, emotions=emotions).groupby(draw.to_numpy()).mean()
        summary |= {"n_draws": len(accuracies), "accuracy_sd_of_draws": float(accuracies.std())}
    summary["confusion"] = confusion_matrix(truth, said, labels=list(emotions)).tolist()
    summary["by_gender"] = {
        str(gender): _figures(rows, emotions=emotions)
        for gender, rows in predictions.dropna(subset=["gender"]).groupby("gender")
    }
    if "corpus" in predictions and predictions["corpus"].notna().any():
        summary["by_corpus"] = {
            str(corpus): _figures(rows, emotions=emotions) | _spread(rows, emotions=emotions)
            for corpus, rows in predictions.groupby("corpus")
        }
    return {**summary, "folds": folds}


def _figures(rows: pd.DataFrame, *, emotions: Sequence[str]) -> dict[str, Any]:
    truth, (_, P) = rows["truth"].to_numpy(dtype=str), answers(rows, labels=emotions)
    return {"n_scored": int(rows["clip_id"].nunique()), **scores(truth, P, labels=emotions)}


def _correct(rows: pd.DataFrame, *, emotions: Sequence[str]) -> pd.Series:
    """Return whether each row is right, by clip."""
    return rows.set_index("clip_id")["truth"].astype(str) == answers(rows, labels=emotions)[0]


def _spread(
    rows: pd.DataFrame, *, emotions: Sequence[str], folds: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    """Return an interval over speakers where voices are new, else a deviation over folds."""
    if rows["protocol"].iloc[0] in ("random", "recording"):
        accuracies = [fold["accuracy"] for fold in folds]
        return {"accuracy_sd": float(np.std(accuracies, ddof=1)) if len(folds) > 1 else None}
    # A clip by an unknown speaker can only stand for itself.
    voices = rows["speaker"].fillna(rows["clip_id"]).to_numpy(dtype=str)
    interval = interval_or_none(_correct(rows, emotions=emotions).to_numpy(), voices)
    method = {"interval": interval_method(len(np.unique(voices)))} if interval else {}
    return {"accuracy_interval": interval, **method}


def interval_or_none(correct: NDArray[Any], speakers: Labels) -> list[float] | None:
    """Return what `speaker_interval` does as JSON can hold it: None where there is none."""
    interval = speaker_interval(correct, speakers)
    return list(interval) if np.isfinite(interval).all() else None


def enrolment_gain(
    enrolled: pd.DataFrame, plain: pd.DataFrame, *, emotions: Sequence[str]
) -> dict[str, Any]:
    """Return what enrolling brought, on the same clips: those that enrol are scored by neither.

    Parameters
    ----------
    enrolled, plain : pandas.DataFrame
        Predictions with and without enrolment, as `summarize` takes them; `plain` has every clip of
        `enrolled`, which may have it several times.
    emotions : sequence of str
        The label set.

    Returns
    -------
    dict
        `accuracy` without enrolment, the `gain`, its `gain_interval` over speakers.
    """
    before = _correct(plain, emotions=emotions).reindex(enrolled["clip_id"]).to_numpy(dtype=float)
    gain = _correct(enrolled, emotions=emotions).to_numpy() - before
    return {
        "accuracy": float(before.mean()),
        "gain": float(gain.mean()),
        "gain_interval": interval_or_none(gain, enrolled["speaker"].to_numpy(dtype=str)),
    }
