"""Speech emotion recognition: the package behind the course.

Submodules load when first used, so `import sercourse` stays fast and pulls in no heavy library.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
from typing import Any

# From 1.29 on, onnxruntime writes a device id into the user's home and looks up a telemetry host
# unless this is set before it is imported. Everything that imports it here comes by this file.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"

_SUBMODULES = [each.name for each in pkgutil.iter_modules(__path__) if each.name != "__main__"]

__all__ = ["EmotionRecognizer", "__version__", *_SUBMODULES]


def __getattr__(name: str) -> Any:
    """Import a submodule, or what stands for one, at its first use (PEP 562)."""
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name == "EmotionRecognizer":
        return importlib.import_module(f"{__name__}.recognizer").EmotionRecognizer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
