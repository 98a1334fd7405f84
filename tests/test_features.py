from __future__ import annotations

import errno
import gc
import io
import json
import os
import subprocess
import sys
import threading
import tracemalloc
import weakref
import zlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
from sounds import voice
from threadpoolctl import threadpool_info, threadpool_limits

from conftest import posix
from sercourse import audio, files
from sercourse.augment import Augmentation
from sercourse.features import (
    SETS,
    Features,
    FeatureSet,
    augmented,
    extract,
    feature_table,
    named,
    save_features,
    with_pre_emphasis,
)

SR = 16_000
N = 20_000


def noise(scale: float = 0.3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-scale, scale, N)


def speech_like(seed: int) -> np.ndarray:
    return voice(N / SR, sr=SR, seed=seed).astype(float)


def test_another_rate_or_name_is_refused() -> None:
    with pytest.raises(ValueError, match="sampled at 8000 Hz and 'statistics' needs 16000 Hz"):
        extract(noise(), sr=8_000, feature_set=named("statistics"))
    with pytest.raises(ValueError, match=r"'stats'.*statistics, statistics\+delta"):
        named("stats")


def test_pre_emphasis_comes_before_the_descriptors() -> None:
    y = speech_like(0)
    emphasised = np.concatenate([y[:1], y[1:] - 0.9 * y[:-1]])
    plain = named("statistics")
    row = extract(y, sr=SR, feature_set=with_pre_emphasis(plain, 0.9))
    np.testing.assert_allclose(row, extract(emphasised, sr=SR, feature_set=plain), rtol=1e-9)
    assert with_pre_emphasis(plain, 0) == plain
    assert with_pre_emphasis(plain, 1).pre_emphasis == 1
    for wrong in (97, 1.5, -0.5):
        with pytest.raises(ValueError, match=f"pre-emphasis is {wrong}: give a number from 0"):
            with_pre_emphasis(plain, wrong)


def test_a_feature_that_is_not_finite_is_named() -> None:
    broken = FeatureSet("broken", SR, ("good", "bad"), lambda y, *, sr: np.array([0.0, np.nan]))
    with pytest.raises(ValueError, match="feature bad of this signal is not finite"):
        extract(noise(), sr=SR, feature_set=broken)


def picture(y: np.ndarray, *, sr: int) -> np.ndarray:
    """A row that is an array: levels of three bands in two windows, so to say."""
    return np.outer([1, 2], [y[0], y[1], np.abs(y).max()]).astype(np.float32)


PICTURE = FeatureSet("picture", SR, ("low", "middle", "high"), picture, shape=(2, 3))


def test_settings_tell_of_shape_and_noise_only_where_there_is_any() -> None:
    old = {"sr": SR, "version": 1, "pre_emphasis": 0.0, "speed": 1.0}
    assert named("voice").settings == {"name": "voice", **old}
    assert PICTURE.settings == {"name": "picture", **old, "shape": [2, 3]}
    noise = {"kind": "noise", "amount": [15.0, 30.0], "draw": 0}
    noisy = augmented(PICTURE, Augmentation("noise", 15, 30))
    assert noisy.settings == {**PICTURE.settings, "augmentations": [noise]}
    assert json.loads(json.dumps(noisy.settings)) == noisy.settings


def test_names_are_those_of_the_last_axis_and_sizes_those_of_a_row() -> None:
    assert PICTURE.row_shape == (2, 3)
    assert named("statistics").row_shape == (200,)
    assert PICTURE.row_bytes == picture(noise(), sr=SR).nbytes
    row = extract(noise(), sr=SR, feature_set=named("statistics"))
    assert named("statistics").row_bytes == row.nbytes
    for each in SETS.values():
        assert len(each.names) == each.row_shape[-1]


def test_a_number_of_an_array_that_is_not_finite_is_named() -> None:
    def broken(y: np.ndarray, *, sr: int) -> np.ndarray:
        return picture(y, sr=sr) * np.array([1, np.inf, 1])

    with pytest.raises(ValueError, match="feature middle of this signal is not finite"):
        extract(noise(), sr=SR, feature_set=replace(PICTURE, function=broken))


