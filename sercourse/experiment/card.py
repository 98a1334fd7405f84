"""The model card of a bundle: intended use, training data, limits and results, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jinja2


def model_card(info: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """Fill in ``card.md`` with a bundle's ``bundle.json`` and ``metrics.json``."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("sercourse", "experiment"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"format": format, "percent": _percent}
    return environment.get_template("card.md").render(info=info, metrics=metrics)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}".removesuffix("%")
