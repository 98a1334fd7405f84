"""Reading what a bundle says of itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_json(path: Path) -> dict[str, Any]:
    """Return the object that a JSON file of a bundle holds."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not readable as JSON ({error}): get the model again") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds no JSON object: get the model again")
    return content
