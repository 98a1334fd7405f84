"""The recorder's JavaScript, in plain Node: resampling, WAV bytes, words."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import soxr

RESAMPLE = """
import { readFileSync } from "node:fs";
const source = readFileSync(process.argv[1]).toString("base64");
const { encodeWav, resample } = await import(`data:text/javascript;base64,${source}`);
const bytes = readFileSync(0);
const y = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
process.stdout.write(encodeWav(resample(y, Number(process.argv[2]))));
"""


@pytest.fixture(scope="module")
def node() -> str:
    """Return Node, or skip: readers of the course do not need it, their browsers have their own."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("Node is not installed: on Debian or Ubuntu, apt install nodejs")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    if int(version.stdout[1:].partition(".")[0]) < 18:
        pytest.skip(f"Node {version.stdout.strip()} has no test runner: 18 or later is needed")
    return program


def test_the_functions_of_the_recorder(node: str, root: Path) -> None:
    command = [node, "--test", "--test-reporter=tap", "tests/recorder_test.mjs"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"^# pass (\d+)$", done.stdout, flags=re.MULTILINE)
    assert passed
    assert int(passed[1]) >= 20


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_python_reads_what_javascript_resamples(node: str, root: Path, rate: int) -> None:
    # Noise up to 7 kHz: between there and 8 kHz the two filters fall off differently.
    y = soxr.resample(
        0.1 * np.random.default_rng(0).standard_normal(14_000), 14_000, rate, quality="VHQ"
    )
    module = root / "sercourse" / "recorder" / "recorder.js"
    done = subprocess.run(
        [node, "--input-type=module", "-e", RESAMPLE, str(module), str(rate)],
        input=y.astype("<f4").tobytes(),
        capture_output=True,
        check=True,
    )
    z, sr = sf.read(io.BytesIO(done.stdout), dtype="float32")
    assert sr == 16_000
    assert sf.info(io.BytesIO(done.stdout)).subtype == "PCM_16"
    ours = soxr.resample(y, rate, 16_000, quality="HQ")
    assert len(z) == len(ours)
    assert np.abs(z - ours)[500:-500].max() < 2e-4  # the last of the 16 bits is 3e-5