@pytest.mark.parametrize(
    "feature_set",
    [named("whisper"), augmented(PICTURE, Augmentation("white", 10, 10)), PICTURE],
    ids=["encoder", "augmented", "picture"],
)
def test_what_is_no_signal_is_refused_before_anything_is_done_to_it(
    feature_set: FeatureSet,
) -> None:
    broken, both = noise(), np.stack([noise(), noise()], axis=1)
    broken[7] = np.nan
    with pytest.raises(ValueError, match="sample 7 of the signal is nan: give finite samples"):
        extract(broken, sr=SR, feature_set=feature_set)
    with pytest.raises(ValueError, match=r"the signal has shape \(20000, 2\): give one channel"):
        extract(both, sr=SR, feature_set=feature_set)


def test_augmentations_come_in_their_order_before_everything_else() -> None:
    y = speech_like(0).astype(np.float32)
    steps = (Augmentation("gaussian", 20, 20, draw=3), Augmentation("speed", 1.1, 1.1))
    signal = y
    for step in steps:
        signal = step.applied(signal, sr=SR)
    plain = with_pre_emphasis(named("statistics"), 0.97)
    np.testing.assert_array_equal(
        extract(y, sr=SR, feature_set=augmented(plain, *steps)),
        extract(signal, sr=SR, feature_set=plain),
    )


