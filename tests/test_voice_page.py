"""The page "Try your voice": its functions in Node, and the whole of it in Chromium."""

from __future__ import annotations

import base64
import functools
import http.server
import json
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
import soxr
import voice_page
from jupyter_browser import chromium, permit_microphone, programs
from real_time import REAL_TIME
from sounds import voice

from sercourse import audio, bundles, decoding
from sercourse.bundles import timeline

SR = 16_000
PAGE = "document.querySelector('#sercourse-voice')"
RECORD, MESSAGE = ".sercourse-recorder .record", ".sercourse-recorder .message"
FILE, STATUS = ".sercourse-recorder input[type=file]", "#sercourse-voice .status"
BROWSER = [pytest.mark.browser, *REAL_TIME]

# Whatever is asked of another host fails, and a failure is an error in the console.
ALONE = ("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",)

# Calls the functions of sound.js for the signal on the standard input.
MEASURE = """
import { readFileSync } from "node:fs";
const [folder, settings] = process.argv.slice(1);
const sound = await import(`${folder}/sound.js`);
const s = JSON.parse(settings);
const y = new Float32Array(Uint8Array.from(readFileSync(0)).buffer);
const sum = (part) => part.reduce((a, b) => a + Math.abs(b), 0);
const slid = [...sound.windows(y, { every: 0.7, window: 1, s })];
console.log(JSON.stringify({
  issues: sound.qualityIssues(y, s).map(({ text }) => text),
  fatal: sound.fatalIssues(y, s).map(({ text }) => text),
  trim: sound.trim(y, { sr: s.sr, topDb: s.trimDb }),
  segments: sound.segments(y, { sr: s.sr, seconds: 1.5 }).map((part) => [part.length, sum(part)]),
  windows: slid.map((each) => [each.start, each.end, sum(each.y)]),
  measured: sound.measure(y, s),
  loudest: sound.peak(sound.normalizePeak(y, 0.5)),
}));
"""

WORDS = """
const page = await import(`${process.argv[1]}/page.js`);
const moments = [[0, 3], [1, 4], [2, 5], [2.4, 5.4]].map(([start, end]) => ({ start, end }));
const places = page.columns(moments, 5.4);
const wasm = { validate: () => false };
console.log(JSON.stringify({
  places,
  runs: page.runs(["happy", "happy", "(silence)", "sad"], places),
  reasons: [page.whyNoModel(null), page.whyNoModel(wasm), page.whyNoModel()],
}));
"""

MIX = """
import { readFileSync } from "node:fs";
const [folder, settings] = process.argv.slice(1);
const { mix } = await import(`${folder}/sound.js`);
const all = new Float32Array(Uint8Array.from(readFileSync(0)).buffer);
const half = all.length / 2;
const { y, warning } = mix([all.slice(0, half), all.slice(half)], 16_000, JSON.parse(settings));
console.log(JSON.stringify({ y: [...y], warning }));
"""


def signals() -> dict[str, np.ndarray]:
    """Return sounds of every kind that is told apart."""
    rng = np.random.default_rng(0)
    t = np.arange(3 * SR) / SR
    y = voice(4.33, sr=SR)
    return {
        "voice": y,
        "voice among pauses": np.pad(y[: 2 * SR], SR),
        "voice in hum": (y[: t.size] + 0.2 * np.sin(2 * np.pi * 50 * t)).astype(np.float32),
        "clipped": np.clip(30 * y, -1, 1),
        "faint": 1e-3 * y / np.abs(y).max(),
        "short": y[SR : SR + 3_000],
        "a moment": y[SR : SR + 200],
        "silence": np.zeros(2 * SR, dtype=np.float32),
        "constant": np.full(2 * SR, 0.25, dtype=np.float32),
        "noise": rng.normal(scale=0.05, size=2 * SR).astype(np.float32),
    }


