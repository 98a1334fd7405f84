"""Splits: who may be on which side."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sercourse import splits

ACTORS = [f"ravdess-{actor:02d}" for actor in range(1, 25)]


def table(speakers: list[str], *, per_speaker: int = 16) -> dict[str, np.ndarray]:
    n = len(speakers) * per_speaker
    return {
        "y": np.tile(["sad", "happy"], n // 2),
        "speakers": np.repeat(speakers, per_speaker),
        "groups": np.array([f"clip {k}" for k in range(n)]),
    }


def test_ravdess_gets_the_published_folds() -> None:
    folds = splits.make_folds("speaker", corpus="ravdess", **table(ACTORS))
    actors = [tuple(int(name[-2:]) for name in fold.test_speakers) for fold in folds]
    assert actors == list(splits.RAVDESS_FOLDS)


@pytest.mark.parametrize("protocol", ["recording", "speaker", "speaker+norm"])
def test_every_clip_is_tested_once(protocol: str) -> None:
    folds = splits.make_folds(protocol, corpus="ravdess", **table(ACTORS))
    tested = np.concatenate([fold.test for fold in folds])
    assert sorted(tested) == list(range(24 * 16))


@pytest.mark.parametrize("protocol", ["speaker", "speaker+norm", "speaker+enrol"])
@pytest.mark.parametrize("n_speakers", [2, 6, 10, 13])
def test_no_voice_is_on_both_sides(protocol: str, n_speakers: int) -> None:
    data = table([f"x-{k}" for k in range(n_speakers)])
    for fold in splits.make_folds(protocol, corpus="x", **data):
        heard = set(data["speakers"][fold.train])
        assert heard.isdisjoint(data["speakers"][fold.test])
        assert heard.isdisjoint(data["speakers"][fold.enrol])
        assert heard | set(fold.test_speakers) == set(data["speakers"])


def test_enrolment_is_drawn_several_times_the_first_as_ever() -> None:
    data = table(ACTORS)
    for fold in splits.make_folds("speaker+enrol", corpus="ravdess", **data):
        drawn = splits.draws(fold, data["speakers"])
        assert len({tuple(each.enrol) for each in drawn}) == splits.ENROLMENT_DRAWS
        np.testing.assert_array_equal(drawn[0].enrol, fold.enrol)
        for each in drawn:
            np.testing.assert_array_equal(each.train, fold.train)
            both = np.sort(np.concatenate([each.enrol, each.test]))
            np.testing.assert_array_equal(both, np.sort(np.concatenate([fold.enrol, fold.test])))
    (plain, *_) = splits.make_folds("speaker", corpus="ravdess", **data)
    assert splits.draws(plain, data["speakers"]) == [plain]


def test_random_tests_a_fifth_of_each_emotion() -> None:
    data = table(ACTORS)
    fold = splits.make_folds("random", corpus="ravdess", seeds=[3], **data)[0]
    _, counts = np.unique(data["y"][fold.test], return_counts=True)
    assert fold.name == "seed 3"
    assert abs(counts - 0.2 * 192).max() <= 1
    assert sorted(np.concatenate([fold.train, fold.test])) == list(range(384))


@settings(max_examples=25)
@given(st.integers(0, 1000))
def test_groups_stay_together(seed: int) -> None:
    data = table(ACTORS[:6], per_speaker=20)
    # Two takes of one utterance, both of the same emotion, as in AESDD.
    pairs = np.random.default_rng(seed).permutation(len(data["y"]) // 4)[:8] * 4
    data["groups"][pairs + 2] = data["groups"][pairs]
    for protocol in ("random", "recording"):
        for fold in splits.make_folds(protocol, corpus="x", seeds=[seed], **data):
            assert set(data["groups"][fold.train]).isdisjoint(data["groups"][fold.test])


def of_corpora(**n_speakers: int) -> dict[str, np.ndarray]:
    names = {"ravdess": "ravdess-{:02d}"}
    speakers = [
        names.get(corpus, corpus + "-{}").format(k)
        for corpus, n in n_speakers.items()
        for k in range(1, n + 1)
    ]
    data = table(speakers)
    return {**data, "corpus": np.array([each.split("-")[0] for each in data["speakers"]])}


@pytest.mark.parametrize(
    ("n_speakers", "n_folds"),
    [
        ({"ravdess": 24, "aesdd": 6}, 6),
        ({"ravdess": 24, "emodb": 10}, 6),
        ({"tess": 2, "savee": 4}, 6),
        ({"tess": 2, "own": 1}, 3),
    ],
)
def test_folds_by_speaker_of_several_corpora_are_joined_evenly(
    n_speakers: dict[str, int], n_folds: int
) -> None:
    data = of_corpora(**n_speakers)
    folds = splits.make_folds("speaker", **data)
    assert len(folds) == n_folds
    assert sorted(np.concatenate([fold.test for fold in folds])) == list(range(len(data["y"])))
    for corpus in n_speakers:
        counts = [sum(name.startswith(corpus) for name in fold.test_speakers) for fold in folds]
        assert max(counts) - min(counts) <= 1
    tested = [{int(name[-2:]) for name in f.test_speakers if "ravdess" in name} for f in folds]
    if "ravdess" in n_speakers:
        assert all(actors in map(set, splits.RAVDESS_FOLDS) for actors in tested)


def test_voices_that_two_corpora_share_are_tested_once() -> None:
    data = of_corpora(ravdess=24)
    data["corpus"] = np.where(np.arange(len(data["y"])) % 4 < 2, "ravdess", "ravdess-song")
    folds = splits.make_folds("speaker", **data)
    assert [len(fold.test_speakers) for fold in folds] == [4] * 6
    with pytest.raises(ValueError, match="speaker ravdess-01 is in corpus 'ravdess' and in anoth"):
        splits.make_folds("corpus", **data)


@pytest.mark.parametrize("only", [None, "a", "b"])
def test_a_split_by_corpus_asks_for_shared_labels_only(only: str | None) -> None:
    data = of_corpora(a=2, b=3, c=2)
    data["y"] = np.where((data["corpus"] == "a") & (data["y"] == "sad"), "calm", data["y"])
    data["y"][:4] = "sad"  # a: calm, happy and sad
    folds = splits.make_folds("corpus", split=np.where(data["corpus"] == only, "test", ""), **data)
    assert [fold.name for fold in folds] == ([only] if only else ["a", "b", "c"])
    for fold in folds:
        assert fold.shared == ("happy", "sad")
        assert set(data["corpus"][fold.train]) == {"a", "b", "c"} - {fold.name}
        assert set(data["corpus"][fold.test]) == {fold.name}
        assert set(data["y"][fold.test]) == {"happy", "sad"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"corpus": "a"}, "all clips are of one corpus"),
        ({"y": ["calm", "bored"] * 16 + ["sad", "happy"] * 16}, "'a' shows bored, calm and shares"),
        ({"y": ["sad", "bored"] * 16 + ["sad", "happy"] * 16}, "and shares sad with b: a test"),
        ({"groups": ["g"] * 64}, "'g', or another take of it, is in training and in test"),
    ],
)
def test_impossible_splits_by_corpus_are_refused(change: dict[str, list], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        splits.make_folds("corpus", **{**of_corpora(a=2, b=2), **change})


def test_given_follows_the_table() -> None:
    data = table(["x-1"], per_speaker=4)
    fold = splits.make_folds("given", corpus="x", split=["train", "test", "train", None], **data)[0]
    assert (list(fold.train), list(fold.test)) == ([0, 2], [1])


@pytest.mark.parametrize(
    ("protocol", "change", "message"),
    [
        ("speakers", {}, "unknown protocol 'speakers': use one of random"),
        ("random", {"y": ["sad"] * 47 + ["happy"]}, "'happy' has 1 .*recording.* at least 2"),
        ("recording", {"y": ["sad"] * 44 + ["happy"] * 4}, "at least 5"),
        ("speaker", {"speakers": ["a"] * 48}, "all clips are by one speaker"),
        ("speaker", {"speakers": [None] * 2 + ["a", "b"] * 23}, "speaker of 2 of 48 clips"),
        ("speaker", {"groups": ["g"] * 48}, "'g', or another take of it, is in training"),
        ("speaker+enrol", {"speakers": ["a"] * 40 + ["b"] * 8}, "speaker b has 8 clips"),
        ("given", {}, "0 training and 0 test clips"),
        ("given", {"split": ["train", "test"] * 24, "groups": ["g"] * 48}, "'g'.* in training and"),
    ],
)
def test_impossible_splits_are_refused_in_a_sentence(
    protocol: str, change: dict[str, list], message: str
) -> None:
    data = {**table(["x-1", "x-2", "x-3"]), **change}
    with pytest.raises(ValueError, match=message):
        splits.make_folds(protocol, corpus="x", **data)


def test_undersampling_takes_each_clip_once_and_as_many_of_every_emotion() -> None:
    y = np.array(["sad"] * 40 + ["calm"] * 9 + ["happy"] * 20)
    chosen = splits.undersample(y, seed=3)
    assert np.unique(chosen).tolist() == chosen.tolist()  # rising, and none twice
    assert np.unique(y[chosen], return_counts=True)[1].tolist() == [9, 9, 9]
    assert np.array_equal(chosen, splits.undersample(y, seed=3))
    assert not np.array_equal(chosen, splits.undersample(y, seed=4))
    assert np.array_equal(splits.undersample(y), splits.undersample(y, seed=0))


@pytest.mark.parametrize(("protocol", "least"), [("random", 2), ("recording", 5)])
def test_a_rare_emotion_is_counted_by_recording_and_not_by_clip(protocol: str, least: int) -> None:
    data = table(["x-1", "x-2"], per_speaker=40)
    data["y"] = np.where(np.arange(80) < 12, "calm", data["y"])
    for n_groups in (least - 1, least):
        data["groups"][:12] = [f"take {k % n_groups}" for k in range(12)]
        if n_groups < least:
            with pytest.raises(ValueError, match=rf"'calm' has {n_groups} .* at least {least}"):
                splits.make_folds(protocol, corpus="x", **data)
        else:
            folds = splits.make_folds(protocol, corpus="x", seeds=range(3), **data)
            assert all("calm" in data["y"][fold.train] for fold in folds)


@pytest.mark.parametrize("side", ["train", "test", ""])
def test_a_given_split_has_two_sides(side: str) -> None:
    data = table(["x-1"], per_speaker=4)
    with pytest.raises(ValueError, match=r"names \d training and \d test clips: protocol 'given'"):
        splits.make_folds("given", corpus="x", split=[side] * 4, **data)


def names_of(folds: list[splits.Fold]) -> list[tuple[str, ...]]:
    return [fold.test_speakers for fold in folds]


def test_actors_whom_no_published_fold_names_are_tested_too() -> None:
    speakers = [*ACTORS, "ravdess-25"]
    data = table(speakers)
    folds = splits.make_folds("speaker", corpus="ravdess", **data)
    assert names_of(folds) == [tuple(speakers[k::6]) for k in range(6)]
    assert sorted(np.concatenate([fold.test for fold in folds])) == list(range(25 * 16))


def test_some_actors_keep_their_published_folds_unless_one_fold_has_them_all() -> None:
    some = ["ravdess-01", "ravdess-04", "ravdess-10", "ravdess-11"]
    folds = splits.make_folds("speaker", corpus="ravdess", **table(some))
    assert names_of(folds) == [("ravdess-01", "ravdess-11"), ("ravdess-04", "ravdess-10")]
    folds = splits.make_folds("speaker", corpus="ravdess", **table(some[::3]))
    assert names_of(folds) == [("ravdess-01",), ("ravdess-11",)]
    folds = splits.make_folds("speaker", corpus="x", **table(some))
    assert names_of(folds) == [(each,) for each in some]
    assert [fold.name for fold in folds] == ["fold 1", "fold 2", "fold 3", "fold 4"]


@pytest.mark.parametrize(("n_speakers", "n_folds"), [(2, 2), (10, 10), (11, 6)])
def test_ten_speakers_are_left_out_one_by_one(n_speakers: int, n_folds: int) -> None:
    folds = splits.make_folds(
        "speaker", corpus="x", **table([f"x-{k:02}" for k in range(n_speakers)])
    )
    assert len(folds) == n_folds


def test_eight_clips_enrol_a_voice_and_at_least_one_is_scored() -> None:
    data = table(["x-1", "x-2"], per_speaker=10)
    kept = ~((data["speakers"] == "x-2") & (np.arange(20) == 19))  # nine clips
    data = {name: each[kept] for name, each in data.items()}
    folds = splits.make_folds("speaker+enrol", corpus="x", **data)
    assert [(len(f.enrol), len(f.test), len(f.train)) for f in folds] == [(8, 2, 9), (8, 1, 10)]
    for fold in folds:
        assert np.unique(fold.enrol).tolist() == fold.enrol.tolist()
        assert set(fold.enrol).isdisjoint(fold.test)
        assert set(data["speakers"][fold.enrol]) == set(fold.test_speakers)
        assert len(splits.draws(fold, data["speakers"])) == 5


def test_a_voice_is_enrolled_only_where_the_protocol_says_so() -> None:
    for protocol in ("speaker", "speaker+norm"):
        folds = splits.make_folds(protocol, corpus="x", **table(["x-1", "x-2"]))
        assert [(len(fold.enrol), len(fold.test)) for fold in folds] == [(0, 16)] * 2
    data = of_corpora(a=2, b=3)
    for protocol, n_enrol in {"corpus": 0, "corpus+norm": 0, "corpus+enrol": 8}.items():
        folds = splits.make_folds(protocol, **data)
        assert [len(fold.enrol) for fold in folds] == [2 * n_enrol, 3 * n_enrol]


@pytest.mark.parametrize("protocol", ["speaker", "speaker+norm", "corpus+norm", "corpus+enrol"])
def test_who_speaks_must_be_known_where_it_matters(protocol: str) -> None:
    data = {**of_corpora(a=2, b=3)}
    data["speakers"] = np.where(np.arange(len(data["y"])) == 3, None, data["speakers"])
    with pytest.raises(ValueError, match="the speaker of 1 of 80 clips is unknown"):
        splits.make_folds(protocol, **data)
    for fold in splits.make_folds("corpus", **data):
        assert None not in fold.test_speakers


def test_seeds_draw_other_clips_and_the_same_again() -> None:
    data = table(ACTORS[:4])
    one, two = splits.make_folds("random", corpus="x", seeds=[0, 1], **data)
    (again,) = splits.make_folds("random", corpus="x", seeds=[1], **data)
    assert not np.array_equal(one.test, two.test)
    assert np.array_equal(two.test, again.test)
    assert len(splits.make_folds("random", corpus="x", **data)) == 10


def test_inner_splits_are_mixed_and_as_many_as_the_rarest_emotion_allows() -> None:
    y = np.array(["sad", "happy"] * 20)
    groups = np.arange(40)
    for wanted, n_folds in {None: 4, 3: 3, 30: 20}.items():
        more = {} if wanted is None else {"n_folds": wanted}
        parts = splits.inner_splits(y, groups, **more)
        assert len(parts) == n_folds
        assert sorted(np.concatenate([test for _, test in parts])) == list(range(40))
        for train, test in parts:
            assert set(y[test]) == {"sad", "happy"}
            assert sorted([*train, *test]) == list(range(40))
    again = splits.inner_splits(y, groups)
    for (_, one), (_, other) in zip(splits.inner_splits(y, groups), again, strict=True):
        assert np.array_equal(one, other)
    assert any(np.ptp(test) > len(test) for _, test in again)  # not one stretch of the table
    assert len(splits.inner_splits(y, groups % 3)) == 3
    with pytest.raises(ValueError, match=r"'happy' has 1 .* at least 2"):
        splits.inner_splits(np.array(["happy", "sad", "sad"]), np.array([1, 1, 2]))


def test_folds_over_recordings_are_numbered_from_one() -> None:
    folds = splits.make_folds("recording", corpus="x", **table(["x-1"], per_speaker=40))
    assert [fold.name for fold in folds] == [f"fold {k}" for k in range(1, 6)]


def test_the_published_folds_name_every_actor_once() -> None:
    assert sorted(np.concatenate(splits.RAVDESS_FOLDS)) == list(range(1, 25))
    assert splits.RAVDESS_FOLDS[0] == (1, 11, 20, 21)


def test_a_shared_label_is_in_both_corpora() -> None:
    data = of_corpora(a=1, b=1)
    data["y"] = np.array((["sad", "happy", "calm"] * 6)[:16] + (["sad", "happy", "bored"] * 6)[:16])
    first, second = splits.make_folds("corpus", **data)
    assert (first.shared, second.shared) == (("happy", "sad"),) * 2
    assert set(data["y"][first.train]) == {"sad", "happy", "bored"}
    assert (first.test_speakers, second.test_speakers) == (("a-1",), ("b-1",))
