"""Assemble the page "Try your voice": the default model, in the browser.

`python tools/voice_page.py OUT` writes a folder that any web server can show as it is, and that can
also be opened from the file system. It holds the sources of `docs/voice`, the recorder, the model,
what the page has to know about it (`voice.json`), and onnxruntime-web, which npm fetches as
`docs/voice/package-lock.json` says: npm compares each package with the checksum in there. Where
that is not possible, a sentence says why, and the page tells it to its readers.

An `index.html` that the site has put into OUT stays.
"""

from __future__ import annotations

import argparse
import base64
import inspect
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from sercourse import audio, bundles, decoding, evaluate, features, plots
from sercourse.bundles import timeline
from sercourse.features import whisper
from sercourse.files import atomic_folder, atomic_path, write_json

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "docs" / "voice"
RECORDER = ROOT / "sercourse" / "recorder"
PACKAGES = ROOT / "build" / "npm" / "voice"

MODULES = ("recorder.js", "sound.js", "model.js", "page.js")
"""In an order in which each imports only from those before it."""

RUNTIME = {"ort.js": "ort.wasm.bundle.min.mjs", "ort.wasm": "ort-wasm-simd-threaded.wasm"}
"""Module and program of onnxruntime-web, under names of which every server knows the type."""

ALONE = "voice-alone"  # in a page that this tool wrote, and no other
PERCENT = "\N{NO-BREAK SPACE}%"
NPM_SECONDS = 300
LONGEST_RECORDING, LONGEST_FILE, LARGEST_FILE = 60, 300, 64_000_000  # [s], [s], [bytes]
EVERY_SECONDS, EVERY_SECONDS_LONG = 1.0, 3.0  # steps of windows, up to a minute and beyond