@pytest.fixture(scope="module")
def node() -> str:
    program = shutil.which("node")
    if program is None:
        pytest.skip("Node is not installed: on Debian or Ubuntu, apt install nodejs")
    return program


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page as it is built without npm, while no package lies in the build folder."""
    folder = tmp_path_factory.mktemp("bare") / "voice"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(voice_page, "PACKAGES", folder.parent / "npm")
        assert "npm is not here" in voice_page.assemble(folder, npm=None)
    (folder / "package.json").write_text('{"type": "module"}')  # for Node
    return folder


@pytest.fixture
def javascript(node: str, bare: Path) -> Callable[..., Any]:
    """Return a function that runs a script on a signal, and returns the JSON that it prints."""

    def run(script: str, y: np.ndarray | None = None) -> Any:
        settings = json.dumps(voice_page.sound_settings(SR))
        done = subprocess.run(
            [node, "--input-type=module", "-e", script, bare.as_uri(), settings],
            input=b"" if y is None else y.astype("<f4").tobytes(),
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout)

    return run


# --- what is built --------------------------------------------------------------------------------


def test_the_page_knows_the_model_from_its_bundle(bare: Path) -> None:
    bundle = bundles.load(bundles.DEFAULT_MODEL)
    known = json.loads((bare / "voice.json").read_text())
    assert (known["name"], tuple(known["labels"])) == (bundle.name, bundle.labels)
    assert known["temperature"] == bundle.info["temperature"]["model"] != 1
    assert known["sureFrom"] == bundle.info["sure_from"] > 0
    assert known["gender"]["threshold"] == bundle.info["gender"]["threshold"] > 0.5
    assert len(known["speech"]["mean"]) == bundle.members[0].info["speech"]["n_features"]
    assert "not for judging what a person feels" in known["card"]["use"][0]
    accuracy = {each["protocol"]: each["accuracy"] for each in bundle.metrics["protocols"]}
    for protocol, sentence in zip(("speaker", "corpus"), known["card"]["results"][1:], strict=True):
        assert f"it names {100 * accuracy[protocol]:.0f}{voice_page.PERCENT}" in sentence


def test_another_kind_of_model_is_refused() -> None:
    with pytest.raises(ValueError, match="'ravdess-svm' is another: teach"):
        voice_page.settings(bundles.load("ravdess-svm"))


def test_npm_that_fails_is_quoted_and_the_rest_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voice_page, "PACKAGES", tmp_path / "npm")
    npm = tmp_path / "no-network"
    npm.write_text("#!/bin/sh\necho 'npm error network is unreachable' >&2\nexit 1\n")
    npm.chmod(0o755)
    said = voice_page.assemble(tmp_path / "voice", npm=str(npm))
    assert re.search(r"onnxruntime-web [\d.]+ \(npm error network is unreachable\): try", said)
    assert json.loads((tmp_path / "voice" / "voice.json").read_text())["missing"] == said
    assert "Try your voice" in (tmp_path / "voice" / "index.html").read_text()


def test_a_page_of_the_site_stays_and_one_of_the_tool_is_renewed(bare: Path) -> None:
    own = (bare / "index.html").read_text()
    pages = {own.replace("Say a sentence", "Sing"): own, "the site's": "the site's"}
    for before, after in pages.items():
        (bare / "index.html").write_text(before)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(voice_page, "PACKAGES", bare.parent / "npm")
            voice_page.assemble(bare, npm=None)
        assert (bare / "index.html").read_text() == after
    (bare / "index.html").write_text(own)


def test_packages_that_npm_fetched_are_taken_over_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voice_page, "PACKAGES", tmp_path / "voice")
    lock = json.loads((voice_page.SOURCES / "package-lock.json").read_text("utf-8"))
    version = lock["packages"]["node_modules/axe-core"]["version"]
    npm = tmp_path / "npm"
    for status in 1, 0:  # a run that ends half-way leaves nothing behind
        npm.write_text(
            "#!/bin/sh\nmkdir -p node_modules/axe-core; cp package-lock.json .npmrc node_modules\n"
            f"echo '{json.dumps({'version': version})}' > node_modules/axe-core/package.json\n"
            f"echo 'npm error' >&2\nexit {status}\n"
        )
        npm.chmod(0o755)
        if status:
            with pytest.raises(OSError, match=rf"axe-core {version} \(npm error\)"):
                voice_page.install("axe-core", npm=str(npm))
            assert [path.name for path in tmp_path.iterdir()] == ["npm"]
    folder = voice_page.install("axe-core", npm=str(npm))
    assert voice_page.install("axe-core", npm=None) == folder
    assert (folder / "package.json").is_file()


def test_the_lock_has_checksums_and_no_addresses(root: Path) -> None:
    text = (root / "docs" / "voice" / "package-lock.json").read_text()
    packages = json.loads(text)["packages"]
    assert all(each["integrity"] for name, each in packages.items() if name)
    assert "http" not in text
    assert "resolved" not in text


# --- functions ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", signals())
def test_javascript_measures_what_python_does(javascript: Callable[..., Any], name: str) -> None:
    y = signals()[name]
    found = javascript(MEASURE, y)
    assert found["issues"] == audio.quality_issues(y, sr=SR)
    assert found["fatal"] == audio.fatal_issues(y, sr=SR)
    words = audio.trim(y, sr=SR)
    first = (words.ctypes.data - y.ctypes.data) // y.itemsize
    assert found["trim"] == [first, first + words.size]
    parts = audio.segments(y, sr=SR, seconds=1.5)
    expected = [[part.size, float(np.abs(part.astype(float)).sum())] for part in parts]
    np.testing.assert_allclose(found["segments"], expected, rtol=1e-4, atol=1e-9)
    slid = timeline.windows([y], sr=SR, every=0.7, window=1.0)
    expected = [[w.start, w.end, float(np.abs(w.y.astype(float)).sum())] for w in slid]
    np.testing.assert_allclose(found["windows"], expected, rtol=1e-4, atol=1e-9)
    level, note = timeline.measure(y, sr=SR)
    assert (found["measured"]["note"], found["measured"]["level"]) == (note, pytest.approx(level))
    assert found["loudest"] == pytest.approx(np.abs(audio.normalize_peak(y, peak=0.5)).max())


@pytest.mark.parametrize("second", [0.5, -0.9, 0.0])
def test_javascript_mixes_channels_as_python_does(
    javascript: Callable[..., Any], tmp_path: Path, second: float
) -> None:
    y = np.stack([voice(2.0, sr=SR), second * voice(2.0, sr=SR)])
    found = javascript(MIX, y)
    sf.write(tmp_path / "stereo.wav", y.T, SR, subtype="FLOAT")
    if second < 0:
        with pytest.warns(decoding.SoundWarning, match="channel 1 alone is used"):
            expected = audio.read(tmp_path / "stereo.wav", sr=SR)
        assert found["warning"].endswith("channel 1 alone is used")
    else:
        expected = audio.read(tmp_path / "stereo.wav", sr=SR)
        assert found["warning"] == ""
    np.testing.assert_allclose(found["y"], expected, atol=1e-6)


def test_windows_share_the_time_and_the_reason_is_named(javascript: Callable[..., Any]) -> None:
    found = javascript(WORDS)
    assert found["places"] == [[0, 2], [2, 3], [3, pytest.approx(3.7)], [pytest.approx(3.7), 5.4]]
    assert found["runs"] == ["0–3 s happy", "3–3.7 s (silence)", "3.7–5.4 s sad"]
    no_wasm, no_simd, fine = found["reasons"]
    assert no_wasm.startswith("This browser has no WebAssembly")
    assert "no SIMD instructions" in no_simd
    assert fine == ""


# --- in the browser -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the page; skip where it cannot be built or opened."""
    programs()
    folder = tmp_path_factory.mktemp("built") / "voice"
    if missing := voice_page.assemble(folder, npm=shutil.which("npm")):
        pytest.skip(missing)
    return folder


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing of each request."""


@pytest.fixture(scope="module")
def serve() -> Iterator[Callable[[Path], str]]:
    """Return a function that serves a folder, and returns its address."""
    servers = []

    def start(folder: Path) -> str:
        handler = functools.partial(_Quiet, directory=str(folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://localhost:{server.server_port}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


class Page:
    """The page in a browser."""

    def __init__(self, window: Any, address: str, *, first: str = "") -> None:
        self.window = window
        if first:  # some JavaScript that runs before the page's own
            window.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": first})
        window.get(address)

    def run(self, code: str, *values: Any) -> Any:
        return self.window.execute_script(code, *values)

    def text(self, selector: str) -> str:
        return str(self.run(f"return document.querySelector({json.dumps(selector)}).innerText"))

    def wait(self, condition: str, *, seconds: float = 60) -> Any:
        """Return what some JavaScript returns, once it is something."""
        deadline = time.monotonic() + seconds
        while not (found := self.run(f"return {condition}")):
            if time.monotonic() > deadline:
                raise AssertionError(f"not so within {seconds} s: {condition}")
            time.sleep(0.02)
        return found

    def ready(self) -> Page:
        """Wait for the model."""
        state = self.wait(f"{PAGE}.dataset.model !== 'loading' && {PAGE}.dataset.model")
        assert state == "ready", self.text(STATUS)
        return self

    def forget(self) -> None:
        """Forget the last answer, so that the next can be waited for."""
        self.run(f"delete {PAGE}.dataset.answer; delete {PAGE}.dataset.overTime")

    def open(self, path: Path) -> None:
        self.forget()
        self.window.find_element("css selector", FILE).send_keys(str(path))

    def answer(self) -> dict[str, Any]:
        return dict(json.loads(self.wait(f"{PAGE}.dataset.answer")))

    def said(self, pattern: str, selector: str = MESSAGE, *, seconds: float = 30) -> str:
        """Return the text of an element once it matches."""
        found = f"document.querySelector({json.dumps(selector)})?.innerText"
        self.wait(f"new RegExp({json.dumps(pattern)}).test({found})", seconds=seconds)
        return self.text(selector)

    def click(self, selector: str) -> None:
        self.window.find_element("css selector", selector).click()


@pytest.fixture(scope="module")
def spoken(sample_ravdess: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what the microphone hears, over and over."""
    y = audio.read(sample_ravdess / "Actor_07" / "03-01-05-02-01-01-07.ogg", sr=48_000)
    path = tmp_path_factory.mktemp("microphone") / "spoken.wav"
    sf.write(path, np.pad(y, 24_000), 48_000, subtype="PCM_16")
    return path


