"""Would the tests notice? Change a module in small ways, and run its own tests against each.

    python tools/mutate.py sercourse/splits.py tests/test_splits.py --sample 60 --seed 0

A change swaps an operator or two arguments, moves a number, turns a condition, returns None, or
leaves out a ``not``, an index, a function, a named argument, a ``with``, a guard or a statement. It
is written into a copy of the repository, so that processes that a test starts see it too. Tests
that fail, or take three times as long (and ten seconds), have noticed it; name fast files first.

Not changed: types, decorators, what is raised and its words, how a value is printed, progress bars,
and branches for mypy, for other systems and for a terminal. For Linux and macOS.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BOTH_WAYS: dict[type, type] = {
    ast.Lt: ast.LtE,
    ast.Gt: ast.GtE,
    ast.Eq: ast.NotEq,
    ast.In: ast.NotIn,
    ast.Is: ast.IsNot,
    ast.Add: ast.Sub,
    ast.Mult: ast.Div,
    ast.BitAnd: ast.BitOr,
    ast.And: ast.Or,
}
ONE_WAY: dict[type, type] = {ast.FloorDiv: ast.Mult, ast.Mod: ast.Add, ast.Pow: ast.Mult}
SWAPS = BOTH_WAYS | {new: old for old, new in BOTH_WAYS.items()} | ONE_WAY
DROPPED = {"unique", "sort", "sorted", "set", "abs", "round", "max", "min", "list", "tuple", "str"}
UNCHANGED = {"annotation", "returns", "type_params", "decorator_list", "exc", "format_spec"}
ELSEWHERE = ("TYPE_CHECKING", "sys.platform", "renamex_np", "isatty")
NO_CONTEXT = ast.withitem(ast.parse("__import__('contextlib').nullcontext()", mode="eval").body)


def running(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a node and those below it, but for what is not changed."""
    match node:
        case ast.If(test=test) | ast.IfExp(test=test):
            if any(word in ast.unparse(test) for word in ELSEWHERE):
                return
        case ast.Assign(col_offset=0, value=ast.Subscript() | ast.BinOp(op=ast.BitOr())):
            return  # a name for a type
        case ast.Call(func=ast.Name(id="tqdm"), args=args):
            for each in args:
                yield from running(each)
            return
    yield node
    for name, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and name not in UNCHANGED:
                yield from running(child)


