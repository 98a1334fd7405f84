"""Speed and memory, side by side in one run: `make bench`.

    python benchmarks/bench.py [GROUP ...] [--rounds N] [--peers PYTHON] [--most N] [--publish]

Everything of a group takes turns, round by round, so that a busy moment of the machine meets all of
it. What is told is processor time: on a shared machine the clock on the wall also counts what
others do. Each figure is a median with the quartiles around it; the ratio is that to the
reference, of the same rounds. openSMILE and pyAudioAnalysis are asked where the Python that --peers
names has them, and left out otherwise. --publish renews images/speed.png and docs/speed.md from
the last run of each group.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import cases
import numpy as np
import soundfile
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "build" / "bench"
SIZES = (100, 300, 1_000, 3_000, 10_000, 50_000)
PEERS = ("opensmile-egemaps", "opensmile-compare", "pyaudioanalysis")


@dataclass
class Row:
    """What was measured of one case [s]: processor time and time on the wall, round by round."""

    group: str
    name: str
    n: int  # clips or steps of a round, by which times are divided
    reference: str = ""
    note: str = ""
    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)


def processor() -> float:
    """Return the processor time of this process and of the children that have ended [s]."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def clocked(function: Callable[[], object]) -> tuple[float, float]:
    """Return processor time and time on the wall of a run [s]."""
    wall, cpu = time.perf_counter(), processor()
    function()
    return processor() - cpu, time.perf_counter() - wall


def take_turns(group: str, found: Iterable[cases.Case], *, rounds: int) -> list[Row]:
    """Run all cases once unmeasured and then round by round, each round from another one on."""
    kept = list(found)
    rows = [Row(group, each.name, each.n, each.reference, each.note) for each in kept]
    for each in kept:
        if each.warm:
            each.run()
    for k in range(rounds):
        for at in (*range(k % len(kept), len(kept)), *range(k % len(kept))):
            told = kept[at].run if kept[at].tells_time else partial(clocked, kept[at].run)
            cpu, wall = told()
            rows[at].cpu.append(cpu / kept[at].n)
            rows[at].wall.append(wall / kept[at].n)
    return rows


# --- others -----------------------------------------------------------------------------------