def main() -> None:
    """Assemble the page in the folder that is named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, metavar="OUT", help="such as build/site/voice")
    parser.add_argument("--no-npm", action="store_true", help="fetch nothing")
    args = parser.parse_args()
    try:
        missing = assemble(args.out, npm=None if args.no_npm else shutil.which("npm"))
    except (OSError, ValueError) as error:
        sys.exit(f"voice_page: {error}")
    if missing:
        print(f"voice_page: {missing}", file=sys.stderr)
    print(args.out / "index.html")


def assemble(out: Path, *, npm: str | None) -> str:
    """Write the page, and return what it lacks.

    Parameters
    ----------
    out : Path
        Folder; files of the page that it holds are replaced.
    npm : str or None
        The program; None where there is none.

    Returns
    -------
    str
        Why the model cannot run on the page; empty where it can.

    Raises
    ------
    ValueError
        If the default model is none that the page can run.
    """
    bundle = bundles.load(bundles.DEFAULT_MODEL)
    content = settings(bundle)
    places = {name: SOURCES / name for name in ("start.js", "voice.css", *MODULES[1:])}
    places |= {name: RECORDER / name for name in (MODULES[0], "recorder.css")}
    try:
        runtime = install("onnxruntime-web", npm=npm)
        places |= {name: runtime / "dist" / file for name, file in RUNTIME.items()}
        content["made"] = made(runtime)
        places |= model_files(bundle, content["models"])
        loaded = (*RUNTIME, *content["models"].values())
        content["bytes"] = sum(places[name].stat().st_size for name in loaded)
    except (OSError, subprocess.SubprocessError) as error:
        content["missing"] = f"the page Try your voice has no model to run: {error}"
    out.mkdir(parents=True, exist_ok=True)
    for name, place in places.items():
        with atomic_path(out / name) as temporary:
            shutil.copyfile(place, temporary)
    write_json(out / "voice.json", content)
    _write(out / "offline.js", offline(out, names=places))
    index = out / "index.html"
    if not index.exists() or ALONE in index.read_text("utf-8"):
        page = (SOURCES / "page.html").read_text("utf-8")
        fragment = (SOURCES / "fragment.html").read_text("utf-8")
        _write(index, page.replace("<!-- fragment -->", fragment))
    return content.get("missing", "")


def install(name: str, *, npm: str | None) -> Path:
    """Return the folder of a package of the lock file, which is fetched if it is not there.

    Raises
    ------
    OSError
        In one sentence, if it cannot be fetched.
    """
    lock = json.loads((SOURCES / "package-lock.json").read_text("utf-8"))
    wanted = lock["packages"][f"node_modules/{name}"]["version"]
    about = PACKAGES / "node_modules" / name / "package.json"
    if about.is_file() and json.loads(about.read_text("utf-8"))["version"] == wanted:
        return about.parent
    if npm is None:
        raise OSError(f"{name} is missing, and npm is not here, or not to be used: install Node")
    PACKAGES.parent.mkdir(parents=True, exist_ok=True)
    with atomic_folder(PACKAGES, replaces="package.json") as folder:  # tests may do so side by side
        for file in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copyfile(SOURCES / file, folder / file)
        command = [npm, "ci", "--include=dev", "--ignore-scripts", "--no-audit"]
        command += ["--fetch-retries=1"]
        try:
            subprocess.run(
                command, cwd=folder, check=True, capture_output=True, text=True, timeout=NPM_SECONDS
            )
        except subprocess.SubprocessError as error:
            said = str(getattr(error, "stderr", None) or error).strip().splitlines()
            raise OSError(
                f"npm could not fetch {name} {wanted} ({said[0]}): try again with a network"
            ) from error
    return about.parent


def made(runtime: Path) -> str:
    """Return what the page runs on, with licences."""
    told = json.loads((runtime / "package.json").read_text("utf-8"))
    return (
        f"It runs on {told['name']} {told['version']} ({told['license']} licence) and hears by the "
        "encoder of Whisper tiny.en by OpenAI (MIT licence)."
    )


def settings(bundle: bundles.Bundle) -> dict[str, Any]:
    """Return all that the page has to know about the model, its limits, and how sound is judged."""
    if len(bundle.members) != 1 or bundle.members[0].feature_set != features.named("whisper"):
        raise ValueError(
            f"the page runs one model on the statistics of the shipped speech encoder, and "
            f"{bundle.name!r} is another: teach docs/voice/model.js its features"
        )
    member = bundle.members[0]
    content: dict[str, Any] = {
        "name": bundle.name,
        "made": "",
        "labels": list(bundle.labels),
        "colours": [plots.palette(bundle.labels)[name] for name in bundle.labels],
        "unknown": bundles.UNKNOWN,
        "sureFrom": float(bundle.info.get("sure_from", 0.0)),
        "temperature": float(bundle.info.get("temperature", {}).get("model", 1.0)),
        "smallest": evaluate.SMALLEST_PROBABILITY,
        "nFeatures": len(member.info["feature_names"]),
        "models": {"encoder": "encoder.onnx", "emotion": member.info["files"]["model"]},
        "gender": None,
        "speech": _speech(member),
        "encoder": {
            "topDb": whisper.TOP_DB,
            "marginSeconds": whisper.MARGIN_SECONDS,
            "peak": whisper.PEAK,
            "shortestSeconds": whisper.SHORTEST_SECONDS,
            "longestSeconds": whisper.LONGEST_SECONDS,
        },
        "parts": {
            "longestWords": member.feature_set.longest,
            "seconds": bundles.bundle.PART_SECONDS,
            "longSeconds": bundles.bundle.LONG_SECONDS,
            "quietDb": timeline.QUIET_DB,
        },
        "windows": {
            "seconds": timeline.WINDOW_SECONDS,
            "every": EVERY_SECONDS,
            "everyLong": EVERY_SECONDS_LONG,
        },
        "limits": {
            "recording": LONGEST_RECORDING,
            "file": LONGEST_FILE,
            "bytes": LARGEST_FILE,
        },
        "sound": sound_settings(bundle.sample_rate),
        "words": {
            "notSpeech": bundles.bundle.NOT_SPEECH,
            "notLoud": bundles.bundle.NOT_LOUD,
            "notSure": timeline.NOT_SURE,
            "tooQuiet": timeline.TOO_QUIET,
        },
        "card": card(bundle),
    }
    if bundle.gender_member is not None:
        told = bundle.gender_member.info
        content["models"]["gender"] = told["files"]["model"]
        content["gender"] = {
            "labels": list(told["labels"]),
            "threshold": float(told.get("threshold", 0.0)),
        }
    return content


def sound_settings(sr: int) -> dict[str, Any]:
    """Return what docs/voice/sound.js goes by."""
    return {
        "sr": sr,
        "blockSeconds": decoding.PIECE_SECONDS,
        "mostValues": decoding.MOST_VALUES,
        "cancelled": audio.CANCELLED,
        "silence": audio.SILENCE,
        "tooShort": audio.TOO_SHORT,
        "clipped": audio.CLIPPED,
        "noSpeech": timeline.NO_SPEECH,
        "minSeconds": audio.MIN_SECONDS,
        "silenceDb": audio.SILENCE_DB,
        "clippedLevel": audio.CLIPPED_LEVEL,
        "clippedShare": audio.CLIPPED_SHARE,
        "trimDb": _default(audio.trim, "top_db"),
        "preEmphasis": _default(audio.pre_emphasis, "coefficient"),
        "frameSeconds": timeline.FRAME_SECONDS,
        "floorDb": timeline.FLOOR_DB,
        "smallestContrastDb": timeline.SMALLEST_CONTRAST_DB,
        "smallestPeakDb": timeline.SMALLEST_PEAK_DB,
    }


def _default(function: Any, name: str) -> Any:
    return inspect.signature(function).parameters[name].default


def _speech(member: bundles.Member) -> dict[str, Any] | None:
    """Return how far from the typical voice speech lies, as `Member.knows` measures it."""
    limit = member.info.get("speech")
    if limit is None:
        return None
    with np.load(member.folder / member.info["files"]["voice"], allow_pickle=False) as stored:
        last = {name: stored[name][-int(limit["n_features"]) :] for name in ("mean", "std")}
    rounded = {name: [float(f"{x:.7g}") for x in values] for name, values in last.items()}
    return {"farthest": float(limit["farthest"]), **rounded}


def card(bundle: bundles.Bundle) -> dict[str, list[str]]:
    """Return what the model card says in words, and its figures in sentences."""
    text = (bundle.folder / "README.md").read_text("utf-8")
    sections = dict(part.split("\n", 1) for part in text.split("\n## ")[1:])
    figures = {each["protocol"]: each for each in bundle.metrics["protocols"]}
    corpus = bundle.info["corpus"]
    learnt = (
        f"It learnt from {corpus['n_clips']:,} acted clips by {corpus['n_speakers']} speakers "
        f"({' and '.join(corpus['name'].upper().split('+'))})."
    )
    told = {
        "speaker": "Of new voices in the rooms that it learnt from",
        "corpus": "Of a whole corpus that it had never heard",
    }
    results = [
        f"{begins}, it names {_percent(figures[protocol])} of the clips rightly; by chance "
        f"it would be {100 * figures[protocol]['chance']:.0f}{PERCENT}."
        for protocol, begins in told.items()
        if protocol in figures
    ]
    voices = sections.get("Female or male", "").strip().split("\n\n")[-1]
    return {
        "use": _paragraphs(re.sub(": `.*?`", "", sections["Use"])),  # without the command
        "results": [learnt, *results],
        "limits": _paragraphs(sections["Limits"].replace(" above,", ",")),
        "voices": _paragraphs(voices),
    }


def _percent(figure: dict[str, Any]) -> str:
    low, high = figure.get("accuracy_interval") or (None, None)
    share = f"{100 * figure['accuracy']:.0f}{PERCENT}"
    if low is None:
        return share
    return f"{share} (95{PERCENT} interval {100 * low:.0f} to {100 * high:.0f}{PERCENT})"


def _paragraphs(text: str) -> list[str]:
    """Return paragraphs of Markdown as plain text."""
    parts = (" ".join(part.split()) for part in text.split("\n\n"))
    return [part.replace("*", "").replace("`", "") for part in parts if part]


def model_files(bundle: bundles.Bundle, names: dict[str, str]) -> dict[str, Path]:
    """Return the files of the model, by their names on the page."""
    own = {name: bundle.folder / name for kind, name in names.items() if kind != "encoder"}
    return {names["encoder"]: whisper.shipped_encoder(), **own}


def offline(out: Path, *, names: Any) -> str:
    """Return a script that brings all files of the page: from a disk, a browser loads scripts only.

    Everything that `start.js` or `page.js` would fetch is in it, as base64.
    """
    wanted = [*(name for name in names if not name.endswith(".css")), "voice.json"]
    files = {name: base64.b64encode((out / name).read_bytes()).decode() for name in wanted}
    head = f"globalThis.sercourseVoice = {{ modules: {json.dumps(MODULES)}, files: {{\n"
    lines = [f"{json.dumps(name)}: {json.dumps(data)},\n" for name, data in files.items()]
    return head + "".join(lines) + "} };\n"


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
