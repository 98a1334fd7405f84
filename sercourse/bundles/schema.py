"""What `bundle.json` and `metrics.json` have to hold: types and ranges of all that is used."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

LARGEST_JSON = 2**24  # [bytes]; that of the shipped bundles has 240,000

Text = Annotated[str, Meta(min_length=1, max_length=200)]
Prose = Annotated[str, Meta(max_length=20_000)]
Count = Annotated[int, Meta(ge=1, le=10**9)]
Distance = Annotated[float, Meta(gt=0, le=1e6)]
Factor = Annotated[float, Meta(ge=0.01, le=100)]
Amount = Annotated[float, Meta(ge=0, le=1e9)]
Share = Annotated[float, Meta(ge=0, le=1)]
Figure = Annotated[float, Meta(ge=-1, le=1)]
Hash = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


def _record(**fields: Any) -> Any:
    """Return the type of a JSON object; a field that is given with a default may be absent."""
    pairs = ((name, each if isinstance(each, tuple) else (each,)) for name, each in fields.items())
    return msgspec.defstruct("Record", [(name, *pair) for name, pair in pairs], kw_only=True)


def _list(kind: Any, least: int = 1, most: int = 10**6) -> Any:
    return Annotated[list[kind], Meta(min_length=least, max_length=most)]


_LABELS = _list(Text, 2, 1000)
_MODEL = {
    "recipe": _record(name=Text, features=_record(name=Text)),
    "sample_rate": Count,
    "feature_names": _list(Text),
    "files": dict[Literal["model", "enrolled", "voice", "encoder"], Text],
    "speech": (_record(n_features=Count, farthest=Distance) | UnsetType, UNSET),
}
_GENDER = _record(**_MODEL, labels=_list(Text, 2, 2), threshold=(Share, 0.0))
_PART = {"n_clips": Count, "n_speakers": Annotated[int, Meta(ge=0)]}
_CORPUS = _record(
    **_PART,
    name=Text,
    fingerprint=Text,
    licence=(Prose, ""),
    parts=(dict[Text, _record(**_PART, labels=list[Text])], {}),  # type: ignore[misc]
)
INDEX = _record(
    name=Text,
    title=Prose,
    members=_list(_record(**_MODEL), 1, 100),
    labels=_LABELS,
    corpus=_CORPUS,
    files=dict[Text, Hash],
    temperature=(dict[Text, Factor], {}),
    weights=(list[Factor], []),
    sure_from=(Share, 0.0),
    gender=(_GENDER | UnsetType, UNSET),
)
"""Of `bundle.json`."""

_FIGURES = dict.fromkeys(("accuracy", "uar", "macro_f1", "ece", "chance"), Share)
_FOLD = _record(
    **_FIGURES,
    fold=Text,
    seconds=Amount,
    epochs=(Amount | UnsetType, UNSET),
    temperature=(Factor | UnsetType, UNSET),
    segment_accuracy=(Share | UnsetType, UNSET),
)
_PROTOCOL = _record(
    **_FIGURES,
    protocol=Text,
    labels=Text,
    emotions=_LABELS,
    n_clips=Count,
    folds=list[_FOLD],  # type: ignore[valid-type]
    accuracy_interval=(tuple[Figure, Figure] | None, None),
    **dict.fromkeys(("accuracy_sd", "segment_accuracy", "loss"), (Share | None, None)),
)
_METRICS = {"recipe": Text, "protocols": _list(_PROTOCOL, 0)}
METRICS = _record(**_METRICS, corpus=Text)
"""Of `metrics.json` of a bundle."""

RESULTS = _record(
    **_METRICS, corpus=_record(fingerprint=Text), members=_list(dict[str, Any], 1, 100)
)
"""Of `metrics.json` in a folder of results, of which there is no bundle."""


def read_json(path: Path, kind: Any = dict[str, Any]) -> dict[str, Any]:
    """Return the object that a JSON file of a bundle holds.

    Raises
    ------
    ValueError
        If it is not of that kind; the sentence names the file and the field.
    """
    if path.stat().st_size > LARGEST_JSON:
        raise ValueError(f"{path} has more than {LARGEST_JSON:,} bytes: get the model again")
    content = path.read_bytes()
    try:
        msgspec.json.decode(content, type=kind)
        found: dict[str, Any] = msgspec.json.decode(content)
        return found
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:  # also of a deep nest
        raise ValueError(f"{path}: {error}: get the model again") from None