def peers(python: str, clips: list[np.ndarray], folder: Path) -> Iterator[cases.Case]:
    """Yield what others' libraries measure on the same clips, each in a process that waits."""
    paths = [folder / f"peer-{k}.wav" for k in range(len(clips))]
    for path, y in zip(paths, clips, strict=True):
        soundfile.write(path, y, cases.SR)
    for name in PEERS:
        process = subprocess.Popen(
            [python, str(Path(__file__).with_name("peers.py")), name, *map(str, paths)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": ""},
            text=True,
        )
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None
        assert stdout is not None
        if (told := stdout.readline()).startswith("ready"):
            ask = partial(_ask, stdin, stdout)
            note = told.removeprefix("ready").strip()
            yield cases.Case(
                name, ask, n=len(clips), reference="statistics", note=note, tells_time=True
            )
        else:
            print(f"{name}: left out, as {python} does not have it")


def _ask(stdin: Any, stdout: Any) -> tuple[float, float]:
    stdin.write("go\n")
    stdin.flush()
    cpu, wall = map(float, stdout.readline().split())
    return cpu, wall


# --- from disk ----------------------------------------------------------------------------------


def distinct_clips(folder: Path, *, n: int) -> None:
    """Write so many clips: those of the sample, each with noise of its own, 60 dB below it."""
    sounds = cases.sample_clips(60)
    for k in range(len(list(folder.iterdir())), n):
        rng = np.random.default_rng(k)
        y = sounds[k % len(sounds)]
        y = 0.9 * y + 0.001 * rng.standard_normal(len(y)).astype(np.float32)
        soundfile.write(folder / f"{k:06d}.wav", y, cases.SR)


def one_table(folder: str, n: str, jobs: str, feature_set: str) -> None:
    """Compute a table, and print what it took: run in a process of its own."""
    import pandas as pd

    from sercourse import features

    paths = sorted(path for path in Path(folder).rglob("*") if path.suffix in (".wav", ".flac"))
    paths = paths[: int(n)]
    clips = pd.DataFrame({"clip_id": range(len(paths)), "path": map(str, paths)})
    wall, cpu = time.perf_counter(), processor()
    table = features.feature_table(
        clips, feature_set=features.named(feature_set), n_jobs=int(jobs), progress=False
    )
    wall = time.perf_counter() - wall
    if int(jobs) > 1:
        from joblib.externals.loky import get_reusable_executor

        get_reusable_executor().shutdown(wait=True)  # children count once they have ended
    peak = [
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    ]
    told = {"n": len(table.X), "cpu": processor() - cpu, "wall": wall}
    print(json.dumps(told | {"peak_mb": peak[0] / 1e3, "worker_mb": peak[1] / 1e3}))


def table_of(
    folder: Path, n: int, *, jobs: int, feature_set: str = "statistics"
) -> dict[str, float]:
    """Compute a table in a fresh process, and return what it took."""
    command = [sys.executable, __file__, "--one", str(folder), str(n), str(jobs), feature_set]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def curve(*, most: int) -> list[dict[str, float]]:
    """Compute tables of more and more clips, each in a fresh process."""
    points = []
    with tempfile.TemporaryDirectory() as name:
        for n in (size for size in SIZES if size <= most):
            distinct_clips(Path(name), n=n)
            points.append(table_of(Path(name), n, jobs=1))
            told = points[-1]
            each = 1000 * told["cpu"] / n
            print(
                f"{n:6d} clips {told['cpu']:8.2f} s, {each:.2f} ms a clip, {told['peak_mb']:.0f} MB"
            )
    return points


def corpus(root: Path) -> list[str]:
    """Describe a corpus from disk with one and with two processes."""
    lines = []
    for feature_set in ("statistics", "whisper"):
        taken = {jobs: table_of(root, 10**9, jobs=jobs, feature_set=feature_set) for jobs in (1, 2)}
        one, two = (taken[jobs]["cpu"] for jobs in (1, 2))
        told = f"{int(taken[1]['n'])} clips from disk, {feature_set}: {one:.1f} s of one core; two "
        told += f"processes {two:.1f} s together, so {two / 2:.1f} s on two free cores and "
        told += f"{2 * one / two:.2f} times one"
        walls = " and ".join(f"{taken[jobs]['wall']:.1f}" for jobs in (1, 2))
        lines.append(f"{told}; on the wall here {walls} s")
    print(*lines, sep="\n")
    return lines


# --- what is told ---------------------------------------------------------------------------------


def describe(rows: list[Row]) -> list[str]:
    """Return the table as Markdown."""
    lines = ["| what | processor time [ms] | quartiles | on the wall [ms] | ratio | |"]
    lines += ["|---|---:|---:|---:|---:|---|"]
    known = {(each.group, each.name): each for each in rows}
    for row in rows:
        cpu = 1000 * np.array(row.cpu)
        low, high = np.percentile(cpu, [25, 75])
        ratio = ""
        if (other := known.get((row.group, row.reference))) is not None:
            ratio = f"{statistics.median(np.divide(row.cpu, other.cpu)):.3g} x {other.name}"
        wall = 1000 * statistics.median(row.wall)
        cells = [f"{row.group}: {row.name}", f"{np.median(cpu):.2f}", f"{low:.2f} to {high:.2f}"]
        lines.append(f"| {' | '.join([*cells, f'{wall:.2f}', ratio, row.note])} |")
    return lines


def machine() -> str:
    """Describe the machine, and how busy it is."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        name = names[0].partition(":")[2].strip() if names else name
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    return f"{name}, {os.cpu_count()} cores, Python {platform.python_version()}; load {load}"


def draw(rows: list[Row], points: list[dict[str, float]], path: Path) -> None:
    """Draw the feature sets against their peers, and the curve."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, 3, figsize=(11, 4), width_ratios=[1.5, 1, 1], layout="constrained"
    )
    sets = sorted(
        (each for each in rows if each.group == "features"), key=lambda r: np.median(r.cpu)
    )
    for k, row in enumerate(sets):
        low, middle, high = 1000 * np.percentile(row.cpu, [25, 50, 75])
        theirs = row.name in PEERS or " as " in row.name
        axes[0].barh(
            k, middle, xerr=[[middle - low], [high - middle]], color="C1" if theirs else "C0"
        )
    axes[0].set_yticks(range(len(sets)), [row.name for row in sets], fontsize=8)
    axes[0].set(
        xscale="log", xlabel="processor time a clip [ms]", title="Feature sets (blue: ours)"
    )
    n = [each["n"] for each in points]
    for ax, key, label in (
        (axes[1], "cpu", "processor time [s]"),
        (axes[2], "peak_mb", "memory [MB]"),
    ):
        ax.plot(n, [each[key] for each in points], "o-")
        ax.set(xscale="log", xlabel="clips", ylabel=label)
    axes[1].set(yscale="log", title="statistics, from disk")
    axes[2].set(ylim=(0, None), title="largest memory")
    figure.savefig(path, dpi=110)


