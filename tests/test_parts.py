from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from sounds import voice

from sercourse import bundles, features, files
from sercourse.cli.live import Journal
from sercourse.features import FeatureSet, feature_table, named, parts, read_parts, write_parts

pq = pytest.importorskip("pyarrow.parquet")

SR = 16_000
MOST_ROWS = parts.MOST_ROWS  # as it is outside of tests


@pytest.fixture
def clips(tmp_path: Path) -> pd.DataFrame:
    """Return a table of seven clips, of which the third is broken."""
    paths = [tmp_path / f"{k}.wav" for k in range(7)]
    for k, path in enumerate(paths):
        soundfile.write(path, voice(0.5 + 0.1 * k, sr=SR), SR)
    paths[2].write_bytes(b"RIFF")
    return pd.DataFrame({"clip_id": [each.stem for each in paths], "path": map(str, paths)})


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "MOST_ROWS", 3)


def write(clips: pd.DataFrame, folder: Path, name: str = "statistics") -> pd.DataFrame:
    return write_parts(clips, folder, feature_set=named(name), fingerprint="f", progress=False)


def level(y: np.ndarray, *, sr: int) -> np.ndarray:
    return np.array([np.abs(y).max()])


def large(y: np.ndarray, *, sr: int) -> np.ndarray:
    return np.zeros((512, 512), dtype=np.float32)


def process(y: np.ndarray, *, sr: int) -> np.ndarray:
    return np.array([float(os.getpid())])


def test_one_process_measures_unless_more_are_wanted(clips: pd.DataFrame, tmp_path: Path) -> None:
    own = FeatureSet("process", SR, ("process",), process)
    for n_jobs, more in ((1, {}), (2, {"n_jobs": 2})):
        folder = tmp_path / str(n_jobs)
        write_parts(clips, folder, feature_set=own, fingerprint="f", **more)
        pids = set(np.concatenate([part.X for part in read_parts(folder)]).ravel())
        assert (pids == {os.getpid()}) == (n_jobs == 1)


@pytest.mark.parametrize(
    ("own", "n_rows"),
    [
        (FeatureSet("level", SR, ("level",), level), 1000),
        (FeatureSet("large", SR, ("x",) * 512, large, shape=(512, 512)), 32),  # of 1 MiB each
    ],
)
def test_a_part_has_a_thousand_clips_or_32_mebibytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: FeatureSet, n_rows: int
) -> None:
    monkeypatch.setattr(parts, "MOST_ROWS", MOST_ROWS)
    soundfile.write(tmp_path / "a.wav", voice(0.5, sr=SR), SR)
    names = [str(k) for k in range(n_rows + 1)]
    clips = pd.DataFrame({"clip_id": names, "path": str(tmp_path / "a.wav")})
    write_parts(clips, tmp_path / "out", feature_set=own, fingerprint="f", progress=False)
    found = [part.clip_id.tolist() for part in read_parts(tmp_path / "out")]
    assert found == [names[:-1], names[-1:]]


def test_names_that_are_no_text_and_folders_at_home_are_understood(
    clips: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))  # what Windows calls it
    odd = clips[:2].assign(clip_id=pd.Series(["a\udcff", "b"], dtype=object))
    write(odd, Path("~/out"))
    (part,) = read_parts("~/out")
    assert part.clip_id.tolist() == ["a\\xff", "b"]
    assert (tmp_path / "out").is_dir()


def test_a_part_that_another_program_changed_is_refused(
    clips: pd.DataFrame, tmp_path: Path
) -> None:
    write(clips, tmp_path / "out")
    file = tmp_path / "out" / "part-000001.parquet"
    table = pq.read_table(file)
    pq.write_table(table.take([1, 0, 2]), file)
    with pytest.raises(ValueError, match="part 2 of 3, is missing or damaged: compute it again"):
        list(read_parts(tmp_path / "out"))


def test_the_manifest_tells_what_the_rows_are(clips: pd.DataFrame, tmp_path: Path) -> None:
    write(clips, tmp_path / "out", "log-mel")
    told = json.loads((tmp_path / "out" / "_manifest.json").read_text())
    assert told["settings"] == named("log-mel").settings
    assert (told["fingerprint"], told["n_clips"], told["n_parts"]) == ("f", 7, 3)
    assert told["shape"] == list(named("log-mel").row_shape)
    assert told["feature_names"] == list(named("log-mel").names)


