"""Several corpora as one: unique names, groups across folders, and sides that share nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from sercourse import corpora, experiment, recipes


@pytest.fixture
def own_clips(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    folder = tmp_path / "own"
    folder.mkdir()
    for k, emotion in enumerate(["happy", "sad", "angry", "fear"]):
        soundfile.write(folder / f"me{k}_{emotion}.wav", rng.uniform(-0.3, 0.3, 16_000), 16_000)
    return folder


@pytest.fixture
def aesdd(sample_aesdd: Path) -> pd.DataFrame:
    return corpora.scan(sample_aesdd, corpus="aesdd").clips


def test_names_stay_unique_and_nothing_is_lost(own_clips: Path, aesdd: pd.DataFrame) -> None:
    mine = corpora.scan(own_clips, corpus="custom").clips
    both = corpora.combine([mine, aesdd])
    assert len(both) == len(mine) + len(aesdd)
    assert both["clip_id"].is_unique
    assert both["clip_id"].is_monotonic_increasing
    assert both["clip_id"].str.startswith("custom/me").sum() == len(mine)
    assert (both.dtypes == aesdd.dtypes).all()
    assert both["split"].isna().all()


def test_identical_content_shares_a_group_across_folders(
    own_clips: Path, aesdd: pd.DataFrame
) -> None:
    stolen = aesdd.iloc[0]
    shutil.copy(stolen["path"], own_clips / f"copy_{stolen['emotion']}.ogg")
    both = corpora.combine([corpora.scan(own_clips, corpus="custom").clips, aesdd])
    twins = both[both["content"] == stolen["content"]]
    assert len(twins) == 2
    assert twins["group"].nunique() == 1
    with pytest.raises(ValueError, match="same recording is in training and in test"):
        corpora.combine([aesdd], test=[corpora.scan(own_clips, corpus="custom").clips])


def test_segments_share_a_group_with_their_recording_in_another_corpus(
    own_clips: Path, aesdd: pd.DataFrame
) -> None:
    stolen = aesdd.iloc[0]
    shutil.copy(stolen["path"], own_clips / "talk.ogg")
    rows = (
        "path,start,end,emotion\ntalk.ogg,0,0.5,sad\ntalk.ogg,0.5,1,happy\nme0_happy.wav,,,happy\n"
    )
    (own_clips / "t.csv").write_text(rows)
    segments = corpora.scan(own_clips, corpus=None, csv=own_clips / "t.csv").clips
    both = corpora.combine([aesdd, segments])
    joined = both[both["group"] == both.set_index("clip_id")["group"]["aesdd/" + stolen["clip_id"]]]
    assert len(joined) == 3
    assert both["start"].notna().sum() == 2
    with pytest.raises(ValueError, match="same recording is in training and in test"):
        corpora.combine([aesdd], test=[segments])


def test_the_same_folder_twice_is_refused(own_clips: Path) -> None:
    mine = corpora.scan(own_clips, corpus="custom").clips
    with pytest.raises(ValueError, match="two tables have a clip 'custom/me0_happy'"):
        corpora.combine([mine, mine])
    with pytest.raises(ValueError, match="no clip table"):
        corpora.combine([])


def test_training_on_one_corpus_and_testing_on_another(
    aesdd: pd.DataFrame, sample_ravdess: Path, tmp_path: Path
) -> None:
    ravdess = corpora.scan(sample_ravdess, corpus="ravdess").clips
    clips = corpora.combine([ravdess], test=[aesdd])
    recipe = recipes.from_zoo("svc", {"model__C": 1}, feature_set="statistics")
    emotions = ["happy", "sad", "angry"]
    data = experiment.prepare(recipe, clips, emotions=emotions, progress=False)
    assert data.corpus == "aesdd+ravdess"
    found = experiment.evaluate_recipe(recipe, data, protocol="given", store=tmp_path)
    assert found.predictions["clip_id"].str.startswith("aesdd/").all()
    assert len(found.predictions) == aesdd["emotion"].isin(emotions).sum()
    # All test voices are new: so are those that calibration looks at.
    assert set(experiment.inner_groups(data, "given")) == set(data.speakers)


def test_a_given_split_with_shared_voices_keeps_recordings_together(
    sample_ravdess: Path,
) -> None:
    clips = corpora.scan(sample_ravdess, corpus="ravdess").clips
    clips["split"] = pd.array(["train", "test"] * (len(clips) // 2), dtype="string")
    recipe = recipes.from_zoo("svc", {}, feature_set="statistics")
    data = experiment.prepare(recipe, clips, progress=False)
    assert set(experiment.inner_groups(data, "given")) == set(data.clips["group"])
