"""The recorder as a reader uses it: JupyterLab in Chromium, with a microphone that plays a clip."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from jupyter_browser import Lab, Notebook, chromium, jupyter_lab, permit_microphone, programs
from real_time import REAL_TIME
from scipy.signal import correlate

from sercourse import audio, bundles

pytestmark = [pytest.mark.browser, *REAL_TIME]

SR = 16_000
CELLS = [
    "from sercourse import bundles\n"
    "from sercourse.recorder import Recorder\n"
    "recorder = Recorder()\n"
    "recorder",
    "import json\n"
    "bundle = bundles.load('ravdess-svm')\n"
    "y = recorder.clip(sr=bundle.sample_rate)\n"
    "recorder.save('recorded.wav')\n"
    "print(json.dumps(bundle.predict(y, sr=bundle.sample_rate)))",
    "recorder.max_seconds = 1.5",
]
SHOW, PREDICT, SHORTEN = range(3)

WIDGET = ".sercourse-recorder"
RECORD = f"{WIDGET} .record"
MESSAGE = f"{WIDGET} .message"
UPLOAD = f"{WIDGET} input[type=file]"
ARRIVED = r"[\d.]+ s are in Python"

# Keeps what the page asked the browser for, and the microphone that it was given.
SPY = """
const devices = navigator.mediaDevices, ask = devices.getUserMedia.bind(devices);
devices.getUserMedia = async (wanted) => {
  const stream = await ask(wanted);
  [window.spied] = stream.getAudioTracks();
  return stream;
};
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a small notebook."""
    code = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    notebook = {
        "cells": [{**code, "id": f"cell-{i}", "source": cell} for i, cell in enumerate(CELLS)],
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    folder = tmp_path_factory.mktemp("notebooks")
    (folder / "voice.ipynb").write_text(json.dumps(notebook))
    return folder


@pytest.fixture(scope="module")
def lab(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    programs()  # skips before anything is started
    with jupyter_lab(folder, scratch=tmp_path_factory.mktemp("jupyter")) as lab:
        yield lab


@pytest.fixture(scope="module")
def spoken(sample_ravdess: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a clip between two pauses, as a microphone hears it."""
    y = audio.read(sample_ravdess / "Actor_07" / "03-01-05-02-01-01-07.ogg", sr=48_000)
    path = tmp_path_factory.mktemp("microphone") / "spoken.wav"
    sf.write(path, np.pad(y, 24_000), 48_000, subtype="PCM_16")
    return path


@pytest.fixture(scope="module")
def opened(lab: Lab, spoken: Path) -> Iterator[Notebook]:
    """The notebook in a browser whose microphone plays the clip."""
    with chromium(microphone=spoken) as window:
        notebook = Notebook(window, lab.address("voice.ipynb"))
        window.execute_script(SPY)
        yield notebook


@pytest.fixture
def page(opened: Notebook) -> Notebook:
    """The same, with a new recorder and a microphone that may be used."""
    permit_microphone(opened.window, "granted")
    opened.run(SHOW)
    opened.wait_for_text(MESSAGE, "^$")
    return opened


def record(page: Notebook, *, seconds: float) -> str:
    """Record, stop, and return what the recorder says once Python has it."""
    page.click(RECORD)
    page.wait_for_text(MESSAGE, "Recording from")
    time.sleep(seconds)
    page.click(RECORD)
    return page.wait_for_text(MESSAGE, ARRIVED)


def spied(page: Notebook, of_track: str) -> object:
    return page.window.execute_script(f"return window.spied.{of_track}")


def aligned(recorded: np.ndarray, *, to: np.ndarray) -> np.ndarray:
    """Return the part of a recording that holds a clip, as long as the clip."""
    lag = int(correlate(recorded, to).argmax()) - (len(to) - 1)
    return np.pad(recorded, len(to))[len(to) + lag :][: len(to)]


def test_a_recorded_voice_is_judged_as_the_clip_itself(
    page: Notebook, folder: Path, spoken: Path, root: Path
) -> None:
    clip = audio.read(spoken, sr=SR)
    record(page, seconds=len(clip) / SR + 0.3)
    said = json.loads(page.run(PREDICT))
    recorded = aligned(audio.read(folder / "recorded.wav", sr=SR), to=clip)
    assert np.corrcoef(recorded, clip)[0, 1] > 0.95  # no block is missing
    bundle = bundles.load("ravdess-svm")
    expected, heard = bundle.predict(clip, sr=SR), bundle.predict(recorded, sr=SR)
    assert max(said, key=said.get) == max(heard, key=heard.get) == max(expected, key=expected.get)
    assert max(abs(heard[label] - expected[label]) for label in expected) < 0.15
    for theme in ("Dark", "Light"):  # to be looked at
        page.theme(f"JupyterLab {theme}")
        page.screenshot(root / "build" / "browser" / f"recorder-{theme.lower()}.png")


def test_the_microphone_is_asked_for_its_plain_voice_and_let_go(page: Notebook) -> None:
    page.click(RECORD)
    page.wait_for_text(MESSAGE, "Recording from")
    settings = spied(page, "getSettings()")
    names = ("echoCancellation", "noiseSuppression", "autoGainControl")
    assert [settings[name] for name in names] == [False, False, False]
    assert spied(page, "readyState") == "live"
    page.click(RECORD)
    page.wait_for_text(MESSAGE, ARRIVED)
    assert spied(page, "readyState") == "ended"