@pytest.mark.parametrize("name", ["statistics", "log-mel"])
def test_parts_together_are_the_table(clips: pd.DataFrame, tmp_path: Path, name: str) -> None:
    rejects = write(clips, tmp_path / "out", name)
    table = feature_table(clips, feature_set=named(name), progress=False)
    found = list(read_parts(tmp_path / "out"))
    assert [len(each.X) for each in found] == [2, 3, 1]
    np.testing.assert_array_equal(np.concatenate([each.X for each in found]), table.X)
    assert np.concatenate([each.clip_id for each in found]).tolist() == table.clip_id.tolist()
    assert {each.names for each in found} == {table.names}
    pd.testing.assert_frame_equal(rejects, table.rejects)


def test_other_programs_read_one_table_and_some_columns(
    clips: pd.DataFrame, tmp_path: Path
) -> None:
    write(clips, tmp_path / "out")
    some = pd.read_parquet(tmp_path / "out", columns=["clip_id", "zcr_mean"])
    assert some["clip_id"].tolist() == list("013456")
    (first, *_) = read_parts(tmp_path / "out")
    assert first.X[:, first.names.index("zcr_mean")].tolist() == some["zcr_mean"][:2].tolist()


def test_only_what_is_missing_or_damaged_is_computed(
    clips: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    write(clips, folder)
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / "part-000000.parquet").write_bytes(whole["part-000000.parquet"][:-9])
    (folder / "part-000002.parquet").unlink()
    with pytest.raises(ValueError, match="part-000000"):
        list(read_parts(folder))
    computed: list[str] = []

    def watched(clips: pd.DataFrame, *, feature_set: FeatureSet, **_: object) -> features.Features:
        computed.extend(clips["clip_id"])
        return feature_table(clips, feature_set=feature_set, progress=False)

    monkeypatch.setattr(parts, "feature_table", watched)
    assert write(clips, folder)["path"].tolist() == [clips["path"][2]]
    assert computed == list("0126")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole


def test_rows_too_large_for_a_part_have_one_each(
    clips: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "MOST_BYTES", 1)
    write(clips, tmp_path / "out")
    assert [each.clip_id.tolist() for each in read_parts(tmp_path / "out")] == [
        [name] if name != "2" else [] for name in "0123456"
    ]