def keep(name: str, content: Any) -> None:
    """Keep what was measured, for `publish`."""
    KEPT.mkdir(parents=True, exist_ok=True)
    (KEPT / f"{name}.json").write_text(json.dumps({"machine": machine(), "found": content}))


def publish() -> None:
    """Renew the table and the picture from what is kept of the last run of each group."""
    kept = {path.stem: json.loads(path.read_text()) for path in KEPT.glob("*.json")}
    rows = [Row(**each) for name in cases.GROUPS if name in kept for each in kept[name]["found"]]
    points = kept.get("curve", {"found": []})["found"]
    lines = [
        *describe(rows),
        "",
        "| clips | processor time [s] | ms a clip | largest memory [MB] |",
    ]
    lines += ["|--:|--:|--:|--:|"]
    for each in points:
        n, cpu = int(each["n"]), each["cpu"]
        lines.append(f"| {n} | {cpu:.1f} | {1000 * cpu / n:.2f} | {each['peak_mb']:.0f} |")
    if "disk" in kept:
        lines += ["", *(f"- {line}" for line in kept["disk"]["found"])]
    lines += [
        "",
        "Measured on:",
        "",
        *(f"- {name}: {kept[name]['machine']}" for name in sorted(kept)),
    ]
    page = ROOT / "docs" / "speed.md"
    before, begin, rest = page.read_text("utf-8").partition("<!-- measured -->\n")
    _, end, after = rest.partition("<!-- end of measured -->\n")
    page.write_text("".join([before, begin, "\n".join([*lines, ""]), end, after]), "utf-8")
    draw(rows, points, ROOT / "images" / "speed.png")


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("groups", nargs="*", help=f"some of {', '.join(cases.GROUPS)}, curve")
    parser.add_argument("--rounds", type=int, default=7, help="default: %(default)s")
    parser.add_argument("--peers", default=sys.executable, help="a Python that has other libraries")
    parser.add_argument("--most", type=int, default=3_000, help="clips of the curve")
    parser.add_argument("--corpus", type=Path, help="folder of sounds to describe from disk")
    parser.add_argument("--publish", action="store_true", help="renew the picture and the table")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        one_table(*args.one)
        return
    print(machine())
    chosen = args.groups or ([] if args.publish else [*cases.GROUPS, "curve"])
    with tempfile.TemporaryDirectory() as name, threadpool_limits(1):  # also BLAS keeps to one core
        for group in (each for each in cases.GROUPS if each in chosen):
            found = list(cases.GROUPS[group]())
            if group == "features":
                found += peers(args.peers, cases.sample_clips(cases.N_CLIPS), Path(name))
            rows = take_turns(group, found, rounds=args.rounds)
            print(*describe(rows), sep="\n", flush=True)
            keep(group, [asdict(row) for row in rows])
    if "curve" in chosen:
        keep("curve", curve(most=args.most))
    if args.corpus:
        keep("disk", corpus(args.corpus))
    if args.publish:
        publish()


if __name__ == "__main__":
    main()
