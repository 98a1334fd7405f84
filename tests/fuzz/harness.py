"""Damaged files for everything that reads a file: no crash, no hang, no traceback, no lie.

    python tests/fuzz/harness.py --seconds 3600 --seed 1     # as `make fuzz` does

Each case is a sound file, table or store that was changed at random. Reading it must succeed, or
fail with ValueError or OSError in one sentence, within ten seconds of processor time. A store,
which carries checksums, must not give another answer than what was stored in it. Cases run in a
process of their own; what it does not survive, or answers otherwise, is kept in `found/` and tried
by the tests from then on.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import hashlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import soundfile

from sercourse import audio, bundles, corpora, exercises, fetch, files, labels
from sercourse.experiment import evaluation
from sercourse.features import FeatureSet, feature_table, read_parts, write_parts

FOUND = Path(__file__).with_name("found")
LIMIT, PATIENCE = 10, 60  # [s] of processor time, and by the clock on a busy machine
LARGEST_MEMORY = 8 * 2**30
SR = 8_000
SIZES = {"sound": 4.0, "film": 0.05}  # of batches; ffmpeg starts two processes for each file


@dataclass(frozen=True)
class Target:
    """A kind of file: how a whole one is made, and what reads it.

    Attributes
    ----------
    seeds : list of (str, bytes)
        Names and contents of whole files.
    read : callable
        ``read(path)`` returns an answer.
    sealed : bool
        Whether no change may lead to another answer; None is none.
    answers : dict of bytes to anything
        What whole files gave, where that is known.
    """

    seeds: list[tuple[str, bytes]]
    read: Callable[[Path], Any]
    sealed: bool = False
    answers: dict[bytes, Any] = field(default_factory=dict)


def sounds() -> list[tuple[str, bytes]]:
    """Return a second of noise in each container that libsndfile writes."""
    y = np.random.default_rng(0).uniform(-0.5, 0.5, SR)
    found = []
    # Of SD2 libsndfile writes a second file, `._`, into the working folder.
    for kind in sorted({*soundfile.available_formats()} - {"SD2"}):
        buffer = io.BytesIO()
        with contextlib.suppress(Exception):
            soundfile.write(buffer, y, SR, format=kind)
            found.append((f"clip.{kind.lower()}", buffer.getvalue()))
    return found


def films() -> list[tuple[str, bytes]]:
    """Return what ffmpeg alone reads; nothing where it is not installed."""
    if not shutil.which("ffmpeg"):
        return []
    found = []
    for name in ("a.m4a", "a.webm", "a.avi", "a.mka", "a.flv", "a.asf"):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=duration=0.5", str(path)]
            if subprocess.run(command, capture_output=True).returncode == 0:
                found.append((name, path.read_bytes()))
    return found


def _read_sound(path: Path) -> None:
    """Read a sound as where there is no ffmpeg, which takes most of the time."""
    with mock.patch.dict(os.environ, PATH=""):
        _read_film(path)


def _read_film(path: Path) -> None:
    audio.info(path)
    y = audio.read(path, sr=SR)
    if not np.isfinite(y).all():
        raise AssertionError("a sample is not finite")


def _model_file(name: str) -> bytes:
    return (files.home() / "models" / "ravdess-svm" / name).read_bytes()


def _read_bundle(path: Path) -> Any:
    """Read a bundle of which one file was changed; its index has no checksum of its own."""
    folder = path.parent / "bundle"
    shutil.copytree(files.home() / "models" / "ravdess-svm", folder, copy_function=os.link)
    (folder / path.name).unlink()
    shutil.copy(path, folder / path.name)
    bundle = bundles.load(folder)
    bundle.metrics  # noqa: B018 - it reads
    n = [len(member.info["feature_names"]) for member in bundle.members]
    return bundle.predict_proba(*(np.zeros((1, k)) for k in n)).round(6).tolist()


def _read_graph(path: Path) -> None:
    """Run a model that nobody verified, as one of a bundle whose checksums were made anew."""
    model = bundles.session(path.read_bytes(), name=path.name)
    n_features = model.get_inputs()[0].shape[1]
    bundles.run(model, np.zeros((1, n_features or 1)), name=path.name)


def _loudness(y: np.ndarray, *, sr: int) -> np.ndarray:
    return np.array([np.abs(y).mean(), y.std()])


OWN = FeatureSet("fuzz", SR, ("mean", "sd"), _loudness)


def _clips(folder: Path) -> pd.DataFrame:
    clip = folder / "a.wav"
    return pd.DataFrame({"clip_id": ["a"], "path": [str(clip)], "content": ["a"]})


def _write_clip(folder: Path) -> None:
    soundfile.write(folder / "a.wav", np.random.default_rng(0).uniform(-0.5, 0.5, SR), SR)


def _row() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        _write_clip(Path(folder))
        feature_table(_clips(Path(folder)), feature_set=OWN, progress=False, cache=folder)
        (stored,) = Path(folder).rglob("*.row")
        return stored.read_bytes()


def _read_row(path: Path) -> Any:
    """Return a row of the cache; None of a damaged one, which without its clip is not made anew."""
    known = f"{OWN.name}-{files.digest(OWN.key)}/{files.digest('a')}.row"
    stored = path.parent / "cache" / known
    stored.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, stored)
    told: dict[str, Any] = {"feature_set": OWN, "progress": False, "cache": path.parent / "cache"}
    return feature_table(_clips(path.parent), **told).X.tolist() or None


def _parts() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        _write_clip(Path(folder))
        told: dict[str, Any] = {"feature_set": OWN, "fingerprint": "f", "progress": False}
        write_parts(_clips(Path(folder)), Path(folder) / "out", **told)
        return {path.name: path.read_bytes() for path in (Path(folder) / "out").iterdir()}


def _read_parts(path: Path, whole: dict[str, bytes]) -> Any:
    for name in set(whole) - {path.name}:
        path.with_name(name).write_bytes(whole[name])
    return [[each.X.tolist(), each.clip_id.tolist()] for each in read_parts(path.parent)]


def _archive() -> bytes:
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("folder/a_happy.wav", b"RIFF" * 100)
        file.writestr("folder/b_sad.wav", b"RIFF")
    return found.getvalue()


def _read_archive(path: Path) -> None:
    """Unpack an archive that was downloaded; nothing may land outside of its folder."""
    downloaded = path.parent / "cache" / "downloads" / "fuzz.zip"
    downloaded.parent.mkdir(parents=True)
    shutil.copy(path, downloaded)
    about = fetch.Download("fuzz", "", "", url="https://example.org/fuzz.zip")
    with mock.patch.dict(os.environ, SERCOURSE_CACHE=str(path.parent / "cache")):
        fetch.fetch("fuzz", to=path.parent / "out", registry={"fuzz": about})
    if found := {each.name for each in path.parent.iterdir()} - {path.name, "cache", "out"}:
        raise AssertionError(f"outside of its folder lies {found}")


def _sealed() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        result = {"clip_id": ["a", "b"], "probabilities": [[0.25, 0.75], [1.0, 0.0]], "seconds": 1}
        files.write_sealed(Path(folder) / "fold.json", result)
        return (Path(folder) / "fold.json").read_bytes()


def _read_table(path: Path) -> None:
    _write_clip(path.parent)
    corpora.scan(path.parent, corpus="custom", csv=path)


TABLE = b"path,emotion,speaker,start,end\na.wav,happy,x,0,0.5\n" + b'"a.wav",sad,"y, z",0.25,1\n'


def targets() -> dict[str, Target]:
    """Return what is read, by name."""
    quiz = next(iter(sorted((files.home() / "notebooks" / "quiz").glob("*.json"))))
    results = files.home() / "data" / "results" / "ravdess-svm" / "metrics.json"
    receipt = b'{\n "name": "mini",\n "url": "https://example.org/mini.zip"\n}\n'
    parts = _parts()
    known = {
        "sound": Target(sounds(), _read_sound),
        "index": Target([("bundle.json", _model_file("bundle.json"))], _read_bundle),
        "metrics": Target(
            [("metrics.json", _model_file("metrics.json"))],
            lambda path: bundles.read_json(path, bundles.METRICS),
        ),
        "results": Target(
            [("metrics.json", results.read_bytes())],
            lambda path: bundles.read_json(path, bundles.RESULTS),
        ),
        "model": Target(
            [(name, _model_file(name)) for name in ("model.onnx", "voice.npz")], _read_bundle, True
        ),
        "film": Target(films(), _read_film),
        "graph": Target([("model.onnx", _model_file("model.onnx"))], _read_graph),
        "row": Target([("a.row", _row())], _read_row, True),
        "part": Target([*parts.items()], lambda path: _read_parts(path, parts), True),
        "archive": Target([("a.zip", _archive())], _read_archive),
        "fold": Target(
            [("fold.json", _sealed())], lambda path: evaluation.stored(path, {}, bool), True
        ),
        "table": Target([("labels.csv", TABLE)], _read_table),
        "translation": Target(
            [("a.txt", b'{"ang": "angry", "hap": "happy"}'), ("b.txt", b"ang=angry\nexc, happy\n")],
            lambda path: labels.parse_translation(path.read_text("utf-8")),
        ),
        "quiz": Target([("quiz.json", quiz.read_bytes())], exercises.read_quiz),
        "receipt": Target([("receipt.json", receipt)], fetch.receipt),
    }
    return {name: target for name, target in known.items() if target.seeds}


ODD: list[Any] = [None, True, -1, 0, 1e308, 2**70, "", "x" * 100_000, [], {}, [[]], "\x1b[2J", 0.5]


def changed_field(data: bytes, rng: random.Random) -> bytes:
    """Return JSON with one field changed, removed, or put into 5,000 brackets."""
    content = json.loads(data)
    places: list[tuple[Any, Any]] = []
    todo = [content]
    while todo:
        node = todo.pop()
        pairs = node.items() if isinstance(node, dict) else enumerate(node)
        for key, value in pairs:
            places.append((node, key))
            if isinstance(value, dict | list):
                todo.append(value)
    node, key = rng.choice(places)
    kind = rng.randrange(len(ODD) + 3)
    if kind == len(ODD):
        del node[key]
    elif kind == len(ODD) + 1:
        node[key] = float(rng.choice(["nan", "inf", "-inf"]))
    elif kind == len(ODD) + 2:
        node[key] = "deep"
        return json.dumps(content).encode().replace(b'"deep"', b"[" * 5_000 + b"]" * 5_000)
    else:
        node[key] = ODD[kind]
    return json.dumps(content).encode()


def changed_bytes(data: bytes, rng: random.Random) -> bytes:
    """Return data of which some bits or stretches were changed, most of them near its beginning."""
    found = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 8])):
        reach = len(found) if rng.random() < 0.4 else min(len(found), 128)
        at, n = rng.randrange(max(1, reach)), rng.choice([1, 2, 4, 8, 64])
        match rng.randrange(6):
            case 0 if found:
                found[at] ^= 1 << rng.randrange(8)
            case 1:
                found[at : at + n] = rng.choice([b"\x00", b"\xff", b"\x7f", b"\x80"]) * n
            case 2:
                del found[at : at + n]
            case 3:
                found[at:at] = rng.randbytes(n)
            case 4:
                del found[at:]
            case _:
                start = rng.randrange(max(1, len(found)))
                found[at:at] = found[start : start + n]
    return bytes(found)


def case(target: str, number: int, *, seed: int, known: dict[str, Target]) -> tuple[str, bytes]:
    """Return name and content of a damaged file, which follows from all of these."""
    rng = random.Random(f"{target} {seed} {number}")
    name, data = rng.choice(known[target].seeds)
    if data.lstrip()[:1] in (b"{", b"[") and rng.random() < 0.7:
        return name, changed_field(data, rng)
    return name, changed_bytes(data, rng)


def fault(target: Target, name: str, data: bytes) -> str:
    """Read a damaged file; return what is wrong with how that went, or an empty text."""
    ignored: list[Any] = []  # which Python prints as a traceback, and goes on
    sys.unraisablehook = ignored.append
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / name
        path.write_bytes(data)
        try:
            answer = target.read(path)
        except (ValueError, OSError) as error:
            said = f"ignored: {ignored[0].exc_value!r}\n" if ignored else str(error)
            return "" if said and "\n" not in said.strip() else f"no sentence: {said!r:.200}"
        except Exception:
            return traceback.format_exc()
        if ignored:
            return f"ignored: {ignored[0].exc_value!r}"
        if not target.sealed or answer is None:
            return ""
        whole = dict(target.seeds)[name]
        if whole not in target.answers:
            shutil.rmtree(folder)
            path.parent.mkdir()
            path.write_bytes(whole)
            target.answers[whole] = target.read(path)
        same = target.answers[whole] == answer
        return "" if same else f"another answer: {answer!r:.200}"


def tried(cases: list[tuple[str, str, bytes]], known: dict[str, Target], *, into: Path) -> str:
    """Read damaged files in a forked process, up to the first that is not read well: why not."""
    current = into / "current"
    child = os.fork()
    if child == 0:
        with contextlib.suppress(ImportError, ValueError):
            import resource

            resource.setrlimit(resource.RLIMIT_AS, (LARGEST_MEMORY, LARGEST_MEMORY))
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # libsndfile prints what it thinks of SDS
        tempfile.tempdir = str(into)
        metadata.version = functools.cache(metadata.version)  # which looks into files each time
        for at, (target, name, data) in enumerate(cases):
            current.write_text(str(at))
            signal.setitimer(signal.ITIMER_PROF, LIMIT)
            signal.alarm(PATIENCE)
            if why := fault(known[target], name, data):
                current.with_name("why").write_text(why)
                os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status == 0:
        return ""
    if os.WIFEXITED(status):
        return (into / "why").read_text() if (into / "why").exists() else "it ended early"
    number = os.WTERMSIG(status)
    hangs = number in (signal.SIGALRM, signal.SIGPROF)
    return "it hangs" if hangs else f"it crashes: signal {number}"


def fuzz(
    *, seconds: float, seed: int, only: list[str] | None = None, batch: int = 200
) -> tuple[Counter[str], list[str]]:
    """Try damaged files for some time; return how many of each kind, and what went wrong.

    Of what goes wrong the file is kept in `found/`, unless it is large.
    """
    known = targets()
    names = only or sorted(known)
    counts: Counter[str] = Counter()
    faults, end = [], time.monotonic() + seconds
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # where files take no time
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        while time.monotonic() < end:
            for target in names:
                size = round(batch * SIZES.get(target, 1)) or 1
                numbers = range(counts[target], counts[target] + size)
                cases = [(target, *case(target, k, seed=seed, known=known)) for k in numbers]
                while cases and (why := tried(cases, known, into=Path(folder))):
                    at = int((Path(folder) / "current").read_text())
                    _, name, data = cases[at]
                    kept = f"{target}-{hashlib.sha256(data).hexdigest()[:8]}-{name}"
                    if len(data) < 50_000:
                        (FOUND / kept).write_bytes(data)
                    faults.append(f"{kept}: {why}")
                    cases = cases[at + 1 :]
                    if len(faults) > 50:
                        return counts, faults
                counts[target] += size
                if time.monotonic() > end:
                    break
            print(f"{counts.total():,} files, {len(faults)} faults", file=sys.stderr, flush=True)
    return counts, faults


def main() -> int:
    """Fuzz for so many seconds, and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", metavar="TARGET")
    args = parser.parse_args()
    counts, faults = fuzz(seconds=args.seconds, seed=args.seed, only=args.only)
    told = ", ".join(f"{n:,} {name}" for name, n in sorted(counts.items()))
    print(*faults, sep="\n")
    print(f"{sum(counts.values()):,} damaged files with seed {args.seed}: {told}")
    print(f"{len(faults)} were not read well")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
