from __future__ import annotations

import os
import re
import shutil
import unicodedata
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
from hypothesis import given
from hypothesis import strategies as st

from sercourse import corpora, features, fetch, files, labels, naming
from sercourse.corpora import join_groups, list_files

COLUMNS = [
    "clip_id",
    "path",
    "corpus",
    "emotion",
    "speaker",
    "gender",
    "intensity",
    "statement",
    "take",
    "duration",
    "sample_rate",
    "channels",
    "group",
    "split",
    "content",
]


def clip(path: Path, *, seed: int | None = None, sr: int = 8_000, channels: int = 1) -> Path:
    """Write 50 ms of noise; two clips are identical only where they share a seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    own_seed = int.from_bytes(str(path).encode()[-16:], "big") if seed is None else seed
    rng = np.random.default_rng(own_seed)
    sf.write(path, rng.uniform(-0.5, 0.5, (sr // 20, channels)), sr)
    return path


def clips(folder: Path, *names: str) -> Path:
    for name in names:
        clip(folder / name)
    return folder


def reasons(scan: corpora.Scan, folder: Path) -> dict[str, str]:
    """Map relative POSIX path to reason."""
    return {
        Path(path).relative_to(folder).as_posix(): reason
        for path, reason in scan.rejects.itertuples(index=False)
    }


def column(scan: corpora.Scan, name: str) -> list[object]:
    return [None if pd.isna(value) else value for value in scan.clips[name]]


# --- the table ------------------------------------------------------------------------------


def test_columns_dtypes_and_order(tmp_path: Path) -> None:
    clip(tmp_path / "b" / "two_sad.wav", sr=16_000, channels=2)
    clip(tmp_path / "one_happy.wav")
    found = corpora.scan(tmp_path, corpus="custom").clips
    assert list(found.columns) == COLUMNS
    assert found["clip_id"].tolist() == ["b/two_sad", "one_happy"]
    assert found["path"].tolist() == [
        str(tmp_path / "b" / "two_sad.wav"),
        str(tmp_path / "one_happy.wav"),
    ]
    assert found.loc[0, ["sample_rate", "channels", "duration"]].tolist() == [16_000, 2, 0.05]
    text = found.columns.difference(["duration", "sample_rate", "channels"])
    assert all(found[name].dtype == "string" for name in text)
    assert found.loc[0, "speaker"] is pd.NA


def test_a_bad_file_is_rejected_with_its_reason_and_stops_nothing(tmp_path: Path) -> None:
    whole = clip(tmp_path / "a01 (1).wav")
    (tmp_path / "a02 (1).wav").touch()
    (tmp_path / "a03 (1).wav").write_bytes(whole.read_bytes()[:36])
    (tmp_path / "a04 (1).wav").write_text("text" * 99)
    sf.write(tmp_path / "a05 (1).wav", np.zeros(0), 8_000)
    clip(tmp_path / "anger.wav")
    scan = corpora.scan(tmp_path, corpus="aesdd")
    assert scan.clips["clip_id"].tolist() == ["a01 (1)"]
    assert reasons(scan, tmp_path) == {
        "a02 (1).wav": "empty file",
        "a03 (1).wav": "truncated header",
        "a04 (1).wav": "not a sound file",
        "a05 (1).wav": "no samples",
        "anger.wav": "name does not follow the AESDD rule",
    }


def test_a_pointer_in_place_of_a_file_says_how_to_get_it(tmp_path: Path) -> None:
    clips(tmp_path, "1001_DFA_SAD_XX.wav")
    (tmp_path / "1001_DFA_ANG_XX.wav").write_text("version https://git-lfs.github.com/spec/v1\n")
    scan = corpora.scan(tmp_path, corpus="crema-d")
    assert scan.rejects["reason"].tolist() == [
        "a pointer of git-lfs in place of the sound: run git lfs pull"
    ]


def test_a_large_file_of_nothing_is_not_read_to_tell_what_it_is(tmp_path: Path) -> None:
    clips(tmp_path, "fine_sad.wav")
    (tmp_path / "zeros_sad.wav").touch()
    os.truncate(tmp_path / "zeros_sad.wav", 2**40)  # a terabyte, of which a disk holds nothing
    scan = corpora.scan(tmp_path, corpus="custom")
    assert column(scan, "clip_id") == ["fine_sad"]
    assert reasons(scan, tmp_path) == {"zeros_sad.wav": "not a sound file"}


def test_a_sound_file_without_end_is_not_hashed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips(tmp_path, "fine_sad.wav")
    sf.write(tmp_path / "long_sad.wav", np.zeros(16_000), 8_000)
    monkeypatch.setattr(corpora, "MOST_BYTES", 20_000)
    scan = corpora.scan(tmp_path, corpus="custom")
    assert column(scan, "clip_id") == ["fine_sad"]
    told = "it is larger than 2e-05 GB: cut it into several files"
    assert reasons(scan, tmp_path) == {"long_sad.wav": told}


def test_what_another_run_writes_meanwhile_is_no_clip(tmp_path: Path) -> None:
    clips(tmp_path, "a_sad.wav")
    with files.atomic_path(tmp_path / "b_sad.wav") as temporary:
        clip(temporary)
        assert column(corpora.scan(tmp_path, corpus="custom"), "clip_id") == ["a_sad"]
    assert column(corpora.scan(tmp_path, corpus="custom"), "clip_id") == ["a_sad", "b_sad"]


def test_texts_that_begin_like_a_sound_file_are_passed_over(tmp_path: Path) -> None:
    clips(tmp_path, "fine_sad.wav")
    for text in ("NIST asks", "caffeine", "riffraff", "FORMS", "RIFF is"):
        (tmp_path / f"{text}.txt").write_text(f"{text} and so on\n")
    scan = corpora.scan(tmp_path, corpus="custom")
    assert (len(scan.clips), len(scan.rejects)) == (1, 0)
    assert scan.notes == ("passed over: 5 file(s) that are no sound (.txt x 5)",)


def test_a_corpus_of_broken_files_only_still_says_why(tmp_path: Path) -> None:
    (tmp_path / "a02 (1).wav").touch()
    scan = corpora.scan(tmp_path, corpus="aesdd")
    assert (len(scan.clips), len(scan.rejects)) == (0, 1)
    assert list(scan.clips.columns) == COLUMNS
    assert scan.identical.empty


# --- duplicates and groups ------------------------------------------------------------------


def test_same_content_same_stem_is_a_duplicate_of_the_shallowest(tmp_path: Path) -> None:
    clip(tmp_path / "a_mirror" / "x" / "03-01-03-01-02-01-07.wav", seed=1)
    clip(tmp_path / "x" / "03-01-03-01-02-01-07.wav", seed=1)
    scan = corpora.scan(tmp_path, corpus="ravdess")
    assert scan.clips["clip_id"].tolist() == ["x/03-01-03-01-02-01-07"]
    assert reasons(scan, tmp_path) == {
        "a_mirror/x/03-01-03-01-02-01-07.wav": "duplicate of x/03-01-03-01-02-01-07.wav"
    }


def test_same_content_other_stem_is_kept_reported_and_grouped(tmp_path: Path) -> None:
    clip(tmp_path / "03-01-03-01-02-01-07.wav", seed=1)
    clip(tmp_path / "03-01-03-01-02-02-07.wav", seed=1)
    clip(tmp_path / "03-01-03-01-01-01-07.wav", seed=2)
    scan = corpora.scan(tmp_path, corpus="ravdess")
    assert scan.rejects.empty
    assert scan.clips["group"].nunique() == 2
    assert scan.identical["clip_id"].tolist() == ["03-01-03-01-02-01-07", "03-01-03-01-02-02-07"]
    assert scan.identical["group"].nunique() == 1


def test_same_stem_other_content_shares_a_group(tmp_path: Path) -> None:
    clip(tmp_path / "flac" / "03-01-03-01-02-01-07.flac", seed=1)
    clip(tmp_path / "wav" / "03-01-03-01-02-01-07.wav", seed=1)
    scan = corpora.scan(tmp_path, corpus="ravdess")
    assert len(scan.clips) == 2
    assert scan.clips["group"].nunique() == 1


def test_clip_id_is_unique_when_two_suffixes_share_a_name(tmp_path: Path) -> None:
    clips(tmp_path, "one_happy.flac", "one_happy.wav")
    scan = corpora.scan(tmp_path, corpus="custom")
    assert scan.clips["clip_id"].tolist() == ["one_happy"]
    assert reasons(scan, tmp_path) == {
        "one_happy.wav": "same name as one_happy.flac, which is kept"
    }


def test_double_takes_of_aesdd_share_a_group(tmp_path: Path) -> None:
    names = ["s01 (5).wav", "s01 (5)a.wav", "s01 (5)b.wav", "s02 (5).wav", "s01 (4).wav"]
    scan = corpora.scan(clips(tmp_path, *names), corpus="aesdd")
    by_group = scan.clips.groupby("group")["clip_id"].apply(list)
    assert by_group["aesdd:s01-5"] == ["s01 (5)", "s01 (5)a", "s01 (5)b"]
    assert len(by_group) == 3


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("123456")), max_size=12))
def test_groups_are_the_connected_parts(pairs: list[tuple[str, str]]) -> None:
    groups = join_groups([pair[0] for pair in pairs], [pair[1] for pair in pairs])
    for (recording, content), group in zip(pairs, groups, strict=True):
        assert group <= recording
        for (other, same), theirs in zip(pairs, groups, strict=True):
            assert group == theirs or (recording != other and content != same)


def test_links_are_followed_once_and_never_in_circles(tmp_path: Path) -> None:
    clips(tmp_path / "outside", "deep/two_sad.wav")
    corpus = clips(tmp_path / "corpus", "x/one_happy.wav")
    for name in "xyz":  # from three folders 2^40 paths lead on, until the system stops them
        (corpus / name).mkdir(exist_ok=True)
        for other in "xyz":
            (corpus / name / other).symlink_to(corpus / other, target_is_directory=True)
        (corpus / name / "up").symlink_to(tmp_path, target_is_directory=True)
        (corpus / name / "out").symlink_to(tmp_path / "outside", target_is_directory=True)
    found = corpora.scan(corpus, corpus="custom")
    assert column(found, "clip_id") == ["x/one_happy", "x/out/deep/two_sad"]
    assert found.rejects.empty


def test_a_locked_folder_is_a_reject(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips(tmp_path, "a_sad.wav", "locked/b_sad.wav")
    listed = os.scandir

    def refuse(path: str) -> object:  # a test may run as root, who may enter every folder
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", path)
        return listed(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = corpora.scan(tmp_path, corpus="custom")
    assert column(found, "clip_id") == ["a_sad"]
    why = "a folder that cannot be entered: permission denied"
    assert reasons(found, tmp_path) == {"locked": why}
    (tmp_path / "a_sad.wav").unlink()
    with pytest.raises(ValueError, match=rf"holds no sound file \('locked' is {why}\)"):
        corpora.scan(tmp_path, corpus="custom")


def test_fingerprint_changes_with_content_and_label_only(tmp_path: Path) -> None:
    table = corpora.scan(clips(tmp_path, "a_sad.wav", "b_happy.wav"), corpus="custom").clips
    mark = corpora.fingerprint(table)
    assert corpora.fingerprint(table[::-1].assign(path="elsewhere", clip_id="x")) == mark
    assert corpora.fingerprint(table.assign(emotion="sad")) != mark
    assert corpora.fingerprint(table[:1]) != mark


# --- rules ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("corpus", "name", "expected"),
    [  # emotion, speaker, gender, intensity, statement, take; or the reason
        ("ravdess", "Actor_01/03-01-06-02-02-01-12", "fearful ravdess-12 female strong 02 01"),
        ("ravdess", "03-01-01-01-01-02-01", "neutral ravdess-01 male normal 01 02"),
        ("ravdess", "03-01-02-01-01-02-01", "calm ravdess-01 male normal 01 02"),
        ("ravdess", "03-02-01-01-01-01-01", ": song: it belongs to ravdess-song"),
        ("ravdess", "02-01-01-01-01-01-01", ": modality 02 is a video without sound"),
        ("ravdess", "03-01-09-01-01-01-01", ": emotion code 09 is not one of 01-08"),
        ("ravdess", "03-01-03-03-01-01-01", ": intensity code 03 is not one of 01-02"),
        ("ravdess", "03-01-03-01-01-01-25", ": actor 25 is not one of 01-24"),
        ("ravdess", "03-01-03-01-01-01", ": name does not follow the RAVDESS rule"),
        ("ravdess-song", "03-02-05-02-02-01-12", "angry ravdess-12 female strong 02 01"),
        ("ravdess-song", "03-01-05-02-02-01-12", ": speech: it belongs to ravdess"),
        ("aesdd", "a01 (1)", "angry aesdd-1 - - 01 -"),
        ("aesdd", "f11 (01)", "fearful aesdd-1 - - 11 -"),
        ("aesdd", "s01 (5)b", "sad aesdd-5 - - 01 b"),
        ("emo-db", "wav/03a01Wa", "angry emodb-03 male - a01 a"),
        ("emo-db", "wav/08b09Lb", "bored emodb-08 female - b09 b"),
        ("emo-db", "42a01Ea", "disgust emodb-42 - - a01 a"),
        ("emo-db", "99x", ": name does not follow the EMO-DB rule"),
        ("tess", "YAF_pleasant_surprised/YAF_back_ps", "surprised tess-YAF female - back -"),
        ("tess", "OAF_neutral/OA_bite_neutral", "neutral tess-OAF female - bite -"),
        ("tess", "YAF_bar_excited", ": unknown emotion 'excited': use one of neutral, calm"),
        ("savee", "DC_a01", "angry savee-DC male - 01 -"),
        ("savee", "AudioData/JK/su03", "surprised savee-JK male - 03 -"),
        ("savee", "x/n01", ": actor X is not one of DC-KL"),
        ("crema-d", "1001_DFA_ANG_XX", "angry crema-d-1001 male - DFA -"),
        ("cremad", "1002_IEO_DIS_LO", "disgust crema-d-1002 female low IEO -"),
        ("cremad", "1040_ITH_SAD_X", "sad crema-d-1040 male - ITH -"),
        ("cremad", "1003_tsi_neu_hi", "neutral crema-d-1003 female high TSI -"),
        ("cremad", "1092_IEO_ANG_HI", ": actor 1092 is not one of 1001-1091"),
    ],
)
def test_names_of_published_corpora(tmp_path: Path, corpus: str, name: str, expected: str) -> None:
    clips(tmp_path, f"{name}.wav")
    if expected.startswith(":"):
        with pytest.raises(ValueError, match=re.escape(f"({expected[2:]}")):
            corpora.scan(tmp_path, corpus=corpus)
        return
    fields = ["emotion", "speaker", "gender", "intensity", "statement", "take"]
    scan = corpora.scan(tmp_path, corpus=corpus)
    assert " ".join(scan.clips.loc[0, fields].fillna("-")) == expected
    assert pd.isna(scan.clips.loc[0, "split"])


def test_of_copies_of_cremad_that_without_loss_is_kept(tmp_path: Path) -> None:
    clips(tmp_path, "AudioWAV/1001_DFA_ANG_XX.wav", "AudioMP3/1001_DFA_ANG_XX.mp3")
    scan = corpora.scan(tmp_path, corpus="crema-d")
    assert scan.rejects["reason"].tolist() == ["copy of AudioWAV/1001_DFA_ANG_XX.wav"]
    assert len(naming.RULES["crema-d"].female.split()) == 43


# --- custom ---------------------------------------------------------------------------------


def test_custom_folders(tmp_path: Path) -> None:
    clips(
        tmp_path,
        "train/20190616_125714_happy.wav",
        "train-custom/deep/1_pleasant_surprise.wav",
        "test/2_ps.wav",
        "3-Anger.wav",
        "4_excited.wav",
    )
    scan = corpora.scan(tmp_path, corpus="custom")
    assert column(scan, "clip_id") == [
        "3-Anger",
        "test/2_ps",
        "train-custom/deep/1_pleasant_surprise",
        "train/20190616_125714_happy",
    ]
    assert column(scan, "emotion") == ["angry", "surprised", "surprised", "happy"]
    assert column(scan, "split") == [None, "test", "train", "train"]
    assert reasons(scan, tmp_path) == {
        "4_excited.wav": "name does not end in a known emotion: 'excited'"
    }


def test_csv_with_every_column(tmp_path: Path) -> None:
    clips(tmp_path / "sounds", "a.wav", "b.wav")
    clips(tmp_path / "lists", "c.wav")
    table = tmp_path / "lists" / "mine.csv"
    table.write_text(
        "Path, Emotion ,speaker,gender,split\n"
        "a.wav,Fear,anna,F,train\n"
        "b.wav,sad,,,\n"
        "c.wav,pleasant surprise,bob,m,test\n"
    )
    scan = corpora.scan(tmp_path / "sounds", corpus=None, csv=table)
    assert column(scan, "clip_id") == ["../lists/c", "a", "b"]
    assert column(scan, "emotion") == ["surprised", "fearful", "sad"]
    assert column(scan, "speaker") == ["custom-bob", "custom-anna", None]
    assert column(scan, "gender") == ["male", "female", None]
    assert column(scan, "split") == ["test", "train", None]


def test_csv_rejects_are_reported(tmp_path: Path) -> None:
    clips(tmp_path, "a.wav", "b.wav", "c.wav")
    table = tmp_path / "mine.csv"
    table.write_text(
        "\ufeffpath;emotion;split\na.wav;sad;\na.wav;sad;\nb.wav;None;\nnone.wav;sad;\nc.wav;sad;dev\n",
        "utf-8",
    )
    scan = corpora.scan(tmp_path, corpus="custom", csv=table)
    assert column(scan, "clip_id") == ["a"]
    found = scan.rejects["reason"].tolist()
    assert found[0] == "duplicate of a.wav"
    assert found[1] == "no label: 'None' stands for a missing one"
    assert found[2:] == ["split 'dev' is neither train nor test", "no such file"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name,emotion\na.wav,sad\n", "has no column 'path'"),
        (b"file,feeling\na.wav,sad\n", "has no column 'emotion'"),
        (b"", "is no CSV"),
        (b"path,emotion\n", "lists no clip"),
        (b"\xff\xfe\x00", "is not UTF-8 text"),
        (b'path,emotion\n"a.wav,sad\n', "is no CSV .*EOF inside string starting at row 1"),
        ("sep=é\npathéemotion\na.wavésad\n".encode(), "has no column 'path', only .'sep=é'."),
        (b"x" * 500, "only ..x{298}; of columns there may be path"),
        (b"path;emotion" + b";c" * 50_000, "has 50,002 columns, and at most 10,000 are read: keep"),
    ],
)
def test_csv_that_is_none(tmp_path: Path, content: bytes, message: str) -> None:
    table = tmp_path / "mine.csv"
    table.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        corpora.scan(tmp_path, corpus="custom", csv=table)


# --- tables as people have them -------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"path,emotion\na.wav,sad\n",
        b"\xef\xbb\xbfFile;Label\na.wav;sad\n",
        b"filename\tclass\r\na.wav\tsadness\r\n",
        b"sep=;\nwav;label\na.wav;Sad\n",
        b'"sep=|"\r\nFile Name|category\r\na.wav|SAD\r\n',
        "path\temotion\na.wav\tsad\n".encode("utf-16"),
        b'speaker,"emotion","path"\n,"sad","a.wav"\n',
    ],
)
def test_tables_of_every_kind(tmp_path: Path, content: bytes) -> None:
    clips(tmp_path, "a.wav")
    (tmp_path / "t.csv").write_bytes(content)
    scan = corpora.scan(tmp_path, corpus=None, csv=tmp_path / "t.csv")
    assert column(scan, "emotion") == ["sad"]
    assert scan.notes == ()


@pytest.mark.parametrize(
    "rows", ["a.wav,sad,\n", "a.wav,sad,7,8\n", f"a.wav,sad,{'x' * 131_073}\n", "\n a.wav , sad\n"]
)
def test_rows_of_every_length(tmp_path: Path, rows: str) -> None:
    clips(tmp_path, "a.wav")
    (tmp_path / "t.csv").write_text(f",path,emotion,text\n{rows.replace('a.wav', '0,a.wav')}")
    scan = corpora.scan(tmp_path, corpus=None, csv=tmp_path / "t.csv")
    assert column(scan, "emotion") == ["sad"]


def test_of_columns_that_mean_the_same_one_is_read_and_the_others_are_named(tmp_path: Path) -> None:
    clips(tmp_path, "a.wav")
    (tmp_path / "t.csv").write_text("Mood,label,file,emotion\n7,3,a.wav,sad\n")
    scan = corpora.scan(tmp_path, corpus=None, csv=tmp_path / "t.csv")
    assert column(scan, "emotion") == ["sad"]
    assert scan.notes == (f"{tmp_path / 't.csv'}: columns that are not understood: Mood, label",)


@pytest.mark.parametrize(
    ("name", "on_disk"),
    [
        ("a.wav", "x/y/a.wav"),
        ("a", "x/a.wav"),
        ("h\u00f6flich.wav", "ho\u0308flich.wav"),
        ("ho\u0308flich.wav", "x/h\u00f6flich.wav"),
        ("h\u00f6f/h\u00f6f.wav", "ho\u0308f/h\u00f6f.wav"),
        ("x\\a.wav", "x/a.wav"),
    ],
)
def test_files_are_found_below_the_root(tmp_path: Path, name: str, on_disk: str) -> None:
    clips(tmp_path / "sounds", on_disk)
    (tmp_path / "t.csv").write_text(f"path,emotion\n{name},sad\n", "utf-8")
    for roots in (
        {"root": tmp_path / "sounds"},
        {"root": tmp_path, "audio_root": tmp_path / "sounds"},
    ):
        scan = corpora.scan(**roots, corpus=None, csv=tmp_path / "t.csv")
        assert [Path(path).exists() for path in scan.clips["path"]] == [True]
        assert column(scan, "clip_id") == [
            unicodedata.normalize("NFC", on_disk).removesuffix(".wav")
        ]


def test_a_name_that_several_files_have_is_refused(tmp_path: Path) -> None:
    clips(tmp_path, "x/a.wav", "y/a.wav", "b.wav")
    (tmp_path / "t.csv").write_text("path,emotion\na.wav,sad\nb.wav,sad\ny/a.wav,happy\n")
    scan = corpora.scan(tmp_path, corpus=None, csv=tmp_path / "t.csv")
    assert column(scan, "clip_id") == ["b", "y/a"]
    assert scan.rejects["reason"].tolist() == [
        f"2 files below {tmp_path} are called so: name their folder too"
    ]


def test_a_reject_of_a_csv_is_the_file_that_was_found(tmp_path: Path) -> None:
    clips(tmp_path, "x/a.wav", "y/b.wav", "c.wav")
    rows = "a.wav,sad,dev\nb,,\nc.wav,sad,\nnone.wav,sad,\n"
    (tmp_path / "t.csv").write_text(f"path,emotion,split\n{rows}")
    scan = corpora.scan(tmp_path, corpus=None, csv=tmp_path / "t.csv")
    assert list(reasons(scan, tmp_path)) == ["none.wav", "x/a.wav", "y/b.wav"]


@pytest.mark.parametrize("first", ["0,0.02", "0 days 00:00:00,0 days 00:00:00.02", ",0.02"])
def test_segments_are_clips_of_one_group(tmp_path: Path, first: str) -> None:
    clips(tmp_path, "talk.wav", "other.wav")
    (tmp_path / "t.csv").write_text(
        "file,start,end,emotion\n"
        f"talk.wav,{first},angry\ntalk.wav,0.02,,happy\nother.wav,,NaT,sad\n"
    )
    scan = corpora.scan(tmp_path, corpus=None, csv=tmp_path / "t.csv")
    assert scan.rejects.empty
    assert column(scan, "clip_id") == [
        "other",
        "talk@0000.000-0000.020",
        "talk@0000.020-0000.050",
    ]
    assert scan.clips["duration"].tolist() == pytest.approx([0.05, 0.02, 0.03])
    assert column(scan, "start") == [None, 0, 0.02]
    assert scan.clips["group"].tolist() == ["custom:other", "custom:talk", "custom:talk"]
    assert scan.clips["content"].is_unique
    assert scan.identical.empty


@pytest.mark.parametrize(
    ("start", "end", "reason"),
    [
        ("0.02", "0.01", "the segment from 0.02 to 0.01 s is none of its 0.05 s"),
        ("0", "9", "the segment from 0 to 9 s is none of its 0.05 s"),
        ("0.06", "", "the segment from 0.06 to 0.05 s is none of its 0.05 s"),
        ("soon", "", "start 'soon' is no time in seconds, such as 1.5 or 0 days 00:00:01.5"),
        ("", "-1", "end '-1' is no time in seconds, such as 1.5 or 0 days 00:00:01.5"),
        ("inf", "", "start 'inf' is no time in seconds, such as 1.5 or 0 days 00:00:01.5"),
    ],
)
def test_a_segment_that_is_none_is_rejected(
    tmp_path: Path, start: str, end: str, reason: str
) -> None:
    clips(tmp_path, "talk.wav")
    (tmp_path / "t.csv").write_text(
        f"file,start,end,emotion\ntalk.wav,{start},{end},angry\ntalk.wav,0.01,0.03,sad\n"
    )
    scan = corpora.scan(tmp_path, corpus=None, csv=tmp_path / "t.csv")
    assert scan.rejects["reason"].tolist() == [reason]
    assert column(scan, "emotion") == ["sad"]


def test_segments_are_measured_on_their_part_only(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    y = rng.uniform(-0.5, 0.5, 48_000)
    sf.write(tmp_path / "talk.wav", y, 16_000, subtype="FLOAT")
    sf.write(tmp_path / "part.wav", y[16_000:40_000], 16_000, subtype="FLOAT")
    (tmp_path / "t.csv").write_text(
        "file,start,end,emotion\ntalk.wav,0,1,sad\ntalk.wav,1,2.5,sad\npart.wav,,,sad\n"
    )
    table = corpora.scan(tmp_path, corpus=None, csv=tmp_path / "t.csv").clips
    chosen = features.named("statistics")
    plain = table[["clip_id", "path", "start", "end"]]
    hashed = plain.assign(content=features.contents(plain))
    for clips in (table, table, plain, hashed, hashed):  # the second time from the cache
        part, other, same = features.feature_table(clips, feature_set=chosen, progress=False).X
        np.testing.assert_array_equal(part, same)
        assert not np.allclose(part, other)


RATED = "path,emotion,rater\na.wav,sad,1\na.wav,sad,2\na.wav,angry,3\nb.wav,happy,1\nb.wav,joy,2\n"


def test_raters_who_differ_are_refused_or_decide_by_majority(tmp_path: Path) -> None:
    clips(tmp_path, "a.wav", "b.wav", "c.wav", "d.wav")
    table = tmp_path / "t.csv"
    table.write_text(RATED + "c.wav,sad,1\nc.wav,angry,2\nd.wav,sad,1\n")
    refused = corpora.scan(tmp_path, corpus=None, csv=table)
    assert column(refused, "clip_id") == ["b", "d"]
    assert refused.rejects["reason"].tolist() == [
        "3 rows contradict: sad x 2, angry x 1; --raters majority decides",
        "duplicate of b.wav",
        "2 rows contradict: sad x 1, angry x 1; --raters majority decides",
    ]
    decided = corpora.scan(tmp_path, corpus=None, csv=table, raters="majority")
    assert column(decided, "emotion") == ["sad", "happy", "sad"]
    assert column(decided, "agreement") == [pytest.approx(2 / 3), 1, None]
    assert decided.rejects["reason"].tolist() == ["no majority among 2 raters: sad x 1, angry x 1"]
    assert decided.notes == (
        "several raters: 2 clips were decided by majority, 1 by all raters; "
        "on average 83% of a clip's raters agree",
    )
    with pytest.raises(ValueError, match="raters is 'mean'"):
        corpora.scan(tmp_path, corpus=None, csv=table, raters="mean")
    with pytest.raises(ValueError, match="are about the rows of a CSV"):
        corpora.scan(tmp_path, corpus="custom", raters="majority")


@pytest.mark.parametrize("raters", [None, "majority"])
def test_rows_that_contradict_in_other_columns_are_refused(
    tmp_path: Path, raters: str | None
) -> None:
    clips(tmp_path, "a.wav", "b.wav")
    table = tmp_path / "t.csv"
    table.write_text("path,emotion,speaker\na.wav,sad,eve\na.wav,sad,ann\nb.wav,sad,\n")
    scan = corpora.scan(tmp_path, corpus=None, csv=table, raters=raters)
    assert scan.rejects["reason"].tolist() == ["2 rows contradict: speaker ann or eve"]


# --- labels of one's own --------------------------------------------------------------------


def test_own_labels_come_last_and_are_named_once(tmp_path: Path) -> None:
    names = [
        "stressed",
        "ho\u0308flich",
        "\u03b8\u03c5\u03bc\u03cc\u03c2",
        "Angry",
        "exc",
        "angyr",
        "fru",
    ]
    clips(tmp_path, *(f"{k}.wav" for k in range(len(names))))
    rows = "\n".join(f"{k}.wav,{name}" for k, name in enumerate(names))
    (tmp_path / "t.csv").write_text(f"path,label\n{rows}\n", "utf-8")
    scan = corpora.scan(tmp_path, corpus=None, csv=tmp_path / "t.csv")
    assert labels.in_order(scan.clips["emotion"]) == (
        "angry",
        "angyr",
        "excited",
        "frustrated",
        "h\u00f6flich",
        "stressed",
        "\u03b8\u03c5\u03bc\u03cc\u03c2",
    )
    assert scan.notes == (
        "labels beside the nine emotions: angyr (angry?), excited, frustrated, h\u00f6flich, "
        "stressed, \u03b8\u03c5\u03bc\u03cc\u03c2",
    )


@pytest.mark.parametrize(
    ("name", "emotion"),
    [
        ("Angry/001.wav", "angry"),
        ("Fear/anna/001.wav", "fearful"),
        ("03_sad/x.wav", "sad"),
        ("stressed/001.wav", "stressed"),
        ("H\u00f6flich/session 1/001.wav", "h\u00f6flich"),
        ("test/very polite/001.wav", "very_polite"),
    ],
)
def test_a_folder_for_each_label(tmp_path: Path, name: str, emotion: str) -> None:
    clips(tmp_path, name, "happy/5.wav", "train/bored to death/6.wav")
    scan = corpora.scan(tmp_path, corpus="custom")
    assert scan.rejects.empty
    found = dict(zip(column(scan, "clip_id"), column(scan, "emotion"), strict=True))
    assert found.pop("happy/5") == "happy"
    assert found.pop("train/bored to death/6") == "bored_to_death"
    assert list(found.values()) == [emotion]


def test_folders_that_are_no_labels(tmp_path: Path) -> None:
    clips(tmp_path, "recordings/a_happy.wav", "recordings/notes.wav", "Angry/so_sad.wav")
    clips(tmp_path, "Actor_01/b_angry.wav", "talk/20190616_125714_polite.wav")
    scan = corpora.scan(tmp_path, corpus="custom")
    assert column(scan, "emotion") == ["angry", "happy", "polite"]
    assert reasons(scan, tmp_path) == {
        "Angry/so_sad.wav": "its name says sad and its folder Angry: list it in a CSV, "
        "or rename it",
        "recordings/notes.wav": "name does not end in a known emotion: 'notes'",
    }
    with pytest.raises(ValueError, match=r"none of its 1 sound files .* --map for labels"):
        corpora.scan(clips(tmp_path / "other", "Actor_01/001.wav"), corpus="custom")
    with pytest.raises(ValueError, match="known emotion"):
        corpora.scan(clips(tmp_path / "one", "recordings/x.wav"), corpus="custom")


def test_labels_are_translated(tmp_path: Path) -> None:
    clips(tmp_path, "1_polite.wav", "2_exc.wav", "3_angry.wav", "4_xxx.wav", "5_fear.wav")
    meanings = {"polite": "polite", "exc": "happy", "Anger": "negative", "xxx": "", "fera": "sad"}
    scan = corpora.scan(tmp_path, corpus="custom", translate=meanings)
    assert column(scan, "emotion") == ["polite", "happy", "angry", "fearful"]
    assert reasons(scan, tmp_path) == {
        "4_xxx.wav": "label 'xxx' is left out, as its translation is empty"
    }
    assert scan.notes == (
        "labels beside the nine emotions: polite",
        "labels to translate that no clip has: anger, fera",
    )
    negative = {"angry": "negative", "fearful": "negative", "polite": "polite"}
    scan = corpora.scan(tmp_path, corpus="custom", translate=negative)
    assert column(scan, "emotion") == ["polite", "negative", "negative"]


# --- CREMA-D, and what folders hold besides clips -------------------------------------------


@pytest.mark.parametrize(
    ("name", "head", "is_sound"),
    [
        ("a.qta", b"", True),
        ("a.3gpp", b"", True),
        ("a.MP2", b"", True),
        ("a.spx", b"", True),
        ("call.unknown", b"\x00\x00\x00\x18ftypM4A ", True),
        ("rec", b"\x1a\x45\xdf\xa3", True),
        ("a.dat", b"RIFF\x00\x00\x00\x00WAVE", True),
        ("a.bin", b"\xff\xfb\x90", True),
        ("a.audio", b"OggS", True),
        ("a.heic", b"\x00\x00\x00\x18ftypheic", False),
        ("a.webp", b"RIFF\x00\x00\x00\x00WEBP", False),
        ("a.txt", "path".encode("utf-16"), False),
        ("a.jpg", b"\xff\xd8\xff\xe0", False),
        ("._a.wav", b"RIFF\x00\x00\x00\x00WAVE", False),
        ("__MACOSX/a.wav", b"RIFF\x00\x00\x00\x00WAVE", False),
    ],
)
def test_sound_is_known_by_suffix_or_content(
    tmp_path: Path, name: str, head: bytes, is_sound: bool
) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(head)
    found = list_files(tmp_path)
    assert found.sounds == ([path] if is_sound else [])
    assert ("1 file(s) that are no sound" in found.note) != is_sound


def test_what_is_passed_over_is_counted(tmp_path: Path) -> None:
    clips(tmp_path, "a_sad.wav", "__MACOSX/._a_sad.wav", "._a_sad.wav")
    for name in ("t.CSV", "u.csv", "LICENCE", ".DS_Store"):
        (tmp_path / name).write_text("text")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
    scan = corpora.scan(tmp_path, corpus="custom")
    assert scan.notes == (
        "passed over: 6 file(s) that are no sound (.csv x 2, of macOS x 2, without suffix x 2)",
    )


def test_a_name_in_a_csv_may_hold_a_line_break(tmp_path: Path) -> None:
    clip(tmp_path / "a\nb.wav")
    (tmp_path / "clips.csv").write_text('path,emotion\n"a\nb.wav",sad\n')
    scan = corpora.scan(tmp_path, corpus="custom", csv=tmp_path / "clips.csv")
    assert len(scan.clips) == 1


# --- where corpora are ----------------------------------------------------------------------


def test_folder_of_a_sample_corpus(root: Path) -> None:
    assert corpora.folder("ravdess") == root / "data" / "sample" / "ravdess"
    assert corpora.folder("sample", str(root / "data")) == root / "data" / "sample"


def test_missing_folder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="the sample has aesdd and ravdess"):
        corpora.folder("tess")
    with pytest.raises(FileNotFoundError, match="give the folder that holds ravdess/") as error:
        corpora.folder("ravdess", tmp_path)
    assert str(tmp_path / "ravdess") in str(error.value)


# --- wrong roots ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "settings", "error", "message"),
    [
        (".", {"corpus": "custom", "csv": "none.csv"}, FileNotFoundError, "no such CSV"),
        (".", {"corpus": "ravdess", "csv": "a.csv"}, ValueError, "is labelled by its file names"),
        (".", {"corpus": "tess"}, ValueError, "holds no sound file"),
        ("none", {"corpus": "tess"}, FileNotFoundError, "no such folder"),
        ("file", {"corpus": "custom"}, NotADirectoryError, "is a file"),
        (".", {"corpus": "iemocap"}, ValueError, "use one of ravdess, ravdess-song, aesdd"),
        (".", {"corpus": None}, ValueError, "use one of ravdess, ravdess-song, aesdd"),
    ],
)
def test_wrong_places_and_names(
    tmp_path: Path, place: str, settings: dict, error: type[Exception], message: str
) -> None:
    (tmp_path / "file").write_text("text")
    with pytest.raises(error, match=message):
        corpora.scan(tmp_path / place, **settings)


def test_wrong_folder_is_one_sentence(tmp_path: Path) -> None:
    clips(tmp_path, "a01 (1).wav", "a02 (1).wav")
    with pytest.raises(ValueError, match="none of its 2 sound files follows the RAVDESS rule") as e:
        corpora.scan(tmp_path, corpus="ravdess")
    assert str(tmp_path) in str(e.value)
    assert "'03-01-06-02-01-02-12.wav'" in str(e.value)
    assert "'a01 (1).wav'" in str(e.value)


@given(st.text(alphabet="0123456789-_() abdfhsAF", max_size=24))
def test_a_rule_answers_or_refuses_but_never_fails(stem: str) -> None:
    path = PurePosixPath(f"folder/x{stem}.wav").with_stem(stem or "x")
    for rule in naming.RULES.values():
        try:
            row = rule(path, translate=labels.canonical)
        except ValueError:
            continue  # any other error fails this test
        assert row["emotion"] in labels.EMOTIONS


def test_expected_counts_add_up() -> None:
    totals = {name: sum(each.clips.values()) for name, each in fetch.REGISTRY.items()}
    assert totals == {
        "ravdess": 1440,
        "ravdess-song": 1012,
        "aesdd": 602,
        "emodb": 535,
        "tess": 2800,
        "savee": 480,
        "crema-d": 7442,
    }


# --- the real corpora -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def ravdess(ravdess_root: Path) -> corpora.Scan:
    return corpora.scan(ravdess_root, corpus="ravdess")


@pytest.fixture(scope="module")
def aesdd(aesdd_root: Path) -> corpora.Scan:
    return corpora.scan(aesdd_root, corpus="aesdd")


def test_ravdess_is_complete(ravdess: corpora.Scan) -> None:
    counts = ravdess.clips["emotion"].value_counts()
    assert counts.pop("neutral") == 96
    assert set(counts) == {192}
    assert ravdess.clips["speaker"].nunique() == 24
    assert ravdess.clips.groupby("gender")["speaker"].nunique().tolist() == [12, 12]
    assert ravdess.rejects.empty
    assert corpora.missing(ravdess.clips, corpus="ravdess") == []


def test_ravdess_identical_pair(ravdess: corpora.Scan) -> None:
    assert ravdess.identical["clip_id"].tolist() == [
        "Actor_07/03-01-03-01-02-01-07",
        "Actor_07/03-01-03-01-02-02-07",
    ]
    assert ravdess.clips["group"].nunique() == 1439


def test_ravdess_oddities_come_from_the_headers(ravdess: corpora.Scan) -> None:
    assert ravdess.clips["channels"].eq(2).sum() == 5
    assert ravdess.clips["sample_rate"].eq(22_050).sum() == 8
    assert ravdess.clips["duration"].mean() == pytest.approx(3.70, abs=0.005)


def test_nested_mirror_of_ravdess(tmp_path: Path, ravdess_root: Path) -> None:
    mirror = tmp_path / "archive"
    shutil.copytree(ravdess_root, mirror, copy_function=os.symlink)
    (mirror / "audio_speech_actors_01-24").symlink_to(ravdess_root, target_is_directory=True)
    scan = corpora.scan(mirror, corpus="ravdess")
    assert len(scan.clips) == 1440
    assert not scan.clips["clip_id"].str.contains("audio_speech").any()
    assert len(scan.rejects) == 1440
    assert scan.rejects["reason"].str.startswith("duplicate of Actor_").all()


def test_aesdd_is_complete(aesdd: corpora.Scan) -> None:
    assert corpora.missing(aesdd.clips, corpus="aesdd") == []
    assert len(aesdd.clips) == 602
    assert sorted(aesdd.clips["speaker"].unique()) == [f"aesdd-{n}" for n in range(1, 7)]
    assert aesdd.clips["duration"].mean() == pytest.approx(4.09, abs=0.005)


def test_aesdd_rejects(aesdd: corpora.Scan, aesdd_root: Path) -> None:
    assert reasons(aesdd, aesdd_root) == {
        "anger/a20 (5).wav": "empty file",
        "sadness/s05 (3).wav": "truncated header",
    }


def test_aesdd_double_takes(aesdd: corpora.Scan) -> None:
    takes = aesdd.clips[aesdd.clips["take"].notna()]
    assert takes["take"].value_counts().to_dict() == {"b": 8, "a": 1}
    sizes = aesdd.clips.groupby("group").size()
    assert (sizes == 2).sum() == 8
    assert sizes.max() == 2
