"""Speech emotion recognition: the package behind the course.

Submodules load when first used, so `import sercourse` stays fast and pulls in no heavy library.
"""

from __future__ import annotations

import importlib
from types import ModuleType

__version__ = "0.1.0"

_SUBMODULES = (
    "audio",
    "augment",
    "bundles",
    "classical",
    "corpora",
    "course",
    "evaluate",
    "experiment",
    "features",
    "fetch",
    "files",
    "labels",
    "networks",
    "normalize",
    "plots",
    "recipes",
    "splits",
    "timeline",
)

__all__ = ["__version__", *_SUBMODULES]


def __getattr__(name: str) -> ModuleType:
    """Import a submodule at its first use (PEP 562)."""
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