def test_a_bar_is_shown_unless_it_is_not_wanted(
    clips: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[bool] = []

    def bar(steps: range, *, disable: bool, **_: object) -> range:
        shown.append(not disable)
        return steps

    monkeypatch.setattr("tqdm.tqdm", bar)
    told: dict = {"feature_set": named("statistics"), "fingerprint": "f"}
    write_parts(clips[:1], tmp_path / "out", **told)
    write_parts(clips[:1], tmp_path / "out", **told, progress=False)
    # The second run computes nothing, and the table of a part has no bar of its own.
    assert shown == [True, False, False]


def test_no_flipped_bit_gives_another_answer(clips: pd.DataFrame, tmp_path: Path) -> None:
    folder, rng = tmp_path / "out", np.random.default_rng(0)
    write(clips, folder)
    known, n_refused = [answer(each) for each in read_parts(folder)], 0
    for name in ("part-000001.parquet", "_manifest.json"):
        whole = (folder / name).read_bytes()
        for at in rng.integers(8 * len(whole), size=200):
            damaged = bytearray(whole)
            damaged[at // 8] ^= 1 << at % 8
            (folder / name).write_bytes(damaged)
            try:
                assert [answer(each) for each in read_parts(folder)] == known
            except ValueError as error:
                n_refused += str(folder / name) in str(error)
        (folder / name).write_bytes(whole)
    assert n_refused > 300  # no answer depends on the others: sizes that nobody reads


@pytest.mark.parametrize("name", ["key", "n_parts", "feature_names", "shape"])
@pytest.mark.parametrize("to", [None, "x", 1.5, [["a"]], {"a": 1}, [3, -1], 10**30, True])
def test_a_sealed_manifest_that_is_none_is_one_sentence(
    name: str, to: object, clips: pd.DataFrame, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    write(clips[:1], folder)
    manifest = folder / parts.MANIFEST
    whole = files.read_sealed(manifest)
    for content in ({**whole, name: to}, {key: whole[key] for key in whole if key != name}):
        files.write_sealed(manifest, content)
        with pytest.raises(ValueError, match=f"^{re.escape(str(folder))}.* again$"):
            list(read_parts(folder))
        if name == "key":
            with pytest.raises(ValueError, match="other clips or settings"):
                write(clips[:1], folder)
        else:
            write(clips[:1], folder)
            assert files.read_sealed(manifest) == whole


def test_a_sealed_part_without_numbers_is_made_anew(clips: pd.DataFrame, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    write(clips, folder)
    (first, *_), part = read_parts(folder), folder / "part-000000.parquet"
    whole, about = part.read_bytes(), files.read_sealed(folder / parts.MANIFEST)
    parts._write(replace(first, X=first.X * np.nan), folder, 0, about)
    with pytest.raises(ValueError, match=r"part 1 of 3, is missing or damaged: compute it again"):
        list(read_parts(folder))
    write(clips, folder)
    assert part.read_bytes() == whole


def test_a_part_in_the_place_of_another_is_made_anew(clips: pd.DataFrame, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    rejects = write(clips, folder)
    first, second = (folder / f"part-00000{k}.parquet" for k in range(2))
    whole = second.read_bytes()
    second.write_bytes(first.read_bytes())
    with pytest.raises(ValueError, match=r"part 2 of 3, is missing or damaged: compute it again"):
        list(read_parts(folder))
    pd.testing.assert_frame_equal(write(clips, folder), rejects)
    assert second.read_bytes() == whole


@pytest.mark.parametrize("n_parts", [0, 1, 4])
def test_a_manifest_of_fewer_parts_is_one_sentence(
    n_parts: int, clips: pd.DataFrame, tmp_path: Path
) -> None:
    write(clips, tmp_path / "out", "log-mel")
    manifest = tmp_path / "out" / parts.MANIFEST
    whole = files.read_sealed(manifest)
    for told in ({"n_parts": n_parts}, {"feature_names": whole["feature_names"][::-1]}):
        files.write_sealed(manifest, whole | told)
        with pytest.raises(ValueError, match=r"n_parts|missing or damaged: compute it again"):
            list(read_parts(tmp_path / "out"))


def answer(part: features.Features) -> list:
    return [part.X.tolist(), part.clip_id.tolist(), part.rejects.to_numpy().tolist(), part.names]


def test_a_part_with_a_damaged_page_is_made_anew(clips: pd.DataFrame, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    write(clips, folder)
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    column = pq.read_metadata(folder / "part-000001.parquet").row_group(0).column(1)
    damaged = bytearray(whole["part-000001.parquet"])
    damaged[column.data_page_offset + column.total_compressed_size - 1] ^= 1
    (folder / "part-000001.parquet").write_bytes(damaged)
    with pytest.raises(OSError, match="CRC checksum"):  # other programs notice it as well
        pq.read_table(folder / "part-000001.parquet", page_checksum_verification=True)
    with pytest.raises(ValueError, match=r"part-000001\.parquet, part 2 of 3"):
        list(read_parts(folder))
    write(clips, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole


def test_other_clips_settings_and_folders_are_refused(clips: pd.DataFrame, tmp_path: Path) -> None:
    write(clips, tmp_path / "out")
    for other, name in ((clips[:5], "statistics"), (clips, "voice")):
        with pytest.raises(ValueError, match="other clips or settings"):
            write(other, tmp_path / "out", name)
    with pytest.raises(FileExistsError, match=r"holds no _manifest\.json"):
        write(clips, tmp_path)
    (tmp_path / "out" / "_manifest.json").write_text("{")
    with pytest.raises(ValueError, match="delete it"):
        write(clips, tmp_path / "out")


def test_a_full_disk_is_one_sentence_and_costs_nothing(
    clips: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, write_table = [], pq.write_table

    def full(table: object, path: Path, **more: object) -> None:
        if len(written) == 1:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        written.append(path)
        write_table(table, path, **more)

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        write(clips, tmp_path / "out")
    assert caught.value.filename == str(tmp_path / "out" / "part-000001.parquet")
    assert sorted(os.listdir(tmp_path / "out")) == ["_manifest.json", "part-000000.parquet"]  # noqa: PTH208
    monkeypatch.setattr(pq, "write_table", write_table)
    write(clips, tmp_path / "out")
    assert sum(len(part.X) for part in read_parts(tmp_path / "out")) == 6


def test_two_runs_at_once_make_one_table(clips: pd.DataFrame, tmp_path: Path) -> None:
    with ThreadPoolExecutor() as pool:
        runs = [pool.submit(write, clips, tmp_path / "out") for _ in range(2)]
        assert [each.result()["path"].tolist() for each in runs] == 2 * [[clips["path"][2]]]
    table = feature_table(clips, feature_set=named("statistics"), progress=False)
    found = np.concatenate([part.X for part in read_parts(tmp_path / "out")])
    np.testing.assert_array_equal(found, table.X)


def test_a_recording_of_two_hours_is_judged_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.flac"
    with soundfile.SoundFile(path, "w", 8_000, 1) as file:
        file.write(voice(6.0, sr=8_000))
        for _ in range(120):
            file.write(np.zeros(8_000 * 60, dtype=np.float32))
    model = bundles.load("ravdess-svm")
    model.predict(voice(1.0, sr=SR), sr=SR)  # what is loaded once is not of the recording
    tracemalloc.start()
    found = model.predict_file(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.duration == pytest.approx(7206)
    assert found.emotion in model.labels
    assert peak < 60e6  # the whole takes 461 MB


def test_a_killed_prediction_goes_on(clips: pd.DataFrame, tmp_path: Path) -> None:
    """Kill the command after its second answer; the next run answers for the others alone."""
    out, sounds = tmp_path / "out.csv", clips["path"].drop(2).tolist()
    command = [sys.executable, "-u", "-m", "sercourse", "predict", *sounds]
    command += ["--model", "ravdess-svm", "--out", str(out)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        answers = 0
        for line in process.stdout:
            answers += ".wav  " in line
            if answers == 3:
                break
        process.send_signal(signal.SIGKILL)
    assert not out.exists()
    (journal,) = tmp_path.glob(".out.csv-*.jsonl")
    known = [json.loads(line)[1]["path"] for line in journal.read_text().splitlines()]
    assert known[:2] == sounds[:2]
    with journal.open("a") as file:
        file.write('["half a li')  # as a full disk leaves it
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"{len(known)} recordings are known" in done.stderr
    assert done.stdout.count(".wav  ") == len(sounds) - len(known)
    assert pd.read_csv(out)["path"].tolist() == sounds
    assert not journal.exists()
    parquet = tmp_path / "out.parquet"
    subprocess.run([*command, "--out", str(parquet)], capture_output=True, check=True)
    pd.testing.assert_frame_equal(
        pd.read_parquet(parquet), pd.read_csv(out), rtol=1e-5, check_dtype=False
    )


def test_a_changed_recording_or_model_is_judged_anew(tmp_path: Path) -> None:
    first = Journal(tmp_path / "a.csv", key="one")
    first.add("a 10 1", {"path": "a"})
    first.add("a 10 1", {"path": "a"})
    assert list(first) == [{"path": "a"}]
    assert Journal(tmp_path / "a.csv", key="one").names == {"a 10 1"}
    assert Journal(tmp_path / "a.csv", key="other").names == set()
    first.done()
    assert os.listdir(tmp_path) == [".a.csv-other.jsonl"]  # noqa: PTH208


LINES = [b"5", b"[1]", b'["a", 2]', b"{}", b'["a", {}]', b"DEEP"]
LINES += [Journal._line("a", each).strip() for each in ({"over_time": 5}, 5)]


@pytest.mark.parametrize("line", LINES)
def test_a_journal_ends_where_a_line_is_none(line: bytes, tmp_path: Path) -> None:
    Journal(tmp_path / "a.csv", key="k").add("first", {"path": "1"})
    (file,) = tmp_path.iterdir()
    with file.open("ab") as end:
        line = line.replace(b"DEEP", b"[" * 10**5)
        end.write(line if line == b'["a", {}]' else line + b"\n")  # that one lacks its end
    journal = Journal(tmp_path / "a.csv", key="k")
    journal.add("last", {"path": "2"})
    assert journal.names == {"first", "last"}
    assert list(journal) == list(Journal(tmp_path / "a.csv", key="k"))
    assert list(journal) == [{"path": "1"}, {"path": "2"}]


def test_no_flipped_bit_of_a_journal_gives_another_answer(tmp_path: Path) -> None:
    records = {str(k): {"path": str(k), "confidence": k / 7} for k in range(3)}
    first = Journal(tmp_path / "a.csv", key="k")
    for name, record in records.items():
        first.add(name, record)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    for bit in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        file.write_bytes(damaged)
        journal = Journal(tmp_path / "a.csv", key="k")
        assert len(journal.names) < len(records)
        for name in set(records) - journal.names:  # as the command goes on
            journal.add(name, records[name])
        assert sorted(journal, key=str) == list(records.values())