@pytest.fixture(scope="module")
def opened(built: Path, serve: Callable[[Path], str], spoken: Path) -> Iterator[Page]:
    with chromium(microphone=spoken, flags=ALONE, size="1280,1000") as window:
        yield Page(window, serve(built)).ready()


@pytest.fixture
def page(opened: Page) -> Page:
    """Return the page, with a microphone that may be used."""
    permit_microphone(opened.window, "granted")
    opened.forget()
    return opened


def same(answer: dict[str, Any], expected: bundles.Prediction) -> None:
    """Demand that the page says what Python does."""
    assert answer["emotion"] == expected.emotion
    assert answer["gender"] == expected.gender
    assert answer["warnings"] == list(expected.warnings)
    assert answer["speech"] == expected.speech
    assert answer["duration"] == pytest.approx(expected.duration, abs=1e-3)
    p, wanted = answer["probabilities"], expected.probabilities
    assert list(p) == list(wanted)
    assert max(abs(p[name] - wanted[name]) for name in wanted) < 0.02


def clips(sample: Path, folder: Path) -> list[Path]:
    """Write 20 clips: rates, lengths, levels, channels, formats."""
    names = ("01/03-01-03-02-01-01-01", "06/03-01-04-01-02-01-06", "07/03-01-05-02-01-01-07")
    voices = [audio.read(sample / f"Actor_{name}.ogg", sr=48_000) for name in names]
    made: dict[str, tuple[np.ndarray, int, str]] = {}
    for k, y in enumerate(voices):
        for sr in (16_000, 22_050, 44_100, 48_000):
            made[f"{k}-{sr}.wav"] = (soxr.resample(y, 48_000, sr), sr, "PCM_16")
    y, several = voices[0], np.concatenate(voices * 12)
    noise = np.random.default_rng(0).normal(scale=0.1, size=96_000)
    made |= {
        "quiet.wav": (0.01 * y, 48_000, "PCM_24"),
        "float.wav": (y, 48_000, "FLOAT"),
        "clipped.wav": (np.clip(30 * y, -1, 1), 48_000, "PCM_16"),
        "short.wav": (y[24_000:43_200], 48_000, "PCM_16"),
        "long.flac": (several[: 15 * 48_000], 48_000, "PCM_16"),
        "longer.wav": (soxr.resample(several, 48_000, SR)[: 63 * SR], SR, "PCM_16"),
        "stereo.wav": (np.stack([y, 0.3 * y], axis=1), 48_000, "PCM_16"),
        "noise.wav": (noise, 48_000, "PCM_16"),
    }
    for name, (samples, sr, subtype) in made.items():
        sf.write(folder / name, samples, sr, subtype=subtype)
    return [folder / name for name in made]


