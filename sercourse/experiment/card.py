"""The model card of a bundle: intended use, training data, limits and results, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jinja2

SHARE_ALIKE = "CC BY-NC-SA 4.0"
_SIGNS = str.maketrans({"<": "&lt;", "[": "&#91;", "|": "&#124;", "\n": " ", "\r": " "})


def model_card(info: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """Fill in ``card.md`` with a bundle's ``bundle.json`` and ``metrics.json``.

    Raises
    ------
    ValueError
        If something in them is not what the card tells.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("sercourse", "experiment"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"format": format, "percent": _percent}
    told = {"info": _escaped(info), "metrics": _escaped(metrics)}
    try:
        return environment.get_template("card.md").render(told)
    except (TypeError, jinja2.TemplateError) as error:
        where = f"metrics.json of model {info['name']!r}"
        raise ValueError(f"{where} cannot be told on a card ({error}): train it again") from error


def _escaped(value: Any) -> Any:
    """Return what a card tells, without signs by which names would become Markdown or HTML."""
    if isinstance(value, str):
        return value.translate(_SIGNS)
    if isinstance(value, Mapping):
        return {_escaped(name): _escaped(each) for name, each in value.items()}
    return [_escaped(each) for each in value] if isinstance(value, list | tuple) else value


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}".removesuffix("%")


def model_licence(terms: str) -> str:
    """Return the licence of a model, from the terms of its corpora; empty where they leave it open.

    RAVDESS is shared alike. AESDD is taken by the stricter of the terms that its copies state.

    Examples
    --------
    >>> model_licence("Its terms: CC BY-NC-SA 4.0."), model_licence("Its terms: mine.")
    ('CC BY-NC-SA 4.0', '')
    """
    stated = (SHARE_ALIKE, "treat as non-commercial")
    return SHARE_ALIKE if any(each in terms for each in stated) else ""
