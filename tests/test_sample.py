"""The committed sample corpora are what `data/README.md` says, and their maker can be repeated."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile

from sercourse import corpora

FOLDS = (  # as published for RAVDESS
    {1, 11, 20, 21},
    {4, 10, 12, 14},
    {8, 9, 19, 23},
    {3, 5, 7, 24},
    {2, 15, 16, 18},
    {6, 13, 17, 22},
)
MAXIMUM_BYTES = 6_000_000  # of the sample; and of the tables and results together


@pytest.fixture(scope="module")
def ravdess(sample_ravdess: Path) -> corpora.Scan:
    return corpora.scan(sample_ravdess, corpus="ravdess")


@pytest.fixture(scope="module")
def aesdd(sample_aesdd: Path) -> corpora.Scan:
    return corpora.scan(sample_aesdd, corpus="aesdd")


@pytest.fixture
def tool(root: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(root / "tools"))
    import make_sample_corpora

    return make_sample_corpora


def test_ravdess_has_every_combination_once(ravdess: corpora.Scan) -> None:
    clips = ravdess.clips
    assert len(clips) == 360
    assert ravdess.rejects.empty
    assert clips.groupby("speaker").size().eq(30).all()
    counts = clips.groupby(["emotion", "intensity"]).size()
    assert len(counts) == 15  # two strengths of eight emotions, of neutral only one
    assert counts.eq(24).all()
    assert clips.groupby("statement").size().tolist() == [180, 180]


def test_every_published_fold_has_two_voices(ravdess: corpora.Scan) -> None:
    actors = {int(speaker.removeprefix("ravdess-")) for speaker in ravdess.clips["speaker"]}
    assert [len(actors & fold) for fold in FOLDS] == [2] * 6
    speakers = ravdess.clips.drop_duplicates("speaker")
    assert speakers["gender"].value_counts().to_dict() == {"female": 6, "male": 6}


def test_aesdd_has_its_counts(aesdd: corpora.Scan) -> None:
    clips = aesdd.clips
    assert len(clips) == 153
    assert clips["speaker"].nunique() == 6
    assert clips.groupby(["speaker", "emotion"]).size().between(5, 6).all()
    assert clips["emotion"].nunique() == 5


def test_aesdd_has_two_broken_files(aesdd: corpora.Scan) -> None:
    reasons = {Path(path).name: why for path, why in aesdd.rejects[["path", "reason"]].to_numpy()}
    assert reasons.keys() == {"a20 (5).wav", "s05 (3).wav"}
    assert "empty file" in reasons["a20 (5).wav"]
    assert "truncated header" in reasons["s05 (3).wav"]


@pytest.mark.parametrize("corpus", ["ravdess", "aesdd"])
def test_every_clip_holds_sound(corpus: str, request: pytest.FixtureRequest) -> None:
    for path in request.getfixturevalue(corpus).clips["path"]:
        y, sr = soundfile.read(path)
        assert sr == 16_000, path
        assert y.ndim == 1, path
        assert 0.5 <= len(y) / sr <= 6.0, path
        assert np.isfinite(y).all(), path
        assert 0.002 < np.sqrt(np.mean(y**2)) < 0.3, path
        assert np.abs(y).max() < 1.0, path  # not clipped


def test_sample_is_small(root: Path) -> None:
    files = [path for path in (root / "data" / "sample").rglob("*") if path.is_file()]
    assert len(files) == 360 + 153 + 2
    assert sum(path.stat().st_size for path in files) <= MAXIMUM_BYTES


def test_tables_and_results_are_small(root: Path) -> None:
    folders = [root / "data" / name for name in ("tables", "results")]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= MAXIMUM_BYTES


def test_readme_says_what_the_sample_is(root: Path) -> None:
    text = " ".join((root / "data" / "README.md").read_text("utf-8").split())
    assert "They are synthetic" in text
    assert "Scores on them are not results" in text
    assert "CC0" in text


def test_plan_of_the_maker_names_the_committed_files(tool: ModuleType, root: Path) -> None:
    sample = root / "data" / "sample"
    planned = [clip.path for clip in (*tool.plan.ravdess_clips(), *tool.plan.aesdd_clips())]
    committed = [path.relative_to(sample).as_posix() for path in sample.rglob("*.*")]
    assert sorted([*planned, *tool.plan.BROKEN_FILES]) == sorted(committed)


def test_same_samples_are_the_same_bytes(tool: ModuleType, tmp_path: Path) -> None:
    y = 0.1 * np.sin(2 * np.pi * 220 * np.arange(32_000) / 16_000)
    for name in ("a.ogg", "b.ogg"):
        tool.ogg.write(tmp_path / name, y, sr=16_000)
    assert (tmp_path / "a.ogg").read_bytes() == (tmp_path / "b.ogg").read_bytes()
    decoded, sr = soundfile.read(tmp_path / "a.ogg")
    assert (len(decoded), sr) == (32_000, 16_000)
    assert np.corrcoef(decoded, y)[0, 1] > 0.99


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_clip_can_be_made_again(tool: ModuleType, tmp_path: Path) -> None:
    clip = next(tool.plan.ravdess_clips())
    made = []
    for name in ("a", "b"):
        tool.make_clip(clip, out=tmp_path / name, seed=0)
        made.append((tmp_path / name / clip.path).read_bytes())
    assert made[0] == made[1]
    tool.make_clip(clip, out=tmp_path / "c", seed=1)
    assert (tmp_path / "c" / clip.path).read_bytes() != made[0]


def test_missing_synthesiser_is_one_sentence(root: Path, tmp_path: Path) -> None:
    script = root / "tools" / "make_sample_corpora.py"
    done = subprocess.run(
        [sys.executable, str(script), "--out", str(tmp_path / "sample")],
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("espeak-ng is not installed")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "sample").exists()
