"""Run the tests with the lowest and the newest dependencies, on each Python.

    python tools/versions.py                           # all, as `make versions` does: some hours
    python tools/versions.py --python 3.11 --kind lowest --extras train -- tests/test_splits.py

For each it makes a fresh environment with uv (MIT OR Apache 2.0), installs the package with the
lowest versions that `pyproject.toml` allows or the newest that there are, runs the tests, and
removes the environment.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PYTHONS = ("3.11", "3.12", "3.13")
KINDS = {"lowest": "lowest-direct", "newest": "highest"}
TOOLS = ("pytest>=8,!=9.2.*", "pytest-timeout>=2.3", "pytest-xdist>=3.6", "hypothesis>=6.100")


def tried(python: str, kind: str, *, extras: str, tests: list[str]) -> bool:
    """Run tests in a fresh environment; whether they pass."""
    with tempfile.TemporaryDirectory(prefix="sercourse-versions-") as folder:
        venv = Path(folder) / "venv"
        inside = {"VIRTUAL_ENV": str(venv), "SERCOURSE_CACHE": str(Path(folder) / "cache")}
        env = {**os.environ, **inside, "PYTHONPATH": str(ROOT)}
        wanted = ["-e", f"{ROOT}[{extras}]", *TOOLS, "--resolution", KINDS[kind]]
        commands: tuple[list[str], ...] = (
            ["uv", "venv", "--quiet", "--python", python, str(venv)],
            ["uv", "pip", "install", "--quiet", *wanted],
            ["uv", "pip", "list"],
            [str(venv / "bin" / "python"), "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        )
        return all(subprocess.run(each, cwd=ROOT, env=env).returncode == 0 for each in commands)


def main() -> int:
    """Try every Python with both kinds of versions, and say which of them passed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("--python", nargs="+", default=PYTHONS)
    parser.add_argument("--kind", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--extras", default="lessons,networks,live,big,cluster,site,dev")
    parser.add_argument("tests", nargs="*", default=["-n", "2", "--dist", "loadgroup"])
    args = parser.parse_args()
    if shutil.which("uv") is None:
        print("there is no command uv: pip install uv", file=sys.stderr)
        return 2
    failed = []
    for python in args.python:
        for kind in args.kind:
            passed = tried(python, kind, extras=args.extras, tests=args.tests)
            print(f"Python {python}, {kind}: {'passed' if passed else 'FAILED'}", flush=True)
            failed += [] if passed else [f"{python} {kind}"]
    return int(bool(failed))


if __name__ == "__main__":
    raise SystemExit(main())
