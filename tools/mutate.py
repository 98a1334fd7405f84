"""Would the tests notice? Change a module in small ways, and run its own tests against each.

    python tools/mutate.py sercourse/splits.py tests/test_splits.py --sample 60 --seed 0

A change swaps a comparison or a sum, moves a number, drops an index or a ``not``, or takes a guard
out. Tests that fail, or take three times as long, have noticed it. Every change runs in a process
of its own; no file is written.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib
import importlib.machinery
import importlib.util
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import Any

SWAPS: dict[type, type] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.And: ast.Or,
    ast.Or: ast.And,
}
UNWRAPPED = {"unique", "sort", "sorted", "set", "abs", "round"}


class Loader(importlib.machinery.SourceFileLoader):
    """The loader of source files, for a module that is changed in memory."""

    code: CodeType

    def get_code(self, fullname: str) -> CodeType:  # noqa: D102 - as of any loader
        return self.code


class Finder:
    """What finds the changed module where Python would find the file."""

    def __init__(self, name: str, path: Path, code: CodeType) -> None:
        self.name, self.loader = name, Loader(name, str(path))
        self.loader.code = code

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:  # noqa: D102
        if name == self.name:
            return importlib.util.spec_from_file_location(name, loader=self.loader)
        return None


def changed(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what can stand in the place of a node."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
        swapped = copy.deepcopy(node)
        swapped.ops[0] = SWAPS[type(node.ops[0])]()
        yield swapped
    if isinstance(node, ast.BinOp | ast.BoolOp) and type(node.op) in SWAPS:
        other = copy.deepcopy(node)
        other.op = SWAPS[type(node.op)]()
        yield other
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node.operand
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        yield ast.Constant(node.value + 1)
    elif isinstance(node, ast.Constant) and isinstance(node.value, float):
        yield ast.Constant(node.value * 0.9 if node.value else 0.1)
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        yield node.value
    if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in UNWRAPPED:
        yield from node.args[:1]
    if isinstance(node, ast.If) and isinstance(node.body[-1], ast.Raise | ast.Return):
        yield ast.If(ast.Constant(value=False), node.body, node.orelse)


def places(node: ast.AST) -> Iterator[tuple[ast.AST, str, int | None, ast.AST]]:
    """Yield parent, field, index and child of all that runs: no annotation, no error's words."""
    skipped = {"annotation", "returns", "type_params", "exc", "decorator_list"}
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript | ast.BinOp):
        skipped.add("value" if node.col_offset == 0 else "")  # a name for a type
    for name, value in ast.iter_fields(node):
        if name in skipped or (isinstance(node, ast.FormattedValue) and name != "value"):
            continue
        children = value if isinstance(value, list) else [value]
        for k, child in enumerate(children):
            if isinstance(child, ast.AST):
                yield node, name, k if isinstance(value, list) else None, child
                if not (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)):
                    yield from places(child)


def mutants(source: str) -> Iterator[tuple[str, CodeType]]:
    """Yield every changed module, and what was changed."""
    tree = ast.parse(source)
    for parent, name, k, child in list(places(tree)):
        for other in changed(child):
            ast.copy_location(other, child)
            told = f"line {getattr(child, 'lineno', 0)}: {_short(child)} -> {_short(other)}"
            _put(parent, name, k, other)
            yield told, compile(ast.fix_missing_locations(tree), "mutant", "exec")
            _put(parent, name, k, child)


def _put(parent: ast.AST, name: str, k: int | None, child: ast.AST) -> None:
    if k is None:
        setattr(parent, name, child)
    else:
        getattr(parent, name)[k] = child


def _short(node: ast.AST) -> str:
    return ast.unparse(node.test if isinstance(node, ast.If) else node).partition("\n")[0][:70]


def passes(tests: list[str], finder: Finder | None, *, seconds: float) -> bool:
    """Run tests in a forked process; whether all of them passed in so many seconds."""
    child = os.fork()
    if child == 0:
        import pytest

        signal.alarm(round(seconds))
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
        if finder:
            sys.meta_path.insert(0, finder)  # type: ignore[arg-type]
        options = ["-x", "-q", "-n0", "-p", "no:cacheprovider", "-p", "no:randomly"]
        os._exit(int(pytest.main([*tests, *options]) != 0))
    return os.waitpid(child, 0)[1] == 0


def main() -> int:
    """Print what the tests do not notice, and the share of what they do."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("module", type=Path)
    parser.add_argument("tests", nargs="+")
    parser.add_argument("--sample", type=int, default=60, help="changes to try")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lines", default="", help="only those, such as 120-180")
    args = parser.parse_args()
    for heavy in ("pandas", "pytest", "scipy.stats", "sklearn.model_selection"):
        importlib.import_module(heavy)  # once, for all of the processes

    parts = args.module.with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    found = list(mutants(args.module.read_text("utf-8")))
    if args.lines:
        first, last = map(int, args.lines.split("-"))
        found = [each for each in found if first <= int(each[0].split()[1][:-1]) <= last]
    started = time.monotonic()
    if not passes(args.tests, None, seconds=3_000):
        print("the tests do not pass as it is", file=sys.stderr)
        return 2
    limit = 20 + 3 * (time.monotonic() - started)
    chosen = random.Random(args.seed).sample(found, min(args.sample, len(found)))
    survivors = []
    for told, code in sorted(chosen, key=lambda each: int(each[0].split()[1][:-1])):
        if passes(args.tests, Finder(name, args.module, code), seconds=limit):
            survivors.append(told)
            print(f"{args.module}, {told}", flush=True)
    killed = len(chosen) - len(survivors)
    print(
        f"{args.module}: {killed} of {len(chosen)} noticed ({killed / len(chosen):.0%}), ", end=""
    )
    print(f"of {len(found)} that there are; seed {args.seed}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