def test_keys_are_enough_and_jupyter_does_not_take_them(page: Notebook) -> None:
    button = page.element(RECORD)
    button.send_keys("\ue007")  # Enter
    page.wait_for_text(MESSAGE, "Recording from")
    assert button.text == "Stop"
    assert page.window.switch_to.active_element == button
    dataset_without_features = "return getComputedStyle(document.activeElement).outlineStyle"
    assert page.window.execute_script(dataset_without_features) == "solid"  # the focus shows
    button.send_keys(" ")
    page.wait_for_text(MESSAGE, ARRIVED)
    assert button.text == "Record"


def test_it_stops_by_itself_at_the_longest_length(page: Notebook, folder: Path) -> None:
    page.run(SHORTEN)
    page.wait_for_text(f"{WIDGET} .time", "up to 1.5 s")
    page.click(RECORD)
    level = f"document.querySelector('{WIDGET} .meter').getAttribute('aria-valuenow')"
    page.wait(f"return Number({level}) > -40", 5)
    page.wait_for_text(f"{WIDGET} .time", "stops in 1 s")
    page.wait_for_text(MESSAGE, "Stopped after 1.5 s.*1.5 s are in Python")
    page.wait(f"return document.querySelector('{WIDGET} audio').duration === 1.5", 5)
    page.run(PREDICT)
    assert sf.info(folder / "recorded.wav").frames == 1.5 * SR


def test_clearing_the_cell_switches_the_microphone_off(page: Notebook) -> None:
    page.click(RECORD)
    page.wait_for_text(MESSAGE, "Recording from")
    page.command("notebook:clear-all-cell-outputs")
    page.wait("return window.spied.readyState === 'ended'", 5)


def test_no_voice_is_left_in_a_saved_notebook(page: Notebook, folder: Path) -> None:
    record(page, seconds=2.0)
    page.command("docmanager:save")
    saved = (folder / "voice.ipynb").read_text()
    assert "application/vnd.jupyter.widget-state+json" in saved  # the widget is there,
    longest = max(re.findall(r'"(?:[^"\\]|\\.)*"', saved), key=len)
    assert "export default" in longest  # and its code, but not 64 kB of sound


def test_a_denied_microphone_is_explained_and_can_be_allowed(page: Notebook) -> None:
    permit_microphone(page.window, "denied")
    page.click(RECORD)
    page.wait_for_text(MESSAGE, "^The microphone is not allowed: allow it in the browser")
    assert re.search("nothing has been recorded yet.*is not allowed", page.run(PREDICT))
    permit_microphone(page.window, "granted")
    record(page, seconds=0.5)


def test_an_uploaded_file_arrives_and_a_bad_one_changes_nothing(
    page: Notebook, folder: Path, spoken: Path, tmp_path: Path
) -> None:
    clip, rate = sf.read(spoken)
    sf.write(tmp_path / "voice.mp3", clip, rate)
    sf.write(tmp_path / "voice.wav", np.stack([clip, 0 * clip], axis=1), 44_100, subtype="FLOAT")
    sf.write(tmp_path / "long.wav", np.zeros(21 * 8_000), 8_000)
    (tmp_path / "notes.wav").write_text("RIFF, but no sound")
    (tmp_path / "large.wav").write_bytes(bytes(17_000_000))

    def upload(name: str, answer: str) -> np.ndarray:
        page.element(UPLOAD).send_keys(str(tmp_path / name))
        page.wait_for_text(MESSAGE, f"^{re.escape(name)} {answer}")
        page.run(PREDICT)
        return audio.read(folder / "recorded.wav", sr=SR)

    from_mp3 = upload("voice.mp3", f"was read. {ARRIVED}")
    at_16k = audio.read(tmp_path / "voice.mp3", sr=SR)
    assert np.corrcoef(aligned(from_mp3, to=at_16k), at_16k)[0, 1] > 0.999
    from_wav = upload("voice.wav", f"was read. {ARRIVED}")
    expected = audio.read(tmp_path / "voice.wav", sr=SR)
    assert len(from_wav) == len(expected)
    assert np.abs(from_wav - expected).max() < 0.01 * np.abs(expected).max()
    for name, answer in [
        ("long.wav", "lasts 21.0 s and at most 20 s can be sent"),
        ("notes.wav", "holds no sound that this browser can read"),
        ("large.wav", "has 17 MB and at most 16 MB are read"),
    ]:
        np.testing.assert_array_equal(upload(name, answer), from_wav)


def test_without_a_microphone_or_https_the_reason_is_said(lab: Lab, root: Path) -> None:
    # A narrow window, and a name by which this machine is not known as the reader's own.
    with chromium(flags=("--host-resolver-rules=MAP course.test 127.0.0.1",), size="420,800") as w:
        far = Notebook(w, lab.address("voice.ipynb", host="course.test"))
        far.run(SHOW)
        far.click(RECORD)
        far.wait_for_text(MESSAGE, "only to pages at https or localhost, and this one is http://")
        far.screenshot(root / "build" / "browser" / "recorder-narrow.png")
        near = Notebook(w, lab.address("voice.ipynb"))
        near.run(SHOW)
        near.click(RECORD)
        if near.window.execute_async_script(
            "navigator.mediaDevices.enumerateDevices().then(found =>"
            " arguments[0](found.some(each => each.kind === 'audioinput')))"
        ):
            pytest.skip("this machine has a microphone: that there is none cannot be tested")
        near.wait_for_text(MESSAGE, "^No microphone was found: plug one in")
