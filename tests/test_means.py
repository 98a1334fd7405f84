"""The toolkit's features: equal to plain calls of librosa, part by part."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from reference_means import plain

from sercourse import audio, features
from sercourse.features import means

SR = 16_000


# librosa says of the plain calls what the package has looked into and keeps quiet.
pytestmark = pytest.mark.filterwarnings("ignore:n_fft=.* is too large:UserWarning")


@pytest.fixture(scope="module")
def clips(root: Path) -> list[np.ndarray]:
    paths = sorted((root / "data" / "sample" / "ravdess").rglob("*.ogg"))[:4]
    return [audio.read(path, sr=SR) for path in paths]


def test_every_value_is_that_of_librosa(clips: list[np.ndarray]) -> None:
    for y in clips:
        ours = features.extract(y, sr=SR, feature_set=features.named("librosa"))
        theirs = np.concatenate(list(plain(y, sr=SR).values()))
        np.testing.assert_array_equal(ours, theirs)


def test_on_a_real_voice_too(ravdess_root: Path) -> None:
    path = sorted(ravdess_root.rglob("03-01-05-02-*"))[7]
    y = audio.read(path, sr=SR)
    np.testing.assert_array_equal(
        means.means(y, sr=SR), np.concatenate(list(plain(y, sr=SR).values()))
    )


@pytest.mark.parametrize("part", means.PARTS)
def test_a_part_is_the_same_alone(part: str, clips: list[np.ndarray]) -> None:
    chosen = features.named(f"librosa:{part}")
    row = features.extract(clips[0], sr=SR, feature_set=chosen)
    np.testing.assert_array_equal(row, plain(clips[0], sr=SR)[part])
    assert len(chosen.names) == len(row)


def test_a_choice_of_parts_is_a_set_of_its_own() -> None:
    some = features.librosa_set(["mel", "mfcc"])
    assert some.name == "librosa:mfcc+mel"
    same = features.named("librosa:mel+mfcc")
    assert (same.settings, same.names) == (some.settings, some.names)
    assert some.settings != features.named("librosa").settings
    assert features.librosa_set(means.PARTS).settings == features.named("librosa").settings


@pytest.mark.parametrize("name", ["librosa:", "librosa:pitch", "librosa:mfcc+", "other:mfcc"])
def test_unknown_parts_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"unknown (part|feature set)"):
        features.named(name)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.zeros(0), "lasts 0.00 s: at least 0.3 s"),
        (np.full(SR, np.nan), "sample 0 of the signal is nan"),
        (np.zeros((SR, 2)), "give one channel"),
    ],
)
def test_what_holds_no_clip_is_refused(y: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        means.means(y, sr=SR)


@pytest.mark.parametrize("seconds", [0.3, 0.7])
def test_short_clips_and_silence_give_no_warning(clips: list[np.ndarray], seconds: float) -> None:
    n = int(seconds * SR)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        short = means.means(clips[0][n : 2 * n], sr=SR)
        silent = means.means(np.zeros(n, dtype=np.float32), sr=SR)
    assert np.isfinite(short).all()
    assert np.isfinite(silent).all()


def test_worker_processes_compute_it_and_the_cache_keeps_it(
    sample_ravdess: Path, tmp_path: Path
) -> None:
    from sercourse import corpora

    clips = corpora.scan(sample_ravdess, corpus="ravdess").clips[:4]
    chosen = features.named("librosa:chroma")
    first = features.feature_table(clips, feature_set=chosen, n_jobs=2, cache=tmp_path)
    again = features.feature_table(clips, feature_set=chosen, cache=tmp_path)
    np.testing.assert_array_equal(first.X, again.X)
    assert [path.name.startswith("librosa-chroma") for path in tmp_path.iterdir()] == [True]


def test_rows_by_clip_serve_parts_of_a_table(
    sample_ravdess: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sercourse import corpora

    clips = corpora.scan(sample_ravdess, corpus="ravdess").clips[:5]
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"no sound")
    clips.loc[2, ["path", "content"]] = [str(broken), "other"]
    chosen = features.named("librosa:mfcc")
    whole = features.features_by_clip(clips, feature_set=chosen, cache=tmp_path / "rows")
    assert whole.rejects["path"].tolist() == [str(broken)]
    assert whole.clip_id.tolist() == clips["clip_id"].drop(2).tolist()

    part = clips.iloc[[4, 0]]
    monkeypatch.setattr(features.audio, "read", lambda *_, **__: pytest.fail("read again"))
    again = features.features_by_clip(part, feature_set=chosen, cache=tmp_path / "rows")
    np.testing.assert_array_equal(again.X, whole.X[[3, 0]])
    paths_only = part.drop(columns="content")
    monkeypatch.undo()
    hashed = features.features_by_clip(paths_only, feature_set=chosen, cache=tmp_path / "rows")
    np.testing.assert_array_equal(hashed.X, again.X)