@pytest.fixture
def clips(tmp_path: Path) -> pd.DataFrame:
    """Three good clips, and one that is text, second in the table."""
    names = ["a", "broken", "c", "d"]
    for seed, name in enumerate(names):
        sf.write(tmp_path / f"{name}.wav", noise(seed=seed)[:8000], SR, subtype="FLOAT")
    (tmp_path / "broken.wav").write_text("not a sound")
    paths = [tmp_path / f"{name}.wav" for name in names]
    return pd.DataFrame(
        {
            "clip_id": pd.array(names, dtype="string"),
            "path": [str(path) for path in paths],
            "content": [files.clip_key(path) for path in paths],
        }
    )


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files read from here on."""
    log: list[str] = []
    read = audio.read

    def logged(path: str, *, sr: int) -> np.ndarray:
        log.append(Path(path).stem)
        return read(path, sr=sr)

    monkeypatch.setattr(audio, "read", logged)
    return log


def test_table_rejects_a_broken_clip_and_goes_on(clips: pd.DataFrame, tmp_path: Path) -> None:
    table = feature_table(clips, feature_set=named("statistics"), cache=tmp_path / "cache")
    assert table.clip_id.tolist() == ["a", "c", "d"]
    assert table.clip_id.dtype.kind == "U"
    assert table.names == named("statistics").names
    row = extract(noise(seed=2)[:8000].astype(np.float32), sr=SR, feature_set=named("statistics"))
    np.testing.assert_array_equal(table.X[1], row)
    assert table.rejects["path"].tolist() == [str(tmp_path / "broken.wav")]
    assert table.rejects["reason"].tolist() == ["not a sound file"]


def test_table_in_two_processes_is_the_same(clips: pd.DataFrame, tmp_path: Path) -> None:
    one = feature_table(clips, feature_set=named("statistics"), cache=tmp_path / "1")
    two = feature_table(clips, feature_set=named("statistics"), n_jobs=2, cache=tmp_path / "2")
    np.testing.assert_array_equal(one.X, two.X)
    pd.testing.assert_frame_equal(one.rejects, two.rejects)


def test_what_cannot_be_used_is_rejected_with_the_reason(
    clips: pd.DataFrame, tmp_path: Path
) -> None:
    sf.write(tmp_path / "silent.wav", np.zeros(8000), SR)
    (tmp_path / "\udcff.wav").write_text("not a sound")
    names = ["silent.wav", "none.wav", "\udcff.wav"]
    paths = [clips["path"][0], *(tmp_path / name for name in names)]
    table = pd.DataFrame({"clip_id": list("abcd"), "path": pd.Series(paths, dtype=object)})
    found = feature_table(table, feature_set=PICTURE)
    assert found.clip_id.tolist() == ["a"]
    assert found.rejects["path"].tolist() == [str(path) for path in paths[1:]]
    assert found.rejects["reason"].tolist() == [
        audio.fatal_issues(np.zeros(8000), sr=SR)[0],
        "no such file or directory",
        "not a sound file",
    ]


def test_a_clip_that_is_here_and_was_not_where_it_was_measured_is_an_error(
    clips: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    def blind(path: Path, *, sr: int) -> np.ndarray:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))

    monkeypatch.setattr(audio, "read", blind)
    with pytest.raises(FileNotFoundError, match=r"a\.wav is here, .*: share the folder with the"):
        feature_table(clips, feature_set=PICTURE)


def test_a_segment_is_a_part_of_its_file_which_is_read_once(
    clips: pd.DataFrame, reads: list[str]
) -> None:
    times = {"start": [0.0, 0.2, 0.1], "end": [0.3, np.nan, 0.4]}
    segments = pd.DataFrame({"clip_id": list("abc"), "path": clips["path"][0], **times})
    whole = noise()[:8000].astype(np.float32)
    wanted = [whole[:4800], whole[3200:], whole[1600:6400]]
    found = feature_table(segments, feature_set=PICTURE)
    np.testing.assert_array_equal(found.X, [picture(y, sr=SR) for y in wanted])
    assert reads == ["a"]


def test_no_recording_stays_in_memory(clips: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, read = [], audio.read

    def watched(path: Path, *, sr: int) -> np.ndarray:
        y = read(path, sr=sr)
        kept.append(weakref.ref(y))
        return y

    monkeypatch.setattr(audio, "read", watched)
    feature_table(clips.drop(index=1), feature_set=PICTURE)
    gc.collect()
    assert [each() for each in kept] == [None] * 3


def test_a_bar_is_shown_unless_it_is_not_wanted(
    clips: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[bool] = []

    def bar(rows: Iterable, *, disable: bool, **_: object) -> Iterable:
        shown.append(not disable)
        return rows

    monkeypatch.setattr("tqdm.tqdm", bar)
    feature_table(clips.drop(columns="content"), feature_set=PICTURE)
    feature_table(clips.drop(columns="content"), feature_set=PICTURE, progress=False)
    assert shown == [True, False]


def threads(y: np.ndarray, *, sr: int) -> np.ndarray:
    return np.array([float(max(each["num_threads"] for each in threadpool_info()))])


def test_several_processes_measure(clips: pd.DataFrame) -> None:
    def process(y: np.ndarray, *, sr: int) -> np.ndarray:  # not of a module that workers import
        return np.array([float(os.getpid())])

    many = pd.concat([clips.drop(columns="content", index=1)] * 4, ignore_index=True)
    own = FeatureSet("process", SR, ("process",), process)
    one, two = (feature_table(many, feature_set=own, n_jobs=n).X for n in (1, 2))
    assert set(one.ravel()) == {os.getpid()}
    assert len(set(two.ravel())) > 1


def test_products_within_a_clip_take_one_thread(clips: pd.DataFrame) -> None:
    own = FeatureSet("threads", SR, ("threads",), threads)
    with threadpool_limits(2):
        found = feature_table(clips[:1], feature_set=own)
    assert found.X.tolist() == [[1.0]]


def test_second_table_reads_only_what_was_rejected(
    clips: pd.DataFrame, reads: list[str], tmp_path: Path
) -> None:
    first = feature_table(clips, feature_set=named("statistics"), cache=tmp_path / "cache")
    assert reads == ["a", "broken", "c", "d"]
    reads.clear()
    renamed = clips.assign(clip_id=["w", "x", "y", "z"])
    second = feature_table(renamed, feature_set=named("statistics"), cache=tmp_path / "cache")
    assert reads == ["broken"]
    np.testing.assert_array_equal(first.X, second.X)
    assert second.clip_id.tolist() == ["w", "y", "z"]
    pd.testing.assert_frame_equal(first.rejects, second.rejects)


def test_what_changes_the_numbers_is_computed_anew_and_parts_are_not(
    clips: pd.DataFrame,
    reads: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain, good = named("statistics"), clips.drop(index=1)

    def count(table: pd.DataFrame, feature_set: FeatureSet) -> int:
        reads.clear()
        feature_table(table, feature_set=feature_set, cache=tmp_path / "cache")
        return len(reads)

    assert count(good, plain) == 3
    assert count(good, plain) == 0
    for other in (
        with_pre_emphasis(plain, 0.97),
        with_pre_emphasis(plain, 0.95),
        replace(plain, version=2),
        replace(plain, function=named("voice").function, names=plain.names[:1] * 2053),
        replace(plain, function=lambda y, *, sr: np.full(200, 1.0)),
        replace(plain, function=lambda y, *, sr: np.full(200, 2.0)),
    ):
        assert count(good, other) == 3
        assert count(good, other) == 0
    assert count(good.assign(content=["x", "y", "z"]), plain) == 3
    assert count(good.iloc[[2, 0]], plain) == 0
    assert count(good.drop(columns="content"), plain) == 3
    assert count(good.drop(columns="content"), plain) == 3
    encoded = replace(plain, encoder="0123")
    assert count(good, encoded) == 3
    monkeypatch.setattr(files.metadata, "version", lambda package: f"{package} of tomorrow")
    assert count(good, plain) == count(good, encoded) == 3
    new = {"onnxruntime": "2"}
    monkeypatch.setattr(
        files.metadata, "version", lambda name: new.get(name, f"{name} of tomorrow")
    )
    assert [count(good, plain), count(good, encoded)] == [0, 3]


def flipped(file: Path, place: float) -> None:
    content = bytearray(file.read_bytes())
    content[round(place * len(content))] ^= 255
    file.write_bytes(content)


def forged(file: Path) -> None:
    data = np.full((len(file.read_bytes()) - 4) // 8, np.nan).tobytes()
    file.write_bytes(zlib.crc32(data).to_bytes(4) + data)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "cut": lambda file: file.write_bytes(file.read_bytes()[:700]),
    "empty": lambda file: file.write_bytes(b""),
    "no numbers": forged,
    "another file": lambda file: file.write_bytes(b"text" * 1000),
    **{f"bit at {at}": partial(flipped, place=at) for at in (0.0, 0.5, 0.9995)},
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_in_the_cache_is_made_anew(
    clips: pd.DataFrame, reads: list[str], tmp_path: Path, damage: str
) -> None:
    settings = {"feature_set": named("statistics"), "cache": tmp_path / "cache"}
    first = feature_table(clips, **settings)
    files_of_rows = sorted((tmp_path / "cache").rglob("*.row"))
    assert len(files_of_rows) == 3
    DAMAGES[damage](files_of_rows[1])
    again = feature_table(clips, **settings)
    np.testing.assert_array_equal(first.X, again.X)
    assert again.clip_id.tolist() == first.clip_id.tolist()
    reads.clear()
    feature_table(clips, **settings)
    assert reads == ["broken"]


def test_what_was_computed_until_an_interruption_is_kept(
    clips: pd.DataFrame, reads: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"feature_set": named("statistics"), "cache": tmp_path / "cache"}
    good = clips.drop(index=1)
    read = audio.read

    def cut(path: str, *, sr: int) -> np.ndarray:
        if Path(path).stem == "d":
            raise KeyboardInterrupt
        return read(path, sr=sr)

    with monkeypatch.context() as patched:
        patched.setattr(audio, "read", cut)
        with pytest.raises(KeyboardInterrupt):
            feature_table(good, **settings)
    reads.clear()
    assert feature_table(good, **settings).clip_id.tolist() == ["a", "c", "d"]
    assert reads == ["d"]


def full_disk(path: Path, data: bytes) -> None:
    raise OSError(errno.ENOSPC, "no space left on device")


@pytest.mark.parametrize("trouble", ["a file in its place", "a full disk"])
def test_a_cache_that_cannot_be_written_is_a_warning(
    clips: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    cache = tmp_path / "cache"
    if trouble == "a full disk":
        monkeypatch.setattr(Path, "write_bytes", full_disk)
    else:
        cache.write_text("mine")
    with pytest.warns(files.NotKept, match="results are not kept there"):
        table = feature_table(clips, feature_set=named("statistics"), cache=cache)
    assert table.clip_id.tolist() == ["a", "c", "d"]
    assert cache.is_dir() or cache.read_text() == "mine"


def test_several_processes_write_one_cache(clips: pd.DataFrame, tmp_path: Path) -> None:
    many = pd.concat([clips.drop(index=1)] * 40, ignore_index=True)
    many["content"] = [f"{k:x}" for k in range(len(many))]
    many.to_csv(tmp_path / "clips.csv")
    code = (
        "import sys, pandas as pd; from sercourse import features;"
        "clips = pd.read_csv(sys.argv[1], dtype=str)[int(sys.argv[3]):][:60];"
        "features.feature_table(clips, feature_set=features.named('statistics'), cache=sys.argv[2])"
    )
    argv = [sys.executable, "-W", "error", "-c", code, tmp_path / "clips.csv", tmp_path / "cache"]
    started = [subprocess.Popen([*argv, str(first)]) for first in (0, 30, 60)]
    assert [each.wait() for each in started] == [0, 0, 0]
    settings = {"feature_set": named("statistics"), "cache": tmp_path / "cache"}
    assert len(list((tmp_path / "cache").rglob("*.row"))) == len(many)
    stored = feature_table(many, **settings).X
    np.testing.assert_array_equal(stored, np.tile(stored[:3], (40, 1)))


def test_rows_may_be_arrays(clips: pd.DataFrame, reads: list[str], tmp_path: Path) -> None:
    first = feature_table(clips, feature_set=PICTURE, cache=tmp_path / "cache")
    assert first.X.shape == (3, 2, 3)
    assert first.X.dtype == np.float32
    for row, seed in zip(first.X, [0, 2, 3], strict=True):
        y = noise(seed=seed)[:8000].astype(np.float32)
        np.testing.assert_array_equal(row, picture(y, sr=SR))
    reads.clear()
    again = feature_table(clips, feature_set=PICTURE, cache=tmp_path / "cache")
    assert reads == ["broken"]
    np.testing.assert_array_equal(again.X, first.X, strict=True)
    assert again.clip_id.tolist() == ["a", "c", "d"]


def test_another_augmentation_is_computed_anew(
    clips: pd.DataFrame, reads: list[str], tmp_path: Path
) -> None:
    good, plain = clips.drop(index=1), named("statistics")
    noises = [("noise", 15, 30, 0), ("noise", 15, 30, 1), ("noise", 15, 25, 1), ("pink", 15, 30, 0)]
    sets = [plain, *(augmented(plain, Augmentation(*each)) for each in noises)]
    tables = [feature_table(good, feature_set=each, cache=tmp_path) for each in [*sets, *sets]]
    assert len(reads) == 5 * 3
    assert len({table.X.tobytes() for table in tables}) == 5


def test_a_large_table_is_never_held_twice(clips: pd.DataFrame) -> None:
    shape = (64, 128, 33)  # somewhat over 1 MiB a row
    large = FeatureSet(
        "large", SR, ("x",) * 33, lambda y, *, sr: np.full(shape, y[0], np.float32), shape=shape
    )
    many = pd.concat([clips.drop(columns="content")] * 8, ignore_index=True)  # 8 rejects of 32
    tracemalloc.start()
    table = feature_table(many, feature_set=large, progress=False)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(table.X) == 24
    assert peak < 1.3 * len(many) * large.row_bytes
    assert table.X[1, 0, 0, 0] == np.float32(noise(seed=2)[0])


def test_default_cache_is_in_the_cache_folder(clips: pd.DataFrame) -> None:
    feature_table(clips, feature_set=replace(PICTURE, name="pictures: small"))
    assert list((files.cache_dir() / "features").glob("pictures- small-*/*.row"))


def test_the_cache_keeps_what_was_in_use_and_its_size(
    clips: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERCOURSE_CACHE", str(tmp_path / "cache"))
    good, others = clips.drop(index=1), [replace(PICTURE, name=name) for name in ("b", "c")]
    for each in (PICTURE, others[0]):
        feature_table(good, feature_set=each)
    (folder,) = (tmp_path / "cache" / "features").glob("picture-*")
    (other,) = (tmp_path / "cache" / "features").glob("b-*")
    for each in (folder, other):
        os.utime(each, (1, 1))
    monkeypatch.setenv("SERCOURSE_CACHE_MB", str(2 * 3 * (PICTURE.row_bytes + 4) / 1e6))
    feature_table(good, feature_set=PICTURE)  # all is there: it is used, and nothing is deleted
    assert folder.stat().st_mtime > 1
    assert other.exists()
    feature_table(good, feature_set=others[1])
    assert folder.exists()
    assert not other.exists()


def test_a_table_without_clips_is_empty(clips: pd.DataFrame) -> None:
    table = feature_table(clips.iloc[:0], feature_set=named("statistics+delta"))
    assert table.X.shape == (0, 400)
    assert [str(each) for each in table.rejects.dtypes] == ["string", "string"]
    assert len(table.rejects) == len(table.clip_id) == 0


def test_a_table_that_is_no_clip_table_is_refused(clips: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="no column 'path'"):
        feature_table(clips.drop(columns="path"), feature_set=named("statistics"))


@pytest.mark.parametrize("n_rejects", [0, 1])
def test_any_numpy_opens_a_saved_table(tmp_path: Path, n_rejects: int) -> None:
    small = FeatureSet("small", SR, ("pitch", "level"), lambda y, *, sr: np.zeros(2))
    rejects = pd.DataFrame({"path": ["c.wav"], "reason": ["empty file"]}, dtype="string")
    X = np.array([[1.0, np.pi], [-2.0, 1e-300]])
    table = Features(X, small.names, np.array(["a é", "b"]), rejects[:n_rejects])
    named_so = save_features(table, tmp_path / "y.npz", feature_set=small, fingerprint="f1")
    assert named_so == tmp_path / "y.npz"
    file = save_features(table, tmp_path / "new" / "x.v2", feature_set=small, fingerprint="f1")
    assert list((tmp_path / "new").iterdir()) == [file]
    assert file.name == "x.v2.npz"
    with np.load(file, allow_pickle=False) as stored:
        assert stored["feature_names"].tolist() == ["pitch", "level"]
        assert stored["clip_id"].tolist() == ["a é", "b"]
        np.testing.assert_array_equal(stored["X"], X)
        assert stored["rejects"].tolist() == [["c.wav", "empty file"]][:n_rejects]
        assert stored["rejects"].shape == (n_rejects, 2)
        assert json.loads(str(stored["settings"])) == small.settings | {"fingerprint": "f1"}


@posix
def test_a_table_goes_into_a_pipe_of_any_name(tmp_path: Path) -> None:
    small = FeatureSet("small", SR, ("level",), lambda y, *, sr: np.zeros(1))
    table = Features(np.ones((1, 1)), small.names, np.array(["a"]), pd.DataFrame([], columns=["p"]))
    os.mkfifo(tmp_path / "pipe")
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    path = save_features(table, tmp_path / "pipe", feature_set=small, fingerprint="f1")
    reader.join()
    assert path == tmp_path / "pipe"
    with np.load(io.BytesIO(read[0]), allow_pickle=False) as stored:
        assert stored["X"].tolist() == [[1.0]]


def test_extraction_loads_no_heavy_library() -> None:
    code = (
        "import sys, numpy as np; from sercourse.features import extract, named;"
        "extract(np.zeros(16000), sr=16000, feature_set=named('statistics'));"
        "print(sorted({'scipy', 'pandas', 'librosa', 'sklearn', 'joblib'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_contents_tell_files_and_segments_apart(tmp_path: Path) -> None:
    from sercourse.features.base import contents

    path = tmp_path / "a.wav"
    path.write_bytes(b"sound")
    places = [(0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.5, 1.5)]
    table = pd.DataFrame(places, columns=["start", "end"]).assign(path=str(path))
    found = contents(table)
    assert found[0] == files.clip_key(path)
    assert len(set(found)) == 4
    assert contents(table.assign(content=[pd.NA, "x", "y", "z"])) == found
    assert contents(table.assign(content=[7, 8, 9, 10])) == ["7", "8", "9", "10"]
    assert contents(table.assign(path="none.wav"))[0] == files.digest("none.wav")
    assert contents(table.drop(columns=["start", "end"])) == [found[0]] * 4
