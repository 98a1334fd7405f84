"""Run the first code cells of lessons as Colab's kernel would; test_colab starts this."""

from __future__ import annotations

import importlib.util
import json
import sys
import types
from pathlib import Path
from typing import Any


def main(lessons: dict[str, list[str]], content: str, missing: str) -> None:
    """Run the cells of each lesson, with `content` for /content and one module out of sight."""
    colab: Any = types.ModuleType("google.colab")
    colab.output = types.SimpleNamespace(enable_custom_widget_manager=list)
    sys.modules["google.colab"] = colab
    find_spec = importlib.util.find_spec
    importlib.util.find_spec = lambda name, *more: None if name == missing else find_spec(name)
    for lesson, cells in lessons.items():
        for _ in range(2):
            variables: dict[str, Any] = {"__name__": "__main__"}
            for cell in cells:
                exec(compile(cell.replace("/content", content), lesson, "exec"), variables)
            used = Path(variables["exercises"].__file__)
            assert used.is_relative_to(content), f"{lesson} uses {used}"


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), *sys.argv[2:])