def changed(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what can stand in the place of a node."""
    match node:
        case ast.Compare(ops=ops):
            for k, op in enumerate(ops):
                if type(op) in SWAPS:
                    yield _with(node, ops=[*ops[:k], SWAPS[type(op)](), *ops[k + 1 :]])
        case ast.BinOp(op=op) | ast.BoolOp(op=op) if type(op) in SWAPS:
            yield _with(node, op=SWAPS[type(op)]())
        case ast.UnaryOp(op=ast.Not()):
            yield node.operand
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value)):
            yield ast.Constant(value + 1)
            yield ast.Constant(value - 1)
        case ast.Constant(value=float(value)):
            yield ast.Constant(value * 0.9 if value else 0.1)
        case ast.Subscript(ctx=ast.Load()):
            yield node.value
        case ast.Call(func=func, args=args, keywords=keywords):
            name = ast.unparse(func).rpartition(".")[2]
            if name in DROPPED:
                yield from args[:1]
            if len({ast.unparse(arg) for arg in args[:2]}) == 2 and name not in {"max", "min"}:
                yield _with(node, args=[args[1], args[0], *args[2:]])
            for k, _ in enumerate(keywords):
                yield _with(node, keywords=keywords[:k] + keywords[k + 1 :])
        case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test):
            yield _with(node, test=ast.UnaryOp(ast.Not(), test))
            if isinstance(node, ast.If) and isinstance(node.body[-1], ast.Raise | ast.Return):
                yield _with(node, test=ast.Constant(False))
        case ast.With(items=items):
            for k, item in enumerate(items):
                if item.optional_vars is None:
                    yield _with(node, items=[*items[:k], NO_CONTEXT, *items[k + 1 :]])
        case ast.Return(value=ast.expr()) if ast.unparse(node) != "return None":
            yield ast.Return(ast.Constant(None))
        case ast.Assign(targets=[target, *_], value=value):
            made = _names(target, ast.Store)
            if not made or made & _names(value, ast.Load):  # others would raise a NameError
                yield ast.Pass()
        case ast.Expr(value=ast.Constant() | ast.Yield()):
            pass
        case ast.Expr() | ast.AugAssign() | ast.Raise() | ast.Break() | ast.Continue():
            yield ast.Pass()


def _with(node: ast.AST, **fields: Any) -> ast.AST:
    other = copy.copy(node)
    vars(other).update(fields)
    return other


def _names(node: ast.AST, context: type[ast.expr_context]) -> set[str]:
    found = [each for each in ast.walk(node) if isinstance(each, ast.Name)]
    return {each.id for each in found if isinstance(each.ctx, context)}


class Put(ast.NodeTransformer):
    """Puts one node in the place of another."""

    def __init__(self, new: ast.AST, old: ast.AST) -> None:
        self.new, self.old = new, old

    def visit(self, node: ast.AST) -> ast.AST:  # noqa: D102 - as of any transformer
        return self.new if node is self.old else self.generic_visit(node)


def mutants(source: str) -> Iterator[tuple[int, str, str]]:
    """Yield a line, what is changed there, and the changed module."""
    tree = ast.parse(source)
    for old in list(running(tree)):
        for new in changed(old):
            told = " -> ".join(ast.unparse(node).partition("\n")[0] for node in (old, new))
            Put(new, old).visit(tree)
            yield getattr(old, "lineno", 0), told, ast.unparse(tree)
            Put(old, new).visit(tree)


def copy_to(tree: Path) -> None:
    """Copy the Python of the repository, and link what else it holds."""
    tree.mkdir()
    for each in ROOT.iterdir():
        if each.name in {"sercourse", "tests", "tools"}:
            shutil.copytree(each, tree / each.name, ignore=shutil.ignore_patterns("__pycache__"))
        elif each.name not in {".git", ".hypothesis", "build"}:
            (tree / each.name).symlink_to(each)


def passes(command: list[str], tree: Path, *, seconds: float | None = None) -> bool:
    """Run tests in a tree; whether all of them passed in so many seconds."""
    # A compiled file would hide a change of the same second and length.
    env = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    to: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=tree, env=env, start_new_session=True, **to) as tests:
        try:
            return tests.wait(seconds) == 0
        except subprocess.TimeoutExpired:
            return False
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(tests.pid, signal.SIGKILL)  # with whatever they started


def main() -> None:
    """Print what the tests do not notice, and the share of what they do."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("module", type=Path)
    parser.add_argument("tests", nargs="+", help="their files, as seen from the repository")
    parser.add_argument("-k", default="", help="only tests that match, as of pytest")
    parser.add_argument("--sample", type=int, default=60, help="changes to try")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lines", default="", help="only those, such as 120-180")
    args = parser.parse_args()

    found = list(mutants(args.module.read_text("utf-8")))
    if args.lines:
        first, last = map(int, args.lines.split("-"))
        found = [each for each in found if first <= each[0] <= last]
    chosen = random.Random(args.seed).sample(found, min(args.sample, len(found)))
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder, "tree")
        copy_to(tree)
        module = tree / args.module.resolve().relative_to(ROOT)
        command = [sys.executable, "-m", "pytest", "-x", "-k", args.k, *args.tests]
        command += ["--basetemp", str(Path(folder, "temporary"))]
        started = time.monotonic()
        if not passes(command, tree):
            raise SystemExit("the tests fail without a change: mend them, or leave some out by -k")
        limit = 10 + 3 * (time.monotonic() - started)
        killed = len(chosen)
        for line, told, code in sorted(chosen):
            module.write_text(code, "utf-8")
            if passes(command, tree, seconds=limit):
                killed -= 1
                print(f"{args.module}, line {line}: {told}", flush=True)
    print(f"{killed} of {len(chosen)} noticed, of {len(found)} that there are; seed {args.seed}")


if __name__ == "__main__":
    main()