class TestInTheBrowser:
    pytestmark = BROWSER

    def test_twenty_clips_are_judged_as_by_the_command_line(
        self, page: Page, sample_ravdess: Path, tmp_path: Path
    ) -> None:
        bundle, paths = bundles.load(bundles.DEFAULT_MODEL), clips(sample_ravdess, tmp_path)
        assert len(paths) == 20
        for path in paths:
            page.open(path)
            same(page.answer(), bundle.predict_file(path))

    def test_clips_of_the_real_corpora_are_judged_as_by_the_command_line(
        self, page: Page, ravdess_root: Path, aesdd_root: Path
    ) -> None:
        bundle = bundles.load(bundles.DEFAULT_MODEL)
        for folder in (ravdess_root, aesdd_root):
            found = sorted(each for each in folder.rglob("*.*") if each.suffix in (".wav", ".flac"))
            for path in found[:: len(found) // 10][:10]:
                page.open(path)
                same(page.answer(), bundle.predict_file(path))

    def test_emotions_over_time_are_those_of_the_command_line(
        self, page: Page, sample_ravdess: Path, tmp_path: Path
    ) -> None:
        y = audio.read(sample_ravdess / "Actor_01" / "03-01-03-02-01-01-01.ogg", sr=44_100)
        long = np.concatenate([y, 0.5 * y, np.zeros(4 * 44_100), y, y])
        sf.write(tmp_path / "long.wav", long, 44_100)
        page.open(tmp_path / "long.wav")
        found = json.loads(page.wait(f"{PAGE}.dataset.overTime"))
        bundle = bundles.load(bundles.DEFAULT_MODEL)
        expected = bundle.predict_file_over_time(tmp_path / "long.wav", every=1.0)
        assert [each["note"] for each in found] == list(expected.notes)
        assert {"", "silence"} <= set(expected.notes)
        for each, start, p in zip(found, expected.start, expected.probabilities, strict=True):
            assert each["start"] == pytest.approx(start, abs=1e-3)
            if each["probabilities"] is not None:
                np.testing.assert_allclose([*each["probabilities"].values()], p, atol=0.02)
        assert page.said(r"0–[\d.]+ s \w+, .*\(silence\)", ".over-time .runs")
        drawn = "[...document.querySelectorAll('.over-time tbody tr')].length"
        assert page.run(f"return {drawn}") == len(found)

    def test_a_recorded_voice_is_judged_as_the_file_that_it_is_saved_as(
        self, page: Page, tmp_path: Path, root: Path
    ) -> None:
        page.click(RECORD)
        page.said("Recording from")
        meter = "Number(document.querySelector('.meter').getAttribute('aria-valuenow')) > -50"
        page.wait(meter, seconds=10)
        time.sleep(2.5)
        page.click(RECORD)
        answer = page.answer()
        page.said(r"(It sounds \w+|I do not know)\. Judged in [\d.]+ s\.")
        saved = page.window.execute_async_script(
            "const [done] = arguments;"
            "fetch(document.querySelector('.save').href).then(r => r.blob()).then(blob => {"
            "  const reader = new FileReader();"
            "  reader.onload = () => done(reader.result); reader.readAsDataURL(blob); })"
        )
        (tmp_path / "voice.wav").write_bytes(base64.b64decode(saved.partition(",")[2]))
        assert sf.info(tmp_path / "voice.wav").samplerate == SR
        bundle = bundles.load(bundles.DEFAULT_MODEL)
        same(answer, bundle.predict_file(tmp_path / "voice.wav"))
        bars = page.run("return [...document.querySelectorAll('.bars li')].map(li => li.innerText)")
        assert len(bars) in (0, len(bundle.labels))  # none for what is no speech
        (root / "build" / "browser").mkdir(parents=True, exist_ok=True)
        page.window.save_screenshot(str(root / "build" / "browser" / "voice.png"))

    def test_what_cannot_be_judged_is_said_in_the_same_words(
        self, page: Page, tmp_path: Path
    ) -> None:
        bundle = bundles.load(bundles.DEFAULT_MODEL)
        sounds = {"silent": np.zeros(2 * SR), "short": voice(0.2, sr=SR)}
        for name, y in sounds.items():
            sf.write(tmp_path / f"{name}.wav", y, SR)
            with pytest.raises(ValueError, match=r"\.wav: ") as raised:
                bundle.predict_file(tmp_path / f"{name}.wav")
            page.open(tmp_path / f"{name}.wav")
            page.said(f"^{name}.wav was read. It cannot be judged.$")
            reason = str(raised.value).partition(".wav: ")[2]
            assert page.text(".answer .warnings").startswith(reason)
            assert page.text(".answer .headline") == "This cannot be judged"
        (tmp_path / "words.wav").write_text("no sound at all")
        page.open(tmp_path / "words.wav")
        page.said("^words.wav holds no sound that this browser can read")
        assert page.run("return document.querySelector('.answer').hidden")

    def test_a_file_can_be_dropped(self, page: Page, spoken: Path) -> None:
        page.run(
            "const bytes = Uint8Array.from(atob(arguments[0]), letter => letter.charCodeAt(0));"
            "const dataTransfer = new DataTransfer();"
            "dataTransfer.items.add(new File([bytes], 'dropped.wav'));"
            f"{PAGE}.dispatchEvent(new DragEvent('drop', {{ dataTransfer, cancelable: true }}))",
            base64.b64encode(spoken.read_bytes()).decode(),
        )
        same(page.answer(), bundles.load(bundles.DEFAULT_MODEL).predict_file(spoken))

    def test_a_newer_sound_takes_over(
        self, page: Page, sample_ravdess: Path, spoken: Path, tmp_path: Path
    ) -> None:
        y = audio.read(sample_ravdess / "Actor_01" / "03-01-03-02-01-01-01.ogg", sr=SR)
        sf.write(tmp_path / "long.wav", np.tile(y, 20), SR)
        page.open(tmp_path / "long.wav")
        page.said("% judged", ".over-time .progress")
        page.open(spoken)
        page.answer()
        page.said(r"^spoken\.wav was read\. .* Judged")
        time.sleep(1)
        assert page.run("return document.querySelector('.over-time').hidden")
        assert not page.run(f"return {PAGE}.dataset.overTime")

    def test_a_denied_microphone_is_explained_and_a_file_still_judged(
        self, page: Page, spoken: Path
    ) -> None:
        permit_microphone(page.window, "denied")
        page.click(RECORD)
        page.said("^The microphone is not allowed: allow it .*, or open a sound file.$")
        page.open(spoken)
        same(page.answer(), bundles.load(bundles.DEFAULT_MODEL).predict_file(spoken))

    def test_keys_reach_everything(self, page: Page, spoken: Path) -> None:
        page.open(spoken)
        page.answer()
        reached = set()
        for _ in range(12):
            page.window.switch_to.active_element.send_keys("\ue004")  # Tab
            reached.add(page.run("return document.activeElement.className"))
        assert {"record", "upload", "save"} <= reached
        button = page.window.find_element("css selector", RECORD)
        button.send_keys("\ue007")  # Enter
        page.said("Recording from")
        assert page.window.switch_to.active_element == button
        button.send_keys(" ")
        page.answer()

    def test_nothing_is_asked_of_another_host_and_the_console_is_clean(self, page: Page) -> None:
        base = page.run("return location.origin")
        names = page.run("return performance.getEntriesByType('resource').map(each => each.name)")
        assert {Path(name).name for name in names} >= {"encoder.onnx", "voice.json", "model.js"}
        assert [name for name in names if not name.startswith((base, "blob:", "data:"))] == []
        assert page.window.get_log("browser") == []

    def test_it_works_from_the_file_system(self, built: Path, spoken: Path) -> None:
        with chromium(flags=ALONE) as window:
            page = Page(window, (built / "index.html").as_uri()).ready()
            page.open(spoken)
            same(page.answer(), bundles.load(bundles.DEFAULT_MODEL).predict_file(spoken))
            assert window.get_log("browser") == []

    @pytest.mark.parametrize(
        ("broken", "reason"),
        [
            ("WebAssembly.validate = () => false", "WebAssembly has no SIMD instructions"),
            ("delete globalThis.WebAssembly", "This browser has no WebAssembly"),
        ],
    )
    def test_without_webassembly_or_its_simd_sounds_are_still_read(
        self, built: Path, serve: Callable[[Path], str], tmp_path: Path, broken: str, reason: str
    ) -> None:
        sf.write(tmp_path / "clipped.wav", np.clip(30 * voice(2, sr=SR), -1, 1), SR)
        with chromium(size="500,900") as window:
            page = Page(window, serve(built), first=broken)
            assert page.said(f"{reason}.*You can still record or open a sound", STATUS)
            page.open(tmp_path / "clipped.wav")
            page.said("The model cannot judge it in this browser")
            assert page.text(".answer .warnings").startswith("clipped: ")
            assert page.run("return document.querySelector('.save').href").startswith("blob:")

    def test_a_page_without_its_model_says_what_is_missing(
        self, bare: Path, serve: Callable[[Path], str]
    ) -> None:
        programs()
        with chromium() as window:
            for address in (serve(bare), (bare / "index.html").as_uri()):
                page = Page(window, address)
                page.said("npm is not here, or not to be used: install Node", STATUS)
                assert page.text(RECORD) == "Record"
